/* SPDX-License-Identifier: Apache-2.0
 * queue.c - a client's completion queue. The core's lanes push, inlong_client_poll takes; nothing on this side calls Go.
 *
 * What waits is kept by the batch: its texts once, an entry for each message or range. Only poll makes whole results of
 * it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "check.h"
#include "client.h"

enum { QUEUE_BOUND = 65536, MERGE_ROOM = 64, NO_MEMORY_WAIT_MS = 10, BUSY = 16, BREATH_NS = 400000 };

struct entry {
    uintptr_t user;
    uint64_t count;
};

struct text {
    const char *at;
    size_t size; /* with the NUL */
};

struct inlong_batch {
    struct inlong_batch *next;
    int32_t code, server_code, persisted, retriable, attempts;
    bool merge; /* acks that the next ones may join */
    size_t count, taken, room;
    struct text node, batch_id, text, server_message; /* after the entries */
    struct entry entries[];
};

/* ---- waking: the slot's mutex is held ---- */

void inlong_queue_set_readable(inlong_slot *slot, bool readable)
{
    uint64_t n = 1;
    if (slot->event_fd < 0)
        return;
    int state = inlong_cancel_hold();
    /* The descriptor does not block, and its counter is 0 or 1: neither call can fail for good. */
    ssize_t done = readable ? write(slot->event_fd, &n, sizeof n) : read(slot->event_fd, &n, sizeof n);
    (void)done;
    inlong_cancel_let_go(state);
}

void inlong_queue_wake_all(inlong_slot *slot)
{
    int state = inlong_cancel_hold();
    inlong_queue_set_readable(slot, true); /* for threads that wait on a copy of it, which a close does not wake */
    if (slot->event_fd >= 0)
        close(slot->event_fd);
    slot->event_fd = -1;
    inlong_cancel_let_go(state);
    pthread_cond_broadcast(&slot->ready);
    pthread_cond_broadcast(&slot->room);
}

bool inlong_queue_is_full(const inlong_slot *slot) { return slot->queue.length >= QUEUE_BOUND; }

/* ---- pushing ---- */

static char *put(char *to, struct text *field, const char *text)
{
    size_t size = strlen(text) + 1;
    *field = (struct text){memcpy(to, text, size), size};
    return to + size;
}

/* Tags that follow each other become one entry when their sender asked for ranges. */
static size_t make_entries(const inlong_core_tag *tags, size_t count, struct entry *entries)
{
    size_t n = 0;
    bool range = false; /* the last entry is one that may grow */
    for (size_t i = 0; i < count; i++) {
        if (tags[i].a > INLONG_TAG_MERGE)
            continue;
        bool ranged = tags[i].a != INLONG_TAG_QUEUE;
        if (n > 0 && range && ranged && entries[n - 1].user + entries[n - 1].count == tags[i].b) {
            entries[n - 1].count++;
        } else {
            entries[n++] = (struct entry){tags[i].b, 1};
            range = ranged;
        }
    }
    return n;
}

static bool all_merge(const inlong_core_tag *tags, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (tags[i].a != INLONG_TAG_MERGE)
            return false;
    return true;
}

static struct inlong_batch *make_batch(const inlong_core_tag *tags, size_t count, const inlong_result *r)
{
    bool merge = r->code == INLONG_OK && all_merge(tags, count);
    size_t room = merge && count < MERGE_ROOM ? MERGE_ROOM : count;
    const char *node = merge ? "" : r->node, *batch_id = merge ? "" : r->batch_id;
    size_t texts = strlen(node) + strlen(batch_id) + strlen(r->text) + strlen(r->server_message) + 4;
    struct inlong_batch *b = malloc(sizeof *b + room * sizeof b->entries[0] + texts);
    if (!b)
        return NULL;
    *b = (struct inlong_batch){.code = r->code,
                               .server_code = r->server_code,
                               .persisted = r->persisted,
                               .retriable = r->retriable,
                               .attempts = r->attempts,
                               .merge = merge,
                               .room = room};
    b->count = make_entries(tags, count, b->entries);
    char *to = (char *)&b->entries[room];
    to = put(to, &b->node, node);
    to = put(to, &b->batch_id, batch_id);
    to = put(to, &b->text, r->text);
    put(to, &b->server_message, r->server_message);
    return b;
}

/* Adds b's entries to the newest batch; true if nothing of b is left. */
static bool merge_into(inlong_results *queue, struct inlong_batch *b)
{
    struct inlong_batch *tail = queue->tail;
    if (!tail || !tail->merge || !b->merge || tail->attempts != b->attempts)
        return false;
    struct entry *last = &tail->entries[tail->count - 1];
    size_t i = 0;
    if (last->user + last->count == b->entries[0].user) {
        last->count += b->entries[0].count;
        i = 1;
    }
    if (tail->count + (b->count - i) > tail->room) {
        b->taken = i;
        return i == b->count;
    }
    queue->length += b->count - i;
    for (; i < b->count; i++)
        tail->entries[tail->count++] = b->entries[i];
    return true;
}

