/* inside_ring.h - a client whose ring is open. */
#ifndef INSIDE_RING_H
#define INSIDE_RING_H

#include "../../../capi/front/client.h"
#include "fixture.h"

#include <sched.h>

static const char *const no_options[] = {NULL};

static inline inlong_ring *ring_of(inlong_client *client) { return &inlong_client_slot(client)->ring; }

/* A client that accepts messages by itself: the core has told it that there is room. */
static inline fixture open_ring(const char *const *options)
{
    fixture f = open_fixture(options);
    while (atomic_load(&ring_of(f.client)->most) == 0)
        sched_yield();
    return f;
}

static inline unsigned chunks(inlong_client *client)
{
    unsigned n = 0;
    for (int i = 0; i < INLONG_STRIPES; i++)
        n += ring_of(client)->stripes[i].begun;
    return n;
}

#endif
