/* SPDX-License-Identifier: Apache-2.0 */
#include "cpu_blocks.h"

#include <string.h>

#include "../core/count.h"
#include "../core/mutant.h"

enum { COLUMNS = SL_MAX_K + SL_MAX_SHARED, GRAIN_ROWS = 256 };

/* Buffers for what is not written straight into a dense output. */
struct block {
    int32_t ids[SL_BLOCK_ROWS * SL_MAX_K];
    float weights[SL_BLOCK_ROWS * SL_MAX_K];
    float shared[SL_BLOCK_ROWS * SL_MAX_SHARED];
    float zero[SL_BLOCK_ROWS];
    int32_t physical[SL_BLOCK_ROWS * SL_MAX_K];
    int32_t slots[SL_BLOCK_ROWS * COLUMNS];
    float slot_weights[SL_BLOCK_ROWS * COLUMNS];
    uint8_t valid[SL_BLOCK_ROWS];
};

static void *row_of(const struct sl_view *view, int64_t row)
{
    return view->data + row * view->stride * view->size;
}

/* Where the block's result goes: the output itself if it is dense and of the inner type. */
static void *place(const struct sl_out *out, int64_t first, int32_t inner_type, void *buffer)
{
    bool direct =
        out->wanted && out->view.stride == out->view.columns && out->view.type == inner_type;
    return direct ? row_of(&out->view, first) : buffer;
}

static void put_ids(const struct sl_out *out, int64_t first, int32_t count, const int32_t *from)
{
    if (!out->wanted || (const void *)from == row_of(&out->view, first))
        return;
    struct sl_ids ids = sl_ids_of(&out->view);
    for (int32_t i = 0; i < count; i++)
        for (int64_t k = 0; k < out->view.columns; k++)
            sl_id_put(&ids, first + i, k, from[i * out->view.columns + k]);
}

static void put_floats(const struct sl_out *out, int64_t first, int32_t count, const float *from)
{
    if (!out->wanted || (const void *)from == row_of(&out->view, first))
        return;
    for (int32_t i = 0; i < count; i++)
        memcpy(row_of(&out->view, first + i), from + i * out->view.columns,
               (size_t)out->view.columns * sizeof *from);
}

static void get_floats(const struct sl_view *view, int64_t first, int32_t count, float *to)
{
    for (int32_t i = 0; i < count; i++)
        memcpy(to + i * view->columns, row_of(view, first + i), (size_t)view->columns * sizeof *to);
}

static const int32_t *get_ids(const struct sl_view *view, int64_t first, int32_t count, int32_t *to)
{
    if (view->type == SL_T_I32 && view->stride == view->columns)
        return row_of(view, first);
    struct sl_ids ids = sl_ids_of(view);
    if (SL_MUTANT(wide_ids_read_narrow))
        ids.wide = 0;
    for (int32_t i = 0; i < count; i++)
        for (int64_t k = 0; k < view->columns; k++) {
            int64_t id = sl_id_at(&ids, first + i, k);
            /* What does not fit is as wrong as any id out of range. */
            to[i * view->columns + k] = id < INT32_MIN || id > INT32_MAX ? INT32_MAX : (int32_t)id;
        }
    return to;
}

static void mark_valid(const struct sl_choose_io *io, int64_t first, int32_t count, uint8_t *valid)
{
    for (int32_t i = 0; i < count; i++) {
        int64_t row = first + i;
        valid[i] = row < io->valid_rows && (!io->row_valid || io->row_valid[row]);
    }
}

struct part {
    uint64_t *counters; /* where this part counts */
    int64_t *load;
    uint64_t *chosen;
    struct sl_remap_tally tally;
};

static void zero_here(const struct sl_walk *walk, int64_t first, int32_t count, const float *zero)
{
    float here[SL_BLOCK_ROWS];
    for (int32_t i = 0; i < count; i++) {
        bool ours = !walk->remap.by_row ||
                    sl_serving_rank(&walk->remap, first + i) == walk->call.context->rank;
        here[i] = ours || SL_MUTANT(zero_weight_on_every_rank) ? zero[i] : 0.0F;
    }
    put_floats(&walk->call.zero_here, first, count, here);
}

