/* SPDX-License-Identifier: Apache-2.0
 * core_abi.h - the private table between the C front and the Go core. Both come from one build; the version refuses a
 * mix of two.
 *
 * Rules: the front has checked every argument (NULL, lengths, struct_size, timeouts) and resolved "length 0 = strlen"
 * before it calls. User data travels as uintptr_t: Go takes a void * of small value for a bad pointer and stops the
 * process. */
#ifndef INLONG_CORE_ABI_H
#define INLONG_CORE_ABI_H

#include "../../include/inlong_dataproxy.h"

#define INLONG_CORE_ABI_VERSION 6
#define INLONG_CORE_ENTRY "inlong_core_entry"

/* Clients open at the same time; the low bits of a handle are the slot, see handle.c. */
#define INLONG_SLOT_BITS 12

/* What comes back with a result. a: a callback, or one of the two below; b: the user data. */
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

enum { INLONG_LONGEST_ID = 200, INLONG_RUNS = 32, INLONG_CHUNK_MESSAGES = 1024, INLONG_CHUNK_BYTES = 128 << 10 };

/* Messages in the order of their sender, see ring.c: runs of those that differ in payload and tag only. */
typedef struct inlong_core_run {
    size_t count, group_len, stream_len;
    int64_t time_ms;
    char group[INLONG_LONGEST_ID], stream[INLONG_LONGEST_ID];
} inlong_core_run;

typedef struct inlong_core_chunk {
    size_t runs, count, used;
    int64_t began_ms, ago_ms; /* when the first came; how long ago that was when it was taken */
    inlong_core_run run[INLONG_RUNS];
    uint32_t lengths[INLONG_CHUNK_MESSAGES];
    inlong_core_tag tags[INLONG_CHUNK_MESSAGES];
    char data[INLONG_CHUNK_BYTES];
} inlong_core_chunk;

/* What the core holds and may hold. */
typedef struct inlong_core_intake {
    int64_t messages, bytes; /* that one more stream may have */
    int64_t nap_ns;          /* that a message may wait to be taken */
    size_t longest;          /* payload */
    int ordered, broken;     /* broken: it takes nothing more */
} inlong_core_intake;

/* What the core calls. take: the core has done with a chunk, or NULL, and wants the next; waits for it; NULL: the client is closed, and
 * there is none any more. A chunk without runs: the core is to tell what it holds. deliver: here is the one result of `count` messages; may block, and may call back into the core.
 * closed: a close that was begun inside a callback, and so answered INLONG_ERR_WORKER_BUSY, has ended. log: a line of
 * log_level or more important; called with no lock held, from any of the core's threads and the callers'. */
typedef struct inlong_core_host {
    inlong_core_chunk *(*take)(uintptr_t client, inlong_core_chunk *done, inlong_core_intake intake);
    void (*deliver)(uintptr_t client, const inlong_core_tag *tags, size_t count, inlong_result *result);
    void (*closed)(uintptr_t client);
    void (*log)(uintptr_t client, int level, const char *text);
    int log_level; /* INLONG_LOG_... */
} inlong_core_host;

/* What the core finds its runtime to be: changed by capi/runtime_overlay, as it comes with Go because the build says so, or neither, in
 * a core that was built past capi/build.mk. */
enum { INLONG_CORE_UNMARKED, INLONG_CORE_PATCHED, INLONG_CORE_STOCK };

typedef struct inlong_core_api {
    uint32_t version;
    int runtime; /* INLONG_CORE_... */
    /* Asks the Manager for the settings of a stream's rows. columns: one block of malloc. */
    int (*row_ask)(inlong_core_option *options, size_t count, char *stream_id, inlong_row_settings *settings, inlong_core_text err);
    int (*client_new)(uintptr_t client, inlong_core_option *options, size_t count, inlong_core_host host, inlong_core_text err);
    int (*client_send)(uintptr_t client, inlong_message *message, int64_t timeout_ms, inlong_result *result, inlong_core_text err);
    int (*client_submit)(uintptr_t client, inlong_message *message, uintptr_t a, uintptr_t b, inlong_core_text err);
    /* The caller's own array, not to be written: ids of length 0 are NUL-terminated, `b` stands for a message's user NULL. */
    int (*client_submit_many)(uintptr_t client, inlong_message *messages, size_t count, uintptr_t a, uintptr_t b, size_t *accepted,
                              inlong_core_text err);
    /* bulk: 0 = single messages that were only joined, which what bulk sends have in flight does not hold up. */
    int (*client_submit_packed)(uintptr_t client, inlong_message *model, void *data, size_t data_len, uint32_t *lengths,
                                size_t count, uintptr_t a, uintptr_t b, int bulk, int64_t timeout_ms, size_t *accepted,
                                inlong_core_text err);
    int (*client_ready)(uintptr_t client, int64_t timeout_ms, inlong_core_text err);
    int (*client_flush)(uintptr_t client, int64_t timeout_ms, inlong_core_text err);
    int (*client_close)(uintptr_t client, int64_t timeout_ms, inlong_close_report *report, inlong_core_text err);
    int (*client_stats)(uintptr_t client, char *buf, size_t len, inlong_core_text err);
    int (*client_metrics)(uintptr_t client, char *buf, size_t len, inlong_core_text err);
    /* Settings of the whole runtime, see INLONG_RUNTIME_...; 0 leaves one as it is. */
    void (*runtime_set)(int64_t gc_percent, int64_t memory_limit);
    int64_t (*runtime_get)(int setting);
    int (*mock_new)(uintptr_t mock, int nodes, inlong_core_text err);
    int (*mock_url)(uintptr_t mock, char *buf, size_t len, inlong_core_text err);
    int (*mock_control)(uintptr_t mock, char *request, size_t request_len, char *buf, size_t len, inlong_core_text err);
    int (*mock_stats)(uintptr_t mock, char *buf, size_t len, inlong_core_text err);
    int (*mock_free)(uintptr_t mock);
    /* For a forked child, the only one that may be called there: no thread's end calls the runtime any more. */
    void (*disown)(void);
    /* For the tests of the panic guard: panics inside the client's next call of the core. */
    int (*test_panic)(uintptr_t client, inlong_core_text err);
} inlong_core_api;

/* The one exported symbol of the core: fills `api` and answers 0 when `version` is its own. */
typedef int (*inlong_core_entry_function)(uint32_t version, inlong_core_api *api);

#endif
