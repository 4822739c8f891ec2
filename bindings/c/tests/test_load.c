/* Finding the core: what is tried, in which order, and what is said when it is not there or is not the right one. */
#include "fixture.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>

/* A copy of the front in a folder of its own, as a packager might leave it. */
static struct {
    char folder[PATH_MAX], front[PATH_MAX + 64], core[PATH_MAX + 64];
    int (*mock_new)(int, inlong_mock **, char *, size_t);
    void (*mock_free)(inlong_mock *);
} copy;

/* Where the libraries under test are. */
static const char *built(const char *name)
{
    static char path[PATH_MAX];
    Dl_info info;
    CHECK(dladdr((void *)(intptr_t)inlong_version, &info) && realpath(info.dli_fname, path));
    char *slash = strrchr(path, '/');
    CHECK(slash != NULL);
    snprintf(slash, (size_t)(path + sizeof path - slash), "/%s", name);
    return path;
}

static void shell(const char *format, const char *a, const char *b)
{
    char command[3 * PATH_MAX];
    snprintf(command, sizeof command, format, a, b);
    CHECK_INT(system(command), 0);
}

static void remove_copy(void) { shell("rm -rf '%s'%s", copy.folder, ""); }

static void make_copy(void)
{
    strcpy(copy.folder, "/tmp/inlong_test_XXXXXX");
    CHECK(mkdtemp(copy.folder) != NULL);
    atexit(remove_copy);
    snprintf(copy.front, sizeof copy.front, "%s/libinlong_dataproxy.so", copy.folder);
    snprintf(copy.core, sizeof copy.core, "%s/" CORE_NAME, copy.folder);
    shell("cp '%s' '%s'", built("libinlong_dataproxy.so"), copy.front);
    unsetenv("INLONG_DATAPROXY_CORE");
    void *library = dlopen(copy.front, RTLD_NOW | RTLD_LOCAL);
    CHECK(library != NULL);
    *(void **)&copy.mock_new = dlsym(library, "inlong_mock_new");
    *(void **)&copy.mock_free = dlsym(library, "inlong_mock_free");
    CHECK(copy.mock_new && copy.mock_free);
}

static char err[1024];

static int load(void)
{
    inlong_mock *mock;
    int code = copy.mock_new(1, &mock, err, sizeof err);
    if (code == INLONG_OK)
        copy.mock_free(mock);
    return code;
}

static void missing_core_lists_what_was_tried(void)
{
    make_copy();
    CHECK_INT(load(), INLONG_ERR_LOAD);
    CHECK_TEXT(err, copy.core);
    CHECK_TEXT(err, "; " CORE_NAME ": ");

    /* And it can be made good while the program runs. */
    setenv("INLONG_DATAPROXY_CORE", built(CORE_NAME), 1);
    CHECK_INT(load(), INLONG_OK);
}

/* A path with a mistake in it was passed over for the core beside the library, which the user had meant to replace. */
static void named_core_is_the_only_one_that_is_tried(void)
{
    make_copy();
    shell("cp '%s' '%s'", built(CORE_NAME), copy.core);
    setenv("INLONG_DATAPROXY_CORE", "/nowhere/core.so", 1);
    CHECK_INT(load(), INLONG_ERR_LOAD);
    CHECK_TEXT(err, "tried: /nowhere/core.so: ");
    CHECK_TEXT(err, "INLONG_DATAPROXY_CORE names it: no other is looked for");
    CHECK(!strstr(err, copy.folder));
    setenv("INLONG_DATAPROXY_CORE", "", 1); /* as if it were not set */
    CHECK_INT(load(), INLONG_OK);
}

/* H2: there is nothing to copy, and nothing of the parent's in the way. */
static void child_of_a_parent_without_a_core_looks_for_one(void)
{
    make_copy();
    CHECK_INT(load(), INLONG_ERR_LOAD);
    for (int round = 0; round < 2; round++) {
        pid_t child = fork();
        if (child == 0) {
            if (round == 0)
                CHECK_INT(load(), INLONG_ERR_LOAD);
            setenv("INLONG_DATAPROXY_CORE", built(CORE_NAME), 1);
            CHECK_INT(load(), INLONG_OK);
            _exit(0);
        }
        int status;
        CHECK_INT(waitpid(child, &status, 0), child);
        CHECK_INT(status, 0);
    }
}

