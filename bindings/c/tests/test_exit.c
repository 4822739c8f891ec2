/* exit() with live clients: no crash, no hang, and no callback into a process that is being taken apart. */
#include "fixture.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

static const char *const blocking[] = {"block_if_queue_is_full", "true", NULL};

static atomic_int torn_down, calls;

static void tear_down(void) { torn_down = 1; }

static void count_call(const inlong_result *result, void *user)
{
    (void)result, (void)user;
    if (torn_down)
        _exit(3);
    calls++;
}

static void *keep_sending(void *client)
{
    inlong_message m = message("x");
    while (inlong_client_send_async(client, &m, count_call, NULL) == INLONG_OK)
        ;
    return NULL;
}

static void keep_sending_a_little(inlong_client *client)
{
    inlong_message m = message("x");
    for (int i = 0; i < 500; i++)
        CHECK_INT(inlong_client_send_async(client, &m, count_call, NULL), INLONG_OK);
}

static void start_traffic(void)
{
    fixture f = open_fixture(blocking);
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        CHECK_INT(pthread_create(&threads[i], NULL, keep_sending, f.client), 0);
    while (calls < 1000)
        sched_yield();
}

static void exit_under_traffic(void)
{
    atexit(tear_down); /* registered before the library's, so run after it, as the destructors of static objects are */
    start_traffic();
    exit(0);
}

static void no_callback_behind_the_exit_handlers(void) { check_in_children(check_rounds(20), exit_under_traffic); }

/* A callback that runs when exit begins is waited for. */
static atomic_int entered, left;

static void slow_call(const inlong_result *result, void *user)
{
    (void)result, (void)user;
    entered = 1;
    nanosleep(&(struct timespec){0, 100000000}, NULL);
    left = 1;
}

static void check_left(void)
{
    if (!left)
        _exit(4);
}

static void exit_during_a_callback(void)
{
    atexit(check_left);
    fixture f = open_fixture(blocking);
    inlong_message m = message("x");
    CHECK_INT(inlong_client_send_async(f.client, &m, slow_call, NULL), INLONG_OK);
    while (!entered)
        sched_yield();
    exit(0);
}

static void running_callback_is_waited_for(void) { check_in_children(check_rounds(5), exit_during_a_callback); }

static void exit_here(const inlong_result *result, void *user)
{
    (void)result, (void)user;
    exit(0);
}

static void exit_inside_a_callback(void)
{
    fixture f = open_fixture(blocking);
    inlong_message m = message("x");
    CHECK_INT(inlong_client_send_async(f.client, &m, exit_here, NULL), INLONG_OK);
    for (;;)
        pause();
}

static void callback_may_exit(void) { check_in_children(check_rounds(10), exit_inside_a_callback); }

/* Lanes that wait for room in a full completion queue must not hold the exit up. */
static void exit_with_a_full_queue(void)
{
    fixture f = open_fixture(blocking);
    inlong_message m = message("x");
    for (int i = 0; i < 70000; i++)
        CHECK_INT(inlong_client_send_async(f.client, &m, NULL, NULL), INLONG_OK);
    while (received(f.mock) < 70000)
        sched_yield();
    exit(0);
}

static void full_queue_does_not_hold_exit_up(void) { check_in_children(check_rounds(3), exit_with_a_full_queue); }

/* quick_exit runs handlers of its own kind, and callbacks must not run into those either. */
static void quick_exit_under_traffic(void)
{
    at_quick_exit(tear_down);
    start_traffic();
    quick_exit(0);
}

static void no_callback_behind_the_quick_exit_handlers(void) { check_in_children(check_rounds(20), quick_exit_under_traffic); }

static void _exit_under_traffic(void)
{
    start_traffic();
    _exit(0);
}

static void _exit_ends_at_once(void) { check_in_children(check_rounds(20), _exit_under_traffic); }

#if !defined(__SANITIZE_THREAD__) /* whose runtime fails a check of its own when exit() comes after the main thread's end */
/* The main thread may leave before the process does; the last one of the host's ends it. It is not joined: the AddressSanitizer of
 * gcc 14 does not know the main thread, and ends a program that joins it. */
static int main_thread_runs(void)
{
    char line[256] = "";
    FILE *stat = fopen("/proc/self/stat", "r"); /* of a thread group's first thread: Z once it has left */
    CHECK(stat != NULL && fgets(line, sizeof line, stat) != NULL);
    fclose(stat);
    return strncmp(strrchr(line, ')'), ") Z", 3) != 0;
}

static void *exit_later(void *unused)
{
    (void)unused;
    while (main_thread_runs())
        sched_yield();
    int before = calls;
    while (calls < before + 100)
        sched_yield();
    exit(0);
}

