/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "../core/mutant.h"
#include "bk_args.h"
#include "bk_bank.h"
#include "bk_ext.h"

static sluice_status enter(sluice_context *context, int32_t layer, struct sl_layer **state)
{
    int64_t started;
    sluice_status status = sl_enter(context, SLUICE_OP_COUNT, &started);
    return status ? status : sl_check_layer(context, layer, state);
}

static sluice_status shape_of(sluice_context *context, int32_t layer, sluice_placement_shape *shape)
{
    struct sl_layer *state;
    sluice_status status = enter(context, layer, &state);
    if (status)
        return status;
    status = sl_check_struct(context, NULL, 0, "shape", shape, sizeof *shape, sizeof *shape);
    if (status)
        return status;
    const struct sl_shape *own = &state->bank->shape;
    shape->experts = own->experts;
    shape->slots_per_rank = own->slots;
    shape->ranks = own->ranks;
    shape->shared = own->shared;
    shape->rank = own->rank;
    shape->bank = state->bank_index;
    shape->epoch = state->bank->epoch;
    return SLUICE_OK;
}

static sluice_status validate(int32_t layer, int32_t experts, int32_t ranks, const int32_t *map,
                              int64_t count, char *text, size_t text_size)
{
    uint8_t seen[SL_MAX_COLUMNS];
    if (text && text_size)
        text[0] = 0;
    return sl_place_check(layer, experts, ranks, map, count, seen, text, text ? text_size : 0);
}

static sluice_status set(sluice_context *context, int32_t layer, const int32_t *map, int64_t count,
                         int64_t epoch, void *stream)
{
    struct sl_layer *state;
    char why[256];
    sluice_status status = enter(context, layer, &state);
    if (status)
        return status;
    struct sl_bank *bank = state->bank;
    if (count != bank->shape.physical)
        return sl_fail(context, SLUICE_INVALID, "count is %lld: layer %d has %d physical experts",
                       (long long)count, layer, bank->shape.physical);
    status = validate(layer, bank->shape.experts, bank->shape.ranks, map, count, why, sizeof why);
    if (status)
        return sl_fail(context, status, "%s", why);
    bool last = !epoch && bank->epoch == INT64_MAX;
    bool passed = epoch < 0 || (epoch && epoch <= bank->epoch) || last;
    if (passed && !SL_MUTANT(stale_epoch_accepted))
        return sl_fail(context, SLUICE_STALE,
                       "epoch is %lld: layer %d is at %lld, it must be above that or 0",
                       (long long)epoch, layer, (long long)bank->epoch);
    status = sl_bank_set(context, state->bank_index, map, stream);
    if (!status)
        bank->epoch = epoch ? epoch : bank->epoch + 1;
    return status;
}

static sluice_status get(sluice_context *context, int32_t layer, int32_t *map, int64_t count,
                         int64_t *epoch)
{
    struct sl_layer *state;
    sluice_status status = enter(context, layer, &state);
    if (status)
        return status;
    const struct sl_bank *bank = state->bank;
    if (!map || count != bank->shape.physical)
        return sl_fail(context, SLUICE_INVALID,
                       "map is %s and count is %lld: layer %d has %d physical experts",
                       map ? "given" : "NULL", (long long)count, layer, bank->shape.physical);
    memcpy(map, bank->place.map, (size_t)count * sizeof *map);
    if (epoch)
        *epoch = bank->epoch;
    return SLUICE_OK;
}

static sluice_status check_rank(sluice_context *context, const struct sl_bank *bank, int32_t rank)
{
    if (rank < 0 || rank >= bank->shape.ranks)
        return sl_fail(context, SLUICE_INVALID, "rank is %d: must be 0 to %d", rank,
                       bank->shape.ranks - 1);
    return SLUICE_OK;
}

/* What a local row of a rank holds. */
static int32_t row_holds(const struct sl_bank *bank, int32_t rank, int32_t row)
{
    int32_t slots = bank->shape.slots;
    return row < slots ? bank->place.map[rank * slots + row] : SLUICE_ROW_SHARED(row - slots);
}

static sluice_status rows(sluice_context *context, int32_t layer, int32_t rank, int32_t *holds,
                          int64_t count)
{
    struct sl_layer *state;
    sluice_status status = enter(context, layer, &state);
    if (status || (status = check_rank(context, state->bank, rank)))
        return status;
    if (!holds || count != state->bank->shape.local)
        return sl_fail(context, SLUICE_INVALID,
                       "holds is %s and count is %lld: layer %d has %d local slots",
                       holds ? "given" : "NULL", (long long)count, layer, state->bank->shape.local);
    for (int32_t row = 0; row < state->bank->shape.local; row++)
        holds[row] = row_holds(state->bank, rank, row);
    return SLUICE_OK;
}

static sluice_status finish(sluice_context *context, int32_t found, int32_t capacity,
                            int32_t *count)
{
    *count = found;
    if (found > capacity)
        return sl_fail(context, SLUICE_OVERFLOW, "capacity is %d: there are %d", capacity, found);
    return SLUICE_OK;
}

static sluice_status check_list(sluice_context *context, const int32_t *list, int32_t capacity,
                                const int32_t *count)
{
    if (!count || capacity < 0 || (capacity && !list))
        return sl_fail(context, SLUICE_INVALID,
                       "count is %s, capacity is %d, the list is %s: all three are needed",
                       count ? "given" : "NULL", capacity, list ? "given" : "NULL");
    return SLUICE_OK;
}

static sluice_status find(sluice_context *context, int32_t layer, int32_t rank, int32_t expert,
                          int32_t *list, int32_t capacity, int32_t *count)
{
    struct sl_layer *state;
    sluice_status status = enter(context, layer, &state);
    if (status || (status = check_rank(context, state->bank, rank)) ||
        (status = check_list(context, list, capacity, count)))
        return status;
    const struct sl_shape *shape = &state->bank->shape;
    if (expert >= shape->experts || expert == SLUICE_ROW_EMPTY ||
        expert < SLUICE_ROW_SHARED(shape->shared - 1))
        return sl_fail(context, SLUICE_INVALID,
                       "expert is %d: must be 0 to %d, or SLUICE_ROW_SHARED of one of %d shared",
                       expert, shape->experts - 1, shape->shared);
    int32_t found = 0;
    for (int32_t row = 0; row < shape->local; row++) {
        if (row_holds(state->bank, rank, row) != expert)
            continue;
        if (found < capacity)
            list[found] = row;
        found++;
    }
    return finish(context, found, capacity, count);
}

static sluice_status copies(sluice_context *context, int32_t layer, int32_t expert, int32_t *list,
                            int32_t capacity, int32_t *count)
{
    struct sl_layer *state;
    sluice_status status = enter(context, layer, &state);
    if (status || (status = check_list(context, list, capacity, count)))
        return status;
    const struct sl_bank *bank = state->bank;
    if (expert < 0 || expert >= bank->shape.experts)
        return sl_fail(context, SLUICE_INVALID, "expert is %d: must be 0 to %d", expert,
                       bank->shape.experts - 1);
    int32_t from = bank->place.copy_start[expert];
    int32_t found = bank->place.copy_start[expert + 1] - from;
    for (int32_t i = 0; i < found && i < capacity; i++)
        list[i] = bank->place.copies[from + i];
    return finish(context, found, capacity, count);
}

const sluice_placement_api sl_placement_api = {
    .struct_size = sizeof sl_placement_api,
    .shape = shape_of,
    .validate = validate,
    .set = set,
    .get = get,
    .rows = rows,
    .find = find,
    .copies = copies,
};
