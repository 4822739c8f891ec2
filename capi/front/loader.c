/* SPDX-License-Identifier: Apache-2.0
 * loader.c - finds and loads the Go core; in a forked child, a copy of the parent's. */
#include <dlfcn.h>
#include <limits.h>
#include <link.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#ifdef __SSE__
#include <xmmintrin.h>
#endif

#include "copy.h"

atomic_bool inlong_core_loaded;

inlong_fork_mutex inlong_loader_mutex = INLONG_FORK_MUTEX; /* guards all that follows */
static char front_path[PATH_MAX];                          /* set by the constructor */
static inlong_core_file core_file = {.fd = -1};

void inlong_search_note(struct inlong_search *s, const char *format, ...)
{
    char reason[INLONG_ERROR_TEXT];
    va_list args;
    va_start(args, format);
    vsnprintf(reason, sizeof reason, format, args);
    va_end(args);
    size_t used = strlen(s->tried);
    snprintf(s->tried + used, sizeof s->tried - used, "%s%s", used ? "; " : "", reason);
}

void inlong_search_try(struct inlong_search *s, const char *path)
{
    if (s->library)
        return;
    s->library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (s->library)
        return;
    const char *reason = dlerror();
    inlong_search_note(s, "%s", reason ? reason : path);
}

static void try_beside(struct inlong_search *s, const char *front)
{
    char path[PATH_MAX];
    const char *slash = strrchr(front, '/');
    int folder = slash ? (int)(slash - front) : 0;
    if (slash && snprintf(path, sizeof path, "%.*s/%s", folder, front, inlong_core_name) < (int)sizeof path)
        inlong_search_try(s, path);
}

static bool same_folder(const char *a, const char *b)
{
    size_t length = (size_t)(strrchr(a, '/') - a);
    return length == (size_t)(strrchr(b, '/') - b) && memcmp(a, b, length) == 0;
}

static void find(struct inlong_search *s)
{
    const char *named = secure_getenv("INLONG_DATAPROXY_CORE");
    if (named && *named) { /* a wrong value must not be hidden by a core that is found elsewhere */
        inlong_search_try(s, named);
        if (!s->library)
            inlong_search_note(s, "INLONG_DATAPROXY_CORE names it: no other is looked for");
        return;
    }
    char real[PATH_MAX];
    if (front_path[0]) {
        try_beside(s, front_path);
        if (!s->library && realpath(front_path, real) && !same_folder(real, front_path))
            try_beside(s, real); /* the front was found through a link from another folder */
    }
    inlong_search_try(s, inlong_core_name);
}

/* When the front is loaded: later a daemon may have gone to another folder, and a relative path leads nowhere. */
__attribute__((constructor)) static void remember_front(void)
{
    Dl_info front;
    char folder[PATH_MAX];
    if (!dladdr((void *)&inlong_core_loaded, &front) || !front.dli_fname)
        return;
    const char *name = front.dli_fname;
    if (*name == '/' || !getcwd(folder, sizeof folder))
        folder[0] = 0;
    if (snprintf(front_path, sizeof front_path, "%s%s%s", folder, folder[0] ? "/" : "", name) >= (int)sizeof front_path)
        front_path[0] = 0;
}

/* What libc's loader tells debuggers, and whether it was in the middle of a step at the fork: it ends a process that loads something then. */
static const struct r_debug *loader;
static bool forked_inside_loader;

/* The file that was loaded, for the copies of children. */
static void remember_core(void *library)
{
    struct link_map *map;
    loader = dlsym(RTLD_DEFAULT, "_r_debug");
    if (dlinfo(library, RTLD_DI_LINKMAP, &map) == 0)
        inlong_copy_remember(&core_file, map->l_name);
}

static const inlong_core_host host = {inlong_call_next,   inlong_ring_take, inlong_deliver,   inlong_client_closed,
                                      inlong_log_deliver, inlong_auth_ask,  inlong_auth_free, inlong_client_stuck};

