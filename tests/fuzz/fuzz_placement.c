/* Any map is either refused with a text, or is a placement: it reads back, every expert has a copy,
 * a routed row is never a shared one, and what remap, record and get_moe_weights say fits it. */
#include "fuzz_kit.h"

#include "abi/ext/load.h"
#include "abi/ext/placement.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_P = 512, MOST_E = 64 };

struct world {
    const sluice_api *api;
    const sluice_placement_api *placement;
    sluice_context *context;
    sluice_router router;
    sluice_comm comm;
    int32_t experts, slots, ranks, shared, local, physical;
    int64_t epoch;
    int64_t counted[MOST_E]; /* by logical expert, since open */
    int32_t map[MOST_P];     /* in force */
};

static bool world_open(struct world *w, struct fz_bytes *in)
{
    memset(w, 0, sizeof *w);
    w->api = sluice_plugin_get(SLUICE_ABI_MAJOR);
    w->placement = w->api->extension(SLUICE_EXT_PLACEMENT);
    w->experts = fz_range(in, 1, MOST_E);
    w->router = (sluice_router){.struct_size = sizeof w->router,
                                .experts = w->experts,
                                .top_k = w->experts < 4 ? w->experts : 4,
                                .shared = fz_range(in, 0, 3)};
    w->comm = (sluice_comm){.struct_size = sizeof w->comm, .size = fz_range(in, 1, 6)};
    w->comm.rank = fz_range(in, 0, w->comm.size - 1);
    int32_t least = (w->experts + w->comm.size - 1) / w->comm.size;
    const sluice_layer layer = {.struct_size = sizeof layer,
                                .router = &w->router,
                                .slots_per_rank = least + fz_range(in, 0, 4)};
    const sluice_layer *layers[] = {&layer};
    const sluice_config config = {.struct_size = sizeof config,
                                  .comm = &w->comm,
                                  .layers = layers,
                                  .layer_count = 1,
                                  .max_ranks = w->comm.size + fz_range(in, 0, 1),
                                  .copy_policy = fz_range(in, 0, 1)};
    char text[600];
    w->slots = layer.slots_per_rank;
    w->ranks = config.max_ranks;
    w->shared = w->router.shared;
    w->local = w->slots + w->shared;
    w->physical = w->slots * w->ranks;
    FZ_HOLDS(w->physical <= MOST_P);
    FZ_HOLDS(w->api->open(&config, &w->context, text, sizeof text) == SLUICE_OK);
    return w->placement->get(w->context, 0, w->map, w->physical, NULL) == SLUICE_OK;
}

/* ------------------------------------------------------------------------------- reading back */

static int32_t holds(const struct world *w, int32_t rank, int32_t row)
{
    return row < w->slots ? w->map[rank * w->slots + row] : SLUICE_ROW_SHARED(row - w->slots);
}

static void check_rows(const struct world *w)
{
    int32_t *rows = malloc((size_t)w->local * sizeof *rows);
    FZ_HOLDS(rows != NULL);
    for (int32_t rank = 0; rank < w->ranks; rank++) {
        FZ_HOLDS(w->placement->rows(w->context, 0, rank, rows, w->local) == SLUICE_OK);
        for (int32_t row = 0; row < w->local; row++)
            FZ_HOLDS(rows[row] == holds(w, rank, row));
    }
    free(rows);
}

/* The rows of `rank` that hold `what`, by find, with room for `capacity`. */
static void check_find(const struct world *w, int32_t rank, int32_t what, int32_t capacity)
{
    int32_t found = -7, there = 0;
    int32_t *rows = malloc((size_t)(capacity > 0 ? capacity : 1) * sizeof *rows);
    FZ_HOLDS(rows != NULL);
    sluice_status status = w->placement->find(w->context, 0, rank, what, rows, capacity, &found);
    fz_status(w->api, w->context, status);
    if (status == SLUICE_OK || status == SLUICE_OVERFLOW) {
        for (int32_t row = 0; row < w->local; row++) {
            if (holds(w, rank, row) != what)
                continue;
            FZ_HOLDS(there >= capacity || rows[there] == row);
            there++;
        }
        FZ_HOLDS(found == there && (status == SLUICE_OVERFLOW) == (there > capacity));
    } else {
        bool shared = what <= SLUICE_ROW_SHARED(0) && what > SLUICE_ROW_SHARED(w->shared);
        FZ_HOLDS(rank < 0 || rank >= w->ranks || !((what >= 0 && what < w->experts) || shared));
    }
    free(rows);
}

