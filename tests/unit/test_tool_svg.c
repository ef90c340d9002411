#include "ct.h"

#include "tool/tool_svg.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The picture as text; the caller frees it. */
static char *draw(const struct sl_heat *heat)
{
    char *text = NULL, err[200] = "";
    size_t size = 0;
    FILE *file = open_memstream(&text, &size);
    if (!ct_expect_true(file != NULL))
        return NULL;
    ct_expect_eq_i64(sl_svg_heat(file, heat, err, sizeof err), 0);
    ct_expect_str_eq(err, "");
    fclose(file);
    return text;
}

static int occurrences(const char *text, const char *part)
{
    int n = 0;
    for (const char *at = text; (at = strstr(at, part)) != NULL; at += strlen(part))
        n++;
    return n;
}

static double *some_load(int32_t ranks, int32_t layers)
{
    double *load = ct_alloc(sizeof *load * (size_t)ranks * (size_t)layers);
    for (int32_t i = 0; i < ranks * layers; i++)
        load[i] = 1 + (i * 7919) % 13;
    return load;
}

CT(tool_svg, all_shapes, "1 to 1024 ranks and 1 to 128 layers give a whole picture")
{
    static const int32_t ranks[] = {1, 2, 32, 338, 339, 1000, 1024}, layers[] = {1, 7, 58, 128};
    for (size_t i = 0; i < sizeof ranks / sizeof *ranks; i++)
        for (size_t k = 0; k < sizeof layers / sizeof *layers; k++) {
            ct_note("%d ranks, %d layers", ranks[i], layers[k]);
            struct sl_heat heat = {.title = "t", .ranks = ranks[i], .layers = layers[k]};
            heat.load = some_load(ranks[i], layers[k]);
            char *text = draw(&heat);
            ct_true(text != NULL);
            ct_expect_eq_i64(strncmp(text, "<svg ", 5), 0);
            ct_expect_true(strstr(text, "</svg>\n") == text + strlen(text) - 7);
            ct_expect_eq_i64(occurrences(text, "<g"), occurrences(text, "</g>"));
            ct_expect_true(strstr(text, "nan") == NULL && strstr(text, "inf") == NULL);
            free(text);
        }
}

CT(tool_svg, same_bytes, "the same load gives the same bytes")
{
    struct sl_heat heat = {.title = "t", .ranks = 16, .layers = 9, .load = some_load(16, 9)};
    char *a = draw(&heat), *b = draw(&heat);
    if (a != NULL && b != NULL)
        ct_expect_str_eq(a, b);
    free(a);
    free(b);
}

CT(tool_svg, figures, "the second line has the hottest cell and the balancedness")
{
    /* SEMANTICS: ranks 10, 20, 30, 40 are 0.625 balanced. */
    static const double load[8] = {10, 20, 30, 40, 0, 0, 0, 0};
    struct sl_heat heat = {
        .title = "t", .caption = "before", .ranks = 4, .layers = 2, .first_layer = 3, .load = load};
    char *text = draw(&heat);
    ct_true(text != NULL);
    ct_expect_str_has(text, "before");
    ct_expect_str_has(text, "1.60×");
    ct_expect_str_has(text, "(layer 3, rank 3)");
    ct_expect_str_has(text, ">0.625<");
    ct_expect_str_has(text, "no tokens");
    free(text);
}

CT(tool_svg, hottest_in_row, "the hottest rank is named, not the first of its layer")
{
    static const double load[4] = {3, 9, 1, 1};
    struct sl_heat heat = {.title = "t", .ranks = 4, .layers = 1, .load = load};
    char *text = draw(&heat);
    ct_true(text != NULL);
    ct_expect_str_has(text, "(layer 0, rank 1)");
    free(text);
}

CT(tool_svg, escapes, "the title's markup is written as text")
{
    struct sl_heat heat = {.title = "a<b & c", .ranks = 1, .layers = 1, .load = some_load(1, 1)};
    char *text = draw(&heat);
    ct_true(text != NULL);
    ct_expect_str_has(text, "a&lt;b &amp; c");
    ct_expect_true(strstr(text, "a<b") == NULL);
    free(text);
}

CT(tool_svg, own_scale, "a given scale makes a level map and a hot one use different colours")
{
    static const double level[2] = {1, 1}, hot[2] = {7, 1};
    struct sl_heat heat = {.title = "t", .ranks = 2, .layers = 1, .load = level, .scale = 8};
    char *a = draw(&heat);
    heat.load = hot;
    char *b = draw(&heat);
    ct_true(a != NULL && b != NULL);
    ct_expect_str_has(a, ">8×<");
    ct_expect_str_has(b, ">8×<");
    ct_expect_str_has(a, "d=\"M0 0h2v1h-2z\"");
    ct_expect_str_has(b, "d=\"M0 0h1v1h-1z\"");
    free(a);
    free(b);
}

CT(tool_svg, refuses, "too many ranks and a load that is no number are refused")
{
    static const double bad[4] = {1, 2, NAN, 4};
    struct sl_heat heat = {.title = "t", .ranks = 1025, .layers = 1, .load = bad};
    char err[200] = "";
    ct_eq_i64(sl_svg_heat_save("/nonexistent/x.svg", &heat, err, sizeof err), -1);
    ct_str_has(err, "1025 ranks");
    heat.ranks = 2;
    heat.layers = 2;
    ct_eq_i64(sl_svg_heat_save("/nonexistent/x.svg", &heat, err, sizeof err), -1);
    ct_str_has(err, "layer 1, rank 0: load nan");
}
