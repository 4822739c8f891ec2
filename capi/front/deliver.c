/* SPDX-License-Identifier: Apache-2.0
 * deliver.c - where results arrive from the core: one call a batch, on a thread of its lane. */
#include "front.h"

static bool is_callback(const inlong_core_tag *tag) { return tag->a > INLONG_TAG_MERGE; }

static void call(const inlong_core_tag *tags, size_t count, inlong_result *result)
{
    if (!inlong_gate_enter())
        return;
    result->count = 1;
    for (size_t i = 0; i < count && !inlong_gate_closed(); i++) {
        if (!is_callback(&tags[i]))
            continue;
        result->user = (void *)tags[i].b;
        ((inlong_callback)tags[i].a)(result, result->user);
    }
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
    if (callbacks > 0)
        call(tags, count, result);
    INLONG_HANDS_OVER(result);
    INLONG_HANDS_OVER(tags);
    INLONG_HANDS_OVER(slot);
}
