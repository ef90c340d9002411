#include "ct.h"

#include "choose_golden.h"

#include <stdio.h>
#include <string.h>

static const double near_enough = 3e-6;

/* Every way in which these vectors are not what topk gives, and how often. A case that is not here
 * agrees in every id and weight. */
static const struct known {
    const char *name;
    const char *weights; /* of which file; NULL: of every one */
    struct golden_count count;
    const char *reason;
} known[] = {
    {"topk/shared-column-deepseek-v3",
     NULL,
     {.shared_columns = 37},
     "the shared expert's column has an id beyond the map; its weight is remap's to give"},
    {"topk/two-shared-columns-glm-4.5", NULL, {.shared_columns = 74}, "as before, two columns"},
    {"custom/hash-topk-shared1", NULL, {.shared_columns = 37}, "as before"},
    {"custom/gpt-oss-raw-logits",
     "weights_not_renormalised.npy",
     {.weights = 148, .rows = 37},
     "without renorm this peer gives the raw logits as weights"},
    {"select/padded-deepseek-v3",
     NULL,
     {.weights = 56, .rows = 7},
     "the peer leaves the weights of padding rows as computed; ours are 0"},
};

static const struct known *find_known(const char *name, const char *weights)
{
    static const struct known agrees = {.reason = "agrees"};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(known[i].name, name) == 0 &&
            (!known[i].weights || strcmp(known[i].weights, weights) == 0))
            return &known[i];
    return &agrees;
}

static bool unordered(const char *name)
{
    const ct_json *params = ct_json_get(ct_golden_case(name), "params");
    return strncmp(ct_json_str(ct_json_get(params, "order"), ""), "unspecified", 11) == 0;
}

/* What `call` gives against one pair of the case's files. */
static void expect_result(struct choose_call *call, const char *name, const char *ids,
                          const char *weights)
{
    struct golden_match match = {.unordered = unordered(name), .tolerance = near_enough};
    struct golden_result result;
    const struct known *expected = find_known(name, weights);
    const struct golden_count want = expected->count;
    ct_note("%s %s: %s", name, weights, expected->reason);
    if (strcmp(name, "topk/softcap-grok") == 0)
        match.tolerance = 1e-5;
    if (!golden_result(&result, name, ids, weights) || !choose_portable(call))
        return;
    match.shared = call->rule.shared_scale / call->rule.shared_divisor;
    ct_expect_eq_i64(result.rows, call->rows);
    ct_expect_eq_i64(result.columns, call->rule.top_k + call->rule.shared);
    struct golden_count count = golden_compare(call, &result, &match);
    ct_expect_eq_i64(count.ids, want.ids);
    ct_expect_eq_i64(count.weights, want.weights);
    ct_expect_eq_i64(count.rows, want.rows);
    ct_expect_eq_i64(count.shared_columns, want.shared_columns);
}

static bool has_scaled_weights(const char *name)
{
    const ct_json *files = ct_json_get(ct_golden_case(name), "files");
    for (size_t i = 0; i < ct_json_len(files); i++)
        if (strcmp(ct_json_str(ct_json_get(ct_json_at(files, i), "file"), ""),
                   "weights_scaled.npy") == 0)
            return true;
    return false;
}

/* The cases of a family; those whose call is more than the index says have their own tests. */
static void check_family(const char *family, int64_t count)
{
    const ct_json *cases = ct_golden_cases();
    int32_t found = 0;
    for (size_t i = 0; i < ct_json_len(cases); i++) {
        const char *name = ct_json_str(ct_json_get(ct_json_at(cases, i), "case"), "");
        struct choose_call call;
        if (strncmp(name, family, strlen(family)) != 0 || name[strlen(family)] != '/' ||
            strcmp(name, "topk/bias-by-token-deepseek-v4") == 0)
            continue;
        found++;
        ct_true(golden_call(&call, name));
        expect_result(&call, name, "ids.npy", "weights.npy");
        if (has_scaled_weights(name)) {
            call.router.scale_by = SLUICE_SCALE_IN_WEIGHTS;
            expect_result(&call, name, "ids.npy", "weights_scaled.npy");
        }
    }
    ct_eq_i64(found, count);
}

#define NEED_CASE(name)                                                                            \
    do {                                                                                           \
        if (!ct_golden_case(name))                                                                 \
            ct_skip("the golden case " name " is not there");                                      \
    } while (0)

#define NEED_GOLDEN()                                                                              \
    do {                                                                                           \
        if (!ct_golden_cases())                                                                    \
            ct_skip("the golden vectors are not there");                                           \
    } while (0)

CT(choose_golden, topk_agrees, "family topk: ids and weights of SGLang's CUDA router, in order")
{
    NEED_GOLDEN();
    check_family("topk", ct_golden_count(46, 9));
}

