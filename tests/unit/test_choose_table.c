/* The models that the tests serve are those of the table "Models" of abi/routers.md, with what it
 * says of each. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "choose_models.h"
#include "ct.h"

enum { CELLS = 7, FAMILY = 0, SCORE, BIAS, GROUPS, RENORM, SCALE, SIZES };

/* A row of the table: its cells, each cut at semicolons. A cell with one part says the same of all
 * parts of the first. */
enum { PARTS = 8 };
struct row {
    char text[4096];
    char *cells[CELLS][PARTS];
    int32_t parts[CELLS];
};

static char *trim(char *text)
{
    text += strspn(text, " ");
    for (char *end = text + strlen(text); end > text && end[-1] == ' ';)
        *--end = 0;
    return text;
}

/* Cuts text at one of the marks, outside parentheses; returns what follows, or NULL at its end. */
static char *cut(char *text, const char *marks)
{
    int32_t depth = 0;
    for (; *text; text++) {
        depth += *text == '(' ? 1 : *text == ')' ? -1 : 0;
        if (depth == 0 && strchr(marks, *text)) {
            *text = 0;
            return text + 1;
        }
    }
    return NULL;
}

static void split(struct row *row)
{
    char *cell = row->text + 1;
    for (int32_t c = 0; c < CELLS; c++) {
        char *next = cell ? strchr(cell, '|') : NULL;
        row->parts[c] = 0;
        if (next)
            *next++ = 0;
        for (char *part = cell; part && row->parts[c] < PARTS;) {
            char *rest = cut(part, ";");
            row->cells[c][row->parts[c]++] = trim(part);
            part = rest;
        }
        cell = next;
    }
}

/* What the cell says of part `part` of the first one; "" where it says nothing. */
static const char *said(const struct row *row, int32_t cell, int32_t part)
{
    if (row->parts[cell] == 0)
        return "";
    return row->cells[cell][part < row->parts[cell] ? part : 0];
}

static bool has_word(const char *text, const char *word)
{
    size_t length = strlen(word);
    for (const char *at = strstr(text, word); at; at = strstr(at + 1, word)) {
        bool begins = at == text || strchr(" ,", at[-1]);
        if (begins && (!at[length] || strchr(" ,", at[length])))
            return true;
    }
    return false;
}

static bool expect_word(const char *what, const char *text, const char *word)
{
    ct_note("%s is \"%s\", the test has %s", what, text, word);
    return ct_expect_true(has_word(text, word));
}

/* "256/8/1", "512 + Z 256/12/0", "16 or 128†/1/1, `weight_on` INPUT", or nothing in numbers. */
static void check_sizes(const char *text, const sluice_router *router)
{
    ct_note("sizes \"%s\"; the test has %d + %d/%d/%d", text, router->experts, router->zero_experts,
            router->top_k, router->shared);
    if (strchr("0123456789", text[0]) == NULL || !text[0])
        return;
    char plain[256] = "", *end;
    for (size_t n = 0; *text && n < sizeof plain - 1; text++)
        if ((unsigned char)*text < 0x80)
            plain[n++] = *text; /* without the daggers */
    long experts = strtol(plain, &end, 10), zero = 0;
    if (strncmp(end, " or ", 4) == 0) {
        long other = strtol(end + 4, &end, 10);
        experts = router->experts == other ? other : experts;
    }
    if (strncmp(end, " + Z ", 5) == 0)
        zero = strtol(end + 5, &end, 10);
    ct_eq_i64(router->experts, experts);
    ct_eq_i64(router->zero_experts, zero);
    if (*end == '/')
        ct_eq_i64(router->top_k, strtol(end + 1, &end, 10));
    if (*end == '/')
        ct_eq_i64(router->shared, strtol(end + 1, &end, 10));
    ct_true(has_word(end, "SIGMOID") == (router->shared_weight == SLUICE_SHARED_SIGMOID));
    ct_true(has_word(end, "JOINT") == (router->shared_weight == SLUICE_SHARED_JOINT));
    ct_true(has_word(end, "NULL") == (router->zero_kind == SLUICE_ZERO_NULL));
    ct_true(has_word(end, "INPUT") == (router->weight_on == SLUICE_WEIGHT_ON_INPUT));
}