static void check_copies(const struct world *w, int32_t expert, int32_t capacity)
{
    int32_t found = -7, there = 0;
    int32_t *list = malloc((size_t)(capacity > 0 ? capacity : 1) * sizeof *list);
    FZ_HOLDS(list != NULL);
    sluice_status status = w->placement->copies(w->context, 0, expert, list, capacity, &found);
    fz_status(w->api, w->context, status);
    FZ_HOLDS((status == SLUICE_INVALID) == (expert < 0 || expert >= w->experts));
    for (int32_t p = 0; status != SLUICE_INVALID && p < w->physical; p++) {
        if (w->map[p] != expert)
            continue;
        FZ_HOLDS(there >= capacity || list[there] == p);
        there++;
    }
    if (status != SLUICE_INVALID)
        FZ_HOLDS(there > 0 && found == there && (status == SLUICE_OVERFLOW) == (there > capacity));
    free(list);
}

static void check_read(const struct world *w)
{
    int32_t *map = malloc((size_t)w->physical * sizeof *map);
    int64_t epoch = -1;
    FZ_HOLDS(map != NULL);
    FZ_HOLDS(w->placement->get(w->context, 0, map, w->physical, &epoch) == SLUICE_OK);
    FZ_HOLDS(epoch == w->epoch && memcmp(map, w->map, (size_t)w->physical * sizeof *map) == 0);
    free(map);
    check_rows(w);
    for (int32_t e = 0; e < w->experts; e++)
        check_copies(w, e, w->physical);
}

/* ---------------------------------------------------------------------------------- the map */

/* placement.h: entries in [0, experts) or -1, and every expert there. */
static bool is_placement(int32_t experts, int32_t ranks, const int32_t *map, int64_t count)
{
    bool seen[MOST_E] = {false};
    if (experts < 1 || ranks < 1 || ranks > 1024 || count % ranks != 0 || map == NULL)
        return false;
    for (int64_t p = 0; p < count; p++) {
        if (map[p] < -1 || map[p] >= experts)
            return false;
        if (map[p] >= 0)
            seen[map[p]] = true;
    }
    for (int32_t e = 0; e < experts; e++)
        if (!seen[e])
            return false;
    return true;
}

static bool is_valid(const struct world *w, int32_t experts, int32_t ranks, const int32_t *map,
                     int64_t count)
{
    char text[300];
    memset(text, 'x', sizeof text);
    sluice_status status = w->placement->validate(3, experts, ranks, map, count, text, sizeof text);
    FZ_HOLDS(status == SLUICE_OK || status == SLUICE_INVALID);
    FZ_HOLDS(memchr(text, 0, sizeof text) != NULL);
    FZ_HOLDS((strlen(text) > 0) == (status != SLUICE_OK) && strchr(text, '\n') == NULL);
    /* A text that is cut, and none. */
    char cut[8] = "zzzzzzz";
    FZ_HOLDS(w->placement->validate(3, experts, ranks, map, count, cut, 4) == status);
    FZ_HOLDS(memcmp(cut + 4, "zzz", 4) == 0 && memchr(cut, 0, 4) != NULL);
    FZ_HOLDS(w->placement->validate(3, experts, ranks, map, count, NULL, 0) == status);
    if (experts <= MOST_E)
        FZ_HOLDS((status == SLUICE_OK) == is_placement(experts, ranks, map, count));
    return status == SLUICE_OK;
}

