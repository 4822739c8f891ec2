/* SPDX-License-Identifier: Apache-2.0
 * front.h - what the files of the front share. Lock order: a slot's mutex, then the slot list's; the loader's is taken
 * alone. */
#ifndef INLONG_FRONT_H
#define INLONG_FRONT_H

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <time.h>

#include "core_abi.h"
#include "ring.h"

#define INLONG_ERROR_TEXT 1024

/* ThreadSanitizer does not see that the core orders what one thread gives it before what another gets from it. */
#ifdef __SANITIZE_THREAD__
#include <sanitizer/tsan_interface.h>
#define INLONG_HANDS_OVER(what) __tsan_release((void *)(what))
#define INLONG_TAKES_OVER(what) __tsan_acquire((void *)(what))
#else
#define INLONG_HANDS_OVER(what) ((void)(what))
#define INLONG_TAKES_OVER(what) ((void)(what))
#endif

/* error.c: texts of failures. fail() keeps the text for inlong_last_error and returns code; tell() copies it to err, NULL allowed, unless code is
 * INLONG_OK. */
int inlong_fail(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));
int inlong_tell(int code, char *err, size_t errlen);
/* The calling thread's buffer for inlong_last_error, for the core to write into. */
inlong_core_text inlong_error_buffer(void);
/* Says whether a bad handle is the parent's or no handle. */
enum inlong_handle_kind { INLONG_CLIENT, INLONG_MOCK };
int inlong_fail_handle(enum inlong_handle_kind kind, const void *handle);

/* The core that this front is built for. */
#ifdef INLONG_STOCK
#define INLONG_RUNTIME_WANTED INLONG_CORE_STOCK
#define INLONG_VERSION_SUFFIX "+stock"
#else
#define INLONG_RUNTIME_WANTED INLONG_CORE_PATCHED
#define INLONG_VERSION_SUFFIX ""
#endif

/* tables.c, generated from the core. */
extern const char inlong_core_version[];
extern const char inlong_core_name[]; /* of its file */
extern const inlong_error_info inlong_error_table[];
extern const size_t inlong_error_table_size;
extern const inlong_option_info inlong_option_table[];
extern const size_t inlong_option_table_size;

/* log.c: where the log lines of a client go; callback NULL: into the process's queue of lines. */
typedef struct inlong_log_sink {
    inlong_log_callback callback;
    void *user;
    int level;
} inlong_log_sink;
int inlong_log_sink_of(inlong_log_sink *sink, inlong_log_callback callback, void *user, int level);
inlong_log_sink inlong_log_of_process(void);
void inlong_log_deliver(uintptr_t client, int level, const char *text);
void inlong_log_begin(void); /* in a forked child, too: an empty queue, and nobody who waits */

/* auth.c: asks the host for credentials, until timeout_ms. NULL without memory; a `text` that is not empty says why there are none. */
inlong_auth *inlong_auth_ask(uintptr_t client, const char *group_id, int64_t timeout_ms);
void inlong_auth_free(inlong_auth *auth);
void inlong_auth_cancel(uintptr_t client); /* nobody waits for its answers any more */
void inlong_auth_begin(void);

/* runtime.c: gives the core the settings made before, and refuses later ones. */
void inlong_runtime_apply(void);
bool inlong_runtime_reloads(void); /* whether a forked child may load a core */

/* options.c */
struct inlong_options {
    inlong_core_option *items;
    size_t count, room;
    bool own_log;
    inlong_log_sink log; /* if own_log; else the process's */
    inlong_batch_callback results;
    void *results_user;
    bool asks; /* for credentials */
    inlong_auth_callback auth;
    void *auth_user;
};

/* nearest.c: the key that a wrong one was meant to be, NULL when none is near. */
const char *inlong_nearest_option(const char *key);

/* text.c */
bool inlong_is_utf8(const char *s, size_t len);
/* Replaces what is not UTF-8, or was cut within a character. */
void inlong_mend_text(char *s);
void inlong_copy_text(char *to, size_t size, const char *from);

