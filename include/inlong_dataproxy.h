/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file inlong_dataproxy.h
 * @brief Send data into Apache InLong DataProxy from C and every language that can call C.
 *
 * Fill inlong_options, make a client with inlong_client_new, send with inlong_client_send or one of its siblings, close it with
 * inlong_client_close. Every accepted message gets exactly one result.
 * - A function that fails returns a code; inlong_last_error() has its text. Bad input sends nothing and changes nothing.
 * - Any thread may call any function, but no signal handler may. Callbacks run on threads of the library.
 * - Set struct_size of a struct to its sizeof, and zero what you do not set. Arguments may be reused once the call has returned.
 * - Strings are UTF-8; a length of 0 beside one means NUL-terminated. Time-outs are milliseconds, INLONG_NO_TIMEOUT for none.
 *
 * bindings/c/README.md has all rules, and what fork, signals, descriptors and stacks require of a program. It is installed as
 * share/doc/inlong_dataproxy/README.md.
 */
#ifndef INLONG_DATAPROXY_H
#define INLONG_DATAPROXY_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** @mainpage
 * C: inlong_dataproxy.h. C++17: inlong_dataproxy.hpp, and there inlong::Client, inlong::Options, inlong::Error. */

/** Marks the functions that the library exports. */
#if defined(__GNUC__)
#define INLONG_API __attribute__((visibility("default")))
#else
#define INLONG_API
#endif

/** The version of this interface. It grows only when a program built with this header must refuse an older library. */
#define INLONG_ABI_VERSION 1

/** No time-out for this call: only the client's own bound holds, which is the option send_timeout for a message. */
#define INLONG_NO_TIMEOUT (-1)

/* ---- Codes ---- */

/** Codes. Their numbers and meanings never change; inlong_error_describe lists their texts. Codes from 10001 on are results of
 * messages and have the numbers of the other InLong SDKs. Negative codes are faults of a call. */
enum {
    INLONG_OK = 0, /**< the message was acked; the call succeeded */

    INLONG_ERR_SEND_TIMEOUT = 10001,      /**< the delivery deadline (send_timeout) passed, or the last attempt was not answered */
    INLONG_ERR_SEND_FAILED = 10002,       /**< no message ends with it; kept from the existing SDK */
    INLONG_ERR_CLOSED = 10003,            /**< the client was closed before the message had its result */
    INLONG_ERR_QUEUE_FULL = 10004,        /**< the bound of pending messages or bytes is reached: wait, then send again */
    INLONG_ERR_CONTEXT_EXPIRED = 10005,   /**< the call's timeout_ms ended first */
    INLONG_ERR_NEW_CONN_FAILED = 10006,   /**< inlong_client_new: no Manager or no node could be reached */
    INLONG_ERR_CONN_WRITE_FAILED = 10007, /**< writing to the connection failed */
    INLONG_ERR_CONN_READ_FAILED = 10008,  /**< reading an answer failed, or the answer broke the protocol */
    INLONG_ERR_LOG_TOO_LONG = 10009,      /**< the message does not fit into one frame, or into max_pending_bytes */
    INLONG_ERR_LOG_INVALID = 10010,       /**< the payload is empty, or an id or attribute breaks its rule */
    INLONG_ERR_SERVER_ERROR = 10011,      /**< the DataProxy refused the batch: see server_code */
    INLONG_ERR_SERVER_PANIC = 10012,      /**< an internal fault; this client is closed */
    INLONG_ERR_WORKER_BUSY = 10013, /**< in a callback: flush or close has begun; or a send in one for log lines or credentials */
    INLONG_ERR_NO_MATCH_REQUEST = 10014,    /**< in metrics only: an answer belongs to no batch in flight */
    INLONG_ERR_CONN_CLOSED_BY_PEER = 10015, /**< the node closed the connection before it answered */
    INLONG_ERR_UNKNOWN = 20001,             /**< no result; stands for any number that is not a code */
    INLONG_ERR_STORED = 30001, /**< with spool_dir: not acked yet, but stored and will be delivered: do not send it again */

    INLONG_ERR_ARG = -1,      /**< an argument is NULL, negative or out of range; the text names it */
    INLONG_ERR_OPTION = -2,   /**< the options cannot be used; the text names key and rule */
    INLONG_ERR_HANDLE = -3,   /**< NULL, closed, or never a handle */
    INLONG_ERR_FORKED = -4,   /**< the handle, or the library's runtime, belongs to the parent process */
    INLONG_ERR_LOAD = -5,     /**< libinlong_dataproxy_core.so.VERSION cannot be loaded; the text lists the paths tried */
    INLONG_ERR_ABI = -6,      /**< this library does not know the struct_size, or library and core do not match */
    INLONG_ERR_INTERNAL = -7, /**< a fault inside the library was caught; this client does not continue: close it. Others do */
    INLONG_ERR_NOMEM = -8     /**< memory or file descriptors ran out */
};

/** What is known about a message at the server, and so whether sending it again could duplicate it. */
enum {
    INLONG_NOT_WRITTEN = 0,   /**< no byte of it was written: sending again cannot duplicate it */
    INLONG_MAYBE_WRITTEN = 1, /**< written, but not answered: sending again may duplicate it */
    INLONG_ACKED = 2,         /**< a DataProxy acknowledged it */
    INLONG_STORED = 3         /**< it is in the spool and will be delivered: sending again duplicates it */
};

/* ---- Handles and structs ---- */

/** The options of a client. One thread at a time may use an object. */
typedef struct inlong_options inlong_options;
/** A client: the connections to the nodes of a group, and the messages without a result. */
typedef struct inlong_client inlong_client;
/** A fake Manager with nodes, inside this process, for tests. */
typedef struct inlong_mock inlong_mock;

/** One attribute of a message. Key and value are printable ASCII without '&' and '=', and without a blank at either end. Names that
 * the protocol uses are refused, except msgUUID and auditVersion, which must be a number from 0 to 2^63-1. */
typedef struct inlong_attribute {
    const char *key;   /**< not empty */
    size_t key_len;    /**< 0 = strlen */
    const char *value; /**< NULL = "" */
    size_t value_len;  /**< 0 = strlen */
} inlong_attribute;

