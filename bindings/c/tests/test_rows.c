/* Rows: the same as Go's, and what bad arguments get. */
#include "fixture.h"
#include "forks.h"

static inlong_row_format *format_of(inlong_row_settings settings)
{
    char err[256];
    inlong_row_format *format;
    settings.struct_size = sizeof settings;
    if (inlong_row_format_new(&settings, &format, err, sizeof err) != INLONG_OK)
        check_text(__FILE__, __LINE__, err, "no error");
    return format;
}

static size_t unhex(const char *hex, size_t len, char *to)
{
    for (size_t i = 0; i + 1 < len; i += 2) {
        unsigned byte;
        CHECK(sscanf(hex + i, "%2x", &byte) == 1);
        to[i / 2] = (char)byte;
    }
    to[len / 2] = 0;
    return len / 2;
}

/* The parts of a line of the corpus: each ends at the character, which is replaced by NUL. */
static char *part(char **at, char end)
{
    char *begin = *at, *stop = strchr(begin, end);
    CHECK(stop != NULL);
    *stop = 0;
    *at = stop + 1;
    return begin;
}

enum { MOST = 8, ROOM = 512 };

static void set_value(inlong_field *f, char kind, const char *text, char *room)
{
    uint64_t bits;
    switch (kind) {
    case 't':
    case 'b':
        f->kind = kind == 't' ? INLONG_FIELD_TEXT : INLONG_FIELD_BYTES;
        f->data_len = unhex(text, strlen(text), room);
        f->data = room;
        break;
    case 'i':
    case 'm':
        f->kind = kind == 'i' ? INLONG_FIELD_INT : INLONG_FIELD_TIME;
        f->value.i = strtoll(text, NULL, 10);
        break;
    case 'u':
        f->kind = INLONG_FIELD_UINT;
        f->value.u = strtoull(text, NULL, 10);
        break;
    case 'd':
        f->kind = INLONG_FIELD_DOUBLE;
        bits = strtoull(text, NULL, 16);
        memcpy(&f->value.d, &bits, sizeof bits);
        break;
    case 'o':
        f->kind = INLONG_FIELD_BOOL;
        f->value.i = strcmp(text, "true") == 0;
        break;
    default:
        CHECK(kind == 'n');
    }
}

static void check_line(char *line, long number)
{
    static char names[MOST][ROOM], texts[MOST][ROOM], columns[MOST][ROOM], want[4 * ROOM], got[4 * ROOM];
    const char *column_names[MOST];
    inlong_field fields[MOST] = {0};
    size_t count = 0;
    char *at = line;
    inlong_row_settings s = {0};
    s.type = strcmp(part(&at, ' '), "kv") == 0 ? INLONG_ROW_KV : INLONG_ROW_CSV;
    s.encoding = strcmp(part(&at, ' '), "gbk") == 0 ? INLONG_ROW_GBK : INLONG_ROW_UTF8;
    s.separator = (uint32_t)atoi(part(&at, ' '));
    s.kv_separator = (uint32_t)atoi(part(&at, ' '));
    s.line_separator = (uint32_t)atoi(part(&at, ' '));
    s.escape = (uint32_t)atoi(part(&at, ' '));
    s.flags |= *part(&at, ' ') == 'c' ? INLONG_ROW_CONTROL_ESCAPES : 0;
    s.flags |= *part(&at, ' ') == 'f' ? INLONG_ROW_REFUSE_EMPTY_FIRST : 0;
    for (char *list = part(&at, ' '); *list; s.column_count++) {
        char *name = part(&list, ',');
        unhex(name, strlen(name), columns[s.column_count]);
        column_names[s.column_count] = columns[s.column_count];
    }
    s.columns = column_names;
    for (char *list = part(&at, ' '); *list; count++) {
        char kind = *part(&list, ':'), *name = part(&list, ':');
        if (*name != '-') {
            fields[count].name_len = unhex(name, strlen(name), names[count]);
            fields[count].name = names[count];
        }
        set_value(&fields[count], kind, part(&list, ','), texts[count]);
    }
    char *row = part(&at, '\n');
    inlong_row_format *format = format_of(s);
    int64_t length = inlong_row_write(format, fields, count, got, sizeof got);
    if (*row == '!') {
        if (length != INLONG_ERR_ARG)
            printf("line %ld\n", number);
        CHECK_INT(length, INLONG_ERR_ARG);
    } else {
        size_t want_len = unhex(row, strlen(row), want);
        if (length != (int64_t)want_len || memcmp(got, want, want_len) != 0)
            printf("line %ld: %.*s, want %s: %s\n", number, (int)(length > 0 ? length : 0), got, want, inlong_last_error());
        CHECK_INT(length, (int64_t)want_len);
        CHECK(memcmp(got, want, want_len) == 0);
    }
    inlong_row_format_free(format);
}

