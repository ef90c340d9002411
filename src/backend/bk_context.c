/* SPDX-License-Identifier: Apache-2.0 */
#include "bk_context.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../core/mutant.h"

static bool forked(const sluice_context *context)
{
    return *context->fork_page == 0;
}

sluice_status sl_fail(sluice_context *context, sluice_status status, const char *format, ...)
{
    /* In a child after fork another thread of the parent may hold the lock for ever. */
    if (forked(context)) {
        if (pthread_mutex_trylock(&context->text_lock) != 0)
            return status;
    } else {
        pthread_mutex_lock(&context->text_lock);
    }
    if (SL_MUTANT(error_kept_from_first) && context->error[0]) {
        pthread_mutex_unlock(&context->text_lock);
        return status;
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

size_t sl_last_error(const sluice_context *context, char *text, size_t size)
{
    if (text && size)
        text[0] = 0;
    if (!context)
        return 0;
    /* The lock is not part of what const promises. */
    pthread_mutex_t *lock = (pthread_mutex_t *)(uintptr_t)&context->text_lock;
    if (pthread_mutex_trylock(lock) != 0) {
        if (*context->fork_page == 0)
            return 0;
        pthread_mutex_lock(lock);
    }
    size_t length = strlen(context->error);
    if (text && size)
        (void)snprintf(text, size, "%s", context->error);
    pthread_mutex_unlock(lock);
    return length;
}

void sl_fault(sluice_context *context, const sluice_fault *fault)
{
    if (SL_MUTANT(fault_not_kept))
        return;
    pthread_mutex_lock(&context->text_lock);
    uint64_t count = context->fault.count + 1;
    if (context->fault.kind == SLUICE_FAULT_NONE)
        context->fault = *fault;
    context->fault.struct_size = sizeof context->fault;
    context->fault.count = count;
    pthread_mutex_unlock(&context->text_lock);
}

static const sluice_device HERE = {SLUICE_CPU, 0};

void *sl_alloc(const sluice_context *context, size_t bytes, int32_t kind)
{
    size_t rounded = (bytes + 63) / 64 * 64;
    if (rounded == 0)
        rounded = 64;
    void *data = context->host.alloc(context->host.user, rounded, 64, kind, HERE);
    if (data)
        memset(data, 0, rounded);
    return data;
}

void sl_free(const sluice_context *context, void *data, size_t bytes, int32_t kind)
{
    size_t rounded = (bytes + 63) / 64 * 64;
    if (data)
        context->host.free(context->host.user, data, rounded ? rounded : 64, kind, HERE);
}

int64_t sl_now(const sluice_context *context)
{
    return context->host.clock(context->host.user);
}

sluice_status sl_check_context(sluice_context *context)
{
    if (!context)
        return SLUICE_INVALID;
    if (forked(context) && !SL_MUTANT(fork_not_noticed))
        return sl_fail(context, SLUICE_NOT_READY,
                       "this context was opened before fork: open one in the child");
    return SLUICE_OK;
}

sluice_status sl_enter(sluice_context *context, int32_t op, int64_t *started)
{
    (void)op;
    *started = 0;
    sluice_status status = sl_check_context(context);
    if (status)
        return status;
    if (context->timing || SL_MUTANT(clock_always_read))
        *started = sl_now(context);
    return SLUICE_OK;
}

static void add(atomic_uint_least64_t *counter, uint64_t value)
{
    atomic_fetch_add_explicit(counter, value, memory_order_relaxed);
}

void sl_spend(sluice_context *context, int32_t op, int64_t started)
{
    if (context->timing)
        add(&context->tally.nanoseconds[op], (uint64_t)(sl_now(context) - started));
}

sluice_status sl_leave(sluice_context *context, int32_t op, int64_t started, sluice_status status)
{
    void *volatile spare = SL_MUTANT(hot_allocation) ? malloc(8) : NULL;
    if (SL_MUTANT(hot_allocation))
        free(spare);
    if (SL_MUTANT(writes_to_stdout))
        (void)puts("done");
    if (status == SLUICE_OK || status == SLUICE_OVERFLOW) {
        add(&context->tally.calls[op], 1);
        sl_spend(context, op, started);
    }
    return status;
}
