/* SPDX-License-Identifier: Apache-2.0
 * A device plugin on a driver that fails (tests/standin): seeded schedules of calls in which one
 * allocation, launch, copy or load of the kernels fails, at once or late.
 *     cuda_faults DEVICE.so SCHEDULES [SEED]
 * Each schedule is a process of its own with a deadline. It holds the plugin to this:
 *   - before the failure every call succeeds;
 *   - the call in which the driver failed gives a status other than OK, and a text that names the
 *     driver's error, or the memory that was missing;
 *   - a failure at once changed nothing: the same call again succeeds, and counters are those of
 *     the calls that succeeded;
 *   - a late one is told by the next call that waits, and by each call from then on that reaches
 *     the device;
 *   - the context closes, and nothing hangs. */
#include <dlfcn.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../abi/ext/device.h"
#include "../../abi/ext/load.h"
#include "../../abi/ext/placement.h"
#include "../../abi/ext/ranks.h"
#include "../../abi/ext/route.h"
#include "../standin/standin.h"

enum { EXPERTS = 16, TOP_K = 4, ROWS = 8, LAYERS = 2, SLOTS = 5, RANKS = 4, PHYSICAL = 20 };
enum { DEADLINE = 30, STEPS = 14 };

static uint64_t state;

static uint64_t next(void)
{
    uint64_t z = state += 0x9E3779B97F4A7C15U; /* splitmix64 */
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
    return z ^ (z >> 31);
}

static int32_t below(int32_t n)
{
    return (int32_t)(next() % (uint64_t)n);
}

static struct {
    void (*fail)(enum standin_event event, uint64_t nth, int error);
    uint64_t (*failed)(void);
    int64_t (*held)(void);
} driver;

static const sluice_api *api;
static const sluice_device_api *memory;
static const sluice_load_api *loads;
static const sluice_placement_api *placement;
static const sluice_ranks_api *ranks_api;
static const sluice_route_api *routes;
static sluice_device device;
static sluice_context *context;
static enum standin_event event;
static bool told; /* a late failure was told once */
static char history[4000];

__attribute__((format(printf, 1, 2))) static void note(const char *format, ...)
{
    size_t n = strlen(history);
    va_list args;
    va_start(args, format);
    (void)vsnprintf(history + n, sizeof history - n, format, args);
    va_end(args);
}

__attribute__((format(printf, 1, 2))) static _Noreturn void wrong(const char *format, ...)
{
    char text[700];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    printf("%s\n  %s\n", text, history);
    (void)fflush(stdout);
    _exit(1);
}

/* ------------------------------------------------------------------------------------ one call */

/* What stands in for the arguments of all kinds of calls. */
struct step {
    const char *name;
    sluice_status (*run)(const struct step *step);
    bool waits;    /* for the device */
    bool on_host;  /* never reaches the device */
    bool no_text;  /* of sluice.device/1: there is no context whose text it could be */
    int32_t layer; /* and what else it needs */
    void *data;
};

static bool is_named(const char *text)
{
    return strstr(text, "CUDA_ERROR_") || strstr(text, "no memory");
}

static void judge_text(const struct step *step, sluice_status status)
{
    char text[512] = "";
    if (step->no_text)
        return;
    (void)api->last_error(context, text, sizeof text);
    note(" (%s)", text);
    if (!is_named(text))
        wrong("%s gives %d, and a text that names no error: %s", step->name, status, text);
}

/* Runs a step until it succeeds; false once the context is lost. */
static bool take(const struct step *step)
{
    for (int tries = 0;; tries++) {
        uint64_t before = driver.failed();
        sluice_status status = step->run(step);
        bool fired = driver.failed() != before, late = event == STANDIN_LATE;
        note("%s%s %s layer %d: %d", history[0] ? "; " : "", fired ? "[fails]" : "", step->name,
             step->layer, status);
        if (status)
            judge_text(step, status);
        if (late && driver.failed()) {
            /* Whoever waits knows; nobody who reaches the device is told otherwise again. */
            if (status == SLUICE_OK && (step->waits || told) && !step->on_host)
                wrong("%s succeeds on a device that failed", step->name);
            told = told || status != SLUICE_OK;
            return true;
        }
        if (!fired && status)
            wrong("%s fails without a failure of the driver: %d", step->name, status);
        if (fired && !status)
            wrong("%s succeeds though the driver failed", step->name);
        if (!fired)
            return true;
        if (tries)
            wrong("%s fails twice", step->name);
    }
}

