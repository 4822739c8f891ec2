/* H5: exit from a C++ program whose callbacks use static objects, and whose client is one. */
#include "check.hpp"

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#ifdef CHECK_ASAN
/* The callables that exit leaves uncalled. */
extern "C" const char *__asan_default_options(void);
extern "C" const char *__asan_default_options(void) { return "detect_leaks=0"; }
#endif

/* What callbacks use. Made before the first client, so destroyed after the library's exit handler: no callback may find it so. */
struct Ledger {
    std::mutex mutex;
    std::map<std::string, long> results;
    std::atomic<long> count{0};
    std::atomic<bool> destroyed{false};

    void add(const inlong::Result &result)
    {
        if (destroyed)
            _exit(3);
        std::lock_guard<std::mutex> lock(mutex);
        results[result.node]++;
        count++;
    }
    ~Ledger() { destroyed = true; }
};

static Ledger ledger;
static std::unique_ptr<inlong::Mock> mock;
static inlong::Client client;

static void open_client_of(inlong::Mock &of)
{
    client = inlong::Client(inlong::Options().url(of.url()).group_id(GROUP).set("block_if_queue_is_full", "true"));
}

static void start_traffic()
{
    for (int i = 0; i < 2; i++)
        std::thread([] {
            while (client.try_send_async({STREAM, "x"}, [](const inlong::Result &result) { ledger.add(result); }))
                ;
        }).detach();
    while (ledger.count < 1000)
        std::this_thread::yield();
}

/* The mock is leaked: it lives as long as the process. */
static void exit_with_a_static_client()
{
    open_client_of(*new inlong::Mock);
    start_traffic();
    exit(0);
}

static void static_client_under_traffic() { check_in_children(check_rounds(20), exit_with_a_static_client); }

/* Both are static, and destroyed in the order of the language: the client last, when its nodes are gone. */
static void exit_with_a_static_mock()
{
    mock.reset(new inlong::Mock);
    client = inlong::Client(
        inlong::Options().url(mock->url()).group_id(GROUP).set("block_if_queue_is_full", "true").set("send_timeout", "200ms"));
    start_traffic();
    exit(0);
}

static void static_mock_goes_first() { check_in_children(check_rounds(5), exit_with_a_static_mock); }

/* A client on the heap that nobody destroys, which is what most programs do. */
static void exit_with_a_forgotten_client()
{
    open_client_of(*new inlong::Mock);
    inlong::Client *forgotten = new inlong::Client(std::move(client));
    client = inlong::Client();
    for (int i = 0; i < 2; i++)
        std::thread([forgotten] {
            while (forgotten->try_send_async({STREAM, "x"}, [](const inlong::Result &result) { ledger.add(result); }))
                ;
        }).detach();
    while (ledger.count < 1000)
        std::this_thread::yield();
    exit(0);
}

static void forgotten_client_under_traffic() { check_in_children(check_rounds(20), exit_with_a_forgotten_client); }

static const check_test tests[] = {
    {"H5_static_client_under_traffic", static_client_under_traffic},
    {"H5_static_mock_goes_first", static_mock_goes_first},
    {"H5_forgotten_client_under_traffic", forgotten_client_under_traffic},
};

CHECK_MAIN("cpp_exit", tests)
