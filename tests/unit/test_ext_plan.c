/* sluice.plan/1: what it refuses, and what its plans hold to. */
#include <stdlib.h>
#include <string.h>

#include "ct.h"
#include "ct_sluice.h"
#include "level_world.h"
#include "place_world.h"
#include "plan_world.h"

/* ------------------------------------------------------------------------------ random worlds */

/* Loads of all windows and layers; some layers see nothing. */
static int64_t *draw_counts(int32_t layers, int32_t experts, uint64_t *random)
{
    int64_t *counts = ct_alloc((size_t)layers * (size_t)experts * sizeof *counts);
    for (int32_t l = 0; l < layers; l++) {
        int32_t shape = draw_below(random, 6);
        for (int32_t e = 0; e < experts; e++) {
            int64_t some = draw_below(random, 1000);
            counts[l * experts + e] = shape == 0   ? 0
                                      : shape == 1 ? 100
                                      : shape == 2 ? (e == 0) * (int64_t)1e15
                                                   : some * some * draw_below(random, 50);
        }
    }
    return counts;
}

/* A map that holds every expert, dead ranks' slots too, with a few empty; or, with `lose`, that
 * holds some on dead ranks alone. */
static int32_t *draw_map(const struct plan_world *world, int32_t layer, bool lose, uint64_t *random)
{
    const sluice_plan_layer *given = world->layers + layer;
    int32_t slots = given->slots_per_rank, physical = slots * world->request.ranks, next = 0;
    int32_t *map = ct_alloc((size_t)physical * sizeof *map);
    for (int32_t p = 0; p < physical; p++) {
        bool first = next < given->experts && (lose || world->alive[p / slots]);
        map[p] = first ? next++ : draw_below(random, given->experts + 1) - 1;
    }
    for (int32_t p = 0; p < physical; p++) {
        int32_t q = draw_below(random, physical);
        if (lose || world->alive[p / slots] == world->alive[q / slots]) {
            int32_t held = map[p];
            map[p] = map[q];
            map[q] = held;
        }
    }
    return map;
}

/* Ranks die and sit on nodes; layers have maps or not; several windows; sometimes a budget. */
static struct plan_world *draw_world(uint64_t *random, bool lose)
{
    int32_t layers = 1 + draw_below(random, 4), ranks = 1 + draw_below(random, 10);
    int32_t experts = 1 + draw_below(random, 30);
    struct plan_world *world =
        plan_world_make(layers, experts, 1, ranks, draw_counts(layers, experts, random));
    int32_t living = 0;
    for (int32_t r = 0; r < ranks; r++) {
        world->alive[r] = draw_below(random, 5) > 0 || (r == ranks - 1 && living == 0);
        world->node[r] = r / 3;
        living += world->alive[r];
    }
    for (int32_t l = 0; l < layers; l++) {
        world->layers[l].slots_per_rank = (experts - 1) / living + 1 + draw_below(random, 3);
        world->layers[l].shared = draw_below(random, 3);
        if (draw_below(random, 6))
            world->layers[l].map = draw_map(world, l, lose, random);
    }
    world->request.window_count = 1 + draw_below(random, 2) * draw_below(random, PLAN_WINDOWS);
    for (int32_t w = 1; w < world->request.window_count; w++)
        world->windows[w].counts = draw_counts(layers, experts, random);
    world->request.judge = draw_below(random, 2);
    world->request.target = (double[]){0, 1.01, 1.1}[draw_below(random, 3)];
    return world;
}

CT(plan, repairs, "a repair is a list of moves that leaves a whole map and is never worse")
{
    uint64_t random = 1;
    int lost = 0;
    for (int i = 0; i < 300 && !ct_failed(); i++) {
        struct plan_world *world = draw_world(&random, i % 2);
        ct_note("world %d", i);
        sluice_plan *plan = plan_make(world);
        ct_true(plan != NULL);
        plan_check(plan, world);
        sluice_plan_summary summary = plan_summary(plan);
        lost += summary.lost > 0;
        for (int32_t l = 0; l < world->request.layer_count; l++) {
            double before, after;
            ct_eq_i64(plan_api()->layer(plan, l, NULL, 0, &before, &after), SLUICE_OK);
            ct_true(world->layers[l].map ? before >= 1 - 1e-9 || summary.lost : before <= 0);
            ct_true(after >= 1 - 1e-9);
            ct_true(after <= before || !world->layers[l].map || summary.lost);
        }
        plan_api()->release(plan);
    }
    ct_true(lost > 30);
}

