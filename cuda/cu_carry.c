/* SPDX-License-Identifier: Apache-2.0 */
#include "cu_carry.h"

#include "cu_balance.h"
#include "kernels/carry_job.h"

bool slc_carries(const struct sl_dispatch *call)
{
    return sl_balance_carried(call->context, call->args->layer) > 0;
}

static struct slc_carried carried_of(const struct sl_dispatch *call, const struct slc_move *job)
{
    const sluice_context *context = call->context;
    int32_t layer = call->args->layer;
    const struct slc_layer_balance *own = &slc_of(context)->balance->layers[layer];
    const struct sl_layer_balance *host = &context->balance->layers[layer];
    const struct sl_shape *shape = &call->layer->bank->shape;
    const struct sl_place *there = &slc_of(context)->layers[call->layer->bank_index].at;
    return (struct slc_carried){
        .found = job->found,
        .totals = job->totals,
        .wanted = job->fixed ? job->wanted : NULL,
        .start = there->alive_start,
        .copies = there->alive_copies,
        .row = job->carried,
        .window = host->window,
        .sums = own->counts,
        .step = own->step,
        .next = own->next,
        .stale = own->stale,
        .entries = host->entries,
        .steps = host->config.steps,
        .by_copy = context->copy_policy != SLUICE_COPY_BALANCED,
        .slots = shape->slots,
        .local = shape->local,
        .shared = shape->shared,
        .ranks = shape->ranks,
        .peers = job->peers,
        .own = job->own,
    };
}

slcu_result slc_carry(const struct sl_dispatch *call, const struct slc_move *job, char *out,
                      int64_t stride)
{
    if (!slc_carries(call))
        return SLCU_SUCCESS;
    struct slc_carried carried = carried_of(call, job);
    carried.out = out;
    carried.out_stride = stride;
    return slc_start(&slc_of(call->context)->gpu, SLC_K_carry, 1, SLC_CARRY_WARPS, 0, &carried,
                     call->args->stream);
}

slcu_result slc_take_carried(const struct sl_dispatch *call, const struct slc_move *job,
                             const char *in, int64_t stride)
{
    if (!slc_carries(call))
        return SLCU_SUCCESS;
    struct slc_carried carried = carried_of(call, job);
    carried.in = in;
    carried.in_stride = stride;
    return slc_start(&slc_of(call->context)->gpu, SLC_K_take_carried, 1, SLC_CARRY_WARPS, 0,
                     &carried, call->args->stream);
}
