/* Credentials: those that a callback gives, and questions that wait for a poll. */
#include "fixture.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <sys/wait.h>

static inlong_options *options_for(const char *url, const char *key, const char *value)
{
    inlong_options *o = inlong_options_new();
    CHECK_INT(inlong_options_set(o, "url", url, NULL, 0), INLONG_OK);
    CHECK_INT(inlong_options_set(o, "group_id", GROUP, NULL, 0), INLONG_OK);
    CHECK_INT(inlong_options_set(o, "update_interval", "10ms", NULL, 0), INLONG_OK); /* so often the Manager is asked */
    if (key)
        CHECK_INT(inlong_options_set(o, key, value, NULL, 0), INLONG_OK);
    return o;
}

typedef struct signer {
    pthread_mutex_t mutex;
    char name[64], value[64], text[64];
    int code;
    atomic_int calls, inside, hangs;
} signer;

#define SIGNER {.mutex = PTHREAD_MUTEX_INITIALIZER}

static void give(signer *s, const char *name, const char *value)
{
    pthread_mutex_lock(&s->mutex);
    snprintf(s->name, sizeof s->name, "%s", name);
    snprintf(s->value, sizeof s->value, "%s", value);
    pthread_mutex_unlock(&s->mutex);
}

static int sign(inlong_auth *auth, void *user)
{
    signer *s = user;
    atomic_fetch_add(&s->calls, 1);
    CHECK(auth->user == user && strcmp(auth->group_id, GROUP) == 0 && strcmp(auth->name, "Authorization") == 0);
    atomic_fetch_add(&s->inside, 1);
    while (atomic_load(&s->hangs))
        usleep(1000);
    atomic_fetch_sub(&s->inside, 1);
    pthread_mutex_lock(&s->mutex);
    if (s->name[0])
        memcpy(auth->name, s->name, sizeof s->name);
    memcpy(auth->value, s->value, sizeof s->value);
    memcpy(auth->text, s->text, sizeof s->text);
    int code = s->code;
    pthread_mutex_unlock(&s->mutex);
    return code;
}

static int new_with(inlong_options *o, inlong_auth_callback callback, void *user, inlong_client **client, char *err, size_t errlen)
{
    CHECK_INT(inlong_options_set_auth(o, callback, user), INLONG_OK);
    int code = inlong_client_new(o, client, err, errlen);
    inlong_options_free(o);
    return code;
}

/* A token is good for an hour: the next question to the Manager must bring the next one, also in another header. */
static void each_request_is_signed_by_what_the_callback_gives(void)
{
    static signer s = SIGNER;
    char err[512] = "";
    fixture f = open_fixture(NULL);
    demand(&f, "Authorization", "Bearer first");
    give(&s, "", "Bearer first");
    CHECK_INT(new_with(options_for(f.url, NULL, NULL), sign, &s, &f.client, err, sizeof err), INLONG_OK);
    demand(&f, "X-Token", "second");
    give(&s, "X-Token", "second");
    manager_is_heard(&f);
    CHECK(s.calls >= 2);
    close_fixture(&f);
}

/* Who has no credentials must read why, and never the credentials. */
static void failure_of_the_callback_is_the_requests(void)
{
    static signer s = SIGNER;
    static const struct {
        int code;
        const char *name, *value, *text, *want;
    } cases[] = {
        {1, "", "s3cret", "the token server is down", "the token server is down"},
        {-5, "", "", "", "auth: there are no credentials"},
        {INLONG_OK, "Bad Name", "s3cret", "", "auth: the header name is \"Bad Name\": it must be"},
        {INLONG_OK, "", "s3cret\r\n", "", "auth: the header value has a control character"},
    };
    char err[512];
    fixture f = open_fixture(NULL);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        give(&s, cases[i].name, cases[i].value);
        s.code = cases[i].code;
        snprintf(s.text, sizeof s.text, "%s", cases[i].text);
        CHECK_INT(new_with(options_for(f.url, NULL, NULL), sign, &s, &f.client, err, sizeof err), INLONG_ERR_NEW_CONN_FAILED);
        CHECK_TEXT(err, cases[i].want);
        CHECK(!strstr(err, "s3cret"));
    }
    inlong_options *o = options_for(f.url, "basic_auth", "id:key");
    CHECK_INT(new_with(o, sign, &s, &f.client, err, sizeof err), INLONG_ERR_OPTION);
    CHECK_TEXT(err, "basic_auth: cannot be given together with auth");
    CHECK_INT(inlong_options_set_auth(NULL, sign, NULL), INLONG_ERR_ARG);
    close_fixture(&f);
}

