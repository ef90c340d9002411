/* SPDX-License-Identifier: Apache-2.0
 * sluice.balance/1 in contexts: what remap makes of quotas, which are those that solve gives. */
#include <string.h>

#include "conform_balance.h"

enum { RANKS = 6, TOP_K = 3, ROWS = 40, SHARED = 2, COLUMNS = TOP_K + SHARED };
enum { LOCAL = CB_SLOTS + SHARED, PHYSICAL = RANKS * CB_SLOTS };

/* What rank r chooses: hot experts, holes, rows of padding at the end; rank 4 has no rows. */
static int32_t valid_rows(int32_t rank)
{
    return rank == 4 ? 0 : ROWS - 5 * rank;
}

static void draw(int32_t rank, int32_t step, int32_t *ids)
{
    struct cf_random random = {.state = (uint64_t)(rank * 100 + step)};
    for (int32_t i = 0; i < ROWS * TOP_K; i++) {
        int32_t few = cf_below(&random, 3) ? 2 : 5;
        ids[i] = cf_below(&random, 12) ? i % TOP_K + TOP_K * cf_below(&random, few) : -1;
    }
}

/* Choices of the step, of all ranks or one (source >= 0), as counts. */
static void count(struct cb_problem *problem, int32_t source, int32_t step)
{
    for (int32_t r = 0; r < RANKS; r++) {
        int32_t ids[ROWS * TOP_K];
        if (source >= 0 && r != source)
            continue;
        draw(r, step, ids);
        problem->tokens[r] += valid_rows(r);
        for (int32_t i = 0; i < valid_rows(r) * TOP_K; i++)
            if (ids[i] >= 0)
                problem->counts[r * CB_EXPERTS + ids[i]]++;
    }
}

static void make_problem(struct cb_problem *problem)
{
    cb_draw(problem, 77, RANKS, SHARED);
    memset(problem->counts, 0, sizeof problem->counts);
    memset(problem->tokens, 0, sizeof problem->tokens);
    memset(problem->node, 0, sizeof problem->node);
}

static sluice_context *open_rank(int32_t rank, const sluice_comm *comm,
                                 const sluice_balance_config *config, int32_t flags)
{
    struct cf_setup setup;
    static _Thread_local struct cb_problem problem;
    cf_setup(&setup, 1, CB_EXPERTS, TOP_K, SHARED);
    if (comm)
        cf_setup_comm(&setup, comm);
    else
        cf_setup_rank(&setup, rank, RANKS);
    setup.layer[0].slots_per_rank = CB_SLOTS;
    setup.config.copy_policy = SLUICE_COPY_BALANCED;
    setup.config.shared_policy = SLUICE_SHARED_LEVEL;
    setup.config.uses = config->mode == SLUICE_BALANCE_NOW ? SLUICE_USE_BALANCE_NOW : 0;
    setup.config.flags = flags;
    const sluice_balance_api *api = cb_api();
    sluice_context *context = cf_open(&setup);
    make_problem(&problem);
    cf_set_placement(context, 0, problem.map, PHYSICAL);
    EXPECT_OK(context, api->configure(context, -1, config));
    return context;
}

struct mapped {
    int32_t ids[ROWS * TOP_K], rows;
    struct cf_array *slots, *recorder;
};

static sluice_status map(sluice_context *context, int32_t rank, int32_t step, struct mapped *out)
{
    draw(rank, step, out->ids);
    out->rows = valid_rows(rank);
    out->slots = cf_array(CF_I32, ROWS, COLUMNS);
    out->recorder = cf_array(CF_I32, ROWS, TOP_K);
    struct cf_array *in = cf_ids(CF_I32, ROWS, TOP_K, out->ids), *valid = cf_scalar(out->rows);
    const sluice_remap_args args = {.struct_size = sizeof args,
                                    .ids = &in->t,
                                    .num_valid = &valid->t,
                                    .dispatch_ids = &out->slots->t,
                                    .recorder_ids = &out->recorder->t};
    return cf_call_remap(context, &args);
}

