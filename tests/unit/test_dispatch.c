/* dispatch and combine over ranks as threads against a literal sum. */
#include <math.h>
#include <string.h>

#include "ct.h"
#include "move_world.h"
#include "trip_world.h"

static void expect_exact(const struct move_world *world)
{
    for (int32_t r = 0; r < world->ranks; r++) {
        ct_note("%d ranks, rank %d: %s", world->ranks, r, world->error[r]);
        ct_eq_i64(world->status[r], SLUICE_OK);
    }
    for (int32_t t = 0; t < world->per * world->ranks; t++) {
        float want[MOVE_H];
        move_expected(world, t, want);
        ct_note("%d ranks, token %d", world->ranks, t);
        ct_eq_mem(world->out[t], want, sizeof want);
    }
}

CT(dispatch, equals_literal_sum, "every token's sum has the literal loop's bits for 1 to 8 ranks")
{
    for (int32_t ranks = 1; ranks <= 8; ranks++) {
        struct move_world *world = ct_alloc(sizeof *world);
        move_draw(world, ranks, 5);
        move_run(world);
        expect_exact(world);
    }
}

CT(dispatch, fixed_equals_exact, "fixed capacities that cannot overflow change no bit")
{
    for (int32_t ranks = 1; ranks <= 8; ranks *= 2) {
        struct move_world *world = ct_alloc(sizeof *world);
        move_draw(world, ranks, 6);
        world->uses = SLUICE_USE_FIXED;
        world->phase = SLUICE_DISPATCH_FIXED;
        world->transport.fixed_tokens = MOVE_T;
        move_run(world);
        expect_exact(world);
    }
}

CT(dispatch, aligned_slots, "slots at multiples of 16 change no bit")
{
    struct move_world *world = ct_alloc(sizeof *world);
    move_draw(world, 4, 7);
    world->transport.row_align = 16;
    move_run(world);
    expect_exact(world);
    for (int32_t r = 0; r < 4; r++)
        ct_eq_i64(world->counted[r] % 16, 0);
}

CT(dispatch, strided_slots, "slots at a fixed stride change no bit")
{
    struct move_world *world = ct_alloc(sizeof *world);
    move_draw(world, 8, 8);
    world->uses = SLUICE_USE_FIXED;
    world->phase = SLUICE_DISPATCH_FIXED;
    world->transport.fixed_tokens = MOVE_T;
    world->transport.row_layout = SLUICE_ROWS_STRIDED;
    world->transport.capacity_slot = MOVE_T;
    move_run(world);
    expect_exact(world);
}

CT(dispatch, weight_on_input, "a weight on the input multiplies the row that the expert gets")
{
    for (int32_t ranks = 1; ranks <= 4; ranks += 3) {
        struct move_world *world = ct_alloc(sizeof *world);
        move_draw(world, ranks, 9);
        world->weight_on = SLUICE_WEIGHT_ON_INPUT;
        move_run(world);
        expect_exact(world);
    }
}

CT(dispatch, replicas_change_nothing, "spare slots and other copies change no bit")
{
    struct move_world *world = ct_alloc(sizeof *world);
    move_draw(world, 4, 10);
    world->spare = 2;
    move_run(world);
    expect_exact(world);
}

CT(dispatch, per_rank_is_close_and_repeatable,
   "adding a rank's own rows first gives the same sum to rounding, and the same bits twice")
{
    struct move_world *first = ct_alloc(sizeof *first), *again = ct_alloc(sizeof *again);
    move_draw(first, 4, 11);
    first->transport.combine_order = SLUICE_COMBINE_PER_RANK;
    *again = *first;
    move_run(first);
    move_run(again);
    ct_eq_i64(first->status[0], SLUICE_OK);
    ct_eq_mem(first->out, again->out, sizeof first->out);
    for (int32_t t = 0; t < MOVE_T; t++) {
        float want[MOVE_H];
        move_expected(first, t, want);
        for (int32_t h = 0; h < MOVE_H; h++)
            ct_near(first->out[t][h], want[h], 1e-4);
    }
}

CT(dispatch, small_staging_takes_rounds, "rows wider than the staging go in rounds")
{
    struct move_world *world = ct_alloc(sizeof *world);
    move_draw(world, 8, 12);
    world->transport.payload_row_bytes = 4 << 20; /* so that a round holds one token */
    world->transport.max_tokens = MOVE_T;
    move_run(world);
    expect_exact(world);
}

static void expect_overflow(struct move_world *world, const char *part)
{
    move_run(world);
    int32_t hit = 0;
    for (int32_t r = 0; r < world->ranks; r++) {
        ct_note("rank %d: %s", r, world->error[r]);
        ct_eq_i64(world->status[r], SLUICE_OVERFLOW);
        ct_str_has(world->error[r], part);
    }
    for (int32_t t = 0; t < MOVE_T; t++) {
        float want[MOVE_H];
        move_expected(world, t, want);
        if (isnan(world->out[t][0]))
            hit++;
        else
            ct_eq_mem(world->out[t], want, sizeof want);
    }
    ct_true(hit > 0 && hit < MOVE_T);
}

CT(dispatch, overflow_is_told, "every capacity that is too small is named, and tokens hit are NaN")
{
    static const char *const names[] = {"capacity_pair", "capacity_rows", "capacity_back"};
    for (int32_t i = 0; i < 3; i++) {
        struct move_world *world = ct_alloc(sizeof *world);
        move_draw(world, 4, 13);
        world->uses = SLUICE_USE_FIXED;
        world->phase = SLUICE_DISPATCH_FIXED;
        world->transport.fixed_tokens = MOVE_T;
        *(i == 0   ? &world->transport.capacity_pair
          : i == 1 ? &world->transport.capacity_rows
                   : &world->transport.capacity_back) = i == 1 ? 30 : 6;
        expect_overflow(world, names[i]);
    }
    struct move_world *world = ct_alloc(sizeof *world);
    move_draw(world, 4, 13);
    world->uses = SLUICE_USE_FIXED;
    world->phase = SLUICE_DISPATCH_FIXED;
    world->transport.fixed_tokens = MOVE_T;
    world->transport.row_layout = SLUICE_ROWS_STRIDED;
    world->transport.capacity_slot = 7;
    expect_overflow(world, "capacity_slot");
}

/* 160 tokens a rank to itself: 8 parts of 20, above the 16 that a part must have. */
static void same_by_threads(int32_t ranks, int32_t on_input)
{
    struct trip *one = ct_alloc(sizeof *one), *many = ct_alloc(sizeof *many);
    one->ranks = ranks;
    one->tokens = TRIP_TOKENS;
    one->width = 20;
    one->on_input = on_input;
    trip_draw(one, 21);
    *many = *one;
    trip_run(one);
    for (int32_t threads = 1; threads <= 8 && !ct_failed(); threads++) {
        many->threads = threads;
        trip_run(many);
        ct_note("%d threads, %d ranks, weights on input %d", threads, ranks, on_input);
        ct_true(trip_same(many, one));
    }
}

CT(dispatch, threads_change_no_bit, "1 to 8 threads put the same rows and sums")
{
    for (int32_t ranks = 1; ranks <= TRIP_RANKS; ranks++)
        for (int32_t on_input = 0; on_input < 2; on_input++)
            same_by_threads(ranks, on_input);
}
