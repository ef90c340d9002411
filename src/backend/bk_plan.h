/* SPDX-License-Identifier: Apache-2.0
 * sluice.plan/1: what its files share. */
#ifndef SL_BK_PLAN_H
#define SL_BK_PLAN_H

#include "../../abi/ext/plan.h"
#include "../core/level.h"
#include "../core/moves.h"
#include "bk_config.h"

/* Memory of the host, or of the process. */
struct sl_plan_memory {
    sluice_host host;
};

void sl_plan_services(struct sl_plan_memory *memory, const sluice_host *host);
void *sl_plan_alloc(const struct sl_plan_memory *memory, size_t bytes, int32_t kind);
void sl_plan_free(const struct sl_plan_memory *memory, void *data, size_t bytes, int32_t kind);

/* A layer of a plan. */
struct sl_plan_layer {
    int32_t experts, slots, physical;
    int32_t reserved;
    int64_t map_at;       /* where its map begins in sluice_plan.maps */
    double before, after; /* before is 0 where there was no map */
};

struct sluice_plan {
    struct sl_plan_memory memory;
    size_t bytes; /* of this allocation */
    int32_t layer_count, ranks;
    int64_t move_count, map_count;
    struct sl_plan_layer *layers; /* [layer_count] */
    int32_t *maps;                /* [map_count] */
    sluice_move *moves;           /* [move_count] */
    sluice_plan_summary summary;
};

/* One allocation with room for all; NULL without memory. */
sluice_plan *sl_plan_new(const struct sl_plan_memory *memory, int32_t layer_count,
                         int64_t map_count, int64_t move_count);

/* Of all maps and moves. */
void sl_plan_hash(const sluice_plan *plan, uint64_t hash[2]);

/* One layer while it is planned. Slots are numbered over all ranks, dead ones too. */
struct sl_plan_work {
    const sluice_plan_layer *given;
    int32_t experts, slots, physical;
    int32_t groups; /* of write[] */
    int32_t must;   /* the first groups: until every expert has a copy that can have one */
    int32_t lost;   /* experts without a living copy at first */
    int32_t count;  /* of write[] */
    int32_t taken;  /* groups that the budget allows */
    bool stopped, has_tokens, whole; /* whole: a new map, taken or left as one */
    int64_t units;                   /* of work */
    double time_ps;                  /* COST: what the windows cost the ranks together */
    int32_t *map; /* [P] the present map, -1 where there is none; then the new one */
    struct sl_moves_write *write; /* [2 * P] in the order that keeps the map whole */
    double *bound;                /* [P + 1] before, and after each group */
    double *cost;                 /* [P] of each group */
};

struct sl_plan_job {
    const sluice_plan_request *request;
    const struct sl_plan_memory *memory;
    struct sl_moves_world world;
    int32_t *living; /* [ranks] numbers of the living */
    int32_t living_count;
    int32_t windows;           /* as judged */
    int32_t nodes;             /* EPLB: 1 unless hierarchical is possible */
    bool stopped;              /* `stop` has been true once */
    struct sl_plan_work *work; /* [layer_count] */
    char *scratch;             /* scratch_bytes for each thread */
    size_t scratch_bytes;
    int32_t *slots; /* [layer_count] what `copies` finds; NULL: `make` */
};

/* Of the request, or of `load`. */
sluice_status sl_plan_check_host(const struct sl_text *text, const char *name,
                                 const sluice_host *host);

/* Is the request in order? Names what is not. copies: what `copies` does not read is not looked
 * at. */
sluice_status sl_plan_check(const struct sl_text *text, const sluice_plan_request *request,
                            bool copies);

/* Equal nodes of neighbours by number; 0: the living ranks are not laid out so. */
int32_t sl_plan_nodes(const sluice_plan_request *request);

/* bk_plan_load.c: how many windows are judged; what they weigh in a layer, load [windows * E],
 * spread [windows]. Returns, under COST, the picoseconds of all windows and ranks. */
int32_t sl_plan_windows(const sluice_plan_request *request);
double sl_plan_loads(const struct sl_plan_job *job, int32_t layer, int64_t *load, int64_t *spread);

/* Scratch for one layer with so many slots a rank. */
size_t sl_plan_scratch(const struct sl_plan_job *job, int32_t experts, int32_t slots);

/* Plans one layer: map, write[], groups, bound[]. */
void sl_plan_solve(struct sl_plan_job *job, int32_t layer, char *scratch);

/* Least slots a rank at which a new map of the layer reaches the target; -1: none. */
int32_t sl_plan_slots(struct sl_plan_job *job, int32_t layer, char *scratch);

struct sl_plan_pick {
    sluice_move *moves;                    /* [sum of 2 * P] */
    struct sl_moves_chunk *chunks, *spare; /* [sum of P + 1] each */
    int64_t *counters;                     /* [3 * ranks] */
    char *scratch;                         /* sl_moves_bytes of the largest layer */
};

/* Takes what the budget allows, most gain first: moves, maps and the summary but for its hash.
 * Returns how many moves. */
int64_t sl_plan_choose(struct sl_plan_job *job, const struct sl_plan_pick *pick,
                       sluice_plan_summary *summary);

/* Bytes of a plan, and back. */
sluice_status sl_plan_save(const sluice_plan *plan, void *bytes, size_t capacity, size_t *size);
sluice_status sl_plan_load(const void *bytes, size_t size, const struct sl_plan_memory *memory,
                           sluice_plan **plan, const struct sl_text *text);

#endif
