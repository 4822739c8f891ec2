/* Bad input of every kind: a code and a text that names it, nothing sent, nothing written beyond a buffer, no crash. */
#include "fixture.h"

#include <stdlib.h>

static const char *const no_options[] = {NULL};

static inlong_client *client_for_faults(fixture *f)
{
    *f = open_fixture(no_options);
    return f->client;
}

/* Nothing of the faulty calls of this test may have been sent. */
static void end(fixture *f)
{
    CHECK_INT(inlong_client_flush(f->client, 5000), INLONG_OK);
    CHECK_INT(received(f->mock), 0);
    close_fixture(f);
}

#define REFUSED(client, m, code, part)                                                                                             \
    do {                                                                                                                           \
        inlong_result result = {.struct_size = sizeof result};                                                                     \
        size_t accepted = 9;                                                                                                       \
        CHECK_INT(inlong_client_send(client, m, 1000, &result), code);                                                             \
        CHECK_TEXT(inlong_last_error(), part);                                                                                     \
        CHECK_INT(inlong_client_send_async(client, m, NULL, NULL), code);                                                          \
        CHECK_TEXT(inlong_last_error(), part);                                                                                     \
        CHECK_INT(inlong_client_send_many(client, m, 1, NULL, NULL, &accepted), code);                                             \
        CHECK_INT(accepted, 0);                                                                                                    \
        CHECK_TEXT(inlong_last_error(), part);                                                                                     \
    } while (0)

static void message_of_wrong_shape(void)
{
    fixture f;
    inlong_client *c = client_for_faults(&f);
    inlong_message m = message("x");
    CHECK_INT(inlong_client_send(c, NULL, 0, NULL), INLONG_ERR_ARG);
    CHECK_INT(inlong_client_send_async(c, NULL, NULL, NULL), INLONG_ERR_ARG);
    CHECK_INT(inlong_client_send_many(c, NULL, 1, NULL, NULL, NULL), INLONG_ERR_ARG);
    m.struct_size = 0;
    REFUSED(c, &m, INLONG_ERR_ABI, "struct_size is 0");
    m.struct_size = sizeof m + 8;
    REFUSED(c, &m, INLONG_ERR_ABI, "struct_size");
    m = message("x");
    m.payload_len = (size_t)-1;
    REFUSED(c, &m, INLONG_ERR_ARG, "payload_len is negative");
    m.payload = NULL;
    m.payload_len = 3;
    REFUSED(c, &m, INLONG_ERR_ARG, "payload is NULL");
    m = message("x");
    m.stream_id_len = (size_t)-5;
    REFUSED(c, &m, INLONG_ERR_ARG, "stream_id_len is negative");
    m.stream_id = NULL;
    m.stream_id_len = 4;
    REFUSED(c, &m, INLONG_ERR_ARG, "stream_id is NULL");
    m = message("x");
    m.group_id_len = 4;
    REFUSED(c, &m, INLONG_ERR_ARG, "group_id is NULL");
    m = message("x");
    m.time_ms = -1;
    REFUSED(c, &m, INLONG_ERR_ARG, "time_ms is negative");
    m = message("x");
    m.attribute_count = 1;
    REFUSED(c, &m, INLONG_ERR_ARG, "attributes is NULL");
    m.attribute_count = (size_t)-1;
    REFUSED(c, &m, INLONG_ERR_ARG, "attribute_count is negative");
    end(&f);
}

