/* SPDX-License-Identifier: Apache-2.0
 * The state that a context of every backend begins with, and the helpers every operation uses. What
 * lies below src/backend takes a sluice_context and works for all of them; a backend's own context
 * has it as its first member. */
#ifndef SL_BK_CONTEXT_H
#define SL_BK_CONTEXT_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "../../abi/ext/ranks.h"
#include "../../abi/ext/stats.h"
#include "../../plugin.h"
#include "../core/place.h"
#include "../core/rule.h"
#include "bk_windows.h"

struct sl_exchange;        /* bk_lane.h */
struct sl_context_balance; /* bk_balance.h */
struct sl_balance_there;   /* bk_balance.h */

/* Where errors of open go. */
struct sl_text {
    char *data;
    size_t size;
};

/* Experts with a placement and counters of their own; layers point at one. */
struct sl_bank {
    struct sl_shape shape;
    struct sl_place place; /* on the host */
    void *place_memory;    /* its tables, then `folded` and `kept` */
    int64_t *folded; /* [E + ranks] counts made under earlier placements: by expert, by rank */
    int64_t *kept;   /* [E + ranks], then kept_map [P]: what a `set` that fails puts back */
    int32_t *kept_map;
    uint64_t *counters; /* [P] where the backend counts: on its device */
    uint64_t *landing;  /* [P] on the host: what backend->land brings; NULL without that */
    int64_t epoch;
    uint64_t map_hash; /* of place.map: one epoch with two maps would misroute without a word */
};

struct sl_layer {
    struct sl_rule rule;
    struct sl_bank *bank;
    int32_t bank_index; /* the layer that owns the bank */
    int32_t shared;     /* F as slots: 0 with NOT_FUSED */
};

/* Everything that more than one thread may touch. */
struct sl_tally {
    atomic_uint_least64_t calls[SLUICE_OP_COUNT];
    atomic_uint_least64_t rejected[SLUICE_OP_COUNT];
    atomic_uint_least64_t nanoseconds[SLUICE_OP_COUNT];
    atomic_uint_least64_t dead, overflows;
    atomic_uint_least64_t dispatch_useful, dispatch_moved, combine_useful, combine_moved;
};

/* What a backend does otherwise than the others; there is one of these for each. A function that
 * fails has set last_error. */
struct sl_backend {
    int32_t device;       /* SLUICE_CPU, SLUICE_CUDA: whose memory tensors are in */
    size_t context_bytes; /* of its context, which begins with a sluice_context */
    size_t layer_bytes;   /* of what it keeps for each layer, behind that */
    /* The rest of open, after layers were checked and made; adds what it allocates to needs, and
     * with `query` keeps nothing. `stop` frees what there is, after a failure too. */
    sluice_status (*start)(sluice_context *context, const sluice_config *config,
                           const struct sl_text *text, sluice_needs *needs, bool query);
    void (*stop)(sluice_context *context);
    /* *counters: a bank's [P] on the host, valid until the next call. */
    sluice_status (*read)(sluice_context *context, int32_t bank, void *stream,
                          const uint64_t **counters);
    sluice_status (*zero)(sluice_context *context, int32_t bank, void *stream);
    /* Begins to bring the counters of every bank, as of `stream`, to bank->landing; says whether
     * they are there, and with `wait` comes back when they are. Nothing else waits. NULL: counters
     * are on the host. */
    sluice_status (*land)(sluice_context *context, void *stream);
    sluice_status (*landed)(sluice_context *context, bool wait, bool *there);
    /* The bank's tables on the host are new (-1: those of all, and who lives): the calls that
     * follow use them. The host's may change again when it returns. */
    sluice_status (*renew)(sluice_context *context, int32_t bank, void *stream);
    /* May a call wait for `stream`? NOT_CAPTURABLE while it is captured, which goes on. NULL: it
     * may. */
    sluice_status (*may_wait)(sluice_context *context, void *stream);
    /* Adds what was counted where the backend works to `stats`; sets that to zero. May be NULL:
     * context->tally has all. */
    sluice_status (*read_tally)(sluice_context *context, sluice_stats *stats);
    sluice_status (*zero_tally)(sluice_context *context);
    /* Takes faults that the device has told of since into context->fault. May be NULL.
     * [any thread] */
    void (*heed)(sluice_context *context);
    /* Ends exchanges of its own, now and until `renew` of all. May be NULL. [any thread] */
    void (*cancel)(sluice_context *context);
    const struct sl_balance_there *balance; /* bk_balance.h; NULL: counts are on the host */
};

struct sluice_context {
    const struct sl_backend *backend;
    char label[64];
    sluice_host host;   /* every callback filled in */
    bool engine_memory; /* alloc and free are the engine's */
    bool exchanges;     /* comm has callbacks and a use needs them, or there is one rank only */
    sluice_comm comm;   /* rank, size; callbacks may be NULL */
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
    int32_t layer_count;
    struct sl_layer *layers;
    struct sl_bank *banks;
    struct sl_context_balance *balance; /* NULL: no policy is balanced */
    struct sl_exchange *exchange;       /* NULL without a use that exchanges */
    struct sl_windows windows;
    struct sl_window_sum window_sum;
    struct sl_asks asks;
    struct sl_tally tally;
    const unsigned char *fork_page; /* zero in a child after fork */

    pthread_mutex_t text_lock; /* guards error and fault */
    char error[512];
    sluice_fault fault;
};

/* ---- bk_context.c */

/* Formats the text of last_error and returns status. */
__attribute__((format(printf, 3, 4))) sluice_status
sl_fail(sluice_context *context, sluice_status status, const char *format, ...);
/* sluice_api.last_error */
size_t sl_last_error(const sluice_context *context, char *text, size_t size);
/* Keeps the first fault since the last clear and counts. */
void sl_fault(sluice_context *context, const sluice_fault *fault);

/* Host memory, aligned to 64, zeroed. */
void *sl_alloc(const sluice_context *context, size_t bytes, int32_t kind);
void sl_free(const sluice_context *context, void *data, size_t bytes, int32_t kind);
int64_t sl_now(const sluice_context *context);

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
