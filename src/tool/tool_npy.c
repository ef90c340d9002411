#include "tool_npy.h"

#include "tool_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *descr;
    size_t size;
} types[] = {
    [SL_NPY_U8] = {"|u1", 1},  [SL_NPY_U16] = {"<u2", 2}, [SL_NPY_I32] = {"<i4", 4},
    [SL_NPY_I64] = {"<i8", 8}, [SL_NPY_F16] = {"<f2", 2}, [SL_NPY_F32] = {"<f4", 4},
    [SL_NPY_F64] = {"<f8", 8},
};

const char *sl_npy_type_name(enum sl_npy_type type)
{
    return types[type].descr;
}

/* The header is the text of a Python dictionary. */
struct cursor {
    const char *at, *end;
    char *err;
    size_t n;
};

static void skip_space(struct cursor *c)
{
    while (c->at < c->end && (*c->at == ' ' || *c->at == '\n' || *c->at == '\t' || *c->at == '\r'))
        c->at++;
}

static int take(struct cursor *c, char want)
{
    skip_space(c);
    if (c->at == c->end || *c->at != want)
        return 0;
    c->at++;
    return 1;
}

static int take_string(struct cursor *c, const char **text, size_t *length)
{
    skip_space(c);
    if (c->at == c->end || (*c->at != '\'' && *c->at != '"'))
        return sl_tool_error(c->err, c->n, "header: a quoted string was expected");
    char quote = *c->at++;
    *text = c->at;
    while (c->at < c->end && *c->at != quote)
        c->at++;
    if (c->at == c->end)
        return sl_tool_error(c->err, c->n, "header: a string does not end");
    *length = (size_t)(c->at - *text);
    c->at++;
    return 0;
}

static int is(const char *text, size_t length, const char *word)
{
    return length == strlen(word) && memcmp(text, word, length) == 0;
}

static int take_descr(struct cursor *c, struct sl_npy *npy)
{
    skip_space(c);
    if (c->at < c->end && *c->at == '[')
        return sl_tool_error(c->err, c->n, "structured dtype; a plain number type was expected");
    const char *text = NULL;
    size_t length = 0;
    if (take_string(c, &text, &length) != 0)
        return -1;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (is(text, length, types[i].descr)) {
            npy->type = (enum sl_npy_type)i;
            return 0;
        }
    const char *why = "not a type this reads";
    if (length > 0 && text[0] == '>')
        why = "big endian";
    else if (length > 1 && text[1] == 'O')
        why = "Python objects";
    int shown = length > 16 ? 16 : (int)length;
    return sl_tool_error(c->err, c->n,
                         "dtype '%.*s' is %s; one of |u1 <u2 <i4 <i8 <f2 <f4 <f8 was expected",
                         shown, text, why);
}

static int take_order(struct cursor *c)
{
    skip_space(c);
    size_t left = (size_t)(c->end - c->at);
    if (left >= 4 && memcmp(c->at, "True", 4) == 0)
        return sl_tool_error(c->err, c->n, "Fortran order; C order was expected");
    if (left < 5 || memcmp(c->at, "False", 5) != 0)
        return sl_tool_error(c->err, c->n, "header: fortran_order is neither True nor False");
    c->at += 5;
    return 0;
}

static int take_extent(struct cursor *c, int64_t *extent)
{
    int64_t value = 0;
    const char *first = c->at;
    while (c->at < c->end && *c->at >= '0' && *c->at <= '9') {
        int digit = *c->at++ - '0';
        if (value > (INT64_MAX - digit) / 10)
            return sl_tool_error(c->err, c->n, "shape: an extent is too large");
        value = value * 10 + digit;
    }
    if (c->at == first)
        return sl_tool_error(c->err, c->n, "shape: a number was expected");
    *extent = value;
    return 0;
}

static int take_shape(struct cursor *c, struct sl_npy *npy)
{
    if (!take(c, '('))
        return sl_tool_error(c->err, c->n, "shape: '(' was expected");
    npy->ndim = 0;
    while (!take(c, ')')) {
        if (npy->ndim == SL_NPY_MAX_DIMS)
            return sl_tool_error(c->err, c->n, "shape: more than %d dimensions", SL_NPY_MAX_DIMS);
        if (take_extent(c, &npy->shape[npy->ndim]) != 0)
            return -1;
        npy->ndim++;
        int comma = take(c, ',');
        skip_space(c);
        int closes = c->at < c->end && *c->at == ')';
        /* "(3)" is a number in Python, not a shape. */
        if (!comma && (!closes || npy->ndim == 1))
            return sl_tool_error(c->err, c->n, "shape: ',' was expected");
    }
    return 0;
}

static int take_member(struct cursor *c, struct sl_npy *npy, unsigned *seen)
{
    const char *key = NULL;
    size_t length = 0;
    if (take_string(c, &key, &length) != 0)
        return -1;
    unsigned bit = is(key, length, "descr")           ? 1u
                   : is(key, length, "fortran_order") ? 2u
                   : is(key, length, "shape")         ? 4u
                                                      : 0u;
    if (bit == 0 || (*seen & bit) != 0)
        return sl_tool_error(c->err, c->n, "header: %s key '%.*s'", bit == 0 ? "unknown" : "second",
                             length > 16 ? 16 : (int)length, key);
    *seen |= bit;
    if (!take(c, ':'))
        return sl_tool_error(c->err, c->n, "header: ':' was expected after a key");
    if (bit == 1)
        return take_descr(c, npy);
    return bit == 2 ? take_order(c) : take_shape(c, npy);
}

