/* The completion queue: poll, the event descriptor, ranges, its bound, and what is left at close. */
#include "fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>

static const char *const no_options[] = {NULL};
enum { BOUND = 65536 };

static bool readable(int fd, int timeout_ms)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    return poll(&p, 1, timeout_ms) == 1 && (p.revents & POLLIN);
}

static void poll_gives_each_result_once(void)
{
    enum { COUNT = 1000 };
    static char seen[COUNT];
    fixture f = open_fixture(no_options);
    for (intptr_t i = 0; i < COUNT; i++) {
        inlong_message m = message("queued");
        CHECK_INT(inlong_client_send_async(f.client, &m, NULL, (void *)i), INLONG_OK);
    }
    for (int got = 0; got < COUNT;) {
        inlong_result results[7] = {{.struct_size = sizeof *results}};
        int n = inlong_client_poll(f.client, results, 7, 10000);
        CHECK(n > 0 && n <= 7);
        for (int i = 0; i < n; i++, got++) {
            intptr_t user = (intptr_t)results[i].user;
            CHECK(user >= 0 && user < COUNT && !seen[user]++);
            CHECK_INT(results[i].struct_size, sizeof results[i]);
            CHECK_INT(results[i].code, INLONG_OK);
            CHECK_INT(results[i].count, 1);
            CHECK_INT(results[i].persisted, INLONG_ACKED);
            CHECK_TEXT(results[i].node, "127.0.0.1:");
            CHECK(*results[i].batch_id && !*results[i].text);
        }
    }
    inlong_result r = {.struct_size = sizeof r};
    CHECK_INT(inlong_client_poll(f.client, &r, 1, 0), 0);
    CHECK_INT(inlong_client_poll(f.client, &r, 1, 20), 0);
    close_fixture(&f);
}

/* Level-triggered use: readable as long as results wait, and not a moment longer. */
static void event_fd_is_readable_while_results_wait(void)
{
    fixture f = open_fixture(no_options);
    int fd = inlong_client_event_fd(f.client);
    CHECK(fd >= 0);
    CHECK_INT(inlong_client_event_fd(f.client), fd);
    CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    CHECK(!readable(fd, 0));
    int loop = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN};
    CHECK_INT(epoll_ctl(loop, EPOLL_CTL_ADD, fd, &event), 0);
    for (int round = 0; round < 20; round++) {
        inlong_message m = message("x");
        inlong_result r = {.struct_size = sizeof r};
        CHECK_INT(inlong_client_send_async(f.client, &m, NULL, NULL), INLONG_OK);
        CHECK_INT(inlong_client_send_async(f.client, &m, NULL, NULL), INLONG_OK);
        for (int left = 2; left > 0; left--) {
            CHECK_INT(epoll_wait(loop, &event, 1, 10000), 1);
            CHECK_INT(inlong_client_poll(f.client, &r, 1, 0), 1);
        }
        CHECK_INT(epoll_wait(loop, &event, 1, 0), 0);
    }
    close(loop);
    close_fixture(&f);
}

/* A descriptor asked for late must know of results that came before. */
static void event_fd_made_late_is_readable(void)
{
    fixture f = open_fixture(no_options);
    inlong_message m = message("x");
    CHECK_INT(inlong_client_send_async(f.client, &m, NULL, NULL), INLONG_OK);
    CHECK_INT(inlong_client_flush(f.client, 5000), INLONG_OK);
    CHECK(readable(inlong_client_event_fd(f.client), 0));
    tally t = TALLY;
    poll_all(f.client, &t, 1);
    CHECK(!readable(inlong_client_event_fd(f.client), 0));
    close_fixture(&f);
}

static void send_packed(inlong_client *client, const uint32_t *lengths, size_t count, uintptr_t first, int flags)
{
    char *data = malloc(count * 100);
    size_t size = 0, accepted;
    for (size_t i = 0; i < count; i++)
        for (uint32_t j = 0; j < lengths[i]; j++)
            data[size++] = (char)('a' + i % 26);
    inlong_message model = message("");
    int code = inlong_client_send_packed(client, PACK(&model, data, size, lengths, count, (void *)first, flags), 10000, &accepted);
    CHECK_INT(code, INLONG_OK);
    CHECK_INT(accepted, count);
    free(data);
}

