/* The front's threads and memory, over a core without Go: see stub_core.c. */
#include "inside_ring.h"

#include <poll.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

enum { THREADS = 4, EACH = 1000, PACKED = 100 };

static struct {
    inlong_client *client;
    atomic_long called, polled, grouped, pollers;
} all;

static void called(const inlong_result *result, void *user)
{
    CHECK(user == &all && result->user == user && strcmp(result->node, "127.0.0.1:1") == 0);
    all.called++;
}

/* Every way to send: to callbacks, to the queue, many, packed. */
static void *send_all_ways(void *unused)
{
    inlong_message m = message("x"), many[10];
    uint32_t lengths[PACKED];
    char data[PACKED];
    memset(data, 'x', sizeof data);
    for (int i = 0; i < PACKED; i++)
        lengths[i] = 1;
    for (int i = 0; i < 10; i++)
        many[i] = m;
    for (int i = 0; i < EACH; i++) {
        size_t accepted;
        CHECK_INT(inlong_client_send_async(all.client, &m, called, &all), INLONG_OK);
        CHECK_INT(inlong_client_send_async(all.client, &m, NULL, NULL), INLONG_OK);
        if (i % 100 == 0) {
            CHECK_INT(inlong_client_send_many(all.client, many, 10, called, &all, &accepted), INLONG_OK);
            CHECK_INT(accepted, 10);
            CHECK_INT(inlong_client_send_packed(all.client, PACK(&m, data, PACKED, lengths, PACKED, NULL, INLONG_PACKED_MERGE_ACKS),
                                                0, &accepted),
                      INLONG_OK);
            CHECK_INT(accepted, PACKED);
            CHECK_INT(inlong_client_send(all.client, &m, 30000, NULL), INLONG_OK);
            CHECK_INT(inlong_client_flush(all.client, 30000), INLONG_OK);
            CHECK(inlong_client_stats(all.client, NULL, 0) > 0);
        }
    }
    return unused;
}

static void *keep_polling(void *client)
{
    inlong_result results[16];
    struct pollfd event = {.fd = inlong_client_event_fd(client), .events = POLLIN};
    int n;
    results[0].struct_size = sizeof results[0];
    CHECK(event.fd >= 0);
    all.pollers++;
    while ((n = inlong_client_poll(client, results, 16, 100)) >= 0)
        for (int i = 0; i < n; i++)
            all.polled += (long)results[i].count;
    CHECK_INT(n, INLONG_ERR_HANDLE);
    return NULL;
}

static void results_of_every_way_arrive(void)
{
    pthread_t senders[THREADS], pollers[2];
    fixture f = open_fixture(no_options);
    all.client = f.client;
    for (int i = 0; i < THREADS; i++)
        CHECK_INT(pthread_create(&senders[i], NULL, send_all_ways, NULL), 0);
    for (int i = 0; i < 2; i++)
        CHECK_INT(pthread_create(&pollers[i], NULL, keep_polling, f.client), 0);
    for (int i = 0; i < THREADS; i++)
        CHECK_INT(pthread_join(senders[i], NULL), 0);
    inlong_close_report report = {.struct_size = sizeof report};
    while (all.pollers < 2) /* one that has not begun has no client to begin with */
        sched_yield();
    CHECK_INT(inlong_client_close(f.client, 30000, &report), INLONG_OK);
    for (int i = 0; i < 2; i++)
        CHECK_INT(pthread_join(pollers[i], NULL), 0);
    CHECK_INT(all.called, THREADS * (EACH + 10 * EACH / 100));
    CHECK_INT(all.polled, THREADS * (EACH + PACKED * EACH / 100));
    CHECK_INT(report.acked, all.called + all.polled + THREADS * EACH / 100);
    f.client = NULL;
    close_fixture(&f);
}

/* ---- close at any moment ---- */

static _Atomic(inlong_client *) shared;
static atomic_bool stop;

static void ignore(const inlong_result *result, void *user) { (void)result, (void)user; }

