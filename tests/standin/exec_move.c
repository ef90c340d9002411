/* SPDX-License-Identifier: Apache-2.0 */
/* Moves, comparisons, selections and predicates. */
#include "exec.h"

/* One register to another, several into a wider one, or a wider one into several. */
EXEC(move)
{
    int width = ptx_type_bits(ins->type);
    if (ins->nd > 1) {
        uint64_t from[32];
        memcpy(from, warp_source(w, ins, 0), sizeof from);
        int part = width / ins->nd;
        for (int k = 0; k < ins->nd; k++) {
            uint64_t *d = exec_row(w, ins->d[k]);
            EACH_LANE(d[l] = from[l] >> (part * k) & ((1ULL << part) - 1));
        }
        return;
    }
    uint64_t to[32] = {0};
    int part = width / ins->ns;
    uint64_t ones = part == 64 ? UINT64_MAX : (1ULL << part) - 1;
    for (int k = 0; k < ins->ns; k++) {
        const uint64_t *s = warp_source(w, ins, k);
        EACH_LANE(to[l] |= (s[l] & ones) << (part * k));
    }
    uint64_t *d = exec_row(w, ins->d[0]);
    EACH_LANE(d[l] = to[l]);
}

static uint64_t space_window(int space)
{
    return space == PS_SHARED  ? PTX_SHARED_WINDOW
           : space == PS_LOCAL ? PTX_LOCAL_WINDOW
           : space == PS_PARAM ? PTX_PARAM_WINDOW
                               : 0;
}
EXEC(to_generic)
{
    uint64_t *d = exec_row(w, ins->d[0]);
    const uint64_t *s = warp_source(w, ins, 0);
    uint64_t window = space_window(ins->mod[PK_SPACE]);
    EACH_LANE(d[l] = s[l] + window);
}
EXEC(from_generic)
{
    uint64_t *d = exec_row(w, ins->d[0]);
    const uint64_t *s = warp_source(w, ins, 0);
    uint64_t window = space_window(ins->mod[PK_SPACE]);
    EACH_LANE(d[l] = s[l] - window);
}

static void set_pred(struct warp *w, int32_t pred, uint32_t mask, uint32_t value)
{
    if (pred != PTX_NO_ROW)
        w->preds[pred] = (w->preds[pred] & ~mask) | (value & mask);
}

static uint32_t get_pred(const struct warp *w, const struct ptx_ins *ins, int i)
{
    return ins->q_not[i] ? ~w->preds[ins->q[i]] : w->preds[ins->q[i]];
}

static uint32_t joined(const struct warp *w, const struct ptx_ins *ins, uint32_t value)
{
    if (!ins->nq)
        return value;
    uint32_t other = get_pred(w, ins, 0);
    return ins->mod[PK_BOOL] == PB_AND  ? (value & other)
           : ins->mod[PK_BOOL] == PB_OR ? (value | other)
                                        : (value ^ other);
}

#define COMPARE(type, name)                                                                        \
    static uint32_t name(int how, const uint64_t *sa, const uint64_t *sb)                          \
    {                                                                                              \
        uint32_t less = 0, equal = 0;                                                              \
        for (int l = 0; l < 32; l++) {                                                             \
            less |= (uint32_t)((type)sa[l] < (type)sb[l]) << l;                                    \
            equal |= (uint32_t)((type)sa[l] == (type)sb[l]) << l;                                  \
        }                                                                                          \
        switch (how) {                                                                             \
        case PC_EQ:                                                                                \
            return equal;                                                                          \
        case PC_NE:                                                                                \
            return ~equal;                                                                         \
        case PC_LT:                                                                                \
            return less;                                                                           \
        case PC_LE:                                                                                \
            return less | equal;                                                                   \
        case PC_GT:                                                                                \
            return ~(less | equal);                                                                \
        default:                                                                                   \
            return ~less;                                                                          \
        }                                                                                          \
    }
COMPARE(uint16_t, compare_u16)
COMPARE(int16_t, compare_s16)
COMPARE(uint32_t, compare_u32)
COMPARE(int32_t, compare_s32)
COMPARE(uint64_t, compare_u64)
COMPARE(int64_t, compare_s64)

