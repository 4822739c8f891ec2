/* H1: a fault in the host's own code ends the host as it did before the library was there: by its signal, without a word. */
#include "fixture.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

static const char *const no_options[] = {NULL};

static void write_to_nowhere(void) { *(volatile int *)(intptr_t)16 = 1; }

static void divide_by_zero(void)
{
    volatile int one = 1, zero = 0;
    one = one / zero;
}

static void read_behind_the_end_of_a_file(void)
{
    char path[] = "/tmp/inlong_test_XXXXXX";
    int file = mkstemp(path);
    CHECK(file >= 0);
    unlink(path);
    volatile char *page = mmap(NULL, 4096, PROT_READ, MAP_SHARED, file, 0);
    CHECK(page != MAP_FAILED);
    (void)*page;
}

static void send_itself_one(void)
{
    CHECK_INT(kill(getpid(), SIGSEGV), 0);
    pause();
}

typedef void fault(void);

/* ---- where it happens ---- */

static fault *what;

static void on_main_thread(void) { what(); }

static void *run(void *unused)
{
    what();
    return unused;
}

static void on_another_thread(void)
{
    pthread_t thread;
    CHECK_INT(pthread_create(&thread, NULL, run, NULL), 0);
    CHECK_INT(pthread_join(thread, NULL), 0);
}

static void on_result(const inlong_result *result, void *user)
{
    (void)result, (void)user;
    what();
}

static inlong_client *client;

static void in_a_callback(void)
{
    inlong_message m = message("x");
    CHECK_INT(inlong_client_send_async(client, &m, on_result, NULL), INLONG_OK);
    CHECK_INT(inlong_client_flush(client, 20000), INLONG_OK);
}

/* The child must end by the signal; whatever it says comes to stderr. */
static void die(void (*where)(void), fault *how, int want)
{
    char path[] = "/tmp/inlong_test_XXXXXX";
    int said = mkstemp(path);
    CHECK(said >= 0);
    unlink(path);
    pid_t child = fork();
    if (child == 0) {
        const struct rlimit no_core = {0, 0};
        setrlimit(RLIMIT_CORE, &no_core);
        alarm(CHECK_SECONDS / 2);
        client = open_fixture(no_options).client;
        dup2(said, 2);
        what = how;
        where();
        _exit(0);
    }
    int status = check_status(child);
    struct stat words;
    CHECK(WIFSIGNALED(status));
    CHECK_INT(WTERMSIG(status), want);
    CHECK_INT(fstat(said, &words), 0);
    CHECK_INT(words.st_size, 0);
    close(said);
}

static void die_everywhere(fault *how, int want)
{
    die(on_main_thread, how, want);
    die(on_another_thread, how, want);
    die(in_a_callback, how, want);
}

/* In a callback the runtime printed its goroutines and ended the process by SIGQUIT, with a core that showed another thread. */
static void faults_end_the_host_by_their_signal(void)
{
    die_everywhere(write_to_nowhere, SIGSEGV);
    die_everywhere(divide_by_zero, SIGFPE);
    die_everywhere(read_behind_the_end_of_a_file, SIGBUS);
    die(on_main_thread, send_itself_one, SIGSEGV);
}

static void abort_ends_the_host(void) { die_everywhere(abort, SIGABRT); }

/* A host that is without the library after all keeps nothing of it. */
static void load_that_fails_leaves_no_handler(void)
{
    enum { SIGNALS = 32 };
    struct sigaction before[SIGNALS], now; /* nohup and others leave some ignored */
    struct rlimit few;
    for (int sig = 1; sig < SIGNALS; sig++)
        CHECK_INT(sigaction(sig, NULL, &before[sig]), 0);
    CHECK_INT(getrlimit(RLIMIT_NOFILE, &few), 0);
    few.rlim_cur = 4;
    CHECK_INT(setrlimit(RLIMIT_NOFILE, &few), 0);
    inlong_mock *mock;
    CHECK(inlong_mock_new(1, &mock, NULL, 0) != INLONG_OK);
    for (int sig = 1; sig < SIGNALS; sig++) {
        CHECK_INT(sigaction(sig, NULL, &now), 0);
        CHECK(now.sa_handler == before[sig].sa_handler);
    }
}

static const check_test tests[] = {
    {"H1_faults_end_the_host_by_their_signal", faults_end_the_host_by_their_signal},
    {"H1_abort_ends_the_host", abort_ends_the_host},
    {"H1_load_that_fails_leaves_no_handler", load_that_fails_leaves_no_handler},
};

CHECK_MAIN("faults", tests)
