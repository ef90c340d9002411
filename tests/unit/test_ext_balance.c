/* sluice.balance/1 in contexts: what remap and route do with quotas, in every mode. */
#include <stdlib.h>
#include <string.h>

#include "abi/ext/load.h"
#include "abi/ext/placement.h"
#include "abi/ext/ranks.h"
#include "abi/ext/route.h"
#include "ct.h"
#include "place_world.h"
#include "quota_world.h"

/* Rows of each rank, counted from what all ranks dispatched. */
static int64_t fullest(const struct quota_world *world)
{
    int64_t load[QW_RANKS] = {0}, most = 0;
    for (int32_t r = 0; r < world->ranks; r++)
        for (int32_t t = 0; t < QW_T; t++)
            for (int32_t c = 0; c < QW_K + world->shared; c++)
                if (world->slots[r][t][c] >= 0)
                    load[world->slots[r][t][c] / (QW_N + world->shared)]++;
    for (int32_t r = 0; r < world->ranks; r++)
        most = load[r] > most ? load[r] : most;
    return most;
}

CT(ext_balance, now, "NOW: the j-th choice goes where j falls in the quotas that solve gives")
{
    for (uint64_t seed = 1; seed < 6 && !ct_failed(); seed++) {
        struct quota_world *world = quota_world(seed);
        quota_run(world);
        quota_all_ok(world);
        struct balance_world *problem = quota_problem(world, 0, 0, -1);
        for (int32_t r = 0; r < QW_RANKS && !ct_failed(); r++)
            quota_check(world, r, 0, problem->routed + r * QW_P, problem->shared + r * QW_RANKS);
        ct_eq_i64(fullest(world), problem->answer.greatest);
    }
}

CT(ext_balance, now_read, "NOW: every rank reads the same quotas, those of solve")
{
    struct quota_world *world = quota_world(7);
    world->steps = 3;
    quota_run(world);
    quota_all_ok(world);
    struct balance_world *problem = quota_problem(world, 2, 2, -1);
    for (int32_t r = 0; r < QW_RANKS && !ct_failed(); r++) {
        ct_eq_mem(world->routed[r], problem->routed, sizeof world->routed[r]);
        ct_eq_mem(world->routed_shared[r], problem->shared, sizeof world->routed_shared[r]);
        ct_eq_i64(world->answer[r].greatest, problem->answer.greatest);
        ct_eq_i64(world->answer[r].bound, problem->answer.bound);
        ct_eq_i64(world->answer[r].step, 3);
        ct_eq_i64(world->answer[r].epoch, 1);
    }
}

CT(ext_balance, now_experts, "NOW, EXPERTS: quotas are those of solve, each column j on one rank")
{
    struct quota_world *world = quota_world(8);
    world->config.objective = SLUICE_BALANCE_EXPERTS;
    for (int32_t r = 0; r < QW_RANKS; r++)
        world->rows[r] = world->rows[r] > 2 ? 2 : 0;
    quota_run(world);
    quota_all_ok(world);
    struct balance_world *problem = quota_problem(world, 0, 0, -1);
    bool active[QW_RANKS][QW_N + QW_F] = {{false}};
    for (int32_t r = 0; r < QW_RANKS && !ct_failed(); r++) {
        quota_check(world, r, 0, problem->routed + r * QW_P, NULL);
        int64_t columns[QW_RANKS] = {0};
        for (int32_t t = 0; t < world->rows[r]; t++)
            for (int32_t c = 0; c < QW_C; c++) {
                int32_t slot = world->slots[r][t][c];
                if (slot < 0)
                    continue;
                active[slot / (QW_N + QW_F)][slot % (QW_N + QW_F)] = true;
                columns[slot / (QW_N + QW_F)] += c >= QW_K;
            }
        ct_eq_mem(columns, problem->shared + r * QW_RANKS, sizeof columns);
    }
    int64_t most = 0;
    for (int32_t r = 0; r < QW_RANKS; r++) {
        int64_t count = 0;
        for (int32_t slot = 0; slot < QW_N + QW_F; slot++)
            count += active[r][slot];
        most = count > most ? count : most;
    }
    ct_eq_i64(most, problem->answer.greatest);
}

