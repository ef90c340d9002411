/* SPDX-License-Identifier: Apache-2.0
 * What topk and route execute on the stand-in (tests/standin), a line for each shape, operation and
 * number of tokens. Counts are exact and the same in every run.
 *     cuda_counts DEVICE.so [deepseek-v3 | qwen3 | mixtral] [topk | route] [f32 | bf16] [1 64 4096]
 *                 [all] [limits]
 * Words in any order; without one of a kind all of it (f32 alone without a type). all: route is
 * asked for every output, else for dispatch_ids, dispatch_weights and recorder_ids. limits: instead
 * of a table, are the numbers within what this library promises?
 *
 * Columns: warp instructions a token; instructions of the longest warp; sectors of 32 bytes, loads,
 * stores and atomics; the least sectors (below) and how many times that; global atomic lanes a
 * routed id; launches.
 *
 * The least sectors: logits once, every output asked for once, and once a block the bias, a 4-byte
 * map entry an expert, and the sectors of the counters that a block's share of the tokens adds to.
 */
#include <dlfcn.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../abi/ext/device.h"
#include "../../abi/ext/placement.h"
#include "../../abi/ext/route.h"

enum { TOPK, ROUTE, SECTOR = 32, MOST_PHYSICAL = 512 };

struct shape {
    const char *name;
    int32_t physical, ranks;
    sluice_router router;
};

static const struct shape SHAPES[] = {
    {"deepseek-v3",
     288,
     8,
     {.struct_size = sizeof(sluice_router),
      .experts = 256,
      .top_k = 8,
      .score = SLUICE_SCORE_SIGMOID,
      .bias_use = SLUICE_BIAS_SCORE,
      .groups = 8,
      .keep_groups = 4,
      .group_value = SLUICE_GROUP_TOP2,
      .renorm = 1,
      .renorm_eps = 1e-20F,
      .scale = 2.5F}},
    {"qwen3",
     144,
     8,
     {.struct_size = sizeof(sluice_router), .experts = 128, .top_k = 8, .renorm = 1}},
    {"mixtral",
     16,
     8,
     {.struct_size = sizeof(sluice_router), .experts = 8, .top_k = 2, .renorm = 1}},
};
enum { SHAPE_COUNT = sizeof SHAPES / sizeof *SHAPES };

static const int32_t TOKENS[] = {1, 64, 4096};

/* What the words chose. */
static struct {
    bool shape[SHAPE_COUNT], op[2], type[2], tokens[3], all, limits;
} asked;

static const sluice_api *api;
static const sluice_device_api *memory;
static sluice_device device;
static char trace[] = "/tmp/cuda_counts.XXXXXX";
static int passed, failed;

static _Noreturn void stop(const char *what, const char *why)
{
    (void)unlink(trace);
    printf("%s: %s\n0 passed, 1 failed\n", what, why);
    exit(1);
}

static void load(const char *path)
{
    char text[256] = "";
    int32_t count = 0;
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library)
        stop(path, dlerror());
    const sluice_api *(*get)(uint32_t);
    void *found = dlsym(library, SLUICE_ENTRY);
    memcpy(&get, &found, sizeof found);
    api = get(SLUICE_ABI_MAJOR);
    memory = api->extension(SLUICE_EXT_DEVICE);
    if (memory->count(&count, &device, text, sizeof text) || count == 0)
        stop(path, text);
}

/* ------------------------------------------------------------------------------------- tensors */

static const sluice_dtype F32 = {SLUICE_FLOAT, 32, 1}, BF16 = {SLUICE_BFLOAT, 16, 1},
                          I32 = {SLUICE_INT, 32, 1};

struct box {
    sluice_tensor t;
    int64_t shape[2], strides[2];
};

static float normal(void)
{
    static uint64_t state = 1;
    double sum = 0;
    for (int i = 0; i < 12; i++) {
        uint64_t z = state += 0x9E3779B97F4A7C15U; /* splitmix64 */
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
        sum += (double)((z ^ (z >> 31)) >> 11) * 0x1p-53;
    }
    return (float)(sum - 6);
}

