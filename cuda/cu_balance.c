/* SPDX-License-Identifier: Apache-2.0 */
#include "cu_balance.h"

#include "../src/backend/bk_cut.h"
#include "../src/core/mutant.h"
#include "kernels/balance_job.h"

/* Dynamic shared memory of the solver's block; its own variables are beside it. */
enum { MOST_SHARED = 47 * 1024 };

/* ------------------------------------------------------------------------------------ memory */

static size_t scratch_bytes(const sluice_context *context, const struct sl_layer *layer)
{
    int64_t bytes = slc_balance_bytes(sl_balance_entries(context, layer), context->ranks,
                                      layer->bank->shape.physical);
    return (size_t)bytes;
}

size_t slc_balance_least(const sluice_context *context, const struct sl_layer *layer)
{
    size_t entries = (size_t)sl_balance_entries(context, layer);
    return sizeof(struct slc_head) + (entries + 4) / 4 * 4 * sizeof(int32_t);
}

size_t slc_balance_row(const sluice_context *context, const struct sl_layer *layer)
{
    size_t shared = slc_of(context)->share_row;
    return shared ? shared : slc_balance_least(context, layer);
}

/* What is zero before the first call. */
static void lay_out_state(struct sl_cut *cut, struct slc_layer_balance *own)
{
    own->step = sl_piece(cut, 1, sizeof(int64_t));
    own->next = sl_piece(cut, 1, sizeof(int32_t));
    own->stale = sl_piece(cut, 1, sizeof(int32_t));
    own->finished = sl_piece(cut, 1, sizeof(uint32_t));
    own->column = sl_piece(cut, SL_MAX_SHARED, sizeof(int32_t));
}

static void lay_out_layer(const sluice_context *context, const struct sl_layer *layer,
                          struct sl_cut *cut, struct slc_layer_balance *own)
{
    int64_t physical = layer->bank->shape.physical, ranks = context->ranks;
    int64_t width = (int64_t)sl_balance_entries(context, layer) + 1;
    bool by_copy = context->copy_policy != SLUICE_COPY_BALANCED;
    size_t scratch = scratch_bytes(context, layer);
    lay_out_state(cut, own);
    size_t row = slc_balance_row(context, layer), sums = (size_t)width * sizeof(int64_t);
    own->mine = sl_piece(cut, 1, row);
    own->counts = sl_piece(cut, ranks, row > sums ? row : sums);
    own->quota = sl_piece(cut, physical, sizeof(int64_t));
    own->whole = sl_piece(cut, physical, sizeof(int64_t));
    own->columns = sl_piece(cut, ranks, sizeof(int64_t));
    own->line = sl_piece(cut, ranks, sizeof(int64_t));
    own->call = sl_piece(cut, physical, sizeof(int32_t));
    own->tiles = sl_piece(cut, SLC_MOST_TILES * (by_copy ? 1 : width), sizeof(int32_t));
    own->drawn = sl_piece(cut, physical, sizeof(uint64_t));
    own->scratch = scratch > MOST_SHARED ? sl_piece(cut, (int64_t)scratch, 1) : NULL;
    own->cost = sl_piece(cut, slc_cost_bytes(ranks), 1);
}

/* Below state->memory; NULL: only adds up. */
static size_t lay_out(const sluice_context *context, struct slc_balance_state *state)
{
    struct sl_cut cut = {state->memory, 0};
    state->leader = sl_piece(&cut, context->ranks, sizeof(int32_t));
    for (int32_t i = 0; i < context->layer_count; i++) {
        struct slc_layer_balance unused, *own = cut.base ? &state->layers[i] : &unused;
        if (sl_balance_serves(context, &context->layers[i]))
            lay_out_layer(context, &context->layers[i], &cut, own);
    }
    return cut.used;
}

static size_t host_bytes(const sluice_context *context)
{
    return sizeof(struct slc_balance_state) +
           (size_t)context->layer_count * sizeof(struct slc_layer_balance);
}

size_t slc_balance_needs(const sluice_context *context, size_t *host)
{
    struct slc_balance_state state = {.memory = NULL};
    *host = sl_balance_needs(context);
    if (*host == 0)
        return 0;
    *host += host_bytes(context);
    return lay_out(context, &state);
}

