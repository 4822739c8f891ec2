/* SPDX-License-Identifier: Apache-2.0
 * ring.c - the way in: threads of the host copy messages into chunks of plain memory, one goroutine of the core takes these in bulk. None
 * of these threads waits for another but for the moment of a copy.
 *
 * A message is put in only where nothing can be said against it: it is surely good (good.c), and the core surely has room for all chunks that
 * are on their way. Any other is a call, after what its thread has put in, and has the core's own answer: a fault, or a wait for room. */
#include <stdlib.h>
#include <string.h>

#include "front.h"
#include "ring.h"

/* The goroutine sleeps until a message comes. After that it checks from time to time while it finds some: waking it for each would cost many
 * times what a message costs. */
enum { LONGEST_BULK = 32 << 10, CLOSE_GRACE_MS = 50, LAST_CHUNK_MS = 1000, LONGEST_CLOSE_MS = 30000 };

void inlong_ring_init(inlong_ring *r)
{
    for (int i = 0; i < INLONG_STRIPES; i++) {
        pthread_mutex_init(&r->stripes[i].mutex, NULL);
        inlong_cond_init(&r->stripes[i].handed);
    }
    pthread_mutex_init(&r->mutex, NULL);
    inlong_cond_init(&r->bell);
}

void inlong_ring_forget(inlong_ring *r)
{
    for (int i = 0; i < INLONG_STRIPES; i++) {
        inlong_stripe *s = &r->stripes[i];
        if (pthread_mutex_trylock(&s->mutex) != 0) /* a thread of the parent was in the middle of a step */
            continue;
        free(s->filling);
        free(s->out);
        free(s->spare);
    }
}

void inlong_ring_open(inlong_slot *slot)
{
    inlong_ring *r = &slot->ring;
    atomic_store(&r->most, 0);
    atomic_store(&r->chunks, 0);
    atomic_store(&r->bulk, 0);
    atomic_store(&r->width, 1);
    atomic_store(&r->names, 0);
    atomic_store(&r->waits, false);
    atomic_store(&r->running, true);
    pthread_mutex_lock(&r->mutex);
    atomic_store(&r->granted, 0);
    r->called = false;
    r->by_calls = r->told = 0;
    pthread_mutex_unlock(&r->mutex);
    atomic_store(&r->open, true);
    inlong_slot_enter(slot);
}

void inlong_ring_end(inlong_slot *slot)
{
    inlong_ring *r = &slot->ring;
    atomic_store(&r->open, false);
    for (int i = 0; i < INLONG_STRIPES; i++) {
        inlong_stripe *s = &r->stripes[i];
        pthread_mutex_lock(&s->mutex);
        free(s->filling);
        free(s->spare);
        s->filling = s->spare = NULL;
        s->done = s->begun;
        pthread_cond_broadcast(&s->handed);
        pthread_mutex_unlock(&s->mutex);
    }
    pthread_mutex_lock(&r->mutex);
    atomic_store(&r->running, false);
    pthread_cond_broadcast(&r->bell);
    pthread_mutex_unlock(&r->mutex);
    inlong_slot_leave(slot);
}

void inlong_ring_bell(inlong_ring *r)
{
    pthread_mutex_lock(&r->mutex);
    r->called = true;
    atomic_store_explicit(&r->asleep, false, memory_order_relaxed);
    pthread_cond_broadcast(&r->bell); /* a close waits here, too */
    pthread_mutex_unlock(&r->mutex);
}

/* ---- putting in ---- */

static bool same(const char *a, size_t n, const char *b, size_t m) { return n == m && (n == 0 || memcmp(a, b, n) == 0); }

/* What a message has in addition to its payload, as its run has it; and since when its call waits. */
typedef struct head {
    int64_t began_ms; /* 0: it has not waited yet */
    const inlong_message *of;
    size_t group_len, stream_len, attributes_len;
    char attributes[INLONG_LONGEST_ATTRIBUTES];
} head;

/* Whether m has the same head as the last one that was read. */
static bool is_read(const head *h, const inlong_message *m)
{
    const inlong_message *of = h->of;
    return of && (m == of || (m->stream_id == of->stream_id && m->stream_id_len == of->stream_id_len &&
                              m->group_id == of->group_id && m->group_id_len == of->group_id_len && m->attribute_count == 0 &&
                              of->attribute_count == 0 && m->item_attribute_count == 0));
}

