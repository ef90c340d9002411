/* SPDX-License-Identifier: Apache-2.0
 * SGLang's waterfill on the device, behind remap or route of any copy policy. */
#ifndef SLC_WATER_H
#define SLC_WATER_H

#include "cu_context.h"

struct sl_call;
struct slc_job;

/* Of one layer, on the device; see kernels/water_job.h. */
struct slc_layer_water {
    char *mine, *said; /* rows of head and counts: this rank's, and dynamic [ranks] of all */
    int64_t *line, *rooms;
    void *plan;
    uint32_t *finished;
    uint64_t *drawn; /* [P] */
};

/* NULL in the context where no layer has shared columns under a waterfill. */
struct slc_water_state {
    struct slc_layer_water *layers; /* [layer_count], on the host */
    char *memory;
    size_t bytes;
};

/* Bytes of what is in a row of counts. */
size_t slc_water_least(const sluice_context *context);

size_t slc_water_needs(const sluice_context *context, size_t *host);

/* The device is entered. False: no memory, or the driver failed. */
bool slc_water_open(sluice_context *context, slcu_result *error);
void slc_water_close(sluice_context *context);

/* Before anything of a checked call is launched: can its shared columns go by it? Where none of its
 * outputs says which ranks were chosen, job->counters become what `run` reads and clears here. */
sluice_status slc_water_begin(const struct sl_call *call, struct slc_job *job, void *stream);

/* After the launches of a checked call, whose shared columns are at home: static two launches,
 * dynamic three and a collective. counters: those that job->counters were before `begin`. */
sluice_status slc_water_run(const struct sl_call *call, const struct slc_job *job,
                            uint64_t *counters, void *stream);

#endif
