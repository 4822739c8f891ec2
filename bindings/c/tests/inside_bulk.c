/* inside_bulk.c - bulk calls by the front's own memory. Built with the front's own sources, to know that they go that way. */
#include "inside_ring.h"

static int64_t in_bulk(inlong_client *client) { return atomic_load(&ring_of(client)->bulk); }

/* A call of the core each costs as much as a hundred messages: a program that sends a few in bulk was slower than one that sends singles. */
static void bulk_goes_by_the_ring(void)
{
    fixture f = open_fixture(no_options);
    tally t[2] = {TALLY, TALLY}, polled = TALLY;
    inlong_message m = message("x"), many[3] = {m, m, m};
    uint32_t lengths[3] = {1, 2, 3};
    size_t accepted;
    many[1].user = &t[1];
    CHECK_INT(inlong_client_send_many(f.client, many, 3, tally_result, &t[0], &accepted), INLONG_OK);
    CHECK_INT(accepted, 3);
    unsigned first = chunks(f.client);
    CHECK(first > 0);
    CHECK_INT(inlong_client_flush(f.client, 20000), INLONG_OK);
    CHECK_INT(t[0].acked, 2);
    CHECK_INT(t[1].acked, 1);
    CHECK_INT(inlong_client_send_packed(f.client, PACK(&m, "abbccc", 6, lengths, 3, NULL, INLONG_PACKED_MERGE_ACKS), 0, &accepted),
              INLONG_OK);
    CHECK_INT(accepted, 3);
    CHECK(chunks(f.client) > first);
    CHECK_INT(inlong_client_flush(f.client, 20000), INLONG_OK);
    poll_all(f.client, &polled, 3);
    CHECK_INT(in_bulk(f.client), 0);
    CHECK_TEXT(control(f.mock, "{\"op\":\"messages\",\"limit\":10}"), "Y2Nj"); /* "ccc" */
    close_fixture(&f);
}

/* What all bulk calls together have in the ring was held to what one may have: each second one of 25 KB was a call of the core, for which two
 * threads wait. */
static void bulk_calls_share_the_ring(void)
{
    enum { SIZE = 1000, EACH = 25, CALLS = 4 };
    static char data[SIZE * EACH];
    uint32_t lengths[EACH];
    fixture f = open_fixture(no_options);
    inlong_message m = message("x");
    tally t = TALLY, polled = TALLY;
    memset(data, 'x', sizeof data);
    for (int i = 0; i < EACH; i++)
        lengths[i] = SIZE;
    CHECK_INT(inlong_client_send_async(f.client, &m, tally_result, &t), INLONG_OK);
    int own = hold_others(f.client);
    for (int i = 0; i < CALLS; i++)
        CHECK_INT(inlong_client_send_packed(f.client, PACK(&m, data, sizeof data, lengths, EACH, NULL, 0), 10, NULL), INLONG_OK);
    let_others_go(f.client, own);
    CHECK_INT(inlong_client_flush(f.client, 20000), INLONG_OK);
    poll_all(f.client, &polled, EACH * CALLS);
    CHECK_INT(in_bulk(f.client), 0);
    close_fixture(&f);
}

/* Past its window bulk was bounded by the queue alone: over a slow network most of that fails by its deadline. */
static void bulk_keeps_to_its_window(void)
{
    enum { SIZE = 1000, EACH = 10, MOST = 16 << 20 };
    static char payload[SIZE];
    fixture f = open_fixture((const char *const[]){"compression", "none", NULL});
    memset(payload, 'x', SIZE);
    inlong_message many[EACH];
    for (int i = 0; i < EACH; i++) {
        many[i] = message("");
        many[i].payload = payload;
        many[i].payload_len = SIZE;
    }
    for (int i = 0; i < 3; i++) {
        char request[128];
        snprintf(request, sizeof request, "{\"op\":\"fault\",\"node\":%d,\"fault\":{\"kind\":\"silence\"},\"standing\":true}", i);
        control(f.mock, request);
    }
    tally t = TALLY;
    size_t accepted, bytes = 0, window = (size_t)ring_of(f.client)->bulk_room;
    int code;
    while ((code = inlong_client_send_many(f.client, many, EACH, tally_result, &t, &accepted)) == INLONG_OK && bytes < MOST)
        bytes += accepted * SIZE;
    CHECK(bytes <= 2 * window + EACH * SIZE); /* twice: of senders that cannot wait the core takes that much */
    CHECK_INT(code, INLONG_ERR_QUEUE_FULL);
    CHECK_TEXT(inlong_last_error(), "in flight");
    CHECK_INT(inlong_client_close(f.client, 0, NULL), INLONG_ERR_CONTEXT_EXPIRED);
    f.client = NULL;
    close_fixture(&f);
}

static const check_test tests[] = {
    {"bulk_goes_by_the_ring", bulk_goes_by_the_ring},
    {"bulk_calls_share_the_ring", bulk_calls_share_the_ring},
    {"bulk_keeps_to_its_window", bulk_keeps_to_its_window},
};

CHECK_MAIN("bulk", tests)
