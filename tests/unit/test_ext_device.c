/* sluice.device/1, and what holds for every extension. */
#include <dlfcn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "abi/ext/device.h"
#include "abi/ext/load.h"
#include "abi/ext/placement.h"
#include "abi/ext/ranks.h"
#include "abi/ext/route.h"
#include "abi/ext/stats.h"
#include "ct.h"
#include "ct_sluice.h"

static const sluice_device CPU = {SLUICE_CPU, 0};

static const sluice_device_api *api(void)
{
    return ct_api()->extension(SLUICE_EXT_DEVICE);
}

CT(device, count, "the CPU backend has one device, the CPU, and says no reason")
{
    int32_t count = 0;
    sluice_device first = {-1, -1};
    char text[16] = "unused";
    ct_eq_i64(api()->count(&count, &first, text, sizeof text), SLUICE_OK);
    ct_eq_i64(count, 1);
    ct_eq_i64(first.type, SLUICE_CPU);
    ct_eq_i64(first.id, 0);
    ct_str_eq(text, "");
    ct_eq_i64(api()->count(&count, NULL, NULL, 0), SLUICE_OK);
    ct_eq_i64(api()->count(NULL, &first, text, sizeof text), SLUICE_INVALID);
}

CT(device, memory, "memory that is copied to and back has the same bytes")
{
    char here[1000], back[1000];
    void *there = NULL, *stream = NULL;
    for (int32_t i = 0; i < 1000; i++)
        here[i] = (char)i;
    ct_eq_i64(api()->stream(CPU, &stream), SLUICE_OK);
    ct_eq_i64(api()->alloc(CPU, sizeof here, &there), SLUICE_OK);
    ct_true(there != NULL);
    ct_eq_i64(api()->copy(CPU, there, here, sizeof here, stream), SLUICE_OK);
    ct_eq_i64(api()->copy(CPU, back, there, sizeof here, stream), SLUICE_OK);
    ct_eq_i64(api()->wait(CPU, stream), SLUICE_OK);
    ct_eq_mem(back, here, sizeof here);
    ct_eq_i64(api()->copy(CPU, NULL, NULL, 0, stream), SLUICE_OK);
    ct_eq_i64(api()->copy(CPU, NULL, here, 1, stream), SLUICE_INVALID);
    ct_eq_i64(api()->copy(CPU, there, NULL, 1, stream), SLUICE_INVALID);
    api()->free(CPU, there);
    api()->free(CPU, NULL);
    api()->stream_free(CPU, stream);
    ct_eq_i64(api()->stream(CPU, NULL), SLUICE_INVALID);
}

CT(device, alloc_refuses, "another device is INVALID, and more than there is NO_MEMORY")
{
    void *data = &data;
    ct_eq_i64(api()->alloc((sluice_device){SLUICE_CUDA, 0}, 8, &data), SLUICE_INVALID);
    ct_true(data == &data);
    ct_eq_i64(api()->alloc(CPU, 8, NULL), SLUICE_INVALID);
    for (int32_t less = 0; less <= 128; less += 32) {
        data = &data;
        ct_note("%d bytes less than the most", less);
        ct_eq_i64(api()->alloc(CPU, SIZE_MAX - (size_t)less, &data), SLUICE_NO_MEMORY);
        ct_true(data == NULL);
    }
    ct_eq_i64(api()->alloc(CPU, 0, &data), SLUICE_OK);
    api()->free(CPU, data);
}

CT(device, no_graphs, "a backend without graphs leaves the four graph calls out")
{
    ct_true(!SLUICE_HAS(api(), sluice_device_api, capture_begin));
    ct_true(!SLUICE_HAS(api(), sluice_device_api, capture_end));
    ct_true(!SLUICE_HAS(api(), sluice_device_api, graph_launch));
    ct_true(!SLUICE_HAS(api(), sluice_device_api, graph_free));
    ct_true(SLUICE_HAS(api(), sluice_device_api, use_path));
}

/* --------------------------------------------------------------------------------------- paths */

