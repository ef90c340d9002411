#include "quota_world.h"

#include "abi/ext/placement.h"
#include "ct.h"
#include "ct_ranks.h"
#include "place_world.h"
#include "src/comm/comm_threads.h"

#include <string.h>

struct quota_world *quota_world(uint64_t seed)
{
    struct quota_world *world = ct_alloc(sizeof *world);
    uint64_t random = seed;
    *world = (struct quota_world){
        .ranks = QW_RANKS,
        .shared = QW_F,
        .copy_policy = SLUICE_COPY_BALANCED,
        .shared_policy = SLUICE_SHARED_LEVEL,
        .uses = SLUICE_USE_BALANCE_NOW,
        .steps = 1,
        .config = {.struct_size = sizeof world->config, .mode = SLUICE_BALANCE_NOW},
        .transport = {
            .struct_size = sizeof world->transport, .max_tokens = QW_T, .payload_row_bytes = 4}};
    struct world *place = world_make(QW_E, QW_N, QW_RANKS, 0, 0);
    world_shuffle(place, &random);
    memcpy(world->map, place->map, sizeof world->map);
    for (int32_t r = 0; r < QW_RANKS; r++) {
        world->node[r] = r / 3;
        world->rows[r] = r == 2 ? 0 : QW_T - draw_below(&random, QW_T / 2);
    }
    int32_t *ids = &world->ids[0][0][0][0];
    for (int32_t i = 0; i < QW_STEPS * QW_RANKS * QW_T; i++)
        for (int32_t k = 0; k < QW_K; k++) {
            int32_t few = draw_below(&random, 3) ? 3 : QW_E / QW_K;
            int32_t e = k + QW_K * draw_below(&random, few);
            ids[i * QW_K + k] = draw_below(&random, 15) ? e : -1;
        }
    return world;
}

/* The structs of a later version: what is added has its default. */
struct newer {
    struct {
        sluice_transport known;
        int64_t added;
    } transport;
    struct {
        sluice_costs known;
        int64_t added;
    } costs;
    struct {
        sluice_balance_config known;
        int64_t added;
    } balance;
};

static const struct newer *newer_of(const struct quota_world *world)
{
    struct newer *newer = ct_alloc(sizeof *newer);
    newer->transport.known = world->transport;
    newer->transport.known.struct_size = sizeof newer->transport;
    newer->balance.known = world->config;
    newer->balance.known.struct_size = sizeof newer->balance;
    if (world->config.costs) {
        newer->costs.known = *world->config.costs;
        newer->costs.known.struct_size = sizeof newer->costs;
        newer->balance.known.costs = &newer->costs.known;
    }
    return newer;
}

sluice_context *quota_open(struct quota_world *world, int32_t rank, const sluice_comm *comm)
{
    sluice_router router = {
        .struct_size = sizeof router, .experts = QW_E, .top_k = QW_K, .shared = world->shared};
    sluice_layer layer = {.struct_size = sizeof layer, .router = &router, .slots_per_rank = QW_N};
    const sluice_layer *layers[] = {&layer};
    sluice_comm plain = {
        .struct_size = sizeof plain, .rank = rank, .size = world->ranks, .node = world->node};
    sluice_host host = {.struct_size = sizeof host, .threads = world->threads};
    sluice_config config = {.struct_size = sizeof config,
                            .host = &host,
                            .comm = comm ? comm : &plain,
                            .layers = layers,
                            .layer_count = 1,
                            .transport = &world->transport,
                            .uses = world->uses,
                            .flags = world->flags,
                            .copy_policy = world->copy_policy,
                            .shared_policy = world->shared_policy,
                            .timeout_ns = 20000000000};
    const struct newer *newer = world->newer && rank == 1 ? newer_of(world) : NULL;
    if (newer)
        config.transport = &newer->transport.known;
    sluice_balance_config balance = world->config;
    balance.objective = world->odd && rank == 1 ? SLUICE_BALANCE_EXPERTS : balance.objective;
    sluice_context *context = NULL;
    char *text = world->error[rank];
    const sluice_placement_api *placement = ct_api()->extension(SLUICE_EXT_PLACEMENT);
    sluice_status status = ct_api()->open(&config, &context, text, 512);
    if (!status)
        status = placement->set(context, 0, world->map, QW_P, 0, NULL);
    if (!status)
        status = balance_api()->configure(context, 0, newer ? &newer->balance.known : &balance);
    if (status && context)
        (void)ct_api()->last_error(context, text, 512);
    if (!ct_expect_eq_i64(status, SLUICE_OK))
        ct_record(__FILE__, __LINE__, text);
    return context;
}

