/* SPDX-License-Identifier: Apache-2.0 */
#include "cu_land.h"

size_t slc_land_bytes(const sluice_context *context)
{
    size_t bytes = 0;
    for (int32_t i = 0; i < context->layer_count; i++)
        if (context->layers[i].bank_index == i)
            bytes += (size_t)context->banks[i].shape.physical * sizeof(uint64_t);
    return bytes;
}

bool slc_land_open(sluice_context *context, slcu_result *error)
{
    struct slc_context *own = slc_of(context);
    void *memory = NULL;
    *error = own->gpu.driver->MemHostAlloc(&memory, slc_land_bytes(context), SLCU_HOST_PORTABLE);
    if (*error == SLCU_OUT_OF_MEMORY)
        *error = SLCU_SUCCESS;
    else if (!*error)
        own->landing = memory;
    if (!own->landing)
        return false;
    uint64_t *at = own->landing;
    for (int32_t i = 0; i < context->layer_count; i++) {
        if (context->layers[i].bank_index != i)
            continue;
        context->banks[i].landing = at;
        at += context->banks[i].shape.physical;
    }
    *error = own->gpu.driver->EventCreate(&own->landed, SLCU_EVENT_DISABLE_TIMING);
    return !*error;
}

void slc_land_close(sluice_context *context)
{
    struct slc_context *own = slc_of(context);
    if (own->landed)
        (void)own->gpu.driver->EventDestroy(own->landed);
    if (own->landing)
        (void)own->gpu.driver->MemFreeHost(own->landing);
}

static slcu_result land(sluice_context *context, int32_t all, void *stream)
{
    const struct slcu_driver *driver = slc_of(context)->gpu.driver;
    slcu_result error = slc_not_captured(context, all, stream);
    for (int32_t i = 0; !error && i < context->layer_count; i++) {
        const struct sl_bank *bank = &context->banks[i];
        if (context->layers[i].bank_index == i)
            error =
                driver->MemcpyDtoHAsync(bank->landing, slc_address(bank->counters),
                                        (size_t)bank->shape.physical * sizeof(uint64_t), stream);
    }
    return error ? error : driver->EventRecord(slc_of(context)->landed, stream);
}

sluice_status slc_land(sluice_context *context, void *stream)
{
    return slc_run(context, "ending the window", land, -1, stream);
}

sluice_status slc_landed(sluice_context *context, bool wait, bool *there)
{
    const struct slc_context *own = slc_of(context);
    const struct slcu_driver *driver = own->gpu.driver;
    slcu_result error = slc_gpu_enter(&own->gpu);
    if (error)
        return slc_judge(context, "cuCtxPushCurrent", error);
    error = wait ? driver->EventSynchronize(own->landed) : driver->EventQuery(own->landed);
    slc_gpu_leave(&own->gpu);
    *there = !error;
    return slc_judge(context, "reading counters", error == SLCU_NOT_READY ? SLCU_SUCCESS : error);
}
