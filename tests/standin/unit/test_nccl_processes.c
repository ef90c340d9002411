/* SPDX-License-Identifier: Apache-2.0 */
/* The NCCL stand-in with ranks as processes: what passes between threads passes here. */
#include "ct.h"
#include "nccl_team.h"

static void with_all_sizes(const char *body)
{
    for (int nranks = 2; nranks <= 8; nranks *= 2) {
        ct_note("%s, %d ranks", body, nranks);
        ct_str_eq(team_processes(body, nranks), "");
    }
}

CT(nccl_processes, collectives, "Every collective gives what a plain computation does")
{
    with_all_sizes("collectives");
}

CT(nccl_processes, exchange, "Grouped sends and receives of all pairs pass at once")
{
    with_all_sizes("exchange");
}

CT(nccl_processes, non_blocking, "Without blocking, all is in progress until it is asked for")
{
    with_all_sizes("non_blocking");
}

CT(nccl_processes, absent, "What waits for a rank that stays away ends with an abort")
{
    ct_str_eq(team_processes("absent", 4), "");
}
