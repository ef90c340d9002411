#include "fuzz_args_world.h"

#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------------------------------ config */

enum { MOST_ALLOCATED = 1 << 24 };

/* A config may ask for more than there is: the plugin must take a NULL. */
static void *limited_alloc(void *user, size_t bytes, size_t align, int32_t kind,
                           sluice_device device)
{
    (void)user, (void)kind, (void)device;
    return bytes <= MOST_ALLOCATED ? aligned_alloc(align, (bytes + align - 1) / align * align)
                                   : NULL;
}

static void limited_free(void *user, void *data, size_t bytes, int32_t kind, sluice_device device)
{
    (void)user, (void)bytes, (void)kind, (void)device;
    free(data);
}

struct setup {
    sluice_router routers[FA_LAYERS];
    sluice_layer layers[FA_LAYERS];
    const sluice_layer *list[FA_LAYERS];
    sluice_host host;
    sluice_comm comm;
    sluice_transport transport;
    sluice_needs needs;
    sluice_config config;
};

static void make_setup(struct setup *s, struct fz_bytes *in)
{
    static const int32_t BANK = 1;
    memset(s, 0, sizeof *s);
    for (int32_t i = 0; i < FA_LAYERS; i++) {
        s->routers[i] = (sluice_router){
            .struct_size = sizeof(sluice_router), .experts = FA_E, .top_k = FA_K, .shared = FA_F};
        s->layers[i] =
            (sluice_layer){.struct_size = sizeof(sluice_layer), .router = &s->routers[i]};
        s->list[i] = &s->layers[i];
    }
    s->routers[0].zero_experts = FA_Z;
    s->routers[0].bias_use = SLUICE_BIAS_SCORE;
    s->routers[0].bias_rows = 2;
    s->routers[0].shared_weight = SLUICE_SHARED_SIGMOID;
    s->routers[0].scale_by = SLUICE_SCALE_BY_ENGINE;
    s->routers[0].scale = 2;
    s->routers[2].weight_on = SLUICE_WEIGHT_ON_INPUT;
    s->layers[2].bank = &BANK;
    s->host =
        (sluice_host){.struct_size = sizeof s->host, .alloc = limited_alloc, .free = limited_free};
    s->comm = (sluice_comm){.struct_size = sizeof s->comm, .size = 1};
    uint8_t how = fz_u8(in);
    s->transport = (sluice_transport){.struct_size = sizeof s->transport,
                                      .max_tokens = FA_TOKENS,
                                      .fixed_tokens = FA_TOKENS,
                                      .payload_row_bytes = 64,
                                      .combine_row_bytes = FA_H * 4,
                                      .capacity_rows = how & 1 ? 10 : 0,
                                      .max_payloads = 2,
                                      .lanes = 2,
                                      .row_layout = how & 2 ? SLUICE_ROWS_STRIDED : 0,
                                      .row_align = how & 4 ? 4 : 0,
                                      .combine_order = how & 8 ? SLUICE_COMBINE_PER_RANK : 0};
    if (s->transport.row_layout == SLUICE_ROWS_STRIDED) {
        s->transport.row_align = 0;
        s->transport.capacity_rows = 0;
    }
    s->needs = (sluice_needs){.struct_size = sizeof s->needs};
    s->config = (sluice_config){.struct_size = sizeof s->config,
                                .host = &s->host,
                                .comm = &s->comm,
                                .layers = s->list,
                                .layer_count = FA_LAYERS,
                                .transport = &s->transport,
                                .needs = &s->needs,
                                .uses = SLUICE_USE_EXACT | SLUICE_USE_FIXED,
                                .copy_policy = how >> 4 & 1,
                                .shared_policy = how & 32 ? SLUICE_SHARED_WATERFILL_STATIC : 0};
    if (how & 64)
        s->config.uses = SLUICE_USE_EXACT;
    if (s->transport.row_layout == SLUICE_ROWS_STRIDED)
        s->config.uses = SLUICE_USE_FIXED;
}

