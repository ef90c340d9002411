/* SPDX-License-Identifier: Apache-2.0
 * dispatch: what may be wrong with a call. */
#include "../core/mutant.h"
#include "bk_dispatch.h"

static sluice_status check_phase(struct sl_dispatch *call)
{
    sluice_context *context = call->context;
    const sluice_dispatch_args *args = call->args;
    int32_t phase = args->phase;
    if (phase < SLUICE_DISPATCH_COUNT || phase > SLUICE_DISPATCH_FIXED)
        return sl_fail(context, SLUICE_INVALID, "phase is %d: must be COUNT 1, SEND 2 or FIXED 3",
                       phase);
    call->fixed = phase == SLUICE_DISPATCH_FIXED;
    call->counts = phase != SLUICE_DISPATCH_SEND;
    call->sends = phase != SLUICE_DISPATCH_COUNT;
    int32_t use = call->fixed ? SLUICE_USE_FIXED : SLUICE_USE_EXACT;
    if (!(context->uses & use))
        return sl_fail(context, SLUICE_UNSUPPORTED,
                       "phase is %d: config.uses did not have %s at open", phase,
                       call->fixed ? "FIXED" : "EXACT");
    call->exchange = context->exchange;
    if (args->lane < 0 || args->lane >= call->exchange->transport.lanes)
        return sl_fail(context, SLUICE_INVALID, "lane is %d: must be 0 to %d", args->lane,
                       call->exchange->transport.lanes - 1);
    call->lane = &call->exchange->lanes[SL_MUTANT(lanes_shared) ? 0 : args->lane];
    if (!args->handle)
        return sl_fail(context, SLUICE_INVALID, "handle is NULL");
    if (phase == SLUICE_DISPATCH_SEND && !SL_MUTANT(stale_send_accepted) &&
        (args->handle->opaque[0] != call->lane->call || call->lane->state != LANE_COUNTED ||
         call->lane->layer != args->layer))
        return sl_fail(
            context, SLUICE_STALE,
            "handle is not that of the last COUNT of lane %d, layer %d, or was sent already",
            args->lane, args->layer);
    return SLUICE_OK;
}

static sluice_status check_ids(struct sl_dispatch *call)
{
    sluice_context *context = call->context;
    int32_t widest = call->layer->rule.top_k + call->layer->shared;
    const sluice_transport *t = &call->exchange->transport;
    int64_t most = call->fixed ? t->fixed_tokens : t->max_tokens;
    sluice_status status = sl_check_tensor(context, "dispatch_ids", call->args->dispatch_ids, -1,
                                           -1, SL_T_IDS, &call->ids);
    if (status)
        return status;
    call->tokens = call->ids.rows;
    call->columns = (int32_t)call->ids.columns;
    if (call->ids.columns < 1 || call->ids.columns > widest)
        return sl_fail(context, SLUICE_INVALID, "dispatch_ids has %lld columns: must be 1 to %d",
                       (long long)call->ids.columns, widest);
    if (call->tokens > most)
        return sl_fail(context, SLUICE_INVALID,
                       "dispatch_ids has %lld rows: at most %s of config.transport, which is %lld",
                       (long long)call->tokens, call->fixed ? "fixed_tokens" : "max_tokens",
                       (long long)most);
    struct sl_scalar valid;
    if ((status =
             sl_check_scalar(context, "num_valid", call->args->num_valid, call->tokens, &valid)))
        return status;
    if (valid.value < 0 || valid.value > call->tokens)
        return sl_fail(context, SLUICE_INVALID, "num_valid is %lld: must be 0 to %lld",
                       (long long)valid.value, (long long)call->tokens);
    call->valid = valid.value;
    call->num_valid = valid.there;
    return SLUICE_OK;
}

static sluice_status check_payload(struct sl_dispatch *call, int32_t i)
{
    sluice_context *context = call->context;
    const sluice_dispatch_args *args = call->args;
    sluice_status status;
    static const char *const payloads[] = {"payloads[0]", "payloads[1]", "payloads[2]",
                                           "payloads[3]", "payloads[4]", "payloads[5]",
                                           "payloads[6]", "payloads[7]"};
    static const char *const rows[] = {"rows[0]", "rows[1]", "rows[2]", "rows[3]",
                                       "rows[4]", "rows[5]", "rows[6]", "rows[7]"};
    if ((status = sl_check_bytes(context, payloads[i], args->payloads[i], call->tokens,
                                 &call->payloads[i])) ||
        (status = sl_check_bytes(context, rows[i], args->rows[i], -1, &call->rows[i])) ||
        (status = sl_check_apart(context, rows[i], &call->rows[i])))
        return status;
    if (call->rows[i].columns != call->payloads[i].columns)
        return sl_fail(context, SLUICE_INVALID,
                       "rows[%d] has rows of %lld bytes: payloads[%d] has %lld", i,
                       (long long)call->rows[i].columns, i, (long long)call->payloads[i].columns);
    if (SL_MUTANT(payload_read_dense))
        call->payloads[i].stride = call->payloads[i].columns;
    call->token_bytes += (size_t)call->payloads[i].columns;
    return SLUICE_OK;
}

