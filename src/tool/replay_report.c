/* What a replay says: a table, JSON and a picture. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../abi/ext/device.h"
#include "replay.h"
#include "tool_file.h"
#include "tool_json.h"
#include "tool_svg.h"

static const char *const op_names[] = {"topk",     "remap",   "record", "get_moe_weights",
                                       "dispatch", "combine", "route"};
enum { OPS = 7 };

struct balance {
    int64_t rows;          /* computed, shared ones too */
    double greatest, even; /* rows of the fullest rank; rows a rank if all had the same */
    int32_t fullest;
};

static struct balance balance_of(const struct sl_world *world, int32_t layer)
{
    struct balance b = {0};
    for (int32_t r = 0; r < world->ranks; r++) {
        int64_t rows = world->served[(int64_t)layer * world->ranks + r];
        b.rows += rows;
        if ((double)rows > b.greatest) {
            b.greatest = (double)rows;
            b.fullest = r;
        }
    }
    b.even = (double)b.rows / world->ranks;
    return b;
}

static double ratio(const struct balance *b)
{
    return b->even > 0 ? b->greatest / b->even : 1.0;
}

/* Means over steps, of one half of them or both. */
struct by_step {
    double ratio, experts, time_us;
};

static struct by_step by_step_of(const struct sl_world *world, int32_t layer, int first, int last)
{
    struct by_step sum = {0};
    int32_t steps = 0;
    for (int i = first; i <= last; i++) {
        steps += world->half[i].steps;
        sum.ratio += world->half[i].ratio[layer];
        sum.experts += world->half[i].experts[layer];
        sum.time_us += world->half[i].time_ps[layer] / 1e6;
    }
    if (steps)
        sum = (struct by_step){sum.ratio / steps, sum.experts / steps, sum.time_us / steps};
    return sum;
}

/* And over layers; the layer that is worst. */
struct over_layers {
    double mean, worst, experts, time_us;
    int32_t worst_layer;
};

static struct over_layers over_layers_of(const struct sl_replay_case *c,
                                         const struct sl_world *world, int first, int last)
{
    struct over_layers all = {0};
    for (int32_t l = 0; l < c->layers; l++) {
        struct by_step s = by_step_of(world, l, first, last);
        all.mean += s.ratio / c->layers;
        all.experts += s.experts / c->layers;
        all.time_us += s.time_us / c->layers;
        if (s.ratio > all.worst) {
            all.worst = s.ratio;
            all.worst_layer = l;
        }
    }
    return all;
}

static void print_layers(const struct sl_replay_case *c, const struct sl_world *world)
{
    int32_t shown = c->layers <= 12 ? c->layers : 8;
    printf("\nlayer      rows  fullest rank  fullest / even  in each step  experts on a rank\n");
    for (int32_t l = 0; l < shown; l++) {
        struct balance b = balance_of(world, l);
        struct by_step s = by_step_of(world, l, 0, 1);
        printf("%5d %9lld %13d %15.3f %13.3f %18.2f\n", c->first_layer + l, (long long)b.rows,
               b.fullest, ratio(&b), s.ratio, s.experts);
    }
    if (shown < c->layers)
        printf("  ... and %d more layers (--json has all)\n", c->layers - shown);
    struct over_layers all = over_layers_of(c, world, 0, 1);
    printf("in each step: mean %.4f, worst %.4f in layer %d; most experts on a rank %.2f\n",
           all.mean, all.worst, c->first_layer + all.worst_layer, all.experts);
    if (sl_replay_timed(c->options))
        printf("by the costs given, the slowest rank takes %.3f us for a layer\n", all.time_us);
}

static void print_plan(const struct sl_replay_case *c, const struct sl_world *world,
                       const struct sl_replay_plan *plan)
{
    struct over_layers before = over_layers_of(c, world, 0, 0);
    struct over_layers after = over_layers_of(c, world, 1, 1);
    printf("planned half-way (%s): %lld slots written in %d layers; in each step mean %.4f, worst "
           "%.4f before, %.4f, %.4f after\n",
           c->options->plan == SLUICE_PLAN_EPLB ? "eplb" : "level", (long long)plan->summary.slots,
           plan->summary.layers, before.mean, before.worst, after.mean, after.worst);
}

static void print_operations(const struct sl_world *world, bool experts)
{
    printf("\noperation         calls   us a call   rejected\n");
    for (int32_t op = 0; op < OPS; op++)
        if (world->stats.calls[op])
            printf("%-15s %7llu %11.1f %10llu\n", op_names[op],
                   (unsigned long long)world->stats.calls[op],
                   (double)world->stats.nanoseconds[op] / 1000.0 / (double)world->stats.calls[op],
                   (unsigned long long)world->stats.rejected[op]);
    if (!experts)
        return;
    printf("(dispatch and combine: with the wait for the slowest rank's experts)\n"
           "moved between ranks: dispatch %.1f MB (%.1f of payload), combine %.1f MB\n",
           (double)world->stats.dispatch_moved / 1e6, (double)world->stats.dispatch_useful / 1e6,
           (double)world->stats.combine_moved / 1e6);
}

