/* SPDX-License-Identifier: Apache-2.0
 * sluice.balance/1 as plain numbers: quotas add up, no rank has more than the bound, and the cut
 * that comes with it proves the bound, so the suite needs no solver of its own. */
#include <string.h>

#include "conform_balance.h"

const sluice_balance_api *cb_api(void)
{
    const sluice_balance_api *api = cf_api->extension(SLUICE_EXT_BALANCE);
    if (!api)
        cf_skip("sluice.balance/1 is not served");
    return api;
}

void cb_draw(struct cb_problem *problem, uint64_t seed, int32_t ranks, int32_t shared)
{
    struct cf_random random = {.state = seed};
    memset(problem, 0, sizeof *problem);
    problem->ranks = ranks;
    problem->shared = shared;
    for (int32_t r = 0; r < ranks; r++) {
        problem->node[r] = r / 3;
        problem->alive[r] = 1;
        problem->tokens[r] = cf_below(&random, 4) ? cf_below(&random, 90) : 0;
        for (int32_t s = 0; s < CB_SLOTS; s++) {
            int32_t p = r * CB_SLOTS + s;
            problem->map[p] = p < CB_EXPERTS ? p : cf_below(&random, 6) ? cf_below(&random, 9) : -1;
        }
    }
    for (int32_t p = ranks * CB_SLOTS - 1; p > 0; p--) {
        int32_t q = cf_below(&random, p + 1), held = problem->map[p];
        problem->map[p] = problem->map[q];
        problem->map[q] = held;
    }
    for (int32_t i = 0; i < ranks * CB_EXPERTS; i++) {
        bool hot = i % CB_EXPERTS < 5;
        problem->counts[i] = cf_below(&random, 3) ? cf_below(&random, hot ? 60 : 12) : 0;
    }
}

sluice_status cb_try(const struct cb_problem *problem, const sluice_balance_config *config,
                     struct cb_answer *answer, char *text, size_t size)
{
    const sluice_balance_problem args = {.struct_size = sizeof args,
                                         .experts = CB_EXPERTS,
                                         .slots_per_rank = CB_SLOTS,
                                         .ranks = problem->ranks,
                                         .shared = problem->shared,
                                         .node = problem->node,
                                         .alive = problem->alive,
                                         .map = problem->map,
                                         .counts = problem->counts,
                                         .tokens = problem->shared ? problem->tokens : NULL,
                                         .config = config};
    int64_t ranks = problem->ranks;
    memset(answer, 0, sizeof *answer);
    answer->out = (sluice_balance_answer){.struct_size = sizeof answer->out,
                                          .sources = problem->ranks,
                                          .routed = answer->routed,
                                          .shared = answer->shared,
                                          .cut = answer->cut,
                                          .routed_count = ranks * ranks * CB_SLOTS,
                                          .shared_count = ranks * ranks,
                                          .cut_count = ranks};
    return cb_api()->solve(&args, &answer->out, text, size);
}

void cb_solve(const struct cb_problem *problem, const sluice_balance_config *config,
              struct cb_answer *answer)
{
    char text[300] = "";
    sluice_status status = cb_try(problem, config, answer, text, sizeof text);
    CHECK(status == SLUICE_OK, "solve gave %s: %s", cf_status_name(status), text);
}

/* ---------------------------------------------------------------------------------- checks */

int64_t cb_routed(const struct cb_problem *problem, const struct cb_answer *answer, int32_t source,
                  int32_t p)
{
    return answer->routed[source * problem->ranks * CB_SLOTS + p];
}

static bool has_copy(const struct cb_problem *problem, int32_t e)
{
    for (int32_t p = 0; p < problem->ranks * CB_SLOTS; p++)
        if (problem->map[p] == e && problem->alive[p / CB_SLOTS])
            return true;
    return false;
}

