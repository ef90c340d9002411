/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SLUICE_EXT_BALANCE_H
#define SLUICE_EXT_BALANCE_H

#include "../../plugin.h"

#if defined(__cplusplus)
extern "C" {
#endif

/* sluice.balance/1: which copy serves which token, and which rank a token's shared expert, solved
 * anew each step from counts. The answer is a quota: of source s's tokens for an expert, in row
 * order, the first q go to its first copy, the next to its second. It is a function of counts,
 * placement and objective alone: equal bits on every rank and backend. In force in contexts opened
 * with SLUICE_COPY_BALANCED or SLUICE_SHARED_LEVEL; what another policy decides counts as fixed.
 * Quotas of differing counts cost balance, never correctness: every copy under one map is right. */
#define SLUICE_EXT_BALANCE "sluice.balance/1"

/* Whose counts. NOW makes remap and route collective and needs SLUICE_USE_BALANCE_NOW. STALE takes
 * those of earlier steps: what dispatch exchanged, or what `add_counts` was given. LOCAL takes this
 * rank's own. With EVERY_RANK_EVERY_ROW only LOCAL is meant, since every rank counts the same. */
enum { SLUICE_BALANCE_LOCAL = 0, SLUICE_BALANCE_STALE = 1, SLUICE_BALANCE_NOW = 2 };

/* What is made as small as it can be: the most rows of a rank, its most activated experts, or its
 * longest time by sluice_costs. Second goal, greedily: little traffic (own rank, own node, rising
 * rank; the shared expert at home).
 * TOKENS and EXPERTS are exact. A shared expert is active on every rank that serves a column of it,
 * so under EXPERTS all of a source's columns j go to one rank. COST is the better one of the two
 * others' answers, and moves that help; its optimum is not known. */
enum { SLUICE_BALANCE_TOKENS = 0, SLUICE_BALANCE_EXPERTS = 1, SLUICE_BALANCE_COST = 2 };

/* Whole picoseconds, so that sums are exact. A rank's time is the greater of reading and computing
 * (their sum with `add`), plus what it sends and receives: a way for each choice and shared column
 * that leaves its rank, for the sender and the receiver. */
typedef struct sluice_costs {
    size_t struct_size;
    int64_t expert_ps; /* to read the weights of one activated expert; at most a second */
    int64_t row_ps;    /* to compute one row of an expert; this and the next at most 1 ms */
    int64_t near_ps;   /* to move one token between two ranks of a node, there and back */
    int64_t far_ps;    /* between two nodes */
    int32_t add;
    int32_t reserved;
} sluice_costs;
SLUICE_ASSERT_ENDS_WITH(sluice_costs, reserved);

typedef struct sluice_balance_config {
    size_t struct_size;
    int32_t objective; /* SLUICE_BALANCE_TOKENS, _EXPERTS or _COST */
    int32_t mode;      /* SLUICE_BALANCE_LOCAL, _STALE or _NOW */
    /* 1: the shared expert goes only to ranks the token visits anyway, so no token is sent twice:
     * routed quotas first, then the shared one as far as visits allow, the rest at home. */
    int32_t visited_only;
    int32_t steps; /* STALE: how many steps' counts are added up; default 8, at most 64 */
    const sluice_costs *costs; /* iff COST; copied */
} sluice_balance_config;
SLUICE_ASSERT_ENDS_WITH(sluice_balance_config, costs);

typedef struct sluice_balance_counts {
    size_t struct_size;
    int32_t layer;
    int32_t reserved;
    void *stream;
    /* [max_ranks, E] ids: row s is what rank s chose in one step; or [1, E]: the sum over ranks,
     * which is then shared out evenly over the living. A rank's rows with shared experts are taken
     * as its choices / K. */
    const sluice_tensor *counts;
} sluice_balance_counts;
SLUICE_ASSERT_ENDS_WITH(sluice_balance_counts, counts);

/* One step's problem as plain numbers, for tools and tests. Host memory. */
typedef struct sluice_balance_problem {
    size_t struct_size;
    int32_t experts;        /* E */
    int32_t slots_per_rank; /* N */
    int32_t ranks;          /* P = N * ranks */
    int32_t shared;         /* F */
    const int32_t *node;    /* [ranks]; NULL: all on one */
    const uint8_t *alive;   /* [ranks]; NULL: all live */
    const int32_t *map;     /* [P] as in sluice.placement/1 */
    const int64_t *counts;  /* [ranks * E]: what each source chose; dead ranks and experts without a
                             * living copy count as 0. All counts, in picoseconds too, < 2^60 */
    const int64_t *tokens;  /* [ranks]: each source's rows, for the shared columns; iff F > 0 */
    const sluice_balance_config *config; /* mode is not read */
} sluice_balance_problem;
SLUICE_ASSERT_ENDS_WITH(sluice_balance_problem, config);

/* Arrays are the caller's, each optional. */
typedef struct sluice_balance_answer {
    size_t struct_size;
    int32_t source;  /* first source whose quotas are given: a rank; `read` in LOCAL: this one */
    int32_t sources; /* and how many from it on; default 1 */
    int64_t *routed; /* out: [sources * P] tokens of the source that take each physical expert */
    int64_t *shared; /* out: [sources * ranks] shared columns of the source to each rank */
    /* out: [ranks] the certificate: 1 for the ranks of the minimum cut. What only these can serve,
     * divided by their number and rounded up, is `bound`: nobody can do better. COST: zeros. */
    uint8_t *cut;
    int64_t routed_count, shared_count, cut_count; /* elements there is room for */
    int64_t greatest; /* out: of the fullest living rank, in the objective's unit; STALE: over the
                       * steps that are added up */
    int64_t bound;    /* out: what no answer is below; equal to greatest for TOKENS and EXPERTS */
    int64_t epoch;    /* out: the placement it belongs to; 0 from `solve` */
    int64_t step;     /* out: how often counts had come since `configure`; 0 from `solve` */
} sluice_balance_answer;
SLUICE_ASSERT_ENDS_WITH(sluice_balance_answer, step);

typedef struct sluice_balance_api {
    size_t struct_size;

    /* Of one layer, or of all with layer -1; before the first call TOKENS and LOCAL hold. Equal on
     * all ranks: the mode of a remap is part of what MISMATCH compares. Between two steps; graphs
     * that hold remap, route or dispatch of the layer are captured again. What was counted is
     * forgotten, also by `set` of sluice.ranks/1. [waits]. Errors: INVALID, UNSUPPORTED (the
     * context was not opened for the mode or has no balanced policy), NO_MEMORY (STALE keeps
     * `steps` counts of every rank; sluice_needs has those of the default number of steps). */
    sluice_status (*configure)(sluice_context *context, int32_t layer,
                               const sluice_balance_config *config);

    /* For engines with a transport of their own, mode STALE: this step's counts. Until counts have
     * come, an expert's choices are shared out evenly over its copies and shared experts stay at
     * home. Ranks may skip a step or differ. Errors: INVALID, UNSUPPORTED. [hot] [capture] */
    sluice_status (*add_counts)(sluice_context *context, const sluice_balance_counts *args);

    /* The quotas in force, in the order of `stream`. [waits]. LOCAL: this rank's alone (leave
     * source and sources 0).
     * Errors: INVALID, UNSUPPORTED, NOT_READY (nothing has been counted), OVERFLOW (an array is too
     * short). */
    sluice_status (*read)(sluice_context *context, int32_t layer, sluice_balance_answer *answer,
                          void *stream);

    /* The same function of plain numbers; no context. `text` gets the error. Errors: INVALID,
     * NO_MEMORY, OVERFLOW. [any thread] */
    sluice_status (*solve)(const sluice_balance_problem *problem, sluice_balance_answer *answer,
                           char *text, size_t text_size);
} sluice_balance_api;
SLUICE_ASSERT_ENDS_WITH(sluice_balance_api, solve);

#if defined(__cplusplus)
}
#endif
#endif
