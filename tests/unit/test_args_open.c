/* Bad members of open's config: each is refused with its status and a text that says which it was,
 * what it was and what it should be; no context is left, and `needs` is as it was. */
#include <string.h>

#include "ct.h"
#include "ct_sluice.h"

struct setup {
    sluice_config config;
    sluice_host host;
    sluice_comm comm;
    sluice_layer layer[2];
    const sluice_layer *layers[2];
    sluice_router router;
    sluice_transport transport;
    sluice_needs needs;
    int32_t bank;
};

enum kind { INT, LONG, SIZE, FLOAT, NONE };

struct row {
    size_t at;
    enum kind kind;
    int64_t value;
    sluice_status status;
    const char *says;
};

#define AT(member_) offsetof(struct setup, member_)
#define INVALID SLUICE_INVALID
#define UNSUPPORTED SLUICE_UNSUPPORTED

static const struct row rows[] = {
    {AT(config.struct_size), SIZE, 0, INVALID, "config.struct_size is 0: must be "},
    {AT(config.struct_size), SIZE, 4097, INVALID, "config.struct_size is 4097: must be "},
    {AT(config.layers), NONE, 0, INVALID, "config.layers is NULL"},
    {AT(config.transport), NONE, 0, INVALID, "config.transport is NULL: required with USE_EXACT"},
    {AT(config.device.type), INT, 2, UNSUPPORTED, "config.device.type is 2: this backend serves 1"},
    {AT(config.layer_count), INT, 0, INVALID, "config.layer_count is 0: must be 1 to "},
    {AT(config.layer_count), INT, -3, INVALID, "config.layer_count is -3: must be 1 to "},
    {AT(config.uses), INT, 32, INVALID, "config.uses is 32: must be 0 to 31"},
    {AT(config.uses), INT, SLUICE_USE_MIGRATE, UNSUPPORTED, "config.uses has MIGRATE"},
    {AT(config.uses), INT, SLUICE_USE_EXACT | SLUICE_USE_SUMMED_LOAD, INVALID,
     "config.comm lacks one of isend, irecv, poll, cancel and resume: config.uses has SUMMED_LOAD"},
    {AT(config.flags), INT, 8, INVALID, "config.flags is 8: must be 0 to 7"},
    {AT(config.flags), INT, SLUICE_OPEN_EVERY_RANK_EVERY_ROW, UNSUPPORTED,
     "config.uses has a dispatch: with EVERY_RANK_EVERY_ROW"},
    {AT(config.max_ranks), INT, 1, INVALID, "config.max_ranks is 1: must be at least comm.size, 2"},
    {AT(config.max_ranks), INT, 1025, INVALID, "config.max_ranks is 1025: must be 0 to 1024"},
    {AT(config.copy_policy), INT, 3, INVALID, "config.copy_policy is 3: must be 0 to 2"},
    {AT(config.shared_policy), INT, -1, INVALID, "config.shared_policy is -1: must be 0 to 4"},
    {AT(config.shared_policy), INT, 3, INVALID, "config.uses must have BALANCE_NOW"},
    {AT(config.timeout_ns), LONG, -1, INVALID, "config.timeout_ns is -1: must not be negative"},
    {AT(host.struct_size), SIZE, 8, INVALID, "config.host.struct_size is 8: must be "},
    {AT(host.threads), INT, -1, INVALID, "config.host.threads is -1: must be 0 to 64"},
    {AT(host.threads), INT, 65, INVALID, "config.host.threads is 65: must be 0 to 64"},
    {AT(comm.struct_size), SIZE, 0, INVALID, "config.comm.struct_size is 0: must be "},
    {AT(comm.size), INT, 0, INVALID, "config.comm.size is 0: must be 1 to 1024"},
    {AT(comm.rank), INT, 2, INVALID, "config.comm.rank is 2: must be 0 to 1"},
    {AT(comm.rank), INT, -1, INVALID, "config.comm.rank is -1: must be 0 to 1"},
    {AT(layers[1]), NONE, 0, INVALID, "config.layers[1] is NULL"},
    {AT(layer[1].struct_size), SIZE, 0, INVALID, "config.layers[1].struct_size is 0: must be "},
    {AT(layer[1].router), NONE, 0, INVALID, "config.layers[1].router is NULL"},
    {AT(layer[1].slots_per_rank), INT, 3, INVALID, "config.layers[1].slots_per_rank is 3: 2 ranks"},
    {AT(layer[1].slots_per_rank), INT, -1, INVALID,
     "slots_per_rank is -1: with 2 ranks it must be 1"},
    {AT(layer[0].slots_per_rank), INT, 5, INVALID,
     "config.layers[1].bank is 0, which has 8 experts"},
    {AT(bank), INT, 1, SLUICE_OK, ""},
    {AT(bank), INT, 2, INVALID, "config.layers[1].bank is 2: must be a layer that is its own bank"},
    {AT(bank), INT, -1, INVALID, "config.layers[1].bank is -1: must be a layer that is its own"},
    {AT(router.struct_size), SIZE, 0, INVALID, "config.layers[0].router.struct_size is 0: must be"},
    {AT(router.experts), INT, 0, INVALID, "config.layers[0].router.experts is 0: must be 1"},
    {AT(router.top_k), INT, 9, INVALID, "config.layers[0].router.top_k is 9: must be at most"},
    {AT(router.groups), INT, 3, INVALID,
     "config.layers[0].router.groups is 3: must divide experts"},
    {AT(router.score), INT, 3, INVALID, "config.layers[0].router.score is 3: must be 0 ... 2"},
    {AT(router.scale), FLOAT, -1, INVALID, "config.layers[0].router.scale is -1: must be finite"},
    {AT(transport.struct_size), SIZE, 0, INVALID, "config.transport.struct_size is 0: must be "},
    {AT(transport.max_tokens), LONG, 0, INVALID, "config.transport.max_tokens is 0: must be 1 to "},
    {AT(transport.payload_row_bytes), LONG, 0, INVALID, "payload_row_bytes is 0: must be 1 to "},
    {AT(transport.lanes), INT, 9, INVALID, "config.transport.lanes is 9: must be 0 to 8"},
    {AT(transport.max_payloads), INT, -1, INVALID, "transport.max_payloads is -1: must be 0 to 8"},
    {AT(transport.row_layout), INT, 1, INVALID, "config.transport.row_layout is STRIDED: fixed"},
    {AT(transport.combine_order), INT, 2, INVALID, "transport.combine_order is 2: must be 0 to 1"},
    {AT(needs.struct_size), SIZE, 8, INVALID, "config.needs.struct_size is 8: must be "},
};

