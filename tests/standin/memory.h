/* SPDX-License-Identifier: Apache-2.0 */
/* Device memory: allocations at addresses that no host pointer has, poisoned at birth and death,
 * with a byte for each byte that says whether it was ever written. */
#ifndef STANDIN_MEMORY_H
#define STANDIN_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mem_alloc {
    uint64_t base, bytes;
    uint8_t *data;
    uint8_t *init; /* NULL: all of it counts as written (host memory) */
    int device;    /* -1: the host */
    bool live, owned;
    uint64_t devices; /* bits: those that did strong accesses */
    uint64_t *strong; /* the same, for whoever holds a const record */
};

#define MEM_POISON_NEW 0xA7
#define MEM_POISON_FREED 0xDB

/* 0 without memory. Addresses are never used twice. */
uint64_t mem_alloc(int device, uint64_t bytes);
/* Host memory that a device may use at its own address; `owned`: freed with it. */
bool mem_add_host(void *data, uint64_t bytes, bool owned);
/* False when it is not the start of a living allocation. */
bool mem_free(uint64_t base);

/* The allocation, living or freed, that holds the address, else NULL. The record stays valid. */
const struct mem_alloc *mem_find(uint64_t address);

/* The last allocation that begins at or before the address; NULL without. */
const struct mem_alloc *mem_before(uint64_t address);

/* Bytes at an address, all in one living allocation; NULL otherwise. *init likewise, or NULL. */
uint8_t *mem_range(uint64_t address, uint64_t bytes, uint8_t **init);

uint64_t mem_used(int device);

#endif