CT(choose_golden, select_agrees, "family select: SGLang's grouped and torch routing")
{
    NEED_GOLDEN();
    check_family("select", ct_golden_count(17, 4));
}

CT(choose_golden, bias_by_token_agrees, "a second bias for some tokens is a second row")
{
    NEED_CASE("topk/bias-by-token-deepseek-v4");
    static const char name[] = "topk/bias-by-token-deepseek-v4";
    static const char *const files[] = {"bias.npy", "bias_alt.npy"};
    struct choose_call call;
    struct ct_npy tokens;
    ct_true(golden_call(&call, name));
    ct_true(golden_bias(&call, name, files, 2));
    ct_true(ct_npy_golden(&tokens, name, "input_ids.npy"));
    int32_t *row = ct_alloc(tokens.count * sizeof *row);
    for (size_t t = 0; t < tokens.count; t++)
        row[t] = ct_npy_int(&tokens, t) == 7;
    call.io.bias_row = (struct sl_ids){.data = row, .stride = 1};
    expect_result(&call, name, "ids.npy", "weights.npy");
}

CT(choose_golden, packed_agrees,
   "ids and weights packed in 32 bits are ours, the weight cut to bf16")
{
    NEED_CASE("topk/packed-qwen3");
    struct choose_call call;
    struct ct_npy packed;
    ct_true(golden_call(&call, "topk/packed-qwen3"));
    ct_true(ct_npy_golden(&packed, "topk/packed-qwen3", "packed.npy"));
    ct_true(choose_portable(&call));
    for (size_t i = 0; i < packed.count; i++) {
        uint32_t id = (uint32_t)call.out.ids[i], bits;
        memcpy(&bits, &call.out.weights[i], sizeof bits);
        ct_eq_u64((uint32_t)ct_npy_i32(&packed)[i], id << 16 | bits >> 16);
    }
}

static struct choose_call custom(sluice_router router, const char *name)
{
    struct choose_call call = {.router = router};
    call.router.struct_size = sizeof router;
    golden_logits(&call, name);
    return call;
}

static const char *const bias_file[] = {"bias.npy"};

CT(choose_golden, llama4_agrees, "Llama 4: the sigmoid of the greatest logit")
{
    NEED_CASE("custom/llama4");
    struct choose_call call = custom(
        (sluice_router){.experts = 16, .top_k = 1, .score = SLUICE_SCORE_SIGMOID}, "custom/llama4");
    expect_result(&call, "custom/llama4", "ids.npy", "weights.npy");
}

CT(choose_golden, gpt_oss_agrees, "gpt-oss: the softmax of the chosen is softmax and renorm")
{
    NEED_CASE("custom/gpt-oss-raw-logits");
    static const char name[] = "custom/gpt-oss-raw-logits";
    struct choose_call call =
        custom((sluice_router){.experts = 128, .top_k = 4, .renorm = 1}, name);
    expect_result(&call, name, "ids.npy", "weights.npy");
    call.router.renorm = 0;
    expect_result(&call, name, "ids.npy", "weights_not_renormalised.npy");
}

CT(choose_golden, gemma4_agrees, "Gemma 4: times a scale of each expert")
{
    NEED_CASE("custom/gemma4");
    struct choose_call call =
        custom((sluice_router){.experts = 128, .top_k = 8, .renorm = 1}, "custom/gemma4");
    struct ct_npy scale;
    ct_true(ct_npy_golden(&scale, "custom/gemma4", "per_expert_scale.npy"));
    call.io.expert_scale = ct_npy_f32(&scale);
    expect_result(&call, "custom/gemma4", "ids.npy", "weights.npy");
}

CT(choose_golden, inkling_agrees,
   "Inkling: shared logits join the sum, a global scale is folded in")
{
    NEED_CASE("custom/inkling");
    struct choose_call call = custom((sluice_router){.experts = 256,
                                                     .top_k = 6,
                                                     .score = SLUICE_SCORE_SIGMOID,
                                                     .bias_use = SLUICE_BIAS_SCORE,
                                                     .shared = 2,
                                                     .shared_weight = SLUICE_SHARED_JOINT},
                                     "custom/inkling");
    struct ct_npy global, shared;
    struct golden_result result;
    ct_true(ct_npy_golden(&global, "custom/inkling", "global_scale.npy"));
    ct_true(ct_npy_golden(&shared, "custom/inkling", "shared_weights.npy"));
    ct_true(golden_bias(&call, "custom/inkling", bias_file, 1));
    ct_true(golden_result(&result, "custom/inkling", "ids.npy", "weights.npy"));
    call.router.scale = 2 * ct_npy_f32(&global)[0];
    /* The shared logits are the last two columns of the logits. */
    call.io.shared_logits = (const float *)call.io.logits + 256;
    call.io.shared_stride = call.io.logit_stride;
    call.io.shared_columns = 2;
    ct_true(choose_portable(&call));
    struct golden_count count = golden_compare(
        &call, &result, &(struct golden_match){.unordered = true, .tolerance = near_enough});
    ct_eq_i64(count.rows, 0);
    for (size_t i = 0; i < shared.count; i++)
        ct_true(
            choose_near((double)call.out.shared[i], (double)ct_npy_f32(&shared)[i], near_enough));
}

