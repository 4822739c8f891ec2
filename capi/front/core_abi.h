/* SPDX-License-Identifier: Apache-2.0
 * core_abi.h - the private table between the C front and the Go core. Both come from one build; the version refuses a
 * mix of two.
 *
 * Rules: the front has checked every argument (NULL, lengths, struct_size, timeouts) and resolved "length 0 = strlen"
 * before it calls. User data travels as uintptr_t: Go takes a void * of small value for a bad pointer and stops the
 * process. */
#ifndef INLONG_CORE_ABI_H
#define INLONG_CORE_ABI_H

#include <pthread.h>
#include <stdbool.h>

#include "../../include/inlong_dataproxy.h"

#define INLONG_CORE_ABI_VERSION 11
#define INLONG_CORE_ENTRY "inlong_core_entry"

/* Clients open at the same time; the low bits of a handle are the slot, see handle.c. */
#define INLONG_SLOT_BITS 12

/* What a result returns. a: a callback, or one of the two below; b: the user data. */
typedef struct inlong_core_tag {
    uintptr_t a, b;
} inlong_core_tag;

/* Values of `a` that are no callback: the result goes to the queue, alone, in ranges of one batch, in ranges across
 * batches. */
#define INLONG_TAG_QUEUE ((uintptr_t)0)
#define INLONG_TAG_RANGE ((uintptr_t)1)
#define INLONG_TAG_MERGE ((uintptr_t)2)

typedef struct inlong_core_option {
    const char *key, *value; /* NUL-terminated */
} inlong_core_option;

/* Where an error text goes. */
typedef struct inlong_core_text {
    char *buf;
    size_t len;
} inlong_core_text;

enum {
    INLONG_LONGEST_ID = 200,
    INLONG_LONGEST_ATTRIBUTES = 256,
    INLONG_RUNS = 32,
    INLONG_CHUNK_MESSAGES = 1024,
    INLONG_CHUNK_BYTES = 128 << 10
};

/* Messages in the order of their sender, see ring.c: runs of those that differ in payload and tag only. */
typedef struct inlong_core_run {
    size_t count, group_len, stream_len, attributes_len;
    int64_t time_ms;
    bool bulk; /* bounded by the bytes that bulk ways may have in flight */
    char group[INLONG_LONGEST_ID], stream[INLONG_LONGEST_ID];
    char attributes[INLONG_LONGEST_ATTRIBUTES]; /* name=value&... */
} inlong_core_run;

typedef struct inlong_core_chunk {
    size_t runs, count, used;
    size_t room, bulk;        /* the front's: messages for which the core has room; bytes in bulk */
    int64_t began_ms, ago_ms; /* when the first came; how long before the take that was */
    inlong_core_run run[INLONG_RUNS];
    uint32_t lengths[INLONG_CHUNK_MESSAGES];
    inlong_core_tag tags[INLONG_CHUNK_MESSAGES];
    char data[INLONG_CHUNK_BYTES];
} inlong_core_chunk;

/* What the core holds and may hold. */
typedef struct inlong_core_intake {
    int64_t messages, bytes; /* that one more stream may have */
    int64_t bulk;            /* bytes that bulk ways may still add to what is in flight */
    int64_t most_messages;   /* that it might have at most */
    int64_t nap_ns;          /* how long a message may wait to be taken */
    int64_t send_timeout_ms;
    size_t longest;             /* payload */
    int ordered, waits, broken; /* waits: calls do, for room; broken: it takes nothing more */
} inlong_core_intake;

/* What the front asks the core. */
enum {
    INLONG_CALL_RUNTIME_SET, /* settings of the whole runtime in `numbers`: percent, limit; 0 leaves one as it is */
    INLONG_CALL_RUNTIME_GET, /* setting: count; into numbers[0] */
    INLONG_CALL_ROW_ASK,     /* of the Manager, about the stream `data` */
    INLONG_CALL_MOCK_NEW,    /* count: nodes */
    INLONG_CALL_MOCK_URL,
    INLONG_CALL_MOCK_CONTROL, /* data: the request */
    INLONG_CALL_MOCK_FREE,
    INLONG_CALL_NEW,
    INLONG_CALL_CLOSE,
    INLONG_CALL_SEND,
    INLONG_CALL_SUBMIT_MANY,   /* an array: ids of length 0 are NUL-terminated, tag.b stands for a message's user NULL */
    INLONG_CALL_SUBMIT_PACKED, /* message: the model */
    INLONG_CALL_READY,
    INLONG_CALL_FLUSH,
    INLONG_CALL_STATS,
    INLONG_CALL_METRICS,
    INLONG_CALL_TEST_PANIC /* for the tests of the panic guard: inside the client's next call */
};