CT(ext_balance, now_cost, "NOW, COST: quotas are those of solve under the costs that were copied")
{
    struct quota_world *world = quota_world(9);
    sluice_costs costs = {
        .struct_size = sizeof costs, .expert_ps = 700, .row_ps = 90, .near_ps = 3, .far_ps = 11};
    world->config.objective = SLUICE_BALANCE_COST;
    world->config.costs = &costs;
    quota_run(world);
    quota_all_ok(world);
    struct balance_world *problem = quota_problem(world, 0, 0, -1);
    for (int32_t r = 0; r < QW_RANKS && !ct_failed(); r++) {
        quota_check(world, r, 0, problem->routed + r * QW_P, NULL);
        ct_eq_i64(world->answer[r].greatest, problem->answer.greatest);
    }
}

CT(ext_balance, local, "LOCAL: each rank levels its own rows, alone")
{
    struct quota_world *world = quota_world(10);
    world->config.mode = SLUICE_BALANCE_LOCAL;
    world->uses = 0;
    quota_run(world);
    quota_all_ok(world);
    for (int32_t r = 0; r < QW_RANKS && !ct_failed(); r++) {
        struct balance_world *problem = quota_problem(world, 0, 0, r);
        quota_check(world, r, 0, problem->routed + r * QW_P, problem->shared + r * QW_RANKS);
        ct_eq_mem(world->routed[r][0], problem->routed + r * QW_P, sizeof world->routed[r][0]);
    }
}

CT(ext_balance, shared_at_home, "copies BALANCED, shared AT_HOME: shared rows count where they are")
{
    struct quota_world *world = quota_world(11);
    world->shared_policy = SLUICE_SHARED_AT_HOME;
    quota_run(world);
    quota_all_ok(world);
    int64_t most = fullest(world);
    ct_eq_i64(world->answer[0].greatest, most);
    for (int32_t r = 0; r < QW_RANKS; r++)
        for (int32_t t = 0; t < world->rows[r]; t++)
            ct_eq_i64(world->slots[r][t][QW_K], r * (QW_N + QW_F) + QW_N);
    for (int32_t r = 0; r < QW_RANKS && !ct_failed(); r++)
        quota_check(world, r, 0, world->routed[0][r], NULL);
}

CT(ext_balance, level_alone, "copies STATIC or RANDOM, shared LEVEL: copies stay, shared levels")
{
    for (int32_t copies = 0; copies < 2 && !ct_failed(); copies++) {
        struct quota_world *now = quota_world(12), *local = quota_world(12);
        now->copy_policy = local->copy_policy = copies;
        local->config.mode = SLUICE_BALANCE_LOCAL;
        quota_run(now);
        quota_run(local);
        quota_all_ok(now);
        quota_all_ok(local);
        ct_eq_mem(local->recorder, now->recorder, sizeof now->recorder);
        ct_eq_i64(now->answer[3].greatest, fullest(now));
        ct_true(fullest(now) <= fullest(local));
        ct_true(memcmp(local->slots, now->slots, sizeof now->slots) != 0);
    }
}

CT(ext_balance, with_waterfill, "copies BALANCED, shared by waterfill: it sees the copies chosen")
{
    struct quota_world *world = quota_world(13);
    world->shared_policy = SLUICE_SHARED_WATERFILL_DYNAMIC;
    quota_run(world);
    quota_all_ok(world);
    for (int32_t r = 0; r < QW_RANKS && !ct_failed(); r++)
        quota_check(world, r, 0, world->routed[0][r], NULL);
    /* The least loaded rank, 2, has no rows of its own: waterfill brings it some. */
    int64_t to_two = 0;
    for (int32_t r = 0; r < QW_RANKS; r++)
        for (int32_t t = 0; t < world->rows[r]; t++)
            to_two += world->slots[r][t][QW_K] == 2 * (QW_N + QW_F) + QW_N;
    ct_true(to_two > 0);
}

