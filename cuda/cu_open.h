/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SLC_OPEN_H
#define SLC_OPEN_H

#include "cu_config.h"

sluice_status slc_open(const sluice_config *config, sluice_context **out, char *text_data,
                       size_t text_size);
void slc_close(sluice_context *context);

/* Allocates and fills in context->layers and the shapes of context->banks. */
sluice_status slc_start_layers(sluice_context *context, const sluice_config *config,
                               const struct slc_text *text);

/* ---- cu_bank.c: placements and counters on the device; its context is entered */

/* Bytes of a bank on the host (place_memory, then folded and landing) and on the device. */
size_t slc_bank_bytes(const struct sl_shape *shape);
size_t slc_bank_bytes_there(const struct sl_shape *shape);

/* Gives the bank its memory and the trivial placement. False: no memory, or (*error) the driver
 * failed; close frees what there is. */
bool slc_bank_open(sluice_context *context, int32_t index, slcu_result *error);

#endif
