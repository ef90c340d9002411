#include "ct.h"

#include "choose_reference.h"
#include "core/sl_math.h"

#include <math.h>
#include <string.h>

/* One row of logits, up to 16, choices in descending order. */
static struct choose_call one_row(sluice_router router, const float *logits)
{
    struct choose_call call = {.router = router, .rows = 1};
    call.io.logits = logits;
    call.io.logit_stride = router.experts + router.zero_experts;
    call.io.bias_stride = call.io.logit_stride;
    call.io.valid_rows = 1;
    return call;
}

static void expect_ids(const struct choose_call *call, const int32_t *want)
{
    for (int32_t k = 0; k < call->router.top_k; k++) {
        ct_note("choice %d", k);
        ct_expect_eq_i64(call->out.ids[k], want[k]);
        if (want[k] < 0)
            ct_expect_eq_f32bits(call->out.weights[k], 0.0f);
    }
}

#define EXPECT_IDS(call, ...) expect_ids(&(call), (const int32_t[]){__VA_ARGS__})

static sluice_router scored(int32_t experts, int32_t top_k, int32_t score)
{
    sluice_router router = choose_router(experts, top_k);
    router.score = score;
    return router;
}

CT(choose_edges, infinity_is_the_greatest, "+inf is taken as FLT_MAX: chosen first, and no NaN")
{
    static const float logits[] = {1, INFINITY, 3, FLT_MAX, -2, 0};
    struct choose_call call = one_row(scored(6, 3, SLUICE_SCORE_SOFTMAX), logits);
    ct_true(choose_portable(&call));
    EXPECT_IDS(call, 1, 3, 2);
    ct_eq_f32bits(call.out.weights[0], 0.5f);
    ct_eq_f32bits(call.out.weights[1], 0.5f);
    ct_eq_f32bits(call.out.weights[2], 0.0f);
    ct_true(choose_agrees(&call, 3e-6));
}

CT(choose_edges, scale_may_overflow,
   "a logit that its scale makes infinite is taken as FLT_MAX too")
{
    static const float logits[] = {1e38f, 2e38f, 1, 0};
    sluice_router router = scored(4, 2, SLUICE_SCORE_SOFTMAX);
    router.logit_scale = 100;
    struct choose_call call = one_row(router, logits);
    ct_true(choose_portable(&call));
    EXPECT_IDS(call, 0, 1);
    ct_eq_f32bits(call.out.weights[0], 0.5f);
}

CT(choose_edges, no_candidate_is_no_choice,
   "NaN and -inf are never chosen; the rest of the row is -1")
{
    static const float logits[] = {NAN, -1, -INFINITY, 2, -NAN, -INFINITY};
    for (int32_t score = 0; score < 3; score++) {
        struct choose_call call = one_row(scored(6, 4, score), logits);
        ct_true(choose_portable(&call));
        EXPECT_IDS(call, 3, 1, -1, -1);
        ct_true(choose_agrees(&call, 3e-6));
    }
}

CT(choose_edges, masked_adds_nothing,
   "a NaN or -inf logit adds nothing to the softmax, with a cap too")
{
    static const float logits[] = {NAN, 1, -INFINITY, 1};
    sluice_router router = scored(4, 2, SLUICE_SCORE_SOFTMAX);
    for (int32_t i = 0; i < 2; i++) {
        router.logit_cap = i ? 5 : 0;
        struct choose_call call = one_row(router, logits);
        ct_true(choose_portable(&call));
        EXPECT_IDS(call, 1, 3);
        ct_eq_f32bits(call.out.weights[0], 0.5f);
    }
}

CT(choose_edges, bias_does_not_unmask, "a bias of any size does not choose a NaN or -inf logit")
{
    static const float logits[] = {NAN, 1, -INFINITY, 0};
    static const float bias[] = {100, 0, INFINITY, 0};
    for (int32_t use = SLUICE_BIAS_SCORE; use <= SLUICE_BIAS_LOGIT; use++) {
        sluice_router router = scored(4, 3, SLUICE_SCORE_SIGMOID);
        router.bias_use = use;
        struct choose_call call = one_row(router, logits);
        call.io.bias = bias;
        ct_true(choose_portable(&call));
        EXPECT_IDS(call, 1, 3, -1);
    }
}

