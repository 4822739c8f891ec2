/* SPDX-License-Identifier: Apache-2.0
 * entry.c - the one exported symbol: brings the front and the core's goroutines together. The thread that loads the core waits here; it
 * does not run inside the runtime, as no thread of the host does. */
#include <pthread.h>

#include "entry.h"

inlong_core_host inlong_host;

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER; /* guards all below */
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static bool started, entered;
static const inlong_core_host *front; /* whose core this is */
static int runtime_kind;

void inlong_core_started(int kind)
{
    pthread_mutex_lock(&mutex);
    runtime_kind = kind;
    started = true;
    pthread_cond_broadcast(&changed);
    while (!entered)
        pthread_cond_wait(&changed, &mutex);
    pthread_mutex_unlock(&mutex);
}

__attribute__((visibility("default"))) int inlong_core_entry(uint32_t version, const inlong_core_host *host,
                                                             inlong_core_about *about)
{
    about->version = INLONG_CORE_ABI_VERSION;
    if (version != INLONG_CORE_ABI_VERSION)
        return INLONG_ERR_ABI;
    pthread_mutex_lock(&mutex);
    if (entered && host != front) {
        pthread_mutex_unlock(&mutex);
        return INLONG_CORE_TAKEN;
    }
    front = host;
    inlong_host = *host;
    entered = true;
    pthread_cond_broadcast(&changed);
    while (!started)
        pthread_cond_wait(&changed, &mutex);
    about->runtime = runtime_kind;
    pthread_mutex_unlock(&mutex);
    return INLONG_OK;
}
