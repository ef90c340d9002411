/* A small MoE layer on ranks as threads: drawn choices go through dispatch, an expert that marks
 * rows with its own number, and combine. */
#ifndef MOVE_WORLD_H
#define MOVE_WORLD_H

#include <stdbool.h>

#include "ct_sluice.h"
#include "src/comm/comm_threads.h"

enum { MOVE_RANKS = 8, MOVE_E = 16, MOVE_K = 3, MOVE_F = 1, MOVE_T = 40, MOVE_H = 24 };
enum { MOVE_C = MOVE_K + MOVE_F };

struct move_world {
    int32_t ranks;
    int32_t uses, phase; /* DISPATCH_FIXED or DISPATCH_COUNT */
    sluice_transport transport;
    int32_t weight_on;
    int32_t spare; /* redundant slots a rank */
    bool in_row;   /* payload_row in [T] of a strided tensor */
    sluice_comm_threads *group;
    /* inputs, by global row: rank r has the rows r * per ... */
    int32_t per; /* rows a rank */
    int32_t choices[MOVE_T][MOVE_K];
    float weights[MOVE_T][MOVE_K];
    float x[MOVE_T][MOVE_H];
    /* results */
    float out[MOVE_T][MOVE_H];
    sluice_status status[MOVE_RANKS]; /* of the last call that failed, or OK */
    char error[MOVE_RANKS][512];
    int64_t counted[MOVE_RANKS];
};

/* Draws choices; every seventh token has a hole, one has none. */
void move_draw(struct move_world *world, int32_t ranks, uint64_t seed);

/* Runs the whole world once; outputs and statuses are in it. */
void move_run(struct move_world *world);

/* Row `x` through expert e (E + j: shared j), in f32. */
void move_expert(int32_t expert, const float *x, float *out);

/* What token t must come to: a literal loop over its columns. */
void move_expected(const struct move_world *world, int32_t t, float *out);

#endif
