/* SPDX-License-Identifier: Apache-2.0 */
/* Loads, stores and atomics: what each must do follows from the words of its opcode, so a form
 * needs no line of its own. A word that is not known here is a failure. */
#include <stdio.h>
#include <stdlib.h>

#include "form_kit.h"

enum { THREADS = 64, SLOT = 32 };

struct access {
    char base[8], space[8], type[8], op[8];
    int vector, width; /* elements, bytes of one */
};

static bool one_of(const char *word, const char *list)
{
    const char *at = strstr(list, word);
    size_t n = strlen(word);
    return at && (at == list || at[-1] == ' ') && (at[n] == ' ' || at[n] == '\0');
}

static bool read_word(struct access *a, const char *word)
{
    if (one_of(word, "global shared local param"))
        (void)snprintf(a->space, sizeof a->space, "%s", word);
    else if (one_of(word, "v2 v4 v8"))
        a->vector = word[1] - '0';
    else if (one_of(word, "u8 s8 b8 u16 s16 b16 u32 s32 b32 f32 u64 s64 b64 f64"))
        (void)snprintf(a->type, sizeof a->type, "%s", word);
    else if (one_of(word, "add min max and or xor exch inc dec cas"))
        (void)snprintf(a->op, sizeof a->op, "%s", word);
    else
        /* Order and hints change no value of one thread alone. */
        return one_of(word, "volatile weak relaxed acquire release acq_rel cta cluster gpu sys ca "
                            "cg cs lu cv wb wt nc L1::no_allocate L1::evict_last L1::evict_first "
                            "L1::evict_normal L2::64B L2::128B L2::256B");
    return true;
}

static bool read_access(const char *opcode, struct access *a)
{
    char text[96];
    memset(a, 0, sizeof *a);
    a->vector = 1;
    (void)snprintf(text, sizeof text, "%s", opcode);
    char *rest, *word = strtok_r(text, ".", &rest);
    if (!word || !one_of(word, "ld st atom red"))
        return false;
    (void)snprintf(a->base, sizeof a->base, "%s", word);
    while ((word = strtok_r(NULL, ".", &rest)) != NULL)
        if (!read_word(a, word))
            return false;
    a->width = a->type[0] ? atoi(a->type + 1) / 8 : 0;
    bool atomic = a->base[0] == 'a' || a->base[0] == 'r';
    return a->width && a->width * a->vector <= SLOT && atomic == (a->op[0] != '\0');
}

bool form_is_memory(const char *opcode)
{
    struct access a;
    return read_access(opcode, &a);
}

static const char *register_of(const struct access *a)
{
    return strcmp(a->type, "f32") == 0   ? "%f"
           : strcmp(a->type, "f64") == 0 ? "%fd"
           : a->width == 8               ? "%rd"
           : a->width == 4               ? "%r"
                                         : "%rs";
}

/* The slot of a thread in the form's space has its bytes; its address is in %rd20. */
static int put_slot(char *text, size_t room, const struct access *a)
{
    if (a->space[0] == 'g' || a->space[0] == '\0')
        return snprintf(text, room,
                        "mul.wide.u32 %%rd12, %%r13, 32; add.s64 %%rd20, %%rd10, %%rd12;\n");
    if (a->space[0] == 'p')
        return snprintf(text, room,
                        "mul.wide.u32 %%rd12, %%r13, 32; mov.u64 %%rd20, slots; "
                        "add.s64 %%rd20, %%rd20, %%rd12;\n");
    int n = snprintf(text, room,
                     ".%s .align 32 .b8 slots[2048]; mul.wide.u32 %%rd12, %%r13, 32; "
                     "add.s64 %%rd19, %%rd10, %%rd12; mov.u64 %%rd20, slots; "
                     "add.s64 %%rd20, %%rd20, %%rd12;\n",
                     a->space);
    for (int i = 0; i < 4; i++)
        n += snprintf(text + n, room - (size_t)n,
                      "ld.global.u64 %%rd8, [%%rd19+%d]; st.%s.u64 [%%rd20+%d], %%rd8;\n", 8 * i,
                      a->space, 8 * i);
    return n;
}

/* Out gets the slot again, from wherever it is. */
static int put_slot_back(char *text, size_t room, const struct access *a)
{
    int n = 0;
    for (int i = 0; i < 4; i++)
        n += snprintf(text + n, room - (size_t)n,
                      "ld%s%s.u64 %%rd8, [%%rd20+%d]; "
                      "st.global.u64 [%%rd21+%d], %%rd8;\n",
                      a->space[0] ? "." : "", a->space, 8 * i, 64 + 8 * i);
    return n;
}