/** One message. A call copies what it needs before it returns: everything may be reused or freed then.
 *
 * `item_attributes` hold what differs from message to message, such as a trace id. Messages with different ones share a batch.
 * They need the option message_format=binary: without it the message is refused with INLONG_ERR_LOG_INVALID, as it is for a name
 * that `attributes` or the option add_columns uses too. A consumer does not see the order between messages with different ones
 * (core/docs/ATTRIBUTES.md).
 *
 * A program that was built before a field was added has a shorter struct; the library reads it as one without the field. All
 * elements of an array have the same size. */
typedef struct inlong_message {
    size_t struct_size;                 /**< sizeof(inlong_message) */
    const char *group_id;               /**< NULL or "" = the client's; else 4 to 200 of A-Z a-z 0-9 _ . - */
    size_t group_id_len;                /**< 0 = strlen */
    const char *stream_id;              /**< required: 1 to 200 of A-Z a-z 0-9 _ . - */
    size_t stream_id_len;               /**< 0 = strlen */
    const void *payload;                /**< any bytes, sent as they are; not empty */
    size_t payload_len;                 /**< the length: 0 is an empty payload */
    const inlong_attribute *attributes; /**< NULL = none; messages with different attributes travel in different batches */
    size_t attribute_count;             /**< elements of attributes; no key may occur twice */
    int64_t time_ms;                    /**< event time, milliseconds since 1970; 0 = when the batch was opened */
    void *user; /**< inlong_client_send_many only: if not NULL, replaces the call's user data for this message */
    const inlong_attribute *item_attributes; /**< NULL = none; of this message alone, see above */
    size_t item_attribute_count;             /**< elements of item_attributes; no key may occur twice */
} inlong_message;

/** The one result of a message, or of `count` messages (inlong_client_send_packed, inlong_batch_callback). Texts are
 * NUL-terminated, cut to fit, and "" if not known. They are part of the struct and live as long as it. */
typedef struct inlong_result {
    size_t struct_size;       /**< sizeof(inlong_result) */
    int32_t code;             /**< INLONG_OK = acked */
    int32_t server_code;      /**< the DataProxy's own error code, 0 = none */
    int32_t persisted;        /**< INLONG_NOT_WRITTEN, INLONG_MAYBE_WRITTEN, INLONG_ACKED or INLONG_STORED */
    int32_t retriable;        /**< 1 = sending it again may succeed; persisted says whether that may duplicate it */
    int32_t attempts;         /**< how often the message was written */
    int32_t reserved;         /**< 0 */
    void *user;               /**< as given to the send call; that of the first message if count > 1 */
    uint64_t count;           /**< how many messages have this result */
    char node[128];           /**< host:port of the node of the last attempt */
    char batch_id[64];        /**< the batch's id on the wire ("mid"); the DataProxy logs it too */
    char text[512];           /**< what happened, for people; "" if acked */
    char server_message[256]; /**< what the DataProxy said about server_code */
} inlong_result;

/* ---- Version and errors. Pure C: they load nothing and work in forked children. ---- */

/** The library's version.
 * @return "0.1.0", or "0.1.0+stock" if it has a stock runtime (bindings/c/README.md); static
 * @blocks never */
INLONG_API const char *inlong_version(void);

/** The INLONG_ABI_VERSION of the library. A program needs a library that returns at least its own INLONG_ABI_VERSION.
 * @return the number
 * @blocks never */
INLONG_API int inlong_abi_version(void);

/** The text of this thread's last call that failed. A call that succeeds does not change it.
 * @return the text, "" if no call failed; valid until this thread's next call that fails
 * @blocks never */
INLONG_API const char *inlong_last_error(void);

/** The short name of a code.
 * @param code any number; one that is not a code counts as INLONG_ERR_UNKNOWN
 * @return "queue_full"; static
 * @blocks never */
INLONG_API const char *inlong_error_name(int code);

/** The text of a code.
 * @param code any number; one that is not a code counts as INLONG_ERR_UNKNOWN
 * @return "producer send queue is full"; static
 * @blocks never */
INLONG_API const char *inlong_error_text(int code);

/** Tells whether sending again may help after a code. For a result prefer result->retriable, which knows the server's code.
 * @param code any number; one that is not a code counts as INLONG_ERR_UNKNOWN
 * @return 1 or 0
 * @blocks never */
INLONG_API int inlong_error_is_retriable(int code);

/** One code. */
typedef struct inlong_error_info {
    size_t struct_size;  /**< sizeof(inlong_error_info) of the library */
    int code;            /**< its number */
    int retriable;       /**< as inlong_error_is_retriable */
    const char *name;    /**< as inlong_error_name */
    const char *text;    /**< as inlong_error_text */
    const char *meaning; /**< when it occurs */
} inlong_error_info;

/** Lists all codes.
 *
 * @code
 *     for (i = 0; (info = inlong_error_describe(i)) != NULL; i++)
 *         printf("%d %s: %s\n", info->code, info->name, info->meaning);
 * @endcode
 * @param index 0, 1, ...
 * @return the entry, or NULL after the last; static
 * @blocks never */
INLONG_API const inlong_error_info *inlong_error_describe(size_t index);

/* ---- Options. Pure C: they load nothing and work in forked children. ---- */

/** Makes a new, empty set of options.
 * @return the options; free them with inlong_options_free. NULL if memory ran out
 * @blocks never */
INLONG_API inlong_options *inlong_options_new(void);

/** Sets an option to a text and replaces an earlier one. A client needs url (or static_nodes) and group_id.
 *
 * Durations need a unit ("20ms", "5m"). Sizes are bytes, or have K, M or G ("40K"). Bools are true or false. Maps are
 * "name=value&name2=value2", lists "a,b". inlong_client_new checks whether the values fit their options, and reports
 * all faults at once.
 * @param options not NULL
 * @param key     one of inlong_options_describe; copied
 * @param value   not NULL; copied
 * @param err     NULL, or receives the text of a failure
 * @param errlen  its length
 * @return INLONG_OK; INLONG_ERR_OPTION: there is no such key (the text names a similar one, if there is one), or it is not UTF-8;
 *         INLONG_ERR_ARG: NULL; INLONG_ERR_NOMEM
 * @blocks never */
INLONG_API int inlong_options_set(inlong_options *options, const char *key, const char *value, char *err, size_t errlen);

/** Frees options. Clients that were made from them keep working.
 * @param options NULL is ignored
 * @blocks never */
INLONG_API void inlong_options_free(inlong_options *options);

