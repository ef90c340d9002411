/* Ranks as threads, each with a context of its own. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../abi/ext/balance.h"
#include "../../abi/ext/device.h"
#include "../../abi/ext/load.h"
#include "../comm/comm_threads.h"
#include "replay_rank.h"
#include "tool_file.h"
#include "tool_status.h"

static void *serve(void *argument)
{
    struct sl_world_rank *rank = argument;
    for (int32_t layer = 0; layer < rank->world->replay->layers; layer++)
        if (!sl_rank_serve(rank, layer))
            break;
    return NULL;
}

static sluice_config config_of(const struct sl_world *world, const sluice_comm *comm,
                               const sluice_layer *const *layers, const sluice_transport *transport,
                               const sluice_host *host)
{
    const struct sl_replay_options *o = world->replay->options;
    sluice_config config = {.struct_size = sizeof config,
                            .label = world->plain ? "plain" : NULL,
                            .host = host,
                            .comm = comm,
                            .layers = layers,
                            .transport = transport,
                            .layer_count = world->replay->layers,
                            .uses = SLUICE_USE_EXACT,
                            .shared_policy = o->shared_policy == SLUICE_SHARED_NOT_FUSED
                                                 ? SLUICE_SHARED_NOT_FUSED
                                                 : SLUICE_SHARED_AT_HOME,
                            .seed = o->seed};
    if (world->plain)
        return config;
    config.copy_policy = o->copy_policy;
    config.shared_policy = o->shared_policy;
    if (o->fixed)
        config.uses = SLUICE_USE_FIXED;
    if (o->shared_policy == SLUICE_SHARED_WATERFILL_DYNAMIC || o->balance == SLUICE_BALANCE_NOW)
        config.uses |= SLUICE_USE_BALANCE_NOW;
    return config;
}

static bool open_context(struct sl_world_rank *rank)
{
    struct sl_world *world = rank->world;
    const struct sl_replay_case *c = world->replay;
    const struct sl_replay_options *o = c->options;
    int64_t row = o->no_experts ? 1 : o->hidden * (int64_t)sl_element_bytes(o->bf16);
    sluice_layer layer = {
        .struct_size = sizeof layer, .router = &c->router, .slots_per_rank = sl_world_slots(world)};
    sluice_transport transport = {.struct_size = sizeof transport,
                                  .max_tokens = world->tokens,
                                  .fixed_tokens = world->tokens,
                                  .payload_row_bytes = row,
                                  .combine_order =
                                      world->plain ? SLUICE_COMBINE_EXACT : o->combine_order};
    sluice_host host = {.struct_size = sizeof host, .threads = o->threads};
    sluice_comm comm;
    sluice_comm_threads_get(world->group, rank->number, &comm);
    const sluice_layer **layers = malloc((size_t)c->layers * sizeof *layers);
    if (!layers)
        return sl_rank_ok(rank, "out of memory", 0, SLUICE_NO_MEMORY);
    for (int32_t l = 0; l < c->layers; l++)
        layers[l] = &layer;
    sluice_config config = config_of(world, &comm, layers, &transport, &host);
    config.device = rank->mirror.device;
    char text[512] = "";
    rank->status = world->api->open(&config, &rank->context, text, sizeof text);
    free(layers);
    if (rank->status)
        (void)snprintf(rank->error, sizeof rank->error, "rank %d, open: %s", rank->number,
                       sl_status_text(text, rank->status));
    return rank->status == SLUICE_OK;
}

static bool open_mirror(struct sl_world_rank *rank)
{
    char text[256] = "";
    rank->status = sl_mirror_open(&rank->mirror, rank->world->api, rank->number, text, sizeof text);
    if (rank->status)
        (void)snprintf(rank->error, sizeof rank->error, "rank %d, finding a device: %s",
                       rank->number, sl_status_text(text, rank->status));
    return rank->status == SLUICE_OK;
}

static bool open_balance(struct sl_world_rank *rank)
{
    const struct sl_world *world = rank->world;
    const struct sl_replay_options *o = world->replay->options;
    if (world->plain || o->balance == SL_NO_BALANCE)
        return true;
    const sluice_balance_api *balance = world->api->extension(SLUICE_EXT_BALANCE);
    const sluice_costs costs = {.struct_size = sizeof costs,
                                .expert_ps = (int64_t)1000 * o->expert_ns,
                                .row_ps = o->row_ps,
                                .near_ps = o->move_ps,
                                .far_ps = o->move_ps};
    sluice_balance_config config = {.struct_size = sizeof config,
                                    .objective = o->objective,
                                    .mode = o->balance,
                                    .costs = o->objective == SLUICE_BALANCE_COST ? &costs : NULL};
    return sl_rank_ok(rank, "balance configure", 0, balance->configure(rank->context, -1, &config));
}

static bool open_buffers(struct sl_world_rank *rank)
{
    const struct sl_world *world = rank->world;
    const struct sl_replay_case *c = world->replay;
    size_t tokens = (size_t)world->tokens, k = (size_t)c->router.top_k;
    size_t f = (size_t)c->router.shared, columns = k + (size_t)c->fused;
    struct sl_expert_shape shape = sl_world_expert(c);
    size_t local = (size_t)sl_world_slots(world) + (size_t)c->fused;
    rank->ids = malloc(tokens * k * sizeof(int32_t));
    rank->recorder = malloc(tokens * k * sizeof(int32_t));
    rank->slots = malloc(tokens * columns * sizeof(int32_t));
    rank->route_weights = malloc(tokens * k * sizeof(float));
    rank->slot_weights = malloc(tokens * columns * sizeof(float));
    rank->shared_weights = calloc(tokens * f + 1, sizeof(float));
    rank->zero_weight = calloc(tokens + 1, sizeof(float));
    rank->holds = malloc(local * sizeof(int32_t));
    rank->slot_rows = calloc(local, sizeof(int32_t));
    rank->weights = calloc((size_t)c->layers, sizeof *rank->weights);
    bool all = rank->ids && rank->recorder && rank->slots && rank->route_weights &&
               rank->slot_weights && rank->shared_weights && rank->zero_weight && rank->holds &&
               rank->slot_rows && rank->weights;
    size_t floats = c->options->no_experts ? 1 : sl_expert_floats(&shape);
    for (int32_t l = 0; all && l < c->layers; l++) {
        rank->weights[l] = calloc(local * floats, sizeof(float));
        all = rank->weights[l] != NULL;
    }
    return all ? true : sl_rank_ok(rank, "out of memory", 0, SLUICE_NO_MEMORY);
}

/* Opens a rank, puts the first placement in force and loads all its weights, shared ones too. */
static void *start(void *argument)
{
    struct sl_world_rank *rank = argument;
    const struct sl_world *world = rank->world;
    const struct sl_replay_case *c = world->replay;
    int32_t slots = sl_world_slots(world), physical = slots * world->ranks;
    if (!open_mirror(rank) || !open_context(rank) || !open_balance(rank) || !open_buffers(rank))
        return NULL;
    const sluice_stats_api *stats = world->api->extension(SLUICE_EXT_STATS);
    if (stats)
        (void)stats->set_timing(rank->context, 1);
    for (int32_t l = 0; l < c->layers; l++) {
        const int32_t *map = c->maps[0] + (size_t)l * (size_t)physical;
        if (!world->plain &&
            !sl_rank_ok(rank, "placement set", l,
                        sl_world_placement(world)->set(rank->context, l, map, physical, 0, NULL)))
            return NULL;
        if (!c->options->no_experts && !sl_rank_load(rank, l, slots + c->fused, rank->weights[l]))
            return NULL;
        if (rank->number == 0)
            sl_replay_advance(c, world->plain ? SL_OPEN_PLAIN : SL_OPEN_RANKS, 0, l, 1, 1);
    }
    return NULL;
}

