/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SLUICE_EXT_LOAD_H
#define SLUICE_EXT_LOAD_H

#include "../../plugin.h"

#if defined(__cplusplus)
extern "C" {
#endif

/* sluice.load/1: the recorder's counters. Only routed physical experts are counted; a shared slot
 * has no counter. Counters are 64 bits. Those by physical expert count under the placement in force
 * and begin at 0 with each new one; those by logical expert go on. */
#define SLUICE_EXT_LOAD "sluice.load/1"

typedef struct sluice_load_slots {
    size_t struct_size;
    int32_t layer;
    int32_t reserved;
    void *stream;
    const sluice_tensor *slot_counts; /* [L] ids: tokens by local slot of this rank */
} sluice_load_slots;
SLUICE_ASSERT_ENDS_WITH(sluice_load_slots, slot_counts);

typedef struct sluice_load_api {
    size_t struct_size;

    /* The layer's bank's counters, in the order of `stream`, into an i64 tensor [P] (on the device
     * or the host; a host tensor waits for a device). */
    sluice_status (*read)(sluice_context *context, int32_t layer, const sluice_tensor *counts,
                          void *stream);

    /* All layers at once into host memory: counts[i * stride ...] = layer i's P counters, a layer
     * that uses another's bank gets zeros. stride >= the greatest P. */
    sluice_status (*snapshot)(sluice_context *context, int64_t *counts, int64_t stride,
                              void *stream);

    /* Zeroes all counts of one layer's bank, or of every bank with layer -1. */
    sluice_status (*reset)(sluice_context *context, int32_t layer, void *stream);

    /* For engines whose own transport counts rows by local slot, shared rows among them: adds the
     * first N entries to this rank's N counters and drops the F shared ones. Use this or record,
     * never both: every choice would count twice. Negative entries are INVALID. [hot] [capture] */
    sluice_status (*add_slots)(sluice_context *context, const sluice_load_slots *args);

    /* Counts by logical expert since the last reset, each through the placement it was made under,
     * into host [E]. */
    sluice_status (*read_logical)(sluice_context *context, int32_t layer, int64_t *counts,
                                  int64_t count, void *stream);
} sluice_load_api;
SLUICE_ASSERT_ENDS_WITH(sluice_load_api, read_logical);

#if defined(__cplusplus)
}
#endif
#endif
