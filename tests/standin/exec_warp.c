/* SPDX-License-Identifier: Apache-2.0 */
/* Operations among the lanes of a warp. They run once all lanes of the member mask that have not
 * left are there; `mask` are these. */
#include "exec.h"

#define LAUNCH_FAILED 719

/* The lane that each lane reads; -1: its own value, out of the segment. */
static int source_lane(const struct ptx_ins *ins, int lane, uint32_t b, uint32_t c)
{
    int segment = (int)(c >> 8 & 31), bound = (int)(c & 31), n = (int)(b & 31);
    int most = (lane & segment) | (bound & ~segment), least = lane & segment;
    int from;
    switch (ins->form->name[10]) {
    case 'u':
        from = lane - n;
        return from >= most ? from : -1;
    case 'd':
        from = lane + n;
        return from <= most ? from : -1;
    case 'b':
        from = lane ^ n;
        return from <= most ? from : -1;
    default:
        from = least | (n & ~segment);
        return from <= most ? from : -1;
    }
}

EXEC(shuffle)
{
    uint64_t from[32];
    memcpy(from, warp_source(w, ins, 0), sizeof from);
    const uint64_t *sb = warp_source(w, ins, 1), *sc = warp_source(w, ins, 2);
    uint64_t out[32];
    uint32_t valid = 0;
    for (int l = 0; l < 32; l++) {
        if (!(mask >> l & 1))
            continue;
        int j = source_lane(ins, l, (uint32_t)sb[l], (uint32_t)sc[l]);
        if (j >= 0 && !(mask >> j & 1)) {
            warp_fault(w, ins, l, LAUNCH_FAILED, "reads lane %d, which does not take part", j);
            return;
        }
        valid |= (uint32_t)(j >= 0) << l;
        out[l] = (uint32_t)from[j >= 0 ? j : l];
    }
    uint64_t *d = exec_row(w, ins->d[0]);
    EACH_LANE(d[l] = out[l]);
    if (ins->p[0] != PTX_NO_ROW)
        w->preds[ins->p[0]] = (w->preds[ins->p[0]] & ~mask) | valid;
}

static uint32_t votes(const struct warp *w, const struct ptx_ins *ins, uint32_t mask)
{
    return (ins->q_not[0] ? ~w->preds[ins->q[0]] : w->preds[ins->q[0]]) & mask;
}

static void give_pred(struct warp *w, const struct ptx_ins *ins, uint32_t mask, bool value)
{
    uint32_t *p = ins->p[0] == PTX_NO_ROW ? NULL : &w->preds[ins->p[0]];
    if (p)
        *p = (*p & ~mask) | (value ? mask : 0);
}

EXEC(vote_all)
{
    give_pred(w, ins, mask, votes(w, ins, mask) == mask);
}
EXEC(vote_any)
{
    give_pred(w, ins, mask, votes(w, ins, mask) != 0);
}
EXEC(vote_uni)
{
    uint32_t v = votes(w, ins, mask);
    give_pred(w, ins, mask, v == 0 || v == mask);
}
EXEC(vote_ballot)
{
    uint32_t v = votes(w, ins, mask);
    uint64_t *d = exec_row(w, ins->d[0]);
    EACH_LANE(d[l] = v);
}

static void matched(struct warp *w, const struct ptx_ins *ins, uint32_t mask, uint64_t ones)
{
    const uint64_t *s = warp_source(w, ins, 0);
    uint64_t out[32];
    EACH_LANE(out[l] = 0;
              for (int j = 0; j < 32; j++) if ((mask >> j & 1) && ((s[j] ^ s[l]) & ones) == 0)
                  out[l] |= 1U << j);
    uint64_t *d = exec_row(w, ins->d[0]);
    EACH_LANE(d[l] = out[l]);
}
EXEC(match_any)
{
    matched(w, ins, mask, ptx_type_bits(ins->type) == 64 ? UINT64_MAX : UINT32_MAX);
}
EXEC(match_all)
{
    const uint64_t *s = warp_source(w, ins, 0);
    uint64_t ones = ptx_type_bits(ins->type) == 64 ? UINT64_MAX : UINT32_MAX;
    bool same = true;
    EACH_LANE(same = same && ((s[l] ^ s[__builtin_ctz(mask)]) & ones) == 0);
    uint64_t *d = exec_row(w, ins->d[0]);
    EACH_LANE(d[l] = same ? mask : 0);
    give_pred(w, ins, mask, same);
}

#define REDUCE(name, type, expr)                                                                   \
    EXEC(name)                                                                                     \
    {                                                                                              \
        const uint64_t *s = warp_source(w, ins, 0);                                                \
        type a = (type)s[__builtin_ctz(mask)];                                                     \
        for (int l = __builtin_ctz(mask) + 1; l < 32; l++) {                                       \
            type b = (type)s[l];                                                                   \
            if (mask >> l & 1)                                                                     \
                a = (type)(expr);                                                                  \
        }                                                                                          \
        uint64_t *d = exec_row(w, ins->d[0]);                                                      \
        EACH_LANE(d[l] = (uint32_t)a);                                                             \
    }
REDUCE(redux_add, uint32_t, a + b)
REDUCE(redux_min_u, uint32_t, a < b ? a : b)
REDUCE(redux_max_u, uint32_t, a > b ? a : b)
REDUCE(redux_min_s, int32_t, a < b ? a : b)
REDUCE(redux_max_s, int32_t, a > b ? a : b)
REDUCE(redux_and, uint32_t, a &b)
REDUCE(redux_or, uint32_t, a | b)
REDUCE(redux_xor, uint32_t, a ^ b)

