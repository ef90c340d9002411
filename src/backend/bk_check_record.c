/* SPDX-License-Identifier: Apache-2.0 */
#include "../core/mutant.h"
#include "bk_call.h"

sluice_status sl_check_record(struct sl_call *call, const sluice_record_args *args)
{
    sluice_context *context = call->context;
    struct sl_view *ids = &call->in_ids;
    sluice_status status =
        sl_check_struct(context, NULL, 0, "args", args, sizeof *args, sizeof *args);
    if (status || (status = sl_check_layer(context, args->layer, &call->layer)) ||
        (status =
             sl_check_tensor(context, "recorder_ids", args->recorder_ids, -1, -1, SL_T_IDS, ids)))
        return status;
    struct sl_scalar valid;
    call->rows = ids->rows;
    if ((status = sl_check_scalar(context, "num_valid", args->num_valid, ids->rows, &valid)))
        return status;
    int32_t top_k = call->layer->rule.top_k;
    if (args->recorder_ids->ndim == 2 && ids->columns != top_k && !SL_MUTANT(dispatch_ids_recorded))
        return sl_fail(context, SLUICE_INVALID, "recorder_ids has %lld columns: must be %d%s",
                       (long long)ids->columns, top_k,
                       ids->columns > top_k ? "; dispatch_ids are not recorder ids" : "");
    if (valid.value < 0 || valid.value > ids->rows)
        return sl_fail(context, SLUICE_INVALID, "num_valid is %lld: must be 0 to %lld",
                       (long long)valid.value, (long long)ids->rows);
    call->io.valid_rows = valid.value;
    call->num_valid = valid.there;
    return SLUICE_OK;
}
