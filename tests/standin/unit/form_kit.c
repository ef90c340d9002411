/* SPDX-License-Identifier: Apache-2.0 */
#include "form_kit.h"

#include <stdarg.h>
#include <stdio.h>

enum { EDGES = 24, TRIPLES = EDGES * EDGES * 4 };

static const uint64_t integers[EDGES] = {0,
                                         1,
                                         2,
                                         3,
                                         7,
                                         31,
                                         32,
                                         33,
                                         63,
                                         64,
                                         127,
                                         128,
                                         0x7fff,
                                         0x8000,
                                         0xffff,
                                         0x10000,
                                         0x7fffffff,
                                         0x80000000,
                                         0xffffffff,
                                         0x100000000,
                                         0x7fffffffffffffff,
                                         0x8000000000000000,
                                         0xffffffffffffffff,
                                         0x0123456789abcdef};

/* Zeros, subnormals, the least normal, halves, odd values, beyond integers, infinities, NaN. */
static const uint32_t floats[EDGES] = {
    0,          0x80000000, 1,          0x80000001, 0x007fffff, 0x00800000, 0x3f000000, 0x3f800000,
    0xbf800000, 0x3fc00000, 0x40200000, 0x40490fdb, 0xc0490fdb, 0x3eaaaaab, 0x4b000001, 0x4f000000,
    0xcf000000, 0x4f800000, 0x7f7fffff, 0xff7fffff, 0x7f800000, 0xff800000, 0x7fc00001, 0x3f7fffff};

static const uint64_t doubles[EDGES] = {0,
                                        0x8000000000000000,
                                        1,
                                        0x800fffffffffffff,
                                        0x0010000000000000,
                                        0x3fe0000000000000,
                                        0x3ff0000000000000,
                                        0xbff0000000000000,
                                        0x3ff8000000000000,
                                        0x4004000000000000,
                                        0x400921fb54442d18,
                                        0xc00921fb54442d18,
                                        0x3fd5555555555555,
                                        0x41e0000000000000,
                                        0xc1e0000000000000,
                                        0x41f0000000000000,
                                        0x43e0000000000000,
                                        0xc3e0000000000000,
                                        0x47efffffffffffff,
                                        0x36a0000000000000,
                                        0x7fefffffffffffff,
                                        0x7ff0000000000000,
                                        0xfff0000000000000,
                                        0x7ff8000000000001};

static const uint64_t thirds[4] = {0, 5, 0x80000000, 33};

void form_opcode(const char *id, char *out, size_t room)
{
    size_t n = 0;
    for (; id[n] && !(id[n] == '_' && id[n + 1] == '_') && n + 1 < room; n++)
        out[n] = (char)(id[n] == '_' ? '.' : id[n]);
    out[n] = '\0';
    static const char *const words[][2] = {{"acq.rel", "acq_rel"},
                                           {"launch.dependents", "launch_dependents"},
                                           {"commit.group", "commit_group"},
                                           {"wait.group", "wait_group"}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        char *one_word = strstr(out, words[i][0]);
        if (one_word)
            memcpy(one_word, words[i][1], strlen(words[i][1]));
    }
}

bool form_run(const char *text, unsigned blocks, unsigned threads, const void *in, size_t in_bytes,
              void *out, size_t out_bytes)
{
    char *whole = ct_alloc(8192);
    const struct kit *k = kit_open();
    if (!k)
        return false;
    (void)snprintf(whole, 8192,
                   ".version 9.0\n.target sm_90\n.address_size 64\n"
                   ".visible .entry f(.param .u64 in, .param .u64 out)\n{\n"
                   ".reg .pred %%p<8>;\n.reg .b16 %%rs<20>;\n.reg .b32 %%r<40>;\n"
                   ".reg .f32 %%f<20>;\n.reg .f64 %%fd<20>;\n.reg .b64 %%rd<40>;\n"
                   "mov.u32 %%r10, %%ctaid.x;\nmov.u32 %%r11, %%ntid.x;\nmov.u32 %%r12, %%tid.x;\n"
                   "mad.lo.s32 %%r13, %%r10, %%r11, %%r12;\n"
                   "ld.param.u64 %%rd10, [in];\nld.param.u64 %%rd11, [out];\n"
                   "%s\nret;\n}\n",
                   text);
    struct CUmod_st *module = kit_load_text(whole);
    drv_address a = kit_upload(in, in_bytes), o = kit_upload(out, out_bytes);
    void *params[] = {&a, &o};
    int error = module ? kit_run(kit_function(module, "f"), blocks, threads, 0, params) : 0;
    ct_note("%s: %s", text, error ? k->standin_message() : "");
    bool good = module && ct_expect_eq_i64(error, 0) &&
                ct_expect_eq_i64(k->cuMemcpyDtoH_v2(out, o, out_bytes), 0);
    k->standin_forgive();
    (void)k->cuMemFree_v2(a);
    (void)k->cuMemFree_v2(o);
    if (module)
        (void)k->cuModuleUnload(module);
    return good;
}

/* ------------------------------------------------------------------------- text of a form */

struct text {
    char at[1200];
    size_t n;
};

__attribute__((format(printf, 2, 3))) static void put(struct text *t, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int more = vsnprintf(t->at + t->n, sizeof t->at - t->n, format, args);
    va_end(args);
    t->n += (size_t)more;
}

static const char *register_of(char letter)
{
    switch (letter) {
    case 'h':
        return "%rs";
    case 'w':
        return "%r";
    case 'x':
        return "%rd";
    case 'f':
        return "%f";
    case 'e':
        return "%fd";
    default:
        return "%p";
    }
}

