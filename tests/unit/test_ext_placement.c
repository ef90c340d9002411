/* sluice.placement/1: which expert is where, how that is changed, and who sees it. */
#include <string.h>

#include "abi/ext/load.h"
#include "abi/ext/placement.h"
#include "abi/ext/ranks.h"
#include "ct.h"
#include "ct_ranks.h"
#include "ct_sluice.h"
#include "place_world.h"
#include "src/comm/comm_threads.h"

/* Rank 2 of 4; layer 1 uses layer 0's experts. */
enum { E = 8, N = 3, W = 4, F = 2, K = 2, P = N * W, L = N + F, RANK = 2 };

/* Expert 7 has three copies, expert 0 two on one rank; slot 5 is empty. */
static const int32_t MAP[P] = {7, 1, 2, 3, 4, -1, 0, 5, 0, 7, 6, 7};

static const sluice_placement_api *placement(void)
{
    return ct_api()->extension(SLUICE_EXT_PLACEMENT);
}

static sluice_config config_of(int32_t shared_policy)
{
    static const int32_t BANK = 0;
    sluice_router router = {.struct_size = sizeof router, .experts = E, .top_k = K, .shared = F};
    sluice_config config = ct_config(&router, 2, RANK, W);
    sluice_layer *other = ct_alloc(sizeof *other);
    const sluice_layer **list = ct_alloc(2 * sizeof *list);
    *other = *config.layers[0];
    other->bank = &BANK;
    list[0] = config.layers[0];
    list[1] = other;
    config.layers = list;
    config.shared_policy = shared_policy;
    return config;
}

static sluice_context *open_rank(void)
{
    const sluice_config config = config_of(SLUICE_SHARED_AT_HOME);
    return ct_open(&config);
}

static sluice_status set(sluice_context *context, const int32_t *map, int64_t epoch)
{
    return placement()->set(context, 0, map, P, epoch, NULL);
}

static void expect_map(sluice_context *context, const int32_t *want, int64_t epoch)
{
    int32_t map[P];
    int64_t now = -1;
    ct_eq_i64(placement()->get(context, 0, map, P, &now), SLUICE_OK);
    ct_eq_mem(map, want, sizeof map);
    ct_eq_i64(now, epoch);
}

/* ----------------------------------------------------------------------------------- shape */

CT(placement, shape, "shape gives a layer's numbers, and the layer that owns its experts")
{
    sluice_context *context = open_rank();
    ct_true(context != NULL);
    for (int32_t layer = 0; layer < 2; layer++) {
        sluice_placement_shape shape = {.struct_size = sizeof shape, .bank = -9};
        ct_eq_i64(placement()->shape(context, layer, &shape), SLUICE_OK);
        ct_eq_i64(shape.experts, E);
        ct_eq_i64(shape.slots_per_rank, 2);
        ct_eq_i64(shape.ranks, W);
        ct_eq_i64(shape.shared, F);
        ct_eq_i64(shape.rank, RANK);
        ct_eq_i64(shape.bank, 0);
        ct_eq_i64(shape.epoch, 0);
        ct_eq_u64(shape.struct_size, sizeof shape);
    }
    sluice_placement_shape small = {.struct_size = sizeof small - 8, .experts = -9};
    ct_eq_i64(placement()->shape(context, 0, &small), SLUICE_INVALID);
    ct_str_has(ct_error(context), "shape.struct_size is 32: must be ");
    ct_eq_i64(placement()->shape(context, 2, &small), SLUICE_INVALID);
    ct_str_has(ct_error(context), "layer is 2: must be 0 to 1");
    ct_eq_i64(placement()->shape(context, 0, NULL), SLUICE_INVALID);
    ct_str_has(ct_error(context), "shape is NULL");
    ct_eq_i64(small.experts, -9);
    ct_api()->close(context);
}

CT(placement, shape_not_fused, "with NOT_FUSED no slot is shared")
{
    sluice_config config = config_of(SLUICE_SHARED_NOT_FUSED);
    sluice_context *context = ct_open(&config);
    ct_true(context != NULL);
    sluice_placement_shape shape = {.struct_size = sizeof shape};
    ct_eq_i64(placement()->shape(context, 0, &shape), SLUICE_OK);
    ct_eq_i64(shape.shared, 0);
    int32_t holds[2], rows[1], count;
    ct_eq_i64(placement()->rows(context, 0, 1, holds, 2), SLUICE_OK);
    ct_eq_i64(holds[0], 2);
    ct_eq_i64(holds[1], 3);
    ct_eq_i64(placement()->find(context, 0, 1, SLUICE_ROW_SHARED(0), rows, 1, &count),
              SLUICE_INVALID);
    ct_api()->close(context);
}