static int fill_value(inlong_auth *auth, void *user)
{
    (void)user;
    memset(auth->value, 'x', sizeof auth->value - 1);
    return INLONG_OK;
}

static int fill_name(inlong_auth *auth, void *user)
{
    (void)user;
    memset(auth->name, 'x', sizeof auth->name);
    return INLONG_OK;
}

/* snprintf cuts a token that is too long, and the Manager refused what nobody had given. */
static void header_that_may_be_cut_is_refused(void)
{
    char err[512];
    fixture f = open_fixture(NULL);
    CHECK_INT(new_with(options_for(f.url, NULL, NULL), fill_value, NULL, &f.client, err, sizeof err), INLONG_ERR_NEW_CONN_FAILED);
    CHECK_TEXT(err, "auth: the header value fills its field");
    CHECK_INT(new_with(options_for(f.url, NULL, NULL), fill_name, NULL, &f.client, err, sizeof err), INLONG_ERR_NEW_CONN_FAILED);
    CHECK_TEXT(err, "auth: the header name fills its field");
    close_fixture(&f);
}

/* A token server that does not answer held up nothing but the request: neither the messages, nor the close, nor a start. */
static void callback_that_hangs_costs_only_its_request(void)
{
    static signer s = SIGNER;
    char err[512] = "";
    fixture f = open_fixture(NULL);
    CHECK_INT(new_with(options_for(f.url, "manager_timeout", "5s"), sign, &s, &f.client, err, sizeof err), INLONG_OK);
    atomic_store(&s.hangs, 1);
    while (!atomic_load(&s.inside))
        usleep(1000);
    inlong_message m = message("x");
    for (int i = 0; i < 20; i++)
        CHECK_INT(inlong_client_send(f.client, &m, 10000, NULL), INLONG_OK);
    CHECK_INT(inlong_client_close(f.client, 100, NULL), INLONG_ERR_CONTEXT_EXPIRED);
    CHECK_TEXT(inlong_last_error(), "has not returned");
    CHECK_INT(s.inside, 1);
    f.client = NULL;

    CHECK_INT(new_with(options_for(f.url, "manager_timeout", "2s"), sign, &s, &f.client, err, sizeof err),
              INLONG_ERR_NEW_CONN_FAILED);
    CHECK_TEXT(err, "did not return in time");
    CHECK_INT(s.inside, 2);
    int calls = s.calls;
    atomic_store(&s.hangs, 0);
    while (atomic_load(&s.inside))
        usleep(1000);
    usleep(50000);
    CHECK_INT(s.calls, calls);
    close_fixture(&f);
}

static int called_while_open(inlong_auth *auth, void *user)
{
    CHECK(!atomic_load((atomic_int *)user));
    strcpy(auth->value, "x");
    CHECK(!atomic_load((atomic_int *)user));
    return INLONG_OK;
}

/* What the callback uses is freed after a close that says that no callback runs. */
static void no_question_comes_behind_the_close(void)
{
    fixture f = open_fixture(NULL);
    static atomic_int closed[40];
    for (size_t i = 0; i < sizeof closed / sizeof *closed; i++) {
        inlong_client *client;
        CHECK_INT(
            new_with(options_for(f.url, "lazy_start", i % 2 ? "true" : "false"), called_while_open, &closed[i], &client, NULL, 0),
            INLONG_OK);
        usleep((useconds_t)(i * 500));
        CHECK_INT(inlong_client_close(client, 5000, NULL), INLONG_OK);
        atomic_store(&closed[i], 1);
    }
    close_fixture(&f);
}

static _Atomic(inlong_client *) opened;
static atomic_int tried;

static int try_calls(inlong_auth *auth, void *user)
{
    int *codes = user;
    inlong_client *client = atomic_load(&opened);
    strcpy(auth->value, "x");
    if (!client || atomic_load(&tried))
        return INLONG_OK;
    inlong_message m = message("from a callback for credentials");
    codes[0] = inlong_client_flush(client, INLONG_NO_TIMEOUT);
    codes[1] = inlong_client_send(client, &m, INLONG_NO_TIMEOUT, NULL);
    codes[2] = inlong_client_close(client, INLONG_NO_TIMEOUT, NULL);
    codes[3] = inlong_client_ready(client, INLONG_NO_TIMEOUT);
    codes[4] = inlong_client_send_async(client, &m, NULL, NULL);
    atomic_store(&tried, 1);
    return INLONG_OK;
}

