/* SPDX-License-Identifier: Apache-2.0
 * clock.c - waiting by the monotonic clock: a step of the wall clock ends no wait early. */
#include "front.h"

struct timespec inlong_deadline(int64_t timeout_ms)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    const int64_t most = INT64_C(1000) * 86400 * 36500; /* keeps tv_sec in range; a century is for ever */
    if (timeout_ms > most)
        timeout_ms = most;
    t.tv_sec += (time_t)(timeout_ms / 1000);
    t.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
    if (t.tv_nsec >= 1000000000) {
        t.tv_sec++;
        t.tv_nsec -= 1000000000;
    }
    return t;
}

static void unlock(void *mutex) { pthread_mutex_unlock(mutex); }

int inlong_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex, const struct timespec *until)
{
    int code;
    pthread_cleanup_push(unlock, mutex);
    code = until ? pthread_cond_timedwait(cond, mutex, until) : pthread_cond_wait(cond, mutex);
    pthread_cleanup_pop(0);
    return code;
}

int64_t inlong_now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int64_t inlong_rest_ms(int64_t timeout_ms, int64_t began_ms)
{
    int64_t passed = inlong_now_ms() - began_ms;
    return timeout_ms < 0 ? timeout_ms : timeout_ms > passed ? timeout_ms - passed : 0;
}

void inlong_cond_init(pthread_cond_t *cond)
{
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(cond, &attr);
    pthread_condattr_destroy(&attr);
}
