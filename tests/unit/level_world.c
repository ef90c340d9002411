#include "level_world.h"

#include "ct.h"
#include "ct_json.h"

#include <stdio.h>
#include <string.h>

const int64_t *r1_counts(int file)
{
    static int64_t counts[R1_FILES][R1_LAYERS * R1_EXPERTS];
    static bool there[R1_FILES];
    static const char *const names[] = {"decode_in2000out100", "decode_in500out1500",
                                        "prefill_in4096", "prefill_in512"};
    char path[128];
    if (there[file])
        return counts[file];
    (void)snprintf(path, sizeof path, "data/deepseek-r1-expert-counts/%s.json", names[file]);
    ct_json *root = ct_shared(path) ? ct_json_load(ct_shared(path)) : NULL;
    const ct_json *rows = ct_json_get(root, "logical_count");
    size_t dense = ct_json_len(rows) - R1_LAYERS;
    if (!root || !ct_expect_true(ct_json_len(rows) >= R1_LAYERS))
        return NULL;
    for (size_t l = 0; l < R1_LAYERS; l++)
        for (size_t e = 0; e < R1_EXPERTS; e++)
            counts[file][l * R1_EXPERTS + e] =
                (int64_t)ct_json_num(ct_json_at(ct_json_at(rows, dense + l), e), 0);
    ct_json_free(root);
    there[file] = true;
    return counts[file];
}

struct r1_maps r1_eplb(int file, int32_t ranks, int32_t redundant)
{
    struct r1_maps maps = {ranks, (R1_EXPERTS + redundant) / ranks, 1, NULL};
    const struct sl_eplb problem = {R1_EXPERTS, ranks, maps.slots, 1, 1, SL_EPLB_F32};
    ptrdiff_t physical = (ptrdiff_t)maps.slots * ranks;
    void *scratch = ct_alloc(sl_eplb_bytes(&problem));
    maps.map = ct_alloc((size_t)physical * R1_LAYERS * sizeof *maps.map);
    for (int32_t l = 0; l < R1_LAYERS; l++)
        sl_eplb_solve(&problem, r1_counts(file) + (ptrdiff_t)l * R1_EXPERTS,
                      maps.map + l * physical, scratch);
    return maps;
}

void level_open(struct sl_level *level, const struct sl_level_problem *problem, const int32_t *map)
{
    sl_level_open(level, problem, map, ct_alloc(sl_level_bytes(problem)));
}

void level_fresh(struct sl_level *level)
{
    const struct sl_eplb eplb = {.experts = level->problem.experts,
                                 .ranks = level->problem.ranks,
                                 .slots = level->problem.slots,
                                 .groups = 1,
                                 .nodes = 1};
    sl_level_fresh(level, ct_alloc(sl_eplb_bytes(&eplb)));
}

static int64_t sum_of(const int64_t *load, int32_t experts)
{
    int64_t sum = 0;
    for (int32_t e = 0; e < experts; e++)
        sum += load[e];
    return sum;
}

/* Does no rank hold an expert twice that it did not before, and is every expert there? */
static bool whole(const struct sl_level *level, const int32_t *before)
{
    int32_t slots = level->problem.slots;
    bool ok = true;
    for (int32_t e = 0; e < level->problem.experts; e++)
        ok = ok && level->copies[e] > 0;
    for (int32_t p = 0; p < level->physical; p++)
        for (int32_t q = p / slots * slots; q < p; q++)
            ok = ok && (level->map[p] < 0 || level->map[p] != level->map[q] ||
                        (before && level->map[p] == before[p] && level->map[q] == before[q]));
    return ok;
}

static struct r1_balance plan(struct r1_maps *maps, const int *files, int32_t count, double target,
                              bool fresh)
{
    struct r1_balance sum = {0};
    int32_t physical = maps->slots * maps->ranks, layers = 0;
    struct sl_level_problem problem = {.experts = R1_EXPERTS,
                                       .ranks = maps->ranks,
                                       .slots = maps->slots,
                                       .windows = count,
                                       .target = target};
    int64_t load[R1_FILES * R1_EXPERTS], tokens[R1_FILES];
    problem.load = load;
    problem.spread = tokens;
    void *scratch = ct_alloc(sl_level_bytes(&problem));
    void *match = ct_alloc(sl_level_match_bytes(maps->ranks, maps->slots));
    for (int32_t l = 0; l < R1_LAYERS; l += maps->every, layers++) {
        int32_t *map = maps->map + (ptrdiff_t)l * physical, differ = 0;
        struct sl_level level;
        for (int32_t w = 0; w < count; w++) {
            const int64_t *from = r1_counts(files[w]) + (ptrdiff_t)l * R1_EXPERTS;
            memcpy(load + (ptrdiff_t)w * R1_EXPERTS, from, R1_EXPERTS * sizeof *load);
            tokens[w] = sum_of(from, R1_EXPERTS) / R1_TOP_K;
        }
        sl_level_open(&level, &problem, map, scratch);
        double before = level.bound[0], after;
        if (fresh) {
            level_fresh(&level);
            after = sl_level_bound(&level);
            sl_level_match(maps->ranks, maps->slots, map, level.map, match);
        } else {
            sl_level_repair(&level);
            after = level.bound[level.groups];
        }
        ct_note("file %d, W %d, layer %d", files[0], maps->ranks, l);
        for (int32_t p = 0; p < physical; p++)
            differ += level.map[p] != map[p];
        ct_expect_true(whole(&level, fresh ? NULL : map));
        ct_expect_true(fresh || differ == level.written);
        memcpy(map, level.map, (size_t)physical * sizeof *map);
        sum.before += before;
        sum.after += after;
        sum.slots += differ;
        sum.before_worst = before > sum.before_worst ? before : sum.before_worst;
        sum.after_worst = after > sum.after_worst ? after : sum.after_worst;
        sum.most = differ > sum.most ? differ : sum.most;
    }
    sum.before /= layers;
    sum.after /= layers;
    sum.slots /= layers;
    return sum;
}

struct r1_balance r1_repair(struct r1_maps *maps, int file, double target)
{
    return plan(maps, &file, 1, target, false);
}

struct r1_balance r1_repair_for(struct r1_maps *maps, const int *files, int32_t count,
                                double target)
{
    return plan(maps, files, count, target, false);
}

struct r1_balance r1_fresh(struct r1_maps *maps, int file, double target)
{
    return plan(maps, &file, 1, target, true);
}

double even_split(int32_t ranks, int32_t slots, int32_t experts, const int64_t *load,
                  const int32_t *map)
{
    int32_t *copies = ct_alloc((size_t)experts * sizeof *copies);
    double most = 0;
    for (int32_t p = 0; p < slots * ranks; p++)
        if (map[p] >= 0)
            copies[map[p]]++;
    for (int32_t r = 0; r < ranks; r++) {
        double sum = 0;
        for (int32_t p = r * slots; p < (r + 1) * slots; p++)
            sum += map[p] < 0 ? 0 : (double)load[map[p]] / copies[map[p]];
        most = sum > most ? sum : most;
    }
    return most;
}