static void message_that_the_protocol_forbids(void)
{
    fixture f;
    inlong_client *c = client_for_faults(&f);
    inlong_message m = message("");
    REFUSED(c, &m, INLONG_ERR_LOG_INVALID, "payload");
    m.payload = NULL;
    REFUSED(c, &m, INLONG_ERR_LOG_INVALID, "payload");
    m = message("x");
    m.stream_id = NULL;
    REFUSED(c, &m, INLONG_ERR_LOG_INVALID, "stream");
    m.stream_id = "with blank";
    REFUSED(c, &m, INLONG_ERR_LOG_INVALID, "stream id \"with blank\"");
    m.stream_id = "\xff\xfe";
    REFUSED(c, &m, INLONG_ERR_LOG_INVALID, "stream id");
    m.stream_id = "a\nb&c=d";
    REFUSED(c, &m, INLONG_ERR_LOG_INVALID, "stream id");
    m = message("x");
    m.group_id = "gr\xc3(pe";
    REFUSED(c, &m, INLONG_ERR_LOG_INVALID, "group id");
    m.group_id = "gr\xc3\xbc\xc3\x9f";
    REFUSED(c, &m, INLONG_ERR_LOG_INVALID, "group id");
    m.group_id = "abc";
    REFUSED(c, &m, INLONG_ERR_LOG_INVALID, "group id \"abc\"");
    size_t big = 21 << 20;
    char *huge = malloc(big);
    memset(huge, 'x', big);
    m = message("x");
    m.payload = huge;
    m.payload_len = big;
    REFUSED(c, &m, INLONG_ERR_LOG_TOO_LONG, "too long");
    free(huge);
    end(&f);
}

static void attributes_that_are_bad(void)
{
    static const struct {
        inlong_attribute a;
        int code;
        const char *part;
    } cases[] = {
        {{NULL, 0, "v", 0}, INLONG_ERR_LOG_INVALID, "empty name"},
        {{"k", 0, "a&b=c", 0}, INLONG_ERR_LOG_INVALID, "without & and ="},
        {{"k=", 0, "v", 0}, INLONG_ERR_LOG_INVALID, "without & and ="},
        {{"k", 0, "new\nline", 0}, INLONG_ERR_LOG_INVALID, "printable ASCII"},
        {{"k", 0, "\xc3\xa4", 0}, INLONG_ERR_LOG_INVALID, "printable ASCII"},
        {{"\xff", 0, "v", 0}, INLONG_ERR_LOG_INVALID, "printable ASCII"},
        {{"k\0l", 3, "v", 0}, INLONG_ERR_LOG_INVALID, "printable ASCII"},
        {{"groupId", 0, "v", 0}, INLONG_ERR_LOG_INVALID, "reserved"},
        {{"k", (size_t)-1, "v", 0}, INLONG_ERR_ARG, "key_len is negative"},
        {{"k", 0, NULL, 3}, INLONG_ERR_ARG, "value is NULL"},
    };
    fixture f;
    inlong_client *c = client_for_faults(&f);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        inlong_message m = message("x");
        m.attributes = &cases[i].a;
        m.attribute_count = 1;
        REFUSED(c, &m, cases[i].code, cases[i].part);
    }
    end(&f);
}

/* The second value would take the place of the first, and one of them be lost without a word. */
static void attribute_given_twice(void)
{
    fixture f;
    inlong_client *c = client_for_faults(&f);
    inlong_attribute attributes[] = {{"color", 0, "blue", 0}, {"size", 0, "7", 0}, {"colors", 5, "red", 0}};
    inlong_message m = message("x");
    inlong_result r = {.struct_size = sizeof r};
    uint32_t length = 1;
    m.attributes = attributes;
    m.attribute_count = 3;
    REFUSED(c, &m, INLONG_ERR_LOG_INVALID, "attribute \"color\" is given twice");
    CHECK_INT(inlong_client_send_packed(c, PACK(&m, "x", 1, &length, 1, NULL, 0), 0, NULL), INLONG_ERR_LOG_INVALID);
    CHECK_INT(inlong_client_send(c, &m, 1000, &r), INLONG_ERR_LOG_INVALID);
    CHECK_INT(r.code, INLONG_ERR_LOG_INVALID);
    CHECK_INT(r.persisted, INLONG_NOT_WRITTEN);
    end(&f);
}

