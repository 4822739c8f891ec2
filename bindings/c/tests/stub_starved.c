/* Beside a core that gets no processor: it does not take what was accepted, or begins with no call. Over a core without Go: see stub_core.c. */
#include "inside_ring.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

/* A client whose core takes nothing more. */
static fixture open_stuck(const char *waits)
{
    char stats[256] = "";
    fixture f = open_fixture((const char *const[]){"group_id", "stuck", "block_if_queue_is_full", waits, NULL});
    while (!strstr(stats, "\"stuck\":1")) {
        inlong_ring_bell(ring_of(f.client));
        CHECK(inlong_client_stats(f.client, stats, sizeof stats) > 0);
    }
    return f;
}

static int64_t time_of_close_beside_three_messages(void)
{
    inlong_message m = message("x");
    inlong_close_report report = {.struct_size = sizeof report};
    fixture f = open_stuck("false");
    for (int i = 0; i < 3; i++)
        CHECK_INT(inlong_client_send_async(f.client, &m, NULL, NULL), INLONG_OK);
    int64_t began = inlong_now_ms();
    CHECK_INT(inlong_client_close(f.client, 0, &report), INLONG_ERR_CONTEXT_EXPIRED);
    int64_t took = inlong_now_ms() - began;
    CHECK_INT(report.acked, 0);
    CHECK_INT(report.failed, 3);
    CHECK_INT(report.unsent, 3);
    CHECK_INT(report.by_code[0].code, INLONG_ERR_CLOSED);
    CHECK_INT(report.by_code[0].count, 3);
    CHECK_INT(report.uncalled, 3);
    f.client = NULL;
    close_fixture(&f);
    return took;
}

/* It took a second longer than it may, and what was left in the ring was counted twice: there, and by the core, which got it after that.
 * By code it was not counted at all. */
static void close_takes_back_what_the_core_does_not_take(void)
{
    int64_t least = INT64_MAX;
    for (int i = 0; i < 10 && least >= 1000; i++) { /* another process may hold up one of them */
        int64_t took = time_of_close_beside_three_messages();
        least = took < least ? took : least;
    }
    CHECK(least < 1000);
}

static atomic_bool held;

struct held_up {
    inlong_ring *ring;
    atomic_bool held;
};

/* Holds up all who come to the ring, until 50 ms after a call has begun. */
static void *hold_up(void *user)
{
    struct held_up *h = user;
    for (int i = 0; i < INLONG_STRIPES; i++)
        pthread_mutex_lock(&h->ring->stripes[i].mutex);
    h->held = true;
    while (atomic_load(&h->ring->granted) == 0)
        sched_yield();
    for (int64_t until = inlong_now_ms() + 50; inlong_now_ms() < until;)
        sched_yield();
    for (int i = 0; i < INLONG_STRIPES; i++)
        pthread_mutex_unlock(&h->ring->stripes[i].mutex);
    return NULL;
}

/* It had its time twice: for the messages in front of its own, and for that. */
static void send_has_its_time_once(void)
{
    enum { TIME = 100000 };
    pthread_t thread;
    inlong_message m = message("x");
    inlong_result r = {.struct_size = sizeof r};
    fixture f = open_fixture(no_options);
    struct held_up h = {.ring = ring_of(f.client)};
    CHECK_INT(pthread_create(&thread, NULL, hold_up, &h), 0);
    while (!h.held)
        sched_yield();
    CHECK_INT(inlong_client_send(f.client, &m, TIME, &r), INLONG_OK);
    CHECK_INT(pthread_join(thread, NULL), 0);
    CHECK(atoll(r.batch_id) < TIME - 48); /* what the core was given */
    close_fixture(&f);
}

