/* SPDX-License-Identifier: Apache-2.0 */
/* Small kernels of each kind of control flow and memory. */

/* Block sums over shared memory and shuffles, added up by one atomic a block. */
extern "C" __global__ void sum_blocks(const int *values, int n, int *total)
{
    __shared__ int part[32];
    int i = blockIdx.x * blockDim.x + threadIdx.x, v = i < n ? values[i] : 0;
    for (int o = 16; o; o >>= 1)
        v += __shfl_xor_sync(~0u, v, o);
    if (threadIdx.x % 32 == 0)
        part[threadIdx.x / 32] = v;
    __syncthreads();
    if (threadIdx.x == 0) {
        int all = 0;
        for (int w = 0; w < blockDim.x / 32; w++)
            all += part[w];
        atomicAdd(total, all);
    }
}

/* Each lane loops its own number of times, then all meet. */
extern "C" __global__ void diverge(const int *counts, int *out)
{
    int lane = threadIdx.x, n = counts[lane], x = lane;
    for (int i = 0; i < n; i++) {
        if (x & 1)
            x = 3 * x + 1;
        else
            x = x / 2 + 7;
    }
    out[lane] = x;
    out[32 + lane] = __popc(__ballot_sync(~0u, x > lane));
}

/* Lanes of one warp take a lock in turn. */
extern "C" __global__ void lock_lanes(int *lock, int *count)
{
    bool done = false;
    while (!done) {
        if (atomicCAS(lock, 0, 1) == 0) {
            *(volatile int *)count = *(volatile int *)count + 1;
            __threadfence();
            atomicExch(lock, 0);
            done = true;
        }
    }
}

/* Blocks wait for the block before them. */
extern "C" __global__ void chain(volatile int *flag, int *order)
{
    if (threadIdx.x == 0) {
        while (flag[0] != (int)(gridDim.x - 1 - blockIdx.x)) {
        }
        order[blockIdx.x] = flag[0];
        __threadfence();
        flag[0] = flag[0] + 1;
    }
}

extern __shared__ int dynamic[];
extern "C" __global__ void reverse(int *values)
{
    dynamic[threadIdx.x] = values[threadIdx.x];
    __syncthreads();
    values[threadIdx.x] = dynamic[blockDim.x - 1 - threadIdx.x];
}

__device__ int table[8] = {1, 2, 3, 5, 8, 13, 21, 34};
extern "C" __global__ void pick(const int *which, float *out, float4 *wide)
{
    int i = threadIdx.x;
    float f = (float)table[which[i] & 7];
    switch (which[i] % 5) {
    case 0: f += 1; break;
    case 1: f *= 3; break;
    case 2: f = -f; break;
    case 3: f = sqrtf(f); break;
    default: f = 1 / f; break;
    }
    out[i] = f;
    wide[i] = make_float4(f, f + 1, f + 2, f + 3);
}
