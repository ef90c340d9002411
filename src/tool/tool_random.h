/* Counter-based random numbers, so that any part of a stream can be made alone and in any order. */
#ifndef SL_TOOL_RANDOM_H
#define SL_TOOL_RANDOM_H

#include <stdint.h>

struct sl_random4 {
    uint32_t word[4];
};

/* Philox4x32-10. The key is the seed; a, b and c say which four numbers of the stream. */
struct sl_random4 sl_tool_random(uint64_t seed, uint64_t a, uint32_t b, uint32_t c);

/* In (0, 1), never at an end. */
double sl_tool_uniform(uint32_t word);

/* The normal distribution's quantile, 0 < p < 1. */
double sl_tool_normal_quantile(double p);

/* A random order of 0 … n−1 (Fisher and Yates), its own for every (a, b). */
void sl_tool_shuffle(uint64_t seed, uint64_t a, uint32_t b, int32_t *order, int32_t n);

#endif
