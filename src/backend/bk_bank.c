/* SPDX-License-Identifier: Apache-2.0 */
#include "bk_bank.h"

#include <string.h>

#include "../core/count.h"
#include "../core/mutant.h"
#include "../core/sl_hash.h"

/* The tables begin the memory; what follows is aligned to 64. */
static size_t table_bytes(const struct sl_shape *shape)
{
    return (sl_place_bytes(shape) + 63) / 64 * 64;
}

static size_t folded_bytes(const struct sl_shape *shape)
{
    return ((size_t)shape->experts + (size_t)shape->ranks) * sizeof(int64_t);
}

size_t sl_bank_bytes(const struct sl_shape *shape)
{
    return table_bytes(shape) + 2 * folded_bytes(shape) + (size_t)shape->physical * sizeof(int32_t);
}

bool sl_banks_open(sluice_context *context)
{
    for (int32_t i = 0; i < context->layer_count; i++) {
        struct sl_bank *bank = &context->banks[i];
        if (context->layers[i].bank_index != i)
            continue;
        bank->place_memory = sl_alloc(context, sl_bank_bytes(&bank->shape), SLUICE_MEM_STATE);
        if (!bank->place_memory)
            return false;
        bank->folded = (int64_t *)(void *)((char *)bank->place_memory + table_bytes(&bank->shape));
        bank->kept = bank->folded + bank->shape.experts + bank->shape.ranks;
        bank->kept_map = (int32_t *)(void *)(bank->kept + bank->shape.experts + bank->shape.ranks);
        sl_place_bind(&bank->place, &bank->shape, bank->place_memory);
        sl_place_trivial(&bank->shape, bank->place.map);
        sl_bank_build(context, i, NULL);
    }
    return true;
}

void sl_banks_close(sluice_context *context)
{
    for (int32_t i = 0; context->banks && i < context->layer_count; i++)
        if (context->banks[i].place_memory)
            sl_free(context, context->banks[i].place_memory,
                    sl_bank_bytes(&context->banks[i].shape), SLUICE_MEM_STATE);
}

void sl_bank_count(const struct sl_bank *bank, const uint64_t *counters, int64_t *values)
{
    sl_count_logical(counters, &bank->shape, bank->place.map, values);
    if (!SL_MUTANT(served_forgotten))
        sl_count_ranks(counters, &bank->shape, values + bank->shape.experts);
}

sluice_status sl_bank_set(sluice_context *context, int32_t index, const int32_t *map, void *stream)
{
    struct sl_bank *bank = &context->banks[index];
    const struct sl_backend *backend = context->backend;
    const uint64_t *counters;
    sluice_status status = backend->may_wait ? backend->may_wait(context, stream) : SLUICE_OK;
    if (status || (status = sl_windows_settle(context)) ||
        (status = backend->read(context, index, stream, &counters)))
        return status;
    memcpy(bank->kept, bank->folded, folded_bytes(&bank->shape));
    memcpy(bank->kept_map, bank->place.map, (size_t)bank->shape.physical * sizeof *map);
    sl_bank_count(bank, counters, bank->folded);
    sl_bank_build(context, index, map);
    status = backend->renew(context, index, stream);
    status = status ? status : backend->zero(context, index, stream);
    if (status) {
        memcpy(bank->folded, bank->kept, folded_bytes(&bank->shape));
        sl_bank_build(context, index, bank->kept_map);
        (void)backend->renew(context, index, stream);
    }
    return status;
}

void sl_bank_build(sluice_context *context, int32_t index, const int32_t *map)
{
    struct sl_bank *bank = &context->banks[index];
    sl_place_build(&bank->place, &bank->shape, map ? map : bank->place.map, context->alive,
                   context->node, context->seed, index);
    bank->map_hash =
        sl_mix(SL_MIX, bank->place.map, (size_t)bank->shape.physical * sizeof *bank->place.map);
}