/* Without the option that lets it wait a send waited for ever, and with it after the deadline of its own message. */
static void send_does_not_wait_for_ever_for_a_core_that_takes_nothing(void)
{
    static char large[32 << 10]; /* goes to the core itself, after what its thread has put in */
    for (int waits = 0; waits < 2; waits++) {
        const int want = waits ? INLONG_ERR_SEND_TIMEOUT : INLONG_ERR_QUEUE_FULL;
        fixture f = open_stuck(waits ? "true" : "false");
        inlong_message m = message("x");
        inlong_result r = {.struct_size = sizeof r};
        long sent = 0;
        int code;
        while ((code = inlong_client_send_async(f.client, &m, NULL, NULL)) == INLONG_OK)
            CHECK(++sent <= INLONG_CHUNK_MESSAGES);
        CHECK_INT(code, want);
        CHECK_TEXT(inlong_last_error(), "the library got no processor");
        m.payload = large;
        m.payload_len = sizeof large;
        CHECK_INT(inlong_client_send_async(f.client, &m, NULL, NULL), want);
        CHECK_INT(inlong_client_send(f.client, &m, INLONG_NO_TIMEOUT, &r), INLONG_ERR_SEND_TIMEOUT);
        CHECK_INT(r.code, INLONG_ERR_SEND_TIMEOUT);
        CHECK_INT(r.persisted, INLONG_NOT_WRITTEN);
        CHECK_INT(inlong_client_send(f.client, &m, 1, NULL), INLONG_ERR_CONTEXT_EXPIRED);
        inlong_close_report report = {.struct_size = sizeof report};
        CHECK_INT(inlong_client_close(f.client, 0, &report), INLONG_ERR_CONTEXT_EXPIRED);
        CHECK_INT(report.failed, sent); /* none of those that were refused */
        f.client = NULL;
        close_fixture(&f);
    }
}

/* Lets the ring's goroutine on 50 ms after this client's thread has begun to wait for it. */
static void *hold_up_the_ring(void *client)
{
    bool waits = false;
    int own = hold_others(client);
    inlong_stripe *s = &ring_of(client)->stripes[own];
    held = true;
    while (!waits) {
        pthread_mutex_lock(&s->mutex);
        waits = s->waiting > 0;
        pthread_mutex_unlock(&s->mutex);
        sched_yield();
    }
    for (int64_t until = inlong_now_ms() + 50; inlong_now_ms() < until;)
        sched_yield();
    let_others_go(client, own);
    return NULL;
}

/* What the core is given of a packed call's time, most of which the ring takes. */
static long time_left_for_a_packed_call(int64_t timeout_ms)
{
    enum { SMALL = 3000, LARGE = 20 << 10 };
    static char data[SMALL + LARGE], stats[256];
    static uint32_t lengths[SMALL + 1];
    pthread_t thread;
    size_t accepted;
    inlong_message m = message("x");
    fixture f = open_fixture(no_options);
    CHECK_INT(inlong_client_send_async(f.client, &m, NULL, NULL), INLONG_OK);
    held = false;
    CHECK_INT(pthread_create(&thread, NULL, hold_up_the_ring, f.client), 0);
    while (!held)
        sched_yield();
    for (int i = 0; i <= SMALL; i++)
        lengths[i] = i < SMALL ? 1 : LARGE;
    CHECK_INT(inlong_client_send_packed(f.client, PACK(&m, data, sizeof data, lengths, SMALL + 1, NULL, INLONG_PACKED_SINGLES),
                                        timeout_ms, &accepted),
              INLONG_OK);
    CHECK_INT((long long)accepted, SMALL + 1);
    CHECK_INT(pthread_join(thread, NULL), 0);
    CHECK(inlong_client_stats(f.client, stats, sizeof stats) > 0);
    close_fixture(&f);
    return json_number(stats, "timeout");
}

/* It had its time twice: for room in the ring, and for the message that the ring does not take. */
static void packed_call_has_its_time_once(void)
{
    enum { TIME = 100000 };
    long left = TIME;
    for (int i = 0; i < 50 && left > TIME - 48;
         i++) /* the goroutine may take one chunk more, and what is left goes to the core at once */
        left = time_left_for_a_packed_call(TIME);
    CHECK(left <= TIME - 48);
}

static atomic_bool over;