static void quotas_add_up(const struct cb_problem *problem, const struct cb_answer *answer)
{
    for (int32_t s = 0; s < problem->ranks; s++) {
        int64_t sums[CB_EXPERTS] = {0}, columns = 0;
        for (int32_t p = 0; p < problem->ranks * CB_SLOTS; p++) {
            int64_t units = cb_routed(problem, answer, s, p);
            CHECK(units >= 0, "rank %d has quota %lld of physical expert %d", s, (long long)units,
                  p);
            CHECK(units == 0 || (problem->map[p] >= 0 && problem->alive[p / CB_SLOTS]),
                  "rank %d has a quota of an empty slot or a dead rank, %d", s, p);
            if (problem->map[p] >= 0)
                sums[problem->map[p]] += units;
        }
        for (int32_t e = 0; e < CB_EXPERTS; e++)
            CHECK_EQ(sums[e],
                     problem->alive[s] && has_copy(problem, e) ? problem->counts[s * CB_EXPERTS + e]
                                                               : 0,
                     "quotas of rank %d for expert %d", s, e);
        for (int32_t r = 0; r < problem->ranks; r++) {
            int64_t units = answer->shared[s * problem->ranks + r];
            CHECK(units >= 0 && (units == 0 || problem->alive[r]),
                  "rank %d has %lld shared columns for rank %d", s, (long long)units, r);
            columns += units;
        }
        CHECK_EQ(columns, problem->alive[s] ? problem->shared * problem->tokens[s] : 0,
                 "shared columns of rank %d", s);
    }
}

/* Rows and active experts of a rank; one shared expert at most. */
static void load_of(const struct cb_problem *problem, const struct cb_answer *answer, int32_t r,
                    int64_t *rows, int64_t *active)
{
    int64_t columns = 0;
    *rows = *active = 0;
    for (int32_t p = r * CB_SLOTS; p < (r + 1) * CB_SLOTS; p++) {
        int64_t copy = 0;
        for (int32_t s = 0; s < problem->ranks; s++)
            copy += cb_routed(problem, answer, s, p);
        *rows += copy;
        *active += copy > 0;
    }
    for (int32_t s = 0; s < problem->ranks; s++)
        columns += answer->shared[s * problem->ranks + r];
    *rows += columns;
    *active += columns > 0;
}

static int64_t weight_of(const struct cb_problem *problem, int32_t e, bool experts)
{
    int64_t load = 0;
    for (int32_t s = 0; s < problem->ranks; s++)
        load += problem->alive[s] ? problem->counts[s * CB_EXPERTS + e] : 0;
    return experts ? load > 0 : load;
}

/* What only the cut's ranks can serve, divided by their number and rounded up, is the bound. */
static void cut_proves(const struct cb_problem *problem, const struct cb_answer *answer,
                       bool experts)
{
    int64_t only = 0, size = 0, tokens = 0;
    bool whole = true;
    for (int32_t r = 0; r < problem->ranks; r++) {
        CHECK(!answer->cut[r] || problem->alive[r], "dead rank %d is in the cut", r);
        size += answer->cut[r];
        whole = whole && (answer->cut[r] || !problem->alive[r]);
        tokens += problem->alive[r] ? problem->tokens[r] : 0;
    }
    CHECK(size > 0, "the cut is empty");
    for (int32_t e = 0; e < CB_EXPERTS; e++) {
        bool inside = has_copy(problem, e);
        for (int32_t p = 0; p < problem->ranks * CB_SLOTS; p++)
            inside = inside && (problem->map[p] != e || !problem->alive[p / CB_SLOTS] ||
                                answer->cut[p / CB_SLOTS]);
        only += inside ? weight_of(problem, e, experts) : 0;
    }
    if (whole)
        only += problem->shared * (experts ? tokens > 0 : tokens);
    CHECK_EQ(answer->out.bound, (only + size - 1) / size,
             "the bound: only the cut's %lld ranks can serve %lld", (long long)size,
             (long long)only);
}

/* `what`: the objective, TOKENS or EXPERTS. */
static void exact(const void *what)
{
    int32_t objective = *(const int32_t *)what;
    bool experts = objective == SLUICE_BALANCE_EXPERTS;
    const sluice_balance_config config = {.struct_size = sizeof config, .objective = objective};
    static struct cb_problem problem;
    static struct cb_answer answer;
    for (uint64_t seed = 0; seed < 60; seed++) {
        cb_draw(&problem, seed, 5 + (int32_t)(seed % 8), seed % 3 ? 1 : 0);
        for (int32_t r = 1; r < problem.ranks && seed % 4 == 3; r += 3)
            problem.alive[r] = 0;
        cb_solve(&problem, &config, &answer);
        quotas_add_up(&problem, &answer);
        int64_t greatest = 0;
        for (int32_t r = 0; r < problem.ranks; r++) {
            int64_t rows, active;
            load_of(&problem, &answer, r, &rows, &active);
            int64_t load = experts ? active : rows;
            greatest = load > greatest ? load : greatest;
        }
        CHECK_EQ(answer.out.greatest, greatest, "the greatest load, problem %d", (int)seed);
        CHECK_EQ(answer.out.bound, greatest, "the bound, problem %d", (int)seed);
        cut_proves(&problem, &answer, experts);
    }
}

