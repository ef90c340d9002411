/* SPDX-License-Identifier: Apache-2.0
 * dispatch: from the counts of all sources to the rows of this rank, as sl_layout_rows of
 * src/core/layout.h has it; one block. */
#include "warp_told.cuh"

/* Rows that peer p has for a slot, or with slot L its tokens. Where an abort has cut short the
 * messages nothing has come at all, so that whoever goes on reads no row. */
SLC_DEVICE int32_t slc_count_of(const struct slc_move *job, int32_t p, int32_t slot, int32_t rank)
{
    if (job->found->cut)
        return 0;
    if (p == job->own)
        return job
            ->totals[slot < job->local ? rank * job->local + slot : job->ranks * job->local + rank];
    return job->counts_in[p * job->counts_stride + slot];
}

/* The sum of x over lower lanes; *sum: over all. */
SLC_DEVICE int32_t slc_before(int32_t x, int32_t *sum)
{
    int32_t upto = x;
    for (int32_t by = 1; by < SLC_WARP; by *= 2) {
        int32_t lower = __shfl_up_sync(SLC_ALL, upto, by);
        upto += slc_lane() >= by ? lower : 0;
    }
    *sum = __shfl_sync(SLC_ALL, upto, SLC_WARP - 1);
    return upto - x;
}

/* A slot's rows by source; job->count is their sum for now. */
SLC_DEVICE void slc_sum_slots(const struct slc_move *job, int32_t rank)
{
    for (int32_t slot = (int32_t)threadIdx.x; slot < job->local; slot += (int32_t)blockDim.x) {
        int32_t sum = 0;
        for (int32_t i = 0; i < job->peers; i++) {
            int32_t p = SL_MUTANT(sources_descending) ? job->peers - 1 - i : i;
            job->cursor[p * job->local + slot] = sum;
            sum += slc_count_of(job, p, slot, rank);
        }
        job->count[slot] = sum;
    }
}

/* Where slots start, one warp. Sums stay below 2^31: a rank's rows fit in memory. */
SLC_DEVICE void slc_start_slots(const struct slc_move *job)
{
    int32_t at = 0, align = (int32_t)job->row_align;
    for (int32_t first = 0; first < job->local; first += SLC_WARP) {
        int32_t slot = first + slc_lane(), sum;
        int32_t rows = slot < job->local ? (job->count[slot] + align - 1) / align * align : 0;
        int32_t before = slc_before(rows, &sum);
        if (slot < job->local)
            job->start[slot] = job->slot_stride ? (int32_t)(slot * job->slot_stride) : at + before;
        at += sum;
    }
    if (slc_lane() == 0)
        job->start[job->local] = job->slot_stride ? (int32_t)(job->local * job->slot_stride) : at;
}

/* Cursors from there on, capacities, and what the engine asked for. */
SLC_DEVICE void slc_end_slots(const struct slc_move *job)
{
    for (int32_t slot = (int32_t)threadIdx.x; slot < job->local; slot += (int32_t)blockDim.x) {
        int32_t start = job->start[slot], count = job->count[slot];
        int64_t end = job->slot_stride ? start + job->slot_stride : job->row_capacity;
        int64_t room = end > start ? end - start : 0;
        for (int32_t p = 0; p < job->peers; p++)
            job->cursor[p * job->local + slot] += start;
        count = count < room ? count : (int32_t)room;
        job->count[slot] = count;
        job->start[slot] = start < job->row_capacity ? start : (int32_t)job->row_capacity;
        if (job->slot_counts.data)
            slc_put_id(&job->slot_counts, slot, 0,
                       SL_MUTANT(counts_with_padding) ? (int32_t)((count + job->row_align - 1) /
                                                                  job->row_align * job->row_align)
                                                      : count);
        if (job->slot_starts.data)
            slc_put_id(&job->slot_starts, slot, 0, job->start[slot]);
    }
    __syncthreads();
    if (threadIdx.x != 0)
        return;
    int32_t total = job->start[job->local];
    total = total < job->row_capacity ? total : (int32_t)job->row_capacity;
    job->start[job->local] = total;
    if (job->slot_starts.data)
        slc_put_id(&job->slot_starts, job->local, 0, total);
}

/* Rows in lower slots: that came from a peer, and that went to it; a warp a peer. landing[p + 1] is
 * the number of rows that come back from p. *short_back: capacity_back is too small for one. */
