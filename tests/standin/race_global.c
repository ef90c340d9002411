/* SPDX-License-Identifier: Apache-2.0 */
#include "race_global.h"

#include <stdlib.h>
#include <string.h>

#define PAGE_WORDS 128
#define CHUNK_BYTES 65536
#define HINTS_MAX 8 /* at one flag: they serve messages only */

struct stamp {
    uint32_t block, block_clock, lane_clock;
    int32_t line;
    uint16_t thread;                        /* of the block, + 1; 0: none */
    uint8_t bytes;                          /* of the word */
    bool strong : 1, narrow : 1, alike : 1; /* narrow: the scope ends at the block */
};

struct cell {
    struct stamp write, read[2]; /* the second reader is of another block, if there was one */
    struct know *release;        /* a chain of links */
};

/* A moment of a thread: what it had done and knew. Or a link: `before` and `also` together. */
struct know {
    struct know *before, *also;
    uint64_t visited;
    uint32_t block, warp, nwarps;
    bool is_link, released, narrow;
    bool open;       /* all of a chain is released, at scopes beyond the block */
    uint32_t hints;  /* of a chain: what is not released */
    uint32_t *lanes; /* [32] */
    uint32_t *warps; /* [nwarps] */
};

struct page {
    uint64_t number;
    struct cell cells[PAGE_WORDS];
};

struct chunk {
    struct chunk *next;
    size_t used;
    uint64_t room[CHUNK_BYTES / 8];
};

struct race_log {
    struct page **table;
    size_t room, count;
    struct page *last;
    struct chunk *chunks;
    uint64_t search;
};

static void *get(size_t bytes)
{
    void *got = calloc(1, bytes);
    if (!got)
        abort();
    return got;
}

struct race_log *race_log_make(void)
{
    struct race_log *log = get(sizeof *log);
    log->room = 64;
    log->table = get(log->room * sizeof(struct page *));
    return log;
}

void race_log_free(struct race_log *log)
{
    for (size_t i = 0; i < log->room; i++)
        free(log->table[i]);
    free(log->table);
    while (log->chunks) {
        struct chunk *next = log->chunks->next;
        free(log->chunks);
        log->chunks = next;
    }
    free(log);
}

static void *take(struct race_log *log, size_t bytes)
{
    bytes = (bytes + 7) / 8 * 8;
    if (!log->chunks || log->chunks->used + bytes > CHUNK_BYTES) {
        struct chunk *chunk = get(sizeof *chunk);
        chunk->next = log->chunks;
        log->chunks = chunk;
    }
    void *at = (char *)log->chunks->room + log->chunks->used;
    log->chunks->used += bytes;
    return at;
}

static struct page **slot_of(const struct race_log *log, uint64_t number)
{
    size_t i = (size_t)(number * 0x9E3779B97F4A7C15U >> 32) & (log->room - 1);
    while (log->table[i] && log->table[i]->number != number)
        i = (i + 1) & (log->room - 1);
    return &log->table[i];
}

static void widen(struct race_log *log)
{
    struct page **old = log->table;
    size_t n = log->room;
    log->room *= 2;
    log->table = get(log->room * sizeof(struct page *));
    for (size_t i = 0; i < n; i++)
        if (old[i])
            *slot_of(log, old[i]->number) = old[i];
    free(old);
}

static struct cell *cell_of(struct race_log *log, uint64_t address)
{
    uint64_t word = address / 4, number = word / PAGE_WORDS;
    if (!log->last || log->last->number != number) {
        struct page **slot = slot_of(log, number);
        if (!*slot) {
            if (2 * ++log->count > log->room) {
                widen(log);
                slot = slot_of(log, number);
            }
            *slot = get(sizeof **slot);
            (*slot)->number = number;
        }
        log->last = *slot;
    }
    return &log->last->cells[word % PAGE_WORDS];
}

/* ------------------------------------------------------------------------------- what is known */

static struct know *linked(struct race_log *log, struct know *before, struct know *also)
{
    if (!before || before == also)
        return also;
    if (!also)
        return before;
    struct know *link = take(log, sizeof *link);
    *link = (struct know){.before = before,
                          .also = also,
                          .is_link = true,
                          .open = before->open && also->open,
                          .hints = before->hints + also->hints};
    return link;
}

