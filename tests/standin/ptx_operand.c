/* SPDX-License-Identifier: Apache-2.0 */
/* Operands. A form's shape has one letter for each:
 *   d  register written          D  the same, or r|p
 *   V  registers written, {..} if the instruction is a vector's (or unpacks)
 *   p  predicate written         P  the same, or p|q
 *   s  value read                S  values read, {..} likewise
 *   q  predicate read, or !p     a  address in []
 *   l  label                     n  label of a table of labels
 *   ?  those after it may be left out */
#include <stdlib.h>
#include <string.h>

#include "ptx_build.h"

static int32_t constant(struct build *b, uint64_t value)
{
    struct ptx_function *f = b->function;
    for (int32_t i = f->nconsts - 1; i >= 0 && i > f->nconsts - 64; i--)
        if (f->consts[i][0] == value)
            return ~i;
    f->consts = build_grow(f->consts, f->nconsts, sizeof *f->consts);
    for (int l = 0; l < 32; l++)
        f->consts[f->nconsts][l] = value;
    return ~f->nconsts++;
}

static int32_t special(const char *word)
{
    static const char *const names[SR_COUNT] = {
        "%tid.x",           "%tid.y",       "%tid.z",       "%ntid.x",
        "%ntid.y",          "%ntid.z",      "%ctaid.x",     "%ctaid.y",
        "%ctaid.z",         "%nctaid.x",    "%nctaid.y",    "%nctaid.z",
        "%laneid",          "%warpid",      "%nwarpid",     "%smid",
        "%nsmid",           "%gridid",      "%lanemask_eq", "%lanemask_lt",
        "%lanemask_le",     "%lanemask_gt", "%lanemask_ge", "%dynamic_smem_size",
        "%total_smem_size", "%clock",       "%clock64",     "%globaltimer"};
    for (int32_t i = 0; i < SR_COUNT; i++)
        if (strcmp(names[i], word) == 0)
            return i;
    return -1;
}

static bool source(struct build *b, struct ptx_ins *ins, int32_t *row)
{
    if (build_is(b, '-') || b->lex.kind == LEX_NUMBER) {
        bool minus = build_is(b, '-');
        uint64_t bits;
        int is_float;
        if (minus)
            lex_next(&b->lex);
        if (b->lex.kind != LEX_NUMBER || !lex_number(b->lex.word, &bits, &is_float))
            return build_fail(b, "'%s' is no number", b->lex.word);
        *row = constant(b, minus ? 0 - bits : bits);
        lex_next(&b->lex);
        return true;
    }
    int32_t index = special(b->lex.word);
    if (index >= 0) {
        ins->reads_clock = ins->reads_clock || index >= SR_CLOCK;
        *row = index;
        lex_next(&b->lex);
        return true;
    }
    if (strcmp(b->lex.word, "WARP_SZ") == 0) {
        *row = constant(b, 32);
        lex_next(&b->lex);
        return true;
    }
    const struct symbol *symbol = build_find(b, b->lex.word, &index);
    if (!symbol || symbol->kind == SY_PRED)
        return build_fail(b, "'%s' is no register or symbol", b->lex.word);
    if (symbol->kind == SY_REG) {
        *row = index;
        ins->check[ins->ncheck++] = index;
    } else {
        *row = constant(b, symbol->address);
    }
    lex_next(&b->lex);
    return true;
}

static bool one_source(struct build *b, struct ptx_ins *ins)
{
    if (ins->ns == PTX_SRC_MAX)
        return build_fail(b, "too many operands");
    return source(b, ins, &ins->s[ins->ns++]);
}

/* Predicates are numbered below 0 in check and set until the number of rows is known. */
static bool predicate(struct build *b, int32_t *out)
{
    int32_t index;
    const struct symbol *symbol = build_find(b, b->lex.word, &index);
    if (!symbol || symbol->kind != SY_PRED)
        return build_fail(b, "'%s' is no predicate", b->lex.word);
    *out = index;
    lex_next(&b->lex);
    return true;
}

static bool source_predicate(struct build *b, struct ptx_ins *ins)
{
    int32_t *out = &ins->q[ins->nq];
    ins->q_not[ins->nq] = build_is(b, '!');
    if (build_is(b, '!'))
        lex_next(&b->lex);
    bool minus = build_is(b, '-');
    if (minus)
        lex_next(&b->lex);
    uint64_t bits;
    int is_float;
    ins->nq++;
    if (b->lex.kind == LEX_NUMBER && lex_number(b->lex.word, &bits, &is_float)) {
        *out = bits != 0; /* predicates 0 and 1 are the constants */
        lex_next(&b->lex);
        return true;
    }
    if (minus || !predicate(b, out))
        return build_fail(b, "'%s' is no predicate", b->lex.word);
    ins->check[ins->ncheck++] = -1 - *out;
    return true;
}

