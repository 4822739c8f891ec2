/* fixture.h - a mock, a client and a place for results, for tests. Whatever fails here fails the test. */
#ifndef FIXTURE_H
#define FIXTURE_H

#include <inlong_dataproxy.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#include "check.h"

#define GROUP "test_group"
#define STREAM "test_stream"

typedef struct fixture {
    inlong_mock *mock;
    inlong_client *client;
    char url[128];
} fixture;

/* Whether the library has a stock runtime; says then that the rest of this test is not promised. */
bool without_a_promise(void);

/* A mock of three nodes and, if options is not NULL, a client; options: key, value, ..., NULL, beside url and group. */
fixture open_fixture(const char *const *options);
inlong_client *open_client(const char *url, const char *const *options);
void close_fixture(fixture *f);

/* Carries out a command of the mock; the answer is static. */
const char *control(inlong_mock *mock, const char *request);
/* Messages that the mock kept. */
long received(inlong_mock *mock);
void wait_received(inlong_mock *mock, long count);

/* A folder for a spool, which has a blank in its name; the text is static. */
const char *new_folder(void);
void remove_folder(const char *folder);
/* Messages that the client has in its spool. */
long in_spool(inlong_client *client);

/* Asks for op of each of a fixture's nodes. */
void all_nodes(inlong_mock *mock, const char *op);
/* The number after `"name":` in JSON. */
long json_number(const char *json, const char *name);

/* Has the Manager refuse requests without that header. */
void demand(fixture *f, const char *header, const char *value);
/* Waits until the client knows a node that the Manager tells of only now: by a request that it has not refused. */
void manager_is_heard(fixture *f);

inlong_message message(const char *text);

/* The messages of a packed call. */
#define PACK(model, data, data_len, lengths, count, user, flags)                                                                   \
    (&(inlong_packed){sizeof(inlong_packed), model, data, data_len, lengths, count, user, flags, 0})

/* Results as a callback sees them: pass &tally as user. */
typedef struct tally {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    long acked, failed;
    inlong_result last;
} tally;

#define TALLY {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER}

void tally_result(const inlong_result *result, void *user);
/* Waits until `count` results came, of either kind. */
void tally_wait(tally *t, long count);

/* Polls until `count` messages have their result; counts them like a callback does. */
void poll_all(inlong_client *client, tally *t, uint64_t count);

#endif
