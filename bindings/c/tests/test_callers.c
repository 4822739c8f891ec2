/* Threads of the host of every kind may send: small stacks, fibers, a profiler's signals, a seccomp filter. */
#include "fixture.h"

#include <errno.h>
#include <limits.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <ucontext.h>

static const char *const no_options[] = {NULL};

enum { EACH = 2000 };

static tally all = TALLY;

/* By the ways of the ring. */
static void *send_one_by_one(void *client)
{
    static const uint32_t lengths[3] = {1, 1, 1};
    inlong_message m = message("x");
    for (int i = 0; i < EACH; i += 4) {
        CHECK_INT(inlong_client_send_async(client, &m, tally_result, &all), INLONG_OK);
        CHECK_INT(inlong_client_send_packed(client, PACK(&m, "xyz", 3, lengths, 3, NULL, INLONG_PACKED_SINGLES), 0, NULL),
                  INLONG_OK);
    }
    return NULL;
}

/* By calls of the core. */
static void *use_the_rest(void *client)
{
    static const inlong_attribute attribute = {"k", 0, "v", 0};
    inlong_message m = message("x");
    char buf[64];
    m.attributes = &attribute;
    m.attribute_count = 1;
    for (int i = 0; i < 20; i++) {
        CHECK_INT(inlong_client_send(client, &m, 20000, NULL), INLONG_OK);
        CHECK_INT(inlong_client_send_async(client, &m, tally_result, &all), INLONG_OK);
        CHECK_INT(inlong_client_send_many(client, &m, 1, tally_result, &all, NULL), INLONG_OK);
        CHECK(inlong_client_stats(client, buf, sizeof buf) > 0);
        CHECK_INT(inlong_client_flush(client, 20000), INLONG_OK);
    }
    return NULL;
}

static void run_on_a_stack_of(size_t size, void *(*work)(void *), void *client)
{
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    CHECK_INT(pthread_attr_setstacksize(&attributes, size), 0);
    CHECK_INT(pthread_create(&thread, &attributes, work, client), 0);
    CHECK_INT(pthread_join(thread, NULL), 0);
    pthread_attr_destroy(&attributes);
}

/* Servers with thousands of threads give them little: an overflow there is silent, or a fault that nobody can explain. A call of Go took
 * 16 KiB beside what libc keeps on a stack. */
static void stacks_of_16_KiB(void)
{
    fixture f = open_fixture(no_options);
    run_on_a_stack_of(PTHREAD_STACK_MIN, send_one_by_one, f.client);
    run_on_a_stack_of(PTHREAD_STACK_MIN, use_the_rest, f.client);
    CHECK_INT(inlong_client_flush(f.client, 20000), INLONG_OK);
    CHECK_INT(all.failed, 0);
    close_fixture(&f);
}

/* ---- fibers ---- */

enum { FIBERS = 4, FIBER_STACK = 32 * 1024, TURNS = 500 };

static struct {
    inlong_client *client;
    ucontext_t back, fibers[FIBERS];
    _Alignas(64) char stacks[FIBERS][FIBER_STACK];
    int at;
} fiber;

/* Gives way in between: its next send comes from another thread. */
static void be_a_fiber(void)
{
    static const inlong_attribute attribute = {"k", 0, "v", 0};
    inlong_message m = message("x");
    for (int i = 0; i < TURNS; i++) {
        m.attributes = i % 10 == 0 ? &attribute : NULL;
        m.attribute_count = i % 10 == 0;
        CHECK_INT(inlong_client_send_async(fiber.client, &m, tally_result, &all), INLONG_OK);
        swapcontext(&fiber.fibers[fiber.at], &fiber.back);
    }
}

static void *run_each_once(void *unused)
{
    for (fiber.at = 0; fiber.at < FIBERS; fiber.at++)
        swapcontext(&fiber.back, &fiber.fibers[fiber.at]);
    return unused;
}

