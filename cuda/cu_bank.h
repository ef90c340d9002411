/* SPDX-License-Identifier: Apache-2.0
 * Placements and counters on the device. */
#ifndef SLC_BANK_H
#define SLC_BANK_H

#include "cu_context.h"

/* Bytes of a bank beside sl_bank_bytes, on the host and on the device. */
size_t slc_bank_bytes(const struct sl_shape *shape);
size_t slc_bank_bytes_there(const struct sl_shape *shape);

/* Gives a bank its memory there, with no counts, in the order of the default stream; its tables
 * come with the first renew. The device's context is entered. False: no memory, or (*error) the
 * driver failed; slc_bank_close frees what there is. */
bool slc_bank_open(sluice_context *context, int32_t index, slcu_result *error);
void slc_bank_close(sluice_context *context, int32_t index);

/* What slc_bank_renew does with the device's context entered. */
slcu_result slc_tables_renew(sluice_context *context, int32_t bank, void *stream);

/* As in struct sl_backend. All but zero wait for the stream. */
sluice_status slc_bank_read(sluice_context *context, int32_t bank, void *stream,
                            const uint64_t **counters);
sluice_status slc_bank_zero(sluice_context *context, int32_t bank, void *stream);
sluice_status slc_bank_renew(sluice_context *context, int32_t bank, void *stream);

#endif
