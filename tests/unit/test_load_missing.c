/* Who is named where ranks are missing from a window's sum: one that is, and by all the same. */
#include <stdio.h>

#include "ct.h"
#include "sum_world.h"

/* All that are not missing name the first that is. */
static void expect_named(const struct sum_world *world, uint32_t missing)
{
    int32_t first = 0;
    while (!(missing >> first & 1))
        first++;
    for (int32_t r = 0; r < world->ranks; r++) {
        if (missing >> r & 1)
            continue;
        if (!ct_expect_true(world->done[r]) ||
            !ct_expect_eq_i64(world->status[r], SLUICE_PEER_LOST) ||
            !ct_expect_eq_i64(world->named[r], first)) {
            (void)printf("rank %d of %d, missing %x\n", r, world->ranks, (unsigned)missing);
            return;
        }
        ct_expect_true(world->ended[r] - world->begins[r] <= 3 * SUM_TIMEOUT + world->every[r]);
    }
}

static void run_missing(int32_t ranks, bool eager, uint32_t missing)
{
    struct sum_world *world = sum_world(ranks, eager);
    for (int32_t r = 0; r < ranks; r++) {
        world->begins[r] = missing >> r & 1 ? SUM_NEVER : 0;
        world->every[r] = 4;
    }
    sum_world_run(world);
    expect_named(world, missing);
    sum_world_close(world);
}

CT(windows_missing, every_two,
   "every two ranks missing at once, of 2 to 9: all others name the first of them")
{
    for (int32_t ranks = 2; ranks <= 9; ranks++)
        for (int32_t a = 0; a < ranks; a++)
            for (int32_t b = a; b < ranks; b++)
                run_missing(ranks, (a + b + ranks) % 2, 1U << a | 1U << b);
}

CT(windows_missing, some_of_sixteen,
   "some of 16 ranks missing, up to all but one: all others name the first of them")
{
    static const uint32_t some[] = {0x0001, 0x8000, 0x0101, 0x0180, 0x1010, 0x8001, 0x00FE,
                                    0xFF00, 0xFFFE, 0x7FFF, 0x5555, 0xAAAA, 0x0116, 0x4002};
    for (size_t i = 0; i < sizeof some / sizeof *some; i++) {
        run_missing(16, false, some[i]);
        run_missing(16, true, some[i]);
    }
}

CT(windows_missing, very_long_timeout,
   "a timeout that ends beyond the clock's last nanosecond is waited for, not over at once")
{
    static const int64_t timeouts[] = {INT64_MAX, INT64_MAX / 3 + 1, INT64_MAX / 48 * 16};
    for (size_t i = 0; i < sizeof timeouts / sizeof *timeouts; i++) {
        struct sum_world *world = sum_world(3, false);
        world->timeout_ns = timeouts[i];
        world->now = 5;
        world->begins[0] = world->begins[1] = 6;
        world->begins[2] = SUM_NEVER;
        sum_world_run(world);
        for (int32_t r = 0; r < 3; r++)
            ct_expect_true(!world->done[r]);
        sum_world_close(world);
    }
}

/* ------------------------------------------------------------------------ ranks are not in step */

static uint64_t next(uint64_t *state)
{
    *state = *state * 6364136223846793005U + 1442695040888963407U;
    return *state >> 33;
}

/* Windows that end up to a timeout apart, polls of different paces, messages that take a while. */
static struct sum_world *apart(uint64_t *state)
{
    int32_t ranks = 2 + (int32_t)(next(state) % (SUM_RANKS - 1));
    struct sum_world *world = sum_world(ranks, next(state) % 2);
    world->delay = (int64_t)(next(state) % 4);
    for (int32_t r = 0; r < ranks; r++) {
        world->begins[r] = (int64_t)(next(state) % (SUM_TIMEOUT - 64));
        world->every[r] = 3 + (int64_t)(next(state) % (SUM_TIMEOUT / 64 - 2));
    }
    return world;
}

CT(windows_missing, apart,
   "windows that end up to a timeout apart are summed, and no rank is named")
{
    uint64_t state = 5;
    for (int32_t i = 0; i < 50; i++) {
        struct sum_world *world = apart(&state);
        sum_world_run(world);
        sum_world_whole(world);
        sum_world_close(world);
    }
}

CT(windows_missing, missing_and_apart,
   "ranks missing from windows that end up to a timeout apart: all others name the first of them")
{
    uint64_t state = 6;
    for (int32_t i = 0; i < 100; i++) {
        struct sum_world *world = apart(&state);
        uint32_t missing = 0;
        for (int32_t k = (int32_t)(next(&state) % 3); k >= 0; k--)
            missing |= 1U << next(&state) % (uint64_t)world->ranks;
        for (int32_t r = 0; r < world->ranks; r++)
            if (missing >> r & 1)
                world->begins[r] = SUM_NEVER;
        sum_world_run(world);
        expect_named(world, missing);
        sum_world_close(world);
    }
}

/* ------------------------------------------------------------------------- ranks that die in it */

/* Whoever fails names a rank that has died; whoever does not has the whole. */
CT(windows_missing, dies_in_the_sum,
   "ranks that die while a window is summed: who fails names one of them, nobody waits on")
{
    uint64_t state = 7;
    int32_t failed = 0;
    for (int32_t i = 0; i < 150; i++) {
        struct sum_world *world = apart(&state);
        uint32_t dead = 0;
        for (int32_t k = (int32_t)(next(&state) % 2); k >= 0; k--) {
            int32_t r = (int32_t)(next(&state) % (uint64_t)world->ranks);
            world->dies[r] = world->begins[r] + 1 + (int64_t)(next(&state) % SUM_TIMEOUT);
            dead |= 1U << r;
        }
        sum_world_run(world);
        for (int32_t r = 0; r < world->ranks; r++) {
            if (dead >> r & 1)
                continue;
            ct_expect_true(world->done[r]);
            failed += world->status[r] != SLUICE_OK;
            if (world->status[r] &&
                !ct_expect_true(world->named[r] >= 0 && (dead >> world->named[r] & 1)))
                (void)printf("case %d: rank %d of %d names %d, dead %x\n", i, r, world->ranks,
                             world->named[r], (unsigned)dead);
        }
        sum_world_close(world);
    }
    ct_expect_true(failed > 40);
}
