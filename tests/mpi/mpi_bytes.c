#include "mpi_bytes.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../../abi/hosts/host_kit.h"

static const bool ALL[RANKS] = {true, true, true, true};

/* What `from` says to `to` at a place of a message; `salt` tells messages apart. */
static unsigned char byte_of(int from, int to, unsigned salt, size_t at)
{
    return (unsigned char)((unsigned)from * 67 + (unsigned)to * 29 + salt * 131 + at % 251);
}

static void fill(unsigned char *data, int from, int to, unsigned salt, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        data[i] = byte_of(from, to, salt, i);
}

static bool holds(const unsigned char *data, int from, int to, unsigned salt, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        if (data[i] != byte_of(from, to, salt, i))
            return false;
    return true;
}

static sluice_status gather(const sluice_comm *comm, int32_t channel, unsigned salt, size_t bytes,
                            int64_t timeout_ns, int32_t *peer)
{
    unsigned char *send = kit_zeros(bytes, 1), *recv = kit_zeros(bytes * RANKS, 1);
    fill(send, comm->rank, 0, salt, bytes);
    sluice_status status =
        comm->all_gather(comm->user, channel, send, recv, bytes, timeout_ns, peer);
    for (int r = 0; status == SLUICE_OK && r < comm->size; r++)
        mpi_check(holds(recv + (size_t)r * bytes, r, 0, salt, bytes), "gathered bytes");
    free(send);
    free(recv);
    return status;
}

static void gather_well(const sluice_comm *comm, int32_t channel, unsigned salt, size_t bytes)
{
    int32_t peer = -1;
    mpi_check(gather(comm, channel, salt, bytes, LONG_NS, &peer) == SLUICE_OK, "a gather");
}

/* Everybody gets `status` naming `lost`. */
static void gather_badly(const sluice_comm *comm, int64_t timeout_ns, sluice_status status,
                         int32_t lost)
{
    int32_t peer = -7;
    sluice_status got = gather(comm, 0, 1, 64, timeout_ns, &peer);
    if (!mpi_check(got == status && peer == lost, "the failure that was meant"))
        fprintf(stderr, "rank %d: status %d, peer %d; should be %d, %d\n", mpi_rank, got, peer,
                status, lost);
}

/* sizes[a][b]: what a sends to b. */
static sluice_status exchange(const sluice_comm *comm, size_t sizes[RANKS][RANKS],
                              size_t recv_bytes[RANKS], int64_t timeout_ns, int32_t *peer)
{
    unsigned char *send[RANKS], *recv[RANKS];
    const void *out[RANKS];
    void *in[RANKS];
    for (int r = 0; r < RANKS; r++) {
        out[r] = send[r] = kit_zeros(sizes[mpi_rank][r], 1);
        in[r] = recv[r] = kit_zeros(recv_bytes[r], 1);
        fill(send[r], mpi_rank, r, 3, sizes[mpi_rank][r]);
    }
    sluice_status status =
        comm->all_to_all(comm->user, 0, out, sizes[mpi_rank], in, recv_bytes, timeout_ns, peer);
    for (int r = 0; r < RANKS; r++) {
        if (status == SLUICE_OK)
            mpi_check(holds(recv[r], r, mpi_rank, 3, recv_bytes[r]), "exchanged bytes");
        free(send[r]);
        free(recv[r]);
    }
    return status;
}

static void gather_moves_bytes(void)
{
    static const size_t sizes[] = {0, 1, 1000, 4096, 300001};
    const sluice_comm comm = mpi_group(ALL);
    mpi_check(comm.rank == mpi_rank && comm.size == RANKS && comm.node, "rank, size and nodes");
    for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (unsigned again = 0; again < 20; again++)
            gather_well(&comm, 0, i * 20 + again, sizes[i]);
}

static void all_to_all_moves_uneven_bytes(void)
{
    size_t sizes[RANKS][RANKS] = {
        {5, 0, 70000, 1}, {0, 0, 0, 0}, {3, 0, 9, 200000}, {100, 0, 40, 8}};
    size_t mine[RANKS];
    const sluice_comm comm = mpi_group(ALL);
    for (unsigned again = 0; again < 20; again++) {
        int32_t peer = -1;
        for (int r = 0; r < RANKS; r++)
            mine[r] = sizes[r][mpi_rank];
        mpi_check(exchange(&comm, sizes, mine, LONG_NS, &peer) == SLUICE_OK, "an uneven exchange");
        sizes[0][3] += 700;
        sizes[3][3] = again;
    }
}

