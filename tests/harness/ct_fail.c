#define _GNU_SOURCE 1 /* RTLD_NEXT */
#include "ct_fail.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || !defined(__GLIBC__)
#define REFUSES 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define REFUSES 0
#endif
#endif
#ifndef REFUSES
#define REFUSES 1
#endif

static _Thread_local int64_t made[CT_RESOURCES], refused_at[CT_RESOURCES];

bool ct_refuse(enum ct_resource resource, int64_t nth)
{
    made[resource] = 0;
    refused_at[resource] = nth;
    return REFUSES;
}

int64_t ct_requests(enum ct_resource resource)
{
    return made[resource];
}

#if REFUSES

void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *data, size_t bytes);
void *__libc_memalign(size_t align, size_t bytes);

static bool refused(enum ct_resource resource)
{
    return ++made[resource] == refused_at[resource];
}

/* Hidden, as all of the program: libraries keep their own. */
void *malloc(size_t bytes)
{
    return refused(CT_MEMORY) ? NULL : __libc_malloc(bytes);
}

void *calloc(size_t count, size_t bytes)
{
    return refused(CT_MEMORY) ? NULL : __libc_calloc(count, bytes);
}

void *realloc(void *data, size_t bytes)
{
    return refused(CT_MEMORY) ? NULL : __libc_realloc(data, bytes);
}

void *aligned_alloc(size_t align, size_t bytes)
{
    return refused(CT_MEMORY) ? NULL : __libc_memalign(align, bytes);
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                   void *argument)
{
    int (*create)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    void *next = dlsym(RTLD_NEXT, "pthread_create");
    memcpy(&create, &next, sizeof create);
    return refused(CT_THREAD) ? EAGAIN : create(thread, attributes, run, argument);
}

void *mmap(void *at, size_t bytes, int protection, int flags, int file, off_t offset)
{
    void *(*map)(void *, size_t, int, int, int, off_t);
    void *next = dlsym(RTLD_NEXT, "mmap");
    memcpy(&map, &next, sizeof map);
    if (!refused(CT_MAPPING))
        return map(at, bytes, protection, flags, file, offset);
    errno = ENOMEM;
    return MAP_FAILED;
}

#endif
