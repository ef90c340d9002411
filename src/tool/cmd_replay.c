/* `sluice replay`: serves routing on many ranks through every operation and checks every output. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../host/sluice_host.h"
#include "commands.h"
#include "replay.h"
#include "replay_mirror.h"
#include "tool_file.h"
#include "tool_models.h"
#include "tool_options.h"
#include "tool_progress.h"

static const char help[] =
    "sluice replay [FILE] [options]\n"
    "Serves routing on many ranks (threads, each with the plugin) through topk, remap, record,\n"
    "dispatch, SwiGLU experts and combine, moves expert weights half-way, and checks every output\n"
    "against one rank without balancing and against a plain loop.\n"
    "  FILE                 .npy ids [layers, tokens, K] (with --weights), .npy logits\n"
    "                       [tokens, E] or [layers, tokens, E], or SGLang's counts as .json\n"
    "  --weights FILE       .npy weights of the ids\n"
    "  --model NAME         a checkpoint's shapes and router; without FILE its routing is made up\n"
    "  --ranks N            8\n"
    "  --tokens N           tokens a rank and step: 64\n"
    "  --steps N            2; the placement changes half-way\n"
    "  --positions P        of a file's tokens: in-order or random\n"
    "  --layers N           at most this many layers: 4\n"
    "  --redundant N        redundant routed slots in all: 0\n"
    "  --placement P        trivial, random, or a file with physical_to_logical_map\n"
    "  --plan P             half-way, level (few moves away) or eplb from the counts so far\n"
    "  --balance M          step balance from the counts of: none, local, stale or now\n"
    "  --objective O        of step balance: tokens, experts or cost\n"
    "  --expert-ns N, --row-ps N, --move-ps N   what reading an expert's weights, computing a row\n"
    "                       and moving a token to another rank and back take: for --objective\n"
    "                       cost, and to tell how long the slowest rank took\n"
    "  --copy P             static, random, or balanced (with --balance)\n"
    "  --shared P           local, none, waterfill-static, waterfill-dynamic, or level (with\n"
    "                       --balance)\n"
    "  --shared-experts N   instead of the model's (for files without a model: 0)\n"
    "  --top-k N            for counts and logits without a model: 8\n"
    "  --experts E          run, or count: only where rows would go\n"
    "  --dispatch M         exact or fixed\n"
    "  --combine O          exact or per-rank\n"
    "  --route R            both, fused or split\n"
    "  --dtype T            f32 or bf16: of the payload\n"
    "  --hidden N, --width N   a row (256 at least) and an expert's inner width: 256, 16\n"
    "  --threads N          of each rank's context: 0\n"
    "  --seed N             1\n"
    "  --plugin P           a path or a name: cpu\n"
    "  --standin            of the plugin cuda: on the stand-in for its driver, beside this "
    "program\n"
    "  --plot FILE.svg      rank x layer load\n"
    "  --json FILE|-        the figures\n";

static const struct sl_option_word copies[] = {{"static", SLUICE_COPY_STATIC},
                                               {"random", SLUICE_COPY_RANDOM},
                                               {"balanced", SLUICE_COPY_BALANCED},
                                               {NULL, 0}};
static const struct sl_option_word shareds[] = {
    {"local", SLUICE_SHARED_AT_HOME},
    {"none", SLUICE_SHARED_NOT_FUSED},
    {"waterfill-static", SLUICE_SHARED_WATERFILL_STATIC},
    {"waterfill-dynamic", SLUICE_SHARED_WATERFILL_DYNAMIC},
    {"level", SLUICE_SHARED_LEVEL},
    {NULL, 0}};
static const struct sl_option_word balances[] = {{"none", SL_NO_BALANCE},
                                                 {"local", SLUICE_BALANCE_LOCAL},
                                                 {"stale", SLUICE_BALANCE_STALE},
                                                 {"now", SLUICE_BALANCE_NOW},
                                                 {NULL, 0}};
static const struct sl_option_word objectives[] = {{"tokens", SLUICE_BALANCE_TOKENS},
                                                   {"experts", SLUICE_BALANCE_EXPERTS},
                                                   {"cost", SLUICE_BALANCE_COST},
                                                   {NULL, 0}};
static const struct sl_option_word plans[] = {
    {"level", SLUICE_PLAN_LEVEL}, {"eplb", SLUICE_PLAN_EPLB}, {NULL, 0}};
static const struct sl_option_word positions[] = {{"in-order", 0}, {"random", 1}, {NULL, 0}};
static const struct sl_option_word experts[] = {{"run", 0}, {"count", 1}, {NULL, 0}};
static const struct sl_option_word dispatches[] = {{"exact", 0}, {"fixed", 1}, {NULL, 0}};
static const struct sl_option_word orders[] = {
    {"exact", SLUICE_COMBINE_EXACT}, {"per-rank", SLUICE_COMBINE_PER_RANK}, {NULL, 0}};
static const struct sl_option_word routes[] = {
    {"both", SL_ROUTE_BOTH}, {"fused", SL_ROUTE_FUSED}, {"split", SL_ROUTE_SPLIT}, {NULL, 0}};
static const struct sl_option_word dtypes[] = {{"f32", 0}, {"bf16", 1}, {NULL, 0}};

/* Options that make no sense without another. Not given: copy_policy and objective are below 0. */
static int check_balance(struct sl_replay_options *o, char *err, size_t n)
{
    bool balance = o->balance != SL_NO_BALANCE, level = o->shared_policy == SLUICE_SHARED_LEVEL;
    if (!balance && (o->copy_policy == SLUICE_COPY_BALANCED || level || o->objective >= 0))
        return sl_tool_error(err, n, "--%s needs --balance",
                             level               ? "shared level"
                             : o->objective >= 0 ? "objective"
                                                 : "copy balanced");
    if (o->copy_policy < 0)
        o->copy_policy = balance ? SLUICE_COPY_BALANCED : SLUICE_COPY_STATIC;
    if (o->objective < 0)
        o->objective = SLUICE_BALANCE_TOKENS;
    if (o->objective == SLUICE_BALANCE_COST && !sl_replay_timed(o))
        return sl_tool_error(err, n,
                             "--objective cost needs --expert-ns, --row-ps or --move-ps: what a "
                             "rank's time goes to");
    if (balance && o->copy_policy != SLUICE_COPY_BALANCED && !level)
        return sl_tool_error(err, n, "--balance needs --copy balanced or --shared level");
    if (o->plan != SL_NO_PLAN && o->steps < 2)
        return sl_tool_error(err, n, "--plan needs --steps 2 or more");
    if (o->no_experts && o->fixed)
        return sl_tool_error(err, n, "--experts count needs --dispatch exact");
    return 0;
}

