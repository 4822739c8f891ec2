/* Closing: twice, from two threads, inside a callback, with work pending; and handles that have become stale. */
#include "fixture.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

static const char *const no_options[] = {NULL};

static void close_delivers_what_is_pending(void)
{
    fixture f = open_fixture(no_options);
    tally t = TALLY;
    inlong_message m = message("x");
    for (int i = 0; i < 1000; i++)
        CHECK_INT(inlong_client_send_async(f.client, &m, tally_result, &t), INLONG_OK);
    inlong_close_report report = {.struct_size = sizeof report};
    CHECK_INT(inlong_client_close(f.client, INLONG_NO_TIMEOUT, &report), INLONG_OK);
    CHECK_INT(t.acked, 1000);
    CHECK_INT(report.acked, 1000);
    CHECK_INT(report.failed + report.unsent + report.by_code[0].count, 0);
    CHECK_INT(received(f.mock), 1000);
    f.client = NULL;
    close_fixture(&f);
}

/* Also when its slot is a new client's: the old handle must never reach that one. */
static void stale_handle_reaches_nobody(void)
{
    fixture f = open_fixture(no_options);
    inlong_message m = message("x");
    inlong_result r = {.struct_size = sizeof r};
    inlong_client *old = f.client;
    CHECK_INT(inlong_client_close(old, 1000, NULL), INLONG_OK);
    for (int round = 0; round < 2; round++) {
        char buf[8];
        size_t accepted = 1;
        CHECK_INT(inlong_client_close(old, 1000, NULL), INLONG_ERR_HANDLE);
        CHECK_INT(inlong_client_send(old, &m, 100, NULL), INLONG_ERR_HANDLE);
        CHECK_INT(inlong_client_send_async(old, &m, NULL, NULL), INLONG_ERR_HANDLE);
        CHECK_INT(inlong_client_send_many(old, &m, 1, NULL, NULL, &accepted), INLONG_ERR_HANDLE);
        CHECK_INT(accepted, 0);
        CHECK_INT(inlong_client_send_packed(old, PACK(&m, NULL, 0, NULL, 0, NULL, 0), 0, NULL), INLONG_ERR_HANDLE);
        CHECK_INT(inlong_client_poll(old, &r, 1, INLONG_NO_TIMEOUT), INLONG_ERR_HANDLE);
        CHECK_INT(inlong_client_event_fd(old), INLONG_ERR_HANDLE);
        CHECK_INT(inlong_client_flush(old, 100), INLONG_ERR_HANDLE);
        CHECK_INT(inlong_client_stats(old, buf, sizeof buf), INLONG_ERR_HANDLE);
        if (round == 0)
            f.client = open_client(f.url, no_options);
        CHECK(f.client != old);
    }
    CHECK_INT(inlong_client_send(f.client, &m, 5000, NULL), INLONG_OK);
    close_fixture(&f);
    inlong_mock_free(f.mock); /* freed before: ignored */
    CHECK_INT(inlong_mock_stats(f.mock, NULL, 0), INLONG_ERR_HANDLE);
}

static atomic_int closed_ok, closed_already;

static void *close_it(void *client)
{
    int code = inlong_client_close(client, 5000, NULL);
    if (code == INLONG_OK)
        closed_ok++;
    else if (code == INLONG_ERR_HANDLE)
        closed_already++;
    return NULL;
}

static void two_threads_close_one_client(void)
{
    fixture f = open_fixture(NULL);
    for (int round = 0; round < check_rounds(50); round++) {
        alarm(CHECK_SECONDS);
        inlong_client *client = open_client(f.url, no_options);
        pthread_t threads[2];
        closed_ok = closed_already = 0;
        for (int i = 0; i < 2; i++)
            CHECK_INT(pthread_create(&threads[i], NULL, close_it, client), 0);
        for (int i = 0; i < 2; i++)
            CHECK_INT(pthread_join(threads[i], NULL), 0);
        CHECK_INT(closed_ok, 1);
        CHECK_INT(closed_already, 1);
    }
    close_fixture(&f);
}

/* A close that waited for the callback it is called from would hang for ever. */
static struct {
    inlong_client *client;
    int flush, close;
    tally results;
} self = {.results = TALLY};