static uint32_t compare_float(const struct ptx_ins *ins, const uint64_t *sa, const uint64_t *sb)
{
    uint32_t less = 0, equal = 0, nan = 0;
    for (int l = 0; l < 32; l++) {
        bool flush = ins->mod[PK_FTZ] != 0, wide = ins->type == PT_F64;
        double a = wide ? exec_f64(sa[l]) : (double)exec_f32(flush ? exec_flush(sa[l]) : sa[l]);
        double b = wide ? exec_f64(sb[l]) : (double)exec_f32(flush ? exec_flush(sb[l]) : sb[l]);
        less |= (uint32_t)(a < b) << l;
        equal |= (uint32_t)(a == b) << l;
        nan |= (uint32_t)(a != a || b != b) << l;
    }
    switch (ins->mod[PK_COMPARE]) {
    case PC_EQ:
        return equal;
    case PC_NE:
        return ~equal & ~nan;
    case PC_LT:
        return less;
    case PC_LE:
        return less | equal;
    case PC_GT:
        return ~(less | equal | nan);
    case PC_GE:
        return ~(less | nan);
    case PC_EQU:
        return equal | nan;
    case PC_NEU:
        return ~equal;
    case PC_LTU:
        return less | nan;
    case PC_LEU:
        return less | equal | nan;
    case PC_GTU:
        return ~(less | equal);
    case PC_GEU:
        return ~less;
    case PC_NUM:
        return ~nan;
    default:
        return nan;
    }
}

static uint32_t compare(const struct ptx_ins *ins, const uint64_t *sa, const uint64_t *sb)
{
    int how = ins->mod[PK_COMPARE];
    switch (ins->type) {
    case PT_B16:
    case PT_U16:
        return compare_u16(how, sa, sb);
    case PT_S16:
        return compare_s16(how, sa, sb);
    case PT_B32:
    case PT_U32:
        return compare_u32(how, sa, sb);
    case PT_S32:
        return compare_s32(how, sa, sb);
    case PT_B64:
    case PT_U64:
        return compare_u64(how, sa, sb);
    case PT_S64:
        return compare_s64(how, sa, sb);
    default:
        return compare_float(ins, sa, sb);
    }
}

/* The second predicate has the comparison's opposite. */
EXEC(set_predicate)
{
    uint32_t value = compare(ins, warp_source(w, ins, 0), warp_source(w, ins, 1));
    uint32_t first = joined(w, ins, value), second = joined(w, ins, ~value);
    set_pred(w, ins->p[0], mask, first);
    set_pred(w, ins->p[1], mask, second);
}

EXEC(select_value)
{
    uint64_t *d = exec_row(w, ins->d[0]);
    const uint64_t *sa = warp_source(w, ins, 0), *sb = warp_source(w, ins, 1);
    uint32_t which = get_pred(w, ins, 0);
    uint64_t ones = ptx_type_bits(ins->type) == 64   ? UINT64_MAX
                    : ptx_type_bits(ins->type) == 32 ? UINT32_MAX
                                                     : UINT16_MAX;
    EACH_LANE(d[l] = ((which >> l & 1) ? sa[l] : sb[l]) & ones);
}

#define PRED(name, expr)                                                                           \
    EXEC(name)                                                                                     \
    {                                                                                              \
        uint32_t a = get_pred(w, ins, 0), b = ins->nq > 1 ? get_pred(w, ins, 1) : 0;               \
        (void)b;                                                                                   \
        set_pred(w, ins->p[0], mask, (expr));                                                      \
    }
PRED(pred_and, a &b)
PRED(pred_or, a | b)
PRED(pred_xor, a ^ b)
PRED(pred_not, ~a)
PRED(pred_move, a)

#define T_MOVE (T_ANY16 | T_ANY32 | T_ANY64 | T(F32) | T(F64))
#define M(name, types, allow, need, shape, op, cls)                                                \
    {                                                                                              \
        name, types, 0, allow, need, shape, op, 0, cls                                             \
    }

const struct ptx_form ptx_forms_move[] = {
    M("mov", T_MOVE, 0, 0, "VS", move, PCL_MOVE),
    M("cvta.to", T(U64) | T(U32), K(SPACE), K(SPACE), "ds", from_generic, PCL_MOVE),
    M("cvta", T(U64) | T(U32), K(SPACE), K(SPACE), "ds", to_generic, PCL_MOVE),
    M("setp", T_MOVE, K(COMPARE) | K(FTZ), K(COMPARE), "Pss", set_predicate, PCL_COMPARE),
    M("setp", T_MOVE, K(COMPARE) | K(FTZ) | K(BOOL), K(COMPARE) | K(BOOL), "Pssq", set_predicate,
      PCL_COMPARE),
    M("selp", T_MOVE, 0, 0, "dssq", select_value, PCL_COMPARE),
    M("and", T(PRED), 0, 0, "pqq", pred_and, PCL_COMPARE),
    M("or", T(PRED), 0, 0, "pqq", pred_or, PCL_COMPARE),
    M("xor", T(PRED), 0, 0, "pqq", pred_xor, PCL_COMPARE),
    M("not", T(PRED), 0, 0, "pq", pred_not, PCL_COMPARE),
    M("mov", T(PRED), 0, 0, "pq", pred_move, PCL_MOVE),
    {0}};
