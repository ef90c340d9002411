#include "tool_balance.h"

#include <stdlib.h>
#include <string.h>

#include "tool_file.h"

const char *const sl_balance_names[SL_BALANCE_WAYS] = {"even_home", "even_moved", "level_home",
                                                       "level_moved"};
const char *const sl_balance_titles[SL_BALANCE_WAYS] = {"even, at home", "even, moved",
                                                        "level, at home", "level, moved"};

/* Loads are scaled up so that rounding up to whole units is below 1e-9 of the mean. */
static const int64_t UNITS = INT64_C(1) << 50;

static int64_t sum_of(const int64_t *counts, int32_t count)
{
    int64_t sum = 0;
    for (int32_t e = 0; e < count; e++)
        sum += counts[e];
    return sum;
}

/* Rank loads with every expert's counts split evenly over its copies. */
static void even_loads(const struct sl_balance_case *c, const int64_t *counts, const int32_t *map,
                       int32_t *copies, double *load)
{
    memset(copies, 0, (size_t)c->experts * sizeof *copies);
    for (int32_t p = 0; p < c->slots * c->ranks; p++)
        if (map[p] >= 0)
            copies[map[p]]++;
    for (int32_t r = 0; r < c->ranks; r++) {
        load[r] = 0;
        for (int32_t p = r * c->slots; p < (r + 1) * c->slots; p++)
            if (map[p] >= 0)
                load[r] += (double)counts[map[p]] / copies[map[p]];
    }
}

/* The exact greatest load: in counts [E] all of the first source's, scaled. */
static int solve(const struct sl_balance_case *c, int64_t *counts, int64_t tokens, int32_t shared,
                 const int32_t *map, double *greatest, char *err, size_t n)
{
    int64_t rows[1024] = {tokens};
    const sluice_balance_config config = {.struct_size = sizeof config,
                                          .objective = SLUICE_BALANCE_TOKENS};
    const sluice_balance_problem problem = {.struct_size = sizeof problem,
                                            .experts = c->experts,
                                            .slots_per_rank = c->slots,
                                            .ranks = c->ranks,
                                            .shared = shared,
                                            .node = c->node,
                                            .map = map,
                                            .counts = counts,
                                            .tokens = shared ? rows : NULL,
                                            .config = &config};
    sluice_balance_answer answer = {.struct_size = sizeof answer};
    char text[256] = "";
    sluice_status status = c->solver->solve(&problem, &answer, text, sizeof text);
    if (status)
        return sl_tool_error(err, n, "the plugin's balance could not solve it: %s", text);
    *greatest = (double)answer.greatest;
    return 0;
}

static int level_ratios(const struct sl_balance_case *c, const int64_t *counts, int64_t sum,
                        const int32_t *map, struct sl_ratios *ratios, char *err, size_t n)
{
    size_t cells = (size_t)c->ranks * (size_t)c->experts;
    int64_t *scaled = calloc(cells, sizeof *scaled);
    if (!scaled)
        return sl_tool_error(err, n, "no memory for %zu counts", cells);
    /* Times top_k, so that the shared experts' load, sum / top_k * shared, is whole too. */
    int64_t by = UNITS / (sum * c->top_k);
    by = by > 1 ? by : 1;
    for (int32_t e = 0; e < c->experts; e++)
        scaled[e] = counts[e] * c->top_k * by;
    double unit = (double)by * c->top_k, home = (double)sum / c->top_k * c->shared / c->ranks;
    double mean = (double)sum / c->ranks + home, greatest = 0;
    int bad = solve(c, scaled, 0, 0, map, &greatest, err, n);
    ratios->way[SL_LEVEL_HOME] = (greatest / unit + home) / mean;
    if (!bad && c->shared)
        bad = solve(c, scaled, sum * by, c->shared, map, &greatest, err, n);
    ratios->way[SL_LEVEL_MOVED] = greatest / unit / mean;
    free(scaled);
    return bad;
}

int sl_ratios_of(const struct sl_balance_case *c, const int64_t *counts, const int32_t *map,
                 struct sl_ratios *ratios, char *err, size_t n)
{
    *ratios = (struct sl_ratios){{0}};
    double load[1024], greatest = 0;
    int64_t sum = sum_of(counts, c->experts);
    if (!sum)
        return 0;
    if (sum > UNITS / c->top_k)
        return sl_tool_error(err, n, "%lld choices in one layer: too many to weigh exactly",
                             (long long)sum);
    int32_t *copies = calloc((size_t)c->experts, sizeof *copies);
    if (!copies)
        return sl_tool_error(err, n, "no memory for %d experts", c->experts);
    even_loads(c, counts, map, copies, load);
    free(copies);
    double home = (double)sum / c->top_k * c->shared / c->ranks;
    double mean = (double)sum / c->ranks + home;
    for (int32_t r = 0; r < c->ranks; r++)
        greatest = load[r] > greatest ? load[r] : greatest;
    ratios->way[SL_EVEN_HOME] = (greatest + home) / mean;
    /* The shared load fills up the ranks below the mean; what is above it stays. */
    ratios->way[SL_EVEN_MOVED] = greatest > mean ? greatest / mean : 1;
    return c->solver ? level_ratios(c, counts, sum, map, ratios, err, n) : 0;
}

void sl_ratio_sums_of(const struct sl_ratios *ratios, int32_t layers, struct sl_ratio_sums *sums)
{
    *sums = (struct sl_ratio_sums){.layers = 0};
    for (int32_t l = 0; l < layers; l++) {
        if (ratios[l].way[SL_EVEN_HOME] <= 0)
            continue;
        sums->layers++;
        for (int way = 0; way < SL_BALANCE_WAYS; way++) {
            double x = ratios[l].way[way];
            sums->mean.way[way] += x;
            if (x > sums->worst.way[way]) {
                sums->worst.way[way] = x;
                sums->worst_layer[way] = l;
            }
        }
    }
    for (int way = 0; sums->layers && way < SL_BALANCE_WAYS; way++)
        sums->mean.way[way] /= sums->layers;
}