static int64_t way(const struct cb_problem *problem, const sluice_costs *costs, int32_t a,
                   int32_t b)
{
    if (a == b)
        return 0;
    return problem->node[a] == problem->node[b] ? costs->near_ps : costs->far_ps;
}

static int64_t slowest(const struct cb_problem *problem, const struct cb_answer *answer,
                       const sluice_costs *costs)
{
    int64_t times[CB_RANKS] = {0}, most = 0;
    for (int32_t r = 0; r < problem->ranks; r++) {
        int64_t rows, active;
        load_of(problem, answer, r, &rows, &active);
        int64_t reads = active * costs->expert_ps, computes = rows * costs->row_ps;
        times[r] += costs->add ? reads + computes : reads > computes ? reads : computes;
        for (int32_t s = 0; s < problem->ranks; s++) {
            int64_t units = answer->shared[s * problem->ranks + r];
            for (int32_t p = r * CB_SLOTS; p < (r + 1) * CB_SLOTS; p++)
                units += cb_routed(problem, answer, s, p);
            times[s] += units * way(problem, costs, s, r);
            times[r] += units * way(problem, costs, s, r);
        }
    }
    for (int32_t r = 0; r < problem->ranks; r++)
        most = times[r] > most ? times[r] : most;
    return most;
}

static void cost(const void *what)
{
    (void)what;
    static struct cb_problem problem;
    static struct cb_answer rows, experts, best;
    sluice_costs costs = {.struct_size = sizeof costs};
    sluice_balance_config config = {.struct_size = sizeof config};
    for (uint64_t seed = 0; seed < 40; seed++) {
        costs.expert_ps = seed % 5 ? 900 : 100;
        costs.row_ps = seed % 7 ? 15 : 60;
        costs.near_ps = seed % 3 ? 2 : 0;
        costs.far_ps = 3 * costs.near_ps;
        costs.add = (int32_t)(seed % 2);
        cb_draw(&problem, 500 + seed, 8, 1);
        config.objective = SLUICE_BALANCE_TOKENS;
        config.costs = NULL;
        cb_solve(&problem, &config, &rows);
        config.objective = SLUICE_BALANCE_EXPERTS;
        cb_solve(&problem, &config, &experts);
        config.objective = SLUICE_BALANCE_COST;
        config.costs = &costs;
        cb_solve(&problem, &config, &best);
        quotas_add_up(&problem, &best);
        CHECK_EQ(best.out.greatest, slowest(&problem, &best, &costs), "the slowest rank's time");
        CHECK(best.out.greatest >= best.out.bound, "the time is below the bound");
        CHECK(best.out.greatest <= slowest(&problem, &rows, &costs),
              "COST is slower than TOKENS' answer, problem %d", (int)seed);
        CHECK(best.out.greatest <= slowest(&problem, &experts, &costs),
              "COST is slower than EXPERTS' answer, problem %d", (int)seed);
    }
}

/* A rank's count of expert 0, and its first slot. */
static int64_t *count_at(struct cb_problem *problem, int64_t rank)
{
    return &problem->counts[rank * CB_EXPERTS];
}

static int32_t *slot_at(struct cb_problem *problem, int64_t rank)
{
    return &problem->map[rank * CB_SLOTS];
}

