/* SPDX-License-Identifier: Apache-2.0
 * A rank's trip through dispatch and combine, and the checks of what it got. */
#include <math.h>
#include <string.h>

#include "conform_move.h"

static struct cf_array *matrix(const struct mv_scene *scene, enum cf_type type, int64_t rows,
                               int64_t columns)
{
    return scene->gaps ? cf_strided(type, rows, columns, columns + 2)
                       : cf_array(type, rows, columns);
}

void mv_start(struct mv_trip *trip, const struct mv_scene *scene, sluice_context *context,
              int32_t rank, const struct mv_tokens *mine)
{
    int32_t columns = mv_columns(scene), count = mine->count;
    int32_t local = scene->slots + scene->shared;
    enum cf_type ids = scene->wide ? CF_I64 : CF_I32;
    *trip = (struct mv_trip){.scene = scene, .context = context, .rank = rank, .mine = mine};
    for (int32_t i = 0; i < (scene->payloads ? scene->payloads : 1); i++)
        trip->payloads[i] = mv_payload(scene, rank, i, count);
    trip->ids = matrix(scene, ids, count, columns);
    trip->weights = matrix(scene, CF_F32, count, columns);
    for (int32_t t = 0; t < count; t++)
        for (int32_t k = 0; k < columns; k++) {
            cf_put(trip->ids, t, k, (double)mine->slots[t][k]);
            cf_put(trip->weights, t, k, (double)mine->weights[t][k]);
        }
    if (scene->half)
        trip->valid = cf_scalar(mine->valid);
    trip->slot_counts = cf_array(ids, local, 0);
    trip->slot_starts = cf_array(ids, local + 1, 0);
    trip->zero = cf_array(CF_F32, count, 0);
    for (int32_t t = 0; t < count; t++)
        cf_put(trip->zero, t, 0, (double)mine->zero[t]);
    trip->out = matrix(scene, scene->type, count, mv_width(scene));
}

/* Room for what arrives, full of something else than zero. */
static void make_rows(struct mv_trip *trip)
{
    const struct mv_scene *scene = trip->scene;
    for (int32_t i = 0; i < MV_PAYLOADS && trip->payloads[i]; i++) {
        trip->rows[i] =
            matrix(scene, trip->payloads[i]->type, trip->row_count, trip->payloads[i]->columns);
        cf_fill_bytes(trip->rows[i], 0x3C);
    }
    trip->row_slot = cf_array(scene->wide ? CF_I64 : CF_I32, trip->row_count, 0);
    cf_fill_bytes(trip->row_slot, 0x3C);
    trip->row_weight = cf_array(CF_F32, trip->row_count, 0);
    trip->results = matrix(scene, scene->type, trip->row_count, mv_width(scene));
}

static sluice_status call(struct mv_trip *trip, int32_t phase)
{
    const sluice_tensor *payloads[MV_PAYLOADS], *rows[MV_PAYLOADS];
    int32_t count = 0;
    for (; count < MV_PAYLOADS && trip->payloads[count]; count++) {
        payloads[count] = &trip->payloads[count]->t;
        rows[count] = trip->rows[count] ? &trip->rows[count]->t : NULL;
    }
    sluice_dispatch_args args = {.struct_size = sizeof args,
                                 .layer = trip->layer,
                                 .phase = phase,
                                 .handle = &trip->handle,
                                 .lane = trip->lane,
                                 .dispatch_ids = &trip->ids->t,
                                 .num_valid = trip->valid ? &trip->valid->t : NULL};
    if (phase == SLUICE_DISPATCH_COUNT)
        args.row_count = &trip->row_count;
    if (phase != SLUICE_DISPATCH_COUNT) {
        args.payload_count = count;
        args.payloads = payloads;
        args.rows = rows;
        args.dispatch_weights = &trip->weights->t;
        args.multiply = trip->scene->multiply;
        args.row_slot = trip->scene->optional ? NULL : &trip->row_slot->t;
        args.row_weight = trip->scene->optional ? NULL : &trip->row_weight->t;
    }
    if (phase != SLUICE_DISPATCH_SEND) {
        args.slot_counts = &trip->slot_counts->t;
        args.slot_starts = &trip->slot_starts->t;
    }
    return cf_call_dispatch(trip->context, &args);
}

sluice_status mv_count(struct mv_trip *trip)
{
    return call(trip, SLUICE_DISPATCH_COUNT);
}

sluice_status mv_send(struct mv_trip *trip)
{
    make_rows(trip);
    return call(trip, SLUICE_DISPATCH_SEND);
}

sluice_status mv_dispatch(struct mv_trip *trip)
{
    if (trip->scene->fixed) {
        make_rows(trip);
        return call(trip, SLUICE_DISPATCH_FIXED);
    }
    sluice_status status = mv_count(trip);
    return status ? status : mv_send(trip);
}

sluice_status mv_combine(struct mv_trip *trip)
{
    const sluice_combine_args args = {.struct_size = sizeof args,
                                      .layer = trip->layer,
                                      .scale = trip->scene->scaled,
                                      .handle = &trip->handle,
                                      .rows = &trip->results->t,
                                      .zero_weight = trip->scene->zero ? &trip->zero->t : NULL,
                                      .x = trip->scene->zero ? &trip->payloads[0]->t : NULL,
                                      .out = &trip->out->t};
    return cf_call_combine(trip->context, &args);
}

