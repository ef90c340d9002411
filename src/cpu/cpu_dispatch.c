/* SPDX-License-Identifier: Apache-2.0
 * dispatch: count, lay out, send. Exact and fixed mode differ in capacities alone. */
#include "cpu_dispatch.h"

#include "../core/mutant.h"

int32_t sl_dispatch_id(const struct sl_dispatch *call, struct sl_ids *ids, int64_t t, int32_t c,
                       uint64_t *rejected)
{
    const struct sl_shape *shape = &call->layer->bank->shape;
    bool valid = t < call->valid || SL_MUTANT(padding_sent);
    int64_t id = valid ? sl_id_at(ids, t, c) : -1;
    if (id == -1)
        return -1;
    if (SL_MUTANT(outside_slots_sent) && id != -1)
        return (int32_t)((uint64_t)id % ((uint64_t)shape->ranks * (uint64_t)shape->local));
    bool inside = id >= 0 && id < (int64_t)shape->ranks * shape->local;
    if (!inside || call->exchange->peer_of[id / shape->local] < 0) {
        *rejected += !SL_MUTANT(outside_slots_not_counted);
        return -1;
    }
    return (int32_t)id;
}

static sluice_status check_same_ids(struct sl_dispatch *call)
{
    const struct sl_lane *lane = call->lane;
    struct sl_ids ids = sl_ids_of(&call->ids);
    uint64_t again = 0;
    bool same = call->tokens == lane->tokens && call->columns == lane->columns;
    for (int64_t t = 0; same && t < call->tokens; t++)
        for (int32_t c = 0; c < call->columns; c++)
            same = same &&
                   sl_dispatch_id(call, &ids, t, c, &again) == lane->ids[t * call->columns + c];
    if (!same)
        return sl_fail(call->context, SLUICE_INVALID,
                       "dispatch_ids are not those of the COUNT that made the handle");
    return SLUICE_OK;
}

sluice_status cpu_dispatch(sluice_context *context, const sluice_dispatch_args *args)
{
    int64_t started;
    sluice_status status = sl_enter(context, SLUICE_OP_DISPATCH, &started);
    if (status)
        return status;
    struct sl_dispatch call = {.context = context, .args = args};
    if ((status = sl_dispatch_check(&call)) ||
        (args->phase == SLUICE_DISPATCH_SEND && (status = check_same_ids(&call))) ||
        (call.sends && (status = sl_dispatch_check_send(&call))) ||
        (call.counts && (status = sl_dispatch_count(&call))))
        return status;
    if (!call.sends) { /* its SEND counts the call */
        sl_spend(context, SLUICE_OP_DISPATCH, started);
        return SLUICE_OK;
    }
    return sl_leave(context, SLUICE_OP_DISPATCH, started, sl_dispatch_send(&call));
}
