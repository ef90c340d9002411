#include "ct.h"

#include "tool/tool_npy.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* A file in memory: magic, version, the header as given, then the data. */
static size_t build(uint8_t *out, int version, const char *header, const void *data, size_t bytes)
{
    size_t length = strlen(header), start = version == 1 ? 10 : 12;
    memcpy(out, "\x93NUMPY", 6);
    out[6] = (uint8_t)version;
    out[7] = 0;
    out[8] = (uint8_t)length;
    out[9] = (uint8_t)(length >> 8);
    if (start == 12)
        out[10] = out[11] = 0;
    memcpy(out + start, header, length);
    if (bytes > 0)
        memcpy(out + start + length, data, bytes);
    return start + length + bytes;
}

static void refuse(const char *header, size_t bytes, const char *why)
{
    static const uint8_t data[64] = {0};
    uint8_t file[512];
    char err[200] = "";
    struct sl_npy npy;
    size_t size = build(file, 1, header, data, bytes);
    ct_note("%s", header);
    ct_expect_eq_i64(sl_npy_parse(file, size, &npy, err, sizeof err), -1);
    ct_expect_str_has(err, why);
}

CT(tool_npy, versions, "header versions 1, 2 and 3 are read")
{
    static const int32_t data[6] = {1, -2, 3, 4, 5, -2147483647 - 1};
    for (int version = 1; version <= 3; version++) {
        uint8_t file[256];
        struct sl_npy npy;
        int32_t got[6];
        size_t size =
            build(file, version, "{'descr': '<i4', 'fortran_order': False, 'shape': (2, 3), }   \n",
                  data, sizeof data);
        ct_eq_i64(sl_npy_parse(file, size, &npy, NULL, 0), 0);
        ct_eq_i64(npy.ndim, 2);
        ct_eq_i64(npy.shape[0], 2);
        ct_eq_i64(npy.shape[1], 3);
        ct_eq_i64(sl_npy_to_i32(&npy, got, NULL, 0), 0);
        ct_eq_mem(got, data, sizeof data);
    }
}

static void same(const char *descr, const void *data, size_t each, size_t count, const float *want)
{
    uint8_t file[256];
    char header[128];
    float got[8];
    struct sl_npy npy;
    snprintf(header, sizeof header, "{'descr':'%s','fortran_order':False,'shape':(%zu,)}", descr,
             count);
    ct_note("%s", descr);
    ct_eq_i64(sl_npy_parse(file, build(file, 1, header, data, each * count), &npy, NULL, 0), 0);
    ct_str_eq(sl_npy_type_name(npy.type), descr);
    sl_npy_to_f32(&npy, got);
    ct_eq_mem(got, want, count * sizeof *want);
}

CT(tool_npy, types, "every type is converted to float exactly where float has the value")
{
    same("|u1", (uint8_t[]){0, 7, 255}, 1, 3, (float[]){0, 7, 255});
    same("<u2", (uint16_t[]){1, 65535}, 2, 2, (float[]){1, 65535});
    same("<i4", (int32_t[]){-5, 1 << 20}, 4, 2, (float[]){-5, 1 << 20});
    same("<i8", (int64_t[]){-5, (int64_t)1 << 40}, 8, 2, (float[]){-5, 0x1p40f});
    same("<f2", (uint16_t[]){0x3C00, 0xC000, 0x0001, 0x7BFF, 0x7C00, 0x8000, 0x03FF}, 2, 7,
         (float[]){1, -2, 0x1p-24f, 65504, INFINITY, -0.0f, 1023 * 0x1p-24f});
    same("<f4", (float[]){0.1f, -3e38f}, 4, 2, (float[]){0.1f, -3e38f});
    same("<f8", (double[]){0.5, -1e300}, 8, 2, (float[]){0.5f, -INFINITY});
}

