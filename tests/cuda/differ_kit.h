/* SPDX-License-Identifier: Apache-2.0
 * Two plugins, the CPU's and one on a device, and tensors that both have. */
#ifndef DIFFER_KIT_H
#define DIFFER_KIT_H

#include <stdbool.h>

#include "../../abi/ext/device.h"

enum { CPU = 0, THERE = 1 };

struct side {
    const sluice_api *api;
    const sluice_device_api *memory;
    sluice_device device;
    sluice_context *context;
};

extern struct side sides[2];

_Noreturn void stop(const char *what, const char *why);
void load(struct side *side, const char *path);

/* A tensor on both sides, with the same contents to begin with. */
struct pair {
    sluice_tensor t[2];
    int64_t shape[2], strides[2];
    size_t bytes;
    void *host;
};

struct pair *make(sluice_dtype type, int64_t rows, int64_t columns,
                  bool gap); /* columns 0: [rows] */
void push(const struct pair *pair);
bool same(const struct pair *pair);
void release(void); /* all pairs */

/* Draws, from `state`. */
extern uint64_t state;
uint64_t next(void);
int32_t below(int32_t n);
bool chance(int32_t percent);
float normal(void);

extern const sluice_dtype F32, F16, BF16, I32, I64, U8;
sluice_dtype any_float(void);
sluice_dtype any_id(void);

/* These push too. */
void fill_floats(struct pair *pair, float spread); /* with ties, NaN and infinities */
void fill_weights(struct pair *pair);
void fill_ids(struct pair *pair, int32_t least, int32_t most);

#endif
