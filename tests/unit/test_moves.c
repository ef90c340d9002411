/* The order of moves: what is done first where not everything can be. */
#include "ct.h"
#include "place_world.h"
#include "src/core/moves.h"

#include <string.h>

enum { GROUPS = 12, LAYERS = 5 };

CT(moves, chunks, "chunks are whole prefixes of a layer, their gain a unit falls, and none is idle")
{
    uint64_t random = 1;
    for (int i = 0; i < 300 && !ct_failed(); i++) {
        double bound[LAYERS][GROUPS + 1], cost[LAYERS][GROUPS];
        struct sl_moves_chunk chunk[LAYERS * (GROUPS + 1)], spare[LAYERS * (GROUPS + 1)];
        int32_t count = 0, must[LAYERS], best_end[LAYERS];
        for (int32_t l = 0; l < LAYERS; l++) {
            int32_t groups = draw_below(&random, GROUPS + 1), at = 0;
            bound[l][0] = 2;
            best_end[l] = must[l] = groups ? draw_below(&random, 2) : 0;
            for (int32_t g = 0; g < groups; g++) {
                bound[l][g + 1] = bound[l][g] + (draw_below(&random, 20) - 13) / 100.0;
                cost[l][g] = 1 + draw_below(&random, 3);
            }
            for (int32_t g = must[l]; g <= groups; g++)
                if (bound[l][g] < bound[l][best_end[l]])
                    best_end[l] = g;
            int32_t made = sl_moves_chunks(l, groups, must[l], bound[l], cost[l], chunk + count);
            for (int32_t c = count; c < count + made; c++) {
                ct_eq_i64(chunk[c].first, at);
                ct_true(chunk[c].end > at && chunk[c].layer == l);
                ct_true(chunk[c].must || chunk[c].gain > 0);
                ct_true(c == count || chunk[c - 1].must || chunk[c].gain <= chunk[c - 1].gain);
                at = chunk[c].end;
            }
            ct_true(at <= groups);
            ct_near(bound[l][at], bound[l][best_end[l]], 1e-12);
            count += made;
        }
        sl_moves_sort(chunk, count, spare);
        int32_t done[LAYERS] = {0};
        for (int32_t c = 0; c < count; c++) {
            ct_eq_i64(chunk[c].first, done[chunk[c].layer]);
            done[chunk[c].layer] = chunk[c].end;
            ct_true(c == 0 || chunk[c - 1].must > chunk[c].must ||
                    (chunk[c - 1].must == chunk[c].must && chunk[c - 1].gain >= chunk[c].gain));
        }
    }
}

CT(moves, order, "writes of any two maps are ordered so that no map on the way loses an expert")
{
    uint64_t random = 2;
    int twice = 0;
    for (int i = 0; i < 500 && !ct_failed(); i++) {
        struct sl_moves_world world = {.experts = 1 + draw_below(&random, 20)};
        world.ranks = 1 + draw_below(&random, 6);
        world.slots = (world.experts - 1) / world.ranks + 1 + draw_below(&random, 2);
        int32_t physical = world.slots * world.ranks, map[64], want[64], count = 0;
        struct sl_moves_write pending[64], out[128];
        for (int32_t turn = 0; turn < 2; turn++) {
            int32_t *to = turn ? want : map;
            for (int32_t p = 0; p < physical; p++)
                to[p] = p < world.experts ? p : draw_below(&random, world.experts);
            for (int32_t p = physical - 1; p > 0; p--) {
                int32_t q = draw_below(&random, p + 1), held = to[p];
                to[p] = to[q];
                to[q] = held;
            }
        }
        for (int32_t p = 0; p < physical; p++)
            if (map[p] != want[p])
                pending[count++] = (struct sl_moves_write){.to = p, .expert = want[p]};
        struct sl_moves moves;
        int32_t on_the_way[64];
        memcpy(on_the_way, map, sizeof map);
        sl_moves_open(&moves, &world, map, ct_alloc(sl_moves_bytes(&world)));
        int32_t done = sl_moves_order(&moves, pending, count, out);
        ct_eq_mem(map, want, (size_t)physical * sizeof *map);
        ct_true(done >= count && done <= 2 * count);
        twice += done > count;
        sl_moves_open(&moves, &world, on_the_way, ct_alloc(sl_moves_bytes(&world)));
        for (int32_t m = 0; m < done; m++) {
            int32_t pair = m + 1 < done && sl_moves_swaps(&moves, out + m, out + m + 1);
            for (int32_t k = 0; k <= pair; k++)
                ct_true(moves.copies[out[m + k].expert] > 0);
            for (int32_t k = 0; k <= pair; k++)
                sl_moves_put(&moves, out[m + k].to, out[m + k].expert);
            for (int32_t e = 0; e < world.experts; e++)
                ct_true(moves.copies[e] > 0);
            m += pair;
        }
        ct_eq_mem(on_the_way, want, (size_t)physical * sizeof *want);
    }
    ct_true(twice > 50);
}

CT(moves, source, "the nearest copy is taken, and of equals from whoever sent least")
{
    static const int32_t node[4] = {0, 0, 1, 1};
    static const uint8_t alive[4] = {1, 1, 1, 0};
    int32_t map[8] = {0, 1, 2, 3, 0, 1, 2, 3};
    int64_t sent[4] = {5, 0, 0, 0};
    const struct sl_moves_world world = {4, 2, 4, node, alive};
    struct sl_moves moves;
    sl_moves_open(&moves, &world, map, ct_alloc(sl_moves_bytes(&world)));
    ct_eq_i64(sl_moves_source(&moves, 0, 1, sent), 0); /* its own rank */
    ct_eq_i64(sl_moves_source(&moves, 0, 2, sent), 0); /* its node, though that has sent more */
    ct_eq_i64(sl_moves_source(&moves, 2, 4, sent), 2); /* the copy on dead rank 3 does not count */
    ct_eq_i64(sl_moves_source(&moves, 1, 3, sent), 1);
    sl_moves_put(&moves, 2, 1);
    ct_eq_i64(sl_moves_source(&moves, 2, 4, sent), -1);
    sent[0] = 0;
    sent[1] = 7;
    sl_moves_put(&moves, 5, 3);
    ct_eq_i64(sl_moves_source(&moves, 1, 4, sent), 1); /* ranks 0 and 1 are as far: 0 sent less */
}
