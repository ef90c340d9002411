/* SPDX-License-Identifier: Apache-2.0 */
#include "standin_kit.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct kit kit;

static bool fill(void *library, const char *name, void *slot)
{
    void *found = dlsym(library, name);
    memcpy(slot, &found, sizeof found);
    return ct_expect_true(found != NULL);
}

#define FILL(name_, symbol_, version_, params_) fill(library, #symbol_, &kit.symbol_) &&

const struct kit *kit_open(void)
{
    static struct CUctx_st *ctx;
    if (!ctx) {
        void *library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
        ct_note("%s", library ? "" : dlerror());
        if (!ct_expect_true(library != NULL))
            return NULL;
        bool good = DRV_FUNCTIONS(FILL) fill(library, "standin_counters", &kit.standin_counters) &&
                    fill(library, "standin_counters_reset", &kit.standin_counters_reset) &&
                    fill(library, "standin_message", &kit.standin_message) &&
                    fill(library, "standin_violations", &kit.standin_violations) &&
                    fill(library, "standin_forgive", &kit.standin_forgive) &&
                    fill(library, "standin_fail", &kit.standin_fail) &&
                    fill(library, "standin_failed", &kit.standin_failed) &&
                    fill(library, "standin_slow_fills", &kit.standin_slow_fills) &&
                    fill(library, "standin_held", &kit.standin_held) &&
                    fill(library, "standin_budget", &kit.standin_budget);
        if (!good || !ct_expect_eq_i64(kit.cuInit(0), 0) ||
            !ct_expect_eq_i64(kit.cuDevicePrimaryCtxRetain(&ctx, 0), 0))
            return NULL;
    }
    kit.standin_forgive();
    kit.standin_counters_reset();
    kit.standin_budget(0);
    ct_expect_eq_i64(kit.cuCtxSetCurrent(ctx), 0);
    return &kit;
}

static struct CUmod_st *load(const void *image)
{
    struct CUmod_st *module = NULL;
    int error = kit.cuModuleLoadData(&module, image);
    ct_note("%s", error ? kit.standin_message() : "");
    return ct_expect_eq_i64(error, 0) ? module : NULL;
}

struct CUmod_st *kit_load_text(const char *text)
{
    return load(text);
}

struct CUmod_st *kit_load(const char *name)
{
    char path[400];
    const char *folder = getenv("STANDIN_BUILD");
    (void)snprintf(path, sizeof path, "%s/%s.fatbin", folder ? folder : "build/standin", name);
    FILE *file = fopen(path, "rb");
    ct_note("%s", path);
    if (!ct_expect_true(file != NULL))
        return NULL;
    (void)fseek(file, 0, SEEK_END);
    long bytes = ftell(file);
    rewind(file);
    void *image = ct_alloc((size_t)bytes + 1);
    bool whole = fread(image, 1, (size_t)bytes, file) == (size_t)bytes;
    (void)fclose(file);
    return ct_expect_true(whole) ? load(image) : NULL;
}

struct CUfunc_st *kit_function(struct CUmod_st *module, const char *name)
{
    struct CUfunc_st *function = NULL;
    ct_note("%s", name);
    return module && ct_expect_eq_i64(kit.cuModuleGetFunction(&function, module, name), 0)
               ? function
               : NULL;
}

drv_address kit_upload(const void *data, size_t bytes)
{
    drv_address address = 0;
    ct_expect_eq_i64(kit.cuMemAlloc_v2(&address, bytes), 0);
    if (data)
        ct_expect_eq_i64(kit.cuMemcpyHtoD_v2(address, data, bytes), 0);
    return address;
}

int kit_run(struct CUfunc_st *function, unsigned blocks, unsigned threads, unsigned shared,
            void **params)
{
    if (!function)
        return -1;
    int error =
        kit.cuLaunchKernel(function, blocks, 1, 1, threads, 1, 1, shared, NULL, params, NULL);
    return error ? error : kit.cuStreamSynchronize(NULL);
}
