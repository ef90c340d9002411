#include <stdlib.h>
#include <string.h>

#include "diagnose.h"
#include "tool_file.h"

const char *const sl_remedy_keys[SL_REMEDIES] = {"as_it_is",  "step_alone", "eplb_even",
                                                 "eplb_step", "level_step", "repair_step"};

static int make_room(struct sl_diagnose *d, char *err, size_t n)
{
    size_t layers = (size_t)d->windows[0].layers;
    d->ratios = calloc(layers, sizeof *d->ratios);
    bool all = d->ratios != NULL;
    for (int i = 0; i < SL_REMEDIES; i++) {
        d->remedy[i].last = calloc(layers, sizeof(double));
        all = all && d->remedy[i].last;
    }
    return all ? 0 : sl_tool_error(err, n, "no memory for %zu layers", layers);
}

/* What a placement makes of one window, by all ways. */
static int judge(struct sl_diagnose *d, const struct sl_placement *p, int32_t window,
                 struct sl_ratio_sums *sums, char *err, size_t n)
{
    struct sl_balance_case c = d->balance;
    const struct sl_counts *counts = &d->windows[window];
    c.slots = p->slots / c.ranks;
    for (int32_t l = 0; l < counts->layers; l++) {
        char why[300];
        if (sl_ratios_of(&c, sl_counts_row(counts, 0, l), p->expert + (ptrdiff_t)l * p->slots,
                         &d->ratios[l], why, sizeof why))
            return sl_tool_error(err, n, "window %d, layer %d: %s", window, l, why);
    }
    sl_ratio_sums_of(d->ratios, counts->layers, sums);
    return 0;
}

/* Adds the judged window's figure to a remedy: mean is the sum until all are in. */
static void add(const struct sl_diagnose *d, struct sl_remedy *remedy,
                const struct sl_ratio_sums *sums, int way)
{
    for (int32_t l = 0; l < d->windows[0].layers; l++)
        remedy->last[l] = d->ratios[l].way[way];
    remedy->known = sums->mean.way[way] > 0;
    remedy->mean += sums->mean.way[way] / (d->count - d->first);
    if (sums->worst.way[way] > remedy->worst) {
        remedy->worst = sums->worst.way[way];
        remedy->worst_layer = sums->worst_layer[way];
    }
}

/* A placement that stays: two remedies, as it is split evenly and with step balance. */
static int judge_kept(struct sl_diagnose *d, const struct sl_placement *p, int even, int step,
                      char *err, size_t n)
{
    for (int32_t w = d->first; w < d->count; w++) {
        struct sl_ratio_sums sums = {.layers = 0};
        if (judge(d, p, w, &sums, err, n))
            return -1;
        if (even >= 0)
            add(d, &d->remedy[even], &sums, SL_EVEN_HOME);
        add(d, &d->remedy[step], &sums, SL_LEVEL_MOVED);
        d->layers = sums.layers;
    }
    return 0;
}

/* Each served window is seen once, a few slots are written, and then it is judged. */
static int judge_repaired(struct sl_diagnose *d, struct sl_placement *p, char *err, size_t n)
{
    struct sl_remedy *remedy = &d->remedy[SL_REPAIR_STEP];
    for (int32_t w = d->first; w < d->count; w++) {
        struct sl_placement next;
        struct sl_ratio_sums sums = {.layers = 0};
        sluice_plan_summary summary;
        if (sl_tool_plan(&d->plan, &d->windows[w], 1, p, &next, &summary, NULL, err, n))
            return -1;
        sl_placement_free(p);
        *p = next;
        if (judge(d, p, w, &sums, err, n))
            return -1;
        add(d, remedy, &sums, SL_LEVEL_MOVED);
        if (sums.layers)
            remedy->slots += (double)summary.slots / sums.layers / (d->count - d->first);
    }
    return 0;
}

static int judge_planned(struct sl_diagnose *d, int32_t policy, char *err, size_t n)
{
    struct sl_placement p;
    sluice_plan_summary summary;
    bool eplb = policy == SLUICE_PLAN_EPLB;
    d->plan.policy = policy;
    if (sl_tool_plan(&d->plan, &d->windows[0], 1, NULL, &p, &summary, NULL, err, n))
        return -1;
    int bad =
        judge_kept(d, &p, eplb ? SL_EPLB_EVEN : -1, eplb ? SL_EPLB_STEP : SL_LEVEL_STEP, err, n);
    if (!bad && !eplb && d->count > 1 && !d->options.current)
        bad = judge_repaired(d, &p, err, n);
    sl_placement_free(&p);
    return bad;
}

/* What is in force, repaired: with as many slots as it has. */
static int judge_current(struct sl_diagnose *d, char *err, size_t n)
{
    int32_t slots = d->plan.slots;
    if (!d->options.current)
        return 0;
    d->plan.slots = d->present.slots / d->options.ranks;
    int bad = judge_repaired(d, &d->present, err, n);
    d->plan.slots = slots;
    return bad;
}

/* ---------------------------------------------------------------------------- how long it lasts */

/* Half the L1 distance of the shares; negative where one window has none. */
static double drift_of(const int64_t *a, const int64_t *b, int32_t experts)
{
    double whole_a = 0, whole_b = 0, distance = 0;
    for (int32_t e = 0; e < experts; e++) {
        whole_a += (double)a[e];
        whole_b += (double)b[e];
    }
    if (whole_a <= 0 || whole_b <= 0)
        return -1;
    for (int32_t e = 0; e < experts; e++) {
        double apart = (double)a[e] / whole_a - (double)b[e] / whole_b;
        distance += apart < 0 ? -apart : apart;
    }
    return distance / 2;
}

static int32_t hottest(const int64_t *counts, int32_t experts)
{
    int32_t hot = 0;
    for (int32_t e = 1; e < experts; e++)
        if (counts[e] > counts[hot])
            hot = e;
    return hot;
}

static void measure_drift(struct sl_diagnose *d)
{
    int32_t experts = d->windows[0].experts;
    for (int32_t w = 1; w < d->count; w++)
        for (int32_t l = 0; l < d->windows[0].layers; l++) {
            const int64_t *before = sl_counts_row(&d->windows[w - 1], 0, l);
            const int64_t *now = sl_counts_row(&d->windows[w], 0, l);
            double drift = drift_of(before, now, experts);
            if (drift < 0)
                continue;
            d->drift += drift;
            d->drift_most = drift > d->drift_most ? drift : d->drift_most;
            d->hot_pairs++;
            d->hot_stays += hottest(before, experts) == hottest(now, experts);
        }
    d->drift = d->hot_pairs ? d->drift / d->hot_pairs : 0;
}

int sl_diagnose_measure(struct sl_diagnose *d, char *err, size_t n)
{
    measure_drift(d);
    if (make_room(d, err, n) || judge_kept(d, &d->present, SL_AS_IT_IS, SL_STEP_ALONE, err, n))
        return -1;
    if (!d->layers)
        return sl_tool_error(err, n, "no layer of %s saw a token",
                             d->options.files[d->options.count - 1]);
    if (!d->plan.api)
        return 0;
    return judge_planned(d, SLUICE_PLAN_EPLB, err, n) ||
                   judge_planned(d, SLUICE_PLAN_LEVEL, err, n) || judge_current(d, err, n) ||
                   sl_tool_plan_copies(&d->plan, d->windows, d->count, &d->needed, err, n)
               ? -1
               : 0;
}
