/* SPDX-License-Identifier: Apache-2.0
 * One layer of a plan: what the core works out for the living ranks, in slots of all ranks. */
#include <string.h>

#include "../core/eplb_map.h"
#include "../core/mutant.h"
#include "../core/rule.h"
#include "bk_plan.h"

/* One layer's numbers as the core takes them, in a thread's scratch. */
struct scene {
    int32_t experts, slots, physical; /* physical: of the living ranks */
    int64_t *load;                    /* [windows * E] */
    int64_t *spread;                  /* [windows] */
    int32_t *present, *wanted;        /* [physical] */
    char *rest;                       /* for the core */
    double time_ps;                   /* COST: of all windows, over all ranks */
    bool has_map, has_tokens;
};

static size_t round_up(size_t bytes)
{
    return (bytes + 63) / 64 * 64;
}

static void *take(char *memory, size_t *at, size_t bytes)
{
    /* Without memory only the sizes count. */
    char *here = (char *)((uintptr_t)memory + *at);
    *at += round_up(bytes);
    return here;
}

static size_t lay_out(const struct sl_plan_job *job, struct scene *scene, char *memory)
{
    size_t at = 0, windows = (size_t)job->windows;
    size_t physical = (size_t)scene->slots * (size_t)job->living_count;
    scene->physical = (int32_t)physical;
    scene->load = take(memory, &at, windows * (size_t)scene->experts * sizeof(int64_t));
    scene->spread = take(memory, &at, windows * sizeof(int64_t));
    scene->present = take(memory, &at, physical * sizeof(int32_t));
    scene->wanted = take(memory, &at, physical * sizeof(int32_t));
    scene->rest = take(memory, &at, 0);
    return at;
}

static struct sl_eplb eplb_of(const struct sl_plan_job *job, const struct scene *scene,
                              int32_t groups)
{
    const sluice_plan_request *request = job->request;
    bool nodes = request->policy == SLUICE_PLAN_EPLB && request->eplb != SLUICE_PLAN_GLOBAL &&
                 job->nodes > 0 && groups % job->nodes == 0;
    return (struct sl_eplb){.experts = scene->experts,
                            .ranks = job->living_count,
                            .slots = scene->slots,
                            .groups = nodes ? groups : 1,
                            .nodes = nodes ? job->nodes : 1,
                            .arithmetic = request->arithmetic};
}

static struct sl_level_problem level_of(const struct sl_plan_job *job, const struct scene *scene)
{
    return (struct sl_level_problem){.experts = scene->experts,
                                     .ranks = job->living_count,
                                     .slots = scene->slots,
                                     .windows = job->windows,
                                     .load = scene->load,
                                     .spread = scene->spread,
                                     .target = job->request->target};
}

size_t sl_plan_scratch(const struct sl_plan_job *job, int32_t experts, int32_t slots)
{
    struct scene scene = {.experts = experts, .slots = slots};
    size_t fixed = lay_out(job, &scene, NULL);
    struct sl_level_problem level = level_of(job, &scene);
    struct sl_eplb eplb = eplb_of(job, &scene, SL_MAX_GROUPS);
    struct sl_moves_world world = job->world;
    world.experts = experts;
    world.slots = slots;
    eplb.groups = SL_MAX_GROUPS;
    size_t moves = round_up(sl_moves_bytes(&world)) +
                   round_up((size_t)slots * (size_t)world.ranks * sizeof(struct sl_moves_write));
    size_t level_bytes =
        round_up(sl_level_bytes(&level)) + round_up(sl_level_match_bytes(job->living_count, slots));
    return fixed + level_bytes + round_up(sl_eplb_bytes(&eplb)) + moves;
}

static struct scene open_scene(const struct sl_plan_job *job, int32_t layer, int32_t slots,
                               char *scratch)
{
    const sluice_plan_layer *given = job->request->layers[layer];
    struct scene scene = {.experts = given->experts, .slots = slots};
    (void)lay_out(job, &scene, scratch);
    scene.time_ps = sl_plan_loads(job, layer, scene.load, scene.spread);
    for (int64_t i = 0; i < (int64_t)job->windows * scene.experts; i++)
        scene.has_tokens = scene.has_tokens || scene.load[i] > 0;
    return scene;
}

