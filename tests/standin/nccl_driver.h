/* SPDX-License-Identifier: Apache-2.0 */
/* The driver stand-in as the NCCL stand-in sees it: functions taken by name from libcuda.so.1. */
#ifndef STANDIN_NCCL_DRIVER_H
#define STANDIN_NCCL_DRIVER_H

#include <stdbool.h>
#include <stddef.h>

#include "standin.h"

struct CUctx_st;

struct driver {
    int (*cuCtxGetCurrent)(struct CUctx_st **ctx);
    int (*cuCtxGetDevice)(int *device);
    int (*cuCtxPushCurrent_v2)(struct CUctx_st *ctx);
    int (*cuCtxPopCurrent_v2)(struct CUctx_st **ctx);
    int (*cuMemAlloc_v2)(uint64_t *address, size_t bytes);
    int (*cuMemFree_v2)(uint64_t address);
    int (*cuStreamIsCapturing)(struct CUstream_st *stream, int *status);
    int (*standin_enqueue)(struct CUstream_st *stream, const struct standin_task *task, void *arg);
    int (*standin_join)(struct CUstream_st *stream, struct CUstream_st *other);
    int (*standin_memory)(uint64_t address, uint64_t bytes, int device, const char *what,
                          uint8_t **data, uint8_t **init);
    void (*standin_say)(const char *text);
};

/* NULL where libcuda.so.1 is not there or not the stand-in. */
const struct driver *driver(void);

#endif
