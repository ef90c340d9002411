/* What the parts of `sluice replay` share: the options, the layers and inputs of a step, the
 * experts, and a world of ranks that serves them through the plugin. */
#ifndef SL_REPLAY_H
#define SL_REPLAY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../../abi/ext/plan.h"
#include "../../abi/ext/stats.h"
#include "../../plugin.h"

enum sl_replay_source { SL_FROM_MODEL, SL_FROM_IDS, SL_FROM_COUNTS, SL_FROM_LOGITS };
/* In the order in which they are done; the last four for each step. */
enum sl_replay_phase {
    SL_OPEN_PLAIN,
    SL_OPEN_RANKS,
    SL_FILL,
    SL_SERVE_PLAIN,
    SL_SERVE_RANKS,
    SL_CHECK
};

enum sl_replay_route { SL_ROUTE_BOTH, SL_ROUTE_FUSED, SL_ROUTE_SPLIT };
enum { SL_NO_BALANCE = -1, SL_NO_PLAN = -1 };

struct sl_replay_options {
    const char *input, *weights, *model, *plugin, *placement, *plot, *json;
    int32_t ranks, tokens, steps, layers, redundant, hidden, width, threads, shared_experts, top_k;
    int32_t copy_policy, shared_policy, combine_order, fixed, bf16;
    int32_t balance;                    /* SLUICE_BALANCE_* mode, or SL_NO_BALANCE */
    int32_t objective;                  /* SLUICE_BALANCE_* */
    int32_t expert_ns, row_ps, move_ps; /* of sluice_costs; all 0: times are not reckoned */
    int32_t plan;       /* SLUICE_PLAN_* that makes the second placement, or SL_NO_PLAN */
    int32_t random;     /* a file's tokens at random positions, not one after the other */
    bool standin;       /* the CUDA plugin runs on tests/standin's driver */
    int32_t no_experts; /* rows are counted, not computed: no outputs, no weights */
    enum sl_replay_route route;
    uint64_t seed;
};

/* Do the options say what a rank's time goes to? */
bool sl_replay_timed(const struct sl_replay_options *options);

/* The routing of one layer and step, for all ranks' tokens in rank order. */
struct sl_replay_input {
    float *logits;        /* [N][columns], or NULL: ids and weights are given */
    float *shared_logits; /* [N][F], where the router wants them */
    int32_t *ids;         /* [N][K] */
    float *weights;       /* [N][K] */
};

struct sl_replay_case {
    const struct sl_replay_options *options;
    enum sl_replay_source source;
    sluice_router router;
    char what[160];      /* the input, for people */
    int32_t layers;      /* that are replayed */
    int32_t first_layer; /* number of the first, for labels */
    int32_t columns;     /* E + Z */
    int32_t fused;       /* F as slots: 0 where shared experts are not fused */
    int32_t slots;       /* N, routed slots a rank */
    int64_t rows;        /* tokens of all ranks in a step */
    int32_t steps;       /* served: those asked for, after `warm` others that no figure shows */
    int32_t warm;
    int32_t change_at; /* step that begins with the second placement; -1: none */
    float *bias;       /* [columns] zeros, or NULL */
    struct sl_replay_reader *reader;
    struct sl_replay_input *inputs; /* [layers] of the present step */
    void *x;                        /* [layers][rows][hidden] of the element type */
    int32_t *maps[2]; /* [layers][P] placement of the first half of the steps, and of the second */
    struct sl_progress *progress;
};

/* The second placement, planned from what was counted under the first. */
struct sl_replay_plan {
    sluice_plan_summary summary;
    bool made;
};

/* replay_maps.c. Each returns 0, or -1 with a line in err. */
int sl_replay_open_maps(struct sl_replay_case *c, char *err, size_t n);
/* From counts [layers][E]. */
int sl_replay_make_plan(struct sl_replay_case *c, const sluice_api *api, int64_t *counts,
                        struct sl_replay_plan *plan, char *err, size_t n);

/* replay_input.c. Each returns 0, or -1 with a line in err. */
int sl_replay_open(struct sl_replay_case *c, const struct sl_replay_options *options, char *err,
                   size_t n);
void sl_replay_fill(struct sl_replay_case *c, int32_t step);
void sl_replay_close(struct sl_replay_case *c);

/* replay_progress.c. Rank 0 of a world, whose caller waits for it, or the caller itself tells where
 * the replay is: `done` of `of` parts of a layer of a phase. Draws on a terminal. */
