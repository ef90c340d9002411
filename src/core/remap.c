/* SPDX-License-Identifier: Apache-2.0 */
#include "remap.h"

#include <stdbool.h>
#include <string.h>

#include "mutant.h"
#include "philox.h"
#include "rule.h"

/* What a row needs to know. */
struct lookup {
    const int32_t *start, *copies; /* of living copies */
    const int32_t *chosen, *chosen_slot;
    uint32_t experts;
    int32_t top_k;
    int32_t shared;   /* F */
    int32_t local;    /* L */
    int32_t slots;    /* N */
    uint64_t inverse; /* ceil(2^32 / N): p * inverse >> 32 is p / N, as p * N < 2^32 */
};

static struct lookup look_up(const struct sl_remap *remap)
{
    const struct sl_shape *shape = remap->shape;
    const struct sl_place *place = remap->place;
    uint64_t slots = (uint64_t)shape->slots;
    return (struct lookup){.start = place->alive_start,
                           .copies = place->alive_copies,
                           .chosen = place->chosen,
                           .chosen_slot = place->chosen_slot,
                           .experts = (uint32_t)shape->experts,
                           .top_k = remap->top_k,
                           .shared = shape->shared,
                           .local = shape->local,
                           .slots = shape->slots,
                           .inverse = ((1ULL << 32) + slots - 1) / slots};
}

/* Any id that is no expert looks up entry E, which has no copy. */
static inline uint32_t entry_of(uint32_t experts, int32_t id)
{
    return (uint32_t)id < experts ? (uint32_t)id : experts;
}

/* a mod n for a that rarely needs 64 bits. */
static inline uint32_t modulo(uint64_t a, uint32_t n)
{
    return a >> 32 ? (uint32_t)(a % n) : (uint32_t)a % n;
}

/* Each of the next three writes a row's K physical and slot ids, and returns a negative number if
 * some choice has none. */
static inline int32_t map_static(const struct lookup *look, const int32_t *restrict ids,
                                 int32_t *restrict physical, int32_t *restrict slots)
{
    const int32_t *chosen = look->chosen, *chosen_slot = look->chosen_slot;
    int32_t top_k = look->top_k, any = 0, k = 0;
    uint32_t experts = look->experts;
    for (; k + 4 <= top_k; k += 4) {
        uint32_t a = entry_of(experts, ids[k]), b = entry_of(experts, ids[k + 1]);
        uint32_t c = entry_of(experts, ids[k + 2]), d = entry_of(experts, ids[k + 3]);
        any |= physical[k] = chosen[a];
        any |= physical[k + 1] = chosen[b];
        any |= physical[k + 2] = chosen[c];
        any |= physical[k + 3] = chosen[d];
        slots[k] = chosen_slot[a];
        slots[k + 1] = chosen_slot[b];
        slots[k + 2] = chosen_slot[c];
        slots[k + 3] = chosen_slot[d];
    }
    for (; k < top_k; k++) {
        uint32_t entry = entry_of(experts, ids[k]);
        any |= physical[k] = chosen[entry];
        slots[k] = chosen_slot[entry];
    }
    return any;
}

/* Column k: copy `number` of `count`; none if there are none. */
static inline int32_t put(const struct lookup *look, int32_t k, uint32_t start, uint32_t count,
                          uint32_t number, int32_t *physical, int32_t *slots)
{
    int32_t copy = look->copies[start + number];
    copy = count ? copy : -1;
    int32_t rank = (int32_t)((uint64_t)(uint32_t)copy * look->inverse >> 32);
    physical[k] = copy;
    slots[k] = count ? copy + rank * look->shared : -1;
    return copy;
}

static int32_t map_by_row(const struct lookup *look, uint64_t row, const int32_t *ids,
                          int32_t *physical, int32_t *slots)
{
    int32_t any = 0;
    for (int32_t k = 0; k < look->top_k; k++) {
        const int32_t *start = look->start + entry_of(look->experts, ids[k]);
        uint32_t count = (uint32_t)(start[1] - start[0]);
        uint32_t number = count > 1 ? modulo(row, count) : 0;
        any |= put(look, k, (uint32_t)start[0], count, number, physical, slots);
    }
    return any;
}

static int32_t map_random(const struct lookup *look, const struct sl_remap *remap, uint64_t row,
                          const int32_t *ids, int32_t *physical, int32_t *slots)
{
    int32_t any = 0;
    for (int32_t group = 0; group < look->top_k; group += 4) {
        uint32_t start[4], count[4], most = 0;
        int32_t end = look->top_k - group < 4 ? look->top_k - group : 4;
        for (int32_t k = 0; k < end; k++) {
            const int32_t *at = look->start + entry_of(look->experts, ids[group + k]);
            start[k] = (uint32_t)at[0];
            count[k] = (uint32_t)(at[1] - at[0]);
            most |= count[k];
        }
        struct sl_philox draw = {{0, 0, 0, 0}};
        if (most > 1) {
            uint64_t part = (uint64_t)(uint32_t)remap->layer << 4 | (uint64_t)group / 4;
            uint64_t step = (uint64_t)remap->step, seed = remap->seed;
            if (SL_MUTANT(random_ignores_step))
                step = 0;
            if (SL_MUTANT(random_ignores_seed))
                seed = 0;
            if (SL_MUTANT(random_ignores_layer))
                part = (uint64_t)group / 4;
            draw = sl_philox(seed ^ part << 32, row, step);
        }
        for (int32_t k = 0; k < end; k++)
            any |= put(look, group + k, start[k], count[k], sl_below(draw.word[k], count[k]),
                       physical, slots);
    }
    return any;
}

