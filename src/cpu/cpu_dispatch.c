/* SPDX-License-Identifier: Apache-2.0
 * dispatch: count, lay out, send. Exact and fixed mode differ in capacities alone. */
#include "cpu_dispatch.h"

sluice_status cpu_dispatch(sluice_context *context, const sluice_dispatch_args *args)
{
    int64_t started;
    sluice_status status = sl_enter(context, SLUICE_OP_DISPATCH, &started);
    if (status)
        return status;
    struct sl_dispatch call = {.context = context, .args = args};
    if ((status = sl_check_struct(context, NULL, 0, "args", args, sizeof *args, sizeof *args)) ||
        (status = sl_dispatch_check(&call)) || (call.counts && (status = sl_dispatch_count(&call))))
        return status;
    if (!call.sends) { /* its SEND counts the call */
        sl_spend(context, SLUICE_OP_DISPATCH, started);
        return SLUICE_OK;
    }
    return sl_leave(context, SLUICE_OP_DISPATCH, started, sl_dispatch_send(&call));
}
