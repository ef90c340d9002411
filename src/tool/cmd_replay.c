/* `sluice replay`: serves routing on many ranks through every operation and checks every output. */
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../host/sluice_host.h"
#include "commands.h"
#include "replay.h"
#include "tool_file.h"
#include "tool_models.h"
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
    "  --layers N           at most this many layers: 4\n"
    "  --redundant N        redundant routed slots in all: 0\n"
    "  --placement P        trivial, random, or a file with physical_to_logical_map\n"
    "  --copy P             static or random\n"
    "  --shared P           local, none, waterfill-static or waterfill-dynamic\n"
    "  --shared-experts N   instead of the model's (for files without a model: 0)\n"
    "  --top-k N            for counts and logits without a model: 8\n"
    "  --dispatch M         exact or fixed\n"
    "  --combine O          exact or per-rank\n"
    "  --route R            both, fused or split\n"
    "  --dtype T            f32 or bf16: of the payload\n"
    "  --hidden N, --width N   a row (256 at least) and an expert's inner width: 256, 16\n"
    "  --threads N          of each rank's context: 0\n"
    "  --seed N             1\n"
    "  --plugin P           a path or a name: cpu\n"
    "  --plot FILE.svg      rank x layer load\n"
    "  --json FILE|-        the figures\n";

enum { OPTION_FIRST = 1000 };

struct word {
    const char *name;
    int32_t value;
};
static const struct word copies[] = {
    {"static", SLUICE_COPY_STATIC}, {"random", SLUICE_COPY_RANDOM}, {NULL, 0}};
static const struct word shareds[] = {{"local", SLUICE_SHARED_AT_HOME},
                                      {"none", SLUICE_SHARED_NOT_FUSED},
                                      {"waterfill-static", SLUICE_SHARED_WATERFILL_STATIC},
                                      {"waterfill-dynamic", SLUICE_SHARED_WATERFILL_DYNAMIC},
                                      {NULL, 0}};
static const struct word dispatches[] = {{"exact", 0}, {"fixed", 1}, {NULL, 0}};
static const struct word orders[] = {
    {"exact", SLUICE_COMBINE_EXACT}, {"per-rank", SLUICE_COMBINE_PER_RANK}, {NULL, 0}};
static const struct word routes[] = {
    {"both", SL_ROUTE_BOTH}, {"fused", SL_ROUTE_FUSED}, {"split", SL_ROUTE_SPLIT}, {NULL, 0}};
static const struct word dtypes[] = {{"f32", 0}, {"bf16", 1}, {NULL, 0}};

/* How an option is read: a text, a number in a range, or one of some words. */
struct rule {
    const char *name;
    const char **text;
    int32_t *number;
    int32_t least, most;
    const struct word *words;
};

static int take_number(const struct rule *rule, const char *value, char *err, size_t n)
{
    char *end = NULL;
    errno = 0;
    long long number = strtoll(value, &end, 10);
    if (errno || end == value || *end || number < rule->least || number > rule->most)
        return sl_tool_error(err, n, "--%s is %s: must be %d to %d", rule->name, value, rule->least,
                             rule->most);
    *rule->number = (int32_t)number;
    return 0;
}

static int take_word(const struct rule *rule, const char *value, char *err, size_t n)
{
    char all[120] = "";
    for (const struct word *w = rule->words; w->name; w++) {
        if (strcmp(w->name, value) == 0) {
            *rule->number = w->value;
            return 0;
        }
        size_t used = strlen(all);
        (void)snprintf(all + used, sizeof all - used, "%s%s", used ? ", " : "", w->name);
    }
    return sl_tool_error(err, n, "--%s is %s: must be one of %s", rule->name, value, all);
}

static int take(const struct rule *rule, const char *value, char *err, size_t n)
{
    if (rule->text) {
        *rule->text = value;
        return 0;
    }
    return rule->words ? take_word(rule, value, err, n) : take_number(rule, value, err, n);
}

