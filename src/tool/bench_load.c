#include "bench_load.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tool_file.h"
#include "tool_generate.h"
#include "tool_random.h"

enum { SEED = 1, STREAM_SHIFT = 0x50000000 };

/* How far an expert's popularity moves from one workload to the other, as a standard deviation of
 * its logarithm: EPLB's maps for one are then as far from level under the other as with
 * DeepSeek-R1's decode counts. */
static const double SHIFT = 0.35, SCALE = 1e6;

static int make_counts(struct sl_bench *bench, struct sl_counts *counts)
{
    *counts = (struct sl_counts){.steps = 1, .layers = SL_LOAD_LAYERS, .experts = SL_LOAD_EXPERTS};
    counts->count = calloc((size_t)SL_LOAD_LAYERS * SL_LOAD_EXPERTS, sizeof *counts->count);
    return counts->count ? 0 : sl_bench_no_memory(bench);
}

static int generate(struct sl_bench_load *load, struct sl_bench *bench)
{
    struct sl_generator g;
    if (make_counts(bench, &load->planned) || make_counts(bench, &load->served) ||
        sl_generator_open(&g, SL_LOAD_LAYERS, SL_LOAD_EXPERTS, SL_LOAD_TOP_K, SEED, bench->error,
                          sizeof bench->error))
        return -1;
    for (int32_t l = 0; l < SL_LOAD_LAYERS; l++)
        for (int32_t e = 0; e < SL_LOAD_EXPERTS; e++) {
            ptrdiff_t at = (ptrdiff_t)l * SL_LOAD_EXPERTS + e;
            uint32_t word = sl_tool_random(SEED, (uint64_t)at, STREAM_SHIFT, 0).word[0];
            double offset = sl_generator_offsets(&g, l)[e];
            double moved = offset + SHIFT * sl_tool_normal_quantile(sl_tool_uniform(word));
            load->planned.count[at] = llround(SCALE * exp(offset));
            load->served.count[at] = llround(SCALE * exp(moved));
        }
    sl_generator_close(&g);
    return 0;
}

static int has_tokens(const struct sl_counts *counts, int32_t layer)
{
    int64_t sum = 0;
    for (int32_t e = 0; e < counts->experts; e++)
        sum += sl_counts_row(counts, 0, layer)[e];
    return sum > 0;
}

/* Dense layers have no counts. */
static void keep_counted(struct sl_bench_load *load)
{
    struct sl_counts *a = &load->planned, *b = &load->served;
    size_t row = (size_t)a->experts * sizeof *a->count;
    int32_t kept = 0;
    for (int32_t l = 0; l < a->layers; l++) {
        if (!has_tokens(a, l) || !has_tokens(b, l))
            continue;
        memmove(a->count + (ptrdiff_t)kept * a->experts, sl_counts_row(a, 0, l), row);
        memmove(b->count + (ptrdiff_t)kept * a->experts, sl_counts_row(b, 0, l), row);
        kept++;
    }
    a->layers = b->layers = kept;
}

int sl_bench_load_open(struct sl_bench_load *load, struct sl_bench *bench)
{
    char *err = bench->error;
    size_t n = sizeof bench->error;
    *load = (struct sl_bench_load){.planned = {.steps = 0}};
    if (!bench->counts[0])
        return generate(load, bench);
    if (sl_counts_load(bench->counts[0], SL_COUNTS_SUM, &load->planned, err, n) ||
        sl_counts_load(bench->counts[1], SL_COUNTS_SUM, &load->served, err, n))
        return -1;
    const struct sl_counts *a = &load->planned, *b = &load->served;
    if (a->experts != SL_LOAD_EXPERTS || b->experts != a->experts || a->layers != b->layers)
        return sl_tool_error(err, n,
                             "--counts: %d and %d layers of %d and %d experts; as many layers and "
                             "%d experts were expected",
                             a->layers, b->layers, a->experts, b->experts, SL_LOAD_EXPERTS);
    keep_counted(load);
    if (!a->layers)
        return sl_tool_error(err, n, "--counts: no layer has tokens in both files");
    return 0;
}

void sl_bench_load_close(struct sl_bench_load *load)
{
    sl_counts_free(&load->planned);
    sl_counts_free(&load->served);
}