/* Number over all ranks of a slot of the living. */
static int32_t slot_of(const struct sl_plan_job *job, int32_t slots, int32_t p)
{
    return job->living[p / slots] * slots + p % slots;
}

static int32_t stop_of(void *user)
{
    struct sl_plan_job *job = user;
    /* Once it has said so, it is not asked again. */
    if (!job->stopped)
        job->stopped = job->request->stop(job->request->user) != 0;
    return job->stopped;
}

static int32_t limit_of(int64_t budget)
{
    return budget > INT32_MAX ? 0 : (int32_t)budget;
}

static int64_t part_of_work(const struct sl_plan_job *job, int32_t layer)
{
    int64_t work = job->request->work, layers = job->request->layer_count;
    int64_t part = work / layers + (layer < work % layers);
    return work && part == 0 ? 1 : part;
}

/* How many experts have no living copy in the present map. */
static int32_t count_lost(const struct sl_moves *moves)
{
    int32_t lost = 0;
    for (int32_t e = 0; e < moves->world->experts; e++)
        lost += moves->copies[e] == 0;
    return lost;
}

/* Writes of one group, as they are to be done. */
struct writer {
    struct sl_plan_work *work;
    struct sl_moves moves;
    struct sl_moves_write *pending;
    int32_t pending_count;
    int32_t missing;
};

static void end_group(struct writer *writer)
{
    struct sl_plan_work *work = writer->work;
    struct sl_moves_write *out = work->write + work->count;
    int32_t done = sl_moves_order(&writer->moves, writer->pending, writer->pending_count, out);
    int64_t bytes = work->given->expert_bytes;
    for (int32_t i = 0; i < done; i++)
        out[i].group = work->groups;
    work->cost[work->groups] = (double)done * (double)(bytes ? bytes : 1);
    work->count += done;
    work->groups++;
    writer->pending_count = 0;
    int32_t missing = count_lost(&writer->moves);
    if (missing < writer->missing)
        work->must = work->groups;
    writer->missing = missing;
}

static void add_write(struct writer *writer, int32_t to, int32_t expert)
{
    writer->pending[writer->pending_count++] = (struct sl_moves_write){.to = to, .expert = expert};
}

static struct sl_level_problem problem_of(struct sl_plan_job *job, int32_t layer,
                                          const struct scene *scene)
{
    struct sl_level_problem problem = level_of(job, scene);
    problem.work = part_of_work(job, layer);
    if (job->request->stop) {
        problem.stop = stop_of;
        problem.user = job;
    }
    return problem;
}

/* Into scene->wanted, from nothing, as near to what is present as its ranks can be named. */
static void new_map(const struct sl_plan_job *job, const struct scene *scene,
                    struct sl_level *level, bool match)
{
    char *beside = scene->rest + round_up(sl_level_bytes(&level->problem));
    sl_level_fresh(level, beside);
    memcpy(scene->wanted, level->map, (size_t)scene->physical * sizeof *scene->wanted);
    if (match)
        sl_level_match(job->living_count, scene->slots, scene->present, scene->wanted, beside);
}

static bool reaches(struct sl_level *level)
{
    bool all = true;
    for (int32_t w = 0; w < level->problem.windows; w++)
        all = all && sl_level_least(level, w) <= level->cap[w];
    return all;
}

/* Where no repair leads to the target and a new map does, that is the last group: a budget that
 * does not go so far leaves the repair. */
