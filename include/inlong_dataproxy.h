/* SPDX-License-Identifier: Apache-2.0
 *
 * inlong_dataproxy.h - send data into Apache InLong DataProxy from C and every language that can call C.
 *
 *     inlong_options *options = inlong_options_new();
 *     inlong_options_set(options, "url", "http://manager:8083", err, sizeof err);
 *     inlong_options_set(options, "group_id", "my_group", err, sizeof err);
 *     if (inlong_client_new(options, &client, err, sizeof err) != INLONG_OK) ...
 *     inlong_message message = {sizeof message};
 *     message.stream_id = "my_stream";
 *     message.payload = "hello";
 *     message.payload_len = 5;
 *     code = inlong_client_send(client, &message, INLONG_NO_TIMEOUT, NULL);      0 = a DataProxy acked it
 *     inlong_client_close(client, 5000, NULL);
 *
 * Words. A *message* is one payload with its group and stream. Messages of one stream travel together as a *batch*. A
 * *node* is one DataProxy, a *lane* one connection to a node. Each try to deliver a batch is an *attempt*; the node
 * answers with an *ack* or an error. Every accepted message gets exactly one *result*.
 *
 * Rules that hold for every function
 * - Errors. A function that can fail returns int: INLONG_OK or one of the codes below; those that return a count or a
 *   length return it as zero or more, and a code below zero on failure. inlong_last_error() has the text of a failure.
 *   Where a function takes `err, errlen` the same text is also written there, cut to fit and always NUL-terminated; err
 *   may be NULL with errlen 0. Bad input is refused with INLONG_ERR_ARG or INLONG_ERR_ABI, and then nothing was sent
 *   and nothing changed.
 * - Threads. Every function may be called from any thread at any time, save where it says otherwise. Callbacks run on
 *   threads of the library. The library starts its threads at the first inlong_client_new or inlong_mock_new, with all
 *   asynchronous signals blocked.
 * - Handles. inlong_client and inlong_mock are numbers in disguise: never read through them. NULL, a closed handle and
 *   one that never was answer INLONG_ERR_HANDLE at once; that is safe at any time, also from other threads.
 * - Fork. A child process made by fork() without exec cannot use what its parent opened: every call answers
 *   INLONG_ERR_FORKED at once, and closing or freeing does nothing. A child forked before the first inlong_client_new
 *   works like a fresh process.
 * - Structs that start with struct_size must have it set to their sizeof, and be zeroed beyond what is set. A size that
 *   this library does not know is refused with INLONG_ERR_ABI.
 * - Strings are UTF-8. Where a length stands beside a string, 0 means "NUL-terminated, use strlen". NULL is the empty
 *   string. A length above PTRDIFF_MAX (a negative number, converted) is refused.
 * - Time-outs are milliseconds. INLONG_NO_TIMEOUT (-1) leaves only the client's own bound; 0 does not wait; below -1 is
 *   refused.
 * - The host is left alone: its signal handlers stay, nothing is written to stdout or stderr, sockets are not inherited
 *   by exec. The runtime adds SA_ONSTACK to the handlers that are there when it is loaded; those that a program
 *   installs later for signals that its sending threads may get need it too. The library cannot be unloaded: dlclose
 *   does nothing.
 */
#ifndef INLONG_DATAPROXY_H
#define INLONG_DATAPROXY_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define INLONG_API __attribute__((visibility("default")))
#else
#define INLONG_API
#endif

/* The version of this interface. It grows only when a program built with this header must refuse an older library. */
#define INLONG_ABI_VERSION 1

#define INLONG_NO_TIMEOUT (-1)

/* ---- Codes. Their numbers and meanings never change. ---- */
enum {
    INLONG_OK = 0,

