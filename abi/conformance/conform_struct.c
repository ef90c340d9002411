/* SPDX-License-Identifier: Apache-2.0
 * struct_size: too short, too long, an unknown tail with and without content; NULL arguments. */
#include <stdlib.h>
#include <string.h>

#include "conform.h"

/* A call that works, on a struct that may be longer than the plugin knows. */
struct probe {
    const char *name; /* what the text must name */
    size_t size;
    void *args; /* in a buffer of more than 4096 bytes */
    sluice_status (*call)(struct probe *probe);
    sluice_context *context;
    struct cf_setup setup;
    char text[512];
};

static sluice_status call_topk(struct probe *probe)
{
    return cf_call_topk(probe->context, probe->args);
}

static sluice_status call_remap(struct probe *probe)
{
    return cf_call_remap(probe->context, probe->args);
}

static sluice_status call_record(struct probe *probe)
{
    return cf_call_record(probe->context, probe->args);
}

static sluice_status call_route(struct probe *probe)
{
    return cf_call_route(probe->context, probe->args);
}

static sluice_status call_weights(struct probe *probe)
{
    return cf_api->get_moe_weights(probe->context, probe->args);
}

static sluice_status call_dispatch(struct probe *probe)
{
    return cf_call_dispatch(probe->context, probe->args);
}

/* COUNT and SEND of no payload, then combine. */
static sluice_status call_combine(struct probe *probe)
{
    struct cf_array *ids = cf_ids(CF_I32, 1, 2, (const int32_t[]){0, 3});
    struct cf_array *weights = cf_array(CF_F32, 1, 2);
    static sluice_handle handle;
    int64_t rows = 0;
    sluice_dispatch_args args = {.struct_size = sizeof args,
                                 .phase = SLUICE_DISPATCH_COUNT,
                                 .handle = &handle,
                                 .dispatch_ids = &ids->t,
                                 .dispatch_weights = &weights->t,
                                 .row_count = &rows};
    EXPECT_OK(probe->context, cf_call_dispatch(probe->context, &args));
    args.phase = SLUICE_DISPATCH_SEND;
    EXPECT_OK(probe->context, cf_call_dispatch(probe->context, &args));
    sluice_combine_args *combine = probe->args;
    combine->handle = &handle;
    return cf_call_combine(probe->context, combine);
}

static sluice_status call_slots(struct probe *probe)
{
    return cf_load_api()->add_slots(probe->context, probe->args);
}

static sluice_status call_shape(struct probe *probe)
{
    return cf_placement()->shape(probe->context, 0, probe->args);
}

static sluice_status call_stats(struct probe *probe)
{
    return cf_stats()->read(probe->context, probe->args);
}

static sluice_status call_poll(struct probe *probe)
{
    return cf_ranks()->poll(probe->context, probe->args);
}

static sluice_status call_ranks(struct probe *probe)
{
    return cf_ranks()->set(probe->context, probe->args, NULL);
}

/* open with probe->args in the place of one of its structs. */
static sluice_status open_with(struct probe *probe, const sluice_config *config)
{
    sluice_context *context = NULL;
    probe->text[0] = 0;
    sluice_status status = cf_api->open(config, &context, probe->text, sizeof probe->text);
    CHECK((status == SLUICE_OK) == (context != NULL), "open gave %s and %s context",
          cf_status_name(status), context ? "a" : "no");
    cf_api->close(context);
    return status;
}

static sluice_status open_config(struct probe *probe)
{
    return open_with(probe, probe->args);
}

static sluice_status open_layer(struct probe *probe)
{
    probe->setup.layers[0] = probe->args;
    return open_with(probe, &probe->setup.config);
}

static sluice_status open_router(struct probe *probe)
{
    probe->setup.layer[0].router = probe->args;
    return open_with(probe, &probe->setup.config);
}

static sluice_status open_host(struct probe *probe)
{
    probe->setup.config.host = probe->args;
    return open_with(probe, &probe->setup.config);
}

static sluice_status open_comm(struct probe *probe)
{
    probe->setup.config.comm = probe->args;
    return open_with(probe, &probe->setup.config);
}

