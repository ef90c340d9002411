/* SPDX-License-Identifier: Apache-2.0 */
#include "cu_bank.h"

#include <string.h>

#include "../src/backend/bk_bank.h"
#include "cu_balance.h"
#include "cu_mover.h"

size_t slc_bank_bytes(const struct sl_shape *shape)
{
    return (size_t)shape->physical * sizeof(uint64_t);
}

size_t slc_bank_bytes_there(const struct sl_shape *shape)
{
    return sl_place_bytes(shape) + slc_bank_bytes(shape) + sizeof(uint64_t);
}

/* Copies the bank's tables to the device, in the order of `stream`. */
static slcu_result push(const sluice_context *context, int32_t index, void *stream)
{
    const struct sl_bank *bank = &context->banks[index];
    const struct slc_layer *own = &slc_of(context)->layers[index];
    const struct slcu_driver *driver = slc_of(context)->gpu.driver;
    slcu_result error = driver->MemcpyHtoDAsync(slc_address(own->memory), bank->place_memory,
                                                sl_place_bytes(&bank->shape), stream);
    return error ? error
                 : driver->MemcpyHtoDAsync(slc_address(own->map), &bank->map_hash,
                                           sizeof bank->map_hash, stream);
}

static slcu_result clear(sluice_context *context, int32_t index, void *stream)
{
    const struct sl_bank *bank = &context->banks[index];
    return slc_of(context)->gpu.driver->MemsetD8Async(slc_address(bank->counters), 0,
                                                      slc_bank_bytes(&bank->shape), stream);
}

bool slc_bank_open(sluice_context *context, int32_t index, slcu_result *error)
{
    struct sl_bank *bank = &context->banks[index];
    struct slc_layer *own = &slc_of(context)->layers[index];
    own->landing = sl_alloc(context, slc_bank_bytes(&bank->shape), SLUICE_MEM_STATE);
    own->memory = slc_alloc_there(context, slc_bank_bytes_there(&bank->shape));
    if (!own->landing || !own->memory)
        return false;
    bank->counters = (uint64_t *)(void *)((char *)own->memory + sl_place_bytes(&bank->shape));
    own->map = bank->counters + bank->shape.physical;
    sl_place_bind(&own->at, &bank->shape, own->memory);
    *error = clear(context, index, NULL);
    return !*error;
}

void slc_bank_close(sluice_context *context, int32_t index)
{
    const struct sl_shape *shape = &context->banks[index].shape;
    struct slc_layer *own = &slc_of(context)->layers[index];
    if (own->landing)
        sl_free(context, own->landing, slc_bank_bytes(shape), SLUICE_MEM_STATE);
    if (own->memory)
        slc_free_there(context, own->memory, slc_bank_bytes_there(shape));
}

static slcu_result land(sluice_context *context, int32_t index, void *stream)
{
    const struct sl_bank *bank = &context->banks[index];
    const struct slcu_driver *driver = slc_of(context)->gpu.driver;
    slcu_result error =
        driver->MemcpyDtoHAsync(slc_of(context)->layers[index].landing, slc_address(bank->counters),
                                slc_bank_bytes(&bank->shape), stream);
    return error ? error : driver->StreamSynchronize(stream);
}

sluice_status slc_bank_read(sluice_context *context, int32_t bank, void *stream,
                            const uint64_t **counters)
{
    *counters = slc_of(context)->layers[bank].landing;
    return slc_run(context, "reading counters", land, bank, stream);
}

sluice_status slc_bank_zero(sluice_context *context, int32_t bank, void *stream)
{
    return slc_run(context, "zeroing counters", clear, bank, stream);
}

slcu_result slc_tables_renew(sluice_context *context, int32_t bank, void *stream)
{
    const struct slcu_driver *driver = slc_of(context)->gpu.driver;
    int32_t living[1 + SL_MAX_RANKS] = {context->living_count};
    slcu_result error = SLCU_SUCCESS;
    for (int32_t i = 0; !error && i < context->layer_count; i++)
        if (context->layers[i].bank_index == i && (bank == -1 || bank == i))
            error = push(context, i, stream);
    memcpy(living + 1, context->living, (size_t)context->living_count * sizeof *living);
    if (!error && bank == -1)
        error =
            driver->MemcpyHtoDAsync(slc_address(slc_of(context)->living_there), living,
                                    ((size_t)context->living_count + 1) * sizeof *living, stream);
    if (!error)
        error = slc_balance_renew(context, bank, stream);
    if (!error && bank == -1)
        error = slc_mover_renew(context, stream);
    return error ? error : driver->StreamSynchronize(stream);
}

sluice_status slc_bank_renew(sluice_context *context, int32_t bank, void *stream)
{
    return slc_run(context, bank == -1 ? "setting the ranks" : "setting the placement",
                   slc_tables_renew, bank, stream);
}
