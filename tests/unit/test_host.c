/* The loader: what it finds, what it refuses, and that it says why in one line. */
#define _XOPEN_SOURCE 700 /* realpath */
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "abi/ext/device.h"
#include "ct.h"
#include "ct_sluice.h"
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

/* A new folder where a file of tests/plugins is called libsluice_cpu.so; its name into folder. */
static bool disguise(const char *plugin, char folder[PATH_MAX])
{
    char target[PATH_MAX], file[PATH_MAX + 20];
    (void)snprintf(folder, PATH_MAX, "/tmp/test_host.XXXXXX");
    if (!realpath(beside(plugin), target) || !mkdtemp(folder))
        return false;
    (void)snprintf(file, sizeof file, "%s/libsluice_cpu.so", folder);
    return symlink(target, file) == 0;
}

static void undo(const char *folder)
{
    char file[PATH_MAX + 20];
    (void)snprintf(file, sizeof file, "%s/libsluice_cpu.so", folder);
    unlink(file);
    rmdir(folder);
}

CT(host, path_variable_comes_first,
   "SLUICE_PLUGIN_PATH is searched before the own folder, and what it has decides")
{
    char whole[PATH_MAX], spoiled[PATH_MAX], list[2 * PATH_MAX + 2];
    ct_true(disguise("plugins/fake_whole.so", whole));
    ct_true(disguise("plugins/fake_no_combine.so", spoiled));
    expect("cpu", SLUICE_OK, "backend cpu"); /* the own folder's */
    setenv("SLUICE_PLUGIN_PATH", "/nowhere", 1);
    expect("cpu", SLUICE_OK, "backend cpu");
    (void)snprintf(list, sizeof list, "%s:%s", whole, spoiled);
    setenv("SLUICE_PLUGIN_PATH", list, 1);
    expect("cpu", SLUICE_OK, "backend fake");
    expect(NULL, SLUICE_OK, "backend fake");
    (void)snprintf(list, sizeof list, "%s:%s", spoiled, whole);
    setenv("SLUICE_PLUGIN_PATH", list, 1);
    expect("cpu", SLUICE_UNSUPPORTED, "has no combine");
    unsetenv("SLUICE_PLUGIN_PATH");
    undo(whole);
    undo(spoiled);
}

