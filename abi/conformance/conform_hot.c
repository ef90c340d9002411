/* SPDX-License-Identifier: Apache-2.0
 * What a call must not do on the side: allocate, write, change the environment or signals. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "conform_move.h"

extern char **environ;

enum { ROWS = 300, EXPERTS = 24, SHARED = 1, TOP_K = 4 };

struct bench {
    sluice_context *context;
    sluice_topk_args topk;
    sluice_remap_args remap;
    sluice_record_args record;
    sluice_route_args route;
    sluice_load_slots slots;
};

static void make_bench(struct bench *bench, struct cf_setup *setup)
{
    struct cf_array *logits = cf_strided(CF_F16, ROWS, EXPERTS, EXPERTS + 8);
    struct cf_array *ids = cf_array(CF_I64, ROWS, TOP_K), *weights = cf_array(CF_F32, ROWS, TOP_K);
    struct cf_array *slots = cf_array(CF_I32, ROWS, TOP_K + SHARED);
    struct cf_array *out = cf_array(CF_F32, ROWS, TOP_K + SHARED);
    struct cf_array *recorder = cf_strided(CF_I32, ROWS, TOP_K, TOP_K + 1);
    struct cf_array *counts = cf_array(CF_I32, EXPERTS / 2 + SHARED, 0);
    struct cf_random random = {.state = 2};
    for (int32_t t = 0; t < ROWS; t++)
        for (int32_t e = 0; e < EXPERTS; e++)
            cf_put(logits, t, e, cf_normal(&random));
    memset(bench, 0, sizeof *bench);
    bench->context = cf_open(setup);
    bench->topk = (sluice_topk_args){.struct_size = sizeof bench->topk,
                                     .logits = &logits->t,
                                     .ids = &ids->t,
                                     .weights = &weights->t};
    bench->remap = (sluice_remap_args){.struct_size = sizeof bench->remap,
                                       .ids = &ids->t,
                                       .weights = &weights->t,
                                       .dispatch_ids = &slots->t,
                                       .dispatch_weights = &out->t,
                                       .recorder_ids = &recorder->t};
    bench->record =
        (sluice_record_args){.struct_size = sizeof bench->record, .recorder_ids = &recorder->t};
    bench->route = (sluice_route_args){.struct_size = sizeof bench->route,
                                       .logits = &logits->t,
                                       .dispatch_ids = &slots->t,
                                       .dispatch_weights = &out->t,
                                       .recorder_ids = &recorder->t};
    bench->slots =
        (sluice_load_slots){.struct_size = sizeof bench->slots, .slot_counts = &counts->t};
    cf_push();
}

static void setup_bench(struct cf_setup *setup)
{
    cf_setup(setup, 1, EXPERTS, TOP_K, SHARED);
    cf_setup_rank(setup, 1, 2);
    setup->config.host = &setup->host;
}

/* One of each, without the suite's own work between. */
static void run_bench(const struct bench *bench)
{
    const sluice_route_api *route = cf_route();
    const sluice_load_api *load = cf_load_api();
    const char *failed = cf_api->topk(bench->context, &bench->topk)       ? "topk"
                         : cf_api->remap(bench->context, &bench->remap)   ? "remap"
                         : cf_api->record(bench->context, &bench->record) ? "record"
                         : route->route(bench->context, &bench->route)    ? "route"
                         : load->add_slots(bench->context, &bench->slots) ? "add_slots"
                                                                          : NULL;
    CHECK(!failed, "%s failed", failed);
}

/* `what`: threads. */
static void no_allocation(const void *what)
{
    struct cf_setup setup;
    struct bench bench;
    setup_bench(&setup);
    setup.host.threads = *(const int32_t *)what;
    make_bench(&bench, &setup);
    for (int i = 0; i < 3; i++) {
        if (!cf_allocations_watch())
            cf_skip("allocations are not seen here");
        run_bench(&bench);
        CHECK_EQ(cf_allocations(), 0, "allocations in hot calls");
    }
    cf_api->close(bench.context);
}

static int32_t host_calls;