/* -------------------------------------------------------------------------------- validate */

static void expect_invalid(int32_t experts, int32_t ranks, const int32_t *map, int64_t count,
                           const char *says)
{
    char text[256] = "";
    ct_expect_eq_i64(placement()->validate(5, experts, ranks, map, count, text, sizeof text),
                     SLUICE_INVALID);
    ct_expect_str_has(text, "layer 5: ");
    ct_expect_str_has(text, says);
}

CT(placement, validate_names, "validate names the layer, and slot and value or the missing expert")
{
    char text[256] = "unused";
    ct_eq_i64(placement()->validate(5, E, W, MAP, P, text, sizeof text), SLUICE_OK);
    ct_str_eq(text, "");
    int32_t bad[P];
    memcpy(bad, MAP, sizeof bad);
    bad[4] = E;
    expect_invalid(E, W, bad, P, "slot 4 holds expert 8: must be 0 to 7, or -1");
    bad[4] = -2;
    expect_invalid(E, W, bad, P, "slot 4 holds expert -2: must be 0 to 7, or -1");
    bad[4] = 3;
    expect_invalid(E, W, bad, P, "expert 4 is in no slot");
    expect_invalid(E, W, MAP, P - 1, "the map has 11 slots: must be a multiple of 4 ranks");
    expect_invalid(E, W, MAP, E - 1, "the map has 7 slots: must be 8");
    expect_invalid(E, W, MAP, -1, "the map has -1 slots: must be 8");
    expect_invalid(E, 0, MAP, P, "ranks is 0: must be 1 to ");
    expect_invalid(E, 4097, MAP, P, "ranks is 4097: must be 1 to ");
    expect_invalid(0, W, MAP, P, "experts is 0: must be 1 to ");
    expect_invalid(4097, W, MAP, P, "experts is 4097: must be 1 to ");
    expect_invalid(E, W, NULL, P, "the map is missing");
}

CT(placement, validate_without_text, "validate needs no place for a text, and cuts to a small one")
{
    char text[6] = "?????";
    const int32_t none[P] = {0};
    ct_eq_i64(placement()->validate(0, E, W, none, P, NULL, 0), SLUICE_INVALID);
    ct_eq_i64(placement()->validate(0, E, W, none, P, NULL, 100), SLUICE_INVALID);
    ct_eq_i64(placement()->validate(0, E, W, none, P, text, 0), SLUICE_INVALID);
    ct_str_eq(text, "?????");
    ct_eq_i64(placement()->validate(0, E, W, none, P, text, 4), SLUICE_INVALID);
    ct_str_eq(text, "lay");
    ct_eq_i64(text[4], '?');
}

/* ------------------------------------------------------------------------------- set and get */

static sluice_context *open_wide(void)
{
    sluice_config config = config_of(SLUICE_SHARED_AT_HOME);
    sluice_layer *layers = ct_alloc(2 * sizeof *layers);
    const sluice_layer **list = ct_alloc(2 * sizeof *list);
    for (int32_t i = 0; i < 2; i++) {
        layers[i] = *config.layers[i];
        layers[i].slots_per_rank = N;
        list[i] = &layers[i];
    }
    config.layers = list;
    return ct_open(&config);
}

CT(placement, begins_trivial, "at open physical p holds expert p mod E, epoch 0")
{
    sluice_context *context = open_wide();
    ct_true(context != NULL);
    expect_map(context, (const int32_t[P]){0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3}, 0);
    ct_api()->close(context);
}

CT(placement, epochs, "each set raises the epoch by one, or to the number given")
{
    sluice_context *context = open_wide();
    ct_true(context != NULL);
    ct_eq_i64(set(context, MAP, 0), SLUICE_OK);
    expect_map(context, MAP, 1);
    ct_eq_i64(set(context, MAP, 40), SLUICE_OK);
    ct_eq_i64(placement()->set(context, 1, MAP, P, 0, NULL), SLUICE_OK);
    expect_map(context, MAP, 41);
    sluice_placement_shape shape = {.struct_size = sizeof shape};
    ct_eq_i64(placement()->shape(context, 1, &shape), SLUICE_OK);
    ct_eq_i64(shape.epoch, 41);
    ct_eq_i64(placement()->get(context, 1, (int32_t[P]){0}, P, NULL), SLUICE_OK);
    ct_api()->close(context);
}

