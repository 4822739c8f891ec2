/* SPDX-License-Identifier: Apache-2.0
 * log.c - log lines: to a callback, or into one queue of the process for those whose threads cannot be called. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

enum { QUEUED_LINES = 256 };

struct line {
    struct line *next;
    inlong_log_line line;
};

inlong_fork_mutex inlong_log_mutex = INLONG_FORK_MUTEX; /* guards the four that follow; taken alone */
static pthread_cond_t ready;
static inlong_log_sink process;
static struct line *head, *tail;
static int queued, lost;

void inlong_log_begin(void)
{
    for (struct line *l; (l = head); free(l))
        head = l->next;
    tail = NULL;
    queued = lost = 0;
    inlong_cond_init(&ready);
}

/* ---- Where lines go ---- */

int inlong_log_sink_of(inlong_log_sink *sink, inlong_log_callback callback, void *user, int level)
{
    if (level < INLONG_LOG_OFF || level > INLONG_LOG_DEBUG)
        return inlong_fail(INLONG_ERR_ARG, "level is %d: it must be INLONG_LOG_OFF (0) to INLONG_LOG_DEBUG (4)", level);
    *sink = (inlong_log_sink){callback == INLONG_LOG_QUEUE ? NULL : callback, user, callback ? level : INLONG_LOG_OFF};
    return INLONG_OK;
}

int inlong_log_set(inlong_log_callback callback, void *user, int level)
{
    inlong_log_sink sink;
    int code = inlong_log_sink_of(&sink, callback, user, level);
    if (code != INLONG_OK)
        return code;
    inlong_fork_lock(&inlong_log_mutex);
    process = sink;
    inlong_fork_unlock(&inlong_log_mutex);
    return INLONG_OK;
}

inlong_log_sink inlong_log_of_process(void)
{
    inlong_fork_lock(&inlong_log_mutex);
    inlong_log_sink sink = process;
    inlong_fork_unlock(&inlong_log_mutex);
    return sink;
}

/* ---- Lines from the core ---- */

static void push(uintptr_t client, int level, const char *text)
{
    struct line *l = calloc(1, sizeof *l);
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    inlong_fork_lock(&inlong_log_mutex);
    if (!l || queued == QUEUED_LINES) {
        lost++;
        free(l);
    } else {
        l->line = (inlong_log_line){.struct_size = sizeof l->line,
                                    .level = level,
                                    .lost = lost,
                                    .client = (inlong_client *)client,
                                    .time_ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000};
        inlong_copy_text(l->line.text, sizeof l->line.text, text);
        lost = 0;
        if (tail)
            tail->next = l;
        else
            head = l;
        tail = l;
        queued++;
        pthread_cond_signal(&ready);
    }
    inlong_fork_unlock(&inlong_log_mutex);
}

static void call(inlong_slot *slot, uintptr_t client, int level, const char *text)
{
    if (!inlong_gate_enter_beside(slot, client))
        return;
    inlong_log_callback callback = atomic_load(&slot->log);
    callback((inlong_client *)client, level, text, atomic_load(&slot->log_user));
    inlong_guard_return(client);
    inlong_gate_leave_beside(slot);
}

void inlong_log_deliver(uintptr_t client, int level, const char *text)
{
    inlong_slot *slot = inlong_slot_find(client);
    INLONG_TAKES_OVER(slot);
    if (slot && atomic_load(&slot->log))
        call(slot, client, level, text);
    else if (slot)
        push(client, level, text);
    INLONG_HANDS_OVER(slot);
}

/* ---- Taking them ---- */

static int take(inlong_log_line *lines, int max)
{
    int n = 0;
    for (struct line *l; n < max && (l = head); n++) {
        lines[n] = l->line;
        head = l->next;
        free(l);
        queued--;
    }
    if (!head)
        tail = NULL;
    return n;
}

int inlong_log_poll(inlong_log_line *lines, int max, int64_t timeout_ms)
{
    if (!lines || max <= 0)
        return inlong_fail(INLONG_ERR_ARG, lines ? "max is %d: it must be 1 or more" : "lines is NULL", max);
    int code = inlong_check_size("lines[0]", lines->struct_size, sizeof *lines);
    if (code == INLONG_OK)
        code = inlong_check_timeout(timeout_ms);
    if (code != INLONG_OK)
        return code;
    struct timespec until = inlong_deadline(timeout_ms > 0 ? timeout_ms : 0);
    int late = timeout_ms == 0 ? ETIMEDOUT : 0;
    inlong_fork_lock(&inlong_log_mutex);
    while (!head && late != ETIMEDOUT)
        late = inlong_cond_wait(&ready, &inlong_log_mutex.mutex, timeout_ms < 0 ? NULL : &until);
    int n = take(lines, max);
    inlong_fork_unlock(&inlong_log_mutex);
    return n;
}
