/* SPDX-License-Identifier: Apache-2.0 */
/* Finds the form of an opcode. Each word after the base must be one of the form's fixed words, a
 * type it takes, or a modifier of a kind that it allows; anything left over is no match. */
#include <string.h>

#include "ptx.h"

static const char *const type_names[PT_COUNT] = {
    "",    "b8",  "u8",  "s8",    "b16",  "u16",    "s16", "b32",   "u32", "s32", "b64",
    "u64", "s64", "f16", "f16x2", "bf16", "bf16x2", "f32", "f32x2", "f64", "pred"};

int ptx_type_bits(int type)
{
    static const uint8_t bits[PT_COUNT] = {0,  8,  8,  8,  16, 16, 16, 32, 32, 32, 64,
                                           64, 64, 16, 32, 16, 32, 32, 64, 64, 1};
    return bits[type];
}

struct word {
    const char *name;
    uint8_t kind, value;
};

static const struct word words[] = {
    {"global", PK_SPACE, PS_GLOBAL},
    {"shared", PK_SPACE, PS_SHARED},
    {"shared::cta", PK_SPACE, PS_SHARED},
    {"local", PK_SPACE, PS_LOCAL},
    {"param", PK_SPACE, PS_PARAM},
    {"const", PK_SPACE, PS_CONST},
    {"rni", PK_ROUND, PR_RNI},
    {"rzi", PK_ROUND, PR_RZI},
    {"rmi", PK_ROUND, PR_RMI},
    {"rpi", PK_ROUND, PR_RPI},
    {"eq", PK_COMPARE, PC_EQ},
    {"ne", PK_COMPARE, PC_NE},
    {"lt", PK_COMPARE, PC_LT},
    {"le", PK_COMPARE, PC_LE},
    {"gt", PK_COMPARE, PC_GT},
    {"ge", PK_COMPARE, PC_GE},
    {"lo", PK_COMPARE, PC_LT},
    {"ls", PK_COMPARE, PC_LE},
    {"hi", PK_COMPARE, PC_GT},
    {"hs", PK_COMPARE, PC_GE},
    {"equ", PK_COMPARE, PC_EQU},
    {"neu", PK_COMPARE, PC_NEU},
    {"ltu", PK_COMPARE, PC_LTU},
    {"leu", PK_COMPARE, PC_LEU},
    {"gtu", PK_COMPARE, PC_GTU},
    {"geu", PK_COMPARE, PC_GEU},
    {"num", PK_COMPARE, PC_NUM},
    {"nan", PK_COMPARE, PC_NAN},
    {"and", PK_BOOL, PB_AND},
    {"or", PK_BOOL, PB_OR},
    {"xor", PK_BOOL, PB_XOR},
    {"weak", PK_SEM, PM_WEAK},
    {"relaxed", PK_SEM, PM_RELAXED},
    {"acquire", PK_SEM, PM_ACQUIRE},
    {"release", PK_SEM, PM_RELEASE},
    {"acq_rel", PK_SEM, PM_ACQ_REL},
    {"volatile", PK_SEM, PM_VOLATILE},
    {"cta", PK_SCOPE, PO_CTA},
    {"cluster", PK_SCOPE, PO_CLUSTER},
    {"gpu", PK_SCOPE, PO_GPU},
    {"sys", PK_SCOPE, PO_SYS},
    {"v2", PK_VECTOR, 2},
    {"v4", PK_VECTOR, 4},
    {"v8", PK_VECTOR, 8},
    {"ftz", PK_FTZ, 1},
    {"sat", PK_SAT, 1},
    {"ca", PK_CACHE, 1},
    {"cg", PK_CACHE, 1},
    {"cs", PK_CACHE, 1},
    {"lu", PK_CACHE, 1},
    {"cv", PK_CACHE, 1},
    {"wb", PK_CACHE, 1},
    {"wt", PK_CACHE, 1},
    {"nc", PK_CACHE, 1},
    {"L1::no_allocate", PK_CACHE, 1},
    {"L1::evict_first", PK_CACHE, 1},
    {"L1::evict_last", PK_CACHE, 1},
    {"L1::evict_normal", PK_CACHE, 1},
    {"L2::64B", PK_CACHE, 1},
    {"L2::128B", PK_CACHE, 1},
    {"L2::256B", PK_CACHE, 1},
    {"uni", PK_UNI, 1},
    {"add", PK_ATOM, PA_ADD},
    {"min", PK_ATOM, PA_MIN},
    {"max", PK_ATOM, PA_MAX},
    {"and", PK_ATOM, PA_AND},
    {"or", PK_ATOM, PA_OR},
    {"xor", PK_ATOM, PA_XOR},
    {"exch", PK_ATOM, PA_EXCH},
    {"cas", PK_ATOM, PA_CAS},
    {"inc", PK_ATOM, PA_INC},
    {"dec", PK_ATOM, PA_DEC},
};

