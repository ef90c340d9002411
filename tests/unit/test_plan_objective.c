/* Plans for what the step balancer will level: active experts, or time. */
#include <math.h>
#include <string.h>

#include "ct.h"
#include "place_world.h"
#include "plan_world.h"

enum { E = 12, N = 4, W = 4, WINDOWS = 3 };

struct objective {
    struct plan_world *world;
    sluice_balance_config balance;
    sluice_costs costs;
    int64_t counts[WINDOWS][E];
    int32_t map[N * W];
};

/* Every expert once, so that each has its place: rank r holds experts 3r ... 3r + 2. */
static struct objective *make(uint64_t seed, int32_t shared)
{
    struct objective *o = ct_alloc(sizeof *o);
    for (int32_t i = 0; i < WINDOWS * E; i++)
        o->counts[i / E][i % E] =
            draw_below(&seed, 4) ? draw_below(&seed, 3000) : draw_below(&seed, 20);
    for (int32_t p = 0; p < N * W; p++)
        o->map[p] = p % N < 3 ? p / N * 3 + p % N : -1;
    o->world = plan_world_make(1, E, N, W, o->counts[0]);
    o->world->layers[0].map = o->map;
    o->world->layers[0].shared = shared;
    o->world->request.window_count = WINDOWS;
    o->world->request.balance = &o->balance;
    o->balance = (sluice_balance_config){.struct_size = sizeof o->balance};
    o->costs = (sluice_costs){.struct_size = sizeof o->costs};
    for (int32_t w = 0; w < WINDOWS; w++) {
        o->world->windows[w] = o->world->windows[0];
        o->world->windows[w].counts = o->counts[w];
        o->world->windows[w].steps = 40 + 300 * w;
        o->world->windows[w].top_k = 2;
        o->world->window_list[w] = &o->world->windows[w];
    }
    return o;
}

/* In how many steps it was active, by the header's formula. */
static double active(int64_t count, int64_t steps)
{
    double all = (double)steps;
    return all * (1 - pow(1 - 1 / all, (double)count));
}

/* Greatest and whole of rows and reads in windows [first, end), what any rank may serve in whole
 * alone. */
struct sums {
    double row_rank[W], read_rank[W], rows, reads;
};

static struct sums sums_of(const struct objective *o, int32_t first, int32_t end)
{
    struct sums sums = {.rows = 0};
    int32_t shared = o->world->layers[0].shared;
    for (int32_t w = first; w < end; w++) {
        int64_t steps = o->world->windows[w].steps, all = 0;
        for (int32_t e = 0; e < E; e++) {
            sums.row_rank[e / 3] += (double)o->counts[w][e];
            sums.read_rank[e / 3] += active(o->counts[w][e], steps);
            sums.reads += active(o->counts[w][e], steps);
            all += o->counts[w][e];
        }
        sums.rows += (double)(all + all / 2 * shared);
        sums.reads += (double)(steps * shared);
    }
    return sums;
}

/* Greatest / mean, if a rank's time is the sum or the greater of its rows' and its reads'. */
static double ratio(const struct sums *sums, double row, double read, bool add)
{
    double rows = sums->rows * row, reads = sums->reads * read, greatest = 0;
    double whole = add ? rows + reads : fmax(rows, reads);
    for (int32_t r = 0; r < W; r++) {
        double a = sums->row_rank[r] * row, b = sums->read_rank[r] * read;
        greatest = fmax(greatest, add ? a + b : fmax(a, b));
    }
    return fmax(greatest, whole / W) / (whole / W);
}

static double before_of(const struct objective *o)
{
    sluice_plan *plan = plan_make(o->world);
    if (!ct_expect_true(plan != NULL))
        return -1;
    plan_check(plan, o->world);
    sluice_plan_summary summary = plan_summary(plan);
    plan_api()->release(plan);
    return summary.before_worst;
}

/* Row and read as weights; add. Whole rows are rounded up to the next. */
static void compare(struct objective *o, double row, double read, bool add)
{
    double within = o->balance.objective == SLUICE_BALANCE_TOKENS ? 2e-3 : 1e-9;
    double worst = 0;
    o->world->request.judge = SLUICE_PLAN_WORST;
    for (int32_t w = 0; w < WINDOWS; w++) {
        struct sums one = sums_of(o, w, w + 1);
        worst = fmax(worst, ratio(&one, row, read, add));
    }
    ct_near(before_of(o), worst, within);
    o->world->request.judge = SLUICE_PLAN_SUM;
    struct sums all = sums_of(o, 0, WINDOWS);
    ct_near(before_of(o), ratio(&all, row, read, add), within);
}

CT(plan_objective, judged, "a map is judged by rows, active experts, or a rank's time of both")
{
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct objective *o = make(seed, (int32_t)(seed % 3));
        ct_note("seed %d", (int)seed);
        compare(o, 1, 0, true);
        o->balance.objective = SLUICE_BALANCE_EXPERTS;
        compare(o, 0, 1, true);
        o->balance.objective = SLUICE_BALANCE_COST;
        o->balance.costs = &o->costs;
        o->costs.row_ps = 70;
        compare(o, 70, 0, true);
        for (int32_t add = 0; add < 2; add++) {
            o->costs.add = add;
            for (o->costs.expert_ps = 100; o->costs.expert_ps < 10000000; o->costs.expert_ps *= 10)
                compare(o, 70, (double)o->costs.expert_ps, add);
        }
        o->costs.row_ps = 0;
        compare(o, 0, 1, true);
    }
}

CT(plan_objective, costs_of_any_size, "costs and counts of any size are weighed without overflow")
{
    for (int32_t add = 0; add < 2; add++) {
        struct objective *o = make(9, 1);
        for (int32_t i = 0; i < WINDOWS * E; i++)
            o->counts[i / E][i % E] <<= 40;
        o->balance.objective = SLUICE_BALANCE_COST;
        o->balance.costs = &o->costs;
        o->costs.row_ps = o->costs.expert_ps = INT64_MAX;
        o->costs.add = add;
        compare(o, 0x1p63, 0x1p63, add);
    }
}
