/* The ways to send, and what a result says. */
#include "fixture.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

static const char *const no_options[] = {NULL};

static void send_returns_when_acked(void)
{
    fixture f = open_fixture(no_options);
    inlong_message m = message("hello");
    inlong_result r;
    memset(&r, '#', sizeof r);
    r.struct_size = sizeof r;
    CHECK_INT(inlong_client_send(f.client, &m, 5000, &r), INLONG_OK);
    CHECK_INT(received(f.mock), 1);
    CHECK_INT(r.code, INLONG_OK);
    CHECK_INT(r.persisted, INLONG_ACKED);
    CHECK_INT(r.attempts, 1);
    CHECK_INT(r.count, 1);
    CHECK_INT(r.server_code + r.retriable + r.reserved, 0);
    CHECK(r.user == NULL && *r.text == 0 && *r.server_message == 0);
    CHECK_TEXT(r.node, "127.0.0.1:");
    CHECK(strlen(r.batch_id) > 8);
    CHECK_INT(inlong_client_send(f.client, &m, INLONG_NO_TIMEOUT, NULL), INLONG_OK);
    close_fixture(&f);
}

/* Bytes, ids, attributes and the time must arrive as given, by length and by NUL. */
static void everything_arrives_as_given(void)
{
    fixture f = open_fixture(no_options);
    inlong_attribute attributes[] = {{"color", 0, "blue!", 4}, {"sizeXX", 4, "", 0}};
    inlong_message m = {.struct_size = sizeof m};
    m.group_id = "other_group and more";
    m.group_id_len = 11;
    m.stream_id = "stream_7";
    m.payload = "\0\xff\n&=";
    m.payload_len = 5;
    m.attributes = attributes;
    m.attribute_count = 2;
    m.time_ms = 1700000000123;
    CHECK_INT(inlong_client_send(f.client, &m, 5000, NULL), INLONG_OK);
    const char *answer = control(f.mock, "{\"op\":\"messages\"}");
    CHECK_TEXT(answer, "\"payload\":\"AP8KJj0=\"");
    CHECK_TEXT(answer, "\"group\":\"other_group\"");
    CHECK_TEXT(answer, "\"stream\":\"stream_7\"");
    CHECK_TEXT(answer, "\"color\":\"blue\"");
    CHECK_TEXT(answer, "\"size\":\"\"");
    CHECK_TEXT(answer, "\"dt\":\"1700000000123\"");
    close_fixture(&f);
}

/* Each callback once, with its own user data and the message's memory already re-used. */
static void callback_comes_once_for_each(void)
{
    enum { COUNT = 5000 };
    static tally tallies[COUNT];
    fixture f = open_fixture(no_options);
    char text[32];
    for (int i = 0; i < COUNT; i++) {
        tallies[i] = (tally)TALLY;
        snprintf(text, sizeof text, "message %d", i);
        inlong_message m = message(text);
        CHECK_INT(inlong_client_send_async(f.client, &m, tally_result, &tallies[i]), INLONG_OK);
    }
    memset(text, '#', sizeof text);
    CHECK_INT(inlong_client_flush(f.client, 10000), INLONG_OK);
    for (int i = 0; i < COUNT; i++) {
        CHECK_INT(tallies[i].acked, 1);
        CHECK_INT(tallies[i].failed, 0);
        CHECK(tallies[i].last.user == &tallies[i]);
        CHECK_INT(tallies[i].last.count, 1);
    }
    CHECK_INT(received(f.mock), COUNT);
    CHECK(strstr(control(f.mock, "{\"op\":\"messages\",\"limit\":10000}"), "IyMj") == NULL);
    close_fixture(&f);
}

/* User data is a number to the library: a small one is no bad pointer. */
static long seen[5];

static void note_user(const inlong_result *result, void *user)
{
    (void)result;
    for (int i = 0; i < 5; i++)
        if (!seen[i]) {
            seen[i] = (long)(intptr_t)user;
            return;
        }
}

static void user_data_may_be_any_number(void)
{
    static const intptr_t values[] = {1, 2, 255, 4095, -1};
    fixture f = open_fixture(no_options);
    inlong_message m = message("x");
    for (int i = 0; i < 5; i++)
        CHECK_INT(inlong_client_send_async(f.client, &m, note_user, (void *)values[i]), INLONG_OK);
    CHECK_INT(inlong_client_flush(f.client, 10000), INLONG_OK);
    for (int i = 0; i < 5; i++)
        CHECK_INT(seen[i], values[i]);
    close_fixture(&f);
}

