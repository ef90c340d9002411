#include "ct.h"
#include "ct_json.h"
#include "ct_npy.h"
#include "place_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The sizes that random tests draw from. */
static struct world *draw_world(uint64_t *random)
{
    int32_t ranks = 1 + draw_below(random, draw_below(random, 4) ? 12 : 70);
    int32_t slots = 1 + draw_below(random, 12), physical = slots * ranks;
    int32_t experts = 1 + draw_below(random, draw_below(random, 2) ? physical : (physical + 3) / 4);
    struct world *world =
        world_make(experts, slots, ranks, draw_below(random, 9), draw_below(random, ranks));
    world_shuffle(world, random);
    world_damage(world, random);
    return world;
}

static bool expect_copies(const struct world *world, const int32_t *start, const int32_t *copies,
                          bool living_only)
{
    int32_t at = 0;
    for (int32_t e = 0; e < world->shape.experts; e++) {
        if (!ct_expect_eq_i64(start[e], at))
            return false;
        for (int32_t p = 0; p < world->shape.physical; p++)
            if (world->map[p] == e && (!living_only || world->alive[p / world->shape.slots]))
                if (!ct_expect_eq_i64(copies[at++], p))
                    return false;
    }
    return ct_expect_eq_i64(start[world->shape.experts], at);
}

CT(place, lists_copies, "every expert's copies are listed ascending, the living ones apart")
{
    uint64_t random = 1;
    for (int i = 0; i < 200; i++) {
        ct_note("world %d", i);
        struct world *world = draw_world(&random);
        world_build(world, 7, 0);
        const struct sl_place *place = &world->place;
        ct_eq_mem(place->map, world->map, (size_t)world->shape.physical * sizeof *world->map);
        ct_true(expect_copies(world, place->copy_start, place->copies, false));
        ct_true(expect_copies(world, place->alive_start, place->alive_copies, true));
    }
}

CT(place, trivial, "the trivial placement puts expert p mod E into slot p")
{
    struct world *world = world_make(3, 4, 2, 1, 0);
    const int32_t want[8] = {0, 1, 2, 0, 1, 2, 0, 1};
    ct_eq_mem(world->map, want, sizeof want);
}

CT(place, builds_at_the_limits, "the greatest placement is built inside the bytes it asked for")
{
    struct world *world = world_make(4096, 8, 1024, 8, 1023);
    for (int32_t r = 0; r < 1024; r++)
        world->node[r] = -r;
    world_build(world, UINT64_MAX, INT32_MAX);
    for (int32_t e = 0; e < 4096; e++) {
        int32_t chosen = world->place.chosen[e];
        ct_true(chosen >= 0 && chosen < 8192 && world->map[chosen] == e);
        ct_eq_i64(world->place.chosen_slot[e], chosen / 8 * 16 + chosen % 8);
    }
    world = world_make(1, 8192, 1, 0, 0);
    world_build(world, 0, 0);
    ct_eq_i64(world->place.alive_start[1], 8192);
    world = world_make(1, 1, 1, 8, 0);
    world_build(world, 0, 0);
    ct_eq_i64(world->place.chosen_slot[0], 0);
}

CT(place, builds_from_its_own_map, "a placement can be built again from its own map")
{
    uint64_t random = 2;
    for (int i = 0; i < 50; i++) {
        struct world *world = draw_world(&random);
        world_build(world, 3, 1);
        size_t bytes = (size_t)world->shape.experts * sizeof(int32_t);
        int32_t *chosen = ct_alloc(bytes);
        memcpy(chosen, world->place.chosen, bytes);
        sl_place_build(&world->place, &world->shape, world->place.map, world->alive, world->node, 3,
                       1);
        ct_eq_mem(world->place.chosen, chosen, bytes);
    }
}

/* ------------------------------------------------------------------------------ the check */

static bool refuses(int32_t experts, int32_t ranks, const int32_t *map, int64_t count,
                    const char *text)
{
    uint8_t seen[8];
    char got[160] = "";
    sluice_status status = sl_place_check(3, experts, ranks, map, count, seen, got, sizeof got);
    return ct_expect_eq_i64(status, SLUICE_INVALID) && ct_expect_str_eq(got, text);
}

CT(place, check_takes_a_placement, "a map with every expert passes, empty slots or not")
{
    uint8_t seen[3];
    const int32_t map[6] = {2, -1, 0, 1, 1, -1};
    ct_eq_i64(sl_place_check(0, 3, 2, map, 6, seen, NULL, 0), SLUICE_OK);
    ct_eq_i64(sl_place_check(0, 3, 1, map, 5, seen, NULL, 0), SLUICE_OK);
}

