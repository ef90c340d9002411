/* SPDX-License-Identifier: Apache-2.0 */
/* The driver's side: streams, events, graphs, versions, failures on order, dead memory. */
#include <stdatomic.h>
#include <string.h>

#include "standin_kit.h"

static atomic_int gate;

static void hold(void *arg)
{
    (void)arg;
    while (!atomic_load(&gate)) {
    }
}

CT(standin_driver, streams, "Streams run beside the caller and one another; an event orders them")
{
    int one = 1, two = 2, got = 0;
    const struct kit *k = kit_open();
    ct_true(k != NULL);
    struct CUstream_st *a, *b;
    struct CUevent_st *event;
    atomic_store(&gate, 0);
    ct_eq_i64(k->cuStreamCreate(&a, 1), 0);
    ct_eq_i64(k->cuStreamCreate(&b, 1), 0);
    ct_eq_i64(k->cuEventCreate(&event, 0), 0);
    drv_address m = kit_upload(&one, sizeof one);
    ct_eq_i64(k->cuLaunchHostFunc(a, hold, NULL), 0);
    ct_eq_i64(k->cuMemcpyHtoDAsync_v2(m, &two, sizeof two, a), 0);
    two = 3; /* pageable memory was read when the copy was asked for */
    ct_eq_i64(k->cuEventRecord(event, a), 0);
    ct_eq_i64(k->cuStreamWaitEvent(b, event, 0), 0);
    ct_eq_i64(k->cuStreamQuery(a), 600);
    ct_eq_i64(k->cuStreamQuery(b), 600);
    ct_eq_i64(k->cuEventQuery(event), 600);
    ct_eq_i64(k->cuMemcpyDtoH_v2(&got, m, sizeof got), 0);
    ct_eq_i64(got, 1); /* the legacy stream does not wait for these */
    atomic_store(&gate, 1);
    ct_eq_i64(k->cuMemcpyDtoHAsync_v2(&got, m, sizeof got, b), 0);
    ct_eq_i64(got, 2);
    ct_eq_i64(k->cuEventSynchronize(event), 0);
    ct_eq_i64(k->cuEventDestroy_v2(event), 0);
    ct_eq_i64(k->cuStreamDestroy_v2(a), 0);
    ct_eq_i64(k->cuStreamDestroy_v2(b), 0);
    ct_eq_i64(k->cuMemFree_v2(m), 0);
}

CT(standin_driver, graphs,
   "A captured launch runs when the graph does, with what memory then holds")
{
    int values[64], back[64];
    const struct kit *k = kit_open();
    ct_true(k != NULL);
    struct CUstream_st *s, *other;
    struct CUevent_st *fork, *join;
    struct CUgraph_st *graph;
    struct CUgraphExec_st *exec;
    int status = -1;
    for (int i = 0; i < 64; i++)
        values[i] = i;
    struct CUmod_st *module = kit_load("basics");
    drv_address a = kit_upload(values, sizeof values), c = kit_upload(values, sizeof values);
    void *params[] = {&a};
    ct_eq_i64(k->cuStreamCreate(&s, 1), 0);
    ct_eq_i64(k->cuStreamCreate(&other, 1), 0);
    ct_eq_i64(k->cuEventCreate(&fork, 0), 0);
    ct_eq_i64(k->cuEventCreate(&join, 0), 0);
    ct_eq_i64(k->cuStreamBeginCapture_v2(s, 1), 0);
    ct_eq_i64(
        k->cuLaunchKernel(kit_function(module, "reverse"), 1, 1, 1, 64, 1, 1, 256, s, params, NULL),
        0);
    ct_eq_i64(k->cuEventRecord(fork, s), 0);
    ct_eq_i64(k->cuStreamWaitEvent(other, fork, 0), 0);
    ct_eq_i64(k->cuMemcpyDtoDAsync_v2(c, a, sizeof values, other), 0);
    ct_eq_i64(k->cuEventRecord(join, other), 0);
    ct_eq_i64(k->cuStreamWaitEvent(s, join, 0), 0);
    ct_eq_i64(k->cuStreamIsCapturing(s, &status), 0);
    ct_eq_i64(status, 1);
    ct_eq_i64(k->cuStreamEndCapture(s, &graph), 0);
    ct_eq_i64(k->cuGraphInstantiateWithFlags(&exec, graph, 0), 0);
    ct_eq_i64(k->cuGraphDestroy(graph), 0);
    ct_eq_i64(k->cuMemcpyDtoH_v2(back, a, sizeof back), 0);
    ct_eq_mem(back, values, sizeof values);
    for (int run = 0; run < 3; run++) {
        ct_eq_i64(k->cuGraphLaunch(exec, s), 0);
        ct_eq_i64(k->cuStreamSynchronize(s), 0);
        ct_eq_i64(k->cuMemcpyDtoH_v2(back, c, sizeof back), 0);
        for (int i = 0; i < 64; i++)
            ct_eq_i64(back[i], run % 2 ? i : 63 - i);
    }
    ct_eq_i64(k->cuGraphExecDestroy(exec), 0);
    ct_eq_i64(k->cuStreamDestroy_v2(s), 0);
    ct_eq_i64(k->cuStreamDestroy_v2(other), 0);
    ct_eq_i64(k->cuModuleUnload(module), 0);
}

