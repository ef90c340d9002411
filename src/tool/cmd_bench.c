#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench_load.h"
#include "commands.h"
#include "tool_file.h"

static const char help[] =
    "usage: sluice bench [options]\n"
    "\n"
    "Measures the plugin beside plain C and memcpy, side by side in one run.\n"
    "\n"
    "  --quick              fewer and shorter rounds\n"
    "  --only PART          route, exchange, balance, plan or overhead\n"
    "  --counts FILE        expert counts for balance and plan, given twice: planned for and\n"
    "                       served (default: generated)\n"
    "  --plugin NAME|PATH   the plugin (default: $SLUICE_PLUGIN, else cpu)\n"
    "  --json FILE          write the figures as JSON; - is stdout, instead of the table\n"
    "  --help               this text\n"
    "\n"
    "To count instructions, under another program:\n"
    "  --count N            make N calls of route, or of balance's solve; measure nothing\n"
    "  --shape NAME         route: deepseek-v3, qwen3-235b, mixtral-8x7b;\n"
    "                       solve: w32-r32, w144-r32 (required)\n"
    "  --tokens T           a call of route (default 64, at most 4096)\n"
    "  --path NAME          code path of route: portable, avx2, avx512 (default: the best)\n";

struct options {
    const char *only, *plugin, *json, *shape, *path;
    const char *counts[2];
    int32_t files;
    int64_t count, tokens;
    int quick, help;
};

enum { QUICK = 1, ONLY, COUNTS, PLUGIN, JSON, HELP, COUNT, SHAPE, TOKENS, PATH };

static const struct option names[] = {
    {"quick", no_argument, NULL, QUICK},
    {"only", required_argument, NULL, ONLY},
    {"plugin", required_argument, NULL, PLUGIN},
    {"json", required_argument, NULL, JSON},
    {"help", no_argument, NULL, HELP},
    {"count", required_argument, NULL, COUNT},
    {"shape", required_argument, NULL, SHAPE},
    {"tokens", required_argument, NULL, TOKENS},
    {"path", required_argument, NULL, PATH},
    {"counts", required_argument, NULL, COUNTS},
    {NULL, 0, NULL, 0},
};

static const struct {
    const char *name;
    int (*run)(struct sl_bench *bench);
    int64_t steps;
} parts[] = {
    {"route", sl_bench_run_route, 9},       {"exchange", sl_bench_run_exchange, 3},
    {"balance", sl_bench_run_balance, 3},   {"plan", sl_bench_run_plan, 2},
    {"overhead", sl_bench_run_overhead, 1},
};
enum { PARTS = sizeof parts / sizeof *parts };

static int whole(const char *text, int64_t most, int64_t *value)
{
    char *end;
    *value = strtoll(text, &end, 10);
    return *text >= '0' && *text <= '9' && *end == 0 && *value >= 1 && *value <= most;
}

static int among(const char *text, const char *const *list, int32_t count)
{
    for (int32_t i = 0; i < count; i++)
        if (strcmp(text, list[i]) == 0)
            return 1;
    return 0;
}