CT(ext_balance, visited_only,
   "visited_only: a shared column goes home or where its row goes anyway")
{
    struct quota_world *world = quota_world(14);
    world->config.visited_only = 1;
    int64_t away = 0;
    quota_run(world);
    quota_all_ok(world);
    for (int32_t r = 0; r < QW_RANKS; r++)
        for (int32_t t = 0; t < world->rows[r]; t++)
            for (int32_t j = QW_K; j < QW_C; j++) {
                int32_t to = world->slots[r][t][j] / (QW_N + QW_F);
                bool visits = to == r;
                for (int32_t k = 0; k < QW_K; k++)
                    visits = visits || (world->slots[r][t][k] >= 0 &&
                                        world->slots[r][t][k] / (QW_N + QW_F) == to);
                ct_true(visits);
                away += to != r;
            }
    ct_true(away > 0);
}

CT(ext_balance, wrong_ids,
   "ids outside the experts and rows of padding become -1, and take no quota")
{
    struct quota_world *world = quota_world(15);
    world->ids[0][1][0][0] = QW_E;
    world->ids[0][1][0][1] = -7;
    quota_run(world);
    quota_all_ok(world);
    ct_eq_i64(world->recorder[1][0][0], -1);
    ct_eq_i64(world->recorder[1][0][1], -1);
    ct_eq_f32bits(world->weights[1][0][0], 0.0F);
    world->ids[0][1][0][0] = world->ids[0][1][0][1] = -1;
    struct balance_world *problem = quota_problem(world, 0, 0, -1);
    for (int32_t r = 0; r < QW_RANKS && !ct_failed(); r++)
        quota_check(world, r, 0, problem->routed + r * QW_P, problem->shared + r * QW_RANKS);
}

CT(ext_balance, row_valid, "rows that row_valid takes out have no choice and take no quota")
{
    struct quota_world *world = quota_world(17), *dense = quota_world(17);
    uint8_t valid[QW_T];
    world->config.mode = dense->config.mode = SLUICE_BALANCE_LOCAL;
    world->rows[0] = QW_T;
    dense->rows[0] = 0;
    for (int32_t t = 0; t < QW_T; t++) {
        valid[t] = t % 3 != 1;
        if (valid[t])
            memcpy(dense->ids[0][0][dense->rows[0]++], world->ids[0][0][t],
                   sizeof world->ids[0][0][t]);
    }
    world->row_valid = valid;
    world->uses = 0;
    sluice_context *context = quota_open(world, 0, NULL);
    ct_eq_i64(quota_map(world, context, 0, 0), SLUICE_OK);
    ct_eq_i64(quota_map(dense, context, 0, 0), SLUICE_OK);
    for (int32_t t = 0, row = 0; t < QW_T; row += valid[t++])
        for (int32_t c = 0; c < QW_C; c++)
            ct_eq_i64(world->slots[0][t][c], valid[t] ? dense->slots[0][row][c] : -1);
    ct_api()->close(context);
}

CT(ext_balance, threads, "the same bits at any number of threads")
{
    struct quota_world *one = quota_world(16), *three = quota_world(16);
    three->threads = 3;
    quota_run(one);
    quota_run(three);
    quota_all_ok(three);
    ct_eq_mem(three->slots, one->slots, sizeof one->slots);
    ct_eq_mem(three->recorder, one->recorder, sizeof one->recorder);
    ct_eq_mem(three->weights, one->weights, sizeof one->weights);
}

/* --------------------------------------------------------------------------------------- ranks */