CT(plan, new_maps, "a new map, LEVEL's or EPLB's, is reached by such a list too")
{
    uint64_t random = 2;
    int extra = 0;
    for (int i = 0; i < 300 && !ct_failed(); i++) {
        struct plan_world *world = draw_world(&random, i % 2);
        world->request.start = SLUICE_PLAN_FROM_NOTHING;
        world->request.policy = i / 2 % 2;
        ct_note("world %d", i);
        sluice_plan *plan = plan_make(world);
        ct_true(plan != NULL);
        plan_check(plan, world);
        extra += plan_summary(plan).bytes_extra > 0;
        plan_api()->release(plan);
    }
    ct_true(extra > 5);
}

CT(plan, cycles, "without redundancy a new map is reached by swaps")
{
    static const int64_t counts[6] = {60, 50, 40, 30, 20, 10};
    static const int32_t map[6] = {1, 2, 3, 4, 5, 0};
    struct plan_world *world = plan_world_make(1, 6, 2, 3, counts);
    world->layers[0].map = map;
    world->request.policy = SLUICE_PLAN_EPLB;
    sluice_plan *plan = plan_make(world);
    ct_true(plan != NULL);
    plan_check(plan, world);
    ct_true(plan_summary(plan).slots > 0 && plan_summary(plan).slots % 2 == 0);
    plan_api()->release(plan);
}

/* ------------------------------------------------------------------------------------ budgets */

CT(plan, budget, "no sum, layer or rank goes over its budget; what fits is what gains most")
{
    uint64_t random = 3;
    int cut = 0;
    for (int i = 0; i < 300 && !ct_failed(); i++) {
        struct plan_world *world = draw_world(&random, false);
        sluice_plan_budget budget = {.struct_size = sizeof budget};
        int64_t *limits[] = {&budget.slots, &budget.layer_slots, &budget.rank_slots,
                             &budget.bytes, &budget.layer_bytes, &budget.rank_bytes};
        int32_t which = draw_below(&random, 6);
        *limits[which] = (1 + draw_below(&random, 4)) * (which < 3 ? 1 : 1000);
        for (int32_t l = 0; l < world->request.layer_count; l++)
            if (!world->layers[l].map)
                world->layers[l].map = draw_map(world, l, false, &random);
        sluice_plan *free_plan = plan_make(world);
        world->request.budget = &budget;
        sluice_plan *plan = plan_make(world);
        ct_true(plan != NULL && free_plan != NULL);
        ct_note("world %d, limit %d of %lld", i, which, (long long)*limits[which]);
        plan_check(plan, world);
        int64_t count, layer_slots[4] = {0}, rank_slots[10] = {0}, layer_bytes[4] = {0};
        int64_t sent[10] = {0}, received[10] = {0};
        const sluice_move *moves = plan_moves(plan, &count);
        for (int64_t m = 0; m < count; m++) {
            int32_t slots = world->layers[moves[m].layer].slots_per_rank;
            bool wire = moves[m].from / slots != moves[m].to / slots;
            layer_slots[moves[m].layer]++;
            rank_slots[moves[m].to / slots]++;
            layer_bytes[moves[m].layer] += wire ? 1000 : 0;
            sent[moves[m].from / slots] += wire ? 1000 : 0;
            received[moves[m].to / slots] += wire ? 1000 : 0;
        }
        ct_true(!budget.slots || count <= budget.slots);
        ct_true(!budget.bytes || plan_summary(plan).bytes <= budget.bytes);
        for (int32_t l = 0; l < 4; l++) {
            ct_true(!budget.layer_slots || layer_slots[l] <= budget.layer_slots);
            ct_true(!budget.layer_bytes || layer_bytes[l] <= budget.layer_bytes);
        }
        for (int32_t r = 0; r < 10; r++) {
            ct_true(!budget.rank_slots || rank_slots[r] <= budget.rank_slots);
            ct_true(!budget.rank_bytes ||
                    (sent[r] <= budget.rank_bytes && received[r] <= budget.rank_bytes));
        }
        cut += count < plan_summary(free_plan).slots;
        plan_api()->release(plan);
        plan_api()->release(free_plan);
    }
    ct_true(cut > 60);
}

