/* 04_event_loop.c - one thread, one epoll loop: lines of standard input go out, results come back through a descriptor.
 *
 *     cc -std=c11 -Wall -Wextra -Werror 04_event_loop.c -o 04_event_loop -linlong_dataproxy
 *     tail -f /var/log/syslog | ./04_event_loop http://manager:8083 my_group my_stream
 *
 * No callback, no lock: results wait in the client's queue until this thread takes them. When too much is pending the loop
 * stops reading its input until results have made room. Ctrl-C ends it as the end of the input does: nothing is lost.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <inlong_dataproxy.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum { INPUT, RESULTS, SIGNALS, SOURCES };

static struct {
    inlong_client *client;
    const char *stream;
    int epoll;
    bool reading; /* input is watched */
    bool file;    /* input is a file: always readable, which epoll does not take */
    bool ended;
    char buffer[64 << 10];
    size_t filled;
    long line, pending, acked, failed;
} loop;

static const char *auth; /* "id:key", or NULL */

/* The Manager's credentials, "id:key": those of --auth in front of the other arguments, or of the environment, which no
 * other user of the machine sees. */
static const char *credentials(int *argc, char ***argv)
{
    const char *given = getenv("INLONG_BASIC_AUTH");
    if (*argc > 2 && strcmp((*argv)[1], "--auth") == 0) {
        given = (*argv)[2];
        (*argv)[2] = (*argv)[0];
        *argc -= 2;
        *argv += 2;
    }
    return given;
}

static int open_client(const char *url, const char *group)
{
    char err[512];
    inlong_options *options = inlong_options_new();
    int code = inlong_options_set(options, "url", url, err, sizeof err);
    if (code == INLONG_OK)
        code = inlong_options_set(options, "group_id", group, err, sizeof err);
    if (code == INLONG_OK && auth)
        code = inlong_options_set(options, "basic_auth", auth, err, sizeof err);
    if (code == INLONG_OK)
        code = inlong_client_new(options, &loop.client, err, sizeof err);
    if (code != INLONG_OK)
        fprintf(stderr, "no client: %s\n", err);
    inlong_options_free(options);
    return code;
}

static bool watch(int source, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = (uint32_t)source};
    return epoll_ctl(loop.epoll, EPOLL_CTL_ADD, fd, &event) == 0;
}

static void watch_input(bool wanted)
{
    if (wanted != loop.reading && !loop.file) {
        if (wanted)
            loop.file = !watch(INPUT, STDIN_FILENO) && errno == EPERM;
        else
            epoll_ctl(loop.epoll, EPOLL_CTL_DEL, STDIN_FILENO, NULL);
    }
    loop.reading = wanted;
}

/* Sends one line. False: the queue is full, and the line has to wait. */
static bool send_line(const char *line, size_t len)
{
    inlong_message message = {.struct_size = sizeof message};
    message.stream_id = loop.stream;
    message.payload = line;
    message.payload_len = len;
    /* The user data comes back with the result; here it is the number of the line. */
    int code = inlong_client_send_async(loop.client, &message, NULL, (void *)(intptr_t)(loop.line + 1));
    if (code == INLONG_ERR_QUEUE_FULL)
        return false;
    loop.line++;
    if (code == INLONG_OK) {
        loop.pending++;
    } else { /* refused for good: no result comes */
        fprintf(stderr, "line %ld: %s\n", loop.line, inlong_last_error());
        loop.failed++;
    }
    return true;
}

/* Sends the whole lines of the buffer; at the end of the input also the last one without its newline. */
static void send_lines(void)
{
    size_t at = 0;
    bool room = true;
    while (room && at < loop.filled) {
        char *line = loop.buffer + at, *end = memchr(line, '\n', loop.filled - at);
        if (!end && !loop.ended && loop.filled - at < sizeof loop.buffer)
            break; /* the rest of the line is to come; a line longer than the buffer goes in parts */
        size_t len = end ? (size_t)(end - line) : loop.filled - at;
        room = len == 0 || send_line(line, len); /* an empty line cannot be sent: a message is never empty */
        if (room)
            at += len + (end ? 1 : 0);
    }
    memmove(loop.buffer, loop.buffer + at, loop.filled -= at);
    watch_input(room && !loop.ended);
}

static void read_input(void)
{
    ssize_t n = read(STDIN_FILENO, loop.buffer + loop.filled, sizeof loop.buffer - loop.filled);
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (n < 0)
        perror("standard input");
    loop.ended = n <= 0;
    loop.filled += n > 0 ? (size_t)n : 0;
    send_lines();
}

static void take_results(void)
{
    static inlong_result results[256];
    results[0].struct_size = sizeof results[0];
    int n = inlong_client_poll(loop.client, results, 256, 0);
    for (int i = 0; i < n; i++) {
        loop.pending--;
        if (results[i].code == INLONG_OK) {
            loop.acked++;
            continue;
        }
        loop.failed++;
        fprintf(stderr, "line %ld: %s\n", (long)(intptr_t)results[i].user, results[i].text);
    }
    if (n > 0 && !loop.reading)
        send_lines(); /* there is room again */
}

/* Runs until the input has ended and every line has its result. */
static int run(int signals)
{
    while (!loop.ended || loop.filled > 0 || loop.pending > 0) {
        struct epoll_event events[SOURCES];
        bool now = loop.file && loop.reading && !loop.ended;
        int n = epoll_wait(loop.epoll, events, SOURCES, now ? 0 : -1);
        if (n < 0 && errno != EINTR)
            return perror("epoll_wait"), 1;
        for (int i = 0; i < n; i++) {
            struct signalfd_siginfo signal;
            if (events[i].data.u32 == RESULTS) {
                take_results();
            } else if (events[i].data.u32 == SIGNALS && read(signals, &signal, sizeof signal) > 0) {
                loop.ended = true;
                send_lines();
            } else if (events[i].data.u32 == INPUT && loop.reading) {
                read_input();
            }
        }
        if (now)
            read_input();
    }
    return 0;
}

int main(int argc, char **argv)
{
    auth = credentials(&argc, &argv);
    if (argc != 4) {
        fprintf(stderr, "usage: %s [--auth ID:KEY] URL GROUP STREAM < LINES\n", argv[0]);
        return 2;
    }
    /* The library's threads take no signal of ours, whether it is blocked before the client is made or after. */
    sigset_t stop;
    sigemptyset(&stop);
    sigaddset(&stop, SIGINT);
    sigaddset(&stop, SIGTERM);
    sigprocmask(SIG_BLOCK, &stop, NULL);
    int signals = signalfd(-1, &stop, SFD_CLOEXEC | SFD_NONBLOCK);
    loop.epoll = epoll_create1(EPOLL_CLOEXEC);
    loop.stream = argv[3];
    if (signals < 0 || loop.epoll < 0)
        return perror("cannot start"), 1;
    if (open_client(argv[1], argv[2]) != INLONG_OK)
        return 1;

    int results = inlong_client_event_fd(loop.client), code = 1;
    if (results < 0)
        fprintf(stderr, "no descriptor: %s\n", inlong_last_error());
    else if (!watch(RESULTS, results) || !watch(SIGNALS, signals))
        perror("epoll_ctl");
    else {
        watch_input(true);
        code = run(signals);
    }
    epoll_ctl(loop.epoll, EPOLL_CTL_DEL, results, NULL); /* before the client closes it */
    inlong_client_close(loop.client, 5000, NULL);
    close(loop.epoll);
    close(signals);
    printf("%ld lines, %ld acked, %ld failed\n", loop.line, loop.acked, loop.failed);
    return code != 0 || loop.failed > 0;
}