CT(ext_balance, dead_rank, "a dead rank gets no choice and no shared column")
{
    struct quota_world *world = quota_world(30);
    world->config.mode = SLUICE_BALANCE_LOCAL;
    world->uses = 0;
    for (int32_t p = 0; p < QW_P; p++)
        world->map[p] = p % QW_E; /* 10 experts have a second copy; rank 3 holds 15 to 19 alone */
    const sluice_ranks_api *ranks = ct_api()->extension(SLUICE_EXT_RANKS);
    sluice_context *context = quota_open(world, 0, NULL);
    uint8_t alive[QW_RANKS] = {1, 1, 1, 0, 1, 1};
    sluice_comm comm = {.struct_size = sizeof comm, .rank = 0, .size = QW_RANKS - 1};
    sluice_ranks set = {.struct_size = sizeof set, .generation = 1, .alive = alive, .comm = &comm};
    ct_eq_i64(ranks->set(context, &set, NULL), SLUICE_OK);
    ct_eq_i64(quota_map(world, context, 0, 0), SLUICE_OK);
    int32_t lost = 0;
    for (int32_t t = 0; t < world->rows[0]; t++)
        for (int32_t c = 0; c < QW_C; c++) {
            int32_t slot = world->slots[0][t][c];
            int32_t e = c < QW_K ? world->ids[0][0][t][c] : 0;
            ct_true(slot < 0 || slot / (QW_N + QW_F) != 3);
            ct_eq_i64(slot < 0, e < 0 || e >= 15);
            lost += e >= 15;
        }
    ct_true(lost > 0);
    ct_api()->close(context);
}

CT(ext_balance, every_row, "EVERY_RANK_EVERY_ROW: choices do not depend on the rank")
{
    for (int32_t how = 0; how < 4; how++) {
        struct quota_world *world = quota_world(31);
        world->config.mode = SLUICE_BALANCE_LOCAL;
        world->config.objective = how & 1;
        world->config.visited_only = how & 1;
        world->shared_policy = how & 2 ? SLUICE_SHARED_AT_HOME : SLUICE_SHARED_LEVEL;
        world->uses = 0;
        world->flags = SLUICE_OPEN_EVERY_RANK_EVERY_ROW;
        for (int32_t r = 0; r < QW_RANKS; r++) {
            world->rows[r] = QW_T;
            memcpy(world->ids[0][r], world->ids[0][0], sizeof world->ids[0][0]);
            sluice_context *context = quota_open(world, r, NULL);
            ct_eq_i64(quota_map(world, context, r, 0), SLUICE_OK);
            ct_api()->close(context);
            ct_eq_mem(world->slots[r], world->slots[0], sizeof world->slots[0]);
        }
    }
}

CT(ext_balance, every_row_local, "EVERY_RANK_EVERY_ROW: another mode than LOCAL is refused")
{
    struct quota_world *world = quota_world(32);
    world->config.mode = SLUICE_BALANCE_LOCAL;
    world->uses = 0;
    world->flags = SLUICE_OPEN_EVERY_RANK_EVERY_ROW;
    sluice_context *context = quota_open(world, 1, NULL);
    world->config.mode = SLUICE_BALANCE_STALE;
    ct_eq_i64(balance_api()->configure(context, -1, &world->config), SLUICE_INVALID);
    ct_expect_str_has(ct_error(context), "must be LOCAL");
    ct_api()->close(context);
}

CT(ext_balance, mismatch, "NOW: ranks with another objective are told so")
{
    struct quota_world *world = quota_world(33);
    world->odd = true;
    quota_run(world);
    for (int32_t r = 0; r < QW_RANKS; r++) {
        ct_eq_i64(world->status[r], SLUICE_MISMATCH);
        ct_expect_str_has(world->error[r], "remap of layer 0");
    }
}

/* --------------------------------------------------------------------------------- configuring */