/* ---------------------------------------------------------------------- the same on every rank */

CT(plan, threads, "any number of threads gives the same bits, and so does asking again")
{
    uint64_t random = 4;
    for (int i = 0; i < 60 && !ct_failed(); i++) {
        struct plan_world *world = draw_world(&random, i % 2);
        sluice_host host = {.struct_size = sizeof host};
        world->request.start = i / 2 % 2;
        world->request.policy = i / 4 % 2;
        world->request.work = i % 3 ? 0 : 2000;
        sluice_plan *plan = plan_make(world);
        sluice_plan_summary want = plan_summary(plan);
        world->request.host = &host;
        for (host.threads = 1; host.threads <= 4 && !ct_failed(); host.threads++) {
            sluice_plan *other = plan_make(world);
            sluice_plan_summary got = plan_summary(other);
            ct_eq_mem(&got, &want, sizeof got);
            plan_api()->release(other);
        }
        plan_api()->release(plan);
    }
}

static int32_t stop_after(void *user)
{
    return --*(int64_t *)user < 0;
}

CT(plan, ends, "`stop` truncates a plan, work does not; both leave what was found so far")
{
    uint64_t random = 5;
    int truncated = 0;
    for (int i = 0; i < 100 && !ct_failed(); i++) {
        struct plan_world *world = draw_world(&random, false);
        int64_t asked = draw_below(&random, 200);
        world->request.stop = i % 2 ? stop_after : NULL;
        world->request.user = &asked;
        world->request.work = i % 2 ? 0 : 1 + draw_below(&random, 3000);
        sluice_plan *plan = plan_make(world);
        ct_true(plan != NULL);
        plan_check(plan, world);
        ct_eq_i64(plan_summary(plan).truncated, asked < 0);
        truncated += asked < 0;
        plan_api()->release(plan);
    }
    ct_true(truncated > 10);
}

/* ------------------------------------------------------------------------------ save and load */

static unsigned char *saved(const sluice_plan *plan, size_t *size)
{
    ct_expect_eq_i64(plan_api()->save(plan, NULL, 0, size), SLUICE_OVERFLOW);
    unsigned char *bytes = ct_alloc(*size);
    ct_expect_eq_i64(plan_api()->save(plan, bytes, *size - 1, size), SLUICE_OVERFLOW);
    ct_expect_eq_i64(plan_api()->save(plan, bytes, *size, size), SLUICE_OK);
    return bytes;
}

CT(plan, bytes, "a plan comes back from its bytes, and no damaged byte passes")
{
    uint64_t random = 6;
    for (int i = 0; i < 12 && !ct_failed(); i++) {
        struct plan_world *world = draw_world(&random, false);
        int64_t never = i % 2 ? 0 : INT64_MAX;
        world->request.stop = stop_after;
        world->request.user = &never;
        sluice_plan *plan = plan_make(world), *again = NULL;
        size_t size;
        char text[256];
        unsigned char *bytes = saved(plan, &size);
        ct_eq_i64(plan_api()->load(bytes, size, NULL, &again, text, sizeof text), SLUICE_OK);
        plan_check(again, world);
        sluice_plan_summary want = plan_summary(plan), got = plan_summary(again);
        ct_eq_i64(got.truncated, 0);
        want.truncated = 0;
        ct_eq_mem(&got, &want, sizeof got);
        plan_api()->release(again);
        for (size_t at = 0; at < size && !ct_failed(); at++) {
            bytes[at] ^= (unsigned char)(1 + draw_below(&random, 255));
            again = plan;
            sluice_status status = plan_api()->load(bytes, size, NULL, &again, text, sizeof text);
            ct_note("byte %d of %d: %s", (int)at, (int)size, text);
            ct_true(status == SLUICE_INVALID || status == SLUICE_UNSUPPORTED);
            ct_true(again == NULL && text[0] != 0);
            memcpy(bytes, saved(plan, &size), size);
        }
        for (size_t part = 0; part < size; part += 1 + size / 50)
            ct_eq_i64(plan_api()->load(bytes, part, NULL, &again, text, sizeof text),
                      SLUICE_INVALID);
        plan_api()->release(plan);
    }
}

