/* The batch callback: one call for all messages of a batch, in order, beside callbacks of single messages. */
#include "fixture.h"

#include <stdatomic.h>
#include <stdlib.h>

enum { COUNT = 5000 };

static struct {
    pthread_mutex_t mutex;
    int calls, messages, out_of_order, other_user;
    intptr_t next;
    inlong_result last;
} seen = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static int mark;

static void see_batch(const inlong_result *result, void *const *users, size_t count, void *user)
{
    pthread_mutex_lock(&seen.mutex);
    seen.calls++;
    seen.messages += (int)count;
    seen.other_user += user != &mark;
    seen.out_of_order += result->count != count || result->user != users[0];
    for (size_t i = 0; i < count; i++)
        seen.out_of_order += (intptr_t)users[i] != seen.next++;
    seen.last = *result;
    pthread_mutex_unlock(&seen.mutex);
}

static void see_one(const inlong_result *result, void *user)
{
    pthread_mutex_lock(&seen.mutex);
    seen.messages++;
    seen.out_of_order += (intptr_t)user != seen.next++ || result->count != 1;
    pthread_mutex_unlock(&seen.mutex);
}

static fixture open_batched(const char *key, const char *value)
{
    char err[512];
    fixture f = open_fixture(NULL);
    inlong_options *o = inlong_options_new();
    CHECK_INT(inlong_options_set_batch_callback(o, see_batch, &mark), INLONG_OK);
    inlong_options_set(o, "url", f.url, err, sizeof err);
    inlong_options_set(o, "group_id", GROUP, err, sizeof err);
    CHECK_INT(inlong_options_set(o, "ordered", "true", err, sizeof err), INLONG_OK);
    if (key)
        CHECK_INT(inlong_options_set(o, key, value, err, sizeof err), INLONG_OK);
    CHECK_INT(inlong_client_new(o, &f.client, err, sizeof err), INLONG_OK);
    inlong_options_free(o);
    return f;
}

static void one_call_has_a_whole_batch(void)
{
    fixture f = open_batched(NULL, NULL);
    inlong_message m = message("batched");
    for (intptr_t i = 0; i < COUNT; i++)
        CHECK_INT(inlong_client_send_async(f.client, &m, NULL, (void *)i), INLONG_OK);
    CHECK_INT(inlong_client_flush(f.client, 10000), INLONG_OK);
    CHECK_INT(seen.messages, COUNT);
    CHECK_INT(seen.out_of_order, 0);
    CHECK_INT(seen.other_user, 0);
    CHECK(seen.calls >= COUNT / 50 && seen.calls < COUNT / 5);
    CHECK_INT(seen.last.code, INLONG_OK);
    CHECK_INT(seen.last.persisted, INLONG_ACKED);
    CHECK(*seen.last.node && *seen.last.batch_id);
    close_fixture(&f);
}

/* A batch of more messages than one call takes, and one of both kinds of messages: nothing is left out or overtaken. */
static void order_holds_across_calls_and_kinds(void)
{
    fixture f = open_batched("batching_max_messages", "2000");
    inlong_message m = message("b");
    for (intptr_t i = 0; i < COUNT; i++)
        CHECK_INT(inlong_client_send_async(f.client, &m, i % 700 == 3 ? see_one : NULL, (void *)i), INLONG_OK);
    CHECK_INT(inlong_client_flush(f.client, 10000), INLONG_OK);
    CHECK_INT(seen.messages, COUNT);
    CHECK_INT(seen.out_of_order, 0);
    CHECK(seen.calls >= COUNT / 512);
    close_fixture(&f);
}

