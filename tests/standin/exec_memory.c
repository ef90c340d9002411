/* SPDX-License-Identifier: Apache-2.0 */
/* Loads, stores and atomics. Each access is checked: inside a living allocation, aligned, written
 * before it is read. */
#include "exec.h"
#include "race_global.h"

#define OUT_OF_BOUNDS 700
#define MISALIGNED 716
#define LAUNCH_FAILED 719

struct place {
    uint8_t *data, *init;
    enum ptx_space space;
    uint32_t offset; /* in shared memory */
};

static bool inside(uint64_t at, uint64_t base, uint64_t size, uint64_t bytes)
{
    return at >= base && at - base <= size && bytes <= size - (at - base);
}

static bool find_global(struct warp *w, const struct ptx_ins *ins, int lane, uint64_t at,
                        uint32_t bytes, struct place *out)
{
    const struct mem_alloc *a = w->cache;
    if (!a || !a->live || !inside(at, a->base, a->bytes, bytes))
        w->cache = a = mem_find(at);
    if (!a || !a->live || !inside(at, a->base, a->bytes, bytes)) {
        const struct mem_alloc *near = a ? a : mem_before(at);
        warp_fault(w, ins, lane, OUT_OF_BOUNDS,
                   "%u bytes at 0x%llx, offset %llu of an allocation of %llu bytes%s", bytes,
                   (unsigned long long)at, (unsigned long long)(near ? at - near->base : at),
                   (unsigned long long)(near ? near->bytes : 0),
                   at < PTX_SHARED_WINDOW ? ": an address of another space, used as generic"
                   : near && !near->live  ? " that was freed"
                                          : "");
        return false;
    }
    out->data = a->data + (at - a->base);
    out->init = a->init ? a->init + (at - a->base) : NULL;
    return race_reach(w, ins, lane, ins->cls != PCL_GLOBAL_LOAD, a);
}

static bool find(struct warp *w, const struct ptx_ins *ins, int lane, uint64_t at, uint32_t bytes,
                 struct place *out)
{
    int space = ins->mod[PK_SPACE];
    out->init = NULL;
    if (at & (bytes - 1)) {
        warp_fault(w, ins, lane, MISALIGNED, "%u bytes at 0x%llx, which is no multiple", bytes,
                   (unsigned long long)at);
        return false;
    }
    if (space == PS_GENERIC && at >= PTX_SHARED_WINDOW &&
        at < PTX_PARAM_WINDOW + PTX_WINDOW_BYTES) {
        space = at < PTX_LOCAL_WINDOW ? PS_SHARED : at < PTX_PARAM_WINDOW ? PS_LOCAL : PS_PARAM;
        at &= PTX_WINDOW_BYTES - 1;
    }
    out->space = (enum ptx_space)space;
    uint64_t base = space == PS_SHARED  ? PTX_SHARED_BASE
                    : space == PS_LOCAL ? PTX_LOCAL_BASE
                                        : PTX_PARAM_BASE;
    uint64_t size = space == PS_SHARED  ? w->cta->shared_bytes
                    : space == PS_LOCAL ? w->fn->local_bytes
                                        : w->fn->param_bytes;
    if (space != PS_SHARED && space != PS_LOCAL && space != PS_PARAM)
        return find_global(w, ins, lane, at, bytes, out);
    if (!inside(at, base, size, bytes)) {
        warp_fault(w, ins, lane, OUT_OF_BOUNDS,
                   "%u bytes at offset %lld of %llu bytes of %s memory", bytes,
                   (long long)(at - base), (unsigned long long)size,
                   space == PS_SHARED  ? "shared"
                   : space == PS_LOCAL ? "local"
                                       : "parameter");
        return false;
    }
    uint64_t offset = at - base;
    out->offset = (uint32_t)offset;
    if (space == PS_LOCAL)
        offset += (uint64_t)lane * w->fn->local_bytes;
    out->data = (space == PS_SHARED  ? w->cta->shared
                 : space == PS_LOCAL ? w->local
                                     : w->cta->grid->params) +
                offset;
    if (space != PS_PARAM)
        out->init = (space == PS_SHARED ? w->cta->shared_init : w->local_init) + offset;
    return true;
}

