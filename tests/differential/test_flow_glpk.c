/* The flow, and the step balance over it, against GLPK's simplex on the same linear programme, in
 * fractions. */
#include "ct.h"

#if __has_include(<glpk.h>)

#include "ct_npy.h"
#include "tests/unit/balance_world.h"
#include "tests/unit/flow_world.h"
#include "tests/unit/place_world.h"

#include <glpk.h>
#include <string.h>

/* Coefficients of the matrix, counted from 1 as GLPK does. */
struct entries {
    int count, *row, *column;
    double *value;
};

static void enter(struct entries *entries, int row, int column, double value)
{
    int i = ++entries->count;
    entries->row[i] = row;
    entries->column[i] = column;
    entries->value[i] = value;
}

/* Rows: each expert's copies add up to its load, the spread's ranks to the spread, and each rank
 * is at most z. Columns: copies, the spread on each rank, z. */
static double optimum_by_glpk(const struct flow_world *world)
{
    const struct sl_flow_problem *problem = &world->problem;
    int experts = problem->experts, ranks = problem->ranks, copies = world->start[experts];
    int z = copies + ranks + 1;
    size_t room = (size_t)(2 * copies + 3 * ranks + 1);
    struct entries entries = {0, ct_alloc(room * sizeof(int)), ct_alloc(room * sizeof(int)),
                              ct_alloc(room * sizeof(double))};
    glp_prob *lp = glp_create_prob();
    glp_add_rows(lp, experts + 1 + ranks);
    glp_add_cols(lp, z);
    for (int e = 0; e <= experts; e++)
        glp_set_row_bnds(lp, e + 1, GLP_FX,
                         (double)(e < experts ? world->load[e] : problem->spread), 0);
    for (int e = 0; e < experts; e++)
        for (int c = world->start[e]; c < world->start[e + 1]; c++) {
            enter(&entries, e + 1, c + 1, 1);
            enter(&entries, experts + 2 + world->holder[c], c + 1, 1);
        }
    for (int r = 0; r < ranks; r++) {
        glp_set_row_bnds(lp, experts + 2 + r, GLP_UP, 0, -(double)world->base[r]);
        enter(&entries, experts + 1, copies + r + 1, 1);
        enter(&entries, experts + 2 + r, copies + r + 1, 1);
        enter(&entries, experts + 2 + r, z, -1);
    }
    for (int c = 1; c <= z; c++) {
        bool dead = c > copies && c < z && !world->alive[c - copies - 1];
        glp_set_col_bnds(lp, c, dead ? GLP_FX : GLP_LO, 0, 0);
    }
    glp_set_obj_coef(lp, z, 1);
    glp_load_matrix(lp, entries.count, entries.row, entries.column, entries.value);
    glp_smcp how;
    glp_init_smcp(&how);
    how.msg_lev = GLP_MSG_OFF;
    ct_expect_eq_i64(glp_simplex(lp, &how), 0);
    double best = glp_get_obj_val(lp);
    glp_delete_prob(lp);
    return best;
}

static void compare(struct flow_world *world)
{
    struct sl_flow_answer answer = flow_solve(world);
    double best = optimum_by_glpk(world);
    ct_expect_true((double)answer.greatest > best - 1e-6 * (best + 1));
    ct_expect_true((double)answer.greatest < best + 1 + 1e-6 * (best + 1));
}

CT(flow, glpk_random, "random problems: GLPK's optimum, rounded up")
{
    uint64_t random = 11;
    for (int i = 0; i < 200 && !ct_failed(); i++) {
        ct_note("problem %d", i);
        compare(flow_draw(&random, 24, 60, 60));
    }
}

/* Plans for one workload, serves another; one shared expert. */
static void compare_counts(const char *planned_for, const char *then, int32_t ranks, int32_t slots)
{
    int32_t layers;
    int64_t *planned = flow_real_counts(planned_for, &layers);
    int64_t *served = flow_real_counts(then, &layers);
    if (!planned || !served)
        ct_skip("no expert counts");
    int32_t *map = ct_alloc((size_t)(ranks * slots) * sizeof *map);
    for (int32_t l = 0; l < layers && !ct_failed(); l++) {
        struct flow_world *world = flow_make(256, ranks, ranks * slots);
        ct_note("%s -> %s, W %d, layer %d", planned_for, then, ranks, l);
        flow_plan(planned + l * 256, 256, ranks, slots, map);
        memcpy(world->load, served + l * 256, 256 * sizeof *served);
        for (int32_t e = 0; e < 256; e++)
            world->problem.spread += world->load[e] / 8;
        flow_from_map(world, map, slots);
        compare(world);
    }
}

