#include "ct_sluice.h"

#include <string.h>

#include "ct.h"

const sluice_dtype CT_F32 = {SLUICE_FLOAT, 32, 1}, CT_F16 = {SLUICE_FLOAT, 16, 1},
                   CT_BF16 = {SLUICE_BFLOAT, 16, 1}, CT_I32 = {SLUICE_INT, 32, 1},
                   CT_I64 = {SLUICE_INT, 64, 1}, CT_U8 = {SLUICE_UINT, 8, 1};

struct tensor {
    sluice_tensor tensor;
    int64_t shape[2], strides[2];
};

const sluice_tensor *ct_strided(void *data, sluice_dtype dtype, int64_t rows, int64_t columns,
                                int64_t stride)
{
    struct tensor *t = ct_alloc(sizeof *t);
    t->shape[0] = rows;
    t->shape[1] = columns;
    t->strides[0] = stride;
    t->strides[1] = 1;
    t->tensor = (sluice_tensor){.data = data,
                                .device = {SLUICE_CPU, 0},
                                .ndim = columns ? 2 : 1,
                                .dtype = dtype,
                                .shape = t->shape,
                                .strides = t->strides};
    return &t->tensor;
}

const sluice_tensor *ct_tensor(void *data, sluice_dtype dtype, int64_t rows, int64_t columns)
{
    return ct_strided(data, dtype, rows, columns, columns ? columns : 1);
}

const sluice_api *ct_api(void)
{
    return sluice_plugin_get(SLUICE_ABI_MAJOR);
}

sluice_router ct_deepseek_v3(void)
{
    return (sluice_router){.struct_size = sizeof(sluice_router),
                           .experts = 256,
                           .top_k = 8,
                           .score = SLUICE_SCORE_SIGMOID,
                           .bias_use = SLUICE_BIAS_SCORE,
                           .groups = 8,
                           .keep_groups = 4,
                           .group_value = SLUICE_GROUP_TOP2,
                           .renorm = 1,
                           .renorm_eps = 1e-20F,
                           .scale = 2.5F,
                           .scale_by = SLUICE_SCALE_BY_ENGINE,
                           .shared = 1};
}

sluice_config ct_config(const sluice_router *router, int32_t layers, int32_t rank, int32_t ranks)
{
    sluice_router *copy = ct_alloc(sizeof *copy);
    *copy = *router;
    sluice_layer *layer = ct_alloc(sizeof *layer);
    *layer = (sluice_layer){.struct_size = sizeof *layer, .router = copy};
    const sluice_layer **list = ct_alloc((size_t)layers * sizeof(void *));
    for (int32_t i = 0; i < layers; i++)
        list[i] = layer;
    sluice_comm *comm = ct_alloc(sizeof *comm);
    *comm = (sluice_comm){.struct_size = sizeof *comm, .rank = rank, .size = ranks};
    return (sluice_config){.struct_size = sizeof(sluice_config),
                           .comm = comm,
                           .layers = list,
                           .layer_count = layers,
                           .seed = 7};
}

sluice_context *ct_open(const sluice_config *config)
{
    char text[256];
    sluice_context *context = NULL;
    if (ct_api()->open(config, &context, text, sizeof text) != SLUICE_OK)
        ct_record(__FILE__, __LINE__, text);
    return context;
}

const char *ct_error(const sluice_context *context)
{
    char *text = ct_alloc(512);
    (void)ct_api()->last_error(context, text, 512);
    return text;
}

void ct_fill(float *data, int64_t count, float range, uint64_t seed)
{
    for (int64_t i = 0; i < count; i++) {
        uint64_t x = (seed + 1) * 0x9E3779B97F4A7C15U + (uint64_t)i * 0xBF58476D1CE4E5B9U;
        x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9U;
        x = (x ^ (x >> 27)) * 0x94D049BB133111EBU;
        x ^= x >> 31;
        data[i] = range * ((float)(x >> 40) / 8388608.0F - 1.0F);
    }
}
