#include "tool_plan.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "tool_file.h"

int32_t sl_tool_plan_slots(int32_t experts, int32_t ranks, int32_t redundant, char *err, size_t n)
{
    int32_t physical = experts + redundant;
    if (physical % ranks == 0)
        return physical / ranks;
    int32_t above = (physical / ranks + 1) * ranks - experts, below = above - ranks;
    if (below < 0)
        return sl_tool_error(err, n,
                             "--redundant is %d: %d experts and as many copies more do not fill %d "
                             "ranks; %d would",
                             redundant, experts, ranks, above);
    return sl_tool_error(err, n,
                         "--redundant is %d: %d experts and as many copies more do not fill %d "
                         "ranks; %d or %d would",
                         redundant, experts, ranks, below, above);
}

int sl_tool_current(const char *path, const struct sl_counts *counts, const char *of, int32_t ranks,
                    struct sl_placement *placement, char *err, size_t n)
{
    if (sl_placement_load(path, counts->experts, placement, err, n))
        return -1;
    if (placement->layers != counts->layers)
        return sl_tool_error(err, n, "%s has %d layers: %s has %d", path, placement->layers, of,
                             counts->layers);
    if (placement->slots % ranks)
        return sl_tool_error(err, n, "%s has %d slots in a layer: not a multiple of --ranks %d",
                             path, placement->slots, ranks);
    return 0;
}

/* What a request points at. */
struct request {
    sluice_plan_request request;
    sluice_plan_layer *layers;
    const sluice_plan_layer **layer_list;
    sluice_plan_window *windows;
    const sluice_plan_window **window_list;
    int32_t *node;
    sluice_plan_budget budget;
    sluice_balance_config balance;
    sluice_costs costs;
};

static int room(struct request *r, int32_t layers, int32_t windows, int32_t ranks, char *err,
                size_t n)
{
    r->layers = calloc((size_t)layers, sizeof *r->layers);
    r->layer_list = calloc((size_t)layers, sizeof *r->layer_list);
    r->windows = calloc((size_t)windows, sizeof *r->windows);
    r->window_list = calloc((size_t)windows, sizeof *r->window_list);
    r->node = calloc((size_t)ranks, sizeof *r->node);
    if (r->layers && r->layer_list && r->windows && r->window_list && r->node)
        return 0;
    (void)sl_tool_error(err, n, "no memory for a plan of %d layers", layers);
    return -1;
}

static void drop(struct request *r)
{
    free(r->layers);
    free(r->layer_list);
    free(r->windows);
    free(r->window_list);
    free(r->node);
}

/* What the step balancer is taken to do. */
static void fill_objective(const struct sl_plan_case *c, struct request *r)
{
    r->costs = (sluice_costs){
        .struct_size = sizeof r->costs, .expert_ps = c->expert_ps, .row_ps = c->row_ps};
    r->balance =
        (sluice_balance_config){.struct_size = sizeof r->balance,
                                .objective = c->objective,
                                .costs = c->objective == SLUICE_BALANCE_COST ? &r->costs : NULL};
}

static void fill(const struct sl_plan_case *c, const struct sl_counts *windows, int32_t count,
                 const struct sl_placement *current, struct request *r)
{
    int32_t layers = windows[0].layers;
    for (int32_t l = 0; l < layers; l++) {
        r->layers[l] = (sluice_plan_layer){
            .struct_size = sizeof r->layers[l],
            .experts = windows[0].experts,
            .slots_per_rank = c->slots,
            .shared = c->shared,
            .groups = c->groups,
            .expert_bytes = c->expert_bytes,
            .map = current ? current->expert + (ptrdiff_t)l * current->slots : NULL,
            .map_count = current ? current->slots : 0};
        r->layer_list[l] = &r->layers[l];
    }
    for (int32_t w = 0; w < count; w++) {
        r->windows[w] = (sluice_plan_window){.struct_size = sizeof r->windows[w],
                                             .counts = windows[w].count,
                                             .stride = windows[w].experts,
                                             .steps = c->steps,
                                             .top_k = c->top_k};
        r->window_list[w] = &r->windows[w];
    }
    for (int32_t rank = 0; rank < c->ranks; rank++)
        r->node[rank] = rank / (c->ranks / c->nodes);
    r->budget = (sluice_plan_budget){.struct_size = sizeof r->budget, .slots = c->budget};
    fill_objective(c, r);
    r->request =
        (sluice_plan_request){.struct_size = sizeof r->request,
                              .layers = r->layer_list,
                              .windows = r->window_list,
                              .node = r->node,
                              .budget = &r->budget,
                              .balance = &r->balance,
                              .layer_count = layers,
                              .window_count = count,
                              .ranks = c->ranks,
                              .policy = c->policy,
                              .start = current ? SLUICE_PLAN_REPAIR : SLUICE_PLAN_FROM_NOTHING,
                              .target = c->target};
}

static int read_maps(const struct sl_plan_case *c, const sluice_plan *plan,
                     const struct sl_counts *counts, struct sl_placement *placement, char *err,
                     size_t n)
{
    *placement = (struct sl_placement){
        .layers = counts->layers, .slots = c->slots * c->ranks, .experts = counts->experts};
    size_t cells = (size_t)placement->layers * (size_t)placement->slots;
    placement->expert = calloc(cells, sizeof *placement->expert);
    if (!placement->expert)
        return sl_tool_error(err, n, "no memory for %zu slots", cells);
    for (int32_t l = 0; l < placement->layers; l++) {
        sluice_status status =
            c->api->layer(plan, l, placement->expert + (ptrdiff_t)l * placement->slots,
                          placement->slots, NULL, NULL);
        if (status)
            return sl_tool_error(err, n, "layer %d of the plan: status %d", l, status);
    }
    return 0;
}

