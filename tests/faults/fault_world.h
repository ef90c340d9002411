/* A test's ranks as threads, each with a context that is open, and a meeting point beside the
 * plugin. */
#ifndef FAULT_WORLD_H
#define FAULT_WORLD_H

#include <pthread.h>

#include "step_world.h"

enum { FAULT_RANKS = 3 };

struct fault_world {
    struct step_config config;
    sluice_comm_threads *group, *fewer; /* fewer: of one rank less, for those that go on */
    void (*run)(struct fault_world *world, struct step_rank *rank);
    struct step_rank *all[FAULT_RANKS];
    int32_t variant; /* the test's own */
    pthread_mutex_t lock;
    pthread_cond_t change;
    int32_t members, come, round;
};

/* 3 ranks as of step_config; lives until the test ends. */
struct fault_world *fault_world(void);

/* Opens, runs `run` on every rank, closes. With config.joins the last rank is a newcomer. */
void fault_world_run(struct fault_world *world,
                     void (*run)(struct fault_world *world, struct step_rank *rank));

/* All ranks that are still in `run` wait for each other. */
void fault_together(struct fault_world *world);

/* The rank's last call had this status and its text has `part`. */
void fault_expect(const struct step_rank *rank, sluice_status status, const char *part);

/* set of `generation` with all alive, then a step that has the bits of the literal loop. */
void fault_recover(struct step_rank *rank, int64_t generation);

#endif