void fa_open(struct fa_world *world, struct fz_bytes *in)
{
    static struct setup setup; /* outlives the context */
    char text[600] = "";
    memset(world, 0, sizeof *world);
    world->api = sluice_plugin_get(SLUICE_ABI_MAJOR);
    make_setup(&setup, in);
    FZ_HOLDS(world->api->open(&setup.config, &world->context, text, sizeof text) == SLUICE_OK);
    world->fixed_rows = setup.needs.fixed_rows;
}

/* Overwrites one 4- or 8-byte number of a struct behind its size; those in `keep` are pointers. */
static void damage_number(struct fz_bytes *in, void *at, size_t size, size_t first)
{
    size_t words = (size - first) / 4;
    size_t word = (size_t)fz_range(in, 0, (int32_t)words - 1);
    uint32_t value = fz_u8(in) & 1 ? fz_u32(in) : (uint32_t)(int32_t)(int8_t)fz_u8(in);
    memcpy((char *)at + first + 4 * word, &value, sizeof value);
}

void fa_try_open(struct fa_world *world)
{
    struct setup s;
    struct fz_bytes *in = world->in;
    char text[600] = "";
    sluice_context *context = NULL;
    make_setup(&s, in);
    for (int32_t i = fz_range(in, 1, 3); i > 0; i--) {
        int32_t layer = fz_range(in, 0, FA_LAYERS - 1);
        switch (fz_range(in, 0, 7)) {
        case 0:
            damage_number(in, &s.transport, sizeof s.transport, sizeof(size_t));
            break;
        case 1:
            damage_number(in, &s.routers[layer], sizeof *s.routers, sizeof(size_t));
            break;
        case 2:
            damage_number(in, &s.config, sizeof s.config, offsetof(sluice_config, layer_count) + 4);
            break;
        case 3:
            s.layers[layer].slots_per_rank = (int32_t)fz_u32(in);
            break;
        case 4:
            s.host.threads = (int32_t)(int8_t)(fz_u8(in) | 0xC0U) + 3;
            break;
        case 5:
            s.comm.rank = (int8_t)fz_u8(in);
            s.comm.size = (int8_t)fz_u8(in);
            break;
        case 6:
            s.list[layer] = NULL;
            break;
        default:
            s.layers[layer].struct_size = fz_u8(in);
        }
    }
    sluice_status status = world->api->open(&s.config, &context, text, sizeof text);
    FZ_HOLDS(status >= SLUICE_OK && status < SLUICE_INTERNAL);
    FZ_HOLDS((strlen(text) > 0) == (status != SLUICE_OK) && strchr(text, '\n') == NULL);
    FZ_HOLDS((context != NULL) == (status == SLUICE_OK && !(s.config.flags & SLUICE_OPEN_QUERY)));
    world->api->close(context);
}

/* ----------------------------------------------------------------------------------- tensors */

static void damage_header(struct fz_tensor *tensor, struct fz_bytes *in, int32_t how)
{
    static const sluice_dtype *const types[] = {&FZ_F32, &FZ_F16, &FZ_BF16,
                                                &FZ_I32, &FZ_I64, &FZ_U8};
    sluice_tensor *t = &tensor->tensor;
    int32_t dimension = fz_range(in, 0, 1);
    switch (how) {
    case 0:
        fz_raw(in, &t->dtype, sizeof t->dtype);
        t->dtype.lanes &= 0xFFU;
        break;
    case 1:
        t->dtype = *types[fz_range(in, 0, 5)];
        break;
    case 2:
        t->ndim = fz_range(in, -1, 9);
        for (int32_t i = 2; i < 9; i++)
            tensor->shape[i] = tensor->strides[i] = fz_range(in, 0, 2);
        break;
    case 3:
        tensor->shape[dimension] += (int8_t)fz_u8(in) % 4;
        break;
    case 4:
        tensor->shape[dimension] = (int64_t)fz_u64(in);
        break;
    case 5:
        tensor->strides[dimension] = (int8_t)fz_u8(in);
        break;
    case 6:
        tensor->strides[dimension] = (int64_t)fz_u64(in);
        break;
    case 7:
        t->strides = NULL;
        break;
    case 8:
        t->byte_offset = fz_u8(in);
        break;
    case 9:
        t->device.type = (int8_t)fz_u8(in);
        break;
    case 10:
        t->shape = NULL;
        break;
    default:
        tensor->strides[0] += fz_range(in, 0, 5);
    }
}

