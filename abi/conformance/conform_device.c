/* SPDX-License-Identifier: Apache-2.0
 * sluice.device/1, and calls in a captured graph where the plugin has graphs. */
#include <string.h>

#include "conform.h"

static const sluice_device_api *device_api(sluice_device *device)
{
    const sluice_device_api *api = cf_api->extension(SLUICE_EXT_DEVICE);
    if (!api)
        cf_skip("the plugin has no %s", SLUICE_EXT_DEVICE);
    int32_t count = 0;
    char text[200] = "";
    sluice_status status = api->count(&count, device, text, sizeof text);
    CHECK(status == SLUICE_OK, "count gave %s: %s", cf_status_name(status), text);
    if (count == 0)
        cf_skip("no device: %s", text);
    return api;
}

static void memory(const void *what)
{
    (void)what;
    sluice_device device;
    const sluice_device_api *api = device_api(&device);
    void *stream = NULL, *there = NULL, *other = NULL;
    char out[1000], back[1000];
    for (int i = 0; i < 1000; i++)
        out[i] = (char)(i * 7);
    EXPECT_OK(NULL, api->stream(device, &stream));
    EXPECT_OK(NULL, api->alloc(device, sizeof out, &there));
    EXPECT_OK(NULL, api->alloc(device, sizeof out, &other));
    CHECK(there && other && there != other, "two allocations gave %p and %p", there, other);
    EXPECT_OK(NULL, api->copy(device, there, out, sizeof out, stream));
    EXPECT_OK(NULL, api->copy(device, other, there, sizeof out, stream));
    EXPECT_OK(NULL, api->copy(device, back, other, sizeof back, stream));
    EXPECT_OK(NULL, api->wait(device, stream));
    CHECK(memcmp(out, back, sizeof out) == 0, "what came back is not what was sent");
    api->free(device, there);
    api->free(device, other);
    api->stream_free(device, stream);
}

/* One route in a graph, launched three times: it draws anew and counts each time. */
static void capture(const void *what)
{
    (void)what;
    sluice_device device;
    const sluice_device_api *api = device_api(&device);
    if (!api->capture_begin)
        cf_skip("this backend has no graphs");
    enum { ROWS = 50, EXPERTS = 16 };
    struct cf_setup setup;
    cf_setup(&setup, 1, EXPERTS, 4, 1);
    setup.layer[0].slots_per_rank = 2 * EXPERTS;
    setup.config.copy_policy = SLUICE_COPY_RANDOM;
    sluice_context *context = cf_open(&setup);
    struct cf_array *logits = cf_array(CF_F32, ROWS, EXPERTS);
    struct cf_array *recorder = cf_array(CF_I32, ROWS, 4), *first = cf_array(CF_I32, ROWS, 4);
    struct cf_random random = {.state = 1};
    for (int32_t i = 0; i < ROWS * EXPERTS; i++)
        cf_put(logits, i / EXPERTS, i % EXPERTS, cf_normal(&random));
    cf_push();
    void *stream = NULL, *graph = NULL;
    EXPECT_OK(NULL, api->stream(device, &stream));
    const sluice_route_args args = {.struct_size = sizeof args,
                                    .stream = stream,
                                    .logits = &logits->t,
                                    .recorder_ids = &recorder->t};
    EXPECT_OK(NULL, api->capture_begin(device, stream));
    EXPECT_OK(context, cf_route()->route(context, &args));
    EXPECT_OK(NULL, api->capture_end(device, stream, &graph));
    for (int i = 0; i < 3; i++) {
        EXPECT_OK(NULL, api->graph_launch(device, graph, stream));
        EXPECT_OK(NULL, api->wait(device, stream));
        cf_pull();
        if (i == 0)
            memcpy(first->host, recorder->host, recorder->bytes);
        else
            CHECK(memcmp(first->host, recorder->host, recorder->bytes) != 0,
                  "a replay drew what the first did");
    }
    int64_t counters[2 * EXPERTS], sum = 0;
    cf_counters(context, 0, counters, (int64_t)2 * EXPERTS);
    for (int32_t p = 0; p < 2 * EXPERTS; p++)
        sum += counters[p];
    CHECK_EQ(sum, ROWS * 12, "choices counted by three launches");
    api->graph_free(device, graph);
    api->stream_free(device, stream);
    cf_api->close(context);
}

