/* SPDX-License-Identifier: Apache-2.0
 * call.c - calls of the core. No thread of the host runs inside the runtime: it leaves a call here and waits, a goroutine takes that and
 * answers it. Each waits on a condition of its own, so that nobody's wake-up can be taken by another. */
#include "front.h"

enum { MOST_IDLE = 2 };

struct caller {
    inlong_core_call *call;
    struct caller *next;
    struct server *by; /* who was given it */
    pthread_cond_t answered;
    int64_t left_ms; /* when it was left here */
    bool begun, done;
};

/* A goroutine that waits for a call. */
struct server {
    struct caller *given;
    struct server *next;
    pthread_cond_t ready;
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER; /* guards all below; taken last */
static struct caller *first, **last = &first;
static struct server *idle; /* who came last is the first to go: what it needs is in the caches */
static int idlers;

void inlong_calls_forget(void)
{
    pthread_mutex_init(&mutex, NULL);
    first = NULL;
    last = &first;
    idle = NULL;
    idlers = 0;
}

static void give(struct caller *c)
{
    struct server *s = idle;
    if (!s) {
        *last = c;
        last = &c->next;
        return;
    }
    idle = s->next;
    idlers--;
    c->by = s;
    s->given = c;
    pthread_cond_signal(&s->ready);
}

static struct caller *take_first(void)
{
    struct caller *c = first;
    first = c->next;
    if (!first)
        last = &first;
    return c;
}

/* False: a goroutine has begun it. One that was given it and has not woken is free for the next. */
static bool take_back(struct caller *c)
{
    struct server *s = c->by;
    struct caller **at = &first;
    if (c->begun)
        return false;
    if (s && first) {
        s->given = take_first();
        s->given->by = s;
    } else if (s) {
        s->given = NULL;
        s->next = idle;
        idle = s;
        idlers++;
    } else {
        while (*at != c)
            at = &(*at)->next;
        *at = c->next;
        last = last == &c->next ? at : last;
    }
    return true;
}

/* For ThreadSanitizer, see INLONG_HANDS_OVER. */
static const void *ordered_by(const inlong_core_call *call)
{
    const inlong_slot *slot = inlong_slot_find(call->handle);
    return slot ? (const void *)slot : &mutex;
}

bool inlong_call_within(inlong_core_call *call, int64_t timeout_ms)
{
    struct caller c = {.call = call, .left_ms = inlong_now_ms()};
    struct timespec until = inlong_deadline(timeout_ms < 0 ? 0 : timeout_ms);
    bool taken_back = false;
    const void *order = ordered_by(call);
    call->err = inlong_error_buffer();
    call->inside = inlong_gate_inside();
    call->caller = &c;
    inlong_cond_init(&c.answered);
    int state = inlong_cancel_hold();
    INLONG_HANDS_OVER(order);
    pthread_mutex_lock(&mutex);
    give(&c);
    while (!c.done && !taken_back)
        if (timeout_ms < 0 || c.begun)
            pthread_cond_wait(&c.answered, &mutex);
        else
            taken_back = pthread_cond_timedwait(&c.answered, &mutex, &until) != 0 && take_back(&c);
    pthread_mutex_unlock(&mutex);
    INLONG_TAKES_OVER(order);
    inlong_cancel_let_go(state);
    pthread_cond_destroy(&c.answered);
    return !taken_back;
}

int inlong_call(inlong_core_call *call)
{
    (void)inlong_call_within(call, INLONG_NO_TIMEOUT);
    return call->code;
}

static struct caller *wait_here(void)
{
    struct server me = {.next = idle};
    inlong_cond_init(&me.ready);
    idle = &me;
    idlers++;
    while (!me.given)
        pthread_cond_wait(&me.ready, &mutex);
    pthread_cond_destroy(&me.ready);
    return me.given;
}

inlong_core_call *inlong_call_next(inlong_core_call *answered)
{
    struct caller *c = NULL;
    pthread_mutex_lock(&mutex);
    if (answered) {
        struct caller *by = answered->caller;
        by->done = true;
        pthread_cond_signal(&by->answered); /* with the mutex: the caller's memory is gone as soon as it continues */
    }
    if (first || idlers < MOST_IDLE)
        c = first ? take_first() : wait_here();
    inlong_core_call *call = c ? c->call : NULL;
    if (call) {
        c->begun = true;
        call->timeout_ms = inlong_rest_ms(call->timeout_ms, c->left_ms);
        call->alone = idlers == 0;
    }
    pthread_mutex_unlock(&mutex);
    return call;
}
