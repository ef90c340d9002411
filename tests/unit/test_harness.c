#include "ct.h"
#include "ct_json.h"
#include "ct_npy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Writes a version 1 .npy file and gives its path, or NULL. The caller unlinks it. */
static const char *write_npy(const char *dict, const void *data, size_t bytes)
{
    static char path[64];
    unsigned char head[10] = {0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0, 0, 0};
    size_t length = strlen(dict);
    head[8] = (unsigned char)(length & 255);
    head[9] = (unsigned char)(length >> 8);
    strcpy(path, "/tmp/ct_npy_XXXXXX");
    int fd = mkstemp(path);
    FILE *file = fd >= 0 ? fdopen(fd, "wb") : NULL;
    if (!file)
        return NULL;
    bool ok = fwrite(head, 1, sizeof head, file) == sizeof head &&
              fwrite(dict, 1, length, file) == length && fwrite(data, 1, bytes, file) == bytes;
    return fclose(file) == 0 && ok ? path : NULL;
}

CT(npy, reads_shape_and_values, "a two-dimensional int32 file is read with shape and values")
{
    const int32_t want[6] = {1, -2, 3, 4, 5, 2147483647};
    const char *path = write_npy("{'descr': '<i4', 'fortran_order': False, 'shape': (2, 3), }\n",
                                 want, sizeof want);
    ct_true(path != NULL);
    struct ct_npy a;
    bool ok = ct_npy_load(&a, path);
    unlink(path);
    ct_true(ok);
    ct_eq_u64(a.ndim, 2);
    ct_eq_u64(a.shape[0], 2);
    ct_eq_u64(a.shape[1], 3);
    ct_true(ct_npy_i32(&a) != NULL);
    ct_eq_mem(ct_npy_i32(&a), want, sizeof want);
    ct_eq_i64(ct_npy_int(&a, 1), -2);
    ct_true(ct_npy_f32(&a) == NULL);
}

CT(npy, reads_one_dimension, "a shape with one extent and its trailing comma is read")
{
    const float want[2] = {0.5f, -0.0f};
    const char *path =
        write_npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }\n", want, sizeof want);
    ct_true(path != NULL);
    struct ct_npy a;
    bool ok = ct_npy_load(&a, path);
    unlink(path);
    ct_true(ok);
    ct_eq_u64(a.ndim, 1);
    ct_eq_u64(a.count, 2);
    ct_eq_f32bits(ct_npy_f32(&a)[1], -0.0f);
}

CT(npy, reads_no_rows, "a shape with a zero extent gives no items")
{
    const char *path =
        write_npy("{'descr': '|u1', 'fortran_order': False, 'shape': (0, 8), }\n", "", 0);
    ct_true(path != NULL);
    struct ct_npy a;
    bool ok = ct_npy_load(&a, path);
    unlink(path);
    ct_true(ok);
    ct_eq_u64(a.count, 0);
    ct_eq_u64(a.shape[1], 8);
}

CT(npy, refuses_fortran_order, "a file in Fortran order is refused with the reason")
{
    const char *path =
        write_npy("{'descr': '|u1', 'fortran_order': True, 'shape': (1, 1), }\n", "x", 1);
    ct_true(path != NULL);
    struct ct_npy a;
    bool ok = ct_npy_load(&a, path);
    unlink(path);
    ct_true(!ok);
    ct_str_has(ct_npy_error(), "C order");
}

CT(npy, refuses_short_data, "a file with fewer items than its shape says is refused")
{
    const char *path =
        write_npy("{'descr': '|u1', 'fortran_order': False, 'shape': (4,), }\n", "abc", 3);
    ct_true(path != NULL);
    struct ct_npy a;
    bool ok = ct_npy_load(&a, path);
    unlink(path);
    ct_true(!ok);
    ct_str_has(ct_npy_error(), "cut short");
}

CT(npy, golden_files_match_their_index, "every golden file has the shape that the index says")
{
    const ct_json *cases = ct_golden_cases();
    if (!cases)
        ct_skip("no golden files");
    for (size_t i = 0; i < ct_json_len(cases); i++) {
        const ct_json *one = ct_json_at(cases, i), *files = ct_json_get(one, "files");
        const char *name = ct_json_str(ct_json_get(one, "case"), "");
        for (size_t f = 0; f < ct_json_len(files); f++) {
            const ct_json *entry = ct_json_at(files, f), *shape = ct_json_get(entry, "shape");
            struct ct_npy a;
            ct_note("%s", name);
            bool ok = ct_npy_golden(&a, name, ct_json_str(ct_json_get(entry, "file"), ""));
            if (!ok)
                ct_fail(ct_npy_error());
            ct_eq_u64(a.ndim, ct_json_len(shape));
            for (size_t d = 0; d < a.ndim; d++)
                ct_eq_i64(a.shape[d], ct_json_int(ct_json_at(shape, d), -1));
        }
    }
}

CT(json, follows_a_path, "values of each kind are found by key and index")
{
    ct_json *root = ct_json_parse(" {\"a\": [1, -2.5e1, {\"b\": \"x\\n\\u00e9\"}], \"t\": true, "
                                  "\"n\": null, \"big\": 9007199254740993} ");
    ct_true(root != NULL);
    const ct_json *a = ct_json_get(root, "a");
    ct_expect_eq_u64(ct_json_len(a), 3);
    ct_expect_eq_i64(ct_json_int(ct_json_at(a, 0), 0), 1);
    ct_expect_near(ct_json_num(ct_json_at(a, 1), 0), -25, 0);
    ct_expect_str_eq(ct_json_str(ct_json_get(ct_json_at(a, 2), "b"), ""), "x\n\xc3\xa9");
    ct_expect_true(ct_json_bool(ct_json_get(root, "t"), false));
    ct_expect_true(ct_json_is_null(ct_json_get(root, "n")));
    ct_expect_eq_i64(ct_json_int(ct_json_get(root, "big"), 0), 9007199254740993);
    ct_expect_str_eq(ct_json_key(root, 1), "t");
    ct_json_free(root);
}

CT(json, missing_gives_the_default, "what is not there gives the value asked for instead")
{
    ct_json *root = ct_json_parse("{\"a\": [], \"s\": \"text\"}");
    ct_true(root != NULL);
    ct_expect_eq_i64(ct_json_int(ct_json_at(ct_json_get(root, "a"), 0), 7), 7);
    ct_expect_eq_i64(ct_json_int(ct_json_get(root, "s"), 7), 7);
    ct_expect_str_eq(ct_json_str(ct_json_get(ct_json_get(root, "x"), "y"), "none"), "none");
    ct_json_free(root);
}

CT(json, refuses_what_is_not_json, "broken text is refused with the byte")
{
    static const char *const broken[] = {"",        "{",     "[1 2]", "{\"a\" 1}", "[1,]",
                                         "\"\\q\"", "\"abc", "{a:1}", "1 2",       "[--1]"};
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
        ct_note("text %zu", i);
        ct_json *root = ct_json_parse(broken[i]);
        bool refused = root == NULL;
        ct_json_free(root);
        ct_true(refused);
        ct_str_has(ct_json_error(), "byte");
    }
}

CT(shared, missing_file_gives_null, "a path that is not below the shared folder gives NULL")
{
    ct_true(ct_shared("golden/no-such-case") == NULL);
}
