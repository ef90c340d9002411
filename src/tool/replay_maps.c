/* The two placements of a replay: the option's, and what comes after it. */
#include <stdlib.h>
#include <string.h>

#include "../host/sluice_host.h"
#include "replay.h"
#include "tool_counts.h"
#include "tool_file.h"
#include "tool_plan.h"
#include "tool_random.h"

/* The first placement is the option's, the second another order of the same experts. */
int sl_replay_open_maps(struct sl_replay_case *c, char *err, size_t n)
{
    const struct sl_replay_options *o = c->options;
    int32_t slots = c->slots * o->ranks, experts = c->router.experts;
    size_t count = (size_t)c->layers * (size_t)slots;
    struct sl_placement file = {0};
    bool shuffled = o->placement && strcmp(o->placement, "random") == 0;
    bool from_file = o->placement && !shuffled && strcmp(o->placement, "trivial") != 0;
    if (from_file) {
        if (sl_placement_load(o->placement, experts, &file, err, n))
            return -1;
        if (file.slots != slots || file.layers < c->first_layer + c->layers) {
            int32_t layers = file.layers, had = file.slots;
            sl_placement_free(&file);
            return sl_tool_error(err, n, "%s has %d layers of %d slots: must be %d of %d",
                                 o->placement, layers, had, c->first_layer + c->layers, slots);
        }
    }
    for (int32_t i = 0; i < 2; i++)
        if (!(c->maps[i] = malloc(count * sizeof(int32_t))))
            return sl_tool_error(err, n, "out of memory");
    for (int32_t l = 0; l < c->layers; l++) {
        int32_t *first = c->maps[0] + (size_t)l * (size_t)slots;
        int32_t *second = c->maps[1] + (size_t)l * (size_t)slots;
        int32_t *order = malloc((size_t)slots * sizeof *order);
        if (!order)
            return sl_tool_error(err, n, "out of memory");
        sl_tool_shuffle(o->seed, 77, (uint32_t)l, order, slots);
        for (int32_t p = 0; p < slots; p++)
            first[p] = from_file
                           ? file.expert[(size_t)(c->first_layer + l) * (size_t)slots + (size_t)p]
                           : (shuffled ? order[p] : p) % experts;
        sl_tool_shuffle(o->seed, 78, (uint32_t)l, order, slots);
        for (int32_t p = 0; p < slots; p++)
            second[p] = first[order[p]];
        free(order);
    }
    sl_placement_free(&file);
    return 0;
}

int sl_replay_make_plan(struct sl_replay_case *c, const sluice_api *api, int64_t *counts,
                        struct sl_replay_plan *plan, char *err, size_t n)
{
    const struct sl_replay_options *o = c->options;
    const sluice_plan_api *planner = sluice_host_extension(api, SLUICE_EXT_PLAN);
    if (!SLUICE_HAS(planner, sluice_plan_api, layer))
        return sl_tool_error(err, n, "the plugin does not serve " SLUICE_EXT_PLAN);
    int32_t experts = c->router.experts, slots = c->slots * o->ranks;
    const struct sl_plan_case request = {.api = planner,
                                         .ranks = o->ranks,
                                         .slots = c->slots,
                                         .nodes = 1,
                                         .groups = 1,
                                         .shared = c->fused,
                                         .top_k = c->router.top_k,
                                         .policy = o->plan,
                                         .target = 1.01};
    const struct sl_counts window = {
        .steps = 1, .layers = c->layers, .experts = experts, .count = counts};
    const struct sl_placement current = {
        .layers = c->layers, .slots = slots, .experts = experts, .expert = c->maps[0]};
    struct sl_placement next;
    if (sl_tool_plan(&request, &window, 1, &current, &next, &plan->summary, NULL, err, n))
        return -1;
    memcpy(c->maps[1], next.expert, (size_t)c->layers * (size_t)slots * sizeof *next.expert);
    sl_placement_free(&next);
    plan->made = true;
    return 0;
}
