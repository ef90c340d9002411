/* `sluice eval`: how level a placement can be made under given counts. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../host/sluice_host.h"
#include "commands.h"
#include "tool_balance.h"
#include "tool_chart.h"
#include "tool_file.h"
#include "tool_json.h"
#include "tool_options.h"

static const char help[] =
    "sluice eval COUNTS.json --placement P.json --ranks W [options]\n"
    "How level a placement can be made under given counts (SGLang's forms, or .npy ids), layer by\n"
    "layer: greatest rank load / mean rank load as batches grow large, where a choice's load is "
    "split\n"
    "evenly over its expert's copies or shared out exactly, and the shared experts' load is\n"
    "served at home or moved to where it levels.\n"
    "  --placement FILE     physical_to_logical_map\n"
    "  --ranks N            1 to 1024\n"
    "  --shared-experts N   shared experts that ride as slots: 0\n"
    "  --top-k N            choices a token, for the shared experts' load: 8\n"
    "  --plugin P           a path or a name: cpu\n"
    "  --plot FILE.svg      each layer, split evenly and at home, and level and moved\n"
    "  --json FILE|-        the figures\n";

struct options {
    const char *counts, *placement, *plugin, *plot, *json;
    int32_t ranks, shared, top_k;
};

struct eval {
    struct options options;
    struct sl_counts counts;
    struct sl_placement placement;
    struct sl_balance_case balance;
    struct sl_ratios *ratios; /* [layers] */
    struct sl_ratio_sums sums;
};

static int parse(int argc, char **argv, struct options *o, char *err, size_t n)
{
    const struct sl_option options[] = {
        {.name = "placement", .text = &o->placement},
        {.name = "ranks", .number = &o->ranks, .least = 1, .most = 1024},
        {.name = "shared-experts", .number = &o->shared, .least = 0, .most = 8},
        {.name = "top-k", .number = &o->top_k, .least = 1, .most = 64},
        {.name = "plugin", .text = &o->plugin},
        {.name = "plot", .text = &o->plot},
        {.name = "json", .text = &o->json},
    };
    int first = 0, bad = sl_options_parse(argc, argv, options,
                                          (int)(sizeof options / sizeof *options), &first, err, n);
    if (bad)
        return bad;
    if (argc - first != 1)
        return sl_tool_error(err, n, "eval takes one file of counts: %d are given", argc - first);
    o->counts = argv[first];
    if (!o->placement || !o->ranks)
        return sl_tool_error(err, n, "eval needs --%s", o->placement ? "ranks" : "placement");
    return 0;
}

static int load_files(struct eval *e, char *err, size_t n)
{
    const struct options *o = &e->options;
    if (sl_counts_load(o->counts, SL_COUNTS_SUM, &e->counts, err, n) ||
        sl_placement_load(o->placement, e->counts.experts, &e->placement, err, n))
        return -1;
    if (e->placement.layers != e->counts.layers)
        return sl_tool_error(err, n, "%s has %d layers: %s has %d", o->placement,
                             e->placement.layers, o->counts, e->counts.layers);
    if (e->placement.slots % o->ranks)
        return sl_tool_error(err, n, "%s has %d slots in a layer: not a multiple of --ranks %d",
                             o->placement, e->placement.slots, o->ranks);
    return 0;
}

static int measure(struct eval *e, char *err, size_t n)
{
    const struct options *o = &e->options;
    size_t layers = (size_t)e->counts.layers;
    e->balance.experts = e->counts.experts;
    e->balance.slots = e->placement.slots / o->ranks;
    e->balance.ranks = o->ranks;
    e->balance.shared = o->shared;
    e->balance.top_k = o->top_k;
    e->ratios = calloc(layers, sizeof *e->ratios);
    if (!e->ratios)
        return sl_tool_error(err, n, "no memory for %zu layers", layers);
    for (int32_t l = 0; l < e->counts.layers; l++) {
        char why[300];
        const int32_t *map = e->placement.expert + (ptrdiff_t)l * e->placement.slots;
        if (sl_ratios_of(&e->balance, sl_counts_row(&e->counts, 0, l), map, &e->ratios[l], why,
                         sizeof why))
            return sl_tool_error(err, n, "layer %d: %s", l, why);
    }
    struct sl_ratio_sums sums;
    sl_ratio_sums_of(e->ratios, e->counts.layers, &sums);
    e->sums = sums;
    return 0;
}

/* ------------------------------------------------------------------------------------ output */

static void print_row(const char *name, const struct sl_ratios *ratios)
{
    printf("%-7s", name);
    for (int way = 0; way < SL_BALANCE_WAYS; way++) {
        if (ratios->way[way] > 0)
            printf("  %14.4f", ratios->way[way]);
        else
            printf("  %14s", "-");
    }
    printf("\n");
}

static void print(const struct eval *e)
{
    printf("greatest rank load / mean, %d ranks, %d slots each\nlayer  ", e->options.ranks,
           e->balance.slots);
    for (int way = 0; way < SL_BALANCE_WAYS; way++)
        printf("  %14s", sl_balance_titles[way]);
    printf("\n");
    for (int32_t l = 0; l < e->counts.layers; l++) {
        char name[16];
        (void)snprintf(name, sizeof name, "%5d", l);
        if (e->ratios[l].way[SL_EVEN_HOME] > 0)
            print_row(name, &e->ratios[l]);
    }
    print_row("mean", &e->sums.mean);
    print_row("worst", &e->sums.worst);
    if (e->sums.layers < e->counts.layers)
        printf("(%d of %d layers saw no token)\n", e->counts.layers - e->sums.layers,
               e->counts.layers);
}