/* The lane's moment; what it does from now on is later. */
static struct know *moment(struct warp *w, int lane, bool released, bool narrow)
{
    struct race_log *log = w->cta->grid->races;
    uint32_t n = w->cta->nwarps;
    struct know *now = take(log, sizeof *now + (32 + n) * sizeof(uint32_t));
    *now = (struct know){.before = w->sync[lane].known,
                         .block = (uint32_t)w->cta->linear,
                         .warp = w->index,
                         .nwarps = n,
                         .released = released,
                         .narrow = narrow,
                         .open = released && !narrow,
                         .hints = !released};
    now->lanes = (uint32_t *)(void *)(now + 1);
    now->warps = now->lanes + 32;
    w->lane_clock[lane][lane]++;
    memcpy(now->lanes, w->lane_clock[lane], 32 * sizeof(uint32_t));
    memcpy(now->warps, w->block_clock, n * sizeof(uint32_t));
    return now;
}

static bool holds(const struct know *k, const struct stamp *s)
{
    uint32_t thread = s->thread - 1U;
    if (k->is_link || k->block != s->block)
        return false;
    return thread / 32 == k->warp ? k->lanes[thread % 32] > s->lane_clock
                                  : k->warps[thread / 32] > s->block_clock;
}

static bool covers(struct know *k, const struct stamp *s, uint64_t search)
{
    for (; k && k->visited != search; k = k->also) {
        k->visited = search;
        if (holds(k, s) || covers(k->before, s, search))
            return true;
    }
    return false;
}

static bool is_known(const struct warp *w, struct know *k, const struct stamp *s)
{
    return k && covers(k, s, ++w->cta->grid->races->search);
}

static bool ordered(const struct warp *w, int lane, const struct stamp *s)
{
    if (s->block == (uint32_t)w->cta->linear) {
        uint32_t other = (s->thread - 1U) / 32, other_lane = (s->thread - 1U) % 32;
        if (other != w->index
                ? w->block_clock[other] > s->block_clock
                : (int)other_lane == lane || w->lane_clock[lane][other_lane] > s->lane_clock)
            return true;
    }
    return is_known(w, w->sync[lane].known, s);
}

/* ------------------------------------------------------------------------------------ checks */

static bool narrow_scope(const struct ptx_ins *ins)
{
    int scope = ins->mod[PK_SCOPE];
    return scope == PO_CTA || scope == PO_CLUSTER;
}

static const char *hint(const struct warp *w, int lane, const struct stamp *s,
                        const struct stamp *mine)
{
    if (s->strong && mine->strong)
        return "; the scope of one of them ends at its block";
    if (is_known(w, w->sync[lane].pending, s))
        return "; no fence or .acquire follows the load that saw the flag";
    if (is_known(w, w->sync[lane].lost, s))
        return "; the flag was stored without a release (a fence before it, or .release) at a "
               "scope that reaches here";
    return "";
}

/* False after a report. */
static bool check(struct warp *w, const struct ptx_ins *ins, int lane, uint64_t address,
                  const struct stamp *s, const struct stamp *mine, bool was_store, bool is_store)
{
    const struct cta *cta = w->cta;
    if (!s->thread || !(s->bytes & mine->bytes))
        return true;
    if (s->strong && mine->strong && (s->block == mine->block || (!s->narrow && !mine->narrow)))
        return true;
    if (ordered(w, lane, s))
        return true;
    const uint32_t *blocks = cta->grid->blocks;
    warp_fault(w, ins, lane, 719,
               "race in global memory at 0x%llx: %s, and block (%u,%u,%u), thread %d %s at PTX "
               "line %d, unordered%s",
               (unsigned long long)address, is_store ? "stores" : "loads", s->block % blocks[0],
               s->block / blocks[0] % blocks[1], s->block / blocks[0] / blocks[1], s->thread - 1,
               was_store ? "stored" : "loaded", s->line, hint(w, lane, s, mine));
    return false;
}

