/* SPDX-License-Identifier: Apache-2.0 */
#include "cu_context.h"

sluice_status slc_judge(sluice_context *context, const char *what, slcu_result error)
{
    if (!error)
        return SLUICE_OK;
    const char *name = slc_error_name(slc_of(context)->gpu.driver, error);
    if (error == SLCU_OUT_OF_MEMORY)
        return sl_fail(context, SLUICE_NO_MEMORY, "%s failed: %s", what, name);
    if (error >= SLCU_STREAM_CAPTURE_UNSUPPORTED && error <= SLCU_STREAM_CAPTURE_IMPLICIT)
        return sl_fail(context, SLUICE_NOT_CAPTURABLE,
                       "%s failed: %s: this call waits for the device and cannot be captured", what,
                       name);
    return sl_fail(context, SLUICE_DEVICE, "%s failed: %s", what, name);
}

sluice_status slc_run(sluice_context *context, const char *what, slc_work_fn *work, int32_t bank,
                      void *stream)
{
    const struct slc_gpu *gpu = &slc_of(context)->gpu;
    slcu_result error = slc_gpu_enter(gpu);
    if (error)
        return slc_judge(context, "cuCtxPushCurrent", error);
    error = work(context, bank, stream);
    slc_gpu_leave(gpu);
    return slc_judge(context, what, error);
}

slcu_result slc_not_captured(sluice_context *context, int32_t bank, void *stream)
{
    (void)bank;
    unsigned int capturing = 0;
    slcu_result error = slc_of(context)->gpu.driver->StreamIsCapturing(stream, &capturing);
    return !error && capturing ? SLCU_STREAM_CAPTURE_UNSUPPORTED : error;
}

sluice_status slc_may_wait(sluice_context *context, void *stream)
{
    return slc_run(context, "waiting for the stream", slc_not_captured, -1, stream);
}

static size_t rounded(size_t bytes)
{
    return bytes ? (bytes + 63) / 64 * 64 : 64;
}

void *slc_alloc_there(const sluice_context *context, size_t bytes)
{
    if (context->engine_memory)
        return context->host.alloc(context->host.user, rounded(bytes), 256, SLUICE_MEM_STATE,
                                   context->device);
    slcu_address address = 0;
    if (slc_of(context)->gpu.driver->MemAlloc(&address, rounded(bytes)))
        return NULL;
    return (void *)(uintptr_t)address; /* NOLINT(performance-no-int-to-ptr) */
}

void slc_free_there(const sluice_context *context, void *data, size_t bytes)
{
    if (!data)
        return;
    const struct slcu_driver *driver = slc_of(context)->gpu.driver;
    if (!context->engine_memory) {
        (void)driver->MemFree(slc_address(data));
        return;
    }
    /* As MemFree does: calls made before may still run, and the engine may use it at once. */
    (void)driver->CtxSynchronize();
    context->host.free(context->host.user, data, rounded(bytes), SLUICE_MEM_STATE, context->device);
}
