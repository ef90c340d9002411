#include "mpi_check.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { TAG_REPORT = 1, TAG_GO = 2, TAG_SIGNAL = 3, PATIENCE_S = 60 };

int mpi_rank;
bool mpi_alive[RANKS] = {true, true, true, true};
sluice_comm_mpi *mpi_world;

static int passed, failed; /* tests, on rank 0 */
static int wrong;          /* checks of this rank */
static int32_t groups;

bool mpi_check(bool held, const char *what)
{
    if (!held) {
        wrong++;
        fprintf(stderr, "rank %d: does not hold: %s\n", mpi_rank, what);
    }
    return held;
}

sluice_comm mpi_group(const bool *alive)
{
    sluice_comm comm = {.struct_size = 0};
    uint8_t mask[RANKS];
    for (int r = 0; r < RANKS; r++)
        mask[r] = alive[r];
    sluice_status status = sluice_comm_mpi_get(mpi_world, groups++, mask, &comm);
    mpi_check(status == SLUICE_OK, "get gives a group");
    return comm;
}

/* A receive from a dead rank never ends, so this one is polled. */
static bool receive(int from, int tag, int *value)
{
    MPI_Request request;
    int done = 0;
    time_t end = time(NULL) + PATIENCE_S;
    MPI_Irecv(value, 1, MPI_INT, from, tag, MPI_COMM_WORLD, &request);
    while (!done && time(NULL) < end) {
        const struct timespec nap = {.tv_nsec = 200000};
        MPI_Test(&request, &done, MPI_STATUS_IGNORE);
        (void)nanosleep(&nap, NULL);
    }
    return done != 0;
}

static void give_up(const char *why, int rank)
{
    fprintf(stderr, "rank %d: %s rank %d\n", mpi_rank, why, rank);
    if (mpi_rank == 0)
        printf("%d passed, %d failed\n", passed, failed + 1);
    (void)fflush(stdout);
    MPI_Abort(MPI_COMM_WORLD, 1);
}

void mpi_tell(int to)
{
    int value = 1;
    MPI_Send(&value, 1, MPI_INT, to, TAG_SIGNAL, MPI_COMM_WORLD);
}

void mpi_hear(int from)
{
    int value = 0;
    if (!receive(from, TAG_SIGNAL, &value))
        give_up("no signal from", from);
}

/* The living of now: a test may have changed that. */
static int collect(int own)
{
    int bad = own;
    for (int r = 1; r < RANKS; r++) {
        int theirs = 0;
        if (!mpi_alive[r])
            continue;
        if (!receive(r, TAG_REPORT, &theirs))
            give_up("no report from", r);
        bad += theirs;
    }
    for (int r = 1; r < RANKS; r++)
        if (mpi_alive[r])
            MPI_Send(&bad, 1, MPI_INT, r, TAG_GO, MPI_COMM_WORLD);
    return bad;
}

void mpi_run(const char *name, void (*test)(void))
{
    int go = 0;
    wrong = 0;
    test();
    int own = wrong;
    if (mpi_rank == 0) {
        int bad = collect(own);
        if (bad)
            printf("not ok: %s (%d checks)\n", name, bad);
        *(bad ? &failed : &passed) += 1;
        (void)fflush(stdout);
        return;
    }
    MPI_Send(&own, 1, MPI_INT, 0, TAG_REPORT, MPI_COMM_WORLD);
    if (!receive(0, TAG_GO, &go))
        give_up("no answer from", 0);
}

int mpi_verdict(void)
{
    if (mpi_rank == 0)
        printf("%d passed, %d failed\n", passed, failed);
    (void)fflush(stdout);
    return failed != 0;
}
