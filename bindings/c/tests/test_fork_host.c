/* H2: the child's signals, and where its copy of the core comes from. */
#include "forks.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static const char *const no_options[] = {NULL};

static void fault(void) { *(volatile int *)(intptr_t)16 = 1; }

static void fault_at_once(void *unused)
{
    (void)unused;
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    fault();
}

static void fault_beside_a_core(void *url)
{
    send_with_a_client_of_its_own(url, 1);
    fault_at_once(NULL);
}

static void *call_once(void *mock) { return inlong_mock_stats(mock, NULL, 0) > 0 ? mock : NULL; }

/* Threads that come and go in the runtime, by its lists that a handler of it would need. */
static void *keep_calling(void *mock)
{
    void *answered = mock;
    while (answered) {
        pthread_t thread;
        CHECK_INT(pthread_create(&thread, NULL, call_once, mock), 0);
        CHECK_INT(pthread_join(thread, &answered), 0);
    }
    return NULL;
}

/* The parent's runtime had taken these signals; its handlers would look for a runtime that is gone, and perhaps for ever. */
static void fault_of_a_child_ends_it(void)
{
    fixture f = open_fixture(no_options);
    pthread_t thread;
    CHECK_INT(pthread_create(&thread, NULL, keep_calling, f.mock), 0);
    for (int i = 0; i < 20; i++) {
        int status = in_child(i % 4 ? fault_at_once : fault_beside_a_core, f.url);
        CHECK(WIFSIGNALED(status));
        CHECK_INT(WTERMSIG(status), SIGSEGV);
    }
    close_fixture(&f);
    CHECK_INT(pthread_join(thread, NULL), 0);
}

static volatile sig_atomic_t caught[NSIG];
static sigjmp_buf back;

static void jump_back(int sig)
{
    caught[sig]++;
    siglongjmp(back, 1);
}

static void note(int sig) { caught[sig]++; }

static void check_handlers(int times)
{
    int ends[2];
    if (sigsetjmp(back, 1) == 0)
        fault();
    CHECK_INT(caught[SIGSEGV], times);
    CHECK_INT(pipe(ends), 0);
    close(ends[0]);
    CHECK_INT(write(ends[1], "x", 1), -1);
    close(ends[1]);
    CHECK_INT(caught[SIGPIPE], times);
    raise(SIGUSR1);
    CHECK_INT(caught[SIGUSR1], times);
}

static void check_handlers_of_the_child(void *url)
{
    struct sigaction now;
    CHECK_INT(sigaction(SIGSEGV, NULL, &now), 0);
    CHECK(now.sa_handler == jump_back); /* not the runtime's, which only passes on */
    check_handlers(1);
    send_with_a_client_of_its_own(url, 10);
    check_handlers(2);
}

static void handlers_of_the_host_stay_in_the_child(void)
{
    signal(SIGSEGV, jump_back);
    signal(SIGPIPE, note);
    signal(SIGUSR1, note);
    fixture f = open_fixture(no_options);
    CHECK_INT(in_child(check_handlers_of_the_child, f.url), 0);
    check_handlers(1); /* and in the parent */
    close_fixture(&f);
}

/* A handler that the program set after the load is its own choice: it stays too. */
static void check_later_handler(void *url)
{
    struct sigaction now;
    CHECK_INT(sigaction(SIGSEGV, NULL, &now), 0);
    CHECK(now.sa_handler == jump_back);
    send_with_a_client_of_its_own(url, 1);
    check_handlers(1);
}

static void later_handlers_stay_in_the_child(void)
{
    fixture f = open_fixture(no_options);
    struct sigaction action = {.sa_flags = SA_ONSTACK};
    action.sa_handler = jump_back;
    CHECK_INT(sigaction(SIGSEGV, &action, NULL), 0);
    action.sa_handler = note;
    CHECK_INT(sigaction(SIGPIPE, &action, NULL), 0);
    CHECK_INT(sigaction(SIGUSR1, &action, NULL), 0);
    CHECK_INT(in_child(check_later_handler, f.url), 0);
    close_fixture(&f);
}

