/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel_kit.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

uint64_t state = 1;
struct slc_gpu gpu;

int32_t below(int32_t n)
{
    uint64_t z = state += 0x9E3779B97F4A7C15U; /* splitmix64 */
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
    return (int32_t)((z ^ (z >> 31)) % (uint64_t)n);
}

_Noreturn void stop(const char *what)
{
    printf("%s\n0 passed, 1 failed\n", what);
    exit(1);
}

void kernel_begin(void)
{
    char text[256] = "";
    if (slc_gpu_open(&gpu, 0, text, sizeof text) || slc_gpu_enter(&gpu))
        stop(text);
}

void kernel_end(void)
{
    slc_gpu_leave(&gpu);
    slc_gpu_close(&gpu);
}

void kernel_run(enum slc_kernel kernel, int32_t blocks, int32_t warps, size_t shared, void *param)
{
    if (slc_start(&gpu, kernel, blocks, warps, shared, param, NULL) ||
        gpu.driver->StreamSynchronize(NULL))
        stop("a launch failed");
}

void *room(size_t bytes)
{
    void *data = calloc(1, bytes + 8);
    if (!data)
        stop("no memory");
    return data;
}

void *there(const void *from, size_t bytes)
{
    slcu_address address;
    if (gpu.driver->MemAlloc(&address, bytes + 8))
        stop("no memory on the device");
    (void)gpu.driver->MemsetD8Async(address, 0, bytes + 8, NULL);
    if (from)
        (void)gpu.driver->MemcpyHtoDAsync(address, from, bytes, NULL);
    (void)gpu.driver->StreamSynchronize(NULL);
    return (void *)(uintptr_t)address;
}

void *back(void *from, size_t bytes)
{
    void *data = room(bytes);
    (void)gpu.driver->MemcpyDtoHAsync(data, (slcu_address)(uintptr_t)from, bytes, NULL);
    (void)gpu.driver->StreamSynchronize(NULL);
    drop(from);
    return data;
}

void drop(const void *data)
{
    (void)gpu.driver->MemFree((slcu_address)(uintptr_t)data);
}

static void *find(const char *name)
{
    void *library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_NOLOAD);
    return library ? dlsym(library, name) : NULL;
}

bool kernel_counters(struct standin_counters *counters)
{
    void (*get)(struct standin_counters *);
    void *found = find("standin_counters");
    memcpy(&get, &found, sizeof found);
    if (found)
        get(counters);
    return found != NULL;
}

void kernel_counters_reset(void)
{
    void (*reset)(void);
    void *found = find("standin_counters_reset");
    memcpy(&reset, &found, sizeof found);
    if (found)
        reset();
}
