#include "tool_svg.h"

#include "tool_file.h"
#include "tool_svg_page.h"

#include <math.h>
#include <stdlib.h>

enum { LEFT = 74, TOP = 104, PLOT = 676, SIDE = 776, SIDE_WIDTH = 96 };
enum { COLD = 16, COLOURS = 64, EMPTY = COLOURS };

#define INK SL_INK
#define RULE SL_RULE
#define EMPTY_FILL "#e3e6ea"

struct drawing {
    FILE *out;
    const struct sl_heat *h;
    double *ratio; /* [layers][cells], below 0 for a layer without tokens */
    double *peak;  /* [layers] greatest ratio, likewise */
    int32_t bin, cells;
    double hot; /* the greatest ratio, and where it is; hot_layer -1: nowhere */
    int32_t hot_layer, hot_rank;
    int32_t busy;        /* layers that saw tokens */
    double balancedness; /* mean over those of mean / greatest */
    double scale, row, height;
};

static int check(const struct sl_heat *h, char *err, size_t n)
{
    if (h->ranks < 1 || h->ranks > SL_HEAT_MAX_RANKS || h->layers < 1 ||
        h->layers > SL_HEAT_MAX_LAYERS)
        return sl_tool_error(err, n, "%d ranks, %d layers; 1 to %d and 1 to %d were expected",
                             h->ranks, h->layers, SL_HEAT_MAX_RANKS, SL_HEAT_MAX_LAYERS);
    size_t count = (size_t)h->ranks * (size_t)h->layers;
    for (size_t i = 0; i < count; i++)
        if (!isfinite(h->load[i]) || h->load[i] < 0)
            return sl_tool_error(err, n,
                                 "layer %zu, rank %zu: load %g; finite and 0 or more was "
                                 "expected",
                                 i / (size_t)h->ranks, i % (size_t)h->ranks, h->load[i]);
    return 0;
}

static void measure_layer(struct drawing *d, int32_t layer)
{
    const double *load = d->h->load + (size_t)layer * (size_t)d->h->ranks;
    double *ratio = d->ratio + (size_t)layer * (size_t)d->cells, sum = 0;
    for (int32_t r = 0; r < d->h->ranks; r++)
        sum += load[r];
    d->peak[layer] = -1;
    for (int32_t c = 0; c < d->cells; c++)
        ratio[c] = -1;
    if (sum <= 0)
        return;
    for (int32_t r = 0; r < d->h->ranks; r++) {
        double x = load[r] * d->h->ranks / sum;
        if (x > ratio[r / d->bin])
            ratio[r / d->bin] = x;
        if (x > d->peak[layer])
            d->peak[layer] = x;
        if (d->hot_layer < 0 || x > d->hot) {
            d->hot = x;
            d->hot_layer = layer;
            d->hot_rank = r;
        }
    }
    d->busy++;
    d->balancedness += 1 / d->peak[layer];
}

/* A round number that is not below x, and at least 1.5 so that a level map looks level. */
static double round_scale(double x)
{
    static const double steps[] = {1.5, 2, 2.5, 3, 4, 5, 6, 8, 10};
    double unit = 1;
    for (;;) {
        for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
            if (steps[i] * unit >= x)
                return steps[i] * unit;
        unit *= 10;
    }
}

static void measure(struct drawing *d)
{
    d->hot_layer = -1;
    for (int32_t layer = 0; layer < d->h->layers; layer++)
        measure_layer(d, layer);
    d->scale = d->h->scale > 1 ? d->h->scale : round_scale(d->hot);
    d->balancedness = d->busy > 0 ? d->balancedness / d->busy : 1;
    d->row = 420.0 / d->h->layers;
    d->row = d->row < 4 ? 4 : d->row > 30 ? 30 : d->row;
    d->height = d->row * d->h->layers;
}

