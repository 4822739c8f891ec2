/* The parts that must answer without the runtime: a program may ask for them before it forks. */
#include "fixture.h"

#include <stdbool.h>

static bool core_is_loaded(void)
{
    char line[4096];
    bool found = false;
    FILE *maps = fopen("/proc/self/maps", "r");
    CHECK(maps != NULL);
    while (fgets(line, sizeof line, maps))
        found = found || strstr(line, "libinlong_dataproxy_core");
    fclose(maps);
    return found;
}

/* An error table that loads Go would make every program that only asks for a text unable to fork. */
static void no_table_loads_the_core(void)
{
    char err[256];
    CHECK_TEXT(inlong_version(), "0.");
    CHECK_INT(inlong_abi_version(), INLONG_ABI_VERSION);
    CHECK(strcmp(inlong_error_name(INLONG_ERR_QUEUE_FULL), "queue_full") == 0);
    inlong_options *o = inlong_options_new();
    CHECK_INT(inlong_options_set(o, "url", "http://x", err, sizeof err), INLONG_OK);
    CHECK(inlong_options_describe(0) != NULL);
    CHECK_INT(inlong_client_flush(NULL, 0), INLONG_ERR_HANDLE);
    inlong_options_free(o);
    CHECK(!core_is_loaded());
}

/* The other half of the test above: the search must be able to find the core. */
static void first_mock_loads_the_core(void)
{
    fixture f = open_fixture(NULL);
    CHECK(core_is_loaded());
    close_fixture(&f);
}

static void error_list_ends_and_is_complete(void)
{
    static const int codes[] = {INLONG_OK,          INLONG_ERR_SEND_TIMEOUT, INLONG_ERR_CONN_CLOSED_BY_PEER,
                                INLONG_ERR_UNKNOWN, INLONG_ERR_ARG,          INLONG_ERR_NOMEM};
    size_t n = 0;
    for (const inlong_error_info *e; (e = inlong_error_describe(n)); n++) {
        CHECK_INT(e->struct_size, sizeof *e);
        CHECK(*e->name && *e->text && *e->meaning);
        CHECK(strcmp(e->name, inlong_error_name(e->code)) == 0);
        CHECK(strcmp(e->text, inlong_error_text(e->code)) == 0);
        CHECK_INT(inlong_error_is_retriable(e->code), e->retriable);
    }
    CHECK_INT(n, 26);
    CHECK(inlong_error_describe(n + 1) == NULL && inlong_error_describe((size_t)-1) == NULL);
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        CHECK(codes[i] == INLONG_ERR_UNKNOWN || strcmp(inlong_error_name(codes[i]), "unknown") != 0);
}

static void unknown_code_is_told_as_unknown(void)
{
    CHECK(strcmp(inlong_error_name(4711), "unknown") == 0);
    CHECK(strcmp(inlong_error_name(-4711), "unknown") == 0);
    CHECK_INT(inlong_error_is_retriable(4711), 0);
}

static void every_described_option_can_be_set(void)
{
    char err[256];
    size_t n = 0;
    inlong_options *o = inlong_options_new();
    for (const inlong_option_info *i; (i = inlong_options_describe(n)); n++) {
        CHECK_INT(i->struct_size, sizeof *i);
        CHECK(i->default_value && i->min && i->max && i->values && *i->doc);
        CHECK_INT(inlong_options_set(o, i->key, i->default_value, err, sizeof err), INLONG_OK);
    }
    CHECK(n > 30);
    inlong_options_free(o);
    inlong_options_free(NULL);
}

/* Empty until something fails, kept by a call that succeeds, replaced by the next that fails. */
static void last_error_is_that_of_the_last_failure(void)
{
    CHECK(*inlong_last_error() == 0);
    inlong_options_set(NULL, "a", "b", NULL, 0);
    CHECK_TEXT(inlong_last_error(), "options is NULL");
    inlong_options *o = inlong_options_new();
    CHECK_INT(inlong_options_set(o, "url", "x", NULL, 0), INLONG_OK);
    CHECK_TEXT(inlong_last_error(), "options is NULL");
    inlong_client_flush(NULL, 0);
    CHECK_TEXT(inlong_last_error(), "not an open client");
    inlong_options_free(o);
}

static const check_test tests[] = {
    {"no_table_loads_the_core", no_table_loads_the_core},
    {"first_mock_loads_the_core", first_mock_loads_the_core},
    {"error_list_ends_and_is_complete", error_list_ends_and_is_complete},
    {"unknown_code_is_told_as_unknown", unknown_code_is_told_as_unknown},
    {"every_described_option_can_be_set", every_described_option_can_be_set},
    {"last_error_is_that_of_the_last_failure", last_error_is_that_of_the_last_failure},
};

CHECK_MAIN("tables", tests)