/* Such a call, in the memory of a thread that waits for the answer. The core may use all that it points to until it answers. */
typedef struct inlong_core_call {
    int kind, code;       /* INLONG_CALL_...; the answer */
    uintptr_t handle;     /* of a client or a mock */
    inlong_core_text err; /* for the text of a failure */
    bool inside;          /* asked by a callback of results, which the core would wait for without success */
    bool alone;           /* no other goroutine waits for calls */
    bool bulk;            /* false: single messages that were only joined, which what bulk sends have in flight does not hold up */
    bool asks;            /* for credentials */
    int log_level;        /* INLONG_LOG_... */
    const inlong_core_option *options;
    const inlong_message *message;
    const void *data; /* bytes */
    size_t size;
    const uint32_t *lengths;
    size_t count, accepted; /* options, messages, lengths */
    inlong_core_tag tag;    /* of the first message */
    int64_t timeout_ms, numbers[2];
    inlong_result *result;
    inlong_close_report *report;   /* NULL: nobody waits for it now */
    inlong_row_settings *settings; /* their columns: one block of malloc */
    inlong_core_text text;         /* for the answer, whose whole length is the code then */
    inlong_core_intake intake;     /* answered when messages were given */

    /* The front's, see call.c. */
    struct inlong_core_call *next;
    pthread_cond_t answered;
    int64_t left_ms; /* when it was left */
    bool begun, done;
    struct inlong_slot *keeper; /* the one that holds it, if its caller has given up */
} inlong_core_call;

/* What the core calls.
 * next: gives a call back that is answered, or NULL, and waits for the next one; NULL: enough others do.
 * take: the core has finished a chunk, or NULL, and wants the next; waits for it; NULL: the client is closed, and
 * there is none any more. A chunk without runs: the core is to tell what it holds. deliver: here is the one result of `count` messages;
 * may block. closed: a close that was begun inside a callback, and so answered INLONG_ERR_WORKER_BUSY, has ended. log: a line of
 * log_level or more important; called with no lock held, from any of the core's threads. auth: see inlong_auth_ask. stuck: the queue is full
 * and was not polled since the look that gave `polls`: what a flush waits for cannot come, since who flushes is often who polls. */
typedef struct inlong_core_host {
    inlong_core_call *(*next)(inlong_core_call *answered);
    inlong_core_chunk *(*take)(uintptr_t client, inlong_core_chunk *done, inlong_core_intake intake);
    void (*deliver)(uintptr_t client, const inlong_core_tag *tags, size_t count, inlong_result *result);
    void (*closed)(uintptr_t client);
    void (*log)(uintptr_t client, int level, const char *text);
    inlong_auth *(*auth)(uintptr_t client, const char *group_id, int64_t timeout_ms);
    void (*auth_free)(inlong_auth *auth);
    bool (*stuck)(uintptr_t client, uint64_t *polls);
} inlong_core_host;

/* What the core finds its runtime to be: changed by capi/runtime_overlay, as it comes with Go because the build says so, or neither, in
 * a core that was built past capi/build.mk. */
enum { INLONG_CORE_UNMARKED, INLONG_CORE_PATCHED, INLONG_CORE_STOCK };

/* What the core says of itself. */
typedef struct inlong_core_about {
    uint32_t version; /* INLONG_CORE_ABI_VERSION */
    int runtime;      /* INLONG_CORE_... */
} inlong_core_about;

/* The one exported symbol of the core. When it returns 0, for its own version only, the runtime has started and all its signal handlers
 * stand. A core has one front, of which a process may have several; to another one it says that it is taken. */
enum { INLONG_CORE_TAKEN = 1 };
typedef int (*inlong_core_entry_function)(uint32_t version, const inlong_core_host *host, inlong_core_about *about);

#endif