/* A map of exactly `count`: the trivial one with changes, or raw bytes. */
static int32_t *read_map(const struct world *w, struct fz_bytes *in, int64_t count)
{
    uint8_t how = fz_u8(in);
    int32_t *map = malloc((size_t)(count > 0 ? count : 1) * sizeof *map);
    FZ_HOLDS(map != NULL);
    for (int64_t p = 0; p < count; p++) {
        map[p] = (int32_t)((p + how / 4) % w->experts);
        if (how % 4 == 1)
            map[p] = (int8_t)fz_u8(in);
        if (how % 4 == 2)
            map[p] = (int32_t)fz_u32(in);
    }
    for (int32_t i = fz_range(in, 0, 7); i > 0 && count > 0; i--) {
        int32_t at = fz_range(in, 0, (int32_t)count - 1);
        map[at] = (int8_t)fz_u8(in);
    }
    return map;
}

static void try_set(struct world *w, struct fz_bytes *in)
{
    uint8_t how = fz_u8(in);
    int32_t experts = w->experts, ranks = w->ranks;
    int64_t count = w->physical, epoch = 0;
    if (how & 1)
        count = fz_range(in, 0, MOST_P);
    int32_t *map = read_map(w, in, count);
    if (how & 2)
        epoch = (int64_t)((uint64_t)w->epoch + (uint64_t)(int8_t)fz_u8(in));
    if (how & 4)
        epoch = INT64_MAX - fz_range(in, 0, 2);
    if (how & 8)
        experts = (int32_t)fz_u32(in);
    if (how & 16)
        ranks = (int32_t)fz_u32(in);
    const int32_t *given = how & 32 ? NULL : map;
    (void)is_valid(w, experts, ranks, given, count);
    bool valid = is_valid(w, w->experts, w->ranks, given, count) && count == w->physical;
    int32_t layer = how & 64 ? (int8_t)fz_u8(in) : 0;
    sluice_status status = w->placement->set(w->context, layer, given, count, epoch, NULL);
    fz_status(w->api, w->context, status);
    bool last = epoch == 0 && w->epoch == INT64_MAX;
    bool passed = epoch < 0 || (epoch > 0 && epoch <= w->epoch) || last;
    FZ_HOLDS((status == SLUICE_OK) == (valid && !passed && layer == 0));
    FZ_HOLDS(status != SLUICE_STALE || passed);
    if (status == SLUICE_OK) {
        memcpy(w->map, map, (size_t)count * sizeof *map);
        w->epoch = epoch > 0 ? epoch : w->epoch + 1;
    }
    free(map);
}

/* ------------------------------------------------------------------------------------- its use */

struct mapped {
    struct fz_tensor *ids, *weights, *slots, *slot_weights, *recorder;
};

static void check_mapped(struct world *w, const struct mapped *m, int64_t tokens)
{
    int32_t top_k = w->router.top_k, living = w->comm.size * w->slots;
    for (int64_t t = 0; t < tokens; t++) {
        for (int32_t k = 0; k < top_k; k++) {
            int64_t id = fz_id(m->ids, t, k), slot = fz_id(m->slots, t, k);
            int64_t p = fz_id(m->recorder, t, k);
            bool copy = false;
            for (int32_t i = 0; i < living; i++)
                copy = copy || (id >= 0 && w->map[i] == id);
            FZ_HOLDS((slot >= 0) == copy && (p >= 0) == copy && slot >= -1 && p >= -1);
            if (!copy)
                continue;
            FZ_HOLDS(p < living && w->map[p] == id);
            FZ_HOLDS(slot == p + p / w->slots * w->shared && slot % w->local < w->slots);
            w->counted[id]++;
        }
        for (int32_t j = 0; j < w->shared; j++)
            FZ_HOLDS(fz_id(m->slots, t, top_k + j) ==
                     (int64_t)w->comm.rank * w->local + w->slots + j);
    }
}

