/* H5: a program that is not linked with the library but loads it, uses it, and ends in one of several ways. */
#include <inlong_dataproxy.h>

#include <dlfcn.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

#include "check.h"

/* The functions that this program uses. */
static struct {
    void *library;
    int (*mock_new)(int, inlong_mock **, char *, size_t);
    int (*mock_url)(inlong_mock *, char *, size_t);
    inlong_options *(*options_new)(void);
    int (*options_set)(inlong_options *, const char *, const char *, char *, size_t);
    void (*options_free)(inlong_options *);
    int (*client_new)(const inlong_options *, inlong_client **, char *, size_t);
    int (*client_send_async)(inlong_client *, const inlong_message *, inlong_callback, void *);
    int (*client_close)(inlong_client *, int64_t, inlong_close_report *);
    int (*log_set)(inlong_log_callback, void *, int);
} lib;

static void find(void *function, const char *name)
{
    *(void **)function = dlsym(lib.library, name);
    CHECK(*(void **)function != NULL);
}

static void load(int flags)
{
    char path[PATH_MAX] = "";
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
    CHECK(n > 0);
    char *slash = strrchr(path, '/');
    snprintf(slash, (size_t)(path + sizeof path - slash), "/../lib/libinlong_dataproxy.so");
    lib.library = dlopen(path, flags);
    if (!lib.library)
        fprintf(stderr, "    %s\n", dlerror());
    CHECK(lib.library != NULL);
    find(&lib.mock_new, "inlong_mock_new");
    find(&lib.mock_url, "inlong_mock_url");
    find(&lib.options_new, "inlong_options_new");
    find(&lib.options_set, "inlong_options_set");
    find(&lib.options_free, "inlong_options_free");
    find(&lib.client_new, "inlong_client_new");
    find(&lib.client_send_async, "inlong_client_send_async");
    find(&lib.client_close, "inlong_client_close");
}

static atomic_int calls;

static void count_call(const inlong_result *result, void *user)
{
    (void)user;
    CHECK_INT(result->code, INLONG_OK);
    calls++;
}

static void *keep_sending(void *client)
{
    inlong_message m = {.struct_size = sizeof m, .stream_id = "test_stream", .payload = "x", .payload_len = 1};
    while (lib.client_send_async(client, &m, count_call, NULL) == INLONG_OK)
        ;
    return NULL;
}

/* Opens a client and sends on two threads of its own. */
static inlong_client *use(void)
{
    inlong_mock *mock;
    inlong_client *client;
    char url[128], err[256];
    CHECK_INT(lib.mock_new(0, &mock, err, sizeof err), INLONG_OK);
    CHECK(lib.mock_url(mock, url, sizeof url) > 0);
    inlong_options *o = lib.options_new();
    CHECK_INT(lib.options_set(o, "url", url, err, sizeof err), INLONG_OK);
    CHECK_INT(lib.options_set(o, "group_id", "test_group", err, sizeof err), INLONG_OK);
    CHECK_INT(lib.options_set(o, "block_if_queue_is_full", "true", err, sizeof err), INLONG_OK);
    CHECK_INT(lib.client_new(o, &client, err, sizeof err), INLONG_OK);
    lib.options_free(o);
    for (int i = 0; i < 2; i++) {
        pthread_t thread;
        CHECK_INT(pthread_create(&thread, NULL, keep_sending, client), 0);
    }
    while (calls < 1000)
        sched_yield();
    return client;
}

static void load_use_exit(void)
{
    load(RTLD_NOW | RTLD_LOCAL);
    use();
    exit(0);
}

static void exit_without_dlclose(void) { check_in_children(check_rounds(20), load_use_exit); }

/* dlclose does nothing: what runs continues. */
static void load_use_unload_exit(void)
{
    load(RTLD_LAZY | RTLD_GLOBAL);
    inlong_client *client = use();
    CHECK_INT(dlclose(lib.library), 0);
    int before = calls;
    while (calls < before + 1000)
        sched_yield();
    load(RTLD_NOW | RTLD_LOCAL);
    CHECK_INT(dlclose(lib.library), 0);
    CHECK_INT(lib.client_close(client, 10000, NULL), INLONG_OK);
    exit(0);
}

