/* SPDX-License-Identifier: Apache-2.0 */
#include "cpu_balance.h"

#include <string.h>

#include "../backend/bk_balance.h"
#include "../core/mutant.h"
#include "cpu_waterfill.h"

/* A pass over the rows of a call. */
struct pass {
    struct sl_walk *walk;
    const struct sl_layer_balance *own;
    struct sl_context_balance *balance;
    const struct sl_shape *shape;
    bool copies, columns;      /* what it places: choices, shared columns */
    bool dispatched, recorded; /* where choices go */
    int32_t top_k;
    const int64_t *quota; /* [P] of this call */
    int64_t *room;        /* [ranks] shared columns of this call */
    struct sl_ids dispatch, recorder;
};

/* One thread's rows of it. */
struct share {
    const struct pass *pass;
    struct sl_turn *turns; /* [E] */
    int32_t rank;          /* of the next shared column, while there is some left */
    int64_t left;
};

/* ----------------------------------------------------------------------- quotas of this call */

/* Cuts `count` at the boundaries count * S_k / S of old quotas, whose sum S_k may be anything. */
struct cutter {
    int64_t count, before, running;
    int32_t shift;
    int64_t sum;
};

static struct cutter cutter_of(int64_t count, int64_t sum)
{
    struct cutter cutter = {.count = count, .sum = sum};
    while (cutter.sum >> 31) {
        cutter.sum >>= 1;
        cutter.shift++;
    }
    return cutter;
}

static int64_t next_cut(struct cutter *cutter, int64_t old)
{
    cutter->running += old;
    int64_t boundary = cutter->count * (cutter->running >> cutter->shift) / cutter->sum;
    if (SL_MUTANT(balance_boundary_up) && cutter->running < cutter->sum)
        boundary += boundary < cutter->count;
    int64_t part = boundary - cutter->before;
    cutter->before = boundary;
    return part;
}

static int64_t sum_of(const int64_t *quota, const int32_t *copies, int32_t count)
{
    int64_t sum = 0;
    for (int32_t c = 0; c < count; c++)
        sum += quota[copies[c]];
    return sum;
}

/* This rank's old quotas of the expert; those of all where it had none; else even ones. */
static void cut_expert(const struct pass *pass, const int32_t *copies, int32_t copies_count,
                       int64_t count)
{
    const int64_t *old = pass->own->routed;
    int64_t sum = sum_of(old, copies, copies_count);
    if (sum == 0) {
        old = pass->own->whole;
        sum = sum_of(old, copies, copies_count);
    }
    struct cutter cutter = cutter_of(count, sum ? sum : copies_count);
    for (int32_t c = 0; c < copies_count; c++)
        pass->balance->call[copies[c]] = next_cut(&cutter, sum ? old[copies[c]] : 1);
}

static void cut_routed(struct pass *pass)
{
    const struct sl_place *place = &pass->walk->call.layer->bank->place;
    memset(pass->balance->call, 0, (size_t)pass->shape->physical * sizeof *pass->balance->call);
    for (int32_t e = 0; e < pass->shape->experts; e++) {
        int32_t begin = place->alive_start[e], count = place->alive_start[e + 1] - begin;
        if (count > 0)
            cut_expert(pass, place->alive_copies + begin, count, pass->balance->own[e]);
    }
    pass->quota = pass->balance->call;
}

static void cut_shared(struct pass *pass)
{
    int64_t units = pass->balance->own[pass->own->entries] * pass->shape->shared, sum = 0;
    for (int32_t r = 0; r < pass->shape->ranks; r++)
        sum += pass->own->shared[r];
    struct cutter cutter = cutter_of(units, sum ? sum : 1);
    for (int32_t r = 0; r < pass->shape->ranks; r++) {
        int64_t old = sum ? pass->own->shared[r] : r == pass->shape->rank;
        pass->room[r] = next_cut(&cutter, old);
    }
}

/* ---------------------------------------------------------------------------------- choices */

/* The next copy with a quota. */
static void take_turn(const struct pass *pass, struct sl_turn *turn)
{
    const int32_t *copies = pass->walk->call.layer->bank->place.alive_copies;
    do {
        turn->physical = copies[++turn->at];
        turn->left = (int32_t)pass->quota[turn->physical];
    } while (turn->left == 0);
    if (SL_MUTANT(balance_quota_short) && turn->left > 1)
        turn->left--;
    turn->slot = sl_slot_of(pass->shape, turn->physical);
}