/** One option. */
typedef struct inlong_option_info {
    size_t struct_size;        /**< sizeof(inlong_option_info) of the library */
    const char *key;           /**< for inlong_options_set */
    const char *kind;          /**< string, duration, int, size, bool, enum, map or list */
    const char *default_value; /**< as text */
    const char *min;           /**< "" = no bound */
    const char *max;           /**< "" = no bound */
    const char *values;        /**< an enum's, separated by | */
    const char *doc;           /**< what it does */
} inlong_option_info;

/** Lists all options.
 * @param index 0, 1, ...
 * @return the entry, or NULL after the last; static
 * @blocks never */
INLONG_API const inlong_option_info *inlong_options_describe(size_t index);

/* ---- Logging. Pure C. ---- */

/** The level of a log line. Lines of one kind come every 10 s at most and count those left out, so a cluster that is down
 * for hours fills no disk. No line and no text contains a secret. */
enum {
    INLONG_LOG_OFF = 0,   /**< nothing: the default */
    INLONG_LOG_ERROR = 1, /**< a fault inside the library or a callback */
    INLONG_LOG_WARN = 2,  /**< something is wrong and the client continues: a node is avoided, the Manager does not answer */
    INLONG_LOG_INFO = 3,  /**< what changed */
    INLONG_LOG_DEBUG = 4  /**< everything */
};

/** Receives one log line.
 *
 * It runs on threads of the library, and may run before inlong_client_new has returned. A client logs one line at a time; several
 * clients log on several threads. Only later lines wait for it: 256 of them, more are dropped and counted. It may
 * call this header's functions, but inlong_client_send, flush and close return INLONG_ERR_WORKER_BUSY. A line that its own
 * calls cause comes after it has returned. It does not run after inlong_client_close has returned INLONG_OK. Leaving it by longjmp,
 * a C++ exception or pthread_exit is undefined.
 * @param client the client that logs. It is not open until inlong_client_new has returned: sends, flush and close return
 *               INLONG_ERR_HANDLE
 * @param level  INLONG_LOG_ERROR ... INLONG_LOG_DEBUG
 * @param text   UTF-8 without a newline at its end; valid until the callback returns
 * @param user   as given to inlong_log_set or inlong_options_set_log */
typedef void (*inlong_log_callback)(inlong_client *client, int level, const char *text, void *user);

/** Instead of a callback: log lines wait for inlong_log_poll. */
#define INLONG_LOG_QUEUE ((inlong_log_callback)1)

/** Sets where log lines go, for clients that are made after this call without a setting of their own (inlong_options_set_log).
 * @param callback receives the lines; INLONG_LOG_QUEUE: they wait for inlong_log_poll; NULL: no lines, as with INLONG_LOG_OFF
 * @param user     passed to the callback; must live as long as the clients
 * @param level    the least important level that is wanted; INLONG_LOG_OFF: no lines
 * @return INLONG_OK, or INLONG_ERR_ARG: level
 * @blocks never */
INLONG_API int inlong_log_set(inlong_log_callback callback, void *user, int level);

/** As inlong_log_set, for the clients that are made from these options.
 * @param options  not NULL
 * @param callback receives the lines; INLONG_LOG_QUEUE: they wait for inlong_log_poll; NULL: no lines, as with INLONG_LOG_OFF
 * @param user     passed to the callback; must live as long as the clients
 * @param level    the least important level that is wanted; INLONG_LOG_OFF: no lines
 * @return INLONG_OK, or INLONG_ERR_ARG: options or level
 * @blocks never */
INLONG_API int inlong_options_set_log(inlong_options *options, inlong_log_callback callback, void *user, int level);

/** A log line that waited. */
typedef struct inlong_log_line {
    size_t struct_size;    /**< sizeof(inlong_log_line) */
    int32_t level;         /**< INLONG_LOG_ERROR ... INLONG_LOG_DEBUG */
    int32_t lost;          /**< lines lost before this one, because 256 were waiting */
    inlong_client *client; /**< the client that logged; it may be closed, or not open yet */
    int64_t time_ms;       /**< when, milliseconds since 1970 */
    char text[1024];       /**< NUL-terminated, cut to fit */
} inlong_log_line;

/** Takes the log lines of INLONG_LOG_QUEUE. It is for code that other threads cannot call, as in languages with a runtime
 * of their own. The whole process has one queue of 256 lines.
 * @param lines      not NULL; set lines[0].struct_size, the call sets that of the others
 * @param max        elements of lines, 1 or more
 * @param timeout_ms how long to wait for the first one; INLONG_NO_TIMEOUT: until one comes
 * @return the number of lines, 0 if the time passed; INLONG_ERR_ARG or INLONG_ERR_ABI
 * @blocks for timeout_ms at most */
INLONG_API int inlong_log_poll(inlong_log_line *lines, int max, int64_t timeout_ms);

/* ---- Credentials. Pure C. ---- */

/** A question for the credentials of a request to the Manager, and its answer. The credentials are one header. */
typedef struct inlong_auth {
    size_t struct_size; /**< sizeof(inlong_auth) */
    uint64_t question;  /**< its number, from 1; inlong_auth_answer uses it */
    void *user;         /**< as given to inlong_options_set_auth */
    char group_id[208]; /**< the client's group */
    char name[128];     /**< the header's name, 126 bytes at most; "Authorization" unless you change it */
    char value[16384];  /**< the header's value, such as "Bearer ...", 16,382 bytes at most; "" in the question */
    char text[512];     /**< why there are no credentials; errors and log lines show it, so put no secret there */
} inlong_auth;

/** Answers a question for credentials. It is called before each request to the Manager and again after a 401 or 403, so it may
 * renew a token.
 *
 * It runs on a thread of the library, and may run before inlong_client_new has returned. A client asks one question at a time;
 * several clients ask on several threads. The request waits for it, for the option manager_timeout at most; until it has returned,
 * later requests fail at once. Nothing else waits: the client sends to the nodes that it knows. It does not run after
 * inlong_client_close has returned INLONG_OK. It may call this header's functions, but inlong_client_send, ready, flush and close
 * return INLONG_ERR_WORKER_BUSY. A child that it forks ends inside it. Leaving it by longjmp, a C++ exception or pthread_exit is
 * undefined.
 * @param auth the question, and room for the answer; valid until the callback returns
 * @param user as given to inlong_options_set_auth
 * @return INLONG_OK: name and value are set. Any other code: the request fails with the text in text */
