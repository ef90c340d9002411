/* SPDX-License-Identifier: Apache-2.0
 * What NCCL and the driver do wrong, from seeds: every call returns in time with a status that
 * says so, nobody hangs, contexts close, and after `set` of sluice.ranks/1 rows go where they
 * should. Ranks are threads; runs on the stand-ins, whose faults it orders.
 *     cuda_lost DEVICE.so SCHEDULES [SEED] */
#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../../abi/ext/device.h"
#include "../../abi/ext/ranks.h"
#include "../../src/comm/comm_threads.h"
#include "../standin/standin.h"
#include "../standin/standin_nccl.h"

enum { MOST_RANKS = 4, TOKENS = 12, COLUMNS = 3, SLOTS = 3, WIDTH = 4, TRIPS = 3 };
static const int64_t TIMEOUT_NS = 700000000;
/* Of one call, on a busy machine: a deadline for each of its waits. */
static const double LONGEST = 8;

static const sluice_api *api;
static const sluice_device_api *memory;
static const sluice_ranks_api *ranks_api;
static int (*nccl_fault)(enum standin_nccl_fault, int, uint64_t, int64_t);
static void (*nccl_forgive)(void);
static void (*driver_fail)(enum standin_event, uint64_t, int);

static uint64_t next(uint64_t *state)
{
    uint64_t z = *state += 0x9E3779B97F4A7C15U; /* splitmix64 */
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
    return z ^ (z >> 31);
}

static int32_t below(uint64_t *state, int32_t n)
{
    return (int32_t)(next(state) % (uint64_t)n);
}

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* ------------------------------------------------------------------------------------ schedules */

enum { SKIP = -1, DRIVER_ALLOC = -2, DRIVER_LAUNCH = -3, DRIVER_COPY = -4 };

struct schedule {
    uint64_t seed;
    int32_t ranks, fault, rank, trip;
    uint64_t nth;
    bool fixed;
};

static struct schedule draw(uint64_t seed)
{
    static const int32_t FAULTS[] = {SKIP,
                                     SKIP,
                                     DRIVER_ALLOC,
                                     DRIVER_LAUNCH,
                                     DRIVER_COPY,
                                     NCCL_FAULT_STUCK,
                                     NCCL_FAULT_INIT,
                                     NCCL_FAULT_CALL,
                                     NCCL_FAULT_DELAY,
                                     NCCL_FAULT_HANG,
                                     NCCL_FAULT_ASYNC};
    uint64_t s = seed * 7919 + 1;
    struct schedule d = {.seed = seed, .ranks = 2 + below(&s, MOST_RANKS - 1)};
    d.fault = FAULTS[below(&s, sizeof FAULTS / sizeof *FAULTS)];
    d.rank = below(&s, d.ranks);
    d.trip = below(&s, TRIPS);
    d.nth = 1 + (uint64_t)below(&s, d.fault <= DRIVER_ALLOC ? 40 : 6);
    d.fixed = below(&s, 2);
    return d;
}

static void order(const struct schedule *d)
{
    nccl_forgive();
    if (d->fault >= 0)
        (void)nccl_fault((enum standin_nccl_fault)d->fault, d->rank,
                         d->fault <= NCCL_FAULT_INIT ? 1 : d->nth,
                         d->fault == NCCL_FAULT_DELAY ? 50 : 2);
    else if (d->fault == DRIVER_ALLOC)
        driver_fail(STANDIN_ALLOC, d->nth, 2);
    else if (d->fault == DRIVER_LAUNCH)
        driver_fail(STANDIN_LAUNCH, d->nth, 700);
    else if (d->fault == DRIVER_COPY)
        driver_fail(STANDIN_COPY, d->nth, 700);
}

static void call_off(void)
{
    nccl_forgive();
    driver_fail(STANDIN_ALLOC, 0, 0);
    driver_fail(STANDIN_LAUNCH, 0, 0);
    driver_fail(STANDIN_COPY, 0, 0);
}

/* ------------------------------------------------------------------------------------- one rank */

struct rank {
    const struct schedule *d;
    int32_t rank;
    sluice_device device;
    sluice_comm comm;
    sluice_context *context;
    void *stream;
    double longest;
    const char *what; /* was wrong; NULL: nothing */
    sluice_status status;
    char text[512];
};

