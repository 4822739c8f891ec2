/* inside_ring.c - the way in through the front's own memory: what is accepted there arrives as given, once. Built with the
 * front's own sources, to know that messages go that way. */
#include "inside_ring.h"

/* Ids, times and payloads of neighbours must not be mixed up, also where a chunk has no room for more of them. */
static void messages_arrive_as_given(void)
{
    enum { STREAMS = 100 };
    fixture f = open_fixture(no_options);
    char stream[32], text[32], want[64];
    tally t = TALLY;
    for (int i = 0; i < STREAMS; i++) {
        inlong_message m = message("");
        snprintf(stream, sizeof stream, "stream_%d", i);
        snprintf(text, sizeof text, "message %03d", i);
        m.stream_id = stream;
        m.payload = text;
        m.payload_len = strlen(text);
        m.group_id = i % 2 ? "other_group and more" : NULL;
        m.group_id_len = i % 2 ? 11 : 0;
        m.time_ms = i % 3 ? INT64_C(1700000000000) + i : 0;
        CHECK_INT(inlong_client_send_async(f.client, &m, tally_result, &t), INLONG_OK);
        memset(stream, '#', sizeof stream);
        memset(text, '#', sizeof text);
    }
    CHECK(chunks(f.client) > STREAMS / INLONG_RUNS);
    CHECK_INT(inlong_client_flush(f.client, 20000), INLONG_OK);
    CHECK_INT(t.acked, STREAMS);
    const char *answer = control(f.mock, "{\"op\":\"messages\",\"limit\":1000}");
    CHECK(strstr(answer, "IyMj") == NULL); /* "###" */
    for (int i = 0; i < STREAMS; i++) {
        snprintf(want, sizeof want, "\"stream\":\"stream_%d\"", i);
        CHECK_TEXT(answer, want);
        if (i % 3) {
            snprintf(want, sizeof want, "\"dt\":\"%lld\"", (long long)INT64_C(1700000000000) + i);
            CHECK_TEXT(answer, want);
        }
    }
    close_fixture(&f);
}

/* Names are known from the first message on, values differ: they were a call of the core each, which costs twenty times as much. */
static void attributes_arrive_as_given(void)
{
    enum { COUNT = 100 };
    fixture f = open_fixture(no_options);
    char value[32], text[32], want[64];
    tally t = TALLY;
    for (int i = 0; i < COUNT; i++) {
        inlong_attribute attributes[2] = {{"trace and more", 5, value, 0}, {"kind", 0, i % 2 ? "" : "odd one", 0}};
        inlong_message m = message("");
        snprintf(value, sizeof value, "t%03d", i);
        snprintf(text, sizeof text, "message %03d", i);
        m.payload = text;
        m.payload_len = strlen(text);
        m.attributes = attributes;
        m.attribute_count = i % 3 ? 2 : 1;
        CHECK_INT(inlong_client_send_async(f.client, &m, tally_result, &t), INLONG_OK);
        CHECK(i < 2 || ring_of(f.client)->names == 2);
        memset(value, '#', sizeof value);
    }
    CHECK(chunks(f.client) > 0);
    CHECK_INT(inlong_client_flush(f.client, 20000), INLONG_OK);
    CHECK_INT(t.acked, COUNT);
    const char *answer = control(f.mock, "{\"op\":\"messages\",\"limit\":1000}");
    for (int i = 0; i < COUNT; i++) {
        snprintf(want, sizeof want, "\"trace\":\"t%03d\"", i);
        CHECK_TEXT(answer, want);
    }
    CHECK_TEXT(answer, "\"kind\":\"odd one\"");
    close_fixture(&f);
}

