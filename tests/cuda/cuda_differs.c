/* SPDX-License-Identifier: Apache-2.0
 * Two plugins, one on a device: are their outputs and counters equal to the bit? Random routers
 * over every field of the descriptor, random placements, logits with ties, NaN and infinities.
 *     cuda_differs CPU.so DEVICE.so ROWS [SEED] */
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../abi/ext/load.h"
#include "../../abi/ext/placement.h"
#include "../../abi/ext/route.h"
#include "../../abi/ext/stats.h"
#include "differ_kit.h"

/* ----------------------------------------------------------------------------- what is drawn */

/* Few columns, as Mixtral has them and other small routers. */
static void make_few(sluice_router *r)
{
    r->experts = chance(60) ? 8 : 16;
    r->zero_experts = 0;
    r->top_k = 1 + below(r->experts / 4);
    r->score = chance(70) ? SLUICE_SCORE_SOFTMAX : SLUICE_SCORE_SIGMOID;
    r->bias_use = SLUICE_BIAS_NONE;
    r->bias_rows = 0;
    r->groups = r->keep_groups = r->group_mode = r->group_value = 0;
    r->shared_weight = 0;
    if (chance(50)) {
        r->experts = 8;
        r->top_k = 2;
        r->score = SLUICE_SCORE_SOFTMAX;
        r->renorm = 1;
        r->renorm_eps = r->renorm_floor = 0;
        r->logit_scale = r->logit_cap = 0;
        r->shared = chance(70) ? 0 : r->shared;
    }
}

static sluice_router draw_router(void)
{
    static const int32_t SIZES[] = {8, 16, 60, 64, 128, 160, 256, 256, 384, 512};
    sluice_router r = {.struct_size = sizeof r};
    r.experts = chance(70) ? SIZES[below(10)] : 1 + below(300);
    r.zero_experts = chance(15) ? 1 + below(64) : 0;
    r.zero_kind = below(2);
    int32_t columns = r.experts + r.zero_experts;
    r.top_k = chance(50) ? (columns < 8 ? columns : 8) : 1 + below(columns < 64 ? columns : 64);
    r.logit_scale = chance(20) ? 0.1768F : 0;
    r.logit_cap = chance(20) ? 30 : 0;
    r.score = below(3);
    r.bias_use = below(4);
    r.bias_rows = r.bias_use && chance(20) ? 3 : 0;
    if (r.zero_experts == 0 && r.experts % 8 == 0 && chance(60)) {
        r.groups = chance(50) ? 8 : chance(50) ? 4 : 2;
        r.group_mode = r.top_k % r.groups == 0 && r.top_k <= r.experts && chance(20);
        r.keep_groups = 1 + below(r.groups);
        r.group_value = r.experts / r.groups > 1 ? below(2) : 0;
        if (r.group_mode || r.keep_groups * (r.experts / r.groups) < r.top_k)
            r.keep_groups = r.groups;
    }
    r.renorm = chance(60);
    r.renorm_eps = r.renorm && chance(50) ? 1e-20F : 0;
    r.renorm_floor = r.renorm && chance(20) ? 1e-12F : 0;
    r.scale = chance(50) ? 2.5F : 0;
    r.scale_by = below(2);
    r.shared = chance(60) ? 1 + below(4) : 0;
    r.shared_weight = r.shared ? below(3) : 0;
    r.shared_scale = chance(20) ? 0.5F : 0;
    if (chance(30)) { /* DeepSeek-V3's family */
        r.experts = 256;
        r.zero_experts = 0;
        r.score = 1 + below(2);
        r.shared_weight = r.shared ? below(2) : 0;
        r.groups = 1 << below(6);
        r.group_mode = SLUICE_GROUPS_LIMIT;
        r.top_k = chance(80) ? 8 : r.top_k;
        r.keep_groups = (r.groups + 1) / 2;
        if (r.keep_groups * (256 / r.groups) < r.top_k)
            r.keep_groups = r.groups;
    }
    if (chance(20))
        make_few(&r);
    return r;
}

