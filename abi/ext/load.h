/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SLUICE_EXT_LOAD_H
#define SLUICE_EXT_LOAD_H

#include "../../plugin.h"

#if defined(__cplusplus)
extern "C" {
#endif

/* sluice.load/1: the recorder's counters. Only routed physical experts are counted; a shared slot
 * has no counter. Counters are 64 bits. Those by physical expert count under the placement in force
 * and begin at 0 with each new one; those by logical expert go on. `reset` zeroes all of them, and
 * what the running window has counted of the bank. */
#define SLUICE_EXT_LOAD "sluice.load/1"

typedef struct sluice_load_slots {
    size_t struct_size;
    int32_t layer;
    int32_t reserved;
    void *stream;
    const sluice_tensor *slot_counts; /* [L] ids: tokens by local slot of this rank */
} sluice_load_slots;
SLUICE_ASSERT_ENDS_WITH(sluice_load_slots, slot_counts);

/* Windows: what was chosen between one `window_end` and the next, by logical expert, each choice
 * through the placement it was made under, and by the rank that served it. With
 * SLUICE_USE_SUMMED_LOAD summed over the living ranks (not with EVERY_RANK_EVERY_ROW, where every
 * rank counts the same), else of this rank alone: do not plan from those unless you sum them
 * yourself, or the ranks come to different placements. The last ones are kept. */
typedef struct sluice_load_windows {
    size_t struct_size;
    int32_t kept; /* B, how many windows are kept, 1 ... 4096; 0: none, windows end here */
    int32_t reserved;
    /* Of the waits of a window's sum, which takes at most 3 * timeout_ns in all; default the
     * config's timeout_ns. */
    int64_t timeout_ns;
} sluice_load_windows;
SLUICE_ASSERT_ENDS_WITH(sluice_load_windows, timeout_ns);

/* Windows of those kept, added up. Arrays are the caller's, each optional; a layer that uses
 * another's bank gets zeros (drift_ppm: -1).
 *
 * Balancedness is mean rank load / greatest rank load over the living ranks, an IEEE double
 * quotient of whole numbers: 1 is level, 0.8 means that ranks have work for 0.8 of the fullest
 * one's time, and 0 that nothing was counted: higher is better, as in SGLang. (The balance of
 * sluice.plan/1 and of its `target` is the inverse, greatest / mean, where lower is better.) */
typedef struct sluice_load_window {
    size_t struct_size;
    int32_t newest;    /* in: the newest window taken, 0: the last that ended, 1: the one before */
    int32_t count;     /* in: how many, from it on back; default 1 */
    int32_t against;   /* in, for drift: how many windows right before those; 0: no drift */
    int32_t available; /* out: windows that are kept now */
    int64_t number;    /* out: of `newest`; the first since the windows began is 1 */
    int64_t stride;    /* in: between layers of counts, at least the greatest E */
    int64_t *counts;   /* out: counts[i * stride + e] = choices of expert e in layer i */
    int64_t rank_stride;
    int64_t *rank_counts; /* out: rank_counts[i * rank_stride + r] = choices that rank r served */
    /* out: [layer_count] balancedness of rank_counts: as recorded, of the routed choices alone.
     * Where shared experts are levelled too it is below 1 even when the ranks are level. */
    double *balancedness;
    /* out: [layer_count] balancedness that the step balancer could have reached under the placement
     * in force now, the shared experts' load among it (F * sum / K, wherever it levels). A new
     * placement can bring it to 1 at best, and so gain at most what is missing here. 0 also where a
     * layer has 2^56 choices or more. */
    double *reachable;
    /* out: [layer_count] how far counts lie from those of the `against` windows before: with a and
     * b their sums, round(500000 * sum over e, ascending, of |a_e / a - b_e / b|), in doubles; 0:
     * equal shares, 1000000: no expert in common, -1: one of them counted nothing. */
    int32_t *drift_ppm;
    int32_t layers, reserved; /* out: that counted something: what the next four are over */
    double mean, worst;       /* out: of `balancedness`, layers ascending, worst: the least; 0
                               * where layers is 0 */
    double reachable_mean, reachable_worst; /* out: of `reachable`, where it is given */
} sluice_load_window;
SLUICE_ASSERT_ENDS_WITH(sluice_load_window, reachable_worst);

typedef struct sluice_load_api {
    size_t struct_size;

    /* The layer's bank's counters, in the order of `stream`, into an i64 tensor [P] on the device
     * or the host. [waits] into a host tensor. */
    sluice_status (*read)(sluice_context *context, int32_t layer, const sluice_tensor *counts,
                          void *stream);

    /* All layers at once into host memory: counts[i * stride ...] = layer i's P counters, a layer
     * that uses another's bank gets zeros. stride >= the greatest P. [waits] */
    sluice_status (*snapshot)(sluice_context *context, int64_t *counts, int64_t stride,
                              void *stream);

    /* Zeroes all counts of one layer's bank, or of every bank with layer -1, in the order of
     * `stream`; not to be captured, as some of them are the host's. Waits only for the counters of
     * a window that has ended and that a device has not brought yet. */
    sluice_status (*reset)(sluice_context *context, int32_t layer, void *stream);

    /* For engines whose own transport counts rows by local slot, shared rows among them: adds the
     * first N entries to this rank's N counters and drops the F shared ones. Use this or record,
     * never both: every choice would count twice. Where an entry is negative nothing is added: on
     * the CPU it is INVALID, a device counts it as rejected. [hot] [capture] */
    sluice_status (*add_slots)(sluice_context *context, const sluice_load_slots *args);

    /* Counts by logical expert since the last reset, each through the placement it was made under,
     * into host [E]. [waits] */
    sluice_status (*read_logical)(sluice_context *context, int32_t layer, int64_t *counts,
                                  int64_t count, void *stream);

    /* Begins windows, or begins them anew: what was kept is gone, the first window begins now.
     * [waits], and as it has no stream, let the device run what counts before. Memory comes from
     * the host's allocator, here and nowhere else. Equal on all ranks; `kept` and the number of
     * each window are compared where windows are summed. Errors: INVALID, NO_MEMORY (the old
     * windows go on), BUSY (a window is being summed). */
    sluice_status (*windows)(sluice_context *context, const sluice_load_windows *config);

    /* Ends the running window, in the order of `stream`, and begins the next; waits for nothing.
     * Where windows are summed it starts the sum, which `window_poll` brings to its end beside
     * serving, as it does with counters that a device must bring first; every living rank ends its
     * windows in the same order, each at the step that suits it. The window is kept once it is
     * whole, on each rank. Errors: NOT_READY (no windows, or a sum has failed and `set` of
     * sluice.ranks/1 must come first), BUSY (the last window is still being summed),
     * NOT_CAPTURABLE (`stream` is being captured: it must run in every window, not once), and those
     * of window_poll. [hot], not [capture]. */
    sluice_status (*window_end)(sluice_context *context, void *stream);

    /* Moves the window on; never waits. *done = 1 when none is under way (any more). A rank
     * that does not end its window in time costs the others this window and no more: PEER_LOST,
     * naming it; nothing else has changed, and operations that exchange go on. The same with
     * MISMATCH (another window or another `kept`; every rank is told who) and CANCELLED (quiesce).
     * Windows are then NOT_READY until `set` of sluice.ranks/1. That begins windows anew on every
     * rank, with or without a failure: a newcomer has none, and all ranks must have the same.
     * Where several ranks are missing, all others name the same one, the first. That holds for
     * windows ended within timeout_ns of one another and polled at least 64 times in that time,
     * the first of the living also after its own is whole; a rank that ends its window later is
     * missing for the others, and may itself name one of them. Where a rank dies while the window
     * is summed, those that it cost the window name it; others may have kept the window. Call it
     * each step. Errors: PEER_LOST, MISMATCH, CANCELLED, NOT_READY. [hot] */
    sluice_status (*window_poll)(sluice_context *context, int32_t *done);

    /* Windows kept, with what they say; all of it is on the host, and nothing waits. Errors:
     * INVALID, NOT_READY (no windows, or none has ended), OVERFLOW (newest + count + against is
     * more than are kept). */
    sluice_status (*window)(sluice_context *context, sluice_load_window *window);
} sluice_load_api;
SLUICE_ASSERT_ENDS_WITH(sluice_load_api, window);

#if defined(__cplusplus)
}
#endif
#endif
