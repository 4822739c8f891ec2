/* other_core.c - a core of another build, for test_load: with another VERSION of the private interface, or another RUNTIME. */
#include "../../../capi/front/front.h"

__attribute__((visibility("default"))) int inlong_core_entry(uint32_t version, const inlong_core_host *host,
                                                             inlong_core_about *about)
{
    (void)host;
    about->version = VERSION;
    about->runtime = RUNTIME;
    return version == VERSION ? INLONG_OK : INLONG_ERR_ABI;
}