CT(choose_edges, bias_masks,
   "a bias of NaN or -inf masks its expert; the score stays in the softmax")
{
    static const float logits[] = {1, 1, 1, 1};
    static const float bias[] = {NAN, 0, -INFINITY, 0.5f};
    for (int32_t use = SLUICE_BIAS_SCORE; use <= SLUICE_BIAS_RANK_LOGIT; use++) {
        sluice_router router = scored(4, 3, SLUICE_SCORE_SOFTMAX);
        router.bias_use = use;
        struct choose_call call = one_row(router, logits);
        call.io.bias = bias;
        ct_true(choose_portable(&call));
        EXPECT_IDS(call, 3, 1, -1);
        ct_eq_f32bits(call.out.weights[0], 0.25f);
    }
}

CT(choose_edges, logit_bias_masks_all,
   "a bias on the logit of NaN or -inf leaves the softmax as well")
{
    static const float logits[] = {1, 1, 1, 1};
    static const float bias[] = {NAN, 0, -INFINITY, 0};
    sluice_router router = scored(4, 3, SLUICE_SCORE_SOFTMAX);
    router.bias_use = SLUICE_BIAS_LOGIT;
    struct choose_call call = one_row(router, logits);
    call.io.bias = bias;
    ct_true(choose_portable(&call));
    EXPECT_IDS(call, 1, 3, -1);
    ct_eq_f32bits(call.out.weights[0], 0.5f);
}

CT(choose_edges, infinite_bias_is_first, "a bias of +inf puts its expert first and makes no NaN")
{
    static const float logits[] = {1, 2, 3, 4};
    static const float bias[] = {0, INFINITY, 0, 0};
    for (int32_t use = SLUICE_BIAS_SCORE; use <= SLUICE_BIAS_LOGIT; use++) {
        sluice_router router = scored(4, 2, SLUICE_SCORE_SOFTMAX);
        router.bias_use = use;
        router.renorm = 1;
        struct choose_call call = one_row(router, logits);
        call.io.bias = bias;
        ct_true(choose_portable(&call));
        EXPECT_IDS(call, 1, 3);
        ct_true(call.out.weights[0] >= 0 && call.out.weights[0] <= 1);
        ct_near(call.out.weights[0] + call.out.weights[1], 1, 1e-6);
    }
}

CT(choose_edges, ties_to_the_lower_id, "equal values: the lower id first, +0 and -0 being equal")
{
    static const float logits[] = {-1, -0.0f, 0, -0.0f, 0, 0, -1, -1};
    struct choose_call call = one_row(scored(8, 6, SLUICE_SCORE_SIGMOID), logits);
    ct_true(choose_portable(&call));
    EXPECT_IDS(call, 1, 2, 3, 4, 5, 0);
}

CT(choose_edges, saturated_scores_do_not_tie,
   "without a bias the logit ranks, where scores are all 1")
{
    static const float logits[] = {20, 40, 30, 17.5f, 60, 50};
    struct choose_call call = one_row(scored(6, 4, SLUICE_SCORE_SIGMOID), logits);
    ct_true(choose_portable(&call));
    EXPECT_IDS(call, 4, 5, 1, 2);
    for (int32_t k = 0; k < 4; k++)
        ct_eq_f32bits(call.out.weights[k], 1.0f);
}

static sluice_router grouped(int32_t value)
{
    sluice_router router = scored(16, 2, SLUICE_SCORE_SIGMOID);
    router.groups = 4;
    router.keep_groups = 1;
    router.group_value = value;
    return router;
}

CT(choose_edges, group_ties_to_the_lower, "of equal groups the lower is kept")
{
    static const float logits[16] = {-9, -9, -9, -9, 1, 0, -1, -2, -2, -1, 0, 1, 1, 0, -1, -2};
    for (int32_t value = 0; value < 2; value++) {
        struct choose_call call = one_row(grouped(value), logits);
        ct_true(choose_portable(&call));
        EXPECT_IDS(call, 4, 5);
    }
}

CT(choose_edges, equal_maxima_both_count,
   "two equal maxima of a group are its best and second best")
{
    static const float logits[16] = {2,    2,  -5, -5, 2.2f, 1.7f, -5, -5,
                                     2.3f, -5, -5, -5, 0,    0,    0,  0};
    struct choose_call call = one_row(grouped(SLUICE_GROUP_TOP2), logits);
    ct_true(choose_portable(&call));
    EXPECT_IDS(call, 0, 1);
    ct_true(choose_agrees(&call, 3e-6));
}

