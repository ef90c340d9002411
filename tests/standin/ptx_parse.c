/* SPDX-License-Identifier: Apache-2.0 */
/* A PTX module: directives, variables, entries. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ptx_build.h"

static bool variable_type(struct build *b, struct build_variable *out)
{
    static const char *const names[PT_COUNT] = {
        [PT_B8] = ".b8",   [PT_U8] = ".u8",   [PT_S8] = ".s8",   [PT_B16] = ".b16",
        [PT_U16] = ".u16", [PT_S16] = ".s16", [PT_F16] = ".f16", [PT_B32] = ".b32",
        [PT_U32] = ".u32", [PT_S32] = ".s32", [PT_F32] = ".f32", [PT_B64] = ".b64",
        [PT_U64] = ".u64", [PT_S64] = ".s64", [PT_F64] = ".f64"};
    for (int t = 1; t < PT_COUNT; t++) {
        if (names[t] && build_is_word(b, names[t])) {
            out->type = t;
            lex_next(&b->lex);
            return true;
        }
    }
    return build_fail(b, "a variable of type '%s'", b->lex.word);
}

static bool variable_values(struct build *b, struct build_variable *out)
{
    size_t width = (size_t)ptx_type_bits(out->type) / 8, at = 0;
    out->data = calloc(out->bytes ? out->bytes : 1, 1);
    if (!out->data)
        abort();
    bool braces = build_is(b, '{');
    do {
        uint64_t bits;
        int is_float;
        if (braces)
            lex_next(&b->lex);
        bool minus = build_is(b, '-');
        if (minus)
            lex_next(&b->lex);
        if (b->lex.kind != LEX_NUMBER || !lex_number(b->lex.word, &bits, &is_float))
            return build_fail(b, "the value '%s'", b->lex.word);
        bits = minus ? 0 - bits : bits;
        if (at + width > out->bytes)
            return build_fail(b, "more values than '%s' holds", out->name);
        memcpy(out->data + at, &bits, width);
        at += width;
        lex_next(&b->lex);
    } while (braces && build_is(b, ','));
    return !braces || build_expect(b, '}');
}

bool build_variable(struct build *b, struct build_variable *out)
{
    memset(out, 0, sizeof *out);
    int64_t align = 0;
    if (build_is_word(b, ".align")) {
        lex_next(&b->lex);
        if (!build_int(b, &align))
            return false;
    }
    if (!variable_type(b, out))
        return false;
    /* .ptr .global .align n: what a pointer parameter points to */
    while (build_is_word(b, ".ptr") || build_is_word(b, ".global") || build_is_word(b, ".align")) {
        bool number = build_is_word(b, ".align");
        int64_t ignored;
        lex_next(&b->lex);
        if (number && !build_int(b, &ignored))
            return false;
    }
    if (b->lex.kind != LEX_WORD)
        return build_fail(b, "'%s' is no name", b->lex.word);
    (void)snprintf(out->name, sizeof out->name, "%.190s", b->lex.word);
    lex_next(&b->lex);
    out->bytes = (uint64_t)ptx_type_bits(out->type) / 8;
    out->align = align > 0 ? (uint64_t)align : out->bytes;
    while (build_is(b, '[')) {
        int64_t count = 0;
        lex_next(&b->lex);
        if (!build_is(b, ']') && !build_int(b, &count))
            return false;
        if (count < 0 || count > (1 << 28))
            return build_fail(b, "'%s' has a bad size", out->name);
        out->bytes *= (uint64_t)count;
        if (!build_expect(b, ']'))
            return false;
    }
    if (!build_is(b, '='))
        return true;
    lex_next(&b->lex);
    return variable_values(b, out);
}

static bool module_variable(struct build *b, bool is_const)
{
    struct build_variable got;
    struct ptx_module *m = b->module;
    lex_next(&b->lex);
    if (!build_variable(b, &got))
        return false;
    m->variables = build_grow(m->variables, m->nvariables, sizeof *m->variables);
    struct ptx_variable *v = &m->variables[m->nvariables++];
    *v = (struct ptx_variable){build_copy(got.name), got.bytes, got.align, 0, got.data, is_const};
    v->address = b->place(b->arg, got.bytes);
    if (!v->address)
        return build_fail(b, "no memory for '%s'", got.name);
    build_add(b, got.name, SY_VARIABLE)->address = v->address;
    return build_expect(b, ';');
}

