#include <math.h>

#include "bench.h"

enum { MAX_EXPERTS = 256, MAX_GROUPS = 64, MAX_TOP_K = 64 };

static void softmax(const float *logits, int32_t n, float *score)
{
    float greatest = logits[0], sum = 0;
    for (int32_t e = 1; e < n; e++)
        greatest = logits[e] > greatest ? logits[e] : greatest;
    for (int32_t e = 0; e < n; e++)
        sum += score[e] = expf(logits[e] - greatest);
    for (int32_t e = 0; e < n; e++)
        score[e] /= sum;
}

/* The n greatest of `value`, in descending order, ties to the lower id. */
static void top(const float *value, int32_t count, int32_t *ids, int32_t n)
{
    int32_t have = 0;
    for (int32_t e = 0; e < count; e++) {
        int32_t at = have;
        while (at > 0 && value[e] > value[ids[at - 1]])
            at--;
        if (at >= n)
            continue;
        have += have < n;
        for (int32_t i = have - 1; i > at; i--)
            ids[i] = ids[i - 1];
        ids[at] = e;
    }
}

/* Takes the experts of all but the best groups out of the choice. */
static void limit_groups(const struct sl_model *model, float *rank)
{
    float value[MAX_GROUPS] = {0};
    int32_t kept[MAX_GROUPS] = {0}, size = model->experts / model->groups;
    for (int32_t g = 0; g < model->groups; g++) {
        float first = -INFINITY, second = -INFINITY;
        for (int32_t e = g * size; e < (g + 1) * size; e++) {
            if (rank[e] > first) {
                second = first;
                first = rank[e];
            } else if (rank[e] > second) {
                second = rank[e];
            }
        }
        value[g] = first + second;
    }
    top(value, model->groups, kept, model->keep_groups);
    for (int32_t g = 0; g < model->groups; g++) {
        int32_t keep = 0;
        for (int32_t i = 0; i < model->keep_groups; i++)
            keep |= kept[i] == g;
        for (int32_t e = g * size; e < (g + 1) * size && !keep; e++)
            rank[e] = -INFINITY;
    }
}

static void choose(const struct sl_bench_reference *reference, const float *logits, int32_t *ids,
                   float *weights)
{
    const struct sl_model *model = reference->model;
    static float score[MAX_EXPERTS], rank[MAX_EXPERTS]; /* one thread, one router */
    float sum = 0;
    if (model->score == SL_MODEL_SIGMOID)
        for (int32_t e = 0; e < model->experts; e++)
            score[e] = 1.0F / (1.0F + expf(-logits[e]));
    else
        softmax(logits, model->experts, score);
    for (int32_t e = 0; e < model->experts; e++)
        rank[e] = reference->bias ? score[e] + reference->bias[e] : score[e];
    if (model->keep_groups < model->groups)
        limit_groups(model, rank);
    top(rank, model->experts, ids, model->top_k);
    for (int32_t k = 0; k < model->top_k; k++)
        sum += weights[k] = score[ids[k]];
    for (int32_t k = 0; k < model->top_k; k++) {
        if (model->renorm)
            weights[k] /= sum + model->renorm_eps;
        weights[k] *= model->scale;
    }
}

void sl_bench_reference_route(const struct sl_bench_reference *reference, const float *logits,
                              int64_t tokens, int32_t *dispatch_ids, float *weights,
                              int32_t *recorder_ids)
{
    const struct sl_model *model = reference->model;
    int32_t top_k = model->top_k, columns = top_k + model->shared, ids[MAX_TOP_K] = {0};
    for (int64_t t = 0; t < tokens; t++) {
        choose(reference, logits + t * model->experts, ids, weights + t * columns);
        for (int32_t k = 0; k < top_k; k++) {
            dispatch_ids[t * columns + k] = reference->slot[ids[k]];
            recorder_ids[t * top_k + k] = reference->physical[ids[k]];
        }
        for (int32_t j = 0; j < model->shared; j++) {
            dispatch_ids[t * columns + top_k + j] = reference->home_slot + j;
            weights[t * columns + top_k + j] = 1;
        }
    }
    for (int64_t i = 0; i < tokens * top_k; i++)
        reference->counts[recorder_ids[i]]++;
}
