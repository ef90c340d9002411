/* A plan for active experts on real tokens: DeepSeek-V2-Lite, few tokens a step. */
#include "balance_world.h"
#include "ct.h"
#include "ct_npy.h"
#include "place_world.h"
#include "plan_world.h"

#include <string.h>

enum { LAYERS = 26, E = 64, K = 6, W = 8, N = 9, P = W * N, TOKENS = 4, DRAWS = 100 };

static void count(const struct ct_npy *ids, int64_t *counts)
{
    size_t rows = ids->shape[1];
    memset(counts, 0, sizeof(int64_t[LAYERS * E]));
    for (size_t i = 0; i < LAYERS * rows * K; i++)
        counts[i / (rows * K) * E + ct_npy_u8(ids)[i]]++;
}

static void draw_step(const struct ct_npy *ids, int32_t layer, int64_t *counts, uint64_t *random)
{
    size_t rows = ids->shape[1];
    const uint8_t *from = ct_npy_u8(ids) + (size_t)layer * rows * K;
    memset(counts, 0, sizeof(int64_t[W * E]));
    for (int32_t i = 0; i < W * TOKENS; i++) {
        const uint8_t *row = from + (size_t)draw_below(random, (int32_t)rows) * K;
        for (int32_t k = 0; k < K; k++)
            counts[i / TOKENS * E + row[k]]++;
    }
}

/* Experts on the fullest rank, mean of draws over all layers, each step balanced by EXPERTS. */
static double served(const struct ct_npy *ids, struct plan_world *world, const sluice_plan *plan)
{
    double mean = 0;
    uint64_t random = 3;
    for (int32_t l = 0; l < LAYERS; l++) {
        struct balance_world *step = balance_make(E, N, W, 0);
        memcpy(step->map, plan_map(plan, world, l), sizeof(int32_t[P]));
        step->config.objective = SLUICE_BALANCE_EXPERTS;
        for (int32_t i = 0; i < DRAWS; i++) {
            draw_step(ids, l, step->counts, &random);
            balance_solve(step);
            mean += (double)step->answer.greatest / DRAWS / LAYERS;
        }
    }
    return mean;
}

struct figures {
    double same, shifted; /* law, which it is planned for, and intent served */
};

static struct figures plan_for(const struct ct_npy *law, const struct ct_npy *intent,
                               struct plan_world *world)
{
    sluice_plan *plan = plan_make(world);
    struct figures figures = {served(law, world, plan), served(intent, world, plan)};
    plan_api()->release(plan);
    return figures;
}

CT(plan_experts, few_tokens,
   "4 tokens a rank: a plan for EXPERTS has fewer on the fullest rank than one for TOKENS or EPLB")
{
    struct ct_npy intent, law;
    int64_t *counts = ct_alloc(sizeof(int64_t[LAYERS * E]));
    if (!ct_npy_shared(&intent, "data/deepseek-v2-lite-routing/intent.ids.npy") ||
        !ct_npy_shared(&law, "data/deepseek-v2-lite-routing/law.ids.npy"))
        ct_skip("no routing data");
    count(&law, counts);
    struct plan_world *world = plan_world_make(LAYERS, E, N, W, counts);
    const sluice_balance_config experts = {.struct_size = sizeof experts,
                                           .objective = SLUICE_BALANCE_EXPERTS};
    world->windows[0].steps = (int64_t)law.shape[1] / (W * TOKENS);
    world->request.policy = SLUICE_PLAN_EPLB;
    struct figures eplb = plan_for(&law, &intent, world);
    world->request.policy = SLUICE_PLAN_LEVEL;
    struct figures tokens = plan_for(&law, &intent, world);
    world->request.balance = &experts;
    struct figures ours = plan_for(&law, &intent, world);
    ct_note("EPLB %.4f, %.4f; tokens %.4f, %.4f; experts %.4f, %.4f", eplb.same, eplb.shifted,
            tokens.same, tokens.shifted, ours.same, ours.shifted);
    ct_true(ours.same < tokens.same - 0.2 && ours.same < eplb.same - 0.2);
    ct_true(ours.shifted < tokens.shifted - 0.1 && ours.shifted < eplb.shifted - 0.15);
    ct_true(ours.same < 7.82);
}
