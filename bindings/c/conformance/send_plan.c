/* send_plan.c - carries out a plan: options, messages, flushes, a close; says in a line of JSON what became of each. The
 * conformance program writes the plan and judges the lines.
 *
 *     send_plan PLAN PAYLOADS
 *
 * PLAN is text, a line a step, carried out in order; "-" is none, the last field goes to the end of the line, where a tab stands before
 * attributes of the item:
 *     option KEY VALUE
 *     mode async|sync|bulk
 *     message GROUP STREAM TIME_MS OFFSET LENGTH ATTRIBUTES[TAB ITEM ATTRIBUTES]
 *     flush MS
 *     close MS
 * PAYLOADS is a file with all payloads. */
#include <inlong_dataproxy.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_ATTRIBUTES = 16 };

static inlong_options *options;
static inlong_client *client;
static char *payloads;
static atomic_long results;

static void die(const char *what, const char *why)
{
    fprintf(stderr, "send_plan: %s: %s\n", what, why);
    exit(1);
}

/* Writes text as the inside of a JSON string. */
static const char *quoted(const char *text, char *out, size_t size)
{
    size_t n = 0;
    for (; *text && n + 7 < size; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\')
            n += (size_t)snprintf(out + n, size - n, "\\%c", c);
        else if (c < ' ')
            n += (size_t)snprintf(out + n, size - n, "\\u%04x", c);
        else
            out[n++] = (char)c;
    }
    out[n] = '\0';
    return out;
}

/* One printf a line: callbacks of several threads say their lines at the same time. */
static void say_message(size_t index, int code, int server_code, int persisted, int attempts, const char *text)
{
    static const char *names[] = {"not_written", "maybe_written", "acked", "stored"};
    char escaped[2048];
    printf("{\"step\":\"message\",\"index\":%zu,\"code\":%d,\"server_code\":%d,\"persisted\":\"%s\",\"attempts\":%d,\"text\":\"%"
           "s\"}\n",
           index, code, server_code, names[persisted], attempts, quoted(text, escaped, sizeof escaped));
    atomic_fetch_add(&results, 1);
}

static void say_result(const inlong_result *result, void *user)
{
    for (uint64_t i = 0; i < result->count; i++)
        say_message((size_t)user + i, result->code, result->server_code, result->persisted, result->attempts, result->text);
}

static void refused(size_t index, int code) { say_message(index, code, 0, INLONG_NOT_WRITTEN, 0, inlong_last_error()); }

static char *read_file(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END) != 0)
        die(path, "cannot be read");
    *size = (size_t)ftell(file);
    char *content = malloc(*size + 1);
    rewind(file);
    if (!content || fread(content, 1, *size, file) != *size)
        die(path, "cannot be read to its end");
    content[*size] = '\0';
    fclose(file);
    return content;
}

/* Cuts the next field off the line; the last one takes the rest. "-" becomes "". */
static char *field(char **line, int last)
{
    char *start = *line;
    if (!start)
        die("plan", "a field is missing");
    *line = last ? NULL : strchr(start, ' ');
    if (*line)
        *(*line)++ = '\0';
    return strcmp(start, "-") == 0 ? start + 1 : start;
}

/* A message with the room for what it points to. */
struct item {
    inlong_message message;
    inlong_attribute attributes[MAX_ATTRIBUTES], own[MAX_ATTRIBUTES];
    char *shared; /* ids, time and attributes as the plan has them: who has the same may go in the same call */
};

static size_t parse_attributes(char *text, inlong_attribute *list)
{
    size_t count = 0;
    while (text && *text) {
        if (count == MAX_ATTRIBUTES)
            die("plan", "too many attributes");
        inlong_attribute *a = &list[count++];
        char *next = strchr(text, '&');
        if (next)
            *next++ = '\0';
        char *value = strchr(text, '=');
        if (!value)
            die("plan", "an attribute without a value");
        *value++ = '\0';
        a->key = text;
        a->value = value;
        text = next;
    }
    return count;
}

/* A message points into the item that it lies in. */
static void point_to_attributes(struct item *item)
{
    item->message.attributes = item->attributes;
    item->message.item_attributes = item->own;
}

static void parse_message(char *line, struct item *item)
{
    memset(item, 0, sizeof *item);
    inlong_message *m = &item->message;
    m->struct_size = sizeof *m;
    m->group_id = field(&line, 0);
    m->stream_id = field(&line, 0);
    m->time_ms = atoll(field(&line, 0));
    m->payload = payloads + strtoull(field(&line, 0), NULL, 10);
    m->payload_len = strtoull(field(&line, 0), NULL, 10);
    char *attributes = field(&line, 1);
    if (asprintf(&item->shared, "%s %s %lld %s", m->group_id, m->stream_id, (long long)m->time_ms, attributes) < 0)
        die("plan", "no memory");
    char *own = strchr(attributes, '\t');
    if (own)
        *own++ = '\0';
    m->attribute_count = parse_attributes(attributes, item->attributes);
    m->item_attribute_count = parse_attributes(own, item->own);
    point_to_attributes(item);
}

