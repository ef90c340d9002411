#include "ct.h"
#include "ct_json.h"
#include "ct_npy.h"
#include "place_world.h"
#include "src/core/count.h"

#include <string.h>

CT(count, vector, "ids -1 0 3 4 9 of P=4 count 1 0 0 1, two rejected")
{
    const int32_t ids[5] = {-1, 0, 3, 4, 9};
    const uint64_t want[4] = {1, 0, 0, 1};
    uint64_t counters[4] = {0, 0, 0, 0};
    ct_eq_u64(sl_count_ids(counters, 4, ids, 5), 2);
    ct_eq_mem(counters, want, sizeof want);
    ct_eq_u64(sl_count_ids(counters, 4, ids, 0), 0);
    ct_eq_mem(counters, want, sizeof want);
}

CT(count, sixty_four_bits, "counters go on past 32 bits")
{
    uint64_t counters[2] = {0xFFFFFFFFU, UINT64_MAX - 1};
    const int32_t ids[3] = {0, 1, 0};
    ct_eq_u64(sl_count_ids(counters, 2, ids, 3), 0);
    ct_eq_u64(counters[0], 0x100000001U);
    ct_eq_u64(counters[1], UINT64_MAX);
}

CT(count, other_extremes, "the least and greatest ids are rejected, narrow and wide")
{
    int32_t narrow[4] = {INT32_MIN, INT32_MAX, -2, 2};
    int64_t wide[6] = {INT64_MIN, INT64_MAX, -2, 2, 1LL << 32, 0xFFFFFFFFLL};
    uint64_t counters[2] = {0, 0};
    struct sl_ids ids = {narrow, 4, 0};
    ct_eq_u64(sl_count_rows(counters, 2, &ids, 1, 4), 4);
    ids = (struct sl_ids){wide, 6, 1};
    ct_eq_u64(sl_count_rows(counters, 2, &ids, 1, 6), 6);
    ct_eq_u64(counters[0] + counters[1], 0);
}

CT(count, rows_and_strides, "rows with a stride, int32 or int64, count as the dense ids do")
{
    uint64_t random = 1;
    for (int i = 0; i < 100; i++) {
        int32_t rows = draw_below(&random, 20), columns = 1 + draw_below(&random, 9);
        int32_t stride = columns + draw_below(&random, 4), physical = 1 + draw_below(&random, 30);
        size_t cells = (size_t)(rows * stride), entries = (size_t)(rows * columns);
        int32_t *dense = ct_alloc(entries * sizeof *dense), *narrow = ct_alloc(cells * 4);
        int64_t *wide = ct_alloc(cells * 8);
        memset(narrow, 0, cells * 4); /* what lies between the rows would count */
        for (int32_t t = 0; t < rows; t++)
            for (int32_t k = 0; k < columns; k++)
                wide[t * stride + k] = narrow[t * stride + k] = dense[t * columns + k] =
                    draw_below(&random, physical + 6) - 3;
        uint64_t want[40] = {0}, got[40] = {0}, got_wide[40] = {0};
        uint64_t rejected = sl_count_ids(want, physical, dense, (int64_t)entries);
        const struct sl_ids ids = {narrow, stride, 0}, wide_ids = {wide, stride, 1};
        ct_eq_u64(sl_count_rows(got, physical, &ids, rows, columns), rejected);
        ct_eq_u64(sl_count_rows(got_wide, physical, &wide_ids, rows, columns), rejected);
        ct_eq_mem(got, want, sizeof want);
        ct_eq_mem(got_wide, want, sizeof want);
    }
}

CT(count, everything_is_somewhere, "counted, rejected and -1 make up all ids")
{
    uint64_t random = 2;
    int32_t ids[500];
    for (int i = 0; i < 50; i++) {
        int32_t physical = 1 + draw_below(&random, 100);
        uint64_t counters[100] = {0}, sum = 0, none = 0;
        for (int c = 0; c < 500; c++) {
            ids[c] = draw_below(&random, physical * 2 + 4) - 4;
            none += ids[c] == -1;
        }
        sum = sl_count_ids(counters, physical, ids, 500);
        for (int32_t p = 0; p < physical; p++)
            sum += counters[p];
        ct_eq_u64(sum + none, 500);
    }
}

/* ------------------------------------------------------------------- a transport's own counts */

CT(count, slots_without_shared,
   "local slot counts land on this rank's experts, shared ones on none")
{
    const struct sl_shape shape = {9, 3, 3, 2, 5, 9, 1};
    int32_t narrow[5] = {5, 0, 7, 1000, 1000};
    int64_t wide[5] = {1LL << 33, 0, 1, 1LL << 40, 1};
    uint64_t counters[9] = {1, 1, 1, 1, 1, 1, 1, 1, 1};
    struct sl_ids counts = {narrow, 1, 0};
    ct_eq_i64(sl_count_slots(counters, &shape, &counts), -1);
    const uint64_t want[9] = {1, 1, 1, 6, 1, 8, 1, 1, 1};
    ct_eq_mem(counters, want, sizeof want);
    counts = (struct sl_ids){wide, 1, 1};
    ct_eq_i64(sl_count_slots(counters, &shape, &counts), -1);
    ct_eq_u64(counters[3], 6 + (1ULL << 33));
    ct_eq_u64(counters[5], 9);
    ct_eq_u64(counters[6], 1);
}

CT(count, negative_slots, "a negative count is named, shared slots' too, and nothing is added")
{
    const struct sl_shape shape = {2, 2, 1, 1, 3, 2, 0};
    for (int32_t bad = 0; bad < 3; bad++) {
        int32_t narrow[3] = {4, 4, 4};
        narrow[bad] = -1;
        const struct sl_ids counts = {narrow, 1, 0};
        uint64_t counters[2] = {0, 0};
        ct_eq_i64(sl_count_slots(counters, &shape, &counts), bad);
        ct_eq_u64(counters[0] + counters[1], 0);
    }
}

