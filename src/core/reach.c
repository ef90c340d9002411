/* SPDX-License-Identifier: Apache-2.0 */
#include "reach.h"

#include "flow.h"

static const int64_t MOST = INT64_C(1) << 56;

/* Bytes of the loads and holders, in whole words, before the flow's own scratch. */
static size_t own_bytes(const struct sl_shape *shape)
{
    size_t holders = ((size_t)shape->physical + 1) / 2;
    return ((size_t)shape->experts + holders) * sizeof(int64_t);
}

size_t sl_reach_bytes(const struct sl_shape *shape)
{
    return own_bytes(shape) + sl_flow_bytes(shape->experts, shape->ranks, shape->physical);
}

double sl_reach(const struct sl_shape *shape, const struct sl_place *place, const uint8_t *alive,
                const int64_t *counts, int32_t top_k, void *scratch)
{
    int64_t *load = scratch, sum = 0, living = 0;
    int32_t *holder = (int32_t *)(void *)(load + shape->experts);
    const int32_t *start = place->alive_start;
    for (int32_t i = 0; i < start[shape->experts]; i++)
        holder[i] = place->alive_copies[i] / shape->slots;
    for (int32_t e = 0; e < shape->experts; e++) {
        load[e] = start[e] < start[e + 1] ? counts[e] : 0;
        if (load[e] >= MOST - sum)
            return 0.0;
        sum += load[e];
    }
    if (!sum)
        return 0.0;
    /* Times top_k, so that the shared load is whole. */
    for (int32_t e = 0; e < shape->experts; e++)
        load[e] *= top_k;
    for (int32_t r = 0; r < shape->ranks; r++)
        living += alive[r];
    const struct sl_flow_problem problem = {.experts = shape->experts,
                                            .ranks = shape->ranks,
                                            .start = start,
                                            .holder = holder,
                                            .load = load,
                                            .alive = alive,
                                            .spread = sum * shape->shared};
    struct sl_flow_answer answer = {.share = NULL};
    sl_flow_solve(&problem, &answer, (char *)scratch + own_bytes(shape));
    double mean = (double)(sum * (top_k + shape->shared)) / (double)living;
    return mean / ((double)answer.only / (double)answer.cut_size);
}
