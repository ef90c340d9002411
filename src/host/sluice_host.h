/* SPDX-License-Identifier: Apache-2.0
 *
 * The loader: finds, opens and checks a Sluice plugin. Two files that an engine links or copies;
 * they need plugin.h in the include path, and dlopen.
 *
 *     sluice_plugin plugin;
 *     char line[SLUICE_HOST_LINE];
 *     if (sluice_host_load("cpu", &plugin, line, sizeof line) != SLUICE_OK) { log(line); ... }
 *     plugin.api->open(...)
 */
#ifndef SLUICE_HOST_H
#define SLUICE_HOST_H

#include "plugin.h"

#if defined(__cplusplus)
extern "C" {
#endif

#define SLUICE_HOST_LINE 1024 /* room for the line; longer ones are cut */

typedef struct sluice_plugin {
    const sluice_api *api;
    void *library; /* never closed: a plugin may have threads that still run */
    char path[512];
} sluice_plugin;

/* Loads a plugin. `name` is a path (with a slash), a file name, or a short name: "cpu" stands for
 * libsluice_cpu.so. NULL: the names in the environment's SLUICE_PLUGIN (a comma list, the first
 * that loads is taken), else "cpu". A name without a slash is looked for in the folders of
 * SLUICE_PLUGIN_PATH (a colon list), beside the program or library that holds this code, in
 * ../lib/sluice from there, and in SLUICE_PLUGIN_DIR (at compile time, /usr/local/lib/sluice).
 * Neither variable is read in a set-uid process. Opened with RTLD_NOW | RTLD_LOCAL.
 *
 * Refused before anything in it is called: another ABI major, a table shorter than this header's,
 * a missing function. `text` gets one line: what was chosen, its backend, version, ABI and path; or
 * why nothing was. UNAVAILABLE: not found or not loadable; UNSUPPORTED: found, but refused. Prints
 * nothing. */
sluice_status sluice_host_load(const char *name, sluice_plugin *plugin, char *text,
                               size_t text_size);

/* Is a table that the caller has already fit for use? For engines that open the library themselves.
 * UNSUPPORTED and the reason in `text` if not. */
sluice_status sluice_host_check(const sluice_api *api, char *text, size_t text_size);

/* An extension's table, or NULL where the plugin has none of that id. */
const void *sluice_host_extension(const sluice_api *api, const char *id);

#if defined(__cplusplus)
}
#endif
#endif
