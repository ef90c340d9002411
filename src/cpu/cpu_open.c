/* SPDX-License-Identifier: Apache-2.0
 * What open of the CPU backend adds: counters, threads, and memory to work in. */
#include "cpu_open.h"

#include <string.h>

#include "../backend/bk_balance.h"
#include "../backend/bk_bank.h"
#include "../backend/bk_config.h"
#include "../backend/bk_lane.h"
#include "../backend/bk_open.h"
#include "cpu_choose.h"
#include "cpu_context.h"
#include "cpu_lane.h"
#include "cpu_level.h"

static size_t counter_bytes(const sluice_context *context, const struct sl_shape *shape)
{
    return (size_t)(sl_threads(context) + 1) * (size_t)shape->physical * sizeof(uint64_t);
}

static size_t load_bytes(const sluice_context *context)
{
    size_t width = (size_t)context->ranks + 1;
    size_t sets = (size_t)sl_threads(context) + 2;
    if (context->shared_policy == SLUICE_SHARED_WATERFILL_DYNAMIC)
        sets += (size_t)context->ranks;
    bool waterfill = context->shared_policy == SLUICE_SHARED_WATERFILL_STATIC ||
                     context->shared_policy == SLUICE_SHARED_WATERFILL_DYNAMIC;
    return waterfill ? sets * width * sizeof(int64_t) : 0;
}

static bool start_counters(sluice_context *context)
{
    for (int32_t i = 0; i < context->layer_count; i++) {
        struct sl_bank *bank = &context->banks[i];
        if (context->layers[i].bank_index != i)
            continue;
        bank->counters = sl_alloc(context, counter_bytes(context, &bank->shape), SLUICE_MEM_STATE);
        if (!bank->counters)
            return false;
    }
    return true;
}

static sluice_status start_threads(sluice_context *context, const struct sl_text *text)
{
    int32_t threads = context->host.threads;
    if (threads <= 1)
        return SLUICE_OK;
    size_t bytes = (size_t)sl_pool_bytes(threads);
    void *memory = sl_alloc(context, bytes, SLUICE_MEM_STATE);
    int failed = 0;
    if (memory)
        sl_cpu_of(context)->pool = sl_pool_start(threads, memory, &failed);
    if (!memory || failed) {
        sl_free(context, memory, bytes, SLUICE_MEM_STATE);
        return sl_text_fail(text, SLUICE_NO_MEMORY, "could not start %d threads", threads - 1);
    }
    return SLUICE_OK;
}

static void add_needs(const sluice_context *context, sluice_needs *needs)
{
    uint64_t bytes = load_bytes(context) + sl_balance_needs(context);
    bytes += sl_balance_window_needs(context);
    for (int32_t i = 0; i < context->layer_count; i++)
        if (context->layers[i].bank_index == i)
            bytes += counter_bytes(context, &context->banks[i].shape);
    needs->host_bytes += bytes + sl_pool_bytes(context->host.threads);
    needs->threads = context->host.threads > 1 ? context->host.threads - 1 : 0;
}

static sluice_status start(sluice_context *context, const sluice_config *config,
                           const struct sl_text *text, sluice_needs *needs, bool query)
{
    struct sl_cpu *cpu = sl_cpu_of(context);
    sluice_status status = SLUICE_OK;
    add_needs(context, needs);
    if (context->exchanges && ((status = sl_exchange_open(context, config, text, needs)) ||
                               (status = sl_lanes_open(context, text, needs, query))))
        return status;
    if (query)
        return SLUICE_OK;
    cpu->sums = sl_sums_pick(sl_level());
    for (int32_t i = 0; i < context->layer_count; i++)
        cpu->layers[i].choose = sl_choose_pick(&context->layers[i].rule, sl_level());
    if (!sl_banks_open(context) || !start_counters(context))
        return sl_text_fail(text, SLUICE_NO_MEMORY, "no memory for %d layers",
                            context->layer_count);
    size_t load = load_bytes(context);
    if (load) {
        cpu->load = sl_alloc(context, load, SLUICE_MEM_SCRATCH);
        if (!cpu->load)
            return sl_text_fail(text, SLUICE_NO_MEMORY, "no memory for %zu bytes of loads", load);
    }
    if (!sl_balance_open(context))
        return sl_text_fail(text, SLUICE_NO_MEMORY, "no memory for %zu bytes of balance",
                            sl_balance_needs(context));
    status = start_threads(context, text);
    bool joins = (config->flags & SLUICE_OPEN_JOIN) != 0;
    if (!status && context->exchanges && joins)
        sl_exchange_hold(context);
    else if (!status && context->exchanges)
        status = sl_exchange_agree(context, config, text->data, text->size);
    return status;
}

static void stop(sluice_context *context)
{
    struct sl_cpu *cpu = sl_cpu_of(context);
    sl_pool_stop(cpu->pool);
    sl_free(context, cpu->pool, (size_t)sl_pool_bytes(context->host.threads), SLUICE_MEM_STATE);
    sl_lanes_close(context);
    sl_exchange_close(context);
    sl_balance_close(context);
    sl_free(context, cpu->load, load_bytes(context), SLUICE_MEM_SCRATCH);
    for (int32_t i = 0; context->banks && i < context->layer_count; i++)
        if (context->banks[i].counters)
            sl_free(context, context->banks[i].counters,
                    counter_bytes(context, &context->banks[i].shape), SLUICE_MEM_STATE);
}

static sluice_status read_counters(sluice_context *context, int32_t bank, void *stream,
                                   const uint64_t **counters)
{
    (void)stream;
    *counters = context->banks[bank].counters;
    return SLUICE_OK;
}

static sluice_status zero(sluice_context *context, int32_t bank, void *stream)
{
    (void)stream;
    memset(context->banks[bank].counters, 0,
           (size_t)context->banks[bank].shape.physical * sizeof(uint64_t));
    return SLUICE_OK;
}

/* The host's tables are the ones that are read. */
static sluice_status renew(sluice_context *context, int32_t bank, void *stream)
{
    (void)context, (void)bank, (void)stream;
    return SLUICE_OK;
}

static const struct sl_backend cpu_backend = {
    .device = SLUICE_CPU,
    .context_bytes = sizeof(struct sl_cpu),
    .layer_bytes = sizeof(struct sl_cpu_layer),
    .start = start,
    .stop = stop,
    .read = read_counters,
    .zero = zero,
    .renew = renew,
};

sluice_status cpu_open(const sluice_config *config, sluice_context **out, char *text, size_t size)
{
    return sl_open(&cpu_backend, config, out, text, size);
}