void mv_check_layout(const struct mv_trip *trip, const struct mv_tokens *tokens)
{
    const struct mv_scene *scene = trip->scene;
    static _Thread_local struct mv_row rows[MV_ROWS];
    int32_t count = mv_expected(scene, trip->rank, tokens, rows);
    int32_t local = scene->slots + scene->shared, align = scene->align ? scene->align : 1;
    int64_t at = 0;
    for (int32_t s = 0; s < local; s++) {
        int32_t here = 0;
        for (int32_t i = 0; i < count; i++)
            here += rows[i].slot == s;
        if (scene->strided_layout)
            at = s *
                 (scene->capacity_slot ? scene->capacity_slot : (int64_t)scene->ranks * MV_TOKENS);
        CHECK_EQ(cf_id(trip->slot_counts, s, 0), here, "rows of slot %d of rank %d", s, trip->rank);
        CHECK_EQ(cf_id(trip->slot_starts, s, 0), at, "start of slot %d of rank %d", s, trip->rank);
        at += here;
        at = (at + align - 1) / align * align;
    }
    if (!scene->fixed)
        CHECK_EQ(cf_id(trip->slot_starts, local, 0), trip->row_count, "the end of the last slot");
}

static void check_row(const struct mv_trip *trip, int64_t at, const struct mv_row *row)
{
    const struct mv_scene *scene = trip->scene;
    for (int32_t i = 0; i < MV_PAYLOADS && trip->rows[i]; i++)
        for (int64_t h = 0; h < trip->rows[i]->columns; h++) {
            double x = i == 0 ? row->source * 17 + row->token + (double)h * 0.25
                              : row->source * 20 + row->token + (double)h * 3;
            if (i == 0 && scene->type != CF_F32)
                x = scene->type == CF_F16
                        ? (double)cf_half_to_float(cf_float_to_half((float)x))
                        : (double)cf_bfloat_to_float(cf_float_to_bfloat((float)x));
            if (i == 0 && scene->multiply) {
                float product = (float)x * row->weight;
                x = scene->type == CF_F16 ? (double)cf_half_to_float(cf_float_to_half(product))
                    : scene->type == CF_BF16
                        ? (double)cf_bfloat_to_float(cf_float_to_bfloat(product))
                        : (double)product;
            }
            double got = cf_get(trip->rows[i], at, h);
            CHECK(got == x,
                  "payload %d, row %d of rank %d (slot %d, from rank %d token %d), element %d: "
                  "got %g, want %g",
                  i, (int)at, trip->rank, row->slot, row->source, row->token, (int)h, got, x);
        }
    if (scene->optional)
        return;
    CHECK_EQ(cf_id(trip->row_slot, at, 0), row->slot, "row_slot of row %d", (int)at);
    CHECK((float)cf_get(trip->row_weight, at, 0) == row->weight, "row_weight of row %d", (int)at);
}

static void check_padding(const struct mv_trip *trip, int64_t at)
{
    for (int32_t i = 0; i < MV_PAYLOADS && trip->rows[i]; i++)
        for (int64_t h = 0; h < trip->rows[i]->columns; h++)
            CHECK(cf_get(trip->rows[i], at, h) == 0, "padding row %d of payload %d is not zero",
                  (int)at, i);
    if (!trip->scene->optional)
        CHECK_EQ(cf_id(trip->row_slot, at, 0), -1, "row_slot of padding row %d", (int)at);
}

/* Padding is what lies between the slots; strided rows beyond a slot's count are nobody's. */
void mv_check_rows(const struct mv_trip *trip, const struct mv_tokens *tokens)
{
    const struct mv_scene *scene = trip->scene;
    static _Thread_local struct mv_row rows[MV_ROWS];
    int32_t count = mv_expected(scene, trip->rank, tokens, rows), i = 0;
    int32_t local = scene->slots + scene->shared;
    for (int32_t s = 0; s < local; s++) {
        int64_t at = cf_id(trip->slot_starts, s, 0), end = cf_id(trip->slot_starts, s + 1, 0);
        CHECK(at >= 0 && end <= trip->row_count, "slot %d lies outside the rows", s);
        for (; i < count && rows[i].slot == s; i++)
            check_row(trip, at++, &rows[i]);
        for (; !scene->strided_layout && at < end; at++)
            check_padding(trip, at);
    }
}

void mv_check_out(const struct mv_trip *trip, const struct mv_tokens *tokens)
{
    const struct mv_scene *scene = trip->scene;
    const struct mv_tokens *mine = &tokens[trip->rank];
    for (int32_t t = 0; t < mine->count; t++)
        for (int32_t h = 0; h < mv_width(scene); h++) {
            float want = mv_expected_out(scene, trip->rank, mine, t, h);
            float got = (float)cf_get(trip->out, t, h);
            CHECK(got == want, "token %d of rank %d, element %d: got %.9g, want %.9g", t,
                  trip->rank, h, (double)got, (double)want);
        }
}

void mv_check_wire(sluice_context *context, const struct sluice_needs *needs, uint64_t trips)
{
    sluice_stats stats = {.struct_size = sizeof stats};
    EXPECT_OK(context, cf_stats()->read(context, &stats));
    CHECK((int64_t)stats.dispatch_moved <= (int64_t)trips * needs->dispatch_wire_bytes,
          "%llu dispatches moved %llu bytes, needs said at most %lld each",
          (unsigned long long)trips, (unsigned long long)stats.dispatch_moved,
          (long long)needs->dispatch_wire_bytes);
    CHECK((int64_t)stats.combine_moved <= (int64_t)trips * needs->combine_wire_bytes,
          "%llu combines moved %llu bytes, needs said at most %lld each", (unsigned long long)trips,
          (unsigned long long)stats.combine_moved, (long long)needs->combine_wire_bytes);
}