static uint64_t load(const uint8_t *at, uint32_t bytes)
{
    switch (bytes) {
    case 1:
        return *at;
    case 2:
        return __atomic_load_n((const uint16_t *)(const void *)at, __ATOMIC_ACQUIRE);
    case 4:
        return __atomic_load_n((const uint32_t *)(const void *)at, __ATOMIC_ACQUIRE);
    default:
        return __atomic_load_n((const uint64_t *)(const void *)at, __ATOMIC_ACQUIRE);
    }
}

static void store(uint8_t *at, uint32_t bytes, uint64_t value)
{
    switch (bytes) {
    case 1:
        *at = (uint8_t)value;
        break;
    case 2:
        __atomic_store_n((uint16_t *)(void *)at, (uint16_t)value, __ATOMIC_RELEASE);
        break;
    case 4:
        __atomic_store_n((uint32_t *)(void *)at, (uint32_t)value, __ATOMIC_RELEASE);
        break;
    default:
        __atomic_store_n((uint64_t *)(void *)at, value, __ATOMIC_RELEASE);
    }
}

/* The addresses of the lanes. */
static const uint64_t *bases(const struct warp *w, const struct ptx_ins *ins)
{
    return ins->base >= 0 ? w->rows[ins->base] : w->fn->consts[~ins->base];
}

/* Different sectors of 32 bytes that the lanes touch; an aligned access lies in one. */
static uint64_t sectors(const uint64_t *at, uint64_t offset, uint32_t mask)
{
    uint64_t seen[32], count = 0;
    for (int l = 0; l < 32; l++) {
        if (!(mask >> l & 1))
            continue;
        uint64_t sector = (at[l] + offset) / 32;
        uint64_t i = count;
        while (i > 0 && seen[i - 1] != sector)
            i--;
        if (i == 0)
            seen[count++] = sector;
    }
    return count;
}

/* Passes of a shared access beyond the first: different words in one bank. */
static uint64_t conflicts(const uint64_t *at, uint64_t offset, uint32_t bytes, uint32_t mask)
{
    uint64_t worst = 0, passes = 0;
    int group = bytes <= 4 ? 32 : bytes == 8 ? 16 : 8;
    for (int first = 0; first < 32; first += group) {
        uint64_t words[32][32];
        uint32_t used[32] = {0};
        worst = 0;
        for (int l = first; l < first + group; l++) {
            for (uint32_t k = 0; (mask >> l & 1) && k < (bytes + 3) / 4; k++) {
                uint64_t word = (at[l] + offset) / 4 + k;
                uint32_t bank = word & 31, i = 0;
                while (i < used[bank] && words[bank][i] != word)
                    i++;
                if (i == used[bank])
                    words[bank][used[bank]++] = word;
                worst = used[bank] > worst ? used[bank] : worst;
            }
        }
        passes += worst > 1 ? worst - 1 : 0;
    }
    return passes;
}

static void count_access(struct warp *w, const struct ptx_ins *ins, const struct place *place,
                         const uint64_t *at, uint32_t bytes, uint32_t mask, uint64_t *counter)
{
    if (place->space == PS_SHARED)
        w->cta->grid->counters.bank_conflicts += conflicts(at, (uint64_t)ins->offset, bytes, mask);
    else if (place->space == PS_GENERIC || place->space == PS_GLOBAL)
        *counter += sectors(at, (uint64_t)ins->offset, mask);
}

static bool all_written(const struct ptx_ins *ins, const uint8_t *init, uint32_t bytes)
{
    for (uint32_t i = 0; i < bytes; i++)
        if (!init[i] && (ins->used_bytes >> i & 1))
            return false;
    return true;
}

static bool is_global(const struct ptx_ins *ins, const struct place *place)
{
    return (place->space == PS_GLOBAL || place->space == PS_GENERIC) &&
           ins->mod[PK_SPACE] != PS_CONST;
}