/* Pale blue below the mean, near white at it, then through amber and red to dark red. */
static void colour(int index, unsigned rgb[3])
{
    static const struct {
        double at;
        unsigned rgb[3];
    } stops[] = {{0, {126, 173, 214}},    {0.7, {205, 224, 238}}, {1, {250, 248, 243}},
                 {1.16, {253, 232, 184}}, {1.4, {251, 169, 80}},  {1.7, {222, 66, 44}},
                 {2, {104, 8, 30}}};
    double x = index < COLD ? (index + 0.5) / COLD : 1 + (index - COLD) / (COLOURS - COLD - 1.0);
    size_t i = 1;
    while (stops[i].at < x && i + 1 < sizeof stops / sizeof *stops)
        i++;
    double part = (x - stops[i - 1].at) / (stops[i].at - stops[i - 1].at);
    for (int k = 0; k < 3; k++) {
        double a = stops[i - 1].rgb[k], b = stops[i].rgb[k];
        rgb[k] = (unsigned)(a + (b - a) * part + 0.5);
    }
}

static int index_of(const struct drawing *d, double ratio)
{
    if (ratio < 0)
        return EMPTY;
    if (ratio < 1 - 1e-9)
        return (int)(ratio * COLD);
    /* By powers: the step from 1 to 2 shows even where the hottest is at 16. */
    double part = ratio > 1 ? log(ratio) / log(d->scale) : 0;
    int hot = (int)(part * (COLOURS - COLD - 1) + 0.5);
    return COLD + (hot > COLOURS - COLD - 1 ? COLOURS - COLD - 1 : hot);
}

static void put_head(const struct drawing *d)
{
    FILE *f = d->out;
    sl_page_begin(f, (int)(TOP + d->height + 112.5), d->h->title);
    if (d->h->caption != NULL) {
        sl_page_text(f, d->h->caption);
        (void)fputs(" · ", f);
    }
    if (d->hot_layer < 0)
        (void)fputs("no tokens", f);
    else
        (void)fprintf(f,
                      "hottest <tspan font-weight=\"600\" fill=\"" INK
                      "\">%.2f×</tspan> (layer %d, rank %d) · balancedness "
                      "<tspan font-weight=\"600\" fill=\"" INK "\">%.3f</tspan>",
                      d->hot, d->hot_layer + d->h->first_layer, d->hot_rank, d->balancedness);
    (void)fputs("</text>\n", f);
}

/* One path a colour: runs of equal cells, in units of cells. */
static void put_cells(const struct drawing *d)
{
    FILE *f = d->out;
    (void)fprintf(f,
                  "<g transform=\"translate(%d %d) scale(%.6f %.6f)\" "
                  "shape-rendering=\"crispEdges\">\n",
                  LEFT, TOP, (double)PLOT / d->cells, d->row);
    for (int index = 0; index <= EMPTY; index++) {
        int open = 0;
        const double *ratio = d->ratio;
        for (int32_t y = 0; y < d->h->layers; y++, ratio += d->cells)
            for (int32_t x = 0, run; x < d->cells; x += run) {
                run = 1;
                if (index_of(d, ratio[x]) != index)
                    continue;
                while (x + run < d->cells && index_of(d, ratio[x + run]) == index)
                    run++;
                if (!open) {
                    unsigned rgb[3] = {0xE3, 0xE6, 0xEA};
                    if (index != EMPTY)
                        colour(index, rgb);
                    (void)fprintf(f, "<path fill=\"#%02x%02x%02x\" d=\"", rgb[0], rgb[1], rgb[2]);
                    open = 1;
                }
                (void)fprintf(f, "M%d %dh%dv1h-%dz", x, y, run, run);
            }
        if (open)
            (void)fputs("\"/>\n", f);
    }
    (void)fputs("</g>\n", f);
}

/* White hairlines between cells that are large enough to be told apart. */
static void put_grid(const struct drawing *d)
{
    double cell = (double)PLOT / d->cells;
    if (cell < 8 && d->row < 6)
        return;
    (void)fputs("<path stroke=\"#ffffff\" stroke-width=\"0.8\" d=\"", d->out);
    for (int32_t x = 1; cell >= 8 && x < d->cells; x++)
        (void)fprintf(d->out, "M%.2f %dv%.2f", LEFT + x * cell, TOP, d->height);
    for (int32_t y = 1; d->row >= 6 && y < d->h->layers; y++)
        (void)fprintf(d->out, "M%d %.2fh%d", LEFT, TOP + y * d->row, PLOT);
    (void)fputs("\"/>\n", d->out);
}