/* A name that is known is no reason to take what is wrong with the rest. */
static void faults_of_attributes_are_told_at_once(void)
{
    const struct {
        inlong_attribute attributes[2];
        size_t count;
        const char *part;
    } bad[] = {
        {{{"known", 0, "a&b", 0}}, 1, "only printable ASCII without & and = is allowed"},
        {{{"known", 0, "a=b", 0}}, 1, "only printable ASCII without & and = is allowed"},
        {{{"known", 0, " a", 0}}, 1, "starts or ends with a blank"},
        {{{"known", 0, "\n", 0}}, 1, "only printable ASCII"},
        {{{"known", 0, "a", 0}, {"known", 5, "b", 1}}, 2, "is given twice"},
        {{{"known", 6, "a", 0}}, 1, "has the character '\\x00'"},
        {{{"groupId", 0, "a", 0}}, 1, "reserved"},
        {{{"", 0, "a", 0}}, 1, "has an empty name"},
        {{{"auditVersion", 0, "v1", 0}}, 1, "must be a number of 0 to 9223372036854775807"},
        {{{"auditVersion", 0, "01", 0}}, 1, "must be a number of 0"},
        {{{"auditVersion", 0, "", 0}}, 1, "must be a number of 0"},
        {{{"auditVersion", 0, "9223372036854775808", 0}}, 1, "must be a number of 0"},
    };
    static const inlong_attribute known[] = {{"known", 0, "yes", 0}, {"auditVersion", 0, "7", 0}};
    fixture f = open_fixture(no_options);
    inlong_message m = message("x");
    m.attributes = known;
    m.attribute_count = 2;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        inlong_message wrong = message("x");
        CHECK_INT(inlong_client_send_async(f.client, &m, NULL, NULL), INLONG_OK);
        wrong.attributes = bad[i].attributes;
        wrong.attribute_count = bad[i].count;
        CHECK_INT(inlong_client_send_async(f.client, &wrong, NULL, NULL), INLONG_ERR_LOG_INVALID);
        CHECK_TEXT(inlong_last_error(), bad[i].part);
    }
    CHECK_INT(ring_of(f.client)->names, 2);
    close_fixture(&f);
}

/* The name of a packed call that was refused was learnt as a good one: the next message with it was accepted, and failed in its batch, which was
 * cut at another place for it. */
static void name_refused_in_a_packed_call_is_not_learnt(void)
{
    static const inlong_attribute reserved = {"groupId", 0, "a", 0}, good = {"known", 0, "yes", 0};
    const uint32_t lengths[] = {1, 1};
    size_t accepted = 9;
    fixture f = open_fixture(no_options);
    inlong_message m = message("x");
    m.attributes = &reserved;
    m.attribute_count = 1;
    for (int i = 0; i < 3; i++) {
        CHECK_INT(inlong_client_send_packed(f.client, PACK(&m, "ab", 2, lengths, 2, NULL, 0), 0, &accepted),
                  INLONG_ERR_LOG_INVALID);
        CHECK_TEXT(inlong_last_error(), "reserved");
        CHECK_INT((long long)accepted, 0);
        CHECK_INT(ring_of(f.client)->names, 0);
        CHECK_INT(inlong_client_send_async(f.client, &m, NULL, NULL), INLONG_ERR_LOG_INVALID);
    }
    m.attributes = &good;
    CHECK_INT(inlong_client_send_packed(f.client, PACK(&m, "ab", 2, lengths, 2, NULL, 0), 0, &accepted), INLONG_OK);
    CHECK_INT(ring_of(f.client)->names, 1);
    close_fixture(&f);
}

/* A chunk of its full size would take the whole of a small bound: none was ever begun, and each message was a call of the core. */
static void small_bound_has_a_ring(void)
{
    fixture f = open_fixture((const char *const[]){"max_pending_messages", "100", "block_if_queue_is_full", "true", NULL});
    inlong_message m = message("x");
    tally t = TALLY;
    for (int i = 0; i < 1000; i++)
        CHECK_INT(inlong_client_send_async(f.client, &m, tally_result, &t), INLONG_OK);
    CHECK(chunks(f.client) > 0);
    CHECK_INT(inlong_client_flush(f.client, 20000), INLONG_OK);
    CHECK_INT(t.acked, 1000);
    close_fixture(&f);
}

/* ---- beside the core's own answer ---- */

/* What is wrong with a message is told at once, also where those in front of it are not with the core yet; and those have their results. */
static void faults_are_told_at_once(void)
{
    fixture f = open_fixture(no_options);
    tally t = TALLY;
    inlong_message m = message("x"), bad = message("x"), many[3] = {m, m, m};
    uint32_t lengths[3] = {1, 1, 0};
    size_t accepted;
    bad.stream_id = "not a stream";
    many[2] = bad;
    for (int i = 0; i < 100; i++) {
        CHECK_INT(inlong_client_send_async(f.client, &m, tally_result, &t), INLONG_OK);
        CHECK_INT(inlong_client_send_async(f.client, &bad, tally_result, &t), INLONG_ERR_LOG_INVALID);
        CHECK_TEXT(inlong_last_error(), "stream id \"not a stream\"");
        CHECK_INT(inlong_client_send_many(f.client, many, 3, tally_result, &t, &accepted), INLONG_ERR_LOG_INVALID);
        CHECK_INT(accepted, 2);
        CHECK_INT(inlong_client_send_packed(f.client, PACK(&m, "xx", 2, lengths, 3, NULL, INLONG_PACKED_SINGLES), 0, &accepted),
                  INLONG_ERR_LOG_INVALID);
        CHECK_INT(accepted, 2);
    }
    tally polled = TALLY;
    poll_all(f.client, &polled, 200);
    CHECK_INT(inlong_client_flush(f.client, 20000), INLONG_OK);
    CHECK_INT(t.acked, 300);
    CHECK_INT(polled.acked, 200);
    CHECK_INT(received(f.mock), 500);
    close_fixture(&f);
}