/* Adds to a list what is not among its latest: who polls sees the same again and again. */
static void remember(struct race_log *log, struct know **list, struct know *what, uint32_t hints)
{
    const struct know *k = *list;
    for (int i = 0; k && i < 16; i++, k = k->is_link ? k->also : NULL)
        if (k == what || (k->is_link && k->before == what))
            return;
    if (*list && (*list)->hints >= hints)
        *list = NULL;
    *list = linked(log, what, *list);
}

/* What a strong load sees at a flag: `takes` what it may rely on, and what is lost on it. */
static void observe(struct warp *w, int lane, struct know *release, bool narrow,
                    struct know **takes)
{
    struct race_log *log = w->cta->grid->races;
    struct know *good = NULL;
    bool all = release->open && !narrow;
    for (struct know *k = all ? NULL : release; k; k = k->is_link ? k->also : NULL) {
        struct know *at = k->is_link ? k->before : k;
        bool same_block = at->block == (uint32_t)w->cta->linear;
        if (at->released && (same_block || (!at->narrow && !narrow)))
            good = linked(log, at, good);
        else
            remember(log, &w->sync[lane].lost, at, 4 * HINTS_MAX);
    }
    good = all ? release : good;
    if (good)
        remember(log, takes, good, UINT32_MAX);
}

/* What a store of a flag gives on, after what an atomic found there. */
static struct know *give(struct warp *w, const struct ptx_ins *ins, int lane, struct know *found)
{
    struct race_log *log = w->cta->grid->races;
    int order = ins->mod[PK_SEM];
    struct know *fenced = w->sync[lane].fenced;
    if (order == PM_RELEASE || order == PM_ACQ_REL)
        return linked(log, moment(w, lane, true, narrow_scope(ins)), found);
    const struct know *head = found && found->is_link ? found->before : found;
    if (fenced && head != fenced)
        found = linked(log, fenced, found);
    if (fenced || (found && found->hints >= HINTS_MAX))
        return found;
    return linked(log, moment(w, lane, false, narrow_scope(ins)), found);
}

static void synchronise(struct warp *w, const struct ptx_ins *ins, int lane, struct cell *cell,
                        enum race_kind kind, bool strong)
{
    int order = ins->mod[PK_SEM];
    bool acquires = order == PM_ACQUIRE || order == PM_ACQ_REL;
    struct lane_sync *sync = &w->sync[lane];
    if (strong && kind != RACE_STORE && cell->release)
        observe(w, lane, cell->release, narrow_scope(ins),
                acquires ? &sync->known : &sync->pending);
    if (kind != RACE_LOAD)
        cell->release =
            strong ? give(w, ins, lane, kind == RACE_CHANGE ? cell->release : NULL) : NULL;
}

static void word_access(struct warp *w, const struct ptx_ins *ins, int lane, uint64_t address,
                        const struct stamp *mine, enum race_kind kind, bool same)
{
    struct cell *cell = cell_of(w->cta->grid->races, address);
    bool store = kind != RACE_LOAD, unordered = false;
    if (cell->write.thread) {
        if (kind == RACE_STORE && same && !mine->strong)
            unordered = !ordered(w, lane, &cell->write);
        else if (!(cell->write.alike && !store) &&
                 !check(w, ins, lane, address, &cell->write, mine, true, store))
            return;
    }
    w->cta->grid->counters.same_value_stores += unordered;
    if (!store) {
        if (cell->read[0].thread && cell->read[0].block != mine->block)
            cell->read[1] = cell->read[0];
        cell->read[0] = *mine;
        return;
    }
    for (int i = 0; i < 2; i++)
        if (!same && !check(w, ins, lane, address, &cell->read[i], mine, false, true))
            return;
    cell->write = *mine;
    cell->write.alike = unordered;
}

static bool is_strong(const struct ptx_ins *ins)
{
    int order = ins->mod[PK_SEM];
    return ins->cls == PCL_ATOMIC || (order != PM_NONE && order != PM_WEAK);
}

