/* SPDX-License-Identifier: Apache-2.0
 * Steps of dispatch and combine. */
#include <time.h>

#include "cu_mover.h"

static const int64_t SPIN_NS = 100000;

static int32_t shared_bytes(enum slc_kernel kernel, const struct slc_move *job, int32_t warps)
{
    switch (kernel) {
    case SLC_K_lay_out:
        return warps * job->room * 4;
    case SLC_K_give_sums:
        return SLC_MOVE_WARPS * (int32_t)sizeof(struct slc_terms);
    case SLC_K_add_rows:
        return 2 * SLC_MOVE_WARPS * (int32_t)sizeof(struct slc_terms);
    default:
        return 0;
    }
}

slcu_result slc_move_launch(sluice_context *context, const struct slc_move *job,
                            enum slc_kernel kernel, int64_t units, void *stream)
{
    const struct slc_gpu *gpu = &slc_of(context)->gpu;
    int32_t warps = kernel == SLC_K_lay_out ? 1 << (job->block_shift - 5) : SLC_MOVE_WARPS;
    int64_t needed = kernel == SLC_K_lay_out ? (units + SLC_WARP - 1) / SLC_WARP
                                             : units * (job->slices > 1 ? job->slices : 1);
    int64_t blocks = kernel == SLC_K_lay_rows ? 1 : (needed + warps - 1) / warps;
    if (kernel == SLC_K_lay_out && blocks == 0)
        blocks = 1; /* its totals are read */
    if (blocks == 0)
        return SLCU_SUCCESS;
    struct slc_move copy = *job;
    void *params[] = {&copy};
    return gpu->driver->LaunchKernel(
        gpu->kernel[kernel], (unsigned)blocks, 1, 1, (unsigned)(warps * SLC_WARP), 1, 1,
        (unsigned)shared_bytes(kernel, job, warps), stream, params, NULL);
}

int32_t slc_slices(int64_t units, int64_t bytes)
{
    int64_t slices = units >= 1024 ? 1 : (bytes + 2047) / 2048;
    return (int32_t)(slices < 1 ? 1 : slices > 8 ? 8 : slices);
}

static int64_t bits_of(const struct sl_view *view)
{
    int64_t bits = (int64_t)(uintptr_t)view->data | view->columns * view->size;
    return view->rows > 1 ? bits | view->stride * view->size : bits;
}

struct slc_bytes slc_bytes_of(const struct sl_view *view, const struct sl_view *other)
{
    int64_t bits = bits_of(view) | (other->data ? bits_of(other) : 0) | 16;
    return (struct slc_bytes){.data = view->data,
                              .stride = view->stride * view->size,
                              .columns = (int32_t)(view->columns * view->size),
                              .unit = (int32_t)(bits & -bits)};
}

void slc_fill_exchange(const sluice_context *context, struct slc_move *job, int32_t kind,
                       int32_t layer, int32_t lane, uint64_t form)
{
    const struct slc_layer *bank = &slc_of(context)->layers[context->layers[layer].bank_index];
    job->call = (struct slc_exchange){.kind = kind,
                                      .layer = layer,
                                      .lane = lane,
                                      .op = kind == SL_KIND_COMBINE ? SLUICE_OP_COMBINE
                                                                    : SLUICE_OP_DISPATCH,
                                      .form = form,
                                      .map = bank->map};
}

/* ------------------------------------------------------------------------------ the exchange */

static sluice_status lost(sluice_context *context, sluice_status status, const char *what,
                          const char *why)
{
    slc_mover_part(context, status, SLUICE_OP_DISPATCH, -1);
    return sl_fail(context, status, "%s: %s", what, why);
}

static slnc_result post(struct slc_comm *comm, int32_t peer, const struct slc_message *message,
                        void *stream)
{
    slnc_result result = SLNC_SUCCESS;
    if (message->send_bytes)
        result = comm->nccl.Send(message->from, (size_t)message->send_bytes, SLNC_INT8, peer,
                                 comm->comm, stream);
    if (message->recv_bytes && (result == SLNC_SUCCESS || result == SLNC_IN_PROGRESS))
        result = comm->nccl.Recv(message->to, (size_t)message->recv_bytes, SLNC_INT8, peer,
                                 comm->comm, stream);
    return result;
}

