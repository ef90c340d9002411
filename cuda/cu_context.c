/* SPDX-License-Identifier: Apache-2.0 */
#include "cu_context.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static bool forked(const sluice_context *context)
{
    return *context->fork_page == 0;
}

sluice_status slc_fail(sluice_context *context, sluice_status status, const char *format, ...)
{
    /* In a child after fork another thread of the parent may hold the lock for ever. */
    if (forked(context)) {
        if (pthread_mutex_trylock(&context->text_lock) != 0)
            return status;
    } else {
        pthread_mutex_lock(&context->text_lock);
    }
    va_list values;
    va_start(values, format);
    int used = 0;
    if (context->label[0])
        used = snprintf(context->error, sizeof context->error, "%s: ", context->label);
    if (used < 0)
        used = 0;
    (void)vsnprintf(context->error + used, sizeof context->error - (size_t)used, format, values);
    va_end(values);
    pthread_mutex_unlock(&context->text_lock);
    return status;
}

sluice_status slc_judge(sluice_context *context, const char *what, slcu_result error)
{
    if (!error)
        return SLUICE_OK;
    const char *name = slc_error_name(context->gpu.driver, error);
    if (error == SLCU_OUT_OF_MEMORY)
        return slc_fail(context, SLUICE_NO_MEMORY, "%s failed: %s", what, name);
    if (error >= SLCU_STREAM_CAPTURE_UNSUPPORTED && error <= SLCU_STREAM_CAPTURE_IMPLICIT)
        return slc_fail(context, SLUICE_NOT_CAPTURABLE,
                        "%s failed: %s: this call waits for the device and cannot be captured",
                        what, name);
    return slc_fail(context, SLUICE_DEVICE, "%s failed: %s", what, name);
}

static size_t rounded(size_t bytes)
{
    return bytes ? (bytes + 63) / 64 * 64 : 64;
}

void *slc_alloc(const sluice_context *context, size_t bytes, int32_t kind)
{
    void *data = context->host.alloc(context->host.user, rounded(bytes), 64, kind,
                                     (sluice_device){SLUICE_CPU, 0});
    if (data)
        memset(data, 0, rounded(bytes));
    return data;
}

void slc_free(const sluice_context *context, void *data, size_t bytes, int32_t kind)
{
    if (data)
        context->host.free(context->host.user, data, rounded(bytes), kind,
                           (sluice_device){SLUICE_CPU, 0});
}

void *slc_alloc_there(const sluice_context *context, size_t bytes)
{
    if (context->engine_memory)
        return context->host.alloc(context->host.user, rounded(bytes), 256, SLUICE_MEM_STATE,
                                   context->device);
    slcu_address address = 0;
    if (context->gpu.driver->MemAlloc(&address, rounded(bytes)))
        return NULL;
    return (void *)(uintptr_t)address; /* NOLINT(performance-no-int-to-ptr) */
}

void slc_free_there(const sluice_context *context, void *data, size_t bytes)
{
    if (!data)
        return;
    if (context->engine_memory)
        context->host.free(context->host.user, data, rounded(bytes), SLUICE_MEM_STATE,
                           context->device);
    else
        (void)context->gpu.driver->MemFree(slc_address(data));
}

slcu_result slc_bank_push(sluice_context *context, struct slc_bank *bank, void *stream)
{
    return context->gpu.driver->MemcpyHtoDAsync(slc_address(bank->there_memory), bank->place_memory,
                                                sl_place_bytes(&bank->shape), stream);
}

slcu_result slc_bank_read(sluice_context *context, struct slc_bank *bank, void *stream)
{
    const struct slcu_driver *driver = context->gpu.driver;
    size_t bytes = (size_t)bank->shape.physical * sizeof *bank->counters;
    slcu_result error =
        driver->MemcpyDtoHAsync(bank->landing, slc_address(bank->counters), bytes, stream);
    return error ? error : driver->StreamSynchronize(stream);
}

sluice_status slc_check_context(sluice_context *context)
{
    if (!context)
        return SLUICE_INVALID;
    if (forked(context))
        return slc_fail(context, SLUICE_NOT_READY,
                        "this context was opened before fork: open one in the child");
    return SLUICE_OK;
}

sluice_status slc_enter(sluice_context *context, int32_t op, int64_t *started)
{
    (void)op;
    *started = 0;
    sluice_status status = slc_check_context(context);
    if (!status && context->timing)
        *started = context->host.clock(context->host.user);
    return status;
}

sluice_status slc_leave(sluice_context *context, int32_t op, int64_t started, sluice_status status)
{
    if (status != SLUICE_OK)
        return status;
    atomic_fetch_add_explicit(&context->tally.calls[op], 1, memory_order_relaxed);
    if (context->timing)
        atomic_fetch_add_explicit(&context->tally.nanoseconds[op],
                                  (uint64_t)(context->host.clock(context->host.user) - started),
                                  memory_order_relaxed);
    return status;
}
