/* SPDX-License-Identifier: Apache-2.0
 * Worker threads of one context. They call no callback of the host. */
#ifndef SL_BK_POOL_H
#define SL_BK_POOL_H

#include <stdint.h>

struct sl_pool;

/* Part `part` of `parts` of a job. */
typedef void sl_job_fn(void *job, int32_t part, int32_t parts);

/* A pool of threads-1 workers; NULL where threads <= 1 (sl_pool_run then runs in place) or where a
 * thread could not be started (*failed is set). The allocation is the caller's: sl_pool_bytes. */
struct sl_pool *sl_pool_start(int32_t threads, void *memory, int *failed);
uint64_t sl_pool_bytes(int32_t threads);
void sl_pool_stop(struct sl_pool *pool);

/* Runs all parts, on the caller's thread too, and returns how many there were when all have ended.
 * `units` of work below 2 * `grain` run in place, without waking anybody. */
int32_t sl_pool_run(struct sl_pool *pool, sl_job_fn *run, void *job, int64_t units, int64_t grain);

#endif
