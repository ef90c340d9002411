/* SPDX-License-Identifier: Apache-2.0 */
#include "cu_nccl.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

static const char LIBRARY[] = "libnccl.so.2";

static struct {
    struct slc_nccl table;
    bool ready;
    char why[256];
} opened; /* written once */

bool slc_nccl_of(struct slc_nccl *nccl, void *(*symbol)(void *user, const char *name), void *user,
                 char *text, size_t text_size)
{
    void *found;
    memset(nccl, 0, sizeof *nccl);
#define FILL(name_, params_)                                                                       \
    found = symbol(user, "nccl" #name_);                                                           \
    memcpy(&nccl->name_, &found, sizeof found);
    SLNC_FUNCTIONS(FILL)
#undef FILL
#define FILL(name_, gives_, params_)                                                               \
    found = symbol(user, "nccl" #name_);                                                           \
    memcpy(&nccl->name_, &found, sizeof found);
    SLNC_OPTIONAL(FILL)
#undef FILL
    if (nccl->GetVersion)
        (void)nccl->GetVersion(&nccl->version);
#define CHECK(name_, params_)                                                                      \
    if (!nccl->name_) {                                                                            \
        if (text && text_size)                                                                     \
            (void)snprintf(text, text_size,                                                        \
                           "NCCL of version %d has no nccl" #name_ ": must be at least 2.14",      \
                           nccl->version);                                                         \
        return false;                                                                              \
    }
    SLNC_FUNCTIONS(CHECK)
#undef CHECK
    return true;
}

static void *of_library(void *library, const char *name)
{
    return dlsym(library, name);
}

static void open_library(void)
{
    void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
    if (library) {
        opened.ready =
            slc_nccl_of(&opened.table, of_library, library, opened.why, sizeof opened.why);
        return;
    }
    const char *why = dlerror(); /* NOLINT(concurrency-mt-unsafe): under pthread_once */
    (void)snprintf(opened.why, sizeof opened.why, "no NCCL: %s",
                   why ? why : "libnccl.so.2 cannot be opened");
}

bool slc_nccl(struct slc_nccl *nccl, char *text, size_t text_size)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, open_library);
    if (opened.ready)
        *nccl = opened.table;
    else if (text && text_size)
        (void)snprintf(text, text_size, "%s", opened.why);
    return opened.ready;
}

const char *slc_nccl_error(const struct slc_nccl *nccl, slnc_comm comm, slnc_result result)
{
    const char *text = nccl->GetLastError ? nccl->GetLastError(comm) : NULL;
    if ((!text || !*text) && nccl->GetErrorString)
        text = nccl->GetErrorString(result);
    return text && *text ? text : "an error without a text";
}