/* Rules that kernels of their own are for (cuda/kernels/gate_*.cuh), and their neighbours. */
static sluice_router draw_gate(void)
{
    sluice_router r = {.struct_size = sizeof r, .top_k = chance(60) ? 8 : 1 + below(8)};
    int32_t family = below(3);
    r.renorm = family == 0 || chance(80);
    r.scale = chance(50) ? 2.5F : 0;
    r.scale_by = below(2);
    r.shared = chance(40) ? 1 + below(8) : 0;
    if (family == 2) {
        r.experts = 256;
        r.groups = 8;
        r.keep_groups = 1 + below(5);
        r.group_value = chance(90) ? SLUICE_GROUP_TOP2 : SLUICE_GROUP_MAX;
    } else {
        r.experts = chance(30) ? 128 : chance(30) ? 256 : 4 * (2 + below(64));
    }
    r.score = family ? SLUICE_SCORE_SIGMOID : SLUICE_SCORE_SOFTMAX;
    r.bias_use = family ? SLUICE_BIAS_SCORE : chance(50) ? SLUICE_BIAS_LOGIT : SLUICE_BIAS_NONE;
    r.renorm_eps = family && r.renorm && chance(50) ? 1e-20F : 0;
    r.renorm_floor = family && r.renorm && chance(20) ? 1e-12F : 0;
    return r;
}

/* ---------------------------------------------------------------------------------- one world */

struct world {
    sluice_router router;
    sluice_config config;
    int64_t rows;
    int32_t columns, shared, physical;
    bool gate; /* a rule of draw_gate: what keeps it from its kernel is seldom */
    int failed;
};

static void open_both(struct world *w)
{
    sluice_layer layer = {.struct_size = sizeof layer, .router = &w->router};
    const sluice_layer *layers[] = {&layer};
    int32_t here = 1 + below(8), ranks = here + (chance(30) ? 1 + below(2) : 0);
    sluice_comm comm = {.struct_size = sizeof comm, .rank = below(here), .size = here};
    layer.slots_per_rank = (w->router.experts + ranks - 1) / ranks + below(5);
    w->config =
        (sluice_config){.struct_size = sizeof w->config,
                        .comm = &comm,
                        .layers = layers,
                        .layer_count = 1,
                        .max_ranks = ranks,
                        .copy_policy = w->gate && chance(80) ? 0 : below(2),
                        .shared_policy = chance(15) ? SLUICE_SHARED_NOT_FUSED : 0,
                        .flags = chance(w->gate ? 5 : 20) ? SLUICE_OPEN_EVERY_RANK_EVERY_ROW : 0,
                        .seed = next()};
    w->shared = w->config.shared_policy ? 0 : w->router.shared;
    w->physical = layer.slots_per_rank * ranks;
    char text[512];
    int32_t *map = malloc((size_t)w->physical * sizeof *map);
    for (int32_t p = 0; p < w->physical; p++)
        map[p] = p < w->router.experts ? p : below(w->router.experts + 1) - 1;
    for (int32_t p = w->physical - 1; p > 0; p--) {
        int32_t q = below(p + 1), kept = map[p];
        map[p] = map[q];
        map[q] = kept;
    }
    for (int s = 0; s < 2; s++) {
        w->config.device = sides[s].device;
        if (sides[s].api->open(&w->config, &sides[s].context, text, sizeof text))
            stop("open", text);
        const sluice_placement_api *place = sides[s].api->extension(SLUICE_EXT_PLACEMENT);
        if (place->set(sides[s].context, 0, map, w->physical, 0, NULL))
            stop("placement.set", "refused");
    }
    free(map);
}

