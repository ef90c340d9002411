/* SPDX-License-Identifier: Apache-2.0
 * A libcuda.so.1 whose one device is the CPU: memory is the host's, work is done when it is asked
 * for, and the kernels are the plugin's own sources compiled for the host. Fibers of a block take
 * turns in a fixed order, each up to its next collective. */
#include <csetjmp>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <mutex>
#include <ucontext.h>
#include <vector>

#include "host_warp.h"

#include "../../cuda/cu_types.h"
#include "../../cuda/kernels/balance_job.h"
#include "../../cuda/kernels/carry_job.h"
#include "../../cuda/kernels/kernel_job.h"
#include "../../cuda/kernels/kernel_list.h"
#include "../../cuda/kernels/move_job.h"
#include "../../cuda/kernels/water_job.h"

host_index threadIdx, blockIdx, blockDim, gridDim;
alignas(64) unsigned char slc_shared[64 * 1024];

extern "C" {
#define KERNEL(name_, job_) void slc_##name_(const struct job_ job);
SLC_KERNEL_LIST(KERNEL)
#undef KERNEL
}

/* A kernel takes one struct of some type. */
typedef void kernel_fn(const void *);
template <class T, void kernel(const T)> static void call(const void *job)
{
    kernel(*static_cast<const T *>(job));
}

/* ------------------------------------------------------------------------------------- fibers */

enum { MOST_THREADS = 256, STACK = 64 * 1024 };

struct warp {
    uint32_t values[2][32];
    const char *what;
    int arrived;
    unsigned turn;
};

struct fiber {
    jmp_buf at;
    ucontext_t first;
    bool begun, done;
};

static fiber fibers[MOST_THREADS];
static warp warps[MOST_THREADS / 32];
static unsigned char *stacks;
static int threads, current, ended, block_arrived;
static unsigned block_turn;
static int block_any[2];
static jmp_buf scheduler;
static kernel_fn *running;
static const void *running_job;

static void fail(const char *text, const char *what)
{
    std::fprintf(stderr, "host_gpu: %s (%s), block %u thread %u\n", text, what, blockIdx.x,
                 threadIdx.x);
    std::abort();
}

static void yield()
{
    if (!_setjmp(fibers[current].at))
        _longjmp(scheduler, 1);
}

const uint32_t *host_meet(uint32_t value, const char *what)
{
    warp *own = &warps[threadIdx.x / 32];
    unsigned turn = own->turn;
    if (own->arrived == 0)
        own->what = what;
    else if (std::strcmp(own->what, what) != 0)
        fail("lanes meet in different collectives", what);
    own->values[turn & 1][threadIdx.x % 32] = value;
    if (++own->arrived == 32) {
        own->arrived = 0;
        own->turn++;
    }
    while (own->turn == turn)
        yield();
    return own->values[turn & 1];
}

void host_meet_block()
{
    unsigned turn = block_turn;
    if (++block_arrived == threads) {
        block_arrived = 0;
        block_turn++;
    }
    while (block_turn == turn)
        yield();
}

int host_meet_any(int held)
{
    unsigned turn = block_turn;
    if (block_arrived == 0)
        block_any[turn & 1] = 0;
    block_any[turn & 1] |= held != 0;
    host_meet_block();
    return block_any[turn & 1];
}

static void begin()
{
    running(running_job);
    fibers[current].done = true;
    ended++;
    _longjmp(scheduler, 1);
}

static void start(fiber *one)
{
    one->begun = true;
    getcontext(&one->first);
    one->first.uc_stack.ss_sp = stacks + (size_t)current * STACK;
    one->first.uc_stack.ss_size = STACK;
    one->first.uc_link = nullptr;
    makecontext(&one->first, begin, 0);
    setcontext(&one->first);
}

static void run_block()
{
    std::memset(warps, 0, sizeof warps);
    block_arrived = ended = 0;
    for (int i = 0; i < threads; i++)
        fibers[i].begun = fibers[i].done = false;
    /* Poison, so that what a warp did not write is seen. */
    std::memset(slc_shared, 0xA5, sizeof slc_shared);
    volatile long idle = 0;
    current = threads - 1;
    (void)_setjmp(scheduler);
    if (ended == threads)
        return;
    if (++idle > 1000000000L)
        fail("a block does not end", "a lane is missing at a collective");
    do
        current = (current + 1) % threads;
    while (fibers[current].done);
    threadIdx.x = (unsigned)current;
    if (!fibers[current].begun)
        start(&fibers[current]);
    _longjmp(fibers[current].at, 1);
}

