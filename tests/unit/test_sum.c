/* The sums of every level have the bits of the portable ones, for any input bits. */
#include <math.h>
#include <string.h>

#include "choose_reference.h"
#include "core/sl_half.h"
#include "cpu/cpu_choose.h"
#include "cpu/cpu_sum.h"
#include "ct.h"

enum { MOST = 200, ROWS = 9, AHEAD = 3, GUARD = 16, ROOM = AHEAD + MOST + GUARD };

static struct choose_random rng;

static int32_t pick(int32_t n)
{
    return (int32_t)(choose_bits(&rng) % (uint64_t)n);
}

/* What breaks a careless rounding: NaN quiet, signalling and with all its payload, infinities,
 * denormals, the greatest numbers, halves that tie. */
static uint32_t odd_float(void)
{
    static const uint32_t bits[] = {0x7FC00000, 0xFFC00000, 0x7F800001, 0xFF80BEEF, 0x7FFFFFFF,
                                    0xFFFFFFFF, 0x7F800000, 0xFF800000, 0x00000001, 0x80000001,
                                    0x007FFFFF, 0x00800000, 0x7F7FFFFF, 0xFF7FFFFF, 0x00000000,
                                    0x80000000, 0x3F808000, 0x3F818000, 0x7F7F8000, 0x477FF000,
                                    0x477FEFFF, 0x33000000, 0x33000001, 0x38801000, 0x387FE000};
    return bits[pick((int32_t)(sizeof bits / sizeof *bits))];
}

static uint16_t odd_half(void)
{
    static const uint16_t bits[] = {0x7C00, 0xFC00, 0x7C01, 0xFE00, 0x7FFF, 0xFFFF, 0x0001,
                                    0x8001, 0x03FF, 0x0400, 0x7BFF, 0xFBFF, 0x0000, 0x8000,
                                    0x7F80, 0xFF80, 0x7F81, 0x7FC0, 0x007F, 0x0080, 0x7F7F};
    return bits[pick((int32_t)(sizeof bits / sizeof *bits))];
}

/* kind 0: numbers about 1; 1: any bits; 2: numbers with an odd one now and then. */
static float draw(int32_t kind)
{
    float x = (float)choose_normal(&rng);
    uint32_t bits = kind == 1 ? (uint32_t)choose_bits(&rng) : odd_float();
    if (kind == 1 || (kind == 2 && pick(8) == 0))
        memcpy(&x, &bits, sizeof x);
    return x;
}

static void fill(void *row, int32_t type, int32_t kind)
{
    for (int64_t i = 0; i < ROOM; i++) {
        float x = draw(kind);
        uint16_t half = type == SL_F16 ? sl_f32_to_f16(x) : sl_f32_to_bf16(x);
        if (kind == 1)
            half = (uint16_t)choose_bits(&rng);
        else if (kind == 2 && pick(8) == 0)
            half = odd_half();
        if (type == SL_F32)
            ((float *)row)[i] = x;
        else
            ((uint16_t *)row)[i] = half;
    }
}

static size_t size_of(int32_t type)
{
    return type == SL_F32 ? 4 : 2;
}

/* A job and what it reads; rows and results begin at any element, not at whole vectors. */
struct work {
    struct sl_sum_job job;
    float rows[ROWS][ROOM], x[ROOM], weights[ROWS];
    const void *row_at[ROWS];
    float want[ROOM], got[ROOM];
};

static void give(struct work *work, int32_t row_type, int32_t out_type, int64_t n)
{
    int32_t kind = pick(3), ahead = pick(AHEAD + 1);
    *work = (struct work){.job = {.rows = work->row_at,
                                  .weights = work->weights,
                                  .count = pick(ROWS + 1),
                                  .row_type = row_type,
                                  .out_type = out_type,
                                  .n = n,
                                  .zero_weight = draw(kind),
                                  .scale = pick(2) ? 1.0F : draw(kind)}};
    work->job.first = n > 2 && pick(4) == 0 ? pick(3) : 0;
    for (int32_t c = 0; c < ROWS; c++) {
        fill(work->rows[c], row_type, kind);
        work->weights[c] = draw(kind == 1 ? pick(3) : kind);
        work->row_at[c] = (const char *)work->rows[c] + (size_t)ahead * size_of(row_type);
    }
    fill(work->x, out_type, kind);
    if (pick(2))
        work->job.x = (const char *)work->x + (size_t)ahead * size_of(out_type);
    memset(work->want, 0x5A, sizeof work->want);
    memset(work->got, 0x5A, sizeof work->got);
}

static bool is_odd_nan(const void *row, int32_t type, int64_t i)
{
    if (type == SL_F32) {
        uint32_t bits;
        memcpy(&bits, (const float *)row + i, sizeof bits);
        return (bits & 0x7FFFFFFFU) > 0x7F800000U && bits != 0x7FC00000U;
    }
    uint16_t bits = ((const uint16_t *)row)[i], top = type == SL_F16 ? 0x7C00 : 0x7F80;
    return (bits & 0x7FFF) > top && bits != (type == SL_F16 ? 0x7E00 : 0x7FC0);
}