/* Returns 0, -1 with a line in err, or 1 when help was asked for. */
static int parse(int argc, char **argv, struct sl_replay_options *o, char *err, size_t n)
{
    int32_t seed = 1, route = SL_ROUTE_BOTH;
    const struct sl_option options[] = {
        {.name = "weights", .text = &o->weights},
        {.name = "model", .text = &o->model},
        {.name = "ranks", .number = &o->ranks, .least = 1, .most = 256},
        {.name = "tokens", .number = &o->tokens, .least = 1, .most = 65536},
        {.name = "steps", .number = &o->steps, .least = 1, .most = 1000000},
        {.name = "layers", .number = &o->layers, .least = 1, .most = 4096},
        {.name = "redundant", .number = &o->redundant, .least = 0, .most = 8191},
        {.name = "placement", .text = &o->placement},
        {.name = "positions", .number = &o->random, .words = positions},
        {.name = "plan", .number = &o->plan, .words = plans},
        {.name = "balance", .number = &o->balance, .words = balances},
        {.name = "objective", .number = &o->objective, .words = objectives},
        {.name = "expert-ns", .number = &o->expert_ns, .least = 0, .most = 1000000000},
        {.name = "row-ps", .number = &o->row_ps, .least = 0, .most = 1000000000},
        {.name = "move-ps", .number = &o->move_ps, .least = 0, .most = 1000000000},
        {.name = "experts", .number = &o->no_experts, .words = experts},
        {.name = "copy", .number = &o->copy_policy, .words = copies},
        {.name = "shared", .number = &o->shared_policy, .words = shareds},
        {.name = "shared-experts", .number = &o->shared_experts, .least = 0, .most = 8},
        {.name = "top-k", .number = &o->top_k, .least = 1, .most = 64},
        {.name = "dispatch", .number = &o->fixed, .words = dispatches},
        {.name = "combine", .number = &o->combine_order, .words = orders},
        {.name = "route", .number = &route, .words = routes},
        {.name = "dtype", .number = &o->bf16, .words = dtypes},
        {.name = "hidden", .number = &o->hidden, .least = 256, .most = 8192},
        {.name = "width", .number = &o->width, .least = 1, .most = 512},
        {.name = "threads", .number = &o->threads, .least = 0, .most = 64},
        {.name = "seed", .number = &seed, .least = 0, .most = INT32_MAX},
        {.name = "plugin", .text = &o->plugin},
        {.name = "standin", .flag = &o->standin},
        {.name = "plot", .text = &o->plot},
        {.name = "json", .text = &o->json},
    };
    int first = 0, bad = sl_options_parse(argc, argv, options,
                                          (int)(sizeof options / sizeof *options), &first, err, n);
    if (bad)
        return bad;
    if (argc - first > 1)
        return sl_tool_error(err, n, "replay takes one file: %s is another", argv[first + 1]);
    o->input = first < argc ? argv[first] : NULL;
    o->seed = (uint64_t)seed;
    o->route = (enum sl_replay_route)route;
    return check_balance(o, err, n);
}

