#include "fuzz_route_case.h"

#include <stdlib.h>
#include <string.h>

/* ----------------------------------------------------------------------- descriptor and config */

static void fold(int32_t *field, uint32_t modulus, int32_t least)
{
    *field = least + (int32_t)((uint32_t)*field % modulus);
}

/* Most random numbers are refused; these have a chance. */
static void tame(sluice_router *r)
{
    static const float scales[8] = {0, 1, 2.5F, 0.1768F, 1e-20F, 30, 1e30F, 0.5F};
    fold(&r->experts, 300, 1);
    fold(&r->top_k, 12, 1);
    fold(&r->zero_experts, 4, 0);
    r->zero_experts *= 3;
    fold(&r->zero_kind, 2, 0);
    fold(&r->score, 3, 0);
    fold(&r->bias_use, 4, 0);
    fold(&r->bias_rows, 4, 0);
    fold(&r->groups, 9, 0);
    fold(&r->keep_groups, 9, 0);
    fold(&r->group_value, 2, 0);
    fold(&r->group_mode, 2, 0);
    fold(&r->renorm, 2, 0);
    fold(&r->scale_by, 2, 0);
    fold(&r->shared, 5, 0);
    fold(&r->shared_weight, 3, 0);
    fold(&r->weight_on, 2, 0);
    float *floats[] = {&r->logit_scale,  &r->logit_cap, &r->renorm_eps,
                       &r->renorm_floor, &r->scale,     &r->shared_scale};
    for (size_t i = 0; i < sizeof floats / sizeof *floats; i++) {
        uint32_t bits;
        memcpy(&bits, floats[i], sizeof bits);
        *floats[i] = scales[bits % 8];
    }
    if (r->groups > 1) {
        r->zero_experts = 0;
        r->experts = (r->experts + r->groups - 1) / r->groups * r->groups;
    }
}

void fz_case_config(struct fz_case *c, struct fz_bytes *in)
{
    memset(c, 0, sizeof *c);
    uint8_t how = fz_u8(in);
    c->router.struct_size = sizeof c->router;
    fz_raw(in, (char *)&c->router + sizeof(size_t), sizeof c->router - sizeof(size_t));
    if (how & 1)
        tame(&c->router);
    c->comm = (sluice_comm){.struct_size = sizeof c->comm, .size = fz_range(in, 1, 8)};
    c->comm.rank = fz_range(in, 0, c->comm.size - 1);
    for (int32_t i = 0; i < 16; i++)
        c->node[i] = i / (1 + (how >> 1 & 3));
    c->comm.node = how & 8 ? c->node : NULL;
    c->ranks = c->comm.size + (how & 16 ? fz_range(in, 0, 4) : 0);
    c->host = (sluice_host){.struct_size = sizeof c->host, .threads = how & 32 ? 3 : 0};
    c->layer = (sluice_layer){.struct_size = sizeof c->layer, .router = &c->router};
    int32_t extra = fz_range(in, 0, 4);
    if (extra > 0 && c->router.experts > 0 && c->router.experts <= 4096)
        c->layer.slots_per_rank = (c->router.experts + c->ranks - 1) / c->ranks + extra - 1;
    c->layers[0] = &c->layer;
    c->config = (sluice_config){.struct_size = sizeof c->config,
                                .host = &c->host,
                                .comm = &c->comm,
                                .layers = c->layers,
                                .layer_count = 1,
                                .max_ranks = c->ranks,
                                .copy_policy = fz_range(in, 0, 2),
                                .shared_policy = fz_range(in, 0, 4),
                                .seed = fz_u8(in)};
    if (c->config.shared_policy == SLUICE_SHARED_WATERFILL_DYNAMIC)
        c->config.uses = SLUICE_USE_BALANCE_NOW;
    if (how & 64)
        c->config.flags = SLUICE_OPEN_EVERY_RANK_EVERY_ROW;
    c->columns = (int32_t)((uint32_t)c->router.experts + (uint32_t)c->router.zero_experts);
    c->shared = c->config.shared_policy == SLUICE_SHARED_NOT_FUSED ? 0 : c->router.shared;
}

/* --------------------------------------------------------------------------------------- inputs */

static struct fz_tensor *floats(struct fz_case *c, sluice_dtype type, int64_t rows, int64_t columns,
                                const struct fz_bytes *palette, uint32_t seed)
{
    struct fz_tensor *tensor = fz_make(&c->heap, type, rows, columns, c->gap, false);
    fz_fill(tensor, palette, seed);
    return tensor;
}

