/* `sluice plan`: where the copies should live. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../host/sluice_host.h"
#include "commands.h"
#include "tool_chart.h"
#include "tool_curve.h"
#include "tool_file.h"
#include "tool_json.h"
#include "tool_options.h"
#include "tool_plan.h"

static const char help[] =
    "sluice plan COUNTS.json... --ranks W -o PLACEMENT.json [options]\n"
    "Where the copies of each layer's experts should live, from counts (SGLang's forms, or\n"
    ".npy ids). Of several files the worst counts.\n"
    "  -o, --output FILE|-  physical_to_logical_map\n"
    "  --ranks N            1 to 1024\n"
    "  --redundant R        slots more than experts, over all ranks: 0; from --current if given\n"
    "  --policy P           level (judged by what the step balancer makes of it) or eplb\n"
    "  --objective O        what it then levels: tokens, experts (active ones) or cost\n"
    "  --expert-ns N, --row-ps N  what reading an expert's weights and computing a row take: for\n"
    "                       --objective cost\n"
    "  --steps N            forward passes in each file: for experts and --expert-ns\n"
    "  --current FILE       level: few moves away from this placement instead of a new one\n"
    "  --budget SLOTS       most slots written away from --current, in all\n"
    "  --target X           greatest / mean rank load at which level stops: 1.01\n"
    "  --nodes N            machines, of as many ranks each: 1\n"
    "  --groups N           of experts, for eplb over several nodes: 1\n"
    "  --shared-experts N   shared experts that ride as slots: 0\n"
    "  --top-k N            choices a token, for the shared experts' load: 8\n"
    "  --expert-mb X        megabytes of an expert in one layer\n"
    "  --plugin P           a path or a name: cpu\n"
    "  --plot FILE.svg      balance against slots written away from --current\n"
    "  --json FILE|-        the figures\n";

enum { WINDOWS_MOST = 64, ROWS_MOST = 24 };

static const struct sl_option_word policies[] = {
    {"level", SLUICE_PLAN_LEVEL}, {"eplb", SLUICE_PLAN_EPLB}, {NULL, 0}};

static const struct sl_option_word objectives[] = {{"tokens", SLUICE_BALANCE_TOKENS},
                                                   {"experts", SLUICE_BALANCE_EXPERTS},
                                                   {"cost", SLUICE_BALANCE_COST},
                                                   {NULL, 0}};

struct options {
    char **files;
    int32_t count;
    const char *output, *current, *plugin, *plot, *json;
    int32_t redundant, budget, expert_ns, row_ps;
    double expert_mb;
    struct sl_plan_case plan;
};

struct work {
    struct options options;
    struct sl_counts windows[WINDOWS_MOST];
    struct sl_placement current, placement;
    sluice_plan_summary summary;
    struct sl_moves moves;
    struct sl_curve curve; /* with a current placement */
};

/* Of the options that say what level judges by. */
static int check_objective(const struct options *o, char *err, size_t n)
{
    const struct sl_plan_case *c = &o->plan;
    bool cost = c->objective == SLUICE_BALANCE_COST, timed = o->expert_ns > 0 || o->row_ps > 0;
    bool steps = c->objective == SLUICE_BALANCE_EXPERTS || o->expert_ns > 0;
    if (c->objective != SLUICE_BALANCE_TOKENS && c->policy == SLUICE_PLAN_EPLB)
        return sl_tool_error(err, n, "--objective goes with --policy level: eplb counts tokens");
    if (cost != timed)
        return sl_tool_error(err, n,
                             "--objective cost and --expert-ns or --row-ps come together or not at "
                             "all");
    if (steps != (c->steps > 0))
        return sl_tool_error(err, n,
                             "--objective experts and --expert-ns need --steps, and "
                             "nothing else does: forward passes in each file");
    return 0;
}