/* Where the range of quota that `index` falls in is; -1: beyond all. stride: between quotas. */
static int32_t range(const int64_t *quota, int32_t places, const int32_t *map, int32_t e,
                     int64_t index)
{
    for (int32_t p = 0; p < places; p++) {
        if (map && map[p] != e)
            continue;
        if (index < quota[p])
            return p;
        index -= quota[p];
    }
    return -1;
}

static const int64_t *routed_of(const struct cb_answer *answer, int64_t rank)
{
    return answer->routed + rank * PHYSICAL;
}

static const int64_t *shared_of(const struct cb_answer *answer, int64_t rank)
{
    return answer->shared + rank * RANKS;
}

static void check_rows(const struct cb_problem *problem, const struct mapped *out,
                       const int64_t *routed, const int64_t *shared)
{
    int64_t seen[CB_EXPERTS] = {0}, columns = 0;
    for (int32_t t = 0; t < ROWS; t++) {
        bool valid = t < out->rows;
        for (int32_t k = 0; k < TOP_K; k++) {
            int32_t e = valid ? out->ids[t * TOP_K + k] : -1, p = -1;
            if (e >= 0)
                p = range(routed, PHYSICAL, problem->map, e, seen[e]++);
            CHECK_EQ(cf_id(out->recorder, t, k), p, "recorder id of row %d, column %d", t, k);
            CHECK_EQ(cf_id(out->slots, t, k), p < 0 ? -1 : p + p / CB_SLOTS * SHARED,
                     "dispatch id of row %d, column %d", t, k);
        }
        for (int32_t j = 0; j < SHARED; j++) {
            int32_t to = valid ? range(shared, RANKS, NULL, 0, columns++) : -1;
            CHECK_EQ(cf_id(out->slots, t, TOP_K + j),
                     to < 0 ? -1 : (int64_t)to * LOCAL + CB_SLOTS + j, "shared slot %d of row %d",
                     j, t);
        }
    }
}

static void now_rank(int32_t rank, int32_t size, const sluice_comm *comm, const void *what)
{
    (void)what, (void)size;
    const sluice_balance_config config = {.struct_size = sizeof config, .mode = SLUICE_BALANCE_NOW};
    static _Thread_local struct cb_problem problem;
    static _Thread_local struct cb_answer want, got;
    struct mapped out;
    sluice_context *context = open_rank(rank, comm, &config, 0);
    for (int32_t step = 0; step < 2; step++) {
        EXPECT_OK(context, map(context, rank, step, &out));
        make_problem(&problem);
        count(&problem, -1, step);
        cb_solve(&problem, &config, &want);
        check_rows(&problem, &out, routed_of(&want, rank), shared_of(&want, rank));
    }
    got.out = want.out;
    got.out.routed = got.routed;
    got.out.shared = got.shared;
    got.out.cut = got.cut;
    EXPECT_OK(context, cb_api()->read(context, 0, &got.out, NULL));
    CHECK(memcmp(got.routed, want.routed, sizeof got.routed) == 0, "quotas that read gives");
    CHECK(memcmp(got.shared, want.shared, sizeof got.shared) == 0, "shared quotas that read gives");
    CHECK_EQ(got.out.greatest, want.out.greatest, "the greatest load that read gives");
    CHECK_EQ(got.out.step, 2, "steps that were counted");
    cf_meet();
    cf_api->close(context);
}

static void now(const void *what)
{
    (void)cb_api();
    cf_run_ranks(RANKS, now_rank, what);
}