static void repair_by_new(struct sl_plan_job *job, int32_t layer, const struct scene *scene,
                          struct sl_level *level, struct writer *writer)
{
    struct sl_plan_work *work = writer->work;
    struct sl_level_problem problem = problem_of(job, layer, scene);
    int32_t differ = 0;
    if (problem.target <= 1 || reaches(level) || level->stopped ||
        (problem.work && level->work >= problem.work))
        return;
    problem.work -= problem.work ? level->work : 0;
    memcpy(scene->present, level->map, (size_t)scene->physical * sizeof *scene->present);
    sl_level_open(level, &problem, scene->present, scene->rest);
    new_map(job, scene, level, true);
    work->units += level->work;
    work->stopped = level->stopped;
    double bound = sl_level_bound(level);
    for (int32_t p = 0; p < scene->physical; p++)
        differ += scene->wanted[p] != scene->present[p];
    /* Each of the writes at most twice, and all groups, must have room. */
    if (!reaches(level) || work->groups == work->physical ||
        work->count + 2 * differ > 2 * work->physical)
        return;
    for (int32_t p = 0; p < scene->physical; p++)
        if (scene->wanted[p] >= 0 && scene->wanted[p] != scene->present[p])
            add_write(writer, slot_of(job, scene->slots, p), scene->wanted[p]);
    end_group(writer);
    work->bound[work->groups] = bound;
}

static void repair(struct sl_plan_job *job, int32_t layer, const struct scene *scene,
                   struct sl_level *level, struct writer *writer)
{
    const sluice_plan_budget *budget = job->request->budget;
    struct sl_plan_work *work = writer->work;
    struct sl_level_problem problem = problem_of(job, layer, scene);
    if (budget && !SL_MUTANT(plan_budget_ignored)) {
        problem.layer_slots = limit_of(budget->layer_slots);
        problem.rank_slots = limit_of(budget->rank_slots);
    }
    sl_level_open(level, &problem, scene->present, scene->rest);
    sl_level_repair(level);
    work->bound[0] = level->bound[0];
    for (int32_t i = 0, g = 0; g < level->groups; g++) {
        for (; i < level->written && level->write[i].group == g; i++)
            add_write(writer, slot_of(job, scene->slots, level->write[i].slot),
                      level->write[i].expert);
        work->bound[g + 1] = level->bound[g + 1];
        end_group(writer);
    }
    work->units = level->work;
    work->stopped = level->stopped;
    repair_by_new(job, layer, scene, level, writer);
}

/* A new map, with bound[] of before and after. */
static void level_fresh(struct sl_plan_job *job, int32_t layer, const struct scene *scene,
                        struct sl_level *level, struct sl_plan_work *work)
{
    struct sl_level_problem problem = problem_of(job, layer, scene);
    sl_level_open(level, &problem, scene->present, scene->rest);
    work->bound[0] = level->bound[0];
    new_map(job, scene, level, scene->has_map);
    work->bound[1] = sl_level_bound(level);
    work->units = level->work;
    work->stopped = level->stopped;
}

static double eplb_balance(const struct sl_plan_job *job, const struct scene *scene,
                           const struct sl_eplb *problem, const int32_t *map)
{
    double worst = 0;
    double *rank_load = (double *)(void *)scene->rest;
    int32_t *copies = (int32_t *)(void *)(rank_load + job->living_count);
    for (int32_t w = 0; w < job->windows; w++) {
        double balance = sl_eplb_balance(problem, scene->load + (ptrdiff_t)w * scene->experts,
                                         scene->spread[w], map, rank_load, copies);
        worst = balance > worst ? balance : worst;
    }
    return worst;
}

static void eplb_fresh(const struct sl_plan_job *job, int32_t layer, const struct scene *scene,
                       struct sl_plan_work *work)
{
    const sluice_plan_layer *given = job->request->layers[layer];
    const struct sl_eplb problem = eplb_of(job, scene, given->groups ? given->groups : 1);
    int64_t *sum = (int64_t *)(void *)scene->rest;
    memcpy(sum, scene->load, (size_t)scene->experts * sizeof *sum);
    for (int32_t w = 1; w < job->windows; w++)
        for (int32_t e = 0; e < scene->experts; e++)
            sum[e] += scene->load[(ptrdiff_t)w * scene->experts + e];
    sl_eplb_solve(&problem, sum, scene->wanted,
                  scene->rest + round_up((size_t)scene->experts * sizeof *sum));
    work->bound[0] = eplb_balance(job, scene, &problem, scene->present);
    work->bound[1] = eplb_balance(job, scene, &problem, scene->wanted);
}