static int start(void *library)
{
    inlong_core_about about = {0};
    inlong_core_entry_function entry;
    *(void **)&entry = dlsym(library, INLONG_CORE_ENTRY);
    const char *file = core_file.path[0] ? core_file.path : inlong_core_name;
    if (!entry)
        return inlong_fail(INLONG_ERR_ABI, "%.512s is not a core of this library: it has no %s", file, INLONG_CORE_ENTRY);
    int code = entry(INLONG_CORE_ABI_VERSION, &host, &about);
    if (code == INLONG_CORE_TAKEN)
        return code;
    if (code != INLONG_OK || about.version != INLONG_CORE_ABI_VERSION)
        return inlong_fail(INLONG_ERR_ABI, "%.512s has interface version %u, this front needs %d: they are of two builds", file,
                           (unsigned)about.version, INLONG_CORE_ABI_VERSION);
    if (about.runtime == INLONG_CORE_UNMARKED)
        return inlong_fail(INLONG_ERR_ABI,
                           "%.512s was not built by `make capi`: its runtime would not leave signals and threads of the host alone",
                           file);
    if (about.runtime != INLONG_RUNTIME_WANTED)
        return inlong_fail(INLONG_ERR_ABI, "%.512s and this front are of two builds: only one has a stock runtime", file);
    inlong_runtime_apply();
    return INLONG_OK;
}

/* A copy of the core that somebody else has; a failure is `fault`, for that reason. */
static int load_copy(int fault, const char *why)
{
    struct inlong_search s = {NULL, ""};
    inlong_copy_load(&s, &core_file);
    int code = s.library ? start(s.library) : INLONG_CORE_TAKEN;
    if (code == INLONG_CORE_TAKEN)
        return inlong_fail(fault, "%s, and a core of its own cannot be loaded; tried: %s", why, s.tried);
    return code;
}

/* The process's first. */
static int load(void)
{
#ifndef __GLIBC__
    return inlong_fail(INLONG_ERR_LOAD, "this library needs glibc: the Go runtime cannot be loaded by musl");
#endif
    struct inlong_search s = {NULL, ""};
    find(&s);
    if (!s.library)
        return inlong_fail(
            INLONG_ERR_LOAD,
            "cannot load %s, which belongs beside libinlong_dataproxy.so, or is named by INLONG_DATAPROXY_CORE; tried: %s",
            inlong_core_name, s.tried);
    remember_core(s.library);
    int code = start(s.library);
    if (code == INLONG_CORE_TAKEN)
        code = load_copy(INLONG_ERR_LOAD, "another copy of this library in this process has the core");
    return code;
}

static const char forked[] = "this process was forked after its parent had made a client";

static int fail_inside_loader(void)
{
    return inlong_fail(INLONG_ERR_FORKED,
                       "%s, while another thread of it was inside libc's loader: a core of its own could not be loaded", forked);
}

/* Whether a child may have a core of its own. */
static int check_reload(void)
{
    const char *wish = getenv("INLONG_FORK");
    bool named = wish && *wish, off = named && strcmp(wish, "error") == 0;
    if (named && !off && strcmp(wish, "reload") != 0)
        return inlong_fail(INLONG_ERR_OPTION, "INLONG_FORK is \"%.64s\": it must be reload or error", wish);
    if (off || !inlong_runtime_reloads())
        return inlong_fail(INLONG_ERR_FORKED, "%s, and %s: make clients after the fork, or exec", forked,
                           off ? "INLONG_FORK=error" : "INLONG_RUNTIME_FORK_RELOAD is 0");
    return forked_inside_loader ? fail_inside_loader() : INLONG_OK;
}

/* On a thread of its own: libc's loader may wait for ever, for a lock that a thread of the parent held. */
static int reload_copy(void) { return load_copy(INLONG_ERR_FORKED, forked); }

/* How floats round and trap: the runtime's threads inherit it from the one that loads it, and must not end the process for a division
 * by zero. Other processors than x86 do not trap. */
#ifdef __SSE__
static unsigned hold_floats(void)
{
    unsigned hosts = _mm_getcsr();
    _mm_setcsr(0x1f80); /* as a process begins */
    return hosts;
}

static void let_floats_go(unsigned hosts) { _mm_setcsr(hosts); }
#else
static unsigned hold_floats(void) { return 0; }
static void let_floats_go(unsigned hosts) { (void)hosts; }
#endif

/* The runtime raises the soft limit of open files to the hard one: a host that uses select would get descriptors that do not fit into an
 * fd_set, and so would the programs that it starts. */
static void put_files_back(rlim_t soft)
{
    struct rlimit now;
    if (getrlimit(RLIMIT_NOFILE, &now) != 0 || now.rlim_cur == soft)
        return;
    now.rlim_cur = soft;
    (void)setrlimit(RLIMIT_NOFILE, &now);
}

