#include "ct.h"

#include "tool/tool_json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int parse(const char *text, struct sl_json *json, char *err, size_t n)
{
    return sl_json_parse((const uint8_t *)text, strlen(text), json, err, n);
}

static void refuse(const char *text, const char *why)
{
    struct sl_json json;
    char err[200] = "";
    ct_note("%s", text);
    ct_expect_eq_i64(parse(text, &json, err, sizeof err), -1);
    ct_expect_str_has(err, why);
}

CT(tool_json, scalars, "each kind of value is read")
{
    struct sl_json j;
    int64_t whole = 0;
    ct_eq_i64(parse(" [null, true, false, -12, 2.50, \"x\", [], {}] ", &j, NULL, 0), 0);
    static const uint32_t want[] = {SL_JSON_NULL, SL_JSON_TRUE,   SL_JSON_FALSE, SL_JSON_INT,
                                    SL_JSON_REAL, SL_JSON_STRING, SL_JSON_ARRAY, SL_JSON_OBJECT};
    ct_expect_eq_u64(j.node[0].count, 8);
    ct_expect_eq_u64(j.nodes, 9);
    size_t at = 1;
    for (int i = 0; i < 8; i++, at = sl_json_next(&j, at))
        ct_expect_eq_u64(j.node[at].type, want[i]);
    ct_expect_true(sl_json_whole(&j, 4, &whole) && whole == -12);
    ct_expect_true(!sl_json_whole(&j, 5, &whole));
    ct_expect_near(j.node[5].as.real, 2.5, 0);
    ct_expect_str_eq(sl_json_text(&j, 6), "x");
    sl_json_free(&j);
}

