#include "tool_chart.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "tool_file.h"
#include "tool_svg_page.h"

enum { LEFT = 84, RIGHT = 868, TOP = 138, BELOW = 62, GAP = 34 };

/* A panel's place and scale on the page. */
struct frame {
    FILE *out;
    const struct sl_chart *chart;
    const struct sl_chart_panel *panel;
    double top, bottom;  /* y of the greatest value, and of 1 */
    double most, y_step; /* the greatest value; between lines */
    double x_most;
};

static double x_of(const struct frame *f, int32_t i)
{
    double width = RIGHT - LEFT;
    if (!f->chart->x)
        return LEFT + width * (i + 0.5) / f->chart->points;
    return LEFT + width * f->chart->x[i] / f->x_most;
}

static double y_of(const struct frame *f, double value)
{
    return f->bottom - (f->bottom - f->top) * (value - 1) / (f->most - 1);
}

/* The least of 1, 2, 5, 10 ... times `unit` that is not below x. */
static double round_step(double x, double unit)
{
    static const double times[] = {1, 2, 5};
    for (;;) {
        for (size_t i = 0; i < sizeof times / sizeof *times; i++)
            if (times[i] * unit >= x)
                return times[i] * unit;
        unit *= 10;
    }
}

static void scale(struct frame *f, int32_t lines)
{
    double most = f->panel->goal;
    for (int32_t s = 0; s < f->panel->count; s++)
        for (int32_t i = 0; i < f->chart->points; i++)
            most = fmax(most, f->panel->series[s].y[i]);
    f->y_step = round_step(fmax(most - 1, 0.001) / lines, 0.001);
    f->most = 1 + f->y_step * ceil(fmax(most - 1, 0.001) / f->y_step - 1e-9);
}

static void put_y_axis(const struct frame *f)
{
    int decimals = f->y_step < 0.01 ? 3 : f->y_step < 0.1 ? 2 : 1;
    int32_t count = (int32_t)((f->most - 1) / f->y_step + 0.5);
    for (int32_t i = 0; i <= count; i++) {
        double value = 1 + i * f->y_step, y = y_of(f, value);
        (void)fprintf(f->out,
                      "<path stroke=\"%s\" d=\"M%d %.2fH%d\"/>\n"
                      "<text x=\"%d\" y=\"%.2f\" text-anchor=\"end\">%.*f×</text>\n",
                      i ? "#eceff2" : SL_INK, LEFT, y, RIGHT, LEFT - 10, y + 4, decimals, value);
    }
    (void)fprintf(f->out,
                  "<text transform=\"translate(30 %.2f) rotate(-90)\" text-anchor=\"middle\" "
                  "font-size=\"13\" fill=\"" SL_INK "\">",
                  (f->top + f->bottom) / 2);
    sl_page_text(f->out, f->panel->label);
    (void)fputs("</text>\n", f->out);
    if (f->panel->goal > 1)
        (void)fprintf(f->out,
                      "<path stroke=\"" SL_MUTED "\" stroke-dasharray=\"3 4\" d=\"M%d %.2fH%d\"/>\n"
                      "<text x=\"%d\" y=\"%.2f\">goal %g×</text>\n",
                      LEFT, y_of(f, f->panel->goal), RIGHT, LEFT + 12, y_of(f, f->panel->goal) - 6,
                      f->panel->goal);
}

static void put_x_axis(const struct frame *f)
{
    const struct sl_chart *c = f->chart;
    double width = RIGHT - LEFT, last = c->x ? f->x_most : c->points - 1;
    double step = round_step(fmax(last, 1) * 42 / width, 1);
    (void)fputs("<g text-anchor=\"middle\">\n", f->out);
    for (int32_t i = 0; i <= (int32_t)(last / step); i++)
        (void)fprintf(f->out, "<text x=\"%.2f\" y=\"%.2f\">%.0f</text>\n",
                      c->x ? LEFT + width * i * step / f->x_most : x_of(f, (int32_t)(i * step)),
                      f->bottom + 19, i * step);
    (void)fprintf(f->out, "<text x=\"%.2f\" y=\"%.2f\" font-size=\"13\" fill=\"" SL_INK "\">",
                  LEFT + width / 2, f->bottom + 42);
    sl_page_text(f->out, c->x_label);
    (void)fputs("</text>\n</g>\n", f->out);
}

/* From a column's least value to its greatest. */
static void put_stems(const struct frame *f)
{
    (void)fputs("<path stroke=\"#dde3ea\" stroke-width=\"2\" d=\"", f->out);
    for (int32_t i = 0; i < f->chart->points; i++) {
        double least = INFINITY, most = 0;
        for (int32_t s = 0; s < f->panel->count; s++) {
            double y = f->panel->series[s].y[i];
            least = y >= 1 && y < least ? y : least;
            most = fmax(most, y);
        }
        if (most > least)
            (void)fprintf(f->out, "M%.2f %.2fV%.2f", x_of(f, i), y_of(f, least), y_of(f, most));
    }
    (void)fputs("\"/>\n", f->out);
}