/* Small numbers for ids, noise for the rest. */
static void fill_data(struct fz_tensor *tensor, uint32_t seed)
{
    const sluice_tensor *t = &tensor->tensor;
    size_t size = t->dtype.bits / 8U;
    bool whole = t->dtype.code == SLUICE_INT && (size == 4 || size == 8);
    if (!whole) {
        for (size_t i = 0; i < tensor->bytes; i++)
            tensor->block[i] = (uint8_t)fz_mix(seed + (uint32_t)i);
        return;
    }
    for (size_t at = t->byte_offset; at + size <= tensor->bytes; at += size) {
        uint32_t draw = fz_mix(seed + (uint32_t)at);
        int64_t wide = (int64_t)(draw % 14) - 1;
        if (draw >> 26 == 0)
            wide = (int64_t)draw << 20;
        int32_t narrow = (int32_t)wide;
        memcpy(tensor->block + at, size == 8 ? (void *)&wide : (void *)&narrow, size);
    }
}

const sluice_tensor *fa_tensor(struct fa_world *world, sluice_dtype dtype, int64_t rows,
                               int64_t columns, bool out)
{
    struct fz_bytes *in = world->in;
    struct fz_tensor *tensor = fz_shape(&world->heap, dtype, rows, columns, 0, out);
    uint8_t how = fz_u8(in);
    if (how == 0xFF)
        return NULL;
    /* Most are good: a call is refused at the first that is not. */
    for (int32_t more = how >= 0xF8 ? 3 : how >= 0xE0; more > 0; more--)
        damage_header(tensor, in, fz_range(in, 0, 11));
    if (fz_place(tensor))
        fill_data(tensor, how + (uint32_t)world->heap.count);
    if (how == 0xF7)
        tensor->tensor.data = NULL;
    return &tensor->tensor;
}

const sluice_tensor *fa_maybe(struct fa_world *world, sluice_dtype dtype, int64_t rows,
                              int64_t columns, bool out)
{
    return fz_u8(world->in) % 3 == 1 ? fa_tensor(world, dtype, rows, columns, out) : NULL;
}

sluice_dtype fa_ids(struct fa_world *world)
{
    return fz_u8(world->in) & 1 ? FZ_I64 : FZ_I32;
}

int32_t fa_layer(struct fa_world *world)
{
    uint8_t byte = fz_u8(world->in);
    return byte < 0xF0 ? byte % FA_LAYERS : (int8_t)fz_u8(world->in);
}

void *fa_args(struct fa_world *world, const void *args, size_t size)
{
    struct fz_bytes *in = world->in;
    uint8_t how = fz_u8(in);
    size_t claimed = size, there = size;
    if (how == 0xFF)
        return NULL;
    if (how >= 0xF8)
        claimed = how == 0xFE ? SIZE_MAX - fz_u8(in) : (size_t)fz_range(in, 0, 4200);
    /* What is not claimed is not there, but for the size itself. */
    if (claimed <= 4096)
        there = claimed > sizeof(size_t) ? claimed : sizeof(size_t);
    char *copy = calloc(1, there);
    FZ_HOLDS(copy != NULL);
    memcpy(copy, args, there < size ? there : size);
    memcpy(copy, &claimed, sizeof claimed);
    if (there > size && how & 1)
        copy[size + fz_u8(in) % (there - size)] = 1;
    return copy;
}
