/* SPDX-License-Identifier: Apache-2.0
 * Loads are kept as doubles that hold f32 values where the arithmetic is f32: the quotient or sum
 * of two f32 in f64, rounded to f32, is the f32 operation (53 >= 2 * 24 + 2 bits). */
#include "eplb_map.h"

#include <stdbool.h>
#include <string.h>

/* A load that is to be packed. */
struct item {
    double load;
    int32_t index; /* among the items */
    int32_t pack;
};

/* One node's share, or the whole. */
struct work {
    struct item *items, *spare; /* [most items] each */
    double *quotient;           /* [E] load / copies of each expert */
    double *load;               /* [E] in the order of experts[] */
    double *pack_load;          /* [most packs] */
    int32_t *experts;           /* [E] in the order of packed groups */
    int32_t *holds;             /* [P] which entry of experts[] a replica is of */
    int32_t *pack_items;        /* [most packs] */
    int32_t arithmetic;
};

static int32_t most_of(int32_t a, int32_t b)
{
    return a > b ? a : b;
}

static size_t lay_out(const struct sl_eplb *problem, struct work *work, char *memory)
{
    size_t physical = (size_t)problem->slots * (size_t)problem->ranks;
    size_t experts = (size_t)problem->experts;
    size_t items = physical > (size_t)problem->groups ? physical : (size_t)problem->groups;
    size_t packs = (size_t)most_of(problem->ranks, problem->nodes);
    size_t at = 0;
    const struct {
        void **array;
        size_t bytes;
    } parts[] = {
        {(void **)&work->items, items * sizeof(struct item)},
        {(void **)&work->spare, items * sizeof(struct item)},
        {(void **)&work->quotient, experts * sizeof(double)},
        {(void **)&work->load, experts * sizeof(double)},
        {(void **)&work->pack_load, packs * sizeof(double)},
        {(void **)&work->experts, experts * sizeof(int32_t)},
        {(void **)&work->holds, physical * sizeof(int32_t)},
        {(void **)&work->pack_items, packs * sizeof(int32_t)},
    };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (memory)
            *parts[i].array = memory + at;
        at += (parts[i].bytes + 7) / 8 * 8;
    }
    return at;
}

size_t sl_eplb_bytes(const struct sl_eplb *problem)
{
    struct work work;
    return lay_out(problem, &work, NULL);
}

static double quotient_of(const struct work *work, double load, int32_t copies)
{
    double q = load / copies;
    return work->arithmetic == SL_EPLB_F64_QUOTIENTS ? q : (double)(float)q;
}

static double sum_of(const struct work *work, double sum, double load)
{
    sum += load;
    return work->arithmetic == SL_EPLB_F32 ? (double)(float)sum : sum;
}

/* Greatest first; equal ones stay in their order: runs of eight by insertion, then merged. */
static void sort(struct work *work, int32_t count)
{
    enum { RUN = 8 };
    struct item *from = work->items, *to = work->spare;
    for (int32_t start = 0; start < count; start += RUN) {
        int32_t end = start + RUN < count ? start + RUN : count;
        for (int32_t i = start + 1; i < end; i++) {
            struct item item = from[i];
            int32_t j = i;
            for (; j > start && from[j - 1].load < item.load; j--)
                from[j] = from[j - 1];
            from[j] = item;
        }
    }
    for (int32_t run = RUN; run < count; run *= 2) {
        for (int32_t start = 0; start < count; start += 2 * run) {
            int32_t middle = start + run < count ? start + run : count;
            int32_t end = middle + run < count ? middle + run : count;
            int32_t a = start, b = middle;
            for (int32_t i = start; i < end; i++) {
                bool left = b == end || (a < middle && from[a].load >= from[b].load);
                to[i] = left ? from[a++] : from[b++];
            }
        }
        struct item *swap = from;
        from = to;
        to = swap;
    }
    if (from != work->items)
        memcpy(work->items, from, (size_t)count * sizeof *from);
}

/* items[i] in any order -> items sorted, each with its pack: the greatest first, always to the pack
 * that has the least and is not full. One item a pack: item i is pack i. */