static sluice_status open_transport(struct probe *probe)
{
    probe->setup.config.uses = SLUICE_USE_EXACT;
    probe->setup.config.transport = probe->args;
    return open_with(probe, &probe->setup.config);
}

static sluice_status open_needs(struct probe *probe)
{
    probe->setup.config.needs = probe->args;
    return open_with(probe, &probe->setup.config);
}

enum { BUFFER = 8192 };

static void prepare(struct probe *probe, const char *name, const void *args, size_t size,
                    sluice_status (*call)(struct probe *))
{
    memset(probe, 0, sizeof *probe);
    probe->name = name;
    probe->size = size;
    probe->call = call;
    probe->args = calloc(1, BUFFER);
    CHECK(probe->args, "the suite has no memory");
    memcpy(probe->args, args, size);
    cf_setup(&probe->setup, 1, 8, 2, 0);
    probe->setup.config.uses = SLUICE_USE_EXACT;
    probe->setup.config.transport = &probe->setup.transport;
    probe->context = cf_open(&probe->setup);
    probe->setup.config.uses = 0;
    cf_push(); /* calls that are right read what args point at */
}

static void refuse(struct probe *probe, size_t size, sluice_status want)
{
    memcpy(probe->args, &size, sizeof size);
    sluice_status status = probe->call(probe);
    CHECK(status == want, "%s of struct_size %zu (it has %zu): got %s, want %s", probe->name, size,
          probe->size, cf_status_name(status), cf_status_name(want));
    bool opens = probe->text[0] != 0 || probe->call == open_config;
    if (want == SLUICE_OK)
        return;
    char *text = probe->text;
    if (!opens)
        (void)cf_api->last_error(probe->context, probe->text, sizeof probe->text);
    CHECK(strstr(text, "struct_size"), "the text has no \"struct_size\": %s", text);
}

/* One struct through every size. */
static void check_sizes(struct probe *probe)
{
    refuse(probe, probe->size, SLUICE_OK);
    refuse(probe, 0, SLUICE_INVALID);
    refuse(probe, sizeof(size_t), SLUICE_INVALID);
    refuse(probe, probe->size - 1, SLUICE_INVALID);
    refuse(probe, 4097, SLUICE_INVALID);
    refuse(probe, SIZE_MAX, SLUICE_INVALID);
    refuse(probe, probe->size + 8, SLUICE_OK);
    refuse(probe, 4096, SLUICE_OK);
    unsigned char *bytes = probe->args;
    bytes[probe->size] = 1;
    refuse(probe, probe->size, SLUICE_OK);
    refuse(probe, probe->size + 8, SLUICE_UNSUPPORTED);
    bytes[probe->size] = 0;
    bytes[4095] = 1;
    refuse(probe, 4096, SLUICE_UNSUPPORTED);
    refuse(probe, 4095, SLUICE_OK);
}

struct buffers {
    struct cf_array *logits, *ids, *weights, *slots;
};

static struct buffers make_buffers(void)
{
    struct buffers buffers = {cf_array(CF_F32, 3, 8), cf_array(CF_I32, 3, 2),
                              cf_array(CF_F32, 3, 2), cf_array(CF_I32, 3, 2)};
    return buffers;
}

static void operation_sizes(const void *what)
{
    (void)what;
    struct probe probe;
    struct buffers b = make_buffers();
    const sluice_topk_args topk = {sizeof topk, .logits = &b.logits->t, .ids = &b.ids->t,
                                   .weights = &b.weights->t};
    prepare(&probe, "topk", &topk, sizeof topk, call_topk);
    check_sizes(&probe);
    const sluice_remap_args remap = {sizeof remap, .ids = &b.ids->t, .recorder_ids = &b.slots->t};
    prepare(&probe, "remap", &remap, sizeof remap, call_remap);
    check_sizes(&probe);
    const sluice_record_args record = {sizeof record, .recorder_ids = &b.ids->t};
    prepare(&probe, "record", &record, sizeof record, call_record);
    check_sizes(&probe);
    const sluice_weights_args weights = {.struct_size = sizeof weights};
    prepare(&probe, "get_moe_weights", &weights, sizeof weights, call_weights);
    check_sizes(&probe);
}