/* ------------------------------------------------------------------------------------- checks */

static bool equal_row(const struct sl_replay_options *o, const char *a, const char *b)
{
    if (o->combine_order == SLUICE_COMBINE_EXACT)
        return memcmp(a, b, (size_t)o->hidden * sl_element_bytes(o->bf16)) == 0;
    for (int32_t h = 0; h < o->hidden; h++) {
        float x = sl_element_get(a, h, o->bf16), y = sl_element_get(b, h, o->bf16);
        if (!(fabsf(x - y) <= (o->bf16 ? 0.02F : 1e-4F) * (1.0F + fabsf(y))))
            return false;
    }
    return true;
}

static int64_t differing(const struct sl_replay_case *c, const char *a, const char *b)
{
    size_t row = (size_t)c->options->hidden * sl_element_bytes(c->options->bf16);
    int64_t count = 0;
    for (int64_t t = 0; t < c->rows; t++)
        count += !equal_row(c->options, a + (size_t)t * row, b + (size_t)t * row);
    return count;
}

static int check_step(const struct sl_replay_case *c, const struct sl_world *world,
                      const struct sl_world *plain, int32_t step, struct sl_replay_verdict *v)
{
    const struct sl_replay_options *o = c->options;
    for (int64_t i = 0; i < (int64_t)c->layers * c->rows * c->router.top_k; i++)
        v->choices += plain->ids[i] >= 0;
    if (o->no_experts)
        return 0;
    size_t layer_bytes = (size_t)c->rows * (size_t)o->hidden * sl_element_bytes(o->bf16);
    char *literal = calloc(1, layer_bytes);
    if (!literal)
        return -1;
    for (int32_t l = 0; l < c->layers; l++) {
        const char *own = (const char *)world->out + (size_t)l * layer_bytes;
        sl_replay_literal(c, plain, step, l, literal);
        v->differ_plain += differing(c, own, (const char *)plain->out + (size_t)l * layer_bytes);
        v->differ_literal += differing(c, own, literal);
        v->tokens += c->rows;
    }
    free(literal);
    return 0;
}

static void check_counts(const struct sl_replay_case *c, const struct sl_world *world,
                         const struct sl_world *plain, struct sl_replay_verdict *v)
{
    for (int64_t i = 0; i < (int64_t)c->layers * c->router.experts; i++) {
        v->counted += world->counted[i];
        v->miscounted += world->counted[i] != plain->counted[i];
    }
    v->good = v->differ_plain == 0 && v->differ_literal == 0 && v->miscounted == 0 &&
              v->counted == v->choices && world->shared_changed == 0;
}

/* Before the placement changes: counts are read through the map they were made under, and what
 * comes next may be planned from them. */
static int get_ready(struct sl_replay_case *c, struct sl_world *world, struct sl_replay_verdict *v,
                     char *err, size_t n)
{
    sl_world_count(world);
    if (c->options->plan == SL_NO_PLAN)
        return 0;
    return sl_replay_make_plan(c, world->api, world->counted, &v->plan, err, n);
}

