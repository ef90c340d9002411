/* SPDX-License-Identifier: Apache-2.0 */
/* Devices, contexts, errors by name. STANDIN_DEVICES: how many devices there are (8). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "drv_api.h"

#define STACK_MAX 32

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int initialised, device_count;
static pid_t owner;
static struct CUctx_st primary[DRV_DEVICES_MAX];
static _Thread_local struct CUctx_st *stack[STACK_MAX];
static _Thread_local int depth;

/* As with the real driver, the child of a process that had begun cannot use it. */
static bool begun(void)
{
    return initialised && owner == getpid();
}

int cuInit(unsigned flags)
{
    if (flags)
        return DRV_INVALID_VALUE;
    if (initialised && !begun())
        return DRV_NOT_INITIALIZED;
    (void)pthread_mutex_lock(&lock);
    const char *wanted = getenv("STANDIN_DEVICES");
    long n = wanted ? strtol(wanted, NULL, 10) : 8;
    device_count = n < 0 ? 0 : n > DRV_DEVICES_MAX ? DRV_DEVICES_MAX : (int)n;
    owner = getpid();
    initialised = 1;
    (void)pthread_mutex_unlock(&lock);
    return device_count ? DRV_OK : DRV_NO_DEVICE;
}

int cuDriverGetVersion(int *version)
{
    const char *wanted = getenv("STANDIN_VERSION");
    *version = wanted ? (int)strtol(wanted, NULL, 10) : DRV_VERSION;
    return DRV_OK;
}

static const struct {
    int error;
    const char *name, *text;
} errors[] = {
    {0, "CUDA_SUCCESS", "no error"},
    {1, "CUDA_ERROR_INVALID_VALUE", "invalid argument"},
    {2, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory"},
    {3, "CUDA_ERROR_NOT_INITIALIZED", "initialization error"},
    {100, "CUDA_ERROR_NO_DEVICE", "no device"},
    {101, "CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal"},
    {200, "CUDA_ERROR_INVALID_IMAGE", "device kernel image is invalid"},
    {201, "CUDA_ERROR_INVALID_CONTEXT", "invalid device context"},
    {209, "CUDA_ERROR_NO_BINARY_FOR_GPU", "no kernel image for the device"},
    {218, "CUDA_ERROR_INVALID_PTX", "invalid PTX"},
    {400, "CUDA_ERROR_INVALID_HANDLE", "invalid resource handle"},
    {500, "CUDA_ERROR_NOT_FOUND", "named symbol not found"},
    {600, "CUDA_ERROR_NOT_READY", "not ready"},
    {700, "CUDA_ERROR_ILLEGAL_ADDRESS", "illegal memory access"},
    {701, "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES", "too many resources for a launch"},
    {702, "CUDA_ERROR_LAUNCH_TIMEOUT", "the launch timed out"},
    {716, "CUDA_ERROR_MISALIGNED_ADDRESS", "misaligned address"},
    {719, "CUDA_ERROR_LAUNCH_FAILED", "unspecified launch failure"},
    {801, "CUDA_ERROR_NOT_SUPPORTED", "operation not supported"},
    {900, "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED", "not permitted when stream is capturing"},
    {901, "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED", "the capture was made invalid"},
    {903, "CUDA_ERROR_STREAM_CAPTURE_UNMATCHED", "the capture began in another stream"},
    {905, "CUDA_ERROR_STREAM_CAPTURE_ISOLATION", "a dependency crosses the capture"},
    {906, "CUDA_ERROR_STREAM_CAPTURE_IMPLICIT", "would depend on the legacy stream"},
};

int cuGetErrorName(int error, const char **name)
{
    *name = NULL;
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
        if (errors[i].error == error)
            *name = errors[i].name;
    return *name ? DRV_OK : DRV_INVALID_VALUE;
}

int cuGetErrorString(int error, const char **text)
{
    *text = NULL;
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
        if (errors[i].error == error)
            *text = errors[i].text;
    return *text ? DRV_OK : DRV_INVALID_VALUE;
}

static int check(int device)
{
    if (!begun())
        return DRV_NOT_INITIALIZED;
    return device < 0 || device >= device_count ? DRV_INVALID_DEVICE : DRV_OK;
}

int cuDeviceGet(int *device, int ordinal)
{
    *device = ordinal;
    return check(ordinal);
}

int cuDeviceGetCount(int *count)
{
    *count = device_count;
    return begun() ? DRV_OK : DRV_NOT_INITIALIZED;
}

int cuDeviceGetName(char *name, int room, int device)
{
    if (room > 0)
        (void)snprintf(name, (size_t)room, "Sluice stand-in %d", device);
    return check(device);
}

int cuDeviceGetUuid(struct drv_uuid *uuid, int device)
{
    memset(uuid, 0, sizeof *uuid);
    (void)snprintf(uuid->bytes, sizeof uuid->bytes, "standin%d", device);
    return check(device);
}

int cuDeviceGetUuid_v2(struct drv_uuid *uuid, int device)
{
    return cuDeviceGetUuid(uuid, device);
}

int cuDeviceTotalMem_v2(size_t *bytes, int device)
{
    *bytes = DRV_MEMORY;
    return check(device);
}

int drv_sm(void)
{
    const char *wanted = getenv("STANDIN_SM");
    return wanted ? (int)strtol(wanted, NULL, 10) : 90;
}

/* Multiprocessors: an H100's, or STANDIN_PROCESSORS, so that few rows are many a block. */
static int processors(void)
{
    const char *wanted = getenv("STANDIN_PROCESSORS");
    return wanted ? (int)strtol(wanted, NULL, 10) : 132;
}

/* CUdevice_attribute: those of an H100 that programs ask for. */
int cuDeviceGetAttribute(int *value, int attribute, int device)
{
    static const int values[][2] = {
        {1, 1024},  {2, 1024},      {3, 1024},   {4, 64},      {5, 2147483647}, {6, 65535},
        {7, 65535}, {8, 49152},     {9, 65536},  {10, 32},     {12, 65536},     {13, 1980000},
        {14, 512},  {15, 1},        {17, 0},     {18, 0},      {19, 1},         {20, 0},
        {31, 1},    {32, 0},        {33, 0},     {34, 0},      {35, 0},         {36, 2619000},
        {37, 5120}, {38, 52428800}, {39, 2048},  {40, 3},      {41, 1},         {50, 0},
        {78, 1},    {79, 1},        {80, 1},     {81, 233472}, {82, 65536},     {83, 0},
        {89, 0},    {90, 1},        {91, 1},     {95, 1},      {97, 232448},    {98, 1},
        {99, 1},    {106, 32},      {111, 1024}, {115, 1}};
    if (attribute == 75 || attribute == 76) {
        *value = attribute == 75 ? drv_sm() / 10 : drv_sm() % 10;
        return check(device);
    }
    if (attribute == 16) {
        *value = processors();
        return check(device);
    }
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        if (values[i][0] == attribute) {
            *value = values[i][1];
            return check(device);
        }
    }
    return DRV_INVALID_VALUE;
}

