/* SPDX-License-Identifier: Apache-2.0
 * copy.c - loads a second core beside the one that a forked child inherited. The loader of libc takes a file for one it has
 * when the name or the inode is the same: only a copy of the bytes under a new name is another library. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "copy.h"

static bool copy_bytes(int from, int to, off_t size)
{
    for (off_t at = 0; at < size;) {
        ssize_t n = sendfile(to, from, &at, (size_t)(size - at));
        if (n < 0 && errno == EINTR)
            continue;
        if (n == 0)
            errno = EIO; /* it became shorter, because somebody is installing another one */
        if (n <= 0)
            return false;
    }
    return true;
}

/* In memory. The name is new at each depth of forking, because numbers of descriptors are reused. */
static void try_memory(struct inlong_search *s, int from, off_t size)
{
    static int depth;
    int fd = memfd_create("inlong_dataproxy_core", MFD_CLOEXEC);
    if (fd < 0 || !copy_bytes(from, fd, size)) {
        inlong_search_note(s, "a copy in memory: %s", strerror(errno));
    } else {
        char path[1024] = "/proc/self/fd/";
        size_t end = strlen(path);
        for (int i = 0; i < depth && end < sizeof path - 32; i++, end += 2)
            memcpy(path + end, "./", 3);
        snprintf(path + end, sizeof path - end, "%d", fd);
        inlong_search_try(s, path);
        depth++;
    }
    if (fd >= 0)
        close(fd); /* the mapping keeps what it needs */
}

/* In a file that has no name any more once it is loaded. */
static void try_folder(struct inlong_search *s, int from, off_t size, const char *folder)
{
    char path[PATH_MAX];
    if (s->library || !folder || !*folder ||
        snprintf(path, sizeof path, "%s/inlong_dataproxy_core.XXXXXX", folder) >= (int)sizeof path)
        return;
    int fd = mkostemp(path, O_CLOEXEC);
    if (fd < 0) {
        inlong_search_note(s, "%s: %s", folder, strerror(errno));
        return;
    }
    if (copy_bytes(from, fd, size))
        inlong_search_try(s, path);
    else
        inlong_search_note(s, "%s: %s", path, strerror(errno));
    unlink(path);
    close(fd);
}

void inlong_copy_remember(inlong_core_file *file, const char *path)
{
    if (!realpath(path, file->path))
        file->path[0] = 0;
    file->fd = open(file->path, O_RDONLY | O_CLOEXEC);
    if (file->fd >= 0 && fstat(file->fd, &file->is) != 0) {
        close(file->fd);
        file->fd = -1;
    }
}

/* Whether fd leads to the very file, unchanged. */
static bool is_that_file(int fd, const inlong_core_file *file)
{
    struct stat now;
    return fd >= 0 && file->fd >= 0 && fstat(fd, &now) == 0 && now.st_dev == file->is.st_dev && now.st_ino == file->is.st_ino &&
           now.st_size == file->is.st_size && now.st_mtim.tv_sec == file->is.st_mtim.tv_sec &&
           now.st_mtim.tv_nsec == file->is.st_mtim.tv_nsec;
}

/* A descriptor of its own, or -1. The path is a second chance, because hosts close descriptors that they do not know. */
static int open_core(struct inlong_search *s, const inlong_core_file *file)
{
    if (is_that_file(file->fd, file))
        return fcntl(file->fd, F_DUPFD_CLOEXEC, 0);
    int fd = open(file->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        inlong_search_note(s, "%s: %s", file->path, strerror(errno));
    } else if (!is_that_file(fd, file)) {
        inlong_search_note(s, "%s: it is another file than the one that the parent has loaded", file->path);
        close(fd);
        fd = -1;
    }
    return fd;
}

void inlong_copy_load(struct inlong_search *s, const inlong_core_file *file)
{
    off_t size = file->is.st_size;
    struct rlimit limit;
    int from = open_core(s, file);
    if (from < 0)
        return;
    if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur < (rlim_t)size) {
        inlong_search_note(s, "the limit of this process for the size of files is below that of the core"); /* not SIGXFSZ */
    } else {
        try_memory(s, from, size);
        try_folder(s, from, size, secure_getenv("TMPDIR"));
        try_folder(s, from, size, "/dev/shm");
        try_folder(s, from, size, "/tmp");
        try_folder(s, from, size, "/var/tmp");
    }
    close(from);
}
