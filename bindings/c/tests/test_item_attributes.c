/* Attributes of single messages: they arrive with theirs, divide no batch, and nothing that a consumer could not read is accepted. */
#include "fixture.h"

#include <stddef.h>
#include <stdlib.h>

static const char *const binary[] = {"message_format", "binary", "batching_max_publish_delay", "1s", NULL};

static long frames(inlong_mock *mock)
{
    long all = 0;
    for (const char *at = control(mock, "{\"op\":\"stats\"}"); (at = strstr(at, "\"frames\":")); at++)
        all += atol(at + strlen("\"frames\":"));
    return all;
}

enum { COUNT = 20000, MOST_FRAMES = 420 };

/* Base64 of six bytes, as the mock shows a payload. */
static void encode(const char *six, char *eight)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (int i = 0; i < 6; i += 3) {
        unsigned three = (unsigned)(six[i] << 16 | six[i + 1] << 8 | six[i + 2]);
        for (int shift = 18; shift >= 0; shift -= 6)
            *eight++ = digits[three >> shift & 63];
    }
    *eight = '\0';
}

/* Each message's trace is its payload in base64. */
static void check_traces(inlong_mock *mock)
{
    CHECK_INT(received(mock), COUNT);
    int with_its_own = 0;
    for (int offset = 0; offset < COUNT; offset += 1000) {
        char request[96], payload[16], trace[16];
        snprintf(request, sizeof request, "{\"op\":\"messages\",\"offset\":%d,\"limit\":1000}", offset);
        for (const char *at = control(mock, request); (at = strstr(at, "\"payload\":\"")); at++) {
            CHECK_INT(sscanf(at, "\"payload\":\"%8[^\"]\",\"item_attr\":\"trace=%8[^\"]\"", payload, trace), 2);
            with_its_own += strcmp(payload, trace) == 0;
        }
    }
    CHECK_INT(with_its_own, COUNT);
}

/* A message with a trace id of its own was a frame of its own. */
static void twenty_thousand_traces_in_as_few_frames_as_without(void)
{
    static inlong_message many[COUNT];
    static inlong_attribute traces[COUNT];
    static char values[COUNT][16], payloads[COUNT][16];
    fixture f = open_fixture(binary);
    tally t = TALLY;
    for (int i = 0; i < COUNT; i++) {
        snprintf(payloads[i], sizeof payloads[i], "%06d", i);
        encode(payloads[i], values[i]);
        traces[i] = (inlong_attribute){.key = "trace", .value = values[i]};
        many[i] = message(payloads[i]);
        many[i].item_attributes = &traces[i];
        many[i].item_attribute_count = 1;
    }
    for (int i = 0; i < COUNT; i++)
        CHECK_INT(inlong_client_send_async(f.client, &many[i], tally_result, &t), INLONG_OK);
    CHECK_INT(inlong_client_flush(f.client, 20000), INLONG_OK);
    tally_wait(&t, COUNT);
    CHECK_INT(t.acked, COUNT);
    CHECK(frames(f.mock) <= MOST_FRAMES);
    check_traces(f.mock);

    control(f.mock, "{\"op\":\"reset\"}");
    size_t accepted = 0;
    CHECK_INT(inlong_client_send_many(f.client, many, COUNT, tally_result, &t, &accepted), INLONG_OK);
    CHECK_INT(accepted, COUNT);
    CHECK_INT(inlong_client_flush(f.client, 20000), INLONG_OK);
    tally_wait(&t, 2 * COUNT);
    CHECK(frames(f.mock) <= MOST_FRAMES);
    check_traces(f.mock);
    close_fixture(&f);
}

