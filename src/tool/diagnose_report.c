/* What a diagnosis says: a verdict, a table and JSON. */
#include <stdio.h>

#include "diagnose.h"
#include "tool_file.h"
#include "tool_json.h"

/* Below this nobody gains by moving weights. */
static const double LEVEL_ENOUGH = 1.05;
/* Remedies that gain less than this of the MoE layers' time are not worth their work. */
static const double WORTH = 0.03;

static const char *const titles[SL_REMEDIES] = {
    "as it is: experts in order, no copies",
    "step balance alone",
    "EPLB, split evenly",
    "EPLB, step balance",
    "level plan, step balance",
    "level plan repaired, step balance",
};

const char *sl_remedy_title(const struct sl_diagnose *d, int remedy)
{
    if (d->options.current && remedy == SL_AS_IT_IS)
        return "as it is, split evenly";
    if (d->options.current && remedy == SL_REPAIR_STEP)
        return "repaired, step balance";
    return titles[remedy];
}

static double time_gained(const struct sl_diagnose *d, const struct sl_remedy *remedy)
{
    double now = d->remedy[SL_AS_IT_IS].mean;
    return remedy->known ? 1 - remedy->mean / now : 0;
}

static int best_of(const struct sl_diagnose *d)
{
    int best = SL_AS_IT_IS;
    for (int i = 1; i < SL_REMEDIES; i++)
        if (d->remedy[i].known && d->remedy[i].mean < d->remedy[best].mean)
            best = i;
    return best;
}

static void print_uneven(const struct sl_diagnose *d)
{
    const struct sl_remedy *now = &d->remedy[SL_AS_IT_IS];
    printf("%s: on %d ranks the fullest has %.2f times the mean load (worst layer, %d: %.2f),\n"
           "so %.0f %% of the MoE layers' time is waiting.\n",
           now->mean < LEVEL_ENOUGH ? "Level enough" : "Uneven", d->options.ranks, now->mean,
           now->worst_layer, now->worst, 100 * (1 - 1 / now->mean));
}

static void print_lasting(const struct sl_diagnose *d)
{
    if (d->count < 2) {
        printf("How long it lasts cannot be told from one window;\n"
               "each remedy is planned and judged on the same counts.\n");
        return;
    }
    printf("%s: from window to window %.0f %% of the choices go to other experts (at most "
           "%.0f %%),\nand a layer's hottest expert stays the same in %d of %d cases.\n"
           "Plans are made on the first window and judged on the other%s;\n"
           "a repair has seen the window it is judged on.\n",
           d->drift < 0.1   ? "It lasts"
           : d->drift < 0.3 ? "It drifts"
                            : "It shifts",
           100 * d->drift, 100 * d->drift_most, d->hot_stays, d->hot_pairs,
           d->count > 2 ? "s" : "");
}

static void print_worth(const struct sl_diagnose *d)
{
    int best = best_of(d);
    double gained = time_gained(d, &d->remedy[best]);
    if (!d->remedy[SL_EPLB_STEP].known)
        printf("What remedies gain is not known: the plugin serves no sluice.plan/1 or "
               "sluice.balance/1.\n");
    else if (gained < WORTH)
        printf("Not worth moving weights: the best of the below gains %.1f %% of that time.\n",
               100 * gained);
    else
        printf("Worth it: %s gains %.0f %% of that time.\n", sl_remedy_title(d, best),
               100 * gained);
    if (d->needed > 0)
        printf("%d slots a rank (%d copies) bring every layer below %.2f times the mean in every "
               "window.\n",
               d->needed, d->needed * d->options.ranks - d->windows[0].experts, d->options.target);
    else if (d->needed < 0)
        printf("No number of copies brings every layer below %.2f times the mean.\n",
               d->options.target);
}

