#include "step_world.h"

#include "abi/ext/balance.h"

#include <string.h>

#include "abi/ext/placement.h"
#include "ct.h"

void step_config(struct step_config *config, uint64_t seed)
{
    memset(config, 0, sizeof *config);
    config->ranks = 3;
    move_draw(&config->draw, config->ranks, seed);
    config->uses = SLUICE_USE_EXACT;
    config->phase = SLUICE_DISPATCH_COUNT;
    config->layers = 1;
    config->spare = 5;
    config->timeout_ns = 20000000000;
}

struct step_rank *step_rank(const struct step_config *config, int32_t number)
{
    struct step_rank *rank = ct_alloc(sizeof *rank);
    rank->config = config;
    rank->number = number;
    rank->tokens = config->draw.per;
    return rank;
}

const sluice_ranks_api *step_ranks(void)
{
    return ct_api()->extension(SLUICE_EXT_RANKS);
}

sluice_status step_note(struct step_rank *rank, sluice_status status)
{
    rank->status = status;
    rank->error[0] = 0;
    if (status && rank->context)
        (void)ct_api()->last_error(rank->context, rank->error, sizeof rank->error);
    return status;
}

sluice_status step_open(struct step_rank *rank, const sluice_comm *comm)
{
    const struct step_config *own = rank->config;
    sluice_router router = {.struct_size = sizeof router,
                            .experts = MOVE_E,
                            .top_k = MOVE_K,
                            .shared = MOVE_F,
                            .weight_on = own->draw.weight_on};
    int32_t slots = (MOVE_E + own->ranks - 1) / own->ranks + own->spare;
    sluice_layer layer = {.struct_size = sizeof layer, .router = &router, .slots_per_rank = slots};
    const sluice_layer *layers[] = {&layer, &layer, &layer};
    bool joins = own->joins && rank->number == own->ranks - 1;
    sluice_config config = {.struct_size = sizeof config,
                            .comm = comm,
                            .flags = joins ? SLUICE_OPEN_JOIN : 0,
                            .max_ranks = own->ranks,
                            .layers = layers,
                            .layer_count = own->layers,
                            .transport = &own->draw.transport,
                            .uses = own->uses,
                            .shared_policy = own->shared_policy,
                            .copy_policy = own->copy_policy,
                            .timeout_ns = own->timeout_ns};
    rank->status = ct_api()->open(&config, &rank->context, rank->error, sizeof rank->error);
    if (rank->status || !own->balance_mode)
        return rank->status;
    const sluice_balance_api *balance = ct_api()->extension(SLUICE_EXT_BALANCE);
    sluice_balance_config mode = {.struct_size = sizeof mode, .mode = own->balance_mode};
    return step_note(rank, balance->configure(rank->context, -1, &mode));
}

static int32_t first_row(const struct step_rank *rank)
{
    return rank->number * rank->config->draw.per;
}

/* The inputs are read only. */
static const sluice_tensor *input(const void *data, sluice_dtype dtype, int64_t rows,
                                  int64_t columns)
{
    return ct_tensor((void *)(uintptr_t)data, dtype, rows, columns);
}

sluice_status step_map(struct step_rank *rank)
{
    const struct move_world *draw = &rank->config->draw;
    int64_t tokens = rank->tokens, first = first_row(rank);
    sluice_remap_args args = {.struct_size = sizeof args,
                              .layer = rank->layer,
                              .ids = input(draw->choices[first], CT_I32, tokens, MOVE_K),
                              .weights = input(draw->weights[first], CT_F32, tokens, MOVE_K),
                              .dispatch_ids = ct_tensor(rank->ids, CT_I32, tokens, MOVE_C),
                              .dispatch_weights = ct_tensor(rank->weights, CT_F32, tokens, MOVE_C),
                              .recorder_ids = ct_tensor(rank->recorder, CT_I32, tokens, MOVE_K)};
    return step_note(rank, ct_api()->remap(rank->context, &args));
}

static sluice_dispatch_args dispatch_args(struct step_rank *rank, int32_t phase)
{
    int64_t tokens = rank->tokens;
    return (sluice_dispatch_args){.struct_size = sizeof(sluice_dispatch_args),
                                  .layer = rank->layer,
                                  .phase = phase,
                                  .lane = rank->lane,
                                  .handle = &rank->handle,
                                  .dispatch_ids = ct_tensor(rank->ids, CT_I32, tokens, MOVE_C),
                                  .dispatch_weights =
                                      ct_tensor(rank->weights, CT_F32, tokens, MOVE_C),
                                  .row_count = &rank->rows};
}

