/* SPDX-License-Identifier: Apache-2.0 */
/* What streams do: launches, copies, fills, calls of the host. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "driver.h"
#include "warp.h"

static uint8_t *copied(const uint8_t *from, uint64_t bytes)
{
    uint8_t *to = malloc(bytes ? bytes : 1);
    if (!to)
        abort();
    memcpy(to, from, bytes);
    return to;
}

struct work work_copy(const struct work *work)
{
    struct work copy = *work;
    if (work->params)
        copy.params = copied(work->params, work->fn->param_bytes);
    if (work->staged)
        copy.staged = copied(work->staged, work->bytes);
    if (work->task)
        work->task->hold(work->arg);
    return copy;
}

void work_free(struct work *work)
{
    free(work->params);
    free(work->staged);
    work->params = work->staged = NULL;
    if (work->task)
        work->task->drop(work->arg);
    work->task = NULL;
}

/* A line a launch in the file STANDIN_TRACE, for whoever counts what a plugin does. */
static void trace(const struct grid *grid)
{
    const struct standin_counters *c = &grid->counters;
    const char *path = getenv("STANDIN_TRACE");
    FILE *file = path ? fopen(path, "a") : NULL;
    if (!file)
        return;
    (void)fprintf(file,
                  "%s blocks %u threads %u instructions %llu longest %llu load %llu store %llu "
                  "atomic %llu atomics %llu conflicts %llu divergent %llu\n",
                  grid->fn->name, grid->blocks[0], grid->threads[0],
                  (unsigned long long)c->warp_instructions, (unsigned long long)c->longest_warp,
                  (unsigned long long)c->load_sectors, (unsigned long long)c->store_sectors,
                  (unsigned long long)c->atomic_sectors, (unsigned long long)c->global_atomics,
                  (unsigned long long)c->bank_conflicts, (unsigned long long)c->divergent_branches);
    (void)fclose(file);
}

static int launch(struct CUctx_st *ctx, struct work *work)
{
    static uint64_t next_id;
    struct grid grid = {0};
    grid.fn = work->fn;
    memcpy(grid.blocks, work->blocks, sizeof grid.blocks);
    memcpy(grid.threads, work->threads, sizeof grid.threads);
    grid.dynamic_shared = work->shared;
    grid.params = work->params;
    grid.id = __atomic_add_fetch(&next_id, 1, __ATOMIC_RELAXED);
    grid.device = ctx->device;
    grid.budget = standin_launch_budget();
    grid_run(&grid);
    grid.counters.launches = 1;
    standin_add(&grid.counters);
    trace(&grid);
    return grid.error;
}

/* Memory at an address: of an allocation, or the host's own where none is known. */
static int range(drv_address at, uint64_t bytes, const char *what, uint8_t **data, uint8_t **init)
{
    char text[160];
    const struct mem_alloc *alloc = mem_find(at);
    *init = NULL;
    *data = alloc ? mem_range(at, bytes, init) : NULL;
    if (!alloc && (at < 0x0000100000000000ULL || at >= 0x0000400000000000ULL))
        memcpy(data, &at, sizeof at);
    if (*data)
        return DRV_OK;
    (void)snprintf(text, sizeof text, "a %s of %llu bytes at 0x%llx is outside of living memory",
                   what, (unsigned long long)bytes, (unsigned long long)at);
    standin_say(text);
    return DRV_ILLEGAL_ADDRESS;
}

DRV_API int standin_memory(uint64_t address, uint64_t bytes, int device, const char *what,
                           uint8_t **data, uint8_t **init)
{
    char text[160];
    int error = range(address, bytes, what, data, init);
    const struct mem_alloc *alloc = error ? NULL : mem_find(address);
    if (!alloc || alloc->device < 0 || alloc->device == device)
        return error;
    (void)snprintf(text, sizeof text, "a %s at 0x%llx on device %d is in memory of device %d", what,
                   (unsigned long long)address, device, alloc->device);
    standin_say(text);
    return DRV_ILLEGAL_ADDRESS;
}

static int copy(struct work *work)
{
    uint8_t *to, *from, *to_init, *from_init = NULL;
    int error = range(work->to, work->bytes, "copy to", &to, &to_init);
    if (!error && work->staged)
        from = work->staged;
    else if (!error)
        error = range(work->from, work->bytes, "copy from", &from, &from_init);
    if (error)
        return error;
    memmove(to, from, work->bytes);
    if (to_init && from_init)
        memmove(to_init, from_init, work->bytes);
    else if (to_init)
        memset(to_init, 1, work->bytes);
    return DRV_OK;
}

static int fill(struct work *work)
{
    uint8_t *to, *init;
    int error = range(work->to, work->bytes, "fill", &to, &init);
    if (!error && !mem_find(work->to)) {
        standin_say("a fill of memory that is not the device's");
        error = DRV_ILLEGAL_ADDRESS;
    }
    if (error)
        return error;
    const struct timespec pause = {drv_fill_ms() / 1000, drv_fill_ms() % 1000 * 1000000L};
    (void)nanosleep(&pause, NULL);
    for (uint64_t i = 0; i < work->bytes; i += work->width)
        memcpy(to + i, &work->value, work->width);
    if (init)
        memset(init, 1, work->bytes);
    return DRV_OK;
}

int work_run(struct CUctx_st *ctx, struct work *work)
{
    if (work->error)
        return work->error;
    switch (work->kind) {
    case WORK_LAUNCH:
        return launch(ctx, work);
    case WORK_COPY:
        return work->bytes ? copy(work) : DRV_OK;
    case WORK_SET:
        return work->bytes ? fill(work) : DRV_OK;
    case WORK_HOST:
        work->host(work->arg);
        return DRV_OK;
    case WORK_TASK:
        return work->task->run(work->arg);
    default:
        return DRV_OK;
    }
}
