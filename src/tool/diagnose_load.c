#include <stdlib.h>
#include <string.h>

#include "diagnose.h"
#include "tool_file.h"

enum { PARTS = 8 };

/* The sum of steps [from, to). */
static int sum_steps(const struct sl_counts *all, int32_t from, int32_t to, struct sl_counts *out,
                     char *err, size_t n)
{
    size_t cells = (size_t)all->layers * (size_t)all->experts;
    *out = (struct sl_counts){.steps = 1, .layers = all->layers, .experts = all->experts};
    out->count = calloc(cells, sizeof *out->count);
    if (!out->count)
        return sl_tool_error(err, n, "no memory for the counts");
    for (int32_t s = from; s < to; s++)
        for (size_t i = 0; i < cells; i++) {
            int64_t more = all->count[(size_t)s * cells + i];
            if (out->count[i] > INT64_MAX - more)
                return sl_tool_error(err, n, "the sum over steps is beyond 64 bits");
            out->count[i] += more;
        }
    return 0;
}

static int add_file(struct sl_diagnose *d, const char *path, char *err, size_t n)
{
    struct sl_counts all;
    char why[200];
    if (sl_counts_load(path, SL_COUNTS_KEEP, &all, err, n))
        return -1;
    int32_t parts = all.steps < PARTS ? all.steps : PARTS;
    const struct sl_counts *first = d->count ? &d->windows[0] : &all;
    int bad = 0;
    if (all.layers != first->layers || all.experts != first->experts)
        bad = sl_tool_error(err, n, "%s has %d layers, %d experts: %s has %d, %d", path, all.layers,
                            all.experts, d->options.files[0], first->layers, first->experts);
    else if (d->count + parts > SL_DIAGNOSE_MOST)
        bad = sl_tool_error(err, n, "%s: more than %d windows", path, SL_DIAGNOSE_MOST);
    for (int32_t i = 0; !bad && i < parts; i++) {
        int32_t from = (int32_t)((int64_t)all.steps * i / parts);
        int32_t to = (int32_t)((int64_t)all.steps * (i + 1) / parts);
        if (sum_steps(&all, from, to, &d->windows[d->count++], why, sizeof why))
            bad = sl_tool_error(err, n, "%s: %s", path, why);
    }
    sl_counts_free(&all);
    return bad;
}

/* Every expert once, in order, the last slots empty. */
static int make_trivial(struct sl_diagnose *d, char *err, size_t n)
{
    struct sl_placement *p = &d->present;
    int32_t experts = d->windows[0].experts, ranks = d->options.ranks;
    *p = (struct sl_placement){.layers = d->windows[0].layers,
                               .slots = (experts + ranks - 1) / ranks * ranks,
                               .experts = experts};
    p->expert = calloc((size_t)p->layers * (size_t)p->slots, sizeof *p->expert);
    if (!p->expert)
        return sl_tool_error(err, n, "no memory for a placement");
    for (int32_t l = 0; l < p->layers; l++)
        for (int32_t s = 0; s < p->slots; s++)
            p->expert[(ptrdiff_t)l * p->slots + s] = s < experts ? s : -1;
    return 0;
}

int sl_diagnose_load(struct sl_diagnose *d, char *err, size_t n)
{
    for (int32_t i = 0; i < d->options.count; i++)
        if (add_file(d, d->options.files[i], err, n))
            return -1;
    d->first = d->count > 1;
    const struct sl_diagnose_options *o = &d->options;
    if (!o->current)
        return make_trivial(d, err, n);
    return sl_tool_current(o->current, &d->windows[0], o->files[0], o->ranks, &d->present, err, n);
}

void sl_diagnose_free(struct sl_diagnose *d)
{
    for (int32_t i = 0; i < d->count; i++)
        sl_counts_free(&d->windows[i]);
    for (int i = 0; i < SL_REMEDIES; i++)
        free(d->remedy[i].last);
    free(d->ratios);
    sl_placement_free(&d->present);
}
