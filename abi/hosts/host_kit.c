/* SPDX-License-Identifier: Apache-2.0 */
#include "host_kit.h"

#include <dlfcn.h>
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static atomic_int checks, failures;

const sluice_api *kit_plugin(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: %s PLUGIN.so\n", argv[0]);
        exit(2);
    }
    void *so = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
    if (!so) {
        fprintf(stderr, "%s\n", dlerror());
        exit(2);
    }
    const sluice_api *(*get)(uint32_t);
    /* ISO C knows no conversion from void * to a function. */
    *(void **)&get = dlsym(so, SLUICE_ENTRY);
    const sluice_api *api = get ? get(SLUICE_ABI_MAJOR) : NULL;
    if (!api || api->abi_major != SLUICE_ABI_MAJOR || api->size < sizeof *api) {
        fprintf(stderr, "%s does not serve ABI %d\n", argv[1], SLUICE_ABI_MAJOR);
        exit(2);
    }
    return api;
}

const void *kit_extension(const sluice_api *api, const char *id)
{
    const void *table = api->extension(id);
    if (!table) {
        fprintf(stderr, "the plugin does not have %s\n", id);
        exit(2);
    }
    return table;
}

static const sluice_tensor *dense(struct kit_tensor *it, void *data, uint8_t code, int64_t rows,
                                  int64_t columns)
{
    it->shape[0] = rows;
    it->shape[1] = columns;
    it->tensor = (sluice_tensor){.data = data,
                                 .device = {SLUICE_CPU, 0},
                                 .ndim = columns ? 2 : 1,
                                 .dtype = {code, 32, 1},
                                 .shape = it->shape};
    return &it->tensor;
}

const sluice_tensor *kit_f32(struct kit_tensor *it, void *data, int64_t rows, int64_t columns)
{
    return dense(it, data, SLUICE_FLOAT, rows, columns);
}

const sluice_tensor *kit_i32(struct kit_tensor *it, void *data, int64_t rows, int64_t columns)
{
    return dense(it, data, SLUICE_INT, rows, columns);
}

void *kit_zeros(size_t count, size_t size)
{
    void *memory = calloc(count ? count : 1, size);
    if (!memory) {
        fprintf(stderr, "no memory\n");
        exit(2);
    }
    return memory;
}

float kit_noise(uint64_t seed, uint64_t index)
{
    uint64_t z = seed * 0x9E3779B97F4A7C15u + index * 0xBF58476D1CE4E5B9u + 1;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    z ^= z >> 31;
    return (float)(z >> 40) / 8388608.0f - 1.0f;
}

float kit_weight(int32_t layer, int32_t expert, int32_t version, int32_t h)
{
    uint64_t seed = (uint64_t)(layer * 100003 + (expert + 16) * 101 + version);
    return kit_noise(seed, (uint64_t)h);
}

static void add_expert(float *out, const float *x, int32_t hidden, float weight, int32_t layer,
                       int32_t expert, int32_t version)
{
    for (int32_t h = 0; h < hidden; h++) {
        float y = kit_weight(layer, expert, version, h) * x[h];
        out[h] = fmaf(weight, y, out[h]);
    }
}

void kit_dense(float *out, const float *x, int32_t hidden, const int32_t *ids, const float *weights,
               int32_t top_k, int32_t shared, int32_t layer, int32_t version)
{
    memset(out, 0, (size_t)hidden * sizeof *out);
    for (int32_t k = 0; k < top_k; k++)
        if (ids[k] >= 0)
            add_expert(out, x, hidden, weights[k], layer, ids[k], version);
    for (int32_t j = 0; j < shared; j++)
        add_expert(out, x, hidden, 1.0f, layer, -2 - j, version);
}

bool kit_check(bool held, const char *what, int32_t rank)
{
    atomic_fetch_add(&checks, 1);
    if (!held) {
        atomic_fetch_add(&failures, 1);
        fprintf(stderr, "rank %d: does not hold: %s\n", rank, what);
    }
    return held;
}

bool kit_status(const sluice_api *api, const sluice_context *context, sluice_status status,
                sluice_status want, const char *what)
{
    atomic_fetch_add(&checks, 1);
    if (status == want)
        return true;
    char text[512] = "";
    if (context)
        api->last_error(context, text, sizeof text);
    atomic_fetch_add(&failures, 1);
    fprintf(stderr, "%s: status %d, should be %d: %s\n", what, status, want, text);
    return false;
}

int kit_verdict(const char *name)
{
    int failed = atomic_load(&failures), all = atomic_load(&checks);
    if (failed)
        printf("%s: %d of %d checks failed\n", name, failed, all);
    else
        printf("%s: ok, %d checks\n", name, all);
    return failed || !all;
}
