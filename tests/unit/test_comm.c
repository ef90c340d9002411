/* Ranks as threads: what src/comm promises to a plugin, and what a failure does. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ct.h"
#include "ct_ranks.h"
#include "src/comm/comm_threads.h"

enum { MOST = 8, LONGEST = 4096 };
static const int64_t LONG = 20000000000, SHORT = 100000000;

/* What the ranks of a test share. */
struct room {
    sluice_comm_threads *group;
    int32_t ranks, odd; /* odd: the rank that behaves in another way, -1: none */
    size_t bytes;
    pthread_mutex_t lock;
    pthread_cond_t change;
    int32_t come;
    sluice_status status[MOST];
    int32_t peer[MOST];
};

static void room_open(struct room *room, int32_t ranks, int32_t odd)
{
    *room = (struct room){.ranks = ranks, .odd = odd};
    pthread_mutex_init(&room->lock, NULL);
    pthread_cond_init(&room->change, NULL);
    room->group = sluice_comm_threads_create(ranks, NULL);
    ct_true(room->group != NULL);
}

static void room_close(struct room *room)
{
    sluice_comm_threads_destroy(room->group);
    pthread_cond_destroy(&room->change);
    pthread_mutex_destroy(&room->lock);
}

/* Waits until `count` calls of step have been made in this room. */
static void step(struct room *room, bool counts, int32_t count)
{
    pthread_mutex_lock(&room->lock);
    room->come += counts;
    (void)pthread_cond_broadcast(&room->change);
    while (room->come < count)
        pthread_cond_wait(&room->change, &room->lock);
    pthread_mutex_unlock(&room->lock);
}

static unsigned char byte_of(int32_t from, int32_t to, size_t i)
{
    return (unsigned char)((size_t)(from * 31 + to * 7 + 3) + i * 13);
}

static sluice_status gather(struct room *room, int32_t rank, int32_t channel, size_t bytes,
                            int64_t timeout)
{
    sluice_comm comm;
    sluice_comm_threads_get(room->group, rank, &comm);
    unsigned char *send = ct_alloc(bytes + 1), *recv = ct_alloc(bytes * (size_t)room->ranks + 1);
    for (size_t i = 0; i < bytes; i++)
        send[i] = byte_of(rank, 0, i);
    int32_t peer = -2;
    sluice_status status = comm.all_gather(comm.user, channel, send, recv, bytes, timeout, &peer);
    room->peer[rank] = peer;
    for (int32_t r = 0; status == SLUICE_OK && r < room->ranks; r++)
        for (size_t i = 0; i < bytes; i++)
            if (!ct_expect_eq_i64(recv[(size_t)r * bytes + i], byte_of(r, 0, i)))
                return status;
    return status;
}

static size_t uneven(int32_t from, int32_t to, size_t unit)
{
    return (size_t)((from * 3 + to * 5) % 4) * unit;
}

static sluice_status trade(struct room *room, int32_t rank, int32_t channel, size_t unit,
                           int64_t timeout)
{
    sluice_comm comm;
    sluice_comm_threads_get(room->group, rank, &comm);
    const void *send[MOST];
    void *recv[MOST];
    size_t send_bytes[MOST], recv_bytes[MOST];
    for (int32_t r = 0; r < room->ranks; r++) {
        send_bytes[r] = uneven(rank, r, unit);
        recv_bytes[r] = uneven(r, rank, unit);
        unsigned char *out = send_bytes[r] ? ct_alloc(send_bytes[r]) : NULL;
        for (size_t i = 0; i < send_bytes[r]; i++)
            out[i] = byte_of(rank, r, i);
        send[r] = out;
        recv[r] = recv_bytes[r] ? ct_alloc(recv_bytes[r]) : NULL;
    }
    int32_t peer = -2;
    sluice_status status =
        comm.all_to_all(comm.user, channel, send, send_bytes, recv, recv_bytes, timeout, &peer);
    room->peer[rank] = peer;
    for (int32_t r = 0; status == SLUICE_OK && r < room->ranks; r++)
        for (size_t i = 0; i < recv_bytes[r]; i++)
            if (!ct_expect_eq_i64(((unsigned char *)recv[r])[i], byte_of(r, rank, i)))
                return status;
    return status;
}

static void expect_all(const struct room *room, sluice_status status, int32_t peer)
{
    for (int32_t r = 0; r < room->ranks; r++) {
        ct_note("rank %d of %d", r, room->ranks);
        ct_eq_i64(room->status[r], status);
        if (status)
            ct_eq_i64(room->peer[r], peer);
    }
}

