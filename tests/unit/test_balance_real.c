/* What the step balance makes of real tokens: DeepSeek-V2-Lite, a placement for one task, another
 * one served. The figures are BALANCE.md's, section "What the real loads say". */
#include "balance_world.h"
#include "ct.h"
#include "ct_npy.h"
#include "flow_world.h"
#include "place_world.h"

#include <string.h>

enum { LAYERS = 26, E = 64, K = 6, W = 8, N = 9, P = W * N, STEPS = 8 };

struct real {
    struct ct_npy planned, served; /* [LAYERS][T][K] u8 */
    uint64_t random;
};

static bool load_real(struct real *real)
{
    real->random = 1;
    return ct_npy_shared(&real->planned, "data/deepseek-v2-lite-routing/intent.ids.npy") &&
           ct_npy_shared(&real->served, "data/deepseek-v2-lite-routing/law.ids.npy");
}

static void plan(const struct real *real, int32_t layer, int32_t *map)
{
    int64_t load[E] = {0};
    size_t rows = real->planned.shape[1];
    const uint8_t *ids = ct_npy_u8(&real->planned) + (size_t)layer * rows * K;
    for (size_t i = 0; i < rows * K; i++)
        load[ids[i]]++;
    flow_plan(load, E, W, N, map);
}

/* One step's counts of each rank: tokens at random positions. */
static void draw_step(struct real *real, int32_t layer, int32_t tokens, int64_t *counts)
{
    size_t rows = real->served.shape[1];
    const uint8_t *ids = ct_npy_u8(&real->served) + (size_t)layer * rows * K;
    memset(counts, 0, sizeof *counts * W * E);
    for (int32_t i = 0; i < W * tokens; i++) {
        const uint8_t *row = ids + (size_t)draw_below(&real->random, (int32_t)rows) * K;
        for (int32_t k = 0; k < K; k++)
            counts[i / tokens * E + row[k]]++;
    }
}

static struct balance_world *make(const int32_t *map, int32_t shared)
{
    struct balance_world *world = balance_make(E, N, W, shared);
    memcpy(world->map, map, P * sizeof *map);
    return world;
}

/* The fullest rank where each source cuts its choices at the boundaries of old quotas. */
static int64_t fullest_with(const struct balance_world *old, const int64_t *counts, int32_t tokens)
{
    int64_t load[W] = {0}, most = 0;
    for (int32_t s = 0; s < W; s++) {
        for (int32_t e = 0; e <= E; e++) {
            const int64_t *quota = e < E ? old->routed + s * P : old->shared + s * W;
            int64_t sum = 0, running = 0, before = 0;
            int64_t count = e < E ? counts[s * E + e] : tokens;
            int32_t places = e < E ? P : W, copies = 0;
            for (int32_t p = 0; p < places; p++) {
                bool holds = e == E || old->map[p] == e;
                sum += holds ? quota[p] : 0;
                copies += holds;
            }
            for (int32_t p = 0; p < places; p++) {
                if (e < E && old->map[p] != e)
                    continue;
                running += sum ? quota[p] : 1;
                int64_t to = count * running / (sum ? sum : copies);
                load[e < E ? p / N : p] += to - before;
                before = to;
            }
        }
    }
    for (int32_t r = 0; r < W; r++)
        most = load[r] > most ? load[r] : most;
    return most;
}

/* Means over layers of the greatest load / the ideal, now and with the quotas of earlier steps. */
static void compare_modes(struct real *real, int32_t tokens, double *now, double *stale)
{
    int64_t counts[W * E];
    *now = *stale = 0;
    for (int32_t layer = 0; layer < LAYERS; layer++) {
        int32_t map[P];
        plan(real, layer, map);
        struct balance_world *old = make(map, 1), *fresh = make(map, 1);
        for (int32_t step = 0; step < STEPS; step++) {
            draw_step(real, layer, tokens, counts);
            for (int32_t i = 0; i < W * E; i++)
                old->counts[i] += counts[i];
        }
        draw_step(real, layer, tokens, fresh->counts);
        for (int32_t r = 0; r < W; r++) {
            old->tokens[r] = tokens * STEPS;
            fresh->tokens[r] = tokens;
        }
        balance_solve(old);
        balance_solve(fresh);
        double ideal = (double)(tokens * (K + 1));
        *now += (double)fresh->answer.greatest / ideal / LAYERS;
        *stale += (double)fullest_with(old, fresh->counts, tokens) / ideal / LAYERS;
    }
}

CT(balance_real, stale, "STALE is within 0.03 of NOW at 512 tokens a rank, within 0.06 at 64")
{
    struct real real;
    double now, stale;
    if (!load_real(&real))
        ct_skip("no routing data");
    compare_modes(&real, 512, &now, &stale);
    ct_note("512: now %.4f, stale %.4f", now, stale);
    ct_near(now, 1.071, 0.015);
    ct_true(stale < now + 0.03);
    compare_modes(&real, 64, &now, &stale);
    ct_note("64: now %.4f, stale %.4f", now, stale);
    ct_near(now, 1.078, 0.03);
    ct_true(stale < now + 0.06);
}

/* The same where each choice takes any copy. */
static int64_t fullest_at_random(struct real *real, const struct balance_world *world)
{
    int64_t most = 0;
    bool active[P] = {false};
    for (int32_t i = 0; i < W * E; i++)
        for (int64_t choice = 0; choice < world->counts[i]; choice++) {
            int32_t copies[P], count = 0;
            for (int32_t p = 0; p < P; p++)
                if (world->map[p] == i % E)
                    copies[count++] = p;
            active[copies[draw_below(&real->random, count)]] = true;
        }
    for (int32_t r = 0; r < W; r++) {
        int64_t own = 0;
        for (int32_t p = r * N; p < (r + 1) * N; p++)
            own += active[p];
        most = own > most ? own : most;
    }
    return most;
}

/* The cut proves that no semi-matching of the active experts has fewer on its fullest rank. */
static void check_semi_matching(const struct balance_world *world)
{
    int64_t *active = balance_expert_load(world), experts[W], most = 0;
    for (int32_t e = 0; e < E; e++)
        active[e] = active[e] > 0;
    balance_check_cut(world, active, 0);
    balance_loads(world, NULL, experts);
    for (int32_t r = 0; r < W; r++)
        most = experts[r] > most ? experts[r] : most;
    ct_expect_eq_i64(world->answer.greatest, most);
    ct_expect_eq_i64(world->answer.bound, most);
}

/* Means over many draws; BALANCE.md's 8.84 and 8.08 are of few. */
CT(balance_real, experts, "4 tokens a rank: experts on the fullest rank, any copy and the best one")
{
    enum { DRAWS = 100 };
    struct real real;
    double mean = 0, any = 0;
    if (!load_real(&real))
        ct_skip("no routing data");
    for (int32_t layer = 0; layer < LAYERS; layer++) {
        int32_t map[P];
        plan(&real, layer, map);
        struct balance_world *world = make(map, 0);
        world->config.objective = SLUICE_BALANCE_EXPERTS;
        for (int32_t i = 0; i < DRAWS; i++) {
            draw_step(&real, layer, 4, world->counts);
            balance_solve(world);
            check_semi_matching(world);
            mean += (double)world->answer.greatest / DRAWS / LAYERS;
            any += (double)fullest_at_random(&real, world) / DRAWS / LAYERS;
        }
    }
    ct_note("any copy %.4f, best %.4f", any, mean);
    ct_near(any, 8.84, 0.08);
    ct_near(mean, 8.08, 0.08);
}
