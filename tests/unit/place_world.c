#include "place_world.h"

#include <string.h>

#include "ct.h"

static const struct {
    const char *cases; /* those whose names begin so */
    int differs;
} known_differences[] = {
    {"remap/static-eplb-", PEER_COPY_ORDER},
    {"remap/dynamic-by-row", PEER_COPY_ORDER},
    {"shared/local-", PEER_SHIFTS_MINUS_ONE},
    {"shared/whole-", PEER_SERVES_PADDING},
    {"record/map-and-record", PEER_PASSES_OUTSIDE | PEER_MAPS_PADDING},
    {"differs/static-minus-one", PEER_WRAPS_MINUS_ONE},
};

int peer_differs(const char *golden_case)
{
    int differs = 0;
    for (size_t i = 0; i < sizeof known_differences / sizeof *known_differences; i++) {
        const char *cases = known_differences[i].cases;
        if (strncmp(golden_case, cases, strlen(cases)) == 0)
            differs |= known_differences[i].differs;
    }
    return differs;
}

uint64_t draw_bits(uint64_t *random)
{
    uint64_t z = *random += 0x9E3779B97F4A7C15U;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9U;
    z = (z ^ z >> 27) * 0x94D049BB133111EBU;
    return z ^ z >> 31;
}

int32_t draw_below(uint64_t *random, int32_t n)
{
    return (int32_t)(draw_bits(random) % (uint64_t)n);
}

struct world *world_make(int32_t experts, int32_t slots, int32_t ranks, int32_t shared,
                         int32_t rank)
{
    struct world *world = ct_alloc(sizeof *world);
    world->shape =
        (struct sl_shape){experts, slots, ranks, shared, slots + shared, slots * ranks, rank};
    world->map = ct_alloc((size_t)world->shape.physical * sizeof *world->map);
    sl_place_bind(&world->place, &world->shape, ct_alloc(sl_place_bytes(&world->shape)));
    sl_place_trivial(&world->shape, world->map);
    memset(world->alive, 1, (size_t)ranks);
    return world;
}

void world_build(struct world *world, uint64_t seed, int32_t bank)
{
    world->living = 0;
    for (int32_t r = 0; r < world->shape.ranks; r++)
        if (world->alive[r])
            world->living_ranks[world->living++] = r;
    sl_place_build(&world->place, &world->shape, world->map, world->alive, world->node, seed, bank);
}

void world_shuffle(struct world *world, uint64_t *random)
{
    int32_t experts = world->shape.experts, physical = world->shape.physical;
    for (int32_t p = 0; p < physical; p++)
        world->map[p] = p < experts ? p : draw_below(random, experts + 1) - 1;
    for (int32_t p = physical - 1; p > 0; p--) {
        int32_t other = draw_below(random, p + 1), held = world->map[p];
        world->map[p] = world->map[other];
        world->map[other] = held;
    }
}

void world_damage(struct world *world, uint64_t *random)
{
    int32_t nodes = 1 + draw_below(random, world->shape.ranks);
    bool scattered = draw_below(random, 2);
    for (int32_t r = 0; r < world->shape.ranks; r++) {
        world->alive[r] = r == world->shape.rank || draw_below(random, 5) > 0;
        world->node[r] = scattered ? draw_below(random, nodes) : r * nodes / world->shape.ranks;
    }
}

struct sl_remap world_remap(const struct world *world, int32_t top_k)
{
    return (struct sl_remap){.shape = &world->shape,
                             .place = &world->place,
                             .top_k = top_k,
                             .copy_policy = SLUICE_COPY_STATIC,
                             .living = world->living,
                             .living_ranks = world->living_ranks,
                             .shared_constant = 1.0F,
                             .shared_divisor = 1.0F};
}
