#include "tool_generate.h"

#include "tool_file.h"
#include "tool_random.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The streams of one seed. Logits use b = layer, so these lie above every layer. */
enum { STREAM_SIGMA = 0x40000000, STREAM_SLICE = 0x40000001, STREAM_ORDER = 0x40000002 };

static void fill_offsets(struct sl_generator *g, int32_t layer, double sigma, int32_t *order)
{
    float *out = g->offset + (size_t)layer * (size_t)g->columns;
    uint64_t id = (uint64_t)layer;
    sl_tool_shuffle(g->seed, id, STREAM_ORDER, order, g->columns);
    double sum = 0;
    for (int32_t i = 0; i < g->columns; i++) {
        struct sl_random4 four = sl_tool_random(g->seed, id, STREAM_SLICE, (uint32_t)i);
        /* Blom's position of the i-th of n normal values, moved by up to a quarter of a step. */
        double p = (i + 0.375 + 0.5 * sl_tool_uniform(four.word[0])) / (g->columns + 0.25);
        double offset = sigma * sl_tool_normal_quantile(p);
        out[order[i]] = (float)offset;
        sum += exp(offset);
    }
    float mean = (float)log(sum / g->columns);
    for (int32_t i = 0; i < g->columns; i++)
        out[i] -= mean;
}

int sl_generator_open(struct sl_generator *g, int32_t layers, int32_t columns, int32_t top_k,
                      uint64_t seed, char *err, size_t n)
{
    memset(g, 0, sizeof *g);
    if (layers < 1 || columns < 1 || top_k < 1 || top_k > columns)
        return sl_tool_error(err, n,
                             "layers %d, columns %d, top_k %d; 1 or more layers and 1 <= top_k <= "
                             "columns were expected",
                             layers, columns, top_k);
    *g = (struct sl_generator){.seed = seed, .layers = layers, .columns = columns, .top_k = top_k};
    g->offset = calloc((size_t)layers * (size_t)columns, sizeof *g->offset);
    int32_t *order = calloc((size_t)(layers > columns ? layers : columns), 2 * sizeof *order);
    if (g->offset == NULL || order == NULL) {
        free(order);
        sl_generator_close(g);
        return sl_tool_error(err, n, "no memory for %d layers of %d columns", layers, columns);
    }
    int32_t *rank = order + (layers > columns ? layers : columns);
    sl_tool_shuffle(seed, 0, STREAM_SIGMA, rank, layers);
    for (int32_t layer = 0; layer < layers; layer++) {
        double z = sl_tool_normal_quantile((rank[layer] + 0.5) / layers);
        fill_offsets(g, layer, SL_GENERATE_SIGMA * exp(SL_GENERATE_SIGMA_SPREAD * z), order);
    }
    free(order);
    return 0;
}

void sl_generator_close(struct sl_generator *g)
{
    free(g->offset);
    memset(g, 0, sizeof *g);
}

const float *sl_generator_offsets(const struct sl_generator *g, int32_t layer)
{
    return g->offset + (size_t)layer * (size_t)g->columns;
}

void sl_generator_logits(const struct sl_generator *g, int32_t layer, uint64_t first,
                         int64_t tokens, float *logits)
{
    const float *offset = sl_generator_offsets(g, layer);
    double centre = log((double)g->columns / g->top_k);
    struct sl_random4 four = {{0}};
    for (int64_t t = 0; t < tokens; t++)
        for (int32_t c = 0; c < g->columns; c++) {
            if ((c & 3) == 0)
                four =
                    sl_tool_random(g->seed, first + (uint64_t)t, (uint32_t)layer, (uint32_t)c >> 2);
            double gumbel = -log(-log(sl_tool_uniform(four.word[c & 3])));
            *logits++ = (float)(offset[c] + gumbel - centre);
        }
}
