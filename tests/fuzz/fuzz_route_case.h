/* A layer with its config and inputs, made from bytes, and what one code path gives for it. */
#ifndef FUZZ_ROUTE_CASE_H
#define FUZZ_ROUTE_CASE_H

#include "fuzz_kit.h"

struct fz_case {
    sluice_router router;
    sluice_layer layer;
    const sluice_layer *layers[1];
    sluice_host host;
    sluice_comm comm;
    int32_t node[16];
    sluice_config config;
    int32_t columns, shared, ranks, slots, physical; /* E + Z, F as slots, W, N, P */
    int64_t tokens, valid;
    struct fz_heap heap; /* inputs; NULL where a call gives none */
    struct fz_tensor *logits, *bias, *bias_row, *expert_scale, *shared_logits, *forced_ids,
        *forced_row, *row_valid, *num_valid, *step, *row_base;
    sluice_dtype id_type;
    int32_t gap; /* elements between rows of outputs */
    int32_t skip_record;
};

/* Outputs of topk, remap and record, one after the other or in one; zero: zero_weight_here. */
struct fz_out {
    struct fz_heap heap;
    struct fz_tensor *ids, *weights, *shared_weights, *zero_weight, *zero, *dispatch_ids,
        *dispatch_weights, *recorder_ids;
    int64_t *counts; /* [P] */
};

/* The descriptor and config. */
void fz_case_config(struct fz_case *c, struct fz_bytes *in);
/* The inputs of a call, for a descriptor that was accepted; false where they would be huge. */
bool fz_case_inputs(struct fz_case *c, struct fz_bytes *in);

bool fz_row_live(const struct fz_case *c, int64_t t);

/* What must hold of any result. */
void fz_check_out(const struct fz_case *c, const struct fz_out *out);

#endif
