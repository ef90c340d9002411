/* The flow against GLPK's simplex on the same linear programme, in fractions. */
#include "ct.h"

#if __has_include(<glpk.h>)

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

CT(flow, glpk_real, "DeepSeek-R1's counts: GLPK's optimum, rounded up")
{
    int32_t layers, ranks = 32, slots = 9;
    int64_t *planned = flow_real_counts("decode_in2000out100", &layers);
    int64_t *served = flow_real_counts("decode_in500out1500", &layers);
    if (!planned || !served)
        ct_skip("no expert counts");
    int32_t *map = ct_alloc((size_t)(ranks * slots) * sizeof *map);
    for (int32_t l = 0; l < layers && !ct_failed(); l += 4) {
        struct flow_world *world = flow_make(256, ranks, ranks * slots);
        ct_note("layer %d", l);
        flow_plan(planned + l * 256, 256, ranks, slots, map);
        memcpy(world->load, served + l * 256, 256 * sizeof *served);
        for (int32_t e = 0; e < 256; e++)
            world->problem.spread += world->load[e] / 8;
        flow_from_map(world, map, slots);
        compare(world);
    }
}

#else

CT(flow, glpk_random, "random problems: GLPK's optimum, rounded up")
{
    ct_skip("built without libglpk-dev");
}

#endif
