/* SPDX-License-Identifier: Apache-2.0
 * client.c - opening, flushing and closing a client. */
#include <string.h>

#include "check.h"
#include "client.h"

enum { CALLING_WAIT_MS = 10, LOG_WAIT_MS = 1000 };

/* No callback starts any more. Those that run, and one that a thread was about to call, are waited for; false: they take
 * longer than that. */
static bool mute(inlong_slot *slot, int64_t wait_ms)
{
    atomic_store(&slot->muted, true);
    while (atomic_load(&slot->calling) > 0 && wait_ms-- > 0)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    return atomic_load(&slot->calling) == 0;
}

/* Nothing comes from the core any more; what is left in the queue can still be polled. */
static bool finish(inlong_slot *slot, int64_t wait_ms)
{
    int state = inlong_cancel_hold();
    bool quiet = mute(slot, wait_ms);
    pthread_mutex_lock(&slot->mutex);
    slot->state = INLONG_SLOT_CLOSED;
    if (slot->length == 0)
        inlong_slot_release(slot);
    pthread_mutex_unlock(&slot->mutex);
    inlong_cancel_let_go(state);
    return quiet;
}

static void closed(uintptr_t client)
{
    inlong_slot *slot = inlong_slot_find(client);
    if (slot)
        (void)finish(slot, CALLING_WAIT_MS);
}

static int new_client(const inlong_core_api *core, const inlong_options *options, inlong_client **client, char *err, size_t errlen)
{
    uintptr_t handle;
    inlong_slot *slot = inlong_slot_take(&handle);
    if (!slot)
        return inlong_fail(INLONG_ERR_NOMEM, err, errlen, "no memory, or %d clients are open", 1 << INLONG_SLOT_BITS);
    inlong_log_sink log = options->own_log ? options->log : inlong_log_of_process();
    atomic_store(&slot->log, log.callback);
    atomic_store(&slot->log_user, log.user);
    atomic_store(&slot->results, options->results);
    atomic_store(&slot->results_user, options->results_user);
    inlong_core_host host = {inlong_deliver, closed, inlong_log_deliver, log.level};
    int code = core->client_new(handle, options->items, options->count, host, inlong_error_buffer());
    if (code == INLONG_OK) {
        pthread_mutex_lock(&slot->mutex);
        slot->state = INLONG_SLOT_OPEN;
        pthread_mutex_unlock(&slot->mutex);
        *client = (inlong_client *)handle;
        return INLONG_OK;
    }
    inlong_copy_text(err, errlen, inlong_last_error());
    (void)finish(slot, LOG_WAIT_MS);
    return code;
}

int inlong_client_new(const inlong_options *options, inlong_client **client, char *err, size_t errlen)
{
    if (client)
        *client = NULL;
    if (inlong_check_err(errlen) != INLONG_OK)
        return INLONG_ERR_ARG;
    if (!options || !client)
        return inlong_fail(INLONG_ERR_ARG, err, errlen, "%s is NULL", options ? "client" : "options");
    const inlong_core_api *core;
    int code = inlong_core_load(&core, err, errlen);
    return code == INLONG_OK ? new_client(core, options, client, err, errlen) : code;
}

/* Locks the slot of an open client; NULL with the failure noted. Of one that is still being made too: its maker ends that. */
static inlong_slot *lock_open(inlong_client *client)
{
    inlong_slot *slot = inlong_client_slot(client);
    if (slot) {
        pthread_mutex_lock(&slot->mutex);
        if (atomic_load(&slot->handle) == (uintptr_t)client && slot->state == INLONG_SLOT_OPEN)
            return slot;
        pthread_mutex_unlock(&slot->mutex);
    }
    inlong_client_fault(client);
    return NULL;
}

/* The queue's bound does not hold during a flush: the thread that flushes is often the one that polls. */
static void lift(inlong_slot *slot, int by)
{
    slot->lifted += by;
    pthread_cond_broadcast(&slot->room);
    pthread_mutex_unlock(&slot->mutex);
}

int inlong_client_flush(inlong_client *client, int64_t timeout_ms)
{
    inlong_slot *slot = inlong_client_slot(client);
    if (!slot)
        return inlong_client_fault(client);
    int code = inlong_check_timeout(timeout_ms);
    if (code == INLONG_OK && inlong_log_inside())
        code = inlong_fail_inside_log();
    if (code != INLONG_OK)
        return code;
    if (!(slot = lock_open(client)))
        return INLONG_ERR_HANDLE;
    lift(slot, 1);
    code = inlong_core_for(slot)->client_flush((uintptr_t)client, timeout_ms, inlong_error_buffer());
    INLONG_TAKES_OVER(slot);
    pthread_mutex_lock(&slot->mutex);
    lift(slot, -1);
    return code;
}

/* A program built before a field was added has a shorter struct, and gets no more than that. */
static int check_report(const inlong_close_report *report)
{
    if (report->struct_size == offsetof(inlong_close_report, uncalled))
        return INLONG_OK;
    return inlong_check_size("report", report->struct_size, sizeof *report);
}

int inlong_client_close(inlong_client *client, int64_t timeout_ms, inlong_close_report *report)
{
    inlong_slot *slot = inlong_client_slot(client);
    if (!slot)
        return inlong_client_fault(client);
    int code = inlong_check_timeout(timeout_ms);
    if (code == INLONG_OK && report)
        code = check_report(report);
    if (code == INLONG_OK && inlong_log_inside())
        code = inlong_fail_inside_log();
    if (code != INLONG_OK)
        return code;
    if (!(slot = lock_open(client)))
        return INLONG_ERR_HANDLE;
    slot->state = INLONG_SLOT_CLOSING;
    pthread_cond_broadcast(&slot->room); /* a lane that waits for room must not hold up the close */
    pthread_mutex_unlock(&slot->mutex);

    int64_t began = inlong_now_ms();
    inlong_close_report full = {0};
    code = inlong_core_for(slot)->client_close((uintptr_t)client, timeout_ms, &full, inlong_error_buffer());
    INLONG_TAKES_OVER(slot);
    if (report) {
        full.struct_size = report->struct_size;
        memcpy(report, &full, full.struct_size);
    }
    if (code == INLONG_ERR_WORKER_BUSY)
        return code;
    /* The core has waited for the callbacks of results. What may run then is a log callback. */
    int64_t left = timeout_ms < 0 ? LOG_WAIT_MS : timeout_ms - (inlong_now_ms() - began);
    bool quiet = finish(slot, code != INLONG_OK || left < CALLING_WAIT_MS ? CALLING_WAIT_MS
                              : left < LOG_WAIT_MS                        ? left
                                                                          : LOG_WAIT_MS);
    if (code == INLONG_OK && !quiet)
        code = inlong_fail(INLONG_ERR_CONTEXT_EXPIRED, NULL, 0, "a log callback has not returned");
    return code;
}

int inlong_client_stats(inlong_client *client, char *buf, size_t len)
{
    if (!inlong_client_slot(client))
        return inlong_client_fault(client);
    int code = inlong_check_buffer(buf, len);
    return code == INLONG_OK ? inlong_core()->client_stats((uintptr_t)client, buf, len, inlong_error_buffer()) : code;
}

int inlong_client_metrics(inlong_client *client, char *buf, size_t len)
{
    if (!inlong_client_slot(client))
        return inlong_client_fault(client);
    int code = inlong_check_buffer(buf, len);
    return code == INLONG_OK ? inlong_core()->client_metrics((uintptr_t)client, buf, len, inlong_error_buffer()) : code;
}