    /* Results of messages, with the numbers of the other InLong SDKs. inlong_error_list has the texts. */
    INLONG_ERR_SEND_TIMEOUT = 10001,        /* the delivery deadline (option send_timeout) passed before an ack came */
    INLONG_ERR_SEND_FAILED = 10002,         /* every allowed attempt failed */
    INLONG_ERR_CLOSED = 10003,              /* the client was closed before the message had its result */
    INLONG_ERR_QUEUE_FULL = 10004,          /* the bound of pending messages or bytes is reached: wait, then send again */
    INLONG_ERR_CONTEXT_EXPIRED = 10005,     /* the call's timeout_ms ended first */
    INLONG_ERR_NEW_CONN_FAILED = 10006,     /* no connection could be opened, or the Manager not be asked */
    INLONG_ERR_CONN_WRITE_FAILED = 10007,   /* writing to the connection failed */
    INLONG_ERR_CONN_READ_FAILED = 10008,    /* reading an answer failed, or the answer broke the protocol */
    INLONG_ERR_LOG_TOO_LONG = 10009,        /* the message does not fit into one frame */
    INLONG_ERR_LOG_INVALID = 10010,         /* the payload is empty, or an id or attribute breaks its rule */
    INLONG_ERR_SERVER_ERROR = 10011,        /* the DataProxy refused the batch: see server_code */
    INLONG_ERR_SERVER_PANIC = 10012,        /* an internal fault of this client; it does not go on */
    INLONG_ERR_WORKER_BUSY = 10013,         /* no lane could take the message; flush or close inside a callback: begun */
    INLONG_ERR_NO_MATCH_REQUEST = 10014,    /* an answer belongs to no batch in flight */
    INLONG_ERR_CONN_CLOSED_BY_PEER = 10015, /* the node closed the connection before it answered */
    INLONG_ERR_UNKNOWN = 20001,             /* none of the others */

    /* Faults of a call. */
    INLONG_ERR_ARG = -1,      /* an argument is NULL, negative or out of range; the text names it */
    INLONG_ERR_OPTION = -2,   /* the options cannot be used; the text names key and rule */
    INLONG_ERR_HANDLE = -3,   /* NULL, closed, or never a handle */
    INLONG_ERR_FORKED = -4,   /* the handle, or the library's runtime, belongs to the parent process */
    INLONG_ERR_LOAD = -5,     /* libinlong_dataproxy_core.so cannot be loaded; the text lists the paths tried */
    INLONG_ERR_ABI = -6,      /* struct_size is not known to this library, or front and core do not fit together */
    INLONG_ERR_INTERNAL = -7, /* a fault inside the library was caught; this client does not go on, others do */
    INLONG_ERR_NOMEM = -8     /* memory or file descriptors ran out */
};

/* What is known of a message at the server: whether sending it again could double it. */
enum {
    INLONG_NOT_WRITTEN = 0,   /* no byte of it was written: sending again cannot double it */
    INLONG_MAYBE_WRITTEN = 1, /* written, but no answer says what became of it: sending again may double it */
    INLONG_ACKED = 2          /* a DataProxy took it */
};

typedef struct inlong_options inlong_options;
typedef struct inlong_client inlong_client;
typedef struct inlong_mock inlong_mock;

/* One attribute of a message. Printable ASCII without '&' and '=', without leading or trailing blank; names that the
 * protocol uses itself are refused. */
typedef struct inlong_attribute {
    const char *key;
    size_t key_len; /* 0 = strlen */
    const char *value;
    size_t value_len; /* 0 = strlen */
} inlong_attribute;

/* One message. The library copies what it needs before a call returns: everything may be reused or freed at once. */
typedef struct inlong_message {
    size_t struct_size;   /* sizeof(inlong_message) */
    const char *group_id; /* NULL or "" = the client's; else 4 to 200 of A-Z a-z 0-9 _ . - */
    size_t group_id_len;
    const char *stream_id; /* required: 1 to 200 of A-Z a-z 0-9 _ . - */
    size_t stream_id_len;
    const void *payload;                /* any bytes, sent as they are; not empty */
    size_t payload_len;                 /* a real length: 0 is an empty payload */
    const inlong_attribute *attributes; /* NULL = none; messages with other attributes travel in another batch */
    size_t attribute_count;
    int64_t time_ms; /* event time, milliseconds since 1970; 0 = when the batch was opened */
    void *user;      /* inlong_client_send_many only: if not NULL, in place of the call's user data for this message */
} inlong_message;

/* The one result of a message, or of `count` messages in a row (inlong_client_send_packed). Texts are NUL-terminated,
 * cut to fit, and "" when not known; they are part of the struct and live as long as it does. */
