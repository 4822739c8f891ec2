/* other_core.c - a core of another build, for test_load: it knows another version of the private interface. */
#include "../../../capi/front/core_abi.h"

__attribute__((visibility("default"))) int inlong_core_entry(uint32_t version, inlong_core_api *api)
{
    api->version = 99;
    return version == 99 ? INLONG_OK : INLONG_ERR_ABI;
}
