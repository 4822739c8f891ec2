/* The host's process stays the host's: standard output, standard error, descriptors. Its signals: test_signals.c. */
#include "fixture.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/stat.h>

static const char *const no_options[] = {NULL};

/* Not one byte to stdout or stderr, whatever goes wrong. */
static void nothing_is_printed(void)
{
    char path[] = "/tmp/inlong_test_XXXXXX";
    int file = mkstemp(path), out = dup(1), err = dup(2);
    CHECK(file >= 0);
    fflush(NULL);
    dup2(file, 1);
    dup2(file, 2);
    fixture f = open_fixture((const char *const[]){"conn_timeout", "300ms", "send_timeout", "2s", NULL});
    inlong_message m = message("x");
    for (int i = 0; i < 3; i++) {
        char request[64];
        snprintf(request, sizeof request, "{\"op\":\"kill\",\"node\":%d}", i);
        inlong_client_send_async(f.client, &m, NULL, NULL);
        control(f.mock, request);
    }
    inlong_client_send(f.client, &m, 1000, NULL);
    inlong_client_close(f.client, 500, NULL);
    f.client = NULL;
    close_fixture(&f);
    fflush(NULL);
    dup2(out, 1);
    dup2(err, 2);
    struct stat written;
    CHECK_INT(fstat(file, &written), 0);
    unlink(path);
    CHECK_INT(written.st_size, 0);
}

/* A program that the host starts must not inherit sockets. */
static int open_descriptors(bool inherited_only)
{
    int count = 0;
    DIR *folder = opendir("/proc/self/fd");
    CHECK(folder != NULL);
    for (struct dirent *entry; (entry = readdir(folder));) {
        int flags = fcntl(atoi(entry->d_name), F_GETFD);
        count += flags >= 0 && !(inherited_only && (flags & FD_CLOEXEC));
    }
    closedir(folder);
    return count;
}

static void descriptors_are_not_inherited(void)
{
    int all = open_descriptors(false), inherited = open_descriptors(true);
    fixture f = open_fixture(no_options);
    CHECK(inlong_client_event_fd(f.client) > 2);
    CHECK(open_descriptors(false) > all + 4); /* the Manager's, the nodes', the lanes': the count is of something */
    CHECK_INT(open_descriptors(true), inherited);
    close_fixture(&f);
}

static const check_test tests[] = {
    {"nothing_is_printed", nothing_is_printed},
    {"descriptors_are_not_inherited", descriptors_are_not_inherited},
};

CHECK_MAIN("host", tests)