/* Two languages that write a field differently: one of them is read as something else. */
static void rows_are_those_of_go(void)
{
    static char line[1 << 16];
    FILE *corpus = fopen("../../../build/c/rows.txt", "r");
    CHECK(corpus != NULL);
    long lines = 0;
    while (fgets(line, sizeof line, corpus))
        check_line(line, ++lines);
    CHECK(lines > 100000);
    fclose(corpus);
}

/* A buffer that is too short must not be written over, nor a row be cut in silence. */
static void row_that_is_longer_than_the_buffer_tells_its_length(void)
{
    inlong_row_format *format = format_of((inlong_row_settings){.type = INLONG_ROW_CSV, .escape = '\\'});
    inlong_field fields[] = {{.kind = INLONG_FIELD_TEXT, .data = "ab|cd"}, {.kind = INLONG_FIELD_INT, .value.i = -7}};
    char whole[16], buf[16];
    CHECK_INT(inlong_row_write(format, fields, 2, whole, sizeof whole), 9);
    CHECK(memcmp(whole, "ab\\|cd|-7", 9) == 0);
    CHECK_INT(inlong_row_write(format, fields, 2, NULL, 0), 9);
    for (size_t len = 0; len < 9; len++) {
        memset(buf, '#', sizeof buf);
        CHECK_INT(inlong_row_write(format, fields, 2, buf, len), 9);
        CHECK(memcmp(buf, whole, len) == 0 && buf[len] == '#');
    }
    inlong_row_format_free(format);
}