enum { ROWS = 131, E = 256, K = 8, F = 1 };

struct result {
    int32_t ids[ROWS * K], slots[ROWS * (K + F)];
    float weights[ROWS * K];
};

static void choose(struct result *result)
{
    static float logits[ROWS * E], bias[E];
    ct_fill(logits, (int64_t)ROWS * E, 4.0F, 1);
    ct_fill(bias, E, 0.1F, 2);
    sluice_router router = ct_deepseek_v3();
    const sluice_config config = ct_config(&router, 1, 0, 1);
    sluice_context *context = ct_open(&config);
    ct_true(context != NULL);
    const sluice_route_api *route = ct_api()->extension(SLUICE_EXT_ROUTE);
    const sluice_route_args args = {.struct_size = sizeof args,
                                    .logits = ct_tensor(logits, CT_F32, ROWS, E),
                                    .bias = ct_tensor(bias, CT_F32, E, 0),
                                    .dispatch_ids = ct_tensor(result->slots, CT_I32, ROWS, K + F),
                                    .ids = ct_tensor(result->ids, CT_I32, ROWS, K),
                                    .weights = ct_tensor(result->weights, CT_F32, ROWS, K)};
    ct_expect_eq_i64(route->route(context, &args), SLUICE_OK);
    ct_api()->close(context);
}

CT(device, paths, "paths are those this machine can run, the portable one first, NULL at the end")
{
    const char *const *paths = api()->paths();
    ct_true(paths && paths[0]);
    ct_str_eq(paths[0], "portable");
    int32_t count = 0;
    while (paths[count])
        count++;
    ct_true(count <= 3);
    for (int32_t a = 0; a < count; a++)
        for (int32_t b = 0; b < a; b++)
            ct_true(strcmp(paths[a], paths[b]) != 0);
    ct_true(api()->paths() == paths);
}

CT(device, same_bits_on_every_path, "every path gives the same choices, slots and weights")
{
    const char *const *paths = api()->paths();
    struct result *first = ct_alloc(sizeof *first), *other = ct_alloc(sizeof *other);
    ct_expect_eq_i64(api()->use_path(NULL), SLUICE_OK);
    choose(first);
    for (int32_t i = 0; paths[i]; i++) {
        ct_note("path %s", paths[i]);
        memset(other, 0x5A, sizeof *other);
        ct_expect_eq_i64(api()->use_path(paths[i]), SLUICE_OK);
        choose(other);
        ct_expect_eq_mem(other, first, sizeof *first);
    }
    ct_expect_eq_i64(api()->use_path(NULL), SLUICE_OK);
}

CT(device, unknown_paths, "a name that is not in paths is INVALID and changes nothing")
{
    struct result *before = ct_alloc(sizeof *before), *after = ct_alloc(sizeof *after);
    static const char *const names[] = {"", "sse", "AVX2", "portable ", "avx5122"};
    choose(before);
    for (int32_t i = 0; i < 5; i++)
        ct_eq_i64(api()->use_path(names[i]), SLUICE_INVALID);
    choose(after);
    ct_eq_mem(after, before, sizeof *before);
}

/* ------------------------------------------------------------------------------ all extensions */

static const char *const SERVED[] = {SLUICE_EXT_ROUTE, SLUICE_EXT_PLACEMENT, SLUICE_EXT_LOAD,
                                     SLUICE_EXT_STATS, SLUICE_EXT_RANKS,     SLUICE_EXT_DEVICE};
enum { SERVED_COUNT = sizeof SERVED / sizeof *SERVED };

CT(extension, unknown, "an id that is not served, or is another revision, gives NULL")
{
    static const char *const strangers[] = {"",
                                            "sluice",
                                            "sluice.load",
                                            "sluice.load/",
                                            "sluice.load/2",
                                            "sluice.load/10",
                                            "sluice.load/1 ",
                                            "Sluice.load/1",
                                            "sluice.loa/1",
                                            "sluice.nothing/1"};
    for (size_t i = 0; i < sizeof strangers / sizeof *strangers; i++) {
        ct_note("%s", strangers[i]);
        ct_true(ct_api()->extension(strangers[i]) == NULL);
    }
    ct_true(ct_api()->extension(NULL) == NULL);
}

