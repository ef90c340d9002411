/* SPDX-License-Identifier: Apache-2.0 */
/* Operations among the lanes of a warp. Read twice.
 *
 *     LANES(shfl_sync_bfly_b32, "shfl.sync.bfly.b32 %r9, %r1, 5, 31, -1;", v[lane ^ 5])
 *
 * %r1 and %r2 are v and u of the lane, %r5 its number; %p1 is v's lowest bit; the text leaves %r9,
 * or %p2 in place of it where it writes that. */
LANES(shfl_sync_bfly_b32, "shfl.sync.bfly.b32 %r9, %r1, 5, 31, -1;", v[lane ^ 5])
LANES(shfl_sync_bfly_b32__halves, "shfl.sync.bfly.b32 %r9|%p2, %r1, 16, 0x101f, -1;",
      lane < 16 ? 0 : 1)
LANES(shfl_sync_down_b32, "shfl.sync.down.b32 %r9, %r1, 7, 31, -1;", v[lane < 25 ? lane + 7 : lane])
LANES(shfl_sync_down_b32__ends, "shfl.sync.down.b32 %r9|%p2, %r1, 7, 31, -1;", lane < 25)
LANES(shfl_sync_up_b32, "shfl.sync.up.b32 %r9, %r1, 3, 0, -1;", v[lane < 3 ? lane : lane - 3])
LANES(shfl_sync_up_b32__eights, "shfl.sync.up.b32 %r9, %r1, 3, 0x1800, -1;",
      v[lane % 8 < 3 ? lane : lane - 3])
LANES(shfl_sync_idx_b32, "shfl.sync.idx.b32 %r9, %r1, 11, 31, -1;", v[11])
LANES(shfl_sync_idx_b32__each, "shfl.sync.idx.b32 %r9, %r1, %r2, 31, -1;", v[u[lane] & 31])
LANES(shfl_sync_idx_b32__eights, "shfl.sync.idx.b32 %r9, %r1, %r2, 0x181f, -1;",
      v[(lane & 24) | (u[lane] & 7)])
/* Half of the lanes, by a mask. */
LANES(shfl_sync_bfly_b32__mask,
      "setp.lt.u32 %p3, %r5, 16; mov.u32 %r9, 7; @!%p3 bra REST; "
      "shfl.sync.bfly.b32 %r9, %r1, 5, 31, 0xffff; REST: add.s32 %r9, %r9, 0;",
      lane < 16 ? v[lane ^ 5] : 7)
LANES(vote_sync_all_pred, "vote.sync.all.pred %p2, %p1, -1;", count(v, odd) == 32)
LANES(vote_sync_any_pred, "vote.sync.any.pred %p2, %p1, -1;", count(v, odd) > 0)
LANES(vote_sync_any_pred__not, "vote.sync.any.pred %p2, !%p1, -1;", count(v, odd) < 32)
LANES(vote_sync_uni_pred, "vote.sync.uni.pred %p2, %p1, -1;", count(v, odd) % 32 == 0)
LANES(vote_sync_ballot_b32, "vote.sync.ballot.b32 %r9, %p1, -1;", which(v, odd))
LANES(match_any_sync_b32, "match.any.sync.b32 %r9, %r2, -1;", equals(u, u[lane]))
LANES(match_any_sync_b64, "mov.b64 %rd7, {%r5, %r2}; match.any.sync.b64 %r9, %rd7, -1;", 1U << lane)
LANES(match_any_sync_b64__high, "mov.b64 %rd7, {%r2, %r2}; match.any.sync.b64 %r9, %rd7, -1;",
      equals(u, u[lane]))
LANES(match_all_sync_b32, "match.all.sync.b32 %r9|%p2, %r2, -1;", equals(u, u[0]) == UINT32_MAX)
LANES(match_all_sync_b32__mask, "match.all.sync.b32 %r9, %r2, -1;",
      equals(u, u[0]) == UINT32_MAX ? UINT32_MAX : 0)
