/* One good call of every operation of the table, and one argument of it spoiled. */
#ifndef ARGS_WORLD_H
#define ARGS_WORLD_H

#include <stdbool.h>

#include "abi/ext/load.h"
#include "abi/ext/route.h"
#include "abi/ext/stats.h"
#include "ct_sluice.h"

/* Layer 0 takes every input; layer 1 none but logits; layer 2 is on layer 1's bank and weighs its
 * input. One rank, so that dispatch and combine need no other. */
enum {
    AW_T = 5,
    AW_E = 12,
    AW_Z = 4,
    AW_K = 3,
    AW_F = 2,
    AW_C = AW_K + AW_F,
    AW_L = AW_E + AW_F,
    AW_H = 4,
    AW_ROWS = 32,
    AW_MOST = 8 /* tokens of an exact dispatch */
};

enum aw_op {
    AW_TOPK,
    AW_REMAP,
    AW_RECORD,
    AW_WEIGHTS,
    AW_COUNT,
    AW_SEND,
    AW_FIXED,
    AW_COMBINE,
    AW_ROUTE,
    AW_SLOTS, /* add_slots of sluice.load/1 */
    AW_OPS
};

enum aw_damage {
    AW_INT,      /* an int32 becomes value */
    AW_SIZE,     /* a size_t becomes value */
    AW_TAIL,     /* args are longer by 8 bytes, and one of those is not zero */
    AW_NO_ARGS,  /* args are NULL */
    AW_NULL,     /* a pointer becomes NULL */
    AW_GIVE,     /* a tensor where there must be none */
    AW_ID,       /* a scalar becomes value */
    AW_TWO_IDS,  /* a scalar becomes two */
    AW_ROW,      /* extent 0 becomes value */
    AW_COLUMN,   /* extent 1 becomes value */
    AW_DTYPE,    /* code * 1000 + bits */
    AW_LANES,    /* lanes becomes value */
    AW_NDIM,     /* ndim becomes value */
    AW_INNER,    /* the last dimension gets a stride of 2 */
    AW_BACKWARD, /* rows go backward */
    AW_DEVICE,   /* the device's type becomes value */
    AW_NO_DATA,
    AW_NO_SHAPE,
    AW_SHIFT /* the data begin at a byte that the element must not */
};

struct aw_row {
    enum aw_op op;
    int32_t layer;
    size_t at; /* in struct aw: what is spoiled */
    enum aw_damage damage;
    int64_t value;
    sluice_status status;
    const char *says; /* name, what it was, what it should be */
};

struct aw_in {
    float logits[AW_T * 16], bias[2 * 16], expert_scale[16], shared_logits[AW_T * AW_F];
    int32_t forced_ids[AW_T * AW_K], forced_row[AW_T], bias_row[AW_T];
    uint8_t row_valid[AW_T];
    int64_t num_valid, step, row_base;
    int32_t ids[AW_T * AW_K], dispatch_ids[AW_T * AW_C], slot_counts[AW_L];
    float weights[AW_T * AW_C], shared_weights[AW_T * AW_F], zero_weight[AW_T];
    float x[AW_T * AW_H], expert_rows[AW_ROWS * AW_H];
};

struct aw_out {
    int32_t ids[AW_T * AW_K], dispatch_ids[AW_T * AW_C], recorder_ids[AW_T * AW_K];
    float weights[AW_T * AW_K], shared_weights[AW_T * AW_F], zero_weight[AW_T];
    float dispatch_weights[AW_T * AW_C];
    float rows[AW_ROWS * AW_H], row_weight[AW_ROWS], out[AW_T * AW_H];
    int32_t slot_counts[AW_L], slot_starts[AW_L + 1], row_slot[AW_ROWS];
    int64_t row_count;
    sluice_handle handle; /* what a COUNT or FIXED would fill in */
    sluice_param params[2];
    char weights_data[AW_L * 8];
};

struct aw {
    sluice_context *context;
    union {
        size_t struct_size;
        sluice_topk_args topk;
        sluice_remap_args remap;
        sluice_record_args record;
        sluice_weights_args weights;
        sluice_dispatch_args dispatch;
        sluice_combine_args combine;
        sluice_route_args route;
        sluice_load_slots slots;
        unsigned char bytes[1024];
    } args;
    bool no_args;
    const sluice_tensor *payloads[1], *rows[1];
    sluice_param *params[2];
    sluice_handle counted, sent; /* lane 0 has counted, lane 1 has sent */
    struct aw_in in;
    struct aw_out out;
    /* the spoiled tensor */
    sluice_tensor bent;
    int64_t bent_shape[8], bent_strides[8], spare[16];
};

/* What a failed call must leave as it was. */
struct aw_state {
    struct aw_in in;
    struct aw_out out;
    int64_t counters[3][AW_E], logical[AW_E];
    sluice_stats stats;
    sluice_handle counted, sent;
};

/* Opens, and dispatches on both lanes; NULL after recording a failure. Close with aw_close. */
struct aw *aw_make(void);
void aw_close(struct aw *world);

/* Poisons the outputs and fills in the arguments of a good call. */
void aw_good(struct aw *world, enum aw_op op, int32_t layer);
void aw_spoil(struct aw *world, const struct aw_row *row);
sluice_status aw_call(struct aw *world, enum aw_op op);
void aw_look(struct aw *world, struct aw_state *state);

#endif
