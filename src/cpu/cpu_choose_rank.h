/* SPDX-License-Identifier: Apache-2.0
 * The K best of a row's ranking values, by vectors. Included by cpu_choose_avx2.c and
 * cpu_choose_avx512.c after their vectors.
 *
 * A value that at least K columns have or exceed is found from the greatest of each lane. The
 * columns from there up, a few more than K, are packed and then sorted, as keys that hold value and
 * id (vk_make), so that ties need no second look. */
#ifndef SL_CPU_CHOOSE_RANK_H
#define SL_CPU_CHOOSE_RANK_H

/* Ranking values and where to look: in parts first[i] ... first[i] + width - 1. */
struct sl_field {
    const float *v;
    float most; /* greater values count as this one */
    int32_t width, parts;
    const int32_t *part; /* first[i] is part[i] * width */
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

/* The greatest `depth` of each lane, descending. */
SL_SIMD void sl_lane_best(const struct sl_field *field, int32_t depth, vf *best)
{
    for (int32_t d = 0; d < depth; d++)
        best[d] = vf_set(-INFINITY);
    for (int32_t i = 0; i < field->parts; i++) {
        int32_t at = field->part[i] * field->width, end = at + field->width;
        for (; at < end; at += 16) {
            vf v = sl_load_to(field->v, at, end);
            for (int32_t d = 0; d + 1 < depth; d++) {
                vf more = vf_max(v, best[d]);
                v = vf_min(v, best[d]);
                best[d] = more;
            }
            /* In this order NaN leaves what is there. */
            best[depth - 1] = vf_max(v, best[depth - 1]);
        }
    }
}

/* Columns of `least` or more, which is not -inf. Returns how many, and pads for whole reads. */
SL_SIMD int32_t sl_collect_from(const struct sl_field *field, float least, struct sl_candidates *to)
{
    least = least > -FLT_MAX ? least : -FLT_MAX;
    least = least < field->most ? least : field->most;
    int32_t count = 0;
    for (int32_t i = 0; i < field->parts; i++) {
        int32_t at = field->part[i] * field->width, end = at + field->width;
        for (; at < end; at += 16) {
            vf v = vf_min(vf_set(field->most), sl_load_to(field->v, at, end));
            count = vf_collect(to, count, vf_ge(v, vf_set(least)), v, at);
        }
    }
    vf_store(to->values + count, vf_set(-INFINITY));
    vi_store(to->ids + count, vi_set(0));
    return count;
}

SL_SIMD vk vk_candidates(const struct sl_candidates *from, int32_t at)
{
    return vk_make(from->values + at, from->ids + at, false);
}

/* The 8 best. `lanes`: the greatest of each lane. */
SL_SIMD vk sl_best_8(const struct sl_field *field, vf lanes, struct sl_candidates *room)
{
    int32_t count = sl_collect_from(field, vf_eighth(lanes), room);
    vk best = vk_sort_two(vk_candidates(room, 0), vk_candidates(room, 8));
    for (int32_t at = 16; at < count; at += 8) {
        vk more = vk_sort_ascending(vk_candidates(room, at));
        vk_exchange(&best, &more);
    }
    return best;
}

/* The top_k best, any number; ids are written in eights. */
SL_SIMD_TARGET static void sl_best_many(const struct sl_field *field, int32_t top_k,
                                        struct sl_candidates *room, int32_t *ids)
{
    enum { LISTS = SL_MAX_K / 8, DEPTH = SL_MAX_K / 16 };
    vf lane[DEPTH];
    int32_t depth = (top_k + 15) / 16;
    if (depth == 1)
        sl_lane_best(field, 1, lane);
    else
        sl_lane_best(field, depth, lane);
    int32_t count = sl_collect_from(field, vf_least(lane[depth - 1]), room);
    int32_t lists = (top_k + 7) / 8;
    vk list[LISTS];
    for (int32_t i = 0; i < lists; i++)
        list[i] = vk_none();
    for (int32_t at = 0; at < count; at += 8) {
        vk more = vk_candidates(room, at);
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
SL_SIMD_TARGET static void sl_best(const struct sl_field *field, int32_t top_k,
                                   struct sl_candidates *room, int32_t *ids)
{
    if (top_k > 8) {
        sl_best_many(field, top_k, room, ids);
        return;
    }
    vf lane;
    sl_lane_best(field, 1, &lane);
    vk_ids(sl_best_8(field, lane, room), ids);
}

/* value[g] from u, which is -inf where nothing can be chosen; written in eights. */
SL_SIMD void sl_group_values(const struct sl_rule *rule, const float *u, float *value)
{
    for (int32_t g = 0; g < rule->groups; g += 8) {
        vf first[8], second[8];
        for (int32_t i = 0; i < 8; i++) {
            first[i] = second[i] = vf_set(-INFINITY);
            if (g + i >= rule->groups)
                continue;
            int32_t at = (g + i) * rule->group_size, end = at + rule->group_size;
            first[i] = sl_load_to(u, at, end);
            for (at += 16; at < end; at += 16) {
                vf more = sl_load_to(u, at, end);
                vf less = vf_min(more, first[i]);
                first[i] = vf_max(more, first[i]);
                second[i] = vf_max(less, second[i]);
            }
        }
        vf_reduce_groups(first, second, rule->group_value == SLUICE_GROUP_TOP2, value + g);
    }
}

/* Writes the keep_groups best groups, in eights. */
SL_SIMD void sl_best_groups(const struct sl_rule *rule, const float *u, int32_t *kept)
{
    static const int32_t ids[8] = {0, 1, 2, 3, 4, 5, 6, 7};
    float value[SL_MAX_GROUPS];
    sl_group_values(rule, u, value);
    if (rule->groups <= 8) {
        vk key = vk_make(value, ids, true);
        vk_ids(vk_sort(key), kept);
        return;
    }
    int32_t found = 0;
    for (int32_t g = 0; g < rule->groups; g++) {
        int32_t better = 0;
        for (int32_t h = 0; h < rule->groups; h++)
            better += h < g ? value[h] >= value[g] : value[h] > value[g];
        if (better < rule->keep_groups)
            kept[found++] = g;
    }
}

#endif