CT(choose_edges, group_of_one_candidate_is_last, "a NaN counts as -inf in a group's value")
{
    static const float logits[16] = {9, NAN, NAN, -INFINITY, 0, 0,   -5, -5,
                                     8, 0,   NAN, NAN,       5, -50, -5, -5};
    struct choose_call call = one_row(grouped(SLUICE_GROUP_TOP2), logits);
    ct_true(choose_portable(&call));
    EXPECT_IDS(call, 8, 9);
    call = one_row(grouped(SLUICE_GROUP_MAX), logits);
    ct_true(choose_portable(&call));
    EXPECT_IDS(call, 0, -1);
}

CT(choose_edges, nan_bias_in_a_group, "a NaN bias counts as -inf in the group's value")
{
    static const float logits[16] = {9, 9, 9, 9, 0, 0, 0, 0, 1, 1, -9, -9, -9, -9, -9, -9};
    static const float bias[16] = {0, NAN, NAN, NAN, 0, 0, 0, 0, 0, 0, NAN, 0, 0, 0, 0, 0};
    sluice_router router = grouped(SLUICE_GROUP_TOP2);
    router.bias_use = SLUICE_BIAS_SCORE;
    struct choose_call call = one_row(router, logits);
    call.io.bias = bias;
    ct_true(choose_portable(&call));
    EXPECT_IDS(call, 8, 9);
}

CT(choose_edges, masked_does_not_lift_a_group, "a masked expert adds no bias to its group's value")
{
    static const float logits[16] = {-INFINITY, -INFINITY, 1, 1, 2, 2, 0, 0};
    static const float bias[16] = {50, 60};
    for (int32_t value = 0; value < 2; value++) {
        sluice_router router = grouped(value);
        router.bias_use = SLUICE_BIAS_SCORE;
        struct choose_call call = one_row(router, logits);
        call.io.bias = bias;
        ct_true(choose_portable(&call));
        EXPECT_IDS(call, 4, 5);
    }
}

CT(choose_edges, infinite_group_of_one, "+inf and -inf make a group's value -inf, not NaN")
{
    static const float logits[16] = {1, NAN, NAN, NAN, 0, 0, 0, 0, 2, 2};
    static const float bias[16] = {INFINITY};
    sluice_router router = grouped(SLUICE_GROUP_TOP2);
    router.bias_use = SLUICE_BIAS_SCORE;
    struct choose_call call = one_row(router, logits);
    call.io.bias = bias;
    ct_true(choose_portable(&call));
    EXPECT_IDS(call, 8, 9);
    ct_true(choose_agrees(&call, 3e-6));
}

CT(choose_edges, even_goes_by_group,
   "even groups: each group's best in turn, a short row's -1 last")
{
    static const float logits[] = {5, 4, 9, 8, NAN, 1, 7, 6};
    sluice_router router = scored(8, 4, SLUICE_SCORE_SOFTMAX);
    router.groups = 4;
    router.group_mode = SLUICE_GROUPS_EVEN;
    struct choose_call call = one_row(router, logits);
    ct_true(choose_portable(&call));
    EXPECT_IDS(call, 0, 2, 5, 6);
    router.groups = 2;
    call = one_row(router, logits);
    ct_true(choose_portable(&call));
    EXPECT_IDS(call, 2, 3, 6, 7);
    static const float few[] = {5, NAN, NAN, NAN, 4, 3, 7, 6};
    call = one_row(router, few);
    ct_true(choose_portable(&call));
    EXPECT_IDS(call, 0, 6, 7, -1);
    ct_true(choose_agrees(&call, 3e-6));
}

CT(choose_edges, nothing_sums_to_nothing, "where all chosen scores are 0 the weights are 0")
{
    static const float logits[] = {-200, -201, -202, -203};
    sluice_router router = scored(4, 2, SLUICE_SCORE_SIGMOID);
    router.renorm = 1;
    struct choose_call call = one_row(router, logits);
    ct_true(choose_portable(&call));
    EXPECT_IDS(call, 0, 1);
    ct_eq_f32bits(call.out.weights[0], 0.0f);
    router.renorm_eps = 1e-20f;
    call = one_row(router, logits);
    ct_true(choose_portable(&call));
    ct_eq_f32bits(call.out.weights[1], 0.0f);
}