CT(placement, set_refuses, "a bad map, count or epoch is named; map, epoch and counts stay")
{
    sluice_context *context = open_wide();
    ct_true(context != NULL);
    const sluice_load_api *load = ct_api()->extension(SLUICE_EXT_LOAD);
    int32_t ids[] = {1, 7, 7}, bad[P];
    const sluice_record_args record = {.struct_size = sizeof record,
                                       .recorder_ids = ct_tensor(ids, CT_I32, 3, 0)};
    ct_eq_i64(set(context, MAP, 9), SLUICE_OK);
    ct_eq_i64(ct_api()->record(context, &record), SLUICE_OK);
    memcpy(bad, MAP, sizeof bad);
    bad[11] = 99;
    ct_eq_i64(set(context, bad, 0), SLUICE_INVALID);
    ct_str_has(ct_error(context), "layer 0: slot 11 holds expert 99: must be 0 to 7");
    bad[11] = bad[10] = 7;
    ct_eq_i64(set(context, bad, 0), SLUICE_INVALID);
    ct_str_has(ct_error(context), "layer 0: expert 6 is in no slot");
    ct_eq_i64(set(context, NULL, 0), SLUICE_INVALID);
    ct_str_has(ct_error(context), "the map is missing");
    ct_eq_i64(placement()->set(context, 0, MAP, P + W, 0, NULL), SLUICE_INVALID);
    ct_str_has(ct_error(context), "count is 16: layer 0 has 12 physical experts");
    ct_eq_i64(placement()->set(context, -1, MAP, P, 0, NULL), SLUICE_INVALID);
    ct_str_has(ct_error(context), "layer is -1: must be 0 to 1");
    for (int64_t epoch = -1; epoch <= 9; epoch += 10) {
        ct_eq_i64(set(context, MAP, epoch), SLUICE_STALE);
        ct_str_has(ct_error(context), epoch < 0 ? "epoch is -1" : "epoch is 9");
    }
    expect_map(context, MAP, 9);
    int64_t counts[P];
    ct_eq_i64(load->read(context, 0, ct_tensor(counts, CT_I64, P, 0), NULL), SLUICE_OK);
    ct_eq_mem(counts, ((const int64_t[P]){[1] = 1, [7] = 2}), sizeof counts);
    ct_api()->close(context);
}

CT(placement, get_refuses, "get, rows, find and copies refuse wrong sizes and write nothing")
{
    sluice_context *context = open_wide();
    ct_true(context != NULL);
    int32_t cells[P + 1], count = -9;
    memset(cells, 0x5A, sizeof cells);
    const sluice_placement_api *api = placement();
    ct_eq_i64(api->get(context, 0, cells, P + 1, NULL), SLUICE_INVALID);
    ct_str_has(ct_error(context), "count is 13: layer 0 has 12 physical");
    ct_eq_i64(api->get(context, 0, NULL, P, NULL), SLUICE_INVALID);
    ct_str_has(ct_error(context), "map is NULL");
    ct_eq_i64(api->rows(context, 0, W, cells, L), SLUICE_INVALID);
    ct_str_has(ct_error(context), "rank is 4: must be 0 to 3");
    ct_eq_i64(api->rows(context, 0, 0, cells, N), SLUICE_INVALID);
    ct_str_has(ct_error(context), "count is 3: layer 0 has 5 local slots");
    ct_eq_i64(api->rows(context, 0, 0, NULL, L), SLUICE_INVALID);
    ct_str_has(ct_error(context), "holds is NULL");
    ct_eq_i64(api->find(context, 0, -1, 0, cells, P, &count), SLUICE_INVALID);
    ct_str_has(ct_error(context), "rank is -1: must be 0 to 3");
    static const int32_t strangers[] = {E, SLUICE_ROW_EMPTY, SLUICE_ROW_SHARED(F), INT32_MIN};
    for (int32_t i = 0; i < 4; i++) {
        ct_eq_i64(api->find(context, 0, 0, strangers[i], cells, P, &count), SLUICE_INVALID);
        ct_str_has(ct_error(context), "must be 0 to 7, or SLUICE_ROW_SHARED of one of 2");
        ct_eq_i64(api->copies(context, 0, strangers[i], cells, P, &count), SLUICE_INVALID);
        ct_str_has(ct_error(context), "must be 0 to 7");
    }
    ct_eq_i64(api->find(context, 0, 0, 0, cells, P, NULL), SLUICE_INVALID);
    ct_str_has(ct_error(context), "count is NULL");
    ct_eq_i64(api->find(context, 0, 0, 0, NULL, P, &count), SLUICE_INVALID);
    ct_eq_i64(api->copies(context, 0, 0, cells, -1, &count), SLUICE_INVALID);
    ct_str_has(ct_error(context), "capacity is -1");
    ct_eq_i64(api->copies(context, 2, 0, cells, P, &count), SLUICE_INVALID);
    ct_str_has(ct_error(context), "layer is 2: must be 0 to 1");
    ct_eq_i64(count, -9);
    for (int32_t i = 0; i <= P; i++)
        ct_eq_i64(cells[i], 0x5A5A5A5A);
    ct_api()->close(context);
}

