/* SPDX-License-Identifier: Apache-2.0
 * open and close: check the config, add up what is needed, allocate, agree with the other ranks. */
#include "cpu_open.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../core/mutant.h"
#include "cpu_args.h"
#include "cpu_balance.h"
#include "cpu_choose.h"
#include "cpu_config.h"
#include "cpu_exchange.h"
#include "cpu_fork.h"
#include "cpu_level.h"

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

/* ----------------------------------------------------------------------------------- layers */

static sluice_status make_layer(const struct sl_text *text, const sluice_config *config,
                                int32_t index, int32_t ranks, struct sl_layer *layer,
                                int32_t *slots)
{
    const sluice_layer *given = config->layers[index];
    char name[48], why[200] = "";
    (void)snprintf(name, sizeof name, "config.layers[%d]", index);
    sluice_status status = SL_CHECK_STRUCT(text, name, given);
    if (status)
        return status;
    (void)snprintf(name, sizeof name, "config.layers[%d].router", index);
    status = SL_CHECK_STRUCT(text, name, given->router);
    if (status)
        return status;
    status = sl_rule_make(&layer->rule, given->router, why, sizeof why);
    if (status)
        return sl_text_fail(text, status, "config.layers[%d].%s", index, why);
    int32_t experts = layer->rule.experts;
    *slots = given->slots_per_rank ? given->slots_per_rank : (experts + ranks - 1) / ranks;
    if (*slots < 0 || (int64_t)*slots * ranks > SL_MAX_PHYSICAL)
        return sl_text_fail(
            text, SLUICE_INVALID,
            "config.layers[%d].slots_per_rank is %d: with %d ranks it must be 1 to %d", index,
            *slots, ranks, SL_MAX_PHYSICAL / ranks);
    if ((int64_t)*slots * ranks < experts)
        return sl_text_fail(
            text, SLUICE_INVALID,
            "config.layers[%d].slots_per_rank is %d: %d ranks then hold %d of %d experts, must "
            "be at least %d",
            index, *slots, ranks, *slots * ranks, experts, (experts + ranks - 1) / ranks);
    layer->shared = config->shared_policy == SLUICE_SHARED_NOT_FUSED ? 0 : layer->rule.shared;
    layer->choose = sl_choose_pick(&layer->rule, sl_level());
    layer->bank_index = given->bank ? *given->bank : index;
    return SLUICE_OK;
}

/* A layer that uses another's bank: is that one its own bank, of the same shape? */
static sluice_status check_bank(const struct sl_text *text, const sluice_config *config,
                                int32_t index, const struct sl_layer *layers, const int32_t *slots)
{
    int32_t bank = layers[index].bank_index;
    if (bank == index)
        return SLUICE_OK;
    if (bank < 0 || bank >= config->layer_count || layers[bank].bank_index != bank)
        return sl_text_fail(text, SLUICE_INVALID,
                            "config.layers[%d].bank is %d: must be a layer that is its own bank",
                            index, bank);
    if (layers[bank].rule.experts != layers[index].rule.experts ||
        layers[bank].shared != layers[index].shared || slots[bank] != slots[index])
        return sl_text_fail(
            text, SLUICE_INVALID,
            "config.layers[%d].bank is %d, which has %d experts, %d shared, %d slots a "
            "rank: this layer has %d, %d, %d",
            index, bank, layers[bank].rule.experts, layers[bank].shared, slots[bank],
            layers[index].rule.experts, layers[index].shared, slots[index]);
    return SLUICE_OK;
}

static struct sl_shape shape_of(const struct sl_layer *layer, int32_t slots, int32_t ranks,
                                int32_t rank)
{
    return (struct sl_shape){.experts = layer->rule.experts,
                             .slots = slots,
                             .ranks = ranks,
                             .shared = layer->shared,
                             .local = slots + layer->shared,
                             .physical = slots * ranks,
                             .rank = rank};
}

