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
    int users; /* calls and threads that use it */
    pthread_cond_t work, idle;
    inlong_core_tag *tags;
    size_t count, room;
    int up;   /* lanes that have started */
    int busy; /* lanes that deliver */
    bool closing, taking;
    bool sticks, stuck;        /* it takes nothing more until its close, once there was nothing to take */
    bool waits;                /* as its senders may, for room */
    int64_t acked, timeout_ms; /* of the last call that brought messages */
};

static inlong_core_host host;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER; /* guards everything below */
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
    host.deliver(c->handle, tags, n, &r);
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
        else if (c->closing && !c->taking)
            break;
        else
            pthread_cond_wait(&c->work, &mutex);
    }
    pthread_cond_broadcast(&c->idle);
    leave(c);
    return NULL;
}

static void start(void *(*run)(void *), struct client *c)
{
    pthread_attr_t detached;
    pthread_t thread;
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    if (c)
        c->users++;
    if (pthread_create(&thread, &detached, run, c) != 0)
        abort();
    pthread_attr_destroy(&detached);
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

static inlong_core_intake intake_of(const struct client *c)
{
    return (inlong_core_intake){.messages = BOUND - (int64_t)c->count,
                                .bytes = 1 << 30,
                                .bulk = 1 << 30,
                                .nap_ns = 1000,
                                .longest = 1 << 20,
                                .waits = c->waits,
                                .send_timeout_ms = 1500};
}

/* Takes what the front has accepted. */
static void *take_all(void *argument)
{
    struct client *c = argument;
    for (inlong_core_chunk *chunk = NULL;;) {
        pthread_mutex_lock(&mutex);
        inlong_core_intake intake = intake_of(c);
        pthread_mutex_unlock(&mutex);
        if (!(chunk = host.take(c->handle, chunk, intake)))
            break;
        pthread_mutex_lock(&mutex);
        for (size_t i = 0; i < chunk->count; i++)
            put(c, chunk->tags[i].a, chunk->tags[i].b);
        for (c->stuck = c->sticks && chunk->count == 0; c->stuck && !c->closing;)
            pthread_cond_wait(&c->idle, &mutex);
        pthread_mutex_unlock(&mutex);
    }
    pthread_mutex_lock(&mutex);
    c->taking = false;
    pthread_cond_broadcast(&c->work);
    pthread_cond_broadcast(&c->idle);
    leave(c);
    return NULL;
}

static int client_new(inlong_core_call *q)
{
    bool sticks = false, waits = false;
    for (size_t i = 0; i < q->count; i++) {
        if (strcmp(q->options[i].key, "group_id") == 0 && strcmp(q->options[i].value, "refused") == 0) {
            snprintf(q->err.buf, q->err.len, "group_id is refused");
            return INLONG_ERR_OPTION;
        }
        sticks |= strcmp(q->options[i].key, "group_id") == 0 && strcmp(q->options[i].value, "stuck") == 0;
        waits |= strcmp(q->options[i].key, "block_if_queue_is_full") == 0 && strcmp(q->options[i].value, "true") == 0;
    }
    struct client *c = calloc(1, sizeof *c);
    c->handle = q->handle;
    c->users = 1;
    c->taking = true;
    c->sticks = sticks;
    c->waits = waits;
    pthread_cond_init(&c->work, NULL);
    pthread_cond_init(&c->idle, NULL);
    if (q->log_level >= INLONG_LOG_WARN)
        host.log(c->handle, INLONG_LOG_WARN, "a client is made");
    pthread_mutex_lock(&mutex);
    for (int i = 0; i < LANES; i++)
        start(lane, c);
    while (c->up < LANES) /* at a fork no thread may be in a sanitizer's allocator, as one that starts is */
        pthread_cond_wait(&c->idle, &mutex);
    *slot_of(c->handle) = c;
    q->intake = intake_of(c);
    start(take_all, c);
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

/* Both ways. */
static int submit_all(struct client *c, inlong_core_call *q)
{
    int code = INLONG_OK;
    c->timeout_ms = q->timeout_ms;
    for (size_t i = 0; i < q->count; i++) {
        uintptr_t b = q->kind == INLONG_CALL_SUBMIT_PACKED ? q->tag.b + i : q->tag.b;
        if (q->kind == INLONG_CALL_SUBMIT_MANY && q->message[i].user)
            b = (uintptr_t)q->message[i].user;
        if ((code = submit(c, q->tag.a, b)) != INLONG_OK)
            break;
        q->accepted++;
    }
    q->intake = intake_of(c);
    return code;
}

static void wait_idle(struct client *c)
{
    while (c->count > 0 || c->busy > 0 || (c->closing && c->taking))
        pthread_cond_wait(&c->idle, &mutex);
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
    uintptr_t handle = c->handle;
    leave(c);
    host.closed(handle);
    return NULL;
}

static int client_close(struct client *c, inlong_core_call *q)
{
    c->closing = true;
    pthread_cond_broadcast(&c->work);
    pthread_cond_broadcast(&c->idle);
    if (q->inside)
        start(finish_close, c);
    else
        finish(c);
    if (q->report)
        q->report->acked = c->acked;
    return q->inside ? INLONG_ERR_WORKER_BUSY : INLONG_OK;
}

/* With the mutex held. */
static int answer(struct client *c, inlong_core_call *q)
{
    switch (q->kind) {
    case INLONG_CALL_CLOSE:
        return client_close(c, q);
    case INLONG_CALL_SEND:
        c->acked++;
        fill(q->result);
        snprintf(q->result->batch_id, sizeof q->result->batch_id, "%lld", (long long)q->timeout_ms); /* for a test */
        return INLONG_OK;
    case INLONG_CALL_READY:
        return INLONG_OK;
    case INLONG_CALL_FLUSH:
        if (!q->inside)
            wait_idle(c);
        return q->inside ? INLONG_ERR_WORKER_BUSY : INLONG_OK;
    case INLONG_CALL_STATS:
    case INLONG_CALL_METRICS:
        return snprintf(q->text.buf, q->text.len, "{\"acked\":%lld,\"stuck\":%d,\"timeout\":%lld}", (long long)c->acked, c->stuck,
                        (long long)c->timeout_ms);
    }
    return submit_all(c, q);
}

static atomic_bool deaf;

/* The flag whose address the request "stay" has; NULL for other calls. */
static atomic_bool *stays_until(const inlong_core_call *q)
{
    void *over;
    return q->kind == INLONG_CALL_MOCK_CONTROL && sscanf(q->data, "stay %p", &over) == 1 ? over : NULL;
}

/* Until the flag is set. */
static void stay(atomic_bool *over)
{
    while (!atomic_load(over))
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    deaf = false;
}

static int serve(inlong_core_call *q)
{
    switch (q->kind) {
    case INLONG_CALL_RUNTIME_GET:
        q->numbers[0] = q->count == INLONG_RUNTIME_GC_PERCENT ? 100 : -1;
        return INLONG_OK;
    case INLONG_CALL_ROW_ASK:
        q->settings->type = INLONG_ROW_CSV;
        return INLONG_OK;
    case INLONG_CALL_MOCK_URL:
        return snprintf(q->text.buf, q->text.len, "http://stub");
    case INLONG_CALL_MOCK_CONTROL:
        return snprintf(q->text.buf, q->text.len, "{}");
    case INLONG_CALL_RUNTIME_SET:
    case INLONG_CALL_MOCK_NEW:
    case INLONG_CALL_MOCK_FREE:
        return INLONG_OK;
    case INLONG_CALL_NEW:
        return client_new(q);
    }
    struct client *c = enter(q->handle);
    if (!c)
        return INLONG_ERR_HANDLE;
    int code = answer(c, q);
    leave(c);
    return code;
}

static void *serve_calls(void *unused)
{
    for (inlong_core_call *q = NULL; (q = host.next(q));) {
        atomic_bool *over = stays_until(q);
        if (over)
            deaf = true; /* before another one is started beside it: no more threads serve calls than there are */
        if (q->alone && !deaf)
            start(serve_calls, NULL);
        if (over)
            stay(over);
        q->code = serve(q);
    }
    return unused;
}

__attribute__((visibility("default"))) int inlong_core_entry(uint32_t version, const inlong_core_host *front,
                                                             inlong_core_about *about)
{
    *about = (inlong_core_about){INLONG_CORE_ABI_VERSION, INLONG_RUNTIME_WANTED};
    if (version != INLONG_CORE_ABI_VERSION)
        return INLONG_ERR_ABI;
    host = *front;
    start(serve_calls, NULL);
    return INLONG_OK;
}
