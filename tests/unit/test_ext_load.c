/* sluice.load/1: what is counted, where it is read, when it begins anew. */
#include <pthread.h>
#include <string.h>

#include "abi/ext/load.h"
#include "abi/ext/placement.h"
#include "abi/ext/route.h"
#include "ct.h"
#include "ct_sluice.h"

/* Rank 1 of 3; layer 2 uses layer 0's experts, layer 1 has fewer slots. */
enum { E = 6, K = 2, F = 2, RANKS = 3, SLOTS = 4, FEW = 2, P = RANKS * SLOTS, RANK = 1 };
enum { LOCAL = SLOTS + F };

static const sluice_load_api *load(void)
{
    return ct_api()->extension(SLUICE_EXT_LOAD);
}

static const sluice_placement_api *placement(void)
{
    return ct_api()->extension(SLUICE_EXT_PLACEMENT);
}

static sluice_context *open_layers(int32_t threads)
{
    static const int32_t BANK = 0;
    sluice_router router = {.struct_size = sizeof router, .experts = E, .top_k = K, .shared = F};
    sluice_layer layers[3];
    const sluice_layer *list[3];
    for (int32_t i = 0; i < 3; i++) {
        layers[i] = (sluice_layer){.struct_size = sizeof layers[i],
                                   .router = &router,
                                   .bank = i == 2 ? &BANK : NULL,
                                   .slots_per_rank = i == 1 ? FEW : SLOTS};
        list[i] = &layers[i];
    }
    sluice_host host = {.struct_size = sizeof host, .threads = threads};
    sluice_config config = ct_config(&router, 1, RANK, RANKS);
    config.layers = list;
    config.layer_count = 3;
    config.host = &host;
    return ct_open(&config);
}

static void record(sluice_context *context, int32_t layer, int32_t *ids, int64_t count)
{
    const sluice_record_args args = {.struct_size = sizeof args,
                                     .layer = layer,
                                     .recorder_ids = ct_tensor(ids, CT_I32, count, 0)};
    ct_eq_i64(ct_api()->record(context, &args), SLUICE_OK);
}

static void expect_counters(sluice_context *context, int32_t layer, const int64_t *want)
{
    int64_t got[P];
    int32_t physical = layer == 1 ? FEW * RANKS : P;
    ct_eq_i64(load()->read(context, layer, ct_tensor(got, CT_I64, physical, 0), NULL), SLUICE_OK);
    ct_eq_mem(got, want, (size_t)physical * sizeof *want);
}

static void add(sluice_context *context, const sluice_tensor *counts, sluice_status want)
{
    const sluice_load_slots args = {.struct_size = sizeof args, .slot_counts = counts};
    ct_expect_eq_i64(load()->add_slots(context, &args), want);
}

CT(load, counts_what_was_recorded, "read gives how often each physical expert was recorded")
{
    sluice_context *context = open_layers(0);
    ct_true(context != NULL);
    int32_t ids[] = {0, 11, -1, 3, 11, 12, -2, 1 << 30};
    record(context, 0, ids, 8);
    expect_counters(context, 0, (const int64_t[P]){[0] = 1, [3] = 1, [11] = 2});
    expect_counters(context, 1, (const int64_t[P]){0});
    ct_api()->close(context);
}

CT(load, shared_have_no_counter, "route counts the routed choices and no shared slot")
{
    enum { ROWS = 37 };
    sluice_context *context = open_layers(0);
    ct_true(context != NULL);
    float logits[ROWS * E];
    int32_t slots[ROWS * (K + F)], recorded[ROWS * K];
    ct_fill(logits, (int64_t)ROWS * E, 2.0F, 1);
    const sluice_route_api *route = ct_api()->extension(SLUICE_EXT_ROUTE);
    const sluice_route_args args = {.struct_size = sizeof args,
                                    .logits = ct_tensor(logits, CT_F32, ROWS, E),
                                    .dispatch_ids = ct_tensor(slots, CT_I32, ROWS, K + F),
                                    .recorder_ids = ct_tensor(recorded, CT_I32, ROWS, K)};
    ct_eq_i64(route->route(context, &args), SLUICE_OK);
    int64_t want[P] = {0};
    for (int32_t i = 0; i < ROWS * K; i++)
        want[recorded[i]]++;
    ct_true(slots[K] % LOCAL >= SLOTS);
    expect_counters(context, 0, want);
    ct_api()->close(context);
}