sluice_status quota_map(struct quota_world *world, sluice_context *context, int32_t rank,
                        int32_t step)
{
    static const float ones[QW_T * QW_K];
    int64_t valid = world->rows[rank], columns = QW_K + world->shared;
    sluice_remap_args args = {
        .struct_size = sizeof args,
        .ids = ct_tensor(world->ids[step][rank], CT_I32, QW_T, QW_K),
        .weights = ct_tensor((void *)(uintptr_t)ones, CT_F32, QW_T, QW_K),
        .num_valid = ct_tensor(&valid, CT_I64, 1, 0),
        .row_valid = world->row_valid ? ct_tensor(world->row_valid, CT_U8, QW_T, 0) : NULL,
        .dispatch_ids = ct_strided(world->slots[rank], CT_I32, QW_T, columns, QW_C),
        .dispatch_weights = ct_strided(world->weights[rank], CT_F32, QW_T, columns, QW_C),
        .recorder_ids = ct_tensor(world->recorder[rank], CT_I32, QW_T, QW_K)};
    return ct_api()->remap(context, &args);
}

static sluice_status count_rows(struct quota_world *world, sluice_context *context, int32_t rank)
{
    int64_t rows, columns = QW_K + world->shared;
    sluice_handle handle;
    sluice_dispatch_args args = {.struct_size = sizeof args,
                                 .phase = SLUICE_DISPATCH_COUNT,
                                 .handle = &handle,
                                 .dispatch_ids =
                                     ct_strided(world->slots[rank], CT_I32, QW_T, columns, QW_C),
                                 .row_count = &rows};
    return ct_api()->dispatch(context, &args);
}

static void read_quotas(struct quota_world *world, sluice_context *context, int32_t rank)
{
    bool all = world->config.mode != SLUICE_BALANCE_LOCAL;
    world->answer[rank] = (sluice_balance_answer){.struct_size = sizeof world->answer[rank],
                                                  .source = all ? 0 : rank,
                                                  .sources = all ? world->ranks : 1,
                                                  .routed = world->routed[rank][0],
                                                  .shared = world->routed_shared[rank][0],
                                                  .routed_count = QW_RANKS * QW_P,
                                                  .shared_count = QW_RANKS * QW_RANKS};
    ct_expect_eq_i64(balance_api()->read(context, 0, &world->answer[rank], NULL), SLUICE_OK);
}

struct run {
    struct quota_world *world;
    sluice_comm_threads *group;
};

static void run_rank(int32_t rank, void *argument)
{
    const struct run *run = argument;
    struct quota_world *world = run->world;
    sluice_comm comm;
    sluice_comm_threads_get(run->group, rank, &comm);
    sluice_context *context = quota_open(world, rank, &comm);
    for (int32_t step = 0; step < world->steps && context; step++) {
        world->status[rank] = quota_map(world, context, rank, step);
        if (!world->status[rank] && world->dispatches)
            world->status[rank] = count_rows(world, context, rank);
    }
    if (context)
        (void)ct_api()->last_error(context, world->error[rank], 512);
    if (context && !world->status[rank])
        read_quotas(world, context, rank);
    ct_api()->close(context);
}

void quota_run(struct quota_world *world)
{
    struct run run = {world, sluice_comm_threads_create(world->ranks, world->node)};
    ct_true(run.group != NULL);
    ct_run_ranks(world->ranks, run_rank, &run);
    sluice_comm_threads_destroy(run.group);
}

void quota_all_ok(const struct quota_world *world)
{
    for (int32_t r = 0; r < world->ranks; r++)
        if (!ct_expect_eq_i64(world->status[r], SLUICE_OK))
            ct_record(__FILE__, __LINE__, world->error[r]);
}

static const int32_t *ids_of(const struct quota_world *world, int32_t step, int32_t rank)
{
    return &world->ids[step][rank][0][0];
}

