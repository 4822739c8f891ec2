/* The C++ header with exceptions: what is thrown, what is owned, what a callable sees. */
#include "check.hpp"

#include <poll.h>

#include <array>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <numeric>
#include <thread>
#include <vector>

using namespace std::chrono_literals;

/* Nodes answer with a server error from now on. */
static void refuse_all(const inlong::Mock &mock)
{
    for (int node = 0; node < 3; node++)
        mock.control("{\"op\":\"fault\",\"node\":" + std::to_string(node) +
                     ",\"standing\":true,\"fault\":{\"kind\":\"error_code\",\"code\":100}}");
}

static inlong::Client open(const inlong::Mock &mock) { return inlong::Client(inlong::Options().url(mock.url()).group_id(GROUP)); }

/* The code that `call` throws, INLONG_OK when it returns. */
template <class Call> static int thrown(Call call)
{
    try {
        call();
    } catch (const inlong::Error &error) {
        CHECK(*error.what() && *error.name());
        return error.code();
    }
    return INLONG_OK;
}

/* An Error that lost the server's answer would leave its reader guessing whether to send again. */
static void send_returns_the_result_or_throws_it(void)
{
    inlong::Mock mock;
    inlong::Client client = open(mock);
    inlong::Result result = client.send({STREAM, "hello"}, 5s);
    CHECK_INT(result.persisted, INLONG_ACKED);
    CHECK_INT(received(mock.get()), 1);
    refuse_all(mock);
    try {
        client.send({STREAM, "hello"});
        CHECK(!"returned");
    } catch (const inlong::Error &error) {
        CHECK_INT(error.code(), INLONG_ERR_SERVER_ERROR);
        CHECK(error.result() != nullptr);
        CHECK_INT(error.result()->server_code, 100);
        CHECK_INT(error.retriable(), error.result()->retriable);
        inlong::Error copy = error;
        CHECK(copy.result() == error.result());
    }
    CHECK_INT(thrown([&] { client.send({STREAM, ""}); }), INLONG_ERR_LOG_INVALID);
    CHECK_INT(thrown([&] { client.send({STREAM, "x"}, -5ms); }), INLONG_ERR_ARG);
}

static void options_name_their_fault(void)
{
    inlong::Options options;
    options.set("worker_num", 2).set("ordered", true).set("send_timeout", 1500ms).set("compression", "none");
    CHECK_INT(thrown([&] { inlong::Client client(options); }), INLONG_ERR_OPTION);
    try {
        options.set("orderd", true);
        CHECK(!"returned");
    } catch (const inlong::Error &error) {
        CHECK_INT(error.code(), INLONG_ERR_OPTION);
        CHECK_TEXT(error.what(), "ordered");
    }
    /* Cut at the NUL this would be a group of someone else. */
    CHECK_INT(thrown([&] { options.group_id(std::string("admin\0_x", 8)); }), INLONG_ERR_OPTION);
    inlong::Mock mock;
    options.url(mock.url()).group_id(GROUP);
    inlong::Client client(options), second(options);
    CHECK_INT(client.send({STREAM, "x"}).code, INLONG_OK);
    inlong::Options moved = std::move(options);
    CHECK_INT(thrown([&] { options.set("ordered", true); }), INLONG_ERR_ARG);
}