EXEC(load_lanes)
{
    uint32_t each = (uint32_t)ptx_type_bits(ins->type) / 8, bytes = each * ins->vec;
    bool sign = ins->type == PT_S8 || ins->type == PT_S16 || ins->type == PT_S32;
    uint64_t at[32];
    struct place place = {0};
    memcpy(at, bases(w, ins), sizeof at);
    for (int l = 0; l < 32; l++) {
        if (!(mask >> l & 1))
            continue;
        uint64_t address = at[l] + (uint64_t)ins->offset;
        if (!find(w, ins, l, address, bytes, &place))
            return;
        if (place.init && !all_written(ins, place.init, bytes)) {
            warp_fault(w, ins, l, LAUNCH_FAILED, "reads %u bytes at 0x%llx that were never written",
                       bytes, (unsigned long long)address);
            return;
        }
        if (place.space == PS_SHARED)
            race_access(w, ins, l, place.offset, bytes, false, false, false);
        else if (is_global(ins, &place))
            race_global(w, ins, l, address, bytes, RACE_LOAD, NULL, NULL);
        if (l == __builtin_ctz(mask))
            count_access(w, ins, &place, at, bytes, mask, &w->cta->grid->counters.load_sectors);
        for (int k = 0; k < ins->vec; k++) {
            uint64_t value = load(place.data + (uint32_t)k * each, each);
            if (sign && (value >> (8 * each - 1) & 1))
                value |= UINT64_MAX << (8 * each);
            if (ins->dbits < 64)
                value &= (1ULL << ins->dbits) - 1;
            exec_row(w, ins->d[k])[l] = value;
        }
    }
}

/* Do the lanes that share this one's address all store the same? */
static bool same_value(const struct warp *w, const struct ptx_ins *ins, int lane, uint32_t mask)
{
    const uint64_t *at = bases(w, ins);
    for (int l = 0; l < 32; l++)
        for (int k = 0; (mask >> l & 1) && at[l] == at[lane] && k < ins->vec; k++)
            if (warp_source(w, ins, k)[l] != warp_source(w, ins, k)[lane])
                return false;
    return true;
}

static void race_store(struct warp *w, const struct ptx_ins *ins, int lane, uint64_t address,
                       const struct place *place)
{
    uint32_t each = (uint32_t)ptx_type_bits(ins->type) / 8;
    _Alignas(16) uint8_t value[32];
    for (int k = 0; k < ins->vec; k++)
        store(value + (uint32_t)k * each, each, warp_source(w, ins, k)[lane]);
    race_global(w, ins, lane, address, each * ins->vec, RACE_STORE, value, place->data);
}

EXEC(store_lanes)
{
    uint32_t each = (uint32_t)ptx_type_bits(ins->type) / 8, bytes = each * ins->vec;
    const uint64_t *at = bases(w, ins);
    struct place place = {0};
    for (int l = 0; l < 32; l++) {
        if (!(mask >> l & 1))
            continue;
        if (!find(w, ins, l, at[l] + (uint64_t)ins->offset, bytes, &place))
            return;
        if (place.space == PS_PARAM || ins->mod[PK_SPACE] == PS_CONST) {
            warp_fault(w, ins, l, LAUNCH_FAILED, "stores where only loads may");
            return;
        }
        if (place.space == PS_SHARED)
            race_access(w, ins, l, place.offset, bytes, true, false, same_value(w, ins, l, mask));
        else if (is_global(ins, &place))
            race_store(w, ins, l, at[l] + (uint64_t)ins->offset, &place);
        if (l == __builtin_ctz(mask))
            count_access(w, ins, &place, at, bytes, mask, &w->cta->grid->counters.store_sectors);
        for (int k = 0; k < ins->vec; k++)
            store(place.data + (uint32_t)k * each, each, warp_source(w, ins, k)[l]);
        if (place.init)
            memset(place.init, 1, bytes);
    }
}