typedef struct inlong_result {
    size_t struct_size;
    int32_t code;        /* INLONG_OK = acked */
    int32_t server_code; /* the DataProxy's own error code, 0 = none */
    int32_t persisted;   /* INLONG_NOT_WRITTEN, INLONG_MAYBE_WRITTEN or INLONG_ACKED */
    int32_t retriable;   /* 1 = sending it again may succeed; persisted says whether that may double it */
    int32_t attempts;    /* how often it was written */
    int32_t reserved;
    void *user;     /* as given to the send call; of the first message when count > 1: message i has (char *)user + i */
    uint64_t count; /* 1 save after inlong_client_send_packed */
    char node[128]; /* host:port of the last attempt */
    char batch_id[64];
    char text[512];           /* what happened, for people; "" when acked */
    char server_message[256]; /* what the DataProxy said about server_code */
} inlong_result;

/* Receives one result. `result` is valid until the callback returns; result->user == user.
 *
 * It runs on a thread of the library: one at a time and in order for one stream, at the same time as callbacks of other
 * streams. A slow callback delays other results of its lane only. It may call every function of this header; flush and
 * close do not wait there. It must not leave by longjmp, a C++ exception or pthread_exit. */
typedef void (*inlong_callback)(const inlong_result *result, void *user);

/* ---- Version and errors. Pure C: never blocks, loads nothing, works in forked children. ---- */

/* The library's version, "0.1.0". Static. */
INLONG_API const char *inlong_version(void);

/* INLONG_ABI_VERSION of the library. A program needs a library that answers at least its own INLONG_ABI_VERSION. */
INLONG_API int inlong_abi_version(void);

/* The text of the last call of this thread that failed, "" when none did. Valid until this thread's next failing call.
 * A call that succeeds does not change it. */
INLONG_API const char *inlong_last_error(void);

/* Short name ("queue_full"), text ("producer send queue is full") and whether sending again may help (1 or 0). A number
 * that is no code is treated as INLONG_ERR_UNKNOWN. Static. For a result prefer result->retriable, which knows the
 * server's code. */
INLONG_API const char *inlong_error_name(int code);
INLONG_API const char *inlong_error_text(int code);
INLONG_API int inlong_error_is_retriable(int code);

typedef struct inlong_error_info {
    size_t struct_size;
    int code;
    int retriable;
    const char *name;
    const char *text;
    const char *meaning; /* when it comes */
} inlong_error_info;

/* All codes: the entry at index 0, 1, ... and NULL behind the last. Static. */
INLONG_API const inlong_error_info *inlong_error_list(size_t index);

/* ---- Options. Pure C: never blocks, loads nothing, works in forked children. One options object: one thread at a
 * time. ---- */

/* A new, empty set of options; NULL when memory ran out. The caller frees it with inlong_options_free. */
INLONG_API inlong_options *inlong_options_new(void);

/* Sets option `key` to the text `value`, replacing an earlier value. Required in the end: url (or static_nodes) and
 * group_id. Durations need a unit ("20ms", "5m"), sizes are bytes or have K, M, G ("40K"), bools are true or false,
 * maps "name=value&name2=value2", lists "a,b". INLONG_ERR_OPTION: no such key (the text names the nearest), or a value
 * that is not UTF-8. Whether the value fits its option is judged by inlong_client_new, which reports all faults at
 * once. Both strings are copied. */
INLONG_API int inlong_options_set(inlong_options *options, const char *key, const char *value, char *err, size_t errlen);

/* Frees options; NULL is ignored. Clients made from it are not touched. */
INLONG_API void inlong_options_free(inlong_options *options);

typedef struct inlong_option_info {
    size_t struct_size;
    const char *key;
    const char *kind;          /* string, duration, int, size, bool, enum, map or list */
    const char *default_value; /* as text */
    const char *min;           /* "" = no bound */
    const char *max;
    const char *values; /* an enum's, separated by | */
    const char *doc;
} inlong_option_info;

/* All options: the entry at index 0, 1, ... and NULL behind the last. Static. */
INLONG_API const inlong_option_info *inlong_options_describe(size_t index);

/* ---- Client ---- */

