/* A placement with its tables, for tests of what is made from it; and where the peers behind the
 * golden files do otherwise than Sluice. */
#ifndef PLACE_WORLD_H
#define PLACE_WORLD_H

#include "src/core/remap.h"
#include "src/core/rule.h"

struct world {
    struct sl_shape shape;
    struct sl_place place;
    int32_t *map;                       /* [P] */
    uint8_t alive[SL_MAX_RANKS];        /* all at first */
    int32_t node[SL_MAX_RANKS];         /* 0 at first */
    int32_t living_ranks[SL_MAX_RANKS]; /* by world_build */
    int32_t living;
};

/* The trivial map; every rank lives, on one node. Not built yet. */
struct world *world_make(int32_t experts, int32_t slots, int32_t ranks, int32_t shared,
                         int32_t rank);
void world_build(struct world *world, uint64_t seed, int32_t bank);
/* Fills map: every expert once, then some again, some slots empty, shuffled. */
void world_shuffle(struct world *world, uint64_t *random);
/* Kills some ranks, never this one, and lays the ranks out over nodes. */
void world_damage(struct world *world, uint64_t *random);

/* A remap of the world, static, from row 0 of step 0, shared weight 1. */
struct sl_remap world_remap(const struct world *world, int32_t top_k);

/* splitmix64 */
uint64_t draw_bits(uint64_t *random);
int32_t draw_below(uint64_t *random, int32_t n);

enum {
    /* -1 becomes -1-F, and its weight stays with it */
    PEER_SHIFTS_MINUS_ONE = 1,
    /* a padding row's -1 becomes -1-F, and its shared columns stay live */
    PEER_SERVES_PADDING = 2,
    /* copies are in the planner's order, not by slot */
    PEER_COPY_ORDER = 4,
    /* an id outside the map passes through */
    PEER_PASSES_OUTSIDE = 8,
    /* padding rows are mapped */
    PEER_MAPS_PADDING = 16,
    /* -1 is looked up from the map's end */
    PEER_WRAPS_MINUS_ONE = 32,
};

/* Every known difference of a golden case, or-ed; 0: none, so everything is compared. */
int peer_differs(const char *golden_case);

#endif