/* " (portable, the ranks avx512)": on which code paths the two worlds ran. */
static void name_paths(const struct sl_world *world, char *text, size_t n)
{
    const sluice_device_api *device = world->api->extension(SLUICE_EXT_DEVICE);
    if (!SLUICE_HAS(device, sluice_device_api, paths) || !device->paths()[0])
        return;
    const char *const *path = device->paths(), *slowest = path[0];
    while (path[1])
        path++;
    (void)snprintf(text, n, " (%s code, the ranks %s)", slowest, *path);
}

void sl_replay_print(const struct sl_replay_case *c, const struct sl_world *world,
                     const struct sl_replay_verdict *v, const char *plugin_line)
{
    const struct sl_replay_options *o = c->options;
    printf("%s\n", plugin_line);
    printf("%s: %d experts, top-%d, %d shared as slots; %d ranks x %d routed slots, %d tokens a "
           "rank, %d steps, %d layers\n",
           c->what, c->router.experts, c->router.top_k, c->fused, o->ranks, c->slots, o->tokens,
           o->steps, c->layers);
    print_layers(c, world);
    if (v->plan.made)
        print_plan(c, world, &v->plan);
    print_operations(world, !o->no_experts);
    printf("\nchoices made %lld, counted by the recorder %lld, shared slots counted %lld, shared "
           "weight rows changed %llu\n",
           (long long)v->choices, (long long)v->counted, (long long)(v->counted - v->choices),
           (unsigned long long)world->shared_changed);
    const char *how = o->combine_order == SLUICE_COMBINE_EXACT ? "bit-equal" : "equal to rounding";
    char paths[80] = "";
    name_paths(world, paths, sizeof paths);
    if (v->good && o->no_experts)
        printf("OK: every choice on %d ranks was counted once; no expert ran\n", o->ranks);
    else if (v->good)
        printf("OK: %lld outputs on %d ranks, each %s to 1 rank without balancing%s and to a plain "
               "loop\n",
               (long long)v->tokens, o->ranks, how, paths);
    else
        printf("FAILED: of %lld outputs %lld differ from 1 rank, %lld from a plain loop; %lld "
               "experts miscounted\n",
               (long long)v->tokens, (long long)v->differ_plain, (long long)v->differ_literal,
               (long long)v->miscounted);
}

static void write_int(struct sl_json_writer *w, const char *key, int64_t value)
{
    sl_jw_key(w, key);
    sl_jw_int(w, value);
}

static void write_layers(struct sl_json_writer *w, const struct sl_replay_case *c,
                         const struct sl_world *world)
{
    sl_jw_key(w, "layers");
    sl_jw_array(w);
    for (int32_t l = 0; l < c->layers; l++) {
        struct balance b = balance_of(world, l);
        sl_jw_object(w);
        write_int(w, "layer", c->first_layer + l);
        sl_jw_key(w, "max_over_mean");
        sl_jw_real(w, ratio(&b));
        struct by_step s = by_step_of(world, l, 0, 1);
        sl_jw_key(w, "step_max_over_mean");
        sl_jw_real(w, s.ratio);
        sl_jw_key(w, "step_experts");
        sl_jw_real(w, s.experts);
        if (sl_replay_timed(c->options)) {
            sl_jw_key(w, "step_us");
            sl_jw_real(w, s.time_us);
        }
        sl_jw_key(w, "rank_rows");
        sl_jw_array(w);
        for (int32_t r = 0; r < world->ranks; r++)
            sl_jw_int(w, world->served[(int64_t)l * world->ranks + r]);
        sl_jw_close(w);
        sl_jw_key(w, "expert_choices");
        sl_jw_array(w);
        for (int32_t e = 0; e < c->router.experts; e++)
            sl_jw_int(w, world->counted[(int64_t)l * c->router.experts + e]);
        sl_jw_close(w);
        sl_jw_close(w);
    }
    sl_jw_close(w);
}

