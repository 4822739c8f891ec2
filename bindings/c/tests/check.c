#include "check.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#ifdef CHECK_TSAN
/* The core's heap grows on one of its threads and is used on others; ThreadSanitizer sees the first, and not what orders them. */
const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void) { return "race:x_cgo_mmap\n"; }
#endif

_Noreturn static void end(void)
{
    fflush(stderr);
    _exit(1);
}

_Noreturn void check_failed(const char *file, int line, const char *what)
{
    fprintf(stderr, "    %s:%d: does not hold: %s\n", file, line, what);
    end();
}

_Noreturn void check_failed_int(const char *file, int line, const char *what, long long got, long long want)
{
    fprintf(stderr, "    %s:%d: %s is %lld, want %lld\n", file, line, what, got, want);
    end();
}

void check_text(const char *file, int line, const char *text, const char *part)
{
    if (text && strstr(text, part))
        return;
    fprintf(stderr, "    %s:%d: \"%.2000s\" does not hold \"%s\"\n", file, line, text ? text : "(null)", part);
    end();
}

#if defined(CHECK_ASAN)
#define BUILD " (address and undefined behaviour sanitizers)"
#elif defined(CHECK_TSAN)
#define BUILD " (thread sanitizer)"
#else
#define BUILD ""
#endif

/* Under valgrind the main thread's stack is as long as it was in use before a fork; the Go runtime asks for its length and keeps to
 * it. */
static void grow_stack(void)
{
    volatile char deep[1 << 20];
    for (size_t i = sizeof deep; i >= 1024; i -= 1024)
        deep[i - 1] = 0;
}

static int run(const check_test *test)
{
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        setpgid(0, 0);
        alarm(CHECK_SECONDS);
        test->run();
        exit(0); /* not _exit: handlers and destructors are part of what is tested */
    }
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    kill(-child, SIGKILL); /* its own children, should one hang */
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
        fprintf(stderr, "    hung: still running after %u s\n", CHECK_SECONDS);
    else if (WIFSIGNALED(status))
        fprintf(stderr, "    ended by signal %d (%s)\n", WTERMSIG(status), strsignal(WTERMSIG(status)));
    return status;
}

int check_status(pid_t child)
{
    int status;
    CHECK(child > 0);
    while (waitpid(child, &status, 0) < 0)
        CHECK_INT(errno, EINTR);
    return status;
}

unsigned check_seconds(void)
{
    const char *wish = getenv("CHECK_SECONDS");
    return wish && atoi(wish) > 0 ? (unsigned)atoi(wish) : 60;
}

int check_rounds(int normally)
{
    const char *wish = getenv("ROUNDS");
    return wish && atoi(wish) > 0 ? atoi(wish) : normally;
}

void check_in_children(int rounds, void (*f)(void))
{
    for (int i = 0; i < rounds; i++) {
        alarm(CHECK_SECONDS);
        pid_t child = fork();
        if (child == 0) {
            alarm(CHECK_SECONDS / 2);
            f();
            _exit(9); /* it had to exit by itself */
        }
        int status = check_status(child);
        if (status != 0)
            fprintf(stderr, "    in round %d\n", i);
        CHECK_INT(status, 0);
    }
}

static int wanted(int argc, char **argv, const char *name)
{
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], name) == 0)
            return 1;
    return argc < 2;
}

int check_main(int argc, char **argv, const char *suite, const check_test *tests, size_t count)
{
    int passed = 0, failed = 0;
    grow_stack();
    for (size_t i = 0; i < count; i++) {
        if (!wanted(argc, argv, tests[i].name))
            continue;
        int bad = run(&tests[i]);
        bad ? failed++ : passed++;
        printf("%s %s/%s\n", bad ? "FAIL" : "ok  ", suite, tests[i].name);
    }
    printf("%s%s: %d passed, %d failed\n", suite, BUILD, passed, failed);
    return failed ? 1 : 0;
}