static int put_list(char *text, size_t room, const struct access *a, int first)
{
    int n = snprintf(text, room, "%s", a->vector > 1 ? "{" : "");
    for (int i = 0; i < a->vector; i++)
        n += snprintf(text + n, room - (size_t)n, "%s%s%d", i ? ", " : "", register_of(a),
                      first + i);
    return n + snprintf(text + n, room - (size_t)n, "%s", a->vector > 1 ? "}" : "");
}

/* An element's register as 64 bits in %rd8. */
static const char *widen(const struct access *a)
{
    return a->type[0] == 'f' && a->width == 4 ? "mov.b32 %%r20, %%f%d; cvt.u64.u32 %%rd8, %%r20;"
           : a->type[0] == 'f'                ? "mov.b64 %%rd8, %%fd%d;"
           : a->width == 8                    ? "mov.b64 %%rd8, %%rd%d;"
           : a->width == 4                    ? "cvt.u64.u32 %%rd8, %%r%d;"
                                              : "cvt.u64.u16 %%rd8, %%rs%d;";
}

/* Values of the second slot to the registers of a store or an atomic, from `first` on. */
static int put_values(char *text, size_t room, const struct access *a, int first, int count)
{
    int n = 0;
    for (int i = 0; i < count; i++)
        n +=
            snprintf(text + n, room - (size_t)n, "ld.global.%s%d %s%d, [%%rd22+%d];\n",
                     a->type[0] == 'f' ? "f" : "u", 8 * a->width, register_of(a), first + i, 8 * i);
    return n;
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
static void make_text(char *text, size_t room, const struct access *a, const char *opcode)
{
    int n = put_slot(text, room, a);
#define MORE(...) n += snprintf(text + n, room - (size_t)n, __VA_ARGS__)
    MORE("mul.wide.u32 %%rd14, %%r13, 96; add.s64 %%rd21, %%rd11, %%rd14;\n"
         "mul.wide.u32 %%rd14, %%r13, 64; add.s64 %%rd22, %%rd10, %%rd14; "
         "add.s64 %%rd22, %%rd22, %d;\n",
         THREADS * SLOT);
    if (a->base[0] == 'l') {
        MORE("%s ", opcode);
        n += put_list(text + n, room - (size_t)n, a, 9);
        MORE(", [%%rd20];\n");
        for (int i = 0; i < a->vector; i++) {
            MORE(widen(a), 9 + i);
            MORE(" st.global.u64 [%%rd21+%d], %%rd8;\n", 8 * i);
        }
    } else if (a->base[0] == 's') {
        n += put_values(text + n, room - (size_t)n, a, 9, a->vector);
        MORE("%s [%%rd20], ", opcode);
        n += put_list(text + n, room - (size_t)n, a, 9);
        MORE(";\n");
    } else {
        bool cas = strcmp(a->op, "cas") == 0, gives = a->base[0] == 'a';
        n += put_values(text + n, room - (size_t)n, a, 1, 2);
        MORE("%s ", opcode);
        if (gives)
            MORE("%s9, ", register_of(a));
        MORE("[%%rd20], %s1", register_of(a));
        if (cas)
            MORE(", %s2", register_of(a));
        MORE(";\n");
        if (gives) {
            MORE(widen(a), 9);
            MORE(" st.global.u64 [%%rd21], %%rd8;\n");
        }
    }
    if (a->space[0] != 'p')
        n += put_slot_back(text + n, room - (size_t)n, a);
#undef MORE
}
#pragma GCC diagnostic pop

/* ------------------------------------------------------------------------------ what must be */

static float float_of(uint64_t bits)
{
    uint32_t low = (uint32_t)bits;
    float value;
    memcpy(&value, &low, sizeof value);
    return value;
}

static uint64_t changed(const struct access *a, uint64_t old, uint64_t b, uint64_t c)
{
    int64_t so = a->width == 4 ? S(old) : L(old), sb = a->width == 4 ? S(b) : L(b);
    bool less = a->type[0] == 's' ? so < sb : old < b;
    if (strcmp(a->op, "add") == 0 && a->type[0] == 'f') {
        float sum = float_of(old) + float_of(b);
        uint32_t bits;
        memcpy(&bits, &sum, sizeof bits);
        return isnan(sum) ? 0x7fffffff : bits;
    }
    return strcmp(a->op, "add") == 0    ? old + b
           : strcmp(a->op, "min") == 0  ? (less ? old : b)
           : strcmp(a->op, "max") == 0  ? (less ? b : old)
           : strcmp(a->op, "and") == 0  ? (old & b)
           : strcmp(a->op, "or") == 0   ? (old | b)
           : strcmp(a->op, "xor") == 0  ? (old ^ b)
           : strcmp(a->op, "exch") == 0 ? b
           : strcmp(a->op, "inc") == 0  ? (old >= b ? 0 : old + 1)
           : strcmp(a->op, "dec") == 0  ? (old == 0 || old > b ? b : old - 1)
           : old == b                   ? c
                                        : old;
}

static uint64_t bytes_at(const uint8_t *at, int width)
{
    uint64_t value = 0;
    memcpy(&value, at, (size_t)width);
    return value;
}

/* Out of a thread: eight elements of 8 bytes that a load or an atomic gave, then its slot. */
static void expect(const struct access *a, const uint8_t *slot, const uint8_t *values, uint8_t *out)
{
    bool memory = a->space[0] != 'p';
    if (memory)
        memcpy(out + 64, slot, SLOT);
    if (a->base[0] == 'l') {
        for (int i = 0; i < a->vector; i++) {
            uint64_t v = bytes_at(slot + i * a->width, a->width);
            if (a->width == 1 && a->type[0] == 's')
                v |= v & 0x80 ? 0xff00 : 0;
            memcpy(out + 8 * i, &v, 8);
        }
    } else if (a->base[0] == 's') {
        for (int i = 0; i < a->vector; i++)
            memcpy(out + 64 + i * a->width, values + 8 * i, (size_t)a->width);
    } else {
        uint64_t old = bytes_at(slot, a->width);
        uint64_t now = changed(a, old, bytes_at(values, a->width), bytes_at(values + 8, a->width));
        if (a->base[0] == 'a')
            memcpy(out, &old, 8);
        memcpy(out + 64, &now, (size_t)a->width);
    }
}

/* Slots, then 64 bytes of values for each thread: edges, equal ones (for cas), random bits. */
static void fill(uint8_t *in, const struct access *a)
{
    static const uint64_t edges[8] = {0,
                                      0x7fffffff7fffffff,
                                      0x8000000080000000,
                                      UINT64_MAX,
                                      0x3f8000003f800000,
                                      0x0000000100000001,
                                      0x7f8000007f800000,
                                      0xff80000080000000};
    uint64_t state = 99;
    for (int i = 0; i < THREADS * (SLOT + 64) / 8; i++) {
        state = state * 6364136223846793005U + 1442695040888963407U;
        uint64_t value = i % 3 ? edges[state >> 61] : state;
        memcpy(in + 8 * i, &value, 8);
    }
    for (int t = 0; t < THREADS; t += 2)
        memcpy(in + THREADS * SLOT + 64 * t, in + SLOT * t, (size_t)a->width);
}

/* A load of parameters reads them from a kernel's own block. */
static bool run_parameters(const char *text, uint8_t *in, uint8_t *out)
{
    char whole[4096];
    const struct kit *k = kit_open();
    (void)snprintf(whole, sizeof whole,
                   ".version 9.0\n.target sm_90\n.address_size 64\n"
                   ".visible .entry f(.param .u64 in, .param .u64 out,\n"
                   ".param .align 32 .b8 slots[2048])\n{\n"
                   ".reg .b16 %%rs<20>;\n.reg .b32 %%r<40>;\n.reg .f32 %%f<20>;\n"
                   ".reg .f64 %%fd<20>;\n.reg .b64 %%rd<40>;\n"
                   "mov.u32 %%r13, %%tid.x;\nld.param.u64 %%rd10, [in];\n"
                   "ld.param.u64 %%rd11, [out];\n%s\nret;\n}\n",
                   text);
    struct CUmod_st *module = kit_load_text(whole);
    drv_address a = kit_upload(in, THREADS * (SLOT + 64)), o = kit_upload(out, THREADS * 96);
    void *params[] = {&a, &o, in};
    bool good = module &&
                ct_expect_eq_i64(kit_run(kit_function(module, "f"), 1, THREADS, 0, params), 0) &&
                ct_expect_eq_i64(k->cuMemcpyDtoH_v2(out, o, THREADS * 96), 0);
    (void)k->cuMemFree_v2(a);
    (void)k->cuMemFree_v2(o);
    if (module)
        (void)k->cuModuleUnload(module);
    return good;
}

void form_check_memory(const char *opcode)
{
    struct access a;
    char text[3000];
    ct_note("%s: a word that tests/standin/unit/form_memory.c does not know", opcode);
    if (!ct_expect_true(read_access(opcode, &a)))
        return;
    uint8_t *in = ct_alloc(THREADS * (SLOT + 64)), *out = ct_alloc(THREADS * 96);
    uint8_t *want = ct_alloc(THREADS * 96);
    memset(out, 0x5a, THREADS * 96);
    memset(want, 0x5a, THREADS * 96);
    fill(in, &a);
    for (int t = 0; t < THREADS; t++)
        expect(&a, in + SLOT * t, in + THREADS * SLOT + 64 * t, want + 96 * t);
    make_text(text, sizeof text, &a, opcode);
    bool ran = a.space[0] == 'p'
                   ? run_parameters(text, in, out)
                   : form_run(text, 1, THREADS, in, THREADS * (SLOT + 64), out, THREADS * 96);
    ct_note("%s", opcode);
    if (ran)
        ct_expect_eq_mem(out, want, THREADS * 96);
}
