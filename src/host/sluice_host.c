/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE 1 /* dladdr */
#include "sluice_host.h"

#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef SLUICE_PLUGIN_DIR
#define SLUICE_PLUGIN_DIR "/usr/local/lib/sluice"
#endif

enum { PATH_ROOM = 512 };

/* The line that is being written. */
struct line {
    char *text;
    size_t size, used;
};

static void say(struct line *line, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void say(struct line *line, const char *format, ...)
{
    if (!line->text || line->used + 1 >= line->size)
        return;
    va_list values;
    va_start(values, format);
    int n = vsnprintf(line->text + line->used, line->size - line->used, format, values);
    va_end(values);
    if (n > 0)
        line->used += (size_t)n;
    if (line->used >= line->size)
        line->used = line->size - 1;
}

static sluice_status check(const sluice_api *api, struct line *line)
{
    static const struct {
        const char *name;
        size_t offset;
    } functions[] = {
#define FUNCTION(name) {#name, offsetof(sluice_api, name)}
        FUNCTION(open),    FUNCTION(close),     FUNCTION(last_error),      FUNCTION(topk),
        FUNCTION(remap),   FUNCTION(record),    FUNCTION(get_moe_weights), FUNCTION(dispatch),
        FUNCTION(combine), FUNCTION(extension),
#undef FUNCTION
    };
    if (api->abi_major != SLUICE_ABI_MAJOR) {
        say(line, "its table says ABI %u, this engine needs %d", api->abi_major, SLUICE_ABI_MAJOR);
        return SLUICE_UNSUPPORTED;
    }
    if (api->size < sizeof *api) {
        say(line, "its table has %llu bytes, ABI %d needs %zu", (unsigned long long)api->size,
            SLUICE_ABI_MAJOR, sizeof *api);
        return SLUICE_UNSUPPORTED;
    }
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        void (*function)(void);
        memcpy(&function, (const char *)api + functions[i].offset, sizeof function);
        if (!function) {
            say(line, "its table has no %s", functions[i].name);
            return SLUICE_UNSUPPORTED;
        }
    }
    if (!api->backend || !api->version) {
        say(line, "its table has no %s", api->backend ? "version" : "backend name");
        return SLUICE_UNSUPPORTED;
    }
    return SLUICE_OK;
}

sluice_status sluice_host_check(const sluice_api *api, char *text, size_t text_size)
{
    struct line line = {text, text_size, 0};
    if (text && text_size)
        text[0] = 0;
    if (!api) {
        say(&line, "there is no table");
        return SLUICE_UNSUPPORTED;
    }
    return check(api, &line);
}

/* Whether `count` records of `size` bytes at `at` lie within the file. */
static bool within(uint64_t at, uint64_t count, uint64_t size, uint64_t file)
{
    return at <= file && (size == 0 || count <= (file - at) / size);
}

static bool whole_object(int fd, uint64_t file)
{
    Elf64_Ehdr head;
    Elf64_Phdr part;
    if (pread(fd, &head, sizeof head, 0) != (ssize_t)sizeof head)
        return true;
    /* What is no object of this kind, dlopen refuses itself. */
    if (memcmp(head.e_ident, ELFMAG, SELFMAG) != 0 || head.e_ident[EI_CLASS] != ELFCLASS64 ||
        head.e_phentsize != sizeof part)
        return true;
    if (!within(head.e_phoff, head.e_phnum, head.e_phentsize, file) ||
        !within(head.e_shoff, head.e_shnum, head.e_shentsize, file))
        return false;
    for (uint64_t i = 0; i < head.e_phnum; i++) {
        uint64_t at = head.e_phoff + i * sizeof part;
        if (pread(fd, &part, sizeof part, (off_t)at) != (ssize_t)sizeof part ||
            !within(part.p_offset, 1, part.p_filesz, file))
            return false;
    }
    return true;
}

/* False, and said, for an object whose file ends before its parts do: dlopen would map it, and the
 * first touch of what is missing kills the process. What cannot be read is left to dlopen. */
static bool is_whole(const char *path, struct line *line)
{
    struct stat about;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return true;
    bool whole = fstat(fd, &about) != 0 || !S_ISREG(about.st_mode) ||
                 whole_object(fd, (uint64_t)about.st_size);
    (void)close(fd);
    if (!whole)
        say(line, "%s: ends after %lld bytes, before its parts do", path, (long long)about.st_size);
    return whole;
}

/* Opens one file. */
static sluice_status open_file(const char *path, sluice_plugin *plugin, struct line *line)
{
    if (!is_whole(path, line))
        return SLUICE_UNAVAILABLE;
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        const char *why = dlerror();
        say(line, "%s", why ? why : path);
        return SLUICE_UNAVAILABLE;
    }
    const sluice_api *(*get)(uint32_t) = NULL;
    void *symbol = dlsym(library, SLUICE_ENTRY);
    memcpy(&get, &symbol, sizeof get);
    say(line, "%s: ", path);
    if (!get) {
        say(line, "not a Sluice plugin, it has no %s", SLUICE_ENTRY);
        return SLUICE_UNSUPPORTED;
    }
    const sluice_api *api = get(SLUICE_ABI_MAJOR);
    if (!api) {
        say(line, "does not serve ABI %d", SLUICE_ABI_MAJOR);
        return SLUICE_UNSUPPORTED;
    }
    sluice_status status = check(api, line);
    if (status)
        return status;
    plugin->api = api;
    plugin->library = library;
    (void)snprintf(plugin->path, sizeof plugin->path, "%s", path);
    say(line, "backend %s %s, ABI %u.%u", api->backend, api->version, api->abi_major,
        api->abi_minor);
    return SLUICE_OK;
}