CT(count, logical_through_the_map, "copies add up by expert, empty slots to none")
{
    const struct sl_shape shape = {3, 3, 2, 0, 3, 6, 0};
    const int32_t map[6] = {2, 0, -1, 1, 2, 0};
    const uint64_t counters[6] = {1, 20, 300, 4000, 50000, 1ULL << 40};
    int64_t logical[3] = {7, 0, 0};
    sl_count_logical(counters, &shape, map, logical);
    ct_eq_i64(logical[0], 27 + (1LL << 40));
    ct_eq_i64(logical[1], 4000);
    ct_eq_i64(logical[2], 50001);
}

/* ------------------------------------------------------------------------------ golden files */

static void compare_scatter(const char *name)
{
    struct ct_npy ids, counters;
    ct_true(ct_npy_golden(&ids, name, "ids.npy") && ct_npy_golden(&counters, name, "counters.npy"));
    int32_t layers = (int32_t)ids.shape[0], physical = (int32_t)counters.shape[1];
    int64_t entries = (int64_t)(ids.shape[1] * ids.shape[2]);
    for (int32_t layer = 0; layer < layers; layer++) {
        uint64_t *got = ct_alloc((size_t)physical * sizeof *got);
        (void)sl_count_ids(got, physical, ct_npy_i32(&ids) + layer * entries, entries);
        for (int32_t p = 0; p < physical; p++)
            ct_eq_i64(got[p], ct_npy_i32(&counters)[layer * physical + p]);
    }
}

CT(count, golden_scatter, "counters are SGLang's, ids out of range left out")
{
    const ct_json *cases = ct_golden_cases();
    if (!cases)
        ct_skip("no golden files");
    int seen = 0;
    for (size_t i = 0; i < ct_json_len(cases) && !ct_failed(); i++) {
        const char *name = ct_json_str(ct_json_get(ct_json_at(cases, i), "case"), "");
        if (strncmp(name, "record/scatter-", 15) != 0)
            continue;
        ct_note("%s", name);
        ct_eq_i64(peer_differs(name), 0);
        compare_scatter(name);
        seen++;
    }
    ct_eq_i64(seen, ct_golden_count(3, 1));
}

CT(count, golden_map_and_record, "remap and record together count what SGLang's fused kernel does")
{
    const char *name = "record/map-and-record";
    const ct_json *params = ct_json_get(ct_golden_case(name), "params");
    if (!params)
        ct_skip("no golden files");
    struct ct_npy ids, map, physical, counters;
    ct_true(ct_npy_golden(&ids, name, "ids.npy") && ct_npy_golden(&map, name, "map.npy") &&
            ct_npy_golden(&physical, name, "physical_ids.npy") &&
            ct_npy_golden(&counters, name, "counters.npy"));
    int32_t filled = (int32_t)ct_json_int(ct_json_get(params, "valid"), 0);
    int differs = peer_differs(name);
    struct world *world = world_make(20, 24, 1, 0, 0);
    memset(world->map, 0xFF, 24 * sizeof(int32_t));
    for (int32_t e = 0; e < 20; e++)
        world->map[ct_npy_i32(&map)[e]] = e;
    world_build(world, 0, 0);
    struct sl_remap remap = world_remap(world, 4);
    int32_t got[160];
    uint8_t valid[40];
    for (int32_t t = 0; t < 40; t++)
        valid[t] = t < filled;
    const struct sl_mapped out = {got, NULL, NULL};
    struct sl_remap_tally tally = {0, 0};
    sl_remap_block(&remap, 0, 40, valid, ct_npy_i32(&ids), NULL, NULL, &out, &tally);
    for (int32_t c = 0; c < 160; c++) {
        int32_t id = ct_npy_i32(&ids)[c];
        bool outside = (id < 0 || id >= 20) && differs & PEER_PASSES_OUTSIDE;
        bool padding = c / 4 >= filled && differs & PEER_MAPS_PADDING;
        if (outside)
            ct_eq_i64(ct_npy_i32(&physical)[c], id);
        ct_eq_i64(got[c], outside || padding ? -1 : ct_npy_i32(&physical)[c]);
    }
    uint64_t count[24] = {0};
    ct_eq_u64(sl_count_ids(count, 24, got, 160), 0);
    for (int32_t p = 0; p < 24; p++)
        ct_eq_i64(count[p], ct_npy_i32(&counters)[p]);
}

CT(count, golden_logical, "counts by logical expert are SGLang's")
{
    const char *name = "record/load-and-balance";
    if (!ct_golden_case(name))
        ct_skip("no golden files");
    struct ct_npy map, physical, logical;
    ct_true(ct_npy_golden(&map, name, "physical_to_logical.npy") &&
            ct_npy_golden(&physical, name, "physical_count.npy") &&
            ct_npy_golden(&logical, name, "logical_count.npy"));
    const struct sl_shape shape = {24, 4, 8, 0, 4, 32, 0};
    for (int32_t i = 0; i < 12; i++) {
        uint64_t counters[32];
        int64_t got[24] = {0};
        for (int32_t p = 0; p < 32; p++)
            counters[p] = (uint64_t)ct_npy_i32(&physical)[i * 32 + p];
        sl_count_logical(counters, &shape, ct_npy_i32(&map) + i % 4 * 32, got);
        for (int32_t e = 0; e < 24; e++)
            ct_eq_i64(got[e], ct_npy_i32(&logical)[i * 24 + e]);
    }
}
