/* SPDX-License-Identifier: Apache-2.0
 * Tensors for the cases, on whatever device the plugin has, and the element types. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "conform.h"

enum { GAP = 0xC3 };

static _Thread_local struct cf_array *arrays;

/* ------------------------------------------------------------------------------- 16-bit floats */

static uint32_t bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static float float_of(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

bool cf_same_bits(float a, float b)
{
    return bits_of(a) == bits_of(b);
}

float cf_bfloat_to_float(uint16_t value)
{
    return float_of((uint32_t)value << 16);
}

uint16_t cf_float_to_bfloat(float value)
{
    uint32_t bits = bits_of(value);
    if (isnan(value))
        return (uint16_t)((bits >> 16) | 0x40);
    return (uint16_t)((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
}

float cf_half_to_float(uint16_t half)
{
    int exponent = (half >> 10) & 31, fraction = half & 1023;
    double value = exponent == 31 ? (fraction ? NAN : INFINITY)
                   : exponent     ? ldexp(1024 + fraction, exponent - 25)
                                  : ldexp(fraction, -24);
    return (float)(half & 0x8000 ? -value : value);
}

uint16_t cf_float_to_half(float value)
{
    uint16_t sign = signbit(value) ? 0x8000 : 0;
    double size = fabs((double)value);
    if (isnan(value))
        return sign | 0x7E00;
    if (size >= 65520)
        return sign | 0x7C00;
    if (size < ldexp(1, -14)) /* steps of 2^-24; nearbyint rounds to even */
        return (uint16_t)(sign | (uint16_t)nearbyint(size * ldexp(1, 24)));
    int exponent;
    double fraction = frexp(size, &exponent); /* [0.5, 1) */
    int steps = (int)nearbyint(fraction * 2048);
    return (uint16_t)(sign | (((exponent + 14) << 10) + (steps - 1024)));
}

size_t cf_type_size(enum cf_type type)
{
    static const size_t SIZES[] = {4, 2, 2, 4, 8, 1};
    return SIZES[type];
}

static sluice_dtype dtype_of(enum cf_type type)
{
    static const sluice_dtype TYPES[] = {{SLUICE_FLOAT, 32, 1},  {SLUICE_FLOAT, 16, 1},
                                         {SLUICE_BFLOAT, 16, 1}, {SLUICE_INT, 32, 1},
                                         {SLUICE_INT, 64, 1},    {SLUICE_UINT, 8, 1}};
    return TYPES[type];
}

/* -------------------------------------------------------------------------------------- arrays */

static void *host_memory(size_t bytes)
{
    void *data = calloc(1, bytes ? bytes : 1);
    CHECK(data, "the suite has no memory for %zu bytes", bytes);
    return data;
}

static struct cf_array *make(enum cf_type type, int64_t rows, int64_t columns, int64_t stride,
                             bool on_host)
{
    struct cf_array *array = host_memory(sizeof *array);
    int64_t width = columns ? columns : 1;
    array->type = type;
    array->rows = rows;
    array->columns = width;
    array->stride = stride;
    array->bytes = (size_t)(rows * stride) * cf_type_size(type);
    array->host = host_memory(array->bytes);
    array->shape[0] = rows;
    array->shape[1] = width;
    array->strides[0] = stride;
    array->strides[1] = 1;
    array->t = (sluice_tensor){.data = array->host,
                               .device = {SLUICE_CPU, 0},
                               .ndim = columns ? 2 : 1,
                               .dtype = dtype_of(type),
                               .shape = array->shape};
    if (stride != width)
        array->t.strides = array->strides;
    if (array->bytes == 0)
        array->t.data = NULL;
    if (cf_memory && !on_host && array->bytes) {
        sluice_status status = cf_memory->alloc(cf_device(), array->bytes, &array->t.data);
        CHECK(status == SLUICE_OK, "sluice.device/1 alloc of %zu bytes gave %s", array->bytes,
              cf_status_name(status));
        array->t.device = cf_device();
        array->next = arrays;
        arrays = array;
    } else if (stride != width) {
        array->next = arrays;
        arrays = array;
    }
    return array;
}

static char *gap_of(const struct cf_array *array, int64_t row, size_t *bytes)
{
    size_t size = cf_type_size(array->type);
    *bytes = (size_t)(array->stride - array->columns) * size;
    return (char *)array->host + (size_t)(row * array->stride + array->columns) * size;
}

struct cf_array *cf_array(enum cf_type type, int64_t rows, int64_t columns)
{
    return make(type, rows, columns, columns ? columns : 1, false);
}

struct cf_array *cf_strided(enum cf_type type, int64_t rows, int64_t columns, int64_t stride)
{
    struct cf_array *array = make(type, rows, columns, stride, false);
    for (int64_t row = 0; row < rows; row++) {
        size_t bytes;
        char *gap = gap_of(array, row, &bytes);
        memset(gap, GAP, bytes);
    }
    return array;
}

struct cf_array *cf_scalar(int64_t value)
{
    struct cf_array *array = make(CF_I64, 1, 0, 1, true);
    memcpy(array->host, &value, sizeof value);
    return array;
}

struct cf_array *cf_ids(enum cf_type type, int64_t rows, int64_t columns, const int32_t *values)
{
    struct cf_array *array = cf_array(type, rows, columns);
    for (int64_t i = 0; i < rows; i++)
        for (int64_t k = 0; k < array->columns; k++)
            cf_put(array, i, k, values[i * array->columns + k]);
    return array;
}

struct cf_array *cf_floats(int64_t rows, int64_t columns, const float *values)
{
    struct cf_array *array = cf_array(CF_F32, rows, columns);
    if (array->bytes)
        memcpy(array->host, values, array->bytes);
    return array;
}

static void *cell(const struct cf_array *array, int64_t row, int64_t column)
{
    return (char *)array->host + (size_t)(row * array->stride + column) * cf_type_size(array->type);
}

int64_t cf_id(const struct cf_array *array, int64_t row, int64_t column)
{
    const void *at = cell(array, row, column);
    return array->type == CF_I64   ? *(const int64_t *)at
           : array->type == CF_I32 ? *(const int32_t *)at
                                   : *(const uint8_t *)at;
}

double cf_get(const struct cf_array *array, int64_t row, int64_t column)
{
    const void *at = cell(array, row, column);
    switch (array->type) {
    case CF_F32:
        return (double)*(const float *)at;
    case CF_F16:
        return (double)cf_half_to_float(*(const uint16_t *)at);
    case CF_BF16:
        return (double)cf_bfloat_to_float(*(const uint16_t *)at);
    default:
        return (double)cf_id(array, row, column);
    }
}

void cf_put(struct cf_array *array, int64_t row, int64_t column, double value)
{
    void *at = cell(array, row, column);
    switch (array->type) {
    case CF_F32:
        *(float *)at = (float)value;
        break;
    case CF_F16:
        *(uint16_t *)at = cf_float_to_half((float)value);
        break;
    case CF_BF16:
        *(uint16_t *)at = cf_float_to_bfloat((float)value);
        break;
    case CF_I32:
        *(int32_t *)at = (int32_t)value;
        break;
    case CF_I64:
        *(int64_t *)at = (int64_t)value;
        break;
    default:
        *(uint8_t *)at = (uint8_t)value;
    }
}

void cf_fill_bytes(struct cf_array *array, unsigned char byte)
{
    for (int64_t row = 0; row < array->rows; row++)
        memset(cell(array, row, 0), byte, (size_t)array->columns * cf_type_size(array->type));
}

bool cf_all_bytes(const struct cf_array *array, unsigned char byte)
{
    for (int64_t row = 0; row < array->rows; row++) {
        const unsigned char *at = cell(array, row, 0);
        for (size_t i = 0; i < (size_t)array->columns * cf_type_size(array->type); i++)
            if (at[i] != byte)
                return false;
    }
    return true;
}

/* ---------------------------------------------------------------------------- to and from there */

static void copy(const struct cf_array *array, void *to, const void *from)
{
    sluice_status status = cf_memory->copy(cf_device(), to, from, array->bytes, NULL);
    if (status == SLUICE_OK)
        status = cf_memory->wait(cf_device(), NULL);
    CHECK(status == SLUICE_OK, "sluice.device/1 copy gave %s", cf_status_name(status));
}

static bool on_device(const struct cf_array *array)
{
    return array->t.data && array->t.data != array->host;
}

void cf_push(void)
{
    for (struct cf_array *array = arrays; array; array = array->next)
        if (on_device(array))
            copy(array, array->t.data, array->host);
}

void cf_pull(void)
{
    for (struct cf_array *array = arrays; array; array = array->next) {
        if (on_device(array))
            copy(array, array->host, array->t.data);
        for (int64_t row = 0; row < array->rows; row++) {
            size_t bytes;
            const char *gap = gap_of(array, row, &bytes);
            for (size_t i = 0; i < bytes; i++)
                CHECK((unsigned char)gap[i] == GAP,
                      "the call wrote between the rows of a tensor with a row stride");
        }
    }
}

#define CALL(function_)                                                                            \
    cf_push();                                                                                     \
    sluice_status status = function_(context, args);                                               \
    cf_pull();                                                                                     \
    return status

sluice_status cf_call_topk(sluice_context *context, const sluice_topk_args *args)
{
    CALL(cf_api->topk);
}

sluice_status cf_call_remap(sluice_context *context, const sluice_remap_args *args)
{
    CALL(cf_api->remap);
}

sluice_status cf_call_record(sluice_context *context, const sluice_record_args *args)
{
    CALL(cf_api->record);
}

sluice_status cf_call_route(sluice_context *context, const sluice_route_args *args)
{
    CALL(cf_route()->route);
}

sluice_status cf_call_dispatch(sluice_context *context, const sluice_dispatch_args *args)
{
    CALL(cf_api->dispatch);
}

sluice_status cf_call_combine(sluice_context *context, const sluice_combine_args *args)
{
    CALL(cf_api->combine);
}
