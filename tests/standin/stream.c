/* SPDX-License-Identifier: Apache-2.0 */
/* Streams: a queue and a thread each. One lock guards all queues; work is done outside of it. */
#include "driver.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

struct dependency {
    struct CUstream_st *stream;
    uint64_t number;
};

struct op {
    struct op *next;
    struct work *works;
    int32_t count;
    struct dependency *needs;
    int32_t nneeds;
    struct CUevent_st *event; /* gets the time */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static struct CUstream_st *all;
static _Thread_local int strict_captures;

static void *get(void *old, size_t bytes)
{
    void *got = realloc(old, bytes ? bytes : 1);
    if (!got)
        abort();
    return got;
}

static bool needs_met(const struct op *op)
{
    for (int32_t i = 0; i < op->nneeds; i++)
        if (op->needs[i].stream->done < op->needs[i].number)
            return false;
    return true;
}

static uint64_t now_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000ULL + (uint64_t)t.tv_nsec;
}

static void *worker(void *arg)
{
    struct CUstream_st *stream = arg;
    (void)pthread_mutex_lock(&lock);
    while (stream->alive || stream->head) {
        struct op *op = stream->head;
        if (!op || !needs_met(op)) {
            (void)pthread_cond_wait(&changed, &lock);
            continue;
        }
        int error = ctx_error(stream->ctx);
        (void)pthread_mutex_unlock(&lock);
        for (int32_t i = 0; i < op->count; i++) {
            if (!error)
                error = work_run(stream->ctx, &op->works[i]);
            work_free(&op->works[i]);
        }
        (void)pthread_mutex_lock(&lock);
        if (error && !ctx_error(stream->ctx))
            ctx_set_error(stream->ctx, error);
        if (op->event)
            op->event->time = now_ns();
        stream->head = op->next;
        if (!stream->head)
            stream->tail = NULL;
        stream->done++;
        free(op->works);
        free(op->needs);
        free(op);
        (void)pthread_cond_broadcast(&changed);
    }
    (void)pthread_mutex_unlock(&lock);
    return NULL;
}

struct CUstream_st *stream_create(struct CUctx_st *ctx, bool blocking)
{
    struct CUstream_st *stream = calloc(1, sizeof *stream);
    if (!stream)
        return NULL;
    stream->ctx = ctx;
    stream->blocking = blocking;
    stream->alive = true;
    (void)pthread_mutex_lock(&lock);
    if (pthread_create(&stream->worker, NULL, worker, stream) != 0) {
        (void)pthread_mutex_unlock(&lock);
        free(stream);
        return NULL;
    }
    stream->next = all;
    all = stream;
    (void)pthread_mutex_unlock(&lock);
    return stream;
}

/* The legacy stream is 0 or 1, the thread's own 2; the stand-in has the legacy one for all. */
struct CUstream_st *stream_of(struct CUctx_st *ctx, struct CUstream_st *handle)
{
    return (uintptr_t)handle <= 2 ? ctx->legacy : handle;
}

static void need(struct op *op, struct CUstream_st *stream, uint64_t number)
{
    if (stream->done >= number)
        return;
    op->needs = get(op->needs, (size_t)(op->nneeds + 1) * sizeof *op->needs);
    op->needs[op->nneeds++] = (struct dependency){stream, number};
}

/* Everything on the legacy stream waits for what the blocking ones have, and the other way. */
static void enqueue(struct CUstream_st *stream, struct op *op)
{
    bool legacy = stream == stream->ctx->legacy;
    for (struct CUstream_st *s = all; s; s = s->next)
        if (s != stream && s->ctx == stream->ctx && s->blocking && !s->capture &&
            (legacy || (stream->blocking && s == stream->ctx->legacy)))
            need(op, s, s->last);
    if (stream->tail)
        stream->tail->next = op;
    else
        stream->head = op;
    stream->tail = op;
    stream->last++;
    (void)pthread_cond_broadcast(&changed);
}

static struct op *new_op(void)
{
    struct op *op = get(NULL, sizeof *op);
    memset(op, 0, sizeof *op);
    return op;
}

/* Would the legacy stream be drawn into a capture? */
static bool captures_blocking(const struct CUctx_st *ctx)
{
    for (struct CUstream_st *s = all; s; s = s->next)
        if (s->ctx == ctx && s->blocking && s->capture)
            return true;
    return false;
}

int stream_submit(struct CUstream_st *stream, struct work *work)
{
    int error = DRV_OK;
    (void)pthread_mutex_lock(&lock);
    struct CUgraph_st *graph = stream->capture;
    if (graph) {
        graph->works = get(graph->works, (size_t)(graph->count + 1) * sizeof *graph->works);
        graph->works[graph->count++] = *work;
    } else if (stream == stream->ctx->legacy && captures_blocking(stream->ctx)) {
        error = DRV_CAPTURE_IMPLICIT;
        work_free(work);
    } else {
        struct op *op = new_op();
        if (work->kind != WORK_HOST)
            work->error = drv_fails(STANDIN_LATE);
        op->works = get(NULL, sizeof *work);
        op->works[0] = *work;
        op->count = 1;
        enqueue(stream, op);
    }
    (void)pthread_mutex_unlock(&lock);
    return error;
}

