#include "ct.h"
#include "ct_json.h"
#include "ct_npy.h"
#include "place_world.h"
#include "src/core/eplb_map.h"

#include <float.h>
#include <stdlib.h>
#include <string.h>

static void solve(const struct sl_eplb *problem, const int64_t *counts, int32_t *map)
{
    sl_eplb_solve(problem, counts, map, ct_alloc(sl_eplb_bytes(problem)));
}

/* ---------------------------------------------------------------------------- golden vectors */

struct golden {
    const char *name;
    const ct_json *params;
    struct ct_npy counts, map;
    struct sl_eplb problem;
    int32_t layers;
};

static int32_t number(const struct golden *golden, const char *key, int32_t otherwise)
{
    return (int32_t)ct_json_int(ct_json_get(golden->params, key), otherwise);
}

static bool open_case(struct golden *golden, const ct_json *entry, const char *map)
{
    golden->name = ct_json_str(ct_json_get(entry, "case"), "");
    golden->params = ct_json_get(entry, "params");
    ct_note("%s %s", golden->name, map);
    if (!ct_expect_true(ct_npy_golden(&golden->counts, golden->name, "counts.npy") &&
                        ct_npy_golden(&golden->map, golden->name, map)))
        return false;
    bool nodes = strcmp(ct_json_str(ct_json_get(golden->params, "policy"), ""), "global") != 0;
    int32_t ranks = number(golden, "W", 1);
    golden->layers = number(golden, "layers", 0);
    golden->problem = (struct sl_eplb){.experts = number(golden, "E", 0),
                                       .ranks = ranks,
                                       .slots = (int32_t)golden->map.shape[1] / ranks,
                                       .groups = nodes ? number(golden, "groups", 1) : 1,
                                       .nodes = nodes ? number(golden, "nodes", 1) : 1,
                                       .arithmetic = SL_EPLB_F64_PACKS};
    return ct_expect_true(ct_npy_i64(&golden->counts) && ct_npy_i32(&golden->map));
}

