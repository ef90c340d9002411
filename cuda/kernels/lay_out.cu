/* SPDX-License-Identifier: Apache-2.0
 * dispatch's layout: who gets which tokens. A warp marks the keys of 32 tokens as bits; a token's
 * place in a key is then a count of bits below its own (slc_place_of), so no place is stored, and
 * there is no order of atomics to depend on. The last block adds up the blocks. */
#include "warp_move.cuh"

/* A pass's keys [first, first + n) as bits of a warp's tokens. */
struct slc_pass {
    int32_t first, n;
    uint32_t bits; /* shared address of key 0's, whether the pass has it or not */
};

/* Marks one entry. PLAIN: all ranks live, and one pass has all keys. Adds to *bad where the id is
 * neither a slot nor -1; *twice gets the token's bit where it has the slot already. */
template <bool PLAIN>
SLC_DEVICE void slc_mark_id(const struct slc_move *job, const struct slc_pass *pass, int64_t given,
                            uint32_t own, uint32_t *twice, uint32_t *bad)
{
    const int32_t slots = job->ranks * job->local;
    if (SL_MUTANT(outside_slots_sent) && given != -1)
        given = (int64_t)((uint64_t)given % (uint64_t)slots);
    if ((uint64_t)given >= (uint64_t)slots) {
        *bad += given != -1 && !SL_MUTANT(outside_slots_not_counted);
        return;
    }
    int32_t id = (int32_t)given, key = slots + slc_rank_of(job, id);
    if (!PLAIN && job->peer_of && job->peer_of[key - slots] < 0) {
        ++*bad;
        return;
    }
    if (PLAIN || (uint32_t)(id - pass->first) < (uint32_t)pass->n)
        *twice |= slc_shared_or(pass->bits + 4 * (uint32_t)id, own) & own;
    if (PLAIN || (uint32_t)(key - pass->first) < (uint32_t)pass->n)
        (void)slc_shared_or(pass->bits + 4 * (uint32_t)key, own);
}

/* Marks a token; not 0 where it has a slot twice. Narrow ids are read by fours if they can. */
template <bool PLAIN>
SLC_DEVICE uint32_t slc_mark(const struct slc_move *job, const struct slc_pass *pass, int64_t t,
                             uint32_t *bad)
{
    const uint32_t own = 1U << (threadIdx.x % SLC_WARP);
    uint32_t twice = 0;
    if (job->fours) {
        const struct slc_chunk *row =
            (const struct slc_chunk *)((const int32_t *)job->in_ids.data + t * job->in_ids.stride);
#pragma unroll 1
        for (int32_t left = job->columns; left > 0; left -= 4) {
            struct slc_chunk four = *row++;
#pragma unroll
            for (int32_t k = 0; k < 4; k++)
                slc_mark_id<PLAIN>(job, pass, (int32_t)four.word[k], own, &twice, bad);
        }
        return twice;
    }
    for (int32_t c = 0; c < job->columns; c++)
        slc_mark_id<PLAIN>(job, pass, sl_id_at(&job->in_ids, t, c), own, &twice, bad);
    return twice;
}

/* Bits of the block's warps become masks, and their sum the block's base; four keys a thread. One
 * block alone has the totals at once. */
SLC_DEVICE void slc_give_masks(const struct slc_move *job, int32_t first, int32_t n,
                               const uint32_t *bits)
{
    if (4 * (int32_t)threadIdx.x >= n)
        return;
    const int32_t warps = (int32_t)(blockDim.x / SLC_WARP), step = 4 * (int32_t)blockDim.x;
    const int64_t row = (int64_t)blockIdx.x * job->key_stride + first + 4 * threadIdx.x;
    struct slc_mask *masks = job->masks + row + (int64_t)blockIdx.x * (warps - 1) * job->key_stride;
    int32_t *sums = gridDim.x == 1 ? job->totals + row : job->bases + row;
#pragma unroll 1
    for (int32_t i = 4 * (int32_t)threadIdx.x; i < n; i += step, masks += step, sums += step) {
        struct slc_chunk sum = {{0, 0, 0, 0}};
        struct slc_mask *to = masks;
        const uint32_t *from = bits + i;
#pragma unroll 1
        for (int32_t w = 0;;) {
            struct slc_chunk mask = *(const struct slc_chunk *)from;
            ((struct slc_chunk *)to)[0] = {{mask.word[0], sum.word[0], mask.word[1], sum.word[1]}};
            ((struct slc_chunk *)to)[1] = {{mask.word[2], sum.word[2], mask.word[3], sum.word[3]}};
#pragma unroll
            for (int32_t k = 0; k < 4; k++)
                sum.word[k] += (uint32_t)__popc(mask.word[k]);
            if (++w == warps)
                break;
            to += job->key_stride;
            from += job->room;
        }
        *(struct slc_chunk *)sums = sum;
    }
}