static slcu_result push_leaders(const sluice_context *context, void *stream)
{
    const struct slc_context *own = slc_of(context);
    sl_balance_leaders(context->ranks, context->node, context->balance->leader);
    return own->gpu.driver->MemcpyHtoDAsync(slc_address(own->balance->leader),
                                            context->balance->leader,
                                            (size_t)context->ranks * sizeof(int32_t), stream);
}

bool slc_balance_open(sluice_context *context, slcu_result *error)
{
    struct slc_context *own = slc_of(context);
    if (!context->balance)
        return true;
    struct slc_balance_state *state = sl_alloc(context, host_bytes(context), SLUICE_MEM_STATE);
    own->balance = state;
    if (!state)
        return false;
    state->layers = (struct slc_layer_balance *)(state + 1);
    state->bytes = lay_out(context, state);
    state->memory = slc_alloc_there(context, state->bytes);
    if (!state->memory)
        return false;
    (void)lay_out(context, state);
    *error = own->gpu.driver->MemsetD8Async(slc_address(state->memory), 0, state->bytes, NULL);
    return !*error;
}

void slc_balance_close(sluice_context *context)
{
    struct slc_balance_state *state = slc_of(context)->balance;
    if (!state)
        return;
    for (int32_t i = 0; i < context->layer_count; i++) {
        struct sl_layer_balance *layer = &context->balance->layers[i];
        slc_free_there(context, layer->window, layer->window_bytes);
        layer->window = NULL;
    }
    slc_free_there(context, state->memory, state->bytes);
    sl_free(context, state, host_bytes(context), SLUICE_MEM_STATE);
    slc_of(context)->balance = NULL;
}

/* ------------------------------------------------------------------------------------- state */

/* Quotas are made anew from what was counted. */
static slcu_result renew_layer(const sluice_context *context, int32_t layer, void *stream)
{
    const struct slc_layer_balance *own = &slc_of(context)->balance->layers[layer];
    return slc_of(context)->gpu.driver->MemsetD8Async(slc_address(own->stale), 1,
                                                      sizeof *own->stale, stream);
}

/* Nothing has been counted. */
static slcu_result forget(const sluice_context *context, int32_t layer, void *stream)
{
    const struct slcu_driver *driver = slc_of(context)->gpu.driver;
    const struct sl_layer_balance *host = &context->balance->layers[layer];
    const struct slc_layer_balance *own = &slc_of(context)->balance->layers[layer];
    size_t bytes = (size_t)((char *)own->call - (char *)own->step);
    slcu_result error = driver->MemsetD8Async(slc_address(own->step), 0, bytes, stream);
    if (!error && host->window)
        error = driver->MemsetD8Async(slc_address(host->window), 0, host->window_bytes, stream);
    return error ? error : renew_layer(context, layer, stream);
}

slcu_result slc_balance_renew(sluice_context *context, int32_t bank, void *stream)
{
    slcu_result error = SLCU_SUCCESS;
    bool by_copy = context->copy_policy != SLUICE_COPY_BALANCED;
    if (!context->balance)
        return error;
    if (bank == -1)
        error = push_leaders(context, stream);
    if (SL_MUTANT(balance_not_forgotten) && bank == -1)
        return error;
    for (int32_t i = 0; !error && i < context->layer_count; i++) {
        if (!sl_balance_serves(context, &context->layers[i]))
            continue;
        if (bank == -1 || (by_copy && context->layers[i].bank_index == bank))
            error = forget(context, i, stream);
        else if (context->layers[i].bank_index == bank)
            error = renew_layer(context, i, stream);
    }
    return error;
}

/* ------------------------------------------------------------------------------ one extension */

static void *make_window(const sluice_context *context, size_t bytes)
{
    const struct slc_gpu *gpu = &slc_of(context)->gpu;
    if (slc_gpu_enter(gpu))
        return NULL;
    void *window = slc_alloc_there(context, bytes);
    slc_gpu_leave(gpu);
    return window;
}

static void drop_window(const sluice_context *context, void *window, size_t bytes)
{
    const struct slc_gpu *gpu = &slc_of(context)->gpu;
    bool entered = !slc_gpu_enter(gpu);
    slc_free_there(context, window, bytes);
    if (entered)
        slc_gpu_leave(gpu);
}

static slcu_result forget_now(sluice_context *context, int32_t layer, void *stream)
{
    slcu_result error = forget(context, layer, stream);
    return error ? error : slc_of(context)->gpu.driver->StreamSynchronize(stream);
}

