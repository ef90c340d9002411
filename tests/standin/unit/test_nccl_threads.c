/* SPDX-License-Identifier: Apache-2.0 */
/* The NCCL stand-in with ranks as threads of one process. */
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

CT(nccl_threads, non_blocking,
   "A communicator that does not block is in progress until it is asked how it is")
{
    with_all_sizes("non_blocking");
}

CT(nccl_threads, absent, "What waits for a rank that stays away ends with an abort")
{
    team_functions()->standin_forgive();
    ct_str_eq(team_threads("absent", 2), "");
    ct_str_eq(team_threads("absent", 8), "");
    ct_eq_u64(team_functions()->standin_violations(), 0);
}

static void reports(const char *body, int nranks, const char *words)
{
    team_functions()->standin_forgive();
    ct_note("%s, %d ranks", body, nranks);
    ct_str_eq(team_threads(body, nranks), "");
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

CT(nccl_threads, mismatch, "Operations that differ in kind or count are told with their ranks")
{
    reports("other_kind", 2, "NCCL: operations do not match: rank ");
    reports("other_kind", 4, "AllReduce(1 int32, max)");
    reports("other_count", 2, "rank 0 has Send(4 int8), rank 1 has Recv(3 int8)");
}
