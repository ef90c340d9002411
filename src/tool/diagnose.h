/* `sluice diagnose`: is the load uneven, does it stay so, and what would each remedy gain. */
#ifndef SL_DIAGNOSE_H
#define SL_DIAGNOSE_H

#include <stdbool.h>

#include "tool_balance.h"
#include "tool_plan.h"

enum { SL_DIAGNOSE_MOST = 64 };

struct sl_diagnose_options {
    char **files;
    int32_t count;
    int32_t ranks, redundant, nodes, groups, shared, top_k;
    double target;
    double moe_ms; /* what the MoE layers of a step take as it is; 0: not known */
    double expert_mb;
    const char *current; /* a placement; NULL: experts in order */
    const char *plugin, *plot, *json;
};

enum {
    SL_AS_IT_IS = 0,
    SL_STEP_ALONE,
    SL_EPLB_EVEN,
    SL_EPLB_STEP,
    SL_LEVEL_STEP,
    SL_REPAIR_STEP,
    SL_REMEDIES
};

/* Greatest rank load / mean rank load, over the windows that were served. */
struct sl_remedy {
    bool known;
    double mean, worst; /* mean over layers and windows; the worst layer of any */
    int32_t worst_layer;
    double slots; /* written for a layer and window, after the first plan */
    double *last; /* [layers] of the last window; 0 in a layer without tokens */
};

extern const char *const sl_remedy_keys[SL_REMEDIES];

struct sl_diagnose {
    struct sl_diagnose_options options;
    struct sl_counts windows[SL_DIAGNOSE_MOST]; /* one step each */
    int32_t count;
    int32_t first;            /* the first that is served: 1, or 0 where there is one only */
    int32_t layers;           /* with tokens, in the last */
    double drift, drift_most; /* between successive windows, over layers: part of choices moved */
    int32_t hot_stays, hot_pairs; /* layers whose hottest expert stayed, of how many pairs */
    int32_t needed; /* slots a rank for `target` in the layer that needs most; -1: none do,
                            * 0: not known */
    struct sl_remedy remedy[SL_REMEDIES];
    struct sl_balance_case balance;
    struct sl_plan_case plan;
    struct sl_ratios *ratios;    /* [layers] of the window that is judged */
    struct sl_placement present; /* that is in force */
};

const char *sl_remedy_title(const struct sl_diagnose *d, int remedy);

/* Reads the windows: each file is one, or its steps are cut into at most eight. Reads or makes the
 * placement in force. */
int sl_diagnose_load(struct sl_diagnose *d, char *err, size_t n);
int sl_diagnose_measure(struct sl_diagnose *d, char *err, size_t n);
void sl_diagnose_free(struct sl_diagnose *d);

void sl_diagnose_print(const struct sl_diagnose *d);
int sl_diagnose_write(const struct sl_diagnose *d, char *err, size_t n);
/* diagnose_plot.c: each layer of the last window, with EPLB, what step balance makes of it, and
 * ours. */
int sl_diagnose_plot(const struct sl_diagnose *d, char *err, size_t n);

#endif
