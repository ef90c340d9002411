/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "../core/mutant.h"
#include "bk_balance.h"
#include "bk_balance_check.h"
#include "bk_ext.h"

/* Texts of checks that know no context. */
enum { TEXT = 300 };

static sluice_status enter(sluice_context *context, int32_t layer, struct sl_layer **state)
{
    int64_t started;
    sluice_status status = sl_enter(context, SLUICE_OP_COUNT, &started);
    if (status || (status = sl_check_layer(context, layer, state)))
        return status;
    if (!sl_balance_serves(context, *state))
        return sl_fail(context, SLUICE_UNSUPPORTED,
                       "layer %d has no balanced policy: config.copy_policy must be BALANCED, or "
                       "config.shared_policy LEVEL and the layer have shared experts",
                       layer);
    return SLUICE_OK;
}

static sluice_status check_mode(sluice_context *context, int32_t mode)
{
    if (mode != SLUICE_BALANCE_LOCAL && context->flags & SLUICE_OPEN_EVERY_RANK_EVERY_ROW)
        return sl_fail(context, SLUICE_INVALID,
                       "config.mode is %d: with EVERY_RANK_EVERY_ROW it must be LOCAL", mode);
    if (mode == SLUICE_BALANCE_NOW && !(context->uses & SLUICE_USE_BALANCE_NOW))
        return sl_fail(context, SLUICE_UNSUPPORTED,
                       "config.mode is NOW: uses at open had no BALANCE_NOW");
    return SLUICE_OK;
}

/* Is it one of the layers that `layer` (-1: all) means? */
static bool means(const sluice_context *context, int32_t layer, int32_t i)
{
    return (layer == -1 || layer == i) && sl_balance_serves(context, &context->layers[i]);
}

static int32_t *make_window(const sluice_context *context, size_t bytes)
{
    const struct sl_balance_there *there = context->backend->balance;
    return there ? there->make_window(context, bytes) : sl_alloc(context, bytes, SLUICE_MEM_STATE);
}

static void drop_window(const sluice_context *context, int32_t *window, size_t bytes)
{
    const struct sl_balance_there *there = context->backend->balance;
    if (there && window)
        there->drop_window(context, window, bytes);
    else
        sl_free(context, window, bytes, SLUICE_MEM_STATE);
}

static sluice_status make_windows(sluice_context *context, int32_t layer, int32_t steps)
{
    for (int32_t i = 0; i < context->layer_count; i++) {
        struct sl_layer_balance *own = &context->balance->layers[i];
        if (!means(context, layer, i))
            continue;
        size_t bytes = sl_balance_window_bytes(context, i, steps);
        own->fresh = make_window(context, bytes);
        if (!own->fresh)
            return sl_fail(context, SLUICE_NO_MEMORY, "no memory for %zu bytes of %d steps", bytes,
                           steps);
    }
    return SLUICE_OK;
}

static void drop_windows(sluice_context *context, int32_t steps)
{
    for (int32_t i = 0; i < context->layer_count; i++) {
        struct sl_layer_balance *own = &context->balance->layers[i];
        drop_window(context, own->fresh, sl_balance_window_bytes(context, i, steps));
        own->fresh = NULL;
    }
}

static sluice_status take_config(sluice_context *context, int32_t layer,
                                 const sluice_balance_config *config, int32_t steps)
{
    struct sl_layer_balance *own = &context->balance->layers[layer];
    drop_window(context, own->window, own->window_bytes);
    own->config = *config;
    own->config.struct_size = sizeof own->config;
    own->config.steps = steps;
    own->config.costs = config->costs ? &own->costs : NULL;
    if (config->costs) {
        own->costs = *config->costs;
        own->costs.struct_size = sizeof own->costs; /* it is part of what ranks compare */
    }
    own->window = own->fresh;
    own->window_bytes = own->fresh ? sl_balance_window_bytes(context, layer, steps) : 0;
    own->fresh = NULL;
    if (context->backend->balance)
        return context->backend->balance->forget(context, layer);
    sl_balance_forget(context, layer);
    return SLUICE_OK;
}

static sluice_status check_config(sluice_context *context, int32_t layer,
                                  const sluice_balance_config *config)
{
    struct sl_layer *state;
    char why[TEXT] = "";
    const struct sl_text text = {why, sizeof why};
    sluice_status status;
    int32_t first = layer;
    for (int32_t i = 0; i < context->layer_count && first == -1; i++)
        if (sl_balance_serves(context, &context->layers[i]))
            first = i;
    if ((status = enter(context, layer == -1 && first == -1 ? 0 : first, &state)))
        return status;
    if ((status = sl_balance_check_config(&text, "config", config)))
        return sl_fail(context, status, "%s", why);
    return check_mode(context, config->mode);
}

