/* SPDX-License-Identifier: Apache-2.0
 * open and close: check the config, add up what is needed, find the device, allocate. */
#include "cu_open.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cu_fork.h"

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

static void start_services(sluice_context *context, const sluice_config *config)
{
    if (config->host)
        context->host = *config->host;
    context->engine_memory = context->host.alloc != NULL;
    if (!context->host.alloc) {
        context->host.alloc = default_alloc;
        context->host.free = default_free;
    }
    if (!context->host.clock)
        context->host.clock = default_clock;
    context->device = (sluice_device){SLUICE_CUDA, config->device.id};
}

static void start_numbers(sluice_context *context, const sluice_config *config)
{
    if (config->label)
        (void)snprintf(context->label, sizeof context->label, "%s", config->label);
    context->flags = config->flags;
    context->copy_policy = config->copy_policy;
    context->shared_policy = config->shared_policy;
    context->seed = config->seed;
    context->rank = config->comm ? config->comm->rank : 0;
    int32_t size = config->comm ? config->comm->size : 1;
    context->ranks = config->max_ranks ? config->max_ranks : size;
    context->layer_count = config->layer_count;
}

static size_t ranks_bytes(const sluice_context *context)
{
    return (size_t)context->ranks * (sizeof(int32_t) * 2 + 1);
}

static bool start_ranks(sluice_context *context, const sluice_comm *comm)
{
    context->node = slc_alloc(context, ranks_bytes(context), SLUICE_MEM_STATE);
    if (!context->node)
        return false;
    context->living = context->node + context->ranks;
    context->alive = (uint8_t *)(context->living + context->ranks);
    for (int32_t r = 0; r < (comm ? comm->size : 1); r++) {
        context->node[r] = comm && comm->node ? comm->node[r] : 0;
        context->alive[r] = 1;
        context->living[context->living_count++] = r;
    }
    return true;
}

/* The context's own device memory: see sluice_context. */
static size_t bytes_there(const sluice_context *context)
{
    return (SLUICE_OP_COUNT + 1 + 2 * (size_t)context->layer_count) * sizeof(uint64_t) +
           (size_t)context->ranks * sizeof(int32_t);
}

static void add_needs(const sluice_context *context, sluice_needs *needs)
{
    needs->host_bytes =
        sizeof *context + ranks_bytes(context) +
        (uint64_t)context->layer_count * (sizeof *context->layers + sizeof *context->banks);
    needs->device_bytes = bytes_there(context);
    for (int32_t i = 0; i < context->layer_count; i++) {
        if (context->layers[i].bank_index != i)
            continue;
        needs->host_bytes += slc_bank_bytes(&context->banks[i].shape);
        needs->device_bytes += slc_bank_bytes_there(&context->banks[i].shape);
    }
}

static bool start_there(sluice_context *context, slcu_result *error)
{
    const struct slcu_driver *driver = context->gpu.driver;
    size_t bytes = bytes_there(context);
    context->there = slc_alloc_there(context, bytes);
    if (!context->there)
        return false;
    context->rejected = context->there;
    context->dead = context->rejected + SLUICE_OP_COUNT;
    int64_t *calls = (int64_t *)(context->dead + 1);
    context->living_there = (int32_t *)(calls + 2 * (ptrdiff_t)context->layer_count);
    bool draws = context->copy_policy == SLUICE_COPY_RANDOM &&
                 !(context->flags & SLUICE_OPEN_EVERY_RANK_EVERY_ROW);
    for (int32_t i = 0; draws && i < context->layer_count; i++) {
        context->layers[i].calls = calls + 2 * (ptrdiff_t)i;
        context->layers[i].done = (uint32_t *)(void *)(context->layers[i].calls + 1);
    }
    *error = driver->MemsetD8Async(slc_address(context->there), 0, bytes, NULL);
    if (!*error)
        *error = driver->MemcpyHtoDAsync(slc_address(context->living_there), context->living,
                                         (size_t)context->living_count * sizeof(int32_t), NULL);
    return !*error;
}

/* All that lies on the device; its context is entered. */
static bool start_device(sluice_context *context, slcu_result *error)
{
    if (!start_there(context, error))
        return false;
    for (int32_t i = 0; i < context->layer_count; i++)
        if (context->layers[i].bank_index == i && !slc_bank_open(context, i, error))
            return false;
    *error = context->gpu.driver->StreamSynchronize(NULL);
    return !*error;
}

