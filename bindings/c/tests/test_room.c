/* What the runtime needs of a process that has limits: without it the process would end by SIGABRT. */
#include "fixture.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>

static const char *const no_options[] = {NULL};
static char err[1024];

/* The runtime would end the process. */
static void without_room_for_the_runtime_it_is_not_loaded(void)
{
    struct rlimit limit, small;
    inlong_mock *mock;
    CHECK_INT(getrlimit(RLIMIT_AS, &limit), 0);
    small = limit;
    small.rlim_cur = (rlim_t)700 << 20;
    CHECK_INT(setrlimit(RLIMIT_AS, &small), 0);
    CHECK_INT(inlong_mock_new(1, &mock, err, sizeof err), INLONG_ERR_NOMEM);
    CHECK_TEXT(err, "address space (ulimit -v)");
    CHECK_INT(setrlimit(RLIMIT_AS, &limit), 0);

    pid_t child = fork();
    if (child == 0) {
        small = (struct rlimit){3, 3};
        CHECK_INT(setrlimit(RLIMIT_NPROC, &small), 0);
        if (geteuid() == 0 && setuid(65534) != 0) { /* root has no such limit */
            fprintf(stderr,
                    "skip room/without_room_for_the_runtime_it_is_not_loaded: no other user here to try it without threads\n");
            _exit(0);
        }
        CHECK_INT(inlong_mock_new(1, &mock, err, sizeof err), INLONG_ERR_NOMEM);
        CHECK_TEXT(err, "8 threads (ulimit -u");
        _exit(0);
    }
    CHECK_INT(check_status(child), 0);
    CHECK_INT(inlong_mock_new(1, &mock, err, sizeof err), INLONG_OK);
    inlong_mock_free(mock);
}

static void limit_space(rlim_t bytes)
{
    struct rlimit limit;
    CHECK_INT(getrlimit(RLIMIT_AS, &limit), 0);
    limit.rlim_cur = bytes;
    CHECK_INT(setrlimit(RLIMIT_AS, &limit), 0);
}

static void allocate(const inlong_result *result, void *user)
{
    (void)user;
    free(strdup(result->node));
}

static void *send_and_allocate(void *client)
{
    inlong_message m = message("x");
    for (int i = 0; i < 2000; i++) {
        free(malloc(100));
        CHECK_INT(inlong_client_send_async(client, &m, i % 2 ? allocate : NULL, NULL), INLONG_OK);
    }
    CHECK_INT(inlong_client_send(client, &m, 20000, NULL), INLONG_OK);
    return NULL;
}

/* With a little more than what was asked for the runtime ended the process as soon as threads of the program had taken their part. */
static void at_any_limit_of_address_space_threads_send_or_nothing_is_loaded(void)
{
    enum { SENDERS = 8, LEAST_MIB = 2000, MOST_MIB = 8 << 10, ENOUGH = 10 };
    int works = 0;
    for (rlim_t mib = LEAST_MIB; mib < MOST_MIB && works < ENOUGH; mib += 20) {
        pid_t child = fork();
        if (child == 0) {
            pthread_t threads[SENDERS];
            inlong_mock *mock;
            char url[64];
            limit_space(mib << 20);
            int code = inlong_mock_new(2, &mock, err, sizeof err);
            if (code == INLONG_ERR_NOMEM)
                CHECK_TEXT(err, "MiB of address space (ulimit -v)");
            if (code != INLONG_OK)
                _exit(code == INLONG_ERR_NOMEM);
            CHECK(inlong_mock_url(mock, url, sizeof url) > 0);
            inlong_client *client = open_client(url, no_options);
            for (int i = 0; i < SENDERS; i++)
                CHECK_INT(pthread_create(&threads[i], NULL, send_and_allocate, client), 0);
            for (int i = 0; i < SENDERS; i++)
                CHECK_INT(pthread_join(threads[i], NULL), 0);
            CHECK_INT(inlong_client_close(client, 20000, NULL), INLONG_OK);
            _exit(0);
        }
        int status = check_status(child);
        CHECK(WIFEXITED(status));
        works += WEXITSTATUS(status) == 0;
    }
    CHECK_INT(works, ENOUGH);
}

