#include "fuzz_kit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { POISON = 0xA5, MOST_BYTES = 1 << 20 };

const sluice_dtype FZ_F32 = {SLUICE_FLOAT, 32, 1}, FZ_F16 = {SLUICE_FLOAT, 16, 1},
                   FZ_BF16 = {SLUICE_BFLOAT, 16, 1}, FZ_I32 = {SLUICE_INT, 32, 1},
                   FZ_I64 = {SLUICE_INT, 64, 1}, FZ_U8 = {SLUICE_UINT, 8, 1};

_Noreturn void fz_broken(const char *file, int line, const char *condition)
{
    (void)fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, condition);
    abort();
}

/* ------------------------------------------------------------------------------------ input */

uint8_t fz_u8(struct fz_bytes *in)
{
    if (in->left == 0)
        return 0;
    in->left--;
    return *in->at++;
}

uint32_t fz_u32(struct fz_bytes *in)
{
    uint32_t value = 0;
    for (int32_t i = 0; i < 4; i++)
        value |= (uint32_t)fz_u8(in) << (8 * i);
    return value;
}

uint64_t fz_u64(struct fz_bytes *in)
{
    uint64_t low = fz_u32(in);
    return low | (uint64_t)fz_u32(in) << 32;
}

void fz_raw(struct fz_bytes *in, void *to, size_t bytes)
{
    uint8_t *at = to;
    for (size_t i = 0; i < bytes; i++)
        at[i] = fz_u8(in);
}

int32_t fz_range(struct fz_bytes *in, int32_t least, int32_t most)
{
    uint32_t span = (uint32_t)(most - least) + 1;
    uint32_t value = fz_u8(in);
    if (span > 256)
        value |= (uint32_t)fz_u8(in) << 8;
    return least + (int32_t)(value % span);
}

uint32_t fz_mix(uint32_t value)
{
    value = (value ^ value >> 16) * 0x7FEB352DU;
    value = (value ^ value >> 15) * 0x846CA68BU;
    return value ^ value >> 16;
}

/* ---------------------------------------------------------------------------------- tensors */

struct fz_tensor *fz_shape(struct fz_heap *heap, sluice_dtype dtype, int64_t rows, int64_t columns,
                           int64_t gap, bool out)
{
    FZ_HOLDS(heap->count < FZ_MOST_TENSORS);
    struct fz_tensor *tensor = &heap->tensors[heap->count++];
    memset(tensor, 0, sizeof *tensor);
    tensor->out = out;
    tensor->shape[0] = rows;
    tensor->shape[1] = columns;
    tensor->strides[0] = (columns ? columns : 1) + (columns ? gap : 0);
    tensor->strides[1] = 1;
    tensor->tensor = (sluice_tensor){.device = {SLUICE_CPU, 0},
                                     .ndim = columns ? 2 : 1,
                                     .dtype = dtype,
                                     .shape = tensor->shape,
                                     .strides = tensor->strides};
    return tensor;
}

/* The greatest and least offset of an element, in elements; false where there is none to place. */
static bool reach(const sluice_tensor *t, int64_t *low, int64_t *high)
{
    int64_t dense = 1;
    *low = *high = 0;
    if (t->ndim < 0 || t->ndim > 9 || (t->ndim > 0 && t->shape == NULL))
        return false;
    for (int32_t i = t->ndim - 1; i >= 0; i--) {
        int64_t extent = t->shape[i], far;
        int64_t stride = t->strides != NULL ? t->strides[i] : dense;
        if (extent < 1 || __builtin_mul_overflow(extent - 1, stride, &far) || far > MOST_BYTES ||
            far < -MOST_BYTES || extent > MOST_BYTES)
            return false;
        dense = dense > MOST_BYTES ? dense : dense * extent;
        *low += far < 0 ? far : 0;
        *high += far > 0 ? far : 0;
    }
    return true;
}

