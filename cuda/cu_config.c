/* SPDX-License-Identifier: Apache-2.0 */
#include "cu_config.h"

#include <stdarg.h>
#include <stdio.h>

enum { MOST_LAYERS = 4096 };

sluice_status slc_text_fail(const struct slc_text *text, sluice_status status, const char *format,
                            ...)
{
    va_list values;
    va_start(values, format);
    if (text->data && text->size)
        (void)vsnprintf(text->data, text->size, format, values);
    va_end(values);
    return status;
}

static sluice_status check_host(const struct slc_text *text, const sluice_host *host)
{
    if (!host)
        return SLUICE_OK;
    sluice_status status = SLC_CHECK_STRUCT(text, "config.host", host);
    if (status)
        return status;
    if (!host->alloc != !host->free)
        return slc_text_fail(text, SLUICE_INVALID,
                             "config.host: alloc and free come together or not at all");
    if (host->threads < 0 || host->threads > SLC_MAX_THREADS)
        return slc_text_fail(text, SLUICE_INVALID, "config.host.threads is %d: must be 0 to %d",
                             host->threads, SLC_MAX_THREADS);
    return SLUICE_OK;
}

static sluice_status check_comm(const struct slc_text *text, const sluice_comm *comm)
{
    if (!comm)
        return SLUICE_OK;
    sluice_status status = SLC_CHECK_STRUCT(text, "config.comm", comm);
    if (status)
        return status;
    if (comm->size < 1 || comm->size > SL_MAX_RANKS)
        return slc_text_fail(text, SLUICE_INVALID, "config.comm.size is %d: must be 1 to %d",
                             comm->size, SL_MAX_RANKS);
    if (comm->rank < 0 || comm->rank >= comm->size)
        return slc_text_fail(text, SLUICE_INVALID, "config.comm.rank is %d: must be 0 to %d",
                             comm->rank, comm->size - 1);
    return SLUICE_OK;
}

static sluice_status check_range(const struct slc_text *text, const char *name, int32_t value,
                                 int32_t least, int32_t most)
{
    if (value < least || value > most)
        return slc_text_fail(text, SLUICE_INVALID, "config.%s is %d: must be %d to %d", name, value,
                             least, most);
    return SLUICE_OK;
}

static sluice_status check_choices(const struct slc_text *text, const sluice_config *config)
{
    sluice_status status;
    if ((status = check_range(text, "layer_count", config->layer_count, 1, MOST_LAYERS)) ||
        (status = check_range(text, "uses", config->uses, 0, 31)) ||
        (status = check_range(text, "flags", config->flags, 0, 7)) ||
        (status = check_range(text, "copy_policy", config->copy_policy, 0, 2)) ||
        (status = check_range(text, "shared_policy", config->shared_policy, 0, 4)) ||
        (status = check_range(text, "max_ranks", config->max_ranks, 0, SL_MAX_RANKS)))
        return status;
    int32_t size = config->comm ? config->comm->size : 1;
    if (config->max_ranks && config->max_ranks < size)
        return slc_text_fail(text, SLUICE_INVALID,
                             "config.max_ranks is %d: must be at least comm.size, %d",
                             config->max_ranks, size);
    if (config->timeout_ns < 0)
        return slc_text_fail(text, SLUICE_INVALID,
                             "config.timeout_ns is %lld: must not be negative",
                             (long long)config->timeout_ns);
    if (config->device.type != 0 && config->device.type != SLUICE_CUDA)
        return slc_text_fail(text, SLUICE_UNSUPPORTED,
                             "config.device.type is %d: this backend serves %d, CUDA",
                             config->device.type, SLUICE_CUDA);
    if (!config->layers)
        return slc_text_fail(text, SLUICE_INVALID, "config.layers is NULL");
    return SLUICE_OK;
}