/* Ranges must cover every message once, with the batch they were in; merged ones take a fraction of the results. */
static void packed_results_come_as_ranges(void)
{
    enum { COUNT = 3000, FIRST = 1000000 };
    static uint32_t lengths[COUNT];
    static char seen[COUNT];
    static inlong_result results[COUNT];
    for (int i = 0; i < COUNT; i++)
        lengths[i] = 1 + (uint32_t)i % 90;
    for (int flags = 0; flags <= INLONG_PACKED_MERGE_ACKS; flags++) {
        fixture f = open_fixture(no_options);
        memset(seen, 0, sizeof seen);
        send_packed(f.client, lengths, COUNT, FIRST, flags);
        CHECK_INT(inlong_client_flush(f.client, 10000), INLONG_OK);
        results[0].struct_size = sizeof *results;
        int n = inlong_client_poll(f.client, results, COUNT, 0);
        CHECK(n > 0 && n <= COUNT / 10);
        CHECK(flags == 0 ? n >= COUNT / 50 : n < COUNT / 50);
        for (int i = 0; i < n; i++) {
            CHECK_INT(results[i].code, INLONG_OK);
            CHECK(flags == 0 ? *results[i].batch_id && *results[i].node : !*results[i].batch_id && !*results[i].node);
            for (uint64_t j = 0; j < results[i].count; j++) {
                uintptr_t k = (uintptr_t)results[i].user + j - FIRST;
                CHECK(k < COUNT && !seen[k]++);
            }
        }
        for (int i = 0; i < COUNT; i++)
            CHECK(seen[i]);
        CHECK_INT(received(f.mock), COUNT);
        close_fixture(&f);
    }
}

/* Merging is for acks alone: failures keep their batch's own words. */
static void packed_failures_are_not_merged(void)
{
    fixture f = open_fixture(no_options);
    for (int i = 0; i < 3; i++) {
        char request[128];
        snprintf(request, sizeof request,
                 "{\"op\":\"fault\",\"node\":%d,\"standing\":true,\"fault\":{\"kind\":\"error_code\",\"code\":105}}", i);
        control(f.mock, request);
    }
    uint32_t lengths[100];
    for (int i = 0; i < 100; i++)
        lengths[i] = 5;
    send_packed(f.client, lengths, 100, 0, INLONG_PACKED_MERGE_ACKS);
    tally t = TALLY;
    poll_all(f.client, &t, 100);
    CHECK_INT(t.failed, 100);
    CHECK_INT(t.last.server_code, 105);
    CHECK(*t.last.text && *t.last.node && t.last.count <= 50);
    close_fixture(&f);
}

/* With a full queue the lanes wait, so that memory stays bounded; poll lets them continue. */
static void full_completion_queue_holds_the_lanes_up(void)
{
    enum { COUNT = BOUND + 5000 };
    fixture f = open_fixture(no_options);
    inlong_message m = message("x");
    for (long i = 0; i < COUNT; i++)
        CHECK_INT(inlong_client_send_async(f.client, &m, NULL, NULL), INLONG_OK);
    while (received(f.mock) < COUNT) /* all acked, and still some results do not fit */
        usleep(1000);
    char stats[4096];
    inlong_client_stats(f.client, stats, sizeof stats);
    CHECK(json_number(stats, "pending_messages") > 0);
    tally t = TALLY;
    poll_all(f.client, &t, COUNT);
    CHECK_INT(t.acked, COUNT);
    close_fixture(&f);
}

static void send_to_the_queue(inlong_client *client, long count)
{
    inlong_message m = message("x");
    for (long i = 0; i < count; i++)
        CHECK_INT(inlong_client_send_async(client, &m, NULL, NULL), INLONG_OK);
}

/* Each flush let all its results into the queue: a program that flushes and does not poll held 1.2 million of them, and grew without
 * bound. One that flushes before it polls must not wait for itself either. */
static void flush_beside_a_full_queue_is_told_and_lets_nothing_more_in(void)
{
    enum { COUNT = BOUND + 20000, LANES_OVER = 8 * 50 };
    fixture f = open_fixture(no_options);
    send_to_the_queue(f.client, COUNT);
    CHECK_INT(inlong_client_flush(f.client, INLONG_NO_TIMEOUT), INLONG_ERR_QUEUE_FULL);
    CHECK_TEXT(inlong_last_error(), "nobody polls");
    int64_t held = inlong_client_drop_results(f.client);
    CHECK(held >= BOUND && held <= BOUND + LANES_OVER);
    CHECK_INT(inlong_client_flush(f.client, INLONG_NO_TIMEOUT), INLONG_OK);
    tally t = TALLY;
    poll_all(f.client, &t, COUNT - held);
    close_fixture(&f);
}

/* Lanes that wait for room in the queue must not hold the close up, which is often called by the one who polls. */
static void close_needs_no_poll(void)
{
    enum { COUNT = BOUND + 5000 };
    fixture f = open_fixture(no_options);
    send_to_the_queue(f.client, COUNT);
    while (received(f.mock) < COUNT) /* so that lanes wait for room when close begins */
        usleep(1000);
    inlong_close_report report = {.struct_size = sizeof report};
    CHECK_INT(inlong_client_close(f.client, 20000, &report), INLONG_OK);
    CHECK_INT(report.unpolled, COUNT);
    tally t = TALLY;
    poll_all(f.client, &t, COUNT);
    inlong_result r = {.struct_size = sizeof r};
    CHECK_INT(inlong_client_poll(f.client, &r, 1, INLONG_NO_TIMEOUT), INLONG_ERR_HANDLE);
    f.client = NULL;
    close_fixture(&f);
}

