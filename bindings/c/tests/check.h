/* check.h - a small test runner. A test is a function that returns; CHECK ends it when its condition does not hold.
 * Each runs in a process of its own, forked before anything of the library was loaded, with a time limit: one test's
 * crash or hang is that test's failure. */
#ifndef CHECK_H
#define CHECK_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Which sanitizer this is built with, in the words of gcc and of clang. */
#ifdef __has_feature
#define CHECK_HAS(x) __has_feature(x)
#else
#define CHECK_HAS(x) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || CHECK_HAS(address_sanitizer)
#define CHECK_ASAN 1
#elif defined(__SANITIZE_THREAD__) || CHECK_HAS(thread_sanitizer)
#define CHECK_TSAN 1
#endif

typedef struct check_test {
    const char *name;
    void (*run)(void);
} check_test;

/* The time limit of a test, and of each round of one: $CHECK_SECONDS, or one minute. */
#define CHECK_SECONDS check_seconds()
unsigned check_seconds(void);

#define CHECK(condition)                                                                                                           \
    do {                                                                                                                           \
        if (!(condition))                                                                                                          \
            check_failed(__FILE__, __LINE__, #condition);                                                                          \
    } while (0)

#define CHECK_INT(got, want)                                                                                                       \
    do {                                                                                                                           \
        long long check_got = (got), check_want = (want);                                                                          \
        if (check_got != check_want)                                                                                               \
            check_failed_int(__FILE__, __LINE__, #got, check_got, check_want);                                                     \
    } while (0)

/* That `text` holds `part`. */
#define CHECK_TEXT(text, part) check_text(__FILE__, __LINE__, text, part)

_Noreturn void check_failed(const char *file, int line, const char *what);
_Noreturn void check_failed_int(const char *file, int line, const char *what, long long got, long long want);
void check_text(const char *file, int line, const char *text, const char *part);

/* Waits for a child; its status, as waitpid tells it. */
int check_status(pid_t child);

/* How often a scenario of many rounds is gone through: $ROUNDS, or what is quick enough for every run. */
int check_rounds(int normally);

/* Runs f in so many children, one after the other, each with a time limit of its own; each must end with status 0, by itself. */
void check_in_children(int rounds, void (*f)(void));

/* Runs the tests named by argv, all when there are none; prints a line each and the closing line. The exit status of
 * the program. */
int check_main(int argc, char **argv, const char *suite, const check_test *tests, size_t count);

#define CHECK_MAIN(suite, tests)                                                                                                   \
    int main(int argc, char **argv) { return check_main(argc, argv, suite, tests, sizeof tests / sizeof *tests); }

#endif
