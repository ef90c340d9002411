/* What the fuzzers of the interface share: reading an input, tensors between guards, and aborting
 * where a promise does not hold. */
#ifndef FUZZ_KIT_H
#define FUZZ_KIT_H

#include "plugin.h"

#include <stdbool.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Prints what does not hold and aborts. */
#define FZ_HOLDS(condition) ((condition) ? (void)0 : fz_broken(__FILE__, __LINE__, #condition))
_Noreturn void fz_broken(const char *file, int line, const char *condition);

/* An input, read from the front; behind its end there are zeros. */
struct fz_bytes {
    const uint8_t *at;
    size_t left;
};

uint8_t fz_u8(struct fz_bytes *in);
uint32_t fz_u32(struct fz_bytes *in);
uint64_t fz_u64(struct fz_bytes *in);
void fz_raw(struct fz_bytes *in, void *to, size_t bytes);
/* One of least ... most, from one byte where that does. */
int32_t fz_range(struct fz_bytes *in, int32_t least, int32_t most);
uint32_t fz_mix(uint32_t value);

extern const sluice_dtype FZ_F32, FZ_F16, FZ_BF16, FZ_I32, FZ_I64, FZ_U8;

/* A tensor in a block of exactly its size, so that a sanitizer sees what is outside. */
struct fz_tensor {
    sluice_tensor tensor;
    int64_t shape[9], strides[9];
    bool out; /* the plugin may write its elements, and nothing else of the block */
    uint8_t *block, *before;
    size_t bytes;
    int64_t rows; /* of its elements: where they are in the block */
    size_t first, row_bytes, stride_bytes;
};

enum { FZ_MOST_TENSORS = 64 };

struct fz_heap {
    struct fz_tensor tensors[FZ_MOST_TENSORS];
    int32_t count;
};

/* The next tensor, [rows, columns] or, with columns 0, [rows]; `gap` elements between rows. */
struct fz_tensor *fz_shape(struct fz_heap *heap, sluice_dtype dtype, int64_t rows, int64_t columns,
                           int64_t gap, bool out);
/* Gives it memory for what its header says now, with byte_offset as it is: false, and data NULL,
 * where that is out of bounds. Contents are poison. */
bool fz_place(struct fz_tensor *tensor);
/* Both. Aborts where there is no memory. */
struct fz_tensor *fz_make(struct fz_heap *heap, sluice_dtype dtype, int64_t rows, int64_t columns,
                          int64_t gap, bool out);

/* Before a call: remembers what is there. After it: inputs and gaps are as they were. */
void fz_before(struct fz_heap *heap);
void fz_after(const struct fz_heap *heap);
void fz_free(struct fz_heap *heap);

/* Elements by row and column; ids of either width. */
int64_t fz_id(const struct fz_tensor *tensor, int64_t row, int64_t column);
void fz_set_id(const struct fz_tensor *tensor, int64_t row, int64_t column, int64_t id);
float fz_float(const struct fz_tensor *tensor, int64_t row, int64_t column);

/* Fills a tensor of floats with values that matter, by the bytes left of the input. */
void fz_fill(const struct fz_tensor *tensor, const struct fz_bytes *palette, uint32_t seed);

bool fz_same(const struct fz_tensor *a, const struct fz_tensor *b);

/* A status that the header names but INTERNAL; where it is no OK, the context has a text. */
void fz_status(const sluice_api *api, const sluice_context *context, sluice_status status);

#endif
