/* SPDX-License-Identifier: Apache-2.0 */
#include "bk_layers.h"

#include <stdio.h>

#include "bk_config.h"

static sluice_status make_layer(const struct sl_text *text, const sluice_config *config,
                                int32_t index, int32_t ranks, struct sl_layer *layer,
                                int32_t *slots)
{
    const sluice_layer *given = config->layers[index];
    char name[48], why[200] = "";
    (void)snprintf(name, sizeof name, "config.layers[%d]", index);
    sluice_status status = SL_CHECK_STRUCT(text, name, given);
    if (status)
        return status;
    (void)snprintf(name, sizeof name, "config.layers[%d].router", index);
    status = SL_CHECK_STRUCT(text, name, given->router);
    if (status)
        return status;
    status = sl_rule_make(&layer->rule, given->router, why, sizeof why);
    if (status)
        return sl_text_fail(text, status, "config.layers[%d].%s", index, why);
    int32_t experts = layer->rule.experts;
    *slots = given->slots_per_rank ? given->slots_per_rank : (experts + ranks - 1) / ranks;
    if (*slots < 0 || (int64_t)*slots * ranks > SL_MAX_PHYSICAL)
        return sl_text_fail(
            text, SLUICE_INVALID,
            "config.layers[%d].slots_per_rank is %d: with %d ranks it must be 1 to %d", index,
            *slots, ranks, SL_MAX_PHYSICAL / ranks);
    if ((int64_t)*slots * ranks < experts)
        return sl_text_fail(
            text, SLUICE_INVALID,
            "config.layers[%d].slots_per_rank is %d: %d ranks then hold %d of %d experts, must "
            "be at least %d",
            index, *slots, ranks, *slots * ranks, experts, (experts + ranks - 1) / ranks);
    layer->shared = config->shared_policy == SLUICE_SHARED_NOT_FUSED ? 0 : layer->rule.shared;
    layer->bank_index = given->bank ? *given->bank : index;
    return SLUICE_OK;
}

/* A layer that uses another's bank: is that one its own bank, of the same shape? */
static sluice_status check_bank(const struct sl_text *text, const sluice_config *config,
                                int32_t index, const struct sl_layer *layers, const int32_t *slots)
{
    int32_t bank = layers[index].bank_index;
    if (bank == index)
        return SLUICE_OK;
    if (bank < 0 || bank >= config->layer_count || layers[bank].bank_index != bank)
        return sl_text_fail(text, SLUICE_INVALID,
                            "config.layers[%d].bank is %d: must be a layer that is its own bank",
                            index, bank);
    if (layers[bank].rule.experts != layers[index].rule.experts ||
        layers[bank].shared != layers[index].shared || slots[bank] != slots[index])
        return sl_text_fail(
            text, SLUICE_INVALID,
            "config.layers[%d].bank is %d, which has %d experts, %d shared, %d slots a "
            "rank: this layer has %d, %d, %d",
            index, bank, layers[bank].rule.experts, layers[bank].shared, slots[bank],
            layers[index].rule.experts, layers[index].shared, slots[index]);
    return SLUICE_OK;
}

static struct sl_shape shape_of(const struct sl_layer *layer, int32_t slots, int32_t ranks,
                                int32_t rank)
{
    return (struct sl_shape){.experts = layer->rule.experts,
                             .slots = slots,
                             .ranks = ranks,
                             .shared = layer->shared,
                             .local = slots + layer->shared,
                             .physical = slots * ranks,
                             .rank = rank};
}

static sluice_status make_layers(sluice_context *context, const sluice_config *config,
                                 const struct sl_text *text, int32_t *slots)
{
    sluice_status status = SLUICE_OK;
    for (int32_t i = 0; !status && i < config->layer_count; i++)
        status = make_layer(text, config, i, context->ranks, &context->layers[i], &slots[i]);
    for (int32_t i = 0; !status && i < config->layer_count; i++)
        status = check_bank(text, config, i, context->layers, slots);
    for (int32_t i = 0; !status && i < config->layer_count; i++) {
        struct sl_layer *layer = &context->layers[i];
        layer->bank = &context->banks[layer->bank_index];
        layer->bank->shape = shape_of(layer, slots[i], context->ranks, context->rank);
    }
    return status;
}

sluice_status sl_layers_start(sluice_context *context, const sluice_config *config,
                              const struct sl_text *text)
{
    int32_t count = config->layer_count;
    context->layers = sl_alloc(context, (size_t)count * sizeof *context->layers, SLUICE_MEM_STATE);
    context->banks = sl_alloc(context, (size_t)count * sizeof *context->banks, SLUICE_MEM_STATE);
    int32_t *slots = sl_alloc(context, (size_t)count * sizeof *slots, SLUICE_MEM_SCRATCH);
    bool room = context->layers && context->banks && slots;
    sluice_status status =
        room ? make_layers(context, config, text, slots)
             : sl_text_fail(text, SLUICE_NO_MEMORY, "no memory for %d layers", count);
    sl_free(context, slots, (size_t)count * sizeof *slots, SLUICE_MEM_SCRATCH);
    return status;
}
