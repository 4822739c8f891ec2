/* SPDX-License-Identifier: Apache-2.0
 * ring.c - the way in: threads of the host copy messages into chunks of plain memory, one goroutine of the core takes these in bulk. None
 * of these threads waits for another but for the moment of a copy.
 *
 * A message is put in only where nothing can be said against it: it is surely good (good.c), and the core surely has room for all chunks that
 * are on their way. Any other is a call, behind what its thread has put in, and has the core's own answer: a fault, or a wait for room. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "front.h"
#include "ring.h"

/* The goroutine sleeps until a message comes. Then it looks now and then for as long as it finds some: to be woken for each would cost many
 * times what a message does. */
enum { LONGEST_PAYLOAD = 16 << 10, FEWEST_CHUNKS = 16, CLOSE_WAIT_MS = 1000, LONGEST_CLOSE_MS = 30000 };
/* Memory of the core for a chunk, at most: a batch a run, a body that doubles as it grows. */
enum { CHUNK_COST = 2 * INLONG_CHUNK_BYTES + INLONG_RUNS * 4096 };

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
    atomic_store(&r->width, 1);
    atomic_store(&r->names, 0);
    atomic_store(&r->running, true);
    r->called = false;
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

/* ---- the goroutine's sleep ---- */

static void ring_bell(inlong_ring *r)
{
    pthread_mutex_lock(&r->mutex);
    r->called = true;
    atomic_store_explicit(&r->asleep, false, memory_order_relaxed);
    pthread_cond_broadcast(&r->bell); /* a close waits here, too */
    pthread_mutex_unlock(&r->mutex);
}

/* Until it is called, for that long at most; 0: without end. */
static void sleep_here(inlong_ring *r, long ns)
{
    struct timespec until = inlong_deadline(0);
    until.tv_nsec += ns;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_mutex_lock(&r->mutex);
    while (!r->called &&
           (ns > 0 ? pthread_cond_timedwait(&r->bell, &r->mutex, &until) : pthread_cond_wait(&r->bell, &r->mutex)) == 0)
        ;
    r->called = false;
    pthread_mutex_unlock(&r->mutex);
}

/* ---- putting in ---- */

static bool same(const char *a, size_t n, const char *b, size_t m) { return n == m && (n == 0 || memcmp(a, b, n) == 0); }

/* The run that a message of these ids and this time belongs to; NULL where they may be bad. */
static inlong_core_run *run_of(inlong_core_chunk *c, const inlong_message *m, size_t group_len, size_t stream_len,
                               const char *attributes, size_t attributes_len)
{
    enum { LEAST_GROUP = 4 };
    inlong_core_run *run = c->runs ? &c->run[c->runs - 1] : NULL;
    if (run && run->time_ms == m->time_ms && same(run->stream, run->stream_len, m->stream_id, stream_len) &&
        same(run->group, run->group_len, m->group_id, group_len) &&
        same(run->attributes, run->attributes_len, attributes, attributes_len))
        return run;
    if (m->time_ms / 1000 > INT32_MAX || !inlong_good_id(m->stream_id, stream_len, 1) ||
        !(group_len == 0 || inlong_good_id(m->group_id, group_len, LEAST_GROUP)))
        return NULL;
    run = &c->run[c->runs++];
    run->count = 0;
    run->time_ms = m->time_ms;
    run->group_len = group_len;
    run->stream_len = stream_len;
    run->attributes_len = attributes_len;
    memcpy(run->stream, m->stream_id, stream_len);
    memcpy(run->attributes, attributes, attributes_len);
    if (group_len > 0)
        memcpy(run->group, m->group_id, group_len);
    return run;
}

/* A chunk for more messages, if the core has room for what is on its way and for that. */
static inlong_core_chunk *new_chunk(inlong_ring *r, inlong_stripe *s)
{
    bool room = atomic_fetch_add(&r->chunks, 1) < atomic_load(&r->most);
    inlong_core_chunk *c = !room ? NULL : s->spare ? s->spare : malloc(sizeof *c);
    if (!c) {
        atomic_fetch_sub(&r->chunks, 1);
        return NULL;
    }
    s->spare = NULL;
    c->runs = c->count = c->used = 0;
    c->began_ms = inlong_now_ms();
    s->begun++;
    return s->filling = c;
}

static bool is_full(const inlong_core_chunk *c, size_t limit, size_t length)
{
    return c->count >= limit || c->used + length > INLONG_CHUNK_BYTES || c->runs == INLONG_RUNS;
}

/* Until the goroutine has taken a chunk of s, or has done with it. */
static int wait_handed(inlong_stripe *s, const struct timespec *until)
{
    int state = inlong_cancel_hold();
    s->waiting++;
    int late = until ? pthread_cond_timedwait(&s->handed, &s->mutex, until) : pthread_cond_wait(&s->handed, &s->mutex);
    s->waiting--;
    inlong_cancel_let_go(state);
    return late;
}

