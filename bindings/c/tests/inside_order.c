/* inside_order.c - the way in through the front's own memory keeps the order of what a thread sends, and of threads that take turns. Built
 * with the front's own sources. */
#include "inside_ring.h"

typedef struct sender {
    inlong_client *client;
    const char *stream;
    long count, sent, full;
    atomic_long next; /* that is to have its result */
} sender;

/* User data are a sender's own numbers: the callback of each must be the next. */
typedef struct mark {
    sender *by;
    long number;
} mark;

/* Results wait until the queue was full once, however slow the senders are. */
static atomic_bool held;

static void next_in_order(const inlong_result *result, void *user)
{
    mark *m = user;
    while (atomic_load(&held))
        sched_yield();
    CHECK_INT(result->code, INLONG_OK);
    CHECK_INT(m->number, m->by->next);
    m->by->next++;
    free(m);
}

static mark *new_mark(sender *s)
{
    mark *m = malloc(sizeof *m);
    CHECK(m != NULL);
    *m = (mark){s, s->sent};
    return m;
}

/* By all ways, those that the front accepts and those that it leaves to the core. */
static int send_one(sender *s)
{
    static const inlong_attribute attribute = {"k", 0, "v", 0};
    inlong_message m = message("x");
    mark *k = new_mark(s);
    int code;
    m.stream_id = s->stream;
    if (s->sent % 97 == 0) {
        m.attributes = &attribute;
        m.attribute_count = 1;
    }
    if (s->sent % 89 == 0)
        m.time_ms = 1700000000000;
    if (s->sent % 3 == 0) {
        m.user = k;
        code = inlong_client_send_many(s->client, &m, 1, next_in_order, NULL, NULL);
    } else {
        code = inlong_client_send_async(s->client, &m, next_in_order, k);
    }
    if (code == INLONG_OK)
        s->sent++;
    else
        free(k);
    return code;
}

static void *send_all(void *argument)
{
    sender *s = argument;
    while (s->sent < s->count) {
        int code = send_one(s);
        CHECK(code == INLONG_OK || code == INLONG_ERR_QUEUE_FULL);
        if (code != INLONG_OK) {
            s->full++;
            atomic_store(&held, false);
            sched_yield();
        }
    }
    return NULL;
}

/* The queue is full every now and then: what is refused is sent again, and nothing after it may have overtaken it. */
static void order_of_a_thread_is_kept_beside_a_full_queue(void)
{
    enum { SENDERS = 4 };
    static const char *const streams[SENDERS] = {"a", "b", "c", "d"};
    static sender senders[SENDERS];
    pthread_t threads[SENDERS];
    fixture f = open_fixture((const char *const[]){"ordered", "true", "max_pending_messages", "1000", NULL});
    long full = 0, count = 20000L * check_rounds(5);
    atomic_store(&held, true);
    for (int i = 0; i < SENDERS; i++) {
        senders[i] = (sender){.client = f.client, .stream = streams[i], .count = count};
        CHECK_INT(pthread_create(&threads[i], NULL, send_all, &senders[i]), 0);
    }
    for (int i = 0; i < SENDERS; i++)
        CHECK_INT(pthread_join(threads[i], NULL), 0);
    CHECK_INT(inlong_client_flush(f.client, 30000), INLONG_OK);
    for (int i = 0; i < SENDERS; i++) {
        CHECK_INT(senders[i].next, count);
        full += senders[i].full;
    }
    printf("    %ld messages in order, %ld times the queue was full\n", SENDERS * count, full);
    CHECK(full > 0);
    CHECK(chunks(f.client) > 0);
    close_fixture(&f);
}

static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;

static void *send_in_turn(void *argument)
{
    sender *s = argument;
    for (bool more = true; more;) {
        pthread_mutex_lock(&turn);
        more = s->sent < s->count;
        if (more)
            CHECK_INT(send_one(s), INLONG_OK);
        pthread_mutex_unlock(&turn);
        sched_yield();
    }
    return NULL;
}

/* Threads that wait for each other are one sender to an ordered client, whatever each has put in before. */
static void order_of_threads_that_take_turns_is_kept(void)
{
    enum { THREADS = 4 };
    pthread_t threads[THREADS];
    fixture f = open_fixture((const char *const[]){"ordered", "true", NULL});
    static sender s;
    s = (sender){.client = f.client, .stream = "one", .count = 4000};
    for (int i = 0; i < THREADS; i++)
        CHECK_INT(pthread_create(&threads[i], NULL, send_in_turn, &s), 0);
    for (int i = 0; i < THREADS; i++)
        CHECK_INT(pthread_join(threads[i], NULL), 0);
    CHECK_INT(inlong_client_flush(f.client, 30000), INLONG_OK);
    CHECK_INT(s.next, s.count);
    close_fixture(&f);
}

/* What the core has not taken may not be overtaken: a call waited for that without an end, whatever its own bound. */
static void bounded_call_ends_behind_what_is_not_taken(void)
{
    enum { LARGE = 64 << 10, MOST = 1000 };
    static char data[LARGE];
    const uint32_t length = LARGE;
    fixture f = open_fixture(no_options);
    inlong_message m = message("x");
    inlong_packed packed = {.struct_size = sizeof packed, .model = &m, .data = data, .data_len = LARGE, .lengths = &length};
    tally t = TALLY;
    packed.count = 1;
    int code = INLONG_OK;
    CHECK_INT(inlong_client_send_async(f.client, &m, tally_result, &t), INLONG_OK);
    int own = hold_others(f.client);
    long sent = 1, large = 0;
    for (size_t accepted = 1; code == INLONG_OK && sent < MOST; sent++) {
        CHECK_INT(inlong_client_send_async(f.client, &m, tally_result, &t), INLONG_OK);
        code = inlong_client_send_packed(f.client, &packed, 10, &accepted);
        CHECK_INT(accepted, code == INLONG_OK);
        large += code == INLONG_OK;
    }
    CHECK_INT(code, INLONG_ERR_CONTEXT_EXPIRED);
    CHECK_TEXT(inlong_last_error(), "the library got no processor to take it");
    let_others_go(f.client, own);
    CHECK_INT(inlong_client_flush(f.client, 20000), INLONG_OK);
    CHECK_INT(t.acked, sent);
    CHECK_INT(inlong_client_drop_results(f.client), large);
    CHECK_INT(inlong_client_send_packed(f.client, &packed, 0, NULL), INLONG_OK);
    close_fixture(&f);
}

static const check_test tests[] = {
    {"bounded_call_ends_behind_what_is_not_taken", bounded_call_ends_behind_what_is_not_taken},
    {"order_of_a_thread_is_kept_beside_a_full_queue", order_of_a_thread_is_kept_beside_a_full_queue},
    {"order_of_threads_that_take_turns_is_kept", order_of_threads_that_take_turns_is_kept},
};

CHECK_MAIN("order", tests)
