/* SPDX-License-Identifier: Apache-2.0
 * sluice.plan/1: maps that are whole at every move, budgets, the dead, equal bits. */
#include <stdlib.h>
#include <string.h>

#include "../ext/plan.h"
#include "conform.h"

enum { LAYERS = 4, EXPERTS = 24, SLOTS = 4, RANKS = 8, PHYSICAL = SLOTS * RANKS, MOVES = 256 };

static const sluice_plan_api *plans(void)
{
    const sluice_plan_api *api = cf_api->extension(SLUICE_EXT_PLAN);
    if (!api)
        cf_skip("the plugin has no %s", SLUICE_EXT_PLAN);
    CHECK(api->struct_size >= sizeof *api, "%s is %zu bytes", SLUICE_EXT_PLAN, api->struct_size);
    return api;
}

/* A request with all its parts. */
struct world {
    sluice_plan_request request;
    sluice_plan_layer layer[LAYERS];
    sluice_plan_window window;
    sluice_plan_budget budget;
    sluice_host host;
    const sluice_plan_layer *layers[LAYERS];
    const sluice_plan_window *windows[1];
    int64_t counts[LAYERS * EXPERTS];
    int32_t map[LAYERS][PHYSICAL];
    int32_t node[RANKS];
    uint8_t alive[RANKS];
};

/* Skewed loads, ever more so from layer to layer, on maps made for others. */
static void set_up(struct world *world)
{
    struct cf_random random = {.state = 5};
    memset(world, 0, sizeof *world);
    for (int32_t l = 0; l < LAYERS; l++) {
        for (int32_t e = 0; e < EXPERTS; e++) {
            int64_t some = 1 + cf_below(&random, 100);
            world->counts[l * EXPERTS + e] = some * some * (cf_below(&random, 8) ? 1 : 2 + 4 * l);
        }
        for (int32_t p = 0; p < PHYSICAL; p++)
            world->map[l][p] = p % EXPERTS;
        world->layer[l] = (sluice_plan_layer){.struct_size = sizeof *world->layer,
                                              .experts = EXPERTS,
                                              .slots_per_rank = SLOTS,
                                              .shared = 1,
                                              .expert_bytes = 10,
                                              .map = world->map[l]};
        world->layers[l] = world->layer + l;
    }
    world->window = (sluice_plan_window){.struct_size = sizeof world->window,
                                         .counts = world->counts,
                                         .stride = EXPERTS,
                                         .top_k = 4};
    world->windows[0] = &world->window;
    world->budget.struct_size = sizeof world->budget;
    world->host.struct_size = sizeof world->host;
    memset(world->alive, 1, sizeof world->alive);
    for (int32_t r = 0; r < RANKS; r++)
        world->node[r] = r / 4;
    world->request = (sluice_plan_request){.struct_size = sizeof world->request,
                                           .host = &world->host,
                                           .layers = world->layers,
                                           .windows = world->windows,
                                           .node = world->node,
                                           .alive = world->alive,
                                           .budget = &world->budget,
                                           .layer_count = LAYERS,
                                           .window_count = 1,
                                           .ranks = RANKS,
                                           .target = 1.01};
}

static sluice_plan *make(const struct world *world)
{
    sluice_plan *plan = NULL;
    char text[256] = "";
    sluice_status status = plans()->make(&world->request, &plan, text, sizeof text);
    CHECK(status == SLUICE_OK, "make: %s: %s", cf_status_name(status), text);
    return plan;
}

static sluice_plan_summary summary_of(const sluice_plan *plan)
{
    sluice_plan_summary summary = {.struct_size = sizeof summary};
    CHECK_EQ(plans()->summary(plan, &summary), SLUICE_OK, "summary");
    return summary;
}

static bool same(const sluice_plan_summary *a, const sluice_plan_summary *b)
{
    return a->hash[0] == b->hash[0] && a->hash[1] == b->hash[1] && a->slots == b->slots &&
           a->bytes == b->bytes && a->work == b->work && a->lost == b->lost &&
           cf_same_bits((float)a->after_mean, (float)b->after_mean);
}

