/* SPDX-License-Identifier: Apache-2.0
 * What exchange needs on the host, sized once at open: nothing is allocated later. */
#include <stdio.h>
#include <string.h>

#include "bk_balance.h"
#include "bk_config.h"
#include "bk_cut.h"
#include "bk_lane.h"

enum { MOST_PAYLOADS = 8 };

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
        (status = check_number(text, "lanes", t->lanes, 0, SL_MOST_LANES)) ||
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
    int64_t copies = sl_least(exchange->columns_max, exchange->local_max);
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

static size_t lay_state(const sluice_context *context, struct sl_exchange *exchange, char *base)
{
    struct sl_cut cut = {base, 0};
    int64_t ranks = context->ranks;
    int64_t counts = ranks * (exchange->local_max + 1 + exchange->carried_max);
    exchange->scratch = sl_piece(&cut, 2 * ranks, sizeof(int32_t));
    exchange->peer_of = sl_piece(&cut, ranks, sizeof(int32_t));
    exchange->headers = sl_piece(&cut, ranks, sizeof(struct sl_header));
    exchange->send = sl_piece(&cut, ranks, sizeof(void *));
    exchange->recv = sl_piece(&cut, ranks, sizeof(void *));
    exchange->send_bytes = sl_piece(&cut, ranks, sizeof(size_t));
    exchange->recv_bytes = sl_piece(&cut, ranks, sizeof(size_t));
    exchange->cursor = sl_piece(&cut, ranks, sizeof(int64_t));
    exchange->back = sl_piece(&cut, ranks, sizeof(int64_t));
    exchange->in = sl_piece(&cut, ranks, sizeof(char *));
    exchange->counts_out = sl_piece(&cut, counts, sizeof(int32_t));
    exchange->counts_in = sl_piece(&cut, counts, sizeof(int32_t));
    return cut.used;
}

static void fill_needs(const sluice_context *context, const struct sl_exchange *exchange,
                       sluice_needs *needs)
{
    const sluice_transport *t = &exchange->transport;
    int64_t others = context->ranks - 1;
    int64_t visits = exchange->tokens_max * sl_least(others, exchange->columns_max);
    int64_t meta = (1 + 2 * (int64_t)exchange->columns_max) * 4;
    int64_t came = others * exchange->tokens_max; /* tokens, where all come here */
    needs->host_bytes += sizeof *exchange + exchange->state_bytes;
    needs->fixed_rows = t->row_layout == SLUICE_ROWS_STRIDED
                            ? t->capacity_slot * exchange->local_max
                            : t->capacity_rows;
    /* To each other rank: headers, and the counts of its slots with those that balance carries. */
    int64_t header = sizeof(struct sl_header), counts = exchange->local_max + 1;
    int64_t frame = 2 * header + (counts + exchange->carried_max) * 4;
    needs->dispatch_wire_bytes = visits * (t->payload_row_bytes + meta) + others * frame;
    needs->combine_wire_bytes = others * header;
    needs->combine_wire_bytes += t->combine_order == SLUICE_COMBINE_EXACT
                                     ? came * exchange->columns_max * t->combine_row_bytes
                                     : came * t->combine_row_bytes * 2;
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

sluice_status sl_exchange_open(sluice_context *context, const sluice_config *config,
                               const struct sl_text *text, sluice_needs *needs)
{
    struct sl_exchange sizes = {.state_bytes = 0};
    if (config->uses & (SLUICE_USE_EXACT | SLUICE_USE_FIXED)) {
        sluice_status status = check_transport(text, config->transport, config->uses);
        if (status)
            return status;
        size_up(context, &sizes);
        sizes.transport = *config->transport;
        sizes.transport.struct_size = sizeof sizes.transport; /* part of what ranks compare */
        fill_transport(context, &sizes);
    }
    sizes.state_bytes = lay_state(context, &sizes, NULL);
    fill_needs(context, &sizes, needs);
    struct sl_exchange *exchange = sl_alloc(context, sizeof *exchange, SLUICE_MEM_STATE);
    if (!exchange)
        return sl_text_fail(text, SLUICE_NO_MEMORY, "no memory for dispatch");
    *exchange = sizes;
    context->exchange = exchange;
    exchange->state = sl_alloc(context, exchange->state_bytes, SLUICE_MEM_STATE);
    if (!exchange->state)
        return sl_text_fail(text, SLUICE_NO_MEMORY, "no memory for %zu bytes of exchange",
                            exchange->state_bytes);
    (void)lay_state(context, exchange, exchange->state);
    sl_exchange_number(context);
    return SLUICE_OK;
}

void sl_exchange_close(sluice_context *context)
{
    struct sl_exchange *exchange = context->exchange;
    if (!exchange)
        return;
    sl_free(context, exchange->state, exchange->state_bytes, SLUICE_MEM_STATE);
    sl_free(context, exchange, sizeof *exchange, SLUICE_MEM_STATE);
    context->exchange = NULL;
}
