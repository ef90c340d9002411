/* The hot calls in a loop, between marks that strace shows: a write to no file, whose text says
 * what begins or ends. tests/system_calls.sh looks at what lies between. Prints a line for each
 * call and T: how often the C library's allocator and the engine's were called.
 *
 *     hot_loop PLUGIN.so RANKS [now|stale|allocate|engine|write]
 *
 * now, stale: copies and shared experts by sluice.balance/1. The others make a mistake between the
 * marks, which the script must find. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "abi/conformance/conform.h"
#include "abi/ext/balance.h"
#include "abi/ext/route.h"
#include "abi/hosts/host_kit.h"
#include "src/comm/comm_threads.h"

enum { EXPERTS = 64, TOP_K = 6, SHARED = 1, COLUMNS = TOP_K + SHARED, HIDDEN = 16 };
enum { MOST_TOKENS = 4096, MOST_RANKS = 2, ROUNDS = 20, NAME = 64 };

static const int32_t sizes[] = {0, 1, 64, MOST_TOKENS};
enum { SIZES = sizeof sizes / sizeof *sizes };

struct rank {
    sluice_comm comm;
    sluice_context *context;
    int32_t number;
    sluice_handle handle;
    int64_t row_count, most_rows; /* of what the last dispatch may have written */
    float *logits, *weights, *slot_weights, *x, *rows, *out;
    int32_t *ids, *slots, *recorder;
    struct kit_tensor logits_t, ids_t, weights_t, slots_t, slot_weights_t, recorder_t;
    struct kit_tensor x_t, rows_t, out_t, param_t;
    const sluice_tensor *payloads[1], *outputs[1];
    sluice_param param, *params[1];
};

static const sluice_api *api;
static const sluice_route_api *route_api;
static sluice_comm_threads *group;
static pthread_barrier_t together;
static int32_t ranks;
static const char *mistake = "";
static atomic_long engine_calls;
static char lines[SIZES * 16][NAME + 64]; /* printed at the end: stdio allocates and writes */
static int32_t line_count;

static void *engine_alloc(void *user, size_t bytes, size_t align, int32_t kind,
                          sluice_device device)
{
    (void)user, (void)kind, (void)device;
    void *data = NULL;
    atomic_fetch_add(&engine_calls, 1);
    return posix_memalign(&data, align < sizeof data ? sizeof data : align, bytes) ? NULL : data;
}

static void engine_free(void *user, void *data, size_t bytes, int32_t kind, sluice_device device)
{
    (void)user, (void)bytes, (void)kind, (void)device;
    atomic_fetch_add(&engine_calls, 1);
    free(data);
}

/* ---------------------------------------------------------------------------------- the calls */

static sluice_status topk(struct rank *me)
{
    const sluice_topk_args args = {.struct_size = sizeof args,
                                   .logits = &me->logits_t.tensor,
                                   .ids = &me->ids_t.tensor,
                                   .weights = &me->weights_t.tensor};
    return api->topk(me->context, &args);
}

static sluice_status remap(struct rank *me)
{
    const sluice_remap_args args = {.struct_size = sizeof args,
                                    .ids = &me->ids_t.tensor,
                                    .weights = &me->weights_t.tensor,
                                    .dispatch_ids = &me->slots_t.tensor,
                                    .dispatch_weights = &me->slot_weights_t.tensor,
                                    .recorder_ids = &me->recorder_t.tensor};
    return api->remap(me->context, &args);
}

static sluice_status record(struct rank *me)
{
    const sluice_record_args args = {.struct_size = sizeof args,
                                     .recorder_ids = &me->recorder_t.tensor};
    return api->record(me->context, &args);
}

static sluice_status route(struct rank *me)
{
    const sluice_route_args args = {.struct_size = sizeof args,
                                    .logits = &me->logits_t.tensor,
                                    .dispatch_ids = &me->slots_t.tensor,
                                    .dispatch_weights = &me->slot_weights_t.tensor,
                                    .recorder_ids = &me->recorder_t.tensor};
    return route_api->route(me->context, &args);
}

