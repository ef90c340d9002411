/* SPDX-License-Identifier: Apache-2.0
 * What the kernels of dispatch and combine are told. A token's column with a slot is an entry; it
 * keeps its place among the entries of its source in the same slot, which the source finds, so that
 * the receiver needs no search: row = first row of (source, slot) + that place.
 *
 * Numbers of ranks here are those among the living ("peers"), except in slot ids. A key is a slot
 * id, or W * L + a rank for the tokens that go there. */
#ifndef SLC_MOVE_JOB_H
#define SLC_MOVE_JOB_H

#include "../../src/core/layout.h"
#include "kernel_job.h"

enum { SLC_MOST_PAYLOADS = 8, SLC_MOST_COLUMNS = SL_MAX_K + SL_MAX_SHARED };

/* Rows of a tensor as bytes. */
struct slc_bytes {
    char *data;
    int64_t stride;  /* bytes */
    int32_t columns; /* bytes */
    int32_t unit; /* 16, 8, 4, 2 or 1: divides all of these, here and where rows go or come from */
};

/* Tokens t of 32 that go to a key, and how many tokens of the block before them do. */
struct slc_mask {
    uint32_t bits;
    int32_t before;
};

/* What becomes of an entry. At home: `at` is its slot id, `place` as above or SL_ROW_DROPPED; on
 * the way `at` is the local slot. `back`: PER_RANK: the token's place in the list of tokens to that
 * peer; EXACT: the place of its row among those that come back, by token and column where
 * capacity_back may cut them (slc_back_limit), else SLC_BY_SLOT: they come back in the order of
 * rows. Received: `at` is the row, SL_ROW_DROPPED or SL_ROW_NONE, `back` always that place. */
struct slc_item {
#if defined(__cplusplus)
    alignas(16) int32_t at;
#else
    _Alignas(16) int32_t at;
#endif
    int32_t place, back;
    float weight;
};

enum { SLC_BY_SLOT = -1 };

/* When capacity_back can be too small. */
enum slc_back_limit {
    SLC_LIMIT_NEVER,
    SLC_LIMIT_TWICE, /* where a token has a slot twice */
    SLC_LIMIT_ANY
};

/* A capacity that was too small; kind 0: none. */
struct slc_short {
    int32_t kind; /* as sluice_fault.capacity */
    int32_t rank, had, needed;
};

/* Of a lane, on the device: what the last layout found, and the number of its last exchange. */
struct slc_found {
    uint32_t done; /* blocks of a layout that have ended */
    int32_t twice; /* a token has a slot twice */
    int32_t slow;  /* places are in the entries: a slot twice in a token, or a capacity to watch */
    int32_t needed, fullest; /* most tokens that should go to one peer, and which */
    int32_t rows;            /* that were needed here */
    int32_t cut;             /* what came was cut short by an abort */
    int32_t differs;         /* what came was another call's */
    int64_t number;
    struct slc_short own; /* of this rank's last dispatch */
};

enum { SLC_HEAD_MAGIC = 0x534C4431 }; /* "SLD1" */

/* In front of every message; all up to `form` is compared, by kernels, or (COUNT) by the host,
 * which also compares the epoch. */
struct slc_head {
    uint32_t magic;
    int32_t kind, layer, lane;
    int64_t number;
    uint64_t map;  /* hash of the layer's placement */
    uint64_t form; /* what else must be equal */
    struct slc_short shortage;
    int64_t epoch; /* of the placement; COUNT */
};

/* Pinned: written by kernels, read by the host without a call. */
struct slc_told {
    int64_t begun, ended; /* the last exchange that this rank came to, that is over */
    int32_t kind, layer;  /* of it */
    uint32_t faults;      /* how many there were */
    uint32_t taken;       /* written by the host: those it knows; the next is kept */
    int32_t stopped;      /* written by the host: aborted, heads mean nothing */
    int32_t fault_kind;   /* SLUICE_FAULT_* */
    int32_t fault_op, fault_layer;
    int64_t fault_number;
    struct slc_short shortage; /* of a MISMATCH the rank alone */
    const char *rows;          /* of counts that are shared: where heads come, on the device, */
    int64_t stride;            /* that far apart */
};

/* Counts of fixed dispatches and their combines, on the device. */
struct slc_moved {
    uint64_t overflows, dispatch_useful, dispatch_moved, combine_useful, combine_moved;
};

