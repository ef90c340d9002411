/* SPDX-License-Identifier: Apache-2.0
 * The part of the CUDA driver API that this backend uses, declared here so that it builds without
 * NVIDIA's headers. tests/cuda/cu_types_check.c compares it with cuda.h where that is installed.
 * Names are the driver's with another prefix. */
#ifndef SLC_TYPES_H
#define SLC_TYPES_H

#include <stddef.h>
#include <stdint.h>

typedef unsigned int slcu_result;        /* CUresult: what its enum is compatible with */
typedef int slcu_device;                 /* CUdevice */
typedef unsigned long long slcu_address; /* CUdeviceptr */
typedef struct CUctx_st *slcu_context;
typedef struct CUmod_st *slcu_module;
typedef struct CUfunc_st *slcu_function;
typedef struct CUstream_st *slcu_stream;
typedef struct CUevent_st *slcu_event;
typedef struct CUgraph_st *slcu_graph;
typedef struct CUgraphExec_st *slcu_graph_exec;

enum {
    SLCU_SUCCESS = 0,
    SLCU_OUT_OF_MEMORY = 2,
    SLCU_NO_DEVICE = 100,
    SLCU_NOT_READY = 600,
    SLCU_STREAM_CAPTURE_UNSUPPORTED = 900,
    SLCU_STREAM_CAPTURE_IMPLICIT = 906,
    SLCU_STREAM_NON_BLOCKING = 1,
    SLCU_CAPTURE_MODE_THREAD_LOCAL = 1,
    SLCU_HOST_PORTABLE = 1,
    SLCU_EVENT_DISABLE_TIMING = 2,
    SLCU_MULTIPROCESSOR_COUNT = 16,
    SLCU_COMPUTE_CAPABILITY_MAJOR = 75,
    SLCU_COMPUTE_CAPABILITY_MINOR = 76
};

/* name, version of the entry point that is asked for, parameters */
#define SLCU_FUNCTIONS(F)                                                                          \
    F(Init, 2000, (unsigned int flags))                                                            \
    F(DriverGetVersion, 2020, (int *version))                                                      \
    F(GetErrorName, 6000, (slcu_result error, const char **name))                                  \
    F(DeviceGetCount, 2000, (int *count))                                                          \
    F(DeviceGet, 2000, (slcu_device * device, int ordinal))                                        \
    F(DeviceGetAttribute, 2000, (int *value, unsigned int attribute, slcu_device device))          \
    F(DevicePrimaryCtxRetain, 7000, (slcu_context * context, slcu_device device))                  \
    F(DevicePrimaryCtxRelease, 11000, (slcu_device device))                                        \
    F(CtxPushCurrent, 4000, (slcu_context context))                                                \
    F(CtxPopCurrent, 4000, (slcu_context * context))                                               \
    F(CtxSynchronize, 2000, (void))                                                                \
    F(ModuleLoadData, 2000, (slcu_module * module, const void *image))                             \
    F(ModuleUnload, 2000, (slcu_module module))                                                    \
    F(ModuleGetFunction, 2000, (slcu_function * function, slcu_module module, const char *name))   \
    F(LaunchKernel, 4000,                                                                          \
      (slcu_function function, unsigned int grid_x, unsigned int grid_y, unsigned int grid_z,      \
       unsigned int block_x, unsigned int block_y, unsigned int block_z,                           \
       unsigned int shared_bytes, slcu_stream stream, void **params, void **extra))                \
    F(MemAlloc, 3020, (slcu_address * address, size_t bytes))                                      \
    F(MemFree, 3020, (slcu_address address))                                                       \
    F(MemHostAlloc, 2020, (void **data, size_t bytes, unsigned int flags))                         \
    F(MemFreeHost, 2000, (void *data))                                                             \
    F(MemcpyAsync, 4000, (slcu_address to, slcu_address from, size_t bytes, slcu_stream stream))   \
    F(MemcpyHtoDAsync, 3020,                                                                       \
      (slcu_address to, const void *from, size_t bytes, slcu_stream stream))                       \
    F(MemcpyDtoHAsync, 3020, (void *to, slcu_address from, size_t bytes, slcu_stream stream))      \
    F(MemcpyDtoDAsync, 3020,                                                                       \
      (slcu_address to, slcu_address from, size_t bytes, slcu_stream stream))                      \
    F(MemsetD8Async, 3020,                                                                         \
      (slcu_address to, unsigned char value, size_t bytes, slcu_stream stream))                    \
    F(StreamCreate, 2000, (slcu_stream * stream, unsigned int flags))                              \
    F(StreamDestroy, 4000, (slcu_stream stream))                                                   \
    F(StreamQuery, 2000, (slcu_stream stream))                                                     \
    F(StreamSynchronize, 2000, (slcu_stream stream))                                               \
    F(StreamIsCapturing, 10000, (slcu_stream stream, unsigned int *status))                        \
    F(StreamBeginCapture, 10010, (slcu_stream stream, unsigned int mode))                          \
    F(StreamEndCapture, 10000, (slcu_stream stream, slcu_graph * graph))                           \
    F(EventCreate, 2000, (slcu_event * event, unsigned int flags))                                 \
    F(EventRecord, 2000, (slcu_event event, slcu_stream stream))                                   \
    F(EventQuery, 2000, (slcu_event event))                                                        \
    F(EventSynchronize, 2000, (slcu_event event))                                                  \
    F(EventDestroy, 4000, (slcu_event event))                                                      \
    F(GraphInstantiateWithFlags, 11040,                                                            \
      (slcu_graph_exec * exec, slcu_graph graph, unsigned long long flags))                        \
    F(GraphLaunch, 10000, (slcu_graph_exec exec, slcu_stream stream))                              \
    F(GraphExecDestroy, 10000, (slcu_graph_exec exec))                                             \
    F(GraphDestroy, 10000, (slcu_graph graph))

#define SLCU_POINTER(name_, version_, params_) slcu_result(*name_) params_;
struct slcu_driver {
    SLCU_FUNCTIONS(SLCU_POINTER)
};
#undef SLCU_POINTER

#endif
