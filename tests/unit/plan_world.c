#include "plan_world.h"

#include "ct.h"
#include "ct_sluice.h"

#include <string.h>

const sluice_plan_api *plan_api(void)
{
    return ct_api()->extension(SLUICE_EXT_PLAN);
}

struct plan_world *plan_world_make(int32_t layers, int32_t experts, int32_t slots, int32_t ranks,
                                   const int64_t *counts)
{
    struct plan_world *world = ct_alloc(sizeof *world);
    for (int32_t l = 0; l < PLAN_LAYERS; l++) {
        world->layers[l] = (sluice_plan_layer){.struct_size = sizeof *world->layers,
                                               .experts = experts,
                                               .slots_per_rank = slots,
                                               .expert_bytes = 1000};
        world->layer_list[l] = world->layers + l;
    }
    for (int32_t w = 0; w < PLAN_WINDOWS; w++) {
        world->windows[w] = (sluice_plan_window){
            .struct_size = sizeof *world->windows, .counts = counts, .stride = experts, .top_k = 8};
        world->window_list[w] = world->windows + w;
    }
    memset(world->alive, 1, sizeof world->alive);
    world->request = (sluice_plan_request){.struct_size = sizeof world->request,
                                           .layers = world->layer_list,
                                           .windows = world->window_list,
                                           .node = world->node,
                                           .alive = world->alive,
                                           .layer_count = layers,
                                           .window_count = 1,
                                           .ranks = ranks,
                                           .target = 1.01};
    return world;
}

sluice_plan *plan_make(const struct plan_world *world)
{
    sluice_plan *plan = NULL;
    char text[256];
    if (!ct_expect_eq_i64(plan_api()->make(&world->request, &plan, text, sizeof text), SLUICE_OK))
        ct_record(__FILE__, __LINE__, text);
    return plan;
}

int32_t *plan_map(const sluice_plan *plan, const struct plan_world *world, int32_t layer)
{
    int32_t physical = world->layers[layer].slots_per_rank * world->request.ranks;
    int32_t *map = ct_alloc((size_t)physical * sizeof *map);
    ct_expect_eq_i64(plan_api()->layer(plan, layer, map, physical, NULL, NULL), SLUICE_OK);
    return map;
}

sluice_plan_summary plan_summary(const sluice_plan *plan)
{
    sluice_plan_summary summary = {.struct_size = sizeof summary};
    ct_expect_eq_i64(plan_api()->summary(plan, &summary), SLUICE_OK);
    return summary;
}

sluice_move *plan_moves(const sluice_plan *plan, int64_t *count)
{
    sluice_status status = plan_api()->moves(plan, NULL, 0, count);
    ct_expect_eq_i64(status, *count ? SLUICE_OVERFLOW : SLUICE_OK);
    sluice_move *moves = ct_alloc((size_t)(*count + 1) * sizeof *moves);
    ct_expect_eq_i64(plan_api()->moves(plan, moves, *count, count), SLUICE_OK);
    return moves;
}

static int32_t living_copies(const struct plan_world *world, int32_t layer, const int32_t *map,
                             int32_t expert, int32_t of_rank)
{
    int32_t slots = world->layers[layer].slots_per_rank, copies = 0;
    for (int32_t r = 0; r < world->request.ranks; r++)
        for (int32_t p = r * slots; p < (r + 1) * slots; p++)
            copies += map[p] == expert && world->alive[r] && (of_rank < 0 || of_rank == r);
    return copies;
}

/* One move on the map of before; `had`: what the slot held then. */
static void check_move(const struct plan_world *world, const sluice_move *move, const int32_t *map)
{
    int32_t slots = world->layers[move->layer].slots_per_rank;
    ct_true(world->alive[move->to / slots]);
    if (move->from < 0)
        ct_eq_i64(living_copies(world, move->layer, map, move->expert, -1), 0);
    else
        ct_true(map[move->from] == move->expert && world->alive[move->from / slots]);
}

/* Are the two neighbours a swap? */
static bool is_swap(const sluice_move *a, const sluice_move *b)
{
    return a->layer == b->layer && a->from == b->to && a->to == b->from;
}

static void check_sums(const struct plan_world *world, const sluice_plan_summary *summary,
                       const sluice_move *moves, int64_t count)
{
    int64_t bytes = 0, far = 0;
    for (int64_t i = 0; i < count; i++) {
        const sluice_plan_layer *layer = world->layers + moves[i].layer;
        int32_t from = moves[i].from / layer->slots_per_rank;
        int32_t to = moves[i].to / layer->slots_per_rank;
        if (moves[i].from < 0 || from == to)
            continue;
        bytes += layer->expert_bytes;
        far += world->node[from] != world->node[to] ? layer->expert_bytes : 0;
    }
    ct_eq_i64(summary->slots, count);
    ct_eq_i64(summary->bytes, bytes);
    ct_eq_i64(summary->bytes_far, far);
    ct_true(summary->bytes_extra <= bytes);
}

static void check_end(const sluice_plan *plan, const struct plan_world *world, int32_t layer,
                      const int32_t *map)
{
    const sluice_plan_layer *given = world->layers + layer;
    int32_t slots = given->slots_per_rank, physical = slots * world->request.ranks;
    const int32_t *made = plan_map(plan, world, layer);
    if (given->map)
        ct_eq_mem(made, map, (size_t)physical * sizeof *map);
    for (int32_t e = 0; e < given->experts && !world->request.budget; e++)
        ct_true(living_copies(world, layer, made, e, -1) > 0);
    for (int32_t p = 0; p < physical; p++) {
        bool was = given->map && given->map[p] == made[p];
        ct_true(was || made[p] < 0 || world->request.policy == SLUICE_PLAN_EPLB ||
                living_copies(world, layer, made, made[p], p / slots) == 1);
        ct_true(world->alive[p / slots] || made[p] == (given->map ? given->map[p] : -1));
    }
}

void plan_check(const sluice_plan *plan, const struct plan_world *world)
{
    int64_t count;
    const sluice_move *moves = plan_moves(plan, &count);
    int32_t *maps[PLAN_LAYERS], changed = 0;
    bool moved[PLAN_LAYERS] = {false};
    for (int32_t l = 0; l < world->request.layer_count; l++) {
        int32_t physical = world->layers[l].slots_per_rank * world->request.ranks;
        maps[l] = ct_alloc((size_t)physical * sizeof **maps);
        if (world->layers[l].map)
            memcpy(maps[l], world->layers[l].map, (size_t)physical * sizeof **maps);
    }
    for (int64_t i = 0; i < count && !ct_failed(); i++) {
        int32_t *map = maps[moves[i].layer];
        bool swap = i + 1 < count && is_swap(moves + i, moves + i + 1);
        int32_t held[2] = {map[moves[i].to], swap ? map[moves[i + 1].to] : -1};
        for (int32_t k = 0; k <= swap; k++)
            check_move(world, moves + i + k, map);
        for (int32_t k = 0; k <= swap; k++)
            map[moves[i + k].to] = moves[i + k].expert;
        for (int32_t k = 0; k <= swap; k++)
            ct_true(held[k] < 0 || living_copies(world, moves[i].layer, map, held[k], -1) > 0);
        changed += !moved[moves[i].layer];
        moved[moves[i].layer] = true;
        i += swap;
    }
    sluice_plan_summary summary = plan_summary(plan);
    check_sums(world, &summary, moves, count);
    ct_expect_eq_i64(summary.layers, changed);
    for (int32_t l = 0; l < world->request.layer_count && !ct_failed(); l++)
        check_end(plan, world, l, maps[l]);
}
