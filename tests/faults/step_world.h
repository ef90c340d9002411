/* One rank of a small layer that lives over many steps, call by call: move_world's layer and data,
 * but every call can be made alone, fail and be made again. */
#ifndef STEP_WORLD_H
#define STEP_WORLD_H

#include "abi/ext/ranks.h"
#include "tests/unit/move_world.h"

enum { STEP_ROWS = MOVE_T * MOVE_C * 2, STEP_SLOTS = 64 };

/* What all ranks share; move_draw fills in `draw`. */
struct step_config {
    int32_t ranks;
    struct move_world draw;
    int32_t uses, phase, shared_policy, copy_policy, layers, spare;
    int32_t balance_mode; /* of sluice.balance/1, where not LOCAL */
    bool joins;           /* the last rank is a newcomer */
    int64_t timeout_ns;
};

struct step_rank {
    const struct step_config *config;
    int32_t number, layer, lane;
    int32_t tokens; /* rows of this call; the first is number * draw.per */
    sluice_context *context;
    sluice_status status; /* of the last call */
    char error[512];
    int32_t ids[MOVE_T][MOVE_C], recorder[MOVE_T][MOVE_K];
    float weights[MOVE_T][MOVE_C];
    sluice_handle handle;
    int64_t rows;
    float in[STEP_ROWS][MOVE_H], out[STEP_ROWS][MOVE_H], home[MOVE_T][MOVE_H];
    int32_t row_slot[STEP_ROWS];
};

/* 3 ranks with two copies of every expert on different ranks, EXACT, 20 s. */
void step_config(struct step_config *config, uint64_t seed);

/* Takes rank `number`; lives until the test ends. */
struct step_rank *step_rank(const struct step_config *config, int32_t number);

/* Each call leaves its status and text in the rank, and gives the status. */
sluice_status step_open(struct step_rank *rank, const sluice_comm *comm);
sluice_status step_map(struct step_rank *rank);
sluice_status step_count(struct step_rank *rank);
sluice_status step_send(struct step_rank *rank);
sluice_status step_combine(struct step_rank *rank);
sluice_status step_record(struct step_rank *rank);

/* map, dispatch, the experts, combine and record, up to the first that fails. */
sluice_status step_run(struct step_rank *rank);
/* The experts alone. */
void step_compute(struct step_rank *rank);

/* ranks.set of `generation`; dead -1: all live. comm NULL: the present one. */
sluice_status step_set(struct step_rank *rank, int64_t generation, int32_t dead,
                       const sluice_comm *comm);

const sluice_ranks_api *step_ranks(void);

/* After a call outside of this file. */
sluice_status step_note(struct step_rank *rank, sluice_status status);

/* Does this rank's output have the bits of the literal loop? */
bool step_expect_literal(const struct step_rank *rank);

#endif