int cuDeviceCanAccessPeer(int *can, int device, int peer)
{
    *can = device != peer;
    return check(device) ? check(device) : check(peer);
}

int cuDevicePrimaryCtxRetain(struct CUctx_st **ctx, int device)
{
    int error = check(device);
    if (error)
        return error;
    (void)pthread_mutex_lock(&lock);
    struct CUctx_st *c = &primary[device];
    if (!c->legacy) {
        c->device = device;
        c->legacy = stream_create(c, false);
    }
    error = c->legacy ? DRV_OK : DRV_OUT_OF_MEMORY;
    (void)__atomic_add_fetch(&c->refs, !error, __ATOMIC_ACQ_REL);
    drv_hold(!error);
    *ctx = c;
    (void)pthread_mutex_unlock(&lock);
    return error;
}

int cuDevicePrimaryCtxRelease_v2(int device)
{
    int error = check(device);
    if (error)
        return error;
    (void)pthread_mutex_lock(&lock);
    error = primary[device].refs > 0 ? DRV_OK : DRV_INVALID_CONTEXT;
    (void)__atomic_sub_fetch(&primary[device].refs, !error, __ATOMIC_ACQ_REL);
    drv_hold(-!error);
    (void)pthread_mutex_unlock(&lock);
    return error;
}

int cuDevicePrimaryCtxReset_v2(int device)
{
    int error = check(device);
    if (!error)
        ctx_set_error(&primary[device], DRV_OK);
    return error;
}

int cuDevicePrimaryCtxGetState(int device, unsigned *flags, int *active)
{
    int error = check(device);
    *flags = 0;
    *active = !error && primary[device].refs > 0;
    return error;
}

DRV_API void standin_forgive(void)
{
    for (int d = 0; d < DRV_DEVICES_MAX; d++)
        ctx_set_error(&primary[d], DRV_OK);
    standin_clear();
}

int ctx_error(const struct CUctx_st *ctx)
{
    return __atomic_load_n(&ctx->error, __ATOMIC_ACQUIRE);
}

void ctx_set_error(struct CUctx_st *ctx, int error)
{
    __atomic_store_n(&ctx->error, error, __ATOMIC_RELEASE);
}

struct CUctx_st *drv_context(void)
{
    return depth ? stack[depth - 1] : NULL;
}

int drv_ready(struct CUctx_st **ctx)
{
    if (!begun())
        return DRV_NOT_INITIALIZED;
    *ctx = drv_context();
    if (!*ctx || __atomic_load_n(&(*ctx)->refs, __ATOMIC_ACQUIRE) == 0)
        return DRV_INVALID_CONTEXT;
    return ctx_error(*ctx);
}

int cuCtxGetCurrent(struct CUctx_st **ctx)
{
    *ctx = drv_context();
    return begun() ? DRV_OK : DRV_NOT_INITIALIZED;
}

int cuCtxSetCurrent(struct CUctx_st *ctx)
{
    if (depth)
        depth--;
    return ctx ? cuCtxPushCurrent_v2(ctx) : DRV_OK;
}

int cuCtxPushCurrent_v2(struct CUctx_st *ctx)
{
    if (!ctx || depth == STACK_MAX)
        return DRV_INVALID_CONTEXT;
    stack[depth++] = ctx;
    return DRV_OK;
}

int cuCtxPopCurrent_v2(struct CUctx_st **ctx)
{
    if (!depth)
        return DRV_INVALID_CONTEXT;
    depth--;
    if (ctx)
        *ctx = stack[depth];
    return DRV_OK;
}

int cuCtxGetDevice(int *device)
{
    struct CUctx_st *ctx = drv_context();
    *device = ctx ? ctx->device : 0;
    return ctx ? DRV_OK : DRV_INVALID_CONTEXT;
}

int cuCtxSynchronize(void)
{
    struct CUctx_st *ctx;
    int error = drv_ready(&ctx);
    if (error)
        return error;
    if (capture_forbids())
        return DRV_CAPTURE_UNSUPPORTED;
    stream_wait_all(ctx);
    return ctx_error(ctx);
}