CT(load, a_bank_is_counted_once, "a layer that uses another's bank counts there and reads it")
{
    sluice_context *context = open_layers(0);
    ct_true(context != NULL);
    int32_t first[] = {1, 2}, other[] = {2, 5};
    record(context, 0, first, 2);
    record(context, 2, other, 2);
    const int64_t want[P] = {[1] = 1, [2] = 2, [5] = 1};
    expect_counters(context, 0, want);
    expect_counters(context, 2, want);
    ct_api()->close(context);
}

CT(load, reads_into_strides, "read writes a strided i64 tensor and leaves what lies between")
{
    sluice_context *context = open_layers(0);
    ct_true(context != NULL);
    int32_t ids[] = {4, 4, 9};
    record(context, 0, ids, 3);
    int64_t cells[P * 2];
    memset(cells, 0x5A, sizeof cells);
    ct_eq_i64(load()->read(context, 0, ct_strided(cells, CT_I64, P, 1, 2), NULL), SLUICE_OK);
    const int64_t between = 0x5A5A5A5A5A5A5A5A;
    for (int32_t p = 0; p < P; p++) {
        ct_eq_i64(cells[p * 2], p == 4 ? 2 : p == 9);
        ct_eq_i64(cells[p * 2 + 1], between);
    }
    ct_api()->close(context);
}

CT(load, read_refuses, "read refuses a wrong layer, size or dtype and writes nothing")
{
    sluice_context *context = open_layers(0);
    ct_true(context != NULL);
    int64_t cells[P + 1], poison[P + 1];
    memset(cells, 0x5A, sizeof cells);
    memcpy(poison, cells, sizeof cells);
    ct_eq_i64(load()->read(context, 3, ct_tensor(cells, CT_I64, P, 0), NULL), SLUICE_INVALID);
    ct_str_has(ct_error(context), "layer is 3: must be 0 to 2");
    ct_eq_i64(load()->read(context, 0, ct_tensor(cells, CT_I64, P + 1, 0), NULL), SLUICE_INVALID);
    ct_str_has(ct_error(context), "counts has 13 rows: must be 12");
    ct_eq_i64(load()->read(context, 0, ct_tensor(cells, CT_I32, P, 0), NULL), SLUICE_INVALID);
    ct_str_has(ct_error(context), "32 bits, 1 lanes: must be int64");
    ct_eq_i64(load()->read(context, 0, NULL, NULL), SLUICE_INVALID);
    ct_str_has(ct_error(context), "counts is missing");
    ct_eq_i64(load()->read(NULL, 0, NULL, NULL), SLUICE_INVALID);
    ct_eq_mem(cells, poison, sizeof cells);
    ct_api()->close(context);
}

CT(load, counters_are_64_bits, "counts go past 32 bits")
{
    sluice_context *context = open_layers(0);
    ct_true(context != NULL);
    int64_t counts[LOCAL] = {[0] = 3LL << 31, [3] = 1};
    add(context, ct_tensor(counts, CT_I64, LOCAL, 0), SLUICE_OK);
    add(context, ct_tensor(counts, CT_I64, LOCAL, 0), SLUICE_OK);
    expect_counters(context, 0, (const int64_t[P]){[4] = 3LL << 32, [7] = 2});
    ct_api()->close(context);
}

/* -------------------------------------------------------------------------- all layers at once */

CT(load, snapshot_has_every_layer,
   "snapshot gives each layer its row, and zeros to one on another's bank")
{
    enum { STRIDE = P + 3 };
    sluice_context *context = open_layers(0);
    ct_true(context != NULL);
    int32_t ids[] = {0, 5, 5};
    record(context, 0, ids, 3);
    record(context, 1, ids, 3);
    record(context, 2, ids, 1);
    int64_t counts[3 * STRIDE];
    memset(counts, 0x5A, sizeof counts);
    ct_eq_i64(load()->snapshot(context, counts, STRIDE, NULL), SLUICE_OK);
    for (int32_t layer = 0; layer < 3; layer++)
        for (int32_t p = 0; p < (layer == 1 ? FEW * RANKS : P); p++) {
            ct_note("layer %d, counter %d", layer, p);
            int64_t want = p == 0 ? 1 + (layer == 0) : p == 5 ? 2 : 0;
            ct_eq_i64(counts[layer * STRIDE + p], layer == 2 ? 0 : want);
        }
    ct_api()->close(context);
}