static size_t counter_bytes(const sluice_context *context, const struct sl_shape *shape)
{
    int32_t sets = sl_threads(context) + 1;
    size_t folded = (size_t)shape->experts + (size_t)shape->ranks;
    return ((size_t)sets * (size_t)shape->physical + folded) * sizeof(uint64_t);
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

/* ------------------------------------------------------------------------------- allocation */

static void start_services(sluice_context *context, const sluice_config *config)
{
    if (config->host)
        context->host = *config->host;
    if (!context->host.alloc) {
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
    if (config->label)
        (void)snprintf(context->label, sizeof context->label, "%s", config->label);
    context->device = (sluice_device){SLUICE_CPU, 0};
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
    context->sums = sl_sums_pick(sl_level());
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

static sluice_status make_layers(sluice_context *context, const sluice_config *config,
                                 const struct sl_text *text, int32_t *slots)
{
    sluice_status status = SLUICE_OK;
    for (int32_t i = 0; !status && i < config->layer_count; i++)
        status = make_layer(text, config, i, context->ranks, &context->layers[i], &slots[i]);
    for (int32_t i = 0; !status && i < config->layer_count; i++)
        status = check_bank(text, config, i, context->layers, slots);
    for (int32_t i = 0; !status && i < config->layer_count; i++) {
        struct sl_layer *layer = &context->layers[i];
        layer->bank = &context->banks[layer->bank_index];
        layer->bank->shape = shape_of(layer, slots[i], context->ranks, context->rank);
    }
    return status;
}

static sluice_status start_layers(sluice_context *context, const sluice_config *config,
                                  const struct sl_text *text)
{
    int32_t count = config->layer_count;
    context->layers = sl_alloc(context, (size_t)count * sizeof *context->layers, SLUICE_MEM_STATE);
    context->banks = sl_alloc(context, (size_t)count * sizeof *context->banks, SLUICE_MEM_STATE);
    int32_t *slots = sl_alloc(context, (size_t)count * sizeof *slots, SLUICE_MEM_SCRATCH);
    bool room = context->layers && context->banks && slots;
    sluice_status status =
        room ? make_layers(context, config, text, slots)
             : sl_text_fail(text, SLUICE_NO_MEMORY, "no memory for %d layers", count);
    sl_free(context, slots, (size_t)count * sizeof *slots, SLUICE_MEM_SCRATCH);
    return status;
}

static bool start_banks(sluice_context *context)
{
    for (int32_t i = 0; i < context->layer_count; i++) {
        if (context->layers[i].bank_index != i)
            continue;
        struct sl_bank *bank = &context->banks[i];
        bank->place_memory = sl_alloc(context, sl_place_bytes(&bank->shape), SLUICE_MEM_STATE);
        bank->counters = sl_alloc(context, counter_bytes(context, &bank->shape), SLUICE_MEM_STATE);
        if (!bank->place_memory || !bank->counters)
            return false;
        int32_t sets = sl_threads(context) + 1;
        bank->folded = (int64_t *)(bank->counters + (int64_t)sets * bank->shape.physical);
        sl_place_bind(&bank->place, &bank->shape, bank->place_memory);
        sl_place_trivial(&bank->shape, bank->place.map);
        sl_bank_build(context, i, NULL);
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
        context->pool = sl_pool_start(threads, memory, &failed);
    if (!memory || failed) {
        sl_free(context, memory, bytes, SLUICE_MEM_STATE);
        return sl_text_fail(text, SLUICE_NO_MEMORY, "could not start %d threads", threads - 1);
    }
    return SLUICE_OK;
}

static void add_needs(const sluice_context *context, sluice_needs *needs)
{
    uint64_t bytes = sizeof *context + ranks_bytes(context) + load_bytes(context);
    bytes += (uint64_t)context->layer_count * (sizeof *context->layers + sizeof *context->banks);
    for (int32_t i = 0; i < context->layer_count; i++) {
        if (context->layers[i].bank_index != i)
            continue;
        const struct sl_shape *shape = &context->banks[i].shape;
        bytes += sl_place_bytes(shape) + counter_bytes(context, shape);
    }
    bytes += sl_balance_needs(context);
    needs->host_bytes += bytes + sl_pool_bytes(context->host.threads);
    needs->threads = context->host.threads > 1 ? context->host.threads - 1 : 0;
}

static sluice_status start(sluice_context *context, const sluice_config *config,
                           const struct sl_text *text, sluice_needs *needs)
{
    bool query = (config->flags & SLUICE_OPEN_QUERY) != 0;
    context->fork_page = sl_fork_page();
    if (!context->fork_page || !start_ranks(context))
        return sl_text_fail(text, SLUICE_NO_MEMORY, "no memory for a context of %d ranks",
                            context->ranks);
    sluice_status status = start_layers(context, config, text);
    if (status)
        return status;
    add_needs(context, needs);
    if (context->exchanges)
        status = sl_exchange_open(context, config, needs, query, text->data, text->size);
    if (status || query)
        return status;
    if (!start_banks(context))
        return sl_text_fail(text, SLUICE_NO_MEMORY, "no memory for %d layers",
                            context->layer_count);
    size_t load = load_bytes(context);
    if (load) {
        context->load = sl_alloc(context, load, SLUICE_MEM_SCRATCH);
        if (!context->load)
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

sluice_status cpu_open(const sluice_config *config, sluice_context **out, char *text_data,
                       size_t text_size)
{
    struct sl_text text = {text_data, text_size};
    if (text_data && text_size)
        text_data[0] = 0;
    if (out)
        *out = NULL;
    sluice_status status = sl_config_check(&text, config);
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
    sluice_context *context = sl_alloc(&services, sizeof *context, SLUICE_MEM_STATE);
    if (!context)
        return sl_text_fail(&text, SLUICE_NO_MEMORY, "no memory for a context");
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
        cpu_close(context);
    else
        *out = context;
    return status;
}

void cpu_close(sluice_context *context)
{
    if (!context)
        return;
    size_t count = (size_t)context->layer_count;
    struct sl_pool *pool = context->pool;
    sl_pool_stop(pool);
    sl_free(context, pool, (size_t)sl_pool_bytes(context->host.threads), SLUICE_MEM_STATE);
    sl_windows_close(context);
    sl_exchange_close(context);
    sl_balance_close(context);
    sl_free(context, context->load, load_bytes(context), SLUICE_MEM_SCRATCH);
    for (size_t i = 0; context->banks && i < count; i++) {
        struct sl_bank *bank = &context->banks[i];
        if (bank->place_memory)
            sl_free(context, bank->place_memory, sl_place_bytes(&bank->shape), SLUICE_MEM_STATE);
        if (bank->counters)
            sl_free(context, bank->counters, counter_bytes(context, &bank->shape),
                    SLUICE_MEM_STATE);
    }
    sl_free(context, context->banks, count * sizeof *context->banks, SLUICE_MEM_STATE);
    sl_free(context, context->layers, count * sizeof *context->layers, SLUICE_MEM_STATE);
    sl_free(context, context->node, ranks_bytes(context), SLUICE_MEM_STATE);
    pthread_mutex_destroy(&context->text_lock);
    sl_fork_page_free(context->fork_page);
    sluice_host host = context->host;
    host.free(host.user, context, (sizeof *context + 63) / 64 * 64, SLUICE_MEM_STATE,
              (sluice_device){SLUICE_CPU, 0});
}
