/* SPDX-License-Identifier: Apache-2.0 */
#include "../src/backend/bk_load.h"
#include "cu_context.h"
#include "cu_ext.h"
#include "cu_walk.h"

/* Counters to a tensor of the device, in stream order; a strided one number by number. */
static sluice_status copy_there(sluice_context *context, const struct sl_bank *bank,
                                const struct sl_view *view, void *stream)
{
    const struct slc_gpu *gpu = &slc_of(context)->gpu;
    slcu_result error = slc_gpu_enter(gpu);
    if (error)
        return slc_judge(context, "cuCtxPushCurrent", error);
    int32_t pieces = view->stride == 1 || view->rows < 2 ? 1 : bank->shape.physical;
    size_t bytes = (size_t)(bank->shape.physical / pieces) * sizeof(int64_t);
    for (int32_t i = 0; !error && i < pieces; i++)
        error = gpu->driver->MemcpyDtoDAsync(
            slc_address(view->data + i * view->stride * (int64_t)sizeof(int64_t)),
            slc_address(bank->counters + i), bytes, stream);
    slc_gpu_leave(gpu);
    return slc_judge(context, "copying counters", error);
}

static sluice_status read_counters(sluice_context *context, int32_t layer,
                                   const sluice_tensor *counts, void *stream)
{
    struct sl_layer *state;
    struct sl_view view;
    sluice_status status = sl_load_check_read(context, layer, counts, &state, &view);
    if (status)
        return status;
    return sl_on_host(counts) ? sl_load_copy(context, state->bank_index, &view, stream)
                              : copy_there(context, state->bank, &view, stream);
}

const sluice_load_api slc_load_api = {
    .struct_size = sizeof slc_load_api,
    .read = read_counters,
    .snapshot = sl_load_snapshot,
    .reset = sl_load_reset,
    .add_slots = slc_add_slots,
    .read_logical = sl_load_read_logical,
    .windows = sl_load_windows,
    .window_end = sl_load_window_end,
    .window_poll = sl_load_window_poll,
    .window = sl_load_window,
};