/* The greatest and the least number; NaN only where there is none. */
static void reduce_floats(struct warp *w, const struct ptx_ins *ins, uint32_t mask, bool most)
{
    const uint64_t *s = warp_source(w, ins, 0);
    float best = NAN;
    for (int l = 0; l < 32; l++) {
        float v = exec_f32(s[l]);
        bool sign = signbit(v) != 0;
        if (!(mask >> l & 1) || v != v)
            continue;
        if (best != best || (most ? v > best : v < best) || (v == best && sign != most))
            best = v;
    }
    uint64_t *d = exec_row(w, ins->d[0]);
    EACH_LANE(d[l] = exec_bits(best));
}
EXEC(redux_max_f)
{
    reduce_floats(w, ins, mask, true);
}
EXEC(redux_min_f)
{
    reduce_floats(w, ins, mask, false);
}

EXEC(warp_barrier)
{
    (void)ins;
    race_warp_sync(w, mask);
}

/* The least lane is chosen. */
EXEC(elect)
{
    int leader = __builtin_ctz(mask);
    uint64_t *d = exec_row(w, ins->d[0]);
    EACH_LANE(d[l] = (uint64_t)leader);
    if (ins->p[0] != PTX_NO_ROW)
        w->preds[ins->p[0]] = (w->preds[ins->p[0]] & ~mask) | 1U << leader;
}

EXEC(active_mask)
{
    uint64_t *d = exec_row(w, ins->d[0]);
    EACH_LANE(d[l] = mask);
}

#define W(name, types, shape, op)                                                                  \
    {                                                                                              \
        name, types, 0, 0, 0, shape, op, PX_COLLECT, PCL_COLLECT                                   \
    }
#define CONTROL(name, types, allow, shape, control, cls)                                           \
    {                                                                                              \
        name, types, 0, allow, 0, shape, NULL, control, cls                                        \
    }

/* The member mask is the last source. */
const struct ptx_form ptx_forms_warp[] = {
    W("shfl.sync.up", T(B32), "Dssss", shuffle),
    W("shfl.sync.down", T(B32), "Dssss", shuffle),
    W("shfl.sync.bfly", T(B32), "Dssss", shuffle),
    W("shfl.sync.idx", T(B32), "Dssss", shuffle),
    W("vote.sync.all", T(PRED), "pqs", vote_all),
    W("vote.sync.any", T(PRED), "pqs", vote_any),
    W("vote.sync.uni", T(PRED), "pqs", vote_uni),
    W("vote.sync.ballot", T(B32), "dqs", vote_ballot),
    W("match.any.sync", T(B32) | T(B64), "dss", match_any),
    W("match.all.sync", T(B32) | T(B64), "Dss", match_all),
    W("redux.sync.add", T_INT32, "dss", redux_add),
    W("redux.sync.min", T(U32), "dss", redux_min_u),
    W("redux.sync.max", T(U32), "dss", redux_max_u),
    W("redux.sync.min", T(S32), "dss", redux_min_s),
    W("redux.sync.max", T(S32), "dss", redux_max_s),
    W("redux.sync.min", T(F32), "dss", redux_min_f),
    W("redux.sync.max", T(F32), "dss", redux_max_f),
    W("redux.sync.and", T(B32), "dss", redux_and),
    W("redux.sync.or", T(B32), "dss", redux_or),
    W("redux.sync.xor", T(B32), "dss", redux_xor),
    W("bar.warp.sync", 0, "s", warp_barrier),
    W("elect.sync", 0, "Ds", elect),
    {"activemask", T(B32), 0, 0, 0, "d", active_mask, 0, PCL_COLLECT},
    CONTROL("bra", 0, K(UNI), "l", PX_BRANCH, PCL_BRANCH),
    CONTROL("brx.idx", 0, K(UNI), "sn", PX_BRANCH_INDEX, PCL_BRANCH),
    CONTROL("ret", 0, K(UNI), "", PX_EXIT, PCL_BRANCH),
    CONTROL("exit", 0, 0, "", PX_EXIT, PCL_BRANCH),
    CONTROL("trap", 0, 0, "", PX_TRAP, PCL_BRANCH),
    CONTROL("bar.sync", 0, 0, "s?s", PX_BARRIER, PCL_BARRIER),
    CONTROL("bar.cta.sync", 0, 0, "s?s", PX_BARRIER, PCL_BARRIER),
    CONTROL("barrier.sync", 0, 0, "s?s", PX_BARRIER, PCL_BARRIER),
    CONTROL("barrier.sync.aligned", 0, 0, "s?s", PX_BARRIER, PCL_BARRIER),
    CONTROL("barrier.cta.sync", 0, 0, "s?s", PX_BARRIER, PCL_BARRIER),
    CONTROL("barrier.cta.sync.aligned", 0, 0, "s?s", PX_BARRIER, PCL_BARRIER),
    CONTROL("bar.arrive", 0, 0, "ss", PX_ARRIVE, PCL_BARRIER),
    {"bar.red.and", T(PRED), 0, 0, 0, "psq", NULL, PX_BARRIER, PCL_BARRIER},
    {"bar.red.or", T(PRED), 0, 0, 0, "psq", NULL, PX_BARRIER, PCL_BARRIER},
    {"bar.red.popc", T(U32), 0, 0, 0, "dsq", NULL, PX_BARRIER, PCL_BARRIER},
    {0}};