CT(place, check_names_what_is_wrong, "a map that is none is refused, and the text says why")
{
    const int32_t high[4] = {0, 1, 3, 2}, low[4] = {0, -2, 1, 2}, missing[4] = {0, 0, 2, 2};
    refuses(3, 2, high, 4, "layer 3: slot 2 holds expert 3: must be 0 to 2, or -1 for empty");
    refuses(3, 2, low, 4, "layer 3: slot 1 holds expert -2: must be 0 to 2, or -1 for empty");
    refuses(3, 2, missing, 4, "layer 3: expert 1 is in no slot");
    refuses(3, 3, high, 4, "layer 3: the map has 4 slots: must be a multiple of 3 ranks");
    refuses(5, 2, high, 4, "layer 3: the map has 4 slots: must be 5 (its experts) to 8192");
    refuses(3, 1, high, 8193, "layer 3: the map has 8193 slots: must be 3 (its experts) to 8192");
    refuses(3, 1, high, -1, "layer 3: the map has -1 slots: must be 3 (its experts) to 8192");
    refuses(0, 1, high, 4, "layer 3: experts is 0: must be 1 to 4096");
    refuses(4097, 1, high, 8192, "layer 3: experts is 4097: must be 1 to 4096");
    refuses(3, 0, high, 4, "layer 3: ranks is 0: must be 1 to 1024");
    refuses(3, 1025, high, 4, "layer 3: ranks is 1025: must be 1 to 1024");
    refuses(3, 2, NULL, 4, "layer 3: the map is missing");
}

/* ---------------------------------------------------------------------- the static choice */

/* What the rule says, by search: the slot, -1 for no copy, or -2 where copies are shared out. */
static int32_t rule_of(const struct world *world, int32_t expert, int32_t rank)
{
    int32_t own = -1, near = -1, near_count = 0, count = 0;
    for (int32_t p = world->shape.physical - 1; p >= 0; p--) {
        int32_t holder = p / world->shape.slots;
        if (world->map[p] != expert || !world->alive[holder])
            continue;
        count++;
        if (holder == rank)
            own = p;
        if (world->node[holder] == world->node[rank]) {
            near = p;
            near_count++;
        }
    }
    if (own >= 0 || count == 0)
        return own;
    return near_count > 0 && near_count < count ? near : -2;
}

CT(place, static_choice_lives,
   "the static choice is a living copy, and -1 only where there is none")
{
    uint64_t random = 3;
    for (int i = 0; i < 300; i++) {
        ct_note("world %d", i);
        struct world *world = draw_world(&random);
        world_build(world, (uint64_t)i, i % 5);
        for (int32_t e = 0; e < world->shape.experts; e++) {
            int32_t chosen = world->place.chosen[e];
            if (chosen < 0) {
                ct_eq_i64(rule_of(world, e, world->shape.rank), -1);
                ct_eq_i64(world->place.chosen_slot[e], -1);
                continue;
            }
            ct_eq_i64(world->map[chosen], e);
            ct_true(world->alive[chosen / world->shape.slots]);
            ct_eq_i64(world->place.chosen_slot[e], sl_slot_of(&world->shape, chosen));
        }
    }
}

CT(place, static_choice_is_near, "own rank's lowest slot comes first, then this node's lowest")
{
    uint64_t random = 4;
    for (int i = 0; i < 300; i++) {
        ct_note("world %d", i);
        struct world *world = draw_world(&random);
        world_build(world, 11, 0);
        for (int32_t e = 0; e < world->shape.experts; e++) {
            int32_t want = rule_of(world, e, world->shape.rank);
            if (want != -2)
                ct_eq_i64(world->place.chosen[e], want);
        }
    }
}

/* uses[p] = how many living ranks took physical p, where the copies of its expert are shared out;
 * needing[e] = how many ranks share. Each rank builds its own tables. */
static void take_turns(struct world *world, uint64_t seed, int32_t *uses, int32_t *needing)
{
    for (int32_t r = 0; r < world->shape.ranks; r++) {
        if (!world->alive[r])
            continue;
        world->shape.rank = r;
        world_build(world, seed, 2);
        for (int32_t e = 0; e < world->shape.experts; e++)
            if (rule_of(world, e, r) == -2) {
                uses[world->place.chosen[e]]++;
                needing[e]++;
            }
    }
}

