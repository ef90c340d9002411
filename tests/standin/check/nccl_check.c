/* SPDX-License-Identifier: Apache-2.0
 * The NCCL stand-in's own declarations against nccl.h, at compile time. */
#include <nccl.h>

#include "../nccl_api.h"

_Static_assert(STANDIN_NCCL_VERSION == NCCL_VERSION_CODE, "another nccl.h than 2.28.9");