CT(standin_driver, capture_forbids, "What would wait or allocate during a capture is an error")
{
    const struct kit *k = kit_open();
    ct_true(k != NULL);
    struct CUstream_st *s;
    struct CUgraph_st *graph;
    drv_address m;
    ct_eq_i64(k->cuStreamCreate(&s, 1), 0);
    ct_eq_i64(k->cuStreamBeginCapture_v2(s, 1), 0);
    ct_eq_i64(k->cuMemAlloc_v2(&m, 64), 900);
    ct_eq_i64(k->cuCtxSynchronize(), 900);
    ct_eq_i64(k->cuStreamSynchronize(s), 900);
    ct_eq_i64(k->cuStreamEndCapture(s, &graph), 901);
    ct_true(graph == NULL);
    ct_eq_i64(k->cuMemAlloc_v2(&m, 64), 0);
    ct_eq_i64(k->cuMemFree_v2(m), 0);
    ct_eq_i64(k->cuStreamDestroy_v2(s), 0);
}

CT(standin_driver, versions, "A function is found from its version on, and an unknown one is not")
{
    void *function;
    int status;
    const struct kit *k = kit_open();
    ct_true(k != NULL);
    ct_eq_i64(k->cuGetProcAddress_v2("cuMemAlloc", &function, 12000, 0, &status), 0);
    ct_eq_mem(&function, &k->cuMemAlloc_v2, sizeof function);
    ct_eq_i64(k->cuGetProcAddress_v2("cuEventElapsedTime", &function, 12000, 0, &status), 0);
    ct_eq_mem(&function, &k->cuEventElapsedTime, sizeof function);
    ct_eq_i64(k->cuGetProcAddress_v2("cuLibraryLoadData", &function, 11080, 0, &status), 500);
    ct_eq_i64(status, 2);
    ct_eq_i64(k->cuGetProcAddress_v2("cuNothing", &function, 13000, 0, &status), 500);
    ct_eq_i64(status, 1);
}

CT(standin_driver, failures, "The n-th allocation, copy or launch fails on order, and nothing else")
{
    int value = 5;
    const struct kit *k = kit_open();
    ct_true(k != NULL);
    drv_address first, second;
    k->standin_fail(STANDIN_ALLOC, 2, 2);
    ct_eq_i64(k->cuMemAlloc_v2(&first, 16), 0);
    ct_eq_i64(k->cuMemAlloc_v2(&second, 16), 2);
    ct_eq_i64(k->cuMemAlloc_v2(&second, 16), 0);
    k->standin_fail(STANDIN_COPY, 1, 719);
    ct_eq_i64(k->cuMemcpyHtoD_v2(first, &value, 4), 719);
    ct_eq_i64(k->cuMemcpyHtoD_v2(first, &value, 4), 0);
    ct_eq_i64(k->cuMemFree_v2(first), 0);
    ct_eq_i64(k->cuMemFree_v2(second), 0);
}

CT(standin_driver, late_failures, "A launch that fails late is taken, and its error sticks")
{
    int values[64] = {0};
    const struct kit *k = kit_open();
    ct_true(k != NULL);
    struct CUmod_st *module = kit_load("basics");
    struct CUfunc_st *reverse = kit_function(module, "reverse");
    struct CUstream_st *s;
    drv_address a = kit_upload(values, sizeof values), b;
    void *params[] = {&a};
    uint64_t before = k->standin_failed();
    atomic_store(&gate, 0);
    ct_eq_i64(k->cuStreamCreate(&s, 1), 0);
    ct_eq_i64(k->cuLaunchHostFunc(s, hold, NULL), 0);
    k->standin_fail(STANDIN_LATE, 2, 719);
    ct_eq_i64(k->cuLaunchKernel(reverse, 1, 1, 1, 64, 1, 1, 256, s, params, NULL), 0);
    ct_eq_i64(k->cuLaunchKernel(reverse, 1, 1, 1, 64, 1, 1, 256, s, params, NULL), 0);
    ct_eq_u64(k->standin_failed(), before + 1);
    ct_eq_i64(k->cuStreamQuery(s), 600);
    atomic_store(&gate, 1);
    ct_eq_i64(k->cuStreamSynchronize(s), 719);
    ct_eq_i64(k->cuMemAlloc_v2(&b, 16), 719);
    ct_eq_i64(k->cuLaunchKernel(reverse, 1, 1, 1, 64, 1, 1, 256, s, params, NULL), 719);
    ct_eq_i64(k->cuStreamQuery(s), 719);
    k->standin_forgive();
    ct_eq_i64(k->cuStreamDestroy_v2(s), 0);
    k->standin_fail(STANDIN_LOAD, 1, 209);
    struct CUmod_st *other;
    ct_eq_i64(k->cuModuleLoadData(&other, ".version 9.0\n.target sm_90\n"), 209);
    ct_eq_i64(k->cuMemFree_v2(a), 0);
    ct_eq_i64(k->cuModuleUnload(module), 0);
}

