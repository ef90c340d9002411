/* SPDX-License-Identifier: Apache-2.0
 * The table, and the one exported symbol. */
#define SLUICE_BUILDS_PLUGIN 1
#include <stdio.h>
#include <string.h>

#include "../core/mutant.h"
#include "cpu_exchange.h"
#include "cpu_ext.h"
#include "cpu_open.h"
#include "cpu_record.h"
#include "cpu_remap.h"
#include "cpu_topk.h"
#include "cpu_weights.h"

static size_t last_error(const sluice_context *context, char *text, size_t size)
{
    if (text && size)
        text[0] = 0;
    if (!context)
        return 0;
    /* The lock is not part of what const promises. */
    pthread_mutex_t *lock = (pthread_mutex_t *)(uintptr_t)&context->text_lock;
    if (pthread_mutex_trylock(lock) != 0) {
        if (*context->fork_page == 0)
            return 0;
        pthread_mutex_lock(lock);
    }
    size_t length = strlen(context->error);
    if (text && size)
        (void)snprintf(text, size, "%s", context->error);
    pthread_mutex_unlock(lock);
    return length;
}

static const void *extension(const char *id)
{
    static const struct {
        const char *id;
        const void *table;
    } served[] = {
        {SLUICE_EXT_ROUTE, &cpu_route_api},     {SLUICE_EXT_PLACEMENT, &cpu_placement_api},
        {SLUICE_EXT_LOAD, &cpu_load_api},       {SLUICE_EXT_STATS, &cpu_stats_api},
        {SLUICE_EXT_RANKS, &cpu_ranks_api},     {SLUICE_EXT_DEVICE, &cpu_device_api},
        {SLUICE_EXT_BALANCE, &cpu_balance_api}, {SLUICE_EXT_PLAN, &cpu_plan_api},
    };
    for (size_t i = 0; id && i < sizeof served / sizeof *served; i++)
        if (SL_MUTANT(revision_ignored) ? strncmp(id, served[i].id, strlen(served[i].id)) == 0
                                        : strcmp(id, served[i].id) == 0)
            return served[i].table;
    return NULL;
}

static const sluice_api api = {
    .abi_major = SLUICE_ABI_MAJOR,
    .abi_minor = SLUICE_ABI_MINOR,
    .size = sizeof(sluice_api),
    .backend = "cpu",
    .version = SLUICE_VERSION,
    .open = cpu_open,
    .close = cpu_close,
    .last_error = last_error,
    .topk = cpu_topk,
    .remap = cpu_remap,
    .record = cpu_record,
    .get_moe_weights = cpu_get_moe_weights,
    .dispatch = cpu_dispatch,
    .combine = cpu_combine,
    .extension = extension,
};

const sluice_api *sluice_plugin_get(uint32_t abi_major)
{
    return abi_major == SLUICE_ABI_MAJOR || SL_MUTANT(any_major_served) ? &api : NULL;
}