static int parse(int argc, char **argv, struct options *o, char *err, size_t n)
{
    struct sl_plan_case *c = &o->plan;
    const struct sl_option options[] = {
        {.name = "output", .text = &o->output, .letter = 'o'},
        {.name = "ranks", .number = &c->ranks, .least = 1, .most = 1024},
        {.name = "redundant", .number = &o->redundant, .least = 0, .most = 8191},
        {.name = "policy", .number = &c->policy, .words = policies},
        {.name = "objective", .number = &c->objective, .words = objectives},
        {.name = "expert-ns", .number = &o->expert_ns, .least = 0, .most = 1000000000},
        {.name = "row-ps", .number = &o->row_ps, .least = 0, .most = 1000000000},
        {.name = "steps", .number = &c->steps, .least = 1, .most = INT32_MAX},
        {.name = "current", .text = &o->current},
        {.name = "budget", .number = &o->budget, .least = 1, .most = INT32_MAX},
        {.name = "target", .real = &c->target, .least = 1, .most = 1024},
        {.name = "nodes", .number = &c->nodes, .least = 1, .most = 1024},
        {.name = "groups", .number = &c->groups, .least = 1, .most = 4096},
        {.name = "shared-experts", .number = &c->shared, .least = 0, .most = 8},
        {.name = "top-k", .number = &c->top_k, .least = 1, .most = 64},
        {.name = "expert-mb", .real = &o->expert_mb, .least = 0, .most = 1000000},
        {.name = "plugin", .text = &o->plugin},
        {.name = "plot", .text = &o->plot},
        {.name = "json", .text = &o->json},
    };
    int first = 0, bad = sl_options_parse(argc, argv, options,
                                          (int)(sizeof options / sizeof *options), &first, err, n);
    if (bad)
        return bad;
    o->files = argv + first;
    o->count = argc - first;
    c->budget = o->budget;
    c->expert_bytes = (int64_t)(o->expert_mb * 1e6);
    c->expert_ps = (int64_t)1000 * o->expert_ns;
    c->row_ps = o->row_ps;
    if (o->count < 1 || o->count > WINDOWS_MOST)
        return sl_tool_error(err, n, "plan takes 1 to %d files of counts: %d are given",
                             WINDOWS_MOST, o->count);
    if (!c->ranks || !o->output)
        return sl_tool_error(err, n, "plan needs --%s", c->ranks ? "output" : "ranks");
    if (c->ranks % c->nodes)
        return sl_tool_error(err, n, "--nodes is %d: must divide --ranks %d", c->nodes, c->ranks);
    if (o->budget && !o->current)
        return sl_tool_error(err, n, "--budget limits moves away from --current, which is missing");
    if (o->plot && !o->current)
        return sl_tool_error(err, n, "--plot shows moves away from --current, which is missing");
    if (o->json && strcmp(o->json, "-") == 0 && strcmp(o->output, "-") == 0)
        return sl_tool_error(err, n, "--output and --json are both the standard output");
    return check_objective(o, err, n);
}

static int load_current(struct work *w, char *err, size_t n)
{
    const struct options *o = &w->options;
    const struct sl_counts *counts = &w->windows[0];
    if (!o->current)
        return 0;
    if (sl_tool_current(o->current, counts, o->files[0], o->plan.ranks, &w->current, err, n))
        return -1;
    if (o->redundant >= 0 && o->redundant != w->current.slots - counts->experts)
        return sl_tool_error(err, n, "--redundant is %d: %s has %d", o->redundant, o->current,
                             w->current.slots - counts->experts);
    return 0;
}

static int load_files(struct work *w, char *err, size_t n)
{
    struct options *o = &w->options;
    for (int32_t i = 0; i < o->count; i++) {
        if (sl_counts_load(o->files[i], SL_COUNTS_SUM, &w->windows[i], err, n))
            return -1;
        if (w->windows[i].layers != w->windows[0].layers ||
            w->windows[i].experts != w->windows[0].experts)
            return sl_tool_error(err, n, "%s has %d layers, %d experts: %s has %d, %d", o->files[i],
                                 w->windows[i].layers, w->windows[i].experts, o->files[0],
                                 w->windows[0].layers, w->windows[0].experts);
    }
    if (load_current(w, err, n))
        return -1;
    int32_t redundant = o->current         ? w->current.slots - w->windows[0].experts
                        : o->redundant > 0 ? o->redundant
                                           : 0;
    o->plan.slots = sl_tool_plan_slots(w->windows[0].experts, o->plan.ranks, redundant, err, n);
    return o->plan.slots < 0 ? -1 : 0;
}

