/* Where a replay's routing comes from: a model's generator, recorded ids and weights, expert counts
 * or logits. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "replay.h"
#include "tool_counts.h"
#include "tool_file.h"
#include "tool_generate.h"
#include "tool_models.h"
#include "tool_npy.h"
#include "tool_random.h"

/* Steps that mode STALE adds up, before which it knows less. */
enum { STALE_STEPS = 8 };

struct sl_replay_reader {
    struct sl_generator generator;
    struct sl_npy npy, weights_npy;
    struct sl_counts counts;
    struct sl_draw *draws; /* [layers] */
    int32_t *all_ids;      /* the whole file */
    float *all_floats;     /* weights, or logits */
    int32_t file_layers;
    int64_t file_tokens;
};

static int out_of_memory(char *err, size_t n)
{
    return sl_tool_error(err, n, "out of memory");
}

static bool ends_with(const char *text, const char *end)
{
    size_t a = strlen(text), b = strlen(end);
    return a >= b && strcmp(text + a - b, end) == 0;
}

static void take_model(struct sl_replay_case *c, const struct sl_model *m)
{
    c->router = (sluice_router){
        .struct_size = sizeof c->router,
        .experts = m->experts,
        .top_k = m->top_k,
        .zero_experts = m->zero_experts,
        .score = m->score == SL_MODEL_SOFTMAX   ? SLUICE_SCORE_SOFTMAX
                 : m->score == SL_MODEL_SIGMOID ? SLUICE_SCORE_SIGMOID
                                                : SLUICE_SCORE_SQRT_SOFTPLUS,
        .bias_use = m->bias_use == SL_MODEL_BIAS_NONE         ? SLUICE_BIAS_NONE
                    : m->bias_use == SL_MODEL_BIAS_SCORE      ? SLUICE_BIAS_SCORE
                    : m->bias_use == SL_MODEL_BIAS_RANK_LOGIT ? SLUICE_BIAS_RANK_LOGIT
                                                              : SLUICE_BIAS_LOGIT,
        .groups = m->groups,
        .keep_groups = m->keep_groups,
        .group_value = m->group_value == SL_MODEL_GROUP_MAX ? SLUICE_GROUP_MAX : SLUICE_GROUP_TOP2,
        .renorm = m->renorm,
        .renorm_eps = m->renorm_eps,
        .scale = m->scale,
        .scale_by = SLUICE_SCALE_BY_ENGINE,
        .shared = m->shared,
        .shared_weight = m->shared_weight == SL_MODEL_SHARED_ONE       ? SLUICE_SHARED_ONE
                         : m->shared_weight == SL_MODEL_SHARED_SIGMOID ? SLUICE_SHARED_SIGMOID
                                                                       : SLUICE_SHARED_JOINT,
        .weight_on = m->weight_on == SL_MODEL_WEIGHT_ON_INPUT ? SLUICE_WEIGHT_ON_INPUT
                                                              : SLUICE_WEIGHT_ON_OUTPUT};
}

/* ids [layers][T][K] with weights of the same shape. */
static int open_ids(struct sl_replay_case *c, char *err, size_t n)
{
    const struct sl_replay_options *o = c->options;
    struct sl_replay_reader *r = c->reader;
    const struct sl_npy *ids = &r->npy;
    if (ids->ndim != 3)
        return sl_tool_error(err, n, "%s has %d dimensions: ids are [layers, tokens, K]", o->input,
                             ids->ndim);
    if (!o->weights && !o->no_experts)
        return sl_tool_error(err, n, "%s has ids: --weights must name their weights", o->input);
    if (o->weights && sl_npy_load(o->weights, &r->weights_npy, err, n))
        return -1;
    if (o->weights && (r->weights_npy.ndim != 3 ||
                       memcmp(r->weights_npy.shape, ids->shape, 3 * sizeof(int64_t)) != 0))
        return sl_tool_error(err, n, "%s has not the shape of %s", o->weights, o->input);
    r->all_ids = malloc(ids->count * sizeof *r->all_ids + 1);
    r->all_floats = malloc(ids->count * sizeof *r->all_floats + 1);
    if (!r->all_ids || !r->all_floats)
        return out_of_memory(err, n);
    if (sl_npy_to_i32(ids, r->all_ids, err, n))
        return -1;
    if (o->weights)
        sl_npy_to_f32(&r->weights_npy, r->all_floats);
    for (size_t i = 0; !o->weights && i < ids->count; i++)
        r->all_floats[i] = 1.0F;
    int32_t greatest = 0;
    for (size_t i = 0; i < ids->count; i++)
        greatest = r->all_ids[i] > greatest ? r->all_ids[i] : greatest;
    if (!o->model)
        c->router = (sluice_router){.struct_size = sizeof c->router,
                                    .experts = greatest + 1,
                                    .top_k = (int32_t)ids->shape[2],
                                    .shared = o->shared_experts > 0 ? o->shared_experts : 0};
    if (greatest >= c->router.experts)
        return sl_tool_error(err, n, "%s has id %d: %s has %d experts", o->input, greatest,
                             o->model, c->router.experts);
    if (ids->shape[2] != c->router.top_k)
        return sl_tool_error(err, n, "%s has %lld choices a token: %s has %d", o->input,
                             (long long)ids->shape[2], o->model, c->router.top_k);
    r->file_layers = (int32_t)ids->shape[0];
    r->file_tokens = ids->shape[1];
    c->source = SL_FROM_IDS;
    return 0;
}