static void check_groups(const char *text, const sluice_router *router)
{
    int groups = 1, kept = 0;
    bool counted = sscanf(text, "%d/%d", &groups, &kept) == 2;
    ct_note("groups \"%s\"; the test has %d/%d", text, router->groups, router->keep_groups);
    if (strcmp(text, "config") == 0)
        return;
    ct_true(has_word(text, "TOP2") == (router->group_value == SLUICE_GROUP_TOP2));
    ct_true(has_word(text, "EVEN") == (router->group_mode == SLUICE_GROUPS_EVEN));
    if (!has_word(text, "EVEN"))
        ct_eq_i64(router->groups ? router->groups : 1, groups);
    if (counted && groups > 1)
        ct_eq_i64(router->keep_groups, kept);
}

static void check_weights(const char *renorm, const char *scale, const sluice_router *router)
{
    int wanted = 0;
    float number = 0;
    ct_note("renorm \"%s\", scale \"%s\"; the test has %d, %g, %g, %g", renorm, scale,
            router->renorm, (double)router->renorm_eps, (double)router->renorm_floor,
            (double)router->scale);
    if (sscanf(renorm, "%d", &wanted) == 1)
        ct_eq_i64(router->renorm, wanted);
    if (sscanf(renorm, "1, floor %f", &number) == 1)
        ct_eq_f32bits(router->renorm_floor, number);
    else
        ct_eq_f32bits(router->renorm_eps, sscanf(renorm, "1, %f", &number) == 1 ? number : 0.0F);
    if (sscanf(scale, "%f", &number) == 1)
        ct_eq_f32bits(router->scale != 0 ? router->scale : 1.0F, number);
    else if (!scale[0])
        ct_eq_f32bits(router->scale, 0);
}

static void check_model(const struct row *row, int32_t part, const sluice_router *router)
{
    static const char *const scores[] = {"softmax", "sigmoid", "√softplus"};
    static const char *const biases[] = {"", "SCORE", "RANK_LOGIT", "LOGIT"};
    const char *bias = said(row, BIAS, part);
    (void)expect_word("score", said(row, SCORE, part), scores[router->score]);
    if (router->bias_use || bias[0])
        (void)expect_word("bias_use", bias, biases[router->bias_use]);
    check_groups(said(row, GROUPS, part), router);
    check_sizes(said(row, SIZES, part), router);
    /* "1; config" are two ways of one family, not two families. */
    if (row->parts[RENORM] <= row->parts[FAMILY])
        check_weights(said(row, RENORM, part), said(row, SCALE, part), router);
}

/* Every name of the first cell: is it among the models, and are they what the row says? */
static int32_t check_row(struct row *row, bool *named, bool whole)
{
    int32_t found = 0;
    for (int32_t part = 0; part < row->parts[FAMILY]; part++)
        for (char *name = row->cells[FAMILY][part], *rest; name; name = rest, found++) {
            rest = cut(name, ",");
            name = trim(name);
            bool there = false;
            for (int32_t i = 0; i < choose_model_count && !ct_failed(); i++) {
                if (strcmp(choose_models[i].name, name) != 0)
                    continue;
                there = named[i] = true;
                if (whole)
                    check_model(row, part, &choose_models[i].router);
            }
            if (!ct_failed())
                ct_note("family \"%s\"", name);
            if (!ct_expect_true(there))
                return found;
        }
    return found;
}

/* whole: what the cells say too, not the names alone. */
static void check_page(const char *path, bool whole)
{
    FILE *file = fopen(path, "r");
    ct_note("%s", path);
    ct_true(file != NULL);
    bool *named = ct_alloc((size_t)choose_model_count * sizeof *named), inside = false;
    struct row *row = ct_alloc(sizeof *row);
    int32_t found = 0;
    while (fgets(row->text, sizeof row->text, file) && !ct_failed()) {
        if (strncmp(row->text, "| family |", 10) == 0)
            inside = true;
        else if (inside && row->text[0] != '|')
            break;
        else if (inside && row->text[2] != '-') {
            split(row);
            found += check_row(row, named, whole);
        }
    }
    (void)fclose(file);
    if (ct_failed())
        return;
    ct_true(found > 80);
    for (int32_t i = 0; i < choose_model_count; i++) {
        ct_note("%s has %s", path, choose_models[i].name);
        ct_true(named[i]);
    }
}

CT(choose, serves_what_the_table_says,
   "every family of the table of models is tested with the settings that the table gives")
{
    check_page("abi/routers.md", true);
}

CT(choose, leaves_no_model_out, "the table of models has every family of the design's table")
{
    const char *path = ct_shared("design/ROUTERS.md");
    check_page(path ? path : "abi/routers.md", false);
}
