#include "ct.h"
#include "ct_json.h"
#include "ct_npy.h"
#include "place_world.h"

#include <string.h>

/* --------------------------------------------------------------- the formula, as it is written */

struct formula {
    int32_t ranks, source;
    bool all;
    int64_t target, load[SL_MAX_RANKS];
    const uint8_t *alive;
};

static void plan_by_hand(struct formula *formula, const int64_t *counts, const int64_t *tokens,
                         int32_t top_k, int32_t shared)
{
    int64_t routed = 0, sum = 0, most = 0, living = 0;
    for (int32_t r = 0; r < formula->ranks; r++) {
        formula->load[r] = counts[r] + (tokens ? tokens[r] * shared : 0);
        routed += counts[r];
        sum += formula->load[r];
        most = formula->load[r] > most ? formula->load[r] : most;
        living += formula->alive[r];
    }
    int64_t all = sum + (tokens ? routed / top_k * shared : routed / top_k);
    formula->target = all / living + (all % living != 0);
    formula->all = !tokens || most <= formula->target;
}

static int64_t weight_by_hand(const struct formula *formula, int32_t r)
{
    int64_t left = formula->target - formula->load[r];
    left = left > 0 ? left : 0;
    return r == formula->source ? left : left * 10 / 11;
}

static int32_t rank_by_hand(const struct formula *formula, const struct sl_shape *shape, int64_t t,
                            int32_t top_k, const int32_t *physical)
{
    bool candidate[SL_MAX_RANKS] = {false}, any = false;
    for (int32_t k = 0; k < top_k; k++)
        if (physical[k] >= 0)
            candidate[physical[k] / shape->slots] = any = true;
    if (!any)
        return -1;
    candidate[formula->source] = true;
    int64_t total = 0;
    for (int32_t r = 0; r < formula->ranks; r++) {
        candidate[r] = (formula->all || candidate[r]) && formula->alive[r];
        total += candidate[r] ? weight_by_hand(formula, r) : 0;
    }
    int32_t best = formula->source;
    if (total == 0) {
        int32_t steps = formula->all ? formula->ranks : top_k;
        for (int32_t i = 0; i < steps; i++) {
            int32_t r = formula->all ? i : physical[i] < 0 ? -1 : physical[i] / shape->slots;
            if (r >= 0 && candidate[r] && formula->load[r] * 11 < formula->load[best] * 10)
                best = r;
        }
        return best;
    }
    uint64_t seed = (uint64_t)t ^ (uint32_t)((uint64_t)formula->source * 0x9E3779B9U);
    seed = (uint32_t)(seed * 1664525U + 1013904223U);
    int64_t pick = (int64_t)(seed % (uint64_t)total);
    for (int32_t r = 0; r < formula->ranks; r++) {
        pick -= candidate[r] ? weight_by_hand(formula, r) : 0;
        if (candidate[r] && pick < 0)
            return r;
    }
    return -2;
}

/* ------------------------------------------------------------------------------- random worlds */

enum { ROWS = 70 };

/* Physical choices of living ranks, skewed, some absent. */
static void draw_choices(const struct world *world, int32_t top_k, int32_t *physical,
                         uint64_t *random)
{
    const struct sl_shape *shape = &world->shape;
    int32_t favourites = 1 + draw_below(random, world->living);
    for (int32_t i = 0; i < ROWS * top_k; i++) {
        int32_t among = draw_below(random, 3) ? favourites : world->living;
        int32_t rank = world->living_ranks[draw_below(random, among)];
        physical[i] = rank * shape->slots + draw_below(random, shape->slots);
        if (draw_below(random, 12) == 0)
            physical[i] = -1;
    }
    for (int32_t k = 0; k < top_k; k++)
        physical[ROWS / 2 * top_k + k] = -1;
}

static struct world *draw_world(uint64_t *random)
{
    int32_t ranks = 1 + draw_below(random, draw_below(random, 3) ? 16 : 1024);
    int32_t slots = 1 + draw_below(random, 8);
    struct world *world =
        world_make(slots, slots, ranks, 1 + draw_below(random, 8), draw_below(random, ranks));
    world_damage(world, random);
    world_build(world, 0, 0);
    return world;
}

/* Gives each rank's rows, with far too many now and then, so that loads pass the target. */
static void draw_tokens(const struct world *world, int64_t *tokens, uint64_t *random)
{
    bool uneven = draw_below(random, 2);
    for (int32_t r = 0; r < world->shape.ranks; r++)
        tokens[r] = !world->alive[r] ? 0 : uneven ? draw_below(random, 900) : ROWS;
}