/* Whether messages of the client may be put in. Its close takes each stripe's mutex; behind that the slot may be another client's. */
static bool is_open(inlong_slot *slot, uintptr_t client)
{
    return atomic_load(&slot->ring.open) && atomic_load_explicit(&slot->handle, memory_order_relaxed) == client;
}

/* The stripe's chunk with room for so much. Waits while the one that is full has not been taken: but for a scheduler that does not let it,
 * the goroutine does nothing else. */
static inlong_core_chunk *chunk_for(inlong_slot *slot, uintptr_t client, inlong_stripe *s, size_t length)
{
    while (is_open(slot, client)) {
        inlong_core_chunk *c = s->filling ? s->filling : new_chunk(&slot->ring, s);
        if (!c || !is_full(c, atomic_load_explicit(&slot->ring.limit, memory_order_relaxed), length))
            return c;
        ring_bell(&slot->ring);
        (void)wait_handed(s, NULL);
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

static bool put(inlong_slot *slot, uintptr_t client, inlong_stripe *s, const inlong_message *m, const void *payload, size_t length,
                inlong_core_tag tag)
{
    if (length == 0 || length > atomic_load_explicit(&slot->ring.longest, memory_order_relaxed) || !m->stream_id ||
        m->item_attribute_count > 0 || (length == 1 && *(const char *)payload == '\n')) /* the core may trim that */
        return false;
    size_t group_len = m->group_id_len == 0 && m->group_id ? strlen(m->group_id) : m->group_id_len;
    size_t stream_len = m->stream_id_len == 0 ? strlen(m->stream_id) : m->stream_id_len;
    inlong_core_chunk *c = chunk_for(slot, client, s, length);
    char attributes[INLONG_LONGEST_ATTRIBUTES];
    size_t attributes_len = 0;
    if (!c || (m->attribute_count > 0 && !inlong_good_attributes(&slot->ring, m, attributes, &attributes_len)))
        return false;
    inlong_core_run *run = run_of(c, m, group_len, stream_len, attributes, attributes_len);
    if (!run)
        return false;
    run->count++;
    memcpy(c->data + c->used, payload, length);
    c->used += length;
    c->lengths[c->count] = (uint32_t)length;
    c->tags[c->count++] = tag;
    if (c->count == atomic_load_explicit(&slot->ring.limit, memory_order_relaxed) / 2) /* while there is room for more */
        ring_bell(&slot->ring);
    return true;
}

size_t inlong_ring_feed(inlong_slot *slot, uintptr_t client, const inlong_feed *feed)
{
    inlong_ring *r = &slot->ring;
    inlong_stripe *s = stripe_of(r);
    size_t i = 0, at = 0;
    pthread_mutex_lock(&s->mutex);
    for (; i < feed->count; i++) {
        const inlong_message *m = feed->packed ? feed->messages : &feed->messages[i];
        inlong_core_tag tag = {feed->tag.a, feed->packed ? feed->tag.b + i : feed->tag.b};
        size_t length = feed->packed ? feed->lengths[i] : m->payload_len;
        if (!put(slot, client, s, m, feed->packed ? feed->data + at : m->payload, length, tag))
            break;
        at += length;
    }
    pthread_mutex_unlock(&s->mutex);
    if (atomic_load_explicit(&r->asleep, memory_order_relaxed)) /* it was set before the last look under the mutex */
        ring_bell(r);
    return i;
}

/* ---- taking ---- */

static void done_with(inlong_ring *r, inlong_core_chunk *c)
{
    inlong_stripe *s = r->from;
    pthread_mutex_lock(&s->mutex);
    free(s->spare);
    s->spare = c;
    s->out = NULL;
    s->done++;
    if (s->waiting > 0)
        pthread_cond_broadcast(&s->handed);
    pthread_mutex_unlock(&s->mutex);
    atomic_fetch_sub(&r->chunks, 1);
}

static inlong_core_chunk *take(inlong_ring *r)
{
    for (int i = 0; i < INLONG_STRIPES; i++) {
        inlong_stripe *s = &r->stripes[r->next++ % INLONG_STRIPES];
        pthread_mutex_lock(&s->mutex);
        inlong_core_chunk *c = s->filling && s->filling->count > 0 ? s->filling : NULL;
        if (c) {
            c->ago_ms = inlong_now_ms() - c->began_ms;
            s->out = c;
            s->filling = NULL;
            r->from = s;
            if (s->waiting > 0)
                pthread_cond_broadcast(&s->handed);
        }
        pthread_mutex_unlock(&s->mutex);
        if (c)
            return c;
    }
    return NULL;
}

void inlong_ring_publish(inlong_slot *slot, uintptr_t client, const inlong_core_intake *in)
{
    inlong_ring *r = &slot->ring;
    if (atomic_load(&slot->handle) != client)
        return;
    atomic_store(&r->width, in->ordered ? 1 : INLONG_STRIPES); /* first: no thread may change its stripe */
    int64_t limit = in->most_messages / FEWEST_CHUNKS;
    limit = limit < 1 ? 1 : limit < INLONG_CHUNK_MESSAGES ? limit : INLONG_CHUNK_MESSAGES;
    atomic_store(&r->limit, (size_t)limit);
    int64_t by_messages = in->messages / limit, by_bytes = in->bytes / CHUNK_COST;
    int64_t most = by_messages < by_bytes ? by_messages : by_bytes;
    atomic_store(&r->most, most < 0 ? 0 : most > INT_MAX ? INT_MAX : (int)most);
    atomic_store(&r->longest, in->longest < LONGEST_PAYLOAD ? in->longest : LONGEST_PAYLOAD);
    if (in->broken)
        atomic_store(&r->open, false);
}

/* An idle client keeps none. */
static void free_spares(inlong_ring *r)
{
    for (int i = 0; i < INLONG_STRIPES; i++) {
        pthread_mutex_lock(&r->stripes[i].mutex);
        free(r->stripes[i].spare);
        r->stripes[i].spare = NULL;
        pthread_mutex_unlock(&r->stripes[i].mutex);
    }
}

/* The next chunk behind a sleep; NULL: there is none. */
static inlong_core_chunk *wait_and_take(inlong_ring *r, bool worked, int64_t nap_ns)
{
    inlong_core_chunk *c = NULL;
    if (worked) {
        sleep_here(r, (long)nap_ns);
    } else {
        free_spares(r);
        atomic_store(&r->asleep, true);
        if ((c = take(r)) == NULL) /* one that was put in before is found; who puts one in behind it finds `asleep` */
            sleep_here(r, 0);
        atomic_store(&r->asleep, false);
    }
    return c ? c : take(r);
}

inlong_core_chunk *inlong_ring_take(uintptr_t client, inlong_core_chunk *done, inlong_core_intake intake)
{
    static inlong_core_chunk nothing;
    /* Not by the handle, which may have ended: the slot is no other client's before this goroutine has left. */
    inlong_slot *slot = atomic_load(&inlong_slots[(client >> 1) & (INLONG_SLOTS - 1)]);
    inlong_ring *r = &slot->ring;
    INLONG_TAKES_OVER(&r->next); /* a goroutine comes on another thread each time */
    bool worked = done && done != &nothing;
    if (worked)
        done_with(r, done);
    inlong_ring_publish(slot, client, &intake);
    bool open = atomic_load(&r->open); /* before the look: behind the end nothing is put in */
    inlong_core_chunk *c = take(r);
    if (!c && open)
        c = wait_and_take(r, worked, intake.nap_ns);
    if (!c && open)
        c = &nothing;
    if (!c)
        inlong_ring_end(slot);
    INLONG_HANDS_OVER(slot);
    INLONG_HANDS_OVER(&r->next);
    return c;
}

/* ---- waiting for it ---- */

/* Until the core has done with what is in the stripe now, or takes nothing more. */
static bool settle(inlong_ring *r, inlong_stripe *s, const struct timespec *until)
{
    pthread_mutex_lock(&s->mutex);
    unsigned target = s->begun - (s->filling && s->filling->count == 0);
    int late = 0;
    while ((int)(target - s->done) > 0 && atomic_load(&r->running) && late == 0) {
        ring_bell(r);
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

size_t inlong_ring_close(inlong_slot *slot, int64_t timeout_ms)
{
    inlong_ring *r = &slot->ring;
    size_t left = 0;
    atomic_store(&r->open, false);
    for (int i = 0; i < INLONG_STRIPES; i++) { /* anyone who was about to put one in has done it, anyone who waits gives up */
        pthread_mutex_lock(&r->stripes[i].mutex);
        pthread_cond_broadcast(&r->stripes[i].handed);
        pthread_mutex_unlock(&r->stripes[i].mutex);
    }
    ring_bell(r);
    struct timespec until = inlong_deadline(timeout_ms < 0 ? LONGEST_CLOSE_MS : timeout_ms + CLOSE_WAIT_MS);
    int state = inlong_cancel_hold();
    pthread_mutex_lock(&r->mutex);
    while (atomic_load(&r->running) && pthread_cond_timedwait(&r->bell, &r->mutex, &until) == 0)
        ;
    bool ended = !atomic_load(&r->running);
    pthread_mutex_unlock(&r->mutex);
    inlong_cancel_let_go(state);
    for (int i = 0; !ended && i < INLONG_STRIPES; i++) {
        inlong_stripe *s = &r->stripes[i];
        pthread_mutex_lock(&s->mutex);
        left += (s->filling ? s->filling->count : 0) + (s->out ? s->out->count : 0);
        pthread_mutex_unlock(&s->mutex);
    }
    return left;
}
