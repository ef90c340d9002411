/* Counts of recorded choices. */
#include <stdlib.h>
#include <string.h>

#include "tool_counts.h"
#include "tool_file.h"
#include "tool_npy.h"

enum { EXPERTS_MOST = 4096, LAYERS_MOST = 100000 };

/* One more than the greatest id; 0 with a line in err. */
static int32_t find_experts(const int32_t *ids, size_t count, char *err, size_t n)
{
    int32_t experts = 0;
    for (size_t i = 0; i < count; i++) {
        if (ids[i] < -1 || ids[i] >= EXPERTS_MOST) {
            (void)sl_tool_error(err, n, "element %zu is %d: ids are -1 to %d", i, ids[i],
                                EXPERTS_MOST - 1);
            return 0;
        }
        experts = ids[i] >= experts ? ids[i] + 1 : experts;
    }
    if (!experts)
        (void)sl_tool_error(err, n, "chooses nothing");
    return experts;
}

static int fill(const int32_t *ids, size_t count, struct sl_counts *counts, char *err, size_t n)
{
    counts->experts = find_experts(ids, count, err, n);
    if (counts->experts < 1)
        return -1;
    size_t each = count / (size_t)counts->layers, experts = (size_t)counts->experts;
    counts->count = malloc((size_t)counts->layers * experts * sizeof *counts->count);
    if (!counts->count)
        return sl_tool_error(err, n, "no memory for the counts");
    memset(counts->count, 0, (size_t)counts->layers * experts * sizeof *counts->count);
    for (size_t i = 0; i < count; i++)
        if (ids[i] >= 0)
            counts->count[i / each * experts + (size_t)ids[i]]++;
    return 0;
}

int sl_counts_of_ids(const struct sl_npy *npy, struct sl_counts *counts, char *err, size_t n)
{
    memset(counts, 0, sizeof *counts);
    if (npy->ndim != 3)
        return sl_tool_error(err, n, "has %d dimensions: ids are [layers, tokens, K]", npy->ndim);
    if (npy->count == 0 || npy->shape[0] > LAYERS_MOST)
        return sl_tool_error(err, n, "holds no tokens, or more than %d layers", LAYERS_MOST);
    int32_t *ids = malloc(npy->count * sizeof *ids);
    if (!ids)
        return sl_tool_error(err, n, "no memory for %zu ids", npy->count);
    *counts = (struct sl_counts){.steps = 1, .layers = (int32_t)npy->shape[0]};
    int bad = sl_npy_to_i32(npy, ids, err, n) || fill(ids, npy->count, counts, err, n);
    free(ids);
    if (bad)
        sl_counts_free(counts);
    return bad ? -1 : 0;
}