CT(ext_balance, configure_refused, "configure says what is wrong, and leaves what was in force")
{
    struct quota_world *world = quota_world(40);
    world->config.mode = SLUICE_BALANCE_LOCAL;
    world->uses = 0;
    sluice_context *context = quota_open(world, 0, NULL);
    sluice_balance_config bad = {.struct_size = sizeof bad, .objective = 7};
    ct_eq_i64(balance_api()->configure(context, 0, &bad), SLUICE_INVALID);
    ct_expect_str_has(ct_error(context), "config.objective is 7: must be 0 to 2");
    bad = (sluice_balance_config){.struct_size = sizeof bad, .steps = 65};
    ct_eq_i64(balance_api()->configure(context, 0, &bad), SLUICE_INVALID);
    ct_expect_str_has(ct_error(context), "config.steps is 65: must be 0 to 64");
    bad = (sluice_balance_config){.struct_size = sizeof bad, .mode = SLUICE_BALANCE_NOW};
    ct_eq_i64(balance_api()->configure(context, 0, &bad), SLUICE_UNSUPPORTED);
    ct_expect_str_has(ct_error(context), "no BALANCE_NOW");
    ct_eq_i64(balance_api()->configure(context, 1, &bad), SLUICE_INVALID);
    ct_expect_str_has(ct_error(context), "layer is 1");
    ct_eq_i64(balance_api()->configure(context, 0, NULL), SLUICE_INVALID);
    ct_eq_i64(balance_api()->configure(NULL, 0, &bad), SLUICE_INVALID);
    ct_eq_i64(quota_map(world, context, 0, 0), SLUICE_OK);
    struct balance_world *problem = quota_problem(world, 0, 0, 0);
    quota_check(world, 0, 0, problem->routed, problem->shared);
    ct_api()->close(context);
}

struct account {
    int64_t live, left; /* blocks taken and not given back; takes until one fails, -1: never */
    int64_t bytes, made;
};

static void *account_take(void *user, size_t bytes, size_t align, int32_t kind,
                          sluice_device device)
{
    struct account *account = user;
    (void)kind, (void)device;
    if (account->left == 0)
        return NULL;
    account->left -= account->left > 0;
    account->live++;
    account->made++;
    account->bytes += (int64_t)bytes;
    return aligned_alloc(align, bytes);
}

static void account_give(void *user, void *data, size_t bytes, int32_t kind, sluice_device device)
{
    (void)kind, (void)device;
    struct account *account = user;
    account->live--;
    account->bytes -= (int64_t)bytes;
    free(data);
}

CT(ext_balance, configure_memory, "configure without memory for its windows leaves all as it was")
{
    struct account account = {.left = -1};
    sluice_host host = {
        .struct_size = sizeof host, .user = &account, .alloc = account_take, .free = account_give};
    sluice_router router = {.struct_size = sizeof router, .experts = 8, .top_k = 2};
    sluice_config config = ct_config(&router, 3, 0, 2);
    config.host = &host;
    config.copy_policy = SLUICE_COPY_BALANCED;
    sluice_context *context = ct_open(&config);
    sluice_balance_config stale = {.struct_size = sizeof stale, .mode = SLUICE_BALANCE_STALE};
    int64_t open = account.live, counts[8] = {0};
    sluice_balance_counts args = {.struct_size = sizeof args,
                                  .counts = ct_tensor(counts, CT_I64, 1, 8)};
    for (int64_t left = 0; left < 3; left++) {
        account.left = left;
        ct_eq_i64(balance_api()->configure(context, -1, &stale), SLUICE_NO_MEMORY);
        ct_expect_str_has(ct_error(context), "of 8 steps");
        ct_eq_i64(account.live, open);
        ct_eq_i64(balance_api()->add_counts(context, &args), SLUICE_INVALID);
    }
    account.left = -1;
    for (int i = 0; i < 2; i++) {
        ct_eq_i64(balance_api()->configure(context, -1, &stale), SLUICE_OK);
        ct_eq_i64(account.live, open + 3);
    }
    ct_eq_i64(balance_api()->add_counts(context, &args), SLUICE_OK);
    ct_api()->close(context);
    ct_eq_i64(account.live, 0);
}

