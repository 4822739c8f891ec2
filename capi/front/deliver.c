/* SPDX-License-Identifier: Apache-2.0
 * deliver.c - where results arrive from the core: one call a batch, on a thread of its lane. */
#include "front.h"

static bool is_callback(const inlong_core_tag *tag) { return tag->a > INLONG_TAG_MERGE; }

/* Looked at before each callback: a batch of slow ones may still be on when its client's close is over, and the slot with
 * another client. */
static bool over(inlong_slot *slot, uintptr_t client)
{
    return inlong_gate_closed() || atomic_load(&slot->muted) || atomic_load(&slot->handle) != client;
}

static void call(inlong_slot *slot, uintptr_t client, const inlong_core_tag *tags, size_t count, inlong_result *result)
{
    if (!inlong_gate_enter())
        return;
    atomic_fetch_add(&slot->calling, 1); /* before the first look: a close mutes first and counts then */
    result->count = 1;
    for (size_t i = 0; i < count && !over(slot, client); i++) {
        if (!is_callback(&tags[i]))
            continue;
        result->user = (void *)tags[i].b;
        ((inlong_callback)tags[i].a)(result, result->user);
    }
    atomic_fetch_sub(&slot->calling, 1);
    inlong_gate_leave();
}

void inlong_deliver(uintptr_t client, const inlong_core_tag *tags, size_t count, inlong_result *result)
{
    inlong_slot *slot = inlong_slot_find(client);
    INLONG_TAKES_OVER(slot);
    INLONG_TAKES_OVER(tags);
    INLONG_TAKES_OVER(result);
    size_t callbacks = 0;
    for (size_t i = 0; i < count; i++)
        callbacks += is_callback(&tags[i]);
    /* The queue first: a callback may close the client, and then its queue takes nothing more. */
    if (callbacks < count)
        inlong_queue_push(client, tags, count, result);
    if (callbacks > 0 && slot)
        call(slot, client, tags, count, result);
    INLONG_HANDS_OVER(result);
    INLONG_HANDS_OVER(tags);
    INLONG_HANDS_OVER(slot);
}
