/* SPDX-License-Identifier: Apache-2.0
 * error.c - the codes' table and the text of a thread's last failure. */
#include <stdarg.h>
#include <stdio.h>

#include "front.h"

static _Thread_local char last_error[INLONG_ERROR_TEXT];

const char *inlong_last_error(void) { return last_error; }

inlong_core_text inlong_error_buffer(void)
{
    inlong_core_text text = {last_error, sizeof last_error};
    return text;
}

int inlong_fail(int code, char *err, size_t errlen, const char *format, ...)
{
    char text[INLONG_ERROR_TEXT]; /* the arguments may point into last_error */
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    inlong_copy_text(last_error, sizeof last_error, text);
    inlong_copy_text(err, errlen, last_error);
    return code;
}

int inlong_fail_handle(const char *kind, const void *handle)
{
    if (inlong_handle_is_parents((uintptr_t)handle))
        return inlong_fail(INLONG_ERR_FORKED, NULL, 0, "this %s belongs to the parent process: a forked child cannot use it", kind);
    return inlong_fail(INLONG_ERR_HANDLE, NULL, 0, "not an open %s: NULL, closed, or never one", kind);
}

static const inlong_error_info *find(int code)
{
    const inlong_error_info *unknown = NULL;
    for (size_t i = 0; i < inlong_error_table_size; i++) {
        if (inlong_error_table[i].code == code)
            return &inlong_error_table[i];
        if (inlong_error_table[i].code == INLONG_ERR_UNKNOWN)
            unknown = &inlong_error_table[i];
    }
    return unknown;
}

const char *inlong_error_name(int code) { return find(code)->name; }
const char *inlong_error_text(int code) { return find(code)->text; }
int inlong_error_is_retriable(int code) { return find(code)->retriable; }

const inlong_error_info *inlong_error_list(size_t index)
{
    return index < inlong_error_table_size ? &inlong_error_table[index] : NULL;
}
