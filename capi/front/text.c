/* SPDX-License-Identifier: Apache-2.0
 * text.c - UTF-8 and copying with a limit. */
#include <string.h>

#include "front.h"

/* The length of the character at s, 0 when it is none. Over-long forms and surrogates are refused. */
static size_t character(const unsigned char *s, size_t len)
{
    size_t want = s[0] < 0x80 ? 1 : s[0] < 0xC2 ? 0 : s[0] < 0xE0 ? 2 : s[0] < 0xF0 ? 3 : s[0] < 0xF5 ? 4 : 0;
    if (want == 0 || want > len)
        return 0;
    for (size_t i = 1; i < want; i++)
        if ((s[i] & 0xC0) != 0x80)
            return 0;
    if ((s[0] == 0xE0 && s[1] < 0xA0) || (s[0] == 0xED && s[1] > 0x9F) || (s[0] == 0xF0 && s[1] < 0x90) ||
        (s[0] == 0xF4 && s[1] > 0x8F))
        return 0;
    return want;
}

bool inlong_is_utf8(const char *s, size_t len)
{
    for (size_t i = 0, n; i < len; i += n)
        if ((n = character((const unsigned char *)s + i, len - i)) == 0)
            return false;
    return true;
}

void inlong_mend_text(char *s)
{
    size_t len = strlen(s);
    for (size_t i = 0, n; i < len; i += n)
        if ((n = character((const unsigned char *)s + i, len - i)) == 0) {
            s[i] = '?';
            n = 1;
        }
}

void inlong_copy_text(char *to, size_t size, const char *from)
{
    if (!to || size == 0)
        return;
    size_t len = strlen(from);
    if (len >= size) {
        len = size - 1;
        while (len > 0 && ((unsigned char)from[len] & 0xC0) == 0x80) /* not inside a character */
            len--;
    }
    memmove(to, from, len);
    to[len] = 0;
}
