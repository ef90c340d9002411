/* SPDX-License-Identifier: Apache-2.0
 * The min-max flow of src/core/flow.h by one block, to the same integers: what its steps leave
 * depends on their order, so the steps are the same and only what is inside one, or what other
 * steps cannot see, is shared out.
 *
 * An arc is a copy's place among `copies`; copies of experts with one rank, and second copies on a
 * rank, are none. Pouring: an expert waits for those before it that share a rank with it, each
 * rank taking its arcs in their order, so experts apart from each other pour at once. Levels: each
 * expert, then each rank looks whether it is reached. Paths: one warp, its lanes looking at a
 * rank's arcs. */
#ifndef SLC_BLOCK_FLOW_CUH
#define SLC_BLOCK_FLOW_CUH

#include "balance_job.h"
#include "block.cuh"

struct slc_flow {
    const struct slc_balance *job;
    int32_t living, sources;         /* numbers of them */
    int32_t own;                     /* this rank's place among the sources */
    int64_t *load, *before;          /* [entries + 1] of all sources; of those before this rank */
    int64_t *units, *left;           /* [P] on each copy; see block_split.cuh */
    int64_t *rank_load;              /* [ranks] */
    int64_t *apart[4];               /* [ranks] see block_split.cuh */
    int32_t *expert_level;           /* [entries] -1: not reached; -2: not shared out */
    int32_t *expert_next;            /* [entries] arcs left to try */
    int32_t *holder;                 /* [P] rank of an arc, -1: none */
    int32_t *expert_of;              /* [P] */
    int32_t *list;                   /* [P] each rank's arcs, ascending, from rank * slots on */
    int32_t *listed;                 /* [ranks] how many */
    int32_t *source_of;              /* [ranks] -1: no source, -2: dead */
    int32_t *rank_level, *rank_next; /* [ranks] */
    int32_t *from, *to;              /* [ranks] the arcs of a path */
};

/* Numbers that all threads read. */
struct slc_flow_numbers {
    int64_t z, sum, reached;
    int32_t count, own;
};

SLC_DEVICE void slc_flow_bind(struct slc_flow *flow, const struct slc_balance *job, void *scratch)
{
    int64_t entries = job->entries, ranks = job->ranks, physical = job->physical;
    flow->job = job;
    flow->load = (int64_t *)scratch;
    flow->before = flow->load + entries + 1;
    flow->units = flow->before + entries + 1;
    flow->left = flow->units + physical;
    flow->rank_load = flow->left + physical;
    for (int32_t i = 0; i < 4; i++)
        flow->apart[i] = flow->rank_load + (i + 1) * ranks;
    flow->expert_level = (int32_t *)(flow->rank_load + 5 * ranks);
    flow->expert_next = flow->expert_level + entries;
    flow->holder = flow->expert_next + entries;
    flow->expert_of = flow->holder + physical;
    flow->list = flow->expert_of + physical;
    flow->listed = flow->list + physical;
    flow->source_of = flow->listed + ranks;
    flow->rank_level = flow->source_of + ranks;
    flow->rank_next = flow->rank_level + ranks;
    flow->from = flow->rank_next + ranks;
    flow->to = flow->from + ranks;
}

SLC_DEVICE int32_t slc_copy_rank(const struct slc_balance *job, int32_t c)
{
    return (job->by_copy ? c : job->copies[c]) / job->slots;
}

SLC_DEVICE int32_t slc_copy_begin(const struct slc_balance *job, int32_t e)
{
    return job->by_copy ? e : job->start[e];
}

SLC_DEVICE int32_t slc_copy_end(const struct slc_flow *flow, int32_t e)
{
    const struct slc_balance *job = flow->job;
    if (!job->by_copy)
        return job->start[e + 1];
    return e + (flow->source_of[e / job->slots] > -2);
}

/* ---------------------------------------------------------------------------------- the graph */

/* Gives expert e's copies their arcs, or its load to its rank. */
SLC_DEVICE void slc_fold_expert(const struct slc_flow *flow, int32_t e, int64_t load)
{
    const struct slc_balance *job = flow->job;
    int32_t begin = slc_copy_begin(job, e), end = slc_copy_end(flow, e), before = -1;
    int32_t first = begin < end ? slc_copy_rank(job, begin) : 0;
    bool parted = load > 0 && slc_copy_rank(job, end - 1) != first;
    flow->expert_level[e] = parted ? -1 : -2;
    for (int32_t c = begin; c < end; c++) {
        int32_t rank = slc_copy_rank(job, c);
        flow->holder[c] = parted && rank != before ? rank : -1;
        flow->expert_of[c] = e;
        flow->units[c] = c == begin ? load : 0;
        before = rank;
    }
    if (load > 0 && !parted)
        slc_add(&flow->rank_load[first], load);
}

