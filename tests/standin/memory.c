/* SPDX-License-Identifier: Apache-2.0 */
#include "memory.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* Far from where the system puts mappings; each allocation ends before a gap. */
#define FIRST_ADDRESS 0x0000100000000000ULL
#define GAP 0x10000ULL
#define ALIGN 512ULL

static pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;
static struct mem_alloc **table; /* by base */
static size_t count, room;
static uint64_t next_address = FIRST_ADDRESS;
static uint64_t used[64];

/* The first entry above the address. */
static size_t above(uint64_t address)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (table[mid]->base > address)
            high = mid;
        else
            low = mid + 1;
    }
    return low;
}

static bool insert(struct mem_alloc *alloc)
{
    if (count == room) {
        size_t more = room ? 2 * room : 256;
        struct mem_alloc **bigger = realloc(table, more * sizeof(struct mem_alloc *));
        if (!bigger)
            return false;
        table = bigger;
        room = more;
    }
    size_t at = above(alloc->base);
    memmove(table + at + 1, table + at, (count - at) * sizeof(struct mem_alloc *));
    table[at] = alloc;
    count++;
    return true;
}

uint64_t mem_alloc(int device, uint64_t bytes)
{
    struct mem_alloc *alloc = calloc(1, sizeof *alloc);
    uint8_t *data = malloc(bytes ? bytes : 1), *init = calloc(bytes ? bytes : 1, 1);
    if (!alloc || !data || !init) {
        free(alloc);
        free(data);
        free(init);
        return 0;
    }
    memset(data, MEM_POISON_NEW, bytes);
    (void)pthread_rwlock_wrlock(&lock);
    *alloc =
        (struct mem_alloc){next_address, bytes, data, init, device, true, true, 0, &alloc->devices};
    next_address += (bytes + GAP + ALIGN - 1) / ALIGN * ALIGN;
    bool good = insert(alloc);
    used[device] += good ? bytes : 0;
    (void)pthread_rwlock_unlock(&lock);
    return good ? alloc->base : 0;
}

bool mem_add_host(void *data, uint64_t bytes, bool owned)
{
    struct mem_alloc *alloc = calloc(1, sizeof *alloc);
    if (!alloc)
        return false;
    (void)pthread_rwlock_wrlock(&lock);
    *alloc = (struct mem_alloc){
        (uint64_t)(uintptr_t)data, bytes, data, NULL, -1, true, owned, 0, &alloc->devices};
    bool good = insert(alloc);
    (void)pthread_rwlock_unlock(&lock);
    return good;
}

bool mem_free(uint64_t base)
{
    (void)pthread_rwlock_wrlock(&lock);
    size_t at = above(base);
    struct mem_alloc *alloc = at > 0 ? table[at - 1] : NULL;
    bool good = alloc && alloc->base == base && alloc->live;
    if (good) {
        alloc->live = false;
        if (alloc->device >= 0) {
            used[alloc->device] -= alloc->bytes;
            memset(alloc->data, MEM_POISON_FREED, alloc->bytes);
        }
        if (alloc->owned)
            free(alloc->data);
        free(alloc->init);
        alloc->data = alloc->init = NULL;
        /* The system may give the host's memory to anybody: it is not ours to watch any more. The
         * record itself stays, as someone may be reading it. */
        if (alloc->device < 0) {
            memmove(table + at - 1, table + at, (count - at) * sizeof(struct mem_alloc *));
            count--;
        }
    }
    (void)pthread_rwlock_unlock(&lock);
    return good;
}

const struct mem_alloc *mem_before(uint64_t address)
{
    (void)pthread_rwlock_rdlock(&lock);
    size_t at = above(address);
    const struct mem_alloc *alloc = at > 0 ? table[at - 1] : NULL;
    (void)pthread_rwlock_unlock(&lock);
    return alloc;
}

const struct mem_alloc *mem_find(uint64_t address)
{
    const struct mem_alloc *alloc = mem_before(address);
    return alloc && address - alloc->base < alloc->bytes ? alloc : NULL;
}

uint8_t *mem_range(uint64_t address, uint64_t bytes, uint8_t **init)
{
    const struct mem_alloc *alloc = mem_find(address);
    if (!alloc || !alloc->live || bytes > alloc->bytes - (address - alloc->base))
        return NULL;
    if (init)
        *init = alloc->init ? alloc->init + (address - alloc->base) : NULL;
    return alloc->data + (address - alloc->base);
}

uint64_t mem_used(int device)
{
    (void)pthread_rwlock_rdlock(&lock);
    uint64_t bytes = used[device];
    (void)pthread_rwlock_unlock(&lock);
    return bytes;
}
