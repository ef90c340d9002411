/* SPDX-License-Identifier: Apache-2.0 */
#include "bk_windows.h"

#include <stdio.h>
#include <string.h>

#include "../core/mutant.h"
#include "../core/reach.h"
#include "bk_args.h"
#include "bk_bank.h"
#include "bk_exchange.h"

static const uint32_t MAGIC = 0x534C5731; /* "SLW1" */
enum { MOST_KEPT = 4096 };

/* Numbers of a bank in a window. */
static int64_t bank_width(const struct sl_bank *bank)
{
    return bank->shape.experts + bank->shape.ranks;
}

int64_t sl_window_at(const sluice_context *context, int32_t bank)
{
    int64_t at = 0;
    for (int32_t i = 0; i < bank; i++)
        if (context->layers[i].bank_index == i)
            at += bank_width(&context->banks[i]);
    return at;
}

/* Where the counters are now. */
static sluice_status count_all(sluice_context *context, void *stream, int64_t *values)
{
    for (int32_t i = 0; i < context->layer_count; i++) {
        const struct sl_bank *bank = &context->banks[i];
        const uint64_t *counters;
        if (context->layers[i].bank_index != i)
            continue;
        sluice_status status = context->backend->read(context, i, stream, &counters);
        if (status)
            return status;
        memcpy(values, bank->folded, (size_t)bank_width(bank) * sizeof *values);
        sl_bank_count(bank, counters, values);
        values += bank_width(bank);
    }
    return SLUICE_OK;
}

/* The part that does not lie on a device: what counted under earlier placements. */
static void count_folded(const sluice_context *context, int64_t *values)
{
    for (int32_t i = 0; i < context->layer_count; i++) {
        const struct sl_bank *bank = &context->banks[i];
        if (context->layers[i].bank_index != i)
            continue;
        memcpy(values, bank->folded, (size_t)bank_width(bank) * sizeof *values);
        values += bank_width(bank);
    }
}

/* The rest, once it has landed. */
static void count_landed(const sluice_context *context, int64_t *values)
{
    for (int32_t i = 0; i < context->layer_count; i++) {
        const struct sl_bank *bank = &context->banks[i];
        if (context->layers[i].bank_index != i)
            continue;
        sl_bank_count(bank, bank->landing ? bank->landing : bank->counters, values);
        values += bank_width(bank);
    }
}

bool sl_windows_sums(const sluice_context *context, int32_t ranks)
{
    return !SL_MUTANT(window_own_rank) && (context->uses & SLUICE_USE_SUMMED_LOAD) && ranks > 1 &&
           !(context->flags & SLUICE_OPEN_EVERY_RANK_EVERY_ROW);
}

/* -------------------------------------------------------------------------- begin and end */

static size_t lay(struct sl_windows *windows, char *base)
{
    size_t row = (size_t)windows->width * sizeof(int64_t);
    size_t note = sizeof(struct sl_window_note) + row;
    size_t ring = (size_t)windows->kept * row;
    size_t used = ring + 2 * row + 3 * note + sizeof(struct sl_window_note);
    if (base) {
        windows->reach = base + used;
        windows->ring = (int64_t *)(void *)base;
        windows->mark = windows->ring + windows->kept * windows->width;
        windows->next = windows->mark + windows->width;
        windows->note = (struct sl_window_note *)(void *)(windows->next + windows->width);
        windows->inbox = (struct sl_window_note *)(void *)((char *)windows->note + note);
        windows->down = (struct sl_window_note *)(void *)((char *)windows->inbox + note);
        windows->verdict = (struct sl_window_note *)(void *)((char *)windows->down + note);
    }
    return used;
}

static size_t reach_bytes(const sluice_context *context)
{
    size_t most = 0;
    for (int32_t i = 0; i < context->layer_count; i++) {
        size_t bytes = sl_reach_bytes(&context->layers[i].bank->shape);
        most = bytes > most ? bytes : most;
    }
    return most;
}

static sluice_status check_config(sluice_context *context, const sluice_load_windows *config)
{
    sluice_status status =
        sl_check_struct(context, NULL, 0, "config", config, sizeof *config, sizeof *config);
    if (status)
        return status;
    if (config->kept < 0 || config->kept > MOST_KEPT)
        return sl_fail(context, SLUICE_INVALID, "config.kept is %d: must be 0 to %d", config->kept,
                       MOST_KEPT);
    if (config->timeout_ns < 0)
        return sl_fail(context, SLUICE_INVALID, "config.timeout_ns is %lld: must not be negative",
                       (long long)config->timeout_ns);
    return SLUICE_OK;
}