static void append(inlong_slot *slot, struct inlong_batch *b)
{
    inlong_results *queue = &slot->queue;
    bool was_empty = queue->length == 0;
    if (merge_into(queue, b)) {
        free(b);
    } else {
        queue->length += b->count - b->taken;
        if (queue->tail)
            queue->tail->next = b;
        else
            queue->head = b;
        queue->tail = b;
    }
    if (was_empty)
        inlong_queue_set_readable(slot, true);
    pthread_cond_broadcast(&slot->ready);
}

/* Without memory a lane waits: a result is never dropped. */
static struct inlong_batch *make_batch_patiently(inlong_slot *slot, const inlong_core_tag *tags, size_t count,
                                                 const inlong_result *result)
{
    struct inlong_batch *b;
    while (!(b = make_batch(tags, count, result))) {
        struct timespec until = inlong_deadline(NO_MEMORY_WAIT_MS);
        pthread_mutex_lock(&slot->mutex);
        pthread_cond_timedwait(&slot->room, &slot->mutex, &until);
        pthread_mutex_unlock(&slot->mutex);
    }
    return b;
}

void inlong_queue_push(uintptr_t client, const inlong_core_tag *tags, size_t count, const inlong_result *result)
{
    inlong_slot *slot = inlong_slot_find(client);
    if (!slot)
        return;
    struct inlong_batch *b = make_batch_patiently(slot, tags, count, result);
    pthread_mutex_lock(&slot->mutex);
    while (atomic_load(&slot->handle) == client && inlong_queue_is_full(slot) && slot->state == INLONG_SLOT_OPEN)
        pthread_cond_wait(&slot->room, &slot->mutex);
    if (atomic_load(&slot->handle) == client)
        append(slot, b);
    else
        free(b); /* closed, and its close did not wait for this lane: the core's rule for a handler that does not return */
    pthread_mutex_unlock(&slot->mutex);
}

/* ---- taking ---- */

/* Texts were cut to their place's size before. Most are empty, and not worth a call. */
static void get(char *to, const struct text *field)
{
    if (field->size == 1)
        *to = '\0';
    else
        memcpy(to, field->at, field->size);
}

static void fill(inlong_result *r, const struct inlong_batch *b, const struct entry *e)
{
    r->struct_size = sizeof *r;
    r->code = b->code;
    r->server_code = b->server_code;
    r->persisted = b->persisted;
    r->retriable = b->retriable;
    r->attempts = b->attempts;
    r->reserved = 0;
    r->user = (void *)e->user;
    r->count = e->count;
    get(r->node, &b->node);
    get(r->batch_id, &b->batch_id);
    get(r->text, &b->text);
    get(r->server_message, &b->server_message);
}

int inlong_results_take(inlong_results *queue, inlong_result *results, int max)
{
    int n = 0;
    struct inlong_batch *b;
    while (n < max && (b = queue->head)) {
        for (; n < max && b->taken < b->count; n++)
            fill(&results[n], b, &b->entries[b->taken++]);
        if (b->taken < b->count)
            break;
        queue->head = b->next;
        if (!queue->head)
            queue->tail = NULL;
        free(b);
    }
    queue->length -= (size_t)n;
    return n;
}

void inlong_results_drop(inlong_results *queue)
{
    for (struct inlong_batch *b; (b = queue->head); free(b))
        queue->head = b->next;
    *queue = (inlong_results){0};
}

/* After a take: wakes threads that wait for room, and sets the descriptor. */
static void taken(inlong_slot *slot, bool was_full)
{
    slot->polls++;
    if (slot->queue.length == 0)
        inlong_queue_set_readable(slot, false);
    if (was_full)
        pthread_cond_broadcast(&slot->room);
}

static int take_from_slot(inlong_slot *slot, inlong_result *results, int max)
{
    bool was_full = inlong_queue_is_full(slot);
    int n = inlong_results_take(&slot->queue, results, max);
    slot->busy = n >= BUSY;
    taken(slot, was_full);
    return n;
}

/* ---- polling ---- */

/* While results come in batches, a poller that waited for each would be woken every few microseconds. It sleeps for a moment instead, and
 * finds several batches. It does not while they come one by one, because somebody may wait for each. */
static void breathe(inlong_slot *slot)
{
    slot->busy = false;
    pthread_mutex_unlock(&slot->mutex);
    nanosleep(&(struct timespec){.tv_nsec = BREATH_NS}, NULL);
    pthread_mutex_lock(&slot->mutex);
}