static void packed_call_of_wrong_shape(void)
{
    fixture f;
    inlong_client *c = client_for_faults(&f);
    inlong_message m = message("");
    uint32_t lengths[2] = {2, 3};
    size_t n = 9;
    CHECK_INT(inlong_client_send_packed(c, NULL, 0, &n), INLONG_ERR_ARG);
    CHECK_TEXT(inlong_last_error(), "messages is NULL");
    CHECK_INT(n, 0);
    CHECK_INT(inlong_client_send_packed(c, &(inlong_packed){.struct_size = 8, .model = &m}, 0, NULL), INLONG_ERR_ABI);
    CHECK_TEXT(inlong_last_error(), "messages: struct_size is 8");
    CHECK_INT(inlong_client_send_packed(c, PACK(NULL, "abcde", 5, lengths, 2, NULL, 0), 0, &n), INLONG_ERR_ARG);
    CHECK_INT(n, 0);
    CHECK_INT(inlong_client_send_packed(c, PACK(&m, "abcde", 4, lengths, 2, NULL, 0), 0, NULL), INLONG_ERR_ARG);
    CHECK_TEXT(inlong_last_error(), "lengths add up to 5 but data_len is 4");
    CHECK_INT(inlong_client_send_packed(c, PACK(&m, NULL, 5, lengths, 2, NULL, 0), 0, &n), INLONG_ERR_ARG);
    CHECK_INT(inlong_client_send_packed(c, PACK(&m, "abcde", 5, NULL, 2, NULL, 0), 0, &n), INLONG_ERR_ARG);
    CHECK_INT(inlong_client_send_packed(c, PACK(&m, "abcde", 5, lengths, 2, NULL, 6), 0, &n), INLONG_ERR_ARG);
    CHECK_INT(inlong_client_send_packed(c, PACK(&m, "abcde", 5, lengths, 2, NULL, 0), -2, &n), INLONG_ERR_ARG);
    CHECK_INT(inlong_client_send_packed(c, PACK(&m, "abcde", (size_t)-1, lengths, 2, NULL, 0), 0, &n), INLONG_ERR_ARG);
    CHECK_INT(inlong_client_send_packed(c, PACK(&m, "", 0, lengths, (size_t)-1, NULL, 0), 0, &n), INLONG_ERR_ARG);
    CHECK_INT(inlong_client_send_packed(c, PACK(&m, NULL, 0, NULL, 0, NULL, 0), 0, &n), INLONG_OK);
    lengths[0] = 0;
    CHECK_INT(inlong_client_send_packed(c, PACK(&m, "abc", 3, lengths, 2, NULL, 0), 0, &n), INLONG_ERR_LOG_INVALID);
    CHECK_INT(n, 0);
    end(&f);
}

static void calls_with_bad_arguments(void)
{
    fixture f;
    inlong_client *c = client_for_faults(&f);
    inlong_message m = message("x");
    inlong_result r = {.struct_size = 8};
    inlong_close_report report = {.struct_size = 1};
    CHECK_INT(inlong_client_send(c, &m, -2, NULL), INLONG_ERR_ARG);
    CHECK_TEXT(inlong_last_error(), "timeout_ms is -2");
    CHECK_INT(inlong_client_send(c, &m, 0, &r), INLONG_ERR_ABI);
    CHECK_INT(inlong_client_poll(c, NULL, 1, 0), INLONG_ERR_ARG);
    CHECK_INT(inlong_client_poll(c, &r, 1, 0), INLONG_ERR_ABI);
    r.struct_size = sizeof r;
    CHECK_INT(inlong_client_poll(c, &r, 0, 0), INLONG_ERR_ARG);
    CHECK_INT(inlong_client_poll(c, &r, -1, 0), INLONG_ERR_ARG);
    CHECK_INT(inlong_client_poll(c, &r, 1, -7), INLONG_ERR_ARG);
    CHECK_INT(inlong_client_poll(c, &r, 1, 0), 0);
    CHECK_INT(inlong_client_flush(c, INT64_MIN), INLONG_ERR_ARG);
    CHECK_INT(inlong_client_close(c, -3, NULL), INLONG_ERR_ARG);
    CHECK_INT(inlong_client_close(c, 0, &report), INLONG_ERR_ABI);
    CHECK_INT(inlong_client_stats(c, NULL, 5), INLONG_ERR_ARG);
    CHECK_INT(inlong_client_stats(c, (char *)&r, (size_t)-1), INLONG_ERR_ARG);
    CHECK_INT(inlong_mock_control(f.mock, NULL, NULL, 0), INLONG_ERR_ARG);
    CHECK_INT(inlong_mock_control(f.mock, "{", NULL, 0), INLONG_ERR_ARG);
    CHECK_INT(inlong_mock_control(f.mock, "{\"op\":\"dance\"}", NULL, 0), INLONG_ERR_ARG);
    CHECK_TEXT(inlong_last_error(), "dance");
    end(&f); /* and with that: the client still works */
}

