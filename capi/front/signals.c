/* SPDX-License-Identifier: Apache-2.0
 * signals.c - keeps the host's signals the host's while the runtime starts, and gives them back in a forked child. */
#include <signal.h>
#include <unistd.h>

#include "front.h"

/* What handled each signal before the runtime came, and then. */
static struct sigaction hosts[NSIG], runtimes[NSIG];

static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE};
enum { FAULTS = sizeof faults / sizeof *faults };

/* Every thread of the runtime inherits this mask. A signal that the host waits for with sigwait or signalfd must never
 * be taken by one of them; these must stay open: faults, which the runtime turns into panics, and the one by which it
 * interrupts its threads. */
static void block(sigset_t *old)
{
    static const int open[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS, SIGURG};
    sigset_t mask;
    sigfillset(&mask);
    for (size_t i = 0; i < sizeof open / sizeof *open; i++)
        sigdelset(&mask, open[i]);
    pthread_sigmask(SIG_SETMASK, &mask, old);
}

/* libc keeps a few signals for itself: nothing is written for those, and they stay equal. */
static void look(struct sigaction *actions)
{
    for (int sig = 1; sig < NSIG; sig++)
        (void)sigaction(sig, NULL, &actions[sig]);
}

/* A fault is raised again when this returns; a signal that somebody sent is not. */
static void die_of(int sig, siginfo_t *info, void *context)
{
    (void)context;
    signal(sig, SIG_DFL);
    if (info->si_code <= 0)
        raise(sig);
}

/* A host that has no handler for a fault dies of it, and leaves a core that shows where. The runtime passes a fault in C on to the
 * handler that it found, also one in a callback; where it found none there it prints all goroutines and ends the process by SIGQUIT. */
static void keep_faults_deadly(void)
{
    struct sigaction deadly = {.sa_flags = SA_SIGINFO | SA_ONSTACK};
    deadly.sa_sigaction = die_of;
    for (int i = 0; i < FAULTS; i++)
        if (hosts[faults[i]].sa_handler == SIG_DFL)
            sigaction(faults[i], &deadly, NULL);
}

/* Where no runtime came. */
static void put_faults_back(void)
{
    struct sigaction now;
    for (int i = 0; i < FAULTS; i++)
        if (sigaction(faults[i], NULL, &now) == 0 && (now.sa_flags & SA_SIGINFO) && now.sa_sigaction == die_of)
            sigaction(faults[i], &hosts[faults[i]], NULL);
}

void inlong_signals_hold(sigset_t *old)
{
    block(old);
    look(hosts);
    keep_faults_deadly();
}

/* The runtime takes SIGPIPE although its own threads have it blocked; what the host had is put back, so that a broken
 * pipe of the host does what it did before. */
static void put_pipe_back(void)
{
    struct sigaction pipe = hosts[SIGPIPE];
    if (pipe.sa_handler != SIG_DFL && pipe.sa_handler != SIG_IGN)
        pipe.sa_flags |= SA_ONSTACK; /* as the runtime did to all handlers: it may come on a goroutine's small stack */
    sigaction(SIGPIPE, &pipe, NULL);
}

static struct sigaction runtimes_urgent;

/* The runtime interrupts its threads by SIGURG, and passes none of them on. What the process sent to a thread of its own is taken
 * for the runtime's. */
static void on_urgent(int sig, siginfo_t *info, void *context)
{
    const struct sigaction *host = &hosts[SIGURG];
    runtimes_urgent.sa_sigaction(sig, info, context);
    if (info->si_code == SI_TKILL && info->si_pid == getpid())
        return;
    if (host->sa_flags & SA_SIGINFO)
        host->sa_sigaction(sig, info, context);
    else
        host->sa_handler(sig);
}

static void share_urgent(void)
{
    if (hosts[SIGURG].sa_handler == SIG_DFL || hosts[SIGURG].sa_handler == SIG_IGN ||
        sigaction(SIGURG, NULL, &runtimes_urgent) != 0 || runtimes_urgent.sa_handler == hosts[SIGURG].sa_handler)
        return;
    struct sigaction both = runtimes_urgent;
    both.sa_sigaction = on_urgent;
    sigaction(SIGURG, &both, NULL);
}

void inlong_signals_let_go(const sigset_t *old)
{
    put_pipe_back();
    put_faults_back();
    share_urgent();
    look(runtimes);
    pthread_sigmask(SIG_SETMASK, old, NULL);
}

/* The runtime is dead in the child, and what its handlers do with a fault there may hang. */
void inlong_signals_give_back(void)
{
    for (int sig = 1; sig < NSIG; sig++) {
        struct sigaction now;
        if (hosts[sig].sa_handler != runtimes[sig].sa_handler && sigaction(sig, NULL, &now) == 0 &&
            now.sa_handler == runtimes[sig].sa_handler)
            (void)sigaction(sig, &hosts[sig], NULL);
    }
}
