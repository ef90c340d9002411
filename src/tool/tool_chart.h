/* Draws ratios of 1 and more, e.g. greatest rank load over mean, as dots or steps in one or more
 * panels above each other, in SVG without scripts or fonts. */
#ifndef SL_TOOL_CHART_H
#define SL_TOOL_CHART_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SL_CHART_PANELS = 2, SL_CHART_SERIES = 3 };

/* RING lies under DOT where they meet. STEPS: y holds until the next x. */
enum sl_chart_style { SL_CHART_DOT, SL_CHART_RING, SL_CHART_STEPS };

struct sl_chart_series {
    const char *name, *detail; /* the legend's two lines, UTF-8 */
    const char *colour;        /* "#rrggbb" */
    enum sl_chart_style style;
    const double *y; /* [points]; below 1 where there is none */
};

struct sl_chart_panel {
    const char *label; /* of the y axis */
    const struct sl_chart_series *series;
    int32_t count;
    double goal; /* a dashed line; 0: none */
};

struct sl_chart {
    const char *title, *caption, *x_label;
    int32_t points;
    const double *x; /* [points] rising from 0; NULL: 0, 1, 2 ..., each with a column of its own */
    const struct sl_chart_panel *panels;
    int32_t panel_count;
};

/* 900 wide; the same bytes for the same input. Returns 0, or -1 with a line in err. */
int sl_chart_save(const char *path, const struct sl_chart *chart, char *err, size_t n);

/* "mean 1.0559, worst 1.4320 in layer 13": of a series by layer, for the legend. */
void sl_chart_describe(const double *y, int32_t points, char *text, size_t n);

/* The last part of a path, for captions. */
const char *sl_chart_name(const char *path);

/* Of the picture of a layer's balance. */
#define SL_CHART_HOT "#de422c"
#define SL_CHART_BOUND "#8492a3"
#define SL_CHART_OURS "#1a6fb5"

#endif
