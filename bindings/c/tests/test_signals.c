/* H1: the host's signals stay the host's. */
#include "fixture.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>

static const char *const no_options[] = {NULL};

static atomic_int caught[NSIG];
static _Thread_local sigjmp_buf back;

static void note(int sig) { caught[sig]++; }

static void jump_back(int sig, siginfo_t *info, void *context)
{
    (void)info, (void)context;
    caught[sig]++;
    siglongjmp(back, 1);
}

static void set_handler(int sig)
{
    struct sigaction action = {.sa_flags = 0};
    action.sa_handler = note;
    if (sig == SIGSEGV) {
        action.sa_flags = SA_SIGINFO;
        action.sa_sigaction = jump_back;
    }
    CHECK_INT(sigaction(sig, &action, NULL), 0);
}

static void fault(void)
{
    if (sigsetjmp(back, 1) == 0)
        *(volatile int *)(intptr_t)16 = 1;
}

static void break_a_pipe(void)
{
    int ends[2];
    CHECK_INT(pipe(ends), 0);
    close(ends[0]);
    CHECK_INT(write(ends[1], "x", 1), -1);
    CHECK_INT(errno, EPIPE);
    close(ends[1]);
}

static void let_a_child_end(void)
{
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    while (waitpid(child, NULL, 0) < 0)
        CHECK_INT(errno, EINTR);
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

/* What the program installed before the load is there after it. SA_ONSTACK is added: a thread inside the library may be on a stack
 * too small for a handler. */
static void handlers_stay(void)
{
    static const int signals[] = {SIGPIPE, SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGCHLD, SIGWINCH, SIGPROF, SIGALRM};
    enum { COUNT = sizeof signals / sizeof *signals };
    for (int i = 0; i < COUNT; i++)
        set_handler(signals[i]);
    use_a_client();
    for (int i = 0; i < COUNT; i++) {
        struct sigaction now;
        CHECK_INT(sigaction(signals[i], NULL, &now), 0);
        CHECK(now.sa_handler == note);
        CHECK_INT(now.sa_flags & ~0x04000000, SA_ONSTACK); /* the rest is the kernel's SA_RESTORER */
        raise(signals[i]);
        CHECK_INT(caught[signals[i]], 1);
    }
    break_a_pipe();
    CHECK_INT(caught[SIGPIPE], 2);
}

static void ignored_signals_stay_ignored(void)
{
    signal(SIGPIPE, SIG_IGN);
    signal(SIGINT, SIG_IGN);
    use_a_client();
    break_a_pipe();
    CHECK_INT(kill(getpid(), SIGINT), 0);
    CHECK(signal(SIGPIPE, SIG_DFL) == SIG_IGN);
    CHECK(signal(SIGINT, SIG_DFL) == SIG_IGN);
}

/* ---- under load ---- */

static struct {
    inlong_client *client;
    atomic_bool stop;
    atomic_long accepted, faults;
    tally results;
} load = {.results = TALLY};

static void faulty_callback(const inlong_result *result, void *user)
{
    if (result->attempts == 1 && atomic_fetch_add(&load.faults, 1) % 1000 == 0)
        fault(); /* on a thread of the runtime, in C */
    tally_result(result, user);
}

static void *keep_sending(void *unused)
{
    inlong_message m = message("under fire");
    while (!load.stop) {
        int code = inlong_client_send_async(load.client, &m, faulty_callback, &load.results);
        CHECK(code == INLONG_OK || code == INLONG_ERR_QUEUE_FULL);
        load.accepted += code == INLONG_OK;
        if (code != INLONG_OK)
            sched_yield();
    }
    return unused;
}

static void want(int sig, int before)
{
    while (caught[sig] == before) /* the alarm of the test is the bound */
        sched_yield();
}

/* Signals of all kinds at any moment, on every thread that may take them: the library's too. */
static void handlers_work_under_load(void)
{
    static const int signals[] = {SIGPIPE, SIGINT, SIGSEGV, SIGPROF, SIGCHLD, SIGURG, SIGUSR1};
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        set_handler(signals[i]);
    fixture f = open_fixture((const char *const[]){"max_pending_messages", "2000", NULL});
    load.client = f.client;
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        CHECK_INT(pthread_create(&threads[i], NULL, keep_sending, NULL), 0);
    struct itimerval often = {{0, 1000}, {0, 1000}}, never = {{0, 0}, {0, 0}};
    CHECK_INT(setitimer(ITIMER_PROF, &often, NULL), 0);
    for (int round = 0; round < 300; round++) {
        int segv = caught[SIGSEGV], pipe = caught[SIGPIPE], interrupt = caught[SIGINT], urgent = caught[SIGURG];
        fault();
        CHECK(caught[SIGSEGV] > segv);
        break_a_pipe();
        CHECK(caught[SIGPIPE] > pipe);
        CHECK_INT(kill(getpid(), SIGINT), 0);
        want(SIGINT, interrupt);
        if (round % 10 == 0) {
            int child = caught[SIGCHLD];
            let_a_child_end();
            want(SIGCHLD, child);
            CHECK_INT(sigqueue(getpid(), SIGURG, (union sigval){0}), 0);
            want(SIGURG, urgent);
        }
    }
    CHECK_INT(setitimer(ITIMER_PROF, &never, NULL), 0);
    CHECK(caught[SIGPROF] > 0);
    CHECK(caught[SIGURG] >= 30 && caught[SIGURG] < 40); /* none of the runtime's own */
    load.stop = true;
    for (int i = 0; i < 2; i++)
        CHECK_INT(pthread_join(threads[i], NULL), 0);
    CHECK_INT(inlong_client_flush(f.client, 20000), INLONG_OK);
    CHECK_INT(load.results.acked, load.accepted);
    CHECK(caught[SIGSEGV] > 300); /* those in callbacks */
    close_fixture(&f);
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

/* ---- hosts that wait for signals ---- */

/* They block them in their threads; one thread of ours with them open would take them. */
static const int named[] = {SIGTERM, SIGINT,  SIGHUP,   SIGUSR1, SIGUSR2, SIGCHLD,
                            SIGPROF, SIGALRM, SIGWINCH, SIGIO,   SIGCONT, SIGPIPE};
enum { NAMED = sizeof named / sizeof *named, WAITED = NAMED + 2 };

static int waited(int i) { return i < NAMED ? named[i] : i == NAMED ? SIGRTMIN : SIGRTMAX; }

static sigset_t waited_set(void)
{
    sigset_t set;
    sigemptyset(&set);
    for (int i = 0; i < WAITED; i++)
        sigaddset(&set, waited(i));
    return set;
}

static void send_signal(inlong_client *client, int sig)
{
    inlong_message m = message("x");
    CHECK_INT(inlong_client_send_async(client, &m, NULL, NULL), INLONG_OK);
    if (sig == SIGCHLD)
        let_a_child_end();
    else
        CHECK_INT(kill(getpid(), sig), 0);
}

static void wait_in_turn(bool block_first)
{
    if (without_a_promise())
        return;
    sigset_t set = waited_set();
    if (block_first)
        CHECK_INT(pthread_sigmask(SIG_BLOCK, &set, NULL), 0);
    fixture f = open_fixture(no_options);
    if (!block_first)
        CHECK_INT(pthread_sigmask(SIG_BLOCK, &set, NULL), 0);
    for (int round = 0; round < 10; round++)
        for (int i = 0; i < WAITED; i++) {
            struct timespec limit = {10, 0};
            send_signal(f.client, waited(i));
            CHECK_INT(sigtimedwait(&set, NULL, &limit), waited(i));
        }
    int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    CHECK(fd >= 0);
    for (int round = 0; round < 10; round++)
        for (int i = 0; i < WAITED; i++) {
            struct signalfd_siginfo info;
            send_signal(f.client, waited(i));
            CHECK_INT(poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, 10000), 1);
            CHECK_INT(read(fd, &info, sizeof info), (int)sizeof info);
            CHECK_INT(info.ssi_signo, waited(i));
        }
    close_fixture(&f);
}

static void sigwait_and_signalfd_get_them(void) { wait_in_turn(true); }
static void also_when_blocked_after_the_load(void) { wait_in_turn(false); }

/* ---- masks ---- */

/* All but the faults and SIGURG, which the runtime opens in threads that enter it. */
static void check_mask(const sigset_t *want)
{
    static const int runtimes[] = {SIGILL, SIGTRAP, SIGBUS, SIGFPE, SIGSEGV, SIGSTKFLT, SIGSYS, SIGABRT, SIGURG};
    sigset_t now;
    CHECK_INT(pthread_sigmask(SIG_SETMASK, NULL, &now), 0);
    for (int sig = 1; sig <= SIGRTMAX; sig++) {
        bool skip = sig >= 32 && sig < SIGRTMIN; /* libc's */
        for (size_t i = 0; i < sizeof runtimes / sizeof *runtimes; i++)
            skip |= sig == runtimes[i];
        if (!skip && sigismember(&now, sig) != sigismember(want, sig)) {
            fprintf(stderr, "    signal %d\n", sig);
            CHECK_INT(sigismember(&now, sig), sigismember(want, sig));
        }
    }
}

static void *call_with_all_blocked(void *client)
{
    inlong_message m = message("x");
    sigset_t all;
    sigfillset(&all);
    CHECK_INT(pthread_sigmask(SIG_SETMASK, &all, NULL), 0);
    CHECK_INT(inlong_client_send(client, &m, 5000, NULL), INLONG_OK);
    CHECK_INT(inlong_client_flush(client, 5000), INLONG_OK);
    sigdelset(&all, SIGKILL);
    sigdelset(&all, SIGSTOP);
    check_mask(&all);
    return NULL;
}

/* Of the thread that loaded the library, and of those that call it. */
static void masks_of_callers_stay(void)
{
    if (without_a_promise())
        return;
    sigset_t mine;
    sigemptyset(&mine);
    sigaddset(&mine, SIGUSR2);
    sigaddset(&mine, SIGCHLD);
    CHECK_INT(pthread_sigmask(SIG_SETMASK, &mine, NULL), 0);
    fixture f = open_fixture(no_options);
    pthread_t thread;
    CHECK_INT(pthread_create(&thread, NULL, call_with_all_blocked, f.client), 0);
    CHECK_INT(pthread_join(thread, NULL), 0);
    close_fixture(&f);
    check_mask(&mine);
}

/* ---- interrupted calls ---- */

static struct sigaction runtimes_own;
static atomic_bool enough;
static atomic_long in_host, in_library;
static _Thread_local bool of_host;

/* Stands before the runtime's handler, and leaves the signal to it. */
static void count_and_pass_on(int sig, siginfo_t *info, void *context)
{
    atomic_fetch_add(of_host ? &in_host : &in_library, 1);
    runtimes_own.sa_sigaction(sig, info, context);
}

static void *send_bulks(void *client)
{
    enum { COUNT = 1000 };
    static char data[COUNT];
    uint32_t lengths[COUNT];
    of_host = true;
    for (int i = 0; i < COUNT; i++)
        lengths[i] = 1;
    inlong_message model = message("");
    size_t accepted;
    while (!enough)
        inlong_client_send_packed(client, PACK(&model, data, COUNT, lengths, COUNT, NULL, INLONG_PACKED_MERGE_ACKS), -1, &accepted);
    return NULL;
}

/* A signal by which the runtime interrupts a thread of the host may come when the thread has left the library: an epoll_wait there
 * ended with EINTR, about once in 100,000. The runtime's own threads are interrupted as ever: that shows that it wanted to. */
static void threads_of_the_host_are_never_interrupted(void)
{
    enum { THREADS = 4, WANTED = 200 };
    if (without_a_promise())
        return;
    CHECK_INT(inlong_runtime_set(INLONG_RUNTIME_GC_PERCENT, 1), INLONG_OK);
    fixture f = open_fixture(no_options);
    CHECK_INT(sigaction(SIGURG, NULL, &runtimes_own), 0);
    struct sigaction both = runtimes_own;
    both.sa_sigaction = count_and_pass_on;
    CHECK_INT(sigaction(SIGURG, &both, NULL), 0);
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        CHECK_INT(pthread_create(&threads[i], NULL, send_bulks, f.client), 0);
    inlong_result results[100] = {{.struct_size = sizeof *results}};
    of_host = true;
    while (in_library < WANTED) /* the alarm of the test is the bound */
        CHECK(inlong_client_poll(f.client, results, 100, 10) >= 0);
    enough = true;
    for (int i = 0; i < THREADS; i++)
        CHECK_INT(pthread_join(threads[i], NULL), 0);
    CHECK_INT(in_host, 0);
    close_fixture(&f);
}

static const check_test tests[] = {
    {"H1_handlers_stay", handlers_stay},
    {"H1_ignored_signals_stay_ignored", ignored_signals_stay_ignored},
    {"H1_handlers_work_under_load", handlers_work_under_load},
    {"H1_default_sigpipe_stays_and_lanes_never_raise_it", default_sigpipe_stays_and_lanes_never_raise_it},
    {"H1_sigwait_and_signalfd_get_them", sigwait_and_signalfd_get_them},
    {"H1_also_when_blocked_after_the_load", also_when_blocked_after_the_load},
    {"H1_masks_of_callers_stay", masks_of_callers_stay},
    {"H1_threads_of_the_host_are_never_interrupted", threads_of_the_host_are_never_interrupted},
};

CHECK_MAIN("signals", tests)
