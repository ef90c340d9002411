/* SPDX-License-Identifier: Apache-2.0
 * The step balance in a context: what open sizes and what counts say. */
#ifndef SL_BK_BALANCE_H
#define SL_BK_BALANCE_H

#include "../../abi/ext/balance.h"
#include "../core/sl_balance.h"
#include "bk_args.h"

/* A layer counts entries: experts, or where another policy picks copies, physical experts. A row of
 * counts is [entries + 1]: the last is the source's rows with shared columns. */
struct sl_layer_balance {
    sluice_balance_config config; /* costs points at the next */
    sluice_costs costs;
    int32_t entries;
    int64_t *counts; /* [living][entries + 1] as last solved; STALE: sums over the window. LOCAL: 1
                      * row */
    int32_t *fresh;  /* configure: the window to come */
    int32_t *window; /* STALE: [steps][ranks][entries + 1], the next to be replaced at `next` */
    int32_t next;
    size_t window_bytes;
    int64_t *routed, *whole; /* [P] quotas of this rank, and of all ranks together */
    int64_t *shared;         /* [ranks] */
    int32_t column[SL_MAX_SHARED];
    int64_t step;              /* how often counts came */
    int64_t epoch, generation; /* that counts (and quotas) belong to */
    bool solved;               /* quotas are those of counts */
};

/* Where counts, windows and quotas lie on a device: what a backend does for sluice.balance/1. Of a
 * layer's state the host then has config and window (an address there) alone. */
struct sl_balance_there {
    void *(*make_window)(const sluice_context *context, size_t bytes); /* NULL: no memory */
    void (*drop_window)(const sluice_context *context, void *window, size_t bytes);
    /* Nothing has been counted. */
    sluice_status (*forget)(sluice_context *context, int32_t layer);
    /* One step more, from a checked tensor. sum: there is one row for all ranks. most: what a row
     * may add up to; where it is more, or a count negative, the kernel adds nothing. */
    sluice_status (*add)(sluice_context *context, int32_t layer, const struct sl_view *counts,
                         bool sum, int64_t most, void *stream);
    /* Counts and step, to the host's; waits. */
    sluice_status (*fetch)(sluice_context *context, int32_t layer, void *stream);
};

/* Whose turn it is among an expert's copies. */
struct sl_turn {
    int32_t at; /* into the living copies */
    int32_t physical, slot;
    int32_t left; /* choices that this copy still takes */
};

struct sl_context_balance {
    struct sl_layer_balance *layers; /* [layer_count] */
    char *memory;                    /* everything below, and the layers' arrays */
    size_t bytes;
    int32_t *leader;         /* [ranks] */
    int64_t leaders_of;      /* generation */
    uint64_t *parts;         /* [threads][most entries] counts of a walk */
    int64_t *own;            /* [most entries + 1] this rank's row */
    int64_t *call;           /* [most P] quotas of a call */
    int64_t *room;           /* [ranks] the same of shared columns */
    int32_t *rows;           /* [ranks][most entries + 1] of add_counts */
    int32_t *start, *copies; /* [most P + 1], [most P]: entries are physical */
    struct sl_turn *turns;   /* [threads][most entries] */
    char *scratch;
};

/* Does this layer's remap need balance? */
bool sl_balance_serves(const sluice_context *context, const struct sl_layer *layer);

/* E, or P. */
int32_t sl_balance_entries(const sluice_context *context, const struct sl_layer *layer);

/* Bytes beside the windows; 0 where no policy is balanced. */
size_t sl_balance_needs(const sluice_context *context);
/* context->balance; false: no memory. */
bool sl_balance_open(sluice_context *context);
void sl_balance_close(sluice_context *context);

/* What must be equal on all ranks that share counts. */
uint64_t sl_balance_form(const struct sl_layer_balance *own);

/* After this rank's row of a call is in balance->own: brings the layer's counts (NOW: collective)
 * and with them its quotas up to date. */
sluice_status sl_balance_step(sluice_context *context, int32_t layer);

/* The layer's problem, from its counts; valid until the next call for any layer. */
struct sl_balance sl_balance_problem_of(sluice_context *context, int32_t layer);

/* ---- bk_balance_window.c: mode STALE */

size_t sl_balance_window_bytes(const sluice_context *context, int32_t layer, int32_t steps);

/* Of all layers, at the default number of steps: what `configure` may come to take. */
size_t sl_balance_window_needs(const sluice_context *context);

/* Nothing has been counted. */
void sl_balance_forget(sluice_context *context, int32_t layer);

/* Forgets what was counted under other ranks, or under a map that entries depend on. */
void sl_balance_refresh(sluice_context *context, int32_t layer);

/* One step more: rows [living] of [entries + 1], `stride` apart. */
void sl_balance_add(sluice_context *context, int32_t layer, const int32_t *rows, int64_t stride);

/* int32 entries that dispatch appends to what every peer gets: 0, or under STALE entries + 1; at
 * most; and what it appends, from `count` slot ids. */
int32_t sl_balance_carried(const sluice_context *context, int32_t layer);
int32_t sl_balance_carried_most(const sluice_context *context, const struct sl_layer *layer);
void sl_balance_carry(const sluice_context *context, int32_t layer, const int32_t *ids,
                      int64_t count, int32_t *row);

#endif
