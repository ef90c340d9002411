#include "ct.h"
#include "place_world.h"
#include "src/core/philox.h"

#include <math.h>
#include <string.h>

/* ---------------------------------------------------------------------- a call and its outputs */

struct call {
    int32_t rows;
    uint8_t *valid;
    int32_t *ids;
    float *weights, *shared;
    struct sl_mapped out;
    struct sl_remap_tally tally;
};

static struct call make_call(const struct sl_remap *remap, int32_t rows)
{
    size_t k = (size_t)remap->top_k, f = (size_t)remap->shape->shared, n = (size_t)rows;
    struct call call = {.rows = rows};
    call.valid = ct_alloc(n);
    memset(call.valid, 1, n);
    call.ids = ct_alloc(n * k * sizeof(int32_t));
    call.weights = ct_alloc(n * k * sizeof(float));
    call.shared = ct_alloc(n * f * sizeof(float));
    call.out.physical = ct_alloc(n * k * sizeof(int32_t));
    call.out.slots = ct_alloc(n * (k + f) * sizeof(int32_t));
    call.out.weights = ct_alloc(n * (k + f) * sizeof(float));
    return call;
}

static void draw_call(const struct sl_remap *remap, struct call *call, uint64_t *random)
{
    for (int32_t i = 0; i < call->rows * remap->top_k; i++) {
        call->ids[i] = draw_below(random, remap->shape->experts);
        if (draw_below(random, 20) == 0)
            call->ids[i] = draw_below(random, 2) ? -1 : remap->shape->experts;
        if (draw_below(random, 60) == 0)
            call->ids[i] = (int32_t)draw_bits(random);
        call->weights[i] = (float)draw_below(random, 1000) / 999.0F;
    }
    for (int32_t i = 0; i < call->rows * remap->shape->shared; i++)
        call->shared[i] = (float)draw_below(random, 1000) / 999.0F;
    for (int32_t i = 0; i < call->rows; i++)
        call->valid[i] = draw_below(random, 10) > 0;
}

static void run_call(const struct sl_remap *remap, struct call *call, bool with_shared)
{
    call->tally = (struct sl_remap_tally){0, 0};
    sl_remap_block(remap, 0, call->rows, call->valid, call->ids, call->weights,
                   with_shared ? call->shared : NULL, &call->out, &call->tally);
}

/* --------------------------------------------------------------------------- the same, by hand */

static uint32_t word_of(const struct sl_remap *remap, uint64_t row, int32_t column)
{
    uint64_t upper = ((uint64_t)remap->layer << 4) + (uint64_t)(column / 4);
    struct sl_philox draw = sl_philox(remap->seed ^ upper << 32, row, (uint64_t)remap->step);
    return draw.word[column % 4];
}

static int32_t copy_of(const struct sl_remap *remap, uint64_t row, int32_t column, int32_t id)
{
    const struct sl_place *place = remap->place;
    if (id < 0 || id >= remap->shape->experts)
        return -1;
    int32_t copies[SL_MAX_PHYSICAL];
    uint32_t count = 0;
    for (int32_t i = place->alive_start[id]; i < place->alive_start[id + 1]; i++)
        copies[count++] = place->alive_copies[i];
    if (count == 0)
        return -1;
    if (remap->by_row)
        return copies[row % count];
    if (remap->copy_policy == SLUICE_COPY_RANDOM)
        return copies[(uint64_t)word_of(remap, row, column) * count >> 32];
    return place->chosen[id];
}

