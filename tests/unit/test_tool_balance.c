/* The columns of `eval`, and what a plan's size must be. */
#include <string.h>

#include "ct.h"
#include "ct_sluice.h"
#include "tool/tool_balance.h"
#include "tool/tool_plan.h"

/* Two ranks of two slots; expert 0 on both. */
static const int32_t map[4] = {0, 1, 2, 0};

static struct sl_balance_case small(int32_t shared)
{
    return (struct sl_balance_case){
        .experts = 3, .slots = 2, .ranks = 2, .shared = shared, .top_k = 2};
}

CT(tool_balance, even, "an even split; shared experts at home lie on all ranks alike, or fill up")
{
    const int64_t counts[] = {4, 6, 2};
    struct sl_balance_case c = small(0);
    struct sl_ratios ratios;
    char err[200] = "";
    ct_eq_i64(sl_ratios_of(&c, counts, map, &ratios, err, sizeof err), 0);
    ct_near(ratios.way[SL_EVEN_HOME], 8.0 / 6, 1e-12);
    ct_near(ratios.way[SL_EVEN_MOVED], 8.0 / 6, 1e-12);
    ct_true(ratios.way[SL_LEVEL_HOME] == 0 && ratios.way[SL_LEVEL_MOVED] == 0);
    c = small(1); /* 6 tokens: 3 at each home, or all 6 to where it levels */
    ct_eq_i64(sl_ratios_of(&c, counts, map, &ratios, err, sizeof err), 0);
    ct_near(ratios.way[SL_EVEN_HOME], 11.0 / 9, 1e-12);
    ct_near(ratios.way[SL_EVEN_MOVED], 1, 1e-12);
}

CT(tool_balance, level, "what the step balancer makes of it, without and with the shared experts")
{
    const int64_t counts[] = {4, 6, 2};
    struct sl_balance_case c = small(0);
    struct sl_ratios ratios;
    char err[200] = "";
    c.solver = ct_api()->extension(SLUICE_EXT_BALANCE);
    ct_true(c.solver != NULL);
    /* Expert 1, 6, lies on rank 0 only, so expert 0 goes to rank 1: 6 and 6. */
    ct_eq_i64(sl_ratios_of(&c, counts, map, &ratios, err, sizeof err), 0);
    ct_near(ratios.way[SL_LEVEL_HOME], 1, 1e-9);
    ct_near(ratios.way[SL_LEVEL_MOVED], 1, 1e-9);
    /* Now rank 0 has 9 of 12 at least: 9 + 3 at home of 18 in all, or 9 of 9. */
    c.shared = 1;
    const int64_t hot[] = {1, 9, 2};
    ct_eq_i64(sl_ratios_of(&c, hot, map, &ratios, err, sizeof err), 0);
    ct_near(ratios.way[SL_LEVEL_HOME], 12.0 / 9, 1e-9);
    ct_near(ratios.way[SL_LEVEL_MOVED], 1, 1e-9);
    /* A fraction: 5 over three ranks, scaled up, is not rounded to 2. */
    const struct sl_balance_case three = {
        .solver = c.solver, .experts = 1, .slots = 1, .ranks = 3, .top_k = 3};
    ct_eq_i64(sl_ratios_of(&three, (const int64_t[]){5}, (const int32_t[]){0, 0, 0}, &ratios, err,
                           sizeof err),
              0);
    ct_near(ratios.way[SL_LEVEL_MOVED], 1, 1e-9);
}

CT(tool_balance, solver_refuses, "what the plugin's balance refuses is told")
{
    struct sl_balance_case c = small(0);
    struct sl_ratios ratios;
    char err[200] = "";
    c.solver = ct_api()->extension(SLUICE_EXT_BALANCE);
    ct_true(c.solver != NULL);
    ct_eq_i64(sl_ratios_of(&c, (const int64_t[]){1, 1, 1}, (const int32_t[]){0, 1, 1, 0}, &ratios,
                           err, sizeof err),
              -1);
    ct_str_has(err, "the plugin's balance could not solve it: ");
}

CT(tool_balance, sums, "mean and worst are over layers that saw tokens")
{
    const struct sl_ratios ratios[] = {{{0}}, {{1.5, 1, 1, 1}}, {{2.5, 2, 1, 1}}};
    struct sl_ratio_sums sums;
    sl_ratio_sums_of(ratios, 3, &sums);
    ct_eq_i64(sums.layers, 2);
    ct_true(sums.mean.way[0] == 2 && sums.worst.way[0] == 2.5 && sums.worst_layer[0] == 2);
    sl_ratio_sums_of(ratios, 1, &sums);
    ct_true(sums.layers == 0 && sums.mean.way[0] == 0);
}

CT(tool_balance, too_many, "counts that cannot be weighed exactly are refused, none give zeros")
{
    struct sl_balance_case c = small(1);
    struct sl_ratios ratios;
    char err[200] = "";
    ct_eq_i64(
        sl_ratios_of(&c, (const int64_t[]){INT64_C(1) << 50, 0, 0}, map, &ratios, err, sizeof err),
        -1);
    ct_str_has(err, "too many to weigh exactly");
    ct_eq_i64(sl_ratios_of(&c, (const int64_t[3]){0}, map, &ratios, err, sizeof err), 0);
    ct_true(ratios.way[SL_EVEN_HOME] == 0);
}

CT(tool_plan, slots, "copies must fill the ranks, and the message says which numbers do")
{
    char err[200] = "";
    ct_eq_i64(sl_tool_plan_slots(256, 32, 32, err, sizeof err), 9);
    ct_eq_i64(sl_tool_plan_slots(256, 32, 0, err, sizeof err), 8);
    ct_eq_i64(sl_tool_plan_slots(256, 32, 10, err, sizeof err), -1);
    ct_str_has(err, "--redundant is 10: 256 experts and as many copies more do not fill 32 ranks; "
                    "0 or 32 would");
    ct_eq_i64(sl_tool_plan_slots(256, 72, 0, err, sizeof err), -1);
    ct_str_has(err, "do not fill 72 ranks; 32 would");
}
