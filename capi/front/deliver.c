/* SPDX-License-Identifier: Apache-2.0
 * deliver.c - where results arrive from the core: one call a batch, on a thread of its lane. */
#include "front.h"

enum { GROUP = 512 };

/* Messages of one result that go to the client's batch callback together. */
struct group {
    size_t count;
    void *users[GROUP];
};

static bool is_callback(const inlong_core_tag *tag) { return tag->a > INLONG_TAG_MERGE; }

/* Checked before each callback: a batch of slow ones may still run when its client's close has ended and the slot has another client. */
static bool over(inlong_slot *slot, uintptr_t client)
{
    return inlong_gate_closed() || atomic_load(&slot->muted) || atomic_load(&slot->handle) != client;
}

static void call_one(inlong_slot *slot, uintptr_t client, const inlong_core_tag *tag, inlong_result *result)
{
    if (over(slot, client))
        return;
    result->user = (void *)tag->b;
    result->count = 1;
    ((inlong_callback)tag->a)(result, result->user);
    inlong_guard_return(client);
}

static void call_group(inlong_slot *slot, uintptr_t client, struct group *g, inlong_result *result)
{
    inlong_batch_callback callback = atomic_load(&slot->results); /* first: what it says is this client's if it is not over */
    void *user = atomic_load(&slot->results_user);
    if (g->count > 0 && !over(slot, client)) {
        result->user = g->users[0];
        result->count = g->count;
        callback(result, g->users, g->count, user);
        inlong_guard_return(client);
    }
    g->count = 0;
}

/* Calls callbacks in the order of the tags, which is that of their stream. */
static void call(inlong_slot *slot, uintptr_t client, const inlong_core_tag *tags, size_t count, inlong_result *result,
                 bool grouped)
{
    struct group g;
    g.count = 0;
    for (size_t i = 0; i < count; i++) {
        if (is_callback(&tags[i])) {
            call_group(slot, client, &g, result);
            call_one(slot, client, &tags[i], result);
        } else if (grouped) {
            g.users[g.count++] = (void *)tags[i].b;
            if (g.count == GROUP)
                call_group(slot, client, &g, result);
        }
    }
    call_group(slot, client, &g, result);
}

void inlong_deliver(uintptr_t client, const inlong_core_tag *tags, size_t count, inlong_result *result)
{
    inlong_slot *slot = inlong_slot_find(client);
    INLONG_TAKES_OVER(slot);
    INLONG_TAKES_OVER(tags);
    INLONG_TAKES_OVER(result);
    bool grouped = slot && atomic_load(&slot->results);
    size_t callbacks = 0;
    for (size_t i = 0; i < count; i++)
        callbacks += is_callback(&tags[i]);
    /* The queue first: a callback may close the client, and then its queue takes nothing more. */
    if (callbacks < count && !grouped)
        inlong_queue_push(client, tags, count, result);
    if (slot && (callbacks > 0 || grouped) && inlong_gate_enter()) {
        inlong_slot_enter(slot); /* before `muted` is first read: a close mutes first and counts after that */
        call(slot, client, tags, count, result, grouped);
        inlong_slot_leave(slot);
        inlong_gate_leave();
    }
    INLONG_HANDS_OVER(result);
    INLONG_HANDS_OVER(tags);
    INLONG_HANDS_OVER(slot);
}
