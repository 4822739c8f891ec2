/* The C++ header's calls that do not throw; built with and without exceptions. */
#include "check.hpp"

#include <cstring>

using namespace std::chrono_literals;

static inlong::Client open(const inlong::Mock &mock)
{
    inlong::Options options;
    CHECK_INT(options.try_set("url", *mock.try_url()).code(), INLONG_OK);
    CHECK_INT(options.try_set("group_id", GROUP).code(), INLONG_OK);
    CHECK_INT(options.try_set("send_timeout", 5s).code(), INLONG_OK);
    auto client = inlong::Client::try_open(options);
    CHECK(client);
    return *std::move(client);
}

static void every_way_to_send(void)
{
    auto mock = inlong::Mock::try_start(1);
    CHECK(mock);
    inlong::Client client = open(*mock);
    CHECK_INT(client.try_send({STREAM, "x"})->persisted, INLONG_ACKED);
    std::atomic<int> acked{0};
    CHECK(client.try_send_async({STREAM, "x"}, [&](const inlong::Result &r) { acked += r.code == INLONG_OK; }));
    std::future<inlong::Result> future = client.send_async({STREAM, "x"});
    const std::vector<std::string> lines{"a", "b", "c"};
    auto sent = client.try_send_many(STREAM, lines, [&](const inlong::Result &r, std::size_t) { acked += r.code == INLONG_OK; });
    CHECK_INT((long long)*sent, 3);
    CHECK(client.try_send_queued({STREAM, "x"}));
    CHECK(client.try_flush());
    CHECK_INT(acked, 4);
    CHECK_INT(future.get().code, INLONG_OK);
    inlong::Result results[4];
    CHECK_INT((long long)*client.try_poll(results, 4), 1);
    CHECK(*client.try_event_fd() >= 0);
    CHECK(client.try_stats()->size() > 2);
    CHECK(client.try_metrics()->size() > 2);
    CHECK_INT(json_number(mock->try_stats()->c_str(), "messages"), 7);
    CHECK(mock->try_control("{\"op\":\"messages\"}"));
    CHECK_INT(client.try_close(5s)->acked, 7);
}

/* Code, text and result are all there without a throw. */
static void failures_are_values(void)
{
    inlong::Options options;
    auto unknown = options.try_set("grup_id", "x");
    CHECK(!unknown);
    CHECK_TEXT(unknown.error().what(), "group_id");
    auto client = inlong::Client::try_open(options);
    CHECK_INT(client.code(), INLONG_ERR_OPTION);
    inlong::Client none;
    inlong::Result result;
    CHECK_INT(none.try_send({STREAM, "x"}).code(), INLONG_ERR_HANDLE);
    CHECK(none.try_send({STREAM, "x"}).error().result() == nullptr);
    CHECK_INT(none.try_send_async({STREAM, "x"}, nullptr).code(), INLONG_ERR_HANDLE);
    CHECK_INT(none.send_async({STREAM, "x"}).get().code, INLONG_ERR_HANDLE);
    CHECK_INT(none.try_send_queued({STREAM, "x"}).code(), INLONG_ERR_HANDLE);
    CHECK_INT(none.try_send_many(STREAM, std::vector<std::string>{"x"}, nullptr).code(), INLONG_ERR_HANDLE);
    CHECK_INT(none.try_poll(&result, 1).code(), INLONG_ERR_HANDLE);
    CHECK_INT(none.try_event_fd().code(), INLONG_ERR_HANDLE);
    CHECK_INT(none.try_flush().code(), INLONG_ERR_HANDLE);
    CHECK_INT(none.try_close().code(), INLONG_ERR_HANDLE);
    CHECK_INT(none.try_stats().code(), INLONG_ERR_HANDLE);
    CHECK_INT(none.try_metrics().code(), INLONG_ERR_HANDLE);
    CHECK_INT(options.try_log([](int, std::string_view) {}, 9).code(), INLONG_ERR_ARG);
    CHECK(options.try_batch_callback([](const inlong::Result &, void *const *, std::size_t) {}));
    CHECK_INT(inlong::try_set_runtime(0, 0).code(), INLONG_ERR_ARG);
    CHECK_INT(inlong::Mock::try_start(65).code(), INLONG_ERR_ARG);
}

static inlong::Options asking(const inlong::Mock &mock, inlong::AuthCallback callback)
{
    inlong::Options options;
    CHECK(options.try_set("url", *mock.try_url()));
    CHECK(options.try_set("group_id", GROUP));
    CHECK(options.try_set("update_interval", 10ms));
    CHECK(options.try_auth(std::move(callback)));
    return options;
}

