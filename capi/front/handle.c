/* SPDX-License-Identifier: Apache-2.0
 * handle.c - handles, and the table of clients. A client's handle is a number, its slot, and a 1 that tells it from a real
 * pointer; a mock's has neither slot nor 1:
 *
 *     number << (INLONG_SLOT_BITS + 1) | slot << 1 | 1
 *
 * No number is used twice, also not in forked children, so that an old handle fits nothing new; the child knows its parent's
 * by them. */
#include <stdlib.h>
#include <string.h>

#include "front.h"

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER; /* guards the two below and all writes to slots */
static inlong_slot *free_slots;
static uintptr_t used;
inlong_slot *_Atomic inlong_slots[INLONG_SLOTS];

static atomic_uintptr_t numbers; /* the last that was given */
static atomic_uintptr_t parents; /* the last that is a parent's */

uintptr_t inlong_handle_new(uintptr_t slot) { return (atomic_fetch_add(&numbers, 1) + 1) << (INLONG_SLOT_BITS + 1) | slot; }

bool inlong_handle_is_parents(uintptr_t handle)
{
    uintptr_t number = handle >> (INLONG_SLOT_BITS + 1);
    return number > 0 && number <= atomic_load(inlong_forked() ? &numbers : &parents);
}

static void init(inlong_slot *slot)
{
    pthread_mutex_init(&slot->mutex, NULL);
    inlong_cond_init(&slot->ready);
    inlong_cond_init(&slot->room);
    inlong_ring_init(&slot->ring);
    slot->event_fd = -1;
}

static inlong_slot *new_slot(void)
{
    inlong_slot *slot = used < INLONG_SLOTS ? calloc(1, sizeof *slot) : NULL;
    if (!slot)
        return NULL;
    init(slot);
    slot->index = used;
    atomic_store(&inlong_slots[used++], slot);
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
    slot->state = INLONG_SLOT_OPENING;
    slot->busy = slot->woken = false;
    atomic_store(&slot->muted, false);
    *handle = inlong_handle_new(slot->index << 1 | 1);
    atomic_store_explicit(&slot->handle, *handle, memory_order_release);
    pthread_mutex_unlock(&slot->mutex);
    return slot;
}

static void give_back(inlong_slot *slot)
{
    slot->state = INLONG_SLOT_FREE;
    pthread_mutex_lock(&mutex);
    slot->next_free = free_slots;
    free_slots = slot;
    pthread_mutex_unlock(&mutex);
}

void inlong_slot_release(inlong_slot *slot)
{
    atomic_store(&slot->handle, 0);
    slot->state = INLONG_SLOT_CLOSED;
    inlong_queue_wake_all(slot);
    if (atomic_load(&slot->calling) == 0)
        give_back(slot);
}

/* The last one out checks the state after its own step: either it finds the slot closed, or the close found nobody inside. */
void inlong_slot_leave(inlong_slot *slot)
{
    if (atomic_fetch_sub(&slot->calling, 1) > 1 || !atomic_load(&slot->muted))
        return;
    pthread_mutex_lock(&slot->mutex);
    if (slot->state == INLONG_SLOT_CLOSED && atomic_load(&slot->calling) == 0)
        give_back(slot);
    pthread_mutex_unlock(&slot->mutex);
}

/* No thread of this process knows a slot, and every lock may be one that a thread of the parent held. Results that wait are
 * the parent's to take, and event_fd is not closed: the host may have done that, and have another file under its number. */
void inlong_slots_forget(void)
{
    atomic_store(&parents, atomic_load(&numbers));
    pthread_mutex_init(&mutex, NULL);
    free_slots = NULL;
    inlong_leftover_forget();
    for (uintptr_t i = 0; i < used; i++) {
        inlong_slot *slot = atomic_load(&inlong_slots[i]);
        if (!slot) /* a thread of the parent was just making it */
            continue;
        struct inlong_leftover *leftover = slot->leftover;
        inlong_ring_forget(&slot->ring);
        memset(slot, 0, sizeof *slot);
        init(slot);
        slot->leftover = leftover;
        slot->index = i;
        slot->next_free = free_slots;
        free_slots = slot;
    }
}
