/* SPDX-License-Identifier: Apache-2.0
 * The plugin under test, its extensions, and the checks. */
#include <dlfcn.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "conform.h"

const sluice_api *cf_api;
const sluice_device_api *cf_memory;
static sluice_device first_device = {SLUICE_CPU, 0};
static int32_t device_count = 1;
static _Thread_local int32_t ordinal;
const char *cf_plugin_path;

void cf_load(const char *path)
{
    cf_plugin_path = path;
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    CHECK(library, "%s does not load: %s", path, dlerror());
    const sluice_api *(*get)(uint32_t) = NULL;
    void *symbol = dlsym(library, SLUICE_ENTRY);
    CHECK(symbol, "%s has no symbol %s", path, SLUICE_ENTRY);
    memcpy(&get, &symbol, sizeof get); /* a cast from void * to a function is not ISO C */
    cf_api = get(SLUICE_ABI_MAJOR);
    CHECK(cf_api, "%s does not serve ABI %d", path, SLUICE_ABI_MAJOR);
    CHECK(cf_api->backend, "the table has no backend name");
    if (!cf_api->extension || strcmp(cf_api->backend, "cpu") == 0)
        return;
    const sluice_device_api *memory = cf_api->extension(SLUICE_EXT_DEVICE);
    int32_t count = 0;
    char text[200] = "";
    if (!memory || memory->struct_size < sizeof *memory)
        return;
    if (memory->count(&count, &first_device, text, sizeof text) || count == 0)
        cf_skip("no device: %s", text);
    cf_memory = memory;
    device_count = count;
    cf_allocations_of(cf_api);
}

const char *cf_status_name(sluice_status status)
{
    static const char *const NAMES[] = {"OK",        "INVALID",   "UNSUPPORTED", "UNAVAILABLE",
                                        "NO_MEMORY", "PEER_LOST", "MISMATCH",    "OVERFLOW",
                                        "BUSY",      "STALE",     "FENCED",      "NOT_CAPTURABLE",
                                        "NOT_READY", "CANCELLED", "DEVICE",      "INTERNAL"};
    return status >= 0 && status < (int32_t)(sizeof NAMES / sizeof *NAMES) ? NAMES[status]
                                                                           : "no status";
}

void cf_check_eq(const char *file, int line, int64_t got, int64_t want, const char *format, ...)
{
    if (got == want)
        return;
    char what[300];
    va_list values;
    va_start(values, format);
    (void)vsnprintf(what, sizeof what, format, values);
    va_end(values);
    cf_fail(file, line, "%s: got %lld, want %lld", what, (long long)got, (long long)want);
}

void cf_check_near(const char *file, int line, double got, double want, const char *format, ...)
{
    double room = 3e-6 * fmax(fabs(want), 1e-30);
    if (fabs(got - want) <= room)
        return;
    char what[300];
    va_list values;
    va_start(values, format);
    (void)vsnprintf(what, sizeof what, format, values);
    va_end(values);
    cf_fail(file, line, "%s: got %.9g, want %.9g", what, got, want);
}

void cf_expect_text(const char *file, int line, const char *text, sluice_status status,
                    sluice_status want, const char *const *words)
{
    if (status != want)
        cf_fail(file, line, "got %s, want %s; text: %.200s", cf_status_name(status),
                cf_status_name(want), text);
    for (; *words; words++)
        if (!strstr(text, *words))
            cf_fail(file, line, "%s, but the text has no \"%s\": \"%.200s\"",
                    cf_status_name(status), *words, text);
}

void cf_expect(const char *file, int line, const sluice_context *context, sluice_status status,
               sluice_status want, const char *const *words)
{
    char text[512] = "";
    if (context && (status != want || *words))
        (void)cf_api->last_error(context, text, sizeof text);
    cf_expect_text(file, line, text, status, want, words);
}

/* An extension whose every function the suite needs; the case is not run where it is missing. */
static const void *extension(const char *id, size_t size)
{
    const void *table = cf_api->extension(id);
    if (!table)
        cf_skip("the plugin has no %s", id);
    size_t has;
    memcpy(&has, table, sizeof has);
    CHECK(has >= size, "%s is %zu bytes: its first release has %zu", id, has, size);
    return table;
}

const sluice_route_api *cf_route(void)
{
    return extension(SLUICE_EXT_ROUTE, sizeof(sluice_route_api));
}

const sluice_load_api *cf_load_api(void)
{
    return extension(SLUICE_EXT_LOAD, sizeof(sluice_load_api));
}

const sluice_placement_api *cf_placement(void)
{
    return extension(SLUICE_EXT_PLACEMENT, sizeof(sluice_placement_api));
}

const sluice_ranks_api *cf_ranks(void)
{
    return extension(SLUICE_EXT_RANKS, sizeof(sluice_ranks_api));
}

const sluice_stats_api *cf_stats(void)
{
    return extension(SLUICE_EXT_STATS, sizeof(sluice_stats_api));
}

sluice_device cf_device(void)
{
    return (sluice_device){first_device.type, first_device.id + ordinal};
}

void cf_use_device(int32_t rank)
{
    if (cf_memory && rank >= device_count)
        cf_skip("there are %d devices: rank %d has none of its own", device_count, rank);
    ordinal = cf_memory ? rank : 0;
}
