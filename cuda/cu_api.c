/* SPDX-License-Identifier: Apache-2.0
 * The table, and the one exported symbol. */
#define SLUICE_BUILDS_PLUGIN 1
#include <stdio.h>
#include <string.h>

#include "cu_ext.h"
#include "cu_open.h"
#include "cu_walk.h"
#include "cu_weights.h"

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
        {SLUICE_EXT_ROUTE, &slc_route_api},   {SLUICE_EXT_PLACEMENT, &slc_placement_api},
        {SLUICE_EXT_LOAD, &slc_load_api},     {SLUICE_EXT_STATS, &slc_stats_api},
        {SLUICE_EXT_DEVICE, &slc_device_api},
    };
    for (size_t i = 0; id && i < sizeof served / sizeof *served; i++)
        if (strcmp(id, served[i].id) == 0)
            return served[i].table;
    return NULL;
}

/* open refuses the uses that these need. */
static sluice_status dispatch(sluice_context *context, const sluice_dispatch_args *args)
{
    (void)args;
    sluice_status status = slc_check_context(context);
    return status ? status
                  : slc_fail(context, SLUICE_UNSUPPORTED,
                             "dispatch: the CUDA backend of this version does not do that");
}

static sluice_status combine(sluice_context *context, const sluice_combine_args *args)
{
    (void)args;
    sluice_status status = slc_check_context(context);
    return status ? status
                  : slc_fail(context, SLUICE_UNSUPPORTED,
                             "combine: the CUDA backend of this version does not do that");
}

static const sluice_api api = {
    .abi_major = SLUICE_ABI_MAJOR,
    .abi_minor = SLUICE_ABI_MINOR,
    .size = sizeof(sluice_api),
    .backend = "cuda",
    .version = SLUICE_VERSION,
    .open = slc_open,
    .close = slc_close,
    .last_error = last_error,
    .topk = slc_topk,
    .remap = slc_remap,
    .record = slc_record,
    .get_moe_weights = slc_get_moe_weights,
    .dispatch = dispatch,
    .combine = combine,
    .extension = extension,
};

const sluice_api *sluice_plugin_get(uint32_t abi_major)
{
    return abi_major == SLUICE_ABI_MAJOR ? &api : NULL;
}
