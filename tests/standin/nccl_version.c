/* SPDX-License-Identifier: Apache-2.0 */
/* STANDIN_NCCL_VERSION: an older version, of which dlsym finds no function that came later: when
 * the library is loaded, their entries in its own table of symbols are made undefined. */
#define _GNU_SOURCE 1 /* dladdr */
#include <dlfcn.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "nccl_comm.h"

extern ElfW(Dyn) _DYNAMIC[] __attribute__((visibility("hidden")));

struct entry {
    const char *name;
    long since;
};

#define ENTRY(gives_, name_, version_, params_) {#name_, version_},
static const struct entry entries[] = {NCCL_FUNCTIONS(ENTRY)};

static long version_wanted(void)
{
    const char *wanted = getenv("STANDIN_NCCL_VERSION");
    return wanted ? strtol(wanted, NULL, 10) : STANDIN_NCCL_VERSION;
}

ncclResult_t ncclGetVersion(int *version)
{
    if (!version)
        return nccl_error(ncclInvalidArgument, "no place for the version");
    *version = (int)version_wanted();
    return ncclSuccess;
}

static bool too_new(const char *name)
{
    for (size_t i = 0; i < sizeof entries / sizeof *entries; i++)
        if (strcmp(entries[i].name, name) == 0)
            return entries[i].since > version_wanted();
    return false;
}

/* An entry of the dynamic section, as an address; the loader has added the base already. */
static void *part(ElfW(Sxword) tag)
{
    void *at = NULL;
    for (const ElfW(Dyn) *d = _DYNAMIC; d->d_tag != DT_NULL; d++)
        if (d->d_tag == tag)
            memcpy(&at, &d->d_un.d_ptr, sizeof at);
    return at;
}

static void allow_writes(ElfW(Sym) * first, size_t count, int protection)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), from = (uintptr_t)first / page * page;
    void *at;
    memcpy(&at, &from, sizeof at);
    if (mprotect(at, (uintptr_t)(first + count) - from, protection) != 0)
        abort();
}

/* The table of symbols is as long as the hash table's chain; mk/standin.mk asks for DT_HASH. */
__attribute__((constructor)) static void hide(void)
{
    ElfW(Sym) *symbols = part(DT_SYMTAB);
    const char *names = part(DT_STRTAB);
    const uint32_t *hash = part(DT_HASH);
    if (version_wanted() >= STANDIN_NCCL_VERSION || !symbols || !names || !hash)
        return;
    allow_writes(symbols, hash[1], PROT_READ | PROT_WRITE);
    for (uint32_t i = 0; i < hash[1]; i++)
        if (symbols[i].st_shndx != SHN_UNDEF && too_new(names + symbols[i].st_name)) {
            symbols[i].st_shndx = SHN_UNDEF;
            symbols[i].st_value = 0;
        }
    allow_writes(symbols, hash[1], PROT_READ);
}
