/* eval's columns on DeepSeek-R1's counts: planned by EPLB on one workload, served another. The
 * figures were computed with linear programs (design notes, "What the real loads say"). */
#include <stdio.h>
#include <stdlib.h>

#include "ct.h"
#include "ct_sluice.h"
#include "tool/tool_balance.h"
#include "tool/tool_plan.h"

struct row {
    const char *planned, *served;
    int32_t ranks, redundant;
    double mean[SL_BALANCE_WAYS], worst[SL_BALANCE_WAYS];
};

static const struct row rows[] = {
    {"prefill_in4096",
     "prefill_in512",
     16,
     32,
     {1.1297, 1.0350, 1.0322, 1.0003},
     {1.2889, 1.1778, 1.1238, 1.0127}},
    {"prefill_in4096",
     "prefill_in512",
     32,
     32,
     {1.2247, 1.1157, 1.1539, 1.0604},
     {1.5796, 1.4685, 1.3800, 1.2689}},
    {"prefill_in4096",
     "prefill_in512",
     64,
     64,
     {1.3618, 1.2508, 1.2783, 1.1761},
     {2.2170, 2.1059, 2.2170, 2.1059}},
    {"decode_in2000out100",
     "decode_in500out1500",
     16,
     32,
     {1.1487, 1.0422, 1.0297, 1.0030},
     {1.3465, 1.2354, 1.2049, 1.0938}},
    {"decode_in2000out100",
     "decode_in500out1500",
     32,
     32,
     {1.2586, 1.1475, 1.1564, 1.0559},
     {1.6507, 1.5396, 1.5431, 1.4320}},
    {"decode_in2000out100",
     "decode_in500out1500",
     64,
     64,
     {1.3966, 1.2855, 1.2606, 1.1495},
     {1.8995, 1.7884, 1.6433, 1.5321}},
};

static bool load(const char *name, struct sl_counts *counts)
{
    char path[120], err[300] = "";
    (void)snprintf(path, sizeof path, "data/deepseek-r1-expert-counts/%s.json", name);
    const char *file = ct_shared(path);
    return file && ct_expect_eq_i64(sl_counts_load(file, SL_COUNTS_SUM, counts, err, 300), 0);
}

static void compare(const struct row *row, const struct sl_counts *planned,
                    const struct sl_counts *served)
{
    char err[300] = "";
    struct sl_placement placement;
    sluice_plan_summary summary;
    const struct sl_plan_case plan = {.api = ct_api()->extension(SLUICE_EXT_PLAN),
                                      .ranks = row->ranks,
                                      .slots = (planned->experts + row->redundant) / row->ranks,
                                      .nodes = 1,
                                      .groups = 1,
                                      .shared = 1,
                                      .top_k = 8,
                                      .policy = SLUICE_PLAN_EPLB};
    const struct sl_balance_case c = {.solver = ct_api()->extension(SLUICE_EXT_BALANCE),
                                      .experts = planned->experts,
                                      .slots = plan.slots,
                                      .ranks = row->ranks,
                                      .shared = 1,
                                      .top_k = 8};
    ct_true(plan.api != NULL && c.solver != NULL);
    ct_eq_i64(sl_tool_plan(&plan, planned, 1, NULL, &placement, &summary, NULL, err, sizeof err),
              0);
    struct sl_ratios *ratios = ct_alloc((size_t)served->layers * sizeof *ratios);
    struct sl_ratio_sums sums;
    for (int32_t l = 0; l < served->layers; l++)
        ct_expect_eq_i64(sl_ratios_of(&c, sl_counts_row(served, 0, l),
                                      placement.expert + (ptrdiff_t)l * placement.slots, &ratios[l],
                                      err, sizeof err),
                         0);
    sl_ratio_sums_of(ratios, served->layers, &sums);
    sl_placement_free(&placement);
    ct_eq_i64(sums.layers, 58);
    for (int way = 0; way < SL_BALANCE_WAYS; way++) {
        ct_note("%s -> %s, W=%d, %s", row->planned, row->served, row->ranks, sl_balance_names[way]);
        ct_expect_near(sums.mean.way[way], row->mean[way], 1.01e-4);
        ct_expect_near(sums.worst.way[way], row->worst[way], 1.01e-4);
    }
}

CT(tool_eval, deepseek_r1, "every column has the figure that linear programs gave")
{
    struct sl_counts planned, served;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (!load(rows[i].planned, &planned))
            ct_skip("the counts of DeepSeek-R1 are not there");
        if (load(rows[i].served, &served)) {
            compare(&rows[i], &planned, &served);
            sl_counts_free(&served);
        }
        sl_counts_free(&planned);
    }
}
