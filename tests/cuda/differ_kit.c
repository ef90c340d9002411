/* SPDX-License-Identifier: Apache-2.0 */
#include "differ_kit.h"

#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_TENSORS = 32 };

uint64_t state;

uint64_t next(void)
{
    uint64_t z = state += 0x9E3779B97F4A7C15U; /* splitmix64 */
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
    return z ^ (z >> 31);
}

int32_t below(int32_t n)
{
    return (int32_t)(next() % (uint64_t)n);
}

bool chance(int32_t percent)
{
    return below(100) < percent;
}

float normal(void)
{
    double sum = 0;
    for (int i = 0; i < 12; i++)
        sum += (double)(next() >> 11) * 0x1p-53;
    return (float)(sum - 6);
}

/* ----------------------------------------------------------------------------- both plugins */

struct side sides[2];

_Noreturn void stop(const char *what, const char *why)
{
    printf("%s: %s\n0 passed, 1 failed\n", what, why);
    exit(1);
}

void load(struct side *side, const char *path)
{
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library)
        stop(path, dlerror());
    const sluice_api *(*get)(uint32_t);
    void *found = dlsym(library, SLUICE_ENTRY);
    memcpy(&get, &found, sizeof found);
    side->api = get(SLUICE_ABI_MAJOR);
    side->memory = side->api->extension(SLUICE_EXT_DEVICE);
    int32_t count = 0;
    char text[256] = "";
    if (side->memory->count(&count, &side->device, text, sizeof text) || count == 0)
        stop(path, text);
}

static struct pair pairs[MOST_TENSORS];
int used;

struct pair *make(sluice_dtype type, int64_t rows, int64_t columns, bool gap)
{
    struct pair *pair = &pairs[used++];
    memset(pair, 0, sizeof *pair);
    int64_t stride = (columns ? columns : 1) + (gap && columns ? 3 : 0);
    pair->shape[0] = rows;
    pair->shape[1] = columns;
    pair->strides[0] = stride;
    pair->strides[1] = 1;
    pair->bytes = (size_t)(rows * stride) * type.bits / 8;
    pair->host = calloc(1, pair->bytes + 1);
    for (int s = 0; s < 2; s++) {
        pair->t[s] = (sluice_tensor){.device = sides[s].device,
                                     .ndim = columns ? 2 : 1,
                                     .dtype = type,
                                     .shape = pair->shape,
                                     .strides = pair->strides};
        if (sides[s].memory->alloc(sides[s].device, pair->bytes + 1, &pair->t[s].data))
            stop("alloc", "no memory");
    }
    return pair;
}

void push(const struct pair *pair)
{
    for (int s = 0; s < 2; s++) {
        (void)sides[s].memory->copy(sides[s].device, pair->t[s].data, pair->host, pair->bytes,
                                    NULL);
        (void)sides[s].memory->wait(sides[s].device, NULL);
    }
}

bool same(const struct pair *pair)
{
    void *other = malloc(pair->bytes + 1);
    (void)sides[THERE].memory->copy(sides[THERE].device, other, pair->t[THERE].data, pair->bytes,
                                    NULL);
    (void)sides[THERE].memory->wait(sides[THERE].device, NULL);
    bool equal = memcmp(pair->t[CPU].data, other, pair->bytes) == 0;
    free(other);
    return equal;
}

void release(void)
{
    for (; used > 0; used--) {
        free(pairs[used - 1].host);
        for (int s = 0; s < 2; s++)
            sides[s].memory->free(sides[s].device, pairs[used - 1].t[s].data);
    }
}

/* ----------------------------------------------------------------------------- what is drawn */

const sluice_dtype F32 = {SLUICE_FLOAT, 32, 1}, F16 = {SLUICE_FLOAT, 16, 1},
                   BF16 = {SLUICE_BFLOAT, 16, 1}, I32 = {SLUICE_INT, 32, 1},
                   I64 = {SLUICE_INT, 64, 1}, U8 = {SLUICE_UINT, 8, 1};

sluice_dtype any_float(void)
{
    int32_t which = below(3);
    return which == 0 ? F32 : which == 1 ? F16 : BF16;
}

sluice_dtype any_id(void)
{
    return chance(50) ? I32 : I64;
}

static float any_value(int32_t style, float spread)
{
    if (style == 2 && chance(95)) /* few are left to choose from */
        return chance(50) ? NAN : -INFINITY;
    if (chance(2))
        return chance(30) ? NAN : (chance(50) ? 1.0F : -1.0F) * (chance(50) ? INFINITY : 3e38F);
    float value = normal() * spread;
    return style == 0 ? value : rintf(value * 2) / 2; /* ties */
}

void fill_floats(struct pair *pair, float spread)
{
    int32_t style = chance(10) ? 2 : below(2);
    int64_t count = (int64_t)(pair->bytes * 8 / pair->t[0].dtype.bits);
    for (int64_t i = 0; i < count; i++) {
        float value = any_value(style, spread);
        uint32_t bits;
        memcpy(&bits, &value, sizeof bits);
        if (pair->t[0].dtype.bits == 32)
            ((float *)pair->host)[i] = value;
        else if (pair->t[0].dtype.code == SLUICE_BFLOAT)
            ((uint16_t *)pair->host)[i] = (uint16_t)(bits >> 16);
        else /* any bits will do: subnormals, infinities and NaN are among them */
            ((uint16_t *)pair->host)[i] =
                chance(90) ? (uint16_t)((bits >> 16 & 0x8000U) | (0x3000U + (next() & 0x1FFFU)))
                           : (uint16_t)next();
    }
    push(pair);
}

void fill_weights(struct pair *pair)
{
    for (size_t i = 0; i < pair->bytes / 4; i++)
        ((float *)pair->host)[i] = fabsf(normal());
    push(pair);
}

void fill_ids(struct pair *pair, int32_t least, int32_t most)
{
    int64_t count = (int64_t)(pair->bytes * 8 / pair->t[0].dtype.bits);
    for (int64_t i = 0; i < count; i++) {
        int32_t value = least + below(most - least + 1);
        if (pair->t[0].dtype.bits == 64)
            ((int64_t *)pair->host)[i] = value;
        else if (pair->t[0].dtype.bits == 32)
            ((int32_t *)pair->host)[i] = value;
        else
            ((uint8_t *)pair->host)[i] = (uint8_t)value;
    }
    push(pair);
}