/* What the ABI knows and this backend does not do yet. */
sluice_status slc_config_served(const struct slc_text *text, const sluice_config *config)
{
    static const struct {
        int32_t use;
        const char *name;
    } USES[] = {{SLUICE_USE_EXACT, "EXACT"},
                {SLUICE_USE_FIXED, "FIXED"},
                {SLUICE_USE_BALANCE_NOW, "BALANCE_NOW"},
                {SLUICE_USE_SUMMED_LOAD, "SUMMED_LOAD"},
                {SLUICE_USE_MIGRATE, "MIGRATE"}};
    for (size_t i = 0; i < sizeof USES / sizeof *USES; i++)
        if (config->uses & USES[i].use)
            return slc_text_fail(text, SLUICE_UNSUPPORTED,
                                 "config.uses has %s: the CUDA backend of this version does not "
                                 "do that",
                                 USES[i].name);
    if (config->flags & SLUICE_OPEN_JOIN)
        return slc_text_fail(text, SLUICE_UNSUPPORTED,
                             "config.flags has JOIN: the CUDA backend of this version does not "
                             "serve sluice.ranks/1");
    if (config->copy_policy == SLUICE_COPY_BALANCED)
        return slc_text_fail(text, SLUICE_UNSUPPORTED,
                             "config.copy_policy is BALANCED: the CUDA backend of this version "
                             "serves STATIC and RANDOM");
    if (config->shared_policy > SLUICE_SHARED_NOT_FUSED)
        return slc_text_fail(text, SLUICE_UNSUPPORTED,
                             "config.shared_policy is %d: the CUDA backend of this version serves "
                             "AT_HOME (%d) and NOT_FUSED (%d)",
                             config->shared_policy, SLUICE_SHARED_AT_HOME, SLUICE_SHARED_NOT_FUSED);
    return SLUICE_OK;
}

/* What contradicts itself. */
static sluice_status check_whole(const struct slc_text *text, const sluice_config *config)
{
    bool waterfill = config->shared_policy == SLUICE_SHARED_WATERFILL_STATIC ||
                     config->shared_policy == SLUICE_SHARED_WATERFILL_DYNAMIC;
    bool every_row = (config->flags & SLUICE_OPEN_EVERY_RANK_EVERY_ROW) != 0;
    if (every_row && waterfill)
        return slc_text_fail(text, SLUICE_INVALID,
                             "config.shared_policy is a waterfill, which depends on the rank: with "
                             "EVERY_RANK_EVERY_ROW it must not");
    if (every_row && config->uses & (SLUICE_USE_EXACT | SLUICE_USE_FIXED))
        return slc_text_fail(
            text, SLUICE_UNSUPPORTED,
            "config.uses has a dispatch: with EVERY_RANK_EVERY_ROW no token moves");
    if (config->shared_policy == SLUICE_SHARED_WATERFILL_DYNAMIC &&
        !(config->uses & SLUICE_USE_BALANCE_NOW))
        return slc_text_fail(
            text, SLUICE_INVALID,
            "config.shared_policy is WATERFILL_DYNAMIC: config.uses must have BALANCE_NOW");
    sluice_status status;
    bool moves = (config->uses & (SLUICE_USE_EXACT | SLUICE_USE_FIXED)) != 0;
    if (moves && !config->transport)
        return slc_text_fail(text, SLUICE_INVALID,
                             "config.transport is NULL: required with USE_EXACT and USE_FIXED");
    if (config->transport &&
        (status = SLC_CHECK_STRUCT(text, "config.transport", config->transport)))
        return status;
    const sluice_comm *comm = config->comm;
    bool exchanges = (config->uses & (SLUICE_USE_EXACT | SLUICE_USE_FIXED | SLUICE_USE_BALANCE_NOW |
                                      SLUICE_USE_SUMMED_LOAD)) != 0;
    bool joins = (config->flags & SLUICE_OPEN_JOIN) != 0;
    if (joins && !comm)
        return slc_text_fail(text, SLUICE_INVALID,
                             "config.comm is NULL: a newcomer (JOIN) must say which rank it is");
    if (exchanges && !joins && comm && comm->size > 1 && (!comm->all_gather || !comm->all_to_all))
        return slc_text_fail(
            text, SLUICE_INVALID,
            "config.comm has no all_gather and all_to_all: config.uses has %s, which needs them",
            config->uses & SLUICE_USE_EXACT   ? "EXACT"
            : config->uses & SLUICE_USE_FIXED ? "FIXED"
                                              : "BALANCE_NOW");
    return SLUICE_OK;
}

sluice_status slc_config_check(const struct slc_text *text, const sluice_config *config)
{
    sluice_status status;
    if ((status = SLC_CHECK_STRUCT(text, "config", config)) ||
        (status = check_host(text, config->host)) || (status = check_comm(text, config->comm)) ||
        (status = check_choices(text, config)))
        return status;
    if (config->needs && (status = SLC_CHECK_STRUCT(text, "config.needs", config->needs)))
        return status;
    return check_whole(text, config);
}
