/* SPDX-License-Identifier: Apache-2.0 */
/* Takes PTX out of a fat binary, as nvcc 13.0 writes it: plain, or compressed by LZ4. */
#include <stdlib.h>
#include <string.h>

#include "driver.h"

#define WRAPPER_MAGIC 0x466243b1U
#define CONTAINER_MAGIC 0xba55ed50U
#define KIND_PTX 1
#define FLAG_LZ4 0x2000U
#define FLAG_ZSTD 0x8000U
#define FLAG_ARCH 0x100000U
#define FLAG_FAMILY 0x200000U

static uint64_t field(const uint8_t *at, size_t bytes)
{
    uint64_t value = 0;
    memcpy(&value, at, bytes);
    return value;
}

/* An LZ4 block of `bytes` into `room`; false when it is none. */
static bool lz4(const uint8_t *in, size_t bytes, uint8_t *out, size_t room)
{
    const uint8_t *end = in + bytes;
    size_t n = 0;
    while (in < end) {
        unsigned token = *in++;
        size_t length = token >> 4;
        for (unsigned more = 255; length >= 15 && more == 255 && in < end;)
            length += more = *in++;
        if (length > (size_t)(end - in) || length > room - n)
            return false;
        memcpy(out + n, in, length);
        n += length;
        in += length;
        if (in == end)
            break;
        if (end - in < 2)
            return false;
        size_t back = (size_t)field(in, 2);
        in += 2;
        length = token & 15;
        for (unsigned more = 255; length >= 15 && more == 255 && in < end;)
            length += more = *in++;
        length += 4;
        if (back == 0 || back > n || length > room - n)
            return false;
        for (; length > 0; length--, n++)
            out[n] = out[n - back];
    }
    return n == room;
}

static char *text_of(const uint8_t *entry, int *error)
{
    size_t header = (size_t)field(entry + 4, 4), payload = (size_t)field(entry + 8, 8);
    size_t packed = (size_t)field(entry + 16, 4), whole = (size_t)field(entry + 56, 8);
    uint64_t flags = field(entry + 40, 8);
    size_t bytes = packed ? whole : payload;
    char *text = calloc(bytes + 1, 1);
    *error = DRV_OUT_OF_MEMORY;
    if (!text)
        return NULL;
    if (!packed) {
        memcpy(text, entry + header, bytes);
        return text;
    }
    *error = DRV_INVALID_IMAGE;
    if ((flags & FLAG_LZ4) && lz4(entry + header, packed, (uint8_t *)text, bytes))
        return text;
    standin_say(flags & FLAG_ZSTD
                    ? "the fat binary is compressed by zstd: nvcc --compress-mode=none or speed"
                    : "the fat binary's compressed PTX is damaged");
    free(text);
    return NULL;
}

/* Does an entry's PTX run on sm? Those for one architecture or family run on it alone. */
static bool runs_on(uint64_t entry_sm, uint64_t flags, int sm)
{
    if (flags & FLAG_ARCH)
        return entry_sm == (uint64_t)sm;
    if (flags & FLAG_FAMILY)
        return entry_sm / 10 == (uint64_t)sm / 10 && entry_sm <= (uint64_t)sm;
    return entry_sm <= (uint64_t)sm;
}

char *fatbin_ptx(const void *image, int sm, int *error)
{
    const uint8_t *at = image;
    uint64_t best_sm = 0;
    const uint8_t *best = NULL;
    if (field(at, 4) == WRAPPER_MAGIC)
        memcpy(&at, at + 8, sizeof at);
    if (field(at, 4) != CONTAINER_MAGIC) {
        const char *text = image;
        size_t blank = strspn(text, " \t\r\n");
        *error = DRV_INVALID_IMAGE;
        if (strncmp(text + blank, "//", 2) != 0 && strncmp(text + blank, ".version", 8) != 0)
            return NULL;
        char *copy = malloc(strlen(text) + 1);
        return copy ? strcpy(copy, text) : NULL;
    }
    const uint8_t *end = at + 16 + field(at + 8, 8);
    for (at += field(at + 6, 2); at + 64 <= end; at += field(at + 4, 4) + field(at + 8, 8)) {
        uint64_t entry_sm = field(at + 28, 4);
        if (field(at, 2) == KIND_PTX && runs_on(entry_sm, field(at + 40, 8), sm) &&
            entry_sm > best_sm) {
            best = at;
            best_sm = entry_sm;
        }
    }
    *error = DRV_NO_BINARY;
    return best ? text_of(best, error) : NULL;
}
