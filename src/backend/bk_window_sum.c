/* SPDX-License-Identifier: Apache-2.0
 * The sum of a window over ranks: up a binomial tree to the first of the living, the whole down
 * again. Every message has the same length, and a rank that finds two windows which do not fit
 * together, or that a peer does not come, says so in it, so that all ranks come to the same
 * verdict: who is further from a missing rank waits a little longer. Nothing here waits: each poll
 * does what can be done. */
#include "bk_context.h"
#include "bk_exchange.h"

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

static void judge(struct sl_window_note *own, sluice_status verdict, int32_t rank, int32_t other)
{
    if (own->verdict)
        return;
    own->verdict = verdict;
    own->rank = rank;
    own->other = other;
}

/* Where a child's note comes: the one that was left may still come into the inbox. */
static struct sl_window_note *inbox(const sluice_context *context)
{
    return context->window_sum.child >= 0 ? context->windows.spare : context->windows.inbox;
}

/* Adds what a child has handed up. */
static void merge(const sluice_context *context, int32_t child)
{
    struct sl_window_note *own = context->windows.note;
    const struct sl_window_note *note = inbox(context);
    if (note->verdict)
        judge(own, note->verdict, note->rank, note->other);
    else if (note->magic != own->magic || note->kept != own->kept || note->number != own->number)
        judge(own, SLUICE_MISMATCH, context->living[child], context->rank);
    for (int64_t i = 0; !own->verdict && i < context->windows.width; i++)
        own->values[i] += note->values[i];
}

/* The peer that is waited for is left behind; its buffers are not touched until the end. */
static int32_t leave(struct sl_window_sum *sum)
{
    sum->left[sum->left_open++] = sum->request[0];
    sum->open = 0;
    return sum->peer[0];
}

/* Hands the result to all children below `bit` but the one that was left. */
static sluice_status spread(sluice_context *context, struct sl_window_note *result)
{
    struct sl_window_sum *sum = &context->window_sum;
    int32_t own = context->comm.rank;
    sum->stage = SL_SUM_SPREAD;
    sum->result = result;
    sluice_status status = SLUICE_OK;
    for (int32_t bit = sum->bit / 2; !status && bit > 0; bit /= 2)
        if (own + bit < context->living_count && own + bit != sum->child)
            status = post(context, false, own + bit, result);
    return status;
}

/* A child does not come: everybody is told so, by those who do. */
static void leave_child(sluice_context *context)
{
    struct sl_window_sum *sum = &context->window_sum;
    sum->child = leave(sum);
    judge(context->windows.note, SLUICE_PEER_LOST, context->living[sum->child], context->rank);
    sum->bit *= 2;
}

/* The parent does not come: those below are told so. */
static sluice_status leave_parent(sluice_context *context)
{
    struct sl_window_note *verdict = context->windows.spare;
    *verdict = *context->windows.note;
    judge(verdict, SLUICE_PEER_LOST, context->living[leave(&context->window_sum)], context->rank);
    return spread(context, verdict);
}

/* Nothing is open: the next thing to do. */
static sluice_status go_on(sluice_context *context)
{
    struct sl_window_sum *sum = &context->window_sum;
    int32_t own = context->comm.rank, living = context->living_count;
    const struct sl_windows *windows = &context->windows;
    switch (sum->stage) {
    case SL_SUM_TAKE:
        while (sum->bit < living && !(own & sum->bit) && own + sum->bit >= living)
            sum->bit *= 2;
        if (sum->bit >= living)
            return spread(context, windows->note);
        if (!(own & sum->bit))
            return post(context, true, own + sum->bit, inbox(context));
        sum->stage = SL_SUM_HAND;
        return post(context, false, own - sum->bit, windows->note);
    case SL_SUM_HAND:
        sum->stage = SL_SUM_WAIT;
        return post(context, true, own - sum->bit, windows->down);
    case SL_SUM_WAIT:
        return spread(context, windows->down);
    default:
        sum->stage = SL_SUM_IDLE;
        return SLUICE_OK;
    }
}

void sl_sum_start(sluice_context *context)
{
    context->window_sum = (struct sl_window_sum){
        .stage = SL_SUM_TAKE, .bit = 1, .child = -1, .begin = sl_now(context)};
}

/* Does all that can be done now. */
static sluice_status advance(sluice_context *context)
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
    return status;
}

/* When the present wait ends, in sixteenths of the timeout: for a child after 16 and one more for
 * each level up, for the parent after 32 and one more for each level down, for children that are to
 * take the result after 48. */
static int64_t deadline(const sluice_context *context)
{
    const struct sl_window_sum *sum = &context->window_sum;
    int64_t level = 0;
    for (int32_t bit = sum->bit; bit > 1; bit /= 2)
        level++;
    int64_t parts = sum->stage == SL_SUM_TAKE     ? 16 + level
                    : sum->stage == SL_SUM_SPREAD ? 48
                                                  : 32 + 10 - level;
    int64_t part = context->windows.timeout_ns / 16;
    return part > (INT64_MAX - sum->begin) / parts ? INT64_MAX : sum->begin + part * parts;
}

/* The present wait has ended. */
static sluice_status give_up(sluice_context *context)
{
    struct sl_window_sum *sum = &context->window_sum;
    if (sum->stage == SL_SUM_TAKE && sum->child < 0) {
        leave_child(context);
        return advance(context);
    }
    if (sum->stage == SL_SUM_HAND || sum->stage == SL_SUM_WAIT) {
        sluice_status status = leave_parent(context);
        return status ? status : advance(context);
    }
    if (sum->stage == SL_SUM_SPREAD && sum->result->verdict) {
        sum->stage = SL_SUM_IDLE; /* the verdict stands, whether they took it or not */
        return SLUICE_OK;
    }
    return SLUICE_PEER_LOST;
}

sluice_status sl_sum_poll(sluice_context *context, bool *done)
{
    const struct sl_window_sum *sum = &context->window_sum;
    sluice_status status = advance(context);
    while (!status && sum->stage != SL_SUM_IDLE && sl_now(context) >= deadline(context))
        status = give_up(context);
    *done = !status && sum->stage == SL_SUM_IDLE;
    return status;
}

void sl_sum_end(sluice_context *context)
{
    struct sl_window_sum *sum = &context->window_sum;
    sum->stage = SL_SUM_IDLE;
    if (!sum->open && !sum->left_open)
        return;
    /* Buffers belong to a request until poll says that it has ended, which a cancel makes it. */
    context->comm.cancel(context->comm.user, SL_CHANNEL_LOAD);
    while (sum->left_open)
        sum->request[sum->open++] = sum->left[--sum->left_open];
    while (sum->open)
        (void)poll_open(context);
}