static void judge(struct world *w, const char *what, bool equal)
{
    if (equal)
        return;
    const sluice_router *r = &w->router;
    printf("not ok: %s differs: E %d Z %d K %d score %d bias %d x%d groups %d/%d value %d mode %d "
           "renorm %d shared %d/%d scale %g cap %g policy %d/%d flags %d rows %lld\n",
           what, r->experts, r->zero_experts, r->top_k, r->score, r->bias_use, r->bias_rows,
           r->groups, r->keep_groups, r->group_value, r->group_mode, r->renorm, r->shared,
           r->shared_weight, (double)r->logit_scale, (double)r->logit_cap, w->config.copy_policy,
           w->config.shared_policy, w->config.flags, (long long)w->rows);
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
    }
    judge(w, "counters", memcmp(counts[0], counts[1], (size_t)w->physical * 8) == 0);
    judge(w, "stats", memcmp(&stats[0], &stats[1], sizeof stats[0]) == 0);
    free(counts[0]);
    free(counts[1]);
}

static void run_world(struct world *w)
{
    const sluice_router *r = &w->router;
    struct pair *in[9] = {NULL}, *out[7] = {NULL};
    bool plain = w->columns <= 16 && chance(50); /* nothing out of the ordinary is given */
    bool gap = !plain && chance(w->gate ? 5 : 30);
    int32_t top_k = r->top_k;
    in[0] = make(plain && chance(70) ? F32 : any_float(), w->rows, w->columns, gap);
    fill_floats(in[0], chance(20) ? 30 : 2);
    if (r->bias_use) {
        in[1] = make(F32, r->bias_rows ? r->bias_rows : 1, w->columns, false);
        fill_floats(in[1], 0.2F);
        if (r->bias_rows) {
            in[2] = make(any_id(), w->rows, 0, false);
            fill_ids(in[2], chance(20) ? -1 : 0, 2);
        }
    }
    if (!plain && chance(w->gate ? 3 : 20)) {
        in[3] = make(F32, w->columns, 0, false);
        fill_weights(in[3]);
    }
    if (r->shared_weight) {
        in[4] = make(any_float(), w->rows,
                     r->shared_weight == SLUICE_SHARED_SIGMOID && chance(50) ? 1 : r->shared, gap);
        fill_floats(in[4], 1);
    }
    if (!plain && chance(w->gate ? 3 : 15)) {
        in[5] = make(any_id(), chance(50) ? w->rows : 7, top_k, gap);
        fill_ids(in[5], -1, w->columns);
        if (in[5]->shape[0] != w->rows || chance(50)) {
            in[6] = make(any_id(), w->rows, 0, false);
            fill_ids(in[6], -1, (int32_t)in[5]->shape[0]);
        }
    }
    if (!plain && chance(30)) {
        in[7] = make(U8, w->rows, 0, false);
        fill_ids(in[7], 0, 1);
    }
    if (!plain && chance(30)) {
        in[8] = make(any_id(), 1, 0, false);
        fill_ids(in[8], 0, (int32_t)w->rows);
    }
    sluice_dtype ids = plain ? I32 : any_id();
    out[0] = make(ids, w->rows, top_k + w->shared, gap);
    out[1] = make(F32, w->rows, top_k + w->shared, gap);
    out[2] = make(ids, w->rows, top_k, gap);
    out[3] = make(ids, w->rows, top_k, gap);
    out[4] = make(F32, w->rows, top_k, gap);
    if (r->shared_weight)
        out[5] = make(F32, w->rows, r->shared, gap);
    if (r->zero_experts)
        out[6] = make(F32, w->rows, 0, false);
    for (int i = 0; i < 7; i++)
        if (out[i])
            push(out[i]);
    sluice_status status[2];
#define IN(i_) (in[i_] ? &in[i_]->t[s] : NULL)
#define OUT(i_) (out[i_] ? &out[i_]->t[s] : NULL)
#define SOME(i_) (left_out[i_] ? NULL : OUT(i_))
    bool left_out[7] = {false};
    for (int call = 0; call < 3; call++) {
        if (call == 2) /* without some of the outputs, and counts */
            for (int i = 0; i < 7; i++)
                if (i != 3 && chance(40) && i != 4)
                    left_out[i] = true;
        left_out[3] = left_out[4] = call == 2 && chance(40) && !(left_out[0] && left_out[2]);
        for (int s = 0; s < 2; s++) {
            const sluice_route_api *route = sides[s].api->extension(SLUICE_EXT_ROUTE);
            const sluice_route_args args = {sizeof args, 0,       call == 2 && w->rows % 2,
                                            NULL,        IN(0),   IN(1),
                                            IN(2),       IN(3),   IN(4),
                                            IN(5),       IN(6),   IN(7),
                                            IN(8),       NULL,    NULL,
                                            SOME(0),     SOME(1), SOME(2),
                                            SOME(3),     SOME(4), SOME(5),
                                            SOME(6)};
            status[s] = route->route(sides[s].context, &args);
        }
        expect(w, "route", status);
        static const char *const NAMES[] = {"dispatch_ids", "dispatch_weights", "recorder_ids",
                                            "ids",          "weights",          "shared_weights",
                                            "zero_weight"};
        for (int i = 0; i < 7; i++)
            judge(w, NAMES[i], !out[i] || same(out[i]));
    }
    for (int s = 0; s < 2; s++) {
        const sluice_topk_args args = {sizeof args, 0,      0,      NULL,   IN(0), IN(1),
                                       IN(2),       IN(3),  IN(4),  IN(5),  IN(6), IN(7),
                                       IN(8),       OUT(3), OUT(4), OUT(5), OUT(6)};
        status[s] = sides[s].api->topk(sides[s].context, &args);
    }
    expect(w, "topk", status);
    judge(w, "ids of topk", same(out[3]));
    judge(w, "weights of topk", same(out[4]));
    judge(w, "zero_weight of topk", !out[6] || same(out[6]));
    fill_ids(out[3], -2, r->experts);
    for (int s = 0; s < 2; s++) {
        const sluice_tensor *shared = w->shared ? OUT(5) : NULL;
        const sluice_remap_args remap = {sizeof remap, 0,      0,      NULL,  OUT(3), OUT(4),
                                         shared,       NULL,   IN(7),  IN(8), NULL,   NULL,
                                         OUT(0),       OUT(1), OUT(2), NULL};
        const sluice_record_args record = {sizeof record, 0, 0, NULL, OUT(2), IN(8)};
        status[s] = sides[s].api->remap(sides[s].context, &remap);
        if (!status[s])
            status[s] = sides[s].api->record(sides[s].context, &record);
    }
    expect(w, "remap and record", status);
    judge(w, "dispatch_ids of remap", same(out[0]));
    judge(w, "dispatch_weights of remap", same(out[1]));
    judge(w, "recorder_ids of remap", same(out[2]));
    same_counters(w);
}

int main(int argc, char **argv)
{
    if (argc < 4)
        stop("cuda_differs", "CPU.so DEVICE.so ROWS [SEED]");
    load(&sides[CPU], argv[1]);
    load(&sides[THERE], argv[2]);
    int64_t rows = atoll(argv[3]), done = 0;
    state = argc > 4 ? strtoull(argv[4], NULL, 10) : 1;
    int passed = 0, failed = 0;
    while (done < rows) {
        struct world w = {.rows = below(60), .gate = chance(40)};
        w.router = w.gate ? draw_gate() : draw_router();
        w.columns = w.router.experts + w.router.zero_experts;
        w.rows = w.columns <= 16 && chance(20) ? below(300) : w.rows;
        open_both(&w);
        run_world(&w);
        for (int s = 0; s < 2; s++)
            sides[s].api->close(sides[s].context);
        release();
        done += w.rows;
        passed += !w.failed;
        failed += w.failed;
        if (failed > 20)
            break;
    }
    printf("%lld rows\n%d passed, %d failed\n", (long long)done, passed, failed);
    return failed != 0;
}
