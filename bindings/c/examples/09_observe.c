/* 09_observe.c - log lines in the program's own form, and a metrics endpoint for Prometheus.
 *
 *     cc -std=c11 -Wall -Wextra -Werror 09_observe.c -o 09_observe -linlong_dataproxy -lpthread
 *     ./09_observe http://manager:8083 my_group my_stream 9100 & curl http://127.0.0.1:9100/metrics
 *
 * sends a heartbeat message each 100 ms until SIGTERM or Ctrl-C. /metrics is Prometheus' text format, /stats the client's
 * counters as JSON. Port 0 takes a free one; its number is printed.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <inlong_dataproxy.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* ---- Log lines ---- */

/* Runs on any thread, on several at a time: one call of fprintf writes a whole line. It must be quick. */
static void on_log(inlong_client *client, int level, const char *text, void *user)
{
    static const char *const names[] = {"OFF", "ERROR", "WARN", "INFO", "DEBUG"};
    struct timespec now;
    char when[32];
    struct tm utc;
    (void)client;
    clock_gettime(CLOCK_REALTIME, &now);
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%S", gmtime_r(&now.tv_sec, &utc));
    fprintf(stderr, "%s.%03ldZ %s [%s] %s\n", when, now.tv_nsec / 1000000, names[level], (const char *)user, text);
}

/* ---- The endpoint: one request at a time is enough for a scraper ---- */

struct endpoint {
    inlong_client *client;
    int listener;
};

/* Both functions follow snprintf: a first call tells the length, and the text may have grown at the second. */
static char *read_text(int (*function)(inlong_client *, char *, size_t), inlong_client *client)
{
    char *text = NULL;
    for (int room = 4096, length;; room = length + 1024) {
        char *more = realloc(text, (size_t)room);
        if (!more)
            break;
        text = more;
        length = function(client, text, (size_t)room);
        if (length < 0)
            break; /* the client is closed */
        if (length < room)
            return text;
    }
    free(text);
    return NULL;
}

static void respond(int connection, const char *status, const char *type, const char *body)
{
    dprintf(connection, "HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s", status, type,
            strlen(body), body);
}

static void answer(struct endpoint *e, int connection)
{
    char request[1024];
    ssize_t n = recv(connection, request, sizeof request - 1, 0);
    request[n > 0 ? n : 0] = 0;
    char *text = NULL;
    if (strncmp(request, "GET /metrics ", 13) == 0 && (text = read_text(inlong_client_metrics, e->client)))
        respond(connection, "200 OK", "text/plain; version=0.0.4", text);
    else if (strncmp(request, "GET /stats ", 11) == 0 && (text = read_text(inlong_client_stats, e->client)))
        respond(connection, "200 OK", "application/json", text);
    else
        respond(connection, "404 Not Found", "text/plain", "there are /metrics and /stats\n");
    free(text);
}

static void *serve(void *argument)
{
    struct endpoint *e = argument;
    int connection;
    while ((connection = accept4(e->listener, NULL, NULL, SOCK_CLOEXEC)) >= 0) { /* until the listener is shut down */
        struct timeval patience = {.tv_sec = 2};
        setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        setsockopt(connection, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
        answer(e, connection);
        close(connection);
    }
    return NULL;
}

static int listen_on(long port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int on = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener < 0 || setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind(listener, (struct sockaddr *)&address, size) != 0 || listen(listener, 16) != 0 ||
        getsockname(listener, (struct sockaddr *)&address, &size) != 0) {
        perror("endpoint");
        return -1;
    }
    printf("http://127.0.0.1:%d/metrics\n", ntohs(address.sin_port));
    fflush(stdout);
    return listener;
}

/* ---- The program ---- */

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

static inlong_client *open_client(const char *url, const char *group)
{
    char err[512];
    inlong_client *client = NULL;
    inlong_options *options = inlong_options_new();
    if (inlong_options_set(options, "url", url, err, sizeof err) != INLONG_OK ||
        inlong_options_set(options, "group_id", group, err, sizeof err) != INLONG_OK ||
        inlong_options_set(options, "metrics_name", "observe", err, sizeof err) != INLONG_OK ||
        /* This client's lines only; inlong_log_set is for all clients of the process. */
        inlong_options_set_log(options, on_log, "inlong", INLONG_LOG_INFO) != INLONG_OK ||
        (auth && inlong_options_set(options, "basic_auth", auth, err, sizeof err) != INLONG_OK) ||
        inlong_client_new(options, &client, err, sizeof err) != INLONG_OK)
        fprintf(stderr, "no client: %s\n", err);
    inlong_options_free(options);
    return client;
}

static void on_result(const inlong_result *result, void *user)
{
    (void)user;
    if (result->code != INLONG_OK)
        fprintf(stderr, "a heartbeat failed: %s\n", result->text);
}

/* Sends until one of the signals comes. */
static void send_heartbeats(inlong_client *client, const char *stream, const sigset_t *stop)
{
    const struct timespec pause = {.tv_nsec = 100000000};
    long beat = 0;
    do {
        char text[32];
        inlong_message message = {.struct_size = sizeof message};
        message.stream_id = stream;
        message.payload = text;
        message.payload_len = (size_t)snprintf(text, sizeof text, "heartbeat %ld", ++beat);
        if (inlong_client_send_async(client, &message, on_result, NULL) != INLONG_OK)
            fprintf(stderr, "heartbeat %ld is refused: %s\n", beat, inlong_last_error());
    } while (sigtimedwait(stop, NULL, &pause) < 0);
}

int main(int argc, char **argv)
{
    auth = credentials(&argc, &argv);
    char *end = "";
    long port = argc == 5 ? strtol(argv[4], &end, 10) : -1;
    if (port < 0 || port > 65535 || *end) {
        fprintf(stderr, "usage: %s [--auth ID:KEY] URL GROUP STREAM PORT\n", argv[0]);
        return 2;
    }
    sigset_t stop;
    sigemptyset(&stop);
    sigaddset(&stop, SIGINT);
    sigaddset(&stop, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &stop, NULL); /* the endpoint's thread inherits it; the library's take no signal of ours */
    signal(SIGPIPE, SIG_IGN);                /* a scraper that hangs up */

    struct endpoint e = {.client = open_client(argv[1], argv[2])};
    if (!e.client)
        return 1;
    e.listener = listen_on(port);
    pthread_t server;
    int code = e.listener < 0 ? -1 : pthread_create(&server, NULL, serve, &e);
    if (code > 0)
        fprintf(stderr, "endpoint: %s\n", strerror(code));
    if (code == 0) {
        send_heartbeats(e.client, argv[3], &stop);
        shutdown(e.listener, SHUT_RDWR);
        pthread_join(server, NULL);
    }
    if (e.listener >= 0)
        close(e.listener);
    inlong_close_report report = {.struct_size = sizeof report};
    inlong_client_close(e.client, 5000, &report);
    printf("%lld acked, %lld failed\n", (long long)report.acked, (long long)report.failed);
    return code != 0 || report.failed > 0;
}
