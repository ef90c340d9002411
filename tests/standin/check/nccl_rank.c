/* SPDX-License-Identifier: Apache-2.0 */
/* One rank of a team as a process: nccl_rank BODY RANK RANKS ID. What failed goes to stdout. */
#include <stdio.h>
#include <stdlib.h>

#include "../unit/nccl_team.h"

int main(int argc, char **argv)
{
    struct member member = {0};
    const struct team_entry *body = argc == 5 ? team_find(argv[1]) : NULL;
    if (!body) {
        (void)puts("usage: nccl_rank BODY RANK RANKS ID");
        return 2;
    }
    member.rank = (int)strtol(argv[2], NULL, 10);
    member.nranks = (int)strtol(argv[3], NULL, 10);
    (void)snprintf(member.id.internal, sizeof member.id.internal, "%s", argv[4]);
    team_rank(&member, body);
    (void)fputs(member.error, stdout);
    return member.error[0] != '\0';
}
