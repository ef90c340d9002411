#include "ct.h"
#include "level_world.h"

#include <stdio.h>

#define NO_DATA "DeepSeek-R1's expert counts are not here"

static bool have_data(void)
{
    for (int file = 0; file < R1_FILES; file++)
        if (!r1_counts(file))
            return false;
    return true;
}

/* Names what is looked at, with the figures, for the checks that follow. */
static void note(const char *what, const struct r1_balance *b)
{
    ct_note("%s: %.4f / %.4f -> %.4f / %.4f, slots %.3f / %d", what, b->before, b->before_worst,
            b->after, b->after_worst, b->slots, b->most);
}

/* One shift of what is served: EPLB for `from`, then `to` comes. */
struct shift {
    const char *what;
    int from, to;
    int32_t ranks, redundant;
    double before, before_worst, after, slots;
};

CT(level_r1, shifts, "after a shift of the workload few slots bring every layer to 1.01")
{
    /* Before: the joint bound as a linear programme gave it. */
    static const struct shift shifts[] = {
        {"decode 2000 -> 500, W 32", R1_DECODE_2000, R1_DECODE_500, 32, 32, 1.0559, 1.4320, 1.001,
         0.95},
        {"prefill 4096 -> 512, W 32", R1_PREFILL_4096, R1_PREFILL_512, 32, 32, 1.0604, 1.2689,
         1.001, 1.1},
        {"decode 2000 -> 500, W 64", R1_DECODE_2000, R1_DECODE_500, 64, 64, 1.1494, 1.5321, 1.002,
         2.95},
        {"decode 2000 -> 500, W 16", R1_DECODE_2000, R1_DECODE_500, 16, 32, 1.0030, 1.0938, 1.001,
         0.95},
        {"prefill 4096 -> 512, W 64", R1_PREFILL_4096, R1_PREFILL_512, 64, 64, 1.1761, 2.1059,
         1.003, 3.6},
    };
    if (!have_data())
        ct_skip(NO_DATA);
    for (size_t i = 0; i < sizeof shifts / sizeof *shifts; i++) {
        const struct shift *shift = shifts + i;
        struct r1_maps maps = r1_eplb(shift->from, shift->ranks, shift->redundant);
        struct r1_balance got = r1_repair(&maps, shift->to, 1.01);
        note(shift->what, &got);
        ct_near(got.before, shift->before, 0.00011);
        ct_near(got.before_worst, shift->before_worst, 0.00006);
        ct_true(got.after <= shift->after && got.after_worst <= 1.01);
        ct_true(got.slots <= shift->slots);
    }
}

CT(level_r1, no_redundancy, "without redundant slots experts change places")
{
    if (!have_data())
        ct_skip(NO_DATA);
    struct r1_maps maps = r1_eplb(R1_DECODE_2000, 32, 0);
    maps.every = 6; /* rows 3, 9, ... of the file */
    struct r1_balance got = r1_repair(&maps, R1_DECODE_500, 1.01);
    note("decode 2000 -> 500, W 32, R 0", &got);
    ct_near(got.before, 1.179, 0.0006);
    ct_near(got.before_worst, 1.295, 0.0006);
    ct_true(got.after < 1.019 && got.after_worst < 1.048);
    ct_true(got.slots < 17);
}

CT(level_r1, remembers, "a map that served a workload before needs less when that comes back")
{
    static const int served[] = {R1_PREFILL_512,  R1_DECODE_2000, R1_DECODE_500,
                                 R1_PREFILL_4096, R1_DECODE_500,  R1_PREFILL_512};
    if (!have_data())
        ct_skip(NO_DATA);
    struct r1_maps maps = r1_eplb(R1_PREFILL_4096, 32, 32);
    double slots = 0;
    for (size_t i = 0; i < sizeof served / sizeof *served; i++) {
        struct r1_balance got = r1_repair(&maps, served[i], 1.01);
        char what[64];
        (void)snprintf(what, sizeof what, "sequence, step %d", (int)i);
        note(what, &got);
        ct_true(got.after_worst <= 1.01);
        ct_true(i < 3 || got.slots < 0.2);
        slots += got.slots;
    }
    ct_note("sequence: %.3f slots a layer", slots);
    ct_true(slots <= 4.13);
}

