/* SPDX-License-Identifier: Apache-2.0
 * row.c - rows from fields. The rules are those of core/row; both are tested with core/row/testdata/table.json. */
#include <stdio.h>
#include <string.h>

#include "check.h"
#include "row.h"

static void put(inlong_row_out *out, const char *bytes, size_t len)
{
    if (out->len < out->room && len > 0)
        memcpy(out->buf + out->len, bytes, len < out->room - out->len ? len : out->room - out->len);
    out->len += len;
}

/* How many bytes the character at s has in GBK, 0 when it is none. */
static size_t pair(const unsigned char *s, size_t len)
{
    return s[0] == 0x80 || s[0] == 0xFF || len < 2 || s[1] < 0x40 || s[1] == 0x7F || s[1] == 0xFF ? 0 : 2;
}

static const inlong_row_mark *mark_at(const inlong_row_format *f, const char *s, size_t len)
{
    for (int i = 0; i < f->mark_count; i++)
        if (f->marks[i].text_len <= len && memcmp(f->marks[i].text, s, f->marks[i].text_len) == 0)
            return &f->marks[i];
    return NULL;
}

const char *inlong_row_text(const inlong_row_format *f, inlong_row_out *out, const char *text, size_t len, bool in_utf8,
                            const inlong_row_mark **mark)
{
    bool checked = false;
    size_t from = 0; /* what is not copied yet */
    *mark = NULL;
    for (size_t i = 0; i < len;) {
        unsigned char c = (unsigned char)text[i];
        if (!f->special[c]) {
            i++;
            continue;
        }
        if (c >= 0x80 && f->settings.encoding == INLONG_ROW_GBK) {
            if (in_utf8)
                return "is not ASCII: in a stream in GBK give it as INLONG_FIELD_BYTES in that encoding";
            size_t size = pair((const unsigned char *)text + i, len - i);
            if (size == 0)
                return "is not valid GBK, as which readers decode it";
            i += size; /* its second byte may look like a separator, and is none */
            continue;
        }
        if (c >= 0x80 && !checked) {
            if (!inlong_is_utf8(text + i, len - i))
                return "is not valid UTF-8, as which readers decode it";
            checked = true;
        }
        const inlong_row_mark *m = mark_at(f, text + i, len - i);
        if (!m) {
            i++;
            continue;
        }
        if (m->instead_len == 0) {
            *mark = m;
            return m->what;
        }
        put(out, text + from, i - from);
        put(out, m->instead, m->instead_len);
        from = i += m->text_len;
    }
    put(out, text + from, len - from);
    return NULL;
}

/* One call of inlong_row_write. */
typedef struct row_writer {
    const inlong_row_format *f;
    const inlong_field *fields;
    size_t count;
    bool named;
    inlong_row_out out;
} row_writer;

static size_t name_len(const inlong_field *field) { return field->name_len ? field->name_len : strlen(field->name); }

static bool is_named(const inlong_field *field, const char *name)
{
    size_t len = name_len(field);
    return strlen(name) == len && memcmp(field->name, name, len) == 0;
}

/* Fails for field i. */
static int64_t fail(const row_writer *w, size_t i, const char *reason, const inlong_row_mark *mark)
{
    const inlong_field *field = i < w->count ? &w->fields[i] : NULL;
    const inlong_row_settings *s = &w->f->settings;
    const char *name = field && field->name ? field->name : i < s->column_count ? s->columns[i] : NULL;
    size_t len = !name ? 0 : field && field->name ? name_len(field) : strlen(name);
    char quoted[96] = "";
    if (len > 0 && inlong_is_utf8(name, len))
        snprintf(quoted, sizeof quoted, " (\"%.*s\")", len < 64 ? (int)len : 64, name);
    inlong_mend_text(quoted);
    if (mark)
        return inlong_fail(INLONG_ERR_ARG, "field %zu%s: %sholds %s, which %s", i + 1, quoted, reason, mark->what, mark->why);
    return inlong_fail(INLONG_ERR_ARG, "field %zu%s: %s", i + 1, quoted, reason);
}

/* The index of the field that has the name, count for none. Most come in their order. */
static size_t find(const row_writer *w, const char *name, size_t guess)
{
    if (guess < w->count && is_named(&w->fields[guess], name))
        return guess;
    size_t i = 0;
    while (i < w->count && !is_named(&w->fields[i], name))
        i++;
    return i;
}

static int64_t write_value(row_writer *w, size_t i)
{
    const inlong_field *field = &w->fields[i];
    const inlong_row_mark *mark;
    const char *fault;
    if (field->kind == INLONG_FIELD_TEXT || field->kind == INLONG_FIELD_BYTES) {
        const char *text = field->data ? field->data : "";
        size_t len = field->data_len;
        if (!field->data && len > 0)
            return fail(w, i, "data is NULL but data_len is not 0", NULL);
        if (len > PTRDIFF_MAX)
            return fail(w, i, "data_len is negative", NULL);
        if (field->kind == INLONG_FIELD_TEXT && len == 0)
            len = strlen(text);
        fault = inlong_row_text(w->f, &w->out, text, len, field->kind == INLONG_FIELD_TEXT, &mark);
    } else {
        char text[32];
        size_t len = inlong_row_value(field, text);
        if (len == 0)
            return fail(w, i,
                        field->kind == INLONG_FIELD_TIME ? "the time lies outside of the years 0 to 9999"
                                                         : "kind: is none of INLONG_FIELD_...",
                        NULL);
        fault = inlong_row_text(w->f, &w->out, text, len, true, &mark);
    }
    return !fault ? INLONG_OK : fail(w, i, mark ? "" : fault, mark);
}

