/* SPDX-License-Identifier: Apache-2.0
 * This rank's part of what copies serve in all (sl_balance_split): sources take from their own
 * rank's copies, then in rising order from their node's, then in rising order from any. In a pass
 * sources and copies lie on a line in their order, each as long as what it needs or has left, so
 * what a source takes is where its piece and the copies' overlap, and the sums before it are all
 * that is needed of the others. */
#ifndef SLC_BLOCK_SPLIT_CUH
#define SLC_BLOCK_SPLIT_CUH

#include "block_flow.cuh"

SLC_DEVICE int32_t slc_source_rank(const struct slc_balance *job, int32_t s)
{
    return job->alone ? job->rank : job->living[1 + s];
}

/* This rank's piece of one expert. */
struct slc_piece {
    int64_t before; /* what sources before this rank still need */
    int64_t need;   /* what this rank still needs */
};

/* Own ranks' copies first; left: what copies have then. */
SLC_DEVICE void slc_take_home(const struct slc_flow *flow, int32_t e, struct slc_piece *piece)
{
    const struct slc_balance *job = flow->job;
    for (int32_t c = job->start[e]; c < job->start[e + 1]; c++) {
        int32_t s = flow->source_of[slc_copy_rank(job, c)];
        int64_t taken = s < 0 ? 0 : slc_least(sl_id_at(&job->counts, s, e), flow->units[c]);
        flow->left[c] = flow->units[c] - taken;
        piece->before -= s < flow->own ? taken : 0;
        piece->need -= s == flow->own ? taken : 0;
        job->quota[c] = s == flow->own ? taken : 0;
    }
}

/* What the sources of a node need of expert e, and those of them before this rank. */
SLC_DEVICE void slc_node_needs(const struct slc_flow *flow, int32_t e, int32_t node, int64_t *all,
                               int64_t *before)
{
    const struct slc_balance *job = flow->job;
    *all = *before = 0;
    for (int32_t s = 0; s < flow->sources; s++) {
        int64_t count =
            job->leader[slc_source_rank(job, s)] == node ? sl_id_at(&job->counts, s, e) : 0;
        *all += count;
        *before += s < flow->own ? count : 0;
    }
    for (int32_t c = job->start[e]; c < job->start[e + 1]; c++) {
        int32_t rank = slc_copy_rank(job, c), s = flow->source_of[rank];
        int64_t taken = s >= 0 && job->leader[rank] == node ? flow->units[c] - flow->left[c] : 0;
        *all -= taken;
        *before -= s < flow->own ? taken : 0;
    }
}

/* One node's copies for one node's sources. */
SLC_DEVICE void slc_take_node(const struct slc_flow *flow, int32_t e, int32_t node,
                              struct slc_piece *piece)
{
    const struct slc_balance *job = flow->job;
    int64_t all, before, at = 0, taken = 0;
    slc_node_needs(flow, e, node, &all, &before);
    bool home = job->leader[job->rank] == node;
    for (int32_t c = job->start[e]; c < job->start[e + 1]; c++) {
        int64_t left = flow->left[c];
        if (job->leader[slc_copy_rank(job, c)] != node)
            continue;
        int64_t mine = home ? slc_overlap(before, piece->need, at, left) : 0;
        job->quota[c] += mine;
        taken += mine;
        flow->left[c] = left - slc_overlap(0, all, at, left);
        at += left;
    }
    piece->before -= slc_least(before, at);
    piece->need -= taken;
}

SLC_DEVICE void slc_take_nodes(const struct slc_flow *flow, int32_t e, struct slc_piece *piece)
{
    const struct slc_balance *job = flow->job;
    int32_t begin = job->start[e];
    for (int32_t c = begin; c < job->start[e + 1]; c++) {
        int32_t node = job->leader[slc_copy_rank(job, c)];
        bool known = false;
        for (int32_t d = begin; d < c; d++)
            known = known || job->leader[slc_copy_rank(job, d)] == node;
        if (!known)
            slc_take_node(flow, e, node, piece);
    }
}

