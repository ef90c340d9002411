/* SPDX-License-Identifier: Apache-2.0
 * A life of a world of ranks on the stand-ins: three serve, one is lost, two go on, the lost one
 * comes back and a reserved one joins, all are renewed, and close. Ranks are threads. After each
 * verdict every token comes back from those who live; at the end nobody holds anything. Before it,
 * fills that are slow: what is opened is used at once, on a stream of its own.
 *     cuda_joins DEVICE.so */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../src/comm/comm_threads.h"
#include "trip_kit.h"

static const int64_t TIMEOUT_NS = 2000000000;
/* Of a call that waits for a lost rank, on a busy machine. */
static const double LONGEST = 20;

enum { FIRST = 3, BACK = 1, JOINS = 3 }; /* ranks at first; who is lost and comes back; who joins */
static const uint8_t THREE[TK_RANKS] = {1, 1, 1, 0}, TWO[TK_RANKS] = {1, 0, 1, 0},
                     ALL[TK_RANKS] = {1, 1, 1, 1};

struct world {
    bool fixed;
    sluice_comm_threads *first, *fewer, *all, *renewed;
};

static pthread_barrier_t barrier;
static int64_t (*held)(void);
static void (*slow_fills)(int ms);
static const char *(*violation)(void);

struct rank {
    const struct world *world;
    struct tk_rank r;
    char what[700]; /* was wrong; empty: nothing */
};

static void meet(void)
{
    (void)pthread_barrier_wait(&barrier);
}

static void wrong(struct rank *rank, const char *when, sluice_status status)
{
    if (!rank->what[0])
        (void)snprintf(rank->what, sizeof rank->what, "%s: %s gives %d: %s", when, rank->r.call,
                       status, rank->r.text);
}

static void serve(struct rank *rank, const char *when, uint64_t seed, const uint8_t *alive)
{
    bool right = false;
    sluice_status status = tk_trip(&rank->r, seed, alive, &right);
    if (status || !right)
        wrong(rank, when, status);
}

static void set(struct rank *rank, int64_t generation, const uint8_t *alive,
                sluice_comm_threads *group)
{
    sluice_comm comm;
    int32_t own = 0;
    for (int32_t r = 0; r < rank->r.rank; r++)
        own += alive[r];
    sluice_comm_threads_get(group, own, &comm);
    sluice_status status = tk_set(&rank->r, generation, alive, &comm);
    if (status)
        wrong(rank, "a verdict", status);
}

static void lose(struct rank *rank)
{
    bool right = false;
    double since = tk_seconds();
    sluice_fault fault = {.struct_size = sizeof fault};
    sluice_status status = tk_trip(&rank->r, 2, THREE, &right);
    if (status != SLUICE_PEER_LOST)
        wrong(rank, "with a lost rank", status);
    if (tk_ranks->poll(rank->r.context, &fault) || fault.rank != BACK)
        wrong(rank, "another rank is named than the lost one", status);
    if (tk_seconds() - since > LONGEST)
        wrong(rank, "a lost rank is noticed too late", status);
}

static void join(struct rank *rank)
{
    bool right = false;
    sluice_comm none = {.struct_size = sizeof none, .rank = rank->r.rank, .size = TK_RANKS};
    sluice_status status = tk_open(&rank->r, &none, SLUICE_OPEN_JOIN, TIMEOUT_NS);
    if (status) {
        wrong(rank, "joining", status);
        return;
    }
    status = tk_trip(&rank->r, 3, ALL, &right);
    if (status != SLUICE_NOT_READY)
        wrong(rank, "before a verdict", status);
}

