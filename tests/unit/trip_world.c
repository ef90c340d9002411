#include "trip_world.h"

#include <string.h>

#include "choose_reference.h"
#include "ct.h"
#include "ct_ranks.h"

static sluice_dtype dtype(const struct trip *trip)
{
    return trip->type == SL_F32 ? CT_F32 : trip->type == SL_F16 ? CT_F16 : CT_BF16;
}

static size_t row_bytes(const struct trip *trip)
{
    return (size_t)trip->width * (trip->type == SL_F32 ? 4 : 2);
}

static void draw_token(struct trip *trip, int32_t rank, int32_t t, struct choose_random *random)
{
    /* Each rank holds its part of the experts and the shared one behind them. */
    int32_t per = TRIP_EXPERTS / trip->ranks, local = per + 1;
    trip->zero[rank][t] = (float)choose_normal(random);
    for (int32_t c = 0; c < TRIP_COLUMNS; c++) {
        int32_t expert = c * 2 + (int32_t)(choose_bits(random) & 1);
        int32_t slot = c < TRIP_TOP_K ? expert / per * local + expert % per : rank * local + per;
        bool none = c < TRIP_TOP_K && choose_bits(random) % 9 == 0;
        trip->ids[rank][t][c] = none ? -1 : slot;
        trip->weights[rank][t][c] = (float)choose_normal(random);
    }
}

void trip_draw(struct trip *trip, uint64_t seed)
{
    struct choose_random random = {seed};
    for (int32_t r = 0; r < trip->ranks; r++) {
        for (size_t i = 0; i < (size_t)trip->tokens * row_bytes(trip); i++)
            trip->x[r][i] = (char)choose_bits(&random);
        for (int32_t t = 0; t < trip->tokens; t++)
            draw_token(trip, r, t, &random);
    }
}

static sluice_context *open_rank(const struct trip *trip, int32_t rank)
{
    sluice_router router = {.struct_size = sizeof router,
                            .experts = TRIP_EXPERTS,
                            .top_k = TRIP_TOP_K,
                            .shared = 1,
                            .scale = 2.5F,
                            .scale_by = SLUICE_SCALE_BY_ENGINE,
                            .weight_on = trip->on_input};
    sluice_config config = ct_config(&router, 1, rank, trip->ranks);
    sluice_host host = {.struct_size = sizeof host, .threads = trip->threads};
    sluice_transport transport = {.struct_size = sizeof transport,
                                  .max_tokens = trip->tokens,
                                  .payload_row_bytes = (int64_t)row_bytes(trip),
                                  .combine_order = trip->order};
    sluice_comm comm;
    sluice_comm_threads_get(trip->group, rank, &comm);
    config.host = &host;
    config.comm = &comm;
    config.transport = &transport;
    config.uses = SLUICE_USE_EXACT;
    config.timeout_ns = 20000000000;
    return ct_open(&config);
}

static void run_rank(int32_t rank, void *argument)
{
    struct trip *trip = argument;
    sluice_context *context = open_rank(trip, rank);
    ct_true(context != NULL);
    sluice_handle handle;
    int64_t *count = &trip->count[rank], tokens = trip->tokens;
    const sluice_tensor *x = ct_tensor(trip->x[rank], dtype(trip), tokens, trip->width);
    sluice_dispatch_args send = {
        .struct_size = sizeof send,
        .phase = SLUICE_DISPATCH_COUNT,
        .handle = &handle,
        .dispatch_ids = ct_tensor(trip->ids[rank], CT_I32, tokens, TRIP_COLUMNS),
        .dispatch_weights = ct_tensor(trip->weights[rank], CT_F32, tokens, TRIP_COLUMNS),
        .row_count = count};
    sluice_status status = ct_api()->dispatch(context, &send);
    const sluice_tensor *rows = ct_tensor(trip->rows[rank], dtype(trip), *count, trip->width);
    send.phase = SLUICE_DISPATCH_SEND;
    send.payload_count = 1;
    send.payloads = &x;
    send.rows = &rows;
    send.multiply = trip->on_input;
    if (!status)
        status = ct_api()->dispatch(context, &send);
    const sluice_combine_args back = {
        .struct_size = sizeof back,
        .handle = &handle,
        .rows = rows,
        .x = x,
        .zero_weight = ct_tensor(trip->zero[rank], CT_F32, tokens, 0),
        .scale = 1,
        .out = ct_tensor(trip->out[rank], dtype(trip), tokens, trip->width)};
    if (!status)
        status = ct_api()->combine(context, &back);
    if (!ct_expect_eq_i64(status, SLUICE_OK))
        ct_record(__FILE__, __LINE__, ct_error(context));
    ct_api()->close(context);
}

static size_t rows_bytes(const struct trip *trip)
{
    return (size_t)trip->tokens * TRIP_COLUMNS * (size_t)trip->ranks * row_bytes(trip);
}

void trip_run(struct trip *trip)
{
    for (int32_t r = 0; r < trip->ranks; r++) {
        memset(trip->rows[r], 0x5A, rows_bytes(trip));
        memset(trip->out[r], 0x5A, (size_t)trip->tokens * row_bytes(trip));
    }
    trip->group = sluice_comm_threads_create(trip->ranks, NULL);
    ct_true(trip->group != NULL);
    ct_run_ranks(trip->ranks, run_rank, trip);
    sluice_comm_threads_destroy(trip->group);
}

bool trip_same(const struct trip *got, const struct trip *want)
{
    bool held = true;
    for (int32_t r = 0; r < want->ranks && held; r++)
        held = ct_expect_eq_i64(got->count[r], want->count[r]) &&
               ct_expect_eq_mem(got->rows[r], want->rows[r], rows_bytes(want)) &&
               ct_expect_eq_mem(got->out[r], want->out[r], (size_t)want->tokens * row_bytes(want));
    return held;
}
