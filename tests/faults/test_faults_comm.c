/* Every callback of the communicator fails once, in every way, on one rank: all ranks return, say
 * who it was, have changed nothing, and go on after `set` of sluice.ranks/1. */
#include <stdio.h>
#include <string.h>

#include "abi/ext/balance.h"
#include "abi/ext/load.h"
#include "abi/ext/placement.h"
#include "abi/ext/stats.h"
#include "ct.h"
#include "ct_ranks.h"
#include "faulty_comm.h"
#include "step_world.h"

enum { MOST_CALLS = 32, RANKS = 3 };
enum { MODE_EXACT, MODE_PER_RANK, MODE_FIXED, MODE_WATERFILL, MODE_NOW, MODE_STALE, MODES };
static const char *const mode_names[MODES] = {"exact",     "per rank",     "fixed",
                                              "waterfill", "balanced now", "balanced stale"};
static const int64_t SHORT = 150000000;

static void config_of(struct step_config *config, int32_t mode)
{
    step_config(config, 40);
    config->timeout_ns = ct_patience(SHORT);
    if (mode == MODE_PER_RANK)
        config->draw.transport.combine_order = SLUICE_COMBINE_PER_RANK;
    if (mode == MODE_FIXED) {
        config->uses = SLUICE_USE_FIXED;
        config->phase = SLUICE_DISPATCH_FIXED;
        config->draw.transport.fixed_tokens = MOVE_T;
    }
    if (mode == MODE_WATERFILL) {
        config->uses |= SLUICE_USE_BALANCE_NOW;
        config->shared_policy = SLUICE_SHARED_WATERFILL_DYNAMIC;
    }
    if (mode >= MODE_NOW) {
        config->copy_policy = SLUICE_COPY_BALANCED;
        config->shared_policy = SLUICE_SHARED_LEVEL;
        config->uses |= mode == MODE_NOW ? SLUICE_USE_BALANCE_NOW : 0;
        config->balance_mode = mode == MODE_NOW ? SLUICE_BALANCE_NOW : SLUICE_BALANCE_STALE;
    }
}

/* What a call that fails must leave as it is. */
struct state {
    int64_t counters[STEP_SLOTS], epoch, generation;
    int32_t map[STEP_SLOTS];
    uint8_t alive[RANKS];
    uint64_t records, combines, overflows;
};

static void look(const struct step_rank *rank, struct state *state)
{
    const sluice_placement_api *placement = ct_api()->extension(SLUICE_EXT_PLACEMENT);
    const sluice_load_api *load = ct_api()->extension(SLUICE_EXT_LOAD);
    const sluice_stats_api *stats = ct_api()->extension(SLUICE_EXT_STATS);
    sluice_placement_shape shape = {.struct_size = sizeof shape};
    sluice_stats numbers = {.struct_size = sizeof numbers};
    memset(state, 0, sizeof *state);
    ct_eq_i64(placement->shape(rank->context, 0, &shape), SLUICE_OK);
    int64_t physical = (int64_t)shape.slots_per_rank * shape.ranks;
    ct_true(physical <= STEP_SLOTS);
    ct_eq_i64(placement->get(rank->context, 0, state->map, physical, &state->epoch), SLUICE_OK);
    ct_eq_i64(load->snapshot(rank->context, state->counters, physical, NULL), SLUICE_OK);
    ct_eq_i64(step_ranks()->alive(rank->context, state->alive, RANKS), SLUICE_OK);
    state->generation = step_ranks()->generation(rank->context);
    ct_eq_i64(stats->read(rank->context, &numbers), SLUICE_OK);
    state->records = numbers.calls[SLUICE_OP_RECORD];
    state->combines = numbers.calls[SLUICE_OP_COMBINE];
    state->overflows = numbers.overflows;
}

/* ------------------------------------------------------------------- a world without faults */

struct calm {
    struct step_config config;
    struct faulty_group group;
    sluice_comm_threads *living; /* of those that go on without rank `dead` */
    int32_t dead;                /* -1: all live */
    int32_t calls;               /* callbacks that open and one step make on each rank */
    float home[RANKS][MOVE_T][MOVE_H];
};

static void run_calm(int32_t number, void *argument)
{
    struct calm *calm = argument;
    struct step_rank *rank = step_rank(&calm->config, number);
    sluice_comm comm, living;
    faulty_get(&calm->group, number, &comm);
    ct_eq_i64(step_open(rank, &comm), SLUICE_OK);
    if (calm->dead >= 0 && number != calm->dead) {
        sluice_comm_threads_get(calm->living, number - (number > calm->dead), &living);
        (void)ct_expect_eq_i64(step_set(rank, 1, calm->dead, &living), SLUICE_OK);
    }
    if (number != calm->dead && ct_expect_eq_i64(step_run(rank), SLUICE_OK))
        memcpy(calm->home[number], rank->home, sizeof rank->home);
    if (!number)
        calm->calls = calm->group.members[0].calls;
    ct_api()->close(rank->context);
}