CT(choose_edges, all_masked_is_nothing, "a row of NaN chooses nothing; shared experts stay")
{
    static const float logits[] = {NAN, NAN, -INFINITY, NAN};
    static const float shared[] = {0, 1};
    for (int32_t score = 0; score < 3; score++) {
        sluice_router router = scored(4, 2, score);
        router.shared = 2;
        router.shared_weight = SLUICE_SHARED_JOINT;
        struct choose_call call = one_row(router, logits);
        call.io.shared_logits = shared;
        call.io.shared_stride = 2;
        call.io.shared_columns = 2;
        ct_true(choose_portable(&call));
        EXPECT_IDS(call, -1, -1);
        ct_near(call.out.shared[0] + call.out.shared[1], 1, 1e-6);
        ct_true(choose_agrees(&call, 3e-6));
    }
}

CT(choose_edges, joint_masks_too, "a shared logit of NaN or -inf weighs nothing with JOINT")
{
    static const float logits[] = {0, 0, 0, 0};
    static const float shared[] = {NAN, -INFINITY, INFINITY};
    sluice_router router = scored(4, 2, SLUICE_SCORE_SOFTMAX);
    router.shared = 3;
    router.shared_weight = SLUICE_SHARED_JOINT;
    struct choose_call call = one_row(router, logits);
    call.io.shared_logits = shared;
    call.io.shared_stride = 3;
    call.io.shared_columns = 3;
    ct_true(choose_portable(&call));
    ct_eq_f32bits(call.out.shared[0], 0.0f);
    ct_eq_f32bits(call.out.shared[1], 0.0f);
    ct_eq_f32bits(call.out.shared[2], 1.0f);
    ct_eq_f32bits(call.out.weights[0], 0.0f);
}

CT(choose_edges, joint_of_nothing, "where shared logits are masked as well, all weights are 0")
{
    static const float logits[] = {NAN, -INFINITY}, shared[] = {NAN};
    for (int32_t score = 0; score < 3; score++) {
        sluice_router router = scored(2, 1, score);
        router.shared = 1;
        router.shared_weight = SLUICE_SHARED_JOINT;
        struct choose_call call = one_row(router, logits);
        call.io.shared_logits = shared;
        call.io.shared_stride = call.io.shared_columns = 1;
        ct_true(choose_portable(&call));
        EXPECT_IDS(call, -1);
        ct_eq_f32bits(call.out.shared[0], 0.0f);
    }
}

CT(choose_edges, unknown_bias_row_is_nan, "a bias row out of range: as if every logit were NaN")
{
    static const float logits[] = {1, 2, 3, 4}, bias[8] = {0}, shared[] = {3};
    static int64_t rows[] = {2, -1, 1LL << 40, INT64_MIN};
    sluice_router router = scored(4, 2, SLUICE_SCORE_SIGMOID);
    router.bias_use = SLUICE_BIAS_SCORE;
    router.bias_rows = 2;
    router.shared = 1;
    router.shared_weight = SLUICE_SHARED_JOINT;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct choose_call call = one_row(router, logits);
        call.io.bias = bias;
        call.io.bias_row = (struct sl_ids){.data = &rows[i], .stride = 1, .wide = 1};
        call.io.shared_logits = shared;
        call.io.shared_stride = call.io.shared_columns = 1;
        ct_true(choose_portable(&call));
        EXPECT_IDS(call, -1, -1);
        ct_eq_f32bits(call.out.shared[0], 1.0f);
        ct_true(choose_agrees(&call, 3e-6));
    }
}

CT(choose_edges, forced_masked_is_none, "a forced expert whose logit is NaN or -inf is no choice")
{
    static const float logits[] = {NAN, 2, -INFINITY, 4};
    static int32_t table[] = {0, 3, 2, 3};
    sluice_router router = scored(4, 4, SLUICE_SCORE_SOFTMAX);
    router.renorm = 1;
    struct choose_call call = one_row(router, logits);
    call.io.forced_ids = (struct sl_ids){.data = table, .stride = 4};
    call.io.forced_rows = 1;
    ct_true(choose_portable(&call));
    EXPECT_IDS(call, -1, 3, -1, 3);
    ct_eq_f32bits(call.out.weights[1], 0.5f);
    ct_eq_f32bits(call.out.weights[3], 0.5f);
}