CT(waterfill, by_hand, "every pick is what the formula says, static and dynamic, dead ranks too")
{
    uint64_t random = 1;
    int both[2] = {0, 0};
    for (int i = 0; i < 400 && !ct_failed(); i++) {
        struct world *world = draw_world(&random);
        int32_t ranks = world->shape.ranks, top_k = 1 + draw_below(&random, i % 5 ? 8 : 64);
        int32_t *physical = ct_alloc((size_t)(ROWS * top_k) * sizeof *physical);
        int64_t *load = ct_alloc((size_t)ranks * sizeof *load), tokens[SL_MAX_RANKS];
        draw_choices(world, top_k, physical, &random);
        draw_tokens(world, tokens, &random);
        sl_waterfill_count(&world->shape, (int64_t)ROWS * top_k, physical, load);
        bool dynamic = i % 2;
        struct formula formula = {
            .ranks = ranks, .source = world->shape.rank, .alive = world->alive};
        plan_by_hand(&formula, load, dynamic ? tokens : NULL, top_k, world->shape.shared);
        struct sl_waterfill plan = {
            .ranks = ranks, .source = world->shape.rank, .alive = world->alive};
        sl_waterfill_plan(&plan, load, dynamic ? tokens : NULL, top_k, world->shape.shared);
        ct_note("world %d: W %d, target %lld, all %d", i, ranks, (long long)plan.target, plan.all);
        ct_eq_i64(plan.target, formula.target);
        ct_eq_i64(plan.all, formula.all);
        both[plan.all != 0]++;
        for (int32_t t = 0; t < ROWS; t++) {
            const int32_t *row = physical + t * top_k;
            int32_t rank = sl_waterfill_rank(&plan, &world->shape, t, top_k, row);
            ct_eq_i64(rank, rank_by_hand(&formula, &world->shape, t, top_k, row));
            ct_true(rank == -1 ? t == ROWS / 2 || row[0] == -1 : world->alive[rank]);
        }
    }
    ct_true(both[0] > 50 && both[1] > 50);
}

/* Loads as given, without a plan. */
static int32_t rank_of(const int64_t *loads, const uint8_t *alive, bool all, int64_t target,
                       int64_t t, const int32_t *physical)
{
    const struct sl_shape shape = {16, 4, 4, 1, 5, 16, 0};
    int64_t load[4];
    memcpy(load, loads, sizeof load);
    struct sl_waterfill plan = {
        .ranks = 4, .source = 0, .all = all, .target = target, .alive = alive};
    sl_waterfill_ready(&plan, load);
    return sl_waterfill_rank(&plan, &shape, t, 2, physical);
}

CT(waterfill, no_valid_choice, "a row without a valid choice has no rank")
{
    const int64_t load[4] = {1, 1, 1, 1};
    const uint8_t alive[4] = {1, 1, 1, 1};
    const int32_t none[2] = {-1, -1};
    for (int64_t target = 0; target < 9; target += 8) {
        ct_eq_i64(rank_of(load, alive, true, target, 3, none), -1);
        ct_eq_i64(rank_of(load, alive, false, target, 3, none), -1);
    }
}

CT(waterfill, walk_may_miss, "without room the walk moves on a tenth less, against the best so far")
{
    const uint8_t alive[4] = {1, 1, 1, 1}, dead[4] = {1, 1, 0, 1};
    const int32_t row[2] = {13, 9}; /* ranks 3, 2 */
    const int64_t close[4] = {1000, 910, 909, 830}, none[4] = {1000, 910, 920, 950};
    ct_eq_i64(rank_of(close, alive, true, 1, 0, row), 2); /* 830 is less, but not of 909 */
    ct_eq_i64(rank_of(close, alive, false, 1, 0, row), 3);
    ct_eq_i64(rank_of(close, dead, true, 1, 0, row), 3);
    ct_eq_i64(rank_of(none, alive, true, 1, 0, row), 0);
    ct_eq_i64(rank_of(none, alive, false, 1, 0, row), 0);
}

