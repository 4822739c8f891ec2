/* SPDX-License-Identifier: Apache-2.0
 * runtime.c - settings of the core's Go runtime: kept here until it is loaded, for the environment is read then and not by
 * us. */
#include "front.h"

enum { SMALLEST_LIMIT = 16 << 20, GC_MOST = 10000 };

static _Atomic int64_t gc_percent, memory_limit; /* 0 = not set */
static atomic_bool stays_forked;                 /* INLONG_RUNTIME_FORK_RELOAD is 0 */
static atomic_bool applied;

static int check(int setting, int64_t value)
{
    switch (setting) {
    case INLONG_RUNTIME_GC_PERCENT:
        if (value != -1 && (value < 1 || value > GC_MOST))
            return inlong_fail(INLONG_ERR_ARG, "INLONG_RUNTIME_GC_PERCENT is %lld: it must be 1 to %d, or -1 for none",
                               (long long)value, GC_MOST);
        if (value == -1 && atomic_load(&memory_limit) <= 0)
            return inlong_fail(
                INLONG_ERR_ARG,
                "INLONG_RUNTIME_GC_PERCENT is -1: INLONG_RUNTIME_MEMORY_LIMIT must be set before, or memory grows for ever");
        return INLONG_OK;
    case INLONG_RUNTIME_MEMORY_LIMIT:
        if (value != -1 && value < SMALLEST_LIMIT)
            return inlong_fail(INLONG_ERR_ARG, "INLONG_RUNTIME_MEMORY_LIMIT is %lld: it must be %d bytes or more, or -1 for none",
                               (long long)value, SMALLEST_LIMIT);
        if (value == -1 && atomic_load(&gc_percent) == -1)
            return inlong_fail(INLONG_ERR_ARG,
                               "INLONG_RUNTIME_MEMORY_LIMIT is -1: it must be a limit while INLONG_RUNTIME_GC_PERCENT is -1");
        return INLONG_OK;
    case INLONG_RUNTIME_FORK_RELOAD:
        if (value != 0 && value != 1)
            return inlong_fail(INLONG_ERR_ARG, "INLONG_RUNTIME_FORK_RELOAD is %lld: it must be 0 or 1", (long long)value);
        return INLONG_OK;
    }
    if (setting == INLONG_RUNTIME_STOCK)
        return inlong_fail(INLONG_ERR_ARG, "INLONG_RUNTIME_STOCK cannot be set: it tells how the library was built");
    return inlong_fail(INLONG_ERR_ARG, "setting is %d: it must be one of INLONG_RUNTIME_...", setting);
}

/* In a forked child the runtime is gone, and a new one may be loaded. */
static bool running(void) { return atomic_load(&applied) && !inlong_forked(); }

static int too_late(void)
{
    return inlong_fail(INLONG_ERR_OPTION,
                       "the runtime is loaded already: set it before the first inlong_client_new or inlong_mock_new");
}

int inlong_runtime_set(int setting, int64_t value)
{
    int code = check(setting, value);
    if (code != INLONG_OK)
        return code;
    if (setting == INLONG_RUNTIME_FORK_RELOAD) {
        atomic_store(&stays_forked, value == 0);
        return INLONG_OK;
    }
    if (running())
        return too_late();
    atomic_store(setting == INLONG_RUNTIME_GC_PERCENT ? &gc_percent : &memory_limit, value);
    return running() ? too_late() : INLONG_OK; /* another thread loaded it meanwhile, with this value or without */
}

bool inlong_runtime_reloads(void) { return !atomic_load(&stays_forked); }

void inlong_runtime_apply(void)
{
    atomic_store(&applied, true);
    inlong_core_call call = {.kind = INLONG_CALL_RUNTIME_SET, .numbers = {atomic_load(&gc_percent), atomic_load(&memory_limit)}};
    (void)inlong_call_within(&call, INLONG_NO_TIMEOUT,
                             NULL); /* a core that was given up here would have other settings than were asked */
}

int inlong_runtime_get(int setting, int64_t *value)
{
    if (!value)
        return inlong_fail(INLONG_ERR_ARG, "value is NULL");
    *value = setting == INLONG_RUNTIME_FORK_RELOAD && !atomic_load(&stays_forked);
    if (setting == INLONG_RUNTIME_STOCK)
        *value = INLONG_RUNTIME_WANTED == INLONG_CORE_STOCK;
    if (setting == INLONG_RUNTIME_FORK_RELOAD || setting == INLONG_RUNTIME_STOCK)
        return INLONG_OK;
    if (setting != INLONG_RUNTIME_GC_PERCENT && setting != INLONG_RUNTIME_MEMORY_LIMIT)
        return inlong_fail(INLONG_ERR_ARG, "setting is %d: it must be one of INLONG_RUNTIME_...", setting);
    if (atomic_load(&inlong_core_loaded) && !inlong_forked()) {
        inlong_core_call call = {.kind = INLONG_CALL_RUNTIME_GET, .count = (size_t)setting};
        int code = inlong_call(&call);
        *value = call.numbers[0];
        return code;
    }
    bool percent = setting == INLONG_RUNTIME_GC_PERCENT;
    *value = atomic_load(percent ? &gc_percent : &memory_limit);
    if (*value == 0)
        *value = percent ? 100 : -1;
    return INLONG_OK;
}
