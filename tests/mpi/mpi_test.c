/* Four processes under mpiexec: mpi_test PLUGIN.so bytes|layer|death. The last line of rank 0 is
 * "N passed, N failed". */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../../abi/hosts/host_kit.h"
#include "mpi_bytes.h"
#include "mpi_layer.h"
#include "mpi_windows.h"

static const bool ALL[RANKS] = {true, true, true, true};
static const bool WITHOUT_3[RANKS] = {true, true, true, false};
static const sluice_api *api;

/* -------------------------------------------------------------------------------- whole layers */

static void layer_is_bit_equal(void)
{
    struct layer layer;
    const sluice_comm comm = mpi_group(ALL);
    layer_open(&layer, api, &comm, LONG_NS);
    for (uint64_t step = 1; step <= 3; step++)
        (void)layer_agrees(&layer, step);
    layer_close(&layer);
}

/* Rank 3 comes only when all others have given up. */
static void wait_for_late(struct layer *layer)
{
    if (mpi_rank == 3) {
        for (int r = 0; r < 3; r++)
            mpi_hear(r);
        layer_fails(layer, 0, SLUICE_PEER_LOST, "rank 3");
    } else {
        layer_fails(layer, 0, SLUICE_PEER_LOST, "rank 3");
        mpi_tell(3);
    }
}

static void late_rank_is_named_and_comes_back(void)
{
    struct layer layer;
    const sluice_comm comm = mpi_group(ALL), three = mpi_rank < 3 ? mpi_group(WITHOUT_3) : comm;
    layer_open(&layer, api, &comm, SHORT_NS);
    wait_for_late(&layer);
    layer_fails(&layer, 0, SLUICE_NOT_READY, "sluice.ranks/1");
    layer_set(&layer, ALL, NULL);
    (void)layer_agrees(&layer, 2);
    wait_for_late(&layer);
    if (mpi_rank < 3) {
        layer_set(&layer, WITHOUT_3, &three);
        (void)layer_agrees(&layer, 3);
    } else {
        layer_set(&layer, ALL, NULL); /* the generation of the others */
        (void)mpi_group(ALL);         /* their number of groups */
    }
    const sluice_comm again = mpi_group(ALL);
    layer_set(&layer, ALL, &again);
    (void)layer_agrees(&layer, 4);
    layer_close(&layer);
}

static void ranks_in_different_calls_are_told(void)
{
    struct layer layer;
    const sluice_comm comm = mpi_group(ALL);
    layer_open(&layer, api, &comm, LONG_NS);
    layer_fails(&layer, mpi_rank == 2 ? 1 : 0, SLUICE_MISMATCH,
                mpi_rank == 2 ? "of layer 0" : "rank 2 is in dispatch COUNT of layer 1");
    layer_set(&layer, ALL, NULL);
    (void)layer_agrees(&layer, 5);
    layer_close(&layer);
}

/* -------------------------------------------------------------------------------------- deaths */

static struct layer survivor;
static int dies;

static void die(void)
{
    if (mpi_rank == dies)
        (void)raise(SIGKILL);
}

/* `victim` is killed in a step, and the rest go on without it. */
static void lose(int victim, void (*between)(void))
{
    char name[32];
    (void)snprintf(name, sizeof name, "rank %d did not come", victim);
    dies = victim;
    survivor.between = between;
    if (!between)
        die();
    layer_fails(&survivor, 0, SLUICE_PEER_LOST, name);
    survivor.between = NULL;
    mpi_alive[victim] = false;
    const sluice_comm rest = mpi_group(mpi_alive);
    layer_set(&survivor, mpi_alive, &rest);
    for (uint64_t step = 1; step <= 2; step++)
        (void)layer_agrees(&survivor, step);
}

static void rank_killed_in_dispatch_is_named(void)
{
    const sluice_comm comm = mpi_group(ALL);
    layer_open(&survivor, api, &comm, SHORT_NS);
    (void)layer_agrees(&survivor, 9);
    lose(3, die);
}

static void second_rank_killed_is_named(void)
{
    lose(2, NULL);
    layer_close(&survivor);
}

/* A finalize among the dead may wait for ever, so survivors leave without. */
static int deaths(void)
{
    mpi_run("a rank killed between COUNT and SEND is named, and the rest go on",
            rank_killed_in_dispatch_is_named);
    mpi_run("a second rank killed is named, and the rest go on", second_rank_killed_is_named);
    sluice_comm_mpi_destroy(mpi_world);
    int code = mpi_verdict();
    _exit(code);
}

static void layers(void)
{
    mpi_run("a layer over four ranks has the bits of one rank", layer_is_bit_equal);
    mpi_run("a late rank is named, and ranks go on with it, without it, and with it again",
            late_rank_is_named_and_comes_back);
    mpi_run("ranks in different calls are told so", ranks_in_different_calls_are_told);
    mpi_windows(api);
}

int main(int argc, char **argv)
{
    int level = 0, size = 0;
    (void)signal(SIGPIPE, SIG_IGN);
    MPI_Init_thread(&argc, &argv, MPI_THREAD_SERIALIZED, &level);
    MPI_Comm_rank(MPI_COMM_WORLD, &mpi_rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    const char *what = argc == 3 ? argv[2] : "";
    if (size != RANKS || argc != 3) {
        fprintf(stderr, "usage: mpiexec -n %d mpi_test PLUGIN.so bytes|layer|death\n", RANKS);
        return 2;
    }
    api = kit_plugin(2, argv);
    mpi_world = sluice_comm_mpi_create(MPI_COMM_WORLD, NULL);
    if (!mpi_world) {
        fprintf(stderr, "rank %d: sluice_comm_mpi_create gave NULL\n", mpi_rank);
        return 2;
    }
    if (!strcmp(what, "death"))
        return deaths();
    if (!strcmp(what, "layer"))
        layers();
    else
        mpi_bytes();
    sluice_comm_mpi_destroy(mpi_world);
    int code = mpi_verdict();
    MPI_Finalize();
    return code;
}
