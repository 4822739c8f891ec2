#include "fixture.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

inlong_client *open_client(const char *url, const char *const *options)
{
    char err[512] = "";
    inlong_client *client = NULL;
    inlong_options *o = inlong_options_new();
    CHECK(o != NULL);
    CHECK_INT(inlong_options_set(o, "url", url, err, sizeof err), INLONG_OK);
    CHECK_INT(inlong_options_set(o, "group_id", GROUP, err, sizeof err), INLONG_OK);
    for (; *options; options += 2)
        CHECK_INT(inlong_options_set(o, options[0], options[1], err, sizeof err), INLONG_OK);
    int code = inlong_client_new(o, &client, err, sizeof err);
    if (code != INLONG_OK)
        fprintf(stderr, "    inlong_client_new: %s\n", err);
    CHECK_INT(code, INLONG_OK);
    inlong_options_free(o);
    return client;
}

fixture open_fixture(const char *const *options)
{
    fixture f = {NULL, NULL, ""};
    char err[512] = "";
    int code = inlong_mock_new(0, &f.mock, err, sizeof err);
    if (code != INLONG_OK)
        fprintf(stderr, "    inlong_mock_new: %s\n", err);
    CHECK_INT(code, INLONG_OK);
    CHECK(inlong_mock_url(f.mock, f.url, sizeof f.url) > 0);
    if (options)
        f.client = open_client(f.url, options);
    return f;
}

void close_fixture(fixture *f)
{
    if (f->client)
        CHECK_INT(inlong_client_close(f->client, 5000, NULL), INLONG_OK);
    inlong_mock_free(f->mock);
}

const char *control(inlong_mock *mock, const char *request)
{
    static char answer[1 << 21];
    int n = inlong_mock_control(mock, request, answer, sizeof answer);
    if (n < 0)
        fprintf(stderr, "    %s: %s\n", request, inlong_last_error());
    CHECK(n >= 0 && n < (int)sizeof answer);
    return answer;
}

long json_number(const char *json, const char *name)
{
    char key[64];
    snprintf(key, sizeof key, "\"%s\":", name);
    const char *at = strstr(json, key);
    CHECK(at != NULL);
    return strtol(at + strlen(key), NULL, 10);
}

long received(inlong_mock *mock)
{
    static char stats[1 << 16];
    CHECK(inlong_mock_stats(mock, stats, sizeof stats) > 0);
    return json_number(stats, "messages");
}

void wait_received(inlong_mock *mock, long count)
{
    while (received(mock) < count)
        usleep(2000);
}

const char *new_folder(void)
{
    static char folder[64];
    snprintf(folder, sizeof folder, "/tmp/inlong spool XXXXXX");
    CHECK(mkdtemp(folder) != NULL);
    return folder;
}

void remove_folder(const char *folder)
{
    char command[128];
    snprintf(command, sizeof command, "rm -r '%s'", folder);
    CHECK_INT(system(command), 0);
}

long in_spool(inlong_client *client)
{
    static char stats[1 << 16];
    CHECK(inlong_client_stats(client, stats, sizeof stats) > 0);
    return json_number(stats, "messages");
}

void all_nodes(inlong_mock *mock, const char *op)
{
    enum { NODES = 3 };
    char request[64];
    for (int i = 0; i < NODES; i++) {
        snprintf(request, sizeof request, "{\"op\":\"%s\",\"node\":%d}", op, i);
        control(mock, request);
    }
}

void demand(fixture *f, const char *header, const char *value)
{
    char request[256];
    snprintf(request, sizeof request, "{\"op\":\"manager_demand\",\"header\":\"%s\",\"value\":\"%s\"}", header, value);
    control(f->mock, request);
}

static int known_nodes(inlong_client *client)
{
    static char stats[1 << 16];
    int n = 0;
    CHECK(inlong_client_stats(client, stats, sizeof stats) > 0);
    for (const char *at = stats; (at = strstr(at, "\"addr\":")); at++)
        n++;
    return n;
}

void manager_is_heard(fixture *f)
{
    int before = known_nodes(f->client);
    control(f->mock, "{\"op\":\"add_node\"}");
    while (known_nodes(f->client) == before)
        usleep(5000);
}

inlong_message message(const char *text)
{
    inlong_message m = {.struct_size = sizeof m};
    m.stream_id = STREAM;
    m.payload = text;
    m.payload_len = strlen(text);
    return m;
}

void tally_result(const inlong_result *result, void *user)
{
    tally *t = user;
    pthread_mutex_lock(&t->mutex);
    if (result->code == INLONG_OK)
        t->acked += (long)result->count;
    else
        t->failed += (long)result->count;
    t->last = *result;
    pthread_cond_broadcast(&t->changed);
    pthread_mutex_unlock(&t->mutex);
}

void tally_wait(tally *t, long count)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 20;
    pthread_mutex_lock(&t->mutex);
    while (t->acked + t->failed < count)
        CHECK_INT(pthread_cond_timedwait(&t->changed, &t->mutex, &until), 0);
    pthread_mutex_unlock(&t->mutex);
}

void poll_all(inlong_client *client, tally *t, uint64_t count)
{
    static inlong_result results[64];
    uint64_t got = 0;
    while (got < count) {
        results[0].struct_size = sizeof results[0];
        int n = inlong_client_poll(client, results, 64, 20000);
        CHECK(n > 0);
        for (int i = 0; i < n; i++) {
            tally_result(&results[i], t);
            got += results[i].count;
        }
    }
    CHECK_INT((long long)got, (long long)count);
}

bool without_a_promise(void)
{
    int64_t stock = 0;
    CHECK_INT(inlong_runtime_get(INLONG_RUNTIME_STOCK, &stock), INLONG_OK);
    if (stock)
        fprintf(stderr, "    a stock runtime does not promise this: not tried\n");
    return stock != 0;
}
