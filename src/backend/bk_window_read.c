/* SPDX-License-Identifier: Apache-2.0
 * What windows that are kept say. */
#include <string.h>

#include "../core/figure.h"
#include "../core/mutant.h"
#include "../core/reach.h"
#include "bk_args.h"

/* A span of the ring: `count` windows from `newest` (0: the last) back. */
struct span {
    int32_t newest, count;
};

/* Adds up `length` numbers from `at` on of the span's windows. */
static void add_up(const struct sl_windows *windows, struct span span, int64_t at, int32_t length,
                   int64_t *out)
{
    memset(out, 0, (size_t)length * sizeof *out);
    for (int32_t i = 0; i < span.count; i++) {
        int64_t window = windows->ended - 1 - span.newest - i;
        const int64_t *row = windows->ring + window % windows->kept * windows->width + at;
        for (int32_t j = 0; j < length; j++)
            out[j] += row[j];
    }
}

static sluice_status check_stride(sluice_context *context, const char *name, int64_t stride,
                                  int64_t least, const void *array)
{
    if (array && stride < least)
        return sl_fail(context, SLUICE_INVALID, "window.%s is %lld: must be at least %lld", name,
                       (long long)stride, (long long)least);
    return SLUICE_OK;
}

static sluice_status check_span(sluice_context *context, const sluice_load_window *window,
                                int32_t count)
{
    const struct sl_windows *windows = &context->windows;
    if (window->newest < 0 || window->count < 0 || window->against < 0)
        return sl_fail(context, SLUICE_INVALID,
                       "window.newest is %d, count is %d, against is %d: none may be negative",
                       window->newest, window->count, window->against);
    if (!windows->kept || !windows->available)
        return sl_fail(context, SLUICE_NOT_READY, "%s",
                       windows->kept ? "no window has ended yet"
                                     : "there are no windows: `windows` begins them");
    int64_t needed = (int64_t)window->newest + count + window->against;
    if (needed > windows->available)
        return sl_fail(context, SLUICE_OVERFLOW,
                       "window.newest + count + against is %lld: %d windows are kept now",
                       (long long)needed, windows->available);
    return SLUICE_OK;
}

static sluice_status check_window(sluice_context *context, const sluice_load_window *window,
                                  int32_t count)
{
    int64_t widest = 0;
    for (int32_t i = 0; i < context->layer_count; i++)
        if (context->layers[i].bank->shape.experts > widest)
            widest = context->layers[i].bank->shape.experts;
    sluice_status status = check_stride(context, "stride", window->stride, widest, window->counts);
    if (!status)
        status = check_stride(context, "rank_stride", window->rank_stride, context->ranks,
                              window->rank_counts);
    return status ? status : check_span(context, window, count);
}

static bool owns(const sluice_context *context, int32_t layer)
{
    return context->layers[layer].bank_index == layer;
}

static void read_counts(const sluice_context *context, struct span span, int64_t *counts,
                        int64_t stride)
{
    for (int32_t i = 0; i < context->layer_count; i++) {
        const struct sl_shape *shape = &context->layers[i].bank->shape;
        int64_t *row = counts + i * stride;
        if (owns(context, i))
            add_up(&context->windows, span, sl_window_at(context, i), shape->experts, row);
        else
            memset(row, 0, (size_t)shape->experts * sizeof *row);
    }
}

static void read_drift(const sluice_context *context, struct span span, struct span against,
                       int32_t *drift)
{
    int64_t now[SL_MAX_COLUMNS], before[SL_MAX_COLUMNS];
    for (int32_t i = 0; i < context->layer_count; i++) {
        int32_t experts = context->layers[i].bank->shape.experts;
        drift[i] = -1;
        if (!owns(context, i) || !against.count)
            continue;
        add_up(&context->windows, span, sl_window_at(context, i), experts, now);
        add_up(&context->windows, against, sl_window_at(context, i), experts, before);
        drift[i] = sl_drift_ppm(now, before, experts);
    }
}

/* A figure's mean and worst over the layers that have one. */
struct mean {
    double sum, worst;
    int32_t layers;
};

static void take(struct mean *mean, double balance)
{
    if (SL_MUTANT(balance_of_empty_layers) && balance == 0.0)
        balance = 1.0;
    if (balance <= 0.0)
        return;
    mean->worst = mean->layers && mean->worst < balance ? mean->worst : balance;
    mean->sum += balance;
    mean->layers++;
}

static void read_reachable(const sluice_context *context, struct span span,
                           sluice_load_window *window)
{
    int64_t counts[SL_MAX_COLUMNS];
    struct mean mean = {.layers = 0};
    for (int32_t i = 0; i < context->layer_count; i++) {
        const struct sl_bank *bank = context->layers[i].bank;
        window->reachable[i] = 0.0;
        if (!owns(context, i))
            continue;
        add_up(&context->windows, span, sl_window_at(context, i), bank->shape.experts, counts);
        window->reachable[i] = sl_reach(&bank->shape, &bank->place, context->alive, counts,
                                        context->layers[i].rule.top_k, context->windows.reach);
        take(&mean, window->reachable[i]);
    }
    window->reachable_mean = mean.layers ? mean.sum / mean.layers : 0.0;
    window->reachable_worst = mean.worst;
}

/* What the ranks served, and the balance of it. */
static void read_served(const sluice_context *context, struct span span, sluice_load_window *window)
{
    int64_t served[SL_MAX_RANKS];
    struct mean mean = {.layers = 0};
    for (int32_t i = 0; i < context->layer_count; i++) {
        const struct sl_shape *shape = &context->layers[i].bank->shape;
        memset(served, 0, sizeof served);
        if (owns(context, i))
            add_up(&context->windows, span, sl_window_at(context, i) + shape->experts, shape->ranks,
                   served);
        double balance = sl_balance_of(served, context->alive, shape->ranks);
        take(&mean, balance);
        if (window->rank_counts)
            memcpy(window->rank_counts + i * window->rank_stride, served,
                   (size_t)shape->ranks * sizeof *served);
        if (window->balancedness)
            window->balancedness[i] = balance;
    }
    window->layers = mean.layers;
    window->mean = mean.layers ? mean.sum / mean.layers : 0.0;
    window->worst = mean.worst;
}

sluice_status sl_load_window(sluice_context *context, sluice_load_window *window)
{
    int64_t started;
    sluice_status status = sl_enter(context, SLUICE_OP_COUNT, &started);
    if (status || (status = sl_check_struct(context, NULL, 0, "window", window, sizeof *window,
                                            sizeof *window)))
        return status;
    const struct span span = {window->newest, window->count ? window->count : 1};
    status = check_window(context, window, span.count);
    if (status)
        return status;
    const struct span against = {span.newest + span.count, window->against};
    window->available = context->windows.available;
    window->number = context->windows.ended - span.newest;
    if (window->counts)
        read_counts(context, span, window->counts, window->stride);
    if (window->drift_ppm)
        read_drift(context, span, against, window->drift_ppm);
    if (window->reachable)
        read_reachable(context, span, window);
    read_served(context, span, window);
    return SLUICE_OK;
}
