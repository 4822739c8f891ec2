/* SPDX-License-Identifier: Apache-2.0
 * send.c - the four ways to send. */
#include <string.h>

#include "check.h"
#include "client.h"

/* Asks the core to answer a call that brings messages, after what its thread has put in, or after everything if that might take their room. A
 * call that does not wait for room also waits while the core takes that: a moment, unless its goroutine gets no processor time. */
static int ask(inlong_slot *slot, inlong_core_call *call, int64_t began)
{
    inlong_patience p = inlong_ring_patience(&slot->ring, call);
    bool taken = inlong_ring_settle(slot, inlong_ring_begin_call(slot, call), inlong_rest_ms(p.ms, began));
    call->timeout_ms = inlong_rest_ms(call->timeout_ms, began);
    int64_t rest = inlong_rest_ms(p.ms, began);
    unsigned turn = inlong_ring_turn(&slot->ring);
    taken = taken && inlong_call_within(call, rest > 0 ? rest : INLONG_LEAST_PATIENCE_MS, NULL);
    int code = taken ? call->code : inlong_fail_untaken(p.code);
    inlong_ring_publish(slot, call, turn);
    return code;
}

int inlong_client_send(inlong_client *client, const inlong_message *message, int64_t timeout_ms, inlong_result *result)
{
    inlong_slot *slot = inlong_client_slot(client);
    if (!slot)
        return inlong_client_fault(client);
    inlong_message m;
    int code = inlong_check_message(message, &m);
    if (code == INLONG_OK)
        code = inlong_check_timeout(timeout_ms);
    if (code == INLONG_OK && result)
        code = inlong_check_size("result", result->struct_size, sizeof *result);
    if (code == INLONG_OK && inlong_gate_beside())
        code = inlong_fail_beside();
    if (code != INLONG_OK)
        return code;
    inlong_result unwanted;
    if (!result)
        result = &unwanted;
    memset(result, 0, sizeof *result);
    result->struct_size = sizeof *result;
    result->count = 1;
    code = ask(slot,
               &(inlong_core_call){.kind = INLONG_CALL_SEND,
                                   .handle = (uintptr_t)client,
                                   .message = &m,
                                   .count = 1,
                                   .timeout_ms = timeout_ms,
                                   .result = result},
               inlong_now_ms());
    if (code != INLONG_OK && result->code == INLONG_OK) { /* a fault after which no result comes must not look like an ack */
        result->code = code;
        result->persisted = code == INLONG_ERR_INTERNAL ? INLONG_MAYBE_WRITTEN : INLONG_NOT_WRITTEN;
        inlong_copy_text(result->text, sizeof result->text, inlong_last_error());
    }
    return code;
}

/* Leaves out the first messages of a call. */
static void skip(inlong_core_call *call, size_t n)
{
    size_t used = 0;
    call->count -= n;
    if (call->kind == INLONG_CALL_SUBMIT_MANY) {
        call->message += n;
        return;
    }
    for (size_t i = 0; i < n; i++)
        used += call->lengths[i];
    call->data = (const char *)call->data + used;
    call->size -= used;
    call->lengths += n;
    call->tag.b += n;
}

/* Sends through the ring what it takes, and the rest to the core directly. */
static int submit(inlong_slot *slot, inlong_core_call *call, size_t *accepted)
{
    int64_t began;
    size_t put = inlong_ring_feed(slot, call, &began);
    *accepted += put;
    if (put == call->count)
        return INLONG_OK;
    skip(call, put);
    int code = ask(slot, call, began > 0 ? began : inlong_now_ms());
    *accepted += call->accepted;
    inlong_good_learn(slot, call);
    return code;
}

int inlong_client_send_async(inlong_client *client, const inlong_message *message, inlong_callback callback, void *user)
{
    inlong_slot *slot = inlong_client_slot(client);
    if (!slot)
        return inlong_client_fault(client);
    inlong_message m;
    int code = inlong_check_message(message, &m);
    if (code != INLONG_OK)
        return code;
    m.user = NULL;
    size_t accepted = 0;
    return submit(slot,
                  &(inlong_core_call){.kind = INLONG_CALL_SUBMIT_MANY,
                                      .handle = (uintptr_t)client,
                                      .message = &m,
                                      .count = 1,
                                      .tag = {(uintptr_t)callback, (uintptr_t)user},
                                      .timeout_ms = INLONG_NO_TIMEOUT},
                  &accepted);
}

static const inlong_message *message_at(const inlong_message *messages, size_t i)
{
    return (const inlong_message *)((const char *)messages + i * messages->struct_size);
}

/* How many messages, from the first on, are of good shape; `fault` is that of the next one. */
static size_t count_good(const inlong_message *messages, size_t count, int *fault)
{
    size_t good = 0;
    for (; good < count; good++) {
        const inlong_message *m = good == 0 ? messages : message_at(messages, good);
        *fault = good == 0 ? INLONG_OK : inlong_check_size("message after the first", m->struct_size, messages->struct_size);
        if (*fault == INLONG_OK)
            *fault = inlong_check_shape(m);
        if (*fault != INLONG_OK)
            break;
    }
    return good;
}