static void map_block(const struct sl_walk *walk, struct block *block, int64_t first, int32_t count,
                      const int32_t *ids, const float *weights, const float *shared,
                      struct part *part)
{
    int32_t top_k = walk->call.layer->rule.top_k;
    struct sl_mapped mapped = {
        .physical = place(&walk->call.recorder_ids, first, SL_T_I32, block->physical),
        .slots = walk->call.dispatch_ids.wanted || walk->call.waterfill
                     ? place(&walk->call.dispatch_ids, first, SL_T_I32, block->slots)
                     : NULL,
        .weights = walk->call.dispatch_weights.wanted
                       ? place(&walk->call.dispatch_weights, first, SL_T_F32, block->slot_weights)
                       : NULL};
    mark_valid(&walk->call.io, first, count, block->valid);
    sl_remap_block(&walk->remap, first, count, block->valid, ids, weights, shared, &mapped,
                   &part->tally);
    if (SL_MUTANT(recorder_after_shift))
        for (int32_t i = 0; i < count * top_k; i++)
            if (mapped.physical[i] >= 0)
                mapped.physical[i] = sl_slot_of(walk->remap.shape, mapped.physical[i]);
    put_ids(&walk->call.recorder_ids, first, count, mapped.physical);
    if (mapped.slots)
        put_ids(&walk->call.dispatch_ids, first, count, mapped.slots);
    if (mapped.weights)
        put_floats(&walk->call.dispatch_weights, first, count, mapped.weights);
    const struct sl_shape *shape = &walk->call.layer->bank->shape;
    if (part->chosen)
        (void)sl_count_ids(part->chosen, walk->entries, mapped.physical, (int64_t)count * top_k);
    if (walk->call.waterfill && !walk->later)
        sl_waterfill_count(shape, (int64_t)count * top_k, mapped.physical, part->load);
    bool counts_shared = SL_MUTANT(shared_counted) ||
                         (SL_MUTANT(shared_counted_in_waterfill) && walk->call.waterfill) ||
                         (SL_MUTANT(shared_counted_in_route) && walk->counts) ||
                         (SL_MUTANT(shared_counted_in_level) && walk->call.balance);
    for (int32_t i = 0; counts_shared && shape->shared > 0 && i < count; i++)
        part->counters[(shape->rank + 1) * shape->slots - 1] += block->valid[i];
    if (walk->counts && !walk->later)
        (void)sl_count_ids(part->counters, shape->physical, mapped.physical,
                           (int64_t)count * top_k);
}

static void run_block(const struct sl_walk *walk, struct block *block, int64_t first, int32_t count,
                      struct part *part)
{
    const int32_t *ids;
    const float *weights = NULL, *shared = NULL;
    const struct sl_rule *rule = &walk->call.layer->rule;
    if (walk->chooses) {
        struct sl_choices choices = {
            .ids = place(&walk->call.ids, first, SL_T_I32, block->ids),
            .weights = place(&walk->call.weights, first, SL_T_F32, block->weights),
            .shared = block->shared,
            .zero = block->zero};
        walk->choose(rule, &walk->call.io, first, count, &choices);
        put_ids(&walk->call.ids, first, count, choices.ids);
        put_floats(&walk->call.weights, first, count, choices.weights);
        put_floats(&walk->call.shared_weights, first, count, choices.shared);
        put_floats(&walk->call.zero_weight, first, count, choices.zero);
        ids = choices.ids;
        weights = choices.weights;
        shared = rule->shared_weight != SLUICE_SHARED_ONE ? choices.shared : NULL;
    } else {
        ids = get_ids(&walk->call.in_ids, first, count, block->ids);
        if (walk->call.in_weights.data) {
            get_floats(&walk->call.in_weights, first, count, block->weights);
            weights = block->weights;
        }
        if (walk->call.in_shared.data) {
            get_floats(&walk->call.in_shared, first, count, block->shared);
            shared = block->shared;
        }
        if (walk->call.in_zero.data)
            get_floats(&walk->call.in_zero, first, count, block->zero);
    }
    if (walk->maps)
        map_block(walk, block, first, count, ids, weights, shared, part);
    if (walk->call.zero_here.wanted)
        zero_here(walk, first, count, block->zero);
}

struct run {
    const struct sl_walk *walk;
    struct sl_remap_tally tally[SL_MAX_THREADS];
};

uint64_t *sl_walk_counters(const struct sl_walk *walk)
{
    const struct sl_bank *bank = walk->call.layer->bank;
    return bank->counters +
           (walk->holds ? (int64_t)sl_threads(walk->call.context) * bank->shape.physical : 0);
}

