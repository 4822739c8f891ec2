/* exit() with live clients: no crash, no hang, and no callback into a process that is being taken apart. */
#include "fixture.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>

static const char *const blocking[] = {"block_if_queue_is_full", "true", NULL};
enum { ROUNDS = 30 };

/* Runs `f` in children that must end with status 0. */
static void in_children(int rounds, void (*f)(void))
{
    for (int i = 0; i < rounds; i++) {
        pid_t child = fork();
        if (child == 0) {
            alarm(20);
            f();
            _exit(9); /* it had to exit by itself */
        }
        int status;
        CHECK_INT(waitpid(child, &status, 0), child);
        CHECK_INT(status, 0);
    }
}

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

static void exit_under_traffic(void)
{
    atexit(tear_down); /* registered before the library's, so run behind it, as the destructors of static objects are */
    fixture f = open_fixture(blocking);
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        CHECK_INT(pthread_create(&threads[i], NULL, keep_sending, f.client), 0);
    while (calls < 1000)
        sched_yield();
    exit(0);
}

static void no_callback_behind_the_exit_handlers(void) { in_children(ROUNDS, exit_under_traffic); }

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

static void running_callback_is_waited_for(void) { in_children(5, exit_during_a_callback); }

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

static void callback_may_exit(void) { in_children(10, exit_inside_a_callback); }

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

static void full_queue_does_not_hold_exit_up(void) { in_children(3, exit_with_a_full_queue); }

static const check_test tests[] = {
    {"no_callback_behind_the_exit_handlers", no_callback_behind_the_exit_handlers},
    {"running_callback_is_waited_for", running_callback_is_waited_for},
    {"callback_may_exit", callback_may_exit},
    {"full_queue_does_not_hold_exit_up", full_queue_does_not_hold_exit_up},
};

CHECK_MAIN("exit", tests)
