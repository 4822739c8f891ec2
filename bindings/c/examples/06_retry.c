/* 06_retry.c - what to do with a message that failed: send it again, or keep it, by `retriable` and `persisted`.
 *
 *     cc -std=c11 -Wall -Wextra -Werror 06_retry.c -o 06_retry -linlong_dataproxy -lpthread
 *     ./06_retry http://manager:8083 my_group my_stream kept.txt < LINES          # a line may arrive twice
 *     ./06_retry --never-twice http://manager:8083 my_group my_stream kept.txt < LINES
 *
 * The client has tried by itself for as long as the option send_timeout lasts before it reports a failure; this is about what
 * comes after that, say when the cluster was away for longer.
 *
 *     retriable  persisted                  what this program does
 *     no         any                        keep the line: the same message would fail again
 *     yes        INLONG_NOT_WRITTEN         send it again: that cannot duplicate it
 *     yes        INLONG_MAYBE_WRITTEN       send it again, or with --never-twice keep it for somebody to look at
 *
 * Lines that are kept go to the file, each with its reason, and can be sent again later.
 */
#define _POSIX_C_SOURCE 200809L
#include <inlong_dataproxy.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MOST_ROUNDS = 5, FIRST_PAUSE_MS = 200 };

/* A line on its way. It is somebody's all the time: the library's (as user data), or on one of the two lists. */
struct line {
    struct line *next;
    int persisted;
    bool retriable;
    char reason[512];
    size_t len;
    char text[];
};

static struct {
    inlong_client *client;
    const char *stream;
    bool never_twice;
    pthread_mutex_t mutex; /* guards the rest */
    struct line *failed;
    long acked, doubtful;
} state = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static void note_failure(struct line *line, int persisted, bool retriable, const char *reason)
{
    line->persisted = persisted;
    line->retriable = retriable;
    snprintf(line->reason, sizeof line->reason, "%s", reason);
    pthread_mutex_lock(&state.mutex);
    line->next = state.failed;
    state.failed = line;
    pthread_mutex_unlock(&state.mutex);
}

/* Only notes what happened: pauses and new attempts are not for a thread of the library. */
static void on_result(const inlong_result *result, void *user)
{
    struct line *line = user;
    if (result->code != INLONG_OK) {
        note_failure(line, result->persisted, result->retriable, result->text);
        return;
    }
    pthread_mutex_lock(&state.mutex);
    state.acked++;
    pthread_mutex_unlock(&state.mutex);
    free(line);
}

static void send_line(struct line *line)
{
    inlong_message message = {.struct_size = sizeof message};
    message.stream_id = state.stream;
    message.payload = line->text;
    message.payload_len = line->len;
    int code = inlong_client_send_async(state.client, &message, on_result, line);
    if (code != INLONG_OK) /* refused: nothing was written, no result comes */
        note_failure(line, INLONG_NOT_WRITTEN, inlong_error_is_retriable(code), inlong_last_error());
}

static bool may_be_sent_again(const struct line *line)
{
    return line->retriable && (line->persisted == INLONG_NOT_WRITTEN || !state.never_twice);
}

static void keep(FILE *file, struct line *line)
{
    const char *written = line->persisted == INLONG_NOT_WRITTEN ? "not written" : "maybe written";
    fprintf(file, "%.*s\t%s\t%s\n", (int)line->len, line->text, written, line->reason);
    free(line);
}

/* Waits for all results, and sends again what failed and may be sent again. Returns how many lines were kept. */
static long settle(FILE *file)
{
    long kept = 0;
    for (int round = 0;; round++) {
        /* No time-out of its own: each message has its result by its deadline. */
        if (inlong_client_flush(state.client, INLONG_NO_TIMEOUT) != INLONG_OK)
            fprintf(stderr, "flush: %s\n", inlong_last_error());
        pthread_mutex_lock(&state.mutex);
        struct line *failed = state.failed;
        state.failed = NULL;
        pthread_mutex_unlock(&state.mutex);
        if (!failed)
            return kept;
        struct timespec pause = {0, (FIRST_PAUSE_MS << (round < 3 ? round : 2)) * 1000000L}; /* less than a second */
        nanosleep(&pause, NULL);
        for (struct line *line; (line = failed);) {
            failed = line->next;
            if (round < MOST_ROUNDS && may_be_sent_again(line)) {
                state.doubtful += line->persisted == INLONG_MAYBE_WRITTEN;
                send_line(line);
            } else {
                keep(file, line);
                kept++;
            }
        }
    }
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

static inlong_client *open_client(const char *url, const char *group)
{
    char err[512];
    inlong_client *client = NULL;
    inlong_options *options = inlong_options_new();
    if (inlong_options_set(options, "url", url, err, sizeof err) != INLONG_OK ||
        inlong_options_set(options, "group_id", group, err, sizeof err) != INLONG_OK ||
        inlong_options_set(options, "block_if_queue_is_full", "true", err, sizeof err) != INLONG_OK ||
        inlong_options_set(options, "send_timeout", "3s", err, sizeof err) != INLONG_OK ||
        (auth && inlong_options_set(options, "basic_auth", auth, err, sizeof err) != INLONG_OK) ||
        inlong_client_new(options, &client, err, sizeof err) != INLONG_OK)
        fprintf(stderr, "no client: %s\n", err);
    inlong_options_free(options);
    return client;
}

static bool send_input(void)
{
    char *text = NULL;
    size_t room = 0;
    ssize_t len;
    while ((len = getline(&text, &room, stdin)) >= 0) {
        if (len > 0 && text[len - 1] == '\n')
            len--;
        struct line *line = len > 0 ? malloc(sizeof *line + (size_t)len) : NULL;
        if (len > 0 && !line) {
            free(text);
            return perror("line"), false;
        }
        if (line) {
            line->len = (size_t)len;
            memcpy(line->text, text, line->len);
            send_line(line);
        }
    }
    free(text);
    return !ferror(stdin);
}

int main(int argc, char **argv)
{
    auth = credentials(&argc, &argv);
    state.never_twice = argc > 1 && strcmp(argv[1], "--never-twice") == 0;
    char **args = argv + 1 + state.never_twice;
    if (argc - 1 - state.never_twice != 4) {
        fprintf(stderr, "usage: %s [--auth ID:KEY] [--never-twice] URL GROUP STREAM KEPT < LINES\n", argv[0]);
        return 2;
    }
    FILE *file = fopen(args[3], "a");
    if (!file)
        return perror(args[3]), 1;
    state.stream = args[2];
    state.client = open_client(args[0], args[1]);
    if (!state.client)
        return fclose(file), 1;

    bool whole = send_input();
    long kept = settle(file);
    inlong_client_close(state.client, 5000, NULL);
    if (fclose(file) != 0)
        return perror(args[3]), 1;
    printf("%ld acked, %ld kept, %ld sent again that may have arrived before\n", state.acked, kept, state.doubtful);
    return whole && kept == 0 ? 0 : 1;
}