/* Those of a program built before a field was added lie closer together than the core takes them. */
static int submit_shorter(inlong_slot *slot, const inlong_core_call *all, size_t *accepted)
{
    enum { AT_ONCE = 32 };
    inlong_message full[AT_ONCE];
    int code = INLONG_OK;
    for (size_t done = 0, n; done < all->count && code == INLONG_OK; done += n) {
        for (n = 0; n < AT_ONCE && done + n < all->count; n++)
            (void)inlong_check_message(message_at(all->message, done + n), &full[n]); /* for the copy; it was checked before */
        inlong_core_call part = *all;
        part.message = full;
        part.count = n;
        code = submit(slot, &part, accepted);
    }
    return code;
}

int inlong_client_send_many(inlong_client *client, const inlong_message *messages, size_t count, inlong_callback callback,
                            void *user, size_t *accepted)
{
    size_t unwanted;
    if (!accepted)
        accepted = &unwanted;
    *accepted = 0;
    inlong_slot *slot = inlong_client_slot(client);
    if (!slot)
        return inlong_client_fault(client);
    if (!messages && count > 0)
        return inlong_fail(INLONG_ERR_ARG, "messages is NULL but count is %zu", count);
    if (count > PTRDIFF_MAX / sizeof *messages)
        return inlong_fail(INLONG_ERR_ARG, "count is negative");
    int fault = INLONG_OK, code = INLONG_OK;
    size_t good = count_good(messages, count, &fault);
    if (good > 0) {
        inlong_core_call call = {.kind = INLONG_CALL_SUBMIT_MANY,
                                 .handle = (uintptr_t)client,
                                 .message = messages,
                                 .count = good,
                                 .tag = {(uintptr_t)callback, (uintptr_t)user},
                                 .bulk = true,
                                 .timeout_ms = INLONG_NO_TIMEOUT};
        code = messages->struct_size == sizeof *messages ? submit(slot, &call, accepted) : submit_shorter(slot, &call, accepted);
    }
    if (code == INLONG_OK && good > 0 && fault != INLONG_OK)
        (void)count_good(message_at(messages, good - 1), 2, &fault); /* its text must be the last written */
    return code == INLONG_OK ? fault : code;
}

static int check_packed(const inlong_packed *p, int64_t timeout_ms, inlong_message *model)
{
    if (!p)
        return inlong_fail(INLONG_ERR_ARG, "messages is NULL");
    int code = inlong_check_size("messages", p->struct_size, sizeof *p);
    if (code == INLONG_OK)
        code = inlong_check_message(p->model, model);
    if (code == INLONG_OK)
        code = inlong_check_timeout(timeout_ms);
    if (code != INLONG_OK)
        return code;
    if (p->flags & ~(INLONG_PACKED_MERGE_ACKS | INLONG_PACKED_SINGLES))
        return inlong_fail(INLONG_ERR_ARG, "flags is %d: it must be INLONG_PACKED_... or 0", p->flags);
    if (p->data_len > PTRDIFF_MAX || p->count > PTRDIFF_MAX / sizeof *p->lengths)
        return inlong_fail(INLONG_ERR_ARG, "%s is negative", p->data_len > PTRDIFF_MAX ? "data_len" : "count");
    if ((!p->data && p->data_len > 0) || (!p->lengths && p->count > 0))
        return inlong_fail(INLONG_ERR_ARG, "%s is NULL", !p->data && p->data_len > 0 ? "data" : "lengths");
    uint64_t sum = 0;
    for (size_t i = 0; i < p->count; i++)
        sum += p->lengths[i];
    if (sum != p->data_len)
        return inlong_fail(INLONG_ERR_ARG, "lengths add up to %llu but data_len is %zu", (unsigned long long)sum, p->data_len);
    return INLONG_OK;
}

int inlong_client_send_packed(inlong_client *client, const inlong_packed *messages, int64_t timeout_ms, size_t *accepted)
{
    size_t unwanted;
    if (!accepted)
        accepted = &unwanted;
    *accepted = 0;
    inlong_slot *slot = inlong_client_slot(client);
    if (!slot)
        return inlong_client_fault(client);
    inlong_message model;
    int code = check_packed(messages, timeout_ms, &model);
    if (code != INLONG_OK || messages->count == 0)
        return code;
    bool merge = messages->flags & INLONG_PACKED_MERGE_ACKS;
    return submit(slot,
                  &(inlong_core_call){.kind = INLONG_CALL_SUBMIT_PACKED,
                                      .handle = (uintptr_t)client,
                                      .message = &model,
                                      .data = messages->data,
                                      .size = messages->data_len,
                                      .lengths = messages->lengths,
                                      .count = messages->count,
                                      .tag = {merge ? INLONG_TAG_MERGE : INLONG_TAG_RANGE, (uintptr_t)messages->user},
                                      .bulk = !(messages->flags & INLONG_PACKED_SINGLES),
                                      .timeout_ms = timeout_ms},
                  accepted);
}