/* By one warp, so that each rank's arcs come in their order. listed comes zeroed. */
SLC_DEVICE void slc_list_arcs(const struct slc_flow *flow)
{
    const struct slc_balance *job = flow->job;
    int32_t copies = job->start[job->entries], lane = slc_thread_lane();
    for (int32_t base = 0; base < copies; base += SLC_WARP) {
        int32_t c = base + lane, rank = c < copies ? flow->holder[c] : -1;
        uint32_t same = __match_any_sync(SLC_ALL, (uint32_t)rank);
        if (rank >= 0) {
            int32_t at = flow->listed[rank] + __popc(same & slc_lanes_below());
            flow->list[rank * job->slots + at] = c;
        }
        __syncwarp();
        if (rank >= 0 && (same & slc_lanes_below()) == 0)
            flow->listed[rank] += __popc(same);
        __syncwarp();
    }
}

/* ------------------------------------------------------------------------------------ pouring */

/* sweep 0 or 1: is it this expert's turn on each of its ranks? */
SLC_DEVICE bool slc_may_pour(const struct slc_flow *flow, int32_t e, int32_t sweep)
{
    const struct slc_balance *job = flow->job;
    bool may = true;
    for (int32_t c = job->start[e]; c < job->start[e + 1]; c++) {
        int32_t rank = flow->holder[c];
        if (rank < 0)
            continue;
        int32_t count = flow->listed[rank], at = flow->rank_next[rank] - sweep * count;
        may = may && (uint32_t)at < (uint32_t)count && flow->list[rank * job->slots + at] == c;
    }
    return may;
}

/* Takes the expert's units up and pours them anew: ranks below the level come up to it, and the
 * first of them serve one unit more of what is left. */
SLC_DEVICE void slc_pour(const struct slc_flow *flow, int32_t e, int64_t units, int32_t sweep)
{
    int32_t begin = flow->job->start[e], end = flow->job->start[e + 1], left = 0;
    int64_t limit = INT64_MAX, level = 0;
    for (bool again = true; again; limit = level) {
        int64_t sum = units;
        int32_t under = 0;
        for (int32_t c = begin; c < end; c++) {
            int32_t rank = flow->holder[c];
            if (rank < 0)
                continue;
            int64_t load = flow->rank_load[rank] - (sweep ? flow->units[c] : 0);
            sum += load <= limit ? load : 0;
            under += load <= limit;
        }
        level = slc_divide(sum, under);
        left = (int32_t)(sum - level * under);
        again = false;
        for (int32_t c = begin; c < end; c++) {
            int32_t rank = flow->holder[c];
            if (rank < 0)
                continue;
            int64_t load = flow->rank_load[rank] - (sweep ? flow->units[c] : 0);
            again = again || (load <= limit && load > level);
        }
    }
    for (int32_t c = begin; c < end; c++) {
        int32_t rank = flow->holder[c];
        if (rank < 0)
            continue;
        int64_t load = flow->rank_load[rank] - (sweep ? flow->units[c] : 0), more = 0;
        if (load <= level) {
            more = level - load + (left > 0);
            left--;
        }
        flow->units[c] = more;
        flow->rank_load[rank] = load + more;
        flow->rank_next[rank]++;
    }
}

/* The next expert of this thread that is shared out; behind the last of a sweep the next sweep's
 * first. */
SLC_DEVICE int32_t slc_next_pour(const struct slc_flow *flow, int32_t e, int32_t *sweep)
{
    for (; *sweep < 2; e += (int32_t)blockDim.x) {
        if (e >= flow->job->entries) {
            e = (int32_t)threadIdx.x;
            ++*sweep;
        }
        if (*sweep == 2 || (e < flow->job->entries && flow->expert_level[e] == -1))
            break;
    }
    return e;
}

