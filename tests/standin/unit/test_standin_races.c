/* SPDX-License-Identifier: Apache-2.0 */
/* Races between blocks in global memory, and the fences and scopes that order them. */
#include "standin_kit.h"

enum { BLOCKS = 4, THREADS = 64, ALL = BLOCKS * THREADS };

/* Runs a kernel of races.cu; `words`: what the report says, NULL: there is none. */
static struct standin_counters raced(const char *name, const char *words)
{
    static const int zero[ALL + 1];
    struct standin_counters counters = {0};
    const struct kit *k = kit_open();
    if (!k)
        return counters;
    struct CUmod_st *module = kit_load("races");
    drv_address data = kit_upload(zero, ALL * sizeof *zero), flag = kit_upload(zero, sizeof zero);
    void *params[] = {&data, &flag};
    k->standin_budget(2000000);
    int got = kit_run(kit_function(module, name), BLOCKS, THREADS, 0, params);
    ct_note("%s: %s", name, k->standin_message());
    ct_expect_eq_i64(got, words ? 719 : 0);
    if (words) {
        ct_expect_str_has(k->standin_message(), "race in global memory at 0x");
        ct_expect_str_has(k->standin_message(), name);
        ct_expect_str_has(k->standin_message(), "thread");
        ct_expect_str_has(k->standin_message(), words);
    }
    k->standin_counters(&counters);
    k->standin_forgive();
    ct_expect_eq_i64(k->cuMemFree_v2(data), 0);
    ct_expect_eq_i64(k->cuMemFree_v2(flag), 0);
    ct_expect_eq_i64(k->cuModuleUnload(module), 0);
    return counters;
}

CT(standin_races, plain, "Blocks that store and load one word without order race, and it is named")
{
    raced("reads_other", "and block (0,0,0), thread 0 loaded at PTX line");
    raced("writes_other", "and block (0,0,0), thread 0 stored at PTX line");
    raced("writes_one", "stored at PTX line");
    raced("counts_plainly", "loads, and block");
}
CT(standin_races, warps, "So do warps of one block without a barrier, and with one they do not")
{
    raced("other_warp", "unordered");
    raced("other_warp_right", NULL);
}
CT(standin_races, same_value, "Stores of one same value are counted, not reported")
{
    ct_eq_u64(raced("same_one", NULL).same_value_stores, ALL - 1);
    ct_eq_u64(raced("fences", NULL).same_value_stores, 0);
}
CT(standin_races, ordered, "A flag with its fences, or with release and acquire, orders")
{
    raced("fences", NULL);
    raced("orders", NULL);
    raced("mixed", NULL);
    raced("swaps", NULL);
    raced("last_block", NULL);
    raced("passed_on", NULL);
}
CT(standin_races, release, "A flag stored without a release before it is found out")
{
    raced("no_release", "the flag was stored without a release");
    raced("relaxed_only", "unordered");
    raced("last_no_fence", "the flag was stored without a release");
    raced("fence_early", "unordered");
    raced("last_no_barrier", "unordered");
}
CT(standin_races, acquire, "So is a flag seen without a fence after it")
{
    raced("no_acquire", "no fence or .acquire follows");
    raced("last_no_after", "no fence or .acquire follows");
}
CT(standin_races, scopes, "And a fence, a release or a flag whose scope ends at the block")
{
    raced("block_fence", "at a scope that reaches here");
    raced("block_release", "the scope of one of them ends at its block");
    raced("block_relaxed", "the scope of one of them ends at its block");
}

/* A kernel of device 0 with a flag in memory of device 1, which may be the same or the host's. */
static void told(const char *name, drv_address flag, const char *words)
{
    const struct kit *k = kit_open();
    struct CUmod_st *module = kit_load("races");
    void *params[] = {&flag, &flag};
    int got = kit_run(kit_function(module, name), 1, 32, 0, params);
    ct_note("%s: %s", name, k->standin_message());
    ct_expect_eq_i64(got, words ? 719 : 0);
    if (words)
        ct_expect_str_has(k->standin_message(), words);
    k->standin_forgive();
    ct_expect_eq_i64(k->cuModuleUnload(module), 0);
}

CT(standin_races, devices, "A flag that another device or the host polls wants .sys")
{
    struct CUctx_st *own, *other;
    drv_address far;
    void *host;
    const int zero[2] = {0, 0};
    const struct kit *k = kit_open();
    ct_true(k != NULL);
    ct_eq_i64(k->cuCtxGetCurrent(&own), 0);
    ct_eq_i64(k->cuDevicePrimaryCtxRetain(&other, 1), 0);
    ct_eq_i64(k->cuCtxSetCurrent(other), 0);
    ct_eq_i64(k->cuMemAlloc_v2(&far, sizeof zero), 0);
    ct_eq_i64(k->cuMemcpyHtoD_v2(far, zero, sizeof zero), 0);
    ct_eq_i64(k->cuCtxSetCurrent(own), 0);
    told("tells_far", far, NULL);
    told("tells_far_order", far, NULL);
    told("counts_far", far, NULL);
    told("tells_near", far, "its scope ends at the device");
    told("counts_near", far, "its scope ends at the device");
    told("tells_near_fence", far, "the fence before it ends at the device");
    ct_eq_i64(k->cuMemAllocHost_v2(&host, sizeof zero), 0);
    told("tells_far", (drv_address)(uintptr_t)host, NULL);
    told("tells_near", (drv_address)(uintptr_t)host, "its scope ends at the device");
    drv_address near = kit_upload(zero, sizeof zero);
    told("tells_near", near, NULL);
    told("counts_near", near, NULL);
    ct_eq_i64(k->cuMemFreeHost(host), 0);
    ct_eq_i64(k->cuMemFree_v2(near), 0);
    ct_eq_i64(k->cuMemFree_v2(far), 0);
    ct_eq_i64(k->cuDevicePrimaryCtxRelease_v2(1), 0);
}
