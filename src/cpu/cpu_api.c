/* SPDX-License-Identifier: Apache-2.0
 * The table, and the one exported symbol. */
#define SLUICE_BUILDS_PLUGIN 1
#include "../backend/bk_ext.h"
#include "../backend/bk_open.h"
#include "../backend/bk_weights.h"
#include "../core/mutant.h"
#include "cpu_dispatch.h"
#include "cpu_ext.h"
#include "cpu_open.h"
#include "cpu_walk.h"

static const void *extension(const char *id)
{
    static const struct sl_extension served[] = {
        {SLUICE_EXT_ROUTE, &cpu_route_api},    {SLUICE_EXT_PLACEMENT, &sl_placement_api},
        {SLUICE_EXT_LOAD, &cpu_load_api},      {SLUICE_EXT_STATS, &sl_stats_api},
        {SLUICE_EXT_RANKS, &sl_ranks_api},     {SLUICE_EXT_DEVICE, &cpu_device_api},
        {SLUICE_EXT_BALANCE, &sl_balance_api}, {SLUICE_EXT_PLAN, &sl_plan_api},
    };
    return sl_extension_of(id, served, sizeof served / sizeof *served);
}

static const sluice_api api = {
    .abi_major = SLUICE_ABI_MAJOR,
    .abi_minor = SLUICE_ABI_MINOR,
    .size = sizeof(sluice_api),
    .backend = "cpu",
    .version = SLUICE_VERSION,
    .open = cpu_open,
    .close = sl_close,
    .last_error = sl_last_error,
    .topk = cpu_topk,
    .remap = cpu_remap,
    .record = cpu_record,
    .get_moe_weights = sl_get_moe_weights,
    .dispatch = cpu_dispatch,
    .combine = cpu_combine,
    .extension = extension,
};

const sluice_api *sluice_plugin_get(uint32_t abi_major)
{
    return abi_major == SLUICE_ABI_MAJOR || SL_MUTANT(any_major_served) ? &api : NULL;
}