static slnc_result post_all(const sluice_context *context, struct slc_comm *comm, const void *call,
                            slc_message_fn *message, void *stream)
{
    slnc_result result = comm->nccl.GroupStart();
    if (result != SLNC_SUCCESS)
        return result;
    for (int32_t p = 0; p < context->living_count; p++) {
        struct slc_message one = {NULL, NULL, 0, 0};
        message(call, p, &one);
        if (p == context->comm.rank || (result != SLNC_SUCCESS && result != SLNC_IN_PROGRESS))
            continue;
        result = post(comm, p, &one, stream);
        comm->sent += (uint64_t)one.send_bytes;
    }
    slnc_result ended = comm->nccl.GroupEnd();
    return result == SLNC_SUCCESS || result == SLNC_IN_PROGRESS ? ended : result;
}

slnc_result slc_move_post(const sluice_context *context, struct slc_comm *comm, const void *call,
                          slc_message_fn *message, void *stream, const char **why)
{
    slnc_result result = post_all(context, comm, call, message, stream);
    result = slc_comm_settle(comm, result, context->timeout_ns);
    *why = result == SLNC_SUCCESS       ? NULL
           : result == SLNC_IN_PROGRESS ? "not all ranks came in time"
           : comm->comm                 ? slc_nccl_error(&comm->nccl, comm->comm, result)
                                        : "its communicator was aborted";
    slc_comm_rest(comm);
    return result;
}

sluice_status slc_move_group(sluice_context *context, const void *call, slc_message_fn *message,
                             void *stream)
{
    struct slc_comm *comm = &slc_of(context)->mover->comm;
    const char *why;
    if (context->living_count == 1)
        return SLUICE_OK;
    if (!slc_comm_use(comm)) {
        sluice_status status = slc_mover_usable(context);
        return status ? status
                      : lost(context, SLUICE_NOT_READY, "the exchange", "there is no communicator");
    }
    slnc_result result = slc_move_post(context, comm, call, message, stream, &why);
    bool peer = result == SLNC_IN_PROGRESS || result == SLNC_REMOTE_ERROR;
    return why ? lost(context, peer ? SLUICE_PEER_LOST : SLUICE_DEVICE, "ncclGroupEnd", why)
               : SLUICE_OK;
}

static bool stopped(const struct slc_lane *lane)
{
    return __atomic_load_n(&lane->told->stopped, __ATOMIC_ACQUIRE) != 0;
}

static bool under_way(const struct slc_told *told)
{
    return slc_under_way(told, __atomic_load_n(&told->begun, __ATOMIC_ACQUIRE));
}

enum { NOTHING = -2 };

/* Whose exchange has begun and not ended: the lane's, else what it may wait behind: counts that are
 * shared (-1), or another lane's; else NOTHING. */
static int32_t waits_for(const struct slc_mover *mover, int32_t lane)
{
    if (under_way(mover->lanes[lane].told))
        return lane;
    if (under_way(mover->share.told))
        return -1;
    for (int32_t i = 0; i < mover->lane_count; i++)
        if (under_way(mover->lanes[i].told))
            return i;
    return NOTHING;
}

/* Until the stream is done, the exchange was ended, or the time is over; a short wait does not
 * sleep. */
static slcu_result watch_stream(sluice_context *context, int32_t lane_index, void *stream)
{
    struct slc_mover *mover = slc_of(context)->mover;
    const struct slc_lane *lane = &mover->lanes[lane_index];
    const struct slcu_driver *driver = slc_of(context)->gpu.driver;
    const struct timespec moment = {.tv_nsec = 5000};
    int64_t since = sl_now(context), waited = 0;
    slcu_result error = driver->StreamQuery(stream);
    while (error == SLCU_NOT_READY && !stopped(lane) && waited <= context->timeout_ns) {
        int32_t index = waits_for(mover, lane_index);
        if (index != NOTHING && slc_comm_failed(index == -1 ? &mover->share.comm : &mover->comm) &&
            slc_watch_end(context, index, false))
            break;
        if (waited > SPIN_NS)
            (void)nanosleep(&moment, NULL);
        error = driver->StreamQuery(stream);
        waited = sl_now(context) - since;
    }
    return error;
}

sluice_status slc_move_wait(sluice_context *context, int32_t lane_index, void *stream)
{
    const struct slc_lane *lane = &slc_of(context)->mover->lanes[lane_index];
    slcu_result error = watch_stream(context, lane_index, stream);
    if (error && error != SLCU_NOT_READY)
        return slc_judge(context, "waiting for the stream", error);
    if (!error && !stopped(lane))
        return SLUICE_OK;
    int32_t index = waits_for(slc_of(context)->mover, lane_index);
    if (!stopped(lane) && (index == NOTHING || !slc_watch_end(context, index, true)))
        return lost(context, SLUICE_PEER_LOST, "waiting for the stream",
                    "what was enqueued before has not ended");
    return slc_mover_usable(context);
}