CT(host, list_stops_at_the_first, "of SLUICE_PLUGIN's names the first that loads is taken")
{
    char list[1200];
    (void)snprintf(list, sizeof list, "%s,cpu", beside("plugins/fake_whole.so"));
    setenv("SLUICE_PLUGIN", list, 1);
    expect(NULL, SLUICE_OK, "backend fake");
    (void)snprintf(list, sizeof list, "nowhere,cpu,%s", beside("plugins/fake_whole.so"));
    setenv("SLUICE_PLUGIN", list, 1);
    expect(NULL, SLUICE_OK, "; /");
    expect(NULL, SLUICE_OK, "backend cpu");
    expect(beside("plugins/fake_whole.so"), SLUICE_OK, "backend fake"); /* a name goes before */
    setenv("SLUICE_PLUGIN", "", 1);
    expect(NULL, SLUICE_OK, "backend cpu");
    setenv("SLUICE_PLUGIN", ",cpu", 1);
    expect(NULL, SLUICE_OK, "0 characters; ");
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

static bool copy_file(const char *from, const char *to)
{
    FILE *in = fopen(from, "rb"), *out = fopen(to, "wb");
    char block[65536];
    bool whole = in && out;
    for (size_t n; whole && (n = fread(block, 1, sizeof block, in)) > 0;)
        whole = fwrite(block, 1, n, out) == n;
    if (in)
        (void)fclose(in);
    if (out && fclose(out) != 0)
        whole = false;
    return whole;
}

/* A model of this many experts on one plugin. */
struct served {
    const sluice_api *api;
    sluice_context *context;
    int32_t experts;
};

static bool serve(struct served *served, const sluice_api *api, int32_t experts)
{
    const sluice_router router = {
        .struct_size = sizeof router, .experts = experts, .top_k = 2, .renorm = 1};
    sluice_config config = ct_config(&router, 1, 0, 1);
    char text[256] = "";
    *served = (struct served){.api = api, .experts = experts};
    if (api->open(&config, &served->context, text, sizeof text) == SLUICE_OK)
        return true;
    ct_record(__FILE__, __LINE__, text);
    return false;
}

/* The two greatest logits are those of the last two experts. */
static void expect_choice(const struct served *served)
{
    float logits[16], weights[2];
    int32_t ids[2] = {-9, -9};
    for (int32_t e = 0; e < served->experts; e++)
        logits[e] = (float)e;
    const sluice_topk_args args = {.struct_size = sizeof args,
                                   .logits = ct_tensor(logits, CT_F32, 1, served->experts),
                                   .ids = ct_tensor(ids, CT_I32, 1, 2),
                                   .weights = ct_tensor(weights, CT_F32, 1, 2)};
    ct_eq_i64(served->api->topk(served->context, &args), SLUICE_OK);
    ct_eq_i64(ids[0], served->experts - 1);
    ct_eq_i64(ids[1], served->experts - 2);
}

CT(host, serves_two_copies, "two files of one plugin are two plugins, that serve side by side")
{
    char name[64];
    (void)snprintf(name, sizeof name, "libsluice_copy_%ld.so", (long)getpid());
    const char *path = beside(name);
    ct_true(copy_file(ct_plugin_path(), path));
    sluice_plugin first, copy;
    char line[SLUICE_HOST_LINE];
    sluice_status status = sluice_host_load(path, &copy, line, sizeof line);
    (void)unlink(path);
    ct_note("%s", line);
    ct_eq_i64(status, SLUICE_OK);
    ct_eq_i64(sluice_host_load(ct_plugin_path(), &first, line, sizeof line), SLUICE_OK);
    ct_true(first.api != copy.api && first.api != ct_api() && copy.api != ct_api());

    struct served a, b;
    ct_true(serve(&a, first.api, 8));
    ct_true(serve(&b, copy.api, 16));
    expect_choice(&a);
    expect_choice(&b);
    /* An error of one is not the other's; each may take its own code path. */
    const sluice_topk_args nothing = {.struct_size = sizeof nothing};
    ct_eq_i64(b.api->topk(b.context, &nothing), SLUICE_INVALID);
    ct_eq_i64(a.api->last_error(a.context, line, sizeof line), 0);
    const sluice_device_api *device = copy.api->extension(SLUICE_EXT_DEVICE);
    ct_eq_i64(device->use_path("portable"), SLUICE_OK);
    copy.api->close(b.context);
    ct_true(serve(&b, copy.api, 12));
    expect_choice(&b);
    first.api->close(a.context);
    expect_choice(&b);
    ct_true(serve(&a, first.api, 6));
    expect_choice(&a);
    first.api->close(a.context);
    copy.api->close(b.context);
}

CT(host, keeps_plugins_apart, "a plugin of another kind beside the first leaves it as it is")
{
    sluice_plugin cpu, fake;
    struct served served;
    sluice_context *none = NULL;
    ct_eq_i64(sluice_host_load(ct_plugin_path(), &cpu, NULL, 0), SLUICE_OK);
    ct_true(serve(&served, cpu.api, 8));
    ct_eq_i64(sluice_host_load(beside("plugins/fake_whole.so"), &fake, NULL, 0), SLUICE_OK);
    ct_true(fake.api != cpu.api);
    ct_str_eq(fake.api->backend, "fake");
    ct_str_eq(cpu.api->backend, "cpu");
    expect_choice(&served);
    const sluice_config config = {.struct_size = sizeof config};
    ct_eq_i64(fake.api->open(&config, &none, NULL, 0), SLUICE_UNAVAILABLE);
    expect_choice(&served);
    ct_true(fake.api->extension("sluice.route/1") == NULL);
    ct_true(cpu.api->extension("sluice.route/1") != NULL);
    cpu.api->close(served.context);
}

CT(host, checks_every_member, "whichever pointer of a table is missing, it is named")
{
    static const struct {
        const char *name;
        size_t offset;
    } members[] = {{"backend name", offsetof(sluice_api, backend)},
                   {"version", offsetof(sluice_api, version)},
                   {"open", offsetof(sluice_api, open)},
                   {"close", offsetof(sluice_api, close)},
                   {"last_error", offsetof(sluice_api, last_error)},
                   {"topk", offsetof(sluice_api, topk)},
                   {"remap", offsetof(sluice_api, remap)},
                   {"record", offsetof(sluice_api, record)},
                   {"get_moe_weights", offsetof(sluice_api, get_moe_weights)},
                   {"dispatch", offsetof(sluice_api, dispatch)},
                   {"combine", offsetof(sluice_api, combine)},
                   {"extension", offsetof(sluice_api, extension)}};
    enum { MEMBERS = sizeof members / sizeof *members };
    /* All of them: the table is these pointers and the numbers before them. */
    ct_eq_u64(offsetof(sluice_api, backend) + MEMBERS * sizeof(void *), sizeof(sluice_api));
    for (int i = 0; i < MEMBERS; i++) {
        char line[200], want[60];
        sluice_api spoiled = *sluice_plugin_get(1);
        memset((char *)&spoiled + members[i].offset, 0, sizeof(void *));
        (void)snprintf(want, sizeof want, "its table has no %s", members[i].name);
        ct_eq_i64(sluice_host_check(&spoiled, line, sizeof line), SLUICE_UNSUPPORTED);
        ct_str_eq(line, want);
        ct_eq_i64(sluice_host_check(&spoiled, NULL, 0), SLUICE_UNSUPPORTED);
    }
}
