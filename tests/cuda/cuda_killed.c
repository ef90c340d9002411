/* SPDX-License-Identifier: Apache-2.0
 * Ranks as processes, of which one is killed (SIGKILL) when NCCL begins an operation of its: in
 * remap, in the middle of a dispatch, in combine. The others are told in time, by name, go on
 * without it, and close. The host's callbacks are shared memory.
 *     cuda_killed DEVICE.so */
#define _DEFAULT_SOURCE 1 /* MAP_ANONYMOUS */
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../../abi/ext/stats.h"
#include "../standin/standin_nccl.h"
#include "trip_kit.h"

enum { PROCESSES = 3, KILLED = 1, CHANNELS = 4, GROUPS = 2, ROOM = 512, DEADLINE = 100 };
static const int64_t TIMEOUT_NS = 1500000000;
static const double LONGEST = 20; /* on a busy machine */
static const uint8_t THREE[TK_RANKS] = {1, 1, 1, 0}, TWO[TK_RANKS] = {1, 0, 1, 0};

/* ------------------------------------------------------------------------- the host's callbacks */

/* What each rank has said on a channel, of this exchange and the one before. */
struct channel {
    _Atomic uint64_t said[PROCESSES];
    char words[2][PROCESSES][PROCESSES][ROOM]; /* from, to */
};

static struct channel (*channels)[CHANNELS]; /* [GROUPS], shared */

struct member {
    struct channel *channels;
    int32_t rank, size;
    uint64_t number[CHANNELS];
};

static bool wait_for(const struct channel *channel, int32_t from, uint64_t number, int64_t until)
{
    const struct timespec moment = {.tv_nsec = 100000};
    while (atomic_load(&channel->said[from]) < number) {
        if ((int64_t)(tk_seconds() * 1e9) > until)
            return false;
        (void)nanosleep(&moment, NULL);
    }
    return true;
}

static sluice_status all_to_all(void *user, int32_t channel, const void *const *send,
                                const size_t *send_bytes, void *const *recv,
                                const size_t *recv_bytes, int64_t timeout_ns, int32_t *peer)
{
    struct member *own = user;
    struct channel *there = &own->channels[channel];
    uint64_t number = ++own->number[channel], half = number % 2;
    int64_t until = (int64_t)(tk_seconds() * 1e9) + timeout_ns;
    for (int32_t p = 0; p < own->size; p++)
        memcpy(there->words[half][own->rank][p], send[p], send_bytes[p]);
    atomic_store(&there->said[own->rank], number);
    for (int32_t p = 0; p < own->size; p++) {
        *peer = p;
        if (!wait_for(there, p, number, until))
            return SLUICE_PEER_LOST;
        memcpy(recv[p], there->words[half][p][own->rank], recv_bytes[p]);
    }
    return SLUICE_OK;
}

static sluice_status all_gather(void *user, int32_t channel, const void *send, void *recv,
                                size_t bytes, int64_t timeout_ns, int32_t *peer)
{
    const void *from[PROCESSES] = {send, send, send};
    size_t sizes[PROCESSES] = {bytes, bytes, bytes};
    void *to[PROCESSES];
    for (int32_t p = 0; p < PROCESSES; p++)
        to[p] = (char *)recv + (size_t)p * bytes;
    return all_to_all(user, channel, from, sizes, to, sizes, timeout_ns, peer);
}

static sluice_comm comm_of(struct member *member, int32_t group, int32_t rank, int32_t size)
{
    *member = (struct member){.channels = channels[group], .rank = rank, .size = size};
    return (sluice_comm){.struct_size = sizeof(sluice_comm),
                         .rank = rank,
                         .size = size,
                         .user = member,
                         .all_gather = all_gather,
                         .all_to_all = all_to_all};
}

/* ---------------------------------------------------------------------------------- one process */

struct killing {
    const char *name;
    bool fixed;
    uint64_t nth; /* operation of NCCL from the second step on */
    int32_t op;   /* in which the others find it missing */
    /* NCCL says that a peer is gone, before the deadline: what was on its way may be lost with it,
     * and the others may find one another missing. Then nobody is named. */
    bool noticed;
};

static _Noreturn void wrong(const struct tk_rank *r, const char *when, sluice_status status)
{
    printf("not ok: rank %d, %s: %s gives %d: %s\n", r->rank, when, r->call, status, r->text);
    (void)fflush(stdout);
    _exit(1);
}

static void serve(struct tk_rank *r, const char *when, uint64_t seed, const uint8_t *alive)
{
    bool right;
    sluice_status status = tk_trip(r, seed, alive, &right);
    if (status || !right)
        wrong(r, when, status);
}