static void send_many_accepts_up_to_a_faulty_one(void)
{
    enum { COUNT = 200, BAD = 150 };
    fixture f = open_fixture(no_options);
    inlong_message many[COUNT];
    tally all = TALLY, own = TALLY;
    for (int i = 0; i < COUNT; i++)
        many[i] = message("one of many");
    many[7].user = &own; /* replaces the call's */
    size_t accepted = 0;
    CHECK_INT(inlong_client_send_many(f.client, many, 100, tally_result, &all, &accepted), INLONG_OK);
    CHECK_INT(accepted, 100);
    tally_wait(&own, 1);
    tally_wait(&all, 99);

    many[BAD].struct_size = 3;
    CHECK_INT(inlong_client_send_many(f.client, many + 100, 100, tally_result, &all, &accepted), INLONG_ERR_ABI);
    CHECK_TEXT(inlong_last_error(), "struct_size is 3");
    CHECK_INT(accepted, BAD - 100);
    tally_wait(&all, 99 + 50);

    many[BAD] = message("");
    CHECK_INT(inlong_client_send_many(f.client, many + 100, 100, tally_result, &all, &accepted), INLONG_ERR_LOG_INVALID);
    CHECK_TEXT(inlong_last_error(), "payload");
    CHECK_INT(accepted, BAD - 100);
    CHECK_INT(inlong_client_flush(f.client, 10000), INLONG_OK);
    CHECK_INT(all.acked, 99 + 50 + 50);
    CHECK_INT(inlong_client_send_many(f.client, NULL, 0, NULL, NULL, &accepted), INLONG_OK);
    CHECK_INT(accepted, 0);
    close_fixture(&f);
}

/* A node that refuses: no success may be told, and the server's own words must come through. */
static void server_error_is_told_in_full(void)
{
    fixture f = open_fixture(no_options);
    for (int i = 0; i < 3; i++) {
        char request[128];
        snprintf(request, sizeof request,
                 "{\"op\":\"fault\",\"node\":%d,\"standing\":true,\"fault\":{\"kind\":\"error_code\",\"code\":100}}", i);
        control(f.mock, request);
    }
    inlong_message m = message("x");
    inlong_result r = {.struct_size = sizeof r};
    CHECK_INT(inlong_client_send(f.client, &m, 5000, &r), INLONG_ERR_SERVER_ERROR);
    CHECK_INT(r.code, INLONG_ERR_SERVER_ERROR);
    CHECK_INT(r.server_code, 100);
    CHECK_INT(r.attempts, 1);
    CHECK_INT(r.retriable, 0);
    CHECK_TEXT(r.node, "127.0.0.1:");
    CHECK_TEXT(r.text, "server error");
    CHECK_TEXT(r.text, "[code 10011, node ");
    CHECK_TEXT(inlong_last_error(), "server code 100");

    tally t = TALLY;
    CHECK_INT(inlong_client_send_async(f.client, &m, tally_result, &t), INLONG_OK);
    tally_wait(&t, 1);
    CHECK_INT(t.failed, 1);
    CHECK_INT(t.last.server_code, 100);
    CHECK(strlen(t.last.batch_id) > 8);
    close_fixture(&f);
}

/* The node's words took all the room of a text, and its end, which has the code, was cut off. */
static void a_long_error_ends_with_its_code(void)
{
    char words[800] = "", request[1000];
    fixture f = open_fixture(no_options);
    memset(words, 'w', sizeof words - 1);
    for (int i = 0; i < 3; i++) {
        snprintf(
            request, sizeof request,
            "{\"op\":\"fault\",\"node\":%d,\"standing\":true,\"fault\":{\"kind\":\"error_code\",\"code\":100,\"text\":\"%s\"}}", i,
            words);
        control(f.mock, request);
    }
    inlong_message m = message("x");
    inlong_result r = {.struct_size = sizeof r};
    CHECK_INT(inlong_client_send(f.client, &m, 5000, &r), INLONG_ERR_SERVER_ERROR);
    CHECK_TEXT(r.text, "server error: server code 100 (www");
    CHECK_TEXT(r.text, "www... [code 10011, node ");
    CHECK_TEXT(r.text, ", attempts 1]");
    close_fixture(&f);
}

/* Silence: the caller's bound holds, and the result says that the message may have arrived. */
static void timeout_of_send_holds(void)
{
    fixture f = open_fixture(no_options);
    for (int i = 0; i < 3; i++) {
        char request[128];
        snprintf(request, sizeof request, "{\"op\":\"fault\",\"node\":%d,\"standing\":true,\"fault\":{\"kind\":\"silence\"}}", i);
        control(f.mock, request);
    }
    inlong_message m = message("x");
    inlong_result r = {.struct_size = sizeof r};
    int code = inlong_client_send(f.client, &m, 300, &r);
    CHECK(code == INLONG_ERR_CONTEXT_EXPIRED || code == INLONG_ERR_SEND_TIMEOUT);
    CHECK_INT(r.code, code);
    CHECK_INT(r.retriable, 1);
    inlong_close_report report = {.struct_size = sizeof report};
    inlong_client_close(f.client, 100, &report);
    f.client = NULL;
    close_fixture(&f);
}

