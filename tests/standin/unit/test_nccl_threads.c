/* SPDX-License-Identifier: Apache-2.0 */
/* The NCCL stand-in with ranks as threads of one process. */
#include <stdlib.h>

#include "ct.h"
#include "nccl_team.h"

static void with_all_sizes(const char *body)
{
    for (int nranks = 1; nranks <= 8; nranks *= 2) {
        ct_note("%s, %d ranks", body, nranks);
        ct_str_eq(team_threads(body, nranks), "");
    }
}

CT(nccl_threads, collectives, "Every collective gives what a plain computation does")
{
    with_all_sizes("collectives");
}

CT(nccl_threads, exchange, "Grouped sends and receives of all pairs pass at once")
{
    with_all_sizes("exchange");
}

CT(nccl_threads, storm, "Drawn operations on two communicators and two streams all come out right")
{
    with_all_sizes("storm");
}

CT(nccl_threads, unwritten, "Memory that was never written stays so where it is received")
{
    ct_str_eq(team_threads("unwritten", 2), "");
    ct_str_eq(team_threads("unwritten", 4), "");
}

CT(nccl_threads, other_stream, "A stream of another device is refused")
{
    ct_str_eq(team_threads("other_stream", 2), "");
}

CT(nccl_threads, non_blocking,
   "A communicator that does not block is in progress until it is asked how it is")
{
    with_all_sizes("non_blocking");
}

CT(nccl_threads, split, "Ranks of one colour make a communicator, in the order of their keys")
{
    with_all_sizes("split");
}

CT(nccl_threads, registration, "Memory is allocated, registered and given back")
{
    ct_str_eq(team_threads("registration", 2), "");
}

CT(nccl_threads, replay, "A captured operation runs when the graph does")
{
    with_all_sizes("replay");
}

CT(nccl_threads, streams, "Operations of one communicator keep their order across streams")
{
    ct_str_eq(team_threads("streams", 2), "");
    ct_str_eq(team_threads("streams", 4), "");
}

CT(nccl_threads, wrong_calls, "Wrong ranks, ids, configurations and devices are refused")
{
    ct_str_eq(team_threads("wrong_calls", 2), "");
    ct_str_eq(team_threads("old_config", 2), "");
    ct_str_eq(team_threads("wrong_group", 2), "");
}

CT(nccl_threads, absent, "What waits for a rank that stays away ends with an abort")
{
    ct_true(team_functions() != NULL);
    team_functions()->standin_forgive();
    ct_str_eq(team_threads("absent", 2), "");
    ct_str_eq(team_threads("absent", 8), "");
    ct_eq_u64(team_functions()->standin_violations(), 0);
}

static void reports(const char *body, int nranks, const char *words)
{
    ct_true(team_functions() != NULL);
    team_functions()->standin_forgive();
    ct_note("%s, %d ranks", body, nranks);
    ct_str_eq(team_threads_reported(body, nranks), "");
    ct_str_has(team_functions()->standin_message(), words);
    ct_eq_u64(team_functions()->standin_violations(), 1);
    team_functions()->standin_forgive();
}

CT(nccl_threads, deadlock, "Ranks that wait for each other are named with what they do")
{
    reports("circle", 2,
            "NCCL: deadlock; rank 0 at launch 1: Send(1 int32, to 1); rank 1 at launch 1: Send(1 "
            "int32, to 0)");
    reports("circle", 8, "; rank 7 at launch 1: Send(1 int32, to 0)");
    reports("circle", 1, "NCCL: deadlock; rank 0 at launch 1: Send(1 int32, to 0)");
}

CT(nccl_threads, deadlock_of_kinds, "A deadlock is seen across kinds, and at the end")
{
    reports("other_class", 2, "rank 1 at launch 1: Recv(1 int32, from 0)");
    reports("other_class", 4, "rank 0 at launch 1: AllReduce(1 int32, sum)");
    reports("leaves", 2, "NCCL: deadlock; rank 0 finalizes; rank 1 at launch 1: AllReduce(1 int32");
}

CT(nccl_threads, late, "A wait that lasts too long is told with what each rank is at")
{
    ct_eq_i64(setenv("STANDIN_NCCL_TIMEOUT", "1", 1), 0);
    reports("absent", 2,
            "; rank 0 at launch 1: AllReduce(1 int32, sum); rank 1 idle after launch 0");
    const char *words = team_threads_reported("two_orders", 2);
    ct_eq_i64(unsetenv("STANDIN_NCCL_TIMEOUT"), 0);
    ct_str_eq(words, "");
    ct_str_has(team_functions()->standin_message(), " at launch 1: AllReduce(1 int32, sum)");
    team_functions()->standin_forgive();
}

CT(nccl_threads, lost, "On demand, a peer that aborts is an asynchronous error at the others")
{
    ct_eq_i64(setenv("STANDIN_NCCL_LOST", "error", 1), 0);
    const char *words = team_threads("lost", 2);
    if (!*words)
        words = team_threads("lost", 8);
    ct_eq_i64(unsetenv("STANDIN_NCCL_LOST"), 0);
    ct_str_eq(words, "");
}

CT(nccl_threads, wrong_address, "An operation on freed memory fails its context alone")
{
    reports("wrong_address", 2, "a send buffer of 4 bytes at ");
}

CT(nccl_threads, faults, "What is ordered to go wrong does, once, and ends with an abort")
{
    static const char *const bodies[] = {"fault_data", "fault_async", "fault_hang",
                                         "fault_call", "fault_init",  "fault_stuck"};
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        ct_note("%s", bodies[i]);
        ct_str_eq(team_threads(bodies[i], 2), "");
        ct_str_eq(team_threads(bodies[i], 4), "");
        team_functions()->standin_nccl_forgive();
    }
}

CT(nccl_threads, mismatch, "Operations that differ in kind or count are told with their ranks")
{
    reports("other_kind", 2, "NCCL: operations do not match: rank ");
    reports("other_kind", 4, "AllReduce(1 int32, max)");
    reports("other_count", 2, "rank 0 has Send(4 int8), rank 1 has Recv(3 int8)");
}