static void pthread_exit_of_main_under_traffic(void)
{
    pthread_t thread;
    start_traffic();
    CHECK_INT(pthread_create(&thread, NULL, exit_later, NULL), 0);
    pthread_exit(NULL);
}

static void main_thread_may_leave(void) { check_in_children(check_rounds(20), pthread_exit_of_main_under_traffic); }
#endif

/* Threads that are inside the library, with nothing that would wake them. */
static void *send_to_the_silent(void *client)
{
    inlong_message m = message("x");
    inlong_client_send(client, &m, INLONG_NO_TIMEOUT, NULL);
    return NULL;
}

static void *flush_the_silent(void *client)
{
    inlong_client_flush(client, INLONG_NO_TIMEOUT);
    return NULL;
}

static void *poll_the_silent(void *client)
{
    inlong_result r = {.struct_size = sizeof r};
    inlong_client_poll(client, &r, 1, INLONG_NO_TIMEOUT);
    return NULL;
}

static void *close_the_silent(void *client)
{
    inlong_client_close(client, INLONG_NO_TIMEOUT, NULL);
    return NULL;
}

static void *open_and_close(void *url)
{
    while (inlong_client_close(open_client(url, blocking), 1000, NULL) == INLONG_OK)
        ;
    return NULL;
}

static void exit_beside_threads_that_wait(void)
{
    fixture f = open_fixture(blocking);
    inlong_client *other = open_client(f.url, blocking);
    inlong_message m = message("x");
    for (int node = 0; node < 3; node++) {
        char request[96];
        snprintf(request, sizeof request, "{\"op\":\"fault\",\"node\":%d,\"fault\":{\"kind\":\"silence\"},\"standing\":true}",
                 node);
        control(f.mock, request);
    }
    CHECK_INT(inlong_client_send_async(f.client, &m, count_call, NULL), INLONG_OK);
    CHECK_INT(inlong_client_send_async(other, &m, count_call, NULL), INLONG_OK);
    const struct {
        void *(*run)(void *);
        void *argument;
    } threads[] = {{send_to_the_silent, f.client},
                   {flush_the_silent, f.client},
                   {poll_the_silent, f.client},
                   {close_the_silent, other},
                   {open_and_close, f.url}};
    for (size_t i = 0; i < sizeof threads / sizeof *threads; i++) {
        pthread_t thread;
        CHECK_INT(pthread_create(&thread, NULL, threads[i].run, threads[i].argument), 0);
    }
    usleep((useconds_t)rand() % 5000);
    exit(0);
}

static void waiting_threads_do_not_hold_exit_up(void)
{
    srand(1);
    check_in_children(check_rounds(20), exit_beside_threads_that_wait);
}

/* A program may tidy up in exit handlers of its own: before the library's, which is the younger, or after it. */
static fixture tidied;

static void tidy_up(void)
{
    int code = inlong_client_close(tidied.client, 5000, NULL);
    if (code != INLONG_OK && code != INLONG_ERR_CONTEXT_EXPIRED)
        _exit(5);
    inlong_mock_free(tidied.mock);
}

static void close_before_the_gate(void)
{
    tidied = open_fixture(blocking);
    atexit(tidy_up);
    keep_sending_a_little(tidied.client);
    exit(0);
}

static void close_behind_the_gate(void)
{
    atexit(tidy_up);
    tidied = open_fixture(blocking);
    keep_sending_a_little(tidied.client);
    exit(0);
}

static void exit_handlers_may_close(void)
{
    check_in_children(check_rounds(10), close_before_the_gate);
    check_in_children(check_rounds(10), close_behind_the_gate);
}

static const check_test tests[] = {
    {"H5_no_callback_behind_the_exit_handlers", no_callback_behind_the_exit_handlers},
    {"H5_running_callback_is_waited_for", running_callback_is_waited_for},
    {"H5_callback_may_exit", callback_may_exit},
    {"H5_full_queue_does_not_hold_exit_up", full_queue_does_not_hold_exit_up},
    {"H5_no_callback_behind_the_quick_exit_handlers", no_callback_behind_the_quick_exit_handlers},
    {"H5_exit_ends_at_once", _exit_ends_at_once},
#if !defined(__SANITIZE_THREAD__)
    {"H5_main_thread_may_leave", main_thread_may_leave},
#endif
    {"H5_waiting_threads_do_not_hold_exit_up", waiting_threads_do_not_hold_exit_up},
    {"H5_exit_handlers_may_close", exit_handlers_may_close},
};

CHECK_MAIN("exit", tests)
