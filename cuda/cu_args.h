/* SPDX-License-Identifier: Apache-2.0
 * Checks of what a caller hands in. Each returns SLUICE_OK, or has set last_error. */
#ifndef SLC_ARGS_H
#define SLC_ARGS_H

#include "cu_context.h"

/* Is `args`, whose first member is its size, at least `least` bytes (the first release's) and zero
 * beyond the `known` ones? Text goes to the context, or to `text` where context is NULL. */
sluice_status slc_check_struct(sluice_context *context, char *text, size_t text_size,
                               const char *name, const void *args, size_t least, size_t known);

/* Element types of a tensor, or-ed into what is allowed. */
enum {
    SLC_T_F32 = 1,
    SLC_T_F16 = 2,
    SLC_T_BF16 = 4,
    SLC_T_I32 = 8,
    SLC_T_I64 = 16,
    SLC_T_U8 = 32,   /* uint8 or bool */
    SLC_T_HOST = 64, /* host memory is taken as well as the device's */
    SLC_T_IDS = SLC_T_I32 | SLC_T_I64,
    SLC_T_FLOATS = SLC_T_F32 | SLC_T_F16 | SLC_T_BF16
};

/* A checked tensor. */
struct slc_view {
    char *data;      /* first element; NULL only where there is none */
    int64_t rows;    /* extent of dimension 0 */
    int64_t columns; /* product of the others: 1 for a vector */
    int64_t stride;  /* elements from row to row */
    int32_t type;    /* SLC_T_* */
    int32_t size;    /* bytes of an element */
    bool host;       /* in host memory */
};

/* A tensor [rows, columns] (or [rows] where columns is 1 and ndim is 1) of one of `types` on the
 * context's device. rows or columns -1: any. A tensor of [rows, 1] passes for [rows]. */
sluice_status slc_check_tensor(sluice_context *context, const char *name,
                               const sluice_tensor *tensor, int64_t rows, int64_t columns,
                               int32_t types, struct slc_view *view);

/* The same for an output, whose rows must not overlap. */
sluice_status slc_check_result(sluice_context *context, const char *name,
                               const sluice_tensor *tensor, int64_t rows, int64_t columns,
                               int32_t types, struct slc_view *view);
sluice_status slc_check_apart(sluice_context *context, const char *name,
                              const struct slc_view *view);

/* One id: `value` where it is on the host or absent, else where it is on the device. */
struct slc_scalar {
    int64_t value;
    struct sl_ids there; /* data NULL: `value` holds */
};

sluice_status slc_check_scalar(sluice_context *context, const char *name,
                               const sluice_tensor *tensor, int64_t otherwise,
                               struct slc_scalar *scalar);

sluice_status slc_check_layer(sluice_context *context, int32_t layer, struct slc_layer **state);

static inline struct sl_ids slc_ids_of(const struct slc_view *view)
{
    struct sl_ids ids = {view->data, view->stride, view->type == SLC_T_I64};
    return ids;
}

#endif