static void *keep_a_server(void *mock)
{
    char request[64];
    snprintf(request, sizeof request, "stay %p", (void *)&over);
    inlong_core_call call = {.kind = INLONG_CALL_MOCK_CONTROL,
                             .handle = (uintptr_t)mock,
                             .data = request,
                             .size = strlen(request),
                             .text = {request, sizeof request}};
    CHECK(inlong_call_within(&call, INLONG_NO_TIMEOUT, NULL));
    return NULL;
}

static void wait_until_free(inlong_slot *slot)
{
    for (bool is_free = false; !is_free; sched_yield()) {
        pthread_mutex_lock(&slot->mutex);
        is_free = slot->state == INLONG_SLOT_FREE;
        pthread_mutex_unlock(&slot->mutex);
    }
}

/* All but the sends waited for ever. A close leaves the slot to nobody before the core has closed its client. */
static void no_call_waits_for_ever_for_a_core_that_begins_nothing(void)
{
    enum { SERVERS = 8, TIME = 20 }; /* it has less */
    pthread_t threads[SERVERS];
    char text[64];
    inlong_close_report report = {.struct_size = sizeof report};
    fixture f = open_fixture(no_options);
    inlong_slot *slot = inlong_client_slot(f.client);
    uintptr_t handle = (uintptr_t)f.client;
    inlong_options *options = inlong_options_new();
    inlong_mock *other;
    int64_t percent;
    for (int i = 0; i < SERVERS; i++)
        CHECK_INT(pthread_create(&threads[i], NULL, keep_a_server, f.mock), 0);
    while (inlong_call_within(&(inlong_core_call){.kind = INLONG_CALL_READY, .handle = handle}, 1000, NULL))
        ;
    CHECK_INT(inlong_client_flush(f.client, TIME), INLONG_ERR_CONTEXT_EXPIRED);
    CHECK_TEXT(inlong_last_error(), "the library got no processor");
    CHECK_INT(inlong_client_ready(f.client, TIME), INLONG_ERR_CONTEXT_EXPIRED);
    CHECK_INT(inlong_client_stats(f.client, text, sizeof text), INLONG_ERR_CONTEXT_EXPIRED);
    CHECK_INT(inlong_client_metrics(f.client, text, sizeof text), INLONG_ERR_CONTEXT_EXPIRED);
    CHECK_INT(inlong_client_close(f.client, TIME, &report), INLONG_ERR_CONTEXT_EXPIRED);
    CHECK_TEXT(inlong_last_error(), "the library got no processor");
    CHECK_INT(inlong_client_close(f.client, TIME, &report), INLONG_ERR_HANDLE);
    inlong_call_patience_ms = TIME;
    CHECK_INT(inlong_client_new(options, &f.client, text, sizeof text), INLONG_ERR_CONTEXT_EXPIRED);
    CHECK_TEXT(text, "the library got no processor");
    CHECK(!f.client);
    CHECK_INT(inlong_mock_new(1, &other, text, sizeof text), INLONG_ERR_CONTEXT_EXPIRED);
    CHECK(!other);
    CHECK_INT(inlong_mock_url(f.mock, text, sizeof text), INLONG_ERR_CONTEXT_EXPIRED);
    CHECK_INT(inlong_runtime_get(INLONG_RUNTIME_GC_PERCENT, &percent), INLONG_ERR_CONTEXT_EXPIRED);
    inlong_call_patience_ms = 10000;
    inlong_options_free(options);
    CHECK(atomic_load(&slot->calling) > 0);
    over = true;
    for (int i = 0; i < SERVERS; i++)
        CHECK_INT(pthread_join(threads[i], NULL), 0);
    wait_until_free(slot);
    f.client = open_client(f.url, no_options);
    CHECK(inlong_client_slot(f.client) == slot);
    close_fixture(&f);
}

/* ---- calls, without a core: this program's own threads begin them ---- */

enum { CALLS = 2000, CALLERS = 3 };

static atomic_long answered;

