/* Any problem of sluice.balance/1 is either refused with a text and nothing written, or its answer
 * holds: quotas add up, dead ranks have none, no rank is above the greatest, which no answer is
 * below. Then any order of counts, placements, ranks and remaps in a context. */
#include "fuzz_kit.h"

#include "abi/ext/balance.h"
#include "abi/ext/placement.h"
#include "abi/ext/ranks.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_E = 24, MOST_W = 8, MOST_N = 8, MOST_P = MOST_W * MOST_N, MOST_F = 8 };

struct problem {
    sluice_balance_problem args;
    sluice_balance_config config;
    sluice_costs costs;
    int32_t node[MOST_W], map[MOST_P];
    uint8_t alive[MOST_W];
    int64_t counts[MOST_W * MOST_E], tokens[MOST_W];
};

struct answer {
    sluice_balance_answer out;
    int64_t routed[MOST_W * MOST_P], shared[MOST_W * MOST_W];
    uint8_t cut[MOST_W];
};

static const sluice_balance_api *balance_api(void)
{
    return sluice_plugin_get(SLUICE_ABI_MAJOR)->extension(SLUICE_EXT_BALANCE);
}

static int64_t number(struct fz_bytes *in, uint8_t how)
{
    uint8_t byte = fz_u8(in);
    if (byte > 250 && how & 1)
        return (int64_t)fz_u64(in);
    return byte > 200 && how & 2 ? byte * (int64_t)1000003 : byte % 40;
}

static void draw_config(struct fz_bytes *in, sluice_balance_config *config, sluice_costs *costs)
{
    *costs = (sluice_costs){.struct_size = sizeof *costs,
                            .expert_ps = (int64_t)(fz_u32(in) >> 4),
                            .row_ps = fz_u8(in),
                            .near_ps = fz_u8(in) % 20,
                            .far_ps = fz_u8(in) % 60,
                            .add = fz_range(in, 0, 1)};
    *config = (sluice_balance_config){.struct_size = sizeof *config,
                                      .objective = fz_range(in, 0, 2),
                                      .mode = fz_range(in, 0, 1),
                                      .visited_only = fz_range(in, 0, 1),
                                      .steps = fz_range(in, 0, 4)};
    if (config->objective == SLUICE_BALANCE_COST)
        config->costs = costs;
}

static void draw_problem(struct fz_bytes *in, struct problem *p)
{
    uint8_t how = fz_u8(in);
    memset(p, 0, sizeof *p);
    draw_config(in, &p->config, &p->costs);
    p->args = (sluice_balance_problem){.struct_size = sizeof p->args,
                                       .experts = fz_range(in, 1, MOST_E),
                                       .ranks = fz_range(in, 1, MOST_W),
                                       .shared = fz_range(in, 0, how & 4 ? MOST_F : 1),
                                       .node = how & 8 ? p->node : NULL,
                                       .alive = how & 16 ? p->alive : NULL,
                                       .map = p->map,
                                       .counts = p->counts,
                                       .config = &p->config};
    p->args.slots_per_rank = fz_range(in, 1, MOST_N);
    p->args.tokens = p->args.shared ? p->tokens : NULL;
    int32_t physical = p->args.slots_per_rank * p->args.ranks;
    for (int32_t i = 0; i < physical; i++)
        p->map[i] = i < p->args.experts ? i : fz_range(in, -1, p->args.experts - 1);
    for (int32_t i = physical - 1; i > 0; i--) {
        int32_t j = fz_range(in, 0, i), held = p->map[i];
        p->map[i] = p->map[j];
        p->map[j] = held;
    }
    for (int32_t r = 0; r < p->args.ranks; r++) {
        p->alive[r] = fz_u8(in) % 4 > 0;
        p->node[r] = fz_u8(in) % 3;
        p->tokens[r] = number(in, how);
    }
    for (int32_t i = 0; i < p->args.ranks * p->args.experts; i++)
        p->counts[i] = number(in, how);
}

static bool lives(const struct problem *p, int32_t rank)
{
    return !p->args.alive || p->alive[rank];
}

static bool has_copy(const struct problem *p, int32_t e)
{
    for (int32_t i = 0; i < p->args.ranks * p->args.slots_per_rank; i++)
        if (p->map[i] == e && lives(p, i / p->args.slots_per_rank))
            return true;
    return false;
}

static void check_source(const struct problem *p, const struct answer *a, int32_t s)
{
    int32_t slots = p->args.slots_per_rank, physical = slots * p->args.ranks;
    int64_t sums[MOST_E] = {0}, columns = 0;
    for (int32_t i = 0; i < physical; i++) {
        int64_t units = a->routed[s * physical + i];
        FZ_HOLDS(units >= 0 && (units == 0 || (p->map[i] >= 0 && lives(p, i / slots))));
        if (p->map[i] >= 0)
            sums[p->map[i]] += units;
    }
    for (int32_t e = 0; e < p->args.experts; e++)
        FZ_HOLDS(sums[e] ==
                 (lives(p, s) && has_copy(p, e) ? p->counts[s * p->args.experts + e] : 0));
    for (int32_t r = 0; r < p->args.ranks; r++) {
        int64_t units = a->shared[s * p->args.ranks + r];
        FZ_HOLDS(units >= 0 && (units == 0 || lives(p, r)));
        columns += units;
    }
    FZ_HOLDS(columns == (lives(p, s) ? p->args.shared * p->tokens[s] : 0));
}