static pthread_barrier_t barrier;
static atomic_int opened, failed;

static void *there(const struct rank *r, size_t bytes)
{
    void *data = NULL;
    while (memory->alloc(r->device, bytes, &data)) /* the fault may be this one's */
        continue;
    return data;
}

/* Copies and waits; true where the device did it. */
static bool copied(const struct rank *r, void *to, const void *from, size_t bytes)
{
    return !memory->copy(r->device, to, from, bytes, r->stream) &&
           !memory->wait(r->device, r->stream);
}

static sluice_status timed(struct rank *r, double since, sluice_status status)
{
    double took = seconds() - since;
    r->longest = took > r->longest ? took : r->longest;
    return status;
}

static sluice_tensor tensor(const struct rank *r, void *data, int64_t *shape, int32_t ndim,
                            uint8_t code)
{
    return (sluice_tensor){
        .data = data, .device = r->device, .ndim = ndim, .dtype = {code, 32, 1}, .shape = shape};
}

/* One trip, whose expert gives back what it gets: out = x * (sum of the weights, all 1). */
static sluice_status trip(struct rank *r, int64_t fixed_rows, bool *right)
{
    const struct schedule *d = r->d;
    int32_t ids_host[TOKENS * COLUMNS];
    float x_host[TOKENS * WIDTH], weights_host[TOKENS * COLUMNS], out_host[TOKENS * WIDTH];
    uint64_t s = d->seed + (uint64_t)r->rank;
    int64_t ids_shape[2] = {TOKENS, COLUMNS}, x_shape[2] = {TOKENS, WIDTH};
    int64_t rows = fixed_rows, rows_shape[2] = {0, WIDTH};
    for (int32_t i = 0; i < TOKENS * COLUMNS; i++) {
        ids_host[i] = (i % COLUMNS) + SLOTS * below(&s, d->ranks);
        weights_host[i] = 1;
    }
    for (int32_t i = 0; i < TOKENS * WIDTH; i++)
        x_host[i] = (float)(100 * r->rank + i);
    void *ids_there = there(r, sizeof ids_host), *x_there = there(r, sizeof x_host);
    void *weights_there = there(r, sizeof weights_host), *out_there = there(r, sizeof out_host);
    void *rows_there = NULL;
    bool good = copied(r, ids_there, ids_host, sizeof ids_host) &&
                copied(r, x_there, x_host, sizeof x_host) &&
                copied(r, weights_there, weights_host, sizeof weights_host);
    sluice_tensor ids = tensor(r, ids_there, ids_shape, 2, SLUICE_INT);
    sluice_tensor weights = tensor(r, weights_there, ids_shape, 2, SLUICE_FLOAT);
    sluice_tensor x = tensor(r, x_there, x_shape, 2, SLUICE_FLOAT);
    sluice_tensor out = tensor(r, out_there, x_shape, 2, SLUICE_FLOAT);
    const sluice_tensor *payloads[1] = {&x}, *arrived[1];
    sluice_handle handle;
    sluice_dispatch_args args = {.struct_size = sizeof args,
                                 .phase = SLUICE_DISPATCH_COUNT,
                                 .stream = r->stream,
                                 .handle = &handle,
                                 .payload_count = 1,
                                 .payloads = payloads,
                                 .dispatch_ids = &ids,
                                 .dispatch_weights = &weights,
                                 .row_count = &rows};
    /* A copy of this test's own that failed leaves memory that must not be read. */
    sluice_status status = good ? SLUICE_OK : SLUICE_DEVICE;
    if (!status && !d->fixed)
        status = timed(r, seconds(), api->dispatch(r->context, &args));
    if (!status) {
        rows_shape[0] = rows;
        rows_there = there(r, (size_t)rows * WIDTH * 4 + 4);
        sluice_tensor row = tensor(r, rows_there, rows_shape, 2, SLUICE_FLOAT);
        arrived[0] = &row;
        args.phase = d->fixed ? SLUICE_DISPATCH_FIXED : SLUICE_DISPATCH_SEND;
        args.rows = arrived;
        status = timed(r, seconds(), api->dispatch(r->context, &args));
        const sluice_combine_args back = {.struct_size = sizeof back,
                                          .stream = r->stream,
                                          .handle = &handle,
                                          .rows = &row,
                                          .out = &out};
        if (!status)
            status = timed(r, seconds(), api->combine(r->context, &back));
    }
    double since = seconds();
    good = copied(r, out_host, out_there, sizeof out_host) && good;
    (void)timed(r, since, SLUICE_OK);
    *right = good;
    for (int32_t i = 0; i < TOKENS * WIDTH; i++)
        *right = *right && out_host[i] == COLUMNS * x_host[i];
    memory->free(r->device, ids_there);
    memory->free(r->device, x_there);
    memory->free(r->device, weights_there);
    memory->free(r->device, out_there);
    memory->free(r->device, rows_there);
    return status;
}

