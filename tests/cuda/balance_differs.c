/* SPDX-License-Identifier: Apache-2.0
 * Two plugins, one on a device, under the balanced policies: are outputs, counters, and what `read`
 * says equal to the bit? Random placements, dead and reserved ranks aside; modes LOCAL and STALE
 * with counts of many ranks, and NOW with one.
 *     balance_differs CPU.so DEVICE.so CASES [SEED] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../abi/ext/balance.h"
#include "../../abi/ext/load.h"
#include "../../abi/ext/placement.h"
#include "../../abi/ext/route.h"
#include "../../abi/ext/stats.h"
#include "differ_kit.h"

struct world {
    sluice_router router;
    sluice_config config;
    sluice_balance_config balance;
    sluice_costs costs;
    int32_t ranks, slots, physical, shared, rank;
    int32_t node[1024];
    int64_t rows;
    bool every_row, balanced, waterfill;
    bool replayed; /* calls in graphs are the host's to count once */
    int failed;
};

static void judge(struct world *w, const char *what, bool equal)
{
    if (equal)
        return;
    printf(
        "not ok: %s differs: W %d rank %d N %d E %d K %d F %d policies %d %d mode %d objective %d "
        "visited %d flags %d rows %lld\n",
        what, w->ranks, w->rank, w->slots, w->router.experts, w->router.top_k, w->shared,
        w->config.copy_policy, w->config.shared_policy, w->balance.mode, w->balance.objective,
        w->balance.visited_only, w->config.flags, (long long)w->rows);
    w->failed = 1;
}

static void expect(struct world *w, const char *what, const sluice_status *status)
{
    char text[512];
    for (int s = 0; s < 2; s++)
        if (status[s]) {
            (void)sides[s].api->last_error(sides[s].context, text, sizeof text);
            printf("%s: side %d answers %d: %s\n", what, s, status[s], text);
            w->failed = 1;
        }
}

/* ------------------------------------------------------------------------------------- worlds */

static void draw_costs(struct world *w)
{
    static const int32_t MOST[] = {1, 10, 1000, 100000};
    w->costs = (sluice_costs){.struct_size = sizeof w->costs,
                              .expert_ps = below(MOST[below(4)]) * 20LL,
                              .row_ps = below(MOST[below(4)]),
                              .near_ps = chance(70) ? below(MOST[below(4)]) : 0,
                              .add = below(2)};
    w->costs.far_ps = chance(70) ? below(MOST[below(4)]) : w->costs.near_ps;
    w->balance.costs = w->balance.objective == SLUICE_BALANCE_COST ? &w->costs : NULL;
}

static void draw(struct world *w)
{
    static const int32_t RANKS[] = {16, 72, 144, 320, 1024};
    sluice_router *r = &w->router;
    *r = (sluice_router){.struct_size = sizeof *r};
    w->ranks = chance(4) ? RANKS[below(5)] : 1 + below(10);
    r->experts = w->ranks > 100 ? 256 : chance(20) ? 256 : 1 + below(90);
    r->top_k = 1 + below(r->experts < 9 ? r->experts
                         : chance(10)   ? r->experts < 64 ? r->experts : 64
                                        : 9);
    r->zero_experts = chance(10) ? 1 + below(8) : 0;
    r->score = below(2);
    r->renorm = chance(50);
    r->scale = chance(50) ? 2.5F : 0;
    r->scale_by = below(2);
    r->shared = chance(70) ? 1 + below(4) : 0;
    r->shared_weight = r->shared ? below(2) : 0;
    if (chance(15)) { /* DeepSeek-V3's family */
        r->experts = 256;
        r->zero_experts = 0;
        r->score = SLUICE_SCORE_SIGMOID;
        r->top_k = 8;
    }
    if (chance(15)) { /* few columns */
        r->experts = 8 << below(2);
        r->top_k = 1 + below(r->experts / 8 * 2);
        r->zero_experts = 0;
        r->shared_weight = 0;
    }
    w->slots = (r->experts + w->ranks - 1) / w->ranks + below(w->ranks > 100 ? 2 : 5);
    w->rank = below(w->ranks);
    w->rows = chance(5) ? 0 : chance(10) ? below(3000) : below(100);
    w->every_row = chance(15);
    w->balance = (sluice_balance_config){.struct_size = sizeof w->balance,
                                         .objective = below(3),
                                         .mode = w->every_row    ? 0
                                                 : w->ranks == 1 ? below(3)
                                                                 : below(2),
                                         .visited_only = chance(30),
                                         .steps = chance(50) ? 0 : 1 + below(4)};
    draw_costs(w);
    int32_t of_node = 1 + below(w->ranks);
    for (int32_t i = 0; i < w->ranks; i++)
        w->node[i] = i / of_node;
}