/* Every pointer of every function, NULL where that is not allowed. */
static void null_for_each_pointer(void)
{
    fixture f;
    inlong_client *c = client_for_faults(&f), *made = (inlong_client *)1;
    inlong_options *o = inlong_options_new();
    inlong_mock *mock = (inlong_mock *)1;
    inlong_message m = message("x");
    uint32_t one = 1;
    int64_t value;
    inlong_log_line line = {.struct_size = sizeof line};
    const struct {
        int code;
        const char *part;
    } answers[] = {
        {inlong_options_set(NULL, "url", "x", NULL, 0), "options is NULL"},
        {inlong_options_set(o, NULL, "x", NULL, 0), "key is NULL"},
        {inlong_options_set(o, "url", NULL, NULL, 0), "value is NULL"},
        {inlong_options_set_log(NULL, NULL, NULL, 0), "options is NULL"},
        {inlong_options_set_batch_callback(NULL, NULL, NULL), "options is NULL"},
        {inlong_log_poll(NULL, 1, 0), "lines is NULL"},
        {inlong_runtime_get(INLONG_RUNTIME_GC_PERCENT, NULL), "value is NULL"},
        {inlong_client_new(NULL, &made, NULL, 0), "options is NULL"},
        {inlong_client_new(o, NULL, NULL, 0), "client is NULL"},
        {inlong_client_send(c, NULL, 0, NULL), "message is NULL"},
        {inlong_client_send_async(c, NULL, NULL, NULL), "message is NULL"},
        {inlong_client_send_many(c, NULL, 1, NULL, NULL, NULL), "messages is NULL"},
        {inlong_client_send_packed(c, PACK(NULL, "x", 1, &one, 1, NULL, 0), 0, NULL), "message is NULL"},
        {inlong_client_send_packed(c, PACK(&m, NULL, 1, &one, 1, NULL, 0), 0, NULL), "data is NULL"},
        {inlong_client_send_packed(c, PACK(&m, "x", 1, NULL, 1, NULL, 0), 0, NULL), "lengths is NULL"},
        {inlong_client_poll(c, NULL, 1, 0), "results is NULL"},
        {inlong_client_stats(c, NULL, 1), "buf is NULL"},
        {inlong_client_metrics(c, NULL, 1), "buf is NULL"},
        {inlong_mock_new(1, NULL, NULL, 0), "mock is NULL"},
        {inlong_mock_url(f.mock, NULL, 1), "buf is NULL"},
        {inlong_mock_stats(f.mock, NULL, 1), "buf is NULL"},
        {inlong_mock_control(f.mock, NULL, NULL, 0), "request is NULL"},
        {inlong_mock_control(f.mock, "{\"op\":\"stats\"}", NULL, 1), "buf is NULL"},
    };
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        if (answers[i].code != INLONG_ERR_ARG)
            fprintf(stderr, "    not \"%s\"\n", answers[i].part);
        CHECK_INT(answers[i].code, INLONG_ERR_ARG);
    }
    CHECK(made == NULL && mock != NULL);

    /* The texts, one call at a time; and what may be NULL. */
    inlong_client_metrics(c, NULL, 1);
    CHECK_TEXT(inlong_last_error(), "buf is NULL but len is 1");
    inlong_client_send_packed(c, PACK(&m, "x", 1, NULL, 1, NULL, 0), 0, NULL);
    CHECK_TEXT(inlong_last_error(), "lengths is NULL");
    inlong_options_free(NULL);
    inlong_mock_free(NULL);
    CHECK_INT(inlong_client_new(o, &made, NULL, 0), INLONG_ERR_OPTION);
    CHECK_INT(inlong_runtime_get(INLONG_RUNTIME_GC_PERCENT, &value), INLONG_OK);
    CHECK_INT(inlong_log_poll(&line, 1, 0), 0);
    inlong_options_free(o);
    end(&f);
}

