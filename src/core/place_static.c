/* SPDX-License-Identifier: Apache-2.0
 * This rank's static choice for every expert. Work: O(E + P), and O(W * nodes) once to tell the
 * nodes apart. The sharing is never written out: a rank counts how many ranks that need a remote
 * copy come before it, and asks a permutation for the one value at that place. */
#include <stdbool.h>

#include "mutant.h"
#include "philox.h"
#include "place.h"
#include "rule.h"

/* Living ranks, and those before this rank. */
struct tally {
    int32_t all, before;
};

struct nodes {
    int32_t of[SL_MAX_RANKS];          /* the lowest rank on the same node */
    struct tally living[SL_MAX_RANKS]; /* by lowest rank */
    int32_t seen[SL_MAX_RANKS];        /* last expert with a copy there, + 1 */
    struct tally everywhere;
};

/* Where an expert's living copies are. */
struct survey {
    int32_t own, near;     /* lowest on this rank, on this node; -1: none */
    int32_t near_count;    /* how many are on this node */
    int32_t node_count;    /* nodes with copies */
    struct tally on_ranks; /* ranks with copies */
    struct tally on_nodes; /* living ranks of nodes with copies */
};

static void find_nodes(struct nodes *nodes, const struct sl_shape *shape, const uint8_t *alive,
                       const int32_t *node)
{
    nodes->everywhere = (struct tally){0, 0};
    for (int32_t r = 0; r < shape->ranks; r++) {
        int32_t same = r - 1;
        while (same >= 0 && node[same] != node[r])
            same--;
        int32_t lowest = same < 0 ? r : nodes->of[same];
        nodes->of[r] = lowest;
        nodes->seen[r] = 0;
        nodes->living[r] = (struct tally){0, 0};
        if (!alive[r])
            continue;
        nodes->living[lowest].all++;
        nodes->everywhere.all++;
        if (r < shape->rank) {
            nodes->living[lowest].before++;
            nodes->everywhere.before++;
        }
    }
}

static struct survey look(const struct sl_place *place, const struct sl_shape *shape,
                          struct nodes *nodes, int32_t expert)
{
    struct survey survey = {-1, -1, 0, 0, {0, 0}, {0, 0}};
    int32_t home = nodes->of[shape->rank], last = -1;
    for (int32_t i = place->alive_start[expert]; i < place->alive_start[expert + 1]; i++) {
        int32_t physical = place->alive_copies[i], rank = physical / shape->slots;
        if (rank == shape->rank) {
            survey.own = physical;
            return survey;
        }
        int32_t at = nodes->of[rank];
        if (at == home) {
            survey.near = survey.near_count ? survey.near : physical;
            survey.near_count++;
        }
        if (rank == last)
            continue;
        last = rank;
        survey.on_ranks.all++;
        survey.on_ranks.before += rank < shape->rank;
        if (nodes->seen[at] == expert + 1)
            continue;
        nodes->seen[at] = expert + 1;
        survey.node_count++;
        survey.on_nodes.all += nodes->living[at].all;
        survey.on_nodes.before += nodes->living[at].before;
    }
    return survey;
}

/* Value `x` of a permutation of [0, n), drawn by `draw`: a bijection of the next power of two,
 * walked until it lands below n. */
static uint32_t permute(const struct sl_philox *draw, uint32_t x, uint32_t n)
{
    uint32_t bits = 0;
    while (1U << bits < n)
        bits++;
    uint32_t mask = (1U << bits) - 1, shift = (bits + 1) / 2;
    do {
        for (int round = 0; round < 3; round++) {
            x = (x * (draw->word[round] | 1) + (draw->word[round] >> 16)) & mask;
            x ^= x >> shift;
        }
    } while (x >= n);
    return x;
}

/* Which of `count` copies this rank takes: the ranks that need a remote one are all living ranks
 * but those with a copy of their own, and, where the copies are spread over nodes, but those with
 * one on their node. */
static int32_t share(const struct nodes *nodes, const struct survey *survey, bool alive,
                     const struct sl_philox *draw, int32_t count)
{
    const struct tally *served = survey->node_count > 1 ? &survey->on_nodes : &survey->on_ranks;
    int32_t position = nodes->everywhere.before - served->before;
    int32_t needing = nodes->everywhere.all - served->all + !alive;
    uint32_t turn = permute(draw, (uint32_t)position, (uint32_t)needing);
    return (int32_t)((turn + sl_below(draw->word[3], (uint32_t)count)) % (uint32_t)count);
}

void sl_place_choose(struct sl_place *place, const struct sl_shape *shape, const uint8_t *alive,
                     const int32_t *node, uint64_t seed, int32_t bank)
{
    struct nodes nodes;
    find_nodes(&nodes, shape, alive, node);
    for (int32_t e = 0; e < shape->experts; e++) {
        int32_t start = place->alive_start[e], count = place->alive_start[e + 1] - start;
        struct survey survey = look(place, shape, &nodes, e);
        int32_t chosen = count > 0 ? place->alive_copies[start] : -1;
        if (survey.own >= 0 && !SL_MUTANT(static_ignores_own_rank)) {
            chosen = survey.own;
        } else if (survey.near_count > 0 && survey.near_count < count) {
            chosen = SL_MUTANT(static_ignores_node) ? chosen : survey.near;
        } else if (count > 1 && !SL_MUTANT(static_unfair)) {
            /* The greatest step, which no draw of remap reaches. */
            struct sl_philox draw =
                sl_philox(seed, (uint64_t)(uint32_t)bank << 32 | (uint32_t)e, UINT64_MAX);
            chosen = place->alive_copies[start +
                                         share(&nodes, &survey, alive[shape->rank], &draw, count)];
        }
        place->chosen[e] = chosen;
        place->chosen_slot[e] = chosen < 0 ? -1 : sl_slot_of(shape, chosen);
        if (SL_MUTANT(shift_for_one_shared) && chosen >= 0)
            place->chosen_slot[e] = chosen + chosen / shape->slots;
    }
    place->chosen[shape->experts] = -1;
    place->chosen_slot[shape->experts] = -1;
}
