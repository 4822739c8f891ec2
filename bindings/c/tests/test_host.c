/* The host's process stays the host's: standard output, standard error, descriptors, limits, floats. Its signals: test_signals.c,
 * test_faults.c. */
#include "fixture.h"
#include "left.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <sys/stat.h>
#ifdef __SSE__
#include <xmmintrin.h>
#endif

static const char *const no_options[] = {NULL};

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
static void descriptors_are_not_inherited(void)
{
    int all = open_descriptors(false), inherited = open_descriptors(true);
    fixture f = open_fixture(no_options);
    CHECK(inlong_client_event_fd(f.client) > 2);
    CHECK(open_descriptors(false) > all + 4); /* the Manager's, the nodes', the lanes': the count is of something */
    CHECK_INT(open_descriptors(true), inherited);
    close_fixture(&f);
}

/* The runtime raised it to the hard one, also for the programs that the host starts: select gets descriptors then that do not fit into
 * an fd_set. */
static void limit_of_open_files_stays(void)
{
    enum { FEW = 256 };
    struct rlimit limit;
    CHECK_INT(getrlimit(RLIMIT_NOFILE, &limit), 0);
    CHECK(limit.rlim_max > FEW + 1);
    limit.rlim_cur = FEW;
    CHECK_INT(setrlimit(RLIMIT_NOFILE, &limit), 0);
    fixture f = open_fixture(no_options);
    CHECK_INT(getrlimit(RLIMIT_NOFILE, &limit), 0);
    CHECK_INT(limit.rlim_cur, FEW);
    close_fixture(&f);
}

#ifdef __SSE__
enum { FLAGS = 0x3f, AT_START = 0x1f80, UPWARD = 0x4000, INVALID_ZERO_OVERFLOW = 0x680 };

static atomic_uint all_floats;

/* It blocks its thread, so that the runtime needs others. */
static void note_floats(const inlong_result *result, void *user)
{
    (void)result, (void)user;
    atomic_fetch_or(&all_floats, _mm_getcsr() & ~(unsigned)FLAGS);
    usleep(1000);
}

static void *send_to_many_streams(void *client)
{
    for (int i = 0; i < 200; i++) {
        char stream[16];
        snprintf(stream, sizeof stream, "stream_%d", i % 50);
        inlong_message m = message("x");
        m.stream_id = stream;
        CHECK_INT(inlong_client_send_async(client, &m, note_floats, NULL), INLONG_OK);
        if (i % 10 == 0)
            CHECK_INT(inlong_client_send(client, &m, 20000, NULL), INLONG_OK);
    }
    return NULL;
}

/* A host that lets divisions by zero trap, as numeric ones do: threads of the runtime that inherit that end the process one day. They
 * would have it from the thread that loads the library, and from one that is inside when the runtime needs another thread. */
static void floats_trap_on_no_thread_of_the_library(void)
{
    enum { THREADS = 4 };
    const unsigned hosts = (AT_START & ~INVALID_ZERO_OVERFLOW) | UPWARD;
    pthread_t threads[THREADS];
    if (without_a_promise())
        return;
    _mm_setcsr(hosts);
    fixture f = open_fixture(no_options);
    for (int i = 0; i < THREADS; i++)
        CHECK_INT(pthread_create(&threads[i], NULL, send_to_many_streams, f.client), 0);
    for (int i = 0; i < THREADS; i++)
        CHECK_INT(pthread_join(threads[i], NULL), 0);
    CHECK_INT(inlong_client_flush(f.client, 20000), INLONG_OK);
    close_fixture(&f);
    CHECK_INT(_mm_getcsr() & ~(unsigned)FLAGS, hosts);
    CHECK_INT(all_floats, AT_START);
}
#endif

/* ---- what is left ---- */

static void open_use_close(const char *url)
{
    inlong_client *client = open_client(url, no_options);
    tally t = TALLY;
    inlong_message m = message("x");
    inlong_result r = {.struct_size = sizeof r};
    CHECK(inlong_client_event_fd(client) >= 0);
    for (int i = 0; i < 10; i++) {
        CHECK_INT(inlong_client_send_async(client, &m, tally_result, &t), INLONG_OK);
        CHECK_INT(inlong_client_send_async(client, &m, NULL, NULL), INLONG_OK);
    }
    CHECK_INT(inlong_client_close(client, 5000, NULL), INLONG_OK);
    CHECK_INT(t.acked, 10);
    for (int i = 0; i < 10; i++)
        CHECK_INT(inlong_client_poll(client, &r, 1, 0), 1);
}

static void *open_use_close_in_a_thread(void *url)
{
    open_use_close(url);
    return NULL;
}

static void open_use_close_clients(const char *url, int count)
{
    for (int round = 0; round < count; round++) {
        pthread_t thread;
        if (round % 2) {
            CHECK_INT(pthread_create(&thread, NULL, open_use_close_in_a_thread, (void *)(intptr_t)url), 0);
            CHECK_INT(pthread_join(thread, NULL), 0);
        } else {
            open_use_close(url);
        }
    }
}

static int left_nothing(left before, left after)
{
    int nothing = after.descriptors <= before.descriptors && after.threads <= before.threads + 2;
#ifndef CHECK_ASAN /* which keeps what was freed, and tells at the end what was not */
    nothing = nothing && after.allocated <= before.allocated + 64 * 1024 && after.resident_kib <= before.resident_kib + 8 * 1024;
#endif
    return nothing;
}

/* Threads, descriptors, memory and slots must come back, or a program that opens clients again and again dies of it. Every second
 * client lives on a thread of its own, which ends. The runtime keeps the threads and the heap of its busiest moment, which on a busy
 * machine may come late: that ends, and some 200 clients leave nothing; what clients leave, each 200 of them do. */
static void clients_200_leave_nothing(void)
{
    fixture f = open_fixture(NULL);
    left before, after;
    int nothing = 0;
    open_use_close_clients(f.url, 50); /* caches are filled, the runtime has the threads that it wants */
    left_print("after 50 clients", after = left_now());
    for (int tries = 0; !nothing && tries < 5; tries++) {
        before = after;
        open_use_close_clients(f.url, 200);
        /* The mock notices a close a moment later: both ends are in this process. */
        for (int wait = 0; (after = left_now()).descriptors > before.descriptors && wait < 250; wait++)
            usleep(20000);
        left_print("after 200 more", after);
        nothing = left_nothing(before, after);
    }
    CHECK(nothing);
    close_fixture(&f);
}

static const check_test tests[] = {
    {"nothing_is_printed", nothing_is_printed},
    {"descriptors_are_not_inherited", descriptors_are_not_inherited},
    {"limit_of_open_files_stays", limit_of_open_files_stays},
#ifdef __SSE__
    {"floats_trap_on_no_thread_of_the_library", floats_trap_on_no_thread_of_the_library},
#endif
    {"F7_200_clients_leave_nothing", clients_200_leave_nothing},
};

CHECK_MAIN("host", tests)