static void packed_messages_have_those_of_their_model(void)
{
    fixture f = open_fixture(binary);
    inlong_attribute own[] = {{"trace", 0, "4bf92f35xx", 8}, {"spanXX", 4, "", 0}}, batch = {"host", 0, "web1", 0};
    inlong_message m = message("x");
    inlong_result r = {.struct_size = sizeof r};
    const uint32_t lengths[] = {1, 2};
    m.attributes = &batch;
    m.attribute_count = 1;
    m.item_attributes = own;
    m.item_attribute_count = 2;
    CHECK_INT(inlong_client_send(f.client, &m, 5000, &r), INLONG_OK);
    CHECK_INT(r.code, INLONG_OK);
    CHECK_INT(inlong_client_send_packed(f.client, PACK(&m, "abb", 3, lengths, 2, NULL, INLONG_PACKED_SINGLES), 0, NULL), INLONG_OK);
    CHECK_INT(inlong_client_flush(f.client, 5000), INLONG_OK);
    inlong_client_drop_results(f.client);
    const char *answer = control(f.mock, "{\"op\":\"messages\"}");
    CHECK_TEXT(answer, "\"host\":\"web1\"");
    long own_ones = 0;
    for (const char *at = answer; (at = strstr(at, "\"item_attr\":\"")); at++, own_ones++)
        CHECK(strstr(at, "trace=4bf92f35") && strstr(at, "span="));
    CHECK_INT(own_ones, 3);
    CHECK_INT(received(f.mock), 3);
    close_fixture(&f);
}

static void refused(inlong_client *c, const inlong_message *m, int code, const char *part)
{
    const uint32_t one = 1;
    size_t accepted = 9;
    CHECK_INT(inlong_client_send(c, m, 1000, NULL), code);
    CHECK_TEXT(inlong_last_error(), part);
    CHECK_INT(inlong_client_send_async(c, m, NULL, NULL), code);
    CHECK_TEXT(inlong_last_error(), part);
    CHECK_INT(inlong_client_send_many(c, m, 1, NULL, NULL, &accepted), code);
    CHECK_INT(accepted, 0);
    CHECK_TEXT(inlong_last_error(), part);
    CHECK_INT(inlong_client_send_packed(c, PACK(m, "x", 1, &one, 1, NULL, 0), 0, NULL), code);
    CHECK_TEXT(inlong_last_error(), part);
}

/* A node acks what no consumer can read. */
static void bad_ones_are_refused(void)
{
    static const struct {
        inlong_attribute a;
        int code;
        const char *part;
    } cases[] = {
        {{NULL, 0, "v", 0}, INLONG_ERR_LOG_INVALID, "item attributes: the attribute with value \"v\" has an empty name"},
        {{"k", 0, "a&b", 0}, INLONG_ERR_LOG_INVALID, "without & and ="},
        {{"k", 0, " a", 0}, INLONG_ERR_LOG_INVALID, "starts or ends with a blank"},
        {{"k", 0, "\xc3\xa4", 0}, INLONG_ERR_LOG_INVALID, "printable ASCII"},
        {{"mid", 0, "v", 0}, INLONG_ERR_LOG_INVALID, "item attributes: attribute name \"mid\" is reserved"},
        {{"host", 0, "v", 0}, INLONG_ERR_LOG_INVALID, "\"host\" belongs to the whole batch"},
        {{"k", (size_t)-1, "v", 0}, INLONG_ERR_ARG, "item_attribute: key_len is negative"},
        {{"k", 0, NULL, 3}, INLONG_ERR_ARG, "item_attribute: value is NULL"},
        {{"k", (size_t)1 << 40, "v", 0}, INLONG_ERR_LOG_INVALID, "must have 4096 or less"},
    };
    static const inlong_attribute batch = {"host", 0, "web1", 0}, twice[] = {{"k", 0, "a", 0}, {"kk", 1, "b", 0}};
    fixture f = open_fixture(binary);
    inlong_message m = message("x");
    m.attributes = &batch;
    m.attribute_count = 1;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        m.item_attributes = &cases[i].a;
        m.item_attribute_count = 1;
        refused(f.client, &m, cases[i].code, cases[i].part);
    }
    m.item_attributes = twice;
    m.item_attribute_count = 2;
    refused(f.client, &m, INLONG_ERR_LOG_INVALID, "item attributes: attribute \"k\" is given twice");
    m.item_attribute_count = (size_t)-1;
    refused(f.client, &m, INLONG_ERR_ARG, "item_attribute_count is negative");
    m.item_attributes = NULL;
    m.item_attribute_count = 1;
    refused(f.client, &m, INLONG_ERR_ARG, "item_attributes is NULL but item_attribute_count is 1");
    CHECK_INT(inlong_client_flush(f.client, 5000), INLONG_OK);
    CHECK_INT(received(f.mock), 0);
    close_fixture(&f);

    f = open_fixture((const char *const[]){NULL});
    m = message("x");
    m.item_attributes = twice;
    m.item_attribute_count = 1;
    refused(f.client, &m, INLONG_ERR_LOG_INVALID, "message_format=binary");
    close_fixture(&f);
}