static void handles_that_are_none(void)
{
    static int something;
    fixture f = open_fixture(NULL);
    inlong_message m = message("x");
    inlong_result r = {.struct_size = sizeof r};
    char buf[8];
    void *none[] = {NULL, (void *)1, (void *)2, (void *)4095, &something, (void *)(uintptr_t)-1};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        inlong_client *c = none[i];
        CHECK_INT(inlong_client_send(c, &m, 0, NULL), INLONG_ERR_HANDLE);
        CHECK_INT(inlong_client_send_async(c, &m, NULL, NULL), INLONG_ERR_HANDLE);
        CHECK_INT(inlong_client_send_many(c, &m, 1, NULL, NULL, NULL), INLONG_ERR_HANDLE);
        CHECK_INT(inlong_client_send_packed(c, PACK(&m, NULL, 0, NULL, 0, NULL, 0), 0, NULL), INLONG_ERR_HANDLE);
        CHECK_INT(inlong_client_poll(c, &r, 1, -1), INLONG_ERR_HANDLE);
        CHECK_INT(inlong_client_event_fd(c), INLONG_ERR_HANDLE);
        CHECK_INT(inlong_client_flush(c, 0), INLONG_ERR_HANDLE);
        CHECK_INT(inlong_client_close(c, 0, NULL), INLONG_ERR_HANDLE);
        CHECK_INT(inlong_client_stats(c, buf, sizeof buf), INLONG_ERR_HANDLE);
        CHECK_INT(inlong_client_metrics(c, buf, sizeof buf), INLONG_ERR_HANDLE);
        CHECK_TEXT(inlong_last_error(), "not an open client");
        inlong_mock *mock = none[i];
        if (mock != f.mock) {
            CHECK_INT(inlong_mock_url(mock, buf, sizeof buf), INLONG_ERR_HANDLE);
            CHECK_INT(inlong_mock_stats(mock, buf, sizeof buf), INLONG_ERR_HANDLE);
            CHECK_INT(inlong_mock_control(mock, "{}", buf, sizeof buf), INLONG_ERR_HANDLE);
            inlong_mock_free(mock);
        }
    }
    CHECK(inlong_mock_url(f.mock, buf, sizeof buf) > 0);
    close_fixture(&f);
}

/* The functions that write a text into the caller's buffer. */
static fixture texts;
static int write_stats(char *buf, size_t len) { return inlong_client_stats(texts.client, buf, len); }
static int write_metrics(char *buf, size_t len) { return inlong_client_metrics(texts.client, buf, len); }
static int write_url(char *buf, size_t len) { return inlong_mock_url(texts.mock, buf, len); }
static int write_mock_stats(char *buf, size_t len) { return inlong_mock_stats(texts.mock, buf, len); }
static int write_answer(char *buf, size_t len) { return inlong_mock_control(texts.mock, "{\"op\":\"stats\"}", buf, len); }
static int write_option_error(char *buf, size_t len)
{
    CHECK_INT(inlong_options_set(NULL, "k", "v", buf, len), INLONG_ERR_ARG);
    return (int)strlen(inlong_last_error());
}
static int write_client_error(char *buf, size_t len)
{
    inlong_client *client;
    inlong_options *o = inlong_options_new();
    CHECK_INT(inlong_client_new(o, &client, buf, len), INLONG_ERR_OPTION);
    inlong_options_free(o);
    return (int)strlen(inlong_last_error());
}
static int write_mock_error(char *buf, size_t len)
{
    inlong_mock *mock;
    CHECK_INT(inlong_mock_new(99, &mock, buf, len), INLONG_ERR_ARG);
    return (int)strlen(inlong_last_error());
}