/* ---------------------------------------------------------------------- rows, find and copies */

CT(placement, rows_hold, "rows says what each local row of a rank holds, shared rows last")
{
    sluice_context *context = open_wide();
    ct_true(context != NULL);
    ct_eq_i64(set(context, MAP, 0), SLUICE_OK);
    int32_t holds[L];
    for (int32_t rank = 0; rank < W; rank++) {
        ct_eq_i64(placement()->rows(context, 1, rank, holds, L), SLUICE_OK);
        ct_eq_mem(holds, MAP + rank * N, N * sizeof *holds);
        ct_eq_i64(holds[N], SLUICE_ROW_SHARED(0));
        ct_eq_i64(holds[N + 1], SLUICE_ROW_SHARED(1));
    }
    ct_api()->close(context);
}

/* Every row is found under what it holds, and nothing else is. */
static void expect_inverse(sluice_context *context, int32_t rank)
{
    int32_t holds[L], rows[L], count;
    bool found[L] = {false};
    ct_eq_i64(placement()->rows(context, 0, rank, holds, L), SLUICE_OK);
    for (int32_t e = SLUICE_ROW_SHARED(F - 1); e < E; e++) {
        if (e == SLUICE_ROW_EMPTY)
            continue;
        ct_eq_i64(placement()->find(context, 0, rank, e, rows, L, &count), SLUICE_OK);
        for (int32_t i = 0; i < count; i++) {
            ct_true(i == 0 || rows[i] > rows[i - 1]);
            ct_eq_i64(holds[rows[i]], e);
            found[rows[i]] = true;
        }
    }
    for (int32_t row = 0; row < L; row++)
        ct_eq_i64(found[row], holds[row] != SLUICE_ROW_EMPTY);
}

/* The copies of an expert are the slots that hold it. */
static void expect_copies(sluice_context *context, const int32_t *map)
{
    for (int32_t e = 0; e < E; e++) {
        int32_t physical[P], count, next = 0;
        ct_eq_i64(placement()->copies(context, 0, e, physical, P, &count), SLUICE_OK);
        for (int32_t p = 0; p < P; p++)
            if (map[p] == e)
                ct_eq_i64(physical[next++], p);
        ct_eq_i64(count, next);
    }
}

CT(placement, both_ways, "expert to rows and row to expert are inverses under drawn placements")
{
    sluice_context *context = open_wide();
    ct_true(context != NULL);
    struct world *world = world_make(E, N, W, F, RANK);
    uint64_t random = 5;
    for (int32_t i = 0; i < 50 && !ct_failed(); i++) {
        ct_note("placement %d", i);
        world_shuffle(world, &random);
        ct_eq_i64(set(context, world->map, 0), SLUICE_OK);
        for (int32_t rank = 0; rank < W; rank++)
            expect_inverse(context, rank);
        expect_copies(context, world->map);
    }
    ct_api()->close(context);
}

CT(placement, too_small_a_list, "a list that is too small is OVERFLOW with how many there are")
{
    sluice_context *context = open_wide();
    ct_true(context != NULL);
    ct_eq_i64(set(context, MAP, 0), SLUICE_OK);
    int32_t list[3] = {-9, -9, -9}, count = 0;
    ct_eq_i64(placement()->copies(context, 0, 7, list, 2, &count), SLUICE_OVERFLOW);
    ct_str_has(ct_error(context), "capacity is 2: there are 3");
    ct_eq_i64(count, 3);
    ct_eq_i64(list[2], -9);
    ct_eq_i64(placement()->find(context, 0, 2, 0, list, 1, &count), SLUICE_OVERFLOW);
    ct_eq_i64(count, 2);
    ct_eq_i64(placement()->find(context, 0, 2, 0, NULL, 0, &count), SLUICE_OVERFLOW);
    ct_eq_i64(count, 2);
    ct_eq_i64(placement()->find(context, 0, 0, 0, NULL, 0, &count), SLUICE_OK);
    ct_eq_i64(count, 0);
    ct_api()->close(context);
}