/* Everything that has data() and size() in bytes; NULs and empty views do not cut or stretch anything. */
static void payloads_and_attributes_arrive_as_given(void)
{
    inlong::Mock mock;
    inlong::Client client = open(mock);
    std::string_view text = "stream_7 and what follows it here";
    std::vector<unsigned char> bytes{0, 255, '\n', '&', '='};
    const std::array<inlong_attribute, 2> attributes{inlong::attribute("color", "blue"),
                                                     inlong::attribute("size", text.substr(0, 0))};
    client.send(inlong::Message(text.substr(0, 8), bytes)
                    .group("other_group")
                    .with_attributes(attributes)
                    .at(std::chrono::system_clock::time_point(1700000000123ms)));
    const char *answer = control(mock.get(), "{\"op\":\"messages\"}");
    for (const char *part : {"\"payload\":\"AP8KJj0=\"", "\"group\":\"other_group\"", "\"stream\":\"stream_7\"",
                             "\"color\":\"blue\"", "\"size\":\"\"", "\"dt\":\"1700000000123\""})
        CHECK_TEXT(answer, part);

    const inlong_attribute trace[] = {inlong::attribute("trace", "4bf92f35")};
    inlong::Client(inlong::Options().url(mock.url()).group_id(GROUP).set("message_format", "binary"))
        .send(inlong::Message("stream_8", "x").with_item_attributes(trace));
    CHECK_TEXT(control(mock.get(), "{\"op\":\"messages\"}"), "\"item_attr\":\"trace=4bf92f35\"");

    const std::uint32_t wide[] = {0x31313131, 0x32323232};
    const char *null = nullptr;
    CHECK_INT((long long)inlong::Payload(std::string("a\0b", 3)).size, 3);
    CHECK_INT((long long)inlong::Payload(std::vector<std::uint32_t>(wide, wide + 2)).size, 8);
    CHECK_INT((long long)inlong::Payload(std::string_view("abc")).size, 3);
    CHECK_INT((long long)inlong::Payload(null).size, 0);
    CHECK_INT(thrown([&] { client.send({std::string_view(), "x"}); }), INLONG_ERR_LOG_INVALID);
}

/* Counted by the object that a callable holds: it must be there for each result and gone after the last. */
struct Witness {
    std::mutex mutex;
    std::condition_variable changed;
    std::vector<int> codes;
    void saw(const inlong::Result &result)
    {
        std::lock_guard<std::mutex> lock(mutex);
        codes.push_back(result.code);
        changed.notify_all();
    }
    void wait(std::size_t count)
    {
        std::unique_lock<std::mutex> lock(mutex);
        CHECK(changed.wait_for(lock, 20s, [&] { return codes.size() >= count; }));
    }
};

static void callable_lives_until_its_result(void)
{
    inlong::Mock mock;
    inlong::Client client = open(mock);
    auto witness = std::make_shared<Witness>();
    for (int i = 0; i < 1000; i++)
        client.send_async({STREAM, std::to_string(i)}, [witness](const inlong::Result &result) { witness->saw(result); });
    client.flush(20s);
    CHECK_INT((long long)witness->codes.size(), 1000);
    CHECK_INT(std::accumulate(witness->codes.begin(), witness->codes.end(), 0), 0);
    CHECK_INT(thrown([&] { client.send_async({STREAM, ""}, [witness](const inlong::Result &r) { witness->saw(r); }); }),
              INLONG_ERR_LOG_INVALID);
    client.send_async({STREAM, "x"}, inlong::Callback());
    client.close();
    CHECK_INT((long long)witness->codes.size(), 1000);
    CHECK_INT(witness.use_count(), 1);
}

/* Thrown through the library it would end the process. */
static void exception_of_a_callback_is_handed_over(void)
{
    static std::atomic<int> caught{0};
    CHECK(inlong::set_callback_exception_handler([](std::exception_ptr) { caught++; }) == nullptr);
    inlong::Mock mock;
    inlong::Client client = open(mock);
    for (int i = 0; i < 10; i++)
        client.send_async({STREAM, "x"}, [](const inlong::Result &) { throw 7; });
    client.flush();
    CHECK_INT(caught, 10);
    inlong::set_callback_exception_handler(nullptr);
    client.send_async({STREAM, "x"}, [](const inlong::Result &) { throw std::runtime_error("dropped"); });
    client.flush();
    CHECK_INT(caught, 10);
    CHECK_INT(client.send({STREAM, "x"}).code, INLONG_OK);
}

/* A client that runs its own callback's close must not wait for itself, nor be closed twice. */
static void callback_may_close(void)
{
    inlong::Mock mock;
    inlong::Client client = open(mock);
    std::promise<int> code;
    client.send_async({STREAM, "x"}, [&](const inlong::Result &) { code.set_value(thrown([&] { client.close(); })); });
    CHECK_INT(code.get_future().get(), INLONG_ERR_WORKER_BUSY);
}

