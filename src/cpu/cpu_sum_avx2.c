/* SPDX-License-Identifier: Apache-2.0 */
#include "cpu_sum.h"

#if defined(__x86_64__)

#include <immintrin.h>

#define VS_TARGET __attribute__((target("avx2,fma,f16c")))
#define VS_INLINE VS_TARGET __attribute__((always_inline)) static inline

typedef __m256 vs;
enum { VS_LANES = 8 };

VS_INLINE vs vs_all(float x)
{
    return _mm256_set1_ps(x);
}

VS_INLINE vs vs_fma(vs a, vs b, vs c)
{
    return _mm256_fmadd_ps(a, b, c);
}

VS_INLINE vs vs_mul(vs a, vs b)
{
    return _mm256_mul_ps(a, b);
}

/* NaN without payload. */
VS_INLINE vs vs_clean(vs x)
{
    __m256 nan = _mm256_castsi256_ps(_mm256_set1_epi32(0x7FC00000));
    return _mm256_blendv_ps(x, nan, _mm256_cmp_ps(x, x, _CMP_UNORD_Q));
}

VS_INLINE vs vs_get(int32_t type, const char *from)
{
    if (type == SL_F32)
        return _mm256_loadu_ps((const float *)(const void *)from);
    __m128i half = _mm_loadu_si128((const __m128i *)(const void *)from);
    if (type == SL_F16)
        return _mm256_cvtph_ps(half);
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(half), 16));
}

/* x is clean: rounding a NaN with payload to bf16 could carry over into the exponent. */
VS_INLINE void vs_put(int32_t type, char *to, vs x)
{
    if (type == SL_F32) {
        _mm256_storeu_ps((float *)(void *)to, x);
        return;
    }
    __m128i half;
    if (type == SL_F16) {
        half = _mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    } else {
        __m256i bits = _mm256_castps_si256(x);
        __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
        __m256i up = _mm256_add_epi32(odd, _mm256_set1_epi32(0x7FFF));
        __m256i high = _mm256_srli_epi32(_mm256_add_epi32(bits, up), 16);
        half = _mm_packus_epi32(_mm256_castsi256_si128(high), _mm256_extracti128_si256(high, 1));
    }
    _mm_storeu_si128((__m128i *)(void *)to, half);
}

#include "cpu_sum_lanes.h"

VS_TARGET void sl_sum_avx2(const struct sl_sum_job *job)
{
    vs_sum_any(job);
}

VS_TARGET void sl_scale_avx2(void *out, const void *row, int32_t type, int64_t first, int64_t n,
                             float weight)
{
    vs_scale_any(out, row, type, first, n, weight);
}

#endif
