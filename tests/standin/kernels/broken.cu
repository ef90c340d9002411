/* SPDX-License-Identifier: Apache-2.0 */
/* Each kernel breaks one rule that the stand-in checks. */
extern "C" __global__ void beyond(int *a, int n)
{
    a[threadIdx.x + n] = 1;
}
extern "C" __global__ void skewed(char *a)
{
    *(int4 *)(a + 4 * threadIdx.x) = make_int4(1, 2, 3, 4);
}
extern "C" __global__ void unwritten(const int *a, int *out)
{
    out[threadIdx.x] = a[threadIdx.x];
}
extern "C" __global__ void unwritten_shared(int *out)
{
    __shared__ int s[64];
    s[threadIdx.x] = 1;
    __syncthreads();
    out[threadIdx.x] = s[threadIdx.x + 1];
}
extern "C" __global__ void racing(int *out)
{
    __shared__ int s[64];
    s[threadIdx.x] = threadIdx.x;
    if (threadIdx.x >= 32)
        out[threadIdx.x] = s[threadIdx.x ^ 32];
}
extern "C" __global__ void racing_warp(int *out)
{
    __shared__ volatile int s[32];
    s[threadIdx.x] = threadIdx.x;
    out[threadIdx.x] = s[threadIdx.x ^ 1];
}
/* The same with what it lacks. */
extern "C" __global__ void ordered_warp(int *out)
{
    __shared__ int s[32];
    s[threadIdx.x] = threadIdx.x;
    __syncwarp();
    out[threadIdx.x] = s[threadIdx.x ^ 1];
}
extern "C" __global__ void same_value(int *out)
{
    __shared__ int s;
    s = 7;
    __syncthreads();
    out[threadIdx.x] = s;
}
extern "C" __global__ void lane_missing(int *out)
{
    if (threadIdx.x < 31)
        out[threadIdx.x] = __shfl_xor_sync(~0u, out[threadIdx.x], 1);
    else
        __syncwarp();
}
extern "C" __global__ void lane_left(int *out)
{
    if (threadIdx.x == 5)
        return;
    __syncthreads();
    out[threadIdx.x] = 1;
}
extern "C" __global__ void warp_left(int *out)
{
    if (threadIdx.x < 32)
        return;
    __syncthreads();
    out[threadIdx.x] = 1;
}
extern "C" __global__ void spins(const int *a, int *out)
{
    while (*a == 0) {
    }
    *out = 1;
}
extern "C" __global__ void traps(void)
{
    __trap();
}