typedef int (*inlong_auth_callback)(inlong_auth *auth, void *user);

/** Instead of a callback: questions wait for inlong_auth_poll. */
#define INLONG_AUTH_QUEUE ((inlong_auth_callback)1)

/** Makes the clients that are made from these options ask for credentials. It excludes the options basic_auth and basic_auth_file.
 * @code
 *     int bearer(inlong_auth *auth, void *user)
 *     {
 *         snprintf(auth->value, sizeof auth->value, "Bearer %s", (const char *)user);
 *         return INLONG_OK;
 *     }
 * @endcode
 * @param options  not NULL
 * @param callback answers the questions; INLONG_AUTH_QUEUE: they wait for inlong_auth_poll; NULL: there are none
 * @param user     passed to the callback; must live as long as the clients
 * @return INLONG_OK, or INLONG_ERR_ARG: options
 * @blocks never */
INLONG_API int inlong_options_set_auth(inlong_options *options, inlong_auth_callback callback, void *user);

/** Takes a question of INLONG_AUTH_QUEUE. It is for code that other threads cannot call, as in languages with a runtime of
 * their own. The whole process has one queue. A question leaves it when its client is closed and when the
 * option manager_timeout has passed. If an answer takes long, give it on another thread than the one that polls.
 * @param auth       not NULL, with struct_size set; receives the question
 * @param timeout_ms how long to wait for one; INLONG_NO_TIMEOUT: until one comes
 * @return 1, or 0 when the time passed; INLONG_ERR_ARG, INLONG_ERR_ABI
 * @blocks for timeout_ms at most */
INLONG_API int inlong_auth_poll(inlong_auth *auth, int64_t timeout_ms);

/** Answers a question of inlong_auth_poll, once, from any thread.
 * @param auth not NULL: the question, with name and value or text set; copied
 * @param code INLONG_OK: name and value are set. Any other code: the request fails with the text in text
 * @return INLONG_OK; INLONG_ERR_CONTEXT_EXPIRED: nobody waits any more, since it was answered, took too long, or the client is
 *         being closed; INLONG_ERR_ARG, INLONG_ERR_ABI
 * @blocks never */
INLONG_API int inlong_auth_answer(const inlong_auth *auth, int code);

/* ---- The runtime ---- */

/** Settings of the library's runtime, for the whole process. What is set here overrides GOGC and GOMEMLIMIT of the environment. */
enum {
    /** How much the runtime's memory may grow before it is collected, in percent of what is in use: 1 to 10,000, default 100.
     * 400 takes more memory and less CPU. -1: collect only when the memory limit requires it; set that limit first. */
    INLONG_RUNTIME_GC_PERCENT = 1,
    /** Bytes that the runtime tries not to exceed, by collecting more often: 16 MiB or more. -1, the default: no limit. It is not a
     * hard bound; the options max_pending_bytes and max_pending_messages bound what is pending. */
    INLONG_RUNTIME_MEMORY_LIMIT = 2,
    /** Whether a child that is forked after the runtime was loaded may load its own copy: 1, the default, or 0. It can be
     * changed at any time, in the child too. */
    INLONG_RUNTIME_FORK_RELOAD = 3,
    /** Read only: 1 if the library has a stock runtime (bindings/c/README.md), 0 if it keeps all its promises. */
    INLONG_RUNTIME_STOCK = 4
};

/** Changes a setting of the runtime. Call it before the first inlong_client_new or inlong_mock_new of this process. A forked
 * child inherits the settings.
 * @param setting INLONG_RUNTIME_...
 * @param value   its value, see there
 * @return INLONG_OK; INLONG_ERR_ARG: there is no such setting or value; INLONG_ERR_OPTION: the runtime is loaded already, and
 *         nothing changed
 * @blocks never */
INLONG_API int inlong_runtime_set(int setting, int64_t value);

/** Reads a setting of the runtime: the one in use if the runtime is loaded, else the one that was set.
 * @param setting INLONG_RUNTIME_...
 * @param value   not NULL; receives the value, -1 for none
 * @return INLONG_OK or INLONG_ERR_ARG; INLONG_ERR_CONTEXT_EXPIRED: the library got no processor for 10 s
 * @blocks for 10 s if the library gets no processor; never otherwise */
INLONG_API int inlong_runtime_get(int setting, int64_t *value);

/* ---- Client ---- */

/** Makes a client. The first call loads the runtime. Each call checks the options, asks the Manager for nodes, and waits until one
 * connection has answered a heartbeat.
 *
 * The library looks for the core beside itself, then by name on the loader's path. If $INLONG_DATAPROXY_CORE is set it looks
 * there only. The first call registers an exit handler (atexit, at_quick_exit). Once that has run, no callback starts any more; it
 * waits for callbacks that run, 2 s at most. Exit handlers that were registered later, and static C++ objects that were made
 * later, end before it: close the client first if callbacks use them.
 * @param options not NULL; copied
 * @param client  not NULL; receives the handle, which inlong_client_close closes, or NULL on failure
 * @param err     NULL, or receives the text of a failure
 * @param errlen  its length
 * @return INLONG_OK; INLONG_ERR_OPTION: the options are faulty (all faults are named); INLONG_ERR_NEW_CONN_FAILED: no Manager
 *         or no node could be reached; INLONG_ERR_LOAD, INLONG_ERR_ABI: the core library; INLONG_ERR_FORKED: this process is
 *         a child of one that had loaded the runtime, and got no runtime of its own (bindings/c/README.md, Fork); INLONG_ERR_NOMEM:
 *         memory ran out, or 4,096 clients are open, or there is too little address space, or the runtime would not get 8 threads
 *         and 8 descriptors at its start; INLONG_ERR_CONTEXT_EXPIRED: the library got no processor; INLONG_ERR_ARG: NULL
 * @blocks for the options manager_timeout and conn_timeout together at most, and for 10 s if the library gets no processor to begin */
INLONG_API int inlong_client_new(const inlong_options *options, inlong_client **client, char *err, size_t errlen);

