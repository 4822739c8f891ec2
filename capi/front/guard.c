/* SPDX-License-Identifier: Apache-2.0
 * guard.c - knows a forked child. Go's runtime does not survive fork: any call into it may hang in the child.
 *
 * One byte, in a page of its own, says what this process is to the core that it sees. The kernel wipes the page in every
 * child, also in one made by a raw clone. Only libc's fork runs the handlers below, which mark a child that may load a core of
 * its own: in a raw clone the locks of libc itself may be held for ever, and there is no way on from there. */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "front.h"

atomic_uchar *_Atomic inlong_guard_page;

/* Nobody but the calling thread writes its own name here. */
static bool forks(inlong_fork_mutex *m) { return atomic_load_explicit(&m->forking, memory_order_relaxed) == pthread_self(); }

void inlong_fork_lock(inlong_fork_mutex *m)
{
    if (!forks(m))
        pthread_mutex_lock(&m->mutex);
}

void inlong_fork_unlock(inlong_fork_mutex *m)
{
    if (!forks(m))
        pthread_mutex_unlock(&m->mutex);
}

void inlong_fork_hold(inlong_fork_mutex *m)
{
    inlong_fork_lock(m);
    atomic_store_explicit(&m->forking, pthread_self(), memory_order_relaxed);
}

void inlong_fork_let_go(inlong_fork_mutex *m)
{
    atomic_store_explicit(&m->forking, 0, memory_order_relaxed);
    inlong_fork_unlock(m);
}

/* A fork waits while another thread loads the core: half a library cannot be told from a whole one in the child. */
static inlong_fork_mutex *const held[] = {&inlong_loader_mutex, &inlong_log_mutex, &inlong_auth_mutex};
enum { HELD = sizeof held / sizeof *held };

static void before_fork(void)
{
    for (int i = 0; i < HELD; i++)
        inlong_fork_hold(held[i]);
}

static void in_parent(void)
{
    for (int i = HELD; i-- > 0;)
        inlong_fork_let_go(held[i]);
}

static void in_child(void)
{
    atomic_uchar *page = atomic_load(&inlong_guard_page);
    if (page) {
        atomic_store(page, INLONG_PAGE_FORKED);
        inlong_loader_forked();
        inlong_signals_give_back();
        inlong_gate_forked();
    }
    inlong_log_begin();
    inlong_auth_begin();
    in_parent();
}

static int handlers = ENOMEM;

/* When the front is loaded, not later: a fork on the way to here would run half of them, or register them again. */
__attribute__((constructor)) static void register_handlers(void)
{
    inlong_log_begin();
    inlong_auth_begin();
    handlers = pthread_atfork(before_fork, in_parent, in_child);
}

bool inlong_guard_arm(void)
{
    if (handlers != 0 || atomic_load(&inlong_guard_page))
        return handlers == 0;
    size_t size = (size_t)sysconf(_SC_PAGESIZE);
    atomic_uchar *page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED)
        return false;
#ifdef MADV_WIPEONFORK
    (void)madvise((void *)page, size, MADV_WIPEONFORK); /* in children of children too; before Linux 4.14 the handlers have to do */
#endif
    atomic_store(page, INLONG_PAGE_OWNER);
    atomic_store(&inlong_guard_page, page);
    return true;
}

void inlong_guard_return(uintptr_t client)
{
    if (inlong_handle_is_parents(client))
        abort();
}

void inlong_guard_own(void) { atomic_store(atomic_load(&inlong_guard_page), INLONG_PAGE_OWNER); }
