/* A rank of `sluice replay`: its context, its experts' weights, and its way through one layer. */
#ifndef SL_REPLAY_RANK_H
#define SL_REPLAY_RANK_H

#include "../../abi/ext/placement.h"
#include "replay.h"
#include "replay_mirror.h"

struct sl_world_rank {
    struct sl_world *world;
    int32_t number;
    sluice_context *context;
    sluice_status status;
    char error[600];
    float **weights; /* [layers] of [L][floats of an expert] */
    int32_t *holds;  /* [L] */
    struct sl_mirror mirror;
    /* of one layer's call */
    int32_t *ids, *slots, *recorder, *row_slot, *slot_rows;
    float *route_weights, *shared_weights, *zero_weight, *slot_weights;
    char *in, *out;
    int64_t room; /* rows of in, out and row_slot */
    int32_t step;
    bool changes;
};

/* Whether a call went well; keeps its text if not. */
bool sl_rank_ok(struct sl_world_rank *rank, const char *what, int32_t layer, sluice_status status);
/* Writes expert weights into the given local rows, by what the plugin says they hold. */
bool sl_rank_load(struct sl_world_rank *rank, int32_t layer, int32_t count, float *data);
/* Chooses, maps, counts, sends, computes and brings home the rank's tokens of the step. */
bool sl_rank_serve(struct sl_world_rank *rank, int32_t layer);

int32_t sl_world_slots(const struct sl_world *world); /* N */
struct sl_expert_shape sl_world_expert(const struct sl_replay_case *c);
const sluice_placement_api *sl_world_placement(const struct sl_world *world);

#endif