CT(load, snapshot_ends_with_the_counters,
   "snapshot writes no more than a layer's counters: the last row may end with them")
{
    enum { STRIDE = P + 3, GIVEN = 2 * STRIDE + P };
    sluice_context *context = open_layers(0);
    ct_true(context != NULL);
    int64_t counts[GIVEN + 3];
    memset(counts, 0x5A, sizeof counts);
    ct_eq_i64(load()->snapshot(context, counts, STRIDE, NULL), SLUICE_OK);
    for (int32_t i = GIVEN; i < GIVEN + 3; i++)
        ct_eq_i64(counts[i], 0x5A5A5A5A5A5A5A5A);
    ct_api()->close(context);
}

CT(load, snapshot_refuses, "snapshot refuses a short stride or no memory and writes nothing")
{
    sluice_context *context = open_layers(0);
    ct_true(context != NULL);
    int64_t counts[3 * P], poison[3 * P];
    memset(counts, 0x5A, sizeof counts);
    memcpy(poison, counts, sizeof counts);
    ct_eq_i64(load()->snapshot(context, counts, P - 1, NULL), SLUICE_INVALID);
    ct_str_has(ct_error(context), "stride is 11: must be given and at least 12");
    ct_eq_i64(load()->snapshot(context, NULL, P, NULL), SLUICE_INVALID);
    ct_str_has(ct_error(context), "counts is NULL");
    ct_eq_i64(load()->snapshot(NULL, counts, P, NULL), SLUICE_INVALID);
    ct_eq_mem(counts, poison, sizeof counts);
    ct_api()->close(context);
}

CT(load, reset_one_layer, "reset zeroes one bank, by whichever layer it is called")
{
    sluice_context *context = open_layers(0);
    ct_true(context != NULL);
    int32_t ids[] = {1};
    record(context, 0, ids, 1);
    record(context, 1, ids, 1);
    ct_eq_i64(load()->reset(context, 1, NULL), SLUICE_OK);
    expect_counters(context, 0, (const int64_t[P]){[1] = 1});
    expect_counters(context, 1, (const int64_t[P]){0});
    ct_eq_i64(load()->reset(context, 2, NULL), SLUICE_OK);
    expect_counters(context, 0, (const int64_t[P]){0});
    ct_api()->close(context);
}

CT(load, reset_all, "reset of layer -1 zeroes every bank's counts, the logical ones too")
{
    sluice_context *context = open_layers(0);
    ct_true(context != NULL);
    int32_t ids[] = {1};
    int64_t logical[E], zeros[E] = {0};
    record(context, 0, ids, 1);
    record(context, 1, ids, 1);
    ct_eq_i64(load()->reset(context, -2, NULL), SLUICE_INVALID);
    ct_str_has(ct_error(context), "layer is -2");
    ct_eq_i64(load()->reset(context, 3, NULL), SLUICE_INVALID);
    expect_counters(context, 0, (const int64_t[P]){[1] = 1});
    ct_eq_i64(load()->reset(context, -1, NULL), SLUICE_OK);
    for (int32_t layer = 0; layer < 3; layer++) {
        expect_counters(context, layer, (const int64_t[P]){0});
        ct_eq_i64(load()->read_logical(context, layer, logical, E, NULL), SLUICE_OK);
        ct_eq_mem(logical, zeros, sizeof zeros);
    }
    ct_api()->close(context);
}

/* ----------------------------------------------------------------- a transport's own counts */

CT(load, slots_of_this_rank, "add_slots adds the first N to this rank's and drops the F shared")
{
    sluice_context *context = open_layers(0);
    ct_true(context != NULL);
    int32_t counts[LOCAL] = {1, 0, 3, 4, 1000, 1000};
    add(context, ct_tensor(counts, CT_I32, LOCAL, 0), SLUICE_OK);
    expect_counters(context, 0, (const int64_t[P]){[4] = 1, [6] = 3, [7] = 4});
    ct_api()->close(context);
}