static void check_loads(const struct problem *p, const struct answer *a)
{
    int32_t slots = p->args.slots_per_rank, physical = slots * p->args.ranks;
    int64_t most = 0;
    for (int32_t r = 0; r < p->args.ranks; r++) {
        int64_t rows = 0, active = 0, columns = 0;
        for (int32_t s = 0; s < p->args.ranks; s++)
            columns += a->shared[s * p->args.ranks + r];
        for (int32_t i = r * slots; i < (r + 1) * slots; i++) {
            int64_t copy = 0;
            for (int32_t s = 0; s < p->args.ranks; s++)
                copy += a->routed[s * physical + i];
            rows += copy;
            active += copy > 0;
        }
        bool experts = p->config.objective == SLUICE_BALANCE_EXPERTS;
        int64_t load = experts ? active + (columns > 0) : rows + columns;
        most = load > most ? load : most;
    }
    FZ_HOLDS(a->out.greatest >= a->out.bound);
    if (p->config.objective == SLUICE_BALANCE_COST)
        return;
    FZ_HOLDS(a->out.greatest == a->out.bound);
    if (p->config.objective == SLUICE_BALANCE_TOKENS || p->args.shared < 2)
        FZ_HOLDS(a->out.greatest == most);
}

static void try_solve(struct fz_bytes *in)
{
    static struct problem p;
    static struct answer a;
    char text[300] = "";
    draw_problem(in, &p);
    memset(&a, 0x5A, sizeof a);
    a.out = (sluice_balance_answer){.struct_size = sizeof a.out,
                                    .sources = p.args.ranks,
                                    .routed = a.routed,
                                    .shared = a.shared,
                                    .cut = a.cut,
                                    .routed_count = MOST_W * MOST_P,
                                    .shared_count = MOST_W * MOST_W,
                                    .cut_count = MOST_W};
    const struct answer before = a;
    sluice_status status = balance_api()->solve(&p.args, &a.out, text, sizeof text);
    FZ_HOLDS(status == SLUICE_OK || status == SLUICE_INVALID);
    if (status) {
        FZ_HOLDS(text[0] != 0 && memcmp(&a, &before, sizeof a) == 0);
        return;
    }
    for (int32_t s = 0; s < p.args.ranks; s++)
        check_source(&p, &a, s);
    check_loads(&p, &a);
}

/* --------------------------------------------------------------------------------- a context */

enum { E = 12, K = 3, F = 2, N = 4, W = 4, P = N * W, C = K + F, MOST_ROWS = 24 };

struct world {
    const sluice_api *api;
    sluice_context *context;
    int32_t map[P], rank;
    uint8_t alive[W];
    int64_t generation;
    bool every_row, balanced;
};

static sluice_tensor dense(void *data, sluice_dtype dtype, int64_t *shape)
{
    return (sluice_tensor){
        .data = data, .device = {SLUICE_CPU, 0}, .ndim = 2, .dtype = dtype, .shape = shape};
}

static void world_open(struct world *w, struct fz_bytes *in)
{
    uint8_t how = fz_u8(in);
    const sluice_router router = {
        .struct_size = sizeof router, .experts = E, .top_k = K, .shared = F};
    const sluice_layer layer = {
        .struct_size = sizeof layer, .router = &router, .slots_per_rank = N};
    const sluice_layer *layers[] = {&layer};
    memset(w, 0, sizeof *w);
    w->api = sluice_plugin_get(SLUICE_ABI_MAJOR);
    w->rank = how & 3;
    w->every_row = how & 4;
    w->balanced = how & 8;
    const sluice_host host = {.struct_size = sizeof host, .threads = how & 16 ? 2 : 0};
    const sluice_comm comm = {.struct_size = sizeof comm, .rank = w->rank, .size = W};
    const sluice_config config = {.struct_size = sizeof config,
                                  .host = &host,
                                  .comm = &comm,
                                  .layers = layers,
                                  .layer_count = 1,
                                  .flags = w->every_row ? SLUICE_OPEN_EVERY_RANK_EVERY_ROW : 0,
                                  .copy_policy = w->balanced ? SLUICE_COPY_BALANCED : how >> 5 & 1,
                                  .shared_policy = how & 64 && w->balanced ? SLUICE_SHARED_AT_HOME
                                                                           : SLUICE_SHARED_LEVEL};
    FZ_HOLDS(w->api->open(&config, &w->context, NULL, 0) == SLUICE_OK);
    memset(w->alive, 1, W);
    for (int32_t p = 0; p < P; p++)
        w->map[p] = p % E;
}

