#include "ct_json.h"

#include "ct.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum kind { JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

struct ct_json {
    enum kind kind;
    double number; /* also a bool's value */
    char *text;    /* a string's text; a number's, for exact integers */
    char *key;     /* as a member of an object */
    struct ct_json *items;
    size_t count;
};

struct parser {
    const char *at;
    const char *begin;
    const char *error;
    int depth;
};

static char error[256];

const char *ct_json_error(void)
{
    return error;
}

static bool parse_value(struct parser *p, struct ct_json *out);

static bool fail(struct parser *p, const char *why)
{
    if (!p->error)
        p->error = why;
    return false;
}

static void skip_space(struct parser *p)
{
    p->at += strspn(p->at, " \t\r\n");
}

static bool take(struct parser *p, const char *word)
{
    size_t length = strlen(word);
    if (strncmp(p->at, word, length) != 0)
        return false;
    p->at += length;
    return true;
}

static char *put_utf8(char *out, unsigned code)
{
    if (code < 0x80) {
        *out++ = (char)code;
    } else if (code < 0x800) {
        *out++ = (char)(0xc0 | code >> 6);
        *out++ = (char)(0x80 | (code & 63));
    } else {
        *out++ = (char)(0xe0 | code >> 12);
        *out++ = (char)(0x80 | (code >> 6 & 63));
        *out++ = (char)(0x80 | (code & 63));
    }
    return out;
}

static bool parse_escape(struct parser *p, char **out)
{
    static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
    char c = *p->at++;
    const char *found = c ? strchr(names, c) : NULL;
    if (found) {
        *(*out)++ = values[found - names];
        return true;
    }
    char hex[5] = {0}, *end = hex;
    if (c != 'u')
        return fail(p, "unknown escape");
    strncpy(hex, p->at, 4);
    unsigned code = (unsigned)strtoul(hex, &end, 16);
    if (end != hex + 4)
        return fail(p, "bad \\u escape");
    p->at += 4;
    *out = put_utf8(*out, code);
    return true;
}

static char *parse_string(struct parser *p)
{
    if (*p->at != '"') {
        fail(p, "a string should stand here");
        return NULL;
    }
    p->at++;
    size_t room = 1;
    for (const char *s = p->at; *s && *s != '"'; s++, room++)
        if (*s == '\\' && s[1])
            s++, room++;
    char *text = malloc(room), *out = text;
    while (text && *p->at && *p->at != '"') {
        if (*p->at != '\\') {
            *out++ = *p->at++;
            continue;
        }
        p->at++;
        if (!parse_escape(p, &out))
            break;
    }
    if (!text || p->error || *p->at != '"') {
        fail(p, text ? "a string does not end" : "no memory");
        free(text);
        return NULL;
    }
    p->at++;
    *out = 0;
    return text;
}

/* Members or elements up to the closing bracket. */
static bool parse_items(struct parser *p, struct ct_json *out, char close)
{
    size_t room = 0;
    skip_space(p);
    while (*p->at != close) {
        if (out->count && *p->at++ != ',')
            return fail(p, "a comma should stand here");
        if (out->count == room) {
            room = room ? 2 * room : 4;
            struct ct_json *grown = realloc(out->items, room * sizeof *grown);
            if (!grown)
                return fail(p, "no memory");
            out->items = grown;
        }
        struct ct_json *item = &out->items[out->count++];
        memset(item, 0, sizeof *item);
        skip_space(p);
        if (out->kind == JSON_OBJECT) {
            item->key = parse_string(p);
            skip_space(p);
            if (!item->key || *p->at++ != ':')
                return fail(p, "a key and a colon should stand here");
        }
        if (!parse_value(p, item))
            return false;
        skip_space(p);
    }
    p->at++;
    return true;
}

static bool parse_number(struct parser *p, struct ct_json *out)
{
    char *end = NULL;
    size_t length = strspn(p->at, "+-0123456789.eEInfinityNa");
    out->kind = JSON_NUMBER;
    out->number = strtod(p->at, &end); /* Python writes NaN and Infinity, which strtod reads */
    if (!length || end != p->at + length)
        return fail(p, "a value should stand here");
    out->text = malloc(length + 1);
    if (!out->text)
        return fail(p, "no memory");
    memcpy(out->text, p->at, length);
    out->text[length] = 0;
    p->at = end;
    return true;
}

