/* SPDX-License-Identifier: Apache-2.0 */
#include "cpu_waterfill.h"

#include <string.h>

#include "../backend/bk_exchange.h"
#include "../core/mutant.h"

/* sl_cpu_of(context)->load: [threads][W] counts of the walk, then [W] loads, [W] tokens, then
 * (dynamic) [living][W + 1] of what every rank said. */
struct room {
    int64_t *load, *tokens, *said;
};

static struct room room_of(const sluice_context *context)
{
    int64_t threads = sl_threads(context);
    struct room room;
    room.load = sl_cpu_of(context)->load + threads * context->ranks;
    room.tokens = room.load + context->ranks;
    room.said = room.tokens + context->ranks;
    return room;
}

int64_t sl_valid_rows(const struct sl_walk *walk)
{
    int64_t count = 0;
    for (int64_t t = 0; t < walk->call.io.valid_rows; t++)
        count += !walk->call.io.row_valid || walk->call.io.row_valid[t];
    return count;
}

/* Sums the counts of all living ranks into room->load and their rows into room->tokens. */
static sluice_status share(struct sl_walk *walk, int32_t layer, const struct room *room)
{
    sluice_context *context = walk->call.context;
    int64_t width = context->ranks + 1;
    int64_t *mine =
        sl_cpu_of(context)->load; /* its own part 0, one longer: part 1 has been merged */
    int64_t own[SL_MAX_RANKS + 1];
    memcpy(own, mine, (size_t)context->ranks * sizeof *own);
    own[context->ranks] = sl_valid_rows(walk);
    sluice_status status = sl_exchange_gather(context, SL_CHANNEL_BALANCE, SL_KIND_REMAP, layer, 0,
                                              own, room->said, (size_t)width * sizeof *own);
    if (status)
        return status;
    memset(room->load, 0, (size_t)context->ranks * 2 * sizeof *room->load);
    for (int32_t i = 0; i < context->living_count; i++) {
        const int64_t *said = room->said + i * width;
        for (int32_t r = 0; r < context->ranks; r++)
            room->load[r] += said[r];
        room->tokens[context->living[i]] = said[context->ranks];
    }
    return SLUICE_OK;
}

static int32_t physical_of(const struct sl_shape *shape, int64_t slot)
{
    if (slot < 0)
        return -1;
    int64_t local = slot % shape->local;
    return (int32_t)(slot / shape->local * shape->slots + local);
}

/* Gives row t's shared columns to `rank`, or takes them away with -1. */
static void move_row(const struct sl_walk *walk, const struct sl_ids *ids, int64_t t, int32_t rank)
{
    const struct sl_shape *shape = walk->remap.shape;
    int32_t top_k = walk->remap.top_k;
    for (int32_t j = 0; j < shape->shared; j++) {
        int64_t slot = rank < 0 ? -1 : (int64_t)rank * shape->local + shape->slots + j;
        sl_id_put(ids, t, top_k + j, slot);
        if (rank < 0 && walk->call.dispatch_weights.wanted) {
            const struct sl_view *weights = &walk->call.dispatch_weights.view;
            ((float *)(void *)weights->data)[t * weights->stride + top_k + j] = 0.0F;
        }
    }
}

static void move_shared(const struct sl_walk *walk, const struct sl_waterfill *plan)
{
    const struct sl_shape *shape = walk->remap.shape;
    int32_t top_k = walk->remap.top_k;
    struct sl_ids ids = sl_ids_of(&walk->call.dispatch_ids.view);
    for (int64_t t = 0; t < walk->call.io.valid_rows; t++) {
        if (walk->call.io.row_valid && !walk->call.io.row_valid[t])
            continue;
        int32_t physical[SL_MAX_K];
        bool any = false;
        for (int32_t k = 0; k < top_k; k++) {
            physical[k] = physical_of(shape, sl_id_at(&ids, t, k));
            any = any || physical[k] >= 0;
        }
        if (!any && !SL_MUTANT(waterfill_keeps_empty))
            move_row(walk, &ids, t, -1);
        else if (plan)
            move_row(walk, &ids, t, sl_waterfill_rank(plan, shape, t, top_k, physical));
    }
}

void sl_waterfill_begin(struct sl_walk *walk)
{
    sluice_context *context = walk->call.context;
    memset(sl_cpu_of(context)->load, 0,
           (size_t)sl_threads(context) * (size_t)context->ranks * sizeof *sl_cpu_of(context)->load);
    walk->load = sl_cpu_of(context)->load;
}

sluice_status sl_waterfill_finish(struct sl_walk *walk, int32_t layer)
{
    sluice_context *context = walk->call.context;
    struct room room = room_of(context);
    bool dynamic = context->shared_policy == SLUICE_SHARED_WATERFILL_DYNAMIC;
    if (dynamic) {
        sluice_status status = share(walk, layer, &room);
        if (status)
            return status;
    } else {
        memcpy(room.load, sl_cpu_of(context)->load, (size_t)context->ranks * sizeof *room.load);
    }
    if (!walk->call.dispatch_ids.wanted)
        return SLUICE_OK;
    struct sl_waterfill plan = {
        .ranks = context->ranks, .source = context->rank, .alive = context->alive};
    sl_waterfill_plan(&plan, room.load, dynamic ? room.tokens : NULL, walk->remap.top_k,
                      walk->remap.shape->shared);
    bool few = walk->call.rows < SL_WATERFILL_LEAST && !SL_MUTANT(waterfill_moves_few);
    move_shared(walk, few ? NULL : &plan);
    return SLUICE_OK;
}
