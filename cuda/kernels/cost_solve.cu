/* SPDX-License-Identifier: Apache-2.0
 * balance_solve for the objective COST; one block. */
#include "block_call.cuh"
#include "block_shift.cuh"

extern "C" __global__ void __launch_bounds__(SLC_BALANCE_THREADS, 1)
    slc_cost_solve(const __grid_constant__ struct slc_balance_pass pass)
{
    if (slc_call_begin(&pass))
        slc_solve_cost(&pass.balance, slc_shared);
    slc_call_end(&pass);
}
