/* SPDX-License-Identifier: Apache-2.0 */
/* Modules, libraries (the same here), functions, launches. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "drv_api.h"

static uint64_t place(void *arg, uint64_t bytes)
{
    return mem_alloc(((struct CUctx_st *)arg)->device, bytes);
}

/* Variables without values are zero, as on a device. */
static void fill_variables(const struct ptx_module *ptx)
{
    for (int32_t i = 0; i < ptx->nvariables; i++) {
        const struct ptx_variable *v = &ptx->variables[i];
        uint8_t *init, *data = mem_range(v->address, v->size, &init);
        if (!data)
            continue;
        memset(data, 0, v->size);
        memset(init, 1, v->size);
        if (v->data)
            memcpy(data, v->data, v->size);
    }
}

static int load(struct CUctx_st *ctx, struct CUmod_st **module, const void *image)
{
    char why[400], text[460];
    int error = drv_fails(STANDIN_LOAD);
    char *ptx = error ? NULL : fatbin_ptx(image, drv_sm(), &error);
    if (!ptx)
        return error;
    struct CUmod_st *m = calloc(1, sizeof *m);
    if (!m)
        abort();
    m->ptx = ptx_parse(ptx, place, ctx, why, sizeof why);
    free(ptx);
    if (!m->ptx) {
        (void)snprintf(text, sizeof text, "a module is refused: %s", why);
        standin_say(text);
        free(m);
        return DRV_INVALID_PTX;
    }
    fill_variables(m->ptx);
    m->functions = calloc((size_t)m->ptx->nfunctions + 1, sizeof *m->functions);
    if (!m->functions)
        abort();
    for (int32_t i = 0; i < m->ptx->nfunctions; i++)
        m->functions[i] = (struct CUfunc_st){m, &m->ptx->functions[i], 49152};
    *module = m;
    drv_hold(1);
    return DRV_OK;
}

int cuModuleLoadData(struct CUmod_st **module, const void *image)
{
    struct CUctx_st *ctx;
    int error = drv_ready(&ctx);
    return error ? error : load(ctx, module, image);
}

int cuModuleLoadDataEx(struct CUmod_st **module, const void *image, unsigned count, int *options,
                       void **values)
{
    (void)count, (void)options, (void)values;
    return cuModuleLoadData(module, image);
}

int cuModuleLoadFatBinary(struct CUmod_st **module, const void *image)
{
    return cuModuleLoadData(module, image);
}

int cuModuleUnload(struct CUmod_st *module)
{
    struct CUctx_st *ctx = drv_context();
    if (!module)
        return DRV_INVALID_HANDLE;
    if (ctx)
        stream_wait_all(ctx);
    for (int32_t i = 0; i < module->ptx->nvariables; i++)
        (void)mem_free(module->ptx->variables[i].address);
    ptx_free(module->ptx);
    free(module->functions);
    free(module);
    drv_hold(-1);
    return DRV_OK;
}

int cuModuleGetFunction(struct CUfunc_st **function, struct CUmod_st *module, const char *name)
{
    if (!module)
        return DRV_INVALID_HANDLE;
    for (int32_t i = 0; i < module->ptx->nfunctions; i++) {
        if (strcmp(module->ptx->functions[i].name, name) == 0) {
            *function = &module->functions[i];
            return DRV_OK;
        }
    }
    return DRV_NOT_FOUND;
}

int cuModuleGetGlobal_v2(drv_address *address, size_t *bytes, struct CUmod_st *module,
                         const char *name)
{
    for (int32_t i = 0; i < module->ptx->nvariables; i++) {
        const struct ptx_variable *v = &module->ptx->variables[i];
        if (strcmp(v->name, name) == 0) {
            if (address)
                *address = v->address;
            if (bytes)
                *bytes = v->size;
            return DRV_OK;
        }
    }
    return DRV_NOT_FOUND;
}

int cuLibraryLoadData(struct CUmod_st **library, const void *image, int *jit, void **jit_values,
                      unsigned jit_count, int *options, void **values, unsigned count)
{
    (void)jit, (void)jit_values, (void)jit_count, (void)options, (void)values, (void)count;
    return cuModuleLoadData(library, image);
}

int cuLibraryUnload(struct CUmod_st *library)
{
    return cuModuleUnload(library);
}

int cuLibraryGetKernel(struct CUfunc_st **kernel, struct CUmod_st *library, const char *name)
{
    return cuModuleGetFunction(kernel, library, name);
}

int cuKernelGetFunction(struct CUfunc_st **function, struct CUfunc_st *kernel)
{
    *function = kernel;
    return kernel ? DRV_OK : DRV_INVALID_HANDLE;
}