sluice_status sl_load_windows(sluice_context *context, const sluice_load_windows *config)
{
    int64_t started;
    sluice_status status = sl_enter(context, SLUICE_OP_COUNT, &started);
    if (status || (status = check_config(context, config)))
        return status;
    if (context->window_sum.stage != SL_SUM_IDLE)
        return sl_fail(context, SLUICE_BUSY, "window %lld is being summed: window_poll says when",
                       (long long)context->windows.ended + 1);
    struct sl_windows windows = {.kept = config->kept,
                                 .timeout_ns =
                                     config->timeout_ns ? config->timeout_ns : context->timeout_ns,
                                 .width = sl_window_at(context, context->layer_count),
                                 .broken = context->windows.broken};
    if (config->kept) {
        windows.bytes = lay(&windows, NULL) + reach_bytes(context);
        windows.memory = sl_alloc(context, windows.bytes, SLUICE_MEM_STATE);
        if (!windows.memory || !sl_ask_open(context)) {
            sl_free(context, windows.memory, windows.bytes, SLUICE_MEM_STATE);
            return sl_fail(context, SLUICE_NO_MEMORY, "no memory for %zu bytes of %d windows",
                           windows.bytes, config->kept);
        }
        (void)lay(&windows, windows.memory);
        if ((status = count_all(context, NULL, windows.mark))) {
            sl_free(context, windows.memory, windows.bytes, SLUICE_MEM_STATE);
            return status;
        }
    }
    sl_free(context, context->windows.memory, context->windows.bytes, SLUICE_MEM_STATE);
    context->windows = windows;
    return SLUICE_OK;
}

void sl_windows_close(sluice_context *context)
{
    (void)sl_windows_settle(context);
    sl_sum_end(context);
    sl_ask_close(context);
    sl_free(context, context->windows.memory, context->windows.bytes, SLUICE_MEM_STATE);
}

sluice_status sl_windows_stop(sluice_context *context, void *stream)
{
    struct sl_windows *windows = &context->windows;
    sluice_status status = sl_windows_settle(context);
    if (status)
        return status;
    if (context->window_sum.stage != SL_SUM_IDLE)
        windows->broken = SLUICE_CANCELLED;
    sl_sum_end(context);
    return windows->kept ? count_all(context, stream, windows->next) : SLUICE_OK;
}

void sl_windows_restart(sluice_context *context)
{
    struct sl_windows *windows = &context->windows;
    windows->broken = SLUICE_OK;
    windows->available = 0;
    windows->ended = 0;
    if (windows->kept)
        memcpy(windows->mark, windows->next, (size_t)windows->width * sizeof *windows->mark);
}

void sl_windows_forget(sluice_context *context, int32_t bank)
{
    struct sl_windows *windows = &context->windows;
    if (!windows->kept)
        return;
    int64_t at = sl_window_at(context, bank);
    size_t bytes = (size_t)bank_width(&context->banks[bank]) * sizeof *windows->mark;
    memset(windows->mark + at, 0, bytes);
    memset(windows->next + at, 0, bytes);
}

/* ------------------------------------------------------------------------------ the window */

static sluice_status check_ready(sluice_context *context)
{
    const struct sl_windows *windows = &context->windows;
    if (!windows->kept)
        return sl_fail(context, SLUICE_NOT_READY, "there are no windows: `windows` begins them");
    if (windows->broken)
        return sl_fail(context, SLUICE_NOT_READY,
                       "set of sluice.ranks/1 must come first: the sum of window %lld has failed",
                       (long long)windows->ended + 1);
    return SLUICE_OK;
}

/* The window is whole: it is kept, and the running one begins where it ended. */
static void keep(struct sl_windows *windows, const struct sl_window_note *whole)
{
    size_t bytes = (size_t)windows->width * sizeof(int64_t);
    int64_t *row = windows->ring + windows->ended % windows->kept * windows->width;
    memcpy(row, whole->values, bytes);
    memcpy(windows->mark, windows->next, bytes);
    windows->ended++;
    windows->available += windows->available < windows->kept;
}