/* A graph holds no exchange, so it outlives a verdict about ranks and follows it. */
static void capture_ranks(const void *what)
{
    (void)what;
    sluice_device device;
    const sluice_device_api *api = device_api(&device);
    if (!api->capture_begin)
        cf_skip("this backend has no graphs");
    enum { ROWS = 50, EXPERTS = 16, RANKS = 4, TOP_K = 4, PHYSICAL = RANKS * EXPERTS };
    static const uint8_t ALIVE[RANKS] = {1, 0, 1, 1};
    struct cf_setup setup;
    cf_setup(&setup, 1, EXPERTS, TOP_K, 1);
    cf_setup_rank(&setup, 2, RANKS);
    setup.config.flags = SLUICE_OPEN_EVERY_RANK_EVERY_ROW;
    setup.layer[0].slots_per_rank = EXPERTS;
    const sluice_ranks_api *ranks_api = cf_ranks();
    sluice_context *context = cf_open(&setup);
    int32_t map[PHYSICAL];
    for (int32_t p = 0; p < PHYSICAL; p++)
        map[p] = p % EXPERTS;
    cf_set_placement(context, 0, map, PHYSICAL);
    struct cf_array *logits = cf_array(CF_F32, ROWS, EXPERTS);
    struct cf_array *slots = cf_array(CF_I32, ROWS, TOP_K + 1);
    struct cf_array *direct = cf_array(CF_I32, ROWS, TOP_K + 1);
    struct cf_random random = {.state = 2};
    for (int32_t i = 0; i < ROWS * EXPERTS; i++)
        cf_put(logits, i / EXPERTS, i % EXPERTS, cf_normal(&random));
    cf_push();
    void *stream = NULL, *graph = NULL;
    EXPECT_OK(NULL, api->stream(device, &stream));
    sluice_route_args args = {.struct_size = sizeof args,
                              .stream = stream,
                              .logits = &logits->t,
                              .dispatch_ids = &slots->t};
    EXPECT_OK(NULL, api->capture_begin(device, stream));
    EXPECT_OK(context, cf_route()->route(context, &args));
    EXPECT_OK(NULL, api->capture_end(device, stream, &graph));
    const sluice_comm comm = {.struct_size = sizeof comm, .rank = 1, .size = RANKS - 1};
    const sluice_ranks ranks = {sizeof ranks, .generation = 1, .alive = ALIVE, .comm = &comm};
    EXPECT_OK(context, ranks_api->set(context, &ranks, stream));
    EXPECT_OK(NULL, api->graph_launch(device, graph, stream));
    args.dispatch_ids = &direct->t;
    EXPECT_OK(context, cf_route()->route(context, &args));
    EXPECT_OK(NULL, api->wait(device, stream));
    cf_pull();
    CHECK(memcmp(slots->host, direct->host, direct->bytes) == 0,
          "a graph from before set gives other slots than a call after it");
    api->graph_free(device, graph);
    api->stream_free(device, stream);
    cf_api->close(context);
}

/* Calls that wait for the device are refused while its stream is captured; the capture goes on. */
static void capture_waits(const void *what)
{
    (void)what;
    sluice_device device;
    const sluice_device_api *api = device_api(&device);
    if (!api->capture_begin)
        cf_skip("this backend has no graphs");
    if (device.type == SLUICE_CPU)
        cf_skip("no call waits for a stream here");
    enum { EXPERTS = 8, RANKS = 2 };
    static const uint8_t ALIVE[RANKS] = {1, 0};
    struct cf_setup setup;
    cf_setup(&setup, 1, EXPERTS, 1, 0);
    cf_setup_rank(&setup, 0, RANKS);
    setup.layer[0].slots_per_rank = EXPERTS;
    sluice_context *context = cf_open(&setup);
    int32_t map[RANKS * EXPERTS], epoch_map[RANKS * EXPERTS];
    for (int32_t p = 0; p < RANKS * EXPERTS; p++)
        map[p] = EXPERTS - 1 - p % EXPERTS;
    struct cf_array *ids = cf_ids(CF_I32, 1, 1, (const int32_t[]){3});
    struct cf_array *recorder = cf_array(CF_I32, 1, 1);
    cf_push();
    void *stream = NULL, *graph = NULL;
    EXPECT_OK(NULL, api->stream(device, &stream));
    const sluice_comm comm = {.struct_size = sizeof comm, .size = 1};
    const sluice_ranks ranks = {sizeof ranks, .generation = 1, .alive = ALIVE, .comm = &comm};
    const sluice_remap_args args = {
        .struct_size = sizeof args, .stream = stream, .ids = &ids->t, .recorder_ids = &recorder->t};
    EXPECT_OK(NULL, api->capture_begin(device, stream));
    EXPECT(context, cf_ranks()->set(context, &ranks, stream), SLUICE_NOT_CAPTURABLE, "captured");
    EXPECT(context, cf_placement()->set(context, 0, map, (int64_t)RANKS * EXPERTS, 0, stream),
           SLUICE_NOT_CAPTURABLE, "captured");
    EXPECT_OK(context, cf_api->remap(context, &args));
    EXPECT_OK(NULL, api->capture_end(device, stream, &graph));
    uint8_t alive[RANKS];
    int64_t epoch = -1;
    EXPECT_OK(context, cf_ranks()->alive(context, alive, RANKS));
    EXPECT_OK(context,
              cf_placement()->get(context, 0, epoch_map, (int64_t)RANKS * EXPERTS, &epoch));
    CHECK_EQ(cf_ranks()->generation(context), 0, "the generation after a refused set");
    CHECK(alive[0] && alive[1], "the mask after a refused set");
    CHECK_EQ(epoch, 0, "the epoch after a refused set");
    CHECK_EQ(epoch_map[3], 3, "the map after a refused set");
    EXPECT_OK(NULL, api->graph_launch(device, graph, stream));
    EXPECT_OK(NULL, api->wait(device, stream));
    cf_pull();
    CHECK_EQ(cf_id(recorder, 0, 0), 3, "the choice that the captured call made");
    EXPECT_OK(context, cf_ranks()->set(context, &ranks, stream));
    EXPECT_OK(context, cf_placement()->set(context, 0, map, (int64_t)RANKS * EXPERTS, 0, stream));
    api->graph_free(device, graph);
    api->stream_free(device, stream);
    cf_api->close(context);
}

static const struct cf_case CASES[] = {
    {"device.memory", "what is copied to the device comes back", memory, NULL},
    {"device.capture", "a captured route draws anew and counts at every launch", capture, NULL},
    {"device.capture_ranks", "a captured route follows ranks that are set later", capture_ranks,
     NULL},
    {"device.capture_waits", "set of ranks and of a placement are refused in a capture, whole",
     capture_waits, NULL},
};
CF_LIST(cf_device_cases, CASES);
