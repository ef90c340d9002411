/* SPDX-License-Identifier: Apache-2.0 */
/* What the NCCL stand-in offers beside NCCL's own functions; tests find it by dlsym. Environment:
 * STANDIN_NCCL_FAULT    faults from the start, "word,rank,nth,value;...", the word as below
 * STANDIN_NCCL_LOST     "error": a peer that is aborted or gone is noticed, as ncclRemoteError;
 *                       else whoever needs it waits until it aborts
 * STANDIN_NCCL_POLLS    how often a communicator that does not block says "in progress" before it
 *                       gives an operation to its stream (1)
 * STANDIN_NCCL_TIMEOUT  seconds after which a wait is reported (15), times CT_PATIENCE; it goes on
 * STANDIN_NCCL_VERSION  an older version, which lacks what came later */
#ifndef STANDIN_NCCL_H
#define STANDIN_NCCL_H

#include <stdint.h>

enum standin_nccl_fault {
    NCCL_FAULT_STUCK,   /* "stuck": the initialisation never ends, here and so at all ranks */
    NCCL_FAULT_INIT,    /* "init": the initialisation fails with `value` */
    NCCL_FAULT_CALL,    /* "call": a send, receive or collective is refused with `value` */
    NCCL_FAULT_DELAY,   /* "delay": an operation begins `value` ms late */
    NCCL_FAULT_DROP,    /* "drop": an operation ends without having done anything */
    NCCL_FAULT_CORRUPT, /* "corrupt": a bit of the byte `value` of what is received is wrong */
    NCCL_FAULT_HANG,    /* "hang": an operation moves nothing until it is aborted */
    NCCL_FAULT_KILL,    /* "kill": the process ends when an operation begins */
    NCCL_FAULT_ASYNC    /* "async": an operation hangs, with the asynchronous error `value` */
};

/* Once, at the nth (from 1) following initialisation, call or launch (a group, or a call outside of
 * one) of this process on behalf of a rank, -1: any. Up to 16 wait at a time; 0 when there are
 * more. */
int standin_nccl_fault(enum standin_nccl_fault fault, int rank, uint64_t nth, int64_t value);
/* Forgets those that wait, the environment's as well. */
void standin_nccl_forgive(void);

#endif
