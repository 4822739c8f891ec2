/* SPDX-License-Identifier: Apache-2.0
 * check.c - checks a message's shape (pointers, lengths, struct_size) and resolves "length 0 = strlen" of its ids. What ids,
 * attributes and payload may hold is the core's to judge. */
#include <string.h>

#include "front.h"
#include "check.h"

static int bad_text(const char *what, const char *field, const char *s, size_t len)
{
    if (len > PTRDIFF_MAX)
        return inlong_fail(INLONG_ERR_ARG, "%s: %s_len is negative", what, field);
    if (!s && len > 0)
        return inlong_fail(INLONG_ERR_ARG, "%s: %s is NULL but %s_len is %zu", what, field, field, len);
    return INLONG_OK;
}

/* Each counts two bytes or more of the 4,096 that all may have. */
enum { MOST_ATTRIBUTES = 2048 };

static int check_attributes(const char *what, const inlong_attribute *attributes, size_t count)
{
    if (count > PTRDIFF_MAX / sizeof *attributes)
        return inlong_fail(INLONG_ERR_ARG, "message: %s_count is negative", what);
    if (!attributes && count > 0)
        return inlong_fail(INLONG_ERR_ARG, "message: %ss is NULL but %s_count is %zu", what, what, count);
    if (count > MOST_ATTRIBUTES) /* before one is read: a wrong count may lead out of the caller's memory */
        return inlong_fail(INLONG_ERR_LOG_INVALID, "%s: %s_count is %zu: all attributes together must have 4096 or less bytes",
                           inlong_error_text(INLONG_ERR_LOG_INVALID), what, count);
    int code = INLONG_OK;
    for (size_t i = 0; i < count && code == INLONG_OK; i++) {
        if ((code = bad_text(what, "key", attributes[i].key, attributes[i].key_len)) == INLONG_OK)
            code = bad_text(what, "value", attributes[i].value, attributes[i].value_len);
    }
    return code;
}

enum { SIZE_WITHOUT_ITEM_ATTRIBUTES = offsetof(inlong_message, item_attributes) };

int inlong_check_shape(const inlong_message *m)
{
    if (!m)
        return inlong_fail(INLONG_ERR_ARG, "message is NULL");
    if (m->struct_size != sizeof *m && m->struct_size != SIZE_WITHOUT_ITEM_ATTRIBUTES)
        return inlong_fail(INLONG_ERR_ABI, "message: struct_size is %zu: it must be sizeof(inlong_message), %zu", m->struct_size,
                           sizeof *m);
    int code = bad_text("message", "group_id", m->group_id, m->group_id_len);
    if (code == INLONG_OK)
        code = bad_text("message", "stream_id", m->stream_id, m->stream_id_len);
    if (code == INLONG_OK)
        code = bad_text("message", "payload", m->payload, m->payload_len);
    if (code == INLONG_OK && m->time_ms < 0)
        code = inlong_fail(INLONG_ERR_ARG, "message: time_ms is negative");
    if (code == INLONG_OK && m->attribute_count > 0)
        code = check_attributes("attribute", m->attributes, m->attribute_count);
    if (code == INLONG_OK && m->struct_size == sizeof *m && m->item_attribute_count > 0)
        code = check_attributes("item_attribute", m->item_attributes, m->item_attribute_count);
    return code;
}

int inlong_check_message(const inlong_message *from, inlong_message *m)
{
    int code = inlong_check_shape(from);
    if (code != INLONG_OK)
        return code;
    if (from->struct_size == sizeof *m) {
        *m = *from;
    } else {
        *m = (inlong_message){0};
        memcpy(m, from, SIZE_WITHOUT_ITEM_ATTRIBUTES);
        m->struct_size = sizeof *m;
    }
    if (m->group_id && m->group_id_len == 0)
        m->group_id_len = strlen(m->group_id);
    if (m->stream_id && m->stream_id_len == 0)
        m->stream_id_len = strlen(m->stream_id);
    return INLONG_OK;
}

int inlong_check_timeout(int64_t timeout_ms)
{
    if (timeout_ms < INLONG_NO_TIMEOUT)
        return inlong_fail(INLONG_ERR_ARG, "timeout_ms is %lld: it must be 0 or more, or INLONG_NO_TIMEOUT", (long long)timeout_ms);
    return INLONG_OK;
}

int inlong_check_size(const char *what, size_t size, size_t want)
{
    if (size != want)
        return inlong_fail(INLONG_ERR_ABI, "%s: struct_size is %zu: it must be its sizeof, %zu", what, size, want);
    return INLONG_OK;
}

int inlong_check_err(size_t errlen) { return errlen > PTRDIFF_MAX ? inlong_fail(INLONG_ERR_ARG, "errlen is negative") : INLONG_OK; }

int inlong_check_buffer(const char *buf, size_t len)
{
    if (len > PTRDIFF_MAX)
        return inlong_fail(INLONG_ERR_ARG, "len is negative");
    if (!buf && len > 0)
        return inlong_fail(INLONG_ERR_ARG, "buf is NULL but len is %zu", len);
    return INLONG_OK;
}