/* Captured once, then launched with other ids and numbers of rows in the same tensors. */
static void graph_rank(int32_t rank, int32_t size, const sluice_comm *comm, const void *what)
{
    (void)what, (void)size;
    const sluice_balance_config config = {.struct_size = sizeof config, .mode = SLUICE_BALANCE_NOW};
    static _Thread_local struct cb_problem problem;
    static _Thread_local struct cb_answer want;
    struct mapped out;
    void *stream = NULL, *graph = NULL;
    if (!cf_memory || !cf_memory->capture_begin)
        cf_skip("this backend has no graphs");
    sluice_context *context = open_rank(rank, comm, &config, 0);
    EXPECT_OK(context, map(context, rank, 0, &out));
    struct cf_array *in = cf_array(CF_I32, ROWS, TOP_K), *valid = cf_array(CF_I32, 1, 0);
    EXPECT_OK(NULL, cf_memory->stream(cf_device(), &stream));
    const sluice_remap_args args = {.struct_size = sizeof args,
                                    .stream = stream,
                                    .ids = &in->t,
                                    .num_valid = &valid->t,
                                    .dispatch_ids = &out.slots->t,
                                    .recorder_ids = &out.recorder->t};
    EXPECT_OK(NULL, cf_memory->capture_begin(cf_device(), stream));
    EXPECT_OK(context, cf_api->remap(context, &args));
    EXPECT_OK(NULL, cf_memory->capture_end(cf_device(), stream, &graph));
    for (int32_t step = 1; step < 4; step++) {
        draw(rank, step, out.ids);
        out.rows = valid_rows(rank);
        for (int32_t i = 0; i < ROWS * TOP_K; i++)
            cf_put(in, i / TOP_K, i % TOP_K, out.ids[i]);
        cf_put(valid, 0, 0, out.rows);
        cf_fill_bytes(out.slots, 0x3C);
        cf_fill_bytes(out.recorder, 0x3C);
        cf_push();
        EXPECT_OK(NULL, cf_memory->graph_launch(cf_device(), graph, stream));
        EXPECT_OK(NULL, cf_memory->wait(cf_device(), stream));
        cf_pull();
        make_problem(&problem);
        count(&problem, -1, step);
        cb_solve(&problem, &config, &want);
        check_rows(&problem, &out, routed_of(&want, rank), shared_of(&want, rank));
    }
    cf_memory->graph_free(cf_device(), graph);
    cf_memory->stream_free(cf_device(), stream);
    cf_meet();
    cf_api->close(context);
}

static void in_graph(const void *what)
{
    (void)cb_api();
    cf_run_ranks(RANKS, graph_rank, what);
}

/* Rows cost most, so that shared columns are those of TOKENS. */
static const sluice_costs COSTS = {
    .struct_size = sizeof COSTS, .expert_ps = 200, .row_ps = 1000, .near_ps = 20, .far_ps = 40};

/* what: the costs, or NULL: TOKENS. */
static void local(const void *what)
{
    const sluice_balance_config config = {.struct_size = sizeof config,
                                          .objective =
                                              what ? SLUICE_BALANCE_COST : SLUICE_BALANCE_TOKENS,
                                          .costs = what};
    static struct cb_problem problem;
    static struct cb_answer want;
    struct mapped out;
    for (int32_t rank = 0; rank < RANKS; rank++) {
        sluice_context *context = open_rank(rank, NULL, &config, 0);
        EXPECT_OK(context, map(context, rank, 3, &out));
        make_problem(&problem);
        count(&problem, rank, 3);
        cb_solve(&problem, &config, &want);
        check_rows(&problem, &out, routed_of(&want, rank), shared_of(&want, rank));
        cf_api->close(context);
    }
}

static sluice_status add(sluice_context *context, const struct cb_problem *problem)
{
    struct cf_array *counts = cf_array(CF_I64, RANKS, CB_EXPERTS);
    for (int32_t r = 0; r < RANKS; r++)
        for (int32_t e = 0; e < CB_EXPERTS; e++)
            cf_put(counts, r, e, (double)problem->counts[r * CB_EXPERTS + e]);
    const sluice_balance_counts args = {.struct_size = sizeof args, .counts = &counts->t};
    cf_push();
    return cb_api()->add_counts(context, &args);
}

/* The boundary of copy k is count * S_k / S, rounded down. */
static void cut(const int64_t *old, int32_t places, const int32_t *map, int32_t e, int64_t units,
                int64_t *call)
{
    int64_t sum = 0, running = 0, before = 0;
    for (int32_t p = 0; p < places; p++)
        sum += !map || map[p] == e ? old[p] : 0;
    for (int32_t p = 0; p < places && sum; p++) {
        if (map && map[p] != e)
            continue;
        running += old[p];
        call[p] = units * running / sum - before;
        before = units * running / sum;
    }
}

