/* H2: fork while other threads are inside the library, so that every lock of it may be held for ever in the child; on threads
 * that have used it; and inside callbacks. */
#include "forks.h"

#include <dlfcn.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/wait.h>

static const char *const no_options[] = {NULL};

static atomic_bool stop;
static fixture busy;

static void busy_callback(const inlong_result *result, void *user)
{
    inlong_message m = message("sent inside a callback");
    if (!stop && result->code == INLONG_OK && user)
        inlong_client_send_async(busy.client, &m, busy_callback, NULL);
}

static void *keep_sending(void *callback)
{
    inlong_message m = message("busy");
    while (!stop) {
        int code = inlong_client_send_async(busy.client, &m, callback ? busy_callback : NULL, callback);
        CHECK(code == INLONG_OK || code == INLONG_ERR_QUEUE_FULL || stop);
        if (code != INLONG_OK)
            sched_yield();
    }
    return NULL;
}

static void *keep_waiting_for_results(void *unused)
{
    inlong_message m = message("busy");
    while (!stop) {
        int code = inlong_client_send(busy.client, &m, 10000, NULL);
        CHECK(code == INLONG_OK || code == INLONG_ERR_QUEUE_FULL || stop);
    }
    return unused;
}

static void *keep_polling(void *client)
{
    static inlong_result results[64];
    results[0].struct_size = sizeof *results;
    while (inlong_client_poll(client, results, 64, INLONG_NO_TIMEOUT) > 0)
        ;
    return NULL;
}

static void *keep_opening(void *unused)
{
    while (!stop)
        CHECK_INT(inlong_client_close(open_client(busy.url, no_options), 5000, NULL), INLONG_OK);
    return unused;
}

static void *be_in_the_core_once(void *unused)
{
    CHECK(inlong_mock_stats(busy.mock, NULL, 0) > 0);
    return unused;
}

static void *keep_starting_threads(void *unused)
{
    while (!stop) {
        pthread_t thread;
        CHECK_INT(pthread_create(&thread, NULL, be_in_the_core_once, NULL), 0);
        CHECK_INT(pthread_join(thread, NULL), 0);
    }
    return unused;
}

static void use_old_then_new(void *unused)
{
    (void)unused;
    check_old_handles(&busy);
    send_with_a_client_of_its_own(busy.url, 20);
    check_old_handles(&busy);
}

static void busy_parent(void)
{
    enum { THREADS = 8 };
    void *(*const work[THREADS])(void *) = {
        keep_sending, keep_sending, keep_sending,         keep_waiting_for_results, keep_waiting_for_results,
        keep_opening, keep_polling, keep_starting_threads};
    pthread_t threads[THREADS];
    busy = open_fixture((const char *const[]){"max_pending_messages", "1000", NULL}); /* the load is in threads, not in memory */
    for (int i = 0; i < THREADS; i++) {
        void *argument = i == 6 ? (void *)busy.client : i == 0 ? NULL : &busy;
        CHECK_INT(pthread_create(&threads[i], NULL, work[i], argument), 0);
    }
    while (received(busy.mock) < 1000)
        sched_yield();
    for (int i = 0; i < check_rounds(40); i++) {
        alarm(CHECK_SECONDS); /* for each round */
        CHECK_INT(in_child(use_old_then_new, NULL), 0);
    }
    stop = true;
    CHECK_INT(inlong_client_close(busy.client, 20000, NULL), INLONG_OK);
    busy.client = NULL;
    for (int i = 0; i < THREADS; i++)
        CHECK_INT(pthread_join(threads[i], NULL), 0);
    close_fixture(&busy);
}

static pthread_t forker;

static void *exit_behind(void *unused)
{
    (void)unused;
    CHECK_INT(pthread_join(forker, NULL), 0);
    exit(0);
}

/* Such a thread belongs to the parent's runtime, which is to be told when it ends: in the child nobody would answer. */
static void *fork_here(void *unused)
{
    inlong_message m = message("x");
    CHECK_INT(inlong_client_send(busy.client, &m, 5000, NULL), INLONG_OK);
    pid_t child = fork();
    if (child == 0) {
        pthread_t other;
        forker = pthread_self();
        alarm(CHECK_SECONDS / 2);
        use_old_then_new(NULL);
        CHECK_INT(pthread_create(&other, NULL, exit_behind, NULL), 0);
        return unused;
    }
    return (void *)(intptr_t)check_status(child);
}

static void thread_that_forked_may_end_in_the_child(void)
{
    busy = open_fixture(no_options);
    pthread_t other;
    CHECK_INT(pthread_create(&other, NULL, keep_starting_threads, NULL), 0);
    for (int i = 0; i < check_rounds(20); i++) {
        void *status;
        alarm(CHECK_SECONDS);
        CHECK_INT(pthread_create(&forker, NULL, fork_here, NULL), 0);
        CHECK_INT(pthread_join(forker, &status), 0);
        CHECK_INT((intptr_t)status, 0);
    }
    stop = true;
    CHECK_INT(pthread_join(other, NULL), 0);
    close_fixture(&busy);
}

/* A fork waits for the load: half a library cannot be told from a whole one. */
static void *open_a_mock(void *unused)
{
    CHECK_INT(inlong_mock_new(1, &busy.mock, NULL, 0), INLONG_OK);
    return unused;
}

static void use_the_library(void *unused)
{
    (void)unused;
    fixture f = open_fixture(NULL);
    send_with_a_client_of_its_own(f.url, 1);
    close_fixture(&f);
}