/* `ones`: an active expert is one unit. rank_next comes zeroed. */
SLC_DEVICE void slc_pour_all(const struct slc_flow *flow, bool ones)
{
    int32_t sweep = 0, e = slc_next_pour(flow, (int32_t)threadIdx.x, &sweep);
    while (__syncthreads_or(sweep < 2)) {
        bool may = sweep < 2 && slc_may_pour(flow, e, sweep);
        __syncthreads();
        if (!may)
            continue;
        slc_pour(flow, e, ones ? 1 : flow->load[e], sweep);
        e = slc_next_pour(flow, e + (int32_t)blockDim.x, &sweep);
    }
}

/* -------------------------------------------------------------------------------------- paths */

/* Ranks above z begin; are there any? */
SLC_DEVICE bool slc_begin_levels(const struct slc_flow *flow, int64_t z)
{
    bool any = false;
    SLC_EACH_OF(r, flow->job->ranks)
    {
        bool over = flow->rank_load[r] > z;
        flow->rank_level[r] = over ? 0 : -1;
        flow->rank_next[r] = 0;
        any = any || over;
    }
    SLC_EACH_OF(e, flow->job->entries)
    {
        if (flow->expert_level[e] >= 0)
            flow->expert_level[e] = -1;
        flow->expert_next[e] = slc_copy_begin(flow->job, e);
    }
    return __syncthreads_or(any);
}

SLC_DEVICE void slc_reach_experts(const struct slc_flow *flow, int32_t level)
{
    SLC_EACH_OF(e, flow->job->entries)
    {
        if (flow->expert_level[e] != -1)
            continue;
        bool reached = false;
        for (int32_t c = flow->job->start[e]; c < flow->job->start[e + 1] && !reached; c++)
            reached = flow->holder[c] >= 0 && flow->units[c] != 0 &&
                      flow->rank_level[flow->holder[c]] == level;
        if (reached)
            flow->expert_level[e] = level;
    }
}

/* 1: ranks were reached; 2: one of them is below z. */
SLC_DEVICE int32_t slc_reach_ranks(const struct slc_flow *flow, int32_t level, int64_t z)
{
    int32_t found = 0;
    SLC_EACH_OF(r, flow->job->ranks)
    {
        const int32_t *list = flow->list + r * flow->job->slots;
        if (flow->rank_level[r] >= 0)
            continue;
        bool reached = false;
        for (int32_t i = 0; i < flow->listed[r] && !reached; i++)
            reached = flow->expert_level[flow->expert_of[list[i]]] == level;
        if (!reached)
            continue;
        flow->rank_level[r] = level + 1;
        found |= flow->rank_load[r] < z ? 3 : 1;
    }
    return found;
}

/* Levels up to the first with a rank below z; is there one? */
SLC_DEVICE bool slc_find_levels(const struct slc_flow *flow, int64_t z)
{
    for (int32_t level = 0;; level++) {
        slc_reach_experts(flow, level);
        __syncthreads();
        int32_t found = slc_reach_ranks(flow, level, z);
        if (__syncthreads_or(found & 2))
            return true;
        if (!__syncthreads_or(found & 1))
            return false;
    }
}

/* One warp: the next arc to give to on a shortest path from `rank`, -1: none; in *from the arc to
 * take from. */
SLC_DEVICE int32_t slc_next_arc(const struct slc_flow *flow, int32_t rank, int32_t *from)
{
    int32_t level = flow->rank_level[rank], count = flow->listed[rank];
    const int32_t *list = flow->list + rank * flow->job->slots;
    int32_t base = flow->rank_next[rank], to = -1;
    for (; base < count; base += SLC_WARP) {
        int32_t i = base + slc_thread_lane(), c = i < count ? list[i] : -1;
        int32_t e = c < 0 ? 0 : flow->expert_of[c];
        bool may = c >= 0 && flow->units[c] != 0 && flow->expert_level[e] == level;
        int32_t next = may ? flow->expert_next[e] : 0, end = may ? flow->job->start[e + 1] : 0;
        int32_t first = next;
        while (next < end &&
               (flow->holder[next] < 0 || flow->rank_level[flow->holder[next]] != level + 1))
            next++;
        if (may && next != first)
            flow->expert_next[e] = next;
        uint32_t found = __ballot_sync(SLC_ALL, next < end);
        if (found == 0)
            continue;
        int32_t lane = __ffs((int32_t)found) - 1;
        *from = __shfl_sync(SLC_ALL, c, lane);
        to = __shfl_sync(SLC_ALL, next, lane);
        base += lane;
        break;
    }
    __syncwarp();
    if (slc_thread_lane() == 0)
        flow->rank_next[rank] = base;
    __syncwarp();
    return to;
}