/* logits [T][columns] or [layers][T][columns]. */
static int open_logits(struct sl_replay_case *c, char *err, size_t n)
{
    const struct sl_replay_options *o = c->options;
    struct sl_replay_reader *r = c->reader;
    const struct sl_npy *logits = &r->npy;
    if (logits->ndim != 2 && logits->ndim != 3)
        return sl_tool_error(err, n,
                             "%s has %d dimensions: logits are [tokens, E] or [layers, "
                             "tokens, E]",
                             o->input, logits->ndim);
    int64_t columns = logits->shape[logits->ndim - 1];
    if (!o->model)
        c->router = (sluice_router){.struct_size = sizeof c->router,
                                    .experts = columns > 4096 ? 4097 : (int32_t)columns,
                                    .top_k = o->top_k ? o->top_k : 8,
                                    .renorm = 1,
                                    .shared = o->shared_experts > 0 ? o->shared_experts : 0};
    if (columns != c->router.experts + c->router.zero_experts)
        return sl_tool_error(err, n, "%s has %lld columns: must be %d", o->input,
                             (long long)columns, c->router.experts + c->router.zero_experts);
    r->all_floats = malloc(logits->count * sizeof *r->all_floats + 1);
    if (!r->all_floats)
        return out_of_memory(err, n);
    sl_npy_to_f32(logits, r->all_floats);
    r->file_layers = logits->ndim == 3 ? (int32_t)logits->shape[0] : 1;
    r->file_tokens = logits->shape[logits->ndim - 2];
    c->source = SL_FROM_LOGITS;
    return 0;
}

static int open_npy(struct sl_replay_case *c, char *err, size_t n)
{
    const struct sl_replay_options *o = c->options;
    struct sl_replay_reader *r = c->reader;
    if (sl_npy_load(o->input, &r->npy, err, n))
        return -1;
    bool floats =
        r->npy.type == SL_NPY_F16 || r->npy.type == SL_NPY_F32 || r->npy.type == SL_NPY_F64;
    if (r->npy.count == 0 || r->npy.shape[0] > 100000)
        return sl_tool_error(err, n, "%s holds no tokens", o->input);
    if (floats ? open_logits(c, err, n) : open_ids(c, err, n))
        return -1;
    return r->file_tokens < 1 ? sl_tool_error(err, n, "%s holds no tokens", o->input) : 0;
}

static int open_counts(struct sl_replay_case *c, char *err, size_t n)
{
    const struct sl_replay_options *o = c->options;
    struct sl_replay_reader *r = c->reader;
    if (sl_counts_load(o->input, SL_COUNTS_SUM, &r->counts, err, n))
        return -1;
    if (!o->model)
        c->router = (sluice_router){.struct_size = sizeof c->router,
                                    .experts = r->counts.experts,
                                    .top_k = o->top_k ? o->top_k : 8,
                                    .shared = o->shared_experts > 0 ? o->shared_experts : 0};
    if (r->counts.experts != c->router.experts)
        return sl_tool_error(err, n, "%s has %d experts: %s has %d", o->input, r->counts.experts,
                             o->model, c->router.experts);
    /* Dense layers have no counts. */
    for (int32_t l = 0; l < r->counts.layers; l++) {
        const int64_t *row = sl_counts_row(&r->counts, 0, l);
        int64_t sum = 0;
        for (int32_t e = 0; e < r->counts.experts; e++)
            sum += row[e];
        if (sum)
            break;
        c->first_layer++;
    }
    r->file_layers = r->counts.layers - c->first_layer;
    c->source = SL_FROM_COUNTS;
    return r->file_layers > 0 ? 0 : sl_tool_error(err, n, "%s counts nothing", o->input);
}