static bool expect_row(const struct sl_remap *remap, const struct call *call, int32_t t,
                       bool with_shared)
{
    const struct sl_shape *shape = remap->shape;
    int32_t top_k = remap->top_k, shared = shape->shared;
    uint64_t row = (uint64_t)remap->row_base + (uint64_t)t;
    const int32_t *slots = call->out.slots + t * (top_k + shared);
    const float *weights = call->out.weights + t * (top_k + shared);
    bool ok = true;
    for (int32_t k = 0; k < top_k && ok; k++) {
        int32_t want = call->valid[t] ? copy_of(remap, row, k, call->ids[t * top_k + k]) : -1;
        int32_t slot = want < 0 ? -1 : want + want / shape->slots * shared;
        ok = ct_expect_eq_i64(call->out.physical[t * top_k + k], want) &&
             ct_expect_eq_i64(slots[k], slot) &&
             ct_expect_eq_f32bits(weights[k], want < 0 ? 0 : call->weights[t * top_k + k]);
    }
    int32_t rank = remap->by_row ? remap->living_ranks[row % (uint64_t)remap->living] : shape->rank;
    for (int32_t j = 0; j < shared && ok; j++) {
        float weight = with_shared ? call->shared[t * shared + j] / remap->shared_divisor
                                   : remap->shared_constant;
        int32_t slot = rank * shape->local + shape->slots + j;
        ok = ct_expect_eq_i64(slots[top_k + j], call->valid[t] ? slot : -1) &&
             ct_expect_eq_f32bits(weights[top_k + j], call->valid[t] ? weight : 0.0F);
    }
    return ok;
}

static void expect_tally(const struct sl_remap *remap, const struct call *call)
{
    uint64_t rejected = 0, dead = 0;
    for (int32_t i = 0; i < call->rows * remap->top_k; i++) {
        int32_t id = call->ids[i];
        if (!call->valid[i / remap->top_k] || id == -1)
            continue;
        if (id < 0 || id >= remap->shape->experts)
            rejected++;
        else
            dead += remap->place->alive_start[id] == remap->place->alive_start[id + 1];
    }
    ct_eq_u64(call->tally.rejected, rejected);
    ct_eq_u64(call->tally.dead, dead);
}

static struct sl_remap draw_remap(uint64_t *random)
{
    int32_t ranks = 1 + draw_below(random, draw_below(random, 8) ? 10 : 1024);
    int32_t slots = 1 + draw_below(random, ranks > 10 ? 8 : 40), physical = ranks * slots;
    int32_t limit = physical < SL_MAX_COLUMNS ? physical : SL_MAX_COLUMNS;
    int32_t experts = 1 + draw_below(random, draw_below(random, 2) ? limit : (limit + 3) / 4);
    struct world *world =
        world_make(experts, slots, ranks, draw_below(random, 9), draw_below(random, ranks));
    world_shuffle(world, random);
    world_damage(world, random);
    world_build(world, draw_bits(random), 0);
    int32_t top_k = 1 + draw_below(random, draw_below(random, 4) ? 10 : 64);
    struct sl_remap remap = world_remap(world, top_k);
    remap.seed = draw_bits(random);
    remap.layer = draw_below(random, 90);
    remap.step = (int64_t)(draw_bits(random) >> (1 + draw_below(random, 60)));
    remap.row_base = (int64_t)(draw_bits(random) >> (1 + draw_below(random, 60)));
    remap.shared_constant = 0.25F;
    remap.shared_divisor = 2.5F;
    return remap;
}

static void compare_by_hand(int32_t copy_policy, int32_t by_row, uint64_t random)
{
    for (int i = 0; i < 150 && !ct_failed(); i++) {
        ct_note("world %d", i);
        struct sl_remap remap = draw_remap(&random);
        remap.copy_policy = copy_policy;
        remap.by_row = by_row;
        struct call call = make_call(&remap, draw_below(&random, 20));
        draw_call(&remap, &call, &random);
        bool with_shared = draw_below(&random, 2);
        run_call(&remap, &call, with_shared);
        for (int32_t t = 0; t < call.rows; t++)
            ct_true(expect_row(&remap, &call, t, with_shared));
        expect_tally(&remap, &call);
    }
}

CT(remap, static_by_hand, "static: every output is what the rule says, on random worlds")
{
    compare_by_hand(SLUICE_COPY_STATIC, 0, 1);
}

CT(remap, random_by_hand, "random: every output is what the draw says, on random worlds")
{
    compare_by_hand(SLUICE_COPY_RANDOM, 0, 2);
}

