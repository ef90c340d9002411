/* SPDX-License-Identifier: Apache-2.0 */
/* Streams, events and graphs. */
#include <stdlib.h>

#include "drv_api.h"

int cuStreamCreate(struct CUstream_st **stream, unsigned flags)
{
    struct CUctx_st *ctx;
    int error = drv_ready(&ctx);
    if (error)
        return error;
    if (flags > 1)
        return DRV_INVALID_VALUE;
    *stream = stream_create(ctx, flags == 0);
    drv_hold(*stream != NULL);
    return *stream ? DRV_OK : DRV_OUT_OF_MEMORY;
}

int cuStreamCreateWithPriority(struct CUstream_st **stream, unsigned flags, int priority)
{
    (void)priority;
    return cuStreamCreate(stream, flags);
}

int cuStreamDestroy_v2(struct CUstream_st *stream)
{
    if ((uintptr_t)stream <= 2)
        return DRV_INVALID_HANDLE;
    stream_destroy(stream);
    drv_hold(-1);
    return DRV_OK;
}

int cuStreamQuery(struct CUstream_st *stream)
{
    struct CUctx_st *ctx;
    int error = drv_ready(&ctx);
    return error ? error : stream_query(stream_of(ctx, stream));
}

int cuStreamSynchronize(struct CUstream_st *stream)
{
    struct CUctx_st *ctx;
    int error = drv_ready(&ctx);
    return error ? error : stream_wait(stream_of(ctx, stream));
}

int cuStreamWaitEvent(struct CUstream_st *stream, struct CUevent_st *event, unsigned flags)
{
    struct CUctx_st *ctx;
    (void)flags;
    int error = drv_ready(&ctx);
    return error ? error : stream_depend(stream_of(ctx, stream), event);
}

int cuStreamIsCapturing(struct CUstream_st *stream, int *status)
{
    struct CUctx_st *ctx;
    int error = drv_ready(&ctx);
    if (error)
        return error;
    const struct CUgraph_st *graph = stream_of(ctx, stream)->capture;
    *status = !graph ? 0 : graph->invalid ? 2 : 1;
    return DRV_OK;
}

int cuStreamBeginCapture_v2(struct CUstream_st *stream, int mode)
{
    struct CUctx_st *ctx;
    int error = drv_ready(&ctx);
    return error ? error : capture_begin(stream_of(ctx, stream), mode);
}

int cuStreamEndCapture(struct CUstream_st *stream, struct CUgraph_st **graph)
{
    struct CUctx_st *ctx;
    int error = drv_ready(&ctx);
    error = error ? error : capture_end(stream_of(ctx, stream), graph);
    drv_hold(!error);
    return error;
}

int cuLaunchHostFunc(struct CUstream_st *stream, void (*host)(void *arg), void *arg)
{
    struct CUctx_st *ctx;
    struct work work = {.kind = WORK_HOST, .host = host, .arg = arg};
    int error = drv_ready(&ctx);
    return error ? error : stream_submit(stream_of(ctx, stream), &work);
}

DRV_API int standin_enqueue(struct CUstream_st *stream, const struct standin_task *task, void *arg)
{
    struct CUctx_st *ctx;
    struct work work = {.kind = WORK_TASK, .task = task, .arg = arg};
    int error = drv_ready(&ctx);
    error = error ? error : drv_fails(STANDIN_LAUNCH);
    if (!error && stream_of(ctx, stream)->ctx != ctx)
        error = DRV_INVALID_HANDLE;
    if (!error)
        return stream_submit(stream_of(ctx, stream), &work);
    work_free(&work);
    return error;
}

DRV_API int standin_join(struct CUstream_st *stream, struct CUstream_st *other)
{
    struct CUctx_st *ctx;
    int error = drv_ready(&ctx);
    return error ? error : stream_join(stream_of(ctx, stream), stream_of(ctx, other));
}

int cuEventCreate(struct CUevent_st **event, unsigned flags)
{
    struct CUctx_st *ctx;
    (void)flags;
    int error = drv_ready(&ctx);
    if (error)
        return error;
    *event = calloc(1, sizeof **event);
    drv_hold(*event != NULL);
    return *event ? DRV_OK : DRV_OUT_OF_MEMORY;
}

int cuEventRecord(struct CUevent_st *event, struct CUstream_st *stream)
{
    struct CUctx_st *ctx;
    int error = drv_ready(&ctx);
    return error ? error : stream_record(stream_of(ctx, stream), event);
}

int cuEventQuery(struct CUevent_st *event)
{
    struct CUctx_st *ctx;
    int error = drv_ready(&ctx);
    if (error)
        return error;
    return event_ended(event) ? DRV_OK : DRV_NOT_READY;
}

int cuEventSynchronize(struct CUevent_st *event)
{
    struct CUctx_st *ctx;
    int error = drv_ready(&ctx);
    if (error)
        return error;
    event_wait(event);
    return ctx_error(ctx);
}

int cuEventElapsedTime(float *ms, struct CUevent_st *from, struct CUevent_st *to)
{
    if (!from->stream || !to->stream)
        return DRV_INVALID_HANDLE;
    if (!event_ended(from) || !event_ended(to))
        return DRV_NOT_READY;
    *ms = (float)((double)(int64_t)(to->time - from->time) / 1e6);
    return DRV_OK;
}

int cuEventElapsedTime_v2(float *ms, struct CUevent_st *from, struct CUevent_st *to)
{
    return cuEventElapsedTime(ms, from, to);
}

/* The stream may still write the event's time. */
int cuEventDestroy_v2(struct CUevent_st *event)
{
    if (!event)
        return DRV_INVALID_HANDLE;
    event_wait(event);
    free(event);
    drv_hold(-1);
    return DRV_OK;
}

int cuGraphInstantiateWithFlags(struct CUgraphExec_st **exec, struct CUgraph_st *graph,
                                unsigned long long flags)
{
    (void)flags;
    struct CUgraphExec_st *e = calloc(1, sizeof *e);
    if (!e)
        return DRV_OUT_OF_MEMORY;
    e->graph.count = graph->count;
    e->graph.works = calloc((size_t)graph->count + 1, sizeof *graph->works);
    if (!e->graph.works) {
        free(e);
        return DRV_OUT_OF_MEMORY;
    }
    for (int32_t i = 0; i < graph->count; i++)
        e->graph.works[i] = work_copy(&graph->works[i]);
    *exec = e;
    drv_hold(1);
    return DRV_OK;
}

int cuGraphLaunch(struct CUgraphExec_st *exec, struct CUstream_st *stream)
{
    struct CUctx_st *ctx;
    int error = drv_ready(&ctx);
    error = error ? error : drv_fails(STANDIN_LAUNCH);
    return error ? error
                 : stream_submit_list(stream_of(ctx, stream), exec->graph.works, exec->graph.count);
}

static void drop_works(struct CUgraph_st *graph)
{
    for (int32_t i = 0; i < graph->count; i++)
        work_free(&graph->works[i]);
    free(graph->works);
}

int cuGraphDestroy(struct CUgraph_st *graph)
{
    if (!graph)
        return DRV_INVALID_HANDLE;
    drop_works(graph);
    free(graph);
    drv_hold(-1);
    return DRV_OK;
}

int cuGraphExecDestroy(struct CUgraphExec_st *exec)
{
    if (!exec)
        return DRV_INVALID_HANDLE;
    drop_works(&exec->graph);
    free(exec);
    drv_hold(-1);
    return DRV_OK;
}
