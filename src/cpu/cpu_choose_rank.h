/* SPDX-License-Identifier: Apache-2.0
 * The K best of a row's ranking values, by vectors. Included by cpu_choose_avx2.c and
 * cpu_choose_avx512.c.
 *
 * A value that at least K columns have or exceed is found from the greatest of each lane. The
 * columns from there up, a few more than K, are packed and then sorted, as keys that hold value and
 * id (vk_make), so that ties need no second look. */
#ifndef SL_CPU_CHOOSE_RANK_H
#define SL_CPU_CHOOSE_RANK_H

/* Ranking values and where to look: `parts` parts of `width` columns, part[i] at part[i] * width;
 * part NULL: one part, at 0. */
struct sl_field {
    const float *v;
    float most; /* greater values count as this one */
    int32_t width, parts;
    const int32_t *part;
};

SL_SIMD vm sl_lanes_below(int32_t n)
{
    const int32_t lane[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    return vi_gt(vi_set(n), vi_load(lane));
}

/* Columns at ... end-1, 16 at most; -inf in the other lanes. */
SL_SIMD vf sl_load_to(const float *v, int32_t at, int32_t end)
{
    if (end - at >= 16)
        return vf_load(v + at);
    vf some = vf_load_row(v, SL_F32, at, end - at);
    return vf_pick(sl_lanes_below(end - at), some, vf_set(-INFINITY));
}

/* The greatest of each lane. */
SL_SIMD vf sl_lane_greatest(const struct sl_field *field)
{
    vf best = vf_set(-INFINITY);
    for (int32_t i = 0; i < field->parts; i++) {
        int32_t at = field->part ? field->part[i] * field->width : 0, end = at + field->width;
        /* In this order NaN leaves what is there. */
        for (; at < end; at += 16)
            best = vf_max(sl_load_to(field->v, at, end), best);
    }
    return best;
}

/* The `depth` greatest of each lane, descending. */
SL_SIMD void sl_lane_best(const struct sl_field *field, int32_t depth, vf *best)
{
    for (int32_t d = 0; d < depth; d++)
        best[d] = vf_set(-INFINITY);
    for (int32_t i = 0; i < field->parts; i++) {
        int32_t at = field->part ? field->part[i] * field->width : 0, end = at + field->width;
        for (; at < end; at += 16) {
            vf v = vf_max(sl_load_to(field->v, at, end), vf_set(-INFINITY));
            for (int32_t d = 0; d < depth; d++) {
                vf more = vf_max(v, best[d]);
                v = vf_min(v, best[d]);
                best[d] = more;
            }
        }
    }
}

/* The columns of `least` or more; never one of -inf. Pads for whole reads. */
SL_SIMD void sl_collect(const struct sl_field *field, float least, struct sl_candidates *to)
{
    least = least > -FLT_MAX ? least : -FLT_MAX;
    least = least < field->most ? least : field->most;
    float *values = to->values;
    int32_t *ids = to->ids;
    int64_t count = 0;
    for (int32_t i = 0; i < field->parts; i++) {
        int32_t at = field->part ? field->part[i] * field->width : 0, end = at + field->width;
        for (; at < end; at += 16) {
            vf v = vf_min(vf_set(field->most), sl_load_to(field->v, at, end));
            count = vf_collect(values, ids, count, vf_ge(v, vf_set(least)), v, at);
        }
    }
    vf_store(values + count, vf_set(-INFINITY));
    vi_store(ids + count, vi_set(0));
    to->count = (int32_t)count;
}

SL_SIMD vk vk_candidates(const struct sl_candidates *from, int32_t at)
{
    return vk_make(from->values + at, from->ids + at);
}

/* The 8 best; writes 8 ids. */
SL_SIMD void sl_sort_8(const struct sl_candidates *from, int32_t *ids)
{
    vk best = vk_sort_two(vk_candidates(from, 0), vk_candidates(from, 8));
    for (int32_t at = 16; at < from->count; at += 8) {
        vk more = vk_reverse(vk_sort(vk_candidates(from, at)));
        vk_exchange(&best, &more);
    }
    vk_ids(best, ids);
}

/* The top_k best, any number; ids are written in eights. */
SL_SIMD void sl_sort_many(const struct sl_candidates *from, int32_t top_k, int32_t *ids)
{
    vk list[SL_MAX_K / 8];
    int32_t lists = (top_k + 7) / 8;
    for (int32_t i = 0; i < lists; i++)
        list[i] = vk_none();
    for (int32_t at = 0; at < from->count; at += 8) {
        vk more = vk_candidates(from, at);
        if (!vk_any_greater(more, vk_last(list[lists - 1])))
            continue;
        more = vk_sort(more);
        for (int32_t i = 0; i < lists; i++) {
            more = vk_reverse(more);
            vk_exchange(&list[i], &more);
        }
    }
    for (int32_t i = 0; i < lists; i++)
        vk_ids(list[i], ids + 8 * i);
}

/* top_k ids of the field, in descending order, -1 at the end; written in eights. */
SL_SIMD_STEP void sl_best(const struct sl_field *field, int32_t top_k, struct sl_candidates *room,
                          int32_t *ids)
{
    if (top_k <= 8) {
        sl_collect(field, vf_eighth(sl_lane_greatest(field)), room);
        sl_sort_8(room, ids);
        return;
    }
    vf lane[SL_MAX_K / 16];
    int32_t depth = (top_k + 15) / 16;
    if (depth == 1)
        sl_lane_best(field, 1, lane);
    else
        sl_lane_best(field, depth, lane);
    sl_collect(field, vf_least(lane[depth - 1]), room);
    sl_sort_many(room, top_k, ids);
}

/* -1 from `found` to the end of the eight that k is in. */
SL_SIMD void sl_pad_ids(int32_t *ids, int32_t found, int32_t k)
{
    for (; found < (k + 7) / 8 * 8; found++)
        ids[found] = -1;
}

/* As many from each group, group by group. */
SL_SIMD_STEP void sl_best_even(const struct sl_rule *rule, struct sl_field *field,
                               struct sl_candidates *room, int32_t *ids)
{
    int32_t each = rule->top_k / rule->groups, found = 0;
    int32_t own[SL_MAX_K];
    field->width = rule->group_size;
    field->parts = 1;
    for (int32_t g = 0; g < rule->groups; g++) {
        field->part = &g;
        sl_best(field, each, room, own);
        for (int32_t k = 0; k < each && own[k] >= 0; k++)
            ids[found++] = own[k];
    }
    sl_pad_ids(ids, found, rule->top_k);
}

/* value[g] of 8 groups from g on, from u, which is -inf where nothing can be chosen; -inf beyond
 * the last group. `width` is the group's size, a constant where it can be, as may be `groups`. */
SL_SIMD void sl_group_values(const float *u, int32_t g, int32_t groups, int32_t width, bool both,
                             float *value)
{
    vf first[8], second[8];
    _Pragma("GCC unroll 8") for (int32_t i = 0; i < 8; i++)
    {
        first[i] = second[i] = vf_set(-INFINITY);
        if (g + i >= groups)
            continue;
        int32_t at = (g + i) * width, end = at + width;
        first[i] = sl_load_to(u, at, end);
        for (at += 16; at < end; at += 16) {
            vf more = sl_load_to(u, at, end);
            vf less = vf_min(more, first[i]);
            first[i] = vf_max(more, first[i]);
            second[i] = vf_max(less, second[i]);
        }
    }
    vf_reduce_groups(first, second, both, value + g);
}

#endif