/* --------------------------------------------------------------------------------------- calls */

struct box {
    sluice_tensor t;
    int64_t shape[2], strides[2];
    size_t bytes;
};

enum { LOGITS, IDS, WEIGHTS, DISPATCH_IDS, DISPATCH_WEIGHTS, RECORDER_IDS, BOXES };
static struct box boxes[BOXES];
static float logits[ROWS * EXPERTS];
static int64_t expected[LAYERS]; /* of physical counters */
static int64_t counted[LAYERS];  /* of logical ones */

static sluice_status alloc_box(const struct step *step)
{
    struct box *box = step->data;
    return memory->alloc(device, box->bytes, &box->t.data);
}

static sluice_status upload(const struct step *step)
{
    (void)step;
    return memory->copy(device, boxes[LOGITS].t.data, logits, sizeof logits, NULL);
}

static sluice_status wait_all(const struct step *step)
{
    (void)step;
    return memory->wait(device, NULL);
}

static sluice_status topk(const struct step *step)
{
    const sluice_topk_args args = {.struct_size = sizeof args,
                                   .layer = step->layer,
                                   .logits = &boxes[LOGITS].t,
                                   .ids = &boxes[IDS].t,
                                   .weights = &boxes[WEIGHTS].t};
    return api->topk(context, &args);
}

static sluice_status remap(const struct step *step)
{
    const sluice_remap_args args = {.struct_size = sizeof args,
                                    .layer = step->layer,
                                    .ids = &boxes[IDS].t,
                                    .weights = &boxes[WEIGHTS].t,
                                    .dispatch_ids = &boxes[DISPATCH_IDS].t,
                                    .dispatch_weights = &boxes[DISPATCH_WEIGHTS].t,
                                    .recorder_ids = &boxes[RECORDER_IDS].t};
    return api->remap(context, &args);
}

static sluice_status record(const struct step *step)
{
    const sluice_record_args args = {
        .struct_size = sizeof args, .layer = step->layer, .recorder_ids = &boxes[RECORDER_IDS].t};
    sluice_status status = api->record(context, &args);
    if (!status) {
        expected[step->layer] += ROWS * TOP_K;
        counted[step->layer] += ROWS * TOP_K;
    }
    return status;
}

static sluice_status route(const struct step *step)
{
    const sluice_route_args args = {.struct_size = sizeof args,
                                    .layer = step->layer,
                                    .logits = &boxes[LOGITS].t,
                                    .dispatch_ids = &boxes[DISPATCH_IDS].t,
                                    .dispatch_weights = &boxes[DISPATCH_WEIGHTS].t,
                                    .recorder_ids = &boxes[RECORDER_IDS].t};
    sluice_status status = routes->route(context, &args);
    if (!status) {
        expected[step->layer] += ROWS * TOP_K;
        counted[step->layer] += ROWS * TOP_K;
    }
    return status;
}

static sluice_status snapshot(const struct step *step)
{
    static int64_t counts[LAYERS * PHYSICAL];
    sluice_status status = loads->snapshot(context, counts, PHYSICAL, NULL);
    for (int l = 0; !status && l < LAYERS; l++) {
        int64_t sum = 0;
        for (int p = 0; p < PHYSICAL; p++)
            sum += counts[l * PHYSICAL + p];
        if (sum != expected[l] && !(event == STANDIN_LATE && driver.failed()))
            wrong("%s: layer %d counted %lld of %lld", step->name, l, (long long)sum,
                  (long long)expected[l]);
    }
    return status;
}

static sluice_status read_logical(const struct step *step)
{
    int64_t counts[EXPERTS], sum = 0;
    sluice_status status = loads->read_logical(context, step->layer, counts, EXPERTS, NULL);
    for (int e = 0; !status && e < EXPERTS; e++)
        sum += counts[e];
    if (!status && sum != counted[step->layer] && !(event == STANDIN_LATE && driver.failed()))
        wrong("%s: layer %d counted %lld of %lld by expert", step->name, step->layer,
              (long long)sum, (long long)counted[step->layer]);
    return status;
}

