/* SPDX-License-Identifier: Apache-2.0
 * Our own declarations of NCCL against nccl.h, at compile time. */
#include <nccl.h>

#include "../../cuda/cu_nccl_types.h"

#define SAME_VALUE(ours_, theirs_) _Static_assert((int)(ours_) == (int)(theirs_), #ours_)
SAME_VALUE(SLNC_SUCCESS, ncclSuccess);
SAME_VALUE(SLNC_INVALID_ARGUMENT, ncclInvalidArgument);
SAME_VALUE(SLNC_INVALID_USAGE, ncclInvalidUsage);
SAME_VALUE(SLNC_REMOTE_ERROR, ncclRemoteError);
SAME_VALUE(SLNC_IN_PROGRESS, ncclInProgress);
SAME_VALUE(SLNC_INT8, ncclInt8);
SAME_VALUE(SLNC_NOT_GIVEN, NCCL_CONFIG_UNDEF_INT);
_Static_assert(sizeof(slnc_result) == sizeof(ncclResult_t), "ncclResult_t");
_Static_assert(sizeof(slnc_unique_id) == sizeof(ncclUniqueId), "ncclUniqueId");

#define SAME_PLACE(ours_, theirs_)                                                                 \
    _Static_assert(offsetof(slnc_config, ours_) == offsetof(ncclConfig_t, theirs_), #theirs_)
SAME_PLACE(size, size);
SAME_PLACE(magic, magic);
SAME_PLACE(version, version);
SAME_PLACE(blocking, blocking);
SAME_PLACE(cga_cluster_size, cgaClusterSize);
SAME_PLACE(min_ctas, minCTAs);
SAME_PLACE(max_ctas, maxCTAs);
SAME_PLACE(net_name, netName);
SAME_PLACE(split_share, splitShare);

/* Each function called with our parameters' types: a number or pointer that does not fit is a
 * warning, and an error with -Werror. The id alone is a struct of another name. */
void check(slnc_comm comm, slcu_stream given)
{
    cudaStream_t stream = (cudaStream_t)given;
    int number = 0;
    ncclUniqueId id;
    ncclResult_t error;
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    ncclResult_t results[] = {
        ncclGetVersion(&number),
        ncclGetUniqueId(&id),
        ncclCommInitRankConfig(&comm, 1, id, 0, &config),
        ncclCommGetAsyncError(comm, &error),
        ncclCommCount(comm, &number),
        ncclCommUserRank(comm, &number),
        ncclCommFinalize(comm),
        ncclCommDestroy(comm),
        ncclCommAbort(comm),
        ncclGroupStart(),
        ncclGroupEnd(),
        ncclSend(&number, (size_t)1, ncclInt8, 0, comm, stream),
        ncclRecv(&number, (size_t)1, ncclInt8, 0, comm, stream),
        ncclCommSplit(comm, 0, 0, &comm, &config)};
    const char *texts[] = {ncclGetErrorString(results[0]), ncclGetLastError(comm)};
    (void)texts;
}