static void long_message_goes_in_parts(void)
{
    size_t sizes[RANKS][RANKS] = {{0, 0, 0, ((size_t)40 << 20) + 7}}, mine[RANKS];
    const sluice_comm comm = mpi_group(ALL);
    int32_t peer = -1;
    for (int r = 0; r < RANKS; r++)
        mine[r] = sizes[r][mpi_rank];
    mpi_check(exchange(&comm, sizes, mine, LONG_NS, &peer) == SLUICE_OK, "a long message");
}

/* Rank 0 has nothing to wait for but that rank 3 takes its message. After that it does not call MPI
 * for longer than rank 3 waits. */
static void who_leaves_first_keeps_nobody_waiting(void)
{
    size_t sizes[RANKS][RANKS] = {{0, 0, 0, (size_t)8 << 20}}, mine[RANKS];
    const sluice_comm comm = mpi_group(ALL);
    const struct timespec away = {.tv_sec = SHORT_NS / 1000000000 + 1};
    int32_t peer = -1;
    for (int r = 0; r < RANKS; r++)
        mine[r] = sizes[r][mpi_rank];
    gather_well(&comm, 0, 4, 8);
    mpi_check(exchange(&comm, sizes, mine, SHORT_NS, &peer) == SLUICE_OK, "an exchange");
    if (mpi_rank == 0)
        (void)nanosleep(&away, NULL);
}

/* Rank 1 expects of rank 2 what rank 2 does not send: nothing where something comes, too. */
static void other_length_is_a_mismatch(void)
{
    static const size_t wrong[] = {0, 9, 11};
    sluice_comm comm = mpi_group(ALL);
    for (int i = 0; i < 3; i++) {
        size_t sizes[RANKS][RANKS], mine[RANKS];
        int32_t peer = -1;
        for (int r = 0; r < RANKS * RANKS; r++)
            sizes[r / RANKS][r % RANKS] = 10;
        for (int r = 0; r < RANKS; r++)
            mine[r] = mpi_rank == 1 && r == 2 ? wrong[i] : 10;
        sluice_status status = exchange(&comm, sizes, mine, LONG_NS, &peer);
        if (mpi_rank == 1)
            mpi_check(status == SLUICE_MISMATCH && peer == 2, "the length of rank 2 is refused");
        /* Who had all its bytes before it was told learns of it now. */
        gather_badly(&comm, LONG_NS, SLUICE_MISMATCH, 2);
        comm.resume(comm.user, -1);
        gather_well(&comm, 0, 5, 100);
    }
}

static void different_collectives_are_a_mismatch(void)
{
    size_t sizes[RANKS][RANKS] = {
        {64, 64, 64, 64}, {64, 64, 64, 64}, {64, 64, 64, 64}, {64, 64, 64, 64}};
    const sluice_comm comm = mpi_group(ALL);
    int32_t peer = -1;
    sluice_status status = mpi_rank == 0 ? exchange(&comm, sizes, sizes[0], LONG_NS, &peer)
                                         : gather(&comm, 0, 1, 64, LONG_NS, &peer);
    mpi_check(status == SLUICE_MISMATCH && peer >= 0, "gather met by all_to_all");
    comm.resume(comm.user, -1);
    gather_well(&comm, 0, 6, 100);
}

/* Rank 3 comes when the rest have given up, or not at all. What the others sent in vain lies there
 * when it resumes, and must not be taken for the next exchange. */
static void late_rank_is_named(void)
{
    const sluice_comm comm = mpi_group(ALL);
    for (int comes = 0; comes < 2; comes++) {
        if (mpi_rank == 3) {
            for (int r = 0; r < 3; r++)
                mpi_hear(r);
            if (comes)
                gather_badly(&comm, LONG_NS, SLUICE_PEER_LOST, 3);
        } else {
            gather_badly(&comm, SHORT_NS, SLUICE_PEER_LOST, 3);
            gather_badly(&comm, LONG_NS, SLUICE_PEER_LOST, 3);
            mpi_tell(3);
        }
        gather_well(&comm, 1, 7, 300);
        comm.resume(comm.user, -1);
        gather_well(&comm, 0, 8, 64);
        gather_well(&comm, 0, 9, 100000);
    }
}

