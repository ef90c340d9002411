#include "bench_load.h"
#include "tool_file.h"
#include "tool_plan.h"

enum { RANKS = 32, SLOTS = 9, WAYS = 4, EPLBS = 2 };

static const struct {
    const char *item, *call;
    int32_t policy, nodes, groups;
    bool repairs; /* the first EPLB's map, for what is served then */
    double goal;  /* ms for the whole model on one core */
} ways[WAYS] = {
    {"eplb", "global", SLUICE_PLAN_EPLB, 1, 1, false, 3},
    {"eplb", "hierarchical, 4 nodes", SLUICE_PLAN_EPLB, 4, 8, false, 1.2},
    {"level", "repair after a shift", SLUICE_PLAN_LEVEL, 1, 1, true, 100},
    {"level", "from nothing", SLUICE_PLAN_LEVEL, 1, 1, false, 1000},
};

struct turn {
    struct sl_bench *bench;
    const struct sl_bench_load *load;
    const struct sl_placement *current;
    int32_t way;
};

static int plan(const struct turn *turn, struct sl_placement *placement)
{
    struct sl_bench *bench = turn->bench;
    int32_t way = turn->way;
    const struct sl_plan_case c = {.api = bench->plan,
                                   .ranks = RANKS,
                                   .slots = SLOTS,
                                   .nodes = ways[way].nodes,
                                   .groups = ways[way].groups,
                                   .shared = 1,
                                   .top_k = SL_LOAD_TOP_K,
                                   .policy = ways[way].policy,
                                   .target = 1.01};
    sluice_plan_summary summary;
    return sl_tool_plan(&c, ways[way].repairs ? &turn->load->served : &turn->load->planned, 1,
                        ways[way].repairs ? turn->current : NULL, placement, &summary, NULL,
                        bench->error, sizeof bench->error);
}

static int run_turn(void *user, int64_t times)
{
    for (int64_t i = 0; i < times; i++) {
        struct sl_placement placement;
        if (plan(user, &placement))
            return -1;
        sl_placement_free(&placement);
    }
    return 0;
}

static void add_rows(struct sl_bench *bench, const struct sl_bench_item *items, int32_t first,
                     int32_t end)
{
    for (int32_t i = first; i < end; i++)
        sl_bench_add(bench, &(struct sl_bench_row){.part = "plan",
                                                   .item = ways[i].item,
                                                   .call = ways[i].call,
                                                   .unit = "ms/model",
                                                   .ranks = RANKS,
                                                   .fastest = items[i].fastest / 1e6,
                                                   .median = items[i].median / 1e6,
                                                   .goal = ways[i].goal});
    sl_progress_step(&bench->progress, ++bench->done, sl_progress_now());
}

int sl_bench_run_plan(struct sl_bench *bench)
{
    struct sl_bench_load load;
    struct sl_placement current = {.layers = 0};
    struct sl_bench_item items[WAYS];
    struct turn turns[WAYS];
    if (!SLUICE_HAS(bench->plan, sluice_plan_api, make))
        return sl_tool_error(bench->error, sizeof bench->error,
                             "the plugin has no " SLUICE_EXT_PLAN);
    for (int32_t i = 0; i < WAYS; i++) {
        turns[i] = (struct turn){bench, &load, &current, i};
        items[i] = (struct sl_bench_item){.run = run_turn, .user = &turns[i]};
    }
    int bad = sl_bench_load_open(&load, bench) || plan(&turns[0], &current) ||
              sl_bench_race(items, EPLBS, bench->rounds, bench->turn_ns);
    if (!bad)
        add_rows(bench, items, 0, EPLBS);
    /* A plan by level is long: a few rounds will do. */
    bad =
        bad || sl_bench_race(items + EPLBS, WAYS - EPLBS, (bench->rounds + 7) / 8, bench->turn_ns);
    if (!bad)
        add_rows(bench, items, EPLBS, WAYS);
    sl_placement_free(&current);
    sl_bench_load_close(&load);
    return bad ? -1 : 0;
}
