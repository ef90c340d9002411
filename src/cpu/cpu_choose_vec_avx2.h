/* SPDX-License-Identifier: Apache-2.0
 * Vectors of 16 columns and of 8 sort keys, AVX2 with FMA and F16C: two registers each. The same
 * names as in cpu_choose_vec_avx512.h; max and min are `a > b ? a : b` and `a < b ? a : b`. */
#ifndef SL_CPU_CHOOSE_VEC_AVX2_H
#define SL_CPU_CHOOSE_VEC_AVX2_H

#include <immintrin.h>

#include "cpu_choose_work.h"

#define SL_SIMD_TARGET __attribute__((target("avx2,fma,f16c,bmi,bmi2,popcnt")))
#define SL_SIMD static inline __attribute__((always_inline)) SL_SIMD_TARGET
/* A step of its own: inlined into its caller it would take the registers of the next one. */
#define SL_SIMD_STEP static __attribute__((noinline)) SL_SIMD_TARGET

typedef struct {
    __m256 a, b;
} vf;
typedef struct {
    __m256i a, b;
} vi;
/* All ones in a lane that holds. */
typedef struct {
    __m256 a, b;
} vm;
typedef struct {
    __m256d a, b;
} vk;

#define SL_ONE(type, op, x) ((type){op((x).a), op((x).b)})
#define SL_TWO(type, op, x, y) ((type){op((x).a, (y).a), op((x).b, (y).b)})
#define SL_THREE(type, op, x, y, z) ((type){op((x).a, (y).a, (z).a), op((x).b, (y).b, (z).b)})

SL_SIMD vf vf_set(float x)
{
    return (vf){_mm256_set1_ps(x), _mm256_set1_ps(x)};
}

/* Lanes 0 ... 7 are a, the others b. */
SL_SIMD vf vf_two(float a, float b)
{
    return (vf){_mm256_set1_ps(a), _mm256_set1_ps(b)};
}

SL_SIMD vf vf_load(const float *x)
{
    return (vf){_mm256_loadu_ps(x), _mm256_loadu_ps(x + 8)};
}

/* Lane 4 q + i is q[i]; 16 bytes are read at each. */
SL_SIMD vf vf_load_quads(const float *q0, const float *q1, const float *q2, const float *q3)
{
    __m256 a = _mm256_castps128_ps256(_mm_loadu_ps(q0));
    __m256 b = _mm256_castps128_ps256(_mm_loadu_ps(q2));
    return (vf){_mm256_insertf128_ps(a, _mm_loadu_ps(q1), 1),
                _mm256_insertf128_ps(b, _mm_loadu_ps(q3), 1)};
}

SL_SIMD void vf_store(float *x, vf v)
{
    _mm256_storeu_ps(x, v.a);
    _mm256_storeu_ps(x + 8, v.b);
}

SL_SIMD vf vf_from_f16(const uint16_t *half)
{
    return (vf){_mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)half)),
                _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)(half + 8)))};
}

SL_SIMD __m256 sl_from_bf16(const uint16_t *half)
{
    __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(const void *)half));
    return _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16));
}

/* Columns at ... at+n-1 of a row of any type; n <= 16, 0 in the other lanes. */
SL_SIMD vf vf_load_row(const void *row, int32_t type, int32_t at, int32_t n)
{
    if (type == SL_F32) {
        const float *x = (const float *)row + at;
        if (n == 16)
            return vf_load(x);
        float part[16] = {0};
        memcpy(part, x, (size_t)n * sizeof *part);
        return vf_load(part);
    }
    const uint16_t *half = (const uint16_t *)row + at;
    uint16_t part[16] = {0};
    if (n < 16) {
        memcpy(part, half, (size_t)n * sizeof *part);
        half = part;
    }
    if (type == SL_F16)
        return vf_from_f16(half);
    return (vf){sl_from_bf16(half), sl_from_bf16(half + 8)};
}

SL_SIMD vf vf_add(vf a, vf b)
{
    return SL_TWO(vf, _mm256_add_ps, a, b);
}

