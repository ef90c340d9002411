#include "choose_reference.h"

#include "ct.h"

#include <float.h>
#include <math.h>

enum { MOST = SL_MAX_COLUMNS };

static double or_one(float value)
{
    return value == 0 ? 1 : (double)value;
}

/* The exact value of an element. */
static double element(const void *data, int32_t type, int64_t at)
{
    if (type == SL_F32)
        return (double)((const float *)data)[at];
    int32_t bits = ((const uint16_t *)data)[at];
    int32_t width = type == SL_F16 ? 10 : 7;
    int32_t most = type == SL_F16 ? 31 : 255;
    int32_t exponent = (bits & 0x7FFF) >> width;
    int32_t fraction = bits & ((1 << width) - 1);
    double sign = bits & 0x8000 ? -1 : 1;
    if (exponent == most)
        return fraction ? NAN : sign * INFINITY;
    if (exponent == 0)
        return sign * ldexp(fraction, 1 - most / 2 - width);
    return sign * ldexp(fraction + (1 << width), exponent - most / 2 - width);
}

/* Step 1 without the bias. */
static double capped(const sluice_router *r, double logit)
{
    if (isnan(logit) || logit == -INFINITY)
        return -INFINITY;
    double x = fmin(logit, FLT_MAX) * or_one(r->logit_scale);
    if (r->logit_cap > 0)
        x = (double)r->logit_cap * tanh(x / (double)r->logit_cap);
    return x;
}

/* Step 2, softmax apart. */
static double score(const sluice_router *r, double x)
{
    if (r->score == SLUICE_SCORE_SIGMOID)
        return 1 / (1 + exp(-x));
    return sqrt(fmax(x, 0) + log1p(exp(-fabs(x))));
}

struct row {
    int32_t columns, shared;
    double x[MOST], s[MOST], b[MOST], v[MOST];
    double shared_x[SL_MAX_SHARED], shared_s[SL_MAX_SHARED];
    double margin;
};

static void read_bias(struct row *row, const struct choose_call *call, int64_t t,
                      bool *out_of_range)
{
    const sluice_router *r = &call->router;
    int64_t rows = r->bias_rows ? r->bias_rows : 1;
    int64_t at = rows > 1 ? sl_id_at(&call->io.bias_row, t, 0) : 0;
    *out_of_range = r->bias_use != SLUICE_BIAS_NONE && (at < 0 || at >= rows);
    for (int32_t e = 0; e < row->columns; e++)
        row->b[e] = r->bias_use == SLUICE_BIAS_NONE || *out_of_range
                        ? 0
                        : (double)call->io.bias[at * call->io.bias_stride + e];
}

/* Steps 1 and 2. */
static void read_row(struct row *row, const struct choose_call *call, int64_t t)
{
    const sluice_router *r = &call->router;
    const struct sl_choose_io *io = &call->io;
    row->columns = r->experts + r->zero_experts;
    row->shared = r->shared_weight == SLUICE_SHARED_JOINT ? r->shared : 0;
    bool none;
    read_bias(row, call, t, &none);
    double max = -INFINITY, sum = 0;
    for (int32_t e = 0; e < row->columns; e++) {
        double x = capped(r, element(io->logits, io->logit_type, t * io->logit_stride + e));
        if (r->bias_use == SLUICE_BIAS_LOGIT)
            x += row->b[e];
        row->x[e] = none || isnan(x) ? -INFINITY : fmin(x, FLT_MAX);
        max = fmax(max, row->x[e]);
    }
    for (int32_t j = 0; j < row->shared; j++) {
        row->shared_x[j] =
            capped(r, element(io->shared_logits, io->shared_type, t * io->shared_stride + j));
        max = fmax(max, row->shared_x[j]);
    }
    max = fmax(max, -FLT_MAX);
    for (int32_t e = 0; e < row->columns; e++)
        sum += exp(row->x[e] - max);
    for (int32_t j = 0; j < row->shared; j++)
        sum += exp(row->shared_x[j] - max);
    bool softmax = r->score == SLUICE_SCORE_SOFTMAX;
    for (int32_t e = 0; e < row->columns; e++)
        row->s[e] = !softmax ? score(r, row->x[e]) : sum > 0 ? exp(row->x[e] - max) / sum : 0;
    for (int32_t j = 0; j < row->shared; j++)
        row->shared_s[j] = !softmax  ? score(r, row->shared_x[j])
                           : sum > 0 ? exp(row->shared_x[j] - max) / sum
                                     : 0;
}