CT(place, static_choice_is_fair, "ranks that need a remote copy use every copy q or q+1 times")
{
    uint64_t random = 5;
    int64_t shared = 0;
    for (int i = 0; i < 120; i++) {
        ct_note("world %d", i);
        struct world *world = draw_world(&random);
        int32_t *uses = ct_alloc((size_t)world->shape.physical * sizeof *uses);
        int32_t *needing = ct_alloc((size_t)world->shape.experts * sizeof *needing);
        take_turns(world, (uint64_t)i, uses, needing);
        for (int32_t e = 0; e < world->shape.experts; e++) {
            int32_t start = world->place.alive_start[e];
            int32_t count = world->place.alive_start[e + 1] - start;
            for (int32_t c = 0; c < count; c++) {
                int32_t used = uses[world->place.alive_copies[start + c]];
                ct_true(used == needing[e] / count || used == (needing[e] + count - 1) / count);
            }
            shared += count > 1 ? needing[e] : 0;
        }
    }
    ct_true(shared > 10000);
}

CT(place, dead_rank_has_choices, "a rank that is not alive yet chooses living copies too")
{
    uint64_t random = 6;
    for (int i = 0; i < 100; i++) {
        struct world *world = draw_world(&random);
        world->alive[world->shape.rank] = 0;
        world_build(world, 1, 0);
        for (int32_t e = 0; e < world->shape.experts; e++) {
            int32_t chosen = world->place.chosen[e];
            bool none = world->place.alive_start[e] == world->place.alive_start[e + 1];
            ct_true(none ? chosen == -1 : world->map[chosen] == e);
        }
    }
}

CT(place, node_numbers_are_names, "which numbers name the nodes does not matter")
{
    uint64_t random = 7;
    for (int i = 0; i < 50; i++) {
        struct world *world = draw_world(&random);
        world_build(world, 9, 0);
        size_t bytes = (size_t)world->shape.experts * sizeof(int32_t);
        int32_t *chosen = ct_alloc(bytes);
        memcpy(chosen, world->place.chosen, bytes);
        for (int32_t r = 0; r < world->shape.ranks; r++)
            world->node[r] = INT32_MAX - world->node[r] * 1000;
        world_build(world, 9, 0);
        ct_eq_mem(world->place.chosen, chosen, bytes);
    }
}

/* 1024 experts, four times each, on ranks 0 ... 3; the rest of the ranks hold nothing. */
static const int32_t *draw_turns(int32_t ranks, int32_t rank, uint64_t seed, int32_t bank)
{
    struct world *world = world_make(1024, 1024, ranks, 0, rank);
    for (int32_t p = 4096; p < world->shape.physical; p++)
        world->map[p] = -1;
    world_build(world, seed, bank);
    return world->place.chosen;
}

static int32_t agreeing(const int32_t *a, const int32_t *b)
{
    int32_t same = 0;
    for (int e = 0; e < 1024; e++)
        same += a[e] == b[e];
    return same;
}

CT(place, sharing_is_random, "every copy is as likely, for every rank, seed and bank anew")
{
    const int32_t *base = draw_turns(20, 8, 1, 0);
    for (int32_t copy = 0; copy < 4; copy++) {
        int32_t taken = 0;
        for (int e = 0; e < 1024; e++)
            taken += base[e] / 1024 == copy;
        ct_true(taken > 256 - 84 && taken < 256 + 84); /* standard deviation 14 */
    }
    ct_eq_i64(agreeing(base, draw_turns(20, 8, 1, 0)), 1024);
    int32_t seed = agreeing(base, draw_turns(20, 8, 2, 0));
    int32_t bank = agreeing(base, draw_turns(20, 8, 1, 1));
    ct_true(seed > 256 - 84 && seed < 256 + 84 && bank > 256 - 84 && bank < 256 + 84);
    /* 16 ranks share, four take each copy: two of them agree with chance 3 in 15. */
    for (int32_t rank = 4; rank < 20; rank++) {
        int32_t same = agreeing(base, draw_turns(20, rank, 1, 0));
        ct_true(rank == 8 || (same > 205 - 78 && same < 205 + 78));
    }
}

CT(place, the_odd_one_is_drawn, "which copy serves one rank more is drawn, not always the first")
{
    int32_t odd[4] = {0, 0, 0, 0};
    const int32_t *turns[5];
    for (int32_t rank = 4; rank < 9; rank++)
        turns[rank - 4] = draw_turns(9, rank, 1, 0);
    for (int e = 0; e < 1024; e++) {
        int32_t uses[4] = {0, 0, 0, 0};
        for (int i = 0; i < 5; i++)
            odd[turns[i][e] / 1024] += uses[turns[i][e] / 1024]++ == 1;
    }
    for (int copy = 0; copy < 4; copy++)
        ct_true(odd[copy] > 256 - 84 && odd[copy] < 256 + 84);
}

/* ---------------------------------------------------------------------------- golden files */

struct golden_remap {
    struct ct_npy map, nearest, candidates;
    int32_t ranks, nodes, experts, layers, width;
};

