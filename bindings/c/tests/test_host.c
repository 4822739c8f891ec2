/* The host's process stays the host's: signals, standard output, standard error. */
#include "fixture.h"

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/stat.h>

static const char *const no_options[] = {NULL};

static volatile sig_atomic_t caught[NSIG];
static sigjmp_buf back;

static void note(int sig) { caught[sig]++; }

static void jump_back(int sig, siginfo_t *info, void *context)
{
    (void)info, (void)context;
    caught[sig]++;
    siglongjmp(back, 1);
}

static void use_a_client(void)
{
    fixture f = open_fixture(no_options);
    inlong_message m = message("x");
    tally t = TALLY;
    for (int i = 0; i < 1000; i++)
        CHECK_INT(inlong_client_send_async(f.client, &m, tally_result, &t), INLONG_OK);
    CHECK_INT(inlong_client_flush(f.client, 5000), INLONG_OK);
    close_fixture(&f);
}

static void set_handlers(const int *signals, size_t count, int flags)
{
    for (size_t i = 0; i < count; i++) {
        struct sigaction action = {.sa_flags = flags};
        if (flags & SA_SIGINFO)
            action.sa_sigaction = jump_back;
        else
            action.sa_handler = note;
        CHECK_INT(sigaction(signals[i], &action, NULL), 0);
    }
}

/* H1: what the program installed before the load is there after it. SA_ONSTACK is added: a thread inside the library
 * may be on a stack too small for a handler. */
static void handlers_of_the_host_stay(void)
{
    static const int signals[] = {SIGPIPE, SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGCHLD, SIGWINCH, SIGPROF};
    enum { COUNT = sizeof signals / sizeof *signals };
    set_handlers(signals, COUNT, 0);
    use_a_client();
    for (int i = 0; i < COUNT; i++) {
        struct sigaction now;
        CHECK_INT(sigaction(signals[i], NULL, &now), 0);
        CHECK(now.sa_handler == note);
        CHECK_INT(now.sa_flags & ~0x04000000, SA_ONSTACK); /* the rest is the kernel's SA_RESTORER */
        raise(signals[i]);
        CHECK_INT(caught[signals[i]], 1);
    }
    int ends[2];
    CHECK_INT(pipe(ends), 0);
    close(ends[0]);
    CHECK_INT(write(ends[1], "x", 1), -1);
    CHECK_INT(caught[SIGPIPE], 2);
}

/* H1: a fault in the host's own code still comes to the host's handler. The runtime stands before it and passes it on. */
static void fault_in_the_host_comes_to_its_handler(void)
{
    static const int signals[] = {SIGSEGV, SIGBUS, SIGFPE};
    set_handlers(signals, 3, SA_SIGINFO);
    use_a_client();
    if (sigsetjmp(back, 1) == 0)
        *(volatile int *)(intptr_t)16 = 1;
    CHECK_INT(caught[SIGSEGV], 1);
}

/* A program that leaves SIGPIPE alone must die of its own broken pipes as before, and never of the library's. */
static void default_sigpipe_stays_and_lanes_never_raise_it(void)
{
    fixture f = open_fixture(no_options);
    struct sigaction now;
    CHECK_INT(sigaction(SIGPIPE, NULL, &now), 0);
    CHECK(now.sa_handler == SIG_DFL);
    inlong_message m = message("into a broken connection");
    tally t = TALLY;
    long accepted = 0;
    for (int round = 0; round < 30; round++) {
        char request[64];
        snprintf(request, sizeof request, "{\"op\":\"%s\",\"node\":%d}", round % 2 ? "revive" : "kill", round / 2 % 3);
        for (int i = 0; i < 300; i++, accepted++)
            CHECK_INT(inlong_client_send_async(f.client, &m, tally_result, &t), INLONG_OK);
        control(f.mock, request);
    }
    CHECK_INT(inlong_client_flush(f.client, 20000), INLONG_OK);
    CHECK_INT(t.acked, accepted);
    close_fixture(&f);
}

/* A host that waits for signals blocks them in its threads, perhaps only after the library was loaded; one thread of ours
 * with them open would take them, and the process would die of it. */
