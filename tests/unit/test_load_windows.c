/* Windows of sluice.load/1 on one rank: what is in them, what they say, what is refused. */
#include <stdlib.h>
#include <string.h>

#include "abi/ext/load.h"
#include "abi/ext/placement.h"
#include "ct.h"
#include "ct_sluice.h"
#include "src/core/figure.h"
#include "src/core/reach.h"

/* Rank 0 of 2, two slots each; layer 1 uses layer 0's experts; layer 2 its own. */
enum { E = 3, RANKS = 2, SLOTS = 2, P = RANKS * SLOTS, LAYERS = 3 };

struct pool {
    int64_t live, fail_at, calls;
};

static void *take(void *user, size_t bytes, size_t align, int32_t kind, sluice_device device)
{
    (void)kind, (void)device;
    struct pool *pool = user;
    if (++pool->calls == pool->fail_at)
        return NULL;
    pool->live++;
    return aligned_alloc(align, bytes);
}

static void give(void *user, void *data, size_t bytes, int32_t kind, sluice_device device)
{
    (void)bytes, (void)kind, (void)device;
    struct pool *pool = user;
    pool->live--;
    free(data);
}

static const sluice_load_api *load(void)
{
    return ct_api()->extension(SLUICE_EXT_LOAD);
}

static sluice_context *open_in(struct pool *pool, int32_t flags, int32_t uses)
{
    static const int32_t BANK = 0;
    sluice_router router = {.struct_size = sizeof router, .experts = E, .top_k = 1, .shared = 1};
    sluice_layer layers[LAYERS];
    const sluice_layer *list[LAYERS];
    for (int32_t i = 0; i < LAYERS; i++) {
        layers[i] = (sluice_layer){.struct_size = sizeof layers[i],
                                   .router = &router,
                                   .bank = i == 1 ? &BANK : NULL,
                                   .slots_per_rank = SLOTS};
        list[i] = &layers[i];
    }
    sluice_host *host = ct_alloc(sizeof *host);
    *host = (sluice_host){.struct_size = sizeof *host, .user = pool, .alloc = take, .free = give};
    sluice_config config = ct_config(&router, 1, 0, RANKS);
    config.layers = list;
    config.layer_count = LAYERS;
    config.flags = flags;
    config.uses = uses;
    if (pool)
        config.host = host;
    return ct_open(&config);
}

static sluice_context *open_one(void)
{
    return open_in(NULL, 0, 0);
}

static sluice_status begin(sluice_context *context, int32_t kept)
{
    const sluice_load_windows config = {.struct_size = sizeof config, .kept = kept};
    return load()->windows(context, &config);
}

static void record(sluice_context *context, int32_t layer, int32_t id, int32_t times)
{
    int32_t ids[16];
    for (int32_t i = 0; i < times; i++)
        ids[i] = id;
    const sluice_record_args args = {.struct_size = sizeof args,
                                     .layer = layer,
                                     .recorder_ids = ct_tensor(ids, CT_I32, times, 0)};
    ct_expect_eq_i64(ct_api()->record(context, &args), SLUICE_OK);
}

/* What a window holds. */
struct seen {
    sluice_load_window window;
    int64_t counts[LAYERS * E], served[LAYERS * RANKS];
    double balance[LAYERS];
    int32_t drift[LAYERS];
};

static sluice_status look(sluice_context *context, int32_t newest, int32_t count, int32_t against,
                          struct seen *seen)
{
    memset(seen, 0x5A, sizeof *seen);
    seen->window = (sluice_load_window){.struct_size = sizeof seen->window,
                                        .newest = newest,
                                        .count = count,
                                        .against = against,
                                        .stride = E,
                                        .counts = seen->counts,
                                        .rank_stride = RANKS,
                                        .rank_counts = seen->served,
                                        .balancedness = seen->balance,
                                        .drift_ppm = seen->drift};
    return load()->window(context, &seen->window);
}

