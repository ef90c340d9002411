/* SPDX-License-Identifier: Apache-2.0
 * SGLang's waterfill, as the guide tells it. */
#include "conform_reference.h"

struct plan {
    int64_t load[REF_RANKS];
    int64_t target;
    bool all;
};

static void count_own(const struct ref_waterfill *call, int64_t *load)
{
    for (int64_t i = 0; i < call->rows * call->top_k; i++)
        if (call->physical[i] >= 0)
            load[call->physical[i] / call->shape->slots]++;
}

static struct plan make_plan(const struct ref_waterfill *call)
{
    struct plan plan = {.all = true};
    int32_t ranks = call->shape->ranks, times = call->dynamic ? call->shape->shared : 1;
    int64_t routed = 0, total = 0, most = 0;
    if (!call->dynamic)
        count_own(call, plan.load);
    for (int32_t r = 0; r < ranks; r++) {
        routed += call->dynamic ? call->loads[r] : plan.load[r];
        if (call->dynamic)
            plan.load[r] = call->loads[r] + call->tokens[r] * times;
        total += plan.load[r];
        most = plan.load[r] > most ? plan.load[r] : most;
    }
    total += routed / call->top_k * times;
    plan.target = (total + ranks - 1) / ranks;
    if (call->dynamic)
        plan.all = most <= plan.target;
    return plan;
}

static int64_t weight(const struct ref_waterfill *call, const struct plan *plan, int32_t r)
{
    int64_t room = plan->target - plan->load[r];
    if (room < 0)
        room = 0;
    return r == call->shape->rank ? room : room * 10 / 11;
}

static int32_t pick(const struct ref_waterfill *call, const struct plan *plan, int64_t t)
{
    const int64_t *row = call->physical + t * call->top_k;
    int32_t ranks = call->shape->ranks, source = call->shape->rank, best = source;
    bool candidate[REF_RANKS] = {false}, any = false;
    for (int32_t k = 0; k < call->top_k; k++)
        if (row[k] >= 0) {
            candidate[row[k] / call->shape->slots] = true;
            any = true;
        }
    if (!any)
        return -1;
    candidate[source] = true;
    int64_t sum = 0;
    for (int32_t r = 0; r < ranks; r++) {
        candidate[r] = candidate[r] || plan->all;
        sum += candidate[r] ? weight(call, plan, r) : 0;
    }
    if (sum == 0) {
        for (int32_t i = 0; i < (plan->all ? ranks : call->top_k); i++) {
            if (!plan->all && row[i] < 0)
                continue;
            int32_t r = plan->all ? i : (int32_t)(row[i] / call->shape->slots);
            if (plan->load[r] * 11 < plan->load[best] * 10)
                best = r;
        }
        return best;
    }
    uint32_t seed = ((uint32_t)t ^ (uint32_t)source * 0x9E3779B9U) * 1664525U + 1013904223U;
    int64_t left = (int64_t)seed % sum;
    for (int32_t r = 0;; r++) {
        if (!candidate[r])
            continue;
        left -= weight(call, plan, r);
        if (left < 0)
            return r;
    }
}

void ref_waterfill(const struct ref_waterfill *call, int32_t *ranks)
{
    struct plan plan = make_plan(call);
    for (int64_t t = 0; t < call->rows; t++) {
        ranks[t] = pick(call, &plan, t);
        if (call->rows < 64 && ranks[t] >= 0)
            ranks[t] = call->shape->rank;
    }
}