static sluice_status get_weights(struct rank *me)
{
    const sluice_weights_args args = {
        .struct_size = sizeof args, .params = me->params, .param_count = 1};
    return api->get_moe_weights(me->context, &args);
}

static sluice_status dispatch(struct rank *me, int32_t phase)
{
    sluice_dispatch_args args = {.struct_size = sizeof args,
                                 .phase = phase,
                                 .handle = &me->handle,
                                 .payload_count = 1,
                                 .payloads = me->payloads,
                                 .dispatch_ids = &me->slots_t.tensor,
                                 .dispatch_weights = &me->slot_weights_t.tensor,
                                 .rows = me->outputs};
    if (phase == SLUICE_DISPATCH_COUNT)
        args.row_count = &me->row_count;
    return api->dispatch(me->context, &args);
}

static sluice_status exact(struct rank *me)
{
    const sluice_status status = dispatch(me, SLUICE_DISPATCH_COUNT);
    return status ? status : dispatch(me, SLUICE_DISPATCH_SEND);
}

static sluice_status fixed(struct rank *me)
{
    return dispatch(me, SLUICE_DISPATCH_FIXED);
}

static sluice_status combine(struct rank *me)
{
    const sluice_combine_args args = {.struct_size = sizeof args,
                                      .handle = &me->handle,
                                      .rows = &me->rows_t.tensor,
                                      .out = &me->out_t.tensor};
    return api->combine(me->context, &args);
}

/* In an order in which each call finds what it needs. */
static const struct {
    const char *name;
    sluice_status (*call)(struct rank *me);
    bool exchanges, once; /* once: does not depend on T */
} calls[] = {
    {"topk", topk, false, false},
    {"remap", remap, false, false},
    {"record", record, false, false},
    {"route", route, false, false},
    {"get_moe_weights", get_weights, false, true},
    {"dispatch (count, send)", exact, true, false},
    {"combine after send", combine, true, false},
    {"dispatch (fixed)", fixed, true, false},
    {"combine after fixed", combine, true, false},
};
enum { CALLS = sizeof calls / sizeof *calls };

/* ----------------------------------------------------------------------------------- a turn */

static void mark(const char *what, const char *name)
{
    char text[NAME + 16];
    const int length = snprintf(text, sizeof text, "%s %s", what, name);
    if (write(-1, text, (size_t)length) >= 0)
        exit(2);
}

/* A context without an engine's allocator: the plugin itself allocates. */
static void open_and_close(void)
{
    const sluice_router router = {.struct_size = sizeof router, .experts = 4, .top_k = 1};
    const sluice_layer layer = {.struct_size = sizeof layer, .router = &router};
    const sluice_layer *const layers[] = {&layer};
    const sluice_config config = {.struct_size = sizeof config, .layers = layers, .layer_count = 1};
    sluice_context *context = NULL;
    if (api->open(&config, &context, NULL, 0))
        exit(2);
    api->close(context);
}

static void make_mistake(void)
{
    const sluice_device cpu = {SLUICE_CPU, 0};
    if (strcmp(mistake, "allocate") == 0)
        open_and_close();
    if (strcmp(mistake, "engine") == 0)
        engine_free(NULL, engine_alloc(NULL, 24, 8, SLUICE_MEM_SCRATCH, cpu), 24,
                    SLUICE_MEM_SCRATCH, cpu);
    if (strcmp(mistake, "write") == 0 && write(STDERR_FILENO, "", 0))
        exit(2);
}

static void note(const char *name)
{
    snprintf(lines[line_count++], sizeof lines[0], "%s: %lld %ld", name,
             (long long)cf_allocations(), atomic_load(&engine_calls));
}

static bool waits(int32_t number)
{
    bool maps = calls[number].call == remap || calls[number].call == route;
    return calls[number].exchanges || (maps && strcmp(mistake, "now") == 0);
}