static bool run_all(struct sl_world *world, void *(*run)(void *))
{
    pthread_t threads[1024];
    int32_t started = 0;
    for (; started < world->ranks; started++)
        if (pthread_create(&threads[started], NULL, run, &world->all[started]) != 0)
            break;
    for (int32_t r = 0; r < started; r++)
        pthread_join(threads[r], NULL);
    if (started < world->ranks)
        (void)snprintf(world->error, sizeof world->error, "could not start %d threads",
                       world->ranks);
    for (int32_t r = 0; r < world->ranks && !world->error[0]; r++)
        if (world->all[r].status && world->all[r].status != SLUICE_PEER_LOST)
            (void)snprintf(world->error, sizeof world->error, "%s", world->all[r].error);
    for (int32_t r = 0; r < world->ranks && !world->error[0]; r++)
        if (world->all[r].status)
            (void)snprintf(world->error, sizeof world->error, "%s", world->all[r].error);
    return world->error[0] == 0;
}

/* What others are held against runs on the slowest code path, the others on the best. */
static bool run_on_path(struct sl_world *world, bool slowest, void *(*run)(void *))
{
    const sluice_device_api *device = world->api->extension(SLUICE_EXT_DEVICE);
    bool choose = SLUICE_HAS(device, sluice_device_api, use_path) && device->paths()[0];
    if (choose && slowest)
        (void)device->use_path(device->paths()[0]);
    bool done = run_all(world, run);
    if (choose)
        (void)device->use_path(NULL);
    return done;
}

