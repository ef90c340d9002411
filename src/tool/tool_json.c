#include "tool_json.h"

#include "tool_file.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct parser {
    const uint8_t *at, *start, *end;
    struct sl_json *json;
    char *err;
    size_t n;
    size_t open[SL_JSON_MAX_DEPTH]; /* the containers that are open, outermost first */
    int depth;
};

static int fail(struct parser *p, const char *what)
{
    size_t line = 1, column = 1;
    for (const uint8_t *q = p->start; q < p->at; q++) {
        column++;
        if (*q == '\n') {
            line++;
            column = 1;
        }
    }
    return sl_tool_error(p->err, p->n, "line %zu, column %zu: %s", line, column, what);
}

static int peek(const struct parser *p)
{
    return p->at < p->end ? *p->at : -1;
}

static void skip_space(struct parser *p)
{
    while (p->at < p->end && (*p->at == ' ' || *p->at == '\n' || *p->at == '\t' || *p->at == '\r'))
        p->at++;
}

static struct sl_json_node *add(struct parser *p, uint32_t type)
{
    struct sl_json *j = p->json;
    if (j->nodes == j->room) {
        size_t room = j->room == 0 ? 64 : j->room + j->room / 2;
        struct sl_json_node *node =
            room > SIZE_MAX / sizeof *node ? NULL : realloc(j->node, room * sizeof *node);
        if (node == NULL) {
            (void)fail(p, "no memory");
            return NULL;
        }
        j->node = node;
        j->room = room;
    }
    struct sl_json_node *made = &j->node[j->nodes++];
    memset(made, 0, sizeof *made);
    made->type = type;
    return made;
}

static int hex4(struct parser *p, uint32_t *out)
{
    if (p->end - p->at < 4)
        return fail(p, "\\u needs four hexadecimal digits");
    uint32_t v = 0;
    for (int i = 0; i < 4; i++) {
        uint32_t c = p->at[i], lower = c | 32u;
        if (c >= '0' && c <= '9')
            v = v << 4 | (c - '0');
        else if (lower >= 'a' && lower <= 'f')
            v = v << 4 | (lower - 'a' + 10);
        else
            return fail(p, "\\u needs four hexadecimal digits");
    }
    p->at += 4;
    *out = v;
    return 0;
}

static char *put_utf8(char *out, uint32_t c)
{
    if (c < 0x80) {
        *out++ = (char)c;
        return out;
    }
    int more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
    *out++ = (char)((more == 1 ? 0xC0u : more == 2 ? 0xE0u : 0xF0u) | c >> (6 * more));
    while (more-- > 0)
        *out++ = (char)(0x80u | (c >> (6 * more) & 63u));
    return out;
}

static int take_escape(struct parser *p, char **out)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    int c = peek(p);
    const char *plain = c > 0 ? strchr(from, c) : NULL;
    if (plain != NULL) {
        *(*out)++ = to[plain - from];
        p->at++;
        return 0;
    }
    if (c != 'u')
        return fail(p, "unknown escape in a string");
    p->at++;
    uint32_t high = 0, low = 0;
    if (hex4(p, &high) != 0)
        return -1;
    if (high >= 0xD800 && high < 0xE000) {
        if (high >= 0xDC00 || p->end - p->at < 2 || p->at[0] != '\\' || p->at[1] != 'u')
            return fail(p, "half of a surrogate pair");
        p->at += 2;
        if (hex4(p, &low) != 0)
            return -1;
        if (low < 0xDC00 || low >= 0xE000)
            return fail(p, "half of a surrogate pair");
        high = 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00);
    }
    *out = put_utf8(*out, high);
    return 0;
}

static int take_utf8(struct parser *p, char **out)
{
    uint32_t c = *p->at;
    int more = c < 0x80 ? 0 : c >= 0xC2 && c < 0xE0 ? 1 : c >= 0xE0 && c < 0xF0 ? 2 : 3;
    if ((c >= 0x80 && c < 0xC2) || c > 0xF4 || p->end - p->at <= more)
        return fail(p, "invalid UTF-8");
    uint32_t value = more == 0 ? c : c & (0x3Fu >> more);
    for (int i = 1; i <= more; i++) {
        if ((p->at[i] & 0xC0u) != 0x80u)
            return fail(p, "invalid UTF-8");
        value = value << 6 | (p->at[i] & 63u);
    }
    if ((more == 2 && (value < 0x800 || (value >= 0xD800 && value < 0xE000))) ||
        (more == 3 && (value < 0x10000 || value > 0x10FFFF)))
        return fail(p, "invalid UTF-8");
    memcpy(*out, p->at, (size_t)more + 1);
    *out += more + 1;
    p->at += more + 1;
    return 0;
}

