#include <stdio.h>

#include "diagnose.h"
#include "tool_chart.h"

int sl_diagnose_plot(const struct sl_diagnose *d, char *err, size_t n)
{
    const struct sl_remedy *r = d->remedy;
    bool planned = r[SL_EPLB_STEP].known;
    int ours = r[SL_REPAIR_STEP].known ? SL_REPAIR_STEP : SL_LEVEL_STEP;
    const int known[] = {SL_EPLB_EVEN, SL_EPLB_STEP, ours};
    const int in_force[] = {SL_AS_IT_IS, SL_STEP_ALONE, ours};
    const int unknown[] = {SL_AS_IT_IS, SL_STEP_ALONE, SL_STEP_ALONE};
    const char *const colours[] = {SL_CHART_HOT, SL_CHART_BOUND, SL_CHART_OURS};
    struct sl_chart_series series[SL_CHART_SERIES];
    char detail[SL_CHART_SERIES][80], caption[300];
    int32_t layers = d->windows[0].layers;
    for (int i = 0; i < SL_CHART_SERIES; i++) {
        int remedy = !planned ? unknown[i] : d->options.current ? in_force[i] : known[i];
        sl_chart_describe(r[remedy].last, layers, detail[i], sizeof detail[i]);
        series[i] = (struct sl_chart_series){sl_remedy_title(d, remedy), detail[i], colours[i],
                                             i == 1 ? SL_CHART_RING : SL_CHART_DOT, r[remedy].last};
    }
    (void)snprintf(caption, sizeof caption, "%s%s%s · %d ranks, %d slots each",
                   sl_chart_name(d->options.files[d->options.count - 1]),
                   d->options.count > 1 ? ", plans from " : "",
                   d->options.count > 1 ? sl_chart_name(d->options.files[0]) : "", d->options.ranks,
                   d->plan.slots);
    const struct sl_chart_panel panel = {.label = "fullest rank / mean",
                                         .series = series,
                                         .count = planned                  ? 3
                                                  : r[SL_STEP_ALONE].known ? 2
                                                                           : 1};
    const struct sl_chart chart = {.title =
                                       "How uneven each layer is, and what remedies make of it",
                                   .caption = caption,
                                   .x_label = "layer",
                                   .points = layers,
                                   .panels = &panel,
                                   .panel_count = 1};
    return sl_chart_save(d->options.plot, &chart, err, n);
}
