/* SPDX-License-Identifier: Apache-2.0 */
#include "cu_mover.h"

#include <string.h>
#include <time.h>

#include "../src/backend/bk_config.h"
#include "../src/backend/bk_cut.h"

/* Of an exact dispatch's staging, which goes in rounds. */
static const int64_t STAGING_MOST = (int64_t)64 << 20;

static int64_t most(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int32_t keys_of(const sluice_context *context)
{
    return context->ranks * (context->exchange->local_max + 1);
}

int32_t slc_layout_warps(int32_t keys)
{
    int32_t warps = SLC_LAYOUT_WARPS;
    while (warps > 1 && (int64_t)warps * (keys + 3) * 4 > SLC_MOST_SHARED)
        warps /= 2;
    return warps;
}

/* ------------------------------------------------------------------------------------- sizes */

/* A message of COUNT. */
static int64_t said_bytes(const sluice_context *context)
{
    const struct sl_exchange *exchange = context->exchange;
    int64_t counts = (int64_t)exchange->local_max + 1 + exchange->carried_max;
    return slc_padded((int64_t)sizeof(struct slc_head) + counts * 4);
}

static size_t lay_there(const sluice_context *context, struct slc_lane *lane, char *base)
{
    struct slc_move *job = &lane->job;
    const struct sl_exchange *exchange = context->exchange;
    struct sl_cut cut = {base, 0};
    int64_t tokens = exchange->tokens_max, local = exchange->local_max, ranks = context->ranks;
    int32_t keys = (keys_of(context) + 3) / 4 * 4, warps = slc_layout_warps(keys);
    int64_t blocks = (tokens + (int64_t)warps * SLC_WARP - 1) / ((int64_t)warps * SLC_WARP) + 1;
    job->found = sl_piece(&cut, 1, sizeof *job->found);
    int64_t groups = (tokens + SLC_WARP - 1) / SLC_WARP + SLC_LAYOUT_WARPS;
    job->masks = sl_piece(&cut, groups * keys, sizeof *job->masks);
    job->bases = sl_piece(&cut, blocks * keys, sizeof *job->bases);
    job->totals = sl_piece(&cut, keys, sizeof *job->totals);
    job->entries = sl_piece(&cut, tokens * exchange->columns_max, sizeof *job->entries);
    job->received = sl_piece(&cut, ranks > 1 ? ranks * tokens * exchange->columns_max : 0,
                             sizeof *job->received);
    job->received_stride = tokens;
    job->start = sl_piece(&cut, local + 1, sizeof *job->start);
    job->count = sl_piece(&cut, local, sizeof *job->count);
    job->cursor = sl_piece(&cut, ranks * local, sizeof *job->cursor);
    job->came_before = sl_piece(&cut, ranks * local, sizeof *job->came_before);
    job->went_before = sl_piece(&cut, ranks * local, sizeof *job->went_before);
    job->landing = sl_piece(&cut, ranks + 1, sizeof *job->landing);
    job->came = sl_piece(&cut, ranks, sizeof *job->came);
    job->came_rows = sl_piece(&cut, ranks, sizeof *job->came_rows);
    bool asked = exchange->carried_max > 0;
    job->wanted = asked ? sl_piece(&cut, ranks * local, sizeof *job->wanted) : NULL;
    job->carried = sl_piece(&cut, exchange->carried_max, sizeof *job->carried);
    lane->said_stride = said_bytes(context);
    lane->said_out = sl_piece(&cut, 2 * ranks, (size_t)lane->said_stride);
    lane->said_in = lane->said_out ? lane->said_out + ranks * lane->said_stride : NULL;
    return cut.used;
}

static size_t lay_host(const sluice_context *context, struct slc_mover *mover, char *base)
{
    struct sl_cut cut = {base, 0};
    int64_t ranks = context->ranks, local = context->exchange->local_max;
    (void)sl_piece(&cut, 1, slc_comm_scratch(context->ranks));
    for (int32_t i = 0; i < mover->lane_count; i++) {
        struct slc_lane *lane = &mover->lanes[i];
        struct sl_rows *rows = &context->exchange->lanes[i].rows;
        lane->tokens_to = sl_piece(&cut, ranks, sizeof(int64_t));
        lane->tokens_from = sl_piece(&cut, ranks, sizeof(int64_t));
        lane->rows_to = sl_piece(&cut, ranks, sizeof(int64_t));
        lane->rows_from = sl_piece(&cut, ranks, sizeof(int64_t));
        lane->heads_back = sl_piece(&cut, ranks, sizeof(int64_t));
        rows->start = sl_piece(&cut, local + 1, sizeof *rows->start);
        rows->count = sl_piece(&cut, local, sizeof *rows->count);
        rows->cursor = sl_piece(&cut, ranks * local, sizeof *rows->cursor);
    }
    return cut.used;
}

static size_t lay_pinned(const sluice_context *context, struct slc_mover *mover, char *base)
{
    struct sl_cut cut = {base, 0};
    int64_t ranks = context->ranks;
    mover->look.head = sl_piece(&cut, 1, sizeof *mover->look.head);
    mover->share.told = sl_piece(&cut, 1, sizeof *mover->share.told);
    for (int32_t i = 0; i < mover->lane_count; i++) {
        mover->lanes[i].told = sl_piece(&cut, 1, sizeof *mover->lanes[i].told);
        mover->lanes[i].said = sl_piece(&cut, 2 * ranks, (size_t)said_bytes(context));
    }
    return cut.used;
}

/* Bytes of messages, at most. */
struct sizes {
    int64_t token, back; /* of a token, and of a row (PER_RANK: a sum) that comes back */
    int64_t head, said;  /* of a head, and of a COUNT, or what a fixed message has before tokens */
    int64_t rows;        /* that come back in a fixed message */
};

static struct sizes sizes_of(const sluice_context *context)
{
    const struct sl_exchange *exchange = context->exchange;
    const sluice_transport *t = &exchange->transport;
    bool exact = t->combine_order == SLUICE_COMBINE_EXACT;
    int64_t items = exchange->columns_max * (int64_t)sizeof(struct slc_item);
    return (struct sizes){
        .token = items + t->payload_row_bytes + 16 * (int64_t)t->max_payloads,
        .back = slc_padded(exact ? t->combine_row_bytes : 2 * t->combine_row_bytes),
        .head = (int64_t)sizeof(struct slc_head),
        .said = said_bytes(context),
        .rows = exact ? t->capacity_back : t->capacity_pair,
    };
}

/* What one pair's staging and all that lands must hold. */
static void size_staging(const sluice_context *context, struct slc_mover *mover)
{
    const struct sl_exchange *exchange = context->exchange;
    const sluice_transport *t = &exchange->transport;
    const struct sizes sizes = sizes_of(context);
    int64_t ranks = context->ranks, tokens = t->max_tokens, columns = exchange->columns_max;
    bool exact = t->combine_order == SLUICE_COMBINE_EXACT;
    int64_t token = sizes.token, back = sizes.back, head = sizes.head;
    int64_t round = most(most(token, back), STAGING_MOST / ranks);
    int64_t pair = 0, landing = 0;
    if (ranks == 1)
        return;
    if (context->uses & SLUICE_USE_EXACT) {
        pair = sl_least(round, most(tokens * token, tokens * (exact ? columns : 1) * back));
        pair += head;
        landing = tokens * (exact ? columns : sl_least(columns, ranks)) * back + ranks * head;
    }
    if (context->uses & SLUICE_USE_FIXED) {
        pair = most(pair, sizes.said + t->capacity_pair * token);
        pair = most(pair, head + sizes.rows * back);
    }
    pair = (pair + 255) / 256 * 256;
    mover->pair_bytes = (size_t)pair;
    mover->landing_bytes = (size_t)landing;
    mover->in_bytes = (size_t)most(landing, pair * ranks);
}

/* moved, share.found behind it, and peer_of. */
static size_t common_bytes(const sluice_context *context)
{
    return sizeof(struct slc_moved) + sizeof(struct slc_found) +
           (size_t)context->ranks * sizeof(int32_t);
}

/* What one dispatch, or one combine, of the most tokens sends to others. */
static void tell_wire(const sluice_context *context, sluice_needs *needs)
{
    const struct sl_exchange *exchange = context->exchange;
    const sluice_transport *t = &exchange->transport;
    const struct sizes sizes = sizes_of(context);
    int64_t others = context->ranks - 1, dispatch = 0, combine = 0;
    int64_t visits = t->max_tokens * sl_least(others, exchange->columns_max);
    bool exact = t->combine_order == SLUICE_COMBINE_EXACT;
    int64_t rows = others * t->max_tokens * (exact ? exchange->columns_max : 1);
    if (context->uses & SLUICE_USE_EXACT) {
        dispatch = visits * sizes.token + others * (sizes.said + sizes.head);
        combine = rows * sizes.back + others * sizes.head;
    }
    if (context->uses & SLUICE_USE_FIXED) {
        dispatch = most(dispatch, others * (sizes.said + t->capacity_pair * sizes.token));
        combine = most(combine, others * (sizes.head + sizes.rows * sizes.back));
    }
    needs->dispatch_wire_bytes = dispatch;
    needs->combine_wire_bytes = combine;
}

static void add_needs(const sluice_context *context, const struct slc_mover *mover,
                      sluice_needs *needs)
{
    uint64_t lanes = (uint64_t)mover->lane_count;
    needs->host_bytes += sizeof *mover + mover->host_bytes;
    needs->pinned_bytes += mover->pinned_bytes;
    needs->device_bytes += lanes * mover->there_bytes + common_bytes(context);
    needs->staging_bytes += lanes * (mover->pair_bytes * (size_t)context->ranks + mover->in_bytes);
    needs->communicators += (context->ranks > 1 && lanes > 0) + slc_shares(context);
    needs->threads += slc_watched(context);
    if (lanes)
        tell_wire(context, needs);
}

/* --------------------------------------------------------------------------------------- open */

static slcu_result push_peers(sluice_context *context, void *stream)
{
    return slc_of(context)->gpu.driver->MemcpyHtoDAsync(
        slc_address(slc_of(context)->mover->peer_of), context->exchange->peer_of,
        (size_t)context->ranks * sizeof(int32_t), stream);
}

static bool open_lane(sluice_context *context, struct slc_lane *lane, slcu_result *error)
{
    const struct slcu_driver *driver = slc_of(context)->gpu.driver;
    const struct slc_mover *mover = slc_of(context)->mover;
    size_t out = mover->pair_bytes * (size_t)context->ranks;
    lane->there = slc_alloc_there(context, mover->there_bytes);
    if (!lane->there)
        return false;
    (void)lay_there(context, lane, lane->there);
    lane->job.told = lane->told;
    lane->job.moved = mover->moved;
    *error = driver->MemsetD8Async(slc_address(lane->there), 0, mover->there_bytes, NULL);
    if (*error || out == 0)
        return !*error;
    lane->out = slc_alloc_there(context, out);
    lane->in = slc_alloc_there(context, mover->in_bytes);
    if (!lane->out || !lane->in)
        return false;
    /* What lies between records crosses as well. */
    *error = driver->MemsetD8Async(slc_address(lane->out), 0, out, NULL);
    if (!*error)
        *error = driver->MemsetD8Async(slc_address(lane->in), 0, mover->in_bytes, NULL);
    return !*error;
}

static bool lay_device(sluice_context *context, slcu_result *error)
{
    struct slc_mover *mover = slc_of(context)->mover;
    const struct slcu_driver *driver = slc_of(context)->gpu.driver;
    *error = driver->MemHostAlloc(&mover->pinned, mover->pinned_bytes, SLCU_HOST_PORTABLE);
    if (*error) {
        mover->pinned = NULL;
        return false;
    }
    memset(mover->pinned, 0, mover->pinned_bytes);
    (void)lay_pinned(context, mover, mover->pinned);
    mover->moved = slc_alloc_there(context, common_bytes(context));
    if (!mover->moved)
        return false;
    mover->share.found = (struct slc_found *)(void *)(mover->moved + 1);
    mover->peer_of = (int32_t *)(void *)(mover->share.found + 1);
    *error = driver->MemsetD8Async(slc_address(mover->moved), 0, common_bytes(context), NULL);
    if (!*error)
        *error = push_peers(context, NULL);
    for (int32_t i = 0; !*error && i < mover->lane_count; i++)
        if (!open_lane(context, &mover->lanes[i], error))
            return false;
    return !*error;
}

/* What was set must be there before any stream uses it, or `close` gives it back. */
static bool open_device(sluice_context *context, slcu_result *error)
{
    bool whole = lay_device(context, error);
    slcu_result waited = slc_of(context)->gpu.driver->StreamSynchronize(NULL);
    if (!*error)
        *error = waited;
    return whole && !*error;
}

sluice_status slc_mover_open(sluice_context *context, const struct sl_text *text,
                             sluice_needs *needs, bool query)
{
    struct slc_mover sizes = {.lane_count = context->exchange->transport.lanes};
    struct slc_lane lane;
    slcu_result error = SLCU_SUCCESS;
    if (sizes.lane_count == 0 && !slc_shares(context))
        return SLUICE_OK;
    size_staging(context, &sizes);
    sizes.there_bytes = lay_there(context, &lane, NULL);
    sizes.host_bytes = lay_host(context, &sizes, NULL);
    sizes.pinned_bytes = lay_pinned(context, &sizes, NULL);
    add_needs(context, &sizes, needs);
    if (query)
        return SLUICE_OK;
    struct slc_mover *mover = sl_alloc(context, sizeof *mover, SLUICE_MEM_STATE);
    slc_of(context)->mover = mover;
    if (!mover)
        return sl_text_fail(text, SLUICE_NO_MEMORY, "no memory for dispatch");
    *mover = sizes;
    (void)pthread_mutex_init(&mover->told_lock, NULL);
    mover->host = sl_alloc(context, mover->host_bytes, SLUICE_MEM_STATE);
    if (mover->host)
        (void)lay_host(context, mover, mover->host);
    if (mover->host && open_device(context, &error) && slc_look_open(context, &error) &&
        slc_watch_open(context))
        return SLUICE_OK;
    if (error && error != SLCU_OUT_OF_MEMORY)
        return sl_text_fail(text, SLUICE_DEVICE, "preparing dispatch failed: %s",
                            slc_error_name(slc_of(context)->gpu.driver, error));
    return sl_text_fail(text, SLUICE_NO_MEMORY, "no memory for dispatch: %llu bytes of staging",
                        (unsigned long long)needs->staging_bytes);
}

void slc_mover_close(sluice_context *context)
{
    struct slc_mover *mover = slc_of(context)->mover;
    if (!mover)
        return;
    slc_watch_close(context);
    slc_look_close(context);
    slc_comm_close(&mover->comm);
    slc_comm_close(&mover->share.comm);
    pthread_mutex_destroy(&mover->told_lock);
    for (int32_t i = 0; i < mover->lane_count; i++) {
        slc_free_there(context, mover->lanes[i].there, mover->there_bytes);
        slc_free_there(context, mover->lanes[i].out, mover->pair_bytes * (size_t)context->ranks);
        slc_free_there(context, mover->lanes[i].in, mover->in_bytes);
    }
    slc_free_there(context, mover->moved, common_bytes(context));
    if (mover->pinned)
        (void)slc_of(context)->gpu.driver->MemFreeHost(mover->pinned);
    sl_free(context, mover->host, mover->host_bytes, SLUICE_MEM_STATE);
    sl_free(context, mover, sizeof *mover, SLUICE_MEM_STATE);
    slc_of(context)->mover = NULL;
}

/* Have ranks that talk what they talk on? */
static bool connected(const sluice_context *context)
{
    const struct slc_mover *mover = slc_of(context)->mover;
    return !mover || context->living_count == 1 ||
           ((mover->lane_count == 0 || mover->comm.comm) &&
            (!slc_shares(context) || mover->share.comm.comm));
}

static sluice_status connect(sluice_context *context, struct slc_comm *comm, int32_t channel,
                             char *text, size_t text_size)
{
    const struct slc_comm_plan plan = {.host = &context->comm,
                                       .channel = channel,
                                       .timeout_ns = context->timeout_ns,
                                       .clock = context->host.clock,
                                       .user = context->host.user,
                                       .scratch = slc_of(context)->mover->host};
    int32_t peer;
    return comm->comm ? SLUICE_OK : slc_comm_open(comm, &plan, &peer, text, text_size);
}

sluice_status slc_mover_connect(sluice_context *context, char *text, size_t text_size)
{
    struct slc_mover *mover = slc_of(context)->mover;
    sluice_status status = SLUICE_OK;
    if (connected(context))
        return status;
    if (mover->lane_count > 0)
        status = connect(context, &mover->comm, SL_CHANNEL_MOVE, text, text_size);
    if (!status && slc_shares(context))
        status = connect(context, &mover->share.comm, SL_CHANNEL_BALANCE, text, text_size);
    return status;
}

sluice_status slc_mover_ready(sluice_context *context, void *stream)
{
    unsigned int capturing = 0;
    char text[256] = "";
    sluice_status status = slc_mover_usable(context);
    if (status || connected(context))
        return status;
    slcu_result error = slc_of(context)->gpu.driver->StreamIsCapturing(stream, &capturing);
    if (error)
        return slc_judge(context, "cuStreamIsCapturing", error);
    if (capturing)
        return sl_fail(context, SLUICE_NOT_CAPTURABLE,
                       "ranks were set anew: one exchange must be made before one is captured");
    status = slc_mover_connect(context, text, sizeof text);
    if (!status)
        return SLUICE_OK;
    for (int32_t channel = 0; channel < 4; channel++)
        context->exchange->broken[channel] = status;
    return sl_fail(context, status, "%s", text);
}

/* Nothing was found, and the last exchange was *first. */
static slcu_result number(const sluice_context *context, struct slc_found *found,
                          const int64_t *first, void *stream)
{
    const struct slcu_driver *driver = slc_of(context)->gpu.driver;
    slcu_result error = driver->MemsetD8Async(slc_address(found), 0, sizeof *found, stream);
    return error
               ? error
               : driver->MemcpyHtoDAsync(slc_address(&found->number), first, sizeof *first, stream);
}

/* Nothing has been told; a thread may be looking. */
static void forget(struct slc_told *told)
{
    __atomic_store_n(&told->begun, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&told->ended, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&told->faults, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&told->taken, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&told->stopped, 0, __ATOMIC_RELEASE);
}

/* What runs may still tell of what was aborted: it is over when this returns. */
slcu_result slc_mover_renew(sluice_context *context, void *stream)
{
    struct slc_mover *mover = slc_of(context)->mover;
    const struct slcu_driver *driver = slc_of(context)->gpu.driver;
    if (!mover)
        return SLCU_SUCCESS;
    const struct timespec moment = {.tv_nsec = 100000};
    slc_mover_lose(context, SLUICE_CANCELLED, -1, SLUICE_OP_DISPATCH, -1);
    while (atomic_load(&mover->looking)) /* what it finds is of before */
        (void)nanosleep(&moment, NULL);
    slcu_result error = push_peers(context, stream);
    int64_t first = atomic_load(&context->generation) << 32; /* no number comes twice */
    if (!error)
        error = number(context, mover->share.found, &first, stream);
    for (int32_t i = 0; !error && i < mover->lane_count; i++)
        error = number(context, mover->lanes[i].job.found, &first, stream);
    if (!error)
        error = driver->StreamSynchronize(stream);
    pthread_mutex_lock(&mover->told_lock);
    for (int32_t i = 0; i < mover->lane_count; i++)
        forget(mover->lanes[i].told);
    forget(mover->share.told);
    mover->lost = (struct slc_lost){.status = SLUICE_OK};
    mover->shortage = (struct slc_short){0, 0, 0, 0};
    pthread_mutex_unlock(&mover->told_lock);
    return error;
}

sluice_status slc_mover_tally(sluice_context *context, sluice_stats *stats)
{
    const struct slc_mover *mover = slc_of(context)->mover;
    const struct slcu_driver *driver = slc_of(context)->gpu.driver;
    struct slc_moved moved = {.overflows = 0};
    slcu_result error =
        driver->MemcpyDtoHAsync(&moved, slc_address(mover->moved), sizeof moved, NULL);
    if (!error)
        error = driver->StreamSynchronize(NULL);
    stats->overflows += moved.overflows;
    stats->dispatch_useful += moved.dispatch_useful;
    stats->dispatch_moved += moved.dispatch_moved;
    stats->combine_useful += moved.combine_useful;
    stats->combine_moved += moved.combine_moved;
    return slc_judge(context, "reading the device's counts", error);
}

sluice_status slc_mover_zero(sluice_context *context)
{
    const struct slc_mover *mover = slc_of(context)->mover;
    return slc_judge(context, "cuMemsetD8Async",
                     slc_of(context)->gpu.driver->MemsetD8Async(slc_address(mover->moved), 0,
                                                                sizeof *mover->moved, NULL));
}
