/* Any request is either refused with a text, or its plan's moves lead from map to map, each with
 * every expert on a living rank, to the map it tells; a plan comes back from its bytes. */
#include "fuzz_kit.h"

#include "abi/ext/plan.h"

#include <stdlib.h>
#include <string.h>

enum { LAYERS = 2, WINDOWS = 3, MOST_E = 24, MOST_W = 8, MOST_P = 256, MOST_MOVES = 2048 };

struct world {
    const sluice_plan_api *api;
    sluice_plan_request request;
    sluice_plan_budget budget;
    sluice_balance_config balance;
    sluice_costs costs;
    sluice_plan_layer layer[LAYERS];
    sluice_plan_window window[WINDOWS];
    const sluice_plan_layer *layers[LAYERS];
    const sluice_plan_window *windows[WINDOWS];
    int64_t counts[WINDOWS][LAYERS * MOST_E];
    int32_t map[LAYERS][MOST_P];
    int32_t node[MOST_W];
    uint8_t alive[MOST_W];
};

/* Few values that matter: zero, small, huge, now and then negative. */
static int64_t count_of(struct fz_bytes *in)
{
    uint8_t kind = fz_u8(in);
    if (kind < 64)
        return 0;
    if (kind < 200)
        return kind * (int64_t)fz_u8(in);
    return kind == 255 ? (int64_t)fz_u64(in) : (int64_t)fz_u32(in) << (kind % 26);
}

static void read_layers(struct world *w, struct fz_bytes *in)
{
    int32_t ranks = w->request.ranks;
    for (int32_t l = 0; l < LAYERS; l++) {
        int32_t experts = fz_range(in, 1, MOST_E), least = (experts + ranks - 1) / ranks;
        w->layer[l] = (sluice_plan_layer){.struct_size = sizeof w->layer[l],
                                          .experts = experts,
                                          .slots_per_rank = least + fz_range(in, 0, 4),
                                          .shared = fz_range(in, 0, 2),
                                          .groups = fz_range(in, 0, 3),
                                          .expert_bytes = 7};
        w->layers[l] = w->layer + l;
        for (int32_t p = 0; p < w->layer[l].slots_per_rank * ranks; p++)
            w->map[l][p] = p < experts ? p : fz_range(in, -1, experts - 1);
        if (fz_range(in, 0, 3))
            w->layer[l].map = w->map[l];
    }
}

static void read_world(struct world *w, struct fz_bytes *in)
{
    memset(w, 0, sizeof *w);
    w->api = sluice_plugin_get(SLUICE_ABI_MAJOR)->extension(SLUICE_EXT_PLAN);
    w->request = (sluice_plan_request){.struct_size = sizeof w->request,
                                       .layers = w->layers,
                                       .windows = w->windows,
                                       .node = w->node,
                                       .alive = w->alive,
                                       .budget = &w->budget,
                                       .layer_count = fz_range(in, 1, LAYERS),
                                       .window_count = fz_range(in, 1, WINDOWS),
                                       .ranks = fz_range(in, 1, MOST_W),
                                       .policy = fz_range(in, 0, 1),
                                       .start = fz_range(in, 0, 1),
                                       .judge = fz_range(in, 0, 1),
                                       .eplb = fz_range(in, 0, 2),
                                       .arithmetic = fz_range(in, 0, 2),
                                       .target = fz_range(in, 90, 150) / 100.0,
                                       .work = fz_range(in, 0, 1) * (int64_t)fz_u32(in)};
    for (int32_t r = 0; r < w->request.ranks; r++) {
        w->node[r] = fz_range(in, 0, 2);
        w->alive[r] = fz_u8(in) < 200;
    }
    w->budget = (sluice_plan_budget){.struct_size = sizeof w->budget};
    if (fz_range(in, 0, 3) == 0) {
        w->budget.slots = fz_range(in, 0, 9);
        w->budget.rank_slots = fz_range(in, 0, 2);
        w->budget.bytes = fz_range(in, 0, 60);
    }
    read_layers(w, in);
    for (int32_t i = 0; i < WINDOWS; i++) {
        w->window[i] = (sluice_plan_window){.struct_size = sizeof w->window[i],
                                            .counts = w->counts[i],
                                            .stride = MOST_E,
                                            .top_k = fz_range(in, 1, 8)};
        w->windows[i] = w->window + i;
        for (int32_t e = 0; e < LAYERS * MOST_E; e++)
            w->counts[i][e] = count_of(in);
    }
}

