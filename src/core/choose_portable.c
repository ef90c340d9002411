/* SPDX-License-Identifier: Apache-2.0 */
#include "choose_row.h"

static void take_forced(struct sl_row *row, const struct sl_rule *rule,
                        const struct sl_choose_io *io, int64_t t, struct sl_row_out out)
{
    sl_forced(rule, io, t, out.ids);
    for (int32_t k = 0; k < rule->top_k; k++) {
        float x = out.ids[k] >= 0 ? row->x[out.ids[k]] : -INFINITY;
        bool chosen = x >= -FLT_MAX;
        out.ids[k] = chosen ? out.ids[k] : -1;
        out.weights[k] = chosen ? sl_score_of(rule, x, row->max, row->sum) : 0.0f;
    }
}

void sl_choose_portable(const struct sl_rule *rule, const struct sl_choose_io *io, int64_t first,
                        int32_t count, const struct sl_choices *choices)
{
    struct sl_row row;
    for (int32_t i = 0; i < count; i++) {
        int64_t t = first + i;
        const float *bias;
        struct sl_row_out out = sl_row_of(rule, choices, i);
        if (!sl_row_live(io, t)) {
            sl_tail_padding(rule, out);
            continue;
        }
        if (!sl_row_bias(rule, io, t, &bias)) {
            sl_tail_none(rule, io, t, out);
            continue;
        }
        sl_row_read(&row, rule, io, t, bias);
        if (io->forced_ids.data)
            take_forced(&row, rule, io, t, out);
        else
            sl_row_rank(&row, rule, bias, out.ids, out.weights);
        sl_tail(rule, io, t, row.joint, out);
    }
}
