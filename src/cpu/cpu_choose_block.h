/* SPDX-License-Identifier: Apache-2.0
 * The general vector version of sl_choose_fn, for every rule. Included by cpu_choose_avx2.c and
 * cpu_choose_avx512.c, which make a function of it. */
#ifndef SL_CPU_CHOOSE_BLOCK_H
#define SL_CPU_CHOOSE_BLOCK_H

#include "cpu_choose_math.h"
#include "cpu_choose_rank.h"
#include "cpu_choose_rows.h"
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

SL_SIMD void sl_choose_block(const struct sl_rule *rule, const struct sl_choose_io *io,
                             int64_t first, int32_t count, const struct sl_choices *out)
{
    struct sl_ranking work;
    struct sl_chosen chosen;
    chosen.room = rule->top_k <= 8 ? 8 : (rule->top_k + 15) / 16 * 16;
    int32_t none = 0;
    for (int32_t i = 0; i < count; i++) {
        const float *bias;
        if (sl_row_live(io, first + i) && sl_row_bias(rule, io, first + i, &bias)) {
            sl_choose_row(rule, io, first + i, i, bias, &work, &chosen);
            continue;
        }
        none++;
        chosen.max[i] = chosen.sum[i] = 0;
        sl_pad_ids(chosen.ids + i * chosen.room, 0, rule->top_k);
        memset(chosen.x + i * chosen.room, 0, (size_t)chosen.room * sizeof *chosen.x);
    }
    /* Rows go in pairs. */
    chosen.max[count] = chosen.sum[count] = 0;
    sl_pad_ids(chosen.ids + count * chosen.room, 0, 8);
    sl_weigh(rule, io, first, count, &chosen, out);
    for (int32_t i = 0; i < count && none > 0; i++)
        sl_put_none(rule, io, first + i, sl_row_of(rule, out, i));
}

#endif
