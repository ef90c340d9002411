/* SPDX-License-Identifier: Apache-2.0
 * sl_waterfill_plan by one block. */
#ifndef SLC_BLOCK_WATER_CUH
#define SLC_BLOCK_WATER_CUH

#include "block.cuh"
#include "water_job.h"

/* Numbers that all threads read. */
struct slc_water_numbers {
    int64_t routed, sum, greatest, rooms;
};

/* The chance of rank r is in proportion to this; the source is favoured. */
SLC_DEVICE int64_t slc_water_room(int64_t target, int64_t load, bool source)
{
    int64_t left = target - load;
    return left <= 0 ? 0 : source || SL_MUTANT(waterfill_no_favour) ? left : left * 10 / 11;
}

SLC_DEVICE bool slc_lighter(int64_t load, int64_t best)
{
    return load * 11 < best * 10;
}

/* One warp, where no rank has room: over the living in rising order to each that is lighter than
 * the best so far. */
SLC_DEVICE int32_t slc_walk_ranks(const struct slc_water *water)
{
    const struct slc_map *map = &water->job.map;
    int32_t best = map->rank;
    int64_t load = water->line[best];
    for (int32_t base = 0; base < map->living[0]; base += SLC_WARP) {
        int32_t i = base + slc_thread_lane();
        int32_t r = i < map->living[0] ? map->living[1 + i] : -1;
        int64_t own = r < 0 ? 0 : water->line[r];
        uint32_t ahead = SLC_ALL, lighter;
        while ((lighter = __ballot_sync(SLC_ALL, r >= 0 && slc_lighter(own, load)) & ahead) != 0) {
            int32_t lane = __ffs((int32_t)lighter) - 1;
            best = __shfl_sync(SLC_ALL, r, lane);
            load = slc_warp_from(own, lane);
            ahead = lane == SLC_WARP - 1 ? 0 : SLC_ALL << (lane + 1);
        }
    }
    return best;
}

/* One warp: loads become running sums of room; the dead have none. */
SLC_DEVICE void slc_sum_rooms(const struct slc_water *water)
{
    const struct slc_map *map = &water->job.map;
    int64_t sum = 0;
    int32_t before = 0; /* living ranks below this piece */
    for (int32_t base = 0; base < map->ranks; base += SLC_WARP) {
        int32_t r = base + slc_thread_lane();
        while (before < map->living[0] && map->living[1 + before] < base)
            before++;
        bool alive = false;
        for (int32_t i = before; i < map->living[0] && map->living[1 + i] < base + SLC_WARP; i++)
            alive = alive || map->living[1 + i] == r;
        int64_t room = alive ? water->rooms[r] : 0;
        int64_t running = slc_warp_running(room);
        if (r < map->ranks)
            water->line[r] = sum + running;
        sum += slc_warp_from(running, SLC_WARP - 1);
    }
}

/* What all living ranks chose of rank r, and with `rows` r's own rows. */
SLC_DEVICE int64_t slc_said_of(const struct slc_water *water, int32_t r, int64_t *rows)
{
    const struct slc_map *map = &water->job.map;
    const volatile int64_t *said = water->said;
    int64_t sum = 0;
    *rows = 0;
    for (int32_t i = 0; i < water->said_rows; i++, said += water->said_stride) {
        int32_t from = water->said_rows == 1 ? map->rank : map->living[1 + i];
        sum += said[r];
        if (from == r)
            *rows = said[map->ranks];
    }
    return sum;
}

/* All threads of one block: the plan from what was said; what was counted is cleared. */
SLC_DEVICE void slc_water_make(const struct slc_water *water, struct slc_water_numbers *numbers)
{
    const struct slc_map *map = &water->job.map;
    if (threadIdx.x == 0)
        *numbers = {0, 0, 0, 0};
    __syncthreads();
    SLC_EACH_OF(r, map->ranks)
    {
        int64_t rows, routed = slc_said_of(water, r, &rows);
        int64_t load = water->dynamic ? routed + rows * map->shared : routed;
        slc_add(&numbers->routed, routed);
        slc_add(&numbers->sum, load);
        atomicMax((slc_u64 *)&numbers->greatest, (slc_u64)load);
        water->line[r] = load;
    }
    __syncthreads();
    SLC_EACH_OF(r, map->ranks + 1)
    water->counted[r] = 0;
    int64_t extra = slc_divide(numbers->routed, water->job.rule.top_k);
    extra *= water->dynamic ? map->shared : 1;
    int64_t target = slc_ceiling(numbers->sum + extra, map->living[0]);
    bool all = !water->dynamic || numbers->greatest <= target;
    SLC_EACH_OF(i, map->living[0])
    {
        int32_t r = map->living[1 + i];
        int64_t room = slc_water_room(target, water->line[r], r == map->rank);
        water->rooms[r] = room;
        slc_add(&numbers->rooms, room);
    }
    __syncthreads();
    if (threadIdx.x >= SLC_WARP)
        return;
    int32_t full = all && numbers->rooms == 0 ? slc_walk_ranks(water) : -1;
    if (all && full < 0)
        slc_sum_rooms(water);
    if (threadIdx.x == 0)
        *water->plan = {all, full};
}

#endif
