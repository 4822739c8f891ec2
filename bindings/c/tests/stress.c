/* stress.c - everything at once, at random, for so many seconds: `make stress`. Threads send in every way, poll, are cancelled, open and close
 * clients, fork and load libraries, while callbacks send again. Then each message that was accepted must have had one result, and nothing
 * may be left. Not a test of the suite: it has no end of its own.
 *
 *     stress SECONDS [SEED]
 */
#include "fixture.h"
#include "left.h"

#include <dlfcn.h>
#include <sched.h>
#include <stdatomic.h>
#include <time.h>

enum { PLACES = 4, ROUND_SECONDS = 10, MANY = 40 };
enum { CALLBACKS, QUEUE, BATCHES, KINDS };

/* A client, from its opening on. Kept for a round more: others still look at it. */
typedef struct life {
    struct life *next;
    inlong_client *client;
    int kind;
    atomic_long accepted, results, uncalled;
    atomic_bool closed;
} life;

static struct {
    fixture f;
    _Atomic(life *) places[PLACES], all;
    life *before; /* of the last round */
    atomic_bool stop;
    atomic_long messages, forks, clients, full;
} round_;

static atomic_uint seeds;
static _Thread_local unsigned seed;

static unsigned any(unsigned n)
{
    if (seed == 0)
        seed = atomic_fetch_add(&seeds, 7919) | 1;
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % n;
}

static void on_result(const inlong_result *result, void *user);

/* ---- sending ---- */

static void count(life *l, int code, size_t accepted)
{
    CHECK(code == INLONG_OK || code == INLONG_ERR_QUEUE_FULL || code == INLONG_ERR_CLOSED || code == INLONG_ERR_HANDLE ||
          code == INLONG_ERR_CONTEXT_EXPIRED || code == INLONG_ERR_LOG_INVALID || code == INLONG_ERR_SEND_TIMEOUT);
    l->accepted += (long)accepted;
    round_.messages += (long)accepted;
    round_.full += code == INLONG_ERR_QUEUE_FULL;
}

static inlong_message random_message(char *stream, size_t size)
{
    static const inlong_attribute attribute = {"k", 0, "v", 0};
    static const char payload[20000] = "a payload, and zeros";
    inlong_message m = message("");
    snprintf(stream, size, any(200) == 0 ? "no stream" : "stream_%u", any(50));
    m.stream_id = stream;
    m.payload = payload;
    m.payload_len = any(500) == 0 ? sizeof payload : 1 + any(200);
    if (any(20) == 0) {
        m.attributes = &attribute;
        m.attribute_count = 1;
    }
    m.time_ms = any(20) == 0 ? 1700000000000 : 0;
    return m;
}

static void send_something(life *l)
{
    char stream[32];
    inlong_message m = random_message(stream, sizeof stream), many[MANY];
    inlong_callback callback = l->kind == CALLBACKS ? on_result : NULL;
    uint32_t lengths[MANY];
    char data[MANY] = "";
    size_t accepted = 0;
    int code;
    switch (any(50)) {
    case 0:
        code = inlong_client_send(l->client, &m, any(100), NULL);
        CHECK(code != INLONG_ERR_INTERNAL);
        return;
    case 1:
        CHECK(inlong_client_flush(l->client, any(20)) != INLONG_ERR_INTERNAL);
        return;
    case 2:
        CHECK(inlong_client_stats(l->client, data, sizeof data) != INLONG_ERR_INTERNAL);
        return;
    case 3:
    case 4:
        for (int i = 0; i < MANY; i++)
            many[i] = m;
        code = inlong_client_send_many(l->client, many, MANY, callback, l, &accepted);
        break;
    case 5:
    case 6:
        if (l->kind == CALLBACKS)
            return;
        for (int i = 0; i < MANY; i++)
            lengths[i] = 1;
        code = inlong_client_send_packed(l->client, PACK(&m, data, MANY, lengths, MANY, NULL, (int)any(2)), 10, &accepted);
        break;
    default:
        code = inlong_client_send_async(l->client, &m, callback, l);
        accepted = code == INLONG_OK;
    }
    count(l, code, accepted);
}

static void *keep_sending(void *unused)
{
    while (!round_.stop) {
        life *l = round_.places[any(PLACES)];
        for (unsigned n = any(200); l && n > 0 && !round_.stop; n--)
            send_something(l);
        if (any(10) == 0)
            sched_yield();
    }
    return unused;
}

/* ---- results ---- */

