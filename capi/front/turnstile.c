/* SPDX-License-Identifier: Apache-2.0
 * turnstile.c - lets a few threads at a time send on one client. A call takes a third of a microsecond; more threads in the
 * core than it has processors are put to sleep and woken by its scheduler, which costs many times that.
 *
 * Nobody is woken here either: a thread that finds the turnstile busy tries again after a moment, and after a longer one each
 * time. The one that is inside goes on sending meanwhile, which is what the processors are best at. */
#include "front.h"

enum { WIDEST = 8, SPINS = 32, FIRST_NAP_NS = 50000, LONGEST_NAP_NS = 1600000 };

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

bool inlong_turnstile_queue(inlong_slot *slot)
{
    if (inlong_log_inside()) /* it may run below a call that is inside, and would wait for itself */
        return false;
    long nap = FIRST_NAP_NS;
    for (int tries = 1;; tries++) {
        int n = atomic_load_explicit(&slot->inside, memory_order_relaxed);
        if (n < atomic_load_explicit(&inlong_turnstile_width, memory_order_relaxed) &&
            atomic_compare_exchange_weak_explicit(&slot->inside, &n, n + 1, memory_order_acquire, memory_order_relaxed))
            return true;
        if (tries < SPINS) {
            relax();
            continue;
        }
        nanosleep(&(struct timespec){.tv_nsec = nap}, NULL);
        if (nap < LONGEST_NAP_NS)
            nap *= 2;
    }
}
