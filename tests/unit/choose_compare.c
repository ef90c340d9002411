#include "choose_reference.h"

#include "ct.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

sluice_router choose_router(int32_t experts, int32_t top_k)
{
    return (sluice_router){
        .struct_size = sizeof(sluice_router), .experts = experts, .top_k = top_k};
}

bool choose_prepare(struct choose_call *call)
{
    char text[256] = "";
    sluice_status status = sl_rule_make(&call->rule, &call->router, text, sizeof text);
    if (status != SLUICE_OK) {
        ct_record(__FILE__, __LINE__, text);
        return false;
    }
    size_t rows = (size_t)call->rows;
    call->out.ids = ct_alloc((rows * (size_t)call->router.top_k + 1) * sizeof(int32_t));
    call->out.weights = ct_alloc((rows * (size_t)call->router.top_k + 1) * sizeof(float));
    call->out.shared = ct_alloc((rows * SL_MAX_SHARED + 1) * sizeof(float));
    call->out.zero = ct_alloc((rows + 1) * sizeof(float));
    return true;
}

void choose_run(const struct choose_call *call, sl_choose_fn *choose)
{
    int64_t top_k = call->rule.top_k, shared = call->rule.shared;
    for (int32_t first = 0; first < call->rows; first += SL_BLOCK_ROWS) {
        int32_t count = call->rows - first < SL_BLOCK_ROWS ? call->rows - first : SL_BLOCK_ROWS;
        struct sl_choices out = {call->out.ids + first * top_k, call->out.weights + first * top_k,
                                 call->out.shared ? call->out.shared + first * shared : NULL,
                                 call->out.zero ? call->out.zero + first : NULL};
        choose(&call->rule, &call->io, first, count, &out);
    }
}

bool choose_portable(struct choose_call *call)
{
    if (!choose_prepare(call))
        return false;
    choose_run(call, sl_choose_portable);
    return true;
}

bool choose_near(double got, double want, double tolerance)
{
    return fabs(got - want) <= tolerance * fabs(want) + 1e-37;
}

static bool near(const char *what, int32_t t, int32_t k, double got, double want, double tolerance)
{
    if (choose_near(got, want, tolerance))
        return true;
    char text[160];
    snprintf(text, sizeof text, "%s of row %d, column %d is %.9g, should be %.9g", what, t, k, got,
             want);
    ct_record(__FILE__, __LINE__, text);
    return false;
}

bool choose_agrees(const struct choose_call *call, double tolerance)
{
    const int32_t top_k = call->rule.top_k, shared = call->rule.shared;
    bool held = true;
    for (int32_t t = 0; t < call->rows && held; t++) {
        struct choose_truth truth;
        choose_reference(call, t, &truth);
        for (int32_t k = 0; k < top_k; k++) {
            int64_t at = (int64_t)t * top_k + k;
            held = near("id", t, k, call->out.ids[at], truth.ids[k], 0) && held;
            held =
                near("weight", t, k, (double)call->out.weights[at], truth.weights[k], tolerance) &&
                held;
        }
        if (call->rule.shared_weight != SLUICE_SHARED_ONE)
            for (int32_t j = 0; j < shared; j++)
                held =
                    near("shared weight", t, j, (double)call->out.shared[(int64_t)t * shared + j],
                         truth.shared[j], tolerance) &&
                    held;
        if (call->rule.zero_experts > 0)
            held =
                near("zero weight", t, 0, (double)call->out.zero[t], truth.zero, tolerance) && held;
    }
    return held;
}

uint64_t choose_bits(struct choose_random *random)
{
    uint64_t z = random->state += 0x9E3779B97F4A7C15U;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
    return z ^ (z >> 31);
}

double choose_uniform(struct choose_random *random)
{
    return (double)(choose_bits(random) >> 11) * 0x1p-53;
}

double choose_normal(struct choose_random *random)
{
    double radius = sqrt(-2 * log(1 - choose_uniform(random)));
    return radius * cos(6.283185307179586 * choose_uniform(random));
}

float *choose_normals(struct choose_random *random, int64_t count, double deviation)
{
    float *x = ct_alloc((size_t)(count + 1) * sizeof *x);
    for (int64_t i = 0; i < count; i++)
        x[i] = (float)(choose_normal(random) * deviation);
    return x;
}
