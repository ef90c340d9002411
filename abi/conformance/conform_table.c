/* SPDX-License-Identifier: Apache-2.0
 * The entry point, the table and the extensions' tables. */
#include <dlfcn.h>
#include <string.h>

#include "../ext/balance.h"
#include "../ext/plan.h"
#include "conform.h"

/* Loading is done by the frame, before any case. */
static void loads(const void *what)
{
    (void)what;
}

static void table_is_whole(const void *what)
{
    (void)what;
    CHECK_EQ(cf_api->abi_major, SLUICE_ABI_MAJOR, "abi_major");
    CHECK_EQ(cf_api->size, sizeof(sluice_api), "size of the table, which is frozen");
    CHECK(cf_api->backend[0], "the backend has an empty name");
    CHECK(cf_api->version && cf_api->version[0], "the table has no version");
    CHECK(cf_api->open && cf_api->close && cf_api->last_error, "open, close or last_error is NULL");
    CHECK(cf_api->topk && cf_api->remap && cf_api->record && cf_api->get_moe_weights &&
              cf_api->dispatch && cf_api->combine,
          "one of the six operations is NULL");
    CHECK(cf_api->extension, "extension is NULL");
}

static const sluice_api *get(void *library, uint32_t major)
{
    const sluice_api *(*entry)(uint32_t) = NULL;
    void *symbol = dlsym(library, SLUICE_ENTRY);
    memcpy(&entry, &symbol, sizeof entry);
    return entry(major);
}

static void other_majors(const void *what)
{
    (void)what;
    void *library = dlopen(cf_plugin_path, RTLD_NOW | RTLD_LOCAL);
    CHECK(library, "the plugin does not load twice: %s", dlerror());
    CHECK(get(library, SLUICE_ABI_MAJOR) == cf_api, "a second load gave another table");
    CHECK(!get(library, 0), "major 0 is served");
    CHECK(!get(library, SLUICE_ABI_MAJOR + 1), "major %d is served", SLUICE_ABI_MAJOR + 1);
    CHECK(!get(library, UINT32_MAX), "major 2^32 - 1 is served");
}

static void unknown_extension(const void *what)
{
    (void)what;
    CHECK(!cf_api->extension("sluice.route/99"), "revision 99 of sluice.route is there");
    CHECK(!cf_api->extension("sluice.route"), "an id without a revision is there");
    CHECK(!cf_api->extension("sluice.route/10"), "an id that only begins like one is there");
    CHECK(!cf_api->extension(""), "the empty id is there");
    CHECK(!cf_api->extension(NULL), "the NULL id is there");
}

static void extension_sizes(const void *what)
{
    (void)what;
    static const struct {
        const char *id;
        size_t least;
    } IDS[] = {{SLUICE_EXT_ROUTE, sizeof(sluice_route_api)},
               {SLUICE_EXT_LOAD, sizeof(sluice_load_api)},
               {SLUICE_EXT_PLACEMENT, sizeof(sluice_placement_api)},
               {SLUICE_EXT_RANKS, sizeof(sluice_ranks_api)},
               {SLUICE_EXT_STATS, sizeof(sluice_stats_api)},
               {SLUICE_EXT_DEVICE, sizeof(sluice_device_api)},
               {SLUICE_EXT_BALANCE, sizeof(sluice_balance_api)},

               {SLUICE_EXT_PLAN, sizeof(sluice_plan_api)}};
    for (size_t i = 0; i < sizeof IDS / sizeof *IDS; i++) {
        const void *table = cf_api->extension(IDS[i].id);
        if (!table)
            continue;
        size_t size;
        memcpy(&size, table, sizeof size);
        CHECK(size >= IDS[i].least, "%s has %zu bytes, want at least %zu", IDS[i].id, size,
              IDS[i].least);
        CHECK(cf_api->extension(IDS[i].id) == table, "%s is not the same table twice", IDS[i].id);
    }
}

static void close_null(const void *what)
{
    (void)what;
    cf_api->close(NULL);
}

static void open_close(const void *what)
{
    (void)what;
    sluice_context *context = cf_open_simple(8, 2, 1);
    char text[8] = "x";
    CHECK_EQ(cf_api->last_error(context, text, sizeof text), 0, "length of last_error after open");
    cf_api->close(context);
}

static const struct cf_case CASES[] = {
    {"table.loads", "the plugin loads with RTLD_NOW and RTLD_LOCAL and serves this ABI", loads,
     NULL},
    {"table.whole", "the table has its version, its size, its names and every function",
     table_is_whole, NULL},
    {"table.majors", "the entry point gives NULL for a major it does not serve", other_majors,
     NULL},
    {"table.unknown_extension", "an unknown extension id gives NULL", unknown_extension, NULL},
    {"table.extension_sizes", "every extension's table has at least its first release's size",
     extension_sizes, NULL},
    {"table.close_null", "close takes NULL", close_null, NULL},
    {"table.open_close", "a context opens, has no error and closes", open_close, NULL},
};
CF_LIST(cf_table_cases, CASES);