static void print_curve(const struct work *w)
{
    const struct sl_curve *c = &w->curve;
    int32_t at[ROWS_MOST], count = sl_curve_pick(c, at, ROWS_MOST);
    double mb = w->options.expert_mb;
    printf("\nslots written%s      mean     worst layer\n", mb > 0 ? "     MB sent" : "");
    for (int32_t i = 0; i < count; i++) {
        printf("%13.0f", c->slots[at[i]]);
        if (mb > 0)
            printf("%12.0f", c->sent[at[i]] * mb);
        printf("%10.4f%16.4f\n", c->mean[at[i]], c->worst[at[i]]);
    }
}

static int plot(const struct work *w, char *err, size_t n)
{
    const struct options *o = &w->options;
    const struct sl_curve *c = &w->curve;
    char caption[300], mean[80], worst[80];
    int32_t last = c->points - 1;
    double mb = o->expert_mb, *x = calloc((size_t)c->points, sizeof *x);
    if (!x)
        return sl_tool_error(err, n, "no memory for %d points", c->points);
    for (int32_t i = 0; i <= last; i++)
        x[i] = mb > 0 ? c->sent[i] * mb : c->slots[i];
    int used = snprintf(caption, sizeof caption,
                        "%s to %s · %d ranks, %d slots each · %.0f of %d "
                        "slots written",
                        sl_chart_name(o->current), sl_chart_name(o->files[0]), o->plan.ranks,
                        o->plan.slots, c->slots[last],
                        w->summary.layers ? w->current.slots * w->current.layers : 0);
    if (mb > 0 && used > 0 && (size_t)used < sizeof caption)
        (void)snprintf(caption + used, sizeof caption - (size_t)used, ", %.0f MB sent", x[last]);
    (void)snprintf(mean, sizeof mean, "%.4f before, %.4f after", c->mean[0], c->mean[last]);
    (void)snprintf(worst, sizeof worst, "%.4f before, %.4f after", c->worst[0], c->worst[last]);
    const struct sl_chart_series series[] = {
        {"mean over layers", mean, SL_CHART_OURS, SL_CHART_STEPS, c->mean},
        {"worst layer", worst, SL_CHART_HOT, SL_CHART_STEPS, c->worst}};
    const struct sl_chart_panel panels[] = {{"mean", &series[0], 1, 0},
                                            {"worst layer", &series[1], 1, o->plan.target}};
    const struct sl_chart chart = {.title = "What each move is worth: fullest rank over mean",
                                   .caption = caption,
                                   .x_label = mb > 0 ? "MB sent" : "slots written",
                                   .points = c->points,
                                   .x = x,
                                   .panels = panels,
                                   .panel_count = 2};
    int bad = sl_chart_save(o->plot, &chart, err, n);
    free(x);
    return bad;
}

static void print(const struct work *w)
{
    static const char *const units[] = {"", " in active experts", " in time"};
    const sluice_plan_summary *s = &w->summary;
    const struct sl_plan_case *c = &w->options.plan;
    printf("%s plan for %d ranks, %d slots each\n", policies[c->policy].name, c->ranks, c->slots);
    if (w->options.current)
        printf("greatest rank load%s / mean: %.4f (worst layer %.4f) before, %.4f (%.4f) after\n"
               "%lld slots written in %d layers\n",
               units[c->objective], s->before_mean, s->before_worst, s->after_mean, s->after_worst,
               (long long)s->slots, s->layers);
    else
        printf("greatest rank load%s / mean: %.4f (worst layer %.4f)\n", units[c->objective],
               s->after_mean, s->after_worst);
    if (w->options.budget)
        print_curve(w);
}

static void write_curve(struct sl_json_writer *j, const struct sl_curve *c)
{
    sl_jw_key(j, "curve");
    sl_jw_array(j);
    for (int32_t i = 0; i < c->points; i++) {
        sl_jw_object(j);
        sl_jw_key(j, "slots");
        sl_jw_real(j, c->slots[i]);
        sl_jw_key(j, "sent");
        sl_jw_real(j, c->sent[i]);
        sl_jw_key(j, "mean");
        sl_jw_real(j, c->mean[i]);
        sl_jw_key(j, "worst");
        sl_jw_real(j, c->worst[i]);
        sl_jw_close(j);
    }
    sl_jw_close(j);
}