/* Three steps of a window of two: the first is gone. */
static void stale(const void *what)
{
    (void)what;
    const sluice_balance_config config = {
        .struct_size = sizeof config, .mode = SLUICE_BALANCE_STALE, .steps = 2};
    static struct cb_problem step, sum;
    static struct cb_answer want;
    sluice_context *context = open_rank(1, NULL, &config, 0);
    make_problem(&sum);
    for (int32_t i = 0; i < 3; i++) {
        make_problem(&step);
        count(&step, -1, 10 + i);
        for (int32_t c = 0; c < RANKS * CB_EXPERTS; c++) {
            step.counts[c] += c % CB_EXPERTS; /* every expert was chosen */
            sum.counts[c] += i ? step.counts[c] : 0;
        }
        for (int32_t r = 0; r < RANKS; r++) {
            int64_t chosen = 0;
            for (int32_t e = 0; e < CB_EXPERTS; e++)
                chosen += step.counts[r * CB_EXPERTS + e];
            sum.tokens[r] += i ? chosen / TOP_K : 0;
        }
        EXPECT_OK(context, add(context, &step));
    }
    cb_solve(&sum, &config, &want);
    struct mapped out;
    EXPECT_OK(context, map(context, 1, 20, &out));
    make_problem(&step);
    count(&step, 1, 20);
    int64_t call[CB_PHYSICAL] = {0}, shared[RANKS] = {0};
    for (int32_t e = 0; e < CB_EXPERTS; e++)
        cut(routed_of(&want, 1), PHYSICAL, sum.map, e, step.counts[1 * CB_EXPERTS + e], call);
    cut(shared_of(&want, 1), RANKS, NULL, 0, step.tokens[1] * SHARED, shared);
    check_rows(&sum, &out, call, shared);
    cf_api->close(context);
}

static void dead(const void *what)
{
    (void)what;
    const sluice_balance_config config = {.struct_size = sizeof config};
    static const uint8_t ALIVE[RANKS] = {1, 1, 0, 1, 1, 1};
    static struct cb_problem problem;
    static struct cb_answer want;
    struct mapped out;
    sluice_context *context = open_rank(0, NULL, &config, 0);
    const sluice_comm comm = {.struct_size = sizeof comm, .rank = 0, .size = RANKS - 1};
    const sluice_ranks ranks = {sizeof ranks, .generation = 1, .alive = ALIVE, .comm = &comm};
    EXPECT_OK(context, cf_ranks()->set(context, &ranks, NULL));
    EXPECT_OK(context, map(context, 0, 5, &out));
    make_problem(&problem);
    memcpy(problem.alive, ALIVE, sizeof ALIVE);
    count(&problem, 0, 5);
    cb_solve(&problem, &config, &want);
    check_rows(&problem, &out, want.routed, want.shared);
}

static void forgets(const void *what)
{
    (void)what;
    const sluice_balance_config config = {.struct_size = sizeof config,
                                          .mode = SLUICE_BALANCE_STALE};
    static const uint8_t ALIVE[RANKS] = {1, 1, 1, 1, 1, 1};
    static struct cb_problem problem;
    sluice_balance_answer answer = {.struct_size = sizeof answer};
    sluice_context *context = open_rank(0, NULL, &config, 0);
    EXPECT(context, cb_api()->read(context, 0, &answer, NULL), SLUICE_NOT_READY, "counted");
    make_problem(&problem);
    count(&problem, -1, 1);
    EXPECT_OK(context, add(context, &problem));
    EXPECT_OK(context, cb_api()->read(context, 0, &answer, NULL));
    const sluice_ranks ranks = {sizeof ranks, .generation = 1, .alive = ALIVE};
    EXPECT_OK(context, cf_ranks()->set(context, &ranks, NULL));
    EXPECT(context, cb_api()->read(context, 0, &answer, NULL), SLUICE_NOT_READY, "counted");
}

static void every_row(const void *what)
{
    (void)what;
    const sluice_balance_config config = {.struct_size = sizeof config};
    struct mapped first, out;
    sluice_context *context = open_rank(0, NULL, &config, SLUICE_OPEN_EVERY_RANK_EVERY_ROW);
    EXPECT_OK(context, map(context, 0, 6, &first));
    for (int32_t rank = 1; rank < RANKS; rank++) {
        context = open_rank(rank, NULL, &config, SLUICE_OPEN_EVERY_RANK_EVERY_ROW);
        EXPECT_OK(context, map(context, 0, 6, &out));
        for (int32_t t = 0; t < ROWS; t++)
            for (int32_t c = 0; c < COLUMNS; c++)
                CHECK_EQ(cf_id(out.slots, t, c), cf_id(first.slots, t, c),
                         "dispatch id of row %d, column %d on rank %d", t, c, rank);
    }
}