/* False if something may be wrong with it. */
static bool read_head(const inlong_ring *r, const inlong_message *m, head *h)
{
    if (is_read(h, m))
        return true;
    h->of = m;
    h->attributes_len = 0;
    if (!m->stream_id || m->item_attribute_count > 0)
        return false;
    h->group_len = m->group_id_len == 0 && m->group_id ? strlen(m->group_id) : m->group_id_len;
    h->stream_len = m->stream_id_len == 0 ? strlen(m->stream_id) : m->stream_id_len;
    return m->attribute_count == 0 || inlong_good_attributes(r, m, h->attributes, &h->attributes_len);
}

/* The run for a message with this head and time; NULL if they may be bad. */
static inlong_core_run *run_of(inlong_core_chunk *c, const inlong_message *m, const head *h, bool bulk)
{
    enum { LEAST_GROUP = 4 };
    inlong_core_run *run = c->runs ? &c->run[c->runs - 1] : NULL;
    if (run && run->time_ms == m->time_ms && run->bulk == bulk && same(run->stream, run->stream_len, m->stream_id, h->stream_len) &&
        same(run->group, run->group_len, m->group_id, h->group_len) &&
        same(run->attributes, run->attributes_len, h->attributes, h->attributes_len))
        return run;
    if (m->time_ms / 1000 > INT32_MAX || !inlong_good_id(m->stream_id, h->stream_len, 1) ||
        !(h->group_len == 0 || inlong_good_id(m->group_id, h->group_len, LEAST_GROUP)))
        return NULL;
    run = &c->run[c->runs++];
    run->count = 0;
    run->time_ms = m->time_ms;
    run->bulk = bulk;
    run->group_len = h->group_len;
    run->stream_len = h->stream_len;
    run->attributes_len = h->attributes_len;
    memcpy(run->stream, m->stream_id, h->stream_len);
    memcpy(run->attributes, h->attributes, h->attributes_len);
    if (h->group_len > 0)
        memcpy(run->group, m->group_id, h->group_len);
    return run;
}

/* For how many messages a new chunk may have room: half of what is free, so that other threads have some; 0: too few. */
static int64_t grant(inlong_ring *r)
{
    int64_t left = atomic_load(&r->room) - atomic_load(&r->granted), least = atomic_load(&r->least);
    int64_t n = left / 2 > least ? left / 2 : least;
    n = n < INLONG_CHUNK_MESSAGES ? n : INLONG_CHUNK_MESSAGES;
    if (n > left || atomic_fetch_add(&r->granted, n) + n <= atomic_load(&r->room))
        return n > left ? 0 : n;
    atomic_fetch_sub(&r->granted, n);
    return 0;
}

/* A chunk for more messages, if the core has room for them and for what is on its way. */
static inlong_core_chunk *new_chunk(inlong_ring *r, inlong_stripe *s)
{
    int64_t room = atomic_fetch_add(&r->chunks, 1) < atomic_load(&r->most) ? grant(r) : 0;
    inlong_core_chunk *c = room == 0 ? NULL : s->spare ? s->spare : malloc(sizeof *c);
    if (!c) {
        atomic_fetch_sub(&r->granted, room);
        atomic_fetch_sub(&r->chunks, 1);
        return NULL;
    }
    s->spare = NULL;
    c->runs = c->count = c->used = c->bulk = 0;
    c->room = (size_t)room;
    c->began_ms = inlong_now_ms();
    s->begun++;
    return s->filling = c;
}

static bool is_full(const inlong_core_chunk *c, size_t length)
{
    return c->count >= c->room || c->used + length > INLONG_CHUNK_BYTES || c->runs == INLONG_RUNS;
}

/* Waits until the goroutine has taken a chunk of s, or has finished with it. */
static int wait_handed(inlong_stripe *s, const struct timespec *until)
{
    int state = inlong_cancel_hold();
    s->waiting++;
    int late = until ? pthread_cond_timedwait(&s->handed, &s->mutex, until) : pthread_cond_wait(&s->handed, &s->mutex);
    s->waiting--;
    inlong_cancel_let_go(state);
    return late;
}

/* Whether messages of the client may be put in. Its close takes each stripe's mutex; after that the slot may be another client's. */
static bool is_open(inlong_slot *slot, uintptr_t client)
{
    return atomic_load(&slot->ring.open) && atomic_load_explicit(&slot->handle, memory_order_relaxed) == client;
}

