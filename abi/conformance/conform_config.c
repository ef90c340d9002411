/* SPDX-License-Identifier: Apache-2.0
 * What open takes and what it refuses; query. */
#include <string.h>

#include "conform.h"

static void refuse(struct cf_setup *setup, sluice_status want, const char *word)
{
    char text[512] = "";
    sluice_context *context = (sluice_context *)(void *)text;
    sluice_status status = cf_api->open(&setup->config, &context, text, sizeof text);
    EXPECT_TEXT(text, status, want, word);
    CHECK(!context, "a failed open left a context");
}

struct bad_router {
    const char *word;
    sluice_router router;
};

/* Each is refused, and the text names the field. */
static const struct bad_router BAD_ROUTERS[] = {
    {"experts", {.experts = 0, .top_k = 1}},
    {"experts", {.experts = -4, .top_k = 1}},
    {"experts", {.experts = 4097, .top_k = 1}},
    {"experts", {.experts = 4090, .top_k = 1, .zero_experts = 7}},
    {"experts", {.experts = INT32_MAX, .top_k = 1, .zero_experts = INT32_MAX}},
    {"top_k", {.experts = 8, .top_k = 0}},
    {"top_k", {.experts = 128, .top_k = 65}},
    {"top_k", {.experts = 8, .top_k = 9}},
    {"zero_experts", {.experts = 8, .top_k = 2, .zero_experts = -1}},
    {"zero_kind", {.experts = 8, .top_k = 2, .zero_kind = 2}},
    {"score", {.experts = 8, .top_k = 2, .score = 3}},
    {"bias_use", {.experts = 8, .top_k = 2, .bias_use = 4}},
    {"bias_rows", {.experts = 8, .top_k = 2, .bias_rows = -1}},
    {"groups", {.experts = 8, .top_k = 2, .groups = 3}},
    {"groups", {.experts = 130, .top_k = 2, .groups = 65}},
    {"groups", {.experts = 8, .top_k = 2, .groups = -2}},
    {"zero_experts", {.experts = 8, .top_k = 2, .groups = 4, .keep_groups = 2, .zero_experts = 2}},
    {"keep_groups", {.experts = 8, .top_k = 2, .groups = 4, .keep_groups = 5}},
    {"keep_groups", {.experts = 8, .top_k = 5, .groups = 4, .keep_groups = 2}},
    {"group_value",
     {.experts = 8, .top_k = 2, .groups = 8, .keep_groups = 4, .group_value = SLUICE_GROUP_TOP2}},
    {"group_mode", {.experts = 8, .top_k = 2, .groups = 4, .group_mode = 2}},
    {"top_k", {.experts = 8, .top_k = 3, .groups = 2, .group_mode = SLUICE_GROUPS_EVEN}},
    {"renorm", {.experts = 8, .top_k = 2, .renorm = 2}},
    {"scale_by", {.experts = 8, .top_k = 2, .scale_by = 2}},
    {"shared", {.experts = 8, .top_k = 2, .shared = 9}},
    {"shared", {.experts = 8, .top_k = 2, .shared = -1}},
    {"shared_weight", {.experts = 8, .top_k = 2, .shared = 1, .shared_weight = 3}},
    {"shared", {.experts = 8, .top_k = 2, .shared_weight = SLUICE_SHARED_JOINT}},
    {"weight_on", {.experts = 8, .top_k = 2, .weight_on = 2}},
};

static void bad_routers(const void *what)
{
    (void)what;
    for (size_t i = 0; i < sizeof BAD_ROUTERS / sizeof *BAD_ROUTERS; i++) {
        struct cf_setup setup;
        cf_setup(&setup, 1, 8, 2, 0);
        setup.router[0] = BAD_ROUTERS[i].router;
        setup.router[0].struct_size = sizeof(sluice_router);
        refuse(&setup, SLUICE_INVALID, BAD_ROUTERS[i].word);
    }
}