/* ----------------------------------------------------------------------------------- who sees */

static sluice_status kill_rank(sluice_context *context, int32_t dead)
{
    const sluice_ranks_api *ranks = ct_api()->extension(SLUICE_EXT_RANKS);
    uint8_t alive[W] = {1, 1, 1, 1};
    alive[dead] = 0;
    const sluice_comm comm = {
        .struct_size = sizeof comm, .rank = RANK - (dead < RANK), .size = W - 1};
    const sluice_ranks verdict = {
        .struct_size = sizeof verdict, .generation = 1, .alive = alive, .comm = &comm};
    return ranks->set(context, &verdict, NULL);
}

static void map_choices(sluice_context *context, int32_t *ids, int32_t *physical, int32_t *slots)
{
    const sluice_remap_args args = {.struct_size = sizeof args,
                                    .layer = 1,
                                    .ids = ct_tensor(ids, CT_I32, 1, K),
                                    .dispatch_ids = ct_tensor(slots, CT_I32, 1, K + F),
                                    .recorder_ids = ct_tensor(physical, CT_I32, 1, K)};
    ct_eq_i64(ct_api()->remap(context, &args), SLUICE_OK);
}

CT(placement, remap_follows, "remap goes to the slots of the placement that was set")
{
    sluice_context *context = open_wide();
    ct_true(context != NULL);
    int32_t ids[K] = {6, 0}, physical[K], slots[K + F];
    map_choices(context, ids, physical, slots);
    ct_eq_i64(physical[0], 6);
    ct_eq_i64(physical[1], 8); /* the copy of expert 0 on this rank */
    ct_eq_i64(set(context, MAP, 0), SLUICE_OK);
    map_choices(context, ids, physical, slots);
    ct_eq_i64(physical[0], 10);
    ct_eq_i64(slots[0], 10 + 3 * F);
    ct_eq_i64(physical[1], 6); /* the lower of the two */
    ct_eq_i64(slots[1], 6 + 2 * F);
    ct_api()->close(context);
}

CT(placement, dead_copies_are_copies,
   "an expert may have no living copy; its dead ones are still listed")
{
    sluice_context *context = open_wide();
    ct_true(context != NULL);
    ct_eq_i64(kill_rank(context, 1), SLUICE_OK);
    ct_eq_i64(set(context, MAP, 0), SLUICE_OK);
    expect_copies(context, MAP);
    int32_t ids[K] = {4, 5}, physical[K], slots[K + F];
    map_choices(context, ids, physical, slots);
    ct_eq_i64(physical[0], -1);
    ct_eq_i64(slots[0], -1);
    ct_eq_i64(physical[1], 7);
    ct_api()->close(context);
}

CT(placement, views_stay, "a new placement changes what the rows of a view hold, not the view")
{
    sluice_context *context = open_wide();
    ct_true(context != NULL);
    uint8_t data[L * 4];
    sluice_param param = {
        .struct_size = sizeof param, .name = "w", .tensor = ct_tensor(data, CT_U8, L, 4)};
    sluice_param *params[] = {&param};
    const sluice_weights_args args = {
        .struct_size = sizeof args, .layer = 1, .params = params, .param_count = 1};
    int32_t before[L], after[L];
    ct_eq_i64(ct_api()->get_moe_weights(context, &args), SLUICE_OK);
    ct_eq_i64(placement()->rows(context, 0, RANK, before, L), SLUICE_OK);
    ct_eq_i64(set(context, MAP, 0), SLUICE_OK);
    param.visible = 0;
    ct_eq_i64(ct_api()->get_moe_weights(context, &args), SLUICE_OK);
    ct_eq_i64(placement()->rows(context, 0, RANK, after, L), SLUICE_OK);
    ct_eq_i64(param.visible, 1);
    ct_true(param.view.data == data);
    ct_eq_i64(param.view.shape[0], N);
    ct_true(memcmp(before, after, N * sizeof *before) != 0);
    ct_api()->close(context);
}