/* guard.c: fork. */
enum {
    INLONG_PAGE_CLONED, /* a child that was made past libc */
    INLONG_PAGE_FORKED, /* a child that has no core of its own yet */
    INLONG_PAGE_OWNER   /* the process that loaded the core */
};
extern atomic_uchar *_Atomic inlong_guard_page; /* NULL before a core was loaded */
static inline bool inlong_forked(void)
{
    atomic_uchar *page = atomic_load_explicit(&inlong_guard_page, memory_order_acquire);
    return page && atomic_load_explicit(page, memory_order_acquire) != INLONG_PAGE_OWNER;
}
static inline bool inlong_cloned(void)
{
    atomic_uchar *page = atomic_load_explicit(&inlong_guard_page, memory_order_acquire);
    return page && atomic_load_explicit(page, memory_order_acquire) == INLONG_PAGE_CLONED;
}
/* A mutex that is held during every fork. The thread that forks may take it again in a fork handler of the host. */
typedef struct inlong_fork_mutex {
    pthread_mutex_t mutex;
    _Atomic(pthread_t) forking; /* the thread that holds it for a fork */
} inlong_fork_mutex;
#define INLONG_FORK_MUTEX {.mutex = PTHREAD_MUTEX_INITIALIZER}
void inlong_fork_lock(inlong_fork_mutex *m);
void inlong_fork_unlock(inlong_fork_mutex *m);
void inlong_fork_hold(inlong_fork_mutex *m);   /* before a fork */
void inlong_fork_let_go(inlong_fork_mutex *m); /* after it, in parent and child */
/* guard.c holds these. */
extern inlong_fork_mutex inlong_loader_mutex, inlong_log_mutex, inlong_auth_mutex;
/* With the loader's mutex held: before a core is loaded (false: no memory), and when it is loaded and this process's. */
bool inlong_guard_arm(void);
void inlong_guard_own(void);
/* After every callback: if it forked, it must not return in the child, where the runtime that called it is dead. */
void inlong_guard_return(uintptr_t client);

/* signals.c: around the start of the runtime, and what a forked child does first. */
void inlong_signals_hold(sigset_t *old);
void inlong_signals_let_go(const sigset_t *old);
void inlong_signals_give_back(void);

/* gate.c: exit. enter() is false once exit handlers run; every callback runs between enter and leave. */
void inlong_gate_arm(void);
bool inlong_gate_enter(void);
void inlong_gate_leave(void);
bool inlong_gate_closed(void);
bool inlong_gate_inside(void); /* whether this thread runs a callback of results */
/* The same for callbacks of one client for log lines and credentials. Calls that would wait for the library's threads are refused there. */
typedef struct inlong_slot inlong_slot;
bool inlong_gate_enter_beside(inlong_slot *slot, uintptr_t client);
void inlong_gate_leave_beside(inlong_slot *slot);
bool inlong_gate_beside(void);
int inlong_fail_beside(void);
void inlong_gate_forked(void); /* on the thread that forked, in the child */
void inlong_gate_forget(void); /* what runs is the parent's */

/* room.c: whether the runtime will find the address space and the threads without which it stops the process. */
int inlong_room_check(void);
int inlong_room_check_client(void); /* and those that one more client brings */

/* loader.c: whether there is a core. load() loads it if need be: in a forked child a copy of its own. */
extern atomic_bool inlong_core_loaded;
int inlong_core_load(void);
void inlong_loader_forked(void); /* in the child */

/* call.c: asks the core, and waits for its answer, the call's code. No mutex is held. within() is false where no goroutine has begun with
 * it by then: nothing was asked, or, with a keeper, in whose memory the call is, nobody waits any more for what will be. One that was
 * begun uses what is its caller's, and is waited for. */
extern int64_t inlong_call_patience_ms; /* that of call(); constant but in tests */
int inlong_call(inlong_core_call *call);
bool inlong_call_within(inlong_core_call *call, int64_t timeout_ms, inlong_slot *keeper);
/* It was given up. */
int inlong_fail_untaken(int code);
inlong_core_call *inlong_call_next(inlong_core_call *answered);
void inlong_calls_forget(void); /* in a forked child */

/* handle.c */
enum inlong_slot_state {
    INLONG_SLOT_FREE,
    INLONG_SLOT_OPENING, /* inlong_client_new has not returned; log lines may have told the handle already */
    INLONG_SLOT_OPEN,
    INLONG_SLOT_CLOSING,
    INLONG_SLOT_CLOSED /* its handle is no more; a callback is still inside */
};

struct inlong_batch; /* queue.c: results of one batch that wait in the queue */

/* Results that wait to be polled. */
typedef struct inlong_results {
    size_t length; /* merged ones count once */
    struct inlong_batch *head, *tail;
} inlong_results;

struct inlong_leftover; /* leftover.c: those of a closed client */

