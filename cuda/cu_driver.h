/* SPDX-License-Identifier: Apache-2.0
 * The driver, opened at run time, and the kernels of this library on one device. */
#ifndef SLC_DRIVER_H
#define SLC_DRIVER_H

#include "../plugin.h"
#include "cu_types.h"
#include "kernels/kernel_list.h"

/* The driver's entry points, opened once for the process; NULL with the reason in `text` where
 * there is no driver, it lacks one, or cuInit fails. [any thread] */
const struct slcu_driver *slc_driver(char *text, size_t text_size);

/* The name of an error; never NULL. */
const char *slc_error_name(const struct slcu_driver *driver, slcu_result error);

/* Bytes of shared memory that a block may have on every device without asking for more. */
enum { SLC_MOST_SHARED = 48 * 1024 };

/* A device in use: its primary context, retained, and the kernels loaded into it. */
struct slc_gpu {
    const struct slcu_driver *driver;
    slcu_device device;
    int32_t processors; /* multiprocessors, at least 1 */
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