/* The callable is asked for as long as the client lives, which its options do not; after the client it is gone. */
static void credentials_come_from_a_callable(void)
{
    auto mock = inlong::Mock::try_start(1);
    CHECK(mock->try_control("{\"op\":\"manager_demand\",\"header\":\"X-Token\",\"value\":\"t\"}"));
    std::atomic<int> calls{0};
    auto witness = std::make_shared<int>(0);
    {
        auto client = inlong::Client::try_open(asking(*mock, [&calls, witness](inlong_auth &auth) {
            std::strcpy(auth.name, "X-Token");
            std::strcpy(auth.value, "t");
            calls++;
            return true;
        }));
        CHECK(client);
        for (int before = calls; calls < before + 3;)
            usleep(1000);
        CHECK(client->try_send({STREAM, "x"}));
    }
    CHECK_INT(witness.use_count(), 1);

    auto refused =
        inlong::Client::try_open(asking(*mock, [](inlong_auth &auth) { return std::strcpy(auth.text, "none today") == nullptr; }));
    CHECK_INT(refused.code(), INLONG_ERR_NEW_CONN_FAILED);
    CHECK_TEXT(refused.error().what(), "none today");
    CHECK_TEXT(inlong::Client::try_open(asking(*mock, nullptr)).error().what(), "403"); /* an empty one is none */
#ifdef __cpp_exceptions
    auto thrown = inlong::Client::try_open(asking(*mock, [](inlong_auth &) -> bool { throw 1; }));
    CHECK_TEXT(thrown.error().what(), "there are no credentials");
#endif
}

/* A client that could not be made left a call running whose callable was freed under it. */
static void log_callable_outlives_a_client_that_could_not_be_made(void)
{
    auto mock = inlong::Mock::try_start(1);
    CHECK(mock->try_control("{\"op\":\"kill\",\"node\":0}"));
    static std::atomic<bool> begun, freed, gone; /* freed: options and client are */
    std::shared_ptr<int> last(new int(7), [](int *held) {
        delete held;
        gone = true;
    });
    for (auto time = 50ms; !begun; time *= 2) { /* on a slow machine the client may end before its first line */
        inlong::Options options;
        CHECK(options.try_set("url", *mock->try_url()));
        CHECK(options.try_set("group_id", GROUP));
        CHECK(options.try_set("conn_timeout", time));
        CHECK(options.try_log(
            [last](int, std::string_view) {
                begun = true;
                while (!freed)
                    usleep(1000);
                CHECK_INT(*last, 7);
            },
            INLONG_LOG_WARN));
        CHECK(!inlong::Client::try_open(options));
    }
    last.reset();
    CHECK(!gone);
    freed = true;
    while (!gone)
        usleep(1000);
}

/* A destructor there was refused, and left the client open for ever, with its connections and what the callable holds. */
static void client_may_end_inside_its_log_callback(void)
{
    auto mock = inlong::Mock::try_start(1);
    std::shared_ptr<int> witness = std::make_shared<int>(7);
    static std::atomic<inlong::Client *> held;
    inlong_client *handle;
    {
        inlong::Options options;
        CHECK(options.try_set("url", *mock->try_url()));
        CHECK(options.try_set("group_id", GROUP));
        CHECK(options.try_log([witness](int, std::string_view) { delete held.exchange(nullptr); }, INLONG_LOG_WARN));
        auto client = inlong::Client::try_open(options);
        CHECK(client);
        handle = client->get();
        held = new inlong::Client(*std::move(client));
    }
    CHECK(mock->try_control("{\"op\":\"kill\",\"node\":0}"));
    while (inlong_client_wake(handle) != INLONG_ERR_HANDLE || witness.use_count() > 1)
        usleep(1000);
}

/* A getenv of what is not set ended the program: by std::logic_error, which is no inlong::Error, or by SIGSEGV. */
static void null_for_a_text_is_an_error(void)
{
    auto mock = inlong::Mock::try_start(1);
    inlong::Client client = open(*mock);
    const char *unset = nullptr;
    inlong::Options options;
    CHECK_INT(options.try_set("group_id", unset).code(), INLONG_ERR_ARG);
    CHECK_TEXT(options.try_set("group_id", unset).error().what(), "option group_id: the value is NULL");
    CHECK_INT(client.try_send({unset, "x"}).code(), INLONG_ERR_LOG_INVALID);
    CHECK_INT(client.try_send({STREAM, unset}).code(), INLONG_ERR_LOG_INVALID);
    CHECK(client.try_send(inlong::Message(STREAM, "x").group({}))); /* what a std::string_view takes, too */
    const inlong_attribute nameless[] = {inlong::attribute(unset, "v")};
    CHECK_TEXT(client.try_send(inlong::Message(STREAM, "x").with_attributes(nameless)).error().what(), "empty name");
#ifdef __cpp_exceptions
    for (int i = 0; i < 2; i++)
        try {
            i == 0 ? inlong::Options().url(unset) : inlong::Options().group_id(unset);
            CHECK(!"returned");
        } catch (const inlong::Error &error) {
            CHECK_TEXT(error.what(), i == 0 ? "option url: the value is NULL" : "option group_id: the value is NULL");
        }
#endif
}

static const check_test tests[] = {
    {"client_may_end_inside_its_log_callback", client_may_end_inside_its_log_callback},
    {"credentials_come_from_a_callable", credentials_come_from_a_callable},
    {"every_way_to_send", every_way_to_send},
    {"failures_are_values", failures_are_values},
    {"log_callable_outlives_a_client_that_could_not_be_made", log_callable_outlives_a_client_that_could_not_be_made},
    {"null_for_a_text_is_an_error", null_for_a_text_is_an_error},
};

#ifdef __cpp_exceptions
CHECK_MAIN("cpp_try", tests)
#else
CHECK_MAIN("cpp_try without exceptions", tests)
#endif