static int32_t copies(const struct world *world, const int32_t *map, int32_t expert, int32_t rank)
{
    int32_t count = 0;
    for (int32_t p = 0; p < PHYSICAL; p++)
        count += map[p] == expert && world->alive[p / SLOTS] && (rank < 0 || rank == p / SLOTS);
    return count;
}

static bool is_swap(const sluice_move *a, const sluice_move *b)
{
    return a->layer == b->layer && a->from == b->to && a->to == b->from;
}

/* The plan's moves, followed from the request's maps to its own. Returns how many. */
static int64_t follow(const struct world *world, const sluice_plan *plan, sluice_move *moves)
{
    int32_t map[LAYERS][PHYSICAL], made[PHYSICAL];
    int64_t count = 0;
    memcpy(map, world->map, sizeof map);
    CHECK_EQ(plans()->moves(plan, moves, MOVES, &count), SLUICE_OK, "moves");
    for (int64_t i = 0; i < count; i++) {
        int32_t *layer = map[moves[i].layer], pair = 1;
        pair += i + 1 < count && is_swap(moves + i, moves + i + 1);
        for (int64_t k = i; k < i + pair; k++) {
            CHECK(world->alive[moves[k].to / SLOTS], "move %d writes to dead rank %d", (int)k,
                  moves[k].to / SLOTS);
            CHECK(moves[k].from < 0 || (layer[moves[k].from] == moves[k].expert &&
                                        world->alive[moves[k].from / SLOTS]),
                  "move %d takes expert %d from slot %d, which has %d", (int)k, moves[k].expert,
                  moves[k].from, moves[k].from < 0 ? -1 : layer[moves[k].from]);
        }
        for (int32_t k = 0; k < pair; k++)
            layer[moves[i + k].to] = moves[i + k].expert;
        i += pair - 1;
        for (int32_t e = 0; e < EXPERTS; e++)
            CHECK(copies(world, layer, e, -1) > 0 ||
                      copies(world, world->map[moves[i].layer], e, -1) == 0,
                  "after move %d layer %d has no expert %d", (int)i, moves[i].layer, e);
    }
    for (int32_t l = 0; l < LAYERS; l++) {
        CHECK_EQ(plans()->layer(plan, l, made, PHYSICAL, NULL, NULL), SLUICE_OK, "layer");
        for (int32_t p = 0; p < PHYSICAL; p++)
            CHECK_EQ(made[p], map[l][p], "layer %d, slot %d: the map against the moves", l, p);
        for (int32_t r = 0; r < RANKS && world->request.policy == SLUICE_PLAN_LEVEL; r++)
            for (int32_t e = 0; e < EXPERTS; e++)
                CHECK(copies(world, made, e, r) < 2, "layer %d: rank %d has expert %d twice", l, r,
                      e);
    }
    return count;
}

static void repairs(const void *what)
{
    struct world world;
    sluice_move moves[MOVES];
    (void)what;
    set_up(&world);
    sluice_plan *plan = make(&world);
    int64_t count = follow(&world, plan, moves);
    sluice_plan_summary summary = summary_of(plan);
    CHECK(count > 0 && count < PHYSICAL, "%d moves", (int)count);
    CHECK_EQ(summary.slots, count, "summary.slots");
    CHECK(summary.before_worst > 1.05 && summary.after_mean < summary.before_mean, "from %g to %g",
          summary.before_worst, summary.after_mean);
    plans()->release(plan);
}

static void from_nothing(const void *what)
{
    struct world world;
    sluice_move moves[MOVES];
    (void)what;
    for (int32_t policy = 0; policy < 2; policy++) {
        set_up(&world);
        world.request.policy = policy;
        world.request.start = SLUICE_PLAN_FROM_NOTHING;
        /* One expert so hot that a planner by greatest load a copy puts two copies on a rank. */
        world.counts[3] = 400000;
        sluice_plan *plan = make(&world);
        CHECK(follow(&world, plan, moves) > 0, "a new map that moves nothing");
        plans()->release(plan);
    }
}