static void core_beside_the_front_is_found(void)
{
    make_copy();
    shell("ln -s '%s' '%s'", built(CORE_NAME), copy.core);
    CHECK_INT(load(), INLONG_OK);
}

static void file_that_is_no_library_is_told(void)
{
    make_copy();
    shell("echo nonsense > '%s'%s", copy.core, "");
    CHECK_INT(load(), INLONG_ERR_LOAD);
    CHECK_TEXT(err, copy.core);
}

static void library_that_is_no_core_is_told(void)
{
    make_copy();
    shell("cp '%s' '%s'", copy.front, copy.core);
    CHECK_INT(load(), INLONG_ERR_ABI);
    CHECK_TEXT(err, "not a core");
    CHECK_TEXT(err, copy.core); /* which of the places that were looked at has the wrong one */
}

static void refuses(const char *core, const char *part)
{
    make_copy();
    char other[PATH_MAX];
    snprintf(other, sizeof other, "%s", built(core));
    shell("cp '%s' '%s'", other, copy.core);
    CHECK_INT(load(), INLONG_ERR_ABI);
    CHECK_TEXT(err, part);
    CHECK_TEXT(err, copy.core);
    CHECK_INT(load(), INLONG_ERR_ABI); /* and does not get used to it */
}

static void core_of_another_build_is_told(void) { refuses("../c/other_core.so", "interface version 99"); }

/* A core that `go build` made without the changes of the runtime was loaded without a word, and broke four promises of the header. */
static void core_with_an_unmarked_runtime_is_refused(void) { refuses("../c/unmarked_core.so", "was not built by `make capi`"); }

static void core_with_the_other_runtime_is_refused(void) { refuses("../c/mixed_core.so", "are of two builds"); }

/* A daemon that found the front by a relative path and went to "/" looked for the core there. */
static void front_of_a_relative_path_finds_its_core_from_another_folder(void)
{
    make_copy();
    shell("ln -s '%s' '%s'", built(CORE_NAME), copy.core);
    pid_t child = fork();
    if (child == 0) {
        char second[PATH_MAX + 64];
        snprintf(second, sizeof second, "%s/second.so", copy.folder);
        shell("cp '%s' '%s'", copy.front, second);
        CHECK_INT(chdir(copy.folder), 0);
        void *library = dlopen("./second.so", RTLD_NOW | RTLD_LOCAL);
        CHECK(library != NULL);
        CHECK_INT(chdir("/"), 0);
        *(void **)&copy.mock_new = dlsym(library, "inlong_mock_new");
        *(void **)&copy.mock_free = dlsym(library, "inlong_mock_free");
        CHECK_INT(load(), INLONG_OK);
        _exit(0);
    }
    CHECK_INT(check_status(child), 0);
}

/* The copy's calls of its own public functions were bound to the first front, so its error texts came from there: empty. */
static void second_front_of_a_process_has_error_texts_of_its_own(void)
{
    make_copy();
    const char *(*last_error)(void);
    void *library = dlopen(copy.front, RTLD_NOW | RTLD_LOCAL);
    CHECK(library != NULL);
    *(void **)&last_error = dlsym(library, "inlong_last_error");
    CHECK(last_error != NULL);
    CHECK_INT(load(), INLONG_ERR_LOAD);
    CHECK_TEXT(err, copy.core);
    CHECK_TEXT(last_error(), copy.core);
    CHECK(strstr(inlong_last_error(), copy.core) == NULL);
}

/* The core left its first front for the second: the calls of both waited for ever. */
static void second_front_has_a_core_of_its_own(void)
{
    inlong_message m = message("x");
    fixture f = open_fixture((const char *const[]){NULL});
    make_copy();
    setenv("INLONG_DATAPROXY_CORE", built(CORE_NAME), 1);
    for (int i = 0; i < 2; i++) {
        CHECK_INT(load(), INLONG_OK);
        CHECK_INT(inlong_client_send(f.client, &m, 10000, NULL), INLONG_OK);
    }
    close_fixture(&f);
}

