/* SPDX-License-Identifier: Apache-2.0
 * Counts that ranks share: one all-gather on a communicator of its own. */
#include "cu_mover.h"

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
    slc_mover_lose(context, SLUICE_PEER_LOST, -1, SLUICE_OP_REMAP, layer);
    slc_of(context)->mover->lost.said = true;
    for (int32_t channel = 0; channel < 4; channel++)
        context->exchange->broken[channel] = SLUICE_PEER_LOST;
    return sl_fail(context, SLUICE_PEER_LOST, "ncclAllGather of counts, layer %d: %s", layer, why);
}

sluice_status slc_share_gather(sluice_context *context, const struct slc_meet *meet, void *stream)
{
    if (!meet->told)
        return SLUICE_OK;
    struct slc_comm *comm = &slc_of(context)->mover->share.comm;
    int32_t layer = meet->call.layer;
    if (!slc_comm_use(comm)) {
        sluice_status status = slc_mover_usable(context);
        return status ? status : lost(context, layer, "there is no communicator");
    }
    slnc_result result = comm->nccl.AllGather(meet->mine, (void *)(uintptr_t)meet->rows,
                                              (size_t)meet->stride, SLNC_INT8, comm->comm, stream);
    result = slc_comm_settle(comm, result, context->timeout_ns);
    const char *why = result == SLNC_SUCCESS       ? NULL
                      : result == SLNC_IN_PROGRESS ? "not all ranks came in time"
                      : comm->comm                 ? slc_nccl_error(&comm->nccl, comm->comm, result)
                                                   : "its communicator was aborted";
    slc_comm_rest(comm);
    return why ? lost(context, layer, why) : SLUICE_OK;
}
