/* SPDX-License-Identifier: Apache-2.0
 * What kernels counted: rejected ids by operation, and the dead. */
#include "cu_context.h"
#include "cu_mover.h"
#include "cu_open.h"

sluice_status slc_read_tally(sluice_context *context, sluice_stats *stats)
{
    struct slc_context *own = slc_of(context);
    uint64_t there[SLUICE_OP_COUNT + 1] = {0};
    slcu_result error = slc_gpu_enter(&own->gpu);
    if (error)
        return slc_judge(context, "cuCtxPushCurrent", error);
    error = own->gpu.driver->MemcpyDtoHAsync(there, slc_address(own->rejected), sizeof there, NULL);
    if (!error)
        error = own->gpu.driver->StreamSynchronize(NULL);
    sluice_status status = SLUICE_OK;
    if (!error && own->mover)
        status = slc_mover_tally(context, stats);
    slc_gpu_leave(&own->gpu);
    if (status)
        return status;
    for (int32_t op = 0; !error && op < SLUICE_OP_COUNT; op++)
        stats->rejected[op] += there[op];
    stats->dead += there[SLUICE_OP_COUNT];
    return slc_judge(context, "reading the device's counts", error);
}

static slcu_result clear(sluice_context *context, int32_t bank, void *stream)
{
    (void)bank;
    return slc_of(context)->gpu.driver->MemsetD8Async(slc_address(slc_of(context)->rejected), 0,
                                                      (SLUICE_OP_COUNT + 1) * sizeof(uint64_t),
                                                      stream);
}

sluice_status slc_zero_tally(sluice_context *context)
{
    sluice_status status = slc_run(context, "cuMemsetD8Async", clear, -1, NULL);
    if (status || !slc_of(context)->mover)
        return status;
    slcu_result error = slc_gpu_enter(&slc_of(context)->gpu);
    if (error)
        return slc_judge(context, "cuCtxPushCurrent", error);
    status = slc_mover_zero(context);
    slc_gpu_leave(&slc_of(context)->gpu);
    return status;
}
