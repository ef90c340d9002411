/* SPDX-License-Identifier: Apache-2.0 */
/* The statements of a function: declarations, labels, scopes, instructions. */
#include <stdlib.h>
#include <string.h>

#include "ptx_build.h"

static int type_bits_of(const char *word)
{
    static const struct {
        const char *name;
        int bits;
    } types[] = {{".b8", 8},   {".u8", 8},     {".s8", 8},   {".b16", 16}, {".u16", 16},
                 {".s16", 16}, {".f16", 16},   {".b32", 32}, {".u32", 32}, {".s32", 32},
                 {".f32", 32}, {".f16x2", 32}, {".b64", 64}, {".u64", 64}, {".s64", 64},
                 {".f64", 64}, {".pred", 1}};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strcmp(types[i].name, word) == 0)
            return types[i].bits;
    return 0;
}

static bool registers(struct build *b)
{
    lex_next(&b->lex);
    int bits = type_bits_of(b->lex.word);
    if (!bits)
        return build_fail(b, "registers of type '%s'", b->lex.word);
    do {
        lex_next(&b->lex);
        if (b->lex.kind != LEX_WORD)
            return build_fail(b, "'%s' is no register name", b->lex.word);
        struct symbol *symbol = build_add(b, b->lex.word, bits == 1 ? SY_PRED : SY_REG);
        symbol->bits = bits;
        lex_next(&b->lex);
        int64_t count = 1;
        if (build_is(b, '<')) {
            lex_next(&b->lex);
            if (!build_int(b, &count) || !build_expect(b, '>') || count < 1 || count > 1000000)
                return build_fail(b, "a bad number of registers");
            symbol->count = (int32_t)count;
        }
        symbol->first = build_row(b, bits);
        for (int64_t i = 1; i < count; i++)
            (void)build_row(b, bits);
    } while (build_is(b, ','));
    return build_expect(b, ';');
}

static bool storage(struct build *b, bool shared)
{
    uint32_t *used = shared ? &b->function->shared_bytes : &b->function->local_bytes;
    struct build_variable variable;
    lex_next(&b->lex);
    if (!build_variable(b, &variable))
        return false;
    free(variable.data);
    uint64_t at = (*used + variable.align - 1) / variable.align * variable.align;
    if (variable.data || at + variable.bytes > (1U << 20))
        return build_fail(b, "'%s' has values, or more than 1 MiB", variable.name);
    struct symbol *symbol = build_add(b, variable.name, shared ? SY_SHARED : SY_LOCAL);
    symbol->address = at + (shared ? PTX_SHARED_BASE : PTX_LOCAL_BASE);
    *used = (uint32_t)(at + variable.bytes);
    return build_expect(b, ';');
}

/* .loc file line column [, function_name label[+n], inlined_at file line column] */
static bool location(struct build *b)
{
    int64_t file, line, column;
    lex_next(&b->lex);
    if (!build_int(b, &file) || !build_int(b, &line) || !build_int(b, &column))
        return false;
    b->source_line = (int32_t)line;
    while (build_is(b, ',')) {
        lex_next(&b->lex);
        if (build_is_word(b, "function_name")) {
            lex_next(&b->lex);
            lex_next(&b->lex);
            if (build_is(b, '+')) {
                lex_next(&b->lex);
                lex_next(&b->lex);
            }
        } else if (build_is_word(b, "inlined_at")) {
            lex_next(&b->lex);
            if (!build_int(b, &file) || !build_int(b, &line) || !build_int(b, &column))
                return false;
            b->source_line = (int32_t)line;
        } else {
            return build_fail(b, "'%s' in .loc", b->lex.word);
        }
    }
    return true;
}

/* NAME: .branchtargets L1, L2, ... ; */
static bool branch_targets(struct build *b, struct label *label)
{
    struct ptx_function *f = b->function;
    f->tables = build_grow(f->tables, f->ntables, sizeof *f->tables);
    struct ptx_table *table = &f->tables[f->ntables];
    label->at = f->ntables++;
    label->is_table = true;
    do {
        lex_next(&b->lex);
        if (b->lex.kind != LEX_WORD)
            return build_fail(b, "'%s' is no label", b->lex.word);
        table->target = build_grow(table->target, table->count, sizeof *table->target);
        table->target[table->count++] = build_label(b, b->lex.word);
        lex_next(&b->lex);
    } while (build_is(b, ','));
    return build_expect(b, ';');
}

static bool guard(struct build *b, struct ptx_ins *ins)
{
    int32_t index;
    lex_next(&b->lex);
    ins->guard_not = build_is(b, '!');
    if (ins->guard_not)
        lex_next(&b->lex);
    const struct symbol *symbol = build_find(b, b->lex.word, &index);
    if (!symbol || symbol->kind != SY_PRED)
        return build_fail(b, "'%s' is no predicate", b->lex.word);
    ins->guard = index;
    lex_next(&b->lex);
    return true;
}

static void finish_class(struct ptx_ins *ins)
{
    ins->cls = ins->form->cls;
    if (ins->cls != PCL_GLOBAL_LOAD && ins->cls != PCL_GLOBAL_STORE)
        return;
    switch (ins->mod[PK_SPACE]) {
    case PS_SHARED:
        ins->cls = PCL_SHARED;
        break;
    case PS_LOCAL:
        ins->cls = PCL_LOCAL;
        break;
    case PS_PARAM:
    case PS_CONST:
        ins->cls = PCL_PARAM;
        break;
    default:
        break;
    }
}