/* The runtime remembers where a thread's stack is; a fiber's is elsewhere, and elsewhere each time. */
static void fibers_that_change_their_thread(void)
{
    fixture f = open_fixture(no_options);
    fiber.client = f.client;
    for (int i = 0; i < FIBERS; i++) {
        CHECK_INT(getcontext(&fiber.fibers[i]), 0);
        fiber.fibers[i].uc_stack.ss_sp = fiber.stacks[i];
        fiber.fibers[i].uc_stack.ss_size = FIBER_STACK;
        fiber.fibers[i].uc_link = &fiber.back;
        makecontext(&fiber.fibers[i], be_a_fiber, 0);
    }
    for (int i = 0; i < TURNS; i++) {
        pthread_t thread;
        if (i % 5 == 0) {
            (void)run_each_once(NULL);
            continue;
        }
        CHECK_INT(pthread_create(&thread, NULL, run_each_once, NULL), 0);
        CHECK_INT(pthread_join(thread, NULL), 0);
    }
    tally_wait(&all, FIBERS * TURNS);
    CHECK_INT(all.acked, FIBERS * TURNS);
    close_fixture(&f);
}

/* ---- a profiler ---- */

static atomic_long profiled;

static void profile(int sig)
{
    (void)sig;
    profiled++;
}

/* Its signals come on every thread of the host that runs, also in the middle of a send. */
static void profiler_of_2_kHz(void)
{
    const struct itimerval interval = {{0, 500}, {0, 500}}, none = {{0, 0}, {0, 0}};
    struct sigaction action = {.sa_handler = profile, .sa_flags = SA_RESTART | SA_ONSTACK};
    CHECK_INT(sigaction(SIGPROF, &action, NULL), 0);
    fixture f = open_fixture((const char *const[]){"block_if_queue_is_full", "true", NULL});
    pthread_t threads[4];
    CHECK_INT(setitimer(ITIMER_PROF, &interval, NULL), 0);
    while (profiled < 200) {
        for (int i = 0; i < 4; i++)
            CHECK_INT(pthread_create(&threads[i], NULL, i ? send_one_by_one : use_the_rest, f.client), 0);
        for (int i = 0; i < 4; i++)
            CHECK_INT(pthread_join(threads[i], NULL), 0);
        CHECK(inlong_client_drop_results(f.client) >= 0);
    }
    CHECK_INT(setitimer(ITIMER_PROF, &none, NULL), 0);
    CHECK_INT(inlong_client_flush(f.client, 20000), INLONG_OK);
    CHECK_INT(all.failed, 0);
    close_fixture(&f);
}

/* ---- seccomp ---- */

#if defined(__x86_64__) && !defined(CHECK_ASAN) /* which makes calls of its own */
/* Those that bindings/c/README.md names. */
static const int allowed[] = {
#define CALL(name) SYS_##name,
#include "system_calls.h"
#undef CALL
};
enum { ALLOWED = sizeof allowed / sizeof *allowed };

static void tell_the_call(int sig, siginfo_t *info, void *context)
{
    (void)sig, (void)context;
    fprintf(stderr, "    system call %d is not on the list\n", info->si_syscall);
    _exit(1);
}

static void filter_calls(void)
{
    struct sigaction action = {.sa_flags = SA_SIGINFO};
    struct sock_filter code[2 * ALLOWED + 2];
    size_t n = 0;
    action.sa_sigaction = tell_the_call;
    CHECK_INT(sigaction(SIGSYS, &action, NULL), 0);
    code[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (int i = 0; i < ALLOWED; i++) {
        code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)allowed[i], 0, 1);
        code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    }
    code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP);
    struct sock_fprog program = {(unsigned short)n, code};
    CHECK_INT(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    CHECK_INT(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
}

/* A call that a release needs and the page does not name ends the processes of anyone who wrote a filter by the page. */
static void seccomp_filter_of_the_calls_that_are_named(void)
{
    filter_calls();
    fixture f = open_fixture(no_options);
    CHECK(inlong_client_event_fd(f.client) >= 0);
    (void)send_one_by_one(f.client);
    (void)use_the_rest(f.client);
    CHECK_INT(inlong_client_flush(f.client, 20000), INLONG_OK);
    CHECK_INT(all.failed, 0);
    close_fixture(&f);
}
#endif

static const check_test tests[] = {
    {"stacks_of_16_KiB", stacks_of_16_KiB},
    {"fibers_that_change_their_thread", fibers_that_change_their_thread},
    {"profiler_of_2_kHz", profiler_of_2_kHz},
#if defined(__x86_64__) && !defined(CHECK_ASAN) /* which makes calls of its own */
    {"seccomp_filter_of_the_calls_that_are_named", seccomp_filter_of_the_calls_that_are_named},
#endif
};

CHECK_MAIN("callers", tests)