static void budgets(const void *what)
{
    (void)what;
    for (int32_t limit = 0; limit < 6; limit++) {
        struct world world;
        sluice_move moves[MOVES];
        int64_t layer[LAYERS] = {0}, rank[RANKS] = {0}, in[RANKS] = {0}, out[RANKS] = {0};
        set_up(&world);
        int64_t *const limits[] = {&world.budget.slots,       &world.budget.layer_slots,
                                   &world.budget.rank_slots,  &world.budget.bytes,
                                   &world.budget.layer_bytes, &world.budget.rank_bytes};
        int64_t most = limit < 3 ? 1 : 10;
        *limits[limit] = most;
        sluice_plan *plan = make(&world);
        int64_t count = follow(&world, plan, moves), bytes = summary_of(plan).bytes;
        for (int64_t i = 0; i < count; i++) {
            layer[moves[i].layer]++;
            rank[moves[i].to / SLOTS]++;
            in[moves[i].to / SLOTS] += 10;
            out[moves[i].from / SLOTS] += 10;
        }
        CHECK(count > 0, "limit %d: nothing moves", limit);
        CHECK(limit != 0 || count <= most, "budget.slots: %d are written", (int)count);
        CHECK(limit != 3 || bytes <= most, "budget.bytes: %d are sent", (int)bytes);
        for (int32_t l = 0; l < LAYERS; l++)
            CHECK((limit != 1 || layer[l] <= most) && (limit != 4 || layer[l] * 10 <= most),
                  "limit %d: layer %d has %d", limit, l, (int)layer[l]);
        for (int32_t r = 0; r < RANKS; r++)
            CHECK((limit != 2 || rank[r] <= most) &&
                      (limit != 5 || (in[r] <= most && out[r] <= most)),
                  "limit %d: rank %d gets %d bytes and sends %d", limit, r, (int)in[r],
                  (int)out[r]);
        plans()->release(plan);
    }
}

/* Each layer's rank 5 alone holds four experts, one of them hotter from layer to layer. */
static void gain_order(const void *what)
{
    struct world world;
    sluice_move moves[MOVES];
    (void)what;
    set_up(&world);
    for (int32_t l = 0; l < LAYERS; l++)
        for (int32_t e = 0; e < EXPERTS; e++)
            world.counts[l * EXPERTS + e] = e == 20 ? 1000 + 1500 * l : 1000;
    sluice_plan *plan = make(&world);
    CHECK(follow(&world, plan, moves) >= LAYERS, "some layer keeps its load");
    CHECK_EQ(moves[0].layer, LAYERS - 1, "layer of the first move");
    plans()->release(plan);
    world.budget.slots = 1;
    plan = make(&world);
    CHECK_EQ(follow(&world, plan, moves), 1, "moves within a budget of one slot");
    CHECK_EQ(moves[0].layer, LAYERS - 1, "layer of the only move");
    plans()->release(plan);
}

static void dead(const void *what)
{
    struct world world;
    sluice_move moves[MOVES];
    (void)what;
    for (int32_t start = 0; start < 2; start++) {
        int32_t made[PHYSICAL], lost = 0;
        set_up(&world);
        world.alive[1] = world.alive[2] = 0;
        world.request.start = start;
        for (int32_t l = 0; l < LAYERS; l++)
            for (int32_t e = 0; e < EXPERTS; e++)
                lost += copies(&world, world.map[l], e, -1) == 0;
        sluice_plan *plan = make(&world);
        int64_t count = follow(&world, plan, moves), new_bytes = 0;
        for (int64_t i = 0; i < count; i++)
            new_bytes += moves[i].from < 0;
        CHECK(lost > 0, "the case loses no expert");
        CHECK_EQ(summary_of(plan).lost, lost, "summary.lost");
        CHECK_EQ(new_bytes, lost, "moves whose bytes nobody has");
        for (int32_t l = 0; l < LAYERS; l++) {
            CHECK_EQ(plans()->layer(plan, l, made, PHYSICAL, NULL, NULL), SLUICE_OK, "layer");
            for (int32_t p = SLOTS; p < 3 * SLOTS; p++)
                CHECK_EQ(made[p], world.map[l][p], "slot %d of a dead rank", p);
            for (int32_t e = 0; e < EXPERTS; e++)
                CHECK(copies(&world, made, e, -1) > 0, "layer %d: expert %d lives nowhere", l, e);
        }
        plans()->release(plan);
    }
}

