/* SPDX-License-Identifier: Apache-2.0
 * The arguments that topk and route have in common. */
#ifndef SL_CPU_TOPK_H
#define SL_CPU_TOPK_H

#include "cpu_blocks.h"

/* As in sluice_topk_args. */
struct sl_choose_in {
    const sluice_tensor *logits, *bias, *bias_row, *expert_scale, *shared_logits;
    const sluice_tensor *forced_ids, *forced_row, *row_valid, *num_valid;
};

/* Checks the inputs; fills in walk->io and walk->rows. */
sluice_status sl_check_choose(struct sl_walk *walk, const struct sl_choose_in *in);

/* row_valid and num_valid into walk->io. */
sluice_status sl_check_valid(struct sl_walk *walk, const sluice_tensor *row_valid,
                             const sluice_tensor *num_valid);

/* An optional output [rows, columns]. */
sluice_status sl_check_out(struct sl_walk *walk, const char *name, const sluice_tensor *tensor,
                           int64_t columns, int32_t types, struct sl_out *out);

/* Outputs topk and route share: ids, weights (both or neither) and shared_weights. */
sluice_status sl_check_chosen(struct sl_walk *walk, const sluice_tensor *ids,
                              const sluice_tensor *weights, const sluice_tensor *shared_weights);

sluice_status cpu_topk(sluice_context *context, const sluice_topk_args *args);

#endif
