#include "ct.h"

#include "tool/tool_counts.h"
#include "tool/tool_generate.h"
#include "tool/tool_random.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { E = 256, K = 8, GROUPS = 8, KEEP = 4, LAYERS = 58 };

static int descending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x < y) - (x > y);
}

static double median(double *x, int n)
{
    qsort(x, (size_t)n, sizeof *x, descending);
    return n % 2 ? x[n / 2] : (x[n / 2 - 1] + x[n / 2]) / 2;
}

/* Greatest over mean, and the share of the 8 greatest. */
static void skew(const int64_t *count, double *over_mean, double *share)
{
    double x[E], sum = 0, top = 0;
    for (int e = 0; e < E; e++) {
        x[e] = (double)count[e];
        sum += x[e];
    }
    qsort(x, E, sizeof *x, descending);
    for (int i = 0; i < 8; i++)
        top += x[i];
    *over_mean = x[0] * E / sum;
    *share = top / sum;
}

/* DeepSeek-V3's choice, written plainly: sigmoid, bias 0, groups valued by their two best. */
static void choose(const float *logits, int64_t *count)
{
    double s[E], value[GROUPS];
    for (int e = 0; e < E; e++)
        s[e] = 1 / (1 + exp(-(double)logits[e]));
    for (int g = 0; g < GROUPS; g++) {
        double best = 0, second = 0;
        for (int e = g * E / GROUPS; e < (g + 1) * E / GROUPS; e++)
            if (s[e] > best) {
                second = best;
                best = s[e];
            } else if (s[e] > second) {
                second = s[e];
            }
        value[g] = best + second;
    }
    for (int dropped = 0; dropped < GROUPS - KEEP; dropped++) {
        int least = 0;
        for (int g = 1; g < GROUPS; g++)
            if (value[g] < value[least])
                least = g;
        value[least] = INFINITY;
        for (int e = least * E / GROUPS; e < (least + 1) * E / GROUPS; e++)
            s[e] = -1;
    }
    for (int k = 0; k < K; k++) {
        int best = 0;
        for (int e = 1; e < E; e++)
            if (s[e] > s[best])
                best = e;
        s[best] = -1;
        count[best]++;
    }
}

static void generated_skew(uint64_t seed, int tokens, double *over_mean, double *share, double *low,
                           double *high)
{
    struct sl_generator g;
    double a[LAYERS], b[LAYERS];
    float *logits = ct_alloc(sizeof(float) * E * (size_t)tokens);
    if (!ct_expect_eq_i64(sl_generator_open(&g, LAYERS, E, K, seed, NULL, 0), 0))
        return;
    for (int layer = 0; layer < LAYERS; layer++) {
        int64_t count[E] = {0};
        sl_generator_logits(&g, layer, 0, tokens, logits);
        for (int t = 0; t < tokens; t++)
            choose(logits + (size_t)t * E, count);
        skew(count, &a[layer], &b[layer]);
    }
    sl_generator_close(&g);
    *over_mean = median(a, LAYERS);
    *low = a[LAYERS * 3 / 4];
    *high = a[LAYERS / 4];
    *share = median(b, LAYERS);
}

static int real_layers(const char *file, double *over_mean, double *share)
{
    struct sl_counts c;
    char path[128], err[200] = "";
    snprintf(path, sizeof path, "data/deepseek-r1-expert-counts/%s.json", file);
    const char *found = ct_shared(path);
    if (found == NULL)
        return 0;
    int rc = sl_counts_load(found, SL_COUNTS_SUM, &c, err, sizeof err);
    if (!ct_expect_str_eq(err, "") || !ct_expect_eq_i64(rc, 0) || !ct_expect_eq_i64(c.experts, E))
        return 0;
    int first = c.layers - LAYERS;
    for (int layer = 0; layer < LAYERS; layer++)
        skew(sl_counts_row(&c, 0, first + layer), &over_mean[layer], &share[layer]);
    sl_counts_free(&c);
    return LAYERS;
}

CT(tool_generate, skew_like_deepseek_r1,
   "V3's router on generated logits is as uneven as DeepSeek-R1")
{
    static const char *const files[] = {"decode_in2000out100", "decode_in500out1500",
                                        "prefill_in4096", "prefill_in512"};
    double a[4 * LAYERS], b[4 * LAYERS];
    int n = 0;
    for (int i = 0; i < 4; i++)
        n += real_layers(files[i], a + n, b + n);
    if (ct_failed())
        return;
    if (n < 4 * LAYERS)
        ct_skip("no DeepSeek-R1 counts under shared/data");
    double want_max = median(a, n), want_share = median(b, n);
    double want_low = a[n * 3 / 4], want_high = a[n / 4];
    for (uint64_t seed = 1; seed <= 2; seed++) {
        double got_max = 0, got_share = 0, low = 0, high = 0;
        ct_note("seed %d", (int)seed);
        generated_skew(seed, 1024, &got_max, &got_share, &low, &high);
        ct_near(got_max, want_max, want_max * 0.1);
        ct_near(got_share, want_share, want_share * 0.1);
        ct_near(low, want_low, want_low * 0.2);
        ct_near(high, want_high, want_high * 0.2);
    }
}

