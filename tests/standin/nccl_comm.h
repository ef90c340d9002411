/* SPDX-License-Identifier: Apache-2.0 */
/* One rank's communicator, and what it launches. */
#ifndef STANDIN_NCCL_COMM_H
#define STANDIN_NCCL_COMM_H

#include "nccl_api.h"
#include "nccl_world.h"
#include "standin_nccl.h"

enum op_kind {
    OP_SEND,
    OP_RECV,
    OP_ALL_REDUCE,
    OP_REDUCE,
    OP_REDUCE_SCATTER,
    OP_BROADCAST,
    OP_ALL_GATHER,
    OP_ALL_TO_ALL
};

struct op {
    enum op_kind kind;
    uint64_t from, to; /* addresses of the driver */
    uint64_t count;
    ncclDataType_t type;
    ncclRedOp_t op;
    int32_t root; /* or the peer of a send or receive; else -1 */
};

/* The operations of one group on one communicator: they run together, and no two launches of a
 * communicator do. Whoever may still run it has a hold on it. */
struct launch {
    int refs;
    ncclComm_t comm;
    bool queued; /* in the order of calls; what a graph replays is not */
    struct launch *next;
    struct op *ops;
    int32_t nops;
    cudaStream_t *streams; /* it runs on the first, the others wait for it and it for them */
    int32_t nstreams;
};

/* Splitting: the parent's ranks have not all called. */
enum comm_stage { COMM_SPLITTING, COMM_JOINING, COMM_READY, COMM_FINALIZING, COMM_FINALIZED };

struct ncclComm {
    uint64_t magic;
    int refs;
    pthread_mutex_t lock;
    pthread_mutex_t order; /* of the queue and of the streams, which is the same */
    pthread_cond_t changed;
    struct world *world; /* NULL while it splits */
    ncclComm_t parent;   /* NULL, or what it was split from */
    int32_t split;       /* its number among the parent's */
    struct CUctx_st *ctx;
    int32_t rank, nranks, device;
    int32_t pid; /* of no use to a child process */
    bool blocking;
    enum comm_stage stage;
    uint32_t async;       /* ncclResult_t: an error that came later than the call that caused it */
    bool aborted, closed; /* closed: destroyed, but a launch holds on to it */
    bool running;         /* a launch */
    struct launch *queue; /* given to streams, in the order of calls */
    struct launch *pending; /* to be given to a stream when the state is asked for */
    int polls;              /* how often it will say first that this is in progress */
};

#define COMM_MAGIC 0x6e63636c7374616eULL

/* The thread's last error, in words; gives the result. */
__attribute__((format(printf, 2, 3))) ncclResult_t nccl_error(ncclResult_t result,
                                                              const char *format, ...);

/* Is it one, and may it be used now? */
ncclResult_t comm_ready(ncclComm_t comm);
void comm_hold(ncclComm_t comm);
void comm_drop(ncclComm_t comm);
bool comm_aborted(ncclComm_t comm);
/* The first error counts. */
void comm_fail(ncclComm_t comm, ncclResult_t error);
ncclResult_t comm_async(ncclComm_t comm);
/* With the world locked: notices, where STANDIN_NCCL_LOST is "error", that a peer was aborted or
 * that its process is gone. Without it nobody does, as with NCCL inside of one machine. */
void comm_look_round(ncclComm_t comm, const struct world *world);
/* A configuration, NULL with the default. */
ncclResult_t config_read(const ncclConfig_t *config, bool otherwise, bool *blocking);
ncclComm_t comm_new(int32_t nranks, int32_t rank, bool blocking);
ncclResult_t comm_take_seat(ncclComm_t comm, const char *name);
/* What is left of a call that makes *out: the wait, where it is for the call to wait. A failure
 * then leaves NULL there. */
ncclResult_t comm_begin(ncclComm_t *out);
/* Of one that splits: its rank, ranks and world's name. */
ncclResult_t comm_find_place(ncclComm_t comm, char *name, size_t room);
void comm_deregister_all(ncclComm_t comm);
/* In a group the wait for the other ranks is the group's end. */
bool group_open(void);
void group_await(ncclComm_t comm);
ncclResult_t comm_await(ncclComm_t comm);

/* Takes over the launch, with one hold; to its streams, or, where the communicator does not block,
 * as pending. */
ncclResult_t comm_launch(ncclComm_t comm, struct launch *launch);

/* What streams do with a launch. */
int launch_run(void *launch);
void launch_hold(void *launch);
void launch_drop(void *launch);

/* One way of a launch's bytes. */
struct transfer {
    bool send, started, ended;
    int32_t peer, op;
    struct lane *lane;
    struct transfer *before; /* the one that must end first */
    uint8_t *data, *init;    /* init NULL: all is written, or nobody asks */
    uint64_t bytes, done, number;
};

/* A launch while it runs. */
struct run {
    ncclComm_t comm;
    const struct launch *launch;
    struct transfer *transfers;
    int32_t count, room;
    uint8_t **temps; /* of op i: what came from rank r at [i * nranks + r], data and init */
    int error;       /* the driver's */
};

/* The transfers of all operations; false with run->error. */
bool run_plan(struct run *run);
/* What is computed after the transfers. */
void run_reduce(struct run *run);
void run_free(struct run *run);

/* Is it the turn of such a fault of a rank? */
bool fault_comes(enum standin_nccl_fault kind, int32_t rank, int64_t *value);
/* What shall go wrong before a launch; false: it does nothing. And to what it received. */
bool fault_before(ncclComm_t comm);
void fault_received(struct run *run);

uint64_t type_bytes(ncclDataType_t type);
void op_text(const struct op *op, char *text, size_t room);
void launch_text(const struct launch *launch, char *text, size_t room);

/* With the world locked: a lane whose two sides differ; ranks that wait for each other. */
void report_mismatch(struct world *world, int32_t from, int32_t to, const struct lane *lane);
void report_deadlock(struct world *world);
/* Says what each rank is at, once a rank waited for longer than STANDIN_NCCL_TIMEOUT (15 s). */
void report_late(struct world *world, int32_t rank, int64_t ms);

/* Element for element over what came from `parts` ranks, in their order. */
void reduce(uint8_t *to, uint8_t *const *parts, int32_t nparts, uint64_t count, ncclDataType_t type,
            ncclRedOp_t op);
bool reducible(ncclDataType_t type, ncclRedOp_t op);

#endif
