/* SPDX-License-Identifier: Apache-2.0
 * dispatch: what arrived, and this rank's own tokens, into the rows of their slots. A warp, or
 * `slices` of them, a token; units below T are own tokens, those behind them records by peer. */
#include "warp_told.cuh"

/* What an entry of peer p has become: received form. Of a message that an abort cut short any bits
 * may be read: they name no row outside of what is there. */
SLC_DEVICE struct slc_item slc_settle(const struct slc_move *job, int32_t p, struct slc_item entry)
{
    int32_t slot = entry.at;
    if ((uint32_t)slot >= (uint32_t)job->local) {
        entry.at = SL_ROW_NONE;
        return entry;
    }
    int32_t row =
        entry.place < 0
            ? SL_ROW_DROPPED
            : (int32_t)((uint32_t)job->cursor[p * job->local + slot] + (uint32_t)entry.place);
    if (row < 0 || row >= job->start[slot] + job->count[slot])
        row = SL_ROW_DROPPED;
    if (entry.back < 0)
        entry.back = job->came_before[p * job->local + slot] + entry.place;
    else if (entry.back >= job->capacity_back)
        row = SL_ROW_DROPPED;
    entry.at = row;
    if (row >= 0 && job->row_slot.data)
        slc_put_id(&job->row_slot, row, 0, slot);
    if (row >= 0 && job->row_weight.data)
        job->row_weight.data[row * job->row_weight.stride] = entry.weight;
    return entry;
}

SLC_DEVICE void slc_scale(const struct slc_move *job, int32_t row, const char *from, float weight,
                          int32_t at, int32_t step)
{
    char *to = job->rows[0].data + row * job->rows[0].stride;
    int32_t n = job->rows[0].columns / (job->multiply_type == SL_F32 ? 4 : 2);
    if (SL_MUTANT(multiplied_twice))
        weight = weight * weight;
    for (int32_t i = at; i < n; i += step)
        slc_put(to, job->multiply_type, i, slc_get(from, job->multiply_type, i) * weight);
}

/* The payloads of a token, wherever they lie, into one row. */
SLC_DEVICE void slc_put_row(const struct slc_move *job, int32_t row, int64_t t, const char *record,
                            float weight, int32_t slice)
{
    int32_t at = slice * SLC_WARP + slc_lane(), step = job->slices * SLC_WARP;
    for (int32_t k = 0; k < job->payload_count; k++) {
        const char *from = record ? record + job->place_of[k]
                                  : job->payloads[k].data + t * job->payloads[k].stride;
        if (k == 0 && job->multiply)
            slc_scale(job, row, from, weight, at, step);
        else
            slc_copy_row(job->rows[k].data + row * job->rows[k].stride, from, &job->rows[k], at,
                         step);
    }
}

/* An entry of token t of this rank, in the form in which it is sent. */
SLC_DEVICE struct slc_item slc_own_entry(const struct slc_move *job, int64_t t, int32_t c)
{
    struct slc_item entry = job->entries[t * job->columns + c];
    bool own = entry.at >= 0 && slc_rank_of(job, entry.at) == job->rank;
    entry.at = own ? entry.at - job->rank * job->local : SL_ROW_NONE;
    return entry;
}

extern "C" __global__ void __launch_bounds__(SLC_WARP *SLC_MOVE_WARPS, 1)
    slc_unpack(const __grid_constant__ struct slc_move job)
{
    int32_t slice, p = job.own;
    int64_t t = slc_unit(&job, &slice), i = 0;
    const char *record = NULL;
    if (job.ends && blockIdx.x == 0 && threadIdx.x == 0)
        slc_end(&job);
    if (t >= job.tokens) {
        p = (int32_t)((t - job.tokens) / job.most);
        i = job.first + (t - job.tokens) % job.most;
        if (p >= job.peers || p == job.own || i >= job.came[p] || job.found->cut)
            return;
        record = job.in + p * job.in_stride + job.front + (i - job.first) * job.record;
    } else if (job.first > 0) {
        return;
    }
    for (int32_t first = 0; first < job.columns; first += SLC_WARP) {
        int32_t c = first + slc_lane();
        struct slc_item entry = {SL_ROW_NONE, 0, 0, 0.0f};
        if (c < job.columns)
            entry = record ? ((const struct slc_item *)record)[c] : slc_own_entry(&job, t, c);
        entry = slc_settle(&job, p, entry);
        if (record && slice == 0 && c < job.columns)
            job.received[(p * job.received_stride + i) * job.columns + c] = entry;
        for (uint32_t left = __ballot_sync(SLC_ALL, entry.at >= 0); left; left &= left - 1) {
            int32_t from = __ffs((int)left) - 1;
            slc_put_row(&job, __shfl_sync(SLC_ALL, entry.at, from), t, record,
                        __shfl_sync(SLC_ALL, entry.weight, from), slice);
        }
    }
}
