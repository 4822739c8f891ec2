/* Settings of the runtime, and the two texts that tell about a client. */
#include "fixture.h"

static int64_t setting(int which)
{
    int64_t value = 0;
    CHECK_INT(inlong_runtime_get(which, &value), INLONG_OK);
    return value;
}

/* What the environment would do is read at the start of the process: a host that decides later must be able to as well. */
static void settings_reach_the_runtime(void)
{
    CHECK_INT(setting(INLONG_RUNTIME_GC_PERCENT), 100);
    CHECK_INT(setting(INLONG_RUNTIME_MEMORY_LIMIT), -1);
    CHECK_INT(inlong_runtime_set(INLONG_RUNTIME_GC_PERCENT, 300), INLONG_OK);
    CHECK_INT(inlong_runtime_set(INLONG_RUNTIME_GC_PERCENT, 400), INLONG_OK);
    CHECK_INT(inlong_runtime_set(INLONG_RUNTIME_MEMORY_LIMIT, 200 << 20), INLONG_OK);
    CHECK_INT(setting(INLONG_RUNTIME_GC_PERCENT), 400);
    fixture f = open_fixture((const char *const[]){NULL}); /* from here on it is the runtime that answers */
    CHECK_INT(setting(INLONG_RUNTIME_GC_PERCENT), 400);
    CHECK_INT(setting(INLONG_RUNTIME_MEMORY_LIMIT), 200 << 20);
    close_fixture(&f);
}

static void without_settings_the_runtime_is_as_it_is(void)
{
    fixture f = open_fixture((const char *const[]){NULL});
    CHECK_INT(setting(INLONG_RUNTIME_GC_PERCENT), 100);
    CHECK_INT(setting(INLONG_RUNTIME_MEMORY_LIMIT), -1);
    close_fixture(&f);
}

static void setting_after_the_first_client_is_an_error(void)
{
    fixture f = open_fixture(NULL);
    CHECK_INT(inlong_runtime_set(INLONG_RUNTIME_GC_PERCENT, 400), INLONG_ERR_OPTION);
    CHECK_TEXT(inlong_last_error(), "before the first inlong_client_new");
    CHECK_INT(inlong_runtime_set(INLONG_RUNTIME_MEMORY_LIMIT, 1 << 30), INLONG_ERR_OPTION);
    CHECK_INT(setting(INLONG_RUNTIME_GC_PERCENT), 100);
    CHECK_INT(setting(INLONG_RUNTIME_MEMORY_LIMIT), -1);
    close_fixture(&f);
}

/* A library with a stock runtime was like any other from outside, and broke promises of the header. */
static void version_and_setting_tell_a_stock_runtime(void)
{
    bool stock = setting(INLONG_RUNTIME_STOCK) != 0;
    CHECK_INT(strstr(inlong_version(), "+stock") != NULL, stock);
    fixture f = open_fixture(NULL);
    CHECK_INT(setting(INLONG_RUNTIME_STOCK), stock);
    close_fixture(&f);
}