static void calm_run(struct calm *calm, int32_t mode, int32_t dead)
{
    config_of(&calm->config, mode);
    calm->dead = dead;
    calm->living = sluice_comm_threads_create(RANKS - 1, NULL);
    ct_true(faulty_create(&calm->group, RANKS) && calm->living != NULL);
    ct_run_ranks(RANKS, run_calm, calm);
    faulty_destroy(&calm->group);
    sluice_comm_threads_destroy(calm->living);
}

/* ------------------------------------------------------------------------------- one fault */

struct scene {
    const struct calm *want; /* what the step after the fault must come to */
    int32_t mode, kind, faulty, at;
    struct faulty_group group;
    sluice_comm_threads *next; /* the communicator after it, where there is a new one */
};

static void note(const struct scene *scene, const struct step_rank *rank)
{
    ct_note("%s, fault %d of rank %d in callback %d; rank %d has status %d: %s",
            mode_names[scene->mode], scene->kind, scene->faulty, scene->at, rank->number,
            rank->status, rank->error);
}

/* Whom a rank's text must name; -1: nobody is known. */
static int32_t named(const struct scene *scene, int32_t number)
{
    if (number != scene->faulty || scene->kind == FAULTY_LATE)
        return scene->faulty;
    return scene->kind == FAULTY_DEAD ? -1 : (number + 1) % RANKS;
}

static void expect_told(const struct scene *scene, struct step_rank *rank)
{
    bool faulty = rank->number == scene->faulty;
    bool length = scene->kind == FAULTY_LENGTH;
    int32_t peer = named(scene, rank->number);
    char name[32];
    if (rank->status == SLUICE_OK && length && !faulty)
        return; /* the last callback: nothing was missing here */
    ct_eq_i64(rank->status, length && faulty ? SLUICE_MISMATCH : SLUICE_PEER_LOST);
    (void)snprintf(name, sizeof name, "rank %d ", peer);
    ct_str_has(rank->error, peer < 0 ? "a rank" : name);
    ct_true(strstr(rank->error, "rank -") == NULL);
    if (!rank->context) {
        ct_str_has(rank->error, "open");
        return;
    }
    ct_true(strstr(rank->error, "dispatch") || strstr(rank->error, "combine") ||
            strstr(rank->error, "remap"));
    sluice_fault fault = {.struct_size = sizeof fault};
    ct_eq_i64(step_ranks()->poll(rank->context, &fault), SLUICE_OK);
    ct_eq_i64(fault.kind, length && faulty ? SLUICE_FAULT_MISMATCH : SLUICE_FAULT_PEER);
    ct_eq_i64(fault.rank, peer);
    ct_eq_u64(fault.count, 1);
}

static void expect_no_exchange(struct step_rank *rank)
{
    ct_eq_i64(rank->config->phase == SLUICE_DISPATCH_COUNT ? step_count(rank) : step_send(rank),
              SLUICE_NOT_READY);
    ct_str_has(rank->error, "sluice.ranks/1");
}

static void recover(const struct scene *scene, struct step_rank *rank)
{
    sluice_comm comm;
    int32_t dead = scene->kind == FAULTY_DEAD ? scene->faulty : -1;
    if (dead >= 0)
        sluice_comm_threads_get(scene->next, rank->number - (rank->number > dead), &comm);
    ct_eq_i64(step_set(rank, 1, dead, dead >= 0 ? &comm : NULL), SLUICE_OK);
    memset(rank->home, 0x5A, sizeof rank->home);
    ct_eq_i64(step_run(rank), SLUICE_OK);
}

static void expect_same(const struct scene *scene, const struct step_rank *rank)
{
    size_t bytes = (size_t)rank->tokens * sizeof *rank->home;
    ct_eq_mem(rank->home, scene->want->home[rank->number], bytes);
}

/* A context that never was: opened anew over a fresh communicator. */
static void open_again(const struct scene *scene, struct step_rank *rank)
{
    sluice_comm comm;
    if (scene->kind == FAULTY_DEAD)
        return;
    sluice_comm_threads_get(scene->next, rank->number, &comm);
    struct step_config *config = ct_alloc(sizeof *config);
    *config = *rank->config;
    config->timeout_ns = 20000000000;
    rank->config = config;
    ct_eq_i64(step_open(rank, &comm), SLUICE_OK);
    ct_eq_i64(step_run(rank), SLUICE_OK);
    expect_same(scene, rank);
}

static void live(const struct scene *scene, struct step_rank *rank)
{
    struct state before, after;
    look(rank, &before);
    bool held = step_run(rank) == SLUICE_OK;
    note(scene, rank);
    expect_told(scene, rank);
    ct_eq_i64(scene->group.members[rank->number].asked, ct_patience(SHORT));
    if (!held) {
        look(rank, &after);
        ct_eq_mem(&after, &before, sizeof after);
        expect_no_exchange(rank);
        note(scene, rank);
    }
    if (scene->kind == FAULTY_DEAD && rank->number == scene->faulty)
        return;
    recover(scene, rank);
    note(scene, rank);
    ct_eq_i64(rank->status, SLUICE_OK);
    expect_same(scene, rank);
}