SL_SIMD vf vf_sub(vf a, vf b)
{
    return SL_TWO(vf, _mm256_sub_ps, a, b);
}

SL_SIMD vf vf_mul(vf a, vf b)
{
    return SL_TWO(vf, _mm256_mul_ps, a, b);
}

SL_SIMD vf vf_div(vf a, vf b)
{
    return SL_TWO(vf, _mm256_div_ps, a, b);
}

SL_SIMD vf vf_sqrt(vf a)
{
    return SL_ONE(vf, _mm256_sqrt_ps, a);
}

SL_SIMD vf vf_fma(vf a, vf b, vf c)
{
    return SL_THREE(vf, _mm256_fmadd_ps, a, b, c);
}

SL_SIMD vf vf_fnma(vf a, vf b, vf c)
{
    return SL_THREE(vf, _mm256_fnmadd_ps, a, b, c);
}

/* -(a * b) - c */
SL_SIMD vf vf_fnms(vf a, vf b, vf c)
{
    return SL_THREE(vf, _mm256_fnmsub_ps, a, b, c);
}

SL_SIMD vf vf_max(vf a, vf b)
{
    return SL_TWO(vf, _mm256_max_ps, a, b);
}

SL_SIMD vf vf_min(vf a, vf b)
{
    return SL_TWO(vf, _mm256_min_ps, a, b);
}

SL_SIMD vf vf_neg(vf a)
{
    return SL_TWO(vf, _mm256_xor_ps, a, vf_set(-0.0f));
}

SL_SIMD vf vf_abs(vf a)
{
    return SL_TWO(vf, _mm256_andnot_ps, vf_set(-0.0f), a);
}

/* |a| with the sign of b. */
SL_SIMD vf vf_copysign(vf a, vf b)
{
    vf sign = SL_TWO(vf, _mm256_and_ps, vf_set(-0.0f), b);
    return SL_TWO(vf, _mm256_or_ps, a, sign);
}

/* 2^n in two factors, each of them normal: their exponents are n / 2 rounded down, and the rest.
 * The low bits of t are n; 2 * 127 is added to it by the caller. */
SL_SIMD __m256 sl_scale(__m256 p, __m256i t)
{
    __m256i half =
        _mm256_and_si256(_mm256_slli_epi32(t, 22), _mm256_set1_epi32((int32_t)0xFF800000U));
    __m256i rest = _mm256_sub_epi32(_mm256_slli_epi32(t, 23), half);
    p = _mm256_mul_ps(p, _mm256_castsi256_ps(half));
    return _mm256_mul_ps(p, _mm256_castsi256_ps(rest));
}

/* p * 2^n rounded once; t - SL_ROUNDER = n. */
SL_SIMD vf vf_scale(vf p, vf t)
{
    const __m256i twice_bias = _mm256_set1_epi32(254);
    return (vf){sl_scale(p.a, _mm256_add_epi32(_mm256_castps_si256(t.a), twice_bias)),
                sl_scale(p.b, _mm256_add_epi32(_mm256_castps_si256(t.b), twice_bias))};
}

SL_SIMD vm vf_gt(vf a, vf b)
{
    return (vm){_mm256_cmp_ps(a.a, b.a, _CMP_GT_OQ), _mm256_cmp_ps(a.b, b.b, _CMP_GT_OQ)};
}

SL_SIMD vm vf_ge(vf a, vf b)
{
    return (vm){_mm256_cmp_ps(a.a, b.a, _CMP_GE_OQ), _mm256_cmp_ps(a.b, b.b, _CMP_GE_OQ)};
}

SL_SIMD vm vm_and(vm a, vm b)
{
    return SL_TWO(vm, _mm256_and_ps, a, b);
}

/* m ? a : b */
SL_SIMD vf vf_pick(vm m, vf a, vf b)
{
    return SL_THREE(vf, _mm256_blendv_ps, b, a, m);
}

/* m ? a + b : c */
SL_SIMD vf vf_add_or(vm m, vf a, vf b, vf c)
{
    return vf_pick(m, vf_add(a, b), c);
}

