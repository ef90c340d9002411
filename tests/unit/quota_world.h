/* Ranks as threads that map drawn choices under a balanced policy, and a literal reading of
 * quotas. */
#ifndef QUOTA_WORLD_H
#define QUOTA_WORLD_H

#include "abi/ext/balance.h"
#include "balance_world.h"
#include "ct_sluice.h"

enum { QW_RANKS = 6, QW_T = 96, QW_K = 4, QW_E = 20, QW_N = 5, QW_P = QW_RANKS * QW_N };
enum { QW_F = 2, QW_C = QW_K + QW_F, QW_STEPS = 12 };

struct quota_world {
    int32_t ranks, shared; /* QW_RANKS, F */
    int32_t copy_policy, shared_policy, uses, flags, threads;
    int32_t steps;
    bool odd;        /* rank 1 has another objective than the others */
    bool dispatches; /* a COUNT after each remap */
    bool newer;      /* rank 1 is a later version: its structs are longer */
    sluice_balance_config config;
    sluice_transport transport;
    int32_t map[QW_P], node[QW_RANKS];
    int32_t rows[QW_RANKS]; /* valid rows of each rank; the others are padding */
    uint8_t *row_valid;     /* [QW_T] of every rank, or NULL */
    int32_t ids[QW_STEPS][QW_RANKS][QW_T][QW_K];
    /* of the last step */
    int32_t slots[QW_RANKS][QW_T][QW_C], recorder[QW_RANKS][QW_T][QW_K];
    float weights[QW_RANKS][QW_T][QW_C];
    sluice_status status[QW_RANKS];
    char error[QW_RANKS][512];
    /* what `read` says of all sources, once on each rank */
    int64_t routed[QW_RANKS][QW_RANKS][QW_P], routed_shared[QW_RANKS][QW_RANKS][QW_RANKS];
    sluice_balance_answer answer[QW_RANKS];
};

/* Skewed choices with holes, two nodes, rows that differ between ranks; BALANCED, LEVEL, NOW. */
struct quota_world *quota_world(uint64_t seed);

/* Opens rank `rank` of the world, configured; comm NULL: no callbacks. */
sluice_context *quota_open(struct quota_world *world, int32_t rank, const sluice_comm *comm);

/* remap of one step. */
sluice_status quota_map(struct quota_world *world, sluice_context *context, int32_t rank,
                        int32_t step);

/* All ranks, all steps. */
void quota_run(struct quota_world *world);
void quota_all_ok(const struct quota_world *world);

/* The problem that the choices of steps first ... last are, summed; of one source, or all (-1). */
struct balance_world *quota_problem(const struct quota_world *world, int32_t first, int32_t last,
                                    int32_t source);

/* Are rank's outputs what the quotas say, the j-th choice in the range that j falls in? */
void quota_check(const struct quota_world *world, int32_t rank, int32_t step, const int64_t *routed,
                 const int64_t *shared);

/* count * S_k / S over old quotas in map order of an expert's copies: quotas of a call. */
void quota_cut(const struct quota_world *world, int32_t rank, int32_t step, const int64_t *routed,
               const int64_t *shared, int64_t *call, int64_t *columns);

#endif
