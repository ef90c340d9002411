#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"
#include "tool_file.h"
#include "tool_json.h"

static void processor(char *text, size_t size)
{
    char line[256];
    (void)snprintf(text, size, "unknown");
    FILE *file = fopen("/proc/cpuinfo", "r");
    if (!file)
        return;
    while (fgets(line, sizeof line, file))
        if (strncmp(line, "model name", 10) == 0 && strchr(line, ':')) {
            line[strcspn(line, "\n")] = 0;
            (void)snprintf(text, size, "%s", strchr(line, ':') + 2);
            break;
        }
    (void)fclose(file);
}

static int overhead(const struct sl_bench_row *row)
{
    return strcmp(row->part, "overhead") == 0;
}

static int exchange(const struct sl_bench_row *row)
{
    return strcmp(row->part, "exchange") == 0;
}

static int planning(const struct sl_bench_row *row)
{
    return strcmp(row->part, "plan") == 0;
}

/* 1: all goals of the row are reached, 0: not, -1: it has none. */
static int reached(const struct sl_bench_row *row)
{
    double held = overhead(row) ? row->median : row->fastest;
    if (row->goal == 0 && row->ratio_goal == 0)
        return -1;
    return (row->goal == 0 || held <= row->goal) && row->ratio >= row->ratio_goal;
}

static void goal_text(const struct sl_bench_row *row, char *text, size_t size)
{
    static const char *const verdicts[] = {"", "no", "yes"};
    char limit[24] = "", ratio[24] = "";
    if (row->goal > 0)
        (void)snprintf(limit, sizeof limit, "<= %g", row->goal);
    if (row->ratio_goal > 0)
        (void)snprintf(ratio, sizeof ratio, exchange(row) ? ">= %.2f x" : ">= %.0f x",
                       row->ratio_goal);
    (void)snprintf(text, size, "%s%s%s%s%s", limit, limit[0] && ratio[0] ? ", " : "", ratio,
                   limit[0] || ratio[0] ? ": " : "", verdicts[reached(row) + 1]);
}

static void print_row(const struct sl_bench_row *row)
{
    char number[24] = "-", ratio[24] = "-", goal[64];
    int32_t size = exchange(row) ? row->ranks : row->tokens;
    goal_text(row, goal, sizeof goal);
    if (!overhead(row) && !planning(row))
        (void)snprintf(number, sizeof number, "%d", size);
    if (row->ratio > 0)
        (void)snprintf(ratio, sizeof ratio, "%.2f", row->ratio);
    (void)printf("%-12s %5s  %-9s %-26s %9.1f %9.1f %9s  %s\n", row->item, number,
                 row->path[0] ? row->path : "-", row->call, row->fastest, row->median, ratio, goal);
}

static void print_head(const char *part)
{
    if (strcmp(part, "route") == 0)
        (void)printf("\nRouting, ns a token on one core: f32 logits to dispatch ids, weights and "
                     "recorder ids, recorded.\n\n%-12s %5s  %-9s %-26s %9s %9s %9s  %s\n",
                     "shape", "T", "path", "call", "fastest", "median", "x plain C", "goal");
    else if (strcmp(part, "exchange") == 0)
        (void)printf(
            "\nExchange, GB/s of all ranks together: H 7168 bf16, E 64, K 8, T 256 a rank, "
            "ranks as threads.\nBytes are those of the rows that dispatch writes and that "
            "combine reads.\n\n%-12s %5s  %-9s %-26s %9s %9s %9s  %s\n",
            "way", "W", "path", "call", "fastest", "median", "x memcpy", "goal");
    else if (strcmp(part, "balance") == 0)
        (void)printf(
            "\nStep balance, E 256, K 8, one shared expert, T tokens a rank: solve in us a "
            "layer and rank, remap in ns a token.\n\n%-12s %5s  %-9s %-26s %9s %9s %9s  "
            "%s\n",
            "world", "T", "path", "call", "fastest", "median", "", "goal");
    else if (strcmp(part, "plan") == 0)
        (void)printf("\nPlans, ms for a model of 256 experts in 288 slots on 32 ranks, on one core."
                     "\n\n%-12s %5s  %-9s %-26s %9s %9s %9s  %s\n",
                     "policy", "", "path", "call", "fastest", "median", "", "goal");
    else
        (void)printf("\nA call without tokens, ns: deepseek-v3, one rank. The goal is the "
                     "median's.\n\n%-12s %5s  %-9s %-26s %9s %9s %9s  %s\n",
                     "", "", "path", "call", "fastest", "median", "", "goal");
}

