/* The C++ example, run against the mock as its users will run it. */
#include "check.hpp"

#include <dlfcn.h>
#include <limits.h>
#include <sys/wait.h>

static std::string output;

/* Runs build/c/examples/08_raii; its stdout and stderr are in `output`. */
static int run(const std::string &arguments)
{
    Dl_info info;
    char library[PATH_MAX];
    CHECK(dladdr(reinterpret_cast<void *>(inlong_version), &info) && realpath(info.dli_fname, library));
    std::string folder(library);
    folder.resize(folder.rfind('/'));
    FILE *program = popen(("'" + folder + "/../c/examples/08_raii' " + arguments + " 2>&1").c_str(), "r");
    CHECK(program != nullptr);
    output.assign(1 << 16, '\0');
    output.resize(fread(&output[0], 1, output.size(), program));
    return WEXITSTATUS(pclose(program));
}

static void raii_example(void)
{
    inlong::Mock mock;
    CHECK_INT(run(mock.url() + " " GROUP " " STREAM " 2000"), 0);
    CHECK_TEXT(output.c_str(), "asked later: acked\n2001 acked by callables\n2003 acked, 0 failed in all\n");
    CHECK_INT(received(mock.get()), 2003);
    CHECK_INT(run(mock.url() + " " GROUP " 'bad stream' 1"), 1);
    CHECK_TEXT(output.c_str(), "log_invalid (10010): ");
    CHECK_INT(run("http://127.0.0.1:1 " GROUP " " STREAM " 1"), 1);
    CHECK_INT(run(""), 2);
}

static const check_test tests[] = {{"raii_example", raii_example}};

CHECK_MAIN("cpp_example", tests)