CT(figure, balance_vector, "balancedness is mean / greatest over the living: 10 20 30 40 is 0.625")
{
    const int64_t loads[] = {10, 20, 30, 40}, none[4] = {0};
    ct_true(sl_balance_of(loads, (const uint8_t[4]){1, 1, 1, 1}, 4) == 0.625);
    ct_true(sl_balance_of(loads, (const uint8_t[4]){1, 1, 1, 0}, 4) == 60.0 / 90.0);
    ct_true(sl_balance_of(none, (const uint8_t[4]){1, 1, 1, 1}, 4) == 0.0);
    const int64_t great[] = {INT64_C(1) << 60, INT64_C(1) << 60};
    ct_true(sl_balance_of(great, (const uint8_t[2]){1, 1}, 2) == 1.0);
}

CT(figure, drift_vectors, "drift is half the L1 distance of shares, in parts per million")
{
    const int64_t a[] = {1, 1, 2}, twice[] = {2, 2, 4}, other[] = {0, 4, 0}, none[] = {0, 0, 0};
    ct_eq_i64(sl_drift_ppm(a, a, 3), 0);
    ct_eq_i64(sl_drift_ppm(a, twice, 3), 0);
    ct_eq_i64(sl_drift_ppm(a, other, 3), 750000);
    ct_eq_i64(sl_drift_ppm(other, a, 3), 750000);
    ct_eq_i64(sl_drift_ppm((const int64_t[]){3, 0}, (const int64_t[]){0, 5}, 2), 1000000);
    ct_eq_i64(sl_drift_ppm((const int64_t[]){1, 2}, (const int64_t[]){1, 1}, 2), 166667);
    ct_eq_i64(sl_drift_ppm(a, none, 3), -1);
    ct_eq_i64(sl_drift_ppm(none, a, 3), -1);
}

CT(windows, difference_of_marks, "a window holds what came since the one before, and no more")
{
    sluice_context *context = open_one();
    struct seen seen;
    ct_true(context != NULL);
    record(context, 0, 0, 5); /* before windows began */
    ct_eq_i64(begin(context, 4), SLUICE_OK);
    record(context, 0, 1, 2);
    record(context, 1, 3, 6); /* expert 0 of layer 0's bank */
    record(context, 2, 2, 1);
    ct_eq_i64(load()->window_end(context, NULL), SLUICE_OK);
    record(context, 0, 2, 7);
    int32_t done = 0;
    ct_eq_i64(load()->window_poll(context, &done), SLUICE_OK);
    ct_eq_i64(done, 1);
    ct_eq_i64(look(context, 0, 0, 0, &seen), SLUICE_OK);
    ct_eq_mem(seen.counts, ((int64_t[]){6, 2, 0, 0, 0, 0, 0, 0, 1}), sizeof seen.counts);
    ct_eq_mem(seen.served, ((int64_t[]){2, 6, 0, 0, 0, 1}), sizeof seen.served);
    ct_eq_i64(seen.window.number, 1);
    ct_eq_i64(seen.window.available, 1);
    ct_eq_i64(seen.window.layers, 2);
    ct_true(seen.balance[0] == 8.0 / 12.0 && seen.balance[1] == 0.0 && seen.balance[2] == 0.5);
    ct_true(seen.window.worst == 0.5 && seen.window.mean == (8.0 / 12.0 + 0.5) / 2);
    ct_true(seen.drift[0] == -1 && seen.drift[1] == -1 && seen.drift[2] == -1);
    ct_api()->close(context);
}

CT(windows, placements_do_not_mix,
   "what is counted before and after a new placement goes each through its own map")
{
    sluice_context *context = open_one();
    const sluice_placement_api *placement = ct_api()->extension(SLUICE_EXT_PLACEMENT);
    const int32_t turned[P] = {2, 1, 0, 2};
    struct seen seen;
    ct_true(context != NULL);
    ct_eq_i64(begin(context, 1), SLUICE_OK);
    record(context, 0, 0, 3); /* expert 0 on rank 0 */
    ct_eq_i64(placement->set(context, 0, turned, P, 0, NULL), SLUICE_OK);
    record(context, 0, 0, 4); /* expert 2 on rank 0 */
    record(context, 0, 2, 2); /* expert 0 on rank 1 */
    ct_eq_i64(load()->window_end(context, NULL), SLUICE_OK);
    ct_eq_i64(look(context, 0, 1, 0, &seen), SLUICE_OK);
    ct_eq_mem(seen.counts, ((int64_t[]){5, 0, 4}), 3 * sizeof(int64_t));
    ct_eq_mem(seen.served, ((int64_t[]){7, 2}), 2 * sizeof(int64_t));
    ct_api()->close(context);
}