static void set_map(struct world *w)
{
    int32_t *map = malloc((size_t)w->physical * sizeof *map), experts = w->router.experts;
    int32_t spread = 1 + below(experts);
    for (int32_t p = 0; p < w->physical; p++)
        map[p] = p < experts ? p : below(spread + 1) - 1;
    for (int32_t p = w->physical - 1; p > 0; p--) {
        int32_t q = below(p + 1), kept = map[p];
        map[p] = map[q];
        map[q] = kept;
    }
    for (int s = 0; s < 2; s++) {
        const sluice_placement_api *place = sides[s].api->extension(SLUICE_EXT_PLACEMENT);
        if (place->set(sides[s].context, 0, map, w->physical, 0, NULL))
            stop("placement.set", "refused");
    }
    free(map);
}

static void open_both(struct world *w)
{
    sluice_layer layer = {.struct_size = sizeof layer, .router = &w->router};
    const sluice_layer *layers[] = {&layer};
    sluice_comm comm = {
        .struct_size = sizeof comm, .rank = w->rank, .size = w->ranks, .node = w->node};
    static const int32_t SHARED[] = {SLUICE_SHARED_AT_HOME, SLUICE_SHARED_LEVEL,
                                     SLUICE_SHARED_LEVEL, SLUICE_SHARED_NOT_FUSED,
                                     SLUICE_SHARED_WATERFILL_STATIC};
    layer.slots_per_rank = w->slots;
    int32_t copies = chance(75) ? SLUICE_COPY_BALANCED : below(2);
    int32_t shared = copies == SLUICE_COPY_BALANCED ? SHARED[below(5)] : SLUICE_SHARED_LEVEL;
    bool dynamic = w->ranks == 1 && chance(30);
    if (chance(20) && !w->every_row)
        shared = dynamic ? SLUICE_SHARED_WATERFILL_DYNAMIC : SLUICE_SHARED_WATERFILL_STATIC;
    if (w->every_row && shared == SLUICE_SHARED_WATERFILL_STATIC)
        shared = SLUICE_SHARED_LEVEL;
    if (copies != SLUICE_COPY_BALANCED && w->router.shared == 0)
        w->router.shared = 1;
    w->config = (sluice_config){.struct_size = sizeof w->config,
                                .comm = &comm,
                                .layers = layers,
                                .layer_count = 1,
                                .copy_policy = copies,
                                .shared_policy = shared,
                                .uses = w->ranks == 1 ? SLUICE_USE_BALANCE_NOW : 0,
                                .flags = w->every_row ? SLUICE_OPEN_EVERY_RANK_EVERY_ROW : 0,
                                .seed = next()};
    w->shared = shared == SLUICE_SHARED_NOT_FUSED ? 0 : w->router.shared;
    w->physical = w->slots * w->ranks;
    char text[512];
    sluice_status status[2];
    for (int s = 0; s < 2; s++) {
        w->config.device = sides[s].device;
        if (sides[s].api->open(&w->config, &sides[s].context, text, sizeof text))
            stop("open", text);
    }
    set_map(w);
    w->balanced = copies == SLUICE_COPY_BALANCED || shared == SLUICE_SHARED_LEVEL;
    w->waterfill =
        shared == SLUICE_SHARED_WATERFILL_STATIC || shared == SLUICE_SHARED_WATERFILL_DYNAMIC;
    for (int s = 0; s < 2; s++) {
        const sluice_balance_api *balance = sides[s].api->extension(SLUICE_EXT_BALANCE);
        status[s] = balance->configure(sides[s].context, 0, &w->balance);
    }
    if (w->balanced)
        expect(w, "configure", status);
    else
        judge(w, "status of configure", status[0] == status[1]);
}

