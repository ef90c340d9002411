/* SPDX-License-Identifier: Apache-2.0
 * Vectors of 16 columns and of 8 sort keys, AVX-512 (F, BW, DQ, VL). The same names as in
 * cpu_choose_vec_avx2.h; max and min are `a > b ? a : b` and `a < b ? a : b`. */
#ifndef SL_CPU_CHOOSE_VEC_AVX512_H
#define SL_CPU_CHOOSE_VEC_AVX512_H

#include <immintrin.h>

#include "cpu_choose_work.h"

#define SL_SIMD_TARGET                                                                             \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c,bmi,bmi2,popcnt")))
#define SL_SIMD static inline __attribute__((always_inline)) SL_SIMD_TARGET
/* A step of its own: inlined into its caller it would take the registers of the next one. */
#define SL_SIMD_STEP static __attribute__((noinline)) SL_SIMD_TARGET

typedef __m512 vf;
typedef __m512i vi;
typedef __mmask16 vm;
typedef __m512d vk;

SL_SIMD vf vf_set(float x)
{
    return _mm512_set1_ps(x);
}

/* Lanes 0 ... 7 are a, the others b. */
SL_SIMD vf vf_two(float a, float b)
{
    return _mm512_mask_blend_ps(0xFF00, _mm512_set1_ps(a), _mm512_set1_ps(b));
}

SL_SIMD vf vf_load(const float *x)
{
    return _mm512_loadu_ps(x);
}

/* Lane 4 q + i is q[i]; 16 bytes are read at each. */
SL_SIMD vf vf_load_quads(const float *q0, const float *q1, const float *q2, const float *q3)
{
    __m512 v = _mm512_castps128_ps512(_mm_loadu_ps(q0));
    v = _mm512_insertf32x4(v, _mm_loadu_ps(q1), 1);
    v = _mm512_insertf32x4(v, _mm_loadu_ps(q2), 2);
    return _mm512_insertf32x4(v, _mm_loadu_ps(q3), 3);
}

SL_SIMD void vf_store(float *x, vf v)
{
    _mm512_storeu_ps(x, v);
}

/* Columns at ... at+n-1 of a row of any type; n <= 16, 0 in the other lanes. */
SL_SIMD vf vf_load_row(const void *row, int32_t type, int32_t at, int32_t n)
{
    __mmask16 m = (__mmask16)((1U << n) - 1U);
    if (type == SL_F32)
        return _mm512_maskz_loadu_ps(m, (const float *)row + at);
    __m256i half = _mm256_maskz_loadu_epi16(m, (const uint16_t *)row + at);
    if (type == SL_F16)
        return _mm512_cvtph_ps(half);
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16));
}

SL_SIMD vf vf_add(vf a, vf b)
{
    return _mm512_add_ps(a, b);
}

SL_SIMD vf vf_sub(vf a, vf b)
{
    return _mm512_sub_ps(a, b);
}

SL_SIMD vf vf_mul(vf a, vf b)
{
    return _mm512_mul_ps(a, b);
}

SL_SIMD vf vf_div(vf a, vf b)
{
    return _mm512_div_ps(a, b);
}

SL_SIMD vf vf_sqrt(vf a)
{
    return _mm512_sqrt_ps(a);
}

SL_SIMD vf vf_fma(vf a, vf b, vf c)
{
    return _mm512_fmadd_ps(a, b, c);
}

SL_SIMD vf vf_fnma(vf a, vf b, vf c)
{
    return _mm512_fnmadd_ps(a, b, c);
}

/* -(a * b) - c */
SL_SIMD vf vf_fnms(vf a, vf b, vf c)
{
    return _mm512_fnmsub_ps(a, b, c);
}

SL_SIMD vf vf_max(vf a, vf b)
{
    return _mm512_max_ps(a, b);
}

SL_SIMD vf vf_min(vf a, vf b)
{
    return _mm512_min_ps(a, b);
}

SL_SIMD vf vf_neg(vf a)
{
    return _mm512_xor_ps(a, _mm512_set1_ps(-0.0f));
}

SL_SIMD vf vf_abs(vf a)
{
    return _mm512_andnot_ps(_mm512_set1_ps(-0.0f), a);
}

/* |a| with the sign of b. */
SL_SIMD vf vf_copysign(vf a, vf b)
{
    return _mm512_or_ps(a, _mm512_and_ps(_mm512_set1_ps(-0.0f), b));
}

