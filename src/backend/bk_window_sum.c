/* SPDX-License-Identifier: Apache-2.0
 * The sum of a window over ranks: up a binomial tree to the first of the living, the whole down
 * again. Every message has the same length, and a rank that finds two windows which do not fit
 * together says so in it. Where it takes long, ranks say that they wait, and are told for whom
 * (bk_window_ask.c). Nothing here waits: each poll does what can be done. */
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
        sum->failed = peer;
    else
        sum->open++;
    return status;
}

/* Polls what is open; sum->open is 0 when all has come. On failure sum->failed is whose. */
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
            sum->failed = peer;
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

/* Adds what a child has handed up. */
static void merge(const sluice_context *context, int32_t child)
{
    struct sl_window_note *own = context->windows.note;
    const struct sl_window_note *note = context->windows.inbox;
    if (note->verdict)
        judge(own, note->verdict, note->rank, note->other);
    else if (note->magic != own->magic || note->kept != own->kept || note->number != own->number)
        judge(own, SLUICE_MISMATCH, context->living[child], context->rank);
    for (int64_t i = 0; !own->verdict && i < context->windows.width; i++)
        own->values[i] += note->values[i];
}

/* Hands the result to all children. */
static sluice_status spread(sluice_context *context, struct sl_window_note *result)
{
    struct sl_window_sum *sum = &context->window_sum;
    int32_t own = context->comm.rank;
    sum->stage = SL_SUM_SPREAD;
    sum->result = result;
    if (own == 0)
        sl_ask_whole(context);
    sluice_status status = SLUICE_OK;
    for (int32_t bit = sum->bit / 2; !status && bit > 0; bit /= 2)
        if (own + bit < context->living_count)
            status = post(context, false, own + bit, result);
    return status;
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
            return post(context, true, own + sum->bit, windows->inbox);
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
        .stage = SL_SUM_TAKE, .bit = 1, .lost = -1, .named = -1, .begin = sl_now(context)};
    sl_ask_start(context);
}

/* Does all that can be done now. A peer that the communicator has lost is not waited for, and
 * nothing after it is done. */
static sluice_status advance(sluice_context *context)
{
    struct sl_window_sum *sum = &context->window_sum;
    sluice_status status = SLUICE_OK;
    while (!status && sum->stage != SL_SUM_IDLE) {
        bool takes = sum->stage == SL_SUM_TAKE && sum->open == 1;
        status = poll_open(context);
        if (status || sum->open || sum->lost >= 0)
            break;
        if (takes) {
            merge(context, context->comm.rank + sum->bit);
            sum->bit *= 2;
        }
        status = go_on(context);
    }
    if (status == SLUICE_PEER_LOST) {
        sum->lost = sum->failed;
        status = SLUICE_OK;
    }
    return status;
}

static bool passed(const sluice_context *context, int64_t parts)
{
    return sl_now(context) >= sl_sum_deadline(context, context->window_sum.begin, parts);
}

int64_t sl_sum_deadline(const sluice_context *context, int64_t begin, int64_t parts)
{
    int64_t part = context->windows.timeout_ns / 16;
    return part > (INT64_MAX - begin) / parts ? INT64_MAX : begin + part * parts;
}

/* Ends the sum with a verdict of this rank's own. */
static void end_with(sluice_context *context, int32_t lost)
{
    struct sl_window_sum *sum = &context->window_sum;
    struct sl_window_note *verdict = context->windows.verdict;
    *verdict = *context->windows.note;
    verdict->verdict = SLUICE_OK; /* who is missing goes before who does not fit */
    judge(verdict, SLUICE_PEER_LOST, context->living[lost], context->rank);
    sum->result = verdict;
    sum->stage = SL_SUM_IDLE;
}

/* The result is on its way to children, and one does not take it. */
static sluice_status end_spread(sluice_context *context)
{
    struct sl_window_sum *sum = &context->window_sum;
    bool ends = (sum->lost >= 0 && !sum->open) || passed(context, SL_SUM_END);
    if (!ends)
        return SLUICE_OK;
    if (sum->result->verdict)
        sum->stage = SL_SUM_IDLE; /* it stands, whether they took it or not */
    else
        end_with(context, sum->lost >= 0 ? sum->lost : sum->peer[0]);
    return SLUICE_OK;
}

/* The first of the living decides who is missing: nobody else can tell a rank that is from one that
 * waits for it. */
static sluice_status lead(sluice_context *context)
{
    struct sl_window_sum *sum = &context->window_sum;
    if (sum->stage == SL_SUM_TAKE && !passed(context, SL_SUM_ASK))
        return SLUICE_OK;
    sluice_status status = sl_ask_listen(context, passed(context, SL_SUM_JUDGE));
    if (status)
        return status;
    if (sum->stage == SL_SUM_SPREAD) {
        sl_ask_orphans(context, context->windows.ended + 1);
        return end_spread(context);
    }
    if (sum->stage == SL_SUM_TAKE && passed(context, SL_SUM_JUDGE)) {
        sum->named = sl_ask_missing(context);
        if (sum->named < 0 && passed(context, SL_SUM_DESPAIR))
            sum->named = sum->lost >= 0 ? sum->lost : sum->peer[0];
        if (sum->named > 0) {
            sl_ask_tell(context, sum->named);
            sum->stage = SL_SUM_TELL;
        }
    }
    if (sum->stage == SL_SUM_TELL && (sl_ask_told(context) || passed(context, SL_SUM_END)))
        end_with(context, sum->named);
    return SLUICE_OK;
}

/* All others say that they wait, and are told. Who hears nothing names the one that should tell. */
static sluice_status follow(sluice_context *context)
{
    struct sl_window_sum *sum = &context->window_sum;
    if (sum->stage == SL_SUM_SPREAD)
        return end_spread(context);
    int32_t named = -1;
    sluice_status status = sl_ask_ask(context, &named);
    if (status == SLUICE_OK && named < 0 && passed(context, SL_SUM_END))
        status = SLUICE_PEER_LOST;
    if (status == SLUICE_PEER_LOST)
        named = 0;
    else if (status)
        return status;
    if (named >= 0)
        end_with(context, named);
    return SLUICE_OK;
}

sluice_status sl_sum_poll(sluice_context *context, bool *done)
{
    const struct sl_window_sum *sum = &context->window_sum;
    sluice_status status = sum->stage == SL_SUM_TELL ? SLUICE_OK : advance(context);
    if (!status && sum->stage != SL_SUM_IDLE)
        status = context->comm.rank ? follow(context) : lead(context);
    *done = !status && sum->stage == SL_SUM_IDLE;
    return status;
}

void sl_sum_end(sluice_context *context)
{
    struct sl_window_sum *sum = &context->window_sum;
    sum->stage = SL_SUM_IDLE;
    sl_ask_end(context);
    if (!sum->open)
        return;
    /* Buffers belong to a request until poll says that it has ended, which a cancel makes it. */
    context->comm.cancel(context->comm.user, SL_CHANNEL_LOAD);
    while (sum->open)
        (void)poll_open(context);
}
