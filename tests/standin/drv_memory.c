/* SPDX-License-Identifier: Apache-2.0 */
/* Memory, copies and fills. A copy from pageable host memory is staged when it is asked for; one to
 * it ends before the call does; pinned memory is read and written when the stream gets there. */
#include <stdlib.h>
#include <string.h>

#include "drv_api.h"

static drv_address address_of(const void *data)
{
    return (drv_address)(uintptr_t)data;
}

static int allocate(drv_address *address, size_t bytes)
{
    struct CUctx_st *ctx;
    int error = drv_ready(&ctx);
    if (error)
        return error;
    if (!bytes)
        return DRV_INVALID_VALUE;
    if (capture_forbids())
        return DRV_CAPTURE_UNSUPPORTED;
    error = drv_fails(STANDIN_ALLOC);
    if (error)
        return error;
    const char *limit = getenv("STANDIN_MEMORY");
    uint64_t total = limit ? strtoull(limit, NULL, 10) : DRV_MEMORY;
    if (bytes > total - mem_used(ctx->device))
        return DRV_OUT_OF_MEMORY;
    *address = mem_alloc(ctx->device, bytes);
    drv_hold(*address != 0);
    return *address ? DRV_OK : DRV_OUT_OF_MEMORY;
}

int cuMemAlloc_v2(drv_address *address, size_t bytes)
{
    return allocate(address, bytes);
}

int cuMemFree_v2(drv_address address)
{
    struct CUctx_st *ctx;
    int error = drv_ready(&ctx);
    if (!address || (error && !ctx))
        return error;
    if (capture_forbids())
        return DRV_CAPTURE_UNSUPPORTED;
    stream_wait_all(ctx);
    if (!mem_free(address))
        return DRV_INVALID_VALUE;
    drv_hold(-1);
    return ctx_error(ctx);
}

int cuMemHostAlloc(void **data, size_t bytes, unsigned flags)
{
    struct CUctx_st *ctx;
    (void)flags;
    int error = drv_ready(&ctx);
    if (error)
        return error;
    error = drv_fails(STANDIN_ALLOC);
    if (error)
        return error;
    *data = malloc(bytes ? bytes : 1);
    if (!*data || !mem_add_host(*data, bytes, true))
        return DRV_OUT_OF_MEMORY;
    memset(*data, MEM_POISON_NEW, bytes);
    drv_hold(1);
    return DRV_OK;
}

int cuMemAllocHost_v2(void **data, size_t bytes)
{
    return cuMemHostAlloc(data, bytes, 0);
}

int cuMemFreeHost(void *data)
{
    struct CUctx_st *ctx;
    int error = drv_ready(&ctx);
    if (error == DRV_INVALID_CONTEXT || error == DRV_NOT_INITIALIZED)
        return error;
    stream_wait_all(ctx);
    if (!mem_free(address_of(data)))
        return DRV_INVALID_VALUE;
    drv_hold(-1);
    return ctx_error(ctx);
}

int cuMemHostGetDevicePointer_v2(drv_address *address, void *data, unsigned flags)
{
    (void)flags;
    *address = address_of(data);
    return mem_find(*address) ? DRV_OK : DRV_INVALID_VALUE;
}

int cuMemGetInfo_v2(size_t *left, size_t *total)
{
    struct CUctx_st *ctx;
    int error = drv_ready(&ctx);
    if (error)
        return error;
    *total = DRV_MEMORY;
    *left = DRV_MEMORY - mem_used(ctx->device);
    return DRV_OK;
}

int cuMemGetAddressRange_v2(drv_address *base, size_t *bytes, drv_address address)
{
    const struct mem_alloc *alloc = mem_find(address);
    if (!alloc || !alloc->live)
        return DRV_NOT_FOUND;
    if (base)
        *base = alloc->base;
    if (bytes)
        *bytes = alloc->bytes;
    return DRV_OK;
}

static int submit(struct work *work, struct CUstream_st *stream, bool wait)
{
    struct CUctx_st *ctx;
    int error = drv_ready(&ctx);
    error = error ? error : drv_fails(STANDIN_COPY);
    if (error) {
        work_free(work);
        return error;
    }
    stream = stream_of(ctx, stream);
    error = stream_submit(stream, work);
    return error || !wait ? error : stream_wait(stream);
}

static int copy(drv_address to, drv_address from, size_t bytes, struct CUstream_st *stream,
                bool wait)
{
    struct work work = {.kind = WORK_COPY, .to = to, .from = from, .bytes = bytes};
    return submit(&work, stream, wait);
}

int cuMemcpy(drv_address to, drv_address from, size_t bytes)
{
    return copy(to, from, bytes, NULL, true);
}

int cuMemcpyAsync(drv_address to, drv_address from, size_t bytes, struct CUstream_st *stream)
{
    return copy(to, from, bytes, stream, false);
}

int cuMemcpyHtoD_v2(drv_address to, const void *from, size_t bytes)
{
    return copy(to, address_of(from), bytes, NULL, true);
}

int cuMemcpyDtoH_v2(void *to, drv_address from, size_t bytes)
{
    return copy(address_of(to), from, bytes, NULL, true);
}

int cuMemcpyDtoD_v2(drv_address to, drv_address from, size_t bytes)
{
    return copy(to, from, bytes, NULL, true);
}

int cuMemcpyHtoDAsync_v2(drv_address to, const void *from, size_t bytes, struct CUstream_st *stream)
{
    struct work work = {.kind = WORK_COPY, .to = to, .from = address_of(from), .bytes = bytes};
    struct CUctx_st *ctx = drv_context();
    bool capturing = ctx && stream_of(ctx, stream)->capture;
    if (bytes && !capturing && !mem_find(address_of(from))) {
        work.staged = malloc(bytes);
        if (!work.staged)
            return DRV_OUT_OF_MEMORY;
        memcpy(work.staged, from, bytes);
    }
    return submit(&work, stream, false);
}

int cuMemcpyDtoHAsync_v2(void *to, drv_address from, size_t bytes, struct CUstream_st *stream)
{
    struct CUctx_st *ctx = drv_context();
    bool capturing = ctx && stream_of(ctx, stream)->capture;
    return copy(address_of(to), from, bytes, stream, !capturing && !mem_find(address_of(to)));
}

int cuMemcpyDtoDAsync_v2(drv_address to, drv_address from, size_t bytes, struct CUstream_st *stream)
{
    return copy(to, from, bytes, stream, false);
}

static int fill(drv_address to, uint32_t value, uint32_t width, size_t count,
                struct CUstream_st *stream, bool wait)
{
    struct work work = {
        .kind = WORK_SET, .to = to, .value = value, .width = width, .bytes = count * width};
    if (to % width)
        return DRV_INVALID_VALUE;
    return submit(&work, stream, wait);
}

int cuMemsetD8_v2(drv_address to, unsigned char value, size_t count)
{
    return fill(to, value, 1, count, NULL, true);
}

int cuMemsetD32_v2(drv_address to, unsigned value, size_t count)
{
    return fill(to, value, 4, count, NULL, true);
}

int cuMemsetD8Async(drv_address to, unsigned char value, size_t count, struct CUstream_st *stream)
{
    return fill(to, value, 1, count, stream, false);
}

int cuMemsetD32Async(drv_address to, unsigned value, size_t count, struct CUstream_st *stream)
{
    return fill(to, value, 4, count, stream, false);
}