CT(extension, tables_say_their_size, "every table begins with a size that holds whole pointers")
{
    for (size_t i = 0; i < SERVED_COUNT; i++) {
        const size_t *table = ct_api()->extension(SERVED[i]);
        ct_note("%s", SERVED[i]);
        ct_true(table != NULL);
        ct_true(*table > sizeof(size_t) && *table <= 4096 && *table % sizeof(void *) == 0);
        ct_true(ct_api()->extension(SERVED[i]) == table);
    }
}

CT(extension, asked_by_value, "an id is compared by its letters, not by its address")
{
    char id[] = SLUICE_EXT_STATS;
    ct_true(ct_api()->extension(id) == ct_api()->extension(SLUICE_EXT_STATS));
}

/* One call of an extension on a context of a plugin that was asked for no other. */
static bool use_alone(const sluice_api *plugin, sluice_context *context, size_t which)
{
    const void *table = plugin->extension(SERVED[which]);
    float logits[4] = {1, 2, 3, 4};
    int32_t ids[2] = {-9, -9}, map[4];
    int64_t counts[4];
    uint8_t alive[1];
    sluice_stats stats = {.struct_size = sizeof stats};
    const sluice_route_args args = {.struct_size = sizeof args,
                                    .logits = ct_tensor(logits, CT_F32, 1, 4),
                                    .recorder_ids = ct_tensor(ids, CT_I32, 1, 2)};
    int32_t count = 0;
    switch (which) {
    case 0:
        return ((const sluice_route_api *)table)->route(context, &args) == SLUICE_OK && ids[0] == 3;
    case 1:
        return ((const sluice_placement_api *)table)->get(context, 0, map, 4, NULL) == SLUICE_OK &&
               map[3] == 3;
    case 2:
        return ((const sluice_load_api *)table)->snapshot(context, counts, 4, NULL) == SLUICE_OK &&
               counts[0] == 0;
    case 3:
        return ((const sluice_stats_api *)table)->read(context, &stats) == SLUICE_OK;
    case 4:
        return ((const sluice_ranks_api *)table)->alive(context, alive, 1) == SLUICE_OK && alive[0];
    default:
        return ((const sluice_device_api *)table)->count(&count, NULL, NULL, 0) == SLUICE_OK &&
               count == 1;
    }
}

/* In a child: a fresh copy of the plugin, so that nothing was asked of it before. */
static int run_alone(size_t which)
{
    void *so = dlopen(ct_plugin_path(), RTLD_NOW | RTLD_LOCAL);
    if (!so)
        return 2;
    const sluice_api *(*get)(uint32_t);
    void *symbol = dlsym(so, SLUICE_ENTRY);
    memcpy(&get, &symbol, sizeof get);
    const sluice_api *plugin = symbol ? get(SLUICE_ABI_MAJOR) : NULL;
    if (!plugin)
        return 3;
    sluice_router router = {.struct_size = sizeof router, .experts = 4, .top_k = 2};
    const sluice_config config = ct_config(&router, 1, 0, 1);
    sluice_context *context = NULL;
    if (plugin->open(&config, &context, NULL, 0) != SLUICE_OK)
        return 4;
    int code = use_alone(plugin, context, which) ? 0 : 5;
    plugin->close(context);
    return code;
}

CT(extension, each_alone, "every extension works in a process that asked for no other")
{
    for (size_t i = 0; i < SERVED_COUNT; i++) {
        pid_t child = fork();
        if (child == 0)
            _exit(run_alone(i));
        int state = -1;
        ct_note("%s", SERVED[i]);
        ct_eq_i64(waitpid(child, &state, 0), child);
        ct_true(WIFEXITED(state));
        ct_eq_i64(WEXITSTATUS(state), 0);
    }
}