void sl_replay_begin(struct sl_replay_case *c, struct sl_progress *progress);
void sl_replay_advance(const struct sl_replay_case *c, enum sl_replay_phase phase, int32_t step,
                       int32_t layer, int64_t done, int64_t of);

/* replay_expert.c: SwiGLU experts whose weights are drawn from (layer, expert): each is another.
 * Elements are f32, or bf16 (as uint16_t). Shared expert j is expert E + j. */
struct sl_expert_shape {
    int32_t hidden, width, bf16;
};
size_t sl_expert_floats(const struct sl_expert_shape *shape); /* weights of one expert */
void sl_expert_draw(const struct sl_expert_shape *shape, uint64_t seed, int32_t layer,
                    int32_t expert, float *weights);
void sl_expert_run(const struct sl_expert_shape *shape, const float *weights, const void *x,
                   void *out);
size_t sl_element_bytes(int32_t bf16);
float sl_element_get(const void *row, int64_t i, int32_t bf16);
void sl_element_put(void *row, int64_t i, float value, int32_t bf16);

/* How level the steps were, one by one: a layer waits for its fullest rank in each. */
struct sl_replay_half {
    int32_t steps;
    double *ratio;   /* [layers] greatest rank rows / mean rank rows, summed over steps */
    double *experts; /* [layers] most routed slots with rows on one rank, likewise */
    double *time_ps; /* [layers] of the slowest rank by the options' costs, likewise */
};

/* replay_world.c: ranks as threads, each with the plugin and a context of its own. */
struct sl_world {
    const struct sl_replay_case *replay;
    const sluice_api *api;
    int32_t ranks;
    bool plain;     /* one rank, trivial placement, shared at home: what others are held against */
    int64_t tokens; /* a rank and step */
    void *out;      /* [layers][rows][hidden] */
    int32_t *ids;   /* [layers][rows][K] what topk chose; plain only */
    float *weights; /* [layers][rows][K] */
    float *shared_weights; /* [layers][rows][F] */
    float *zero_weight;    /* [layers][rows] */
    int64_t *step_rows;    /* [layers][ranks] rows of the step on each rank, shared ones too */
    int32_t *step_experts; /* [layers][ranks] routed slots that got rows in it */
    int32_t *step_active;  /* [layers][ranks] and shared slots that did */
    atomic_int *step_ways; /* [layers][ranks] choices and shared columns that left or came */
    int64_t *served;       /* [layers][ranks] sum of step_rows */
    struct sl_replay_half half[2]; /* under the first placement and under the second */
    int64_t *counted;              /* [layers][E] recorder counters by logical expert, all ranks */
    sluice_stats stats;            /* summed over ranks */
    uint64_t shared_changed;       /* shared weight rows whose bytes are not what was loaded */
    char error[700];               /* the first rank that failed: rank, operation, text */
    struct sl_world_rank *all;
    struct sluice_comm_threads *group;
};
int sl_world_open(struct sl_world *world, char *err, size_t n);
/* Adds up the recorders' counts so far and starts them again. */
void sl_world_count(struct sl_world *world);
/* Serves all layers of the step that is filled in; `changes`: take the second placement first. */
int sl_world_step(struct sl_world *world, int32_t step, bool changes);
/* Adds the step to the figures. */
void sl_world_tally(struct sl_world *world, bool second);
void sl_world_finish(struct sl_world *world); /* reads counters, stats and shared rows */
void sl_world_close(struct sl_world *world);

/* replay_check.c: the same sums by a literal loop, without the plugin's dispatch and combine. */
void sl_replay_literal(const struct sl_replay_case *c, const struct sl_world *plain, int32_t step,
                       int32_t number, void *out);

/* replay_report.c */
struct sl_replay_verdict {
    int64_t tokens;                       /* outputs checked: tokens x layers */
    int64_t differ_plain, differ_literal; /* outputs whose bits differ; PER_RANK: beyond rounding */
    int64_t choices, counted;             /* real choices; what recorders counted */
    int64_t miscounted;                   /* experts whose count is not that of the choices */
    double seconds;
    bool good;
    struct sl_replay_plan plan;
};
void sl_replay_print(const struct sl_replay_case *c, const struct sl_world *world,
                     const struct sl_replay_verdict *verdict, const char *plugin_line);
int sl_replay_write(const struct sl_replay_case *c, const struct sl_world *world,
                    const struct sl_replay_verdict *verdict, char *err, size_t n);
int sl_replay_plot(const struct sl_replay_case *c, const struct sl_world *world, char *err,
                   size_t n);

#endif
