/* SPDX-License-Identifier: Apache-2.0 */
#include "bk_balance.h"

#include <string.h>

#include "../core/mutant.h"
#include "bk_lane.h"

static bool balances_copies(const sluice_context *context)
{
    return context->copy_policy == SLUICE_COPY_BALANCED;
}

bool sl_balance_serves(const sluice_context *context, const struct sl_layer *layer)
{
    return balances_copies(context) ||
           (context->shared_policy == SLUICE_SHARED_LEVEL && layer->shared > 0);
}

/* ---------------------------------------------------------------------------------- memory */

struct cut {
    char *base;
    size_t used;
};

static void *piece(struct cut *cut, size_t count, size_t size)
{
    void *at = cut->base ? cut->base + cut->used : NULL;
    cut->used += (count * size + 63) / 64 * 64;
    return at;
}

int32_t sl_balance_entries(const sluice_context *context, const struct sl_layer *layer)
{
    const struct sl_shape *shape = &layer->bank->shape;
    return balances_copies(context) ? shape->experts : shape->physical;
}

/* Lays everything out below balance->memory; NULL: only adds up. */
static size_t lay_out(const sluice_context *context, struct sl_context_balance *balance)
{
    struct cut cut = {balance->memory, 0};
    size_t ranks = (size_t)context->ranks, entries = 0, physical = 0, scratch = 0;
    size_t threads = context->host.threads > 1 ? (size_t)context->host.threads : 1;
    balance->layers = piece(&cut, (size_t)context->layer_count, sizeof *balance->layers);
    for (int32_t i = 0; i < context->layer_count; i++) {
        const struct sl_layer *layer = &context->layers[i];
        const struct sl_shape *shape = &layer->bank->shape;
        struct sl_layer_balance unused, *own = cut.base ? &balance->layers[i] : &unused;
        size_t all = (size_t)shape->physical;
        own->entries = sl_balance_entries(context, layer);
        own->counts = piece(&cut, ranks * ((size_t)own->entries + 1), sizeof(int64_t));
        own->routed = piece(&cut, all, sizeof(int64_t));
        own->whole = piece(&cut, all, sizeof(int64_t));
        own->shared = piece(&cut, ranks, sizeof(int64_t));
        size_t bytes = sl_balance_bytes(own->entries, context->ranks, shape->physical);
        entries = (size_t)own->entries > entries ? (size_t)own->entries : entries;
        physical = all > physical ? all : physical;
        scratch = bytes > scratch ? bytes : scratch;
    }
    balance->leader = piece(&cut, ranks, sizeof(int32_t));
    balance->parts = piece(&cut, threads * entries, sizeof(int64_t));
    balance->own = piece(&cut, entries + 1, sizeof(int64_t));
    balance->call = piece(&cut, physical, sizeof(int64_t));
    balance->room = piece(&cut, ranks, sizeof(int64_t));
    balance->rows = piece(&cut, ranks * (entries + 1), sizeof(int32_t));
    balance->start = piece(&cut, physical + 1, sizeof(int32_t));
    balance->copies = piece(&cut, physical, sizeof(int32_t));
    balance->turns = piece(&cut, threads * entries, sizeof *balance->turns);
    balance->scratch = piece(&cut, scratch, 1);
    return cut.used;
}

size_t sl_balance_needs(const sluice_context *context)
{
    struct sl_context_balance balance = {.memory = NULL};
    bool any = false;
    for (int32_t i = 0; i < context->layer_count; i++)
        any = any || sl_balance_serves(context, &context->layers[i]);
    return any ? sizeof balance + lay_out(context, &balance) : 0;
}

bool sl_balance_open(sluice_context *context)
{
    size_t bytes = sl_balance_needs(context);
    if (bytes == 0)
        return true;
    struct sl_context_balance *balance = sl_alloc(context, sizeof *balance, SLUICE_MEM_STATE);
    context->balance = balance;
    if (!balance)
        return false;
    balance->bytes = bytes - sizeof *balance;
    balance->memory = sl_alloc(context, balance->bytes, SLUICE_MEM_STATE);
    if (!balance->memory)
        return false;
    (void)lay_out(context, balance);
    balance->leaders_of = -1;
    for (int32_t i = 0; i < context->layer_count; i++)
        balance->layers[i].config.struct_size = sizeof balance->layers[i].config;
    return true;
}

void sl_balance_close(sluice_context *context)
{
    struct sl_context_balance *balance = context->balance;
    if (!balance)
        return;
    for (int32_t i = 0; balance->memory && i < context->layer_count; i++)
        sl_free(context, balance->layers[i].window, balance->layers[i].window_bytes,
                SLUICE_MEM_STATE);
    sl_free(context, balance->memory, balance->bytes, SLUICE_MEM_STATE);
    sl_free(context, balance, sizeof *balance, SLUICE_MEM_STATE);
    context->balance = NULL;
}

/* ----------------------------------------------------------------------------------- solving */