CT(choose_golden, sigmoid_families_agree, "Muse Spark, Cohere 2 and AFMoE")
{
    NEED_CASE("custom/muse-spark");
    static const struct {
        const char *name;
        sluice_router router;
    } cases[] = {
        {"custom/muse-spark",
         {.experts = 128,
          .top_k = 8,
          .score = SLUICE_SCORE_SIGMOID,
          .bias_use = SLUICE_BIAS_SCORE,
          .renorm = 1,
          .renorm_eps = 1e-15f,
          .scale = 2.5f}},
        {"custom/cohere2-sigmoid", {.experts = 64, .top_k = 4, .score = SLUICE_SCORE_SIGMOID}},
        {"custom/afmoe",
         {.experts = 128,
          .top_k = 8,
          .score = SLUICE_SCORE_SIGMOID,
          .bias_use = SLUICE_BIAS_SCORE,
          .renorm = 1,
          .renorm_eps = 1e-20f}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct choose_call call = custom(cases[i].router, cases[i].name);
        if (call.router.bias_use != SLUICE_BIAS_NONE)
            ct_true(golden_bias(&call, cases[i].name, bias_file, 1));
        expect_result(&call, cases[i].name, "ids.npy", "weights.npy");
    }
}

CT(choose_golden, interns1_agrees, "Intern-S1-Pro: K/G in each group, listed by group")
{
    NEED_CASE("custom/interns1-pro");
    struct choose_call call = custom(
        (sluice_router){
            .experts = 128, .top_k = 8, .groups = 8, .group_mode = SLUICE_GROUPS_EVEN, .renorm = 1},
        "custom/interns1-pro");
    expect_result(&call, "custom/interns1-pro", "ids.npy", "weights.npy");
}

static bool hash_call(struct choose_call *call, const char *name, int32_t shared, int32_t score)
{
    struct ct_npy table, tokens;
    *call = custom((sluice_router){.experts = 256,
                                   .top_k = 6,
                                   .score = score,
                                   .renorm = score != SLUICE_SCORE_SOFTMAX,
                                   .renorm_eps = 0,
                                   .scale = 1.5f,
                                   .scale_by = SLUICE_SCALE_BY_ENGINE,
                                   .shared = shared},
                   name);
    if (!ct_npy_golden(&table, name, "table.npy") || !ct_npy_golden(&tokens, name, "input_ids.npy"))
        return false;
    call->io.forced_ids = (struct sl_ids){.data = table.data, .stride = 6};
    call->io.forced_rows = (int64_t)table.shape[0];
    call->io.forced_row = (struct sl_ids){.data = tokens.data, .stride = 1, .wide = 1};
    return true;
}

CT(choose_golden, hash_agrees,
   "DeepSeek-V4's first layers: ids from a table, weights from the logits")
{
    NEED_CASE("custom/hash-topk-torch");
    struct choose_call call;
    for (int32_t shared = 0; shared < 2; shared++) {
        const char *name = shared ? "custom/hash-topk-shared1" : "custom/hash-topk-shared0";
        ct_true(hash_call(&call, name, shared, SLUICE_SCORE_SQRT_SOFTPLUS));
        expect_result(&call, name, "ids.npy", "weights.npy");
    }
    static const char *const files[] = {"weights_softmax.npy", "weights_sigmoid.npy",
                                        "weights_sqrtsoftplus.npy"};
    for (int32_t score = 0; score < 3; score++) {
        ct_true(hash_call(&call, "custom/hash-topk-torch", 0, score));
        expect_result(&call, "custom/hash-topk-torch", "ids.npy", files[score]);
    }
}

CT(choose_golden, sparsemixer_is_outside,
   "Phi-3.5-MoE: the ids are ours, the weights no descriptor has")
{
    NEED_CASE("custom/phimoe-sparsemixer");
    static const char name[] = "custom/phimoe-sparsemixer";
    struct choose_call call = custom((sluice_router){.experts = 16, .top_k = 2}, name);
    struct golden_result result;
    ct_true(golden_result(&result, name, "ids.npy", "weights.npy"));
    ct_true(choose_portable(&call));
    struct golden_count count =
        golden_compare(&call, &result, &(struct golden_match){.tolerance = near_enough});
    ct_eq_i64(count.ids, 0);
    ct_eq_i64(count.weights, 74);
}