/* Where a plugin may write: rows of dense elements. Of anything else, nowhere. */
static void find_rows(struct fz_tensor *tensor, size_t bits)
{
    const sluice_tensor *t = &tensor->tensor;
    int64_t dense = 1;
    tensor->rows = 0;
    for (int32_t i = t->ndim - 1; i >= 1; i--) {
        if (t->strides != NULL && t->shape[i] > 1 && t->strides[i] != dense)
            return;
        dense *= t->shape[i];
    }
    if (t->ndim < 1)
        return;
    /* The stride of one row means nothing. */
    int64_t stride = t->strides != NULL && t->shape[0] > 1 ? t->strides[0] : dense;
    if (stride < 0 || bits % 8 != 0)
        return;
    tensor->rows = t->shape[0];
    tensor->first = t->byte_offset;
    tensor->row_bytes = (size_t)dense * bits / 8;
    tensor->stride_bytes = (size_t)stride * bits / 8;
}

bool fz_place(struct fz_tensor *tensor)
{
    sluice_tensor *t = &tensor->tensor;
    int64_t low, high;
    size_t bits = (size_t)t->dtype.bits * t->dtype.lanes;
    t->data = NULL;
    tensor->rows = 0;
    if (!reach(t, &low, &high) || t->byte_offset > MOST_BYTES)
        return false;
    size_t ahead = ((size_t)-low * bits + 7) / 8;
    size_t bytes = ahead + (size_t)t->byte_offset + ((size_t)(high + 1) * bits + 7) / 8;
    if (bytes > MOST_BYTES)
        return false;
    tensor->block = malloc(bytes > 0 ? bytes : 1);
    tensor->before = malloc(bytes > 0 ? bytes : 1);
    FZ_HOLDS(tensor->block != NULL && tensor->before != NULL);
    tensor->bytes = bytes;
    memset(tensor->block, POISON, bytes);
    t->data = tensor->block + ahead;
    find_rows(tensor, bits);
    return true;
}

struct fz_tensor *fz_make(struct fz_heap *heap, sluice_dtype dtype, int64_t rows, int64_t columns,
                          int64_t gap, bool out)
{
    struct fz_tensor *tensor = fz_shape(heap, dtype, rows, columns, gap, out);
    FZ_HOLDS(fz_place(tensor) || rows == 0);
    return tensor;
}

void fz_before(struct fz_heap *heap)
{
    for (int32_t i = 0; i < heap->count; i++)
        if (heap->tensors[i].block != NULL)
            memcpy(heap->tensors[i].before, heap->tensors[i].block, heap->tensors[i].bytes);
}

static void check_untouched(int32_t number, const struct fz_tensor *tensor)
{
    size_t at = 0;
    while (at < tensor->bytes && tensor->before[at] == tensor->block[at])
        at++;
    if (at == tensor->bytes)
        return;
    (void)fprintf(stderr, "tensor %d (%s, code %u, %u bits): byte %zu of %zu was written\n", number,
                  tensor->out ? "out" : "in", tensor->tensor.dtype.code, tensor->tensor.dtype.bits,
                  at, tensor->bytes);
    (void)fprintf(stderr, "rows: %lld of %zu bytes from %zu on, every %zu\n",
                  (long long)tensor->rows, tensor->row_bytes, tensor->first, tensor->stride_bytes);
    FZ_HOLDS(tensor->before[at] == tensor->block[at]);
}

void fz_after(const struct fz_heap *heap)
{
    for (int32_t i = 0; i < heap->count; i++) {
        const struct fz_tensor *tensor = &heap->tensors[i];
        if (tensor->block == NULL)
            continue;
        for (int64_t r = 0; tensor->out && r < tensor->rows; r++) {
            size_t at = tensor->first + (size_t)r * tensor->stride_bytes;
            memcpy(tensor->before + at, tensor->block + at, tensor->row_bytes);
        }
        check_untouched(i, tensor);
    }
}