CT(choose_edges, forced_ids_are_64_bit, "a forced id beyond int32 is no choice, not its low bits")
{
    static const float logits[] = {1, 2, 3, 4};
    static int64_t table[] = {(1LL << 32) + 1, 1};
    struct choose_call call = one_row(scored(4, 2, SLUICE_SCORE_SOFTMAX), logits);
    call.io.forced_ids = (struct sl_ids){.data = table, .stride = 2, .wide = 1};
    call.io.forced_rows = 1;
    ct_true(choose_portable(&call));
    EXPECT_IDS(call, -1, 1);
}

static struct choose_call with_zero_experts(int32_t kind, int32_t scale_by)
{
    static const float logits[] = {1, 0, -1, -2, 2, 3};
    sluice_router router = scored(4, 4, SLUICE_SCORE_SIGMOID);
    router.zero_experts = 2;
    router.zero_kind = kind;
    router.renorm = 1;
    router.scale = 4;
    router.scale_by = scale_by;
    return one_row(router, logits);
}

CT(choose_edges, zero_experts_never_leave,
   "zero experts become -1; their weights add up, scaled alike")
{
    for (int32_t by = 0; by < 2; by++) {
        struct choose_call call = with_zero_experts(SLUICE_ZERO_IDENTITY, by);
        ct_true(choose_portable(&call));
        EXPECT_IDS(call, -1, -1, 0, 1);
        float sum = call.out.zero[0] + call.out.weights[2] + call.out.weights[3];
        ct_near(sum, by == SLUICE_SCALE_BY_ENGINE ? 1 : 4, 1e-5);
        ct_true(choose_agrees(&call, 3e-6));
    }
}

CT(choose_edges, null_experts_weigh_nothing, "null zero experts take part in the sum and give 0")
{
    struct choose_call call = with_zero_experts(SLUICE_ZERO_NULL, SLUICE_SCALE_IN_WEIGHTS);
    ct_true(choose_portable(&call));
    EXPECT_IDS(call, -1, -1, 0, 1);
    ct_eq_f32bits(call.out.zero[0], 0.0f);
    ct_true(choose_agrees(&call, 3e-6));
}

CT(choose_edges, padding_has_no_zero_weight, "a padding row's zero weight is 0")
{
    struct choose_call call = with_zero_experts(SLUICE_ZERO_IDENTITY, SLUICE_SCALE_IN_WEIGHTS);
    call.io.valid_rows = 0;
    ct_true(choose_prepare(&call));
    call.out.zero[0] = 7;
    choose_run(&call, sl_choose_portable);
    EXPECT_IDS(call, -1, -1, -1, -1);
    ct_eq_f32bits(call.out.zero[0], 0.0f);
}

CT(choose_edges, expert_scale_covers_zero_experts, "expert_scale has a number for zero experts too")
{
    static const float scale[] = {1, 1, 1, 1, 1, 3};
    struct choose_call plain = with_zero_experts(SLUICE_ZERO_IDENTITY, SLUICE_SCALE_IN_WEIGHTS);
    struct choose_call scaled = with_zero_experts(SLUICE_ZERO_IDENTITY, SLUICE_SCALE_IN_WEIGHTS);
    scaled.io.expert_scale = scale;
    ct_true(choose_portable(&plain) && choose_portable(&scaled));
    ct_true(scaled.out.zero[0] > plain.out.zero[0]);
    ct_true(choose_agrees(&scaled, 3e-6));
}

CT(choose_edges, constant_shared_writes_nothing,
   "a constant shared weight writes no shared weights")
{
    static const float logits[] = {1, 2, 3, 4};
    sluice_router router = scored(4, 2, SLUICE_SCORE_SOFTMAX);
    router.shared = 2;
    struct choose_call call = one_row(router, logits);
    ct_true(choose_prepare(&call));
    call.out.shared = NULL;
    call.out.zero = NULL;
    choose_run(&call, sl_choose_portable);
    EXPECT_IDS(call, 3, 2);
}

CT(choose_edges, serves_the_greatest, "4096 experts, 64 choices, in f16")
{
    struct choose_random random = {5};
    uint16_t *logits = ct_alloc(4096 * sizeof *logits);
    for (int32_t e = 0; e < 4096; e++)
        logits[e] = (uint16_t)(choose_bits(&random) & 0xBFFF); /* every kind of number, no NaN */
    struct choose_call call = one_row(scored(4096, 64, SLUICE_SCORE_SIGMOID), NULL);
    call.io.logits = logits;
    call.io.logit_type = SL_F16;
    ct_true(choose_portable(&call));
    ct_true(choose_agrees(&call, 3e-6));
}
