#include "fuzz_args_world.h"

#include "abi/ext/load.h"
#include "abi/ext/placement.h"
#include "abi/ext/ranks.h"
#include "abi/ext/stats.h"

#include <stdlib.h>
#include <string.h>

/* A handle of this context, one made up, or none. */
static sluice_handle *pick_handle(struct fa_world *w, sluice_handle *good, sluice_handle *other)
{
    uint8_t how = fz_u8(w->in);
    *other = *good;
    if (how == 0xFF)
        return NULL;
    if (how >= 0xF0)
        other->opaque[how % 4] = how & 8 ? fz_u64(w->in) : fz_u8(w->in);
    else if (how >= 0xE0)
        *other = how & 1 ? w->sent : w->counted;
    return other;
}

static sluice_status call_dispatch(struct fa_world *w, int32_t phase, int64_t tokens)
{
    struct fz_bytes *in = w->in;
    sluice_handle handle;
    sluice_dispatch_args args = {.struct_size = sizeof args, .layer = fa_layer(w), .phase = phase};
    int64_t columns = fz_u8(in) < 0xF0 ? FA_C : fz_range(in, 1, 9);
    int64_t rows = fz_u8(in) < 0xE0 ? w->fixed_rows + FA_TOKENS * FA_C : fz_u8(in);
    const sluice_tensor *payloads[8], *outputs[8];
    args.handle = pick_handle(w, &w->counted, &handle);
    args.lane = fz_u8(in) < 0xE0 ? phase == SLUICE_DISPATCH_FIXED : (int8_t)fz_u8(in);
    args.payload_count = fz_u8(in) < 0xE0 ? 1 : (int8_t)fz_u8(in);
    for (int32_t i = 0; i < 8; i++) {
        bool there = i < args.payload_count;
        payloads[i] = there ? fa_tensor(w, FZ_F32, tokens, FA_H, false) : NULL;
        outputs[i] = there ? fa_tensor(w, FZ_F32, rows, FA_H, true) : NULL;
    }
    args.payloads = fz_u8(in) == 0xFF ? NULL : payloads;
    args.rows = fz_u8(in) == 0xFF ? NULL : outputs;
    args.dispatch_ids = fa_tensor(w, fa_ids(w), tokens, columns, false);
    args.dispatch_weights = fa_tensor(w, FZ_F32, tokens, columns, false);
    args.num_valid = fa_maybe(w, fa_ids(w), 1, 0, false);
    args.slot_counts = fa_maybe(w, fa_ids(w), FA_L, 0, true);
    args.slot_starts = fa_maybe(w, fa_ids(w), FA_L + 1, 0, true);
    args.row_slot = fa_maybe(w, fa_ids(w), rows, 0, true);
    args.row_weight = fa_maybe(w, FZ_F32, rows, 0, true);
    args.row_count = fz_u8(in) == 0xFF ? NULL : &w->number;
    args.multiply = fz_u8(in) < 0xE0 ? args.layer == 2 : (int8_t)fz_u8(in);
    void *given = fa_args(w, &args, sizeof args);
    fz_before(&w->heap);
    sluice_status status = w->api->dispatch(w->context, given);
    free(given);
    if (status == SLUICE_OK || status == SLUICE_OVERFLOW) {
        w->tokens = tokens;
        *(phase == SLUICE_DISPATCH_COUNT ? &w->counted : &w->sent) = handle;
    }
    return status;
}

/* SEND needs the ids of COUNT, so they are made again from the same bytes. */
static sluice_status call_exact(struct fa_world *w, int64_t tokens)
{
    struct fz_bytes again = *w->in;
    sluice_status status = call_dispatch(w, SLUICE_DISPATCH_COUNT, tokens);
    fz_status(w->api, w->context, status);
    fz_after(&w->heap);
    fz_free(&w->heap);
    *w->in = again;
    return call_dispatch(w, SLUICE_DISPATCH_SEND, tokens);
}

static sluice_status call_combine(struct fa_world *w)
{
    struct fz_bytes *in = w->in;
    sluice_handle handle;
    sluice_combine_args args = {.struct_size = sizeof args, .layer = fa_layer(w)};
    int64_t rows = fz_u8(in) < 0xE0 ? w->fixed_rows + FA_TOKENS * FA_C : fz_u8(in);
    args.scale = fz_u8(in) < 0xE0 ? args.layer == 0 : (int8_t)fz_u8(in);
    args.handle = pick_handle(w, &w->sent, &handle);
    args.rows = fa_tensor(w, FZ_F32, rows, FA_H, false);
    args.out = fa_tensor(w, FZ_F32, w->tokens, FA_H, true);
    if (fz_u8(in) & 1) {
        args.zero_weight = fa_tensor(w, FZ_F32, w->tokens, 0, false);
        args.x = fa_tensor(w, FZ_F32, w->tokens, FA_H, false);
    }
    void *given = fa_args(w, &args, sizeof args);
    fz_before(&w->heap);
    sluice_status status = w->api->combine(w->context, given);
    free(given);
    return status;
}