/* Without the option a full queue is told at once and nothing is lost; with it the call waits. */
static void full_queue_is_told_or_waited_for(void)
{
    enum { COUNT = 2000 };
    fixture f = open_fixture((const char *const[]){"max_pending_messages", "1", "worker_num", "1", NULL});
    tally t = TALLY;
    inlong_message m = message("x");
    int code = INLONG_OK;
    long accepted = 0;
    while ((code = inlong_client_send_async(f.client, &m, tally_result, &t)) == INLONG_OK)
        CHECK(++accepted < 100000);
    CHECK_INT(code, INLONG_ERR_QUEUE_FULL);
    CHECK_INT(inlong_client_flush(f.client, 10000), INLONG_OK);
    CHECK_INT(t.acked, accepted);

    inlong_client *waiting = open_client(
        f.url, (const char *const[]){"max_pending_messages", "10", "worker_num", "1", "block_if_queue_is_full", "true", NULL});
    for (int i = 0; i < COUNT; i++)
        CHECK_INT(inlong_client_send_async(waiting, &m, tally_result, &t), INLONG_OK);
    tally_wait(&t, accepted + COUNT);
    CHECK_INT(inlong_client_close(waiting, 5000, NULL), INLONG_OK);
    close_fixture(&f);
}

static void *send_and_wait_for_room(void *client)
{
    inlong_message m = message("x");
    return (void *)(intptr_t)inlong_client_send_async(client, &m, NULL, NULL);
}

/* Few threads at a time are let into a client; one that waits for room must not stand in the way of the next, or each would wait
 * for all before it. */
static void threads_wait_for_room_beside_each_other(void)
{
    enum { THREADS = 8, ROOM = 10 };
    fixture f = open_fixture((const char *const[]){"max_pending_messages", "10", "worker_num", "1", "block_if_queue_is_full",
                                                   "true", "send_timeout", "2s", NULL});
    for (int i = 0; i < 3; i++) {
        char request[128];
        snprintf(request, sizeof request, "{\"op\":\"fault\",\"node\":%d,\"standing\":true,\"fault\":{\"kind\":\"silence\"}}", i);
        control(f.mock, request);
    }
    pthread_t threads[THREADS];
    struct timespec begin, end;
    inlong_message m = message("x");
    for (int i = 0; i < ROOM; i++)
        CHECK_INT(inlong_client_send_async(f.client, &m, NULL, NULL), INLONG_OK);
    clock_gettime(CLOCK_MONOTONIC, &begin);
    for (int i = 0; i < THREADS; i++)
        CHECK_INT(pthread_create(&threads[i], NULL, send_and_wait_for_room, f.client), 0);
    for (int i = 0; i < THREADS; i++) {
        void *code;
        CHECK_INT(pthread_join(threads[i], &code), 0);
        CHECK((intptr_t)code == INLONG_OK || (intptr_t)code == INLONG_ERR_SEND_TIMEOUT);
    }
    clock_gettime(CLOCK_MONOTONIC, &end);
    CHECK(end.tv_sec - begin.tv_sec < 10); /* not two seconds for each */
    close_fixture(&f);
}

/* A bulk sender that waits for room must get its call back in time, with the number that were taken. */
static void packed_wait_for_room_is_bounded(void)
{
    enum { COUNT = 100, ROOM = 10 };
    fixture f = open_fixture((const char *const[]){"max_pending_messages", "10", "worker_num", "1", "block_if_queue_is_full",
                                                   "true", "send_timeout", "20s", NULL});
    for (int i = 0; i < 3; i++) {
        char request[128];
        snprintf(request, sizeof request, "{\"op\":\"fault\",\"node\":%d,\"standing\":true,\"fault\":{\"kind\":\"silence\"}}", i);
        control(f.mock, request);
    }
    char data[COUNT];
    uint32_t lengths[COUNT];
    memset(data, 'x', sizeof data);
    for (int i = 0; i < COUNT; i++)
        lengths[i] = 1;
    int64_t took = INT64_MAX;
    for (int i = 0; i < 2 || (i < 10 && took >= 2000); i++) { /* another process may hold up one of them */
        const int64_t timeout_ms = i == 0 ? 0 : 200;
        struct timespec begin, end;
        inlong_message model = message("");
        size_t accepted = 0;
        clock_gettime(CLOCK_MONOTONIC, &begin);
        int code = inlong_client_send_packed(f.client, PACK(&model, data, COUNT, lengths, COUNT, NULL, 0), timeout_ms, &accepted);
        clock_gettime(CLOCK_MONOTONIC, &end);
        CHECK_INT(code, INLONG_ERR_CONTEXT_EXPIRED);
        CHECK_INT(accepted, timeout_ms == 0 ? ROOM : 0);
        took = (end.tv_sec - begin.tv_sec) * 1000 + (end.tv_nsec - begin.tv_nsec) / 1000000;
        CHECK(took >= timeout_ms - 1);
    }
    CHECK(took < 2000);
    inlong_client_close(f.client, 0, NULL);
    f.client = NULL;
    close_fixture(&f);
}

