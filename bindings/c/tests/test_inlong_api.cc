/* A program written for InLong's own C++ SDK, with our header in place of its own. Built as C++11, which that SDK asks for. */
#include <atomic>
#include <fstream>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <compat_config.h>
#define private public /* its mutex, for the test of fork */
#include <inlong_api.h>
#undef private

#define _Noreturn [[noreturn]]
extern "C" {
#include "fixture.h"
}
#undef _Noreturn

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static std::vector<std::string> failures;
static int64_t reported;

static int on_failure(const char *group, const char *stream, const char *msg, int32_t msg_len, const int64_t report_time,
                      const char *ip)
{
    pthread_mutex_lock(&mutex);
    failures.push_back(std::string(group) + "/" + stream + "/" + std::string(msg, static_cast<size_t>(msg_len)) + "/" + ip);
    reported = report_time;
    pthread_mutex_unlock(&mutex);
    return 0;
}

/* A configuration file of that SDK's form; `more` are further members of init-param. */
static std::string config(const std::string &url, const std::string &more)
{
    char name[] = "/tmp/inlong_api_XXXXXX";
    int fd = mkstemp(name);
    CHECK(fd >= 0 && close(fd) == 0);
    std::ofstream(name)
        << "{\n \"other\": [1, {\"manager_url\": \"no\"}],\n \"init-param\": {\n  \"manager_url\": \"" << url
        << "/inlong/manager/openapi/dataproxy/getIpList\",\n  \"inlong_group_ids\": \"test_group, other_group\",\n  "
           "\"log_path\": \".\\/\\u4e2d\\n\", \"log_level\": 3, \"tcp_idle_time\": 600000"
        << (more.empty() ? "" : ", ") << more << "\n }\n}\n";
    return name;
}

static std::string url_of(const fixture &f) { return f.url; }

/* The demonstration program of that SDK: init, send with a callback, close. */
static void program_of_the_other_sdk_delivers(void)
{
    fixture f = open_fixture(NULL);
    const std::string file =
        config(url_of(f), "\"pack_timeout\": 3000, \"pack_size\": 409600, \"enable_zip\": true, \"msg_type\": 7");
    inlong::InLongApi api;
    CHECK_INT(api.InitApi(file.c_str()), 0);
    std::string msg = "this is a test";
    for (int i = 0; i < 1000; i++)
        CHECK_INT(api.Send("test_group", "stream1", msg.c_str(), static_cast<int32_t>(msg.length()), on_failure), 0);
    CHECK_INT(api.Send("other_group", "stream1", "a\0b", 3, 1700000000000, on_failure), 0);
    CHECK_INT(api.Send("third_group", "stream1", "no callback", 11), 0);
    CHECK_INT(api.CloseApi(10000), 0);
    CHECK_INT(received(f.mock), 1002);
    CHECK_INT(static_cast<long long>(failures.size()), 0);
    CHECK_INT(api.Send("test_group", "stream1", "x", 1), inlong::kSendAfterClose);
    CHECK_INT(api.CloseApi(0), 0);
    unlink(file.c_str());
    close_fixture(&f);
}

/* That SDK called every answer a success. Here the callback comes for an error answer, once, with the message. */
static void callback_comes_for_a_failure_alone(void)
{
    fixture f = open_fixture(NULL);
    const std::string file = config(url_of(f), "\"ser_ip\": \"10.1.2.3\"");
    inlong::InLongApi api;
    CHECK_INT(api.InitApi(file.c_str()), 0);
    CHECK_INT(api.Send("test_group", "stream1", "good", 4, on_failure), 0);
    CHECK_INT(api.CloseApi(10000), 0);
    for (int node = 0; node < 3; node++)
        control(f.mock, ("{\"op\":\"fault\",\"node\":" + std::to_string(node) +
                         ",\"standing\":true,\"fault\":{\"kind\":\"error_code\",\"code\":100}}")
                            .c_str());
    inlong::InLongApi second;
    CHECK_INT(second.InitApi(file.c_str()), 0);
    CHECK_INT(second.Send("test_group", "stream1", "bad\0!", 5, 1700000000000, on_failure), 0);
    CHECK_INT(second.CloseApi(10000), 0);
    CHECK_INT(static_cast<long long>(failures.size()), 1);
    CHECK(failures[0] == std::string("test_group/stream1/bad\0!/10.1.2.3", 33));
    CHECK_INT(reported, 1700000000000);
    unlink(file.c_str());
    close_fixture(&f);
}

/* A close waits for what is pending, not for its whole time, and says when it was too short. */
static void close_is_bounded_and_tells(void)
{
    fixture f = open_fixture(NULL);
    const std::string file = config(url_of(f), "");
    for (int node = 0; node < 3; node++)
        control(f.mock,
                ("{\"op\":\"fault\",\"node\":" + std::to_string(node) + ",\"standing\":true,\"fault\":{\"kind\":\"silence\"}}")
                    .c_str());
    inlong::InLongApi api;
    CHECK_INT(api.InitApi(file.c_str()), 0);
    CHECK_INT(api.Send("test_group", "stream1", "lost", 4, on_failure), 0);
    CHECK_INT(api.CloseApi(200), inlong::kFailSendProxy);
    CHECK_INT(static_cast<long long>(failures.size()), 1);
    unlink(file.c_str());
    close_fixture(&f);
}

