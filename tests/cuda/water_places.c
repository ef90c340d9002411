/* SPDX-License-Identifier: Apache-2.0
 * The waterfill's kernels on whatever libcuda.so.1 is there, against sl_waterfill_plan and
 * sl_waterfill_rank: rows' shared columns must go to equal ranks, with counts of other ranks too.
 * `peer`: what the stand-in counts at 4,096 rows of 8 choices, 8 ranks, against the promised limit.
 *     water_places CASES [SEED] [peer] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../cuda/kernels/water_job.h"
#include "../../src/core/remap.h"
#include "kernel_kit.h"

enum { A_TOKEN = 30 };

struct fill {
    struct sl_shape shape;
    int32_t top_k, rows, dynamic, living;
    int32_t *ids; /* [rows][K + F] */
    uint8_t *alive;
    int32_t *living_ranks;
    int64_t *others; /* [2 * ranks] counts of other ranks */
};

static struct fill draw(int32_t ranks, int32_t top_k, int32_t rows, bool all_alive)
{
    struct fill f = {.top_k = top_k, .rows = rows, .dynamic = below(3) > 0};
    f.shape = (struct sl_shape){.slots = 1 + below(6), .ranks = ranks, .shared = 1 + below(3)};
    f.shape.local = f.shape.slots + f.shape.shared;
    f.alive = room((size_t)ranks), f.living_ranks = room((size_t)ranks * 4);
    f.others = room((size_t)ranks * 16);
    int32_t died = all_alive || below(3) ? 0 : below(50);
    for (int32_t r = 0; r < ranks; r++) {
        f.alive[r] = below(100) >= died;
        if (f.alive[r])
            f.living_ranks[f.living++] = r;
    }
    if (f.living == 0) {
        f.alive[0] = 1;
        f.living = 1;
    }
    f.shape.rank = f.living_ranks[below(f.living)];
    int32_t columns = top_k + f.shape.shared, hot = 1 + below(f.living),
            spread = below(2) ? 4 : 400;
    f.ids = room((size_t)(rows * columns) * 4);
    for (int32_t t = 0; t < rows; t++) {
        bool none = below(20) == 0;
        for (int32_t k = 0; k < columns; k++) {
            int32_t rank = f.living_ranks[below(below(3) ? f.living : hot)];
            int32_t slot = rank * f.shape.local + below(f.shape.slots);
            if (k >= top_k)
                slot = f.shape.rank * f.shape.local + f.shape.slots + k - top_k;
            f.ids[t * columns + k] = k < top_k && (none || below(10) == 0) ? -1 : slot;
        }
    }
    for (int32_t i = 0; i < f.living && f.dynamic && f.living > 1; i++) {
        f.others[f.living_ranks[i]] = below(spread) * (below(6) ? 1 : 40);
        if (f.living_ranks[i] != f.shape.rank)
            f.others[ranks + f.living_ranks[i]] = below(spread);
    }
    return f;
}

static void free_fill(struct fill *f)
{
    free(f->ids), free(f->alive), free(f->living_ranks), free(f->others);
}

static int32_t *reference(const struct fill *f)
{
    int32_t ranks = f->shape.ranks, columns = f->top_k + f->shape.shared;
    int32_t *ids = room((size_t)(f->rows * columns) * 4), physical[SL_MAX_K];
    int64_t *load = room((size_t)ranks * 16), *tokens = load + ranks;
    memcpy(ids, f->ids, (size_t)(f->rows * columns) * 4);
    memcpy(load, f->others, (size_t)ranks * 16);
    tokens[f->shape.rank] += f->rows;
    for (int32_t pass = 0; pass < 2; pass++) {
        struct sl_waterfill plan = {.ranks = ranks, .source = f->shape.rank, .alive = f->alive};
        if (pass == 1)
            sl_waterfill_plan(&plan, load, f->dynamic ? tokens : NULL, f->top_k, f->shape.shared);
        for (int32_t t = 0; t < f->rows; t++) {
            for (int32_t k = 0; k < f->top_k; k++) {
                int32_t slot = ids[t * columns + k];
                physical[k] = slot < 0 ? -1 : slot - slot / f->shape.local * f->shape.shared;
            }
            if (pass == 0) {
                sl_waterfill_count(&f->shape, f->top_k, physical, load);
                continue;
            }
            int32_t rank = sl_waterfill_rank(&plan, &f->shape, t, f->top_k, physical);
            for (int32_t j = 0; j < f->shape.shared; j++)
                ids[t * columns + f->top_k + j] =
                    rank < 0 ? -1 : rank * f->shape.local + f->shape.slots + j;
        }
    }
    free(load);
    return ids;
}

/* What all ranks say: this one what it counted, the first other all choices, each its rows. */
static int64_t *said_of(const struct fill *f, struct slc_water *water)
{
    int64_t width = f->shape.ranks + 1;
    int64_t *said = room((size_t)(f->living * width) * 8), *mine = said;
    bool given = false;
    for (int32_t i = 0; i < f->living; i++) {
        int64_t *row = said + i * width;
        int32_t rank = f->living_ranks[i];
        if (rank == f->shape.rank) {
            mine = row;
            continue;
        }
        if (!given)
            memcpy(row, f->others, (size_t)f->shape.ranks * 8);
        row[f->shape.ranks] = f->others[f->shape.ranks + rank];
        given = true;
    }
    (void)gpu.driver->MemcpyDtoHAsync(mine, (slcu_address)(uintptr_t)water->counted,
                                      (size_t)width * 8, NULL);
    (void)gpu.driver->StreamSynchronize(NULL);
    water->said_rows = f->living;
    water->said_stride = width;
    int64_t *device = there(said, (size_t)(f->living * width) * 8);
    free(said);
    return device;
}