/* Where another policy picks copies every physical expert on a living rank is its only copy. */
static void list_physical(const sluice_context *context, const struct sl_shape *shape)
{
    struct sl_context_balance *balance = context->balance;
    int32_t count = 0;
    for (int32_t p = 0; p < shape->physical; p++) {
        balance->start[p] = count;
        if (context->alive[p / shape->slots])
            balance->copies[count++] = p;
    }
    balance->start[shape->physical] = count;
}

struct sl_balance sl_balance_problem_of(sluice_context *context, int32_t layer)
{
    struct sl_context_balance *balance = context->balance;
    const struct sl_layer_balance *own = &balance->layers[layer];
    const struct sl_layer *state = &context->layers[layer];
    const struct sl_shape *shape = &state->bank->shape;
    static const int32_t nowhere = -1;
    bool by_row =
        (context->flags & SLUICE_OPEN_EVERY_RANK_EVERY_ROW) != 0 && !SL_MUTANT(balance_by_rank);
    bool local = own->config.mode == SLUICE_BALANCE_LOCAL;
    bool level = context->shared_policy == SLUICE_SHARED_LEVEL;
    bool known = level || context->shared_policy == SLUICE_SHARED_AT_HOME;
    int64_t generation = atomic_load(&context->generation);
    if (balance->leaders_of != generation)
        sl_balance_leaders(context->ranks, context->node, balance->leader);
    balance->leaders_of = generation;
    struct sl_balance problem = {.experts = own->entries,
                                 .slots = shape->slots,
                                 .ranks = shape->ranks,
                                 .shared = known ? shape->shared : 0,
                                 .level = level,
                                 .objective = own->config.objective,
                                 .costs = own->config.costs,
                                 .alive = context->alive,
                                 .leader = balance->leader,
                                 .start = state->bank->place.alive_start,
                                 .copies = state->bank->place.alive_copies,
                                 .sources = local ? 1 : context->living_count,
                                 .source = by_row  ? &nowhere
                                           : local ? &context->rank
                                                   : context->living,
                                 .counts = own->counts,
                                 .tokens = own->counts + own->entries,
                                 .stride = own->entries + 1,
                                 .token_stride = own->entries + 1};
    if (!balances_copies(context)) {
        list_physical(context, shape);
        problem.start = balance->start;
        problem.copies = balance->copies;
    }
    return problem;
}

/* This rank's quotas into the layer. */
static void solve(sluice_context *context, int32_t layer)
{
    struct sl_layer_balance *own = &context->balance->layers[layer];
    const struct sl_shape *shape = &context->layers[layer].bank->shape;
    struct sl_quotas quotas = {.count = 1,
                               .routed = own->routed,
                               .shared = own->shared,
                               .column = own->column,
                               .whole = own->whole};
    if (own->config.mode != SLUICE_BALANCE_LOCAL)
        quotas.first = context->comm.rank;
    memset(own->routed, 0, (size_t)shape->physical * sizeof *own->routed);
    memset(own->whole, 0, (size_t)shape->physical * sizeof *own->whole);
    memset(own->shared, 0, (size_t)shape->ranks * sizeof *own->shared);
    const struct sl_balance problem = sl_balance_problem_of(context, layer);
    sl_balance_solve(&problem, &quotas, context->balance->scratch);
    own->solved = true;
}

uint64_t sl_balance_form(const struct sl_layer_balance *own)
{
    const int32_t numbers[] = {own->config.mode, own->config.objective, own->config.visited_only,
                               own->entries};
    if (SL_MUTANT(balance_form_ignored))
        return 0;
    uint64_t form = sl_mix(SL_MIX, numbers, sizeof numbers);
    return own->config.costs ? sl_mix(form, &own->costs, sizeof own->costs) : form;
}

/* Brings the layer's counts up to date: this step's own, or everyone's. */
static sluice_status count(sluice_context *context, int32_t layer)
{
    struct sl_context_balance *balance = context->balance;
    struct sl_layer_balance *own = &balance->layers[layer];
    size_t bytes = ((size_t)own->entries + 1) * sizeof(int64_t);
    sluice_status status = SLUICE_OK;
    if (own->config.mode == SLUICE_BALANCE_NOW)
        status = sl_exchange_gather(context, SL_CHANNEL_BALANCE, SL_KIND_REMAP, layer,
                                    sl_balance_form(own), balance->own, own->counts, bytes);
    else
        memcpy(own->counts, balance->own, bytes);
    if (status) { /* the counts may be in part this step's: they say nothing */
        own->step = 0;
        own->solved = false;
        return status;
    }
    if (SL_MUTANT(balance_now_alone))
        for (int64_t i = 0; i < context->living_count; i++)
            memcpy(own->counts + i * (own->entries + 1), balance->own, bytes);
    own->step++;
    return SLUICE_OK;
}

sluice_status sl_balance_step(sluice_context *context, int32_t layer)
{
    struct sl_layer_balance *own = &context->balance->layers[layer];
    bool stale = own->config.mode == SLUICE_BALANCE_STALE;
    sl_balance_refresh(context, layer);
    if (!stale) {
        sluice_status status = count(context, layer);
        if (status)
            return status;
    }
    if (!stale || !own->solved)
        solve(context, layer);
    return SLUICE_OK;
}