static sluice_status forget_layer(sluice_context *context, int32_t layer)
{
    return slc_run(context, "configuring the balance", forget_now, layer, NULL);
}

/* This rank's row, or those of all, become the host's int64. */
static slcu_result land_rows(sluice_context *context, int32_t layer, void *stream)
{
    const struct slcu_driver *driver = slc_of(context)->gpu.driver;
    const struct slc_layer_balance *own = &slc_of(context)->balance->layers[layer];
    struct sl_layer_balance *host = &context->balance->layers[layer];
    bool alone = host->config.mode == SLUICE_BALANCE_LOCAL || context->living_count == 1;
    size_t row = slc_balance_row(context, &context->layers[layer]);
    int32_t rows = alone ? 1 : context->living_count;
    slcu_result error = SLCU_SUCCESS;
    for (int32_t r = 0; !error && r < rows; r++) {
        const char *from = (alone ? own->mine : (char *)own->counts + (size_t)r * row);
        int64_t *to = host->counts + (int64_t)r * (host->entries + 1);
        error = driver->MemcpyDtoHAsync(to, slc_address(from + sizeof(struct slc_head)),
                                        ((size_t)host->entries + 1) * sizeof(int32_t), stream);
        if (!error)
            error = driver->StreamSynchronize(stream);
        /* the last first, as both lie in one place */
        for (int32_t e = host->entries; !error && e >= 0; e--)
            to[e] = ((const int32_t *)(const void *)to)[e];
    }
    return error;
}

static slcu_result land(sluice_context *context, int32_t layer, void *stream)
{
    const struct slcu_driver *driver = slc_of(context)->gpu.driver;
    const struct slc_layer_balance *own = &slc_of(context)->balance->layers[layer];
    struct sl_layer_balance *host = &context->balance->layers[layer];
    size_t sums = (size_t)context->living_count * ((size_t)host->entries + 1) * sizeof(int64_t);
    slcu_result error =
        driver->MemcpyDtoHAsync(&host->step, slc_address(own->step), sizeof host->step, stream);
    if (!error && host->config.mode == SLUICE_BALANCE_STALE)
        error = driver->MemcpyDtoHAsync(host->counts, slc_address(own->counts), sums, stream);
    else if (!error)
        error = land_rows(context, layer, stream);
    return error ? error : driver->StreamSynchronize(stream);
}

static sluice_status fetch(sluice_context *context, int32_t layer, void *stream)
{
    return slc_run(context, "reading the balance", land, layer, stream);
}

static sluice_status add(sluice_context *context, int32_t layer, const struct sl_view *counts,
                         bool sum, int64_t most, void *stream)
{
    const struct slc_layer_balance *own = &slc_of(context)->balance->layers[layer];
    const struct sl_layer_balance *host = &context->balance->layers[layer];
    const struct sl_layer *state = &context->layers[layer];
    const struct sl_place *there = &slc_of(context)->layers[state->bank_index].at;
    struct slc_balance_step step = {
        .counts = sl_ids_of(counts),
        .start = there->alive_start,
        .copies = there->alive_copies,
        .living = slc_of(context)->living_there,
        .window = host->window,
        .sums = own->counts,
        .step = own->step,
        .next = own->next,
        .stale = own->stale,
        .rejected = slc_of(context)->rejected + SLUICE_OP_REMAP,
        .most = most,
        .experts = state->bank->shape.experts,
        .entries = host->entries,
        .ranks = context->ranks,
        .steps = host->config.steps,
        .top_k = state->rule.top_k,
        .sum = sum,
        .by_copy = context->copy_policy != SLUICE_COPY_BALANCED,
    };
    slcu_result error = slc_gpu_enter(&slc_of(context)->gpu);
    if (error)
        return slc_judge(context, "cuCtxPushCurrent", error);
    error = slc_start(&slc_of(context)->gpu, SLC_K_balance_add, 1, SLC_BALANCE_THREADS / SLC_WARP,
                      0, &step, stream);
    slc_gpu_leave(&slc_of(context)->gpu);
    return slc_judge(context, "adding counts", error);
}

const struct sl_balance_there slc_balance_there = {
    .make_window = make_window,
    .drop_window = drop_window,
    .forget = forget_layer,
    .add = add,
    .fetch = fetch,
};