static int64_t open_rank(struct rank *r)
{
    const sluice_router router = {
        .struct_size = sizeof router, .experts = SLOTS * r->d->ranks, .top_k = COLUMNS};
    const sluice_layer layer = {.struct_size = sizeof layer, .router = &router};
    const sluice_layer *layers[1] = {&layer};
    const sluice_transport transport = {.struct_size = sizeof transport,
                                        .max_tokens = TOKENS,
                                        .fixed_tokens = TOKENS,
                                        .payload_row_bytes = WIDTH * 4};
    sluice_needs needs = {.struct_size = sizeof needs};
    const sluice_config config = {.struct_size = sizeof config,
                                  .comm = &r->comm,
                                  .layers = layers,
                                  .transport = &transport,
                                  .needs = &needs,
                                  .device = r->device,
                                  .layer_count = 1,
                                  .uses = SLUICE_USE_EXACT | SLUICE_USE_FIXED,
                                  .timeout_ns = TIMEOUT_NS};
    r->status = timed(r, seconds(), api->open(&config, &r->context, r->text, sizeof r->text));
    if (r->status && !r->text[0])
        r->what = "open failed without a text";
    return needs.fixed_rows;
}

/* A status that a fault may come to. */
static bool expected(sluice_status status)
{
    return status == SLUICE_PEER_LOST || status == SLUICE_DEVICE || status == SLUICE_NOT_READY ||
           status == SLUICE_UNAVAILABLE || status == SLUICE_NO_MEMORY || status == SLUICE_MISMATCH;
}

/* Trips until something fails. A rank that skips one comes to no other. */
static void run_trips(struct rank *r, int64_t fixed_rows)
{
    const struct schedule *d = r->d;
    for (int32_t i = 0; i < TRIPS; i++) {
        bool right = false;
        if (d->fault == SKIP && d->rank == r->rank && d->trip == i) {
            atomic_fetch_add(&failed, 1);
            return;
        }
        sluice_status status = trip(r, fixed_rows, &right);
        if (!status && right)
            continue;
        if (status && !expected(status)) {
            r->what = "a call gave a status that no fault comes to";
            r->status = status;
            (void)api->last_error(r->context, r->text, sizeof r->text);
        }
        if (!status && d->fault == NCCL_FAULT_DELAY)
            r->what = "rows are wrong after a delay";
        atomic_fetch_add(&failed, 1);
        return;
    }
}

static void recover(struct rank *r, int64_t fixed_rows)
{
    static const uint8_t ALIVE[MOST_RANKS] = {1, 1, 1, 1};
    const sluice_ranks ranks = {
        .struct_size = sizeof ranks, .generation = 1, .alive = ALIVE, .comm = &r->comm};
    bool right = false;
    sluice_status status = timed(r, seconds(), ranks_api->set(r->context, &ranks, r->stream));
    (void)pthread_barrier_wait(&barrier);
    if (!status)
        status = trip(r, fixed_rows, &right);
    if (status || !right) {
        r->what = status ? "no trip after set" : "rows are wrong after set";
        r->status = status;
        (void)api->last_error(r->context, r->text, sizeof r->text);
    }
}

