#include "ct.h"

#include "choose_reference.h"

#include <math.h>
#include <string.h>

CT(rule, fills_in_defaults, "a descriptor of zeros but for E and K gets every default")
{
    sluice_router r = choose_router(64, 6);
    struct sl_rule rule;
    ct_eq_i64(sl_rule_make(&rule, &r, NULL, 0), SLUICE_OK);
    ct_eq_i64(rule.experts, 64);
    ct_eq_i64(rule.columns, 64);
    ct_eq_i64(rule.top_k, 6);
    ct_eq_i64(rule.bias_rows, 1);
    ct_eq_i64(rule.groups, 1);
    ct_eq_i64(rule.keep_groups, 1);
    ct_eq_i64(rule.group_size, 64);
    ct_eq_i64(rule.renorm, 0);
    ct_eq_f32bits(rule.logit_scale, 1.0f);
    ct_eq_f32bits(rule.logit_cap, 0.0f);
    ct_eq_f32bits(rule.scale, 1.0f);
    ct_eq_f32bits(rule.weight_scale, 1.0f);
    ct_eq_f32bits(rule.shared_divisor, 1.0f);
    ct_eq_f32bits(rule.shared_scale, 1.0f);
}

CT(rule, keeps_all_groups_by_default, "keep_groups 0 keeps every group")
{
    sluice_router r = choose_router(64, 6);
    struct sl_rule rule;
    r.groups = 8;
    ct_eq_i64(sl_rule_make(&rule, &r, NULL, 0), SLUICE_OK);
    ct_eq_i64(rule.keep_groups, 8);
    ct_eq_i64(rule.group_size, 8);
}

CT(rule, says_who_scales, "scale_by decides what the weights get and what remap divides by")
{
    sluice_router r = choose_router(64, 6);
    struct sl_rule rule;
    r.scale = 2.5f;
    ct_eq_i64(sl_rule_make(&rule, &r, NULL, 0), SLUICE_OK);
    ct_eq_f32bits(rule.weight_scale, 2.5f);
    ct_eq_f32bits(rule.shared_divisor, 1.0f);
    r.scale_by = SLUICE_SCALE_BY_ENGINE;
    ct_eq_i64(sl_rule_make(&rule, &r, NULL, 0), SLUICE_OK);
    ct_eq_f32bits(rule.weight_scale, 1.0f);
    ct_eq_f32bits(rule.shared_divisor, 2.5f);
    ct_eq_f32bits(rule.scale, 2.5f);
}

CT(rule, joint_renormalises, "JOINT implies renorm")
{
    sluice_router r = choose_router(64, 6);
    struct sl_rule rule;
    r.shared = 2;
    r.shared_weight = SLUICE_SHARED_JOINT;
    ct_eq_i64(sl_rule_make(&rule, &r, NULL, 0), SLUICE_OK);
    ct_eq_i64(rule.renorm, 1);
}

CT(rule, leaves_out_a_sum_that_cancels,
   "a softmax that only renormalised weights see is not summed over all columns")
{
    sluice_router plain = choose_router(64, 6);
    plain.renorm = 1;
    plain.groups = 8;
    sluice_router others[9];
    for (int32_t i = 0; i < 9; i++)
        others[i] = plain;
    others[0].bias_use = SLUICE_BIAS_LOGIT;
    others[1].bias_use = SLUICE_BIAS_RANK_LOGIT;
    others[2].renorm = 0;
    others[3].renorm_eps = 1e-20f;
    others[4].renorm_floor = 1e-20f;
    others[5].bias_use = SLUICE_BIAS_SCORE;
    others[6].keep_groups = 4;
    others[7].score = SLUICE_SCORE_SIGMOID;
    others[8].shared = 1;
    others[8].shared_weight = SLUICE_SHARED_JOINT;
    struct sl_rule rule;
    ct_eq_i64(sl_rule_make(&rule, &plain, NULL, 0), SLUICE_OK);
    ct_eq_i64(rule.sum_cancels, 1);
    for (int32_t i = 0; i < 9; i++) {
        ct_eq_i64(sl_rule_make(&rule, &others[i], NULL, 0), SLUICE_OK);
        ct_eq_i64(rule.sum_cancels, i < 2);
    }
}

CT(rule, gate_for_nothing_is_constant, "SIGMOID without shared experts asks for no logits")
{
    sluice_router r = choose_router(64, 6);
    struct sl_rule rule;
    r.shared_weight = SLUICE_SHARED_SIGMOID;
    ct_eq_i64(sl_rule_make(&rule, &r, NULL, 0), SLUICE_OK);
    ct_eq_i64(rule.shared_weight, SLUICE_SHARED_ONE);
}

