/* The examples, run against the mock as their users will run them; built with the sanitizers, but for the one that forks. */
#include "fixture.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>

static char output[1 << 20];
static char arguments[3 * PATH_MAX];

#define ARGUMENTS(...) (snprintf(arguments, sizeof arguments, __VA_ARGS__), arguments)

/* A running example: stdout and stderr go into `output`, which reading(), later, adds to. */
static struct {
    pid_t pid;
    int out;
    size_t filled;
} program;

static void start(const char *name, const char *args, int input)
{
    char command[4 * PATH_MAX], folder[PATH_MAX];
    Dl_info info;
    int out[2];
    CHECK(dladdr((void *)(intptr_t)inlong_version, &info) && realpath(info.dli_fname, folder));
    *strrchr(folder, '/') = 0;
    snprintf(command, sizeof command, "exec '%s/../c/examples/%s' %s", folder, name, args);
    CHECK_INT(pipe(out), 0);
    program.pid = fork();
    CHECK(program.pid >= 0);
    if (program.pid == 0) {
        if (input >= 0)
            dup2(input, STDIN_FILENO);
        dup2(out[1], STDOUT_FILENO);
        dup2(out[1], STDERR_FILENO);
        for (int fd = 3; fd < 256; fd++)
            close(fd);
        execl("/bin/sh", "sh", "-c", command, (char *)NULL);
        _exit(127);
    }
    close(out[1]);
    program.out = out[0];
    program.filled = 0;
    output[0] = 0;
}

/* Reads what comes next; false at the end. */
static int reading(void)
{
    CHECK(program.filled + 1 < sizeof output);
    ssize_t n = read(program.out, output + program.filled, sizeof output - 1 - program.filled);
    CHECK(n >= 0);
    program.filled += (size_t)n;
    output[program.filled] = 0;
    return n > 0;
}

static int finish(void)
{
    int status;
    while (reading())
        ;
    close(program.out);
    CHECK_INT(waitpid(program.pid, &status, 0), program.pid);
    if (!WIFEXITED(status) || strstr(output, "Sanitizer"))
        fprintf(stderr, "%s\n", output + (program.filled > 4000 ? program.filled - 4000 : 0));
    CHECK(WIFEXITED(status) && !strstr(output, "Sanitizer"));
    return WEXITSTATUS(status);
}

static int run(const char *name, const char *args)
{
    start(name, args, -1);
    return finish();
}

static void fault_everywhere(inlong_mock *mock, const char *fault)
{
    for (int i = 0; i < 3; i++) {
        char request[256];
        snprintf(request, sizeof request, "{\"op\":\"fault\",\"node\":%d,\"standing\":true,\"fault\":%s}", i, fault);
        control(mock, request);
    }
}

static void no_fault(inlong_mock *mock)
{
    for (int i = 0; i < 3; i++) {
        char request[64];
        snprintf(request, sizeof request, "{\"op\":\"clear_faults\",\"node\":%d}", i);
        control(mock, request);
    }
}

/* A file of `lines` lines, each 1,000th of them followed by an empty one; the last has no newline. */
static const char *make_file(int lines)
{
    static char path[64];
    strcpy(path, "/tmp/inlong_test_XXXXXX");
    FILE *file = fdopen(mkstemp(path), "w");
    CHECK(file != NULL);
    for (int i = 1; i < lines; i++)
        fprintf(file, "line %d of the file\n%s", i, i % 1000 == 0 ? "\n" : "");
    fprintf(file, "the last one has no newline");
    CHECK_INT(fclose(file), 0);
    return path;
}

static void send_example(void)
{
    fixture f = open_fixture(NULL);
    CHECK_INT(run("01_send", ARGUMENTS("%s %s %s hello", f.url, GROUP, STREAM)), 0);
    CHECK_TEXT(output, "acked");
    CHECK_INT(received(f.mock), 1);
    CHECK_INT(run("01_send", ARGUMENTS("http://127.0.0.1:1 %s %s hello", GROUP, STREAM)), 1);
    CHECK_TEXT(output, "no client: service has no endpoints");
    CHECK_INT(run("01_send", ARGUMENTS("%s %s 'bad stream' hello", f.url, GROUP)), 1);
    CHECK_TEXT(output, "not sent: ");
    CHECK_INT(run("01_send", ""), 2);
    close_fixture(&f);
}

static void send_async_example(void)
{
    fixture f = open_fixture(NULL);
    CHECK_INT(run("02_send_async", ARGUMENTS("%s %s %s 5000", f.url, GROUP, STREAM)), 0);
    CHECK_TEXT(output, "5000 acked, 0 failed, 0 refused");
    CHECK_INT(received(f.mock), 5000);
    close_fixture(&f);
}

