/* SPDX-License-Identifier: Apache-2.0 */
#include "rule.h"

#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "mutant.h"

/* Where the text of a refusal goes; the first refusal stands. */
struct refusal {
    char *text;
    size_t size;
    bool refused;
};

__attribute__((format(printf, 2, 3))) static void refuse(struct refusal *out, const char *format,
                                                         ...)
{
    if (out->refused)
        return;
    out->refused = true;
    if (!out->text || out->size == 0)
        return;
    va_list list;
    va_start(list, format);
    vsnprintf(out->text, out->size, format, list);
    va_end(list);
}

static void check_range(struct refusal *out, const char *field, int32_t value, int32_t least,
                        int32_t most)
{
    if (value < least || value > most)
        refuse(out, "router.%s is %d: must be %d ... %d", field, value, least, most);
}

static void check_float(struct refusal *out, const char *field, float value)
{
    if (!isfinite(value) || value < 0)
        refuse(out, "router.%s is %g: must be finite and not negative", field, (double)value);
}

static float one_by_default(float value)
{
    return value == 0 ? 1.0f : value;
}

static void check_numbers(struct refusal *out, const sluice_router *r)
{
    check_range(out, "experts", r->experts, 1, SL_MAX_COLUMNS);
    check_range(out, "zero_experts", r->zero_experts, 0, SL_MAX_COLUMNS - 1);
    check_range(out, "top_k", r->top_k, 1, SL_MAX_K);
    check_range(out, "zero_kind", r->zero_kind, SLUICE_ZERO_IDENTITY, SLUICE_ZERO_NULL);
    check_range(out, "score", r->score, SLUICE_SCORE_SOFTMAX, SLUICE_SCORE_SQRT_SOFTPLUS);
    check_range(out, "bias_use", r->bias_use, SLUICE_BIAS_NONE, SLUICE_BIAS_LOGIT);
    check_range(out, "bias_rows", r->bias_rows, 0, INT32_MAX);
    check_range(out, "groups", r->groups, 0, SL_MAX_GROUPS);
    check_range(out, "keep_groups", r->keep_groups, 0, SL_MAX_GROUPS);
    check_range(out, "group_value", r->group_value, SLUICE_GROUP_MAX, SLUICE_GROUP_TOP2);
    check_range(out, "group_mode", r->group_mode, SLUICE_GROUPS_LIMIT, SLUICE_GROUPS_EVEN);
    check_range(out, "renorm", r->renorm, 0, 1);
    check_range(out, "scale_by", r->scale_by, SLUICE_SCALE_IN_WEIGHTS, SLUICE_SCALE_BY_ENGINE);
    check_range(out, "shared", r->shared, 0, SL_MAX_SHARED);
    check_range(out, "shared_weight", r->shared_weight, SLUICE_SHARED_ONE, SLUICE_SHARED_JOINT);
    check_range(out, "weight_on", r->weight_on, SLUICE_WEIGHT_ON_OUTPUT, SLUICE_WEIGHT_ON_INPUT);
    check_float(out, "logit_scale", r->logit_scale);
    check_float(out, "logit_cap", r->logit_cap);
    check_float(out, "renorm_eps", r->renorm_eps);
    check_float(out, "renorm_floor", r->renorm_floor);
    check_float(out, "scale", r->scale);
    check_float(out, "shared_scale", r->shared_scale);
}

/* What every field is by itself has been checked. */
static void check_groups(struct refusal *out, const struct sl_rule *rule)
{
    if (rule->experts % rule->groups != 0) {
        refuse(out, "router.groups is %d: must divide experts, which is %d", rule->groups,
               rule->experts);
        return;
    }
    if (rule->zero_experts > 0 && rule->groups > 1)
        refuse(out, "router.zero_experts is %d: must be 0 with groups, which is %d",
               rule->zero_experts, rule->groups);
    if (rule->keep_groups > rule->groups)
        refuse(out, "router.keep_groups is %d: must be at most groups, which is %d",
               rule->keep_groups, rule->groups);
    if (rule->group_value == SLUICE_GROUP_TOP2 && rule->group_size < 2)
        refuse(out, "router.group_value is TOP2: must be MAX, as each of %d groups has one expert",
               rule->groups);
    if (rule->group_mode == SLUICE_GROUPS_EVEN) {
        if (rule->top_k % rule->groups != 0)
            refuse(out, "router.groups is %d: must divide top_k, which is %d, with EVEN",
                   rule->groups, rule->top_k);
        if (rule->top_k > rule->experts)
            refuse(out, "router.top_k is %d: must be at most experts, which is %d, with EVEN",
                   rule->top_k, rule->experts);
    } else if (rule->groups > 1 && rule->keep_groups * rule->group_size < rule->top_k) {
        refuse(out, "router.keep_groups is %d: %d experts each are fewer than top_k, which is %d",
               rule->keep_groups, rule->group_size, rule->top_k);
    }
}

