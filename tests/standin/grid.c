/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks of a grid in turn. A block runs until it ends; only one that polls lets others begin, up
 * to as many as a device holds, and all of those that wait give the processor away. */
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "race_global.h"

#define LAUNCH_FAILED 719
#define RESIDENT 264

static void *get(size_t bytes)
{
    void *got = calloc(1, bytes ? bytes : 1);
    if (!got)
        abort();
    return got;
}

static void special_rows(struct warp *w)
{
    const struct cta *cta = w->cta;
    const struct grid *g = cta->grid;
    for (uint32_t l = 0; l < 32; l++) {
        uint32_t thread = w->index * 32 + l;
        uint64_t values[SR_COUNT] = {thread % g->threads[0],
                                     thread / g->threads[0] % g->threads[1],
                                     thread / g->threads[0] / g->threads[1],
                                     g->threads[0],
                                     g->threads[1],
                                     g->threads[2],
                                     cta->id[0],
                                     cta->id[1],
                                     cta->id[2],
                                     g->blocks[0],
                                     g->blocks[1],
                                     g->blocks[2],
                                     l,
                                     w->index,
                                     cta->nwarps,
                                     cta->linear % 132,
                                     132,
                                     g->id,
                                     1U << l,
                                     (1U << l) - 1,
                                     (uint32_t)((2ULL << l) - 1),
                                     ~(uint32_t)((2ULL << l) - 1),
                                     ~((1U << l) - 1),
                                     g->dynamic_shared,
                                     cta->shared_bytes};
        for (int s = 0; s < SR_COUNT; s++)
            w->rows[s][l] = values[s];
    }
    for (int s = 0; s < SR_COUNT; s++)
        w->written[s] = WARP_FULL;
}

/* The memory of a warp; what it holds is put right by warp_start. */
static void warp_make(struct warp *w, const struct cta *cta)
{
    const struct ptx_function *fn = cta->grid->fn;
    w->rows = get((size_t)fn->rows * sizeof *w->rows);
    w->written = get((size_t)(fn->rows + fn->preds) * sizeof *w->written);
    w->preds = get((size_t)fn->preds * sizeof *w->preds);
    w->local = get(32 * (size_t)fn->local_bytes);
    w->local_init = get(32 * (size_t)fn->local_bytes);
    w->block_clock = get(cta->nwarps * sizeof *w->block_clock);
    w->lane_clock = get(32 * sizeof *w->lane_clock);
    w->sync = get(32 * sizeof *w->sync);
}

static void warp_start(struct warp *w, struct cta *cta, uint32_t index, uint32_t threads)
{
    const struct ptx_function *fn = cta->grid->fn;
    w->cta = cta;
    w->fn = fn;
    w->index = index;
    uint32_t left = threads - index * 32;
    w->lanes = left >= 32 ? WARP_FULL : (1U << left) - 1;
    w->exited = 0;
    w->executed = 0;
    w->cache = NULL;
    memset(w->written, 0, (size_t)(fn->rows + fn->preds) * sizeof *w->written);
    memset(w->preds, 0, (size_t)fn->preds * sizeof *w->preds);
    w->preds[1] = WARP_FULL;
    w->written[fn->rows] = w->written[fn->rows + 1] = WARP_FULL;
    memset(w->local_init, 0, 32 * (size_t)fn->local_bytes);
    memset(w->block_clock, 0, cta->nwarps * sizeof *w->block_clock);
    w->block_clock[index] = 1;
    memset(w->lane_clock, 0, 32 * sizeof *w->lane_clock);
    for (int l = 0; l < 32; l++)
        w->lane_clock[l][l] = 1;
    memset(w->sync, 0, 32 * sizeof *w->sync);
    w->poll_pc = -1;
    w->frags[0] = (struct frag){w->lanes, 0, FRAG_RUN, 0, 0};
    w->nfrags = 1;
    special_rows(w);
}

static struct cta *cta_make(struct grid *grid)
{
    struct cta *cta = get(sizeof *cta);
    cta->grid = grid;
    cta->nwarps = (grid->threads[0] * grid->threads[1] * grid->threads[2] + 31) / 32;
    cta->shared_bytes = grid->fn->shared_bytes;
    if (grid->dynamic_shared)
        cta->shared_bytes = (cta->shared_bytes + 15) / 16 * 16 + grid->dynamic_shared;
    cta->shared = get(cta->shared_bytes);
    cta->shared_init = get(cta->shared_bytes);
    cta->cells = get((cta->shared_bytes / 4 + 1) * race_cell_bytes());
    cta->warps = get(cta->nwarps * sizeof *cta->warps);
    for (uint32_t i = 0; i < cta->nwarps; i++)
        warp_make(&cta->warps[i], cta);
    return cta;
}