/** Sends one message and returns when it has its result. It does not wait for the linger. For throughput use the other send
 * functions.
 * @param client     an open client
 * @param message    not NULL; copied
 * @param timeout_ms bound of this call, in addition to the option send_timeout
 * @param result     NULL, or receives the result (set its struct_size); its user is NULL. It stays as it is if the call is
 *                   refused for an argument or its handle: check the returned code
 * @return INLONG_OK: acked. Any other code is that of the result. Nothing was sent after INLONG_ERR_ARG, INLONG_ERR_ABI,
 *         INLONG_ERR_HANDLE, INLONG_ERR_FORKED, INLONG_ERR_LOG_INVALID, INLONG_ERR_LOG_TOO_LONG, INLONG_ERR_QUEUE_FULL, nor after
 *         INLONG_ERR_WORKER_BUSY, which comes inside a callback for log lines or credentials
 * @blocks until the message has its result: for timeout_ms and the option send_timeout at most, and for a second if the library gets
 *         no processor to take the message */
INLONG_API int inlong_client_send(inlong_client *client, const inlong_message *message, int64_t timeout_ms, inlong_result *result);

/** Receives one result.
 *
 * It runs on a thread of the library: one at a time and in order for one stream, at the same time as callbacks of other
 * streams. A slow callback delays only other results of its worker. It may call every function of this header; flush and
 * close do not wait there. Leaving it by longjmp, a C++ exception or pthread_exit is undefined.
 * @param result valid until the callback returns
 * @param user   the message's user data, the same as result->user */
typedef void (*inlong_callback)(const inlong_result *result, void *user);

/** Accepts one message and returns. Exactly one result follows.
 *
 * The call copies the message into memory of the client. The library takes it from there: at once if other messages wait, else
 * after a tenth of the linger, 1 ms at most.
 *
 * @code
 *     while ((code = inlong_client_send_async(client, &message, on_result, user)) == INLONG_ERR_QUEUE_FULL)
 *         usleep(1000); // results make room; with the option block_if_queue_is_full the call waits by itself
 *     if (code != INLONG_OK)
 *         printf("refused: %s\n", inlong_last_error()); // no result follows
 * @endcode
 * @param client   an open client
 * @param message  not NULL; copied
 * @param callback receives the result; NULL: it goes to the client's batch callback (inlong_options_set_batch_callback), or,
 *                 without one, to its queue for inlong_client_poll
 * @param user     returned with the result; the library does not use it
 * @return INLONG_OK: accepted. Any other code: refused, no result follows. INLONG_ERR_QUEUE_FULL: wait for results and send
 *         again; with the option block_if_queue_is_full it is INLONG_ERR_SEND_TIMEOUT; INLONG_ERR_LOG_INVALID,
 *         INLONG_ERR_LOG_TOO_LONG: the message; INLONG_ERR_CLOSED: the client is being closed
 * @blocks never, or for a second if the library gets no processor to take messages; with the option block_if_queue_is_full until there
 *         is room, for the option send_timeout at most */
INLONG_API int inlong_client_send_async(inlong_client *client, const inlong_message *message, inlong_callback callback, void *user);

/** As inlong_client_send_async, for many messages in one call and in order. It stops at the first message that is refused.
 *
 * @code
 *     code = inlong_client_send_many(client, messages, count, on_result, NULL, &accepted);
 *     if (code != INLONG_OK)
 *         printf("message %zu is refused: %s\n", accepted, inlong_last_error()); // those before it get their results
 * @endcode
 * @param client   an open client
 * @param messages not NULL unless count is 0; copied; all have the struct_size of the first
 * @param count    elements of messages
 * @param callback as for inlong_client_send_async
 * @param user     returned with the results of messages whose own user is NULL
 * @param accepted NULL, or receives how many are accepted: each of those gets one result
 * @return INLONG_OK: all are accepted. Any other code is that of the first that is refused. INLONG_ERR_QUEUE_FULL also means that
 *         as much is in flight as the nodes ack in a quarter of the option send_timeout: wait for results and send the rest
 * @blocks as inlong_client_send_async. With block_if_queue_is_full it also waits while that much is in flight; it gives up once
 *         nothing was acked for send_timeout */
INLONG_API int inlong_client_send_many(inlong_client *client, const inlong_message *messages, size_t count,
                                       inlong_callback callback, void *user, size_t *accepted);

/** Flags of inlong_packed. */
enum {
    INLONG_PACKED_MERGE_ACKS = 1, /**< acks that follow each other are one result, across batches; its node and batch_id are "" */
    INLONG_PACKED_SINGLES = 2     /**< single messages, joined only for speed: without the bound of bulk sends */
};

/** Messages of one stream whose payloads follow each other in memory. Zero the struct first: a zero field means its default. */
typedef struct inlong_packed {
    size_t struct_size;          /**< sizeof(inlong_packed) */
    const inlong_message *model; /**< not NULL: the ids, attributes and time of all; its payload is ignored */
    const void *data;            /**< the payloads; NULL only with data_len 0; copied */
    size_t data_len;             /**< their total length */
    const uint32_t *lengths;     /**< the length of each; their sum is data_len. 0 is refused like any empty payload */
    size_t count;                /**< elements of lengths */
    void *user;                  /**< message i has the user data (char *)user + i */
    int32_t flags;               /**< 0, or INLONG_PACKED_... joined with | */
    int32_t reserved;            /**< 0 */
} inlong_packed;

/** Sends many messages of one stream whose payloads follow each other in memory. This is the fastest way.
 *
 * Results go to the queue, or to the client's batch callback. In the queue, messages of one batch with consecutive user data
 * share one inlong_result, with their count and the user data of the first.
 * @param client     an open client
 * @param messages   not NULL
 * @param timeout_ms bound of a wait for room (option block_if_queue_is_full)
 * @param accepted   NULL, or receives how many are accepted: each of those gets one result
 * @return as inlong_client_send_many; INLONG_ERR_CONTEXT_EXPIRED: timeout_ms ended before there was room, or before the library had
 *         taken earlier messages
 * @blocks as inlong_client_send_many, for timeout_ms at most; or for a second, if that is longer and the library gets no processor
 *         to take earlier messages */
INLONG_API int inlong_client_send_packed(inlong_client *client, const inlong_packed *messages, int64_t timeout_ms,
                                         size_t *accepted);

/** Receives the result of all messages of a batch that were sent without a callback of their own. As a rule there is one call for
 * a batch, not one for each message.
 *
 * It runs where an inlong_callback runs, and may do the same.
 * @param result valid until the callback returns; result->count == count
 * @param users  the messages' user data, in the order of sending; valid until the callback returns
 * @param count  their number: 512 at most; more come in the next call
 * @param user   as given to inlong_options_set_batch_callback */
