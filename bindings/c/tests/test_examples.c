/* The examples, run against the mock as their users will run them. */
#include "fixture.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/wait.h>

static char output[1 << 16];

/* Runs build/examples/`name`; its stdout and stderr are in `output`. */
static int run(const char *name, const char *arguments)
{
    char command[3 * PATH_MAX], folder[PATH_MAX];
    Dl_info info;
    CHECK(dladdr((void *)(intptr_t)inlong_version, &info) && realpath(info.dli_fname, folder));
    *strrchr(folder, '/') = 0;
    snprintf(command, sizeof command, "'%s/../examples/%s' %s 2>&1", folder, name, arguments);
    FILE *program = popen(command, "r");
    CHECK(program != NULL);
    size_t n = fread(output, 1, sizeof output - 1, program);
    output[n] = 0;
    return WEXITSTATUS(pclose(program));
}

static char arguments[PATH_MAX];

#define ARGUMENTS(...) (snprintf(arguments, sizeof arguments, __VA_ARGS__), arguments)

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
    char path[] = "/tmp/inlong_test_XXXXXX";
    FILE *file = fdopen(mkstemp(path), "w");
    CHECK(file != NULL);
    for (int i = 0; i < 20000; i++)
        fprintf(file, "line %d of the file\n%s", i, i % 1000 == 0 ? "\n" : "");
    fprintf(file, "the last one has no newline");
    fclose(file);
    CHECK_INT(run("03_ship_file", ARGUMENTS("--url %s --group %s --stream %s %s", f.url, GROUP, STREAM, path)), 0);
    CHECK_TEXT(output, "{\"language\":\"c\",\"lines\":20001,\"acked\":20001,\"failed\":0,\"skipped\":20,\"seconds\":");
    CHECK_TEXT(output, "20 empty lines skipped");
    CHECK_INT(received(f.mock), 20001);

    for (int i = 0; i < 3; i++) {
        char request[128];
        snprintf(request, sizeof request,
                 "{\"op\":\"fault\",\"node\":%d,\"standing\":true,\"fault\":{\"kind\":\"error_code\",\"code\":100}}", i);
        control(f.mock, request);
    }
    CHECK_INT(run("03_ship_file", ARGUMENTS("--url %s --group %s --stream %s %s", f.url, GROUP, STREAM, path)), 1);
    CHECK_TEXT(output, "\"acked\":0,\"failed\":20001");
    CHECK_TEXT(output, "server code 100");
    unlink(path);
    CHECK_INT(run("03_ship_file", ARGUMENTS("--url %s --group %s --stream %s %s", f.url, GROUP, STREAM, path)), 1);
    CHECK_TEXT(output, "No such file");
    CHECK_INT(run("03_ship_file", "--url x"), 2);
    close_fixture(&f);
}

static const check_test tests[] = {
    {"send_example", send_example},
    {"send_async_example", send_async_example},
    {"ship_file_example", ship_file_example},
};

CHECK_MAIN("examples", tests)
