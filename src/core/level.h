/* SPDX-License-Identifier: Apache-2.0
 * One layer's placement, judged by what the step balancer can make of it (BALANCE.md 2) and changed
 * in few slots. Only living ranks are here, numbered from 0. */
#ifndef SL_LEVEL_H
#define SL_LEVEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SL_LEVEL_WINDOWS = 64 };

struct sl_level_problem {
    int32_t experts;       /* E */
    int32_t ranks;         /* that live */
    int32_t slots;         /* N; E <= N * ranks */
    int32_t windows;       /* 1 ... SL_LEVEL_WINDOWS, of which the worst counts */
    const int64_t *load;   /* [windows * E] >= 0; a window's loads and spread sum to < 2^62 */
    const int64_t *spread; /* [windows] >= 0: units that any rank may serve */
    double target;         /* greatest / mean that is enough; at most 1: as level as it gets */
    int64_t work;          /* most units: one is a rank or an expert looked at; 0: no limit */
    int32_t layer_slots, rank_slots; /* that a repair may write here; 0: no limit */
    int32_t (*stop)(void *user);     /* asked before each trial; NULL: never ends the search */
    void *user;
};

/* A slot of the present map that is written. Group after group, each with its bound, leads from the
 * present map to the new one; within a group there is no order. */
struct sl_level_write {
    int32_t slot, expert;
    int32_t group; /* rising by at most 1 */
};

struct sl_level {
    struct sl_level_problem problem;
    int32_t physical; /* P = N * ranks */
    int32_t written;  /* entries of write[] */
    int32_t groups;
    bool stopped;                 /* by `stop` */
    int64_t work;                 /* units used */
    int32_t *map;                 /* [P] -1: empty */
    int32_t *origin;              /* [P] the map that was given */
    struct sl_level_write *write; /* [P] */
    double *bound;                /* [P + 1] before, and after each group: of the worst window */

    /* The rest is the search's own. */
    int32_t *rank_of;                     /* [P] */
    int32_t *first, *next;                /* [E], [P] copies of an expert, -1: none more */
    int32_t *copies;                      /* [E] how many */
    int64_t *share, *rank_load;           /* [windows * P], [windows * ranks] */
    int64_t *saved;                       /* [windows * (P + ranks)] */
    int32_t *queue, *came_from, *came_to; /* [ranks] a walk: slots that pass load on */
    uint8_t *seen;                        /* [windows * ranks] reached from too full ranks */
    struct sl_level_write *kept, *best;   /* [P] each */
    int64_t *fixed;                       /* [windows * ranks] load that only the rank serves */
    uint8_t *cut;                         /* [windows * ranks] of before the trials */
    int32_t *list;                        /* [P + E] candidates */
    double *key;                          /* [P + E + 2 * ranks] by which they are ordered */
    int32_t *rank_written;                /* [ranks] slots written */
    int64_t cap[SL_LEVEL_WINDOWS];        /* at which a rank is full */
    int64_t least[SL_LEVEL_WINDOWS];      /* the mean, rounded up */
    double mean[SL_LEVEL_WINDOWS];
};

/* Bytes of scratch, aligned to 8. Only experts, ranks, slots and windows are read. */
size_t sl_level_bytes(const struct sl_level_problem *problem);

/* Begins from `map` [P], -1: empty. An expert may have no copy, or two on one rank. Load of an
 * expert without a copy counts in the mean alone. */
void sl_level_open(struct sl_level *level, const struct sl_level_problem *problem,
                   const int32_t *map, void *scratch);

/* Changes the map in few slots: write[], groups and bound[] say how. Experts without a copy get one
 * first, where there is a slot to spare. */
void sl_level_repair(struct sl_level *level);

/* A new map that owes the old one nothing: every slot is filled where experts allow. Leaves write[]
 * empty. `eplb` is sl_eplb_bytes of the global problem of the same sizes, aligned to 8. */
void sl_level_fresh(struct sl_level *level, void *eplb);

/* Greatest rank load / mean of the worst window, when each step is balanced as well as can be. */
double sl_level_bound(struct sl_level *level);

/* Of the fullest rank in window w, when the step is balanced as well as can be: whole units. */
int64_t sl_level_least(struct sl_level *level, int32_t w);

/* Renames the ranks of `map` [slots * ranks] and orders the slots of each so that little differs
 * from `present`. Scratch: sl_level_match_bytes, aligned to 8. */
size_t sl_level_match_bytes(int32_t ranks, int32_t slots);
void sl_level_match(int32_t ranks, int32_t slots, const int32_t *present, int32_t *map,
                    void *scratch);

/* No map of so many slots serves window w with less on its fullest rank. Not below what can be
 * reached, and often just that where there is little redundancy. Between searches only. */
int64_t sl_level_floor(struct sl_level *level, int32_t w);

#endif
