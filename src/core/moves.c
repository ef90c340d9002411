/* SPDX-License-Identifier: Apache-2.0 */
#include "moves.h"

#include <string.h>

#include "mutant.h"

size_t sl_moves_bytes(const struct sl_moves_world *world)
{
    size_t physical = (size_t)world->slots * (size_t)world->ranks;
    return (2 * (size_t)world->experts + physical) * sizeof(int32_t);
}

static bool lives(const struct sl_moves_world *world, int32_t slot)
{
    return !world->alive || world->alive[slot / world->slots];
}

static void link_copy(struct sl_moves *moves, int32_t slot)
{
    int32_t expert = moves->map[slot];
    if (expert < 0 || !lives(moves->world, slot))
        return;
    moves->next[slot] = moves->first[expert];
    moves->first[expert] = slot;
    moves->copies[expert]++;
}

void sl_moves_open(struct sl_moves *moves, const struct sl_moves_world *world, int32_t *map,
                   void *scratch)
{
    int32_t experts = world->experts, physical = world->slots * world->ranks;
    *moves = (struct sl_moves){.world = world, .map = map, .first = scratch};
    moves->copies = moves->first + experts;
    moves->next = moves->copies + experts;
    for (int32_t e = 0; e < experts; e++) {
        moves->first[e] = -1;
        moves->copies[e] = 0;
    }
    for (int32_t p = physical - 1; p >= 0; p--)
        link_copy(moves, p);
}

void sl_moves_put(struct sl_moves *moves, int32_t to, int32_t expert)
{
    int32_t held = moves->map[to];
    if (held >= 0) {
        int32_t *at = &moves->first[held];
        while (*at != to)
            at = &moves->next[*at];
        *at = moves->next[to];
        moves->copies[held]--;
    }
    moves->map[to] = expert;
    link_copy(moves, to);
}

/* May the slot be written without taking an expert's last copy? */
static bool is_free(const struct sl_moves *moves, int32_t slot)
{
    int32_t held = moves->map[slot];
    return held < 0 || moves->copies[held] > 1 || SL_MUTANT(plan_loses_an_expert);
}

static void put_out(struct sl_moves *moves, const struct sl_moves_write *write,
                    struct sl_moves_write *out, int32_t *done)
{
    sl_moves_put(moves, write->to, write->expert);
    out[(*done)++] = *write;
}

/* All that is pending holds a last copy: the first one's expert and that of the slot which wants it
 * change places. Then that slot is right, and the first one right or pending still. */
static void trade(struct sl_moves *moves, struct sl_moves_write *pending, int32_t *left,
                  struct sl_moves_write *out, int32_t *done)
{
    int32_t held = moves->map[pending[0].to], i = 1;
    while (i < *left && pending[i].expert != held)
        i++;
    /* A map that loses the expert: not asked for by any planner, and done as it says. */
    if (i == *left) {
        put_out(moves, pending, out, done);
        memmove(pending, pending + 1, (size_t)(--*left) * sizeof *pending);
        return;
    }
    struct sl_moves_write there = pending[i], here = pending[0];
    here.expert = moves->map[there.to];
    here.again = here.expert != pending[0].expert;
    memmove(pending + i, pending + i + 1, (size_t)(*left - i - 1) * sizeof *pending);
    --*left;
    if (!here.again) {
        memmove(pending, pending + 1, (size_t)(*left - 1) * sizeof *pending);
        --*left;
    }
    put_out(moves, &there, out, done);
    put_out(moves, &here, out, done);
}

int32_t sl_moves_order(struct sl_moves *moves, struct sl_moves_write *pending, int32_t count,
                       struct sl_moves_write *out)
{
    int32_t done = 0, left = count;
    while (left > 0) {
        int32_t kept = 0;
        for (int32_t i = 0; i < left; i++) {
            if (is_free(moves, pending[i].to))
                put_out(moves, pending + i, out, &done);
            else
                pending[kept++] = pending[i];
        }
        if (kept == left)
            trade(moves, pending, &kept, out, &done);
        left = kept;
    }
    return done;
}

bool sl_moves_swaps(const struct sl_moves *moves, const struct sl_moves_write *a,
                    const struct sl_moves_write *b)
{
    return a->to != b->to && moves->map[a->to] == b->expert && moves->map[b->to] == a->expert &&
           moves->copies[b->expert] == 1;
}

int32_t sl_moves_source(const struct sl_moves *moves, int32_t expert, int32_t to,
                        const int64_t *sent)
{
    const struct sl_moves_world *world = moves->world;
    int32_t rank = to / world->slots, best = -1, best_far = 0;
    for (int32_t p = moves->first[expert]; p >= 0; p = moves->next[p]) {
        int32_t from = p / world->slots;
        int32_t far = from == rank                                             ? 0
                      : !world->node || world->node[from] == world->node[rank] ? 1
                                                                               : 2;
        int64_t less = best < 0 ? 0 : sent[from] - sent[best / world->slots];
        if (best < 0 || far < best_far ||
            (far == best_far && (less < 0 || (less == 0 && p < best)))) {
            best = p;
            best_far = far;
        }
    }
    return best;
}

int32_t sl_moves_chunks(int32_t layer, int32_t groups, int32_t must, const double *bound,
                        const double *cost, struct sl_moves_chunk *chunk)
{
    int32_t count = 0;
    if (must > 0)
        chunk[count++] = (struct sl_moves_chunk){0, layer, 0, must, 1};
    for (int32_t at = must; at < groups;) {
        struct sl_moves_chunk best = {0, layer, at, at, 0};
        double paid = 0;
        for (int32_t g = at; g < groups; g++) {
            paid += cost[g];
            double gain = (bound[at] - bound[g + 1]) / paid;
            if (gain > best.gain || (gain >= best.gain && gain > 0)) {
                best.gain = gain;
                best.end = g + 1;
            }
        }
        if (best.end == at)
            break;
        chunk[count++] = best;
        at = best.end;
    }
    return count;
}

static bool comes_first(const struct sl_moves_chunk *a, const struct sl_moves_chunk *b)
{
    if (a->must != b->must)
        return a->must > b->must;
    if (SL_MUTANT(plan_gain_ignored))
        return a->layer <= b->layer;
    /* Chunks of a layer come in their order, and their gains fall. */
    return a->gain > b->gain || (a->gain >= b->gain && a->layer <= b->layer);
}

void sl_moves_sort(struct sl_moves_chunk *chunk, int32_t count, struct sl_moves_chunk *scratch)
{
    for (int32_t run = 1; run < count; run *= 2) {
        for (int32_t start = 0; start < count; start += 2 * run) {
            int32_t middle = start + run < count ? start + run : count;
            int32_t end = middle + run < count ? middle + run : count;
            int32_t a = start, b = middle;
            for (int32_t i = start; i < end; i++) {
                bool left = b == end || (a < middle && comes_first(chunk + a, chunk + b));
                scratch[i] = left ? chunk[a++] : chunk[b++];
            }
        }
        memcpy(chunk, scratch, (size_t)count * sizeof *chunk);
    }
}