/* The block that ends last learns it, when all others' writes can be seen. */
SLC_DEVICE bool slc_last_block(uint32_t *done)
{
    __shared__ bool last;
    if (gridDim.x == 1) {
        __syncthreads();
        return true;
    }
    __syncthreads();
    if (threadIdx.x == 0) {
        __threadfence();
        last = atomicAdd(done, 1U) + 1U == gridDim.x;
        __threadfence();
    }
    __syncthreads();
    return last;
}

/* The blocks' sums become what lies before each; totals. */
SLC_DEVICE void slc_add_up(const struct slc_move *job)
{
    for (int32_t key = (int32_t)threadIdx.x; key < job->keys; key += (int32_t)blockDim.x) {
        volatile int32_t *at = job->bases + key;
        int32_t sum = 0;
        for (uint32_t b = 0; b < gridDim.x; b++, at += job->key_stride) {
            int32_t own = *at;
            *at = sum;
            sum += own;
        }
        job->totals[key] = sum;
    }
}

/* Greatest number of tokens to a rank, and the lowest such peer; one warp. */
SLC_DEVICE void slc_find_needed(const struct slc_move *job)
{
    const int32_t *tokens = job->totals + job->ranks * job->local;
    int32_t most = 0, peer = 0x7FFFFFFF;
    for (int32_t r = slc_lane(); r < job->ranks; r += SLC_WARP)
        most = tokens[r] > most ? tokens[r] : most;
    most = __reduce_max_sync(SLC_ALL, most);
    for (int32_t r = slc_lane(); r < job->ranks; r += SLC_WARP)
        if (tokens[r] == most && slc_peer_of(job, r) >= 0 && slc_peer_of(job, r) < peer)
            peer = slc_peer_of(job, r);
    peer = __reduce_min_sync(SLC_ALL, peer);
    if (slc_lane() == 0) {
        job->found->needed = most;
        job->found->fullest = peer;
    }
}

/* Places of a slot's entries one by one, and how many are sent. */
SLC_DEVICE void slc_place_slot(const struct slc_move *job, int32_t key, int64_t valid)
{
    int32_t count = 0, all = 0, slots = job->ranks * job->local, rank = slc_rank_of(job, key);
    for (int64_t t = 0; t < job->tokens; t++)
        for (int32_t c = 0; c < job->columns; c++) {
            if (slc_id_of(job, t, c, valid) != key)
                continue;
            bool sent = slc_place_of(job, t, slots + rank) < job->capacity_pair;
            struct slc_item *entry = &job->entries[t * job->columns + c];
            entry->place = sent ? count++ : SL_ROW_DROPPED;
            all++;
            entry->back = SLC_BY_SLOT;
        }
    job->totals[key] = count;
    if (job->wanted)
        job->wanted[key] = all;
}

/* Places among the rows that come back from a rank: by token, then column. */
SLC_DEVICE void slc_place_back(const struct slc_move *job, int32_t rank, int64_t valid)
{
    int32_t count = 0;
    for (int64_t t = 0; t < job->tokens; t++)
        for (int32_t c = 0; c < job->columns; c++) {
            int32_t id = slc_id_of(job, t, c, valid);
            if (id >= 0 && slc_rank_of(job, id) == rank)
                job->entries[t * job->columns + c].back =
                    job->entries[t * job->columns + c].place < 0 ? SL_ROW_DROPPED : count++;
        }
}

