/* SPDX-License-Identifier: Apache-2.0 */
#include "cpu_sum.h"

#if defined(__x86_64__)

#include <immintrin.h>

#define VS_TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")))
#define VS_INLINE VS_TARGET __attribute__((always_inline)) static inline

typedef __m512 vs;
enum { VS_LANES = 16 };

VS_INLINE vs vs_all(float x)
{
    return _mm512_set1_ps(x);
}

VS_INLINE vs vs_fma(vs a, vs b, vs c)
{
    return _mm512_fmadd_ps(a, b, c);
}

VS_INLINE vs vs_mul(vs a, vs b)
{
    return _mm512_mul_ps(a, b);
}

/* NaN without payload. */
VS_INLINE vs vs_clean(vs x)
{
    __mmask16 nan = _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
    return _mm512_castsi512_ps(_mm512_mask_set1_epi32(_mm512_castps_si512(x), nan, 0x7FC00000));
}

VS_INLINE vs vs_get(int32_t type, const char *from)
{
    if (type == SL_F32)
        return _mm512_loadu_ps(from);
    __m256i half = _mm256_loadu_si256((const __m256i *)(const void *)from);
    if (type == SL_F16)
        return _mm512_cvtph_ps(half);
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16));
}

/* x is clean: rounding a NaN with payload to bf16 could carry over into the exponent. */
VS_INLINE void vs_put(int32_t type, char *to, vs x)
{
    if (type == SL_F32) {
        _mm512_storeu_ps(to, x);
        return;
    }
    __m256i half;
    if (type == SL_F16) {
        half = _mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    } else {
        __m512i bits = _mm512_castps_si512(x);
        __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
        __m512i up = _mm512_add_epi32(odd, _mm512_set1_epi32(0x7FFF));
        half = _mm512_cvtepi32_epi16(_mm512_srli_epi32(_mm512_add_epi32(bits, up), 16));
    }
    _mm256_storeu_si256((__m256i *)(void *)to, half);
}

#include "cpu_sum_lanes.h"

VS_TARGET void sl_sum_avx512(const struct sl_sum_job *job)
{
    vs_sum_any(job);
}

VS_TARGET void sl_scale_avx512(void *out, const void *row, int32_t type, int64_t first, int64_t n,
                               float weight)
{
    vs_scale_any(out, row, type, first, n, weight);
}

#endif
