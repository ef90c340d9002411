/* SPDX-License-Identifier: Apache-2.0
 * Who is missing from a window's sum. A rank that has waited for a quarter of the timeout says so
 * to the first of the living, and says it again each quarter. Of those that do not, the first is
 * the one that all are told of; so all name the same rank, whichever they wait for in the tree, and
 * where the first of the living is missing itself, all name that. A rank that has its result no
 * longer waits: where others below it do, it has died with the result in its hands. */
#include "bk_context.h"
#include "bk_exchange.h"

enum { AT_ONCE = 64 }; /* lines in a poll: W of them would take long */

static size_t line_bytes(const sluice_context *context)
{
    return (size_t)context->ranks * sizeof *context->asks.lines;
}

bool sl_ask_open(sluice_context *context)
{
    if (!sl_windows_sums(context, context->ranks) || context->asks.lines)
        return true;
    context->asks.lines = sl_alloc(context, line_bytes(context), SLUICE_MEM_STATE);
    return context->asks.lines != NULL;
}

void sl_ask_close(sluice_context *context)
{
    sl_free(context, context->asks.lines, line_bytes(context), SLUICE_MEM_STATE);
}

void sl_ask_start(sluice_context *context)
{
    context->asks.said = context->window_sum.begin;
}

/* The message's status, once it has ended. */
static sluice_status look(const sluice_context *context, uint64_t request, bool *open)
{
    int32_t done = 0;
    sluice_status status = context->comm.poll(context->comm.user, request, &done);
    *open = !done;
    return status;
}

/* *given: false where the last one is still on its way. */
static sluice_status give(sluice_context *context, int32_t peer, int64_t number, int32_t rank,
                          bool *given)
{
    const sluice_comm *comm = &context->comm;
    struct sl_ask_line *line = &context->asks.lines[peer];
    sluice_status status = line->gives ? look(context, line->give, &line->gives) : SLUICE_OK;
    *given = !status && !line->gives;
    if (!*given)
        return status;
    line->out = (struct sl_ask){.number = number, .rank = rank};
    status =
        comm->isend(comm->user, SL_CHANNEL_ASK, peer, &line->out, sizeof line->out, &line->give);
    line->gives = !status;
    return status;
}

/* *came: line->in holds a message. A receive is posted where there is none. */
static sluice_status take(sluice_context *context, int32_t peer, bool *came)
{
    const sluice_comm *comm = &context->comm;
    struct sl_ask_line *line = &context->asks.lines[peer];
    sluice_status status = SLUICE_OK;
    *came = false;
    if (!line->takes) {
        status =
            comm->irecv(comm->user, SL_CHANNEL_ASK, peer, &line->in, sizeof line->in, &line->take);
        line->takes = !status;
    }
    if (!status)
        status = look(context, line->take, &line->takes);
    *came = !status && !line->takes;
    return status;
}

/* ------------------------------------------------------------------------ a rank that waits */

sluice_status sl_ask_ask(sluice_context *context, int32_t *named)
{
    struct sl_asks *asks = &context->asks;
    int64_t number = context->windows.ended + 1, now = sl_now(context);
    bool given = false;
    sluice_status status = SLUICE_OK;
    if (now >= sl_sum_deadline(context, asks->said, SL_SUM_ASK))
        status = give(context, 0, number, -1, &given);
    if (given)
        asks->said = now;
    bool came = asks->said > context->window_sum.begin;
    while (!status && *named < 0 && came) {
        status = take(context, 0, &came);
        if (came && asks->lines[0].in.number == number)
            *named = asks->lines[0].in.rank;
    }
    return status;
}

/* ------------------------------------------------------------------- the first of the living */

static sluice_status listen_to(sluice_context *context, int32_t peer)
{
    struct sl_ask_line *line = &context->asks.lines[peer];
    bool came = !line->dead, any = false;
    sluice_status status = SLUICE_OK;
    while (came && !(status = take(context, peer, &came)) && came) {
        any = true;
        line->heard = sl_now(context);
        line->number = line->in.number;
    }
    line->since_whole += any;
    line->dead = line->dead || status == SLUICE_PEER_LOST;
    return line->dead ? SLUICE_OK : status;
}

