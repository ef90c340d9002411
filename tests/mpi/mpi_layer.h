/* A whole MoE layer on this rank: topk, remap, dispatch, experts, combine. */
#ifndef MPI_LAYER_H
#define MPI_LAYER_H

#include "mpi_check.h"

enum { LAYER_E = 16, LAYER_K = 3, LAYER_F = 1, LAYER_C = LAYER_K + LAYER_F, LAYER_H = 512 };
enum { LAYER_SLOTS = 8, LAYER_ROWS = 24, LAYER_COUNT = 2 };

struct layer {
    const sluice_api *api;
    sluice_context *context;
    int64_t generation;
    void (*between)(void); /* after dispatch COUNT; NULL: nothing */
    char text[512];        /* of the last failure */
};

/* Opens a context with two layers; comm NULL: one rank alone. */
void layer_open(struct layer *layer, const sluice_api *api, const sluice_comm *comm,
                int64_t timeout_ns);
void layer_close(struct layer *layer);

/* Rows first ... first + count - 1 of batch `step` through layer `index`, into out [count, H]. */
sluice_status layer_step(struct layer *layer, int32_t index, uint64_t step, int64_t first,
                         int64_t count, float *out);

/* This rank's share of a step has the bits that one rank alone gives for all rows. */
bool layer_agrees(struct layer *layer, uint64_t step);

/* This rank's share of a step must end with `status` and a text that has `part`. */
void layer_fails(struct layer *layer, int32_t index, sluice_status status, const char *part);

/* The engine's verdict: who lives; comm NULL: as before. */
void layer_set(struct layer *layer, const bool *alive, const sluice_comm *comm);

#endif
