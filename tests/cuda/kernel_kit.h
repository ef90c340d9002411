/* SPDX-License-Identifier: Apache-2.0
 * Kernels launched by themselves, on whatever libcuda.so.1 is there. */
#ifndef KERNEL_KIT_H
#define KERNEL_KIT_H

#include <stdbool.h>

#include "../../cuda/cu_driver.h"
#include "../standin/standin.h"

extern struct slc_gpu gpu;
extern uint64_t state; /* of the draws */

int32_t below(int32_t n);
_Noreturn void stop(const char *what);

void kernel_begin(void); /* opens and enters device 0 */
void kernel_end(void);
void kernel_run(enum slc_kernel kernel, int32_t blocks, int32_t warps, size_t shared, void *param);

/* Host memory, zeroed. */
void *room(size_t bytes);
/* Device memory with a copy of `from`; zeroed where that is NULL. */
void *there(const void *from, size_t bytes);
/* Its contents, in host memory; it is freed. */
void *back(void *from, size_t bytes);
void drop(const void *data);

/* What the stand-in counted since the last reset; false: another driver. */
bool kernel_counters(struct standin_counters *counters);
void kernel_counters_reset(void);

#endif
