/* SPDX-License-Identifier: Apache-2.0
 * Calls of topk, remap, route and record, checked. */
#ifndef SL_BK_CALL_H
#define SL_BK_CALL_H

#include "../../abi/ext/route.h"
#include "../core/choose.h"
#include "bk_args.h"

/* A dense [T, columns] output, or one with strides or another id type. */
struct sl_out {
    struct sl_view view; /* data NULL: not asked for */
    bool wanted;
};

struct sl_call {
    sluice_context *context;
    struct sl_layer *layer;
    int64_t rows;

    struct sl_choose_io io;  /* of topk and route; row_valid and valid_rows of all */
    struct sl_ids num_valid; /* on the device: instead of io.valid_rows */

    /* remap's inputs; record's are in_ids */
    struct sl_view in_ids, in_weights, in_shared, in_zero;

    struct sl_scalar step, row_base;
    bool step_given;
    bool waterfill; /* shared columns go by it */
    bool balance;   /* sluice.balance/1 serves the layer */

    struct sl_out ids, weights, shared_weights, zero_weight;               /* topk's outputs */
    struct sl_out dispatch_ids, dispatch_weights, recorder_ids, zero_here; /* remap's */
};

/* Check the arguments and fill in the rest of `call`, whose context is given. */
sluice_status sl_check_topk(struct sl_call *call, const sluice_topk_args *args);
sluice_status sl_check_remap(struct sl_call *call, const sluice_remap_args *args);
sluice_status sl_check_route(struct sl_call *call, const sluice_route_args *args);
sluice_status sl_check_record(struct sl_call *call, const sluice_record_args *args);

/* ---- what they share */

/* As in sluice_topk_args. */
struct sl_choose_in {
    const sluice_tensor *logits, *bias, *bias_row, *expert_scale, *shared_logits;
    const sluice_tensor *forced_ids, *forced_row, *row_valid, *num_valid;
};

/* Inputs: call->io and call->rows. */
sluice_status sl_check_choose(struct sl_call *call, const struct sl_choose_in *in);

/* num_valid, and row_valid into call->io; row_valid may be NULL. */
sluice_status sl_check_valid(struct sl_call *call, const sluice_tensor *row_valid,
                             const sluice_tensor *num_valid);

/* An optional output [rows, columns]. */
sluice_status sl_check_out(struct sl_call *call, const char *name, const sluice_tensor *tensor,
                           int64_t columns, int32_t types, struct sl_out *out);

/* Outputs topk and route share: ids, weights (both or neither) and shared_weights. */
sluice_status sl_check_chosen(struct sl_call *call, const sluice_tensor *ids,
                              const sluice_tensor *weights, const sluice_tensor *shared_weights);

#endif