CT(remap, by_row_by_hand, "every rank every row: copies and shared rank go by the global row")
{
    compare_by_hand(SLUICE_COPY_STATIC, 1, 3);
    compare_by_hand(SLUICE_COPY_RANDOM, 1, 4);
}

/* ------------------------------------------------------------------------ vectors of the rules */

CT(remap, vector_264, "P=264 W=8 F=1 on rank 7: 0 33 263 become 0 34 270, shared 271")
{
    struct world *world = world_make(264, 33, 8, 1, 7);
    world_build(world, 0, 0);
    struct sl_remap remap = world_remap(world, 3);
    struct call call = make_call(&remap, 1);
    const int32_t ids[3] = {0, 33, 263}, slots[4] = {0, 34, 270, 271};
    memcpy(call.ids, ids, sizeof ids);
    run_call(&remap, &call, false);
    ct_eq_mem(call.out.slots, slots, sizeof slots);
    ct_eq_mem(call.out.physical, ids, sizeof ids);
}

CT(remap, vector_256, "P=256 W=4 F=1 on rank 2, shared weight 1 divided by 2.5")
{
    struct world *world = world_make(256, 64, 4, 1, 2);
    world_build(world, 0, 0);
    struct sl_remap remap = world_remap(world, 2);
    remap.shared_divisor = 2.5F;
    struct call call = make_call(&remap, 2);
    const int32_t ids[4] = {0, 65, 63, 127}, slots[6] = {0, 66, 194, 63, 128, 194};
    memcpy(call.ids, ids, sizeof ids);
    call.shared[0] = call.shared[1] = 1.0F;
    run_call(&remap, &call, true);
    ct_eq_mem(call.out.slots, slots, sizeof slots);
    ct_eq_f32bits(call.out.weights[2], 0.4F);
    ct_eq_f32bits(call.out.weights[5], 0.4F);
}

CT(remap, no_rows, "no rows: nothing is read or written")
{
    struct world *world = world_make(8, 8, 1, 1, 0);
    world_build(world, 0, 0);
    struct sl_remap remap = world_remap(world, 2);
    const struct sl_mapped out = {NULL, NULL, NULL};
    struct sl_remap_tally tally = {0, 0};
    sl_remap_block(&remap, 0, 0, NULL, NULL, NULL, NULL, &out, &tally);
    ct_eq_u64(tally.rejected + tally.dead, 0);
}

CT(remap, every_rank_every_row_vector, "row 5 from base 4 takes copy 9 mod n; rank 9 mod living")
{
    struct world *world = world_make(2, 2, 4, 1, 3); /* 0 1 0 1 0 1 0 1 */
    world->alive[1] = 0;
    world_build(world, 0, 0);
    struct sl_remap remap = world_remap(world, 2);
    remap.by_row = 1;
    remap.row_base = 4;
    struct call call = make_call(&remap, 6);
    for (int i = 0; i < 12; i++)
        call.ids[i] = i % 2;
    run_call(&remap, &call, false);
    /* Living copies of expert 0: 0 4 6, of expert 1: 1 5 7. 9 mod 3 = 0. Living ranks: 0 2 3. */
    ct_eq_i64(call.out.physical[10], 0);
    ct_eq_i64(call.out.physical[11], 1);
    ct_eq_i64(call.out.slots[17], 2);
    ct_eq_i64(call.out.physical[8], 6); /* row 8: 8 mod 3 = 2 */
    ct_eq_i64(call.out.slots[14], 11);
    ct_eq_i64(sl_serving_rank(&remap, 3), 2);
}

/* ---------------------------------------------------------------------------------- properties */

