#include "ct.h"

#include "choose_models.h"
#include "choose_reference.h"
#include "core/sl_half.h"
#include "cpu/cpu_choose.h"

#include <float.h>
#include <math.h>
#include <string.h>

enum { MAX_ROWS = 70, TABLE_ROWS = 5 };

static struct choose_random rng;

/* 0 ... n-1 */
static int32_t pick(int32_t n)
{
    return (int32_t)(choose_bits(&rng) % (uint64_t)n);
}

static bool one_in(int32_t n)
{
    return pick(n) == 0;
}

static float special(void)
{
    static const float some[] = {NAN,      -NAN,      INFINITY, -INFINITY, FLT_MAX, -FLT_MAX, 0.0f,
                                 -0.0f,    1e-42f,    -1e-42f,  FLT_MIN,   3e38f,   -3e38f,   88.7f,
                                 -103.97f, 0x1p-149f, 17.5f,    -17.5f,    1.0f,    -1.0f,    0.5f};
    return some[pick((int32_t)(sizeof some / sizeof *some))];
}

/* One row of numbers; most kinds have what breaks a careless ranking. */
static void fill_row(float *row, int32_t n)
{
    int32_t kind = pick(16);
    double width = kind == 1 ? 14 : kind == 2 ? 60 : 1.5;
    float same = one_in(2) ? special() : (float)choose_normal(&rng);
    for (int32_t e = 0; e < n; e++) {
        float x = (float)(choose_normal(&rng) * width);
        if (kind == 3 || kind == 4) /* ties */
            x = roundf(x * (kind == 3 ? 4.0f : 1.0f)) / 4.0f;
        if (kind == 5) /* ties and -0 */
            x = one_in(3) ? -0.0f : one_in(2) ? 0.0f : -fabsf(x);
        if (kind == 6)
            x = x * 1e-39f;
        if (kind == 7)
            x = same;
        if (kind == 8) /* few candidates */
            x = one_in(40) ? x : one_in(2) ? -INFINITY : NAN;
        if (kind == 9)
            x = special();
        if (kind == 10 && one_in(8))
            x = special();
        if (kind == 11)
            x = -INFINITY;
        if (kind == 12) /* ascending: every column is better than all before */
            x = (float)e * 0.01f;
        if (kind == 13)
            x = (float)-e * 0.01f;
        if (kind == 14) /* all of the best in one lane */
            x = x * 0.1f + (e % 16 == 3 ? 20.0f : 0.0f);
        row[e] = x;
    }
}

/* [rows, columns] of this type; rows stand `stride` apart and nothing follows the last. */
static void *table(int64_t rows, int32_t columns, int64_t stride, int32_t type)
{
    size_t count = (size_t)((rows - 1) * stride + columns);
    float *row = ct_alloc((size_t)columns * sizeof *row);
    float *x = ct_alloc(count * sizeof *x);
    uint16_t *half = ct_alloc(count * sizeof *half);
    for (int64_t t = 0; t < rows; t++) {
        fill_row(row, columns);
        for (int32_t e = 0; e < columns; e++) {
            int64_t at = t * stride + e;
            x[at] = row[e];
            half[at] = type == SL_F16 ? sl_f32_to_f16(row[e]) : sl_f32_to_bf16(row[e]);
        }
    }
    return type == SL_F32 ? (void *)x : half;
}

static struct sl_ids ids_table(int64_t rows, int32_t columns, int32_t least, int32_t end)
{
    struct sl_ids ids = {.stride = columns + pick(2), .wide = pick(2)};
    int64_t count = (rows - 1) * ids.stride + columns;
    int64_t *wide = ct_alloc((size_t)count * sizeof *wide);
    int32_t *narrow = ct_alloc((size_t)count * sizeof *narrow);
    for (int64_t i = 0; i < count; i++)
        wide[i] = narrow[i] = least + pick(end - least);
    ids.data = ids.wide ? (void *)wide : narrow;
    return ids;
}

enum { ANY_TYPE = -1 };