/* The runtime ended the process by SIGABRT for a limit in the words of Kubernetes. It reads what the process was started with. */
static void memory_limit_that_the_runtime_cannot_read_is_told(void)
{
    static const struct {
        const char *limit;
        int code;
    } cases[] = {{"512Mi", INLONG_ERR_OPTION}, {"1G", INLONG_ERR_OPTION}, {"-5", INLONG_ERR_OPTION},
                 {"5KB", INLONG_ERR_OPTION},   {"B", INLONG_ERR_OPTION},  {"9999999TiB", INLONG_ERR_OPTION},
                 {"512MiB", INLONG_OK},        {"1073741824", INLONG_OK}, {"77B", INLONG_OK},
                 {"off", INLONG_OK},           {"", INLONG_OK},           {"99999999999999999999", INLONG_ERR_OPTION}};
    inlong_mock *mock;
    const char *limit = getenv("GOMEMLIMIT");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (limit && strcmp(limit, cases[i].limit) == 0) { /* started below */
            CHECK_INT(inlong_mock_new(1, &mock, err, sizeof err), cases[i].code);
            if (cases[i].code != INLONG_OK)
                CHECK_TEXT(err, limit);
            return;
        }
    }
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        pid_t child = fork();
        if (child == 0) {
            setenv("GOMEMLIMIT", cases[i].limit, 1);
            execl("/proc/self/exe", "test_load", "memory_limit_that_the_runtime_cannot_read_is_told", (char *)NULL);
            _exit(127);
        }
        CHECK_INT(check_status(child), 0);
    }
}

/* So did it for a setting that looks harmless, left from a search for something else. */
static void debug_setting_that_the_runtime_does_not_take_is_told(void)
{
    static const struct {
        const char *settings;
        int code;
    } cases[] = {{"cgocheck=2", INLONG_ERR_OPTION},
                 {"gctrace=0,cgocheck=2", INLONG_ERR_OPTION},
                 {"gctrace=0,cgocheck=1", INLONG_OK},
                 {"notcgocheck=2", INLONG_OK}};
    inlong_mock *mock;
    const char *settings = getenv("GODEBUG");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (settings && strcmp(settings, cases[i].settings) == 0) { /* started below */
            CHECK_INT(inlong_mock_new(1, &mock, err, sizeof err), cases[i].code);
            if (cases[i].code != INLONG_OK)
                CHECK_TEXT(err, "GODEBUG in the environment has cgocheck=2");
            return;
        }
    }
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        pid_t child = fork();
        if (child == 0) {
            setenv("GODEBUG", cases[i].settings, 1);
            execl("/proc/self/exe", "test_load", "debug_setting_that_the_runtime_does_not_take_is_told", (char *)NULL);
            _exit(127);
        }
        CHECK_INT(check_status(child), 0);
    }
}

static const check_test tests[] = {
    {"debug_setting_that_the_runtime_does_not_take_is_told", debug_setting_that_the_runtime_does_not_take_is_told},
    {"missing_core_lists_what_was_tried", missing_core_lists_what_was_tried},
    {"named_core_is_the_only_one_that_is_tried", named_core_is_the_only_one_that_is_tried},
    {"H2_child_of_a_parent_without_a_core_looks_for_one", child_of_a_parent_without_a_core_looks_for_one},
    {"core_beside_the_front_is_found", core_beside_the_front_is_found},
    {"file_that_is_no_library_is_told", file_that_is_no_library_is_told},
    {"library_that_is_no_core_is_told", library_that_is_no_core_is_told},
    {"core_of_another_build_is_told", core_of_another_build_is_told},
    {"core_with_an_unmarked_runtime_is_refused", core_with_an_unmarked_runtime_is_refused},
    {"core_with_the_other_runtime_is_refused", core_with_the_other_runtime_is_refused},
    {"front_of_a_relative_path_finds_its_core_from_another_folder", front_of_a_relative_path_finds_its_core_from_another_folder},
    {"second_front_of_a_process_has_error_texts_of_its_own", second_front_of_a_process_has_error_texts_of_its_own},
    {"second_front_has_a_core_of_its_own", second_front_has_a_core_of_its_own},
    {"memory_limit_that_the_runtime_cannot_read_is_told", memory_limit_that_the_runtime_cannot_read_is_told},
};

CHECK_MAIN("load", tests)
