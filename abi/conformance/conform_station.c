/* SPDX-License-Identifier: Apache-2.0 */
#include <time.h>

#include "conform_station.h"

const struct mv_scene ST_SMALL = {.ranks = 3, .slots = 3, .shared = 1, .top_k = 2, .tokens = 9};

double st_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

struct station *st_arrive_with(int32_t rank, const sluice_comm *comm, const struct mv_scene *scene,
                               int64_t timeout_ns, int32_t threads)
{
    static _Thread_local struct station station;
    mv_setup(scene, comm, &station.setup);
    station.setup.config.timeout_ns = timeout_ns;
    station.setup.host.threads = threads;
    if (threads)
        station.setup.config.host = &station.setup.host;
    station.context = cf_open(&station.setup);
    for (int32_t r = 0; r < scene->ranks; r++)
        mv_draw(scene, r, &station.tokens[r]);
    mv_start(&station.trip, scene, station.context, rank, &station.tokens[rank]);
    station.trip.row_count = station.setup.needs.fixed_rows;
    return &station;
}

struct station *st_arrive(int32_t rank, const sluice_comm *comm, const struct mv_scene *scene,
                          int64_t timeout_ns)
{
    return st_arrive_with(rank, comm, scene, timeout_ns, 0);
}

void st_whole_trip(struct station *station)
{
    EXPECT_OK(station->context, mv_dispatch(&station->trip));
    mv_compute(&station->trip, station->tokens);
    EXPECT_OK(station->context, mv_combine(&station->trip));
    mv_check_out(&station->trip, station->tokens);
}

sluice_status st_combine_told(struct station *station)
{
    sluice_status status = mv_combine(&station->trip);
    return status == SLUICE_OK && cf_memory ? mv_combine(&station->trip) : status;
}

sluice_status st_dispatch_told(struct station *station)
{
    sluice_status status = mv_dispatch(&station->trip);
    return status == SLUICE_OK && cf_memory ? mv_dispatch(&station->trip) : status;
}

sluice_status st_send_told(struct station *station)
{
    sluice_status status = mv_send(&station->trip);
    if (status != SLUICE_OK || !cf_memory)
        return status;
    mv_compute(&station->trip, station->tokens);
    return st_combine_told(station);
}

void st_set_all(struct station *station, const sluice_comm *comm, int64_t generation)
{
    static const uint8_t ALIVE[MV_RANKS] = {1, 1, 1, 1, 1, 1, 1, 1};
    const sluice_ranks ranks = {sizeof ranks, .generation = generation, .alive = ALIVE,
                                .comm = comm};
    EXPECT_OK(station->context, cf_ranks()->set(station->context, &ranks, NULL));
}
