/* SPDX-License-Identifier: Apache-2.0
 * Plans in memory and as bytes. */
#include <stdlib.h>
#include <string.h>

#include "../core/place.h"
#include "../core/rule.h"
#include "bk_plan.h"

/* --------------------------------------------------------------------------------- memory */

static void *default_alloc(void *user, size_t bytes, size_t align, int32_t kind,
                           sluice_device device)
{
    (void)user, (void)kind, (void)device;
    return aligned_alloc(align, bytes);
}

static void default_free(void *user, void *data, size_t bytes, int32_t kind, sluice_device device)
{
    (void)user, (void)bytes, (void)kind, (void)device;
    free(data);
}

void sl_plan_services(struct sl_plan_memory *memory, const sluice_host *host)
{
    *memory = (struct sl_plan_memory){.host = {.struct_size = sizeof memory->host}};
    if (host)
        memory->host = *host;
    if (!memory->host.alloc) {
        memory->host.alloc = default_alloc;
        memory->host.free = default_free;
    }
}

static size_t round_up(size_t bytes)
{
    return (bytes + 63) / 64 * 64;
}

void *sl_plan_alloc(const struct sl_plan_memory *memory, size_t bytes, int32_t kind)
{
    const sluice_device device = {SLUICE_CPU, 0};
    return memory->host.alloc(memory->host.user, round_up(bytes), 64, kind, device);
}

void sl_plan_free(const struct sl_plan_memory *memory, void *data, size_t bytes, int32_t kind)
{
    const sluice_device device = {SLUICE_CPU, 0};
    if (data)
        memory->host.free(memory->host.user, data, round_up(bytes), kind, device);
}

sluice_plan *sl_plan_new(const struct sl_plan_memory *memory, int32_t layer_count,
                         int64_t map_count, int64_t move_count)
{
    size_t layers = round_up((size_t)layer_count * sizeof(struct sl_plan_layer));
    size_t maps = round_up((size_t)map_count * sizeof(int32_t));
    size_t moves = (size_t)move_count * sizeof(sluice_move);
    size_t head = round_up(sizeof(sluice_plan));
    char *data = sl_plan_alloc(memory, head + layers + maps + moves, SLUICE_MEM_STATE);
    if (!data)
        return NULL;
    sluice_plan *plan = (sluice_plan *)(void *)data;
    *plan = (sluice_plan){.memory = *memory,
                          .bytes = head + layers + maps + moves,
                          .layer_count = layer_count,
                          .move_count = move_count,
                          .map_count = map_count};
    plan->layers = (struct sl_plan_layer *)(void *)(data + head);
    plan->maps = (int32_t *)(void *)(data + head + layers);
    plan->moves = (sluice_move *)(void *)(data + head + layers + maps);
    plan->summary.struct_size = sizeof plan->summary;
    return plan;
}

/* ----------------------------------------------------------------------------------- hash */

/* Two sums that every word changes in both; not against malice. */
static void mix(uint64_t hash[2], const void *data, size_t bytes)
{
    const unsigned char *from = data;
    for (size_t i = 0; i < bytes; i += sizeof(uint32_t)) {
        uint32_t word = 0;
        memcpy(&word, from + i, bytes - i < sizeof word ? bytes - i : sizeof word);
        hash[0] = (hash[0] ^ word) * 0x9E3779B97F4A7C15U;
        hash[0] ^= hash[0] >> 29;
        hash[1] = (hash[1] + word + 1) * 0xD6E8FEB86659FD93U;
        hash[1] ^= hash[1] >> 32;
    }
}

void sl_plan_hash(const sluice_plan *plan, uint64_t hash[2])
{
    hash[0] = (uint64_t)plan->layer_count;
    hash[1] = (uint64_t)plan->move_count;
    for (int32_t l = 0; l < plan->layer_count; l++)
        mix(hash, &plan->layers[l].experts, 3 * sizeof plan->layers[l].experts);
    mix(hash, plan->maps, (size_t)plan->map_count * sizeof *plan->maps);
    mix(hash, plan->moves, (size_t)plan->move_count * sizeof *plan->moves);
}

/* ---------------------------------------------------------------------------- save and load */

static const char MAGIC[8] = "SLPLAN\r\n";
enum { REVISION = 1 };

/* Little-endian, as every machine this is for; then layers, maps, moves and the sum of all. */
struct file_head {
    char magic[8];
    uint32_t revision;
    int32_t layer_count, ranks, reserved;
    int64_t map_count, move_count;
    sluice_plan_summary summary;
};

static size_t size_of(int32_t layers, int64_t maps, int64_t moves)
{
    return sizeof(struct file_head) + (size_t)layers * sizeof(struct sl_plan_layer) +
           (size_t)maps * sizeof(int32_t) + (size_t)moves * sizeof(sluice_move) +
           2 * sizeof(uint64_t);
}

static void append(char **to, const void *data, size_t bytes)
{
    memcpy(*to, data, bytes);
    *to += bytes;
}

