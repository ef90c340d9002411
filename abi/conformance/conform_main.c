/* SPDX-License-Identifier: Apache-2.0
 * sluice-conform: does a plugin keep the ABI? Loads it, runs every case, prints the table. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conform.h"

static const struct cf_list *const LISTS[] = {
    &cf_table_cases,  &cf_struct_cases,    &cf_argument_cases,  &cf_tensor_cases,
    &cf_config_cases, &cf_host_cases,      &cf_topk_cases,      &cf_topk_edge_cases,
    &cf_remap_cases,  &cf_copy_cases,      &cf_every_row_cases, &cf_waterfill_cases,
    &cf_record_cases, &cf_window_cases,    &cf_promise_cases,   &cf_weights_cases,
    &cf_route_cases,  &cf_placement_cases, &cf_rank_cases,      &cf_dispatch_cases,
    &cf_fixed_cases,  &cf_combine_cases,   &cf_fault_cases,     &cf_lost_cases,
    &cf_hot_cases,    &cf_thread_cases,    &cf_device_cases,    &cf_balance_cases,
    &cf_quota_cases,  &cf_carried_cases,   &cf_plan_cases};

enum { LIST_COUNT = sizeof LISTS / sizeof *LISTS, MAX_CASES = 512 };

struct options {
    const char *plugin;
    const char *only;  /* run only cases whose name or title has this */
    const char *begin; /* run these first */
    const char *json;  /* file, or "-" */
    double timeout;
    bool list, first, verbose;
};

struct run {
    const struct cf_case *item;
    struct cf_result result;
    bool ran;
};

static struct run runs[MAX_CASES];
static size_t run_count;

static const char USAGE[] =
    "usage: sluice-conform [options] PLUGIN.so\n"
    "Tells whether a plugin keeps the ABI of plugin.h and abi/ext.\n"
    "  --list             print the cases and end\n"
    "  --only TEXT        only cases whose name or sentence has TEXT\n"
    "  --begin TEXT       those first\n"
    "  --first            stop at the first failure\n"
    "  --timeout SECONDS  for each case (default 20)\n"
    "  --json FILE        write the table as JSON too; - is standard output, without the table\n"
    "  -v                 also print how long each case took\n"
    "The last line is \"N passed, N failed[, N skipped]\"; the exit code is 1 if any failed.\n";

static int usage(const char *what, const char *value)
{
    (void)fprintf(stderr, "sluice-conform: %s%s%s\n%s", what, value ? " " : "", value ? value : "",
                  USAGE);
    return 2;
}

static int parse(int argc, char **argv, struct options *options)
{
    for (int i = 1; i < argc; i++) {
        const char *word = argv[i];
        const char **text = strcmp(word, "--only") == 0    ? &options->only
                            : strcmp(word, "--begin") == 0 ? &options->begin
                            : strcmp(word, "--json") == 0  ? &options->json
                                                           : NULL;
        bool timeout = strcmp(word, "--timeout") == 0;
        if (text || timeout) {
            if (i + 1 == argc)
                return usage("no value for", word);
            i++;
        }
        if (text) {
            *text = argv[i];
        } else if (timeout) {
            char *end;
            options->timeout = strtod(argv[i], &end);
            if (*end || !(options->timeout > 0) || options->timeout > 86400)
                return usage("--timeout must be seconds above 0, not", argv[i]);
        } else if (strcmp(word, "--list") == 0) {
            options->list = true;
        } else if (strcmp(word, "--first") == 0) {
            options->first = true;
        } else if (strcmp(word, "-v") == 0) {
            options->verbose = true;
        } else if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
            (void)fputs(USAGE, stdout);
            exit(0);
        } else if (word[0] == '-' || options->plugin) {
            return usage("unknown argument", word);
        } else {
            options->plugin = word;
        }
    }
    if (!options->plugin && !options->list)
        return usage("no plugin is given", NULL);
    return 0;
}

static bool matches(const struct cf_case *item, const char *text)
{
    return strstr(item->name, text) || strstr(item->title, text);
}

static void collect(const struct options *options)
{
    for (size_t i = 0; i < LIST_COUNT; i++)
        for (size_t k = 0; k < LISTS[i]->count && run_count < MAX_CASES; k++) {
            const struct cf_case *item = &LISTS[i]->cases[k];
            if (!options->only || matches(item, options->only))
                runs[run_count++].item = item;
        }
}

