/* SPDX-License-Identifier: Apache-2.0 */
#include "place.h"

#include <stdio.h>
#include <string.h>

#include "mutant.h"
#include "rule.h"

enum { ALIGN = 64 };

/* Takes `count` entries from memory at *used; NULL memory: only counts. */
static int32_t *take(void *memory, size_t *used, int32_t count)
{
    char *at = memory ? (char *)memory + *used : NULL;
    size_t bytes = (size_t)count * sizeof(int32_t);
    *used += (bytes + ALIGN - 1) / ALIGN * ALIGN;
    return (int32_t *)(void *)at;
}

static size_t lay_out(struct sl_place *place, const struct sl_shape *shape, void *memory)
{
    size_t used = 0;
    place->map = take(memory, &used, shape->physical);
    place->copy_start = take(memory, &used, shape->experts + 1);
    place->copies = take(memory, &used, shape->physical);
    place->alive_start = take(memory, &used, shape->experts + 2);
    place->alive_copies = take(memory, &used, shape->physical + 1);
    place->chosen = take(memory, &used, shape->experts + 1);
    place->chosen_slot = take(memory, &used, shape->experts + 1);
    return used;
}

size_t sl_place_bytes(const struct sl_shape *shape)
{
    struct sl_place place;
    return lay_out(&place, shape, NULL);
}

void sl_place_bind(struct sl_place *place, const struct sl_shape *shape, void *memory)
{
    (void)lay_out(place, shape, memory);
}

static sluice_status check_size(int32_t layer, int32_t experts, int32_t ranks, const int32_t *map,
                                int64_t count, char *text, size_t text_size)
{
    if (experts < 1 || experts > SL_MAX_COLUMNS)
        (void)snprintf(text, text_size, "layer %d: experts is %d: must be 1 to %d", layer, experts,
                       SL_MAX_COLUMNS);
    else if (ranks < 1 || ranks > SL_MAX_RANKS)
        (void)snprintf(text, text_size, "layer %d: ranks is %d: must be 1 to %d", layer, ranks,
                       SL_MAX_RANKS);
    else if (count < experts || count > SL_MAX_PHYSICAL)
        (void)snprintf(text, text_size,
                       "layer %d: the map has %lld slots: must be %d (its experts) to %d", layer,
                       (long long)count, experts, SL_MAX_PHYSICAL);
    else if (count % ranks)
        (void)snprintf(text, text_size,
                       "layer %d: the map has %lld slots: must be a multiple of %d ranks", layer,
                       (long long)count, ranks);
    else if (!map)
        (void)snprintf(text, text_size, "layer %d: the map is missing", layer);
    else
        return SLUICE_OK;
    return SLUICE_INVALID;
}

sluice_status sl_place_check(int32_t layer, int32_t experts, int32_t ranks, const int32_t *map,
                             int64_t count, uint8_t *seen, char *text, size_t text_size)
{
    sluice_status status = check_size(layer, experts, ranks, map, count, text, text_size);
    if (status)
        return status;
    memset(seen, 0, (size_t)experts);
    for (int64_t p = 0; p < count; p++) {
        int32_t expert = map[p];
        if (expert < -1 || expert >= experts) {
            (void)snprintf(text, text_size,
                           "layer %d: slot %lld holds expert %d: must be 0 to %d, or -1 for empty",
                           layer, (long long)p, expert, experts - 1);
            return SLUICE_INVALID;
        }
        if (expert >= 0)
            seen[expert] = 1;
    }
    if (SL_MUTANT(missing_expert_accepted))
        return SLUICE_OK;
    for (int32_t expert = 0; expert < experts; expert++)
        if (!seen[expert]) {
            (void)snprintf(text, text_size, "layer %d: expert %d is in no slot", layer, expert);
            return SLUICE_INVALID;
        }
    return SLUICE_OK;
}

void sl_place_trivial(const struct sl_shape *shape, int32_t *map)
{
    for (int32_t p = 0; p < shape->physical; p++)
        map[p] = p % shape->experts;
}

/* A counting sort. */
void sl_place_list(const struct sl_shape *shape, const int32_t *map, const uint8_t *alive,
                   int32_t *start, int32_t *copies)
{
    int32_t experts = shape->experts, slots = shape->slots;
    memset(start, 0, (size_t)(experts + 1) * sizeof *start);
    for (int32_t r = 0; r < shape->ranks; r++)
        for (int32_t p = r * slots; (!alive || alive[r]) && p < (r + 1) * slots; p++)
            if (map[p] >= 0)
                start[map[p] + 1]++;
    for (int32_t e = 0; e < experts; e++)
        start[e + 1] += start[e];
    for (int32_t r = 0; r < shape->ranks; r++)
        for (int32_t p = r * slots; (!alive || alive[r]) && p < (r + 1) * slots; p++)
            if (map[p] >= 0)
                copies[start[map[p]]++] = p;
    /* Each start has moved on to the next expert's. */
    for (int32_t e = experts; e > 0; e--)
        start[e] = start[e - 1];
    start[0] = 0;
}

void sl_place_build(struct sl_place *place, const struct sl_shape *shape, const int32_t *map,
                    const uint8_t *alive, const int32_t *node, uint64_t seed, int32_t bank)
{
    int32_t experts = shape->experts;
    if (map != place->map)
        memcpy(place->map, map, (size_t)shape->physical * sizeof *map);
    sl_place_list(shape, place->map, NULL, place->copy_start, place->copies);
    sl_place_list(shape, place->map, alive, place->alive_start, place->alive_copies);
    place->alive_start[experts + 1] = place->alive_start[experts];
    place->alive_copies[place->alive_start[experts]] = -1;
    sl_place_choose(place, shape, alive, node, seed, bank);
    if (SL_MUTANT(dead_rank_chosen)) {
        memcpy(place->alive_start, place->copy_start,
               ((size_t)experts + 1) * sizeof *place->copy_start);
        memcpy(place->alive_copies, place->copies, (size_t)shape->physical * sizeof *place->copies);
        for (int32_t e = 0; e < experts; e++)
            place->chosen[e] = place->copies[place->copy_start[e]];
    }
}
