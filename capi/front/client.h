/* SPDX-License-Identifier: Apache-2.0
 * client.h - the way from a client's handle to its slot. */
#ifndef INLONG_CLIENT_H
#define INLONG_CLIENT_H

#include "front.h"

/* The slot of a client that this process may use, or NULL. Two loads and two comparisons, because every call does this. */
static inline inlong_slot *inlong_client_slot(inlong_client *client)
{
    return inlong_forked() ? NULL : inlong_slot_find((uintptr_t)client);
}

static inline int inlong_client_fault(const inlong_client *client) { return inlong_fail_handle(INLONG_CLIENT, client); }

#endif