static int parse_option(struct options *options, int option, char *err, size_t n)
{
    static const char *const part_names[] = {"route", "exchange", "balance", "plan", "overhead"};
    switch (option) {
    case QUICK:
        options->quick = 1;
        return 0;
    case ONLY:
        options->only = optarg;
        if (among(optarg, part_names, PARTS))
            return 0;
        return sl_tool_error(err, n, "--only is route, exchange, balance, plan or overhead, not %s",
                             optarg);
    case COUNTS:
        if (options->files == 2)
            return sl_tool_error(err, n, "--counts is given twice, not more often");
        options->counts[options->files++] = optarg;
        return 0;
    case PLUGIN:
        options->plugin = optarg;
        return 0;
    case JSON:
        options->json = optarg;
        return 0;
    case HELP:
        options->help = 1;
        return 0;
    case COUNT:
        if (whole(optarg, 1000000000, &options->count))
            return 0;
        return sl_tool_error(err, n, "--count is a number from 1 on, not %s", optarg);
    case SHAPE:
        options->shape = optarg;
        if (among(optarg, sl_bench_shapes, 3) || sl_bench_size_find(optarg))
            return 0;
        return sl_tool_error(err, n, "--shape is %s, %s, %s, %s or %s, not %s", sl_bench_shapes[0],
                             sl_bench_shapes[1], sl_bench_shapes[2], sl_bench_sizes[0].shape,
                             sl_bench_sizes[1].shape, optarg);
    case TOKENS:
        if (whole(optarg, SL_BENCH_LOGIT_ROWS, &options->tokens))
            return 0;
        return sl_tool_error(err, n, "--tokens is 1 to %d, not %s", SL_BENCH_LOGIT_ROWS, optarg);
    default:
        options->path = optarg;
        return 0;
    }
}

static int parse(struct options *options, int argc, char **argv, char *err, size_t n)
{
    int option;
    *options = (struct options){0};
    optind = 1;
    opterr = 0;
    while ((option = getopt_long(argc, argv, ":", names, NULL)) != -1) {
        if (option == ':')
            return sl_tool_error(err, n, "%s needs a value", argv[optind - 1]);
        if (option == '?')
            return sl_tool_error(err, n, "unknown option %s", argv[optind - 1]);
        if (parse_option(options, option, err, n))
            return -1;
    }
    if (optind < argc)
        return sl_tool_error(err, n, "unexpected argument %s", argv[optind]);
    if (options->count && !options->shape)
        return sl_tool_error(err, n, "--count needs --shape");
    if (!options->count && (options->shape || options->tokens || options->path))
        return sl_tool_error(err, n, "--shape, --tokens and --path go with --count");
    if (options->files == 1)
        return sl_tool_error(err, n, "--counts is given twice: planned for and served");
    if (options->shape && sl_bench_size_find(options->shape) && (options->tokens || options->path))
        return sl_tool_error(err, n, "--tokens and --path are of route, not of solve");
    if (options->count && (options->only || options->quick || options->json))
        return sl_tool_error(err, n, "--count measures nothing: no --only, --quick or --json");
    return 0;
}

static int load(struct sl_bench *bench, const char *name, char *line, size_t size)
{
    if (sluice_host_load(name, &bench->plugin, line, size) != SLUICE_OK)
        return sl_tool_error(bench->error, sizeof bench->error, "%s", line);
    const sluice_api *api = bench->plugin.api;
    if (strcmp(api->backend, "cpu") != 0)
        return sl_tool_error(bench->error, sizeof bench->error,
                             "the plugin's backend is %s; what is measured here is cpu",
                             api->backend);
    bench->route = sluice_host_extension(api, SLUICE_EXT_ROUTE);
    if (!SLUICE_HAS(bench->route, sluice_route_api, route))
        return sl_tool_error(bench->error, sizeof bench->error,
                             "the plugin has no " SLUICE_EXT_ROUTE);
    bench->balance = sluice_host_extension(api, SLUICE_EXT_BALANCE);
    bench->plan = sluice_host_extension(api, SLUICE_EXT_PLAN);
    const sluice_device_api *device = sluice_host_extension(api, SLUICE_EXT_DEVICE);
    bench->paths[0] = "best";
    bench->path_count = 1;
    if (!SLUICE_HAS(device, sluice_device_api, paths) ||
        !SLUICE_HAS(device, sluice_device_api, use_path))
        return 0;
    bench->device = device;
    bench->path_count = 0;
    for (const char *const *p = device->paths(); *p && bench->path_count < SL_BENCH_PATHS; p++)
        bench->paths[bench->path_count++] = *p;
    return 0;
}

