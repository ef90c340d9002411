/* SPDX-License-Identifier: Apache-2.0
 * Which groups of which layers are moved, from where, and what that promises. */
#include <string.h>

#include "../core/mutant.h"
#include "bk_plan.h"

/* What has been taken so far; the budget's own units. */
struct taker {
    struct sl_plan_job *job;
    const struct sl_plan_pick *pick;
    const sluice_plan_budget *budget; /* NULL: without limit */
    sluice_plan_summary *summary;
    int64_t count;     /* of moves */
    int64_t *slots;    /* [ranks] written on each */
    int64_t *sent;     /* [ranks] bytes, or slots where bytes are not counted */
    int64_t *received; /* [ranks] */
    int64_t layer_slots, layer_bytes;
};

static bool within(int64_t used, int64_t limit)
{
    return limit == 0 || used <= limit || SL_MUTANT(plan_budget_ignored);
}

static bool fits(const struct taker *taker)
{
    const sluice_plan_budget *budget = taker->budget;
    if (!budget)
        return true;
    bool counted = taker->job->request->layers[0]->expert_bytes > 0;
    bool ok = within(taker->summary->slots, budget->slots) &&
              within(taker->layer_slots, budget->layer_slots) &&
              within(taker->summary->bytes, budget->bytes) &&
              within(taker->layer_bytes, budget->layer_bytes);
    for (int32_t r = 0; r < taker->job->request->ranks && ok; r++)
        ok = within(taker->slots[r], budget->rank_slots) &&
             (!counted || (within(taker->sent[r], budget->rank_bytes) &&
                           within(taker->received[r], budget->rank_bytes)));
    return ok;
}

/* Adds a move to the sums, or takes it off them (sign -1). */
static void tally(struct taker *taker, const sluice_move *move, bool again, int64_t sign)
{
    const sluice_plan_request *request = taker->job->request;
    const sluice_plan_layer *layer = request->layers[move->layer];
    int32_t to = move->to / layer->slots_per_rank;
    int32_t from = move->from < 0 ? to : move->from / layer->slots_per_rank;
    int64_t bytes = from == to ? 0 : layer->expert_bytes * sign;
    sluice_plan_summary *summary = taker->summary;
    summary->slots += sign;
    taker->layer_slots += sign;
    taker->slots[to] += sign;
    if (from == to)
        return;
    summary->bytes += bytes;
    taker->layer_bytes += bytes;
    if (request->node && request->node[from] != request->node[to])
        summary->bytes_far += bytes;
    if (again)
        summary->bytes_extra += bytes;
    taker->sent[from] += layer->expert_bytes ? bytes : sign;
    taker->received[to] += layer->expert_bytes ? bytes : sign;
}

static void add_move(struct taker *taker, const struct sl_moves *moves, int32_t layer,
                     const struct sl_moves_write *write)
{
    sluice_move *move = taker->pick->moves + taker->count++;
    *move = (sluice_move){.layer = layer, .expert = write->expert, .to = write->to};
    move->from = sl_moves_source(moves, write->expert, write->to, taker->sent);
    tally(taker, move, write->again, 1);
}

/* Does the writes of a chunk on the layer's map; both halves of a swap read the map of before. */
static void carry_out(struct taker *taker, const struct sl_moves_chunk *chunk,
                      struct sl_moves *moves, int32_t first, int32_t end)
{
    const struct sl_moves_write *write = taker->job->work[chunk->layer].write;
    for (int32_t i = first; i < end; i++) {
        bool swap = i + 1 < end && sl_moves_swaps(moves, write + i, write + i + 1);
        add_move(taker, moves, chunk->layer, write + i);
        if (swap)
            add_move(taker, moves, chunk->layer, write + i + 1);
        sl_moves_put(moves, write[i].to, write[i].expert);
        if (swap) {
            sl_moves_put(moves, write[i + 1].to, write[i + 1].expert);
            i++;
        }
    }
}

static int32_t first_write(const struct sl_plan_work *work, int32_t group)
{
    int32_t i = 0;
    while (i < work->count && work->write[i].group < group)
        i++;
    return i;
}

/* How much the layer has used of its own budget. */
static void open_layer(struct taker *taker, int32_t layer)
{
    taker->layer_slots = taker->layer_bytes = 0;
    for (int64_t i = 0; i < taker->count; i++) {
        const sluice_move *move = taker->pick->moves + i;
        const sluice_plan_layer *given = taker->job->request->layers[layer];
        if (move->layer != layer)
            continue;
        taker->layer_slots++;
        if (move->from >= 0 &&
            move->from / given->slots_per_rank != move->to / given->slots_per_rank)
            taker->layer_bytes += given->expert_bytes;
    }
}