/* ------------------------------------------------------------------------------------- calls */

static void same_counters(struct world *w)
{
    int64_t *counts[2];
    sluice_stats stats[2];
    memset(stats, 0, sizeof stats);
    for (int s = 0; s < 2; s++) {
        const sluice_load_api *loads = sides[s].api->extension(SLUICE_EXT_LOAD);
        const sluice_stats_api *numbers = sides[s].api->extension(SLUICE_EXT_STATS);
        counts[s] = calloc((size_t)w->physical, sizeof(int64_t));
        stats[s].struct_size = sizeof stats[s];
        if (loads->snapshot(sides[s].context, counts[s], w->physical, NULL) ||
            numbers->read(sides[s].context, &stats[s]))
            stop("counters", "not read");
        if (w->replayed)
            memset(stats[s].calls, 0, sizeof stats[s].calls);
    }
    judge(w, "counters", memcmp(counts[0], counts[1], (size_t)w->physical * 8) == 0);
    judge(w, "stats", memcmp(&stats[0], &stats[1], sizeof stats[0]) == 0);
    free(counts[0]);
    free(counts[1]);
}

static void same_quotas(struct world *w)
{
    int64_t *routed[2], *shared[2];
    uint8_t *cut[2];
    sluice_balance_answer answer[2];
    sluice_status status[2];
    for (int s = 0; s < 2; s++) {
        const sluice_balance_api *balance = sides[s].api->extension(SLUICE_EXT_BALANCE);
        routed[s] = calloc((size_t)w->physical, 8);
        shared[s] = calloc((size_t)w->ranks, 8);
        cut[s] = calloc((size_t)w->ranks, 1);
        answer[s] = (sluice_balance_answer){.struct_size = sizeof answer[s],
                                            .source = w->balance.mode ? w->rank : 0,
                                            .routed = routed[s],
                                            .shared = shared[s],
                                            .cut = cut[s],
                                            .routed_count = w->physical,
                                            .shared_count = w->ranks,
                                            .cut_count = w->ranks};
        status[s] = balance->read(sides[s].context, 0, &answer[s], NULL);
    }
    judge(w, "status of read", status[0] == status[1]);
    if (!status[0]) {
        judge(w, "routed of read", !memcmp(routed[0], routed[1], (size_t)w->physical * 8));
        judge(w, "shared of read", !memcmp(shared[0], shared[1], (size_t)w->ranks * 8));
        judge(w, "cut of read", !memcmp(cut[0], cut[1], (size_t)w->ranks));
        judge(w, "numbers of read",
              answer[0].greatest == answer[1].greatest && answer[0].bound == answer[1].bound &&
                  answer[0].epoch == answer[1].epoch && answer[0].step == answer[1].step);
    }
    for (int s = 0; s < 2; s++) {
        free(routed[s]);
        free(shared[s]);
        free(cut[s]);
    }
}

static void add_counts(struct world *w)
{
    struct pair *counts = make(any_id(), chance(50) ? 1 : w->ranks, w->router.experts, chance(30));
    sluice_status status[2];
    fill_ids(counts, 0, 1 + below(1000));
    for (int s = 0; s < 2; s++) {
        const sluice_balance_api *balance = sides[s].api->extension(SLUICE_EXT_BALANCE);
        const sluice_balance_counts args = {.struct_size = sizeof args, .counts = &counts->t[s]};
        status[s] = balance->add_counts(sides[s].context, &args);
    }
    expect(w, "add_counts", status);
}

