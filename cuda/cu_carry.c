/* SPDX-License-Identifier: Apache-2.0 */
#include "cu_carry.h"

#include "../src/core/sl_hash.h"
#include "cu_balance.h"
#include "kernels/carry_job.h"

int64_t slc_carry_at(const struct slc_move *job)
{
    return (int64_t)sizeof(struct slc_head) + ((int64_t)job->local + 1) * (int64_t)sizeof(int32_t);
}

int64_t slc_carry_bytes(const struct sl_dispatch *call)
{
    return sl_balance_carried(call->context, call->args->layer) * (int64_t)sizeof(int32_t);
}

uint64_t slc_carry_form(const struct sl_dispatch *call, uint64_t form)
{
    int64_t bytes = slc_carry_bytes(call);
    return bytes > 0 ? sl_mix(form, &bytes, sizeof bytes) : form;
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
        .out = job->out ? job->out + slc_carry_at(job) : NULL,
        .in = job->in ? job->in + slc_carry_at(job) : NULL,
        .out_stride = job->out_stride,
        .in_stride = job->in_stride,
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

static slcu_result launch(const struct sl_dispatch *call, const struct slc_move *job,
                          enum slc_kernel kernel)
{
    if (slc_carry_bytes(call) == 0)
        return SLCU_SUCCESS;
    struct slc_carried carried = carried_of(call, job);
    return slc_start(&slc_of(call->context)->gpu, kernel, 1, SLC_CARRY_WARPS, 0, &carried,
                     call->args->stream);
}

slcu_result slc_carry(const struct sl_dispatch *call, const struct slc_move *job)
{
    return launch(call, job, SLC_K_carry);
}

slcu_result slc_take_carried(const struct sl_dispatch *call, const struct slc_move *job)
{
    return launch(call, job, SLC_K_take_carried);
}
