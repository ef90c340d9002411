/* SPDX-License-Identifier: Apache-2.0 */
#include "cu_water.h"

#include "../src/backend/bk_call.h"
#include "../src/backend/bk_cut.h"
#include "../src/core/mutant.h"
#include "../src/core/remap.h"
#include "cu_mover.h"
#include "cu_walk.h"
#include "kernels/water_job.h"

/* ------------------------------------------------------------------------------------ memory */

static bool dynamic(const sluice_context *context)
{
    return context->shared_policy == SLUICE_SHARED_WATERFILL_DYNAMIC;
}

static bool fills(const sluice_context *context, int32_t layer)
{
    return context->layers[layer].shared > 0 &&
           (dynamic(context) || context->shared_policy == SLUICE_SHARED_WATERFILL_STATIC);
}

/* A head, what was counted, and up to whole chunks of 16 bytes. */
size_t slc_water_least(const sluice_context *context)
{
    return sizeof(struct slc_head) + ((size_t)context->ranks + 2) / 2 * 2 * sizeof(int64_t);
}

static size_t row_bytes(const sluice_context *context)
{
    size_t shared = slc_of(context)->share_row;
    return shared ? shared : slc_water_least(context);
}

/* Below state->memory; NULL: only adds up. */
static size_t lay_out(const sluice_context *context, struct slc_water_state *state)
{
    struct sl_cut cut = {state->memory, 0};
    for (int32_t i = 0; i < context->layer_count; i++) {
        struct slc_layer_water unused, *own = cut.base ? &state->layers[i] : &unused;
        int64_t physical = context->layers[i].bank->shape.physical;
        if (!fills(context, i))
            continue;
        own->mine = sl_piece(&cut, 1, row_bytes(context));
        own->said = sl_piece(&cut, slc_shares(context) ? context->ranks : 0, row_bytes(context));
        own->line = sl_piece(&cut, context->ranks, sizeof(int64_t));
        own->rooms = sl_piece(&cut, context->ranks, sizeof(int64_t));
        own->plan = sl_piece(&cut, 1, sizeof(struct slc_water_plan));
        own->finished = sl_piece(&cut, 1, sizeof(uint32_t));
        own->drawn = sl_piece(&cut, dynamic(context) ? physical : 0, sizeof(uint64_t));
    }
    return cut.used;
}

static size_t host_bytes(const sluice_context *context)
{
    return sizeof(struct slc_water_state) +
           (size_t)context->layer_count * sizeof(struct slc_layer_water);
}

size_t slc_water_needs(const sluice_context *context, size_t *host)
{
    struct slc_water_state state = {.memory = NULL};
    size_t bytes = lay_out(context, &state);
    *host = bytes ? host_bytes(context) : 0;
    return bytes;
}

bool slc_water_open(sluice_context *context, slcu_result *error)
{
    struct slc_context *own = slc_of(context);
    size_t host, bytes = slc_water_needs(context, &host);
    if (bytes == 0)
        return true;
    struct slc_water_state *state = sl_alloc(context, host, SLUICE_MEM_STATE);
    own->water = state;
    if (!state)
        return false;
    state->layers = (struct slc_layer_water *)(state + 1);
    state->bytes = bytes;
    state->memory = slc_alloc_there(context, bytes);
    if (!state->memory)
        return false;
    (void)lay_out(context, state);
    *error = own->gpu.driver->MemsetD8Async(slc_address(state->memory), 0, bytes, NULL);
    return !*error;
}

void slc_water_close(sluice_context *context)
{
    struct slc_water_state *state = slc_of(context)->water;
    if (!state)
        return;
    slc_free_there(context, state->memory, state->bytes);
    sl_free(context, state, host_bytes(context), SLUICE_MEM_STATE);
    slc_of(context)->water = NULL;
}

/* -------------------------------------------------------------------------------------- calls */

/* None of its outputs says which ranks were chosen. */
static bool without_ids(const struct sl_call *call)
{
    return !call->dispatch_ids.wanted && !call->recorder_ids.wanted;
}

