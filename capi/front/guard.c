/* SPDX-License-Identifier: Apache-2.0
 * guard.c - knows a forked child. Go's runtime does not survive fork: any call into it may hang in the child.
 *
 * One page holds a byte that is 1 in the process that loaded the core. The kernel wipes the page in every child, also
 * one made by a raw clone; the fork handler does the same where the kernel cannot. A later reload in the child arms a
 * new page. */
#include <sys/mman.h>
#include <unistd.h>

#include "front.h"

const volatile unsigned char *_Atomic inlong_guard_page;

static void in_child(void)
{
    unsigned char *page = (unsigned char *)atomic_load(&inlong_guard_page);
    if (page)
        *page = 0;
}

static void arm(void)
{
    size_t size = (size_t)sysconf(_SC_PAGESIZE);
    unsigned char *page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED)
        return;
#ifdef MADV_WIPEONFORK
    (void)madvise(page, size, MADV_WIPEONFORK); /* before Linux 4.14 the fork handler has to do */
#endif
    *page = 1;
    if (pthread_atfork(NULL, NULL, in_child) != 0) {
        munmap(page, size);
        return;
    }
    atomic_store(&inlong_guard_page, page);
}

int inlong_guard_arm(void)
{
    /* pthread_once, not a mutex: it starts again in a child forked while another thread was in it. */
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, arm);
    return atomic_load(&inlong_guard_page) ? INLONG_OK : INLONG_ERR_NOMEM;
}
