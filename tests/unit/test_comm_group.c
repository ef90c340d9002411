/* Groups of ranks as threads: how many, and what each is told. */
#include "ct.h"
#include "src/comm/comm_threads.h"

CT(comm, group_sizes, "a group has 1 to 1024 ranks")
{
    ct_true(sluice_comm_threads_create(0, NULL) == NULL);
    ct_true(sluice_comm_threads_create(-1, NULL) == NULL);
    ct_true(sluice_comm_threads_create(1025, NULL) == NULL);
    sluice_comm_threads *group = sluice_comm_threads_create(1024, NULL);
    ct_true(group != NULL);
    sluice_comm_threads_destroy(group);
    sluice_comm_threads_destroy(NULL);
}

CT(comm, nodes_are_told, "every rank is told its number and the machine of each")
{
    static const int32_t node[] = {0, 0, 1};
    sluice_comm_threads *group = sluice_comm_threads_create(3, node);
    ct_true(group != NULL);
    for (int32_t r = 0; r < 3; r++) {
        sluice_comm comm;
        sluice_comm_threads_get(group, r, &comm);
        ct_eq_i64(comm.struct_size, sizeof comm);
        ct_eq_i64(comm.rank, r);
        ct_eq_i64(comm.size, 3);
        ct_eq_mem(comm.node, node, sizeof node);
    }
    sluice_comm_threads_destroy(group);
}
