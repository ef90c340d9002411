/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "../core/count.h"
#include "../core/mutant.h"
#include "cpu_args.h"
#include "cpu_ext.h"

static sluice_status enter(sluice_context *context, int32_t layer, struct sl_layer **state)
{
    int64_t started;
    sluice_status status = sl_enter(context, SLUICE_OP_COUNT, &started);
    return status ? status : sl_check_layer(context, layer, state);
}

static sluice_status read_counters(sluice_context *context, int32_t layer,
                                   const sluice_tensor *counts, void *stream)
{
    (void)stream;
    struct sl_layer *state;
    struct sl_view view;
    sluice_status status = enter(context, layer, &state);
    if (status)
        return status;
    const struct sl_bank *bank = state->bank;
    status = sl_check_result(context, "counts", counts, bank->shape.physical, 1, SL_T_I64, &view);
    if (status)
        return status;
    for (int32_t p = 0; p < bank->shape.physical; p++)
        ((int64_t *)(void *)view.data)[p * view.stride] = (int64_t)bank->counters[p];
    return SLUICE_OK;
}

static sluice_status snapshot(sluice_context *context, int64_t *counts, int64_t stride,
                              void *stream)
{
    (void)stream;
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
    for (int32_t i = 0; i < context->layer_count; i++) {
        const struct sl_bank *bank = context->layers[i].bank;
        int64_t *row = counts + i * stride;
        memset(row, 0, (size_t)bank->shape.physical * sizeof *row);
        for (int32_t p = 0; context->layers[i].bank_index == i && p < bank->shape.physical; p++)
            row[p] = (int64_t)bank->counters[p];
    }
    return SLUICE_OK;
}

static void zero(sluice_context *context, int32_t index)
{
    struct sl_bank *bank = &context->banks[index];
    size_t folded = (size_t)bank->shape.experts + (size_t)bank->shape.ranks;
    memset(bank->counters, 0, (size_t)bank->shape.physical * sizeof *bank->counters);
    memset(bank->folded, 0, folded * sizeof *bank->folded);
    sl_windows_forget(context, index);
}

static sluice_status reset(sluice_context *context, int32_t layer, void *stream)
{
    (void)stream;
    struct sl_layer *state;
    sluice_status status = enter(context, layer == -1 ? 0 : layer, &state);
    if (status)
        return status;
    if (SL_MUTANT(reset_clears_nothing))
        return SLUICE_OK;
    if (layer != -1) {
        zero(context, state->bank_index);
        return SLUICE_OK;
    }
    for (int32_t i = 0; i < context->layer_count; i++)
        if (context->layers[i].bank_index == i)
            zero(context, i);
    return SLUICE_OK;
}

static sluice_status add_slots(sluice_context *context, const sluice_load_slots *args)
{
    int64_t started;
    struct sl_layer *state;
    struct sl_view view;
    sluice_status status = sl_enter(context, SLUICE_OP_RECORD, &started);
    if (status)
        return status;
    if ((status = sl_check_struct(context, NULL, 0, "args", args, sizeof *args, sizeof *args)) ||
        (status = sl_check_layer(context, args->layer, &state)) ||
        (status = sl_check_tensor(context, "slot_counts", args->slot_counts,
                                  state->bank->shape.local, 1, SL_T_IDS, &view)))
        return status;
    struct sl_ids ids = sl_ids_of(&view);
    int32_t negative = sl_count_slots(state->bank->counters, &state->bank->shape, &ids);
    if (negative >= 0)
        return sl_fail(context, SLUICE_INVALID, "slot_counts[%d] is %lld: must not be negative",
                       negative, (long long)sl_id_at(&ids, negative, 0));
    return sl_leave(context, SLUICE_OP_RECORD, started, SLUICE_OK);
}

static sluice_status read_logical(sluice_context *context, int32_t layer, int64_t *counts,
                                  int64_t count, void *stream)
{
    (void)stream;
    struct sl_layer *state;
    sluice_status status = enter(context, layer, &state);
    if (status)
        return status;
    const struct sl_bank *bank = state->bank;
    if (!counts || count != bank->shape.experts)
        return sl_fail(context, SLUICE_INVALID,
                       "counts is %s and count is %lld: layer %d has %d experts",
                       counts ? "given" : "NULL", (long long)count, layer, bank->shape.experts);
    memcpy(counts, bank->folded, (size_t)count * sizeof *counts);
    sl_count_logical(bank->counters, &bank->shape, bank->place.map, counts);
    return SLUICE_OK;
}

const sluice_load_api cpu_load_api = {
    .struct_size = sizeof cpu_load_api,
    .read = read_counters,
    .snapshot = snapshot,
    .reset = reset,
    .add_slots = add_slots,
    .read_logical = read_logical,
    .windows = cpu_windows,
    .window_end = cpu_window_end,
    .window_poll = cpu_window_poll,
    .window = cpu_window,
};
