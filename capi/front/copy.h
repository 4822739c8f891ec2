/* SPDX-License-Identifier: Apache-2.0
 * copy.h - what the search for a core (loader.c) and the copying of one (copy.c) share. */
#ifndef INLONG_COPY_H
#define INLONG_COPY_H

#include <limits.h>

#include "front.h"

/* The library once found, and what was tried before, with reasons. */
struct inlong_search {
    void *library;
    char tried[INLONG_ERROR_TEXT - 128];
};

void inlong_search_try(struct inlong_search *s, const char *path);
void inlong_search_note(struct inlong_search *s, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Loads a private copy of the library at `path`. */
void inlong_copy_load(struct inlong_search *s, const char *path);

#endif
