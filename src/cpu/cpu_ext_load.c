/* SPDX-License-Identifier: Apache-2.0 */
#include "../backend/bk_load.h"
#include "../core/count.h"
#include "cpu_ext.h"

static sluice_status read_counters(sluice_context *context, int32_t layer,
                                   const sluice_tensor *counts, void *stream)
{
    struct sl_layer *state;
    struct sl_view view;
    sluice_status status = sl_load_check_read(context, layer, counts, &state, &view);
    return status ? status : sl_load_copy(context, state->bank_index, &view, stream);
}

static sluice_status add_slots(sluice_context *context, const sluice_load_slots *args)
{
    int64_t started;
    struct sl_layer *state;
    struct sl_view view;
    sluice_status status = sl_enter(context, SLUICE_OP_RECORD, &started);
    if (status || (status = sl_load_check_slots(context, args, &state, &view)))
        return status;
    struct sl_ids ids = sl_ids_of(&view);
    int32_t negative = sl_count_slots(state->bank->counters, &state->bank->shape, &ids);
    if (negative >= 0)
        return sl_fail(context, SLUICE_INVALID, "slot_counts[%d] is %lld: must not be negative",
                       negative, (long long)sl_id_at(&ids, negative, 0));
    return sl_leave(context, SLUICE_OP_RECORD, started, SLUICE_OK);
}

const sluice_load_api cpu_load_api = {
    .struct_size = sizeof cpu_load_api,
    .read = read_counters,
    .snapshot = sl_load_snapshot,
    .reset = sl_load_reset,
    .add_slots = add_slots,
    .read_logical = sl_load_read_logical,
    .windows = sl_load_windows,
    .window_end = sl_load_window_end,
    .window_poll = sl_load_window_poll,
    .window = sl_load_window,
};