static void future_has_every_outcome(void)
{
    inlong::Mock mock;
    inlong::Client client = open(mock);
    std::vector<std::future<inlong::Result>> futures;
    for (int i = 0; i < 500; i++)
        futures.push_back(client.send_async({STREAM, std::to_string(i)}));
    for (auto &future : futures)
        CHECK_INT(future.get().code, INLONG_OK);
    refuse_all(mock);
    CHECK_INT(client.send_async({STREAM, "x"}).get().server_code, 100);

    std::future<inlong::Result> refused = client.send_async({"no stream!", "x"});
    CHECK(refused.wait_for(0s) == std::future_status::ready);
    inlong::Result result = refused.get();
    CHECK_INT(result.code, INLONG_ERR_LOG_INVALID);
    CHECK_INT(result.persisted, INLONG_NOT_WRITTEN);
    CHECK_TEXT(result.text, "stream");
}

/* A callback that is over the close's time lets none after it be called: anyone who waits for a future there would do so for ever. */
static void future_is_not_forgotten_by_a_close_over_its_time(void)
{
    inlong::Mock mock;
    inlong::Client client = open(mock);
    std::promise<void> begun, go;
    std::shared_future<void> gate = go.get_future().share();
    client.send_async({STREAM, "x"}, [&begun, gate](const inlong::Result &) { begun.set_value(), gate.wait(); });
    std::future<inlong::Result> behind = client.send_async({STREAM, "y"});
    begun.get_future().wait();
    client.close(100ms);
    CHECK(behind.wait_for(0s) == std::future_status::ready);
    inlong::Result result = behind.get();
    CHECK_INT(result.code, INLONG_ERR_CLOSED);
    CHECK_INT(result.persisted, INLONG_MAYBE_WRITTEN);
    CHECK_TEXT(result.text, "close was over");
    go.set_value();
}

static void send_many_tells_which(void)
{
    inlong::Mock mock;
    inlong::Client client = open(mock);
    std::vector<std::string> lines;
    for (int i = 0; i < 3000; i++)
        lines.push_back("line " + std::to_string(i));
    auto seen = std::make_shared<std::vector<std::atomic<int>>>(lines.size());
    CHECK_INT(
        (long long)client.send_many(STREAM, lines, [seen](const inlong::Result &r, std::size_t i) { (*seen)[i] += r.code + 1; }),
        3000);
    CHECK_INT((long long)client.send_many(STREAM, std::vector<std::string_view>{"a", "b"}, nullptr), 2);
    client.flush();
    for (auto &count : *seen)
        CHECK_INT(count, 1);
    CHECK_INT(seen.use_count(), 1);
    CHECK_INT(received(mock.get()), 3002);
}

/* The part that is accepted gets its results, the rest none; both ways the callable must end. */
static void send_many_stops_at_the_refused(void)
{
    inlong::Mock mock;
    inlong::Client client = open(mock);
    auto witness = std::make_shared<Witness>();
    auto callback = [witness](const inlong::Result &r, std::size_t) { witness->saw(r); };
    const inlong::Message messages[] = {{STREAM, "1"}, {STREAM, "2"}, {STREAM, ""}, {STREAM, "4"}};
    auto sent = client.try_send_many(messages, 4, callback);
    CHECK_INT(sent.code(), INLONG_ERR_LOG_INVALID);
    CHECK_INT((long long)sent.error().accepted(), 2);
    sent = client.try_send_many(messages + 2, 2, callback);
    CHECK_INT((long long)sent.error().accepted(), 0);
    client.flush();
    CHECK_INT((long long)witness->codes.size(), 2);
    CHECK_INT(thrown([&] { client.send_many(messages, 4, nullptr); }), INLONG_ERR_LOG_INVALID);
    client.close();
    sent = client.try_send_many(messages, 1, std::move(callback));
    CHECK_INT(sent.code(), INLONG_ERR_HANDLE);
    CHECK_INT(witness.use_count(), 1);
}