static void cta_start(struct cta *cta, uint64_t linear)
{
    const struct grid *grid = cta->grid;
    uint32_t threads = grid->threads[0] * grid->threads[1] * grid->threads[2];
    cta->linear = linear;
    cta->id[0] = (uint32_t)(linear % grid->blocks[0]);
    cta->id[1] = (uint32_t)(linear / grid->blocks[0] % grid->blocks[1]);
    cta->id[2] = (uint32_t)(linear / grid->blocks[0] / grid->blocks[1]);
    memset(cta->shared, MEM_POISON_NEW, cta->shared_bytes);
    memset(cta->shared_init, 0, cta->shared_bytes);
    memset(cta->cells, 0, (cta->shared_bytes / 4 + 1) * race_cell_bytes());
    memset(cta->barriers, 0, sizeof cta->barriers);
    for (uint32_t i = 0; i < cta->nwarps; i++)
        warp_start(&cta->warps[i], cta, i, threads);
}

static void count_longest(const struct cta *cta)
{
    struct standin_counters *c = &cta->grid->counters;
    for (uint32_t i = 0; i < cta->nwarps; i++)
        if (cta->warps[i].executed > c->longest_warp)
            c->longest_warp = cta->warps[i].executed;
}

static void cta_end(struct cta *cta)
{
    for (uint32_t i = 0; i < cta->nwarps; i++) {
        struct warp *w = &cta->warps[i];
        free(w->rows);
        free(w->written);
        free(w->preds);
        free(w->local);
        free(w->local_init);
        free(w->block_clock);
        free(w->lane_clock);
        free(w->sync);
    }
    free(cta->warps);
    free(cta->shared);
    free(cta->shared_init);
    free(cta->cells);
    free(cta);
}

/* Does the whole warp stand at one barrier? False, after a fault or when it does not yet. */
static bool at_barrier(struct warp *w, uint32_t *id)
{
    const struct ptx_ins *ins = NULL;
    if (w->nfrags == 0)
        return false;
    for (int i = 0; i < w->nfrags; i++) {
        const struct frag *f = &w->frags[i];
        if (f->state != FRAG_BARRIER)
            return false;
        ins = &w->fn->code[f->pc];
        if (f->pc != w->frags[0].pc) {
            warp_fault(w, ins, __builtin_ctz(f->mask), LAUNCH_FAILED,
                       "lanes of one warp stand at different barriers");
            return false;
        }
    }
    if (w->exited) {
        warp_fault(w, ins, __builtin_ctz(w->frags[0].mask), LAUNCH_FAILED,
                   "lanes 0x%x have left and miss the barrier", w->exited);
        return false;
    }
    uint64_t wanted = warp_source(w, ins, 0)[__builtin_ctz(w->frags[0].mask)];
    if (wanted > 15) {
        warp_fault(w, ins, -1, LAUNCH_FAILED, "barrier %u of 16", (unsigned)wanted);
        return false;
    }
    *id = (uint32_t)wanted;
    return true;
}

/* bar.red gives all threads what their predicates are together. */
static void reduce(struct cta *cta, uint64_t warps)
{
    uint32_t total = 0, threads = 0;
    for (uint32_t i = 0; i < cta->nwarps; i++) {
        struct warp *w = &cta->warps[i];
        const struct ptx_ins *ins = &w->fn->code[w->frags[0].pc];
        if (!(warps >> i & 1) || !ins->nq)
            continue;
        uint32_t p = w->preds[ins->q[0]] ^ (ins->q_not[0] ? WARP_FULL : 0);
        total += (uint32_t)__builtin_popcount(p & w->lanes);
        threads += (uint32_t)__builtin_popcount(w->lanes);
    }
    for (uint32_t i = 0; i < cta->nwarps; i++) {
        struct warp *w = &cta->warps[i];
        const struct ptx_ins *ins = &w->fn->code[w->frags[0].pc];
        if (!(warps >> i & 1) || !ins->nq)
            continue;
        bool holds = ins->form->name[8] == 'a' ? total == threads : total > 0;
        if (ins->p[0] != PTX_NO_ROW)
            w->preds[ins->p[0]] = holds ? WARP_FULL : 0;
        for (int l = 0; ins->nd && l < 32; l++)
            w->rows[ins->d[0]][l] = total;
    }
}

