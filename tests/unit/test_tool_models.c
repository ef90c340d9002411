#include "ct.h"

#include "tool/tool_models.h"

#include <string.h>

CT(tool_models, found_by_name, "each model is found by its name, others are not")
{
    static const char *const names[] = {"deepseek-v3",   "deepseek-v2-lite", "qwen3-235b",
                                        "qwen3-next",    "mixtral-8x7b",     "gpt-oss-120b",
                                        "kimi-k2",       "glm-4.5",          "llama4-maverick",
                                        "longcat-flash", "deepseek-v4"};
    ct_eq_u64(sl_models_count, sizeof names / sizeof *names);
    for (size_t i = 0; i < sl_models_count; i++) {
        const struct sl_model *m = sl_model_find(names[i]);
        ct_note("%s", names[i]);
        ct_true(m != NULL);
        ct_str_eq(m->name, names[i]);
        ct_str_has(m->source, "/");
    }
    ct_true(sl_model_find("gpt-2") == NULL);
}

CT(tool_models, descriptors_hold, "every row is a descriptor that a router may have")
{
    for (size_t i = 0; i < sl_models_count; i++) {
        const struct sl_model *m = &sl_models[i];
        ct_note("%s", m->name);
        ct_true(m->moe_layers > 0 && m->experts > 0 && m->zero_experts >= 0 && m->hidden > 0);
        ct_true(m->experts + m->zero_experts <= 4096 && m->top_k >= 1 && m->top_k <= 64);
        ct_true(m->top_k <= m->experts + m->zero_experts);
        ct_true(m->groups >= 1 && m->experts % m->groups == 0);
        ct_true(m->keep_groups >= 1 && m->keep_groups <= m->groups);
        ct_true(m->zero_experts == 0 || m->groups == 1);
        ct_true(m->keep_groups * (m->experts / m->groups) >= m->top_k);
        ct_true(m->shared >= 0 && m->shared <= 8 && m->moe_intermediate > 0);
        ct_true(m->scale > 0 && m->renorm_eps >= 0 && (m->renorm || m->renorm_eps == 0));
    }
}

CT(tool_models, sizes_are_published, "the routed experts' parameters add up to the models' sizes")
{
    /* In billions: what the model card gives for the whole model, and the part that must be there
     * in routed experts alone (three matrices each). */
    static const struct {
        const char *name;
        double whole;
    } cards[] = {{"deepseek-v3", 671},   {"deepseek-v2-lite", 15.7}, {"qwen3-235b", 235},
                 {"qwen3-next", 80},     {"mixtral-8x7b", 46.7},     {"gpt-oss-120b", 117},
                 {"kimi-k2", 1000},      {"glm-4.5", 355},           {"llama4-maverick", 400},
                 {"longcat-flash", 560}, {"deepseek-v4", 1600}};
    for (size_t i = 0; i < sizeof cards / sizeof *cards; i++) {
        const struct sl_model *m = sl_model_find(cards[i].name);
        ct_note("%s", cards[i].name);
        ct_true(m != NULL);
        double routed = 3e-9 * m->moe_layers * m->experts * m->hidden * m->moe_intermediate;
        ct_near(routed / cards[i].whole, 0.955, 0.065);
    }
}

CT(tool_models, names_of_values, "scores and bias uses have the names of the descriptor's page")
{
    ct_str_eq(sl_model_score_name(SL_MODEL_SQRT_SOFTPLUS), "sqrt_softplus");
    ct_str_eq(sl_model_bias_name(SL_MODEL_BIAS_LOGIT), "logit");
}