static void dispatch_sizes(const void *what)
{
    (void)what;
    struct probe probe;
    struct buffers b = make_buffers();
    sluice_handle handle;
    int64_t rows;
    const sluice_dispatch_args dispatch = {sizeof dispatch, .phase = SLUICE_DISPATCH_COUNT,
                                           .handle = &handle, .dispatch_ids = &b.slots->t,
                                           .row_count = &rows};
    prepare(&probe, "dispatch", &dispatch, sizeof dispatch, call_dispatch);
    check_sizes(&probe);
    struct cf_array *rows_back = cf_array(CF_F32, 2, 4), *out = cf_array(CF_F32, 1, 4);
    const sluice_combine_args combine = {sizeof combine, .rows = &rows_back->t, .out = &out->t};
    prepare(&probe, "combine", &combine, sizeof combine, call_combine);
    check_sizes(&probe);
}

static void extension_struct_sizes(const void *what)
{
    (void)what;
    struct probe probe;
    struct buffers b = make_buffers();
    const sluice_route_args route = {sizeof route, .logits = &b.logits->t,
                                     .dispatch_ids = &b.slots->t};
    prepare(&probe, "route", &route, sizeof route, call_route);
    check_sizes(&probe);
    struct cf_array *counts = cf_array(CF_I32, 8, 0);
    cf_push();
    const sluice_load_slots slots = {sizeof slots, .slot_counts = &counts->t};
    cf_push(); /* a device's probe is not called through cf_call_ */
    prepare(&probe, "add_slots", &slots, sizeof slots, call_slots);
    check_sizes(&probe);
}

static void ranks_sizes(const void *what)
{
    (void)what;
    struct probe probe;
    static const uint8_t ALIVE[1] = {1};
    const sluice_ranks ranks = {sizeof ranks, .generation = -1, .alive = ALIVE};
    prepare(&probe, "ranks", &ranks, sizeof ranks, call_ranks);
    unsigned char *bytes = probe.args;
    refuse(&probe, sizeof ranks - 1, SLUICE_INVALID);
    refuse(&probe, 4097, SLUICE_INVALID);
    bytes[probe.size] = 1;
    refuse(&probe, probe.size + 8, SLUICE_UNSUPPORTED);
}

/* Structs that a call fills in: a longer one is filled in as far as is known. */
static void out_sizes(const void *what)
{
    (void)what;
    static const struct {
        const char *name;
        size_t size;
        sluice_status (*call)(struct probe *);
    } OUTS[] = {{"placement shape", sizeof(sluice_placement_shape), call_shape},
                {"stats", sizeof(sluice_stats), call_stats},
                {"fault", sizeof(sluice_fault), call_poll},
                {"needs", sizeof(sluice_needs), open_needs}};
    for (size_t i = 0; i < sizeof OUTS / sizeof *OUTS; i++) {
        struct probe probe;
        static const char ZEROS[512] = "";
        prepare(&probe, OUTS[i].name, ZEROS, OUTS[i].size, OUTS[i].call);
        refuse(&probe, OUTS[i].size, SLUICE_OK);
        refuse(&probe, OUTS[i].size - 1, SLUICE_INVALID);
        refuse(&probe, 4097, SLUICE_INVALID);
        refuse(&probe, OUTS[i].size + 8, SLUICE_OK);
        size_t left;
        memcpy(&left, probe.args, sizeof left);
        CHECK_EQ(left, OUTS[i].size + 8, "struct_size of %s after the call", OUTS[i].name);
        static const unsigned char TAIL[64] = {0};
        const unsigned char *bytes = probe.args;
        CHECK(memcmp(bytes + OUTS[i].size, TAIL, sizeof TAIL) == 0, "%s was written past its end",
              OUTS[i].name);
    }
}

