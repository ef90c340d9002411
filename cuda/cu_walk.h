/* SPDX-License-Identifier: Apache-2.0
 * topk, remap, record and route check what they were given, fill in one job and launch it. */
#ifndef SLC_WALK_H
#define SLC_WALK_H

#include "../abi/ext/load.h"
#include "../abi/ext/route.h"
#include "cu_args.h"

struct slc_walk {
    sluice_context *context;
    struct slc_layer *layer;
    int64_t rows;
    struct slc_job job;
};

static inline struct slc_floats slc_floats_of(const struct slc_view *view)
{
    struct slc_floats floats = {(float *)(void *)view->data, view->stride};
    return floats;
}

/* As in sluice_topk_args. */
struct slc_choose_in {
    const sluice_tensor *logits, *bias, *bias_row, *expert_scale, *shared_logits;
    const sluice_tensor *forced_ids, *forced_row, *row_valid, *num_valid;
};

/* Checks the inputs; fills in walk->job.io and walk->rows. */
sluice_status slc_check_choose(struct slc_walk *walk, const struct slc_choose_in *in);

/* row_valid and num_valid. */
sluice_status slc_check_valid(struct slc_walk *walk, const sluice_tensor *row_valid,
                              const sluice_tensor *num_valid);

/* Optional outputs [rows, columns]. */
sluice_status slc_check_ids_out(struct slc_walk *walk, const char *name,
                                const sluice_tensor *tensor, int64_t columns, struct sl_ids *out);
sluice_status slc_check_floats_out(struct slc_walk *walk, const char *name,
                                   const sluice_tensor *tensor, int64_t columns,
                                   struct slc_floats *out);

/* Outputs topk and route share: ids, weights (both or neither) and shared_weights. */
sluice_status slc_check_chosen(struct slc_walk *walk, const sluice_tensor *ids,
                               const sluice_tensor *weights, const sluice_tensor *shared_weights);

/* As in sluice_remap_args. */
struct slc_map_out {
    const sluice_tensor *step, *row_base;
    const sluice_tensor *dispatch_ids, *dispatch_weights, *recorder_ids;
};

/* Checks; fills in walk->job.map and outputs. */
sluice_status slc_check_map(struct slc_walk *walk, int32_t layer, int32_t op,
                            const struct slc_map_out *args);

/* SLC_FEW_... of a filled-in job of SLC_TOPK or SLC_ROUTE. */
int32_t slc_few_of(const struct slc_job *job, enum slc_kernel kernel);

/* Launches a checked job on a stream; nothing where no row and no call is to be counted. */
sluice_status slc_walk_launch(struct slc_walk *walk, enum slc_kernel kernel, void *stream);

sluice_status slc_topk(sluice_context *context, const sluice_topk_args *args);
sluice_status slc_remap(sluice_context *context, const sluice_remap_args *args);
sluice_status slc_record(sluice_context *context, const sluice_record_args *args);
sluice_status slc_add_slots(sluice_context *context, const sluice_load_slots *args);

extern const sluice_route_api slc_route_api;

#endif