/* Its handle may become stale between any two instructions, and its slot another client's. */
static void *use_what_is_there(void *unused)
{
    inlong_message m = message("x");
    inlong_result r = {.struct_size = sizeof r};
    while (!stop) {
        inlong_client *client = shared;
        int code = inlong_client_send_async(client, &m, ignore, NULL);
        CHECK(code == INLONG_OK || code == INLONG_ERR_HANDLE || code == INLONG_ERR_CLOSED || code == INLONG_ERR_QUEUE_FULL);
        inlong_client_send_async(client, &m, NULL, NULL);
        inlong_client_event_fd(client);
        CHECK(inlong_client_poll(client, &r, 1, 0) >= INLONG_ERR_HANDLE);
        inlong_client_flush(client, 10);
    }
    return unused;
}

static atomic_int closed_ok;

static void *close_it(void *client)
{
    int code = inlong_client_close(client, 30000, NULL);
    CHECK(code == INLONG_OK || code == INLONG_ERR_HANDLE);
    closed_ok += code == INLONG_OK;
    return NULL;
}

static void clients_come_and_go_beside_their_users(void)
{
    pthread_t users[2], closers[2];
    fixture f = open_fixture(NULL);
    for (int i = 0; i < 2; i++)
        CHECK_INT(pthread_create(&users[i], NULL, use_what_is_there, NULL), 0);
    for (int round = 0; round < check_rounds(50); round++) {
        closed_ok = 0;
        shared = open_client(f.url, no_options);
        sched_yield();
        for (int i = 0; i < 2; i++)
            CHECK_INT(pthread_create(&closers[i], NULL, close_it, shared), 0);
        for (int i = 0; i < 2; i++)
            CHECK_INT(pthread_join(closers[i], NULL), 0);
        CHECK_INT(closed_ok, 1);
        inlong_result r = {.struct_size = sizeof r};
        while (inlong_client_poll(shared, &r, 1, 0) > 0) /* what the users left: it would keep the slot */
            ;
    }
    stop = true;
    for (int i = 0; i < 2; i++)
        CHECK_INT(pthread_join(users[i], NULL), 0);
    close_fixture(&f);
}

static void close_inside(const inlong_result *result, void *user)
{
    (void)result, (void)user;
    CHECK_INT(inlong_client_flush(all.client, 0), INLONG_ERR_WORKER_BUSY);
    int code = inlong_client_close(all.client, 1000, NULL);
    CHECK(code == INLONG_ERR_WORKER_BUSY || code == INLONG_ERR_HANDLE);
    all.called++;
}

static void close_inside_a_callback(void)
{
    inlong_message m = message("x");
    fixture f = open_fixture(NULL);
    for (int round = 0; round < check_rounds(20); round++) {
        all.client = open_client(f.url, no_options);
        all.called = 0;
        CHECK_INT(inlong_client_send_async(all.client, &m, close_inside, NULL), INLONG_OK);
        while (all.called == 0)
            sched_yield();
        CHECK_INT(inlong_client_close(all.client, 0, NULL), INLONG_ERR_HANDLE);
    }
    close_fixture(&f);
}

/* ---- the rest that runs on several threads ---- */

static void *poll_lines(void *unused)
{
    (void)unused;
    inlong_log_line lines[4];
    lines[0].struct_size = sizeof lines[0];
    long n = 0;
    while (n < 20) {
        int got = inlong_log_poll(lines, 4, 5000);
        CHECK(got >= 0); /* on a busy machine valgrind takes longer to make the clients: the test's own time limit ends it */
        n += got;
    }
    return NULL;
}

static void log_lines_are_polled(void)
{
    pthread_t poller;
    CHECK_INT(inlong_log_set(INLONG_LOG_QUEUE, NULL, INLONG_LOG_WARN), INLONG_OK);
    CHECK_INT(pthread_create(&poller, NULL, poll_lines, NULL), 0);
    fixture f = open_fixture(NULL);
    for (int i = 0; i < 20; i++)
        CHECK_INT(inlong_client_close(open_client(f.url, no_options), 30000, NULL), INLONG_OK);
    CHECK_INT(pthread_join(poller, NULL), 0);
    close_fixture(&f);
}

