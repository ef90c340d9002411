/* SPDX-License-Identifier: Apache-2.0 */
/* Faults on order. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "nccl_comm.h"

#define FAULTS_MOST 16

struct fault {
    enum standin_nccl_fault kind;
    int rank;
    uint64_t left; /* until it comes; 0: none */
    int64_t value;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct fault faults[FAULTS_MOST];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static const char *const words[] = {"stuck",   "init", "call", "delay", "drop",
                                    "corrupt", "hang", "kill", "async"};

static int put(enum standin_nccl_fault kind, int rank, uint64_t nth, int64_t value)
{
    for (int i = 0; i < FAULTS_MOST; i++)
        if (!faults[i].left) {
            faults[i] = (struct fault){kind, rank, nth, value};
            return 1;
        }
    return 0;
}

static void put_text(const char *text)
{
    char word[16];
    int rank;
    unsigned long long nth;
    long long value;
    int got = sscanf(text, "%15[a-z],%d,%llu,%lld", word, &rank, &nth, &value);
    for (size_t k = 0; got == 4 && k < sizeof words / sizeof *words; k++)
        if (strcmp(words[k], word) == 0 && put((enum standin_nccl_fault)k, rank, nth, value))
            return;
    (void)fprintf(stderr, "standin: STANDIN_NCCL_FAULT: cannot read %s\n", text);
    abort();
}

static void read_environment(void)
{
    const char *text = getenv("STANDIN_NCCL_FAULT");
    while (text && *text) {
        put_text(text);
        text = strchr(text, ';');
        text += text != NULL;
    }
}

__attribute__((visibility("default"))) int standin_nccl_fault(enum standin_nccl_fault kind,
                                                              int rank, uint64_t nth, int64_t value)
{
    (void)pthread_once(&once, read_environment);
    (void)pthread_mutex_lock(&lock);
    int done = put(kind, rank, nth, value);
    (void)pthread_mutex_unlock(&lock);
    return done;
}

__attribute__((visibility("default"))) void standin_nccl_forgive(void)
{
    (void)pthread_once(&once, read_environment);
    (void)pthread_mutex_lock(&lock);
    memset(faults, 0, sizeof faults);
    (void)pthread_mutex_unlock(&lock);
}

bool fault_comes(enum standin_nccl_fault kind, int32_t rank, int64_t *value)
{
    bool comes = false;
    (void)pthread_once(&once, read_environment);
    (void)pthread_mutex_lock(&lock);
    for (int i = 0; i < FAULTS_MOST; i++) {
        struct fault *f = &faults[i];
        if (f->left && f->kind == kind && (f->rank < 0 || f->rank == rank) && --f->left == 0) {
            comes = true;
            *value = f->value;
        }
    }
    (void)pthread_mutex_unlock(&lock);
    return comes;
}

/* Until it is aborted, or for some time. */
static void idle(ncclComm_t comm, int64_t ms)
{
    const struct timespec pause = {0, 1000000};
    struct timespec begun, now;
    (void)clock_gettime(CLOCK_MONOTONIC, &begun);
    for (now = begun; !comm_aborted(comm);) {
        int64_t past =
            ((int64_t)now.tv_sec - begun.tv_sec) * 1000 + (now.tv_nsec - begun.tv_nsec) / 1000000;
        if (ms >= 0 && past >= ms)
            return;
        (void)nanosleep(&pause, NULL);
        (void)clock_gettime(CLOCK_MONOTONIC, &now);
    }
}

bool fault_before(ncclComm_t comm)
{
    int64_t value;
    if (fault_comes(NCCL_FAULT_KILL, comm->rank, &value))
        (void)raise(SIGKILL);
    if (fault_comes(NCCL_FAULT_DELAY, comm->rank, &value))
        idle(comm, value);
    bool async = fault_comes(NCCL_FAULT_ASYNC, comm->rank, &value);
    if (async)
        comm_fail(comm, (ncclResult_t)value);
    if (fault_comes(NCCL_FAULT_HANG, comm->rank, &value) || async)
        idle(comm, -1);
    return !fault_comes(NCCL_FAULT_DROP, comm->rank, &value) && !comm_aborted(comm);
}

void fault_received(struct run *run)
{
    int64_t value;
    if (!fault_comes(NCCL_FAULT_CORRUPT, run->comm->rank, &value))
        return;
    for (int32_t i = 0; i < run->count; i++) {
        struct transfer *t = &run->transfers[i];
        if (t->send || !t->bytes)
            continue;
        t->data[(uint64_t)value % t->bytes] ^= 1;
        return;
    }
}
