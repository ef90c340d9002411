#include "mpi_windows.h"

#include <string.h>
#include <time.h>

#include "../../abi/ext/load.h"
#include "../../abi/hosts/host_kit.h"

static const bool ALL[RANKS] = {true, true, true, true};
static const sluice_api *plugin;

static const sluice_load_api *load(void)
{
    return kit_extension(plugin, SLUICE_EXT_LOAD);
}

static void open_summed(struct layer *layer, const sluice_comm *comm)
{
    const sluice_router router = {.struct_size = sizeof router, .experts = LAYER_E, .top_k = 1};
    const sluice_layer one = {.struct_size = sizeof one, .router = &router};
    const sluice_layer *layers[] = {&one};
    const sluice_config config = {.struct_size = sizeof config,
                                  .comm = comm,
                                  .layers = layers,
                                  .layer_count = 1,
                                  .uses = SLUICE_USE_SUMMED_LOAD,
                                  .timeout_ns = LONG_NS};
    *layer = (struct layer){.api = plugin};
    mpi_check(plugin->open(&config, &layer->context, layer->text, sizeof layer->text) == SLUICE_OK,
              "open with SUMMED_LOAD");
}

static void begin(struct layer *layer, int64_t timeout_ns)
{
    const sluice_load_windows config = {
        .struct_size = sizeof config, .kept = 2, .timeout_ns = timeout_ns};
    mpi_check(load()->windows(layer->context, &config) == SLUICE_OK, "windows");
}

static sluice_status end_window(struct layer *layer)
{
    const struct timespec pause = {.tv_nsec = 100000};
    int32_t done = 0;
    sluice_status status = load()->window_end(layer->context, NULL);
    while (!status && !done) {
        status = load()->window_poll(layer->context, &done);
        nanosleep(&pause, NULL);
    }
    return status;
}

/* Rank r chooses expert r, r + 1 times; every rank must see all of it. */
static void count_and_compare(struct layer *layer)
{
    int32_t ids[RANKS];
    int64_t counts[LAYER_E];
    struct kit_tensor tensor;
    for (int i = 0; i < RANKS; i++)
        ids[i] = i <= mpi_rank ? mpi_rank : -1;
    const sluice_record_args args = {.struct_size = sizeof args,
                                     .recorder_ids = kit_i32(&tensor, ids, RANKS, 0)};
    mpi_check(plugin->record(layer->context, &args) == SLUICE_OK, "record");
    mpi_check(end_window(layer) == SLUICE_OK, "a window that all ranks end");
    sluice_load_window window = {.struct_size = sizeof window, .stride = LAYER_E, .counts = counts};
    mpi_check(load()->window(layer->context, &window) == SLUICE_OK, "window");
    for (int e = 0; e < LAYER_E; e++)
        mpi_check(counts[e] == (e < RANKS ? e + 1 : 0), "the sum over ranks");
}

static void windows_are_summed(void)
{
    struct layer layer;
    const sluice_comm comm = mpi_group(ALL);
    open_summed(&layer, &comm);
    begin(&layer, LONG_NS);
    for (int i = 0; i < 20; i++)
        count_and_compare(&layer);
    layer_close(&layer);
}

/* Rank 3 comes too late: the others give the window up, and all go on when ranks are set. */
static void late_rank_costs_a_window(void)
{
    struct layer layer;
    const sluice_comm comm = mpi_group(ALL);
    open_summed(&layer, &comm);
    begin(&layer, SHORT_NS / 4);
    if (mpi_rank == 3)
        for (int r = 0; r < 3; r++)
            mpi_hear(r);
    sluice_status status = end_window(&layer);
    mpi_check(status == SLUICE_PEER_LOST, "a window that one rank ends too late");
    if (mpi_rank < 3)
        mpi_tell(3);
    layer_set(&layer, ALL, NULL);
    begin(&layer, LONG_NS);
    count_and_compare(&layer);
    layer_close(&layer);
}

void mpi_windows(const sluice_api *api)
{
    plugin = api;
    mpi_run("windows are summed over ranks", windows_are_summed);
    mpi_run("a rank that ends a window too late costs that window", late_rank_costs_a_window);
}