struct outputs {
    struct pair *dispatch, *weights, *recorder, *ids, *chosen, *shared, *zero;
};

/* routes: weights of the dispatch alone are no output of a remap under a waterfill. */
static struct outputs make_outputs(const struct world *w, bool gap, bool routes)
{
    struct outputs out = {NULL};
    int32_t top_k = w->router.top_k;
    sluice_dtype type = any_id();
    int32_t which = below(routes || !w->waterfill ? 12 : 10);
    if (which != 0 && which < 10)
        out.dispatch = make(type, w->rows, top_k + w->shared, gap);
    if (which != 1 && which < 10)
        out.recorder = make(any_id(), w->rows, top_k, gap);
    if (which != 2 && (out.dispatch || !w->waterfill))
        out.weights = make(F32, w->rows, top_k + w->shared, gap);
    if (chance(50) || (which > 9 && w->waterfill)) {
        out.ids = make(any_id(), w->rows, top_k, gap);
        out.chosen = make(F32, w->rows, top_k, gap);
    }
    if (w->router.shared_weight && chance(50))
        out.shared = make(F32, w->rows, w->router.shared, gap);
    if (w->router.zero_experts && chance(70))
        out.zero = make(F32, w->rows, 0, false);
    struct pair *all[] = {out.dispatch, out.weights, out.recorder, out.ids,
                          out.chosen,   out.shared,  out.zero};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i])
            push(all[i]);
    return out;
}

static void compare(struct world *w, const char *op, const struct outputs *out)
{
    struct pair *const all[] = {out->dispatch, out->weights, out->recorder, out->ids,
                                out->chosen,   out->shared,  out->zero};
    static const char *const NAMES[] = {"dispatch_ids", "dispatch_weights", "recorder_ids", "ids",
                                        "weights",      "shared_weights",   "zero_weight"};
    char what[64];
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        (void)snprintf(what, sizeof what, "%s of %s", NAMES[i], op);
        judge(w, what, !all[i] || same(all[i]));
    }
}

static void route(struct world *w)
{
    bool gap = chance(30);
    int32_t columns = w->router.experts + w->router.zero_experts;
    struct pair *logits = make(any_float(), w->rows, columns, gap), *gate = NULL, *valid = NULL;
    struct pair *num = NULL;
    fill_floats(logits, 2);
    if (w->router.shared_weight) {
        gate = make(F32, w->rows, w->router.shared, gap);
        fill_floats(gate, 1);
    }
    if (chance(30)) {
        valid = make(U8, w->rows, 0, false);
        fill_ids(valid, 0, 1);
    }
    if (chance(30)) {
        num = make(any_id(), 1, 0, false);
        fill_ids(num, 0, (int32_t)w->rows);
    }
    struct outputs out = make_outputs(w, gap, true);
    sluice_status status[2];
#define AT(pair_) ((pair_) ? &(pair_)->t[s] : NULL)
    for (int s = 0; s < 2; s++) {
        const sluice_route_api *api = sides[s].api->extension(SLUICE_EXT_ROUTE);
        const sluice_route_args args = {.struct_size = sizeof args,
                                        .logits = AT(logits),
                                        .shared_logits = AT(gate),
                                        .row_valid = AT(valid),
                                        .num_valid = AT(num),
                                        .dispatch_ids = AT(out.dispatch),
                                        .dispatch_weights = AT(out.weights),
                                        .recorder_ids = AT(out.recorder),
                                        .ids = AT(out.ids),
                                        .weights = AT(out.chosen),
                                        .shared_weights = AT(out.shared),
                                        .zero_weight_here = AT(out.zero)};
        status[s] = api->route(sides[s].context, &args);
    }
    expect(w, "route", status);
    compare(w, "route", &out);
}

