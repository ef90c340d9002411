/* Every workload of DeepSeek-R1 after every other: no pair is harder than those tuned on. */
#include "ct.h"
#include "level_world.h"

CT(level_pairs, any_two, "whatever two workloads follow each other, few slots level every layer")
{
    /* slots: a layer, of the pair that needs most */
    static const struct {
        int32_t ranks, redundant;
        double mean, worst, slots;
    } sizes[] = {
        {16, 32, 1.001, 1.01, 1},
        {16, 64, 1.001, 1.01, 0.5},
        {32, 32, 1.003, 1.01, 3.6},
        {32, 64, 1.001, 1.01, 1.8},
        {64, 64, 1.004, 1.01, 8.5},
        /* four slots a rank, a tenth of the experts with a copy: one layer of 696 may miss it */
        {72, 32, 1.008, 1.01, 16.5},
    };
    for (int file = 0; file < R1_FILES; file++)
        if (!r1_counts(file))
            ct_skip("DeepSeek-R1's expert counts are not here");
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (int pair = 0; pair < R1_FILES * R1_FILES; pair++) {
            int from = pair / R1_FILES, to = pair % R1_FILES;
            if (from == to)
                continue;
            struct r1_maps maps = r1_eplb(from, sizes[i].ranks, sizes[i].redundant);
            struct r1_balance got = r1_repair(&maps, to, 1.01);
            ct_note("W %d, R %d, file %d -> %d: %.4f / %.4f -> %.4f / %.4f, slots %.3f / %d",
                    sizes[i].ranks, sizes[i].redundant, from, to, got.before, got.before_worst,
                    got.after, got.after_worst, got.slots, got.most);
            ct_true(got.after <= sizes[i].mean && got.after_worst <= sizes[i].worst);
            ct_true(got.slots <= sizes[i].slots);
        }
}
