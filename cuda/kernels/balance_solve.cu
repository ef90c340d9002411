/* SPDX-License-Identifier: Apache-2.0
 * The step balance of one layer, and this call's part of it; one block. */
#include "block_call.cuh"

extern "C" __global__ void __launch_bounds__(SLC_BALANCE_THREADS, 1)
    slc_balance_solve(const __grid_constant__ struct slc_balance_pass pass)
{
    if (slc_call_begin(&pass))
        slc_solve(&pass.balance, slc_shared);
    slc_call_end(&pass);
}