static void bad_config(const void *what)
{
    (void)what;
    struct cf_setup setup;
#define REFUSE(word_, ...)                                                                         \
    do {                                                                                           \
        cf_setup(&setup, 2, 8, 2, 0);                                                              \
        __VA_ARGS__;                                                                               \
        refuse(&setup, SLUICE_INVALID, word_);                                                     \
    } while (0)
    REFUSE("layers", setup.config.layers = NULL);
    REFUSE("layers[1]", setup.layers[1] = NULL);
    REFUSE("router", setup.layer[1].router = NULL);
    REFUSE("layer_count", setup.config.layer_count = 0);
    REFUSE("layer_count", setup.config.layer_count = -1);
    REFUSE("uses", setup.config.uses = 1 << 20);
    REFUSE("flags", setup.config.flags = 1 << 20);
    REFUSE("copy_policy", setup.config.copy_policy = 9);
    REFUSE("shared_policy", setup.config.shared_policy = -1);
    REFUSE("max_ranks", setup.config.max_ranks = 1025);
    REFUSE("timeout_ns", setup.config.timeout_ns = -1);
    REFUSE("transport", setup.config.uses = SLUICE_USE_EXACT);
    REFUSE("transport", setup.config.uses = SLUICE_USE_FIXED);
    REFUSE("slots_per_rank", setup.layer[0].slots_per_rank = 7);
    REFUSE("slots_per_rank", setup.layer[0].slots_per_rank = -1);
    REFUSE("slots_per_rank", setup.layer[0].slots_per_rank = 8193);
    REFUSE("threads", setup.config.host = &setup.host; setup.host.threads = 65);
    REFUSE("threads", setup.config.host = &setup.host; setup.host.threads = -1);
    REFUSE("rank", cf_setup_rank(&setup, 4, 4));
    REFUSE("rank", cf_setup_rank(&setup, -1, 4));
    REFUSE("size", cf_setup_rank(&setup, 0, 0));
    REFUSE("size", cf_setup_rank(&setup, 0, 1025));
    REFUSE("max_ranks", cf_setup_rank(&setup, 0, 4); setup.config.max_ranks = 3);
    REFUSE("comm", cf_setup_rank(&setup, 0, 4); setup.config.uses = SLUICE_USE_EXACT;
           setup.config.transport = &setup.transport);
#undef REFUSE
}

static void *only_alloc(void *user, size_t bytes, size_t align, int32_t kind, sluice_device device)
{
    (void)user, (void)bytes, (void)align, (void)kind, (void)device;
    return NULL;
}

static void half_allocator(const void *what)
{
    (void)what;
    struct cf_setup setup;
    cf_setup(&setup, 1, 8, 2, 0);
    setup.config.host = &setup.host;
    setup.host.alloc = only_alloc;
    refuse(&setup, SLUICE_INVALID, "free");
}

static void bad_banks(const void *what)
{
    (void)what;
    struct cf_setup setup;
    for (int32_t i = 0; i < 6; i++) {
        cf_setup(&setup, 3, 8, 2, 1);
        setup.layer[2].bank = &setup.bank[2];
        setup.bank[2] = i == 0 ? -1 : i == 1 ? 3 : 0;
        if (i == 2)
            setup.router[2].experts = 7;
        if (i == 3)
            setup.router[2].shared = 2;
        if (i == 4)
            setup.layer[2].slots_per_rank = 9;
        if (i == 5) {
            setup.bank[1] = 0;
            setup.layer[1].bank = &setup.bank[1];
            setup.bank[2] = 1; /* not its own bank */
        }
        refuse(&setup, SLUICE_INVALID, "bank");
    }
}

static void limits(const void *what)
{
    (void)what;
    struct cf_setup setup;
    cf_setup(&setup, 1, 4096, 64, 8);
    cf_setup_rank(&setup, 1023, 1024);
    setup.layer[0].slots_per_rank = 8;
    cf_api->close(cf_open(&setup));
    cf_setup(&setup, 1, 4032, 63, 0);
    setup.router[0].groups = 64;
    setup.router[0].keep_groups = 1;
    cf_api->close(cf_open(&setup));
    cf_setup(&setup, 1, 256, 8, 1);
    setup.layer[0].slots_per_rank = 8192;
    cf_api->close(cf_open(&setup));
}

static void text_cut(const void *what)
{
    (void)what;
    struct cf_setup setup;
    char text[12];
    sluice_context *context = NULL;
    cf_setup(&setup, 0, 8, 2, 0);
    memset(text, 'x', sizeof text);
    CHECK_EQ(cf_api->open(&setup.config, &context, text, 6), SLUICE_INVALID, "a bad config");
    CHECK(memchr(text, 0, 6), "the text was not ended inside its size");
    CHECK(text[6] == 'x' && text[11] == 'x', "the text went past its size");
    CHECK_EQ(cf_api->open(&setup.config, &context, NULL, 0), SLUICE_INVALID, "without a text");
    CHECK_EQ(cf_api->open(&setup.config, &context, text, 0), SLUICE_INVALID, "with a size of 0");
    CHECK(text[6] == 'x', "a text of size 0 was written");
}

static void copies_config(const void *what)
{
    (void)what;
    struct cf_setup setup;
    cf_setup(&setup, 1, 6, 2, 1);
    setup.router[0].bias_use = SLUICE_BIAS_NONE;
    sluice_context *context = cf_open(&setup);
    memset(&setup, 0xEE, sizeof setup);
    struct cf_array *logits = cf_array(CF_F32, 1, 6), *ids = cf_array(CF_I32, 1, 2),
                    *weights = cf_array(CF_F32, 1, 2);
    sluice_topk_args args = {
        .struct_size = sizeof args, .logits = &logits->t, .ids = &ids->t, .weights = &weights->t};
    cf_put(logits, 0, 4, 9);
    EXPECT_OK(context, cf_call_topk(context, &args));
    CHECK_EQ(cf_id(ids, 0, 0), 4, "the choice after the config is gone");
    cf_api->close(context);
}