SL_SIMD vf vf_or_zero(vm m, vf a)
{
    return SL_TWO(vf, _mm256_and_ps, m, a);
}

SL_SIMD vi vi_set(int32_t x)
{
    return (vi){_mm256_set1_epi32(x), _mm256_set1_epi32(x)};
}

SL_SIMD vi vi_load(const int32_t *x)
{
    return (vi){_mm256_loadu_si256((const __m256i *)(const void *)x),
                _mm256_loadu_si256((const __m256i *)(const void *)(x + 8))};
}

SL_SIMD void vi_store(int32_t *x, vi v)
{
    _mm256_storeu_si256((__m256i *)(void *)x, v.a);
    _mm256_storeu_si256((__m256i *)(void *)(x + 8), v.b);
}

SL_SIMD vf vi_as_float(vi a)
{
    return SL_ONE(vf, _mm256_castsi256_ps, a);
}

SL_SIMD vi vf_as_int(vf a)
{
    return SL_ONE(vi, _mm256_castps_si256, a);
}

SL_SIMD vi vi_pick(vm m, vi a, vi b)
{
    return vf_as_int(vf_pick(m, vi_as_float(a), vi_as_float(b)));
}

SL_SIMD vi vm_as_int(vm m)
{
    return SL_ONE(vi, _mm256_castps_si256, m);
}

/* a - 1 where m. */
SL_SIMD vi vi_less_one(vm m, vi a)
{
    return SL_TWO(vi, _mm256_add_epi32, a, vm_as_int(m));
}

SL_SIMD vi vi_more_one(vm m, vi a)
{
    return SL_TWO(vi, _mm256_sub_epi32, a, vm_as_int(m));
}

/* a | bits where m. */
SL_SIMD vi vi_or_if(vm m, vi a, int32_t bits)
{
    vi some = SL_TWO(vi, _mm256_and_si256, vm_as_int(m), vi_set(bits));
    return SL_TWO(vi, _mm256_or_si256, a, some);
}

SL_SIMD vm vi_gt(vi a, vi b)
{
    return (vm){_mm256_castsi256_ps(_mm256_cmpgt_epi32(a.a, b.a)),
                _mm256_castsi256_ps(_mm256_cmpgt_epi32(a.b, b.b))};
}

/* x[id] where m, else 0. */
SL_SIMD vf vf_gather(vm m, const float *x, vi id)
{
    const __m256 zero = _mm256_setzero_ps();
    return (vf){_mm256_mask_i32gather_ps(zero, x, id.a, m.a, 4),
                _mm256_mask_i32gather_ps(zero, x, id.b, m.b, 4)};
}

SL_SIMD __m256 sl_sum8(__m256 v)
{
    v = _mm256_add_ps(v, _mm256_permute2f128_ps(v, v, 0x01));
    v = _mm256_add_ps(v, _mm256_permute_ps(v, 0x4E));
    return _mm256_add_ps(v, _mm256_permute_ps(v, 0xB1));
}

/* The sum of each half of 8 lanes, in all of its lanes, in the order of sl_sum. */
SL_SIMD vf vf_sum8(vf v)
{
    return SL_ONE(vf, sl_sum8, v);
}

SL_SIMD vf vf_sum16(vf v)
{
    __m256 sum = sl_sum8(_mm256_add_ps(v.a, v.b));
    return (vf){sum, sum};
}

SL_SIMD float vf_first(vf v)
{
    return _mm256_cvtss_f32(v.a);
}

SL_SIMD void vf_quarters(vf v, __m128 q[4])
{
    q[0] = _mm256_castps256_ps128(v.a);
    q[1] = _mm256_extractf128_ps(v.a, 1);
    q[2] = _mm256_castps256_ps128(v.b);
    q[3] = _mm256_extractf128_ps(v.b, 1);
}

