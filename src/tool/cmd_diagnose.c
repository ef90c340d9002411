/* `sluice diagnose`: the first thing to run. */
#include <stdio.h>
#include <string.h>

#include "../host/sluice_host.h"
#include "commands.h"
#include "diagnose.h"
#include "tool_file.h"
#include "tool_options.h"

static const char help[] =
    "sluice diagnose COUNTS.json... --ranks W [options]\n"
    "Is the load of a model's experts uneven, does it stay so, and what would each remedy gain?\n"
    "Needs no GPU. COUNTS are SGLang's logical_count of a run, or .npy ids, in the order of time:\n"
    "each file is a window, or its steps are cut into at most eight.\n"
    "  --ranks N            ranks that share the experts: 1 to 1024\n"
    "  --redundant R        copies more than experts in the plans: as many as ranks, or what "
    "fills\n"
    "                       them\n"
    "  --current FILE       the placement in force: what is judged as it is, and repaired, "
    "instead\n"
    "                       of experts in order; --redundant is then its own unless given\n"
    "  --shared-experts N   shared experts that ride as slots: 0\n"
    "  --top-k N            choices a token, for the shared experts' load: 8\n"
    "  --target X           greatest / mean rank load that is level enough: 1.01\n"
    "  --nodes N            machines, of as many ranks each: 1\n"
    "  --groups N           of experts, for EPLB over several nodes: 1\n"
    "  --moe-ms X           what a step's MoE layers take now: gains in milliseconds\n"
    "  --expert-mb X        bytes of an expert: what repair sends\n"
    "  --plugin P           a path or a name: cpu\n"
    "  --plot FILE.svg      each layer of the last window with EPLB and with the level plan\n"
    "  --json FILE|-        the figures\n";

static int parse(int argc, char **argv, struct sl_diagnose_options *o, char *err, size_t n)
{
    const struct sl_option options[] = {
        {.name = "ranks", .number = &o->ranks, .least = 1, .most = 1024},
        {.name = "redundant", .number = &o->redundant, .least = 0, .most = 8191},
        {.name = "current", .text = &o->current},
        {.name = "shared-experts", .number = &o->shared, .least = 0, .most = 8},
        {.name = "top-k", .number = &o->top_k, .least = 1, .most = 64},
        {.name = "target", .real = &o->target, .least = 1, .most = 1024},
        {.name = "nodes", .number = &o->nodes, .least = 1, .most = 1024},
        {.name = "groups", .number = &o->groups, .least = 1, .most = 4096},
        {.name = "moe-ms", .real = &o->moe_ms, .least = 0, .most = 1000000},
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
    if (o->count < 1)
        return sl_tool_error(err, n, "diagnose needs a file of counts");
    if (!o->ranks)
        return sl_tool_error(err, n, "diagnose needs --ranks");
    if (o->ranks % o->nodes)
        return sl_tool_error(err, n, "--nodes is %d: must divide --ranks %d", o->nodes, o->ranks);
    return 0;
}

/* What the plans and figures are made for; the tables are NULL where the plugin has none. */
static int set_up(struct sl_diagnose *d, const sluice_api *api, char *err, size_t n)
{
    struct sl_diagnose_options *o = &d->options;
    const sluice_balance_api *balance = sluice_host_extension(api, SLUICE_EXT_BALANCE);
    const sluice_plan_api *plan = sluice_host_extension(api, SLUICE_EXT_PLAN);
    int32_t experts = d->windows[0].experts;
    if (o->redundant < 0 && o->current)
        o->redundant = d->present.slots - experts;
    if (o->redundant < 0)
        o->redundant = o->ranks + (o->ranks - experts % o->ranks) % o->ranks;
    int32_t slots = sl_tool_plan_slots(experts, o->ranks, o->redundant, err, n);
    if (slots < 0)
        return -1;
    d->balance = (struct sl_balance_case){
        .solver = SLUICE_HAS(balance, sluice_balance_api, solve) ? balance : NULL,
        .experts = experts,
        .ranks = o->ranks,
        .shared = o->shared,
        .top_k = o->top_k};
    d->plan = (struct sl_plan_case){
        .api = d->balance.solver && SLUICE_HAS(plan, sluice_plan_api, layer) ? plan : NULL,
        .ranks = o->ranks,
        .slots = slots,
        .nodes = o->nodes,
        .groups = o->groups,
        .shared = o->shared,
        .top_k = o->top_k,
        .target = o->target};
    return 0;
}

static int run(struct sl_diagnose *d, char *err, size_t n)
{
    const struct sl_diagnose_options *o = &d->options;
    sluice_plugin plugin;
    char line[SLUICE_HOST_LINE];
    if (sluice_host_load(o->plugin, &plugin, line, sizeof line))
        return sl_tool_error(err, n, "%s", line);
    if (sl_diagnose_load(d, err, n) || set_up(d, plugin.api, err, n) ||
        sl_diagnose_measure(d, err, n) || (o->json && sl_diagnose_write(d, err, n)) ||
        (o->plot && sl_diagnose_plot(d, err, n)))
        return -1;
    if (!o->json || strcmp(o->json, "-") != 0)
        sl_diagnose_print(d);
    return 0;
}

int sl_cmd_diagnose(int argc, char **argv)
{
    char err[SLUICE_HOST_LINE] = "";
    struct sl_diagnose d = {
        .options = {.redundant = -1, .nodes = 1, .groups = 1, .top_k = 8, .target = 1.01}};
    int bad = parse(argc, argv, &d.options, err, sizeof err);
    if (bad == 1) {
        fputs(help, stdout);
        return 0;
    }
    bad = bad || run(&d, err, sizeof err);
    sl_diagnose_free(&d);
    if (bad)
        (void)fprintf(stderr, "sluice diagnose: %s\n", err);
    return bad ? 2 : 0;
}
