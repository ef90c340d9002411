/* SPDX-License-Identifier: Apache-2.0 */
#include <float.h>
#include <math.h>

#include "conform_reference.h"

struct work {
    double x[REF_COLUMNS];     /* scaled, capped logits */
    double score[REF_COLUMNS]; /* s */
    double value[REF_COLUMNS]; /* v */
    bool out[REF_COLUMNS];     /* never chosen */
    double shared_score[REF_SHARED];
    double margin;
};

static double or_one(float value)
{
    return value != 0 ? (double)value : 1;
}

static double transform(const sluice_router *router, double logit)
{
    double x = (isinf(logit) && logit > 0 ? (double)FLT_MAX : logit) * or_one(router->logit_scale);
    double cap = (double)router->logit_cap;
    return cap != 0 ? cap * tanh(x / cap) : x;
}

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

static double softplus(double x)
{
    return x > 0 ? x + log1p(exp(-x)) : log1p(exp(x));
}

static bool joint(const struct ref_row *row)
{
    return row->router->shared_weight == SLUICE_SHARED_JOINT;
}

/* Step 2, over the columns and, with joint, the shared ones. */
static void score(const struct ref_row *row, int32_t columns, struct work *work)
{
    const sluice_router *router = row->router;
    double top = -INFINITY, sum = 0, shared[REF_SHARED];
    for (int32_t j = 0; joint(row) && j < router->shared; j++)
        shared[j] = transform(router, row->shared_logits[j]);
    for (int32_t e = 0; e < columns; e++)
        if (!work->out[e] && work->x[e] > top)
            top = work->x[e];
    for (int32_t j = 0; joint(row) && j < router->shared; j++)
        top = fmax(top, shared[j]);
    for (int32_t e = 0; e < columns; e++)
        sum += work->out[e] ? 0 : exp(work->x[e] - top);
    for (int32_t j = 0; joint(row) && j < router->shared; j++)
        sum += exp(shared[j] - top);
    for (int32_t e = 0; e < columns + REF_SHARED; e++) {
        bool is_shared = e >= columns;
        if (is_shared && (!joint(row) || e - columns >= router->shared))
            break;
        if (!is_shared && work->out[e])
            continue;
        double x = is_shared ? shared[e - columns] : work->x[e];
        double s = router->score == SLUICE_SCORE_SOFTMAX   ? exp(x - top) / sum
                   : router->score == SLUICE_SCORE_SIGMOID ? sigmoid(x)
                                                           : sqrt(softplus(x));
        if (is_shared)
            work->shared_score[e - columns] = s;
        else
            work->score[e] = s;
    }
}

static void decide(struct work *work, double better, double worse)
{
    if (isfinite(better) && isfinite(worse))
        work->margin = fmin(work->margin, (better - worse) / fmax(1, fabs(better)));
}

/* The best of [from, to) that is not taken, ties to the lower; -1: none. */
static int32_t best(const struct work *work, const bool *taken, int32_t from, int32_t to)
{
    int32_t found = -1;
    for (int32_t e = from; e < to; e++)
        if (!taken[e] && !work->out[e] && (found < 0 || work->value[e] > work->value[found]))
            found = e;
    return found;
}

static double group_value(const struct ref_row *row, const struct work *work, int32_t from,
                          int32_t to)
{
    bool top2 = row->router->group_value == SLUICE_GROUP_TOP2;
    double first = -INFINITY, second = -INFINITY;
    for (int32_t e = from; e < to; e++) {
        double value = work->out[e] ? -INFINITY : work->score[e] + (row->bias ? row->bias[e] : 0);
        if (isnan(value))
            value = -INFINITY;
        if (value > first) {
            second = first;
            first = value;
        } else if (value > second) {
            second = value;
        }
    }
    return top2 ? first + second : first;
}

/* Step 4: drops all but the best groups. */
static void limit_groups(const struct ref_row *row, struct work *work)
{
    const sluice_router *router = row->router;
    int32_t groups = router->groups, size = router->experts / groups;
    double values[REF_K];
    bool kept[REF_K] = {false};
    for (int32_t g = 0; g < groups; g++)
        values[g] = group_value(row, work, g * size, (g + 1) * size);
    double last = 0;
    for (int32_t i = 0; i < router->keep_groups; i++) {
        int32_t found = -1;
        for (int32_t g = 0; g < groups; g++)
            if (!kept[g] && (found < 0 || values[g] > values[found]))
                found = g;
        kept[found] = true;
        last = values[found];
    }
    for (int32_t g = 0; g < groups; g++) {
        if (kept[g])
            continue;
        decide(work, last, values[g]);
        for (int32_t e = g * size; e < (g + 1) * size; e++)
            work->out[e] = true;
    }
}

