/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "../src/core/count.h"
#include "cu_open.h"

size_t slc_bank_bytes(const struct sl_shape *shape)
{
    return sl_place_bytes(shape) +
           ((size_t)shape->experts + (size_t)shape->physical) * sizeof(int64_t);
}

size_t slc_bank_bytes_there(const struct sl_shape *shape)
{
    return sl_place_bytes(shape) + (size_t)shape->physical * sizeof(uint64_t);
}

bool slc_bank_open(sluice_context *context, int32_t index, slcu_result *error)
{
    struct slc_bank *bank = &context->banks[index];
    const struct sl_shape *shape = &bank->shape;
    size_t tables = sl_place_bytes(shape);
    bank->place_memory = slc_alloc(context, slc_bank_bytes(shape), SLUICE_MEM_STATE);
    if (!bank->place_memory)
        return false;
    bank->folded = (int64_t *)(void *)((char *)bank->place_memory + tables);
    bank->landing = bank->folded + shape->experts;
    bank->there_memory = slc_alloc_there(context, slc_bank_bytes_there(shape));
    if (!bank->there_memory)
        return false;
    bank->counters = (uint64_t *)(void *)((char *)bank->there_memory + tables);
    sl_place_bind(&bank->place, shape, bank->place_memory);
    sl_place_bind(&bank->there, shape, bank->there_memory);
    sl_place_trivial(shape, bank->place.map);
    sl_place_build(&bank->place, shape, bank->place.map, context->alive, context->node,
                   context->seed, index);
    *error = context->gpu.driver->MemsetD8Async(slc_address(bank->counters), 0,
                                                (size_t)shape->physical * sizeof(uint64_t), NULL);
    if (!*error)
        *error = slc_bank_push(context, bank, NULL);
    return !*error;
}

static slcu_result set(sluice_context *context, int32_t index, const int32_t *map, void *stream)
{
    struct slc_bank *bank = &context->banks[index];
    const struct slcu_driver *driver = context->gpu.driver;
    slcu_result error = slc_bank_read(context, bank, stream);
    if (error)
        return error;
    sl_count_logical((const uint64_t *)bank->landing, &bank->shape, bank->place.map, bank->folded);
    sl_place_build(&bank->place, &bank->shape, map, context->alive, context->node, context->seed,
                   index);
    error = driver->MemsetD8Async(slc_address(bank->counters), 0,
                                  (size_t)bank->shape.physical * sizeof(uint64_t), stream);
    if (!error)
        error = slc_bank_push(context, bank, stream);
    /* The host's tables may change again as soon as this returns. */
    return error ? error : driver->StreamSynchronize(stream);
}

sluice_status slc_bank_set(sluice_context *context, int32_t index, const int32_t *map, void *stream)
{
    slcu_result error = slc_gpu_enter(&context->gpu);
    if (error)
        return slc_judge(context, "cuCtxPushCurrent", error);
    error = set(context, index, map, stream);
    slc_gpu_leave(&context->gpu);
    return slc_judge(context, "setting the placement", error);
}