#define WORDS_MAX 12

/* An opcode cut at its dots; "::" is no dot and stays within a word. */
struct cut {
    char text[128];
    const char *word[WORDS_MAX];
    int count;
};

static bool cut_opcode(const char *opcode, struct cut *cut)
{
    if (strlen(opcode) >= sizeof cut->text)
        return false;
    strcpy(cut->text, opcode);
    cut->count = 0;
    for (char *p = cut->text; p;) {
        if (cut->count == WORDS_MAX)
            return false;
        cut->word[cut->count++] = p;
        p = strchr(p, '.');
        if (p)
            *p++ = '\0';
    }
    return true;
}

static int type_of(const char *word)
{
    for (int t = 1; t < PT_COUNT; t++)
        if (strcmp(type_names[t], word) == 0)
            return t;
    return PT_NONE;
}

static const struct word *modifier(const char *name, uint32_t allow)
{
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if ((allow >> words[i].kind & 1) && strcmp(words[i].name, name) == 0)
            return &words[i];
    return NULL;
}

/* Crosses the form's fixed words off `used`; false when one is missing. */
static bool fixed_words(const struct ptx_form *form, const struct cut *cut, uint32_t *used)
{
    struct cut fixed;
    if (!cut_opcode(form->name, &fixed) || strcmp(fixed.word[0], cut->word[0]) != 0)
        return false;
    *used = 1;
    for (int f = 1; f < fixed.count; f++) {
        int w = 1;
        while (w < cut->count && ((*used >> w & 1) || strcmp(cut->word[w], fixed.word[f]) != 0))
            w++;
        if (w == cut->count)
            return false;
        *used |= 1U << w;
    }
    return true;
}

static bool matches(const struct ptx_form *form, const struct cut *cut, struct ptx_ins *ins,
                    const char **why)
{
    uint32_t used, given = 0;
    if (!fixed_words(form, cut, &used))
        return false;
    int types = 0;
    memset(ins->mod, 0, sizeof ins->mod);
    ins->type = ins->type2 = PT_NONE;
    for (int w = 1; w < cut->count; w++) {
        if (used >> w & 1)
            continue;
        *why = cut->word[w];
        int t = type_of(cut->word[w]);
        if (t) {
            uint32_t takes = types == 0 ? form->types : types == 1 ? form->types2 : 0;
            if (!(takes >> t & 1))
                return false;
            *(types++ == 0 ? &ins->type : &ins->type2) = (uint8_t)t;
            continue;
        }
        const struct word *m = modifier(cut->word[w], form->allow);
        /* Several cache hints may stand together; nothing else may be said twice. */
        if (!m || ((given >> m->kind & 1) && m->kind != PK_CACHE))
            return false;
        given |= 1U << m->kind;
        ins->mod[m->kind] = m->value;
    }
    *why = "a word that is missing";
    return (form->need & ~given) == 0 && types == (form->types != 0) + (form->types2 != 0);
}

static const struct ptx_form *search(const char *opcode, struct ptx_ins *ins, const char **why)
{
    static const struct ptx_form *const all[] = {
        ptx_forms_int,    ptx_forms_float, ptx_forms_convert, ptx_forms_move,
        ptx_forms_memory, ptx_forms_warp,  ptx_forms_half};
    static _Thread_local struct cut cut;
    *why = "its length";
    if (!cut_opcode(opcode, &cut))
        return NULL;
    *why = "its first word";
    for (size_t t = 0; t < sizeof all / sizeof *all; t++)
        for (const struct ptx_form *form = all[t]; form->name; form++)
            if (matches(form, &cut, ins, why))
                return form;
    return NULL;
}

/* A module has few opcodes, each many times: what was found is kept. */
struct found {
    char opcode[56];
    const struct ptx_form *form;
    uint8_t mod[PK_COUNT], type, type2;
};

const struct ptx_form *ptx_form_find(const char *opcode, struct ptx_ins *ins, const char **why)
{
    enum { ROOM = 256 };
    static _Thread_local struct found kept[ROOM];
    uint32_t hash = 2166136261U;
    size_t n = 0;
    for (; opcode[n]; n++)
        hash = (hash ^ (unsigned char)opcode[n]) * 16777619U;
    struct found *f = n < sizeof kept->opcode ? &kept[hash % ROOM] : NULL;
    if (f && f->form && strcmp(f->opcode, opcode) == 0) {
        memcpy(ins->mod, f->mod, sizeof f->mod);
        ins->type = f->type;
        ins->type2 = f->type2;
        return f->form;
    }
    const struct ptx_form *form = search(opcode, ins, why);
    if (form && f) {
        memcpy(f->opcode, opcode, n + 1);
        memcpy(f->mod, ins->mod, sizeof f->mod);
        f->form = form;
        f->type = ins->type;
        f->type2 = ins->type2;
    }
    return form;
}