static void query(const void *what)
{
    (void)what;
    struct cf_setup setup;
    cf_setup(&setup, 1, 64, 4, 1);
    setup.config.flags = SLUICE_OPEN_QUERY;
    setup.config.needs = &setup.needs;
    char text[512] = "";
    sluice_context *context = (sluice_context *)(void *)text;
    sluice_status status = cf_api->open(&setup.config, &context, text, sizeof text);
    CHECK(status == SLUICE_OK, "a query gave %s: %s", cf_status_name(status), text);
    CHECK(!context, "a query opened a context");
    sluice_needs without = setup.needs;
    CHECK(without.host_bytes + without.device_bytes > 0, "a context needs no memory");
    CHECK_EQ(without.fixed_rows, 0, "rows of fixed dispatch without USE_FIXED");
    setup.config.uses = SLUICE_USE_FIXED;
    setup.config.transport = &setup.transport;
    status = cf_api->open(&setup.config, &context, text, sizeof text);
    cf_served(&setup.config, status, text);
    EXPECT_TEXT(text, status, SLUICE_OK, NULL);
    CHECK(setup.needs.fixed_rows >= (int64_t)256 * 5,
          "fixed dispatch of 256 tokens, 5 columns, needs %lld rows",
          (long long)setup.needs.fixed_rows);
    CHECK(setup.needs.host_bytes + setup.needs.device_bytes + setup.needs.staging_bytes +
                  setup.needs.pinned_bytes >
              without.host_bytes + without.device_bytes + without.staging_bytes +
                  without.pinned_bytes,
          "fixed dispatch needs no more memory than none");
    sluice_needs asked = setup.needs;
    setup.config.flags = 0;
    setup.needs = (sluice_needs){.struct_size = sizeof setup.needs};
    context = cf_open(&setup);
    CHECK(memcmp(&asked, &setup.needs, sizeof asked) == 0, "open needs another than a query said");
    cf_api->close(context);
    setup.config.flags = SLUICE_OPEN_QUERY;
    EXPECT_TEXT("", cf_api->open(&setup.config, NULL, text, sizeof text), SLUICE_OK, NULL);
    setup.router[0].top_k = 65;
    EXPECT_TEXT(text, cf_api->open(&setup.config, NULL, text, sizeof text), SLUICE_INVALID,
                "top_k");
}

static void not_used(const void *what)
{
    (void)what;
    sluice_context *context = cf_open_simple(8, 2, 0);
    struct cf_array *ids = cf_array(CF_I32, 3, 2);
    sluice_handle handle = {{0}};
    int64_t rows;
    sluice_dispatch_args args = {.struct_size = sizeof args,
                                 .phase = SLUICE_DISPATCH_COUNT,
                                 .handle = &handle,
                                 .dispatch_ids = &ids->t,
                                 .row_count = &rows};
    sluice_status status = cf_call_dispatch(context, &args);
    CHECK(status == SLUICE_UNSUPPORTED || status == SLUICE_INVALID,
          "dispatch without USE_EXACT gave %s", cf_status_name(status));
    struct cf_setup setup;
    cf_setup(&setup, 1, 8, 2, 0);
    setup.config.flags = SLUICE_OPEN_EVERY_RANK_EVERY_ROW;
    setup.config.uses = SLUICE_USE_EXACT;
    setup.config.transport = &setup.transport;
    refuse(&setup, SLUICE_UNSUPPORTED, "EVERY_RANK_EVERY_ROW");
}

static const struct cf_case CASES[] = {
    {"open.routers", "every impossible router is refused by the name of its field", bad_routers,
     NULL},
    {"open.config", "every impossible config is refused by the name of its member", bad_config,
     NULL},
    {"open.half_allocator", "alloc without free is refused", half_allocator, NULL},
    {"open.banks", "a bank must be a layer that is its own bank and of the same shape", bad_banks,
     NULL},
    {"open.limits", "the promised limits are served", limits, NULL},
    {"open.text", "the text of a failed open is cut to fit and may be absent", text_cut, NULL},
    {"open.copies", "layers and routers are copied by open", copies_config, NULL},
    {"open.query", "a query opens nothing and says what open needs", query, NULL},
    {"open.uses", "what was not asked for at open is refused", not_used, NULL},
};
CF_LIST(cf_config_cases, CASES);
