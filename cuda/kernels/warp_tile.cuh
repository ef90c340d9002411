/* SPDX-License-Identifier: Apache-2.0
 * A warp at a tile of rows: their choices in row order, 32 at a time. */
#ifndef SLC_WARP_TILE_CUH
#define SLC_WARP_TILE_CUH

#include "balance_job.h"
#include "block.cuh"

struct slc_tile {
    int64_t first;
    int32_t rows;
};

SLC_DEVICE struct slc_tile slc_tile_of(const struct slc_balance_pass *pass, int32_t tile)
{
    int64_t first = (int64_t)tile * pass->call.tile_rows, left = pass->job.rows - first;
    struct slc_tile at = {first, (int32_t)slc_least(left, pass->call.tile_rows)};
    return at;
}

/* A choice: row of the tile and column. */
struct slc_cell {
    int32_t row, column;
};

SLC_DEVICE struct slc_cell slc_first_cell(const struct slc_job *job)
{
    int32_t row = slc_thread_lane() / job->rule.top_k;
    struct slc_cell cell = {row, slc_thread_lane() - row * job->rule.top_k};
    return cell;
}

/* 32 choices on. */
SLC_DEVICE void slc_next_cell(const struct slc_job *job, struct slc_cell *cell)
{
    cell->column += SLC_WARP;
    for (; cell->column >= job->rule.top_k; cell->column -= job->rule.top_k)
        cell->row++;
}

/* Any id that is no expert looks up entry E, which has no copy. */
SLC_DEVICE int32_t slc_entry_of(const struct slc_map *map, int64_t id)
{
    return (uint64_t)id < (uint64_t)map->experts ? (int32_t)id : map->experts;
}

/* Physical expert of what the dispatch gets, or of a recorder id. */
SLC_DEVICE int32_t slc_physical_of(const struct slc_balance_pass *pass, int64_t id)
{
    const struct slc_map *map = &pass->job.map;
    if (pass->job.in_ids.data != pass->job.dispatch_ids.data)
        return (int32_t)id;
    return (int32_t)id - (int32_t)id / map->local * map->shared;
}

#endif
