/* H2: what a forked child finds. Go's runtime does not survive fork, so that every call on what the parent opened must be
 * stopped before it gets there; a core of its own must work. */
#include "forks.h"

#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static const char *const no_options[] = {NULL};

static void use_old_then_new(void *parents)
{
    const fixture *f = parents;
    check_old_handles(f);
    send_with_a_client_of_its_own(f->url, 100);
    check_old_handles(f); /* and never those of the child's own core */

    fixture own = open_fixture(no_options); /* a mock too */
    CHECK(own.mock != f->mock && own.client != f->client);
    inlong_message m = message("x");
    CHECK_INT(inlong_client_send(own.client, &m, 5000, NULL), INLONG_OK);
    CHECK_INT(received(own.mock), 1);
    check_old_handles(f);
    close_fixture(&own);
}

static void child_makes_a_client_of_its_own(void)
{
    fixture f = open_fixture(no_options);
    inlong_message m = message("x");
    for (int round = 1; round <= 10; round++) {
        CHECK_INT(in_child(use_old_then_new, &f), 0);
        CHECK_INT(inlong_client_send(f.client, &m, 5000, NULL), INLONG_OK);
        CHECK_INT(received(f.mock), round * 201);
    }
    close_fixture(&f);
}

/* What a pre-fork server does: options in the parent, clients in the children. */
static void fork_before_the_first_client(void)
{
    char err[256];
    inlong_options *o = inlong_options_new();
    CHECK_INT(inlong_options_set(o, "group_id", GROUP, err, sizeof err), INLONG_OK);
    for (int round = 0; round < 5; round++) {
        pid_t child = fork();
        if (child == 0) {
            alarm(CHECK_SECONDS / 2);
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
        CHECK_INT(check_status(child), 0);
    }
    inlong_options_free(o);
}

/* A clone past libc runs no fork handlers: the wiped page must tell. The locks of libc may be held in it for ever, so that
 * there must be no attempt at a core of its own either. */
static void raw_clone_is_told(void)
{
    fixture f = open_fixture(no_options);
    pid_t child = (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
    if (child == 0) {
        inlong_message m = message("x");
        inlong_mock *mock;
        int send = inlong_client_send_async(f.client, &m, NULL, NULL);
        int close = inlong_client_close(f.client, 0, NULL);
        int open = inlong_mock_new(0, &mock, NULL, 0);
        inlong_mock_free(f.mock);
        _exit(send == INLONG_ERR_FORKED && close == INLONG_ERR_FORKED && open == INLONG_ERR_FORKED ? 0 : 1);
    }
    CHECK_INT(check_status(child), 0);
    close_fixture(&f);
}

struct chain {
    fixture first;
    int depth;
};

static void go_deeper(void *argument)
{
    struct chain *chain = argument;
    check_old_handles(&chain->first);
    send_with_a_client_of_its_own(chain->first.url, 10);
    fixture own = open_fixture(no_options);
    if (++chain->depth < 5)
        CHECK_INT(in_child(go_deeper, chain), 0);
    inlong_message m = message("x");
    CHECK_INT(inlong_client_send(own.client, &m, 5000, NULL), INLONG_OK); /* the child did not touch this one's core */
    close_fixture(&own);
}

static void five_forks_deep(void)
{
    struct chain chain = {open_fixture(no_options), 0};
    CHECK_INT(in_child(go_deeper, &chain), 0);
    CHECK_INT(received(chain.first.mock), 5 * 20);
    close_fixture(&chain.first);
}

static void want(const char *value, int code, const char *part)
{
    char err[512];
    inlong_mock *mock;
    setenv("INLONG_FORK", value, 1);
    CHECK_INT(inlong_mock_new(0, &mock, err, sizeof err), code);
    CHECK_TEXT(err, part);
}

static void refuse(void *parents)
{
    want("error", INLONG_ERR_FORKED, "forked after its parent had made a client, and INLONG_FORK=error");
    want("never", INLONG_ERR_OPTION, "INLONG_FORK is \"never\": it must be reload or error");
    check_old_handles(parents);
    char err[256] = "";
    inlong_options *o = inlong_options_new(); /* pure C works everywhere */
    inlong_client *client;
    CHECK_INT(inlong_options_set(o, "group_id", GROUP, NULL, 0), INLONG_OK);
    setenv("INLONG_FORK", "error", 1);
    CHECK_INT(inlong_client_new(o, &client, err, sizeof err), INLONG_ERR_FORKED);
    CHECK(client == NULL && *inlong_error_text(INLONG_ERR_FORKED) && *inlong_version());
    inlong_options_free(o);
    unsetenv("INLONG_FORK"); /* and it is looked at each time */
    send_with_a_client_of_its_own(((fixture *)parents)->url, 1);
}

static void INLONG_FORK_error_turns_the_reload_off(void)
{
    fixture f = open_fixture(no_options);
    CHECK_INT(in_child(refuse, &f), 0);
    close_fixture(&f);
}

static void set_reload(int64_t value)
{
    int64_t now = -1;
    CHECK_INT(inlong_runtime_set(INLONG_RUNTIME_FORK_RELOAD, value), INLONG_OK);
    CHECK_INT(inlong_runtime_get(INLONG_RUNTIME_FORK_RELOAD, &now), INLONG_OK);
    CHECK_INT(now, value);
}

static void refuse_by_setting(void *parents)
{
    char err[512];
    inlong_mock *mock;
    CHECK_INT(inlong_mock_new(0, &mock, err, sizeof err), INLONG_ERR_FORKED);
    CHECK_TEXT(err, "and INLONG_RUNTIME_FORK_RELOAD is 0");
    check_old_handles(parents);
    set_reload(1);
    send_with_a_client_of_its_own(((fixture *)parents)->url, 1);
}

static void setting_turns_the_reload_off(void)
{
    fixture f = open_fixture(no_options);
    set_reload(0); /* also after the load: it is for the children */
    CHECK_INT(in_child(refuse_by_setting, &f), 0);
    close_fixture(&f);
}

/* What was set for the process holds in the child: its runtime is told anew, its clients log where the parent's did. */
static atomic_int lines;

static void count_lines(inlong_client *client, int level, const char *text, void *user)
{
    (void)client, (void)level;
    CHECK(user == &lines && *text);
    lines++;
}

static int64_t setting(int which)
{
    int64_t value = 0;
    CHECK_INT(inlong_runtime_get(which, &value), INLONG_OK);
    return value;
}

static int64_t percent = 300;

static void check_settings(void *unused)
{
    (void)unused;
    fixture f = open_fixture(no_options);
    control(f.mock, "{\"op\":\"kill\",\"node\":0}"); /* worth a line */
    while (lines == 0)
        sched_yield();
    close_fixture(&f);
    CHECK_INT(setting(INLONG_RUNTIME_GC_PERCENT), percent); /* the runtime answers */
    CHECK_INT(setting(INLONG_RUNTIME_MEMORY_LIMIT), 100 << 20);
    CHECK_INT(inlong_runtime_set(INLONG_RUNTIME_GC_PERCENT, 100), INLONG_ERR_OPTION);
}

static void change_settings(void *unused)
{
    percent = 250;
    CHECK_INT(inlong_runtime_set(INLONG_RUNTIME_GC_PERCENT, percent), INLONG_OK); /* its runtime is not there yet */
    check_settings(unused);
}

static void settings_of_the_process_hold_in_the_child(void)
{
    CHECK_INT(inlong_log_set(count_lines, &lines, INLONG_LOG_DEBUG), INLONG_OK);
    CHECK_INT(inlong_runtime_set(INLONG_RUNTIME_GC_PERCENT, percent), INLONG_OK);
    CHECK_INT(inlong_runtime_set(INLONG_RUNTIME_MEMORY_LIMIT, 100 << 20), INLONG_OK);
    fixture f = open_fixture(no_options);
    CHECK_INT(in_child(check_settings, NULL), 0);
    CHECK_INT(in_child(change_settings, NULL), 0);
    close_fixture(&f);
}

/* vfork and posix_spawn share the parent's memory: what the child did to the guard page would stop the parent. */
static void vfork_and_spawn_leave_the_parent_alone(void)
{
    extern char **environ;
    fixture f = open_fixture(no_options);
    tally t = TALLY;
    inlong_message m = message("x");
    for (int round = 0; round < 50; round++) {
        pid_t child;
        char *const argv[] = {"true", NULL};
        CHECK_INT(inlong_client_send_async(f.client, &m, tally_result, &t), INLONG_OK);
        if (round % 2) {
            CHECK_INT(posix_spawnp(&child, "true", NULL, NULL, argv, environ), 0);
        } else if ((child = vfork()) == 0) {
            execvp("true", argv);
            _exit(127);
        }
        CHECK_INT(check_status(child), 0);
        CHECK_INT(inlong_client_send(f.client, &m, 5000, NULL), INLONG_OK);
    }
    CHECK_INT(system("true"), 0);
    CHECK_INT(inlong_client_flush(f.client, 5000), INLONG_OK);
    CHECK_INT(t.acked, 50);
    close_fixture(&f);
}

/* Results that wait in the parent keep its descriptor readable, whatever the child does with a queue of its own; and they are
 * the parent's alone. */
static void queue_of_the_parent_stays_as_it_is(void)
{
    fixture f = open_fixture(no_options);
    tally t = TALLY;
    inlong_message m = message("x");
    struct pollfd event = {.fd = inlong_client_event_fd(f.client), .events = POLLIN};
    CHECK_INT(in_child(use_old_then_new, &f), 0);
    CHECK_INT(poll(&event, 1, 0), 0);
    for (int i = 0; i < 10; i++)
        CHECK_INT(inlong_client_send_async(f.client, &m, NULL, NULL), INLONG_OK);
    CHECK_INT(inlong_client_flush(f.client, 5000), INLONG_OK);
    CHECK_INT(in_child(use_old_then_new, &f), 0);
    CHECK_INT(poll(&event, 1, 0), 1);
    poll_all(f.client, &t, 10);
    CHECK_INT(poll(&event, 1, 0), 0);
    close_fixture(&f);
}

/* A child that lives on holds its parent's sockets open. The nodes must see the parent's close all the same. */
static void nodes_see_the_close_of_a_parent_whose_child_lives(void)
{
    static const char *const a_lane_a_node[] = {"worker_num", "3", NULL};
    fixture f = open_fixture(a_lane_a_node);
    int ends[2];
    char byte;
    CHECK_INT(pipe(ends), 0);
    /* A connection that is being made while the process forks may stay open in the child. */
    while (strstr(control(f.mock, "{\"op\":\"stats\"}"), "\"connections\":0"))
        usleep(1000);
    pid_t child = fork();
    if (child == 0) {
        alarm(CHECK_SECONDS / 2);
        close(ends[1]);
        _exit(read(ends[0], &byte, 1) == 0 ? 0 : 1);
    }
    CHECK_INT(inlong_client_close(f.client, 5000, NULL), INLONG_OK);
    f.client = NULL;
    for (int tries = 0; tries < 500; tries++) {
        const char *stats = control(f.mock, "{\"op\":\"stats\"}");
        int gone = 0;
        for (const char *at = stats; (at = strstr(at, "\"connections\":0,")); at++)
            gone++;
        if (gone == 3)
            break;
        CHECK(tries < 499);
        usleep(10000);
    }
    close(ends[1]);
    CHECK_INT(check_status(child), 0);
    close_fixture(&f);
}

static const check_test tests[] = {
    {"H2_child_makes_a_client_of_its_own", child_makes_a_client_of_its_own},
    {"H2_fork_before_the_first_client", fork_before_the_first_client},
    {"H2_raw_clone_is_told", raw_clone_is_told},
    {"H2_five_forks_deep", five_forks_deep},
    {"H2_INLONG_FORK_error_turns_the_reload_off", INLONG_FORK_error_turns_the_reload_off},
    {"H2_setting_turns_the_reload_off", setting_turns_the_reload_off},
    {"H2_settings_of_the_process_hold_in_the_child", settings_of_the_process_hold_in_the_child},
    {"H2_vfork_and_spawn_leave_the_parent_alone", vfork_and_spawn_leave_the_parent_alone},
    {"H2_queue_of_the_parent_stays_as_it_is", queue_of_the_parent_stays_as_it_is},
    {"H2_nodes_see_the_close_of_a_parent_whose_child_lives", nodes_see_the_close_of_a_parent_whose_child_lives},
};

CHECK_MAIN("fork", tests)
