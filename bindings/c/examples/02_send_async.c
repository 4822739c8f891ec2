/* 02_send_async.c - send many messages without waiting for each; a callback gets every result.
 *
 *     cc -std=c11 -Wall -Wextra -Werror 02_send_async.c -o 02_send_async -linlong_dataproxy
 *     ./02_send_async http://manager:8083 my_group my_stream 1000
 */
#include <inlong_dataproxy.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct totals {
    atomic_long acked, failed;
};

/* Runs on a thread of the library: hence the atomics. It must not be slow: other results of its connection wait meanwhile. */
static void on_result(const inlong_result *result, void *user)
{
    struct totals *totals = user;
    if (result->code == INLONG_OK) {
        atomic_fetch_add(&totals->acked, 1);
        return;
    }
    /* result->text is gone when this returns; result->persisted says whether sending again could duplicate the message. */
    if (atomic_fetch_add(&totals->failed, 1) == 0)
        fprintf(stderr, "first failure: %s\n", result->text);
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
        /* When too much is pending the next send waits, instead of failing with INLONG_ERR_QUEUE_FULL. */
        inlong_options_set(options, "block_if_queue_is_full", "true", err, sizeof err) != INLONG_OK ||
        (auth && inlong_options_set(options, "basic_auth", auth, err, sizeof err) != INLONG_OK) ||
        inlong_client_new(options, &client, err, sizeof err) != INLONG_OK)
        fprintf(stderr, "no client: %s\n", err);
    inlong_options_free(options);
    return client;
}

int main(int argc, char **argv)
{
    auth = credentials(&argc, &argv);
    if (argc != 5) {
        fprintf(stderr, "usage: %s [--auth ID:KEY] URL GROUP STREAM COUNT\n", argv[0]);
        return 2;
    }
    inlong_client *client = open_client(argv[1], argv[2]);
    if (!client)
        return 1;

    struct totals totals = {0, 0};
    long count = atol(argv[4]), refused = 0;
    for (long i = 0; i < count; i++) {
        char text[64]; /* copied by the send call: free to be used again */
        inlong_message message = {.struct_size = sizeof message};
        message.stream_id = argv[3];
        message.payload = text;
        message.payload_len = (size_t)snprintf(text, sizeof text, "message %ld", i);
        if (inlong_client_send_async(client, &message, on_result, &totals) != INLONG_OK) {
            fprintf(stderr, "refused: %s\n", inlong_last_error()); /* no callback comes for this one */
            refused++;
        }
    }

    /* Close delivers what is pending. After it no callback runs, and `totals` may go out of scope. */
    int code = inlong_client_close(client, 10000, NULL);
    printf("%ld acked, %ld failed, %ld refused\n", atomic_load(&totals.acked), atomic_load(&totals.failed), refused);
    return code == INLONG_OK && atomic_load(&totals.acked) == count ? 0 : 1;
}
