/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "../src/core/count.h"
#include "cu_args.h"
#include "cu_ext.h"
#include "cu_walk.h"

static sluice_status enter(sluice_context *context, int32_t layer, struct slc_layer **state)
{
    int64_t started;
    sluice_status status = slc_enter(context, SLUICE_OP_COUNT, &started);
    return status ? status : slc_check_layer(context, layer, state);
}

/* Runs `work` with the device entered; `what` is in the text where it fails. */
typedef slcu_result work_fn(sluice_context *context, int32_t bank, void *stream);

static sluice_status run(sluice_context *context, const char *what, work_fn *work, int32_t bank,
                         void *stream)
{
    slcu_result error = slc_gpu_enter(&context->gpu);
    if (error)
        return slc_judge(context, "cuCtxPushCurrent", error);
    error = work(context, bank, stream);
    slc_gpu_leave(&context->gpu);
    return slc_judge(context, what, error);
}

static slcu_result land(sluice_context *context, int32_t bank, void *stream)
{
    return slc_bank_read(context, &context->banks[bank], stream);
}

/* Counters to a tensor of the device, in stream order; a strided one number by number. */
static sluice_status copy_there(sluice_context *context, const struct slc_bank *bank,
                                const struct slc_view *view, void *stream)
{
    const struct slcu_driver *driver = context->gpu.driver;
    slcu_result error = slc_gpu_enter(&context->gpu);
    if (error)
        return slc_judge(context, "cuCtxPushCurrent", error);
    int32_t pieces = view->stride == 1 || view->rows < 2 ? 1 : bank->shape.physical;
    size_t bytes = (size_t)(bank->shape.physical / pieces) * sizeof(int64_t);
    for (int32_t i = 0; !error && i < pieces; i++)
        error = driver->MemcpyDtoDAsync(
            slc_address(view->data + i * view->stride * (int64_t)sizeof(int64_t)),
            slc_address(bank->counters + i), bytes, stream);
    slc_gpu_leave(&context->gpu);
    return slc_judge(context, "copying counters", error);
}

static sluice_status read_counters(sluice_context *context, int32_t layer,
                                   const sluice_tensor *counts, void *stream)
{
    struct slc_layer *state;
    struct slc_view view;
    sluice_status status = enter(context, layer, &state);
    if (status)
        return status;
    const struct slc_bank *bank = state->bank;
    status = slc_check_result(context, "counts", counts, bank->shape.physical, 1,
                              SLC_T_I64 | SLC_T_HOST, &view);
    if (status)
        return status;
    if (!view.host)
        return copy_there(context, bank, &view, stream);
    status = run(context, "reading counters", land, state->bank_index, stream);
    for (int32_t p = 0; !status && p < bank->shape.physical; p++)
        ((int64_t *)(void *)view.data)[p * view.stride] = bank->landing[p];
    return status;
}

static sluice_status snapshot(sluice_context *context, int64_t *counts, int64_t stride,
                              void *stream)
{
    struct slc_layer *state;
    sluice_status status = enter(context, 0, &state);
    if (status)
        return status;
    int64_t widest = 0;
    for (int32_t i = 0; i < context->layer_count; i++)
        if (context->layers[i].bank->shape.physical > widest)
            widest = context->layers[i].bank->shape.physical;
    if (!counts || stride < widest)
        return slc_fail(context, SLUICE_INVALID,
                        "counts is %s and stride is %lld: must be given and at least %lld",
                        counts ? "given" : "NULL", (long long)stride, (long long)widest);
    for (int32_t i = 0; !status && i < context->layer_count; i++) {
        const struct slc_bank *bank = context->layers[i].bank;
        size_t bytes = (size_t)bank->shape.physical * sizeof *counts;
        memset(counts + i * stride, 0, bytes);
        if (context->layers[i].bank_index != i)
            continue;
        status = run(context, "reading counters", land, i, stream);
        if (!status)
            memcpy(counts + i * stride, bank->landing, bytes);
    }
    return status;
}

static slcu_result zero(sluice_context *context, int32_t index, void *stream)
{
    struct slc_bank *bank = &context->banks[index];
    memset(bank->folded, 0, (size_t)bank->shape.experts * sizeof *bank->folded);
    return context->gpu.driver->MemsetD8Async(
        slc_address(bank->counters), 0, (size_t)bank->shape.physical * sizeof(uint64_t), stream);
}

static sluice_status reset(sluice_context *context, int32_t layer, void *stream)
{
    struct slc_layer *state;
    sluice_status status = enter(context, layer == -1 ? 0 : layer, &state);
    if (status)
        return status;
    if (layer != -1)
        return run(context, "zeroing counters", zero, state->bank_index, stream);
    for (int32_t i = 0; !status && i < context->layer_count; i++)
        if (context->layers[i].bank_index == i)
            status = run(context, "zeroing counters", zero, i, stream);
    return status;
}

static sluice_status read_logical(sluice_context *context, int32_t layer, int64_t *counts,
                                  int64_t count, void *stream)
{
    struct slc_layer *state;
    sluice_status status = enter(context, layer, &state);
    if (status)
        return status;
    const struct slc_bank *bank = state->bank;
    if (!counts || count != bank->shape.experts)
        return slc_fail(context, SLUICE_INVALID,
                        "counts is %s and count is %lld: layer %d has %d experts",
                        counts ? "given" : "NULL", (long long)count, layer, bank->shape.experts);
    status = run(context, "reading counters", land, state->bank_index, stream);
    if (status)
        return status;
    memcpy(counts, bank->folded, (size_t)count * sizeof *counts);
    sl_count_logical((const uint64_t *)bank->landing, &bank->shape, bank->place.map, counts);
    return SLUICE_OK;
}

/* Windows are not served by this version. */
const sluice_load_api slc_load_api = {
    .struct_size = sizeof slc_load_api,
    .read = read_counters,
    .snapshot = snapshot,
    .reset = reset,
    .add_slots = slc_add_slots,
    .read_logical = read_logical,
};
