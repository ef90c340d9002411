/* SPDX-License-Identifier: Apache-2.0 */
#include "bk_config.h"

#include <stdarg.h>
#include <stdio.h>

enum { MOST_LAYERS = 4096 };

sluice_status sl_text_fail(const struct sl_text *text, sluice_status status, const char *format,
                           ...)
{
    va_list values;
    va_start(values, format);
    if (text->data && text->size)
        (void)vsnprintf(text->data, text->size, format, values);
    va_end(values);
    return status;
}

static sluice_status check_host(const struct sl_text *text, const sluice_host *host)
{
    if (!host)
        return SLUICE_OK;
    sluice_status status = SL_CHECK_STRUCT(text, "config.host", host);
    if (status)
        return status;
    if (!host->alloc != !host->free)
        return sl_text_fail(text, SLUICE_INVALID,
                            "config.host: alloc and free come together or not at all");
    if (host->threads < 0 || host->threads > SL_MAX_THREADS)
        return sl_text_fail(text, SLUICE_INVALID, "config.host.threads is %d: must be 0 to %d",
                            host->threads, SL_MAX_THREADS);
    return SLUICE_OK;
}

static sluice_status check_comm(const struct sl_text *text, const sluice_comm *comm)
{
    if (!comm)
        return SLUICE_OK;
    sluice_status status = SL_CHECK_STRUCT(text, "config.comm", comm);
    if (status)
        return status;
    if (comm->size < 1 || comm->size > SL_MAX_RANKS)
        return sl_text_fail(text, SLUICE_INVALID, "config.comm.size is %d: must be 1 to %d",
                            comm->size, SL_MAX_RANKS);
    if (comm->rank < 0 || comm->rank >= comm->size)
        return sl_text_fail(text, SLUICE_INVALID, "config.comm.rank is %d: must be 0 to %d",
                            comm->rank, comm->size - 1);
    return SLUICE_OK;
}

static sluice_status check_range(const struct sl_text *text, const char *name, int32_t value,
                                 int32_t least, int32_t most)
{
    if (value < least || value > most)
        return sl_text_fail(text, SLUICE_INVALID, "config.%s is %d: must be %d to %d", name, value,
                            least, most);
    return SLUICE_OK;
}

static sluice_status check_choices(const struct sl_text *text, const sluice_config *config,
                                   int32_t device)
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
        return sl_text_fail(text, SLUICE_INVALID,
                            "config.max_ranks is %d: must be at least comm.size, %d",
                            config->max_ranks, size);
    if (config->timeout_ns < 0)
        return sl_text_fail(text, SLUICE_INVALID, "config.timeout_ns is %lld: must not be negative",
                            (long long)config->timeout_ns);
    if (config->device.type != 0 && config->device.type != device)
        return sl_text_fail(text, SLUICE_UNSUPPORTED,
                            "config.device.type is %d: this backend serves %d, %s",
                            config->device.type, device, device == SLUICE_CPU ? "the CPU" : "CUDA");
    if (!config->layers)
        return sl_text_fail(text, SLUICE_INVALID, "config.layers is NULL");
    return SLUICE_OK;
}

/* What the ABI knows and no backend does yet, or what contradicts itself. */
static sluice_status check_supported(const struct sl_text *text, const sluice_config *config)
{
    if (config->uses & SLUICE_USE_MIGRATE)
        return sl_text_fail(text, SLUICE_UNSUPPORTED,
                            "config.uses has MIGRATE: not in this version");
    bool waterfill = config->shared_policy == SLUICE_SHARED_WATERFILL_STATIC ||
                     config->shared_policy == SLUICE_SHARED_WATERFILL_DYNAMIC;
    bool every_row = (config->flags & SLUICE_OPEN_EVERY_RANK_EVERY_ROW) != 0;
    if (every_row && waterfill)
        return sl_text_fail(text, SLUICE_INVALID,
                            "config.shared_policy is a waterfill, which depends on the rank: with "
                            "EVERY_RANK_EVERY_ROW it must not");
    if (every_row && config->uses & (SLUICE_USE_EXACT | SLUICE_USE_FIXED))
        return sl_text_fail(text, SLUICE_UNSUPPORTED,
                            "config.uses has a dispatch: with EVERY_RANK_EVERY_ROW no token moves");
    if (config->shared_policy == SLUICE_SHARED_WATERFILL_DYNAMIC &&
        !(config->uses & SLUICE_USE_BALANCE_NOW))
        return sl_text_fail(
            text, SLUICE_INVALID,
            "config.shared_policy is WATERFILL_DYNAMIC: config.uses must have BALANCE_NOW");
    return SLUICE_OK;
}

bool sl_config_exchanges(const sluice_config *config)
{
    return (config->uses & (SLUICE_USE_EXACT | SLUICE_USE_FIXED | SLUICE_USE_BALANCE_NOW |
                            SLUICE_USE_SUMMED_LOAD)) != 0;
}

bool sl_config_messages(int32_t uses, const sluice_comm *comm)
{
    return !(uses & SLUICE_USE_SUMMED_LOAD) ||
           (comm->isend && comm->irecv && comm->poll && comm->cancel && comm->resume);
}

sluice_status sl_config_check(const struct sl_text *text, const sluice_config *config,
                              int32_t device)
{
    sluice_status status;
    if ((status = SL_CHECK_STRUCT(text, "config", config)) ||
        (status = check_host(text, config->host)) || (status = check_comm(text, config->comm)) ||
        (status = check_choices(text, config, device)) || (status = check_supported(text, config)))
        return status;
    if (config->needs && (status = SL_CHECK_STRUCT(text, "config.needs", config->needs)))
        return status;
    bool moves = (config->uses & (SLUICE_USE_EXACT | SLUICE_USE_FIXED)) != 0;
    if (moves && !config->transport)
        return sl_text_fail(text, SLUICE_INVALID,
                            "config.transport is NULL: required with USE_EXACT and USE_FIXED");
    if (config->transport &&
        (status = SL_CHECK_STRUCT(text, "config.transport", config->transport)))
        return status;
    const sluice_comm *comm = config->comm;
    bool joins = (config->flags & SLUICE_OPEN_JOIN) != 0;
    if (joins && !comm)
        return sl_text_fail(text, SLUICE_INVALID,
                            "config.comm is NULL: a newcomer (JOIN) must say which rank it is");
    if (sl_config_exchanges(config) && !joins && comm && comm->size > 1 &&
        (!comm->all_gather || !comm->all_to_all))
        return sl_text_fail(
            text, SLUICE_INVALID,
            "config.comm has no all_gather and all_to_all: config.uses has %s, which needs them",
            config->uses & SLUICE_USE_EXACT         ? "EXACT"
            : config->uses & SLUICE_USE_FIXED       ? "FIXED"
            : config->uses & SLUICE_USE_BALANCE_NOW ? "BALANCE_NOW"
                                                    : "SUMMED_LOAD");
    if (!joins && comm && comm->size > 1 && !sl_config_messages(config->uses, comm))
        return sl_text_fail(text, SLUICE_INVALID,
                            "config.comm lacks one of isend, irecv, poll, cancel and resume: "
                            "config.uses has SUMMED_LOAD");
    return SLUICE_OK;
}