static void run_gathers(int32_t rank, void *argument)
{
    struct room *room = argument;
    static const size_t sizes[] = {1, 0, 17, LONGEST, 0, 3};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes && !room->status[rank]; i++)
        room->status[rank] = gather(room, rank, 0, sizes[i], LONG);
}

CT(comm, gather_brings_every_byte, "all_gather brings every rank's bytes to 1 to 8 ranks")
{
    for (int32_t ranks = 1; ranks <= MOST; ranks++) {
        struct room room;
        room_open(&room, ranks, -1);
        ct_run_ranks(ranks, run_gathers, &room);
        expect_all(&room, SLUICE_OK, -1);
        room_close(&room);
    }
}

static void run_patient(int32_t rank, void *argument)
{
    struct room *room = argument;
    if (rank == 1)
        (void)nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    room->status[rank] = gather(room, rank, 0, 9, INT64_MAX);
}

CT(comm, gather_waits_for_ever, "the longest timeout there is waits, and ends when all have come")
{
    struct room room;
    room_open(&room, 2, -1);
    ct_run_ranks(2, run_patient, &room);
    expect_all(&room, SLUICE_OK, -1);
    room_close(&room);
}

static void run_trades(int32_t rank, void *argument)
{
    struct room *room = argument;
    static const size_t units[] = {1, 0, 250, 7};
    for (size_t i = 0; i < sizeof units / sizeof *units && !room->status[rank]; i++)
        room->status[rank] = trade(room, rank, 5, units[i], LONG);
}

CT(comm, trade_brings_uneven_parts,
   "all_to_all brings parts of different lengths, none among them, to 1 to 8 ranks")
{
    for (int32_t ranks = 1; ranks <= MOST; ranks++) {
        struct room room;
        room_open(&room, ranks, -1);
        ct_run_ranks(ranks, run_trades, &room);
        expect_all(&room, SLUICE_OK, -1);
        room_close(&room);
    }
}

static void run_empty(int32_t rank, void *argument)
{
    struct room *room = argument;
    sluice_comm comm;
    sluice_comm_threads_get(room->group, rank, &comm);
    room->status[rank] = comm.all_gather(comm.user, 0, NULL, NULL, 0, LONG, &room->peer[rank]);
}

CT(comm, gather_of_nothing_needs_no_buffer, "all_gather of 0 bytes takes NULL for both buffers")
{
    struct room room;
    room_open(&room, 3, -1);
    ct_run_ranks(3, run_empty, &room);
    expect_all(&room, SLUICE_OK, -1);
    room_close(&room);
}

/* The others call and give up; then the odd rank calls. */
static void run_late(int32_t rank, void *argument)
{
    struct room *room = argument;
    if (rank == room->odd)
        step(room, false, room->ranks - 1);
    room->status[rank] = gather(room, rank, 0, 64, rank == room->odd ? LONG : SHORT);
    step(room, true, 0);
}

CT(comm, late_rank_is_named, "a rank that comes after the deadline is named by all and by itself")
{
    for (int32_t odd = 0; odd < 4; odd += 3) {
        struct room room;
        room_open(&room, 4, odd);
        ct_run_ranks(4, run_late, &room);
        expect_all(&room, SLUICE_PEER_LOST, odd);
        room_close(&room);
    }
}

static void run_other_call(int32_t rank, void *argument)
{
    struct room *room = argument;
    room->status[rank] =
        rank == room->odd ? trade(room, rank, 0, 8, LONG) : gather(room, rank, 0, 8, LONG);
}

CT(comm, other_call_is_a_mismatch, "a rank that makes another call gives all a mismatch")
{
    struct room room;
    room_open(&room, 4, 2);
    ct_run_ranks(4, run_other_call, &room);
    expect_all(&room, SLUICE_MISMATCH, 2);
    room_close(&room);
}

static void run_other_size(int32_t rank, void *argument)
{
    struct room *room = argument;
    room->status[rank] = gather(room, rank, 0, rank == room->odd ? 9 : 8, LONG);
}

CT(comm, other_gather_size_is_a_mismatch, "a rank that gathers another length is named by all")
{
    struct room room;
    room_open(&room, 4, 3);
    ct_run_ranks(4, run_other_size, &room);
    expect_all(&room, SLUICE_MISMATCH, 3);
    room_close(&room);
}