static void equal_bits(const void *what)
{
    struct world world;
    (void)what;
    set_up(&world);
    for (int32_t start = 0; start < 2; start++) {
        sluice_plan_summary want = {0};
        world.request.start = start;
        for (world.host.threads = 0; world.host.threads <= LAYERS; world.host.threads++) {
            sluice_plan *plan = make(&world);
            sluice_plan_summary got = summary_of(plan);
            want = world.host.threads == 0 ? got : want;
            CHECK(same(&got, &want), "another plan with %d threads", world.host.threads);
            plans()->release(plan);
        }
    }
}

static void bytes(const void *what)
{
    struct world world;
    sluice_move moves[MOVES];
    char text[256] = "";
    size_t size = 0;
    (void)what;
    set_up(&world);
    sluice_plan *plan = make(&world), *again = NULL;
    CHECK_EQ(plans()->save(plan, NULL, 0, &size), SLUICE_OVERFLOW, "save without room");
    unsigned char *saved = malloc(size);
    CHECK(saved != NULL, "no memory");
    CHECK_EQ(plans()->save(plan, saved, size, &size), SLUICE_OK, "save");
    CHECK_EQ(plans()->load(saved, size, NULL, &again, text, sizeof text), SLUICE_OK, "load: %s",
             text);
    sluice_plan_summary one = summary_of(plan), other = summary_of(again);
    CHECK(same(&one, &other), "the summary is another one");
    (void)follow(&world, again, moves);
    saved[size / 2] ^= 1;
    EXPECT_TEXT(text, plans()->load(saved, size, NULL, &again, text, sizeof text), SLUICE_INVALID,
                NULL);
    CHECK(again == NULL && text[0], "a damaged plan came back, or without a text");
    free(saved);
    plans()->release(plan);
}

static void refused(const void *what)
{
    struct world world;
    sluice_plan *plan = NULL;
    char text[256];
    (void)what;
    set_up(&world);
    world.layer[2].slots_per_rank = 2;
    EXPECT_TEXT(text, plans()->make(&world.request, &plan, text, sizeof text), SLUICE_INVALID,
                "layers[2]", "slots_per_rank", "3");
    set_up(&world);
    world.counts[EXPERTS + 4] = -1;
    EXPECT_TEXT(text, plans()->make(&world.request, &plan, text, sizeof text), SLUICE_INVALID,
                "windows[0]", "layer 1", "expert 4");
    set_up(&world);
    world.map[3][7] = EXPERTS;
    EXPECT_TEXT(text, plans()->make(&world.request, &plan, text, sizeof text), SLUICE_INVALID,
                "layers[3]", "slot 7");
    CHECK(plan == NULL, "a plan came of it");
}

static const struct cf_case CASES[] = {
    {"plan.repair", "a repair moves few experts, and every map on the way is whole", repairs, NULL},
    {"plan.new", "a new map is reached by moves that keep every map on the way whole", from_nothing,
     NULL},
    {"plan.budget", "no plan goes over its budget", budgets, NULL},
    {"plan.gain", "what gains most for a slot comes first", gain_order, NULL},
    {"plan.dead", "dead ranks are left alone, and what they alone held is reported", dead, NULL},
    {"plan.threads", "any number of threads gives the same plan", equal_bits, NULL},
    {"plan.bytes", "a plan comes back from its bytes, a damaged one does not", bytes, NULL},
    {"plan.refused", "a request that is wrong is refused by the name of what is wrong", refused,
     NULL},
};
CF_LIST(cf_plan_cases, CASES);
