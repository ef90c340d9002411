/* SPDX-License-Identifier: Apache-2.0 */
#include "count.h"

#include "mutant.h"

uint64_t sl_count_ids(uint64_t *counters, int32_t physical, const int32_t *ids, int64_t count)
{
    uint64_t rejected = 0;
    for (int64_t i = 0; i < count; i++) {
        if ((uint32_t)ids[i] < (uint32_t)physical)
            counters[ids[i]]++;
        else
            rejected += ids[i] != -1;
    }
    return rejected;
}

static uint64_t count_wide(uint64_t *counters, int32_t physical, const int64_t *ids, int64_t count)
{
    uint64_t rejected = 0;
    for (int64_t i = 0; i < count; i++) {
        if ((uint64_t)ids[i] < (uint64_t)physical)
            counters[ids[i]]++;
        else
            rejected += ids[i] != -1;
    }
    return rejected;
}

uint64_t sl_count_rows(uint64_t *counters, int32_t physical, const struct sl_ids *ids, int64_t rows,
                       int64_t columns)
{
    uint64_t rejected = 0;
    const int32_t *narrow = ids->data;
    const int64_t *wide = ids->data;
    /* Rows without columns may be any number, and have no data. */
    for (int64_t i = 0; columns > 0 && i < rows; i++)
        rejected += ids->wide ? count_wide(counters, physical, wide + i * ids->stride, columns)
                              : sl_count_ids(counters, physical, narrow + i * ids->stride, columns);
    return rejected;
}

int32_t sl_count_slots(uint64_t *counters, const struct sl_shape *shape,
                       const struct sl_ids *counts)
{
    for (int32_t slot = 0; slot < shape->local; slot++)
        if (sl_id_at(counts, slot, 0) < 0)
            return slot;
    for (int32_t slot = 0; slot < shape->slots; slot++)
        counters[shape->rank * shape->slots + slot] += (uint64_t)sl_id_at(counts, slot, 0);
    if (SL_MUTANT(slots_count_shared))
        for (int32_t slot = shape->slots; slot < shape->local; slot++)
            counters[(ptrdiff_t)shape->rank * shape->slots] += (uint64_t)sl_id_at(counts, slot, 0);
    for (int32_t p = 0; SL_MUTANT(counters_32_bit) && p < shape->physical; p++)
        counters[p] = (uint32_t)counters[p];
    return -1;
}

void sl_count_ranks(const uint64_t *counters, const struct sl_shape *shape, int64_t *loads)
{
    for (int32_t r = 0; r < shape->ranks; r++)
        for (int32_t slot = 0; slot < shape->slots; slot++)
            loads[r] += (int64_t)counters[r * shape->slots + slot];
}

void sl_count_logical(const uint64_t *counters, const struct sl_shape *shape, const int32_t *map,
                      int64_t *logical)
{
    for (int32_t p = 0; p < shape->physical; p++)
        if (map[p] >= 0)
            logical[map[p]] += (int64_t)counters[p];
    for (int32_t p = 0; SL_MUTANT(logical_last_copy) && p < shape->physical; p++)
        if (map[p] >= 0)
            logical[map[p]] = (int64_t)counters[p];
}