static void run_other_part(int32_t rank, void *argument)
{
    struct room *room = argument;
    room->status[rank] = trade(room, rank, 0, rank == room->odd ? 9 : 8, LONG);
}

CT(comm, other_part_size_is_a_mismatch,
   "a part of another length than expected gives all a mismatch with one name")
{
    struct room room;
    room_open(&room, 4, 1);
    ct_run_ranks(4, run_other_part, &room);
    expect_all(&room, SLUICE_MISMATCH, room.peer[0]);
    ct_true(room.peer[0] >= 0 && room.peer[0] < 4);
    room_close(&room);
}

static void run_again_without_resume(int32_t rank, void *argument)
{
    struct room *room = argument;
    run_late(rank, room);
    room->status[rank] = gather(room, rank, 0, 8, LONG);
}

CT(comm, failure_stands, "after a failure every call on the channel fails with the same verdict")
{
    struct room room;
    room_open(&room, 3, 1);
    ct_run_ranks(3, run_again_without_resume, &room);
    expect_all(&room, SLUICE_PEER_LOST, 1);
    room_close(&room);
}

static void run_other_channel(int32_t rank, void *argument)
{
    struct room *room = argument;
    run_late(rank, room);
    room->status[rank] = gather(room, rank, 1, 8, LONG);
}

CT(comm, channels_fail_alone, "a failure on one channel leaves the others in order")
{
    struct room room;
    room_open(&room, 3, 1);
    ct_run_ranks(3, run_other_channel, &room);
    expect_all(&room, SLUICE_OK, -1);
    room_close(&room);
}

static void run_resumed(int32_t rank, void *argument)
{
    struct room *room = argument;
    sluice_comm comm;
    sluice_comm_threads_get(room->group, rank, &comm);
    for (int32_t i = 0; i < 3 && !ct_failed(); i++) {
        sluice_status failed = gather(room, rank, 0, rank == room->odd ? 9 : 8, LONG);
        (void)ct_expect_eq_i64(failed, SLUICE_MISMATCH);
        comm.resume(comm.user, i == 1 ? -1 : 0);
        room->status[rank] = gather(room, rank, 0, 100, LONG);
        if (room->status[rank])
            return;
        room->status[rank] = trade(room, rank, 0, 11, LONG);
    }
}

CT(comm, resume_ends_a_failure,
   "once all have resumed, calls succeed, three times over, 2 to 8 ranks")
{
    for (int32_t ranks = 2; ranks <= MOST; ranks++) {
        struct room room;
        room_open(&room, ranks, ranks - 1);
        ct_run_ranks(ranks, run_resumed, &room);
        expect_all(&room, SLUICE_OK, -1);
        room_close(&room);
    }
}

static void run_half_resumed(int32_t rank, void *argument)
{
    struct room *room = argument;
    sluice_comm comm;
    sluice_comm_threads_get(room->group, rank, &comm);
    if (rank != room->odd)
        comm.resume(comm.user, 0);
    step(room, true, room->ranks);
    room->status[rank] = gather(room, rank, 0, 8, SHORT);
}

CT(comm, eras_do_not_meet, "a rank that has not resumed does not meet those that have")
{
    struct room room;
    room_open(&room, 3, 2);
    ct_run_ranks(3, run_half_resumed, &room);
    for (int32_t r = 0; r < 3; r++)
        ct_eq_i64(room.status[r], SLUICE_PEER_LOST);
    ct_eq_i64(room.peer[0], 2);
    ct_eq_i64(room.peer[1], 2);
    room_close(&room);
}

static void run_resumed_at_once(int32_t rank, void *argument)
{
    struct room *room = argument;
    sluice_comm comm;
    sluice_comm_threads_get(room->group, rank, &comm);
    for (int32_t i = 0; i < 300 && !room->status[rank]; i++) {
        room->status[rank] = gather(room, rank, 0, 4, 1000000000);
        comm.resume(comm.user, 0);
    }
}

CT(comm, success_is_not_undone, "a rank that resumes right after a call does not fail the others'")
{
    struct room room;
    room_open(&room, 4, -1);
    ct_run_ranks(4, run_resumed_at_once, &room);
    expect_all(&room, SLUICE_OK, -1);
    room_close(&room);
}