static void survive(struct tk_rank *r, const struct killing *how)
{
    static struct member fewer;
    bool right;
    double since = tk_seconds();
    sluice_fault fault = {.struct_size = sizeof fault};
    sluice_status status = tk_trip(r, 2, THREE, &right);
    if (status != SLUICE_PEER_LOST)
        wrong(r, "with a killed rank", status);
    if (tk_seconds() - since > LONGEST * tk_patience())
        wrong(r, "a killed rank is noticed too late", status);
    if (tk_ranks->poll(r->context, &fault))
        wrong(r, "polling", status);
    bool named = fault.rank == KILLED && (fault.op == how->op || how->noticed);
    if (!named && !(how->noticed && fault.rank == -1))
        wrong(r, "the killed rank is not named, or where it was missing", status);
    const sluice_comm comm = comm_of(&fewer, 1, r->rank > KILLED, PROCESSES - 1);
    if ((status = tk_set(r, 1, TWO, &comm)))
        wrong(r, "a verdict", status);
    serve(r, "without the killed rank", 3, TWO);
}

static _Noreturn void live(const char *plugin, int32_t rank, const struct killing *how)
{
    static struct member all;
    int (*fault)(enum standin_nccl_fault, int, uint64_t, int64_t);
    int64_t (*held)(void);
    sluice_device first;
    int32_t count;
    if (how->noticed)
        (void)setenv("STANDIN_NCCL_LOST", "error", 1);
    (void)alarm((unsigned)(DEADLINE * tk_patience()));
    tk_load(plugin);
    tk_find("libnccl.so.2", "standin_nccl_fault", &fault);
    tk_find("libcuda.so.1", "standin_held", &held);
    (void)tk_memory->count(&count, &first, NULL, 0);
    struct tk_rank r = {.fixed = how->fixed, .device = {first.type, first.id + rank}};
    const sluice_comm comm = comm_of(&all, 0, rank, PROCESSES);
    sluice_status status = tk_open(&r, &comm, 0, TIMEOUT_NS);
    if (status)
        wrong(&r, "opening", status);
    serve(&r, "whole", 1, THREE);
    if (rank == KILLED) {
        bool right;
        (void)fault(NCCL_FAULT_KILL, rank, how->nth, 0);
        (void)tk_trip(&r, 2, THREE, &right);
        wrong(&r, "it outlives its killing", 0);
    }
    survive(&r, how);
    double since = tk_seconds();
    tk_close(&r);
    if (tk_seconds() - since > LONGEST * tk_patience() ||
        held() != 1) /* sluice.device/1's context */
        wrong(&r, held() != 1 ? "something is held" : "closing takes too long", 0);
    _exit(0);
}

/* --------------------------------------------------------------------------------- all of them */

static bool run(const char *plugin, const struct killing *how)
{
    pid_t children[PROCESSES];
    bool good = true;
    memset(channels, 0, sizeof *channels * GROUPS);
    (void)fflush(stdout);
    for (int32_t i = 0; i < PROCESSES; i++) {
        children[i] = fork();
        if (children[i] == 0)
            live(plugin, i, how);
        if (children[i] < 0)
            exit(3);
    }
    for (int32_t i = 0; i < PROCESSES; i++) {
        int status = 0;
        (void)waitpid(children[i], &status, 0);
        if (i == KILLED ? !WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL : status != 0) {
            printf("not ok: killed in %s%s: rank %d ends with %x\n", how->name,
                   how->noticed ? ", noticed" : "", i, (unsigned)status);
            good = false;
        }
    }
    return good;
}

int main(int argc, char **argv)
{
    static const struct killing KILLINGS[] = {
        {"remap", true, 1, SLUICE_OP_REMAP, false},
        {"a fixed dispatch", true, 2, SLUICE_OP_DISPATCH, false},
        {"a fixed combine", true, 3, SLUICE_OP_COMBINE, false},
        {"an exact count", false, 2, SLUICE_OP_DISPATCH, false},
        {"an exact send", false, 3, SLUICE_OP_DISPATCH, false},
        {"an exact combine", false, 4, SLUICE_OP_COMBINE, false},
        {"an exact count", false, 2, SLUICE_OP_DISPATCH, true},
        {"a fixed dispatch", true, 2, SLUICE_OP_DISPATCH, true},
    };
    if (argc != 2) {
        (void)fprintf(stderr, "usage: cuda_killed DEVICE.so\n");
        return 2;
    }
    int passed = 0, failed = 0;
    channels = mmap(NULL, sizeof *channels * GROUPS, PROT_READ | PROT_WRITE,
                    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (channels == MAP_FAILED)
        return 3;
    for (size_t i = 0; i < sizeof KILLINGS / sizeof *KILLINGS; i++)
        *(run(argv[1], &KILLINGS[i]) ? &passed : &failed) += 1;
    printf("%d passed, %d failed\n", passed, failed);
    return failed > 0;
}
