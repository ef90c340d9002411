/* SPDX-License-Identifier: Apache-2.0
 * topk of few columns: one thread a row. */
#include "few.cuh"

template <int32_t TYPE> SLC_DEVICE void slc_topk_few_plain(const struct slc_job *job, uint32_t t)
{
    struct slc_few_pair pair = slc_few_choose_plain<TYPE>(job, t);
    slc_few_put_pair(job, t, &pair);
}

extern "C" __global__ void __launch_bounds__(SLC_FEW_THREADS)
    slc_topk_few(const __grid_constant__ struct slc_job job)
{
    uint32_t t = blockIdx.x * blockDim.x + threadIdx.x;
    int32_t id[SLC_FEW_CHOICES]; /* written to tensors already */
    float w[SLC_FEW_CHOICES];
    if (t >= (uint32_t)job.rows)
        return;
    if (job.few == SLC_FEW_F32)
        slc_topk_few_plain<SL_F32>(&job, t);
    else if (job.few == SLC_FEW_BF16)
        slc_topk_few_plain<SL_BF16>(&job, t);
    else if (job.few == SLC_FEW_8_2)
        slc_few_choose<8, 2>(&job, t, slc_row_live(&job, t), id, w);
    else if (job.few == SLC_FEW_16_2)
        slc_few_choose<16, 2>(&job, t, slc_row_live(&job, t), id, w);
    else
        slc_few_choose<16, 4>(&job, t, slc_row_live(&job, t), id, w);
}