/* What close failed must still reach the owner; after it the handle and its descriptor are gone. */
static void results_left_at_close_can_be_polled(void)
{
    fixture f = open_fixture(no_options);
    for (int i = 0; i < 3; i++) {
        char request[128];
        snprintf(request, sizeof request, "{\"op\":\"fault\",\"node\":%d,\"standing\":true,\"fault\":{\"kind\":\"silence\"}}", i);
        control(f.mock, request);
    }
    int fd = inlong_client_event_fd(f.client);
    inlong_message m = message("x");
    for (int i = 0; i < 10; i++)
        CHECK_INT(inlong_client_send_async(f.client, &m, NULL, NULL), INLONG_OK);
    inlong_close_report report = {.struct_size = sizeof report};
    CHECK_INT(inlong_client_close(f.client, 100, &report), INLONG_ERR_CONTEXT_EXPIRED);
    CHECK_INT(report.unsent, 10);
    CHECK_INT(report.failed, 10);
    CHECK_INT(report.by_code[0].code, INLONG_ERR_CLOSED);
    CHECK_INT(report.by_code[0].count, 10);
    CHECK_INT(report.by_code[1].count, 0);
    CHECK(report.unpolled == 10 || (report.unpolled < 10 && report.unpolled + report.uncalled >= 10)); /* that came in time */
    CHECK(fcntl(fd, F_GETFD) == -1 && errno == EBADF);
    CHECK_INT(inlong_client_event_fd(f.client), INLONG_ERR_HANDLE);
    CHECK_INT(inlong_client_send_async(f.client, &m, NULL, NULL), INLONG_ERR_HANDLE);
    CHECK_INT(inlong_client_close(f.client, 0, NULL), INLONG_ERR_HANDLE);
    tally t = TALLY;
    poll_all(f.client, &t, (uint64_t)report.unpolled);
    CHECK_INT(t.failed, report.unpolled);
    CHECK_INT(t.last.code, t.failed > 0 ? INLONG_ERR_CLOSED : INLONG_OK);
    inlong_result r = {.struct_size = sizeof r};
    CHECK_INT(inlong_client_poll(f.client, &r, 1, 0), INLONG_ERR_HANDLE);
    CHECK_INT(inlong_client_drop_results(f.client), INLONG_ERR_HANDLE);
    f.client = NULL;
    close_fixture(&f);
}

static int open_descriptors(void)
{
    int n = 0;
    for (int fd = 0; fd < 1024; fd++)
        n += fcntl(fd, F_GETFD) != -1;
    return n;
}

/* Each kept its slot and its descriptor for ever: the 4,097th client was refused because 4,096 were open, and none was. */
static void closed_clients_with_results_left_take_no_place(void)
{
    enum { CLIENTS = 300 };
    static inlong_client *closed[CLIENTS];
    fixture f = open_fixture(NULL);
    const char *const one_lane[] = {"worker_num", "1", NULL};
    int before = 0;
    for (int i = 0; i < CLIENTS; i++) {
        closed[i] = open_client(f.url, one_lane);
        CHECK(inlong_client_event_fd(closed[i]) >= 0);
        send_to_the_queue(closed[i], 1);
        CHECK_INT(inlong_client_close(closed[i], 10000, NULL), INLONG_OK);
        if (i == 10)
            before = open_descriptors();
    }
    CHECK(open_descriptors() < before + CLIENTS / 2);
    for (int i = 0; i < CLIENTS; i++) {
        inlong_result r = {.struct_size = sizeof r};
        CHECK_INT(i % 2 ? inlong_client_poll(closed[i], &r, 1, 0) : inlong_client_drop_results(closed[i]), 1);
        CHECK_INT(inlong_client_poll(closed[i], &r, 1, INLONG_NO_TIMEOUT), INLONG_ERR_HANDLE);
    }
    close_fixture(&f);
}

static void *poll_until_closed(void *client)
{
    inlong_result r = {.struct_size = sizeof r};
    int code;
    while ((code = inlong_client_poll(client, &r, 1, INLONG_NO_TIMEOUT)) > 0)
        ;
    return (void *)(intptr_t)code;
}

