/* other_core.c - a core of another build, for test_load: with another VERSION of the private interface, or another RUNTIME. */
#include "../../../capi/front/front.h"

__attribute__((visibility("default"))) int inlong_core_entry(uint32_t version, inlong_core_api *api)
{
    api->version = VERSION;
    api->runtime = RUNTIME;
    return version == VERSION ? INLONG_OK : INLONG_ERR_ABI;
}