/* units: what each copy of expert e serves. */
SLC_DEVICE void slc_split_expert(const struct slc_flow *flow, int32_t e)
{
    const struct slc_balance *job = flow->job;
    int32_t begin = job->start[e], end = job->start[e + 1];
    struct slc_piece piece = {flow->before[e], sl_id_at(&job->counts, flow->own, e)};
    for (int32_t c = begin; c < end; c++)
        job->whole[c] = flow->units[c];
    if (end - begin == 1) {
        job->quota[begin] = piece.need;
        return;
    }
    slc_take_home(flow, e, &piece);
    if (job->nodes)
        slc_take_nodes(flow, e, &piece);
    int64_t at = 0;
    for (int32_t c = begin; c < end; c++) {
        job->quota[c] += slc_overlap(piece.before, piece.need, at, flow->left[c]);
        at += flow->left[c];
    }
}

/* --------------------------------------------------------------------------- shared columns */

/* What a line of ranks is made of, per rank: rooms left, and by the node's leader what sources
 * need, those of them before this rank, and rooms. */
enum { SLC_ROOM = 0, SLC_NEED = 1, SLC_BEFORE = 2, SLC_ROOMS = 3 };

SLC_DEVICE int64_t slc_columns_of(const struct slc_balance *job, int32_t s)
{
    return sl_id_at(&job->counts, s, job->entries) * job->shared;
}

/* Own rooms first. sum: what sources before this rank still need. */
SLC_DEVICE void slc_columns_home(const struct slc_flow *flow, int64_t z, int64_t *sum)
{
    const struct slc_balance *job = flow->job;
    SLC_EACH_OF(r, job->ranks)
    {
        int32_t s = flow->source_of[r], node = job->leader[r];
        int64_t room = s > -2 ? z - flow->rank_load[r] : 0;
        int64_t need = s >= 0 ? slc_columns_of(job, s) : 0, taken = slc_least(need, room);
        flow->apart[SLC_ROOM][r] = room - taken;
        job->columns[r] = s >= 0 && s == flow->own ? taken : 0;
        if (s >= 0 && s < flow->own)
            slc_add(sum, need - taken);
        if (!job->nodes)
            continue;
        slc_add(&flow->apart[SLC_NEED][node], need - taken);
        slc_add(&flow->apart[SLC_BEFORE][node], s < flow->own ? need - taken : 0);
        slc_add(&flow->apart[SLC_ROOMS][node], room - taken);
    }
}

/* Each node's rooms for its sources. Gives what this rank takes of them; sum as above. */
SLC_DEVICE int64_t slc_columns_near(const struct slc_flow *flow, int64_t need, int64_t *sum)
{
    const struct slc_balance *job = flow->job;
    const int64_t *rooms = flow->apart[SLC_ROOMS], *before = flow->apart[SLC_BEFORE];
    int32_t home = job->leader[job->rank];
    SLC_EACH_OF(r, job->ranks)
    {
        int32_t node = job->leader[r];
        int64_t at = 0, left = flow->apart[SLC_ROOM][r];
        for (int32_t q = node; q < r; q++)
            at += job->leader[q] == node ? flow->apart[SLC_ROOM][q] : 0;
        if (node == home)
            job->columns[r] += slc_overlap(before[node], need, at, left);
        if (node == r)
            slc_add(sum, -slc_least(before[node], rooms[node]));
        /* rooms of others are read until the next barrier */
        flow->rank_load[r] = slc_overlap(0, flow->apart[SLC_NEED][node], at, left);
    }
    __syncthreads();
    SLC_EACH_OF(r, job->ranks)
    flow->apart[SLC_ROOM][r] -= flow->rank_load[r];
    return slc_overlap(before[home], need, 0, rooms[home]);
}

