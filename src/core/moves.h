/* SPDX-License-Identifier: Apache-2.0
 * From one map to another: in which order slots are written, from where, and what counts first. */
#ifndef SL_MOVES_H
#define SL_MOVES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Only living ranks count: no copy on a dead one is read, none is written. */
struct sl_moves_world {
    int32_t experts, slots, ranks;
    const int32_t *node;  /* [ranks]; NULL: all on one */
    const uint8_t *alive; /* [ranks]; NULL: all live */
};

struct sl_moves_write {
    int32_t to, expert;
    int32_t group;
    int32_t again; /* 1: the slot is written once more later */
};

/* A map with the living copies of each expert. */
struct sl_moves {
    const struct sl_moves_world *world;
    int32_t *map;    /* [P] the caller's; changed by sl_moves_put */
    int32_t *first;  /* [E] slots, -1: no copy */
    int32_t *next;   /* [P] */
    int32_t *copies; /* [E] */
};

size_t sl_moves_bytes(const struct sl_moves_world *world);
void sl_moves_open(struct sl_moves *moves, const struct sl_moves_world *world, int32_t *map,
                   void *scratch);
void sl_moves_put(struct sl_moves *moves, int32_t to, int32_t expert);

/* Orders `count` writes of distinct slots, whose `again` is 0, into out[], at most 2 * count, and
 * does them: none of them takes an expert's last copy, or else two neighbours change places. A
 * cycle of last copies becomes such pairs, so that one expert of staging is enough; that writes
 * some slots twice. pending[] is used up. Returns how many there are. */
int32_t sl_moves_order(struct sl_moves *moves, struct sl_moves_write *pending, int32_t count,
                       struct sl_moves_write *out);

/* Do writes a and b, one after the other, make two slots change places, as the map is now? */
bool sl_moves_swaps(const struct sl_moves *moves, const struct sl_moves_write *a,
                    const struct sl_moves_write *b);

/* The living copy to take for slot `to`: of its rank, else of its node, else any; among these from
 * the rank that has sent least so far. -1: there is none. */
int32_t sl_moves_source(const struct sl_moves *moves, int32_t expert, int32_t to,
                        const int64_t *sent);

/* Groups of one layer that are taken together. */
struct sl_moves_chunk {
    double gain; /* what the bound falls by, for each unit of cost; all before it in the layer gain
                    * at least as much */
    int32_t layer;
    int32_t first, end; /* groups */
    int32_t must;       /* 1: before all others: experts without a copy get one */
};

/* Cuts the groups of a layer into chunks of falling gain. bound [groups + 1]; cost [groups] > 0;
 * the first `must` groups are one chunk that must be. What does not lower the bound is left out. At
 * most groups + 1 chunks; returns how many. */
int32_t sl_moves_chunks(int32_t layer, int32_t groups, int32_t must, const double *bound,
                        const double *cost, struct sl_moves_chunk *chunk);

/* Greatest gain first, `must` before all; equal ones by layer. Scratch: [count] more chunks. */
void sl_moves_sort(struct sl_moves_chunk *chunk, int32_t count, struct sl_moves_chunk *scratch);

#endif
