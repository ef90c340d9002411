/* SPDX-License-Identifier: Apache-2.0 */
#include "warp.h"

#include <string.h>

#define LAUNCH_FAILED 719
#define STARVED 128 /* warp instructions that a fragment waits before it goes first */

static uint32_t living(const struct warp *w)
{
    return w->lanes & ~w->exited;
}

static void drop(struct warp *w, int i)
{
    w->frags[i] = w->frags[--w->nfrags];
}

/* Lanes that run on at pc, joined with those that already stand there. */
static void put(struct warp *w, uint32_t mask, int32_t pc)
{
    if (!mask)
        return;
    for (int i = 0; i < w->nfrags; i++) {
        if (w->frags[i].state == FRAG_RUN && w->frags[i].pc == pc) {
            w->frags[i].mask |= mask;
            return;
        }
    }
    w->frags[w->nfrags++] = (struct frag){mask, pc, FRAG_RUN, 0, w->executed};
}

static void park(struct warp *w, uint32_t mask, int32_t pc, enum frag_state state, uint32_t member)
{
    for (int i = 0; i < w->nfrags; i++) {
        struct frag *f = &w->frags[i];
        if (f->state == state && f->pc == pc && f->member == member) {
            f->mask |= mask;
            return;
        }
    }
    w->frags[w->nfrags++] = (struct frag){mask, pc, state, member, w->executed};
}

/* The next fragment to run, -1 without; *until: the instruction where it meets another. */
static int pick(struct warp *w, int32_t *until, uint64_t *budget)
{
    int best = -1, oldest = -1, runnable = 0;
    for (int i = 0; i < w->nfrags; i++) {
        if (w->frags[i].state != FRAG_RUN)
            continue;
        runnable++;
        if (best < 0 || w->frags[i].pc < w->frags[best].pc)
            best = i;
        if (oldest < 0 || w->frags[i].last < w->frags[oldest].last)
            oldest = i;
    }
    if (best < 0)
        return -1;
    *budget = runnable > 1 ? STARVED : UINT64_MAX;
    if (runnable > 1 && w->executed - w->frags[oldest].last > STARVED) {
        best = oldest;
        *budget = STARVED / 2;
    }
    *until = INT32_MAX;
    for (int i = 0; i < w->nfrags; i++)
        if (i != best && w->frags[i].state == FRAG_RUN && w->frags[i].pc > w->frags[best].pc &&
            w->frags[i].pc < *until)
            *until = w->frags[i].pc;
    return best;
}

/* Runs the collectives whose lanes are all there; false after a fault. */
static bool collect(struct warp *w)
{
    for (int i = 0; i < w->nfrags; i++) {
        if (w->frags[i].state != FRAG_COLLECT)
            continue;
        struct frag f = w->frags[i];
        uint32_t want = f.member & living(w), here = 0;
        for (int j = 0; j < w->nfrags; j++)
            if (w->frags[j].state == FRAG_COLLECT && w->frags[j].member == f.member)
                here |= w->frags[j].mask;
        if (here != want)
            continue;
        const struct ptx_ins *ins = &w->fn->code[f.pc];
        if (f.mask != want) {
            warp_fault(w, ins, __builtin_ctz(f.mask), LAUNCH_FAILED,
                       "lanes 0x%x of the mask 0x%x wait at another instruction", want & ~f.mask,
                       f.member);
            return false;
        }
        ins->exec(w, ins, f.mask);
        if (w->cta->grid->error)
            return false;
        for (int k = 0; k < ins->nset; k++)
            w->written[ins->set[k]] |= f.mask;
        drop(w, i);
        put(w, f.mask, f.pc + 1);
        i = -1;
    }
    return true;
}