static void exit_after_dlclose(void) { check_in_children(check_rounds(20), load_use_unload_exit); }

static void *load_and_use(void *unused)
{
    load(RTLD_NOW | RTLD_LOCAL);
    use();
    return unused;
}

/* As a host does with a plug-in: on a thread that is gone when the process ends. */
static void load_in_a_thread_exit(void)
{
    pthread_t thread;
    CHECK_INT(pthread_create(&thread, NULL, load_and_use, NULL), 0);
    CHECK_INT(pthread_join(thread, NULL), 0);
    exit(0);
}

static void exit_when_the_loading_thread_is_gone(void) { check_in_children(check_rounds(20), load_in_a_thread_exit); }

/* Loaded, asked nothing, dropped: no thread, and no handler that would be called in a library that is gone. */
static void load_unload_exit(void)
{
    for (int i = 0; i < 3; i++) {
        load(RTLD_NOW | RTLD_LOCAL);
        CHECK_INT(dlclose(lib.library), 0);
    }
    pid_t child = fork();
    if (child == 0)
        exit(0);
    CHECK_INT(check_status(child), 0);
    exit(0);
}

static void exit_after_a_load_without_use(void) { check_in_children(check_rounds(20), load_unload_exit); }

/* ---- a host with fork handlers older than the library ---- */

static inlong_options *again;
static inlong_client *before, *after;

static void close_before_fork(void) { CHECK_INT(lib.client_close(before, 5000, NULL), INLONG_OK); }
static void set_log_in_child(void) { CHECK_INT(lib.log_set(INLONG_LOG_QUEUE, NULL, INLONG_LOG_ERROR), INLONG_OK); }
static void open_after_fork(void) { CHECK_INT(lib.client_new(again, &after, NULL, 0), INLONG_OK); }

/* Handlers in the order of their registration: the host's call the library while the library's own have the fork held up. Those
 * after the fork waited for their own thread. */
static void handlers_of_the_host_close_and_open(void)
{
    CHECK_INT(pthread_atfork(close_before_fork, open_after_fork, set_log_in_child), 0);
    load(RTLD_NOW | RTLD_LOCAL);
    find(&lib.log_set, "inlong_log_set");
    CHECK_INT(lib.log_set(INLONG_LOG_QUEUE, NULL, INLONG_LOG_DEBUG), INLONG_OK);
    inlong_mock *mock;
    char url[128];
    CHECK_INT(lib.mock_new(0, &mock, NULL, 0), INLONG_OK);
    CHECK(lib.mock_url(mock, url, sizeof url) > 0);
    again = lib.options_new();
    CHECK_INT(lib.options_set(again, "url", url, NULL, 0), INLONG_OK);
    CHECK_INT(lib.options_set(again, "group_id", "test_group", NULL, 0), INLONG_OK);
    CHECK_INT(lib.client_new(again, &before, NULL, 0), INLONG_OK);
    pid_t child = fork();
    if (child == 0) { /* the lines' and the loader's locks are free here */
        inlong_client *own;
        CHECK_INT(lib.log_set(INLONG_LOG_QUEUE, NULL, INLONG_LOG_WARN), INLONG_OK);
        CHECK_INT(lib.client_new(again, &own, NULL, 0), INLONG_OK);
        _exit(0);
    }
    CHECK_INT(check_status(child), 0);
    CHECK_INT(lib.client_close(after, 5000, NULL), INLONG_OK);
}

static const check_test tests[] = {
    {"H5_exit_without_dlclose", exit_without_dlclose},
    {"H5_exit_after_dlclose", exit_after_dlclose},
    {"H5_exit_when_the_loading_thread_is_gone", exit_when_the_loading_thread_is_gone},
    {"H5_exit_after_a_load_without_use", exit_after_a_load_without_use},
    {"H2_handlers_of_the_host_close_and_open", handlers_of_the_host_close_and_open},
};

CHECK_MAIN("dlopen", tests)
