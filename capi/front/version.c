/* SPDX-License-Identifier: Apache-2.0
 * version.c - what this library is. */
#include "front.h"

const char *inlong_version(void) { return inlong_core_version; }
int inlong_abi_version(void) { return INLONG_ABI_VERSION; }
