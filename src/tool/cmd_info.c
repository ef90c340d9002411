/* `sluice info`: what a plugin is, and whether it can run here. */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "../../abi/ext/device.h"
#include "../../abi/ext/load.h"
#include "../../abi/ext/placement.h"
#include "../../abi/ext/ranks.h"
#include "../../abi/ext/route.h"
#include "../../abi/ext/stats.h"
#include "../host/sluice_host.h"
#include "commands.h"
#include "tool_file.h"
#include "tool_json.h"
#include "tool_status.h"

static const char help[] = "sluice info [PLUGIN] [--json FILE|-]\n"
                           "What a plugin is (a path or a name; default cpu), its ABI, its\n"
                           "extensions, and whether it can run on this machine and if not why.\n";

static const char *const ids[] = {
    SLUICE_EXT_ROUTE,  SLUICE_EXT_PLACEMENT, SLUICE_EXT_LOAD, SLUICE_EXT_STATS,   SLUICE_EXT_RANKS,
    SLUICE_EXT_DEVICE, "sluice.balance/1",   "sluice.plan/1", "sluice.migrate/1", "sluice.eplb/1"};
enum { IDS = sizeof ids / sizeof *ids };

/* Asks what a small layer would need; a plugin that cannot run here says why. */
static sluice_status ask(const sluice_api *api, char *text, size_t size)
{
    sluice_router router = {.struct_size = sizeof router, .experts = 8, .top_k = 2};
    sluice_layer layer = {.struct_size = sizeof layer, .router = &router};
    const sluice_layer *layers[] = {&layer};
    sluice_config config = {.struct_size = sizeof config,
                            .layers = layers,
                            .layer_count = 1,
                            .flags = SLUICE_OPEN_QUERY};
    return api->open(&config, NULL, text, size);
}

/* Functions that the table has: its slots behind the size that are not NULL. */
static int functions(const void *table)
{
    size_t size;
    memcpy(&size, table, sizeof size);
    int count = 0;
    for (size_t at = sizeof size; at + sizeof(void *) <= size; at += sizeof(void *)) {
        void *slot;
        memcpy(&slot, (const char *)table + at, sizeof slot);
        count += slot != NULL;
    }
    return count;
}

static void print(const sluice_plugin *plugin, sluice_status status, const char *why)
{
    const sluice_api *api = plugin->api;
    printf("%s\nbackend %s, version %s, ABI %u.%u\n", plugin->path, api->backend, api->version,
           api->abi_major, api->abi_minor);
    for (int i = 0; i < IDS; i++) {
        const void *table = sluice_host_extension(api, ids[i]);
        if (table)
            printf("  %-20s %d functions\n", ids[i], functions(table));
        else
            printf("  %-20s not served\n", ids[i]);
    }
    if (status == SLUICE_OK)
        printf("can run here\n");
    else
        printf("cannot run here: %s\n", why);
}

static int write(const char *path, const sluice_plugin *plugin, sluice_status status,
                 const char *why, char *err, size_t n)
{
    FILE *file = sl_tool_create(path, err, n);
    if (!file)
        return -1;
    struct sl_json_writer w;
    sl_jw_begin(&w, file);
    sl_jw_object(&w);
    sl_jw_key(&w, "path");
    sl_jw_string(&w, plugin->path);
    sl_jw_key(&w, "backend");
    sl_jw_string(&w, plugin->api->backend);
    sl_jw_key(&w, "version");
    sl_jw_string(&w, plugin->api->version);
    sl_jw_key(&w, "abi_major");
    sl_jw_int(&w, plugin->api->abi_major);
    sl_jw_key(&w, "abi_minor");
    sl_jw_int(&w, plugin->api->abi_minor);
    sl_jw_key(&w, "extensions");
    sl_jw_object(&w);
    for (int i = 0; i < IDS; i++) {
        const void *table = sluice_host_extension(plugin->api, ids[i]);
        if (!table)
            continue;
        sl_jw_key(&w, ids[i]);
        sl_jw_int(&w, functions(table));
    }
    sl_jw_close(&w);
    sl_jw_key(&w, "can_run");
    sl_jw_bool(&w, status == SLUICE_OK);
    sl_jw_key(&w, "why_not");
    sl_jw_string(&w, status == SLUICE_OK ? "" : why);
    sl_jw_close(&w);
    return sl_tool_close(file, path, err, n);
}

static int fail(const char *line)
{
    (void)fprintf(stderr, "sluice info: %s\n", line);
    return 2;
}

int sl_cmd_info(int argc, char **argv)
{
    static const struct option options[] = {{"help", no_argument, NULL, 'h'},
                                            {"json", required_argument, NULL, 'j'},
                                            {NULL, 0, NULL, 0}};
    const char *json = NULL;
    char line[SLUICE_HOST_LINE], text[512] = "";
    opterr = 0;
    for (int found; (found = getopt_long(argc, argv, ":h", options, NULL)) != -1;) {
        if (found == 'h') {
            fputs(help, stdout);
            return 0;
        }
        if (found != 'j') {
            (void)snprintf(line, sizeof line, "%s is no option, or needs a value",
                           argv[optind - 1]);
            return fail(line);
        }
        json = optarg;
    }
    if (argc - optind > 1)
        return fail("takes one plugin");
    sluice_plugin plugin;
    if (sluice_host_load(optind < argc ? argv[optind] : NULL, &plugin, line, sizeof line))
        return fail(line);
    sluice_status status = ask(plugin.api, text, sizeof text);
    const char *why = sl_status_text(text, status);
    if (json && write(json, &plugin, status, why, line, sizeof line))
        return fail(line);
    if (!json || strcmp(json, "-") != 0)
        print(&plugin, status, why);
    return 0;
}
