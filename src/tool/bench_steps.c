#include <stdlib.h>
#include <string.h>

#include "bench_load.h"
#include "tool_file.h"
#include "tool_generate.h"
#include "tool_plan.h"

enum { SEED = 3 };

const struct sl_bench_size sl_bench_sizes[SL_BENCH_BALANCES] = {
    {"W 32, R 32", "w32-r32", 32, 32, 512, 16, 20},
    {"W 144, R 32", "w144-r32", 144, 32, 128, 16, 100},
};

const struct sl_bench_size *sl_bench_size_find(const char *shape)
{
    for (int32_t i = 0; i < SL_BENCH_BALANCES; i++)
        if (strcmp(shape, sl_bench_sizes[i].shape) == 0)
            return &sl_bench_sizes[i];
    return NULL;
}

static int draw(struct sl_bench_steps *steps, const struct sl_counts *served, int32_t *ids)
{
    struct sl_bench *bench = steps->bench;
    int64_t *counts = steps->counts;
    for (int32_t l = 0; l < steps->layers; l++) {
        struct sl_draw source;
        if (sl_draw_open(&source, sl_counts_row(served, 0, l), SL_LOAD_EXPERTS, SL_LOAD_TOP_K,
                         SEED + (uint64_t)l, bench->error, sizeof bench->error))
            return -1;
        for (int32_t r = 0; r < steps->ranks; r++, counts += SL_LOAD_EXPERTS) {
            sl_draw_tokens(&source, (uint64_t)r * (uint64_t)steps->tokens, steps->tokens, ids,
                           NULL);
            for (int32_t i = 0; i < steps->tokens * SL_LOAD_TOP_K; i++)
                if (ids[i] >= 0)
                    counts[ids[i]]++;
        }
        sl_draw_close(&source);
    }
    return 0;
}

static int plan(struct sl_bench_steps *steps, const struct sl_counts *planned)
{
    struct sl_bench *bench = steps->bench;
    const struct sl_plan_case c = {.api = bench->plan,
                                   .ranks = steps->ranks,
                                   .slots = steps->slots,
                                   .nodes = 1,
                                   .groups = 1,
                                   .top_k = SL_LOAD_TOP_K,
                                   .policy = SLUICE_PLAN_EPLB};
    sluice_plan_summary summary;
    return sl_tool_plan(&c, planned, 1, NULL, &steps->placement, &summary, NULL, bench->error,
                        sizeof bench->error);
}

int sl_bench_steps_open(struct sl_bench_steps *steps, struct sl_bench *bench,
                        const struct sl_bench_load *load, const struct sl_bench_size *size,
                        int32_t objective, int32_t layers)
{
    *steps = (struct sl_bench_steps){.bench = bench,
                                     .ranks = size->ranks,
                                     .objective = objective,
                                     .slots = (SL_LOAD_EXPERTS + size->redundant) / size->ranks};
    steps->tokens = objective == SLUICE_BALANCE_EXPERTS ? size->few : size->tokens;
    steps->layers = layers < load->served.layers ? layers : load->served.layers;
    size_t ranks = (size_t)size->ranks, physical = ranks * (size_t)steps->slots;
    steps->counts = calloc((size_t)steps->layers * ranks * SL_LOAD_EXPERTS, sizeof *steps->counts);
    steps->rows = calloc(ranks, sizeof *steps->rows);
    steps->routed = calloc(physical, sizeof *steps->routed);
    steps->shared = calloc(ranks, sizeof *steps->shared);
    steps->cut = calloc(ranks, sizeof *steps->cut);
    int32_t *ids = calloc((size_t)steps->tokens * SL_LOAD_TOP_K, sizeof *ids);
    bool room = steps->counts && steps->rows && steps->routed && steps->shared && steps->cut && ids;
    for (size_t r = 0; r < ranks && room; r++)
        steps->rows[r] = steps->tokens;
    int bad = !room                             ? sl_bench_no_memory(bench)
              : plan(steps, &load->planned)     ? -1
              : draw(steps, &load->served, ids) ? -1
                                                : 0;
    free(ids);
    return bad;
}

int sl_bench_steps_solve(struct sl_bench_steps *steps, int64_t times)
{
    struct sl_bench *bench = steps->bench;
    const sluice_balance_config config = {.struct_size = sizeof config,
                                          .objective = steps->objective};
    sluice_balance_problem problem = {.struct_size = sizeof problem,
                                      .experts = SL_LOAD_EXPERTS,
                                      .slots_per_rank = steps->slots,
                                      .ranks = steps->ranks,
                                      .shared = 1,
                                      .tokens = steps->rows,
                                      .config = &config};
    sluice_balance_answer answer = {.struct_size = sizeof answer,
                                    .sources = 1,
                                    .routed = steps->routed,
                                    .shared = steps->shared,
                                    .cut = steps->cut,
                                    .routed_count = (int64_t)steps->slots * steps->ranks,
                                    .shared_count = steps->ranks,
                                    .cut_count = steps->ranks};
    for (int64_t i = 0; i < times; i++) {
        char text[256] = "";
        problem.map = steps->placement.expert + (ptrdiff_t)steps->next * steps->placement.slots;
        problem.counts = steps->counts + (ptrdiff_t)steps->next * steps->ranks * SL_LOAD_EXPERTS;
        answer.source = (int32_t)(i % steps->ranks);
        steps->next = steps->next + 1 < steps->layers ? steps->next + 1 : 0;
        if (bench->balance->solve(&problem, &answer, text, sizeof text) != SLUICE_OK)
            return sl_tool_error(bench->error, sizeof bench->error, "solve failed: %s", text);
    }
    return 0;
}

void sl_bench_steps_close(struct sl_bench_steps *steps)
{
    sl_placement_free(&steps->placement);
    free(steps->counts);
    free(steps->rows);
    free(steps->routed);
    free(steps->shared);
    free(steps->cut);
}
