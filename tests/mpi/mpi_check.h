/* A test on four processes: every rank runs it, rank 0 collects what did not hold. */
#ifndef MPI_CHECK_H
#define MPI_CHECK_H

#include <mpi.h>
#include <stdbool.h>

#include "../../src/comm/comm_mpi.h"

enum { RANKS = 4 };

/* Time for what should come at once, and for waits that are meant to end. */
#define LONG_NS INT64_C(30000000000)
#define SHORT_NS INT64_C(2000000000)

extern int mpi_rank;
extern bool mpi_alive[RANKS];
extern sluice_comm_mpi *mpi_world;

/* Counts and prints what did not hold. */
bool mpi_check(bool held, const char *what);

/* The callbacks among those alive, with the next group number. */
sluice_comm mpi_group(const bool *alive);

/* Runs a test on the living; a rank that does not report in time has failed. */
void mpi_run(const char *name, void (*test)(void));

/* A signal between ranks outside the library: sends it, or waits for it; the wait ends the test
 * program at a deadline. */
void mpi_tell(int to);
void mpi_hear(int from);

/* Rank 0: the closing line. Returns what main does. */
int mpi_verdict(void);

#endif