static void flush_and_close_inside(const inlong_result *result, void *user)
{
    inlong_message m = message("its result comes when close has returned");
    CHECK_INT(inlong_client_send_async(self.client, &m, NULL, NULL), INLONG_OK);
    self.flush = inlong_client_flush(self.client, INLONG_NO_TIMEOUT);
    self.close = inlong_client_close(self.client, INLONG_NO_TIMEOUT, NULL);
    tally_result(result, user);
}

static void flush_and_close_inside_a_callback(void)
{
    fixture f = open_fixture((const char *const[]){"batching_max_publish_delay", "30s", NULL});
    inlong_result r = {.struct_size = sizeof r};
    inlong_message m = message("x");
    self.client = f.client;
    CHECK_INT(inlong_client_send_async(f.client, &m, flush_and_close_inside, &self.results), INLONG_OK);
    for (int i = 0; i < 49; i++) /* one batch, sealed by count: the first callback finds all accepted */
        CHECK_INT(inlong_client_send_async(f.client, &m, tally_result, &self.results), INLONG_OK);
    tally_wait(&self.results, 50);
    CHECK_INT(self.flush, INLONG_ERR_WORKER_BUSY);
    CHECK_INT(self.close, INLONG_ERR_WORKER_BUSY);
    CHECK_INT(self.results.acked, 50);
    CHECK_INT(inlong_client_close(f.client, 0, NULL), INLONG_ERR_HANDLE);
    CHECK_INT(inlong_client_poll(f.client, &r, 1, INLONG_NO_TIMEOUT), 1); /* not lost */
    CHECK_INT(inlong_client_poll(f.client, &r, 1, INLONG_NO_TIMEOUT), INLONG_ERR_HANDLE);
    f.client = NULL;
    close_fixture(&f);
}

/* Sending inside a callback is allowed and counts like any other. */
static atomic_int sends_left = 300;

static void send_again(const inlong_result *result, void *user)
{
    inlong_message m = message("again");
    if (atomic_fetch_sub(&sends_left, 1) > 0)
        CHECK_INT(inlong_client_send_async(self.client, &m, send_again, user), INLONG_OK);
    else
        CHECK_INT(inlong_client_send(self.client, &m, 10000, NULL), INLONG_OK);
    tally_result(result, user);
}

static void callback_may_send(void)
{
    fixture f = open_fixture((const char *const[]){"batching_max_publish_delay", "1ms", NULL});
    tally t = TALLY;
    inlong_message m = message("first");
    self.client = f.client;
    CHECK_INT(inlong_client_send_async(f.client, &m, send_again, &t), INLONG_OK);
    tally_wait(&t, 301);
    CHECK_INT(inlong_client_flush(f.client, 5000), INLONG_OK);
    CHECK_INT(t.acked, 301);
    close_fixture(&f);
}

/* Accepted = results, anyone who closes while others send; and no callback after the close. */
static struct {
    inlong_client *client;
    atomic_long accepted, results;
    atomic_bool over, late;
} race;

static void race_result(const inlong_result *result, void *user)
{
    (void)result, (void)user;
    if (race.over)
        race.late = true;
    race.results++;
}

static void *race_send(void *unused)
{
    inlong_message m = message("x");
    int code;
    while ((code = inlong_client_send_async(race.client, &m, race_result, NULL)) == INLONG_OK || code == INLONG_ERR_QUEUE_FULL)
        race.accepted += code == INLONG_OK;
    CHECK(code == INLONG_ERR_CLOSED || code == INLONG_ERR_HANDLE);
    return unused;
}

static void close_while_others_send(void)
{
    fixture f = open_fixture(NULL);
    for (int round = 0; round < check_rounds(30); round++) {
        alarm(CHECK_SECONDS);
        pthread_t threads[4];
        race.client = open_client(f.url, no_options);
        race.accepted = race.results = 0;
        race.over = false;
        for (int i = 0; i < 4; i++)
            CHECK_INT(pthread_create(&threads[i], NULL, race_send, NULL), 0);
        while (race.results < 1000)
            sched_yield();
        CHECK_INT(inlong_client_close(race.client, 10000, NULL), INLONG_OK);
        race.over = true;
        for (int i = 0; i < 4; i++)
            CHECK_INT(pthread_join(threads[i], NULL), 0);
        CHECK_INT(race.results, race.accepted);
    }
    CHECK(!race.late);
    close_fixture(&f);
}