/* Returns 0, -1 with a line in err, or 1 when help was asked for. */
static int parse(int argc, char **argv, struct sl_replay_options *o, char *err, size_t n)
{
    int32_t seed = 1, route = SL_ROUTE_BOTH;
    const struct rule rules[] = {
        {"weights", &o->weights, NULL, 0, 0, NULL},
        {"model", &o->model, NULL, 0, 0, NULL},
        {"ranks", NULL, &o->ranks, 1, 256, NULL},
        {"tokens", NULL, &o->tokens, 1, 65536, NULL},
        {"steps", NULL, &o->steps, 1, 1000000, NULL},
        {"layers", NULL, &o->layers, 1, 4096, NULL},
        {"redundant", NULL, &o->redundant, 0, 8191, NULL},
        {"placement", &o->placement, NULL, 0, 0, NULL},
        {"copy", NULL, &o->copy_policy, 0, 0, copies},
        {"shared", NULL, &o->shared_policy, 0, 0, shareds},
        {"shared-experts", NULL, &o->shared_experts, 0, 8, NULL},
        {"top-k", NULL, &o->top_k, 1, 64, NULL},
        {"dispatch", NULL, &o->fixed, 0, 0, dispatches},
        {"combine", NULL, &o->combine_order, 0, 0, orders},
        {"route", NULL, &route, 0, 0, routes},
        {"dtype", NULL, &o->bf16, 0, 0, dtypes},
        {"hidden", NULL, &o->hidden, 256, 8192, NULL},
        {"width", NULL, &o->width, 1, 512, NULL},
        {"threads", NULL, &o->threads, 0, 64, NULL},
        {"seed", NULL, &seed, 0, INT32_MAX, NULL},
        {"plugin", &o->plugin, NULL, 0, 0, NULL},
        {"plot", &o->plot, NULL, 0, 0, NULL},
        {"json", &o->json, NULL, 0, 0, NULL},
    };
    enum { RULES = sizeof rules / sizeof *rules };
    struct option options[RULES + 2] = {{"help", no_argument, NULL, 'h'}};
    for (int i = 0; i < RULES; i++)
        options[i + 1] = (struct option){rules[i].name, required_argument, NULL, OPTION_FIRST + i};
    opterr = 0;
    for (;;) {
        int found = getopt_long(argc, argv, ":h", options, NULL);
        if (found == -1)
            break;
        if (found == 'h')
            return 1;
        if (found == ':')
            return sl_tool_error(err, n, "%s needs a value", argv[optind - 1]);
        if (found < OPTION_FIRST)
            return sl_tool_error(err, n, "there is no option %s: `sluice help replay` lists them",
                                 argv[optind - 1]);
        if (take(&rules[found - OPTION_FIRST], optarg, err, n))
            return -1;
    }
    if (argc - optind > 1)
        return sl_tool_error(err, n, "replay takes one file: %s is another", argv[optind + 1]);
    o->input = optind < argc ? argv[optind] : NULL;
    o->seed = (uint64_t)seed;
    o->route = (enum sl_replay_route)route;
    return 0;
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
    for (int64_t i = 0; i < (int64_t)c->layers * c->rows * c->router.top_k; i++)
        v->choices += plain->ids[i] >= 0;
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

static int run_steps(struct sl_replay_case *c, struct sl_world *world, struct sl_world *plain,
                     struct sl_replay_verdict *v, char *err, size_t n)
{
    int32_t steps = c->options->steps;
    int bad = 0;
    for (int32_t step = 0; step < steps && !bad; step++) {
        sl_replay_fill(c, step);
        bool changes = steps > 1 && step == steps / 2;
        if (sl_world_step(plain, step, false))
            bad = sl_tool_error(err, n, "%s", plain->error);
        else if (sl_world_step(world, step, changes))
            bad = sl_tool_error(err, n, "%s", world->error);
        else if (check_step(c, world, plain, step, v))
            bad = sl_tool_error(err, n, "out of memory");
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
