#include "tool_file.h"
#include "tool_generate.h"
#include "tool_random.h"

#include <stdlib.h>
#include <string.h>

enum { UNIT_BITS = 40, STREAM_WALK = 0, STREAM_START = 1, STREAM_WEIGHT = 2 };
#define UNIT ((int64_t)1 << UNIT_BITS)

/* One pass over those that are not yet cut off at 1; gives how many it has cut off now. */
static int32_t share_out(struct sl_draw *d, const int64_t *counts, int32_t choices)
{
    double sum = 0;
    int32_t cut = 0;
    for (int32_t e = 0; e < d->experts; e++)
        if (d->width[e] != UNIT)
            sum += (double)counts[e];
    for (int32_t e = 0; e < d->experts; e++)
        if (d->width[e] != UNIT && counts[e] > 0 && (double)counts[e] * choices >= sum) {
            d->width[e] = UNIT;
            cut++;
        }
    for (int32_t e = 0; cut == 0 && e < d->experts; e++)
        if (d->width[e] != UNIT)
            d->width[e] = (int64_t)((double)counts[e] / sum * choices * (double)UNIT);
    return cut;
}

/* The widths must add up to a whole number of units; rounding has left them a little off. */
static void settle(struct sl_draw *d)
{
    int64_t left = d->filled * UNIT;
    for (int32_t e = 0; e < d->experts; e++)
        left -= d->width[e];
    for (int32_t e = 0; left != 0 && e < d->experts; e++) {
        int64_t w = d->width[e];
        if (w == 0 || w == UNIT)
            continue;
        int64_t to = w + left > UNIT ? UNIT : w + left < 0 ? 0 : w + left;
        d->width[e] = to;
        left -= to - w;
    }
}

int sl_draw_open(struct sl_draw *d, const int64_t *counts, int32_t experts, int32_t top_k,
                 uint64_t seed, char *err, size_t n)
{
    memset(d, 0, sizeof *d);
    if (experts < 1 || top_k < 1)
        return sl_tool_error(err, n, "experts %d, top_k %d; both must be 1 or more", experts,
                             top_k);
    int32_t some = 0;
    for (int32_t e = 0; e < experts; e++) {
        if (counts[e] < 0)
            return sl_tool_error(err, n, "expert %d: %lld tokens; a count is not negative", e,
                                 (long long)counts[e]);
        some += counts[e] > 0;
    }
    *d = (struct sl_draw){.seed = seed, .experts = experts, .top_k = top_k};
    d->filled = some < top_k ? some : top_k;
    d->width = calloc((size_t)experts, sizeof *d->width);
    d->order = calloc((size_t)experts, sizeof *d->order);
    if (d->width == NULL || d->order == NULL) {
        sl_draw_close(d);
        return sl_tool_error(err, n, "no memory for %d experts", experts);
    }
    int32_t choices = d->filled;
    for (int32_t cut = 1; cut > 0 && choices > 0; choices -= cut)
        cut = share_out(d, counts, choices);
    settle(d);
    return 0;
}

void sl_draw_close(struct sl_draw *d)
{
    free(d->width);
    free(d->order);
    memset(d, 0, sizeof *d);
}

static void draw_weights(const struct sl_draw *d, uint64_t token, float *weights)
{
    struct sl_random4 four = {{0}};
    float sum = 0;
    for (int32_t k = 0; k < d->top_k; k++) {
        if ((k & 3) == 0)
            four = sl_tool_random(d->seed, token, STREAM_WEIGHT, (uint32_t)k >> 2);
        float w = k < d->filled ? 0.25f + (float)sl_tool_uniform(four.word[k & 3]) : 0.0f;
        sum += w;
        int32_t at = k;
        for (; at > 0 && weights[at - 1] < w; at--)
            weights[at] = weights[at - 1];
        weights[at] = w;
    }
    for (int32_t k = 0; k < d->filled; k++)
        weights[k] /= sum;
}

void sl_draw_tokens(struct sl_draw *d, uint64_t first, int64_t tokens, int32_t *ids, float *weights)
{
    for (int64_t t = 0; t < tokens; t++, ids += d->top_k) {
        uint64_t token = first + (uint64_t)t;
        sl_tool_shuffle(d->seed, token, STREAM_WALK, d->order, d->experts);
        struct sl_random4 four = sl_tool_random(d->seed, token, STREAM_START, 0);
        int64_t point = (int64_t)((uint64_t)four.word[0] << (UNIT_BITS - 32) |
                                  four.word[1] >> (64 - UNIT_BITS));
        int64_t end = 0;
        int32_t k = 0;
        for (int32_t i = 0; i < d->experts; i++) {
            end += d->width[d->order[i]];
            if (point < end) {
                ids[k++] = d->order[i];
                point += UNIT;
            }
        }
        for (; k < d->top_k; k++)
            ids[k] = -1;
        if (weights != NULL) {
            draw_weights(d, token, weights);
            weights += d->top_k;
        }
    }
}
