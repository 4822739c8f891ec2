/* H2 and H5 for the tools that cannot follow Go into a fork or to the end: the front's own way into a child and through exit, over a
 * core without Go. */
#include "forks.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>

#ifdef CHECK_ASAN
/* The leak check looks for the parent's threads in the child, and for those that end under its eyes. */
const char *__asan_default_options(void);
const char *__asan_default_options(void) { return "detect_leaks=0"; }
#endif

static const char *const no_options[] = {NULL};

#ifndef CHECK_ASAN /* whose allocator has locks that a fork leaves held, where another thread was in it */
static void use_old_then_new(void *parents)
{
    const fixture *f = parents;
    check_old_handles(f);
    send_with_a_client_of_its_own(f->url, 100);
    check_old_handles(f);
}

/* Results wait in the parent's queue at the fork; its threads are idle, for the tools' own locks' sake. */
static void child_makes_a_client_of_its_own(void)
{
    fixture f = open_fixture(no_options);
    inlong_message m = message("x");
    tally t = TALLY;
    for (int round = 1; round <= 5; round++) {
        for (int i = 0; i < 100; i++)
            CHECK_INT(inlong_client_send_async(f.client, &m, NULL, NULL), INLONG_OK);
        CHECK_INT(inlong_client_flush(f.client, 5000), INLONG_OK);
        CHECK_INT(in_child(use_old_then_new, &f), 0);
    }
    poll_all(f.client, &t, 500);
    close_fixture(&f);
}

struct chain {
    fixture first;
    int depth;
};

static void go_deeper(void *argument)
{
    struct chain *chain = argument;
    check_old_handles(&chain->first);
    fixture own = open_fixture(no_options);
    if (++chain->depth < 5)
        CHECK_INT(in_child(go_deeper, chain), 0);
    close_fixture(&own);
}

static void five_forks_deep(void)
{
    struct chain chain = {open_fixture(no_options), 0};
    CHECK_INT(in_child(go_deeper, &chain), 0);
    close_fixture(&chain.first);
}
#endif

static atomic_bool torn_down;
static atomic_long calls;

static void tear_down(void) { torn_down = true; }

static void called_late(const inlong_result *result, void *user)
{
    (void)result, (void)user;
    if (torn_down)
        _exit(3);
    calls++;
}

static void *keep_sending(void *client)
{
    inlong_message m = message("x");
    int code;
    while ((code = inlong_client_send_async(client, &m, called_late, NULL)) == INLONG_OK || code == INLONG_ERR_QUEUE_FULL)
        if (code != INLONG_OK)
            sched_yield();
    return NULL;
}

static void exit_under_traffic(void)
{
    pthread_t thread;
    atexit(tear_down);
    fixture f = open_fixture(no_options);
    CHECK_INT(pthread_create(&thread, NULL, keep_sending, f.client), 0);
    while (calls < 100)
        sched_yield();
    exit(0);
}

static void exits_under_traffic(void) { check_in_children(check_rounds(5), exit_under_traffic); }

static const check_test tests[] = {
#ifndef CHECK_ASAN
    {"H2_child_makes_a_client_of_its_own", child_makes_a_client_of_its_own},
    {"H2_five_forks_deep", five_forks_deep},
#endif
    {"H5_exits_under_traffic", exits_under_traffic},
};

CHECK_MAIN("stub_process", tests)
