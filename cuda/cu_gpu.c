/* SPDX-License-Identifier: Apache-2.0
 * One device: its primary context and the kernels, which lie in this library as a fat binary. */
#include <stdio.h>

#include "cu_driver.h"

extern const unsigned char slc_fatbin[]; /* cu_fatbin.S */

static const char *const NAMES[SLC_KERNELS] = {
#define NAME(name_, job_) "slc_" #name_,
    SLC_KERNEL_LIST(NAME)
#undef NAME
};

static sluice_status refuse(const struct slc_gpu *gpu, const char *what, slcu_result error,
                            char *text, size_t text_size)
{
    if (text && text_size)
        (void)snprintf(text, text_size, "%s failed: %s", what, slc_error_name(gpu->driver, error));
    return error == SLCU_OUT_OF_MEMORY ? SLUICE_NO_MEMORY : SLUICE_UNAVAILABLE;
}

static sluice_status find_device(struct slc_gpu *gpu, int32_t ordinal, char *text, size_t text_size)
{
    int count = 0, major = 0, minor = 0, processors = 0;
    slcu_result error = gpu->driver->DeviceGetCount(&count);
    if (error)
        return refuse(gpu, "cuDeviceGetCount", error, text, text_size);
    if (ordinal < 0 || ordinal >= count) {
        if (text && text_size)
            (void)snprintf(text, text_size, "no CUDA device %d: there are %d", ordinal, count);
        return SLUICE_UNAVAILABLE;
    }
    error = gpu->driver->DeviceGet(&gpu->device, ordinal);
    if (!error)
        error = gpu->driver->DeviceGetAttribute(&major, SLCU_COMPUTE_CAPABILITY_MAJOR, gpu->device);
    if (!error)
        error = gpu->driver->DeviceGetAttribute(&minor, SLCU_COMPUTE_CAPABILITY_MINOR, gpu->device);
    if (!error)
        error =
            gpu->driver->DeviceGetAttribute(&processors, SLCU_MULTIPROCESSOR_COUNT, gpu->device);
    if (error)
        return refuse(gpu, "cuDeviceGet", error, text, text_size);
    gpu->processors = processors > 0 ? processors : 1;
    if (major < 8) {
        if (text && text_size)
            (void)snprintf(text, text_size,
                           "CUDA device %d has compute capability %d.%d: must be at least 8.0",
                           ordinal, major, minor);
        return SLUICE_UNAVAILABLE;
    }
    return SLUICE_OK;
}

static sluice_status load(struct slc_gpu *gpu, char *text, size_t text_size)
{
    slcu_result error = slc_gpu_enter(gpu);
    if (error)
        return refuse(gpu, "cuCtxPushCurrent", error, text, text_size);
    const char *what = "cuModuleLoadData of the kernels";
    error = gpu->driver->ModuleLoadData(&gpu->module, slc_fatbin);
    for (int i = 0; !error && i < SLC_KERNELS; i++) {
        what = NAMES[i];
        error = gpu->driver->ModuleGetFunction(&gpu->kernel[i], gpu->module, NAMES[i]);
    }
    slc_gpu_leave(gpu);
    return error ? refuse(gpu, what, error, text, text_size) : SLUICE_OK;
}

sluice_status slc_gpu_open(struct slc_gpu *gpu, int32_t ordinal, char *text, size_t text_size)
{
    *gpu = (struct slc_gpu){.driver = slc_driver(text, text_size)};
    if (!gpu->driver)
        return SLUICE_UNAVAILABLE;
    sluice_status status = find_device(gpu, ordinal, text, text_size);
    if (status)
        return status;
    slcu_result error = gpu->driver->DevicePrimaryCtxRetain(&gpu->context, gpu->device);
    if (error) {
        gpu->context = NULL;
        return refuse(gpu, "cuDevicePrimaryCtxRetain", error, text, text_size);
    }
    status = load(gpu, text, text_size);
    if (status)
        slc_gpu_close(gpu);
    return status;
}

void slc_gpu_close(struct slc_gpu *gpu)
{
    if (!gpu->context)
        return;
    if (gpu->module && slc_gpu_enter(gpu) == SLCU_SUCCESS) {
        (void)gpu->driver->ModuleUnload(gpu->module);
        slc_gpu_leave(gpu);
    }
    (void)gpu->driver->DevicePrimaryCtxRelease(gpu->device);
    gpu->context = NULL;
    gpu->module = NULL;
}

slcu_result slc_gpu_enter(const struct slc_gpu *gpu)
{
    return gpu->driver->CtxPushCurrent(gpu->context);
}

void slc_gpu_leave(const struct slc_gpu *gpu)
{
    slcu_context popped;
    (void)gpu->driver->CtxPopCurrent(&popped);
}

slcu_result slc_start(const struct slc_gpu *gpu, enum slc_kernel kernel, int32_t blocks,
                      int32_t warps, size_t shared_bytes, void *param, void *stream)
{
    void *params[] = {param};
    return gpu->driver->LaunchKernel(gpu->kernel[kernel], (unsigned)blocks, 1, 1,
                                     (unsigned)warps * 32, 1, 1, (unsigned)shared_bytes, stream,
                                     params, NULL);
}