static void fork_while_another_thread_loads_the_core(void)
{
    for (int i = 0; i < check_rounds(30); i++) {
        alarm(CHECK_SECONDS);
        pid_t parent = fork(); /* each round loads for the first time */
        if (parent == 0) {
            alarm(CHECK_SECONDS / 2);
            pthread_t thread;
            CHECK_INT(pthread_create(&thread, NULL, open_a_mock, NULL), 0);
            usleep((useconds_t)(i % 50) * 300);
            CHECK_INT(in_child(use_the_library, NULL), 0);
            CHECK_INT(pthread_join(thread, NULL), 0);
            inlong_mock_free(busy.mock);
            exit(0);
        }
        CHECK_INT(check_status(parent), 0);
    }
}

static void *open_and_send(void *unused)
{
    send_with_a_client_of_its_own(busy.url, 5);
    return unused;
}

static void open_from_many_threads(void *unused)
{
    (void)unused;
    pthread_t threads[8];
    for (int i = 0; i < 8; i++)
        CHECK_INT(pthread_create(&threads[i], NULL, open_and_send, NULL), 0);
    for (int i = 0; i < 8; i++)
        CHECK_INT(pthread_join(threads[i], NULL), 0);
    check_old_handles(&busy);
}

static void threads_of_a_child_load_one_core(void)
{
    busy = open_fixture(no_options);
    for (int i = 0; i < check_rounds(10); i++) {
        alarm(CHECK_SECONDS);
        CHECK_INT(in_child(open_from_many_threads, NULL), 0);
        CHECK_INT(received(busy.mock), (i + 1) * 8 * 10);
    }
    close_fixture(&busy);
}

static atomic_int status_of_grandchild = -1;
static atomic_bool child_returns;

static void fork_inside(const inlong_result *result, void *user)
{
    (void)result, (void)user;
    pid_t child = fork();
    if (child == 0) {
        alarm(CHECK_SECONDS / 2);
        use_old_then_new(NULL);
        if (child_returns)
            return;
        exit(0);
    }
    status_of_grandchild = check_status(child);
}

static int fork_inside_a_callback(bool returns)
{
    inlong_message m = message("x");
    child_returns = returns;
    status_of_grandchild = -1;
    CHECK_INT(inlong_client_send_async(busy.client, &m, fork_inside, NULL), INLONG_OK);
    while (status_of_grandchild == -1)
        sched_yield();
    CHECK_INT(inlong_client_send(busy.client, &m, 5000, NULL), INLONG_OK); /* the parent continues */
    return status_of_grandchild;
}

/* On a thread of the parent's runtime a child can do everything but go back there: that would hang. */
static void callback_may_fork(void)
{
    busy = open_fixture(no_options);
    for (int i = 0; i < check_rounds(10); i++) {
        alarm(CHECK_SECONDS);
        CHECK_INT(fork_inside_a_callback(false), 0);
    }
    int status = fork_inside_a_callback(true);
    CHECK(WIFSIGNALED(status));
    CHECK_INT(WTERMSIG(status), SIGABRT);
    close_fixture(&busy);
}

static void *keep_loading(void *unused)
{
    while (!stop) {
        void *library = dlopen("libutil.so.1", RTLD_NOW | RTLD_LOCAL);
        if (library)
            dlclose(library);
    }
    return unused;
}

enum { REFUSED = 77, MOST_REFUSED = 4 };

static void open_or_be_refused(void *url)
{
    char err[256];
    inlong_client *client = NULL;
    inlong_options *o = inlong_options_new();
    inlong_options_set(o, "url", url, err, sizeof err);
    inlong_options_set(o, "group_id", GROUP, err, sizeof err);
    int code = inlong_client_new(o, &client, err, sizeof err);
    CHECK(code == INLONG_OK || (code == INLONG_ERR_FORKED && strstr(err, "inside libc's loader")));
    inlong_options_free(o);
    if (client)
        CHECK_INT(inlong_client_close(client, 20000, NULL), INLONG_OK);
    _exit(client ? 0 : REFUSED); /* exit() takes a lock of libc's that the thread which loads may have held */
}

/* libc's loader ended a child that loaded its core, where the fork had come in the middle of one of the loader's steps on another thread. */
static void fork_while_another_thread_loads_a_library(void)
{
    pthread_t thread;
    fixture f = open_fixture(no_options);
    CHECK_INT(pthread_create(&thread, NULL, keep_loading, NULL), 0);
    for (int i = 0, refused = 0; i < check_rounds(50) && refused < MOST_REFUSED; i++) { /* which takes 5 s each */
        alarm(CHECK_SECONDS);
        int status = in_child(open_or_be_refused, f.url);
        CHECK(status == 0 || (WIFEXITED(status) && WEXITSTATUS(status) == REFUSED));
        refused += status != 0;
    }
    stop = true;
    CHECK_INT(pthread_join(thread, NULL), 0);
    close_fixture(&f);
}

static const check_test tests[] = {
    {"H2_busy_parent", busy_parent},
    {"H2_thread_that_forked_may_end_in_the_child", thread_that_forked_may_end_in_the_child},
    {"H2_fork_while_another_thread_loads_the_core", fork_while_another_thread_loads_the_core},
    {"H2_fork_while_another_thread_loads_a_library", fork_while_another_thread_loads_a_library},
    {"H2_threads_of_a_child_load_one_core", threads_of_a_child_load_one_core},
    {"H2_callback_may_fork", callback_may_fork},
};

CHECK_MAIN("fork_busy", tests)