CT(waterfill, rows_past_32_bits, "row numbers and loads past 32 bits keep to the formula")
{
    const int64_t load[4] = {0, 1LL << 40, 1LL << 41, 1LL << 40};
    const uint8_t alive[4] = {1, 1, 1, 1};
    const struct sl_shape shape = {16, 4, 4, 1, 5, 16, 0};
    const int32_t row[2] = {13, 9};
    struct formula formula = {.ranks = 4, .all = true, .target = 1LL << 41, .alive = alive};
    memcpy(formula.load, load, sizeof load);
    for (int64_t t = 0; t < 1000; t++)
        ct_eq_i64(rank_of(load, alive, true, formula.target, t, row),
                  rank_by_hand(&formula, &shape, t, 2, row));
}

CT(waterfill, room_is_shared_out, "picks are in proportion to room, other ranks' taken tenth less")
{
    const int64_t load[4] = {890, 780, 1000, 780};
    const uint8_t alive[4] = {1, 1, 1, 1};
    const int32_t row[2] = {0, 0};
    int32_t picked[4] = {0, 0, 0, 0};
    for (int64_t t = 0; t < 5100; t++)
        picked[rank_of(load, alive, true, 1000, t, row)]++;
    /* Room 110, 200, 0, 200 of 510. */
    ct_true(picked[2] == 0);
    ct_true(picked[0] > 900 && picked[0] < 1300);
    ct_true(picked[1] > 1750 && picked[1] < 2250 && picked[3] > 1750 && picked[3] < 2250);
}

/* -------------------------------------------------------------------------------- golden files */

struct golden {
    const char *name;
    const ct_json *params;
    struct ct_npy ids, weights, counts, plan, out, out_weights;
    int32_t ranks, physical, rows, top_k;
};

static bool open_case(struct golden *golden, const ct_json *entry)
{
    golden->name = ct_json_str(ct_json_get(entry, "case"), "");
    golden->params = ct_json_get(entry, "params");
    golden->ranks = (int32_t)ct_json_int(ct_json_get(golden->params, "W"), 0);
    golden->physical = (int32_t)ct_json_int(ct_json_get(golden->params, "P"), 0);
    golden->rows = (int32_t)ct_json_int(ct_json_get(golden->params, "T"), 0);
    golden->top_k = (int32_t)ct_json_int(ct_json_get(golden->params, "K"), 0);
    return ct_expect_true(
        ct_npy_golden(&golden->ids, golden->name, "ids.npy") &&
        ct_npy_golden(&golden->weights, golden->name, "weights.npy") &&
        ct_npy_golden(&golden->out, golden->name, "dispatch_ids.npy") &&
        ct_npy_golden(&golden->out_weights, golden->name, "dispatch_weights.npy"));
}

/* Maps part `part` of the case with shared columns at home, moves them by `plan` (NULL: not), and
 * compares every cell. */
static void compare_rows(const struct golden *golden, int32_t part, int32_t rank,
                         const struct sl_waterfill *plan)
{
    int32_t rows = golden->rows, top_k = golden->top_k, wide = top_k + 1;
    struct world *world =
        world_make(golden->physical, golden->physical / golden->ranks, golden->ranks, 1, rank);
    world_build(world, 0, 0);
    struct sl_remap remap = world_remap(world, top_k);
    remap.shared_constant = (float)ct_json_num(ct_json_get(golden->params, "shared_weight"), 0);
    size_t cells = (size_t)(rows * wide);
    uint8_t *valid = ct_alloc((size_t)rows);
    memset(valid, 1, (size_t)rows);
    const struct sl_mapped out = {ct_alloc(cells * sizeof(int32_t)),
                                  ct_alloc(cells * sizeof(int32_t)),
                                  ct_alloc(cells * sizeof(float))};
    struct sl_remap_tally tally = {0, 0};
    sl_remap_block(&remap, 0, rows, valid, ct_npy_i32(&golden->ids) + part * rows * top_k,
                   ct_npy_f32(&golden->weights) + part * rows * top_k, NULL, &out, &tally);
    const int32_t *want = ct_npy_i32(&golden->out) + part * rows * wide;
    const float *want_weights = ct_npy_f32(&golden->out_weights) + part * rows * wide;
    for (int32_t t = 0; t < rows; t++) {
        const int32_t *row = out.physical + t * top_k;
        bool none = true;
        for (int32_t k = 0; k < top_k; k++)
            none = none && row[k] == -1;
        int32_t to = none ? -1 : rank;
        if (plan)
            to = sl_waterfill_rank(plan, &world->shape, t, top_k, row);
        out.slots[t * wide + top_k] = to < 0 ? -1 : to * world->shape.local + world->shape.slots;
        if (to < 0)
            out.weights[t * wide + top_k] = 0.0F;
        for (int32_t k = 0; k < wide; k++) {
            ct_note("%s, rank %d, row %d, column %d", golden->name, rank, t, k);
            ct_eq_i64(out.slots[t * wide + k], want[t * wide + k]);
            ct_eq_f32bits(out.weights[t * wide + k], want_weights[t * wide + k]);
        }
    }
}