/* In each quarter, lane i of r[j] changes places with lane j of r[i]. */
SL_SIMD void vf_transpose_quads(vf r[4])
{
    vf a = SL_TWO(vf, _mm256_unpacklo_ps, r[0], r[1]);
    vf b = SL_TWO(vf, _mm256_unpackhi_ps, r[0], r[1]);
    vf c = SL_TWO(vf, _mm256_unpacklo_ps, r[2], r[3]);
    vf d = SL_TWO(vf, _mm256_unpackhi_ps, r[2], r[3]);
    r[0] = (vf){_mm256_shuffle_ps(a.a, c.a, 0x44), _mm256_shuffle_ps(a.b, c.b, 0x44)};
    r[1] = (vf){_mm256_shuffle_ps(a.a, c.a, 0xEE), _mm256_shuffle_ps(a.b, c.b, 0xEE)};
    r[2] = (vf){_mm256_shuffle_ps(b.a, d.a, 0x44), _mm256_shuffle_ps(b.b, d.b, 0x44)};
    r[3] = (vf){_mm256_shuffle_ps(b.a, d.a, 0xEE), _mm256_shuffle_ps(b.b, d.b, 0xEE)};
}

SL_SIMD void sl_store_pairs(float *x, __m256 a, __m256 b)
{
    __m256 low = _mm256_unpacklo_ps(a, b), high = _mm256_unpackhi_ps(a, b);
    _mm256_storeu_ps(x, _mm256_permute2f128_ps(low, high, 0x20));
    _mm256_storeu_ps(x + 8, _mm256_permute2f128_ps(low, high, 0x31));
}

/* a0 b0 a1 b1 ... */
SL_SIMD void vf_store_pairs(float *x, vf a, vf b)
{
    sl_store_pairs(x, a.a, b.a);
    sl_store_pairs(x + 16, a.b, b.b);
}

/* ---- the two greatest of each of 8 groups */

#define SL_TOP2_MERGE(f, s, g, t)                                                                  \
    do {                                                                                           \
        __m256 less_ = _mm256_min_ps(f, g);                                                        \
        g = _mm256_max_ps(f, g);                                                                   \
        t = _mm256_max_ps(less_, _mm256_max_ps(s, t));                                             \
    } while (0)

/* Registers a and b become register i: the lanes that `low` picks meet those that `high` picks. */
#define SL_TOP2_FOLD(fold, i, a, b, low, high)                                                     \
    do {                                                                                           \
        __m256 f_ = fold(one[a], one[b], high), s_ = fold(two[a], two[b], high);                   \
        __m256 g_ = fold(one[a], one[b], low), t_ = fold(two[a], two[b], low);                     \
        SL_TOP2_MERGE(f_, s_, g_, t_);                                                             \
        one[i] = g_;                                                                               \
        two[i] = t_;                                                                               \
    } while (0)

/* first[g] and second[g], lane by lane the two greatest of group g, become value[g]: the greatest,
 * or with `both` the sum of the two. */
SL_SIMD void vf_reduce_groups(vf first[8], vf second[8], bool both, float *value)
{
    __m256 one[8], two[8];
    for (int32_t g = 0; g < 8; g++) {
        one[g] = first[g].a;
        two[g] = second[g].a;
        SL_TOP2_MERGE(first[g].b, second[g].b, one[g], two[g]);
    }
    for (int32_t g = 0; g < 4; g++)
        SL_TOP2_FOLD(_mm256_permute2f128_ps, g, 2 * g, 2 * g + 1, 0x20, 0x31);
    SL_TOP2_FOLD(_mm256_shuffle_ps, 0, 0, 1, 0x44, 0xEE);
    SL_TOP2_FOLD(_mm256_shuffle_ps, 1, 2, 3, 0x44, 0xEE);
    SL_TOP2_FOLD(_mm256_shuffle_ps, 0, 0, 1, 0x88, 0xDD);
    /* The lower half is groups 0, 2, 4, 6. inf - inf counts as -inf. */
    __m256 sum = both ? _mm256_add_ps(one[0], two[0]) : one[0];
    sum = _mm256_max_ps(sum, _mm256_set1_ps(-INFINITY));
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    _mm256_storeu_ps(value, _mm256_permutevar8x32_ps(sum, order));
}

#undef SL_TOP2_MERGE
#undef SL_TOP2_FOLD

/* ---- sort keys */