CT(load, slots_with_a_stride, "add_slots reads a column of a wider tensor")
{
    sluice_context *context = open_layers(0);
    ct_true(context != NULL);
    int32_t cells[LOCAL * 2];
    int64_t wide[LOCAL * 2];
    for (int32_t i = 0; i < LOCAL * 2; i++)
        wide[i] = cells[i] = i % 2 ? 777 : i / 2 + 1;
    add(context, ct_strided(cells, CT_I32, LOCAL, 1, 2), SLUICE_OK);
    expect_counters(context, 0, (const int64_t[P]){[4] = 1, [5] = 2, [6] = 3, [7] = 4});
    add(context, ct_strided(wide, CT_I64, LOCAL, 1, 2), SLUICE_OK);
    expect_counters(context, 0, (const int64_t[P]){[4] = 2, [5] = 4, [6] = 6, [7] = 8});
    ct_api()->close(context);
}

CT(load, slots_not_negative, "one negative entry, a shared one too, is named and nothing is added")
{
    sluice_context *context = open_layers(0);
    ct_true(context != NULL);
    for (int32_t bad = 0; bad < LOCAL; bad++) {
        int32_t counts[LOCAL] = {1, 1, 1, 1, 1, 1};
        char want[64] = "slot_counts[0] is -9: must not be negative";
        want[12] = (char)('0' + bad);
        counts[bad] = -9;
        add(context, ct_tensor(counts, CT_I32, LOCAL, 0), SLUICE_INVALID);
        ct_str_has(ct_error(context), want);
    }
    expect_counters(context, 0, (const int64_t[P]){0});
    ct_api()->close(context);
}

/* ------------------------------------------------------------------------------- by expert */

CT(load, logical_through_each_placement,
   "a new placement begins at 0; counts by expert go on through the map they were made under")
{
    sluice_context *context = open_layers(0);
    ct_true(context != NULL);
    int32_t ids[] = {0, 1, 1, 7};
    const int32_t turned[P] = {5, 4, 3, 2, 1, 0, 5, 4, -1, -1, -1, 0};
    int64_t logical[E];
    record(context, 0, ids, 4); /* the trivial map: experts 0, 1, 1, 1 */
    ct_eq_i64(placement()->set(context, 0, turned, P, 0, NULL), SLUICE_OK);
    expect_counters(context, 0, (const int64_t[P]){0});
    ct_eq_i64(load()->read_logical(context, 0, logical, E, NULL), SLUICE_OK);
    ct_eq_mem(logical, ((const int64_t[E]){1, 3}), sizeof logical);
    record(context, 0, ids, 4); /* experts 5, 4, 4, 4 */
    ct_eq_i64(placement()->set(context, 2, turned, P, 0, NULL), SLUICE_OK);
    record(context, 2, ids, 1); /* expert 5 */
    ct_eq_i64(load()->read_logical(context, 2, logical, E, NULL), SLUICE_OK);
    ct_eq_mem(logical, ((const int64_t[E]){1, 3, 0, 0, 3, 2}), sizeof logical);
    ct_eq_i64(load()->reset(context, 0, NULL), SLUICE_OK);
    ct_eq_i64(load()->read_logical(context, 0, logical, E, NULL), SLUICE_OK);
    ct_eq_mem(logical, ((const int64_t[E]){0}), sizeof logical);
    ct_api()->close(context);
}

CT(load, empty_slots_count_for_none, "what was recorded of an empty slot belongs to no expert")
{
    sluice_context *context = open_layers(0);
    ct_true(context != NULL);
    const int32_t map[P] = {0, 1, 2, 3, 4, 5, -1, -1, -1, -1, -1, -1};
    int32_t ids[] = {5, 6};
    int64_t logical[E];
    ct_eq_i64(placement()->set(context, 0, map, P, 0, NULL), SLUICE_OK);
    record(context, 0, ids, 2);
    expect_counters(context, 0, (const int64_t[P]){[5] = 1, [6] = 1});
    ct_eq_i64(load()->read_logical(context, 0, logical, E, NULL), SLUICE_OK);
    ct_eq_mem(logical, ((const int64_t[E]){[5] = 1}), sizeof logical);
    ct_api()->close(context);
}