static uint64_t combined(const struct ptx_ins *ins, uint64_t old, uint64_t b, uint64_t c)
{
    bool wide = ptx_type_bits(ins->type) == 64;
    switch (ins->mod[PK_ATOM]) {
    case PA_ADD:
        return ins->type == PT_F32 ? exec_bits(exec_f32(old) + exec_f32(b)) : old + b;
    case PA_MIN:
        if (ins->type == PT_S32 || ins->type == PT_S64)
            return wide ? ((int64_t)old < (int64_t)b ? old : b)
                        : ((int32_t)old < (int32_t)b ? old : b);
        return old < b ? old : b;
    case PA_MAX:
        if (ins->type == PT_S32 || ins->type == PT_S64)
            return wide ? ((int64_t)old > (int64_t)b ? old : b)
                        : ((int32_t)old > (int32_t)b ? old : b);
        return old > b ? old : b;
    case PA_AND:
        return old & b;
    case PA_OR:
        return old | b;
    case PA_XOR:
        return old ^ b;
    case PA_INC:
        return old >= b ? 0 : old + 1;
    case PA_DEC:
        return old == 0 || old > b ? b : old - 1;
    case PA_EXCH:
        return b;
    default: /* cas is a form of its own */
        return old == b ? c : old;
    }
}

