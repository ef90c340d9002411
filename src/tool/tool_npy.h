/* Reads NumPy's .npy format, versions 1 to 3: C order, little endian, plain numbers. */
#ifndef SL_TOOL_NPY_H
#define SL_TOOL_NPY_H

#include <stddef.h>
#include <stdint.h>

enum sl_npy_type {
    SL_NPY_U8,
    SL_NPY_U16,
    SL_NPY_I32,
    SL_NPY_I64,
    SL_NPY_F16,
    SL_NPY_F32,
    SL_NPY_F64
};

enum { SL_NPY_MAX_DIMS = 8 };

struct sl_npy {
    enum sl_npy_type type;
    int ndim;
    int64_t shape[SL_NPY_MAX_DIMS];
    size_t count;        /* elements in all; 1 for a scalar */
    const uint8_t *data; /* the first element, as the file has it; may be unaligned */
    uint8_t *owned;      /* freed by sl_npy_free; NULL after sl_npy_parse */
};

/* Parses size bytes. *npy then points into bytes, which must outlive it. Returns 0, or -1 with one
 * line in err (which may be NULL) that says what is wrong. */
int sl_npy_parse(const uint8_t *bytes, size_t size, struct sl_npy *npy, char *err, size_t n);

/* Reads a file; the line in err begins with its name. sl_npy_free releases it. */
int sl_npy_load(const char *path, struct sl_npy *npy, char *err, size_t n);
void sl_npy_free(struct sl_npy *npy);

const char *sl_npy_type_name(enum sl_npy_type type);

/* Converts all elements. to_f32 takes every type; to_i32 refuses floats and values beyond 32 bits,
 * naming the element. out has npy->count places. */
void sl_npy_to_f32(const struct sl_npy *npy, float *out);
int sl_npy_to_i32(const struct sl_npy *npy, int32_t *out, char *err, size_t n);

#endif