typedef void (*inlong_batch_callback)(const inlong_result *result, void *const *users, size_t count, void *user);

/** Gives the clients that are made from these options a batch callback instead of the queue. inlong_client_poll and
 * inlong_client_event_fd return INLONG_ERR_ARG then.
 * @param options  not NULL
 * @param callback receives the results; NULL: they go to the queue
 * @param user     passed to the callback; must live as long as the clients
 * @return INLONG_OK or INLONG_ERR_ARG
 * @blocks never */
INLONG_API int inlong_options_set_batch_callback(inlong_options *options, inlong_batch_callback callback, void *user);

/** Takes results from the client's queue. Pure C: it costs one lock.
 *
 * @code
 *     static inlong_result results[256];
 *     results[0].struct_size = sizeof results[0];
 *     while ((n = inlong_client_poll(client, results, 256, INLONG_NO_TIMEOUT)) > 0)
 *         for (i = 0; i < n; i++)
 *             if (results[i].code != INLONG_OK)
 *                 printf("%s\n", results[i].text);
 * @endcode
 *
 * The queue holds 65,536 results (merged ones count once). When it is full the library's workers wait, as for a slow
 * callback, except during a close. Results that are left after inlong_client_close can still be polled; after the last one
 * the call returns INLONG_ERR_HANDLE. Results that nobody polls keep their memory until inlong_client_drop_results drops
 * them.
 * @param client     an open client, or a closed one with results left. Several threads may poll: each result goes to one
 * @param results    not NULL; set results[0].struct_size, the call sets that of the others
 * @param max        elements of results, 1 or more
 * @param timeout_ms how long to wait for the first one; INLONG_NO_TIMEOUT: until one comes or the client is closed
 * @return the number of results, 0 if the time passed or inlong_client_wake was called; INLONG_ERR_ARG, INLONG_ERR_ABI,
 *         INLONG_ERR_HANDLE, INLONG_ERR_FORKED
 * @blocks for timeout_ms at most */
INLONG_API int inlong_client_poll(inlong_client *client, inlong_result *results, int max, int64_t timeout_ms);

/** Makes an inlong_client_poll that waits return at once, with the results that there are or with none. If none waits, the next one
 * that would wait returns. It is for a thread that takes results and does other work too. Several calls before that poll count as
 * one.
 * @param client an open client
 * @return INLONG_OK; INLONG_ERR_HANDLE, INLONG_ERR_FORKED
 * @blocks never */
INLONG_API int inlong_client_wake(inlong_client *client);

/** Drops the results that wait in the queue of an open or closed client. It does not change their messages: what was
 * delivered stays delivered.
 * @param client an open client, or a closed one with results left
 * @return the number of results; INLONG_ERR_ARG: the client has a batch callback; INLONG_ERR_HANDLE, INLONG_ERR_FORKED
 * @blocks never */
INLONG_API int64_t inlong_client_drop_results(inlong_client *client);

/** Returns a descriptor that is readable while results wait in the queue, for poll(2), select and epoll.
 *
 * A client has one descriptor. Only wait on it: never read, write or close it. The close of the client closes it: take it out of
 * your loop first, and poll the results that are left after the close.
 *
 * @code
 *     struct pollfd p = {inlong_client_event_fd(client), POLLIN, 0};
 *     while (poll(&p, 1, -1) > 0)
 *         n = inlong_client_poll(client, results, 256, 0);
 * @endcode
 * @param client an open client
 * @return the descriptor; INLONG_ERR_NOMEM: the process has none left; INLONG_ERR_ARG: the client has a batch callback;
 *         INLONG_ERR_HANDLE, INLONG_ERR_FORKED
 * @blocks never */
INLONG_API int inlong_client_event_fd(inlong_client *client);

/** Sends all open batches now and waits until every message that was accepted before the call has its result, which means that its
 * callback has returned or its result is in the queue.
 * @param client     an open client
 * @param timeout_ms bound of this call
 * @return INLONG_OK; INLONG_ERR_CONTEXT_EXPIRED: timeout_ms ended first; INLONG_ERR_WORKER_BUSY: it does not wait inside a
 *         callback, where it would wait for itself; INLONG_ERR_QUEUE_FULL: the queue is full and nobody took results from it for a
 *         second or more: poll, then flush again; INLONG_ERR_ARG, INLONG_ERR_HANDLE, INLONG_ERR_FORKED
 * @blocks for timeout_ms at most, and until the messages' deadlines (option send_timeout) at most; or for a second, if that is longer
 *         and the library gets no processor */
INLONG_API int inlong_client_flush(inlong_client *client, int64_t timeout_ms);

/** Tells whether a message could be written now: a node has answered on its connection, and takes batches as far as is known. You
 * may send in any case: a message waits for a node until its deadline. Use it for a health check, or before the first message of a
 * client with the option lazy_start.
 * @param client     an open client
 * @param timeout_ms how long to wait for that; 0: do not wait; INLONG_NO_TIMEOUT: until a node can be used, or the client is closed
 * @return INLONG_OK; INLONG_ERR_NEW_CONN_FAILED: no node can be used, and the text names the causes; INLONG_ERR_CLOSED: the client
 *         is being closed; INLONG_ERR_CONTEXT_EXPIRED: the library got no processor; INLONG_ERR_WORKER_BUSY: inside a callback for
 *         log lines or credentials; INLONG_ERR_ARG, INLONG_ERR_HANDLE, INLONG_ERR_FORKED
 * @blocks for timeout_ms at most, or for a second, if that is longer and the library gets no processor; never inside a callback */
INLONG_API int inlong_client_ready(inlong_client *client, int64_t timeout_ms);

/** What became of a client's messages. */
typedef struct inlong_close_report {
    size_t struct_size; /**< sizeof(inlong_close_report) */
    int64_t acked;      /**< messages acked over the client's life */
    int64_t failed;     /**< messages failed over the client's life, with those in a spool (INLONG_ERR_STORED in by_code) */
    int64_t unsent;     /**< of these, the messages that this close failed with INLONG_ERR_CLOSED */
    struct {
        int64_t code;  /**< INLONG_ERR_... */
        int64_t count; /**< messages that failed with it */
    } by_code[24];     /**< failures by code; the rest is 0 */
    int64_t uncalled;  /**< at most so many messages whose callback was not called, because others took too long */
    int64_t unpolled;  /**< results left in the queue: poll them, or drop them with inlong_client_drop_results */
} inlong_close_report;

