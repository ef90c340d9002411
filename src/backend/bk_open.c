/* SPDX-License-Identifier: Apache-2.0
 * open and close: check the config, make the context and its layers, then start the backend. */
#include "bk_open.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../core/mutant.h"
#include "bk_bank.h"
#include "bk_config.h"
#include "bk_fork.h"
#include "bk_layers.h"

static const int64_t DEFAULT_TIMEOUT_NS = 30000000000;

/* ------------------------------------------------------------------ the defaults of services */

static void *default_alloc(void *user, size_t bytes, size_t align, int32_t kind,
                           sluice_device device)
{
    (void)user, (void)kind, (void)device;
    return aligned_alloc(align, bytes);
}

static void default_free(void *user, void *data, size_t bytes, int32_t kind, sluice_device device)
{
    (void)user, (void)bytes, (void)kind, (void)device;
    free(data);
}

static int64_t default_clock(void *user)
{
    (void)user;
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void default_log(void *user, int32_t level, const char *line)
{
    (void)user, (void)level, (void)line;
}

static void start_services(sluice_context *context, const sluice_config *config)
{
    if (config->host)
        context->host = *config->host;
    context->engine_memory = context->host.alloc != NULL;
    if (!context->engine_memory) {
        context->host.alloc = default_alloc;
        context->host.free = default_free;
    }
    if (!context->host.clock)
        context->host.clock = default_clock;
    if (!context->host.log)
        context->host.log = default_log;
    if (config->comm)
        context->comm = *config->comm;
    else
        context->comm = (sluice_comm){.struct_size = sizeof context->comm, .size = 1};
}

static void start_numbers(sluice_context *context, const sluice_config *config)
{
    int32_t type = context->backend->device;
    if (config->label)
        (void)snprintf(context->label, sizeof context->label, "%s", config->label);
    context->device = (sluice_device){type, type == SLUICE_CPU ? 0 : config->device.id};
    context->uses = config->uses;
    context->flags = config->flags;
    context->copy_policy = config->copy_policy;
    context->shared_policy = config->shared_policy;
    context->seed = config->seed;
    context->timeout_ns = config->timeout_ns ? config->timeout_ns : DEFAULT_TIMEOUT_NS;
    context->rank = context->comm.rank;
    context->ranks = config->max_ranks ? config->max_ranks : context->comm.size;
    context->exchanges = sl_config_exchanges(config);
    context->layer_count = config->layer_count;
}

static size_t ranks_bytes(const sluice_context *context)
{
    return (size_t)context->ranks * (sizeof(int32_t) * 2 + 1);
}

static bool start_ranks(sluice_context *context)
{
    context->node = sl_alloc(context, ranks_bytes(context), SLUICE_MEM_STATE);
    if (!context->node)
        return false;
    context->living = context->node + context->ranks;
    context->alive = (uint8_t *)(context->living + context->ranks);
    bool joins = (context->flags & SLUICE_OPEN_JOIN) != 0;
    for (int32_t r = 0; r < context->comm.size; r++) {
        context->node[r] = context->comm.node ? context->comm.node[r] : 0;
        if (joins && r != context->rank)
            continue;
        context->alive[r] = 1;
        context->living[context->living_count++] = r;
    }
    return true;
}

static size_t context_bytes(const struct sl_backend *backend, int32_t layers)
{
    return backend->context_bytes + (size_t)layers * backend->layer_bytes;
}

static void add_needs(const sluice_context *context, sluice_needs *needs)
{
    uint64_t layer = sizeof *context->layers + sizeof *context->banks;
    needs->host_bytes += context_bytes(context->backend, context->layer_count) +
                         ranks_bytes(context) + (uint64_t)context->layer_count * layer;
    for (int32_t i = 0; i < context->layer_count; i++)
        if (context->layers[i].bank_index == i)
            needs->host_bytes += sl_bank_bytes(&context->banks[i].shape);
}

static sluice_status start(sluice_context *context, const sluice_config *config,
                           const struct sl_text *text, sluice_needs *needs)
{
    const struct sl_backend *backend = context->backend;
    context->fork_page = sl_fork_page();
    if (!context->fork_page || !start_ranks(context))
        return sl_text_fail(text, SLUICE_NO_MEMORY, "no memory for a context of %d ranks",
                            context->ranks);
    sluice_status status = sl_layers_start(context, config, text);
    if (status)
        return status;
    add_needs(context, needs);
    return backend->start(context, config, text, needs, (config->flags & SLUICE_OPEN_QUERY) != 0);
}

sluice_status sl_open(const struct sl_backend *backend, const sluice_config *config,
                      sluice_context **out, char *text_data, size_t text_size)
{
    struct sl_text text = {text_data, text_size};
    if (text_data && text_size)
        text_data[0] = 0;
    if (out)
        *out = NULL;
    sluice_status status = sl_config_check(&text, config, backend->device);
    if (status)
        return status;
    bool query = (config->flags & SLUICE_OPEN_QUERY) != 0;
    if (SL_MUTANT(changes_environment)) /* NOLINTNEXTLINE(concurrency-mt-unsafe) */
        (void)setenv("SLUICE_OPENED", "1", 1);
    if (SL_MUTANT(changes_signals))
        (void)signal(SIGPIPE, SIG_IGN);
    if (!out && !query)
        return sl_text_fail(&text, SLUICE_INVALID, "context is NULL: open needs a place for it");
    sluice_context services = {.layer_count = 0};
    start_services(&services, config);
    sluice_context *context =
        sl_alloc(&services, context_bytes(backend, config->layer_count), SLUICE_MEM_STATE);
    if (!context)
        return sl_text_fail(&text, SLUICE_NO_MEMORY, "no memory for a context");
    context->backend = backend;
    start_services(context, config);
    start_numbers(context, config);
    pthread_mutex_init(&context->text_lock, NULL);
    context->fault.struct_size = sizeof context->fault;
    sluice_needs needs = {.struct_size = sizeof needs};
    status = start(context, config, &text, &needs);
    if (!status && config->needs) {
        size_t size = config->needs->struct_size;
        *config->needs = needs;
        config->needs->struct_size = size;
    }
    if (SL_MUTANT(failed_open_leaks) && status)
        return status;
    if (status || query)
        sl_close(context);
    else
        *out = context;
    return status;
}

void sl_close(sluice_context *context)
{
    if (!context)
        return;
    size_t count = (size_t)context->layer_count;
    sl_windows_close(context);
    context->backend->stop(context);
    sl_banks_close(context);
    sl_free(context, context->banks, count * sizeof *context->banks, SLUICE_MEM_STATE);
    sl_free(context, context->layers, count * sizeof *context->layers, SLUICE_MEM_STATE);
    sl_free(context, context->node, ranks_bytes(context), SLUICE_MEM_STATE);
    pthread_mutex_destroy(&context->text_lock);
    sl_fork_page_free(context->fork_page);
    sluice_host host = context->host;
    size_t bytes = context_bytes(context->backend, context->layer_count);
    host.free(host.user, context, (bytes + 63) / 64 * 64, SLUICE_MEM_STATE,
              (sluice_device){SLUICE_CPU, 0});
}
