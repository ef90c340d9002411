/* SPDX-License-Identifier: Apache-2.0
 * The parts of dispatch: count and lay out, send. */
#ifndef SL_CPU_DISPATCH_H
#define SL_CPU_DISPATCH_H

#include "../backend/bk_dispatch.h"
#include "../core/sum.h"
#include "cpu_context.h"

/* A slot id that is there, or -1; one that is not is added to `rejected`. */
int32_t sl_dispatch_id(const struct sl_dispatch *call, struct sl_ids *ids, int64_t t, int32_t c,
                       uint64_t *rejected);

/* Tells the ranks how many rows they get, and lays the rows out. */
sluice_status sl_dispatch_count(struct sl_dispatch *call);

/* Moves the tokens of a counted call. */
sluice_status sl_dispatch_send(struct sl_dispatch *call);

sluice_status cpu_dispatch(sluice_context *context, const sluice_dispatch_args *args);
sluice_status cpu_combine(sluice_context *context, const sluice_combine_args *args);

#endif