static void ship_file_example(void)
{
    fixture f = open_fixture(NULL);
    const char *path = make_file(20001);
    CHECK_INT(run("03_ship_file", ARGUMENTS("--url %s --group %s --stream %s %s", f.url, GROUP, STREAM, path)), 0);
    CHECK_TEXT(output, "{\"language\":\"c\",\"lines\":20001,\"acked\":20001,\"failed\":0,\"skipped\":20,\"seconds\":");
    CHECK_TEXT(output, "20 empty lines skipped");
    CHECK_INT(received(f.mock), 20001);

    fault_everywhere(f.mock, "{\"kind\":\"error_code\",\"code\":100}");
    CHECK_INT(run("03_ship_file", ARGUMENTS("--url %s --group %s --stream %s %s", f.url, GROUP, STREAM, path)), 1);
    CHECK_TEXT(output, "\"acked\":0,\"failed\":20001");
    CHECK_TEXT(output, "server code 100");
    unlink(path);
    CHECK_INT(run("03_ship_file", ARGUMENTS("--url %s --group %s --stream %s %s", f.url, GROUP, STREAM, path)), 1);
    CHECK_TEXT(output, "No such file");
    CHECK_INT(run("03_ship_file", "--url x"), 2);
    close_fixture(&f);
}

static void event_loop_example(void)
{
    fixture f = open_fixture(NULL);
    const char *path = make_file(20001);
    CHECK_INT(run("04_event_loop", ARGUMENTS("%s %s %s <%s", f.url, GROUP, STREAM, path)), 0);
    CHECK_TEXT(output, "20001 lines, 20001 acked, 0 failed");
    CHECK_INT(received(f.mock), 20001);

    /* From a pipe that stays open: results come while it waits for input, and a signal ends it in order. */
    int input[2];
    CHECK_INT(pipe(input), 0);
    start("04_event_loop", ARGUMENTS("%s %s %s", f.url, GROUP, STREAM), input[0]);
    for (int i = 1; i <= 3; i++) {
        CHECK_INT(write(input[1], "one more\nand ", 13), 13);
        wait_received(f.mock, 20001 + i);
    }
    kill(program.pid, SIGINT);
    CHECK_INT(finish(), 0);
    CHECK_TEXT(output, "4 lines, 4 acked, 0 failed"); /* with the one that had no newline yet */
    close(input[0]);
    close(input[1]);

    fault_everywhere(f.mock, "{\"kind\":\"error_code\",\"code\":100}");
    CHECK_INT(run("04_event_loop", ARGUMENTS("%s %s %s <<'END'\none\n\ntwo\nEND", f.url, GROUP, STREAM)), 1);
    CHECK_TEXT(output, "line 2: server error");
    CHECK_TEXT(output, "2 lines, 0 acked, 2 failed");
    CHECK_INT(run("04_event_loop", ARGUMENTS("%s %s 'bad stream' </dev/null", f.url, GROUP)), 0);
    CHECK_INT(run("04_event_loop", ARGUMENTS("http://127.0.0.1:1 %s %s <%s", GROUP, STREAM, path)), 1);
    CHECK_INT(run("04_event_loop", ""), 2);
    unlink(path);
    close_fixture(&f);
}

static void many_streams_example(void)
{
    fixture f = open_fixture(NULL);
    CHECK_INT(run("05_many_streams", ARGUMENTS("%s %s 100 50", f.url, GROUP)), 0);
    CHECK_TEXT(output, "sensor_0         50 acked      0 failed");
    CHECK_TEXT(output, "100 streams: 5000 acked, 0 failed, 0 refused");
    CHECK_INT(received(f.mock), 5000);
    const char *messages = control(f.mock, "{\"op\":\"messages\",\"limit\":5000}");
    CHECK_TEXT(messages, "\"site\":\"north\"");
    CHECK_TEXT(messages, "\"site\":\"south\"");
    CHECK_TEXT(messages, "\"unit\":\"celsius\"");
    CHECK_TEXT(messages, "\"__addcol1__host\":\"");
    fault_everywhere(f.mock, "{\"kind\":\"error_code\",\"code\":100}");
    CHECK_INT(run("05_many_streams", ARGUMENTS("%s %s 3 2", f.url, GROUP)), 1);
    CHECK_TEXT(output, "3 streams: 0 acked, 6 failed, 0 refused");
    CHECK_INT(run("05_many_streams", ARGUMENTS("%s %s 0 2", f.url, GROUP)), 2);
    close_fixture(&f);
}

static const char *kept_lines(const char *path)
{
    static char text[1 << 16];
    FILE *file = fopen(path, "r");
    CHECK(file != NULL);
    text[fread(text, 1, sizeof text - 1, file)] = 0;
    fclose(file);
    unlink(path);
    return text;
}