void fz_free(struct fz_heap *heap)
{
    for (int32_t i = 0; i < heap->count; i++) {
        free(heap->tensors[i].block);
        free(heap->tensors[i].before);
    }
    heap->count = 0;
}

/* --------------------------------------------------------------------------------- elements */

static uint8_t *element(const struct fz_tensor *tensor, int64_t row, int64_t column)
{
    size_t size = tensor->tensor.dtype.bits / 8U;
    return tensor->block + tensor->first + (size_t)row * tensor->stride_bytes +
           (size_t)column * size;
}

int64_t fz_id(const struct fz_tensor *tensor, int64_t row, int64_t column)
{
    int64_t wide;
    int32_t narrow;
    if (tensor->tensor.dtype.bits == 64) {
        memcpy(&wide, element(tensor, row, column), sizeof wide);
        return wide;
    }
    memcpy(&narrow, element(tensor, row, column), sizeof narrow);
    return narrow;
}

void fz_set_id(const struct fz_tensor *tensor, int64_t row, int64_t column, int64_t id)
{
    int32_t narrow = (int32_t)id;
    if (tensor->tensor.dtype.bits == 64)
        memcpy(element(tensor, row, column), &id, sizeof id);
    else
        memcpy(element(tensor, row, column), &narrow, sizeof narrow);
}

float fz_float(const struct fz_tensor *tensor, int64_t row, int64_t column)
{
    float value;
    memcpy(&value, element(tensor, row, column), sizeof value);
    return value;
}

static uint32_t float_bits(uint8_t byte, uint32_t noise)
{
    static const uint32_t special[16] = {
        0x7FC00000, 0x7F800000, 0xFF800000, 0x00000000, 0x80000000, 0x7F7FFFFF,
        0xFF7FFFFF, 0x00000001, 0x807FFFFF, 0x41880000, 0x3F800000, 0xBF800000,
        0x42B17218, 0xC2CF0000, 0x7149F2CA, 0xFFA00001,
    };
    if (byte < 16)
        return special[byte];
    float value = ((float)byte - 136.0F) / 8.0F;
    /* Half of the values are coarse, so that there are ties. */
    value += byte & 1 ? (float)(noise & 0xFFFFU) / 65536.0F : 0.0F;
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

void fz_fill(const struct fz_tensor *tensor, const struct fz_bytes *palette, uint32_t seed)
{
    int64_t columns = tensor->tensor.ndim > 1 ? tensor->shape[1] : 1;
    for (int64_t r = 0; r < tensor->rows; r++) {
        for (int64_t c = 0; c < columns; c++) {
            uint32_t i = (uint32_t)(r * columns + c);
            uint32_t noise = fz_mix(i + seed * 0x9E3779B9U);
            size_t n = palette->left;
            uint8_t byte = (uint8_t)(noise >> 24 | 16U);
            if (n > 0)
                byte = (uint8_t)(palette->at[(i + seed) % n] + (i / n) * 37U);
            if (tensor->tensor.dtype.bits == 32) {
                uint32_t bits = float_bits(byte, noise);
                memcpy(element(tensor, r, c), &bits, sizeof bits);
            } else {
                uint16_t half = (uint16_t)((uint32_t)byte << 8 | (noise & 0xC3U));
                memcpy(element(tensor, r, c), &half, sizeof half);
            }
        }
    }
}

bool fz_same(const struct fz_tensor *a, const struct fz_tensor *b)
{
    return a->bytes == b->bytes && (a->bytes == 0 || memcmp(a->block, b->block, a->bytes) == 0);
}

void fz_status(const sluice_api *api, const sluice_context *context, sluice_status status)
{
    char text[600] = "";
    FZ_HOLDS(status >= SLUICE_OK && status < SLUICE_INTERNAL);
    if (status == SLUICE_OK)
        return;
    size_t length = api->last_error(context, text, sizeof text);
    FZ_HOLDS(length > 0 && strlen(text) == length);
    FZ_HOLDS(strchr(text, '\n') == NULL);
}