static sluice_status reset(const struct step *step)
{
    sluice_status status = loads->reset(context, step->layer, NULL);
    if (!status)
        expected[step->layer] = counted[step->layer] = 0;
    return status;
}

static sluice_status set_map(const struct step *step)
{
    int32_t map[PHYSICAL], turn = below(EXPERTS);
    for (int32_t p = 0; p < PHYSICAL; p++)
        map[p] = (p + turn) % EXPERTS;
    sluice_status status = placement->set(context, step->layer, map, PHYSICAL, 0, NULL);
    if (!status)
        expected[step->layer] = 0;
    return status;
}

static sluice_status get_map(const struct step *step)
{
    int32_t map[PHYSICAL];
    return placement->get(context, step->layer, map, PHYSICAL, NULL);
}

/* A verdict; where it fails, the last one is in force. */
static sluice_status set_alive(const struct step *step, const uint8_t *alive, int32_t living)
{
    uint8_t before[RANKS], after[RANKS];
    int64_t generation = ranks_api->generation(context);
    const sluice_comm comm = {.struct_size = sizeof comm, .size = living};
    const sluice_ranks ranks = {
        .struct_size = sizeof ranks, .generation = generation + 1, .alive = alive, .comm = &comm};
    if (ranks_api->alive(context, before, RANKS))
        wrong("%s: the mask is not told", step->name);
    sluice_status status = ranks_api->set(context, &ranks, NULL);
    if (status && (ranks_api->alive(context, after, RANKS) || memcmp(before, after, RANKS) != 0 ||
                   ranks_api->generation(context) != generation))
        wrong("%s: a verdict that failed is in force", step->name);
    return status;
}

static sluice_status set_ranks(const struct step *step)
{
    static const uint8_t FEWER[RANKS] = {1, 1, 0, 1}, ALL[RANKS] = {1, 1, 1, 1};
    sluice_status status = set_alive(step, FEWER, RANKS - 1);
    return status ? status : set_alive(step, ALL, RANKS);
}

static void *stream, *graph;

static sluice_status make_stream(const struct step *step)
{
    (void)step;
    return memory->stream(device, &stream);
}

/* A topk captured and run; what fails in between ends the capture. */
static sluice_status capture(const struct step *step)
{
    const sluice_topk_args args = {.struct_size = sizeof args,
                                   .layer = step->layer,
                                   .stream = stream,
                                   .logits = &boxes[LOGITS].t,
                                   .ids = &boxes[IDS].t,
                                   .weights = &boxes[WEIGHTS].t};
    sluice_status status = memory->wait(device, NULL);
    status = status ? status : memory->capture_begin(device, stream);
    if (status)
        return status;
    sluice_status within = api->topk(context, &args);
    status = memory->capture_end(device, stream, &graph);
    status = within ? within : status;
    if (!status)
        status = memory->graph_launch(device, graph, stream);
    if (!status)
        status = memory->wait(device, stream);
    if (graph)
        memory->graph_free(device, graph);
    graph = NULL;
    return status;
}

static const struct step STEPS_OF[] = {
    {"topk", topk, false, false, false, 0, NULL},
    {"remap", remap, false, false, false, 0, NULL},
    {"record", record, false, false, false, 0, NULL},
    {"route", route, false, false, false, 0, NULL},
    {"route", route, false, false, false, 0, NULL},
    {"load.snapshot", snapshot, true, false, false, 0, NULL},
    {"load.read_logical", read_logical, true, false, false, 0, NULL},
    {"load.reset", reset, false, false, false, 0, NULL},
    /* It waits for the tables; the counters are zeroed after. */
    {"placement.set", set_map, false, false, false, 0, NULL},
    {"placement.get", get_map, false, true, false, 0, NULL},
    {"ranks.set", set_ranks, true, false, false, 0, NULL},
    {"device.copy", upload, false, false, true, 0, NULL},
    {"device.wait", wait_all, true, false, true, 0, NULL},
    {"capture and replay", capture, true, false, true, 0, NULL},
};
enum { KINDS = sizeof STEPS_OF / sizeof *STEPS_OF };

/* ------------------------------------------------------------------------------------ schedules */

static const sluice_dtype F32 = {SLUICE_FLOAT, 32, 1}, I32 = {SLUICE_INT, 32, 1};

