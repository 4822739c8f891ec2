/* stub_core.c - a core without Go: acks everything from threads of its own. With it the sanitizers and valgrind see every thread and
 * every byte that the front has to do with; they cannot follow Go's stacks and locks. */
#include "../../../capi/front/front.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { LANES = 2, BATCH = 50, BOUND = 4096, SLOTS = 1 << INLONG_SLOT_BITS };

struct client {
    uintptr_t handle;
    inlong_core_host host;
    int users; /* calls and threads that use it */
    pthread_cond_t work, idle;
    inlong_core_tag *tags;
    size_t count, room;
    int up;   /* lanes that have started */
    int busy; /* lanes that deliver */
    bool closing;
    pthread_t lanes[LANES];
    int64_t acked;
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER; /* guards everything */
static struct client *clients[SLOTS];

static struct client **slot_of(uintptr_t handle) { return &clients[(handle >> 1) & (SLOTS - 1)]; }

/* Locks the mutex and keeps the client; NULL, unlocked, when the handle is none. */
static struct client *enter(uintptr_t handle)
{
    pthread_mutex_lock(&mutex);
    struct client *c = *slot_of(handle);
    if (c && c->handle == handle) {
        c->users++;
        return c;
    }
    pthread_mutex_unlock(&mutex);
    return NULL;
}

static void leave(struct client *c)
{
    bool last = --c->users == 0;
    pthread_mutex_unlock(&mutex);
    if (!last)
        return;
    pthread_cond_destroy(&c->work);
    pthread_cond_destroy(&c->idle);
    free(c->tags);
    free(c);
}

static void fill(inlong_result *r)
{
    memset(r, 0, sizeof *r);
    r->struct_size = sizeof *r;
    r->persisted = INLONG_ACKED;
    r->attempts = 1;
    strcpy(r->node, "127.0.0.1:1");
    strcpy(r->batch_id, "stub");
}

/* With the mutex held. */
static void deliver(struct client *c)
{
    inlong_core_tag tags[BATCH];
    size_t n = c->count < BATCH ? c->count : BATCH;
    memcpy(tags, c->tags, n * sizeof *tags);
    c->count -= n;
    memmove(c->tags, c->tags + n, c->count * sizeof *tags);
    c->busy++;
    pthread_mutex_unlock(&mutex);
    inlong_result r;
    fill(&r);
    c->host.deliver(c->handle, tags, n, &r);
    pthread_mutex_lock(&mutex);
    c->busy--;
    c->acked += (int64_t)n;
    pthread_cond_broadcast(&c->idle);
}

static void *lane(void *argument)
{
    struct client *c = argument;
    pthread_mutex_lock(&mutex);
    c->up++;
    pthread_cond_broadcast(&c->idle);
    for (;;) {
        if (c->count > 0)
            deliver(c);
        else if (c->closing)
            break;
        else
            pthread_cond_wait(&c->work, &mutex);
    }
    pthread_cond_broadcast(&c->idle);
    leave(c);
    return NULL;
}

static pthread_t start(void *(*run)(void *), struct client *c)
{
    pthread_attr_t detached;
    pthread_t thread;
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    c->users++;
    if (pthread_create(&thread, &detached, run, c) != 0)
        abort();
    pthread_attr_destroy(&detached);
    return thread;
}

static void put(struct client *c, uintptr_t a, uintptr_t b)
{
    if (c->count == c->room) {
        c->room = c->room ? 2 * c->room : 64;
        c->tags = realloc(c->tags, c->room * sizeof *c->tags);
    }
    c->tags[c->count++] = (inlong_core_tag){a, b};
    pthread_cond_signal(&c->work);
}

/* Takes what the front has accepted. */
static void *take_all(void *argument)
{
    struct client *c = argument;
    for (inlong_core_chunk *chunk = NULL;;) {
        pthread_mutex_lock(&mutex);
        inlong_core_intake intake = {.messages = BOUND - (int64_t)c->count, .bytes = 1 << 30, .nap_ns = 1000, .longest = 1 << 20};
        pthread_mutex_unlock(&mutex);
        if (!(chunk = c->host.take(c->handle, chunk, intake)))
            break;
        pthread_mutex_lock(&mutex);
        for (size_t i = 0; i < chunk->count; i++)
            put(c, chunk->tags[i].a, chunk->tags[i].b);
        pthread_mutex_unlock(&mutex);
    }
    pthread_mutex_lock(&mutex);
    leave(c);
    return NULL;
}

static int client_new(uintptr_t handle, inlong_core_option *options, size_t count, inlong_core_host host, inlong_core_text err)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(options[i].key, "group_id") == 0 && strcmp(options[i].value, "refused") == 0) {
            snprintf(err.buf, err.len, "group_id is refused");
            return INLONG_ERR_OPTION;
        }
    struct client *c = calloc(1, sizeof *c);
    c->handle = handle;
    c->host = host;
    c->users = 1;
    pthread_cond_init(&c->work, NULL);
    pthread_cond_init(&c->idle, NULL);
    if (host.log_level >= INLONG_LOG_WARN)
        host.log(handle, INLONG_LOG_WARN, "a client is made");
    pthread_mutex_lock(&mutex);
    for (int i = 0; i < LANES; i++)
        c->lanes[i] = start(lane, c);
    while (c->up < LANES) /* at a fork no thread may be in a sanitizer's allocator, as one that starts is */
        pthread_cond_wait(&c->idle, &mutex);
    *slot_of(handle) = c;
    (void)start(take_all, c);
    pthread_mutex_unlock(&mutex);
    return INLONG_OK;
}

