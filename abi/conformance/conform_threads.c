/* SPDX-License-Identifier: Apache-2.0
 * Threads: the plugin's, which must not show in a result, and the engine's. */
#include <pthread.h>
#include <string.h>

#include "conform_move.h"

enum { ROWS = 2500, EXPERTS = 40, ZERO = 6, TOP_K = 5, SHARED = 2, RANKS = 5, SLOTS = 12 };

struct result {
    struct cf_array *slots, *weights, *recorder, *ids, *shared, *zero;
    int64_t counters[RANKS * SLOTS];
    uint64_t rejected;
};

static void run(int32_t threads, int32_t copy_policy, int32_t shared_policy, struct result *result)
{
    struct cf_setup setup;
    cf_setup(&setup, 1, EXPERTS, TOP_K, SHARED);
    cf_setup_rank(&setup, 3, RANKS);
    setup.router[0].zero_experts = ZERO;
    setup.router[0].shared_weight = SLUICE_SHARED_SIGMOID;
    setup.layer[0].slots_per_rank = SLOTS;
    setup.config.copy_policy = copy_policy;
    setup.config.shared_policy = shared_policy;
    setup.config.host = &setup.host;
    setup.host.threads = threads;
    sluice_context *context = cf_open(&setup);
    struct cf_array *logits = cf_array(CF_F32, ROWS, EXPERTS + ZERO);
    struct cf_array *gates = cf_array(CF_F32, ROWS, 1), *weights = cf_array(CF_F32, ROWS, TOP_K);
    struct cf_random random = {.state = 77};
    for (int32_t t = 0; t < ROWS; t++) {
        cf_put(gates, t, 0, cf_normal(&random));
        for (int32_t e = 0; e < EXPERTS + ZERO; e++)
            cf_put(logits, t, e, 2 * cf_normal(&random));
    }
    *result = (struct result){cf_array(CF_I32, ROWS, TOP_K + SHARED),
                              cf_array(CF_F32, ROWS, TOP_K + SHARED),
                              cf_array(CF_I32, ROWS, TOP_K),
                              cf_array(CF_I32, ROWS, TOP_K),
                              cf_array(CF_F32, ROWS, SHARED),
                              cf_array(CF_F32, ROWS, 0),
                              {0},
                              0};
    const sluice_route_args args = {.struct_size = sizeof args,
                                    .logits = &logits->t,
                                    .shared_logits = &gates->t,
                                    .dispatch_ids = &result->slots->t,
                                    .dispatch_weights = &result->weights->t,
                                    .recorder_ids = &result->recorder->t,
                                    .ids = &result->ids->t,
                                    .weights = &weights->t,
                                    .shared_weights = &result->shared->t,
                                    .zero_weight_here = &result->zero->t};
    for (int i = 0; i < 2; i++)
        EXPECT_OK(context, cf_call_route(context, &args));
    cf_counters(context, 0, result->counters, (int64_t)RANKS * SLOTS);
    result->rejected = cf_rejected(context, SLUICE_OP_ROUTE);
    cf_api->close(context);
}

struct policies {
    int32_t copy, shared;
};

static bool same(const struct cf_array *a, const struct cf_array *b)
{
    return memcmp(a->host, b->host, a->bytes) == 0;
}

static void same_bits(const void *what)
{
    const struct policies *policies = what;
    struct result one, many;
    run(1, policies->copy, policies->shared, &one);
    for (int32_t threads = 2; threads <= 8; threads++) {
        run(threads, policies->copy, policies->shared, &many);
        CHECK(same(one.ids, many.ids), "ids differ with %d threads", threads);
        CHECK(same(one.recorder, many.recorder), "recorder_ids differ with %d threads", threads);
        CHECK(same(one.slots, many.slots), "dispatch_ids differ with %d threads", threads);
        CHECK(same(one.weights, many.weights), "dispatch_weights differ with %d threads", threads);
        CHECK(same(one.shared, many.shared), "shared_weights differ with %d threads", threads);
        CHECK(same(one.zero, many.zero), "zero_weight_here differs with %d threads", threads);
        CHECK(memcmp(one.counters, many.counters, sizeof one.counters) == 0,
              "counters differ with %d threads", threads);
    }
}

/* Tokens to oneself may be put by threads; what must arrive is known, so each number of them is
 * compared with that. */
static void moves_same(const void *what)
{
    const struct mv_scene *scene = what;
    static struct mv_tokens tokens[1];
    mv_draw(scene, 0, tokens);
    for (int32_t threads = 1; threads <= 8; threads++) {
        struct cf_setup setup;
        struct mv_trip trip;
        mv_setup(scene, NULL, &setup);
        setup.config.host = &setup.host;
        setup.host.threads = threads;
        sluice_context *context = cf_open(&setup);
        mv_start(&trip, scene, context, 0, tokens);
        trip.row_count = setup.needs.fixed_rows;
        EXPECT_OK(context, mv_dispatch(&trip));
        mv_check_layout(&trip, tokens);
        mv_check_rows(&trip, tokens);
        mv_compute(&trip, tokens);
        EXPECT_OK(context, mv_combine(&trip));
        mv_check_out(&trip, tokens);
        cf_api->close(context);
    }
}