static sluice_status fail(sluice_context *context, sluice_status status, int32_t rank,
                          int32_t other)
{
    struct sl_windows *windows = &context->windows;
    int64_t number = windows->ended + 1;
    sluice_fault fault = {.struct_size = sizeof fault,
                          .kind =
                              status == SLUICE_MISMATCH ? SLUICE_FAULT_MISMATCH : SLUICE_FAULT_PEER,
                          .op = SLUICE_OP_RECORD,
                          .layer = -1,
                          .rank = rank,
                          .call = number};
    sl_fault(context, &fault);
    sl_sum_end(context);
    windows->broken = status;
    if (SL_MUTANT(window_breaks_serving))
        sl_exchange_hold(context);
    if (status == SLUICE_MISMATCH)
        return sl_fail(context, status,
                       "rank %d and rank %d ended different windows, or keep different numbers of "
                       "them; this rank ended window %lld and keeps %d",
                       rank, other, (long long)number, windows->kept);
    if (status == SLUICE_CANCELLED)
        return sl_fail(context, status, "window %lld: quiesce ended its sum", (long long)number);
    return sl_fail(context, status,
                   "rank %d did not come to the sum of window %lld (timeout %lld ms)", rank,
                   (long long)number, (long long)(windows->timeout_ns / 1000000));
}

/* The window's counts, as soon as they have landed: it is whole, or its sum begins. */
static sluice_status take_landed(sluice_context *context, bool wait)
{
    struct sl_windows *windows = &context->windows;
    struct sl_window_note *note = windows->note;
    bool there = true;
    if (context->backend->landed) {
        sluice_status status = context->backend->landed(context, wait, &there);
        if (status || !there)
            return status;
    }
    count_landed(context, windows->next);
    for (int64_t i = 0; i < windows->width; i++)
        note->values[i] =
            windows->next[i] - (SL_MUTANT(window_from_the_start) ? 0 : windows->mark[i]);
    if (sl_windows_sums(context, context->living_count)) {
        sl_sum_start(context);
    } else {
        keep(windows, note);
        context->window_sum.stage = SL_SUM_IDLE;
    }
    return SLUICE_OK;
}

sluice_status sl_windows_settle(sluice_context *context)
{
    return context->window_sum.stage == SL_SUM_LAND ? take_landed(context, true) : SLUICE_OK;
}

static sluice_status move_on(sluice_context *context, int32_t *done)
{
    struct sl_windows *windows = &context->windows;
    bool whole = false;
    sluice_status status = SLUICE_OK;
    if (context->window_sum.stage == SL_SUM_LAND)
        status = take_landed(context, false);
    int32_t stage = context->window_sum.stage;
    if (done)
        *done = stage == SL_SUM_IDLE;
    if (status || stage == SL_SUM_LAND || stage == SL_SUM_IDLE)
        return status;
    status = sl_sum_poll(context, &whole);
    const struct sl_window_note *result = context->window_sum.result;
    if (status)
        return fail(context, status, context->living[context->window_sum.failed], context->rank);
    if (whole && result->verdict)
        return fail(context, result->verdict, result->rank, result->other);
    if (whole)
        keep(windows, result);
    if (done)
        *done = whole;
    return SLUICE_OK;
}

sluice_status sl_load_window_end(sluice_context *context, void *stream)
{
    int64_t started;
    sluice_status status = sl_enter(context, SLUICE_OP_COUNT, &started);
    if (status || (status = check_ready(context)))
        return status;
    struct sl_windows *windows = &context->windows;
    if (context->window_sum.stage != SL_SUM_IDLE)
        return sl_fail(context, SLUICE_BUSY, "window %lld is being summed: window_poll says when",
                       (long long)windows->ended + 1);
    struct sl_window_note *note = windows->note;
    *note = (struct sl_window_note){
        .magic = MAGIC, .kept = windows->kept, .number = windows->ended + 1};
    if (context->backend->land && (status = context->backend->land(context, stream)))
        return status;
    count_folded(context, windows->next);
    context->window_sum.stage = SL_SUM_LAND;
    return move_on(context, NULL);
}

sluice_status sl_load_window_poll(sluice_context *context, int32_t *done)
{
    int64_t started;
    sluice_status status = sl_enter(context, SLUICE_OP_COUNT, &started);
    if (status)
        return status;
    if (!done)
        return sl_fail(context, SLUICE_INVALID, "done is NULL: must be given");
    if ((status = check_ready(context)))
        return status;
    *done = 1;
    if (context->window_sum.stage != SL_SUM_IDLE)
        return move_on(context, done);
    sl_ask_idle(context);
    return SLUICE_OK;
}