/* The load a rank plans with, from the peer's counts by source and destination. */
static void compare_mode(struct golden *golden, bool dynamic)
{
    const ct_json *listed = ct_json_get(golden->params, "ranks");
    int32_t ranks = golden->ranks;
    ct_true(ct_npy_golden(&golden->counts, golden->name, "counts.npy") &&
            ct_npy_golden(&golden->plan, golden->name, "plan.npy"));
    const int64_t *counts = ct_npy_i64(&golden->counts), *want = ct_npy_i64(&golden->plan);
    const struct sl_shape shape = {.slots = golden->physical / ranks, .ranks = ranks};
    uint8_t *alive = ct_alloc((size_t)ranks);
    memset(alive, 1, (size_t)ranks);
    for (int32_t i = 0; i < (int32_t)ct_json_len(listed) && !ct_failed(); i++) {
        int32_t rank = (int32_t)ct_json_int(ct_json_at(listed, (size_t)i), 0);
        int64_t load[64] = {0}, tokens[64];
        ptrdiff_t cells = (ptrdiff_t)golden->rows * golden->top_k;
        sl_waterfill_count(&shape, cells, ct_npy_i32(&golden->ids) + i * cells, load);
        for (int32_t r = 0; r < ranks; r++) {
            ct_eq_i64(load[r], counts[rank * ranks + r]);
            tokens[r] = golden->rows;
            for (int32_t from = 0; dynamic && from < ranks; from++)
                load[r] += from == rank ? 0 : counts[from * ranks + r];
        }
        struct sl_waterfill plan = {.ranks = ranks, .source = rank, .alive = alive};
        sl_waterfill_plan(&plan, load, dynamic ? tokens : NULL, golden->top_k, 1);
        bool moves = golden->rows >= SL_WATERFILL_LEAST;
        if (dynamic && moves) {
            ct_eq_i64(plan.all, want[i * 2]);
            ct_eq_i64(plan.target, want[i * 2 + 1]);
        }
        compare_rows(golden, i, rank, moves ? &plan : NULL);
    }
}

static void compare_plan(struct golden *golden)
{
    const ct_json *given = ct_json_get(golden->params, "rank_load");
    const uint8_t alive[4] = {1, 1, 1, 1};
    int64_t load[4];
    ct_eq_u64(ct_json_len(given), 4);
    for (size_t r = 0; r < 4; r++)
        load[r] = ct_json_int(ct_json_at(given, r), 0);
    struct sl_waterfill plan = {
        .ranks = 4,
        .source = (int32_t)ct_json_int(ct_json_get(golden->params, "rank"), 0),
        .all = ct_json_bool(ct_json_get(golden->params, "all_ranks"), false),
        .target = ct_json_int(ct_json_get(golden->params, "target"), 0),
        .alive = alive};
    sl_waterfill_ready(&plan, load);
    compare_rows(golden, 0, plan.source, &plan);
}

CT(waterfill, golden, "every cell is SGLang's, in every case of the family")
{
    const ct_json *cases = ct_golden_cases();
    if (!cases)
        ct_skip("no golden files");
    int seen = 0;
    for (size_t i = 0; i < ct_json_len(cases) && !ct_failed(); i++) {
        struct golden golden;
        const ct_json *entry = ct_json_at(cases, i);
        const char *mode = ct_json_str(ct_json_get(ct_json_get(entry, "params"), "mode"), NULL);
        if (strncmp(ct_json_str(ct_json_get(entry, "case"), ""), "waterfill/", 10) != 0)
            continue;
        ct_note("%s", ct_json_str(ct_json_get(entry, "case"), ""));
        ct_true(open_case(&golden, entry));
        ct_eq_i64(peer_differs(golden.name), 0);
        if (mode)
            compare_mode(&golden, strcmp(mode, "dynamic") == 0);
        else
            compare_plan(&golden);
        seen++;
    }
    ct_eq_i64(seen, ct_golden_count(25, 4));
}