/* ----------------------------------------------------------------------------------- memory */

struct account {
    int64_t fail_at, made, bytes;
};

static void *take(void *user, size_t bytes, size_t align, int32_t kind, sluice_device device)
{
    (void)kind, (void)device;
    struct account *account = user;
    if (++account->made == account->fail_at)
        return NULL;
    account->bytes += (int64_t)bytes;
    return aligned_alloc(align, bytes);
}

static void give(void *user, void *data, size_t bytes, int32_t kind, sluice_device device)
{
    (void)kind, (void)device;
    ((struct account *)user)->bytes -= (int64_t)bytes;
    free(data);
}

CT(plan, allocations, "every allocation may fail: NO_MEMORY, and all that was taken comes back")
{
    uint64_t random = 7;
    struct plan_world *world = draw_world(&random, false);
    struct account account = {0};
    const sluice_host host = {
        .struct_size = sizeof host, .user = &account, .alloc = take, .free = give, .threads = 2};
    world->request.host = &host;
    sluice_plan *plan = NULL;
    char text[256];
    int failures = 0;
    for (account.fail_at = 1; !plan; account.fail_at++) {
        account.made = 0;
        sluice_status status = plan_api()->make(&world->request, &plan, text, sizeof text);
        if (status == SLUICE_OK)
            break;
        failures++;
        ct_eq_i64(status, SLUICE_NO_MEMORY);
        ct_true(plan == NULL && text[0] != 0);
        ct_eq_i64(account.bytes, 0);
    }
    ct_true(failures >= 2);
    size_t size;
    const unsigned char *bytes = saved(plan, &size);
    sluice_plan *again = NULL;
    account.made = 0;
    account.fail_at = 1;
    ct_eq_i64(plan_api()->load(bytes, size, &host, &again, text, sizeof text), SLUICE_NO_MEMORY);
    ct_true(again == NULL && text[0] != 0);
    int32_t slots[4];
    account.made = 0;
    ct_eq_i64(
        plan_api()->copies(&world->request, slots, world->request.layer_count, text, sizeof text),
        SLUICE_NO_MEMORY);
    plan_api()->release(plan);
    ct_eq_i64(account.bytes, 0);
}

/* ---------------------------------------------------------------------------------- policies */

CT(plan, eplb, "EPLB's map is the reference's; hierarchical where nodes and groups allow")
{
    uint64_t random = 8;
    for (int i = 0; i < 60 && !ct_failed(); i++) {
        struct plan_world *world = plan_world_make(1, 48, 7, 8, draw_counts(1, 48, &random));
        int32_t nodes = 1 << draw_below(&random, 3);
        for (int32_t r = 0; r < 8; r++)
            world->node[r] = r * nodes / 8;
        world->layers[0].groups = (int32_t[]){0, 3, 4, 8}[draw_below(&random, 4)];
        world->request.policy = SLUICE_PLAN_EPLB;
        world->request.eplb = draw_below(&random, 2);
        world->request.arithmetic = draw_below(&random, 3);
        if (i % 4 == 0)
            world->alive[draw_below(&random, 8)] = 0;
        int32_t groups = world->layers[0].groups ? world->layers[0].groups : 1;
        bool whole = i % 4 != 0 || nodes == 1;
        bool global = world->request.eplb == SLUICE_PLAN_GLOBAL || groups % nodes || !whole;
        struct sl_eplb problem = {48,
                                  i % 4 ? 8 : 7,
                                  7,
                                  global ? 1 : groups,
                                  global ? 1 : nodes,
                                  world->request.arithmetic};
        int32_t want[56];
        sl_eplb_solve(&problem, world->windows[0].counts, want, ct_alloc(sl_eplb_bytes(&problem)));
        sluice_plan *plan = plan_make(world);
        ct_true(plan != NULL);
        const int32_t *got = plan_map(plan, world, 0);
        for (int32_t r = 0, living = 0; r < 8; r++)
            if (world->alive[r])
                ct_eq_mem(got + r * 7, want + 7 * living++, 7 * sizeof *got);
        plan_check(plan, world);
        plan_api()->release(plan);
    }
}

