/* bench_async.c - what a message costs from C. The benchmark runs it.
 *
 *     bench_async URL GROUP STREAM CORPUS MESSAGE_SIZE COUNT [WARM_UP [MODE [THREADS]]]
 *
 * CORPUS holds messages of MESSAGE_SIZE bytes, one after the other; they are sent in turn, COUNT in all by THREADS threads,
 * after WARM_UP that are not measured. Prints one line of JSON. With COUNT ending in "s" it sends for so many seconds. MODE:
 *
 *     callback   one call and one callback a message
 *     queue      one call a message; a thread takes the results from the queue
 *     batch      one call a message; the batch callback takes the results
 *     many       inlong_client_send_many, 256 messages a call, one callback a message
 *     closed     calls on a closed client: seconds and cpu_seconds are those above as many empty calls
 */
#include <inlong_dataproxy.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

enum { MANY = 256, STEP = 1024, MOST_THREADS = 64 };
enum mode { CALLBACK, QUEUE, BATCH, SEND_MANY, CLOSED, MODES };
static const char *const modes[MODES] = {"callback", "queue", "batch", "many", "closed"};

static struct {
    inlong_client *client;
    const char *stream, *corpus;
    size_t size, distinct;
    enum mode mode;
    int threads;
} bench;

static atomic_long acked, failed;

/* Counts by hand: results come a few at a time, and the counters are shared. */
static void count(const inlong_result *result, size_t n)
{
    atomic_fetch_add_explicit(result->code == INLONG_OK ? &acked : &failed, (long)n, memory_order_relaxed);
}

static void on_result(const inlong_result *result, void *user)
{
    (void)user;
    count(result, 1);
}

static void on_results(const inlong_result *result, void *const *users, size_t n, void *user)
{
    (void)users, (void)user;
    count(result, n);
}