/* Whole buffers: what stands beside the elements must not be written. */
static bool agree(const struct work *work, int32_t type, int64_t first, int64_t n)
{
    for (int64_t i = first; i < n; i++)
        if (!ct_expect_true(!is_odd_nan((const char *)work->want + size_of(type), type, i)))
            return false;
    return ct_expect_eq_mem(work->got, work->want, sizeof work->want);
}

static bool check_sum(struct work *work, const struct sl_sums *sums)
{
    struct sl_sum_job job = work->job;
    size_t ahead = size_of(job.out_type); /* one element, so that no store is aligned */
    job.rows = work->row_at;
    job.weights = work->weights;
    job.out = (char *)work->want + ahead;
    sl_sum_portable(&job);
    job.out = (char *)work->got + ahead;
    sums->sum(&job);
    return agree(work, job.out_type, job.first, job.n);
}

static bool check_scale(struct work *work, const struct sl_sums *sums)
{
    const struct sl_sum_job *job = &work->job;
    int32_t type = job->row_type;
    size_t ahead = size_of(type);
    memset(work->want, 0x5A, sizeof work->want);
    memset(work->got, 0x5A, sizeof work->got);
    sl_scale_portable((char *)work->want + ahead, work->row_at[0], type, job->first, job->n,
                      work->weights[0]);
    sums->scale((char *)work->got + ahead, work->row_at[0], type, job->first, job->n,
                work->weights[0]);
    return agree(work, type, job->first, job->n);
}

static const char *const names[] = {"f32", "f16", "bf16"};

static void check_level(int level)
{
    const struct sl_sums sums = sl_sums_pick(level);
    struct work *work = ct_alloc(sizeof *work);
    ct_true(sums.sum != sl_sum_portable && sums.scale != sl_scale_portable);
    for (int32_t types = 0; types < 9; types++)
        for (int64_t n = 0; n <= MOST - 1 && !ct_failed(); n += n < 80 ? 1 : 17)
            for (int32_t i = 0; i < 12; i++) {
                rng.state = (uint64_t)((types * 1000 + n) * 100 + i);
                ct_note("%s to %s, %lld elements, try %d", names[types / 3], names[types % 3],
                        (long long)n, i);
                give(work, types / 3, types % 3, n);
                if (!check_sum(work, &sums) || !check_scale(work, &sums))
                    return;
            }
}

CT(sum, avx2, "AVX2 adds and multiplies with the bits of the portable code")
{
    if (sl_choose_best_level() < SL_LEVEL_AVX2)
        ct_skip("this machine has no AVX2");
    check_level(SL_LEVEL_AVX2);
}

CT(sum, avx512, "AVX-512 adds and multiplies with the bits of the portable code")
{
    if (sl_choose_best_level() < SL_LEVEL_AVX512)
        ct_skip("this machine has no AVX-512");
    check_level(SL_LEVEL_AVX512);
}

CT(sum, portable_is_one_fma_a_row, "the portable sum is a literal loop of fmaf, rounded once")
{
    struct work *work = ct_alloc(sizeof *work);
    for (int32_t i = 0; i < 200; i++) {
        rng.state = (uint64_t)i;
        give(work, SL_F32, SL_F32, 40);
        work->job.out = work->got;
        work->job.rows = work->row_at;
        work->job.weights = work->weights;
        sl_sum_portable(&work->job);
        for (int64_t e = work->job.first; e < 40; e++) {
            float sum = 0;
            for (int32_t c = 0; c < work->job.count; c++)
                sum = fmaf(work->weights[c], ((const float *)work->row_at[c])[e], sum);
            if (work->job.x)
                sum = fmaf(work->job.zero_weight, ((const float *)work->job.x)[e], sum);
            sum *= work->job.scale;
            ct_note("try %d, element %lld", i, (long long)e);
            ct_eq_f32bits(work->got[e], isnan(sum) ? NAN : sum);
        }
    }
}

CT(sum, at_odd_addresses, "a row behind payloads of odd length is multiplied where it lies")
{
    static const int32_t types[] = {SL_F32, SL_F16, SL_BF16};
    float row[MOST], want[MOST], got[MOST];
    char moved[MOST * 4 + 1];
    rng.state = 19;
    for (int32_t i = 0; i < 3; i++) {
        size_t bytes = MOST * (types[i] == SL_F32 ? 4 : 2);
        for (int32_t k = 0; k < MOST; k++)
            row[k] = draw(0);
        memcpy(moved + 1, row, bytes);
        sl_scale_portable(want, row, types[i], 0, MOST, 1.5F);
        sl_scale_portable(got, moved + 1, types[i], 0, MOST, 1.5F);
        ct_true(memcmp(got, want, bytes) == 0);
    }
}