static void put_mark(const struct frame *f, const struct sl_chart_series *s, double x, double y)
{
    bool ring = s->style == SL_CHART_RING;
    double room = (double)(RIGHT - LEFT) / f->chart->points;
    double radius = f->chart->x || room > 10 ? 4.2 : fmax(room * 0.42, 1.2);
    (void)fprintf(f->out, "<circle cx=\"%.2f\" cy=\"%.2f\" r=\"%.2f\" fill=\"%s\"", x, y,
                  ring ? radius - 0.4 : radius, ring ? "#ffffff" : s->colour);
    (void)fprintf(f->out, " stroke=\"%s\" stroke-width=\"%s\"/>\n", ring ? s->colour : "#ffffff",
                  ring ? "1.8" : "0.8");
}

/* Points that share a pixel are one: the last. */
static void put_steps(const struct frame *f, const struct sl_chart_series *s)
{
    int32_t last = f->chart->points - 1;
    for (int fill = 1; fill >= 0; fill--) {
        double drawn = x_of(f, 0);
        (void)fprintf(f->out, "<path %s=\"%s\" %s d=\"M%.2f %.2f", fill ? "fill" : "stroke",
                      s->colour, fill ? "fill-opacity=\"0.1\"" : "fill=\"none\" stroke-width=\"2\"",
                      drawn, y_of(f, s->y[0]));
        for (int32_t i = 1; i <= last; i++) {
            double x = x_of(f, i);
            if (i < last && x_of(f, i + 1) - drawn < 0.5)
                continue;
            (void)fprintf(f->out, "H%.2fV%.2f", x, y_of(f, s->y[i]));
            drawn = x;
        }
        if (fill)
            (void)fprintf(f->out, "V%.2fH%.2fz", f->bottom, x_of(f, 0));
        (void)fputs("\"/>\n", f->out);
    }
    put_mark(f, s, x_of(f, 0), y_of(f, s->y[0]));
    put_mark(f, s, x_of(f, last), y_of(f, s->y[last]));
}

static void put_panel(const struct frame *f)
{
    bool dots = !f->chart->x;
    put_y_axis(f);
    if (dots)
        put_stems(f);
    for (int32_t s = 0; s < f->panel->count; s++) {
        const struct sl_chart_series *series = &f->panel->series[s];
        if (series->style == SL_CHART_STEPS)
            put_steps(f, series);
        for (int32_t i = 0; series->style != SL_CHART_STEPS && i < f->chart->points; i++)
            if (series->y[i] >= 1)
                put_mark(f, series, x_of(f, i), y_of(f, series->y[i]));
    }
}

static void put_legend(const struct frame *f)
{
    int32_t at = 0;
    for (int32_t p = 0; p < f->chart->panel_count; p++)
        for (int32_t s = 0; s < f->chart->panels[p].count; s++, at++) {
            const struct sl_chart_series *series = &f->chart->panels[p].series[s];
            double x = 34 + at * 282.0;
            put_mark(f, series, x, 92);
            (void)fprintf(f->out, "<text x=\"%.2f\" y=\"96\" fill=\"" SL_INK "\">", x + 13);
            sl_page_text(f->out, series->name);
            (void)fprintf(f->out, "</text>\n<text x=\"%.2f\" y=\"113\">", x + 13);
            sl_page_text(f->out, series->detail);
            (void)fputs("</text>\n", f->out);
        }
}

static void draw(FILE *out, const struct sl_chart *c)
{
    double height = c->panel_count > 1 ? 190 : 360;
    struct frame f = {.out = out, .chart = c};
    f.x_most = c->x && c->x[c->points - 1] > 0 ? c->x[c->points - 1] : 1;
    sl_page_begin(out, (int)(TOP + c->panel_count * (height + GAP) - GAP + BELOW), c->title);
    sl_page_text(out, c->caption);
    (void)fputs("</text>\n", out);
    put_legend(&f);
    for (int32_t p = 0; p < c->panel_count; p++) {
        f.panel = &c->panels[p];
        f.top = TOP + p * (height + GAP);
        f.bottom = f.top + height;
        scale(&f, c->panel_count > 1 ? 4 : 8);
        put_panel(&f);
    }
    put_x_axis(&f);
    (void)fputs("</svg>\n", out);
}

void sl_chart_describe(const double *y, int32_t points, char *text, size_t n)
{
    double sum = 0;
    int32_t count = 0, worst = 0;
    for (int32_t i = 0; i < points; i++) {
        count += y[i] >= 1;
        sum += y[i] >= 1 ? y[i] : 0;
        worst = y[i] > y[worst] ? i : worst;
    }
    (void)snprintf(text, n, "mean %.4f, worst %.4f in layer %d", count ? sum / count : 0, y[worst],
                   worst);
}

const char *sl_chart_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

int sl_chart_save(const char *path, const struct sl_chart *c, char *err, size_t n)
{
    if (c->points < 1 || c->panel_count < 1 || c->panel_count > SL_CHART_PANELS)
        return sl_tool_error(err, n, "%d points in %d panels; 1 and more in 1 to %d were expected",
                             c->points, c->panel_count, SL_CHART_PANELS);
    for (int32_t p = 0; p < c->panel_count; p++)
        for (int32_t s = 0; s < c->panels[p].count; s++)
            for (int32_t i = 0; i < c->points; i++)
                if (!isfinite(c->panels[p].series[s].y[i]))
                    return sl_tool_error(err, n, "point %d of %s is no number", i,
                                         c->panels[p].series[s].name);
    FILE *file = sl_tool_create(path, err, n);
    if (!file)
        return -1;
    draw(file, c);
    return sl_tool_close(file, path, err, n);
}