static void failed_client_leaves_nothing(void)
{
    char err[128];
    inlong_client *client;
    inlong_options *o = inlong_options_new();
    CHECK_INT(inlong_options_set(o, "group_id", "refused", err, sizeof err), INLONG_OK);
    for (int i = 0; i < 100; i++) {
        CHECK_INT(inlong_client_new(o, &client, err, sizeof err), INLONG_ERR_OPTION);
        CHECK_TEXT(err, "refused");
    }
    inlong_options_free(o);
}

/* A text of 1,010 to 1,023 characters, which fits without its code, had none; of one that is longer the code was cut off. */
static void long_text_of_a_failure_ends_with_its_code(void)
{
    static const char end[] = " [code 10001]";
    for (int length = 990; length < 1100; length++) {
        char err[INLONG_ERROR_TEXT];
        CHECK_INT(inlong_tell(inlong_fail(INLONG_ERR_SEND_TIMEOUT, "%*s", length, "\xC3\xA4"), err, sizeof err),
                  INLONG_ERR_SEND_TIMEOUT);
        size_t n = strlen(err);
        CHECK(n < sizeof err && n >= sizeof err - 64 && strcmp(err + n - (sizeof end - 1), end) == 0);
        CHECK(inlong_is_utf8(err, n) && strcmp(err, inlong_last_error()) == 0);
        CHECK((strstr(err, "... [code") != NULL) == ((size_t)length + sizeof end > sizeof err));
    }
}

/* What a call had room for in the core a chunk was granted, too: of 10 messages that may wait up to 16 were accepted. */
static void room_of_a_call_is_granted_to_no_chunk(void)
{
    const uint32_t length = 1;
    inlong_slot *slot = calloc(1, sizeof *slot);
    inlong_ring *r = &slot->ring;
    inlong_message m = message("x");
    inlong_core_call one = {
        .kind = INLONG_CALL_SUBMIT_PACKED, .handle = 3, .message = &m, .data = "x", .lengths = &length, .count = 1};
    inlong_core_call call = {.handle = 3, .count = 10};
    int64_t began;
    inlong_ring_init(r);
    atomic_store(&slot->handle, one.handle);
    inlong_ring_open(slot);
    atomic_store(&r->most, 2);
    atomic_store(&r->longest, 1);
    atomic_store(&r->least, 1);
    atomic_store(&r->room, 10);
    CHECK(!inlong_ring_begin_call(slot, &call));
    CHECK_INT(inlong_ring_feed(slot, &one, &began), 0);
    inlong_ring_publish(slot, &call, 0);
    CHECK_INT(inlong_ring_feed(slot, &one, &began), 1);
    CHECK_INT(atomic_load(&r->granted), 5);
    CHECK(inlong_ring_begin_call(slot, &call)); /* settles what the chunk has */
    inlong_ring_publish(slot, &call, 0);

    /* Two calls tell what they have left, the newer one first. */
    unsigned turn = inlong_ring_turn(r);
    call.intake = (inlong_core_intake){.messages = 7, .most_messages = 10, .bytes = 1 << 30, .nap_ns = 1};
    call.accepted = 1;
    inlong_ring_publish(slot, &call, turn);
    call.intake.messages = 8;
    inlong_ring_publish(slot, &call, turn);
    CHECK_INT(atomic_load(&r->room), 6);

    /* A thread that comes late, after the close of its client. */
    int64_t granted = atomic_load(&r->granted);
    atomic_store(&slot->handle, one.handle + 2);
    (void)inlong_ring_begin_call(slot, &call);
    CHECK_INT(atomic_load(&r->granted), granted);
    inlong_ring_publish(slot, &call, turn);
    CHECK_INT(atomic_load(&r->granted), granted);
    inlong_ring_end(slot);
    free(slot);
}

static const check_test tests[] = {
    {"results_of_every_way_arrive", results_of_every_way_arrive},
    {"clients_come_and_go_beside_their_users", clients_come_and_go_beside_their_users},
    {"close_inside_a_callback", close_inside_a_callback},
    {"log_lines_are_polled", log_lines_are_polled},
    {"failed_client_leaves_nothing", failed_client_leaves_nothing},
    {"long_text_of_a_failure_ends_with_its_code", long_text_of_a_failure_ends_with_its_code},
    {"room_of_a_call_is_granted_to_no_chunk", room_of_a_call_is_granted_to_no_chunk},
};

CHECK_MAIN("stub_threads", tests)