static int submit(struct client *c, uintptr_t a, uintptr_t b)
{
    if (c->closing)
        return INLONG_ERR_CLOSED;
    if (c->count >= BOUND)
        return INLONG_ERR_QUEUE_FULL;
    put(c, a, b);
    return INLONG_OK;
}

static int client_submit(uintptr_t handle, inlong_message *m, uintptr_t a, uintptr_t b, inlong_core_text err)
{
    (void)m, (void)err;
    struct client *c = enter(handle);
    if (!c)
        return INLONG_ERR_HANDLE;
    int code = submit(c, a, b);
    leave(c);
    return code;
}

static int client_submit_many(uintptr_t handle, inlong_message *m, size_t count, uintptr_t a, uintptr_t b, size_t *accepted,
                              inlong_core_text err)
{
    (void)err;
    struct client *c = enter(handle);
    if (!c)
        return INLONG_ERR_HANDLE;
    int code = INLONG_OK;
    for (size_t i = 0; i < count && (code = submit(c, a, m[i].user ? (uintptr_t)m[i].user : b)) == INLONG_OK; i++)
        ++*accepted;
    leave(c);
    return code;
}

static int client_submit_packed(uintptr_t handle, inlong_message *model, void *data, size_t data_len, uint32_t *lengths,
                                size_t count, uintptr_t a, uintptr_t b, int bulk, int64_t timeout_ms, size_t *accepted,
                                inlong_core_text err)
{
    (void)model, (void)data, (void)data_len, (void)lengths, (void)bulk, (void)timeout_ms, (void)err;
    struct client *c = enter(handle);
    if (!c)
        return INLONG_ERR_HANDLE;
    int code = INLONG_OK;
    for (size_t i = 0; i < count && (code = submit(c, a, b + i)) == INLONG_OK; i++)
        ++*accepted;
    leave(c);
    return code;
}

static int client_send(uintptr_t handle, inlong_message *m, int64_t timeout_ms, inlong_result *r, inlong_core_text err)
{
    (void)m, (void)timeout_ms, (void)err;
    struct client *c = enter(handle);
    if (!c)
        return INLONG_ERR_HANDLE;
    c->acked++;
    leave(c);
    fill(r);
    return INLONG_OK;
}

static bool is_lane(const struct client *c)
{
    bool found = false;
    for (int i = 0; i < LANES; i++)
        found |= pthread_equal(c->lanes[i], pthread_self());
    return found;
}

static void wait_idle(struct client *c)
{
    while (c->count > 0 || c->busy > 0)
        pthread_cond_wait(&c->idle, &mutex);
}

static int client_ready(uintptr_t handle, int64_t timeout_ms, inlong_core_text err)
{
    (void)handle, (void)timeout_ms, (void)err;
    return INLONG_OK;
}