static void *move(struct box *box, void *to, const void *from)
{
    size_t bytes = (size_t)(box->shape[0] * box->shape[1]) * box->t.dtype.bits / 8;
    (void)memory->copy(device, to, from, bytes, NULL);
    (void)memory->wait(device, NULL);
    return to;
}

/* Normal numbers of this deviation, or as the memory comes. */
static void make(struct box *box, sluice_dtype type, int64_t rows, int64_t columns, float deviation)
{
    *box = (struct box){.shape = {rows, columns}, .strides = {columns, 1}};
    box->t = (sluice_tensor){
        .device = device, .ndim = 2, .dtype = type, .shape = box->shape, .strides = box->strides};
    size_t count = (size_t)(rows * columns);
    if (memory->alloc(device, count * 4, &box->t.data))
        stop("alloc", "no memory");
    if (deviation == 0)
        return;
    float *host = malloc(count * sizeof *host);
    for (size_t i = 0; i < count; i++) {
        float value = normal() * deviation;
        uint32_t bits;
        memcpy(&bits, &value, sizeof bits);
        if (type.bits == 32)
            host[i] = value;
        else
            ((uint16_t *)host)[i] = (uint16_t)(bits >> 16);
    }
    (void)move(box, box->t.data, host);
    free(host);
}

/* ---------------------------------------------------------------------------------- one launch */

struct counts {
    unsigned blocks, threads, launches;
    unsigned long long instructions, longest, loads, stores, atomic_sectors, atomics;
};

/* The launches since the trace was empty; it is empty again. */
static struct counts read_trace(void)
{
    struct counts sum = {0};
    FILE *file = fopen(trace, "r");
    struct counts c;
    while (file && fscanf(file,
                          "%*s blocks %u threads %u instructions %llu longest %llu load %llu store "
                          "%llu atomic %llu atomics %llu conflicts %*u divergent %*u",
                          &c.blocks, &c.threads, &c.instructions, &c.longest, &c.loads, &c.stores,
                          &c.atomic_sectors, &c.atomics) == 8) {
        sum.blocks = c.blocks;
        sum.threads = c.threads;
        sum.launches++;
        sum.instructions += c.instructions;
        sum.longest = c.longest > sum.longest ? c.longest : sum.longest;
        sum.loads += c.loads;
        sum.stores += c.stores;
        sum.atomic_sectors += c.atomic_sectors;
        sum.atomics += c.atomics;
    }
    if (file)
        (void)fclose(file);
    if (truncate(trace, 0))
        stop(trace, "not truncated");
    return sum;
}

/* Sectors of the 8-byte counters that blocks of equally many tokens add to. */
static uint64_t counter_sectors(const int32_t *ids, int64_t tokens, int32_t top_k, unsigned blocks)
{
    uint64_t sum = 0;
    for (unsigned b = 0; b < blocks; b++) {
        bool seen[MOST_PHYSICAL / 4] = {false};
        for (int64_t i = tokens * b / blocks * top_k; i < tokens * (b + 1) / blocks * top_k; i++) {
            bool *one = &seen[ids[i] * 8 / SECTOR];
            sum += !*one;
            *one = true;
        }
    }
    return sum;
}

struct run {
    const struct shape *shape;
    int op;
    sluice_dtype type;
    int64_t tokens;
    struct counts counts;
    double least; /* sectors */
};

static sluice_context *open_one(const struct shape *shape)
{
    char text[512];
    int32_t map[MOST_PHYSICAL];
    sluice_context *context;
    const sluice_layer layer = {.struct_size = sizeof layer,
                                .router = &shape->router,
                                .slots_per_rank = shape->physical / shape->ranks};
    const sluice_layer *layers[] = {&layer};
    const sluice_comm comm = {.struct_size = sizeof comm, .size = shape->ranks};
    const sluice_config config = {.struct_size = sizeof config,
                                  .comm = &comm,
                                  .device = device,
                                  .layers = layers,
                                  .layer_count = 1};
    if (api->open(&config, &context, text, sizeof text))
        stop("open", text);
    for (int32_t p = 0; p < shape->physical; p++)
        map[p] = p % shape->router.experts;
    const sluice_placement_api *placement = api->extension(SLUICE_EXT_PLACEMENT);
    if (placement->set(context, 0, map, shape->physical, 0, NULL))
        stop("placement.set", "refused");
    return context;
}

