/* SPDX-License-Identifier: Apache-2.0 */
/* The driver's functions that the stand-in has. */
#ifndef STANDIN_DRV_API_H
#define STANDIN_DRV_API_H

#include "driver.h"

/* An attribute of a launch (CUlaunchAttribute) and its configuration (CUlaunchConfig). */
struct drv_attribute {
    int id;
    char pad[4];
    union {
        char room[64];
        int value;
        uint32_t dim[3];
    } value;
};
struct drv_launch {
    uint32_t blocks[3], threads[3], shared;
    struct CUstream_st *stream;
    struct drv_attribute *attributes;
    uint32_t count;
};

struct drv_uuid {
    char bytes[16];
};

/* F(name that is looked up, exported symbol, first version, parameters) */
#define DRV_FUNCTIONS(F)                                                                           \
    F(cuInit, cuInit, 2000, (unsigned flags))                                                      \
    F(cuDriverGetVersion, cuDriverGetVersion, 2020, (int *version))                                \
    F(cuGetErrorName, cuGetErrorName, 6000, (int error, const char **name))                        \
    F(cuGetErrorString, cuGetErrorString, 6000, (int error, const char **text))                    \
    F(cuGetProcAddress, cuGetProcAddress, 11030,                                                   \
      (const char *name, void **function, int version, uint64_t flags))                            \
    F(cuGetProcAddress, cuGetProcAddress_v2, 12000,                                                \
      (const char *name, void **function, int version, uint64_t flags, int *status))               \
    F(cuDeviceGet, cuDeviceGet, 2000, (int *device, int ordinal))                                  \
    F(cuDeviceGetCount, cuDeviceGetCount, 2000, (int *count))                                      \
    F(cuDeviceGetName, cuDeviceGetName, 2000, (char *name, int room, int device))                  \
    F(cuDeviceGetUuid, cuDeviceGetUuid, 9020, (struct drv_uuid * uuid, int device))                \
    F(cuDeviceGetUuid, cuDeviceGetUuid_v2, 11040, (struct drv_uuid * uuid, int device))            \
    F(cuDeviceTotalMem, cuDeviceTotalMem_v2, 3020, (size_t * bytes, int device))                   \
    F(cuDeviceGetAttribute, cuDeviceGetAttribute, 2000, (int *value, int attribute, int device))   \
    F(cuDeviceCanAccessPeer, cuDeviceCanAccessPeer, 4000, (int *can, int device, int peer))        \
    F(cuDevicePrimaryCtxRetain, cuDevicePrimaryCtxRetain, 7000,                                    \
      (struct CUctx_st * *ctx, int device))                                                        \
    F(cuDevicePrimaryCtxRelease, cuDevicePrimaryCtxRelease_v2, 11000, (int device))                \
    F(cuDevicePrimaryCtxReset, cuDevicePrimaryCtxReset_v2, 11000, (int device))                    \
    F(cuDevicePrimaryCtxGetState, cuDevicePrimaryCtxGetState, 7000,                                \
      (int device, unsigned *flags, int *active))                                                  \
    F(cuCtxGetCurrent, cuCtxGetCurrent, 4000, (struct CUctx_st * *ctx))                            \
    F(cuCtxSetCurrent, cuCtxSetCurrent, 4000, (struct CUctx_st * ctx))                             \
    F(cuCtxPushCurrent, cuCtxPushCurrent_v2, 4000, (struct CUctx_st * ctx))                        \
    F(cuCtxPopCurrent, cuCtxPopCurrent_v2, 4000, (struct CUctx_st * *ctx))                         \
    F(cuCtxGetDevice, cuCtxGetDevice, 2000, (int *device))                                         \
    F(cuCtxSynchronize, cuCtxSynchronize, 2000, (void))                                            \
    F(cuModuleLoadData, cuModuleLoadData, 2000, (struct CUmod_st * *module, const void *image))    \
    F(cuModuleLoadDataEx, cuModuleLoadDataEx, 2010,                                                \
      (struct CUmod_st * *module, const void *image, unsigned count, int *options, void **values)) \
    F(cuModuleLoadFatBinary, cuModuleLoadFatBinary, 2000,                                          \
      (struct CUmod_st * *module, const void *image))                                              \
    F(cuModuleUnload, cuModuleUnload, 2000, (struct CUmod_st * module))                            \
    F(cuModuleGetFunction, cuModuleGetFunction, 2000,                                              \
      (struct CUfunc_st * *function, struct CUmod_st * module, const char *name))                  \
    F(cuModuleGetGlobal, cuModuleGetGlobal_v2, 3020,                                               \
      (drv_address * address, size_t * bytes, struct CUmod_st * module, const char *name))         \
    F(cuLibraryLoadData, cuLibraryLoadData, 12000,                                                 \
      (struct CUmod_st * *library, const void *image, int *jit, void **jit_values,                 \
       unsigned jit_count, int *options, void **values, unsigned count))                           \
    F(cuLibraryUnload, cuLibraryUnload, 12000, (struct CUmod_st * library))                        \
    F(cuLibraryGetKernel, cuLibraryGetKernel, 12000,                                               \
      (struct CUfunc_st * *kernel, struct CUmod_st * library, const char *name))                   \
    F(cuKernelGetFunction, cuKernelGetFunction, 12000,                                             \
      (struct CUfunc_st * *function, struct CUfunc_st * kernel))                                   \
    F(cuFuncGetAttribute, cuFuncGetAttribute, 2020,                                                \
      (int *value, int attribute, struct CUfunc_st *function))                                     \
    F(cuFuncSetAttribute, cuFuncSetAttribute, 9000,                                                \
      (struct CUfunc_st * function, int attribute, int value))                                     \
    F(cuLaunchKernel, cuLaunchKernel, 4000,                                                        \
      (struct CUfunc_st * function, unsigned bx, unsigned by, unsigned bz, unsigned tx,            \
       unsigned ty, unsigned tz, unsigned shared, struct CUstream_st *stream, void **params,       \
       void **extra))                                                                              \
    F(cuLaunchKernelEx, cuLaunchKernelEx, 11060,                                                   \
      (const struct drv_launch *config, struct CUfunc_st *function, void **params, void **extra))  \
    F(cuLaunchHostFunc, cuLaunchHostFunc, 10000,                                                   \
      (struct CUstream_st * stream, void (*host)(void *arg), void *arg))                           \
    F(cuMemAlloc, cuMemAlloc_v2, 3020, (drv_address * address, size_t bytes))                      \
    F(cuMemFree, cuMemFree_v2, 3020, (drv_address address))                                        \
    F(cuMemAllocHost, cuMemAllocHost_v2, 3020, (void **data, size_t bytes))                        \
    F(cuMemHostAlloc, cuMemHostAlloc, 2020, (void **data, size_t bytes, unsigned flags))           \
    F(cuMemFreeHost, cuMemFreeHost, 2000, (void *data))                                            \
    F(cuMemHostGetDevicePointer, cuMemHostGetDevicePointer_v2, 3020,                               \
      (drv_address * address, void *data, unsigned flags))                                         \
    F(cuMemGetInfo, cuMemGetInfo_v2, 3020, (size_t * left, size_t * total))                        \
    F(cuMemGetAddressRange, cuMemGetAddressRange_v2, 3020,                                         \
      (drv_address * base, size_t * bytes, drv_address address))                                   \
    F(cuMemcpy, cuMemcpy, 4000, (drv_address to, drv_address from, size_t bytes))                  \
    F(cuMemcpyAsync, cuMemcpyAsync, 4000,                                                          \
      (drv_address to, drv_address from, size_t bytes, struct CUstream_st * stream))               \
    F(cuMemcpyHtoD, cuMemcpyHtoD_v2, 3020, (drv_address to, const void *from, size_t bytes))       \
    F(cuMemcpyDtoH, cuMemcpyDtoH_v2, 3020, (void *to, drv_address from, size_t bytes))             \
    F(cuMemcpyDtoD, cuMemcpyDtoD_v2, 3020, (drv_address to, drv_address from, size_t bytes))       \
    F(cuMemcpyHtoDAsync, cuMemcpyHtoDAsync_v2, 3020,                                               \
      (drv_address to, const void *from, size_t bytes, struct CUstream_st *stream))                \
    F(cuMemcpyDtoHAsync, cuMemcpyDtoHAsync_v2, 3020,                                               \
      (void *to, drv_address from, size_t bytes, struct CUstream_st *stream))                      \
    F(cuMemcpyDtoDAsync, cuMemcpyDtoDAsync_v2, 3020,                                               \
      (drv_address to, drv_address from, size_t bytes, struct CUstream_st * stream))               \
    F(cuMemsetD8, cuMemsetD8_v2, 3020, (drv_address to, unsigned char value, size_t count))        \
    F(cuMemsetD32, cuMemsetD32_v2, 3020, (drv_address to, unsigned value, size_t count))           \
    F(cuMemsetD8Async, cuMemsetD8Async, 3020,                                                      \
      (drv_address to, unsigned char value, size_t count, struct CUstream_st *stream))             \
    F(cuMemsetD32Async, cuMemsetD32Async, 3020,                                                    \
      (drv_address to, unsigned value, size_t count, struct CUstream_st *stream))                  \
    F(cuStreamCreate, cuStreamCreate, 2000, (struct CUstream_st * *stream, unsigned flags))        \
    F(cuStreamCreateWithPriority, cuStreamCreateWithPriority, 5050,                                \
      (struct CUstream_st * *stream, unsigned flags, int priority))                                \
    F(cuStreamDestroy, cuStreamDestroy_v2, 4000, (struct CUstream_st * stream))                    \
    F(cuStreamQuery, cuStreamQuery, 2000, (struct CUstream_st * stream))                           \
    F(cuStreamSynchronize, cuStreamSynchronize, 2000, (struct CUstream_st * stream))               \
    F(cuStreamWaitEvent, cuStreamWaitEvent, 3020,                                                  \
      (struct CUstream_st * stream, struct CUevent_st * event, unsigned flags))                    \
    F(cuStreamIsCapturing, cuStreamIsCapturing, 10000, (struct CUstream_st * stream, int *status)) \
    F(cuStreamBeginCapture, cuStreamBeginCapture_v2, 10010,                                        \
      (struct CUstream_st * stream, int mode))                                                     \
    F(cuStreamEndCapture, cuStreamEndCapture, 10000,                                               \
      (struct CUstream_st * stream, struct CUgraph_st * *graph))                                   \
    F(cuEventCreate, cuEventCreate, 2000, (struct CUevent_st * *event, unsigned flags))            \
    F(cuEventRecord, cuEventRecord, 2000,                                                          \
      (struct CUevent_st * event, struct CUstream_st * stream))                                    \
    F(cuEventQuery, cuEventQuery, 2000, (struct CUevent_st * event))                               \
    F(cuEventSynchronize, cuEventSynchronize, 2000, (struct CUevent_st * event))                   \
    F(cuEventElapsedTime, cuEventElapsedTime, 2000,                                                \
      (float *ms, struct CUevent_st *from, struct CUevent_st *to))                                 \
    F(cuEventElapsedTime, cuEventElapsedTime_v2, 12080,                                            \
      (float *ms, struct CUevent_st *from, struct CUevent_st *to))                                 \
    F(cuEventDestroy, cuEventDestroy_v2, 4000, (struct CUevent_st * event))                        \
    F(cuGraphInstantiateWithFlags, cuGraphInstantiateWithFlags, 11040,                             \
      (struct CUgraphExec_st * *exec, struct CUgraph_st * graph, unsigned long long flags))        \
    F(cuGraphLaunch, cuGraphLaunch, 10000,                                                         \
      (struct CUgraphExec_st * exec, struct CUstream_st * stream))                                 \
    F(cuGraphDestroy, cuGraphDestroy, 10000, (struct CUgraph_st * graph))                          \
    F(cuGraphExecDestroy, cuGraphExecDestroy, 10000, (struct CUgraphExec_st * exec))

#define DRV_DECLARE(name_, symbol_, version_, params_) DRV_API int symbol_ params_;
DRV_FUNCTIONS(DRV_DECLARE)
#undef DRV_DECLARE

#endif