static int64_t write_csv(row_writer *w)
{
    const inlong_row_settings *s = &w->f->settings;
    size_t n = w->named ? s->column_count : w->count;
    size_t end = 0; /* after the last field that is not null */
    for (size_t column = 0; column < n; column++) {
        if (column > 0)
            put(&w->out, w->f->separator, w->f->separator_len);
        size_t i = w->named ? find(w, s->columns[column], column) : column;
        if (i < w->count && w->fields[i].kind != INLONG_FIELD_NULL) {
            int64_t code = write_value(w, i);
            if (code != INLONG_OK)
                return code;
            end = w->out.len;
        }
        if (column == 0 && w->out.len == 0 && (s->flags & INLONG_ROW_REFUSE_EMPTY_FIRST))
            return fail(w, i < w->count ? i : 0,
                        "the first field is empty: a reader with deleteHeadDelimiter would shift all columns", NULL);
    }
    if (end > 0)
        w->out.len = end; /* nulls at the end are left out, which readers know from empty texts */
    return INLONG_OK;
}

static int64_t write_kv(row_writer *w)
{
    const inlong_row_settings *s = &w->f->settings;
    for (size_t i = 0; i < w->count; i++) {
        const inlong_field *field = &w->fields[i];
        if (field->kind == INLONG_FIELD_NULL)
            continue;
        if (w->out.len > 0)
            put(&w->out, w->f->separator, w->f->separator_len);
        const char *key = w->named ? field->name : s->columns[i];
        size_t len = w->named ? name_len(field) : strlen(key);
        const inlong_row_mark *mark;
        if (len == 0)
            return fail(w, i, "its key is empty", NULL);
        const char *fault = inlong_row_text(w->f, &w->out, key, len, true, &mark);
        if (fault)
            return fail(w, i, mark ? "its key: " : fault, mark);
        put(&w->out, w->f->kv_separator, w->f->kv_separator_len);
        int64_t code = write_value(w, i);
        if (code != INLONG_OK)
            return code;
    }
    return INLONG_OK;
}

/* Looks at names and number of the fields. */
static int64_t check_shape(row_writer *w)
{
    const inlong_row_settings *s = &w->f->settings;
    w->named = w->count > 0 && w->fields[0].name;
    for (size_t i = 0; i < w->count; i++) {
        const inlong_field *field = &w->fields[i];
        if (field->name && field->name_len > PTRDIFF_MAX) /* first: what fails names the field */
            return inlong_fail(INLONG_ERR_ARG, "field %zu: name_len is negative", i + 1);
        if ((field->name != NULL) != w->named)
            return fail(w, i, "either all fields of a row have a name or none", NULL);
    }
    if (w->named && s->column_count == 0 && s->type == INLONG_ROW_CSV)
        return inlong_fail(INLONG_ERR_ARG, "fields with names: the settings must have columns then, which say where each goes");
    if (!w->named && s->column_count == 0 && s->type == INLONG_ROW_KV && w->count > 0)
        return inlong_fail(INLONG_ERR_ARG, "fields without names: a row of KV needs them, or columns in the settings");
    if (!w->named && s->column_count > 0 && w->count > 0 && w->count != s->column_count)
        return inlong_fail(INLONG_ERR_ARG, "the row has %zu fields and the stream %zu columns", w->count, s->column_count);
    for (size_t i = 0; w->named && i < w->count; i++) {
        bool known = s->column_count == 0 || (i < s->column_count && is_named(&w->fields[i], s->columns[i]));
        for (size_t c = 0; c < s->column_count && !known; c++)
            known = is_named(&w->fields[i], s->columns[c]);
        if (!known)
            return fail(w, i, "the stream has no such column", NULL);
        size_t len = name_len(&w->fields[i]);
        for (size_t j = 0; j < i; j++)
            if (name_len(&w->fields[j]) == len && memcmp(w->fields[j].name, w->fields[i].name, len) == 0)
                return fail(w, i, "there is another one of that name", NULL);
    }
    return INLONG_OK;
}

int64_t inlong_row_write(const inlong_row_format *format, const inlong_field *fields, size_t count, void *buf, size_t len)
{
    if (!format)
        return inlong_fail(INLONG_ERR_ARG, "format is NULL");
    if (count > PTRDIFF_MAX / sizeof *fields)
        return inlong_fail(INLONG_ERR_ARG, "count is negative");
    if (!fields && count > 0)
        return inlong_fail(INLONG_ERR_ARG, "fields is NULL but count is %zu", count);
    int code = inlong_check_buffer(buf, len);
    if (code != INLONG_OK)
        return code;
    row_writer w = {format, fields, count, false, {buf, len, 0}};
    int64_t answer = check_shape(&w);
    if (answer == INLONG_OK)
        answer = format->settings.type == INLONG_ROW_CSV ? write_csv(&w) : write_kv(&w);
    if (answer != INLONG_OK)
        return answer;
    if (w.out.len == 0)
        return inlong_fail(INLONG_ERR_ARG, "the row is empty: no message has no bytes");
    return (int64_t)w.out.len;
}
