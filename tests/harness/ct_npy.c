#include "ct_npy.h"

#include "ct.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char error[512];

__attribute__((format(printf, 1, 2))) static bool fail(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(error, sizeof error, format, args);
    va_end(args);
    return false;
}

const char *ct_npy_error(void)
{
    return error;
}

static const struct {
    char descr[4];
    enum ct_npy_type type;
    size_t size;
} types[] = {
    {"|u1", CT_NPY_U1, 1}, {"|b1", CT_NPY_U1, 1}, {"<i4", CT_NPY_I4, 4}, {"<i8", CT_NPY_I8, 8},
    {"<u2", CT_NPY_U2, 2}, {"<f2", CT_NPY_F2, 2}, {"<f4", CT_NPY_F4, 4}, {"<f8", CT_NPY_F8, 8},
};

/* The text after 'key': in the header's dictionary. */
static const char *entry(const char *header, const char *key)
{
    const char *at = strstr(header, key);
    return at ? at + strlen(key) : "";
}

static bool read_shape(struct ct_npy *array, const char *text, const char *path)
{
    array->count = 1;
    if (*text++ != '(')
        return fail("%s: no shape", path);
    while (*text != ')') {
        char *end = NULL;
        unsigned long long n = strtoull(text, &end, 10);
        if (end == text || array->ndim == sizeof array->shape / sizeof array->shape[0])
            return fail("%s: bad shape", path);
        array->shape[array->ndim++] = (size_t)n;
        array->count *= (size_t)n;
        text = end + strspn(end, ", ");
    }
    return true;
}

static bool read_header(struct ct_npy *array, FILE *file, const char *path)
{
    unsigned char magic[10];
    char header[4096];
    if (fread(magic, 1, sizeof magic, file) != sizeof magic || memcmp(magic, "\x93NUMPY", 6) != 0)
        return fail("%s: not a .npy file", path);
    if (magic[6] != 1)
        return fail("%s: .npy version %d, want 1", path, magic[6]);
    size_t length = magic[8] | (size_t)magic[9] << 8;
    if (length >= sizeof header || fread(header, 1, length, file) != length)
        return fail("%s: header cut short", path);
    header[length] = 0;
    if (strncmp(entry(header, "'fortran_order': "), "False", 5) != 0)
        return fail("%s: not in C order", path);
    const char *descr = entry(header, "'descr': '");
    array->item_size = 0;
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (strncmp(descr, types[i].descr, 3) == 0) {
            array->type = types[i].type;
            array->item_size = types[i].size;
        }
    }
    if (!array->item_size)
        return fail("%s: type %.8s is not read here", path, descr);
    return read_shape(array, entry(header, "'shape': "), path);
}

bool ct_npy_load(struct ct_npy *array, const char *path)
{
    memset(array, 0, sizeof *array);
    FILE *file = fopen(path, "rb");
    if (!file)
        return fail("%s: cannot be opened", path);
    bool ok = read_header(array, file, path);
    if (ok) {
        array->data = ct_alloc(array->count * array->item_size);
        if (fread(array->data, array->item_size, array->count, file) != array->count)
            ok = fail("%s: data cut short", path);
    }
    fclose(file);
    return ok;
}

bool ct_npy_shared(struct ct_npy *array, const char *path)
{
    const char *full = ct_shared(path);
    if (!full)
        return fail("%s: not there", path);
    return ct_npy_load(array, full);
}

bool ct_npy_golden(struct ct_npy *array, const char *case_name, const char *file)
{
    char path[512];
    snprintf(path, sizeof path, "golden/%s/%s", case_name, file);
    return ct_npy_shared(array, path);
}

static const void *typed(const struct ct_npy *array, enum ct_npy_type type)
{
    return array->type == type ? array->data : NULL;
}

const int32_t *ct_npy_i32(const struct ct_npy *array)
{
    return typed(array, CT_NPY_I4);
}

const int64_t *ct_npy_i64(const struct ct_npy *array)
{
    return typed(array, CT_NPY_I8);
}

const float *ct_npy_f32(const struct ct_npy *array)
{
    return typed(array, CT_NPY_F4);
}

const double *ct_npy_f64(const struct ct_npy *array)
{
    return typed(array, CT_NPY_F8);
}

const uint16_t *ct_npy_u16(const struct ct_npy *array)
{
    return array->item_size == 2 ? array->data : NULL;
}

const uint8_t *ct_npy_u8(const struct ct_npy *array)
{
    return typed(array, CT_NPY_U1);
}

int64_t ct_npy_int(const struct ct_npy *array, size_t index)
{
    switch (array->type) {
    case CT_NPY_U1:
        return ((const uint8_t *)array->data)[index];
    case CT_NPY_U2:
        return ((const uint16_t *)array->data)[index];
    case CT_NPY_I4:
        return ((const int32_t *)array->data)[index];
    case CT_NPY_I8:
        return ((const int64_t *)array->data)[index];
    default:
        ct_record(__FILE__, __LINE__, "ct_npy_int: not an integer array");
        return INT64_MIN;
    }
}
