/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SLC_OPEN_H
#define SLC_OPEN_H

#include "../src/backend/bk_context.h"

sluice_status slc_open(const sluice_config *config, sluice_context **out, char *text, size_t size);

/* Does this version serve it? UNSUPPORTED by name where not. */
sluice_status slc_serves(const struct sl_text *text, const sluice_config *config);

/* ---- cu_tally.c: as in struct sl_backend */

sluice_status slc_read_tally(sluice_context *context, sluice_stats *stats);
sluice_status slc_zero_tally(sluice_context *context);

#endif