/* Makes a client: loads the runtime at the first call, checks the options, asks the Manager for nodes and waits for one
 * proven connection. Blocks at most twice the option conn_timeout. The options are copied.
 * On success *client is the handle, to be closed by inlong_client_close; on failure it is NULL. INLONG_ERR_OPTION: the
 * options are faulty (all faults are named); INLONG_ERR_NEW_CONN_FAILED: no Manager or no node could be reached;
 * INLONG_ERR_LOAD, INLONG_ERR_ABI: the core library; INLONG_ERR_FORKED: this process is a child and its parent had
 * loaded the runtime; INLONG_ERR_NOMEM: no memory, or 4,096 clients are open.
 * The core library is looked for at $INLONG_DATAPROXY_CORE, then beside this library, then by its name on the loader's
 * path. The first call registers an atexit handler: once it ran no callback starts any more; those that run are waited
 * for, 2 s at most. */
INLONG_API int inlong_client_new(const inlong_options *options, inlong_client **client, char *err, size_t errlen);

/* Sends one message and returns when it has its result: INLONG_OK when acked, else its code. Does not wait for the
 * linger. Blocks until then, timeout_ms at most, the option send_timeout in any case. `result` may be NULL; else it is
 * filled (set its struct_size), user NULL. For throughput use the other send functions. */
INLONG_API int inlong_client_send(inlong_client *client, const inlong_message *message, int64_t timeout_ms, inlong_result *result);

/* Accepts one message and returns. INLONG_OK: accepted, exactly one result will follow, to `callback(result, user)`,
 * or, when callback is NULL, to the client's queue for inlong_client_poll. Any other code: refused, no result follows.
 * Does not block, save when the queue is full and the option block_if_queue_is_full is true: then until there is room,
 * the option send_timeout at most. INLONG_ERR_QUEUE_FULL: wait (poll, or until results come) and send again. `user` is
 * not touched. */
INLONG_API int inlong_client_send_async(inlong_client *client, const inlong_message *message, inlong_callback callback, void *user);

/* inlong_client_send_async for `count` messages in one call, in order. Stops at the first that is refused and returns
 * its code. *accepted (may be NULL) is the number accepted: exactly those get a result each. A message's own `user`,
 * when not NULL, replaces the call's. All messages have the struct_size of the first. */
INLONG_API int inlong_client_send_many(inlong_client *client, const inlong_message *messages, size_t count,
                                       inlong_callback callback, void *user, size_t *accepted);

enum {
    /* Acks that follow each other are reported together across batches; node and batch_id are then "". */
    INLONG_PACKED_MERGE_ACKS = 1
};

/* The fastest way for many messages of one stream: `count` payloads that lie one behind the other in `data`, with their
 * lengths in `lengths`; ids, attributes and time come from `model`, whose payload is ignored. The lengths must add up
 * to data_len. Results go to the queue: message i has the user data (char *)user + i. Messages of one batch whose user
 * data follow each other are reported as one inlong_result with their `count`. Errors, refusal, *accepted and blocking
 * as inlong_client_send_many, but a wait for room ends after timeout_ms with INLONG_ERR_CONTEXT_EXPIRED. A payload of
 * length 0 is refused like any empty one. flags: 0 or INLONG_PACKED_MERGE_ACKS. */
INLONG_API int inlong_client_send_packed(inlong_client *client, const inlong_message *model, const void *data, size_t data_len,
                                         const uint32_t *lengths, size_t count, void *user, int flags, int64_t timeout_ms,
                                         size_t *accepted);

/* Takes up to `max` results from the client's queue, waiting up to timeout_ms for the first (INLONG_NO_TIMEOUT: until one
 * comes or the client is closed). Returns how many, 0 when the time passed. Set results[0].struct_size; the call sets that
 * of the others. Several threads may poll: each result goes to one of them. Pure C: it costs a lock.
 *
 *     static inlong_result results[256];
 *     results[0].struct_size = sizeof results[0];
 *     while ((n = inlong_client_poll(client, results, 256, INLONG_NO_TIMEOUT)) > 0)
 *         for (i = 0; i < n; i++)
 *             if (results[i].code != INLONG_OK) ...
 *
 * The queue holds 65,536 results (merged ones count once); when it is full the library's lanes wait, as for a slow
 * callback, except during flush and close. After inlong_client_close the results that are left can still be polled; behind
 * the last one the answer is INLONG_ERR_HANDLE. Those that nobody polls keep their memory. */
