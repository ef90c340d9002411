/* SPDX-License-Identifier: Apache-2.0 */
/* cuGetProcAddress: the newest function of a name that is not newer than the version asked for. */
#include <string.h>

#include "drv_api.h"

struct entry {
    const char *name;
    int version;
    void (*function)(void);
};

#define ENTRY(name_, symbol_, version_, params_) {#name_, version_, (void (*)(void))(symbol_)},
static const struct entry table[] = {DRV_FUNCTIONS(ENTRY)};
#undef ENTRY

int cuGetProcAddress_v2(const char *name, void **function, int version, uint64_t flags, int *status)
{
    const struct entry *best = NULL;
    bool known = false;
    int have = 0;
    (void)cuDriverGetVersion(&have);
    (void)flags;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        const struct entry *e = &table[i];
        if (strcmp(e->name, name) != 0)
            continue;
        known = true;
        if (e->version <= version && e->version <= have && (!best || e->version >= best->version))
            best = e;
    }
    *function = NULL;
    if (best)
        memcpy(function, &best->function, sizeof *function);
    if (status)
        *status = best ? 0 : known ? 2 : 1; /* too old a version, no such symbol */
    return best ? DRV_OK : DRV_NOT_FOUND;
}

int cuGetProcAddress(const char *name, void **function, int version, uint64_t flags)
{
    return cuGetProcAddress_v2(name, function, version, flags, NULL);
}