/* ROUNDS calls between two marks. No warm-up at this T: the first call counts too. */
static void turn(struct rank *me, int32_t number, int32_t tokens)
{
    char name[NAME], size[NAME / 2] = "";
    sluice_status status = SLUICE_OK;
    if (!calls[number].once)
        snprintf(size, sizeof size, ", T = %d", tokens);
    /* "waits": the calls that may wait for another rank. */
    snprintf(name, sizeof name, "%s%s, %d rank%s%s", calls[number].name, size, ranks,
             ranks > 1 ? "s" : "", ranks > 1 && waits(number) ? ", waits" : "");
    pthread_barrier_wait(&together);
    if (me->number == 0) {
        (void)cf_allocations_watch();
        atomic_store(&engine_calls, 0);
    }
    pthread_barrier_wait(&together);
    mark("begin", name);
    for (int32_t i = 0; i < ROUNDS && !status; i++)
        status = calls[number].call(me);
    make_mistake();
    mark("end", name);
    pthread_barrier_wait(&together);
    if (me->number == 0)
        note(name);
    if (!kit_status(api, me->context, status, SLUICE_OK, name))
        exit(1);
}

static void shape(struct rank *me, int32_t tokens)
{
    kit_f32(&me->logits_t, me->logits, tokens, EXPERTS);
    kit_i32(&me->ids_t, me->ids, tokens, TOP_K);
    kit_f32(&me->weights_t, me->weights, tokens, TOP_K);
    kit_i32(&me->slots_t, me->slots, tokens, COLUMNS);
    kit_f32(&me->slot_weights_t, me->slot_weights, tokens, COLUMNS);
    kit_i32(&me->recorder_t, me->recorder, tokens, TOP_K);
    kit_f32(&me->x_t, me->x, tokens, HIDDEN);
    kit_f32(&me->out_t, me->out, tokens, HIDDEN);
}

static void *run(void *argument)
{
    struct rank *me = argument;
    shape(me, 1);
    for (int32_t c = 0; c < CALLS; c++)
        if (!kit_status(api, me->context, calls[c].call(me), SLUICE_OK, calls[c].name))
            exit(1);
    for (int32_t i = 0; i < SIZES; i++) {
        shape(me, sizes[i]);
        for (int32_t c = 0; c < CALLS; c++)
            if (i == 0 || !calls[c].once)
                turn(me, c, sizes[i]);
    }
    return NULL;
}

/* -------------------------------------------------------------------------------- the engine */

static void make_arrays(struct rank *me)
{
    const size_t tokens = MOST_TOKENS;
    const int32_t local = EXPERTS / ranks + SHARED;
    me->logits = kit_zeros(tokens * EXPERTS, sizeof *me->logits);
    me->ids = kit_zeros(tokens * TOP_K, sizeof *me->ids);
    me->weights = kit_zeros(tokens * TOP_K, sizeof *me->weights);
    me->slots = kit_zeros(tokens * COLUMNS, sizeof *me->slots);
    me->slot_weights = kit_zeros(tokens * COLUMNS, sizeof *me->slot_weights);
    me->recorder = kit_zeros(tokens * TOP_K, sizeof *me->recorder);
    me->x = kit_zeros(tokens * HIDDEN, sizeof *me->x);
    me->out = kit_zeros(tokens * HIDDEN, sizeof *me->out);
    me->rows = kit_zeros((size_t)me->most_rows * HIDDEN, sizeof *me->rows);
    for (uint64_t i = 0; i < tokens * EXPERTS; i++)
        me->logits[i] = 2 * kit_noise((uint64_t)me->number, i);
    me->payloads[0] = &me->x_t.tensor;
    me->outputs[0] = kit_f32(&me->rows_t, me->rows, me->most_rows, HIDDEN);
    me->param = (sluice_param){.struct_size = sizeof me->param,
                               .name = "w",
                               .tensor = kit_f32(&me->param_t, me->rows, local, HIDDEN)};
    me->params[0] = &me->param;
}