/* Waits for a result; INLONG_OK also when the time passed without one. The mutex is held. */
static int wait_ready(inlong_slot *slot, uintptr_t client, int64_t timeout_ms)
{
    struct timespec until = {0, 0};
    if (timeout_ms > 0 && slot->queue.length == 0)
        until = inlong_deadline(timeout_ms);
    int late = timeout_ms == 0 ? ETIMEDOUT : 0;
    if (slot->busy && slot->queue.length == 0 && timeout_ms != 0 && !slot->woken)
        breathe(slot);
    for (;;) {
        if (atomic_load(&slot->handle) != client)
            return INLONG_ERR_HANDLE;
        if (slot->queue.length > 0 || slot->woken || late == ETIMEDOUT)
            return INLONG_OK;
        late = inlong_cond_wait(&slot->ready, &slot->mutex, timeout_ms < 0 ? NULL : &until);
    }
}

/* Whether results go to the queue at all. */
static int check_queue(inlong_slot *slot)
{
    if (atomic_load(&slot->results))
        return inlong_fail(INLONG_ERR_ARG, "this client's results go to its batch callback, not to a queue");
    return INLONG_OK;
}

static int poll_open(inlong_slot *slot, uintptr_t client, inlong_result *results, int max, int64_t timeout_ms)
{
    int code = check_queue(slot);
    if (code != INLONG_OK)
        return code;
    pthread_mutex_lock(&slot->mutex);
    code = wait_ready(slot, client, timeout_ms);
    if (code == INLONG_OK && timeout_ms != 0)
        slot->woken = false;
    int n = code == INLONG_OK && slot->queue.length > 0 ? take_from_slot(slot, results, max) : 0;
    pthread_mutex_unlock(&slot->mutex);
    return code == INLONG_OK ? n : code;
}

int inlong_client_poll(inlong_client *client, inlong_result *results, int max, int64_t timeout_ms)
{
    if (inlong_forked())
        return inlong_client_fault(client);
    if (!results || max <= 0)
        return inlong_fail(INLONG_ERR_ARG, results ? "max is %d: it must be 1 or more" : "results is NULL", max);
    int code = inlong_check_size("results[0]", results->struct_size, sizeof *results);
    if (code == INLONG_OK)
        code = inlong_check_timeout(timeout_ms);
    if (code != INLONG_OK)
        return code;
    inlong_slot *slot = inlong_client_slot(client);
    int n = slot ? poll_open(slot, (uintptr_t)client, results, max, timeout_ms) : INLONG_ERR_HANDLE;
    if (n == INLONG_ERR_HANDLE) /* closed, perhaps while this call waited */
        n = (int)inlong_leftover_take((uintptr_t)client, results, max);
    return n == INLONG_ERR_HANDLE ? inlong_client_fault(client) : n;
}

int inlong_client_wake(inlong_client *client)
{
    inlong_slot *slot = inlong_client_slot(client);
    if (!slot)
        return inlong_client_fault(client);
    pthread_mutex_lock(&slot->mutex);
    bool open = atomic_load(&slot->handle) == (uintptr_t)client;
    if (open) {
        slot->woken = true;
        pthread_cond_broadcast(&slot->ready);
    }
    pthread_mutex_unlock(&slot->mutex);
    return open ? INLONG_OK : inlong_client_fault(client);
}

int64_t inlong_client_drop_results(inlong_client *client)
{
    if (inlong_forked())
        return inlong_client_fault(client);
    int64_t n = INLONG_ERR_HANDLE;
    inlong_slot *slot = inlong_client_slot(client);
    if (slot) {
        int code = check_queue(slot);
        if (code != INLONG_OK)
            return code;
        pthread_mutex_lock(&slot->mutex);
        if (atomic_load(&slot->handle) == (uintptr_t)client) {
            n = (int64_t)slot->queue.length;
            bool was_full = inlong_queue_is_full(slot);
            inlong_results_drop(&slot->queue);
            taken(slot, was_full);
        }
        pthread_mutex_unlock(&slot->mutex);
    }
    if (n == INLONG_ERR_HANDLE)
        n = inlong_leftover_take((uintptr_t)client, NULL, 0);
    return n == INLONG_ERR_HANDLE ? inlong_client_fault(client) : n;
}

int inlong_client_event_fd(inlong_client *client)
{
    inlong_slot *slot = inlong_client_slot(client);
    if (!slot)
        return inlong_client_fault(client);
    int fd = INLONG_ERR_HANDLE, code = check_queue(slot);
    if (code != INLONG_OK)
        return code;
    pthread_mutex_lock(&slot->mutex);
    if (atomic_load(&slot->handle) == (uintptr_t)client) {
        if (slot->event_fd < 0)
            slot->event_fd = eventfd(slot->queue.length > 0, EFD_CLOEXEC | EFD_NONBLOCK);
        fd = slot->event_fd < 0 ? INLONG_ERR_NOMEM : slot->event_fd;
    }
    pthread_mutex_unlock(&slot->mutex);
    if (fd == INLONG_ERR_NOMEM)
        return inlong_fail(fd, "cannot make an event descriptor: %s", strerror(errno));
    return fd >= 0 ? fd : inlong_client_fault(client);
}
