/* SPDX-License-Identifier: Apache-2.0 */
#include "choose_row.h"

#include "mutant.h"

/* The best so far, descending. */
struct best {
    int32_t *ids;
    int32_t room, count;
    float values[SL_MAX_K];
};

static void start_best(struct best *best, int32_t *ids, int32_t room)
{
    memset(best, 0, sizeof *best);
    best->ids = ids;
    best->room = room;
}

static bool beats(float value, float other)
{
    return value > other || (SL_MUTANT(tie_to_higher_id) && value == other && value > -INFINITY);
}

/* Columns first ... end-1, ascending, so that an equal value of a higher id stays behind. -inf and
 * NaN compare false and never enter. */
static void take_best(struct best *best, const float *v, int32_t first, int32_t end)
{
    for (int32_t e = first; e < end; e++) {
        float value = v[e];
        float least = best->count < best->room ? -INFINITY : best->values[best->room - 1];
        if (!beats(value, least))
            continue;
        int32_t at = best->count < best->room ? best->count++ : best->room - 1;
        for (; at > 0 && beats(value, best->values[at - 1]); at--) {
            best->values[at] = best->values[at - 1];
            best->ids[at] = best->ids[at - 1];
        }
        best->values[at] = value;
        best->ids[at] = e;
    }
}

static bool keeps_some(const struct sl_rule *rule)
{
    return rule->group_mode == SLUICE_GROUPS_LIMIT && rule->keep_groups < rule->groups;
}

/* With a softmax's sum s holds exp(x - max) so far. It is 0 only where no column can be chosen. */
static float score_at(const struct sl_row *row, const struct sl_rule *rule, int32_t e)
{
    if (rule->score == SLUICE_SCORE_SOFTMAX && !rule->sum_cancels)
        return row->s[e] / row->sum;
    return sl_score_of(rule, row->x[e], row->max, 0);
}

static void fill_scores(struct sl_row *row, const struct sl_rule *rule)
{
    for (int32_t e = 0; e < rule->columns; e++)
        row->s[e] = score_at(row, rule, e);
}

/* Ranking values; -inf for a column that is never chosen. */
static void fill_values(struct sl_row *row, const struct sl_rule *rule, const float *bias)
{
    const float *from = rule->bias_use == SLUICE_BIAS_SCORE ? row->s : row->x;
    if (SL_MUTANT(rank_by_score))
        from = row->s;
    bool add = rule->bias_use == SLUICE_BIAS_SCORE || rule->bias_use == SLUICE_BIAS_RANK_LOGIT;
    for (int32_t e = 0; e < rule->columns; e++) {
        float v = add ? from[e] + bias[e] : from[e];
        row->v[e] = row->x[e] >= -FLT_MAX ? v : -INFINITY;
    }
}

/* A group's value: the greatest of s + b, or the sum of the two greatest; without a bias of s. Two
 * equal ones both count. NaN counts as -inf, and so does an expert that is never chosen. */
static float group_value(const struct sl_row *row, const struct sl_rule *rule, const float *bias,
                         int32_t group)
{
    bool add = rule->bias_use == SLUICE_BIAS_SCORE || rule->bias_use == SLUICE_BIAS_RANK_LOGIT;
    float first = -INFINITY, second = -INFINITY;
    for (int32_t e = group * rule->group_size; e < (group + 1) * rule->group_size; e++) {
        float u = add ? row->s[e] + bias[e] : row->s[e];
        if (SL_MUTANT(nan_counts_in_group) && !(row->x[e] >= -FLT_MAX))
            u = 1;
        else if (!(row->x[e] >= -FLT_MAX) || !(u > second))
            continue;
        if (SL_MUTANT(top2_distinct) && u == first)
            continue;
        second = u > first ? first : u;
        first = u > first ? u : first;
    }
    if (rule->group_value == SLUICE_GROUP_MAX)
        return first;
    float both = first + second;
    return both > -INFINITY ? both : -INFINITY;
}

/* keep[g]: fewer than keep_groups groups are better; of equal ones the lower is. */
static void choose_groups(const struct sl_row *row, const struct sl_rule *rule, const float *bias,
                          bool *keep)
{
    float value[SL_MAX_GROUPS];
    for (int32_t g = 0; g < rule->groups; g++)
        value[g] = group_value(row, rule, bias, g);
    for (int32_t g = 0; g < rule->groups; g++) {
        int32_t better = 0;
        for (int32_t h = 0; h < rule->groups; h++)
            better += (h < g) != SL_MUTANT(group_tie_to_higher) ? value[h] >= value[g]
                                                                : value[h] > value[g];
        keep[g] = better < rule->keep_groups;
    }
}

/* Returns how many were found. */
static int32_t take(struct sl_row *row, const struct sl_rule *rule, const float *bias, int32_t *ids)
{
    struct best best;
    if (rule->group_mode == SLUICE_GROUPS_EVEN && rule->groups > 1) {
        int32_t found = 0;
        for (int32_t g = 0; g < rule->groups; g++) {
            start_best(&best, ids + found, rule->top_k / rule->groups);
            take_best(&best, row->v, g * rule->group_size, (g + 1) * rule->group_size);
            found += best.count;
        }
        return found;
    }
    start_best(&best, ids, rule->top_k);
    if (keeps_some(rule)) {
        bool keep[SL_MAX_GROUPS];
        choose_groups(row, rule, bias, keep);
        for (int32_t g = 0; g < rule->groups; g++)
            if (keep[g])
                take_best(&best, row->v, g * rule->group_size, (g + 1) * rule->group_size);
        return best.count;
    }
    take_best(&best, row->v, 0, rule->columns);
    return best.count;
}

void sl_row_rank(struct sl_row *row, const struct sl_rule *rule, const float *bias, int32_t *ids,
                 float *scores)
{
    bool all = rule->bias_use == SLUICE_BIAS_SCORE || keeps_some(rule) || SL_MUTANT(rank_by_score);
    if (all)
        fill_scores(row, rule);
    fill_values(row, rule, bias);
    int32_t found = take(row, rule, bias, ids);
    for (int32_t k = 0; k < rule->top_k; k++) {
        if (k < found) {
            scores[k] = all ? row->s[ids[k]] : score_at(row, rule, ids[k]);
            if (SL_MUTANT(weight_after_bias) && bias)
                scores[k] += bias[ids[k]];
        } else {
            ids[k] = -1;
            scores[k] = 0.0f;
        }
    }
}
