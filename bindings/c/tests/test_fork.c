/* fork: Go's runtime does not survive it, so every call in the child must be stopped before it gets there. */
#include "fixture.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#ifdef __SANITIZE_ADDRESS__
/* The leak check looks for the parent's threads in the child. */
const char *__asan_default_options(void);
const char *__asan_default_options(void) { return "detect_leaks=0"; }
#endif

static const char *const no_options[] = {NULL};

/* The exit status of a child; a hang is ended by its alarm and is a failure. */
static int status_of(pid_t child)
{
    int status;
    CHECK(child > 0);
    CHECK_INT(waitpid(child, &status, 0), child);
    if (WIFSIGNALED(status))
        fprintf(stderr, "    the child ended by signal %d\n", WTERMSIG(status));
    return status;
}

static void use_old_handles(const fixture *f)
{
    char buf[64];
    inlong_message m = message("x");
    inlong_result r = {.struct_size = sizeof r};
    inlong_close_report report = {.struct_size = sizeof report};
    inlong_client *c = f->client;
    alarm(10);
    CHECK_INT(inlong_client_send(c, &m, 100, NULL), INLONG_ERR_FORKED);
    CHECK_INT(inlong_client_send_async(c, &m, NULL, NULL), INLONG_ERR_FORKED);
    CHECK_INT(inlong_client_send_many(c, &m, 1, NULL, NULL, NULL), INLONG_ERR_FORKED);
    CHECK_INT(inlong_client_send_packed(c, &m, NULL, 0, NULL, 0, NULL, 0, 0, NULL), INLONG_ERR_FORKED);
    CHECK_INT(inlong_client_poll(c, &r, 1, INLONG_NO_TIMEOUT), INLONG_ERR_FORKED);
    CHECK_INT(inlong_client_event_fd(c), INLONG_ERR_FORKED);
    CHECK_INT(inlong_client_flush(c, INLONG_NO_TIMEOUT), INLONG_ERR_FORKED);
    CHECK_INT(inlong_client_stats(c, buf, sizeof buf), INLONG_ERR_FORKED);
    CHECK_INT(inlong_client_close(c, INLONG_NO_TIMEOUT, &report), INLONG_ERR_FORKED);
    CHECK_TEXT(inlong_last_error(), "parent process");
    CHECK_INT(inlong_mock_url(f->mock, buf, sizeof buf), INLONG_ERR_FORKED);
    CHECK_INT(inlong_mock_control(f->mock, "{}", buf, sizeof buf), INLONG_ERR_FORKED);
    CHECK_INT(inlong_mock_stats(f->mock, buf, sizeof buf), INLONG_ERR_FORKED);
    inlong_mock_free(f->mock);

    inlong_options *o = inlong_options_new(); /* pure C works everywhere */
    char err[256];
    CHECK_INT(inlong_options_set(o, "url", f->url, err, sizeof err), INLONG_OK);
    CHECK_INT(inlong_options_set(o, "group_id", GROUP, err, sizeof err), INLONG_OK);
    CHECK(*inlong_error_text(INLONG_ERR_FORKED) && *inlong_version());
    inlong_client *fresh;
    inlong_mock *mock;
    CHECK_INT(inlong_client_new(o, &fresh, err, sizeof err), INLONG_ERR_FORKED);
    CHECK_TEXT(err, "forked after");
    CHECK_INT(inlong_mock_new(0, &mock, err, sizeof err), INLONG_ERR_FORKED);
    inlong_options_free(o);
}

static void child_is_told_and_parent_goes_on(void)
{
    fixture f = open_fixture(no_options);
    for (int round = 0; round < 20; round++) {
        pid_t child = fork();
        if (child == 0) {
            use_old_handles(&f);
            exit(0); /* exit handlers too must leave the runtime alone */
        }
        inlong_message m = message("x");
        CHECK_INT(inlong_client_send(f.client, &m, 5000, NULL), INLONG_OK);
        CHECK_INT(status_of(child), 0);
    }
    close_fixture(&f);
}

/* A clone past libc runs no fork handlers: the wiped page must tell. */
static void raw_clone_is_told(void)
{
    fixture f = open_fixture(no_options);
    pid_t child = (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
    if (child == 0) {
        inlong_message m = message("x");
        int code = inlong_client_send_async(f.client, &m, NULL, NULL);
        int code2 = inlong_client_close(f.client, 0, NULL);
        _exit(code == INLONG_ERR_FORKED && code2 == INLONG_ERR_FORKED ? 0 : 1);
    }
    CHECK_INT(status_of(child), 0);
    close_fixture(&f);
}

static void *keep_sending(void *client)
{
    inlong_message m = message("busy");
    int code;
    do
        code = inlong_client_send_async(client, &m, NULL, NULL);
    while (code == INLONG_OK || code == INLONG_ERR_QUEUE_FULL);
    return NULL;
}

static void *keep_polling(void *client)
{
    static inlong_result results[64];
    results[0].struct_size = sizeof *results;
    while (inlong_client_poll(client, results, 64, INLONG_NO_TIMEOUT) > 0)
        ;
    return NULL;
}

/* Forked while other threads are inside the library, so that every lock may be held for ever in the child. */
static void child_of_a_busy_parent_is_told(void)
{
    fixture f = open_fixture(no_options);
    pthread_t sender, poller;
    CHECK_INT(pthread_create(&sender, NULL, keep_sending, f.client), 0);
    CHECK_INT(pthread_create(&poller, NULL, keep_polling, f.client), 0);
    while (received(f.mock) < 1000)
        sched_yield();
    for (int round = 0; round < 100; round++) {
        pid_t child = fork();
        if (child == 0) {
            use_old_handles(&f);
            _exit(0);
        }
        CHECK_INT(status_of(child), 0);
    }
    close_fixture(&f);
    CHECK_INT(pthread_join(sender, NULL), 0);
    CHECK_INT(pthread_join(poller, NULL), 0);
}

/* What a pre-fork server does: options in the parent, clients in the children. */
static void children_forked_before_the_first_client_work(void)
{
    char err[256];
    inlong_options *o = inlong_options_new();
    CHECK_INT(inlong_options_set(o, "group_id", GROUP, err, sizeof err), INLONG_OK);
    for (int round = 0; round < 5; round++) {
        pid_t child = fork();
        if (child == 0) {
            alarm(20);
            fixture f = open_fixture(NULL);
            inlong_client *client = NULL;
            inlong_message m = message("from a child");
            CHECK_INT(inlong_options_set(o, "url", f.url, err, sizeof err), INLONG_OK);
            CHECK_INT(inlong_client_new(o, &client, err, sizeof err), INLONG_OK);
            CHECK_INT(inlong_client_send(client, &m, 5000, NULL), INLONG_OK);
            CHECK_INT(inlong_client_close(client, 5000, NULL), INLONG_OK);
            CHECK_INT(received(f.mock), 1);
            close_fixture(&f);
            exit(0);
        }
        CHECK_INT(status_of(child), 0);
    }
    inlong_options_free(o);
}

static const check_test tests[] = {
    {"child_is_told_and_parent_goes_on", child_is_told_and_parent_goes_on},
    {"raw_clone_is_told", raw_clone_is_told},
    {"child_of_a_busy_parent_is_told", child_of_a_busy_parent_is_told},
    {"children_forked_before_the_first_client_work", children_forked_before_the_first_client_work},
};

CHECK_MAIN("fork", tests)
