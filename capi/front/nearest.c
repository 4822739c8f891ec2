/* SPDX-License-Identifier: Apache-2.0
 * nearest.c - which option a wrong key was meant to be. core/internal/nearest does the same in Go; the two are tested with
 * one list of names. */
#include <ctype.h>
#include <string.h>

#include "front.h"

enum { LONGEST = 64 };

/* Writes a key without what does not count: letters' case, '_', '-' and the "With" of Go's setters. Returns its length, more
 * than LONGEST when it is too long to be meant as a key. */
static size_t plain(const char *key, char to[LONGEST])
{
    size_t n = 0;
    for (key += strncmp(key, "With", 4) == 0 ? 4 : 0; *key; key++) {
        if (*key == '_' || *key == '-')
            continue;
        if (n == LONGEST)
            return LONGEST + 1;
        to[n++] = (char)tolower((unsigned char)*key);
    }
    return n;
}

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

/* The number of edits that make b of a; a swap of neighbours is one. */
static size_t edits(const char *a, size_t la, const char *b, size_t lb)
{
    size_t rows[3][LONGEST + 1];
    for (size_t j = 0; j <= lb; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= la; i++) {
        size_t *row = rows[i % 3], *above = rows[(i - 1) % 3], *two_above = rows[(i + 1) % 3];
        row[0] = i;
        for (size_t j = 1; j <= lb; j++) {
            if (a[i - 1] == b[j - 1]) {
                row[j] = above[j - 1];
                continue;
            }
            row[j] = 1 + least(above[j - 1], least(above[j], row[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = least(row[j], 1 + two_above[j - 2]);
        }
    }
    return rows[la % 3][lb];
}

const char *inlong_nearest_option(const char *key)
{
    const char *best = NULL;
    char a[LONGEST], b[LONGEST];
    size_t la = plain(key, a), fewest = 0;
    if (la > LONGEST)
        return NULL;
    for (size_t i = 0; i < inlong_option_table_size; i++) {
        size_t lb = plain(inlong_option_table[i].key, b), n = edits(a, la, b, lb);
        /* At most two of five characters may differ. */
        if (5 * n <= 2 * (la > lb ? la : lb) && (!best || n < fewest)) {
            best = inlong_option_table[i].key;
            fewest = n;
        }
    }
    return best;
}