CT(remap, answers_come_back, "slot id to rank and local slot, through the map, is the expert again")
{
    uint64_t random = 5;
    for (int i = 0; i < 150; i++) {
        ct_note("world %d", i);
        struct sl_remap remap = draw_remap(&random);
        remap.copy_policy = i % 2 ? SLUICE_COPY_RANDOM : SLUICE_COPY_STATIC;
        remap.by_row = i % 3 == 0;
        const struct sl_shape *shape = remap.shape;
        struct call call = make_call(&remap, 16);
        draw_call(&remap, &call, &random);
        run_call(&remap, &call, false);
        for (int32_t c = 0; c < 16 * remap.top_k; c++) {
            int32_t t = c / remap.top_k, k = c % remap.top_k;
            int32_t slot = call.out.slots[t * (remap.top_k + shape->shared) + k];
            if (slot < 0)
                continue;
            int32_t rank = slot / shape->local, local = slot % shape->local;
            ct_true(rank < shape->ranks && local < shape->slots);
            ct_eq_i64(remap.place->map[rank * shape->slots + local], call.ids[c]);
            ct_eq_i64(call.out.physical[c], rank * shape->slots + local);
        }
    }
}

CT(remap, recorder_is_routed, "a recorder id is -1 or a routed physical expert, never more")
{
    uint64_t random = 6;
    for (int i = 0; i < 100; i++) {
        struct sl_remap remap = draw_remap(&random);
        remap.copy_policy = i % 2 ? SLUICE_COPY_RANDOM : SLUICE_COPY_STATIC;
        struct call call = make_call(&remap, 16);
        draw_call(&remap, &call, &random);
        run_call(&remap, &call, false);
        for (int32_t c = 0; c < 16 * remap.top_k; c++)
            ct_true(call.out.physical[c] >= -1 && call.out.physical[c] < remap.shape->physical);
    }
}

CT(remap, ranks_agree_by_row, "every rank every row: all ranks give the same answer")
{
    uint64_t random = 7;
    for (int i = 0; i < 20; i++) {
        struct world *world = world_make(12, 4, 6, 2, 0);
        world_shuffle(world, &random);
        world->alive[4] = 0;
        int32_t first[9 * 8];
        for (int32_t rank = 0; rank < 6; rank++) {
            world->shape.rank = rank;
            world_build(world, 1, 0);
            struct sl_remap remap = world_remap(world, 6);
            remap.by_row = 1;
            remap.row_base = i;
            struct call call = make_call(&remap, 9);
            for (int c = 0; c < 54; c++)
                call.ids[c] = (c * 5 + i) % 12;
            run_call(&remap, &call, false);
            if (rank == 0)
                memcpy(first, call.out.slots, sizeof first);
            ct_eq_mem(call.out.slots, first, sizeof first);
        }
    }
}

CT(remap, blocks_do_not_matter, "a call cut into blocks anywhere gives the same bits")
{
    uint64_t random = 8;
    for (int i = 0; i < 60; i++) {
        struct sl_remap remap = draw_remap(&random);
        remap.copy_policy = SLUICE_COPY_RANDOM;
        remap.by_row = i % 3 == 0;
        int32_t k = remap.top_k, wide = k + remap.shape->shared;
        struct call whole = make_call(&remap, 33), cut = make_call(&remap, 33);
        draw_call(&remap, &whole, &random);
        run_call(&remap, &whole, true);
        for (int32_t first = 0, count; first < 33; first += count) {
            count = 1 + draw_below(&random, 33 - first);
            const struct sl_mapped out = {cut.out.physical + first * k,
                                          cut.out.slots + first * wide,
                                          cut.out.weights + first * wide};
            sl_remap_block(&remap, first, count, whole.valid + first, whole.ids + first * k,
                           whole.weights + first * k, whole.shared + first * remap.shape->shared,
                           &out, &cut.tally);
        }
        ct_eq_mem(cut.out.physical, whole.out.physical, (size_t)(33 * k) * sizeof(int32_t));
        ct_eq_mem(cut.out.slots, whole.out.slots, (size_t)(33 * wide) * sizeof(int32_t));
        ct_eq_mem(cut.out.weights, whole.out.weights, (size_t)(33 * wide) * sizeof(float));
        ct_eq_u64(cut.tally.rejected, whole.tally.rejected);
        ct_eq_u64(cut.tally.dead, whole.tally.dead);
    }
}

