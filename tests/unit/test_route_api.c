/* route against topk, remap and record called one after the other, over policies, id types,
 * threads and strides. */
#include <string.h>

#include "abi/ext/load.h"
#include "abi/ext/route.h"
#include "ct.h"
#include "ct_sluice.h"

enum { ROWS = 700, E = 256, K = 8, F = 1, COLUMNS = K + F, RANKS = 8, SLOTS = 36 };

struct result {
    int32_t ids[ROWS * K], recorder[ROWS * K], slots[ROWS * COLUMNS];
    float weights[ROWS * K], slot_weights[ROWS * COLUMNS];
    int64_t counters[RANKS * SLOTS];
};

struct input {
    float logits[ROWS * E], bias[E];
    int64_t valid;
};

static struct input *make_input(void)
{
    struct input *in = ct_alloc(sizeof *in);
    ct_fill(in->logits, ROWS * E, 4.0F, 1);
    ct_fill(in->bias, E, 0.1F, 2);
    in->valid = ROWS - 5;
    return in;
}

static sluice_context *open_with(int32_t copy, int32_t shared, int32_t threads)
{
    sluice_router router = ct_deepseek_v3();
    sluice_config config = ct_config(&router, 1, 3, RANKS);
    sluice_layer layer = *config.layers[0];
    layer.slots_per_rank = SLOTS;
    const sluice_layer *list[] = {&layer};
    sluice_host host = {.struct_size = sizeof host, .threads = threads};
    config.layers = list;
    config.host = &host;
    config.copy_policy = copy;
    config.shared_policy = shared;
    return ct_open(&config);
}

static void read_counters(sluice_context *context, struct result *r)
{
    const sluice_load_api *load = ct_api()->extension(SLUICE_EXT_LOAD);
    ct_eq_i64(
        load->read(context, 0, ct_tensor(r->counters, CT_I64, (int64_t)RANKS * SLOTS, 0), NULL),
        SLUICE_OK);
}

static void run_split(sluice_context *context, struct input *in, struct result *r)
{
    const sluice_api *api = ct_api();
    const sluice_tensor *valid = ct_tensor(&in->valid, CT_I64, 1, 0);
    sluice_topk_args topk = {.struct_size = sizeof topk,
                             .logits = ct_tensor(in->logits, CT_F32, ROWS, E),
                             .bias = ct_tensor(in->bias, CT_F32, E, 0),
                             .num_valid = valid,
                             .ids = ct_tensor(r->ids, CT_I32, ROWS, K),
                             .weights = ct_tensor(r->weights, CT_F32, ROWS, K)};
    ct_eq_i64(api->topk(context, &topk), SLUICE_OK);
    sluice_remap_args remap = {.struct_size = sizeof remap,
                               .ids = topk.ids,
                               .weights = topk.weights,
                               .num_valid = valid,
                               .dispatch_ids = ct_tensor(r->slots, CT_I32, ROWS, COLUMNS),
                               .dispatch_weights =
                                   ct_tensor(r->slot_weights, CT_F32, ROWS, COLUMNS),
                               .recorder_ids = ct_tensor(r->recorder, CT_I32, ROWS, K)};
    ct_eq_i64(api->remap(context, &remap), SLUICE_OK);
    sluice_record_args record = {.struct_size = sizeof record, .recorder_ids = remap.recorder_ids};
    ct_eq_i64(api->record(context, &record), SLUICE_OK);
    read_counters(context, r);
}

static void run_route(sluice_context *context, struct input *in, struct result *r)
{
    const sluice_route_api *route = ct_api()->extension(SLUICE_EXT_ROUTE);
    sluice_route_args args = {.struct_size = sizeof args,
                              .logits = ct_tensor(in->logits, CT_F32, ROWS, E),
                              .bias = ct_tensor(in->bias, CT_F32, E, 0),
                              .num_valid = ct_tensor(&in->valid, CT_I64, 1, 0),
                              .dispatch_ids = ct_tensor(r->slots, CT_I32, ROWS, COLUMNS),
                              .dispatch_weights = ct_tensor(r->slot_weights, CT_F32, ROWS, COLUMNS),
                              .recorder_ids = ct_tensor(r->recorder, CT_I32, ROWS, K),
                              .ids = ct_tensor(r->ids, CT_I32, ROWS, K),
                              .weights = ct_tensor(r->weights, CT_F32, ROWS, K)};
    ct_eq_i64(route->route(context, &args), SLUICE_OK);
    read_counters(context, r);
}

