/* Log lines: to whom they go, which, and what their callback may do. */
#include "fixture.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/wait.h>

typedef struct seen {
    pthread_mutex_t mutex;
    int lines, worst; /* the smallest level seen */
    char last[1024];
    inlong_client *client;
} seen;

#define SEEN {.mutex = PTHREAD_MUTEX_INITIALIZER, .worst = 99}

static void see(inlong_client *client, int level, const char *text, void *user)
{
    seen *s = user;
    pthread_mutex_lock(&s->mutex);
    s->lines++;
    s->worst = level < s->worst ? level : s->worst;
    snprintf(s->last, sizeof s->last, "%s", text);
    s->client = client;
    pthread_mutex_unlock(&s->mutex);
}

static int lines_of(seen *s)
{
    pthread_mutex_lock(&s->mutex);
    int n = s->lines;
    pthread_mutex_unlock(&s->mutex);
    return n;
}

static inlong_client *client_with(const char *url, inlong_options *o)
{
    char err[512];
    inlong_client *client = NULL;
    CHECK_INT(inlong_options_set(o, "url", url, err, sizeof err), INLONG_OK);
    CHECK_INT(inlong_options_set(o, "group_id", GROUP, err, sizeof err), INLONG_OK);
    CHECK_INT(inlong_client_new(o, &client, err, sizeof err), INLONG_OK);
    inlong_options_free(o);
    return client;
}

/* A node that goes is worth a line of level WARN. */
static void cause_a_line(fixture *f) { control(f->mock, "{\"op\":\"kill\",\"node\":0}"); }

static void wait_for_line(seen *s)
{
    for (int i = 0; i < 2000 && lines_of(s) == 0; i++)
        usleep(5000);
    CHECK(lines_of(s) > 0);
}

static void line_reaches_the_clients_own_callback(void)
{
    static seen own = SEEN, process = SEEN;
    fixture f = open_fixture(NULL);
    CHECK_INT(inlong_log_set(see, &process, INLONG_LOG_DEBUG), INLONG_OK);
    inlong_options *o = inlong_options_new();
    CHECK_INT(inlong_options_set_log(o, see, &own, INLONG_LOG_WARN), INLONG_OK);
    f.client = client_with(f.url, o);
    cause_a_line(&f);
    wait_for_line(&own);
    CHECK_INT(own.worst, INLONG_LOG_WARN);
    CHECK_TEXT(own.last, "127.0.0.1:");
    CHECK(own.client == f.client);
    CHECK_INT(lines_of(&process), 0);
    close_fixture(&f);
}

/* Also of a client that cannot be made; one made before, or with a level that is too high, stays silent. */
static void process_callback_hears_those_without_their_own(void)
{
    static seen process = SEEN, none = SEEN;
    fixture f = open_fixture(NULL);
    inlong_client *before = open_client(f.url, (const char *const[]){NULL});
    CHECK_INT(inlong_log_set(see, &process, INLONG_LOG_WARN), INLONG_OK);
    inlong_options *o = inlong_options_new();
    CHECK_INT(inlong_options_set_log(o, see, &none, INLONG_LOG_ERROR), INLONG_OK);
    inlong_client *quiet = client_with(f.url, o);
    f.client = open_client(f.url, (const char *const[]){NULL});
    cause_a_line(&f);
    wait_for_line(&process);
    CHECK(process.client == f.client);
    CHECK_INT(lines_of(&none), 0);
    inlong_client_close(before, 1000, NULL);
    inlong_client_close(quiet, 1000, NULL);
    close_fixture(&f);
    CHECK_INT(inlong_log_set(NULL, NULL, INLONG_LOG_DEBUG), INLONG_OK); /* no callback: none, and none in the queue */
    int heard = lines_of(&process);
    f = open_fixture((const char *const[]){NULL});
    cause_a_line(&f);
    close_fixture(&f);
    CHECK_INT(lines_of(&process), heard);
    inlong_log_line line = {.struct_size = sizeof line};
    CHECK_INT(inlong_log_poll(&line, 1, 0), 0);
}

