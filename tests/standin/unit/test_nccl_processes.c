/* SPDX-License-Identifier: Apache-2.0 */
/* The NCCL stand-in with ranks as processes: what passes between threads passes here. */
#include <stdlib.h>

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

CT(nccl_processes, the_rest, "Splits, graphs, aborts and faults are the same between processes")
{
    static const char *const bodies[] = {
        "storm",  "unwritten",  "split",      "replay",     "streams",     "wrong_calls", "absent",
        "circle", "other_kind", "fault_data", "fault_hang", "fault_async", "fault_stuck"};
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        ct_note("%s", bodies[i]);
        ct_str_eq(team_processes(bodies[i], 4), "");
    }
}

CT(nccl_processes, killed, "On demand, a process that is killed is an error at the others")
{
    ct_eq_i64(setenv("STANDIN_NCCL_LOST", "error", 1), 0);
    ct_eq_i64(setenv("STANDIN_NCCL_FAULT", "kill,0,2,0", 1), 0);
    const char *words = team_processes("killed", 4);
    ct_eq_i64(unsetenv("STANDIN_NCCL_FAULT"), 0);
    ct_eq_i64(unsetenv("STANDIN_NCCL_LOST"), 0);
    ct_str_eq(words, "rank 0 ended with status 9");
}

CT(nccl_processes, older, "An older version has the functions of its time, and no others")
{
    ct_true(team_functions() != NULL); /* here of today's version */
    ct_eq_i64(setenv("STANDIN_NCCL_VERSION", "21805", 1), 0);
    const char *words = team_processes("older", 2);
    ct_eq_i64(unsetenv("STANDIN_NCCL_VERSION"), 0);
    ct_str_eq(words, "");
}