static sluice_status gather(void *user, int32_t channel, const void *send, void *recv, size_t bytes,
                            int64_t timeout_ns, int32_t *peer)
{
    (void)user, (void)channel, (void)send, (void)recv, (void)bytes, (void)timeout_ns;
    *peer = -1;
    ct_record(__FILE__, __LINE__, "a query or a refused open spoke to its peers");
    return SLUICE_PEER_LOST;
}

static sluice_status exchange(void *user, int32_t channel, const void *const *send,
                              const size_t *send_bytes, void *const *recv, const size_t *recv_bytes,
                              int64_t timeout_ns, int32_t *peer)
{
    (void)send_bytes, (void)recv_bytes, (void)recv;
    return gather(user, channel, send, NULL, 0, timeout_ns, peer);
}

/* Rank 0 of 2, two layers on one bank. */
static void fill(struct setup *s)
{
    memset(s, 0, sizeof *s);
    s->router = (sluice_router){.struct_size = sizeof s->router, .experts = 8, .top_k = 2};
    s->host.struct_size = sizeof s->host;
    s->comm = (sluice_comm){
        .struct_size = sizeof s->comm, .size = 2, .all_gather = gather, .all_to_all = exchange};
    for (int32_t i = 0; i < 2; i++) {
        s->layer[i].struct_size = sizeof s->layer[i];
        s->layer[i].router = &s->router;
        s->layers[i] = &s->layer[i];
    }
    s->layer[1].bank = &s->bank;
    s->transport = (sluice_transport){
        .struct_size = sizeof s->transport, .max_tokens = 4, .payload_row_bytes = 16};
    s->needs.struct_size = sizeof s->needs;
    s->config = (sluice_config){.struct_size = sizeof s->config,
                                .host = &s->host,
                                .comm = &s->comm,
                                .layers = s->layers,
                                .transport = &s->transport,
                                .needs = &s->needs,
                                .layer_count = 2,
                                .uses = SLUICE_USE_EXACT,
                                .timeout_ns = 1};
}

