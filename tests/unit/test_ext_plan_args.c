/* sluice.plan/1: every argument that is wrong is refused by its name, and no plan comes of it. */
#include <math.h>
#include <string.h>

#include "ct.h"
#include "ct_sluice.h"
#include "plan_world.h"

enum { E = 8, N = 3, W = 4 };

static const int64_t COUNTS[2 * E] = {9, 8, 7, 6, 5, 4, 3, 2, 1, 2, 3, 4, 5, 6, 7, 8};

/* What a case may change, besides the world. */
struct parts {
    struct plan_world *world;
    sluice_host host;
    sluice_plan_budget budget;
    sluice_balance_config balance;
    sluice_costs costs;
    int64_t counts[2 * E];
    int32_t map[N * W];
};

static struct parts *parts_make(void)
{
    struct parts *parts = ct_alloc(sizeof *parts);
    memcpy(parts->counts, COUNTS, sizeof COUNTS);
    parts->world = plan_world_make(2, E, N, W, parts->counts);
    parts->host.struct_size = sizeof parts->host;
    parts->budget.struct_size = sizeof parts->budget;
    parts->balance.struct_size = sizeof parts->balance;
    parts->costs.struct_size = sizeof parts->costs;
    for (int32_t p = 0; p < N * W; p++)
        parts->map[p] = p % E;
    parts->world->request.host = &parts->host;
    parts->world->request.budget = &parts->budget;
    parts->world->request.balance = &parts->balance;
    parts->world->layers[1].map = parts->map;
    return parts;
}

static void refuse(const struct parts *parts, sluice_status want, const char *part)
{
    sluice_plan *plan = (sluice_plan *)(uintptr_t)64;
    char text[256];
    ct_note("%s", part);
    ct_eq_i64(plan_api()->make(&parts->world->request, &plan, text, sizeof text), want);
    ct_str_has(text, part);
    ct_true(plan == NULL);
    ct_eq_i64(plan_api()->make(&parts->world->request, &plan, NULL, 0), want);
}

#define REFUSE_AS(status_, change_, part_)                                                         \
    do {                                                                                           \
        struct parts *p = parts_make();                                                            \
        struct plan_world *w = p->world;                                                           \
        (void)w;                                                                                   \
        change_;                                                                                   \
        refuse(p, status_, part_);                                                                 \
        if (ct_failed())                                                                           \
            return;                                                                                \
    } while (0)
#define REFUSE(change_, part_) REFUSE_AS(SLUICE_INVALID, change_, part_)

static struct plan_world *with_costs(struct parts *parts)
{
    parts->balance.objective = SLUICE_BALANCE_COST;
    parts->balance.costs = &parts->costs;
    parts->costs.row_ps = 1;
    return parts->world;
}

CT(plan_args, request, "numbers of the request")
{
    REFUSE(w->request.struct_size -= 8, "request.struct_size");
    REFUSE(w->request.layer_count = 0, "request.layer_count is 0");
    REFUSE(w->request.window_count = 0, "request.window_count is 0");
    REFUSE(w->request.window_count = 65, "request.window_count is 65");
    REFUSE(w->request.ranks = 0, "request.ranks is 0");
    REFUSE(w->request.ranks = 1025, "request.ranks is 1025");
    REFUSE(w->request.policy = 2, "request.policy is 2");
    REFUSE(w->request.start = -1, "request.start is -1");
    REFUSE(w->request.judge = 2, "request.judge is 2");
    REFUSE(w->request.eplb = 3, "request.eplb is 3");
    REFUSE(w->request.arithmetic = 3, "request.arithmetic is 3");
    REFUSE(w->request.work = -1, "request.work is -1");
    REFUSE(w->request.wire_bytes = -1, "request.wire_bytes is -1");
    REFUSE(w->request.pay_steps = -1, "request.pay_steps is -1");
    REFUSE(w->request.target = -0.5, "request.target is -0.5");
    REFUSE(w->request.target = NAN, "request.target is");
    REFUSE(w->request.layers = NULL, "request.layers is NULL");
    REFUSE(w->request.windows = NULL, "request.windows is NULL");
    REFUSE(memset(w->alive, 0, W), "request.alive: none of 4 ranks lives");
}