static int client_flush(uintptr_t handle, int64_t timeout_ms, inlong_core_text err)
{
    (void)timeout_ms, (void)err;
    struct client *c = enter(handle);
    if (!c)
        return INLONG_ERR_HANDLE;
    bool inside = is_lane(c);
    if (!inside)
        wait_idle(c);
    leave(c);
    return inside ? INLONG_ERR_WORKER_BUSY : INLONG_OK;
}

/* With the mutex held. */
static void finish(struct client *c)
{
    wait_idle(c);
    *slot_of(c->handle) = NULL;
    c->users--; /* the table's */
}

static void *finish_close(void *argument)
{
    struct client *c = argument;
    pthread_mutex_lock(&mutex);
    finish(c);
    inlong_core_host host = c->host;
    uintptr_t handle = c->handle;
    leave(c);
    host.closed(handle);
    return NULL;
}

static int client_close(uintptr_t handle, int64_t timeout_ms, inlong_close_report *report, inlong_core_text err)
{
    (void)timeout_ms, (void)err;
    struct client *c = enter(handle);
    if (!c)
        return INLONG_ERR_HANDLE;
    c->closing = true;
    pthread_cond_broadcast(&c->work);
    bool inside = is_lane(c);
    if (inside)
        (void)start(finish_close, c);
    else
        finish(c);
    report->acked = c->acked;
    leave(c);
    return inside ? INLONG_ERR_WORKER_BUSY : INLONG_OK;
}

static int text_of_client(uintptr_t handle, char *buf, size_t len, inlong_core_text err)
{
    (void)err;
    struct client *c = enter(handle);
    if (!c)
        return INLONG_ERR_HANDLE;
    int n = snprintf(buf, len, "{\"acked\":%lld}", (long long)c->acked);
    leave(c);
    return n;
}

static int row_ask(inlong_core_option *options, size_t count, char *stream_id, inlong_row_settings *settings, inlong_core_text err)
{
    (void)options, (void)count, (void)stream_id, (void)err;
    settings->type = INLONG_ROW_CSV;
    return INLONG_OK;
}

static void runtime_set(int64_t gc_percent, int64_t memory_limit) { (void)gc_percent, (void)memory_limit; }
static int64_t runtime_get(int setting) { return setting == INLONG_RUNTIME_GC_PERCENT ? 100 : -1; }

static int mock_new(uintptr_t mock, int nodes, inlong_core_text err)
{
    (void)mock, (void)nodes, (void)err;
    return INLONG_OK;
}

static int mock_url(uintptr_t mock, char *buf, size_t len, inlong_core_text err)
{
    (void)mock, (void)err;
    return snprintf(buf, len, "http://stub");
}

static int mock_control(uintptr_t mock, char *request, size_t request_len, char *buf, size_t len, inlong_core_text err)
{
    (void)mock, (void)request, (void)request_len, (void)err;
    return snprintf(buf, len, "{}");
}

static int mock_stats(uintptr_t mock, char *buf, size_t len, inlong_core_text err)
{
    return mock_control(mock, NULL, 0, buf, len, err);
}

static int mock_free(uintptr_t mock)
{
    (void)mock;
    return INLONG_OK;
}

static void disown(void) {}

static int test_panic(uintptr_t client, inlong_core_text err)
{
    (void)client, (void)err;
    return INLONG_ERR_INTERNAL;
}

__attribute__((visibility("default"))) int inlong_core_entry(uint32_t version, inlong_core_api *api)
{
    *api = (inlong_core_api){
        .version = INLONG_CORE_ABI_VERSION,
        .runtime = INLONG_RUNTIME_WANTED,
        .row_ask = row_ask,
        .client_new = client_new,
        .client_send = client_send,
        .client_submit = client_submit,
        .client_submit_many = client_submit_many,
        .client_submit_packed = client_submit_packed,
        .client_ready = client_ready,
        .client_flush = client_flush,
        .client_close = client_close,
        .client_stats = text_of_client,
        .client_metrics = text_of_client,
        .runtime_set = runtime_set,
        .runtime_get = runtime_get,
        .mock_new = mock_new,
        .mock_url = mock_url,
        .mock_control = mock_control,
        .mock_stats = mock_stats,
        .mock_free = mock_free,
        .disown = disown,
        .test_panic = test_panic,
    };
    return version == INLONG_CORE_ABI_VERSION ? INLONG_OK : INLONG_ERR_ABI;
}