static void spoil(struct setup *s, const struct row *row)
{
    char *at = (char *)s + row->at;
    if (row->kind == INT)
        *(int32_t *)(void *)at = (int32_t)row->value;
    else if (row->kind == LONG)
        *(int64_t *)(void *)at = row->value;
    else if (row->kind == SIZE)
        *(size_t *)(void *)at = (size_t)row->value;
    else if (row->kind == FLOAT)
        *(float *)(void *)at = (float)row->value;
    else
        *(void **)(void *)at = NULL;
}

static void expect_row(const struct row *row, int32_t flags)
{
    struct setup *setup = ct_alloc(sizeof *setup);
    fill(setup);
    setup->config.flags = flags;
    spoil(setup, row);
    const sluice_needs before = setup->needs;
    char text[256] = "";
    sluice_context *context = (sluice_context *)(uintptr_t)1;
    ct_expect_eq_i64(ct_api()->open(&setup->config, &context, text, sizeof text), row->status);
    ct_expect_true(context == NULL);
    ct_expect_str_has(text, row->says);
    if (row->status)
        ct_expect_eq_mem(&setup->needs, &before, sizeof before);
}

CT(args, open_query, "a query refuses every bad member as open would, and speaks to no peer")
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ct_note("row %zu: %s", i, rows[i].says);
        expect_row(&rows[i], SLUICE_OPEN_QUERY);
    }
}

CT(args, open, "open refuses every bad member by name before it speaks to a peer")
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ct_note("row %zu: %s", i, rows[i].says);
        if (rows[i].status)
            expect_row(&rows[i], 0);
    }
}

CT(args, open_summed_load, "SUMMED_LOAD without collectives is refused by its own name")
{
    sluice_router router = {.struct_size = sizeof router, .experts = 4, .top_k = 1};
    sluice_config config = ct_config(&router, 1, 0, 2);
    sluice_context *context = NULL;
    char text[256];
    config.uses = SLUICE_USE_SUMMED_LOAD;
    ct_eq_i64(ct_api()->open(&config, &context, text, sizeof text), SLUICE_INVALID);
    ct_str_has(text, "config.comm has no all_gather and all_to_all: config.uses has SUMMED_LOAD");
}

CT(args, open_without_text, "open needs no place for a text, and cuts to a small one")
{
    struct setup *setup = ct_alloc(sizeof *setup);
    fill(setup);
    setup->config.layer_count = 0;
    sluice_context *context;
    char text[8] = "???????";
    ct_eq_i64(ct_api()->open(&setup->config, &context, NULL, 0), SLUICE_INVALID);
    ct_eq_i64(ct_api()->open(&setup->config, &context, NULL, 100), SLUICE_INVALID);
    ct_eq_i64(ct_api()->open(&setup->config, &context, text, 0), SLUICE_INVALID);
    ct_str_eq(text, "???????");
    ct_eq_i64(ct_api()->open(&setup->config, &context, text, 5), SLUICE_INVALID);
    ct_str_eq(text, "conf");
    ct_eq_i64(text[5], '?');
    setup->config.layer_count = 2;
    ct_eq_i64(ct_api()->open(&setup->config, NULL, text, sizeof text), SLUICE_INVALID);
    ct_str_eq(text, "context");
}
