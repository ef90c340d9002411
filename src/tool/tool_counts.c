#include "tool_counts.h"

#include "tool_file.h"
#include "tool_json.h"

#include <stdlib.h>
#include <string.h>

/* Where in the nested arrays an error is; step -1 where there are no steps. */
struct place {
    int32_t step, layer, column;
};

struct grid {
    const struct sl_json *json;
    const char *column_name;
    char *err;
    size_t n;
};

static int say(const struct grid *g, struct place at, const char *what)
{
    char step[32] = "", column[48] = "";
    if (at.step >= 0)
        (void)snprintf(step, sizeof step, "step %d, ", at.step);
    if (at.column >= 0)
        (void)snprintf(column, sizeof column, ", %s %d", g->column_name, at.column);
    return sl_tool_error(g->err, g->n, "%slayer %d%s: %s", step, at.layer, column, what);
}

static uint32_t type_of(const struct grid *g, size_t at)
{
    return g->json->node[at].type;
}

/* Element 0 of an array; what is no array or empty gives 0. */
static size_t first_of(const struct grid *g, size_t at)
{
    const struct sl_json_node *node = &g->json->node[at];
    return node->type == SL_JSON_ARRAY && node->count > 0 ? at + 1 : 0;
}

/* The key's value, which must be an array in an array. */
static size_t find_grid(const struct grid *g, const char *key, const char *other)
{
    size_t at = sl_json_get(g->json, 0, key);
    if (at == 0) {
        int has_other = sl_json_get(g->json, 0, other) != 0;
        (void)sl_tool_error(g->err, g->n, "no \"%s\" in it%s%s%s", key,
                            has_other ? "; it has \"" : "", has_other ? other : "",
                            has_other ? "\"" : "");
        return 0;
    }
    size_t row = first_of(g, at);
    if (row == 0 || first_of(g, row) == 0) {
        (void)sl_tool_error(g->err, g->n, "\"%s\" is not a filled array of arrays", key);
        return 0;
    }
    return at;
}

static int extent(const struct grid *g, size_t at, int32_t *out)
{
    uint32_t count = g->json->node[at].count;
    if (count > INT32_MAX)
        return sl_tool_error(g->err, g->n, "an array has more than %d elements", INT32_MAX);
    *out = (int32_t)count;
    return 0;
}

static int check_row(const struct grid *g, size_t row, int32_t want, struct place at)
{
    char what[96];
    if (type_of(g, row) != SL_JSON_ARRAY) {
        (void)snprintf(what, sizeof what, "%s; an array was expected",
                       sl_json_type_name(type_of(g, row)));
        return say(g, at, what);
    }
    if (g->json->node[row].count != (uint32_t)want) {
        (void)snprintf(what, sizeof what, "%u elements; %d were expected",
                       (unsigned)g->json->node[row].count, want);
        return say(g, at, what);
    }
    return 0;
}

static int count_at(const struct grid *g, size_t node, struct place at, int64_t *value)
{
    char what[96];
    if (!sl_json_whole(g->json, node, value)) {
        if (type_of(g, node) == SL_JSON_REAL)
            (void)snprintf(what, sizeof what, "%.17g; a whole number was expected",
                           g->json->node[node].as.real);
        else
            (void)snprintf(what, sizeof what, "%s; a number was expected",
                           sl_json_type_name(type_of(g, node)));
        return say(g, at, what);
    }
    if (*value < 0) {
        (void)snprintf(what, sizeof what, "%lld tokens; a count is not negative",
                       (long long)*value);
        return say(g, at, what);
    }
    return 0;
}

/* Adds one [layers][E] to count. */
static int add_step(const struct grid *g, size_t step, struct place at, const struct sl_counts *c,
                    int64_t *count)
{
    size_t row = step + 1;
    for (at.layer = 0; at.layer < c->layers; at.layer++, row = sl_json_next(g->json, row)) {
        at.column = -1;
        if (check_row(g, row, c->experts, at) != 0)
            return -1;
        size_t node = row + 1;
        for (at.column = 0; at.column < c->experts; at.column++) {
            int64_t value = 0;
            if (count_at(g, node, at, &value) != 0)
                return -1;
            if (*count > INT64_MAX - value)
                return say(g, at, "the sum over steps is beyond 64 bits");
            *count++ += value;
            node = sl_json_next(g->json, node);
        }
    }
    return 0;
}