/* BALANCED: ids of experts with a copy stay as they are until the quotas are known. */
static int32_t map_later(const struct lookup *look, const int32_t *ids, int32_t *physical,
                         int32_t *slots)
{
    int32_t any = 0;
    for (int32_t k = 0; k < look->top_k; k++) {
        const int32_t *start = look->start + entry_of(look->experts, ids[k]);
        physical[k] = slots[k] = start[1] > start[0] ? ids[k] : -1;
        any |= physical[k];
    }
    return any;
}

static void tally_row(const struct lookup *look, const int32_t *ids, struct sl_remap_tally *tally)
{
    for (int32_t k = 0; k < look->top_k; k++) {
        uint32_t entry = entry_of(look->experts, ids[k]);
        if (entry == look->experts)
            tally->rejected += ids[k] != -1 && !SL_MUTANT(rejected_not_counted);
        else if (!SL_MUTANT(dead_not_counted))
            tally->dead += look->start[entry] == look->start[entry + 1];
    }
}

/* Physical ids and the routed columns of slots, which lie `stride` apart. */
static void map_rows(const struct lookup *look, const struct sl_remap *remap, uint64_t row,
                     int32_t count, const uint8_t *valid, const int32_t *ids, int32_t *physical,
                     int32_t *slots, int32_t stride, struct sl_remap_tally *tally)
{
    int32_t top_k = look->top_k;
    bool later = remap->copy_policy == SLUICE_COPY_BALANCED;
    bool by_row = remap->by_row, random = remap->copy_policy == SLUICE_COPY_RANDOM;
    for (int32_t i = 0; i < count; i++) {
        int32_t any = 0;
        if (!valid[i]) {
            for (int32_t k = 0; k < top_k; k++)
                physical[k] = slots[k] = SL_MUTANT(padding_shifted) ? -1 - look->shared : -1;
        } else if (later) {
            any = map_later(look, ids, physical, slots);
        } else if (by_row) {
            any = map_by_row(look, row + (uint64_t)i, ids, physical, slots);
        } else if (random) {
            any = map_random(look, remap, row + (uint64_t)i, ids, physical, slots);
        } else {
            any = map_static(look, ids, physical, slots);
        }
        if (any < 0)
            tally_row(look, ids, tally);
        ids += top_k;
        physical += top_k;
        slots += stride;
    }
}

/* The shared columns of slots. */
static void serve_rows(const struct lookup *look, const struct sl_remap *remap, int64_t first,
                       int32_t count, const uint8_t *valid, int32_t *slots)
{
    int32_t shared = look->shared, home = remap->shape->rank;
    for (int32_t i = 0; i < count; i++) {
        slots += look->top_k;
        if (remap->by_row)
            home = sl_serving_rank(remap, first + i);
        if (SL_MUTANT(shared_on_every_rank))
            home = remap->shape->rank;
        int32_t slot = valid[i] || SL_MUTANT(padding_keeps_shared)
                           ? home * look->local + look->slots
                           : -1,
                step = valid[i] != 0;
        for (int32_t j = 0; j < shared; j++)
            slots[j] = slot + j * step;
        slots += shared;
    }
}

/* shared NULL: the constant. */
static void weigh_rows(const struct lookup *look, const struct sl_remap *remap, int32_t count,
                       const uint8_t *valid, const int32_t *restrict physical,
                       const float *restrict weights, const float *restrict shared,
                       float *restrict out)
{
    int32_t top_k = look->top_k, columns = look->shared;
    for (int32_t i = 0; i < count; i++) {
        int32_t k = 0;
        for (; k + 4 <= top_k; k += 4) {
            uint32_t bits[4];
            memcpy(bits, weights + k, sizeof bits);
            for (int at = 0; at < 4; at++)
                bits[at] &= (uint32_t)(physical[k + at] < 0) - 1;
            memcpy(out + k, bits, sizeof bits);
        }
        for (; k < top_k; k++)
            out[k] = physical[k] < 0 ? 0.0F : weights[k];
        physical += top_k;
        weights += top_k;
        out += top_k;
        for (int32_t j = 0; j < columns; j++) {
            float weight = shared ? shared[(ptrdiff_t)i * columns + j] / remap->shared_divisor
                                  : remap->shared_constant;
            if (SL_MUTANT(shared_scale_lost) && !shared)
                weight = 1 / remap->shared_divisor;
            *out++ = valid[i] ? weight : 0.0F;
        }
    }
}

int32_t sl_serving_rank(const struct sl_remap *remap, int64_t row)
{
    uint64_t global = (uint64_t)remap->row_base + (uint64_t)row;
    return remap->living_ranks[modulo(global, (uint32_t)remap->living)];
}

void sl_remap_block(const struct sl_remap *remap, int64_t first, int32_t count,
                    const uint8_t *valid, const int32_t *ids, const float *weights,
                    const float *shared, const struct sl_mapped *out, struct sl_remap_tally *tally)
{
    const struct lookup look = look_up(remap);
    int32_t spare[SL_MAX_K]; /* one row, written over and over, where slots are not wanted */
    map_rows(&look, remap, (uint64_t)remap->row_base + (uint64_t)first, count, valid, ids,
             out->physical, out->slots ? out->slots : spare,
             out->slots ? look.top_k + look.shared : 0, tally);
    if (out->slots && look.shared > 0)
        serve_rows(&look, remap, first, count, valid, out->slots);
    if (SL_MUTANT(dead_weight_kept) && out->weights && !look.shared) {
        memcpy(out->weights, weights, (size_t)count * (size_t)look.top_k * sizeof *weights);
        return;
    }
    if (out->weights)
        weigh_rows(&look, remap, count, valid, out->physical, weights, shared, out->weights);
}