/* Lanes at a collective wait for those of their masks, which may differ from lane to lane. */
static bool gather(struct warp *w, const struct ptx_ins *ins, int32_t pc, uint32_t mask)
{
    const uint64_t *member = warp_source(w, ins, ins->ns - 1);
    while (mask) {
        int first = __builtin_ctz(mask);
        uint32_t m = (uint32_t)member[first], same = 0;
        for (int l = first; l < 32; l++)
            same |= (uint32_t)((mask >> l & 1) && (uint32_t)member[l] == m) << l;
        if (same & ~m) {
            warp_fault(w, ins, first, LAUNCH_FAILED, "the mask 0x%x lacks lanes 0x%x that use it",
                       m, same & ~m);
            return false;
        }
        if (m & ~w->lanes) {
            warp_fault(w, ins, first, LAUNCH_FAILED, "the mask 0x%x names lanes that are not there",
                       m);
            return false;
        }
        park(w, same, pc, FRAG_COLLECT, m);
        mask &= ~same;
    }
    return collect(w);
}

static void branch(struct warp *w, const struct ptx_ins *ins, struct frag f, uint32_t taken)
{
    uint32_t stay = f.mask & ~taken;
    if (ins->form->control == PX_BRANCH) {
        w->cta->grid->counters.divergent_branches += taken && stay;
        put(w, taken, ins->target);
    } else {
        const struct ptx_table *table = &w->fn->tables[ins->target];
        const uint64_t *index = warp_source(w, ins, 0);
        for (int l = 0; l < 32; l++) {
            if (!(taken >> l & 1))
                continue;
            if (index[l] >= (uint64_t)table->count) {
                warp_fault(w, ins, l, LAUNCH_FAILED, "branch %u of a table of %d",
                           (unsigned)index[l], table->count);
                return;
            }
            put(w, 1U << l, table->target[index[l]]);
        }
    }
    put(w, stay, f.pc + 1);
}

static bool arrive(struct warp *w, const struct ptx_ins *ins, struct frag f)
{
    struct cta *cta = w->cta;
    uint64_t id = warp_source(w, ins, 0)[__builtin_ctz(f.mask)];
    uint64_t count = warp_source(w, ins, 1)[__builtin_ctz(f.mask)];
    if (id > 15 || count % 32 || f.mask != living(w)) {
        warp_fault(w, ins, -1, LAUNCH_FAILED, "arrives at barrier %u with a part of the warp",
                   (unsigned)id);
        return false;
    }
    cta->barriers[id].here |= 1ULL << w->index;
    cta->barriers[id].count = (uint32_t)count;
    put(w, f.mask, f.pc + 1);
    return true;
}

/* Instructions that move lanes; `f` has left the list of fragments. False after a fault. */
static bool control(struct warp *w, const struct ptx_ins *ins, struct frag f, uint32_t mask)
{
    switch (ins->form->control) {
    case PX_BRANCH:
    case PX_BRANCH_INDEX:
        branch(w, ins, f, mask);
        return !w->cta->grid->error;
    case PX_EXIT:
        w->exited |= mask;
        put(w, f.mask & ~mask, f.pc + 1);
        return collect(w);
    case PX_TRAP:
        if (mask)
            warp_fault(w, ins, __builtin_ctz(mask), LAUNCH_FAILED, "trap");
        put(w, f.mask & ~mask, f.pc + 1);
        return mask == 0;
    case PX_BARRIER:
        put(w, f.mask & ~mask, f.pc + 1);
        if (mask)
            park(w, mask, f.pc, FRAG_BARRIER, 0);
        return true;
    case PX_ARRIVE:
        return arrive(w, ins, f);
    default:
        put(w, f.mask & ~mask, f.pc + 1);
        return gather(w, ins, f.pc, mask);
    }
}

static void count(struct warp *w, const struct ptx_ins *ins)
{
    struct grid *grid = w->cta->grid;
    grid->counters.by_class[ins->cls]++;
    grid->counters.warp_instructions++;
    w->executed++;
    grid->budget--;
}

/* All sources were written by the lanes that read them. A move of what was not is allowed, as
 * compiled code does it, and gives what was not. */