/* A whole new map as one group; without a present map there is nothing to move. */
static void take_whole(const struct sl_plan_job *job, const struct scene *scene,
                       struct writer *writer)
{
    struct sl_plan_work *work = writer->work;
    work->whole = true;
    for (int32_t p = 0; p < scene->physical; p++) {
        int32_t to = slot_of(job, scene->slots, p), expert = scene->wanted[p];
        if (!scene->has_map)
            work->map[to] = expert;
        else if (expert >= 0 && expert != work->map[to])
            add_write(writer, to, expert);
    }
    if (writer->pending_count > 0)
        end_group(writer);
    else
        work->bound[0] = scene->has_map ? work->bound[0] : 0;
}

void sl_plan_solve(struct sl_plan_job *job, int32_t layer, char *scratch)
{
    const sluice_plan_request *request = job->request;
    struct sl_plan_work *work = job->work + layer;
    struct scene scene = open_scene(job, layer, work->slots, scratch);
    struct sl_moves_world world = job->world;
    world.experts = work->experts;
    world.slots = work->slots;
    scene.has_map = work->given->map != NULL;
    work->has_tokens = scene.has_tokens;
    work->time_ps = scene.time_ps;
    for (int32_t p = 0; p < work->physical; p++)
        work->map[p] = scene.has_map ? work->given->map[p] : -1;
    for (int32_t p = 0; p < scene.physical; p++)
        scene.present[p] = work->map[slot_of(job, work->slots, p)];
    /* The orders of writes lie behind what the core needs; they change a copy of the map. */
    size_t moves = sl_plan_scratch(job, work->experts, work->slots) -
                   round_up(sl_moves_bytes(&world)) -
                   round_up((size_t)work->physical * sizeof(struct sl_moves_write));
    struct writer writer = {.work = work};
    writer.pending =
        (struct sl_moves_write *)(void *)(scratch + moves + round_up(sl_moves_bytes(&world)));
    sl_moves_open(&writer.moves, &world, work->map, scratch + moves);
    work->lost = scene.has_map ? count_lost(&writer.moves) : 0;
    writer.missing = work->lost;
    struct sl_level level;
    if (request->policy == SLUICE_PLAN_EPLB) {
        eplb_fresh(job, layer, &scene, work);
        take_whole(job, &scene, &writer);
    } else if (request->start == SLUICE_PLAN_FROM_NOTHING || !scene.has_map) {
        level_fresh(job, layer, &scene, &level, work);
        take_whole(job, &scene, &writer);
    } else {
        repair(job, layer, &scene, &level, &writer);
    }
    /* What is taken of it, and in which slots, is decided over all layers. */
    for (int32_t p = 0; p < work->physical && scene.has_map; p++)
        work->map[p] = work->given->map[p];
}

int32_t sl_plan_slots(struct sl_plan_job *job, int32_t layer, char *scratch)
{
    const sluice_plan_layer *given = job->request->layers[layer];
    int32_t least = (given->experts - 1) / job->living_count + 1;
    int32_t most = SL_MAX_PHYSICAL / job->request->ranks;
    most = most < given->experts ? most : given->experts;
    for (int32_t slots = least; slots <= most; slots++) {
        struct scene scene = open_scene(job, layer, slots, scratch);
        struct sl_level_problem problem = level_of(job, &scene);
        struct sl_level level;
        memset(scene.present, -1, (size_t)scene.physical * sizeof *scene.present);
        sl_level_open(&level, &problem, scene.present, scene.rest);
        bool possible = true;
        for (int32_t w = 0; w < job->windows; w++)
            possible = possible && sl_level_floor(&level, w) <= level.cap[w];
        if (!possible)
            continue;
        sl_level_fresh(&level, scene.rest + round_up(sl_level_bytes(&problem)));
        if (reaches(&level))
            return slots;
    }
    return -1;
}
