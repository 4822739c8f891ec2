/* Options and what becomes of a client that cannot be made. */
#include "fixture.h"

static int make(const char *const *options, char *err, size_t errlen)
{
    inlong_client *client = (inlong_client *)1;
    inlong_options *o = inlong_options_new();
    for (; *options; options += 2)
        CHECK_INT(inlong_options_set(o, options[0], options[1], err, errlen), INLONG_OK);
    err[0] = 0;
    int code = inlong_client_new(o, &client, err, errlen);
    inlong_options_free(o);
    if (code == INLONG_OK)
        inlong_client_close(client, 0, NULL);
    else
        CHECK(client == NULL);
    CHECK(code == INLONG_OK || strcmp(err, inlong_last_error()) == 0);
    return code;
}

#define FAILS(code, part, ...)                                                                                                     \
    do {                                                                                                                           \
        const char *const options[] = {__VA_ARGS__, NULL};                                                                         \
        char err[1024];                                                                                                            \
        CHECK_INT(make(options, err, sizeof err), code);                                                                           \
        CHECK_TEXT(err, part);                                                                                                     \
    } while (0)

static void unknown_option_names_the_nearest(void)
{
    char err[256];
    inlong_options *o = inlong_options_new();
    CHECK_INT(inlong_options_set(o, "batching_max_mesages", "5", err, sizeof err), INLONG_ERR_OPTION);
    CHECK_TEXT(err, "batching_max_mesages");
    CHECK_TEXT(err, "did you mean \"batching_max_messages\"?");
    CHECK_INT(inlong_options_set(o, "", "5", err, sizeof err), INLONG_ERR_OPTION);
    CHECK_INT(inlong_options_set(o, "u\xffl", "5", err, sizeof err), INLONG_ERR_OPTION);
    CHECK_TEXT(err, "not UTF-8");
    CHECK_INT(inlong_options_set(o, "url", "http://\xc0\x80", err, sizeof err), INLONG_ERR_OPTION);
    CHECK_TEXT(err, "option url: the value is not UTF-8");
    /* A text that is cut must not end in half a character: 63 bytes of x, then one of two bytes. */
    char key[80] = {0};
    memset(key, 'x', 63);
    strcpy(key + 63, "\xc3\xa4\xc3\xa4");
    CHECK_INT(inlong_options_set(o, key, "5", err, sizeof err), INLONG_ERR_OPTION);
    CHECK_TEXT(err, "xxx?\": unknown");
    inlong_options_free(o);
}

/* The list of Go's test: the two must suggest the same. */
static void only_what_is_near_is_suggested(void)
{
    char line[256], wrong[128], want[128], text[512], err[512];
    FILE *list = fopen("../../../core/internal/nearest/nearest.txt", "r");
    int count = 0;
    CHECK(list != NULL);
    inlong_options *o = inlong_options_new();
    while (fgets(line, sizeof line, list)) {
        if (line[0] == '#')
            continue;
        int words = sscanf(line, "%127s %127s", wrong, want);
        CHECK(words > 0);
        snprintf(text, sizeof text, words == 2 ? "option \"%.64s\": unknown; did you mean \"%s\"?" : "option \"%.64s\": unknown",
                 wrong, want);
        CHECK_INT(inlong_options_set(o, wrong, "5", err, sizeof err), INLONG_ERR_OPTION);
        CHECK(strcmp(err, text) == 0);
        count++;
    }
    CHECK(count > 10);
    fclose(list);
    inlong_options_free(o);
}

static void null_options(void)
{
    char err[256];
    inlong_options *o = inlong_options_new();
    inlong_client *client = NULL;
    CHECK_INT(inlong_options_set(NULL, "url", "x", err, sizeof err), INLONG_ERR_ARG);
    CHECK_INT(inlong_options_set(o, NULL, "x", err, sizeof err), INLONG_ERR_ARG);
    CHECK_TEXT(err, "key is NULL");
    CHECK_INT(inlong_options_set(o, "url", NULL, err, sizeof err), INLONG_ERR_ARG);
    CHECK_INT(inlong_client_new(NULL, &client, err, sizeof err), INLONG_ERR_ARG);
    CHECK_INT(inlong_client_new(o, NULL, err, sizeof err), INLONG_ERR_ARG);
    CHECK_INT(inlong_client_new(NULL, NULL, NULL, 0), INLONG_ERR_ARG);
    CHECK_INT(inlong_mock_new(0, NULL, err, sizeof err), INLONG_ERR_ARG);
    inlong_mock *mock;
    CHECK_INT(inlong_mock_new(-1, &mock, err, sizeof err), INLONG_ERR_ARG);
    CHECK_INT(inlong_mock_new(65, &mock, err, sizeof err), INLONG_ERR_ARG);
    CHECK_TEXT(err, "must be 0 to 64");
    inlong_options_free(o);
}

