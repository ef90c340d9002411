/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SL_BK_OPEN_H
#define SL_BK_OPEN_H

#include "bk_context.h"

/* sluice_api.open and close of a backend. */
sluice_status sl_open(const struct sl_backend *backend, const sluice_config *config,
                      sluice_context **out, char *text_data, size_t text_size);
void sl_close(sluice_context *context);

#endif