/* The struct of a program that was built before they were there ends before them: what lies after it is not a message's, and the next
 * message of an array is. */
static void older_programs_have_none(void)
{
    enum { OLD = offsetof(inlong_message, item_attributes), MANY = 100 };
    static char array[MANY * OLD], payloads[MANY][16];
    fixture f = open_fixture(binary);
    tally t = TALLY;
    for (size_t i = 0; i < MANY; i++) {
        snprintf(payloads[i], sizeof payloads[i], "old %zu", i);
        inlong_message m = message(payloads[i]);
        m.struct_size = OLD;
        memcpy(array + i * OLD, &m, OLD);
    }
    struct {
        char old[OLD];
        size_t behind[4];
    } one = {.behind = {1, (size_t)-1, 1, 1}};
    memcpy(one.old, array, OLD);
    const inlong_message *m = (const inlong_message *)(const void *)&one;
    const uint32_t length = 1;
    CHECK_INT(inlong_client_send(f.client, m, 5000, NULL), INLONG_OK);
    CHECK_INT(inlong_client_send_async(f.client, m, tally_result, &t), INLONG_OK);
    CHECK_INT(inlong_client_send_packed(f.client, PACK(m, "x", 1, &length, 1, NULL, 0), 0, NULL), INLONG_OK);
    CHECK_INT(inlong_client_flush(f.client, 5000), INLONG_OK);
    inlong_client_drop_results(f.client);
    tally_wait(&t, 1);
    CHECK_INT(received(f.mock), 3);

    size_t accepted = 0;
    const inlong_message *all = (const inlong_message *)(const void *)array;
    CHECK_INT(inlong_client_send_many(f.client, all, MANY, tally_result, &t, &accepted), INLONG_OK);
    CHECK_INT(accepted, MANY);
    CHECK_INT(inlong_client_flush(f.client, 5000), INLONG_OK);
    tally_wait(&t, MANY + 1);
    CHECK_INT(t.acked, MANY + 1);
    CHECK_INT(received(f.mock), MANY + 3);

    /* One of another size within it, and a bad one: those before are accepted. */
    size_t other = sizeof(inlong_message);
    memcpy(array + 70 * OLD, &other, sizeof other);
    CHECK_INT(inlong_client_send_many(f.client, all, MANY, tally_result, &t, &accepted), INLONG_ERR_ABI);
    CHECK_TEXT(inlong_last_error(), "message after the first: struct_size is");
    CHECK_INT(accepted, 70);
    tally_wait(&t, MANY + 71);
    close_fixture(&f);
}

static const check_test tests[] = {
    {"twenty_thousand_traces_in_as_few_frames_as_without", twenty_thousand_traces_in_as_few_frames_as_without},
    {"packed_messages_have_those_of_their_model", packed_messages_have_those_of_their_model},
    {"bad_ones_are_refused", bad_ones_are_refused},
    {"older_programs_have_none", older_programs_have_none},
};

CHECK_MAIN("item_attributes", tests)
