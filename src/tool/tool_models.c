#include "tool_models.h"

#include <string.h>

/* source: the checkpoint, and where its shape was read if not in the checkpoint itself. Ways of
 * choosing: the models' code in transformers; the epsilons stand only there. A field left out is 0:
 * no zero experts, no shared expert, softmax, no bias, group value `max`, no renormalisation,
 * shared weight one, weight on the output. */
const struct sl_model sl_models[] = {
    {
        .name = "deepseek-v3",
        .source = "deepseek-ai/DeepSeek-V3 (R1 is the same shape); config as quoted in public "
                  "training recipes; 3 dense layers",
        .moe_layers = 58,
        .experts = 256,
        .top_k = 8,
        .shared = 1,
        .hidden = 7168,
        .moe_intermediate = 2048,
        .score = SL_MODEL_SIGMOID,
        .bias_use = SL_MODEL_BIAS_SCORE,
        .groups = 8,
        .keep_groups = 4,
        .group_value = SL_MODEL_GROUP_TOP2,
        .renorm = 1,
        .renorm_eps = 1e-20f,
        .scale = 2.5f,
    },
    {
        .name = "deepseek-v2-lite",
        .source = "deepseek-ai/DeepSeek-V2-Lite; config.json of quantised copies; 1 dense layer",
        .moe_layers = 26,
        .experts = 64,
        .top_k = 6,
        .shared = 2,
        .hidden = 2048,
        .moe_intermediate = 1408,
        .score = SL_MODEL_SOFTMAX,
        .groups = 1,
        .keep_groups = 1,
        .scale = 1,
    },
    {
        .name = "qwen3-235b",
        .source = "Qwen/Qwen3-235B-A22B; MindSpeed-RL's recipe",
        .moe_layers = 94,
        .experts = 128,
        .top_k = 8,
        .hidden = 4096,
        .moe_intermediate = 1536,
        .score = SL_MODEL_SOFTMAX,
        .groups = 1,
        .keep_groups = 1,
        .renorm = 1,
        .scale = 1,
    },
    {
        .name = "qwen3-next",
        .source = "Qwen/Qwen3-Next-80B-A3B-Instruct; layers and hidden by vLLM's Qwen3NextConfig, "
                  "the experts' width by the total of 80 B parameters",
        .moe_layers = 48,
        .experts = 512,
        .top_k = 10,
        .shared = 1,
        .hidden = 2048,
        .moe_intermediate = 512,
        .score = SL_MODEL_SOFTMAX,
        .groups = 1,
        .keep_groups = 1,
        .renorm = 1,
        .scale = 1,
        .shared_weight = SL_MODEL_SHARED_SIGMOID,
    },
    {
        .name = "mixtral-8x7b",
        .source = "mistralai/Mixtral-8x7B-v0.1; Habana-LLM-Viewer's table",
        .moe_layers = 32,
        .experts = 8,
        .top_k = 2,
        .hidden = 4096,
        .moe_intermediate = 14336,
        .score = SL_MODEL_SOFTMAX,
        .groups = 1,
        .keep_groups = 1,
        .renorm = 1,
        .scale = 1,
    },
    {
        .name = "gpt-oss-120b",
        .source = "openai/gpt-oss-120b; a copy of original/config.json; the bias is the router "
                  "linear's own",
        .moe_layers = 36,
        .experts = 128,
        .top_k = 4,
        .hidden = 2880,
        .moe_intermediate = 2880,
        .score = SL_MODEL_SOFTMAX,
        .bias_use = SL_MODEL_BIAS_LOGIT,
        .groups = 1,
        .keep_groups = 1,
        .renorm = 1,
        .scale = 1,
    },
    {
        .name = "kimi-k2",
        .source = "moonshotai/Kimi-K2-Instruct; Megatron-Bridge's KimiK2Provider; 1 dense layer",
        .moe_layers = 60,
        .experts = 384,
        .top_k = 8,
        .shared = 1,
        .hidden = 7168,
        .moe_intermediate = 2048,
        .score = SL_MODEL_SIGMOID,
        .bias_use = SL_MODEL_BIAS_SCORE,
        .groups = 1,
        .keep_groups = 1,
        .renorm = 1,
        .renorm_eps = 1e-20f,
        .scale = 2.827f,
    },
    {
        .name = "glm-4.5",
        .source = "zai-org/GLM-4.5; Megatron-Bridge's model page; 3 dense layers",
        .moe_layers = 89,
        .experts = 160,
        .top_k = 8,
        .shared = 1,
        .hidden = 5120,
        .moe_intermediate = 1536,
        .score = SL_MODEL_SIGMOID,
        .bias_use = SL_MODEL_BIAS_SCORE,
        .groups = 1,
        .keep_groups = 1,
        .renorm = 1,
        .renorm_eps = 1e-20f,
        .scale = 2.5f,
    },
    {
        .name = "llama4-maverick",
        .source = "meta-llama/Llama-4-Maverick-17B-128E-Instruct; metadata of its GGUF; every "
                  "second layer",
        .moe_layers = 24,
        .experts = 128,
        .top_k = 1,
        .shared = 1,
        .hidden = 5120,
        .moe_intermediate = 8192,
        .score = SL_MODEL_SIGMOID,
        .groups = 1,
        .keep_groups = 1,
        .scale = 1,
        .weight_on = SL_MODEL_WEIGHT_ON_INPUT,
    },
    {
        .name = "longcat-flash",
        .source = "meituan-longcat/LongCat-Flash-Chat; config.json of the MLX copy",
        .moe_layers = 28,
        .experts = 512,
        .zero_experts = 256,
        .top_k = 12,
        .hidden = 6144,
        .moe_intermediate = 2048,
        .score = SL_MODEL_SOFTMAX,
        .bias_use = SL_MODEL_BIAS_SCORE,
        .groups = 1,
        .keep_groups = 1,
        .scale = 6,
    },
    {
        .name = "deepseek-v4",
        .source = "deepseek-ai/DeepSeek-V4-Pro; a copy of config.json; its first 3 layers choose "
                  "by token id",
        .moe_layers = 61,
        .experts = 384,
        .top_k = 6,
        .shared = 1,
        .hidden = 7168,
        .moe_intermediate = 3072,
        .score = SL_MODEL_SQRT_SOFTPLUS,
        .bias_use = SL_MODEL_BIAS_SCORE,
        .groups = 1,
        .keep_groups = 1,
        .renorm = 1,
        .renorm_eps = 1e-20f,
        .scale = 2.5f,
    },
};

const size_t sl_models_count = sizeof sl_models / sizeof *sl_models;

const struct sl_model *sl_model_find(const char *name)
{
    for (size_t i = 0; i < sl_models_count; i++)
        if (strcmp(sl_models[i].name, name) == 0)
            return &sl_models[i];
    return NULL;
}

const char *sl_model_score_name(enum sl_model_score score)
{
    static const char *const names[] = {"softmax", "sigmoid", "sqrt_softplus"};
    return names[score];
}

const char *sl_model_bias_name(enum sl_model_bias bias_use)
{
    static const char *const names[] = {"none", "score", "rank_logit", "logit"};
    return names[bias_use];
}