/* The odd rank never comes; the others give up at the same time and resume at once. */
static void run_given_up(int32_t rank, void *argument)
{
    struct room *room = argument;
    sluice_comm comm;
    sluice_comm_threads_get(room->group, rank, &comm);
    for (int32_t i = 1; i <= 10 && !ct_failed(); i++) {
        step(room, true, (2 * i - 1) * room->ranks);
        if (rank != room->odd) {
            room->status[rank] = gather(room, rank, 0, 4, 30000000);
            (void)ct_expect_eq_i64(room->peer[rank], room->odd);
        }
        comm.resume(comm.user, 0);
        step(room, true, 2 * i * room->ranks);
    }
}

CT(comm, all_name_the_same, "ranks that give up at the same time name the same rank")
{
    struct room room;
    room_open(&room, 6, 5);
    ct_run_ranks(6, run_given_up, &room);
    for (int32_t r = 0; r < 5; r++)
        ct_eq_i64(room.status[r], SLUICE_PEER_LOST);
    room_close(&room);
}

/* The odd rank never calls; every other wait is ended by cancel from the odd rank's thread. */
static void run_cancelled(int32_t rank, void *argument)
{
    struct room *room = argument;
    if (rank != room->odd) {
        step(room, true, 0);
        room->status[rank] = gather(room, rank, 3, 8, LONG);
        return;
    }
    step(room, false, room->ranks - 1);
    for (int32_t r = 0; r < room->ranks; r++) {
        sluice_comm comm;
        sluice_comm_threads_get(room->group, r, &comm);
        comm.cancel(comm.user, r == 0 ? 3 : -1);
    }
    room->status[rank] = gather(room, rank, 3, 8, LONG);
}

CT(comm, cancel_ends_waits, "cancel from another thread ends waits, and stands for later calls")
{
    struct room room;
    room_open(&room, 4, 3);
    ct_run_ranks(4, run_cancelled, &room);
    expect_all(&room, SLUICE_CANCELLED, -1);
    room_close(&room);
}

static void run_cancelled_then_resumed(int32_t rank, void *argument)
{
    struct room *room = argument;
    sluice_comm comm;
    sluice_comm_threads_get(room->group, rank, &comm);
    comm.cancel(comm.user, -1);
    comm.resume(comm.user, -1);
    room->status[rank] = trade(room, rank, 3, 40, LONG);
}

CT(comm, resume_ends_a_cancel, "a cancel is over once the rank has resumed")
{
    struct room room;
    room_open(&room, 4, -1);
    ct_run_ranks(4, run_cancelled_then_resumed, &room);
    expect_all(&room, SLUICE_OK, -1);
    room_close(&room);
}

static void rest(int64_t nanoseconds)
{
    const struct timespec time = {.tv_nsec = nanoseconds};
    (void)nanosleep(&time, NULL);
}

/* Rank 0 is cancelled while rank 1 copies from it, and lets go of its memory at once. */
static void run_cancelled_in_copy(int32_t rank, void *argument)
{
    struct room *room = argument;
    sluice_comm comm;
    sluice_comm_threads_get(room->group, rank == 2 ? 0 : rank, &comm);
    if (rank == 2) {
        step(room, true, 3);
        rest((int64_t)(room->odd + 1) * 6000000);
        comm.cancel(comm.user, 0);
        return;
    }
    char *send = malloc(room->bytes), *recv = malloc(2 * room->bytes);
    int32_t peer;
    if (send && recv) {
        memset(send, rank, room->bytes);
        step(room, true, 3);
        room->status[rank] = comm.all_gather(comm.user, 0, send, recv, room->bytes, SHORT, &peer);
        for (size_t i = 0; !room->status[rank] && i < room->bytes; i += 4096)
            (void)ct_expect_eq_i64(recv[room->bytes + i], 1);
    }
    free(send);
    free(recv);
}

CT(comm, nobody_leaves_while_copied_from,
   "a cancelled rank's memory is not read once its call has returned")
{
    for (int32_t i = 0; i < 4; i++) {
        struct room room;
        room_open(&room, 2, i);
        room.bytes = (size_t)34 << 20; /* so that free gives it back to the system */
        ct_run_ranks(3, run_cancelled_in_copy, &room);
        room_close(&room);
    }
}

/* ------------------------------------------------------------------------------ point to point */

static sluice_comm member(const struct room *room, int32_t rank)
{
    sluice_comm comm;
    sluice_comm_threads_get(room->group, rank, &comm);
    return comm;
}