CT(windows, last_ones_add_up, "the last windows are kept, add up, and drift is told against older")
{
    sluice_context *context = open_one();
    struct seen seen;
    ct_true(context != NULL);
    ct_eq_i64(begin(context, 3), SLUICE_OK);
    for (int32_t i = 1; i <= 5; i++) {
        record(context, 0, i % 3, i);
        record(context, 2, 0, 1);
        ct_eq_i64(load()->window_end(context, NULL), SLUICE_OK);
    }
    /* windows 3, 4, 5: 3 of expert 0, 4 of 1, 5 of 2 */
    ct_eq_i64(look(context, 0, 3, 0, &seen), SLUICE_OK);
    ct_eq_mem(seen.counts, ((int64_t[]){3, 4, 5, 0, 0, 0, 3, 0, 0}), sizeof seen.counts);
    ct_eq_i64(seen.window.available, 3);
    ct_eq_i64(seen.window.number, 5);
    ct_eq_i64(look(context, 2, 1, 0, &seen), SLUICE_OK);
    ct_eq_mem(seen.counts, ((int64_t[]){3, 0, 0}), 3 * sizeof(int64_t));
    ct_eq_i64(seen.window.number, 3);
    ct_eq_i64(look(context, 0, 2, 1, &seen), SLUICE_OK);
    ct_eq_i64(seen.drift[0], 1000000);
    ct_eq_i64(seen.drift[2], 0);
    ct_eq_i64(look(context, 0, 3, 1, &seen), SLUICE_OVERFLOW);
    ct_str_has(ct_error(context), "newest + count + against is 4: 3 windows are kept now");
    ct_eq_i64(look(context, INT32_MAX, INT32_MAX, INT32_MAX, &seen), SLUICE_OVERFLOW);
    ct_eq_i64(seen.counts[0], 0x5A5A5A5A5A5A5A5A);
    ct_api()->close(context);
}

CT(windows, reset_inside, "reset zeroes what the running window has counted of that bank")
{
    sluice_context *context = open_one();
    struct seen seen;
    ct_true(context != NULL);
    record(context, 0, 1, 4);
    record(context, 2, 1, 4);
    ct_eq_i64(begin(context, 1), SLUICE_OK);
    record(context, 0, 1, 3);
    record(context, 2, 1, 3);
    ct_eq_i64(load()->reset(context, 2, NULL), SLUICE_OK);
    record(context, 2, 0, 2);
    ct_eq_i64(load()->window_end(context, NULL), SLUICE_OK);
    ct_eq_i64(look(context, 0, 1, 0, &seen), SLUICE_OK);
    ct_eq_mem(seen.counts, ((int64_t[]){0, 3, 0, 0, 0, 0, 2, 0, 0}), sizeof seen.counts);
    ct_eq_i64(load()->reset(context, -1, NULL), SLUICE_OK);
    ct_eq_i64(load()->window_end(context, NULL), SLUICE_OK);
    ct_eq_i64(look(context, 0, 1, 0, &seen), SLUICE_OK);
    ct_eq_mem(seen.counts, ((int64_t[LAYERS *E]){0}), sizeof seen.counts);
    ct_true(seen.window.layers == 0 && seen.window.mean == 0.0 && seen.window.worst == 0.0);
    ct_api()->close(context);
}