static void packed_messages_count_up(void)
{
    fixture f = open_batched(NULL, NULL);
    static uint32_t lengths[COUNT];
    static char data[COUNT * 3];
    memset(data, 'x', sizeof data);
    for (int i = 0; i < COUNT; i++)
        lengths[i] = 3;
    inlong_message model = message("");
    for (int flags = 0; flags <= INLONG_PACKED_MERGE_ACKS; flags++) {
        size_t accepted;
        int code = inlong_client_send_packed(
            f.client, PACK(&model, data, sizeof data, lengths, COUNT, (void *)(intptr_t)(flags * COUNT), flags), 0, &accepted);
        CHECK_INT(code, INLONG_OK);
        CHECK_INT(accepted, COUNT);
        CHECK_INT(inlong_client_flush(f.client, 10000), INLONG_OK);
    }
    CHECK_INT(seen.messages, 2 * COUNT);
    CHECK_INT(seen.out_of_order, 0);
    close_fixture(&f);
}

static void failures_come_the_same_way(void)
{
    fixture f = open_batched(NULL, NULL);
    for (int i = 0; i < 3; i++) {
        char request[128];
        snprintf(request, sizeof request,
                 "{\"op\":\"fault\",\"node\":%d,\"standing\":true,\"fault\":{\"kind\":\"error_code\",\"code\":105}}", i);
        control(f.mock, request);
    }
    inlong_message m = message("refused");
    for (intptr_t i = 0; i < 100; i++)
        CHECK_INT(inlong_client_send_async(f.client, &m, NULL, (void *)i), INLONG_OK);
    CHECK_INT(inlong_client_flush(f.client, 10000), INLONG_OK);
    CHECK_INT(seen.messages, 100);
    CHECK_INT(seen.out_of_order, 0);
    CHECK_INT(seen.last.code, INLONG_ERR_SERVER_ERROR);
    CHECK_INT(seen.last.server_code, 105);
    CHECK(*seen.last.text);
    close_fixture(&f);
}

/* Who polls such a client would wait for ever. */
static void there_is_no_queue(void)
{
    fixture f = open_batched(NULL, NULL);
    inlong_result r = {.struct_size = sizeof r};
    CHECK_INT(inlong_client_poll(f.client, &r, 1, INLONG_NO_TIMEOUT), INLONG_ERR_ARG);
    CHECK_TEXT(inlong_last_error(), "batch callback");
    CHECK_INT(inlong_client_event_fd(f.client), INLONG_ERR_ARG);
    CHECK_INT(inlong_options_set_batch_callback(NULL, see_batch, NULL), INLONG_ERR_ARG);
    close_fixture(&f);
}

static atomic_int busy;

static void close_inside(const inlong_result *result, void *const *users, size_t count, void *user)
{
    (void)result, (void)users, (void)count;
    atomic_store(&busy, inlong_client_close(*(inlong_client **)user, 1000, NULL));
}

/* As in a message's own callback: begun, and not waited for by itself. */
static void it_may_close_the_client(void)
{
    char err[512];
    fixture f = open_fixture(NULL);
    inlong_options *o = inlong_options_new();
    inlong_options_set(o, "url", f.url, err, sizeof err);
    inlong_options_set(o, "group_id", GROUP, err, sizeof err);
    CHECK_INT(inlong_options_set_batch_callback(o, close_inside, &f.client), INLONG_OK);
    CHECK_INT(inlong_client_new(o, &f.client, err, sizeof err), INLONG_OK);
    inlong_options_free(o);
    inlong_message m = message("last");
    CHECK_INT(inlong_client_send_async(f.client, &m, NULL, NULL), INLONG_OK);
    while (!atomic_load(&busy))
        usleep(1000);
    CHECK_INT(busy, INLONG_ERR_WORKER_BUSY);
    while (inlong_client_stats(f.client, NULL, 0) != INLONG_ERR_HANDLE)
        usleep(1000);
    f.client = NULL;
    close_fixture(&f);
}

static const check_test tests[] = {
    {"one_call_has_a_whole_batch", one_call_has_a_whole_batch},
    {"order_holds_across_calls_and_kinds", order_holds_across_calls_and_kinds},
    {"packed_messages_count_up", packed_messages_count_up},
    {"failures_come_the_same_way", failures_come_the_same_way},
    {"there_is_no_queue", there_is_no_queue},
    {"it_may_close_the_client", it_may_close_the_client},
};

CHECK_MAIN("batch_callback", tests)
