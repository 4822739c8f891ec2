/* SPDX-License-Identifier: Apache-2.0
 * entry.c - the one exported symbol: hands the front the table of functions. */
#include "_cgo_export.h"

/* runtime/cgo calls the runtime through this pointer, if it is not NULL, when a thread ends that was once in Go. Weak: it is not
 * ours, and a newer Go may call it otherwise. */
extern void (*x_crosscall2_ptr)(void (*)(void *), void *, int, size_t) __attribute__((weak));

static void disown(void)
{
    if (&x_crosscall2_ptr)
        x_crosscall2_ptr = NULL;
}

__attribute__((visibility("default"))) int inlong_core_entry(uint32_t version, inlong_core_api *api)
{
    api->version = INLONG_CORE_ABI_VERSION;
    if (version != INLONG_CORE_ABI_VERSION)
        return INLONG_ERR_ABI;
    *api = (inlong_core_api){
        .version = INLONG_CORE_ABI_VERSION,
        .runtime = coreRuntime(),
        .row_ask = coreRowAsk,
        .client_new = coreClientNew,
        .client_send = coreClientSend,
        .client_submit = coreClientSubmit,
        .client_submit_many = coreClientSubmitMany,
        .client_submit_packed = coreClientSubmitPacked,
        .client_ready = coreClientReady,
        .client_flush = coreClientFlush,
        .client_close = coreClientClose,
        .client_stats = coreClientStats,
        .client_metrics = coreClientMetrics,
        .runtime_set = coreRuntimeSet,
        .runtime_get = coreRuntimeGet,
        .mock_new = coreMockNew,
        .mock_url = coreMockURL,
        .mock_control = coreMockControl,
        .mock_stats = coreMockStats,
        .mock_free = coreMockFree,
        .disown = disown,
        .test_panic = coreTestPanic,
    };
    coreReady(); /* returns when the runtime has started and all its signal handlers stand */
    return INLONG_OK;
}
