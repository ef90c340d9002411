/* SPDX-License-Identifier: Apache-2.0 */
/* STANDIN_NCCL_VERSION: the version that it says it is (22809). */
#include <stdlib.h>

#include "nccl_comm.h"

ncclResult_t ncclGetVersion(int *version)
{
    const char *wanted = getenv("STANDIN_NCCL_VERSION");
    if (!version)
        return nccl_error(ncclInvalidArgument, "no place for the version");
    *version = wanted ? (int)strtol(wanted, NULL, 10) : STANDIN_NCCL_VERSION;
    return ncclSuccess;
}