/* What the ranks have done, and how level. */
static bool open_figures(struct sl_world *world)
{
    size_t layers = (size_t)world->replay->layers, cells = layers * (size_t)world->ranks;
    world->step_rows = calloc(cells, sizeof *world->step_rows);
    world->step_experts = calloc(cells, sizeof *world->step_experts);
    world->step_active = calloc(cells, sizeof *world->step_active);
    world->step_ways = calloc(cells, sizeof *world->step_ways);
    world->served = calloc(cells, sizeof *world->served);
    bool all = world->step_rows && world->step_experts && world->step_active && world->step_ways &&
               world->served;
    for (int i = 0; all && i < 2; i++) {
        world->half[i].ratio = calloc(layers, sizeof(double));
        world->half[i].experts = calloc(layers, sizeof(double));
        world->half[i].time_ps = calloc(layers, sizeof(double));
        all = world->half[i].ratio && world->half[i].experts && world->half[i].time_ps;
    }
    return all;
}

int sl_world_open(struct sl_world *world, char *err, size_t n)
{
    const struct sl_replay_case *c = world->replay;
    const struct sl_replay_options *o = c->options;
    size_t cells = (size_t)c->layers * (size_t)c->rows, k = (size_t)c->router.top_k;
    if (!sl_world_placement(world) || !world->api->extension(SLUICE_EXT_LOAD))
        return sl_tool_error(err, n, "the plugin has no sluice.placement/1 or sluice.load/1");
    if (o->balance != SL_NO_BALANCE &&
        !SLUICE_HAS((const sluice_balance_api *)world->api->extension(SLUICE_EXT_BALANCE),
                    sluice_balance_api, configure))
        return sl_tool_error(err, n, "the plugin does not serve " SLUICE_EXT_BALANCE);
    world->tokens = world->plain ? c->rows : o->tokens;
    world->out = malloc(o->no_experts ? 1 : cells * (size_t)o->hidden * sl_element_bytes(o->bf16));
    world->counted = calloc((size_t)c->layers * (size_t)c->router.experts, sizeof *world->counted);
    world->all = calloc((size_t)world->ranks, sizeof *world->all);
    world->group = sluice_comm_threads_create(world->ranks, NULL);
    if (world->plain) {
        world->ids = malloc(cells * k * sizeof(int32_t));
        world->weights = malloc(cells * k * sizeof(float));
        world->shared_weights = malloc((cells * (size_t)c->router.shared + 1) * sizeof(float));
        world->zero_weight = malloc(cells * sizeof(float));
    }
    if (!world->out || !open_figures(world) || !world->counted || !world->all || !world->group ||
        (world->plain &&
         (!world->ids || !world->weights || !world->shared_weights || !world->zero_weight)))
        return sl_tool_error(err, n, "out of memory");
    for (int32_t r = 0; r < world->ranks; r++) {
        world->all[r].world = world;
        world->all[r].number = r;
    }
    bool opened = run_on_path(world, world->plain, start);
    return opened ? 0 : sl_tool_error(err, n, "%s", world->error);
}

void sl_world_count(struct sl_world *world)
{
    const struct sl_replay_case *c = world->replay;
    const sluice_load_api *load = world->api->extension(SLUICE_EXT_LOAD);
    int32_t experts = c->router.experts;
    int64_t *counts = calloc((size_t)experts, sizeof *counts);
    for (int32_t r = 0; counts && r < world->ranks; r++)
        for (int32_t l = 0; l < c->layers; l++) {
            sluice_context *context = world->all[r].context;
            if (load->read_logical(context, l, counts, experts, NULL) ||
                load->reset(context, l, NULL))
                continue;
            for (int32_t e = 0; e < experts; e++)
                world->counted[(size_t)l * (size_t)experts + (size_t)e] += counts[e];
        }
    free(counts);
}

int sl_world_step(struct sl_world *world, int32_t step, bool changes)
{
    for (int32_t i = 0; i < world->replay->layers * world->ranks; i++)
        atomic_store(&world->step_ways[i], 0);
    for (int32_t r = 0; r < world->ranks; r++) {
        world->all[r].step = step;
        world->all[r].changes = changes && !world->plain;
    }
    return run_all(world, serve) ? 0 : -1;
}

bool sl_replay_timed(const struct sl_replay_options *o)
{
    return o->expert_ns > 0 || o->row_ps > 0 || o->move_ps > 0;
}