/* Takes a chunk, or leaves the layer where it is if the budget does not allow it. */
static void take(struct taker *taker, const struct sl_moves_chunk *chunk)
{
    struct sl_plan_work *work = taker->job->work + chunk->layer;
    struct sl_moves_world world = taker->job->world;
    struct sl_moves moves;
    if (work->taken != chunk->first)
        return;
    world.experts = work->experts;
    world.slots = work->slots;
    int32_t first = first_write(work, chunk->first), end = first_write(work, chunk->end);
    int64_t before = taker->count;
    if (taker->budget)
        open_layer(taker, chunk->layer);
    sl_moves_open(&moves, &world, work->map, taker->pick->scratch);
    carry_out(taker, chunk, &moves, first, end);
    if (fits(taker)) {
        work->taken = chunk->end;
        return;
    }
    for (int64_t i = taker->count - 1; i >= before; i--)
        tally(taker, taker->pick->moves + i, work->write[first + i - before].again, -1);
    taker->count = before;
    for (int32_t p = 0; p < work->physical; p++)
        work->map[p] = work->given->map[p];
    for (int32_t i = 0; i < first; i++)
        work->map[work->write[i].to] = work->write[i].expert;
}

static int32_t list_chunks(const struct sl_plan_job *job, struct sl_moves_chunk *chunk)
{
    int32_t count = 0;
    for (int32_t l = 0; l < job->request->layer_count; l++) {
        const struct sl_plan_work *work = job->work + l;
        if (work->whole && work->groups > 0) {
            double gain = (work->bound[0] - work->bound[1]) / work->cost[0];
            chunk[count++] = (struct sl_moves_chunk){gain, l, 0, work->groups, work->must > 0};
        } else if (!work->whole) {
            count += sl_moves_chunks(l, work->groups, work->must, work->bound, work->cost,
                                     chunk + count);
        }
    }
    return count;
}

/* Balances and what else is known once everything is taken. */
static void sum_up(struct taker *taker)
{
    const struct sl_plan_job *job = taker->job;
    sluice_plan_summary *summary = taker->summary;
    int32_t seen = 0, mapped = 0;
    for (int32_t l = 0; l < job->request->layer_count; l++) {
        const struct sl_plan_work *work = job->work + l;
        double before = work->given->map ? work->bound[0] : 0;
        double after = work->whole && work->taken == 0 && !work->given->map
                           ? work->bound[1]
                           : work->bound[work->taken];
        summary->layers += work->taken > 0;
        summary->lost += work->lost;
        summary->work += work->units;
        summary->truncated |= work->stopped;
        if (!work->has_tokens)
            continue;
        seen++;
        mapped += work->given->map != NULL;
        summary->before_mean += before;
        summary->after_mean += after;
        if (before > summary->before_worst)
            summary->before_worst = before;
        if (after > summary->after_worst)
            summary->after_worst = after;
    }
    summary->before_mean /= mapped ? mapped : 1;
    summary->after_mean /= seen ? seen : 1;
}

/* Picoseconds that a step of the layers that change gets shorter by. */
static double gain_of(const struct sl_plan_job *job)
{
    const sluice_plan_request *request = job->request;
    double sum = 0, steps = 0;
    for (int32_t w = 0; w < request->window_count; w++)
        steps += (double)request->windows[w]->steps;
    for (int32_t l = 0; l < request->layer_count; l++) {
        const struct sl_plan_work *work = job->work + l;
        sum += (work->bound[0] - work->bound[work->taken]) * work->time_ps / job->living_count;
    }
    return sum / steps;
}

static void predict(struct taker *taker)
{
    const sluice_plan_request *request = taker->job->request;
    int64_t most = 0;
    for (int32_t r = 0; r < request->ranks; r++) {
        most = taker->sent[r] > most ? taker->sent[r] : most;
        most = taker->received[r] > most ? taker->received[r] : most;
    }
    if (request->wire_bytes && request->layers[0]->expert_bytes)
        taker->summary->seconds = (double)most / (double)request->wire_bytes;
    if (request->pay_steps)
        taker->summary->pays =
            gain_of(taker->job) * (double)request->pay_steps > taker->summary->seconds * 1e12;
}

int64_t sl_plan_choose(struct sl_plan_job *job, const struct sl_plan_pick *pick,
                       sluice_plan_summary *summary)
{
    int32_t ranks = job->request->ranks;
    struct taker taker = {.job = job,
                          .pick = pick,
                          .budget = job->request->budget,
                          .summary = summary,
                          .slots = pick->counters,
                          .sent = pick->counters + ranks,
                          .received = pick->counters + 2 * (ptrdiff_t)ranks};
    memset(pick->counters, 0, 3 * (size_t)ranks * sizeof *pick->counters);
    int32_t count = list_chunks(job, pick->chunks);
    sl_moves_sort(pick->chunks, count, pick->spare);
    for (int32_t i = 0; i < count; i++)
        take(&taker, pick->chunks + i);
    sum_up(&taker);
    predict(&taker);
    return taker.count;
}
