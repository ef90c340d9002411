/* SPDX-License-Identifier: Apache-2.0
 * FNV-1a, begun with SL_MIX: tells apart what ranks must have alike. */
#ifndef SL_HASH_H
#define SL_HASH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define SL_MIX 0xCBF29CE484222325U

static inline uint64_t sl_mix(uint64_t hash, const void *data, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        unsigned char byte;
        memcpy(&byte, (const char *)data + i, 1);
        hash = (hash ^ byte) * 0x100000001B3U;
    }
    return hash;
}

#endif