/* Inputs of every kind that the rule admits; logits of this type. */
static void give(struct choose_call *call, int32_t type)
{
    struct sl_choose_io *io = &call->io;
    const sluice_router *r = &call->router;
    const struct sl_rule *rule = &call->rule;
    int64_t rows = call->rows;
    int32_t columns = rule->columns;
    memset(io, 0, sizeof *io);
    int32_t drawn = one_in(2) ? SL_F32 : pick(3);
    io->logit_type = type == ANY_TYPE ? drawn : type;
    io->logit_stride = columns + (one_in(3) ? pick(9) : 0);
    io->logits = table(rows, columns, io->logit_stride, io->logit_type);
    io->valid_rows = one_in(3) ? pick(call->rows + 1) : rows;
    if (r->bias_use != SLUICE_BIAS_NONE) {
        io->bias_stride = columns + pick(4);
        float *bias = table(rule->bias_rows, columns, io->bias_stride, SL_F32);
        for (int64_t i = 0; i < (rule->bias_rows - 1) * io->bias_stride + columns; i++)
            bias[i] = one_in(100) ? special() : bias[i] * (r->score ? 0.2f : 0.01f);
        io->bias = bias;
        io->bias_row = ids_table(rows, 1, one_in(2) ? 0 : -1, rule->bias_rows);
    }
    if (one_in(4)) {
        float *scale = ct_alloc((size_t)columns * sizeof *scale);
        for (int32_t e = 0; e < columns; e++)
            scale[e] = one_in(50) ? special() : (float)choose_uniform(&rng) + 0.5f;
        io->expert_scale = scale;
    }
    if (rule->shared_weight != SLUICE_SHARED_ONE) {
        bool joint = rule->shared_weight == SLUICE_SHARED_JOINT;
        io->shared_columns = joint || one_in(2) ? rule->shared : 1;
        io->shared_type = pick(3);
        io->shared_stride = io->shared_columns + pick(3);
        io->shared_logits = table(rows, io->shared_columns, io->shared_stride, io->shared_type);
    }
    if (one_in(8)) {
        io->forced_rows = one_in(2) ? rows : TABLE_ROWS;
        io->forced_ids = ids_table(io->forced_rows, rule->top_k, -1, columns + 1);
        if (io->forced_rows != rows || one_in(2))
            io->forced_row = ids_table(rows, 1, -1, (int32_t)io->forced_rows + 1);
    }
    if (one_in(4)) {
        uint8_t *valid = ct_alloc((size_t)rows);
        for (int64_t t = 0; t < rows; t++)
            valid[t] = !one_in(4);
        io->row_valid = valid;
    }
}

/* Room for results, filled with what no result is, and nothing behind it. */
static struct sl_choices room(const struct choose_call *call)
{
    size_t rows = (size_t)call->rows, shared = (size_t)call->rule.shared;
    size_t choices = rows * (size_t)call->rule.top_k * 4;
    struct sl_choices out = {ct_alloc(choices), ct_alloc(choices), ct_alloc(rows * shared * 4 + 1),
                             ct_alloc(rows * 4)};
    memset(out.ids, 0x5A, choices);
    memset(out.weights, 0x5A, choices);
    return out;
}

static bool same(const struct choose_call *call, const struct sl_choices *got)
{
    const struct sl_rule *rule = &call->rule;
    for (int32_t t = 0; t < call->rows; t++) {
        for (int32_t k = t * rule->top_k; k < (t + 1) * rule->top_k; k++) {
            if (!ct_expect_eq_i64(got->ids[k], call->out.ids[k]) ||
                !ct_expect_eq_f32bits(got->weights[k], call->out.weights[k])) {
                ct_note("row %d, choice %d", t, k - t * rule->top_k);
                return ct_expect_eq_i64(t, -1);
            }
        }
        for (int32_t j = t * rule->shared;
             j < (t + 1) * rule->shared && rule->shared_weight != SLUICE_SHARED_ONE; j++)
            if (!ct_expect_eq_f32bits(got->shared[j], call->out.shared[j]))
                return ct_expect_eq_i64(t, -1);
        if (rule->zero_experts > 0 && !ct_expect_eq_f32bits(got->zero[t], call->out.zero[t]))
            return ct_expect_eq_i64(t, -1);
    }
    return true;
}

/* Random inputs for the rule: the level's results are those of the portable one. */
static bool check(const sluice_router *router, int32_t rows, int32_t type, int level)
{
    struct choose_call call = {.router = *router, .rows = rows};
    char text[256];
    if (sl_rule_make(&call.rule, router, text, sizeof text) != SLUICE_OK)
        return type == ANY_TYPE || ct_expect_str_eq(text, ""); /* a random rule may be refused */
    give(&call, type);
    struct choose_call other = call;
    call.out = room(&call);
    other.out = room(&call);
    choose_run(&call, sl_choose_portable);
    choose_run(&other, sl_choose_pick(&call.rule, level));
    return same(&call, &other.out);
}