static void on_result(const inlong_result *result, void *user)
{
    life *l = user;
    l->results += (long)result->count;
    if (any(8) == 0 && !round_.stop)
        send_something(l);
}

static void on_results(const inlong_result *result, void *const *users, size_t n, void *user)
{
    (void)users;
    CHECK(result->count == n);
    ((life *)user)->results += (long)n;
}

static void *keep_polling(void *unused)
{
    inlong_result results[16];
    results[0].struct_size = sizeof results[0];
    while (!round_.stop) {
        life *l = round_.places[any(PLACES)];
        if (!l || l->kind != QUEUE) {
            sched_yield();
            continue;
        }
        int old;
        pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
        int n = inlong_client_poll(l->client, results, 16, any(20));
        pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &old);
        for (int i = 0; i < n; i++)
            l->results += (long)results[i].count;
    }
    return unused;
}

#ifndef CHECK_ASAN
static void *keep_cancelling(void *unused)
{
    while (!round_.stop) {
        pthread_t thread;
        CHECK_INT(pthread_create(&thread, NULL, keep_polling, NULL), 0);
        usleep(any(20000));
        pthread_cancel(thread);
        CHECK_INT(pthread_join(thread, NULL), 0);
    }
    return unused;
}
#endif

/* ---- clients that come and go ---- */

static void keep_life(life *l)
{
    l->next = round_.all;
    while (!atomic_compare_exchange_weak(&round_.all, &l->next, l))
        ;
}

static life *begin(void)
{
    char err[256];
    life *l = calloc(1, sizeof *l);
    CHECK(l != NULL);
    l->kind = (int)any(KINDS);
    inlong_options *o = inlong_options_new();
    CHECK_INT(inlong_options_set(o, "url", round_.f.url, err, sizeof err), INLONG_OK);
    CHECK_INT(inlong_options_set(o, "group_id", GROUP, err, sizeof err), INLONG_OK);
    CHECK_INT(inlong_options_set(o, "ordered", any(2) ? "true" : "false", err, sizeof err), INLONG_OK);
    CHECK_INT(inlong_options_set(o, "block_if_queue_is_full", any(2) ? "true" : "false", err, sizeof err), INLONG_OK);
    CHECK_INT(inlong_options_set(o, "max_pending_messages", any(2) ? "100" : "20000", err, sizeof err), INLONG_OK);
    CHECK_INT(inlong_options_set(o, "send_timeout", "5s", err, sizeof err), INLONG_OK);
    if (l->kind == BATCHES)
        CHECK_INT(inlong_options_set_batch_callback(o, on_results, l), INLONG_OK);
    CHECK_INT(inlong_client_new(o, &l->client, err, sizeof err), INLONG_OK);
    inlong_options_free(o);
    keep_life(l);
    round_.clients++;
    return l;
}

static void end(life *l, int64_t timeout_ms)
{
    inlong_close_report report = {.struct_size = sizeof report};
    if (atomic_exchange(&l->closed, true))
        return;
    int code = inlong_client_close(l->client, timeout_ms, &report);
    CHECK(code == INLONG_OK || code == INLONG_ERR_CONTEXT_EXPIRED);
    l->uncalled = report.uncalled;
}

static void *keep_closing(void *unused)
{
    while (!round_.stop) {
        life *l = begin(), *old = atomic_exchange(&round_.places[any(PLACES)], l);
        if (old)
            end(old, any(4) == 0 ? 0 : 10000);
        usleep(any(100000));
    }
    return unused;
}

/* ---- the rest of the host ---- */

static void *keep_loading(void *unused)
{
    while (!round_.stop) {
        void *library = dlopen("libutil.so.1", RTLD_NOW | RTLD_LOCAL);
        if (library)
            dlclose(library);
        usleep(any(2000));
    }
    return unused;
}

#if !defined(CHECK_TSAN) && !defined(CHECK_ASAN)
/* No client of its own is an answer where a thread of the parent was inside libc's loader. */
static void be_a_child(void)
{
    char err[256];
    inlong_client *client;
    inlong_message m = message("from a child");
    inlong_options *o = inlong_options_new();
    inlong_options_set(o, "url", round_.f.url, err, sizeof err);
    inlong_options_set(o, "group_id", GROUP, err, sizeof err);
    int code = inlong_client_new(o, &client, err, sizeof err);
    if (code == INLONG_ERR_FORKED)
        _exit(0);
    CHECK_INT(code, INLONG_OK);
    for (int i = 0; i < 20; i++)
        CHECK_INT(inlong_client_send_async(client, &m, NULL, NULL), INLONG_OK);
    CHECK_INT(inlong_client_send(client, &m, 20000, NULL), INLONG_OK);
    CHECK_INT(inlong_client_close(client, 20000, NULL), INLONG_OK);
    _exit(0);
}