/* What bits cannot say. Rare, and slow: one block. limited: capacity_back may cut rows. */
SLC_DEVICE void slc_place_all(const struct slc_move *job, int64_t valid, bool limited)
{
    int32_t slots = job->ranks * job->local;
    for (int32_t key = (int32_t)threadIdx.x; key < slots; key += (int32_t)blockDim.x)
        slc_place_slot(job, key, valid);
    __syncthreads();
    for (int32_t r = (int32_t)threadIdx.x; r < job->ranks; r += (int32_t)blockDim.x) {
        if (limited)
            slc_place_back(job, r, valid);
        int32_t *tokens = &job->totals[slots + r];
        *tokens = *tokens < job->capacity_pair ? *tokens : (int32_t)job->capacity_pair;
    }
}

/* The first capacity of this rank's own that is too small; one thread. */
SLC_DEVICE void slc_find_short(const struct slc_move *job, bool limited)
{
    struct slc_short found = {0, 0, 0, 0};
    if (job->found->needed > job->capacity_pair)
        found = {1, job->living[job->found->fullest], (int32_t)job->capacity_pair,
                 job->found->needed};
    for (int32_t p = 0; limited && found.kind == 0 && p < job->peers; p++) {
        int32_t back = 0;
        for (int32_t slot = 0; slot < job->local; slot++)
            back += job->totals[job->living[p] * job->local + slot];
        if (back > job->capacity_back)
            found = {4, job->living[p], (int32_t)job->capacity_back, back};
    }
    job->found->own = found;
}

SLC_DEVICE void slc_finish(const struct slc_move *job, int64_t valid)
{
    if (gridDim.x > 1)
        slc_add_up(job);
    __syncthreads();
    if (threadIdx.x < SLC_WARP && job->fixed)
        slc_find_needed(job);
    __syncthreads();
    volatile struct slc_found *found = job->found;
    bool twice = found->twice != 0;
    bool limited = job->limit == SLC_LIMIT_ANY || (job->limit == SLC_LIMIT_TWICE && twice);
    bool slow = twice || limited || (job->fixed && found->needed > job->capacity_pair);
    if (slow)
        slc_place_all(job, valid, limited);
    __syncthreads();
    if (threadIdx.x == 0) {
        if (job->fixed)
            slc_find_short(job, limited);
        found->done = 0;
        found->twice = 0;
        found->slow = slow;
    }
}

/* The keys from `first` on, as many as shared memory has room for. */
template <bool PLAIN>
SLC_DEVICE void slc_run_pass(const struct slc_move *job, int64_t t, bool valid, int32_t first,
                             uint32_t *twice, uint32_t *bad)
{
    uint32_t *all = (uint32_t *)slc_shared, *bits = all + threadIdx.x / SLC_WARP * job->room;
    int32_t n = PLAIN ? job->key_stride : job->key_stride - first;
    n = PLAIN || n < job->room ? n : job->room;
#pragma unroll 1
    for (int32_t i = 4 * slc_lane(); i < n; i += 4 * SLC_WARP)
        *(struct slc_chunk *)&bits[i] = {{0, 0, 0, 0}};
    __syncwarp();
    const struct slc_pass pass = {first, n, slc_shared_at(bits) - 4 * (uint32_t)first};
    *bad = 0;
    if (valid)
        *twice |= slc_mark<PLAIN>(job, &pass, t, bad);
    __syncthreads();
    slc_give_masks(job, first, n, all);
}

extern "C" __global__ void __launch_bounds__(SLC_WARP *SLC_LAYOUT_WARPS, 1)
    slc_lay_out(const __grid_constant__ struct slc_move job)
{
    int64_t t = (int64_t)blockIdx.x * blockDim.x + threadIdx.x, valid = slc_valid_tokens(&job);
    uint32_t twice = 0, bad = 0;
    if (!job.peer_of && job.room >= job.keys) {
        slc_run_pass<true>(&job, t, t < valid, 0, &twice, &bad);
    } else {
        for (int32_t first = 0; first < job.keys; first += job.room) {
            slc_run_pass<false>(&job, t, t < valid, first, &twice, &bad);
            __syncthreads();
        }
    }
    if (twice)
        job.found->twice = 1;
    if (bad > 0)
        atomicAdd((unsigned long long *)job.rejected, (unsigned long long)bad);
    if (slc_last_block(&job.found->done))
        slc_finish(&job, valid);
}