static bool instruction(struct build *b)
{
    struct ptx_function *f = b->function;
    struct ptx_ins ins;
    memset(&ins, 0, sizeof ins);
    ins.guard = ins.p[0] = ins.p[1] = PTX_NO_ROW;
    ins.line = b->lex.word_line;
    ins.src_line = b->source_line;
    if (build_is(b, '@') && !guard(b, &ins))
        return false;
    const char *why;
    if (b->lex.kind != LEX_WORD)
        return build_fail(b, "'%s' where an instruction should be", b->lex.word);
    ins.form = ptx_form_find(b->lex.word, &ins, &why);
    if (!ins.form)
        return build_fail(b, "'%s' is not executed (%s)", b->lex.word, why);
    ins.exec = ins.form->exec;
    finish_class(&ins);
    ins.used_bytes = b->used_bytes ? b->used_bytes : UINT32_MAX;
    b->used_bytes = 0;
    lex_next(&b->lex);
    if (!build_operands(b, &ins))
        return false;
    f->code = build_grow(f->code, f->ncode, sizeof *f->code);
    f->code[f->ncode++] = ins;
    return true;
}

/* A word with ':' after it is a label; the lexer leaves the ':' apart. */
static bool label_or_instruction(struct build *b)
{
    const char *p = b->lex.at;
    while (*p == ' ' || *p == '\t')
        p++;
    if (b->lex.kind != LEX_WORD || *p != ':')
        return instruction(b);
    int32_t index = build_label(b, b->lex.word);
    if (b->labels[index].at >= 0)
        return build_fail(b, "the label '%s' stands twice", b->lex.word);
    lex_next(&b->lex);
    lex_next(&b->lex);
    if (build_is_word(b, ".branchtargets")) {
        struct label label = b->labels[index];
        bool good = branch_targets(b, &label);
        b->labels[index] = label;
        return good;
    }
    b->labels[index].at = b->function->ncode;
    return true;
}

/* nounroll is for compilers; used_bytes_mask says which bytes of the next load are looked at. */
static bool pragma(struct build *b)
{
    uint64_t bits;
    int is_float;
    const char *used = b->lex.word + sizeof "used_bytes_mask";
    lex_next(&b->lex);
    if (b->lex.kind == LEX_STRING && strncmp(b->lex.word, "used_bytes_mask ", 16) == 0 &&
        lex_number(used, &bits, &is_float) && !is_float && bits)
        b->used_bytes = (uint32_t)bits;
    else if (b->lex.kind != LEX_STRING || strcmp(b->lex.word, "nounroll") != 0)
        return build_fail(b, "the pragma '%s'", b->lex.word);
    lex_next(&b->lex);
    return build_expect(b, ';');
}

static bool statement(struct build *b)
{
    if (build_is_word(b, ".reg"))
        return registers(b);
    if (build_is_word(b, ".shared") || build_is_word(b, ".local"))
        return storage(b, build_is_word(b, ".shared"));
    if (build_is_word(b, ".loc"))
        return location(b);
    if (build_is_word(b, ".pragma"))
        return pragma(b);
    if (build_is(b, '@'))
        return instruction(b);
    return label_or_instruction(b);
}

static bool resolve(struct build *b, int32_t *target, bool table, int32_t line)
{
    const struct label *label = &b->labels[*target];
    b->lex.word_line = line;
    if (label->at < 0 || label->is_table != table)
        return build_fail(b, "the label '%s' is not there", label->name);
    *target = label->at;
    return true;
}

/* Labels become instructions, predicates get numbers after the rows. */
static bool finish(struct build *b)
{
    struct ptx_function *f = b->function;
    for (int32_t i = 0; i < f->ncode; i++) {
        struct ptx_ins *ins = &f->code[i];
        for (int k = 0; k < ins->ncheck; k++)
            ins->check[k] = ins->check[k] < 0 ? f->rows - 1 - ins->check[k] : ins->check[k];
        for (int k = 0; k < ins->nset; k++)
            ins->set[k] = ins->set[k] < 0 ? f->rows - 1 - ins->set[k] : ins->set[k];
        int control = ins->form->control;
        if ((control == PX_BRANCH || control == PX_BRANCH_INDEX) &&
            !resolve(b, &ins->target, control == PX_BRANCH_INDEX, ins->line))
            return false;
    }
    for (int32_t t = 0; t < f->ntables; t++)
        for (int32_t k = 0; k < f->tables[t].count; k++)
            if (!resolve(b, &f->tables[t].target[k], false, b->lex.word_line))
                return false;
    return true;
}

bool build_body(struct build *b)
{
    int32_t scope[32], depth = 0;
    b->nlabels = 0;
    for (;;) {
        if (build_is(b, '{')) {
            if (depth == 32)
                return build_fail(b, "more than 32 nested scopes");
            scope[depth++] = b->nsymbols;
            lex_next(&b->lex);
        } else if (build_is(b, '}')) {
            lex_next(&b->lex);
            if (depth == 0)
                break;
            b->nsymbols = scope[--depth];
        } else if (b->lex.kind == LEX_END) {
            return build_fail(b, "the text ends within a function");
        } else if (!statement(b)) {
            return false;
        }
    }
    /* Whoever falls off the end has left. */
    struct ptx_ins end;
    const char *why;
    memset(&end, 0, sizeof end);
    end.guard = end.p[0] = end.p[1] = PTX_NO_ROW;
    end.line = b->lex.word_line;
    end.form = ptx_form_find("ret", &end, &why);
    b->function->code = build_grow(b->function->code, b->function->ncode, sizeof end);
    b->function->code[b->function->ncode++] = end;
    return finish(b);
}
