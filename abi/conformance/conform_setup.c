/* SPDX-License-Identifier: Apache-2.0
 * Contexts, ranks as threads, and random numbers for the cases. */
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "../../src/comm/comm_threads.h"
#include "conform.h"

uint64_t cf_next(struct cf_random *random)
{
    uint64_t z = random->state += 0x9E3779B97F4A7C15U; /* splitmix64 */
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
    return z ^ (z >> 31);
}

int32_t cf_below(struct cf_random *random, int32_t n)
{
    return (int32_t)(cf_next(random) % (uint64_t)n);
}

double cf_uniform(struct cf_random *random)
{
    return (double)(cf_next(random) >> 11) * 0x1p-53;
}

double cf_normal(struct cf_random *random)
{
    double radius = sqrt(-2 * log(1 - cf_uniform(random)));
    return radius * cos(6.283185307179586 * cf_uniform(random));
}

void cf_setup(struct cf_setup *setup, int32_t layers, int32_t experts, int32_t top_k,
              int32_t shared)
{
    memset(setup, 0, sizeof *setup);
    for (int32_t i = 0; i < layers; i++) {
        setup->router[i] = (sluice_router){.struct_size = sizeof(sluice_router),
                                           .experts = experts,
                                           .top_k = top_k,
                                           .shared = shared};
        setup->layer[i] =
            (sluice_layer){.struct_size = sizeof(sluice_layer), .router = &setup->router[i]};
        setup->layers[i] = &setup->layer[i];
    }
    setup->transport = (sluice_transport){.struct_size = sizeof(sluice_transport),
                                          .max_tokens = 256,
                                          .fixed_tokens = 256,
                                          .payload_row_bytes = 512,
                                          .max_payloads = 4};
    setup->host.struct_size = sizeof setup->host;
    setup->needs.struct_size = sizeof setup->needs;
    setup->config = (sluice_config){.struct_size = sizeof(sluice_config),
                                    .label = "conformance",
                                    .layers = setup->layers,
                                    .device = cf_device(),
                                    .layer_count = layers,
                                    .seed = 7};
}

void cf_setup_rank(struct cf_setup *setup, int32_t rank, int32_t size)
{
    setup->comm = (sluice_comm){.struct_size = sizeof(sluice_comm), .rank = rank, .size = size};
    setup->config.comm = &setup->comm;
}

void cf_setup_comm(struct cf_setup *setup, const sluice_comm *comm)
{
    setup->comm = *comm;
    setup->config.comm = &setup->comm;
}

void cf_served(const sluice_config *config, sluice_status status, const char *text)
{
    if (status == SLUICE_UNSUPPORTED && (config->uses || config->copy_policy ||
                                         config->shared_policy || config->flags & SLUICE_OPEN_JOIN))
        cf_skip("not served: %s", text);
}

sluice_context *cf_open(struct cf_setup *setup)
{
    sluice_context *context = NULL;
    char text[512] = "";
    sluice_status status = cf_api->open(&setup->config, &context, text, sizeof text);
    cf_served(&setup->config, status, text);
    CHECK(status == SLUICE_OK, "open gave %s: %s", cf_status_name(status), text);
    CHECK(context, "open gave OK and no context");
    return context;
}

sluice_context *cf_open_simple(int32_t experts, int32_t top_k, int32_t shared)
{
    struct cf_setup setup;
    cf_setup(&setup, 1, experts, top_k, shared);
    return cf_open(&setup);
}

void cf_set_placement(sluice_context *context, int32_t layer, const int32_t *map, int64_t count)
{
    EXPECT_OK(context, cf_placement()->set(context, layer, map, count, 0, NULL));
}

/* NOLINTNEXTLINE(readability-non-const-parameter): the plugin writes through it */
void cf_counters(sluice_context *context, int32_t layer, int64_t *counters, int64_t physical)
{
    sluice_tensor tensor = {.data = counters,
                            .device = {SLUICE_CPU, 0},
                            .ndim = 1,
                            .dtype = {SLUICE_INT, 64, 1},
                            .shape = &physical};
    EXPECT_OK(context, cf_load_api()->read(context, layer, &tensor, NULL));
}

uint64_t cf_rejected(sluice_context *context, int32_t op)
{
    sluice_stats stats = {.struct_size = sizeof stats};
    EXPECT_OK(context, cf_stats()->read(context, &stats));
    return stats.rejected[op];
}

void *cf_take(size_t bytes, size_t align, sluice_device device)
{
    void *data = NULL;
    if (device.type != SLUICE_CPU)
        return cf_memory->alloc(device, bytes, &data) ? NULL : data;
    if (posix_memalign(&data, align < sizeof(void *) ? sizeof(void *) : align, bytes ? bytes : 1))
        return NULL;
    return data;
}

void cf_give(void *data, sluice_device device)
{
    if (device.type != SLUICE_CPU)
        cf_memory->free(device, data);
    else
        free(data);
}

void cf_scrub(void *data, unsigned char byte, size_t bytes, sluice_device device)
{
    if (device.type == SLUICE_CPU) {
        memset(data, byte, bytes);
        return;
    }
    void *pattern = malloc(bytes ? bytes : 1);
    CHECK(pattern, "the suite has no memory for %zu bytes", bytes);
    memset(pattern, byte, bytes);
    EXPECT_OK(NULL, cf_memory->copy(device, data, pattern, bytes, NULL));
    EXPECT_OK(NULL, cf_memory->wait(device, NULL));
    free(pattern);
}

static pthread_barrier_t barrier;

void cf_meet(void)
{
    (void)pthread_barrier_wait(&barrier);
}

struct rank {
    pthread_t thread;
    int32_t rank, size;
    sluice_comm comm;
    cf_rank_fn *run;
    const void *what;
};

static void *run_rank(void *data)
{
    const struct rank *rank = data;
    cf_use_device(rank->rank);
    rank->run(rank->rank, rank->size, &rank->comm, rank->what);
    return NULL;
}

void cf_run_ranks(int32_t size, cf_rank_fn *run, const void *what)
{
    enum { MOST = 64 };
    static struct rank ranks[MOST];
    CHECK(size <= MOST, "the suite runs at most %d ranks", MOST);
    sluice_comm_threads *group = sluice_comm_threads_create(size, NULL);
    CHECK(group, "the suite has no memory for %d ranks", size);
    CHECK(!pthread_barrier_init(&barrier, NULL, (unsigned)size), "the suite has no barrier");
    for (int32_t r = 0; r < size; r++) {
        ranks[r] = (struct rank){.rank = r, .size = size, .run = run, .what = what};
        sluice_comm_threads_get(group, r, &ranks[r].comm);
        int failed = pthread_create(&ranks[r].thread, NULL, run_rank, &ranks[r]);
        CHECK(!failed, "the suite cannot start %d threads", size);
    }
    for (int32_t r = 0; r < size; r++)
        pthread_join(ranks[r].thread, NULL);
    pthread_barrier_destroy(&barrier);
    sluice_comm_threads_destroy(group);
}