CT(rule, carries_weight_on, "weight_on changes nothing in topk and is there for dispatch")
{
    sluice_router r = choose_router(64, 6);
    struct sl_rule rule;
    r.weight_on = SLUICE_WEIGHT_ON_INPUT;
    ct_eq_i64(sl_rule_make(&rule, &r, NULL, 0), SLUICE_OK);
    ct_eq_i64(rule.weight_on, SLUICE_WEIGHT_ON_INPUT);
}

CT(rule, serves_the_limits, "the greatest numbers promised are served")
{
    sluice_router r = choose_router(4096, 64);
    struct sl_rule rule;
    char text[256] = "";
    r.groups = 64;
    r.keep_groups = 1;
    r.shared = 8;
    sl_rule_make(&rule, &r, text, sizeof text);
    ct_str_eq(text, "");
    r = choose_router(1, 1);
    ct_eq_i64(sl_rule_make(&rule, &r, NULL, 0), SLUICE_OK);
    r = choose_router(16, 17);
    r.zero_experts = 1;
    ct_eq_i64(sl_rule_make(&rule, &r, NULL, 0), SLUICE_OK);
}

CT(rule, even_needs_no_kept_groups, "with EVEN the number of kept groups is not looked at")
{
    sluice_router r = choose_router(64, 16);
    struct sl_rule rule;
    r.groups = 8;
    r.keep_groups = 1;
    r.group_mode = SLUICE_GROUPS_EVEN;
    ct_eq_i64(sl_rule_make(&rule, &r, NULL, 0), SLUICE_OK);
}

CT(rule, refuses_no_router, "a router of NULL is refused")
{
    struct sl_rule rule;
    char text[64];
    ct_eq_i64(sl_rule_make(&rule, NULL, text, sizeof text), SLUICE_INVALID);
    ct_str_has(text, "router is NULL");
}

CT(rule, cuts_the_text, "a text that is too long is cut, and none is fine")
{
    sluice_router r = choose_router(0, 6);
    struct sl_rule rule;
    char text[8] = "1234567";
    ct_eq_i64(sl_rule_make(&rule, &r, text, sizeof text), SLUICE_INVALID);
    ct_str_eq(text, "router.");
    ct_eq_i64(sl_rule_make(&rule, &r, text, 0), SLUICE_INVALID);
    ct_eq_i64(sl_rule_make(&rule, &r, NULL, 0), SLUICE_INVALID);
}

/* Two settings on top of 256 experts, 8 choices; field 0 means no second one. */
struct setting {
    size_t field;
    int32_t value;
};

#define AT(field_) offsetof(sluice_router, field_)