static void print_result(const struct run *run, const struct options *options)
{
    static const char *const WORDS[] = {"pass", "FAIL", "not run"};
    const struct cf_result *result = &run->result;
    if (options->json && strcmp(options->json, "-") == 0)
        return;
    printf("%-7s %s: %s", WORDS[result->verdict], run->item->name, run->item->title);
    if (result->verdict != CF_PASS)
        printf(": %s", result->reason);
    if (options->verbose)
        printf(" [%.0f ms]", result->seconds * 1e3);
    printf("\n");
    (void)fflush(stdout);
}

/* False when the rest is not to be run. */
static bool run_one(struct run *run, const struct options *options)
{
    cf_run_case(run->item, options->plugin, options->timeout, &run->result);
    run->ran = true;
    print_result(run, options);
    return !(options->first && run->result.verdict == CF_FAILED);
}

static void run_all(const struct options *options)
{
    /* A plugin that does not load would fail every case for one reason. */
    struct run load = {.item = &LISTS[0]->cases[0]};
    (void)run_one(&load, options);
    if (load.result.verdict != CF_PASS || runs[0].item == load.item)
        runs[0] = load;
    if (load.result.verdict != CF_PASS) {
        run_count = 1;
        return;
    }
    bool on = true;
    for (size_t i = 0; on && options->begin && i < run_count; i++)
        if (!runs[i].ran && matches(runs[i].item, options->begin))
            on = run_one(&runs[i], options);
    for (size_t i = 0; on && i < run_count; i++)
        if (!runs[i].ran)
            on = run_one(&runs[i], options);
}

static void json_text(FILE *file, const char *text)
{
    (void)fputc('"', file);
    for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
        if (*c == '"' || *c == '\\')
            (void)fprintf(file, "\\%c", *c);
        else if (*c < 0x20 || *c >= 0x7F)
            (void)fprintf(file, "\\u%04x", *c);
        else
            (void)fputc(*c, file);
    }
    (void)fputc('"', file);
}

static int write_json(const struct options *options, const int counts[3])
{
    static const char *const WORDS[] = {"pass", "fail", "not run"};
    bool screen = strcmp(options->json, "-") == 0;
    FILE *file = screen ? stdout : fopen(options->json, "w");
    if (!file) {
        (void)fprintf(stderr, "sluice-conform: cannot write %s\n", options->json);
        return 2;
    }
    (void)fprintf(file, "{\"plugin\": ");
    json_text(file, options->plugin);
    (void)fprintf(file, ", \"passed\": %d, \"failed\": %d, \"skipped\": %d, \"cases\": [",
                  counts[0], counts[1], counts[2]);
    const char *comma = "";
    for (size_t i = 0; i < run_count; i++) {
        if (!runs[i].ran)
            continue;
        (void)fprintf(file, "%s\n  {\"name\": ", comma);
        json_text(file, runs[i].item->name);
        (void)fprintf(file, ", \"promise\": ");
        json_text(file, runs[i].item->title);
        (void)fprintf(file, ", \"verdict\": \"%s\", \"reason\": ", WORDS[runs[i].result.verdict]);
        json_text(file, runs[i].result.reason);
        (void)fprintf(file, ", \"seconds\": %.6f}", runs[i].result.seconds);
        comma = ",";
    }
    (void)fprintf(file, "\n]}\n");
    bool bad = ferror(file) != 0;
    if (!screen)
        bad = fclose(file) != 0 || bad;
    return bad ? 2 : 0;
}

int main(int argc, char **argv)
{
    struct options options = {.timeout = 20};
    int bad = parse(argc, argv, &options);
    if (bad)
        return bad;
    collect(&options);
    if (options.list) {
        for (size_t i = 0; i < run_count; i++)
            printf("%-34s %s\n", runs[i].item->name, runs[i].item->title);
        return 0;
    }
    if (run_count == 0)
        return usage("no case has", options.only);
    char here[4096]; /* dlopen does not look in the working folder for a bare name */
    if (!strchr(options.plugin, '/')) {
        (void)snprintf(here, sizeof here, "./%s", options.plugin);
        options.plugin = here;
    }
    run_all(&options);
    int counts[3] = {0, 0, 0};
    for (size_t i = 0; i < run_count; i++)
        if (runs[i].ran)
            counts[runs[i].result.verdict]++;
    if (options.json && write_json(&options, counts))
        return 2;
    if (!options.json || strcmp(options.json, "-") != 0) {
        printf("%d passed, %d failed", counts[CF_PASS], counts[CF_FAILED]);
        if (counts[CF_SKIPPED])
            printf(", %d skipped", counts[CF_SKIPPED]);
        printf("\n");
    }
    return counts[CF_FAILED] ? 1 : 0;
}