CT(standin_driver, dead_memory, "Memory is poisoned at birth; freed memory is not copied")
{
    unsigned char bytes[16];
    const struct kit *k = kit_open();
    ct_true(k != NULL);
    drv_address m = kit_upload(NULL, sizeof bytes);
    ct_eq_i64(k->cuMemcpyDtoH_v2(bytes, m, sizeof bytes), 0);
    for (int i = 0; i < 16; i++)
        ct_eq_i64(bytes[i], MEM_POISON_NEW);
    ct_eq_i64(k->cuMemFree_v2(m), 0);
    ct_eq_i64(k->cuMemFree_v2(m), 1);
    ct_eq_i64(k->cuMemcpyDtoH_v2(bytes, m, sizeof bytes), 700);
    ct_str_has(k->standin_message(), "outside of living memory");
    k->standin_forgive();
}

CT(standin_driver, pageable_memory, "Memory of the host is copied, not filled")
{
    const struct kit *k = kit_open();
    ct_true(k != NULL);
    char bytes[8] = {0};
    ct_eq_i64(k->cuMemsetD8_v2((drv_address)(uintptr_t)bytes, 1, sizeof bytes), 700);
    ct_str_has(k->standin_message(), "not the device's");
    ct_eq_i64(bytes[0], 0);
    k->standin_forgive();
}

CT(standin_driver, packed, "A fat binary compressed by LZ4 loads")
{
    const struct kit *k = kit_open();
    ct_true(k != NULL);
    struct CUmod_st *module = kit_load("basics_lz4");
    ct_true(kit_function(module, "reverse") != NULL);
    ct_eq_i64(k->cuModuleUnload(module), 0);
}

CT(standin_driver, held, "What a program holds is counted until it gives it back")
{
    const struct kit *k = kit_open();
    ct_true(k != NULL);
    struct CUstream_st *stream;
    struct CUevent_st *event;
    struct CUgraph_st *graph;
    struct CUgraphExec_st *exec;
    struct CUctx_st *ctx;
    void *pinned;
    int64_t before = k->standin_held();
    drv_address m = kit_upload(NULL, 64);
    struct CUmod_st *module = kit_load("basics");
    ct_eq_i64(k->cuMemHostAlloc(&pinned, 64, 0), 0);
    ct_eq_i64(k->cuStreamCreate(&stream, 1), 0);
    ct_eq_i64(k->cuEventCreate(&event, 0), 0);
    ct_eq_i64(k->cuDevicePrimaryCtxRetain(&ctx, 0), 0);
    ct_eq_i64(k->cuStreamBeginCapture_v2(stream, 1), 0);
    ct_eq_i64(k->cuStreamEndCapture(stream, &graph), 0);
    ct_eq_i64(k->cuGraphInstantiateWithFlags(&exec, graph, 0), 0);
    ct_eq_i64(k->standin_held(), before + 8);
    ct_eq_i64(k->cuGraphExecDestroy(exec), 0);
    ct_eq_i64(k->cuGraphDestroy(graph), 0);
    ct_eq_i64(k->cuDevicePrimaryCtxRelease_v2(0), 0);
    ct_eq_i64(k->cuEventDestroy_v2(event), 0);
    ct_eq_i64(k->cuStreamDestroy_v2(stream), 0);
    ct_eq_i64(k->cuMemFreeHost(pinned), 0);
    ct_eq_i64(k->cuModuleUnload(module), 0);
    ct_eq_i64(k->cuMemFree_v2(m), 0);
    ct_eq_i64(k->standin_held(), before);
}

CT(standin_driver, slow_fills, "A fill made slow is not waited for by other streams")
{
    const struct kit *k = kit_open();
    ct_true(k != NULL);
    struct CUstream_st *stream;
    unsigned char got = 0;
    drv_address m = kit_upload("x", 1);
    ct_eq_i64(k->cuStreamCreate(&stream, 1), 0);
    k->standin_slow_fills(300);
    ct_eq_i64(k->cuMemsetD8Async(m, 7, 1, NULL), 0);
    ct_eq_i64(k->cuMemcpyDtoHAsync_v2(&got, m, 1, stream), 0);
    ct_eq_i64(got, 'x');
    ct_eq_i64(k->cuStreamSynchronize(NULL), 0);
    k->standin_slow_fills(0);
    ct_eq_i64(k->cuMemcpyDtoHAsync_v2(&got, m, 1, stream), 0);
    ct_eq_i64(got, 7);
    ct_eq_i64(k->cuStreamDestroy_v2(stream), 0);
    ct_eq_i64(k->cuMemFree_v2(m), 0);
}
