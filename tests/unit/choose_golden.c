#include "choose_golden.h"

#include "ct.h"

#include <stdio.h>
#include <string.h>

static bool failed(const char *name, const char *why)
{
    char text[256];
    snprintf(text, sizeof text, "%s: %s", name, why);
    ct_record(__FILE__, __LINE__, text);
    return false;
}

bool golden_logits(struct choose_call *call, const char *name)
{
    struct ct_npy logits;
    if (!ct_npy_golden(&logits, name, "logits.npy"))
        return failed(name, ct_npy_error());
    call->rows = (int32_t)logits.shape[0];
    call->io.logits = logits.data;
    call->io.logit_stride = (int64_t)logits.shape[1];
    call->io.logit_type = logits.type == CT_NPY_U2 ? SL_BF16 : SL_F32;
    call->io.valid_rows = call->rows;
    return true;
}

bool golden_bias(struct choose_call *call, const char *name, const char *const *files, int32_t rows)
{
    size_t columns = (size_t)call->router.experts;
    float *bias = ct_alloc((size_t)rows * columns * sizeof *bias);
    for (int32_t i = 0; i < rows; i++) {
        struct ct_npy one;
        if (!ct_npy_golden(&one, name, files[i]) || one.count != columns)
            return failed(name, ct_npy_error());
        memcpy(bias + (size_t)i * columns, ct_npy_f32(&one), columns * sizeof *bias);
    }
    call->io.bias = bias;
    call->io.bias_stride = (int64_t)columns;
    call->router.bias_rows = rows;
    return true;
}

static int32_t score_of(const char *name)
{
    if (strcmp(name, "sigmoid") == 0)
        return SLUICE_SCORE_SIGMOID;
    return strcmp(name, "softmax") == 0 ? SLUICE_SCORE_SOFTMAX : SLUICE_SCORE_SQRT_SOFTPLUS;
}

static bool has_file(const ct_json *entry, const char *file)
{
    const ct_json *files = ct_json_get(entry, "files");
    for (size_t i = 0; i < ct_json_len(files); i++)
        if (strcmp(ct_json_str(ct_json_get(ct_json_at(files, i), "file"), ""), file) == 0)
            return true;
    return false;
}

static int32_t number(const ct_json *params, const char *key)
{
    return (int32_t)ct_json_int(ct_json_get(params, key), 0);
}

bool golden_call(struct choose_call *call, const char *name)
{
    const ct_json *entry = ct_golden_case(name);
    const ct_json *params = ct_json_get(entry, "params");
    if (!params)
        return failed(name, "is not in the index");
    *call = (struct choose_call){.router = choose_router(number(params, "E"), number(params, "K"))};
    sluice_router *r = &call->router;
    r->score = score_of(ct_json_str(ct_json_get(params, "score"), ""));
    r->groups = number(params, "groups");
    r->keep_groups = number(params, "topk_groups");
    r->renorm = ct_json_bool(ct_json_get(params, "renormalize"), false);
    r->renorm_eps = r->renorm ? 1e-20f : 0;
    r->scale = (float)ct_json_num(ct_json_get(params, "routed_scaling_factor"), 1);
    r->scale_by = ct_json_bool(ct_json_get(params, "scaled_on_output"), false)
                      ? SLUICE_SCALE_IN_WEIGHTS
                      : SLUICE_SCALE_BY_ENGINE;
    r->logit_cap = (float)ct_json_num(ct_json_get(params, "moe_softcapping"), 0);
    r->shared = number(params, "shared");
    if (!golden_logits(call, name))
        return false;
    call->io.valid_rows = ct_json_int(ct_json_get(params, "valid"), call->rows);
    if (!has_file(entry, "bias.npy"))
        return true;
    r->bias_use = r->score == SLUICE_SCORE_SOFTMAX ? SLUICE_BIAS_LOGIT : SLUICE_BIAS_SCORE;
    r->group_value = SLUICE_GROUP_TOP2;
    static const char *const file[] = {"bias.npy"};
    return golden_bias(call, name, file, 1);
}

bool golden_result(struct golden_result *result, const char *name, const char *ids,
                   const char *weights)
{
    struct ct_npy i, w;
    if (!ct_npy_golden(&i, name, ids) || !ct_npy_golden(&w, name, weights))
        return failed(name, ct_npy_error());
    result->rows = (int32_t)w.shape[0];
    result->columns = (int32_t)w.shape[1];
    result->weights = ct_npy_f32(&w);
    int32_t *copy = ct_alloc((i.count + 1) * sizeof *copy);
    for (size_t n = 0; n < i.count; n++)
        copy[n] = (int32_t)ct_npy_int(&i, n);
    result->ids = copy;
    return result->weights && i.count == w.count;
}

static void sort_pairs(int32_t *ids, float *weights, int32_t count)
{
    for (int32_t i = 1; i < count; i++)
        for (int32_t k = i; k > 0 && ids[k] < ids[k - 1]; k--) {
            int32_t id = ids[k];
            float weight = weights[k];
            ids[k] = ids[k - 1];
            weights[k] = weights[k - 1];
            ids[k - 1] = id;
            weights[k - 1] = weight;
        }
}

struct golden_count golden_compare(const struct choose_call *call,
                                   const struct golden_result *result,
                                   const struct golden_match *match)
{
    const int32_t top_k = call->rule.top_k;
    struct golden_count count = {0};
    for (int32_t t = 0; t < result->rows; t++) {
        int32_t theirs[SL_MAX_K], ours[SL_MAX_K], off = 0;
        float their_weights[SL_MAX_K], our_weights[SL_MAX_K];
        const int32_t *from = result->ids + (int64_t)t * result->columns;
        const float *weights = result->weights + (int64_t)t * result->columns;
        memcpy(theirs, from, (size_t)top_k * sizeof *theirs);
        memcpy(their_weights, weights, (size_t)top_k * sizeof *their_weights);
        memcpy(ours, call->out.ids + (int64_t)t * top_k, (size_t)top_k * sizeof *ours);
        memcpy(our_weights, call->out.weights + (int64_t)t * top_k,
               (size_t)top_k * sizeof *our_weights);
        if (match->unordered) {
            sort_pairs(theirs, their_weights, top_k);
            sort_pairs(ours, our_weights, top_k);
        }
        for (int32_t k = 0; k < top_k; k++) {
            bool id = ours[k] == theirs[k];
            bool weight =
                choose_near((double)our_weights[k], (double)their_weights[k], match->tolerance);
            count.ids += !id;
            count.weights += !weight;
            off += !id || !weight;
        }
        for (int32_t k = top_k; k < result->columns; k++)
            count.shared_columns +=
                from[k] == call->rule.experts + k - top_k &&
                choose_near((double)match->shared, (double)weights[k], match->tolerance);
        count.rows += off > 0;
    }
    return count;
}