/* Unescaped text is never longer than escaped, so text has room for all strings from the start. */
static int take_string(struct parser *p)
{
    struct sl_json *j = p->json;
    char *first = j->text + j->text_size, *out = first;
    p->at++;
    for (;;) {
        int c = peek(p), rc;
        if (c < 0)
            return fail(p, "a string does not end");
        if (c < 0x20)
            return fail(p, "control character in a string");
        if (c == '"')
            break;
        if (c == '\\') {
            p->at++;
            rc = take_escape(p, &out);
        } else {
            rc = take_utf8(p, &out);
        }
        if (rc != 0)
            return -1;
    }
    p->at++;
    if ((size_t)(out - first) > UINT32_MAX)
        return fail(p, "a string is too long");
    struct sl_json_node *node = add(p, SL_JSON_STRING);
    if (node == NULL)
        return -1;
    node->count = (uint32_t)(out - first);
    node->as.text = j->text_size;
    *out++ = 0;
    j->text_size = (size_t)(out - j->text);
    return 0;
}

static int is_digit(int c)
{
    return c >= '0' && c <= '9';
}

static int take_digits(struct parser *p)
{
    if (!is_digit(peek(p)))
        return fail(p, "a digit was expected");
    while (is_digit(peek(p)))
        p->at++;
    return 0;
}

/* Exact where it fits: [first, last) are the digits before the point. */
static int to_integer(const uint8_t *first, const uint8_t *last, int negative, int64_t *value)
{
    uint64_t v = 0, limit = (uint64_t)INT64_MAX + (negative ? 1u : 0u);
    for (; first < last; first++) {
        uint64_t digit = (uint64_t)(*first - '0');
        if (v > (limit - digit) / 10)
            return 0;
        v = v * 10 + digit;
    }
    *value = !negative ? (int64_t)v : v == limit ? INT64_MIN : -(int64_t)v;
    return 1;
}

static int take_real(struct parser *p, const uint8_t *first, double *value)
{
    char copy[512];
    size_t length = (size_t)(p->at - first);
    if (length >= sizeof copy)
        return fail(p, "a number is too long");
    memcpy(copy, first, length);
    copy[length] = 0;
    *value = strtod(copy, NULL);
    return isfinite(*value) ? 0 : fail(p, "a number is beyond a double");
}

static int take_number(struct parser *p)
{
    const uint8_t *first = p->at;
    int negative = peek(p) == '-', whole = 1;
    p->at += negative;
    const uint8_t *digits = p->at;
    if (take_digits(p) != 0)
        return -1;
    const uint8_t *point = p->at;
    if (*digits == '0' && point - digits > 1)
        return fail(p, "a number with a leading zero");
    if (peek(p) == '.') {
        p->at++;
        const uint8_t *fraction = p->at;
        if (take_digits(p) != 0)
            return -1;
        for (; fraction < p->at; fraction++)
            whole = whole && *fraction == '0';
    }
    if (peek(p) == 'e' || peek(p) == 'E') {
        whole = 0;
        p->at++;
        if (peek(p) == '+' || peek(p) == '-')
            p->at++;
        if (take_digits(p) != 0)
            return -1;
    }
    int64_t integer = 0;
    double real = 0;
    /* -0 is no integer: its sign would be lost. */
    int exact = whole && to_integer(digits, point, negative, &integer) && !(negative && !integer);
    if (!exact && take_real(p, first, &real) != 0)
        return -1;
    struct sl_json_node *node = add(p, exact ? SL_JSON_INT : SL_JSON_REAL);
    if (node == NULL)
        return -1;
    if (exact)
        node->as.integer = integer;
    else
        node->as.real = real;
    return 0;
}

static int take_word(struct parser *p, const char *word, uint32_t type)
{
    size_t length = strlen(word);
    if ((size_t)(p->end - p->at) < length || memcmp(p->at, word, length) != 0)
        return fail(p, "a value was expected");
    p->at += length;
    return add(p, type) == NULL ? -1 : 0;
}