CT(tool_npy, half_nan, "a half-precision NaN stays one")
{
    static const uint16_t bits[1] = {0x7E01};
    uint8_t file[128];
    float got;
    struct sl_npy npy;
    size_t size =
        build(file, 1, "{'descr':'<f2','fortran_order':False,'shape':()}", bits, sizeof bits);
    ct_eq_i64(sl_npy_parse(file, size, &npy, NULL, 0), 0);
    sl_npy_to_f32(&npy, &got);
    ct_true(isnan(got));
}

CT(tool_npy, empty, "an extent of 0 gives no elements; no dimension gives one")
{
    uint8_t file[128], one = 9;
    struct sl_npy npy;
    size_t size = build(file, 1, "{'descr':'|u1','fortran_order':False,'shape':(0, 256)}", NULL, 0);
    ct_eq_i64(sl_npy_parse(file, size, &npy, NULL, 0), 0);
    ct_eq_u64(npy.count, 0);
    size = build(file, 1, "{'descr':'|u1','fortran_order':False,'shape':()}", &one, 1);
    ct_eq_i64(sl_npy_parse(file, size, &npy, NULL, 0), 0);
    ct_eq_u64(npy.count, 1);
}

CT(tool_npy, refuses_types, "big endian, objects, structures and other types are refused by name")
{
    refuse("{'descr':'>f4','fortran_order':False,'shape':(1,)}", 4, "'>f4' is big endian");
    refuse("{'descr':'|O','fortran_order':False,'shape':(1,)}", 8, "Python objects");
    refuse("{'descr':[('a','<f4')],'fortran_order':False,'shape':(1,)}", 4, "structured");
    refuse("{'descr':'<c8','fortran_order':False,'shape':(1,)}", 8, "'<c8' is not a type");
    refuse("{'descr':'|b1','fortran_order':False,'shape':(1,)}", 1, "'|b1'");
}

CT(tool_npy, refuses_fortran, "Fortran order is refused")
{
    refuse("{'descr':'<f4','fortran_order':True,'shape':(1,)}", 4, "Fortran order");
    refuse("{'descr':'<f4','fortran_order':0,'shape':(1,)}", 4, "neither True nor False");
}

CT(tool_npy, refuses_sizes, "data that does not fit the shape is refused, with both sizes")
{
    refuse("{'descr':'<f4','fortran_order':False,'shape':(3,)}", 11,
           "truncated: the shape needs 12 bytes of data, the file has 11");
    refuse("{'descr':'<f4','fortran_order':False,'shape':(3,)}", 13, "trailing bytes");
    refuse("{'descr':'<f8','fortran_order':False,'shape':(4294967296,4294967296)}", 0, "overflows");
    refuse("{'descr':'<f8','fortran_order':False,'shape':(99999999999999999999,)}", 0, "too large");
    refuse("{'descr':'|u1','fortran_order':False,'shape':(1,1,1,1,1,1,1,1,1)}", 1,
           "more than 8 dimensions");
}

CT(tool_npy, refuses_headers, "a header that is not the dictionary is refused")
{
    refuse("{'descr':'<f4','fortran_order':False}", 4, "no 'shape'");
    refuse("{'fortran_order':False,'shape':()}", 4, "no 'descr'");
    refuse("{'descr':'<f4','descr':'<f4','fortran_order':False,'shape':()}", 4, "second key");
    refuse("{'descr':'<f4','fortran_order':False,'shape':(),'x':1}", 4, "unknown key 'x'");
    refuse("{'descr':'<f4','fortran_order':False,'shape':()} 1", 4, "text after '}'");
    refuse("{'descr':'<f4','fortran_order':False,'shape':(3)}", 12, "','");
    refuse("{'descr':'<f4','fortran_order':False,'shape':(-3,)}", 12, "a number was expected");
    refuse("{'descr':'<f4' 'fortran_order':False,'shape':()}", 4, "',' or '}'");
    refuse("{'descr':'<f4", 4, "does not end");
    refuse("", 0, "'{' was expected");
}

