/* SPDX-License-Identifier: Apache-2.0
 * The engine's services: its allocator fails at every allocation once and gets everything back. */
#include <stdlib.h>
#include <string.h>

#include "conform.h"

enum { MOST = 4096 };

struct block {
    void *data;
    size_t bytes;
    int32_t kind;
};

struct heap {
    struct block blocks[MOST];
    int32_t held, asked, fail_at; /* fail_at -1: never */
    bool wrong;
    char why[200];
};

static struct heap heap;

static void *heap_alloc(void *user, size_t bytes, size_t align, int32_t kind, sluice_device device)
{
    struct heap *own = user;
    if (align == 0 || (align & (align - 1)) || kind < SLUICE_MEM_STATE ||
        kind > SLUICE_MEM_REGISTRABLE) {
        own->wrong = true;
        return NULL;
    }
    if (own->asked++ == own->fail_at || own->held == MOST)
        return NULL;
    void *data = cf_take(bytes, align, device);
    if (!data)
        return NULL;
    cf_scrub(data, 0xA7, bytes, device); /* nobody promised zeros */
    own->blocks[own->held++] = (struct block){data, bytes, kind};
    return data;
}

static void heap_free(void *user, void *data, size_t bytes, int32_t kind, sluice_device device)
{
    struct heap *own = user;
    for (int32_t i = 0; i < own->held; i++)
        if (own->blocks[i].data == data) {
            if (own->blocks[i].bytes != bytes || own->blocks[i].kind != kind)
                own->wrong = true;
            cf_scrub(data, 0xDD, own->blocks[i].bytes, device);
            cf_give(data, device);
            own->blocks[i] = own->blocks[--own->held];
            return;
        }
    own->wrong = true;
}

static void use_heap(struct cf_setup *setup)
{
    heap = (struct heap){.fail_at = -1};
    setup->config.host = &setup->host;
    setup->host.user = &heap;
    setup->host.alloc = heap_alloc;
    setup->host.free = heap_free;
}

static void setup_all(struct cf_setup *setup)
{
    cf_setup(setup, 3, 16, 4, 2);
    setup->config.uses = SLUICE_USE_EXACT | SLUICE_USE_FIXED;
    setup->config.transport = &setup->transport;
    setup->transport.lanes = 2;
    setup->config.shared_policy = SLUICE_SHARED_WATERFILL_STATIC;
    use_heap(setup);
}

static void every_allocation(const void *what)
{
    (void)what;
    struct cf_setup setup;
    setup_all(&setup);
    int32_t n = 0;
    for (;; n++) {
        use_heap(&setup);
        heap.fail_at = n;
        sluice_context *context = NULL;
        char text[512] = "";
        sluice_status status = cf_api->open(&setup.config, &context, text, sizeof text);
        CHECK(!heap.wrong, "the allocator was called with wrong arguments");
        if (status == SLUICE_OK) {
            CHECK(heap.asked <= n, "allocation %d failed and open did not notice", n);
            cf_api->close(context);
            CHECK_EQ(heap.held, 0, "blocks held after close");
            break;
        }
        CHECK(status == SLUICE_NO_MEMORY, "allocation %d failed: got %s: %s", n,
              cf_status_name(status), text);
        CHECK(text[0], "NO_MEMORY without a text");
        CHECK(!context, "a failed open left a context");
        CHECK_EQ(heap.held, 0, "blocks held after allocation %d failed", n);
        CHECK(n < 1000, "open makes more than 1000 allocations");
    }
    CHECK(n > 0, "open allocated nothing from the engine's allocator");
}

static void gives_back(const void *what)
{
    (void)what;
    struct cf_setup setup;
    setup_all(&setup);
    setup.host.threads = 3;
    sluice_context *context = cf_open(&setup);
    CHECK(heap.held > 0 || cf_memory, "open allocated nothing from the engine's allocator");
    cf_api->close(context);
    CHECK_EQ(heap.held, 0, "blocks held after close");
    CHECK(!heap.wrong, "free was called with another size or kind than alloc");
}

static void query_holds_nothing(const void *what)
{
    (void)what;
    struct cf_setup setup;
    setup_all(&setup);
    setup.config.flags = SLUICE_OPEN_QUERY;
    sluice_status status = cf_api->open(&setup.config, NULL, NULL, 0);
    cf_served(&setup.config, status, "what the query asks for");
    EXPECT_TEXT("", status, SLUICE_OK, NULL);
    CHECK_EQ(heap.held, 0, "blocks held after a query");
    CHECK(!heap.wrong, "free was called with another size or kind than alloc");
    setup.config.flags = 0;
    setup.router[2].top_k = 99;
    sluice_context *context = NULL;
    char text[512] = "";
    EXPECT_TEXT(text, cf_api->open(&setup.config, &context, text, sizeof text), SLUICE_INVALID,
                "layers[2]", "top_k");
    CHECK_EQ(heap.held, 0, "blocks held after a refused open");
}