static void open_sizes(const void *what)
{
    (void)what;
    struct probe probe;
    struct cf_setup setup;
    cf_setup(&setup, 1, 8, 2, 0);
    prepare(&probe, "config", &setup.config, sizeof setup.config, open_config);
    check_sizes(&probe);
    prepare(&probe, "layer", &setup.layer[0], sizeof setup.layer[0], open_layer);
    check_sizes(&probe);
    prepare(&probe, "router", &setup.router[0], sizeof setup.router[0], open_router);
    check_sizes(&probe);
    prepare(&probe, "host", &setup.host, sizeof setup.host, open_host);
    check_sizes(&probe);
    cf_setup_rank(&setup, 0, 1);
    prepare(&probe, "comm", &setup.comm, sizeof setup.comm, open_comm);
    check_sizes(&probe);
    prepare(&probe, "transport", &setup.transport, sizeof setup.transport, open_transport);
    check_sizes(&probe);
}

static void param_sizes(const void *what)
{
    (void)what;
    sluice_context *context = cf_open_simple(8, 2, 0);
    struct {
        sluice_param param;
        unsigned char tail[64];
    } longer = {
        .param = {.struct_size = sizeof longer.param, .name = "w", .role = SLUICE_ROLE_BIAS}};
    sluice_param *params[1] = {&longer.param};
    sluice_weights_args args = {.struct_size = sizeof args, .params = params, .param_count = 1};
    EXPECT_OK(context, cf_api->get_moe_weights(context, &args));
    longer.param.struct_size = sizeof longer.param - 8;
    EXPECT(context, cf_api->get_moe_weights(context, &args), SLUICE_INVALID, "struct_size");
    longer.param.struct_size = sizeof longer;
    EXPECT_OK(context, cf_api->get_moe_weights(context, &args));
    longer.tail[3] = 1;
    EXPECT(context, cf_api->get_moe_weights(context, &args), SLUICE_UNSUPPORTED, "struct_size");
}

static void null_args(const void *what)
{
    (void)what;
    sluice_context *context = cf_open_simple(8, 2, 0);
    EXPECT(context, cf_api->topk(context, NULL), SLUICE_INVALID, "NULL");
    EXPECT(context, cf_api->remap(context, NULL), SLUICE_INVALID, "NULL");
    EXPECT(context, cf_api->record(context, NULL), SLUICE_INVALID, "NULL");
    EXPECT(context, cf_api->get_moe_weights(context, NULL), SLUICE_INVALID, "NULL");
    char text[512] = "";
    sluice_context *opened = context;
    sluice_status status = cf_api->open(NULL, &opened, text, sizeof text);
    EXPECT_TEXT(text, status, SLUICE_INVALID, "config");
    CHECK(!opened, "a failed open left a context");
    CHECK_EQ(cf_api->open(NULL, NULL, NULL, 0), SLUICE_INVALID, "open of nothing");
}

static void null_context(const void *what)
{
    (void)what;
    struct buffers b = make_buffers();
    const sluice_topk_args topk = {sizeof topk, .logits = &b.logits->t, .ids = &b.ids->t,
                                   .weights = &b.weights->t};
    const sluice_record_args record = {sizeof record, .recorder_ids = &b.ids->t};
    CHECK_EQ(cf_api->topk(NULL, &topk), SLUICE_INVALID, "topk without a context");
    CHECK_EQ(cf_api->record(NULL, &record), SLUICE_INVALID, "record without a context");
}

static const struct cf_case CASES[] = {
    {"struct.operations", "topk, remap, record and get_moe_weights check struct_size",
     operation_sizes, NULL},
    {"struct.dispatch", "dispatch and combine check struct_size", dispatch_sizes, NULL},
    {"struct.extensions", "route and add_slots check struct_size", extension_struct_sizes, NULL},
    {"struct.ranks", "set of sluice.ranks/1 checks struct_size", ranks_sizes, NULL},
    {"struct.open", "open checks struct_size of everything it reads", open_sizes, NULL},
    {"struct.out", "a struct to fill in is checked, and filled in no further than it is known",
     out_sizes, NULL},
    {"struct.param", "every parameter's struct_size is checked", param_sizes, NULL},
    {"struct.null_args", "NULL for the arguments is INVALID", null_args, NULL},
    {"struct.null_context", "NULL for the context is INVALID", null_context, NULL},
};
CF_LIST(cf_struct_cases, CASES);
