/* SPDX-License-Identifier: Apache-2.0
 * dispatch: each token's entries, and one record for each other rank that it visits: an entry for
 * every column, then the payloads. A warp, or `slices` of them, a token. */
#include "warp_told.cuh"

/* Where a token stands with the peer of one of its columns. */
struct slc_visit {
    struct slc_item entry;
    int32_t rank;   /* -1: no entry */
    int32_t listed; /* place in the list of tokens to it; -1: beyond capacity_pair */
};

SLC_DEVICE struct slc_visit slc_visit_of(const struct slc_move *job, int64_t t, int32_t c,
                                         int64_t valid)
{
    struct slc_visit visit = {{SL_ROW_NONE, 0, SLC_BY_SLOT, 0.0f}, -1, -1};
    int32_t id = c < job->columns ? slc_id_of(job, t, c, valid) : -1;
    if (id < 0)
        return visit;
    visit.rank = slc_rank_of(job, id);
    int32_t slots = job->ranks * job->local;
    int32_t listed = slc_place_of(job, t, slots + visit.rank);
    visit.listed = listed < job->capacity_pair ? listed : -1;
    if (job->found->slow)
        visit.entry = job->entries[t * job->columns + c];
    else
        visit.entry.place = slc_place_of(job, t, id);
    visit.entry.at = id;
    if (visit.listed < 0)
        visit.entry.place = SL_ROW_DROPPED;
    if (job->per_rank)
        visit.entry.back = visit.listed;
    visit.entry.weight = job->in_weights.data[t * job->in_weights.stride + c];
    return visit;
}

/* Has a lower column the same rank? Those of earlier groups of 32 are read again. */
SLC_DEVICE bool slc_visited(const struct slc_move *job, int64_t t, int32_t first, int32_t rank,
                            int64_t valid)
{
    uint32_t same = __match_any_sync(SLC_ALL, rank);
    bool visited = (same & ((1U << slc_lane()) - 1U)) != 0;
    for (int32_t c = 0; c < first; c++) {
        int32_t id = slc_id_of(job, t, c, valid);
        visited |= id >= 0 && slc_rank_of(job, id) == rank;
    }
    return visited;
}

/* The record of token t for a rank. own: of this lane's column in the group from `first` on. */
SLC_DEVICE void slc_put_record(const struct slc_move *job, int64_t t, int32_t rank, int32_t listed,
                               int32_t slice, int64_t valid, int32_t first,
                               const struct slc_visit *own)
{
    char *record = job->out + slc_peer_of(job, rank) * job->out_stride + job->front +
                   (listed - job->first) * job->record;
    int32_t at = slice * SLC_WARP + slc_lane(), step = job->slices * SLC_WARP;
    for (int32_t c = slc_lane(); slice == 0 && c < job->columns; c += SLC_WARP) {
        struct slc_visit visit = *own;
        if (c - slc_lane() != first)
            visit = slc_visit_of(job, t, c, valid);
        struct slc_item entry = visit.entry;
        entry.at = visit.rank == rank ? entry.at - rank * job->local : SL_ROW_NONE;
        ((struct slc_item *)record)[c] = entry;
    }
    for (int32_t k = 0; k < job->payload_count; k++)
        slc_copy_row(record + job->place_of[k], job->payloads[k].data + t * job->payloads[k].stride,
                     &job->payloads[k], at, step);
}

extern "C" __global__ void __launch_bounds__(SLC_WARP *SLC_MOVE_WARPS, 1)
    slc_pack(const __grid_constant__ struct slc_move job)
{
    int32_t slice;
    int64_t t = slc_unit(&job, &slice), valid = slc_valid_tokens(&job);
    if (blockIdx.x == 0 && job.peers > 1 && job.first == 0) {
        slc_put_heads(&job);
        if (job.fixed)
            slc_put_counts(&job);
    }
    if (t >= job.tokens)
        return;
    for (int32_t first = 0; first < job.columns; first += SLC_WARP) {
        int32_t c = first + slc_lane();
        struct slc_visit visit = slc_visit_of(&job, t, c, valid);
        if (c < job.columns && slice == 0 && job.first == 0)
            job.entries[t * job.columns + c] = visit.entry;
        bool goes = visit.rank >= 0 && visit.rank != job.rank && visit.listed >= job.first &&
                    visit.listed < job.first + job.most;
        goes = !slc_visited(&job, t, first, visit.rank, valid) && goes;
        for (uint32_t left = __ballot_sync(SLC_ALL, goes); left; left &= left - 1) {
            int32_t from = __ffs((int)left) - 1;
            slc_put_record(&job, t, __shfl_sync(SLC_ALL, visit.rank, from),
                           __shfl_sync(SLC_ALL, visit.listed, from), slice, valid, first, &visit);
        }
    }
}
