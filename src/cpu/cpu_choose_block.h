/* SPDX-License-Identifier: Apache-2.0
 * The general vector version of sl_choose_fn, for every rule. Included by cpu_choose_avx2.c and
 * cpu_choose_avx512.c, which make a function of it. */
#ifndef SL_CPU_CHOOSE_BLOCK_H
#define SL_CPU_CHOOSE_BLOCK_H

#include "cpu_choose_math.h"
#include "cpu_choose_rank.h"

#include "cpu_choose_across.h"
#include "cpu_choose_tile.h"
#include "cpu_choose_weigh.h"

/* Rows without choices: padding, and those whose bias row is out of range. */
SL_SIMD void sl_put_none(const struct sl_rule *rule, const struct sl_choose_io *io, int64_t t,
                         struct sl_row_out out)
{
    const float *bias;
    if (!sl_row_live(io, t))
        sl_tail_padding(rule, out);
    else if (!sl_row_bias(rule, io, t, &bias))
        sl_tail_none(rule, io, t, out);
}

/* Returns how many rows it has room for. */
SL_SIMD int32_t sl_start_tile(const struct sl_rule *rule, struct sl_tile *tile)
{
    tile->rows = 0;
    tile->padded = (rule->columns + 15) / 16 * 16;
    int32_t room = SL_TILE_ROOM / tile->padded;
    room = room < SL_TILE_ROWS ? room : SL_TILE_ROWS;
    for (int32_t i = 0; i < room; i++) {
        int32_t at = i * (tile->padded + SL_CANDIDATE_PAD);
        tile->max[i] = 0;
        tile->sum[i] = 1;
        tile->candidates[i].ids = tile->candidate_ids + at;
        tile->candidates[i].values = tile->candidate_values + at;
    }
    return room;
}

/* Appends row i of the block; there is room. */
SL_SIMD void sl_add_row(const struct sl_rule *rule, const struct sl_choose_io *io, int64_t first,
                        int32_t i, const float *bias, struct sl_tile *tile)
{
    int32_t row = tile->rows++, own = rule->bias_rows > 1 ? row * tile->padded : 0;
    tile->slot[row] = i;
    tile->bias_of[row] = tile->bias + own;
    if (bias && (rule->bias_rows > 1 || row == 0))
        sl_read_bias(rule, bias, tile->bias + own);
    tile->x_of[row] =
        sl_read_x(rule, io, first + i, tile->bias + own, tile->x + row * tile->padded);
}

SL_SIMD void sl_choose_block(const struct sl_rule *rule, const struct sl_choose_io *io,
                             int64_t first, int32_t count, const struct sl_choices *out)
{
    struct sl_tile tile;
    struct sl_chosen chosen;
    int32_t room = sl_start_tile(rule, &tile), none = 0;
    chosen.room = rule->top_k <= 8 ? 8 : (rule->top_k + 15) / 16 * 16;
    for (int32_t i = 0; i < count; i++) {
        const float *bias;
        if (sl_row_live(io, first + i) && sl_row_bias(rule, io, first + i, &bias)) {
            sl_add_row(rule, io, first, i, bias, &tile);
        } else {
            none++;
            chosen.max[i] = chosen.sum[i] = 0;
            sl_pad_ids(chosen.ids + i * chosen.room, 0, rule->top_k);
            memset(chosen.x + i * chosen.room, 0, (size_t)chosen.room * sizeof *chosen.x);
            memset(chosen.joint[i], 0, sizeof chosen.joint[i]);
        }
        if (tile.rows == room || (i == count - 1 && tile.rows > 0)) {
            sl_choose_tile(rule, io, first, &tile, &chosen);
            tile.rows = 0;
        }
    }
    /* Rows go in pairs. */
    chosen.max[count] = chosen.sum[count] = 0;
    sl_pad_ids(chosen.ids + count * chosen.room, 0, 8);
    sl_weigh(rule, io, first, count, &chosen, out);
    for (int32_t i = 0; i < count && none > 0; i++)
        sl_put_none(rule, io, first + i, sl_row_of(rule, out, i));
}

#endif
