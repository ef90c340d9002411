/* SPDX-License-Identifier: Apache-2.0
 * sluice.device/1 on a GPU. The first call on a device retains its primary context for the life of
 * the process, so that memory lives between calls. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "cu_driver.h"
#include "cu_ext.h"

enum { MOST_DEVICES = 64 };

static slcu_context kept[MOST_DEVICES];
static pthread_mutex_t kept_lock = PTHREAD_MUTEX_INITIALIZER;

static sluice_status judge(slcu_result error)
{
    return !error ? SLUICE_OK : error == SLCU_OUT_OF_MEMORY ? SLUICE_NO_MEMORY : SLUICE_DEVICE;
}

/* Enters the device's primary context. NULL, with *status: not possible. */
static const struct slcu_driver *enter(sluice_device device, sluice_status *status)
{
    *status = SLUICE_INVALID;
    if (device.type != SLUICE_CUDA || device.id < 0 || device.id >= MOST_DEVICES)
        return NULL;
    const struct slcu_driver *driver = slc_driver(NULL, 0);
    *status = SLUICE_UNAVAILABLE;
    if (!driver)
        return NULL;
    slcu_device found;
    pthread_mutex_lock(&kept_lock);
    slcu_result error = SLCU_SUCCESS;
    if (!kept[device.id]) {
        error = driver->DeviceGet(&found, device.id);
        if (!error)
            error = driver->DevicePrimaryCtxRetain(&kept[device.id], found);
        if (error)
            kept[device.id] = NULL;
    }
    slcu_context context = kept[device.id];
    pthread_mutex_unlock(&kept_lock);
    if (!error)
        error = driver->CtxPushCurrent(context);
    *status = judge(error);
    return error ? NULL : driver;
}

static sluice_status leave(const struct slcu_driver *driver, slcu_result error)
{
    slcu_context popped;
    (void)driver->CtxPopCurrent(&popped);
    return judge(error);
}

static sluice_status count(int32_t *number, sluice_device *first, char *text, size_t text_size)
{
    if (text && text_size)
        text[0] = 0;
    if (!number)
        return SLUICE_INVALID;
    *number = 0;
    if (first)
        *first = (sluice_device){SLUICE_CUDA, 0};
    const struct slcu_driver *driver = slc_driver(text, text_size);
    if (!driver)
        return SLUICE_OK;
    int found = 0;
    slcu_result error = driver->DeviceGetCount(&found);
    if (error && text && text_size)
        (void)snprintf(text, text_size, "cuDeviceGetCount failed: %s",
                       slc_error_name(driver, error));
    *number = error ? 0 : found;
    if (!error && !found && text && text_size)
        (void)snprintf(text, text_size, "the driver has no device");
    return SLUICE_OK;
}

static sluice_status alloc(sluice_device device, size_t bytes, void **data)
{
    sluice_status status;
    if (!data)
        return SLUICE_INVALID;
    const struct slcu_driver *driver = enter(device, &status);
    if (!driver)
        return status;
    slcu_address address = 0;
    status = leave(driver, driver->MemAlloc(&address, bytes ? bytes : 1));
    *data = (void *)(uintptr_t)address; /* NOLINT(performance-no-int-to-ptr) */
    return status;
}

static void release(sluice_device device, void *data)
{
    sluice_status status;
    const struct slcu_driver *driver = data ? enter(device, &status) : NULL;
    if (driver)
        (void)leave(driver, driver->MemFree((slcu_address)(uintptr_t)data));
}

static sluice_status copy(sluice_device device, void *to, const void *from, size_t bytes,
                          void *stream)
{
    sluice_status status;
    if (bytes && (!to || !from))
        return SLUICE_INVALID;
    const struct slcu_driver *driver = enter(device, &status);
    if (!driver)
        return status;
    slcu_result error = SLCU_SUCCESS;
    if (bytes)
        error = driver->MemcpyAsync((slcu_address)(uintptr_t)to, (slcu_address)(uintptr_t)from,
                                    bytes, stream);
    return leave(driver, error);
}

static sluice_status make_stream(sluice_device device, void **stream)
{
    sluice_status status;
    if (!stream)
        return SLUICE_INVALID;
    const struct slcu_driver *driver = enter(device, &status);
    if (!driver)
        return status;
    slcu_stream made = NULL;
    status = leave(driver, driver->StreamCreate(&made, SLCU_STREAM_NON_BLOCKING));
    *stream = made;
    return status;
}

static void free_stream(sluice_device device, void *stream)
{
    sluice_status status;
    const struct slcu_driver *driver = stream ? enter(device, &status) : NULL;
    if (driver)
        (void)leave(driver, driver->StreamDestroy(stream));
}

static sluice_status wait(sluice_device device, void *stream)
{
    sluice_status status;
    const struct slcu_driver *driver = enter(device, &status);
    return driver ? leave(driver, driver->StreamSynchronize(stream)) : status;
}

static sluice_status capture_begin(sluice_device device, void *stream)
{
    sluice_status status;
    const struct slcu_driver *driver = enter(device, &status);
    if (!driver)
        return status;
    return leave(driver, driver->StreamBeginCapture(stream, SLCU_CAPTURE_MODE_THREAD_LOCAL));
}

static sluice_status capture_end(sluice_device device, void *stream, void **graph)
{
    sluice_status status;
    if (!graph)
        return SLUICE_INVALID;
    const struct slcu_driver *driver = enter(device, &status);
    if (!driver)
        return status;
    slcu_graph captured = NULL;
    slcu_graph_exec exec = NULL;
    slcu_result error = driver->StreamEndCapture(stream, &captured);
    if (!error && captured) {
        error = driver->GraphInstantiateWithFlags(&exec, captured, 0);
        (void)driver->GraphDestroy(captured);
    }
    *graph = error ? NULL : exec;
    return leave(driver, error);
}

static sluice_status graph_launch(sluice_device device, void *graph, void *stream)
{
    sluice_status status;
    if (!graph)
        return SLUICE_INVALID;
    const struct slcu_driver *driver = enter(device, &status);
    return driver ? leave(driver, driver->GraphLaunch(graph, stream)) : status;
}

static void graph_free(sluice_device device, void *graph)
{
    sluice_status status;
    const struct slcu_driver *driver = graph ? enter(device, &status) : NULL;
    if (driver)
        (void)leave(driver, driver->GraphExecDestroy(graph));
}

static const char *const *paths(void)
{
    static const char *const names[] = {"cuda", NULL};
    return names;
}

static sluice_status use_path(const char *name)
{
    return !name || strcmp(name, paths()[0]) == 0 ? SLUICE_OK : SLUICE_INVALID;
}

const sluice_device_api slc_device_api = {
    .struct_size = sizeof slc_device_api,
    .count = count,
    .alloc = alloc,
    .free = release,
    .copy = copy,
    .stream = make_stream,
    .stream_free = free_stream,
    .wait = wait,
    .capture_begin = capture_begin,
    .capture_end = capture_end,
    .graph_launch = graph_launch,
    .graph_free = graph_free,
    .paths = paths,
    .use_path = use_path,
};
