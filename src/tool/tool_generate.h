/* Routing that looks like a real model's, from a seed.
 *
 * Logits. Every layer has a popularity for each column (expert or zero expert). Its logarithm is
 * normal: the n columns take the n expected values of a sorted normal sample (Blom's positions,
 * each moved a little), in random order, times the layer's sigma. A token's logit is that offset
 * plus Gumbel noise, less ln(n / K), which puts the limit between chosen and not chosen near 0.
 * With Gumbel noise an expert's chance to be among the K greatest is close to proportional to
 * exp(offset) as long as K is much smaller than n, so the same offsets are used for all shapes. The
 * router gets these logits and, where it wants one, a bias of zeros.
 *
 * The fit. DeepSeek-R1's 4 × 58 counted layers (E 256, K 8) have a median of the greatest expert
 * over the mean of 6.03 (quartiles 4.59 and 7.95) and a median share of the 8 greatest of 12.9 %.
 * The median sigma and its spread between layers (log-normal) were set so that sigmoid scores with
 * 8 groups, the best 4 kept by their two best, give the same over 58 layers. Reached, with 4096
 * tokens and five seeds: 5.89 to 6.22 (quartiles 4.70 to 5.12 and 7.82 to 8.09), 12.7 to 13.0 %.
 * test_tool_generate.c computes both sides again. Not fitted, so a check: DeepSeek-V2-Lite (E 64,
 * K 6) has 4.0 and 33 %, or 3.3 and 27 %, in two real tasks; generated 4.1 and 33 %.
 *
 * What it does not have: choices of one token are independent but for the groups, and so are the
 * tokens of a text and the layers.
 */
#ifndef SL_TOOL_GENERATE_H
#define SL_TOOL_GENERATE_H

#include <stddef.h>
#include <stdint.h>

#define SL_GENERATE_SIGMA 0.78
#define SL_GENERATE_SIGMA_SPREAD 0.25

struct sl_generator {
    uint64_t seed;
    int32_t layers, columns, top_k;
    float *offset; /* [layers][columns] */
};

/* columns is E + Z. Returns 0, or -1 with a line in err. */
int sl_generator_open(struct sl_generator *g, int32_t layers, int32_t columns, int32_t top_k,
                      uint64_t seed, char *err, size_t n);
void sl_generator_close(struct sl_generator *g);

/* The layer's offsets [columns]; their exponentials, the popularities, have mean 1. */
const float *sl_generator_offsets(const struct sl_generator *g, int32_t layer);

/* Logits [tokens][columns] of the tokens first, first + 1, … A token's logits are the same
 * whichever call makes them, so ranks and steps may each make their own part. */
void sl_generator_logits(const struct sl_generator *g, int32_t layer, uint64_t first,
                         int64_t tokens, float *logits);

/* Choices drawn straight from counts: K distinct experts a token, each with exactly the chance
 * min(1, K * count / sum) (what is cut off at 1 goes to the others). The way is systematic sampling
 * in a random order, a new order for every token: the chances lie end to end on a line of length
 * K, and the experts under u, u + 1, ... u + K - 1 are taken, for one random u in [0, 1). No expert
 * can be hit twice, and the chances need no correction, unlike those of K weighted draws in a
 * row. */
struct sl_draw {
    uint64_t seed;
    int32_t experts, top_k, filled; /* filled: choices a token really gets */
    int64_t *width;                 /* chance of each expert in 2^-40 */
    int32_t *order;                 /* scratch */
};

/* counts [experts], not negative. Layers that must differ need seeds that differ. If fewer than
 * top_k counts are above 0, the rest of each row is id -1, weight 0. */
int sl_draw_open(struct sl_draw *d, const int64_t *counts, int32_t experts, int32_t top_k,
                 uint64_t seed, char *err, size_t n);
void sl_draw_close(struct sl_draw *d);

/* ids and weights [tokens][top_k] of the tokens first, first + 1, …; weights, which may be NULL,
 * fall along a row and add up to 1. */
void sl_draw_tokens(struct sl_draw *d, uint64_t first, int64_t tokens, int32_t *ids,
                    float *weights);

#endif
