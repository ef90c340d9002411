/* SPDX-License-Identifier: Apache-2.0 */
/* NCCL's own types and functions, those that the stand-in has, under NCCL's names. Where nccl.h was
 * included first, its types count, and the declarations and asserts here are checks of it
 * (tests/standin/check/nccl_check.c). */
#ifndef STANDIN_NCCL_API_H
#define STANDIN_NCCL_API_H

#include <limits.h>
#include <stddef.h>
#include <stdint.h>

#ifndef NCCL_H_
typedef struct ncclComm *ncclComm_t;
typedef struct {
    char internal[128];
} ncclUniqueId;

typedef enum {
    ncclSuccess,
    ncclUnhandledCudaError,
    ncclSystemError,
    ncclInternalError,
    ncclInvalidArgument,
    ncclInvalidUsage,
    ncclRemoteError,
    ncclInProgress
} ncclResult_t;

typedef enum { ncclSum, ncclProd, ncclMax, ncclMin, ncclAvg, ncclMaxRedOp = INT_MAX } ncclRedOp_t;

typedef enum {
    ncclInt8,
    ncclUint8,
    ncclInt32,
    ncclUint32,
    ncclInt64,
    ncclUint64,
    ncclFloat16,
    ncclFloat32,
    ncclFloat64,
    ncclBfloat16,
    ncclFloat8e4m3,
    ncclFloat8e5m2,
    ncclNumTypes
} ncclDataType_t;

typedef struct {
    size_t size;
    unsigned magic;
    unsigned version;
    int blocking;
    int cgaClusterSize;
    int minCTAs;
    int maxCTAs;
    const char *netName;
    int splitShare;
    int trafficClass;
    const char *commName;
    int collnetEnable;
    int CTAPolicy;
    int shrinkShare;
    int nvlsCTAs;
    int nChannelsPerNetPeer;
    int nvlinkCentricSched;
} ncclConfig_t;

typedef struct CUstream_st *cudaStream_t;
#endif

/* The header that these were taken from. */
#define STANDIN_NCCL_VERSION 22809
#define STANDIN_NCCL_MAGIC 0xcafebeefU

#define SAME(name_, value_) _Static_assert((long)(name_) == (value_), #name_)
SAME(sizeof(ncclUniqueId), 128);
SAME(ncclSuccess, 0);
SAME(ncclUnhandledCudaError, 1);
SAME(ncclSystemError, 2);
SAME(ncclInternalError, 3);
SAME(ncclInvalidArgument, 4);
SAME(ncclInvalidUsage, 5);
SAME(ncclRemoteError, 6);
SAME(ncclInProgress, 7);
SAME(sizeof(ncclResult_t), 4);
SAME(ncclSum, 0);
SAME(ncclProd, 1);
SAME(ncclMax, 2);
SAME(ncclMin, 3);
SAME(ncclAvg, 4);
SAME(sizeof(ncclRedOp_t), 4);
SAME(ncclInt8, 0);
SAME(ncclUint8, 1);
SAME(ncclInt32, 2);
SAME(ncclUint32, 3);
SAME(ncclInt64, 4);
SAME(ncclUint64, 5);
SAME(ncclFloat16, 6);
SAME(ncclFloat32, 7);
SAME(ncclFloat64, 8);
SAME(ncclBfloat16, 9);
SAME(ncclFloat8e4m3, 10);
SAME(ncclFloat8e5m2, 11);
SAME(ncclNumTypes, 12);
SAME(offsetof(ncclConfig_t, magic), 8);
SAME(offsetof(ncclConfig_t, version), 12);
SAME(offsetof(ncclConfig_t, blocking), 16);
SAME(offsetof(ncclConfig_t, cgaClusterSize), 20);
SAME(offsetof(ncclConfig_t, minCTAs), 24);
SAME(offsetof(ncclConfig_t, maxCTAs), 28);
SAME(offsetof(ncclConfig_t, netName), 32);
SAME(offsetof(ncclConfig_t, splitShare), 40);
SAME(offsetof(ncclConfig_t, trafficClass), 44);
SAME(offsetof(ncclConfig_t, commName), 48);
SAME(offsetof(ncclConfig_t, collnetEnable), 56);
SAME(offsetof(ncclConfig_t, nvlinkCentricSched), 76);
SAME(sizeof(ncclConfig_t), 80);
#undef SAME