static void expect_equal(const struct result *a, const struct result *b)
{
    ct_eq_mem(a->ids, b->ids, sizeof a->ids);
    ct_eq_mem(a->weights, b->weights, sizeof a->weights);
    ct_eq_mem(a->recorder, b->recorder, sizeof a->recorder);
    ct_eq_mem(a->slots, b->slots, sizeof a->slots);
    ct_eq_mem(a->slot_weights, b->slot_weights, sizeof a->slot_weights);
    ct_eq_mem(a->counters, b->counters, sizeof a->counters);
}

CT(route, equals_three_calls, "route gives what topk, remap and record give, under every policy")
{
    static const int32_t shared[] = {SLUICE_SHARED_AT_HOME, SLUICE_SHARED_WATERFILL_STATIC};
    struct input *in = make_input();
    for (int32_t copy = SLUICE_COPY_STATIC; copy <= SLUICE_COPY_RANDOM; copy++)
        for (int32_t s = 0; s < 2; s++) {
            ct_note("copy policy %d, shared policy %d", copy, shared[s]);
            struct result *a = ct_alloc(sizeof *a), *b = ct_alloc(sizeof *b);
            sluice_context *split = open_with(copy, shared[s], 0);
            sluice_context *fused = open_with(copy, shared[s], 0);
            ct_true(split && fused);
            run_split(split, in, a);
            run_route(fused, in, b);
            ct_api()->close(split);
            ct_api()->close(fused);
            expect_equal(a, b);
        }
}

CT(route, equals_at_every_thread_count, "route gives the same bits with 1 to 8 threads")
{
    struct input *in = make_input();
    struct result *first = ct_alloc(sizeof *first);
    for (int32_t threads = 1; threads <= 8; threads++) {
        ct_note("%d threads", threads);
        struct result *r = threads == 1 ? first : ct_alloc(sizeof *r);
        sluice_context *context =
            open_with(SLUICE_COPY_RANDOM, SLUICE_SHARED_WATERFILL_STATIC, threads);
        ct_true(context != NULL);
        run_route(context, in, r);
        ct_api()->close(context);
        expect_equal(r, first);
    }
}

CT(route, counts_what_it_recorded, "counters are the histogram of the recorder ids and no more")
{
    struct input *in = make_input();
    struct result *r = ct_alloc(sizeof *r);
    sluice_context *context = open_with(SLUICE_COPY_RANDOM, SLUICE_SHARED_AT_HOME, 2);
    ct_true(context != NULL);
    run_route(context, in, r);
    ct_api()->close(context);
    int64_t want[RANKS * SLOTS] = {0}, sum = 0;
    for (int32_t i = 0; i < ROWS * K; i++)
        if (r->recorder[i] >= 0)
            want[r->recorder[i]]++;
    for (int32_t p = 0; p < RANKS * SLOTS; p++)
        sum += r->counters[p];
    ct_eq_mem(r->counters, want, sizeof want);
    ct_eq_i64(sum, in->valid * K);
}

CT(route, takes_wide_ids_and_strides, "int64 ids and strided outputs hold the same choices")
{
    enum { STRIDE = COLUMNS + 3 };
    struct input *in = make_input();
    struct result *r = ct_alloc(sizeof *r);
    int64_t *wide = ct_alloc(sizeof(int64_t) * ROWS * STRIDE);
    float *weights = ct_alloc(sizeof(float) * ROWS * STRIDE);
    sluice_context *context = open_with(SLUICE_COPY_STATIC, SLUICE_SHARED_AT_HOME, 0);
    ct_true(context != NULL);
    run_route(context, in, r);
    const sluice_route_api *route = ct_api()->extension(SLUICE_EXT_ROUTE);
    sluice_route_args args = {.struct_size = sizeof args,
                              .logits = ct_tensor(in->logits, CT_F32, ROWS, E),
                              .bias = ct_tensor(in->bias, CT_F32, E, 0),
                              .num_valid = ct_tensor(&in->valid, CT_I64, 1, 0),
                              .dispatch_ids = ct_strided(wide, CT_I64, ROWS, COLUMNS, STRIDE),
                              .dispatch_weights =
                                  ct_strided(weights, CT_F32, ROWS, COLUMNS, STRIDE)};
    ct_eq_i64(route->route(context, &args), SLUICE_OK);
    ct_api()->close(context);
    for (int32_t t = 0; t < ROWS; t++)
        for (int32_t c = 0; c < COLUMNS; c++) {
            ct_eq_i64(wide[t * STRIDE + c], r->slots[t * COLUMNS + c]);
            ct_eq_f32bits(weights[t * STRIDE + c], r->slot_weights[t * COLUMNS + c]);
        }
}