static void *run_rank(void *data)
{
    struct rank *r = data;
    bool sticks = r->d->fault == DRIVER_LAUNCH || r->d->fault == DRIVER_COPY;
    if (memory->stream(r->device, &r->stream))
        r->what = "no stream";
    (void)pthread_barrier_wait(&barrier);
    if (r->rank == 0)
        order(r->d);
    (void)pthread_barrier_wait(&barrier);
    int64_t fixed_rows = open_rank(r);
    if (r->context)
        atomic_fetch_add(&opened, 1);
    else if (!expected(r->status))
        r->what = "open gave a status that no fault comes to";
    (void)pthread_barrier_wait(&barrier);
    bool all = atomic_load(&opened) == r->d->ranks;
    if (all)
        run_trips(r, fixed_rows);
    (void)pthread_barrier_wait(&barrier);
    if (r->rank == 0)
        call_off();
    (void)pthread_barrier_wait(&barrier);
    if (all && atomic_load(&failed) > 0 && !sticks && !r->what)
        recover(r, fixed_rows);
    double since = seconds();
    if (r->context)
        api->close(r->context);
    (void)timed(r, since, SLUICE_OK);
    memory->stream_free(r->device, r->stream);
    if (!r->what && r->longest > LONGEST)
        r->what = "a call took too long";
    return NULL;
}

static bool run(const struct schedule *d)
{
    static struct rank ranks[MOST_RANKS];
    pthread_t threads[MOST_RANKS];
    sluice_comm_threads *group = sluice_comm_threads_create(d->ranks, NULL);
    sluice_device first;
    int32_t count;
    (void)memory->count(&count, &first, NULL, 0);
    (void)pthread_barrier_init(&barrier, NULL, (unsigned)d->ranks);
    atomic_store(&opened, 0);
    atomic_store(&failed, 0);
    for (int32_t i = 0; i < d->ranks; i++) {
        ranks[i] = (struct rank){.d = d, .rank = i, .device = {first.type, first.id + i}};
        sluice_comm_threads_get(group, i, &ranks[i].comm);
        if (pthread_create(&threads[i], NULL, run_rank, &ranks[i]))
            exit(3);
    }
    bool good = true;
    for (int32_t i = 0; i < d->ranks; i++) {
        pthread_join(threads[i], NULL);
        if (!ranks[i].what)
            continue;
        printf("not ok: schedule %llu (fault %d at rank %d of %d, %s): rank %d: %s: status %d, %s "
               "(%.1f s)\n",
               (unsigned long long)d->seed, d->fault, d->rank, d->ranks,
               d->fixed ? "fixed" : "exact", i, ranks[i].what, ranks[i].status, ranks[i].text,
               ranks[i].longest);
        good = false;
    }
    pthread_barrier_destroy(&barrier);
    sluice_comm_threads_destroy(group);
    return good;
}

/* A function of a stand-in; exits where it is not there. */
static void find(const char *library, const char *name, void *function)
{
    void *opened_library = dlopen(library, RTLD_NOW | RTLD_LOCAL);
    void *found = opened_library ? dlsym(opened_library, name) : NULL;
    if (!found) {
        printf("%s of the stand-in %s is not there\n0 passed, 0 failed, 1 skipped\n", name,
               library);
        exit(0);
    }
    memcpy(function, &found, sizeof found);
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        (void)fprintf(stderr, "usage: cuda_lost DEVICE.so SCHEDULES [SEED]\n");
        return 2;
    }
    const sluice_api *(*get)(uint32_t);
    find(argv[1], SLUICE_ENTRY, &get);
    find("libnccl.so.2", "standin_nccl_fault", &nccl_fault);
    find("libnccl.so.2", "standin_nccl_forgive", &nccl_forgive);
    void (*forgive)(void);
    find("libcuda.so.1", "standin_fail", &driver_fail);
    find("libcuda.so.1", "standin_forgive", &forgive);
    api = get(SLUICE_ABI_MAJOR);
    memory = api->extension(SLUICE_EXT_DEVICE);
    ranks_api = api->extension(SLUICE_EXT_RANKS);
    uint64_t first = argc > 3 ? strtoull(argv[3], NULL, 10) : 1;
    uint64_t count = strtoull(argv[2], NULL, 10);
    int passed = 0, bad = 0;
    for (uint64_t seed = first; seed < first + count; seed++) {
        const struct schedule d = draw(seed);
        if (run(&d))
            passed++;
        else
            bad++;
        forgive();
    }
    printf("%d passed, %d failed\n", passed, bad);
    return bad > 0;
}