static int32_t pick(struct work *work, bool *taken, int32_t from, int32_t to, int32_t count,
                    int32_t *chosen)
{
    int32_t made = 0;
    for (; made < count; made++) {
        int32_t e = best(work, taken, from, to);
        if (e < 0)
            return made;
        if (made)
            decide(work, work->value[chosen[made - 1]], work->value[e]);
        taken[e] = true;
        chosen[made] = e;
    }
    int32_t next = best(work, taken, from, to);
    if (next >= 0 && made > 0)
        decide(work, work->value[chosen[made - 1]], work->value[next]);
    return made;
}

/* Steps 3 to 6: how many were chosen. */
static int32_t choose(const struct ref_row *row, int32_t columns, struct work *work,
                      int32_t *chosen)
{
    const sluice_router *router = row->router;
    static _Thread_local bool taken[REF_COLUMNS];
    for (int32_t e = 0; e < columns; e++) {
        double bias = row->bias ? row->bias[e] : 0;
        taken[e] = false;
        work->value[e] = router->bias_use == SLUICE_BIAS_SCORE        ? work->score[e] + bias
                         : router->bias_use == SLUICE_BIAS_RANK_LOGIT ? work->x[e] + bias
                                                                      : work->x[e];
    }
    bool grouped = router->groups > 1;
    bool even = grouped && router->group_mode == SLUICE_GROUPS_EVEN;
    if (grouped && !even && router->keep_groups && router->keep_groups < router->groups)
        limit_groups(row, work);
    for (int32_t e = 0; e < columns; e++)
        if (isnan(work->value[e]) || (isinf(work->value[e]) && work->value[e] < 0))
            work->out[e] = true;
    if (!even)
        return pick(work, taken, 0, columns, router->top_k, chosen);
    int32_t size = router->experts / router->groups, each = router->top_k / router->groups;
    int32_t made = 0;
    for (int32_t g = 0; g < router->groups; g++)
        made += pick(work, taken, g * size, (g + 1) * size, each, chosen + made);
    return made;
}

/* Step 9. `divisor` is what the routed weights were divided by. */
static void share(const struct ref_row *row, const struct work *work, double divisor, double scale,
                  struct ref_choice *choice)
{
    const sluice_router *router = row->router;
    for (int32_t j = 0; j < router->shared && row->shared_logits; j++) {
        double w = 1;
        if (router->shared_weight == SLUICE_SHARED_SIGMOID)
            w = sigmoid(row->shared_logits[row->shared_columns == 1 ? 0 : j]);
        else if (joint(row))
            w = work->shared_score[j] / divisor * scale;
        choice->shared[j] = w * or_one(router->shared_scale);
    }
}

void ref_choose(const struct ref_row *row, struct ref_choice *choice)
{
    const sluice_router *router = row->router;
    static _Thread_local struct work work;
    int32_t columns = router->experts + router->zero_experts, chosen[REF_K], made = 0;
    *choice = (struct ref_choice){.margin = INFINITY};
    for (int32_t k = 0; k < router->top_k; k++)
        choice->ids[k] = -1;
    if (row->padding)
        return;
    work.margin = INFINITY;
    for (int32_t e = 0; e < columns; e++) {
        work.x[e] = transform(router, row->logits[e]);
        if (router->bias_use == SLUICE_BIAS_LOGIT)
            work.x[e] += row->bias[e];
        work.out[e] =
            isnan(row->logits[e]) || isnan(work.x[e]) || (isinf(work.x[e]) && work.x[e] < 0);
    }
    score(row, columns, &work);
    if (row->forced)
        for (int32_t k = 0; k < router->top_k; k++)
            chosen[made++] = row->forced[k] < columns ? (int32_t)row->forced[k] : -1;
    else
        made = choose(row, columns, &work, chosen);
    choice->margin = work.margin;

    double sum = 0, divisor = 1,
           scale = router->scale_by == SLUICE_SCALE_BY_ENGINE ? 1 : or_one(router->scale);
    for (int32_t k = 0; k < made; k++)
        sum += chosen[k] >= 0 ? work.score[chosen[k]] : 0;
    for (int32_t j = 0; joint(row) && j < router->shared; j++)
        sum += work.shared_score[j];
    if (router->renorm || joint(row))
        divisor = fmax(sum, (double)router->renorm_floor) + (double)router->renorm_eps;
    for (int32_t k = 0; k < made; k++) {
        if (chosen[k] < 0)
            continue;
        double w = sum == 0 && divisor == 0 ? 0 : work.score[chosen[k]] / divisor;
        w *= scale * (row->expert_scale ? row->expert_scale[chosen[k]] : 1);
        if (chosen[k] < router->experts) {
            choice->ids[k] = chosen[k];
            choice->weights[k] = w;
        } else if (router->zero_kind == SLUICE_ZERO_IDENTITY) {
            choice->zero += w;
        }
    }
    share(row, &work, divisor, scale, choice);
}