static bool parse_value(struct parser *p, struct ct_json *out)
{
    skip_space(p);
    if (*p->at == '{' || *p->at == '[') {
        bool object = *p->at++ == '{';
        out->kind = object ? JSON_OBJECT : JSON_ARRAY;
        if (++p->depth > 64)
            return fail(p, "nested too deep");
        bool ok = parse_items(p, out, object ? '}' : ']');
        p->depth--;
        return ok;
    }
    if (*p->at == '"') {
        out->kind = JSON_STRING;
        out->text = parse_string(p);
        return out->text != NULL;
    }
    if (take(p, "null"))
        return true;
    bool truth = take(p, "true");
    if (truth || take(p, "false")) {
        out->kind = JSON_BOOL;
        out->number = truth;
        return true;
    }
    return parse_number(p, out);
}

static void free_inside(struct ct_json *value)
{
    for (size_t i = 0; i < value->count; i++)
        free_inside(&value->items[i]);
    free(value->items);
    free(value->text);
    free(value->key);
}

void ct_json_free(ct_json *root)
{
    if (root)
        free_inside(root);
    free(root);
}

ct_json *ct_json_parse(const char *text)
{
    struct parser p = {.at = text, .begin = text};
    ct_json *root = calloc(1, sizeof *root);
    if (root && parse_value(&p, root)) {
        skip_space(&p);
        if (!*p.at)
            return root;
        fail(&p, "something stands after the end");
    }
    snprintf(error, sizeof error, "byte %td: %s", p.at - p.begin, p.error ? p.error : "no memory");
    ct_json_free(root);
    return NULL;
}

ct_json *ct_json_load(const char *path)
{
    FILE *file = fopen(path, "rb");
    char *text = NULL;
    size_t size = 0, got = 0;
    ct_json *root = NULL;
    snprintf(error, sizeof error, "%.200s: cannot be read", path);
    if (!file)
        return NULL;
    do {
        size = size ? 2 * size : 65536;
        char *grown = realloc(text, size + 1);
        if (!grown)
            break;
        text = grown;
        got += fread(text + got, 1, size - got, file);
    } while (got == size);
    if (text && got < size && !ferror(file)) {
        text[got] = 0;
        root = ct_json_parse(text);
    }
    free(text);
    fclose(file);
    return root;
}

const ct_json *ct_json_get(const ct_json *object, const char *key)
{
    if (object && object->kind == JSON_OBJECT)
        for (size_t i = 0; i < object->count; i++)
            if (strcmp(object->items[i].key, key) == 0)
                return &object->items[i];
    return NULL;
}

const ct_json *ct_json_at(const ct_json *array, size_t index)
{
    return array && index < array->count ? &array->items[index] : NULL;
}

const char *ct_json_key(const ct_json *object, size_t index)
{
    const ct_json *member = ct_json_at(object, index);
    return member ? member->key : NULL;
}

size_t ct_json_len(const ct_json *value)
{
    return value ? value->count : 0;
}

bool ct_json_is_null(const ct_json *value)
{
    return !value || value->kind == JSON_NULL;
}

double ct_json_num(const ct_json *value, double otherwise)
{
    return value && value->kind == JSON_NUMBER ? value->number : otherwise;
}

long long ct_json_int(const ct_json *value, long long otherwise)
{
    if (!value || value->kind != JSON_NUMBER)
        return otherwise;
    char *end = NULL;
    long long n = strtoll(value->text, &end, 10);
    return *end ? llrint(value->number) : n;
}

const char *ct_json_str(const ct_json *value, const char *otherwise)
{
    return value && value->kind == JSON_STRING ? value->text : otherwise;
}

bool ct_json_bool(const ct_json *value, bool otherwise)
{
    return value && value->kind == JSON_BOOL ? value->number != 0 : otherwise;
}

static const ct_json *golden_index(void)
{
    static ct_json *index; /* kept to the end of the program: every golden test asks */
    static bool tried;
    if (!tried) {
        const char *path = ct_shared("golden/index.json");
        tried = true;
        index = path ? ct_json_load(path) : NULL;
    }
    return index;
}

const ct_json *ct_golden_cases(void)
{
    return ct_json_get(golden_index(), "cases");
}

int ct_golden_count(int whole, int part)
{
    return ct_json_bool(ct_json_get(golden_index(), "part"), false) ? part : whole;
}

const ct_json *ct_golden_case(const char *name)
{
    const ct_json *cases = ct_golden_cases();
    for (size_t i = 0; i < ct_json_len(cases); i++) {
        const ct_json *one = ct_json_at(cases, i);
        if (strcmp(ct_json_str(ct_json_get(one, "case"), ""), name) == 0)
            return one;
    }
    return NULL;
}
