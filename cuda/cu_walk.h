/* SPDX-License-Identifier: Apache-2.0
 * topk, remap, record and route: a checked call becomes one job, which is launched. */
#ifndef SLC_WALK_H
#define SLC_WALK_H

#include "../abi/ext/load.h"
#include "../src/backend/bk_call.h"
#include "cu_context.h"
#include "kernels/few_job.h"
#include "kernels/kernel_job.h"

/* Fills in inputs and outputs of a checked call; not its map. */
void slc_fill_job(struct slc_job *job, const struct sl_call *call, int32_t op);

/* How a checked call of remap or route maps. */
void slc_fill_map(struct slc_job *job, const struct sl_call *call, int32_t layer);

/* SLC_FEW_... of a filled-in job of topk or route. */
int32_t slc_few_of(const struct slc_job *job, enum slc_kernel kernel);

/* Launches a job on a stream; nothing where no row and no call is to be counted. */
sluice_status slc_launch(sluice_context *context, struct slc_job *job, enum slc_kernel kernel,
                         void *stream);

/* The same, all choices counted by copy in `drawn` [P], cleared before, and nowhere else. */
sluice_status slc_launch_drawn(sluice_context *context, const struct slc_job *job,
                               enum slc_kernel kernel, uint64_t *drawn, void *stream);

/* Clears `drawn` in the order of `stream`. */
sluice_status slc_clear_drawn(sluice_context *context, uint64_t *drawn, int32_t physical,
                              void *stream);

struct slc_grid {
    int64_t blocks;
    int32_t warps, shared_bytes;
};

/* Where a kernel of gate_*.cuh takes this job: the kernel in place of topk or route, its
 * grid, and the rest of the job. */
bool slc_gate(const struct slc_gpu *gpu, struct slc_job *job, enum slc_kernel *kernel,
              struct slc_grid *grid);

/* ---- cu_ops.c */

sluice_status slc_topk(sluice_context *context, const sluice_topk_args *args);
sluice_status slc_remap(sluice_context *context, const sluice_remap_args *args);
sluice_status slc_record(sluice_context *context, const sluice_record_args *args);
sluice_status slc_add_slots(sluice_context *context, const sluice_load_slots *args);

extern const sluice_route_api slc_route_api;

#endif
