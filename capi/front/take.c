/* SPDX-License-Identifier: Apache-2.0
 * take.c - the core's end of the ring: its goroutine tells what may be put in, takes chunks, and sleeps while there are none. */
#include <limits.h>
#include <stdlib.h>

#include "front.h"
#include "ring.h"

enum { LONGEST_PAYLOAD = 16 << 10, FEWEST_CHUNKS = 16 };
/* Memory of the core for a chunk, at most: a batch a run, a body that doubles as it grows. */
enum { CHUNK_COST = 2 * INLONG_CHUNK_BYTES + INLONG_RUNS * 4096 };

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

static void done_with(inlong_ring *r, inlong_core_chunk *c)
{
    inlong_stripe *s = r->from;
    atomic_fetch_sub(&r->chunks, 1);
    atomic_fetch_sub(&r->granted, (int64_t)c->room);
    atomic_fetch_sub(&r->bulk, (int64_t)c->bulk);
    pthread_mutex_lock(&s->mutex);
    free(s->spare);
    s->spare = c;
    s->out = NULL;
    s->done++;
    if (s->waiting > 0)
        pthread_cond_broadcast(&s->handed);
    pthread_mutex_unlock(&s->mutex);
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

/* With the mutex held. */
static void publish(inlong_ring *r, const inlong_core_intake *in, int64_t room)
{
    atomic_store(&r->width, in->ordered ? 1 : INLONG_STRIPES); /* first: no thread may change its stripe */
    int64_t least = in->most_messages / FEWEST_CHUNKS, most = in->bytes / CHUNK_COST;
    atomic_store(&r->least, least < 1 ? 1 : least < INLONG_CHUNK_MESSAGES ? least : INLONG_CHUNK_MESSAGES);
    atomic_store(&r->room, room);
    atomic_store(&r->bulk_room, in->bulk);
    atomic_store(&r->waits, in->waits != 0);
    atomic_store(&r->send_timeout_ms, in->send_timeout_ms);
    atomic_store(&r->most, most < 0 ? 0 : most > INT_MAX ? INT_MAX : (int)most);
    atomic_store(&r->longest, in->longest < LONGEST_PAYLOAD ? in->longest : LONGEST_PAYLOAD);
    if (in->broken)
        atomic_store(&r->open, false);
}

inlong_patience inlong_ring_patience(const inlong_ring *r, const inlong_core_call *call)
{
    bool send = call->kind == INLONG_CALL_SEND, waits = send || atomic_load(&r->waits);
    inlong_patience p = {call->timeout_ms, INLONG_ERR_CONTEXT_EXPIRED};
    if (p.ms < 0)
        p = waits ? (inlong_patience){atomic_load(&r->send_timeout_ms), INLONG_ERR_SEND_TIMEOUT}
                  : (inlong_patience){0, INLONG_ERR_QUEUE_FULL};
    if (!send && p.ms < INLONG_LEAST_PATIENCE_MS)
        p.ms = INLONG_LEAST_PATIENCE_MS;
    return p;
}

unsigned inlong_ring_turn(inlong_ring *r)
{
    pthread_mutex_lock(&r->mutex);
    unsigned turn = r->turn;
    pthread_mutex_unlock(&r->mutex);
    return turn;
}

/* What the goroutine has published meanwhile is newer, and may not count what the call brought. */
void inlong_ring_publish(inlong_slot *slot, const inlong_core_call *call, unsigned turn)
{
    inlong_ring *r = &slot->ring;
    pthread_mutex_lock(&r->mutex);
    bool here = atomic_load(&slot->handle) == call->handle; /* otherwise it may be another client's by now */
    if (here && atomic_load(&r->open) && call->intake.nap_ns > 0) {
        r->by_calls += (int64_t)call->accepted;
        if (r->turn != turn)
            atomic_fetch_sub(&r->room, (int64_t)call->accepted);
        else
            publish(r, &call->intake, call->intake.messages);
        r->turn++; /* what another call knows is older */
    }
    if (here) /* after that: what the core has charged is not room meanwhile */
        atomic_fetch_sub(&r->granted, (int64_t)call->count);
    pthread_mutex_unlock(&r->mutex);
}

/* For the goroutine: what calls have brought since it last ran may be missing in what it publishes. */
static void tell(inlong_ring *r, const inlong_core_intake *in)
{
    pthread_mutex_lock(&r->mutex);
    publish(r, in, in->messages - (r->by_calls - r->told));
    r->turn++;
    pthread_mutex_unlock(&r->mutex);
}

static void begin_turn(inlong_ring *r)
{
    pthread_mutex_lock(&r->mutex);
    r->told = r->by_calls;
    pthread_mutex_unlock(&r->mutex);
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

/* The next chunk after a sleep; NULL: there is none. */
static inlong_core_chunk *wait_and_take(inlong_ring *r, bool worked, int64_t nap_ns)
{
    inlong_core_chunk *c = NULL;
    if (worked) {
        sleep_here(r, (long)nap_ns);
    } else {
        free_spares(r);
        atomic_store(&r->asleep, true);
        if ((c = take(r)) ==
            NULL) /* a message that was put in before is found; a thread that puts one in after that finds `asleep` */
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
    INLONG_TAKES_OVER(&r->next); /* a goroutine runs on another thread each time */
    bool worked = done && done != &nothing;
    tell(r, &intake);
    if (worked) /* after that: what the core has charged for the chunk must not be room twice */
        done_with(r, done);
    bool open = atomic_load(&r->open); /* read before the check: after the end nothing is put in */
    inlong_core_chunk *c = take(r);
    if (!c && open)
        c = wait_and_take(r, worked, intake.nap_ns);
    if (!c && open)
        c = &nothing;
    begin_turn(r);
    if (!c)
        inlong_ring_end(slot);
    INLONG_HANDS_OVER(slot);
    INLONG_HANDS_OVER(&r->next);
    return c;
}