int stream_submit_list(struct CUstream_st *stream, const struct work *works, int32_t count)
{
    struct op *op = new_op();
    op->works = get(NULL, (size_t)count * sizeof *works);
    op->count = count;
    for (int32_t i = 0; i < count; i++) {
        op->works[i] = work_copy(&works[i]);
        if (works[i].kind != WORK_HOST)
            op->works[i].error = drv_fails(STANDIN_LATE);
    }
    (void)pthread_mutex_lock(&lock);
    enqueue(stream, op);
    (void)pthread_mutex_unlock(&lock);
    return DRV_OK;
}

int stream_wait(struct CUstream_st *stream)
{
    (void)pthread_mutex_lock(&lock);
    if (stream->capture) {
        stream->capture->invalid = true;
        (void)pthread_mutex_unlock(&lock);
        return DRV_CAPTURE_UNSUPPORTED;
    }
    uint64_t number = stream->last;
    while (stream->done < number)
        (void)pthread_cond_wait(&changed, &lock);
    int error = ctx_error(stream->ctx);
    (void)pthread_mutex_unlock(&lock);
    return error;
}

int stream_query(struct CUstream_st *stream)
{
    (void)pthread_mutex_lock(&lock);
    int error = ctx_error(stream->ctx);
    if (stream->capture) {
        stream->capture->invalid = true;
        error = DRV_CAPTURE_UNSUPPORTED;
    } else if (!error && stream->done < stream->last) {
        error = DRV_NOT_READY;
    }
    (void)pthread_mutex_unlock(&lock);
    return error;
}

void stream_destroy(struct CUstream_st *stream)
{
    (void)pthread_mutex_lock(&lock);
    stream->alive = false;
    (void)pthread_detach(stream->worker);
    (void)pthread_cond_broadcast(&changed);
    (void)pthread_mutex_unlock(&lock);
}

void stream_wait_all(struct CUctx_st *ctx)
{
    (void)pthread_mutex_lock(&lock);
    for (struct CUstream_st *s = all; s; s = s->next) {
        uint64_t number = s->last;
        while (s->ctx == ctx && s->done < number)
            (void)pthread_cond_wait(&changed, &lock);
    }
    (void)pthread_mutex_unlock(&lock);
}

int stream_record(struct CUstream_st *stream, struct CUevent_st *event)
{
    (void)pthread_mutex_lock(&lock);
    event->capture = stream->capture;
    if (!stream->capture) {
        struct op *op = new_op();
        op->event = event;
        enqueue(stream, op);
        event->stream = stream;
        event->number = stream->last;
    }
    (void)pthread_mutex_unlock(&lock);
    return DRV_OK;
}

/* A stream that waits for an event of a capture joins the capture. */
int stream_depend(struct CUstream_st *stream, const struct CUevent_st *event)
{
    int error = DRV_OK;
    (void)pthread_mutex_lock(&lock);
    if (event->capture && (!stream->capture || stream->capture == event->capture)) {
        stream->capture = event->capture;
    } else if (event->capture || stream->capture) {
        error = 905; /* CUDA_ERROR_STREAM_CAPTURE_ISOLATION */
    } else if (event->stream) {
        struct op *op = new_op();
        need(op, event->stream, event->number);
        enqueue(stream, op);
    }
    (void)pthread_mutex_unlock(&lock);
    return error;
}

int stream_join(struct CUstream_st *stream, struct CUstream_st *other)
{
    (void)pthread_mutex_lock(&lock);
    struct CUevent_st here = {.capture = other->capture, .stream = other, .number = other->last};
    (void)pthread_mutex_unlock(&lock);
    return stream_depend(stream, &here);
}

bool event_ended(const struct CUevent_st *event)
{
    (void)pthread_mutex_lock(&lock);
    bool ended = !event->stream || event->stream->done >= event->number;
    (void)pthread_mutex_unlock(&lock);
    return ended;
}

void event_wait(const struct CUevent_st *event)
{
    (void)pthread_mutex_lock(&lock);
    while (event->stream && event->stream->done < event->number)
        (void)pthread_cond_wait(&changed, &lock);
    (void)pthread_mutex_unlock(&lock);
}

bool capture_forbids(void)
{
    return strict_captures > 0;
}

/* Modes: 0 global and 1 of the thread forbid unsafe calls to this thread, 2 is relaxed. */
int capture_begin(struct CUstream_st *stream, int mode)
{
    int error = DRV_INVALID_VALUE;
    (void)pthread_mutex_lock(&lock);
    if (stream == stream->ctx->legacy) {
        error = DRV_CAPTURE_UNSUPPORTED;
    } else if (!stream->capture) {
        struct CUgraph_st *graph = get(NULL, sizeof *graph);
        memset(graph, 0, sizeof *graph);
        graph->origin = stream;
        stream->capture = graph;
        strict_captures += mode != 2;
        error = DRV_OK;
    }
    (void)pthread_mutex_unlock(&lock);
    return error;
}

int capture_end(struct CUstream_st *stream, struct CUgraph_st **graph)
{
    (void)pthread_mutex_lock(&lock);
    struct CUgraph_st *got = stream->capture;
    *graph = NULL;
    int error = !got ? DRV_INVALID_VALUE : got->origin != stream ? DRV_CAPTURE_UNMATCHED : DRV_OK;
    if (!error) {
        for (struct CUstream_st *s = all; s; s = s->next)
            if (s->capture == got) /* others are not even written: their threads read them */
                s->capture = NULL;
        strict_captures -= strict_captures > 0;
        error = got->invalid ? DRV_CAPTURE_INVALIDATED : DRV_OK;
        *graph = error ? NULL : got;
    }
    (void)pthread_mutex_unlock(&lock);
    return error;
}