enum { LOGITS, BIAS, IDS, WEIGHTS, DISPATCH_IDS, DISPATCH_WEIGHTS, RECORDER_IDS, BOXES };

static sluice_status launch(sluice_context *context, const struct run *run, struct box *box)
{
    const sluice_tensor *bias = run->shape->router.bias_use ? &box[BIAS].t : NULL;
    if (run->op == TOPK) {
        const sluice_topk_args args = {.struct_size = sizeof args,
                                       .logits = &box[LOGITS].t,
                                       .bias = bias,
                                       .ids = &box[IDS].t,
                                       .weights = &box[WEIGHTS].t};
        return api->topk(context, &args);
    }
    const sluice_route_api *route = api->extension(SLUICE_EXT_ROUTE);
    const sluice_route_args args = {.struct_size = sizeof args,
                                    .logits = &box[LOGITS].t,
                                    .bias = bias,
                                    .dispatch_ids = &box[DISPATCH_IDS].t,
                                    .dispatch_weights = &box[DISPATCH_WEIGHTS].t,
                                    .recorder_ids = &box[RECORDER_IDS].t,
                                    .ids = asked.all ? &box[IDS].t : NULL,
                                    .weights = asked.all ? &box[WEIGHTS].t : NULL};
    return route->route(context, &args);
}

static void measure(struct run *run)
{
    const sluice_router *router = &run->shape->router;
    sluice_context *context = open_one(run->shape);
    struct box box[BOXES];
    char text[512];
    make(&box[LOGITS], run->type, run->tokens, router->experts, 2);
    make(&box[BIAS], F32, 1, router->experts, 0.05F);
    for (int i = IDS; i < BOXES; i++)
        make(&box[i], i == WEIGHTS || i == DISPATCH_WEIGHTS ? F32 : I32, run->tokens, router->top_k,
             0);
    (void)read_trace();
    if (launch(context, run, box) || memory->wait(device, NULL)) {
        (void)api->last_error(context, text, sizeof text);
        stop("launch", text);
    }
    run->counts = read_trace();
    int32_t outputs = run->op == TOPK ? 2 : asked.all ? 5 : 3;
    int32_t tables = (router->bias_use ? 1 : 0) + (run->op == ROUTE ? 1 : 0);
    run->least = (double)run->tokens *
                     (router->experts * (run->type.bits / 8) + outputs * router->top_k * 4) /
                     SECTOR +
                 (double)run->counts.blocks * tables * router->experts * 4 / SECTOR;
    if (run->op == ROUTE) {
        int32_t *ids = malloc((size_t)run->tokens * (size_t)router->top_k * sizeof *ids);
        (void)move(&box[RECORDER_IDS], ids, box[RECORDER_IDS].t.data);
        run->least += (double)counter_sectors(ids, run->tokens, router->top_k, run->counts.blocks);
        free(ids);
    }
    for (int i = 0; i < BOXES; i++)
        memory->free(device, box[i].t.data);
    api->close(context);
}

/* -------------------------------------------------------------------------------------- report */

static double a_token(const struct run *run)
{
    return (double)run->counts.instructions / (double)run->tokens;
}

static double atomics_an_id(const struct run *run)
{
    return (double)run->counts.atomics / (double)(run->tokens * run->shape->router.top_k);
}

static double times_least(const struct run *run)
{
    const struct counts *c = &run->counts;
    return (double)(c->loads + c->stores + c->atomic_sectors) / run->least;
}

static void print(const struct run *run)
{
    const struct counts *c = &run->counts;
    printf("%-12s %-6s %-5s %6lld %10.1f %8llu %8llu %8llu %8llu %10.1f %6.3f %8.3f %8u\n",
           run->shape->name, run->op == TOPK ? "topk" : "route",
           run->type.bits == 32 ? "f32" : "bf16", (long long)run->tokens, a_token(run), c->longest,
           c->loads, c->stores, c->atomic_sectors, run->least, times_least(run), atomics_an_id(run),
           c->launches);
}