sluice_status step_count(struct step_rank *rank)
{
    sluice_dispatch_args args = dispatch_args(rank, SLUICE_DISPATCH_COUNT);
    return step_note(rank, ct_api()->dispatch(rank->context, &args));
}

sluice_status step_send(struct step_rank *rank)
{
    const struct step_config *config = rank->config;
    bool fixed = config->phase == SLUICE_DISPATCH_FIXED;
    sluice_dispatch_args args =
        dispatch_args(rank, fixed ? SLUICE_DISPATCH_FIXED : SLUICE_DISPATCH_SEND);
    if (fixed)
        rank->rows = STEP_ROWS;
    const sluice_tensor *payload =
        input(config->draw.x[first_row(rank)], CT_F32, rank->tokens, MOVE_H);
    const sluice_tensor *rows = ct_tensor(rank->in, CT_F32, rank->rows, MOVE_H);
    args.payload_count = 1;
    args.payloads = &payload;
    args.rows = &rows;
    args.row_slot = ct_tensor(rank->row_slot, CT_I32, rank->rows, 0);
    return step_note(rank, ct_api()->dispatch(rank->context, &args));
}

void step_compute(struct step_rank *rank)
{
    const sluice_placement_api *placement = ct_api()->extension(SLUICE_EXT_PLACEMENT);
    sluice_placement_shape shape = {.struct_size = sizeof shape};
    int32_t holds[STEP_SLOTS];
    ct_eq_i64(placement->shape(rank->context, rank->layer, &shape), SLUICE_OK);
    ct_eq_i64(placement->rows(rank->context, rank->layer, rank->number, holds,
                              shape.slots_per_rank + shape.shared),
              SLUICE_OK);
    for (int64_t row = 0; row < rank->rows; row++) {
        int32_t slot = rank->row_slot[row];
        if (slot >= 0)
            move_expert(holds[slot] <= SLUICE_ROW_SHARED(0) ? MOVE_E : holds[slot], rank->in[row],
                        rank->out[row]);
    }
}

sluice_status step_combine(struct step_rank *rank)
{
    sluice_combine_args args = {.struct_size = sizeof args,
                                .layer = rank->layer,
                                .handle = &rank->handle,
                                .rows = ct_tensor(rank->out, CT_F32, rank->rows, MOVE_H),
                                .out = ct_tensor(rank->home, CT_F32, rank->tokens, MOVE_H)};
    return step_note(rank, ct_api()->combine(rank->context, &args));
}

sluice_status step_record(struct step_rank *rank)
{
    sluice_record_args args = {.struct_size = sizeof args,
                               .layer = rank->layer,
                               .recorder_ids =
                                   ct_tensor(rank->recorder, CT_I32, rank->tokens, MOVE_K)};
    return step_note(rank, ct_api()->record(rank->context, &args));
}

sluice_status step_run(struct step_rank *rank)
{
    bool counts = rank->config->phase == SLUICE_DISPATCH_COUNT;
    if (step_map(rank) || (counts && step_count(rank)) || step_send(rank))
        return rank->status;
    step_compute(rank);
    return step_combine(rank) ? rank->status : step_record(rank);
}

sluice_status step_set(struct step_rank *rank, int64_t generation, int32_t dead,
                       const sluice_comm *comm)
{
    uint8_t alive[MOVE_RANKS];
    for (int32_t r = 0; r < rank->config->ranks; r++)
        alive[r] = r != dead;
    sluice_ranks ranks = {
        .struct_size = sizeof ranks, .generation = generation, .alive = alive, .comm = comm};
    return step_note(rank, step_ranks()->set(rank->context, &ranks, NULL));
}

bool step_expect_literal(const struct step_rank *rank)
{
    for (int32_t t = 0; t < rank->tokens; t++) {
        float want[MOVE_H];
        move_expected(&rank->config->draw, first_row(rank) + t, want);
        ct_note("rank %d, token %d", rank->number, t);
        if (!ct_expect_eq_mem(rank->home[t], want, sizeof want))
            return false;
    }
    return true;
}