/* Stands for the address of the dynamic part, which begins after the static ones, until these are
 * known. */
#define DYNAMIC_MARK 0xD15A1A0C0FFEE005ULL

/* Shared variables of the module are given to each function; an unsized one is the dynamic part. */
static bool module_shared(struct build *b)
{
    struct build_variable got;
    lex_next(&b->lex);
    if (!build_variable(b, &got))
        return false;
    free(got.data);
    struct symbol *symbol = build_add(b, got.name, SY_SHARED);
    if (got.bytes == 0) {
        symbol->address = DYNAMIC_MARK;
        return build_expect(b, ';');
    }
    uint64_t at = (b->module->shared_bytes + got.align - 1) / got.align * got.align;
    symbol->address = PTX_SHARED_BASE + at;
    b->module->shared_bytes = (uint32_t)(at + got.bytes);
    return build_expect(b, ';');
}

static bool parameters(struct build *b)
{
    struct ptx_function *f = b->function;
    if (!build_is(b, '('))
        return true;
    lex_next(&b->lex);
    while (!build_is(b, ')')) {
        struct build_variable got;
        if (!build_is_word(b, ".param"))
            return build_fail(b, "'%s' where .param should be", b->lex.word);
        lex_next(&b->lex);
        if (!build_variable(b, &got))
            return false;
        f->params = build_grow(f->params, f->nparams, sizeof *f->params);
        uint64_t at = (f->param_bytes + got.align - 1) / got.align * got.align;
        f->params[f->nparams++] = (struct ptx_param){(uint32_t)at, (uint32_t)got.bytes};
        f->param_bytes = (uint32_t)(at + got.bytes);
        build_add(b, got.name, SY_PARAM)->address = PTX_PARAM_BASE + at;
        if (build_is(b, ','))
            lex_next(&b->lex);
        else if (!build_is(b, ')'))
            return build_fail(b, "'%s' among the parameters", b->lex.word);
    }
    return build_expect(b, ')');
}

static bool thread_bounds(struct build *b)
{
    struct ptx_function *f = b->function;
    f->max_threads = 1024;
    while (!build_is(b, '{')) {
        bool exact = build_is_word(b, ".reqntid"), most = build_is_word(b, ".maxntid");
        if (!exact && !most && !build_is_word(b, ".minnctapersm") && !build_is_word(b, ".maxnreg"))
            return build_fail(b, "'%s' before a function's body", b->lex.word);
        int64_t product = 1;
        for (int i = 0; i == 0 || build_is(b, ','); i++) {
            int64_t value;
            lex_next(&b->lex);
            if (!build_int(b, &value))
                return false;
            product *= value;
            if (exact && i < 3)
                f->need_threads[i] = (uint32_t)value;
        }
        if (exact || most)
            f->max_threads = (uint32_t)product;
    }
    lex_next(&b->lex);
    return true;
}

/* The constant of a dynamic shared variable gets its address once the static size is known. */
static void settle_dynamic(struct ptx_function *f)
{
    uint64_t at = PTX_SHARED_BASE + (f->shared_bytes + 15) / 16 * 16;
    for (int32_t i = 0; i < f->nconsts; i++)
        if (f->consts[i][0] == DYNAMIC_MARK)
            for (int l = 0; l < 32; l++)
                f->consts[i][l] = at;
}

static bool entry(struct build *b)
{
    struct ptx_module *m = b->module;
    int32_t outer = b->nsymbols;
    lex_next(&b->lex);
    m->functions = build_grow(m->functions, m->nfunctions, sizeof *m->functions);
    b->function = &m->functions[m->nfunctions++];
    b->function->name = build_copy(b->lex.word);
    b->function->rows = SR_COUNT;
    b->function->preds = 2;
    b->function->shared_bytes = m->shared_bytes;
    lex_next(&b->lex);
    if (!parameters(b) || !thread_bounds(b) || !build_body(b))
        return false;
    settle_dynamic(b->function);
    b->nsymbols = outer;
    b->function = NULL;
    return true;
}

