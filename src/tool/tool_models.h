/* Published checkpoints: their shapes and how their routers choose. */
#ifndef SL_TOOL_MODELS_H
#define SL_TOOL_MODELS_H

#include <stddef.h>
#include <stdint.h>

enum sl_model_score { SL_MODEL_SOFTMAX, SL_MODEL_SIGMOID, SL_MODEL_SQRT_SOFTPLUS };
enum sl_model_bias {
    SL_MODEL_BIAS_NONE,
    SL_MODEL_BIAS_SCORE,
    SL_MODEL_BIAS_RANK_LOGIT,
    SL_MODEL_BIAS_LOGIT
};
enum sl_model_group_value { SL_MODEL_GROUP_MAX, SL_MODEL_GROUP_TOP2 };
enum sl_model_shared_weight { SL_MODEL_SHARED_ONE, SL_MODEL_SHARED_SIGMOID, SL_MODEL_SHARED_JOINT };
enum sl_model_weight_on { SL_MODEL_WEIGHT_ON_OUTPUT, SL_MODEL_WEIGHT_ON_INPUT };

/* Zero experts, where there are any, are of the kind `identity`. */
struct sl_model {
    const char *name;
    const char *source;       /* the checkpoint, and where its shape was read */
    int32_t moe_layers;       /* the layers that have experts; dense ones are left out */
    int32_t experts;          /* E */
    int32_t zero_experts;     /* Z */
    int32_t top_k;            /* K, of E + Z */
    int32_t shared;           /* F: slots of a routed expert's size that the shared expert fills */
    int32_t hidden;           /* elements of a token's row */
    int32_t moe_intermediate; /* width of one routed expert */
    enum sl_model_score score;
    enum sl_model_bias bias_use;
    int32_t groups, keep_groups;
    enum sl_model_group_value group_value;
    int32_t renorm;
    float renorm_eps;
    float scale;
    enum sl_model_shared_weight shared_weight;
    enum sl_model_weight_on weight_on;
};

extern const struct sl_model sl_models[];
extern const size_t sl_models_count;

/* By name, or NULL. */
const struct sl_model *sl_model_find(const char *name);

/* One word for a field's value, as the tables in the manual have it. */
const char *sl_model_score_name(enum sl_model_score score);
const char *sl_model_bias_name(enum sl_model_bias bias_use);

#endif