static void *count_alloc(void *user, size_t bytes, size_t align, int32_t kind, sluice_device device)
{
    (void)user, (void)kind;
    host_calls++;
    return cf_take(bytes, align, device);
}

static void count_free(void *user, void *data, size_t bytes, int32_t kind, sluice_device device)
{
    (void)user, (void)bytes, (void)kind;
    host_calls++;
    cf_give(data, device);
}

static void no_host_allocation(const void *what)
{
    (void)what;
    struct cf_setup setup;
    struct bench bench;
    setup_bench(&setup);
    setup.host.alloc = count_alloc;
    setup.host.free = count_free;
    setup.config.shared_policy = SLUICE_SHARED_WATERFILL_STATIC;
    make_bench(&bench, &setup);
    host_calls = 0;
    run_bench(&bench);
    CHECK_EQ(host_calls, 0, "calls of the engine's allocator in hot calls");
    if (cf_memory)
        EXPECT_OK(NULL, cf_memory->wait(cf_device(), NULL));
    cf_api->close(bench.context);
}

static void dispatch_allocates_nothing(const void *what)
{
    bool fixed = *(const bool *)what;
    const struct mv_scene scene = {
        .ranks = 1, .slots = 6, .shared = 1, .top_k = 3, .tokens = 20, .fixed = fixed};
    static struct mv_tokens tokens[1];
    struct cf_setup setup;
    struct mv_trip trip;
    mv_setup(&scene, NULL, &setup);
    sluice_context *context = cf_open(&setup);
    mv_draw(&scene, 0, tokens);
    mv_start(&trip, &scene, context, 0, tokens);
    trip.row_count = setup.needs.fixed_rows;
    EXPECT_OK(context, mv_dispatch(&trip)); /* makes the suite's arrays */
    mv_compute(&trip, tokens);
    const sluice_tensor *payloads[1] = {&trip.payloads[0]->t}, *rows[1] = {&trip.rows[0]->t};
    sluice_dispatch_args args = {.struct_size = sizeof args,
                                 .phase = fixed ? SLUICE_DISPATCH_FIXED : SLUICE_DISPATCH_COUNT,
                                 .handle = &trip.handle,
                                 .payload_count = 1,
                                 .payloads = payloads,
                                 .dispatch_ids = &trip.ids->t,
                                 .dispatch_weights = &trip.weights->t,
                                 .rows = rows,
                                 .row_count = &trip.row_count};
    const sluice_combine_args back = {.struct_size = sizeof back,
                                      .handle = &trip.handle,
                                      .rows = &trip.results->t,
                                      .out = &trip.out->t};
    if (!cf_allocations_watch())
        cf_skip("allocations are not seen here");
    sluice_status status = cf_api->dispatch(context, &args);
    args.phase = SLUICE_DISPATCH_SEND;
    if (!status && !fixed)
        status = cf_api->dispatch(context, &args);
    if (!status)
        status = cf_api->combine(context, &back);
    int64_t made = cf_allocations();
    EXPECT_OK(context, status);
    CHECK_EQ(made, 0, "allocations in dispatch and combine");
    cf_api->close(context);
}

static void quiet(const void *what)
{
    (void)what;
    struct cf_setup setup;
    struct bench bench;
    setup_bench(&setup);
    int out[2], err[2];
    CHECK(!pipe(out) && !pipe(err), "no pipe");
    int kept_out = dup(1), kept_err = dup(2);
    (void)dup2(out[1], 1);
    (void)dup2(err[1], 2);
    make_bench(&bench, &setup);
    run_bench(&bench);
    sluice_status status = cf_api->topk(bench.context, NULL);
    cf_api->close(bench.context);
    (void)dup2(kept_out, 1);
    (void)dup2(kept_err, 2);
    close(out[1]);
    close(err[1]);
    char text[64];
    CHECK_EQ(status, SLUICE_INVALID, "topk of nothing");
    CHECK(read(out[0], text, sizeof text) == 0, "the plugin wrote to standard output");
    CHECK(read(err[0], text, sizeof text) == 0, "the plugin wrote to standard error");
}