/* p * 2^n rounded once; t - SL_ROUNDER = n. */
SL_SIMD vf vf_scale(vf p, vf t)
{
    return _mm512_scalef_ps(p, _mm512_sub_ps(t, _mm512_set1_ps(SL_ROUNDER)));
}

SL_SIMD vm vf_gt(vf a, vf b)
{
    return _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ);
}

SL_SIMD vm vf_ge(vf a, vf b)
{
    return _mm512_cmp_ps_mask(a, b, _CMP_GE_OQ);
}

SL_SIMD vm vm_and(vm a, vm b)
{
    return a & b;
}

/* m ? a : b */
SL_SIMD vf vf_pick(vm m, vf a, vf b)
{
    return _mm512_mask_blend_ps(m, b, a);
}

/* m ? a + b : c */
SL_SIMD vf vf_add_or(vm m, vf a, vf b, vf c)
{
    return _mm512_mask_add_ps(c, m, a, b);
}

SL_SIMD vf vf_or_zero(vm m, vf a)
{
    return _mm512_maskz_mov_ps(m, a);
}

SL_SIMD vi vi_set(int32_t x)
{
    return _mm512_set1_epi32(x);
}

SL_SIMD vi vi_load(const int32_t *x)
{
    return _mm512_loadu_si512(x);
}

SL_SIMD void vi_store(int32_t *x, vi v)
{
    _mm512_storeu_si512(x, v);
}

SL_SIMD vi vi_pick(vm m, vi a, vi b)
{
    return _mm512_mask_blend_epi32(m, b, a);
}

SL_SIMD vm vi_gt(vi a, vi b)
{
    return _mm512_cmpgt_epi32_mask(a, b);
}

SL_SIMD vf vi_as_float(vi a)
{
    return _mm512_castsi512_ps(a);
}

/* a - 1 where m. */
SL_SIMD vi vi_less_one(vm m, vi a)
{
    return _mm512_mask_sub_epi32(a, m, a, _mm512_set1_epi32(1));
}

SL_SIMD vi vi_more_one(vm m, vi a)
{
    return _mm512_mask_add_epi32(a, m, a, _mm512_set1_epi32(1));
}

/* a | bits where m. */
SL_SIMD vi vi_or_if(vm m, vi a, int32_t bits)
{
    return _mm512_mask_or_epi32(a, m, a, _mm512_set1_epi32(bits));
}

SL_SIMD vi vf_as_int(vf a)
{
    return _mm512_castps_si512(a);
}

/* x[id] where m, else 0. */
SL_SIMD vf vf_gather(vm m, const float *x, vi id)
{
    return _mm512_mask_i32gather_ps(_mm512_setzero_ps(), m, id, x, 4);
}

/* The sum of each half of 8 lanes, in all of its lanes, in the order of sl_sum. */
SL_SIMD vf vf_sum8(vf v)
{
    v = _mm512_add_ps(v, _mm512_shuffle_f32x4(v, v, 0xB1));
    v = _mm512_add_ps(v, _mm512_permute_ps(v, 0x4E));
    return _mm512_add_ps(v, _mm512_permute_ps(v, 0xB1));
}

SL_SIMD vf vf_sum16(vf v)
{
    return vf_sum8(_mm512_add_ps(v, _mm512_shuffle_f32x4(v, v, 0x4E)));
}

SL_SIMD float vf_first(vf v)
{
    return _mm512_cvtss_f32(v);
}

SL_SIMD void vf_quarters(vf v, __m128 q[4])
{
    q[0] = _mm512_castps512_ps128(v);
    q[1] = _mm512_extractf32x4_ps(v, 1);
    q[2] = _mm512_extractf32x4_ps(v, 2);
    q[3] = _mm512_extractf32x4_ps(v, 3);
}

/* In each quarter, lane i of r[j] changes places with lane j of r[i]. */
SL_SIMD void vf_transpose_quads(vf r[4])
{
    vf a = _mm512_unpacklo_ps(r[0], r[1]), b = _mm512_unpackhi_ps(r[0], r[1]);
    vf c = _mm512_unpacklo_ps(r[2], r[3]), d = _mm512_unpackhi_ps(r[2], r[3]);
    r[0] = _mm512_shuffle_ps(a, c, 0x44);
    r[1] = _mm512_shuffle_ps(a, c, 0xEE);
    r[2] = _mm512_shuffle_ps(b, d, 0x44);
    r[3] = _mm512_shuffle_ps(b, d, 0xEE);
}