struct balance_world *quota_problem(const struct quota_world *world, int32_t first, int32_t last,
                                    int32_t source)
{
    struct balance_world *problem = balance_make(QW_E, QW_N, world->ranks, world->shared);
    memcpy(problem->map, world->map, sizeof world->map);
    memcpy(problem->node, world->node, (size_t)world->ranks * sizeof *problem->node);
    problem->config = world->config;
    for (int32_t r = 0; r < world->ranks; r++) {
        if (source >= 0 && r != source)
            continue;
        problem->tokens[r] = (int64_t)world->rows[r] * (last - first + 1);
        for (int32_t step = first; step <= last; step++)
            for (int32_t i = 0; i < world->rows[r] * QW_K; i++) {
                int32_t e = ids_of(world, step, r)[i];
                if (e >= 0 && e < QW_E)
                    problem->counts[r * QW_E + e]++;
            }
    }
    balance_solve(problem);
    return problem;
}

/* The place whose range holds `index`, of quotas of `count` places, -1: none. */
static int32_t range_of(const int64_t *quota, const int32_t *places, int32_t count, int64_t index)
{
    for (int32_t i = 0; i < count; i++) {
        if (index < quota[places[i]])
            return places[i];
        index -= quota[places[i]];
    }
    return -1;
}

static int32_t copies_of(const struct quota_world *world, int32_t e, int32_t *copies)
{
    int32_t count = 0;
    for (int32_t p = 0; p < QW_P; p++)
        if (world->map[p] == e)
            copies[count++] = p;
    return count;
}

void quota_check(const struct quota_world *world, int32_t rank, int32_t step, const int64_t *routed,
                 const int64_t *shared)
{
    int64_t seen[QW_E] = {0}, column = 0;
    int32_t copies[QW_P], ranks[QW_RANKS], local = QW_N + world->shared;
    for (int32_t r = 0; r < QW_RANKS; r++)
        ranks[r] = r;
    for (int32_t t = 0; t < QW_T; t++) {
        bool valid = t < world->rows[rank];
        ct_note("step %d, rank %d, row %d", step, rank, t);
        for (int32_t k = 0; k < QW_K; k++) {
            int32_t e = valid ? world->ids[step][rank][t][k] : -1, want = -1;
            if (e >= 0 && e < QW_E)
                want = range_of(routed, copies, copies_of(world, e, copies), seen[e]++);
            ct_true(e < 0 || want >= 0);
            ct_eq_i64(world->recorder[rank][t][k], want);
            ct_eq_i64(world->slots[rank][t][k], want < 0 ? -1 : want + want / QW_N * world->shared);
        }
        for (int32_t j = 0; j < world->shared && shared; j++) {
            int32_t to = valid ? range_of(shared, ranks, world->ranks, column++) : -1;
            ct_eq_i64(world->slots[rank][t][QW_K + j], to < 0 ? -1 : to * local + QW_N + j);
        }
    }
}

static void cut(const int64_t *old, const int32_t *places, int32_t count, int64_t units,
                int64_t *call)
{
    int64_t sum = 0, running = 0, before = 0;
    for (int32_t i = 0; i < count; i++)
        sum += old[places[i]];
    for (int32_t i = 0; i < count && sum; i++) {
        running += old[places[i]];
        call[places[i]] = units * running / sum - before;
        before = units * running / sum;
    }
}

void quota_cut(const struct quota_world *world, int32_t rank, int32_t step, const int64_t *routed,
               const int64_t *shared, int64_t *call, int64_t *columns)
{
    int64_t seen[QW_E] = {0};
    int32_t copies[QW_P], ranks[QW_RANKS];
    for (int32_t r = 0; r < QW_RANKS; r++)
        ranks[r] = r;
    for (int32_t i = 0; i < world->rows[rank] * QW_K; i++)
        if (ids_of(world, step, rank)[i] >= 0)
            seen[ids_of(world, step, rank)[i]]++;
    for (int32_t e = 0; e < QW_E; e++)
        cut(routed, copies, copies_of(world, e, copies), seen[e], call);
    cut(shared, ranks, world->ranks, (int64_t)world->rows[rank] * world->shared, columns);
}
