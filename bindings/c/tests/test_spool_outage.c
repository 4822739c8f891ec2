/* What an outage costs a process with a spool, and what a large backlog does: memory stays flat, all arrives, in order. The client
 * is in a child, so that its memory is not the mock's, which keeps what arrives. */
#include "fixture.h"
#include "left.h"

#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { LENGTH = 300, NUMBER = 12, GROWTH_KIB = 16 << 10 };

#define FOR_LONG "INLONG_TEST_BACKLOG"

/* Messages: as many as that variable says, or what is quick enough for every run. */
static long many(void)
{
    const char *text = getenv(FOR_LONG);
    return text ? atol(text) : 100000;
}

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* ---- the child ---- */

static struct {
    int ask, answered;
    double began, shown;
    long least, most; /* KiB resident */
} child;

static void nodes(char op)
{
    CHECK_INT(write(child.ask, &op, 1), 1);
    CHECK_INT(read(child.answered, &op, 1), 1);
}

/* Keeps the most of the memory, and says with $INLONG_TEST_BACKLOG what `inlong-dataproxy bench --from` plots: a line for each second. */
static void look(inlong_client *client, long sent, const tally *t)
{
    long resident = left_now().resident_kib;
    double now = seconds() - child.began;
    child.most = resident > child.most ? resident : child.most;
    if (child.least == 0)
        child.least = resident;
    if (!getenv(FOR_LONG) || now < child.shown)
        return;
    child.shown = now + 1;
    static char stats[1 << 16];
    CHECK(inlong_client_stats(client, stats, sizeof stats) > 0);
    printf("%.1f s: %ld sent, %ld acked, %ld replayed, %ld stored, %.1f MiB\n", now, sent, t->acked, json_number(stats, "replayed"),
           json_number(stats, "messages"), (double)resident / 1024);
    fflush(stdout);
}

static void send_all(inlong_client *client, long from, long to, tally *t)
{
    char payload[LENGTH + 1];
    inlong_message m = message("");
    m.payload = payload;
    m.payload_len = LENGTH;
    memset(payload, 'x', LENGTH);
    for (long i = from; i < to; i++) {
        char number[24];
        snprintf(number, sizeof number, "%0*ld", NUMBER, i);
        memcpy(payload, number, NUMBER);
        CHECK_INT(inlong_client_send_async(client, &m, tally_result, t), INLONG_OK);
        if (i % 5000 == 0)
            look(client, i, t);
    }
}

static void deliver(inlong_client *client, long sent, const tally *t)
{
    while (in_spool(client) > 0) {
        look(client, sent, t);
        usleep(10000);
    }
}

static void outage(const char *url, const char *folder)
{
    long messages = many(), tenth = messages / 10;
    tally t = TALLY;
    inlong_client *client =
        open_client(url, (const char *const[]){"spool_dir", folder, "ordered", "true", "max_pending_bytes", "4M",
                                               "block_if_queue_is_full", "true", "send_timeout", "10m", NULL});
    send_all(client, 0, tenth, &t);
    nodes('d');
    send_all(client, tenth, 9 * tenth, &t);
    nodes('u');
    send_all(client, 9 * tenth, messages, &t);
    CHECK_INT(inlong_client_flush(client, 60000), INLONG_OK);
    deliver(client, messages, &t);
    tally_wait(&t, messages);
    CHECK(t.last.code == INLONG_OK || t.last.code == INLONG_ERR_STORED);
    inlong_close_report report = {.struct_size = sizeof report};
    CHECK_INT(inlong_client_close(client, 5000, &report), INLONG_OK);
    CHECK_INT(report.acked + report.failed, messages);
}

static void backlog(const char *url, const char *folder)
{
    static char stats[1 << 16];
    long messages = many();
    const char *const options[] = {
        "spool_dir", folder,       "spool_result", "stored", "ordered", "true", "max_pending_bytes", "1M", "block_if_queue_is_full",
        "true",      "lazy_start", "true",         NULL};
    tally t = TALLY;
    nodes('d');
    inlong_client *client = open_client(url, options);
    send_all(client, 0, messages, &t);
    CHECK_INT(inlong_client_flush(client, 60000), INLONG_OK);
    tally_wait(&t, messages);
    CHECK_INT(t.acked, messages);
    CHECK_INT(inlong_client_close(client, 5000, NULL), INLONG_OK);
    nodes('u');
    double began = seconds();
    client = open_client(url, options);
    do {
        usleep(1000);
        CHECK(inlong_client_stats(client, stats, sizeof stats) > 0);
    } while (json_number(stats, "replayed") == 0);
    double first = seconds() - began;
    deliver(client, messages, &t);
    printf("    %ld messages: the first ack after %.3f s, all after %.1f s\n", messages, first, seconds() - began);
    if (getenv(FOR_LONG)) /* else other processes take that time */
        CHECK(first < 2);
    CHECK_INT(inlong_client_close(client, 5000, NULL), INLONG_OK);
}