CT(level_r1, scenarios, "with all workloads as windows, none of them asks for another slot later")
{
    static const int files[] = {R1_PREFILL_512, R1_DECODE_2000, R1_DECODE_500, R1_PREFILL_4096};
    if (!have_data())
        ct_skip(NO_DATA);
    struct r1_maps maps = r1_eplb(R1_PREFILL_4096, 32, 32);
    struct r1_balance got = r1_repair_for(&maps, files, 4, 1.01);
    note("four windows", &got);
    ct_true(got.after_worst <= 1.01);
    /* No more than the four shifts one after the other ask for. */
    ct_true(got.slots <= 3.13);
    for (int32_t i = 0; i < 4; i++) {
        got = r1_repair(&maps, files[i], 1.01);
        note("one of the four", &got);
        ct_true(got.slots <= 0 && got.after_worst <= 1.01);
    }
}

CT(level_r1, from_nothing, "a new map is never less level than EPLB's")
{
    static const struct {
        const char *what;
        int file;
        int32_t ranks, redundant, every;
        double after, after_worst;
    } cases[] = {
        {"decode 500, W 64, R 64", R1_DECODE_500, 64, 64, 1, 1.00005, 1.00005},
        {"decode 500, W 72, R 32", R1_DECODE_500, 72, 32, 1, 1.00005, 1.00005},
        {"prefill 4096, W 32, R 32", R1_PREFILL_4096, 32, 32, 1, 1.00005, 1.00005},
        {"decode 2000, W 32, R 0, some", R1_DECODE_2000, 32, 0, 6, 1.00005, 1.00005},
        {"decode 2000, W 32, R 0", R1_DECODE_2000, 32, 0, 1, 1.0225, 1.3135},
        {"decode 500, W 144, R 32, some", R1_DECODE_500, 144, 32, 3, 1.067, 1.313},
        {"decode 500, W 144, R 32", R1_DECODE_500, 144, 32, 1, 1.053, 1.313},
    };
    if (!have_data())
        ct_skip(NO_DATA);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct r1_maps maps = r1_eplb(cases[i].file, cases[i].ranks, cases[i].redundant);
        maps.every = cases[i].every;
        struct r1_balance got = r1_fresh(&maps, cases[i].file, 1.01);
        note(cases[i].what, &got);
        ct_true(got.after <= cases[i].after && got.after_worst <= cases[i].after_worst);
        ct_true(got.after <= got.before);
    }
}

/* Mean and worst of the floors of a file's layers. */
static void floors(int file, const struct r1_maps *maps, double *mean, double *worst)
{
    int32_t physical = maps->slots * maps->ranks, layers = 0;
    *mean = *worst = 0;
    for (int32_t l = 0; l < R1_LAYERS; l += maps->every, layers++) {
        struct sl_level level;
        int64_t tokens = 0;
        const int64_t *load = r1_counts(file) + (ptrdiff_t)l * R1_EXPERTS;
        for (int32_t e = 0; e < R1_EXPERTS; e++)
            tokens += load[e];
        tokens /= R1_TOP_K;
        const struct sl_level_problem problem = {.experts = R1_EXPERTS,
                                                 .ranks = maps->ranks,
                                                 .slots = maps->slots,
                                                 .windows = 1,
                                                 .load = load,
                                                 .spread = &tokens,
                                                 .target = 1};
        level_open(&level, &problem, maps->map + (ptrdiff_t)l * physical);
        double floor = (double)sl_level_floor(&level, 0) / level.mean[0];
        ct_expect_true(level.bound[0] >= floor);
        *mean += floor;
        *worst = floor > *worst ? floor : *worst;
    }
    *mean /= layers;
}

CT(level_r1, floor, "beside a bound that stays high stands what no map can better")
{
    static const struct {
        int32_t ranks, redundant;
        int file;
        double within; /* of the floor, in the mean */
    } cases[] = {
        {32, 0, R1_DECODE_2000, 0.0002}, {32, 0, R1_DECODE_500, 0.002},
        {32, 0, R1_PREFILL_4096, 0.001}, {32, 0, R1_PREFILL_512, 0.002},
        {144, 32, R1_DECODE_500, 0.04},  {144, 32, R1_PREFILL_512, 0.01},
    };
    if (!have_data())
        ct_skip(NO_DATA);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        double mean, worst;
        struct r1_maps maps = r1_eplb(cases[i].file, cases[i].ranks, cases[i].redundant);
        struct r1_balance got = r1_fresh(&maps, cases[i].file, 1);
        floors(cases[i].file, &maps, &mean, &worst);
        ct_note("file %d, W %d, R %d: %.4f / %.4f, no map is below %.4f / %.4f", cases[i].file,
                cases[i].ranks, cases[i].redundant, got.after, got.after_worst, mean, worst);
        ct_true(got.after >= mean - 1e-9 && got.after - mean <= cases[i].within);
    }
}
