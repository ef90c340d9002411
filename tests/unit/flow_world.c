#include "flow_world.h"

#include "ct.h"
#include "ct_json.h"
#include "place_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct flow_world *flow_make(int32_t experts, int32_t ranks, int32_t copies)
{
    struct flow_world *world = ct_alloc(sizeof *world);
    world->start = ct_alloc(((size_t)experts + 1) * sizeof *world->start);
    world->holder = ct_alloc((size_t)copies * sizeof *world->holder);
    world->load = ct_alloc((size_t)experts * sizeof *world->load);
    world->alive = ct_alloc((size_t)ranks);
    world->base = ct_alloc((size_t)ranks * sizeof *world->base);
    world->share = ct_alloc((size_t)copies * sizeof *world->share);
    world->spread = ct_alloc((size_t)ranks * sizeof *world->spread);
    world->cut = ct_alloc((size_t)ranks);
    memset(world->alive, 1, (size_t)ranks);
    world->problem = (struct sl_flow_problem){.experts = experts,
                                              .ranks = ranks,
                                              .start = world->start,
                                              .holder = world->holder,
                                              .load = world->load,
                                              .alive = world->alive,
                                              .base = world->base};
    return world;
}

void flow_from_map(struct flow_world *world, const int32_t *map, int32_t slots)
{
    int32_t copies = 0;
    for (int32_t e = 0; e < world->problem.experts; e++) {
        world->start[e] = copies;
        for (int32_t p = 0; p < world->problem.ranks * slots; p++)
            if (map[p] == e && world->alive[p / slots])
                world->holder[copies++] = p / slots;
        if (copies == world->start[e])
            world->load[e] = 0;
    }
    world->start[world->problem.experts] = copies;
}

struct flow_world *flow_draw(uint64_t *random, int32_t ranks, int32_t experts, int32_t copies)
{
    ranks = 1 + draw_below(random, ranks);
    experts = 1 + draw_below(random, experts);
    int32_t slots = (experts + draw_below(random, copies + 1) + ranks - 1) / ranks;
    int32_t size = ranks * slots, kind = draw_below(random, 4);
    struct flow_world *world = flow_make(experts, ranks, size);
    int32_t *map = ct_alloc((size_t)size * sizeof *map);
    for (int32_t p = 0; p < size; p++) {
        int32_t among = kind == 0 ? 1 + experts / 4 : experts;
        map[p] = p < experts ? p : draw_below(random, 5) ? draw_below(random, among) : -1;
    }
    for (int32_t p = size - 1; p > 0; p--) {
        int32_t q = draw_below(random, p + 1), held = map[p];
        map[p] = map[q];
        map[q] = held;
    }
    for (int32_t r = 1; r < ranks && kind == 1; r++)
        world->alive[r] = draw_below(random, 3) > 0;
    for (int32_t e = 0; e < experts; e++) {
        int32_t bits = draw_below(random, kind == 2 ? 40 : 7);
        world->load[e] = (int64_t)(draw_bits(random) & ((1ULL << bits) - 1));
    }
    world->problem.spread = draw_below(random, 2) ? draw_below(random, 20 * ranks) : 0;
    for (int32_t r = 0; r < ranks && draw_below(random, 2); r++)
        world->base[r] = world->alive[r] ? draw_below(random, 30) : 0;
    flow_from_map(world, map, slots);
    return world;
}

struct sl_flow_answer flow_solve(struct flow_world *world)
{
    const struct sl_flow_problem *problem = &world->problem;
    struct sl_flow_answer answer = {
        .share = world->share, .spread = world->spread, .cut = world->cut};
    size_t bytes =
        sl_flow_bytes(problem->experts, problem->ranks, problem->start[problem->experts]);
    void *scratch = malloc(bytes);
    if (scratch)
        sl_flow_solve(problem, &answer, scratch);
    free(scratch);
    return answer;
}

