#include <stdio.h>
#include <string.h>

#include "bench.h"

const char *const sl_bench_shapes[3] = {"deepseek-v3", "qwen3-235b", "mixtral-8x7b"};

enum { SHAPES = 3, SIZES = 3, MAX_ITEMS = 2 * SL_BENCH_PATHS + 1 };
static const int32_t sizes[SIZES] = {1, 64, SL_BENCH_LOGIT_ROWS};

struct turn {
    struct sl_bench_case *c;
    int32_t path;
};

static int run_route(void *user, int64_t times)
{
    struct turn *turn = user;
    return sl_bench_case_route(turn->c, turn->path, times);
}

static int run_split(void *user, int64_t times)
{
    struct turn *turn = user;
    return sl_bench_case_split(turn->c, turn->path, times);
}

static int run_reference(void *user, int64_t times)
{
    struct turn *turn = user;
    return sl_bench_case_reference(turn->c, times);
}

/* ns a token of a large batch on one core. */
static double goal_of(const char *path, int32_t shape)
{
    static const double avx512[SHAPES] = {200, 100, 15}, avx2[SHAPES] = {400, 200, 30};
    return strcmp(path, "avx512") == 0 ? avx512[shape]
           : strcmp(path, "avx2") == 0 ? avx2[shape]
                                       : 0;
}

static void add_rows(struct sl_bench *bench, int32_t shape, int32_t tokens,
                     const struct sl_bench_item *items)
{
    const struct sl_bench_item *reference = &items[(ptrdiff_t)2 * bench->path_count];
    struct sl_bench_row row = {
        .part = "route", .item = sl_bench_shapes[shape], .unit = "ns/token", .tokens = tokens};
    for (int32_t i = 0; i < 2 * bench->path_count; i++) {
        const char *path = bench->paths[i / 2];
        int large = i % 2 == 0 && tokens == SL_BENCH_LOGIT_ROWS;
        (void)snprintf(row.path, sizeof row.path, "%s", path);
        row.call = i % 2 == 0 ? "route" : "topk + remap + record";
        row.fastest = items[i].fastest / tokens;
        row.median = items[i].median / tokens;
        row.ratio = reference->fastest / items[i].fastest;
        row.goal = large ? goal_of(path, shape) : 0;
        row.ratio_goal = large && shape == 0 && i / 2 == bench->path_count - 1 ? 12 : 0;
        sl_bench_add(bench, &row);
    }
    sl_bench_add(bench, &(struct sl_bench_row){.part = "route",
                                               .item = sl_bench_shapes[shape],
                                               .call = "reference in plain C",
                                               .unit = "ns/token",
                                               .tokens = tokens,
                                               .fastest = reference->fastest / tokens,
                                               .median = reference->median / tokens,
                                               .ratio = 1});
}

static int run_shape(struct sl_bench_case *c, struct sl_bench *bench, int32_t shape)
{
    struct turn turns[SL_BENCH_PATHS];
    if (sl_bench_case_check(c))
        return -1;
    for (int32_t size = 0; size < SIZES; size++) {
        struct sl_bench_item items[MAX_ITEMS] = {0};
        int32_t count = 0;
        sl_bench_case_tokens(c, sizes[size]);
        for (int32_t path = 0; path < bench->path_count; path++) {
            turns[path] = (struct turn){c, path};
            items[count++] = (struct sl_bench_item){.run = run_route, .user = &turns[path]};
            items[count++] = (struct sl_bench_item){.run = run_split, .user = &turns[path]};
        }
        items[count++] = (struct sl_bench_item){.run = run_reference, .user = &turns[0]};
        if (sl_bench_race(items, count, bench->rounds, bench->turn_ns))
            return -1;
        add_rows(bench, shape, sizes[size], items);
        sl_progress_step(&bench->progress, ++bench->done, sl_progress_now());
    }
    return 0;
}

int sl_bench_run_route(struct sl_bench *bench)
{
    int bad = 0;
    for (int32_t shape = 0; shape < SHAPES && !bad; shape++) {
        struct sl_bench_case c;
        bad = sl_bench_case_open(&c, bench, sl_bench_shapes[shape], bench->paths,
                                 bench->path_count) ||
              run_shape(&c, bench, shape);
        sl_bench_case_close(&c);
    }
    return bad ? -1 : 0;
}