/* ------------------------------------------------------------------- two ranks that dispatch */

struct pair {
    sluice_comm_threads *group;
    int32_t rank1_epoch;
    sluice_status status[2];
    char text[2][256];
    int32_t held[2][8]; /* experts of the rows that came, by rank */
    int64_t rows[2];
};

static void count_rows(struct pair *pair, int32_t rank, sluice_context *context)
{
    /* Rank r's one token chooses experts r and 3. */
    int32_t choices[2] = {rank, 3}, slots[2], starts[3];
    const sluice_remap_args remap = {.struct_size = sizeof remap,
                                     .ids = ct_tensor(choices, CT_I32, 1, 2),
                                     .dispatch_ids = ct_tensor(slots, CT_I32, 1, 2)};
    ct_eq_i64(ct_api()->remap(context, &remap), SLUICE_OK);
    sluice_handle handle;
    sluice_dispatch_args args = {.struct_size = sizeof args,
                                 .phase = SLUICE_DISPATCH_COUNT,
                                 .handle = &handle,
                                 .dispatch_ids = ct_tensor(slots, CT_I32, 1, 2),
                                 .slot_starts = ct_tensor(starts, CT_I32, 3, 0),
                                 .row_count = &pair->rows[rank]};
    pair->status[rank] = ct_api()->dispatch(context, &args);
    (void)ct_api()->last_error(context, pair->text[rank], sizeof pair->text[rank]);
    if (pair->status[rank])
        return;
    int32_t holds[2];
    ct_eq_i64(placement()->rows(context, 0, rank, holds, 2), SLUICE_OK);
    for (int32_t slot = 0; slot < 2; slot++)
        for (int32_t row = starts[slot]; row < starts[slot + 1]; row++)
            pair->held[rank][row] = holds[slot];
}

static void run_pair(int32_t rank, void *argument)
{
    struct pair *pair = argument;
    sluice_router router = {.struct_size = sizeof router, .experts = 4, .top_k = 2};
    sluice_config config = ct_config(&router, 1, rank, 2);
    sluice_comm comm;
    sluice_comm_threads_get(pair->group, rank, &comm);
    const sluice_transport transport = {
        .struct_size = sizeof transport, .max_tokens = 1, .payload_row_bytes = 4};
    config.comm = &comm;
    config.transport = &transport;
    config.uses = SLUICE_USE_EXACT;
    config.timeout_ns = 20000000000;
    sluice_context *context = ct_open(&config);
    ct_true(context != NULL);
    const int32_t turned[4] = {3, 1, 0, 2};
    ct_expect_eq_i64(placement()->set(context, 0, turned, 4, rank ? pair->rank1_epoch : 1, NULL),
                     SLUICE_OK);
    count_rows(pair, rank, context);
    ct_api()->close(context);
}

static struct pair *make_pair(int32_t rank1_epoch)
{
    struct pair *pair = ct_alloc(sizeof *pair);
    pair->rank1_epoch = rank1_epoch;
    pair->group = sluice_comm_threads_create(2, NULL);
    ct_run_ranks(2, run_pair, pair);
    sluice_comm_threads_destroy(pair->group);
    return pair;
}

CT(placement, dispatch_follows, "rows come to the rank and row that hold the chosen expert")
{
    const struct pair *pair = make_pair(1);
    ct_eq_i64(pair->status[0], SLUICE_OK);
    ct_eq_i64(pair->status[1], SLUICE_OK);
    /* Rank 0 holds 3 and 1, rank 1 holds 0 and 2. */
    ct_eq_i64(pair->rows[0], 3);
    ct_eq_mem(pair->held[0], ((const int32_t[3]){3, 3, 1}), 3 * sizeof(int32_t));
    ct_eq_i64(pair->rows[1], 1);
    ct_eq_i64(pair->held[1][0], 0);
}

CT(placement, epochs_must_be_equal, "ranks at different epochs get MISMATCH with both numbers")
{
    const struct pair *pair = make_pair(6);
    ct_eq_i64(pair->status[0], SLUICE_MISMATCH);
    ct_str_has(pair->text[0], "layer 0: rank 1 has placement epoch 6, this rank has epoch 1");
    ct_eq_i64(pair->status[1], SLUICE_MISMATCH);
    ct_str_has(pair->text[1], "layer 0: rank 0 has placement epoch 1, this rank has epoch 6");
}
