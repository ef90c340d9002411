/* SPDX-License-Identifier: Apache-2.0
 * What is cheaper for 16 rows at once, a row to a lane. Included by cpu_choose_avx2.c and
 * cpu_choose_avx512.c. */
#ifndef SL_CPU_CHOOSE_ACROSS_H
#define SL_CPU_CHOOSE_ACROSS_H

/* Fewer rows than this are done one by one. */
enum { SL_FEW_ROWS = 4 };

/* column[j], lane i, is row i's number j, for j below `columns`, a multiple of 4. */
SL_SIMD void sl_columns(const float *row, int32_t stride, int32_t columns, vf *column)
{
    int64_t wide = stride;
    for (int32_t c = 0; c < columns; c += 4, row += 4) {
        for (int32_t i = 0; i < 4; i++)
            column[c + i] = vf_load_quads(row + i * wide, row + (4 + i) * wide,
                                          row + (8 + i) * wide, row + (12 + i) * wide);
        vf_transpose_quads(column + c);
    }
}

SL_SIMD void sl_order(vf *more, vf *less)
{
    vf m = vf_max(*more, *less);
    *less = vf_min(*more, *less);
    *more = m;
}

/* Descending. */
SL_SIMD void sl_order_8(vf *v)
{
    sl_order(v + 0, v + 1), sl_order(v + 2, v + 3), sl_order(v + 4, v + 5), sl_order(v + 6, v + 7);
    sl_order(v + 0, v + 2), sl_order(v + 1, v + 3), sl_order(v + 4, v + 6), sl_order(v + 5, v + 7);
    sl_order(v + 1, v + 2), sl_order(v + 5, v + 6), sl_order(v + 0, v + 4), sl_order(v + 3, v + 7);
    sl_order(v + 1, v + 5), sl_order(v + 2, v + 6);
    sl_order(v + 1, v + 4), sl_order(v + 3, v + 6);
    sl_order(v + 2, v + 4), sl_order(v + 3, v + 5);
    sl_order(v + 3, v + 4);
}

/* tile->max: the greatest x, between -FLT_MAX and FLT_MAX. */
SL_SIMD_STEP void sl_tile_max(struct sl_tile *tile)
{
    vf column[16];
    if (tile->rows < SL_FEW_ROWS) {
        for (int32_t i = 0; i < tile->rows; i++) {
            float max = vf_greatest(vf_load(tile->lanes[i]));
            max = max > -FLT_MAX ? max : -FLT_MAX;
            tile->max[i] = max < FLT_MAX ? max : FLT_MAX;
        }
        return;
    }
    sl_columns(tile->lanes[0], 16, 16, column);
    for (int32_t width = 8; width > 0; width /= 2)
        for (int32_t j = 0; j < width; j++)
            column[j] = vf_max(column[j], column[j + width]);
    vf max = vf_max(column[0], vf_set(-FLT_MAX));
    vf_store(tile->max, vf_min(max, vf_set(FLT_MAX)));
}

/* tile->sum of tile->sums, in the order of sl_sum. */
SL_SIMD_STEP void sl_tile_sum(struct sl_tile *tile)
{
    vf column[16];
    if (tile->rows < SL_FEW_ROWS) {
        for (int32_t i = 0; i < tile->rows; i++)
            tile->sum[i] = vf_first(vf_sum16(vf_load(tile->sums[i])));
        return;
    }
    sl_columns(tile->sums[0], 16, 16, column);
    for (int32_t width = 8; width > 0; width /= 2)
        for (int32_t j = 0; j < width; j++)
            column[j] = vf_add(column[j], column[j + width]);
    vf_store(tile->sum, column[0]);
}

/* tile->least from the lanes: the eighth greatest of 16, or something below. */
SL_SIMD_STEP void sl_tile_least(struct sl_tile *tile)
{
    vf column[16];
    if (tile->rows < SL_FEW_ROWS) {
        for (int32_t i = 0; i < tile->rows; i++)
            tile->least[i] = vf_eighth(vf_load(tile->lanes[i]));
        return;
    }
    sl_columns(tile->lanes[0], 16, 16, column);
    sl_order_8(column);
    sl_order_8(column + 8);
    vf least = vf_max(column[0], column[15]);
    for (int32_t j = 1; j < 8; j++)
        least = vf_min(least, vf_max(column[j], column[15 - j]));
    vf_store(tile->least, least);
}

/* tile->kept from tile->group: of 8 values, with -inf beyond the last group, the keep greatest; of
 * equal ones the lower. */
SL_SIMD_STEP void sl_tile_keep_of_8(struct sl_tile *tile, int32_t keep)
{
    vf value[8];
    vi better[8], kept = vi_set(0);
    int32_t bits[SL_TILE_ROWS];
    sl_columns(tile->group[0], SL_MAX_GROUPS, 8, value);
    for (int32_t g = 0; g < 8; g++)
        better[g] = vi_set(7 - g);
    for (int32_t g = 0; g < 8; g++) {
        for (int32_t h = g + 1; h < 8; h++) {
            vm first = vf_ge(value[g], value[h]);
            better[g] = vi_less_one(first, better[g]);
            better[h] = vi_more_one(first, better[h]);
        }
        kept = vi_or_if(vi_gt(vi_set(keep), better[g]), kept, 1 << g);
    }
    vi_store(bits, kept);
    for (int32_t i = 0; i < tile->rows; i++) {
        __m128i packed = _mm_cvtsi64_si128((int64_t)sl_packed_lanes[bits[i]]);
        _mm256_storeu_si256((__m256i *)(void *)tile->kept[i], _mm256_cvtepu8_epi32(packed));
    }
}

/* The same for one row, any number of groups. */
SL_SIMD void sl_row_keep(const struct sl_rule *rule, const float *value, int32_t *kept)
{
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
