/* SPDX-License-Identifier: Apache-2.0
 * error.c - the codes' table and the text of a thread's last failure. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "front.h"

/* The text of the last failure: `constant` if it is not NULL, else `text`. */
static _Thread_local struct {
    const char *constant;
    char text[INLONG_ERROR_TEXT];
} last;

const char *inlong_last_error(void) { return last.constant ? last.constant : last.text; }

inlong_core_text inlong_error_buffer(void)
{
    if (last.constant) /* it stays the last one if the core has nothing to write */
        strcpy(last.text, last.constant);
    last.constant = NULL;
    return (inlong_core_text){last.text, sizeof last.text};
}

/* If there is no room the end of the text is cut off, as in the core. */
static void end_with_code(char *text, size_t size, int code)
{
    char end[32];
    size_t len = strlen(text), room = size - (size_t)snprintf(end, sizeof end, " [code %d]", code);
    if (len >= room) {
        inlong_copy_text(text, room - 3, text);
        strcat(text, "...");
    }
    strcat(text, end);
}

int inlong_fail(int code, const char *format, ...)
{
    char text[INLONG_ERROR_TEXT]; /* the arguments may point into the last one */
    va_list args;
    va_start(args, format);
    int len = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    inlong_mend_text(text);
    if (code > 0 && len > 0) /* the text of a result, as the core has it */
        end_with_code(text, sizeof text, code);
    last.constant = NULL;
    inlong_copy_text(last.text, sizeof last.text, text);
    return code;
}

int inlong_tell(int code, char *err, size_t errlen)
{
    if (code != INLONG_OK)
        inlong_copy_text(err, errlen, inlong_last_error());
    return code;
}

int inlong_fail_handle(enum inlong_handle_kind kind, const void *handle)
{
    /* Neither formatted nor copied: a host may keep calling with a closed handle, and that costs next to nothing. */
    static const char *const texts[][2] = {
        {"not an open client: NULL, closed, or never one",
         "this client belongs to the parent process: a forked child cannot use it"},
        {"not an open mock: NULL, closed, or never one", "this mock belongs to the parent process: a forked child cannot use it"},
    };
    bool parents = inlong_handle_is_parents((uintptr_t)handle);
    last.constant = texts[kind][parents];
    return parents ? INLONG_ERR_FORKED : INLONG_ERR_HANDLE;
}

int inlong_fail_untaken(int code)
{
    return inlong_fail(code, "%s: the library got no processor to take it", inlong_error_text(code));
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

const inlong_error_info *inlong_error_describe(size_t index)
{
    return index < inlong_error_table_size ? &inlong_error_table[index] : NULL;
}
