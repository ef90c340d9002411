/* SPDX-License-Identifier: Apache-2.0 */
#include "cu_args.h"
#include "cu_ext.h"

static uint64_t load(const atomic_uint_least64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

/* What kernels counted: rejected ids by operation, and the dead. */
static sluice_status read_there(sluice_context *context, uint64_t *there)
{
    const struct slcu_driver *driver = context->gpu.driver;
    slcu_result error = slc_gpu_enter(&context->gpu);
    if (error)
        return slc_judge(context, "cuCtxPushCurrent", error);
    error = driver->MemcpyDtoHAsync(there, slc_address(context->rejected),
                                    (SLUICE_OP_COUNT + 1) * sizeof *there, NULL);
    if (!error)
        error = driver->StreamSynchronize(NULL);
    slc_gpu_leave(&context->gpu);
    return slc_judge(context, "reading the device's counts", error);
}

static sluice_status clear_there(sluice_context *context)
{
    slcu_result error = slc_gpu_enter(&context->gpu);
    if (error)
        return slc_judge(context, "cuCtxPushCurrent", error);
    error = context->gpu.driver->MemsetD8Async(slc_address(context->rejected), 0,
                                               (SLUICE_OP_COUNT + 1) * sizeof(uint64_t), NULL);
    slc_gpu_leave(&context->gpu);
    return slc_judge(context, "cuMemsetD8Async", error);
}

static sluice_status read_stats(sluice_context *context, sluice_stats *stats)
{
    sluice_status status = slc_check_context(context);
    if (status ||
        (status = slc_check_struct(context, NULL, 0, "stats", stats, sizeof *stats, sizeof *stats)))
        return status;
    uint64_t there[SLUICE_OP_COUNT + 1] = {0};
    if ((status = read_there(context, there)))
        return status;
    const struct slc_tally *tally = &context->tally;
    for (int32_t op = 0; op < SLUICE_OP_COUNT; op++) {
        stats->calls[op] = load(&tally->calls[op]);
        stats->rejected[op] = there[op];
        stats->nanoseconds[op] = load(&tally->nanoseconds[op]);
    }
    stats->dead = there[SLUICE_OP_COUNT];
    stats->overflows = 0;
    stats->dispatch_useful = stats->dispatch_moved = 0;
    stats->combine_useful = stats->combine_moved = 0;
    return SLUICE_OK;
}

static void clear(atomic_uint_least64_t *counter)
{
    atomic_store_explicit(counter, 0, memory_order_relaxed);
}

static sluice_status reset(sluice_context *context)
{
    int64_t started;
    sluice_status status = slc_enter(context, SLUICE_OP_COUNT, &started);
    if (status)
        return status;
    struct slc_tally *tally = &context->tally;
    for (int32_t op = 0; op < SLUICE_OP_COUNT; op++) {
        clear(&tally->calls[op]);
        clear(&tally->nanoseconds[op]);
    }
    return clear_there(context);
}

static sluice_status set_timing(sluice_context *context, int32_t on)
{
    int64_t started;
    sluice_status status = slc_enter(context, SLUICE_OP_COUNT, &started);
    if (status)
        return status;
    if (on != 0 && on != 1)
        return slc_fail(context, SLUICE_INVALID, "on is %d: must be 0 or 1", on);
    context->timing = on;
    return SLUICE_OK;
}

const sluice_stats_api slc_stats_api = {
    .struct_size = sizeof slc_stats_api,
    .read = read_stats,
    .reset = reset,
    .set_timing = set_timing,
};