CT(windows, begin_anew, "windows begin anew at any time; 0 ends them")
{
    sluice_context *context = open_one();
    struct seen seen;
    ct_true(context != NULL);
    ct_eq_i64(begin(context, 2), SLUICE_OK);
    ct_eq_i64(load()->window_end(context, NULL), SLUICE_OK);
    record(context, 0, 0, 3);
    ct_eq_i64(begin(context, 5), SLUICE_OK);
    ct_eq_i64(look(context, 0, 1, 0, &seen), SLUICE_NOT_READY);
    ct_str_has(ct_error(context), "no window has ended yet");
    ct_eq_i64(load()->window_end(context, NULL), SLUICE_OK);
    ct_eq_i64(look(context, 0, 1, 0, &seen), SLUICE_OK);
    ct_eq_i64(seen.window.number, 1);
    ct_eq_i64(seen.counts[0], 0);
    ct_eq_i64(begin(context, 0), SLUICE_OK);
    ct_eq_i64(load()->window_end(context, NULL), SLUICE_NOT_READY);
    ct_str_has(ct_error(context), "there are no windows: `windows` begins them");
    int32_t done = 7;
    ct_eq_i64(load()->window_poll(context, &done), SLUICE_NOT_READY);
    ct_eq_i64(done, 7);
    ct_eq_i64(look(context, 0, 1, 0, &seen), SLUICE_NOT_READY);
    ct_api()->close(context);
}

CT(windows, refuses, "bad arguments are named, and nothing changes")
{
    sluice_context *context = open_one();
    struct seen seen;
    ct_true(context != NULL);
    ct_eq_i64(load()->windows(context, NULL), SLUICE_INVALID);
    ct_str_has(ct_error(context), "config is NULL");
    ct_eq_i64(begin(context, -1), SLUICE_INVALID);
    ct_str_has(ct_error(context), "config.kept is -1: must be 0 to 4096");
    ct_eq_i64(begin(context, 4097), SLUICE_INVALID);
    sluice_load_windows config = {.struct_size = sizeof config, .kept = 1, .timeout_ns = -1};
    ct_eq_i64(load()->windows(context, &config), SLUICE_INVALID);
    ct_str_has(ct_error(context), "config.timeout_ns is -1: must not be negative");
    config = (sluice_load_windows){.struct_size = 8};
    ct_eq_i64(load()->windows(context, &config), SLUICE_INVALID);
    ct_str_has(ct_error(context), "config.struct_size is 8: must be ");
    ct_eq_i64(begin(context, 2), SLUICE_OK);
    ct_eq_i64(load()->window_end(context, NULL), SLUICE_OK);
    ct_eq_i64(load()->window_poll(context, NULL), SLUICE_INVALID);
    ct_str_has(ct_error(context), "done is NULL");
    ct_eq_i64(load()->window(context, NULL), SLUICE_INVALID);
    ct_str_has(ct_error(context), "window is NULL");
    ct_eq_i64(look(context, -1, 1, 0, &seen), SLUICE_INVALID);
    ct_str_has(ct_error(context), "window.newest is -1, count is 1, against is 0: none may be");
    ct_eq_i64(look(context, 0, -1, 0, &seen), SLUICE_INVALID);
    ct_eq_i64(look(context, 0, 1, -1, &seen), SLUICE_INVALID);
    ct_eq_i64(seen.window.available, 0);
    seen.window = (sluice_load_window){
        .struct_size = sizeof seen.window, .counts = seen.counts, .stride = E - 1};
    ct_eq_i64(load()->window(context, &seen.window), SLUICE_INVALID);
    ct_str_has(ct_error(context), "window.stride is 2: must be at least 3");
    seen.window = (sluice_load_window){
        .struct_size = sizeof seen.window, .rank_counts = seen.served, .rank_stride = RANKS - 1};
    ct_eq_i64(load()->window(context, &seen.window), SLUICE_INVALID);
    ct_str_has(ct_error(context), "window.rank_stride is 1: must be at least 2");
    seen.window = (sluice_load_window){.struct_size = sizeof seen.window};
    ct_eq_i64(load()->window(context, &seen.window), SLUICE_OK);
    ct_eq_i64(load()->windows(NULL, &config), SLUICE_INVALID);
    ct_eq_i64(load()->window_end(NULL, NULL), SLUICE_INVALID);
    ct_api()->close(context);
}

