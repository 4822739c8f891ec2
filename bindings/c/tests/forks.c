#include "forks.h"

#include <poll.h>

int in_child(void (*f)(void *), void *argument)
{
    pid_t child = fork();
    if (child == 0) {
        alarm(CHECK_SECONDS / 2);
        f(argument);
        exit(0); /* exit handlers too must leave the parent's runtime alone */
    }
    return check_status(child);
}

void check_old_handles(const fixture *f)
{
    char buf[64];
    inlong_message m = message("x");
    inlong_result r = {.struct_size = sizeof r};
    inlong_close_report report = {.struct_size = sizeof report};
    inlong_client *c = f->client;
    CHECK_INT(inlong_client_send(c, &m, 100, NULL), INLONG_ERR_FORKED);
    CHECK_INT(inlong_client_send_async(c, &m, NULL, NULL), INLONG_ERR_FORKED);
    CHECK_INT(inlong_client_send_many(c, &m, 1, NULL, NULL, NULL), INLONG_ERR_FORKED);
    CHECK_INT(inlong_client_send_packed(c, PACK(&m, NULL, 0, NULL, 0, NULL, 0), 0, NULL), INLONG_ERR_FORKED);
    CHECK_INT(inlong_client_poll(c, &r, 1, INLONG_NO_TIMEOUT), INLONG_ERR_FORKED);
    CHECK_INT(inlong_client_event_fd(c), INLONG_ERR_FORKED);
    CHECK_INT(inlong_client_flush(c, INLONG_NO_TIMEOUT), INLONG_ERR_FORKED);
    CHECK_INT(inlong_client_stats(c, buf, sizeof buf), INLONG_ERR_FORKED);
    CHECK_INT(inlong_client_close(c, INLONG_NO_TIMEOUT, &report), INLONG_ERR_FORKED);
    CHECK_TEXT(inlong_last_error(), "parent process");
    CHECK_INT(inlong_mock_url(f->mock, buf, sizeof buf), INLONG_ERR_FORKED);
    CHECK_INT(inlong_mock_control(f->mock, "{}", buf, sizeof buf), INLONG_ERR_FORKED);
    CHECK_INT(inlong_mock_stats(f->mock, buf, sizeof buf), INLONG_ERR_FORKED);
    inlong_mock_free(f->mock);
    CHECK_INT(inlong_client_flush(NULL, 0), INLONG_ERR_HANDLE); /* nobody's */
}

void send_with_a_client_of_its_own(const char *url, int count)
{
    tally called = TALLY, polled = TALLY;
    inlong_message m = message("from a child");
    inlong_client *client = open_client(url, (const char *const[]){NULL});
    int event_fd = inlong_client_event_fd(client);
    CHECK(event_fd >= 0);
    for (int i = 0; i < count; i++) {
        CHECK_INT(inlong_client_send_async(client, &m, tally_result, &called), INLONG_OK);
        CHECK_INT(inlong_client_send_async(client, &m, NULL, NULL), INLONG_OK);
    }
    CHECK_INT(poll(&(struct pollfd){.fd = event_fd, .events = POLLIN}, 1, 10000), 1);
    poll_all(client, &polled, (uint64_t)count);
    CHECK_INT(inlong_client_close(client, 10000, NULL), INLONG_OK);
    CHECK_INT(polled.acked, count);
    CHECK_INT(called.acked, count);
    CHECK_INT(inlong_client_close(client, 0, NULL), INLONG_ERR_HANDLE);
}
