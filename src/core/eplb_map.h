/* SPDX-License-Identifier: Apache-2.0
 * DeepSeek's EPLB with stable sorts: SEMANTICS "The reference planner". */
#ifndef SL_EPLB_MAP_H
#define SL_EPLB_MAP_H

#include <stddef.h>
#include <stdint.h>

/* As SLUICE_PLAN_F32, _F64_PACKS and _F64_QUOTIENTS. */
enum { SL_EPLB_F32 = 0, SL_EPLB_F64_PACKS = 1, SL_EPLB_F64_QUOTIENTS = 2 };

/* Global is groups = nodes = 1. Hierarchical: nodes divides groups and ranks, groups divides
 * experts; node i is the ranks from i * (ranks / nodes) on. Always experts <= slots * ranks, and
 * with several nodes a node's experts fit its slots. */
struct sl_eplb {
    int32_t experts; /* E */
    int32_t ranks;   /* that live */
    int32_t slots;   /* N */
    int32_t groups;
    int32_t nodes;
    int32_t arithmetic;
};

size_t sl_eplb_bytes(const struct sl_eplb *problem);

/* counts [E] >= 0; map [slots * ranks] gets the expert of each slot. Scratch is aligned to 8. */
void sl_eplb_solve(const struct sl_eplb *problem, const int64_t *counts, int32_t *map,
                   void *scratch);

/* Greatest rank load / mean, each expert's load split evenly over its copies in map
 * [slots * ranks] and `spread` units over all ranks. rank_load [ranks], copies [E]: scratch. */
double sl_eplb_balance(const struct sl_eplb *problem, const int64_t *counts, int64_t spread,
                       const int32_t *map, double *rank_load, int32_t *copies);

#endif
