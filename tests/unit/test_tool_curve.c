/* The curve of a plan's moves on DeepSeek-R1's counts. */
#include "ct.h"
#include "ct_sluice.h"
#include "tool/tool_curve.h"

struct case_of {
    struct sl_counts planned, served;
    struct sl_plan_case plan;
    struct sl_placement first, next;
    struct sl_moves moves;
    struct sl_curve curve;
    sluice_plan_summary summary;
};

static bool load(const char *name, struct sl_counts *counts)
{
    char err[300] = "";
    const char *file = ct_shared(name);
    return file && ct_expect_eq_i64(sl_counts_load(file, SL_COUNTS_SUM, counts, err, 300), 0);
}

/* EPLB for one workload, then `policy` for another: false where there is no data. */
static bool make(struct case_of *t, int32_t policy)
{
    char err[300] = "";
    *t = (struct case_of){.plan = {.api = ct_api()->extension(SLUICE_EXT_PLAN),
                                   .ranks = 32,
                                   .slots = 9,
                                   .nodes = 1,
                                   .groups = 1,
                                   .shared = 1,
                                   .top_k = 8,
                                   .policy = SLUICE_PLAN_EPLB,
                                   .target = 1.01}};
    if (!load("data/deepseek-r1-expert-counts/decode_in2000out100.json", &t->planned) ||
        !load("data/deepseek-r1-expert-counts/decode_in500out1500.json", &t->served))
        return false;
    bool made = ct_expect_eq_i64(
        sl_tool_plan(&t->plan, &t->planned, 1, NULL, &t->first, &t->summary, NULL, err, 300), 0);
    t->plan.policy = policy;
    return made &&
           ct_expect_eq_i64(sl_tool_plan(&t->plan, &t->served, 1, &t->first, &t->next, &t->summary,
                                         &t->moves, err, 300),
                            0) &&
           ct_expect_eq_i64(
               sl_curve_of(&t->plan, &t->served, 1, &t->first, &t->moves, &t->curve, err, 300), 0);
}

static void drop(struct case_of *t)
{
    sl_counts_free(&t->planned);
    sl_counts_free(&t->served);
    sl_placement_free(&t->first);
    sl_placement_free(&t->next);
    sl_moves_free(&t->moves);
    sl_curve_free(&t->curve);
}

static void compare(const struct case_of *t)
{
    int32_t last = t->curve.points - 1;
    ct_expect_near(t->curve.mean[0], t->summary.before_mean, 1e-6);
    ct_expect_near(t->curve.worst[0], t->summary.before_worst, 1e-6);
    ct_expect_near(t->curve.mean[last], t->summary.after_mean, 1e-6);
    ct_expect_near(t->curve.worst[last], t->summary.after_worst, 1e-6);
    ct_expect_near(t->curve.slots[last], (double)t->summary.slots, 0);
    ct_expect_true(t->curve.sent[last] <= t->curve.slots[last]);
}

CT(tool_curve, repair, "a repair's curve falls from the plan's before to its after")
{
    struct case_of t;
    if (!make(&t, SLUICE_PLAN_LEVEL)) {
        drop(&t);
        ct_skip("no counts");
    }
    compare(&t);
    for (int32_t i = 1; i < t.curve.points; i++)
        ct_expect_true(t.curve.mean[i] <= t.curve.mean[i - 1] + 1e-9);
    int32_t at[24], count = sl_curve_pick(&t.curve, at, 24);
    ct_expect_true(count >= 3 && count < 24 && at[0] == 0 && at[count - 1] == t.curve.points - 1);
    for (int32_t i = 1; i < count; i++)
        ct_expect_true(at[i] > at[i - 1]);
    drop(&t);
}

CT(tool_curve, eplb, "EPLB's curve, thousands of moves by an even split, ends where the plan does")
{
    struct case_of t;
    if (!make(&t, SLUICE_PLAN_EPLB)) {
        drop(&t);
        ct_skip("no counts");
    }
    compare(&t);
    drop(&t);
}
