#include "bench_team.h"

enum { ITEMS = 5, MEMCPY = 4 };

struct turn {
    struct sl_team *team;
    enum sl_team_job job;
};

static int run_turn(void *user, int64_t times)
{
    struct turn *turn = user;
    return sl_team_run(turn->team, turn->job, times);
}

/* Of all ranks together. A half trip moves half the bytes. */
static double gigabytes(int32_t ranks, int half, double ns)
{
    double rows = (double)ranks * SL_TEAM_TOKENS * SL_TEAM_TOP_K * (half ? 1 : 2);
    return rows * SL_TEAM_HIDDEN * 2 / ns;
}

static void add_rows(struct sl_bench *bench, int32_t ranks, const struct sl_bench_item *items)
{
    static const char *const names[ITEMS] = {"exact", "exact", "exact", "fixed", "memcpy"};
    static const char *const calls[ITEMS] = {"dispatch + combine", "dispatch (count, send)",
                                             "combine", "dispatch + combine", "same bytes"};
    double copy = gigabytes(ranks, 0, items[MEMCPY].fastest);
    for (int32_t i = 0; i < ITEMS; i++) {
        int half = i == 1 || i == 2;
        double fastest = gigabytes(ranks, half, items[i].fastest);
        sl_bench_add(bench, &(struct sl_bench_row){
                                .part = "exchange",
                                .item = names[i],
                                .call = calls[i],
                                .unit = "GB/s",
                                .tokens = SL_TEAM_TOKENS,
                                .ranks = ranks,
                                .fastest = fastest,
                                .median = gigabytes(ranks, half, items[i].median),
                                .ratio = fastest / copy,
                                .ratio_goal = half || i == MEMCPY ? 0 : 0.8,
                            });
    }
}

static int run_ranks(struct sl_bench *bench, struct sl_team *team)
{
    /* COMBINE comes after DISPATCH, whose rows it brings home. */
    static const enum sl_team_job jobs[ITEMS] = {SL_TEAM_EXACT, SL_TEAM_DISPATCH, SL_TEAM_COMBINE,
                                                 SL_TEAM_FIXED, SL_TEAM_MEMCPY};
    struct sl_bench_item items[ITEMS] = {0};
    struct turn turns[ITEMS];
    if (sl_team_run(team, SL_TEAM_OPEN, 1) || sl_team_run(team, SL_TEAM_PREPARE, 1))
        return -1;
    for (int32_t i = 0; i < ITEMS; i++) {
        turns[i] = (struct turn){team, jobs[i]};
        items[i] = (struct sl_bench_item){.run = run_turn, .user = &turns[i]};
    }
    /* A trip is long: a third of the rounds will do. */
    if (sl_bench_race(items, ITEMS, bench->rounds / 3, 8 * bench->turn_ns))
        return -1;
    add_rows(bench, team->ranks, items);
    sl_progress_step(&bench->progress, ++bench->done, sl_progress_now());
    return 0;
}

int sl_bench_run_exchange(struct sl_bench *bench)
{
    static const int32_t worlds[] = {1, 2, SL_TEAM_RANKS};
    int bad = 0;
    for (int32_t i = 0; i < 3 && !bad; i++) {
        static struct sl_team team; /* see sl_team_stop */
        bad = sl_team_start(&team, bench, worlds[i]) || run_ranks(bench, &team);
        sl_team_stop(&team);
    }
    return bad ? -1 : 0;
}
