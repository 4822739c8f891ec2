/* Credentials and certificates in files that change under a running client. */
#include "fixture.h"

#include <stdlib.h>

/* As an orchestrator does: as a whole. */
static void replace(const char *path, const char *text)
{
    char next[512];
    snprintf(next, sizeof next, "%s.new", path);
    FILE *file = fopen(next, "w");
    CHECK(file && fputs(text, file) >= 0 && fclose(file) == 0);
    CHECK_INT(rename(next, path), 0);
}

/* A secret that is changed every night ended the list of nodes, until somebody restarted the program. */
static void secret_in_a_file_may_change(void)
{
    char folder[] = "/tmp/inlong_auth_XXXXXX", path[64];
    CHECK(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/secret", folder);
    fixture f = open_fixture(NULL);
    replace(path, "id:first\n");
    demand(&f, "Authorization", "Basic aWQ6Zmlyc3Q=");
    f.client = open_client(f.url, (const char *const[]){"update_interval", "10ms", "basic_auth_file", path, NULL});
    demand(&f, "Authorization", "Basic aWQ6c2Vjb25k");
    replace(path, "id:second\n");
    manager_is_heard(&f);
    CHECK_INT(unlink(path), 0); /* what it held before stays in use */
    manager_is_heard(&f);
    close_fixture(&f);
    CHECK_INT(rmdir(folder), 0);
}

/* The text of a field of JSON, with its newlines. */
static void json_text(const char *json, const char *name, char *to, size_t size)
{
    char key[32];
    snprintf(key, sizeof key, "\"%s\":\"", name);
    const char *at = strstr(json, key);
    CHECK(at != NULL);
    size_t n = 0;
    for (at += strlen(key); *at != '"'; at++) {
        CHECK(n + 1 < size);
        to[n++] = at[0] == '\\' && at[1] == 'n' ? '\n' : *at;
        at += at[0] == '\\';
    }
    to[n] = 0;
}

static void write_identity(inlong_mock *mock, const char *const *paths, char *url, size_t size)
{
    static const char *const names[] = {"ca", "cert", "key"};
    static char text[8192];
    const char *answer = control(mock, "{\"op\":\"manager_tls\"}");
    for (int i = 0; i < 3; i++) {
        json_text(answer, names[i], text, sizeof text);
        replace(paths[i], text);
    }
    json_text(answer, "url", url, size);
}

/* A Manager whose certificate comes from another authority now, which wants another one of the client's, too. */
static void certificates_in_files_may_change(void)
{
    char folder[] = "/tmp/inlong_auth_XXXXXX", ca[64], cert[64], key[64];
    CHECK(mkdtemp(folder));
    snprintf(ca, sizeof ca, "%s/ca.pem", folder);
    snprintf(cert, sizeof cert, "%s/cert.pem", folder);
    snprintf(key, sizeof key, "%s/key.pem", folder);
    const char *const paths[] = {ca, cert, key};
    fixture f = open_fixture(NULL);
    write_identity(f.mock, paths, f.url, sizeof f.url);
    CHECK_TEXT(f.url, "https://");
    f.client = open_client(f.url, (const char *const[]){"update_interval", "10ms", "ca_file", ca, "client_cert_file", cert,
                                                        "client_key_file", key, NULL});
    manager_is_heard(&f);
    write_identity(f.mock, paths, f.url, sizeof f.url);
    manager_is_heard(&f);
    close_fixture(&f);
    for (int i = 0; i < 3; i++)
        CHECK_INT(unlink(paths[i]), 0);
    CHECK_INT(rmdir(folder), 0);
}

static const check_test tests[] = {
    {"secret_in_a_file_may_change", secret_in_a_file_may_change},
    {"certificates_in_files_may_change", certificates_in_files_may_change},
};

CHECK_MAIN("auth_files", tests)
