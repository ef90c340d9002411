/* Shifts harder than those that were measured: every expert's load times a log-normal factor. */
#include <math.h>

#include "ct.h"
#include "level_world.h"
#include "plan_world.h"

static double uniform(uint64_t *state)
{
    *state = *state * 6364136223846793005U + 1442695040888963407U;
    return (double)(*state >> 33) / 0x1p31;
}

/* Near enough to normal: twelve uniform ones. */
static double normal(uint64_t *state)
{
    double sum = -6;
    for (int32_t i = 0; i < 12; i++)
        sum += uniform(state);
    return sum;
}

/* A layer's counts, shifted; the shared expert's tokens. */
static int64_t shift(int32_t layer, uint64_t *state, int64_t *load)
{
    const int64_t *from = r1_counts(R1_DECODE_2000) + (ptrdiff_t)layer * R1_EXPERTS;
    int64_t sum = 0;
    for (int32_t e = 0; e < R1_EXPERTS; e++) {
        load[e] = (int64_t)((double)from[e] * exp(normal(state)));
        sum += load[e];
    }
    return sum / R1_TOP_K;
}

CT(level_shift, log_normal,
   "where the first way to the target leads nowhere others do: 116 layers, all loads shifted")
{
    if (!r1_counts(R1_DECODE_2000))
        ct_skip("DeepSeek-R1's expert counts are not here");
    struct r1_maps maps = r1_eplb(R1_DECODE_2000, 72, 32);
    double slots = 0;
    int32_t missed = 0, layers = 0;
    for (uint64_t seed = 0; seed < 2; seed++)
        for (int32_t l = 0; l < R1_LAYERS; l++, layers++) {
            uint64_t state = 1000 * seed + (uint64_t)l;
            int64_t load[R1_EXPERTS], tokens = shift(l, &state, load);
            const struct sl_level_problem problem = {.experts = R1_EXPERTS,
                                                     .ranks = maps.ranks,
                                                     .slots = maps.slots,
                                                     .windows = 1,
                                                     .load = load,
                                                     .spread = &tokens,
                                                     .target = 1.01};
            struct sl_level level;
            level_open(&level, &problem, maps.map + (ptrdiff_t)l * maps.ranks * maps.slots);
            sl_level_repair(&level);
            slots += level.written;
            missed += level.bound[level.groups] > 1.01;
        }
    ct_note("%d of %d layers missed, %.2f slots", missed, layers, slots / layers);
    ct_true(missed <= 2);
    ct_true(slots / layers <= 41);
}

CT(level_shift, new_map, "where no repair reaches the target a new map does, if the budget allows")
{
    if (!r1_counts(R1_DECODE_2000))
        ct_skip("DeepSeek-R1's expert counts are not here");
    const int32_t layer = 46;
    struct r1_maps maps = r1_eplb(R1_DECODE_2000, 72, 32);
    uint64_t state = 1000 + (uint64_t)layer;
    int64_t load[R1_EXPERTS];
    (void)shift(layer, &state, load);
    struct plan_world *world = plan_world_make(1, R1_EXPERTS, maps.slots, maps.ranks, load);
    world->layers[0].shared = 1;
    world->layers[0].map = maps.map + (ptrdiff_t)layer * maps.ranks * maps.slots;
    sluice_plan *plan = plan_make(world);
    ct_true(plan != NULL);
    plan_check(plan, world);
    sluice_plan_summary whole = plan_summary(plan);
    plan_api()->release(plan);
    sluice_plan_budget budget = {.struct_size = sizeof budget, .slots = 100};
    world->request.budget = &budget;
    plan = plan_make(world);
    plan_check(plan, world);
    sluice_plan_summary less = plan_summary(plan);
    plan_api()->release(plan);
    ct_note("%.4f with %lld slots, %.4f with %lld, from %.4f", whole.after_worst,
            (long long)whole.slots, less.after_worst, (long long)less.slots, less.before_worst);
    ct_true(whole.after_worst <= 1.01 && whole.slots > 100);
    ct_true(less.after_worst > 1.01 && less.after_worst < 1.05 && less.slots <= 60);
}