static int open_source(struct sl_replay_case *c, char *err, size_t n)
{
    const struct sl_replay_options *o = c->options;
    const struct sl_model *model = o->model ? sl_model_find(o->model) : NULL;
    if (o->model && !model)
        return sl_tool_error(err, n, "there is no model %s: `sluice help replay` lists them",
                             o->model);
    if (!model && !o->input)
        return sl_tool_error(err, n, "replay needs a file or --model");
    if (model)
        take_model(c, model);
    int32_t most = model ? model->moe_layers : 0;
    if (o->input) {
        int bad = ends_with(o->input, ".json") ? open_counts(c, err, n) : open_npy(c, err, n);
        if (bad)
            return -1;
        most = c->reader->file_layers;
    }
    if (o->weights && c->source != SL_FROM_IDS)
        return o->input ? sl_tool_error(err, n, "--weights go with ids: %s has no ids", o->input)
                        : sl_tool_error(err, n, "--weights go with a file of ids");
    if (o->top_k && o->top_k != c->router.top_k)
        return sl_tool_error(err, n, "--top-k is %d: %s has %d choices a token", o->top_k,
                             o->model ? o->model : o->input, c->router.top_k);
    if (o->random && c->source != SL_FROM_IDS && c->source != SL_FROM_LOGITS)
        return sl_tool_error(err, n, "--positions go with a file of ids or logits");
    if (o->shared_experts >= 0)
        c->router.shared = o->shared_experts;
    c->layers = o->layers && o->layers < most ? o->layers : most;
    (void)snprintf(c->what, sizeof c->what, "%s%s%s", o->input ? o->input : "",
                   o->input && model ? " as " : "", model ? model->name : "");
    return 0;
}

static int open_draws(struct sl_replay_case *c, char *err, size_t n)
{
    struct sl_replay_reader *r = c->reader;
    const struct sl_replay_options *o = c->options;
    if (c->source == SL_FROM_MODEL)
        return sl_generator_open(&r->generator, c->layers, c->columns, c->router.top_k, o->seed,
                                 err, n);
    if (c->source != SL_FROM_COUNTS)
        return 0;
    r->draws = calloc((size_t)c->layers, sizeof *r->draws);
    if (!r->draws)
        return out_of_memory(err, n);
    for (int32_t l = 0; l < c->layers; l++)
        if (sl_draw_open(&r->draws[l], sl_counts_row(&r->counts, 0, c->first_layer + l),
                         c->router.experts, c->router.top_k, o->seed + (uint64_t)l * 7919, err, n))
            return -1;
    return 0;
}

static int open_buffers(struct sl_replay_case *c, char *err, size_t n)
{
    const struct sl_replay_options *o = c->options;
    size_t rows = (size_t)c->rows, k = (size_t)c->router.top_k;
    c->inputs = calloc((size_t)c->layers, sizeof *c->inputs);
    c->x = malloc(o->no_experts
                      ? 1
                      : (size_t)c->layers * rows * (size_t)o->hidden * sl_element_bytes(o->bf16));
    c->bias = calloc((size_t)c->columns, sizeof *c->bias);
    if (!c->inputs || !c->x || !c->bias)
        return out_of_memory(err, n);
    bool logits = c->source == SL_FROM_MODEL || c->source == SL_FROM_LOGITS;
    bool gates = logits && c->router.shared > 0 && c->router.shared_weight != SLUICE_SHARED_ONE;
    for (int32_t l = 0; l < c->layers; l++) {
        struct sl_replay_input *in = &c->inputs[l];
        if (logits && !(in->logits = malloc(rows * (size_t)c->columns * sizeof(float))))
            return out_of_memory(err, n);
        if (gates && !(in->shared_logits = malloc(rows * (size_t)c->router.shared * sizeof(float))))
            return out_of_memory(err, n);
        in->ids = logits ? NULL : malloc(rows * k * sizeof(int32_t));
        in->weights = logits ? NULL : malloc(rows * k * sizeof(float));
        if (!logits && (!in->ids || !in->weights))
            return out_of_memory(err, n);
    }
    return 0;
}

int sl_replay_open(struct sl_replay_case *c, const struct sl_replay_options *o, char *err, size_t n)
{
    memset(c, 0, sizeof *c);
    c->options = o;
    c->reader = calloc(1, sizeof *c->reader);
    if (!c->reader)
        return out_of_memory(err, n);
    if (open_source(c, err, n))
        return -1;
    c->columns = c->router.experts + c->router.zero_experts;
    c->fused = o->shared_policy == SLUICE_SHARED_NOT_FUSED ? 0 : c->router.shared;
    c->slots = (c->router.experts + o->redundant + o->ranks - 1) / o->ranks;
    c->rows = (int64_t)o->ranks * o->tokens;
    c->warm = o->no_experts && o->balance == SLUICE_BALANCE_STALE ? STALE_STEPS : 0;
    c->steps = c->warm + o->steps;
    bool changes = o->steps > 1 && (o->plan != SL_NO_PLAN || !o->no_experts);
    c->change_at = changes ? c->warm + o->steps / 2 : -1;
    if (c->source != SL_FROM_MODEL && c->source != SL_FROM_LOGITS)
        c->router.shared_weight = SLUICE_SHARED_ONE; /* there are no gates to read */
    if (open_draws(c, err, n) || sl_replay_open_maps(c, err, n))
        return -1;
    return open_buffers(c, err, n);
}