static void at_most(const struct run *run, const char *what, double value, double limit)
{
    if (value <= limit) {
        passed++;
        return;
    }
    failed++;
    printf("not ok: %s %s %s T=%lld: %s is %.3f: must be at most %g\n", run->shape->name,
           run->op == TOPK ? "topk" : "route", run->type.bits == 32 ? "f32" : "bf16",
           (long long)run->tokens, what, value, limit);
}

static void compare(const struct run *run)
{
    static const double MOST_A_TOKEN[SHAPE_COUNT] = {560, 260, 5};
    long which = run->shape - SHAPES;
    at_most(run, "launches", run->counts.launches, 1);
    at_most(run, "global atomics a routed id", atomics_an_id(run), 1);
    if (run->tokens == 4096 && run->op == ROUTE && run->type.bits == 32)
        at_most(run, "warp instructions a token", a_token(run), MOST_A_TOKEN[which]);
    if (run->tokens == 4096 && run->op == ROUTE && run->type.bits == 16)
        at_most(run, "sectors beside the least", times_least(run), 1.05);
    if (run->tokens == 1 && which == 0)
        at_most(run, "longest warp", (double)run->counts.longest, run->op == TOPK ? 500 : 560);
}

static bool choose(const char *word)
{
    for (int i = 0; i < SHAPE_COUNT; i++)
        if (strcmp(word, SHAPES[i].name) == 0)
            return asked.shape[i] = true;
    for (int i = 0; i < 3; i++)
        if (atoi(word) == TOKENS[i])
            return asked.tokens[i] = true;
    if (strcmp(word, "topk") == 0 || strcmp(word, "route") == 0)
        return asked.op[word[0] == 'r'] = true;
    if (strcmp(word, "f32") == 0 || strcmp(word, "bf16") == 0)
        return asked.type[word[0] == 'b'] = true;
    if (strcmp(word, "all") == 0)
        return asked.all = true;
    return strcmp(word, "limits") == 0 && (asked.limits = true);
}

/* Nothing of a kind was named: the first `count` of it are meant. */
static void or_all(bool *which, int named, int count)
{
    for (int i = 0; i < named; i++)
        if (which[i])
            return;
    for (int i = 0; i < count; i++)
        which[i] = true;
}

int main(int argc, char **argv)
{
    if (argc < 2)
        stop("cuda_counts", "DEVICE.so [WORD ...]");
    for (int i = 2; i < argc; i++)
        if (!choose(argv[i]))
            stop(argv[i], "no such shape, operation, type or number of tokens");
    or_all(asked.shape, SHAPE_COUNT, SHAPE_COUNT);
    or_all(asked.op, 2, 2);
    or_all(asked.type, 2, asked.limits ? 2 : 1);
    or_all(asked.tokens, 3, 3);
    int file = mkstemp(trace);
    if (file < 0 || close(file) || setenv("STANDIN_TRACE", trace, 1))
        stop(trace, "not made");
    load(argv[1]);
    if (!asked.limits)
        printf("%-12s %-6s %-5s %6s %10s %8s %8s %8s %8s %10s %6s %8s %8s\n", "shape", "op", "type",
               "tokens", "wi/token", "longest", "load", "store", "atomic", "least", "times",
               "atoms/id", "launches");
    for (int s = 0; s < SHAPE_COUNT; s++)
        for (int which = 0; which < 2 * 2 * 3; which++) {
            int op = which / 6, type = which / 3 % 2, t = which % 3;
            if (!asked.shape[s] || !asked.op[op] || !asked.type[type] || !asked.tokens[t])
                continue;
            struct run run = {&SHAPES[s], op, type ? BF16 : F32, TOKENS[t], {0}, 0};
            measure(&run);
            if (run.counts.launches == 0)
                stop("counts", "no stand-in: its build folder must be on LD_LIBRARY_PATH");
            if (asked.limits)
                compare(&run);
            else
                print(&run);
        }
    (void)unlink(trace);
    if (asked.limits)
        printf("%d passed, %d failed\n", passed, failed);
    return failed != 0;
}