/* How an exchange is known to all ranks. */
struct slc_exchange {
    int32_t kind, layer, lane, op; /* op: SLUICE_OP_* */
    uint64_t form;
    int64_t epoch;
    const uint64_t *map; /* on the device: the layer's placement's hash */
};

struct slc_move {
    int32_t local, ranks; /* L, W */
    int32_t peers, own;
    uint32_t divide, divide_shift; /* id / L is id * divide >> divide_shift */
    int32_t columns;               /* C */
    int32_t keys, room;            /* W * L + W; keys of one pass, a multiple of 4 */
    int32_t key_stride;            /* keys, up to a multiple of 4 */
    int32_t fours;                 /* ids are int32 and come in aligned fours */
    int32_t block_shift;           /* a block of the layout has 1 << this tokens */
    int32_t rank;                  /* this one's id */
    const int32_t *living;         /* [peers] ids of the living */
    const int32_t *peer_of;        /* [W] -1: dead; NULL: all live */
    int64_t tokens;
    struct sl_ids in_ids, num_valid;
    int64_t valid_rows; /* where num_valid is absent */
    struct slc_floats in_weights;
    uint64_t *rejected;
    int32_t per_rank, limit, fixed, reserved; /* limit: SLC_LIMIT_* */
    int64_t capacity_pair, capacity_back;     /* INT32_MAX: none */
    int64_t most_back; /* fixed: rows a pair has room for on their way back */
    /* of the lane */
    struct slc_found *found;
    struct slc_told *told;
    struct slc_moved *moved;
    struct slc_exchange call;
    struct slc_mask *masks;    /* [tokens / 32][key_stride] */
    int32_t *bases;            /* [blocks][key_stride] entries of earlier blocks */
    int32_t *totals;           /* [key_stride] what is sent */
    struct slc_item *entries;  /* [tokens][C] at home */
    struct slc_item *received; /* [peers][received_stride][C] */
    int64_t received_stride;
    int32_t *start, *count;    /* [L + 1], [L] rows of each slot */
    int32_t *cursor;           /* [peers][L] first row of each source in each slot */
    int32_t *came_before;      /* [peers][L] rows of a source in lower slots */
    int32_t *went_before;      /* [W * L] entries of this rank in lower slots of the same rank */
    int32_t *landing;          /* [peers + 1] where rows that come back from each peer begin */
    int32_t *came, *came_rows; /* [peers] tokens and rows from each */
    int32_t *wanted; /* [W * L] where found->slow, totals without any capacity; NULL: nobody asks */
    int32_t *carried; /* this rank's counts for the step balance */
    /* rows */
    const int32_t *counts_in; /* [peers][counts_stride] rows of each slot, then tokens */
    int64_t counts_stride;
    int64_t row_align, slot_stride, row_capacity; /* as sl_layout_rows's */
    struct sl_ids slot_counts, slot_starts, row_slot;
    struct slc_floats row_weight;
    int64_t slots_given, weights_given; /* rows of these two */
    /* messages: `front` bytes, then records of one token or row each, the same for every peer */
    char *out, *in;
    int64_t out_stride, in_stride, record;
    int32_t front, slices; /* warps that share a row */
    int64_t first, most;   /* tokens or rows of each pair that go in this round */
    int32_t ends;          /* the last round of an exchange */
    int32_t token_bytes;   /* of all payloads */
    int32_t payload_count, multiply;
    int32_t multiply_type;               /* SL_F32 ... */
    int32_t place_of[SLC_MOST_PAYLOADS]; /* of each payload in a record */
    int32_t reserved_too;
    struct slc_bytes payloads[SLC_MOST_PAYLOADS], rows[SLC_MOST_PAYLOADS];
    /* combine */
    struct slc_bytes results, x, sums; /* expert outputs; x; what home adds up */
    struct slc_floats zero_weight;
    int64_t elements; /* of a row */
    int32_t type;     /* SL_F32 ... */
    int32_t weighs;   /* 0: the input had the weights */
    float scale;
    int32_t reserved_last;
};

/* Warps of a block, and the shared memory it may have without asking for more. */
enum { SLC_LAYOUT_WARPS = 8, SLC_MOVE_WARPS = 8 };

struct slc_term {
    const char *row; /* NULL: no term */
    float weight;
    int32_t dropped; /* NaN instead */
};

/* What a token adds up, in a warp's shared memory. */
struct slc_terms {
    struct slc_term term[SLC_MOST_COLUMNS];
};

#endif