/* ---- the copy ---- */

static int files_in(const char *folder)
{
    int count = -2; /* . and .. */
    DIR *all = opendir(folder);
    CHECK(all != NULL);
    while (readdir(all))
        count++;
    closedir(all);
    return count;
}

/* Makes memfd_create fail as it does where a policy of the machine forbids it. */
static void forbid_memory_files(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_memfd_create, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EACCES),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof code / sizeof *code, code};
    CHECK_INT(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    CHECK_INT(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
}

static void no_descriptor_of_the_copy_is_left(void)
{
    DIR *all = opendir("/proc/self/fd");
    CHECK(all != NULL);
    for (struct dirent *entry; (entry = readdir(all));) {
        char target[PATH_MAX] = "";
        if (readlinkat(dirfd(all), entry->d_name, target, sizeof target - 1) > 0)
            CHECK(!strstr(target, "memfd:inlong") && !strstr(target, "(deleted)"));
    }
    closedir(all);
}

static void use_a_copy_in_memory(void *url)
{
    send_with_a_client_of_its_own(url, 1);
    no_descriptor_of_the_copy_is_left();
}

static void use_a_copy_in_a_file(void *url)
{
    forbid_memory_files();
    use_a_copy_in_memory(url);
}

static void copy_leaves_no_file(void)
{
    char folder[] = "/tmp/inlong_test_XXXXXX";
    CHECK(mkdtemp(folder) != NULL);
    setenv("TMPDIR", folder, 1);
    fixture f = open_fixture(no_options);
    CHECK_INT(in_child(use_a_copy_in_memory, f.url), 0);
    CHECK_INT(in_child(use_a_copy_in_a_file, f.url), 0);
    setenv("TMPDIR", "/nowhere", 1); /* then one of the usual places */
    CHECK_INT(in_child(use_a_copy_in_a_file, f.url), 0);
    CHECK_INT(files_in(folder), 0);
    rmdir(folder);
    close_fixture(&f);
}

static void fail(const char *part)
{
    char err[1024];
    inlong_mock *mock;
    CHECK_INT(inlong_mock_new(0, &mock, err, sizeof err), INLONG_ERR_FORKED);
    CHECK_TEXT(err, "a core of its own cannot be loaded");
    CHECK_TEXT(err, part);
}

/* A file that grows beyond the limit ends the process by SIGXFSZ. */
static void fail_for_the_limit(void *parents)
{
    struct rlimit limit, small = {1000, RLIM_INFINITY};
    CHECK_INT(getrlimit(RLIMIT_FSIZE, &limit), 0);
    CHECK_INT(setrlimit(RLIMIT_FSIZE, &small), 0);
    fail("size of files");
    CHECK_INT(setrlimit(RLIMIT_FSIZE, &limit), 0);
    check_old_handles(parents);
    send_with_a_client_of_its_own(((fixture *)parents)->url, 1); /* and it can be made good */
}

/* The library's own descriptor of the core goes too. */
static void fail_for_the_file(void *parents)
{
    closefrom(3);
    fail(getenv("INLONG_DATAPROXY_CORE"));
    check_old_handles(parents);
}

static void use_the_copy_of_a_parent(void *parents)
{
    send_with_a_client_of_its_own(((fixture *)parents)->url, 1);
    check_old_handles(parents);
}

/* The core from the folder of the libraries under test, whether this program holds the front or is linked with it. */
static void copy_core(const char *to)
{
    char command[4 * PATH_MAX], self[PATH_MAX] = "";
    CHECK(readlink("/proc/self/exe", self, sizeof self - 1) > 0);
    *strrchr(self, '/') = 0;
    const char *named = getenv("INLONG_DATAPROXY_CORE");
    snprintf(command, sizeof command, "cp '%s%s' '%s'", named ? named : self, named ? "" : "/../lib/" CORE_NAME, to);
    CHECK_INT(system(command), 0);
}

static void child_without_a_copy_is_told(void)
{
    char core[] = "/tmp/inlong_test_XXXXXX";
    int file = mkstemp(core);
    CHECK(file >= 0);
    close(file);
    copy_core(core);
    setenv("INLONG_DATAPROXY_CORE", core, 1);
    fixture f = open_fixture(no_options);
    CHECK_INT(in_child(fail_for_the_limit, &f), 0);
    unlink(core);
    CHECK_INT(in_child(fail_for_the_file, &f), 0);
    close_fixture(&f);
}

/* A child took whatever lay at the core's path by then: another build, beside the parent's front; or nothing, and no worker of a
 * pre-fork server could make a client. */
static void child_loads_its_parents_core_after_an_upgrade_in_place(void)
{
    char core[] = "/tmp/inlong_test_XXXXXX", command[PATH_MAX];
    int file = mkstemp(core);
    CHECK(file >= 0);
    close(file);
    copy_core(core);
    setenv("INLONG_DATAPROXY_CORE", core, 1);
    fixture f = open_fixture(no_options);
    snprintf(command, sizeof command, "echo another >%s.new && mv %s.new %s", core, core, core);
    CHECK_INT(system(command), 0);
    CHECK_INT(in_child(use_the_copy_of_a_parent, &f), 0);
    CHECK_INT(in_child(fail_for_the_file, &f), 0);
    unlink(core);
    CHECK_INT(in_child(use_the_copy_of_a_parent, &f), 0);
    close_fixture(&f);
}

static int in_the_loader[2]; /* the thread says that it is there */

static int stay_in_the_loader(struct dl_phdr_info *info, size_t size, void *unused)
{
    (void)info, (void)size, (void)unused;
    CHECK_INT(write(in_the_loader[1], "", 1), 1);
    for (;;)
        pause();
}

static void *enter_the_loader(void *unused)
{
    dl_iterate_phdr(stay_in_the_loader, unused);
    return NULL;
}

static void be_told_of_the_loader(void *parents)
{
    char err[1024];
    inlong_mock *mock;
    for (int i = 0; i < 2; i++) {
        int code = inlong_mock_new(0, &mock, err, sizeof err);
        if (i == 0 && code == INLONG_OK)
            _exit(77); /* this libc makes the lock anew in a child */
        CHECK_INT(code, INLONG_ERR_FORKED);
        CHECK_TEXT(err, "inside libc's loader");
    }
    check_old_handles(parents);
    alarm(1); /* and its signals are open meanwhile */
    inlong_mock_new(0, &mock, err, sizeof err);
}

/* A lock of libc's loader that a thread of the parent held is never given back in the child: it hung, with all signals blocked. */
static void child_of_a_parent_inside_the_loader_is_told(void)
{
    fixture f = open_fixture(no_options);
    pthread_t thread;
    char there;
    CHECK_INT(pipe(in_the_loader), 0);
    CHECK_INT(pthread_create(&thread, NULL, enter_the_loader, NULL), 0);
    CHECK_INT(read(in_the_loader[0], &there, 1), 1);
    int status = in_child(be_told_of_the_loader, &f);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
        printf("    this libc makes the loader's lock anew in a child: nothing to tell\n");
    else
        CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM);
    _exit(0); /* the thread holds a lock that an exit may want */
}

static const check_test tests[] = {
    {"H2_fault_of_a_child_ends_it", fault_of_a_child_ends_it},
    {"H2_handlers_of_the_host_stay_in_the_child", handlers_of_the_host_stay_in_the_child},
    {"H2_later_handlers_stay_in_the_child", later_handlers_stay_in_the_child},
    {"H2_copy_leaves_no_file", copy_leaves_no_file},
    {"H2_child_without_a_copy_is_told", child_without_a_copy_is_told},
    {"H2_child_loads_its_parents_core_after_an_upgrade_in_place", child_loads_its_parents_core_after_an_upgrade_in_place},
    {"H2_child_of_a_parent_inside_the_loader_is_told", child_of_a_parent_inside_the_loader_is_told},
};

CHECK_MAIN("fork_host", tests)
