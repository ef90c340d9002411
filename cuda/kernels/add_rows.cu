/* SPDX-License-Identifier: Apache-2.0
 * combine at home: a token's rows, or other ranks' sums of them, are added. A warp, or `slices` of
 * them, a token. */
#include "warp_add.cuh"
#include "warp_told.cuh"

/* The row of this rank that an entry of an own token has. */
SLC_DEVICE int32_t slc_own_row(const struct slc_move *job, const struct slc_item *entry)
{
    int32_t slot = entry->at - job->rank * job->local;
    if (entry->place < 0 || entry->back >= job->capacity_back)
        return SL_ROW_DROPPED;
    int32_t row = job->cursor[job->own * job->local + slot] + entry->place;
    return row < job->start[slot] + job->count[slot] ? row : SL_ROW_DROPPED;
}

/* Where a row, or a sum, that came back lies. */
SLC_DEVICE const char *slc_landed(const struct slc_move *job, int32_t p, int64_t place)
{
    return job->in + p * (int64_t)job->front + job->front + (job->landing[p] + place) * job->record;
}

/* EXACT: the term of column c, whoever has its row. */
SLC_DEVICE void slc_exact_term(const struct slc_move *job, struct slc_terms *terms, int32_t c,
                               const struct slc_item *entry)
{
    int32_t rank = entry->at < 0 ? job->rank : slc_rank_of(job, entry->at);
    if (entry->at < 0 || rank == job->rank) {
        slc_put_term(job, terms, c, entry->at < 0 ? SL_ROW_NONE : slc_own_row(job, entry),
                     entry->weight);
        return;
    }
    int32_t place = entry->back < 0 ? job->went_before[entry->at] + entry->place : entry->back;
    bool dropped = entry->place < 0 || place >= job->capacity_back;
    terms->term[c].row = dropped ? NULL : slc_landed(job, slc_peer_of(job, rank), place);
    terms->term[c].weight = job->weighs ? entry->weight : 1.0f;
    terms->term[c].dropped = dropped;
}

/* PER_RANK: the list of the ranks that the token visits, ascending, each once: a landed sum, or a
 * term without row and without `dropped` for this rank's own, at *own. */
SLC_DEVICE int32_t slc_rank_terms(const struct slc_move *job, struct slc_terms *terms,
                                  const struct slc_item *entries, int32_t *own)
{
    int32_t count = 0, last = -1;
    *own = -1;
    for (;;) {
        int32_t next = 0x7FFFFFFF, place = 0;
        for (int32_t c = slc_lane(); c < job->columns; c += SLC_WARP) {
            int32_t rank = entries[c].at < 0 ? -1 : slc_rank_of(job, entries[c].at);
            if (rank > last && rank < next) {
                next = rank;
                place = entries[c].back;
            }
        }
        last = __reduce_min_sync(SLC_ALL, next);
        if (last == 0x7FFFFFFF)
            return count;
        int32_t from = __ffs((int)__ballot_sync(SLC_ALL, next == last)) - 1;
        place = __shfl_sync(SLC_ALL, place, from);
        if (last == job->rank)
            *own = count;
        if (slc_lane() == 0) {
            bool landed = last != job->rank && place >= 0;
            terms->term[count].row = landed ? slc_landed(job, slc_peer_of(job, last), place) : NULL;
            terms->term[count].weight = 1.0f;
            terms->term[count].dropped = place < 0;
        }
        count++;
    }
}

SLC_DEVICE float slc_add_sums(const struct slc_move *job, const struct slc_terms *terms,
                              int32_t count, int32_t own, const struct slc_terms *rows, int64_t e)
{
    float sum = 0.0f;
    for (int32_t i = 0; i < count; i++) {
        const struct slc_term *term = &terms->term[i];
        if (term->dropped)
            return slc_nan();
        float part =
            i == own ? slc_add_terms(job, rows, job->columns, e) : slc_get(term->row, SL_F32, e);
        sum = fmaf(1.0f, part, sum);
    }
    return sum;
}

/* Own rows of a token that PER_RANK adds first. */
SLC_DEVICE void slc_own_terms(const struct slc_move *job, struct slc_terms *terms,
                              const struct slc_item *entries)
{
    for (int32_t c = slc_lane(); c < job->columns; c += SLC_WARP) {
        bool own = entries[c].at >= 0 && slc_rank_of(job, entries[c].at) == job->rank;
        slc_put_term(job, terms, c, own ? slc_own_row(job, &entries[c]) : SL_ROW_NONE,
                     entries[c].weight);
    }
}

/* The heads lie in front of what each peer sent. */
SLC_DEVICE void slc_end_combine(const struct slc_move *job)
{
    if (threadIdx.x != 0)
        return;
    uint64_t rows = 0;
    for (int32_t p = 0; p < job->peers; p++) {
        int32_t came = job->per_rank ? job->came[p] : job->came_rows[p];
        rows += p == job->own || !job->fixed ? 0 : came < job->most_back ? came : job->most_back;
    }
    if (job->fixed) {
        job->moved->combine_useful += rows * job->token_bytes;
        job->moved->combine_moved += (job->peers - 1) * (job->front + job->most_back * job->record);
    }
    (void)slc_check_heads(job, job->in, job->front, job->landing, job->record);
    slc_end(job);
}

extern "C" __global__ void __launch_bounds__(SLC_WARP *SLC_MOVE_WARPS, 1)
    slc_add_rows(const __grid_constant__ struct slc_move job)
{
    int32_t slice, count = 0, own = -1;
    int64_t t = slc_unit(&job, &slice);
    if (job.peers > 1 && blockIdx.x == 0)
        slc_end_combine(&job);
    if (t >= job.tokens)
        return;
    struct slc_terms *rows = slc_terms_of_warp(), *ranks = rows + SLC_MOVE_WARPS;
    const struct slc_item *entries = job.entries + t * job.columns;
    if (job.per_rank) {
        slc_own_terms(&job, rows, entries);
        count = slc_rank_terms(&job, ranks, entries, &own);
    } else {
        for (int32_t c = slc_lane(); c < job.columns; c += SLC_WARP)
            slc_exact_term(&job, rows, c, &entries[c]);
    }
    __syncwarp();
    char *to = job.sums.data + t * job.sums.stride;
    const char *x =
        job.x.data && !SL_MUTANT(zero_weight_ignored) ? job.x.data + t * job.x.stride : NULL;
    float zero = x ? job.zero_weight.data[t * job.zero_weight.stride] : 0.0f;
    int32_t step = job.slices * SLC_WARP;
    for (int64_t e = slice * SLC_WARP + slc_lane(); e < job.elements; e += step) {
        float sum = job.per_rank ? slc_add_sums(&job, ranks, count, own, rows, e)
                                 : slc_add_terms(&job, rows, job.columns, e);
        if (SL_MUTANT(scale_before_zero_weight))
            sum = sum * job.scale;
        if (x)
            sum = fmaf(zero, slc_get(x, job.type, e), sum);
        slc_put(to, job.type, e, SL_MUTANT(scale_before_zero_weight) ? sum : sum * job.scale);
    }
}