sluice_status sl_plan_save(const sluice_plan *plan, void *bytes, size_t capacity, size_t *size)
{
    *size = size_of(plan->layer_count, plan->map_count, plan->move_count);
    if (*size > capacity)
        return SLUICE_OVERFLOW;
    struct file_head head;
    memset(&head, 0, sizeof head);
    memcpy(head.magic, MAGIC, sizeof MAGIC);
    head.revision = REVISION;
    head.layer_count = plan->layer_count;
    head.ranks = plan->ranks;
    head.map_count = plan->map_count;
    head.move_count = plan->move_count;
    head.summary = plan->summary;
    head.summary.truncated = 0;
    char *to = bytes;
    uint64_t sum[2] = {0, 0};
    append(&to, &head, sizeof head);
    append(&to, plan->layers, (size_t)plan->layer_count * sizeof *plan->layers);
    append(&to, plan->maps, (size_t)plan->map_count * sizeof *plan->maps);
    append(&to, plan->moves, (size_t)plan->move_count * sizeof *plan->moves);
    mix(sum, bytes, (size_t)(to - (char *)bytes));
    append(&to, sum, sizeof sum);
    return SLUICE_OK;
}

static sluice_status check_head(const struct sl_text *text, const void *bytes, size_t size,
                                struct file_head *head)
{
    if (size < sizeof *head)
        return sl_text_fail(text, SLUICE_INVALID, "size is %zu: a plan has at least %zu bytes",
                            size, size_of(1, 1, 0));
    memcpy(head, bytes, sizeof *head);
    if (memcmp(head->magic, MAGIC, sizeof MAGIC) != 0)
        return sl_text_fail(text, SLUICE_INVALID, "bytes are not those of a plan");
    if (head->revision != REVISION)
        return sl_text_fail(text, SLUICE_UNSUPPORTED,
                            "bytes are of revision %u: this plugin knows %d", head->revision,
                            REVISION);
    /* No product below can pass 64 bits. */
    if (head->layer_count < 1 || head->map_count < 1 || head->move_count < 0 ||
        head->map_count > (int64_t)size || head->move_count > (int64_t)size ||
        size_of(head->layer_count, head->map_count, head->move_count) != size)
        return sl_text_fail(
            text, SLUICE_INVALID, "size is %zu: %d layers, %lld slots and %lld moves have another",
            size, head->layer_count, (long long)head->map_count, (long long)head->move_count);
    uint64_t sum[2] = {0, 0};
    mix(sum, bytes, size - sizeof sum);
    if (memcmp(sum, (const char *)bytes + size - sizeof sum, sizeof sum) != 0)
        return sl_text_fail(text, SLUICE_INVALID, "bytes are damaged: their sum does not match");
    return SLUICE_OK;
}

static sluice_status check_moves(const struct sl_text *text, const sluice_plan *plan)
{
    for (int64_t i = 0; i < plan->move_count; i++) {
        const sluice_move *move = plan->moves + i;
        bool known = move->layer >= 0 && move->layer < plan->layer_count;
        const struct sl_plan_layer *layer = plan->layers + (known ? move->layer : 0);
        if (!known || move->expert < 0 || move->expert >= layer->experts || move->from < -1 ||
            move->from >= layer->physical || move->to < 0 || move->to >= layer->physical)
            return sl_text_fail(text, SLUICE_INVALID,
                                "move %lld (layer %d, expert %d, from %d, to %d) is out of range",
                                (long long)i, move->layer, move->expert, move->from, move->to);
    }
    return SLUICE_OK;
}

static sluice_status check_content(const struct sl_text *text, const sluice_plan *plan)
{
    int64_t at = 0;
    uint64_t hash[2];
    for (int32_t l = 0; l < plan->layer_count; l++) {
        const struct sl_plan_layer *layer = plan->layers + l;
        uint8_t seen[SL_MAX_COLUMNS];
        if (layer->map_at != at || layer->physical < 1 || layer->physical > plan->map_count - at)
            return sl_text_fail(text, SLUICE_INVALID, "layer %d: its map is not among the bytes",
                                l);
        sluice_status status =
            sl_place_check(l, layer->experts, plan->ranks, plan->maps + at, layer->physical, seen,
                           text->data, text->data ? text->size : 0);
        if (status)
            return status;
        at += layer->physical;
    }
    sl_plan_hash(plan, hash);
    if (at != plan->map_count || memcmp(hash, plan->summary.hash, sizeof hash) != 0)
        return sl_text_fail(text, SLUICE_INVALID, "the plan's hash is not that of its maps");
    return check_moves(text, plan);
}

sluice_status sl_plan_load(const void *bytes, size_t size, const struct sl_plan_memory *memory,
                           sluice_plan **plan, const struct sl_text *text)
{
    struct file_head head = {.revision = 0};
    sluice_status status = check_head(text, bytes, size, &head);
    if (status)
        return status;
    sluice_plan *made = sl_plan_new(memory, head.layer_count, head.map_count, head.move_count);
    if (!made)
        return sl_text_fail(text, SLUICE_NO_MEMORY, "no memory for a plan of %zu bytes", size);
    const char *from = (const char *)bytes + sizeof head;
    made->ranks = head.ranks;
    made->summary = head.summary;
    made->summary.struct_size = sizeof made->summary;
    memcpy(made->layers, from, (size_t)head.layer_count * sizeof *made->layers);
    from += (size_t)head.layer_count * sizeof *made->layers;
    memcpy(made->maps, from, (size_t)head.map_count * sizeof *made->maps);
    from += (size_t)head.map_count * sizeof *made->maps;
    memcpy(made->moves, from, (size_t)head.move_count * sizeof *made->moves);
    status = check_content(text, made);
    if (status)
        sl_plan_free(memory, made, made->bytes, SLUICE_MEM_STATE);
    else
        *plan = made;
    return status;
}
