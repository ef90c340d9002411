/* A context and calls on it whose arguments are damaged by the input. A pointer to data is NULL or
 * valid for the shape that is claimed: a plugin cannot know better. */
#ifndef FUZZ_ARGS_WORLD_H
#define FUZZ_ARGS_WORLD_H

#include "fuzz_kit.h"

/* Layer 0 has zero experts, bias rows and gates; layer 1 is plain; layer 2 uses the bank of 1. */
enum {
    FA_E = 12,
    FA_Z = 4,
    FA_K = 3,
    FA_F = 2,
    FA_C = FA_K + FA_F,
    FA_N = FA_E,
    FA_L = FA_N + FA_F
};
enum { FA_H = 4, FA_TOKENS = 8, FA_LAYERS = 3 };

struct fa_world {
    const sluice_api *api;
    sluice_context *context;
    int64_t fixed_rows;
    sluice_handle counted, sent;
    int64_t tokens; /* of the last COUNT or FIXED */
    struct fz_bytes *in;
    struct fz_heap heap; /* of this call */
    int64_t number;      /* host memory that a call may write */
};

void fa_open(struct fa_world *world, struct fz_bytes *in);

/* A tensor as it should be, then damaged as the input says; may be NULL. */
const sluice_tensor *fa_tensor(struct fa_world *world, sluice_dtype dtype, int64_t rows,
                               int64_t columns, bool out);
/* The same, more often than not absent. */
const sluice_tensor *fa_maybe(struct fa_world *world, sluice_dtype dtype, int64_t rows,
                              int64_t columns, bool out);
sluice_dtype fa_ids(struct fa_world *world);
int32_t fa_layer(struct fa_world *world);

/* A copy of a struct in a block of the size it claims, which may not be its own; free() it. NULL
 * where the input wants none. */
void *fa_args(struct fa_world *world, const void *args, size_t size);

/* Calls of the core and its extensions; each returns the status. */
sluice_status fa_core_call(struct fa_world *world);
sluice_status fa_exchange_call(struct fa_world *world);
sluice_status fa_extension_call(struct fa_world *world);

/* Opens a damaged config, and closes it where it is accepted. */
void fa_try_open(struct fa_world *world);

#endif