static sluice_router random_router(void)
{
    static const int32_t many[] = {1,   2,   3,   5,   7,   8,   9,   15,   16,   16,  17,
                                   24,  31,  32,  33,  48,  60,  64,  96,   100,  128, 160,
                                   192, 256, 288, 384, 512, 640, 896, 1000, 2048, 4096};
    static const int32_t groups[] = {2, 4, 8, 8, 8, 12, 16, 20, 32, 64};
    sluice_router r = choose_router(many[pick((int32_t)(sizeof many / sizeof *many))], 1);
    r.top_k = one_in(4) ? 1 + pick(64) : one_in(3) ? 8 : 1 + pick(10);
    if (r.top_k > r.experts)
        r.top_k = 1 + pick(r.experts < 64 ? r.experts : 64);
    r.score = pick(3);
    r.bias_use = pick(4);
    r.bias_rows = one_in(4) && r.bias_use ? 3 : 1;
    r.logit_scale = one_in(5) ? (float)choose_uniform(&rng) * 3.0f : 0;
    r.logit_cap = one_in(5) ? (float)choose_uniform(&rng) * 30.0f : 0;
    r.renorm = pick(2);
    r.renorm_eps = one_in(3) ? 1e-20f : one_in(3) ? 1e-6f : 0;
    r.renorm_floor = one_in(3) ? 1e-12f : 0;
    r.scale = one_in(2) ? 2.5f : 0;
    r.scale_by = one_in(4);
    if (one_in(3)) {
        r.groups = groups[pick((int32_t)(sizeof groups / sizeof *groups))];
        r.keep_groups = 1 + pick(r.groups);
        r.group_value = pick(2);
        r.group_mode = one_in(4);
        if (r.group_mode == SLUICE_GROUPS_EVEN)
            r.top_k = r.groups * (1 + pick(3));
    } else if (one_in(4)) {
        r.zero_experts = 1 + pick(20);
        r.zero_kind = pick(2);
    }
    if (one_in(4)) {
        r.shared = 1 + pick(4);
        r.shared_weight = pick(3);
        r.shared_scale = one_in(2) ? 0.5f : 0;
    }
    return r;
}

static const int32_t row_counts[] = {1, 2, 3, 15, 16, 17, 31, 32, 33, MAX_ROWS};
enum { ROW_COUNTS = sizeof row_counts / sizeof *row_counts };

static void check_random(int level)
{
    for (int32_t i = 0; i < 1500 && !ct_failed(); i++) {
        rng.state = (uint64_t)i * 77 + 5;
        sluice_router router = random_router();
        ct_note("random rule %d", i);
        ct_expect_true(check(&router, row_counts[pick(ROW_COUNTS)], ANY_TYPE, level));
    }
}

static void check_families(int level)
{
    static const char *const types[] = {"f32", "f16", "bf16"};
    for (int32_t m = 0; m < choose_model_count; m++)
        for (int32_t i = 0; i < 9 && !ct_failed(); i++) {
            rng.state = (uint64_t)(m * 100 + i);
            sluice_router router = choose_models[m].router;
            router.struct_size = sizeof router;
            ct_note("%s, %s, try %d", choose_models[m].name, types[i % 3], i);
            ct_expect_true(check(&router, row_counts[pick(ROW_COUNTS)], SL_F32 + i % 3, level));
        }
}

CT(choose_simd, random_avx2, "AVX2 gives the bits of the portable choice for random rules")
{
    if (sl_choose_best_level() < SL_LEVEL_AVX2)
        ct_skip("this machine has no AVX2");
    check_random(SL_LEVEL_AVX2);
}

CT(choose_simd, families_avx2,
   "AVX2 gives the bits of the portable choice for every family and type of logits")
{
    if (sl_choose_best_level() < SL_LEVEL_AVX2)
        ct_skip("this machine has no AVX2");
    check_families(SL_LEVEL_AVX2);
}

CT(choose_simd, random_avx512, "AVX-512 gives the bits of the portable choice for random rules")
{
    if (sl_choose_best_level() < SL_LEVEL_AVX512)
        ct_skip("this machine has no AVX-512");
    check_random(SL_LEVEL_AVX512);
}

CT(choose_simd, families_avx512,
   "AVX-512 gives the bits of the portable choice for every family and type of logits")
{
    if (sl_choose_best_level() < SL_LEVEL_AVX512)
        ct_skip("this machine has no AVX-512");
    check_families(SL_LEVEL_AVX512);
}