static int read_moves(const struct sl_plan_case *c, const sluice_plan *plan, struct sl_moves *moves,
                      char *err, size_t n)
{
    *moves = (struct sl_moves){.count = 0};
    if (!SLUICE_HAS(c->api, sluice_plan_api, moves))
        return sl_tool_error(err, n, "the plugin's plans do not list their moves");
    (void)c->api->moves(plan, NULL, 0, &moves->count);
    moves->move = calloc((size_t)moves->count + 1, sizeof *moves->move);
    if (!moves->move)
        return sl_tool_error(err, n, "no memory for %lld moves", (long long)moves->count);
    sluice_status status = c->api->moves(plan, moves->move, moves->count, &moves->count);
    return status ? sl_tool_error(err, n, "moves of the plan: status %d", status) : 0;
}

void sl_moves_free(struct sl_moves *moves)
{
    free(moves->move);
    *moves = (struct sl_moves){.count = 0};
}

int sl_tool_plan(const struct sl_plan_case *c, const struct sl_counts *windows, int32_t count,
                 const struct sl_placement *current, struct sl_placement *placement,
                 sluice_plan_summary *summary, struct sl_moves *moves, char *err, size_t n)
{
    struct request r = {.node = NULL};
    sluice_plan *plan = NULL;
    char text[400] = "";
    *placement = (struct sl_placement){.layers = 0};
    int bad = room(&r, windows[0].layers, count, c->ranks, err, n);
    if (!bad) {
        fill(c, windows, count, current, &r);
        sluice_status status = c->api->make(&r.request, &plan, text, sizeof text);
        if (status)
            bad = sl_tool_error(err, n, "no plan: %s", text);
    }
    if (!bad) {
        *summary = (sluice_plan_summary){.struct_size = sizeof *summary};
        if (c->api->summary(plan, summary))
            bad = sl_tool_error(err, n, "the plan has no summary");
    }
    bad = bad || read_maps(c, plan, &windows[0], placement, err, n) ||
          (moves && read_moves(c, plan, moves, err, n));
    if (plan)
        c->api->release(plan);
    if (bad)
        sl_placement_free(placement);
    drop(&r);
    return bad ? -1 : 0;
}

int sl_tool_plan_judge(const struct sl_plan_case *c, const struct sl_counts *windows, int32_t count,
                       int32_t layer, const int32_t *map, double *balance, char *err, size_t n)
{
    const double satisfied = 1e6; /* the greatest target there is: nothing is moved */
    struct request r = {.node = NULL};
    sluice_plan *plan = NULL;
    char text[400] = "";
    bool busy = false;
    *balance = 0;
    for (int32_t w = 0; w < count; w++)
        for (int32_t e = 0; e < windows[w].experts; e++)
            busy = busy || sl_counts_row(&windows[w], 0, layer)[e] > 0;
    if (!busy)
        return 0;
    int bad = room(&r, windows[0].layers, count, c->ranks, err, n);
    if (!bad) {
        fill(c, windows, count, NULL, &r);
        r.layers[0].map = map;
        r.request.layer_count = 1;
        r.request.start = SLUICE_PLAN_REPAIR;
        r.request.target = satisfied;
        r.request.budget = NULL;
        for (int32_t w = 0; w < count; w++)
            r.windows[w].counts = sl_counts_row(&windows[w], 0, layer);
        sluice_status status = c->api->make(&r.request, &plan, text, sizeof text);
        if (status)
            bad = sl_tool_error(err, n, "no balance: %s", text);
        else if (c->api->layer(plan, 0, NULL, 0, balance, NULL))
            bad = sl_tool_error(err, n, "the plan does not say how its layer was");
    }
    if (plan)
        c->api->release(plan);
    drop(&r);
    return bad;
}

int sl_tool_plan_copies(const struct sl_plan_case *c, const struct sl_counts *windows,
                        int32_t count, int32_t *slots, char *err, size_t n)
{
    struct request r = {.node = NULL};
    char text[400] = "";
    *slots = 0;
    if (!SLUICE_HAS(c->api, sluice_plan_api, copies))
        return 0;
    int32_t *needed = calloc((size_t)windows[0].layers, sizeof *needed);
    int bad = -1;
    if (!needed)
        (void)sl_tool_error(err, n, "no memory for %d layers", windows[0].layers);
    else
        bad = room(&r, windows[0].layers, count, c->ranks, err, n);
    if (!bad) {
        fill(c, windows, count, NULL, &r);
        sluice_status status =
            c->api->copies(&r.request, needed, windows[0].layers, text, sizeof text);
        if (status)
            bad = sl_tool_error(err, n, "how many copies are needed: %s", text);
    }
    for (int32_t l = 0; !bad && *slots >= 0 && l < windows[0].layers; l++)
        *slots = needed[l] < 0 || needed[l] > *slots ? needed[l] : *slots;
    free(needed);
    drop(&r);
    return bad;
}
