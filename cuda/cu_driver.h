/* SPDX-License-Identifier: Apache-2.0
 * The driver, opened at run time, and the kernels of this library on one device. */
#ifndef SLC_DRIVER_H
#define SLC_DRIVER_H

#include "../plugin.h"
#include "cu_types.h"

/* The driver's entry points, opened once for the process; NULL with the reason in `text` where
 * there is no driver, it lacks one, or cuInit fails. [any thread] */
const struct slcu_driver *slc_driver(char *text, size_t text_size);

/* The name of an error; never NULL. */
const char *slc_error_name(const struct slcu_driver *driver, slcu_result error);

enum slc_kernel {
    SLC_TOPK,
    SLC_REMAP,
    SLC_RECORD,
    SLC_ROUTE,
    SLC_SLOTS,
    SLC_TOPK_WIDE,
    SLC_ROUTE_WIDE,
    SLC_LAY_OUT,
    SLC_LAY_ROWS,
    SLC_PACK,
    SLC_UNPACK,
    SLC_PAD_ROWS,
    SLC_GIVE_ROWS,
    SLC_GIVE_SUMS,
    SLC_ADD_ROWS,
    SLC_BALANCE_COUNT,
    SLC_BALANCE_SOLVE,
    SLC_BALANCE_PLACE,
    SLC_BALANCE_VISIT,
    SLC_BALANCE_ADD,
    SLC_WATER_COUNT,
    SLC_WATER_SET,
    SLC_WATER_PLACE,
    SLC_KERNELS
};

/* A device in use: its primary context, retained, and the kernels loaded into it. */
struct slc_gpu {
    const struct slcu_driver *driver;
    slcu_device device;
    slcu_context context;
    slcu_module module;
    slcu_function kernel[SLC_KERNELS];
};

/* UNAVAILABLE with the reason where device `ordinal` or its driver cannot run the kernels. On
 * failure nothing is held. */
sluice_status slc_gpu_open(struct slc_gpu *gpu, int32_t ordinal, char *text, size_t text_size);
void slc_gpu_close(struct slc_gpu *gpu);

/* Between these the gpu's context is the thread's current one. */
slcu_result slc_gpu_enter(const struct slc_gpu *gpu);
void slc_gpu_leave(const struct slc_gpu *gpu);

/* Launches a kernel with one parameter; the gpu is entered. */
slcu_result slc_start(const struct slc_gpu *gpu, enum slc_kernel kernel, int32_t blocks,
                      int32_t warps, size_t shared_bytes, void *param, void *stream);

#endif