void sl_walk_part(const struct sl_walk *walk, int32_t index, int32_t parts, int64_t *from,
                  int64_t *to)
{
    int64_t rows = walk->call.rows, blocks = (rows + SL_BLOCK_ROWS - 1) / SL_BLOCK_ROWS;
    *from = blocks * index / parts * SL_BLOCK_ROWS;
    *to = blocks * (index + 1) / parts * SL_BLOCK_ROWS;
    *to = *to > rows ? rows : *to;
}

static void run_part(void *job, int32_t index, int32_t parts)
{
    struct run *run = job;
    const struct sl_walk *walk = run->walk;
    int64_t from, to;
    sl_walk_part(walk, index, parts, &from, &to);
    const struct sl_bank *bank = walk->call.layer->bank;
    struct part part = {
        .counters =
            index ? bank->counters + (int64_t)index * bank->shape.physical : sl_walk_counters(walk),
        .load = walk->load ? walk->load + (int64_t)index * walk->call.context->ranks : NULL,
        .chosen = walk->chosen ? walk->chosen + (int64_t)index * walk->entries : NULL};
    struct sl_walk own;
    if (SL_MUTANT(random_by_thread)) {
        own = *walk;
        own.remap.seed += (uint64_t)index;
        walk = &own;
    }
    struct block block;
    memset(block.zero, 0, sizeof block.zero); /* where there are no zero experts */
    for (int64_t first = from; first < to; first += SL_BLOCK_ROWS) {
        int64_t left = to - first;
        run_block(walk, &block, first, left < SL_BLOCK_ROWS ? (int32_t)left : SL_BLOCK_ROWS, &part);
    }
    run->tally[index] = part.tally;
}

/* Brings the other parts' counts into the first one's. */
static void merge(const struct sl_walk *walk, int32_t parts)
{
    const struct sl_bank *bank = walk->call.layer->bank;
    int32_t physical = bank->shape.physical, ranks = walk->call.context->ranks;
    uint64_t *sum = sl_walk_counters(walk);
    for (int32_t i = 1; i < parts - SL_MUTANT(last_thread_not_counted); i++) {
        uint64_t *counters = bank->counters + (int64_t)i * physical;
        for (int32_t p = 0; walk->counts && p < physical; p++) {
            sum[p] += counters[p];
            counters[p] = 0;
        }
        for (int32_t r = 0; walk->call.waterfill && r < ranks; r++)
            walk->load[r] += walk->load[(int64_t)i * ranks + r];
        for (int32_t e = 0; walk->chosen && e < walk->entries; e++)
            walk->chosen[e] += walk->chosen[(int64_t)i * walk->entries + e];
    }
}

void sl_walk_run(struct sl_walk *walk)
{
    if (walk->call.rows == 0)
        return;
    struct run run;
    run.walk = walk;
    int32_t parts = sl_pool_run(sl_cpu_of(walk->call.context)->pool, run_part, &run,
                                walk->call.rows, GRAIN_ROWS);
    merge(walk, parts);
    for (int32_t i = 0; i < parts; i++) {
        walk->tally.rejected += run.tally[i].rejected;
        walk->tally.dead += run.tally[i].dead;
    }
}

void sl_walk_again(const struct sl_walk *walk, sl_job_fn *run, void *job)
{
    (void)sl_pool_run(sl_cpu_of(walk->call.context)->pool, run, job, walk->call.rows, GRAIN_ROWS);
}

void sl_walk_keep(struct sl_walk *walk)
{
    const struct sl_bank *bank = walk->call.layer->bank;
    struct sl_tally *tally = &walk->call.context->tally;
    int32_t op = walk->chooses ? SLUICE_OP_ROUTE : SLUICE_OP_REMAP;
    if (walk->tally.rejected)
        atomic_fetch_add_explicit(&tally->rejected[op], walk->tally.rejected, memory_order_relaxed);
    if (walk->tally.dead)
        atomic_fetch_add_explicit(&tally->dead, walk->tally.dead, memory_order_relaxed);
    uint64_t *held = sl_walk_counters(walk);
    for (int32_t p = 0; walk->holds && walk->counts && p < bank->shape.physical; p++) {
        bank->counters[p] += held[p];
        held[p] = 0;
    }
}

void sl_walk_drop(struct sl_walk *walk)
{
    const struct sl_bank *bank = walk->call.layer->bank;
    if (SL_MUTANT(failed_route_counts))
        sl_walk_keep(walk);
    memset(sl_walk_counters(walk), 0, (size_t)bank->shape.physical * sizeof *bank->counters);
}
