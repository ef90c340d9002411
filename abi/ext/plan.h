/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SLUICE_EXT_PLAN_H
#define SLUICE_EXT_PLAN_H

#include "balance.h"

#if defined(__cplusplus)
extern "C" {
#endif

/* sluice.plan/1: counts + topology + present placement + budget -> new placement and the moves that
 * lead there. A pure function without a context: ranks that call it with equal input get equal
 * bits, unless the plan says `truncated`; a later version of the plugin may find a better plan, so
 * ranks of different versions share one by `save`.
 *
 * How level a placement is, is told here by its balance: greatest rank load / mean rank load. 1 is
 * level, 1.25 means that the fullest rank has a quarter more than it should: lower is better, and
 * `target` is a balance. (The balancedness of sluice.load/1 is the inverse, mean / greatest, where
 * higher is better.) */
#define SLUICE_EXT_PLAN "sluice.plan/1"

/* Which planner. LEVEL is ours: it judges a placement by the balance that sluice.balance/1, which
 * shares an expert's load out over its copies as it likes, can make of it. EPLB is DeepSeek's,
 * which shares it out evenly. */
enum { SLUICE_PLAN_LEVEL = 0, SLUICE_PLAN_EPLB = 1 };

/* Where LEVEL begins in a layer that has a present map; one without gets a new map either way.
 * REPAIR: with the present map, and changes it by few moves. Where these do not bring the layer to
 *         a `target` above 1 and a new map would, the new map follows them, as one step that is
 *         taken whole or not at all: a budget too small for it leaves the layer with the few moves.
 * FROM_NOTHING: with empty slots. Which rank gets which part of the new map is then chosen so that
 *         much of it lies there already.
 * EPLB does not read this: its map is always new, and its ranks are numbered as the planner does,
 * wherever experts lie now. */
enum { SLUICE_PLAN_REPAIR = 0, SLUICE_PLAN_FROM_NOTHING = 1 };

/* EPLB only. GLOBAL takes no notice of groups and nodes. HIERARCHICAL packs groups of experts onto
 * nodes first, then experts onto a node's ranks: the groups must be a multiple of the nodes, and
 * every node must have as many living ranks, neighbours by number; else it is INVALID. AUTO is
 * hierarchical where it can be, as SGLang's, else global. */
enum { SLUICE_PLAN_AUTO = 0, SLUICE_PLAN_GLOBAL = 1, SLUICE_PLAN_HIERARCHICAL = 2 };

/* EPLB only, for engines that must get their own planner's map to the bit: F32 throughout; sums of
 * packs in f64 (SGLang); quotients in f64 (vLLM). */
enum { SLUICE_PLAN_F32 = 0, SLUICE_PLAN_F64_PACKS = 1, SLUICE_PLAN_F64_QUOTIENTS = 2 };

/* Several windows: a layer is judged by the one with the worst balance, or by their sum. EPLB makes
 * its map from the sum either way. */
enum { SLUICE_PLAN_WORST = 0, SLUICE_PLAN_SUM = 1 };

/* 0: without limit. A slot that is written counts each time, whether its bytes come over a wire or
 * not; bytes are those that cross to another rank. Only for repairs: a new map is written whole. */
typedef struct sluice_plan_budget {
    size_t struct_size;
    int64_t slots, layer_slots, rank_slots; /* written: in all, in one layer, on one rank */
    int64_t bytes, layer_bytes, rank_bytes; /* sent; rank: sent or received, whichever is more */
} sluice_plan_budget;
SLUICE_ASSERT_ENDS_WITH(sluice_plan_budget, rank_bytes);

typedef struct sluice_plan_layer {
    size_t struct_size;
    int32_t experts;        /* E */
    int32_t slots_per_rank; /* N */
    int32_t shared;         /* F as slots */
    int32_t groups;         /* EPLB hierarchical; default 1 */
    int64_t expert_bytes;   /* of all parameters of one expert; 0: bytes are not counted, and a slot
                             * is the unit of gain; all layers have them or none */
    const int32_t *map;     /* [N * ranks] the present placement; NULL: there is none */
    int64_t map_count;      /* entries of map; 0: as many as there must be */
} sluice_plan_layer;
SLUICE_ASSERT_ENDS_WITH(sluice_plan_layer, map_count);

/* A recorded window, or a shift of one that might come: a scenario. */
typedef struct sluice_plan_window {
    size_t struct_size;
    const int64_t *counts; /* counts[i * stride + e] = choices of expert e in layer i */
    int64_t stride;
    int64_t tokens; /* rows in the window, for the shared experts; default: sum / top_k */
    int64_t steps;  /* forward passes in the window; with pay_steps, EXPERTS or expert_ps */
    int32_t top_k;  /* iff tokens is 0 and a layer has F > 0 */
    int32_t reserved;
} sluice_plan_window;
SLUICE_ASSERT_ENDS_WITH(sluice_plan_window, reserved);

/* Everything is read during the call only. */
typedef struct sluice_plan_request {
    size_t struct_size;
    const sluice_host *host;                  /* optional; outlives the plan */
    const sluice_plan_layer *const *layers;   /* [layer_count] */
    const sluice_plan_window *const *windows; /* [window_count] */
    const int32_t *node;                      /* [ranks]; NULL: all on one */
    const uint8_t *alive;                     /* [ranks]; NULL: all live */
    const sluice_plan_budget *budget;         /* NULL: without limit */
    /* What the step balancer will do; NULL: TOKENS. EXPERTS judges LEVEL's maps by active experts,
     * COST by a rank's time without its traffic, which a window does not have. Neither knows in
     * which steps an expert was active: an expert chosen c times in S steps is taken to have been
     * in S * (1 - (1 - 1/S)^c), as if each choice fell on any step alike. The bound is that of the
     * means: below what single steps reach. With visited_only shared experts are judged as if
     * visits allowed all. */
    const sluice_balance_config *balance;
    int32_t layer_count, window_count, ranks;
    int32_t policy;     /* SLUICE_PLAN_LEVEL or _EPLB */
    int32_t start;      /* SLUICE_PLAN_REPAIR or _FROM_NOTHING */
    int32_t judge;      /* SLUICE_PLAN_WORST or _SUM */
    int32_t eplb;       /* SLUICE_PLAN_AUTO, _GLOBAL or _HIERARCHICAL */
    int32_t arithmetic; /* SLUICE_PLAN_F32, _F64_PACKS or _F64_QUOTIENTS */
    double target;      /* the balance at which LEVEL stops, e.g. 1.01; 0: the best it finds */
    int64_t work;       /* most units of work, equal on every machine: one is a rank or an expert
                         * looked at in a solve. Layers have equal parts. 0: the policy's own end */
    int64_t wire_bytes; /* a second from one rank, for the prediction; 0: no seconds */
    int64_t pay_steps;  /* steps within which moving must pay by balance->costs; 0: not judged.
                         * Needs costs and wire_bytes */
    /* Asked between units of work, on the calling thread; not 0 ends the search with the best so
     * far and marks the plan as truncated: a clock or a cancel. */
    int32_t (*stop)(void *user);
    void *user;
} sluice_plan_request;
SLUICE_ASSERT_ENDS_WITH(sluice_plan_request, user);

typedef struct sluice_plan sluice_plan;

/* One slot written. Element of arrays, frozen. */
typedef struct sluice_move {
    int32_t layer;
    int32_t expert;
    int32_t from; /* physical expert whose bytes are taken; -1: no living rank has them */
    int32_t to;   /* physical expert that holds `expert` afterwards */
} sluice_move;

/* before_*, after_*: balance (greatest / mean, see above) of the present map and of the new one, in
 * the windows as `judge` takes them. LEVEL: the least that the step balancer can reach, shared
 * experts moved too, in the unit of its objective. EPLB: with each expert's load split evenly over
 * its copies and shared experts at home. Before is 0 where a layer had no map. */
typedef struct sluice_plan_summary {
    size_t struct_size;
    uint64_t hash[2];    /* of all maps and moves; what ranks compare before a byte moves */
    int32_t truncated;   /* 1: ended by `stop`; another machine may come to another plan. Use it
                          * only after one rank has shared it by `save` */
    int32_t layers;      /* that change */
    int32_t lost;        /* (layer, expert) pairs without a living copy in the present map */
    int32_t pays;        /* 1: within pay_steps the steps save more time than `seconds`; else 0. In
                          * each layer a step is taken to save (before - after) * a rank's mean time
                          * by balance->costs (EPLB: its rows * row_ps) */
    int64_t slots;       /* written, twice where a cycle is cut */
    int64_t bytes;       /* to another rank */
    int64_t bytes_far;   /* of these, to another node */
    int64_t bytes_extra; /* of these, because a cycle is cut to fit one expert of staging */
    int64_t work;        /* units used */
    double seconds;      /* of moving: the rank that sends or receives most, at wire_bytes */
    double before_mean, before_worst, after_mean, after_worst; /* over layers that saw tokens;
                                                                * worst: the greatest */
} sluice_plan_summary;
SLUICE_ASSERT_ENDS_WITH(sluice_plan_summary, after_worst);

typedef struct sluice_plan_api {
    size_t struct_size;

    /* Makes a plan. An expert of which every copy is dead gets a slot and counts as lost: its bytes
     * must come from the engine. LEVEL never puts a second copy of an expert on one rank; slots of
     * dead ranks keep what they hold. `text` gets the error.
     * Errors: INVALID, UNSUPPORTED, NO_MEMORY. [any thread] */
    sluice_status (*make)(const sluice_plan_request *request, sluice_plan **plan, char *text,
                          size_t text_size);

    /* NULL is fine. Not while a migration uses it. [any thread] */
    void (*release)(sluice_plan *plan);

    /* [any thread] */
    sluice_status (*summary)(const sluice_plan *plan, sluice_plan_summary *summary);

    /* The layer's new map, into [count] = [P], and its balance; each may be NULL. [any thread] */
    sluice_status (*layer)(const sluice_plan *plan, int32_t layer, int32_t *map, int64_t count,
                           double *before, double *after);

    /* The moves in the order of gain a byte, so that a cut list loses the least; done one after the
     * other each finds `expert` in `from` and leaves a map with every expert on a living rank, but
     * that two neighbours may be a swap (each one's `from` is the other's `to`): they go together.
     * First come experts that have no living copy. *count is how many there are, OVERFLOW if more
     * than capacity. [any thread] */
    sluice_status (*moves)(const sluice_plan *plan, sluice_move *moves, int64_t capacity,
                           int64_t *count);

    /* The plan as bytes, for another rank or a file; *size is how many, OVERFLOW if more than
     * capacity. `load` makes it again, no longer truncated. Errors of load: as make; UNSUPPORTED
     * for bytes of a later revision. [any thread] */
    sluice_status (*save)(const sluice_plan *plan, void *bytes, size_t capacity, size_t *size);
    sluice_status (*load)(const void *bytes, size_t size, const sluice_host *host,
                          sluice_plan **plan, char *text, size_t text_size);

    /* How many slots a rank does each layer need for `request.target`, planned from nothing by
     * LEVEL? Into slots [count] = [layer_count]; -1 where no number up to 8192 slots in all does.
     * N, map, budget, policy and start of the request are not read. Errors: as make.
     * [any thread] */
    sluice_status (*copies)(const sluice_plan_request *request, int32_t *slots, int32_t count,
                            char *text, size_t text_size);
} sluice_plan_api;
SLUICE_ASSERT_ENDS_WITH(sluice_plan_api, copies);

#if defined(__cplusplus)
}
#endif
#endif