static void run_rank(int32_t number, void *argument)
{
    struct scene *scene = argument;
    struct step_rank *rank = step_rank(&scene->want->config, number);
    sluice_comm comm;
    faulty_get(&scene->group, number, &comm);
    bool opened = step_open(rank, &comm) == SLUICE_OK;
    note(scene, rank);
    if (scene->at > 1) {
        ct_true(opened);
        live(scene, rank);
    } else {
        expect_told(scene, rank);
        ct_api()->close(rank->context); /* of a rank that did not notice */
        rank->context = NULL;
        open_again(scene, rank);
    }
    ct_api()->close(rank->context);
}

static void run_scene(int32_t number, void *argument)
{
    struct scene *scene = (struct scene *)argument + number;
    bool shrinks = scene->kind == FAULTY_DEAD && scene->at > 1;
    scene->next = sluice_comm_threads_create(shrinks ? RANKS - 1 : RANKS, NULL);
    ct_true(faulty_create(&scene->group, RANKS) && scene->next != NULL);
    faulty_arm(&scene->group, scene->kind, scene->faulty, scene->at);
    ct_run_ranks(RANKS, run_rank, scene);
    faulty_destroy(&scene->group);
    sluice_comm_threads_destroy(scene->next);
}

/* Every callback on one rank after the other; the worlds run side by side, as they mostly wait. */
static void sweep(int32_t mode, int32_t kind)
{
    struct calm *calm[RANKS];
    for (int32_t dead = 0; dead < (kind == FAULTY_DEAD ? RANKS : 1); dead++) {
        calm[dead] = ct_alloc(sizeof *calm[dead]);
        calm_run(calm[dead], mode, kind == FAULTY_DEAD ? dead : -1);
    }
    struct calm *all = ct_alloc(sizeof *all);
    calm_run(all, mode, -1);
    CT_OR_RETURN(!ct_failed());
    ct_true(all->calls > 5 && all->calls <= MOST_CALLS);
    struct scene *scenes = ct_alloc(MOST_CALLS * sizeof *scenes);
    for (int32_t i = 0; i < all->calls; i++) {
        int32_t faulty = (i + kind) % RANKS;
        scenes[i] = (struct scene){.want = calm[kind == FAULTY_DEAD ? faulty : 0],
                                   .mode = mode,
                                   .kind = kind,
                                   .faulty = faulty,
                                   .at = i + 1};
    }
    ct_run_ranks(all->calls, run_scene, scenes);
}

CT(faults, broken_connection_is_survived,
   "a connection that breaks in any callback is told to all, changes nothing, and ends with set")
{
    for (int32_t mode = 0; mode < MODES; mode++)
        sweep(mode, FAULTY_BROKEN);
}

CT(faults, wrong_length_is_survived,
   "a message of a wrong length in any callback is told, changes nothing, and ends with set")
{
    for (int32_t mode = 0; mode < MODES; mode++)
        sweep(mode, FAULTY_LENGTH);
}

CT(faults, late_rank_is_survived,
   "a rank that is late for any callback is named by all, changes nothing, and set takes it back")
{
    for (int32_t mode = 0; mode < MODES; mode++)
        sweep(mode, FAULTY_LATE);
}

CT(faults, dead_rank_is_masked,
   "a rank that dies in any callback is named, and the others go on without it after set")
{
    for (int32_t mode = 0; mode < MODES; mode++)
        sweep(mode, FAULTY_DEAD);
}

/* --------------------------------------------------------------------- calls that ask nobody */

static void run_alone(int32_t number, void *argument)
{
    struct calm *calm = argument;
    struct step_rank *rank = step_rank(&calm->config, number);
    const sluice_placement_api *placement = ct_api()->extension(SLUICE_EXT_PLACEMENT);
    sluice_comm comm;
    int32_t map[STEP_SLOTS];
    int64_t physical = 11 * RANKS;
    faulty_get(&calm->group, number, &comm);
    ct_eq_i64(step_open(rank, &comm), SLUICE_OK);
    int32_t *calls = &calm->group.members[number].calls, before = *calls;
    (void)ct_expect_eq_i64(placement->get(rank->context, 0, map, physical, NULL), SLUICE_OK);
    (void)ct_expect_eq_i64(placement->set(rank->context, 0, map, physical, 0, NULL), SLUICE_OK);
    (void)ct_expect_eq_i64(step_set(rank, 1, -1, NULL), SLUICE_OK);
    (void)ct_expect_eq_i64(step_ranks()->quiesce(rank->context, 0), SLUICE_OK);
    (void)ct_expect_eq_i64(step_map(rank), SLUICE_OK);
    (void)ct_expect_eq_i64(step_record(rank), SLUICE_OK);
    (void)ct_expect_eq_i64(*calls, before);
    ct_api()->close(rank->context);
}

CT(faults, local_calls_ask_nobody,
   "remap, record, quiesce, placement's set and ranks' set make no callback that waits")
{
    struct calm *calm = ct_alloc(sizeof *calm);
    config_of(&calm->config, MODE_EXACT);
    ct_true(faulty_create(&calm->group, RANKS));
    ct_run_ranks(RANKS, run_alone, calm);
    faulty_destroy(&calm->group);
}