static void put_hottest(const struct drawing *d)
{
    if (d->hot_layer < 0 || d->hot <= 1)
        return;
    double cell = (double)PLOT / d->cells;
    int32_t cell_of = d->hot_rank / d->bin;
    double pad = cell < 8 || d->row < 8 ? 2 : 0;
    (void)fprintf(d->out,
                  "<rect x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" height=\"%.2f\" rx=\"1.5\" "
                  "fill=\"none\" stroke=\"" INK "\" stroke-width=\"1.6\"/>\n",
                  LEFT + (double)cell_of * cell - pad, TOP + d->hot_layer * d->row - pad,
                  cell + 2 * pad, d->row + 2 * pad);
}

/* The smallest of 1, 2, 4, 5, 8, 10, 16 … whose labels have room. */
static int32_t label_step(double each, double room)
{
    static const int32_t steps[] = {1, 2, 4, 5, 8, 10, 16, 20, 32, 64, 128, 256};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
        if (steps[i] * each >= room)
            return steps[i];
    return 512;
}

static void put_axes(const struct drawing *d)
{
    FILE *f = d->out;
    double rank = (double)PLOT / d->cells / d->bin, bottom = TOP + d->height;
    int32_t step = label_step(rank, 30);
    (void)fputs("<g text-anchor=\"middle\">\n", f);
    for (int32_t r = 0; r < d->h->ranks; r += step)
        (void)fprintf(f, "<text x=\"%.2f\" y=\"%.2f\">%d</text>\n", LEFT + (r + 0.5) * rank,
                      bottom + 17, r);
    (void)fprintf(f, "<text x=\"%d\" y=\"%.2f\" font-size=\"13\" fill=\"" INK "\">rank",
                  LEFT + PLOT / 2, bottom + 38);
    if (d->bin > 1)
        (void)fprintf(f, " (a cell is the greatest of %d neighbours)", d->bin);
    (void)fputs("</text>\n</g>\n<g text-anchor=\"end\">\n", f);
    step = label_step(d->row, 14);
    for (int32_t y = 0; y < d->h->layers; y++)
        if ((y + d->h->first_layer) % step == 0 || d->h->layers == 1)
            (void)fprintf(f, "<text x=\"%d\" y=\"%.2f\">%d</text>\n", LEFT - 8,
                          TOP + (y + 0.5) * d->row + 4, y + d->h->first_layer);
    (void)fprintf(f,
                  "</g>\n<text transform=\"translate(%d %.2f) rotate(-90)\" text-anchor=\"middle\" "
                  "font-size=\"13\" fill=\"" INK "\">layer</text>\n",
                  30, TOP + d->height / 2);
}

/* Beside the map: each layer's greatest rank over its mean, which is what the layer waits for. */
static void put_side(const struct drawing *d)
{
    FILE *f = d->out;
    double unit = SIDE_WIDTH / d->scale, bottom = TOP + d->height;
    (void)fprintf(f,
                  "<text x=\"%d\" y=\"%d\" fill=\"" INK "\">hottest rank</text>\n"
                  "<g shape-rendering=\"crispEdges\">\n",
                  SIDE, TOP - 10);
    for (int32_t y = 0; y < d->h->layers; y++) {
        double peak = d->peak[y] > d->scale ? d->scale : d->peak[y];
        unsigned rgb[3];
        if (peak < 0)
            continue;
        int index = index_of(d, peak);
        colour(index < COLD + 12 ? COLD + 12 : index, rgb);
        (void)fprintf(f,
                      "<rect x=\"%d\" y=\"%.2f\" width=\"%.2f\" height=\"%.2f\" "
                      "fill=\"#%02x%02x%02x\"/>\n",
                      SIDE, TOP + y * d->row, peak * unit, d->row > 5 ? d->row - 1 : d->row, rgb[0],
                      rgb[1], rgb[2]);
    }
    (void)fprintf(f,
                  "</g>\n<path stroke=\"" INK "\" stroke-dasharray=\"3 3\" d=\"M%.2f %dV%.2f\"/>\n"
                  "<path stroke=\"" RULE "\" d=\"M%d.5 %dV%.2f\"/>\n"
                  "<g text-anchor=\"middle\">\n<text x=\"%.2f\" y=\"%.2f\">1×</text>\n"
                  "<text x=\"%d\" y=\"%.2f\">%g×</text>\n</g>\n",
                  SIDE + unit, TOP - 4, bottom + 4, SIDE - 1, TOP, bottom, SIDE + unit, bottom + 17,
                  SIDE + SIDE_WIDTH, bottom + 17, d->scale);
}