static bool load_remap(const ct_json *entry, struct golden_remap *golden)
{
    const char *name = ct_json_str(ct_json_get(entry, "case"), "");
    const ct_json *params = ct_json_get(entry, "params");
    bool ok = ct_npy_golden(&golden->map, name, "physical_to_logical.npy") &&
              ct_npy_golden(&golden->nearest, name, "nearest.npy") &&
              ct_npy_golden(&golden->candidates, name, "all_candidates.npy");
    if (!ct_expect_true(ok))
        return false;
    golden->ranks = (int32_t)ct_json_int(ct_json_get(params, "W"), 0);
    golden->nodes = (int32_t)ct_json_int(ct_json_get(params, "nodes"), 0);
    golden->experts = (int32_t)ct_json_int(ct_json_get(params, "E"), 0);
    golden->layers = (int32_t)golden->map.shape[0];
    golden->width = (int32_t)golden->candidates.shape[2];
    return true;
}

/* The lowest candidate on the same rank as the peer's `nearest`, or, where that is another rank,
 * on the same node: what the rule takes where the peer takes the first in its own order. */
static int32_t lowest_like(const struct world *world, const int32_t *candidates, int32_t width,
                           int32_t nearest)
{
    int32_t slots = world->shape.slots, holder = nearest / slots, lowest = nearest;
    bool own = holder == world->shape.rank;
    if (width == 1 || candidates[1] < 0)
        return nearest;
    for (int32_t i = 0; i < width && candidates[i] >= 0; i++) {
        int32_t rank = candidates[i] / slots;
        bool like = own ? rank == holder : world->node[rank] == world->node[holder];
        if (like && candidates[i] < lowest)
            lowest = candidates[i];
    }
    return lowest;
}

static void compare_layer(struct world *world, const struct golden_remap *golden, int32_t layer,
                          int differs)
{
    int32_t physical = world->shape.physical, experts = golden->experts;
    const int32_t *candidates =
        ct_npy_i32(&golden->candidates) + (ptrdiff_t)layer * experts * golden->width;
    int32_t *uses = ct_alloc((size_t)physical * sizeof *uses);
    memcpy(world->map, ct_npy_i32(&golden->map) + (ptrdiff_t)layer * physical,
           (size_t)physical * sizeof *world->map);
    for (int32_t r = 0; r < golden->ranks; r++) {
        world->shape.rank = r;
        world_build(world, 20260, layer);
        for (int32_t e = 0; e < experts; e++) {
            const int32_t *copies = candidates + (ptrdiff_t)e * golden->width;
            int32_t nearest =
                ct_npy_i32(&golden->nearest)[(r * golden->layers + layer) * experts + e];
            int32_t chosen = world->place.chosen[e];
            if (nearest < 0)
                uses[chosen]++;
            else if (differs & PEER_COPY_ORDER)
                ct_eq_i64(chosen, lowest_like(world, copies, golden->width, nearest));
            else
                ct_eq_i64(chosen, nearest);
        }
    }
    /* Where the peer draws: a candidate, and a fair share. */
    for (int32_t e = 0; e < experts; e++) {
        int32_t least = INT32_MAX, most = 0, all = 0, drawn = 0;
        for (int32_t i = 0; i < golden->width; i++) {
            int32_t copy = candidates[e * golden->width + i];
            if (copy < 0)
                break;
            least = uses[copy] < least ? uses[copy] : least;
            most = uses[copy] > most ? uses[copy] : most;
            all += uses[copy];
        }
        for (int32_t r = 0; r < golden->ranks; r++)
            drawn += ct_npy_i32(&golden->nearest)[(r * golden->layers + layer) * experts + e] < 0;
        ct_eq_i64(all, drawn);
        ct_true(most - least <= 1);
    }
}

CT(place, golden_static, "the static choice is SGLang's wherever place decides, else a fair share")
{
    const ct_json *cases = ct_golden_cases();
    if (!cases)
        ct_skip("no golden files");
    int seen = 0;
    for (size_t i = 0; i < ct_json_len(cases); i++) {
        const ct_json *entry = ct_json_at(cases, i);
        const char *name = ct_json_str(ct_json_get(entry, "case"), "");
        if (strncmp(name, "remap/static-", 13) != 0)
            continue;
        ct_note("%s", name);
        struct golden_remap golden;
        ct_true(load_remap(entry, &golden));
        int32_t slots = (int32_t)golden.map.shape[1] / golden.ranks;
        struct world *world = world_make(golden.experts, slots, golden.ranks, 0, 0);
        for (int32_t r = 0; r < golden.ranks; r++)
            world->node[r] = r / (golden.ranks / golden.nodes);
        for (int32_t layer = 0; layer < golden.layers && !ct_failed(); layer++)
            compare_layer(world, &golden, layer, peer_differs(name));
        seen++;
    }
    ct_eq_i64(seen, ct_golden_count(24, 3));
}