CT(remap, outputs_may_be_absent, "without slots or weights the recorder ids are the same")
{
    uint64_t random = 9;
    for (int i = 0; i < 60; i++) {
        struct sl_remap remap = draw_remap(&random);
        remap.copy_policy = i % 2 ? SLUICE_COPY_RANDOM : SLUICE_COPY_STATIC;
        struct call call = make_call(&remap, 12);
        draw_call(&remap, &call, &random);
        run_call(&remap, &call, false);
        size_t bytes = (size_t)(12 * remap.top_k) * sizeof(int32_t);
        const struct sl_mapped only = {ct_alloc(bytes), NULL, NULL};
        struct sl_remap_tally tally = {0, 0};
        sl_remap_block(&remap, 0, 12, call.valid, call.ids, NULL, NULL, &only, &tally);
        ct_eq_mem(only.physical, call.out.physical, bytes);
        ct_eq_u64(tally.rejected, call.tally.rejected);
    }
}

CT(remap, weight_of_no_choice, "the weight of a choice that is none is 0, whatever came in")
{
    struct world *world = world_make(4, 2, 3, 1, 0);
    const int32_t map[6] = {0, 1, 2, 3, 0, 1};
    memcpy(world->map, map, sizeof map);
    world->alive[1] = 0; /* experts 2 and 3 */
    world_build(world, 0, 0);
    for (int policy = 0; policy < 2; policy++) {
        struct sl_remap remap = world_remap(world, 5);
        remap.copy_policy = policy;
        struct call call = make_call(&remap, 2);
        const int32_t ids[10] = {0, -1, 2, 4, INT32_MIN, 3, 1, INT32_MAX, -2, -1};
        memcpy(call.ids, ids, sizeof ids);
        for (int i = 0; i < 10; i++)
            call.weights[i] = NAN;
        call.weights[6] = 0.5F;
        call.weights[0] = -0.0F;
        run_call(&remap, &call, false);
        for (int i = 0; i < 10; i++) {
            float want = i == 6 ? 0.5F : i == 0 ? -0.0F : 0.0F;
            ct_eq_f32bits(call.out.weights[i / 5 * 6 + i % 5], want);
            ct_true((call.out.physical[i] >= 0) == (i == 0 || i == 6));
        }
        ct_eq_u64(call.tally.rejected, 4);
        ct_eq_u64(call.tally.dead, 2);
        ct_eq_i64(call.out.slots[5], 2); /* such a row keeps its shared column */
        ct_eq_i64(call.out.slots[11], 2);
    }
}

CT(remap, padding_is_empty, "a padding row is -1 and 0 everywhere and is not tallied")
{
    struct world *world = world_make(4, 4, 1, 2, 0);
    world_build(world, 0, 0);
    for (int policy = 0; policy < 3; policy++) {
        struct sl_remap remap = world_remap(world, 5);
        remap.copy_policy = policy % 2;
        remap.by_row = policy == 2;
        struct call call = make_call(&remap, 1);
        call.valid[0] = 0;
        call.ids[1] = 99;
        for (int i = 0; i < 7; i++)
            call.out.weights[i] = NAN;
        run_call(&remap, &call, false);
        for (int i = 0; i < 7; i++) {
            ct_eq_i64(call.out.slots[i], -1);
            ct_eq_f32bits(call.out.weights[i], 0.0F);
            ct_eq_i64(call.out.physical[i < 5 ? i : 0], -1);
        }
        ct_eq_u64(call.tally.rejected, 0);
    }
}

/* --------------------------------------------------------------------------------------- draws */

