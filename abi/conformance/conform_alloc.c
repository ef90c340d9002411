/* SPDX-License-Identifier: Apache-2.0
 * The process's malloc and its kin, counted. A plugin loaded with RTLD_LOCAL still binds to the
 * executable's, so an allocation in a call that must make none is seen, and who made it. */
#define _GNU_SOURCE 1 /* dladdr */
#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "conform.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || !defined(__GLIBC__)
#define SEEN 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SEEN 0
#endif
#endif
#ifndef SEEN
#define SEEN 1
#endif

static atomic_int_least64_t calls, all;

/* Calls from the addresses [first, last) count. Written before anything is watched. */
static uintptr_t first, last = UINTPTR_MAX;

/* data: the library's first address. */
static int find_end(struct dl_phdr_info *info, size_t size, void *data)
{
    (void)size;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[i];
        uintptr_t begin = info->dlpi_addr + part->p_vaddr;
        if (part->p_type != PT_LOAD || info->dlpi_addr != (uintptr_t)data)
            continue;
        first = begin < first ? begin : first;
        last = begin + part->p_memsz > last ? begin + part->p_memsz : last;
    }
    return 0;
}

void cf_allocations_of(const void *inside)
{
    Dl_info library;
    if (!dladdr(inside, &library))
        return;
    first = UINTPTR_MAX;
    last = 0;
    (void)dl_iterate_phdr(find_end, library.dli_fbase);
}

bool cf_allocations_watch(void)
{
    int64_t before = atomic_load(&all);
    void *volatile probe = malloc(1);
    free(probe);
    bool seen = SEEN && atomic_load(&all) >= before + 2;
    atomic_store(&calls, 0);
    return seen;
}

int64_t cf_allocations(void)
{
    return atomic_exchange(&calls, 0);
}

#if SEEN

void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *data, size_t bytes);
void *__libc_memalign(size_t align, size_t bytes);
void __libc_free(void *data);

/* NOLINTBEGIN(readability-inconsistent-declaration-parameter-name): the library's are reserved */
#define OPEN __attribute__((visibility("default")))
#define COUNT() note_call((uintptr_t)__builtin_return_address(0))

static void note_call(uintptr_t from)
{
    atomic_fetch_add(&all, 1);
    if (from >= first && from < last)
        atomic_fetch_add(&calls, 1);
}

OPEN void *malloc(size_t bytes)
{
    COUNT();
    return __libc_malloc(bytes);
}

OPEN void *calloc(size_t count, size_t bytes)
{
    COUNT();
    return __libc_calloc(count, bytes);
}

OPEN void *realloc(void *data, size_t bytes)
{
    COUNT();
    return __libc_realloc(data, bytes);
}

OPEN void *aligned_alloc(size_t align, size_t bytes)
{
    COUNT();
    return __libc_memalign(align, bytes);
}

OPEN int posix_memalign(void **data, size_t align, size_t bytes)
{
    COUNT();
    *data = __libc_memalign(align, bytes);
    return *data ? 0 : ENOMEM;
}

OPEN void free(void *data)
{
    if (data)
        COUNT();
    __libc_free(data);
}
/* NOLINTEND(readability-inconsistent-declaration-parameter-name) */

#endif