static void balance(struct rank *me, int32_t mode)
{
    const sluice_balance_api *balance_api = kit_extension(api, SLUICE_EXT_BALANCE);
    const sluice_balance_config config = {.struct_size = sizeof config, .mode = mode};
    if (!kit_status(api, me->context, balance_api->configure(me->context, -1, &config), SLUICE_OK,
                    "configure"))
        exit(1);
}

static void *open_rank(void *argument)
{
    struct rank *me = argument;
    static const sluice_host host = {
        .struct_size = sizeof host, .alloc = engine_alloc, .free = engine_free};
    const sluice_router router = {.struct_size = sizeof router,
                                  .experts = EXPERTS,
                                  .top_k = TOP_K,
                                  .renorm = 1,
                                  .shared = SHARED};
    const sluice_layer layer = {.struct_size = sizeof layer, .router = &router};
    const sluice_layer *const layers[] = {&layer};
    const sluice_transport transport = {.struct_size = sizeof transport,
                                        .max_tokens = MOST_TOKENS,
                                        .fixed_tokens = MOST_TOKENS,
                                        .payload_row_bytes = HIDDEN * sizeof(float)};
    sluice_needs needs = {.struct_size = sizeof needs};
    const bool now = strcmp(mistake, "now") == 0, stale = strcmp(mistake, "stale") == 0;
    sluice_config config = {.struct_size = sizeof config,
                            .host = &host,
                            .comm = &me->comm,
                            .layers = layers,
                            .layer_count = 1,
                            .transport = &transport,
                            .needs = &needs,
                            .uses = SLUICE_USE_EXACT | SLUICE_USE_FIXED};
    char text[512] = "";
    if (now || stale) {
        config.copy_policy = SLUICE_COPY_BALANCED;
        config.shared_policy = SLUICE_SHARED_LEVEL;
        config.uses |= now ? SLUICE_USE_BALANCE_NOW : 0;
    }
    if (api->open(&config, &me->context, text, sizeof text)) {
        fprintf(stderr, "open: %s\n", text);
        exit(1);
    }
    if (now || stale)
        balance(me, now ? SLUICE_BALANCE_NOW : SLUICE_BALANCE_STALE);
    me->most_rows = needs.fixed_rows;
    make_arrays(me);
    return NULL;
}

static void close_rank(struct rank *me)
{
    void *const arrays[] = {me->logits,   me->ids, me->weights, me->slots, me->slot_weights,
                            me->recorder, me->x,   me->out,     me->rows};
    api->close(me->context);
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
        free(arrays[i]);
}

/* `work` on every rank at once. */
static void each_rank(struct rank *all, void *(*work)(void *))
{
    pthread_t threads[MOST_RANKS];
    for (int32_t r = 0; r < ranks; r++)
        if (pthread_create(&threads[r], NULL, work, &all[r])) {
            fprintf(stderr, "no thread\n");
            exit(2);
        }
    for (int32_t r = 0; r < ranks; r++)
        pthread_join(threads[r], NULL);
}

int main(int argc, char **argv)
{
    static struct rank all[MOST_RANKS];
    ranks = argc > 2 ? (int32_t)strtol(argv[2], NULL, 10) : 0;
    mistake = argc > 3 ? argv[3] : "";
    if (ranks < 1 || ranks > MOST_RANKS) {
        fprintf(stderr, "usage: hot_loop PLUGIN.so RANKS (1 or 2)\n");
        return 2;
    }
    api = kit_plugin(2, argv);
    route_api = kit_extension(api, SLUICE_EXT_ROUTE);
    group = sluice_comm_threads_create(ranks, NULL);
    pthread_barrier_init(&together, NULL, (unsigned)ranks);
    for (int32_t r = 0; r < ranks; r++) {
        all[r].number = r;
        sluice_comm_threads_get(group, r, &all[r].comm);
    }
    each_rank(all, open_rank);
    each_rank(all, run);
    for (int32_t r = 0; r < ranks; r++)
        close_rank(&all[r]);
    sluice_comm_threads_destroy(group);
    pthread_barrier_destroy(&together);
    for (int32_t i = 0; i < line_count; i++)
        puts(lines[i]);
    return 0;
}