static sluice_status check_multiply(struct sl_dispatch *call)
{
    sluice_context *context = call->context;
    const sluice_dispatch_args *args = call->args;
    if (args->multiply != 0 && args->multiply != 1)
        return sl_fail(context, SLUICE_INVALID, "multiply is %d: must be 0 or 1", args->multiply);
    if (args->multiply && call->layer->rule.weight_on != SLUICE_WEIGHT_ON_INPUT)
        return sl_fail(context, SLUICE_INVALID,
                       "multiply is 1: the layer's weights go on the output, where combine applies "
                       "them");
    if (args->multiply) {
        int32_t type = call->payloads[0].type;
        if (args->payload_count < 1 || !(type & SL_T_FLOATS) || type != call->rows[0].type)
            return sl_fail(context, SLUICE_INVALID,
                           "multiply is 1: payloads[0] must be float32, float16 or bfloat16");
        call->multiply_type = sl_float_type(&call->payloads[0]);
    }
    if (call->layer->rule.weight_on == SLUICE_WEIGHT_ON_INPUT && !args->multiply &&
        !args->row_weight)
        return sl_fail(context, SLUICE_INVALID,
                       "the layer's weights go on the input: multiply must be 1, or row_weight "
                       "given so that the engine multiplies");
    return SLUICE_OK;
}

sluice_status sl_dispatch_check_send(struct sl_dispatch *call)
{
    sluice_context *context = call->context;
    const sluice_dispatch_args *args = call->args;
    const sluice_transport *t = &call->exchange->transport;
    sluice_status status;
    if ((status = sl_check_tensor(context, "dispatch_weights", args->dispatch_weights, call->tokens,
                                  call->columns, SL_T_F32, &call->weights)))
        return status;
    if (args->payload_count < 0 || args->payload_count > t->max_payloads)
        return sl_fail(context, SLUICE_INVALID, "payload_count is %d: must be 0 to %d",
                       args->payload_count, t->max_payloads);
    if (args->payload_count && (!args->payloads || !args->rows))
        return sl_fail(context, SLUICE_INVALID, "%s is NULL: payload_count is %d",
                       args->payloads ? "rows" : "payloads", args->payload_count);
    for (int32_t i = 0; i < args->payload_count; i++)
        if ((status = check_payload(call, i)))
            return status;
    if (call->token_bytes > (size_t)t->payload_row_bytes)
        return sl_fail(context, SLUICE_INVALID,
                       "payloads have %zu bytes a token: at most payload_row_bytes of "
                       "config.transport, which is %lld",
                       call->token_bytes, (long long)t->payload_row_bytes);
    if (args->row_slot && (status = sl_check_result(context, "row_slot", args->row_slot, -1, 1,
                                                    SL_T_IDS, &call->row_slot)))
        return status;
    if (args->row_weight && (status = sl_check_result(context, "row_weight", args->row_weight, -1,
                                                      1, SL_T_F32, &call->row_weight)))
        return status;
    return check_multiply(call);
}

static sluice_status check_counts(struct sl_dispatch *call)
{
    sluice_context *context = call->context;
    const sluice_dispatch_args *args = call->args;
    int64_t local = call->layer->bank->shape.local;
    sluice_status status;
    if (args->slot_counts && (status = sl_check_result(context, "slot_counts", args->slot_counts,
                                                       local, 1, SL_T_IDS, &call->slot_counts)))
        return status;
    if (args->slot_starts && (status = sl_check_result(context, "slot_starts", args->slot_starts,
                                                       local + 1, 1, SL_T_IDS, &call->slot_starts)))
        return status;
    if (args->phase == SLUICE_DISPATCH_COUNT && !args->row_count)
        return sl_fail(context, SLUICE_INVALID, "row_count is NULL: COUNT needs a place for it");
    return SLUICE_OK;
}

sluice_status sl_dispatch_check(struct sl_dispatch *call)
{
    sluice_status status;
    if ((status = sl_check_struct(call->context, NULL, 0, "args", call->args, sizeof *call->args,
                                  sizeof *call->args)) ||
        (status = sl_check_layer(call->context, call->args->layer, &call->layer)) ||
        (status = check_phase(call)) || (status = check_ids(call)))
        return status;
    return check_counts(call);
}