CT(tool_json, whole_numbers, "integers are exact up to 64 bits, also when written with a point")
{
    static const struct {
        const char *text;
        int whole;
        int64_t value;
    } cases[] = {{"9223372036854775807", 1, INT64_MAX},
                 {"-9223372036854775808", 1, INT64_MIN},
                 {"9007199254740993.000", 1, 9007199254740993},
                 {"4.0", 1, 4},
                 {"4.5", 0, 0},
                 {"1e3", 1, 1000},
                 {"-0", 1, 0},
                 {"9223372036854775808", 0, 0},
                 {"1e300", 0, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct sl_json j;
        int64_t value = 0;
        ct_note("%s", cases[i].text);
        ct_eq_i64(parse(cases[i].text, &j, NULL, 0), 0);
        ct_expect_eq_i64(sl_json_whole(&j, 0, &value), cases[i].whole);
        ct_expect_eq_i64(value, cases[i].value);
        sl_json_free(&j);
    }
}

CT(tool_json, strings, "escapes, surrogate pairs and UTF-8 become UTF-8")
{
    struct sl_json j;
    ct_eq_i64(parse("\"a\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\\u00e9"
                    "\\u20ac\\ud83d\\ude00é€😀\"",
                    &j, NULL, 0),
              0);
    ct_expect_str_eq(sl_json_text(&j, 0), "a\"\\/\b\f\n\r\tAé€😀é€😀");
    sl_json_free(&j);
}

CT(tool_json, members, "a member is found by its key, past nested ones")
{
    struct sl_json j;
    ct_eq_i64(parse("{\"a\": {\"b\": [1, [2]], \"c\": 3}, \"b\": 4, \"\": 5}", &j, NULL, 0), 0);
    ct_expect_eq_i64(j.node[sl_json_get(&j, 0, "b")].as.integer, 4);
    ct_expect_eq_i64(j.node[sl_json_get(&j, sl_json_get(&j, 0, "a"), "c")].as.integer, 3);
    ct_expect_eq_i64(j.node[sl_json_get(&j, 0, "")].as.integer, 5);
    ct_expect_eq_u64(sl_json_get(&j, 0, "c"), 0);
    ct_expect_eq_u64(sl_json_get(&j, sl_json_get(&j, 0, "b"), "c"), 0);
    sl_json_free(&j);
}

CT(tool_json, refuses, "what is not JSON is refused, with line and column")
{
    refuse("", "the text ends too early");
    refuse("[1,\n 2,\n x]", "line 3, column 2: a value was expected");
    refuse("[1 2]", "',' or ']'");
    refuse("[1,]", "a value was expected");
    refuse("[1", "',' or ']'");
    refuse("{\"a\" 1}", "':' was expected");
    refuse("{\"a\":1,}", "a key was expected");
    refuse("{a:1}", "a key was expected");
    refuse("{\"a\":1,\"b\":2,\"a\":3}", "a key occurs twice");
    refuse("1 2", "text after the value");
    refuse("01", "leading zero");
    refuse("-", "a digit was expected");
    refuse("1.", "a digit was expected");
    refuse("1e+", "a digit was expected");
    refuse("+1", "a value was expected");
    refuse("1e999", "beyond a double");
    refuse("NaN", "a value was expected");
    refuse("nul", "a value was expected");
    refuse("\"a", "a string does not end");
    refuse("\"\\x\"", "unknown escape");
    refuse("\"\\u12g4\"", "four hexadecimal digits");
    refuse("\"\\ud800\"", "surrogate");
    refuse("\"\\ud800\\u0041\"", "surrogate");
    refuse("\"\\udc00\\ud800\"", "surrogate");
    refuse("\"\t\"", "control character");
}

CT(tool_json, refuses_bad_utf8, "overlong, cut, surrogate and too large UTF-8 is refused")
{
    refuse("\"\x80\"", "invalid UTF-8");
    refuse("\"\xC0\xAF\"", "invalid UTF-8");
    refuse("\"\xE0\x80\xAF\"", "invalid UTF-8");
    refuse("\"\xED\xA0\x80\"", "invalid UTF-8");
    refuse("\"\xF0\x80\x80\x80\"", "invalid UTF-8");
    refuse("\"\xF4\x90\x80\x80\"", "invalid UTF-8");
    refuse("\"\xE2\x82", "invalid UTF-8");
}

CT(tool_json, depth, "64 levels are read, 65 are refused")
{
    char text[2 * SL_JSON_MAX_DEPTH + 3];
    struct sl_json j;
    memset(text, '[', SL_JSON_MAX_DEPTH);
    memset(text + SL_JSON_MAX_DEPTH, ']', SL_JSON_MAX_DEPTH);
    text[2 * SL_JSON_MAX_DEPTH] = 0;
    ct_eq_i64(parse(text, &j, NULL, 0), 0);
    sl_json_free(&j);
    memset(text, '[', SL_JSON_MAX_DEPTH + 1);
    memset(text + SL_JSON_MAX_DEPTH + 1, ']', SL_JSON_MAX_DEPTH + 1);
    text[2 * SL_JSON_MAX_DEPTH + 2] = 0;
    refuse(text, "nested too deeply");
}

CT(tool_json, long_array, "a million numbers take one node each")
{
    enum { N = 1000000 };
    char *text = ct_alloc(2 * N + 2);
    struct sl_json j;
    text[0] = '[';
    for (int i = 0; i < N; i++) {
        text[1 + 2 * i] = (char)('0' + i % 10);
        text[2 + 2 * i] = ',';
    }
    text[2 * N] = ']';
    ct_eq_i64(parse(text, &j, NULL, 0), 0);
    ct_expect_eq_u64(j.nodes, N + 1);
    ct_expect_eq_i64(j.node[N].as.integer, 9);
    sl_json_free(&j);
}

CT(tool_json, writer_text, "the writer's layout is as given here")
{
    char *text = NULL;
    size_t size = 0;
    FILE *file = open_memstream(&text, &size);
    ct_true(file != NULL);
    struct sl_json_writer w;
    sl_jw_begin(&w, file);
    sl_jw_object(&w);
    sl_jw_key(&w, "a\"b");
    sl_jw_string(&w, "x\n\\é");
    sl_jw_key(&w, "rows");
    sl_jw_array(&w);
    for (int i = 0; i < 2; i++) {
        sl_jw_array(&w);
        sl_jw_int(&w, -i);
        sl_jw_real(&w, 0.1);
        sl_jw_close(&w);
    }
    sl_jw_close(&w);
    sl_jw_key(&w, "none");
    sl_jw_array(&w);
    sl_jw_close(&w);
    sl_jw_key(&w, "rest");
    sl_jw_array(&w);
    sl_jw_bool(&w, 1);
    sl_jw_bool(&w, 0);
    sl_jw_null(&w);
    sl_jw_real(&w, NAN);
    sl_jw_int(&w, INT64_MIN);
    sl_jw_close(&w);
    sl_jw_close(&w);
    ct_eq_i64(fclose(file), 0);
    ct_expect_str_eq(text, "{\n  \"a\\\"b\": \"x\\u000a\\\\é\",\n  \"rows\": [\n"
                           "    [0, 0.10000000000000001],\n    [-1, 0.10000000000000001]\n  ],\n"
                           "  \"none\": [],\n"
                           "  \"rest\": [true, false, null, null, -9223372036854775808]\n}\n");
    free(text);
}

CT(tool_json, writer_reader, "doubles come back bit by bit")
{
    static const double values[] = {0.1, -1e-308, 5e-324, 1.7976931348623157e308, 1.0 / 3, -0.0};
    enum { N = sizeof values / sizeof *values };
    char *text = NULL;
    size_t size = 0;
    FILE *file = open_memstream(&text, &size);
    ct_true(file != NULL);
    struct sl_json_writer w;
    sl_jw_begin(&w, file);
    sl_jw_array(&w);
    for (int i = 0; i < N; i++)
        sl_jw_real(&w, values[i]);
    sl_jw_close(&w);
    ct_eq_i64(fclose(file), 0);
    struct sl_json j;
    int rc = parse(text, &j, NULL, 0);
    free(text);
    ct_eq_i64(rc, 0);
    for (int i = 0; i < N; i++)
        ct_expect_eq_mem(&j.node[1 + i].as.real, &values[i], sizeof values[i]);
    sl_json_free(&j);
}
