/* SPDX-License-Identifier: Apache-2.0
 * What cuda_moves draws: a scene of dispatch and combine, over every option. */
#ifndef MOVE_SCENE_H
#define MOVE_SCENE_H

#include <stdbool.h>
#include <stdint.h>

#include "../../plugin.h"

enum { MOST_RANKS = 16, MOST_SLOTS = 6, PAYLOADS = 3 };

static inline uint64_t mix(uint64_t z)
{
    z += 0x9E3779B97F4A7C15U; /* splitmix64 */
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
    return z ^ (z >> 31);
}

static inline uint64_t next(uint64_t *state)
{
    return mix((*state)++ * 0x632BE59BD9B4E019U);
}

static inline int32_t below(uint64_t *state, int32_t n)
{
    return (int32_t)(next(state) % (uint64_t)n);
}

static inline bool chance(uint64_t *state, int32_t percent)
{
    return below(state, 100) < percent;
}

struct scene {
    uint64_t seed;
    int32_t ranks, slots, shared, top_k, columns, width, payloads, align, order;
    int32_t most; /* tokens of a rank */
    sluice_dtype type;
    bool native; /* the engine has a communicator of NCCL already */
    bool fixed, strided, gaps, wide, on_input, multiply, zero, scaled, part, outside, twice;
    int64_t capacity_pair, capacity_rows, capacity_slot, capacity_back;
    bool stale, by_copy, captured;  /* balanced, by the counts of earlier steps */
    int32_t experts, steps, before; /* before: dispatches before the one that is compared */
    int64_t row_bytes;              /* of payloads and results, at most */
    bool away;                      /* all tokens go to the next rank */
    bool full;                      /* as many tokens and bytes as it was opened for */
};

/* ranks 0: any number of them. */
struct scene draw_scene(uint64_t seed, int32_t ranks);

/* Two ranks whose tokens all cross: 32 MiB of staging take 15 of rank 0's 17, or of their rows. */
struct scene rounds_scene(uint64_t seed);

#endif
