/* dispatch and combine give the same bits on every code path: both orders, weights on the input or
 * the output, zero_weight, scale, any bits in the payload. */
#include <stdlib.h>
#include <string.h>

#include "abi/ext/device.h"
#include "choose_reference.h"
#include "ct.h"
#include "ct_ranks.h"
#include "ct_sluice.h"
#include "src/comm/comm_threads.h"

enum { TOKENS = 21, EXPERTS = 6, TOP_K = 3, COLUMNS = TOP_K + 1, MOST_RANKS = 2, MOST = 150 };
enum { ROWS = TOKENS * COLUMNS * MOST_RANKS };

struct trip {
    int32_t ranks, type, order, on_input, width;
    sluice_comm_threads *group;
    char x[MOST_RANKS][TOKENS * MOST * 4];
    float weights[MOST_RANKS][TOKENS][COLUMNS], zero[MOST_RANKS][TOKENS];
    int32_t ids[MOST_RANKS][TOKENS][COLUMNS];
    /* results */
    char rows[MOST_RANKS][ROWS * MOST * 4], out[MOST_RANKS][TOKENS * MOST * 4];
};

static sluice_dtype dtype(const struct trip *trip)
{
    return trip->type == 0 ? CT_F32 : trip->type == 1 ? CT_F16 : CT_BF16;
}

static int32_t size_of(const struct trip *trip)
{
    return trip->type == 0 ? 4 : 2;
}

static void draw(struct trip *trip, uint64_t seed)
{
    struct choose_random random = {seed};
    /* Each rank holds 3 experts and the shared one behind them. */
    int32_t local = EXPERTS / trip->ranks + 1;
    for (int32_t r = 0; r < trip->ranks; r++) {
        for (size_t i = 0; i < sizeof trip->x[r]; i++)
            trip->x[r][i] = (char)choose_bits(&random);
        for (int32_t t = 0; t < TOKENS; t++) {
            trip->zero[r][t] = (float)choose_normal(&random);
            for (int32_t c = 0; c < COLUMNS; c++) {
                int32_t expert = c * 2 + (int32_t)(choose_bits(&random) & 1);
                int32_t per = EXPERTS / trip->ranks;
                bool none = c < TOP_K && choose_bits(&random) % 9 == 0;
                trip->ids[r][t][c] = none        ? -1
                                     : c < TOP_K ? expert / per * local + expert % per
                                                 : r * local + per;
                trip->weights[r][t][c] = (float)choose_normal(&random);
            }
        }
    }
}

static sluice_context *open_rank(const struct trip *trip, int32_t rank)
{
    sluice_router router = {.struct_size = sizeof router,
                            .experts = EXPERTS,
                            .top_k = TOP_K,
                            .shared = 1,
                            .scale = 2.5F,
                            .scale_by = SLUICE_SCALE_BY_ENGINE,
                            .weight_on = trip->on_input};
    sluice_config config = ct_config(&router, 1, rank, trip->ranks);
    sluice_comm comm;
    sluice_comm_threads_get(trip->group, rank, &comm);
    sluice_transport transport = {.struct_size = sizeof transport,
                                  .max_tokens = TOKENS,
                                  .payload_row_bytes = (int64_t)trip->width * size_of(trip),
                                  .combine_order = trip->order};
    config.comm = &comm;
    config.transport = &transport;
    config.uses = SLUICE_USE_EXACT;
    config.timeout_ns = 20000000000;
    return ct_open(&config);
}

/* Every expert gives back what it got. */
static void run_rank(int32_t rank, void *argument)
{
    struct trip *trip = argument;
    sluice_context *context = open_rank(trip, rank);
    ct_true(context != NULL);
    int64_t count = 0;
    sluice_handle handle;
    const sluice_tensor *x = ct_tensor(trip->x[rank], dtype(trip), TOKENS, trip->width);
    sluice_dispatch_args send = {
        .struct_size = sizeof send,
        .phase = SLUICE_DISPATCH_COUNT,
        .handle = &handle,
        .dispatch_ids = ct_tensor(trip->ids[rank], CT_I32, TOKENS, COLUMNS),
        .dispatch_weights = ct_tensor(trip->weights[rank], CT_F32, TOKENS, COLUMNS),
        .row_count = &count};
    sluice_status status = ct_api()->dispatch(context, &send);
    const sluice_tensor *rows = ct_tensor(trip->rows[rank], dtype(trip), count, trip->width);
    send.phase = SLUICE_DISPATCH_SEND;
    send.payload_count = 1;
    send.payloads = &x;
    send.rows = &rows;
    send.multiply = trip->on_input;
    if (!status && count <= ROWS)
        status = ct_api()->dispatch(context, &send);
    const sluice_combine_args back = {
        .struct_size = sizeof back,
        .handle = &handle,
        .rows = rows,
        .x = x,
        .zero_weight = ct_tensor(trip->zero[rank], CT_F32, TOKENS, 0),
        .scale = 1,
        .out = ct_tensor(trip->out[rank], dtype(trip), TOKENS, trip->width)};
    if (!status)
        status = ct_api()->combine(context, &back);
    ct_note("rank %d: %s", rank, ct_error(context));
    (void)ct_expect_eq_i64(status, SLUICE_OK);
    ct_api()->close(context);
}

static void run(struct trip *trip, const char *path)
{
    const sluice_device_api *device = ct_api()->extension(SLUICE_EXT_DEVICE);
    memset(trip->rows, 0x5A, sizeof trip->rows);
    memset(trip->out, 0x5A, sizeof trip->out);
    ct_eq_i64(device->use_path(path), SLUICE_OK);
    trip->group = sluice_comm_threads_create(trip->ranks, NULL);
    ct_true(trip->group != NULL);
    ct_run_ranks(trip->ranks, run_rank, trip);
    sluice_comm_threads_destroy(trip->group);
    (void)device->use_path(NULL);
}

static void check_widths(struct trip *one, struct trip *other)
{
    const sluice_device_api *device = ct_api()->extension(SLUICE_EXT_DEVICE);
    const char *const *paths = device->paths();
    for (int32_t width = 1; width < MOST && !ct_failed(); width += width < 20 ? 3 : 16) {
        one->width = width;
        draw(one, (uint64_t)width);
        *other = *one;
        run(one, paths[0]);
        for (int32_t i = 1; paths[i] && !ct_failed(); i++) {
            run(other, paths[i]);
            ct_note("%s, type %d, order %d, weights on input %d, %d ranks, %d wide", paths[i],
                    one->type, one->order, one->on_input, one->ranks, width);
            ct_eq_mem(other->rows, one->rows, sizeof one->rows);
            ct_eq_mem(other->out, one->out, sizeof one->out);
        }
    }
}

static void check_order(int32_t order)
{
    const sluice_device_api *device = ct_api()->extension(SLUICE_EXT_DEVICE);
    if (!device->paths()[1])
        ct_skip("this machine has the portable code alone");
    struct trip *one = ct_alloc(sizeof *one), *other = ct_alloc(sizeof *other);
    for (int32_t type = 0; type < 3; type++)
        for (int32_t on_input = 0; on_input < 2; on_input++)
            for (int32_t ranks = 1; ranks <= MOST_RANKS; ranks++) {
                *one = (struct trip){
                    .ranks = ranks, .type = type, .order = order, .on_input = on_input};
                check_widths(one, other);
            }
}

CT(sum_paths, exact, "in exact order dispatch and combine have the same bits on every code path")
{
    check_order(SLUICE_COMBINE_EXACT);
}

CT(sum_paths, per_rank, "and in the order of ranks")
{
    check_order(SLUICE_COMBINE_PER_RANK);
}