/* A key is the value as a double, whose 29 low bits are 0, with the id in the low 12 such that of
 * equal values the lower id has the greater key. -inf with id 0 is none. */

SL_SIMD vk vk_none(void)
{
    return (vk){_mm256_set1_pd(-(double)INFINITY), _mm256_set1_pd(-(double)INFINITY)};
}

/* The low bits of an id as they stand in a key, or the other way round. */
SL_SIMD __m256i sl_key_low(__m256d key, __m256i id)
{
    __m256i negative = _mm256_cmpgt_epi64(_mm256_setzero_si256(), _mm256_castpd_si256(key));
    return _mm256_xor_si256(id, _mm256_andnot_si256(negative, _mm256_set1_epi64x(SL_KEY_ID)));
}

SL_SIMD __m256d sl_key(const float *values, const int32_t *ids)
{
    __m128 value = _mm_loadu_ps(values);
    __m128i id = _mm_loadu_si128((const __m128i *)(const void *)ids);
    /* -0 becomes +0. */
    __m256d d = _mm256_cvtps_pd(_mm_add_ps(value, _mm_setzero_ps()));
    d = _mm256_min_pd(d, _mm256_set1_pd(SL_KEY_MOST));
    __m256i low = sl_key_low(d, _mm256_cvtepu32_epi64(id));
    return _mm256_or_pd(d, _mm256_castsi256_pd(low));
}

SL_SIMD vk vk_make(const float *values, const int32_t *ids)
{
    return (vk){sl_key(values, ids), sl_key(values + 4, ids + 4)};
}

SL_SIMD __m128i sl_key_ids(__m256d key)
{
    __m256i low = _mm256_and_si256(_mm256_castpd_si256(key), _mm256_set1_epi64x(SL_KEY_ID));
    low = sl_key_low(key, low);
    __m256d none = _mm256_cmp_pd(key, _mm256_set1_pd(-2 * SL_KEY_MOST), _CMP_LE_OQ);
    low = _mm256_or_si256(low, _mm256_castpd_si256(none));
    const __m256i even = _mm256_setr_epi32(0, 2, 4, 6, 0, 2, 4, 6);
    return _mm256_castsi256_si128(_mm256_permutevar8x32_epi32(low, even));
}

/* The ids; -1 for none. */
SL_SIMD void vk_ids(vk key, int32_t *ids)
{
    _mm_storeu_si128((__m128i *)(void *)ids, sl_key_ids(key.a));
    _mm_storeu_si128((__m128i *)(void *)(ids + 4), sl_key_ids(key.b));
}

/* Each lane and its partner: the lanes in `least` get the lesser. */
#define SL_SWAP(key, partner, least)                                                               \
    do {                                                                                           \
        __m256d p_ = (partner);                                                                    \
        key = _mm256_blend_pd(_mm256_max_pd(key, p_), _mm256_min_pd(key, p_), least);              \
    } while (0)
#define SL_NEAR(key) _mm256_permute_pd(key, 0x5)
#define SL_FAR(key) _mm256_permute2f128_pd(key, key, 0x01)
#define SL_ORDER(more, less)                                                                       \
    do {                                                                                           \
        __m256d m_ = _mm256_max_pd(more, less);                                                    \
        less = _mm256_min_pd(more, less);                                                          \
        more = m_;                                                                                 \
    } while (0)
#define SL_REVERSE(key) _mm256_permute4x64_pd(key, 0x1B)

SL_SIMD __m256d sl_settle(__m256d key)
{
    SL_SWAP(key, SL_FAR(key), 0xC);
    SL_SWAP(key, SL_NEAR(key), 0xA);
    return key;
}

SL_SIMD __m256d sl_settle_ascending(__m256d key)
{
    SL_SWAP(key, SL_FAR(key), 0x3);
    SL_SWAP(key, SL_NEAR(key), 0x5);
    return key;
}

/* A bitonic sequence in descending order. */
SL_SIMD vk vk_settle(vk key)
{
    SL_ORDER(key.a, key.b);
    return (vk){sl_settle(key.a), sl_settle(key.b)};
}

