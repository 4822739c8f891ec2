/* SPDX-License-Identifier: Apache-2.0
 * call.c - calls of the core. No thread of the host runs inside the runtime: it leaves a call here and waits, a goroutine takes that and
 * answers it. Each waits on a condition of its own, so that nobody's wake-up can be taken by another. */
#include "front.h"

enum { MOST_IDLE = 2 };

/* A goroutine that waits for calls. */
struct server {
    struct server *next;
    pthread_cond_t ready;
    bool called;
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER; /* guards all below; taken last */
static inlong_core_call *first, **last = &first;          /* that nobody has begun with */
static struct server *idle; /* the last to come is the first to go, because what it needs is in the caches */
static int idlers;

void inlong_calls_forget(void)
{
    pthread_mutex_init(&mutex, NULL);
    first = NULL;
    last = &first;
    idle = NULL;
    idlers = 0;
}

static void wake_server(void)
{
    struct server *s = idle;
    if (!s)
        return;
    idle = s->next;
    idlers--;
    s->called = true;
    pthread_cond_signal(&s->ready);
}

static void wait_here(void)
{
    struct server me = {.next = idle};
    inlong_cond_init(&me.ready);
    idle = &me;
    idlers++;
    while (!me.called)
        pthread_cond_wait(&me.ready, &mutex);
    pthread_cond_destroy(&me.ready);
}

static void take_out(inlong_core_call *call)
{
    inlong_core_call **at = &first;
    while (*at != call)
        at = &(*at)->next;
    *at = call->next;
    if (!*at)
        last = at;
}

/* For ThreadSanitizer, see INLONG_HANDS_OVER. */
static const void *ordered_by(const inlong_core_call *call)
{
    const inlong_slot *slot = inlong_slot_find(call->handle);
    return slot ? (const void *)slot : &mutex;
}

/* What a call that stays in its slot may no longer use: it belongs to its caller. */
static void leave_behind(inlong_core_call *call, inlong_slot *keeper)
{
    call->keeper = keeper;
    call->err = (inlong_core_text){0};
    call->report = NULL;
    inlong_slot_enter(keeper);
}

bool inlong_call_within(inlong_core_call *call, int64_t timeout_ms, inlong_slot *keeper)
{
    struct timespec until = inlong_deadline(timeout_ms < 0 ? 0 : timeout_ms);
    const void *order = ordered_by(call);
    call->err = inlong_error_buffer();
    call->inside = inlong_gate_inside();
    call->left_ms = inlong_now_ms();
    inlong_cond_init(&call->answered);
    int state = inlong_cancel_hold();
    INLONG_HANDS_OVER(order);
    pthread_mutex_lock(&mutex);
    *last = call;
    last = &call->next;
    wake_server();
    bool late = false;
    while (!call->done && !late)
        if (timeout_ms < 0 || call->begun)
            pthread_cond_wait(&call->answered, &mutex);
        else
            late = pthread_cond_timedwait(&call->answered, &mutex, &until) != 0 && !call->begun;
    if (late && keeper)
        leave_behind(call, keeper);
    else if (late)
        take_out(call);
    pthread_mutex_unlock(&mutex);
    INLONG_TAKES_OVER(order);
    inlong_cancel_let_go(state);
    if (!call->keeper)
        pthread_cond_destroy(&call->answered);
    return !late;
}

int64_t inlong_call_patience_ms = 10000;

int inlong_call(inlong_core_call *call)
{
    return inlong_call_within(call, inlong_call_patience_ms, NULL) ? call->code : inlong_fail_untaken(INLONG_ERR_CONTEXT_EXPIRED);
}

/* With the mutex held: the caller's memory is gone as soon as it continues. */
static void give_back(inlong_core_call *call)
{
    inlong_slot *keeper = call->keeper;
    call->done = true;
    pthread_cond_signal(&call->answered);
    if (!keeper)
        return;
    pthread_mutex_unlock(&mutex); /* it is the last of all */
    inlong_slot_leave(keeper);
    pthread_mutex_lock(&mutex);
}

inlong_core_call *inlong_call_next(inlong_core_call *answered)
{
    pthread_mutex_lock(&mutex);
    if (answered)
        give_back(answered);
    while (!first && idlers < MOST_IDLE) /* another one may have taken what this one was woken for */
        wait_here();
    inlong_core_call *call = first;
    if (call) {
        take_out(call);
        call->begun = true;
        call->timeout_ms = inlong_rest_ms(call->timeout_ms, call->left_ms);
        call->alone = idlers == 0;
    }
    pthread_mutex_unlock(&mutex);
    return call;
}