static void narrow(struct row *row, double difference, double value)
{
    row->margin = fmin(row->margin, difference / fmax(1, fabs(value)));
}

/* Step 4. */
static double group_value(const struct row *row, const sluice_router *r, int32_t first, int32_t end)
{
    bool biased = r->bias_use == SLUICE_BIAS_SCORE || r->bias_use == SLUICE_BIAS_RANK_LOGIT;
    double best = -INFINITY, second = -INFINITY;
    for (int32_t e = first; e < end; e++) {
        double u = biased ? row->s[e] + row->b[e] : row->s[e];
        if (isnan(u) || row->x[e] == -INFINITY)
            u = -INFINITY;
        second = fmax(second, fmin(best, u));
        best = fmax(best, u);
    }
    if (r->group_value == SLUICE_GROUP_MAX)
        return best;
    return isnan(best + second) ? -INFINITY : best + second;
}

static void drop_groups(struct row *row, const sluice_router *r, int32_t groups)
{
    int32_t size = r->experts / groups;
    double value[SL_MAX_GROUPS];
    bool kept[SL_MAX_GROUPS] = {false};
    for (int32_t g = 0; g < groups; g++)
        value[g] = group_value(row, r, g * size, (g + 1) * size);
    double least = INFINITY;
    for (int32_t i = 0; i < r->keep_groups; i++) {
        int32_t best = -1;
        for (int32_t g = 0; g < groups; g++)
            if (!kept[g] && (best < 0 || value[g] > value[best]))
                best = g;
        kept[best] = true;
        least = value[best];
    }
    for (int32_t g = 0; g < groups; g++) {
        if (kept[g])
            continue;
        if (value[g] > -INFINITY)
            narrow(row, least - value[g], least);
        for (int32_t e = g * size; e < (g + 1) * size; e++)
            row->v[e] = -INFINITY;
    }
}

/* Steps 5 and 6: the greatest v among columns first ... end-1, -1 where there is none; it is taken
 * away. */
static int32_t greatest(struct row *row, int32_t first, int32_t end)
{
    int32_t best = -1;
    for (int32_t e = first; e < end; e++)
        if (row->v[e] > -INFINITY && (best < 0 || row->v[e] > row->v[best]))
            best = e;
    if (best < 0)
        return -1;
    double value = row->v[best];
    row->v[best] = -INFINITY;
    for (int32_t e = first; e < end; e++) {
        bool same = row->x[e] == row->x[best] && row->b[e] == row->b[best];
        if (row->v[e] > -INFINITY && !same && value < INFINITY)
            narrow(row, value - row->v[e], value);
    }
    return best;
}

/* Steps 3 to 6. */
static void rank(struct row *row, const sluice_router *r, int32_t *ids)
{
    int32_t groups = r->groups ? r->groups : 1;
    for (int32_t e = 0; e < row->columns; e++) {
        double v = row->x[e];
        if (r->bias_use == SLUICE_BIAS_SCORE)
            v = row->s[e] + row->b[e];
        if (r->bias_use == SLUICE_BIAS_RANK_LOGIT)
            v = row->x[e] + row->b[e];
        row->v[e] = isnan(v) || row->x[e] == -INFINITY ? -INFINITY : v;
    }
    bool even = r->group_mode == SLUICE_GROUPS_EVEN;
    if (groups > 1 && !even && r->keep_groups > 0)
        drop_groups(row, r, groups);
    int32_t pools = even ? groups : 1, found = 0;
    int32_t size = even ? r->experts / groups : row->columns;
    for (int32_t k = 0; k < r->top_k; k++)
        ids[k] = -1;
    for (int32_t p = 0; p < pools; p++)
        for (int32_t k = 0; k < r->top_k / pools; k++) {
            int32_t id = greatest(row, p * size, (p + 1) * size);
            if (id >= 0)
                ids[found++] = id;
        }
}