LANES(redux_sync_add_s32, "redux.sync.add.s32 %r9, %r1, -1;", sum(v))
LANES(redux_sync_add_u32, "redux.sync.add.u32 %r9, %r1, -1;", sum(v))
LANES(redux_sync_min_u32, "redux.sync.min.u32 %r9, %r1, -1;", best(v, 0, 0))
LANES(redux_sync_max_u32, "redux.sync.max.u32 %r9, %r1, -1;", ~best(v, ~0U, 0))
LANES(redux_sync_min_s32, "redux.sync.min.s32 %r9, %r1, -1;", best(v, 0, 1U << 31))
LANES(redux_sync_max_s32, "redux.sync.max.s32 %r9, %r1, -1;", ~best(v, ~0U, 1U << 31))
LANES(redux_sync_and_b32, "redux.sync.and.b32 %r9, %r1, -1;", all_bits(v))
LANES(redux_sync_or_b32, "redux.sync.or.b32 %r9, %r1, -1;", any_bits(v))
LANES(redux_sync_xor_b32, "redux.sync.xor.b32 %r9, %r1, -1;", odd_bits(v))
LANES(redux_sync_max_f32, "mov.b32 %f1, %r1; redux.sync.max.f32 %f2, %f1, -1; mov.b32 %r9, %f2;",
      best_float(v, 1))
LANES(redux_sync_min_f32, "mov.b32 %f1, %r1; redux.sync.min.f32 %f2, %f1, -1; mov.b32 %r9, %f2;",
      best_float(v, -1))
/* A matrix of 8 x 8 elements of 16 bits, stored by the lanes in order, is read back in order. */
LANES(ldmatrix_sync_aligned_m8n8_x1_shared_b16,
      ".shared .align 16 .b8 tile[128]; mov.u64 %rd7, tile; mul.wide.u32 %rd6, %r5, 4; "
      "add.s64 %rd6, %rd7, %rd6; st.shared.u32 [%rd6], %r1; bar.warp.sync -1; "
      "mov.u32 %r6, %tid.x; and.b32 %r6, %r6, 7; mul.wide.u32 %rd8, %r6, 16; "
      "add.s64 %rd8, %rd7, %rd8; ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%r9}, [%rd8];",
      v[lane])
LANES(elect_sync, "elect.sync %r9|%p2, -1;", lane == 0)
LANES(activemask_b32, "activemask.b32 %r9;", UINT32_MAX)
/* A histogram: each lane adds to the bin of its u; the number it gets is below the bin's count. */
LANES(atom_shared_add_u32__shared,
      ".shared .align 4 .b8 bins[128]; mov.u64 %rd7, bins; mul.wide.u32 %rd6, %r5, 4; "
      "add.s64 %rd6, %rd7, %rd6; st.shared.u32 [%rd6], 0; bar.warp.sync -1; "
      "and.b32 %r6, %r2, 31; mul.wide.u32 %rd8, %r6, 4; add.s64 %rd8, %rd7, %rd8; "
      "atom.shared.add.u32 %r7, [%rd8], 1; bar.warp.sync -1; ld.shared.u32 %r9, [%rd6];",
      bin(u, lane))
LANES(red_shared_add_u32__shared,
      ".shared .align 4 .b8 bins[128]; mov.u64 %rd7, bins; mul.wide.u32 %rd6, %r5, 4; "
      "add.s64 %rd6, %rd7, %rd6; st.shared.u32 [%rd6], 0; bar.warp.sync -1; "
      "and.b32 %r6, %r2, 31; mul.wide.u32 %rd8, %r6, 4; add.s64 %rd8, %rd7, %rd8; "
      "red.shared.add.u32 [%rd8], 1; bar.warp.sync -1; ld.shared.u32 %r9, [%rd6];",
      bin(u, lane))