/* Is what a row is compared with below it, not above? */
static int opens_block(const struct sl_bench_row *row)
{
    int other_size = row->tokens != row[-1].tokens || row->ranks != row[-1].ranks;
    return strcmp(row->unit, row[-1].unit) != 0 ||
           (other_size && strcmp(row->unit, "us/layer") != 0);
}

void sl_bench_print(const struct sl_bench *bench, const char *plugin_line)
{
    char cpu[256];
    const char *part = "";
    processor(cpu, sizeof cpu);
    (void)printf("%s\n%s, %ld cores; %d rounds, taking turns\n", plugin_line, cpu,
                 sysconf(_SC_NPROCESSORS_ONLN), bench->rounds);
    for (int32_t i = 0; i < bench->row_count; i++) {
        const struct sl_bench_row *row = &bench->rows[i];
        if (strcmp(part, row->part) != 0)
            print_head(row->part);
        else if (opens_block(row))
            (void)printf("\n");
        part = row->part;
        print_row(row);
    }
}

static void real(struct sl_json_writer *w, const char *key, double value)
{
    if (value == 0)
        return;
    sl_jw_key(w, key);
    sl_jw_real(w, value);
}

static void text(struct sl_json_writer *w, const char *key, const char *value)
{
    if (!value[0])
        return;
    sl_jw_key(w, key);
    sl_jw_string(w, value);
}

static void whole(struct sl_json_writer *w, const char *key, int64_t value)
{
    sl_jw_key(w, key);
    sl_jw_int(w, value);
}

static void write_row(struct sl_json_writer *w, const struct sl_bench_row *row)
{
    sl_jw_object(w);
    text(w, "part", row->part);
    text(w, "item", row->item);
    text(w, "call", row->call);
    text(w, "path", row->path);
    whole(w, "tokens", row->tokens);
    whole(w, "ranks", row->ranks > 0 ? row->ranks : 1);
    text(w, "unit", row->unit);
    real(w, "fastest", row->fastest);
    real(w, "median", row->median);
    real(w, "goal_at_most", row->goal);
    real(w, exchange(row) ? "times_memcpy" : "times_reference", row->ratio);
    real(w, "times_goal", row->ratio_goal);
    if (reached(row) >= 0) {
        sl_jw_key(w, "reached");
        sl_jw_bool(w, reached(row));
    }
    sl_jw_close(w);
}

int sl_bench_write(const struct sl_bench *bench, const char *path, const char *plugin_line)
{
    char err[SL_BENCH_ERROR], cpu[256];
    struct sl_json_writer w;
    FILE *file = sl_tool_create(path, err, sizeof err);
    if (file) {
        processor(cpu, sizeof cpu);
        sl_jw_begin(&w, file);
        sl_jw_object(&w);
        text(&w, "plugin", plugin_line);
        text(&w, "processor", cpu);
        whole(&w, "cores", sysconf(_SC_NPROCESSORS_ONLN));
        whole(&w, "rounds", bench->rounds);
        sl_jw_key(&w, "rows");
        sl_jw_array(&w);
        for (int32_t i = 0; i < bench->row_count; i++)
            write_row(&w, &bench->rows[i]);
        sl_jw_close(&w);
        sl_jw_close(&w);
        (void)fputc('\n', file);
        if (sl_tool_close(file, path, err, sizeof err) == 0)
            return 0;
    }
    (void)fprintf(stderr, "sluice bench: %s\n", err);
    return -1;
}