CT(philox, known_answers, "Philox4x32-10 gives the answers its authors published")
{
    const struct sl_philox zero = sl_philox(0, 0, 0), ones = sl_philox(~0ULL, ~0ULL, ~0ULL);
    const struct sl_philox pi =
        sl_philox(0x299f31d0a4093822U, 0x85a308d3243f6a88U, 0x0370734413198a2eU);
    const uint32_t want_zero[4] = {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8};
    const uint32_t want_ones[4] = {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd};
    const uint32_t want_pi[4] = {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1};
    ct_eq_mem(zero.word, want_zero, sizeof want_zero);
    ct_eq_mem(ones.word, want_ones, sizeof want_ones);
    ct_eq_mem(pi.word, want_pi, sizeof want_pi);
}

/* One expert with `copies` copies, one a rank. */
static struct sl_remap random_remap(int32_t copies, int32_t top_k)
{
    struct world *world = world_make(1, 1, copies, 0, 0);
    world_build(world, 0, 0);
    struct sl_remap remap = world_remap(world, top_k);
    remap.copy_policy = SLUICE_COPY_RANDOM;
    remap.seed = 20260;
    return remap;
}

CT(remap, random_is_even, "random: every copy is taken with equal chance")
{
    for (int32_t copies = 2; copies <= 17; copies += 5) {
        struct sl_remap remap = random_remap(copies, 7);
        struct call call = make_call(&remap, 6000);
        run_call(&remap, &call, false);
        double chi = 0, want = 42000.0 / copies;
        for (int32_t p = 0; p < copies; p++) {
            double seen = 0;
            for (int32_t c = 0; c < 42000; c++)
                seen += call.out.physical[c] == p;
            chi += (seen - want) * (seen - want) / want;
        }
        ct_note("%d copies: chi-square %g", copies, chi);
        ct_true(chi < (copies - 1) + 6 * sqrt(2.0 * (copies - 1)));
    }
}

/* How many of 4096 choices are the same in both calls. */
static int32_t agreeing(const struct sl_remap *a, const struct sl_remap *b)
{
    struct call one = make_call(a, 512), other = make_call(b, 512);
    run_call(a, &one, false);
    run_call(b, &other, false);
    int32_t same = 0;
    for (int c = 0; c < 4096; c++)
        same += one.out.physical[c] == other.out.physical[c];
    return same;
}

CT(remap, draws_are_apart, "another seed, layer, step or row base draws anew, in high bits too")
{
    const struct sl_remap base = random_remap(16, 8);
    ct_eq_i64(agreeing(&base, &base), 4096);
    for (int i = 0; i < 8; i++) {
        struct sl_remap other = base;
        other.seed += i == 0 ? 1 : i == 1 ? 1ULL << 63 : 0;
        other.layer += i == 2 ? 1 : i == 3 ? 4000 : 0;
        other.step += i == 4 ? 1 : i == 5 ? 1LL << 40 : 0;
        other.row_base += i == 6 ? 512 : i == 7 ? 1LL << 40 : 0;
        ct_note("change %d", i);
        int32_t same = agreeing(&base, &other); /* 256 expected, standard deviation 15 */
        ct_true(same > 256 - 95 && same < 256 + 95);
    }
}

CT(remap, columns_draw_apart, "the columns of a row draw independently, 64 of them")
{
    struct sl_remap remap = random_remap(16, 64);
    struct call call = make_call(&remap, 400);
    run_call(&remap, &call, false);
    for (int32_t distance = 1; distance < 64; distance++) {
        int32_t same = 0;
        for (int32_t t = 0; t < 400; t++)
            same += call.out.physical[t * 64] == call.out.physical[t * 64 + distance];
        ct_true(same < 25 + 35); /* 25 expected, standard deviation 5 */
    }
}

CT(remap, row_base_shifts_rows, "row base 3, row 0 draws what base 0, row 3 draws")
{
    struct sl_remap remap = random_remap(16, 8);
    struct call whole = make_call(&remap, 10);
    run_call(&remap, &whole, false);
    remap.row_base = 3;
    struct call shifted = make_call(&remap, 7);
    run_call(&remap, &shifted, false);
    ct_eq_mem(shifted.out.physical, whole.out.physical + 24, 56 * sizeof(int32_t));
}
