/* SPDX-License-Identifier: Apache-2.0
 * gate.c - keeps callbacks from running into a process whose exit handlers and static destructors have begun. */
#include <stdlib.h>

#include "front.h"

enum { EXIT_WAIT_MS = 2000 };

static atomic_bool closed;
static atomic_int running;
/* In which kind of callback this thread is. */
static _Thread_local enum { OUTSIDE, RESULTS, BESIDE } inside;

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t left;

bool inlong_gate_inside(void) { return inside == RESULTS; }

bool inlong_gate_beside(void) { return inside == BESIDE; }

int inlong_fail_beside(void)
{
    return inlong_fail(
        INLONG_ERR_WORKER_BUSY,
        "worker is busy: inside a callback for log lines or credentials this call would wait for the thread that it runs on");
}

bool inlong_gate_closed(void) { return atomic_load_explicit(&closed, memory_order_relaxed); }

/* Counted first, checked second, in the opposite order of shut(). So either the callback sees the gate closed or shut() sees the callback. */
bool inlong_gate_enter(void)
{
    atomic_fetch_add(&running, 1);
    if (atomic_load(&closed)) {
        inlong_gate_leave();
        return false;
    }
    inside = RESULTS;
    return true;
}

void inlong_gate_leave(void)
{
    inside = OUTSIDE;
    atomic_fetch_sub(&running, 1);
    if (!atomic_load(&closed))
        return;
    pthread_mutex_lock(&mutex);
    pthread_cond_broadcast(&left);
    pthread_mutex_unlock(&mutex);
}

bool inlong_gate_enter_beside(inlong_slot *slot, uintptr_t client)
{
    if (!inlong_gate_enter())
        return false;
    inside = BESIDE;
    inlong_slot_enter(slot); /* before `muted` is read: a close mutes first and counts after that */
    if (!atomic_load(&slot->muted) && atomic_load(&slot->handle) == client)
        return true;
    inlong_gate_leave_beside(slot);
    return false;
}

void inlong_gate_leave_beside(inlong_slot *slot)
{
    inlong_slot_leave(slot);
    inlong_gate_leave();
}

static void shut(void)
{
    if (inlong_forked()) /* what `running` counts are threads of the parent */
        return;
    atomic_store(&closed, true);
    int self = inside != OUTSIDE; /* exit() was called by a callback: do not wait for it */
    struct timespec deadline = inlong_deadline(EXIT_WAIT_MS);
    pthread_mutex_lock(&mutex);
    while (atomic_load(&running) > self && pthread_cond_timedwait(&left, &mutex, &deadline) == 0)
        ;
    pthread_mutex_unlock(&mutex);
}

void inlong_gate_forked(void) { inside = OUTSIDE; }

void inlong_gate_forget(void)
{
    atomic_store(&running, 0);
    pthread_mutex_init(&mutex, NULL);
    inlong_cond_init(&left);
}

static void arm(void)
{
    inlong_cond_init(&left);
    (void)atexit(shut);
    (void)at_quick_exit(shut);
}

void inlong_gate_arm(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, arm);
}