static void use_remap(struct world *w, struct fz_bytes *in)
{
    struct fz_heap heap;
    heap.count = 0;
    int64_t tokens = fz_range(in, 0, 9);
    int32_t top_k = w->router.top_k, width = top_k + w->shared;
    const struct mapped m = {fz_make(&heap, FZ_I32, tokens, top_k, 0, false),
                             fz_make(&heap, FZ_F32, tokens, top_k, 0, false),
                             fz_make(&heap, FZ_I64, tokens, width, 0, true),
                             fz_make(&heap, FZ_F32, tokens, width, 1, true),
                             fz_make(&heap, FZ_I32, tokens, top_k, 2, true)};
    fz_fill(m.weights, in, 1);
    for (int64_t t = 0; t < tokens; t++)
        for (int32_t k = 0; k < top_k; k++)
            fz_set_id(m.ids, t, k, fz_range(in, -2, w->experts + 1));
    const sluice_remap_args remap = {.struct_size = sizeof remap,
                                     .ids = &m.ids->tensor,
                                     .weights = &m.weights->tensor,
                                     .dispatch_ids = &m.slots->tensor,
                                     .dispatch_weights = &m.slot_weights->tensor,
                                     .recorder_ids = &m.recorder->tensor};
    fz_before(&heap);
    FZ_HOLDS(w->api->remap(w->context, &remap) == SLUICE_OK);
    fz_after(&heap);
    check_mapped(w, &m, tokens);
    const sluice_record_args record = {.struct_size = sizeof record,
                                       .recorder_ids = &m.recorder->tensor};
    FZ_HOLDS(w->api->record(w->context, &record) == SLUICE_OK);
    fz_free(&heap);
}

/* Counts by logical expert go on over placements; those by physical expert fit the map. */
static void check_counts(const struct world *w)
{
    const sluice_load_api *load = w->api->extension(SLUICE_EXT_LOAD);
    int64_t logical[MOST_E], physical[MOST_P];
    FZ_HOLDS(load->read_logical(w->context, 0, logical, w->experts, NULL) == SLUICE_OK);
    FZ_HOLDS(memcmp(logical, w->counted, (size_t)w->experts * sizeof *logical) == 0);
    FZ_HOLDS(load->snapshot(w->context, physical, w->physical, NULL) == SLUICE_OK);
    for (int32_t p = 0; p < w->physical; p++) {
        FZ_HOLDS(physical[p] >= 0 && (physical[p] == 0 || w->map[p] >= 0));
        if (w->map[p] >= 0)
            logical[w->map[p]] -= physical[p];
    }
    for (int32_t e = 0; e < w->experts; e++)
        FZ_HOLDS(logical[e] >= 0);
}

/* A view has the routed rows of this rank, and none of the shared ones. */
static void check_views(const struct world *w)
{
    struct fz_heap heap;
    heap.count = 0;
    struct fz_tensor *weights = fz_make(&heap, FZ_BF16, w->local, 3, 0, false);
    sluice_param param = {
        .struct_size = sizeof param, .name = "w", .tensor = &weights->tensor, .visible = -1};
    sluice_param *const params[] = {&param};
    const sluice_weights_args args = {
        .struct_size = sizeof args, .params = params, .param_count = 1};
    FZ_HOLDS(w->api->get_moe_weights(w->context, &args) == SLUICE_OK && param.visible == 1);
    FZ_HOLDS(param.view.data == weights->tensor.data && param.view.shape == param.view_shape);
    FZ_HOLDS(param.view_shape[0] == w->slots && param.view_shape[1] == 3);
    for (int32_t row = 0; row < param.view_shape[0]; row++)
        FZ_HOLDS(holds(w, w->comm.rank, row) >= SLUICE_ROW_EMPTY);
    fz_free(&heap);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct world w;
    struct fz_bytes in = {data, size};
    if (!world_open(&w, &in))
        abort();
    for (int32_t steps = 0; steps < 16 && (in.left > 0 || steps == 0); steps++) {
        switch (fz_range(&in, 0, 5)) {
        case 0:
        case 1:
            try_set(&w, &in);
            check_read(&w);
            break;
        case 2:
        case 3:
            use_remap(&w, &in);
            break;
        case 4: {
            int32_t rank = fz_range(&in, -1, w.ranks), what = (int8_t)fz_u8(&in);
            check_find(&w, rank, what, fz_range(&in, 0, w.local));
            break;
        }
        default: {
            int32_t expert = (int8_t)fz_u8(&in);
            check_copies(&w, expert, fz_range(&in, 0, w.physical));
        }
        }
    }
    check_counts(&w);
    check_views(&w);
    w.api->close(w.context);
    return 0;
}