static void visited(const void *what)
{
    (void)what;
    const sluice_balance_config config = {.struct_size = sizeof config, .visited_only = 1};
    struct mapped out;
    int32_t away = 0;
    sluice_context *context = open_rank(1, NULL, &config, 0);
    EXPECT_OK(context, map(context, 1, 7, &out));
    for (int32_t t = 0; t < out.rows; t++)
        for (int32_t j = TOP_K; j < COLUMNS; j++) {
            int64_t rank = cf_id(out.slots, t, j) / LOCAL;
            bool goes = rank == 1;
            for (int32_t k = 0; k < TOP_K; k++)
                goes =
                    goes || (cf_id(out.slots, t, k) >= 0 && cf_id(out.slots, t, k) / LOCAL == rank);
            CHECK(goes, "row %d is sent to rank %d for its shared expert alone", t, (int)rank);
            away += rank != 1;
        }
    CHECK(away > 0, "no shared column has left home");
}

static void other_rank(int32_t rank, int32_t size, const sluice_comm *comm, const void *what)
{
    (void)what, (void)size;
    const sluice_balance_config config = {.struct_size = sizeof config,
                                          .mode = SLUICE_BALANCE_NOW,
                                          .objective = rank == 2 ? SLUICE_BALANCE_EXPERTS
                                                                 : SLUICE_BALANCE_TOKENS};
    struct mapped out;
    sluice_context *context = open_rank(rank, comm, &config, 0);
    sluice_status status = map(context, rank, 0, &out);
    if (status == SLUICE_OK && cf_memory) /* a device's call is told of by the next */
        status = map(context, rank, 0, &out);
    EXPECT(context, status, SLUICE_MISMATCH, "remap");
    cf_meet();
    cf_api->close(context);
}

static void mismatch(const void *what)
{
    (void)cb_api();
    cf_run_ranks(RANKS, other_rank, what);
}

static void configure(const void *what)
{
    (void)what;
    sluice_balance_config config = {.struct_size = sizeof config};
    sluice_context *context = open_rank(0, NULL, &config, 0);
    config.mode = SLUICE_BALANCE_NOW;
    EXPECT(context, cb_api()->configure(context, 0, &config), SLUICE_UNSUPPORTED, "BALANCE_NOW");
    config.mode = 3;
    EXPECT(context, cb_api()->configure(context, 0, &config), SLUICE_INVALID, "mode");
    context = cf_open_simple(8, 2, 1);
    config.mode = SLUICE_BALANCE_LOCAL;
    EXPECT(context, cb_api()->configure(context, 0, &config), SLUICE_UNSUPPORTED, "policy");
}

static const struct cf_case CASES[] = {
    {"quotas.now", "the j-th choice goes where j falls in the quotas of everyone's counts", now,
     NULL},
    {"quotas.graph", "NOW in a graph, launched again with other choices", in_graph, NULL},
    {"quotas.local", "LOCAL: in those of this rank's counts", local, NULL},
    {"quotas.cost", "LOCAL, under COST, whose quotas are solve's as well", local, &COSTS},
    {"quotas.stale", "STALE: boundaries are those of the last steps' quotas, rounded down", stale,
     NULL},
    {"quotas.dead", "a dead rank has no quota", dead, NULL},
    {"quotas.forgets", "what was counted is forgotten when ranks are set", forgets, NULL},
    {"quotas.every_row", "EVERY_RANK_EVERY_ROW: quotas do not depend on the rank", every_row, NULL},
    {"quotas.visited", "visited_only sends no token twice", visited, NULL},
    {"quotas.mismatch", "ranks with different objectives are told so", mismatch, NULL},
    {"quotas.configure", "what a context was not opened for is UNSUPPORTED", configure, NULL},
};
CF_LIST(cf_quota_cases, CASES);
