/* SPDX-License-Identifier: Apache-2.0
 * The process's malloc and its kin, counted. A plugin loaded with RTLD_LOCAL still binds to the
 * executable's, so an allocation in a call that must make none is seen. */
#include <errno.h>
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

static atomic_int_least64_t calls;

void cf_allocations_watch(void)
{
    atomic_store(&calls, 0);
}

int64_t cf_allocations(void)
{
    return SEEN ? atomic_exchange(&calls, 0) : -1;
}

#if SEEN

void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *data, size_t bytes);
void *__libc_memalign(size_t align, size_t bytes);
void __libc_free(void *data);

/* NOLINTBEGIN(readability-inconsistent-declaration-parameter-name): the library's are reserved */
#define OPEN __attribute__((visibility("default")))

OPEN void *malloc(size_t bytes)
{
    atomic_fetch_add(&calls, 1);
    return __libc_malloc(bytes);
}

OPEN void *calloc(size_t count, size_t bytes)
{
    atomic_fetch_add(&calls, 1);
    return __libc_calloc(count, bytes);
}

OPEN void *realloc(void *data, size_t bytes)
{
    atomic_fetch_add(&calls, 1);
    return __libc_realloc(data, bytes);
}

OPEN void *aligned_alloc(size_t align, size_t bytes)
{
    atomic_fetch_add(&calls, 1);
    return __libc_memalign(align, bytes);
}

OPEN int posix_memalign(void **data, size_t align, size_t bytes)
{
    atomic_fetch_add(&calls, 1);
    *data = __libc_memalign(align, bytes);
    return *data ? 0 : ENOMEM;
}

OPEN void free(void *data)
{
    if (data)
        atomic_fetch_add(&calls, 1);
    __libc_free(data);
}
/* NOLINTEND(readability-inconsistent-declaration-parameter-name) */

#endif
