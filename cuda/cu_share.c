/* SPDX-License-Identifier: Apache-2.0
 * Counts that ranks share: one group on a communicator of its own. Not an all-gather: each peer's
 * row must come by itself, so that a rank that has not come is seen. */
#include "cu_balance.h"
#include "cu_mover.h"
#include "cu_water.h"

size_t slc_share_row(const sluice_context *context)
{
    size_t row = 0;
    if (!slc_shares(context))
        return 0;
    if (context->shared_policy == SLUICE_SHARED_WATERFILL_DYNAMIC)
        row = slc_water_least(context);
    for (int32_t i = 0; i < context->layer_count; i++) {
        const struct sl_layer *layer = &context->layers[i];
        size_t least = sl_balance_serves(context, layer) ? slc_balance_least(context, layer) : 0;
        row = least > row ? least : row;
    }
    return row;
}

sluice_status slc_share_ready(sluice_context *context, void *stream)
{
    const struct slc_gpu *gpu = &slc_of(context)->gpu;
    if (!slc_of(context)->mover)
        return SLUICE_OK;
    slcu_result error = slc_gpu_enter(gpu);
    if (error)
        return slc_judge(context, "cuCtxPushCurrent", error);
    sluice_status status = slc_mover_ready(context, stream);
    slc_gpu_leave(gpu);
    return status;
}

void slc_fill_meet(const sluice_context *context, struct slc_meet *meet, int32_t layer,
                   uint64_t form, char *mine, char *rows, int64_t bytes)
{
    const struct slc_context *own = slc_of(context);
    const struct slc_layer *bank = &own->layers[context->layers[layer].bank_index];
    *meet = (struct slc_meet){.call = {.kind = SL_KIND_REMAP,
                                       .layer = layer,
                                       .op = SLUICE_OP_REMAP,
                                       .form = form ^ (uint64_t)bytes,
                                       .map = bank->map},
                              .living = own->living_there + 1,
                              .peers = context->living_count,
                              .own = context->comm.rank,
                              .mine = mine,
                              .rows = rows,
                              .stride = bytes};
    if (context->living_count == 1)
        return;
    meet->found = own->mover->share.found;
    meet->told = own->mover->share.told;
}

static sluice_status lost(sluice_context *context, int32_t layer, const char *why)
{
    slc_mover_part(context, SLUICE_PEER_LOST, SLUICE_OP_REMAP, layer);
    return sl_fail(context, SLUICE_PEER_LOST, "sharing counts of layer %d: %s", layer, why);
}

static void message(const void *call, int32_t peer, struct slc_message *message)
{
    const struct slc_meet *meet = call;
    *message = (struct slc_message){.from = meet->mine,
                                    .to = meet->rows + peer * meet->stride,
                                    .send_bytes = meet->stride,
                                    .recv_bytes = meet->stride};
}

sluice_status slc_share_trade(sluice_context *context, const struct slc_meet *meet, void *stream)
{
    if (!meet->told)
        return SLUICE_OK;
    struct slc_comm *comm = &slc_of(context)->mover->share.comm;
    int32_t layer = meet->call.layer;
    const char *why;
    if (!slc_comm_use(comm)) {
        sluice_status status = slc_mover_usable(context);
        return status ? status : lost(context, layer, "there is no communicator");
    }
    (void)slc_move_post(context, comm, meet, message, stream, &why);
    return why ? lost(context, layer, why) : SLUICE_OK;
}
