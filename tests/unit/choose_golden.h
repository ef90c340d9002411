/* Golden cases of routing as calls. */
#ifndef CHOOSE_GOLDEN_H
#define CHOOSE_GOLDEN_H

#include "choose_reference.h"
#include "ct_json.h"
#include "ct_npy.h"

/* Descriptor, logits and bias of a case whose index entry names them: families topk, select and
 * differs. False and a failure where it cannot be read. */
bool golden_call(struct choose_call *call, const char *name);

/* Logits of a case whose descriptor is given. */
bool golden_logits(struct choose_call *call, const char *name);
bool golden_bias(struct choose_call *call, const char *name, const char *const *files,
                 int32_t rows);

/* A peer's ids and weights, [T, columns]. */
struct golden_result {
    const int32_t *ids;
    const float *weights;
    int32_t rows, columns;
};
bool golden_result(struct golden_result *result, const char *name, const char *ids,
                   const char *weights);

/* How a peer's columns are compared with ours. */
struct golden_match {
    bool unordered;   /* as (id, weight) pairs */
    double tolerance; /* of weights, relative */
    float shared;     /* what columns beyond K hold: a shared expert's weight */
};

/* What did not agree; of columns beyond K that hold a shared expert, how many there were. */
struct golden_count {
    int32_t ids, weights, rows;
    int32_t shared_columns;
};
struct golden_count golden_compare(const struct choose_call *call,
                                   const struct golden_result *result,
                                   const struct golden_match *match);

#endif