static void do_configure(struct world *w, struct fz_bytes *in)
{
    sluice_balance_config config;
    sluice_costs costs;
    draw_config(in, &config, &costs);
    sluice_status status = balance_api()->configure(w->context, -1, &config);
    FZ_HOLDS(status == (w->every_row && config.mode ? SLUICE_INVALID : SLUICE_OK));
}

static void do_counts(struct world *w, struct fz_bytes *in)
{
    int64_t counts[W * E], shape[2] = {fz_u8(in) & 1 ? W : 1, E};
    for (int32_t i = 0; i < W * E; i++)
        counts[i] = number(in, 2) - (i == 3 && fz_u8(in) == 9);
    const sluice_tensor tensor = dense(counts, FZ_I64, shape);
    const sluice_balance_counts args = {.struct_size = sizeof args, .counts = &tensor};
    fz_status(w->api, w->context, balance_api()->add_counts(w->context, &args));
}

static void do_placement(struct world *w, struct fz_bytes *in)
{
    const sluice_placement_api *placement = w->api->extension(SLUICE_EXT_PLACEMENT);
    for (int32_t i = P - 1; i > 0; i--) {
        int32_t j = fz_range(in, 0, i), held = w->map[i];
        w->map[i] = w->map[j];
        w->map[j] = held;
    }
    FZ_HOLDS(placement->set(w->context, 0, w->map, P, 0, NULL) == SLUICE_OK);
}

static void do_ranks(struct world *w, struct fz_bytes *in)
{
    const sluice_ranks_api *ranks = w->api->extension(SLUICE_EXT_RANKS);
    uint8_t bits = fz_u8(in);
    sluice_comm comm = {.struct_size = sizeof comm};
    for (int32_t r = 0; r < W; r++) {
        w->alive[r] = r == w->rank || bits >> r & 1;
        comm.rank += r < w->rank && w->alive[r];
        comm.size += w->alive[r];
    }
    const sluice_ranks args = {.struct_size = sizeof args,
                               .generation = ++w->generation,
                               .alive = w->alive,
                               .comm = &comm};
    FZ_HOLDS(ranks->set(w->context, &args, NULL) == SLUICE_OK);
}

static void do_remap(struct world *w, struct fz_bytes *in)
{
    int32_t rows = fz_range(in, 0, MOST_ROWS), ids[MOST_ROWS * K + 1], slots[MOST_ROWS * C + 1];
    int32_t recorder[MOST_ROWS * K + 1];
    int64_t narrow[2] = {rows, K}, wide[2] = {rows, C};
    for (int32_t i = 0; i < rows * K; i++)
        ids[i] = fz_range(in, -1, E);
    const sluice_tensor in_t = dense(ids, FZ_I32, narrow), out = dense(slots, FZ_I32, wide);
    const sluice_tensor record = dense(recorder, FZ_I32, narrow);
    const sluice_remap_args args = {
        .struct_size = sizeof args, .ids = &in_t, .dispatch_ids = &out, .recorder_ids = &record};
    FZ_HOLDS(w->api->remap(w->context, &args) == SLUICE_OK);
    for (int32_t i = 0; i < rows * K; i++) {
        int32_t p = recorder[i], slot = slots[i / K * C + i % K];
        FZ_HOLDS(slot == (p < 0 ? -1 : p + p / N * F));
        FZ_HOLDS(p < 0 || (p < P && w->map[p] == ids[i] && w->alive[p / N]));
        bool any = false;
        for (int32_t copy = 0; copy < P; copy++)
            any = any || (w->map[copy] == ids[i] && w->alive[copy / N]);
        FZ_HOLDS((p >= 0) == (any && ids[i] >= 0));
    }
    for (int32_t i = 0; i < rows * F; i++) {
        int32_t slot = slots[i / F * C + K + i % F];
        FZ_HOLDS(slot >= 0 && w->alive[slot / (N + F)] && slot % (N + F) == N + i % F);
    }
}

static void do_read(struct world *w, struct fz_bytes *in)
{
    static struct answer a;
    a.out = (sluice_balance_answer){.struct_size = sizeof a.out,
                                    .source = fz_range(in, 0, W),
                                    .sources = fz_range(in, 0, W),
                                    .routed = a.routed,
                                    .shared = a.shared,
                                    .cut = a.cut,
                                    .routed_count = fz_range(in, 0, 3 * P),
                                    .shared_count = W * W,
                                    .cut_count = W};
    fz_status(w->api, w->context, balance_api()->read(w->context, 0, &a.out, NULL));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fz_bytes in = {data, size};
    if (fz_u8(&in) & 1) {
        try_solve(&in);
        return 0;
    }
    struct world world;
    void (*const steps[])(struct world *, struct fz_bytes *) = {
        do_configure, do_counts, do_placement, do_ranks, do_remap, do_read, do_remap};
    world_open(&world, &in);
    for (int32_t i = 0; i < 40 && in.left > 0; i++)
        steps[fz_u8(&in) % (sizeof steps / sizeof *steps)](&world, &in);
    world.api->close(world.context);
    return 0;
}