/* a0 b0 a1 b1 ... */
SL_SIMD void vf_store_pairs(float *x, vf a, vf b)
{
    const __m512i low = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    const __m512i high = _mm512_add_epi32(low, _mm512_set1_epi32(8));
    _mm512_storeu_ps(x, _mm512_permutex2var_ps(a, low, b));
    _mm512_storeu_ps(x + 16, _mm512_permutex2var_ps(a, high, b));
}

/* ---- the two greatest of each of 8 groups */

#define SL_TOP2_MERGE(f, s, g, t)                                                                  \
    do {                                                                                           \
        vf less_ = _mm512_min_ps(f, g);                                                            \
        g = _mm512_max_ps(f, g);                                                                   \
        t = _mm512_max_ps(less_, _mm512_max_ps(s, t));                                             \
    } while (0)

/* Registers a and b become register i: the lanes that `low` picks meet those that `high` picks. */
#define SL_TOP2_FOLD(fold, i, a, b, low, high)                                                     \
    do {                                                                                           \
        vf f_ = fold(first[a], first[b], high), s_ = fold(second[a], second[b], high);             \
        vf g_ = fold(first[a], first[b], low), t_ = fold(second[a], second[b], low);               \
        SL_TOP2_MERGE(f_, s_, g_, t_);                                                             \
        first[i] = g_;                                                                             \
        second[i] = t_;                                                                            \
    } while (0)

/* first[g] and second[g], lane by lane the two greatest of group g, become value[g]: the greatest,
 * or with `both` the sum of the two. Overwrites first and second. */
SL_SIMD void vf_reduce_groups(vf first[8], vf second[8], bool both, float *value)
{
    for (int32_t g = 0; g < 4; g++)
        SL_TOP2_FOLD(_mm512_shuffle_f32x4, g, 2 * g, 2 * g + 1, 0x44, 0xEE);
    for (int32_t g = 0; g < 2; g++)
        SL_TOP2_FOLD(_mm512_shuffle_f32x4, g, 2 * g, 2 * g + 1, 0x88, 0xDD);
    SL_TOP2_FOLD(_mm512_shuffle_ps, 0, 0, 1, 0x44, 0xEE);
    SL_TOP2_FOLD(_mm512_shuffle_ps, 0, 0, 0, 0x88, 0xDD);
    /* Quarter q now begins with groups q and 4 + q. inf - inf counts as -inf. */
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 0, 0, 0, 0, 0, 0, 0, 0);
    vf sum = both ? _mm512_add_ps(first[0], second[0]) : first[0];
    sum = _mm512_max_ps(sum, _mm512_set1_ps(-INFINITY));
    _mm256_storeu_ps(value, _mm512_castps512_ps256(_mm512_permutexvar_ps(order, sum)));
}

#undef SL_TOP2_MERGE
#undef SL_TOP2_FOLD

/* ---- sort keys */

/* A key is the value as a double, whose 29 low bits are 0, with the id in the low 12 such that of
 * equal values the lower id has the greater key. -inf with id 0 is none. */

SL_SIMD vk vk_none(void)
{
    return _mm512_set1_pd(-(double)INFINITY);
}

/* The low bits of a key of this sign for an id, or the other way round. */
SL_SIMD __m512i sl_key_low(__m512i key, __m512i id)
{
    __m512i sign = _mm512_srai_epi64(key, 63);
    /* id ^ (~sign & SL_KEY_ID) */
    return _mm512_ternarylogic_epi64(id, sign, _mm512_set1_epi64(SL_KEY_ID), 0xD2);
}

SL_SIMD vk vk_make(const float *values, const int32_t *ids)
{
    __m256i id = _mm256_loadu_si256((const __m256i *)(const void *)ids);
    /* -0 becomes +0. */
    __m256 value = _mm256_add_ps(_mm256_loadu_ps(values), _mm256_setzero_ps());
    __m512d d = _mm512_min_pd(_mm512_cvtps_pd(value), _mm512_set1_pd(SL_KEY_MOST));
    __m512i bits = _mm512_castpd_si512(d);
    __m512i low = sl_key_low(bits, _mm512_cvtepu32_epi64(id));
    return _mm512_castsi512_pd(_mm512_or_epi64(bits, low));
}

