/* "In order" of the router specification, written out plainly in double, and the means to compare
 * an implementation with it. */
#ifndef CHOOSE_REFERENCE_H
#define CHOOSE_REFERENCE_H

#include "core/choose.h"

#include <stdbool.h>

/* A call of topk. `out` is room for the results of `rows` rows. */
struct choose_call {
    sluice_router router;
    struct sl_rule rule;
    struct sl_choose_io io;
    int32_t rows;
    struct sl_choices out;
};

struct choose_truth {
    int32_t ids[SL_MAX_K];
    double weights[SL_MAX_K];
    double shared[SL_MAX_SHARED];
    double zero;
    /* How far the choice is from another one: the least difference of two ranking values that
     * decided it, relative above 1. */
    double margin;
};

/* What row t gives. Reads the descriptor itself, not the rule. */
void choose_reference(const struct choose_call *call, int64_t t, struct choose_truth *truth);

/* Makes the rule, allocates `out` and drops old results; fails the test where it is refused. */
bool choose_prepare(struct choose_call *call);

/* All rows, in blocks. */
void choose_run(const struct choose_call *call, sl_choose_fn *choose);

/* choose_prepare, choose_run with the portable one. */
bool choose_portable(struct choose_call *call);

/* Every row of `out` against the reference: ids exactly, numbers to `tolerance`, relative. Returns
 * whether all agree. */
bool choose_agrees(const struct choose_call *call, double tolerance);

bool choose_near(double got, double want, double tolerance);

/* A descriptor with defaults. */
sluice_router choose_router(int32_t experts, int32_t top_k);

/* splitmix64; the same numbers everywhere. */
struct choose_random {
    uint64_t state;
};
uint64_t choose_bits(struct choose_random *random);
double choose_uniform(struct choose_random *random); /* [0, 1) */
double choose_normal(struct choose_random *random);

/* count normal numbers of this deviation; freed when the test ends. */
float *choose_normals(struct choose_random *random, int64_t count, double deviation);

#endif