static void check_served(const struct flow_world *world, int64_t *load)
{
    const struct sl_flow_problem *problem = &world->problem;
    memcpy(load, world->base, (size_t)problem->ranks * sizeof *load);
    for (int32_t e = 0; e < problem->experts; e++) {
        int64_t served = 0;
        for (int32_t c = world->start[e]; c < world->start[e + 1]; c++) {
            ct_true(world->share[c] >= 0);
            served += world->share[c];
            load[world->holder[c]] += world->share[c];
        }
        ct_eq_i64(served, world->load[e]);
    }
    int64_t served = 0;
    for (int32_t r = 0; r < problem->ranks; r++) {
        ct_true(world->spread[r] == 0 || (world->spread[r] > 0 && world->alive[r]));
        served += world->spread[r];
        load[r] += world->spread[r];
    }
    ct_eq_i64(served, problem->spread);
}

void flow_check(const struct flow_world *world, const struct sl_flow_answer *answer)
{
    const struct sl_flow_problem *problem = &world->problem;
    int64_t *load = ct_alloc((size_t)problem->ranks * sizeof *load), greatest = 0;
    check_served(world, load);
    bool whole = true;
    int32_t size = 0;
    int64_t only = 0;
    for (int32_t r = 0; r < problem->ranks; r++) {
        greatest = load[r] > greatest ? load[r] : greatest;
        ct_true(!world->cut[r] || world->alive[r]);
        size += world->cut[r];
        only += world->cut[r] ? world->base[r] : 0;
        whole = whole && (world->cut[r] || !world->alive[r]);
    }
    only += whole ? problem->spread : 0;
    for (int32_t e = 0; e < problem->experts; e++) {
        bool inside = true;
        for (int32_t c = world->start[e]; c < world->start[e + 1]; c++)
            inside = inside && world->cut[world->holder[c]];
        only += inside ? world->load[e] : 0;
    }
    ct_eq_i64(answer->greatest, greatest);
    ct_eq_i64(answer->cut_size, size);
    ct_true(size > 0);
    ct_eq_i64(answer->only, only);
    ct_eq_i64(answer->greatest, (only + size - 1) / size);
}

void flow_plan(const int64_t *load, int32_t experts, int32_t ranks, int32_t slots, int32_t *map)
{
    int32_t size = ranks * slots, *copies = ct_alloc((size_t)experts * sizeof *copies);
    int32_t *used = ct_alloc((size_t)ranks * sizeof *used);
    double *full = ct_alloc((size_t)ranks * sizeof *full);
    for (int32_t p = 0; p < size; p++) {
        int32_t best = 0;
        for (int32_t e = 0; e < experts && p >= experts; e++)
            if ((double)load[e] / copies[e] > (double)load[best] / copies[best])
                best = e;
        copies[p < experts ? p : best]++;
    }
    int32_t *left = ct_alloc((size_t)experts * sizeof *left);
    memcpy(left, copies, (size_t)experts * sizeof *left);
    for (int32_t p = 0; p < size; p++) {
        int32_t expert = -1, rank = -1;
        for (int32_t e = 0; e < experts; e++)
            if (left[e] &&
                (expert < 0 || (double)load[e] / copies[e] > (double)load[expert] / copies[expert]))
                expert = e;
        for (int32_t r = 0; r < ranks; r++)
            if (used[r] < slots && (rank < 0 || full[r] < full[rank]))
                rank = r;
        left[expert]--;
        full[rank] += (double)load[expert] / copies[expert];
        map[rank * slots + used[rank]++] = expert;
    }
}

int64_t *flow_real_counts(const char *workload, int32_t *layers)
{
    char name[200];
    snprintf(name, sizeof name, "data/deepseek-r1-expert-counts/%s.json", workload);
    const char *path = ct_shared(name);
    ct_json *file = path ? ct_json_load(path) : NULL;
    const ct_json *rows = ct_json_get(file, "logical_count");
    int32_t dense = 3, experts = 256;
    *layers = (int32_t)ct_json_len(rows) - dense;
    if (!rows || !ct_expect_true(*layers == 58))
        return NULL;
    int64_t *counts = ct_alloc((size_t)(*layers * experts) * sizeof *counts);
    for (int32_t i = 0; i < *layers * experts; i++)
        counts[i] = ct_json_int(
            ct_json_at(ct_json_at(rows, (size_t)(dense + i / experts)), (size_t)(i % experts)), -1);
    ct_json_free(file);
    return counts;
}
