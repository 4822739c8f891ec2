/* Questions for credentials that the core asks too late: it may have begun one when its client is closed. */
#include "inside_ring.h"

#include <stdatomic.h>
#include <stdlib.h>

static atomic_int calls;

static int count(inlong_auth *auth, void *user)
{
    (void)user;
    atomic_fetch_add(&calls, 1);
    auth->value[0] = 'x';
    return INLONG_OK;
}

static void ask(uintptr_t client, const char *want)
{
    inlong_auth *auth = inlong_auth_ask(client, GROUP, 60000);
    CHECK_TEXT(auth->text, want);
    inlong_auth_free(auth);
}

/* What the callback uses is freed after the close, and its slot may be another client's, with a callback of its own. */
static void question_behind_the_close_calls_nobody(void)
{
    fixture f = open_fixture(NULL);
    for (int queue = 0; queue < 2; queue++) {
        inlong_client *clients[2];
        for (int i = 0; i < 2; i++) {
            inlong_options *o = inlong_options_new();
            CHECK_INT(inlong_options_set(o, "static_nodes", "127.0.0.1:1", NULL, 0), INLONG_OK); /* it asks nothing by itself */
            CHECK_INT(inlong_options_set(o, "lazy_start", "true", NULL, 0), INLONG_OK);
            CHECK_INT(inlong_options_set(o, "group_id", GROUP, NULL, 0), INLONG_OK);
            CHECK_INT(inlong_options_set_auth(o, queue ? INLONG_AUTH_QUEUE : count, NULL), INLONG_OK);
            CHECK_INT(inlong_client_new(o, &clients[i], NULL, 0), INLONG_OK);
            inlong_options_free(o);
            if (!queue)
                ask((uintptr_t)clients[i], "");
            CHECK_INT(calls, queue ? 2 : i + 1);
            CHECK_INT(inlong_client_close(clients[i], 5000, NULL), INLONG_OK);
            for (int j = 0; j <= i; j++)
                ask((uintptr_t)clients[j], "auth: the client is being closed");
            CHECK_INT(calls, queue ? 2 : i + 1);
        }
    }
    close_fixture(&f);
}

static const check_test tests[] = {
    {"question_behind_the_close_calls_nobody", question_behind_the_close_calls_nobody},
};

CHECK_MAIN("auth inside", tests)
