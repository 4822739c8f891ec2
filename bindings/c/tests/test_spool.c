/* What is stored outlives an outage, a close and a kill, through C as through Go. */
#include "fixture.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

enum { STORED = 100 };

static void wait_for_arrival(inlong_mock *mock, long messages)
{
    wait_received(mock, messages);
    CHECK_INT(received(mock), messages);
}

/* S1: memory is full in an outage, and senders wait or fail although the disk has room; or messages are lost or doubled. */
static void an_outage_that_fills_memory_ten_times_costs_nothing(void)
{
    enum { MESSAGES = 10000 };
    static char payload[1000];
    const char *folder = new_folder();
    fixture f = open_fixture((const char *const[]){"spool_dir", folder, "max_pending_bytes", "1M", "block_if_queue_is_full", "true",
                                                   "send_timeout", "60s", "compression", "none", NULL});
    tally t = TALLY;
    all_nodes(f.mock, "kill");
    while (inlong_client_ready(f.client, 0) == INLONG_OK)
        usleep(1000);
    memset(payload, 'x', sizeof payload);
    inlong_message m = message("x");
    m.payload = payload;
    m.payload_len = sizeof payload;
    for (int i = 0; i < MESSAGES; i++)
        CHECK_INT(inlong_client_send_async(f.client, &m, tally_result, &t), INLONG_OK);
    all_nodes(f.mock, "revive");
    CHECK_INT(inlong_client_flush(f.client, 60000), INLONG_OK);
    wait_for_arrival(f.mock, MESSAGES);
    tally_wait(&t, MESSAGES);
    CHECK(t.failed > MESSAGES / 2); /* with "stored": memory had no room for them */
    CHECK_INT(t.last.code == INLONG_OK || t.last.code == INLONG_ERR_STORED, 1);
    while (in_spool(f.client) > 0)
        usleep(1000);
    close_fixture(&f);
    remove_folder(folder);
}

/* S8: what has no ack at a close is lost, or its result says that it may be sent again. */
static void a_close_stores_what_has_no_ack(void)
{
    const char *folder = new_folder();
    const char *const options[] = {"spool_dir", folder, NULL};
    fixture f = open_fixture(options);
    tally t = TALLY;
    inlong_message m = message("x");
    all_nodes(f.mock, "kill");
    for (int n = 0; n < STORED; n++)
        CHECK_INT(inlong_client_send_async(f.client, &m, tally_result, &t), INLONG_OK);
    CHECK_INT(inlong_client_close(f.client, 1000, NULL), INLONG_OK);
    CHECK_INT(t.failed, STORED);
    CHECK_INT(t.last.code, INLONG_ERR_STORED);
    CHECK_INT(t.last.persisted, INLONG_STORED);
    CHECK_INT(t.last.retriable, 0);
    all_nodes(f.mock, "revive");
    f.client = open_client(f.url, options);
    wait_for_arrival(f.mock, STORED);
    close_fixture(&f);
    remove_folder(folder);
}

/* S2, S6: what a process that was killed had stored is lost, or stays in the folder that it shared. */
static void what_a_killed_process_has_stored_is_sent_by_the_next_client(void)
{
#ifndef CHECK_ASAN
    const char *folder = new_folder();
    const char *const options[] = {"spool_dir", folder, "lazy_start", "true", NULL};
    fixture f = open_fixture(NULL);
    int status;
    all_nodes(f.mock, "kill");
    inlong_client *beside = open_client(f.url, options); /* has a slot of its own */
    pid_t child = fork();
    if (child == 0) {
        inlong_message m = message("x");
        inlong_client *client = open_client(f.url, options);
        for (int i = 0; i < STORED; i++)
            CHECK_INT(inlong_client_send_async(client, &m, NULL, NULL), INLONG_OK);
        while (in_spool(client) < STORED)
            usleep(1000);
        kill(getpid(), SIGKILL);
    }
    CHECK_INT(waitpid(child, &status, 0), child);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    all_nodes(f.mock, "revive");
    f.client = open_client(f.url, options); /* has the killed one's, or adopts it */
    wait_for_arrival(f.mock, STORED);
    CHECK_INT(inlong_client_close(beside, 5000, NULL), INLONG_OK);
    close_fixture(&f);
    remove_folder(folder);
#endif
}

static const check_test tests[] = {
    {"an_outage_that_fills_memory_ten_times_costs_nothing", an_outage_that_fills_memory_ten_times_costs_nothing},
    {"a_close_stores_what_has_no_ack", a_close_stores_what_has_no_ack},
    {"what_a_killed_process_has_stored_is_sent_by_the_next_client", what_a_killed_process_has_stored_is_sent_by_the_next_client},
};

CHECK_MAIN("spool", tests)