/* Step 11. */
static void force(const struct row *row, const struct choose_call *call, int64_t t, int32_t *ids)
{
    const struct sl_choose_io *io = &call->io;
    int64_t from = io->forced_row.data ? sl_id_at(&io->forced_row, t, 0) : t;
    for (int32_t k = 0; k < call->router.top_k; k++) {
        ids[k] = -1;
        if (from < 0 || from >= io->forced_rows)
            continue;
        int64_t id = sl_id_at(&io->forced_ids, from, k);
        if (id >= 0 && id < row->columns && row->x[id] > -INFINITY)
            ids[k] = (int32_t)id;
    }
}

/* Steps 7 to 10. */
static void weigh(const struct row *row, const struct choose_call *call, int64_t t,
                  struct choose_truth *truth)
{
    const sluice_router *r = &call->router;
    const struct sl_choose_io *io = &call->io;
    bool joint = r->shared_weight == SLUICE_SHARED_JOINT;
    double sum = 0, divisor = 1;
    for (int32_t k = 0; k < r->top_k; k++)
        sum += truth->ids[k] >= 0 ? row->s[truth->ids[k]] : 0;
    for (int32_t j = 0; j < row->shared; j++)
        sum += row->shared_s[j];
    if (r->renorm || joint)
        divisor = fmax(sum, (double)r->renorm_floor) + (double)r->renorm_eps;
    bool nothing = (r->renorm || joint) && sum == 0;
    for (int32_t k = 0; k < r->top_k; k++) {
        int32_t id = truth->ids[k];
        double w = id < 0 || nothing ? 0 : row->s[id] / divisor;
        w *= r->scale_by == SLUICE_SCALE_IN_WEIGHTS ? or_one(r->scale) : 1;
        truth->weights[k] = w * (id >= 0 && io->expert_scale ? (double)io->expert_scale[id] : 1);
    }
    for (int32_t j = 0; j < r->shared; j++) {
        double one = 1;
        if (r->shared_weight == SLUICE_SHARED_SIGMOID) {
            int64_t at = t * io->shared_stride + (io->shared_columns > 1 ? j : 0);
            one = 1 / (1 + exp(-element(io->shared_logits, io->shared_type, at)));
        }
        if (joint)
            one = nothing ? 0 : row->shared_s[j] / divisor * or_one(r->scale);
        truth->shared[j] = one * or_one(r->shared_scale);
    }
    for (int32_t k = 0; k < r->top_k; k++)
        if (truth->ids[k] >= r->experts) {
            truth->zero += r->zero_kind == SLUICE_ZERO_NULL ? 0 : truth->weights[k];
            truth->ids[k] = -1;
            truth->weights[k] = 0;
        }
}

void choose_reference(const struct choose_call *call, int64_t t, struct choose_truth *truth)
{
    static struct row row;
    *truth = (struct choose_truth){.margin = INFINITY};
    row.margin = INFINITY;
    if (t >= call->io.valid_rows || (call->io.row_valid && !call->io.row_valid[t])) {
        for (int32_t k = 0; k < call->router.top_k; k++)
            truth->ids[k] = -1;
        return;
    }
    read_row(&row, call, t);
    if (call->io.forced_ids.data)
        force(&row, call, t, truth->ids);
    else
        rank(&row, &call->router, truth->ids);
    weigh(&row, call, t, truth);
    truth->margin = row.margin;
}
