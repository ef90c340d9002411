/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "../core/mutant.h"
#include "../core/rule.h"
#include "bk_ext.h"
#include "bk_plan.h"
#include "bk_pool.h"

static size_t round_up(size_t bytes)
{
    return (bytes + 63) / 64 * 64;
}

static void *take(char *memory, size_t *at, size_t bytes)
{
    char *here = memory ? memory + *at : NULL;
    *at += round_up(bytes);
    return here;
}

/* ------------------------------------------------------------------------------ one request */

/* Lays a job into memory; NULL: only counts. */
static size_t lay_out(struct sl_plan_job *job, struct sl_plan_pick *pick, struct sl_pool **pool,
                      int32_t threads, bool copies, char *memory)
{
    const sluice_plan_request *request = job->request;
    size_t at = 0, all = 0, layers = (size_t)request->layer_count, ranks = (size_t)request->ranks;
    struct sl_moves_world world = job->world;
    size_t moves = 0;
    job->living = take(memory, &at, ranks * sizeof *job->living);
    job->work = take(memory, &at, layers * sizeof *job->work);
    *pool = take(memory, &at, sl_pool_bytes(threads));
    for (int32_t l = 0; l < request->layer_count && !copies; l++) {
        size_t physical = (size_t)request->layers[l]->slots_per_rank * ranks;
        struct sl_plan_work none, *work = memory ? job->work + l : &none;
        work->map = take(memory, &at, physical * sizeof *work->map);
        work->write = take(memory, &at, 2 * physical * sizeof *work->write);
        work->bound = take(memory, &at, (physical + 2) * sizeof *work->bound);
        work->cost = take(memory, &at, (physical + 1) * sizeof *work->cost);
        all += physical;
        world.experts = request->layers[l]->experts;
        world.slots = request->layers[l]->slots_per_rank;
        moves = sl_moves_bytes(&world) > moves ? sl_moves_bytes(&world) : moves;
    }
    if (!copies) {
        pick->moves = take(memory, &at, 2 * all * sizeof *pick->moves);
        pick->chunks = take(memory, &at, (all + layers) * sizeof *pick->chunks);
        pick->spare = take(memory, &at, (all + layers) * sizeof *pick->spare);
        pick->counters = take(memory, &at, 3 * ranks * sizeof *pick->counters);
        pick->scratch = take(memory, &at, moves);
    }
    job->scratch = take(memory, &at, (size_t)threads * job->scratch_bytes);
    return at;
}

static const uint8_t *alive_of(const sluice_plan_request *request)
{
    return SL_MUTANT(plan_feeds_the_dead) ? NULL : request->alive;
}

static void start_job(struct sl_plan_job *job, bool copies)
{
    const sluice_plan_request *request = job->request;
    job->world = (struct sl_moves_world){
        .ranks = request->ranks, .node = request->node, .alive = alive_of(request)};
    job->windows = sl_plan_windows(request);
    job->nodes = sl_plan_nodes(request);
    for (int32_t r = 0; r < request->ranks; r++)
        job->living_count += !alive_of(request) || request->alive[r];
    for (int32_t l = 0; l < request->layer_count; l++) {
        const sluice_plan_layer *layer = request->layers[l];
        int32_t most = SL_MAX_PHYSICAL / request->ranks;
        most = most < layer->experts ? most : layer->experts;
        size_t bytes =
            round_up(sl_plan_scratch(job, layer->experts, copies ? most : layer->slots_per_rank));
        job->scratch_bytes = bytes > job->scratch_bytes ? bytes : job->scratch_bytes;
    }
}

static void fill_job(struct sl_plan_job *job, bool copies)
{
    const sluice_plan_request *request = job->request;
    for (int32_t r = 0, i = 0; r < request->ranks; r++)
        if (!alive_of(request) || request->alive[r])
            job->living[i++] = r;
    for (int32_t l = 0; l < request->layer_count; l++) {
        struct sl_plan_work *work = job->work + l;
        struct sl_plan_work fresh = {.given = request->layers[l],
                                     .experts = request->layers[l]->experts,
                                     .slots = copies ? 0 : request->layers[l]->slots_per_rank};
        fresh.physical = fresh.slots * request->ranks;
        if (!copies) {
            fresh.map = work->map;
            fresh.write = work->write;
            fresh.bound = work->bound;
            fresh.cost = work->cost;
        }
        *work = fresh;
    }
}