/** Closes the client. It accepts no message any more. Accepted messages are delivered until timeout_ms ends; the rest fails with
 * INLONG_ERR_CLOSED. No callback starts once the call has returned.
 *
 * Inside a callback the call starts the close and does not wait for it. The close continues by itself, bounded by the option
 * send_timeout, and callbacks come until it has ended. Inside a callback for log lines or credentials the call starts nothing.
 * @param client     an open client. If two threads close at the same time, one closes and the other returns
 *                   INLONG_ERR_HANDLE at once; so does a second close
 * @param timeout_ms how long to deliver; INLONG_NO_TIMEOUT: the option send_timeout
 * @param report     NULL, or filled (set its struct_size)
 * @return INLONG_OK: every message has its result and no callback runs. INLONG_ERR_CONTEXT_EXPIRED: the client is closed too, but
 *         messages were left (report->unsent), or callbacks took so long that not all were called (report->uncalled); one that does
 *         not return may still run.
 *         INLONG_ERR_WORKER_BUSY: inside a callback; INLONG_ERR_ARG, INLONG_ERR_ABI, INLONG_ERR_HANDLE, INLONG_ERR_FORKED
 * @blocks for timeout_ms plus 100 ms at most; plus two seconds if the library gets no processor: the client is closed later then, and
 *         the report has only what the library had not taken yet */
INLONG_API int inlong_client_close(inlong_client *client, int64_t timeout_ms, inlong_close_report *report);

/** Writes the client's counters as JSON: accepted, acked, failed, refused, pending_messages, pending_bytes, batches, retries,
 * streams, spool (state: "off", "ok", "full" or "failed", bytes, batches, messages, oldest_age in nanoseconds, replayed, given_up,
 * lost, quarantined, errors), lanes (an array: node, usable, queued, in_flight) and nodes (addr, lanes, suspect, batches, errors,
 * round_trip with p50, p95, p99 in nanoseconds).
 * @param client an open client
 * @param buf    NULL only with len 0; receives the text, cut to len - 1 bytes and NUL-terminated
 * @param len    its length
 * @return the length of the whole text without NUL, as snprintf returns it; INLONG_ERR_CONTEXT_EXPIRED: the library got no processor;
 *         INLONG_ERR_ARG, INLONG_ERR_HANDLE, INLONG_ERR_FORKED
 * @blocks until messages accepted before the call are counted: for microseconds, 100 ms at most; or for a second if the library gets
 *         no processor */
INLONG_API int inlong_client_stats(inlong_client *client, char *buf, size_t len);

/** Writes the client's metrics in the text format of Prometheus (text/plain; version=0.0.4), for a metrics endpoint. Their label
 * `name` is the option metrics_name: give each client of a process its own.
 * @param client an open client
 * @param buf    as for inlong_client_stats
 * @param len    its length; 64 KiB suffice for a worker_num up to 100
 * @return as inlong_client_stats
 * @blocks as inlong_client_stats */
INLONG_API int inlong_client_metrics(inlong_client *client, char *buf, size_t len);

/* ---- Rows: payloads of CSV and KV streams. Pure C except inlong_row_format_ask: load nothing, work in forked children. ---- */

/** The kind of a stream's rows. */
enum {
    INLONG_ROW_CSV = 1, /**< values with separators between them */
    INLONG_ROW_KV = 2   /**< key, kv separator and value of each field, with separators between the fields */
};

/** How characters are written as bytes. */
enum {
    INLONG_ROW_UTF8 = 0, /**< UTF-8 */
    INLONG_ROW_GBK = 1   /**< INLONG_FIELD_BYTES are in GBK, INLONG_FIELD_TEXT must be ASCII */
};

/** Flags of inlong_row_settings. */
enum {
    /** Refuse a CSV row whose first field is empty or null: a reader with deleteHeadDelimiter would shift all columns. */
    INLONG_ROW_REFUSE_EMPTY_FIRST = 1,
    /** Write LF, CR and NUL in a CSV value as the escape character with n, r and 0. No reader of InLong undoes that; use it for
     * loaders after InLong that do. */
    INLONG_ROW_CONTROL_ESCAPES = 2
};

/** How rows are written. It must match the settings of the stream. Separators and the escape character are Unicode code points
 * up to U+FFFF, all different and none of them LF; with GBK they are ASCII. */
typedef struct inlong_row_settings {
    size_t struct_size;         /**< sizeof(inlong_row_settings) */
    int32_t type;               /**< INLONG_ROW_CSV or INLONG_ROW_KV */
    int32_t encoding;           /**< INLONG_ROW_UTF8 or INLONG_ROW_GBK */
    uint32_t separator;         /**< between two fields; 0 = '|' */
    uint32_t kv_separator;      /**< between key and value, of KV only; 0 = '=' */
    uint32_t line_separator;    /**< where readers split a message into rows; 0 = none. LF always counts as one */
    uint32_t escape;            /**< 0 = none: values with a special character are refused */
    uint32_t flags;             /**< 0, or INLONG_ROW_... joined with | */
    uint32_t reserved;          /**< 0 */
    const char *const *columns; /**< NULL, or the names of the fields in their order, NUL-terminated */
    size_t column_count;        /**< elements of columns; with columns the number of fields is checked, and fields may have names */
} inlong_row_settings;

/** Checked settings. They never change: any thread may use them, and a forked child too. */
typedef struct inlong_row_format inlong_row_format;

/** What a field holds. */
enum {
    INLONG_FIELD_NULL = 0,   /**< nothing: empty in CSV, left out at the end of a row; in KV the pair is left out */
    INLONG_FIELD_TEXT = 1,   /**< data: UTF-8; data_len 0 = strlen */
    INLONG_FIELD_BYTES = 2,  /**< data: a text in the stream's encoding, with its length; other bytes are refused */
    INLONG_FIELD_INT = 3,    /**< value.i */
    INLONG_FIELD_UINT = 4,   /**< value.u */
    INLONG_FIELD_DOUBLE = 5, /**< value.d, in the fewest digits that read back as it; "NaN", "Infinity" */
    INLONG_FIELD_BOOL = 6,   /**< value.i: 0 = "false", any other = "true" */
    INLONG_FIELD_TIME = 7    /**< value.i: milliseconds since 1970, as "2026-01-02 15:04:05" in UTC, cut to seconds */
};

