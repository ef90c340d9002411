/* The loader: what it finds, what it refuses, and that it says why in one line. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ct.h"
#include "src/host/sluice_host.h"

/* A file beside the plugin under test. */
static const char *beside(const char *name)
{
    const char *path = ct_plugin_path();
    const char *slash = strrchr(path, '/');
    size_t folder = slash ? (size_t)(slash - path) : 0;
    char *full = ct_alloc(folder + strlen(name) + 3);
    (void)snprintf(full, folder + strlen(name) + 3, "%.*s/%s", folder ? (int)folder : 1,
                   folder ? path : ".", name);
    return full;
}

static void expect(const char *name, sluice_status want, const char *part)
{
    sluice_plugin plugin;
    char line[SLUICE_HOST_LINE];
    ct_eq_i64(sluice_host_load(name, &plugin, line, sizeof line), want);
    ct_str_has(line, part);
    ct_true(strchr(line, '\n') == NULL);
    ct_true((plugin.api != NULL) == (want == SLUICE_OK));
}

CT(host, refuses_wrong_major, "a table of another major is refused")
{
    expect(beside("plugins/fake_wrong_major.so"), SLUICE_UNSUPPORTED, "its table says ABI 2");
    expect(beside("plugins/fake_other_major.so"), SLUICE_UNSUPPORTED, "does not serve ABI 1");
}

CT(host, refuses_short_table, "a table that ends early is refused with both sizes")
{
    expect(beside("plugins/fake_short_table.so"), SLUICE_UNSUPPORTED, "bytes, ABI 1 needs");
}

CT(host, refuses_missing_function, "a table without a function is refused and the function named")
{
    expect(beside("plugins/fake_no_combine.so"), SLUICE_UNSUPPORTED, "its table has no combine");
}

CT(host, refuses_other_objects, "what is no plugin is refused")
{
    expect(beside("plugins/fake_no_symbol.so"), SLUICE_UNSUPPORTED, "not a Sluice plugin");
    expect(beside("plugins"), SLUICE_UNAVAILABLE, "plugins");
    expect("/nowhere/libsluice_cpu.so", SLUICE_UNAVAILABLE, "/nowhere");
    expect("nowhere", SLUICE_UNAVAILABLE, "libsluice_nowhere.so is not in");
    expect("", SLUICE_INVALID, "0 characters");
    expect(__FILE__, SLUICE_UNAVAILABLE, "");
}

CT(host, takes_later_minor, "a table of a later minor loads, and the line says what it is")
{
    expect(beside("plugins/fake_whole.so"), SLUICE_OK, "backend fake 0, ABI 1.3");
}

CT(host, loads_twice, "loading the plugin twice gives the same table")
{
    sluice_plugin first, again;
    ct_eq_i64(sluice_host_load(ct_plugin_path(), &first, NULL, 0), SLUICE_OK);
    ct_eq_i64(sluice_host_load(ct_plugin_path(), &again, NULL, 0), SLUICE_OK);
    ct_true(first.api == again.api);
    ct_str_eq(first.api->backend, "cpu");
    ct_true(sluice_host_extension(first.api, "sluice.route/1") != NULL);
    ct_true(sluice_host_extension(first.api, "nobody.nothing/1") == NULL);
}

CT(host, searches_path_variable, "a name is looked for in SLUICE_PLUGIN_PATH, in order")
{
    char path[1200];
    (void)snprintf(path, sizeof path, "/nowhere:%s", beside("plugins"));
    setenv("SLUICE_PLUGIN_PATH", path, 1);
    expect("fake_whole.so", SLUICE_OK, "backend fake");
    unsetenv("SLUICE_PLUGIN_PATH");
    expect("fake_whole.so", SLUICE_UNAVAILABLE, "is not in SLUICE_PLUGIN_PATH");
}

CT(host, takes_first_of_list, "SLUICE_PLUGIN's list is tried in order and the line has it all")
{
    char list[1200];
    (void)snprintf(list, sizeof list, "nowhere,%s,%s", beside("plugins/fake_no_combine.so"),
                   beside("plugins/fake_whole.so"));
    setenv("SLUICE_PLUGIN", list, 1);
    expect(NULL, SLUICE_OK, "has no combine; ");
    setenv("SLUICE_PLUGIN", "nowhere", 1);
    expect(NULL, SLUICE_UNAVAILABLE, "libsluice_nowhere.so");
    unsetenv("SLUICE_PLUGIN");
}

CT(host, cuts_a_long_line, "a short buffer gets a whole, ended text")
{
    sluice_plugin plugin;
    char line[12];
    memset(line, 'x', sizeof line);
    ct_eq_i64(sluice_host_load("nowhere", &plugin, line, sizeof line), SLUICE_UNAVAILABLE);
    ct_eq_i64((int64_t)strlen(line), 11);
}

CT(host, checks_a_table, "an engine that opens the library itself can have its table checked")
{
    char line[200];
    ct_eq_i64(sluice_host_check(sluice_plugin_get(1), line, sizeof line), SLUICE_OK);
    sluice_api spoiled = *sluice_plugin_get(1);
    spoiled.remap = NULL;
    ct_eq_i64(sluice_host_check(&spoiled, line, sizeof line), SLUICE_UNSUPPORTED);
    ct_str_has(line, "no remap");
    ct_eq_i64(sluice_host_check(NULL, line, sizeof line), SLUICE_UNSUPPORTED);
}