static void run_part(void *argument, int32_t part, int32_t parts)
{
    struct sl_plan_job *job = argument;
    char *scratch = job->scratch + (size_t)part * job->scratch_bytes;
    for (int32_t l = part; l < job->request->layer_count; l += parts) {
        if (job->slots)
            job->slots[l] = sl_plan_slots(job, l, scratch);
        else
            sl_plan_solve(job, l, scratch);
        if (SL_MUTANT(plan_by_threads) && part > 0)
            job->work[l].groups = 0;
    }
}

/* `stop` is asked on the caller's thread alone, so all work is done there. */
static int32_t threads_of(const sluice_plan_request *request)
{
    int32_t threads = request->host ? request->host->threads : 0;
    if (threads > request->layer_count)
        threads = request->layer_count;
    return request->stop || threads < 1 ? 1 : threads;
}

static sluice_plan *build(const struct sl_plan_job *job, const struct sl_plan_pick *pick,
                          int64_t count, const sluice_plan_summary *summary)
{
    int64_t maps = 0;
    for (int32_t l = 0; l < job->request->layer_count; l++)
        maps += job->work[l].physical;
    sluice_plan *plan = sl_plan_new(job->memory, job->request->layer_count, maps, count);
    if (!plan)
        return NULL;
    int64_t at = 0;
    plan->ranks = job->request->ranks;
    plan->summary = *summary;
    for (int32_t l = 0; l < plan->layer_count; l++) {
        const struct sl_plan_work *work = job->work + l;
        bool mapped = work->given->map != NULL;
        int32_t taken = mapped ? work->taken : 1;
        plan->layers[l] = (struct sl_plan_layer){.experts = work->experts,
                                                 .slots = work->slots,
                                                 .physical = work->physical,
                                                 .map_at = at,
                                                 .before = mapped ? work->bound[0] : 0,
                                                 .after = work->bound[taken]};
        memcpy(plan->maps + at, work->map, (size_t)work->physical * sizeof *plan->maps);
        at += work->physical;
    }
    if (count > 0)
        memcpy(plan->moves, pick->moves, (size_t)count * sizeof *plan->moves);
    sl_plan_hash(plan, plan->summary.hash);
    return plan;
}

/* Solves all layers; with slots != NULL `copies`, else into *plan. */
static sluice_status carry_out(const sluice_plan_request *request, int32_t *slots,
                               sluice_plan **plan, const struct sl_text *text)
{
    struct sl_plan_memory memory;
    struct sl_plan_job job = {.request = request, .memory = &memory, .slots = slots};
    struct sl_plan_pick pick = {0};
    struct sl_pool *pool = NULL;
    int32_t threads = threads_of(request);
    sl_plan_services(&memory, request->host);
    start_job(&job, slots != NULL);
    size_t bytes = lay_out(&job, &pick, &pool, threads, slots != NULL, NULL);
    char *scratch = sl_plan_alloc(&memory, bytes, SLUICE_MEM_SCRATCH);
    if (!scratch)
        return sl_text_fail(text, SLUICE_NO_MEMORY, "no memory for %zu bytes of scratch", bytes);
    (void)lay_out(&job, &pick, &pool, threads, slots != NULL, scratch);
    fill_job(&job, slots != NULL);
    int failed = 0;
    sluice_status status = SLUICE_OK;
    pool = sl_pool_start(threads, pool, &failed);
    if (failed) {
        status = sl_text_fail(text, SLUICE_NO_MEMORY, "could not start %d threads", threads - 1);
    } else {
        (void)sl_pool_run(pool, run_part, &job, request->layer_count, 1);
        sl_pool_stop(pool);
    }
    if (!status && !slots) {
        sluice_plan_summary summary = {.struct_size = sizeof summary};
        int64_t count = sl_plan_choose(&job, &pick, &summary);
        *plan = build(&job, &pick, count, &summary);
        if (!*plan)
            status = sl_text_fail(text, SLUICE_NO_MEMORY, "no memory for a plan of %lld moves",
                                  (long long)count);
    }
    sl_plan_free(&memory, scratch, bytes, SLUICE_MEM_SCRATCH);
    return status;
}