static void missing_or_bad_values(void)
{
    FAILS(INLONG_ERR_OPTION, "URL is not given", "group_id", GROUP);
    FAILS(INLONG_ERR_OPTION, "group ID is not given", "url", "http://127.0.0.1:1");
    FAILS(INLONG_ERR_OPTION, "invalid URL", "group_id", GROUP, "url", "127.0.0.1:1");
    FAILS(INLONG_ERR_OPTION, "group id", "group_id", "a b", "url", "http://127.0.0.1:1");
    FAILS(INLONG_ERR_OPTION, "send_timeout", "group_id", GROUP, "url", "http://127.0.0.1:1", "send_timeout", "soon");
    FAILS(INLONG_ERR_OPTION, "worker_num", "group_id", GROUP, "url", "http://127.0.0.1:1", "worker_num", "0");
    FAILS(INLONG_ERR_OPTION, "worker_num", "group_id", GROUP, "url", "http://127.0.0.1:1", "worker_num", "many");
    FAILS(INLONG_ERR_OPTION, "compression", "group_id", GROUP, "url", "http://127.0.0.1:1", "compression", "zip");
}

/* What no option of that kind takes; after the last one NULL. */
static const char *const *bad_values(const inlong_option_info *o)
{
    static const struct {
        const char *kind, *values[8];
    } kinds[] = {
        {"duration", {"", "soon", "5", "1 s", "1x", "99999999h", "\xe2\x82\xac"}},
        {"int", {"", "many", "1.5", "0x10", "1K", "99999999999999999999", "-99999999999999999999"}},
        {"size", {"", "big", "1.5K", "1Q", "K", "-1K", "9999999999G"}},
        {"bool", {"", "maybe", "2", "yes", "TrUe"}},
        {"enum", {"", "zip", "SNAPPY "}},
        {"map", {"novalue", "=1", "a=1&a=2", "a=1&", "a b\n=1"}},
        {"list", {"", "host", "host:", "host:port", "host:0", "h:1,host:99999"}},
    };
    static const char *const group_id[] = {"", "a b", "abc", "sch\xc3\xb6n_es", NULL};
    static const char *const url[] = {"", "manager:8083", "ftp://m:1", "http://", "http://m:port", NULL};
    static const char *const basic_auth[] = {"id", ":key", "id:", NULL};
    static const char *const ca_file[] = {"/nowhere/ca.pem", "/dev/null", NULL};
    static const char *const file[] = {"/nowhere/x", "/dev/null", NULL};
    static const char *const socks[] = {"host", "host:0", "socks5://h:1", NULL};
    static const char *const none[] = {NULL};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(o->kind, kinds[i].kind) == 0)
            return kinds[i].values;
    CHECK(strcmp(o->kind, "string") == 0);
    return strcmp(o->key, "group_id") == 0                                      ? group_id
           : strcmp(o->key, "url") == 0                                         ? url
           : strcmp(o->key, "basic_auth") == 0                                  ? basic_auth
           : strcmp(o->key, "ca_file") == 0                                     ? ca_file
           : strcmp(o->key, "socks") == 0                                       ? socks
           : strcmp(o->key, "socks_auth") == 0                                  ? basic_auth
           : strstr(o->key, "_auth_file") || strncmp(o->key, "client_", 7) == 0 ? file
           : strcmp(o->key, "node_tls_name") == 0                               ? basic_auth /* without node_tls */
                                                                                : none;      /* any text will do */
}

static void refuses(const char *key, const char *value)
{
    const char *options[] = {"group_id", GROUP, "url", "http://127.0.0.1:1", "lazy_start", "true", key, value, NULL};
    char err[1024];
    int code = make(options, err, sizeof err);
    if (code != INLONG_ERR_OPTION || !strstr(err, key))
        fprintf(stderr, "    option %s = \"%s\": code %d, %s\n", key, value, code, err);
    CHECK_INT(code, INLONG_ERR_OPTION);
    CHECK_TEXT(err, key);
}

/* "240h" of "24h": ten times the bound. */
static const char *beyond(const char *bound)
{
    static char text[64];
    size_t digits = strspn(bound, "0123456789");
    snprintf(text, sizeof text, "%.*s0%s", (int)digits, bound, bound + digits);
    return text;
}

/* The value's fault must be told with the option's key, whatever the kind. */
static void every_option_refuses_what_it_cannot_take(void)
{
    size_t options = 0, values = 0;
    for (const inlong_option_info *o; (o = inlong_options_describe(options)); options++) {
        for (const char *const *v = bad_values(o); *v; v++, values++)
            refuses(o->key, *v);
        if (*o->max)
            refuses(o->key, beyond(o->max));
        if (*o->min) /* below it, or no number at all */
            refuses(o->key, strcmp(o->kind, "duration") == 0 ? "-1ns" : "-1");
    }
    CHECK(options > 30 && values > 150);
}

