/* SPDX-License-Identifier: Apache-2.0
 * Mode STALE: the counts of the last steps. */
#include <string.h>

#include "../core/mutant.h"
#include "bk_balance.h"
#include "bk_balance_check.h"

static size_t row_entries(const sluice_context *context, const struct sl_layer_balance *own)
{
    return (size_t)context->ranks * ((size_t)own->entries + 1);
}

size_t sl_balance_window_bytes(const sluice_context *context, int32_t layer, int32_t steps)
{
    const struct sl_layer_balance *own = &context->balance->layers[layer];
    return row_entries(context, own) * (size_t)steps * sizeof *own->window;
}

size_t sl_balance_window_needs(const sluice_context *context)
{
    size_t bytes = 0;
    if (context->flags & SLUICE_OPEN_EVERY_RANK_EVERY_ROW)
        return 0;
    for (int32_t i = 0; i < context->layer_count; i++) {
        const struct sl_layer *layer = &context->layers[i];
        size_t row = (size_t)sl_balance_entries(context, layer) + 1;
        if (sl_balance_serves(context, layer))
            bytes += (size_t)context->ranks * row * SL_BALANCE_STEPS * sizeof(int32_t);
    }
    return bytes;
}

void sl_balance_forget(sluice_context *context, int32_t layer)
{
    struct sl_layer_balance *own = &context->balance->layers[layer];
    const struct sl_shape *shape = &context->layers[layer].bank->shape;
    size_t entries = row_entries(context, own);
    memset(own->counts, 0, entries * sizeof *own->counts);
    if (own->window)
        memset(own->window, 0, own->window_bytes);
    memset(own->routed, 0, (size_t)shape->physical * sizeof *own->routed);
    memset(own->whole, 0, (size_t)shape->physical * sizeof *own->whole);
    memset(own->shared, 0, (size_t)shape->ranks * sizeof *own->shared);
    own->next = 0;
    own->step = 0;
    own->solved = false;
    own->epoch = context->layers[layer].bank->epoch;
    own->generation = atomic_load(&context->generation);
}

void sl_balance_refresh(sluice_context *context, int32_t layer)
{
    struct sl_layer_balance *own = &context->balance->layers[layer];
    const struct sl_bank *bank = context->layers[layer].bank;
    bool physical = context->copy_policy != SLUICE_COPY_BALANCED;
    bool other = own->generation != atomic_load(&context->generation);
    if ((other && !SL_MUTANT(balance_not_forgotten)) || (physical && own->epoch != bank->epoch))
        sl_balance_forget(context, layer);
    if (own->epoch != bank->epoch)
        own->solved = false;
    own->epoch = bank->epoch;
}

void sl_balance_add(sluice_context *context, int32_t layer, const int32_t *rows, int64_t stride)
{
    struct sl_layer_balance *own = &context->balance->layers[layer];
    sl_balance_refresh(context, layer);
    int64_t width = own->entries + 1;
    int32_t *oldest = own->window + (size_t)own->next * row_entries(context, own);
    for (int32_t i = 0; i < context->living_count; i++)
        for (int64_t e = 0; e < width; e++) {
            int32_t *entry = &oldest[i * width + e];
            own->counts[i * width + e] +=
                rows[i * stride + e] - (SL_MUTANT(balance_window_grows) ? 0 : *entry);
            *entry = rows[i * stride + e];
        }
    own->next = (own->next + 1) % own->config.steps;
    own->step++;
    own->solved = false;
}

/* ---------------------------------------------------------------------------- with a dispatch */

int32_t sl_balance_carried_most(const sluice_context *context, const struct sl_layer *layer)
{
    return sl_balance_serves(context, layer) ? sl_balance_entries(context, layer) + 1 : 0;
}

int32_t sl_balance_carried(const sluice_context *context, int32_t layer)
{
    const struct sl_layer *state = &context->layers[layer];
    if (!sl_balance_serves(context, state) ||
        context->balance->layers[layer].config.mode != SLUICE_BALANCE_STALE)
        return 0;
    return sl_balance_entries(context, state) + 1;
}

void sl_balance_carry(const sluice_context *context, int32_t layer, const int32_t *ids,
                      int64_t count, int32_t *row)
{
    const struct sl_bank *bank = context->layers[layer].bank;
    const struct sl_shape *shape = &bank->shape;
    bool physical = context->copy_policy != SLUICE_COPY_BALANCED;
    int32_t entries = context->balance->layers[layer].entries, shared = 0;
    memset(row, 0, (size_t)(entries + 1) * sizeof *row);
    for (int64_t i = 0; i < count; i++) {
        if (ids[i] < 0)
            continue;
        int32_t slot = ids[i] % shape->local, p = ids[i] / shape->local * shape->slots + slot;
        if (slot >= shape->slots)
            shared++;
        else if (physical)
            row[p]++;
        else if (bank->place.map[p] >= 0)
            row[bank->place.map[p]]++;
    }
    row[entries] = shape->shared ? shared / shape->shared : 0;
}