static void run(kernel_fn *kernel, const void *job, unsigned blocks, unsigned block)
{
    if (!stacks)
        stacks = static_cast<unsigned char *>(std::malloc((size_t)MOST_THREADS * STACK));
    threads = (int)block;
    running = kernel;
    running_job = job;
    gridDim = {blocks, 1, 1};
    blockDim = {block, 1, 1};
    for (unsigned b = 0; b < blocks; b++) {
        blockIdx = {b, 0, 0};
        run_block();
    }
}

/* ------------------------------------------------------------------------------------- driver */

struct CUstream_st {
    bool capturing;
    std::vector<std::function<void()>> recorded;
};
struct CUgraph_st {
    std::vector<std::function<void()>> work;
};
struct CUgraphExec_st {
    std::vector<std::function<void()>> work;
};
struct CUevent_st {
    bool seen;
};
struct CUfunc_st {
    const char *name;
    kernel_fn *kernel;
    size_t bytes; /* of its struct */
};

static std::mutex lock;
static CUfunc_st kernels[] = {
#define KERNEL(name_, job_) {"slc_" #name_, call<job_, slc_##name_>, sizeof(job_)},
    SLC_KERNEL_LIST(KERNEL)
#undef KERNEL
};

static slcu_result work(slcu_stream stream, const std::function<void()> &what)
{
    std::lock_guard<std::mutex> held(lock);
    if (stream && stream->capturing)
        stream->recorded.push_back(what);
    else
        what();
    return SLCU_SUCCESS;
}

static slcu_result move(void *to, const void *from, size_t bytes, slcu_stream stream)
{
    return work(stream, [=] { std::memmove(to, from, bytes); });
}

static void *host(slcu_address address)
{
    return reinterpret_cast<void *>(static_cast<uintptr_t>(address));
}

#define CALL extern "C" slcu_result

