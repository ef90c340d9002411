/* SPDX-License-Identifier: Apache-2.0
 * Checks of what a caller hands in. Each returns SLUICE_OK, or has set last_error. */
#ifndef SL_CPU_ARGS_H
#define SL_CPU_ARGS_H

#include "cpu_context.h"

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
    SL_T_U8 = 32, /* uint8 or bool */
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

/* One id, by value: ndim 0 or one element. Absent: `otherwise`. */
sluice_status sl_check_scalar(sluice_context *context, const char *name,
                              const sluice_tensor *tensor, int64_t otherwise, int64_t *value);

sluice_status sl_check_layer(sluice_context *context, int32_t layer, struct sl_layer **state);

static inline struct sl_ids sl_ids_of(const struct sl_view *view)
{
    struct sl_ids ids = {view->data, view->stride, view->type == SL_T_I64};
    return ids;
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