static void leaves_process(const void *what)
{
    (void)what;
    struct sigaction before[65], after;
    sigset_t mask, mask_after;
    size_t count = 0;
    for (int i = 1; i < 65; i++)
        (void)sigaction(i, NULL, &before[i]);
    (void)sigprocmask(SIG_BLOCK, NULL, &mask);
    static char *names[4096];
    for (; environ && environ[count] && count < 4096; count++)
        CHECK((names[count] = strdup(environ[count])) != NULL, "the suite has no memory");
    struct cf_setup setup;
    struct bench bench;
    setup_bench(&setup);
    setup.host.threads = 2;
    make_bench(&bench, &setup);
    run_bench(&bench);
    for (int i = 1; i < 65; i++)
        if (sigaction(i, NULL, &after) == 0)
            CHECK(after.sa_handler == before[i].sa_handler, "the handler of signal %d changed", i);
    (void)sigprocmask(SIG_BLOCK, NULL, &mask_after);
    for (int i = 1; i < 32; i++)
        CHECK_EQ(sigismember(&mask_after, i), sigismember(&mask, i), "signal %d is blocked", i);
    for (size_t i = 0; i < count; i++)
        CHECK(environ[i] && strcmp(environ[i], names[i]) == 0, "the environment changed: %s",
              names[i]);
    CHECK(!environ || !environ[count], "the environment grew: %s", environ[count]);
    cf_api->close(bench.context);
}

static void after_fork(const void *what)
{
    (void)what;
    struct cf_setup setup;
    struct bench bench;
    setup_bench(&setup);
    setup.host.threads = 3;
    make_bench(&bench, &setup);
    run_bench(&bench);
    pid_t child = fork();
    CHECK(child >= 0, "no process");
    if (child == 0) {
        bool right = cf_api->topk(bench.context, &bench.topk) == SLUICE_NOT_READY &&
                     cf_api->remap(bench.context, &bench.remap) == SLUICE_NOT_READY &&
                     cf_api->record(bench.context, &bench.record) == SLUICE_NOT_READY;
        setup.host.threads = 0;
        sluice_context *own = NULL;
        sluice_status status = cf_api->open(&setup.config, &own, NULL, 0);
        /* A device's driver does not survive fork. */
        bool opens = cf_memory ? status == SLUICE_UNAVAILABLE
                               : status == SLUICE_OK && cf_api->topk(own, &bench.topk) == SLUICE_OK;
        _exit(!right ? 1 : !opens ? 2 : 0);
    }
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child, "the child did not end");
    CHECK(WIFEXITED(status), "the child was killed by signal %d", WTERMSIG(status));
    CHECK(WEXITSTATUS(status) != 1, "a call in the child did not give NOT_READY");
    CHECK(WEXITSTATUS(status) != 2,
          "the child could not open a context of its own, or was not told that it cannot");
    run_bench(&bench);
    cf_api->close(bench.context);
}

#define INT(value_)                                                                                \
    &(const int32_t)                                                                               \
    {                                                                                              \
        value_                                                                                     \
    }

static const struct cf_case CASES[] = {
    {"hot.no_allocation", "topk, remap, record, route and add_slots allocate nothing",
     no_allocation, INT(1)},
    {"hot.no_allocation_threads", "nor with threads", no_allocation, INT(4)},
    {"hot.no_host_allocation", "nor from the engine's allocator, under waterfill either",
     no_host_allocation, NULL},
    {"hot.dispatch", "exact dispatch and combine allocate nothing", dispatch_allocates_nothing,
     &(const bool){false}},
    {"hot.dispatch_fixed", "fixed dispatch and combine allocate nothing",
     dispatch_allocates_nothing, &(const bool){true}},
    {"process.quiet", "nothing is written to standard output or error", quiet, NULL},
    {"process.left_alone", "environment, signal handlers and mask stay as they are", leaves_process,
     NULL},
    {"process.fork",
     "a child gets NOT_READY from its parent's contexts and is told what it can open", after_fork,
     NULL},
};
CF_LIST(cf_hot_cases, CASES);
