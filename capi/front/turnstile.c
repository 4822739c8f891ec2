/* SPDX-License-Identifier: Apache-2.0
 * turnstile.c - lets a few threads at a time send on one client. A call takes a third of a microsecond; more threads in the
 * core than it has processors are put to sleep and woken by its scheduler, which costs many times that.
 *
 * Nobody is woken for a call here either: the others stand in line, and the first of them tries again after a nap. The one that is
 * inside goes on sending meanwhile, which is what the processors are best at. The first nap is a short one: when all have little left
 * to send, each of them waits for it. */
#include "client.h"

enum { WIDEST = 8, SPINS = 8, FIRST_NAP_NS = 200000, NAP_NS = 3000000 };

atomic_int inlong_turnstile_width = 1;

/* Half of the processors: the other half writes, reads answers and calls callbacks. Beyond WIDEST the threads would fight for the
 * runtime's own lock around each call. */
void inlong_turnstile_set(int processors)
{
    int half = processors / 2;
    atomic_store(&inlong_turnstile_width, half < 1 ? 1 : half > WIDEST ? WIDEST : half);
}

static void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#endif
}

static bool spin(inlong_slot *slot)
{
    for (int i = 0; i < SPINS; i++) {
        if (inlong_turnstile_try(slot))
            return true;
        relax();
    }
    return false;
}

bool inlong_turnstile_queue(inlong_slot *slot)
{
    if (inlong_log_inside()) /* it may run below a call that is inside, and would wait for itself */
        return false;
    if (spin(slot)) /* the other one was there for a single call */
        return true;
    pthread_mutex_lock(&slot->line);
    int64_t nap = FIRST_NAP_NS;
    do {
        inlong_core_for(slot)->nap(nap);
        nap = NAP_NS;
    } while (!spin(slot));
    pthread_mutex_unlock(&slot->line);
    return true;
}
