/* Whether a message could be written now, and why not. */
#include "fixture.h"

static void *wait_ready(void *client)
{
    static int code;
    code = inlong_client_ready(client, INLONG_NO_TIMEOUT);
    return &code;
}

/* What stats tell of lanes and nodes had to be read for that. */
static void follows_the_nodes_and_the_client(void)
{
    fixture f = open_fixture((const char *const[]){NULL});
    CHECK_INT(inlong_client_ready(f.client, 0), INLONG_OK);
    all_nodes(f.mock, "kill");
    while (inlong_client_ready(f.client, 0) == INLONG_OK)
        usleep(1000);
    CHECK_INT(inlong_client_ready(f.client, 20), INLONG_ERR_NEW_CONN_FAILED);
    CHECK_TEXT(inlong_last_error(), "no available worker: ");
    pthread_t thread;
    void *code;
    CHECK_INT(pthread_create(&thread, NULL, wait_ready, f.client), 0);
    all_nodes(f.mock, "revive");
    CHECK_INT(pthread_join(thread, &code), 0);
    CHECK_INT(*(int *)code, INLONG_OK);
    CHECK_INT(inlong_client_ready(f.client, -2), INLONG_ERR_ARG);

    all_nodes(f.mock, "kill");
    while (inlong_client_ready(f.client, 0) == INLONG_OK)
        usleep(1000);
    CHECK_INT(pthread_create(&thread, NULL, wait_ready, f.client), 0);
    CHECK_INT(inlong_client_close(f.client, 1000, NULL), INLONG_OK);
    CHECK_INT(pthread_join(thread, &code), 0);
    CHECK(*(int *)code == INLONG_ERR_CLOSED || *(int *)code == INLONG_ERR_HANDLE);
    CHECK_INT(inlong_client_ready(f.client, 0), INLONG_ERR_HANDLE);
    inlong_mock_free(f.mock);
}

static const check_test tests[] = {
    {"follows_the_nodes_and_the_client", follows_the_nodes_and_the_client},
};

CHECK_MAIN("ready", tests)
