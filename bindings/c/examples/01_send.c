/* 01_send.c - send one message and wait for its ack.
 *
 *     cc -std=c99 -Wall -Wextra -Werror 01_send.c -o 01_send -linlong_dataproxy
 *     ./01_send http://manager:8083 my_group my_stream "hello"
 */
#include <inlong_dataproxy.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

int main(int argc, char **argv)
{
    const char *auth = credentials(&argc, &argv);
    char err[512];
    inlong_client *client;
    if (argc != 5) {
        fprintf(stderr, "usage: %s [--auth ID:KEY] URL GROUP STREAM TEXT\n", argv[0]);
        return 2;
    }

    inlong_options *options = inlong_options_new();
    if (inlong_options_set(options, "url", argv[1], err, sizeof err) != INLONG_OK ||
        inlong_options_set(options, "group_id", argv[2], err, sizeof err) != INLONG_OK ||
        (auth && inlong_options_set(options, "basic_auth", auth, err, sizeof err) != INLONG_OK) ||
        inlong_client_new(options, &client, err, sizeof err) != INLONG_OK) {
        fprintf(stderr, "no client: %s\n", err);
        inlong_options_free(options);
        return 1;
    }
    inlong_options_free(options); /* the client has its own copy */

    inlong_message message = {.struct_size = sizeof message};
    message.stream_id = argv[3];
    message.payload = argv[4];
    message.payload_len = strlen(argv[4]);
    int code = inlong_client_send(client, &message, INLONG_NO_TIMEOUT, NULL);
    if (code == INLONG_OK)
        printf("acked\n");
    else
        fprintf(stderr, "not sent: %s\n", inlong_last_error());

    inlong_client_close(client, 5000, NULL);
    return code == INLONG_OK ? 0 : 1;
}
