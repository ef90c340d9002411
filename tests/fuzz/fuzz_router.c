/* Any descriptor, config and logits are either refused with a text, or give a result in which every
 * id is in range, the recorder counts what was chosen, the fused call gives the same bits as the
 * three calls, and every code path the same bits as the portable one. */
#include "fuzz_route_case.h"

#include "abi/ext/device.h"
#include "abi/ext/load.h"
#include "abi/ext/placement.h"
#include "abi/ext/route.h"

#include <stdlib.h>
#include <string.h>

static const sluice_tensor *of(const struct fz_tensor *tensor)
{
    return tensor != NULL ? &tensor->tensor : NULL;
}

/* --------------------------------------------------------------------------------- the calls */

static void make_out(const struct fz_case *c, struct fz_out *out, bool fused)
{
    const sluice_router *r = &c->router;
    struct fz_heap *heap = &out->heap;
    int32_t width = r->top_k + c->shared;
    memset(out, 0, sizeof *out);
    out->ids = fz_make(heap, c->id_type, c->tokens, r->top_k, c->gap, true);
    out->weights = fz_make(heap, FZ_F32, c->tokens, r->top_k, c->gap, true);
    if (c->shared_logits != NULL)
        out->shared_weights = fz_make(heap, FZ_F32, c->tokens, r->shared, c->gap, true);
    if (r->zero_experts > 0) {
        out->zero = fz_make(heap, FZ_F32, c->tokens, 0, 0, true);
        if (!fused)
            out->zero_weight = fz_make(heap, FZ_F32, c->tokens, 0, 0, true);
    }
    out->dispatch_ids = fz_make(heap, c->id_type, c->tokens, width, c->gap, true);
    out->dispatch_weights = fz_make(heap, FZ_F32, c->tokens, width, c->gap, true);
    out->recorder_ids = fz_make(heap, c->id_type, c->tokens, r->top_k, c->gap, true);
    out->counts = calloc((size_t)c->physical, sizeof *out->counts);
    FZ_HOLDS(out->counts != NULL);
}

static void free_out(struct fz_out *out)
{
    fz_free(&out->heap);
    free(out->counts);
}

/* One call between guards; what it says must be OK. */
static void guard(struct fz_case *c, struct fz_out *out)
{
    fz_before(&c->heap);
    fz_before(&out->heap);
}

static void judge(struct fz_case *c, struct fz_out *out, sluice_status status)
{
    FZ_HOLDS(status == SLUICE_OK);
    fz_after(&c->heap);
    fz_after(&out->heap);
}

static void call_topk(const sluice_api *api, sluice_context *context, struct fz_case *c,
                      struct fz_out *out)
{
    const sluice_topk_args args = {.struct_size = sizeof args,
                                   .logits = of(c->logits),
                                   .bias = of(c->bias),
                                   .bias_row = of(c->bias_row),
                                   .expert_scale = of(c->expert_scale),
                                   .shared_logits = of(c->shared_logits),
                                   .forced_ids = of(c->forced_ids),
                                   .forced_row = of(c->forced_row),
                                   .row_valid = of(c->row_valid),
                                   .num_valid = of(c->num_valid),
                                   .ids = of(out->ids),
                                   .weights = of(out->weights),
                                   .shared_weights = of(out->shared_weights),
                                   .zero_weight = of(out->zero_weight)};
    guard(c, out);
    judge(c, out, api->topk(context, &args));
}

static void call_remap(const sluice_api *api, sluice_context *context, struct fz_case *c,
                       struct fz_out *out)
{
    const sluice_remap_args args = {.struct_size = sizeof args,
                                    .ids = of(out->ids),
                                    .weights = of(out->weights),
                                    .shared_weights =
                                        c->shared > 0 ? of(out->shared_weights) : NULL,
                                    .zero_weight = of(out->zero_weight),
                                    .row_valid = of(c->row_valid),
                                    .num_valid = of(c->num_valid),
                                    .step = of(c->step),
                                    .row_base = of(c->row_base),
                                    .dispatch_ids = of(out->dispatch_ids),
                                    .dispatch_weights = of(out->dispatch_weights),
                                    .recorder_ids = of(out->recorder_ids),
                                    .zero_weight_here = of(out->zero)};
    guard(c, out);
    judge(c, out, api->remap(context, &args));
}

static void call_record(const sluice_api *api, sluice_context *context, struct fz_case *c,
                        struct fz_out *out)
{
    const sluice_record_args args = {.struct_size = sizeof args,
                                     .recorder_ids = of(out->recorder_ids),
                                     .num_valid = of(c->num_valid)};
    if (c->skip_record)
        return;
    guard(c, out);
    judge(c, out, api->record(context, &args));
}