static int write(const struct work *w, char *err, size_t n)
{
    const sluice_plan_summary *s = &w->summary;
    const struct sl_plan_case *c = &w->options.plan;
    FILE *file = sl_tool_create(w->options.json, err, n);
    if (!file)
        return -1;
    const struct {
        const char *key;
        int64_t value;
    } whole[] = {{"ranks", c->ranks},         {"slots_per_rank", c->slots},  {"shared", c->shared},
                 {"slots_written", s->slots}, {"layers_changed", s->layers}, {"work", s->work}};
    const struct {
        const char *key;
        double value;
    } real[] = {{"before_mean", s->before_mean},
                {"before_worst", s->before_worst},
                {"after_mean", s->after_mean},
                {"after_worst", s->after_worst}};
    char hash[40];
    (void)snprintf(hash, sizeof hash, "%016llx%016llx", (unsigned long long)s->hash[0],
                   (unsigned long long)s->hash[1]);
    struct sl_json_writer j;
    sl_jw_begin(&j, file);
    sl_jw_object(&j);
    sl_jw_key(&j, "policy");
    sl_jw_string(&j, policies[c->policy].name);
    sl_jw_key(&j, "objective");
    sl_jw_string(&j, objectives[c->objective].name);
    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++) {
        sl_jw_key(&j, whole[i].key);
        sl_jw_int(&j, whole[i].value);
    }
    for (size_t i = 0; i < sizeof real / sizeof *real; i++) {
        sl_jw_key(&j, real[i].key);
        sl_jw_real(&j, real[i].value);
    }
    sl_jw_key(&j, "hash");
    sl_jw_string(&j, hash);
    if (w->curve.points)
        write_curve(&j, &w->curve);
    sl_jw_close(&j);
    return sl_tool_close(file, w->options.json, err, n);
}

static int run(struct work *w, char *err, size_t n)
{
    struct options *o = &w->options;
    sluice_plugin plugin;
    char line[SLUICE_HOST_LINE];
    if (sluice_host_load(o->plugin, &plugin, line, sizeof line))
        return sl_tool_error(err, n, "%s", line);
    o->plan.api = sluice_host_extension(plugin.api, SLUICE_EXT_PLAN);
    if (!SLUICE_HAS(o->plan.api, sluice_plan_api, layer))
        return sl_tool_error(err, n, "%s does not serve %s", plugin.path, SLUICE_EXT_PLAN);
    bool curve = o->current && (o->plot || o->budget || o->json);
    if (load_files(w, err, n) ||
        sl_tool_plan(&o->plan, w->windows, o->count, o->current ? &w->current : NULL, &w->placement,
                     &w->summary, curve ? &w->moves : NULL, err, n) ||
        (curve &&
         sl_curve_of(&o->plan, w->windows, o->count, &w->current, &w->moves, &w->curve, err, n)) ||
        (o->plot && plot(w, err, n)) || sl_placement_save(o->output, &w->placement, err, n) ||
        (o->json && write(w, err, n)))
        return -1;
    if (strcmp(o->output, "-") != 0 && (!o->json || strcmp(o->json, "-") != 0))
        print(w);
    return 0;
}

int sl_cmd_plan(int argc, char **argv)
{
    char err[SLUICE_HOST_LINE] = "";
    struct work w = {.options = {.redundant = -1,
                                 .plan = {.nodes = 1, .groups = 1, .top_k = 8, .target = 1.01}}};
    int bad = parse(argc, argv, &w.options, err, sizeof err);
    if (bad == 1) {
        fputs(help, stdout);
        return 0;
    }
    bad = bad || run(&w, err, sizeof err);
    for (int32_t i = 0; i < WINDOWS_MOST; i++)
        sl_counts_free(&w.windows[i]);
    sl_placement_free(&w.current);
    sl_placement_free(&w.placement);
    sl_moves_free(&w.moves);
    sl_curve_free(&w.curve);
    if (bad)
        (void)fprintf(stderr, "sluice plan: %s\n", err);
    return bad ? 2 : 0;
}