static void all_nodes_are(inlong_mock *mock, const char *fault)
{
    for (int i = 0; i < 3; i++) {
        char request[160];
        snprintf(request, sizeof request, "{\"op\":\"fault\",\"node\":%d,\"standing\":true,\"fault\":{%s}}", i, fault);
        control(mock, request);
    }
}

/* Sends until it is refused; user: the client. Returns how many were accepted. */
static void *send_until_full(void *user)
{
    inlong_message m = message("x");
    intptr_t accepted = 0;
    int code;
    while ((code = inlong_client_send_async(user, &m, NULL, NULL)) == INLONG_OK)
        accepted++;
    CHECK_INT(code, INLONG_ERR_QUEUE_FULL);
    return (void *)accepted;
}

/* What one thread had room for in the front was given to another by the core, too: half as many again as the bound allows were accepted.
 * Here the first message of a thread is refused, which leaves it with such room. */
static void the_bound_holds_for_all_threads_together(void)
{
    enum { BOUND = 1000 };
    fixture f = open_fixture((const char *const[]){"max_pending_messages", "1000", "worker_num", "1", NULL});
    inlong_message m = message("x"), bad = message("x");
    bad.stream_id = "b&d";
    CHECK_INT(inlong_client_send(f.client, &m, 10000, NULL), INLONG_OK);
    all_nodes_are(f.mock, "\"kind\":\"silence\"");
    CHECK_INT(inlong_client_send_async(f.client, &bad, NULL, NULL), INLONG_ERR_LOG_INVALID);
    pthread_t thread;
    void *others;
    CHECK_INT(pthread_create(&thread, NULL, send_until_full, f.client), 0);
    pthread_join(thread, &others);
    CHECK_INT((intptr_t)others, BOUND);
    CHECK_INT((intptr_t)send_until_full(f.client), 0);
    inlong_client_close(f.client, 0, NULL);
    f.client = NULL;
    close_fixture(&f);
}

struct steady {
    inlong_client *client;
    atomic_bool ends;
};

static void *send_steadily(void *user)
{
    struct steady *s = user;
    inlong_message m = message("x");
    for (; !atomic_load(&s->ends); usleep(2000))
        CHECK_INT(inlong_client_send_async(s->client, &m, NULL, NULL), INLONG_OK);
    return NULL;
}

/* A flush was begun anew each second, and waited then for what had been sent meanwhile: beside a sender, and with acks that take longer, it
 * ended by its time-out alone. */
static void flush_waits_for_what_came_before_it_alone(void)
{
    fixture f = open_fixture(no_options);
    struct steady s = {.client = f.client};
    pthread_t thread;
    all_nodes_are(f.mock, "\"kind\":\"delay\",\"delay_ms\":1500");
    inlong_message m = message("x");
    CHECK_INT(inlong_client_send_async(f.client, &m, NULL, NULL), INLONG_OK);
    CHECK_INT(pthread_create(&thread, NULL, send_steadily, &s), 0);
    CHECK_INT(inlong_client_flush(f.client, 15000), INLONG_OK);
    atomic_store(&s.ends, true);
    pthread_join(thread, NULL);
    close_fixture(&f);
}

static const check_test tests[] = {
    {"send_returns_when_acked", send_returns_when_acked},
    {"everything_arrives_as_given", everything_arrives_as_given},
    {"callback_comes_once_for_each", callback_comes_once_for_each},
    {"user_data_may_be_any_number", user_data_may_be_any_number},
    {"send_many_accepts_up_to_a_faulty_one", send_many_accepts_up_to_a_faulty_one},
    {"server_error_is_told_in_full", server_error_is_told_in_full},
    {"a_long_error_ends_with_its_code", a_long_error_ends_with_its_code},
    {"timeout_of_send_holds", timeout_of_send_holds},
    {"full_queue_is_told_or_waited_for", full_queue_is_told_or_waited_for},
    {"threads_wait_for_room_beside_each_other", threads_wait_for_room_beside_each_other},
    {"packed_wait_for_room_is_bounded", packed_wait_for_room_is_bounded},
    {"the_bound_holds_for_all_threads_together", the_bound_holds_for_all_threads_together},
    {"flush_waits_for_what_came_before_it_alone", flush_waits_for_what_came_before_it_alone},
};

CHECK_MAIN("send", tests)
