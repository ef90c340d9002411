/* Windows of sluice.load/1 beside a plain model of them, over random calls in any order. */
#include <string.h>

#include "abi/ext/load.h"
#include "abi/ext/placement.h"
#include "ct.h"
#include "ct_sluice.h"
#include "place_world.h"

enum { E = 5, RANKS = 3, SLOTS = 3, P = RANKS * SLOTS, LAYERS = 2, KEPT = 6, CALLS = 20000 };

struct counts {
    int64_t expert[LAYERS][E], rank[LAYERS][RANKS];
};

struct model {
    sluice_context *context;
    uint64_t random;
    int32_t map[LAYERS][P];
    struct counts running, ring[KEPT]; /* ring: the last first */
    int32_t kept, available;
    int64_t ended;
};

static const sluice_load_api *load(void)
{
    return ct_api()->extension(SLUICE_EXT_LOAD);
}

static void record(struct model *m)
{
    int32_t layer = draw_below(&m->random, LAYERS), ids[7];
    int32_t count = draw_below(&m->random, 8);
    for (int32_t i = 0; i < count; i++) {
        ids[i] = draw_below(&m->random, P + 2) - 1; /* -1 and P are nobody's */
        if (ids[i] < 0 || ids[i] >= P)
            continue;
        m->running.rank[layer][ids[i] / SLOTS]++;
        if (m->map[layer][ids[i]] >= 0)
            m->running.expert[layer][m->map[layer][ids[i]]]++;
    }
    const sluice_record_args args = {.struct_size = sizeof args,
                                     .layer = layer,
                                     .recorder_ids = ct_tensor(ids, CT_I32, count, 0)};
    ct_expect_eq_i64(ct_api()->record(m->context, &args), SLUICE_OK);
}

static void place(struct model *m)
{
    const sluice_placement_api *placement = ct_api()->extension(SLUICE_EXT_PLACEMENT);
    int32_t layer = draw_below(&m->random, LAYERS), *map = m->map[layer];
    for (int32_t p = 0; p < P; p++)
        map[p] = p < E ? p : draw_below(&m->random, E + 1) - 1;
    for (int32_t p = P - 1; p > 0; p--) {
        int32_t other = draw_below(&m->random, p + 1), held = map[p];
        map[p] = map[other];
        map[other] = held;
    }
    ct_expect_eq_i64(placement->set(m->context, layer, map, P, 0, NULL), SLUICE_OK);
}

static void reset(struct model *m)
{
    int32_t layer = draw_below(&m->random, LAYERS + 1) - 1;
    for (int32_t i = 0; i < LAYERS; i++)
        if (layer == -1 || layer == i) {
            memset(m->running.expert[i], 0, sizeof m->running.expert[i]);
            memset(m->running.rank[i], 0, sizeof m->running.rank[i]);
        }
    ct_expect_eq_i64(load()->reset(m->context, layer, NULL), SLUICE_OK);
}

static void begin(struct model *m)
{
    m->kept = 1 + draw_below(&m->random, KEPT);
    const sluice_load_windows config = {.struct_size = sizeof config, .kept = m->kept};
    ct_expect_eq_i64(load()->windows(m->context, &config), SLUICE_OK);
    m->running = (struct counts){.expert = {{0}}};
    m->available = 0;
    m->ended = 0;
}

static void end(struct model *m)
{
    ct_expect_eq_i64(load()->window_end(m->context, NULL), SLUICE_OK);
    memmove(m->ring + 1, m->ring, (KEPT - 1) * sizeof *m->ring);
    m->ring[0] = m->running;
    m->running = (struct counts){.expert = {{0}}};
    m->available += m->available < m->kept;
    m->ended++;
}

static void compare(struct model *m)
{
    struct counts got, want = {.expert = {{0}}};
    int32_t newest = draw_below(&m->random, m->available);
    int32_t count = 1 + draw_below(&m->random, m->available - newest);
    sluice_load_window window = {.struct_size = sizeof window,
                                 .newest = newest,
                                 .count = count,
                                 .stride = E,
                                 .counts = got.expert[0],
                                 .rank_stride = RANKS,
                                 .rank_counts = got.rank[0]};
    for (int32_t w = newest; w < newest + count; w++)
        for (int32_t i = 0; i < LAYERS; i++) {
            for (int32_t e = 0; e < E; e++)
                want.expert[i][e] += m->ring[w].expert[i][e];
            for (int32_t r = 0; r < RANKS; r++)
                want.rank[i][r] += m->ring[w].rank[i][r];
        }
    ct_expect_eq_i64(load()->window(m->context, &window), SLUICE_OK);
    ct_expect_eq_mem(&got, &want, sizeof want);
    ct_expect_eq_i64(window.number, m->ended - newest);
    ct_expect_eq_i64(window.available, m->available);
}

static void step(struct model *m)
{
    switch (draw_below(&m->random, 40)) {
    case 0:
    case 1:
        place(m);
        break;
    case 2:
        reset(m);
        break;
    case 3:
        if (draw_below(&m->random, 20) == 0)
            begin(m);
        break;
    case 4:
    case 5:
    case 6:
        end(m);
        break;
    case 7:
    case 8:
        if (m->available)
            compare(m);
        break;
    default:
        record(m);
    }
}

CT(windows_model, any_order, "windows hold what a plain model holds, whatever is called in between")
{
    struct model *m = ct_alloc(sizeof *m);
    sluice_router router = {.struct_size = sizeof router, .experts = E, .top_k = 1};
    sluice_layer layer = {.struct_size = sizeof layer, .router = &router, .slots_per_rank = SLOTS};
    const sluice_layer *layers[LAYERS] = {&layer, &layer};
    sluice_config config = ct_config(&router, LAYERS, 0, RANKS);
    config.layers = layers;
    m->random = 1;
    m->context = ct_open(&config);
    ct_true(m->context != NULL);
    for (int32_t i = 0; i < LAYERS; i++)
        for (int32_t p = 0; p < P; p++)
            m->map[i][p] = p % E;
    begin(m);
    for (int32_t i = 0; i < CALLS && !ct_failed(); i++) {
        ct_note("call %d", i);
        step(m);
    }
    ct_api()->close(m->context);
}
