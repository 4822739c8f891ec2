/* 05_many_streams.c - readings of many sensors: a stream each, attributes, event times, many messages in one call.
 *
 *     cc -std=c11 -Wall -Wextra -Werror 05_many_streams.c -o 05_many_streams -linlong_dataproxy
 *     ./05_many_streams http://manager:8083 my_group 100 50
 *
 * sends 50 readings of each of 100 sensors to the streams sensor_0 ... sensor_99 and prints what became of them.
 *
 * Messages of one stream with the same attributes travel together: an attribute that has another value in each message would
 * put each into a batch of its own. What changes from message to message belongs into the payload.
 */
#define _POSIX_C_SOURCE 200809L
#include <inlong_dataproxy.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct sensor {
    char stream[32];
    inlong_attribute attributes[2];
    atomic_long acked, failed;
};

/* The user data is the sensor: each message of a call may have its own. */
static void on_result(const inlong_result *result, void *user)
{
    struct sensor *sensor = user;
    if (result->code == INLONG_OK) {
        atomic_fetch_add(&sensor->acked, 1);
        return;
    }
    if (atomic_fetch_add(&sensor->failed, 1) == 0)
        fprintf(stderr, "%s: %s\n", sensor->stream, result->text);
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
        /* Added to every batch of this client; {{ip}} becomes the address of this machine. */
        inlong_options_set(options, "add_columns", "__addcol1__host={{ip}}", err, sizeof err) != INLONG_OK ||
        (auth && inlong_options_set(options, "basic_auth", auth, err, sizeof err) != INLONG_OK) ||
        inlong_client_new(options, &client, err, sizeof err) != INLONG_OK)
        fprintf(stderr, "no client: %s\n", err);
    inlong_options_free(options);
    return client;
}

static void init_sensor(struct sensor *sensor, long i)
{
    static const char *const sites[] = {"north", "south"};
    snprintf(sensor->stream, sizeof sensor->stream, "sensor_%ld", i);
    sensor->attributes[0] = (inlong_attribute){.key = "site", .value = sites[i % 2]};
    sensor->attributes[1] = (inlong_attribute){.key = "unit", .value = "celsius"};
    atomic_init(&sensor->acked, 0);
    atomic_init(&sensor->failed, 0);
}

/* One reading of each sensor, in one call. Returns how many were refused. */
static long send_readings(inlong_client *client, struct sensor *sensors, inlong_message *messages, char (*texts)[32], long count,
                          long round)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    for (long i = 0; i < count; i++) {
        int length = snprintf(texts[i], sizeof texts[i], "%.1f", 15 + (double)((i * 7 + round) % 100) / 10);
        messages[i] = (inlong_message){.struct_size = sizeof messages[i],
                                       .stream_id = sensors[i].stream,
                                       .payload = texts[i],
                                       .payload_len = (size_t)length,
                                       .attributes = sensors[i].attributes,
                                       .attribute_count = 2,
                                       /* To the second: messages of another event time are in another batch. */
                                       .time_ms = (int64_t)now.tv_sec * 1000,
                                       .user = &sensors[i]};
    }
    long refused = 0;
    for (size_t at = 0, accepted; at < (size_t)count; at += accepted) {
        int code = inlong_client_send_many(client, messages + at, (size_t)count - at, on_result, NULL, &accepted);
        if (code == INLONG_OK)
            continue;
        /* messages[at + accepted] is refused; those before it get their results. Leave it out and continue after it. */
        fprintf(stderr, "%s: %s\n", messages[at + accepted].stream_id, inlong_last_error());
        refused++;
        accepted++;
    }
    return refused;
}

static int report(const struct sensor *sensors, long count, long refused)
{
    long acked = 0, failed = 0;
    for (long i = 0; i < count; i++) {
        long a = atomic_load(&sensors[i].acked), f = atomic_load(&sensors[i].failed);
        if (i < 5 || f > 0)
            printf("%-12s %6ld acked %6ld failed\n", sensors[i].stream, a, f);
        acked += a;
        failed += f;
    }
    printf("%ld streams: %ld acked, %ld failed, %ld refused\n", count, acked, failed, refused);
    return failed == 0 && refused == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    auth = credentials(&argc, &argv);
    long count = argc == 5 ? atol(argv[3]) : 0, rounds = argc == 5 ? atol(argv[4]) : 0;
    if (count < 1 || rounds < 1) {
        fprintf(stderr, "usage: %s [--auth ID:KEY] URL GROUP SENSORS READINGS\n", argv[0]);
        return 2;
    }
    struct sensor *sensors = calloc((size_t)count, sizeof *sensors);
    inlong_message *messages = calloc((size_t)count, sizeof *messages);
    char (*texts)[32] = calloc((size_t)count, sizeof *texts);
    inlong_client *client = sensors && messages && texts ? open_client(argv[1], argv[2]) : NULL;
    long refused = 0;
    int status = 1;
    if (client) {
        for (long i = 0; i < count; i++)
            init_sensor(&sensors[i], i);
        for (long round = 0; round < rounds; round++)
            refused += send_readings(client, sensors, messages, texts, count, round);
        /* Close delivers what is pending; after it no callback runs, and the sensors may be freed. */
        if (inlong_client_close(client, 10000, NULL) != INLONG_OK)
            fprintf(stderr, "not all in time: %s\n", inlong_last_error());
        status = report(sensors, count, refused);
    }
    free(texts);
    free(messages);
    free(sensors);
    return status;
}