static void write_by_step(struct sl_json_writer *w, const struct sl_replay_case *c,
                          const struct sl_world *world, const char *key, int first, int last)
{
    struct over_layers all = over_layers_of(c, world, first, last);
    sl_jw_key(w, key);
    sl_jw_object(w);
    sl_jw_key(w, "mean");
    sl_jw_real(w, all.mean);
    sl_jw_key(w, "worst");
    sl_jw_real(w, all.worst);
    sl_jw_key(w, "experts");
    sl_jw_real(w, all.experts);
    if (sl_replay_timed(c->options)) {
        sl_jw_key(w, "us");
        sl_jw_real(w, all.time_us);
    }
    sl_jw_close(w);
}

static void write_plan(struct sl_json_writer *w, const struct sl_replay_case *c,
                       const struct sl_world *world, const struct sl_replay_plan *plan)
{
    sl_jw_key(w, "plan");
    sl_jw_object(w);
    write_int(w, "slots_written", plan->summary.slots);
    write_int(w, "layers_changed", plan->summary.layers);
    write_by_step(w, c, world, "before", 0, 0);
    write_by_step(w, c, world, "after", 1, 1);
    sl_jw_close(w);
}

static void write_operations(struct sl_json_writer *w, const struct sl_world *world)
{
    sl_jw_key(w, "operations");
    sl_jw_object(w);
    for (int32_t op = 0; op < OPS; op++) {
        sl_jw_key(w, op_names[op]);
        sl_jw_object(w);
        write_int(w, "calls", (int64_t)world->stats.calls[op]);
        write_int(w, "nanoseconds", (int64_t)world->stats.nanoseconds[op]);
        write_int(w, "rejected", (int64_t)world->stats.rejected[op]);
        sl_jw_close(w);
    }
    sl_jw_close(w);
    write_int(w, "dispatch_useful_bytes", (int64_t)world->stats.dispatch_useful);
    write_int(w, "dispatch_moved_bytes", (int64_t)world->stats.dispatch_moved);
    write_int(w, "combine_moved_bytes", (int64_t)world->stats.combine_moved);
}

int sl_replay_write(const struct sl_replay_case *c, const struct sl_world *world,
                    const struct sl_replay_verdict *v, char *err, size_t n)
{
    const struct sl_replay_options *o = c->options;
    FILE *file = sl_tool_create(o->json, err, n);
    if (!file)
        return -1;
    struct sl_json_writer w;
    sl_jw_begin(&w, file);
    sl_jw_object(&w);
    sl_jw_key(&w, "ok");
    sl_jw_bool(&w, v->good);
    sl_jw_key(&w, "input");
    sl_jw_string(&w, c->what);
    write_int(&w, "ranks", o->ranks);
    write_int(&w, "tokens_per_rank", o->tokens);
    write_int(&w, "steps", o->steps);
    write_int(&w, "experts", c->router.experts);
    write_int(&w, "top_k", c->router.top_k);
    write_int(&w, "shared", c->fused);
    write_int(&w, "slots_per_rank", c->slots);
    write_int(&w, "outputs_checked", v->tokens);
    write_int(&w, "outputs_differ_from_one_rank", v->differ_plain);
    write_int(&w, "outputs_differ_from_plain_loop", v->differ_literal);
    write_int(&w, "choices", v->choices);
    write_int(&w, "choices_counted", v->counted);
    write_int(&w, "experts_miscounted", v->miscounted);
    write_int(&w, "shared_rows_changed", (int64_t)world->shared_changed);
    sl_jw_key(&w, "seconds");
    sl_jw_real(&w, v->seconds);
    write_by_step(&w, c, world, "by_step", 0, 1);
    if (v->plan.made)
        write_plan(&w, c, world, &v->plan);
    write_operations(&w, world);
    write_layers(&w, c, world);
    sl_jw_close(&w);
    return sl_tool_close(file, o->json, err, n);
}

int sl_replay_plot(const struct sl_replay_case *c, const struct sl_world *world, char *err,
                   size_t n)
{
    const struct sl_replay_options *o = c->options;
    size_t cells = (size_t)c->layers * (size_t)world->ranks;
    double *load = malloc((cells + 1) * sizeof *load);
    if (!load)
        return sl_tool_error(err, n, "out of memory");
    for (size_t i = 0; i < cells; i++)
        load[i] = (double)world->served[i];
    char title[200];
    const char *name = strrchr(c->what, '/') ? strrchr(c->what, '/') + 1 : c->what;
    (void)snprintf(title, sizeof title, "Where the rows go: %s on %d ranks", name, world->ranks);
    struct sl_heat heat = {.title = title,
                           .caption = "routed and shared rows",
                           .ranks = world->ranks,
                           .layers =
                               c->layers < SL_HEAT_MAX_LAYERS ? c->layers : SL_HEAT_MAX_LAYERS,
                           .first_layer = c->first_layer,
                           .load = load};
    int bad = sl_svg_heat_save(o->plot, &heat, err, n);
    free(load);
    return bad;
}