static void make_boxes(void)
{
    for (int i = 0; i < BOXES; i++) {
        struct box *box = &boxes[i];
        int64_t columns = i == LOGITS ? EXPERTS : TOP_K;
        *box = (struct box){.shape = {ROWS, columns}, .strides = {columns, 1}};
        box->t = (sluice_tensor){
            .device = device,
            .ndim = 2,
            .dtype = i == LOGITS || i == WEIGHTS || i == DISPATCH_WEIGHTS ? F32 : I32,
            .shape = box->shape,
            .strides = box->strides};
        box->bytes = (size_t)(ROWS * columns) * 4;
        const struct step step = {"device.alloc", alloc_box, false, false, true, 0, box};
        (void)take(&step);
    }
    for (int i = 0; i < ROWS * EXPERTS; i++)
        logits[i] = (float)below(1000) / 64;
    const struct step copy = {"device.copy", upload, false, false, true, 0, NULL};
    (void)take(&copy);
}

static sluice_status open_once(char *text, size_t room)
{
    static const sluice_router router = {
        .struct_size = sizeof router, .experts = EXPERTS, .top_k = TOP_K, .renorm = 1};
    static const sluice_layer layer = {
        .struct_size = sizeof layer, .router = &router, .slots_per_rank = SLOTS};
    static const sluice_layer *const layers[LAYERS] = {&layer, &layer};
    const sluice_comm comm = {.struct_size = sizeof comm, .size = RANKS};
    const sluice_config config = {.struct_size = sizeof config,
                                  .comm = &comm,
                                  .device = device,
                                  .layers = layers,
                                  .layer_count = LAYERS};
    return api->open(&config, &context, text, room);
}

/* Opens, again where the failure came in it. False once the device is lost. */
static bool open_it(void)
{
    char text[512] = "";
    sluice_status status = open_once(text, sizeof text);
    note("open: %d (%s)", status, text);
    if (!status && driver.failed() && event != STANDIN_LATE)
        wrong("open succeeds though the driver failed");
    if (!status)
        return true;
    if (!driver.failed() || context || !is_named(text))
        wrong("open gives %d and this text: %s", status, text);
    if (event == STANDIN_LATE)
        return false;
    if (open_once(text, sizeof text))
        wrong("open fails twice: %s", text);
    return true;
}

/* What may fail, how often it happens in a schedule, and with which errors. */
static void order(void)
{
    static const struct {
        int32_t most;
        int errors[4];
    } kinds[STANDIN_EVENTS] = {[STANDIN_ALLOC] = {12, {2, 2, 2, 719}},
                               [STANDIN_LAUNCH] = {10, {701, 719, 700, 2}},
                               [STANDIN_COPY] = {14, {719, 700, 1, 2}},
                               [STANDIN_LOAD] = {1, {209, 200, 2, 218}},
                               [STANDIN_LATE] = {24, {700, 702, 716, 719}}};
    event = (enum standin_event)below(STANDIN_EVENTS);
    uint64_t nth = 1 + (uint64_t)below(kinds[event].most);
    int error = kinds[event].errors[below(4)];
    note("event %d, number %d, error %d: ", event, (int)nth, error);
    driver.fail(event, nth, error);
}

/* What this test took itself goes back; then nobody holds anything more than `before`. */
static void give_back(int64_t before)
{
    for (int i = 0; i < BOXES; i++)
        memory->free(device, boxes[i].t.data);
    memory->stream_free(device, stream);
    if (driver.held() != before)
        wrong("%d things are held after close", (int)(driver.held() - before));
}

static void schedule(void)
{
    bool early = below(2) == 0;
    (void)memory->wait(device, NULL); /* sluice.device/1 keeps a context of each */
    int64_t before = driver.held();
    if (early)
        order();
    if (open_it()) {
        const struct step first = {"device.stream", make_stream, false, false, true, 0, NULL};
        (void)take(&first);
        make_boxes();
        /* Ids for whoever takes them. */
        struct step step = STEPS_OF[0];
        (void)take(&step);
        step = STEPS_OF[1];
        (void)take(&step);
        if (!early)
            order();
        for (int i = 0; i < STEPS; i++) {
            step = STEPS_OF[below(KINDS)];
            step.layer = below(LAYERS);
            (void)take(&step);
        }
        step = (struct step){"device.wait", wait_all, true, false, true, 0, NULL};
        (void)take(&step);
        if (event != STANDIN_LATE) {
            step = (struct step){"load.snapshot", snapshot, true, false, false, 0, NULL};
            (void)take(&step);
        }
    }
    api->close(context);
    give_back(before);
}