static bool sources_written(struct warp *w, const struct ptx_ins *ins, uint32_t mask)
{
    uint32_t missing = 0;
    for (int k = 0; k < ins->ncheck; k++)
        missing |= mask & ~w->written[ins->check[k]];
    if (!missing)
        return true;
    if (ins->cls == PCL_MOVE) {
        for (int k = 0; k < ins->nset; k++)
            w->written[ins->set[k]] &= ~missing;
        return true;
    }
    warp_fault(w, ins, __builtin_ctz(missing), LAUNCH_FAILED,
               "reads a register that was never written");
    return false;
}

static void set_clock(struct warp *w)
{
    uint64_t now = w->cta->grid->counters.warp_instructions;
    for (int l = 0; l < 32; l++) {
        w->rows[SR_CLOCK][l] = (uint32_t)now;
        w->rows[SR_CLOCK64][l] = w->rows[SR_GLOBALTIMER][l] = now;
    }
}

/* One instruction of fragment i; false when its lanes have been moved. */
static bool step(struct warp *w, int i, enum run_result *result)
{
    struct frag *f = &w->frags[i];
    const struct ptx_ins *ins = &w->fn->code[f->pc];
    uint32_t mask = f->mask;
    if (ins->guard != PTX_NO_ROW) {
        if (mask & ~w->written[w->fn->rows + ins->guard]) {
            warp_fault(w, ins, __builtin_ctz(mask), LAUNCH_FAILED, "a guard never written");
            return false;
        }
        mask &= ins->guard_not ? ~w->preds[ins->guard] : w->preds[ins->guard];
    }
    count(w, ins);
    if (ins->reads_clock)
        set_clock(w);
    if (mask) {
        for (int k = 0; ins->cls == PCL_MOVE && k < ins->nset; k++)
            w->written[ins->set[k]] |= mask;
        if (!sources_written(w, ins, mask))
            return false;
    }
    if (ins->form->control != PX_NONE && ins->form->control != PX_POLL) {
        struct frag moved = *f;
        drop(w, i);
        (void)control(w, ins, moved, mask);
        return false;
    }
    if (mask) {
        ins->exec(w, ins, mask);
        for (int k = 0; ins->cls != PCL_MOVE && k < ins->nset; k++)
            w->written[ins->set[k]] |= mask;
    }
    f->last = w->executed;
    if (ins->form->control == PX_POLL) {
        *result = w->poll_pc == f->pc ? RUN_YIELD : *result;
        w->poll_pc = f->pc;
    }
    f->pc++;
    return true;
}

enum run_result warp_run(struct warp *w)
{
    struct grid *grid = w->cta->grid;
    enum run_result result = RUN_BLOCKED;
    for (;;) {
        int32_t until;
        uint64_t budget;
        int i = pick(w, &until, &budget);
        if (i < 0)
            return living(w) ? RUN_BLOCKED : RUN_DONE;
        while (step(w, i, &result) && !grid->error && result != RUN_YIELD) {
            if (grid->budget == 0)
                break;
            if (w->frags[i].pc == until || --budget == 0)
                break;
        }
        if (!grid->error && grid->budget == 0)
            warp_fault(w, &w->fn->code[w->frags[0].pc], -1, 702, "no end in sight: watchdog");
        if (grid->error)
            return RUN_FAULT;
        /* Fragments that stand at one instruction become one. */
        if (i < w->nfrags && w->frags[i].state == FRAG_RUN && w->frags[i].pc == until) {
            struct frag met = w->frags[i];
            drop(w, i);
            put(w, met.mask, met.pc);
        }
        if (result == RUN_YIELD)
            return RUN_YIELD;
    }
}

void warp_release(struct warp *w)
{
    uint32_t mask = 0;
    int32_t pc = 0;
    for (int i = w->nfrags - 1; i >= 0; i--) {
        if (w->frags[i].state == FRAG_BARRIER) {
            mask |= w->frags[i].mask;
            pc = w->frags[i].pc;
            drop(w, i);
        }
    }
    const struct ptx_ins *ins = &w->fn->code[pc];
    for (int k = 0; k < ins->nset; k++)
        w->written[ins->set[k]] |= mask;
    put(w, mask, pc + 1);
}
