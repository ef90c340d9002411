/* What tests of the plugin's table share: tensors over plain arrays, a router, a context. */
#ifndef CT_SLUICE_H
#define CT_SLUICE_H

#include "plugin.h"

/* A tensor with its shape; valid until the test ends. columns 0: a vector. */
const sluice_tensor *ct_tensor(void *data, sluice_dtype dtype, int64_t rows, int64_t columns);
/* The same with a stride between rows, in elements. */
const sluice_tensor *ct_strided(void *data, sluice_dtype dtype, int64_t rows, int64_t columns,
                                int64_t stride);

extern const sluice_dtype CT_F32, CT_F16, CT_BF16, CT_I32, CT_I64, CT_U8;

/* The table of the plugin linked into the test program. */
const sluice_api *ct_api(void);

/* DeepSeek-V3's router: 256 experts, 8 groups, top-8, bias, one shared expert. */
sluice_router ct_deepseek_v3(void);

/* A config of `layers` layers with this router, for one rank of `ranks`; everything it points at
 * lives until the test ends. */
sluice_config ct_config(const sluice_router *router, int32_t layers, int32_t rank, int32_t ranks);

/* Opens, or records the failure with its text and returns NULL. */
sluice_context *ct_open(const sluice_config *config);

/* last_error; lives until the test ends. */
const char *ct_error(const sluice_context *context);

/* Numbers in [-range, range) from a counter: equal for equal seeds. */
void ct_fill(float *data, int64_t count, float range, uint64_t seed);

#endif
