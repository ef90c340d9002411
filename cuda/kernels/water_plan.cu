/* SPDX-License-Identifier: Apache-2.0
 * The dynamic waterfill's plan, when the counts of all ranks have come; one block. */
#include "block_meet.cuh"
#include "block_water.cuh"

extern "C" __global__ void __launch_bounds__(SLC_WATER_THREADS)
    slc_water_set(const __grid_constant__ struct slc_water water)
{
    __shared__ struct slc_water_numbers numbers;
    __shared__ int32_t other;
    slc_meet_end(&water.meet, &other);
    slc_water_make(&water, &numbers);
}