/* The stripe's chunk with room for that much. It waits while the full one has not been taken. The goroutine does nothing but take them, so
 * only the scheduler can delay it. */
static inlong_core_chunk *chunk_for(inlong_slot *slot, const inlong_core_call *call, inlong_stripe *s, size_t length, head *h)
{
    for (bool late = false; is_open(slot, call->handle) && !late;) {
        inlong_core_chunk *c = s->filling ? s->filling : new_chunk(&slot->ring, s);
        if (!c || !is_full(c, length))
            return c;
        if (h->began_ms == 0)
            h->began_ms = inlong_now_ms();
        struct timespec until = inlong_deadline(inlong_rest_ms(inlong_ring_patience(&slot->ring, call).ms, h->began_ms));
        inlong_ring_bell(&slot->ring);
        late = wait_handed(s, &until) != 0;
    }
    return NULL;
}

static _Thread_local unsigned own_stripe; /* and one */

static inlong_stripe *stripe_of(inlong_ring *r)
{
    static atomic_uint threads;
    if (own_stripe == 0)
        own_stripe = atomic_fetch_add(&threads, 1) % INLONG_STRIPES + 1;
    return &r->stripes[(own_stripe - 1) % atomic_load_explicit(&r->width, memory_order_relaxed)];
}

static bool put(inlong_slot *slot, inlong_stripe *s, const inlong_core_call *call, head *h, const inlong_message *m,
                const void *payload, size_t length, uintptr_t user)
{
    if (length == 0 || length > atomic_load_explicit(&slot->ring.longest, memory_order_relaxed) ||
        (length == 1 && *(const char *)payload == '\n')) /* the core may trim that */
        return false;
    inlong_core_chunk *c = chunk_for(slot, call, s, length, h);
    inlong_core_run *run = c && read_head(&slot->ring, m, h) ? run_of(c, m, h, call->bulk) : NULL;
    if (!run)
        return false;
    run->count++;
    memcpy(c->data + c->used, payload, length);
    c->used += length;
    c->bulk += call->bulk ? length : 0;
    c->lengths[c->count] = (uint32_t)length;
    c->tags[c->count++] = (inlong_core_tag){call->tag.a, user};
    if (c->count == c->room / 2) /* while there is room for more */
        inlong_ring_bell(&slot->ring);
    return true;
}

/* Takes of what bulk ways may have in flight what a call needs; false: it is more than there is, or so much that the core's own copying
 * costs less than the ring's and its own. */
static bool reserve_bulk(inlong_ring *r, const inlong_core_call *call, int64_t *bytes)
{
    int64_t room = atomic_load(&r->bulk_room), most = room < LONGEST_BULK ? room : LONGEST_BULK;
    uint64_t sum = 0; /* a length is PTRDIFF_MAX at most */
    for (size_t i = 0; i < call->count && sum <= (uint64_t)most; i++)
        sum += call->kind == INLONG_CALL_SUBMIT_PACKED ? call->lengths[i] : call->message[i].payload_len;
    if (sum > (uint64_t)most)
        return false;
    *bytes = (int64_t)sum;
    if (atomic_fetch_add(&r->bulk, *bytes) + *bytes <= room)
        return true;
    atomic_fetch_sub(&r->bulk, *bytes);
    return false;
}

static bool is_tight(const inlong_ring *r) { return atomic_load(&r->granted) > atomic_load(&r->room); }

bool inlong_ring_begin_call(inlong_slot *slot, const inlong_core_call *call)
{
    inlong_ring *r = &slot->ring;
    pthread_mutex_lock(&r->mutex);
    if (atomic_load(&slot->handle) == call->handle) /* otherwise it may be another client's by now */
        atomic_fetch_add(&r->granted, (int64_t)call->count);
    pthread_mutex_unlock(&r->mutex);
    return is_tight(r);
}

