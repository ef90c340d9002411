/* SPDX-License-Identifier: Apache-2.0
 * Moving tokens: scenes that every rank draws alike, what each rank must receive, and a whole trip
 * there and back. */
#ifndef CONFORM_MOVE_H
#define CONFORM_MOVE_H

#include "conform_reference.h"

enum { MV_RANKS = 8, MV_TOKENS = 64, MV_COLUMNS = 12, MV_ROWS = 8192, MV_PAYLOADS = 3 };

struct mv_scene {
    int32_t ranks, slots, shared, top_k; /* N F K; E = N * ranks */
    int32_t tokens;                      /* of rank 0; others have a few less or more */
    int32_t width;                       /* H; default 5 */
    enum cf_type type;                   /* of payload 0 and of what comes back */
    int32_t payloads;                    /* default 1; the second is bytes, the third int64 */
    int32_t align;                       /* row_align */
    int32_t order;                       /* combine_order */
    bool fixed, strided_layout;
    bool gaps; /* tensors with a row stride */
    bool wide; /* int64 ids */
    bool multiply, on_input, zero, scaled;
    bool half;     /* num_valid is half of the tokens */
    bool outside;  /* some ids are no slots */
    bool even;     /* every rank has `tokens` */
    bool optional; /* slot_counts, slot_starts, row_slot, row_weight are left out */
    int64_t capacity_pair, capacity_rows, capacity_slot, capacity_back;
    uint64_t seed;
};

/* What one rank sends. */
struct mv_tokens {
    int32_t count, valid;
    int64_t slots[MV_TOKENS][MV_COLUMNS]; /* -1: nothing */
    float weights[MV_TOKENS][MV_COLUMNS];
    float zero[MV_TOKENS];
};

void mv_draw(const struct mv_scene *scene, int32_t rank, struct mv_tokens *tokens);
int32_t mv_columns(const struct mv_scene *scene);
int32_t mv_width(const struct mv_scene *scene);

/* Payload `index` of a rank's tokens; the same on every rank. */
struct cf_array *mv_payload(const struct mv_scene *scene, int32_t rank, int32_t index,
                            int32_t count);

/* One row that a rank must receive. */
struct mv_row {
    int32_t slot, source, token, column;
    float weight;
};

/* All rows of `rank` in order, without padding; returns how many. tokens: [ranks]. */
int32_t mv_expected(const struct mv_scene *scene, int32_t rank, const struct mv_tokens *tokens,
                    struct mv_row *rows);

void mv_setup(const struct mv_scene *scene, const sluice_comm *comm, struct cf_setup *setup);

/* One rank's trip: everything from its tokens to its outputs. */
struct mv_trip {
    const struct mv_scene *scene;
    sluice_context *context;
    int32_t rank, layer, lane;
    const struct mv_tokens *mine;
    struct cf_array *payloads[MV_PAYLOADS], *ids, *weights, *valid;
    struct cf_array *rows[MV_PAYLOADS], *slot_counts, *slot_starts, *row_slot, *row_weight;
    struct cf_array *results, *zero, *out;
    int64_t row_count; /* capacity of rows in fixed mode */
    sluice_handle handle;
};

void mv_start(struct mv_trip *trip, const struct mv_scene *scene, sluice_context *context,
              int32_t rank, const struct mv_tokens *mine);
/* Both calls in exact mode, the one in fixed mode; results holds expert outputs after it. */
sluice_status mv_count(struct mv_trip *trip);
sluice_status mv_send(struct mv_trip *trip);
sluice_status mv_dispatch(struct mv_trip *trip);
/* Expert outputs from what arrived: each slot's own function of the row. */
void mv_compute(struct mv_trip *trip, const struct mv_tokens *tokens);
sluice_status mv_combine(struct mv_trip *trip);

/* Row, in `rows` of a trip, of an expected row. Also checks counts and starts. */
void mv_check_layout(const struct mv_trip *trip, const struct mv_tokens *tokens);
void mv_check_rows(const struct mv_trip *trip, const struct mv_tokens *tokens);
void mv_check_out(const struct mv_trip *trip, const struct mv_tokens *tokens);
/* After that many trips: no more bytes than `needs` of open said. */
void mv_check_wire(sluice_context *context, const struct sluice_needs *needs, uint64_t trips);
/* What token t must come back as, column h. */
float mv_expected_out(const struct mv_scene *scene, int32_t rank, const struct mv_tokens *mine,
                      int32_t t, int32_t h);

#endif