static void print_table(const struct sl_diagnose *d)
{
    const struct sl_diagnose_options *o = &d->options;
    printf("\n%-38s%8s%8s%13s", "greatest / mean rank load", "mean", "worst", "time gained");
    printf("%s   slots written a layer\n", o->moe_ms > 0 ? "  ms a step" : "");
    for (int i = 0; i < SL_REMEDIES; i++) {
        const struct sl_remedy *r = &d->remedy[i];
        if (!r->known)
            continue;
        printf("%-38s%8.4f%8.4f%11.1f %%", sl_remedy_title(d, i), r->mean, r->worst,
               100 * time_gained(d, r));
        if (o->moe_ms > 0)
            printf("%11.2f", o->moe_ms * (1 - time_gained(d, r)));
        if (i == SL_REPAIR_STEP) {
            printf("   %.2f a window", r->slots);
            if (o->expert_mb > 0)
                printf(" (%.0f MB in all)", r->slots * d->layers * o->expert_mb);
        }
        printf("\n");
    }
}

void sl_diagnose_print(const struct sl_diagnose *d)
{
    print_uneven(d);
    print_lasting(d);
    print_worth(d);
    print_table(d);
    printf("%d windows, %d layers with tokens, %d experts, %d redundant slots for plans, %d shared "
           "experts\n",
           d->count, d->layers, d->windows[0].experts, d->options.redundant, d->options.shared);
}

static void write_remedy(struct sl_json_writer *w, const struct sl_diagnose *d, int i)
{
    const struct sl_remedy *r = &d->remedy[i];
    sl_jw_object(w);
    sl_jw_key(w, "remedy");
    sl_jw_string(w, sl_remedy_keys[i]);
    sl_jw_key(w, "mean");
    sl_jw_real(w, r->mean);
    sl_jw_key(w, "worst");
    sl_jw_real(w, r->worst);
    sl_jw_key(w, "worst_layer");
    sl_jw_int(w, r->worst_layer);
    sl_jw_key(w, "time_gained");
    sl_jw_real(w, time_gained(d, r));
    if (i == SL_REPAIR_STEP) {
        sl_jw_key(w, "slots_a_layer_and_window");
        sl_jw_real(w, r->slots);
    }
    sl_jw_close(w);
}

int sl_diagnose_write(const struct sl_diagnose *d, char *err, size_t n)
{
    const char *path = d->options.json;
    FILE *file = sl_tool_create(path, err, n);
    if (!file)
        return -1;
    const struct {
        const char *key;
        int32_t value;
    } whole[] = {{"windows", d->count},
                 {"ranks", d->options.ranks},
                 {"redundant", d->options.redundant},
                 {"shared", d->options.shared},
                 {"layers_with_tokens", d->layers},
                 {"hottest_stays", d->hot_stays},
                 {"hottest_pairs", d->hot_pairs},
                 {"slots_needed", d->needed}};
    struct sl_json_writer w;
    sl_jw_begin(&w, file);
    sl_jw_object(&w);
    sl_jw_key(&w, "current");
    sl_jw_string(&w, d->options.current ? d->options.current : "in order");
    sl_jw_key(&w, "uneven");
    sl_jw_bool(&w, d->remedy[SL_AS_IT_IS].mean >= LEVEL_ENOUGH);
    sl_jw_key(&w, "worth_it");
    sl_jw_bool(&w, time_gained(d, &d->remedy[best_of(d)]) >= WORTH);
    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++) {
        sl_jw_key(&w, whole[i].key);
        sl_jw_int(&w, whole[i].value);
    }
    sl_jw_key(&w, "drift_mean");
    sl_jw_real(&w, d->drift);
    sl_jw_key(&w, "drift_most");
    sl_jw_real(&w, d->drift_most);
    sl_jw_key(&w, "remedies");
    sl_jw_array(&w);
    for (int i = 0; i < SL_REMEDIES; i++)
        if (d->remedy[i].known)
            write_remedy(&w, d, i);
    sl_jw_close(&w);
    sl_jw_close(&w);
    return sl_tool_close(file, path, err, n);
}