CT(ext_balance, needs,
   "needs cover what configure takes for STALE with the default number of steps")
{
    struct account account = {.left = -1};
    sluice_host host = {
        .struct_size = sizeof host, .user = &account, .alloc = account_take, .free = account_give};
    sluice_router router = {.struct_size = sizeof router, .experts = 200, .top_k = 2};
    sluice_config config = ct_config(&router, 5, 0, 40);
    sluice_needs needs = {.struct_size = sizeof needs};
    config.host = &host;
    config.needs = &needs;
    config.copy_policy = SLUICE_COPY_BALANCED;
    sluice_context *context = ct_open(&config);
    const sluice_balance_config stale = {.struct_size = sizeof stale, .mode = SLUICE_BALANCE_STALE};
    ct_eq_i64(balance_api()->configure(context, -1, &stale), SLUICE_OK);
    ct_note("took %lld, told %llu", (long long)account.bytes, (unsigned long long)needs.host_bytes);
    ct_true((int64_t)needs.host_bytes + account.made * 64 >= account.bytes);
    ct_api()->close(context);
}

CT(ext_balance, not_opened_for, "without a balanced policy the calls are UNSUPPORTED")
{
    struct quota_world *world = quota_world(41);
    sluice_router router = {.struct_size = sizeof router, .experts = 8, .top_k = 2};
    sluice_config config = ct_config(&router, 1, 0, 2);
    config.shared_policy = SLUICE_SHARED_LEVEL; /* and no shared experts */
    sluice_context *context = ct_open(&config);
    world->config.mode = SLUICE_BALANCE_LOCAL;
    ct_eq_i64(balance_api()->configure(context, -1, &world->config), SLUICE_UNSUPPORTED);
    ct_expect_str_has(ct_error(context), "no balanced policy");
    sluice_balance_answer answer = {.struct_size = sizeof answer};
    ct_eq_i64(balance_api()->read(context, 0, &answer, NULL), SLUICE_UNSUPPORTED);
    ct_api()->close(context);
}

CT(ext_balance, some_layers, "layer -1 means the layers that have something to balance")
{
    sluice_router routers[2] = {
        {.struct_size = sizeof routers[0], .experts = 8, .top_k = 2},
        {.struct_size = sizeof routers[1], .experts = 8, .top_k = 2, .shared = 1}};
    sluice_layer list[2] = {{.struct_size = sizeof list[0], .router = &routers[0]},
                            {.struct_size = sizeof list[1], .router = &routers[1]}};
    const sluice_layer *layers[2] = {&list[0], &list[1]};
    sluice_config config = ct_config(&routers[0], 1, 0, 2);
    config.layers = layers;
    config.layer_count = 2;
    config.shared_policy = SLUICE_SHARED_LEVEL;
    sluice_context *context = ct_open(&config);
    sluice_balance_config stale = {.struct_size = sizeof stale, .mode = SLUICE_BALANCE_STALE};
    ct_eq_i64(balance_api()->configure(context, -1, &stale), SLUICE_OK);
    ct_eq_i64(balance_api()->configure(context, 1, &stale), SLUICE_OK);
    ct_eq_i64(balance_api()->configure(context, 0, &stale), SLUICE_UNSUPPORTED);
    sluice_balance_answer answer = {.struct_size = sizeof answer};
    ct_eq_i64(balance_api()->read(context, 2, &answer, NULL), SLUICE_INVALID);
    ct_eq_i64(balance_api()->read(context, 1, &answer, NULL), SLUICE_NOT_READY);
    ct_api()->close(context);
}

CT(ext_balance, read_refused, "read names what is wrong with the answer")
{
    struct quota_world *world = quota_world(42);
    world->config.mode = SLUICE_BALANCE_LOCAL;
    world->uses = 0;
    sluice_context *context = quota_open(world, 2, NULL);
    sluice_balance_answer answer = {.struct_size = sizeof answer, .source = 2};
    ct_eq_i64(balance_api()->read(context, 0, &answer, NULL), SLUICE_NOT_READY);
    ct_eq_i64(quota_map(world, context, 2, 0), SLUICE_OK);
    ct_eq_i64(balance_api()->read(context, 0, &answer, NULL), SLUICE_OK);
    answer.source = 0; /* with sources 0: not given */
    ct_eq_i64(balance_api()->read(context, 0, &answer, NULL), SLUICE_OK);
    answer.source = 1;
    ct_eq_i64(balance_api()->read(context, 0, &answer, NULL), SLUICE_INVALID);
    ct_expect_str_has(ct_error(context), "in mode LOCAL rank 2 knows its own quotas alone");
    answer.source = 2;
    answer.routed = world->routed[0][0];
    ct_eq_i64(balance_api()->read(context, 0, &answer, NULL), SLUICE_OVERFLOW);
    ct_expect_str_has(ct_error(context), "answer.routed_count is 0: must be at least 30");
    ct_eq_i64(balance_api()->read(context, 0, NULL, NULL), SLUICE_INVALID);
    ct_api()->close(context);
}