/** One field of a row. */
typedef struct inlong_field {
    const char *name; /**< NULL = by position; else the key, or the column. All fields of a row have a name, or none */
    size_t name_len;  /**< 0 = strlen */
    int32_t kind;     /**< INLONG_FIELD_... */
    int32_t reserved; /**< 0 */
    const void *data; /**< of TEXT and BYTES; NULL = "" */
    size_t data_len;  /**< see there */
    union {
        int64_t i;
        uint64_t u;
        double d;
    } value; /**< of the other kinds */
} inlong_field;

/** Checks settings.
 * @param settings not NULL; copied
 * @param format   not NULL; receives what inlong_row_write takes, which inlong_row_format_free frees; NULL on failure
 * @param err      NULL, or receives the text of a failure
 * @param errlen   its length
 * @return INLONG_OK; INLONG_ERR_OPTION: the settings are faulty, and the text names the first fault; INLONG_ERR_ARG,
 *         INLONG_ERR_ABI, INLONG_ERR_NOMEM
 * @blocks never */
INLONG_API int inlong_row_format_new(const inlong_row_settings *settings, inlong_row_format **format, char *err, size_t errlen);

/** Asks the Manager for a stream's settings. It loads the core, as inlong_client_new does.
 * @param options   not NULL; those of a client: url, group_id, credentials and manager_timeout are used
 * @param stream_id not NULL
 * @param format    as for inlong_row_format_new
 * @param err       NULL, or receives the text of a failure
 * @param errlen    its length
 * @return INLONG_OK; INLONG_ERR_OPTION: the options are faulty, or the stream has no rows, or has settings that readers take
 *         differently; INLONG_ERR_NEW_CONN_FAILED: the Manager could not be asked, or knows no such stream; else as
 *         inlong_client_new
 * @blocks for the option manager_timeout at most, and for a second more if a callback for credentials has not returned; it may
 *         still run then */
INLONG_API int inlong_row_format_ask(const inlong_options *options, const char *stream_id, inlong_row_format **format, char *err,
                                     size_t errlen);

/** Reads the settings of a format, with their defaults.
 * @param format   not NULL
 * @param settings not NULL, with struct_size set; its texts live as long as the format
 * @return INLONG_OK, INLONG_ERR_ARG, INLONG_ERR_ABI
 * @blocks never */
INLONG_API int inlong_row_format_settings(const inlong_row_format *format, inlong_row_settings *settings);

/** Writes fields as a row, which is the payload of one message. It is not NUL-terminated.
 *
 * @code
 *     inlong_field fields[] = {{.kind = INLONG_FIELD_TEXT, .data = "a|b"}, {.kind = INLONG_FIELD_INT, .value.i = 7}};
 *     int64_t length = inlong_row_write(format, fields, 2, row, sizeof row); // a\|b|7
 *     if (length < 0 || (size_t)length > sizeof row)
 *         return printf("%s\n", length < 0 ? inlong_last_error() : "the row is longer");
 * @endcode
 *
 * Every reader of InLong reads the row back as the same fields. Fields that one of them would read differently are refused.
 * core/docs/ROWS.md has the rules.
 * @param format not NULL
 * @param fields not NULL unless count is 0
 * @param count  elements of fields
 * @param buf    NULL only with len 0; receives the row, or the part of it that fits
 * @param len    its length
 * @return the length of the whole row; INLONG_ERR_ARG: a field cannot be written, and the text names it and the reason
 * @blocks never */
INLONG_API int64_t inlong_row_write(const inlong_row_format *format, const inlong_field *fields, size_t count, void *buf,
                                    size_t len);

/** Frees a format.
 * @param format NULL is ignored
 * @blocks never */
INLONG_API void inlong_row_format_free(inlong_row_format *format);

/* ---- Mock: for tests of programs that use this library. ---- */

/** Starts a Manager and DataProxy nodes inside this process, on 127.0.0.1.
 * @param nodes  1 to 64; 0 means 3
 * @param mock   not NULL; receives the handle, which inlong_mock_free frees, or NULL on failure
 * @param err    NULL, or receives the text of a failure
 * @param errlen its length
 * @return INLONG_OK; INLONG_ERR_ARG; INLONG_ERR_LOAD, INLONG_ERR_ABI, INLONG_ERR_FORKED, INLONG_ERR_NOMEM,
 *         INLONG_ERR_CONTEXT_EXPIRED as inlong_client_new; INLONG_ERR_INTERNAL: no port could be opened
 * @blocks until its ports are open; for 10 s if the library gets no processor to begin, as all calls of a mock do */
INLONG_API int inlong_mock_new(int nodes, inlong_mock **mock, char *err, size_t errlen);

/** Writes the Manager's address, for the option url.
 * @param mock an open mock
 * @param buf  as for inlong_client_stats
 * @param len  its length
 * @return as inlong_client_stats
 * @blocks never */
INLONG_API int inlong_mock_url(inlong_mock *mock, char *buf, size_t len);

/** Carries out a request and writes the answer, both as JSON. The request is carried out once, whatever fits into buf.
 *
 * @code
 *     inlong_mock_control(mock, "{\"op\":\"kill\",\"node\":0}", NULL, 0); // and "revive"
 *     inlong_mock_control(mock, "{\"op\":\"fault\",\"node\":1,\"fault\":{\"kind\":\"error_code\",\"code\":2}}", NULL, 0);
 * @endcode
 *
 * `inlong-dataproxy mock --help` lists the requests and faults.
 * @param mock    an open mock
 * @param request not NULL
 * @param buf     as for inlong_client_stats
 * @param len     its length
 * @return as inlong_client_stats; INLONG_ERR_ARG: the request is not understood
 * @blocks while the request is carried out, shortly */
INLONG_API int inlong_mock_control(inlong_mock *mock, const char *request, char *buf, size_t len);

/** Writes what the mock received, as JSON.
 * @param mock an open mock
 * @param buf  as for inlong_client_stats
 * @param len  its length
 * @return as inlong_client_stats
 * @blocks never */
INLONG_API int inlong_mock_stats(inlong_mock *mock, char *buf, size_t len);

/** Stops a mock and frees its ports.
 * @param mock NULL and a freed handle are ignored
 * @blocks until its connections are closed */
INLONG_API void inlong_mock_free(inlong_mock *mock);

#ifdef __cplusplus
}
#endif

#endif