/* The balancer's objective, with costs and steps of any size. */
static void read_objective(struct world *w, struct fz_bytes *in)
{
    w->balance =
        (sluice_balance_config){.struct_size = sizeof w->balance, .objective = fz_range(in, 0, 2)};
    w->costs = (sluice_costs){.struct_size = sizeof w->costs,
                              .expert_ps = count_of(in),
                              .row_ps = count_of(in),
                              .add = fz_range(in, 0, 1)};
    w->balance.costs = w->balance.objective == SLUICE_BALANCE_COST ? &w->costs : NULL;
    w->request.balance = &w->balance;
    for (int32_t i = 0; i < WINDOWS; i++)
        w->window[i].steps = count_of(in);
}

static bool lives(const struct world *w, int32_t layer, const int32_t *map, int32_t expert)
{
    int32_t slots = w->layer[layer].slots_per_rank;
    for (int32_t p = 0; p < slots * w->request.ranks; p++)
        if (map[p] == expert && w->alive[p / slots])
            return true;
    return false;
}

/* The move, or the two of a swap, on the layer's map. */
static void carry_out(const struct world *w, const sluice_move *move, int32_t pair, int32_t *map)
{
    int32_t slots = w->layer[move->layer].slots_per_rank, held[2];
    for (int32_t k = 0; k < pair; k++) {
        FZ_HOLDS(w->alive[move[k].to / slots]);
        FZ_HOLDS(move[k].from < 0
                     ? !lives(w, move->layer, map, move[k].expert)
                     : map[move[k].from] == move[k].expert && w->alive[move[k].from / slots]);
        held[k] = map[move[k].to];
    }
    for (int32_t k = 0; k < pair; k++)
        map[move[k].to] = move[k].expert;
    for (int32_t k = 0; k < pair; k++)
        FZ_HOLDS(held[k] < 0 || lives(w, move->layer, map, held[k]));
}

static void check_plan(struct world *w, const sluice_plan *plan)
{
    static sluice_move moves[MOST_MOVES];
    int32_t made[MOST_P];
    int64_t count;
    FZ_HOLDS(w->api->moves(plan, moves, MOST_MOVES, &count) == SLUICE_OK);
    FZ_HOLDS(!w->budget.slots || count <= w->budget.slots);
    for (int64_t i = 0; i < count; i++) {
        bool swap = i + 1 < count && moves[i].layer == moves[i + 1].layer &&
                    moves[i].from == moves[i + 1].to && moves[i].to == moves[i + 1].from;
        carry_out(w, moves + i, 1 + swap, w->map[moves[i].layer]);
        i += swap;
    }
    for (int32_t l = 0; l < w->request.layer_count; l++) {
        int32_t physical = w->layer[l].slots_per_rank * w->request.ranks;
        double before, after;
        FZ_HOLDS(w->api->layer(plan, l, made, physical, &before, &after) == SLUICE_OK);
        FZ_HOLDS(before >= 0 && after >= 0.999 && after < 1e6);
        for (int32_t p = 0; p < physical && w->layer[l].map; p++)
            FZ_HOLDS(made[p] == w->map[l][p]);
        for (int32_t e = 0; e < w->layer[l].experts && !w->budget.slots && !w->budget.rank_slots;
             e++)
            FZ_HOLDS(w->budget.bytes || lives(w, l, made, e));
    }
}

/* The plan from its bytes, and none from what is left of the input. */
static void check_bytes(const struct world *w, const sluice_plan *plan, const struct fz_bytes *in)
{
    sluice_plan *again = NULL;
    sluice_plan_summary one = {.struct_size = sizeof one}, other = one;
    char text[300] = "";
    size_t size = 0;
    FZ_HOLDS(w->api->save(plan, NULL, 0, &size) == SLUICE_OVERFLOW);
    void *bytes = malloc(size);
    FZ_HOLDS(bytes && w->api->save(plan, bytes, size, &size) == SLUICE_OK);
    FZ_HOLDS(w->api->load(bytes, size, NULL, &again, text, sizeof text) == SLUICE_OK);
    FZ_HOLDS(w->api->summary(plan, &one) == SLUICE_OK);
    FZ_HOLDS(w->api->summary(again, &other) == SLUICE_OK);
    FZ_HOLDS(memcmp(one.hash, other.hash, sizeof one.hash) == 0);
    w->api->release(again);
    memcpy(bytes, in->at, in->left < size ? in->left : size);
    sluice_status status = w->api->load(bytes, size, NULL, &again, text, sizeof text);
    FZ_HOLDS(status == SLUICE_OK || (!again && text[0]));
    w->api->release(again);
    free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct world w;
    struct fz_bytes in = {data, size};
    sluice_plan *plan = NULL;
    char text[300] = "";
    read_world(&w, &in);
    read_objective(&w, &in);
    sluice_status status = w.api->make(&w.request, &plan, text, sizeof text);
    FZ_HOLDS(status == SLUICE_OK || (status == SLUICE_INVALID && !plan && text[0]));
    if (!plan)
        return 0;
    check_plan(&w, plan);
    check_bytes(&w, plan, &in);
    w.api->release(plan);
    return 0;
}
