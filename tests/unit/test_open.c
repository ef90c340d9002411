/* open and close: what is refused, what is needed, what happens without memory. */
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ct.h"
#include "ct_sluice.h"

/* An allocator that fails at one allocation and knows what has not come back. */
struct account {
    int64_t fail_at, made, live, bytes;
};

static void *take(void *user, size_t bytes, size_t align, int32_t kind, sluice_device device)
{
    (void)kind, (void)device;
    struct account *account = user;
    if (++account->made == account->fail_at)
        return NULL;
    account->live++;
    account->bytes += (int64_t)bytes;
    return aligned_alloc(align, bytes);
}

static void give(void *user, void *data, size_t bytes, int32_t kind, sluice_device device)
{
    (void)kind, (void)device;
    struct account *account = user;
    account->live--;
    account->bytes -= (int64_t)bytes;
    free(data);
}

static sluice_config everything(struct account *account, sluice_host *host,
                                sluice_transport *transport)
{
    sluice_router router = ct_deepseek_v3();
    sluice_config config = ct_config(&router, 3, 0, 1);
    *host = (sluice_host){
        .struct_size = sizeof *host, .user = account, .alloc = take, .free = give, .threads = 2};
    *transport = (sluice_transport){.struct_size = sizeof *transport,
                                    .max_tokens = 32,
                                    .fixed_tokens = 16,
                                    .payload_row_bytes = 512,
                                    .lanes = 2};
    config.host = host;
    config.transport = transport;
    config.uses = SLUICE_USE_EXACT | SLUICE_USE_FIXED | SLUICE_USE_BALANCE_NOW;
    config.shared_policy = SLUICE_SHARED_WATERFILL_DYNAMIC;
    config.copy_policy = SLUICE_COPY_BALANCED;
    return config;
}

CT(open, survives_every_failed_allocation,
   "every allocation of open may fail: NO_MEMORY, and all that was taken comes back")
{
    for (int64_t fail_at = 1;; fail_at++) {
        struct account account = {.fail_at = fail_at};
        sluice_host host;
        sluice_transport transport;
        sluice_config config = everything(&account, &host, &transport);
        sluice_context *context = NULL;
        char text[256] = "";
        sluice_status status = ct_api()->open(&config, &context, text, sizeof text);
        ct_note("allocation %lld: %s", (long long)fail_at, text);
        if (status == SLUICE_OK) {
            ct_true(fail_at > 5);
            ct_api()->close(context);
            ct_eq_i64(account.live, 0);
            ct_eq_i64(account.bytes, 0);
            return;
        }
        ct_eq_i64(status, SLUICE_NO_MEMORY);
        ct_true(context == NULL);
        ct_true(text[0] != 0);
        ct_eq_i64(account.live, 0);
        ct_eq_i64(account.bytes, 0);
    }
}

CT(open, query_keeps_nothing, "a query says what is needed and keeps nothing")
{
    struct account account = {0};
    sluice_host host;
    sluice_transport transport;
    sluice_needs needs = {.struct_size = sizeof needs};
    sluice_config config = everything(&account, &host, &transport);
    config.flags = SLUICE_OPEN_QUERY;
    config.needs = &needs;
    ct_eq_i64(ct_api()->open(&config, NULL, NULL, 0), SLUICE_OK);
    ct_eq_i64(account.live, 0);
    ct_true(needs.host_bytes > 0);
    ct_true(needs.fixed_rows >= 16);
    ct_eq_i64(needs.threads, 1);
}

CT(open, needs_cover_what_is_taken, "needs are at least what open allocates")
{
    struct account account = {0};
    sluice_host host;
    sluice_transport transport;
    sluice_needs needs = {.struct_size = sizeof needs};
    sluice_config config = everything(&account, &host, &transport);
    config.needs = &needs;
    sluice_context *context = ct_open(&config);
    ct_true(context != NULL);
    int64_t taken = account.bytes;
    ct_api()->close(context);
    int64_t slack = account.made * 64; /* of rounding up to a cache line */
    ct_note("took %lld, told %llu + %llu", (long long)taken, (unsigned long long)needs.host_bytes,
            (unsigned long long)needs.staging_bytes);
    ct_true((int64_t)(needs.host_bytes + needs.staging_bytes) + slack >= taken);
}