static sluice_status configure(sluice_context *context, int32_t layer,
                               const sluice_balance_config *config)
{
    sluice_status status = sl_check_context(context);
    if (status || (status = check_config(context, layer, config)))
        return status;
    int32_t steps = config->steps ? config->steps : SL_BALANCE_STEPS;
    if (config->mode == SLUICE_BALANCE_STALE && (status = make_windows(context, layer, steps))) {
        drop_windows(context, steps);
        return status;
    }
    for (int32_t i = 0; i < context->layer_count; i++)
        if (means(context, layer, i) && !status)
            status = take_config(context, i, config, steps);
    return status;
}

/* ---------------------------------------------------------------------------------- counts */

/* What expert e got: to the entry, or where entries are copies evenly to those that live. */
static void add_entry(const sluice_context *context, const struct sl_bank *bank, int32_t e,
                      int64_t count, int32_t *row)
{
    if (context->copy_policy == SLUICE_COPY_BALANCED) {
        row[e] += (int32_t)count;
        return;
    }
    int32_t begin = bank->place.alive_start[e], copies = bank->place.alive_start[e + 1] - begin;
    for (int32_t c = 0; c < copies; c++)
        row[bank->place.alive_copies[begin + c]] +=
            (int32_t)(count / copies + (c < count % copies));
}

/* Rows of all living ranks, or one row that is shared out evenly over them: the first of it to
 * another rank for each expert. */
static void fill_rows(sluice_context *context, int32_t layer, const struct sl_ids *counts, bool sum)
{
    const struct sl_layer *state = &context->layers[layer];
    int32_t entries = context->balance->layers[layer].entries, living = context->living_count;
    for (int32_t i = 0; i < living; i++) {
        int32_t *row = context->balance->rows + (int64_t)i * (entries + 1);
        int64_t chosen = 0;
        memset(row, 0, (size_t)(entries + 1) * sizeof *row);
        for (int32_t e = 0; e < state->bank->shape.experts; e++) {
            int64_t count = sl_id_at(counts, sum ? 0 : context->living[i], e);
            if (sum)
                count = count / living + ((i + e) % living < count % living);
            add_entry(context, state->bank, e, count, row);
            chosen += count;
        }
        row[entries] = (int32_t)(chosen / state->rule.top_k);
    }
}

/* Most choices of a rank in a step: what balance->steps of them and of the shared columns that come
 * with them cost must be below 2^60. */
static int64_t most_choices(const sluice_context *context, const struct sl_layer *state,
                            const struct sl_layer_balance *own)
{
    if (!own->config.costs)
        return INT32_MAX;
    int64_t row = own->costs.row_ps + 2 * (own->costs.near_ps + own->costs.far_ps) + 1;
    int64_t rows = ((int64_t)1 << 60) / row / context->ranks / own->config.steps;
    int64_t most = rows / (state->rule.top_k + state->shared) * state->rule.top_k;
    return most < INT32_MAX ? most : INT32_MAX;
}

static sluice_status check_numbers(sluice_context *context, int32_t experts, int64_t most,
                                   const struct sl_view *view)
{
    struct sl_ids ids = sl_ids_of(view);
    for (int64_t r = 0; r < view->rows; r++) {
        int64_t left = most;
        for (int32_t e = 0; e < experts; e++) {
            int64_t count = sl_id_at(&ids, r, e);
            if (count < 0 || count > left)
                return sl_fail(context, SLUICE_INVALID,
                               "counts[%lld][%d] is %lld: must not be negative, and a row's sum "
                               "at most %lld",
                               (long long)r, e, (long long)count, (long long)most);
            left -= count;
        }
    }
    return SLUICE_OK;
}

static sluice_status check_counts(sluice_context *context, const struct sl_layer *state,
                                  int64_t most, const sluice_tensor *tensor, struct sl_view *view)
{
    int32_t experts = state->bank->shape.experts;
    sluice_status status = sl_check_tensor(context, "counts", tensor, -1, experts, SL_T_IDS, view);
    if (status)
        return status;
    if (view->rows != 1 && view->rows != context->ranks)
        return sl_fail(context, SLUICE_INVALID, "counts has %lld rows: must be %d, or 1 (the sum)",
                       (long long)view->rows, context->ranks);
    /* Numbers on a device are looked at when they are added. */
    return context->backend->balance ? SLUICE_OK : check_numbers(context, experts, most, view);
}