static void near_first(const void *what)
{
    (void)what;
    static struct cb_problem problem;
    static struct cb_answer answer;
    const sluice_balance_config config = {.struct_size = sizeof config};
    cb_draw(&problem, 1, 8, 0);
    /* Expert 0 lives on ranks 0, 1, 6, 7 and nothing else is chosen: 5 on each of them. Ranks 0 to
     * 2 and 6, 7 are nodes. */
    for (int32_t p = 0; p < 8 * CB_SLOTS; p++)
        problem.map[p] = p % CB_SLOTS || (p >= 2 * CB_SLOTS && p < 6 * CB_SLOTS) ? -1 : 0;
    for (int32_t e = 1; e < CB_EXPERTS; e++)
        problem.map[(2 + e / 4) * CB_SLOTS + e % 4] = e;
    memset(problem.counts, 0, sizeof problem.counts);
    problem.counts[0] = 10;
    *count_at(&problem, 1) = 1;
    *count_at(&problem, 6) = 5;
    *count_at(&problem, 7) = 4;
    cb_solve(&problem, &config, &answer);
    CHECK_EQ(answer.out.greatest, 5, "the greatest load");
    CHECK_EQ(cb_routed(&problem, &answer, 0, 0), 5, "what rank 0 keeps");
    CHECK_EQ(cb_routed(&problem, &answer, 0, CB_SLOTS), 4, "what it gives to its node");
    CHECK_EQ(cb_routed(&problem, &answer, 0, 7 * CB_SLOTS), 1, "and to another node");
    CHECK_EQ(cb_routed(&problem, &answer, 6, 6 * CB_SLOTS), 5, "what rank 6 keeps");
    /* Now on ranks 4 and 7; rank 5 is on rank 4's node, rank 0 on neither's. */
    *slot_at(&problem, 2) = *slot_at(&problem, 4);
    for (int32_t r = 0; r < 8; r++)
        if (*slot_at(&problem, r) == 0 || r == 4)
            *slot_at(&problem, r) = r == 4 || r == 7 ? 0 : -1;
    memset(problem.counts, 0, sizeof problem.counts);
    problem.counts[0] = *count_at(&problem, 5) = 4;
    cb_solve(&problem, &config, &answer);
    CHECK_EQ(cb_routed(&problem, &answer, 5, 4 * CB_SLOTS), 4, "what rank 5 gives to its node");
    CHECK_EQ(cb_routed(&problem, &answer, 0, 7 * CB_SLOTS), 4, "what is left for rank 0");
}

static void home_first(const void *what)
{
    (void)what;
    static struct cb_problem problem;
    static struct cb_answer answer;
    const sluice_balance_config config = {.struct_size = sizeof config};
    for (uint64_t seed = 0; seed < 20; seed++) {
        cb_draw(&problem, 900 + seed, 9, 1);
        cb_solve(&problem, &config, &answer);
        for (int32_t r = 0; r < problem.ranks; r++) {
            int64_t rows, active, columns = 0, home = answer.shared[r * problem.ranks + r];
            load_of(&problem, &answer, r, &rows, &active);
            for (int32_t s = 0; s < problem.ranks; s++)
                columns += answer.shared[s * problem.ranks + r];
            int64_t room = answer.out.greatest - (rows - columns);
            CHECK_EQ(home, problem.tokens[r] < room ? problem.tokens[r] : room,
                     "shared columns of rank %d that stay", r);
        }
    }
}

static void refuses(const void *what)
{
    (void)what;
    static struct cb_problem problem;
    static struct cb_answer answer;
    char text[300] = "";
    sluice_balance_config config = {.struct_size = sizeof config, .objective = 3};
    cb_draw(&problem, 3, 6, 1);
    EXPECT_TEXT(text, cb_try(&problem, &config, &answer, text, sizeof text), SLUICE_INVALID,
                "objective", "3");
    config.objective = SLUICE_BALANCE_COST;
    EXPECT_TEXT(text, cb_try(&problem, &config, &answer, text, sizeof text), SLUICE_INVALID,
                "costs");
    config.objective = SLUICE_BALANCE_TOKENS;
    problem.counts[CB_EXPERTS + 2] = -3;
    EXPECT_TEXT(text, cb_try(&problem, &config, &answer, text, sizeof text), SLUICE_INVALID,
                "counts", "-3");
    problem.counts[CB_EXPERTS + 2] = 3;
    problem.map[4] = CB_EXPERTS;
    EXPECT_TEXT(text, cb_try(&problem, &config, &answer, text, sizeof text), SLUICE_INVALID, "map");
}

static const int32_t TOKENS = SLUICE_BALANCE_TOKENS, EXPERTS = SLUICE_BALANCE_EXPERTS;

static const struct cf_case CASES[] = {
    {"balance.tokens", "the fullest rank has as few rows as the cut proves possible", exact,
     &TOKENS},
    {"balance.experts", "the fullest rank has as few active experts as the cut proves possible",
     exact, &EXPERTS},
    {"balance.cost", "the slowest rank is no slower than under the two other objectives", cost,
     NULL},
    {"balance.near_first", "a source takes from its own rank, its node, then rising ranks",
     near_first, NULL},
    {"balance.home_first", "shared columns leave home only as the greatest load asks", home_first,
     NULL},
    {"balance.refuses", "what is wrong with a problem is said by name", refuses, NULL},
};
CF_LIST(cf_balance_cases, CASES);
