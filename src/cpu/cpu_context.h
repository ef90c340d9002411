/* SPDX-License-Identifier: Apache-2.0
 * The state of a context of the CPU backend, and the helpers every operation uses. */
#ifndef SL_CPU_CONTEXT_H
#define SL_CPU_CONTEXT_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "../../abi/ext/ranks.h"
#include "../../abi/ext/stats.h"
#include "../../plugin.h"
#include "../core/choose.h"
#include "../core/place.h"
#include "../core/remap.h"
#include "../core/rule.h"
#include "cpu_pool.h"
#include "cpu_sum.h"
#include "cpu_windows.h"

struct sl_exchange;        /* cpu_exchange.h */
struct sl_context_balance; /* cpu_balance.h */

/* Experts with a placement and counters of their own; layers point at one. */
struct sl_bank {
    struct sl_shape shape;
    struct sl_place place;
    void *place_memory;
    uint64_t *counters; /* [threads + 1][P]; between calls all counts are in the first */
    int64_t *folded;    /* [E + ranks] counts made under earlier placements: by expert, by rank */
    int64_t epoch;
    uint64_t map_hash; /* of place.map: one epoch with two maps would misroute without a word */
};

struct sl_layer {
    struct sl_rule rule;
    sl_choose_fn *choose;
    struct sl_bank *bank;
    int32_t bank_index; /* the layer that owns the bank */
    int32_t shared;     /* F as slots: 0 with NOT_FUSED */
    int64_t calls;      /* remap and route calls executed: numbers the draws */
};

/* Everything that more than one thread may touch. */
struct sl_tally {
    atomic_uint_least64_t calls[SLUICE_OP_COUNT];
    atomic_uint_least64_t rejected[SLUICE_OP_COUNT];
    atomic_uint_least64_t nanoseconds[SLUICE_OP_COUNT];
    atomic_uint_least64_t dead, overflows;
    atomic_uint_least64_t dispatch_useful, dispatch_moved, combine_useful, combine_moved;
};

struct sluice_context {
    char label[64];
    sluice_host host; /* every callback filled in */
    sluice_comm comm; /* rank, size; callbacks may be NULL */
    bool exchanges;   /* comm has callbacks and a use needs them, or there is one rank only */
    sluice_device device;
    int32_t uses, flags, copy_policy, shared_policy;
    uint64_t seed;
    int64_t timeout_ns;
    int32_t rank, ranks; /* this rank's id, max ranks */
    int32_t *node;       /* [ranks] */
    uint8_t *alive;      /* [ranks] */
    int32_t *living;     /* [ranks] ids of the living, ascending: comm rank -> rank id */
    int32_t living_count;
    int32_t timing;
    atomic_int_least64_t generation;
    int32_t layer_count, bank_count;
    struct sl_layer *layers;
    struct sl_bank *banks;
    int64_t *load;                      /* [2 * ranks] waterfill's scratch */
    struct sl_context_balance *balance; /* NULL: no policy is balanced */
    struct sl_pool *pool;
    struct sl_sums sums;
    struct sl_exchange *exchange; /* NULL without a use that exchanges */
    struct sl_windows windows;
    struct sl_window_sum window_sum;
    struct sl_asks asks;
    struct sl_tally tally;
    const unsigned char *fork_page; /* zero in a child after fork */

    pthread_mutex_t text_lock; /* guards error and fault */
    char error[512];
    sluice_fault fault;
};

/* ---- cpu_context.c */

/* Formats the text of last_error and returns status. */
__attribute__((format(printf, 3, 4))) sluice_status
sl_fail(sluice_context *context, sluice_status status, const char *format, ...);
/* Keeps the first fault since the last clear and counts. */
void sl_fault(sluice_context *context, const sluice_fault *fault);

void *sl_alloc(const sluice_context *context, size_t bytes,
               int32_t kind); /* aligned to 64, zeroed */
void sl_free(const sluice_context *context, void *data, size_t bytes, int32_t kind);
int64_t sl_now(const sluice_context *context);

/* Counts go on by expert and by rank, and those by physical expert begin at 0: before a map
 * changes. */
void sl_bank_fold(struct sl_bank *bank);

/* Rebuilds the bank's tables, from a map or (NULL) the present one. */
void sl_bank_build(sluice_context *context, int32_t bank_layer, const int32_t *map);

enum { SL_MAX_THREADS = 64 };

/* Sets of counts that a walk's threads need. */
static inline int32_t sl_threads(const sluice_context *context)
{
    return context->host.threads > 1 ? context->host.threads : 1;
}

/* Is there a context, and is it not the parent's, after fork? Calls [any thread] begin with it. */
sluice_status sl_check_context(sluice_context *context);

/* Begin and end of every other operation: the same, and the clock when timing is on. */
sluice_status sl_enter(sluice_context *context, int32_t op, int64_t *started);
void sl_spend(sluice_context *context, int32_t op, int64_t started); /* adds the time since */
sluice_status sl_leave(sluice_context *context, int32_t op, int64_t started, sluice_status status);

#endif
