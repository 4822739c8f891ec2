/* The host's process stays the host's: standard output, standard error, descriptors. Its signals: test_signals.c. */
#include "fixture.h"

#include <dirent.h>
#include <fcntl.h>
#include <malloc.h>
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

/* ---- what is left ---- */

static long number_in(const char *file, const char *name)
{
    char line[256];
    long number = -1;
    FILE *f = fopen(file, "r");
    CHECK(f != NULL);
    while (number < 0 && fgets(line, sizeof line, f))
        if (strncmp(line, name, strlen(name)) == 0)
            number = atol(line + strlen(name));
    fclose(f);
    CHECK(number >= 0);
    return number;
}

typedef struct left {
    long descriptors, threads, resident_kib, allocated;
} left;

static left look(void)
{
    malloc_trim(0);
    return (left){open_descriptors(false), number_in("/proc/self/status", "Threads:"), number_in("/proc/self/status", "VmRSS:"),
                  (long)mallinfo2().uordblks};
}

static void print(const char *when, left l)
{
    printf("    %s: %ld descriptors, %ld threads, %ld KiB resident, %ld bytes of malloc\n", when, l.descriptors, l.threads,
           l.resident_kib, l.allocated);
}

static void open_use_close(const char *url)
{
    inlong_client *client = open_client(url, no_options);
    tally t = TALLY;
    inlong_message m = message("x");
    inlong_result r = {.struct_size = sizeof r};
    CHECK(inlong_client_event_fd(client) >= 0);
    for (int i = 0; i < 10; i++) {
        CHECK_INT(inlong_client_send_async(client, &m, tally_result, &t), INLONG_OK);
        CHECK_INT(inlong_client_send_async(client, &m, NULL, NULL), INLONG_OK);
    }
    CHECK_INT(inlong_client_close(client, 5000, NULL), INLONG_OK);
    CHECK_INT(t.acked, 10);
    for (int i = 0; i < 10; i++)
        CHECK_INT(inlong_client_poll(client, &r, 1, 0), 1);
}

static void *open_use_close_in_a_thread(void *url)
{
    open_use_close(url);
    return NULL;
}

/* Threads, descriptors, memory and slots must come back, or a program that opens clients again and again dies of it. Every second
 * client lives on a thread of its own, which ends. */
static void clients_200_leave_nothing(void)
{
    fixture f = open_fixture(NULL);
    left before = {0}, after;
    for (int round = 0; round < 250; round++) {
        if (round == 50) /* caches are filled, the runtime has the threads that it wants */
            print("after 50 clients", before = look());
        pthread_t thread;
        if (round % 2) {
            CHECK_INT(pthread_create(&thread, NULL, open_use_close_in_a_thread, f.url), 0);
            CHECK_INT(pthread_join(thread, NULL), 0);
        } else {
            open_use_close(f.url);
        }
    }
    /* The mock notices a close a moment later: both ends are in this process. */
    for (int tries = 0; (after = look()).descriptors > before.descriptors && tries < 250; tries++)
        usleep(20000);
    print("after 250", after);
    CHECK(after.descriptors <= before.descriptors);
    CHECK(after.threads <= before.threads + 2);
#ifndef CHECK_ASAN /* which keeps what was freed, and tells at the end what was not */
    CHECK(after.allocated <= before.allocated + 64 * 1024);
    CHECK(after.resident_kib <= before.resident_kib + 8 * 1024);
#endif
    close_fixture(&f);
}

static const check_test tests[] = {
    {"nothing_is_printed", nothing_is_printed},
    {"descriptors_are_not_inherited", descriptors_are_not_inherited},
    {"F7_200_clients_leave_nothing", clients_200_leave_nothing},
};

CHECK_MAIN("host", tests)