static void line_without_a_callback_waits(void)
{
    inlong_log_line lines[4] = {{.struct_size = sizeof *lines}};
    CHECK_INT(inlong_log_poll(lines, 4, 0), 0);
    CHECK_INT(inlong_log_poll(lines, 4, 20), 0);
    CHECK_INT(inlong_log_set(INLONG_LOG_QUEUE, NULL, INLONG_LOG_WARN), INLONG_OK);
    fixture f = open_fixture((const char *const[]){NULL});
    cause_a_line(&f);
    CHECK(inlong_log_poll(lines, 4, 10000) >= 1);
    CHECK_INT(lines[0].struct_size, sizeof lines[0]);
    CHECK_INT(lines[0].level, INLONG_LOG_WARN);
    CHECK_INT(lines[0].lost, 0);
    CHECK(lines[0].client == f.client);
    CHECK(lines[0].time_ms > 1600000000000);
    CHECK_TEXT(lines[0].text, "node 127.0.0.1:");
    close_fixture(&f);
}

static void *poll_log(void *line) { return (void *)(intptr_t)inlong_log_poll(line, 1, INLONG_NO_TIMEOUT); }

/* A child that waited for the parent's lock, or took its lines, would hang or log them twice. */
static void forked_child_has_a_queue_of_its_own(void)
{
    static inlong_log_line line = {.struct_size = sizeof line};
    CHECK_INT(inlong_log_set(INLONG_LOG_QUEUE, NULL, INLONG_LOG_WARN), INLONG_OK);
    fixture f = open_fixture((const char *const[]){NULL});
    pthread_t waiting;
    CHECK_INT(pthread_create(&waiting, NULL, poll_log, &line), 0);
    pid_t child = fork();
    if (child == 0) {
        alarm(10);
        _exit(inlong_log_poll(&line, 1, 50) == 0 ? 0 : 1);
    }
    int status;
    CHECK_INT(waitpid(child, &status, 0), child);
    CHECK_INT(status, 0);
    cause_a_line(&f);
    void *got;
    CHECK_INT(pthread_join(waiting, &got), 0);
    CHECK_INT((intptr_t)got, 1);
    close_fixture(&f);
}

typedef struct trial {
    fixture *f;
    atomic_int flush, send, close, async, done;
} trial;

static void try_calls(inlong_client *client, int level, const char *text, void *user)
{
    trial *t = user;
    inlong_message m = message("from a log callback");
    (void)level;
    (void)text;
    if (atomic_exchange(&t->done, 1))
        return;
    t->flush = inlong_client_flush(client, INLONG_NO_TIMEOUT);
    t->send = inlong_client_send(client, &m, INLONG_NO_TIMEOUT, NULL);
    t->close = inlong_client_close(client, INLONG_NO_TIMEOUT, NULL);
    t->async = inlong_client_send_async(client, &m, NULL, NULL);
    atomic_store(&t->done, 2);
}

/* It runs on a lane's thread: what waits for the lane there would wait for itself. */
static void calls_that_would_wait_are_refused_in_a_callback(void)
{
    static trial t;
    fixture f = open_fixture(NULL);
    inlong_options *o = inlong_options_new();
    CHECK_INT(inlong_options_set_log(o, try_calls, &t, INLONG_LOG_WARN), INLONG_OK);
    f.client = client_with(f.url, o);
    cause_a_line(&f);
    for (int i = 0; i < 2000 && atomic_load(&t.done) != 2; i++)
        usleep(5000);
    CHECK_INT(t.flush, INLONG_ERR_WORKER_BUSY);
    CHECK_INT(t.send, INLONG_ERR_WORKER_BUSY);
    CHECK_INT(t.close, INLONG_ERR_WORKER_BUSY);
    CHECK_INT(t.async, INLONG_OK);
    inlong_result r = {.struct_size = sizeof r};
    CHECK_INT(inlong_client_poll(f.client, &r, 1, 10000), 1);
    CHECK_INT(r.code, INLONG_OK);
    close_fixture(&f);
}

static atomic_int inside, released;

static void stay(inlong_client *client, int level, const char *text, void *user)
{
    (void)client, (void)level, (void)text, (void)user;
    atomic_store(&inside, 1);
    while (!atomic_load(&released))
        usleep(1000);
    atomic_store(&inside, 2);
}