static void *keep_forking(void *unused)
{
    while (!round_.stop) {
        pid_t child = fork();
        if (child == 0) {
            alarm(60);
            be_a_child();
        }
        CHECK_INT(check_status(child), 0);
        round_.forks++;
        usleep(any(100000));
    }
    return unused;
}
#endif

/* ---- rounds ---- */

static bool settled(life *l) { return l->results <= l->accepted && l->results + l->uncalled >= l->accepted; }

static void judge(life *l)
{
    end(l, 10000);
    int n;
    inlong_result results[16];
    results[0].struct_size = sizeof results[0];
    while (l->kind == QUEUE && (n = inlong_client_poll(l->client, results, 16, 0)) > 0)
        for (int i = 0; i < n; i++)
            l->results += (long)results[i].count;
    for (int wait = 0; !settled(l) && wait < 100; wait++) /* a callback that the close left behind is about to count */
        usleep(20000);
    if (!settled(l))
        fprintf(stderr, "    a client of kind %d accepted %ld messages; %ld results, %ld not called\n", l->kind, (long)l->accepted,
                (long)l->results, (long)l->uncalled);
    CHECK(settled(l));
}

static void play(unsigned seconds)
{
    void *(*const work[])(void *) = {keep_sending,    keep_sending, keep_sending, keep_sending, keep_polling,
                                     keep_polling,    keep_closing, keep_closing, keep_loading,
#ifndef CHECK_ASAN /* which does not know the end of a stack that is cancelled */
                                     keep_cancelling,
#endif
#if !defined(CHECK_TSAN) && !defined(CHECK_ASAN)
                                     keep_forking
#endif
    };
    enum { THREADS = sizeof work / sizeof *work };
    pthread_t threads[THREADS];
    round_.stop = false;
    for (int i = 0; i < THREADS; i++)
        CHECK_INT(pthread_create(&threads[i], NULL, work[i], NULL), 0);
    sleep(seconds);
    round_.stop = true;
    alarm(120); /* anyone who hangs now is the fault that this looks for */
    for (int i = 0; i < PLACES; i++)
        round_.places[i] = NULL;
    for (int i = 0; i < THREADS; i++)
        CHECK_INT(pthread_join(threads[i], NULL), 0);
    for (life *l = round_.all; l; l = l->next)
        judge(l);
    for (life *l = round_.before, *next; l; l = next) { /* not yet those of this round: a callback may be left behind */
        next = l->next;
        free(l);
    }
    round_.before = atomic_exchange(&round_.all, NULL);
    alarm(0);
}

int main(int argc, char **argv)
{
    long seconds = argc > 1 ? atol(argv[1]) : 60;
    seeds = argc > 2 ? (unsigned)atol(argv[2]) : (unsigned)time(NULL);
    printf("stress: %ld s, seed %u\n", seconds, seeds);
    fflush(stdout);
    left first = {0}, now = {0};
    CHECK_INT(inlong_runtime_set(INLONG_RUNTIME_MEMORY_LIMIT, 128 << 20), INLONG_OK); /* garbage may come to any size else */
    for (long done = 0, rounds = 0; done < seconds; done += ROUND_SECONDS, rounds++) {
        round_.f = open_fixture(NULL);
        play((unsigned)(seconds - done < ROUND_SECONDS ? seconds - done : ROUND_SECONDS));
        inlong_mock_free(round_.f.mock);
        now = left_now();
        for (int wait = 0; first.threads && now.descriptors > first.descriptors && wait < 250; wait++) {
            usleep(20000); /* the ends of closed connections */
            now = left_now();
        }
        if (rounds == 1) /* the runtime has what it wants */
            first = now;
        if (rounds < 2 || done + ROUND_SECONDS >= seconds)
            left_print("left", now);
        if (rounds > 1) {
            CHECK(now.descriptors <= first.descriptors);
            CHECK(now.threads <= first.threads + 16); /* the runtime keeps one for each call that ever was in C beside others */
#if !defined(CHECK_TSAN) && !defined(CHECK_ASAN)
            CHECK(now.resident_kib <= first.resident_kib + 64 * 1024);
#endif
        }
    }
    printf("stress: %ld messages, %ld clients, %ld forks, %ld times full: all accounted for\n", (long)round_.messages,
           (long)round_.clients, (long)round_.forks, (long)round_.full);
    return 0;
}