/* One warp: moves what a path of `steps` from `source` to `sink` can carry. */
SLC_DEVICE void slc_carry(const struct slc_flow *flow, int64_t z, int32_t source, int32_t sink,
                          int32_t steps)
{
    int32_t lane = slc_thread_lane();
    int64_t most = slc_least(flow->rank_load[source] - z, z - flow->rank_load[sink]);
    for (int32_t i = lane; i < steps; i += SLC_WARP)
        most = slc_least(most, flow->units[flow->from[i]]);
    most = slc_warp_least(most);
    __syncwarp();
    for (int32_t i = lane; i < steps; i += SLC_WARP) {
        flow->units[flow->from[i]] -= most;
        flow->units[flow->to[i]] += most;
    }
    if (lane == 0) {
        flow->rank_load[source] -= most;
        flow->rank_load[sink] += most;
    }
    __syncwarp();
}

/* One warp: empties one rank above z as far as the levels allow. */
SLC_DEVICE void slc_drain(const struct slc_flow *flow, int64_t z, int32_t source)
{
    int32_t rank = source, steps = 0, lane = slc_thread_lane();
    while (flow->rank_load[source] > z) {
        if (flow->rank_load[rank] < z) {
            slc_carry(flow, z, source, rank, steps);
            rank = source;
            steps = 0;
            continue;
        }
        int32_t from = 0, to = slc_next_arc(flow, rank, &from);
        if (to >= 0) {
            if (lane == 0) {
                flow->from[steps] = from;
                flow->to[steps] = to;
            }
            rank = flow->holder[to];
            steps++;
        } else if (steps == 0) {
            return;
        } else { /* a dead end: the expert it was reached over goes on behind it */
            steps--;
            from = flow->from[steps];
            rank = flow->holder[from];
            if (lane == 0)
                flow->expert_next[flow->expert_of[from]]++;
        }
        __syncwarp();
    }
}

SLC_DEVICE void slc_drain_all(const struct slc_flow *flow, int64_t z)
{
    for (int32_t base = 0; base < flow->job->ranks; base += SLC_WARP) {
        int32_t r = base + slc_thread_lane();
        uint32_t over = __ballot_sync(SLC_ALL, r < flow->job->ranks && flow->rank_load[r] > z);
        for (; over; over &= over - 1)
            slc_drain(flow, z, base + __ffs((int32_t)over) - 1);
    }
}

/* The load of the ranks reached, over their number, rounded up. */
SLC_DEVICE int64_t slc_raise(const struct slc_flow *flow, struct slc_flow_numbers *numbers)
{
    if (threadIdx.x == 0) {
        numbers->reached = 0;
        numbers->count = 0;
    }
    __syncthreads();
    SLC_EACH_OF(r, flow->job->ranks)
    {
        if (flow->rank_level[r] < 0)
            continue;
        slc_add(&numbers->reached, flow->rank_load[r]);
        atomicAdd(&numbers->count, 1);
    }
    __syncthreads();
    return slc_ceiling(numbers->reached, numbers->count);
}

/* The graph is folded, rank_load has what has one place, `sum` is of everything. Gives the
 * greatest load; what is left below it is for the spread. */
SLC_DEVICE int64_t slc_flow_run(const struct slc_flow *flow, struct slc_flow_numbers *numbers,
                                bool ones)
{
    const struct slc_balance *job = flow->job;
    if (threadIdx.x == 0)
        numbers->z = slc_ceiling(numbers->sum, flow->living);
    __syncthreads();
    SLC_EACH_OF(r, job->ranks)
    atomicMax((slc_u64 *)&numbers->z, (slc_u64)flow->rank_load[r]);
    if (!job->by_copy && threadIdx.x < SLC_WARP)
        slc_list_arcs(flow);
    __syncthreads();
    int64_t z = numbers->z;
    if (job->by_copy)
        return z;
    slc_pour_all(flow, ones);
    while (slc_begin_levels(flow, z)) {
        if (slc_find_levels(flow, z)) {
            if (threadIdx.x < SLC_WARP)
                slc_drain_all(flow, z);
            __syncthreads();
        } else {
            z = slc_raise(flow, numbers);
        }
    }
    return z;
}

#endif