/* Threads that wait in poll must all be let go by close. */
static void close_ends_every_waiting_poll(void)
{
    for (int round = 0; round < 20; round++) {
        fixture f = open_fixture(no_options);
        pthread_t threads[4];
        for (int i = 0; i < 4; i++)
            CHECK_INT(pthread_create(&threads[i], NULL, poll_until_closed, f.client), 0);
        inlong_message m = message("x");
        for (int i = 0; i < 100; i++)
            CHECK_INT(inlong_client_send_async(f.client, &m, NULL, NULL), INLONG_OK);
        close_fixture(&f);
        for (int i = 0; i < 4; i++) {
            void *code;
            CHECK_INT(pthread_join(threads[i], &code), 0);
            CHECK_INT((intptr_t)code, INLONG_ERR_HANDLE);
        }
    }
}

static void *poll_once(void *client)
{
    inlong_result r = {.struct_size = sizeof r};
    return (void *)(intptr_t)inlong_client_poll(client, &r, 1, INLONG_NO_TIMEOUT);
}

/* A thread that takes results could be told of other work only by a result. One call lets one poll go, whichever came first. */
static void wake_ends_one_poll(void)
{
    fixture f = open_fixture(no_options);
    inlong_result r = {.struct_size = sizeof r};
    for (int round = 0; round < 100; round++) {
        pthread_t thread;
        void *n;
        if (round % 2)
            CHECK_INT(inlong_client_wake(f.client), INLONG_OK);
        CHECK_INT(pthread_create(&thread, NULL, poll_once, f.client), 0);
        if (round % 2 == 0)
            CHECK_INT(inlong_client_wake(f.client), INLONG_OK);
        CHECK_INT(pthread_join(thread, &n), 0);
        CHECK_INT((intptr_t)n, 0);
    }
    CHECK_INT(inlong_client_wake(f.client), INLONG_OK);
    CHECK_INT(inlong_client_poll(f.client, &r, 1, 0), 0); /* it would not have waited: the wake stays for one that would */
    CHECK(poll_once(f.client) == NULL);
    send_to_the_queue(f.client, 1);
    CHECK_INT(inlong_client_poll(f.client, &r, 1, INLONG_NO_TIMEOUT), 1); /* and each ended one poll only */
    CHECK_INT(inlong_client_close(f.client, 1000, NULL), INLONG_OK);
    CHECK_INT(inlong_client_wake(f.client), INLONG_ERR_HANDLE);
    f.client = NULL;
    close_fixture(&f);
}

static void *poll_for_ever(void *client)
{
    inlong_result r = {.struct_size = sizeof r};
    inlong_client_poll(client, &r, 1, INLONG_NO_TIMEOUT);
    return NULL;
}

/* It kept the queue's lock: the lanes, the next poll and close waited for it for ever. Cancelled at once, it may also end before it
 * waits, or with a result at hand: that must be in the queue then. */
static void cancelled_poll_leaves_the_queue_to_others(void)
{
    for (int round = 0; round < 20; round++) {
        fixture f = open_fixture(no_options);
        pthread_t thread;
        void *end;
        tally t = TALLY;
        inlong_message m = message("x");
        CHECK(inlong_client_event_fd(f.client) >= 0);
        CHECK_INT(pthread_create(&thread, NULL, poll_for_ever, f.client), 0);
        usleep(round % 2 ? 0 : 20000);
        CHECK_INT(pthread_cancel(thread), 0);
        CHECK_INT(pthread_join(thread, &end), 0);
        CHECK(end == PTHREAD_CANCELED);
        CHECK_INT(inlong_client_send_async(f.client, &m, NULL, NULL), INLONG_OK);
        poll_all(f.client, &t, 1);
        close_fixture(&f);
    }
}

static const check_test tests[] = {
    {"poll_gives_each_result_once", poll_gives_each_result_once},
    {"event_fd_is_readable_while_results_wait", event_fd_is_readable_while_results_wait},
    {"event_fd_made_late_is_readable", event_fd_made_late_is_readable},
    {"packed_results_come_as_ranges", packed_results_come_as_ranges},
    {"packed_failures_are_not_merged", packed_failures_are_not_merged},
    {"full_completion_queue_holds_the_lanes_up", full_completion_queue_holds_the_lanes_up},
    {"flush_beside_a_full_queue_is_told_and_lets_nothing_more_in", flush_beside_a_full_queue_is_told_and_lets_nothing_more_in},
    {"close_needs_no_poll", close_needs_no_poll},
    {"closed_clients_with_results_left_take_no_place", closed_clients_with_results_left_take_no_place},
    {"results_left_at_close_can_be_polled", results_left_at_close_can_be_polled},
    {"close_ends_every_waiting_poll", close_ends_every_waiting_poll},
    {"wake_ends_one_poll", wake_ends_one_poll},
    {"cancelled_poll_leaves_the_queue_to_others", cancelled_poll_leaves_the_queue_to_others},
};

CHECK_MAIN("queue", tests)