struct visitor {
    sluice_context *context;
    sluice_topk_args args;
    sluice_status status;
};

static void *visit(void *data)
{
    struct visitor *visitor = data;
    visitor->status = cf_api->topk(visitor->context, &visitor->args);
    return NULL;
}

static void other_thread(const void *what)
{
    (void)what;
    struct visitor visitor = {.context = cf_open_simple(8, 2, 0), .status = -1};
    struct cf_array *logits = cf_array(CF_F32, 3, 8), *ids = cf_array(CF_I32, 3, 2),
                    *weights = cf_array(CF_F32, 3, 2);
    cf_put(logits, 2, 6, 4);
    cf_push();
    visitor.args = (sluice_topk_args){.struct_size = sizeof visitor.args,
                                      .logits = &logits->t,
                                      .ids = &ids->t,
                                      .weights = &weights->t};
    for (int i = 0; i < 3; i++) {
        pthread_t thread;
        CHECK(!pthread_create(&thread, NULL, visit, &visitor), "no thread");
        pthread_join(thread, NULL);
        EXPECT_OK(visitor.context, visitor.status);
    }
    cf_pull();
    CHECK_EQ(cf_id(ids, 2, 0), 6, "the choice made in another thread");
    pthread_t thread;
    visitor.args.logits = NULL;
    CHECK(!pthread_create(&thread, NULL, visit, &visitor), "no thread");
    pthread_join(thread, NULL);
    EXPECT(visitor.context, visitor.status, SLUICE_INVALID, "logits");
    cf_api->close(visitor.context);
}

/* Contexts are independent: each in a thread of its own, at the same time. */
static void *work_alone(void *data)
{
    struct cf_setup setup;
    int32_t experts = 8 + *(const int32_t *)data;
    cf_setup(&setup, 1, experts, 2, 0);
    setup.config.host = &setup.host;
    setup.host.threads = 2;
    struct cf_array *logits = cf_array(CF_F32, 600, experts), *ids = cf_array(CF_I32, 600, 2),
                    *weights = cf_array(CF_F32, 600, 2);
    for (int32_t t = 0; t < 600; t++)
        cf_put(logits, t, (t * 7) % experts, 5);
    const sluice_topk_args args = {
        .struct_size = sizeof args, .logits = &logits->t, .ids = &ids->t, .weights = &weights->t};
    for (int i = 0; i < 20; i++) {
        sluice_context *context = cf_open(&setup);
        EXPECT_OK(context, cf_call_topk(context, &args));
        for (int32_t t = 0; t < 600; t++)
            CHECK_EQ(cf_id(ids, t, 0), (t * 7) % experts, "the choice of row %d", t);
        cf_api->close(context);
    }
    return NULL;
}

static void side_by_side(const void *what)
{
    (void)what;
    enum { WORKERS = 4 };
    pthread_t threads[WORKERS];
    int32_t numbers[WORKERS];
    for (int32_t i = 0; i < WORKERS; i++) {
        numbers[i] = i;
        CHECK(!pthread_create(&threads[i], NULL, work_alone, &numbers[i]), "no thread");
    }
    for (int32_t i = 0; i < WORKERS; i++)
        pthread_join(threads[i], NULL);
}

#define POLICIES(...)                                                                              \
    &(const struct policies)                                                                       \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }

/* 64 tokens of one rank: enough for more than one part. */
#define SCENE(...)                                                                                 \
    &(const struct mv_scene)                                                                       \
    {                                                                                              \
        .ranks = 1, .slots = 16, .shared = 1, .tokens = MV_TOKENS, .payloads = 3, .even = true,    \
        __VA_ARGS__                                                                                \
    }

static const struct cf_case CASES[] = {
    {"threads.same", "1 to 8 threads give the same bits and counts", same_bits,
     POLICIES(SLUICE_COPY_STATIC, SLUICE_SHARED_AT_HOME)},
    {"threads.random", "random choices do not depend on the number of threads", same_bits,
     POLICIES(SLUICE_COPY_RANDOM, SLUICE_SHARED_AT_HOME)},
    {"threads.waterfill", "waterfill does not depend on the number of threads", same_bits,
     POLICIES(SLUICE_COPY_STATIC, SLUICE_SHARED_WATERFILL_STATIC)},
    {"threads.dispatch", "dispatch puts the same rows with 1 to 8 threads", moves_same,
     SCENE(.top_k = 6)},
    {"threads.dispatch_fixed", "and in the fixed way, multiplied", moves_same,
     SCENE(.top_k = 6, .fixed = true, .multiply = true, .on_input = true)},
    {"threads.other", "a context may be used from any thread, one at a time", other_thread, NULL},
    {"threads.side_by_side", "contexts in different threads do not meet", side_by_side, NULL},
};
CF_LIST(cf_thread_cases, CASES);