SL_SIMD vk vk_sort(vk key)
{
    SL_SWAP(key.a, SL_NEAR(key.a), 0x6);
    SL_SWAP(key.b, SL_NEAR(key.b), 0x6);
    key.a = sl_settle(key.a);
    key.b = sl_settle_ascending(key.b);
    return vk_settle(key);
}

SL_SIMD vk vk_reverse(vk key)
{
    return (vk){SL_REVERSE(key.b), SL_REVERSE(key.a)};
}

/* The greatest 8 of both, descending. Columns of four first: 5 exchanges sort four of them. */
SL_SIMD vk vk_sort_two(vk x, vk y)
{
    __m256d q0 = x.a, q1 = x.b, q2 = y.a, q3 = y.b;
    SL_ORDER(q0, q1);
    SL_ORDER(q2, q3);
    SL_ORDER(q0, q2);
    SL_ORDER(q1, q3);
    SL_ORDER(q1, q2);
    __m256d a = _mm256_unpacklo_pd(q0, q1), b = _mm256_unpackhi_pd(q0, q1);
    __m256d c = _mm256_unpacklo_pd(q2, q3), d = _mm256_unpackhi_pd(q2, q3);
    q0 = _mm256_permute2f128_pd(a, c, 0x20);
    q1 = SL_REVERSE(_mm256_permute2f128_pd(b, d, 0x20));
    q2 = _mm256_permute2f128_pd(a, c, 0x31);
    q3 = SL_REVERSE(_mm256_permute2f128_pd(b, d, 0x31));
    SL_ORDER(q0, q1);
    SL_ORDER(q2, q3);
    vk best = {_mm256_max_pd(sl_settle(q0), sl_settle_ascending(q3)),
               _mm256_max_pd(sl_settle(q1), sl_settle_ascending(q2))};
    return vk_settle(best);
}

/* a descending, b ascending: a gets the greatest 8 of both, descending; b the others, too. */
SL_SIMD void vk_exchange(vk *a, vk *b)
{
    vk more = SL_TWO(vk, _mm256_max_pd, *a, *b), less = SL_TWO(vk, _mm256_min_pd, *a, *b);
    *a = vk_settle(more);
    *b = vk_settle(less);
}

/* Any lane of a greater than the same lane of b. */
SL_SIMD bool vk_any_greater(vk a, vk b)
{
    __m256d more =
        _mm256_or_pd(_mm256_cmp_pd(a.a, b.a, _CMP_GT_OQ), _mm256_cmp_pd(a.b, b.b, _CMP_GT_OQ));
    return _mm256_movemask_pd(more) != 0;
}

SL_SIMD vk vk_last(vk key)
{
    __m256d last = _mm256_permute4x64_pd(key.b, 0xFF);
    return (vk){last, last};
}

#undef SL_SWAP
#undef SL_NEAR
#undef SL_FAR
#undef SL_ORDER
#undef SL_REVERSE

SL_SIMD int64_t sl_collect_half(float *values, int32_t *ids, int64_t count, uint32_t m, __m256 v,
                                int32_t at)
{
    __m128i packed = _mm_cvtsi64_si128((int64_t)sl_packed_lanes[m]);
    __m256i lane = _mm256_cvtepu8_epi32(packed);
    _mm256_storeu_ps(values + count, _mm256_permutevar8x32_ps(v, lane));
    _mm256_storeu_si256((__m256i *)(void *)(ids + count),
                        _mm256_add_epi32(lane, _mm256_set1_epi32(at)));
    return count + _mm_popcnt_u32(m);
}

/* Appends the lanes of v in m, columns at ... at+15; returns the new count. Writes 16 of each. */
SL_SIMD int64_t vf_collect(float *values, int32_t *ids, int64_t count, vm m, vf v, int32_t at)
{
    count = sl_collect_half(values, ids, count, (uint32_t)_mm256_movemask_ps(m.a), v.a, at);
    return sl_collect_half(values, ids, count, (uint32_t)_mm256_movemask_ps(m.b), v.b, at + 8);
}

#endif
