/* SPDX-License-Identifier: Apache-2.0
 * How every exchange begins: a header from each rank, compared, so that ranks which make different
 * calls are told so before a byte is misread. */
#include <stdio.h>
#include <string.h>

#include "bk_lane.h"

#include "../core/mutant.h"

const char *sl_kind_name(int32_t kind)
{
    static const char *const names[] = {
        "no call", "open", "remap", "dispatch COUNT", "dispatch SEND", "dispatch FIXED", "combine"};
    return kind >= 0 && kind < (int32_t)(sizeof names / sizeof *names) ? names[kind] : "no call";
}

/* No exchange, on any channel, until ranks are set anew. */
static sluice_status break_off(sluice_context *context, sluice_status status,
                               const struct sl_header *mine, int32_t rank)
{
    sluice_fault fault = {.struct_size = sizeof fault,
                          .kind =
                              status == SLUICE_MISMATCH ? SLUICE_FAULT_MISMATCH : SLUICE_FAULT_PEER,
                          .op = mine->kind == SL_KIND_COMBINE ? SLUICE_OP_COMBINE
                                : mine->kind == SL_KIND_REMAP ? SLUICE_OP_REMAP
                                                              : SLUICE_OP_DISPATCH,
                          .layer = mine->layer,
                          .lane = mine->lane,
                          .rank = rank,
                          .call = mine->number};
    for (int32_t channel = 0; channel < 4 && !SL_MUTANT(fault_forgotten); channel++)
        context->exchange->broken[channel] = status;
    sl_fault(context, &fault);
    return status;
}

static sluice_status fail_wait(sluice_context *context, sluice_status status,
                               const struct sl_header *mine, int32_t peer)
{
    int32_t rank = peer >= 0 && peer < context->living_count ? context->living[peer] : -1;
    const char *what = status == SLUICE_PEER_LOST   ? "did not come"
                       : status == SLUICE_CANCELLED ? "wait was ended by quiesce"
                       : status == SLUICE_MISMATCH  ? "sent a message of another length"
                                                    : "could not be reached";
    char name[32] = "a rank that is not known";
    if (rank >= 0)
        (void)snprintf(name, sizeof name, "rank %d", rank);
    (void)break_off(context, status, mine, rank);
    if (status == SLUICE_CANCELLED)
        return sl_fail(context, status, "%s of layer %d: the %s", sl_kind_name(mine->kind),
                       mine->layer, what);
    return sl_fail(context, status, "%s %s to %s of layer %d (timeout %lld ms)", name, what,
                   sl_kind_name(mine->kind), mine->layer,
                   (long long)(context->timeout_ns / 1000000));
}

static bool same(const struct sl_header *a, const struct sl_header *b)
{
    return memcmp(a, b, offsetof(struct sl_header, tokens)) == 0 || SL_MUTANT(mismatch_ignored);
}

/* What `form` stands for. */
static const char *form_name(int32_t kind)
{
    switch (kind) {
    case SL_KIND_REMAP:
        return "the balance config";
    case SL_KIND_SEND:
        return "the columns of dispatch_ids or the payloads' bytes a token";
    case SL_KIND_COMBINE:
        return "the dtype or length of the rows";
    default:
        return "the columns of dispatch_ids";
    }
}

static sluice_status differ(sluice_context *context, const struct sl_header *mine, int32_t peer)
{
    const struct sl_header *other = &context->exchange->headers[peer];
    int32_t rank = context->living[peer];
    (void)break_off(context, SLUICE_MISMATCH, mine, rank);
    bool same_call =
        other->magic == SL_HEADER_MAGIC && other->kind == mine->kind && other->layer == mine->layer;
    if (same_call && other->epoch != mine->epoch)
        return sl_fail(context, SLUICE_MISMATCH,
                       "layer %d: rank %d has placement epoch %lld, this rank has epoch %lld",
                       mine->layer, rank, (long long)other->epoch, (long long)mine->epoch);
    if (same_call && other->map != mine->map)
        return sl_fail(context, SLUICE_MISMATCH,
                       "layer %d: rank %d has another placement of the same epoch %lld",
                       mine->layer, rank, (long long)mine->epoch);
    if (same_call && other->lane == mine->lane && other->number == mine->number)
        return sl_fail(context, SLUICE_MISMATCH,
                       "rank %d is in %s of layer %d as this rank is, but %s differ: form %llx, "
                       "here %llx",
                       rank, sl_kind_name(mine->kind), mine->layer, form_name(mine->kind),
                       (unsigned long long)other->form, (unsigned long long)mine->form);
    return sl_fail(context, SLUICE_MISMATCH,
                   "rank %d is in %s of layer %d, lane %d, exchange %lld; this rank in %s of layer "
                   "%d, lane %d, exchange %lld",
                   rank, sl_kind_name(other->kind), other->layer, other->lane,
                   (long long)other->number, sl_kind_name(mine->kind), mine->layer, mine->lane,
                   (long long)mine->number);
}

sluice_status sl_exchange_compare(sluice_context *context, const struct sl_header *mine)
{
    for (int32_t p = 0; p < context->living_count; p++)
        if (!same(mine, &context->exchange->headers[p]))
            return differ(context, mine, p);
    return SLUICE_OK;
}