static void *release_soon(void *unused)
{
    usleep(100000);
    atomic_store(&released, 1);
    return unused;
}

/* `user` is freed after a close that says that no callback runs. */
static void close_waits_for_a_log_callback(void)
{
    fixture f = open_fixture(NULL);
    for (int waits = 0; waits < 2; waits++) {
        atomic_store(&inside, 0);
        atomic_store(&released, 0);
        inlong_options *o = inlong_options_new();
        CHECK_INT(inlong_options_set_log(o, stay, NULL, INLONG_LOG_WARN), INLONG_OK);
        f.client = client_with(f.url, o);
        control(f.mock, waits ? "{\"op\":\"kill\",\"node\":1}" : "{\"op\":\"kill\",\"node\":0}");
        for (int i = 0; i < 2000 && !atomic_load(&inside); i++)
            usleep(5000);
        CHECK_INT(inside, 1);
        pthread_t thread;
        if (waits)
            CHECK_INT(pthread_create(&thread, NULL, release_soon, NULL), 0);
        int code = inlong_client_close(f.client, waits ? 10000 : 50, NULL);
        CHECK_INT(code, waits ? INLONG_OK : INLONG_ERR_CONTEXT_EXPIRED);
        CHECK_INT(inside, waits ? 2 : 1);
        if (waits)
            CHECK_INT(pthread_join(thread, NULL), 0);
        atomic_store(&released, 1);
        while (atomic_load(&inside) != 2) /* or it ends in the next round */
            usleep(1000);
    }
    f.client = NULL;
    close_fixture(&f);
}

static void *poll_lines_for_ever(void *unused)
{
    static inlong_log_line line = {.struct_size = sizeof line};
    inlong_log_poll(&line, 1, INLONG_NO_TIMEOUT);
    return unused;
}

/* It kept the lock of the lines: no client could be made any more, and no fork returned. */
static void cancelled_poll_leaves_the_lines_to_others(void)
{
    pthread_t thread;
    void *end;
    CHECK_INT(pthread_create(&thread, NULL, poll_lines_for_ever, NULL), 0);
    usleep(20000);
    CHECK_INT(pthread_cancel(thread), 0);
    CHECK_INT(pthread_join(thread, &end), 0);
    CHECK(end == PTHREAD_CANCELED);
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    CHECK_INT(check_status(child), 0);
    fixture f = open_fixture((const char *const[]){NULL});
    close_fixture(&f);
}

static _Atomic(inlong_client *) told;
static atomic_int early_close;
static inlong_mock *_Atomic held; /* its nodes prove themselves to nobody, until the client was told of */

static void hold_nodes(inlong_mock *mock, bool hold)
{
    for (int i = 0; i < 3; i++) {
        char request[128];
        snprintf(request, sizeof request,
                 hold ? "{\"op\":\"fault\",\"node\":%d,\"standing\":true,\"fault\":{\"kind\":\"drop_heartbeat\"}}"
                      : "{\"op\":\"clear_faults\",\"node\":%d}",
                 i);
        control(mock, request);
    }
}

static void *close_what_is_told(void *unused)
{
    inlong_client *client;
    while (!(client = atomic_load(&told)))
        usleep(100);
    atomic_store(&early_close, inlong_client_close(client, 100, NULL));
    if (atomic_load(&held))
        hold_nodes(atomic_load(&held), false);
    atomic_store(&told, NULL);
    return unused;
}

static void tell(inlong_client *client, int level, const char *text, void *user)
{
    (void)level, (void)text, (void)user;
    if (atomic_load(&early_close) != INLONG_OK)
        return;
    atomic_store(&told, client);
    while (atomic_load(&told))
        usleep(100);
}