static bool sink(struct build *b)
{
    if (!build_is_word(b, "_"))
        return false;
    lex_next(&b->lex);
    return true;
}

static bool destination_predicate(struct build *b, struct ptx_ins *ins, int i)
{
    if (sink(b))
        return true;
    if (!predicate(b, &ins->p[i]))
        return false;
    ins->set[ins->nset++] = -1 - ins->p[i];
    return true;
}

static bool destination(struct build *b, struct ptx_ins *ins)
{
    int32_t index;
    if (ins->nd == 8)
        return build_fail(b, "too many operands");
    if (sink(b)) {
        ins->d[ins->nd++] = PTX_NO_ROW;
        return true;
    }
    const struct symbol *symbol = build_find(b, b->lex.word, &index);
    if (!symbol || symbol->kind != SY_REG)
        return build_fail(b, "'%s' is no register", b->lex.word);
    ins->dbits = (uint8_t)symbol->bits;
    ins->d[ins->nd++] = index;
    ins->set[ins->nset++] = index;
    lex_next(&b->lex);
    return true;
}

/* One element, or as many as the braces hold. */
static bool vector(struct build *b, struct ptx_ins *ins,
                   bool (*element)(struct build *b, struct ptx_ins *ins))
{
    if (!build_is(b, '{'))
        return element(b, ins);
    do {
        lex_next(&b->lex);
        if (!element(b, ins))
            return false;
    } while (build_is(b, ','));
    return build_expect(b, '}');
}

static bool address(struct build *b, struct ptx_ins *ins)
{
    if (!build_expect(b, '[') || !source(b, ins, &ins->base))
        return false;
    if (build_is(b, '+')) {
        lex_next(&b->lex);
        if (!build_int(b, &ins->offset))
            return false;
    } else if (build_is(b, '-') && !build_int(b, &ins->offset)) {
        return false;
    }
    return build_expect(b, ']');
}

static bool label(struct build *b, struct ptx_ins *ins)
{
    if (b->lex.kind != LEX_WORD)
        return build_fail(b, "'%s' is no label", b->lex.word);
    ins->target = build_label(b, b->lex.word);
    lex_next(&b->lex);
    return true;
}

static bool operand(struct build *b, struct ptx_ins *ins, char shape)
{
    switch (shape) {
    case 'd':
        return destination(b, ins);
    case 'D':
        if (!destination(b, ins))
            return false;
        if (!build_is(b, '|'))
            return true;
        lex_next(&b->lex);
        return destination_predicate(b, ins, 0);
    case 'V':
        return vector(b, ins, destination);
    case 'p':
        return destination_predicate(b, ins, 0);
    case 'P':
        if (!destination_predicate(b, ins, 0))
            return false;
        if (!build_is(b, '|'))
            return true;
        lex_next(&b->lex);
        return destination_predicate(b, ins, 1);
    case 's':
        return one_source(b, ins);
    case 'S':
        return vector(b, ins, one_source);
    case 'q':
        return source_predicate(b, ins);
    case 'a':
        return address(b, ins);
    default:
        return label(b, ins);
    }
}

/* Elements of vectors: as many as .vN says; for moves, widths that add up. */
static bool vector_fits(struct build *b, struct ptx_ins *ins)
{
    const char *shape = ins->form->shape;
    bool written = strchr(shape, 'V') != NULL, read = strchr(shape, 'S') != NULL;
    if (written && read) {
        if (ins->nd > 1 && ins->ns > 1)
            return build_fail(b, "a vector on both sides");
        int parts = ins->nd > ins->ns ? ins->nd : ins->ns;
        return parts == 1 || parts == 2 || parts == 4 ||
               build_fail(b, "a vector of %d elements", parts);
    }
    if (!written && !read)
        return true;
    int got = written ? ins->nd : ins->ns;
    ins->vec = ins->mod[PK_VECTOR] ? ins->mod[PK_VECTOR] : 1;
    return got == ins->vec || build_fail(b, "%d elements, not %d", got, ins->vec);
}

bool build_operands(struct build *b, struct ptx_ins *ins)
{
    bool optional = false, first = true;
    for (const char *shape = ins->form->shape; *shape; shape++) {
        if (*shape == '?') {
            optional = true;
            continue;
        }
        if (optional && build_is(b, ';'))
            break;
        if (!first && !build_expect(b, ','))
            return false;
        first = false;
        if (!operand(b, ins, *shape))
            return false;
    }
    return vector_fits(b, ins) && build_expect(b, ';');
}