static void bad_arguments_are_named(void)
{
    char err[256], buf[64];
    inlong_row_format *format;
    inlong_row_settings s = {.type = INLONG_ROW_CSV, .escape = '\\'};
    CHECK_INT(inlong_row_format_new(NULL, &format, err, sizeof err), INLONG_ERR_ARG);
    CHECK_TEXT(err, "settings is NULL");
    CHECK_INT(inlong_row_format_new(&s, NULL, err, sizeof err), INLONG_ERR_ARG);
    CHECK_INT(inlong_row_format_new(&s, &format, err, sizeof err), INLONG_ERR_ABI);
    CHECK_TEXT(err, "struct_size");
    CHECK(format == NULL);
    s.struct_size = sizeof s;
#define REFUSED(change, text)                                                                                                      \
    do {                                                                                                                           \
        inlong_row_settings bad = s;                                                                                               \
        change;                                                                                                                    \
        CHECK_INT(inlong_row_format_new(&bad, &format, err, sizeof err), INLONG_ERR_OPTION);                                       \
        CHECK_TEXT(err, text);                                                                                                     \
    } while (0)
    const char *twice[] = {"a", "a"}, *unwritable[] = {"a=b"}, *nameless[] = {""};
    REFUSED(bad.type = 0, "type is 0");
    REFUSED(bad.encoding = 5, "encoding is 5");
    REFUSED(bad.flags = 64, "flags is 64");
    REFUSED(bad.separator = '\n', "separator: must not be LF");
    REFUSED(bad.separator = '\\', "escape is U+005C, as separator");
    REFUSED(bad.separator = 0xD800, "separator is U+D800");
    REFUSED(bad.separator = 0x10000, "separator is U+10000");
    REFUSED((bad.separator = 0xE9, bad.encoding = INLONG_ROW_GBK), "must be ASCII with GBK");
    REFUSED(bad.kv_separator = '=', "CSV has none");
    REFUSED((bad.columns = twice, bad.column_count = 2), "column 2 (\"a\"): there is another");
    REFUSED((bad.columns = nameless, bad.column_count = 1), "column 1: has no name");
    REFUSED((bad.type = INLONG_ROW_KV, bad.columns = unwritable, bad.column_count = 1, bad.escape = 0), "holds the kv separator");
    REFUSED((bad.escape = 0, bad.flags = INLONG_ROW_CONTROL_ESCAPES), "control escapes");
    REFUSED((bad.separator = 'n', bad.flags = INLONG_ROW_CONTROL_ESCAPES), "separator is U+006E: must not be CR, n, r or 0");
    REFUSED((bad.escape = '0', bad.flags = INLONG_ROW_CONTROL_ESCAPES), "escape is U+0030: must not be CR, n, r or 0");
    s.column_count = 1;
    CHECK_INT(inlong_row_format_new(&s, &format, err, sizeof err), INLONG_ERR_ARG);
    s.column_count = 0;
    CHECK_INT(inlong_row_format_new(&s, &format, err, sizeof err), INLONG_OK);

    inlong_field field = {.kind = INLONG_FIELD_TEXT, .data = "a\nb"};
    CHECK_INT(inlong_row_write(NULL, &field, 1, buf, sizeof buf), INLONG_ERR_ARG);
    CHECK_INT(inlong_row_write(format, NULL, 1, buf, sizeof buf), INLONG_ERR_ARG);
    CHECK_INT(inlong_row_write(format, &field, 1, NULL, 5), INLONG_ERR_ARG);
    CHECK_INT(inlong_row_write(format, &field, (size_t)-1, buf, sizeof buf), INLONG_ERR_ARG);
    CHECK_TEXT(inlong_last_error(), "count is negative");
    CHECK_INT(inlong_row_write(format, NULL, 0, buf, sizeof buf), INLONG_ERR_ARG);
    CHECK_TEXT(inlong_last_error(), "the row is empty");
    inlong_field bad = {.kind = 99};
    CHECK_INT(inlong_row_write(format, &bad, 1, buf, sizeof buf), INLONG_ERR_ARG);
    CHECK_TEXT(inlong_last_error(), "field 1: kind");
    bad = (inlong_field){.kind = INLONG_FIELD_BYTES, .data_len = 3};
    CHECK_INT(inlong_row_write(format, &bad, 1, buf, sizeof buf), INLONG_ERR_ARG);
    bad = (inlong_field){.kind = INLONG_FIELD_BYTES, .data = "x", .data_len = (size_t)-1};
    CHECK_INT(inlong_row_write(format, &bad, 1, buf, sizeof buf), INLONG_ERR_ARG);
    inlong_field second[] = {{.kind = INLONG_FIELD_NULL}, {.name = "a", .name_len = (size_t)-1}}; /* was read to say which it is */
    CHECK_INT(inlong_row_write(format, second, 2, buf, sizeof buf), INLONG_ERR_ARG);
    CHECK_TEXT(inlong_last_error(), "field 2: name_len is negative");
    bad = (inlong_field){.kind = INLONG_FIELD_TIME, .value.i = INT64_MIN};
    CHECK_INT(inlong_row_write(format, &bad, 1, buf, sizeof buf), INLONG_ERR_ARG);
    CHECK_TEXT(inlong_last_error(), "years 0 to 9999");
    inlong_row_format_free(format);
    inlong_row_format_free(NULL);
}