static sluice_status make(const sluice_plan_request *request, sluice_plan **plan, char *text,
                          size_t text_size)
{
    const struct sl_text where = {text, text ? text_size : 0};
    if (text && text_size)
        text[0] = 0;
    if (!plan)
        return sl_text_fail(&where, SLUICE_INVALID, "plan is NULL");
    *plan = NULL;
    sluice_status status = sl_plan_check(&where, request, false);
    return status ? status : carry_out(request, NULL, plan, &where);
}

static sluice_status copies(const sluice_plan_request *request, int32_t *slots, int32_t count,
                            char *text, size_t text_size)
{
    const struct sl_text where = {text, text ? text_size : 0};
    if (text && text_size)
        text[0] = 0;
    sluice_status status = sl_plan_check(&where, request, true);
    if (status)
        return status;
    if (!slots || count != request->layer_count)
        return sl_text_fail(&where, SLUICE_INVALID,
                            "slots is %s and count is %d: the request has %d layers",
                            slots ? "given" : "NULL", count, request->layer_count);
    /* A copy of the request: its policy is LEVEL whatever it says. */
    sluice_plan_request level = *request;
    level.policy = SLUICE_PLAN_LEVEL;
    return carry_out(&level, slots, NULL, &where);
}

/* -------------------------------------------------------------------------------- one plan */

static void release(sluice_plan *plan)
{
    if (!plan)
        return;
    struct sl_plan_memory memory = plan->memory;
    sl_plan_free(&memory, plan, plan->bytes, SLUICE_MEM_STATE);
}

static sluice_status summary(const sluice_plan *plan, sluice_plan_summary *out)
{
    sluice_status status = sl_check_struct(NULL, NULL, 0, "summary", out, sizeof *out, sizeof *out);
    if (!plan || status)
        return status ? status : SLUICE_INVALID;
    size_t size = out->struct_size;
    *out = plan->summary;
    out->struct_size = size;
    return SLUICE_OK;
}

static sluice_status layer_of(const sluice_plan *plan, int32_t layer, int32_t *map, int64_t count,
                              double *before, double *after)
{
    if (!plan || layer < 0 || layer >= plan->layer_count ||
        (map && count != plan->layers[layer].physical))
        return SLUICE_INVALID;
    const struct sl_plan_layer *from = plan->layers + layer;
    if (map)
        memcpy(map, plan->maps + from->map_at, (size_t)count * sizeof *map);
    if (before)
        *before = from->before;
    if (after)
        *after = from->after;
    return SLUICE_OK;
}

static sluice_status moves(const sluice_plan *plan, sluice_move *list, int64_t capacity,
                           int64_t *count)
{
    if (!plan || !count || capacity < 0 || (capacity && !list))
        return SLUICE_INVALID;
    *count = plan->move_count;
    int64_t given = *count < capacity ? *count : capacity;
    if (given > 0)
        memcpy(list, plan->moves, (size_t)given * sizeof *list);
    return *count > capacity ? SLUICE_OVERFLOW : SLUICE_OK;
}

static sluice_status save(const sluice_plan *plan, void *bytes, size_t capacity, size_t *size)
{
    if (!plan || !size || (capacity && !bytes))
        return SLUICE_INVALID;
    return sl_plan_save(plan, bytes, capacity, size);
}

static sluice_status load(const void *bytes, size_t size, const sluice_host *host,
                          sluice_plan **plan, char *text, size_t text_size)
{
    const struct sl_text where = {text, text ? text_size : 0};
    struct sl_plan_memory memory;
    if (text && text_size)
        text[0] = 0;
    if (!plan || !bytes)
        return sl_text_fail(&where, SLUICE_INVALID, "%s is NULL", plan ? "bytes" : "plan");
    *plan = NULL;
    sluice_status status = sl_plan_check_host(&where, "host", host);
    if (status)
        return status;
    sl_plan_services(&memory, host);
    return sl_plan_load(bytes, size, &memory, plan, &where);
}

const sluice_plan_api sl_plan_api = {
    .struct_size = sizeof sl_plan_api,
    .make = make,
    .release = release,
    .summary = summary,
    .layer = layer_of,
    .moves = moves,
    .save = save,
    .load = load,
    .copies = copies,
};