CT(tool_npy, error_is_one_line, "control characters of the file do not reach the message")
{
    refuse("{'a\nb\033[2J':1}", 0, "unknown key 'a?b?[2J'");
}

CT(tool_npy, refuses_any_cut, "a file that is cut anywhere is refused")
{
    uint8_t file[128];
    char err[200];
    struct sl_npy npy;
    size_t size =
        build(file, 2, "{'descr':'<f4','fortran_order':False,'shape':(2,)}", (float[]){1, 2}, 8);
    ct_eq_i64(sl_npy_parse(file, size, &npy, err, sizeof err), 0);
    for (size_t cut = 0; cut < size; cut++)
        ct_eq_i64(sl_npy_parse(file, cut, &npy, err, sizeof err), -1);
    file[6] = 4;
    ct_eq_i64(sl_npy_parse(file, size, &npy, err, sizeof err), -1);
    ct_str_has(err, "version 4.0");
}

CT(tool_npy, refuses_wide_ids, "integers beyond 32 bits and floats are no ids")
{
    static const int64_t wide[2] = {1, (int64_t)1 << 31};
    uint8_t file[128];
    char err[200] = "";
    int32_t got[2];
    struct sl_npy npy;
    size_t size = build(file, 1, "{'descr':'<i8','fortran_order':False,'shape':(2,)}", wide, 16);
    ct_eq_i64(sl_npy_parse(file, size, &npy, NULL, 0), 0);
    ct_eq_i64(sl_npy_to_i32(&npy, got, err, sizeof err), -1);
    ct_str_has(err, "element 1 is 2147483648");
    size = build(file, 1, "{'descr':'<f4','fortran_order':False,'shape':(4,)}", wide, 16);
    ct_eq_i64(sl_npy_parse(file, size, &npy, NULL, 0), 0);
    ct_eq_i64(sl_npy_to_i32(&npy, got, err, sizeof err), -1);
    ct_str_has(err, "an integer type was expected");
}

CT(tool_npy, names_the_file, "an error in a file begins with its name")
{
    char err[200] = "";
    struct sl_npy npy;
    ct_eq_i64(sl_npy_load("/nonexistent/x.npy", &npy, err, sizeof err), -1);
    ct_str_has(err, "/nonexistent/x.npy: ");
    ct_eq_i64(sl_npy_load("/", &npy, err, sizeof err), -1);
    ct_str_has(err, "/: ");
}

CT(tool_npy, real_file, "the DeepSeek-V2-Lite routing data is read")
{
    const char *path = ct_shared("data/deepseek-v2-lite-routing/intent.ids.npy");
    const char *weights = ct_shared("data/deepseek-v2-lite-routing/intent.weights.npy");
    if (path == NULL || weights == NULL)
        ct_skip("no DeepSeek-V2-Lite routing under shared/data");
    struct sl_npy npy;
    char err[200] = "";
    int rc = sl_npy_load(path, &npy, err, sizeof err);
    ct_str_eq(err, "");
    ct_eq_i64(rc, 0);
    ct_eq_i64(npy.shape[0], 26);
    ct_eq_i64(npy.shape[1], 8222);
    ct_eq_i64(npy.shape[2], 6);
    int32_t *ids = ct_alloc(npy.count * sizeof *ids);
    ct_expect_eq_i64(sl_npy_to_i32(&npy, ids, err, sizeof err), 0);
    size_t count = npy.count;
    sl_npy_free(&npy);
    for (size_t i = 0; i < count; i++)
        ct_true(ids[i] >= 0 && ids[i] < 64);
    ct_eq_i64(sl_npy_load(weights, &npy, err, sizeof err), 0);
    float *w = ct_alloc(npy.count * sizeof *w);
    sl_npy_to_f32(&npy, w);
    sl_npy_free(&npy);
    for (size_t i = 0; i < count; i++)
        ct_true(w[i] >= 0 && w[i] <= 1);
}
