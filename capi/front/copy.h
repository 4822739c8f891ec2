/* SPDX-License-Identifier: Apache-2.0
 * copy.h - what the search for a core (loader.c) and the copying of one (copy.c) share. */
#ifndef INLONG_COPY_H
#define INLONG_COPY_H

#include <limits.h>
#include <sys/stat.h>

#include "front.h"

/* The library once found, and what was tried before, with reasons. */
struct inlong_search {
    void *library;
    char tried[INLONG_ERROR_TEXT - 128];
};

void inlong_search_try(struct inlong_search *s, const char *path);
void inlong_search_note(struct inlong_search *s, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The core's file as it was when the parent loaded it. The descriptor outlives an upgrade in place, which gives the path to another
 * file; the host may have closed it, and have something else under its number. */
typedef struct inlong_core_file {
    char path[PATH_MAX];
    int fd; /* -1: none */
    struct stat is;
} inlong_core_file;

void inlong_copy_remember(inlong_core_file *file, const char *path);

/* Loads a private copy of the library. */
void inlong_copy_load(struct inlong_search *s, const inlong_core_file *file);

#endif
