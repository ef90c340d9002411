#include "ct.h"

#include "tool/tool_chart.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST = 1 << 18 };

static const double hot[] = {0, 1.25, 1.5, 1.125}, level[] = {0, 1, 1.0625, 1};

static struct sl_chart_series series[] = {
    {"split <evenly>", "a", SL_CHART_HOT, SL_CHART_DOT, hot},
    {"level", "b", SL_CHART_OURS, SL_CHART_RING, level},
};
static const struct sl_chart_panel panel = {"ratio", series, 2, 0};
static const struct sl_chart dots = {.title = "t & t",
                                     .caption = "c",
                                     .x_label = "layer",
                                     .points = 4,
                                     .panels = &panel,
                                     .panel_count = 1};

/* The picture as text; the caller frees it. */
static char *draw(const struct sl_chart *chart)
{
    char path[] = "/tmp/sluice-chart-XXXXXX", err[200] = "";
    int file = mkstemp(path);
    if (!ct_expect_true(file >= 0))
        return NULL;
    close(file);
    char *text = calloc(1, MOST);
    if (ct_expect_eq_i64(sl_chart_save(path, chart, err, sizeof err), 0)) {
        FILE *in = fopen(path, "rb");
        if (text && in && fread(text, 1, MOST - 1, in) == 0)
            text[0] = 0;
        if (in)
            (void)fclose(in);
    }
    (void)remove(path);
    return text;
}

static int occurrences(const char *text, const char *part)
{
    int n = 0;
    for (const char *at = text; (at = strstr(at, part)) != NULL; at += strlen(part))
        n++;
    return n;
}

CT(tool_chart, dots, "a mark for each value of 1 and more and for each name, markup as text")
{
    char *text = draw(&dots);
    ct_true(text != NULL);
    ct_expect_eq_i64(occurrences(text, "<circle"), 6 + 2);
    ct_expect_eq_i64(occurrences(text, "stroke=\"#ffffff\" stroke-width=\"0.8\""), 4);
    ct_expect_str_has(text, "split &lt;evenly>");
    ct_expect_str_has(text, "t &amp; t");
    ct_expect_str_has(text, ">1.5×<");
    ct_expect_eq_i64(occurrences(text, "</svg>"), 1);
    ct_expect_true(strstr(text, "nan") == NULL && strstr(text, "inf") == NULL);
    free(text);
}

CT(tool_chart, steps, "two panels of steps; thousands of points that share pixels are few")
{
    enum { MANY = 20000 };
    double *x = ct_alloc(MANY * sizeof *x), *y = ct_alloc(MANY * sizeof *y);
    for (int32_t i = 0; i < MANY; i++) {
        x[i] = i;
        y[i] = 1 + 0.5 * (MANY - i) / MANY;
    }
    struct sl_chart_series one = {"s", "d", SL_CHART_OURS, SL_CHART_STEPS, y};
    struct sl_chart_panel panels[] = {{"p", &one, 1, 1.01}, {"q", &one, 1, 0}};
    struct sl_chart chart = dots;
    chart.x = x;
    chart.points = MANY;
    chart.panels = panels;
    chart.panel_count = 2;
    char *text = draw(&chart);
    ct_true(text != NULL);
    ct_expect_str_has(text, "q</text>");
    ct_expect_str_has(text, "goal 1.01×");
    ct_expect_eq_i64(occurrences(text, "</svg>"), 1);
    free(text);
    chart.points = 1; /* nothing to move */
    text = draw(&chart);
    ct_true(text != NULL);
    ct_expect_true(strstr(text, "nan") == NULL && strstr(text, "inf") == NULL);
    free(text);
}

CT(tool_chart, describes, "mean and worst are over layers that have a value; names are last parts")
{
    char text[80];
    sl_chart_describe(hot, 4, text, sizeof text);
    ct_str_eq(text, "mean 1.2917, worst 1.5000 in layer 2");
    ct_str_eq(sl_chart_name("a/b.json"), "b.json");
    ct_str_eq(sl_chart_name("b.json"), "b.json");
}

CT(tool_chart, refuses, "no points, too many panels and what is no number are refused")
{
    struct sl_chart chart = dots;
    char err[200] = "";
    chart.points = 0;
    ct_eq_i64(sl_chart_save("/nowhere/x", &chart, err, sizeof err), -1);
    ct_str_has(err, "0 points in 1 panels");
    const double bad[] = {1, NAN, 1, 1};
    struct sl_chart_series one = {"s", "d", SL_CHART_OURS, SL_CHART_DOT, bad};
    struct sl_chart_panel wrong = {"p", &one, 1, 0};
    chart = dots;
    chart.panels = &wrong;
    ct_eq_i64(sl_chart_save("/nowhere/x", &chart, err, sizeof err), -1);
    ct_str_has(err, "point 1 of s");
}
