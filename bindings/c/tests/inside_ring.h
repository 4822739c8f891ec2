/* inside_ring.h - looking into a client's ring. */
#ifndef INSIDE_RING_H
#define INSIDE_RING_H

#include "../../../capi/front/client.h"
#include "fixture.h"

#include <sched.h>

static const char *const no_options[] = {NULL};

static inline inlong_ring *ring_of(inlong_client *client) { return &inlong_client_slot(client)->ring; }

static inline unsigned chunks(inlong_client *client)
{
    unsigned n = 0;
    for (int i = 0; i < INLONG_STRIPES; i++)
        n += ring_of(client)->stripes[i].begun;
    return n;
}

/* Once this thread has put something in: nothing more that it puts in is taken. The goroutine looks at all stripes in turn, and stays at one. */
static inline int hold_others(inlong_client *client)
{
    inlong_ring *r = ring_of(client);
    int own = 0;
    while (own < INLONG_STRIPES && r->stripes[own].begun == 0)
        own++;
    CHECK(own < INLONG_STRIPES);
    for (int i = 0; i < INLONG_STRIPES; i++)
        CHECK(i == own || pthread_mutex_lock(&r->stripes[i].mutex) == 0);
    return own;
}

static inline void let_others_go(inlong_client *client, int own)
{
    for (int i = 0; i < INLONG_STRIPES; i++)
        CHECK(i == own || pthread_mutex_unlock(&ring_of(client)->stripes[i].mutex) == 0);
}

#endif
