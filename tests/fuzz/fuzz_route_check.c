#include "fuzz_route_case.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool bits_equal(float a, float b)
{
    return memcmp(&a, &b, sizeof a) == 0;
}

/* The rank value where it is the logit itself; NaN and -inf are no choice. */
static float plain_value(const struct fz_case *c, int64_t t, int32_t e)
{
    float x = fz_float(c->logits, t, e);
    x = x > FLT_MAX ? FLT_MAX : x;
    return x >= -FLT_MAX ? x : -INFINITY;
}

/* Without bias, groups, scale and cap the choice is the K greatest logits, ties to the lower id. */
static void check_plain_choice(const struct fz_case *c, const struct fz_out *out, int64_t t)
{
    const sluice_router *r = &c->router;
    bool *taken = calloc((size_t)c->columns, sizeof *taken);
    FZ_HOLDS(taken != NULL);
    for (int32_t k = 0; k < r->top_k; k++) {
        int32_t best = -1;
        float most = -INFINITY;
        for (int32_t e = 0; e < c->columns; e++) {
            float x = taken[e] ? -INFINITY : plain_value(c, t, e);
            if (x > most) {
                most = x;
                best = e;
            }
        }
        if (best >= 0)
            taken[best] = true;
        FZ_HOLDS(fz_id(out->ids, t, k) == (best < r->experts ? best : -1));
    }
    free(taken);
}

static bool is_plain(const struct fz_case *c)
{
    const sluice_router *r = &c->router;
    bool scaled = r->logit_scale < 0 || (r->logit_scale > 0 && r->logit_scale < 1) ||
                  r->logit_scale > 1 || r->logit_cap > 0;
    return r->bias_use == SLUICE_BIAS_NONE && r->groups <= 1 && !scaled && c->forced_ids == NULL &&
           c->logits->tensor.dtype.bits == 32;
}

static void check_chosen(const struct fz_case *c, const struct fz_out *out, int64_t t)
{
    const sluice_router *r = &c->router;
    for (int32_t k = 0; k < r->top_k; k++) {
        int64_t id = fz_id(out->ids, t, k);
        float weight = fz_float(out->weights, t, k);
        FZ_HOLDS(id >= -1 && id < r->experts);
        FZ_HOLDS(fz_row_live(c, t) || id == -1);
        FZ_HOLDS(id >= 0 || bits_equal(weight, 0.0F));
        if (c->expert_scale == NULL && r->shared_weight != SLUICE_SHARED_JOINT)
            FZ_HOLDS(weight >= 0);
        for (int32_t i = 0; c->forced_ids == NULL && id >= 0 && i < k; i++)
            FZ_HOLDS(fz_id(out->ids, t, i) != id);
    }
    if (fz_row_live(c, t) && is_plain(c))
        check_plain_choice(c, out, t);
    for (int32_t j = 0; out->shared_weights != NULL && !fz_row_live(c, t) && j < r->shared; j++)
        FZ_HOLDS(bits_equal(fz_float(out->shared_weights, t, j), 0.0F));
    if (out->zero != NULL && !fz_row_live(c, t))
        FZ_HOLDS(bits_equal(fz_float(out->zero, t, 0), 0.0F));
}

/* Physical p holds expert p mod E; the living ranks are the first ones. */
static bool has_copy(const struct fz_case *c, int64_t id)
{
    return id >= 0 && id < (int64_t)c->slots * c->comm.size;
}

static void check_routed(const struct fz_case *c, const struct fz_out *out, int64_t t)
{
    for (int32_t k = 0; k < c->router.top_k; k++) {
        int64_t id = fz_id(out->ids, t, k), slot = fz_id(out->dispatch_ids, t, k);
        int64_t physical = fz_id(out->recorder_ids, t, k);
        float weight = fz_float(out->dispatch_weights, t, k);
        FZ_HOLDS((slot >= 0) == has_copy(c, id) && (physical >= 0) == has_copy(c, id));
        if (slot < 0) {
            FZ_HOLDS(slot == -1 && physical == -1 && bits_equal(weight, 0.0F));
            continue;
        }
        FZ_HOLDS(physical < (int64_t)c->slots * c->comm.size);
        FZ_HOLDS(physical % c->router.experts == id);
        FZ_HOLDS(slot == physical + physical / c->slots * c->shared);
        FZ_HOLDS(slot % (c->slots + c->shared) < c->slots);
        FZ_HOLDS(bits_equal(weight, fz_float(out->weights, t, k)));
    }
}

static void check_shared(const struct fz_case *c, const struct fz_out *out, int64_t t)
{
    int32_t local = c->slots + c->shared;
    bool home = c->config.shared_policy == SLUICE_SHARED_AT_HOME && c->config.flags == 0;
    for (int32_t j = 0; j < c->shared; j++) {
        int64_t slot = fz_id(out->dispatch_ids, t, c->router.top_k + j);
        float weight = fz_float(out->dispatch_weights, t, c->router.top_k + j);
        if (!fz_row_live(c, t))
            FZ_HOLDS(slot == -1);
        else if (home)
            FZ_HOLDS(slot == (int64_t)c->comm.rank * local + c->slots + j);
        FZ_HOLDS(slot >= -1 && slot < (int64_t)c->comm.size * local);
        FZ_HOLDS(slot == -1 ? bits_equal(weight, 0.0F) : slot % local == c->slots + j);
    }
}

/* The recorder has counted the real choices of every physical expert, once. */
static void check_counts(const struct fz_case *c, const struct fz_out *out)
{
    int64_t *counts = calloc((size_t)c->physical, sizeof *counts);
    FZ_HOLDS(counts != NULL);
    for (int64_t t = 0; t < c->tokens; t++)
        for (int32_t k = 0; k < c->router.top_k; k++)
            if (fz_id(out->recorder_ids, t, k) >= 0)
                counts[fz_id(out->recorder_ids, t, k)] += 1 - c->skip_record;
    FZ_HOLDS(memcmp(counts, out->counts, (size_t)c->physical * sizeof *counts) == 0);
    free(counts);
}

void fz_check_out(const struct fz_case *c, const struct fz_out *out)
{
    for (int64_t t = 0; t < c->tokens; t++) {
        check_chosen(c, out, t);
        check_routed(c, out, t);
        check_shared(c, out, t);
    }
    check_counts(c, out);
}
