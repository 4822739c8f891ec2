/* 07_fork_server.c - a pre-fork server: the parent has a client, and so has each worker that it forks.
 *
 *     cc -std=c11 -Wall -Wextra -Werror 07_fork_server.c -o 07_fork_server -linlong_dataproxy
 *     ./07_fork_server http://manager:8083 my_group my_stream 9200 4 & echo hello | nc -N 127.0.0.1 9200
 *
 * Each connection sends one line and gets "acked", or what went wrong. Port 0 takes a free one; its number is printed.
 * SIGTERM or Ctrl-C ends it: every worker delivers what it has.
 *
 * A client is of the process that made it: a child cannot use its parent's, and is told so (INLONG_ERR_FORKED). It makes one of
 * its own after the fork, whatever the parent's threads were doing.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <inlong_dataproxy.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MOST_WORKERS = 32 };

static const char *url, *group, *stream;
static volatile sig_atomic_t stopped;

static void stop(int signal)
{
    (void)signal;
    stopped = 1;
}

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

static inlong_client *open_client(void)
{
    char err[512];
    inlong_client *client = NULL;
    inlong_options *options = inlong_options_new();
    if (inlong_options_set(options, "url", url, err, sizeof err) != INLONG_OK ||
        inlong_options_set(options, "group_id", group, err, sizeof err) != INLONG_OK ||
        (auth && inlong_options_set(options, "basic_auth", auth, err, sizeof err) != INLONG_OK) ||
        inlong_client_new(options, &client, err, sizeof err) != INLONG_OK)
        fprintf(stderr, "no client in process %ld: %s\n", (long)getpid(), err);
    inlong_options_free(options);
    return client;
}

static int send_text(inlong_client *client, const char *text, size_t len)
{
    inlong_message message = {.struct_size = sizeof message};
    message.stream_id = stream;
    message.payload = text;
    message.payload_len = len;
    return inlong_client_send(client, &message, 10000, NULL);
}

static void answer(inlong_client *client, int connection)
{
    char line[4096];
    size_t filled = 0;
    ssize_t n;
    while (filled < sizeof line && !memchr(line, '\n', filled) &&
           (n = recv(connection, line + filled, sizeof line - filled, 0)) > 0)
        filled += (size_t)n;
    char *end = memchr(line, '\n', filled);
    int code = send_text(client, line, end ? (size_t)(end - line) : filled);
    dprintf(connection, "%s\n", code == INLONG_OK ? "acked" : inlong_last_error());
}

/* A worker's whole life. Its exit status: 0 = all is delivered. */
static int work(int listener, inlong_client *parents)
{
    int code = inlong_client_flush(parents, 0);
    if (code != INLONG_ERR_FORKED) { /* only to show it: a child has nothing to do with its parent's client */
        fprintf(stderr, "the parent's client answers %s\n", inlong_error_name(code));
        return 1;
    }
    inlong_client *client = open_client();
    if (!client)
        return 1;
    while (!stopped) {
        int connection = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (connection < 0 && errno != EINTR && errno != ECONNABORTED) {
            perror("accept");
            break;
        }
        if (connection < 0)
            continue;
        struct timeval patience = {.tv_sec = 5};
        setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        answer(client, connection);
        close(connection);
    }
    return inlong_client_close(client, 5000, NULL) == INLONG_OK && stopped ? 0 : 1;
}

static int listen_on(long port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int on = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener < 0 || setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind(listener, (struct sockaddr *)&address, size) != 0 || listen(listener, 64) != 0 ||
        getsockname(listener, (struct sockaddr *)&address, &size) != 0) {
        perror("listen");
        return -1;
    }
    printf("listening on 127.0.0.1:%d\n", ntohs(address.sin_port));
    fflush(stdout); /* or each child would have it in its buffer too */
    return listener;
}

/* Waits for a signal or for the first worker that ends by itself, then ends them all. Returns how many failed. */
static int supervise(const pid_t *workers, long count, const sigset_t *signals)
{
    int signal = 0, failed = 0, status;
    sigwait(signals, &signal);
    if (signal == SIGCHLD)
        fprintf(stderr, "a worker ended by itself\n");
    for (long i = 0; i < count; i++)
        kill(workers[i], SIGTERM);
    for (long i = 0; i < count; i++)
        failed += waitpid(workers[i], &status, 0) != workers[i] || !WIFEXITED(status) || WEXITSTATUS(status) != 0;
    return failed;
}

int main(int argc, char **argv)
{
    auth = credentials(&argc, &argv);
    long port = argc == 6 ? atol(argv[4]) : -1, count = argc == 6 ? atol(argv[5]) : 0;
    if (port < 0 || port > 65535 || count < 1 || count > MOST_WORKERS) {
        fprintf(stderr, "usage: %s [--auth ID:KEY] URL GROUP STREAM PORT WORKERS\n", argv[0]);
        return 2;
    }
    url = argv[1], group = argv[2], stream = argv[3];
    /* Without SA_RESTART: accept is to end. SA_ONSTACK: a thread that sends may get the signal. */
    struct sigaction action = {.sa_handler = stop, .sa_flags = SA_ONSTACK};
    sigset_t signals, old;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGCHLD);
    signal(SIGPIPE, SIG_IGN);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);

    inlong_client *client = open_client();
    int listener = client ? listen_on(port) : -1;
    if (listener < 0)
        return 1;
    pid_t workers[MOST_WORKERS];
    long started = 0;
    sigprocmask(SIG_BLOCK, &signals, &old); /* the parent waits for them; a worker opens them again */
    while (started < count && (workers[started] = fork()) > 0)
        started++;
    if (started < count && workers[started] == 0) {
        sigprocmask(SIG_SETMASK, &old, NULL);
        exit(work(listener, client));
    }
    if (started < count)
        perror("fork");
    close(listener);
    send_text(client, "started", 7); /* the parent's client continues as before */
    int failed = supervise(workers, started, &signals);
    failed += inlong_client_close(client, 5000, NULL) != INLONG_OK;
    printf("%ld workers ended, %d failed\n", started, failed);
    return started < count || failed > 0;
}