/* --------------------------------------------------------------------------------------- route */

CT(ext_balance, route, "route is topk, remap and record, and counts the copies that took choices")
{
    enum { ROWS = 300, E = 16, K = 4, N = 6, RANKS = 4, P = N * RANKS };
    sluice_router router = {
        .struct_size = sizeof router, .experts = E, .top_k = K, .shared = 1, .renorm = 1};
    sluice_config config = ct_config(&router, 1, 1, RANKS);
    sluice_layer layer = *config.layers[0];
    layer.slots_per_rank = N;
    const sluice_layer *layers[] = {&layer};
    const sluice_route_api *route = ct_api()->extension(SLUICE_EXT_ROUTE);
    const sluice_load_api *load = ct_api()->extension(SLUICE_EXT_LOAD);
    config.layers = layers;
    config.copy_policy = SLUICE_COPY_BALANCED;
    config.shared_policy = SLUICE_SHARED_LEVEL;
    float *logits = ct_alloc(ROWS * E * sizeof *logits);
    ct_fill(logits, ROWS * E, 3.0F, 4);
    int32_t ids[ROWS][K], recorder[2][ROWS][K], slots[2][ROWS][K + 1];
    float weights[ROWS][K];
    int64_t counters[P], want[P] = {0};
    sluice_context *context = ct_open(&config);
    sluice_topk_args topk = {.struct_size = sizeof topk,
                             .logits = ct_tensor(logits, CT_F32, ROWS, E),
                             .ids = ct_tensor(ids, CT_I32, ROWS, K),
                             .weights = ct_tensor(weights, CT_F32, ROWS, K)};
    ct_eq_i64(ct_api()->topk(context, &topk), SLUICE_OK);
    sluice_remap_args remap = {.struct_size = sizeof remap,
                               .ids = topk.ids,
                               .dispatch_ids = ct_tensor(slots[0], CT_I32, ROWS, K + 1),
                               .recorder_ids = ct_tensor(recorder[0], CT_I32, ROWS, K)};
    ct_eq_i64(ct_api()->remap(context, &remap), SLUICE_OK);
    sluice_route_args args = {.struct_size = sizeof args,
                              .logits = topk.logits,
                              .dispatch_ids = ct_tensor(slots[1], CT_I32, ROWS, K + 1),
                              .recorder_ids = ct_tensor(recorder[1], CT_I32, ROWS, K)};
    ct_eq_i64(route->route(context, &args), SLUICE_OK);
    ct_eq_mem(slots[1], slots[0], sizeof slots[0]);
    ct_eq_mem(recorder[1], recorder[0], sizeof recorder[0]);
    for (int32_t i = 0; i < ROWS * K; i++)
        want[recorder[0][i / K][i % K]]++;
    ct_eq_i64(load->read(context, 0, ct_tensor(counters, CT_I64, P, 0), NULL), SLUICE_OK);
    ct_eq_mem(counters, want, sizeof want);
    /* with no output of ids it counts all the same */
    args.dispatch_ids = args.recorder_ids = NULL;
    args.weights = ct_tensor(weights, CT_F32, ROWS, K);
    args.ids = topk.ids;
    ct_eq_i64(route->route(context, &args), SLUICE_OK);
    ct_eq_i64(load->read(context, 0, ct_tensor(counters, CT_I64, P, 0), NULL), SLUICE_OK);
    for (int32_t p = 0; p < P; p++)
        ct_eq_i64(counters[p], 2 * want[p]);
    ct_api()->close(context);
}