static void check_together(struct refusal *out, const struct sl_rule *rule)
{
    if (rule->columns > SL_MAX_COLUMNS)
        refuse(out, "router.zero_experts is %d: with experts, which is %d, must be at most %d",
               rule->zero_experts, rule->experts, SL_MAX_COLUMNS);
    if (rule->top_k > rule->columns)
        refuse(out, "router.top_k is %d: must be at most experts + zero_experts, which is %d",
               rule->top_k, rule->columns);
    if (rule->bias_rows > 1 && rule->bias_use == SLUICE_BIAS_NONE)
        refuse(out, "router.bias_rows is %d: must be 1 where bias_use is NONE", rule->bias_rows);
    check_groups(out, rule);
    if (rule->shared_weight == SLUICE_SHARED_JOINT && rule->shared == 0)
        refuse(out, "router.shared_weight is JOINT: needs shared experts, shared is 0");
}

/* JOINT's shared scores, a bias on scores and the choice of groups need the sum; eps and floor are
 * for scores that were divided by it. */
static bool sum_cancels(const struct sl_rule *rule)
{
    bool ranks = rule->bias_use == SLUICE_BIAS_SCORE ||
                 (rule->group_mode == SLUICE_GROUPS_LIMIT && rule->keep_groups < rule->groups);
    return rule->score == SLUICE_SCORE_SOFTMAX && rule->renorm && rule->renorm_eps == 0 &&
           rule->renorm_floor == 0 && rule->shared_weight != SLUICE_SHARED_JOINT && !ranks;
}

static void fill(struct sl_rule *rule, const sluice_router *r)
{
    rule->experts = r->experts;
    rule->zero_experts = r->zero_experts;
    rule->columns = r->experts + r->zero_experts;
    rule->top_k = r->top_k;
    rule->zero_kind = r->zero_kind;
    rule->logit_scale = one_by_default(r->logit_scale);
    rule->logit_cap = r->logit_cap;
    rule->score = r->score;
    rule->bias_use = r->bias_use;
    rule->bias_rows = r->bias_rows ? r->bias_rows : 1;
    rule->groups = r->groups ? r->groups : 1;
    rule->keep_groups = r->keep_groups ? r->keep_groups : rule->groups;
    rule->group_size = r->experts / rule->groups;
    rule->group_value = r->group_value;
    rule->group_mode = r->group_mode;
    rule->renorm = r->renorm || r->shared_weight == SLUICE_SHARED_JOINT;
    rule->renorm_eps = r->renorm_eps;
    rule->renorm_floor = r->renorm_floor;
    rule->scale = one_by_default(r->scale);
    rule->scale_by = r->scale_by;
    bool by_engine = r->scale_by == SLUICE_SCALE_BY_ENGINE;
    rule->weight_scale = by_engine ? 1.0f : rule->scale;
    rule->shared_divisor = by_engine ? rule->scale : 1.0f;
    rule->shared = r->shared;
    /* A gate for no shared expert asks for no logits. */
    rule->shared_weight = r->shared == 0 && r->shared_weight == SLUICE_SHARED_SIGMOID
                              ? SLUICE_SHARED_ONE
                              : r->shared_weight;
    rule->shared_scale = one_by_default(r->shared_scale);
    rule->weight_on = r->weight_on;
    if (SL_MUTANT(eps_omitted))
        rule->renorm_eps = 0;
    if (SL_MUTANT(floor_omitted))
        rule->renorm_floor = 0;
    if (SL_MUTANT(scaled_twice))
        rule->weight_scale *= rule->scale;
    if (SL_MUTANT(scaled_despite_engine))
        rule->weight_scale = rule->scale;
    if (SL_MUTANT(top2_as_max))
        rule->group_value = SLUICE_GROUP_MAX;
    if (SL_MUTANT(even_as_limit))
        rule->group_mode = SLUICE_GROUPS_LIMIT;
    if (SL_MUTANT(zero_null_weighs))
        rule->zero_kind = SLUICE_ZERO_IDENTITY;
    if (SL_MUTANT(shared_not_divided))
        rule->shared_divisor = 1;
    if (SL_MUTANT(shared_divided_twice))
        rule->shared_divisor *= rule->shared_divisor;
    if (SL_MUTANT(renorm_ignored))
        rule->renorm = 0;
    rule->sum_cancels = sum_cancels(rule);
}

sluice_status sl_rule_make(struct sl_rule *rule, const sluice_router *router, char *text,
                           size_t text_size)
{
    struct refusal out = {.size = text_size};
    out.text = text;
    memset(rule, 0, sizeof *rule);
    if (!router) {
        refuse(&out, "router is NULL: must describe how the layer chooses");
        return SLUICE_INVALID;
    }
    check_numbers(&out, router);
    if (!out.refused) {
        fill(rule, router);
        check_together(&out, rule);
    }
    return out.refused ? SLUICE_INVALID : SLUICE_OK;
}
