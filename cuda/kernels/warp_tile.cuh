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

/* The tile's row of `tiles`, whose last entry is that of valid rows. */
SLC_DEVICE int32_t *slc_tile_counts(const struct slc_balance_pass *pass, int32_t tile)
{
    int32_t width = pass->balance.by_copy ? 1 : pass->balance.entries + 1;
    return pass->call.tiles + (int64_t)tile * width;
}

SLC_DEVICE int32_t *slc_tile_valid(const struct slc_balance_pass *pass, int32_t tile)
{
    return slc_tile_counts(pass, tile) + (pass->balance.by_copy ? 0 : pass->balance.entries);
}

/* A choice: row of the tile and column; and how far the next of a lane's is, 32 choices on. */
struct slc_cell {
    int32_t row, column, down, right;
};

SLC_DEVICE struct slc_cell slc_first_cell(const struct slc_job *job)
{
    int32_t top_k = job->rule.top_k, row = slc_thread_lane() / top_k, down = SLC_WARP / top_k;
    struct slc_cell cell = {row, slc_thread_lane() - row * top_k, down, SLC_WARP - down * top_k};
    return cell;
}

SLC_DEVICE void slc_next_cell(const struct slc_job *job, struct slc_cell *cell)
{
    cell->row += cell->down;
    cell->column += cell->right;
    if (cell->column >= job->rule.top_k) {
        cell->column -= job->rule.top_k;
        cell->row++;
    }
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

/* Where rows' shared columns are by themselves: at this rank, or by_row at the row's rank. */
struct slc_homes {
    uint32_t base; /* row_base modulo the living; a call has fewer than 2^31 rows */
};

SLC_DEVICE struct slc_homes slc_homes_of(const struct slc_job *job)
{
    struct slc_homes homes = {0};
    if (job->map.by_row) {
        uint64_t base = (uint64_t)slc_scalar(&job->row_base, job->map.row_base);
        /* in 32 bits, as n is at most 1,024: 2^32 mod n is (2^32 - n) mod n */
        uint32_t n = (uint32_t)job->map.living[0], high = (uint32_t)(base >> 32) % n;
        homes.base = (high * ((0U - n) % n) + (uint32_t)base % n) % n;
    }
    return homes;
}

SLC_DEVICE int32_t slc_home_of(const struct slc_job *job, const struct slc_homes *homes, int64_t t)
{
    if (!job->map.by_row)
        return job->map.rank;
    return job->map.living[1 + (homes->base + (uint32_t)t) % (uint32_t)job->map.living[0]];
}

#endif