static void host_that_waits_for_signals_gets_them(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGUSR1);
    fixture f = open_fixture(no_options);
    CHECK_INT(pthread_sigmask(SIG_BLOCK, &set, NULL), 0);
    inlong_message m = message("x");
    for (int i = 0; i < 50; i++) {
        int sig = i % 2 ? SIGTERM : SIGUSR1;
        struct timespec limit = {10, 0};
        CHECK_INT(inlong_client_send_async(f.client, &m, NULL, NULL), INLONG_OK);
        CHECK_INT(kill(getpid(), sig), 0);
        CHECK_INT(sigtimedwait(&set, NULL, &limit), sig);
    }
    close_fixture(&f);
}

/* The mask of the thread that loaded the library must come back. */
static void mask_of_the_caller_stays(void)
{
    sigset_t before, after;
    sigemptyset(&before);
    sigaddset(&before, SIGUSR2);
    CHECK_INT(pthread_sigmask(SIG_SETMASK, &before, NULL), 0);
    use_a_client();
    CHECK_INT(pthread_sigmask(SIG_SETMASK, NULL, &after), 0);
    for (int sig = 1; sig < 32; sig++)
        CHECK_INT(sigismember(&after, sig), sig == SIGUSR2);
}

/* Not one byte to stdout or stderr, whatever goes wrong. */
static void nothing_is_printed(void)
{
    char path[] = "/tmp/inlong_test_XXXXXX";
    int file = mkstemp(path), out = dup(1), err = dup(2);
    CHECK(file >= 0);
    fflush(NULL);
    dup2(file, 1);
    dup2(file, 2);
    fixture f = open_fixture((const char *const[]){"conn_timeout", "300ms", "send_timeout", "2s", NULL});
    inlong_message m = message("x");
    for (int i = 0; i < 3; i++) {
        char request[64];
        snprintf(request, sizeof request, "{\"op\":\"kill\",\"node\":%d}", i);
        inlong_client_send_async(f.client, &m, NULL, NULL);
        control(f.mock, request);
    }
    inlong_client_send(f.client, &m, 1000, NULL);
    inlong_client_close(f.client, 500, NULL);
    f.client = NULL;
    close_fixture(&f);
    fflush(NULL);
    dup2(out, 1);
    dup2(err, 2);
    struct stat written;
    CHECK_INT(fstat(file, &written), 0);
    unlink(path);
    CHECK_INT(written.st_size, 0);
}

/* A program that the host starts must not inherit sockets. */
static int open_descriptors(bool inherited_only)
{
    int count = 0;
    DIR *folder = opendir("/proc/self/fd");
    CHECK(folder != NULL);
    for (struct dirent *entry; (entry = readdir(folder));) {
        int flags = fcntl(atoi(entry->d_name), F_GETFD);
        count += flags >= 0 && !(inherited_only && (flags & FD_CLOEXEC));
    }
    closedir(folder);
    return count;
}

static void descriptors_are_not_inherited(void)
{
    int all = open_descriptors(false), inherited = open_descriptors(true);
    fixture f = open_fixture(no_options);
    CHECK(inlong_client_event_fd(f.client) > 2);
    CHECK(open_descriptors(false) > all + 4); /* the Manager's, the nodes', the lanes': the count is of something */
    CHECK_INT(open_descriptors(true), inherited);
    close_fixture(&f);
}

static const check_test tests[] = {
    {"handlers_of_the_host_stay", handlers_of_the_host_stay},
    {"fault_in_the_host_comes_to_its_handler", fault_in_the_host_comes_to_its_handler},
    {"default_sigpipe_stays_and_lanes_never_raise_it", default_sigpipe_stays_and_lanes_never_raise_it},
    {"host_that_waits_for_signals_gets_them", host_that_waits_for_signals_gets_them},
    {"mask_of_the_caller_stays", mask_of_the_caller_stays},
    {"nothing_is_printed", nothing_is_printed},
    {"descriptors_are_not_inherited", descriptors_are_not_inherited},
};

CHECK_MAIN("host", tests)