static void retry_example(void)
{
    fixture f = open_fixture(NULL);
    char kept[] = "/tmp/inlong_test_kept_XXXXXX";
    close(mkstemp(kept));
    CHECK_INT(run("06_retry", ARGUMENTS("%s %s %s %s </etc/passwd", f.url, GROUP, STREAM, kept)), 0);
    CHECK_TEXT(output, " acked, 0 kept, 0 sent again");

    /* Refused for good: once more would not help. */
    fault_everywhere(f.mock, "{\"kind\":\"error_code\",\"code\":100}");
    CHECK_INT(run("06_retry", ARGUMENTS("%s %s %s %s <<'END'\none\ntwo\nEND", f.url, GROUP, STREAM, kept)), 1);
    CHECK_TEXT(output, "0 acked, 2 kept, 0 sent again");
    const char *lines = kept_lines(kept);
    CHECK_TEXT(lines, "one\tnot written\tserver error: server code 100");
    CHECK_TEXT(lines, "two\t");

    /* Written, and no answer: only who may send twice gets them through. */
    for (int never = 0; never < 2; never++) {
        long before = received(f.mock);
        fault_everywhere(f.mock, "{\"kind\":\"silence\"}");
        start("06_retry",
              ARGUMENTS("%s %s %s %s %s <<'END'\none\ntwo\nEND", never ? "--never-twice" : "", f.url, GROUP, STREAM, kept), -1);
        wait_received(f.mock, before + 2);
        usleep(3500000); /* the example's send_timeout is 3 s */
        no_fault(f.mock);
        CHECK_INT(finish(), never);
        CHECK_TEXT(output, never ? "0 acked, 2 kept, 0 sent again" : "2 acked, 0 kept, 2 sent again that may have arrived before");
        lines = kept_lines(kept);
        CHECK(never ? strstr(lines, "one\tmaybe written\t") != NULL : *lines == 0);
    }
    CHECK_INT(run("06_retry", ARGUMENTS("%s %s %s /nowhere/kept </dev/null", f.url, GROUP, STREAM)), 1);
    CHECK_INT(run("06_retry", ""), 2);
    close_fixture(&f);
}

/* What a server on that port answers to a request. */
static const char *ask(int port, const char *request)
{
    static char answer[1 << 18];
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK_INT(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    CHECK(dprintf(fd, "%s", request) > 0);
    size_t filled = 0;
    ssize_t n;
    while ((n = recv(fd, answer + filled, sizeof answer - 1 - filled, 0)) > 0)
        filled += (size_t)n;
    answer[filled] = 0;
    close(fd);
    return answer;
}

static const char *get(int port, const char *path) { return ask(port, ARGUMENTS("GET %s HTTP/1.1\r\nHost: test\r\n\r\n", path)); }

static void fork_server_example(void)
{
    fixture f = open_fixture(NULL);
    int port = 0;
    start("07_fork_server", ARGUMENTS("%s %s %s 0 4", f.url, GROUP, STREAM), -1);
    while (sscanf(output, "listening on 127.0.0.1:%d\n", &port) != 1)
        CHECK(reading());
    for (int i = 0; i < 20; i++)
        CHECK(strcmp(ask(port, "hello\n"), "acked\n") == 0);
    CHECK_TEXT(ask(port, "\n"), "input log is invalid");
    wait_received(f.mock, 21); /* with the parent's own message */
    kill(program.pid, SIGTERM);
    CHECK_INT(finish(), 0);
    CHECK_TEXT(output, "4 workers ended, 0 failed");
    CHECK_INT(run("07_fork_server", ARGUMENTS("http://127.0.0.1:1 %s %s 0 1", GROUP, STREAM)), 1);
    CHECK_INT(run("07_fork_server", ARGUMENTS("%s %s %s 0 99", f.url, GROUP, STREAM)), 2);
    close_fixture(&f);
}

static void observe_example(void)
{
    fixture f = open_fixture(NULL);
    int port = 0;
    start("09_observe", ARGUMENTS("%s %s %s 0", f.url, GROUP, STREAM), -1);
    while (sscanf(output, "http://127.0.0.1:%d/metrics\n", &port) != 1)
        CHECK(reading());
    wait_received(f.mock, 3);
    CHECK_TEXT(get(port, "/metrics"), "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\n");
    CHECK_TEXT(get(port, "/metrics"), "\ndata_proxy_msg_count{code=\"0\",name=\"observe\"} ");
    CHECK_TEXT(get(port, "/stats"), "\"acked\":");
    CHECK_TEXT(get(port, "/"), "404 Not Found");
    control(f.mock, "{\"op\":\"kill\",\"node\":0}");
    while (!strstr(output, "Z WARN [inlong] node 127.0.0.1:"))
        CHECK(reading());
    kill(program.pid, SIGTERM);
    CHECK_INT(finish(), 0);
    CHECK_TEXT(output, " acked, 0 failed");
    CHECK_INT(run("09_observe", ARGUMENTS("%s %s %s 70000", f.url, GROUP, STREAM)), 2);
    close_fixture(&f);
}

static const check_test tests[] = {
    {"send_example", send_example},
    {"send_async_example", send_async_example},
    {"ship_file_example", ship_file_example},
    {"event_loop_example", event_loop_example},
    {"many_streams_example", many_streams_example},
    {"retry_example", retry_example},
    {"fork_server_example", fork_server_example},
    {"observe_example", observe_example},
};

CHECK_MAIN("examples", tests)