/* A moved-from client that closed the other's handle would fail messages of its new owner. */
static void moving_leaves_one_owner(void)
{
    inlong::Mock mock;
    inlong::Client first = open(mock), second = std::move(first);
    CHECK_INT(thrown([&] { first.send({STREAM, "x"}); }), INLONG_ERR_HANDLE);
    CHECK_INT(second.send({STREAM, "x"}).code, INLONG_OK);
    inlong_client *replaced = second.get();
    second = open(mock);
    CHECK_INT(inlong_client_flush(replaced, 0), INLONG_ERR_HANDLE);
    inlong::Client &self = second;
    second = std::move(self);
    auto future = second.send_async({STREAM, "pending when its client goes"});
    second = inlong::Client();
    CHECK(future.wait_for(0s) == std::future_status::ready);
    CHECK_INT(future.get().code, INLONG_OK);
    CHECK_INT(thrown([&] { second.flush(); }), INLONG_ERR_HANDLE);
}

static void queue_and_reports(void)
{
    inlong::Mock mock;
    inlong::Client client = open(mock);
    int mark;
    for (int i = 0; i < 3; i++)
        client.send_queued({STREAM, "x"}, &mark);
    client.flush();
    pollfd readable{client.event_fd(), POLLIN, 0};
    CHECK_INT(::poll(&readable, 1, 0), 1);
    std::array<inlong::Result, 8> results;
    CHECK_INT((long long)client.poll(results.data(), results.size(), 0ms), 3);
    CHECK(results[2].user == &mark);
    CHECK_INT((long long)client.poll(results.data(), results.size(), 0ms), 0);
    CHECK_INT(thrown([&] { client.poll(nullptr, 1); }), INLONG_ERR_ARG);

    CHECK_INT(json_number(client.stats().c_str(), "acked"), 3);
    CHECK(mock.stats().back() == '}');
    CHECK(mock.control("{\"op\":\"messages\"}", 10).size() == 10);
    CHECK_INT(thrown([&] { mock.control("{\"op\":\"dance\"}"); }), INLONG_ERR_ARG);
    inlong::CloseReport report = client.close(5s);
    CHECK_INT(report.acked, 3);
    CHECK_INT(report.unsent, 0);
    CHECK_INT(thrown([&] { client.close(); }), INLONG_ERR_HANDLE);
}

/* What a client calls must outlive its options, and go with the client. */
static void options_callables_live_as_long_as_the_client(void)
{
    inlong::Mock mock;
    std::atomic<int> lines{0}, level{0}, results{0}, calls{0};
    auto witness = std::make_shared<int>(0);
    {
        inlong::Options options;
        options.url(mock.url()).group_id(GROUP);
        options.log([&, witness](int l, std::string_view text) { level = text.empty() ? 0 : l, lines++; }, INLONG_LOG_WARN)
            .batch_callback([&, witness](const inlong::Result &result, void *const *users, std::size_t count) {
                results += result.code == INLONG_OK && users[0] == &lines ? static_cast<int>(count) : 0;
                calls++;
            });
        inlong::Client client(options), moved;
        options = inlong::Options();
        moved = std::move(client);
        for (int i = 0; i < 100; i++)
            moved.send_queued({STREAM, "x"}, &lines);
        moved.flush();
        CHECK_INT(results, 100);
        CHECK(calls < 50);
        CHECK_INT(thrown([&] { moved.event_fd(); }), INLONG_ERR_ARG);
        mock.control("{\"op\":\"kill\",\"node\":0}");
        for (int i = 0; i < 2000 && lines == 0; i++)
            usleep(5000);
        CHECK_INT(level, INLONG_LOG_WARN);
        CHECK(witness.use_count() > 1);
    }
    CHECK_INT(witness.use_count(), 1);

    /* No client, no callable left; and one that is empty is none. */
    CHECK_INT(thrown([&] {
                  inlong::Client client(inlong::Options()
                                            .url("http://127.0.0.1:1")
                                            .group_id(GROUP)
                                            .log([witness](int, std::string_view) {}, INLONG_LOG_DEBUG));
              }),
              INLONG_ERR_NEW_CONN_FAILED);
    CHECK_INT(witness.use_count(), 1);
    CHECK_INT(thrown([] { inlong::Options().log([](int, std::string_view) {}, 9); }), INLONG_ERR_ARG);
    inlong::Client plain(inlong::Options().url(mock.url()).group_id(GROUP).log(nullptr, INLONG_LOG_DEBUG).batch_callback(nullptr));
    CHECK(plain.event_fd() >= 0);
    CHECK(plain.metrics().find("# TYPE data_proxy_msg_count counter") != std::string::npos);
    CHECK_INT(inlong::try_set_runtime(INLONG_RUNTIME_GC_PERCENT, 400).code(), INLONG_ERR_OPTION);
}

