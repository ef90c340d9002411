/* SPDX-License-Identifier: Apache-2.0 */
/* The driver front: what its files share. Functions of the driver are exported under the names that
 * cuda.h gives them; drv_table.c lists them for cuGetProcAddress. */
#ifndef STANDIN_DRIVER_H
#define STANDIN_DRIVER_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "memory.h"
#include "ptx.h"
#include "standin.h"

#define DRV_API __attribute__((visibility("default")))

/* CUresult */
enum {
    DRV_OK = 0,
    DRV_INVALID_VALUE = 1,
    DRV_OUT_OF_MEMORY = 2,
    DRV_NOT_INITIALIZED = 3,
    DRV_NO_DEVICE = 100,
    DRV_INVALID_DEVICE = 101,
    DRV_INVALID_IMAGE = 200,
    DRV_INVALID_CONTEXT = 201,
    DRV_NO_BINARY = 209,
    DRV_INVALID_PTX = 218,
    DRV_INVALID_HANDLE = 400,
    DRV_NOT_FOUND = 500,
    DRV_NOT_READY = 600,
    DRV_ILLEGAL_ADDRESS = 700,
    DRV_TIMEOUT = 702,
    DRV_MISALIGNED = 716,
    DRV_LAUNCH_FAILED = 719,
    DRV_NOT_SUPPORTED = 801,
    DRV_CAPTURE_UNSUPPORTED = 900,
    DRV_CAPTURE_INVALIDATED = 901,
    DRV_CAPTURE_UNMATCHED = 903,
    DRV_CAPTURE_IMPLICIT = 906
};

#define DRV_DEVICES_MAX 64
#define DRV_VERSION 13000
#define DRV_MEMORY (80ULL << 30)

typedef uint64_t drv_address;

struct CUctx_st {
    int device;
    int refs;
    int error; /* sticks until the context is reset */
    struct CUstream_st *legacy;
};

struct CUmod_st {
    struct ptx_module *ptx;
    struct CUfunc_st *functions;
};

struct CUfunc_st {
    struct CUmod_st *module;
    const struct ptx_function *ptx;
    uint32_t dynamic_max;
};

enum work_kind { WORK_NONE, WORK_LAUNCH, WORK_COPY, WORK_SET, WORK_HOST, WORK_TASK };

/* One thing that a stream does. */
struct work {
    enum work_kind kind;
    const struct ptx_function *fn;
    uint32_t blocks[3], threads[3], shared;
    uint8_t *params;      /* owned */
    drv_address to, from; /* host memory has its own addresses */
    uint64_t bytes;
    uint32_t value, width; /* WORK_SET */
    void (*host)(void *arg);
    const struct standin_task *task; /* WORK_TASK; each copy of the work holds `arg` */
    void *arg;
    uint8_t *staged; /* owned: what a copy reads in place of `from` */
    int error;       /* what the work ends with, by order of standin_fail */
};

struct op;

struct CUgraph_st {
    struct work *works; /* in the order of capture, which is one that its edges allow */
    int32_t count;
    bool invalid;
    struct CUstream_st *origin;
};

struct CUgraphExec_st {
    struct CUgraph_st graph;
};

struct CUstream_st {
    struct CUctx_st *ctx;
    bool blocking; /* orders itself with the legacy stream */
    bool alive;
    pthread_t worker;
    struct op *head, *tail;
    uint64_t last, done; /* numbers of the last operation given and ended */
    struct CUgraph_st *capture;
    struct CUstream_st *next;
};

struct CUevent_st {
    struct CUstream_st *stream; /* NULL: never recorded, which counts as ended */
    uint64_t number;
    struct CUgraph_st *capture;
    uint64_t time; /* ns */
};

/* The context of the calling thread, NULL without. */
struct CUctx_st *drv_context(void);
/* 90, or STANDIN_SM: the architecture that the devices have. */
int drv_sm(void);
/* The error that sticks to a context. */
int ctx_error(const struct CUctx_st *ctx);
void ctx_set_error(struct CUctx_st *ctx, int error);
/* What stops a call: no context, or an error that sticks to it. */
int drv_ready(struct CUctx_st **ctx);
/* Of the nth event that shall fail, its error; else DRV_OK. */
int drv_fails(enum standin_event event);

/* One thing more that a program holds, or less. */
void drv_hold(int64_t things);
int drv_fill_ms(void);

/* Streams (stream.c). */
struct CUstream_st *stream_create(struct CUctx_st *ctx, bool blocking);
struct CUstream_st *stream_of(struct CUctx_st *ctx, struct CUstream_st *handle);
/* Takes over what *work owns; during a capture into the graph. */
int stream_submit(struct CUstream_st *stream, struct work *work);
int stream_submit_list(struct CUstream_st *stream, const struct work *works, int32_t count);
int stream_wait(struct CUstream_st *stream);
int stream_query(struct CUstream_st *stream);
void stream_destroy(struct CUstream_st *stream);
void stream_wait_all(struct CUctx_st *ctx);
int stream_record(struct CUstream_st *stream, struct CUevent_st *event);
int stream_depend(struct CUstream_st *stream, const struct CUevent_st *event);
int stream_join(struct CUstream_st *stream, struct CUstream_st *other);
bool event_ended(const struct CUevent_st *event);
void event_wait(const struct CUevent_st *event);
int capture_begin(struct CUstream_st *stream, int mode);
int capture_end(struct CUstream_st *stream, struct CUgraph_st **graph);
/* Does this thread capture in a mode in which unsafe calls are forbidden? */
bool capture_forbids(void);

struct work work_copy(const struct work *work);
void work_free(struct work *work);
/* Does it; gives an error. */
int work_run(struct CUctx_st *ctx, struct work *work);

/* The PTX text of the best entry of a fat binary or of plain PTX, to be freed; NULL with *error. */
char *fatbin_ptx(const void *image, int sm, int *error);

/* Forgets messages. */
void standin_clear(void);
void standin_add(const struct standin_counters *more);
uint64_t standin_launch_budget(void);

#endif
