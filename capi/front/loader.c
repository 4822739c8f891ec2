/* SPDX-License-Identifier: Apache-2.0
 * loader.c - finds and loads the Go core. */
#include <dlfcn.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "front.h"

#define CORE_NAME "libinlong_dataproxy_core.so"

const inlong_core_api *_Atomic inlong_core_loaded;

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static inlong_core_api api;

struct search {
    void *library;
    char tried[INLONG_ERROR_TEXT - 128];
};

static void try_path(struct search *s, const char *path)
{
    if (s->library)
        return;
    s->library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (s->library)
        return;
    const char *reason = dlerror();
    size_t used = strlen(s->tried);
    snprintf(s->tried + used, sizeof s->tried - used, "%s%s", used ? "; " : "", reason ? reason : path);
}

static void try_beside(struct search *s, const char *front)
{
    char path[PATH_MAX];
    const char *slash = strrchr(front, '/');
    int folder = slash ? (int)(slash - front) : 0;
    if (slash && snprintf(path, sizeof path, "%.*s/%s", folder, front, CORE_NAME) < (int)sizeof path)
        try_path(s, path);
}

static void find(struct search *s)
{
    const char *named = secure_getenv("INLONG_DATAPROXY_CORE");
    if (named && *named)
        try_path(s, named);
    Dl_info front;
    char real[PATH_MAX];
    if (dladdr((void *)&inlong_core_loaded, &front) && front.dli_fname) {
        try_beside(s, front.dli_fname);
        if (!s->library && realpath(front.dli_fname, real) && strcmp(real, front.dli_fname) != 0)
            try_beside(s, real); /* the front was found through a link from another folder */
    }
    try_path(s, CORE_NAME);
}

/* Every thread of the runtime inherits this mask. A signal that the host waits for with sigwait or signalfd must never
 * be taken by one of them; these must stay open: faults, which the runtime turns into panics, and those that it needs
 * itself. */
static void block_signals(sigset_t *old)
{
    static const int open[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS, SIGURG, SIGPROF, SIGCHLD};
    sigset_t mask;
    sigfillset(&mask);
    for (size_t i = 0; i < sizeof open / sizeof *open; i++)
        sigdelset(&mask, open[i]);
    pthread_sigmask(SIG_SETMASK, &mask, old);
}

static int start(void *library, char *err, size_t errlen)
{
    inlong_core_entry_function entry;
    *(void **)&entry = dlsym(library, INLONG_CORE_ENTRY);
    if (!entry)
        return inlong_fail(INLONG_ERR_ABI, err, errlen, "%s is not a core of this library: it has no %s", CORE_NAME,
                           INLONG_CORE_ENTRY);
    int code = entry(INLONG_CORE_ABI_VERSION, &api);
    if (code != INLONG_OK || api.version != INLONG_CORE_ABI_VERSION)
        return inlong_fail(INLONG_ERR_ABI, err, errlen, "%s has interface version %u, this front needs %d: they are of two builds",
                           CORE_NAME, (unsigned)api.version, INLONG_CORE_ABI_VERSION);
    inlong_runtime_apply(&api);
    return INLONG_OK;
}

/* The runtime takes SIGPIPE although its own threads have it blocked; what the host had is put back, so that a broken
 * pipe of the host does what it did before. */
static int load(char *err, size_t errlen)
{
#ifndef __GLIBC__
    return inlong_fail(INLONG_ERR_LOAD, err, errlen, "this library needs glibc: the Go runtime cannot be loaded by musl");
#endif
    struct search s = {NULL, ""};
    sigset_t old;
    struct sigaction host_pipe;
    sigaction(SIGPIPE, NULL, &host_pipe);
    block_signals(&old);
    find(&s);
    int code = s.library ? start(s.library, err, errlen)
                         : inlong_fail(INLONG_ERR_LOAD, err, errlen, "cannot load %s; tried: %s", CORE_NAME, s.tried);
    if (host_pipe.sa_handler != SIG_DFL && host_pipe.sa_handler != SIG_IGN)
        host_pipe.sa_flags |= SA_ONSTACK; /* as the runtime did to all handlers: it may come on a goroutine's small stack */
    sigaction(SIGPIPE, &host_pipe, NULL);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return code;
}

int inlong_core_load(const inlong_core_api **core, char *err, size_t errlen)
{
    /* Here a child could load a private copy of the core instead, with a new guard page and a new table. */
    if (inlong_forked())
        return inlong_fail(INLONG_ERR_FORKED, err, errlen,
                           "this process was forked after its parent had made a client: make clients after the fork, or exec");
    *core = atomic_load_explicit(&inlong_core_loaded, memory_order_acquire);
    if (*core)
        return INLONG_OK;
    if (inlong_guard_arm() != INLONG_OK)
        return inlong_fail(INLONG_ERR_NOMEM, err, errlen, "no memory for the fork guard");
    inlong_gate_arm();
    pthread_mutex_lock(&mutex);
    int code = INLONG_OK;
    if (!atomic_load(&inlong_core_loaded) && (code = load(err, errlen)) == INLONG_OK)
        atomic_store(&inlong_core_loaded, &api);
    pthread_mutex_unlock(&mutex);
    *core = atomic_load(&inlong_core_loaded);
    return code;
}
