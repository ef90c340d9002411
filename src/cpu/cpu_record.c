/* SPDX-License-Identifier: Apache-2.0 */
#include "cpu_record.h"

#include "../core/count.h"
#include "../core/mutant.h"
#include "cpu_args.h"

sluice_status cpu_record(sluice_context *context, const sluice_record_args *args)
{
    int64_t started, valid;
    struct sl_layer *layer;
    struct sl_view ids;
    sluice_status status = sl_enter(context, SLUICE_OP_RECORD, &started);
    if (status)
        return status;
    if ((status = sl_check_struct(context, NULL, 0, "args", args, sizeof *args, sizeof *args)) ||
        (status = sl_check_layer(context, args->layer, &layer)) ||
        (status = sl_check_tensor(context, "recorder_ids", args->recorder_ids, -1, -1, SL_T_IDS,
                                  &ids)) ||
        (status = sl_check_scalar(context, "num_valid", args->num_valid, ids.rows, &valid)))
        return status;
    if (args->recorder_ids->ndim == 2 && ids.columns != layer->rule.top_k &&
        !SL_MUTANT(dispatch_ids_recorded))
        return sl_fail(context, SLUICE_INVALID, "recorder_ids has %lld columns: must be %d%s",
                       (long long)ids.columns, layer->rule.top_k,
                       ids.columns > layer->rule.top_k ? "; dispatch_ids are not recorder ids"
                                                       : "");
    if (valid < 0 || valid > ids.rows)
        return sl_fail(context, SLUICE_INVALID, "num_valid is %lld: must be 0 to %lld",
                       (long long)valid, (long long)ids.rows);
    struct sl_ids rows = sl_ids_of(&ids);
    if (SL_MUTANT(padding_counted))
        valid = ids.rows;
    uint64_t rejected = sl_count_rows(layer->bank->counters, layer->bank->shape.physical, &rows,
                                      valid, ids.columns);
    if (rejected && !SL_MUTANT(record_rejects_silently))
        atomic_fetch_add_explicit(&context->tally.rejected[SLUICE_OP_RECORD], rejected,
                                  memory_order_relaxed);
    return sl_leave(context, SLUICE_OP_RECORD, started, SLUICE_OK);
}
