/* Windows as scenarios: a map by EPLB for `intent`, repaired for the quarters of the first half of
 * `law`, of which the worst counts, and steps drawn from its second half: DeepSeek-V2-Lite. */
#include "balance_world.h"
#include "ct.h"
#include "ct_npy.h"
#include "level_world.h"
#include "place_world.h"

#include <string.h>

enum { LAYERS = 26, E = 64, K = 6, TOKENS = 512, DRAWS = 8, WINDOWS = 4 };

struct tokens {
    struct ct_npy intent, law; /* [LAYERS][T][K] u8 */
};

struct span {
    const struct ct_npy *file;
    size_t first, end; /* rows */
};

static const uint8_t *row_of(const struct span *span, int32_t layer, size_t row)
{
    return ct_npy_u8(span->file) + ((size_t)layer * span->file->shape[1] + row) * K;
}

static void count(const struct span *span, int32_t layer, int64_t *load)
{
    memset(load, 0, E * sizeof *load);
    for (size_t row = span->first; row < span->end; row++)
        for (int32_t k = 0; k < K; k++)
            load[row_of(span, layer, row)[k]]++;
}

/* Greatest load / mean, over draws, of steps with TOKENS a rank at random positions. */
static double serve(const struct span *span, int32_t layer, int32_t ranks, int32_t shared,
                    const int32_t *map, uint64_t random)
{
    int32_t slots = (E + ranks) / ranks;
    struct balance_world *world = balance_make(E, slots, ranks, shared);
    double sum = 0;
    memcpy(world->map, map, (size_t)(slots * ranks) * sizeof *map);
    for (int32_t draw = 0; draw < DRAWS; draw++) {
        memset(world->counts, 0, (size_t)(ranks * E) * sizeof *world->counts);
        for (int32_t i = 0; i < ranks * TOKENS; i++) {
            size_t row =
                span->first + (size_t)draw_below(&random, (int32_t)(span->end - span->first));
            for (int32_t k = 0; k < K; k++)
                world->counts[i / TOKENS * E + row_of(span, layer, row)[k]]++;
        }
        for (int32_t r = 0; r < ranks; r++)
            world->tokens[r] = TOKENS;
        balance_solve(world);
        sum += (double)world->answer.greatest / (TOKENS * (K + shared));
    }
    return sum / DRAWS;
}

static void add(double one, double *mean, double *worst)
{
    *mean += one / LAYERS;
    *worst = one > *worst ? one : *worst;
}

static struct r1_balance repair(const struct tokens *tokens, int32_t ranks, int32_t shared)
{
    size_t half = tokens->law.shape[1] / 2, part = half / WINDOWS;
    const struct span planned = {&tokens->intent, 0, tokens->intent.shape[1]};
    const struct span served = {&tokens->law, half, tokens->law.shape[1]};
    const struct sl_eplb eplb = {E, ranks, (E + ranks) / ranks, 1, 1, SL_EPLB_F32};
    int32_t *map = ct_alloc((size_t)(eplb.slots * ranks) * sizeof *map);
    struct r1_balance sum = {0};
    for (int32_t layer = 0; layer < LAYERS; layer++) {
        int64_t load[WINDOWS * E], spread[WINDOWS];
        struct sl_level level;
        const struct sl_level_problem problem = {.experts = E,
                                                 .ranks = ranks,
                                                 .slots = eplb.slots,
                                                 .windows = WINDOWS,
                                                 .load = load,
                                                 .spread = spread,
                                                 .target = 1.01};
        count(&planned, layer, load);
        sl_eplb_solve(&eplb, load, map, ct_alloc(sl_eplb_bytes(&eplb)));
        add(serve(&served, layer, ranks, shared, map, 1), &sum.before, &sum.before_worst);
        for (size_t w = 0; w < WINDOWS; w++) {
            const struct span seen = {&tokens->law, w * part, (w + 1) * part};
            count(&seen, layer, load + w * E);
            spread[w] = (int64_t)part * shared;
        }
        level_open(&level, &problem, map);
        sl_level_repair(&level);
        add(serve(&served, layer, ranks, shared, level.map, 1), &sum.after, &sum.after_worst);
        sum.slots += (double)level.written / LAYERS;
    }
    return sum;
}

CT(level_scenarios, quarters, "a repair for four windows levels tokens that are in none of them")
{
    static const struct {
        int32_t ranks, shared;
        double after, after_worst, slots;
    } cases[] = {
        {8, 1, 1.0012, 1.01, 1.5},
        {8, 2, 1.0012, 1.01, 0.4},
        {16, 2, 1.0036, 1.025, 2.4},
    };
    struct tokens tokens;
    if (!ct_npy_shared(&tokens.intent, "data/deepseek-v2-lite-routing/intent.ids.npy") ||
        !ct_npy_shared(&tokens.law, "data/deepseek-v2-lite-routing/law.ids.npy"))
        ct_skip("no routing data");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct r1_balance got = repair(&tokens, cases[i].ranks, cases[i].shared);
        ct_note("W %d, %d shared: %.4f / %.4f -> %.4f / %.4f, slots %.3f", cases[i].ranks,
                cases[i].shared, got.before, got.before_worst, got.after, got.after_worst,
                got.slots);
        ct_true(got.after <= cases[i].after && got.after_worst <= cases[i].after_worst);
        ct_true(got.slots <= cases[i].slots);
    }
}
