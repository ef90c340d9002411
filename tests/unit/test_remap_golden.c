#include "ct.h"
#include "ct_json.h"
#include "ct_npy.h"
#include "place_world.h"
#include "src/core/choose.h"

#include <stdlib.h>
#include <string.h>

/* One case of a golden family: its parameters, and the three arrays all of these have. */
struct golden {
    const char *name;
    const ct_json *params;
    int differs;
    struct ct_npy ids, map, out;
    int32_t rows, top_k;
};

static int32_t number(const struct golden *golden, const char *key)
{
    return (int32_t)ct_json_int(ct_json_get(golden->params, key), 0);
}

static bool open_case(struct golden *golden, const ct_json *entry)
{
    golden->name = ct_json_str(ct_json_get(entry, "case"), "");
    golden->params = ct_json_get(entry, "params");
    golden->differs = peer_differs(golden->name);
    ct_note("%s", golden->name);
    return ct_expect_true(golden->params != NULL);
}

static bool load_ids(struct golden *golden, const char *out)
{
    if (!ct_expect_true(ct_npy_golden(&golden->ids, golden->name, "ids.npy") &&
                        ct_npy_golden(&golden->out, golden->name, out)))
        return false;
    golden->rows = (int32_t)golden->ids.shape[0];
    golden->top_k = (int32_t)golden->ids.shape[1];
    return ct_expect_true(ct_npy_i32(&golden->ids) && ct_npy_i32(&golden->out));
}

/* A world with layer 0 of the case's map. */
static struct world *golden_world(struct golden *golden, int32_t rank)
{
    if (!ct_expect_true(ct_npy_golden(&golden->map, golden->name, "physical_to_logical.npy")))
        return NULL;
    int32_t ranks = number(golden, "W"), physical = (int32_t)golden->map.shape[1];
    int32_t nodes = (int32_t)ct_json_int(ct_json_get(golden->params, "nodes"), 1);
    struct world *world = world_make(number(golden, "E"), physical / ranks, ranks, 0, rank);
    memcpy(world->map, ct_npy_i32(&golden->map), (size_t)physical * sizeof *world->map);
    for (int32_t r = 0; r < ranks; r++)
        world->node[r] = r / (ranks / nodes);
    world_build(world, 20260, 0);
    return world;
}

static int32_t *map_rows_of(const struct golden *golden, const struct sl_remap *remap)
{
    size_t choices = (size_t)golden->rows * (size_t)golden->top_k;
    uint8_t *valid = ct_alloc((size_t)golden->rows);
    memset(valid, 1, (size_t)golden->rows);
    const struct sl_mapped out = {ct_alloc(choices * sizeof(int32_t)), NULL, NULL};
    struct sl_remap_tally tally = {0, 0};
    sl_remap_block(remap, 0, golden->rows, valid, ct_npy_i32(&golden->ids), NULL, NULL, &out,
                   &tally);
    return out.physical;
}

static void compare_static(struct golden *golden)
{
    struct world *world = golden_world(golden, number(golden, "dispatch_rank"));
    struct ct_npy nearest;
    ct_true(world && load_ids(golden, "physical_ids.npy"));
    ct_true(ct_npy_golden(&nearest, golden->name, "nearest.npy"));
    struct sl_remap remap = world_remap(world, golden->top_k);
    const int32_t *got = map_rows_of(golden, &remap), *ids = ct_npy_i32(&golden->ids);
    ptrdiff_t layers = (ptrdiff_t)golden->map.shape[0], experts = world->shape.experts;
    const int32_t *decided = ct_npy_i32(&nearest) + world->shape.rank * layers * experts;
    for (int32_t c = 0; c < golden->rows * golden->top_k; c++) {
        if (decided[ids[c]] >= 0 && !(golden->differs & PEER_COPY_ORDER))
            ct_eq_i64(got[c], ct_npy_i32(&golden->out)[c]);
        ct_eq_i64(world->map[got[c]], ids[c]);
        ct_eq_i64(world->map[ct_npy_i32(&golden->out)[c]], ids[c]);
    }
}

