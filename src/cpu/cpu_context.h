/* SPDX-License-Identifier: Apache-2.0
 * What a context of the CPU backend has beside what all backends have. */
#ifndef SL_CPU_CONTEXT_H
#define SL_CPU_CONTEXT_H

#include "../backend/bk_context.h"
#include "../backend/bk_pool.h"
#include "../core/choose.h"
#include "cpu_sum.h"

struct sl_cpu_layer {
    sl_choose_fn *choose;
    int64_t calls; /* remap and route calls executed: numbers the draws */
};

/* A bank's counters are [threads + 1][P]: between calls all counts are in the first. */
struct sl_cpu {
    sluice_context shared;
    int64_t *load; /* waterfill's scratch */
    struct sl_pool *pool;
    struct sl_sums sums;
    struct sl_cpu_layer layers[];
};

static inline struct sl_cpu *sl_cpu_of(const sluice_context *context)
{
    return (struct sl_cpu *)(uintptr_t)context;
}

#endif