static sluice_status add_counts(sluice_context *context, const sluice_balance_counts *args)
{
    struct sl_layer *state;
    struct sl_view view;
    sluice_status status = sl_check_context(context);
    if (status ||
        (status = sl_check_struct(context, NULL, 0, "args", args, sizeof *args, sizeof *args)) ||
        (status = enter(context, args->layer, &state)))
        return status;
    struct sl_layer_balance *own = &context->balance->layers[args->layer];
    if (own->config.mode != SLUICE_BALANCE_STALE)
        return sl_fail(context, SLUICE_INVALID, "layer %d is in mode %d: counts are added in STALE",
                       args->layer, own->config.mode);
    int64_t most = most_choices(context, state, own);
    if ((status = check_counts(context, state, most, args->counts, &view)))
        return status;
    bool sum = view.rows == 1 && context->ranks > 1;
    if (context->backend->balance)
        return context->backend->balance->add(context, args->layer, &view, sum, most, args->stream);
    struct sl_ids ids = sl_ids_of(&view);
    fill_rows(context, args->layer, &ids, sum);
    sl_balance_add(context, args->layer, context->balance->rows, own->entries + 1);
    return SLUICE_OK;
}

/* ---------------------------------------------------------------------------------- quotas */

/* The layer's counts as they are now, on the host. */
static sluice_status bring_counts(sluice_context *context, int32_t layer, void *stream)
{
    if (!context->backend->balance) {
        sl_balance_refresh(context, layer);
        return SLUICE_OK;
    }
    context->balance->layers[layer].epoch = context->layers[layer].bank->epoch;
    return context->backend->balance->fetch(context, layer, stream);
}

static sluice_status check_read(sluice_context *context, int32_t layer,
                                const sluice_balance_answer *answer, int32_t *sources, void *stream)
{
    struct sl_layer *state;
    char why[TEXT] = "";
    const struct sl_text text = {why, sizeof why};
    sluice_status status = enter(context, layer, &state);
    if (status)
        return status;
    const struct sl_layer_balance *own = &context->balance->layers[layer];
    const struct sl_shape *shape = &state->bank->shape;
    status = sl_balance_check_answer(&text, answer, shape->ranks, shape->physical, sources);
    if (status)
        return sl_fail(context, status, "%s", why);
    bool local = own->config.mode == SLUICE_BALANCE_LOCAL;
    if (local && (answer->source || answer->sources) &&
        (answer->source != context->rank || *sources != 1))
        return sl_fail(context, SLUICE_INVALID,
                       "answer.source is %d and answer.sources %d: in mode LOCAL rank %d knows its "
                       "own quotas alone, leave both 0",
                       answer->source, *sources, context->rank);
    if ((status = bring_counts(context, layer, stream)))
        return status;
    if (own->step == 0)
        return sl_fail(context, SLUICE_NOT_READY,
                       "layer %d: nothing has been counted: remap, or in mode STALE dispatch or "
                       "add_counts, comes first",
                       layer);
    return SLUICE_OK;
}

static sluice_status read_quotas(sluice_context *context, int32_t layer,
                                 sluice_balance_answer *answer, void *stream)
{
    int32_t sources = 0;
    sluice_status status = check_read(context, layer, answer, &sources, stream);
    if (status)
        return status;
    const struct sl_layer_balance *own = &context->balance->layers[layer];
    const struct sl_shape *shape = &context->layers[layer].bank->shape;
    const struct sl_balance problem = sl_balance_problem_of(context, layer);
    struct sl_quotas quotas = {
        .routed = answer->routed, .shared = answer->shared, .cut = answer->cut};
    sl_balance_clear_answer(answer, shape->ranks, shape->physical, sources);
    if (own->config.mode == SLUICE_BALANCE_LOCAL)
        quotas.count = 1;
    else
        sl_balance_want(&problem, answer->source, sources, &quotas);
    sl_balance_solve(&problem, &quotas, context->balance->scratch);
    if (own->config.mode != SLUICE_BALANCE_LOCAL)
        sl_balance_spread(&problem, answer->source, &quotas);
    answer->greatest = quotas.greatest;
    answer->bound = quotas.bound;
    answer->epoch = own->epoch;
    answer->step = own->step;
    return SLUICE_OK;
}

const sluice_balance_api sl_balance_api = {
    .struct_size = sizeof sl_balance_api,
    .configure = configure,
    .add_counts = add_counts,
    .read = read_quotas,
    .solve = sl_balance_plain,
};
