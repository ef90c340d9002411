/* SPDX-License-Identifier: Apache-2.0
 * A placement and the tables made from it, for one bank as one rank sees it. */
#ifndef SL_PLACE_H
#define SL_PLACE_H

#include "../../plugin.h"

/* Numbers that never change for the life of a context. */
struct sl_shape {
    int32_t experts;  /* E */
    int32_t slots;    /* N, routed slots a rank */
    int32_t ranks;    /* W: max ranks, the dead included */
    int32_t shared;   /* F as slots */
    int32_t local;    /* L = N + F */
    int32_t physical; /* P = N * W */
    int32_t rank;     /* this rank */
};

/* All arrays are the caller's, of the sizes given. Entry E stands for an id that is no expert: it
 * has no copy, so a look-up needs no branch for it. */
struct sl_place {
    int32_t *map;          /* [P] expert of each physical, -1: empty */
    int32_t *copy_start;   /* [E+1] into copies: all copies, dead ones too */
    int32_t *copies;       /* [P] physical ids, ascending for each expert */
    int32_t *alive_start;  /* [E+2] into alive_copies: copies on living ranks */
    int32_t *alive_copies; /* [P+1] */
    int32_t *chosen;       /* [E+1] this rank's static choice, -1: no living copy */
    int32_t *chosen_slot;  /* [E+1] its slot id */
};

/* Bytes that sl_place_bind needs, and the arrays laid into them (aligned to 64). */
size_t sl_place_bytes(const struct sl_shape *shape);
void sl_place_bind(struct sl_place *place, const struct sl_shape *shape, void *memory);

/* Is `map` a placement? The text names layer and slot, or the missing expert. `seen` is scratch of
 * [experts] bytes; it is not touched where `experts` is refused. */
sluice_status sl_place_check(int32_t layer, int32_t experts, int32_t ranks, const int32_t *map,
                             int64_t count, uint8_t *seen, char *text, size_t text_size);

/* Physical p holds expert p mod E. */
void sl_place_trivial(const struct sl_shape *shape, int32_t *map);

/* Physical experts by expert, ascending: start [E+1] into copies [P]. Those of dead ranks are left
 * out; alive NULL: they are not. */
void sl_place_list(const struct sl_shape *shape, const int32_t *map, const uint8_t *alive,
                   int32_t *start, int32_t *copies);

/* Rebuilds every table of `place` from a checked map, which may be place->map itself. alive [W],
 * node [W], any numbers. */
void sl_place_build(struct sl_place *place, const struct sl_shape *shape, const int32_t *map,
                    const uint8_t *alive, const int32_t *node, uint64_t seed, int32_t bank);

/* The last part of sl_place_build: chosen and chosen_slot. The static choice is own rank's lowest
 * slot; else the lowest on this node where some but not all living copies are on it; else the
 * living ranks that need a remote copy share the copies out, from the seed and bank: each copy
 * serves q or q+1 of them. Every rank works out its own place in that sharing by itself. */
void sl_place_choose(struct sl_place *place, const struct sl_shape *shape, const uint8_t *alive,
                     const int32_t *node, uint64_t seed, int32_t bank);

/* Slot id of physical expert p. */
static inline int32_t sl_slot_of(const struct sl_shape *shape, int32_t physical)
{
    return physical + physical / shape->slots * shape->shared;
}

#endif
