/* Draws the load of every rank in every layer as a heat map, in SVG without scripts or fonts. */
#ifndef SL_TOOL_SVG_H
#define SL_TOOL_SVG_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum { SL_HEAT_MAX_RANKS = 1024, SL_HEAT_MAX_LAYERS = 128 };

/* A cell's colour is its rank's load over the mean of its layer's ranks. */
struct sl_heat {
    const char *title;   /* UTF-8 */
    const char *caption; /* before the figures in the second line; may be NULL */
    int32_t ranks, layers;
    int32_t first_layer; /* number of the first row, for the labels */
    const double *load;  /* [layers][ranks], finite, not negative */
    /* The ratio that has the darkest colour; 0: from the data. Give two maps that are to be
     * compared the same. */
    double scale;
};

/* 900 wide; the same bytes for the same input. Where ranks are too many for the width, a cell is
 * the greatest of several neighbours and the axis says so. Returns 0, or -1 with a line in err. */
int sl_svg_heat(FILE *out, const struct sl_heat *heat, char *err, size_t n);
int sl_svg_heat_save(const char *path, const struct sl_heat *heat, char *err, size_t n);

#endif