/* How many choices of expert e are in parts before this one. */
static int64_t choices_before(const struct pass *pass, int32_t e, int32_t index, int32_t parts)
{
    const struct sl_walk *walk = pass->walk;
    uint64_t count = walk->chosen[e];
    for (int32_t i = index; i < parts && index > 0; i++)
        count -= walk->chosen[(int64_t)i * walk->entries + e];
    return index > 0 ? (int64_t)count : 0;
}

/* As after the choices of the parts before this one. */
static void start_turns(const struct share *share, int32_t index, int32_t parts)
{
    const struct pass *pass = share->pass;
    const struct sl_place *place = &pass->walk->call.layer->bank->place;
    for (int32_t e = 0; e < pass->shape->experts; e++) {
        struct sl_turn *turn = &share->turns[e];
        *turn = (struct sl_turn){.at = place->alive_start[e] - 1};
        int64_t before = choices_before(pass, e, index, parts);
        while (before > 0) {
            take_turn(pass, turn);
            int64_t taken = before < turn->left ? before : turn->left;
            turn->left -= (int32_t)taken;
            before -= taken;
        }
    }
}

static void place_choices(const struct share *share, int64_t t)
{
    const struct pass *pass = share->pass;
    const struct sl_ids *from = pass->dispatched ? &pass->dispatch : &pass->recorder;
    for (int32_t k = 0; k < pass->top_k; k++) {
        int64_t e = sl_id_at(from, t, k);
        if (e < 0)
            continue;
        struct sl_turn *turn = &share->turns[e];
        if (turn->left == 0)
            take_turn(pass, turn);
        turn->left--;
        if (pass->dispatched)
            sl_id_put(&pass->dispatch, t, k, turn->slot);
        if (pass->recorded)
            sl_id_put(&pass->recorder, t, k, turn->physical);
    }
}

/* What the walk could not count, as it did not know the copies. */
static void count_choices(const struct pass *pass)
{
    const struct sl_walk *walk = pass->walk;
    uint64_t *counters = sl_walk_counters(walk);
    for (int32_t p = 0; p < pass->shape->physical; p++) {
        if (walk->counts)
            counters[p] += (uint64_t)pass->quota[p];
        if (walk->call.waterfill)
            walk->load[p / pass->shape->slots] += pass->quota[p];
    }
}

/* --------------------------------------------------------------------------- shared columns */

/* Where a row's shared columns are by themselves. */
static int32_t home_of(const struct pass *pass, int64_t t)
{
    const struct sl_remap *remap = &pass->walk->remap;
    return remap->by_row ? sl_serving_rank(remap, t) : pass->shape->rank;
}

static bool is_valid(const struct sl_walk *walk, int64_t t)
{
    return !walk->call.io.row_valid || walk->call.io.row_valid[t];
}

/* As after the columns of the rows before this part's. */
static void start_ranks(struct share *share, int64_t from)
{
    const struct pass *pass = share->pass;
    const struct sl_walk *walk = pass->walk;
    int64_t before = 0;
    for (int64_t t = 0; t < from && t < walk->call.io.valid_rows; t++)
        before += is_valid(walk, t) ? pass->shape->shared : 0;
    share->rank = 0;
    while (before > 0 && before >= pass->room[share->rank])
        before -= pass->room[share->rank++];
    share->left = share->rank < pass->shape->ranks ? pass->room[share->rank] - before : 0;
}

/* In rising order, each as far as its quota; they are as many as the columns. */
static int32_t next_rank(struct share *share)
{
    while (share->left == 0)
        share->left = share->pass->room[++share->rank];
    share->left--;
    return share->rank;
}

/* Of the ranks the row visits the one with the most room, the lowest of several; else home. */
static int32_t visited_rank(const struct pass *pass, int64_t t)
{
    int32_t best = -1, home = home_of(pass, t);
    for (int32_t k = 0; k < pass->top_k; k++) {
        int64_t slot = sl_id_at(&pass->dispatch, t, k);
        int32_t r = slot < 0 ? -1 : (int32_t)(slot / pass->shape->local);
        if (r < 0 || r == home || pass->room[r] == 0)
            continue;
        if (best < 0 || pass->room[r] > pass->room[best] ||
            (pass->room[r] == pass->room[best] && r < best))
            best = r;
    }
    if (best < 0)
        return home;
    pass->room[best]--;
    return best;
}

static bool visited_only(const struct pass *pass)
{
    return pass->own->config.visited_only != 0 && !SL_MUTANT(balance_visits_ignored);
}

static bool visits(const struct pass *pass, int64_t t, int32_t rank)
{
    for (int32_t k = 0; k < pass->top_k; k++) {
        int64_t slot = sl_id_at(&pass->dispatch, t, k);
        if (slot >= 0 && slot / pass->shape->local == rank)
            return true;
    }
    return false;
}