static int load_quietly(int (*load_one)(void))
{
    sigset_t old;
    inlong_signals_hold(&old);
    unsigned floats = hold_floats();
    struct rlimit files;
    bool known = getrlimit(RLIMIT_NOFILE, &files) == 0;
    int code = inlong_room_check();
    if (code == INLONG_OK)
        code = load_one();
    if (known)
        put_files_back(files.rlim_cur);
    let_floats_go(floats);
    inlong_signals_let_go(&old);
    return code;
}

enum { RELOAD_MS = 5000 };

/* The thread that loads a child's copy. It writes the rest before `done`, and lives on when its maker gave up. */
static struct {
    pthread_mutex_t mutex;
    pthread_cond_t ended;
    bool running, done;
    int code;
    char text[INLONG_ERROR_TEXT];
} reloading;

static int stop_at_once(struct dl_phdr_info *info, size_t size, void *unused)
{
    (void)info, (void)size, (void)unused;
    return 1;
}

/* Waits first for the lock that may be held for ever, without one that exit() takes: inside dlopen it would have that. */
static void *run_reload(void *unused)
{
    (void)dl_iterate_phdr(stop_at_once, NULL);
    int code = inlong_tell(load_quietly(reload_copy), reloading.text, sizeof reloading.text);
    pthread_mutex_lock(&reloading.mutex);
    reloading.code = code;
    reloading.done = true;
    pthread_cond_broadcast(&reloading.ended);
    pthread_mutex_unlock(&reloading.mutex);
    return unused;
}

static int begin_reload(void)
{
    inlong_slots_forget();
    inlong_gate_forget();
    inlong_calls_forget();
    memset(&reloading, 0, sizeof reloading);
    pthread_mutex_init(&reloading.mutex, NULL);
    inlong_cond_init(&reloading.ended);
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old); /* no signal of the host on that thread */
    pthread_t thread;
    int cause = pthread_create(&thread, NULL, run_reload, NULL);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (cause != 0)
        return inlong_fail(INLONG_ERR_NOMEM, "cannot start a thread that loads the core: %s", strerror(cause));
    pthread_detach(thread);
    reloading.running = true;
    return INLONG_OK;
}

static int reload(void)
{
    int code = check_reload();
    if (code == INLONG_OK && !reloading.running)
        code = begin_reload();
    if (code != INLONG_OK)
        return code;
    struct timespec until = inlong_deadline(RELOAD_MS);
    pthread_mutex_lock(&reloading.mutex);
    while (!reloading.done && pthread_cond_timedwait(&reloading.ended, &reloading.mutex, &until) == 0)
        ;
    bool done = reloading.done;
    pthread_mutex_unlock(&reloading.mutex);
    if (!done)
        return fail_inside_loader();
    reloading.running = false;
    return reloading.code == INLONG_OK ? INLONG_OK : inlong_fail(reloading.code, "%s", reloading.text);
}

/* With the mutex held. A child whose parent found no core has nothing to copy. */
static int load_here(void)
{
    if (!inlong_guard_arm())
        return inlong_fail(INLONG_ERR_NOMEM, "no memory for the fork guard");
    int code = atomic_load(&inlong_core_loaded) ? reload() : load_quietly(load);
    if (code == INLONG_OK) {
        atomic_store(&inlong_core_loaded, true);
        inlong_guard_own();
    }
    return code;
}

int inlong_core_load(void)
{
    if (inlong_cloned())
        return inlong_fail(INLONG_ERR_FORKED, "%s, and not by fork() of libc: make clients before that, or exec", forked);
    inlong_gate_arm();
    int code = INLONG_OK;
    if (inlong_forked() || !atomic_load(&inlong_core_loaded)) {
        int state = inlong_cancel_hold();
        inlong_fork_lock(&inlong_loader_mutex);
        if (inlong_forked() || !atomic_load(&inlong_core_loaded))
            code = load_here();
        inlong_fork_unlock(&inlong_loader_mutex);
        inlong_cancel_let_go(state);
    }
    return code;
}

void inlong_loader_forked(void)
{
    reloading.running = false; /* a thread of the parent, where it ran */
    forked_inside_loader = loader && loader->r_state != RT_CONSISTENT;
}
