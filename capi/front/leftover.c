/* SPDX-License-Identifier: Apache-2.0
 * leftover.c - results that a closed client leaves in its queue, until they are polled or dropped. They take no slot and no
 * descriptor. */
#include <stdlib.h>

#include "front.h"

struct inlong_leftover {
    struct inlong_leftover *next;
    uintptr_t client;
    inlong_results queue;
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER; /* taken last */
static struct inlong_leftover *leftovers;

bool inlong_leftover_prepare(inlong_slot *slot) { return slot->leftover || (slot->leftover = calloc(1, sizeof *slot->leftover)); }

size_t inlong_leftover_leave(inlong_slot *slot, uintptr_t client)
{
    struct inlong_leftover *left = slot->leftover;
    size_t length = slot->queue.length;
    if (length == 0)
        return 0;
    left->client = client;
    left->queue = slot->queue;
    slot->queue = (inlong_results){0};
    slot->leftover = NULL;
    pthread_mutex_lock(&mutex);
    left->next = leftovers;
    leftovers = left;
    pthread_mutex_unlock(&mutex);
    return length;
}

/* In a child the mutex may be one that a thread of the parent held. */
void inlong_leftover_forget(void)
{
    pthread_mutex_init(&mutex, NULL);
    leftovers = NULL;
}

/* Takes what fits into results, or drops all for results NULL. The number; INLONG_ERR_HANDLE if nothing is left. */
int64_t inlong_leftover_take(uintptr_t client, inlong_result *results, int max)
{
    int64_t n = INLONG_ERR_HANDLE;
    pthread_mutex_lock(&mutex);
    for (struct inlong_leftover **at = &leftovers, *left; (left = *at); at = &left->next) {
        if (left->client != client)
            continue;
        n = results ? inlong_results_take(&left->queue, results, max) : (int64_t)left->queue.length;
        if (!results)
            inlong_results_drop(&left->queue);
        if (left->queue.length == 0) {
            *at = left->next;
            free(left);
        }
        break;
    }
    pthread_mutex_unlock(&mutex);
    return n;
}