INLONG_API int inlong_client_poll(inlong_client *client, inlong_result *results, int max, int64_t timeout_ms);

/* A descriptor that is readable as long as results wait in the queue: for poll(2), select and epoll. Always the same
 * for one client. Only wait on it: never read, write or close it. It is closed with the client, or, when results are
 * left then, with the last of them: take it out of your loop before. INLONG_ERR_NOMEM when the process has no
 * descriptor left. */
INLONG_API int inlong_client_event_fd(inlong_client *client);

/* Sends all open batches now and waits until every message accepted before the call has its result: its callback has
 * returned, or its result is in the queue. INLONG_ERR_CONTEXT_EXPIRED when timeout_ms ended first. Inside a callback it
 * does not wait, which would be for itself, and answers INLONG_ERR_WORKER_BUSY. */
INLONG_API int inlong_client_flush(inlong_client *client, int64_t timeout_ms);

typedef struct inlong_close_report {
    size_t struct_size; /* sizeof(inlong_close_report) */
    int64_t acked;      /* messages acked over the client's life */
    int64_t failed;     /* messages failed over the client's life */
    int64_t unsent;     /* those of them that this close failed with INLONG_ERR_CLOSED */
    struct {
        int64_t code;
        int64_t count;
    } by_code[24]; /* failures by code; behind the last one all is 0 */
} inlong_close_report;

/* Closes the client. No message is accepted any more; those accepted are delivered until timeout_ms ends
 * (INLONG_NO_TIMEOUT: the option send_timeout), the rest fails with INLONG_ERR_CLOSED. Returns after timeout_ms plus
 * 100 ms at the latest. Then no callback starts any more. INLONG_OK: all results are out and no callback runs.
 * INLONG_ERR_CONTEXT_EXPIRED: closed too, but messages were left (report->unsent), or callbacks took so long that not all
 * were called; one that does not return may still run. `report` may be NULL.
 * Inside a callback the close is begun and not waited for: INLONG_ERR_WORKER_BUSY; it goes on by itself, bounded by the
 * option send_timeout, and callbacks come until it is through.
 * Of two threads that close at the same time one closes, the other answers INLONG_ERR_HANDLE at once; so does closing
 * again. */
INLONG_API int inlong_client_close(inlong_client *client, int64_t timeout_ms, inlong_close_report *report);

/* Writes the client's counters as JSON, cut to len - 1 bytes and NUL-terminated; buf may be NULL with len 0. Returns
 * the length of the whole text without NUL, as snprintf does. Does not block. */
INLONG_API int inlong_client_stats(inlong_client *client, char *buf, size_t len);

/* ---- Mock: a Manager and DataProxy nodes inside this process, on 127.0.0.1, for tests of programs that use this
 * library ---- */

/* Starts one with `nodes` nodes (1 to 64; 0 means 3). Free it with inlong_mock_free. */
INLONG_API int inlong_mock_new(int nodes, inlong_mock **mock, char *err, size_t errlen);

/* Writes the Manager's address, for the option url. Length and cutting as inlong_client_stats. */
INLONG_API int inlong_mock_url(inlong_mock *mock, char *buf, size_t len);

/* Does what the JSON text `request` says (kill, revive, faults: see core/dataproxytest) and writes the JSON answer.
 * Length and cutting as inlong_client_stats; the request is carried out once, whatever the length. INLONG_ERR_ARG: the
 * request is not understood. */
INLONG_API int inlong_mock_control(inlong_mock *mock, const char *request, char *buf, size_t len);

/* Writes what arrived as JSON. Length and cutting as inlong_client_stats. */
INLONG_API int inlong_mock_stats(inlong_mock *mock, char *buf, size_t len);

/* Stops it and frees its ports. NULL and a freed handle are ignored. */
INLONG_API void inlong_mock_free(inlong_mock *mock);

#ifdef __cplusplus
}
#endif

#endif
