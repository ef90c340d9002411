/* SPDX-License-Identifier: Apache-2.0
 * Counters on their way to the host while the device goes on. */
#ifndef SLC_LAND_H
#define SLC_LAND_H

#include "cu_context.h"

/* Pinned memory of a context. */
size_t slc_land_bytes(const sluice_context *context);

/* The memory and an event; the device's context is entered. False: no memory, or (*error) the
 * driver failed; slc_land_close frees what there is. */
bool slc_land_open(sluice_context *context, slcu_result *error);
void slc_land_close(sluice_context *context);

/* As in struct sl_backend. */
sluice_status slc_land(sluice_context *context, void *stream);
sluice_status slc_landed(sluice_context *context, bool wait, bool *there);

#endif