/* What can be wrong before anything runs. */
static int prepare(struct sl_bench *bench, const struct options *options, char *line, size_t size)
{
    char *err = bench->error;
    bench->counts[0] = options->counts[0];
    bench->counts[1] = options->counts[1];
    if (options->json && sl_tool_writable(options->json, err, sizeof bench->error))
        return -1;
    if (load(bench, options->plugin, line, size))
        return -1;
    if (bench->counts[0]) {
        struct sl_bench_load counts;
        int unread = sl_bench_load_open(&counts, bench);
        sl_bench_load_close(&counts);
        if (unread)
            return -1;
    }
    if (options->path && !among(options->path, bench->paths, bench->path_count))
        return sl_tool_error(err, sizeof bench->error, "the plugin has no path %s on this machine",
                             options->path);
    return 0;
}

/* Few layers: what is drawn for them is counted too, in both runs that are compared. */
static int count_solves(struct sl_bench *bench, const struct options *options)
{
    enum { LAYERS = 4 };
    struct sl_bench_load load;
    struct sl_bench_steps steps = {.bench = NULL};
    int bad = sl_bench_check_balance(bench) || sl_bench_load_open(&load, bench);
    if (!bad) {
        bad = sl_bench_steps_open(&steps, bench, &load, sl_bench_size_find(options->shape),
                                  SLUICE_BALANCE_TOKENS, LAYERS) ||
              sl_bench_steps_solve(&steps, options->count);
        sl_bench_steps_close(&steps);
        sl_bench_load_close(&load);
    }
    return bad ? -1 : 0;
}

static int count_calls(struct sl_bench *bench, const struct options *options)
{
    struct sl_bench_case c;
    if (sl_bench_size_find(options->shape))
        return count_solves(bench, options);
    int bad = sl_bench_case_open(&c, bench, options->shape, &options->path, 1);
    if (!bad) {
        sl_bench_case_tokens(&c, options->tokens ? options->tokens : 64);
        bad = sl_bench_case_route(&c, 0, options->count);
    }
    sl_bench_case_close(&c);
    return bad ? -1 : 0;
}

static int measure(struct sl_bench *bench, const struct options *options)
{
    int64_t total = 0;
    int bad = 0;
    bench->rounds = options->quick ? 9 : 41; /* short turns: a slow spell hits all alike */
    bench->turn_ns = options->quick ? 5e5 : 2e6;
    for (int32_t i = 0; i < PARTS; i++)
        total += !options->only || strcmp(options->only, parts[i].name) == 0 ? parts[i].steps : 0;
    sl_progress_begin(&bench->progress, stderr, "bench", total);
    for (int32_t i = 0; i < PARTS && !bad; i++)
        if (!options->only || strcmp(options->only, parts[i].name) == 0)
            bad = parts[i].run(bench);
    sl_progress_end(&bench->progress);
    return bad;
}

static int report(const struct sl_bench *bench, const struct options *options, const char *line)
{
    int json_is_output = options->json && strcmp(options->json, "-") == 0;
    if (!json_is_output)
        sl_bench_print(bench, line);
    return options->json ? sl_bench_write(bench, options->json, line) : 0;
}

int sl_cmd_bench(int argc, char **argv)
{
    struct options options;
    static struct sl_bench bench;
    char line[SLUICE_HOST_LINE];
    bench = (struct sl_bench){0};
    if (parse(&options, argc, argv, bench.error, sizeof bench.error)) {
        (void)fprintf(stderr, "sluice bench: %s; see sluice bench --help\n", bench.error);
        return 2;
    }
    if (options.help) {
        (void)fputs(help, stdout);
        return 0;
    }
    int status = 2;
    int bad = prepare(&bench, &options, line, sizeof line);
    if (!bad) {
        bad = options.count ? count_calls(&bench, &options) : measure(&bench, &options);
        status = 1;
    }
    if (bad) {
        (void)fprintf(stderr, "sluice bench: %s\n", bench.error[0] ? bench.error : "no memory");
        return status;
    }
    return options.count || report(&bench, &options, line) == 0 ? 0 : 2;
}