CT(windows, reachable,
   "reachable is the joint optimum of the step balancer under the placement in force")
{
    sluice_context *context = open_one();
    const sluice_placement_api *placement = ct_api()->extension(SLUICE_EXT_PLACEMENT);
    const int32_t twice[P] = {0, 1, 2, 0};
    double reachable[LAYERS];
    sluice_load_window window = {.struct_size = sizeof window, .reachable = reachable};
    ct_true(context != NULL);
    ct_eq_i64(begin(context, 1), SLUICE_OK);
    for (int32_t i = 0; i < 9; i++)
        record(context, 0, 0, 10); /* expert 0; the shared expert adds as much again */
    record(context, 0, 1, 10);
    record(context, 2, 2, 12); /* expert 2, at its only copy on rank 1, and the shared on rank 0 */
    ct_eq_i64(load()->window_end(context, NULL), SLUICE_OK);
    ct_eq_i64(load()->window(context, &window), SLUICE_OK);
    ct_true(reachable[0] == 1.0 && reachable[1] == 0.0 && reachable[2] == 1.0);
    /* As served, without the shared expert: all of layer 0 on rank 0. */
    ct_true(window.worst == 0.5 && window.reachable_mean == 1.0 && window.reachable_worst == 1.0);
    ct_eq_i64(placement->set(context, 0, twice, P, 0, NULL), SLUICE_OK);
    ct_eq_i64(load()->window(context, &window), SLUICE_OK);
    ct_true(reachable[0] == 1.0);
    ct_api()->close(context);
}

CT(figure, reach_is_a_fraction, "reachable is of fractions, over the living, empty is 0")
{
    const struct sl_shape shape = {
        .experts = 3, .slots = 1, .ranks = 3, .shared = 0, .local = 1, .physical = 3};
    uint8_t alive[3] = {1, 1, 1};
    const int32_t node[3] = {0}, map[3] = {0, 1, 2};
    struct sl_place place;
    sl_place_bind(&place, &shape, ct_alloc(sl_place_bytes(&shape)));
    sl_place_build(&place, &shape, map, alive, node, 1, 0);
    void *scratch = ct_alloc(sl_reach_bytes(&shape));
    const int64_t counts[] = {1, 1, 5}, great[] = {INT64_C(1) << 55, INT64_C(1) << 55, 0};
    ct_true(sl_reach(&shape, &place, alive, counts, 4, scratch) == 7.0 / 3.0 / 5.0);
    ct_true(sl_reach(&shape, &place, alive, (const int64_t[3]){0}, 4, scratch) == 0.0);
    ct_true(sl_reach(&shape, &place, alive, great, 4, scratch) == 0.0);
    alive[2] = 0;
    sl_place_build(&place, &shape, map, alive, node, 1, 0);
    ct_true(sl_reach(&shape, &place, alive, counts, 4, scratch) == 1.0);
}

CT(windows, memory,
   "memory comes from the host, only where windows begin; without it nothing changes")
{
    struct pool pool = {0};
    struct seen seen;
    sluice_context *context = open_in(&pool, 0, 0);
    ct_true(context != NULL);
    ct_eq_i64(begin(context, 2), SLUICE_OK);
    record(context, 0, 0, 3);
    ct_eq_i64(load()->window_end(context, NULL), SLUICE_OK);
    pool.fail_at = pool.calls + 1;
    ct_eq_i64(begin(context, 9), SLUICE_NO_MEMORY);
    ct_str_has(ct_error(context), "bytes of 9 windows");
    int64_t calls = pool.calls;
    ct_eq_i64(load()->window_end(context, NULL), SLUICE_OK);
    ct_eq_i64(look(context, 1, 1, 0, &seen), SLUICE_OK);
    ct_eq_i64(seen.counts[0], 3);
    ct_eq_i64(pool.calls, calls);
    ct_api()->close(context);
    ct_eq_i64(pool.live, 0);
}

CT(windows, every_row, "where every rank counts every row nothing is summed")
{
    sluice_context *context =
        open_in(NULL, SLUICE_OPEN_EVERY_RANK_EVERY_ROW | SLUICE_OPEN_JOIN, SLUICE_USE_SUMMED_LOAD);
    struct seen seen;
    ct_true(context != NULL);
    ct_eq_i64(begin(context, 1), SLUICE_OK);
    record(context, 0, 0, 3);
    ct_eq_i64(load()->window_end(context, NULL), SLUICE_OK);
    ct_eq_i64(look(context, 0, 1, 0, &seen), SLUICE_OK);
    ct_eq_i64(seen.counts[0], 3);
    ct_api()->close(context);
}
