#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench.h"
#include "tool_file.h"

void sl_bench_shape(struct sl_bench_tensor *tensor, void *data, int32_t type, int64_t rows,
                    int64_t columns)
{
    static const sluice_dtype dtypes[] = {
        [SL_BENCH_F32] = {SLUICE_FLOAT, 32, 1},
        [SL_BENCH_BF16] = {SLUICE_BFLOAT, 16, 1},
        [SL_BENCH_I32] = {SLUICE_INT, 32, 1},
    };
    tensor->shape[0] = rows;
    tensor->shape[1] = columns;
    tensor->t = (sluice_tensor){.data = data,
                                .device = {SLUICE_CPU, 0},
                                .ndim = columns ? 2 : 1,
                                .dtype = dtypes[type],
                                .shape = tensor->shape};
}

void *sl_bench_alloc(size_t bytes)
{
    return aligned_alloc(64, (bytes / 64 + 1) * 64);
}

/* The enums of models and of the interface are in the same order. */
void sl_bench_router(const struct sl_model *model, sluice_router *router)
{
    *router = (sluice_router){.struct_size = sizeof *router,
                              .experts = model->experts,
                              .top_k = model->top_k,
                              .score = (int32_t)model->score,
                              .bias_use = (int32_t)model->bias_use,
                              .groups = model->groups,
                              .keep_groups = model->keep_groups,
                              .group_value = (int32_t)model->group_value,
                              .renorm = model->renorm,
                              .renorm_eps = model->renorm_eps,
                              .scale = model->scale,
                              .shared = model->shared};
}

int sl_bench_no_memory(struct sl_bench *bench)
{
    return sl_tool_error(bench->error, sizeof bench->error, "no memory");
}

int sl_bench_failed(struct sl_bench *bench, sluice_context *context, const char *call)
{
    char text[512] = "";
    (void)bench->plugin.api->last_error(context, text, sizeof text);
    return sl_tool_error(bench->error, sizeof bench->error, "%s failed: %s", call, text);
}

int sl_bench_use_path(struct sl_bench *bench, const char *path)
{
    if (!bench->device || bench->device->use_path(path) == SLUICE_OK)
        return 0;
    return sl_tool_error(bench->error, sizeof bench->error, "use_path refused %s", path);
}

void sl_bench_add(struct sl_bench *bench, const struct sl_bench_row *row)
{
    assert(bench->row_count < SL_BENCH_ROWS);
    bench->rows[bench->row_count++] = *row;
}
