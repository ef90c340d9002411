/* SPDX-License-Identifier: Apache-2.0
 * The state of a context of the CUDA backend, and the helpers every operation uses. */
#ifndef SLC_CONTEXT_H
#define SLC_CONTEXT_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "../abi/ext/stats.h"
#include "../plugin.h"
#include "../src/core/place.h"
#include "../src/core/rule.h"
#include "cu_driver.h"
#include "kernels/kernel_job.h"

/* Experts with a placement and counters of their own; layers point at one. */
struct slc_bank {
    struct sl_shape shape;
    struct sl_place place; /* on the host; the device's tables are a copy of its memory */
    void *place_memory;
    struct sl_place there; /* the same arrays on the device */
    void *there_memory;
    uint64_t *counters; /* [P] on the device, behind there_memory's tables */
    int64_t *folded;    /* [E] counts by expert that were made under earlier placements */
    int64_t *landing;   /* [P] where counters are read to */
    int64_t epoch;
};

struct slc_layer {
    struct sl_rule rule;
    struct slc_bank *bank;
    int32_t bank_index; /* the layer that owns the bank */
    int32_t shared;     /* F as slots: 0 with NOT_FUSED */
    int64_t *calls;     /* on the device: remap and route calls executed; only with RANDOM */
    uint32_t *done;     /* on the device, behind it */
};

/* Everything that more than one thread may touch. */
struct slc_tally {
    atomic_uint_least64_t calls[SLUICE_OP_COUNT];
    atomic_uint_least64_t nanoseconds[SLUICE_OP_COUNT];
};

struct sluice_context {
    char label[64];
    sluice_host host;   /* every callback filled in */
    bool engine_memory; /* alloc and free are the engine's */
    sluice_device device;
    struct slc_gpu gpu;
    int32_t flags, copy_policy, shared_policy;
    uint64_t seed;
    int32_t rank, ranks; /* this rank's id, max ranks */
    int32_t *node;       /* [ranks] */
    uint8_t *alive;      /* [ranks] */
    int32_t *living;     /* [ranks] ids of the living, ascending */
    int32_t living_count;
    int32_t timing;
    int32_t layer_count;
    struct slc_layer *layers;
    struct slc_bank *banks;
    struct slc_tally tally;
    /* One piece of device memory: rejected [SLUICE_OP_COUNT], dead, calls and done [layers],
     * living_ranks [ranks]. */
    void *there;
    uint64_t *rejected, *dead;
    int32_t *living_there;
    const unsigned char *fork_page; /* zero in a child after fork */

    pthread_mutex_t text_lock; /* guards error */
    char error[512];
};

enum { SLC_MAX_THREADS = 64 };

/* Formats the text of last_error and returns status. */
__attribute__((format(printf, 3, 4))) sluice_status
slc_fail(sluice_context *context, sluice_status status, const char *format, ...);
/* OK, or DEVICE (NOT_CAPTURABLE, NO_MEMORY) with the name of the driver's error. */
sluice_status slc_judge(sluice_context *context, const char *what, slcu_result error);

void *slc_alloc(const sluice_context *context, size_t bytes,
                int32_t kind); /* host memory, aligned to 64, zeroed */
void slc_free(const sluice_context *context, void *data, size_t bytes, int32_t kind);
/* Device memory, aligned to 256; the context's gpu is entered. Not zeroed. */
void *slc_alloc_there(const sluice_context *context, size_t bytes);
void slc_free_there(const sluice_context *context, void *data, size_t bytes);

static inline slcu_address slc_address(const void *data)
{
    return (slcu_address)(uintptr_t)data;
}

/* Copies the bank's tables to the device, in the order of `stream`. */
slcu_result slc_bank_push(sluice_context *context, struct slc_bank *bank, void *stream);
/* Reads the bank's counters into bank->landing and waits for it. */
slcu_result slc_bank_read(sluice_context *context, struct slc_bank *bank, void *stream);

/* Puts `map` in force: folds the counts into those by expert, rebuilds the tables, zeroes the
 * counters, all in the order of `stream`, and waits. */
sluice_status slc_bank_set(sluice_context *context, int32_t index, const int32_t *map,
                           void *stream);

/* Is there a context, and is it not the parent's, after fork? Calls [any thread] begin with it. */
sluice_status slc_check_context(sluice_context *context);

/* Begin and end of every other operation: the same, and the clock when timing is on. */
sluice_status slc_enter(sluice_context *context, int32_t op, int64_t *started);
sluice_status slc_leave(sluice_context *context, int32_t op, int64_t started, sluice_status status);

#endif
