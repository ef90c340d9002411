/* SPDX-License-Identifier: Apache-2.0
 * Checks of what a caller hands in. Each returns SLUICE_OK, or has set last_error. */
#ifndef SL_BK_ARGS_H
#define SL_BK_ARGS_H

#include "../core/choose.h"
#include "bk_context.h"

/* Is `args`, whose first member is its size, at least `least` bytes (the first release's) and zero
 * beyond the `known` ones? Text goes to the context, or to `text` where context is NULL. */
sluice_status sl_check_struct(sluice_context *context, char *text, size_t text_size,
                              const char *name, const void *args, size_t least, size_t known);

/* Element types of a tensor, or-ed into what is allowed. */
enum {
    SL_T_F32 = 1,
    SL_T_F16 = 2,
    SL_T_BF16 = 4,
    SL_T_I32 = 8,
    SL_T_I64 = 16,
    SL_T_U8 = 32,   /* uint8 or bool */
    SL_T_HOST = 64, /* host memory is taken as well as the device's */
    SL_T_IDS = SL_T_I32 | SL_T_I64,
    SL_T_FLOATS = SL_T_F32 | SL_T_F16 | SL_T_BF16
};

/* A checked tensor. */
struct sl_view {
    char *data;      /* first element; NULL only where there is none */
    int64_t rows;    /* extent of dimension 0 */
    int64_t columns; /* product of the others: 1 for a vector */
    int64_t stride;  /* elements from row to row */
    int32_t type;    /* SL_T_* */
    int32_t size;    /* bytes of an element */
};

static inline bool sl_on_host(const sluice_tensor *tensor)
{
    return tensor->device.type == SLUICE_CPU || tensor->device.type == SLUICE_CUDA_HOST;
}

/* A tensor [rows, columns] (or [rows] where columns is 1 and ndim is 1) of one of `types` on the
 * context's device. rows or columns -1: any. A tensor of [rows, 1] passes for [rows]. */
sluice_status sl_check_tensor(sluice_context *context, const char *name,
                              const sluice_tensor *tensor, int64_t rows, int64_t columns,
                              int32_t types, struct sl_view *view);

/* The same for an output, whose rows must not overlap. */
sluice_status sl_check_result(sluice_context *context, const char *name,
                              const sluice_tensor *tensor, int64_t rows, int64_t columns,
                              int32_t types, struct sl_view *view);
sluice_status sl_check_apart(sluice_context *context, const char *name, const struct sl_view *view);

/* Any dtype as bytes, [rows, ...]: view->columns and stride are then bytes, size 1. */
sluice_status sl_check_bytes(sluice_context *context, const char *name, const sluice_tensor *tensor,
                             int64_t rows, struct sl_view *view);

/* One id. */
struct sl_scalar {
    int64_t value;       /* `otherwise` where it is absent or on a device that is not the host */
    struct sl_ids there; /* on that device; data NULL: `value` holds */
};

/* ndim 0 or one element, on the host or the context's device. */
sluice_status sl_check_scalar(sluice_context *context, const char *name,
                              const sluice_tensor *tensor, int64_t otherwise,
                              struct sl_scalar *scalar);

sluice_status sl_check_layer(sluice_context *context, int32_t layer, struct sl_layer **state);

static inline struct sl_ids sl_ids_of(const struct sl_view *view)
{
    struct sl_ids ids = {view->data, view->stride, view->type == SL_T_I64};
    return ids;
}

/* SL_F32 ... of a float view. */
static inline int32_t sl_float_type(const struct sl_view *view)
{
    return view->type == SL_T_F32 ? SL_F32 : view->type == SL_T_F16 ? SL_F16 : SL_BF16;
}

static inline void sl_id_put(const struct sl_ids *ids, int64_t row, int64_t column, int64_t id)
{
    int64_t i = row * ids->stride + column;
    if (ids->wide)
        ((int64_t *)ids->data)[i] = id;
    else
        ((int32_t *)ids->data)[i] = (int32_t)id;
}

#endif
