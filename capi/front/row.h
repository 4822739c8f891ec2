/* SPDX-License-Identifier: Apache-2.0
 * row.h - what row_format.c and row.c share. */
#ifndef INLONG_FRONT_ROW_H
#define INLONG_FRONT_ROW_H

#include "front.h"

/* A character that cannot stand in a value as it is. */
typedef struct inlong_row_mark {
    char text[4], instead[8];
    unsigned char text_len, instead_len; /* instead_len 0: it is refused */
    const char *what, *why;              /* of the refusal */
} inlong_row_mark;

enum {
    INLONG_ROW_MARKS = 7 /* three separators, escape character, LF, and two of control escapes */
};

struct inlong_row_format {
    inlong_row_settings settings;
    char separator[4], kv_separator[4];
    size_t separator_len, kv_separator_len;
    inlong_row_mark marks[INLONG_ROW_MARKS];
    int mark_count;
    unsigned char special[256]; /* 1: a mark begins with the byte, or it is not ASCII */
};

/* What fits of a row, and how long all of it is. */
typedef struct inlong_row_out {
    unsigned char *buf;
    size_t room, len;
} inlong_row_out;

/* Appends a text with what cannot stand in it escaped; returns NULL, or why it cannot be written, a whole sentence of the mark in *mark.
 * in_utf8: it is in UTF-8 whatever the stream's encoding is. */
const char *inlong_row_text(const inlong_row_format *format, inlong_row_out *out, const char *text, size_t len, bool in_utf8,
                            const inlong_row_mark **mark);

/* row_value.c: writes a value that is no text; fits into 32 bytes. Returns its length, 0 when the kind or the time is none. */
size_t inlong_row_value(const inlong_field *field, char *to);

#endif