/* Rows that are written by other settings than the stream's are read as other fields. */
static void settings_come_from_the_manager(void)
{
    fixture f = open_fixture(NULL);
    char err[512], row[64];
    inlong_row_format *format;
    control(
        f.mock,
        "{\"op\":\"set_stream\",\"group\":\"" GROUP "\",\"stream\":\"" STREAM "\",\"data\":{\"dataType\":\"KV\","
        "\"dataSeparator\":\"38\",\"dataEscapeChar\":\"\\\\\",\"fieldList\":[{\"fieldName\":\"name\"},{\"fieldName\":\"n\"}]}}");
    inlong_options *options = inlong_options_new();
    CHECK_INT(inlong_row_format_ask(options, STREAM, &format, err, sizeof err), INLONG_ERR_OPTION);
    CHECK_INT(inlong_options_set(options, "url", f.url, NULL, 0), INLONG_OK);
    CHECK_INT(inlong_options_set(options, "group_id", GROUP, NULL, 0), INLONG_OK);
    CHECK_INT(inlong_row_format_ask(options, NULL, &format, err, sizeof err), INLONG_ERR_ARG);
    CHECK_INT(inlong_row_format_ask(options, STREAM, &format, err, sizeof err), INLONG_OK);
    inlong_row_settings s = {.struct_size = sizeof s};
    CHECK_INT(inlong_row_format_settings(format, &s), INLONG_OK);
    CHECK(s.type == INLONG_ROW_KV && s.separator == '&' && s.kv_separator == '=' && s.escape == '\\' && s.column_count == 2);
    CHECK(strcmp(s.columns[1], "n") == 0);
    inlong_field fields[] = {{.kind = INLONG_FIELD_TEXT, .data = "a&b"}, {.kind = INLONG_FIELD_DOUBLE, .value.d = 0.5}};
    CHECK_INT(inlong_row_write(format, fields, 2, row, sizeof row), 15);
    CHECK(memcmp(row, "name=a\\&b&n=0.5", 15) == 0);
    inlong_row_format_free(format);

    control(f.mock, "{\"op\":\"set_stream\",\"group\":\"" GROUP "\",\"stream\":\"" STREAM "\",\"data\":{\"dataType\":\"JSON\"}}");
    CHECK_INT(inlong_row_format_ask(options, STREAM, &format, err, sizeof err), INLONG_ERR_OPTION);
    CHECK_TEXT(err, "JSON");
    control(f.mock, "{\"op\":\"manager_fault\",\"fault\":{\"kind\":\"failure\",\"text\":\"no such thing\"}}");
    CHECK_INT(inlong_row_format_ask(options, STREAM, &format, err, sizeof err), INLONG_ERR_NEW_CONN_FAILED);
    CHECK_TEXT(err, "no such thing");
    CHECK(format == NULL);
    inlong_options_free(options);
    close_fixture(&f);
}

/* A worker that was forked from a process that sends makes rows too, before it has a client. */
static void forked_child_makes_rows(void)
{
    fixture f = open_fixture(NULL);
    inlong_row_format *format = format_of((inlong_row_settings){.type = INLONG_ROW_CSV});
    pid_t child = fork();
    if (child == 0) {
        char row[8];
        inlong_field field = {.kind = INLONG_FIELD_UINT, .value.u = 42};
        _exit(inlong_row_write(format, &field, 1, row, sizeof row) == 2 && memcmp(row, "42", 2) == 0 ? 0 : 1);
    }
    CHECK_INT(check_status(child), 0);
    inlong_row_format_free(format);
    close_fixture(&f);
}

static const check_test tests[] = {
    {"rows are those of Go", rows_are_those_of_go},
    {"row that is longer than the buffer tells its length", row_that_is_longer_than_the_buffer_tells_its_length},
    {"bad arguments are named", bad_arguments_are_named},
    {"settings come from the Manager", settings_come_from_the_manager},
    {"forked child makes rows", forked_child_makes_rows},
};

CHECK_MAIN("rows", tests)