static int take_header(struct cursor *c, struct sl_npy *npy)
{
    unsigned seen = 0;
    if (!take(c, '{'))
        return sl_tool_error(c->err, c->n, "header: '{' was expected");
    while (!take(c, '}')) {
        if (take_member(c, npy, &seen) != 0)
            return -1;
        int comma = take(c, ',');
        skip_space(c);
        if (!comma && (c->at == c->end || *c->at != '}'))
            return sl_tool_error(c->err, c->n, "header: ',' or '}' was expected");
    }
    skip_space(c);
    if (c->at != c->end)
        return sl_tool_error(c->err, c->n, "header: text after '}'");
    if (seen != 7)
        return sl_tool_error(c->err, c->n, "header: no '%s'",
                             (seen & 1) == 0   ? "descr"
                             : (seen & 2) == 0 ? "fortran_order"
                                               : "shape");
    return 0;
}

static int check_size(struct sl_npy *npy, size_t left, char *err, size_t n)
{
    size_t count = 1;
    for (int i = 0; i < npy->ndim; i++) {
        uint64_t extent = (uint64_t)npy->shape[i];
        if (extent != 0 && count > SIZE_MAX / 16 / extent)
            return sl_tool_error(err, n, "shape: the number of elements overflows");
        count *= (size_t)extent;
    }
    size_t want = count * types[npy->type].size;
    if (left != want)
        return sl_tool_error(err, n, "%s: the shape needs %zu bytes of data, the file has %zu",
                             left < want ? "truncated" : "trailing bytes", want, left);
    npy->count = count;
    return 0;
}

int sl_npy_parse(const uint8_t *bytes, size_t size, struct sl_npy *npy, char *err, size_t n)
{
    memset(npy, 0, sizeof *npy);
    if (size < 10 || memcmp(bytes, "\x93NUMPY", 6) != 0)
        return sl_tool_error(err, n, "not a .npy file");
    if (bytes[6] < 1 || bytes[6] > 3 || bytes[7] != 0)
        return sl_tool_error(err, n, ".npy version %u.%u; 1.0, 2.0 or 3.0 was expected",
                             (unsigned)bytes[6], (unsigned)bytes[7]);
    size_t start = bytes[6] == 1 ? 10 : 12;
    if (size < start)
        return sl_tool_error(err, n, "truncated: the header's length is missing");
    size_t header = bytes[8] | (size_t)bytes[9] << 8;
    if (start == 12)
        header |= (size_t)bytes[10] << 16 | (size_t)bytes[11] << 24;
    if (header > size - start)
        return sl_tool_error(err, n, "truncated: a header of %zu bytes, the file has %zu more",
                             header, size - start);
    const char *text = (const char *)(bytes + start);
    struct cursor c = {text, text + header, err, n};
    if (take_header(&c, npy) != 0 || check_size(npy, size - start - header, err, n) != 0)
        return -1;
    npy->data = bytes + start + header;
    return 0;
}

int sl_npy_load(const char *path, struct sl_npy *npy, char *err, size_t n)
{
    memset(npy, 0, sizeof *npy);
    uint8_t *bytes = NULL;
    size_t size = 0;
    if (sl_tool_read(path, &bytes, &size, err, n) != 0)
        return -1;
    char why[160];
    if (sl_npy_parse(bytes, size, npy, why, sizeof why) != 0) {
        free(bytes);
        return sl_tool_error(err, n, "%s: %s", path, why);
    }
    npy->owned = bytes;
    return 0;
}

void sl_npy_free(struct sl_npy *npy)
{
    free(npy->owned);
    memset(npy, 0, sizeof *npy);
}

static uint64_t little(const uint8_t *p, size_t size)
{
    uint64_t v = 0;
    for (size_t i = size; i-- > 0;)
        v = v << 8 | p[i];
    return v;
}

static float half(uint64_t h)
{
    uint32_t sign = (uint32_t)(h >> 15) << 31, exponent = (uint32_t)(h >> 10) & 31,
             bits = (uint32_t)h & 1023;
    float f;
    if (exponent == 0) {
        f = (float)bits * 0x1p-24f;
        return sign != 0 ? -f : f;
    }
    uint32_t u = sign | (exponent == 31 ? 255u : exponent + 112) << 23 | bits << 13;
    memcpy(&f, &u, sizeof f);
    return f;
}

static int64_t integer(const struct sl_npy *npy, size_t i)
{
    size_t size = types[npy->type].size;
    uint64_t v = little(npy->data + i * size, size);
    if (npy->type == SL_NPY_I32)
        return (int64_t)(v ^ 0x80000000u) - 0x80000000ll;
    int64_t s;
    memcpy(&s, &v, sizeof s);
    return s;
}

void sl_npy_to_f32(const struct sl_npy *npy, float *out)
{
    size_t size = types[npy->type].size;
    for (size_t i = 0; i < npy->count; i++) {
        uint64_t v = little(npy->data + i * size, size);
        uint32_t word = (uint32_t)v;
        double wide;
        switch (npy->type) {
        case SL_NPY_F16:
            out[i] = half(v);
            break;
        case SL_NPY_F32:
            memcpy(&out[i], &word, sizeof word);
            break;
        case SL_NPY_F64:
            memcpy(&wide, &v, sizeof wide);
            out[i] = (float)wide;
            break;
        default:
            out[i] = (float)integer(npy, i);
            break;
        }
    }
}

int sl_npy_to_i32(const struct sl_npy *npy, int32_t *out, char *err, size_t n)
{
    if (npy->type >= SL_NPY_F16)
        return sl_tool_error(err, n, "dtype '%s'; an integer type was expected",
                             types[npy->type].descr);
    for (size_t i = 0; i < npy->count; i++) {
        int64_t v = integer(npy, i);
        if (v < INT32_MIN || v > INT32_MAX)
            return sl_tool_error(err, n, "element %zu is %lld, beyond 32 bits", i, (long long)v);
        out[i] = (int32_t)v;
    }
    return 0;
}
