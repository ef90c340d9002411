/* DeepSeek-R1's measured expert counts, and placements planned, repaired and judged on them. */
#ifndef LEVEL_WORLD_H
#define LEVEL_WORLD_H

#include "src/core/eplb_map.h"
#include "src/core/level.h"

enum { R1_LAYERS = 58, R1_EXPERTS = 256, R1_TOP_K = 8 };
enum { R1_DECODE_2000, R1_DECODE_500, R1_PREFILL_4096, R1_PREFILL_512, R1_FILES };

/* counts [R1_LAYERS * R1_EXPERTS] of the MoE layers; NULL where the data is not here. */
const int64_t *r1_counts(int file);

/* Maps of all layers, P = slots * ranks each; one shared expert rides along. */
struct r1_maps {
    int32_t ranks, slots, every; /* every: of so many layers the first is looked at */
    int32_t *map;                /* [R1_LAYERS * P] */
};

/* EPLB, global, f32, planned on a file. */
struct r1_maps r1_eplb(int file, int32_t ranks, int32_t redundant);

/* Mean and worst layer. */
struct r1_balance {
    double before, before_worst, after, after_worst;
    double slots; /* written a layer */
    int32_t most; /* in a layer */
};

/* Repairs the maps for a file, and judges what is there before and after. r1_repair_for: for
 * several, of which the worst counts. */
struct r1_balance r1_repair(struct r1_maps *maps, int file, double target);
struct r1_balance r1_repair_for(struct r1_maps *maps, const int *files, int32_t count,
                                double target);

/* The same from nothing; `slots` is how many differ after matching to what lies there. */
struct r1_balance r1_fresh(struct r1_maps *maps, int file, double target);

/* Scratch that lives until the test ends. */
void level_open(struct sl_level *level, const struct sl_level_problem *problem, const int32_t *map);
void level_fresh(struct sl_level *level);

/* Greatest even split of a map. */
double even_split(int32_t ranks, int32_t slots, int32_t experts, const int64_t *load,
                  const int32_t *map);

#endif
