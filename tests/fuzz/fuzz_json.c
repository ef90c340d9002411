/* Any bytes are either refused with a message or a document that, written and read again, has the
 * same nodes. */
#include "tool/tool_json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t write_value(struct sl_json_writer *w, const struct sl_json *j, size_t at)
{
    const struct sl_json_node *node = &j->node[at];
    switch (node->type) {
    case SL_JSON_NULL:
        sl_jw_null(w);
        return at + 1;
    case SL_JSON_FALSE:
    case SL_JSON_TRUE:
        sl_jw_bool(w, node->type == SL_JSON_TRUE);
        return at + 1;
    case SL_JSON_INT:
        sl_jw_int(w, node->as.integer);
        return at + 1;
    case SL_JSON_REAL:
        sl_jw_real(w, node->as.real);
        return at + 1;
    case SL_JSON_STRING:
        sl_jw_string(w, sl_json_text(j, at));
        return at + 1;
    default:
        break;
    }
    int object = node->type == SL_JSON_OBJECT;
    uint32_t count = node->count;
    (object ? sl_jw_object : sl_jw_array)(w);
    for (at++; count > 0; count--) {
        if (object) {
            sl_jw_key(w, sl_json_text(j, at));
            at++;
        }
        at = write_value(w, j, at);
    }
    sl_jw_close(w);
    return at;
}

/* A zero byte inside a string ends it for the writer, which takes C strings. */
static int has_zero(const struct sl_json *j)
{
    for (size_t i = 0; i < j->nodes; i++)
        if (j->node[i].type == SL_JSON_STRING && strlen(sl_json_text(j, i)) != j->node[i].count)
            return 1;
    return 0;
}

static int same(const struct sl_json *a, const struct sl_json *b)
{
    if (a->nodes != b->nodes)
        return 0;
    for (size_t i = 0; i < a->nodes; i++) {
        const struct sl_json_node *x = &a->node[i], *y = &b->node[i];
        int64_t p = 0, q = 0;
        if (x->type == SL_JSON_REAL && sl_json_whole(a, i, &p)) {
            if (!sl_json_whole(b, i, &q) || p != q)
                return 0;
        } else if (x->type == SL_JSON_REAL && y->type == SL_JSON_INT) {
            if ((double)y->as.integer < x->as.real || (double)y->as.integer > x->as.real)
                return 0;
        } else if (x->type != y->type || x->count != y->count ||
                   (x->type == SL_JSON_STRING &&
                    strcmp(sl_json_text(a, i), sl_json_text(b, i)) != 0) ||
                   (x->type != SL_JSON_STRING && memcmp(&x->as, &y->as, sizeof x->as) != 0)) {
            return 0;
        }
    }
    return 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sl_json json, again;
    char err[160] = "", *text = NULL;
    size_t length = 0;
    if (sl_json_parse(data, size, &json, err, sizeof err) != 0) {
        if (strncmp(err, "line ", 5) != 0)
            abort();
        return 0;
    }
    FILE *file = has_zero(&json) ? NULL : open_memstream(&text, &length);
    if (file != NULL) {
        struct sl_json_writer w;
        sl_jw_begin(&w, file);
        (void)write_value(&w, &json, 0);
        (void)fclose(file);
        if (sl_json_parse((const uint8_t *)text, length, &again, err, sizeof err) != 0 ||
            !same(&json, &again))
            abort();
        sl_json_free(&again);
    }
    free(text);
    sl_json_free(&json);
    return 0;
}
