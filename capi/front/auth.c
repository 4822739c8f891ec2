/* SPDX-License-Identifier: Apache-2.0
 * auth.c - questions for credentials: to a callback, or into one line of the process for those whose threads cannot be called. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

/* A question that waits for inlong_auth_poll and inlong_auth_answer. It lives in the memory of its asker, which takes it out of the line. */
struct question {
    struct question *next;
    uintptr_t client;
    enum { ASKED, TAKEN, ANSWERED, CANCELLED } state;
    inlong_auth *auth;
};

inlong_fork_mutex inlong_auth_mutex = INLONG_FORK_MUTEX; /* guards the three that follow, and questions; taken alone */
static pthread_cond_t asked, answered;
static struct question *first;
static _Atomic uint64_t numbers;

void inlong_auth_begin(void)
{
    first = NULL;
    inlong_cond_init(&asked);
    inlong_cond_init(&answered);
}

/* ---- Asking ---- */

static void fail(inlong_auth *auth, const char *text) { inlong_copy_text(auth->text, sizeof auth->text, text); }

/* A text that fills its field was cut, and would be credentials that nobody has. */
static void judge(inlong_auth *auth, int code)
{
    auth->text[sizeof auth->text - 1] = 0;
    inlong_mend_text(auth->text);
    if (code != INLONG_OK && !auth->text[0])
        fail(auth, "auth: there are no credentials");
    else if (code == INLONG_OK && strnlen(auth->name, sizeof auth->name) >= sizeof auth->name - 1)
        fail(auth, "auth: the header name fills its field, and may be cut");
    else if (code == INLONG_OK && strnlen(auth->value, sizeof auth->value) >= sizeof auth->value - 1)
        fail(auth, "auth: the header value fills its field, and may be cut");
    else if (code == INLONG_OK)
        auth->text[0] = 0;
}

static void call(inlong_slot *slot, uintptr_t client, inlong_auth_callback callback, inlong_auth *auth)
{
    int code = callback(auth, auth->user);
    inlong_guard_return(client);
    judge(auth, code);
    inlong_gate_leave_beside(slot);
}

static void take_out(const struct question *q)
{
    struct question **at = &first;
    while (*at && *at != q)
        at = &(*at)->next;
    if (*at)
        *at = q->next;
}

static void wait_for_answer(const inlong_slot *slot, struct question *q, int64_t timeout_ms)
{
    struct timespec until = inlong_deadline(timeout_ms > 0 ? timeout_ms : 0);
    int late = 0;
    inlong_fork_lock(&inlong_auth_mutex);
    struct question **last = &first;
    while (*last)
        last = &(*last)->next;
    *last = q;
    /* In line before the check: a close mutes first and cancels what is in line after that. */
    if (atomic_load(&slot->muted) || atomic_load(&slot->handle) != q->client)
        q->state = CANCELLED;
    pthread_cond_broadcast(&asked);
    while (q->state < ANSWERED && late != ETIMEDOUT)
        late = inlong_cond_wait(&answered, &inlong_auth_mutex.mutex, timeout_ms < 0 ? NULL : &until);
    take_out(q);
    if (q->state == CANCELLED)
        fail(q->auth, "auth: the client is being closed");
    else if (q->state != ANSWERED)
        fail(q->auth, q->state == TAKEN ? "auth: no answer came in time" : "auth: nobody polled for the question in time");
    inlong_fork_unlock(&inlong_auth_mutex);
}

inlong_auth *inlong_auth_ask(uintptr_t client, const char *group_id, int64_t timeout_ms)
{
    inlong_auth *auth = calloc(1, sizeof *auth);
    if (!auth)
        return NULL;
    inlong_slot *slot = atomic_load(&inlong_slots[(client >> 1) & (INLONG_SLOTS - 1)]);
    INLONG_TAKES_OVER(slot);
    auth->struct_size = sizeof *auth;
    auth->question = ++numbers;
    inlong_copy_text(auth->group_id, sizeof auth->group_id, group_id);
    inlong_copy_text(auth->name, sizeof auth->name, "Authorization");
    /* After this no other client has the slot, so what is read is this client's. */
    if (inlong_gate_enter_beside(slot, client)) {
        inlong_auth_callback callback = atomic_load(&slot->auth);
        auth->user = atomic_load(&slot->auth_user);
        if (callback) {
            call(slot, client, callback, auth);
        } else {
            inlong_gate_leave_beside(slot);
            wait_for_answer(slot, &(struct question){.client = client, .auth = auth}, timeout_ms);
        }
    } else {
        fail(auth, "auth: the client is being closed");
    }
    INLONG_HANDS_OVER(slot);
    INLONG_HANDS_OVER(auth);
    return auth;
}

void inlong_auth_free(inlong_auth *auth)
{
    INLONG_TAKES_OVER(auth);
    free(auth);
}

void inlong_auth_cancel(uintptr_t client)
{
    inlong_fork_lock(&inlong_auth_mutex);
    for (struct question *q = first; q; q = q->next)
        if (q->client == client)
            q->state = CANCELLED;
    pthread_cond_broadcast(&answered);
    inlong_fork_unlock(&inlong_auth_mutex);
}

/* ---- Answering ---- */

/* The first in that state; number 0: any. */
static struct question *find(int state, uint64_t number)
{
    struct question *q = first;
    while (q && ((int)q->state != state || (number > 0 && q->auth->question != number)))
        q = q->next;
    return q;
}

int inlong_auth_poll(inlong_auth *auth, int64_t timeout_ms)
{
    if (!auth)
        return inlong_fail(INLONG_ERR_ARG, "auth is NULL");
    int code = inlong_check_size("auth", auth->struct_size, sizeof *auth);
    if (code == INLONG_OK)
        code = inlong_check_timeout(timeout_ms);
    if (code != INLONG_OK)
        return code;
    struct timespec until = inlong_deadline(timeout_ms > 0 ? timeout_ms : 0);
    int late = timeout_ms == 0 ? ETIMEDOUT : 0;
    struct question *q;
    inlong_fork_lock(&inlong_auth_mutex);
    while (!(q = find(ASKED, 0)) && late != ETIMEDOUT)
        late = inlong_cond_wait(&asked, &inlong_auth_mutex.mutex, timeout_ms < 0 ? NULL : &until);
    if (q) {
        q->state = TAKEN;
        *auth = *q->auth;
    }
    inlong_fork_unlock(&inlong_auth_mutex);
    return q != NULL;
}

int inlong_auth_answer(const inlong_auth *auth, int code)
{
    if (!auth)
        return inlong_fail(INLONG_ERR_ARG, "auth is NULL");
    int bad = inlong_check_size("auth", auth->struct_size, sizeof *auth);
    if (bad != INLONG_OK)
        return bad;
    if (auth->question == 0)
        return inlong_fail(INLONG_ERR_ARG, "auth: question is 0: it must be the one of inlong_auth_poll");
    inlong_fork_lock(&inlong_auth_mutex);
    struct question *q = find(TAKEN, auth->question);
    if (q) {
        *q->auth = *auth;
        judge(q->auth, code);
        q->state = ANSWERED;
        pthread_cond_broadcast(&answered);
    }
    inlong_fork_unlock(&inlong_auth_mutex);
    return q ? INLONG_OK
             : inlong_fail(INLONG_ERR_CONTEXT_EXPIRED, "message context expired: nobody waits for this answer any more");
}
