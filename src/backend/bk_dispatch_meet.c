/* SPDX-License-Identifier: Apache-2.0
 * How SEND begins: what the ranks tell each other before a row moves. */
#include "../core/mutant.h"
#include "bk_dispatch.h"

void sl_dispatch_overflow(struct sl_dispatch *call, int32_t capacity, int32_t rank, int64_t had,
                          int64_t needed)
{
    if (call->overflow.kind != SLUICE_FAULT_NONE)
        return;
    call->overflow = (sluice_fault){.struct_size = sizeof call->overflow,
                                    .kind = SLUICE_FAULT_OVERFLOW,
                                    .op = SLUICE_OP_DISPATCH,
                                    .layer = call->args->layer,
                                    .lane = call->args->lane,
                                    .rank = rank,
                                    .capacity = capacity,
                                    .had = had,
                                    .needed = SL_MUTANT(overflow_needs_unknown) ? had : needed};
}

int64_t sl_dispatch_held(const struct sl_dispatch *call)
{
    int64_t held = INT64_MAX;
    for (int32_t k = 0; k < call->args->payload_count; k++)
        held = call->rows[k].rows < held ? call->rows[k].rows : held;
    if (call->args->row_slot && call->row_slot.rows < held)
        held = call->row_slot.rows;
    if (call->args->row_weight && call->row_weight.rows < held)
        held = call->row_weight.rows;
    return held;
}

/* What the ranks said of this exchange: too small an output anywhere ends it for all. */
static sluice_status heard(struct sl_dispatch *call)
{
    for (int32_t p = 0; p < call->lane->send.peers; p++) {
        const struct sl_header *said = &call->exchange->headers[p];
        if (said->state == SL_SAID_SMALL)
            return sl_fail(call->context, SLUICE_INVALID,
                           "rows of rank %d hold %lld rows: dispatch needs %lld",
                           call->context->living[p], (long long)said->tokens,
                           (long long)said->detail);
        if (said->state == SL_SAID_OVERFLOW && call->overflow.kind == SLUICE_FAULT_NONE)
            sl_dispatch_overflow(call, (int32_t)said->reserved, call->context->living[p],
                                 said->tokens, said->detail);
    }
    return SLUICE_OK;
}

uint64_t sl_dispatch_form(const struct sl_dispatch *call)
{
    uint64_t hash = sl_mix(SL_MIX, &call->columns, sizeof call->columns);
    for (int32_t k = 0; k < call->args->payload_count; k++)
        hash = sl_mix(hash, &call->payloads[k].columns, sizeof call->payloads[k].columns);
    return hash;
}

sluice_status sl_dispatch_meet(struct sl_dispatch *call, struct sl_header *header)
{
    int64_t held = sl_dispatch_held(call), wanted = call->lane->rows.total;
    bool small = held < wanted;
    bool over = call->overflow.kind != SLUICE_FAULT_NONE;
    *header = (struct sl_header){.kind = SL_KIND_SEND,
                                 .layer = call->args->layer,
                                 .lane = call->args->lane,
                                 .form = sl_dispatch_form(call),
                                 .tokens = small ? held : call->overflow.had,
                                 .detail = small ? wanted : call->overflow.needed,
                                 .state = small  ? SL_SAID_SMALL
                                          : over ? SL_SAID_OVERFLOW
                                                 : SL_SAID_OK,
                                 .reserved = call->overflow.capacity};
    sluice_status status = sl_exchange_meet(call->context, SL_CHANNEL_MOVE, header);
    return status ? status : heard(call);
}