/* Lets go whom a barrier holds no longer. True when it let someone go. */
static bool barriers(struct cta *cta)
{
    bool any = false;
    uint64_t waiting[16] = {0};
    for (uint32_t i = 0; i < cta->nwarps; i++) {
        struct warp *w = &cta->warps[i];
        uint32_t id;
        if (!at_barrier(w, &id))
            continue;
        const struct ptx_ins *ins = &w->fn->code[w->frags[0].pc];
        if (ins->ns > 1)
            cta->barriers[id].count =
                (uint32_t)warp_source(w, ins, 1)[__builtin_ctz(w->frags[0].mask)];
        cta->barriers[id].here |= 1ULL << i;
        waiting[id] |= 1ULL << i;
    }
    for (int id = 0; id < 16 && !cta->grid->error; id++) {
        struct barrier *b = &cta->barriers[id];
        uint32_t want = b->count ? (b->count + 31) / 32 : cta->nwarps;
        if (!b->here || (uint32_t)__builtin_popcountll(b->here) < want)
            continue;
        reduce(cta, waiting[id]);
        race_barrier(cta, b->here);
        for (uint32_t i = 0; i < cta->nwarps; i++)
            if (waiting[id] >> i & 1)
                warp_release(&cta->warps[i]);
        *b = (struct barrier){0};
        any = true;
    }
    return any;
}

static void deadlock(struct cta *cta)
{
    for (uint32_t i = 0; i < cta->nwarps; i++) {
        struct warp *w = &cta->warps[i];
        if (w->nfrags) {
            const struct frag *f = &w->frags[0];
            warp_fault(w, &w->fn->code[f->pc], __builtin_ctz(f->mask), LAUNCH_FAILED,
                       "waits for ever: lanes 0x%x are here, 0x%x have left%s", f->mask, w->exited,
                       f->state == FRAG_COLLECT ? ", the mask names others" : "");
            return;
        }
    }
}

static enum run_result cta_run(struct cta *cta)
{
    for (;;) {
        bool done = true, yields = false;
        for (uint32_t i = 0; i < cta->nwarps; i++) {
            struct warp *w = &cta->warps[i];
            if (w->exited == w->lanes)
                continue;
            enum run_result r = warp_run(w);
            if (r == RUN_FAULT)
                return r;
            done = done && r == RUN_DONE;
            yields = yields || r == RUN_YIELD;
        }
        if (done)
            return RUN_DONE;
        bool moved = barriers(cta);
        if (cta->grid->error)
            return RUN_FAULT;
        if (moved)
            continue;
        if (yields)
            return RUN_YIELD;
        bool stuck = true;
        for (uint32_t i = 0; i < cta->nwarps; i++)
            for (int k = 0; k < cta->warps[i].nfrags; k++)
                stuck = stuck && cta->warps[i].frags[k].state != FRAG_RUN;
        if (stuck) {
            deadlock(cta);
            return cta->grid->error ? RUN_FAULT : RUN_DONE;
        }
    }
}

void grid_run(struct grid *grid)
{
    uint64_t total = (uint64_t)grid->blocks[0] * grid->blocks[1] * grid->blocks[2], next = 0;
    struct cta *resident[RESIDENT]; /* running ones first, then those to be used again */
    int n = 0, made = 0;
    grid->races = race_log_make();
    while ((n > 0 || next < total) && !grid->error) {
        bool ended = false;
        if (n < RESIDENT && next < total) {
            if (n == made)
                resident[made++] = cta_make(grid);
            cta_start(resident[n++], next++);
        }
        for (int i = 0; i < n && !grid->error; i++) {
            if (cta_run(resident[i]) == RUN_DONE) {
                struct cta *done = resident[i];
                count_longest(done);
                resident[i--] = resident[--n];
                resident[n] = done;
                ended = true;
            }
        }
        if (!ended && (n == RESIDENT || next == total))
            (void)sched_yield();
    }
    while (made > 0)
        cta_end(resident[--made]);
    race_log_free(grid->races);
}