/* Where in the file the replay's token `number` is, the same in every layer. A plan shows what it
 * is worth on tokens that it has not seen: it learns from the first half of the file and serves the
 * second. */
static int64_t position_of(const struct sl_replay_case *c, int64_t number)
{
    const struct sl_replay_options *o = c->options;
    int64_t tokens = c->reader->file_tokens, first = 0;
    if (!o->random)
        return number % tokens;
    if (o->plan != SL_NO_PLAN && tokens > 1) {
        bool second = number >= c->change_at * c->rows;
        first = second ? tokens / 2 : 0;
        tokens = second ? tokens - first : tokens / 2;
    }
    uint32_t draw = sl_tool_random(o->seed, (uint64_t)number, 0x504FU, 0).word[0];
    return first + (int64_t)((uint64_t)draw * (uint64_t)tokens >> 32);
}

static void fill_routing(const struct sl_replay_case *c, int32_t layer, int64_t first)
{
    struct sl_replay_reader *r = c->reader;
    struct sl_replay_input *in = &c->inputs[layer];
    int64_t k = c->router.top_k;
    if (c->source == SL_FROM_MODEL)
        sl_generator_logits(&r->generator, layer, (uint64_t)first, c->rows, in->logits);
    if (c->source == SL_FROM_COUNTS)
        sl_draw_tokens(&r->draws[layer], (uint64_t)first, c->rows, in->ids, in->weights);
    for (int64_t t = 0; t < c->rows; t++) {
        if (c->source == SL_FROM_MODEL || c->source == SL_FROM_COUNTS)
            break;
        int64_t from = (int64_t)layer * r->file_tokens + position_of(c, first + t);
        if (c->source == SL_FROM_LOGITS) {
            memcpy(in->logits + t * c->columns, r->all_floats + from * c->columns,
                   (size_t)c->columns * sizeof(float));
            continue;
        }
        memcpy(in->ids + t * k, r->all_ids + from * k, (size_t)k * sizeof(int32_t));
        memcpy(in->weights + t * k, r->all_floats + from * k, (size_t)k * sizeof(float));
    }
}

void sl_replay_fill(struct sl_replay_case *c, int32_t step)
{
    const struct sl_replay_options *o = c->options;
    int64_t first = (int64_t)step * c->rows;
    for (int32_t l = 0; l < c->layers; l++) {
        fill_routing(c, l, first);
        int64_t gates = c->inputs[l].shared_logits ? c->rows * c->router.shared : 0;
        for (int64_t i = 0; i < gates; i++)
            c->inputs[l].shared_logits[i] =
                4.0F * (float)sl_tool_uniform(
                           sl_tool_random(o->seed, (uint64_t)i, (uint32_t)(l << 12), 3U).word[0]) -
                2.0F;
        int64_t cells = o->no_experts ? 0 : c->rows * o->hidden;
        sl_replay_advance(c, SL_FILL, step, l, 0, 1);
        for (int64_t i = 0; i < cells; i += 4) {
            struct sl_random4 draw =
                sl_tool_random(o->seed ^ 0x58U, (uint64_t)(first * o->hidden + i), (uint32_t)l, 9U);
            for (int64_t j = 0; j < 4 && i + j < cells; j++)
                sl_element_put(c->x, (int64_t)l * cells + i + j,
                               (float)(int32_t)draw.word[j] * 0x1p-31F, o->bf16);
        }
    }
}

void sl_replay_close(struct sl_replay_case *c)
{
    struct sl_replay_reader *r = c->reader;
    for (int32_t l = 0; c->inputs && l < c->layers; l++) {
        free(c->inputs[l].logits);
        free(c->inputs[l].shared_logits);
        free(c->inputs[l].ids);
        free(c->inputs[l].weights);
    }
    free(c->inputs);
    free(c->x);
    free(c->bias);
    free(c->maps[0]);
    free(c->maps[1]);
    if (!r)
        return;
    for (int32_t l = 0; r->draws && l < c->layers; l++)
        sl_draw_close(&r->draws[l]);
    free(r->draws);
    sl_generator_close(&r->generator);
    sl_npy_free(&r->npy);
    sl_npy_free(&r->weights_npy);
    sl_counts_free(&r->counts);
    free(r->all_ids);
    free(r->all_floats);
    free(r);
}
