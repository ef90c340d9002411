/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SLUICE_EXT_DEVICE_H
#define SLUICE_EXT_DEVICE_H

#include "../../plugin.h"

#if defined(__cplusplus)
extern "C" {
#endif

/* sluice.device/1: memory, streams and capture on the plugin's device, for tests and tools that
 * must run on any backend without knowing it. Engines do not call this: they have their own.
 * Nothing of it belongs to a context, and callbacks of sluice_host may call it. */
#define SLUICE_EXT_DEVICE "sluice.device/1"

typedef struct sluice_device_api {
    size_t struct_size;
    /* The device tensors live on. count: how many there are; 0 with the reason in text. */
    sluice_status (*count)(int32_t *count, sluice_device *first, char *text, size_t text_size);
    sluice_status (*alloc)(sluice_device device, size_t bytes, void **data);
    void (*free)(sluice_device device, void *data);
    /* Between host and device memory, either way, in stream order; wait for it with `wait`. */
    sluice_status (*copy)(sluice_device device, void *to, const void *from, size_t bytes,
                          void *stream);
    sluice_status (*stream)(sluice_device device, void **stream);
    void (*stream_free)(sluice_device device, void *stream);
    sluice_status (*wait)(sluice_device device, void *stream);
    /* Capture into a graph and replay it; NULL on a backend without graphs. */
    sluice_status (*capture_begin)(sluice_device device, void *stream);
    sluice_status (*capture_end)(sluice_device device, void *stream, void **graph);
    sluice_status (*graph_launch)(sluice_device device, void *graph, void *stream);
    void (*graph_free)(sluice_device device, void *graph);
    /* Code paths of the backend that give the same bits ("portable", "avx2", "avx512"): names of
     * those that this machine can run, slowest first, NULL at the end. [any thread] */
    const char *const *(*paths)(void);
    /* Contexts opened from now on use this path; NULL: the best. INVALID for a name that is not in
     * paths. For the whole process. [any thread] */
    sluice_status (*use_path)(const char *name);
} sluice_device_api;
SLUICE_ASSERT_ENDS_WITH(sluice_device_api, use_path);

#if defined(__cplusplus)
}
#endif
#endif