static atomic_int slow_calls;

static void slow_callback(const inlong_result *result, void *user)
{
    (void)result, (void)user;
    atomic_fetch_add(&slow_calls, 1);
    usleep(20000);
}

/* A callback that ran after close had returned used to meet a host that had freed what it works on. */
static void slow_callbacks_end_with_the_close(void)
{
    fixture f = open_fixture(no_options);
    inlong_message m = message("x");
    for (int i = 0; i < 200; i++)
        CHECK_INT(inlong_client_send_async(f.client, &m, slow_callback, NULL), INLONG_OK);
    inlong_close_report report = {.struct_size = sizeof report};
    CHECK_INT(inlong_client_close(f.client, 100, &report), INLONG_ERR_CONTEXT_EXPIRED);
    int called = atomic_load(&slow_calls);
    CHECK(report.uncalled >= 200 - called && report.uncalled <= 200); /* those are in the report only */
    CHECK_INT(report.acked + report.failed, 200);
    usleep(200000);
    CHECK_INT(atomic_load(&slow_calls), called);
    CHECK(called < 200);
    f.client = NULL;
    close_fixture(&f);
}

static atomic_bool released;

static void wait_to_be_released(const inlong_result *result, void *user)
{
    (void)result;
    atomic_store((atomic_bool *)user, true);
    while (!atomic_load(&released))
        usleep(1000);
}

/* The next client got the slot with the callback that was still inside: its own close, which had nothing to wait for, took a second
 * more and told of a log callback that has not returned. */
static void callback_that_outlives_its_client_is_none_of_the_next_ones(void)
{
    fixture f = open_fixture(no_options);
    atomic_bool inside = false;
    inlong_message m = message("x");
    CHECK_INT(inlong_client_send_async(f.client, &m, wait_to_be_released, &inside), INLONG_OK);
    while (!atomic_load(&inside))
        usleep(1000);
    CHECK_INT(inlong_client_close(f.client, 0, NULL), INLONG_ERR_CONTEXT_EXPIRED);
    for (int i = 0; i < 3; i++) {
        tally t = TALLY;
        f.client = open_client(f.url, no_options);
        CHECK_INT(inlong_client_send_async(f.client, &m, tally_result, &t), INLONG_OK);
        CHECK_INT(inlong_client_close(f.client, 10000, NULL), INLONG_OK);
        CHECK_INT(t.acked, 1);
        atomic_store(&released, true); /* and what it leaves behind is taken again */
    }
    f.client = NULL;
    close_fixture(&f);
}

/* The longest time-outs overflowed where a second was added to them: the close did not wait until the core had what was accepted, and failed up
 * to thousands of messages. */
static void the_longest_time_out_fails_nothing(void)
{
    enum { COUNT = 5000 };
    inlong_message m = message("x");
    fixture f = open_fixture(NULL);
    for (int round = 0; round < 20; round++) {
        tally t = TALLY;
        f.client = open_client(f.url, no_options);
        for (int i = 0; i < COUNT; i++)
            CHECK_INT(inlong_client_send_async(f.client, &m, tally_result, &t), INLONG_OK);
        inlong_close_report report = {.struct_size = sizeof report};
        CHECK_INT(inlong_client_close(f.client, INT64_MAX - round, &report), INLONG_OK);
        CHECK_INT(t.acked, COUNT);
        CHECK_INT(report.acked, COUNT);
        CHECK_INT(report.failed + report.unsent + report.uncalled, 0);
    }
    f.client = NULL;
    close_fixture(&f);
}

static const check_test tests[] = {
    {"close_delivers_what_is_pending", close_delivers_what_is_pending},
    {"the_longest_time_out_fails_nothing", the_longest_time_out_fails_nothing},
    {"stale_handle_reaches_nobody", stale_handle_reaches_nobody},
    {"two_threads_close_one_client", two_threads_close_one_client},
    {"flush_and_close_inside_a_callback", flush_and_close_inside_a_callback},
    {"callback_may_send", callback_may_send},
    {"close_while_others_send", close_while_others_send},
    {"slow_callbacks_end_with_the_close", slow_callbacks_end_with_the_close},
    {"callback_that_outlives_its_client_is_none_of_the_next_ones", callback_that_outlives_its_client_is_none_of_the_next_ones},
};

CHECK_MAIN("close", tests)
