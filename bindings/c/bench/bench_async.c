/* bench_async.c - what a message costs from C: one call and one callback a message. The benchmark runs it.
 *
 *     bench_async URL GROUP STREAM CORPUS MESSAGE_SIZE COUNT [WARM_UP]
 *
 * CORPUS holds messages of MESSAGE_SIZE bytes, one behind the other; they are sent in turn, COUNT in all, after WARM_UP
 * that are not measured. Prints one line of JSON. With COUNT ending in "s" it sends for so many seconds. */
#include <inlong_dataproxy.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

static atomic_long acked, failed;

static void on_result(const inlong_result *result, void *user)
{
    (void)user;
    atomic_fetch_add_explicit(result->code == INLONG_OK ? &acked : &failed, 1, memory_order_relaxed);
}

static void die(const char *what, const char *why)
{
    fprintf(stderr, "bench_async: %s: %s\n", what, why);
    exit(1);
}

static char *read_corpus(const char *path, size_t size, size_t *count)
{
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END) != 0)
        die(path, "cannot be read");
    size_t length = (size_t)ftell(file);
    char *corpus = malloc(length + 1);
    rewind(file);
    if (!corpus || size == 0 || length < size || fread(corpus, 1, length, file) != length)
        die(path, "holds no message of that size");
    fclose(file);
    *count = length / size;
    return corpus;
}

static double wall(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double cpu(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static inlong_client *open_client(const char *url, const char *group)
{
    char err[512];
    inlong_client *client = NULL;
    inlong_options *options = inlong_options_new();
    if (inlong_options_set(options, "url", url, err, sizeof err) != INLONG_OK ||
        inlong_options_set(options, "group_id", group, err, sizeof err) != INLONG_OK ||
        inlong_options_set(options, "block_if_queue_is_full", "true", err, sizeof err) != INLONG_OK ||
        inlong_client_new(options, &client, err, sizeof err) != INLONG_OK)
        die("no client", err);
    inlong_options_free(options);
    return client;
}

/* Sends `count` messages, or until `seconds` are over, and waits for all results. Returns how many it sent. */
static long run(inlong_client *client, const char *stream, const char *corpus, size_t size, size_t distinct, long count,
                double seconds)
{
    inlong_message message = {.struct_size = sizeof message};
    message.stream_id = stream;
    message.payload_len = size;
    double end = wall() + seconds;
    long sent = 0;
    for (size_t at = 0; seconds > 0 ? (sent % 1024 != 0 || wall() < end) : sent < count; sent++) {
        message.payload = corpus + at * size;
        if (++at == distinct)
            at = 0;
        if (inlong_client_send_async(client, &message, on_result, NULL) != INLONG_OK)
            die("send", inlong_last_error());
    }
    if (inlong_client_flush(client, 60000) != INLONG_OK)
        die("flush", inlong_last_error());
    return sent;
}

int main(int argc, char **argv)
{
    if (argc < 7) {
        fprintf(stderr, "usage: %s URL GROUP STREAM CORPUS MESSAGE_SIZE COUNT [WARM_UP]\n", argv[0]);
        return 2;
    }
    size_t distinct, size = strtoul(argv[5], NULL, 10);
    char *corpus = read_corpus(argv[4], size, &distinct);
    char *unit;
    double number = strtod(argv[6], &unit);
    inlong_client *client = open_client(argv[1], argv[2]);
    if (argc > 7)
        run(client, argv[3], corpus, size, distinct, atol(argv[7]), 0);
    atomic_store(&acked, 0);
    atomic_store(&failed, 0);
    double wall0 = wall(), cpu0 = cpu();
    long sent = run(client, argv[3], corpus, size, distinct, (long)number, *unit == 's' ? number : 0);
    double wall1 = wall(), cpu1 = cpu();
    inlong_client_close(client, 5000, NULL);
    free(corpus);
    printf("{\"messages\":%ld,\"acked\":%ld,\"failed\":%ld,\"seconds\":%.6f,\"cpu_seconds\":%.6f}\n", sent, atomic_load(&acked),
           atomic_load(&failed), wall1 - wall0, cpu1 - cpu0);
    return atomic_load(&failed) == 0 ? 0 : 1;
}
