/* SPDX-License-Identifier: Apache-2.0
 * The part of NCCL that this backend uses, declared here so that it builds without nccl.h.
 * tests/cuda/nccl_types_check.c compares it with nccl.h where that is installed. Names are NCCL's
 * with another prefix. */
#ifndef SLC_NCCL_TYPES_H
#define SLC_NCCL_TYPES_H

#include <limits.h>

#include "cu_types.h"

typedef int slnc_result; /* ncclResult_t; an enum without a negative value passes as int */
typedef struct ncclComm *slnc_comm;
typedef struct slnc_unique_id {
    char internal[128];
} slnc_unique_id;

enum {
    SLNC_SUCCESS = 0,
    SLNC_INVALID_ARGUMENT = 4,
    SLNC_INVALID_USAGE = 5,
    SLNC_REMOTE_ERROR = 6,
    SLNC_IN_PROGRESS = 7
};

enum { SLNC_INT8 = 0 }; /* ncclDataType_t */

/* The members that NCCL 2.18 knows; a later one takes the rest as not given, by `size`. */
typedef struct slnc_config {
    size_t size;
    unsigned int magic;
    unsigned int version;
    int blocking;
    int cga_cluster_size;
    int min_ctas, max_ctas;
    const char *net_name;
    int split_share;
    int reserved;
} slnc_config;

enum { SLNC_NOT_GIVEN = INT_MIN, SLNC_CONFIG_VERSION = 21800 };
#define SLNC_MAGIC 0xcafebeefU

/* name, parameters. Without one of them NCCL is too old (2.14 has them all). */
#define SLNC_FUNCTIONS(F)                                                                          \
    F(GetVersion, (int *version))                                                                  \
    F(GetUniqueId, (slnc_unique_id * id))                                                          \
    F(CommInitRankConfig,                                                                          \
      (slnc_comm * comm, int ranks, slnc_unique_id id, int rank, slnc_config *config))             \
    F(CommGetAsyncError, (slnc_comm comm, slnc_result * error))                                    \
    F(CommCount, (slnc_comm comm, int *count))                                                     \
    F(CommUserRank, (slnc_comm comm, int *rank))                                                   \
    F(CommFinalize, (slnc_comm comm))                                                              \
    F(CommDestroy, (slnc_comm comm))                                                               \
    F(CommAbort, (slnc_comm comm))                                                                 \
    F(GroupStart, (void))                                                                          \
    F(GroupEnd, (void))                                                                            \
    F(Send,                                                                                        \
      (const void *from, size_t count, int type, int peer, slnc_comm comm, slcu_stream stream))    \
    F(Recv, (void *to, size_t count, int type, int peer, slnc_comm comm, slcu_stream stream))

/* What may be missing. */
#define SLNC_OPTIONAL(F)                                                                           \
    F(CommSplit, slnc_result,                                                                      \
      (slnc_comm comm, int color, int key, slnc_comm *made, slnc_config *config))                  \
    F(GetErrorString, const char *, (slnc_result result))                                          \
    F(GetLastError, const char *, (slnc_comm comm))

#define SLNC_POINTER(name_, params_) slnc_result(*name_) params_;
#define SLNC_OPTIONAL_POINTER(name_, gives_, params_) gives_(*name_) params_;
struct slc_nccl {
    SLNC_FUNCTIONS(SLNC_POINTER)
    SLNC_OPTIONAL(SLNC_OPTIONAL_POINTER)
    int version; /* 22809: 2.28.9 */
};
#undef SLNC_POINTER
#undef SLNC_OPTIONAL_POINTER

#endif
