/* SPDX-License-Identifier: Apache-2.0 */
/* Kernels from nvcc: control flow, shared memory, atomics, waits between lanes and blocks. */
#include <math.h>

#include "standin_kit.h"

CT(standin_kernels, sums, "Blocks add up what they hold, and the counters are exact")
{
    enum { N = 1000 };
    int values[N], total = 0, want = 0, n = N;
    const struct kit *k = kit_open();
    ct_true(k != NULL);
    for (int i = 0; i < N; i++)
        want += values[i] = i * i - 77;
    struct CUmod_st *module = kit_load("basics");
    drv_address a = kit_upload(values, sizeof values), t = kit_upload(&total, sizeof total);
    void *params[] = {&a, &n, &t};
    struct standin_counters first, second;
    ct_eq_i64(kit_run(kit_function(module, "sum_blocks"), 4, 256, 0, params), 0);
    k->standin_counters(&first);
    ct_eq_i64(k->cuMemcpyDtoH_v2(&total, t, sizeof total), 0);
    ct_eq_i64(total, want);
    ct_eq_u64(first.launches, 1);
    ct_eq_u64(first.load_sectors, N / 8);
    ct_eq_u64(first.atomic_sectors, 4);
    ct_eq_u64(first.global_atomics, 4);
    k->standin_counters_reset();
    ct_eq_i64(kit_run(kit_function(module, "sum_blocks"), 4, 256, 0, params), 0);
    k->standin_counters(&second);
    ct_eq_mem(&second, &first, sizeof first);
    uint64_t by_class = 0;
    for (int i = 0; i < STANDIN_CLASSES; i++)
        by_class += first.by_class[i];
    ct_eq_u64(by_class, first.warp_instructions);
    ct_eq_i64(k->cuModuleUnload(module), 0);
}

CT(standin_kernels, diverges, "Lanes that loop apart meet again")
{
    int counts[32], out[64], want[32], more = 0;
    const struct kit *k = kit_open();
    ct_true(k != NULL);
    for (int l = 0; l < 32; l++) {
        counts[l] = l * 7 % 13;
        int x = l;
        for (int i = 0; i < counts[l]; i++)
            x = x & 1 ? 3 * x + 1 : x / 2 + 7;
        want[l] = x;
        more += x > l;
    }
    struct CUmod_st *module = kit_load("basics");
    drv_address a = kit_upload(counts, sizeof counts), o = kit_upload(NULL, sizeof out);
    void *params[] = {&a, &o};
    ct_eq_i64(kit_run(kit_function(module, "diverge"), 1, 32, 0, params), 0);
    ct_eq_i64(k->cuMemcpyDtoH_v2(out, o, sizeof out), 0);
    ct_eq_mem(out, want, sizeof want);
    for (int l = 0; l < 32; l++)
        ct_eq_i64(out[32 + l], more);
    ct_eq_i64(k->cuModuleUnload(module), 0);
}

CT(standin_kernels, waits, "Lanes wait for a lock, and blocks for blocks that began later")
{
    int zero[64] = {0}, order[64], count;
    const struct kit *k = kit_open();
    ct_true(k != NULL);
    struct CUmod_st *module = kit_load("basics");
    drv_address lock = kit_upload(zero, 4), counter = kit_upload(zero, 4);
    void *lanes[] = {&lock, &counter};
    k->standin_budget(10000000);
    ct_eq_i64(kit_run(kit_function(module, "lock_lanes"), 3, 64, 0, lanes), 0);
    ct_eq_i64(k->cuMemcpyDtoH_v2(&count, counter, 4), 0);
    ct_eq_i64(count, 192);
    drv_address flag = kit_upload(zero, 4), o = kit_upload(zero, sizeof zero);
    void *blocks[] = {&flag, &o};
    ct_eq_i64(kit_run(kit_function(module, "chain"), 64, 32, 0, blocks), 0);
    ct_eq_i64(k->cuMemcpyDtoH_v2(order, o, sizeof order), 0);
    for (int i = 0; i < 64; i++)
        ct_eq_i64(order[i], 63 - i);
    ct_eq_i64(k->cuModuleUnload(module), 0);
}

CT(standin_kernels, dynamic_shared, "Dynamic shared memory has the size of the launch")
{
    int values[256], back[256];
    const struct kit *k = kit_open();
    ct_true(k != NULL);
    for (int i = 0; i < 256; i++)
        values[i] = i;
    struct CUmod_st *module = kit_load("basics");
    drv_address a = kit_upload(values, sizeof values);
    void *params[] = {&a};
    struct CUfunc_st *reverse = kit_function(module, "reverse");
    ct_eq_i64(kit_run(reverse, 1, 256, 1024, params), 0);
    ct_eq_i64(k->cuMemcpyDtoH_v2(back, a, sizeof back), 0);
    for (int i = 0; i < 256; i++)
        ct_eq_i64(back[i], 255 - i);
    ct_eq_i64(kit_run(reverse, 1, 256, 1020, params), 700);
    ct_str_has(k->standin_message(), "offset 1020 of 1020 bytes of shared memory");
    k->standin_forgive();
    ct_eq_i64(k->cuModuleUnload(module), 0);
}

CT(standin_kernels, picks, "A switch, a table of the module, vector stores")
{
    static const int fib[8] = {1, 2, 3, 5, 8, 13, 21, 34};
    int which[96];
    float out[96], wide[96][4];
    const struct kit *k = kit_open();
    ct_true(k != NULL);
    for (int i = 0; i < 96; i++)
        which[i] = i * 11 % 41;
    struct CUmod_st *module = kit_load("basics");
    drv_address a = kit_upload(which, sizeof which), o = kit_upload(NULL, sizeof out),
                w = kit_upload(NULL, sizeof wide);
    void *params[] = {&a, &o, &w};
    ct_eq_i64(kit_run(kit_function(module, "pick"), 1, 96, 0, params), 0);
    ct_eq_i64(k->cuMemcpyDtoH_v2(out, o, sizeof out), 0);
    ct_eq_i64(k->cuMemcpyDtoH_v2(wide, w, sizeof wide), 0);
    for (int i = 0; i < 96; i++) {
        float f = (float)fib[which[i] & 7];
        int c = which[i] % 5;
        float want = c == 0 ? f + 1 : c == 1 ? f * 3 : c == 2 ? -f : c == 3 ? sqrtf(f) : 1 / f;
        ct_eq_f32bits(out[i], want);
        ct_eq_f32bits(wide[i][3], want + 3);
    }
    ct_eq_i64(k->cuModuleUnload(module), 0);
}
