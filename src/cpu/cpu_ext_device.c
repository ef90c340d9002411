/* SPDX-License-Identifier: Apache-2.0
 * The CPU as a device: host memory, one stream that has always ended. No graphs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cpu_ext.h"
#include "cpu_level.h"

static sluice_status count(int32_t *number, sluice_device *first, char *text, size_t text_size)
{
    if (text && text_size)
        text[0] = 0;
    if (!number)
        return SLUICE_INVALID;
    *number = 1;
    if (first)
        *first = (sluice_device){SLUICE_CPU, 0};
    return SLUICE_OK;
}

static sluice_status alloc(sluice_device device, size_t bytes, void **data)
{
    if (!data || device.type != SLUICE_CPU)
        return SLUICE_INVALID;
    *data = bytes > PTRDIFF_MAX - 64 ? NULL : aligned_alloc(64, (bytes / 64 + 1) * 64);
    return *data ? SLUICE_OK : SLUICE_NO_MEMORY;
}

static void release(sluice_device device, void *data)
{
    (void)device;
    free(data);
}

static sluice_status copy(sluice_device device, void *to, const void *from, size_t bytes,
                          void *stream)
{
    (void)device, (void)stream;
    if (bytes && (!to || !from))
        return SLUICE_INVALID;
    if (bytes)
        memmove(to, from, bytes);
    return SLUICE_OK;
}

static sluice_status make_stream(sluice_device device, void **stream)
{
    (void)device;
    if (!stream)
        return SLUICE_INVALID;
    *stream = NULL;
    return SLUICE_OK;
}

static void free_stream(sluice_device device, void *stream)
{
    (void)device, (void)stream;
}

static sluice_status wait(sluice_device device, void *stream)
{
    (void)device, (void)stream;
    return SLUICE_OK;
}

const sluice_device_api cpu_device_api = {
    .struct_size = sizeof cpu_device_api,
    .count = count,
    .alloc = alloc,
    .free = release,
    .copy = copy,
    .stream = make_stream,
    .stream_free = free_stream,
    .wait = wait,
    .paths = sl_level_names,
    .use_path = sl_level_use,
};
