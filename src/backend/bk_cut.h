/* SPDX-License-Identifier: Apache-2.0
 * One allocation cut into arrays of whole cache lines. */
#ifndef SL_BK_CUT_H
#define SL_BK_CUT_H

#include <stddef.h>
#include <stdint.h>

/* With base NULL it only adds up. */
struct sl_cut {
    char *base;
    size_t used;
};

static inline void *sl_piece(struct sl_cut *cut, int64_t count, size_t size)
{
    void *at = cut->base ? cut->base + cut->used : NULL;
    cut->used += ((size_t)count * size + 63) / 64 * 64;
    return at;
}

static inline int64_t sl_least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

#endif