/* A close there waited for the very callback. */
static void calls_that_would_wait_are_refused_in_the_callback(void)
{
    static int codes[5];
    fixture f = open_fixture(NULL);
    CHECK_INT(new_with(options_for(f.url, NULL, NULL), try_calls, codes, &f.client, NULL, 0), INLONG_OK);
    atomic_store(&opened, f.client);
    while (!atomic_load(&tried))
        usleep(1000);
    for (int i = 0; i < 4; i++)
        CHECK_INT(codes[i], INLONG_ERR_WORKER_BUSY);
    CHECK_INT(codes[4], INLONG_OK);
    wait_received(f.mock, 1);
    close_fixture(&f);
}

/* ---- Polled ---- */

static atomic_int stop;

static void *answer_all(void *value)
{
    static _Thread_local inlong_auth auth;
    auth.struct_size = sizeof auth;
    while (!atomic_load(&stop))
        if (inlong_auth_poll(&auth, 20) == 1) {
            CHECK(strcmp(auth.group_id, GROUP) == 0 && (intptr_t)auth.user == 7);
            snprintf(auth.value, sizeof auth.value, "%s", (const char *)value);
            int code = inlong_auth_answer(&auth, INLONG_OK);
            CHECK(code == INLONG_OK || code == INLONG_ERR_CONTEXT_EXPIRED); /* the client may have been closed meanwhile */
        }
    return NULL;
}

static void question_without_a_callback_is_polled(void)
{
    pthread_t thread;
    fixture f = open_fixture(NULL);
    demand(&f, "Authorization", "Bearer polled");
    CHECK_INT(pthread_create(&thread, NULL, answer_all, "Bearer polled"), 0);
    CHECK_INT(new_with(options_for(f.url, NULL, NULL), INLONG_AUTH_QUEUE, (void *)7, &f.client, NULL, 0), INLONG_OK);
    manager_is_heard(&f);
    close_fixture(&f);
    atomic_store(&stop, 1);
    CHECK_INT(pthread_join(thread, NULL), 0);
}

static inlong_auth polled = {.struct_size = sizeof polled};

/* An answer that nobody waits for must not be taken for one of the next question; nor may a close wait for one. */
static void late_answer_and_the_end_of_a_client_are_told(void)
{
    char err[512] = "";
    fixture f = open_fixture(NULL);
    CHECK_INT(inlong_auth_poll(&polled, 0), 0);
    CHECK_INT(new_with(options_for(f.url, "manager_timeout", "100ms"), INLONG_AUTH_QUEUE, NULL, &f.client, err, sizeof err),
              INLONG_ERR_NEW_CONN_FAILED);
    CHECK_INT(inlong_auth_poll(&polled, 20), 0); /* its question went with it */

    inlong_options *o = options_for(f.url, "manager_timeout", "60s");
    CHECK_INT(inlong_options_set(o, "lazy_start", "true", NULL, 0), INLONG_OK);
    CHECK_INT(new_with(o, INLONG_AUTH_QUEUE, NULL, &f.client, err, sizeof err), INLONG_OK);
    CHECK_INT(inlong_auth_poll(&polled, 10000), 1);
    uint64_t before = polled.question;
    snprintf(polled.text, sizeof polled.text, "none today");
    CHECK_INT(inlong_auth_answer(&polled, INLONG_ERR_UNKNOWN), INLONG_OK);
    CHECK_INT(inlong_auth_answer(&polled, INLONG_OK), INLONG_ERR_CONTEXT_EXPIRED);
    CHECK_INT(inlong_auth_poll(&polled, 20000), 1);
    CHECK(polled.question > before);
    CHECK_INT(inlong_client_close(f.client, 5000, NULL), INLONG_OK);
    CHECK_INT(inlong_auth_answer(&polled, INLONG_OK), INLONG_ERR_CONTEXT_EXPIRED);
    CHECK_INT(inlong_auth_poll(&polled, 0), 0);
    f.client = NULL;
    close_fixture(&f);
}

