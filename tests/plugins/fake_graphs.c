/* The plugin beside this folder, with graphs: between capture_begin and capture_end route is kept
 * and not run; a launch runs what was kept. For the code of hosts that only a device with graphs
 * would reach. */
#define _GNU_SOURCE 1 /* dladdr */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "abi/ext/device.h"
#include "abi/ext/route.h"

enum { TENSORS = 17, MOST = 8 };

/* One captured call. The tensors are read at capture; their data at each launch. */
struct kept {
    sluice_context *context;
    sluice_route_args args;
    sluice_tensor tensors[TENSORS];
};
struct graph {
    struct kept calls[MOST];
    int count;
};

static const sluice_api *real;
static const sluice_route_api *real_route;
static sluice_api table;
static sluice_device_api device;
static struct graph *capturing;

static sluice_status keep_route(sluice_context *context, const sluice_route_args *args)
{
    if (!capturing || !context || !args)
        return real_route->route(context, args);
    if (args->stream != capturing || capturing->count == MOST)
        return SLUICE_INVALID;
    struct kept *kept = &capturing->calls[capturing->count++];
    const sluice_tensor **given = &kept->args.logits;
    kept->context = context;
    kept->args = *args;
    for (int i = 0; i < TENSORS; i++)
        if (given[i]) {
            kept->tensors[i] = *given[i];
            given[i] = &kept->tensors[i];
        }
    return SLUICE_OK;
}

static sluice_status stream(sluice_device where, void **made)
{
    (void)where;
    *made = calloc(1, sizeof(struct graph));
    return *made ? SLUICE_OK : SLUICE_NO_MEMORY;
}

static void release(sluice_device where, void *made)
{
    (void)where;
    free(made);
}

static sluice_status capture_begin(sluice_device where, void *on)
{
    (void)where;
    if (!on || capturing)
        return SLUICE_INVALID;
    capturing = on;
    capturing->count = 0;
    return SLUICE_OK;
}

static sluice_status capture_end(sluice_device where, void *on, void **made)
{
    struct graph *graph;
    if (!on || on != capturing || stream(where, made) != SLUICE_OK)
        return SLUICE_INVALID;
    graph = *made;
    *graph = *capturing;
    for (int c = 0; c < graph->count; c++) {
        const sluice_tensor **given = &graph->calls[c].args.logits;
        for (int i = 0; i < TENSORS; i++)
            given[i] = given[i] ? &graph->calls[c].tensors[i] : NULL;
    }
    capturing = NULL;
    return SLUICE_OK;
}

static sluice_status graph_launch(sluice_device where, void *made, void *on)
{
    const struct graph *graph = made;
    sluice_status status = graph && on ? SLUICE_OK : SLUICE_INVALID;
    (void)where;
    for (int i = 0; !status && i < graph->count; i++)
        status = real_route->route(graph->calls[i].context, &graph->calls[i].args);
    return status;
}

static const void *extension(const char *id)
{
    static sluice_route_api route;
    route = (sluice_route_api){.struct_size = sizeof route, .route = keep_route};
    if (id && strcmp(id, SLUICE_EXT_ROUTE) == 0)
        return &route;
    return id && strcmp(id, SLUICE_EXT_DEVICE) == 0 ? (const void *)&device : real->extension(id);
}

/* The plugin in the folder above the one of this file. */
static const sluice_api *open_real(uint32_t major)
{
    Dl_info own;
    char path[1024];
    if (!dladdr((const void *)&real, &own))
        return NULL;
    const char *slash = strrchr(own.dli_fname, '/');
    (void)snprintf(path, sizeof path, "%.*s/../libsluice_cpu.so",
                   slash ? (int)(slash - own.dli_fname) : 1, slash ? own.dli_fname : ".");
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    void *found = library ? dlsym(library, SLUICE_ENTRY) : NULL;
    const sluice_api *(*get)(uint32_t);
    memcpy(&get, &found, sizeof get);
    return found ? get(major) : NULL;
}

__attribute__((visibility("default"))) const sluice_api *sluice_plugin_get(uint32_t major)
{
    real = open_real(major);
    if (!real)
        return NULL;
    real_route = real->extension(SLUICE_EXT_ROUTE);
    device = *(const sluice_device_api *)real->extension(SLUICE_EXT_DEVICE);
    device.stream = stream;
    device.stream_free = release;
    device.capture_begin = capture_begin;
    device.capture_end = capture_end;
    device.graph_launch = graph_launch;
    device.graph_free = release;
    table = *real;
    table.backend = "graphs";
    table.extension = extension;
    return &table;
}