static int32_t shared_rank(struct share *share, int64_t t, int32_t j)
{
    const struct pass *pass = share->pass;
    if (pass->own->column[0] < 0)
        return visited_only(pass) ? visited_rank(pass, t) : next_rank(share);
    int32_t rank = pass->own->column[j];
    return visited_only(pass) && !visits(pass, t, rank) ? home_of(pass, t) : rank;
}

static void place_shared(struct share *share, int64_t t)
{
    const struct pass *pass = share->pass;
    for (int32_t j = 0; j < pass->shape->shared; j++) {
        int64_t rank = shared_rank(share, t, j);
        sl_id_put(&pass->dispatch, t, pass->top_k + j,
                  rank * pass->shape->local + pass->shape->slots + j);
    }
}

/* ------------------------------------------------------------------------------------- rows */

/* On copies that nothing else can point at: what they say stays in registers. */
static void place_rows(const struct share *begin, int64_t from, int64_t to)
{
    const struct pass own = *begin->pass, *pass = &own;
    const struct sl_walk *walk = pass->walk;
    struct share own_share = *begin, *share = &own_share;
    share->pass = pass;
    to = to < walk->call.io.valid_rows ? to : walk->call.io.valid_rows;
    for (int64_t t = from; t < to && pass->copies; t++)
        if (is_valid(walk, t))
            place_choices(share, t);
    for (int64_t t = from; t < to && pass->columns; t++)
        if (is_valid(walk, t))
            place_shared(share, t);
}

static void place_part(void *job, int32_t index, int32_t parts)
{
    const struct pass *pass = job;
    struct share share = {.pass = pass,
                          .turns = pass->balance->turns + (ptrdiff_t)index * pass->shape->experts};
    int64_t from, to;
    sl_walk_part(pass->walk, index, parts, &from, &to);
    if (pass->copies)
        start_turns(&share, index, parts);
    if (pass->columns)
        start_ranks(&share, from);
    place_rows(&share, from, to);
}

/* Each row's columns go where the rows before it left most room: one after the other. */
static void place_by_visits(struct pass *pass)
{
    pass->copies = false;
    pass->columns = true;
    place_part(pass, 0, 1);
}

/* Gives the choices that the walk left as experts their copies, and shared columns their ranks; in
 * row order, so the j-th choice of an expert goes where j falls. Counts for route. */
static void place_all(struct sl_walk *walk, int32_t layer)
{
    sluice_context *context = walk->call.context;
    struct pass pass = {.walk = walk,
                        .own = &context->balance->layers[layer],
                        .balance = context->balance,
                        .shape = &walk->call.layer->bank->shape,
                        .dispatched = walk->call.dispatch_ids.wanted,
                        .recorded = walk->call.recorder_ids.wanted,
                        .top_k = walk->remap.top_k,
                        .room = context->balance->room};
    bool stale = pass.own->config.mode == SLUICE_BALANCE_STALE;
    bool level = context->shared_policy == SLUICE_SHARED_LEVEL && walk->call.layer->shared > 0 &&
                 pass.dispatched;
    pass.quota = pass.own->routed;
    pass.dispatch = sl_ids_of(&walk->call.dispatch_ids.view);
    pass.recorder = sl_ids_of(&walk->call.recorder_ids.view);
    if (walk->later && stale)
        cut_routed(&pass);
    if (level && stale)
        cut_shared(&pass);
    else if (level)
        memcpy(pass.room, pass.own->shared, (size_t)pass.shape->ranks * sizeof *pass.room);
    bool in_turn = level && visited_only(&pass) && pass.own->column[0] < 0;
    pass.copies = walk->later && (pass.dispatched || pass.recorded);
    pass.columns = level && !in_turn;
    if (pass.copies || pass.columns)
        sl_walk_again(walk, place_part, &pass);
    if (in_turn)
        place_by_visits(&pass);
    if (walk->later)
        count_choices(&pass);
}

sluice_status sl_balance_run(struct sl_walk *walk, int32_t layer)
{
    sluice_context *context = walk->call.context;
    struct sl_context_balance *balance = context->balance;
    int32_t entries = balance->layers[layer].entries;
    memset(balance->parts, 0,
           (size_t)sl_threads(context) * (size_t)entries * sizeof *balance->parts);
    walk->chosen = balance->parts;
    walk->entries = entries;
    sl_walk_run(walk);
    memcpy(balance->own, balance->parts, (size_t)entries * sizeof *balance->own);
    balance->own[entries] = sl_valid_rows(walk);
    sluice_status status = sl_balance_step(context, layer);
    if (!status)
        place_all(walk, layer);
    return status;
}
