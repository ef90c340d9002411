/* SPDX-License-Identifier: Apache-2.0
 * FNV-1a, begun with SL_MIX: tells apart what ranks must have alike. */
#ifndef SL_HASH_H
#define SL_HASH_H

#include <stddef.h>
#include <stdint.h>

#define SL_MIX 0xCBF29CE484222325U

static inline uint64_t sl_mix(uint64_t hash, const void *data, size_t bytes)
{
    const unsigned char *byte = (const unsigned char *)data;
    for (size_t i = 0; i < bytes; i++)
        hash = (hash ^ byte[i]) * 0x100000001B3U;
    return hash;
}

#endif