static void wrong_arguments_are_named(void)
{
    inlong_auth auth = {.struct_size = 8};
    CHECK_INT(inlong_auth_poll(NULL, 0), INLONG_ERR_ARG);
    CHECK_INT(inlong_auth_poll(&auth, 0), INLONG_ERR_ABI);
    CHECK_INT(inlong_auth_answer(NULL, 0), INLONG_ERR_ARG);
    CHECK_INT(inlong_auth_answer(&auth, 0), INLONG_ERR_ABI);
    auth.struct_size = sizeof auth;
    CHECK_INT(inlong_auth_poll(&auth, -2), INLONG_ERR_ARG);
    CHECK_INT(inlong_auth_answer(&auth, 0), INLONG_ERR_ARG);
    CHECK_TEXT(inlong_last_error(), "question is 0");
}

#ifndef CHECK_TSAN /* it does not continue in a child of several threads */
static void *poll_one(void *unused)
{
    (void)unused;
    return (void *)(intptr_t)inlong_auth_poll(&polled, INLONG_NO_TIMEOUT);
}

/* A thread of the parent waited under the lock of the line: the child hung, or had the parent's questions. */
static void forked_child_has_its_own_questions(void)
{
    static signer s = SIGNER;
    fixture f = open_fixture((const char *const[]){NULL});
    pthread_t thread;
    CHECK_INT(pthread_create(&thread, NULL, poll_one, NULL), 0);
    usleep(20000);
    pid_t child = fork();
    if (child == 0) {
        alarm(30);
        inlong_client *client;
        inlong_auth auth = {.struct_size = sizeof auth};
        if (inlong_auth_poll(&auth, 20) != 0)
            _exit(1);
        if (new_with(options_for(f.url, NULL, NULL), sign, &s, &client, NULL, 0) != INLONG_OK || s.calls == 0)
            _exit(2);
        _exit(inlong_client_close(client, 5000, NULL) == INLONG_OK ? 0 : 3);
    }
    CHECK_INT(check_status(child), 0);
    CHECK_INT(pthread_cancel(thread), 0);
    CHECK_INT(pthread_join(thread, NULL), 0);
    CHECK_INT(inlong_auth_poll(&polled, 0), 0); /* it left the lock to others */
    close_fixture(&f);
}
#endif

/* It asks the Manager too, and was refused. */
static void settings_of_rows_are_asked_for_with_credentials(void)
{
    static signer s = SIGNER;
    char err[512] = "";
    inlong_row_format *format = NULL;
    fixture f = open_fixture(NULL);
    control(f.mock, "{\"op\":\"set_stream\",\"group\":\"" GROUP "\",\"stream\":\"" STREAM "\",\"data\":{\"dataType\":\"CSV\"}}");
    demand(&f, "Authorization", "Bearer row");
    give(&s, "", "Bearer row");
    inlong_options *o = options_for(f.url, NULL, NULL);
    CHECK_INT(inlong_options_set_auth(o, sign, &s), INLONG_OK);
    int code = inlong_row_format_ask(o, STREAM, &format, err, sizeof err);
    if (code != INLONG_OK)
        fprintf(stderr, "    %s\n", err);
    CHECK_INT(code, INLONG_OK);
    CHECK_INT(s.calls, 1);
    inlong_row_format_free(format);
    inlong_options_free(o);
    close_fixture(&f);
}

static const check_test tests[] = {
    {"each_request_is_signed_by_what_the_callback_gives", each_request_is_signed_by_what_the_callback_gives},
    {"failure_of_the_callback_is_the_requests", failure_of_the_callback_is_the_requests},
    {"header_that_may_be_cut_is_refused", header_that_may_be_cut_is_refused},
    {"callback_that_hangs_costs_only_its_request", callback_that_hangs_costs_only_its_request},
    {"no_question_comes_behind_the_close", no_question_comes_behind_the_close},
    {"calls_that_would_wait_are_refused_in_the_callback", calls_that_would_wait_are_refused_in_the_callback},
    {"question_without_a_callback_is_polled", question_without_a_callback_is_polled},
    {"late_answer_and_the_end_of_a_client_are_told", late_answer_and_the_end_of_a_client_are_told},
    {"wrong_arguments_are_named", wrong_arguments_are_named},
#ifndef CHECK_TSAN
    {"forked_child_has_its_own_questions", forked_child_has_its_own_questions},
#endif
    {"settings_of_rows_are_asked_for_with_credentials", settings_of_rows_are_asked_for_with_credentials},
};

CHECK_MAIN("auth", tests)
