/* SPDX-License-Identifier: Apache-2.0
 * A look at what a peer has put in front of its message, while the stream that waits for the rest
 * of it goes on waiting. */
#ifndef SLC_LOOK_H
#define SLC_LOOK_H

#include <pthread.h>

#include "cu_context.h"
#include "kernels/move_job.h"

struct slc_look {
    pthread_mutex_t lock; /* guards all below */
    bool made;            /* the lock is there */
    slcu_stream stream;
    struct slc_head *head; /* pinned */
};

/* Of the mover, whose pinned memory is there; nothing where the context has one rank alone. */
bool slc_look_open(sluice_context *context, slcu_result *error);
void slc_look_close(sluice_context *context);

/* The head at `at` on the device, as far as it has come; false: it could not be read, within a
 * second. The device's context is entered. [any thread] */
bool slc_look_at(const sluice_context *context, const char *at, struct slc_head *head);

#endif
