/* A table whose functions do nothing: for what a loader must refuse. */
#ifndef FAKE_TABLE_H
#define FAKE_TABLE_H

#include "plugin.h"

static sluice_status fake_open(const sluice_config *config, sluice_context **context, char *text,
                               size_t text_size)
{
    (void)config, (void)context, (void)text, (void)text_size;
    return SLUICE_UNAVAILABLE;
}
static void fake_close(sluice_context *context)
{
    (void)context;
}
static size_t fake_error(const sluice_context *context, char *text, size_t size)
{
    (void)context, (void)text, (void)size;
    return 0;
}
static sluice_status fake_topk(sluice_context *context, const sluice_topk_args *args)
{
    (void)context, (void)args;
    return SLUICE_UNSUPPORTED;
}
static sluice_status fake_remap(sluice_context *context, const sluice_remap_args *args)
{
    (void)context, (void)args;
    return SLUICE_UNSUPPORTED;
}
static sluice_status fake_record(sluice_context *context, const sluice_record_args *args)
{
    (void)context, (void)args;
    return SLUICE_UNSUPPORTED;
}
static sluice_status fake_weights(sluice_context *context, const sluice_weights_args *args)
{
    (void)context, (void)args;
    return SLUICE_UNSUPPORTED;
}
static sluice_status fake_dispatch(sluice_context *context, const sluice_dispatch_args *args)
{
    (void)context, (void)args;
    return SLUICE_UNSUPPORTED;
}
__attribute__((unused)) static sluice_status fake_combine(sluice_context *context,
                                                          const sluice_combine_args *args)
{
    (void)context, (void)args;
    return SLUICE_UNSUPPORTED;
}
static const void *fake_extension(const char *id)
{
    (void)id;
    return NULL;
}

/* Each may be set before this header is included. */
#ifndef FAKE_MAJOR
#define FAKE_MAJOR SLUICE_ABI_MAJOR
#endif
#ifndef FAKE_SIZE
#define FAKE_SIZE sizeof(sluice_api)
#endif
#ifndef FAKE_COMBINE
#define FAKE_COMBINE fake_combine
#endif

static const sluice_api table = {
    .abi_major = FAKE_MAJOR,
    .abi_minor = SLUICE_ABI_MINOR + 3,
    .size = FAKE_SIZE,
    .backend = "fake",
    .version = "0",
    .open = fake_open,
    .close = fake_close,
    .last_error = fake_error,
    .topk = fake_topk,
    .remap = fake_remap,
    .record = fake_record,
    .get_moe_weights = fake_weights,
    .dispatch = fake_dispatch,
    .combine = FAKE_COMBINE,
    .extension = fake_extension,
};

__attribute__((visibility("default"))) const sluice_api *sluice_plugin_get(uint32_t major)
{
    return major == SLUICE_ABI_MAJOR ? &table : NULL;
}

#endif