/* -1 made a size_t: how much may be written is not known then, so nothing is. */
static void negative_length_of_an_error_buffer(void)
{
    char err[] = "####";
    size_t negative = (size_t)-1;
    inlong_options *o = inlong_options_new();
    inlong_client *client = (inlong_client *)1;
    inlong_mock *mock = (inlong_mock *)1;
    CHECK_INT(inlong_options_set(o, "no_such_key", "v", err, negative), INLONG_ERR_ARG);
    CHECK_TEXT(inlong_last_error(), "errlen is negative");
    CHECK_INT(inlong_client_new(o, &client, err, negative), INLONG_ERR_ARG);
    CHECK_TEXT(inlong_last_error(), "errlen is negative");
    CHECK_INT(inlong_mock_new(99, &mock, err, negative), INLONG_ERR_ARG);
    CHECK_TEXT(inlong_last_error(), "errlen is negative");
    CHECK(client == NULL && mock == NULL && strcmp(err, "####") == 0);
    inlong_options_free(o);
}

/* snprintf's rules: the whole length is told, the text is cut and ends in NUL, and not a byte is written after the buffer: each
 * lies at the end of its memory, where the sanitizer sees it. */
static void texts_are_cut_to_their_buffer(void)
{
    int (*const functions[])(char *, size_t) = {write_stats,  write_metrics,      write_url,          write_mock_stats,
                                                write_answer, write_option_error, write_client_error, write_mock_error};
    static char whole[1 << 17];
    texts = open_fixture(no_options);
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        size_t length = (size_t)functions[i](whole, sizeof whole);
        CHECK_INT(strlen(whole), length);
        CHECK(functions[i](NULL, 0) > 0);
        size_t sizes[] = {0, 1, 2, 3, 7, 8, 15, 16, 31, length - 1, length, length + 1, length + 2};
        for (size_t j = 0; j < sizeof sizes / sizeof *sizes; j++) {
            char *cut = malloc(sizes[j] ? sizes[j] : 1);
            *cut = '#';
            CHECK(functions[i](cut, sizes[j]) > 0);
            if (sizes[j] == 0)
                CHECK(*cut == '#');
            else
                CHECK(strlen(cut) <= sizes[j] - 1 && strncmp(cut, whole, sizes[j] < 10 ? sizes[j] - 1 : 9) == 0);
            free(cut);
        }
    }
    inlong_client_stats(texts.client, whole, sizeof whole);
    CHECK_INT(whole[0], '{');
    CHECK_INT(json_number(whole, "accepted"), 0);
    close_fixture(&texts);
}

static const check_test tests[] = {
    {"message_of_wrong_shape", message_of_wrong_shape},
    {"message_that_the_protocol_forbids", message_that_the_protocol_forbids},
    {"attributes_that_are_bad", attributes_that_are_bad},
    {"attribute_given_twice", attribute_given_twice},
    {"packed_call_of_wrong_shape", packed_call_of_wrong_shape},
    {"calls_with_bad_arguments", calls_with_bad_arguments},
    {"null_for_each_pointer", null_for_each_pointer},
    {"handles_that_are_none", handles_that_are_none},
    {"negative_length_of_an_error_buffer", negative_length_of_an_error_buffer},
    {"texts_are_cut_to_their_buffer", texts_are_cut_to_their_buffer},
};

CHECK_MAIN("arguments", tests)
