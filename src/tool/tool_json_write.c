#include "tool_json.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>

enum { IN_ARRAY = 1, IN_OBJECT = 2 };

static void line(struct sl_json_writer *w)
{
    (void)fprintf(w->file, "\n%*s", 2 * w->depth, "");
}

/* What stands between the last value and the next one. */
static void lead(struct sl_json_writer *w, int container)
{
    if (w->after_key) {
        w->after_key = 0;
        return;
    }
    if (w->depth == 0)
        return;
    unsigned char *filled = &w->filled[w->depth - 1];
    if (*filled)
        (void)fputc(',', w->file);
    if (container || w->kind[w->depth - 1] == IN_OBJECT)
        line(w);
    else if (*filled)
        (void)fputc(' ', w->file);
    /* 2: this array has containers, so its bracket closes on a line of its own. */
    if (container || *filled == 0)
        *filled = container ? 2 : 1;
}

static void quote(FILE *file, const char *text)
{
    (void)fputc('"', file);
    for (const char *c = text; *c != 0; c++) {
        unsigned char u = (unsigned char)*c;
        if (u == '"' || u == '\\')
            (void)fprintf(file, "\\%c", u);
        else if (u < 0x20 || u == 0x7F)
            (void)fprintf(file, "\\u%04x", u);
        else
            (void)fputc(u, file);
    }
    (void)fputc('"', file);
}

void sl_jw_begin(struct sl_json_writer *w, FILE *file)
{
    *w = (struct sl_json_writer){.file = file};
}

static void open_container(struct sl_json_writer *w, unsigned char kind)
{
    lead(w, 1);
    assert(w->depth < SL_JSON_MAX_DEPTH);
    (void)fputc(kind == IN_OBJECT ? '{' : '[', w->file);
    w->kind[w->depth] = kind;
    w->filled[w->depth] = 0;
    w->depth++;
}

void sl_jw_object(struct sl_json_writer *w)
{
    open_container(w, IN_OBJECT);
}
void sl_jw_array(struct sl_json_writer *w)
{
    open_container(w, IN_ARRAY);
}

void sl_jw_close(struct sl_json_writer *w)
{
    assert(w->depth > 0);
    w->depth--;
    int object = w->kind[w->depth] == IN_OBJECT;
    if (w->filled[w->depth] == 2 || (object && w->filled[w->depth] != 0))
        line(w);
    (void)fputc(object ? '}' : ']', w->file);
    if (w->depth == 0)
        (void)fputc('\n', w->file);
}

void sl_jw_key(struct sl_json_writer *w, const char *key)
{
    lead(w, 0);
    quote(w->file, key);
    (void)fputs(": ", w->file);
    w->after_key = 1;
}

void sl_jw_string(struct sl_json_writer *w, const char *text)
{
    lead(w, 0);
    quote(w->file, text);
}

void sl_jw_int(struct sl_json_writer *w, int64_t value)
{
    lead(w, 0);
    (void)fprintf(w->file, "%" PRId64, value);
}

void sl_jw_real(struct sl_json_writer *w, double value)
{
    if (!isfinite(value)) {
        sl_jw_null(w);
        return;
    }
    lead(w, 0);
    (void)fprintf(w->file, "%.17g", value);
}

void sl_jw_bool(struct sl_json_writer *w, int value)
{
    lead(w, 0);
    (void)fputs(value ? "true" : "false", w->file);
}

void sl_jw_null(struct sl_json_writer *w)
{
    lead(w, 0);
    (void)fputs("null", w->file);
}
