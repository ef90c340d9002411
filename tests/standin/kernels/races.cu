/* SPDX-License-Identifier: Apache-2.0 */
/* What blocks may and may not do to one another in global memory. Each kernel runs with 4 blocks of
 * 64 threads; data has an int for each thread, flag is 0. */
__device__ int me()
{
    return blockIdx.x * blockDim.x + threadIdx.x;
}
__device__ int other()
{
    return (me() + blockDim.x) % (gridDim.x * blockDim.x);
}
extern "C" __global__ void reads_other(int *data, int *flag)
{
    data[me()] = 1;
    flag[1 + me()] = data[other()];
}
extern "C" __global__ void writes_other(int *data, int *flag)
{
    flag[1 + me()] = data[me()];
    data[other()] = me();
}
extern "C" __global__ void writes_one(int *data, int *flag)
{
    data[0] = me();
}
extern "C" __global__ void same_one(int *data, int *flag)
{
    data[0] = 7;
}
extern "C" __global__ void other_warp(int *data, int *flag)
{
    data[me()] = 1;
    flag[1 + me()] = data[me() ^ 32];
}
extern "C" __global__ void other_warp_right(int *data, int *flag)
{
    data[me()] = 1;
    __syncthreads();
    flag[1 + me()] = data[me() ^ 32];
}
extern "C" __global__ void counts_plainly(int *data, int *flag)
{
    atomicAdd(flag, 1);
    data[me()] = flag[0];
}

/* Block 0 gives data to the others. WHEN: what stands before the flag is stored and after it is
 * seen. */
#define HANDS_OVER(name, store, load, before, after)                                               \
    extern "C" __global__ void name(int *data, int *flag)                                          \
    {                                                                                              \
        if (blockIdx.x == 0) {                                                                     \
            data[threadIdx.x] = threadIdx.x;                                                       \
            __syncthreads();                                                                       \
            if (threadIdx.x == 0) {                                                                \
                before;                                                                            \
                store;                                                                             \
            }                                                                                      \
            return;                                                                                \
        }                                                                                          \
        int seen = 0;                                                                              \
        if (threadIdx.x == 0) {                                                                    \
            do {                                                                                   \
                load;                                                                              \
            } while (seen == 0);                                                                   \
            after;                                                                                 \
        }                                                                                          \
        __syncthreads();                                                                           \
        flag[1 + me()] = data[threadIdx.x];                                                        \
    }
#define VOLATILE_STORE *(volatile int *)flag = 1
#define VOLATILE_LOAD seen = *(volatile int *)flag
#define STORE(order) asm volatile("st." order ".global.u32 [%0], 1;" ::"l"(flag) : "memory")
#define LOAD(order)                                                                                \
    asm volatile("ld." order ".global.u32 %0, [%1];" : "=r"(seen) : "l"(flag) : "memory")
#define NOTHING (void)0
HANDS_OVER(fences, VOLATILE_STORE, VOLATILE_LOAD, __threadfence(), __threadfence())
HANDS_OVER(orders, STORE("release.gpu"), LOAD("acquire.gpu"), NOTHING, NOTHING)
HANDS_OVER(mixed, VOLATILE_STORE, LOAD("acquire.gpu"), __threadfence(), NOTHING)
HANDS_OVER(swaps, atomicExch(flag, 1), seen = atomicCAS(flag, 1, 1), __threadfence(),
           __threadfence())
HANDS_OVER(no_release, VOLATILE_STORE, VOLATILE_LOAD, NOTHING, __threadfence())
HANDS_OVER(no_acquire, VOLATILE_STORE, VOLATILE_LOAD, __threadfence(), NOTHING)
HANDS_OVER(block_fence, VOLATILE_STORE, VOLATILE_LOAD, __threadfence_block(), __threadfence())
HANDS_OVER(block_release, STORE("release.cta"), LOAD("acquire.gpu"), NOTHING, NOTHING)
HANDS_OVER(block_relaxed, STORE("relaxed.cta"), LOAD("acquire.gpu"), __threadfence(), NOTHING)
HANDS_OVER(relaxed_only, STORE("relaxed.gpu"), LOAD("relaxed.gpu"), NOTHING, NOTHING)
/* The data's last store is behind the fence. */
HANDS_OVER(fence_early, VOLATILE_STORE, VOLATILE_LOAD, __threadfence();
           data[0] = 5, __threadfence())

/* The last block to arrive sums what all left. */
#define LAST_BLOCK(name, barrier, before, after)                                                   \
    extern "C" __global__ void name(int *data, int *flag)                                          \
    {                                                                                              \
        __shared__ int last;                                                                       \
        data[me()] = threadIdx.x;                                                                  \
        barrier;                                                                                   \
        if (threadIdx.x == 0) {                                                                    \
            before;                                                                                \
            last = atomicAdd(flag, 1) == (int)gridDim.x - 1;                                       \
            after;                                                                                 \
        }                                                                                          \
        __syncthreads();                                                                           \
        if (last)                                                                                  \
            flag[1 + me()] = data[other()];                                                        \
    }
LAST_BLOCK(last_block, __syncthreads(), __threadfence(), __threadfence())
LAST_BLOCK(last_no_fence, __syncthreads(), NOTHING, __threadfence())
LAST_BLOCK(last_no_after, __syncthreads(), __threadfence(), NOTHING)
LAST_BLOCK(last_no_barrier, NOTHING, __threadfence(), __threadfence())

/* Each block waits for the one before it, so that the last one has all behind it. */
extern "C" __global__ void passed_on(int *data, int *flag)
{
    data[me()] = me();
    __syncthreads();
    if (threadIdx.x == 0) {
        int seen;
        do {
            LOAD("acquire.gpu");
        } while (seen != (int)blockIdx.x);
        asm volatile("st.release.gpu.global.u32 [%0], %1;" ::"l"(flag), "r"(blockIdx.x + 1)
                     : "memory");
    }
    __syncthreads();
    if (blockIdx.x == gridDim.x - 1)
        flag[1 + me()] = data[other()];
}

/* A flag in the memory of another device or of the host; one thread. */
#define TELLS(name, before, store)                                                                 \
    extern "C" __global__ void name(int *data, int *flag)                                          \
    {                                                                                              \
        if (me() == 0) {                                                                           \
            before;                                                                                \
            store;                                                                                 \
        }                                                                                          \
    }
TELLS(tells_far, __threadfence_system(), VOLATILE_STORE)
TELLS(tells_far_order, NOTHING, STORE("release.sys"))
TELLS(tells_near, NOTHING, STORE("release.gpu"))
TELLS(tells_near_fence, __threadfence(), VOLATILE_STORE)
TELLS(counts_far, __threadfence_system(), atomicAdd_system(flag, 1))
TELLS(counts_near, __threadfence_system(), atomicAdd(flag, 1))
