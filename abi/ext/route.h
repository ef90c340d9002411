/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SLUICE_EXT_ROUTE_H
#define SLUICE_EXT_ROUTE_H

#include "../../plugin.h"

#if defined(__cplusplus)
extern "C" {
#endif

/* sluice.route/1: topk, remap and record in one pass over the logits. Bit for bit what the three
 * calls give one after the other. */
#define SLUICE_EXT_ROUTE "sluice.route/1"

typedef struct sluice_route_args {
    size_t struct_size;
    int32_t layer;
    int32_t skip_record; /* 1: count nothing (warm-up, a dummy batch) */
    void *stream;
    /* in: as sluice_topk_args */
    const sluice_tensor *logits;
    const sluice_tensor *bias;
    const sluice_tensor *bias_row;
    const sluice_tensor *expert_scale;
    const sluice_tensor *shared_logits;
    const sluice_tensor *forced_ids;
    const sluice_tensor *forced_row;
    const sluice_tensor *row_valid;
    const sluice_tensor *num_valid;
    /* in: as sluice_remap_args */
    const sluice_tensor *step;
    const sluice_tensor *row_base;
    /* out, each optional, at least one: dispatch_ids and dispatch_weights are remap's */
    const sluice_tensor *dispatch_ids;     /* [T, K+F] */
    const sluice_tensor *dispatch_weights; /* [T, K+F] f32 */
    const sluice_tensor *recorder_ids;     /* [T, K] */
    const sluice_tensor *ids;              /* [T, K] logical; with weights or not at all */
    const sluice_tensor *weights;          /* [T, K] f32 */
    const sluice_tensor *shared_weights;   /* [T, F] f32, as topk gives them */
    const sluice_tensor *zero_weight_here; /* [T] f32, remap's */
} sluice_route_args;
SLUICE_ASSERT_ENDS_WITH(sluice_route_args, zero_weight_here);

typedef struct sluice_route_api {
    size_t struct_size;
    /* Errors, collective, capture: as the three operations'. [hot] [capture] */
    sluice_status (*route)(sluice_context *context, const sluice_route_args *args);
} sluice_route_api;
SLUICE_ASSERT_ENDS_WITH(sluice_route_api, route);

#if defined(__cplusplus)
}
#endif
#endif