/* As sluice_costs says. */
static double time_of(const struct sl_world *world, int64_t at)
{
    const struct sl_replay_options *o = world->replay->options;
    double reads = 1000.0 * o->expert_ns * world->step_active[at];
    double computes = (double)o->row_ps * (double)world->step_rows[at];
    return (reads > computes ? reads : computes) +
           (double)o->move_ps * atomic_load(&world->step_ways[at]);
}

void sl_world_tally(struct sl_world *world, bool second)
{
    struct sl_replay_half *half = &world->half[second];
    half->steps++;
    for (int32_t l = 0; l < world->replay->layers; l++) {
        int64_t greatest = 0, sum = 0;
        int32_t experts = 0;
        double slowest = 0;
        for (int32_t r = 0; r < world->ranks; r++) {
            int64_t at = (int64_t)l * world->ranks + r, rows = world->step_rows[at];
            world->served[at] += rows;
            sum += rows;
            greatest = rows > greatest ? rows : greatest;
            experts = world->step_experts[at] > experts ? world->step_experts[at] : experts;
            double time = time_of(world, at);
            slowest = time > slowest ? time : slowest;
        }
        half->ratio[l] += sum ? (double)greatest * world->ranks / (double)sum : 1;
        half->experts[l] += experts;
        half->time_ps[l] += slowest;
    }
}

static void add_stats(sluice_stats *sum, const sluice_stats *one)
{
    for (int32_t op = 0; op < SLUICE_OP_COUNT; op++) {
        sum->calls[op] += one->calls[op];
        sum->rejected[op] += one->rejected[op];
        sum->nanoseconds[op] += one->nanoseconds[op];
    }
    sum->dead += one->dead;
    sum->overflows += one->overflows;
    sum->dispatch_useful += one->dispatch_useful;
    sum->dispatch_moved += one->dispatch_moved;
    sum->combine_useful += one->combine_useful;
    sum->combine_moved += one->combine_moved;
}

/* Shared rows must still be what was loaded at the start. */
static void check_shared(struct sl_world *world, const struct sl_world_rank *rank)
{
    const struct sl_replay_case *c = world->replay;
    struct sl_expert_shape shape = sl_world_expert(c);
    size_t floats = sl_expert_floats(&shape);
    float *fresh = malloc(floats * sizeof *fresh);
    for (int32_t l = 0; fresh && l < c->layers; l++)
        for (int32_t j = 0; j < c->fused; j++) {
            sl_expert_draw(&shape, c->options->seed, l, c->router.experts + j, fresh);
            size_t row = (size_t)sl_world_slots(world) + (size_t)j;
            if (memcmp(fresh, rank->weights[l] + row * floats, floats * sizeof *fresh) != 0)
                world->shared_changed++;
        }
    free(fresh);
}

void sl_world_finish(struct sl_world *world)
{
    const sluice_stats_api *stats = world->api->extension(SLUICE_EXT_STATS);
    sl_world_count(world);
    for (int32_t r = 0; r < world->ranks; r++) {
        sluice_stats one = {.struct_size = sizeof one};
        if (stats && stats->read(world->all[r].context, &one) == SLUICE_OK)
            add_stats(&world->stats, &one);
        if (!world->replay->options->no_experts)
            check_shared(world, &world->all[r]);
    }
}

void sl_world_close(struct sl_world *world)
{
    for (int32_t r = 0; world->all && r < world->ranks; r++) {
        struct sl_world_rank *rank = &world->all[r];
        sl_mirror_close(&rank->mirror);
        world->api->close(rank->context);
        for (int32_t l = 0; rank->weights && l < world->replay->layers; l++)
            free(rank->weights[l]);
        free(rank->weights);
        free(rank->holds);
        free(rank->slot_rows);
        free(rank->ids);
        free(rank->recorder);
        free(rank->slots);
        free(rank->route_weights);
        free(rank->slot_weights);
        free(rank->shared_weights);
        free(rank->zero_weight);
        free(rank->in);
        free(rank->out);
        free(rank->row_slot);
    }
    sluice_comm_threads_destroy(world->group);
    free(world->all);
    free(world->out);
    free(world->step_rows);
    free(world->step_experts);
    free(world->step_active);
    free(world->step_ways);
    free(world->served);
    for (int i = 0; i < 2; i++) {
        free(world->half[i].ratio);
        free(world->half[i].experts);
        free(world->half[i].time_ps);
    }
    free(world->counted);
    free(world->ids);
    free(world->weights);
    free(world->shared_weights);
    free(world->zero_weight);
}
