/* SPDX-License-Identifier: Apache-2.0 */
#include "choose_row.h"

#include "mutant.h"

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

/* A mutant's tail: expert_scale is in the sum that renormalises. */
static void scale_first(const struct sl_rule *rule, const struct sl_choose_io *io, int64_t t,
                        const float *joint, struct sl_row_out out)
{
    struct sl_choose_io own = *io;
    for (int32_t k = 0; k < rule->top_k; k++)
        if (io->expert_scale && out.ids[k] >= 0)
            out.weights[k] *= io->expert_scale[out.ids[k]];
    own.expert_scale = NULL;
    sl_tail(rule, &own, t, joint, out);
}

void sl_choose_portable(const struct sl_rule *rule, const struct sl_choose_io *io, int64_t first,
                        int32_t count, const struct sl_choices *choices)
{
    struct sl_row row;
    for (int32_t i = 0; i < count; i++) {
        int64_t t = first + i;
        const float *bias;
        struct sl_row_out out = sl_row_of(rule, choices, i);
        if (!sl_row_live(io, t) && !SL_MUTANT(padding_chosen)) {
            sl_tail_padding(rule, out);
            continue;
        }
        if (!sl_row_bias(rule, io, t, &bias)) {
            sl_tail_none(rule, io, t, out);
            continue;
        }
        if (SL_MUTANT(bias_row_ignored) && bias)
            bias = io->bias;
        sl_row_read(&row, rule, io, t, bias);
        if (io->forced_ids.data)
            take_forced(&row, rule, io, t, out);
        else
            sl_row_rank(&row, rule, bias, out.ids, out.weights);
        if (SL_MUTANT(renorm_without_shared) && rule->shared_weight == SLUICE_SHARED_JOINT)
            memset(row.joint, 0, sizeof row.joint);
        if (SL_MUTANT(expert_scale_before_renorm))
            scale_first(rule, io, t, row.joint, out);
        else
            sl_tail(rule, io, t, row.joint, out);
        if (SL_MUTANT(renorm_over_shared) && rule->renorm && rule->shared > 0)
            for (int32_t k = 0; k < rule->top_k; k++)
                out.weights[k] /= 2;
        if (SL_MUTANT(shared_divided_by_topk) && out.shared)
            for (int32_t j = 0; j < rule->shared; j++)
                out.shared[j] /= rule->shared_divisor;
        if (SL_MUTANT(zero_id_leaks) && rule->zero_experts > 0)
            for (int32_t k = 0; k < rule->top_k; k++)
                if (out.ids[k] < 0 && *out.zero > 0)
                    out.ids[k] = rule->experts;
    }
}