/* A chunk that was begun for a message that was refused then was waited for by all flushes of the slot's next client, and kept room. */
static void refused_message_is_nothing_to_the_next_client(void)
{
    fixture f = open_fixture(no_options);
    inlong_message bad = message("x");
    bad.stream_id = "not a stream";
    CHECK_INT(inlong_client_send_async(f.client, &bad, NULL, NULL), INLONG_ERR_LOG_INVALID);
    CHECK_INT(chunks(f.client), 0);
    CHECK_INT(atomic_load(&ring_of(f.client)->granted), 0);
    CHECK_INT(inlong_client_flush(f.client, INLONG_NO_TIMEOUT), INLONG_OK);
    inlong_slot *slot = inlong_client_slot(f.client);
    CHECK_INT(inlong_client_close(f.client, 5000, NULL), INLONG_OK);
    f.client = open_client(f.url, no_options);
    CHECK(inlong_client_slot(f.client) == slot);
    CHECK_INT(inlong_client_flush(f.client, INLONG_NO_TIMEOUT), INLONG_OK);
    close_fixture(&f);
}

struct late_sender {
    inlong_slot *slot;
    uintptr_t client;
    size_t put;
};

static void *put_one_too_many(void *argument)
{
    enum { COUNT = INLONG_CHUNK_MESSAGES + 1 };
    static char data[COUNT];
    static uint32_t lengths[COUNT];
    struct late_sender *late = argument;
    for (int i = 0; i < COUNT; i++)
        lengths[i] = 1;
    inlong_message m = message("x");
    inlong_core_call call = {.kind = INLONG_CALL_SUBMIT_PACKED,
                             .handle = late->client,
                             .message = &m,
                             .data = data,
                             .lengths = lengths,
                             .count = COUNT,
                             .timeout_ms = 60000};
    int64_t unused;
    late->put = inlong_ring_feed(late->slot, &call, &unused);
    return NULL;
}

/* A thread that waits for a chunk may sleep through the end of its client and the making of the slot's next one: its message went to that
 * one. */
static void waiting_sender_puts_nothing_into_the_next_client(void)
{
    pthread_t thread;
    inlong_slot *slot = calloc(1, sizeof *slot);
    inlong_stripe *s = slot->ring.stripes;
    struct late_sender late = {slot, 3, 0};
    inlong_ring_init(&slot->ring);
    atomic_store(&slot->handle, late.client);
    inlong_ring_open(slot);
    atomic_store(&slot->ring.most, 2);
    atomic_store(&slot->ring.longest, 1);
    atomic_store(&slot->ring.least, INLONG_CHUNK_MESSAGES);
    atomic_store(&slot->ring.room, 2 * INLONG_CHUNK_MESSAGES);
    CHECK_INT(pthread_create(&thread, NULL, put_one_too_many, &late), 0);
    pthread_mutex_lock(&s->mutex);
    while (s->waiting == 0) {
        pthread_mutex_unlock(&s->mutex);
        sched_yield();
        pthread_mutex_lock(&s->mutex);
    }
    free(s->filling);
    s->filling = NULL;
    atomic_store(&slot->handle, late.client + 2);
    pthread_cond_broadcast(&s->handed);
    pthread_mutex_unlock(&s->mutex);
    CHECK_INT(pthread_join(thread, NULL), 0);
    CHECK_INT(late.put, INLONG_CHUNK_MESSAGES);
    CHECK(s->filling == NULL);
    inlong_ring_end(slot);
    free(slot);
}