static void *live(void *data)
{
    struct rank *rank = data;
    const struct world *world = rank->world;
    int32_t own = rank->r.rank;
    sluice_comm comm;
    if (own < FIRST) {
        sluice_comm_threads_get(world->first, own, &comm);
        sluice_status status = tk_open(&rank->r, &comm, 0, TIMEOUT_NS);
        if (status)
            wrong(rank, "opening", status);
        else
            serve(rank, "at first", 1, THREE);
    }
    meet();
    if (TWO[own])
        lose(rank);
    meet();
    if (own == BACK)
        tk_close(&rank->r);
    if (TWO[own])
        set(rank, 1, TWO, world->fewer);
    meet();
    if (TWO[own])
        serve(rank, "among two", 4, TWO);
    else
        join(rank);
    meet();
    set(rank, 2, ALL, world->all);
    meet();
    serve(rank, "with those who joined", 5, ALL);
    serve(rank, "with those who joined, again", 6, ALL);
    meet();
    set(rank, 3, ALL, world->renewed);
    meet();
    serve(rank, "renewed", 7, ALL);
    tk_close(&rank->r);
    return NULL;
}

/* Opens and serves at once while fills are slow. */
static void *begin(void *data)
{
    struct rank *rank = data;
    sluice_comm comm;
    sluice_comm_threads_get(rank->world->all, rank->r.rank, &comm);
    sluice_status status = tk_open(&rank->r, &comm, 0, 20000000000);
    if (status)
        wrong(rank, "opening", status);
    else
        serve(rank, "while fills are slow", 1, ALL);
    tk_close(&rank->r);
    return NULL;
}

static bool run(const char *name, void *(*body)(void *), bool fixed)
{
    static struct rank ranks[TK_RANKS];
    pthread_t threads[TK_RANKS];
    sluice_device first;
    int32_t count;
    const struct world world = {
        fixed, sluice_comm_threads_create(FIRST, NULL), sluice_comm_threads_create(2, NULL),
        sluice_comm_threads_create(TK_RANKS, NULL), sluice_comm_threads_create(TK_RANKS, NULL)};
    bool good = true;
    (void)tk_memory->count(&count, &first, NULL, 0);
    for (int32_t i = 0; i < TK_RANKS; i++) { /* sluice.device/1 keeps a context of each */
        void *stream;
        const sluice_device device = {first.type, first.id + i};
        if (!tk_memory->stream(device, &stream))
            tk_memory->stream_free(device, stream);
    }
    int64_t before = held();
    (void)pthread_barrier_init(&barrier, NULL, TK_RANKS);
    for (int32_t i = 0; i < TK_RANKS; i++) {
        ranks[i] =
            (struct rank){.world = &world,
                          .r = {.rank = i, .fixed = fixed, .device = {first.type, first.id + i}}};
        if (pthread_create(&threads[i], NULL, body, &ranks[i]))
            exit(3);
    }
    for (int32_t i = 0; i < TK_RANKS; i++)
        pthread_join(threads[i], NULL);
    for (int32_t i = 0; i < TK_RANKS; i++)
        if (ranks[i].what[0]) {
            printf("not ok: %s, %s: rank %d %s\n", name, fixed ? "fixed" : "exact", i,
                   ranks[i].what);
            good = false;
        }
    if (held() != before) {
        printf("not ok: %s, %s: %lld things are held after close\n", name,
               fixed ? "fixed" : "exact", (long long)(held() - before));
        good = false;
    }
    if (violation()[0]) {
        printf("not ok: %s, %s: the stand-in reports: %s\n", name, fixed ? "fixed" : "exact",
               violation());
        good = false;
    }
    pthread_barrier_destroy(&barrier);
    sluice_comm_threads_destroy(world.first);
    sluice_comm_threads_destroy(world.fewer);
    sluice_comm_threads_destroy(world.all);
    sluice_comm_threads_destroy(world.renewed);
    return good;
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        (void)fprintf(stderr, "usage: cuda_joins DEVICE.so\n");
        return 2;
    }
    tk_load(argv[1]);
    tk_find("libcuda.so.1", "standin_held", &held);
    tk_find("libcuda.so.1", "standin_slow_fills", &slow_fills);
    tk_find("libcuda.so.1", "standin_message", &violation);
    int passed = 0, failed = 0;
    slow_fills(60);
    for (int fixed = 0; fixed < 2; fixed++)
        *(run("slow fills", begin, fixed) ? &passed : &failed) += 1;
    slow_fills(0);
    for (int fixed = 0; fixed < 2; fixed++)
        *(run("a life", live, fixed) ? &passed : &failed) += 1;
    printf("%d passed, %d failed\n", passed, failed);
    return failed > 0;
}