static struct slc_water water_of(const struct sl_call *call, const struct slc_job *job,
                                 uint64_t *counters)
{
    const struct slc_layer_water *own = &slc_of(call->context)->water->layers[job->map.layer];
    const sluice_context *context = call->context;
    bool alone = !dynamic(context) || context->living_count == 1;
    int64_t *counted = (int64_t *)(void *)(own->mine + sizeof(struct slc_head));
    int64_t *said = (int64_t *)(void *)(own->said + sizeof(struct slc_head));
    struct slc_water water = {.job = *job,
                              .counted = counted,
                              .said = alone ? counted : said,
                              .said_stride = (int64_t)(row_bytes(context) / sizeof(int64_t)),
                              .said_rows = alone ? 1 : context->living_count,
                              .line = own->line,
                              .rooms = own->rooms,
                              .plan = own->plan,
                              .finished = own->finished,
                              .drawn = without_ids(call) ? own->drawn : NULL,
                              .counters = counters,
                              .dynamic = dynamic(context),
                              .few = call->rows < SL_WATERFILL_LEAST &&
                                     !SL_MUTANT(waterfill_moves_few),
                              .width = 1,
                              .rows = SLC_WATER_ROWS};
    water.job.in_ids = call->dispatch_ids.wanted ? job->dispatch_ids : job->recorder_ids;
    if (!alone)
        slc_fill_meet(context, &water.meet, job->map.layer, 0, own->mine, own->said,
                      (int64_t)row_bytes(context));
    while (water.width < job->rule.top_k && water.width < SLC_WARP)
        water.width *= 2;
    return water;
}

static sluice_status run(sluice_context *context, struct slc_water *water, bool dispatched,
                         void *stream)
{
    const struct slc_gpu *gpu = &slc_of(context)->gpu;
    int32_t warps = SLC_WATER_THREADS / SLC_WARP;
    int64_t a_block = (int64_t)warps * water->rows;
    int32_t blocks = (int32_t)((water->job.rows + a_block - 1) / a_block);
    slcu_result error = slc_start(gpu, SLC_K_water_count, blocks > 0 ? blocks : 1, warps,
                                  (size_t)context->ranks * sizeof(uint32_t), water, stream);
    sluice_status status = slc_judge(context, "counting for the waterfill", error);
    if (!status)
        status = slc_share_trade(context, &water->meet, stream);
    if (!status && water->dynamic)
        error = slc_start(gpu, SLC_K_water_set, 1, warps, 0, water, stream);
    if (!status && !error && dispatched && blocks > 0 && !water->few)
        error = slc_start(gpu, SLC_K_water_place, blocks, warps, (size_t)slc_water_bytes(water),
                          water, stream);
    return status ? status : slc_judge(context, "placing shared columns", error);
}

sluice_status slc_water_begin(const struct sl_call *call, struct slc_job *job, void *stream)
{
    sluice_context *context = call->context;
    if (call->rows > INT32_MAX)
        return sl_fail(context, SLUICE_INVALID, "%lld rows: a waterfill takes at most %d",
                       (long long)call->rows, INT32_MAX);
    if (!dynamic(context))
        return SLUICE_OK;
    sluice_status status =
        SL_MUTANT(failed_route_counts) ? SLUICE_OK : slc_share_ready(context, stream);
    if (status || !without_ids(call))
        return status;
    job->counters = slc_of(context)->water->layers[job->map.layer].drawn;
    return slc_clear_drawn(context, job->counters, job->map.physical, stream);
}

sluice_status slc_water_run(const struct sl_call *call, const struct slc_job *job,
                            uint64_t *counters, void *stream)
{
    sluice_context *context = call->context;
    bool dispatched = call->dispatch_ids.wanted;
    if (!dispatched && !dynamic(context))
        return SLUICE_OK;
    struct slc_water water = water_of(call, job, counters);
    slcu_result error = slc_gpu_enter(&slc_of(context)->gpu);
    if (error)
        return slc_judge(context, "cuCtxPushCurrent", error);
    sluice_status status = run(context, &water, dispatched, stream);
    slc_gpu_leave(&slc_of(context)->gpu);
    return status;
}