static int fill_counts(const struct grid *g, size_t at, int deep, enum sl_counts_steps how,
                       struct sl_counts *c)
{
    int32_t steps = 1;
    size_t step = deep ? at + 1 : at;
    if ((deep && extent(g, at, &steps) != 0) || extent(g, step, &c->layers) != 0 ||
        extent(g, step + 1, &c->experts) != 0)
        return -1;
    c->steps = how == SL_COUNTS_KEEP ? steps : 1;
    /* The layers' rows exist in the text and a node is larger than a count, so this product can
     * overflow only through rows that are shorter than the first. */
    size_t layer_room = (size_t)c->layers * (size_t)c->experts;
    if (layer_room > g->json->nodes || layer_room > SIZE_MAX / 8 / (size_t)c->steps ||
        layer_room * (size_t)c->steps > g->json->nodes)
        return sl_tool_error(g->err, g->n,
                             "%d steps, %d layers, %d experts in the first row: "
                             "not so many numbers in it",
                             steps, c->layers, c->experts);
    c->count = calloc(layer_room * (size_t)c->steps, sizeof *c->count);
    if (c->count == NULL)
        return sl_tool_error(g->err, g->n, "no memory for the counts");
    for (int32_t s = 0; s < steps; s++, step = sl_json_next(g->json, step)) {
        struct place here = {deep ? s : -1, 0, -1};
        if (deep &&
            (type_of(g, step) != SL_JSON_ARRAY || g->json->node[step].count != (uint32_t)c->layers))
            return sl_tool_error(g->err, g->n, "step %d: an array of %d layers was expected", s,
                                 c->layers);
        int64_t *to = c->count + (how == SL_COUNTS_KEEP ? (size_t)s * layer_room : 0);
        if (add_step(g, step, here, c, to) != 0)
            return -1;
    }
    return 0;
}

int sl_counts_parse(const uint8_t *bytes, size_t size, enum sl_counts_steps how,
                    struct sl_counts *counts, char *err, size_t n)
{
    memset(counts, 0, sizeof *counts);
    struct sl_json json;
    if (sl_json_parse(bytes, size, &json, err, n) != 0)
        return -1;
    struct grid g = {&json, "expert", err, n};
    size_t at = find_grid(&g, "logical_count", "physical_to_logical_map");
    int rc = -1;
    if (at != 0) {
        int deep = type_of(&g, first_of(&g, at) + 1) == SL_JSON_ARRAY;
        if (deep && first_of(&g, at + 2) == 0)
            rc = sl_tool_error(err, n, "step 0, layer 0: no experts");
        else
            rc = fill_counts(&g, at, deep, how, counts);
    }
    sl_json_free(&json);
    if (rc != 0)
        sl_counts_free(counts);
    return rc;
}

const int64_t *sl_counts_row(const struct sl_counts *counts, int32_t step, int32_t layer)
{
    size_t row = (size_t)step * (size_t)counts->layers + (size_t)layer;
    return counts->count + row * (size_t)counts->experts;
}

void sl_counts_free(struct sl_counts *counts)
{
    free(counts->count);
    memset(counts, 0, sizeof *counts);
}

static int load_ids(const char *path, struct sl_counts *counts, char *err, size_t n)
{
    struct sl_npy npy;
    char why[200];
    if (sl_npy_load(path, &npy, err, n))
        return -1;
    int rc = sl_counts_of_ids(&npy, counts, why, sizeof why);
    sl_npy_free(&npy);
    return rc == 0 ? 0 : sl_tool_error(err, n, "%s: %s", path, why);
}

int sl_counts_load(const char *path, enum sl_counts_steps how, struct sl_counts *counts, char *err,
                   size_t n)
{
    uint8_t *bytes = NULL;
    size_t size = 0, length = strlen(path);
    memset(counts, 0, sizeof *counts);
    if (length > 4 && strcmp(path + length - 4, ".npy") == 0)
        return load_ids(path, counts, err, n);
    if (sl_tool_read(path, &bytes, &size, err, n) != 0)
        return -1;
    char why[200];
    int rc = sl_counts_parse(bytes, size, how, counts, why, sizeof why);
    free(bytes);
    return rc == 0 ? 0 : sl_tool_error(err, n, "%s: %s", path, why);
}

static int fill_row(const struct grid *g, size_t row, struct place at, int32_t experts,
                    struct sl_placement *p)
{
    int32_t *out = p->expert + (size_t)at.layer * (size_t)p->slots;
    size_t node = row + 1;
    for (at.column = 0; at.column < p->slots; at.column++) {
        int64_t value = 0;
        char what[96];
        int whole = sl_json_whole(g->json, node, &value);
        int64_t limit = experts > 0 ? experts : INT32_MAX;
        if (!whole || value < -1 || value >= limit) {
            if (whole)
                (void)snprintf(what, sizeof what, "expert %lld; -1 to %lld was expected",
                               (long long)value, (long long)limit - 1);
            else
                (void)snprintf(what, sizeof what, "no whole number; an expert was expected");
            return say(g, at, what);
        }
        out[at.column] = (int32_t)value;
        if (value >= p->experts)
            p->experts = (int32_t)value + 1;
        node = sl_json_next(g->json, node);
    }
    return 0;
}

