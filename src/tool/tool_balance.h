/* How level a placement can be made under given counts: the columns of `eval`. */
#ifndef SL_TOOL_BALANCE_H
#define SL_TOOL_BALANCE_H

#include <stddef.h>
#include <stdint.h>

#include "../../abi/ext/balance.h"
#include "tool_counts.h"

/* What of a step's freedom is used. EVEN: a choice's load is split evenly over its expert's copies;
 * LEVEL: shared out exactly (the least greatest load there is). HOME: the shared experts' load lies
 * evenly on all ranks; MOVED: it goes where it lowers the greatest load. */
enum { SL_EVEN_HOME = 0, SL_EVEN_MOVED, SL_LEVEL_HOME, SL_LEVEL_MOVED, SL_BALANCE_WAYS };
extern const char *const sl_balance_names[SL_BALANCE_WAYS]; /* as in JSON */
extern const char *const sl_balance_titles[SL_BALANCE_WAYS];

/* Each way's greatest rank load / mean rank load, as batches grow large; 0 where not known. */
struct sl_ratios {
    double way[SL_BALANCE_WAYS];
};

struct sl_balance_case {
    const sluice_balance_api *solver; /* NULL: LEVEL is not known */
    int32_t experts, slots, ranks;    /* E, N, W */
    int32_t shared, top_k;
    const int32_t *node; /* [ranks] or NULL */
};

/* Of one layer: counts [E], map [N * ranks], experts without a copy have no count. A layer that saw
 * no token gives zeros. Returns 0, or -1 with a line in err. */
int sl_ratios_of(const struct sl_balance_case *c, const int64_t *counts, const int32_t *map,
                 struct sl_ratios *ratios, char *err, size_t n);

/* Mean and greatest over the layers that saw tokens. */
struct sl_ratio_sums {
    int32_t layers;
    struct sl_ratios mean, worst;
    int32_t worst_layer[SL_BALANCE_WAYS];
};
void sl_ratio_sums_of(const struct sl_ratios *ratios, int32_t layers, struct sl_ratio_sums *sums);

#endif
