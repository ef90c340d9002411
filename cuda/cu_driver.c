/* SPDX-License-Identifier: Apache-2.0 */
#include "cu_driver.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "../src/backend/bk_fork.h"

static const char LIBRARY[] = "libcuda.so.1";

/* What opening the driver came to; written once. */
static struct {
    struct slcu_driver table;
    int ready;
    const unsigned char *fork_page; /* zero in a child, where a driver cannot be used any more */
    char why[256];
} opened;

/* Either form of the one entry point that is looked up by name. */
typedef slcu_result get_v2(const char *name, void **function, int version, uint64_t flags,
                           unsigned int *status);
typedef slcu_result get_v1(const char *name, void **function, int version, uint64_t flags);

struct lookup {
    get_v2 *second;
    get_v1 *first;
};

static struct lookup find_lookup(void *library)
{
    struct lookup lookup = {NULL, NULL};
    void *found = dlsym(library, "cuGetProcAddress_v2");
    memcpy(&lookup.second, &found, sizeof found);
    found = dlsym(library, "cuGetProcAddress");
    memcpy(&lookup.first, &found, sizeof found);
    return lookup;
}

/* Fills in one slot of the table; `slot` is a function pointer of any type. */
static int fill(const struct lookup *lookup, const char *name, int version, void *slot)
{
    void *function = NULL;
    unsigned int status = 0;
    slcu_result error = lookup->second ? lookup->second(name, &function, version, 0, &status)
                                       : lookup->first(name, &function, version, 0);
    if (error || !function) {
        (void)snprintf(opened.why, sizeof opened.why,
                       "%s has no %s of version %d (error %u): the driver is too old", LIBRARY,
                       name, version, error);
        return 0;
    }
    memcpy(slot, &function, sizeof function);
    return 1;
}

static void open_driver(void)
{
    opened.fork_page = sl_fork_page();
    if (!opened.fork_page) {
        (void)snprintf(opened.why, sizeof opened.why, "no memory to open %s", LIBRARY);
        return;
    }
    void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        const char *why = dlerror(); /* NOLINT(concurrency-mt-unsafe): under pthread_once */
        (void)snprintf(opened.why, sizeof opened.why, "no CUDA driver: %s",
                       why ? why : "libcuda.so.1 cannot be opened");
        return;
    }
    struct lookup lookup = find_lookup(library);
    if (!lookup.first && !lookup.second) {
        (void)snprintf(opened.why, sizeof opened.why,
                       "%s has no cuGetProcAddress: the driver is older than CUDA 11.3", LIBRARY);
        return;
    }
#define FILL(name_, version_, params_)                                                             \
    if (!fill(&lookup, "cu" #name_, version_, &opened.table.name_))                                \
        return;
    SLCU_FUNCTIONS(FILL)
#undef FILL
    slcu_result error = opened.table.Init(0);
    if (error) {
        (void)snprintf(opened.why, sizeof opened.why, "cuInit failed: %s",
                       slc_error_name(&opened.table, error));
        return;
    }
    opened.ready = 1;
}

const struct slcu_driver *slc_driver(char *text, size_t text_size)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, open_driver);
    bool forked = opened.fork_page && *opened.fork_page == 0;
    if (opened.ready && !forked)
        return &opened.table;
    if (text && text_size)
        (void)snprintf(text, text_size, "%s",
                       forked ? "CUDA was in use before fork: a child cannot use it" : opened.why);
    return NULL;
}

const char *slc_error_name(const struct slcu_driver *driver, slcu_result error)
{
    const char *name = NULL;
    if (driver->GetErrorName(error, &name) || !name)
        return "an error without a name";
    return name;
}