/* The CPU is called twice, the device once in a graph that is launched twice. */
static void twice(struct world *w, const sluice_remap_args *args)
{
    const struct side *there = &sides[THERE];
    void *stream = NULL, *graph = NULL;
    sluice_status status[2];
    for (int i = 0; i < 2; i++)
        status[CPU] = sides[CPU].api->remap(sides[CPU].context, &args[CPU]);
    sluice_remap_args captured = args[THERE];
    if (there->memory->stream(there->device, &stream) ||
        there->memory->capture_begin(there->device, stream))
        stop("capture", "refused");
    captured.stream = stream;
    status[THERE] = there->api->remap(there->context, &captured);
    if (there->memory->capture_end(there->device, stream, &graph))
        stop("capture", "did not end");
    expect(w, "remap in a graph", status);
    for (int i = 0; i < 2; i++)
        if (there->memory->graph_launch(there->device, graph, stream))
            stop("graph", "not launched");
    (void)there->memory->wait(there->device, stream);
    there->memory->graph_free(there->device, graph);
    there->memory->stream_free(there->device, stream);
}

static void remap(struct world *w)
{
    bool gap = chance(30);
    struct pair *ids = make(any_id(), w->rows, w->router.top_k, gap), *shared = NULL, *valid = NULL;
    struct pair *weights = make(F32, w->rows, w->router.top_k, gap), *num = NULL;
    fill_ids(ids, chance(50) ? 0 : -2, chance(50) ? w->router.experts - 1 : w->router.experts / 2);
    fill_weights(weights);
    if (w->shared && w->router.shared_weight) {
        shared = make(F32, w->rows, w->shared, gap);
        fill_weights(shared);
    }
    if (chance(30)) {
        valid = make(U8, w->rows, 0, false);
        fill_ids(valid, 0, 1);
    }
    if (chance(30)) {
        num = make(any_id(), 1, 0, false);
        fill_ids(num, 0, (int32_t)w->rows);
    }
    struct outputs out = make_outputs(w, gap, false);
    sluice_status status[2];
    sluice_remap_args args[2];
    for (int s = 0; s < 2; s++)
        args[s] = (sluice_remap_args){.struct_size = sizeof args[s],
                                      .ids = AT(ids),
                                      .weights = AT(weights),
                                      .shared_weights = AT(shared),
                                      .row_valid = AT(valid),
                                      .num_valid = AT(num),
                                      .dispatch_ids = AT(out.dispatch),
                                      .dispatch_weights = AT(out.weights),
                                      .recorder_ids = AT(out.recorder)};
    if (chance(25)) {
        twice(w, args);
        w->replayed = true;
    } else {
        for (int s = 0; s < 2; s++)
            status[s] = sides[s].api->remap(sides[s].context, &args[s]);
        expect(w, "remap", status);
    }
    compare(w, "remap", &out);
}

static void run_world(struct world *w)
{
    for (int32_t i = 3 + below(5); i > 0 && !w->failed; i--) {
        if (w->balanced && w->balance.mode == SLUICE_BALANCE_STALE && chance(60))
            add_counts(w);
        if (chance(15))
            set_map(w);
        if (chance(50))
            route(w);
        else
            remap(w);
        if (chance(50))
            same_quotas(w);
        release();
    }
    same_counters(w);
}

int main(int argc, char **argv)
{
    if (argc < 4)
        stop("balance_differs", "CPU.so DEVICE.so CASES [SEED]");
    load(&sides[CPU], argv[1]);
    load(&sides[THERE], argv[2]);
    int32_t cases = atoi(argv[3]), passed = 0, failed = 0;
    state = argc > 4 ? strtoull(argv[4], NULL, 10) : 1;
    static struct world w;
    while (passed + failed < cases && failed < 10) {
        memset(&w, 0, sizeof w);
        draw(&w);
        open_both(&w);
        run_world(&w);
        for (int s = 0; s < 2; s++)
            sides[s].api->close(sides[s].context);
        passed += !w.failed;
        failed += w.failed;
    }
    printf("%d passed, %d failed\n", passed, failed);
    return failed != 0;
}