sluice_status fa_exchange_call(struct fa_world *w)
{
    int32_t op = fz_range(w->in, 0, 5);
    int64_t tokens = fz_range(w->in, 0, FA_TOKENS + 1);
    switch (op) {
    case 0:
        return call_exact(w, tokens);
    case 1:
        return call_dispatch(w, SLUICE_DISPATCH_FIXED, tokens);
    case 2:
        return call_dispatch(w, SLUICE_DISPATCH_COUNT, tokens);
    case 3:
        return call_dispatch(w, (int8_t)fz_u8(w->in), tokens);
    default:
        return call_combine(w);
    }
}

/* -------------------------------------------------------------------------------- extensions */

static sluice_status call_load(struct fa_world *w, int32_t op)
{
    const sluice_load_api *load = w->api->extension(SLUICE_EXT_LOAD);
    int32_t layer = fa_layer(w);
    if (op == 0) {
        const sluice_load_slots args = {.struct_size = sizeof args,
                                        .layer = layer,
                                        .slot_counts = fa_tensor(w, fa_ids(w), FA_L, 0, false)};
        void *given = fa_args(w, &args, sizeof args);
        fz_before(&w->heap);
        sluice_status status = load->add_slots(w->context, given);
        free(given);
        return status;
    }
    if (op == 1) {
        const sluice_tensor *counts = fa_tensor(w, FZ_I64, FA_N, 0, true);
        fz_before(&w->heap);
        return load->read(w->context, layer, counts, NULL);
    }
    if (op == 2)
        return load->reset(w->context, layer, NULL);
    int64_t count = fz_u8(w->in) < 0xC0 ? FA_E : (int8_t)fz_u8(w->in);
    int64_t room = count < 1 ? 1 : count;
    struct fz_tensor *out = fz_make(&w->heap, FZ_I64, FA_LAYERS * room, 0, 0, true);
    int64_t *data = fz_u8(w->in) == 0xFF ? NULL : (int64_t *)(void *)out->block;
    fz_before(&w->heap);
    return op == 3 ? load->snapshot(w->context, data, count, NULL)
                   : load->read_logical(w->context, layer, data, count, NULL);
}

static sluice_status call_ranks(struct fa_world *w, int32_t op)
{
    const sluice_ranks_api *ranks = w->api->extension(SLUICE_EXT_RANKS);
    const sluice_stats_api *stats = w->api->extension(SLUICE_EXT_STATS);
    struct fz_bytes *in = w->in;
    uint8_t alive[1] = {fz_u8(in) < 0xF0};
    static sluice_comm comm; /* outlives the context */
    comm = (sluice_comm){.struct_size = sizeof comm};
    comm.size = fz_u8(in) < 0xC0 ? 1 : (int8_t)fz_u8(in);
    const sluice_ranks verdict = {.struct_size = sizeof verdict,
                                  .generation = ranks->generation(w->context) + (int8_t)fz_u8(in),
                                  .alive = fz_u8(in) == 0xFF ? NULL : alive,
                                  .comm = fz_u8(in) & 1 ? &comm : NULL};
    sluice_fault fault = {.struct_size = sizeof fault};
    sluice_stats numbers = {.struct_size = sizeof numbers};
    void *given = op == 0   ? fa_args(w, &verdict, sizeof verdict)
                  : op == 1 ? fa_args(w, &fault, sizeof fault)
                            : fa_args(w, &numbers, sizeof numbers);
    sluice_status status;
    switch (op) {
    case 0:
        status = ranks->set(w->context, given, NULL);
        break;
    case 1:
        status = ranks->poll(w->context, given);
        break;
    case 2:
        status = stats->read(w->context, given);
        break;
    case 3:
        status = ranks->alive(w->context, fz_u8(in) == 0xFF ? NULL : alive, (int8_t)fz_u8(in));
        break;
    case 4:
        status = fz_u8(in) & 1 ? ranks->clear(w->context) : stats->reset(w->context);
        break;
    default:
        status = fz_u8(in) & 1 ? ranks->quiesce(w->context, ranks->generation(w->context))
                               : stats->set_timing(w->context, (int8_t)fz_u8(in));
    }
    free(given);
    return status;
}

static sluice_status call_placement(struct fa_world *w)
{
    const sluice_placement_api *placement = w->api->extension(SLUICE_EXT_PLACEMENT);
    const sluice_placement_shape shape = {.struct_size = sizeof shape};
    int32_t layer = fa_layer(w), found = 0, op = fz_range(w->in, 0, 2);
    if (op == 0) {
        void *given = fa_args(w, &shape, sizeof shape);
        sluice_status status = placement->shape(w->context, layer, given);
        free(given);
        return status;
    }
    int32_t capacity = fz_range(w->in, -1, FA_L), expert = (int8_t)fz_u8(w->in);
    struct fz_tensor *out = fz_make(&w->heap, FZ_I32, capacity > 0 ? capacity : 1, 0, 0, true);
    int32_t *data = fz_u8(w->in) == 0xFF ? NULL : (int32_t *)(void *)out->block;
    int32_t *count = fz_u8(w->in) == 0xFF ? NULL : &found;
    fz_before(&w->heap);
    return op == 1 ? placement->copies(w->context, layer, expert, data, capacity, count)
                   : placement->find(w->context, layer, 0, expert, data, capacity, count);
}

sluice_status fa_extension_call(struct fa_world *w)
{
    int32_t op = fz_range(w->in, 0, 11);
    fz_before(&w->heap);
    if (op < 5)
        return call_load(w, op);
    return op < 11 ? call_ranks(w, op - 5) : call_placement(w);
}
