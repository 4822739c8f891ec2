/* SPDX-License-Identifier: Apache-2.0
 * entry.h - the front, as goroutines call it. */
#ifndef INLONG_ENTRY_H
#define INLONG_ENTRY_H

#include "front/core_abi.h"

extern inlong_core_host inlong_host;

/* All of Go stands. Returns when the front has entered. */
void inlong_core_started(int runtime);

static inline inlong_core_call *inlong_host_next(inlong_core_call *answered) { return inlong_host.next(answered); }
static inline inlong_core_chunk *inlong_host_take(uintptr_t client, inlong_core_chunk *done, inlong_core_intake intake)
{
    return inlong_host.take(client, done, intake);
}
static inline void inlong_host_deliver(uintptr_t client, inlong_core_tag *tags, size_t count, inlong_result *result)
{
    inlong_host.deliver(client, tags, count, result);
}
static inline void inlong_host_closed(uintptr_t client) { inlong_host.closed(client); }
static inline void inlong_host_log(uintptr_t client, int level, char *text) { inlong_host.log(client, level, text); }

static inline inlong_auth *inlong_host_auth(uintptr_t client, const char *group_id, int64_t timeout_ms)
{
    return inlong_host.auth(client, group_id, timeout_ms);
}
static inline void inlong_host_auth_free(inlong_auth *auth) { inlong_host.auth_free(auth); }

static inline bool inlong_host_stuck(uintptr_t client, uint64_t *polls) { return inlong_host.stuck(client, polls); }

#endif
