/* SPDX-License-Identifier: Apache-2.0 */
#include "cpu_lane.h"

#include "../backend/bk_config.h"
#include "../backend/bk_cut.h"

static const size_t STAGING_MOST = (size_t)16 << 20;

static size_t lay_staging(const sluice_context *context, struct sl_exchange *exchange, char *base)
{
    struct sl_cut cut = {base, 0};
    int64_t ranks = context->ranks, visits = sl_least(ranks, exchange->columns_max);
    int64_t meta = 1 + 2 * (int64_t)exchange->columns_max;
    exchange->meta_out = sl_piece(&cut, exchange->tokens_max * visits * meta, sizeof(int32_t));
    exchange->sum = sl_piece(&cut, exchange->transport.combine_row_bytes, sizeof(float));
    if (ranks > 1) {
        exchange->staging_out = sl_piece(&cut, (int64_t)exchange->staging_bytes, 1);
        exchange->staging_in = sl_piece(&cut, (int64_t)exchange->staging_bytes, 1);
    }
    return cut.used;
}

static size_t lay_lane(const sluice_context *context, const struct sl_exchange *exchange,
                       struct sl_lane *lane, char *base)
{
    struct sl_cut cut = {base, 0};
    int64_t ranks = context->ranks, tokens = exchange->tokens_max, local = exchange->local_max;
    int64_t entries = tokens * exchange->columns_max;
    int64_t meta = 1 + 2 * (int64_t)exchange->columns_max;
    lane->ids = sl_piece(&cut, entries, sizeof(int32_t));
    lane->weights = sl_piece(&cut, entries, sizeof(float));
    lane->send.start = sl_piece(&cut, ranks + 1, sizeof(int32_t));
    lane->send.token =
        sl_piece(&cut, tokens * sl_least(ranks, exchange->columns_max), sizeof(int32_t));
    lane->send.hit = sl_piece(&cut, tokens, 1);
    lane->rows.start = sl_piece(&cut, local + 1, sizeof(int64_t));
    lane->rows.count = sl_piece(&cut, local, sizeof(int64_t));
    lane->rows.cursor = sl_piece(&cut, ranks * local, sizeof(int64_t));
    lane->from_start = sl_piece(&cut, ranks + 1, sizeof(int32_t));
    lane->meta = sl_piece(&cut, ranks * tokens * meta, sizeof(int32_t));
    return cut.used;
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

sluice_status sl_lanes_open(sluice_context *context, const struct sl_text *text,
                            sluice_needs *needs, bool query)
{
    struct sl_exchange *exchange = context->exchange;
    int32_t lanes = exchange->transport.lanes;
    if (lanes == 0)
        return SLUICE_OK;
    exchange->staging_bytes = staging_bytes(context, exchange);
    exchange->common_bytes = lay_staging(context, exchange, NULL);
    exchange->lane_bytes = lay_lane(context, exchange, &exchange->lanes[0], NULL);
    needs->staging_bytes += exchange->common_bytes;
    needs->host_bytes += (uint64_t)lanes * exchange->lane_bytes;
    if (query)
        return SLUICE_OK;
    exchange->common = sl_alloc(context, exchange->common_bytes, SLUICE_MEM_STAGING);
    if (!exchange->common)
        return sl_text_fail(text, SLUICE_NO_MEMORY, "no memory for %zu bytes of staging",
                            exchange->common_bytes);
    (void)lay_staging(context, exchange, exchange->common);
    for (int32_t i = 0; i < lanes; i++) {
        exchange->lane_memory[i] = sl_alloc(context, exchange->lane_bytes, SLUICE_MEM_STATE);
        if (!exchange->lane_memory[i])
            return sl_text_fail(text, SLUICE_NO_MEMORY, "no memory for %zu bytes of lane %d",
                                exchange->lane_bytes, i);
        (void)lay_lane(context, exchange, &exchange->lanes[i], exchange->lane_memory[i]);
    }
    return SLUICE_OK;
}

void sl_lanes_close(sluice_context *context)
{
    struct sl_exchange *exchange = context->exchange;
    if (!exchange)
        return;
    for (int32_t i = 0; i < SL_MOST_LANES; i++)
        sl_free(context, exchange->lane_memory[i], exchange->lane_bytes, SLUICE_MEM_STATE);
    sl_free(context, exchange->common, exchange->common_bytes, SLUICE_MEM_STAGING);
}
