/* SPDX-License-Identifier: Apache-2.0
 * client.c - opening, flushing and closing a client. */
#include "check.h"
#include "client.h"

enum { CALLING_WAIT_MS = 10, CALLBACK_WAIT_MS = 1000 };

/* No callback starts after this. Those that run, and one that a thread was about to call, are waited for; false: they take longer than that. */
static bool mute(inlong_slot *slot, int64_t wait_ms)
{
    atomic_store(&slot->muted, true);
    inlong_auth_cancel(atomic_load(&slot->handle));
    while (atomic_load(&slot->calling) > 0 && wait_ms-- > 0)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    return atomic_load(&slot->calling) == 0;
}

/* After this nothing comes from the core. What is left in the queue can still be polled. */
static bool finish(inlong_slot *slot, int64_t wait_ms, int64_t *unpolled)
{
    int state = inlong_cancel_hold();
    bool quiet = mute(slot, wait_ms);
    pthread_mutex_lock(&slot->mutex);
    size_t length = inlong_leftover_leave(slot, atomic_load(&slot->handle));
    if (unpolled)
        *unpolled = (int64_t)length;
    inlong_slot_release(slot);
    pthread_mutex_unlock(&slot->mutex);
    inlong_cancel_let_go(state);
    return quiet;
}

void inlong_client_closed(uintptr_t client)
{
    inlong_slot *slot = inlong_slot_find(client);
    if (slot)
        (void)finish(slot, CALLING_WAIT_MS, NULL);
}

/* A slot with the callbacks of options; NULL with the failure noted. */
static inlong_slot *slot_for(const inlong_options *options, const inlong_log_sink *log, uintptr_t *handle)
{
    inlong_slot *slot = inlong_slot_take(handle);
    if (slot && !inlong_leftover_prepare(slot)) {
        (void)finish(slot, 0, NULL);
        slot = NULL;
    }
    if (!slot) {
        (void)inlong_fail(INLONG_ERR_NOMEM, "no memory, or %d clients are open", 1 << INLONG_SLOT_BITS);
        return NULL;
    }
    atomic_store(&slot->log, log->callback);
    atomic_store(&slot->log_user, log->user);
    atomic_store(&slot->results, options->results);
    atomic_store(&slot->results_user, options->results_user);
    atomic_store(&slot->auth, options->auth);
    atomic_store(&slot->auth_user, options->auth_user);
    return slot;
}

static int open_client(const inlong_options *options, inlong_client **client)
{
    uintptr_t handle;
    inlong_log_sink log = options->own_log ? options->log : inlong_log_of_process();
    inlong_slot *slot = slot_for(options, &log, &handle);
    if (!slot)
        return INLONG_ERR_NOMEM;
    inlong_ring_open(slot);
    unsigned turn = inlong_ring_turn(&slot->ring);
    inlong_core_call call = {.kind = INLONG_CALL_NEW,
                             .handle = handle,
                             .options = options->items,
                             .count = options->count,
                             .asks = options->asks,
                             .log_level = log.level};
    int code = inlong_call(&call);
    if (code == INLONG_OK) {
        call.count = 0; /* of messages */
        inlong_ring_publish(slot, &call, turn);
        pthread_mutex_lock(&slot->mutex);
        slot->state = INLONG_SLOT_OPEN;
        pthread_mutex_unlock(&slot->mutex);
        *client = (inlong_client *)handle;
        return INLONG_OK;
    }
    inlong_ring_end(slot);
    (void)finish(slot, CALLBACK_WAIT_MS, NULL);
    return code;
}

static int new_client(const inlong_options *options, inlong_client **client)
{
    if (!options || !client)
        return inlong_fail(INLONG_ERR_ARG, "%s is NULL", options ? "client" : "options");
    int code = inlong_core_load();
    if (code == INLONG_OK)
        code = inlong_room_check_client();
    return code == INLONG_OK ? open_client(options, client) : code;
}

int inlong_client_new(const inlong_options *options, inlong_client **client, char *err, size_t errlen)
{
    if (client)
        *client = NULL;
    return inlong_check_err(errlen) == INLONG_OK ? inlong_tell(new_client(options, client), err, errlen) : INLONG_ERR_ARG;
}

int inlong_client_ask_row(const inlong_options *options, const char *stream_id, inlong_row_settings *settings)
{
    uintptr_t handle;
    inlong_slot *slot = slot_for(options, &(inlong_log_sink){0}, &handle);
    if (!slot)
        return INLONG_ERR_NOMEM;
    int code = inlong_call(&(inlong_core_call){.kind = INLONG_CALL_ROW_ASK,
                                               .handle = handle,
                                               .options = options->items,
                                               .count = options->count,
                                               .asks = options->asks,
                                               .data = stream_id,
                                               .settings = settings});
    (void)finish(slot, CALLBACK_WAIT_MS, NULL);
    return code;
}

/* Locks the slot of an open client, or of one that is being made, which its maker ends; NULL with the failure noted. */
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

bool inlong_client_stuck(uintptr_t client, uint64_t *polls)
{
    inlong_slot *slot = inlong_slot_find(client);
    if (!slot)
        return false;
    pthread_mutex_lock(&slot->mutex);
    bool yes = atomic_load(&slot->handle) == client && inlong_queue_is_full(slot) && slot->polls == *polls;
    *polls = slot->polls;
    pthread_mutex_unlock(&slot->mutex);
    return yes;
}

static int64_t patience(int64_t timeout_ms)
{
    return timeout_ms >= 0 && timeout_ms < INLONG_LEAST_PATIENCE_MS ? INLONG_LEAST_PATIENCE_MS : timeout_ms;
}