/* One round of corrections must do: every fault is named, and the last value of a key counts. */
static void all_faults_are_named_at_once(void)
{
    FAILS(INLONG_ERR_OPTION, "max_retries", "worker_num", "0", "max_retries", "-1", "group_id", GROUP);
    FAILS(INLONG_ERR_OPTION, "worker_num", "worker_num", "0", "max_retries", "-1", "group_id", GROUP);
    FAILS(INLONG_ERR_OPTION, "URL is not given", "worker_num", "0", "worker_num", "1", "group_id", GROUP);
}

static void manager_is_down(void)
{
    FAILS(INLONG_ERR_NEW_CONN_FAILED, "service has no endpoints", "group_id", GROUP, "url", "http://127.0.0.1:1");
}

static void manager_answers_nonsense(void)
{
    fixture f = open_fixture(NULL);
    control(f.mock, "{\"op\":\"manager_fault\",\"standing\":true,\"fault\":{\"kind\":\"http_body\",\"text\":\"no json\"}}");
    FAILS(INLONG_ERR_NEW_CONN_FAILED, "service has no endpoints", "group_id", GROUP, "url", f.url);
    control(f.mock, "{\"op\":\"manager_clear_faults\"}");
    control(f.mock, "{\"op\":\"manager_fault\",\"standing\":true,\"fault\":{\"kind\":\"empty_list\"}}");
    FAILS(INLONG_ERR_NEW_CONN_FAILED, "service has no endpoints", "group_id", GROUP, "url", f.url);
    close_fixture(&f);
}

static void every_node_is_down(void)
{
    fixture f = open_fixture(NULL);
    all_nodes(f.mock, "kill");
    FAILS(INLONG_ERR_NEW_CONN_FAILED, "no available worker", "group_id", GROUP, "url", f.url, "conn_timeout", "500ms");
    close_fixture(&f);
}

/* The client has its own copy: an options object may go, or change, at once. */
static void options_are_copied(void)
{
    fixture f = open_fixture((const char *const[]){"worker_num", "1", NULL});
    inlong_message m = message("x");
    CHECK_INT(inlong_client_send(f.client, &m, 5000, NULL), INLONG_OK);
    char stats[4096];
    inlong_client_stats(f.client, stats, sizeof stats);
    const char *lanes = strstr(stats, "\"lanes\":[");
    CHECK(lanes != NULL && strstr(lanes, "},{\"node\"") == NULL);
    close_fixture(&f);
}

/* The runtime looks at a copy of the environment that the process was started with. The child sets what leads to its parent's mock,
 * which answers for a Manager that is nowhere. */
static void proxy_that_the_host_has_set_is_used(void)
{
    int ends[2];
    CHECK_INT(pipe(ends), 0);
    pid_t child = fork(); /* nothing is loaded yet */
    if (child == 0) {
        char proxy[128] = "";
        CHECK(read(ends[0], proxy, sizeof proxy) > 0);
        setenv("NO_PROXY", "", 1);
        setenv("no_proxy", "", 1);
        setenv("HTTP_PROXY", proxy, 1);
        setenv("http_proxy", proxy, 1);
        inlong_client *client = open_client("http://manager.invalid:8083", (const char *const[]){NULL});
        inlong_message m = message("x");
        CHECK_INT(inlong_client_send(client, &m, 5000, NULL), INLONG_OK);
        CHECK_INT(inlong_client_close(client, 5000, NULL), INLONG_OK);
        _exit(0);
    }
    fixture f = open_fixture(NULL);
    CHECK(write(ends[1], f.url, sizeof f.url) > 0);
    CHECK_INT(check_status(child), 0);
    close_fixture(&f);
}

static const check_test tests[] = {
    {"unknown_option_names_the_nearest", unknown_option_names_the_nearest},
    {"only_what_is_near_is_suggested", only_what_is_near_is_suggested},
    {"null_options", null_options},
    {"missing_or_bad_values", missing_or_bad_values},
    {"every_option_refuses_what_it_cannot_take", every_option_refuses_what_it_cannot_take},
    {"all_faults_are_named_at_once", all_faults_are_named_at_once},
    {"manager_is_down", manager_is_down},
    {"manager_answers_nonsense", manager_answers_nonsense},
    {"every_node_is_down", every_node_is_down},
    {"options_are_copied", options_are_copied},
    {"proxy_that_the_host_has_set_is_used", proxy_that_the_host_has_set_is_used},
};

CHECK_MAIN("options", tests)
