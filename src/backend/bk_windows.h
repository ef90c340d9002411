/* SPDX-License-Identifier: Apache-2.0
 * Windows of counts (sluice.load/1): differences of two marks, kept in a ring, summed over ranks
 * beside serving. */
#ifndef SL_BK_WINDOWS_H
#define SL_BK_WINDOWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../../abi/ext/load.h"

/* A window's numbers, bank after bank: E choices by expert, then W by the rank that served. */
struct sl_windows {
    int32_t kept;      /* B; 0: no windows */
    int32_t available; /* of the ring */
    int64_t ended;     /* windows that have ended since they began */
    int64_t timeout_ns;
    int64_t width; /* numbers of a window */
    void *memory;  /* all of the below */
    size_t bytes;
    int64_t *ring;                /* [kept][width], window n at (n - 1) % kept */
    int64_t *mark, *next;         /* [width] the counters where the running window began; where the
                                  * one that is being summed ended */
    struct sl_window_note *note;  /* this rank's, and what its children handed up */
    struct sl_window_note *inbox; /* a child's */
    struct sl_window_note *spare; /* the next one's after a child was given up; then a verdict */
    struct sl_window_note *down;  /* the whole, from the parent */
    void *reach;                  /* scratch of sl_reach */
    sluice_status broken;         /* of a sum that failed, until ranks are set */
};

/* What travels: `width` numbers follow. */
struct sl_window_note {
    uint32_t magic;
    int32_t kept;
    int64_t number;
    int32_t verdict; /* SLUICE_OK; MISMATCH: `rank` and `other` do not fit together; PEER_LOST */
    int32_t rank, other;
    int32_t reserved;
    int64_t values[];
};

/* Everything of a sum that is on its way: from the device, up a tree to the first of the living,
 * and down again. */
enum { SL_SUM_IDLE = 0, SL_SUM_LAND, SL_SUM_TAKE, SL_SUM_HAND, SL_SUM_WAIT, SL_SUM_SPREAD };
enum { SL_SUM_MOST = 12 }; /* children of a rank of 1024, and two that were left */
struct sl_window_sum {
    int32_t stage;
    int32_t bit;  /* distance in the tree */
    int32_t open; /* requests that have not ended */
    uint64_t request[SL_SUM_MOST];
    int32_t peer[SL_SUM_MOST];
    int32_t child;     /* that did not come in time; -1: none */
    int32_t left_open; /* requests of peers that did not: they are there until the end */
    uint64_t left[2];  /* a child's, the parent's */
    int64_t begin;
    struct sl_window_note *result; /* what is spread */
};

/* Where a bank's numbers begin in a window; of layer_count: how many there are. */
int64_t sl_window_at(const sluice_context *context, int32_t bank);

/* bk_window_sum.c: starts the sum of windows.note over the living; moves it on, *done when the
 * result holds the whole or a verdict; ends it with its requests, so that the memory is free. */
void sl_sum_start(sluice_context *context);
sluice_status sl_sum_poll(sluice_context *context, bool *done);
void sl_sum_end(sluice_context *context);

/* Windows begin anew, after ranks were set: nothing is kept, no failure stands. */
sluice_status sl_windows_restart(sluice_context *context, void *stream);

/* Before the map or the counters of a bank change: what is on its way from the device has come. */
sluice_status sl_windows_settle(sluice_context *context);

/* What the bank's running window has counted is forgotten, with its counters. */
void sl_windows_forget(sluice_context *context, int32_t bank);

void sl_windows_close(sluice_context *context);

sluice_status sl_load_windows(sluice_context *context, const sluice_load_windows *config);
sluice_status sl_load_window_end(sluice_context *context, void *stream);
sluice_status sl_load_window_poll(sluice_context *context, int32_t *done);
sluice_status sl_load_window(sluice_context *context, sluice_load_window *window);

#endif