static int run_steps(struct sl_replay_case *c, struct sl_world *world, struct sl_world *plain,
                     struct sl_replay_verdict *v, char *err, size_t n)
{
    int bad = 0;
    for (int32_t step = 0; step < c->steps && !bad; step++) {
        bool changes = step == c->change_at;
        sl_replay_fill(c, step);
        if (sl_world_step(plain, step, false))
            bad = sl_tool_error(err, n, "%s", plain->error);
        else if (changes && get_ready(c, world, v, err, n))
            bad = -1;
        else if (sl_world_step(world, step, changes))
            bad = sl_tool_error(err, n, "%s", world->error);
        else if (check_step(c, world, plain, step, v))
            bad = sl_tool_error(err, n, "out of memory");
        else if (step >= c->warm)
            sl_world_tally(world, c->change_at >= 0 && step >= c->change_at);
    }
    return bad;
}

static int finish(struct sl_replay_case *c, struct sl_world *world, struct sl_world *plain,
                  struct sl_replay_verdict *v, const char *plugin_line, char *err, size_t n)
{
    const struct sl_replay_options *o = c->options;
    sl_world_finish(world);
    sl_world_finish(plain);
    check_counts(c, world, plain, v);
    if ((o->json && sl_replay_write(c, world, v, err, n)) ||
        (o->plot && sl_replay_plot(c, world, err, n)))
        return -1;
    if (!o->json || strcmp(o->json, "-") != 0)
        sl_replay_print(c, world, v, plugin_line);
    return 0;
}

static int replay(const struct sl_replay_options *o, struct sl_replay_verdict *v, char *err,
                  size_t n)
{
    sluice_plugin plugin;
    char line[SLUICE_HOST_LINE];
    if ((o->json && sl_tool_writable(o->json, err, n)) ||
        (o->plot && sl_tool_writable(o->plot, err, n)))
        return -1;
    if (o->standin && sl_replay_standin(err, n))
        return -1;
    if (sluice_host_load(o->plugin ? o->plugin : NULL, &plugin, line, sizeof line))
        return sl_tool_error(err, n, "%s", line);
    struct sl_replay_case c;
    struct sl_world world = {.replay = &c, .api = plugin.api, .ranks = o->ranks};
    struct sl_world plain = {.replay = &c, .api = plugin.api, .ranks = 1, .plain = true};
    struct sl_progress progress;
    int64_t begin = sl_progress_now();
    int bad = sl_replay_open(&c, o, err, n);
    if (!bad) {
        sl_replay_begin(&c, &progress);
        bad = sl_world_open(&plain, err, n) || sl_world_open(&world, err, n) ||
              run_steps(&c, &world, &plain, v, err, n);
        sl_progress_end(&progress);
    }
    v->seconds = (double)(sl_progress_now() - begin) / 1000.0;
    if (!bad)
        bad = finish(&c, &world, &plain, v, line, err, n);
    sl_world_close(&world);
    sl_world_close(&plain);
    sl_replay_close(&c);
    return bad ? -1 : 0;
}

static void print_help(void)
{
    fputs(help, stdout);
    printf("Models:");
    for (size_t i = 0; i < sl_models_count; i++)
        printf(" %s", sl_models[i].name);
    printf("\n");
}

int sl_cmd_replay(int argc, char **argv)
{
    char err[SLUICE_HOST_LINE] = "";
    struct sl_replay_options options = {.ranks = 8,
                                        .tokens = 64,
                                        .steps = 2,
                                        .layers = 4,
                                        .hidden = 256,
                                        .width = 16,
                                        .copy_policy = -1,
                                        .balance = SL_NO_BALANCE,
                                        .objective = -1,
                                        .plan = SL_NO_PLAN,
                                        .shared_experts = -1};
    struct sl_replay_verdict verdict = {.good = false};
    int bad = parse(argc, argv, &options, err, sizeof err);
    if (bad == 1) {
        print_help();
        return 0;
    }
    if (bad || replay(&options, &verdict, err, sizeof err)) {
        (void)fprintf(stderr, "sluice replay: %s\n", err);
        return 2;
    }
    return verdict.good ? 0 : 1;
}
