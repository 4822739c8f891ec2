/* inside_panic.c - a panic in Go stops one client and nothing else. Built with the front's own sources: the hook that
 * makes a call panic is no part of the public interface. */
#include "inside_ring.h"

static void panic_in_the_next_call(inlong_client *client)
{
    CHECK_INT(inlong_call(&(inlong_core_call){.kind = INLONG_CALL_TEST_PANIC, .handle = (uintptr_t)client}), INLONG_OK);
}

/* One that the front does not accept by itself. */
static inlong_message for_the_core(void)
{
    static const inlong_attribute attribute = {"a_name_that_is_too_long_for_the_front_to_know", 0, "v", 0};
    inlong_message m = message("x");
    m.attributes = &attribute;
    m.attribute_count = 1;
    return m;
}

static void panic_stops_only_its_client(void)
{
    fixture f = open_fixture(no_options);
    inlong_client *other = open_client(f.url, no_options);
    inlong_message m = for_the_core();
    tally t = TALLY;
    char buf[16];
    CHECK_INT(inlong_client_send_async(f.client, &m, tally_result, &t), INLONG_OK);
    panic_in_the_next_call(f.client);
    CHECK_INT(inlong_client_send_async(f.client, &m, tally_result, &t), INLONG_ERR_INTERNAL);
    CHECK_TEXT(inlong_last_error(), "a fault inside the library was caught: test");
    inlong_result r = {.struct_size = sizeof r};
    CHECK_INT(inlong_client_send(f.client, &m, 1000, &r), INLONG_ERR_INTERNAL);
    CHECK_INT(r.code, INLONG_ERR_INTERNAL); /* 0 would be an ack */
    CHECK_INT(r.persisted, INLONG_MAYBE_WRITTEN);
    CHECK_TEXT(r.text, "does not continue");
    CHECK_INT(inlong_client_flush(f.client, 1000), INLONG_ERR_INTERNAL);
    CHECK_TEXT(inlong_last_error(), "does not continue");
    CHECK_INT(inlong_client_stats(f.client, buf, sizeof buf), INLONG_ERR_INTERNAL);

    CHECK_INT(inlong_client_send(other, &m, 5000, NULL), INLONG_OK);
    CHECK_INT(inlong_client_close(other, 5000, NULL), INLONG_OK);
    tally_wait(&t, 1); /* what was accepted before keeps its promise */
    close_fixture(&f); /* and closing works */
}

static void every_call_is_guarded(void)
{
    fixture f = open_fixture(NULL);
    inlong_message m = for_the_core();
    uint32_t length = 1;
    char buf[16];
    for (int call = 0; call < 7; call++) {
        inlong_client *client = open_client(f.url, no_options);
        panic_in_the_next_call(client);
        int code = 0;
        switch (call) {
        case 0:
            code = inlong_client_send(client, &m, 1000, NULL);
            break;
        case 1:
            code = inlong_client_send_async(client, &m, NULL, NULL);
            break;
        case 2:
            code = inlong_client_send_many(client, &m, 1, NULL, NULL, NULL);
            break;
        case 3:
            code = inlong_client_send_packed(client, PACK(&m, "x", 1, &length, 1, NULL, 0), 0, NULL);
            break;
        case 4:
            code = inlong_client_flush(client, 1000);
            break;
        case 5:
            code = inlong_client_stats(client, buf, sizeof buf);
            break;
        case 6:
            code = inlong_client_metrics(client, buf, sizeof buf);
            break;
        }
        CHECK_INT(code, INLONG_ERR_INTERNAL);
        CHECK_INT(inlong_client_close(client, 1000, NULL), INLONG_OK);
    }
    close_fixture(&f);
}

/* What was accepted is behind the caller by then: its result tells it, and it is the only one. */
static void panic_on_the_way_in_is_a_result(void)
{
    fixture f = open_fixture(no_options);
    inlong_message m = message("x");
    tally t = TALLY;
    panic_in_the_next_call(f.client);
    CHECK_INT(inlong_client_send_async(f.client, &m, tally_result, &t), INLONG_OK);
    tally_wait(&t, 1);
    CHECK_INT(t.last.code, INLONG_ERR_INTERNAL);
    CHECK_TEXT(t.last.text, "a fault inside the library was caught: test");
    while (inlong_client_send_async(f.client, &m, tally_result, &t) == INLONG_OK) /* until the front knows it */
        sched_yield();
    CHECK_TEXT(inlong_last_error(), "does not continue");
    CHECK_INT(inlong_client_close(f.client, 1000, NULL), INLONG_OK);
    CHECK_INT(t.acked, 0);
    f.client = NULL;
    close_fixture(&f);
}

static const check_test tests[] = {
    {"panic_on_the_way_in_is_a_result", panic_on_the_way_in_is_a_result},
    {"panic_stops_only_its_client", panic_stops_only_its_client},
    {"every_call_is_guarded", every_call_is_guarded},
};

CHECK_MAIN("panic", tests)