sluice_status sl_exchange_meet(sluice_context *context, int32_t channel, struct sl_header *mine)
{
    struct sl_exchange *exchange = context->exchange;
    if (exchange->broken[channel])
        return sl_fail(context, SLUICE_NOT_READY,
                       "set of sluice.ranks/1 must come first: an exchange has failed, or this "
                       "rank has just joined");
    mine->magic = SL_HEADER_MAGIC;
    mine->number = exchange->number[channel]++;
    if (mine->kind != SL_KIND_OPEN) {
        mine->epoch = context->layers[mine->layer].bank->epoch;
        mine->map = SL_MUTANT(maps_not_compared) ? 0 : context->layers[mine->layer].bank->map_hash;
    }
    if (context->living_count == 1) {
        exchange->headers[0] = *mine;
        return SLUICE_OK;
    }
    int32_t peer = -1;
    sluice_status status =
        context->comm.all_gather(context->comm.user, channel, mine, exchange->headers, sizeof *mine,
                                 context->timeout_ns, &peer);
    if (status)
        return fail_wait(context, status, mine, peer);
    return sl_exchange_compare(context, mine);
}

sluice_status sl_exchange_trade(sluice_context *context, int32_t channel,
                                const struct sl_header *mine)
{
    struct sl_exchange *exchange = context->exchange;
    if (context->living_count == 1) {
        if (exchange->send_bytes[0])
            memcpy(exchange->recv[0], exchange->send[0], exchange->send_bytes[0]);
        return SLUICE_OK;
    }
    int32_t peer = -1;
    sluice_status status =
        context->comm.all_to_all(context->comm.user, channel, exchange->send, exchange->send_bytes,
                                 exchange->recv, exchange->recv_bytes, context->timeout_ns, &peer);
    return status ? fail_wait(context, status, mine, peer) : SLUICE_OK;
}

sluice_status sl_exchange_gather(sluice_context *context, int32_t channel, int32_t kind,
                                 int32_t layer, uint64_t form, const void *mine, void *all,
                                 size_t bytes)
{
    struct sl_header header = {.kind = kind, .layer = layer, .form = form ^ bytes};
    sluice_status status = sl_exchange_meet(context, channel, &header);
    if (status)
        return status;
    if (context->living_count == 1) {
        memcpy(all, mine, bytes);
        return SLUICE_OK;
    }
    int32_t peer = -1;
    status = context->comm.all_gather(context->comm.user, channel, mine, all, bytes,
                                      context->timeout_ns, &peer);
    return status ? fail_wait(context, status, &header, peer) : SLUICE_OK;
}

sluice_status sl_exchange_agree(sluice_context *context, const sluice_config *config, char *text,
                                size_t text_size)
{
    const struct sl_exchange *exchange = context->exchange;
    uint64_t form = SL_MIX;
    const int32_t numbers[] = {config->uses,          config->flags,       config->copy_policy,
                               config->shared_policy, config->layer_count, context->ranks};
    form = sl_mix(form, numbers, sizeof numbers);
    form = sl_mix(form, &config->seed, sizeof config->seed);
    form = sl_mix(form, &exchange->transport, sizeof exchange->transport);
    for (int32_t i = 0; i < context->layer_count; i++) {
        form = sl_mix(form, &context->layers[i].rule, sizeof context->layers[i].rule);
        form = sl_mix(form, &context->layers[i].bank->shape.slots, sizeof(int32_t));
        form = sl_mix(form, &context->layers[i].bank_index, sizeof(int32_t));
    }
    if (SL_MUTANT(configs_not_compared))
        form = 0;
    struct sl_header header = {.kind = SL_KIND_OPEN, .form = form};
    sluice_status status = sl_exchange_meet(context, SL_CHANNEL_OPEN, &header);
    if (status == SLUICE_MISMATCH && text && text_size)
        (void)snprintf(text, text_size,
                       "config differs between ranks: layers, routers, transport, policies, uses, "
                       "flags and seed must be equal (%s)",
                       context->error);
    else if (status && text && text_size)
        (void)snprintf(text, text_size, "%s", context->error);
    return status;
}

void sl_exchange_hold(sluice_context *context)
{
    for (int32_t channel = 0; channel < 4; channel++)
        context->exchange->broken[channel] = SLUICE_NOT_READY;
}

void sl_exchange_number(const sluice_context *context)
{
    int32_t *peer_of = context->exchange->peer_of;
    for (int32_t r = 0; r < context->ranks; r++)
        peer_of[r] = -1;
    for (int32_t p = 0; p < context->living_count; p++)
        peer_of[context->living[p]] = p;
}

void sl_exchange_reset(sluice_context *context)
{
    struct sl_exchange *exchange = context->exchange;
    if (!exchange)
        return;
    memset(exchange->number, 0, sizeof exchange->number);
    memset(exchange->broken, 0, sizeof exchange->broken);
    for (int32_t lane = 0; lane < exchange->transport.lanes; lane++)
        exchange->lanes[lane].state = LANE_IDLE;
    sl_exchange_number(context);
    if (context->comm.resume)
        context->comm.resume(context->comm.user, -1);
}