CT(plan, windows, "of several windows the worst counts, or their sum")
{
    /* Either window alone is level with experts 0 and 1 apart; both together need more. */
    static const int64_t day[4] = {90, 30, 20, 40}, night[4] = {20, 90, 50, 20};
    static const int32_t map[6] = {0, 2, 1, 3, -1, -1};
    struct plan_world *world = plan_world_make(1, 4, 2, 3, day);
    double worst[2];
    world->layers[0].map = map;
    world->windows[1].counts = night;
    world->request.window_count = 2;
    world->request.target = 1;
    for (int32_t judge = 0; judge < 2; judge++) {
        world->request.judge = judge;
        sluice_plan *plan = plan_make(world);
        ct_true(plan != NULL);
        plan_check(plan, world);
        worst[judge] = plan_summary(plan).after_worst;
        plan_api()->release(plan);
    }
    ct_near(worst[SLUICE_PLAN_SUM], 1, 1e-9);
    ct_near(worst[SLUICE_PLAN_WORST], 1, 0.02);
}

CT(plan, copies, "copies says how many slots a rank reach the target, and fewer do not")
{
    uint64_t random = 9;
    for (int i = 0; i < 40 && !ct_failed(); i++) {
        struct plan_world *world = draw_world(&random, false);
        int32_t slots[4], layers = world->request.layer_count;
        char text[256];
        world->request.judge = SLUICE_PLAN_SUM;
        ct_note("world %d", i);
        ct_eq_i64(plan_api()->copies(&world->request, slots, layers, text, sizeof text), SLUICE_OK);
        world->request.start = SLUICE_PLAN_FROM_NOTHING;
        for (int32_t l = 0; l < layers; l++) {
            world->layers[l].map = NULL;
            ct_true(slots[l] > 0);
            world->layers[l].slots_per_rank = slots[l];
        }
        sluice_plan *plan = plan_make(world);
        ct_true(plan != NULL);
        for (int32_t l = 0; l < layers; l++) {
            double after;
            ct_eq_i64(plan_api()->layer(plan, l, NULL, 0, NULL, &after), SLUICE_OK);
            /* Loads are whole: the mean rounded up is as level as it gets. */
            int64_t least = 1;
            for (int32_t e = 0; e < world->layers[l].experts; e++)
                for (int32_t w = 0; w < world->request.window_count; w++)
                    least += world->windows[w].counts[l * world->layers[l].experts + e];
            ct_true(after <= (world->request.target > 1 ? world->request.target : 1) +
                                 1.0 * world->request.ranks / (double)least);
        }
        plan_api()->release(plan);
    }
}

CT(plan, pays, "a plan pays where the steps to come save more than moving takes")
{
    static const int64_t counts[4] = {400, 100, 100, 200};
    static const int32_t map[6] = {0, 1, 2, 3, -1, -1};
    static const sluice_costs costs = {.struct_size = sizeof costs, .row_ps = 1000000};
    static const sluice_balance_config balance = {
        .struct_size = sizeof balance, .objective = SLUICE_BALANCE_COST, .costs = &costs};
    struct plan_world *world = plan_world_make(1, 4, 2, 3, counts);
    world->layers[0].map = map;
    world->request.balance = &balance;
    world->request.wire_bytes = 1000000;
    world->windows[0].steps = 2;
    int32_t pays[2];
    /* From 500 to 267 or 400 rows in two steps: some 100 us saved a step; 1 ms a move. */
    for (int32_t i = 0; i < 2; i++) {
        world->request.pay_steps = i ? 100 : 5;
        sluice_plan *plan = plan_make(world);
        ct_true(plan != NULL);
        sluice_plan_summary summary = plan_summary(plan);
        ct_true(summary.slots > 0 && summary.seconds >= 0.001);
        pays[i] = summary.pays;
        plan_api()->release(plan);
    }
    ct_eq_i64(pays[0], 0);
    ct_eq_i64(pays[1], 1);
}

