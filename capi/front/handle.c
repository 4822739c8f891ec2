/* SPDX-License-Identifier: Apache-2.0
 * handle.c - the table of clients. A handle is generation, slot, and a 1 that tells it from a real pointer:
 *
 *     generation << (INLONG_SLOT_BITS + 1) | slot << 1 | 1
 *
 * The generation grows each time a slot is taken, so that an old handle never fits a new client. */
#include <stdlib.h>

#include "front.h"

enum { SLOTS = 1 << INLONG_SLOT_BITS };

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER; /* guards the two below and all writes to slots */
static inlong_slot *free_slots;
static uintptr_t used;
static inlong_slot *_Atomic slots[SLOTS];

static inlong_slot *new_slot(void)
{
    inlong_slot *slot = used < SLOTS ? calloc(1, sizeof *slot) : NULL;
    if (!slot)
        return NULL;
    pthread_mutex_init(&slot->mutex, NULL);
    inlong_cond_init(&slot->ready);
    inlong_cond_init(&slot->room);
    slot->event_fd = -1;
    slot->index = used;
    atomic_store(&slots[used++], slot);
    return slot;
}

inlong_slot *inlong_slot_take(uintptr_t *handle)
{
    pthread_mutex_lock(&mutex);
    inlong_slot *slot = free_slots;
    if (slot)
        free_slots = slot->next_free;
    else
        slot = new_slot();
    pthread_mutex_unlock(&mutex);
    if (!slot)
        return NULL;
    pthread_mutex_lock(&slot->mutex);
    slot->state = INLONG_SLOT_OPEN;
    atomic_store(&slot->muted, false);
    slot->generation++;
    *handle = slot->generation << (INLONG_SLOT_BITS + 1) | slot->index << 1 | 1;
    atomic_store_explicit(&slot->handle, *handle, memory_order_release);
    pthread_mutex_unlock(&slot->mutex);
    return slot;
}

inlong_slot *inlong_slot_find(uintptr_t handle)
{
    inlong_slot *slot = atomic_load_explicit(&slots[(handle >> 1) & (SLOTS - 1)], memory_order_acquire);
    if (!(handle & 1) || !slot || atomic_load_explicit(&slot->handle, memory_order_acquire) != handle)
        return NULL;
    return slot;
}

void inlong_slot_release(inlong_slot *slot)
{
    atomic_store(&slot->handle, 0);
    slot->state = INLONG_SLOT_FREE;
    inlong_queue_wake_all(slot);
    pthread_mutex_lock(&mutex);
    slot->next_free = free_slots;
    free_slots = slot;
    pthread_mutex_unlock(&mutex);
}