/* That came with the core's goroutine only: until it ran, sends to a client whose senders wait for room failed after a second. */
static void new_client_knows_how_long_its_sends_may_wait(void)
{
    for (int i = 0; i < 20; i++) {
        fixture f = open_fixture((const char *const[]){"block_if_queue_is_full", "true", "send_timeout", "7s", NULL});
        CHECK(ring_of(f.client)->waits);
        CHECK_INT(ring_of(f.client)->send_timeout_ms, 7000);
        close_fixture(&f);
    }
}

/* Who has sent finds it in the numbers, and in those of the close; but where the core takes it too late. */
static void accepted_messages_are_counted(void)
{
    enum { STATS_WAIT_MS = 99 }; /* 100 at most, cut */
    char stats[1 << 14];
    fixture f = open_fixture(no_options);
    inlong_message m = message("x");
    inlong_close_report report = {.struct_size = sizeof report};
    for (int i = 1; i <= 100; i++) {
        CHECK_INT(inlong_client_send_async(f.client, &m, NULL, NULL), INLONG_OK);
        int64_t began = inlong_now_ms();
        CHECK(inlong_client_stats(f.client, stats, sizeof stats) > 0);
        if (inlong_now_ms() - began < STATS_WAIT_MS)
            CHECK_INT(json_number(stats, "accepted"), i);
    }
    for (int i = 0; i < 5000; i++)
        CHECK_INT(inlong_client_send_async(f.client, &m, NULL, NULL), INLONG_OK);
    CHECK_INT(inlong_client_close(f.client, 20000, &report), INLONG_OK);
    CHECK_INT(report.acked, 5100);
    CHECK_INT(report.unpolled, 5100);
    CHECK_INT(inlong_client_drop_results(f.client), 5100);
    f.client = NULL;
    close_fixture(&f);
}

#ifndef CHECK_ASAN /* which does not know the end of a stack that is cancelled */
static atomic_long calls;

/* Ended in the moment of a wait a thread would take a lock with it. */
static void *send_until_cancelled(void *client)
{
    static inlong_message many[256];
    for (int i = 0; i < 256; i++)
        many[i] = message("x");
    for (;;) {
        (void)inlong_client_send_many(client, many, 256, NULL, NULL, NULL);
        calls++;
        pthread_testcancel();
    }
    return NULL;
}

static void cancelled_threads_leave_no_lock(void)
{
    fixture f = open_fixture((const char *const[]){"max_pending_messages", "50000", NULL});
    for (int i = 0; i < 20; i++) {
        pthread_t threads[INLONG_STRIPES + 1];
        for (int j = 0; j <= INLONG_STRIPES; j++)
            CHECK_INT(pthread_create(&threads[j], NULL, send_until_cancelled, f.client), 0);
        for (long before = calls; calls < before + 100;)
            sched_yield();
        for (int j = 0; j <= INLONG_STRIPES; j++)
            pthread_cancel(threads[j]);
        for (int j = 0; j <= INLONG_STRIPES; j++)
            CHECK_INT(pthread_join(threads[j], NULL), 0);
        CHECK(inlong_client_drop_results(f.client) >= 0);
    }
    CHECK_INT(inlong_client_close(f.client, 20000, NULL), INLONG_OK);
    CHECK(inlong_client_drop_results(f.client) != INLONG_ERR_ARG);
    f.client = NULL;
    close_fixture(&f);
}
#endif

static const check_test tests[] = {
    {"messages_arrive_as_given", messages_arrive_as_given},
    {"attributes_arrive_as_given", attributes_arrive_as_given},
    {"faults_of_attributes_are_told_at_once", faults_of_attributes_are_told_at_once},
    {"name_refused_in_a_packed_call_is_not_learnt", name_refused_in_a_packed_call_is_not_learnt},
    {"small_bound_has_a_ring", small_bound_has_a_ring},
    {"faults_are_told_at_once", faults_are_told_at_once},
    {"refused_message_is_nothing_to_the_next_client", refused_message_is_nothing_to_the_next_client},
    {"waiting_sender_puts_nothing_into_the_next_client", waiting_sender_puts_nothing_into_the_next_client},
    {"new_client_knows_how_long_its_sends_may_wait", new_client_knows_how_long_its_sends_may_wait},
    {"accepted_messages_are_counted", accepted_messages_are_counted},
#ifndef CHECK_ASAN
    {"cancelled_threads_leave_no_lock", cancelled_threads_leave_no_lock},
#endif
};

CHECK_MAIN("ring", tests)