static int ascending(const void *a, const void *b)
{
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

/* As multisets a rank: which of a rank's slots a copy takes is the order of equal items. */
static void sort_ranks(int32_t *map, int32_t physical, int32_t slots)
{
    for (int32_t p = 0; p < physical; p += slots)
        qsort(map + p, (size_t)slots, sizeof *map, ascending);
}

static int32_t *plan_layer(const struct golden *golden, int32_t layer)
{
    int32_t physical = golden->problem.slots * golden->problem.ranks;
    int32_t *map = ct_alloc((size_t)physical * sizeof *map);
    solve(&golden->problem, ct_npy_i64(&golden->counts) + layer * golden->problem.experts, map);
    return map;
}

static void compare(const struct golden *golden, bool exact)
{
    int32_t physical = golden->problem.slots * golden->problem.ranks;
    for (int32_t layer = 0; layer < golden->layers; layer++) {
        int32_t *got = plan_layer(golden, layer);
        int32_t *want = ct_alloc((size_t)physical * sizeof *want);
        memcpy(want, ct_npy_i32(&golden->map) + layer * physical, (size_t)physical * sizeof *want);
        if (!exact) {
            sort_ranks(got, physical, golden->problem.slots);
            sort_ranks(want, physical, golden->problem.slots);
        }
        ct_eq_mem(got, want, (size_t)physical * sizeof *got);
    }
}

static bool is_a(const ct_json *entry, const char *family)
{
    return strncmp(ct_json_str(ct_json_get(entry, "case"), ""), family, strlen(family)) == 0;
}

/* F32 differs from SGLang's f64 sums in this case alone, and there it is DeepSeek's own. */
#define ONE_THAT_DIFFERS "plan/r1-decode_in500out1500-W16-global"

CT(eplb, golden_stable, "plans are DeepSeek's under stable sorts, with f64 and with f32 sums")
{
    const ct_json *cases = ct_golden_cases();
    if (!cases || !ct_golden_case(ONE_THAT_DIFFERS))
        ct_skip("the golden plans are not here");
    int seen = 0;
    for (size_t i = 0; i < ct_json_len(cases) && !ct_failed(); i++) {
        struct golden golden;
        const ct_json *entry = ct_json_at(cases, i);
        if (!is_a(entry, "plan/") || is_a(entry, "plan/elastic") || is_a(entry, "plan/vec"))
            continue;
        ct_true(open_case(&golden, entry, "stable_physical_to_logical.npy"));
        compare(&golden, true);
        golden.problem.arithmetic = SL_EPLB_F32;
        if (strcmp(golden.name, ONE_THAT_DIFFERS) != 0)
            compare(&golden, true);
        seen++;
    }
    ct_eq_i64(seen, 41);
    struct golden golden;
    ct_true(
        open_case(&golden, ct_golden_case(ONE_THAT_DIFFERS), "deepseek_physical_to_logical.npy"));
    golden.problem.arithmetic = SL_EPLB_F32;
    compare(&golden, false);
}

CT(eplb, golden_vllm, "with f64 quotients plans are vLLM's")
{
    const ct_json *cases = ct_golden_cases();
    if (!cases || !ct_golden_case("vllm/readme"))
        ct_skip("vLLM's golden plans are not here");
    int seen = 0;
    for (size_t i = 0; i < ct_json_len(cases) && !ct_failed(); i++) {
        struct golden golden;
        const ct_json *entry = ct_json_at(cases, i);
        if (!is_a(entry, "vllm/"))
            continue;
        ct_true(open_case(&golden, entry, "stable_first.npy"));
        golden.problem.arithmetic = SL_EPLB_F64_QUOTIENTS;
        if (golden.problem.groups % golden.problem.nodes)
            golden.problem.groups = golden.problem.nodes = 1;
        compare(&golden, true);
        seen++;
    }
    ct_eq_i64(seen, 15);
}

CT(eplb, golden_elastic, "with dead ranks the living are planned for alone")
{
    const ct_json *cases = ct_golden_cases();
    if (!cases || !ct_golden_case("plan/elastic-E32-W8-dead3"))
        ct_skip("the golden plans are not here");
    int seen = 0;
    for (size_t i = 0; i < ct_json_len(cases) && !ct_failed(); i++) {
        struct golden golden;
        const ct_json *entry = ct_json_at(cases, i);
        if (!is_a(entry, "plan/elastic"))
            continue;
        ct_true(open_case(&golden, entry, "stable_physical_to_logical.npy"));
        struct sl_eplb *problem = &golden.problem;
        const ct_json *dead = ct_json_get(golden.params, "dead");
        int32_t ranks = problem->ranks, physical = ranks * problem->slots;
        problem->groups = problem->nodes = 1;
        problem->ranks -= (int32_t)ct_json_len(dead);
        for (int32_t layer = 0; layer < golden.layers; layer++) {
            const int32_t *got = plan_layer(&golden, layer);
            const int32_t *want = ct_npy_i32(&golden.map) + layer * physical;
            for (int32_t r = 0, living = 0; r < ranks; r++) {
                bool is_dead = false;
                for (size_t d = 0; d < ct_json_len(dead); d++)
                    is_dead = is_dead || ct_json_int(ct_json_at(dead, d), -1) == r;
                if (!is_dead)
                    ct_eq_mem(got + living++ * problem->slots, want + r * problem->slots,
                              (size_t)problem->slots * sizeof *got);
            }
        }
        seen++;
    }
    ct_eq_i64(seen, 4);
}

/* ------------------------------------------------------------- the definition, written plainly */

struct plain {
    double load; /* of an item */
    int32_t at;
};

static int heavier(const void *a, const void *b)
{
    const struct plain *x = a, *y = b;
    if (x->load > y->load || x->load < y->load)
        return x->load > y->load ? -1 : 1;
    return x->at - y->at;
}

/* into[i] = pack of item i, place[i] = its place there */
static void plain_pack(const double *load, int32_t count, int32_t packs, int32_t arithmetic,
                       int32_t *into, int32_t *place)
{
    struct plain *order = ct_alloc((size_t)count * sizeof *order);
    double *sum = ct_alloc((size_t)packs * sizeof *sum);
    int32_t *filled = ct_alloc((size_t)packs * sizeof *filled);
    for (int32_t i = 0; i < count; i++)
        order[i] = (struct plain){load[i], i};
    if (count > packs)
        qsort(order, (size_t)count, sizeof *order, heavier);
    for (int32_t i = 0; i < count; i++) {
        int32_t best = -1;
        for (int32_t p = 0; p < packs; p++)
            if (filled[p] < count / packs && (best < 0 || sum[p] < sum[best]))
                best = p;
        int32_t item = order[i].at;
        best = count == packs ? i : best;
        into[item] = best;
        place[item] = filled[best]++;
        if (arithmetic == SL_EPLB_F32)
            sum[best] = (double)((float)sum[best] + (float)load[item]);
        else
            sum[best] += load[item];
    }
}

static double plain_quotient(double load, int32_t copies, int32_t arithmetic)
{
    return arithmetic == SL_EPLB_F64_QUOTIENTS ? load / copies
                                               : (double)((float)load / (float)copies);
}

static void plain_node(const struct sl_eplb *problem, const int64_t *counts, const int32_t *of,
                       int32_t experts, int32_t ranks, int32_t *map)
{
    int32_t physical = ranks * problem->slots;
    int32_t *copies = ct_alloc((size_t)experts * sizeof *copies);
    int32_t *holds = ct_alloc((size_t)physical * sizeof *holds);
    for (int32_t p = 0; p < physical; p++) {
        int32_t best = p < experts ? p : 0;
        double most = -1;
        for (int32_t e = 0; e < experts && p >= experts; e++) {
            double q = plain_quotient((double)(float)counts[of[e]], copies[e], problem->arithmetic);
            if (q > most) {
                most = q;
                best = e;
            }
        }
        holds[p] = best;
        copies[best]++;
    }
    double *load = ct_alloc((size_t)physical * sizeof *load);
    int32_t *into = ct_alloc((size_t)physical * sizeof *into);
    int32_t *place = ct_alloc((size_t)physical * sizeof *place);
    for (int32_t p = 0; p < physical; p++)
        load[p] = plain_quotient((double)(float)counts[of[holds[p]]], copies[holds[p]],
                                 problem->arithmetic);
    plain_pack(load, physical, ranks, problem->arithmetic, into, place);
    for (int32_t p = 0; p < physical; p++)
        map[into[p] * problem->slots + place[p]] = of[holds[p]];
}

static void plain_solve(const struct sl_eplb *problem, const int64_t *counts, int32_t *map)
{
    int32_t size = problem->experts / problem->groups, groups = problem->groups;
    double *load = ct_alloc((size_t)groups * sizeof *load);
    int32_t *into = ct_alloc((size_t)groups * sizeof *into);
    int32_t *place = ct_alloc((size_t)groups * sizeof *place);
    int32_t *of = ct_alloc((size_t)problem->experts * sizeof *of);
    for (int32_t e = 0; e < problem->experts; e++)
        load[e / size] = (double)((float)load[e / size] + (float)counts[e]);
    plain_pack(load, groups, problem->nodes, problem->arithmetic, into, place);
    for (int32_t e = 0; e < problem->experts; e++) {
        int32_t g = e / size;
        of[(into[g] * (groups / problem->nodes) + place[g]) * size + e % size] = e;
    }
    int32_t experts = problem->experts / problem->nodes, ranks = problem->ranks / problem->nodes;
    for (int32_t node = 0; node < problem->nodes; node++)
        plain_node(problem, counts, of + node * experts, experts, ranks,
                   map + node * ranks * problem->slots);
}

static void draw_problem(struct sl_eplb *problem, uint64_t *random)
{
    problem->nodes = 1 + draw_below(random, 4);
    problem->groups = problem->nodes * (1 + draw_below(random, 4));
    problem->experts = problem->groups * (1 + draw_below(random, 12));
    problem->ranks = problem->nodes * (1 + draw_below(random, 8));
    problem->slots = (problem->experts + problem->ranks - 1) / problem->ranks;
    problem->slots += draw_below(random, 3);
    problem->arithmetic = draw_below(random, 3);
}

CT(eplb, by_definition, "random plans are those of the definition, ties, zeros and huge loads too")
{
    uint64_t random = 7;
    for (int i = 0; i < 1500 && !ct_failed(); i++) {
        struct sl_eplb problem;
        draw_problem(&problem, &random);
        size_t physical = (size_t)problem.slots * (size_t)problem.ranks;
        int64_t *counts = ct_alloc((size_t)problem.experts * sizeof *counts);
        int32_t *got = ct_alloc(physical * sizeof *got), *want = ct_alloc(physical * sizeof *want);
        int shift = (int[]){62, 54, 40, 30, 1}[draw_below(&random, 5)];
        for (int32_t e = 0; e < problem.experts; e++)
            counts[e] = (int64_t)(draw_bits(&random) >> shift) * (draw_below(&random, 4) > 0);
        ct_note("case %d: E %d, W %d, N %d, groups %d, nodes %d, arithmetic %d, >> %d", i,
                problem.experts, problem.ranks, problem.slots, problem.groups, problem.nodes,
                problem.arithmetic, shift);
        solve(&problem, counts, got);
        plain_solve(&problem, counts, want);
        ct_eq_mem(got, want, physical * sizeof *got);
    }
}