static int check_present(const struct grid *g, const struct sl_placement *p)
{
    if (p->experts == 0)
        return sl_tool_error(g->err, g->n, "all slots are empty");
    if (p->experts > p->slots)
        return sl_tool_error(g->err, g->n, "%d experts, but %d slots in a layer", p->experts,
                             p->slots);
    int32_t *seen = calloc((size_t)p->experts, sizeof *seen);
    if (seen == NULL)
        return sl_tool_error(g->err, g->n, "no memory for %d experts", p->experts);
    const int32_t *e = p->expert;
    int rc = 0;
    for (int32_t layer = 0; rc == 0 && layer < p->layers; layer++) {
        for (int32_t slot = 0; slot < p->slots; slot++, e++)
            if (*e >= 0)
                seen[*e] = layer + 1;
        for (int32_t i = 0; rc == 0 && i < p->experts; i++)
            if (seen[i] != layer + 1)
                rc = sl_tool_error(g->err, g->n, "layer %d: expert %d is in no slot", layer, i);
    }
    free(seen);
    return rc;
}

static int fill_placement(const struct grid *g, size_t at, int32_t experts, struct sl_placement *p)
{
    if (extent(g, at, &p->layers) != 0 || extent(g, at + 1, &p->slots) != 0)
        return -1;
    p->experts = experts;
    size_t room = (size_t)p->layers * (size_t)p->slots;
    size_t row = at + 1;
    /* As with counts: more than there are nodes means a short row, which is found below. */
    p->expert = calloc(room < g->json->nodes ? room : g->json->nodes, sizeof *p->expert);
    if (p->expert == NULL)
        return sl_tool_error(g->err, g->n, "no memory for the placement");
    for (int32_t layer = 0; layer < p->layers; layer++, row = sl_json_next(g->json, row)) {
        struct place here = {-1, layer, -1};
        if (check_row(g, row, p->slots, here) != 0 || fill_row(g, row, here, experts, p) != 0)
            return -1;
    }
    return check_present(g, p);
}

int sl_placement_parse(const uint8_t *bytes, size_t size, int32_t experts,
                       struct sl_placement *placement, char *err, size_t n)
{
    memset(placement, 0, sizeof *placement);
    struct sl_json json;
    if (sl_json_parse(bytes, size, &json, err, n) != 0)
        return -1;
    struct grid g = {&json, "slot", err, n};
    size_t at = find_grid(&g, "physical_to_logical_map", "logical_count");
    int rc = at == 0 ? -1 : fill_placement(&g, at, experts, placement);
    sl_json_free(&json);
    if (rc != 0)
        sl_placement_free(placement);
    return rc;
}

int sl_placement_load(const char *path, int32_t experts, struct sl_placement *placement, char *err,
                      size_t n)
{
    uint8_t *bytes = NULL;
    size_t size = 0;
    memset(placement, 0, sizeof *placement);
    if (sl_tool_read(path, &bytes, &size, err, n) != 0)
        return -1;
    char why[200];
    int rc = sl_placement_parse(bytes, size, experts, placement, why, sizeof why);
    free(bytes);
    return rc == 0 ? 0 : sl_tool_error(err, n, "%s: %s", path, why);
}

void sl_placement_free(struct sl_placement *placement)
{
    free(placement->expert);
    memset(placement, 0, sizeof *placement);
}

int sl_counts_save(const char *path, const struct sl_counts *counts, char *err, size_t n)
{
    FILE *file = sl_tool_create(path, err, n);
    if (file == NULL)
        return -1;
    struct sl_json_writer w;
    sl_jw_begin(&w, file);
    sl_jw_object(&w);
    sl_jw_key(&w, "logical_count");
    sl_jw_array(&w);
    for (int32_t step = 0; step < counts->steps; step++) {
        if (counts->steps > 1)
            sl_jw_array(&w);
        for (int32_t layer = 0; layer < counts->layers; layer++) {
            const int64_t *row = sl_counts_row(counts, step, layer);
            sl_jw_array(&w);
            for (int32_t e = 0; e < counts->experts; e++)
                sl_jw_int(&w, row[e]);
            sl_jw_close(&w);
        }
        if (counts->steps > 1)
            sl_jw_close(&w);
    }
    sl_jw_close(&w);
    sl_jw_close(&w);
    return sl_tool_close(file, path, err, n);
}

int sl_placement_save(const char *path, const struct sl_placement *placement, char *err, size_t n)
{
    FILE *file = sl_tool_create(path, err, n);
    if (file == NULL)
        return -1;
    struct sl_json_writer w;
    sl_jw_begin(&w, file);
    sl_jw_object(&w);
    sl_jw_key(&w, "physical_to_logical_map");
    sl_jw_array(&w);
    const int32_t *expert = placement->expert;
    for (int32_t layer = 0; layer < placement->layers; layer++) {
        sl_jw_array(&w);
        for (int32_t slot = 0; slot < placement->slots; slot++)
            sl_jw_int(&w, *expert++);
        sl_jw_close(&w);
    }
    sl_jw_close(&w);
    sl_jw_close(&w);
    return sl_tool_close(file, path, err, n);
}