CT(plan_args, services, "host, balance and budget")
{
    REFUSE(p->host.struct_size = 8, "request.host.struct_size is 8");
    REFUSE(p->host.threads = 65, "request.host.threads is 65");
    REFUSE(p->host.free = (void (*)(void *, void *, size_t, int32_t, sluice_device))1,
           "request.host: alloc and free");
    REFUSE(p->balance.struct_size = 8, "request.balance.struct_size is 8");
    REFUSE(p->balance.objective = 3, "request.balance.objective is 3");
    REFUSE(p->balance.objective = SLUICE_BALANCE_COST, "request.balance.costs is NULL");
    REFUSE(p->balance.costs = &p->costs, "request.balance.costs is given");
    REFUSE(with_costs(p)->request.pay_steps = 1, "request.wire_bytes must say");
    REFUSE(w->request.pay_steps = 1, "request.balance.costs must say");
    REFUSE(with_costs(p); p->costs.struct_size = 8, "request.balance.costs.struct_size is 8");
    REFUSE(with_costs(p); p->costs.row_ps = -1, "request.balance.costs.row_ps is -1");
    REFUSE(p->balance.objective = SLUICE_BALANCE_EXPERTS, "windows[0].steps is 0: must be 1");
    REFUSE(with_costs(p); p->costs.expert_ps = 1, "windows[0].steps is 0: must be 1");
    REFUSE(with_costs(p); p->costs.expert_ps = -1, "request.balance.costs.expert_ps is -1");
    REFUSE(with_costs(p); p->costs.add = 2, "request.balance.costs.add is 2");
    REFUSE(with_costs(p); p->costs.row_ps = 0, "row_ps and expert_ps are 0");
    REFUSE(p->budget.struct_size = 8, "request.budget.struct_size is 8");
    REFUSE(p->budget.slots = -1, "request.budget.slots is -1");
    REFUSE(p->budget.layer_slots = -2, "request.budget.layer_slots is -2");
    REFUSE(p->budget.rank_slots = -3, "request.budget.rank_slots is -3");
    REFUSE(p->budget.bytes = -4, "request.budget.bytes is -4");
    REFUSE(p->budget.layer_bytes = -5, "request.budget.layer_bytes is -5");
    REFUSE(p->budget.rank_bytes = -6, "request.budget.rank_bytes is -6");
    REFUSE(p->budget.bytes = 7; w->request.start = 1, "request.budget.bytes is 7: only repairs");
    REFUSE(p->budget.slots = 7; w->request.policy = 1, "request.budget.slots is 7: only repairs");
}

CT(plan_args, layers, "layers")
{
    REFUSE(w->layer_list[1] = NULL, "layers[1] is NULL");
    REFUSE(w->layers[1].struct_size = 8, "layers[1].struct_size is 8");
    REFUSE(w->layers[1].experts = 0, "layers[1].experts is 0");
    REFUSE(w->layers[1].experts = 4097, "layers[1].experts is 4097");
    REFUSE(w->layers[0].slots_per_rank = 0, "layers[0].slots_per_rank is 0");
    REFUSE(w->layers[0].slots_per_rank = 2049, "layers[0].slots_per_rank is 2049");
    REFUSE(w->layers[0].slots_per_rank = 1,
           "layers[0].slots_per_rank is 1: 8 experts on 4 living ranks need at least 2");
    REFUSE(w->alive[0] = w->alive[1] = 0,
           "layers[0].slots_per_rank is 3: 8 experts on 2 living ranks need at least 4");
    REFUSE(w->layers[0].shared = 9, "layers[0].shared is 9");
    REFUSE(w->layers[0].groups = 3, "layers[0].groups is 3: must divide the 8 experts");
    REFUSE(w->layers[1].map_count = N * W - 1,
           "layers[1].map_count is 11: must be 12, slots_per_rank times ranks, or 0");
    REFUSE(w->layers[1].map_count = -1, "layers[1].map_count is -1");
    REFUSE(w->layers[0].map_count = N * W, "layers[0].map_count is 12: must be 0, as map is NULL");
    REFUSE(w->layers[0].expert_bytes = -1, "layers[0].expert_bytes is -1");
    REFUSE(w->layers[0].expert_bytes = ((int64_t)1 << 36) + 1,
           "layers[0].expert_bytes is 68719476737: must be 0 to 68719476736");
    REFUSE(w->layers[1].expert_bytes = 0, "layers[1].expert_bytes is 0");
    REFUSE(p->map[5] = E, "layers[1].map: slot 5 has 8: must be -1 to 7");
    REFUSE(p->map[7] = -2, "layers[1].map: slot 7 has -2");
}

CT(plan_args, hierarchy, "a hierarchy that cannot be")
{
    REFUSE(w->request.policy = 1; w->request.eplb = 2;
           w->node[3] = 1, "request.node: for HIERARCHICAL every node");
    REFUSE(w->request.policy = 1; w->request.eplb = 2;
           w->node[1] = w->node[3] = 1, "request.node: for HIERARCHICAL every node");
    REFUSE(w->request.policy = 1; w->request.eplb = 2; w->node[2] = w->node[3] = 1; w->alive[3] = 0;
           w->layers[0].slots_per_rank = 4, "request.node: for HIERARCHICAL");
    REFUSE(w->request.policy = 1; w->request.eplb = 2; w->node[2] = w->node[3] = 1;
           w->layers[0].groups = 1, "layers[0].groups is 1: for HIERARCHICAL");
}