size_t inlong_ring_feed(inlong_slot *slot, const inlong_core_call *call, int64_t *began_ms)
{
    inlong_ring *r = &slot->ring;
    inlong_stripe *s = stripe_of(r);
    bool packed = call->kind == INLONG_CALL_SUBMIT_PACKED;
    int64_t bulk = 0;
    size_t i = 0, used = 0;
    head h;
    h.of = NULL;
    *began_ms = h.began_ms = 0;
    if (is_tight(r)) /* calls may take what there is */
        return 0;
    if (call->bulk && !reserve_bulk(r, call, &bulk))
        return 0;
    pthread_mutex_lock(&s->mutex);
    for (; i < call->count; i++) {
        const inlong_message *m = packed ? call->message : &call->message[i];
        size_t length = packed ? call->lengths[i] : m->payload_len;
        uintptr_t user = packed ? call->tag.b + i : m->user ? (uintptr_t)m->user : call->tag.b;
        if (!put(slot, s, call, &h, m, packed ? (const char *)call->data + used : m->payload, length, user))
            break;
        used += length;
    }
    pthread_mutex_unlock(&s->mutex);
    if (bulk > (int64_t)used)
        atomic_fetch_sub(&r->bulk, bulk - (int64_t)used);
    if (atomic_load_explicit(&r->asleep, memory_order_relaxed)) /* it was set before the last check under the mutex */
        inlong_ring_bell(r);
    *began_ms = h.began_ms;
    return i;
}

/* ---- waiting for it ---- */

/* One that holds no message holds room. */
static void drop_empty(inlong_ring *r, inlong_stripe *s)
{
    inlong_core_chunk *c = s->filling;
    if (!c || c->count > 0)
        return;
    atomic_fetch_sub(&r->granted, (int64_t)c->room);
    atomic_fetch_sub(&r->chunks, 1);
    free(s->spare);
    s->spare = c;
    s->filling = NULL;
    s->begun--;
}

/* Waits until the core has finished with what is in the stripe now, or takes nothing more. */
static bool settle(inlong_ring *r, inlong_stripe *s, const struct timespec *until)
{
    pthread_mutex_lock(&s->mutex);
    drop_empty(r, s);
    unsigned target = s->begun;
    int late = 0;
    while ((int)(target - s->done) > 0 && atomic_load(&r->running) && late == 0) {
        inlong_ring_bell(r);
        late = wait_handed(s, until);
    }
    bool settled = late == 0;
    pthread_mutex_unlock(&s->mutex);
    return settled;
}

bool inlong_ring_settle(inlong_slot *slot, bool all, int64_t timeout_ms)
{
    inlong_ring *r = &slot->ring;
    struct timespec until = inlong_deadline(timeout_ms < 0 ? 0 : timeout_ms), *bound = timeout_ms < 0 ? NULL : &until;
    if (!all)
        return settle(r, stripe_of(r), bound);
    bool settled = true;
    for (int i = 0; i < INLONG_STRIPES; i++)
        settled &= settle(r, &r->stripes[i], bound);
    return settled;
}

/* Whether the goroutine has ended, by then. */
static bool wait_end(inlong_ring *r, int64_t timeout_ms)
{
    struct timespec until = inlong_deadline(timeout_ms);
    int state = inlong_cancel_hold();
    pthread_mutex_lock(&r->mutex);
    while (atomic_load(&r->running) && pthread_cond_timedwait(&r->bell, &r->mutex, &until) == 0)
        ;
    bool ended = !atomic_load(&r->running);
    pthread_mutex_unlock(&r->mutex);
    inlong_cancel_let_go(state);
    return ended;
}

size_t inlong_ring_close(inlong_slot *slot, int64_t timeout_ms)
{
    inlong_ring *r = &slot->ring;
    size_t left = 0;
    bool out = false;
    atomic_store(&r->open, false);
    for (int i = 0; i < INLONG_STRIPES; i++) { /* threads that were about to put one in have done so, those that wait give up */
        pthread_mutex_lock(&r->stripes[i].mutex);
        pthread_cond_broadcast(&r->stripes[i].handed);
        pthread_mutex_unlock(&r->stripes[i].mutex);
    }
    inlong_ring_bell(r);
    bool bounded = timeout_ms >= 0 && timeout_ms < LONGEST_CLOSE_MS;
    if (wait_end(r, bounded ? timeout_ms + CLOSE_GRACE_MS : LONGEST_CLOSE_MS))
        return 0;
    for (int i = 0; i < INLONG_STRIPES; i++) {
        inlong_stripe *s = &r->stripes[i];
        pthread_mutex_lock(&s->mutex);
        left += s->filling ? s->filling->count : 0;
        out |= s->out != NULL;
        free(s->filling);
        s->filling = NULL;
        pthread_mutex_unlock(&s->mutex);
    }
    if (out) /* what the core has, it counts */
        (void)wait_end(r, LAST_CHUNK_MS);
    return left;
}