static void what_is_refused_has_its_code(void)
{
    fixture f = open_fixture(NULL);
    inlong::InLongApi api;
    CHECK_INT(api.Send("test_group", "stream1", "x", 1), inlong::kSendBeforeInit);
    CHECK_INT(api.InitApi("/nowhere"), inlong::kErrorInit);
    CHECK_TEXT(api.LastError().c_str(), "/nowhere");
    CHECK_INT(api.InitApi(NULL), inlong::kErrorInit);
    const char *const bad[][2] = {
        {"\"pack_timeout\": \"long\"", "pack_timeout"},
        {"\"enable_zip\": 1", "enable_zip"},
        {"\"need_auth\": true", "auth_id"},
        {"\"max_proxy_num\": 0", "worker_num"},
        {"\"max_proxy_num\": ", "init-param"},
        {"\"x\": \"\\q\"", "init-param"},
        {"\"inlong_group_ids\": \"test_group, x\"", "group"},
    };
    for (const auto &row : bad) {
        const std::string wrong = config(url_of(f), row[0]);
        CHECK_INT(api.InitApi(wrong.c_str()), inlong::kErrorInit);
        CHECK_TEXT(api.LastError().c_str(), row[1]);
        unlink(wrong.c_str());
    }
    const std::string file = config(url_of(f), "\"ext_pack_size\": 100, \"send_buf_size\": 5000, \"recv_buf_size\": 3000, "
                                               "\"max_proxy_num\": 1, \"pack_timeout\": 60000, \"pack_size\": 100000");
    CHECK_INT(api.InitApi(file.c_str()), 0);
    CHECK_INT(api.InitApi(file.c_str()), inlong::kMultiInit);
    CHECK_INT(api.Send("test_group", "stream1", "", 0), inlong::kInvalidInput);
    CHECK_INT(api.Send(NULL, "stream1", "x", 1), inlong::kInvalidInput);
    CHECK_INT(api.Send("test_group", "stream 1", "x", 1), inlong::kInvalidInput);
    CHECK_INT(api.Send("x", "stream1", "x", 1), inlong::kFailGetRevGroup);
    CHECK_TEXT(api.LastError().c_str(), "group");
    const std::string text(101, 'x');
    CHECK_INT(api.Send("test_group", "stream1", text.c_str(), 101), inlong::kMsgTooLong);
    int32_t code = 0;
    for (int i = 0; i < 100 && code == 0; i++)
        code = api.Send("test_group", "stream1", text.c_str(), 100);
    CHECK_INT(code, inlong::kRecvBufferFull);
    CHECK_INT(api.AddInLongGroupId({"test_group", "fourth_group"}), 0);
    CHECK_INT(api.CloseApi(10000), 0);
    unlink(file.c_str());
    close_fixture(&f);
}

/* Another thread may have had the object's mutex at the fork: the child waited for it, at its exit too. */
static void object_of_the_parent_is_refused_in_a_child(void)
{
    fixture f = open_fixture(NULL);
    const std::string file = config(url_of(f), "");
    inlong::InLongApi api;
    CHECK_INT(api.InitApi(file.c_str()), 0);
    api.mutex_.lock();
    pid_t child = fork();
    if (child == 0) {
        alarm(5);
        CHECK_INT(api.Send("test_group", "stream1", "x", 1), inlong::kFailGetRevGroup);
        CHECK_TEXT(api.LastError().c_str(), "belongs to the parent process");
        CHECK_INT(api.AddInLongGroupId({"test_group"}), inlong::kFailGetRevGroup);
        CHECK_INT(api.InitApi(file.c_str()), inlong::kMultiInit);
        CHECK_INT(api.CloseApi(0), inlong::kSuccess);
        _exit(0);
    }
    api.mutex_.unlock();
    CHECK_INT(check_status(child), 0);
    CHECK_INT(api.Send("test_group", "stream1", "x", 1), 0);
    CHECK_INT(api.CloseApi(10000), 0);
    inlong_mock_free(f.mock);
    unlink(file.c_str());
}

/* A thread that is inside the first InitApi has no client yet by which the child would know: it waited for the mutex, at its exit too. */
static void object_that_the_parent_was_making_is_refused_in_a_child(void)
{
    fixture f = open_fixture(NULL);
    const std::string file = config(url_of(f), "");
    inlong::InLongApi api;
    api.mutex_.lock();
    std::thread first([&] { api.InitApi(file.c_str()); });
    while (api.owner_ == 0)
        std::this_thread::yield();
    pid_t child = fork();
    if (child == 0) {
        alarm(5);
        CHECK_INT(api.Send("test_group", "stream1", "x", 1), inlong::kFailGetRevGroup);
        CHECK_TEXT(api.LastError().c_str(), "belongs to the parent process");
        CHECK_INT(api.InitApi(file.c_str()), inlong::kMultiInit);
        CHECK_INT(api.CloseApi(0), inlong::kSuccess);
        _exit(0);
    }
    api.mutex_.unlock();
    first.join();
    CHECK_INT(check_status(child), 0);
    CHECK_INT(api.Send("test_group", "stream1", "x", 1), 0);
    CHECK_INT(api.CloseApi(10000), 0);
    inlong_mock_free(f.mock);
    unlink(file.c_str());
}

static const check_test tests[] = {
    {"program_of_the_other_sdk_delivers", program_of_the_other_sdk_delivers},
    {"callback_comes_for_a_failure_alone", callback_comes_for_a_failure_alone},
    {"close_is_bounded_and_tells", close_is_bounded_and_tells},
    {"what_is_refused_has_its_code", what_is_refused_has_its_code},
    {"H2_object_of_the_parent_is_refused_in_a_child", object_of_the_parent_is_refused_in_a_child},
    {"H2_object_that_the_parent_was_making_is_refused_in_a_child", object_that_the_parent_was_making_is_refused_in_a_child},
};

CHECK_MAIN("inlong_api", tests)
