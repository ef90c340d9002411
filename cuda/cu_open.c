/* SPDX-License-Identifier: Apache-2.0
 * What open of the CUDA backend adds: the device, and what lies on it. */
#include "cu_open.h"

#include "../src/backend/bk_bank.h"
#include "../src/backend/bk_config.h"
#include "../src/backend/bk_lane.h"
#include "../src/backend/bk_open.h"
#include "cu_balance.h"
#include "cu_bank.h"
#include "cu_land.h"
#include "cu_mover.h"
#include "cu_water.h"

/* The context's own device memory: see slc_context. */
static size_t bytes_there(const sluice_context *context)
{
    return (SLUICE_OP_COUNT + 1 + 2 * (size_t)context->layer_count) * sizeof(uint64_t) +
           ((size_t)context->ranks + 1) * sizeof(int32_t);
}

static void add_needs(const sluice_context *context, sluice_needs *needs)
{
    size_t balance, water;
    needs->device_bytes = bytes_there(context) + slc_balance_needs(context, &balance) +
                          slc_water_needs(context, &water);
    needs->host_bytes += balance + water;
    needs->pinned_bytes += slc_land_bytes(context);
    for (int32_t i = 0; i < context->layer_count; i++) {
        if (context->layers[i].bank_index != i)
            continue;
        needs->host_bytes += slc_bank_bytes(&context->banks[i].shape);
        needs->device_bytes += slc_bank_bytes_there(&context->banks[i].shape);
    }
}

static bool start_there(sluice_context *context, slcu_result *error)
{
    struct slc_context *own = slc_of(context);
    const struct slcu_driver *driver = own->gpu.driver;
    size_t bytes = bytes_there(context);
    own->there = slc_alloc_there(context, bytes);
    if (!own->there)
        return false;
    own->rejected = own->there;
    own->dead = own->rejected + SLUICE_OP_COUNT;
    int64_t *calls = (int64_t *)(own->dead + 1);
    own->living_there = (int32_t *)(calls + 2 * (ptrdiff_t)context->layer_count);
    bool draws = context->copy_policy == SLUICE_COPY_RANDOM &&
                 !(context->flags & SLUICE_OPEN_EVERY_RANK_EVERY_ROW);
    for (int32_t i = 0; draws && i < context->layer_count; i++) {
        own->layers[i].calls = calls + 2 * (ptrdiff_t)i;
        own->layers[i].done = (uint32_t *)(void *)(own->layers[i].calls + 1);
    }
    *error = driver->MemsetD8Async(slc_address(own->there), 0, bytes, NULL);
    return !*error;
}

/* All that lies on the device; its context is entered. */
static bool start_device(sluice_context *context, slcu_result *error)
{
    if (!start_there(context, error) || !slc_land_open(context, error))
        return false;
    for (int32_t i = 0; i < context->layer_count; i++)
        if (context->layers[i].bank_index == i && !slc_bank_open(context, i, error))
            return false;
    if (!slc_balance_open(context, error) || !slc_water_open(context, error))
        return false;
    *error = slc_tables_renew(context, -1, NULL);
    return !*error;
}

/* What ranks do together, with the device's context entered. */
static sluice_status start_exchange(sluice_context *context, const sluice_config *config,
                                    const struct sl_text *text, sluice_needs *needs)
{
    if (!context->exchange)
        return SLUICE_OK;
    sluice_status status = slc_mover_open(context, text, needs, false);
    if (status)
        return status;
    if (config->flags & SLUICE_OPEN_JOIN) {
        sl_exchange_hold(context);
        return SLUICE_OK;
    }
    status = sl_exchange_agree(context, config, text->data, text->size);
    return status ? status : slc_mover_connect(context, text->data, text->size);
}

static sluice_status start(sluice_context *context, const sluice_config *config,
                           const struct sl_text *text, sluice_needs *needs, bool query)
{
    struct slc_gpu *gpu = &slc_of(context)->gpu;
    slc_of(context)->share_row = slc_share_row(context);
    add_needs(context, needs);
    sluice_status status =
        context->exchanges ? sl_exchange_open(context, config, text, needs) : SLUICE_OK;
    if (status)
        return status;
    status = slc_gpu_open(gpu, context->device.id, text->data, text->size);
    if (status)
        return status;
    if (query)
        return context->exchange ? slc_mover_open(context, text, needs, true) : SLUICE_OK;
    bool whole = sl_banks_open(context) && sl_balance_open(context);
    slcu_result error = slc_gpu_enter(gpu);
    bool entered = !error;
    whole = whole && entered && start_device(context, &error);
    if (whole)
        status = start_exchange(context, config, text, needs);
    if (entered)
        slc_gpu_leave(gpu);
    if (whole)
        return status;
    if (error)
        return sl_text_fail(text, SLUICE_DEVICE, "preparing the device failed: %s",
                            slc_error_name(gpu->driver, error));
    return sl_text_fail(
        text, SLUICE_NO_MEMORY, "no memory for %llu bytes on the device and %llu on the host",
        (unsigned long long)needs->device_bytes, (unsigned long long)needs->host_bytes);
}

static void stop(sluice_context *context)
{
    struct slc_context *own = slc_of(context);
    if (!own->gpu.context) {
        sl_exchange_close(context);
        return;
    }
    bool entered = slc_gpu_enter(&own->gpu) == SLCU_SUCCESS;
    slc_mover_close(context);
    for (int32_t i = 0; context->banks && i < context->layer_count; i++)
        slc_bank_close(context, i);
    slc_balance_close(context);
    slc_water_close(context);
    slc_free_there(context, own->there, bytes_there(context));
    slc_land_close(context);
    if (entered)
        slc_gpu_leave(&own->gpu);
    slc_gpu_close(&own->gpu);
    sl_exchange_close(context);
    sl_balance_close(context);
}

static const struct sl_backend backend = {
    .device = SLUICE_CUDA,
    .context_bytes = sizeof(struct slc_context),
    .layer_bytes = sizeof(struct slc_layer),
    .start = start,
    .stop = stop,
    .read = slc_bank_read,
    .zero = slc_bank_zero,
    .land = slc_land,
    .landed = slc_landed,
    .renew = slc_bank_renew,
    .may_wait = slc_may_wait,
    .read_tally = slc_read_tally,
    .zero_tally = slc_zero_tally,
    .heed = slc_mover_heed,
    .cancel = slc_mover_cancel,
    .balance = &slc_balance_there,
};

sluice_status slc_open(const sluice_config *config, sluice_context **out, char *text, size_t size)
{
    return sl_open(&backend, config, out, text, size);
}