static void call_route(const sluice_api *api, sluice_context *context, struct fz_case *c,
                       struct fz_out *out)
{
    const sluice_route_api *fused = api->extension(SLUICE_EXT_ROUTE);
    const sluice_route_args args = {.struct_size = sizeof args,
                                    .skip_record = c->skip_record,
                                    .logits = of(c->logits),
                                    .bias = of(c->bias),
                                    .bias_row = of(c->bias_row),
                                    .expert_scale = of(c->expert_scale),
                                    .shared_logits = of(c->shared_logits),
                                    .forced_ids = of(c->forced_ids),
                                    .forced_row = of(c->forced_row),
                                    .row_valid = of(c->row_valid),
                                    .num_valid = of(c->num_valid),
                                    .step = of(c->step),
                                    .row_base = of(c->row_base),
                                    .dispatch_ids = of(out->dispatch_ids),
                                    .dispatch_weights = of(out->dispatch_weights),
                                    .recorder_ids = of(out->recorder_ids),
                                    .ids = of(out->ids),
                                    .weights = of(out->weights),
                                    .shared_weights = of(out->shared_weights),
                                    .zero_weight_here = of(out->zero)};
    guard(c, out);
    judge(c, out, fused->route(context, &args));
}

/* ---------------------------------------------------------------------------------- the runs */

static sluice_context *open_again(const sluice_api *api, const struct fz_case *c)
{
    char text[600] = "";
    sluice_context *context = NULL;
    FZ_HOLDS(api->open(&c->config, &context, text, sizeof text) == SLUICE_OK);
    return context;
}

/* Each way has a context of its own, so that both make the first draw and count alone. */
static void run(const sluice_api *api, struct fz_case *c, struct fz_out *out, bool fused)
{
    const sluice_load_api *load = api->extension(SLUICE_EXT_LOAD);
    sluice_context *context = open_again(api, c);
    make_out(c, out, fused);
    if (fused) {
        call_route(api, context, c, out);
    } else {
        call_topk(api, context, c, out);
        call_remap(api, context, c, out);
        call_record(api, context, c, out);
    }
    FZ_HOLDS(load->snapshot(context, out->counts, c->physical, NULL) == SLUICE_OK);
    api->close(context);
}

static bool same(const struct fz_tensor *a, const struct fz_tensor *b)
{
    return a == NULL || b == NULL || fz_same(a, b);
}

static void check_equal(const struct fz_case *c, const struct fz_out *a, const struct fz_out *b)
{
    FZ_HOLDS(same(a->ids, b->ids));
    FZ_HOLDS(same(a->weights, b->weights));
    FZ_HOLDS(same(a->shared_weights, b->shared_weights));
    FZ_HOLDS(same(a->zero, b->zero));
    FZ_HOLDS(same(a->dispatch_ids, b->dispatch_ids));
    FZ_HOLDS(same(a->dispatch_weights, b->dispatch_weights));
    FZ_HOLDS(same(a->recorder_ids, b->recorder_ids));
    FZ_HOLDS(memcmp(a->counts, b->counts, (size_t)c->physical * sizeof *a->counts) == 0);
}

static void run_all(const sluice_api *api, struct fz_case *c)
{
    const sluice_device_api *device = api->extension(SLUICE_EXT_DEVICE);
    struct fz_out first, other;
    bool begun = false;
    for (const char *const *path = device->paths(); *path != NULL; path++) {
        FZ_HOLDS(device->use_path(*path) == SLUICE_OK);
        for (int32_t fused = 0; fused < 2; fused++) {
            run(api, c, begun ? &other : &first, fused);
            if (begun) {
                check_equal(c, &first, &other);
                free_out(&other);
            } else {
                fz_check_out(c, &first);
            }
            begun = true;
        }
    }
    (void)device->use_path(NULL);
    free_out(&first);
}

/* Opens the config; false where it is refused, as a query must then refuse it too. */
static bool is_accepted(const sluice_api *api, struct fz_case *c)
{
    const sluice_placement_api *placement = api->extension(SLUICE_EXT_PLACEMENT);
    char text[600] = "", again[600] = "";
    sluice_context *context = NULL;
    sluice_config query = c->config;
    query.flags |= SLUICE_OPEN_QUERY;
    sluice_status status = api->open(&c->config, &context, text, sizeof text);
    FZ_HOLDS(api->open(&query, NULL, again, sizeof again) == status && strcmp(text, again) == 0);
    FZ_HOLDS((context != NULL) == (status == SLUICE_OK));
    FZ_HOLDS((strlen(text) > 0) == (status != SLUICE_OK) && strchr(text, '\n') == NULL);
    if (status != SLUICE_OK) {
        FZ_HOLDS(status == SLUICE_INVALID || status == SLUICE_UNSUPPORTED);
        return false;
    }
    sluice_placement_shape shape = {.struct_size = sizeof shape};
    FZ_HOLDS(placement->shape(context, 0, &shape) == SLUICE_OK);
    FZ_HOLDS(shape.experts == c->router.experts && shape.shared == c->shared);
    FZ_HOLDS(shape.ranks == c->ranks && shape.slots_per_rank * c->ranks >= shape.experts);
    c->slots = shape.slots_per_rank;
    c->physical = c->slots * c->ranks;
    api->close(context);
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct fz_case c;
    const sluice_api *api = sluice_plugin_get(SLUICE_ABI_MAJOR);
    struct fz_bytes in = {data, size};
    fz_case_config(&c, &in);
    if (is_accepted(api, &c) && fz_case_inputs(&c, &in))
        run_all(api, &c);
    fz_free(&c.heap);
    return 0;
}