CT(load, logical_refuses, "read_logical refuses a wrong count, layer or no memory")
{
    sluice_context *context = open_layers(0);
    ct_true(context != NULL);
    int64_t logical[E] = {7, 7, 7, 7, 7, 7};
    ct_eq_i64(load()->read_logical(context, 0, logical, E - 1, NULL), SLUICE_INVALID);
    ct_str_has(ct_error(context), "count is 5: layer 0 has 6 experts");
    ct_eq_i64(load()->read_logical(context, 0, NULL, E, NULL), SLUICE_INVALID);
    ct_str_has(ct_error(context), "counts is NULL");
    ct_eq_i64(load()->read_logical(context, -1, logical, E, NULL), SLUICE_INVALID);
    ct_str_has(ct_error(context), "layer is -1: must be 0 to 2");
    for (int32_t e = 0; e < E; e++)
        ct_eq_i64(logical[e], 7);
    ct_api()->close(context);
}

/* --------------------------------------------------------------------------------- threads */

enum { TURNS = 200, WORKERS = 4 };

struct shared_context {
    sluice_context *context;
    pthread_mutex_t turn;
};

static void *record_in_turn(void *argument)
{
    struct shared_context *shared = argument;
    int32_t ids[] = {0, 3, 3, P - 1};
    const sluice_record_args args = {.struct_size = sizeof args,
                                     .recorder_ids = ct_tensor(ids, CT_I32, 4, 0)};
    for (int32_t i = 0; i < TURNS; i++) {
        pthread_mutex_lock(&shared->turn);
        ct_expect_eq_i64(ct_api()->record(shared->context, &args), SLUICE_OK);
        pthread_mutex_unlock(&shared->turn);
    }
    return NULL;
}

CT(load, snapshots_between_turns, "snapshots between the records of four threads are whole")
{
    struct shared_context shared = {.turn = PTHREAD_MUTEX_INITIALIZER};
    shared.context = open_layers(0);
    ct_true(shared.context != NULL);
    pthread_t workers[WORKERS];
    for (int32_t i = 0; i < WORKERS; i++)
        ct_eq_i64(pthread_create(&workers[i], NULL, record_in_turn, &shared), 0);
    int64_t counts[3 * P] = {0}, last = 0;
    while (last < (int64_t)TURNS * WORKERS) {
        pthread_mutex_lock(&shared.turn);
        bool held = ct_expect_eq_i64(load()->snapshot(shared.context, counts, P, NULL), SLUICE_OK);
        pthread_mutex_unlock(&shared.turn);
        held = held && ct_expect_true(counts[0] >= last) &&
               ct_expect_eq_i64(counts[3], counts[0] * 2) &&
               ct_expect_eq_i64(counts[P - 1], counts[0]);
        if (!held)
            break;
        last = counts[0];
    }
    for (int32_t i = 0; i < WORKERS; i++)
        pthread_join(workers[i], NULL);
    expect_counters(
        shared.context, 0,
        (const int64_t[P]){
            [0] = TURNS * WORKERS, [3] = 2 * TURNS * WORKERS, [P - 1] = TURNS * WORKERS});
    ct_api()->close(shared.context);
}

CT(load, four_threads_of_one_call, "what four threads of route count adds up")
{
    enum { ROWS = 3000 };
    float *logits = ct_alloc(sizeof(float) * ROWS * E);
    int32_t *recorded = ct_alloc(sizeof(int32_t) * ROWS * K);
    ct_fill(logits, (int64_t)ROWS * E, 2.0F, 3);
    sluice_context *context = open_layers(4);
    ct_true(context != NULL);
    const sluice_route_api *route = ct_api()->extension(SLUICE_EXT_ROUTE);
    sluice_route_args args = {.struct_size = sizeof args,
                              .logits = ct_tensor(logits, CT_F32, ROWS, E),
                              .recorder_ids = ct_tensor(recorded, CT_I32, ROWS, K)};
    int64_t want[P] = {0};
    for (int32_t call = 0; call < 3; call++) {
        ct_eq_i64(route->route(context, &args), SLUICE_OK);
        for (int32_t i = 0; i < ROWS * K; i++)
            want[recorded[i]]++;
        expect_counters(context, 0, want);
    }
    args.skip_record = 1;
    ct_eq_i64(route->route(context, &args), SLUICE_OK);
    expect_counters(context, 0, want);
    ct_api()->close(context);
}
