/* SPDX-License-Identifier: Apache-2.0
 * The sum of a window over ranks: up a binomial tree to the first of the living, the whole down
 * again. Every message has the same length, and a rank that finds two windows which do not fit
 * together says so in it, so that all ranks come to the same verdict. Nothing here waits: each poll
 * does what can be done. */
#include "cpu_context.h"
#include "cpu_exchange.h"

static size_t note_bytes(const struct sl_windows *windows)
{
    return sizeof *windows->note + (size_t)windows->width * sizeof(int64_t);
}

static sluice_status post(sluice_context *context, bool receives, int32_t peer, void *data)
{
    struct sl_window_sum *sum = &context->window_sum;
    const sluice_comm *comm = &context->comm;
    size_t bytes = note_bytes(&context->windows);
    uint64_t *request = &sum->request[sum->open];
    sum->peer[sum->open] = peer;
    sluice_status status =
        receives ? comm->irecv(comm->user, SL_CHANNEL_LOAD, peer, data, bytes, request)
                 : comm->isend(comm->user, SL_CHANNEL_LOAD, peer, data, bytes, request);
    if (status)
        sum->peer[0] = peer;
    else
        sum->open++;
    return status;
}

/* Polls what is open; sum->open is 0 when all has come. On failure sum->peer[0] is whose. */
static sluice_status poll_open(sluice_context *context)
{
    struct sl_window_sum *sum = &context->window_sum;
    for (int32_t i = 0; i < sum->open;) {
        int32_t done = 0, peer = sum->peer[i];
        sluice_status status = context->comm.poll(context->comm.user, sum->request[i], &done);
        if (done) {
            sum->open--;
            sum->request[i] = sum->request[sum->open];
            sum->peer[i] = sum->peer[sum->open];
        } else {
            i++;
        }
        if (status) {
            sum->peer[0] = peer;
            return status;
        }
    }
    return SLUICE_OK;
}

/* Adds what a child has handed up. */
static void merge(const sluice_context *context, int32_t child)
{
    struct sl_window_note *own = context->windows.note;
    const struct sl_window_note *note = context->windows.inbox;
    if (note->differs && !own->differs) {
        own->differs = 1;
        own->rank = note->rank;
        own->other = note->other;
    } else if (!own->differs && (note->magic != own->magic || note->kept != own->kept ||
                                 note->number != own->number)) {
        own->differs = 1;
        own->rank = context->living[child];
        own->other = context->rank;
    }
    for (int64_t i = 0; !own->differs && i < context->windows.width; i++)
        own->values[i] += note->values[i];
}

/* The sum is whole here: hands it to all children below `bit`. */
static sluice_status spread(sluice_context *context)
{
    struct sl_window_sum *sum = &context->window_sum;
    int32_t own = context->comm.rank;
    sum->stage = SL_SUM_SPREAD;
    sluice_status status = SLUICE_OK;
    for (int32_t bit = sum->bit / 2; !status && bit > 0; bit /= 2)
        if (own + bit < context->living_count)
            status = post(context, false, own + bit, context->windows.note);
    return status;
}

/* Nothing is open: the next thing to do. */
static sluice_status go_on(sluice_context *context)
{
    struct sl_window_sum *sum = &context->window_sum;
    int32_t own = context->comm.rank, living = context->living_count;
    struct sl_windows *windows = &context->windows;
    switch (sum->stage) {
    case SL_SUM_TAKE:
        while (sum->bit < living && !(own & sum->bit) && own + sum->bit >= living)
            sum->bit *= 2;
        if (sum->bit >= living)
            return spread(context);
        if (!(own & sum->bit))
            return post(context, true, own + sum->bit, windows->inbox);
        sum->stage = SL_SUM_HAND;
        return post(context, false, own - sum->bit, windows->note);
    case SL_SUM_HAND:
        sum->stage = SL_SUM_WAIT;
        return post(context, true, own - sum->bit, windows->note);
    case SL_SUM_WAIT:
        return spread(context);
    default:
        sum->stage = SL_SUM_IDLE;
        return SLUICE_OK;
    }
}

void sl_sum_start(sluice_context *context)
{
    context->window_sum = (struct sl_window_sum){
        .stage = SL_SUM_TAKE, .bit = 1, .deadline = sl_now(context) + context->windows.timeout_ns};
}

sluice_status sl_sum_poll(sluice_context *context, bool *done)
{
    struct sl_window_sum *sum = &context->window_sum;
    sluice_status status = SLUICE_OK;
    while (!status && sum->stage != SL_SUM_IDLE) {
        bool takes = sum->stage == SL_SUM_TAKE && sum->open == 1;
        status = poll_open(context);
        if (status || sum->open)
            break;
        if (takes) {
            merge(context, context->comm.rank + sum->bit);
            sum->bit *= 2;
        }
        status = go_on(context);
    }
    *done = !status && sum->stage == SL_SUM_IDLE;
    if (!status && !*done && sl_now(context) >= sum->deadline)
        return SLUICE_PEER_LOST;
    return status;
}

void sl_sum_end(sluice_context *context)
{
    struct sl_window_sum *sum = &context->window_sum;
    if (sum->stage == SL_SUM_IDLE)
        return;
    /* Buffers belong to a request until poll says that it has ended, which a cancel makes it. */
    context->comm.cancel(context->comm.user, SL_CHANNEL_LOAD);
    while (sum->open)
        (void)poll_open(context);
    sum->stage = SL_SUM_IDLE;
}
