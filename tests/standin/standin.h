/* SPDX-License-Identifier: Apache-2.0 */
/* What the stand-in driver offers beside the driver's own functions; tests find it by dlsym. */
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

/* Warp instructions that one launch may take; 0: the default. */
void standin_budget(uint64_t instructions);

#endif