/* Makes a client that has a line to log before it stands, and one thread that closes it then. */
static int new_and_close_early(const char *key, const char *value, const char *url, inlong_client **client)
{
    pthread_t closer;
    inlong_options *o = inlong_options_new();
    atomic_store(&early_close, INLONG_OK);
    CHECK_INT(inlong_options_set(o, "url", url, NULL, 0), INLONG_OK);
    CHECK_INT(inlong_options_set(o, "group_id", GROUP, NULL, 0), INLONG_OK);
    CHECK_INT(inlong_options_set(o, "conn_timeout", atomic_load(&held) ? "10s" : "2s", NULL, 0), INLONG_OK);
    CHECK_INT(inlong_options_set(o, key, value, NULL, 0), INLONG_OK);
    CHECK_INT(inlong_options_set_log(o, tell, NULL, INLONG_LOG_WARN), INLONG_OK);
    CHECK_INT(pthread_create(&closer, NULL, close_what_is_told, NULL), 0);
    int code = inlong_client_new(o, client, NULL, 0);
    CHECK_INT(pthread_join(closer, NULL), 0);
    CHECK_INT(early_close, INLONG_ERR_HANDLE);
    inlong_options_free(o);
    return code;
}

/* Such a close freed the slot under the hands of inlong_client_new: that gave out a client that was closed, or freed the slot
 * once more, and then two clients had the same. */
static void client_that_is_still_being_made_cannot_be_closed(void)
{
    inlong_message m = message("x");
    fixture f = open_fixture(NULL);
    atomic_store(&held, f.mock);
    hold_nodes(f.mock, true);
    CHECK_INT(new_and_close_early("node_cache", "/no/such/folder/nodes", f.url, &f.client), INLONG_OK);
    CHECK_INT(inlong_client_send(f.client, &m, 5000, NULL), INLONG_OK);
    atomic_store(&held, NULL);
    inlong_client *others[2];
    CHECK_INT(new_and_close_early("static_nodes", "127.0.0.1:1", f.url, &others[0]), INLONG_ERR_NEW_CONN_FAILED);
    for (int i = 0; i < 2; i++)
        others[i] = open_client(f.url, (const char *const[]){NULL});
    for (int i = 0; i < 2; i++)
        CHECK_INT(inlong_client_send(others[i], &m, 5000, NULL), INLONG_OK);
    for (int i = 0; i < 2; i++)
        CHECK_INT(inlong_client_close(others[i], 5000, NULL), INLONG_OK);
    close_fixture(&f);
}

static void bad_arguments(void)
{
    inlong_options *o = inlong_options_new();
    inlong_log_line line = {.struct_size = 8};
    CHECK_INT(inlong_log_set(see, NULL, -1), INLONG_ERR_ARG);
    CHECK_INT(inlong_log_set(see, NULL, 5), INLONG_ERR_ARG);
    CHECK_TEXT(inlong_last_error(), "level is 5");
    CHECK_INT(inlong_options_set_log(NULL, see, NULL, 1), INLONG_ERR_ARG);
    CHECK_INT(inlong_options_set_log(o, see, NULL, 9), INLONG_ERR_ARG);
    CHECK_INT(inlong_log_poll(NULL, 1, 0), INLONG_ERR_ARG);
    CHECK_INT(inlong_log_poll(&line, 1, 0), INLONG_ERR_ABI);
    line.struct_size = sizeof line;
    CHECK_INT(inlong_log_poll(&line, 0, 0), INLONG_ERR_ARG);
    CHECK_INT(inlong_log_poll(&line, -1, 0), INLONG_ERR_ARG);
    CHECK_INT(inlong_log_poll(&line, 1, -2), INLONG_ERR_ARG);
    inlong_options_free(o);
}

static const check_test tests[] = {
    {"line_reaches_the_clients_own_callback", line_reaches_the_clients_own_callback},
    {"process_callback_hears_those_without_their_own", process_callback_hears_those_without_their_own},
    {"line_without_a_callback_waits", line_without_a_callback_waits},
    {"forked_child_has_a_queue_of_its_own", forked_child_has_a_queue_of_its_own},
    {"calls_that_would_wait_are_refused_in_a_callback", calls_that_would_wait_are_refused_in_a_callback},
    {"close_waits_for_a_log_callback", close_waits_for_a_log_callback},
    {"cancelled_poll_leaves_the_lines_to_others", cancelled_poll_leaves_the_lines_to_others},
    {"client_that_is_still_being_made_cannot_be_closed", client_that_is_still_being_made_cannot_be_closed},
    {"bad_arguments", bad_arguments},
};

CHECK_MAIN("log", tests)
