/* SPDX-License-Identifier: Apache-2.0 */
#include "layout.h"

#include <string.h>

#include "mutant.h"

/* Gives each column's peer, -1 where the token has been seen there, and counts tokens by peer. */
static void count_tokens(struct sl_send *send, const struct sl_shape *shape, int64_t tokens,
                         int32_t columns, const int32_t *ids, const int32_t *peer_of, int32_t *last)
{
    for (int32_t p = 0; p < send->peers; p++)
        last[p] = -1;
    memset(send->start, 0, ((size_t)send->peers + 1) * sizeof *send->start);
    for (int32_t t = 0; t < tokens; t++)
        for (int32_t c = 0; c < columns; c++) {
            int32_t id = ids[(int64_t)t * columns + c];
            if (id < 0)
                continue;
            int32_t peer = peer_of[id / shape->local];
            if (last[peer] != t)
                send->start[peer + 1]++;
            last[peer] = t;
        }
}

void sl_layout_send(struct sl_send *send, const struct sl_shape *shape, int64_t tokens,
                    int32_t columns, const int32_t *ids, const int32_t *peer_of, int64_t capacity,
                    int32_t *scratch, int32_t *slot_counts)
{
    int32_t *last = scratch, *fill = scratch + send->peers;
    count_tokens(send, shape, tokens, columns, ids, peer_of, last);
    send->needed = 0;
    send->fullest = 0;
    for (int32_t p = 0; p < send->peers; p++) {
        int32_t *count = &send->start[p + 1];
        if (*count > send->needed) {
            send->needed = *count;
            send->fullest = p;
        }
        *count = send->start[p] + (*count < capacity ? *count : (int32_t)capacity);
        last[p] = -1;
        fill[p] = send->start[p];
    }
    memset(send->hit, 0, tokens > 0 ? (size_t)tokens : 0);
    memset(slot_counts, 0, (size_t)send->peers * (size_t)shape->local * sizeof *slot_counts);
    for (int32_t t = 0; t < tokens; t++)
        for (int32_t c = 0; c < columns; c++) {
            int32_t id = ids[(int64_t)t * columns + c];
            if (id < 0)
                continue;
            int32_t rank = id / shape->local, peer = peer_of[rank];
            if (last[peer] != t && fill[peer] < send->start[peer + 1]) {
                send->token[fill[peer]++] = t;
                last[peer] = t;
            }
            if (last[peer] == t)
                slot_counts[(int64_t)peer * shape->local + id % shape->local]++;
            else
                send->hit[t] = 1;
        }
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

void sl_layout_rows(struct sl_rows *rows, const int32_t *counts, int64_t counts_stride,
                    int64_t align, int64_t stride, int64_t capacity)
{
    rows->needed = 0;
    int64_t at = 0;
    for (int32_t slot = 0; slot < rows->local; slot++) {
        int64_t first = stride ? slot * stride : at, sum = 0;
        for (int32_t i = 0; i < rows->peers; i++) {
            int32_t p = SL_MUTANT(sources_descending) ? rows->peers - 1 - i : i;
            rows->cursor[(int64_t)p * rows->local + slot] = first + sum;
            sum += counts[p * counts_stride + slot];
        }
        int64_t end = stride ? first + stride : capacity;
        rows->start[slot] = least(first, capacity);
        rows->count[slot] = least(sum, end > first ? end - first : 0);
        if (stride)
            rows->needed = sum > rows->needed ? sum : rows->needed;
        else
            at = first + (sum + align - 1) / align * align;
    }
    if (!stride)
        rows->needed = at;
    rows->total = stride ? stride * rows->local : least(at, capacity);
    rows->start[rows->local] = rows->total;
}

void sl_layout_none(struct sl_rows *rows, int64_t stride)
{
    rows->needed = 0;
    memset(rows->start, 0, ((size_t)rows->local + 1) * sizeof *rows->start);
    for (int32_t slot = 0; stride && slot <= rows->local; slot++)
        rows->start[slot] = slot * stride;
    memset(rows->count, 0, (size_t)rows->local * sizeof *rows->count);
    rows->total = stride * rows->local;
}

int64_t sl_layout_next(struct sl_rows *rows, int32_t peer, int32_t slot)
{
    int64_t row = rows->cursor[(int64_t)peer * rows->local + slot]++;
    return row < rows->start[slot] + rows->count[slot] ? row : SL_ROW_DROPPED;
}
