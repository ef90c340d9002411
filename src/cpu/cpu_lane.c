/* SPDX-License-Identifier: Apache-2.0
 * What dispatch and combine need, sized once at open: nothing is allocated later. */
#include <stdio.h>
#include <string.h>

#include "cpu_balance.h"
#include "cpu_config.h"
#include "cpu_lane.h"

static const size_t STAGING_MOST = (size_t)16 << 20;
enum { MOST_LANES = 8, MOST_PAYLOADS = 8 };

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t most(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static sluice_status check_number(const struct sl_text *text, const char *name, int64_t value,
                                  int64_t lowest, int64_t highest)
{
    if (value < lowest || value > highest)
        return sl_text_fail(text, SLUICE_INVALID,
                            "config.transport.%s is %lld: must be %lld to %lld", name,
                            (long long)value, (long long)lowest, (long long)highest);
    return SLUICE_OK;
}

static sluice_status check_transport(const struct sl_text *text, const sluice_transport *t,
                                     int32_t uses)
{
    const int64_t rows = (int64_t)1 << 24, bytes = (int64_t)1 << 24;
    bool exact = (uses & SLUICE_USE_EXACT) != 0, fixed = (uses & SLUICE_USE_FIXED) != 0;
    sluice_status status;
    if ((status = check_number(text, "max_tokens", t->max_tokens, exact, rows)) ||
        (status = check_number(text, "fixed_tokens", t->fixed_tokens, fixed, rows)) ||
        (status = check_number(text, "payload_row_bytes", t->payload_row_bytes, 1, bytes)) ||
        (status = check_number(text, "combine_row_bytes", t->combine_row_bytes, 0, bytes)) ||
        (status = check_number(text, "capacity_pair", t->capacity_pair, 0, rows)) ||
        (status = check_number(text, "capacity_rows", t->capacity_rows, 0, INT32_MAX)) ||
        (status = check_number(text, "capacity_slot", t->capacity_slot, 0, INT32_MAX)) ||
        (status = check_number(text, "capacity_back", t->capacity_back, 0, INT32_MAX)) ||
        (status = check_number(text, "max_payloads", t->max_payloads, 0, MOST_PAYLOADS)) ||
        (status = check_number(text, "lanes", t->lanes, 0, MOST_LANES)) ||
        (status = check_number(text, "row_layout", t->row_layout, 0, SLUICE_ROWS_STRIDED)) ||
        (status = check_number(text, "row_align", t->row_align, 0, 65536)) ||
        (status =
             check_number(text, "combine_order", t->combine_order, 0, SLUICE_COMBINE_PER_RANK)))
        return status;
    if (t->row_layout == SLUICE_ROWS_STRIDED && exact)
        return sl_text_fail(text, SLUICE_INVALID,
                            "config.transport.row_layout is STRIDED: fixed dispatch only, and "
                            "config.uses has EXACT");
    if (t->row_layout == SLUICE_ROWS_STRIDED && t->row_align > 1)
        return sl_text_fail(text, SLUICE_INVALID,
                            "config.transport.row_align is %d: STRIDED slots have no other",
                            t->row_align);
    return SLUICE_OK;
}

/* Defaults that cannot overflow. */
static void fill_transport(const sluice_context *context, struct sl_exchange *exchange)
{
    sluice_transport *t = &exchange->transport;
    int64_t all = context->ranks * t->fixed_tokens;
    int64_t copies = least(exchange->columns_max, exchange->local_max);
    t->combine_row_bytes = t->combine_row_bytes ? t->combine_row_bytes : t->payload_row_bytes;
    t->max_payloads = t->max_payloads ? t->max_payloads : 1;
    t->lanes = t->lanes ? t->lanes : 1;
    t->row_align = t->row_align ? t->row_align : 1;
    t->capacity_pair = t->capacity_pair ? t->capacity_pair : t->fixed_tokens;
    t->capacity_slot = t->capacity_slot ? t->capacity_slot : all;
    if (!t->capacity_rows)
        t->capacity_rows = all * copies + (int64_t)exchange->local_max * (t->row_align - 1);
    if (!t->capacity_back)
        t->capacity_back = t->capacity_pair * copies;
    exchange->tokens_max = most(t->max_tokens, t->fixed_tokens);
}

/* Cuts one allocation into arrays of whole cache lines; with base NULL it only adds up. */
struct cut {
    char *base;
    size_t used;
};

static void *piece(struct cut *cut, int64_t count, size_t size)
{
    void *at = cut->base ? cut->base + cut->used : NULL;
    cut->used += ((size_t)count * size + 63) / 64 * 64;
    return at;
}

static size_t lay_common(const sluice_context *context, struct sl_exchange *exchange, char *base)
{
    struct cut cut = {base, 0};
    int64_t ranks = context->ranks, visits = least(ranks, exchange->columns_max);
    int64_t meta = 1 + 2 * (int64_t)exchange->columns_max;
    int64_t counts = ranks * (exchange->local_max + 1 + exchange->carried_max);
    exchange->scratch = piece(&cut, 2 * ranks, sizeof(int32_t));
    exchange->peer_of = piece(&cut, ranks, sizeof(int32_t));
    exchange->headers = piece(&cut, ranks, sizeof(struct sl_header));
    exchange->send = piece(&cut, ranks, sizeof(void *));
    exchange->recv = piece(&cut, ranks, sizeof(void *));
    exchange->send_bytes = piece(&cut, ranks, sizeof(size_t));
    exchange->recv_bytes = piece(&cut, ranks, sizeof(size_t));
    exchange->cursor = piece(&cut, ranks, sizeof(int64_t));
    exchange->back = piece(&cut, ranks, sizeof(int64_t));
    exchange->in = piece(&cut, ranks, sizeof(char *));
    exchange->counts_out = piece(&cut, counts, sizeof(int32_t));
    exchange->counts_in = piece(&cut, counts, sizeof(int32_t));
    exchange->meta_out = piece(&cut, exchange->tokens_max * visits * meta, sizeof(int32_t));
    exchange->sum = piece(&cut, exchange->transport.combine_row_bytes, sizeof(float));
    if (ranks > 1) {
        exchange->staging_out = piece(&cut, (int64_t)exchange->staging_bytes, 1);
        exchange->staging_in = piece(&cut, (int64_t)exchange->staging_bytes, 1);
    }
    return cut.used;
}

static size_t lay_lane(const sluice_context *context, const struct sl_exchange *exchange,
                       struct sl_lane *lane, char *base)
{
    struct cut cut = {base, 0};
    int64_t ranks = context->ranks, tokens = exchange->tokens_max, local = exchange->local_max;
    int64_t entries = tokens * exchange->columns_max;
    int64_t meta = 1 + 2 * (int64_t)exchange->columns_max;
    lane->ids = piece(&cut, entries, sizeof(int32_t));
    lane->weights = piece(&cut, entries, sizeof(float));
    lane->send.start = piece(&cut, ranks + 1, sizeof(int32_t));
    lane->send.token = piece(&cut, tokens * least(ranks, exchange->columns_max), sizeof(int32_t));
    lane->send.hit = piece(&cut, tokens, 1);
    lane->rows.start = piece(&cut, local + 1, sizeof(int64_t));
    lane->rows.count = piece(&cut, local, sizeof(int64_t));
    lane->rows.cursor = piece(&cut, ranks * local, sizeof(int64_t));
    lane->from_start = piece(&cut, ranks + 1, sizeof(int32_t));
    lane->meta = piece(&cut, ranks * tokens * meta, sizeof(int32_t));
    return cut.used;
}

static void fill_needs(const sluice_context *context, const struct sl_exchange *exchange,
                       sluice_needs *needs)
{
    const sluice_transport *t = &exchange->transport;
    int64_t others = context->ranks - 1;
    int64_t visits = exchange->tokens_max * least(others, exchange->columns_max);
    int64_t meta = (1 + 2 * (int64_t)exchange->columns_max) * 4;
    int64_t rows_back = exchange->tokens_max * exchange->columns_max;
    needs->staging_bytes += exchange->common_bytes;
    needs->host_bytes += sizeof *exchange + (uint64_t)t->lanes * exchange->lane_bytes;
    needs->fixed_rows = t->row_layout == SLUICE_ROWS_STRIDED
                            ? t->capacity_slot * exchange->local_max
                            : t->capacity_rows;
    needs->dispatch_wire_bytes = visits * (t->payload_row_bytes + meta);
    needs->combine_wire_bytes = t->combine_order == SLUICE_COMBINE_EXACT
                                    ? (others ? rows_back * t->combine_row_bytes : 0)
                                    : visits * t->combine_row_bytes * 2;
}

static void size_up(const sluice_context *context, struct sl_exchange *exchange)
{
    for (int32_t i = 0; i < context->layer_count; i++) {
        const struct sl_layer *layer = &context->layers[i];
        int32_t columns = layer->rule.top_k + layer->shared;
        int32_t carried = sl_balance_carried_most(context, layer);
        exchange->carried_max = carried > exchange->carried_max ? carried : exchange->carried_max;
        exchange->columns_max = columns > exchange->columns_max ? columns : exchange->columns_max;
        if (layer->bank->shape.local > exchange->local_max)
            exchange->local_max = layer->bank->shape.local;
    }
}

/* A round moves at least one token of each pair of ranks. */
static size_t staging_bytes(const sluice_context *context, const struct sl_exchange *exchange)
{
    const sluice_transport *t = &exchange->transport;
    size_t columns = (size_t)exchange->columns_max, ranks = (size_t)context->ranks;
    size_t floats = (size_t)t->combine_row_bytes * 2; /* a partial sum of 2-byte elements */
    size_t token = (size_t)t->payload_row_bytes * ranks;
    token = token > columns * ranks * (size_t)t->combine_row_bytes
                ? token
                : columns * ranks * (size_t)t->combine_row_bytes;
    token = token > ranks * floats ? token : ranks * floats;
    size_t all = token * (size_t)exchange->tokens_max;
    if (all <= STAGING_MOST)
        return all;
    return token > STAGING_MOST ? token : STAGING_MOST;
}

sluice_status sl_exchange_open(sluice_context *context, const sluice_config *config,
                               sluice_needs *needs, bool query, char *text_data, size_t text_size)
{
    const struct sl_text text = {text_data, text_size};
    struct sl_exchange sizes = {.staging_bytes = 0};
    bool moves = (config->uses & (SLUICE_USE_EXACT | SLUICE_USE_FIXED)) != 0;
    if (moves) {
        sluice_status status = check_transport(&text, config->transport, config->uses);
        if (status)
            return status;
        size_up(context, &sizes);
        sizes.transport = *config->transport;
        sizes.transport.struct_size = sizeof sizes.transport; /* part of what ranks compare */
        fill_transport(context, &sizes);
        sizes.staging_bytes = staging_bytes(context, &sizes);
        sizes.lane_bytes = lay_lane(context, &sizes, &sizes.lanes[0], NULL);
    }
    sizes.common_bytes = lay_common(context, &sizes, NULL);
    fill_needs(context, &sizes, needs);
    if (query)
        return SLUICE_OK;
    struct sl_exchange *exchange = sl_alloc(context, sizeof *exchange, SLUICE_MEM_STATE);
    if (!exchange)
        return sl_text_fail(&text, SLUICE_NO_MEMORY, "no memory for dispatch");
    *exchange = sizes;
    memset(exchange->lanes, 0, sizeof exchange->lanes);
    context->exchange = exchange;
    exchange->common = sl_alloc(context, exchange->common_bytes, SLUICE_MEM_STAGING);
    if (!exchange->common)
        return sl_text_fail(&text, SLUICE_NO_MEMORY, "no memory for %zu bytes of staging",
                            exchange->common_bytes);
    (void)lay_common(context, exchange, exchange->common);
    for (int32_t i = 0; i < exchange->transport.lanes; i++) {
        exchange->lane_memory[i] = sl_alloc(context, exchange->lane_bytes, SLUICE_MEM_STATE);
        if (!exchange->lane_memory[i])
            return sl_text_fail(&text, SLUICE_NO_MEMORY, "no memory for %zu bytes of lane %d",
                                exchange->lane_bytes, i);
        (void)lay_lane(context, exchange, &exchange->lanes[i], exchange->lane_memory[i]);
    }
    for (int32_t r = 0; r < context->ranks; r++)
        exchange->peer_of[r] = -1;
    for (int32_t p = 0; p < context->living_count; p++)
        exchange->peer_of[context->living[p]] = p;
    return SLUICE_OK;
}

void sl_exchange_close(sluice_context *context)
{
    struct sl_exchange *exchange = context->exchange;
    if (!exchange)
        return;
    for (int32_t i = 0; i < MOST_LANES; i++)
        sl_free(context, exchange->lane_memory[i], exchange->lane_bytes, SLUICE_MEM_STATE);
    sl_free(context, exchange->common, exchange->common_bytes, SLUICE_MEM_STAGING);
    sl_free(context, exchange, sizeof *exchange, SLUICE_MEM_STATE);
    context->exchange = NULL;
}
