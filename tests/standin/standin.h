/* SPDX-License-Identifier: Apache-2.0 */
/* What the stand-in driver offers beside the driver's own functions; tests find it by dlsym.
 *
 * The environment says what machine it stands for: STANDIN_DEVICES (8; 0: none), STANDIN_SM (90),
 * STANDIN_MEMORY (bytes of a device), STANDIN_VERSION (13000), and where it writes: STANDIN_LOG,
 * a file for reports, else standard error; STANDIN_TRACE, a file for a line of counts a launch. */
#ifndef STANDIN_H
#define STANDIN_H

#include <stdint.h>

#define STANDIN_CLASSES 14

/* Sums over all launches since the last reset. */
struct standin_counters {
    uint64_t launches;
    uint64_t warp_instructions;
    uint64_t longest_warp; /* the most instructions of one warp of one launch */
    uint64_t load_sectors, store_sectors, atomic_sectors; /* of 32 bytes */
    uint64_t bank_conflicts; /* further passes of shared accesses, beyond the first */
    uint64_t divergent_branches;
    uint64_t global_atomics; /* lanes */
    /* Words stored by threads that nothing orders, always with the value that was there. */
    uint64_t same_value_stores;
    /* int, float, convert, move, compare, branch, global load, global store, shared, local, param,
     * atomic, collect, barrier */
    uint64_t by_class[STANDIN_CLASSES];
};

void standin_counters(struct standin_counters *out);
void standin_counters_reset(void);

/* The text of the last violation or refusal, "" without; it stays until the next one. */
const char *standin_message(void);
uint64_t standin_violations(void);

/* Forgets violations and the errors that stuck to contexts. */
void standin_forgive(void);

/* The n-th (from 1) following allocation, launch (a graph's counts as one), copy or fill, or load
 * of a module fails with `error`; 0: none does. LATE: the n-th launch, copy or fill is taken, and
 * fails when its stream gets there: what waits for it, and every call from then on, has the error
 * until the context is reset, as with the real driver. */
enum standin_event {
    STANDIN_ALLOC,
    STANDIN_LAUNCH,
    STANDIN_COPY,
    STANDIN_LOAD,
    STANDIN_LATE,
    STANDIN_EVENTS
};
void standin_fail(enum standin_event event, uint64_t nth, int error);
/* How many failures that were ordered have come to pass. */
uint64_t standin_failed(void);

/* Every fill takes that much longer when its stream gets there; 0: no more. */
void standin_slow_fills(int ms);

/* How many things programs hold: allocations, streams, events, graphs, modules, contexts as often
 * as they are retained. */
int64_t standin_held(void);

/* For the NCCL stand-in: work of another library on a stream. run() is called by the stream's
 * worker and may wait there; what it gives sticks to the context. A captured task runs at each
 * replay. The stream takes over one hold on `arg`, copies take further ones, and each is dropped
 * once, whether the task ran or not. */
struct standin_task {
    int (*run)(void *arg);
    void (*hold)(void *arg);
    void (*drop)(void *arg);
};
struct CUstream_st;
int standin_enqueue(struct CUstream_st *stream, const struct standin_task *task, void *arg);

/* What `stream` does next waits for what `other` was given, and joins its capture. */
int standin_join(struct CUstream_st *stream, struct CUstream_st *other);

/* Memory that work of a device may touch: *data and, where it is known what was written, *init
 * (else NULL). A wrong address is reported with `what`, and gives the error of such an access. */
int standin_memory(uint64_t address, uint64_t bytes, int device, const char *what, uint8_t **data,
                   uint8_t **init);

/* Records a message, and prints it, to the file STANDIN_LOG where that is set. */
void standin_say(const char *text);

/* Warp instructions that one launch may take; 0: the default. */
void standin_budget(uint64_t instructions);

#endif
