/* SPDX-License-Identifier: Apache-2.0 */
/* Every check of the stand-in, violated on purpose. */
#include <stdio.h>

#include "standin_kit.h"

/* Runs a kernel of broken.cu on 128 written ints and 128 more; wants an error and words. */
static void broken(const char *name, unsigned threads, int error, const char *words)
{
    static const int zero[128];
    const struct kit *k = kit_open();
    if (!k)
        return;
    struct CUmod_st *module = kit_load("broken");
    drv_address a = kit_upload(zero, sizeof zero), out = kit_upload(zero, sizeof zero);
    int n = 120;
    drv_address never = kit_upload(NULL, sizeof zero);
    void *two[] = {&a, &out}, *beyond[] = {&a, &n}, *one[] = {&out}, *unwritten[] = {&never, &out};
    bool both = name[0] == 's' && name[1] == 'p';
    void **params = name[0] == 'b' ? beyond : both ? two : one;
    if (name[0] == 'u' && name[9] == '\0')
        params = unwritten;
    k->standin_budget(200000);
    int got = kit_run(kit_function(module, name), 1, threads, 0, params);
    ct_note("%s: %s", name, k->standin_message());
    ct_expect_eq_i64(got, error);
    if (words)
        ct_expect_str_has(k->standin_message(), words);
    ct_expect_eq_u64(k->standin_violations(), error != 0);
    if (error) /* it sticks */
        ct_expect_eq_i64(k->cuCtxSynchronize(), error);
    k->standin_forgive();
    ct_expect_eq_i64(k->cuMemFree_v2(a), 0);
    ct_expect_eq_i64(k->cuMemFree_v2(out), 0);
    ct_expect_eq_i64(k->cuMemFree_v2(never), 0);
    ct_expect_eq_i64(k->cuModuleUnload(module), 0);
}

CT(standin_checks, bounds, "A store beyond an allocation is named with its thread and offset")
{
    broken("beyond", 32, 700, "offset 512 of an allocation of 512 bytes");
}
CT(standin_checks, alignment, "A 16-byte store off by 4 is misaligned")
{
    broken("skewed", 32, 716, "16 bytes at");
}
CT(standin_checks, unwritten, "A load of device memory that nobody wrote is refused")
{
    broken("unwritten", 32, 719, "never written");
}
CT(standin_checks, unwritten_shared, "A load of shared memory that nobody wrote is refused")
{
    broken("unwritten_shared", 32, 719, "never written");
}
CT(standin_checks, race, "Warps that meet in shared memory without a barrier race")
{
    broken("racing", 64, 719, "race in shared memory");
}
CT(standin_checks, race_in_warp, "Lanes that meet in shared memory without a __syncwarp race")
{
    broken("racing_warp", 32, 719, "race in shared memory");
}
CT(standin_checks, no_race, "With its __syncwarp the same kernel is right")
{
    broken("ordered_warp", 32, 0, NULL);
}
CT(standin_checks, same_value, "Lanes of one store of one same value do not race")
{
    broken("same_value", 32, 0, NULL);
}
CT(standin_checks, missing_lane, "A full mask with a lane elsewhere is refused")
{
    broken("lane_missing", 32, 719, "wait at another instruction");
}
CT(standin_checks, left_lane, "A lane that left misses at the barrier")
{
    broken("lane_left", 64, 719, "have left and miss the barrier");
}
CT(standin_checks, left_warp, "A warp that left leaves the others at the barrier for ever")
{
    broken("warp_left", 64, 719, "waits for ever");
}
CT(standin_checks, watchdog, "A loop that nvcc made endless ends by the watchdog")
{
    broken("spins", 32, 702, "watchdog");
}
CT(standin_checks, trap, "A trap ends the launch")
{
    broken("traps", 32, 719, "trap");
}

static void refused(const char *body, const char *words)
{
    char text[600];
    struct CUmod_st *module = NULL;
    const struct kit *k = kit_open();
    if (!k)
        return;
    (void)snprintf(text, sizeof text,
                   ".version 9.0\n.target sm_90\n.address_size 64\n.visible .entry f()\n{\n"
                   ".reg .pred %%p<3>;\n.reg .b32 %%r<5>;\n%s\nret;\n}\n",
                   body);
    ct_expect_eq_i64(k->cuModuleLoadData(&module, text), 218);
    ct_note("%s", body);
    ct_expect_str_has(k->standin_message(), words);
    k->standin_forgive();
}

CT(standin_checks, refuses, "What is not known is refused by name and line")
{
    refused("frobnicate.u32 %r1, %r2;", "PTX line 8, in f: 'frobnicate.u32'");
    refused("add.sat.s32 %r1, %r2, %r3;", "(sat)");
    refused("add.rz.f32 %r1, %r2, %r3;", "(rz)");
    refused("add.s32 %r1, %r2;", "';' where ','");
    refused("add.s32 %r1, %r2, %r3, %r4;", "',' where ';'");
    refused("add.s32 %r1, %r2, %r9;", "'%r9' is no register");
    refused("bra nowhere;", "the label 'nowhere'");
    refused("ld.global.v2.u32 {%r1}, [%r2];", "1 elements, not 2");
    refused("mov.u32 %r1, %nothing;", "'%nothing'");
    refused(".pragma \"other\";", "pragma");
    refused("wgmma.fence.sync.aligned;", "wgmma");
}

CT(standin_checks, unwritten_register, "A register that was never written is not computed with")
{
    const struct kit *k = kit_open();
    ct_true(k != NULL);
    struct CUmod_st *module =
        kit_load_text(".version 9.0\n.target sm_90\n.address_size 64\n.visible .entry f()\n{\n"
                      ".reg .b32 %r<5>;\nmov.u32 %r1, %r0;\nadd.s32 %r2, %r1, 1;\nret;\n}\n");
    ct_eq_i64(kit_run(kit_function(module, "f"), 1, 32, 0, NULL), 719);
    ct_str_has(k->standin_message(), "reads a register that was never written");
    ct_str_has(k->standin_message(), "PTX line 8");
    k->standin_forgive();
    ct_eq_i64(k->cuModuleUnload(module), 0);
}
