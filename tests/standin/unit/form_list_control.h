/* SPDX-License-Identifier: Apache-2.0 */
/* Control flow, barriers, fences, addresses: see form_kit.h. Read twice. */
FORM(bra,
     "setp.lt.s32 %p1, %r1, %r2; mov.u64 %rd9, 1; @%p1 bra OVER; mov.u64 %rd9, 2; @!%p1 bra OVER; "
     "mov.u64 %rd9, 3; OVER: add.s64 %rd9, %rd9, 0;",
     S(a) < S(b) ? 1 : 2)
FORM(bra_uni, "mov.u64 %rd9, 1; bra.uni OVER; mov.u64 %rd9, 2; OVER: add.s64 %rd9, %rd9, 0;", 1)
FORM(brx_idx,
     "and.b32 %r5, %r1, 1; T: .branchtargets EVEN, ODD; brx.idx %r5, T; EVEN: mov.u64 %rd9, 1; "
     "bra OVER; ODD: mov.u64 %rd9, 2; OVER: add.s64 %rd9, %rd9, 0;",
     a & 1 ? 2 : 1)
/* Who leaves has written its result before. */
FORM(ret,
     "setp.lt.s32 %p1, %r1, %r2; mul.wide.u32 %rd14, %r13, 8; add.s64 %rd15, %rd11, %rd14; "
     "mov.u64 %rd9, 1; st.global.u64 [%rd15], %rd9; @%p1 ret; mov.u64 %rd9, 2;",
     S(a) < S(b) ? 1 : 2)
FORM(exit,
     "setp.lt.s32 %p1, %r1, %r2; mul.wide.u32 %rd14, %r13, 8; add.s64 %rd15, %rd11, %rd14; "
     "mov.u64 %rd9, 1; st.global.u64 [%rd15], %rd9; @%p1 exit; mov.u64 %rd9, 2;",
     S(a) < S(b) ? 1 : 2)
/* Each thread's value crosses to the thread 33 before it, in another warp. Threads of a block have
 * different a, so the sum of what was given and what was got is what tells. */
#define EXCHANGE(wait)                                                                             \
    ".shared .align 8 .b8 room[512]; mov.u64 %rd7, room; mul.wide.u32 %rd8, %r12, 8; "             \
    "add.s64 %rd8, %rd7, %rd8; st.shared.u64 [%rd8], %rd1; " wait                                  \
    " xor.b32 %r5, %r12, 33; mul.wide.u32 %rd8, %r5, 8; add.s64 %rd8, %rd7, %rd8; "                \
    "ld.shared.u64 %rd6, [%rd8]; xor.b32 %r5, %r13, 33; mul.wide.u32 %rd8, %r5, 24; "              \
    "add.s64 %rd8, %rd10, %rd8; ld.global.u64 %rd5, [%rd8]; sub.s64 %rd9, %rd6, %rd5;"
FORM(bar_sync, EXCHANGE("bar.sync 0;"), 0)
FORM(bar_sync__counted, EXCHANGE("bar.sync 1, 64;"), 0)
FORM(bar_cta_sync, EXCHANGE("bar.cta.sync 0;"), 0)
FORM(barrier_sync, EXCHANGE("barrier.sync 0;"), 0)
FORM(barrier_sync_aligned, EXCHANGE("barrier.sync.aligned 0;"), 0)
FORM(barrier_cta_sync_aligned, EXCHANGE("barrier.cta.sync.aligned 0;"), 0)
/* Within a warp: the lane beside it. */
FORM(bar_warp_sync,
     ".shared .align 8 .b8 room[512]; mov.u64 %rd7, room; mul.wide.u32 %rd8, %r12, 8; "
     "add.s64 %rd8, %rd7, %rd8; st.shared.u64 [%rd8], %rd1; bar.warp.sync -1; "
     "xor.b32 %r5, %r12, 1; mul.wide.u32 %rd8, %r5, 8; add.s64 %rd8, %rd7, %rd8; "
     "ld.shared.u64 %rd6, [%rd8]; xor.b32 %r5, %r13, 1; mul.wide.u32 %rd8, %r5, 24; "
     "add.s64 %rd8, %rd10, %rd8; ld.global.u64 %rd5, [%rd8]; sub.s64 %rd9, %rd6, %rd5;",
     0)
/* All of a block: 64 threads. */
FORM(bar_red_or_pred,
     "setp.eq.s32 %p1, %r12, 5; bar.red.or.pred %p2, 0, %p1; selp.b64 %rd9, 1, 0, %p2;", 1)
FORM(bar_red_and_pred,
     "setp.ne.s32 %p1, %r12, 5; bar.red.and.pred %p2, 0, %p1; selp.b64 %rd9, 1, 0, %p2;", 0)
FORM(bar_red_popc_u32,
     "setp.gt.u32 %p1, %r12, 5; bar.red.popc.u32 %r9, 0, %p1; cvt.u64.u32 %rd9, %r9;", 58)
FORM(bar_arrive,
     "setp.lt.u32 %p1, %r12, 32; mov.u64 %rd9, 1; @%p1 bra WAIT; bar.arrive 2, 64; "
     "bra.uni OVER; WAIT: bar.sync 2, 64; OVER: add.s64 %rd9, %rd9, 0;",
     1)
FORM(membar_cta, "membar.cta; mov.u64 %rd9, %rd1;", a)
FORM(membar_gl, "membar.gl; mov.u64 %rd9, %rd1;", a)
FORM(membar_sys, "membar.sys; mov.u64 %rd9, %rd1;", a)
FORM(nanosleep_u32, "nanosleep.u32 20; mov.u64 %rd9, %rd1;", a)
FORM(griddepcontrol_wait, "griddepcontrol.wait; mov.u64 %rd9, %rd1;", a)
FORM(griddepcontrol_launch_dependents, "griddepcontrol.launch_dependents; mov.u64 %rd9, %rd1;", a)
/* A generic address of the shared window, and back. */
FORM(cvta_shared_u64,
     ".shared .align 8 .b8 room[512]; mov.u64 %rd7, room; mul.wide.u32 %rd8, %r12, 8; "
     "add.s64 %rd8, %rd7, %rd8; cvta.shared.u64 %rd6, %rd8; st.u64 [%rd6], %rd1; "
     "ld.shared.u64 %rd9, [%rd8];",
     a)
FORM(cvta_to_shared_u64,
     ".shared .align 8 .b8 room[512]; mov.u64 %rd7, room; mul.wide.u32 %rd8, %r12, 8; "
     "add.s64 %rd8, %rd7, %rd8; cvta.shared.u64 %rd6, %rd8; st.shared.u64 [%rd8], %rd1; "
     "cvta.to.shared.u64 %rd5, %rd6; sub.s64 %rd5, %rd5, %rd8; ld.u64 %rd9, [%rd6]; "
     "add.s64 %rd9, %rd9, %rd5;",
     a)
FORM(cvta_to_global_u64, "cvta.to.global.u64 %rd8, %rd13; ld.global.u64 %rd9, [%rd8+8];", b)
FORM(cvta_global_u64, "cvta.global.u64 %rd8, %rd13; ld.u64 %rd9, [%rd8+8];", b)
