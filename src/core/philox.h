/* SPDX-License-Identifier: Apache-2.0
 * Philox4x32-10, a counter-based generator (Salmon et al., "Parallel random numbers: as easy as
 * 1, 2, 3", SC 2011). Key: seed; counter: what is drawn. Equal on every backend. */
#ifndef SL_PHILOX_H
#define SL_PHILOX_H

#include "sl_inline.h"

#include <stdint.h>

struct sl_philox {
    uint32_t word[4];
};

SL_INLINE struct sl_philox sl_philox(uint64_t key, uint64_t low, uint64_t high)
{
    uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
    struct sl_philox c = {
        {(uint32_t)low, (uint32_t)(low >> 32), (uint32_t)high, (uint32_t)(high >> 32)}};
    for (int round = 0; round < 10; round++) {
        uint64_t a = (uint64_t)0xD2511F53U * c.word[0];
        uint64_t b = (uint64_t)0xCD9E8D57U * c.word[2];
        struct sl_philox next = {{(uint32_t)(b >> 32) ^ c.word[1] ^ k0, (uint32_t)b,
                                  (uint32_t)(a >> 32) ^ c.word[3] ^ k1, (uint32_t)a}};
        c = next;
        k0 += 0x9E3779B9U;
        k1 += 0xBB67AE85U;
    }
    return c;
}

/* A number in [0, n) from 32 random bits; n < 2^16 keeps the bias below 2^-16. */
SL_INLINE uint32_t sl_below(uint32_t bits, uint32_t n)
{
    return (uint32_t)((uint64_t)bits * n >> 32);
}

#endif