/* The ids; -1 for none. */
SL_SIMD void vk_ids(vk key, int32_t *ids)
{
    __m512i bits = _mm512_castpd_si512(key);
    __mmask8 some = _mm512_cmp_pd_mask(key, _mm512_set1_pd(-2 * SL_KEY_MOST), _CMP_GT_OQ);
    __m512i low = sl_key_low(bits, _mm512_and_epi64(bits, _mm512_set1_epi64(SL_KEY_ID)));
    low = _mm512_mask_mov_epi64(_mm512_set1_epi64(-1), some, low);
    _mm256_storeu_si256((__m256i *)(void *)ids, _mm512_cvtepi64_epi32(low));
}

/* Each lane and its partner: the lanes in `least` get the lesser. Always the higher lane, so that
 * three masks do for all steps. */
#define SL_SWAP(key, partner, least)                                                               \
    do {                                                                                           \
        vk p_ = (partner);                                                                         \
        key = _mm512_mask_min_pd(_mm512_max_pd(key, p_), least, key, p_);                          \
    } while (0)
#define SL_NEAR(key) _mm512_permute_pd(key, 0x55)
#define SL_MIDDLE(key) _mm512_permutex_pd(key, 0x4E)
#define SL_FAR(key) _mm512_shuffle_f64x2(key, key, 0x4E)
#define SL_REVERSE_4(key) _mm512_permutex_pd(key, 0x1B)

SL_SIMD vk vk_reverse(vk key)
{
    return _mm512_permutexvar_pd(_mm512_setr_epi64(7, 6, 5, 4, 3, 2, 1, 0), key);
}

/* A bitonic sequence in descending order. */
SL_SIMD vk vk_settle(vk key)
{
    SL_SWAP(key, SL_FAR(key), 0xF0);
    SL_SWAP(key, SL_MIDDLE(key), 0xCC);
    SL_SWAP(key, SL_NEAR(key), 0xAA);
    return key;
}

SL_SIMD vk vk_sort(vk key)
{
    SL_SWAP(key, SL_NEAR(key), 0xAA);
    SL_SWAP(key, SL_REVERSE_4(key), 0xCC);
    SL_SWAP(key, SL_NEAR(key), 0xAA);
    SL_SWAP(key, vk_reverse(key), 0xF0);
    SL_SWAP(key, SL_MIDDLE(key), 0xCC);
    SL_SWAP(key, SL_NEAR(key), 0xAA);
    return key;
}

#undef SL_SWAP
#undef SL_NEAR
#undef SL_MIDDLE
#undef SL_FAR
#undef SL_REVERSE_4

/* The greatest 8 of both, descending. */
SL_SIMD vk vk_sort_two(vk a, vk b)
{
    return vk_settle(_mm512_max_pd(vk_sort(a), vk_reverse(vk_sort(b))));
}

/* a descending, b ascending: a gets the greatest 8 of both, descending; b the others, too. */
SL_SIMD void vk_exchange(vk *a, vk *b)
{
    vk more = _mm512_max_pd(*a, *b), less = _mm512_min_pd(*a, *b);
    *a = vk_settle(more);
    *b = vk_settle(less);
}

/* Any lane of a greater than the same lane of b. */
SL_SIMD bool vk_any_greater(vk a, vk b)
{
    return _mm512_cmp_pd_mask(a, b, _CMP_GT_OQ) != 0;
}

SL_SIMD vk vk_last(vk key)
{
    return _mm512_permutexvar_pd(_mm512_set1_epi64(7), key);
}

/* Appends the lanes of v in m, columns at ... at+15; returns the new count. Writes 16 of each. */
SL_SIMD int64_t vf_collect(float *values, int32_t *ids, int64_t count, vm m, vf v, int32_t at)
{
    const __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    __m512i id = _mm512_add_epi32(lane, _mm512_set1_epi32(at));
    _mm512_storeu_ps(values + count, _mm512_maskz_compress_ps(m, v));
    _mm512_storeu_si512(ids + count, _mm512_maskz_compress_epi32(m, id));
    return count + _mm_popcnt_u32(m);
}

#endif