/* A client. Slots are never freed, so that a stale handle finds memory that says so. */
struct inlong_slot {
    _Atomic uintptr_t handle; /* the one that is valid now, 0 = none */
    atomic_bool muted;        /* its close is over its time: no callback is called any more */
    struct inlong_slot *next_free;
    uintptr_t index;
    atomic_int calling; /* threads that call callbacks */
    /* Set before the core knows the handle. A thread that calls one reads it first and checks the handle after that. */
    _Atomic(inlong_log_callback) log;
    void *_Atomic log_user;
    _Atomic(inlong_batch_callback) results;
    void *_Atomic results_user;
    _Atomic(inlong_auth_callback) auth;
    void *_Atomic auth_user;
    char apart[64]; /* senders read what is above, pollers and workers write what is below: not one cache line */

    pthread_mutex_t mutex; /* guards all below; a holder checks `handle` again */
    pthread_cond_t ready;  /* results came, or the client was closed */
    pthread_cond_t room;   /* results were taken, or the client is being closed */
    enum inlong_slot_state state;
    int event_fd;
    bool busy;      /* the last poll took many */
    bool woken;     /* one poll is to return without waiting */
    uint64_t polls; /* that took something */
    inlong_results queue;
    struct inlong_leftover *leftover; /* for what is in the queue at the close */
    inlong_core_call closing;
    inlong_ring ring;
};

/* Handles are never used twice, in a process and its children together. */
uintptr_t inlong_handle_new(uintptr_t slot);
bool inlong_handle_is_parents(uintptr_t handle);

inlong_slot *inlong_slot_take(uintptr_t *handle);
/* The slot of a valid handle, or NULL. Inline, because every call does this. */
enum { INLONG_SLOTS = 1 << INLONG_SLOT_BITS };
extern inlong_slot *_Atomic inlong_slots[INLONG_SLOTS];
static inline inlong_slot *inlong_slot_find(uintptr_t handle)
{
    inlong_slot *slot = atomic_load_explicit(&inlong_slots[(handle >> 1) & (INLONG_SLOTS - 1)], memory_order_acquire);
    bool valid = (handle & 1) && slot && atomic_load_explicit(&slot->handle, memory_order_acquire) == handle;
    return valid ? slot : NULL;
}
/* Around callbacks. A slot gets another client only when all have left that entered it before its close. */
static inline void inlong_slot_enter(inlong_slot *slot) { atomic_fetch_add(&slot->calling, 1); }
void inlong_slot_leave(inlong_slot *slot);
/* Ends the handle, and releases the slot as soon as nobody is inside. Its mutex is held, its queue is empty. */
void inlong_slot_release(inlong_slot *slot);
/* In a forked child: all handles up to now are the parent's. */
void inlong_slots_forget(void);

/* queue.c; the slot's mutex is held in the first three */
void inlong_queue_set_readable(inlong_slot *slot, bool readable);
void inlong_queue_wake_all(inlong_slot *slot);
bool inlong_queue_is_full(const inlong_slot *slot);
int inlong_results_take(inlong_results *queue, inlong_result *results, int max);
void inlong_results_drop(inlong_results *queue);

/* leftover.c */
bool inlong_leftover_prepare(inlong_slot *slot); /* before the client is opened: the close must not need memory */
/* Keeps what is in the queue of a client that closes, and returns the number of results. The slot's mutex is held. */
size_t inlong_leftover_leave(inlong_slot *slot, uintptr_t client);
int64_t inlong_leftover_take(uintptr_t client, inlong_result *results, int max);
void inlong_leftover_forget(void); /* in a forked child: what is left is the parent's */

/* client.c: a close that was begun inside a callback has ended; the Manager is asked for a stream's settings. */
void inlong_client_closed(uintptr_t client);
bool inlong_client_stuck(uintptr_t client, uint64_t *polls); /* see inlong_core_host */
int inlong_client_ask_row(const inlong_options *options, const char *stream_id, inlong_row_settings *settings);

/* deliver.c and queue.c: the way of results from the core */
void inlong_deliver(uintptr_t client, const inlong_core_tag *tags, size_t count, inlong_result *result);
void inlong_queue_push(uintptr_t client, const inlong_core_tag *tags, size_t count, const inlong_result *result);

/* clock.c */
struct timespec inlong_deadline(int64_t timeout_ms);
int64_t inlong_now_ms(void);
int64_t inlong_rest_ms(int64_t timeout_ms, int64_t began_ms); /* what is left of a time-out; INLONG_NO_TIMEOUT stays that */
void inlong_cond_init(pthread_cond_t *cond);
/* Until `until`, NULL = without end. A thread that is cancelled here leaves the mutex unlocked. */
int inlong_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex, const struct timespec *until);

/* Around possible cancellation points: a thread that ended there would leave a lock held, or work half done. */
static inline int inlong_cancel_hold(void)
{
    int state;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
    return state;
}
static inline void inlong_cancel_let_go(int state) { pthread_setcancelstate(state, NULL); }

#endif