/* What rank 3 sent in an exchange that it has given up comes late to the others. */
static void abandoned_bytes_are_dropped(void)
{
    const sluice_comm comm = mpi_group(ALL);
    if (mpi_rank == 3) {
        int32_t peer = -1;
        sluice_status status = gather(&comm, 0, 1, 100000, SHORT_NS / 4, &peer);
        mpi_check(status == SLUICE_PEER_LOST && peer == 0, "rank 0 is the lowest that is missing");
        for (int r = 0; r < 3; r++)
            mpi_tell(r);
    } else {
        mpi_hear(3);
    }
    comm.resume(comm.user, -1);
    for (unsigned again = 0; again < 3; again++)
        gather_well(&comm, 0, 10 + again, 100000);
}

static sluice_status finish(const sluice_comm *comm, uint64_t request)
{
    for (;;) {
        int32_t done = 0;
        sluice_status status = comm->poll(comm->user, request, &done);
        if (done)
            return status;
    }
}

/* Every rank sends three messages to its neighbour on two channels, the first to itself, too. */
static void messages_come_in_order(void)
{
    static const size_t sizes[] = {0, 120000, 50};
    const sluice_comm comm = mpi_group(ALL);
    int to = (mpi_rank + 1) % RANKS, from = (mpi_rank + RANKS - 1) % RANKS;
    unsigned char *send = kit_zeros(6, 120000), *recv = kit_zeros(6, 120000);
    uint64_t out[6], in[6];
    for (unsigned i = 0; i < 6; i++) {
        unsigned char *data = send + i * 120000;
        fill(data, mpi_rank, to, i, sizes[i % 3]);
        mpi_check(comm.isend(comm.user, (int32_t)i / 3, to, data, sizes[i % 3], &out[i]) ==
                      SLUICE_OK,
                  "isend");
    }
    for (unsigned j = 0; j < 6; j++) {
        unsigned i = (j + 3) % 6; /* the second channel first */
        mpi_check(comm.irecv(comm.user, (int32_t)i / 3, from, recv + i * 120000, sizes[i % 3],
                             &in[i]) == SLUICE_OK,
                  "irecv");
    }
    for (unsigned i = 6; i-- > 0;) {
        mpi_check(finish(&comm, in[i]) == SLUICE_OK, "a receive");
        mpi_check(holds(recv + i * 120000, from, mpi_rank, i, sizes[i % 3]), "received bytes");
    }
    for (unsigned i = 0; i < 6; i++)
        mpi_check(finish(&comm, out[i]) == SLUICE_OK, "a send");
    mpi_check(comm.isend(comm.user, 5, mpi_rank, send, 50, &out[0]) == SLUICE_OK &&
                  comm.irecv(comm.user, 5, mpi_rank, recv, 40, &in[0]) == SLUICE_OK &&
                  finish(&comm, in[0]) == SLUICE_MISMATCH && finish(&comm, out[0]) == SLUICE_OK,
              "a receive of another length");
    mpi_check(comm.isend(comm.user, 64, to, send, 1, &out[0]) == SLUICE_INVALID &&
                  comm.irecv(comm.user, 0, RANKS, recv, 1, &in[0]) == SLUICE_INVALID,
              "a channel and a rank that are not there");
    free(send);
    free(recv);
}

/* A message that nobody received is gone in the next era. */
static void unreceived_message_is_dropped(void)
{
    const sluice_comm comm = mpi_group(ALL);
    int to = (mpi_rank + 1) % RANKS, from = (mpi_rank + RANKS - 1) % RANKS;
    unsigned char send[32], recv[32];
    uint64_t request;
    for (unsigned era = 0; era < 3; era++) {
        fill(send, mpi_rank, to, era, sizeof send);
        mpi_check(comm.isend(comm.user, 0, to, send, sizeof send, &request) == SLUICE_OK &&
                      finish(&comm, request) == SLUICE_OK,
                  "a send");
        if (era == 2)
            break;
        mpi_tell(to);
        mpi_hear(from);
        comm.resume(comm.user, -1);
    }
    mpi_check(comm.irecv(comm.user, 0, from, recv, sizeof recv, &request) == SLUICE_OK &&
                  finish(&comm, request) == SLUICE_OK &&
                  holds(recv, from, mpi_rank, 2, sizeof recv),
              "the message of this era");
}

