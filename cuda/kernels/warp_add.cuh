/* SPDX-License-Identifier: Apache-2.0
 * Sums of combine: a token's terms lie in shared memory, one list a warp, and are added by every
 * lane for its elements, in their order, with one fused multiply-add each. */
#ifndef SLC_WARP_ADD_CUH
#define SLC_WARP_ADD_CUH

#include "warp_move.cuh"

SLC_DEVICE struct slc_terms *slc_terms_of_warp(void)
{
    return (struct slc_terms *)slc_shared + threadIdx.x / SLC_WARP;
}

/* Column c: an expert's row of this rank, SL_ROW_NONE or SL_ROW_DROPPED. */
SLC_DEVICE void slc_put_term(const struct slc_move *job, struct slc_terms *terms, int32_t c,
                             int32_t row, float weight)
{
    terms->term[c].row = row < 0 ? NULL : job->results.data + row * job->results.stride;
    terms->term[c].weight = job->weighs ? weight : 1.0f;
    terms->term[c].dropped = row == SL_ROW_DROPPED;
}

SLC_DEVICE float slc_add_terms(const struct slc_move *job, const struct slc_terms *terms,
                               int32_t count, int64_t e)
{
    float sum = 0.0f;
    for (int32_t c = 0; c < count; c++) {
        const struct slc_term *term = &terms->term[SL_MUTANT(combine_backward) ? count - 1 - c : c];
        if (term->dropped)
            return slc_nan();
        if (term->row)
            sum = SL_MUTANT(combine_unfused)
                      ? sum + term->weight * slc_get(term->row, job->type, e)
                      : fmaf(term->weight, slc_get(term->row, job->type, e), sum);
    }
    return sum;
}

#endif