/* Launches count, set and place; the counts of other ranks come between. */
static int32_t *of_device(const struct fill *f)
{
    int32_t ranks = f->shape.ranks, columns = f->top_k + f->shape.shared;
    size_t bytes = (size_t)(f->rows * columns) * 4;
    struct slc_water water = {.dynamic = f->dynamic, .width = 1, .rows = SLC_WATER_ROWS};
    while (water.width < f->top_k && water.width < 32)
        water.width *= 2;
    water.job.rows = f->rows, water.job.io.valid_rows = f->rows;
    water.job.rule.top_k = f->top_k;
    int32_t *listed = room((size_t)(ranks + 1) * 4);
    listed[0] = f->living;
    memcpy(listed + 1, f->living_ranks, (size_t)ranks * 4);
    water.job.map.living = there(listed, (size_t)(ranks + 1) * 4);
    free(listed);
    water.job.map.local = f->shape.local, water.job.map.slots = f->shape.slots;
    water.job.map.shared = f->shape.shared, water.job.map.rank = f->shape.rank;
    water.job.map.ranks = ranks;
    water.job.in_ids = water.job.dispatch_ids = (struct sl_ids){there(f->ids, bytes), columns, 0};
    water.counted = there(NULL, (size_t)(ranks + 1) * 8);
    water.said = water.counted, water.said_rows = 1;
    water.line = there(NULL, (size_t)ranks * 8);
    water.rooms = there(NULL, (size_t)ranks * 8);
    water.plan = there(NULL, sizeof *water.plan);
    water.finished = there(NULL, 4);
    int32_t warps = SLC_WATER_THREADS / 32, a_block = warps * water.rows;
    int32_t blocks = (f->rows + a_block - 1) / a_block;
    kernel_run(SLC_K_water_count, blocks, warps, (size_t)ranks * 4, &water);
    if (f->dynamic) {
        water.said = said_of(f, &water);
        kernel_run(SLC_K_water_set, 1, warps, 0, &water);
        drop(water.said);
    }
    kernel_run(SLC_K_water_place, blocks, warps, (size_t)slc_water_bytes(&water), &water);
    int64_t *left = back(water.counted, (size_t)(ranks + 1) * 8);
    for (int32_t i = 0; i <= ranks; i++)
        if (left[i] != 0)
            stop("counts are not cleared");
    free(left);
    drop(water.job.map.living), drop(water.line), drop(water.rooms), drop(water.plan),
        drop(water.finished);
    return back(water.job.dispatch_ids.data, bytes);
}

static bool agrees(const struct fill *f)
{
    int32_t columns = f->top_k + f->shape.shared;
    int32_t *is = of_device(f), *be = reference(f);
    bool same = true;
    for (int32_t i = 0; i < f->rows * columns && same; i++)
        if (is[i] != be[i]) {
            printf("not ok: row %d column %d is %d, must be %d: W %d (%d live) K %d F %d rows %d "
                   "dynamic %d\n",
                   i / columns, i % columns, is[i], be[i], f->shape.ranks, f->living, f->top_k,
                   f->shape.shared, f->rows, f->dynamic);
            same = false;
        }
    free(is), free(be);
    return same;
}

/* Is the cost of a token within what is promised? The mode that takes visited ranks only is shown
 * beside. */
static bool measure(int32_t dynamic, bool visited)
{
    struct standin_counters c;
    struct fill f = draw(8, 8, 4096, true);
    f.dynamic = dynamic;
    for (int32_t r = 0; r < 8; r++)
        f.others[r] = dynamic ? visited && r == 0 ? 150000 : 100000 : 0;
    kernel_counters_reset();
    free(of_device(&f));
    free_fill(&f);
    if (!kernel_counters(&c))
        return true;
    double tokens = 4096;
    printf("%s%s: %.1f warp instructions a token, sectors %.1f loaded, %.1f stored\n",
           dynamic ? "dynamic" : "static", visited ? ", visited ranks" : "",
           (double)c.warp_instructions / tokens, (double)c.load_sectors / tokens,
           (double)c.store_sectors / tokens);
    return visited || (double)c.warp_instructions <= A_TOKEN * tokens;
}

int main(int argc, char **argv)
{
    static const int32_t RANKS[] = {1, 2, 4, 8, 32, 33, 144, 320, 1024};
    int32_t cases = argc > 1 ? atoi(argv[1]) : 100, passed = 0, failed = 0;
    state = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    kernel_begin();
    for (int32_t i = 0; i < cases && failed < 5; i++) {
        int32_t top_k = below(4) ? 1 + below(9) : 1 + below(SL_MAX_K);
        struct fill f = draw(RANKS[below(9)], top_k, 1 + below(i % 8 ? 100 : 900), false);
        bool same = agrees(&f);
        passed += same;
        failed += !same;
        free_fill(&f);
    }
    for (int32_t i = 0; i < 3 && argc > 3; i++) {
        bool within = measure(i > 0, i == 2);
        if (!within)
            printf("not ok: more than %d instructions a token\n", A_TOKEN);
        passed += within;
        failed += !within;
    }
    kernel_end();
    printf("%d passed, %d failed\n", passed, failed);
    return failed != 0;
}
