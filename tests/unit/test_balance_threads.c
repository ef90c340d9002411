/* Balanced remap on a context's threads: rows enough for several parts. */
#include <stdio.h>
#include <string.h>

#include "abi/ext/placement.h"
#include "ct.h"
#include "place_world.h"
#include "quota_world.h"

enum { ROWS = 2500, K = 4, F = 2, C = K + F, THREADS = 5 };

/* How rank 0 maps, and what comes of it. */
struct case_ {
    int32_t mode, objective, visited_only, shared_policy;
    bool holes, records_only;
    int32_t slots[ROWS][C], recorder[ROWS][K];
};

static int32_t ids[ROWS][K];
static uint8_t valid[ROWS];

/* Skewed, with holes; each expert once in a row. */
static void draw(void)
{
    uint64_t random = 77;
    for (int32_t t = 0; t < ROWS; t++) {
        valid[t] = draw_below(&random, 9) > 0;
        for (int32_t k = 0; k < K; k++) {
            int32_t few = draw_below(&random, 3) ? 3 : QW_E / K;
            ids[t][k] = draw_below(&random, 15) ? k + K * draw_below(&random, few) : -1;
        }
    }
}

static void run(struct case_ *one, int32_t threads)
{
    struct quota_world *world = quota_world(50);
    static const float ones[ROWS * K];
    world->config.mode = one->mode;
    world->config.objective = one->objective;
    world->config.visited_only = one->visited_only;
    world->shared_policy = one->shared_policy;
    world->uses = 0;
    world->threads = threads;
    sluice_context *context = quota_open(world, 0, NULL);
    ct_true(context != NULL);
    if (one->mode == SLUICE_BALANCE_STALE) {
        int64_t counts[QW_RANKS * QW_E];
        for (int32_t i = 0; i < QW_RANKS * QW_E; i++)
            counts[i] = 3 + i % 13;
        const sluice_balance_counts add = {.struct_size = sizeof add,
                                           .counts = ct_tensor(counts, CT_I64, QW_RANKS, QW_E)};
        ct_eq_i64(balance_api()->add_counts(context, &add), SLUICE_OK);
    }
    int64_t rows = ROWS - 100;
    const sluice_remap_args args = {
        .struct_size = sizeof args,
        .ids = ct_tensor(ids, CT_I32, ROWS, K),
        .weights = ct_tensor((void *)(uintptr_t)ones, CT_F32, ROWS, K),
        .num_valid = ct_tensor(&rows, CT_I64, 1, 0),
        .row_valid = one->holes ? ct_tensor(valid, CT_U8, ROWS, 0) : NULL,
        .dispatch_ids = one->records_only ? NULL : ct_tensor(one->slots, CT_I32, ROWS, C),
        .recorder_ids = ct_tensor(one->recorder, CT_I32, ROWS, K)};
    ct_eq_i64(ct_api()->remap(context, &args), SLUICE_OK);
    ct_api()->close(context);
}

CT(balance_threads, same_bits, "2,500 rows on two to five threads go where one puts them")
{
    static const int32_t modes[] = {SLUICE_BALANCE_LOCAL, SLUICE_BALANCE_STALE};
    draw();
    for (int32_t i = 0; i < 2 * 2 * 2 * 2 * 2; i++) {
        struct case_ *one = ct_alloc(sizeof *one), *many = ct_alloc(sizeof *many);
        one->mode = modes[i & 1];
        one->objective = i & 2 ? SLUICE_BALANCE_EXPERTS : SLUICE_BALANCE_TOKENS;
        one->visited_only = (i & 4) != 0;
        one->holes = (i & 8) != 0;
        one->records_only = (i & 16) && !(i & 4);
        one->shared_policy = i & 16 ? SLUICE_SHARED_AT_HOME : SLUICE_SHARED_LEVEL;
        *many = *one;
        run(one, 0);
        for (int32_t threads = 2; threads <= THREADS; threads++) {
            memset(many->slots, 0, sizeof many->slots);
            memset(many->recorder, 0, sizeof many->recorder);
            run(many, threads);
            ct_note("case %d, %d threads", i, threads);
            ct_eq_mem(many->slots, one->slots, sizeof one->slots);
            ct_eq_mem(many->recorder, one->recorder, sizeof one->recorder);
        }
    }
}