/* Memory that is not zero must not show: the same results as from a plain allocator. */
static void dirty_memory(const void *what)
{
    (void)what;
    struct cf_setup setup;
    cf_setup(&setup, 1, 16, 4, 1);
    use_heap(&setup);
    sluice_context *context = cf_open(&setup);
    int64_t counters[16];
    cf_counters(context, 0, counters, 16);
    for (int32_t p = 0; p < 16; p++)
        CHECK_EQ(counters[p], 0, "counter %d of a new context", p);
    cf_api->close(context);
}

/* Calls that a stream has not come to are done when their context's memory goes back: an engine may
 * give it to somebody else at once. */
static void not_in_use(const void *what)
{
    (void)what;
    enum { ROWS = 2000, CALLS = 6 };
    struct cf_setup setup;
    cf_setup(&setup, 1, 16, 4, 1);
    use_heap(&setup);
    void *stream = NULL;
    if (cf_memory)
        EXPECT_OK(NULL, cf_memory->stream(cf_device(), &stream));
    sluice_context *context = cf_open(&setup);
    struct cf_array *ids = cf_array(CF_I32, ROWS, 4), *recorder = cf_array(CF_I32, ROWS, 4);
    for (int32_t i = 0; i < ROWS * 4; i++)
        cf_put(ids, i / 4, i % 4, 1 + i % 15);
    const sluice_remap_args args = {
        .struct_size = sizeof args, .stream = stream, .ids = &ids->t, .recorder_ids = &recorder->t};
    cf_push();
    for (int32_t i = 0; i < CALLS; i++)
        EXPECT_OK(context, cf_api->remap(context, &args));
    cf_api->close(context);
    if (cf_memory)
        EXPECT_OK(NULL, cf_memory->wait(cf_device(), stream));
    cf_pull();
    for (int32_t i = 0; i < ROWS * 4; i++)
        CHECK_EQ(cf_id(recorder, i / 4, i % 4), 1 + i % 15, "choice %d of a call before close", i);
    if (cf_memory)
        cf_memory->stream_free(cf_device(), stream);
}

static int64_t ticks;

static int64_t count_ticks(void *user)
{
    (void)user;
    return ticks += 1000;
}

static void clock_only_when_timed(const void *what)
{
    (void)what;
    struct cf_setup setup;
    cf_setup(&setup, 1, 16, 4, 0);
    setup.config.host = &setup.host;
    setup.host.clock = count_ticks;
    sluice_context *context = cf_open(&setup);
    struct cf_array *ids = cf_array(CF_I32, 4, 4);
    sluice_record_args args = {.struct_size = sizeof args, .recorder_ids = &ids->t};
    int64_t before = ticks;
    EXPECT_OK(context, cf_call_record(context, &args));
    CHECK_EQ(ticks, before, "the clock, read while timing is off");
    EXPECT_OK(context, cf_stats()->set_timing(context, 1));
    EXPECT_OK(context, cf_call_record(context, &args));
    CHECK(ticks > before, "the engine's clock was not read while timing is on");
    sluice_stats stats = {.struct_size = sizeof stats};
    EXPECT_OK(context, cf_stats()->read(context, &stats));
    CHECK(stats.nanoseconds[SLUICE_OP_RECORD] >= 1000, "record took no time on a clock that runs");
    CHECK_EQ(stats.calls[SLUICE_OP_RECORD], 2, "calls of record");
    EXPECT_OK(context, cf_stats()->reset(context));
    EXPECT_OK(context, cf_stats()->read(context, &stats));
    CHECK_EQ(stats.calls[SLUICE_OP_RECORD], 0, "calls of record after a reset");
    cf_api->close(context);
}

static const struct cf_case CASES[] = {
    {"host.no_memory", "an allocation that fails in open is NO_MEMORY and nothing stays",
     every_allocation, NULL},
    {"host.gives_back", "close gives back all memory, with the size and kind it was asked for",
     gives_back, NULL},
    {"host.query", "a query and a refused open hold no memory", query_holds_nothing, NULL},
    {"host.dirty_memory", "memory from the engine need not be zero", dirty_memory, NULL},
    {"host.not_in_use", "memory that goes back to the engine is not in use on any stream",
     not_in_use, NULL},
    {"host.clock", "the clock is read only while timing is on, and is the engine's",
     clock_only_when_timed, NULL},
};
CF_LIST(cf_host_cases, CASES);