static const char *variable(const char *name)
{
    return getauxval(AT_SECURE) ? NULL : getenv(name);
}

/* The folder of the file that holds this code. The dynamic linker calls the program what its caller
 * called it (argv[0]), so that the program's own path comes from the kernel. */
static void own_folder(char *folder, size_t size)
{
    Dl_info own, program;
    sluice_status (*self)(const char *, sluice_plugin *, char *, size_t) = sluice_host_load;
    unsigned long entry = getauxval(AT_ENTRY);
    void *address, *start;
    memcpy(&address, &self, sizeof address);
    memcpy(&start, &entry, sizeof start);
    folder[0] = 0;
    if (!dladdr(address, &own) || !own.dli_fname)
        return;
    char path[PATH_ROOM];
    if (dladdr(start, &program) && program.dli_fbase == own.dli_fbase) {
        ssize_t n = readlink("/proc/self/exe", path, sizeof path);
        if (n < 0 || (size_t)n >= sizeof path)
            return;
        path[n] = 0;
    } else if ((size_t)snprintf(path, sizeof path, "%s", own.dli_fname) >= sizeof path)
        return;
    char *slash = strrchr(path, '/');
    if (slash) {
        *slash = 0;
        (void)snprintf(folder, size, "%s", path);
    }
}

/* Tries folder/file; UNAVAILABLE with nothing said when it is not there. */
static sluice_status try_folder(const char *folder, size_t length, const char *file,
                                sluice_plugin *plugin, struct line *line)
{
    char path[PATH_ROOM];
    if (length == 0)
        return SLUICE_UNAVAILABLE;
    int n = snprintf(path, sizeof path, "%.*s/%s", (int)length, folder, file);
    if (n < 0 || (size_t)n >= sizeof path || access(path, F_OK) != 0)
        return SLUICE_UNAVAILABLE;
    return open_file(path, plugin, line);
}

/* Looks for a file name in every folder; the first that has it decides. */
static sluice_status search(const char *file, sluice_plugin *plugin, struct line *line)
{
    const char *list = variable("SLUICE_PLUGIN_PATH");
    size_t before = line->used;
    while (list && *list) {
        size_t length = strcspn(list, ":");
        sluice_status status = try_folder(list, length, file, plugin, line);
        if (status == SLUICE_OK || line->used != before)
            return status;
        list += length + (list[length] == ':');
    }
    char own[PATH_ROOM];
    own_folder(own, sizeof own);
    char installed[PATH_ROOM + sizeof "/../lib/sluice"] = "";
    if (own[0])
        (void)snprintf(installed, sizeof installed, "%s/../lib/sluice", own);
    const char *const folders[] = {own, installed, SLUICE_PLUGIN_DIR};
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        sluice_status status = try_folder(folders[i], strlen(folders[i]), file, plugin, line);
        if (status == SLUICE_OK || line->used != before)
            return status;
    }
    say(line, "%s is not in SLUICE_PLUGIN_PATH, %s, its ../lib/sluice or %s", file,
        own[0] ? own : "this folder", SLUICE_PLUGIN_DIR);
    return SLUICE_UNAVAILABLE;
}

static sluice_status load_one(const char *name, size_t length, sluice_plugin *plugin,
                              struct line *line)
{
    char file[PATH_ROOM];
    bool path = memchr(name, '/', length) != NULL;
    bool whole = path || (length > 3 && memcmp(name + length - 3, ".so", 3) == 0);
    int n = snprintf(file, sizeof file, whole ? "%.*s" : "libsluice_%.*s.so", (int)length, name);
    if (n < 0 || (size_t)n >= sizeof file || length == 0) {
        say(line, "the plugin's name has %zu characters", length);
        return SLUICE_INVALID;
    }
    return path ? open_file(file, plugin, line) : search(file, plugin, line);
}

static sluice_status load(const char *name, sluice_plugin *plugin, struct line *line)
{
    if (name)
        return load_one(name, strlen(name), plugin, line);
    const char *list = variable("SLUICE_PLUGIN");
    if (!list || !*list)
        list = "cpu";
    sluice_status status = SLUICE_UNAVAILABLE;
    while (*list) {
        size_t length = strcspn(list, ",");
        status = load_one(list, length, plugin, line);
        if (status == SLUICE_OK)
            break;
        list += length + (list[length] == ',');
        if (*list)
            say(line, "; ");
    }
    return status;
}

sluice_status sluice_host_load(const char *name, sluice_plugin *plugin, char *text,
                               size_t text_size)
{
    char written[SLUICE_HOST_LINE] = "";
    struct line line = {written, sizeof written, 0};
    memset(plugin, 0, sizeof *plugin);
    say(&line, "sluice: ");
    sluice_status status = load(name, plugin, &line);
    if (text && text_size)
        (void)snprintf(text, text_size, "%s", written);
    return status;
}

const void *sluice_host_extension(const sluice_api *api, const char *id)
{
    return api && api->extension ? api->extension(id) : NULL;
}