static void *take_results(void *unused)
{
    static inlong_result results[MANY];
    int n;
    results[0].struct_size = sizeof results[0];
    while ((n = inlong_client_poll(bench.client, results, MANY, INLONG_NO_TIMEOUT)) > 0) {
        long good = 0;
        for (int i = 0; i < n; i++)
            good += results[i].code == INLONG_OK;
        atomic_fetch_add_explicit(&acked, good, memory_order_relaxed);
        atomic_fetch_add_explicit(&failed, n - good, memory_order_relaxed);
    }
    return unused;
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

static void open_client(const char *url, const char *group)
{
    char err[512];
    inlong_options *options = inlong_options_new();
    if (inlong_options_set(options, "url", url, err, sizeof err) != INLONG_OK ||
        inlong_options_set(options, "group_id", group, err, sizeof err) != INLONG_OK ||
        inlong_options_set(options, "block_if_queue_is_full", "true", err, sizeof err) != INLONG_OK ||
        (bench.mode == BATCH && inlong_options_set_batch_callback(options, on_results, NULL) != INLONG_OK) ||
        inlong_client_new(options, &bench.client, err, sizeof err) != INLONG_OK)
        die("no client", err);
    inlong_options_free(options);
}

/* What one thread has to send, and sent. */
struct work {
    size_t at; /* of the next message in the corpus */
    long count, sent;
    double end; /* if not 0: in place of the count */
};

static void next_message(struct work *w, inlong_message *m)
{
    m->payload = bench.corpus + w->at * bench.size;
    if (++w->at == bench.distinct)
        w->at = 0;
}

static void send_some(struct work *w, inlong_message *messages, long n)
{
    inlong_callback callback = bench.mode == CALLBACK || bench.mode == SEND_MANY ? on_result : NULL;
    int code = INLONG_OK;
    if (bench.mode == SEND_MANY) {
        for (long i = 0; i < n; i++)
            next_message(w, &messages[i]);
        code = inlong_client_send_many(bench.client, messages, (size_t)n, callback, NULL, NULL);
    } else {
        for (long i = 0; i < n && code == INLONG_OK; i++) {
            next_message(w, messages);
            code = inlong_client_send_async(bench.client, messages, callback, NULL);
        }
    }
    if (code != INLONG_OK)
        die("send", inlong_last_error());
    w->sent += n;
}

static void *send_all(void *work)
{
    struct work *w = work;
    inlong_message messages[MANY];
    for (int i = 0; i < MANY; i++)
        messages[i] = (inlong_message){.struct_size = sizeof messages[i], .stream_id = bench.stream, .payload_len = bench.size};
    while (w->end > 0 ? (w->sent % STEP != 0 || wall() < w->end) : w->sent < w->count) {
        long left = w->end > 0 ? MANY : w->count - w->sent;
        send_some(w, messages, left < MANY ? left : MANY);
    }
    return NULL;
}

/* Sends `count` messages, or until `seconds` are over, and waits for all results. Returns how many it sent. */
static long run(long count, double seconds)
{
    pthread_t threads[MOST_THREADS];
    struct work works[MOST_THREADS];
    for (int i = 0; i < bench.threads; i++) {
        works[i] = (struct work){
            .at = (size_t)i * 97 % bench.distinct, .count = (count + i) / bench.threads, .end = seconds > 0 ? wall() + seconds : 0};
        if (bench.threads > 1 && pthread_create(&threads[i], NULL, send_all, &works[i]) != 0)
            die("pthread_create", "no thread");
    }
    if (bench.threads == 1)
        send_all(&works[0]);
    long sent = 0;
    for (int i = 0; i < bench.threads; i++) {
        if (bench.threads > 1)
            pthread_join(threads[i], NULL);
        sent += works[i].sent;
    }
    if (inlong_client_flush(bench.client, 60000) != INLONG_OK)
        die("flush", inlong_last_error());
    while (bench.mode == QUEUE && atomic_load(&acked) + atomic_load(&failed) < sent) /* the last are on their way */
        nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
    return sent;
}

static int empty_call(inlong_client *client, const inlong_message *message, inlong_callback callback, void *user)
{
    __asm__ volatile("" : : "r"(client), "r"(message), "r"(callback), "r"(user) : "memory");
    return INLONG_ERR_HANDLE;
}

/* Seconds of `calls` calls through a pointer, as through a library's table. */
static double time_calls(int (*volatile call)(inlong_client *, const inlong_message *, inlong_callback, void *), long calls)
{
    inlong_message message = {.struct_size = sizeof message, .stream_id = bench.stream, .payload = bench.corpus, .payload_len = 1};
    double began = cpu();
    for (long i = 0; i < calls; i++)
        if (call(bench.client, &message, NULL, NULL) != INLONG_ERR_HANDLE)
            die("closed", "a closed client took a message");
    return cpu() - began;
}

static void closed(long calls)
{
    inlong_client_close(bench.client, 5000, NULL);
    double empty = time_calls(empty_call, calls), full = time_calls(inlong_client_send_async, calls);
    printf("{\"messages\":%ld,\"acked\":%ld,\"failed\":0,\"seconds\":%.9f,\"cpu_seconds\":%.9f}\n", calls, calls, full,
           full - empty);
}

int main(int argc, char **argv)
{
    if (argc < 7) {
        fprintf(stderr, "usage: %s URL GROUP STREAM CORPUS MESSAGE_SIZE COUNT [WARM_UP [MODE [THREADS]]]\n", argv[0]);
        return 2;
    }
    while (argc > 8 && strcmp(argv[8], modes[bench.mode]) != 0)
        if (++bench.mode == MODES)
            die(argv[8], "no mode");
    bench.threads = argc > 9 ? atoi(argv[9]) : 1;
    if (bench.threads < 1 || bench.threads > MOST_THREADS)
        die(argv[9], "want 1 to 64 threads");
    bench.stream = argv[3];
    bench.size = strtoul(argv[5], NULL, 10);
    char *unit, *corpus = read_corpus(argv[4], bench.size, &bench.distinct);
    double number = strtod(argv[6], &unit);
    bench.corpus = corpus;
    open_client(argv[1], argv[2]);
    if (bench.mode == CLOSED)
        return closed(*unit == 's' ? (long)(number * 1e7) : (long)number), 0;
    pthread_t taker;
    if (bench.mode == QUEUE && pthread_create(&taker, NULL, take_results, NULL) != 0)
        die("pthread_create", "no thread");
    if (argc > 7)
        run(atol(argv[7]), 0);
    atomic_store(&acked, 0);
    atomic_store(&failed, 0);
    double wall0 = wall(), cpu0 = cpu();
    long sent = run((long)number, *unit == 's' ? number : 0);
    double wall1 = wall(), cpu1 = cpu();
    inlong_client_close(bench.client, 5000, NULL);
    if (bench.mode == QUEUE)
        pthread_join(taker, NULL);
    free(corpus);
    printf("{\"messages\":%ld,\"acked\":%ld,\"failed\":%ld,\"seconds\":%.6f,\"cpu_seconds\":%.6f}\n", sent, atomic_load(&acked),
           atomic_load(&failed), wall1 - wall0, cpu1 - cpu0);
    return atomic_load(&failed) == 0 ? 0 : 1;
}