static void find(void *library, const char *name, void *slot)
{
    void *found = dlsym(library, name);
    if (!found)
        wrong("%s is not there: build/standin must be on LD_LIBRARY_PATH", name);
    memcpy(slot, &found, sizeof found);
}

static void prepare(const char *path)
{
    char text[256] = "";
    int32_t count = 0;
    void *standin = dlopen("libcuda.so.1", RTLD_NOW), *plugin = dlopen(path, RTLD_NOW);
    if (!standin || !plugin)
        wrong("%s", dlerror());
    find(standin, "standin_fail", &driver.fail);
    find(standin, "standin_failed", &driver.failed);
    find(standin, "standin_held", &driver.held);
    const sluice_api *(*get)(uint32_t);
    find(plugin, SLUICE_ENTRY, &get);
    api = get(SLUICE_ABI_MAJOR);
    memory = api->extension(SLUICE_EXT_DEVICE);
    loads = api->extension(SLUICE_EXT_LOAD);
    placement = api->extension(SLUICE_EXT_PLACEMENT);
    ranks_api = api->extension(SLUICE_EXT_RANKS);
    routes = api->extension(SLUICE_EXT_ROUTE);
    if (memory->count(&count, &device, text, sizeof text) || count == 0)
        wrong("no device: %s", text);
}

/* 0 where it held; it prints why where not. */
static int one(const char *path, uint64_t seed)
{
    int how;
    (void)fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        (void)alarm(DEADLINE);
        state = seed;
        prepare(path);
        schedule();
        _exit(0);
    }
    if (child < 0 || waitpid(child, &how, 0) != child)
        return 1;
    if (WIFSIGNALED(how))
        printf("%s\n", WTERMSIG(how) == SIGALRM ? "no end within the deadline" : "killed");
    return how != 0;
}

/* A machine that cannot run it: `open` says so. */
static int refused(const char *path, const char *name, const char *value, const char *words)
{
    int how;
    (void)fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        char text[512] = "";
        (void)alarm(DEADLINE);
        (void)setenv(name, value, 1);
        void *plugin = dlopen(path, RTLD_NOW);
        const sluice_api *(*get)(uint32_t);
        find(plugin, SLUICE_ENTRY, &get);
        api = get(SLUICE_ABI_MAJOR);
        device = (sluice_device){SLUICE_CUDA, 0};
        sluice_status status = open_once(text, sizeof text);
        api->close(context);
        if (status == SLUICE_OK || context || !strstr(text, words))
            wrong("%s=%s: open gives %d: %s", name, value, status, text);
        _exit(0);
    }
    return child < 0 || waitpid(child, &how, 0) != child || how != 0;
}

int main(int argc, char **argv)
{
    int failed = 0, passed = 0;
    if (argc < 3) {
        printf("cuda_faults DEVICE.so SCHEDULES [SEED]\n0 passed, 1 failed\n");
        return 1;
    }
    static const char *const machines[][3] = {{"STANDIN_DEVICES", "0", "CUDA_ERROR_NO_DEVICE"},
                                              {"STANDIN_VERSION", "11000", "too old"},
                                              {"STANDIN_SM", "70", "must be at least 8.0"},
                                              {"STANDIN_MEMORY", "100", "no memory"}};
    for (size_t i = 0; i < sizeof machines / sizeof *machines; i++) {
        int bad = refused(argv[1], machines[i][0], machines[i][1], machines[i][2]);
        failed += bad;
        passed += !bad;
    }
    uint64_t seed = argc > 3 ? strtoull(argv[3], NULL, 10) : 1;
    for (long i = 0; i < strtol(argv[2], NULL, 10); i++) {
        int bad = one(argv[1], seed + (uint64_t)i);
        if (bad)
            printf("not ok: schedule %llu\n", (unsigned long long)(seed + (uint64_t)i));
        failed += bad;
        passed += !bad;
    }
    printf("%d passed, %d failed\n", passed, failed);
    return failed != 0;
}
