/* SPDX-License-Identifier: Apache-2.0
 * room.c - what the runtime takes at its start. Where it does not get that it stops the process, so it is tried before. */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <unistd.h>

#include "front.h"

/* Address space, nearly all of which is never touched. The runtime's own, with its first heap, is 1.2 GiB. */
static const size_t runtimes = (size_t)3 << 29, arena = (size_t)64 << 20; /* that libc takes for a thread that allocates */
/* The threads that a client may add, and those of a program that sends in several threads. */
enum { THREADS = 8, DESCRIPTORS = 8, THREADS_OF_CLIENT = 4, THREADS_BESIDE = 16 };

static int fail(const char *what, int cause)
{
    return inlong_fail(INLONG_ERR_NOMEM, "the runtime needs %s, and this process cannot have them: %s", what, strerror(cause));
}

static void *pass(void *line)
{
    pthread_mutex_lock(line);
    pthread_mutex_unlock(line);
    return NULL;
}

/* All at the same time. Reports what cannot be had, as pthread_create does. */
static int start_threads(void)
{
    pthread_mutex_t line = PTHREAD_MUTEX_INITIALIZER;
    pthread_t threads[THREADS];
    int n = 0, cause = 0;
    pthread_mutex_lock(&line);
    while (n < THREADS && (cause = pthread_create(&threads[n], NULL, pass, &line)) == 0)
        n++;
    pthread_mutex_unlock(&line);
    while (n > 0)
        pthread_join(threads[--n], NULL);
    return cause;
}

/* Of the kind that the runtime opens first, and cannot be without. It needs five. */
static int open_descriptors(void)
{
    int fds[DESCRIPTORS], n = 0;
    while (n < DESCRIPTORS && (fds[n] = epoll_create1(EPOLL_CLOEXEC)) >= 0)
        n++;
    int cause = n < DESCRIPTORS ? errno : 0;
    while (n > 0)
        close(fds[--n]);
    return cause;
}

/* The environment as the process was started with: what the runtime reads. */
static char **environment;

__attribute__((constructor)) static void remember_environment(int argc, char **argv) { environment = argv + argc + 1; }

static const char *started_with(const char *name)
{
    size_t length = strlen(name);
    for (char **entry = environment; entry && *entry; entry++)
        if (strncmp(*entry, name, length) == 0 && (*entry)[length] == '=')
            return *entry + length + 1;
    return NULL;
}

/* A number of bytes as the runtime reads it. */
static bool is_byte_count(const char *text)
{
    static const char units[] = "KMGT";
    int64_t n = 0;
    const char *end = text;
    for (; *end >= '0' && *end <= '9'; end++)
        if (__builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, *end - '0', &n))
            return false;
    if (end == text)
        return false;
    const char *unit = *end ? strchr(units, *end) : NULL;
    if (!unit)
        return *end == 0 || strcmp(end, "B") == 0;
    return strcmp(end + 1, "iB") == 0 && n <= INT64_MAX >> 10 * (unit - units + 1);
}

/* The runtime ends the process for a limit that it cannot read. Those of Kubernetes look alike and are others. */
static int check_memory_limit(void)
{
    const char *limit = started_with("GOMEMLIMIT");
    if (!limit || !*limit || strcmp(limit, "off") == 0 || is_byte_count(limit))
        return INLONG_OK;
    return inlong_fail(
        INLONG_ERR_OPTION,
        "GOMEMLIMIT in the environment is \"%.64s\": it must be off or a number of bytes, followed by B, KiB, MiB, GiB or TiB "
        "(512MiB)",
        limit);
}

/* Nor for a check of pointers that older ones made. */
static int check_debug(void)
{
    static const char key[] = "cgocheck=";
    const char *settings = started_with("GODEBUG");
    for (const char *at = settings; at && (at = strstr(at, key)); at += sizeof key - 1)
        if ((at == settings || at[-1] == ',') && atoi(at + sizeof key - 1) > 1)
            return inlong_fail(INLONG_ERR_OPTION, "GODEBUG in the environment has %.10s: the runtime takes cgocheck=0 or 1 only",
                               at);
    return INLONG_OK;
}

static int check_space(size_t size)
{
    char what[64];
    void *space = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    int cause = errno;
    if (space != MAP_FAILED)
        return munmap(space, size);
    snprintf(what, sizeof what, "%zu MiB of address space (ulimit -v)", size >> 20);
    return fail(what, cause);
}

/* Stack and arena. */
static size_t of_threads(size_t count)
{
    pthread_attr_t attr;
    size_t stack = 0;
    pthread_attr_init(&attr);
    pthread_attr_getstacksize(&attr, &stack);
    pthread_attr_destroy(&attr);
    return count * (stack + arena);
}

/* For each of which the runtime may start a thread; GOMAXPROCS bounds them. */
static size_t processors(void)
{
    const char *chosen = started_with("GOMAXPROCS");
    int n = chosen ? atoi(chosen) : 0;
    cpu_set_t set;
    if (n > 0)
        return (size_t)n;
    if (sched_getaffinity(0, sizeof set, &set) == 0)
        return (size_t)CPU_COUNT(&set);
    return (size_t)sysconf(_SC_NPROCESSORS_ONLN);
}

int inlong_room_check_client(void) { return check_space(of_threads(THREADS_OF_CLIENT)); }

int inlong_room_check(void)
{
    int code = check_memory_limit();
    if (code == INLONG_OK)
        code = check_debug();
    if (code == INLONG_OK)
        code = check_space(runtimes + of_threads(THREADS_BESIDE + processors()));
    if (code != INLONG_OK)
        return code;
    int cause = open_descriptors();
    if (cause != 0)
        return fail("8 descriptors (ulimit -n)", cause);
    cause = start_threads();
    return cause == 0 ? INLONG_OK : fail("8 threads (ulimit -u, pids of the container)", cause);
}
