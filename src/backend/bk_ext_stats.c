/* SPDX-License-Identifier: Apache-2.0 */
#include "bk_args.h"
#include "bk_ext.h"

static uint64_t load(const atomic_uint_least64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

static sluice_status read_stats(sluice_context *context, sluice_stats *stats)
{
    sluice_status status = sl_check_context(context);
    if (status ||
        (status = sl_check_struct(context, NULL, 0, "stats", stats, sizeof *stats, sizeof *stats)))
        return status;
    const struct sl_tally *tally = &context->tally;
    for (int32_t op = 0; op < SLUICE_OP_COUNT; op++) {
        stats->calls[op] = load(&tally->calls[op]);
        stats->rejected[op] = load(&tally->rejected[op]);
        stats->nanoseconds[op] = load(&tally->nanoseconds[op]);
    }
    stats->dead = load(&tally->dead);
    stats->overflows = load(&tally->overflows);
    stats->dispatch_useful = load(&tally->dispatch_useful);
    stats->dispatch_moved = load(&tally->dispatch_moved);
    stats->combine_useful = load(&tally->combine_useful);
    stats->combine_moved = load(&tally->combine_moved);
    return context->backend->read_tally ? context->backend->read_tally(context, stats) : SLUICE_OK;
}

static void clear(atomic_uint_least64_t *counter)
{
    atomic_store_explicit(counter, 0, memory_order_relaxed);
}

static sluice_status reset(sluice_context *context)
{
    int64_t started;
    sluice_status status = sl_enter(context, SLUICE_OP_COUNT, &started);
    if (status)
        return status;
    struct sl_tally *tally = &context->tally;
    for (int32_t op = 0; op < SLUICE_OP_COUNT; op++) {
        clear(&tally->calls[op]);
        clear(&tally->rejected[op]);
        clear(&tally->nanoseconds[op]);
    }
    clear(&tally->dead);
    clear(&tally->overflows);
    clear(&tally->dispatch_useful);
    clear(&tally->dispatch_moved);
    clear(&tally->combine_useful);
    clear(&tally->combine_moved);
    return context->backend->zero_tally ? context->backend->zero_tally(context) : SLUICE_OK;
}

static sluice_status set_timing(sluice_context *context, int32_t on)
{
    int64_t started;
    sluice_status status = sl_enter(context, SLUICE_OP_COUNT, &started);
    if (status)
        return status;
    if (on != 0 && on != 1)
        return sl_fail(context, SLUICE_INVALID, "on is %d: must be 0 or 1", on);
    context->timing = on;
    return SLUICE_OK;
}

const sluice_stats_api sl_stats_api = {
    .struct_size = sizeof sl_stats_api,
    .read = read_stats,
    .reset = reset,
    .set_timing = set_timing,
};
