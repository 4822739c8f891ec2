#include "left.h"

#include <dirent.h>
#include <fcntl.h>
#include <malloc.h>
#include <string.h>

#include "check.h"

int open_descriptors(bool inherited_only)
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

left left_now(void)
{
    malloc_trim(0);
    return (left){open_descriptors(false), number_in("/proc/self/status", "Threads:"), number_in("/proc/self/status", "VmRSS:"),
                  (long)mallinfo2().uordblks};
}

void left_print(const char *when, left l)
{
    printf("    %s: %ld descriptors, %ld threads, %ld KiB resident, %ld bytes of malloc\n", when, l.descriptors, l.threads,
           l.resident_kib, l.allocated);
}