/* Asks the core, or gives up after the call's time-out, at least a second, if no goroutine takes it. */
static int ask(inlong_core_call *call)
{
    return inlong_call_within(call, patience(call->timeout_ms), NULL) ? call->code
                                                                      : inlong_fail_untaken(INLONG_ERR_CONTEXT_EXPIRED);
}

/* Whether a call may wait for the client. */
static int check_wait(inlong_client *client, int64_t timeout_ms)
{
    if (!inlong_client_slot(client))
        return inlong_client_fault(client);
    int code = inlong_check_timeout(timeout_ms);
    return code == INLONG_OK && inlong_gate_beside() ? inlong_fail_beside() : code;
}

int inlong_client_flush(inlong_client *client, int64_t timeout_ms)
{
    int code = check_wait(client, timeout_ms);
    if (code != INLONG_OK)
        return code;
    inlong_slot *slot = lock_open(client);
    if (!slot)
        return INLONG_ERR_HANDLE;
    pthread_mutex_unlock(&slot->mutex);
    int64_t began = inlong_now_ms();
    bool settled = inlong_ring_settle(slot, true, timeout_ms);
    code = ask(&(inlong_core_call){
        .kind = INLONG_CALL_FLUSH, /* also late: the core knows a callback, and has an answer of its own for it */
        .handle = (uintptr_t)client,
        .timeout_ms = inlong_rest_ms(timeout_ms, began)});
    if (code == INLONG_OK && !settled)
        code = inlong_fail(INLONG_ERR_CONTEXT_EXPIRED, "message context expired: before the core had taken all messages");
    return code;
}

int inlong_client_ready(inlong_client *client, int64_t timeout_ms)
{
    int code = check_wait(client, timeout_ms);
    if (code != INLONG_OK)
        return code;
    return ask(&(inlong_core_call){.kind = INLONG_CALL_READY, .handle = (uintptr_t)client, .timeout_ms = timeout_ms});
}

/* Adds those that the ring took back: the core has not seen them. */
static void count_lost(inlong_close_report *full, int64_t lost)
{
    size_t i = 0;
    if (lost == 0)
        return;
    full->failed += lost;
    full->unsent += lost;
    full->uncalled += lost;
    while (full->by_code[i].count > 0 && full->by_code[i].code != INLONG_ERR_CLOSED)
        i++; /* there are more places than codes */
    full->by_code[i].code = INLONG_ERR_CLOSED;
    full->by_code[i].count += lost;
}

int inlong_client_close(inlong_client *client, int64_t timeout_ms, inlong_close_report *report)
{
    inlong_slot *slot = inlong_client_slot(client);
    if (!slot)
        return inlong_client_fault(client);
    int code = inlong_check_timeout(timeout_ms);
    if (code == INLONG_OK && report)
        code = inlong_check_size("report", report->struct_size, sizeof *report);
    if (code == INLONG_OK && inlong_gate_beside())
        code = inlong_fail_beside();
    if (code != INLONG_OK)
        return code;
    if (!(slot = lock_open(client)))
        return INLONG_ERR_HANDLE;
    slot->state = INLONG_SLOT_CLOSING;
    pthread_cond_broadcast(&slot->room); /* a lane that waits for room must not hold up the close */
    pthread_mutex_unlock(&slot->mutex);

    int64_t began = inlong_now_ms();
    int64_t lost = (int64_t)inlong_ring_close(slot, timeout_ms);
    inlong_close_report unwanted, *full = report ? report : &unwanted;
    *full = (inlong_close_report){.struct_size = sizeof *full};
    int64_t rest = inlong_rest_ms(timeout_ms, began);
    /* In the slot's memory, where it stays if no goroutine takes it. */
    slot->closing = (inlong_core_call){.kind = INLONG_CALL_CLOSE, .handle = (uintptr_t)client, .timeout_ms = rest, .report = full};
    rest = rest < 0 ? atomic_load(&slot->ring.send_timeout_ms) : rest;
    code = inlong_call_within(&slot->closing, patience(rest), slot) ? slot->closing.code
                                                                    : inlong_fail_untaken(INLONG_ERR_CONTEXT_EXPIRED);
    count_lost(full, lost);
    if (code == INLONG_ERR_WORKER_BUSY)
        return code;
    /* The core has waited for the callbacks of results. What may run then is one for log lines or credentials. */
    int64_t left = timeout_ms < 0 ? CALLBACK_WAIT_MS : inlong_rest_ms(timeout_ms, began);
    bool quiet = finish(slot,
                        code != INLONG_OK || left < CALLING_WAIT_MS ? CALLING_WAIT_MS
                        : left < CALLBACK_WAIT_MS                   ? left
                                                                    : CALLBACK_WAIT_MS,
                        &full->unpolled);
    if (code == INLONG_OK && (lost > 0 || !quiet))
        code = inlong_fail(INLONG_ERR_CONTEXT_EXPIRED,
                           lost > 0 ? "message context expired: before the core had taken all messages"
                                    : "message context expired: a callback for log lines or credentials has not returned");
    return code;
}

enum { STATS_WAIT_MS = 100 };

/* What was accepted before the call is counted. */
static int tell(int kind, inlong_client *client, char *buf, size_t len)
{
    inlong_slot *slot = inlong_client_slot(client);
    if (!slot)
        return inlong_client_fault(client);
    int code = inlong_check_buffer(buf, len);
    if (code != INLONG_OK)
        return code;
    (void)inlong_ring_settle(slot, true, STATS_WAIT_MS);
    return ask(&(inlong_core_call){.kind = kind, .handle = (uintptr_t)client, .text = {buf, len}});
}

int inlong_client_stats(inlong_client *client, char *buf, size_t len) { return tell(INLONG_CALL_STATS, client, buf, len); }

int inlong_client_metrics(inlong_client *client, char *buf, size_t len) { return tell(INLONG_CALL_METRICS, client, buf, len); }