CALL cuInit(unsigned)
{
    return SLCU_SUCCESS;
}
CALL cuDriverGetVersion(int *version)
{
    *version = 13000;
    return SLCU_SUCCESS;
}
CALL cuGetErrorName(slcu_result, const char **name)
{
    *name = "CUDA_ERROR_OF_HOST_GPU";
    return SLCU_SUCCESS;
}
CALL cuDeviceGetCount(int *count)
{
    *count = 1;
    return SLCU_SUCCESS;
}
CALL cuDeviceGet(slcu_device *device, int ordinal)
{
    *device = ordinal;
    return SLCU_SUCCESS;
}
CALL cuDeviceGetAttribute(int *value, unsigned attribute, slcu_device)
{
    /* Few, so that warps have several rows. */
    *value = attribute == SLCU_COMPUTE_CAPABILITY_MAJOR ? 9
             : attribute == SLCU_MULTIPROCESSOR_COUNT   ? 2
                                                        : 0;
    return SLCU_SUCCESS;
}
CALL cuDevicePrimaryCtxRetain(slcu_context *context, slcu_device)
{
    *context = reinterpret_cast<slcu_context>(&lock);
    return SLCU_SUCCESS;
}
CALL cuDevicePrimaryCtxRelease(slcu_device)
{
    return SLCU_SUCCESS;
}
CALL cuCtxPushCurrent(slcu_context)
{
    return SLCU_SUCCESS;
}
CALL cuCtxPopCurrent(slcu_context *context)
{
    *context = nullptr;
    return SLCU_SUCCESS;
}
CALL cuModuleLoadData(slcu_module *module, const void *)
{
    *module = reinterpret_cast<slcu_module>(kernels);
    return SLCU_SUCCESS;
}
CALL cuModuleUnload(slcu_module)
{
    return SLCU_SUCCESS;
}
CALL cuModuleGetFunction(slcu_function *function, slcu_module, const char *name)
{
    for (CUfunc_st &kernel : kernels)
        if (std::strcmp(kernel.name, name) == 0) {
            *function = &kernel;
            return SLCU_SUCCESS;
        }
    return 500;
}
CALL cuLaunchKernel(slcu_function function, unsigned grid, unsigned, unsigned, unsigned block,
                    unsigned, unsigned, unsigned bytes, slcu_stream stream, void **params, void **)
{
    if (block == 0 || block > MOST_THREADS || block % 32 || grid == 0 || bytes > 48 * 1024)
        return 1;
    const char *job = static_cast<const char *>(params[0]);
    std::vector<char> copy(job, job + function->bytes);
    return work(stream, [=] { run(function->kernel, copy.data(), grid, block); });
}
CALL cuCtxSynchronize()
{
    return SLCU_SUCCESS;
}
CALL cuMemAlloc(slcu_address *address, size_t bytes)
{
    void *data = std::aligned_alloc(256, (bytes + 255) / 256 * 256);
    if (!data)
        return SLCU_OUT_OF_MEMORY;
    std::memset(data, 0xA5, bytes);
    *address = reinterpret_cast<uintptr_t>(data);
    return SLCU_SUCCESS;
}
CALL cuMemFree(slcu_address address)
{
    std::free(host(address));
    return SLCU_SUCCESS;
}
CALL cuMemHostAlloc(void **data, size_t bytes, unsigned)
{
    *data = std::malloc(bytes);
    return *data ? SLCU_SUCCESS : SLCU_OUT_OF_MEMORY;
}
CALL cuMemFreeHost(void *data)
{
    std::free(data);
    return SLCU_SUCCESS;
}
CALL cuMemcpyAsync(slcu_address to, slcu_address from, size_t bytes, slcu_stream stream)
{
    return move(host(to), host(from), bytes, stream);
}
CALL cuMemcpyHtoDAsync(slcu_address to, const void *from, size_t bytes, slcu_stream stream)
{
    return move(host(to), from, bytes, stream);
}
CALL cuMemcpyDtoHAsync(void *to, slcu_address from, size_t bytes, slcu_stream stream)
{
    return move(to, host(from), bytes, stream);
}
CALL cuMemcpyDtoDAsync(slcu_address to, slcu_address from, size_t bytes, slcu_stream stream)
{
    return move(host(to), host(from), bytes, stream);
}
CALL cuMemsetD8Async(slcu_address to, unsigned char value, size_t bytes, slcu_stream stream)
{
    return work(stream, [=] { std::memset(host(to), value, bytes); });
}
CALL cuStreamCreate(slcu_stream *stream, unsigned)
{
    *stream = new CUstream_st{false, {}};
    return SLCU_SUCCESS;
}
CALL cuStreamDestroy(slcu_stream stream)
{
    delete stream;
    return SLCU_SUCCESS;
}
CALL cuStreamQuery(slcu_stream stream)
{
    return stream && stream->capturing ? SLCU_STREAM_CAPTURE_UNSUPPORTED : SLCU_SUCCESS;
}
CALL cuStreamSynchronize(slcu_stream stream)
{
    return stream && stream->capturing ? SLCU_STREAM_CAPTURE_UNSUPPORTED : SLCU_SUCCESS;
}
CALL cuStreamIsCapturing(slcu_stream stream, unsigned *status)
{
    *status = stream && stream->capturing;
    return SLCU_SUCCESS;
}
CALL cuStreamBeginCapture(slcu_stream stream, unsigned)
{
    stream->capturing = true;
    return SLCU_SUCCESS;
}
CALL cuStreamEndCapture(slcu_stream stream, slcu_graph *graph)
{
    stream->capturing = false;
    *graph = new CUgraph_st{stream->recorded};
    stream->recorded.clear();
    return SLCU_SUCCESS;
}
/* All work has ended, but an event says so at the second look. */
CALL cuEventCreate(slcu_event *event, unsigned)
{
    *event = new CUevent_st{false};
    return SLCU_SUCCESS;
}
CALL cuEventRecord(slcu_event event, slcu_stream)
{
    event->seen = false;
    return SLCU_SUCCESS;
}
CALL cuEventQuery(slcu_event event)
{
    bool seen = event->seen;
    event->seen = true;
    return seen ? SLCU_SUCCESS : SLCU_NOT_READY;
}
CALL cuEventSynchronize(slcu_event event)
{
    event->seen = true;
    return SLCU_SUCCESS;
}
CALL cuEventDestroy(slcu_event event)
{
    delete event;
    return SLCU_SUCCESS;
}
CALL cuGraphInstantiateWithFlags(slcu_graph_exec *exec, slcu_graph graph, unsigned long long)
{
    *exec = new CUgraphExec_st{graph->work};
    return SLCU_SUCCESS;
}
CALL cuGraphLaunch(slcu_graph_exec exec, slcu_stream stream)
{
    for (const std::function<void()> &item : exec->work)
        (void)work(stream, item);
    return SLCU_SUCCESS;
}
CALL cuGraphExecDestroy(slcu_graph_exec exec)
{
    delete exec;
    return SLCU_SUCCESS;
}
CALL cuGraphDestroy(slcu_graph graph)
{
    delete graph;
    return SLCU_SUCCESS;
}

CALL cuGetProcAddress_v2(const char *name, void **function, int version, uint64_t, unsigned *status)
{
    static const struct {
        const char *name;
        int version;
        void *function;
    } entries[] = {
#define ENTRY(name_, version_, params_)                                                            \
    {"cu" #name_, version_, reinterpret_cast<void *>(cu##name_)},
        SLCU_FUNCTIONS(ENTRY)
#undef ENTRY
    };
    for (const auto &entry : entries)
        if (std::strcmp(entry.name, name) == 0 && entry.version == version) {
            *function = entry.function;
            *status = 0;
            return SLCU_SUCCESS;
        }
    return 500;
}