/* F(what it gives, name, first version that has it, parameters) */
#define NCCL_FUNCTIONS(F)                                                                          \
    F(ncclResult_t, ncclGetVersion, 20000, (int *version))                                         \
    F(ncclResult_t, ncclGetUniqueId, 20000, (ncclUniqueId * id))                                   \
    F(ncclResult_t, ncclCommInitRank, 20000,                                                       \
      (ncclComm_t * comm, int nranks, ncclUniqueId id, int rank))                                  \
    F(ncclResult_t, ncclCommInitRankConfig, 21400,                                                 \
      (ncclComm_t * comm, int nranks, ncclUniqueId id, int rank, ncclConfig_t *config))            \
    F(ncclResult_t, ncclCommFinalize, 21400, (ncclComm_t comm))                                    \
    F(ncclResult_t, ncclCommDestroy, 20000, (ncclComm_t comm))                                     \
    F(ncclResult_t, ncclCommAbort, 20400, (ncclComm_t comm))                                       \
    F(const char *, ncclGetErrorString, 20000, (ncclResult_t result))                              \
    F(const char *, ncclGetLastError, 21300, (ncclComm_t comm))                                    \
    F(ncclResult_t, ncclCommGetAsyncError, 20400, (ncclComm_t comm, ncclResult_t * error))         \
    F(ncclResult_t, ncclCommCount, 20000, (const ncclComm_t comm, int *count))                     \
    F(ncclResult_t, ncclCommCuDevice, 20000, (const ncclComm_t comm, int *device))                 \
    F(ncclResult_t, ncclCommUserRank, 20000, (const ncclComm_t comm, int *rank))                   \
    F(ncclResult_t, ncclCommSplit, 21800,                                                          \
      (ncclComm_t comm, int color, int key, ncclComm_t *made, ncclConfig_t *config))               \
    F(ncclResult_t, ncclMemAlloc, 21900, (void **at, size_t bytes))                                \
    F(ncclResult_t, ncclMemFree, 21900, (void *at))                                                \
    F(ncclResult_t, ncclCommRegister, 21900,                                                       \
      (const ncclComm_t comm, void *at, size_t bytes, void **handle))                              \
    F(ncclResult_t, ncclCommDeregister, 21900, (const ncclComm_t comm, void *handle))              \
    F(ncclResult_t, ncclGroupStart, 20000, (void))                                                 \
    F(ncclResult_t, ncclGroupEnd, 20000, (void))                                                   \
    F(ncclResult_t, ncclSend, 20700,                                                               \
      (const void *from, size_t count, ncclDataType_t type, int peer, ncclComm_t comm,             \
       cudaStream_t stream))                                                                       \
    F(ncclResult_t, ncclRecv, 20700,                                                               \
      (void *to, size_t count, ncclDataType_t type, int peer, ncclComm_t comm,                     \
       cudaStream_t stream))                                                                       \
    F(ncclResult_t, ncclAllReduce, 20000,                                                          \
      (const void *from, void *to, size_t count, ncclDataType_t type, ncclRedOp_t op,              \
       ncclComm_t comm, cudaStream_t stream))                                                      \
    F(ncclResult_t, ncclReduce, 20000,                                                             \
      (const void *from, void *to, size_t count, ncclDataType_t type, ncclRedOp_t op, int root,    \
       ncclComm_t comm, cudaStream_t stream))                                                      \
    F(ncclResult_t, ncclReduceScatter, 20000,                                                      \
      (const void *from, void *to, size_t count, ncclDataType_t type, ncclRedOp_t op,              \
       ncclComm_t comm, cudaStream_t stream))                                                      \
    F(ncclResult_t, ncclBroadcast, 20200,                                                          \
      (const void *from, void *to, size_t count, ncclDataType_t type, int root, ncclComm_t comm,   \
       cudaStream_t stream))                                                                       \
    F(ncclResult_t, ncclAllGather, 20000,                                                          \
      (const void *from, void *to, size_t count, ncclDataType_t type, ncclComm_t comm,             \
       cudaStream_t stream))                                                                       \
    F(ncclResult_t, ncclAlltoAll, 22800,                                                           \
      (const void *from, void *to, size_t count, ncclDataType_t type, ncclComm_t comm,             \
       cudaStream_t stream))

#define NCCL_DECLARE(gives_, name_, version_, params_)                                             \
    __attribute__((visibility("default"))) gives_ name_ params_;
NCCL_FUNCTIONS(NCCL_DECLARE)
#undef NCCL_DECLARE

#endif