static void *answer_calls(void *unused)
{
    for (inlong_core_call *q = NULL; (q = inlong_call_next(q)); answered++)
        q->code = (int)q->count;
    return unused;
}

static void *call_in_a_hurry(void *unused)
{
    long got = 0;
    for (int i = 1; i <= CALLS; i++) {
        inlong_core_call call = {.count = (size_t)i};
        bool begun = inlong_call_within(&call, i % 3 == 0, NULL);
        CHECK_INT(call.code, begun ? i : 0);
        got += begun;
    }
    (void)unused;
    return (void *)got;
}

/* A call that nobody begins held its caller for ever. One that is taken back is answered by nobody, and takes no answer from another. */
static void call_that_nobody_begins_is_taken_back(void)
{
    pthread_t servers[2], callers[CALLERS];
    inlong_core_call first = {.count = 1}, second = {.count = 2};
    CHECK(!inlong_call_within(&first, 0, NULL));
    CHECK(!inlong_call_within(&second, 10, NULL));
    for (int i = 0; i < 2; i++)
        CHECK_INT(pthread_create(&servers[i], NULL, answer_calls, NULL), 0);
    long got = 0;
    for (int i = 0; i < CALLERS; i++)
        CHECK_INT(pthread_create(&callers[i], NULL, call_in_a_hurry, NULL), 0);
    for (int i = 0; i < CALLERS; i++) {
        void *of_one;
        CHECK_INT(pthread_join(callers[i], &of_one), 0);
        got += (long)of_one;
    }
    CHECK_INT(answered, got);
    CHECK_INT(inlong_call(&(inlong_core_call){.count = 5}), 5); /* and nobody is lost by it */
}

static atomic_bool busy;

/* One at a time: what comes after a call with a count waits 50 ms to be begun. */
static void *answer_in_turn(void *unused)
{
    for (inlong_core_call *q = NULL; (q = inlong_call_next(q));) {
        busy = q->count > 0;
        for (int64_t until = inlong_now_ms() + 50; busy && inlong_now_ms() < until;)
            sched_yield();
        q->code = (int)q->timeout_ms;
    }
    return unused;
}

static void *make_busy(void *unused)
{
    (void)inlong_call(&(inlong_core_call){.count = 1});
    return unused;
}

/* It had its time twice: until a goroutine began with it, and from there on. */
static void time_of_a_call_counts_from_where_it_is_left(void)
{
    enum { TIME = 100000 };
    pthread_t server, other;
    int left = TIME;
    CHECK_INT(pthread_create(&server, NULL, answer_in_turn, NULL), 0);
    for (int i = 0; i < 100 && left > TIME - 40; i++) { /* another process may hold this one up until all is answered */
        CHECK_INT(pthread_create(&other, NULL, make_busy, NULL), 0);
        while (!busy)
            sched_yield();
        left = inlong_call(&(inlong_core_call){.timeout_ms = TIME});
        CHECK_INT(pthread_join(other, NULL), 0);
        CHECK_INT(inlong_call(&(inlong_core_call){.timeout_ms = INLONG_NO_TIMEOUT}), INLONG_NO_TIMEOUT);
    }
    CHECK(left <= TIME - 40);
}

static const check_test tests[] = {
    {"packed_call_has_its_time_once", packed_call_has_its_time_once},
    {"no_call_waits_for_ever_for_a_core_that_begins_nothing", no_call_waits_for_ever_for_a_core_that_begins_nothing},
    {"close_takes_back_what_the_core_does_not_take", close_takes_back_what_the_core_does_not_take},
    {"send_has_its_time_once", send_has_its_time_once},
    {"send_does_not_wait_for_ever_for_a_core_that_takes_nothing", send_does_not_wait_for_ever_for_a_core_that_takes_nothing},
    {"call_that_nobody_begins_is_taken_back", call_that_nobody_begins_is_taken_back},
    {"time_of_a_call_counts_from_where_it_is_left", time_of_a_call_counts_from_where_it_is_left},
};

CHECK_MAIN("stub_starved", tests)
