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

static void packed_call_of_wrong_shape(void)
{
    fixture f;
    inlong_client *c = client_for_faults(&f);
    inlong_message m = message("");
    uint32_t lengths[2] = {2, 3};
    size_t n = 9;
    CHECK_INT(inlong_client_send_packed(c, NULL, "abcde", 5, lengths, 2, NULL, 0, 0, &n), INLONG_ERR_ARG);
    CHECK_INT(n, 0);
    CHECK_INT(inlong_client_send_packed(c, &m, "abcde", 4, lengths, 2, NULL, 0, 0, NULL), INLONG_ERR_ARG);
    CHECK_TEXT(inlong_last_error(), "lengths add up to 5 but data_len is 4");
    CHECK_INT(inlong_client_send_packed(c, &m, NULL, 5, lengths, 2, NULL, 0, 0, &n), INLONG_ERR_ARG);
    CHECK_INT(inlong_client_send_packed(c, &m, "abcde", 5, NULL, 2, NULL, 0, 0, &n), INLONG_ERR_ARG);
    CHECK_INT(inlong_client_send_packed(c, &m, "abcde", 5, lengths, 2, NULL, 6, 0, &n), INLONG_ERR_ARG);
    CHECK_INT(inlong_client_send_packed(c, &m, "abcde", 5, lengths, 2, NULL, 0, -2, &n), INLONG_ERR_ARG);
    CHECK_INT(inlong_client_send_packed(c, &m, "abcde", (size_t)-1, lengths, 2, NULL, 0, 0, &n), INLONG_ERR_ARG);
    CHECK_INT(inlong_client_send_packed(c, &m, "", 0, lengths, (size_t)-1, NULL, 0, 0, &n), INLONG_ERR_ARG);
    CHECK_INT(inlong_client_send_packed(c, &m, NULL, 0, NULL, 0, NULL, 0, 0, &n), INLONG_OK);
    lengths[0] = 0;
    CHECK_INT(inlong_client_send_packed(c, &m, "abc", 3, lengths, 2, NULL, 0, 0, &n), INLONG_ERR_LOG_INVALID);
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
        CHECK_INT(inlong_client_send_packed(c, &m, NULL, 0, NULL, 0, NULL, 0, 0, NULL), INLONG_ERR_HANDLE);
        CHECK_INT(inlong_client_poll(c, &r, 1, -1), INLONG_ERR_HANDLE);
        CHECK_INT(inlong_client_event_fd(c), INLONG_ERR_HANDLE);
        CHECK_INT(inlong_client_flush(c, 0), INLONG_ERR_HANDLE);
        CHECK_INT(inlong_client_close(c, 0, NULL), INLONG_ERR_HANDLE);
        CHECK_INT(inlong_client_stats(c, buf, sizeof buf), INLONG_ERR_HANDLE);
        inlong_mock *mock = none[i];
        if (mock != f.mock) {
            CHECK_INT(inlong_mock_url(mock, buf, sizeof buf), INLONG_ERR_HANDLE);
            CHECK_INT(inlong_mock_stats(mock, buf, sizeof buf), INLONG_ERR_HANDLE);
            inlong_mock_free(mock);
        }
    }
    CHECK(inlong_mock_url(f.mock, buf, sizeof buf) > 0);
    close_fixture(&f);
}

/* snprintf's rules: the whole length is told, and not a byte is written behind the buffer. */
static void texts_are_cut_to_their_buffer(void)
{
    fixture f = open_fixture(no_options);
    char whole[4096], cut[64];
    int length = inlong_client_stats(f.client, whole, sizeof whole);
    CHECK_INT(length, (int)strlen(whole));
    CHECK_INT(whole[0], '{');
    CHECK_INT(json_number(whole, "accepted"), 0);
    for (size_t size = 0; size < 16; size++) {
        memset(cut, '#', sizeof cut);
        CHECK(inlong_client_stats(f.client, cut, size) > 0);
        CHECK(cut[size] == '#');
        CHECK(size == 0 || strlen(cut) == size - 1);
        memset(cut, '#', sizeof cut);
        inlong_options_set(NULL, "k", "v", cut, size);
        CHECK(cut[size] == '#');
        CHECK(size == 0 || strlen(cut) <= size - 1);
    }
    CHECK(inlong_client_stats(f.client, NULL, 0) > 0);
    CHECK_INT(inlong_mock_url(f.mock, NULL, 0), (int)strlen(f.url));
    close_fixture(&f);
}

static const check_test tests[] = {
    {"message_of_wrong_shape", message_of_wrong_shape},
    {"message_that_the_protocol_forbids", message_that_the_protocol_forbids},
    {"attributes_that_are_bad", attributes_that_are_bad},
    {"packed_call_of_wrong_shape", packed_call_of_wrong_shape},
    {"calls_with_bad_arguments", calls_with_bad_arguments},
    {"handles_that_are_none", handles_that_are_none},
    {"texts_are_cut_to_their_buffer", texts_are_cut_to_their_buffer},
};

CHECK_MAIN("arguments", tests)
