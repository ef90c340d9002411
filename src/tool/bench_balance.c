#include "bench_load.h"
#include "tool_file.h"

enum { LAYERS = 15, OBJECTIVES = 2, ITEMS = SL_BENCH_BALANCES * OBJECTIVES };

static int run_solve(void *user, int64_t times)
{
    return sl_bench_steps_solve(user, times);
}

static void add_row(struct sl_bench *bench, const struct sl_bench_size *size,
                    const struct sl_bench_steps *steps, const struct sl_bench_item *item)
{
    bool tokens = steps->objective == SLUICE_BALANCE_TOKENS;
    sl_bench_add(bench, &(struct sl_bench_row){.part = "balance",
                                               .item = size->item,
                                               .call = tokens ? "solve, tokens" : "solve, experts",
                                               .unit = "us/layer",
                                               .tokens = steps->tokens,
                                               .ranks = size->ranks,
                                               .fastest = item->fastest / 1e3,
                                               .median = item->median / 1e3,
                                               .goal = tokens ? size->goal : 0});
}

static int run_solves(struct sl_bench *bench, const struct sl_bench_load *load)
{
    static const int32_t objectives[] = {SLUICE_BALANCE_TOKENS, SLUICE_BALANCE_EXPERTS};
    struct sl_bench_steps steps[ITEMS] = {{.bench = NULL}};
    struct sl_bench_item items[ITEMS] = {{.run = NULL}};
    int bad = 0;
    for (int32_t i = 0; i < ITEMS && !bad; i++) {
        items[i] = (struct sl_bench_item){.run = run_solve, .user = &steps[i]};
        bad = sl_bench_steps_open(&steps[i], bench, load, &sl_bench_sizes[i / OBJECTIVES],
                                  objectives[i % OBJECTIVES], LAYERS);
    }
    bad = bad || sl_bench_race(items, ITEMS, bench->rounds, bench->turn_ns);
    for (int32_t i = 0; i < ITEMS; i++) {
        if (!bad)
            add_row(bench, &sl_bench_sizes[i / OBJECTIVES], &steps[i], &items[i]);
        sl_bench_steps_close(&steps[i]);
    }
    sl_progress_step(&bench->progress, ++bench->done, sl_progress_now());
    return bad ? -1 : 0;
}

int sl_bench_check_balance(struct sl_bench *bench)
{
    if (SLUICE_HAS(bench->balance, sluice_balance_api, solve) &&
        SLUICE_HAS(bench->plan, sluice_plan_api, make))
        return 0;
    return sl_tool_error(bench->error, sizeof bench->error,
                         "the plugin has no " SLUICE_EXT_BALANCE " or no " SLUICE_EXT_PLAN);
}

int sl_bench_run_balance(struct sl_bench *bench)
{
    struct sl_bench_load load;
    if (sl_bench_check_balance(bench))
        return -1;
    int bad = sl_bench_load_open(&load, bench) || run_solves(bench, &load) ||
              sl_bench_run_remap(bench, &load);
    sl_bench_load_close(&load);
    return bad ? -1 : 0;
}
