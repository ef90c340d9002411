/* SPDX-License-Identifier: Apache-2.0
 * The step balance of one layer; one block. */
#include "block_solve.cuh"

extern "C" __global__ void __launch_bounds__(SLC_BALANCE_THREADS)
    slc_balance_solve(const __grid_constant__ struct slc_balance job)
{
    slc_solve(&job, slc_shared);
}