CT(tool_generate, any_part_alone, "a token's logits do not depend on the call that makes them")
{
    struct sl_generator g;
    float all[10 * 6], part[3 * 6];
    ct_eq_i64(sl_generator_open(&g, 2, 6, 2, 7, NULL, 0), 0);
    sl_generator_logits(&g, 1, 100, 10, all);
    sl_generator_logits(&g, 1, 104, 3, part);
    ct_expect_eq_mem(part, all + 4 * 6, sizeof part);
    sl_generator_logits(&g, 0, 104, 3, part);
    ct_expect_true(memcmp(part, all + 4 * 6, sizeof part) != 0);
    sl_generator_close(&g);
}

CT(tool_generate, seed_decides, "the same seed gives the same offsets, another seed others")
{
    struct sl_generator g, same, other;
    ct_eq_i64(sl_generator_open(&g, 3, 40, 4, 7, NULL, 0), 0);
    ct_eq_i64(sl_generator_open(&same, 3, 40, 4, 7, NULL, 0), 0);
    ct_eq_i64(sl_generator_open(&other, 3, 40, 4, 8, NULL, 0), 0);
    ct_expect_eq_mem(g.offset, same.offset, sizeof(float) * 120);
    ct_expect_true(memcmp(g.offset, other.offset, sizeof(float) * 120) != 0);
    sl_generator_close(&g);
    sl_generator_close(&same);
    sl_generator_close(&other);
}

CT(tool_generate, popularity_mean_one, "the exponentials of a layer's offsets have mean 1")
{
    static const int32_t columns[] = {1, 2, 8, 768};
    for (int i = 0; i < 4; i++) {
        struct sl_generator g;
        double sum = 0;
        ct_eq_i64(sl_generator_open(&g, 2, columns[i], 1, 3, NULL, 0), 0);
        for (int32_t c = 0; c < columns[i]; c++)
            sum += exp((double)sl_generator_offsets(&g, 1)[c]);
        sl_generator_close(&g);
        ct_near(sum / columns[i], 1, 1e-5);
    }
}

CT(tool_generate, refuses_bad_shape, "more choices than columns are refused, with both numbers")
{
    struct sl_generator g;
    char err[200] = "";
    ct_eq_i64(sl_generator_open(&g, 2, 4, 5, 1, err, sizeof err), -1);
    ct_str_has(err, "columns 4, top_k 5");
}

CT(tool_draw, frequencies_match, "drawn ids follow the counts and never repeat in a row")
{
    enum { N = 16, PICK = 4, TOKENS = 40000 };
    static const int64_t counts[N] = {900, 5,   0,  40, 40, 300, 20, 1,
                                      100, 700, 60, 10, 0,  250, 90, 4};
    int32_t ids[PICK];
    int64_t got[N] = {0}, sum = 0;
    struct sl_draw d;
    ct_eq_i64(sl_draw_open(&d, counts, N, PICK, 11, NULL, 0), 0);
    for (int64_t t = 0; t < TOKENS; t++) {
        unsigned seen = 0;
        sl_draw_tokens(&d, (uint64_t)t, 1, ids, NULL);
        for (int k = 0; k < PICK; k++) {
            ct_true(ids[k] >= 0 && ids[k] < N);
            ct_true((seen >> ids[k] & 1u) == 0);
            seen |= 1u << ids[k];
            got[ids[k]]++;
        }
    }
    sl_draw_close(&d);
    for (int e = 0; e < N; e++)
        sum += counts[e];
    /* 900 of 2520 in 4 choices is more than 1: that expert is always there, and after it 700 too
     * (3 · 700 of 1620); the other two choices go by the rest. */
    ct_eq_i64(got[0], TOKENS);
    ct_eq_i64(got[9], TOKENS);
    for (int e = 0; e < N; e++) {
        double want = 2.0 * (double)counts[e] / (double)(sum - 1600) * TOKENS;
        ct_note("expert %d", e);
        if (e != 0 && e != 9)
            ct_near((double)got[e], want, 6 * sqrt(want) + 1e-9);
    }
}