static sluice_status start(sluice_context *context, const sluice_config *config,
                           const struct slc_text *text, sluice_needs *needs)
{
    context->fork_page = slc_fork_page();
    if (!context->fork_page || !start_ranks(context, config->comm))
        return slc_text_fail(text, SLUICE_NO_MEMORY, "no memory for a context of %d ranks",
                             context->ranks);
    sluice_status status = slc_start_layers(context, config, text);
    if (status)
        return status;
    status = slc_config_served(text, config);
    if (status)
        return status;
    add_needs(context, needs);
    status = slc_gpu_open(&context->gpu, context->device.id, text->data, text->size);
    if (status || (config->flags & SLUICE_OPEN_QUERY))
        return status;
    slcu_result error = slc_gpu_enter(&context->gpu);
    bool whole = !error && start_device(context, &error);
    if (!error)
        slc_gpu_leave(&context->gpu);
    if (whole)
        return SLUICE_OK;
    if (error)
        return slc_text_fail(text, SLUICE_DEVICE, "preparing the device failed: %s",
                             slc_error_name(context->gpu.driver, error));
    return slc_text_fail(
        text, SLUICE_NO_MEMORY, "no memory for %llu bytes on the device and %llu on the host",
        (unsigned long long)needs->device_bytes, (unsigned long long)needs->host_bytes);
}

sluice_status slc_open(const sluice_config *config, sluice_context **out, char *text_data,
                       size_t text_size)
{
    struct slc_text text = {text_data, text_size};
    if (text_data && text_size)
        text_data[0] = 0;
    if (out)
        *out = NULL;
    sluice_status status = slc_config_check(&text, config);
    if (status)
        return status;
    bool query = (config->flags & SLUICE_OPEN_QUERY) != 0;
    if (!out && !query)
        return slc_text_fail(&text, SLUICE_INVALID, "context is NULL: open needs a place for it");
    sluice_context services = {.layer_count = 0};
    start_services(&services, config);
    sluice_context *context = slc_alloc(&services, sizeof *context, SLUICE_MEM_STATE);
    if (!context)
        return slc_text_fail(&text, SLUICE_NO_MEMORY, "no memory for a context");
    start_services(context, config);
    start_numbers(context, config);
    pthread_mutex_init(&context->text_lock, NULL);
    sluice_needs needs = {.struct_size = sizeof needs};
    status = start(context, config, &text, &needs);
    if (!status && config->needs) {
        size_t size = config->needs->struct_size;
        *config->needs = needs;
        config->needs->struct_size = size;
    }
    if (status || query)
        slc_close(context);
    else
        *out = context;
    return status;
}

static void close_device(sluice_context *context)
{
    if (!context->gpu.context)
        return;
    bool entered = slc_gpu_enter(&context->gpu) == SLCU_SUCCESS;
    for (int32_t i = 0; context->banks && i < context->layer_count; i++)
        if (context->banks[i].there_memory)
            slc_free_there(context, context->banks[i].there_memory,
                           slc_bank_bytes_there(&context->banks[i].shape));
    slc_free_there(context, context->there, bytes_there(context));
    if (entered)
        slc_gpu_leave(&context->gpu);
    slc_gpu_close(&context->gpu);
}

void slc_close(sluice_context *context)
{
    if (!context)
        return;
    size_t count = (size_t)context->layer_count;
    close_device(context);
    for (size_t i = 0; context->banks && i < count; i++)
        if (context->banks[i].place_memory)
            slc_free(context, context->banks[i].place_memory,
                     slc_bank_bytes(&context->banks[i].shape), SLUICE_MEM_STATE);
    slc_free(context, context->banks, count * sizeof *context->banks, SLUICE_MEM_STATE);
    slc_free(context, context->layers, count * sizeof *context->layers, SLUICE_MEM_STATE);
    slc_free(context, context->node, ranks_bytes(context), SLUICE_MEM_STATE);
    pthread_mutex_destroy(&context->text_lock);
    slc_fork_page_free(context->fork_page);
    sluice_host host = context->host;
    host.free(host.user, context, (sizeof *context + 63) / 64 * 64, SLUICE_MEM_STATE,
              (sluice_device){SLUICE_CPU, 0});
}