CT(remap, golden_static, "static choices are SGLang's wherever place decides")
{
    const ct_json *cases = ct_golden_cases();
    if (!cases)
        ct_skip("no golden files");
    int seen = 0;
    for (size_t i = 0; i < ct_json_len(cases) && !ct_failed(); i++) {
        struct golden golden;
        const ct_json *entry = ct_json_at(cases, i);
        if (strncmp(ct_json_str(ct_json_get(entry, "case"), ""), "remap/static-", 13) != 0)
            continue;
        ct_true(open_case(&golden, entry));
        compare_static(&golden);
        seen++;
    }
    ct_eq_i64(seen, ct_golden_count(24, 3));
}

static int ascending(const void *a, const void *b)
{
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

CT(remap, golden_by_row, "without all-to-all copy number (row mod copies) is SGLang's")
{
    const ct_json *entry = ct_golden_case("remap/dynamic-by-row");
    if (!entry)
        ct_skip("no golden files");
    struct golden golden;
    struct ct_npy candidates;
    ct_true(open_case(&golden, entry));
    struct world *world = golden_world(&golden, 3);
    ct_true(world && load_ids(&golden, "physical_ids.npy"));
    ct_true(ct_npy_golden(&candidates, golden.name, "candidates.npy"));
    ct_true((golden.differs & PEER_COPY_ORDER) != 0);
    struct sl_remap remap = world_remap(world, golden.top_k);
    remap.by_row = 1;
    const int32_t *got = map_rows_of(&golden, &remap);
    int32_t width = (int32_t)candidates.shape[2];
    for (int32_t c = 0; c < golden.rows * golden.top_k; c++) {
        /* The peer's copy number in its own order must be ours in the order of slots. */
        int32_t sorted[64], count = 0, taken = -1;
        const int32_t *copies =
            ct_npy_i32(&candidates) + (ptrdiff_t)ct_npy_i32(&golden.ids)[c] * width;
        for (; count < width && copies[count] >= 0; count++) {
            sorted[count] = copies[count];
            taken = copies[count] == ct_npy_i32(&golden.out)[c] ? count : taken;
        }
        qsort(sorted, (size_t)count, sizeof *sorted, ascending);
        ct_true(taken >= 0);
        ct_eq_i64(got[c], sorted[taken]);
    }
}

CT(remap, golden_random, "random choices are copies of the expert, as SGLang's are")
{
    const ct_json *entry = ct_golden_case("remap/dynamic-random");
    if (!entry)
        ct_skip("no golden files");
    struct golden golden;
    ct_true(open_case(&golden, entry));
    struct world *world = golden_world(&golden, 3);
    ct_true(world && load_ids(&golden, "physical_ids.npy"));
    struct sl_remap remap = world_remap(world, golden.top_k);
    remap.copy_policy = SLUICE_COPY_RANDOM;
    const int32_t *got = map_rows_of(&golden, &remap);
    for (int32_t c = 0; c < golden.rows * golden.top_k; c++) {
        int32_t expert = ct_npy_i32(&golden.ids)[c];
        ct_eq_i64(world->map[got[c]], expert);
        ct_eq_i64(world->map[ct_npy_i32(&golden.out)[c]], expert);
    }
}

CT(remap, golden_minus_one, "SGLang looks -1 up from the map's end; here it stays -1")
{
    const ct_json *entry = ct_golden_case("differs/static-minus-one");
    if (!entry)
        ct_skip("no golden files");
    struct golden golden;
    ct_true(open_case(&golden, entry));
    ct_true(load_ids(&golden, "physical_ids.npy"));
    struct world *world = world_make(32, 4, 8, 0, 3);
    world_build(world, 0, 0);
    struct sl_remap remap = world_remap(world, golden.top_k);
    const int32_t *got = map_rows_of(&golden, &remap);
    int32_t none = 0;
    for (int32_t c = 0; c < golden.rows * golden.top_k; c++) {
        bool wraps = ct_npy_i32(&golden.ids)[c] == -1 && golden.differs & PEER_WRAPS_MINUS_ONE;
        none += wraps;
        ct_eq_i64(got[c], wraps ? -1 : ct_npy_i32(&golden.out)[c]);
    }
    ct_true(none > 0);
}

/* -------------------------------------------------------------------------------- shared slots */

/* What SGLang leaves undivided: no factor, or one that the weights already carry. */
static float divisor_of(const struct golden *golden)
{
    bool after = !ct_json_bool(ct_json_get(golden->params, "scaled_on_output"), false);
    double scale = ct_json_num(ct_json_get(golden->params, "routed_scaling_factor"), 1.0);
    return after ? (float)scale : 1.0F;
}

static void compare_local(struct golden *golden)
{
    struct ct_npy weights, out_weights;
    ct_true(load_ids(golden, "dispatch_ids.npy"));
    ct_true(ct_npy_golden(&weights, golden->name, "weights.npy") &&
            ct_npy_golden(&out_weights, golden->name, "dispatch_weights.npy"));
    int32_t ranks = number(golden, "W"), physical = number(golden, "P");
    int32_t shared = number(golden, "F"), wide = golden->top_k + shared;
    struct world *world =
        world_make(physical, physical / ranks, ranks, shared, number(golden, "rank"));
    world_build(world, 0, 0);
    struct sl_remap remap = world_remap(world, golden->top_k);
    remap.shared_constant = 1.0F / divisor_of(golden);
    size_t cells = (size_t)golden->rows * (size_t)wide;
    uint8_t *valid = ct_alloc((size_t)golden->rows);
    memset(valid, 1, (size_t)golden->rows);
    const struct sl_mapped out = {ct_alloc(cells * sizeof(int32_t)),
                                  ct_alloc(cells * sizeof(int32_t)),
                                  ct_alloc(cells * sizeof(float))};
    struct sl_remap_tally tally = {0, 0};
    sl_remap_block(&remap, 0, golden->rows, valid, ct_npy_i32(&golden->ids), ct_npy_f32(&weights),
                   NULL, &out, &tally);
    for (int32_t c = 0; c < golden->rows * wide; c++) {
        int32_t t = c / wide, k = c % wide;
        bool none = k < golden->top_k && ct_npy_i32(&golden->ids)[t * golden->top_k + k] == -1;
        if (none && golden->differs & PEER_SHIFTS_MINUS_ONE) {
            ct_eq_i64(out.slots[c], -1);
            ct_eq_f32bits(out.weights[c], 0.0F);
            ct_eq_i64(ct_npy_i32(&golden->out)[c], -1 - shared);
        } else {
            ct_eq_i64(out.slots[c], ct_npy_i32(&golden->out)[c]);
            ct_eq_f32bits(out.weights[c], ct_npy_f32(&out_weights)[c]);
        }
    }
}

CT(remap, golden_shared_local, "shared slots at home and their weights are SGLang's")
{
    const ct_json *cases = ct_golden_cases();
    if (!cases)
        ct_skip("no golden files");
    int seen = 0;
    for (size_t i = 0; i < ct_json_len(cases) && !ct_failed(); i++) {
        struct golden golden;
        const ct_json *entry = ct_json_at(cases, i);
        if (strncmp(ct_json_str(ct_json_get(entry, "case"), ""), "shared/local-", 13) != 0)
            continue;
        ct_true(open_case(&golden, entry));
        compare_local(&golden);
        seen++;
    }
    ct_eq_i64(seen, ct_golden_count(7, 3));
}

/* ------------------------------------------------------------------- router, then shared slots */

struct pair {
    int32_t id;
    float weight;
};

static int by_id(const void *a, const void *b)
{
    return ascending(&((const struct pair *)a)->id, &((const struct pair *)b)->id);
}

static bool make_rule(const struct golden *golden, struct sl_rule *rule)
{
    char text[160] = "";
    const sluice_router router = {
        .struct_size = sizeof router,
        .experts = number(golden, "E"),
        .top_k = number(golden, "K"),
        .score = SLUICE_SCORE_SIGMOID,
        .bias_use = SLUICE_BIAS_SCORE,
        .groups = number(golden, "groups"),
        .keep_groups = number(golden, "topk_groups"),
        .group_value = SLUICE_GROUP_TOP2,
        .renorm = ct_json_bool(ct_json_get(golden->params, "renormalize"), false),
        .scale = (float)ct_json_num(ct_json_get(golden->params, "routed_scaling_factor"), 1),
        .scale_by = SLUICE_SCALE_BY_ENGINE,
        .shared = number(golden, "F"),
    };
    return ct_expect_eq_i64(sl_rule_make(rule, &router, text, sizeof text), SLUICE_OK);
}

static void compare_row(const struct golden *golden, struct pair *got, struct pair *want,
                        int32_t wide, bool padding)
{
    if (padding) {
        ct_true((golden->differs & PEER_SERVES_PADDING) != 0);
        ct_eq_i64(want[0].id, -1 - number(golden, "F"));
        ct_true(want[wide - 1].id >= 0);
        for (int32_t k = 0; k < wide; k++)
            ct_true(got[k].id == -1 && got[k].weight == 0.0F);
        return;
    }
    qsort(got, (size_t)wide, sizeof *got, by_id);
    qsort(want, (size_t)wide, sizeof *want, by_id);
    for (int32_t k = 0; k < wide; k++) {
        ct_eq_i64(got[k].id, want[k].id);
        ct_near(got[k].weight, want[k].weight, 3e-6 * (double)want[k].weight);
    }
}

static void compare_whole(const struct golden *golden)
{
    struct ct_npy logits, bias, ids, weights;
    struct sl_rule rule;
    ct_true(ct_npy_golden(&logits, golden->name, "logits.npy") &&
            ct_npy_golden(&bias, golden->name, "bias.npy") &&
            ct_npy_golden(&ids, golden->name, "dispatch_ids.npy") &&
            ct_npy_golden(&weights, golden->name, "dispatch_weights.npy"));
    ct_true(make_rule(golden, &rule));
    int32_t ranks = number(golden, "W"), wide = rule.top_k + rule.shared;
    int32_t rows = (int32_t)logits.shape[0], shared = rule.shared;
    int32_t filled = (int32_t)ct_json_int(ct_json_get(golden->params, "valid"), rows);
    struct world *world =
        world_make(rule.experts, rule.experts / ranks, ranks, shared, number(golden, "rank"));
    world_build(world, 0, 0);
    struct sl_remap remap = world_remap(world, rule.top_k);
    remap.shared_constant = rule.shared_scale / rule.shared_divisor;
    const struct sl_choose_io io = {.logits = logits.data,
                                    .logit_stride = rule.columns,
                                    .logit_type = SL_F32,
                                    .bias = ct_npy_f32(&bias),
                                    .bias_stride = rule.columns,
                                    .valid_rows = filled};
    for (int32_t t = 0; t < rows && !ct_failed(); t++) {
        int32_t chosen[SL_MAX_K], physical[SL_MAX_K], slots[SL_MAX_K + SL_MAX_SHARED];
        float routed[SL_MAX_K], out[SL_MAX_K + SL_MAX_SHARED], no_shared[SL_MAX_SHARED], zero;
        const struct sl_choices choices = {chosen, routed, no_shared, &zero};
        const struct sl_mapped mapped = {physical, slots, out};
        struct sl_remap_tally tally = {0, 0};
        struct pair got[SL_MAX_K + SL_MAX_SHARED], want[SL_MAX_K + SL_MAX_SHARED];
        uint8_t valid = t < filled;
        sl_choose_portable(&rule, &io, t, 1, &choices);
        sl_remap_block(&remap, t, 1, &valid, chosen, routed, NULL, &mapped, &tally);
        for (int32_t k = 0; k < wide; k++) {
            got[k] = (struct pair){slots[k], out[k]};
            want[k] =
                (struct pair){ct_npy_i32(&ids)[t * wide + k], ct_npy_f32(&weights)[t * wide + k]};
        }
        compare_row(golden, got, want, wide, !valid);
    }
}

CT(remap, golden_shared_whole, "router and shared slots together give SGLang's pairs")
{
    const ct_json *cases = ct_golden_cases();
    if (!cases)
        ct_skip("no golden files");
    int seen = 0;
    for (size_t i = 0; i < ct_json_len(cases) && !ct_failed(); i++) {
        struct golden golden;
        const ct_json *entry = ct_json_at(cases, i);
        if (strncmp(ct_json_str(ct_json_get(entry, "case"), ""), "shared/whole-", 13) != 0)
            continue;
        ct_true(open_case(&golden, entry));
        compare_whole(&golden);
        seen++;
    }
    ct_eq_i64(seen, ct_golden_count(3, 1));
}
