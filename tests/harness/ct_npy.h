/* Reads .npy files, version 1, little-endian, C order. */
#ifndef CT_NPY_H
#define CT_NPY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum ct_npy_type {
    CT_NPY_U1, /* also bool */
    CT_NPY_I4,
    CT_NPY_I8,
    CT_NPY_U2, /* raw bfloat16 */
    CT_NPY_F2,
    CT_NPY_F4,
    CT_NPY_F8,
};

struct ct_npy {
    enum ct_npy_type type;
    size_t item_size;
    size_t ndim;
    size_t shape[8];
    size_t count;
    void *data; /* count items; freed when the test ends */
};

/* False when it cannot be read; ct_npy_error() then says why. */
bool ct_npy_load(struct ct_npy *array, const char *path);
const char *ct_npy_error(void);

/* "golden/<case>/<file>" or another path below the shared folder. */
bool ct_npy_shared(struct ct_npy *array, const char *path);
bool ct_npy_golden(struct ct_npy *array, const char *case_name, const char *file);

/* NULL when the array has another type. */
const int32_t *ct_npy_i32(const struct ct_npy *array);
const int64_t *ct_npy_i64(const struct ct_npy *array);
const float *ct_npy_f32(const struct ct_npy *array);
const double *ct_npy_f64(const struct ct_npy *array);
const uint16_t *ct_npy_u16(const struct ct_npy *array); /* raw f16 or bf16 too */
const uint8_t *ct_npy_u8(const struct ct_npy *array);
/* One item of any integer type. */
int64_t ct_npy_int(const struct ct_npy *array, size_t index);

#endif