static void put_legend(const struct drawing *d)
{
    enum { X = LEFT, BAR = 4, HEIGHT = 12 };
    FILE *f = d->out;
    double y = TOP + d->height + 66;
    (void)fputs("<g shape-rendering=\"crispEdges\">\n", f);
    for (int i = 0; i < COLOURS; i++) {
        unsigned rgb[3];
        colour(i, rgb);
        (void)fprintf(f,
                      "<rect x=\"%d\" y=\"%.2f\" width=\"%d\" height=\"%d\" "
                      "fill=\"#%02x%02x%02x\"/>\n",
                      X + i * BAR, y, BAR, HEIGHT, rgb[0], rgb[1], rgb[2]);
    }
    int right = X + COLOURS * BAR;
    (void)fprintf(
        f,
        "</g>\n<rect x=\"%d.5\" y=\"%.2f\" width=\"%d\" height=\"%d\" fill=\"none\" "
        "stroke=\"" RULE "\"/>\n<text x=\"%d\" y=\"%.2f\">load of a rank over the mean of "
        "its layer</text>\n<g text-anchor=\"middle\">\n<text x=\"%d\" y=\"%.2f\">0</text>\n",
        X - 1, y - 0.5, COLOURS * BAR + 1, HEIGHT + 1, right + 30, y + 10, X, y + 29);
    double mark = 1;
    while (mark <= d->scale) {
        double x = X + (index_of(d, mark) + 0.5) * BAR;
        (void)fprintf(f,
                      "<path stroke=\"" INK "\" d=\"M%.2f %.2fv5\"/>\n"
                      "<text x=\"%.2f\" y=\"%.2f\">%g×</text>\n",
                      x, y + HEIGHT, x, y + 29, mark);
        mark = mark * 2 > d->scale * 0.75 && mark < d->scale ? d->scale : mark * 2;
    }
    (void)fputs("</g>\n", f);
    if (d->busy == d->h->layers)
        return;
    (void)fprintf(f,
                  "<rect x=\"%d\" y=\"%.2f\" width=\"14\" height=\"%d\" fill=\"" EMPTY_FILL "\" "
                  "stroke=\"" RULE "\"/>\n<text x=\"%d\" y=\"%.2f\">no tokens</text>\n",
                  SIDE, y, HEIGHT, SIDE + 21, y + 10);
}

int sl_svg_heat(FILE *out, const struct sl_heat *heat, char *err, size_t n)
{
    if (check(heat, err, n) != 0)
        return -1;
    struct drawing d = {.out = out, .h = heat};
    /* Cells of 2 and more: narrower ones would vanish between pixels. */
    d.bin = (heat->ranks + PLOT / 2 - 1) / (PLOT / 2);
    d.cells = (heat->ranks + d.bin - 1) / d.bin;
    d.ratio = calloc((size_t)heat->layers * (size_t)d.cells, sizeof *d.ratio);
    d.peak = calloc((size_t)heat->layers, sizeof *d.peak);
    int rc = 0;
    if (d.ratio == NULL || d.peak == NULL) {
        rc = sl_tool_error(err, n, "no memory for the picture");
    } else {
        measure(&d);
        put_head(&d);
        put_cells(&d);
        put_grid(&d);
        put_hottest(&d);
        put_axes(&d);
        put_side(&d);
        put_legend(&d);
        (void)fputs("</svg>\n", out);
    }
    free(d.ratio);
    free(d.peak);
    return rc;
}

int sl_svg_heat_save(const char *path, const struct sl_heat *heat, char *err, size_t n)
{
    if (check(heat, err, n) != 0)
        return -1;
    FILE *file = sl_tool_create(path, err, n);
    if (file == NULL)
        return -1;
    int rc = sl_svg_heat(file, heat, err, n);
    return sl_tool_close(file, path, rc == 0 ? err : NULL, n) != 0 ? -1 : rc;
}
