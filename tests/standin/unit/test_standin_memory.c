/* SPDX-License-Identifier: Apache-2.0 */
/* Forms of memory, and that no form of our kernels is without a test. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include "form_kit.h"

/* Those that kernels of our kind use; what our kernels have beside these is tested as found. */
const char *const forms_memory[] = {
    "ld.global.u8",
    "ld.global.s8",
    "ld.global.u16",
    "ld.global.s16",
    "ld.global.u32",
    "ld.global.s32",
    "ld.global.f32",
    "ld.global.u64",
    "ld.global.f64",
    "ld.global.v2.u16",
    "ld.global.v4.u16",
    "ld.global.v2.u32",
    "ld.global.v4.u32",
    "ld.global.v4.f32",
    "ld.global.v2.u64",
    "ld.global.v8.f32",
    "ld.global.nc.v4.u32",
    "ld.global.nc.L1::no_allocate.L2::128B.v4.s32",
    "ld.volatile.global.u32",
    "ld.volatile.global.u64",
    "ld.relaxed.gpu.global.u32",
    "ld.acquire.gpu.global.u32",
    "ld.acquire.sys.global.u64",
    "ld.u32",
    "ld.f32",
    "ld.shared.u8",
    "ld.shared.u32",
    "ld.shared.v4.u32",
    "ld.volatile.shared.u32",
    "ld.local.u32",
    "ld.local.v4.f32",
    "ld.param.u8",
    "ld.param.u32",
    "ld.param.u64",
    "ld.param.v2.u32",
    "ld.param.v4.u32",
    "st.global.u8",
    "st.global.u16",
    "st.global.u32",
    "st.global.f32",
    "st.global.u64",
    "st.global.v2.u32",
    "st.global.v4.u32",
    "st.global.v4.f32",
    "st.global.v2.u64",
    "st.global.L1::no_allocate.v4.s32",
    "st.volatile.global.u32",
    "st.relaxed.gpu.global.u32",
    "st.release.gpu.global.u32",
    "st.release.sys.global.u64",
    "st.u32",
    "st.shared.u8",
    "st.shared.u32",
    "st.shared.f32",
    "st.shared.v4.u32",
    "st.volatile.shared.u32",
    "st.local.u32",
    "st.local.v4.f32",
    "atom.global.add.u32",
    "atom.global.add.s32",
    "atom.global.add.u64",
    "atom.global.add.f32",
    "atom.global.min.s32",
    "atom.global.min.u32",
    "atom.global.max.s32",
    "atom.global.max.u64",
    "atom.global.max.s64",
    "atom.global.and.b32",
    "atom.global.or.b32",
    "atom.global.xor.b32",
    "atom.global.exch.b32",
    "atom.global.exch.b64",
    "atom.global.inc.u32",
    "atom.global.dec.u32",
    "atom.global.cas.b32",
    "atom.global.cas.b64",
    "atom.relaxed.global.cas.b32",
    "atom.acq_rel.sys.global.add.u32",
    "atom.add.release.gpu.global.u32",
    "atom.shared.add.u32",
    "atom.shared.or.b32",
    "atom.shared.max.u32",
    "atom.shared.cas.b32",
    "red.global.add.u32",
    "red.global.add.u64",
    "red.global.max.s32",
    "red.release.gpu.global.add.u32",
    "red.shared.add.u32",
    NULL,
};

CT(standin_forms, memory, "Loads, stores and atomics of every width and space move the right bytes")
{
    for (const char *const *opcode = forms_memory; *opcode; opcode++)
        form_check_memory(*opcode);
}

/* ------------------------------------------------------------------------------ our kernels */

/* For fatbin.c, which is linked in to read the fat binary. */
void standin_say(const char *text)
{
    ct_note("%s", text);
}

static bool listed(const struct form *list, const char *opcode)
{
    char name[64];
    for (; list->id; list++) {
        form_opcode(list->id, name, sizeof name);
        if (strcmp(name, opcode) == 0)
            return true;
    }
    return false;
}

static bool listed_lanes(const char *opcode)
{
    char name[64];
    for (const struct form_lanes *form = forms_lanes; form->id; form++) {
        form_opcode(form->id, name, sizeof name);
        if (strcmp(name, opcode) == 0)
            return true;
    }
    return false;
}

static bool has_test(const char *opcode)
{
    return listed(forms_int, opcode) || listed(forms_float, opcode) ||
           listed(forms_convert, opcode) || listed(forms_control, opcode) || listed_lanes(opcode);
}

struct seen {
    char opcode[64];
    int sm;
};

struct scan {
    struct seen seen[600];
    int count;
};

static void found(struct scan *scan, const char *word, size_t n, int sm)
{
    for (int i = 0; i < scan->count; i++)
        if (strlen(scan->seen[i].opcode) == n && strncmp(scan->seen[i].opcode, word, n) == 0)
            return;
    if (!ct_expect_true(scan->count < 600 && n < 64))
        return;
    struct seen *s = &scan->seen[scan->count++];
    memcpy(s->opcode, word, n);
    s->opcode[n] = '\0';
    s->sm = sm;
}

/* The opcode of each statement of the functions' bodies. */
static void scan_ptx(struct scan *scan, const char *text, int sm)
{
    bool begins = true;
    for (const char *p = text; *p;) {
        if (p[0] == '/' && p[1] == '/') {
            p += strcspn(p, "\n");
        } else if (p[0] == '.' && begins) { /* a directive, to its end */
            p += strcspn(p, ";\n{");
        } else if (strchr(";:\n", *p)) {
            begins = true;
            p++;
        } else if (*p == '{' || *p == '}') { /* a scope, or operands */
            p++;
        } else if (isspace((unsigned char)*p)) {
            p++;
        } else if (begins && *p == '@') {
            p += strcspn(p, " \t");
        } else {
            size_t n = strcspn(p, " \t;:,\n");
            if (begins && islower((unsigned char)*p) && p[n] != ':')
                found(scan, p, n, sm);
            begins = false;
            p += n ? n : 1;
        }
    }
}

static char *read_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        return NULL;
    (void)fseek(file, 0, SEEK_END);
    long bytes = ftell(file);
    rewind(file);
    char *data = ct_alloc((size_t)bytes + 1);
    bool whole = fread(data, 1, (size_t)bytes, file) == (size_t)bytes;
    (void)fclose(file);
    return whole ? data : NULL;
}

CT(standin_forms, of_kernels, "Every form that our kernels use, on every architecture, has a test")
{
    static const int archs[] = {80, 90, 100, 120};
    const char *path = getenv("STANDIN_KERNELS");
    struct scan *scan = ct_alloc(sizeof *scan);
    memset(scan, 0, sizeof *scan);
    char *image = read_file(path ? path : "build/obj/cuda/kernels.fatbin");
    ct_note("%s", path ? path : "build/obj/cuda/kernels.fatbin");
    ct_true(image != NULL);
    for (size_t i = 0; i < sizeof archs / sizeof *archs; i++) {
        int error;
        char *text = fatbin_ptx(image, archs[i], &error);
        ct_true(text != NULL);
        scan_ptx(scan, text, archs[i]);
        free(text);
    }
    ct_true(scan->count > 50);
    for (int i = 0; i < scan->count; i++) {
        const struct seen *s = &scan->seen[i];
        if (has_test(s->opcode))
            continue;
        if (form_is_memory(s->opcode)) {
            form_check_memory(s->opcode);
            continue;
        }
        ct_note("our kernels use %s (sm_%d): give it a line in tests/standin/unit/form_list_*.h",
                s->opcode, s->sm);
        ct_expect_true(has_test(s->opcode));
    }
}