bool race_reach(struct warp *w, const struct ptx_ins *ins, int lane, bool store,
                const struct mem_alloc *alloc)
{
    const struct lane_sync *sync = &w->sync[lane];
    int device = w->cta->grid->device, order = ins->mod[PK_SEM];
    if (!is_strong(ins))
        return true;
    uint64_t devices = __atomic_or_fetch(alloc->strong, 1ULL << device, __ATOMIC_RELAXED);
    bool far = alloc->device != device || (devices & ~(1ULL << device));
    bool wide = order == PM_VOLATILE || ins->mod[PK_SCOPE] == PO_SYS;
    bool stale = store && sync->fenced && sync->near && order != PM_RELEASE && order != PM_ACQ_REL;
    if (!far || (wide && !stale))
        return true;
    warp_fault(w, ins, lane, 719, "%s ends at the device, and others use this memory: .sys reaches",
               wide ? "the fence before it" : "its scope");
    return false;
}

void race_global(struct warp *w, const struct ptx_ins *ins, int lane, uint64_t address,
                 uint32_t bytes, enum race_kind kind, const void *value, const void *now)
{
    int order = ins->mod[PK_SEM];
    bool strong =
        kind == RACE_CHANGE || ins->cls == PCL_ATOMIC || (order != PM_NONE && order != PM_WEAK);
    bool same = kind == RACE_STORE && memcmp(value, now, bytes) == 0;
    struct stamp mine = {(uint32_t)w->cta->linear,
                         w->block_clock[w->index],
                         w->lane_clock[lane][lane],
                         ins->line,
                         (uint16_t)(w->index * 32 + (uint32_t)lane + 1),
                         0,
                         strong,
                         strong && narrow_scope(ins),
                         false};
    for (uint64_t at = address; at < address + bytes; at += 4 - at % 4) {
        uint64_t n = address + bytes - at < 4 - at % 4 ? address + bytes - at : 4 - at % 4;
        mine.bytes = (uint8_t)(((1U << n) - 1) << at % 4);
        word_access(w, ins, lane, at, &mine, kind, same);
        if (w->cta->grid->error)
            return;
    }
    if (strong || kind == RACE_STORE)
        synchronise(w, ins, lane, cell_of(w->cta->grid->races, address), kind, strong);
}

void race_fence(struct warp *w, const struct ptx_ins *ins, uint32_t mask)
{
    bool narrow = narrow_scope(ins) || strcmp(ins->form->name, "membar.cta") == 0;
    bool far = ins->mod[PK_SCOPE] == PO_SYS || strcmp(ins->form->name, "membar.sys") == 0;
    struct race_log *log = w->cta->grid->races;
    for (int l = 0; l < 32; l++) {
        if (!(mask >> l & 1))
            continue;
        struct lane_sync *sync = &w->sync[l];
        if (!narrow) {
            sync->known = linked(log, sync->pending, sync->known);
            sync->pending = NULL;
        }
        sync->fenced = moment(w, l, true, narrow);
        sync->near = !far;
    }
}

/* ------------------------------------------------------------------------------------ barriers */

static struct know *together(struct warp *w, uint32_t mask, struct know *sum)
{
    struct know *last = NULL;
    for (int l = 0; l < 32; l++) {
        struct know *known = w->sync[l].known;
        if ((mask >> l & 1) && known && known != last && known != sum)
            sum = linked(w->cta->grid->races, known, sum);
        last = (mask >> l & 1) && known ? known : last;
    }
    return sum;
}

static void tell(struct warp *w, uint32_t mask, struct know *sum)
{
    for (int l = 0; l < 32; l++)
        if (mask >> l & 1)
            w->sync[l].known = sum;
}

void race_share(struct warp *w, uint32_t mask)
{
    struct know *sum = together(w, mask, NULL);
    if (sum)
        tell(w, mask, sum);
}

void race_share_block(struct cta *cta, uint64_t warps)
{
    struct know *sum = NULL;
    for (uint32_t i = 0; i < cta->nwarps; i++)
        if (warps >> i & 1)
            sum = together(&cta->warps[i], cta->warps[i].lanes, sum);
    for (uint32_t i = 0; sum && i < cta->nwarps; i++)
        if (warps >> i & 1)
            tell(&cta->warps[i], cta->warps[i].lanes, sum);
}
