/* SPDX-License-Identifier: Apache-2.0
 * What the hosts in C share and an engine has of its own: tensors, a toy model, messages. */
#ifndef HOST_KIT_H
#define HOST_KIT_H

#include <stdbool.h>

#include "../../plugin.h"

/* Opens the plugin at argv[1]; ends the program with a message where it cannot. */
const sluice_api *kit_plugin(int argc, char **argv);

/* The table of an extension; ends the program where the plugin has none. */
const void *kit_extension(const sluice_api *api, const char *id);

struct kit_tensor {
    sluice_tensor tensor;
    int64_t shape[2];
};

/* A dense tensor [rows, columns] over `data`, [rows] where columns is 0. Returns &it->tensor. */
const sluice_tensor *kit_f32(struct kit_tensor *it, void *data, int64_t rows, int64_t columns);
const sluice_tensor *kit_i32(struct kit_tensor *it, void *data, int64_t rows, int64_t columns);

/* Memory of zeros; ends the program when there is none. */
void *kit_zeros(size_t count, size_t size);

/* A number in [-1, 1), equal for equal seeds. */
float kit_noise(uint64_t seed, uint64_t index);

/* The toy model's experts: y[h] = w[h] * x[h]. Shared expert j is expert -2 - j, as in
 * sluice.placement/1. This is the checkpoint: every weight by logical id. */
float kit_weight(int32_t layer, int32_t expert, int32_t version, int32_t h);

/* What the layer must give for one row, computed without any expert parallelism: columns ascending,
 * one fused multiply-add each, shared experts last with weight 1. */
void kit_dense(float *out, const float *x, int32_t hidden, const int32_t *ids, const float *weights,
               int32_t top_k, int32_t shared, int32_t layer, int32_t version);

/* Counts and prints what did not hold; any thread. Returns `held`. */
bool kit_check(bool held, const char *what, int32_t rank);
/* The same for a call that must return `want`; prints last_error. */
bool kit_status(const sluice_api *api, const sluice_context *context, sluice_status status,
                sluice_status want, const char *what);

/* Prints "NAME: ok, N checks" or how many failed; what main returns. */
int kit_verdict(const char *name);

#endif