static void expect_refused(const sluice_config *config, sluice_status want, const char *part)
{
    char text[256] = "";
    sluice_context *context = (sluice_context *)(uintptr_t)1;
    ct_eq_i64(ct_api()->open(config, &context, text, sizeof text), want);
    ct_true(context == NULL);
    ct_str_has(text, part);
}

CT(open, names_what_is_wrong, "open names the member, what it is and what it must be")
{
    sluice_router router = ct_deepseek_v3();
    const sluice_config good = ct_config(&router, 1, 0, 4);
    sluice_config bad = good;
    bad.struct_size = 8;
    expect_refused(&bad, SLUICE_INVALID, "config.struct_size is 8");
    bad = good;
    bad.layers = NULL;
    expect_refused(&bad, SLUICE_INVALID, "config.layers is NULL");
    bad = good;
    bad.max_ranks = 2;
    expect_refused(&bad, SLUICE_INVALID, "config.max_ranks is 2");
    bad = good;
    bad.uses = SLUICE_USE_EXACT;
    expect_refused(&bad, SLUICE_INVALID, "config.transport is NULL");
    bad = good;
    bad.copy_policy = 9;
    expect_refused(&bad, SLUICE_INVALID, "config.copy_policy is 9");
    bad = good;
    bad.device.type = SLUICE_CUDA;
    expect_refused(&bad, SLUICE_UNSUPPORTED, "config.device.type is 2");
    bad = good;
    bad.shared_policy = SLUICE_SHARED_WATERFILL_DYNAMIC;
    expect_refused(&bad, SLUICE_INVALID, "BALANCE_NOW");
    expect_refused(NULL, SLUICE_INVALID, "config is NULL");
}

CT(open, refuses_what_it_does_not_know, "a non-zero byte behind the known config is UNSUPPORTED")
{
    struct {
        sluice_config config;
        int64_t later;
    } newer = {.later = 0};
    sluice_router router = ct_deepseek_v3();
    newer.config = ct_config(&router, 1, 0, 1);
    newer.config.struct_size = sizeof newer;
    sluice_context *context = ct_open(&newer.config);
    ct_true(context != NULL);
    ct_api()->close(context);
    newer.later = 1;
    expect_refused(&newer.config, SLUICE_UNSUPPORTED, "byte");
}

CT(open, two_models_at_once, "contexts of two models do not meet")
{
    sluice_router big = ct_deepseek_v3();
    sluice_router small = {.struct_size = sizeof small, .experts = 8, .top_k = 2, .renorm = 1};
    sluice_config target = ct_config(&big, 2, 0, 1), draft = ct_config(&small, 1, 0, 1);
    target.label = "target";
    draft.label = "draft";
    sluice_context *a = ct_open(&target), *b = ct_open(&draft);
    ct_true(a && b);
    sluice_record_args args = {.struct_size = sizeof args, .layer = 1};
    ct_eq_i64(ct_api()->record(b, &args), SLUICE_INVALID);
    ct_str_has(ct_error(b), "draft: layer is 1: must be 0 to 0");
    ct_str_eq(ct_error(a), "");
    ct_api()->close(a);
    ct_api()->close(b);
}

CT(open, child_after_fork_is_told, "a context used after fork answers NOT_READY")
{
    sluice_router router = ct_deepseek_v3();
    sluice_config config = ct_config(&router, 1, 0, 1);
    sluice_context *context = ct_open(&config);
    ct_true(context != NULL);
    int32_t ids[8] = {0};
    sluice_record_args args = {.struct_size = sizeof args,
                               .recorder_ids = ct_tensor(ids, CT_I32, 1, 8)};
    pid_t child = fork();
    if (child == 0)
        _exit(ct_api()->record(context, &args) == SLUICE_NOT_READY ? 0 : 1);
    int state = -1;
    ct_eq_i64(waitpid(child, &state, 0), child);
    ct_eq_i64(state, 0);
    ct_eq_i64(ct_api()->record(context, &args), SLUICE_OK);
    ct_api()->close(context);
}