static void pack(struct work *work, int32_t count, int32_t packs)
{
    int32_t each = count / packs;
    if (each == 1) {
        for (int32_t i = 0; i < count; i++)
            work->items[i].pack = i;
        return;
    }
    sort(work, count);
    memset(work->pack_load, 0, (size_t)packs * sizeof *work->pack_load);
    memset(work->pack_items, 0, (size_t)packs * sizeof *work->pack_items);
    for (int32_t i = 0; i < count; i++) {
        int32_t best = 0;
        for (int32_t p = 1; p < packs; p++)
            if (work->pack_load[p] < work->pack_load[best])
                best = p;
        work->items[i].pack = best;
        work->pack_load[best] = sum_of(work, work->pack_load[best], work->items[i].load);
        /* A full pack leaves the race; its sum is not needed any more. */
        if (++work->pack_items[best] == each)
            work->pack_load[best] = 1.0 / 0.0;
    }
}

/* experts[] <- experts in the order of groups as packed to the nodes. */
static void order_groups(const struct sl_eplb *problem, const int64_t *counts, struct work *work)
{
    int32_t size = problem->experts / problem->groups;
    int32_t each = problem->groups / problem->nodes;
    for (int32_t g = 0; g < problem->groups; g++) {
        float sum = 0;
        for (int32_t i = 0; i < size; i++)
            sum += (float)counts[g * size + i];
        work->items[g] = (struct item){.load = (double)sum, .index = g};
    }
    pack(work, problem->groups, problem->nodes);
    memset(work->pack_items, 0, (size_t)problem->nodes * sizeof *work->pack_items);
    for (int32_t i = 0; i < problem->groups; i++) {
        const struct item *item = work->items + i;
        int32_t place = item->pack * each + work->pack_items[item->pack]++;
        for (int32_t k = 0; k < size; k++)
            work->experts[place * size + k] = item->index * size + k;
    }
}

/* Another copy for the greatest load a copy, until `physical` are there; items <- the copies. */
static void replicate(struct work *work, const double *load, int32_t experts, int32_t physical)
{
    /* spare[] is free until the sort: it counts the copies. */
    struct item *copies = work->spare;
    for (int32_t e = 0; e < experts; e++) {
        work->holds[e] = e;
        work->quotient[e] = load[e];
        copies[e].index = 1;
    }
    for (int32_t p = experts; p < physical; p++) {
        int32_t best = 0;
        for (int32_t e = 1; e < experts; e++)
            if (work->quotient[e] > work->quotient[best])
                best = e;
        work->holds[p] = best;
        work->quotient[best] = quotient_of(work, load[best], ++copies[best].index);
    }
    for (int32_t p = 0; p < physical; p++)
        work->items[p] = (struct item){.load = work->quotient[work->holds[p]], .index = p};
}

void sl_eplb_solve(const struct sl_eplb *problem, const int64_t *counts, int32_t *map,
                   void *scratch)
{
    struct work work = {.arithmetic = problem->arithmetic};
    (void)lay_out(problem, &work, scratch);
    order_groups(problem, counts, &work);
    for (int32_t e = 0; e < problem->experts; e++)
        work.load[e] = (double)(float)counts[work.experts[e]];
    int32_t experts = problem->experts / problem->nodes, ranks = problem->ranks / problem->nodes;
    int32_t physical = ranks * problem->slots;
    for (int32_t node = 0; node < problem->nodes; node++) {
        replicate(&work, work.load + (ptrdiff_t)node * experts, experts, physical);
        pack(&work, physical, ranks);
        memset(work.pack_items, 0, (size_t)ranks * sizeof *work.pack_items);
        for (int32_t i = 0; i < physical; i++) {
            const struct item *item = work.items + i;
            int32_t slot = item->pack * problem->slots + work.pack_items[item->pack]++;
            map[node * physical + slot] = work.experts[node * experts + work.holds[item->index]];
        }
    }
}

double sl_eplb_balance(const struct sl_eplb *problem, const int64_t *counts, int64_t spread,
                       const int32_t *map, double *rank_load, int32_t *copies)
{
    int32_t physical = problem->slots * problem->ranks;
    double total = (double)spread, most = 0;
    memset(copies, 0, (size_t)problem->experts * sizeof *copies);
    for (int32_t p = 0; p < physical; p++)
        if (map[p] >= 0)
            copies[map[p]]++;
    for (int32_t e = 0; e < problem->experts; e++)
        total += (double)counts[e];
    for (int32_t r = 0; r < problem->ranks; r++)
        rank_load[r] = (double)spread / problem->ranks;
    for (int32_t p = 0; p < physical; p++)
        if (map[p] >= 0)
            rank_load[p / problem->slots] += (double)counts[map[p]] / copies[map[p]];
    for (int32_t r = 0; r < problem->ranks; r++)
        most = rank_load[r] > most ? rank_load[r] : most;
    return total > 0 ? most / (total / problem->ranks) : 1;
}