static void *cancel_all(void *comm)
{
    const sluice_comm *it = comm;
    it->cancel(it->user, -1);
    return NULL;
}

/* Rank 0 waits for ranks that do not come, until another thread ends it. */
static void cancel_ends_waits(void)
{
    sluice_comm comm = mpi_group(ALL);
    if (mpi_rank == 0) {
        pthread_t thread;
        unsigned char data[8];
        uint64_t request = 0;
        mpi_check(comm.irecv(comm.user, 2, 1, data, sizeof data, &request) == SLUICE_OK, "irecv");
        mpi_check(!pthread_create(&thread, NULL, cancel_all, &comm), "a thread");
        gather_badly(&comm, LONG_NS, SLUICE_CANCELLED, -1);
        (void)pthread_join(thread, NULL);
        mpi_check(finish(&comm, request) == SLUICE_CANCELLED, "a receive is cancelled");
        gather_badly(&comm, LONG_NS, SLUICE_CANCELLED, -1);
    }
    comm.resume(comm.user, -1);
    gather_well(&comm, 0, 11, 100);
}

struct errand {
    const sluice_comm *comm;
    int32_t channel;
};

static void *gather_often(void *argument)
{
    const struct errand *errand = argument;
    unsigned char recv[RANKS * 32], send[32];
    bool ok = true;
    for (unsigned i = 0; i < 50; i++) {
        int32_t peer = -1;
        fill(send, mpi_rank, errand->channel, i, sizeof send);
        ok = !errand->comm->all_gather(errand->comm->user, errand->channel, send, recv, sizeof send,
                                       LONG_NS, &peer) &&
             ok;
        for (int r = 0; r < RANKS; r++)
            ok = holds(recv + r * 32, r, errand->channel, i, sizeof send) && ok;
    }
    return ok ? NULL : argument;
}

static void channels_run_at_once(void)
{
    const sluice_comm comm = mpi_group(ALL);
    struct errand other = {&comm, 1}, own = {&comm, 0};
    pthread_t thread;
    void *bad = &other;
    mpi_check(!pthread_create(&thread, NULL, gather_often, &other), "a thread");
    mpi_check(!gather_often(&own), "gathers on one channel");
    (void)pthread_join(thread, &bad);
    mpi_check(!bad, "gathers on another channel at once");
}

static void smaller_group_numbers_its_own(void)
{
    static const uint8_t even[RANKS] = {1, 0, 1, 1};
    sluice_comm comm, other;
    sluice_status status = sluice_comm_mpi_get(mpi_world, 1000, even, &comm);
    if (mpi_rank == 1) {
        mpi_check(status == SLUICE_INVALID, "a rank that is not in the group is refused");
        return;
    }
    mpi_check(status == SLUICE_OK && comm.size == 3 && comm.rank == (mpi_rank ? mpi_rank - 1 : 0),
              "ranks are numbered in ascending order");
    mpi_check(sluice_comm_mpi_get(mpi_world, 1000, even, &other) == SLUICE_INVALID &&
                  sluice_comm_mpi_get(mpi_world, -1, even, &other) == SLUICE_INVALID,
              "a number twice, and one below 0, are refused");
    gather_well(&comm, 0, 12, 5000);
}

void mpi_bytes(void)
{
    mpi_run("all_gather moves the bytes of every rank", gather_moves_bytes);
    mpi_run("all_to_all moves uneven parts, and none", all_to_all_moves_uneven_bytes);
    mpi_run("a long message goes in parts", long_message_goes_in_parts);
    mpi_run("a rank that leaves first keeps nobody waiting", who_leaves_first_keeps_nobody_waiting);
    mpi_run("a part of another length is a mismatch", other_length_is_a_mismatch);
    mpi_run("different collectives are a mismatch", different_collectives_are_a_mismatch);
    mpi_run("a late rank is named, and what was sent to it is dropped", late_rank_is_named);
    mpi_run("what an abandoned exchange sent is dropped", abandoned_bytes_are_dropped);
    mpi_run("messages come in order on each channel", messages_come_in_order);
    mpi_run("a message that was not received is dropped with its era",
            unreceived_message_is_dropped);
    mpi_run("cancel ends the waits of its rank", cancel_ends_waits);
    mpi_run("channels run at once in several threads", channels_run_at_once);
    mpi_run("a smaller group numbers its own ranks", smaller_group_numbers_its_own);
}
