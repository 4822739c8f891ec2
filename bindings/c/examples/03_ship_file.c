/* 03_ship_file.c - ship a file line by line, whatever its size, and account for every line.
 *
 *     cc -std=c11 -Wall -Wextra -Werror 03_ship_file.c -o 03_ship_file -linlong_dataproxy -lpthread
 *     ./03_ship_file --url http://manager:8083 --group my_group --stream my_stream /var/log/syslog
 *
 * Progress goes to stderr when that is a terminal; the last line of stdout is the summary as JSON. Exit status 0: every
 * line was acked. Empty lines cannot be sent: a message is never empty. They are counted as skipped.
 */
#define _GNU_SOURCE
#include <getopt.h>
#include <inlong_dataproxy.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* What callbacks write and the sending thread reads. */
static struct {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    long acked, failed;
    char failure[512]; /* of the first line that failed */
} state = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0, ""};

static void note_failure(const char *text)
{
    if (state.failed++ == 0)
        snprintf(state.failure, sizeof state.failure, "%s", text);
}

static void on_result(const inlong_result *result, void *user)
{
    (void)user;
    pthread_mutex_lock(&state.mutex);
    if (result->code == INLONG_OK)
        state.acked++;
    else
        note_failure(result->text);
    pthread_cond_signal(&state.changed);
    pthread_mutex_unlock(&state.mutex);
}

/* The queue is full: waits until a result has made room, a moment at most. */
static void wait_for_room(void)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += 10000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&state.mutex);
    pthread_cond_timedwait(&state.changed, &state.mutex, &until);
    pthread_mutex_unlock(&state.mutex);
}

static void ship_line(inlong_client *client, const char *stream, const char *line, size_t len)
{
    inlong_message message = {.struct_size = sizeof message};
    message.stream_id = stream;
    message.payload = line;
    message.payload_len = len;
    int code;
    while ((code = inlong_client_send_async(client, &message, on_result, NULL)) == INLONG_ERR_QUEUE_FULL)
        wait_for_room();
    if (code != INLONG_OK) { /* refused for good, say too long: there will be no callback */
        pthread_mutex_lock(&state.mutex);
        note_failure(inlong_last_error());
        pthread_mutex_unlock(&state.mutex);
    }
}

static double now(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void show_progress(long lines, double seconds)
{
    if (!isatty(STDERR_FILENO))
        return;
    pthread_mutex_lock(&state.mutex);
    long acked = state.acked, failed = state.failed;
    pthread_mutex_unlock(&state.mutex);
    fprintf(stderr, "\r%ld lines read, %ld acked, %ld failed, %.0f lines/s ", lines, acked, failed,
            (double)lines / (seconds > 0 ? seconds : 1));
}

static inlong_client *open_client(const char *url, const char *group, const char *auth)
{
    char err[512];
    inlong_client *client = NULL;
    inlong_options *options = inlong_options_new();
    if (inlong_options_set(options, "url", url, err, sizeof err) != INLONG_OK ||
        inlong_options_set(options, "group_id", group, err, sizeof err) != INLONG_OK ||
        (auth && inlong_options_set(options, "basic_auth", auth, err, sizeof err) != INLONG_OK) ||
        inlong_client_new(options, &client, err, sizeof err) != INLONG_OK)
        fprintf(stderr, "no client: %s\n", err);
    inlong_options_free(options);
    return client;
}

/* Sends the lines of `file`; returns how many were not empty. */
static long ship(inlong_client *client, const char *stream, FILE *file, long *skipped)
{
    char *line = NULL;
    size_t room = 0;
    ssize_t len;
    long lines = 0;
    double start = now(CLOCK_MONOTONIC), shown = start;
    while ((len = getline(&line, &room, file)) >= 0) {
        if (len > 0 && line[len - 1] == '\n')
            len--;
        if (len == 0) {
            ++*skipped;
            continue;
        }
        ship_line(client, stream, line, (size_t)len);
        if (++lines % 1024 == 0 && now(CLOCK_MONOTONIC) - shown > 0.2) {
            shown = now(CLOCK_MONOTONIC);
            show_progress(lines, shown - start);
        }
    }
    free(line);
    return lines;
}

int main(int argc, char **argv)
{
    static const struct option names[] = {{"url", required_argument, NULL, 'u'},
                                          {"group", required_argument, NULL, 'g'},
                                          {"stream", required_argument, NULL, 's'},
                                          {"auth", required_argument, NULL, 'a'},
                                          {NULL, 0, NULL, 0}};
    const char *url = NULL, *group = NULL, *stream = NULL;
    const char *auth = getenv("INLONG_BASIC_AUTH"); /* "id:key"; no other user of the machine sees it there */
    for (int name; (name = getopt_long(argc, argv, "", names, NULL)) != -1;) {
        switch (name) {
        case 'u':
            url = optarg;
            break;
        case 'g':
            group = optarg;
            break;
        case 's':
            stream = optarg;
            break;
        case 'a':
            auth = optarg;
            break;
        default:
            return 2;
        }
    }
    if (!url || !group || !stream || optind != argc - 1) {
        fprintf(stderr, "usage: %s --url URL --group GROUP --stream STREAM [--auth ID:KEY] FILE\n", argv[0]);
        return 2;
    }
    FILE *file = fopen(argv[optind], "r");
    if (!file) {
        perror(argv[optind]);
        return 1;
    }
    inlong_client *client = open_client(url, group, auth);
    if (!client) {
        fclose(file);
        return 1;
    }

    double start = now(CLOCK_MONOTONIC);
    long skipped = 0, lines = ship(client, stream, file, &skipped);
    int unread = ferror(file);
    fclose(file);

    /* Flush waits until every line has its result; close then has nothing left to wait for. */
    inlong_client_flush(client, 60000);
    inlong_close_report report = {.struct_size = sizeof report};
    inlong_client_close(client, 5000, &report);
    double seconds = now(CLOCK_MONOTONIC) - start;
    show_progress(lines, seconds);
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "\n");
    if (unread)
        fprintf(stderr, "%s: cannot be read to its end\n", argv[optind]);
    if (skipped > 0)
        fprintf(stderr, "%ld empty lines skipped\n", skipped);
    if (state.failed > 0)
        fprintf(stderr, "%ld lines failed (%lld by the close); the first: %s\n", state.failed, (long long)report.unsent,
                state.failure);
    printf("{\"language\":\"c\",\"lines\":%ld,\"acked\":%ld,\"failed\":%ld,\"skipped\":%ld,\"seconds\":%.6f,"
           "\"cpu_seconds\":%.6f}\n",
           lines, state.acked, state.failed, skipped, seconds, now(CLOCK_PROCESS_CPUTIME_ID));
    return unread || state.failed > 0 || state.acked != lines ? 1 : 0;
}
