/* SPDX-License-Identifier: Apache-2.0
 * row_format.c - the settings of rows. The rules are those of core/row; both are tested with core/row/testdata/table.json. */
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "row.h"

/* The bytes of a code point up to U+FFFF. */
static size_t encode(uint32_t c, char *to)
{
    if (c < 0x80) {
        to[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        to[0] = (char)(0xC0 | c >> 6);
        to[1] = (char)(0x80 | (c & 0x3F));
        return 2;
    }
    to[0] = (char)(0xE0 | c >> 12);
    to[1] = (char)(0x80 | (c >> 6 & 0x3F));
    to[2] = (char)(0x80 | (c & 0x3F));
    return 3;
}

static int check_characters(const inlong_row_settings *s)
{
    const char *names[] = {"separator", "kv_separator", "line_separator", "escape"};
    uint32_t chars[] = {s->separator, s->kv_separator, s->line_separator, s->escape};
    for (int i = 0; i < 4; i++) {
        uint32_t c = chars[i];
        if (c == 0)
            continue;
        if (c == '\n' && i != 2)
            return inlong_fail(INLONG_ERR_OPTION, "%s: must not be LF, at which readers split rows", names[i]);
        if (c > 0xFFFF || (c >= 0xD800 && c < 0xE000) || c == 0xFFFD)
            return inlong_fail(INLONG_ERR_OPTION, "%s is U+%04X: must be a character up to U+FFFF", names[i], c);
        if (c >= 0x80 && s->encoding == INLONG_ROW_GBK)
            return inlong_fail(INLONG_ERR_OPTION, "%s is U+%04X: must be ASCII with GBK", names[i], c);
        if ((c == '\r' || c == 'n' || c == 'r' || c == '0') && (s->flags & INLONG_ROW_CONTROL_ESCAPES))
            return inlong_fail(INLONG_ERR_OPTION, "%s is U+%04X: must not be CR, n, r or 0 with control escapes", names[i], c);
        for (int j = 0; j < i; j++)
            if (chars[j] == c)
                return inlong_fail(INLONG_ERR_OPTION, "%s is U+%04X, as %s: they must differ", names[i], c, names[j]);
    }
    return INLONG_OK;
}

static int check_columns(const inlong_row_settings *s)
{
    if (s->column_count > PTRDIFF_MAX / sizeof *s->columns)
        return inlong_fail(INLONG_ERR_ARG, "column_count is negative");
    if (!s->columns && s->column_count > 0)
        return inlong_fail(INLONG_ERR_ARG, "columns is NULL but column_count is %zu", s->column_count);
    for (size_t i = 0; i < s->column_count; i++) {
        if (!s->columns[i] || !*s->columns[i])
            return inlong_fail(INLONG_ERR_OPTION, "column %zu: has no name", i + 1);
        for (size_t j = 0; j < i; j++)
            if (strcmp(s->columns[i], s->columns[j]) == 0)
                return inlong_fail(INLONG_ERR_OPTION, "column %zu (\"%.64s\"): there is another one of that name", i + 1,
                                   s->columns[i]);
    }
    return INLONG_OK;
}

static int check(const inlong_row_settings *s)
{
    if (s->type != INLONG_ROW_CSV && s->type != INLONG_ROW_KV)
        return inlong_fail(INLONG_ERR_OPTION, "type is %d: must be INLONG_ROW_CSV or INLONG_ROW_KV", s->type);
    if (s->encoding != INLONG_ROW_UTF8 && s->encoding != INLONG_ROW_GBK)
        return inlong_fail(INLONG_ERR_OPTION, "encoding is %d: must be INLONG_ROW_UTF8 or INLONG_ROW_GBK", s->encoding);
    if (s->flags & ~(uint32_t)(INLONG_ROW_REFUSE_EMPTY_FIRST | INLONG_ROW_CONTROL_ESCAPES))
        return inlong_fail(INLONG_ERR_OPTION, "flags is %u: it must be INLONG_ROW_... combined", s->flags);
    if (s->type == INLONG_ROW_CSV && s->kv_separator)
        return inlong_fail(INLONG_ERR_OPTION, "kv_separator is U+%04X: CSV has none", s->kv_separator);
    if ((s->flags & INLONG_ROW_CONTROL_ESCAPES) && (s->type != INLONG_ROW_CSV || !s->escape))
        return inlong_fail(INLONG_ERR_OPTION, "control escapes need CSV and an escape character");
    if ((s->flags & INLONG_ROW_REFUSE_EMPTY_FIRST) && s->type != INLONG_ROW_CSV)
        return inlong_fail(INLONG_ERR_OPTION, "refuse empty first: only rows of CSV have a first field");
    int code = check_columns(s);
    return code == INLONG_OK ? check_characters(s) : code;
}

static void add_mark(inlong_row_format *f, uint32_t c, const char *what)
{
    const inlong_row_settings *s = &f->settings;
    inlong_row_mark *m = &f->marks[f->mark_count++];
    m->text_len = (unsigned char)encode(c, m->text);
    m->what = what;
    m->why = "takes an escape character, and the stream has none";
    bool ends = c == '\n' || c == s->line_separator;
    bool control = (s->flags & INLONG_ROW_CONTROL_ESCAPES) && (c == '\n' || c == '\r' || c == 0);
    if (s->type == INLONG_ROW_KV && ends && c)
        m->why = "readers of KV take for the end of a row, also when it is escaped";
    else if (s->escape) {
        m->instead_len = (unsigned char)encode(s->escape, m->instead);
        const char letter = c == '\n' ? 'n' : c == '\r' ? 'r' : '0';
        memcpy(m->instead + m->instead_len, control ? &letter : m->text, control ? 1 : m->text_len);
        m->instead_len = (unsigned char)(m->instead_len + (control ? 1 : m->text_len));
    }
    f->special[(unsigned char)m->text[0]] = 1;
}

static void set_marks(inlong_row_format *f)
{
    const inlong_row_settings *s = &f->settings;
    add_mark(f, s->separator, "the separator");
    if (s->type == INLONG_ROW_KV)
        add_mark(f, s->kv_separator, "the kv separator");
    if (s->escape)
        add_mark(f, s->escape, "the escape character");
    add_mark(f, '\n', "a newline");
    if (s->line_separator && s->line_separator != '\n')
        add_mark(f, s->line_separator, "the line separator");
    if (s->flags & INLONG_ROW_CONTROL_ESCAPES) {
        add_mark(f, '\r', "a control character");
        add_mark(f, 0, "a control character");
    }
    memset(f->special + 0x80, 1, 0x80);
    f->separator_len = encode(s->separator, f->separator);
    f->kv_separator_len = encode(s->kv_separator, f->kv_separator);
}

/* The columns' names in one block: the pointers, then the texts. NULL when memory ran out. */
static const char *const *copy_columns(const char *const *from, size_t count)
{
    size_t size = (count + 1) * sizeof *from;
    for (size_t i = 0; i < count; i++)
        size += strlen(from[i]) + 1;
    char **to = malloc(size);
    if (!to)
        return NULL;
    char *text = (char *)(to + count + 1);
    for (size_t i = 0; i < count; i++) {
        size_t len = strlen(from[i]) + 1;
        to[i] = memcpy(text, from[i], len);
        text += len;
    }
    to[count] = NULL;
    return (const char *const *)to;
}

/* A key that cannot be written is one in no row. */
static int check_keys(const inlong_row_format *f)
{
    for (size_t i = 0; f->settings.type == INLONG_ROW_KV && i < f->settings.column_count; i++) {
        const char *name = f->settings.columns[i];
        const inlong_row_mark *mark;
        inlong_row_out none = {NULL, 0, 0};
        const char *fault = inlong_row_text(f, &none, name, strlen(name), true, &mark);
        if (fault && mark)
            return inlong_fail(INLONG_ERR_OPTION, "column %zu (\"%.64s\"): holds %s, which %s", i + 1, name, mark->what, mark->why);
        if (fault)
            return inlong_fail(INLONG_ERR_OPTION, "column %zu: %s", i + 1, fault);
    }
    return INLONG_OK;
}

static int new_format(const inlong_row_settings *settings, inlong_row_format **format)
{
    if (!settings || !format)
        return inlong_fail(INLONG_ERR_ARG, "%s is NULL", settings ? "format" : "settings");
    int code = inlong_check_size("settings", settings->struct_size, sizeof *settings);
    if (code != INLONG_OK)
        return code;
    inlong_row_settings s = *settings;
    s.separator = s.separator ? s.separator : '|';
    if (s.type == INLONG_ROW_KV && !s.kv_separator)
        s.kv_separator = '=';
    if ((code = check(&s)) != INLONG_OK)
        return code;
    inlong_row_format *made = calloc(1, sizeof *made);
    if (made && s.column_count > 0 && !(s.columns = copy_columns(s.columns, s.column_count))) {
        free(made);
        made = NULL;
    }
    if (!made)
        return inlong_fail(INLONG_ERR_NOMEM, "no memory for the format of rows");
    if (s.column_count == 0)
        s.columns = NULL;
    made->settings = s;
    set_marks(made);
    if ((code = check_keys(made)) != INLONG_OK) {
        inlong_row_format_free(made);
        return code;
    }
    *format = made;
    return INLONG_OK;
}

int inlong_row_format_new(const inlong_row_settings *settings, inlong_row_format **format, char *err, size_t errlen)
{
    if (format)
        *format = NULL;
    return inlong_check_err(errlen) == INLONG_OK ? inlong_tell(new_format(settings, format), err, errlen) : INLONG_ERR_ARG;
}

int inlong_row_format_settings(const inlong_row_format *format, inlong_row_settings *settings)
{
    if (!format || !settings)
        return inlong_fail(INLONG_ERR_ARG, "%s is NULL", format ? "settings" : "format");
    int code = inlong_check_size("settings", settings->struct_size, sizeof *settings);
    if (code == INLONG_OK)
        *settings = format->settings;
    return code;
}

void inlong_row_format_free(inlong_row_format *format)
{
    if (!format)
        return;
    free((void *)format->settings.columns);
    free(format);
}

static int ask(const inlong_options *options, const char *stream_id, inlong_row_format **format)
{
    if (!options || !stream_id || !format)
        return inlong_fail(INLONG_ERR_ARG, "%s is NULL", !options ? "options" : !stream_id ? "stream_id" : "format");
    inlong_row_settings settings = {.struct_size = sizeof settings};
    int code = inlong_core_load();
    if (code == INLONG_OK)
        code = inlong_client_ask_row(options, stream_id, &settings);
    if (code == INLONG_OK)
        code = new_format(&settings, format);
    free((void *)settings.columns);
    return code;
}

int inlong_row_format_ask(const inlong_options *options, const char *stream_id, inlong_row_format **format, char *err,
                          size_t errlen)
{
    if (format)
        *format = NULL;
    return inlong_check_err(errlen) == INLONG_OK ? inlong_tell(ask(options, stream_id, format), err, errlen) : INLONG_ERR_ARG;
}
