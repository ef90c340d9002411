/* Payloads of any bits through dispatch and combine on one or two ranks, whose experts give back
 * what they get: for tests that compare the bits of two ways to run the same. */
#ifndef TRIP_WORLD_H
#define TRIP_WORLD_H

#include <stdbool.h>

#include "ct_sluice.h"
#include "src/comm/comm_threads.h"

enum { TRIP_TOKENS = 160, TRIP_EXPERTS = 6, TRIP_TOP_K = 3, TRIP_COLUMNS = TRIP_TOP_K + 1 };
enum { TRIP_RANKS = 2, TRIP_WIDTH = 150, TRIP_ROWS = TRIP_TOKENS * TRIP_COLUMNS * TRIP_RANKS };

struct trip {
    int32_t ranks, tokens; /* of each rank */
    int32_t type;          /* SL_F32 ... */
    int32_t order, on_input, width;
    int32_t threads; /* of each context */
    sluice_comm_threads *group;
    char x[TRIP_RANKS][TRIP_TOKENS * TRIP_WIDTH * 4];
    float weights[TRIP_RANKS][TRIP_TOKENS][TRIP_COLUMNS], zero[TRIP_RANKS][TRIP_TOKENS];
    int32_t ids[TRIP_RANKS][TRIP_TOKENS][TRIP_COLUMNS];
    /* results; what was not written is 0x5A */
    int64_t count[TRIP_RANKS];
    char rows[TRIP_RANKS][TRIP_ROWS * TRIP_WIDTH * 4];
    char out[TRIP_RANKS][TRIP_TOKENS * TRIP_WIDTH * 4];
};

/* Draws what goes in; the same for equal seeds. */
void trip_draw(struct trip *trip, uint64_t seed);

/* Runs it once; a call that fails fails the test. */
void trip_run(struct trip *trip);

/* Whether both have the same rows and outputs; fails the test where not. */
bool trip_same(const struct trip *got, const struct trip *want);

#endif
