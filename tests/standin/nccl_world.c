/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE 1 /* syscall */
#include "nccl_world.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static pthread_mutex_t table_lock = PTHREAD_MUTEX_INITIALIZER;
static struct world *table; /* those that this process has mapped */

static size_t rounded(size_t bytes)
{
    return (bytes + 4095) / 4096 * 4096;
}

static size_t lane_count(int32_t nranks)
{
    return (size_t)nranks * (size_t)nranks * LANE_CLASSES;
}

/* Pages that no transfer touches take no memory. */
static void lay_out(struct world *world)
{
    size_t seats = rounded(sizeof(struct world_head));
    size_t lanes = seats + rounded((size_t)world->nranks * sizeof(struct seat));
    size_t buffers = lanes + rounded(lane_count(world->nranks) * sizeof(struct lane));
    uint8_t *base = (uint8_t *)world->head;
    world->chunk = world->nranks <= 8 ? 16384 : 4096;
    world->bytes = buffers + lane_count(world->nranks) * 2 * world->chunk;
    if (base) {
        world->seats = (void *)(base + seats);
        world->lanes = (void *)(base + lanes);
        world->buffers = base + buffers;
    }
}

static void pause_ms(int ms)
{
    struct timespec t = {ms / 1000, ms % 1000 * 1000000L};
    (void)nanosleep(&t, NULL);
}

static void begin(struct world *world)
{
    pthread_mutexattr_t how;
    (void)pthread_mutexattr_init(&how);
    (void)pthread_mutexattr_setpshared(&how, PTHREAD_PROCESS_SHARED);
    (void)pthread_mutexattr_setrobust(&how, PTHREAD_MUTEX_ROBUST);
    (void)pthread_mutex_init(&world->head->lock, &how);
    (void)pthread_mutexattr_destroy(&how);
    world->head->nranks = world->nranks;
    __atomic_store_n(&world->head->ready, 1, __ATOMIC_RELEASE);
}

/* The first rank makes it; the others wait, for a second at most, until it is whole. */
static bool map(struct world *world)
{
    int fd = shm_open(world->name, O_RDWR | O_CREAT | O_EXCL, 0600);
    bool first = fd >= 0;
    struct stat state = {0};
    if (first && ftruncate(fd, (off_t)world->bytes) != 0) {
        (void)close(fd);
        (void)shm_unlink(world->name);
        return false;
    }
    if (!first)
        fd = shm_open(world->name, O_RDWR, 0600);
    for (int i = 0; fd >= 0 && fstat(fd, &state) == 0 && state.st_size == 0 && i < 1000; i++)
        pause_ms(1);
    if (fd < 0 || (size_t)state.st_size < sizeof *world->head)
        return false;
    size_t bytes = (size_t)state.st_size;
    void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    (void)close(fd);
    if (at == MAP_FAILED)
        return false;
    world->head = at;
    if (first)
        begin(world);
    for (int i = 0; !__atomic_load_n(&world->head->ready, __ATOMIC_ACQUIRE) && i < 1000; i++)
        pause_ms(1);
    world->nranks = world->head->nranks;
    lay_out(world);
    return world->nranks > 0 && world->bytes == bytes;
}

static struct world *make(const char *name, int32_t nranks)
{
    struct world *world = calloc(1, sizeof *world);
    if (!world)
        return NULL;
    (void)snprintf(world->name, sizeof world->name, "%s", name);
    world->nranks = nranks;
    lay_out(world);
    if (!map(world)) {
        free(world);
        return NULL;
    }
    return world;
}

struct world *world_open(const char *name, int32_t nranks)
{
    (void)pthread_mutex_lock(&table_lock);
    struct world *world = table;
    while (world && strcmp(world->name, name) != 0)
        world = world->next;
    if (!world) {
        world = make(name, nranks);
        if (world) {
            world->next = table;
            table = world;
        }
    }
    if (world)
        world->refs++;
    (void)pthread_mutex_unlock(&table_lock);
    return world;
}

void world_close(struct world *world)
{
    (void)pthread_mutex_lock(&table_lock);
    if (--world->refs == 0) {
        struct world **at = &table;
        while (*at != world)
            at = &(*at)->next;
        *at = world->next;
        if (world->head->taken < world->nranks)
            world_forget_name(world);
        (void)munmap(world->head, world->bytes);
        free(world);
    }
    (void)pthread_mutex_unlock(&table_lock);
}

void world_forget_name(const struct world *world)
{
    (void)shm_unlink(world->name);
}

void world_lock(struct world *world)
{
    if (pthread_mutex_lock(&world->head->lock) == EOWNERDEAD)
        (void)pthread_mutex_consistent(&world->head->lock);
}

void world_unlock(struct world *world)
{
    (void)pthread_mutex_unlock(&world->head->lock);
}

void world_wake(struct world *world, int32_t rank)
{
    uint32_t *wake = &world->seats[rank].wake;
    (void)__atomic_add_fetch(wake, 1, __ATOMIC_SEQ_CST);
    (void)syscall(SYS_futex, wake, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
}

void world_wake_all(struct world *world)
{
    for (int32_t r = 0; r < world->nranks; r++)
        world_wake(world, r);
}

bool world_wait(struct world *world, int32_t rank, uint32_t seen, int ms)
{
    struct timespec limit = {ms / 1000, ms % 1000 * 1000000L};
    long rc = syscall(SYS_futex, &world->seats[rank].wake, FUTEX_WAIT, seen, &limit, NULL, 0);
    return rc == 0 || errno != ETIMEDOUT;
}

struct lane *world_lane(struct world *world, int32_t from, int32_t to, enum lane_class class)
{
    size_t pair = (size_t)from * (size_t)world->nranks + (size_t)to;
    return &world->lanes[pair * LANE_CLASSES + (size_t) class];
}

uint8_t *world_buffer(struct world *world, const struct lane *lane)
{
    return world->buffers + (size_t)(lane - world->lanes) * 2 * world->chunk;
}

/* One that ended and was not waited for yet counts as gone. */
bool world_alive(const struct world *world, int32_t rank)
{
    char path[64], text[512];
    (void)snprintf(path, sizeof path, "/proc/%d/stat", world->seats[rank].pid);
    FILE *file = fopen(path, "r");
    if (!file)
        return false;
    size_t got = fread(text, 1, sizeof text - 1, file);
    (void)fclose(file);
    text[got] = '\0';
    const char *end = strrchr(text, ')');
    return end && end[1] == ' ' && end[2] != 'Z' && end[2] != 'X';
}
