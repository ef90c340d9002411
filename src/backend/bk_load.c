/* SPDX-License-Identifier: Apache-2.0 */
#include "bk_load.h"

#include <string.h>

#include "../core/count.h"
#include "../core/mutant.h"

static sluice_status enter(sluice_context *context, int32_t layer, struct sl_layer **state)
{
    int64_t started;
    sluice_status status = sl_enter(context, SLUICE_OP_COUNT, &started);
    return status ? status : sl_check_layer(context, layer, state);
}

sluice_status sl_load_check_read(sluice_context *context, int32_t layer,
                                 const sluice_tensor *counts, struct sl_layer **state,
                                 struct sl_view *view)
{
    sluice_status status = enter(context, layer, state);
    if (status)
        return status;
    return sl_check_result(context, "counts", counts, (*state)->bank->shape.physical, 1,
                           SL_T_I64 | SL_T_HOST, view);
}

sluice_status sl_load_copy(sluice_context *context, int32_t bank, const struct sl_view *view,
                           void *stream)
{
    const uint64_t *counters;
    sluice_status status = context->backend->read(context, bank, stream, &counters);
    for (int32_t p = 0; !status && p < context->banks[bank].shape.physical; p++)
        ((int64_t *)(void *)view->data)[p * view->stride] = (int64_t)counters[p];
    return status;
}

sluice_status sl_load_snapshot(sluice_context *context, int64_t *counts, int64_t stride,
                               void *stream)
{
    struct sl_layer *state;
    sluice_status status = enter(context, 0, &state);
    if (status)
        return status;
    int64_t widest = 0;
    for (int32_t i = 0; i < context->layer_count; i++)
        if (context->layers[i].bank->shape.physical > widest)
            widest = context->layers[i].bank->shape.physical;
    if (!counts || stride < widest)
        return sl_fail(context, SLUICE_INVALID,
                       "counts is %s and stride is %lld: must be given and at least %lld",
                       counts ? "given" : "NULL", (long long)stride, (long long)widest);
    for (int32_t i = 0; !status && i < context->layer_count; i++) {
        const struct sl_bank *bank = context->layers[i].bank;
        const uint64_t *counters;
        int64_t *row = counts + i * stride;
        memset(row, 0, (size_t)bank->shape.physical * sizeof *row);
        if (context->layers[i].bank_index != i)
            continue;
        status = context->backend->read(context, i, stream, &counters);
        for (int32_t p = 0; !status && p < bank->shape.physical; p++)
            row[p] = (int64_t)counters[p];
    }
    return status;
}

static sluice_status zero(sluice_context *context, int32_t index, void *stream)
{
    struct sl_bank *bank = &context->banks[index];
    size_t folded = (size_t)bank->shape.experts + (size_t)bank->shape.ranks;
    sluice_status status = sl_windows_settle(context);
    if (status || (status = context->backend->zero(context, index, stream)))
        return status;
    memset(bank->folded, 0, folded * sizeof *bank->folded);
    sl_windows_forget(context, index);
    return SLUICE_OK;
}

sluice_status sl_load_reset(sluice_context *context, int32_t layer, void *stream)
{
    struct sl_layer *state;
    sluice_status status = enter(context, layer == -1 ? 0 : layer, &state);
    if (status)
        return status;
    if (SL_MUTANT(reset_clears_nothing))
        return SLUICE_OK;
    if (layer != -1)
        return zero(context, state->bank_index, stream);
    for (int32_t i = 0; !status && i < context->layer_count; i++)
        if (context->layers[i].bank_index == i)
            status = zero(context, i, stream);
    return status;
}

sluice_status sl_load_check_slots(sluice_context *context, const sluice_load_slots *args,
                                  struct sl_layer **state, struct sl_view *view)
{
    sluice_status status =
        sl_check_struct(context, NULL, 0, "args", args, sizeof *args, sizeof *args);
    if (status || (status = sl_check_layer(context, args->layer, state)))
        return status;
    return sl_check_tensor(context, "slot_counts", args->slot_counts, (*state)->bank->shape.local,
                           1, SL_T_IDS, view);
}

sluice_status sl_load_read_logical(sluice_context *context, int32_t layer, int64_t *counts,
                                   int64_t count, void *stream)
{
    struct sl_layer *state;
    const uint64_t *counters;
    sluice_status status = enter(context, layer, &state);
    if (status)
        return status;
    const struct sl_bank *bank = state->bank;
    if (!counts || count != bank->shape.experts)
        return sl_fail(context, SLUICE_INVALID,
                       "counts is %s and count is %lld: layer %d has %d experts",
                       counts ? "given" : "NULL", (long long)count, layer, bank->shape.experts);
    if ((status = context->backend->read(context, state->bank_index, stream, &counters)))
        return status;
    memcpy(counts, bank->folded, (size_t)count * sizeof *counts);
    sl_count_logical(counters, &bank->shape, bank->place.map, counts);
    return SLUICE_OK;
}