CT(flow, glpk_real, "DeepSeek-R1's counts, every layer: GLPK's optimum, rounded up")
{
    static const int32_t sizes[][2] = {{16, 18}, {32, 9}, {64, 5}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        compare_counts("decode_in2000out100", "decode_in500out1500", sizes[i][0], sizes[i][1]);
        compare_counts("prefill_in4096", "prefill_in512", sizes[i][0], sizes[i][1]);
    }
}

/* DeepSeek-V2-Lite: every step is drawn from `law` and balanced by the plugin. */
enum { V2_LAYERS = 26, V2_EXPERTS = 64, V2_TOP_K = 6, V2_RANKS = 8, V2_SLOTS = 9, V2_STEPS = 8 };

static void draw_step(const uint8_t *ids, size_t rows, int32_t tokens, uint64_t *random,
                      struct balance_world *world)
{
    memset(world->counts, 0, sizeof *world->counts * V2_RANKS * V2_EXPERTS);
    for (int32_t i = 0; i < V2_RANKS * tokens; i++) {
        const uint8_t *row = ids + (size_t)draw_below(random, (int32_t)rows) * V2_TOP_K;
        for (int32_t k = 0; k < V2_TOP_K; k++)
            world->counts[i / tokens * V2_EXPERTS + row[k]]++;
    }
    for (int32_t r = 0; r < V2_RANKS; r++)
        world->tokens[r] = tokens;
}

static void compare_step(struct balance_world *world)
{
    struct flow_world *flow = flow_make(V2_EXPERTS, V2_RANKS, V2_RANKS * V2_SLOTS);
    int64_t rows[V2_RANKS], most = 0;
    balance_solve(world);
    memcpy(flow->load, balance_expert_load(world), V2_EXPERTS * sizeof *flow->load);
    flow->problem.spread = world->problem.shared * balance_all_tokens(world);
    flow_from_map(flow, world->map, V2_SLOTS);
    double best = optimum_by_glpk(flow);
    balance_loads(world, rows, NULL);
    for (int32_t r = 0; r < V2_RANKS; r++)
        most = rows[r] > most ? rows[r] : most;
    ct_expect_eq_i64(world->answer.greatest, most);
    ct_expect_true((double)most > best - 1e-6 * (best + 1));
    ct_expect_true((double)most < best + 1 - 1e-6);
}

CT(flow, glpk_steps, "real tokens, every layer and step: quotas reach GLPK's optimum, rounded up")
{
    static const int32_t tokens[] = {4, 64, 512};
    struct ct_npy planned, served;
    uint64_t random = 5;
    if (!ct_npy_shared(&planned, "data/deepseek-v2-lite-routing/intent.ids.npy") ||
        !ct_npy_shared(&served, "data/deepseek-v2-lite-routing/law.ids.npy"))
        ct_skip("no routing data");
    for (size_t l = 0; l < V2_LAYERS; l++) {
        int64_t load[V2_EXPERTS] = {0};
        size_t choices = planned.shape[1] * V2_TOP_K, rows = served.shape[1];
        for (size_t i = 0; i < choices; i++)
            load[ct_npy_u8(&planned)[l * choices + i]]++;
        for (int32_t step = 0; step < 3 * V2_STEPS && !ct_failed(); step++) {
            int32_t shared = step / 3 % 3;
            struct balance_world *world = balance_make(V2_EXPERTS, V2_SLOTS, V2_RANKS, shared);
            ct_note("layer %d, step %d", (int)l, step);
            flow_plan(load, V2_EXPERTS, V2_RANKS, V2_SLOTS, world->map);
            draw_step(ct_npy_u8(&served) + l * rows * V2_TOP_K, rows, tokens[step % 3], &random,
                      world);
            compare_step(world);
        }
    }
}

#else

CT(flow, glpk_random, "random problems: GLPK's optimum, rounded up")
{
    ct_skip("built without libglpk-dev");
}

#endif
