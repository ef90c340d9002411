/* SPDX-License-Identifier: Apache-2.0
 * A rank of a scene that is about to fail: opened, its tokens drawn. */
#ifndef SL_CONFORM_STATION_H
#define SL_CONFORM_STATION_H

#include "conform_move.h"

struct station {
    struct cf_setup setup;
    struct mv_trip trip;
    struct mv_tokens tokens[MV_RANKS];
    sluice_context *context;
};

/* What most of these cases are about. */
extern const struct mv_scene ST_SMALL;

/* Valid until the thread arrives anew. threads: of sluice_host, absent where they are 0. */
struct station *st_arrive_with(int32_t rank, const sluice_comm *comm, const struct mv_scene *scene,
                               int64_t timeout_ns, int32_t threads);
struct station *st_arrive(int32_t rank, const sluice_comm *comm, const struct mv_scene *scene,
                          int64_t timeout_ns);

/* Dispatch, experts, combine and the check of what they gave. */
void st_whole_trip(struct station *station);

/* What a call comes to. A device's returns before it has run: the next one tells. */
sluice_status st_dispatch_told(struct station *station);
sluice_status st_send_told(struct station *station);
sluice_status st_combine_told(struct station *station);

/* After a fault: all meet, the verdict is that everybody lives, a whole trip, and the end. */
void st_go_on(struct station *station, const sluice_comm *comm);

double st_seconds(void);

#endif