CT(comm, messages_keep_their_order,
   "messages between two ranks arrive in order, whoever posts first")
{
    struct room room;
    room_open(&room, 2, -1);
    sluice_comm a = member(&room, 0), b = member(&room, 1);
    int32_t out[4] = {1, 2, 3, 4}, in[4] = {0}, done;
    uint64_t sends[4], recvs[4];
    for (int32_t i = 0; i < 4; i++) {
        if (i >= 2)
            ct_eq_i64(b.irecv(b.user, 2, 0, &in[i - 2], 4, &recvs[i - 2]), SLUICE_OK);
        ct_eq_i64(a.isend(a.user, 2, 1, &out[i], 4, &sends[i]), SLUICE_OK);
    }
    for (int32_t i = 2; i < 4; i++)
        ct_eq_i64(b.irecv(b.user, 2, 0, &in[i], 4, &recvs[i]), SLUICE_OK);
    for (int32_t i = 0; i < 4; i++) {
        ct_eq_i64(a.poll(a.user, sends[i], &done), SLUICE_OK);
        ct_eq_i64(done, 1);
        ct_eq_i64(b.poll(b.user, recvs[i], &done), SLUICE_OK);
        ct_eq_i64(done, 1);
    }
    ct_eq_mem(in, out, sizeof out);
    room_close(&room);
}

CT(comm, poll_does_not_wait, "poll of a message that nobody sent says not done")
{
    struct room room;
    room_open(&room, 2, -1);
    sluice_comm a = member(&room, 0);
    int32_t in, done = 1;
    uint64_t request;
    ct_eq_i64(a.irecv(a.user, 0, 1, &in, sizeof in, &request), SLUICE_OK);
    ct_eq_i64(a.poll(a.user, request, &done), SLUICE_OK);
    ct_eq_i64(done, 0);
    room_close(&room);
}

CT(comm, message_of_another_length, "a message of another length is a mismatch on both sides")
{
    struct room room;
    room_open(&room, 2, -1);
    sluice_comm a = member(&room, 0), b = member(&room, 1);
    int32_t data = 7, in = 0, done;
    uint64_t send, recv;
    ct_eq_i64(a.isend(a.user, 0, 1, &data, 4, &send), SLUICE_OK);
    ct_eq_i64(b.irecv(b.user, 0, 0, &in, 3, &recv), SLUICE_OK);
    ct_eq_i64(a.poll(a.user, send, &done), SLUICE_MISMATCH);
    ct_eq_i64(done, 1);
    ct_eq_i64(b.poll(b.user, recv, &done), SLUICE_MISMATCH);
    ct_eq_i64(done, 1);
    ct_eq_i64(in, 0);
    room_close(&room);
}

CT(comm, cancel_ends_requests, "cancel ends pending and later requests of the rank")
{
    struct room room;
    room_open(&room, 2, -1);
    sluice_comm a = member(&room, 0);
    int32_t in, done = 0;
    uint64_t before, after;
    ct_eq_i64(a.irecv(a.user, 0, 1, &in, 4, &before), SLUICE_OK);
    a.cancel(a.user, -1);
    ct_eq_i64(a.irecv(a.user, 0, 1, &in, 4, &after), SLUICE_OK);
    ct_eq_i64(a.poll(a.user, before, &done), SLUICE_CANCELLED);
    ct_eq_i64(done, 1);
    done = 0;
    ct_eq_i64(a.poll(a.user, after, &done), SLUICE_CANCELLED);
    ct_eq_i64(done, 1);
    room_close(&room);
}

CT(comm, old_messages_are_gone, "a message of an earlier era does not arrive in a later one")
{
    struct room room;
    room_open(&room, 2, -1);
    sluice_comm a = member(&room, 0), b = member(&room, 1);
    int32_t old = 1, fresh = 2, in = 0, done;
    uint64_t lost, send, recv;
    ct_eq_i64(a.isend(a.user, 0, 1, &old, 4, &lost), SLUICE_OK);
    b.resume(b.user, 0);
    ct_eq_i64(b.irecv(b.user, 0, 0, &in, 4, &recv), SLUICE_OK);
    a.resume(a.user, 0);
    ct_eq_i64(a.isend(a.user, 0, 1, &fresh, 4, &send), SLUICE_OK);
    ct_eq_i64(b.poll(b.user, recv, &done), SLUICE_OK);
    ct_eq_i64(done, 1);
    ct_eq_i64(in, 2);
    room_close(&room);
}
