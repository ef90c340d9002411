#include "replay_mirror.h"

#include <stddef.h>

sluice_status sl_mirror_open(struct sl_mirror *mirror, const sluice_api *api, int32_t number,
                             char *text, size_t n)
{
    const sluice_device_api *memory = api->extension(SLUICE_EXT_DEVICE);
    int32_t count = 0;
    sluice_device first = {SLUICE_CPU, 0};
    *mirror = (struct sl_mirror){.device = first};
    if (!memory)
        return SLUICE_OK;
    sluice_status status = memory->count(&count, &first, text, n);
    if (status || count == 0)
        return status ? status : SLUICE_UNAVAILABLE;
    if (first.type == SLUICE_CPU)
        return SLUICE_OK;
    mirror->memory = memory;
    mirror->device = (sluice_device){first.type, first.id + number % count};
    return SLUICE_OK;
}

static size_t bytes_of(const sluice_tensor *t)
{
    size_t bytes = t->dtype.bits / 8;
    for (int32_t d = 0; d < t->ndim; d++)
        bytes *= (size_t)t->shape[d];
    return bytes;
}

static void note(struct sl_mirror *mirror, sluice_status status)
{
    mirror->status = mirror->status ? mirror->status : status;
}

static bool make_room(struct sl_mirror *mirror, struct sl_mirror_part *part, size_t bytes)
{
    if (part->there && bytes <= part->room)
        return true;
    mirror->memory->free(mirror->device, part->there);
    part->there = NULL;
    part->room = bytes;
    note(mirror, mirror->memory->alloc(mirror->device, bytes, &part->there));
    return part->there != NULL;
}

void sl_mirror_put(struct sl_mirror *mirror, sluice_tensor *tensor, bool out)
{
    if (!mirror->memory)
        return;
    if (mirror->used == SL_MIRROR_MOST) {
        note(mirror, SLUICE_INVALID);
        return;
    }
    struct sl_mirror_part *part = &mirror->parts[mirror->used++];
    part->bytes = bytes_of(tensor);
    part->host = out ? tensor->data : NULL;
    if (!make_room(mirror, part, part->bytes ? part->bytes : 1))
        return;
    if (part->bytes)
        note(mirror,
             mirror->memory->copy(mirror->device, part->there, tensor->data, part->bytes, NULL));
    tensor->data = part->there;
    tensor->device = mirror->device;
}

sluice_status sl_mirror_home(struct sl_mirror *mirror)
{
    if (!mirror->memory)
        return SLUICE_OK;
    for (int32_t i = 0; i < mirror->used; i++) {
        const struct sl_mirror_part *part = &mirror->parts[i];
        if (part->host && part->there && part->bytes)
            note(mirror,
                 mirror->memory->copy(mirror->device, part->host, part->there, part->bytes, NULL));
    }
    note(mirror, mirror->memory->wait(mirror->device, NULL));
    sluice_status status = mirror->status;
    mirror->used = 0;
    mirror->status = SLUICE_OK;
    return status;
}

void sl_mirror_close(struct sl_mirror *mirror)
{
    for (int32_t i = 0; mirror->memory && i < SL_MIRROR_MOST; i++)
        mirror->memory->free(mirror->device, mirror->parts[i].there);
}
