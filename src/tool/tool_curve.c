#include "tool_curve.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "tool_file.h"

struct walk {
    const struct sl_plan_case *plan;
    const struct sl_counts *windows;
    int32_t count;
    int32_t *map;  /* [layers][P] as it is after the moves so far */
    double *ratio; /* [layers]; 0 without tokens */
};

static int judge(struct walk *w, int32_t layer, char *err, size_t n)
{
    const int32_t *map = w->map + (ptrdiff_t)layer * w->plan->slots * w->plan->ranks;
    char why[400];
    if (sl_tool_plan_judge(w->plan, w->windows, w->count, layer, map, &w->ratio[layer], why,
                           sizeof why))
        return sl_tool_error(err, n, "layer %d: %s", layer, why);
    return 0;
}

static void add_point(const struct walk *w, struct sl_curve *curve, double slots, double sent)
{
    double sum = 0, worst = 1;
    int32_t busy = 0, at = curve->points++;
    for (int32_t l = 0; l < w->windows[0].layers; l++) {
        busy += w->ratio[l] > 0;
        sum += w->ratio[l];
        worst = w->ratio[l] > worst ? w->ratio[l] : worst;
    }
    curve->slots[at] = slots;
    curve->sent[at] = sent;
    curve->mean[at] = busy ? sum / busy : 1;
    curve->worst[at] = worst;
}

static bool is_swap(const struct sl_moves *moves, int64_t i)
{
    const sluice_move *a = &moves->move[i], *b = a + 1;
    return i + 1 < moves->count && a->layer == b->layer && a->from == b->to && b->from == a->to;
}

static int walk(struct walk *w, const struct sl_moves *moves, struct sl_curve *curve, char *err,
                size_t n)
{
    double slots = 0, sent = 0;
    for (int32_t l = 0; l < w->windows[0].layers; l++)
        if (judge(w, l, err, n))
            return -1;
    add_point(w, curve, 0, 0);
    for (int64_t i = 0; i < moves->count;) {
        int32_t layer = moves->move[i].layer, together = is_swap(moves, i) ? 2 : 1;
        int32_t *map = w->map + (ptrdiff_t)layer * w->plan->slots * w->plan->ranks;
        for (int32_t k = 0; k < together; k++, i++) {
            const sluice_move *move = &moves->move[i];
            map[move->to] = move->expert;
            slots++;
            sent += move->from < 0 || move->from / w->plan->slots != move->to / w->plan->slots;
        }
        if (judge(w, layer, err, n))
            return -1;
        add_point(w, curve, slots, sent);
    }
    return 0;
}

int sl_curve_of(const struct sl_plan_case *c, const struct sl_counts *windows, int32_t count,
                const struct sl_placement *current, const struct sl_moves *moves,
                struct sl_curve *curve, char *err, size_t n)
{
    size_t cells = (size_t)current->layers * (size_t)current->slots;
    size_t room = (size_t)moves->count + 1;
    struct walk w = {.plan = c,
                     .windows = windows,
                     .count = count,
                     .map = malloc(cells * sizeof(int32_t)),
                     .ratio = calloc((size_t)current->layers, sizeof(double))};
    *curve = (struct sl_curve){.slots = calloc(room, sizeof(double)),
                               .sent = calloc(room, sizeof(double)),
                               .mean = calloc(room, sizeof(double)),
                               .worst = calloc(room, sizeof(double))};
    int bad = -1;
    if (!w.map || !w.ratio || !curve->slots || !curve->sent || !curve->mean || !curve->worst) {
        (void)sl_tool_error(err, n, "no memory for %zu moves", room);
    } else {
        memcpy(w.map, current->expert, cells * sizeof *w.map);
        bad = walk(&w, moves, curve, err, n);
    }
    free(w.map);
    free(w.ratio);
    return bad;
}

void sl_curve_free(struct sl_curve *curve)
{
    free(curve->slots);
    free(curve->sent);
    free(curve->mean);
    free(curve->worst);
    *curve = (struct sl_curve){.points = 0};
}

int32_t sl_curve_pick(const struct sl_curve *curve, int32_t *at, int32_t most)
{
    static const int32_t times[] = {1, 2, 5};
    double unit = 1;
    int32_t count = 0, step = 0;
    for (int32_t i = 0; i + 1 < curve->points && count + 1 < most; i++) {
        if (i && curve->slots[i] < times[step] * unit)
            continue;
        at[count++] = i;
        while (i && curve->slots[i] >= times[step] * unit) {
            step = (step + 1) % 3;
            unit *= step ? 1 : 10;
        }
    }
    if (curve->points)
        at[count++] = curve->points - 1;
    return count;
}