static const struct {
    struct setting a, b, c;
    const char *text;
} refusals[] = {
    {{AT(experts), 0}, {0, 0}, {0, 0}, "router.experts is 0: must be 1 ... 4096"},
    {{AT(experts), 4097}, {0, 0}, {0, 0}, "router.experts is 4097: must be 1 ... 4096"},
    {{AT(experts), -1}, {0, 0}, {0, 0}, "router.experts is -1: must be 1 ... 4096"},
    {{AT(top_k), 0}, {0, 0}, {0, 0}, "router.top_k is 0: must be 1 ... 64"},
    {{AT(top_k), 65}, {0, 0}, {0, 0}, "router.top_k is 65: must be 1 ... 64"},
    {{AT(top_k), 9},
     {AT(experts), 8},
     {0, 0},
     "router.top_k is 9: must be at most experts + zero_experts, which is 8"},
    {{AT(zero_experts), -1}, {0, 0}, {0, 0}, "router.zero_experts is -1: must be 0 ... 4095"},
    {{AT(zero_experts), 4000},
     {0, 0},
     {0, 0},
     "router.zero_experts is 4000: with experts, which is 256, must be at most 4096"},
    {{AT(zero_kind), 2}, {0, 0}, {0, 0}, "router.zero_kind is 2: must be 0 ... 1"},
    {{AT(score), 3}, {0, 0}, {0, 0}, "router.score is 3: must be 0 ... 2"},
    {{AT(score), -1}, {0, 0}, {0, 0}, "router.score is -1: must be 0 ... 2"},
    {{AT(bias_use), 4}, {0, 0}, {0, 0}, "router.bias_use is 4: must be 0 ... 3"},
    {{AT(bias_rows), -2}, {0, 0}, {0, 0}, "router.bias_rows is -2: must be 0 ... 2147483647"},
    {{AT(bias_rows), 3}, {0, 0}, {0, 0}, "router.bias_rows is 3: must be 1 where bias_use is NONE"},
    {{AT(groups), 65}, {0, 0}, {0, 0}, "router.groups is 65: must be 0 ... 64"},
    {{AT(groups), 7}, {0, 0}, {0, 0}, "router.groups is 7: must divide experts, which is 256"},
    {{AT(groups), 8},
     {AT(zero_experts), 4},
     {0, 0},
     "router.zero_experts is 4: must be 0 with groups, which is 8"},
    {{AT(keep_groups), 65}, {0, 0}, {0, 0}, "router.keep_groups is 65: must be 0 ... 64"},
    {{AT(keep_groups), 9},
     {AT(groups), 8},
     {0, 0},
     "router.keep_groups is 9: must be at most groups, which is 8"},
    {{AT(keep_groups), 1},
     {AT(groups), 64},
     {0, 0},
     "router.keep_groups is 1: 4 experts each are fewer than top_k, which is 8"},
    {{AT(group_value), 2}, {0, 0}, {0, 0}, "router.group_value is 2: must be 0 ... 1"},
    {{AT(group_value), 1},
     {AT(experts), 64},
     {AT(groups), 64},
     "router.group_value is TOP2: must be MAX, as each of 64 groups has one expert"},
    {{AT(group_mode), 2}, {0, 0}, {0, 0}, "router.group_mode is 2: must be 0 ... 1"},
    {{AT(group_mode), 1},
     {AT(groups), 16},
     {0, 0},
     "router.groups is 16: must divide top_k, which is 8, with EVEN"},
    {{AT(group_mode), 1},
     {AT(experts), 4},
     {AT(zero_experts), 4},
     "router.top_k is 8: must be at most experts, which is 4, with EVEN"},
    {{AT(renorm), 2}, {0, 0}, {0, 0}, "router.renorm is 2: must be 0 ... 1"},
    {{AT(scale_by), 2}, {0, 0}, {0, 0}, "router.scale_by is 2: must be 0 ... 1"},
    {{AT(shared), 9}, {0, 0}, {0, 0}, "router.shared is 9: must be 0 ... 8"},
    {{AT(shared), -1}, {0, 0}, {0, 0}, "router.shared is -1: must be 0 ... 8"},
    {{AT(shared_weight), 3}, {0, 0}, {0, 0}, "router.shared_weight is 3: must be 0 ... 2"},
    {{AT(shared_weight), 2},
     {0, 0},
     {0, 0},
     "router.shared_weight is JOINT: needs shared experts, shared is 0"},
    {{AT(weight_on), 2}, {0, 0}, {0, 0}, "router.weight_on is 2: must be 0 ... 1"},
};

static void apply(sluice_router *r, struct setting s)
{
    if (s.field)
        memcpy((char *)r + s.field, &s.value, sizeof s.value);
}

CT(rule, refuses_what_cannot_be, "every refusal names the field, what it was and what it should be")
{
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        sluice_router r = choose_router(256, 8);
        struct sl_rule rule;
        char text[256] = "";
        apply(&r, refusals[i].a);
        apply(&r, refusals[i].b);
        apply(&r, refusals[i].c);
        ct_note("%s", refusals[i].text);
        ct_expect_eq_i64(sl_rule_make(&rule, &r, text, sizeof text), SLUICE_INVALID);
        ct_expect_str_eq(text, refusals[i].text);
    }
}

CT(rule, refuses_odd_floats, "floats that are negative, infinite or NaN are refused")
{
    static const struct {
        const char *name;
        size_t field;
    } floats[] = {{"logit_scale", AT(logit_scale)},
                  {"logit_cap", AT(logit_cap)},
                  {"renorm_eps", AT(renorm_eps)},
                  {"renorm_floor", AT(renorm_floor)},
                  {"scale", AT(scale)},
                  {"shared_scale", AT(shared_scale)}};
    static const struct {
        float value;
        const char *text;
    } odd[] = {{-1.5f, "-1.5"}, {NAN, "nan"}, {INFINITY, "inf"}, {-INFINITY, "-inf"}};
    for (size_t f = 0; f < sizeof floats / sizeof *floats; f++)
        for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
            sluice_router r = choose_router(256, 8);
            struct sl_rule rule;
            char text[256] = "";
            memcpy((char *)&r + floats[f].field, &odd[i].value, sizeof odd[i].value);
            ct_note("%s %s", floats[f].name, odd[i].text);
            ct_expect_eq_i64(sl_rule_make(&rule, &r, text, sizeof text), SLUICE_INVALID);
            ct_expect_str_has(text, floats[f].name);
            ct_expect_str_has(text, odd[i].text);
            ct_expect_str_has(text, "must be finite and not negative");
        }
}