CT(plan_args, windows, "windows and their counts")
{
    REFUSE(w->window_list[0] = NULL, "windows[0] is NULL");
    REFUSE(w->windows[0].struct_size = 8, "windows[0].struct_size is 8");
    REFUSE(w->windows[0].counts = NULL, "windows[0].counts is NULL");
    REFUSE(w->windows[0].stride = E - 1, "windows[0].stride is 7");
    REFUSE(w->windows[0].tokens = -1, "windows[0].tokens is -1");
    REFUSE(w->windows[0].top_k = -1, "windows[0].top_k is -1");
    REFUSE(w->windows[0].top_k = 0; w->layers[1].shared = 1, "windows[0].top_k is 0: must be 1");
    REFUSE(w->windows[0].top_k = 65, "windows[0].top_k is 65");
    REFUSE(w->windows[0].steps = -1, "windows[0].steps is -1");
    REFUSE(with_costs(p)->request.pay_steps = 1;
           w->request.wire_bytes = 1, "windows[0].steps is 0: must be 1");
    REFUSE(p->counts[E + 2] = -5, "windows[0].counts: layer 1, expert 2 has -5");
    REFUSE(p->counts[3] = INT64_MAX, "windows[0].counts: layer 0 has more than");
    REFUSE(w->request.window_count = 2;
           p->counts[3] = (int64_t)1 << 57, "windows[1].counts: layer 0 has more than");
}

CT(plan_args, good, "what is changed above is in order otherwise, and huge loads are planned")
{
    struct parts *parts = parts_make();
    sluice_plan *plan = plan_make(parts->world);
    ct_true(plan != NULL);
    plan_api()->release(plan);
    parts->counts[3] = (int64_t)1 << 57;
    for (int32_t l = 0; l < 2; l++)
        parts->world->layers[l].shared = 8;
    parts->world->windows[0].top_k = 1;
    plan = plan_make(parts->world);
    ct_true(plan != NULL);
    plan_check(plan, parts->world);
    plan_api()->release(plan);
}

CT(plan_args, readers, "what reads a plan refuses what it cannot give")
{
    struct parts *parts = parts_make();
    sluice_plan *plan = plan_make(parts->world), *again;
    sluice_plan_summary summary = {.struct_size = sizeof summary - 8};
    int32_t map[N * W];
    int64_t count;
    size_t size;
    char text[128];
    ct_true(plan != NULL);
    ct_eq_i64(plan_api()->summary(plan, &summary), SLUICE_INVALID);
    ct_eq_i64(plan_api()->summary(NULL, NULL), SLUICE_INVALID);
    ct_eq_i64(plan_api()->layer(plan, 2, map, N * W, NULL, NULL), SLUICE_INVALID);
    ct_eq_i64(plan_api()->layer(plan, -1, map, N * W, NULL, NULL), SLUICE_INVALID);
    ct_eq_i64(plan_api()->layer(plan, 0, map, N * W - 1, NULL, NULL), SLUICE_INVALID);
    ct_eq_i64(plan_api()->moves(plan, NULL, 1, &count), SLUICE_INVALID);
    ct_eq_i64(plan_api()->moves(plan, NULL, 0, NULL), SLUICE_INVALID);
    ct_eq_i64(plan_api()->save(plan, NULL, 1, &size), SLUICE_INVALID);
    ct_eq_i64(plan_api()->save(plan, NULL, 0, NULL), SLUICE_INVALID);
    ct_eq_i64(plan_api()->load(NULL, 1, NULL, &again, text, sizeof text), SLUICE_INVALID);
    ct_str_has(text, "bytes is NULL");
    ct_eq_i64(plan_api()->load(map, sizeof map, NULL, NULL, text, sizeof text), SLUICE_INVALID);
    ct_str_has(text, "plan is NULL");
    ct_eq_i64(plan_api()->make(&parts->world->request, NULL, text, sizeof text), SLUICE_INVALID);
    ct_str_has(text, "plan is NULL");
    ct_eq_i64(plan_api()->copies(&parts->world->request, map, 1, text, sizeof text),
              SLUICE_INVALID);
    ct_str_has(text, "the request has 2 layers");
    ct_eq_i64(plan_api()->copies(&parts->world->request, NULL, 2, text, sizeof text),
              SLUICE_INVALID);
    plan_api()->release(plan);
    plan_api()->release(NULL);
}