static void settings_out_of_range(void)
{
    int64_t value = 7;
    const struct {
        int setting;
        int64_t value;
        const char *part;
    } cases[] = {
        {0, 1, "setting is 0"},
        {5, 1, "setting is 5"},
        {INLONG_RUNTIME_STOCK, 0, "cannot be set"},
        {INLONG_RUNTIME_FORK_RELOAD, 2, "must be 0 or 1"},
        {INLONG_RUNTIME_GC_PERCENT, 0, "must be 1 to 10000"},
        {INLONG_RUNTIME_GC_PERCENT, 10001, "must be 1 to 10000"},
        {INLONG_RUNTIME_GC_PERCENT, -2, "must be 1 to 10000"},
        {INLONG_RUNTIME_GC_PERCENT, -1, "INLONG_RUNTIME_MEMORY_LIMIT must be set before"},
        {INLONG_RUNTIME_MEMORY_LIMIT, 0, "must be 16777216 bytes or more"},
        {INLONG_RUNTIME_MEMORY_LIMIT, (16 << 20) - 1, "must be 16777216 bytes or more"},
        {INLONG_RUNTIME_MEMORY_LIMIT, INT64_MIN, "must be 16777216 bytes or more"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        CHECK_INT(inlong_runtime_set(cases[i].setting, cases[i].value), INLONG_ERR_ARG);
        CHECK_TEXT(inlong_last_error(), cases[i].part);
    }
    CHECK_INT(setting(INLONG_RUNTIME_GC_PERCENT), 100);
    CHECK_INT(inlong_runtime_set(INLONG_RUNTIME_MEMORY_LIMIT, 16 << 20), INLONG_OK);
    CHECK_INT(inlong_runtime_set(INLONG_RUNTIME_GC_PERCENT, -1), INLONG_OK);
    CHECK_INT(inlong_runtime_set(INLONG_RUNTIME_MEMORY_LIMIT, -1), INLONG_ERR_ARG);
    CHECK_INT(inlong_runtime_get(0, &value), INLONG_ERR_ARG);
    CHECK_INT(inlong_runtime_get(INLONG_RUNTIME_GC_PERCENT, NULL), INLONG_ERR_ARG);
    fixture f = open_fixture(NULL);
    CHECK_INT(setting(INLONG_RUNTIME_GC_PERCENT), -1);
    CHECK_INT(setting(INLONG_RUNTIME_MEMORY_LIMIT), 16 << 20);
    close_fixture(&f);
}

/* Each client's own, in the format that Prometheus scrapes. */
static void metrics_are_prometheus_text(void)
{
    static char text[1 << 16];
    fixture f = open_fixture((const char *const[]){"metrics_name", "first", NULL});
    inlong_client *other = open_client(f.url, (const char *const[]){"metrics_name", "other", NULL});
    inlong_message m = message("x");
    for (int i = 0; i < 10; i++)
        CHECK_INT(inlong_client_send(f.client, &m, 5000, NULL), INLONG_OK);
    m.stream_id = "not a stream";
    CHECK_INT(inlong_client_send(f.client, &m, 5000, NULL), INLONG_ERR_LOG_INVALID);
    int length = inlong_client_metrics(f.client, text, sizeof text);
    CHECK_INT(length, (int)strlen(text));
    CHECK_TEXT(text, "# TYPE data_proxy_msg_count counter\n");
    CHECK_TEXT(text, "data_proxy_msg_count{code=\"0\",name=\"first\"} 10\n");
    CHECK_TEXT(text, "data_proxy_error_count{code=\"10010\",name=\"first\"} 1\n");
    CHECK_TEXT(text, "data_proxy_batch_size_bucket{code=\"0\",name=\"first\",le=\"+Inf\"} 10\n");
    CHECK(strstr(text, "other") == NULL);
    CHECK(inlong_client_metrics(other, text, sizeof text) > 0);
    CHECK_TEXT(text, "name=\"other\"");
    char cut[16] = "###############";
    CHECK(inlong_client_metrics(other, cut, 8) > 8);
    CHECK(strlen(cut) == 7 && cut[8] == '#');
    CHECK_INT(inlong_client_metrics(other, NULL, 3), INLONG_ERR_ARG);
    inlong_client_close(other, 1000, NULL);
    CHECK_INT(inlong_client_metrics(other, text, sizeof text), INLONG_ERR_HANDLE);
    close_fixture(&f);
}

static const check_test tests[] = {
    {"version_and_setting_tell_a_stock_runtime", version_and_setting_tell_a_stock_runtime},
    {"settings_reach_the_runtime", settings_reach_the_runtime},
    {"without_settings_the_runtime_is_as_it_is", without_settings_the_runtime_is_as_it_is},
    {"setting_after_the_first_client_is_an_error", setting_after_the_first_client_is_an_error},
    {"settings_out_of_range", settings_out_of_range},
    {"metrics_are_prometheus_text", metrics_are_prometheus_text},
};

CHECK_MAIN("runtime", tests)
