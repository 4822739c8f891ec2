/* SPDX-License-Identifier: Apache-2.0
 * room.c - what the runtime takes at its start. Where it does not get that it stops the process, so it is tried before. */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <unistd.h>

#include "front.h"

/* Its tables take six tenths of that, and its threads' stacks are beside them. Nearly all of it is never touched. */
static const size_t address_space = (size_t)1 << 30;
enum { THREADS = 8, DESCRIPTORS = 8 };

static int fail(const char *what, int cause, char *err, size_t errlen)
{
    return inlong_fail(INLONG_ERR_NOMEM, err, errlen, "the runtime needs %s, and this process cannot have them: %s", what,
                       strerror(cause));
}

static void *pass(void *line)
{
    pthread_mutex_lock(line);
    pthread_mutex_unlock(line);
    return NULL;
}

/* All at the same time. What cannot be had, as pthread_create says it. */
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

int inlong_room_check(char *err, size_t errlen)
{
    void *space = mmap(NULL, address_space, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (space == MAP_FAILED)
        return fail("1 GiB of address space (ulimit -v)", errno, err, errlen);
    munmap(space, address_space);
    int cause = open_descriptors();
    if (cause != 0)
        return fail("8 descriptors (ulimit -n)", cause, err, errlen);
    cause = start_threads();
    return cause == 0 ? INLONG_OK : fail("8 threads (ulimit -u, pids of the container)", cause, err, errlen);
}