SLC_DEVICE void slc_sum_peers(const struct slc_move *job, const int32_t *living, int32_t rank,
                              uint32_t *short_back)
{
    int32_t warps = (int32_t)(blockDim.x / SLC_WARP);
    for (int32_t p = (int32_t)threadIdx.x / SLC_WARP; p < job->peers; p += warps) {
        int32_t came = 0, went = 0, base = living[p] * job->local;
        for (int32_t first = 0; first < job->local; first += SLC_WARP) {
            int32_t slot = first + slc_lane(), sum;
            bool inside = slot < job->local;
            int32_t before = slc_before(inside ? slc_count_of(job, p, slot, rank) : 0, &sum);
            if (inside)
                job->came_before[p * job->local + slot] = came + before;
            came += sum;
            before = slc_before(inside ? job->totals[base + slot] : 0, &sum);
            if (inside)
                job->went_before[base + slot] = went + before;
            went += sum;
        }
        if (slc_lane() != 0)
            continue;
        job->came[p] = slc_count_of(job, p, job->local, rank);
        job->came_rows[p] = came;
        if (came > job->capacity_back)
            (void)atomicOr(short_back, 1U);
        if (job->per_rank)
            went = job->totals[job->ranks * job->local + living[p]];
        job->landing[p + 1] = p == job->own ? 0 : went;
    }
}

/* Rows, or those of the fullest slot, that were needed; before slc_end_slots. One thread. */
SLC_DEVICE int32_t slc_needed_rows(const struct slc_move *job)
{
    int32_t most = 0;
    if (!job->slot_stride)
        return job->start[job->local];
    for (int32_t slot = 0; slot < job->local; slot++)
        most = job->count[slot] > most ? job->count[slot] : most;
    return most;
}

/* A capacity of this rank as a receiver that is too small, where it has found none as a source; the
 * host is told of either. One thread. */
SLC_DEVICE void slc_judge_rows(const struct slc_move *job, bool short_back)
{
    int32_t needed = job->found->rows;
    struct slc_short found = job->found->own;
    int64_t capacity = job->slot_stride ? job->slot_stride : job->row_capacity;
    if (found.kind == 0 && needed > capacity)
        found = {job->slot_stride ? 3 : 2, job->rank, (int32_t)capacity, needed};
    for (int32_t p = 0; short_back && found.kind == 0 && p < job->peers; p++)
        if (job->came_rows[p] > job->capacity_back)
            found = {4, job->living[p], (int32_t)job->capacity_back, job->came_rows[p]};
    job->found->own = found;
    if (SL_MUTANT(overflow_needs_unknown))
        found.needed = found.had;
    if (found.kind == 0 || SL_MUTANT(overflow_silent))
        return;
    job->moved->overflows++;
    slc_tell(job, SLUICE_FAULT_OVERFLOW, &found);
}

SLC_DEVICE void slc_count_moved(const struct slc_move *job)
{
    uint64_t tokens = 0;
    for (int32_t p = 0; p < job->peers; p++)
        tokens += p == job->own ? 0 : job->totals[job->ranks * job->local + job->living[p]];
    job->moved->dispatch_useful += tokens * job->token_bytes;
    job->moved->dispatch_moved +=
        (job->peers - 1) * (job->front + job->capacity_pair * job->record);
}

extern "C" __global__ void __launch_bounds__(SLC_WARP *SLC_MOVE_WARPS, 1)
    slc_lay_rows(const __grid_constant__ struct slc_move job)
{
    __shared__ uint32_t short_back;
    if (threadIdx.x == 0) {
        job.found->cut = job.fixed && slc_stopped(&job);
        job.found->differs = 0;
        short_back = 0;
    }
    __syncthreads();
    slc_sum_slots(&job, job.rank);
    __syncthreads();
    if (threadIdx.x < SLC_WARP)
        slc_start_slots(&job);
    __syncthreads();
    if (job.fixed && threadIdx.x == 0)
        job.found->rows = slc_needed_rows(&job);
    __syncthreads();
    slc_end_slots(&job);
    slc_sum_peers(&job, job.living, job.rank, &short_back);
    __syncthreads();
    if (threadIdx.x != 0)
        return;
    if (job.fixed) {
        slc_judge_rows(&job, short_back != 0);
        slc_count_moved(&job);
        (void)slc_check_heads(&job, job.in, job.in_stride, NULL, 0);
        slc_end(&job);
    }
    job.landing[0] = 0;
    for (int32_t p = 0; p < job.peers; p++)
        job.landing[p + 1] =
            job.fixed ? (p + 1) * (int32_t)job.most_back : job.landing[p] + job.landing[p + 1];
}