static sluice_status listen(sluice_context *context, int32_t count)
{
    struct sl_asks *asks = &context->asks;
    sluice_status status = SLUICE_OK;
    for (int32_t i = 0; !status && i < count; i++) {
        asks->next = asks->next % (context->living_count - 1) + 1;
        status = listen_to(context, asks->next);
    }
    return status;
}

sluice_status sl_ask_listen(sluice_context *context, bool all)
{
    int32_t others = context->living_count - 1;
    return listen(context, all || others < AT_ONCE ? others : AT_ONCE);
}

/* Has it said of late that it waits? Once each quarter, and polls take their time. */
static bool waits(const sluice_context *context, int32_t peer)
{
    const struct sl_ask_line *line = &context->asks.lines[peer];
    return line->number && !line->dead &&
           sl_now(context) < sl_sum_deadline(context, line->heard, (int64_t)2 * SL_SUM_ASK);
}

int32_t sl_ask_missing(const sluice_context *context)
{
    for (int32_t peer = 1; peer < context->living_count; peer++)
        if (!waits(context, peer))
            return peer;
    return -1;
}

static void tell(sluice_context *context, int32_t peer, int32_t named)
{
    struct sl_ask_line *line = &context->asks.lines[peer];
    bool given;
    /* A failure is the peer's: it will name this rank, which it can no longer hear. */
    (void)give(context, peer, line->number, named, &given);
    line->since_whole = 0;
}

void sl_ask_tell(sluice_context *context, int32_t named)
{
    for (int32_t peer = 1; peer < context->living_count; peer++)
        if (waits(context, peer))
            tell(context, peer, named);
}

bool sl_ask_told(sluice_context *context)
{
    bool open = false;
    for (int32_t peer = 1; peer < context->living_count; peer++) {
        struct sl_ask_line *line = &context->asks.lines[peer];
        if (line->gives)
            (void)look(context, line->give, &line->gives);
        open = open || line->gives;
    }
    return !open;
}

void sl_ask_whole(sluice_context *context)
{
    for (int32_t peer = 1; peer < context->living_count; peer++)
        context->asks.lines[peer].since_whole = 0;
}

/* Does it wait for the result of window `number`, a quarter after that was to be had? What is heard
 * first may be older than the result; the second was said after that, the third a quarter later. */
static bool still_waits(const sluice_context *context, int32_t peer, int64_t number)
{
    const struct sl_ask_line *line = &context->asks.lines[peer];
    return waits(context, peer) && line->number == number && line->since_whole >= 3;
}

void sl_ask_orphans(sluice_context *context, int64_t number)
{
    int32_t named = 0;
    for (int32_t peer = 1; !named && peer < context->living_count; peer++) {
        int32_t parent = peer & (peer - 1);
        if (parent && still_waits(context, peer, number) && !waits(context, parent))
            named = parent;
    }
    for (int32_t peer = 1; named && peer < context->living_count; peer++)
        if (waits(context, peer) && context->asks.lines[peer].number == number)
            tell(context, peer, named);
}

void sl_ask_idle(sluice_context *context)
{
    if (!context->asks.lines || context->comm.rank != 0 || context->living_count < 2)
        return;
    /* A failure here is found again by the next sum. */
    if (listen(context, 1) == SLUICE_OK && context->windows.ended > 0)
        sl_ask_orphans(context, context->windows.ended);
}

/* -------------------------------------------------------------------------------- the end */

void sl_ask_end(sluice_context *context)
{
    struct sl_asks *asks = &context->asks;
    bool open = false;
    for (int32_t peer = 0; asks->lines && peer < context->ranks; peer++)
        open = open || asks->lines[peer].takes || asks->lines[peer].gives;
    if (open)
        context->comm.cancel(context->comm.user, SL_CHANNEL_ASK);
    for (int32_t peer = 0; asks->lines && peer < context->ranks; peer++) {
        struct sl_ask_line *line = &asks->lines[peer];
        while (line->takes)
            (void)look(context, line->take, &line->takes);
        while (line->gives)
            (void)look(context, line->give, &line->gives);
        *line = (struct sl_ask_line){0};
    }
    asks->next = 0;
}