/* Past text in braces, as that of debug sections and of functions that are not called. */
static bool skip_braces(struct build *b)
{
    while (!build_is(b, '{') && !build_is(b, ';') && b->lex.kind != LEX_END)
        lex_next(&b->lex);
    if (build_is(b, ';')) {
        lex_next(&b->lex);
        return true;
    }
    int depth = 0;
    do {
        depth += build_is(b, '{') - build_is(b, '}');
        if (b->lex.kind == LEX_END)
            return build_fail(b, "the text ends within braces");
        lex_next(&b->lex);
    } while (depth > 0);
    return true;
}

static bool target(struct build *b)
{
    lex_next(&b->lex);
    if (strncmp(b->lex.word, "sm_", 3) != 0)
        return build_fail(b, "the target '%s'", b->lex.word);
    b->module->target = (int32_t)strtol(b->lex.word + 3, NULL, 10);
    lex_next(&b->lex);
    while (build_is(b, ',')) {
        lex_next(&b->lex);
        lex_next(&b->lex);
    }
    return true;
}

static bool file(struct build *b)
{
    int64_t number;
    lex_next(&b->lex);
    if (!build_int(b, &number))
        return false;
    lex_next(&b->lex);
    while (build_is(b, ',')) {
        lex_next(&b->lex);
        lex_next(&b->lex);
    }
    return true;
}

static bool directive(struct build *b)
{
    if (build_is_word(b, ".version") || build_is_word(b, ".address_size")) {
        lex_next(&b->lex);
        lex_next(&b->lex);
        return true;
    }
    if (build_is_word(b, ".target"))
        return target(b);
    if (build_is_word(b, ".file"))
        return file(b);
    if (build_is_word(b, ".section") || build_is_word(b, ".func"))
        return skip_braces(b);
    if (build_is_word(b, ".visible") || build_is_word(b, ".extern") || build_is_word(b, ".weak") ||
        build_is_word(b, ".common")) {
        lex_next(&b->lex);
        return true;
    }
    if (build_is_word(b, ".global") || build_is_word(b, ".const"))
        return module_variable(b, build_is_word(b, ".const"));
    if (build_is_word(b, ".shared"))
        return module_shared(b);
    if (build_is_word(b, ".entry"))
        return entry(b);
    return build_fail(b, "'%s' is no directive that is known", b->lex.word);
}

struct ptx_module *ptx_parse(const char *text, uint64_t (*place)(void *arg, uint64_t bytes),
                             void *arg, char *why, size_t why_bytes)
{
    struct build b;
    memset(&b, 0, sizeof b);
    why[0] = '\0';
    b.why = why;
    b.why_bytes = why_bytes;
    b.place = place;
    b.arg = arg;
    b.module = calloc(1, sizeof *b.module);
    if (!b.module)
        abort();
    bool good = true;
    for (lex_start(&b.lex, text); good && b.lex.kind != LEX_END;)
        good = directive(&b);
    free(b.symbols);
    free(b.labels);
    for (int32_t i = 0; i < b.module->nfunctions; i++)
        b.module->functions[i].module = b.module;
    if (good)
        return b.module;
    ptx_free(b.module);
    return NULL;
}

void ptx_free(struct ptx_module *module)
{
    for (int32_t i = 0; i < module->nfunctions; i++) {
        struct ptx_function *f = &module->functions[i];
        for (int32_t t = 0; t < f->ntables; t++)
            free(f->tables[t].target);
        free(f->tables);
        free(f->name);
        free(f->code);
        free(f->consts);
        free(f->params);
    }
    for (int32_t i = 0; i < module->nvariables; i++) {
        free(module->variables[i].name);
        free(module->variables[i].data);
    }
    free(module->functions);
    free(module->variables);
    free(module);
}