/* CUfunction_attribute; registers are what PTX cannot tell. */
int cuFuncGetAttribute(int *value, int attribute, struct CUfunc_st *function)
{
    const struct ptx_function *fn = function->ptx;
    switch (attribute) {
    case 0:
        *value = (int)fn->max_threads;
        return DRV_OK;
    case 1:
        *value = (int)fn->shared_bytes;
        return DRV_OK;
    case 3:
        *value = (int)fn->local_bytes;
        return DRV_OK;
    case 5:
        *value = fn->module->target;
        return DRV_OK;
    case 8:
        *value = (int)function->dynamic_max;
        return DRV_OK;
    default:
        return DRV_INVALID_VALUE;
    }
}

int cuFuncSetAttribute(struct CUfunc_st *function, int attribute, int value)
{
    if (attribute == 9) /* preferred carve-out */
        return DRV_OK;
    if (attribute != 8 || value < 0 || (uint32_t)value + function->ptx->shared_bytes > 232448)
        return DRV_INVALID_VALUE;
    function->dynamic_max = (uint32_t)value;
    return DRV_OK;
}

/* The parameters in one block: from an array of pointers, or the buffer of `extra`. */
static int parameters(const struct ptx_function *fn, void **params, void **extra, uint8_t **out)
{
    uint8_t *block = calloc(fn->param_bytes + 1, 1);
    const void *buffer = NULL;
    size_t bytes = 0;
    if (!block)
        abort();
    *out = block;
    for (int i = 0; !params && extra && extra[i]; i += 2) {
        if (extra[i] == (void *)1)
            buffer = extra[i + 1];
        else if (extra[i] == (void *)2)
            memcpy(&bytes, extra[i + 1], sizeof bytes);
    }
    for (int32_t i = 0; params && i < fn->nparams; i++)
        memcpy(block + fn->params[i].offset, params[i], fn->params[i].size);
    if (buffer && bytes >= fn->param_bytes)
        memcpy(block, buffer, fn->param_bytes);
    return params || fn->nparams == 0 || (buffer && bytes >= fn->param_bytes) ? DRV_OK
                                                                              : DRV_INVALID_VALUE;
}

/* Is the launch one that a device takes? */
static int fits(const struct CUfunc_st *function, const struct work *work)
{
    const uint32_t *b = work->blocks, *t = work->threads, *need = function->ptx->need_threads;
    uint64_t threads = (uint64_t)t[0] * t[1] * t[2];
    if (!b[0] || !b[1] || !b[2] || b[0] > 2147483647U || b[1] > 65535 || b[2] > 65535)
        return DRV_INVALID_VALUE;
    if (threads == 0 || t[0] > 1024 || t[1] > 1024 || t[2] > 64 || threads > 1024 ||
        threads > function->ptx->max_threads)
        return DRV_INVALID_VALUE;
    if (need[0] &&
        (need[0] != t[0] || (need[1] && need[1] != t[1]) || (need[2] && need[2] != t[2])))
        return DRV_INVALID_VALUE;
    return work->shared > function->dynamic_max ? DRV_INVALID_VALUE : DRV_OK;
}

static int launch(struct CUfunc_st *function, struct work *work, struct CUstream_st *stream,
                  void **params, void **extra)
{
    struct CUctx_st *ctx;
    int error = drv_ready(&ctx);
    if (error)
        return error;
    if (!function)
        return DRV_INVALID_HANDLE;
    work->kind = WORK_LAUNCH;
    work->fn = function->ptx;
    error = fits(function, work);
    error = error ? error : drv_fails(STANDIN_LAUNCH);
    error = error ? error : parameters(function->ptx, params, extra, &work->params);
    if (error) {
        work_free(work);
        return error;
    }
    return stream_submit(stream_of(ctx, stream), work);
}

int cuLaunchKernel(struct CUfunc_st *function, unsigned bx, unsigned by, unsigned bz, unsigned tx,
                   unsigned ty, unsigned tz, unsigned shared, struct CUstream_st *stream,
                   void **params, void **extra)
{
    struct work work = {.blocks = {bx, by, bz}, .threads = {tx, ty, tz}, .shared = shared};
    return launch(function, &work, stream, params, extra);
}

/* Attributes that change no result are taken: cooperative (all blocks are resident together up to
 * 264), priority, programmatic order (a launch waits for the one before it); clusters are not. */
int cuLaunchKernelEx(const struct drv_launch *config, struct CUfunc_st *function, void **params,
                     void **extra)
{
    struct work work = {.shared = config->shared};
    for (uint32_t i = 0; i < config->count; i++) {
        int id = config->attributes[i].id;
        const uint32_t *dim = config->attributes[i].value.dim;
        if (id == 4 && dim[0] * dim[1] * dim[2] == 1)
            continue;
        if (id != 0 && id != 2 && id != 6 && id != 8)
            return DRV_NOT_SUPPORTED;
    }
    memcpy(work.blocks, config->blocks, sizeof work.blocks);
    memcpy(work.threads, config->threads, sizeof work.threads);
    return launch(function, &work, config->stream, params, extra);
}
