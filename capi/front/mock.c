/* SPDX-License-Identifier: Apache-2.0
 * mock.c - the fake cluster. The core knows which handles are open; here stands only what must not reach it. */
#include <string.h>

#include "check.h"
#include "client.h"

enum { MOST_NODES = 64 };

static int new_mock(int nodes, inlong_mock **mock)
{
    if (!mock)
        return inlong_fail(INLONG_ERR_ARG, "mock is NULL");
    if (nodes < 0 || nodes > MOST_NODES)
        return inlong_fail(INLONG_ERR_ARG, "nodes is %d: it must be 0 to %d", nodes, MOST_NODES);
    int code = inlong_core_load();
    if (code != INLONG_OK)
        return code;
    uintptr_t handle = inlong_handle_new(0);
    code = inlong_call(&(inlong_core_call){.kind = INLONG_CALL_MOCK_NEW, .handle = handle, .count = (size_t)nodes});
    if (code == INLONG_OK)
        *mock = (inlong_mock *)handle;
    return code;
}

int inlong_mock_new(int nodes, inlong_mock **mock, char *err, size_t errlen)
{
    if (mock)
        *mock = NULL;
    return inlong_check_err(errlen) == INLONG_OK ? inlong_tell(new_mock(nodes, mock), err, errlen) : INLONG_ERR_ARG;
}

/* Whether the core may be asked about the handle. The core itself answers INLONG_ERR_HANDLE for one it does not know. */
static bool open_here(const inlong_mock *mock)
{
    return mock && !inlong_forked() && atomic_load(&inlong_core_loaded) && !inlong_handle_is_parents((uintptr_t)mock);
}

static int check(const inlong_mock *mock, const char *buf, size_t len)
{
    return open_here(mock) ? inlong_check_buffer(buf, len) : inlong_fail_handle(INLONG_MOCK, mock);
}

/* Asks about an open mock, with `request` or without. */
static int ask(int kind, inlong_mock *mock, const char *request, char *buf, size_t len)
{
    return inlong_call(&(inlong_core_call){
        .kind = kind, .handle = (uintptr_t)mock, .data = request, .size = request ? strlen(request) : 0, .text = {buf, len}});
}

int inlong_mock_url(inlong_mock *mock, char *buf, size_t len)
{
    int code = check(mock, buf, len);
    return code == INLONG_OK ? ask(INLONG_CALL_MOCK_URL, mock, NULL, buf, len) : code;
}

int inlong_mock_control(inlong_mock *mock, const char *request, char *buf, size_t len)
{
    int code = check(mock, buf, len);
    if (code != INLONG_OK)
        return code;
    if (!request)
        return inlong_fail(INLONG_ERR_ARG, "request is NULL");
    return ask(INLONG_CALL_MOCK_CONTROL, mock, request, buf, len);
}

int inlong_mock_stats(inlong_mock *mock, char *buf, size_t len)
{
    return inlong_mock_control(mock, "{\"op\":\"stats\"}", buf, len);
}

void inlong_mock_free(inlong_mock *mock)
{
    if (open_here(mock))
        (void)ask(INLONG_CALL_MOCK_FREE, mock, NULL, NULL, 0);
}