/* Ids below `below`, now and then one out of range. */
static struct fz_tensor *ids(struct fz_case *c, int64_t rows, int64_t columns, int32_t below,
                             uint32_t seed)
{
    struct fz_tensor *tensor = fz_make(&c->heap, c->id_type, rows, columns, c->gap, false);
    for (int64_t r = 0; r < tensor->rows; r++) {
        for (int64_t k = 0; k < (columns ? columns : 1); k++) {
            uint32_t draw = fz_mix(seed + (uint32_t)(r * 131 + k));
            int64_t id = (int64_t)(draw % (uint32_t)below);
            if (draw >> 27 == 0)
                id = draw & 0x4000000U ? -1 : below + (int64_t)(draw & 0xFFFU);
            fz_set_id(tensor, r, k, id);
        }
    }
    return tensor;
}

static struct fz_tensor *number(struct fz_case *c, int64_t value)
{
    struct fz_tensor *tensor = fz_make(&c->heap, c->id_type, 1, 0, 0, false);
    fz_set_id(tensor, 0, 0, value);
    return tensor;
}

static void make_masks(struct fz_case *c, struct fz_bytes *in, uint32_t options, uint32_t seed)
{
    c->valid = c->tokens;
    if (options & 1) {
        c->valid = fz_range(in, 0, (int32_t)c->tokens);
        c->num_valid = number(c, c->valid);
    }
    if (options & 2) {
        c->row_valid = fz_make(&c->heap, FZ_U8, c->tokens, 0, 0, false);
        for (int64_t t = 0; t < c->tokens; t++)
            c->row_valid->block[t] = fz_mix(seed + (uint32_t)t) % 4 != 0;
    }
}

static void make_bias(struct fz_case *c, const struct fz_bytes *palette, uint32_t seed)
{
    int32_t rows = c->router.bias_rows > 1 ? c->router.bias_rows : 1;
    if (c->router.bias_use == SLUICE_BIAS_NONE)
        return;
    c->bias = floats(c, FZ_F32, rows, c->columns, palette, seed + 1);
    if (rows > 1)
        c->bias_row = ids(c, c->tokens, 0, rows, seed);
}

bool fz_case_inputs(struct fz_case *c, struct fz_bytes *in)
{
    static const sluice_dtype *const types[] = {&FZ_F32, &FZ_F16, &FZ_BF16, &FZ_F32};
    const sluice_router *r = &c->router;
    uint32_t options = fz_u32(in), seed = fz_u8(in);
    c->tokens = fz_range(in, 0, 9);
    /* Enough rows for a waterfill and for more than one block. */
    if (options & 0x100 && c->columns <= 64)
        c->tokens += 60;
    if ((int64_t)r->bias_rows * c->columns > 1 << 15)
        return false;
    c->gap = (int32_t)(options >> 9 & 7) > 5 ? (int32_t)(options >> 12 & 7) : 0;
    c->id_type = options & 0x8000 ? FZ_I64 : FZ_I32;
    c->skip_record = (options >> 16 & 7) == 7;
    make_masks(c, in, options, seed);
    if (options & 4)
        c->step = number(c, (int64_t)fz_u32(in));
    if (options & 8)
        c->row_base = number(c, (int64_t)(fz_u32(in) >> 1));
    const struct fz_bytes palette = *in;
    sluice_dtype type = *types[options >> 19 & 3];
    c->logits = floats(c, type, c->tokens, c->columns, &palette, seed);
    make_bias(c, &palette, seed);
    if (options & 16)
        c->expert_scale = floats(c, FZ_F32, c->columns, 0, &palette, seed + 2);
    if (r->shared > 0 && r->shared_weight != SLUICE_SHARED_ONE) {
        bool one = options & 32 && r->shared_weight == SLUICE_SHARED_SIGMOID;
        c->shared_logits = floats(c, type, c->tokens, one ? 1 : r->shared, &palette, seed + 3);
    }
    if (options & 64) {
        int64_t rows = options & 128 ? 5 : c->tokens;
        c->forced_ids = ids(c, rows, r->top_k, c->columns, seed);
        if (options & 128)
            c->forced_row = ids(c, c->tokens, 0, 5, seed + 1);
    }
    return true;
}

bool fz_row_live(const struct fz_case *c, int64_t t)
{
    return t < c->valid && (c->row_valid == NULL || c->row_valid->block[t] != 0);
}
