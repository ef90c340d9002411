/* SPDX-License-Identifier: Apache-2.0 */
#include "bk_args.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "../core/mutant.h"

enum { LONGEST_STRUCT = 4096 };

static sluice_status refuse(sluice_context *context, char *text, size_t text_size,
                            sluice_status status, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

static sluice_status refuse(sluice_context *context, char *text, size_t text_size,
                            sluice_status status, const char *format, ...)
{
    char line[256];
    va_list values;
    va_start(values, format);
    (void)vsnprintf(line, sizeof line, format, values);
    va_end(values);
    if (context)
        return sl_fail(context, status, "%s", line);
    if (text && text_size)
        (void)snprintf(text, text_size, "%s", line);
    return status;
}

sluice_status sl_check_struct(sluice_context *context, char *text, size_t text_size,
                              const char *name, const void *args, size_t least, size_t known)
{
    if (!args)
        return refuse(context, text, text_size, SLUICE_INVALID, "%s is NULL", name);
    size_t size;
    memcpy(&size, args, sizeof size);
    if (SL_MUTANT(short_struct_accepted))
        least = sizeof size + 1;
    if (SL_MUTANT(struct_size_ignored))
        return SLUICE_OK;
    if (size < least || size > LONGEST_STRUCT)
        return refuse(context, text, text_size, SLUICE_INVALID,
                      "%s.struct_size is %zu: must be %zu to %d (this plugin knows %zu)", name,
                      size, least, LONGEST_STRUCT, known);
    const unsigned char *bytes = args;
    for (size_t i = known; i < size; i++)
        if (bytes[i] != 0 && !SL_MUTANT(unknown_tail_ignored))
            return refuse(context, text, text_size, SLUICE_UNSUPPORTED,
                          "%s.struct_size is %zu and byte %zu is not zero: this plugin knows the "
                          "first %zu bytes and cannot do what lies behind them",
                          name, size, i, known);
    return SLUICE_OK;
}

static inline int32_t type_of(sluice_dtype dtype)
{
    if (dtype.lanes != 1)
        return 0;
    switch (dtype.code) {
    case SLUICE_FLOAT:
        return dtype.bits == 32 ? SL_T_F32 : dtype.bits == 16 ? SL_T_F16 : 0;
    case SLUICE_BFLOAT:
        return dtype.bits == 16 ? SL_T_BF16 : 0;
    case SLUICE_INT:
        return dtype.bits == 32 ? SL_T_I32 : dtype.bits == 64 ? SL_T_I64 : 0;
    case SLUICE_UINT:
    case 6: /* DLPack's bool */
        return dtype.bits == 8 ? SL_T_U8 : 0;
    default:
        return 0;
    }
}

static const char *type_names(int32_t types)
{
    switch (types) {
    case SL_T_F32:
        return "float32";
    case SL_T_F16:
        return "float16";
    case SL_T_BF16:
        return "bfloat16";
    case SL_T_U8:
        return "uint8 or bool";
    case SL_T_I64:
        return "int64";
    case SL_T_IDS:
        return "int32 or int64";
    case SL_T_FLOATS:
        return "float32, float16 or bfloat16";
    default:
        return "another dtype";
    }
}

static bool empty(const sluice_tensor *tensor)
{
    bool any = false;
    for (int32_t i = 0; tensor->shape && i < tensor->ndim && i < SLUICE_MAX_NDIM; i++)
        any = any || tensor->shape[i] == 0;
    return any;
}

/* Is it in memory of the context's device, or (if that is a GPU, with host_too) of the host?
 * Nothing of a tensor without elements is read, wherever it is. */
static bool in_reach(const sluice_context *context, const sluice_tensor *tensor, bool host_too)
{
    const sluice_device device = context->device;
    if (sl_on_host(tensor) && (device.type == SLUICE_CPU || host_too))
        return true;
    return device.type != SLUICE_CPU &&
           ((tensor->device.type == device.type && tensor->device.id == device.id) ||
            empty(tensor));
}

static sluice_status refuse_memory(sluice_context *context, const char *name,
                                   const sluice_tensor *tensor, bool host_too)
{
    if (context->device.type == SLUICE_CPU)
        return sl_fail(context, SLUICE_INVALID,
                       "%s is on device type %d: this context takes host memory (type %d)", name,
                       tensor->device.type, SLUICE_CPU);
    return sl_fail(context, SLUICE_INVALID,
                   "%s is on device {%d, %d}: this context takes {%d, %d}, memory of its GPU%s",
                   name, tensor->device.type, tensor->device.id, context->device.type,
                   context->device.id, host_too ? ", or of the host" : "");
}

static sluice_status check_frame(sluice_context *context, const char *name,
                                 const sluice_tensor *tensor, bool host_too)
{
    if (!tensor)
        return sl_fail(context, SLUICE_INVALID, "%s is missing", name);
    if (!in_reach(context, tensor, host_too))
        return refuse_memory(context, name, tensor, host_too);
    if (tensor->ndim < 0 || tensor->ndim > SLUICE_MAX_NDIM || (tensor->ndim && !tensor->shape))
        return sl_fail(context, SLUICE_INVALID, "%s has ndim %d%s: must be 0 to %d with a shape",
                       name, tensor->ndim, tensor->shape ? "" : " and no shape", SLUICE_MAX_NDIM);
    for (int32_t i = 0; i < tensor->ndim; i++)
        if (tensor->shape[i] < 0 || tensor->shape[i] > INT64_MAX / 16)
            return sl_fail(context, SLUICE_INVALID,
                           "%s has extent %lld in dimension %d: must be 0 to %lld", name,
                           (long long)tensor->shape[i], i, (long long)(INT64_MAX / 16));
    return SLUICE_OK;
}

static sluice_status refuse_type(sluice_context *context, const char *name,
                                 const sluice_tensor *tensor, int32_t types)
{
    return sl_fail(context, SLUICE_INVALID, "%s has dtype code %u, %u bits, %u lanes: must be %s",
                   name, tensor->dtype.code, tensor->dtype.bits, tensor->dtype.lanes,
                   type_names(types & ~SL_T_HOST));
}

static inline sluice_status check_type(sluice_context *context, const char *name,
                                       const sluice_tensor *tensor, int32_t types, int32_t *type)
{
    *type = type_of(tensor->dtype) & types;
    return *type ? SLUICE_OK : refuse_type(context, name, tensor, types);
}

/* Rows may have a stride; what follows the first dimension must be dense. */
static sluice_status check_strides(sluice_context *context, const char *name,
                                   const sluice_tensor *tensor, struct sl_view *view)
{
    int64_t dense = 1;
    for (int32_t i = tensor->ndim - 1; i >= 1; i--) {
        int64_t extent = tensor->shape[i];
        if (tensor->strides && extent > 1 && view->rows > 0 && tensor->strides[i] != dense)
            return sl_fail(context, SLUICE_INVALID,
                           "%s has stride %lld in dimension %d: must be %lld, only rows may have "
                           "a stride",
                           name, (long long)tensor->strides[i], i, (long long)dense);
        if (extent && dense > INT64_MAX / 16 / extent)
            return sl_fail(context, SLUICE_INVALID, "%s has more elements than memory", name);
        dense *= extent;
    }
    view->columns = dense;
    view->stride = dense;
    if (tensor->ndim && tensor->strides && (view->rows > 1 || SL_MUTANT(strides_of_one_read))) {
        view->stride = tensor->strides[0];
        if (view->stride < 0)
            return sl_fail(context, SLUICE_INVALID, "%s has row stride %lld: must not be negative",
                           name, (long long)view->stride);
    }
    return SLUICE_OK;
}

static sluice_status check_data(sluice_context *context, const char *name,
                                const sluice_tensor *tensor, size_t align, struct sl_view *view)
{
    view->data = tensor->data ? (char *)tensor->data + tensor->byte_offset : NULL;
    if (SL_MUTANT(offset_ignored))
        view->data = tensor->data;
    if (view->rows == 0 || view->columns == 0)
        return SLUICE_OK;
    if (!tensor->data)
        return sl_fail(context, SLUICE_INVALID, "%s has no data, but %lld rows", name,
                       (long long)view->rows);
    if ((uintptr_t)view->data % align)
        return sl_fail(context, SLUICE_INVALID, "%s is not aligned to its element of %zu bytes",
                       name, align);
    return SLUICE_OK;
}

sluice_status sl_check_tensor(sluice_context *context, const char *name,
                              const sluice_tensor *tensor, int64_t rows, int64_t columns,
                              int32_t types, struct sl_view *view)
{
    sluice_status status = check_frame(context, name, tensor, (types & SL_T_HOST) != 0);
    if (status || (status = check_type(context, name, tensor, types, &view->type)))
        return status;
    view->size = view->type == SL_T_U8                               ? 1
                 : view->type == SL_T_F16 || view->type == SL_T_BF16 ? 2
                 : view->type == SL_T_I64                            ? 8
                                                                     : 4;
    bool vector = columns == 1 && tensor->ndim == 1;
    if (!vector && tensor->ndim != 2 && !(columns == -1 && tensor->ndim == 1))
        return sl_fail(context, SLUICE_INVALID, "%s has ndim %d: must be %s", name, tensor->ndim,
                       columns == 1 ? "1" : "2");
    view->rows = tensor->shape[0];
    status = check_strides(context, name, tensor, view);
    if (status)
        return status;
    if (rows >= 0 && view->rows != rows && !SL_MUTANT(rows_not_checked))
        return sl_fail(context, SLUICE_INVALID, "%s has %lld rows: must be %lld", name,
                       (long long)view->rows, (long long)rows);
    if (columns >= 0 && view->columns != columns)
        return sl_fail(context, SLUICE_INVALID, "%s has %lld columns: must be %lld", name,
                       (long long)view->columns, (long long)columns);
    return check_data(context, name, tensor, (size_t)view->size, view);
}

sluice_status sl_check_apart(sluice_context *context, const char *name, const struct sl_view *view)
{
    if (view->rows < 2 || view->stride >= view->columns || SL_MUTANT(rows_overlap))
        return SLUICE_OK;
    return sl_fail(context, SLUICE_INVALID,
                   "%s has row stride %lld: must be at least %lld, its rows overlap", name,
                   (long long)view->stride, (long long)view->columns);
}

sluice_status sl_check_result(sluice_context *context, const char *name,
                              const sluice_tensor *tensor, int64_t rows, int64_t columns,
                              int32_t types, struct sl_view *view)
{
    sluice_status status = sl_check_tensor(context, name, tensor, rows, columns, types, view);
    return status ? status : sl_check_apart(context, name, view);
}

sluice_status sl_check_bytes(sluice_context *context, const char *name, const sluice_tensor *tensor,
                             int64_t rows, struct sl_view *view)
{
    sluice_status status = check_frame(context, name, tensor, false);
    if (status)
        return status;
    int64_t bits = (int64_t)tensor->dtype.bits * tensor->dtype.lanes;
    if (bits == 0 || tensor->ndim < 1)
        return sl_fail(context, SLUICE_INVALID,
                       "%s has %d dimensions of %lld bits an element: must be [rows, ...] of a "
                       "sized dtype",
                       name, tensor->ndim, (long long)bits);
    view->rows = tensor->shape[0];
    view->type = type_of(tensor->dtype);
    view->size = 1;
    status = check_strides(context, name, tensor, view);
    if (status)
        return status;
    if (rows >= 0 && view->rows != rows)
        return sl_fail(context, SLUICE_INVALID, "%s has %lld rows: must be %lld", name,
                       (long long)view->rows, (long long)rows);
    if (view->columns > INT64_MAX >> 25 || view->stride > INT64_MAX >> 25)
        return sl_fail(context, SLUICE_INVALID, "%s has more elements than memory", name);
    long long row_bits = view->columns * bits, stride_bits = view->stride * bits;
    if (row_bits % 8 || (view->rows > 1 && stride_bits % 8))
        return sl_fail(context, SLUICE_INVALID, "%s has rows of %lld bits: must be whole bytes",
                       name, row_bits);
    view->columns = row_bits / 8;
    view->stride = stride_bits / 8;
    /* Floats may be multiplied; the rest is copied. */
    size_t align = view->type & SL_T_FLOATS ? (size_t)tensor->dtype.bits / 8 : 1;
    return check_data(context, name, tensor, align, view);
}

sluice_status sl_check_scalar(sluice_context *context, const char *name,
                              const sluice_tensor *tensor, int64_t otherwise,
                              struct sl_scalar *scalar)
{
    *scalar = (struct sl_scalar){.value = otherwise};
    if (!tensor)
        return SLUICE_OK;
    int32_t type;
    sluice_status status = check_frame(context, name, tensor, true);
    if (status || (status = check_type(context, name, tensor, SL_T_IDS, &type)))
        return status;
    for (int32_t i = 0; i < tensor->ndim; i++)
        if (tensor->shape[i] != 1)
            return sl_fail(context, SLUICE_INVALID,
                           "%s has extent %lld in dimension %d: must be 1, it is one number", name,
                           (long long)tensor->shape[i], i);
    if (!tensor->data)
        return sl_fail(context, SLUICE_INVALID, "%s has no data: must be one number", name);
    char *data = (char *)tensor->data + tensor->byte_offset;
    if (!sl_on_host(tensor)) {
        scalar->there = (struct sl_ids){data, 1, type == SL_T_I64};
    } else if (type == SL_T_I32) {
        int32_t narrow;
        memcpy(&narrow, data, sizeof narrow);
        scalar->value = narrow;
    } else {
        memcpy(&scalar->value, data, sizeof scalar->value);
    }
    return SLUICE_OK;
}

sluice_status sl_check_layer(sluice_context *context, int32_t layer, struct sl_layer **state)
{
    if (layer < 0 || layer >= context->layer_count)
        return sl_fail(context, SLUICE_INVALID, "layer is %d: must be 0 to %d", layer,
                       context->layer_count - 1);
    *state = &context->layers[layer];
    return SLUICE_OK;
}