/* ------------------------------------------------------------------------------- membership */

CT(plan, comes_back, "a rank dies and comes back: its experts are lost once, then it is used again")
{
    uint64_t random = 11;
    for (int i = 0; i < 40 && !ct_failed(); i++) {
        struct plan_world *world = plan_world_make(2, 24, 5, 8, draw_counts(2, 24, &random));
        int32_t dead = draw_below(&random, 8);
        world->request.policy = SLUICE_PLAN_EPLB;
        sluice_plan *plan = plan_make(world);
        ct_true(plan != NULL);
        for (int32_t l = 0; l < 2; l++)
            world->layers[l].map = plan_map(plan, world, l);
        plan_api()->release(plan);
        world->request.policy = SLUICE_PLAN_LEVEL;
        world->alive[dead] = 0;
        plan = plan_make(world);
        ct_true(plan != NULL);
        plan_check(plan, world);
        int64_t count, none = 0;
        const sluice_move *moves = plan_moves(plan, &count);
        for (int64_t m = 0; m < count; m++)
            none += moves[m].from < 0;
        ct_eq_i64(none, plan_summary(plan).lost);
        for (int32_t l = 0; l < 2; l++)
            world->layers[l].map = plan_map(plan, world, l);
        plan_api()->release(plan);
        world->alive[dead] = 1;
        plan = plan_make(world);
        ct_true(plan != NULL);
        plan_check(plan, world);
        sluice_plan_summary back = plan_summary(plan);
        ct_eq_i64(back.lost, 0);
        ct_true(back.after_worst <= back.before_worst);
        plan_api()->release(plan);
    }
}

/* ------------------------------------------------------------------------------- real loads */

CT(plan, whole_model, "DeepSeek-R1 after a shift: few slots, and half of them gain most of it")
{
    const int64_t *first = r1_counts(R1_DECODE_2000), *then = r1_counts(R1_DECODE_500);
    if (!first || !then)
        ct_skip("DeepSeek-R1's expert counts are not here");
    struct plan_world *world = plan_world_make(R1_LAYERS, R1_EXPERTS, 9, 32, first);
    world->request.policy = SLUICE_PLAN_EPLB;
    for (int32_t l = 0; l < R1_LAYERS; l++)
        world->layers[l].shared = 1;
    sluice_plan *plan = plan_make(world);
    ct_true(plan != NULL);
    for (int32_t l = 0; l < R1_LAYERS; l++)
        world->layers[l].map = plan_map(plan, world, l);
    plan_api()->release(plan);
    world->request.policy = SLUICE_PLAN_LEVEL;
    world->windows[0].counts = then;
    plan = plan_make(world);
    plan_check(plan, world);
    sluice_plan_summary whole = plan_summary(plan);
    plan_api()->release(plan);
    ct_near(whole.before_mean, 1.0559, 0.00006);
    ct_near(whole.before_worst, 1.4320, 0.00006);
    ct_true(whole.after_mean <= 1.001 && whole.after_worst <= 1.01);
    ct_true((double)whole.slots / R1_LAYERS <= 0.95);
    /* The same on every machine; a unit takes some 3 ns. */
    ct_true(whole.work < 5000000);
    sluice_plan_budget budget = {.struct_size = sizeof budget, .slots = whole.slots / 2};
    world->request.budget = &budget;
    plan = plan_make(world);
    plan_check(plan, world);
    sluice_plan_summary half = plan_summary(plan);
    plan_api()->release(plan);
    ct_note("whole %lld slots %.4f, half %lld slots %.4f / %.4f", (long long)whole.slots,
            whole.after_mean, (long long)half.slots, half.after_mean, half.after_worst);
    ct_true(half.slots <= budget.slots);
    ct_true(half.before_mean - half.after_mean > 0.75 * (whole.before_mean - whole.after_mean));
}