/* One warp: rooms become the sums before them. */
SLC_DEVICE void slc_columns_line(const struct slc_flow *flow)
{
    int64_t sum = 0;
    for (int32_t base = 0; base < flow->job->ranks; base += SLC_WARP) {
        int32_t r = base + slc_thread_lane();
        int64_t room = r < flow->job->ranks ? flow->apart[SLC_ROOM][r] : 0;
        int64_t running = slc_warp_running(room);
        if (r < flow->job->ranks)
            flow->apart[SLC_NEED][r] = sum + running - room;
        sum += slc_warp_from(running, SLC_WARP - 1);
    }
}

/* rank_load: of each rank at the optimum z. */
SLC_DEVICE void slc_split_columns(const struct slc_flow *flow, int64_t z,
                                  struct slc_flow_numbers *numbers)
{
    const struct slc_balance *job = flow->job;
    SLC_EACH_OF(r, job->ranks)
    for (int32_t i = SLC_NEED; i <= SLC_ROOMS; i++)
        flow->apart[i][r] = 0;
    if (threadIdx.x == 0)
        numbers->sum = 0;
    __syncthreads();
    slc_columns_home(flow, z, &numbers->sum);
    __syncthreads();
    int64_t need = slc_columns_of(job, flow->own);
    need -= job->rank >= 0 ? job->columns[job->rank] : 0;
    __syncthreads();
    if (job->nodes)
        need -= slc_columns_near(flow, need, &numbers->sum);
    __syncthreads();
    if (threadIdx.x < SLC_WARP)
        slc_columns_line(flow);
    __syncthreads();
    SLC_EACH_OF(r, job->ranks)
    job->columns[r] +=
        slc_overlap(numbers->sum, need, flow->apart[SLC_NEED][r], flow->apart[SLC_ROOM][r]);
}

/* EXPERTS: the shared experts that each rank serves, as bits in rank_level: ranks with tokens of
 * their own first, each as many as it has room for, what nobody serves yet before its lowest; then
 * any rank until all are served. One warp. */
SLC_DEVICE void slc_serve_columns(const struct slc_flow *flow, int64_t z)
{
    const struct slc_balance *job = flow->job;
    int32_t all = job->shared, served = 0;
    for (int32_t pass = 0; pass < 2; pass++)
        for (int32_t base = 0; base < job->ranks; base += SLC_WARP) {
            int32_t r = base + slc_thread_lane(), s = r < job->ranks ? flow->source_of[r] : -2;
            bool home = s >= 0 && sl_id_at(&job->counts, s, job->entries) > 0;
            bool mine = s > -2 && home == (pass == 0);
            int32_t most = pass == 0 ? all : all - served;
            int32_t take = mine ? (int32_t)slc_least(z - flow->rank_load[r], most) : 0;
            int32_t running = (int32_t)slc_warp_running(take), first = served + running - take;
            first = first < all ? first : all;
            int32_t fresh = take < all - first ? take : all - first;
            uint32_t bits = ((1U << fresh) - 1) << first;
            if (pass == 0) /* the lowest others */
                bits |= (1U << (take - fresh)) - 1;
            if (r < job->ranks && (mine || s == -2))
                flow->rank_level[r] = mine ? (int32_t)bits : 0;
            served += __shfl_sync(SLC_ALL, running, SLC_WARP - 1);
            served = served < all ? served : all;
        }
}

/* EXPERTS: all of this rank's columns j go to one rank: itself, the lowest of its node, the lowest.
 * One warp. */
SLC_DEVICE void slc_choose_servers(const struct slc_flow *flow)
{
    const struct slc_balance *job = flow->job;
    for (int32_t j = 0; j < job->shared; j++) {
        uint32_t best = UINT32_MAX;
        for (int32_t r = slc_thread_lane(); r < job->ranks; r += SLC_WARP) {
            if (!(flow->rank_level[r] >> j & 1))
                continue;
            bool near = job->rank >= 0 && job->leader[r] == job->leader[job->rank];
            uint32_t key = (r == job->rank ? 0U : near ? 1U << 16 : 2U << 16) | (uint32_t)r;
            best = key < best ? key : best;
        }
        best = __reduce_min_sync(SLC_ALL, best);
        if (slc_thread_lane() == 0)
            job->column[j] = (int32_t)(best & 0xFFFF);
    }
}

#endif