CT(tool_draw, real_counts, "ids drawn from DeepSeek-R1's counts hit each expert as often as they")
{
    enum { TOKENS = 20000 };
    const char *path = ct_shared("data/deepseek-r1-expert-counts/prefill_in512.json");
    if (path == NULL)
        ct_skip("no DeepSeek-R1 counts under shared/data");
    struct sl_counts c;
    ct_eq_i64(sl_counts_load(path, SL_COUNTS_SUM, &c, NULL, 0), 0);
    int64_t want[E], got[E] = {0};
    memcpy(want, sl_counts_row(&c, 0, 40), sizeof want);
    sl_counts_free(&c);
    int32_t *ids = ct_alloc(sizeof *ids * TOKENS * K);
    struct sl_draw d;
    ct_eq_i64(sl_draw_open(&d, want, E, K, 5, NULL, 0), 0);
    sl_draw_tokens(&d, 0, TOKENS, ids, NULL);
    sl_draw_close(&d);
    for (int i = 0; i < TOKENS * K; i++)
        got[ids[i]]++;
    double sum = 0;
    for (int e = 0; e < E; e++)
        sum += (double)want[e];
    for (int e = 0; e < E; e++) {
        double chance = K * (double)want[e] / sum;
        ct_note("expert %d", e);
        ct_near((double)got[e], TOKENS * chance, 5 * sqrt(TOKENS * chance * (1 - chance)));
    }
}

CT(tool_draw, too_few_experts, "choices without an expert are -1 with weight 0")
{
    static const int64_t counts[4] = {0, 3, 0, 9};
    int32_t ids[3];
    float w[3];
    struct sl_draw d;
    ct_eq_i64(sl_draw_open(&d, counts, 4, 3, 1, NULL, 0), 0);
    sl_draw_tokens(&d, 0, 1, ids, w);
    sl_draw_close(&d);
    ct_eq_i64(ids[0] + ids[1], 4);
    ct_eq_i64(ids[2], -1);
    ct_eq_f32bits(w[2], 0);
}

CT(tool_draw, weights, "weights fall along a row and add up to 1")
{
    static const int64_t counts[9] = {1, 1, 1, 1, 1, 1, 1, 1, 1};
    int32_t ids[6];
    float w[6], sum = 0;
    struct sl_draw d;
    ct_eq_i64(sl_draw_open(&d, counts, 9, 6, 1, NULL, 0), 0);
    sl_draw_tokens(&d, 123, 1, ids, w);
    sl_draw_close(&d);
    for (int k = 0; k < 6; k++) {
        ct_true(w[k] > 0 && (k == 0 || w[k] <= w[k - 1]));
        sum += w[k];
    }
    ct_near(sum, 1, 1e-6);
}

CT(tool_draw, refuses_negative, "a negative count is refused with its expert")
{
    static const int64_t counts[2] = {3, -1};
    struct sl_draw d;
    char err[200] = "";
    ct_eq_i64(sl_draw_open(&d, counts, 2, 1, 1, err, sizeof err), -1);
    ct_str_has(err, "expert 1: -1 tokens");
}

CT(tool_random, philox_known_answers, "Philox4x32-10 gives the published vectors")
{
    struct sl_random4 zero = sl_tool_random(0, 0, 0, 0);
    struct sl_random4 ones = sl_tool_random(UINT64_MAX, UINT64_MAX, UINT32_MAX, UINT32_MAX);
    static const uint32_t want0[4] = {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8};
    static const uint32_t want1[4] = {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd};
    ct_eq_mem(zero.word, want0, sizeof want0);
    ct_eq_mem(ones.word, want1, sizeof want1);
}

CT(tool_random, normal_quantile, "the normal quantile inverts the distribution, tails too")
{
    static const double p[] = {1e-9, 0.001, 0.3, 0.5, 0.84134474606854293, 0.999, 1 - 1e-9};
    for (size_t i = 0; i < sizeof p / sizeof *p; i++) {
        double z = sl_tool_normal_quantile(p[i]);
        ct_near(0.5 * erfc(-z / sqrt(2)), p[i], p[i] < 0.5 ? p[i] * 1e-9 : 1e-12);
    }
    ct_near(sl_tool_normal_quantile(0.84134474606854293), 1, 1e-9);
}

CT(tool_random, shuffle_is_fair, "a shuffle is a permutation and puts each item everywhere")
{
    enum { N = 5, RUNS = 20000 };
    int seen[N][N] = {{0}};
    for (int run = 0; run < RUNS; run++) {
        int32_t order[N];
        unsigned all = 0;
        sl_tool_shuffle(3, (uint64_t)run, 0, order, N);
        for (int i = 0; i < N; i++) {
            all |= 1u << order[i];
            seen[i][order[i]]++;
        }
        ct_eq_i64(all, 31);
    }
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++)
            ct_near(seen[i][j], RUNS / N, 400);
}