/* Sends `count` messages from `first` on, which lie one after the other in the payloads, in one call a refusal. */
static void send_bulk(struct item *items, size_t first, size_t count)
{
    point_to_attributes(&items[0]); /* it has moved */
    uint32_t *lengths = malloc(count * sizeof *lengths);
    if (!lengths)
        die("plan", "no memory");
    for (size_t i = 0; i < count; i++)
        lengths[i] = (uint32_t)items[i].message.payload_len;
    long before = atomic_load(&results);
    for (size_t done = 0; done < count;) {
        const char *data = items[done].message.payload, *end = items[count - 1].message.payload;
        size_t accepted = 0, size = (size_t)(end - data) + items[count - 1].message.payload_len;
        int code = inlong_client_send_packed(client,
                                             &(inlong_packed){sizeof(inlong_packed), &items[0].message, data, size, lengths + done,
                                                              count - done, (void *)(first + done), INLONG_PACKED_MERGE_ACKS, 0},
                                             INLONG_NO_TIMEOUT, &accepted);
        done += accepted;
        if (code != INLONG_OK)
            refused(first + done++, code);
    }
    free(lengths);
    for (size_t i = 0; i < count; i++)
        free(items[i].shared);
    static inlong_result polled[64];
    polled[0].struct_size = sizeof polled[0];
    while (atomic_load(&results) < before + (long)count) {
        int n = inlong_client_poll(client, polled, 64, INLONG_NO_TIMEOUT);
        if (n <= 0)
            die("poll", inlong_last_error());
        for (int i = 0; i < n; i++)
            say_result(&polled[i], polled[i].user);
    }
}

static void send_one(const struct item *item, size_t index, int wait)
{
    inlong_result result = {.struct_size = sizeof result};
    int code;
    if (!wait) {
        code = inlong_client_send_async(client, &item->message, say_result, (void *)index);
        if (code != INLONG_OK)
            refused(index, code);
        return;
    }
    code = inlong_client_send(client, &item->message, INLONG_NO_TIMEOUT, &result);
    if (code == result.code)
        say_message(index, code, result.server_code, result.persisted, result.attempts, result.text);
    else
        refused(index, code);
}

static void open_client(void)
{
    char err[1024] = "", escaped[4096];
    int code = inlong_client_new(options, &client, err, sizeof err);
    printf("{\"step\":\"client\",\"code\":%d,\"text\":\"%s\"}\n", code, quoted(err, escaped, sizeof escaped));
    if (code != INLONG_OK)
        exit(0);
}

static void flush_client(int64_t timeout)
{
    char escaped[2048];
    int code = inlong_client_flush(client, timeout);
    printf("{\"step\":\"flush\",\"code\":%d,\"text\":\"%s\",\"results\":%ld}\n", code,
           quoted(code == INLONG_OK ? "" : inlong_last_error(), escaped, sizeof escaped), atomic_load(&results));
}

static void close_client(int64_t timeout)
{
    char escaped[2048];
    inlong_close_report report = {.struct_size = sizeof report};
    int code = inlong_client_close(client, timeout, &report);
    printf("{\"step\":\"close\",\"code\":%d,\"text\":\"%s\",\"acked\":%lld,\"unsent\":%lld}\n", code,
           quoted(code == INLONG_OK ? "" : inlong_last_error(), escaped, sizeof escaped), (long long)report.acked,
           (long long)report.unsent);
}

/* Messages of a plan are counted from 0. In bulk, those that may go in one call are held back until another step comes. */
int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: %s PLAN PAYLOADS\n", argv[0]);
        return 2;
    }
    size_t size, index = 0, held = 0, room = 0;
    char *plan = read_file(argv[1], &size), err[512];
    payloads = read_file(argv[2], &size);
    options = inlong_options_new();
    struct item *items = NULL;
    int bulk = 0, sync = 0;
    for (char *line = plan, *next; line && *line; line = next) {
        next = strchr(line, '\n');
        if (next)
            *next++ = '\0';
        char *step = field(&line, 0);
        struct item item;
        int is_message = strcmp(step, "message") == 0;
        if (is_message)
            parse_message(line, &item);
        if (held > 0 && (!is_message || strcmp(item.shared, items[0].shared) != 0)) {
            send_bulk(items, index - held, held);
            held = 0;
        }
        if (strcmp(step, "option") == 0) {
            char *key = field(&line, 0);
            if (inlong_options_set(options, key, field(&line, 1), err, sizeof err) != INLONG_OK)
                die("option", err);
        } else if (strcmp(step, "mode") == 0) {
            bulk = strcmp(line, "bulk") == 0;
            sync = strcmp(line, "sync") == 0;
            open_client();
        } else if (is_message && bulk) {
            if (held == room && !(items = realloc(items, (room = 2 * room + 64) * sizeof *items)))
                die("plan", "no memory");
            items[held++] = item;
            index++;
        } else if (is_message) {
            send_one(&item, index++, sync);
            free(item.shared);
        } else if (strcmp(step, "flush") == 0) {
            flush_client(atoll(line));
        } else if (strcmp(step, "close") == 0) {
            close_client(atoll(line));
        } else {
            die("unknown step", step);
        }
    }
    return 0;
}