static uint64_t atomically(const struct ptx_ins *ins, uint8_t *at, uint64_t b, uint64_t c)
{
    if (ptx_type_bits(ins->type) == 64) {
        uint64_t *p = (uint64_t *)(void *)at, old = __atomic_load_n(p, __ATOMIC_SEQ_CST);
        while (!__atomic_compare_exchange_n(p, &old, combined(ins, old, b, c), false,
                                            __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
        }
        return old;
    }
    uint32_t *p = (uint32_t *)(void *)at, old = __atomic_load_n(p, __ATOMIC_SEQ_CST);
    while (!__atomic_compare_exchange_n(p, &old,
                                        (uint32_t)combined(ins, old, (uint32_t)b, (uint32_t)c),
                                        false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
    }
    return old;
}

EXEC(atomic_lanes)
{
    uint32_t bytes = (uint32_t)ptx_type_bits(ins->type) / 8;
    uint64_t at[32], result[32];
    struct place place = {0};
    memcpy(at, bases(w, ins), sizeof at);
    for (int l = 0; l < 32; l++) {
        if (!(mask >> l & 1))
            continue;
        if (!find(w, ins, l, at[l] + (uint64_t)ins->offset, bytes, &place))
            return;
        if (place.init && !all_written(ins, place.init, bytes)) {
            warp_fault(w, ins, l, LAUNCH_FAILED, "changes %u bytes that were never written", bytes);
            return;
        }
        if (place.space == PS_SHARED)
            race_access(w, ins, l, place.offset, bytes, true, true, false);
        else
            w->cta->grid->counters.global_atomics++;
        if (l == __builtin_ctz(mask))
            count_access(w, ins, &place, at, bytes, mask, &w->cta->grid->counters.atomic_sectors);
        result[l] = atomically(ins, place.data, warp_source(w, ins, 0)[l],
                               ins->ns > 1 ? warp_source(w, ins, 1)[l] : 0);
        /* A comparison that failed has only loaded. */
        if (is_global(ins, &place))
            race_global(w, ins, l, at[l] + (uint64_t)ins->offset, bytes,
                        ins->ns > 1 && result[l] != warp_source(w, ins, 0)[l] ? RACE_LOAD
                                                                              : RACE_CHANGE,
                        NULL, NULL);
    }
    if (ins->nd) {
        uint64_t *d = exec_row(w, ins->d[0]);
        EACH_LANE(d[l] = result[l]);
    }
}

/* Rows of 8 elements of 16 bits at the addresses of 8 lanes a matrix; each lane gets two elements
 * of each matrix, row by row. */
EXEC(load_matrix)
{
    _Alignas(16) uint8_t rows[32][16];
    struct place place = {0};
    uint64_t at[32];
    memcpy(at, bases(w, ins), sizeof at);
    if (mask != WARP_FULL) {
        warp_fault(w, ins, __builtin_ctz(mask), LAUNCH_FAILED, "lanes 0x%x are not here", ~mask);
        return;
    }
    for (int l = 0; l < 8 * ins->nd; l++) {
        if (!find(w, ins, l, at[l] + (uint64_t)ins->offset, 16, &place))
            return;
        if (!all_written(ins, place.init, 16)) {
            warp_fault(w, ins, l, LAUNCH_FAILED, "reads 16 bytes that were never written");
            return;
        }
        race_access(w, ins, l, place.offset, 16, false, false, false);
        memcpy(rows[l], place.data, 16);
    }
    count_access(w, ins, &place, at, 16, 8 * ins->nd == 32 ? WARP_FULL : (1U << 8 * ins->nd) - 1,
                 &w->cta->grid->counters.load_sectors);
    for (int k = 0; k < ins->nd; k++) {
        uint64_t *d = exec_row(w, ins->d[k]);
        for (int l = 0; l < 32; l++)
            d[l] = load(rows[8 * k + l / 4] + 4 * (l % 4), 4);
    }
}

EXEC(fence)
{
    race_fence(w, ins, mask);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

EXEC(nothing)
{
    (void)w, (void)ins, (void)mask;
}

#define T_MEM (T_ANY8 | T_ANY16 | T_ANY32 | T_ANY64 | T(F32) | T(F64))
#define ATOMS (K(SPACE) | K(ATOM) | K(SEM) | K(SCOPE))
#define A(name, types, allow, need, shape, op, control, cls)                                       \
    {                                                                                              \
        name, types, 0, allow, need, shape, op, control, cls                                       \
    }

/* A load that waits for others stands first: it is one of an order, or volatile. */
const struct ptx_form ptx_forms_memory[] = {
    A("ld", T_MEM, K(SPACE) | K(VECTOR) | K(CACHE), 0, "Va", load_lanes, 0, PCL_GLOBAL_LOAD),
    A("ldu", T_MEM, K(SPACE) | K(VECTOR), 0, "Va", load_lanes, 0, PCL_GLOBAL_LOAD),
    A("ld", T_MEM, K(SPACE) | K(VECTOR) | K(CACHE) | K(SEM) | K(SCOPE), K(SEM), "Va", load_lanes,
      PX_POLL, PCL_GLOBAL_LOAD),
    A("st", T_MEM, K(SPACE) | K(VECTOR) | K(CACHE) | K(SEM) | K(SCOPE), 0, "aS", store_lanes, 0,
      PCL_GLOBAL_STORE),
    A("atom.cas", T(B32) | T(B64), K(SPACE) | K(SEM) | K(SCOPE), 0, "dass", atomic_lanes, PX_POLL,
      PCL_ATOMIC),
    A("atom", T_INT32 | T_INT64 | T(B32) | T(B64) | T(F32), ATOMS, K(ATOM), "das", atomic_lanes,
      PX_POLL, PCL_ATOMIC),
    A("red", T_INT32 | T_INT64 | T(B32) | T(B64) | T(F32), ATOMS, K(ATOM), "as", atomic_lanes, 0,
      PCL_ATOMIC),
    A("ldmatrix.sync.aligned.m8n8.x1", T(B16), K(SPACE), K(SPACE), "Va", load_matrix, 0,
      PCL_SHARED),
    A("fence", 0, K(SEM) | K(SCOPE), K(SCOPE), "", fence, 0, PCL_BARRIER),
    A("fence.sc", 0, K(SCOPE), K(SCOPE), "", fence, 0, PCL_BARRIER),
    A("membar.gl", 0, 0, 0, "", fence, 0, PCL_BARRIER),
    A("membar.sys", 0, 0, 0, "", fence, 0, PCL_BARRIER),
    A("membar.cta", 0, 0, 0, "", fence, 0, PCL_BARRIER),
    A("griddepcontrol.wait", 0, 0, 0, "", nothing, 0, PCL_BARRIER),
    A("griddepcontrol.launch_dependents", 0, 0, 0, "", nothing, 0, PCL_BARRIER),
    A("nanosleep", T(U32), 0, 0, "s", nothing, PX_POLL, PCL_BARRIER),
    A("prefetch.L1", 0, K(SPACE), 0, "a", nothing, 0, PCL_GLOBAL_LOAD),
    A("prefetch.L2", 0, K(SPACE), 0, "a", nothing, 0, PCL_GLOBAL_LOAD),
    {0}};
