/* Lengths that lead out of the caller's memory. */
#include "fixture.h"

#include <sys/mman.h>

static void refused(inlong_client *c, const inlong_message *m, int code, const char *part)
{
    const uint32_t one = 1;
    CHECK_INT(inlong_client_send(c, m, 1000, NULL), code);
    CHECK_TEXT(inlong_last_error(), part);
    CHECK_INT(inlong_client_send_async(c, m, NULL, NULL), code);
    CHECK_TEXT(inlong_last_error(), part);
    CHECK_INT(inlong_client_send_many(c, m, 1, NULL, NULL, NULL), code);
    CHECK_TEXT(inlong_last_error(), part);
    if (code == INLONG_ERR_LOG_INVALID) /* of a packed call the ids and attributes are looked at only */
        CHECK_INT(inlong_client_send_packed(c, PACK(m, "x", 1, &one, 1, NULL, 0), 0, NULL), code);
}

/* A wrong length that is not negative led out of the caller's memory where a text was hashed or its end looked at, and that ended the
 * process: the memory here ends after 4 KiB. */
static void lengths_beyond_the_memory(void)
{
    static const size_t lengths[] = {5000, (size_t)1 << 31, (size_t)1 << 40, PTRDIFF_MAX};
    fixture f = open_fixture((const char *const[]){"trim_trailing_newline", "true", NULL});
    inlong_client *c = f.client;
    char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(page != MAP_FAILED && mprotect(page + 4096, 4096, PROT_NONE) == 0);
    memset(page, 'a', 4096);
    inlong_message m = message("x");
    CHECK_INT(inlong_client_send(c, &m, 5000, NULL), INLONG_OK); /* only a client that knows a stream looks for another */
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        size_t n = lengths[i];
        inlong_attribute key = {page, n, "v", 1}, value = {"k", 1, page, n};
        m = message("x");
        m.stream_id = page;
        m.stream_id_len = n;
        refused(c, &m, INLONG_ERR_LOG_INVALID, "stream id");
        m.attributes = &value;
        m.attribute_count = 1;
        refused(c, &m, INLONG_ERR_LOG_INVALID, "must have 4096 or less");
        m = message("x");
        m.group_id = page;
        m.group_id_len = n;
        refused(c, &m, INLONG_ERR_LOG_INVALID, "group id");
        m = message("x");
        m.attributes = &key;
        m.attribute_count = 1;
        refused(c, &m, INLONG_ERR_LOG_INVALID, "must have 4096 or less");
        m.attributes = &value;
        refused(c, &m, INLONG_ERR_LOG_INVALID, "must have 4096 or less");
        m = message("x");
        m.item_attributes = &key;
        m.item_attribute_count = 1;
        refused(c, &m, INLONG_ERR_LOG_INVALID, "must have 4096 or less");
        m.item_attributes = &value;
        refused(c, &m, INLONG_ERR_LOG_INVALID, "must have 4096 or less");
        if (n < 1 << 30)
            continue; /* a payload may be so long */
        m = message("x");
        m.payload = page;
        m.payload_len = n;
        refused(c, &m, INLONG_ERR_LOG_TOO_LONG, "payload");
    }
    CHECK_INT(inlong_client_flush(c, 5000), INLONG_OK);
    CHECK_INT(received(f.mock), 1);
    munmap(page, 8192);
    close_fixture(&f);
}

/* So did a wrong count: the attributes were looked at one by one, before their number was. */
static void counts_beyond_the_memory(void)
{
    static const size_t counts[] = {2049, 1 << 20, (size_t)1 << 40, PTRDIFF_MAX / sizeof(inlong_attribute)};
    fixture f = open_fixture((const char *const[]){NULL});
    char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(page != MAP_FAILED && mprotect(page + 4096, 4096, PROT_NONE) == 0);
    inlong_attribute *last = (inlong_attribute *)(void *)(page + 4096) - 1;
    *last = (inlong_attribute){"k", 1, "v", 1};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        inlong_message m = message("x");
        m.attributes = last;
        m.attribute_count = counts[i];
        refused(f.client, &m, INLONG_ERR_LOG_INVALID, "must have 4096 or less");
        m = message("x");
        m.item_attributes = last;
        m.item_attribute_count = counts[i];
        refused(f.client, &m, INLONG_ERR_LOG_INVALID, "must have 4096 or less");
    }
    munmap(page, 8192);
    close_fixture(&f);
}

static const check_test tests[] = {
    {"lengths_beyond_the_memory", lengths_beyond_the_memory},
    {"counts_beyond_the_memory", counts_beyond_the_memory},
};

CHECK_MAIN("lengths", tests)