/* Operands in their registers: the integer ones are there already. */
static void put_sources(struct text *t)
{
    for (int k = 1; k <= 3; k++)
        put(t,
            "ld.global.u64 %%rd%d, [%%rd13+%d];\ncvt.u32.u64 %%r%d, %%rd%d;\n"
            "cvt.u16.u64 %%rs%d, %%rd%d;\nmov.b32 %%f%d, %%r%d;\nmov.b64 %%fd%d, %%rd%d;\n"
            "and.b32 %%r20, %%r%d, 1;\nsetp.ne.s32 %%p%d, %%r20, 0;\n",
            k, 8 * k - 8, k, k, k, k, k, k, k, k, k, k + 3);
}

static void put_operands(struct text *t, const char *shape)
{
    put(t, "%s%d", register_of(shape[0]), shape[0] == 'p' ? 1 : 9);
    int k = 0;
    bool inside = false;
    for (const char *s = shape + 2; *s && *s != ','; s++) {
        if (*s == '}') {
            put(t, "}");
            inside = false;
            continue;
        }
        put(t, *s == '{' ? ", {" : inside && s[-1] == '{' ? "" : ", ");
        inside = inside || *s == '{';
        if (*s != '{')
            k++, put(t, "%s%d", register_of(*s), *s == 'p' ? k + 3 : k);
    }
    const char *rest = strchr(shape, ',');
    put(t, "%s;\n", rest ? rest : "");
}

static void put_result(struct text *t, char letter)
{
    switch (letter) {
    case 'h':
        put(t, "cvt.u64.u16 %%rd9, %%rs9;\n");
        break;
    case 'f':
        put(t, "mov.b32 %%r9, %%f9;\n");
        put(t, "cvt.u64.u32 %%rd9, %%r9;\n");
        break;
    case 'w':
        put(t, "cvt.u64.u32 %%rd9, %%r9;\n");
        break;
    case 'e':
        put(t, "mov.b64 %%rd9, %%fd9;\n");
        break;
    case 'p':
        put(t, "selp.b64 %%rd9, 1, 0, %%p1;\n");
        break;
    default:
        break;
    }
}

static void form_text(struct text *t, const struct form *form, const char *opcode)
{
    t->n = 0;
    put(t, "mul.wide.u32 %%rd12, %%r13, 24;\nadd.s64 %%rd13, %%rd10, %%rd12;\n");
    put_sources(t);
    if (strchr(form->shape, ';')) {
        put(t, "%s\n", form->shape);
    } else {
        put(t, "%s ", opcode);
        put_operands(t, form->shape);
        put_result(t, form->shape[0]);
    }
    put(t, "mul.wide.u32 %%rd14, %%r13, 8;\nadd.s64 %%rd15, %%rd11, %%rd14;\n"
           "st.global.u64 [%%rd15], %%rd9;\n");
}

/* ------------------------------------------------------------------------------ its values */

static uint64_t ones(char letter)
{
    return letter == 'h'                    ? 0xffff
           : letter == 'w' || letter == 'f' ? 0xffffffff
           : letter == 'p'                  ? 1
                                            : UINT64_MAX;
}

/* The letters of the sources; 'x' where the shape has none. */
static void letters(const char *shape, char out[3])
{
    int k = 0;
    out[0] = out[1] = out[2] = 'x';
    if (strchr(shape, ';'))
        return;
    for (const char *s = shape + 2; *s && *s != ',' && k < 3; s++)
        if (*s != '{' && *s != '}')
            out[k++] = *s;
}

static uint64_t edge(char letter, int i)
{
    return letter == 'f' ? floats[i] : letter == 'e' ? doubles[i] : integers[i];
}

static void one_form(const struct form *form)
{
    char opcode[64], kind[3];
    struct text *text = ct_alloc(sizeof *text);
    uint64_t *in = ct_alloc(TRIPLES * 24), *out = ct_alloc(TRIPLES * 8);
    form_opcode(form->id, opcode, sizeof opcode);
    letters(form->shape, kind);
    for (int i = 0; i < TRIPLES; i++) {
        int a = i % EDGES, b = i / EDGES % EDGES, c = i / EDGES / EDGES;
        bool integer = kind[2] != 'f' && kind[2] != 'e';
        in[3 * i] = edge(kind[0], a);
        in[3 * i + 1] = edge(kind[1], b);
        in[3 * i + 2] = integer ? thirds[c] : edge(kind[2], (a + b + 5 * c) % EDGES);
    }
    form_text(text, form, opcode);
    if (!ct_expect_true(strstr(text->at, opcode) != NULL) ||
        !form_run(text->at, TRIPLES / 64, 64, in, TRIPLES * 24, out, TRIPLES * 8))
        return;
    bool raw = strchr(form->shape, ';') != NULL;
    for (int i = 0; i < TRIPLES; i++) {
        uint64_t v[3];
        for (int k = 0; k < 3; k++)
            v[k] = in[3 * i + k] & ones(kind[k]);
        uint64_t expect = form->want(v[0], v[1], v[2]) & (raw ? UINT64_MAX : ones(form->shape[0]));
        ct_note("%s of %#llx, %#llx, %#llx", opcode, (unsigned long long)v[0],
                (unsigned long long)v[1], (unsigned long long)v[2]);
        if (out[i] != expect) {
            ct_expect_eq_u64(out[i], expect);
            return;
        }
    }
}

void form_check(const struct form *list)
{
    for (; list->id; list++)
        one_form(list);
}