/* Room was asked for all processors of a large machine, also by a program that was given a few of them: 4 GiB were too little on 20. */
static void room_is_asked_for_the_processors_that_are_chosen(void)
{
    static const struct {
        const char *chosen;
        int code;
    } cases[] = {{"1", INLONG_OK}, {"64", INLONG_ERR_NOMEM}};
    const char *chosen = getenv("INLONG_TEST_CHOSEN");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        inlong_mock *mock;
        if (chosen && strcmp(chosen, cases[i].chosen) == 0) { /* started below */
            limit_space((rlim_t)4 << 30);
            CHECK_INT(inlong_mock_new(1, &mock, err, sizeof err), cases[i].code);
            return;
        }
        pid_t child = chosen ? -1 : fork();
        if (child == 0) {
            setenv("GOMAXPROCS", cases[i].chosen, 1);
            setenv("INLONG_TEST_CHOSEN", cases[i].chosen, 1);
            execl("/proc/self/exe", "test_room", "room_is_asked_for_the_processors_that_are_chosen", (char *)NULL);
            _exit(127);
        }
        if (!chosen)
            CHECK_INT(check_status(child), 0);
    }
}

/* Each brings threads. */
static void client_without_room_for_its_threads_is_refused(void)
{
    unsigned long pages;
    struct rlimit limit;
    inlong_client *second = NULL;
    fixture f = open_fixture(no_options);
    inlong_options *o = inlong_options_new();
    CHECK_INT(getrlimit(RLIMIT_AS, &limit), 0);
    FILE *file = fopen("/proc/self/statm", "r");
    CHECK(file && fscanf(file, "%lu", &pages) == 1 && fclose(file) == 0);
    limit_space(pages * (rlim_t)sysconf(_SC_PAGESIZE) + ((rlim_t)250 << 20));
    CHECK_INT(inlong_client_new(o, &second, err, sizeof err), INLONG_ERR_NOMEM);
    CHECK_TEXT(err, "MiB of address space (ulimit -v)"); /* 288 with stacks of 8 MiB */
    limit_space(limit.rlim_cur);
    inlong_options_free(o);
    second = open_client(f.url, no_options);
    CHECK_INT(inlong_client_close(second, 5000, NULL), INLONG_OK);
    close_fixture(&f);
}

/* However many are left: the runtime ended the process where it got some of those that it needs, and not all. */
static void without_descriptors_it_is_not_loaded(void)
{
    enum { MOST = 16 };
    for (int left = 0; left <= MOST; left++) {
        pid_t child = fork();
        if (child == 0) {
            inlong_mock *mock;
            closefrom(3);
            const struct rlimit few = {(rlim_t)(3 + left), (rlim_t)(3 + left)};
            CHECK_INT(setrlimit(RLIMIT_NOFILE, &few), 0);
            int code = inlong_mock_new(1, &mock, err, sizeof err);
            if (code == INLONG_ERR_NOMEM)
                CHECK_TEXT(err, "8 descriptors (ulimit -n)");
            _exit(code == INLONG_ERR_NOMEM);
        }
        int status = check_status(child);
        CHECK(WIFEXITED(status));
        CHECK_INT(WEXITSTATUS(status), left < 8 ? 1 : 0);
    }
}

static const check_test tests[] = {
    {"without_room_for_the_runtime_it_is_not_loaded", without_room_for_the_runtime_it_is_not_loaded},
    {"at_any_limit_of_address_space_threads_send_or_nothing_is_loaded",
     at_any_limit_of_address_space_threads_send_or_nothing_is_loaded},
    {"room_is_asked_for_the_processors_that_are_chosen", room_is_asked_for_the_processors_that_are_chosen},
    {"client_without_room_for_its_threads_is_refused", client_without_room_for_its_threads_is_refused},
    {"without_descriptors_it_is_not_loaded", without_descriptors_it_is_not_loaded},
};

/* How much the runtime needs, and how many threads it starts beside a limit, would be another test on a machine of many processors. */
int main(int argc, char **argv)
{
    if (!getenv("GOMAXPROCS")) {
        setenv("GOMAXPROCS", "2", 1);
        execv("/proc/self/exe", argv);
    }
    return check_main(argc, argv, "room", tests, sizeof tests / sizeof *tests);
}