static void be_the_child(void (*run)(const char *, const char *), const char *folder)
{
    char url[128];
    alarm(CHECK_SECONDS);
    ssize_t n = read(child.answered, url, sizeof url);
    CHECK(n > 0);
    child.began = seconds();
    run(url, folder);
    printf("    %ld KiB resident at the start, %ld at most\n", child.least, child.most);
    CHECK(child.most - child.least < GROWTH_KIB);
    exit(0);
}

/* ---- the parent ---- */

/* The number at the beginning of a payload, from base64 as the mock tells it. */
static long decoded(const char *payload)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char text[NUMBER + 1] = "";
    for (int i = 0, at = 0; i < NUMBER; i += 3) {
        unsigned bits = 0;
        for (int digit = 0; digit < 4; digit++)
            bits = bits << 6 | (unsigned)(strchr(digits, payload[at++]) - digits);
        text[i] = (char)(bits >> 16), text[i + 1] = (char)(bits >> 8), text[i + 2] = (char)bits;
    }
    return atol(text);
}

/* That each message arrived, in the order of sending. A node that dies may have taken a batch whose ack nobody gets: it comes again,
 * and what is sent after it comes after it. */
static void check_order(inlong_mock *mock, long messages)
{
    enum { PAGE = 2000 };
    static const char key[] = "\"payload\":\"";
    char request[64];
    long first = 0, previous = -1, last = -1, came = (long)received(mock);
    for (long n = 0; n < came;) {
        snprintf(request, sizeof request, "{\"op\":\"messages\",\"offset\":%ld,\"limit\":%d}", n, PAGE);
        const char *at = control(mock, request);
        while ((at = strstr(at, key))) {
            long number = decoded(at += sizeof key - 1);
            if (number != previous + 1) {
                if (number < first || number > last || previous != last)
                    fprintf(stderr, "    %ld came after %ld, and before that %ld to %ld\n", number, previous, first, last);
                CHECK(first <= number && number <= last && previous == last);
                first = number;
            }
            previous = number;
            last = number > last ? number : last;
            n++;
        }
    }
    CHECK_INT(previous, messages - 1);
    CHECK_INT(last, messages - 1);
}

/* Runs f in a child with a mock of one node that goes down and comes back as the child asks. */
static void with_a_mock(void (*f)(const char *, const char *))
{
    int asks[2], answers[2];
    char url[128], op;
    const char *folder = new_folder();
    CHECK_INT(pipe(asks), 0);
    CHECK_INT(pipe(answers), 0);
    pid_t pid = fork(); /* before the library was loaded */
    if (pid == 0) {
        close(asks[0]);
        close(answers[1]);
        child.ask = asks[1];
        child.answered = answers[0];
        be_the_child(f, folder);
    }
    close(asks[1]);
    close(answers[0]);
    inlong_mock *mock;
    CHECK_INT(inlong_mock_new(1, &mock, NULL, 0), INLONG_OK);
    CHECK(inlong_mock_url(mock, url, sizeof url) > 0);
    CHECK(write(answers[1], url, strlen(url) + 1) > 0);
    while (read(asks[0], &op, 1) == 1) {
        control(mock, op == 'd' ? "{\"op\":\"kill\",\"node\":0}" : "{\"op\":\"revive\",\"node\":0}");
        CHECK_INT(write(answers[1], &op, 1), 1);
    }
    CHECK_INT(check_status(pid), 0);
    check_order(mock, many());
    inlong_mock_free(mock);
    remove_folder(folder);
}

/* An outage costs messages, doubles them, turns them around, or its length is the process's memory. */
static void an_outage_in_order_takes_no_memory(void) { with_a_mock(outage); }

/* S11: what a large backlog costs goes with its length: memory, and the time to the first ack. */
static void a_large_backlog_is_sent_in_little_memory(void) { with_a_mock(backlog); }

static const check_test tests[] = {
    {"an_outage_in_order_takes_no_memory", an_outage_in_order_takes_no_memory},
    {"a_large_backlog_is_sent_in_little_memory", a_large_backlog_is_sent_in_little_memory},
};

CHECK_MAIN("spool_outage", tests)