static int open_container(struct parser *p, uint32_t type)
{
    if (p->depth == SL_JSON_MAX_DEPTH)
        return fail(p, "nested too deeply");
    p->at++;
    if (add(p, type) == NULL)
        return -1;
    p->open[p->depth++] = p->json->nodes - 1;
    return 0;
}

/* A scalar whole; of a container only the bracket. */
static int take_value(struct parser *p)
{
    switch (peek(p)) {
    case '{':
        return open_container(p, SL_JSON_OBJECT);
    case '[':
        return open_container(p, SL_JSON_ARRAY);
    case '"':
        return take_string(p);
    case 't':
        return take_word(p, "true", SL_JSON_TRUE);
    case 'f':
        return take_word(p, "false", SL_JSON_FALSE);
    case 'n':
        return take_word(p, "null", SL_JSON_NULL);
    default:
        if (peek(p) == '-' || is_digit(peek(p)))
            return take_number(p);
        return fail(p, p->at == p->end ? "the text ends too early" : "a value was expected");
    }
}

static int check_new(struct parser *p, size_t object)
{
    const struct sl_json *j = p->json;
    const struct sl_json_node *key = &j->node[j->nodes - 1], *other;
    if (j->node[object].count == SL_JSON_MAX_MEMBERS)
        return fail(p, "an object has too many members");
    for (size_t at = object + 1; at + 1 < j->nodes; at = sl_json_next(j, at + 1)) {
        other = &j->node[at];
        if (other->count == key->count &&
            memcmp(j->text + other->as.text, j->text + key->as.text, key->count) == 0)
            return fail(p, "a key occurs twice");
    }
    return 0;
}

static int take_key(struct parser *p, size_t object)
{
    if (peek(p) != '"')
        return fail(p, "a key was expected");
    if (take_string(p) != 0 || check_new(p, object) != 0)
        return -1;
    skip_space(p);
    if (peek(p) != ':')
        return fail(p, "':' was expected");
    p->at++;
    skip_space(p);
    return 0;
}

/* Closes all containers that end here; afterwards stands before the next value, or at depth 0. */
static int to_next(struct parser *p)
{
    while (p->depth > 0) {
        struct sl_json_node *open = &p->json->node[p->open[p->depth - 1]];
        int object = open->type == SL_JSON_OBJECT;
        skip_space(p);
        if (peek(p) == (object ? '}' : ']')) {
            p->at++;
            open->as.end = p->json->nodes;
            p->depth--;
            continue;
        }
        if (open->count > 0) {
            if (peek(p) != ',')
                return fail(p, object ? "',' or '}' was expected" : "',' or ']' was expected");
            p->at++;
            skip_space(p);
        }
        if (object && take_key(p, p->open[p->depth - 1]) != 0)
            return -1;
        open = &p->json->node[p->open[p->depth - 1]];
        if (open->count == UINT32_MAX)
            return fail(p, "an array is too long");
        open->count++;
        return 0;
    }
    return 0;
}

static int take_document(struct parser *p)
{
    do {
        skip_space(p);
        if (take_value(p) != 0 || to_next(p) != 0)
            return -1;
    } while (p->depth > 0);
    skip_space(p);
    return p->at == p->end ? 0 : fail(p, "text after the value");
}

int sl_json_parse(const uint8_t *bytes, size_t size, struct sl_json *json, char *err, size_t n)
{
    memset(json, 0, sizeof *json);
    if (size == 0)
        bytes = (const uint8_t *)"";
    struct parser p = {.at = bytes, .start = bytes, .end = bytes + size, .json = json};
    p.err = err;
    p.n = n;
    json->text = size == SIZE_MAX ? NULL : malloc(size + 1);
    if (json->text == NULL)
        return fail(&p, "no memory");
    if (take_document(&p) != 0) {
        sl_json_free(json);
        return -1;
    }
    return 0;
}

int sl_json_load(const char *path, struct sl_json *json, char *err, size_t n)
{
    uint8_t *bytes = NULL;
    size_t size = 0;
    memset(json, 0, sizeof *json);
    if (sl_tool_read(path, &bytes, &size, err, n) != 0)
        return -1;
    char why[160];
    int rc = sl_json_parse(bytes, size, json, why, sizeof why);
    free(bytes);
    return rc == 0 ? 0 : sl_tool_error(err, n, "%s: %s", path, why);
}

void sl_json_free(struct sl_json *json)
{
    free(json->node);
    free(json->text);
    memset(json, 0, sizeof *json);
}