static void write_ratios(struct sl_json_writer *w, const struct sl_ratios *ratios)
{
    for (int way = 0; way < SL_BALANCE_WAYS; way++) {
        sl_jw_key(w, sl_balance_names[way]);
        if (ratios->way[way] > 0)
            sl_jw_real(w, ratios->way[way]);
        else
            sl_jw_null(w);
    }
}

static int write(const struct eval *e, char *err, size_t n)
{
    FILE *file = sl_tool_create(e->options.json, err, n);
    if (!file)
        return -1;
    struct sl_json_writer w;
    sl_jw_begin(&w, file);
    sl_jw_object(&w);
    sl_jw_key(&w, "ranks");
    sl_jw_int(&w, e->options.ranks);
    sl_jw_key(&w, "slots_per_rank");
    sl_jw_int(&w, e->balance.slots);
    sl_jw_key(&w, "shared");
    sl_jw_int(&w, e->options.shared);
    sl_jw_key(&w, "layers_with_tokens");
    sl_jw_int(&w, e->sums.layers);
    sl_jw_key(&w, "mean");
    sl_jw_object(&w);
    write_ratios(&w, &e->sums.mean);
    sl_jw_close(&w);
    sl_jw_key(&w, "worst");
    sl_jw_object(&w);
    write_ratios(&w, &e->sums.worst);
    sl_jw_close(&w);
    sl_jw_key(&w, "layers");
    sl_jw_array(&w);
    for (int32_t l = 0; l < e->counts.layers; l++) {
        if (e->ratios[l].way[SL_EVEN_HOME] <= 0)
            continue;
        sl_jw_object(&w);
        sl_jw_key(&w, "layer");
        sl_jw_int(&w, l);
        write_ratios(&w, &e->ratios[l]);
        sl_jw_close(&w);
    }
    sl_jw_close(&w);
    sl_jw_close(&w);
    return sl_tool_close(file, e->options.json, err, n);
}

/* How level each layer is where nothing is balanced in the step, and where all is. */
static int plot(const struct eval *e, char *err, size_t n)
{
    const int ways[] = {SL_EVEN_HOME, SL_LEVEL_MOVED};
    int32_t layers = e->counts.layers, count = e->balance.solver ? 2 : 1;
    char caption[300], detail[2][80];
    double *y = calloc(2 * (size_t)layers, sizeof *y);
    if (!y)
        return sl_tool_error(err, n, "no memory for %d layers", layers);
    for (int i = 0; i < 2; i++) {
        for (int32_t l = 0; l < layers; l++)
            y[(ptrdiff_t)i * layers + l] = e->ratios[l].way[ways[i]];
        sl_chart_describe(y + (ptrdiff_t)i * layers, layers, detail[i], sizeof detail[i]);
    }
    (void)snprintf(caption, sizeof caption, "%s under %s · %d ranks, %d slots each",
                   sl_chart_name(e->options.placement), sl_chart_name(e->options.counts),
                   e->options.ranks, e->balance.slots);
    const struct sl_chart_series series[] = {
        {"split evenly, shared experts at home", detail[0], SL_CHART_HOT, SL_CHART_DOT, y},
        {"step balance", detail[1], SL_CHART_OURS, SL_CHART_DOT, y + layers}};
    const struct sl_chart_panel panel = {
        .label = "fullest rank / mean", .series = series, .count = count};
    const struct sl_chart chart = {.title = "How level each layer is",
                                   .caption = caption,
                                   .x_label = "layer",
                                   .points = layers,
                                   .panels = &panel,
                                   .panel_count = 1};
    int bad = sl_chart_save(e->options.plot, &chart, err, n);
    free(y);
    return bad;
}

static int run(struct eval *e, char *err, size_t n)
{
    const struct options *o = &e->options;
    sluice_plugin plugin;
    char line[SLUICE_HOST_LINE];
    if (sluice_host_load(o->plugin, &plugin, line, sizeof line))
        return sl_tool_error(err, n, "%s", line);
    const sluice_balance_api *balance = sluice_host_extension(plugin.api, SLUICE_EXT_BALANCE);
    if (SLUICE_HAS(balance, sluice_balance_api, solve))
        e->balance.solver = balance;
    if (load_files(e, err, n) || measure(e, err, n) || (o->json && write(e, err, n)) ||
        (o->plot && plot(e, err, n)))
        return -1;
    if (!o->json || strcmp(o->json, "-") != 0)
        print(e);
    return 0;
}

int sl_cmd_eval(int argc, char **argv)
{
    char err[SLUICE_HOST_LINE] = "";
    struct eval e = {.options = {.top_k = 8}};
    int bad = parse(argc, argv, &e.options, err, sizeof err);
    if (bad == 1) {
        fputs(help, stdout);
        return 0;
    }
    bad = bad || run(&e, err, sizeof err);
    sl_counts_free(&e.counts);
    sl_placement_free(&e.placement);
    free(e.ratios);
    if (bad)
        (void)fprintf(stderr, "sluice eval: %s\n", err);
    return bad ? 2 : 0;
}