#ifndef CHECK_ASAN /* whose own locks do not survive such a fork */
/* A thread of the parent may have had the lock of the futures when the child was forked, and the child waited for it. */
static void future_of_a_forked_child_is_refused_at_once(void)
{
    inlong::Mock mock;
    inlong::Client client(inlong::Options().url(mock.url()).group_id(GROUP).set("block_if_queue_is_full", true));
    std::atomic<bool> stop{false};
    std::vector<std::thread> senders;
    for (int i = 0; i < 2; i++)
        senders.emplace_back([&] {
            while (!stop)
                client.send_async({STREAM, "x"});
        });
    for (int round = 0; round < check_rounds(100); round++) {
        pid_t child = fork();
        if (child == 0) {
            alarm(5);
            _exit(client.send_async({STREAM, "x"}).get().code == INLONG_ERR_FORKED ? 0 : 1);
        }
        CHECK_INT(check_status(child), 0);
    }
    stop = true;
    for (auto &sender : senders)
        sender.join();
}
#endif

/* The C++ side makes a copy first: it read through the NULL, and threw what is no Error. */
static void send_many_refuses_what_is_no_array(void)
{
    inlong::Mock mock;
    inlong::Client client = open(mock);
    const inlong::Message message(STREAM, "x"), *none = nullptr;
    CHECK_INT(client.try_send_many(none, 3, nullptr).code(), INLONG_ERR_ARG);
    CHECK_INT(client.try_send_many(&message, static_cast<std::size_t>(-1), nullptr).code(), INLONG_ERR_ARG);
    CHECK_INT(client.try_send_many(none, 0, nullptr).code(), INLONG_OK);
}

/* In nanoseconds they became something else: some a short time that fits. */
static void duration_that_is_too_long_is_not_another_one(void)
{
    CHECK_INT(thrown([] {
                  inlong::Client client(inlong::Options()
                                            .set("static_nodes", "127.0.0.1:1")
                                            .group_id(GROUP)
                                            .set("lazy_start", true)
                                            .set("send_timeout", std::chrono::hours(5124096)));
              }),
              INLONG_ERR_OPTION);
}

static const check_test tests[] = {
    {"send_returns_the_result_or_throws_it", send_returns_the_result_or_throws_it},
    {"options_name_their_fault", options_name_their_fault},
    {"payloads_and_attributes_arrive_as_given", payloads_and_attributes_arrive_as_given},
    {"callable_lives_until_its_result", callable_lives_until_its_result},
    {"exception_of_a_callback_is_handed_over", exception_of_a_callback_is_handed_over},
    {"callback_may_close", callback_may_close},
    {"future_has_every_outcome", future_has_every_outcome},
    {"future_is_not_forgotten_by_a_close_over_its_time", future_is_not_forgotten_by_a_close_over_its_time},
#ifndef CHECK_ASAN
    {"H2_future_of_a_forked_child_is_refused_at_once", future_of_a_forked_child_is_refused_at_once},
#endif
    {"send_many_tells_which", send_many_tells_which},
    {"send_many_refuses_what_is_no_array", send_many_refuses_what_is_no_array},
    {"duration_that_is_too_long_is_not_another_one", duration_that_is_too_long_is_not_another_one},
    {"send_many_stops_at_the_refused", send_many_stops_at_the_refused},
    {"moving_leaves_one_owner", moving_leaves_one_owner},
    {"queue_and_reports", queue_and_reports},
    {"options_callables_live_as_long_as_the_client", options_callables_live_as_long_as_the_client},
};

CHECK_MAIN("cpp", tests)
