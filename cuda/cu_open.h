/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SLC_OPEN_H
#define SLC_OPEN_H

#include "../src/backend/bk_context.h"

sluice_status slc_open(const sluice_config *config, sluice_context **out, char *text, size_t size);

/* ---- cu_tally.c: as in struct sl_backend */

sluice_status slc_read_tally(sluice_context *context, sluice_stats *stats);
sluice_status slc_zero_tally(sluice_context *context);

#endif
